/* Connections: a socket, the bytes read, a parser, and a queue of reply slots.
 *
 *     socket -> input block -> parser -> handler -> slot -> slot -> slot -> socket
 *                                                   the oldest first, always
 *
 * Each request gets a slot, in order. Whoever handles the request writes the reply
 * into the slot's chain and finishes it, in the callback or any time later; slots
 * leave in the order in which they were given out, several in one write at the end
 * of the loop's turn. reply_slot_finish_at() holds a finished slot back until the
 * loop's gate (the WAL's durable position) has passed a number.
 *
 * A slot stays valid until it is finished, also when its client has gone: then it
 * is finished into nothing. reply_slot_on_gone() tells of that, so that work for
 * nobody can be cancelled. A client that merely closed its sending side gets its
 * answers (printf | nc); since that looks the same as a client that died, requests
 * still open CONN_HALF_CLOSE_MS later are told that it is gone.
 *
 * Bounds (reliability.md 5): at most pipeline_max unanswered requests, then the
 * connection is not read; input and output have hard limits; heads, bodies and
 * idle connections have times. A connection that breaks one is closed and counted.
 * While more than output_soft bytes wait, the connection is not read either, but a
 * client that writes its whole pipeline before it reads gets that much room.
 *
 * Threads: a connection belongs to its loop for life; everything here is for that
 * loop's thread unless it says "any thread". A worker fills a chain of its own and
 * posts it to the loop, where reply_slot_take() hands it over.
 *
 * Nothing is allocated for a request in the steady state: slots, HTTP heads and
 * blocks come from pools of the loop.
 */
#ifndef TSINK_NET_CONN_H
#define TSINK_NET_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/account.h"
#include "base/metric.h"
#include "base/slice.h"
#include "base/status.h"
#include "net/http_read.h"
#include "net/http_write.h"
#include "net/iobuf.h"
#include "net/loop.h"

struct conn;
struct conn_hub;
struct conn_loop;
struct reply_slot;

enum conn_proto { CONN_RESP, CONN_HTTP, CONN_PROTOS };

enum {
    CONN_NAME_MAX = 64,
    CONN_ADDR_MAX = 64,
    CONN_COMMAND_MAX = 40,
    CONN_STREAM_LOW = 256 << 10,
    CONN_HALF_CLOSE_MS = 1000, /* a client that sends no more: its requests go on this long */
};

/* Limits of one protocol. conn_limits_default() has reliability.md 5. */
struct conn_limits {
    size_t n_conns_max;        /* of this protocol; 10,000 */
    size_t n_source_max;       /* of one source address; 1,000; 0: none */
    uint32_t keepalive_s;      /* TCP probes after so long a silence, of new ones; 300; 0: none */
    size_t pipeline_max;       /* unanswered requests of a connection; 1,024 */
    size_t input_max;          /* bytes read and not yet handled; 80 MiB; HTTP: head + body */
    size_t bulk_max;           /* RESP: one argument; 64 MiB */
    size_t args_max;           /* RESP: arguments of a request; 1,048,576 */
    size_t body_max;           /* HTTP: body as sent, unless the route says less; 32 MiB */
    size_t output_soft;        /* 64 MiB for output_soft_ms, then closed */
    size_t output_hard;        /* 256 MiB: closed at once */
    size_t output_unauth;      /* 64 KiB before authentication (CVE-2025-21605) */
    uint32_t output_soft_ms;   /* 60,000 */
    uint32_t idle_ms;          /* HTTP 60,000; RESP 0: for ever, as Redis */
    uint32_t head_ms;          /* HTTP: from the first byte of a head to its end; 10,000 */
    uint32_t body_grace_ms;    /* HTTP: after it the body must have come at */
    uint32_t body_rate_min;    /*   this many bytes a second; 10,000 and 1,024 */
    uint32_t stall_ms;         /* output waits and the peer takes nothing; 60,000; 0: never */
    const struct regex *cors;  /* HTTP: see http_answer_init(); outlives the hub */
};

void conn_limits_default(struct conn_limits *limits, enum conn_proto proto);

/* What the room above does with requests. All on the connection's loop. */
struct conn_handler {
    /* A connection begins. Usually makes a session and conn_set_user()s it. False
     * closes the connection without a word. May be NULL. */
    bool (*opened)(struct conn *conn);

    /* RESP: args[0..n) are valid until return, or until the slot is finished after
     * reply_slot_hold_input(). The slot must be finished, now or later. */
    void (*resp_request)(struct conn *conn, struct reply_slot *slot, const struct slice *args,
                         size_t n);

    /* HTTP, when the head is complete: looks at the route and may lower
     * limits->body_len_max, set limits->length_optional, or answer at once: finish
     * the slot and return false; the connection then closes after the answer unless
     * the request has no body. May be NULL. */
    bool (*http_head)(struct conn *conn, struct reply_slot *slot,
                      const struct http_request *req, struct http_limits *limits);

    /* HTTP, with the body. req and its bytes are valid as args above. */
    void (*http_request)(struct conn *conn, struct reply_slot *slot,
                         const struct http_request *req);

    /* The gate failed while this finished slot waited for it: write the error that
     * takes the reply's place (the chain is empty). */
    void (*gate_failed)(struct conn *conn, struct reply_slot *slot, status st);

    /* The last call for this connection: all its slots are finished. */
    void (*closed)(struct conn *conn);
};

/* ---- The hub: what all connections of a server share -------------------------- */

struct conn_hub_opts {
    struct account *account; /* of all network memory; outlives the hub; may be NULL */
    struct clock *clock;     /* wall time of Date and of CLIENT LIST; NULL: the system's */
    size_t reserved_fds;     /* descriptors kept for files; 128 when 0 */
};

CHECKED status conn_hub_open(struct conn_hub **out, const struct conn_hub_opts *opts,
                             struct err *err);
void conn_hub_close(struct conn_hub *hub); /* after all its loops; accepts NULL */

/* Before listeners open: who handles a protocol's requests. */
void conn_hub_set_handler(struct conn_hub *hub, enum conn_proto proto,
                          const struct conn_handler *handler, void *user);

/* Any one thread at a time; connections see new limits from their next turn on. */
CHECKED status conn_hub_set_limits(struct conn_hub *hub, enum conn_proto proto,
                                   const struct conn_limits *limits);
const struct conn_limits *conn_hub_limits(const struct conn_hub *hub, enum conn_proto proto);
void *conn_hub_user(const struct conn_hub *hub, enum conn_proto proto);

/* Counters for /metrics. */
struct conn_stats {
    struct gauge n_open;
    struct counter n_accepted, n_requests, n_bytes_in, n_bytes_out;
    /* Refused at the door: */
    struct counter n_over_max, n_over_source, n_over_fds;
    /* Closed, or answered with an error of the protocol: */
    struct counter n_bad_input, n_cross_protocol, n_input_limit, n_output_limit;
    struct counter n_idle, n_slow_head, n_slow_body, n_stalled, n_no_memory;
};

/* Any thread: the sum over all loops. */
void conn_hub_stats(struct conn_hub *hub, enum conn_proto proto, struct conn_stats *out);

/* ---- One loop's share ----------------------------------------------------------- */

/* Makes the loop's share of the hub. Before the loop runs. */
CHECKED status conn_loop_open(struct conn_loop **out, struct conn_hub *hub, struct loop *loop,
                              struct err *err);

/* Closes every connection and frees the share, when the loop no longer runs. Slots
 * that are not finished yet are abandoned: nobody may touch them again. */
void conn_loop_close(struct conn_loop *cl);

struct loop *conn_loop_loop(const struct conn_loop *cl);
struct iobuf_pool *conn_loop_pool(struct conn_loop *cl);
size_t conn_loop_count(const struct conn_loop *cl); /* any thread */

/* Calls fn for every open connection of the loop; fn may kill connections. */
void conn_each(struct conn_loop *cl, void (*fn)(struct conn *conn, void *ctx), void *ctx);

/* The open connection with this id on this loop, or NULL. Walks. */
struct conn *conn_find(struct conn_loop *cl, uint64_t id);

/* Stops reading new requests on all connections; those that owe nothing close, the
 * others close when they have answered. For an orderly stop. */
void conn_loop_drain(struct conn_loop *cl);

/* Any thread. Takes fd, a connected non-blocking socket, and makes a connection of
 * it on that loop. Used by listeners; tests give socket pairs. False (fd closed)
 * without memory. */
bool conn_adopt(struct conn_loop *cl, int fd, enum conn_proto proto);

/* ---- A connection -------------------------------------------------------------- */

struct conn_loop *conn_home(const struct conn *conn);
struct conn_hub *conn_hub(const struct conn *conn);
enum conn_proto conn_proto(const struct conn *conn);
uint64_t conn_id(const struct conn *conn);

void conn_set_user(struct conn *conn, void *user); /* the session */
void *conn_user(const struct conn *conn);

/* RESP: the unauthenticated limits end. */
void conn_set_trusted(struct conn *conn, bool trusted);

void conn_set_name(struct conn *conn, struct slice name); /* cut to CONN_NAME_MAX - 1 */
void conn_set_command(struct conn *conn, const char *name); /* last one, for CLIENT LIST */

/* No further request is handed out until as many resumes as pauses: for commands
 * that must have an effect before the next one is looked at. */
void conn_pause(struct conn *conn);
void conn_resume(struct conn *conn);

/* RESP requests from elsewhere than the socket: EXEC hands out what was queued. They are
 * taken before any further input, under the same rules, each with a slot of its own; also
 * when the connection takes no further requests or is dead, so that nothing is half done.
 * next() gives words that stay until the slot is finished. When none is left the feed is
 * forgotten. */
struct conn_feed {
    size_t n_left;
    void (*next)(struct conn_feed *feed, const struct slice **args, size_t *n);
};
void conn_set_feed(struct conn *conn, struct conn_feed *feed); /* there is none */

/* Closes at once; what waits is dropped. */
void conn_kill(struct conn *conn);

/* Takes no further requests, answers what it has taken, then closes. */
void conn_close_soon(struct conn *conn);

/* A reply that answers no request (RESP3 push, pub/sub), after the replies finished
 * so far. Takes msg. */
void conn_push(struct conn *conn, struct iobuf *msg);

struct conn_info {
    uint64_t id;
    int fd;
    enum conn_proto proto;
    const char *addr, *laddr;  /* "127.0.0.1:5123", "[::1]:5123" */
    const char *name;          /* "" when none */
    const char *command;       /* "" when none */
    int64_t age_s, idle_s;
    size_t input_len, input_cap;
    size_t n_waiting;          /* requests not answered yet */
    size_t output_len;
    uint64_t n_requests, n_bytes_in, n_bytes_out;
    bool closing;
};
void conn_info(const struct conn *conn, struct conn_info *out);

/* ---- A reply slot -------------------------------------------------------------- */

struct conn *reply_slot_conn(const struct reply_slot *slot);

/* The chain to write into; empty at first, with the loop's pool. */
struct iobuf *reply_slot_out(struct reply_slot *slot);

/* HTTP: what the answer must know of the request; a copy may go to a worker. NULL
 * for RESP. */
const struct http_answer *reply_slot_answer(const struct reply_slot *slot);

/* HTTP: the request, while it is held or being handled. */
const struct http_request *reply_slot_request(const struct reply_slot *slot);

/* Keeps the request's bytes (arguments, head, body) until the slot is finished. The
 * args table of a RESP request is not kept: copy the slices. */
void reply_slot_hold_input(struct reply_slot *slot);

/* Appends a chain made elsewhere. Takes it. */
void reply_slot_take(struct reply_slot *slot, struct iobuf *chain);

/* Sends what has been written so far as soon as it is this slot's turn: for long
 * streams. Returns the bytes that wait in the connection, so a producer can pause;
 * drained(arg) is called once when CONN_STREAM_LOW bytes or less wait again (at once,
 * at the end of the turn, if so little waits now), and not after the client is gone. */
size_t reply_slot_stream(struct reply_slot *slot, void (*drained)(void *arg), void *arg);

/* Called (once, at most) when the client goes away before the slot is finished. The
 * slot must still be finished, then or later. NULL takes it back. */
void reply_slot_on_gone(struct reply_slot *slot, void (*gone)(struct reply_slot *, void *),
                        void *arg);
bool reply_slot_is_gone(const struct reply_slot *slot);

/* The connection closes after this reply and takes no further request. */
void reply_slot_close_after(struct reply_slot *slot);

/* The reply is complete. The slot is gone for the caller. A chain that failed (no
 * memory) closes the connection. */
void reply_slot_finish(struct reply_slot *slot);

/* The same, but it leaves only when the loop's gate has passed `gate`. If the gate
 * fails first, the handler's gate_failed() writes another reply. */
void reply_slot_finish_at(struct reply_slot *slot, uint64_t gate);

#endif
