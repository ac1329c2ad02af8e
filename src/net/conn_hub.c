/* What connections share: limits, counters, the loop's lists and its sweep.
 *
 * Limits are immutable once published; a connection looks at the newest each time
 * it reads. Old ones are kept until the hub closes: configuration changes are few.
 *
 * The sweep is how time limits are kept: a timer looks at a tenth of a loop's
 * connections every 100 ms, so each limit is known to about a second and a request
 * sets no timer at all.
 */
#include <string.h>
#include <sys/resource.h>

#include "base/mem.h"
#include "base/panic.h"
#include "net/conn_priv.h"

enum { RESERVED_FDS = 128, MS = 1000000 /* in nanoseconds */ };

/* ---- Limits ----------------------------------------------------------------------- */

void conn_limits_default(struct conn_limits *limits, enum conn_proto proto)
{
    *limits = (struct conn_limits){
        .n_conns_max = 10000,
        .n_source_max = 1000,
        .keepalive_s = 300, /* as Redis */
        .pipeline_max = 1024,
        .input_max = 80u << 20,
        .bulk_max = RESP_BULK_MAX,
        .args_max = RESP_ARGS_MAX,
        .body_max = HTTP_BODY_MAX,
        .output_soft = 64u << 20,
        .output_hard = 256u << 20,
        .output_unauth = 64u << 10,
        .output_soft_ms = 60000,
        .idle_ms = proto == CONN_HTTP ? 60000 : 0,
        .head_ms = 10000,
        .body_grace_ms = 10000,
        .body_rate_min = 1024,
        .stall_ms = 60000,
    };
}

status conn_hub_set_limits(struct conn_hub *hub, enum conn_proto proto,
                           const struct conn_limits *limits)
{
    struct conn_limits *copy = mem_alloc(sizeof(*copy));

    *copy = *limits;
    if (!vec_push(&hub->old_limits, copy)) {
        mem_free(copy);
        return ST_NO_MEMORY;
    }
    atomic_store_explicit(&hub->limits[proto], copy, memory_order_release);
    return ST_OK;
}

const struct conn_limits *conn_hub_limits(const struct conn_hub *hub, enum conn_proto proto)
{
    return atomic_load_explicit(&hub->limits[proto], memory_order_acquire);
}

/* ---- The hub ----------------------------------------------------------------------- */

static size_t descriptors_for_connections(size_t reserved)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY) return SIZE_MAX;
    return limit.rlim_cur > reserved ? (size_t)limit.rlim_cur - reserved : 0;
}

status conn_hub_open(struct conn_hub **out, const struct conn_hub_opts *opts, struct err *err)
{
    struct conn_hub *hub = mem_try_zero(sizeof(*hub));

    if (!hub) return err_set(err, ST_NO_MEMORY, "no memory for connections");
    hub->account = opts->account;
    hub->clock = opts->clock ? opts->clock : clock_system();
    hub->fds_max =
        descriptors_for_connections(opts->reserved_fds ? opts->reserved_fds : RESERVED_FDS);
    for (int proto = 0; proto < CONN_PROTOS; proto++) {
        struct conn_limits limits;
        conn_limits_default(&limits, (enum conn_proto)proto);
        if (conn_hub_set_limits(hub, (enum conn_proto)proto, &limits) != ST_OK) {
            conn_hub_close(hub);
            return err_set(err, ST_NO_MEMORY, "no memory for connections");
        }
    }
    *out = hub;
    return ST_OK;
}

void conn_hub_close(struct conn_hub *hub)
{
    if (!hub) return;
    ASSERT(hub->n_loops == 0);
    for (size_t i = 0; i < hub->old_limits.len; i++) mem_free(hub->old_limits.ptr[i]);
    vec_release(&hub->old_limits);
    mem_free(hub);
}

void conn_hub_set_handler(struct conn_hub *hub, enum conn_proto proto,
                          const struct conn_handler *handler, void *user)
{
    hub->handler[proto] = handler;
    hub->user[proto] = user;
}

void *conn_hub_user(const struct conn_hub *hub, enum conn_proto proto)
{
    return hub->user[proto];
}

static void add_stats(struct conn_stats *out, const struct conn_stats *from)
{
#define ADD(field) counter_add_alone(&out->field, counter_read(&from->field))
    gauge_add(&out->n_open, gauge_read(&from->n_open));
    ADD(n_accepted);
    ADD(n_requests);
    ADD(n_bytes_in);
    ADD(n_bytes_out);
    ADD(n_over_max);
    ADD(n_over_source);
    ADD(n_over_fds);
    ADD(n_bad_input);
    ADD(n_cross_protocol);
    ADD(n_input_limit);
    ADD(n_output_limit);
    ADD(n_idle);
    ADD(n_slow_head);
    ADD(n_slow_body);
    ADD(n_stalled);
    ADD(n_no_memory);
#undef ADD
}

/* add_stats() names every field: one gauge and sixteen counters. */
_Static_assert(sizeof(struct conn_stats) == 17 * sizeof(struct counter), "a new counter?");

void conn_hub_stats(struct conn_hub *hub, enum conn_proto proto, struct conn_stats *out)
{
    *out = (struct conn_stats){0};
    add_stats(out, &hub->stats[proto]);
    for (size_t i = 0; i < hub->n_loops; i++) add_stats(out, &hub->loops[i]->stats[proto]);
}

/* ---- The sweep ---------------------------------------------------------------------- */

static bool passed(mono_ns since, mono_ns now, uint32_t limit_ms)
{
    return limit_ms > 0 && now - since > (mono_ns)limit_ms * MS;
}

static bool body_is_slow(const struct conn *conn, mono_ns now)
{
    int64_t ms = (now - conn->body_at) / MS - conn->limits->body_grace_ms;
    uint64_t got = conn->n_bytes_in - conn->body_mark;

    if (ms <= 0 || conn->continue_due) return false;
    return got < (uint64_t)ms * conn->limits->body_rate_min / 1000;
}

static bool output_is_slow(struct conn *conn, mono_ns now)
{
    if (conn->out.len + conn->waiting_len < conn->limits->output_soft) {
        conn->soft_at = 0;
        return false;
    }
    if (conn->soft_at == 0) conn->soft_at = now;
    return passed(conn->soft_at, now, conn->limits->output_soft_ms);
}

static void close_for(struct conn *conn, struct counter *why)
{
    counter_add_alone(why, 1);
    conn_kill(conn);
}

/* Kills or answers a connection that broke a limit of time. */
static void sweep_one(struct conn *conn, mono_ns now)
{
    const struct conn_limits *limits = conn->limits;
    struct conn_stats *stats = conn_stats_of(conn);
    bool http = conn->proto == CONN_HTTP;

    if (conn->lingering) {
        if (passed(conn->eof_at, now, CONN_LINGER_MS)) conn_kill(conn);
    } else if (conn->out.len > 0 && passed(conn->stall_at, now, limits->stall_ms)) {
        close_for(conn, &stats->n_stalled);
    } else if (output_is_slow(conn, now)) {
        close_for(conn, &stats->n_output_limit);
    } else if (conn->eof && passed(conn->eof_at, now, CONN_HALF_CLOSE_MS)) {
        conn_orphan(conn);
    } else if (http && conn->exchange && http_in_head(&conn->http) &&
               passed(conn->head_at, now, limits->head_ms)) {
        conn_http_timeout(conn, &stats->n_slow_head);
    } else if (conn->body_slot && body_is_slow(conn, now)) {
        conn_http_timeout(conn, &stats->n_slow_body);
    } else if (conn->n_slots == 0 && conn->out.len == 0 && !conn->exchange &&
               passed(conn->active_at, now, limits->idle_ms)) {
        close_for(conn, &stats->n_idle);
    }
}

static void sweep(struct timer *timer)
{
    struct conn_loop *cl = container_of(timer, struct conn_loop, sweep);
    mono_ns now = loop_now(cl->loop);
    size_t n = conn_loop_count(cl) / CONN_SWEEP_PARTS + 1;

    while (n-- > 0 && !list_empty(&cl->open)) {
        struct list *at = list_pop(&cl->open);
        list_push(&cl->open, at);
        sweep_one(container_of(at, struct conn, link), now);
    }
    conn_sweep_start(cl);
}

void conn_sweep_start(struct conn_loop *cl)
{
    if (list_empty(&cl->open) || timer_is_set(&cl->sweep)) return;
    timer_set(loop_wheel(cl->loop), &cl->sweep, CONN_SWEEP_MS);
}

/* ---- One loop's share ------------------------------------------------------------------ */

static void at_turn_end(struct loop_hook *hook)
{
    struct conn_loop *cl = container_of(hook, struct conn_loop, flush);

    if (!list_empty(&cl->dirty)) conn_flush_all(cl);
}

static void on_gate(struct loop_gate_watcher *watcher, uint64_t number)
{
    (void)number;
    conn_gate_risen(container_of(watcher, struct conn_loop, gate));
}

static void on_gate_failed(struct loop_gate_watcher *watcher, status st)
{
    conn_gate_broken(container_of(watcher, struct conn_loop, gate), st);
}

static void parse_again(struct task *task)
{
    struct conn_loop *cl = container_of(task, struct conn_loop, again_task);
    struct list now;

    cl->again_posted = false;
    list_init(&now);
    while (!list_empty(&cl->again)) list_push(&now, list_pop(&cl->again));
    while (!list_empty(&now)) {
        conn_parse(container_of(list_pop(&now), struct conn, again_link));
    }
}

status conn_loop_open(struct conn_loop **out, struct conn_hub *hub, struct loop *loop,
                      struct err *err)
{
    struct conn_loop *cl = mem_try_zero(sizeof(*cl));

    if (!cl || hub->n_loops >= ARRAY_LEN(hub->loops)) {
        mem_free(cl);
        return err_set(err, cl ? ST_LIMIT : ST_NO_MEMORY, "no room for another loop");
    }
    cl->hub = hub;
    cl->loop = loop;
    list_init(&cl->open);
    list_init(&cl->dead);
    list_init(&cl->dirty);
    list_init(&cl->gated);
    list_init(&cl->again);
    iobuf_pool_init(&cl->pool, hub->account);
    slab_init(&cl->slots, hub->account, sizeof(struct reply_slot), 64);
    slab_init(&cl->exchanges, hub->account, sizeof(struct http_exchange), 8);
    cl->flush.fn = at_turn_end;
    loop_hook_add(loop, LOOP_FLUSH, &cl->flush);
    cl->gate = (struct loop_gate_watcher){.risen = on_gate, .failed = on_gate_failed};
    loop_gate_add(loop, &cl->gate);
    timer_init(&cl->sweep, sweep);
    cl->again_task.fn = parse_again;
    hub->loops[hub->n_loops++] = cl;
    *out = cl;
    return ST_OK;
}

void conn_loop_close(struct conn_loop *cl)
{
    struct conn_hub *hub = cl->hub;

    cl->draining = true; /* connections still in the mailbox are closed on arrival */
    loop_turn(cl->loop, 0); /* answers that lie in the mailbox still find their slots */
    for (;;) {
        while (!list_empty(&cl->open)) {
            conn_kill(container_of(cl->open.next, struct conn, link));
        }
        while (!list_empty(&cl->dead)) {
            struct conn *conn = container_of(cl->dead.next, struct conn, link);
            slot_free_all(conn);
            conn_free(conn);
        }
        if (conn_loop_count(cl) == 0) break;
        loop_turn(cl->loop, 0);
    }
    loop_turn(cl->loop, 0); /* runs the again task, if it was posted */
    timer_cancel(loop_wheel(cl->loop), &cl->sweep);
    loop_hook_remove(&cl->flush);
    loop_gate_remove(&cl->gate);
    size_t i = 0;
    while (hub->loops[i] != cl) i++;
    hub->loops[i] = hub->loops[--hub->n_loops];
    slab_release(&cl->slots);
    slab_release(&cl->exchanges);
    iobuf_pool_release(&cl->pool);
    mem_free(cl);
}

struct loop *conn_loop_loop(const struct conn_loop *cl)
{
    return cl->loop;
}

struct iobuf_pool *conn_loop_pool(struct conn_loop *cl)
{
    return &cl->pool;
}

size_t conn_loop_count(const struct conn_loop *cl)
{
    return atomic_load_explicit(&cl->n_open, memory_order_relaxed);
}

void conn_each(struct conn_loop *cl, void (*fn)(struct conn *conn, void *ctx), void *ctx)
{
    for (struct list *at = cl->open.next, *next; at != &cl->open; at = next) {
        next = at->next;
        fn(container_of(at, struct conn, link), ctx);
    }
}

struct conn *conn_find(struct conn_loop *cl, uint64_t id)
{
    list_each(at, &cl->open) {
        struct conn *conn = container_of(at, struct conn, link);
        if (conn->id == id) return conn;
    }
    return NULL;
}

static void drain_one(struct conn *conn, void *ctx)
{
    (void)ctx;
    conn_end_input(conn);
}

void conn_loop_drain(struct conn_loop *cl)
{
    cl->draining = true;
    conn_each(cl, drain_one, NULL);
}
