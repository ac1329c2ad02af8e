/* Reply slots, the gate, and writing.
 *
 *     first -> slot -> slot -> slot <- last          out -> socket
 *       |  finished and gate passed: its chain moves to the end of out
 *
 * Only the oldest slot may move (conn_advance), so replies leave in request order.
 * Writing happens at the turn's end (phase LOOP_FLUSH): all replies that a turn
 * produced for a connection leave in one call.
 *
 * Parked replies: when the oldest slot is finished but its gate has not passed, the
 * connection joins the loop's `gated` list; when the gate rises, the list is walked.
 * Later slots wait behind it in any case.
 *
 * A dead connection has no order: finished slots are dropped where they stand.
 */
#include <string.h>
#include <sys/socket.h>

#include "base/panic.h"
#include "net/conn_priv.h"

enum { PARTS_MAX = 64 }; /* of one write; IOV_MAX is 1024, a guess at what pays */

/* ---- Slots ------------------------------------------------------------------------ */

struct reply_slot *slot_new(struct conn *conn)
{
    struct conn_loop *cl = conn->home;
    struct reply_slot *slot = slab_try(&cl->slots);

    if (!slot) return NULL;
    *slot = (struct reply_slot){.conn = conn};
    iobuf_init(&slot->out, &cl->pool, cl->hub->account, 0);
    if (conn->last) conn->last->next = slot;
    else conn->first = slot;
    conn->last = slot;
    conn->n_slots++;
    return slot;
}

/* The slot is out of the queue already. */
static void free_slot(struct conn_loop *cl, struct reply_slot *slot)
{
    iobuf_release(&slot->out, &cl->pool);
    iobuf_block_unref(slot->held, &cl->pool);
    slab_put(&cl->exchanges, slot->http);
    slab_put(&cl->slots, slot);
}

void slot_free_all(struct conn *conn)
{
    while (conn->first) {
        struct reply_slot *slot = conn->first;
        conn->first = slot->next;
        free_slot(conn->home, slot);
    }
    conn->last = NULL;
    conn->n_slots = 0;
}

struct conn *reply_slot_conn(const struct reply_slot *slot)
{
    return slot->conn;
}

struct iobuf *reply_slot_out(struct reply_slot *slot)
{
    return &slot->out;
}

const struct http_answer *reply_slot_answer(const struct reply_slot *slot)
{
    return slot->http ? &slot->http->answer : NULL;
}

const struct http_request *reply_slot_request(const struct reply_slot *slot)
{
    return slot->http ? &slot->http->req : NULL;
}

void reply_slot_hold_input(struct reply_slot *slot)
{
    if (slot->held || !slot->conn->in) return;
    slot->held = slot->conn->in;
    iobuf_block_ref(slot->held);
}

void reply_slot_take(struct reply_slot *slot, struct iobuf *chain)
{
    iobuf_move(&slot->out, chain, &slot->conn->home->pool);
}

void reply_slot_on_gone(struct reply_slot *slot, void (*gone)(struct reply_slot *, void *),
                        void *arg)
{
    slot->gone = gone;
    slot->gone_arg = arg;
}

bool reply_slot_is_gone(const struct reply_slot *slot)
{
    return slot->conn->orphaned;
}

void reply_slot_close_after(struct reply_slot *slot)
{
    if (!slot->conn->dead) conn_end_input(slot->conn);
}

size_t reply_slot_stream(struct reply_slot *slot, void (*drained)(void *arg), void *arg)
{
    struct conn *conn = slot->conn;

    slot->streaming = true;
    slot->drained = conn->orphaned ? NULL : drained;
    slot->drained_arg = arg;
    conn_advance(conn);
    conn_dirty(conn);
    return conn->out.len + slot->out.len;
}

/* ---- Finishing ---------------------------------------------------------------------- */

static bool gate_open(const struct reply_slot *slot)
{
    return slot->gate == 0 || slot->gate <= loop_gate(slot->conn->home->loop);
}

/* The gate will not pass this slot's number any more: another reply takes its place. */
static void break_slot(struct reply_slot *slot, status st)
{
    struct conn *conn = slot->conn;

    conn->waiting_len -= slot->out.len;
    iobuf_truncate(&slot->out, 0, NULL);
    slot->gate = 0;
    conn->handler->gate_failed(conn, slot, st);
    conn->waiting_len += slot->out.len;
}

static void check_output(struct conn *conn)
{
    struct conn_stats *stats = conn_stats_of(conn);
    const struct conn_limits *limits = conn->limits;
    size_t len = conn->out.len + conn->waiting_len;

    if (conn->out.failed) counter_add_alone(&stats->n_no_memory, 1);
    else if (len > limits->output_hard || (!conn->trusted && len > limits->output_unauth &&
                                           conn->proto == CONN_RESP)) {
        counter_add_alone(&stats->n_output_limit, 1);
    } else {
        return;
    }
    conn_kill(conn);
}

void reply_slot_finish_at(struct reply_slot *slot, uint64_t gate)
{
    struct conn *conn = slot->conn;
    struct loop *loop = conn->home->loop;

    DASSERT(loop_is_mine(loop));
    ASSERT(!slot->finished);
    slot->finished = true;
    slot->gone = NULL;
    slot->drained = NULL;
    slot->gate = gate;
    iobuf_block_unref(slot->held, &conn->home->pool);
    slot->held = NULL;
    conn->waiting_len += slot->out.len;
    if (conn->dead) {
        conn_advance(conn);
        return;
    }
    if (!gate_open(slot) && loop_gate_failed(loop) != ST_OK) {
        break_slot(slot, loop_gate_failed(loop));
    }
    if (slot == conn->first) conn_advance(conn);
    check_output(conn);
}

void reply_slot_finish(struct reply_slot *slot)
{
    reply_slot_finish_at(slot, 0);
}

/* ---- The queue ------------------------------------------------------------------------ */

static void drop_finished(struct conn *conn)
{
    struct reply_slot **at = &conn->first;

    conn->last = NULL;
    while (*at) {
        struct reply_slot *slot = *at;
        if (slot->finished) {
            *at = slot->next;
            conn->n_slots--;
            free_slot(conn->home, slot);
        } else {
            conn->last = slot;
            at = &slot->next;
        }
    }
    conn->waiting_len = 0;
    if (conn->n_slots == 0) conn_dirty(conn);
}

static void wait_for_gate(struct conn *conn)
{
    struct conn_loop *cl = conn->home;

    if (conn->gate_link.next != &conn->gate_link) return;
    if (list_empty(&cl->gated)) loop_gate_waiting(cl->loop, true);
    list_push(&cl->gated, &conn->gate_link);
}

static void send_continue(struct conn *conn)
{
    iobuf_str(&conn->out, "HTTP/1.1 100 Continue\r\n\r\n");
    conn->continue_due = false;
    conn_dirty(conn);
}

void conn_advance(struct conn *conn)
{
    struct conn_loop *cl = conn->home;

    if (conn->dead) {
        drop_finished(conn);
        return;
    }
    while (conn->first) {
        struct reply_slot *slot = conn->first;
        if (!slot->finished) {
            if (slot == conn->body_slot && conn->continue_due) send_continue(conn);
            if (slot->streaming && slot->out.len > 0) {
                iobuf_move(&conn->out, &slot->out, &cl->pool);
            }
            break;
        }
        if (!gate_open(slot)) {
            wait_for_gate(conn);
            break;
        }
        conn->waiting_len -= slot->out.len;
        iobuf_move(&conn->out, &slot->out, &cl->pool);
        conn->first = slot->next;
        if (!conn->first) conn->last = NULL;
        conn->n_slots--;
        free_slot(cl, slot);
        conn_dirty(conn);
        /* Room for another request, in a queue that was full. */
        if (conn->more_input && !conn->parsing) conn_parse_again(conn);
    }
}

/* ---- The gate ---------------------------------------------------------------------------- */

void conn_gate_risen(struct conn_loop *cl)
{
    struct list woken;

    list_init(&woken);
    while (!list_empty(&cl->gated)) list_push(&woken, list_pop(&cl->gated));
    while (!list_empty(&woken)) {
        struct conn *conn = container_of(list_pop(&woken), struct conn, gate_link);
        conn_advance(conn); /* joins the list again if its next slot waits */
        check_output(conn);
    }
    loop_gate_waiting(cl->loop, !list_empty(&cl->gated));
}

void conn_gate_broken(struct conn_loop *cl, status st)
{
    for (struct list *at = cl->open.next, *next; at != &cl->open; at = next) {
        struct conn *conn = container_of(at, struct conn, link);
        next = at->next;
        for (struct reply_slot *slot = conn->first; slot; slot = slot->next) {
            if (slot->finished && !gate_open(slot)) break_slot(slot, st);
        }
        conn_advance(conn);
    }
    conn_gate_risen(cl);
}

/* ---- Writing ------------------------------------------------------------------------------ */

void conn_dirty(struct conn *conn)
{
    if (conn->dirty_link.next != &conn->dirty_link) return;
    list_push(&conn->home->dirty, &conn->dirty_link);
}

static void write_out(struct conn *conn)
{
    struct conn_loop *cl = conn->home;
    size_t total = 0;

    while (conn->out.len > 0 && total < CONN_WRITE_MAX) {
        struct iovec parts[PARTS_MAX];
        size_t n = 0, len = 0;
        for (struct iobuf_block *block = conn->out.first; block && n < PARTS_MAX;
             block = block->next) {
            if (block->len == 0) continue;
            parts[n++] = (struct iovec){block->data + block->start, block->len};
            len += block->len;
        }
        ptrdiff_t sent = conn->transport.ops->write(&conn->transport, parts, n);
        if (sent == TRANSPORT_AGAIN) break;
        if (sent < 0) {
            conn_kill(conn);
            return;
        }
        iobuf_consume(&conn->out, (size_t)sent, &cl->pool);
        total += (size_t)sent;
        if ((size_t)sent < len) break;
    }
    conn->blocked = conn->out.len > 0;
    if (total > 0) {
        conn->stall_at = loop_now(cl->loop);
        conn->n_bytes_out += total;
        counter_add_alone(&conn_stats_of(conn)->n_bytes_out, total);
    }
}

static void tell_drained(struct conn *conn)
{
    struct reply_slot *slot = conn->first;

    if (!slot || !slot->drained || conn->out.len > CONN_STREAM_LOW) return;
    void (*drained)(void *) = slot->drained;
    slot->drained = NULL;
    drained(slot->drained_arg);
}

/* All is answered and written: close, gently when more may be on its way in. */
static void close_or_linger(struct conn *conn)
{
    if (!conn->linger || conn->eof) {
        conn_kill(conn);
        return;
    }
    if (conn->lingering) return;
    conn->lingering = true;
    conn->linger_mark = conn->n_bytes_in;
    conn->eof_at = loop_now(conn->home->loop);
    if (conn->in) conn_consume(conn, conn->in->len);
    if (shutdown(conn->transport.fd, SHUT_WR) < 0) conn_kill(conn); /* reset already */
}

static void flush_one(struct conn *conn)
{
    if (conn->dead) {
        if (conn->n_slots == 0 && !conn->feed) conn_free(conn);
        return;
    }
    if (!conn->blocked) conn->stall_at = loop_now(conn->home->loop);
    write_out(conn);
    if (conn->dead) return;
    if (conn->out.len == 0 && conn->n_slots == 0 && conn->last_request && !conn->feed) {
        close_or_linger(conn);
    } else {
        tell_drained(conn);
        if (conn->dead) return;
    }
    if (conn->more_input && conn_may_take(conn)) conn_parse_again(conn);
    conn_update_want(conn);
}

void conn_flush_all(struct conn_loop *cl)
{
    struct list now;

    /* What becomes dirty meanwhile (a kill, a drained producer) is done too, but a
     * connection that stays dirty cannot hold the turn: two rounds. */
    for (int round = 0; round < 2; round++) {
        list_init(&now);
        while (!list_empty(&cl->dirty)) list_push(&now, list_pop(&cl->dirty));
        while (!list_empty(&now)) {
            flush_one(container_of(list_pop(&now), struct conn, dirty_link));
        }
    }
    if (!list_empty(&cl->dirty) && !cl->again_posted) {
        cl->again_posted = true;
        loop_post(cl->loop, &cl->again_task);
    }
}
