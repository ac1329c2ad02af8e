/* A connection's life and its input.
 *
 *            adopt            last request, eof          all answered
 *    +-----+       +------+  or protocol error +-------+            +-----------+
 *    | fd  |------>| OPEN |------------------->| LAST  |----------->| LINGERING |
 *    +-----+       +------+                    +-------+            +-----------+
 *                     |  error, kill, limit       |     \ nothing to come  | eof, 1 s
 *                     v                           v      v                 v
 *                   DEAD: descriptor closed, waits until its slots are finished -> freed
 *
 * Reading: one read a turn into the input block; then the parser takes requests
 * while it may (conn_may_take). The block is given back when it is empty, so an idle
 * connection holds no buffer. A handler may hold the block of a request: bytes that
 * were handled are never written again, because reading appends behind them; a block
 * that somebody holds is not compacted or grown in place but left to its holders,
 * and the rest is copied to a new one.
 *
 * Freeing happens only at the turn's end (conn_flush_all), so a callback may kill
 * the connection it was called for.
 */
#include "net/conn.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/panic.h"
#include "net/conn_priv.h"

enum { READ_ROOM_MIN = 2048 }; /* less room than this is not worth a read: a guess */

struct conn_stats *conn_stats_of(struct conn *conn)
{
    return &conn->home->stats[conn->proto];
}

/* ---- Birth ----------------------------------------------------------------------- */

static void address_text(char dst[CONN_ADDR_MAX], int fd,
                         int (*get)(int, struct sockaddr *, socklen_t *))
{
    struct sockaddr_storage addr;
    socklen_t len = sizeof(addr);
    char host[INET6_ADDRSTRLEN] = "?";

    snprintf(dst, CONN_ADDR_MAX, "?:0");
    if (get(fd, (struct sockaddr *)&addr, &len) < 0) return;
    if (addr.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)&addr;
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
        snprintf(dst, CONN_ADDR_MAX, "%s:%u", host, ntohs(in->sin_port));
    } else if (addr.ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)&addr;
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
        snprintf(dst, CONN_ADDR_MAX, "[%s]:%u", host, ntohs(in6->sin6_port));
    } else if (addr.ss_family == AF_UNIX) {
        snprintf(dst, CONN_ADDR_MAX, "unix:0");
    }
}

static void on_ready(struct loop_fd *lfd, unsigned events);

static struct conn *make_conn(struct conn_loop *cl, int fd, enum conn_proto proto, int source)
{
    struct conn *conn = mem_try_zero(sizeof(*conn));
    struct conn_hub *hub = cl->hub;

    if (!conn) return NULL;
    conn->home = cl;
    conn->proto = proto;
    conn->source = source;
    conn->handler = hub->handler[proto];
    conn->limits = conn_hub_limits(hub, proto);
    conn->id = atomic_fetch_add_explicit(&hub->last_id, 1, memory_order_relaxed) + 1;
    conn->lfd = (struct loop_fd){.fd = fd, .want = LOOP_READ, .ready = on_ready};
    transport_plain(&conn->transport, fd);
    conn->opened_at = conn->active_at = conn->stall_at = loop_now(cl->loop);
    address_text(conn->addr, fd, getpeername);
    address_text(conn->laddr, fd, getsockname);
    resp_parser_init(&conn->resp);
    iobuf_init(&conn->out, &cl->pool, hub->account, 0);
    list_init(&conn->dirty_link);
    list_init(&conn->gate_link);
    list_init(&conn->again_link);
    list_init(&conn->link);
    return conn;
}

static void count_out(struct conn_loop *cl, enum conn_proto proto, int source)
{
    struct conn_hub *hub = cl->hub;

    gauge_add(&hub->stats[proto].n_open, -1);
    atomic_fetch_sub_explicit(&cl->n_open, 1, memory_order_relaxed);
    if (source != CONN_SOURCE_NONE) {
        atomic_fetch_sub_explicit(&hub->sources[source], 1, memory_order_relaxed);
    }
}

struct deal {
    struct task task;
    struct conn_loop *cl;
    int fd;
    enum conn_proto proto;
    int source;
};

static void begin(struct task *task)
{
    struct deal *deal = container_of(task, struct deal, task);
    struct conn_loop *cl = deal->cl;
    struct conn *conn = NULL;

    if (!cl->draining) conn = make_conn(cl, deal->fd, deal->proto, deal->source);
    if (!conn || loop_watch(cl->loop, &conn->lfd, NULL) != ST_OK) {
        if (!cl->draining) counter_add_alone(&cl->stats[deal->proto].n_no_memory, 1);
        close(deal->fd);
        count_out(cl, deal->proto, deal->source);
        mem_free(conn);
        mem_free(deal);
        return;
    }
    mem_free(deal);
    list_push(&cl->open, &conn->link);
    conn_sweep_start(cl);
    if (conn->handler->opened && !conn->handler->opened(conn)) conn_kill(conn);
}

bool conn_deal(struct conn_loop *cl, int fd, enum conn_proto proto, int source)
{
    struct deal *deal = mem_try(sizeof(*deal));

    gauge_add(&cl->hub->stats[proto].n_open, 1);
    atomic_fetch_add_explicit(&cl->n_open, 1, memory_order_relaxed);
    if (!deal) {
        close(fd);
        count_out(cl, proto, source);
        return false;
    }
    *deal = (struct deal){
        .task = {.fn = begin}, .cl = cl, .fd = fd, .proto = proto, .source = source};
    counter_add(&cl->hub->stats[proto].n_accepted, 1);
    loop_post(cl->loop, &deal->task);
    return true;
}

bool conn_adopt(struct conn_loop *cl, int fd, enum conn_proto proto)
{
    return conn_deal(cl, fd, proto, CONN_SOURCE_NONE);
}

/* ---- Death ----------------------------------------------------------------------- */

/* The next open slot that wants to hear of it. From the start each time: what a
 * callback finishes leaves the queue. */
static struct reply_slot *find_listening(const struct conn *conn)
{
    struct reply_slot *slot = conn->first;

    while (slot && (slot->finished || !slot->gone)) slot = slot->next;
    return slot;
}

void conn_orphan(struct conn *conn)
{
    struct reply_slot *slot;

    if (conn->orphaned) return;
    conn->orphaned = true;
    for (slot = conn->first; slot; slot = slot->next) slot->drained = NULL;
    while ((slot = find_listening(conn)) != NULL) {
        void (*gone)(struct reply_slot *, void *) = slot->gone;
        slot->gone = NULL;
        gone(slot, slot->gone_arg);
    }
}

void conn_kill(struct conn *conn)
{
    struct conn_loop *cl = conn->home;

    if (conn->dead) return;
    conn->dead = true;
    int fd = conn->transport.fd;
    loop_unwatch(cl->loop, &conn->lfd);
    conn->transport.ops->close(&conn->transport);
    close(fd);
    count_out(cl, conn->proto, conn->source);
    list_remove(&conn->link);
    list_push(&cl->dead, &conn->link);
    list_remove(&conn->gate_link);
    list_remove(&conn->again_link);
    iobuf_release(&conn->out, NULL);
    conn_dirty(conn);
    if (conn->body_slot) conn->body_slot->finished = true; /* the handler never had it */
    conn->body_slot = NULL;
    conn_orphan(conn);
    conn_advance(conn);
}

void conn_free(struct conn *conn)
{
    ASSERT(conn->dead && conn->n_slots == 0);
    list_remove(&conn->again_link);
    if (conn->handler->closed) conn->handler->closed(conn);
    list_remove(&conn->link);
    list_remove(&conn->dirty_link);
    conn_http_release(conn);
    resp_parser_release(&conn->resp);
    iobuf_block_unref(conn->in, &conn->home->pool);
    iobuf_release(&conn->out, NULL);
    mem_free(conn);
}

void conn_end_input(struct conn *conn)
{
    conn->last_request = true;
    conn->more_input = false;
    conn_dirty(conn);
}

void conn_close_soon(struct conn *conn)
{
    if (!conn->dead) conn_end_input(conn);
}

/* ---- Input ------------------------------------------------------------------------ */

bool conn_may_take(const struct conn *conn)
{
    if (conn->n_pauses > 0) return false;
    if (conn->dead) return conn->feed != NULL;
    return (conn->feed || !conn->last_request) &&
           conn->n_slots < conn->limits->pipeline_max &&
           conn->out.len + conn->waiting_len < conn->limits->output_soft;
}

void conn_update_want(struct conn *conn)
{
    unsigned want = 0;

    if (conn->dead) return;
    bool reads = conn->lingering || conn->body_slot || (!conn->feed && conn_may_take(conn));
    if (reads && !conn->eof) want |= LOOP_READ;
    if (conn->blocked) want |= LOOP_WRITE;
    loop_want(conn->home->loop, &conn->lfd, want);
}

void conn_consume(struct conn *conn, size_t n)
{
    struct iobuf_block *in = conn->in;

    in->start += n;
    in->len -= n;
    if (in->len > 0) return;
    iobuf_block_unref(in, &conn->home->pool);
    conn->in = NULL;
}

/* A block of at least cap bytes with the unhandled input at its start. */
static bool replace_input(struct conn *conn, size_t cap)
{
    struct iobuf_block *old = conn->in;
    struct iobuf_pool *pool = &conn->home->pool;
    struct iobuf_block *in = iobuf_block_new(pool, conn->home->hub->account, cap);

    if (!in) return false;
    if (old) {
        memcpy(in->data, old->data + old->start, old->len);
        in->len = old->len;
        iobuf_block_unref(old, pool);
    }
    conn->in = in;
    return true;
}

/* How much the request in hand will need if all of it comes; 0: not known. */
static uint64_t announced(const struct conn *conn)
{
    return conn->proto == CONN_RESP ? resp_wants(&conn->resp) : http_wants(&conn->http);
}

/* Room to read into. Buffers grow with what came, not with what was announced: at
 * most to twice the bytes received. False: no memory. */
static bool make_room(struct conn *conn)
{
    struct iobuf_block *in = conn->in;

    if (!in) return replace_input(conn, IOBUF_LARGE - sizeof(*in));
    if (in->cap - in->start - in->len >= READ_ROOM_MIN) return true;
    bool mine = atomic_load_explicit(&in->refs, memory_order_acquire) == 1;
    if (mine && in->start > 0 && in->cap - in->len >= in->cap / 2) {
        memmove(in->data, in->data + in->start, in->len);
        in->start = 0;
        return true;
    }
    uint64_t whole = announced(conn);
    size_t cap = in->len * 2;
    if (whole > in->len && whole < cap) cap = (size_t)whole;
    if (cap < in->len + READ_ROOM_MIN) cap = in->len + READ_ROOM_MIN;
    if (cap < IOBUF_LARGE - sizeof(*in)) cap = IOBUF_LARGE - sizeof(*in);
    return replace_input(conn, cap);
}

static void saw_eof(struct conn *conn)
{
    conn->eof = true;
    conn->eof_at = loop_now(conn->home->loop);
    if (!conn->more_input) {
        conn_http_cut(conn);
        conn_end_input(conn);
    }
    conn_dirty(conn);
}

/* The answer is on its way; what still comes is thrown away, so that the kernel does
 * not reset the connection before the answer was read. */
static void read_away(struct conn *conn)
{
    char nowhere[16 << 10];
    ptrdiff_t n = conn->transport.ops->read(&conn->transport, nowhere, sizeof(nowhere));

    if (n == TRANSPORT_AGAIN) return;
    if (n > 0) conn->n_bytes_in += (uint64_t)n;
    if (n <= 0 || conn->n_bytes_in - conn->linger_mark > CONN_LINGER_MAX) conn_kill(conn);
}

static void read_input(struct conn *conn)
{
    struct conn_stats *stats = conn_stats_of(conn);

    if (!make_room(conn)) {
        counter_add_alone(&stats->n_no_memory, 1);
        conn_kill(conn);
        return;
    }
    struct iobuf_block *in = conn->in;
    size_t room = in->cap - in->start - in->len;
    if (room > CONN_READ_MAX) room = CONN_READ_MAX;
    ptrdiff_t n = conn->transport.ops->read(&conn->transport,
                                            in->data + in->start + in->len, room);
    if (n > 0) {
        in->len += (size_t)n;
        conn->n_bytes_in += (uint64_t)n;
        conn->active_at = loop_now(conn->home->loop);
        counter_add_alone(&stats->n_bytes_in, (uint64_t)n);
        conn_parse(conn);
        return;
    }
    if (in->len == 0) conn_consume(conn, 0);
    if (n == TRANSPORT_GONE) conn_kill(conn);
    else if (n == 0) saw_eof(conn);
}

void conn_parse(struct conn *conn)
{
    if (conn->parsing || (conn->dead && !conn->feed)) return;
    conn->limits = conn_hub_limits(conn->home->hub, conn->proto);
    conn->parsing = true;
    conn->more_input = false;
    if (conn->proto == CONN_RESP) conn_parse_resp(conn);
    else conn_parse_http(conn);
    conn->parsing = false;
    if (conn->dead) return;
    if (conn->in && conn->in->len > conn->limits->input_max && !conn->more_input) {
        counter_add_alone(&conn_stats_of(conn)->n_input_limit, 1);
        conn_kill(conn);
        return;
    }
    if (conn->eof && !conn->more_input) {
        conn_http_cut(conn);
        conn_end_input(conn);
    }
    conn_update_want(conn);
}

void conn_parse_again(struct conn *conn)
{
    struct conn_loop *cl = conn->home;

    if (conn->dead && !conn->feed) return;
    if (conn->again_link.next != &conn->again_link) return;
    list_push(&cl->again, &conn->again_link);
    if (cl->again_posted) return;
    cl->again_posted = true;
    loop_post(cl->loop, &cl->again_task);
}

static void on_ready(struct loop_fd *lfd, unsigned events)
{
    struct conn *conn = container_of(lfd, struct conn, lfd);

    if (events & LOOP_WRITE) conn_dirty(conn);
    if (conn->lingering) {
        read_away(conn);
    } else if ((events & LOOP_READ) && (conn->lfd.want & LOOP_READ)) {
        read_input(conn);
    } else if (events & LOOP_ERROR) {
        conn_kill(conn);
    }
}

/* ---- What others may know and say ---------------------------------------------------- */

struct conn_loop *conn_home(const struct conn *conn)
{
    return conn->home;
}

struct conn_hub *conn_hub(const struct conn *conn)
{
    return conn->home->hub;
}

enum conn_proto conn_proto(const struct conn *conn)
{
    return conn->proto;
}

uint64_t conn_id(const struct conn *conn)
{
    return conn->id;
}

void conn_set_user(struct conn *conn, void *user)
{
    conn->user = user;
}

void *conn_user(const struct conn *conn)
{
    return conn->user;
}

void conn_set_trusted(struct conn *conn, bool trusted)
{
    conn->trusted = trusted;
}

void conn_set_name(struct conn *conn, struct slice name)
{
    size_t len = name.len < CONN_NAME_MAX ? name.len : CONN_NAME_MAX - 1;

    if (len) memcpy(conn->name, name.ptr, len);
    conn->name[len] = '\0';
}

void conn_set_command(struct conn *conn, const char *name)
{
    size_t len = strnlen(name, CONN_COMMAND_MAX - 1);

    memcpy(conn->command, name, len);
    conn->command[len] = '\0';
}

void conn_pause(struct conn *conn)
{
    conn->n_pauses++;
    if (!conn->parsing) conn_update_want(conn);
}

void conn_resume(struct conn *conn)
{
    ASSERT(conn->n_pauses > 0);
    if (--conn->n_pauses > 0 || (conn->dead && !conn->feed)) return;
    if (conn->more_input || conn->feed) conn_parse_again(conn);
    else if (!conn->parsing) conn_update_want(conn);
}

void conn_set_feed(struct conn *conn, struct conn_feed *feed)
{
    ASSERT(!conn->feed && conn->proto == CONN_RESP);
    conn->feed = feed;
    if (!conn->parsing) conn_parse_again(conn);
}

void conn_push(struct conn *conn, struct iobuf *msg)
{
    struct reply_slot *slot = conn->dead ? NULL : slot_new(conn);

    if (!slot) {
        iobuf_release(msg, NULL);
        if (!conn->dead) conn_kill(conn);
        return;
    }
    reply_slot_take(slot, msg);
    reply_slot_finish(slot);
}

void conn_info(const struct conn *conn, struct conn_info *out)
{
    mono_ns now = loop_now(conn->home->loop);

    *out = (struct conn_info){
        .id = conn->id,
        .fd = conn->transport.fd,
        .proto = conn->proto,
        .addr = conn->addr,
        .laddr = conn->laddr,
        .name = conn->name,
        .command = conn->command,
        .age_s = (now - conn->opened_at) / 1000000000,
        .idle_s = (now - conn->active_at) / 1000000000,
        .input_len = conn->in ? conn->in->len : 0,
        .input_cap = conn->in ? conn->in->cap : 0,
        .n_waiting = conn->n_slots,
        .output_len = conn->out.len + conn->waiting_len,
        .n_requests = conn->n_requests,
        .n_bytes_in = conn->n_bytes_in,
        .n_bytes_out = conn->n_bytes_out,
        .closing = conn->dead || conn->last_request,
    };
}
