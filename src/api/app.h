/* App: what commands and routes work with. One per server, made at start, read by all
 * loops; the rooms below are reached through it and nothing here is global.
 *
 * Where things run:
 *
 *     HTTP requests   their connection's io loop
 *     RESP requests   the owner's loop while io-threads <= 1, io loops above that
 *     db_*, sink_*    the owner's loop only (app_to_owner gets there)
 *     reads           query jobs on workers (work.h)
 *     replies         written on the connection's loop, or by a worker into a chain of its
 *                     own that is handed to the loop
 *
 * A handler that cannot answer at once keeps its reply slot, goes where it must and comes
 * back to the connection's loop with app_to_loop().
 */
#ifndef TSINK_API_APP_H
#define TSINK_API_APP_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/account.h"
#include "base/clock.h"
#include "base/exec.h"
#include "base/metric.h"
#include "base/regex.h"
#include "base/strbuf.h"
#include "engine/db.h"
#include "net/conn.h"
#include "net/io_threads.h"
#include "net/loop.h"
#include "query/querier.h"

/* The part of the configuration that handlers look at: an immutable generation. Whoever
 * needs it more than once during a request takes the pointer once. Old generations live
 * as long as the server. */
struct app_settings {
    uint64_t generation;
    bool admin_api, lifecycle_api, debug_command;
    bool promql_stable;
    int64_t query_timeout_ms;      /* default and ceiling of a query's time */
    int64_t query_lookback_ms;
    uint64_t query_samples_max;    /* loaded by one query */
    uint64_t query_series_max;
    uint64_t query_bytes_max;      /* memory of one query */
    uint64_t query_queue_max;      /* queries that wait for a thread; more are refused */
    int64_t slow_query_ms;         /* from this on a query is slow; 0: none is */
    uint64_t query_points_max;     /* steps of a range query: 11,000 */
    size_t body_decoded_max;       /* of a request's body after its content coding */
    /* RedisTimeSeries' ts-* options. */
    int64_t ts_retention_ms;
    uint32_t ts_chunk_bytes;
    bool ts_uncompressed;
    enum dup_policy ts_policy;     /* of series that TS.* commands make */
    int64_t ts_ignore_ms;
    double ts_ignore_val;
    char ts_compaction_policy[512]; /* ts_policy.h; checked; "": none */
    char ts_metric_label[64];      /* label whose value names the metric; "" turns it off */
    enum ts_name_mode { TS_NAME_DERIVE, TS_NAME_KEY, TS_NAME_NONE } ts_name_mode;
    char external_labels[512];     /* external_labels.h; checked */
    char http_prefix[64];          /* "" or "/a/b": every path is also served below it */
    int64_t slowlog_us;            /* from this on a command is slow; -1: none is */
    uint64_t slowlog_max;          /* slow commands that are kept */
    int64_t latency_ms;            /* from this on LATENCY notes a command; 0: never */
    uint32_t notify_events;        /* bits of events.h; 0: none */
    bool resp_lenient_args;        /* unknown option words are ignored, as the peer does */
};

/* What runtimeinfo tells of the process. */
struct app_runtime {
    char cwd[512], hostname[256];
    int64_t config_ms;             /* wall time when the configuration was read last */
    bool config_ok;                /* that reading succeeded */
    uint64_t n_corruptions;        /* damaged parts put aside at start */
    uint64_t n_threads, n_cpus, memory_limit;
    int64_t retention_ms;
};

/* What the server gives to the api and the api must not know how it is done. All are
 * called on the owner's loop. */
struct app_ports {
    void *ctx;
    /* CONFIG GET: calls each with every option whose name matches the glob. */
    void (*config_get)(void *ctx, struct slice glob,
                       void (*each)(void *arg, const char *name, struct slice value), void *arg);
    /* CONFIG SET: all pairs or none. ST_NOT_FOUND names an unknown option, ST_INVALID a
     * bad value, ST_DENIED one that is settled at start. */
    status (*config_set)(void *ctx, const struct slice *names, const struct slice *values,
                         size_t n, struct err *err);
    status (*config_rewrite)(void *ctx, struct err *err);
    /* Reads the configuration file again and takes over what may change; out gets lines
     * for a human. ST_INTERNAL says why everything stays as it was. */
    status (*config_reload)(void *ctx, struct strbuf *out, struct err *err);
    /* ACL SAVE and LOAD: the whole of what fails is in err's text. */
    status (*acl_save)(void *ctx, struct err *err);
    status (*acl_load)(void *ctx, struct err *err);
    void (*stats_reset)(void *ctx);
    void (*runtime)(void *ctx, struct app_runtime *out);
    /* INFO text of the named sections (n 0: the default ones), in Redis' form. */
    void (*info)(void *ctx, struct strbuf *out, const struct slice *sections, size_t n);
    /* The body of /metrics: exposition text, or OpenMetrics. */
    void (*metrics)(void *ctx, struct strbuf *out, bool openmetrics);
    /* The same as a JSON list of metric families (ProtoJSON of Prometheus' client model)
     * whose names match; NULL: all. */
    void (*metrics_json)(void *ctx, struct strbuf *out, const struct regex *names);
    /* Begins an orderly stop; returns at once. */
    void (*shutdown)(void *ctx, bool save);
};

struct app {
    struct db *db;                 /* NULL until it is open: requests get ST_LOADING */
    _Atomic bool ready;            /* db is open and serving */
    /* Until then: the phase of the start (a literal) and how much of it is done. */
    _Atomic(const char *) start_phase;
    _Atomic unsigned start_percent;
    _Atomic uint64_t replay_done, replay_total; /* of the log, in its order */
    _Atomic bool stopping;
    struct querier *querier;
    struct sink *sink;
    struct exec *exec;             /* jobs; to_owner */
    struct clock *clock;
    struct loop *owner;
    struct conn_hub *hub;
    struct conn_loops loops;       /* all of them, the owner's first */
    struct account *net_account, *query_account;
    struct query_table *queries;   /* under way, and slow ones */
    uint64_t n_query_threads;
    struct ts_turns *turns;        /* of writes, one a loop */
    struct command_stats *command_stats; /* how often, how long, which slow ones */
    struct acl *acl;               /* users of the command port */
    struct pubsub *pubsub;         /* channels and who listens */
    struct txns *txns;             /* who holds the server for a transaction */
    struct write_spaces *spaces;   /* for bodies of samples */
    struct keyspace *keyspace;     /* keys that expire; owner */
    _Atomic(const struct app_settings *) settings;
    struct app_ports ports;
    int64_t start_wall_ms;
    uint16_t resp_port, http_port;
    /* Counters of this room, for /metrics and INFO. Any thread. */
    struct app_stats {
        struct counter n_commands, n_command_errors;
        struct counter n_http, n_http_errors;
        struct counter n_queries, n_query_errors, n_queries_cancelled, n_queries_refused;
        struct counter n_queries_slow;
        struct gauge n_queries_running;
        struct histogram_us query_us;
        struct counter n_rows_in, n_rows_stored, n_rows_refused;
        struct counter n_bad_bodies;
        struct counter n_exemplars_refused; /* by decoders */
        struct counter n_metadata_lost;     /* for lack of memory */
        struct counter n_exemplar_queries, n_exemplar_query_series, n_exemplar_query_results;
    } stats;
};

/* Why requests are turned away now, in a line; "" when they are not. dst has
 * APP_UNREADY_MAX bytes. Any thread. */
enum { APP_UNREADY_MAX = 128 };
const char *app_unready(struct app *app, char *dst);

static inline const struct app_settings *app_settings(struct app *app)
{
    return atomic_load_explicit(&app->settings, memory_order_acquire);
}

static inline bool app_is_owner(const struct app *app)
{
    return loop_is_mine(app->owner);
}

/* Runs the task on the owner's loop: at once when this is it, else by message. */
static inline void app_to_owner(struct app *app, struct task *task)
{
    if (app_is_owner(app))
        task->fn(task);
    else
        loop_post(app->owner, task);
}

/* The same for the loop of a connection. */
static inline void app_to_loop(struct loop *loop, struct task *task)
{
    if (loop_is_mine(loop))
        task->fn(task);
    else
        loop_post(loop, task);
}

#endif
