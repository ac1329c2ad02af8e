/* The process: wires the rooms together, runs the owner's loop, stops in order.
 *
 *     server_open    configuration is settled: files, loops, listeners, database
 *     server_run     the owner's loop, until a signal or SHUTDOWN; then the orderly stop
 *     server_close   everything is closed
 *
 * All on the main thread, which is the owner.
 */
#ifndef TSINK_SERVER_SERVER_H
#define TSINK_SERVER_SERVER_H

#include "api/app.h"
#include "base/regex.h"
#include "base/rng.h"
#include "base/timerwheel.h"
#include "base/vfs.h"
#include "base/workers.h"
#include "net/io_threads.h"
#include "net/listener.h"
#include "server/config.h"

/* A generation of the configuration; the newest first. */
struct config_generation {
    struct config cfg;
    struct config_generation *older;
};

struct server {
    struct config_generation *config; /* newest; owner */
    const char *config_file;          /* NULL: none */
    int argc;                         /* the command line, to be read again */
    char **argv;
    int64_t config_ms;                /* when it was read last */
    bool config_ok;
    struct app app;
    struct account account, net_account, query_account;
    struct rule_worker *rules;        /* makes the buckets of compaction rules */
    struct vfs *vfs;                  /* the data directory */
    struct rng rng;
    struct workers *workers;
    struct loop *owner;
    struct conn_hub *hub;
    struct io_threads *io;
    struct listener *resp, *http, *unix_resp;
    struct regex *cors;               /* cors-origin; NULL: none */
    struct loop_hook turn_hook;       /* looks for signals */
    struct timer cron;
    _Atomic uint64_t durable;         /* the gate of parked replies */
    _Atomic(struct db *) db_for_wal;  /* set once the database is open */
    bool stop_asked, stop_save;
    unsigned n_cpus, n_threads;
    int64_t began_ms;
    uint64_t ops_last, ops_per_s;     /* commands, for INFO */
    mono_ns ops_at;
    struct server_baseline *baseline; /* CONFIG RESETSTAT */
    char requirepass[CONFIG_TEXT_MAX]; /* as it was applied last */
};

/* argc and argv are what config was read from, without the program's name; they outlive
 * the server. */
CHECKED status server_open(struct server **out, struct config_generation *config,
                           const char *config_file, int argc, char **argv, struct err *err);

/* ST_OK after an orderly stop; what failed otherwise. */
status server_run(struct server *srv, struct err *err);
void server_close(struct server *srv);

static inline const struct config *server_config(const struct server *srv)
{
    return &srv->config->cfg;
}

/* config_set.c: the api's ports to the configuration. */
void server_config_ports(struct server *srv, struct app_ports *ports);

/* A file's own directory as a vfs, and its name there. */
CHECKED status server_open_dir_of(const char *path, struct vfs **vfs, const char **name,
                                  struct err *err);

/* acl_file.c */
void server_acl_ports(struct server *srv, struct app_ports *ports);
CHECKED status server_open_acl(struct server *srv, struct err *err); /* reads aclfile */

/* config_reload.c: see app_ports. Owner. */
CHECKED status server_reload(void *srv, struct strbuf *out, struct err *err);

/* info.c and metrics.c. Owner. */
void server_runtime(void *srv, struct app_runtime *out);
void server_metrics_json(void *srv, struct strbuf *out, const struct regex *names);
void server_info(void *srv, struct strbuf *out, const struct slice *sections, size_t n);
void server_metrics(void *srv, struct strbuf *out, bool openmetrics);

#endif
