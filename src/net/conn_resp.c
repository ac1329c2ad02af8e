/* RESP requests out of a connection's input. */
#include "base/log.h"
#include "net/conn_priv.h"
#include "net/resp_write.h"

static void refuse(struct conn *conn, enum resp_result result)
{
    struct conn_stats *stats = conn_stats_of(conn);
    struct reply_slot *slot = result == RESP_NO_MEMORY ? NULL : slot_new(conn);

    if (!slot) {
        counter_add_alone(&stats->n_no_memory, 1);
        conn_kill(conn);
        return;
    }
    counter_add_alone(&stats->n_bad_input, 1);
    if (result == RESP_CROSS) {
        counter_add_alone(&stats->n_cross_protocol, 1);
        log_warn("net", "HTTP on the RESP port: a cross-protocol attack or a wrong port",
                 "addr=%s", conn->addr);
    }
    struct resp_writer w = {.out = &slot->out, .version = 2};
    resp_errorf(&w, "ERR %s", conn->resp.error);
    conn->linger = true;
    conn_end_input(conn);
    reply_slot_finish(slot);
}

/* Requests from the feed. False: not now. */
static bool take_fed(struct conn *conn)
{
    const struct slice *args;
    size_t n;

    while (conn->feed && conn->feed->n_left > 0) {
        struct reply_slot *slot = conn_may_take(conn) ? slot_new(conn) : NULL;
        if (!slot) {
            conn->more_input = true;
            if (conn_may_take(conn)) conn_parse_again(conn); /* no memory just now */
            return false;
        }
        conn->feed->n_left--;
        conn->feed->next(conn->feed, &args, &n);
        conn->handler->resp_request(conn, slot, args, n);
    }
    if (conn->feed) conn_dirty(conn); /* it may close now */
    conn->feed = NULL;
    return !conn->dead;
}

void conn_parse_resp(struct conn *conn)
{
    struct resp_parser *parser = &conn->resp;

    if (!take_fed(conn)) return;
    while (conn->in && conn->in->len > 0) {
        if (!conn_may_take(conn)) {
            conn->more_input = !conn->last_request;
            return;
        }
        struct resp_limits limits = {.n_args_max = conn->limits->args_max,
                                     .bulk_len_max = conn->limits->bulk_max,
                                     .unauthenticated = !conn->trusted};
        enum resp_result result = resp_parse(parser, conn->in->data + conn->in->start,
                                             conn->in->len, &limits);
        if (result == RESP_MORE) return;
        if (result != RESP_REQUEST && result != RESP_NOTHING) {
            refuse(conn, result);
            return;
        }
        size_t used = parser->used;
        if (result == RESP_REQUEST) {
            struct reply_slot *slot = slot_new(conn);
            if (!slot) {
                refuse(conn, RESP_NO_MEMORY);
                return;
            }
            conn->n_requests++;
            counter_add_alone(&conn_stats_of(conn)->n_requests, 1);
            conn->handler->resp_request(conn, slot, parser->args, parser->n_args);
            if (conn->dead) return;
        }
        conn_consume(conn, used);
        if (conn->feed) {
            conn->more_input = true;
            conn_parse_again(conn);
            return;
        }
    }
}
