/* The process. See server.h.
 *
 * Start: files, hub and loops, listeners, database, ready. While the database recovers the
 * owner's loop turns between its steps: probes and data routes get 503 with phase and
 * percent, commands -LOADING; a stop ends the recovery, which has changed nothing.
 *
 * Stop: listeners close; connections take no more requests; open requests and queries end,
 * or are cancelled when the grace is over; the database flushes and closes; loops stop;
 * workers stop. The owner's loop turns by hand meanwhile, so that messages are served.
 */
#include "server/server.h"

#include <string.h>
#include <unistd.h>

#include "api/acl.h"
#include "api/command_stats.h"
#include "api/handlers.h"
#include "api/keyspace.h"
#include "api/pubsub.h"
#include "api/query_table.h"
#include "api/ts_turn.h"
#include "api/txn.h"
#include "api/write_space.h"
#include "api/version.h"
#include "base/cgroup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/panic.h"
#include "engine/budget.h"
#include "query/querier_local.h"
#include "query/rule_worker.h"
#include "server/signals.h"
#include "server/server_stats.h"

enum { CRON_MS = 100, TURN_MS = 5 };

/* --- the WAL's position and the loops that wait for it ---------------------------- */

/* WAL thread. */
static void wal_durable(void *ctx)
{
    struct server *srv = ctx;
    struct db *db = atomic_load_explicit(&srv->db_for_wal, memory_order_acquire);
    if (!db) return;
    status st = db_durable_failed(db, NULL);
    atomic_store_explicit(&srv->durable, db_durable(db), memory_order_seq_cst);
    for (size_t i = 0; i < srv->app.loops.n; i++) {
        struct loop *loop = conn_loop_loop(srv->app.loops.ptr[i]);
        if (st != ST_OK)
            loop_gate_fail(loop, ST_POISONED);
        else
            loop_gate_wake(loop);
    }
}

/* --- the owner's cron ------------------------------------------------------------- */

static void count_ops(struct server *srv)
{
    mono_ns now = clock_mono(srv->app.clock);
    if (now - srv->ops_at < 1000000000) return;
    uint64_t n = counter_read(&srv->app.stats.n_commands);
    srv->ops_per_s = (n - srv->ops_last) * 1000000000ull / (uint64_t)(now - srv->ops_at);
    srv->ops_last = n;
    srv->ops_at = now;
}

static void on_cron(struct timer *timer)
{
    struct server *srv = container_of(timer, struct server, cron);
    int64_t next_ms = CRON_MS;
    count_ops(srv);
    if (srv->app.db && atomic_load_explicit(&srv->app.ready, memory_order_relaxed)) {
        int64_t ns = db_tick(srv->app.db);
        rule_worker_step(srv->rules);
        if (ns / 1000000 < next_ms) next_ms = ns / 1000000;
    }
    timer_set(loop_wheel(srv->owner), timer, next_ms < 1 ? 1 : next_ms);
}

static void on_turn(struct loop_hook *hook)
{
    struct server *srv = container_of(hook, struct server, turn_hook);
    if (signals_n_stops() > 0 || srv->stop_asked) loop_stop(srv->owner);
}

static void ask_shutdown(void *ctx, bool save)
{
    struct server *srv = ctx;
    srv->stop_asked = true;
    srv->stop_save = save;
}

/* --- configuration that others copy ----------------------------------------------- */

/* Input that one request may fill, and the start of the next. */
static size_t input_room(size_t preset, uint64_t request_max)
{
    enum { NEXT_REQUEST = 16 << 20 }; /* the default of 80 MiB over bulk strings of 64 */
    return request_max + NEXT_REQUEST > preset ? (size_t)request_max + NEXT_REQUEST : preset;
}

void server_apply_config(struct server *srv)
{
    const struct config *cfg = server_config(srv);
    struct conn_limits limits;
    conn_limits_default(&limits, CONN_RESP);
    limits.n_conns_max = cfg->max_clients;
    limits.n_source_max = cfg->max_source;
    limits.bulk_max = cfg->bulk_max;
    limits.input_max = input_room(limits.input_max, cfg->bulk_max);
    limits.idle_ms = (uint32_t)cfg->resp_idle_ms;
    limits.keepalive_s = (uint32_t)cfg->keepalive_s;
    limits.output_hard = cfg->output_hard;
    limits.output_soft = cfg->output_soft;
    limits.output_soft_ms = (uint32_t)cfg->output_soft_ms;
    if (conn_hub_set_limits(srv->hub, CONN_RESP, &limits) != ST_OK)
        log_warn("server", "limits of RESP connections stay as they were", "");
    conn_limits_default(&limits, CONN_HTTP);
    limits.n_conns_max = cfg->max_clients;
    limits.n_source_max = cfg->max_source;
    limits.body_max = cfg->body_max;
    limits.input_max = input_room(limits.input_max, cfg->body_max);
    limits.idle_ms = (uint32_t)cfg->http_idle_ms;
    limits.keepalive_s = (uint32_t)cfg->keepalive_s;
    limits.head_ms = (uint32_t)cfg->http_head_ms;
    limits.cors = srv->cors;
    if (conn_hub_set_limits(srv->hub, CONN_HTTP, &limits) != ST_OK)
        log_warn("server", "limits of HTTP connections stay as they were", "");
    log_set_level((enum log_level)cfg->log_level);
    if (strcmp(srv->requirepass, cfg->requirepass) != 0) {
        if (acl_requirepass(srv->app.acl, slice_str(cfg->requirepass)) == ST_OK)
            memcpy(srv->requirepass, cfg->requirepass, sizeof(srv->requirepass));
        else
            log_warn("server", "the password stays as it was", "");
    }
    atomic_store_explicit(&srv->app.settings, &cfg->app, memory_order_release);
}

/* --- open ------------------------------------------------------------------------- */

/* Makes the data directory and opens a vfs on it. */
static status open_files(struct server *srv, struct err *err)
{
    const char *path = server_config(srv)->data_path;
    bool absolute = path[0] == '/';
    struct vfs *above;
    while (path[0] == '.' && path[1] == '/') path += 2;
    if (!path[0] || strcmp(path, ".") == 0) return vfs_posix_open(&srv->vfs, ".", err);
    status st = vfs_posix_open(&srv->vfs, server_config(srv)->data_path, NULL);
    if (st == ST_OK) return ST_OK;

    TRY(vfs_posix_open(&above, absolute ? "/" : ".", err));
    st = vfs_mkdir_all(above, absolute ? path + 1 : path, err);
    vfs_free(above);
    if (st != ST_OK) return err_wrap(err, st, "data-path %s", server_config(srv)->data_path);
    return vfs_posix_open(&srv->vfs, server_config(srv)->data_path, err);
}

static void post_to_owner(void *ctx, struct task *task)
{
    struct server *srv = ctx;
    loop_post(srv->owner, task);
}

static status open_threads(struct server *srv, struct err *err)
{
    const struct config *cfg = server_config(srv);
    struct cgroup_limits limits;
    cgroup_read(&limits, NULL);
    unsigned cpus = limits.n_cpus;
    srv->n_cpus = cpus;
    int io = cfg->io_threads, queries = cfg->query_threads;
    if (io < 0) io = cpus <= 2 ? 1 : cpus > 9 ? 8 : (int)cpus - 1;
    if (queries < 0) queries = (int)(cpus < 1 ? 1 : cpus > 64 ? 64 : cpus);

    struct loop_opts loop = {.name = "owner", .clock = srv->app.clock, .spin_us = LOOP_SPIN_US};
    TRY(loop_open(&srv->owner, &loop, err));
    struct conn_hub_opts hub = {.account = &srv->net_account, .clock = srv->app.clock};
    TRY(conn_hub_open(&srv->hub, &hub, err));
    struct workers_options workers = {
        .n_threads = {[JOB_MAINTENANCE] = (unsigned)cfg->maintenance_threads,
                      [JOB_QUERY] = (unsigned)queries,
                      [JOB_LONG] = 1},
        .post = post_to_owner,
        .post_ctx = srv};
    TRY(workers_open(&srv->workers, &workers, err));
    TRY(io_threads_open(&srv->io, srv->owner, srv->hub, (size_t)io, err));
    srv->app.owner = srv->owner;
    srv->app.hub = srv->hub;
    enum { OTHER_THREADS = 3 }; /* JOB_LONG's, the WAL's and the log's */
    srv->n_threads = (unsigned)(io + queries + cfg->maintenance_threads) + 1 + OTHER_THREADS;
    srv->app.n_query_threads = (uint64_t)queries;
    srv->app.exec = workers_exec(srv->workers);
    srv->app.loops = io_threads_all(srv->io);
    for (size_t i = 0; i < srv->app.loops.n; i++)
        loop_set_gate(conn_loop_loop(srv->app.loops.ptr[i]), &srv->durable);
    return ST_OK;
}

static status open_listener(struct server *srv, struct listener **out, enum conn_proto proto,
                            struct err *err)
{
    const struct config *cfg = server_config(srv);
    int port = proto == CONN_RESP ? cfg->port : cfg->http_port;
    if (port == 0) return ST_OK;
    struct conn_loops deal =
        proto == CONN_RESP ? io_threads_for_resp(srv->io) : io_threads_for_http(srv->io);
    struct listener_opts opts = {.hub = srv->hub,
                                 .loop = conn_loop_loop(deal.ptr[0]),
                                 .deal = deal.ptr,
                                 .n_deal = deal.n,
                                 .proto = proto,
                                 .hosts = cfg->bind,
                                 .port = (uint16_t)port};
    return listener_open(out, &opts, err);
}

static status open_unix(struct server *srv, struct err *err)
{
    const struct config *cfg = server_config(srv);
    struct conn_loops deal = io_threads_for_resp(srv->io);
    int m = cfg->unix_mode;
    struct listener_opts opts = {.hub = srv->hub,
                                 .loop = conn_loop_loop(deal.ptr[0]),
                                 .deal = deal.ptr,
                                 .n_deal = deal.n,
                                 .proto = CONN_RESP,
                                 .hosts = "",
                                 .path = cfg->unix_socket,
                                 .mode = (unsigned)(m / 100 * 64 + m / 10 % 10 * 8 + m % 10)};
    return cfg->unix_socket[0] ? listener_open(&srv->unix_resp, &opts, err) : ST_OK;
}

static status open_listeners(struct server *srv, struct err *err)
{
    srv->app.queries = query_table_new();
    srv->app.turns = ts_turns_new(&srv->app);
    srv->app.spaces = write_spaces_new(&srv->app);
    srv->app.keyspace = keyspace_new(&srv->app);
    srv->app.txns = txns_new(&srv->app);
    srv->app.pubsub = pubsub_new(&srv->app);
    srv->app.acl = acl_new();
    srv->app.command_stats = command_stats_new(&srv->app);
    if (!srv->app.queries || !srv->app.turns || !srv->app.spaces || !srv->app.keyspace ||
        !srv->app.txns || !srv->app.pubsub || !srv->app.acl || !srv->app.command_stats)
        return err_set(err, ST_NO_MEMORY, "starting");
    api_set_handlers(&srv->app);
    const char *cors = server_config(srv)->cors;
    if (cors[0]) TRY(regex_new(&srv->cors, slice_str(cors), err));
    server_apply_config(srv);
    TRY(server_open_acl(srv, err));
    TRY(open_listener(srv, &srv->resp, CONN_RESP, err));
    TRY(open_listener(srv, &srv->http, CONN_HTTP, err));
    TRY(open_unix(srv, err));
    srv->app.resp_port = srv->resp ? listener_port(srv->resp) : 0;
    srv->app.http_port = srv->http ? listener_port(srv->http) : 0;
    return io_threads_start(srv->io, err);
}

/* Recovery goes on: those who ask meanwhile are told how far it is. */
static bool on_progress(void *ctx, const char *phase, uint64_t done, uint64_t total)
{
    struct server *srv = ctx;
    unsigned percent = total ? (unsigned)((double)done / (double)total * 100) : 0;
    atomic_store_explicit(&srv->app.start_percent, percent, memory_order_relaxed);
    atomic_store_explicit(&srv->app.start_phase, phase, memory_order_relaxed);
    if (strcmp(phase, "replay") == 0) {
        atomic_store_explicit(&srv->app.replay_done, done, memory_order_relaxed);
        atomic_store_explicit(&srv->app.replay_total, total, memory_order_release);
    }
    loop_turn(srv->owner, 0);
    return signals_n_stops() == 0 && !srv->stop_asked;
}

/* The engine's options with what they say about this machine settled. A small one gets a
 * buffer of the WAL to its measure. */
static struct db_options engine_options(const struct server *srv)
{
    enum { WAL_BUFFER_MIN = 1 << 20 };
    struct db_options opt = server_config(srv)->engine;
    struct cgroup_limits machine;
    if (opt.memory_limit) return opt;
    cgroup_read(&machine, NULL);
    opt.memory_limit = budget_default(machine.memory_bytes);
    while (opt.wal_buffer_bytes > opt.memory_limit / 4 && opt.wal_buffer_bytes > WAL_BUFFER_MIN)
        opt.wal_buffer_bytes /= 2;
    log_info("server", "memory-limit", "bytes=%llu of=%llu wal_buffer=%llu",
             (unsigned long long)opt.memory_limit, (unsigned long long)machine.memory_bytes,
             (unsigned long long)opt.wal_buffer_bytes);
    return opt;
}

static status open_database(struct server *srv, struct err *err)
{
    struct db_options options = engine_options(srv);
    struct db_ports ports = {.vfs = srv->vfs,
                             .clock = srv->app.clock,
                             .rng = &srv->rng,
                             .exec = srv->app.exec,
                             .account = &srv->account,
                             .wal_thread = true,
                             .recover_threads = srv->n_cpus,
                             .durable = wal_durable,
                             .durable_ctx = srv,
                             .progress = on_progress,
                             .progress_ctx = srv};
    struct db *db;
    TRY(db_open(&db, &options, &ports, err));
    srv->app.db = db;
    srv->app.sink = db_sink(db);
    srv->app.querier = querier_local_new(db, &srv->query_account);
    atomic_store_explicit(&srv->db_for_wal, db, memory_order_release);
    wal_durable(srv);
    if (!srv->app.querier) return err_set(err, ST_NO_MEMORY, "the querier");
    srv->rules = rule_worker_new(db, &srv->query_account);
    if (!srv->rules) return err_set(err, ST_NO_MEMORY, "the rules");
    keyspace_begin(&srv->app);
    atomic_store_explicit(&srv->app.ready, true, memory_order_release);
    return ST_OK;
}

static void init_app(struct server *srv)
{
    struct app *app = &srv->app;
    account_init(&srv->account, "process", NULL, 0);
    account_init(&srv->net_account, "net", &srv->account, 0);
    account_init(&srv->query_account, "query", &srv->account, 0);
    app->clock = clock_system();
    app->net_account = &srv->net_account;
    app->query_account = &srv->query_account;
    srv->began_ms = clock_wall(app->clock);
    app->start_wall_ms = srv->began_ms;
    atomic_store_explicit(&app->start_phase, "start", memory_order_relaxed);
    app->ports = (struct app_ports){.ctx = srv,
                                    .info = server_info,
                                    .metrics = server_metrics,
                                    .metrics_json = server_metrics_json,
                                    .runtime = server_runtime,
                                    .config_reload = server_reload,
                                    .shutdown = ask_shutdown};
    server_config_ports(srv, &app->ports);
    server_acl_ports(srv, &app->ports);
    rng_init(&srv->rng, rng_system_seed());
    hash_seed(rng_system_seed());
}

status server_open(struct server **out, struct config_generation *config, const char *config_file,
                   int argc, char **argv, struct err *err)
{
    struct server *srv = mem_try_zero(sizeof(*srv));
    if (!srv) return err_set(err, ST_NO_MEMORY, "starting");
    srv->config = config;
    srv->config_file = config_file;
    srv->argc = argc;
    srv->argv = argv;
    init_app(srv);
    srv->config_ms = srv->began_ms;
    srv->config_ok = true;
    status st = open_files(srv, err);
    if (st == ST_OK) st = open_threads(srv, err);
    if (st == ST_OK) st = open_listeners(srv, err);
    if (st == ST_OK) st = open_database(srv, err);
    if (st != ST_OK) {
        server_close(srv);
        return st;
    }
    srv->turn_hook.fn = on_turn;
    loop_hook_add(srv->owner, LOOP_BATCH, &srv->turn_hook);
    timer_init(&srv->cron, on_cron);
    timer_set(loop_wheel(srv->owner), &srv->cron, 1);
    *out = srv;
    return ST_OK;
}

/* --- stop ------------------------------------------------------------------------- */

/* A step of the stop that every loop takes for itself. */
struct loop_step {
    struct task task;
    struct conn_loop *at;
    bool kill;
};

static void kill_conn(struct conn *conn, void *ctx)
{
    (void)ctx;
    conn_kill(conn);
}

static void drain_loop(struct task *task)
{
    struct loop_step *step = container_of(task, struct loop_step, task);
    conn_loop_drain(step->at);
    if (step->kill) conn_each(step->at, kill_conn, NULL);
    mem_free(step);
}

static void drain_all(struct server *srv, bool kill)
{
    for (size_t i = 0; i < srv->app.loops.n; i++) {
        struct loop_step *step = mem_alloc(sizeof(*step));
        *step = (struct loop_step){
            .task = {.fn = drain_loop}, .at = srv->app.loops.ptr[i], .kill = kill};
        list_init(&step->task.link);
        loop_post(conn_loop_loop(step->at), &step->task);
    }
}

static size_t open_conns(const struct server *srv)
{
    size_t n = 0;
    for (size_t i = 0; i < srv->app.loops.n; i++) n += conn_loop_count(srv->app.loops.ptr[i]);
    return n;
}

/* Turns the owner's loop until nothing is open, the time is over, or a second signal says
 * that it is. */
static void turn_until_quiet(struct server *srv, mono_ns deadline)
{
    while (open_conns(srv) || gauge_read(&srv->app.stats.n_queries_running)) {
        if (clock_mono(srv->app.clock) >= deadline || signals_n_stops() > 1) return;
        loop_turn(srv->owner, TURN_MS);
    }
}

/* Cuts all connections and waits for what worked for them: cancelled queries look up every
 * few thousand samples. Nothing below may go while one runs. */
static void cut_off(struct server *srv)
{
    drain_all(srv, true);
    while (open_conns(srv) || gauge_read(&srv->app.stats.n_queries_running))
        loop_turn(srv->owner, TURN_MS);
}

static void serve(void *ctx)
{
    struct server *srv = ctx;
    loop_turn(srv->owner, 1);
}

/* A listener accepts on a loop of its own, and is stopped there. */
struct listener_step {
    struct task task;
    struct listener *listener;
};

static void stop_listener(struct task *task)
{
    struct listener_step *step = container_of(task, struct listener_step, task);
    listener_stop(step->listener);
    mem_free(step);
}

static void stop_listening(struct listener *listener, struct conn_loops deal)
{
    if (!listener) return;
    struct listener_step *step = mem_alloc(sizeof(*step));
    *step = (struct listener_step){.task = {.fn = stop_listener}, .listener = listener};
    list_init(&step->task.link);
    app_to_loop(conn_loop_loop(deal.ptr[0]), &step->task);
}

status server_run(struct server *srv, struct err *err)
{
    log_info("server", "ready", "resp_port=%u http_port=%u pid=%ld version=%s", srv->app.resp_port,
             srv->app.http_port, (long)getpid(), API_VERSION);
    loop_run(srv->owner);

    mono_ns start = clock_mono(srv->app.clock);
    mono_ns deadline = start + server_config(srv)->shutdown_grace_ms * 1000000;
    log_info("server", "stopping", "connections=%zu", open_conns(srv));
    atomic_store_explicit(&srv->app.stopping, true, memory_order_release);
    stop_listening(srv->resp, io_threads_for_resp(srv->io));
    stop_listening(srv->unix_resp, io_threads_for_resp(srv->io));
    stop_listening(srv->http, io_threads_for_http(srv->io));
    drain_all(srv, false);
    turn_until_quiet(srv, deadline);
    cut_off(srv);

    timer_cancel(loop_wheel(srv->owner), &srv->cron);
    keyspace_end(&srv->app);
    atomic_store_explicit(&srv->app.ready, false, memory_order_release);
    atomic_store_explicit(&srv->db_for_wal, NULL, memory_order_release);
    querier_local_free(srv->app.querier);
    srv->app.querier = NULL;
    rule_worker_stop(srv->rules);
    bool at_once = signals_n_stops() > 1 || (srv->stop_asked && !srv->stop_save);
    struct db *db = srv->app.db;
    srv->app.db = NULL;
    status st = db_close(db, at_once ? 0 : deadline, serve, srv, err);
    log_info("server", "stopped", "status=%s ms=%lld", status_name(st),
             (long long)((clock_mono(srv->app.clock) - start) / 1000000));
    return st;
}

void server_close(struct server *srv)
{
    if (srv->io) io_threads_stop(srv->io);
    listener_close(srv->resp);
    listener_close(srv->http);
    listener_close(srv->unix_resp);
    rule_worker_stop(srv->rules);
    if (srv->app.db) (void)db_close(srv->app.db, 0, NULL, NULL, NULL);
    workers_close(srv->workers);
    keyspace_free(srv->app.keyspace);
    ts_turns_free(srv->app.turns);
    write_spaces_free(srv->app.spaces);
    query_table_free(srv->app.queries);
    if (srv->turn_hook.fn) loop_hook_remove(&srv->turn_hook);
    io_threads_close(srv->io);
    txns_free(srv->app.txns);
    pubsub_free(srv->app.pubsub);
    acl_free(srv->app.acl);
    command_stats_free(srv->app.command_stats);
    conn_hub_close(srv->hub);
    regex_free(srv->cors);
    loop_close(srv->owner);
    rule_worker_free(srv->rules); /* its last message came back here */
    if (srv->vfs) vfs_free(srv->vfs);
    mem_free(srv->baseline);
    while (srv->config) {
        struct config_generation *older = srv->config->older;
        mem_free(srv->config);
        srv->config = older;
    }
    mem_free(srv);
}
