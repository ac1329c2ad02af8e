/* Connections from the inside. Shared by conn.c (life and input), conn_output.c
 * (slots, gate, writing), conn_resp.c and conn_http.c (requests), conn_hub.c (what
 * connections share) and listener.c. */
#ifndef TSINK_NET_CONN_PRIV_H
#define TSINK_NET_CONN_PRIV_H

#include "base/list.h"
#include "base/slab.h"
#include "net/conn.h"
#include "net/io_threads.h"
#include "net/resp_read.h"
#include "net/transport.h"

enum {
    CONN_SOURCES = 4096,       /* a protocol's counters of source addresses, by keyed hash */
    CONN_SOURCE_NONE = -1,
    CONN_READ_MAX = 256 << 10, /* bytes read from one connection in a turn */
    CONN_WRITE_MAX = 4 << 20,  /* bytes written to one connection in a turn */
    CONN_LINGER_MS = 1000,     /* reading on after the last answer, so that it arrives */
    CONN_LINGER_MAX = 4 << 20, /* and at most this many bytes */
    CONN_SWEEP_MS = 100,       /* a tenth of the connections is looked at this often */
    CONN_SWEEP_PARTS = 10,
};

/* An HTTP head and what its answer must know: too big to live in every connection,
 * so taken from the loop's slab from the first byte of a request to its reply. */
struct http_exchange {
    struct http_request req;
    struct http_answer answer;
};

struct reply_slot {
    struct reply_slot *next;         /* the queue of the connection, oldest first */
    struct conn *conn;
    struct iobuf out;
    struct iobuf_block *held;        /* input kept for the handler, or NULL */
    struct http_exchange *http;      /* NULL for RESP */
    uint64_t gate;                   /* when finished: leaves once the gate has passed it */
    bool finished, streaming;
    void (*gone)(struct reply_slot *slot, void *arg);
    void *gone_arg;
    void (*drained)(void *arg);
    void *drained_arg;
};

struct conn {
    struct list link;                /* of the loop: open ones, or the dead */
    struct list dirty_link;          /* waits for the turn's end */
    struct list gate_link;           /* its oldest slot waits for the gate */
    struct list again_link;          /* has input to look at again */
    struct conn_loop *home;
    struct loop_fd lfd;
    struct transport transport;
    const struct conn_handler *handler;
    const struct conn_limits *limits; /* refreshed each time something is read */
    void *user;
    uint64_t id;
    enum conn_proto proto;
    int source;                      /* counter of its address, or CONN_SOURCE_NONE */

    struct iobuf_block *in;          /* bytes not handled yet; NULL when there are none */
    struct resp_parser resp;
    struct http_parser http;
    struct http_exchange *exchange;  /* HTTP: being read, no slot yet */
    struct reply_slot *body_slot;    /* HTTP: whose body is being read */
    struct http_limits body_limits;
    bool continue_due;               /* 100 Continue as soon as it is body_slot's turn */

    struct conn_feed *feed;          /* RESP: where requests come from first */
    struct reply_slot *first, *last;
    size_t n_slots;
    size_t waiting_len;              /* bytes in finished slots that wait */
    struct iobuf out;

    unsigned n_pauses;
    bool trusted;
    bool parsing;                    /* inside the handler: no second parse */
    bool more_input;                 /* the parser was stopped, not out of bytes */
    bool last_request;               /* no further request is taken */
    bool blocked;                    /* the socket took no more: wait until it does */
    bool eof;                        /* the peer sends no more */
    bool linger;                     /* the peer may still be sending: close gently */
    bool lingering, dead, orphaned;  /* orphaned: requests were told that it is gone */

    mono_ns opened_at, active_at, head_at, body_at, soft_at, stall_at, eof_at;
    uint64_t body_mark;              /* n_bytes_in when the body began */
    uint64_t linger_mark;
    uint64_t n_requests, n_bytes_in, n_bytes_out;
    char name[CONN_NAME_MAX], command[CONN_COMMAND_MAX];
    char addr[CONN_ADDR_MAX], laddr[CONN_ADDR_MAX];
};

struct conn_loop {
    struct conn_hub *hub;
    struct loop *loop;
    struct list open, dead, dirty, gated, again;
    _Atomic size_t n_open;
    struct iobuf_pool pool;
    struct slab slots, exchanges;
    struct loop_hook flush;
    struct loop_gate_watcher gate;
    struct timer sweep;
    struct task again_task;
    bool again_posted;
    bool draining;
    struct http_date date;
    struct conn_stats stats[CONN_PROTOS];
};

struct conn_hub {
    struct account *account;
    struct clock *clock;
    size_t fds_max;                  /* connections that the descriptor limit allows */
    _Atomic uint64_t last_id;
    _Atomic(const struct conn_limits *) limits[CONN_PROTOS];
    const struct conn_handler *handler[CONN_PROTOS];
    void *user[CONN_PROTOS];
    VEC(struct conn_limits *) old_limits;  /* connections may still look at these */
    struct conn_stats stats[CONN_PROTOS];  /* what happens at the door; n_open */
    struct conn_loop *loops[IO_THREADS_MAX + 1];
    size_t n_loops;
    _Atomic uint32_t sources[CONN_PROTOS * CONN_SOURCES];
};

/* conn.c: makes a connection of fd on its loop; source counts it. Any thread. */
bool conn_deal(struct conn_loop *cl, int fd, enum conn_proto proto, int source);
void conn_free(struct conn *conn);          /* at the turn's end; all slots are done */
bool conn_may_take(const struct conn *conn);  /* room for one more request? */
void conn_update_want(struct conn *conn);
void conn_parse(struct conn *conn);
void conn_parse_again(struct conn *conn);   /* soon, on its loop */
void conn_consume(struct conn *conn, size_t n); /* n bytes of input are done with */
void conn_end_input(struct conn *conn);     /* the last request was taken */
void conn_orphan(struct conn *conn);        /* tells open slots that the client is gone */
struct conn_stats *conn_stats_of(struct conn *conn);

/* conn_resp.c, conn_http.c: takes requests from the input while it may. */
void conn_parse_resp(struct conn *conn);
void conn_parse_http(struct conn *conn);
void conn_http_timeout(struct conn *conn, struct counter *why); /* 408 if it is its turn */
void conn_http_cut(struct conn *conn);           /* the peer stopped inside a body */
void conn_http_release(struct conn *conn);

/* conn_output.c */
struct reply_slot *slot_new(struct conn *conn); /* NULL without memory */
void slot_free_all(struct conn *conn);          /* finished or not */
void conn_advance(struct conn *conn);           /* finished slots -> out */
void conn_dirty(struct conn *conn);             /* look at it at the turn's end */
void conn_flush_all(struct conn_loop *cl);
void conn_gate_risen(struct conn_loop *cl);
void conn_gate_broken(struct conn_loop *cl, status st);

/* conn_hub.c */
void conn_sweep_start(struct conn_loop *cl);

#endif
