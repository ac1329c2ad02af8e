/* HTTP requests out of a connection's input.
 *
 * The exchange (head and answer) is taken from the slab with the first byte of a
 * request and goes to the slot once the head is complete. While a body is being
 * read the slot is `body_slot` and the connection is read whatever waits: the
 * request was admitted.
 *
 * "100 Continue" may only be sent when every earlier answer is on its way, that is
 * when body_slot is the oldest slot: conn_advance() does it.
 */
#include <stdio.h>

#include "base/panic.h"
#include "net/conn_priv.h"

void conn_http_release(struct conn *conn)
{
    slab_put(&conn->home->exchanges, conn->exchange);
    conn->exchange = NULL;
}

static void no_memory(struct conn *conn)
{
    counter_add_alone(&conn_stats_of(conn)->n_no_memory, 1);
    conn_kill(conn);
}

static const char *date_now(struct conn_loop *cl)
{
    return http_date(&cl->date, clock_wall(cl->hub->clock) / 1000);
}

/* Gives the exchange to a new slot. NULL without memory (connection killed). */
static struct reply_slot *give_slot(struct conn *conn)
{
    struct reply_slot *slot = slot_new(conn);

    if (!slot) {
        no_memory(conn);
        return NULL;
    }
    slot->http = conn->exchange;
    conn->exchange = NULL;
    http_answer_init(&slot->http->answer, &slot->http->req, date_now(conn->home),
                     conn->limits->cors);
    conn->n_requests++;
    counter_add_alone(&conn_stats_of(conn)->n_requests, 1);
    return slot;
}

/* Answers a request that was refused by its form. */
static void refuse(struct conn *conn, int code, const char *reason, bool keep)
{
    struct reply_slot *slot = conn->body_slot;
    char text[128];

    conn->body_slot = NULL;
    conn->continue_due = false;
    if (!slot) slot = give_slot(conn);
    if (!slot) return;
    slot->http->answer.keep_alive = keep;
    if (!keep) {
        conn->linger = true;
        conn_end_input(conn);
    }
    int len = snprintf(text, sizeof(text), "%d %s: %s\n", code, http_reason(code), reason);
    struct http_reply reply = {.status = code, .type = "text/plain; charset=utf-8"};
    http_reply_text(&slot->out, &slot->http->answer, &reply, slice_of(text, (size_t)len));
    reply_slot_finish(slot);
}

void conn_http_timeout(struct conn *conn, struct counter *why)
{
    counter_add_alone(why, 1);
    /* An answer out of turn could be taken for that of an older request. */
    if (conn->first == conn->body_slot && (conn->body_slot || conn->exchange)) {
        refuse(conn, 408, "the request took too long", false);
    } else {
        conn_kill(conn);
    }
}

void conn_http_cut(struct conn *conn)
{
    if (conn->body_slot) refuse(conn, 400, "the body is cut short", false);
}

/* The head is here: what does the route take? */
static void on_head(struct conn *conn)
{
    struct reply_slot *slot = give_slot(conn);

    if (!slot) return;
    struct http_request *req = &slot->http->req;
    bool has_body = req->chunked || req->content_length > 0;
    conn->body_limits = (struct http_limits){.body_len_max = conn->limits->body_max};
    if (conn->handler->http_head) {
        bool keep = slot->http->answer.keep_alive;
        /* Until it is admitted: an answer to a request whose body is not read. */
        if (has_body) slot->http->answer.keep_alive = false;
        if (!conn->handler->http_head(conn, slot, req, &conn->body_limits)) {
            if (conn->dead) return;
            if (has_body || !keep) {
                conn->linger = has_body;
                conn_end_input(conn);
            } else {
                conn_consume(conn, conn->http.head_len);
            }
            return;
        }
        if (conn->dead) return;
        slot->http->answer.keep_alive = keep;
    }
    conn->body_slot = slot;
    conn->body_at = loop_now(conn->home->loop);
    conn->body_mark = conn->n_bytes_in;
    /* The body may be here already: then nobody waits for the word. */
    conn->continue_due = req->expect_continue && has_body &&
                         conn->in->len == conn->http.head_len;
    conn_advance(conn);
}

static void on_request(struct conn *conn)
{
    struct reply_slot *slot = conn->body_slot;
    size_t used = conn->http.used;

    conn->body_slot = NULL;
    conn->continue_due = false;
    if (!slot->http->req.keep_alive) conn_end_input(conn);
    conn->handler->http_request(conn, slot, &slot->http->req);
    if (!conn->dead) conn_consume(conn, used);
}

static bool begin_request(struct conn *conn)
{
    conn->exchange = slab_try(&conn->home->exchanges);
    if (!conn->exchange) {
        no_memory(conn);
        return false;
    }
    http_parser_start(&conn->http, &conn->exchange->req);
    conn->head_at = loop_now(conn->home->loop);
    return true;
}

void conn_parse_http(struct conn *conn)
{
    while (!conn->dead && conn->in && conn->in->len > 0) {
        struct iobuf_block *in = conn->in;
        if (!conn->exchange && !conn->body_slot) {
            if (!conn_may_take(conn)) {
                conn->more_input = !conn->last_request;
                return;
            }
            if (!begin_request(conn)) return;
        }
        enum http_result result = http_parse(&conn->http, in->data + in->start, &in->len,
                                             &conn->body_limits);
        switch (result) {
        case HTTP_MORE: return;
        case HTTP_HEAD: on_head(conn); break;
        case HTTP_REQUEST: on_request(conn); break;
        case HTTP_BAD: {
            size_t used = conn->http.used;
            bool keep = conn->http.keep;
            counter_add_alone(&conn_stats_of(conn)->n_bad_input, 1);
            refuse(conn, conn->http.status, conn->http.reason, keep);
            if (conn->dead || !keep) return;
            conn_consume(conn, used);
            break;
        }
        }
    }
}
