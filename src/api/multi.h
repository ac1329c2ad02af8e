/* MULTI: what a session has queued and what it watches.
 *
 * Made at the first MULTI or WATCH of a session. The queue is a copy of the words in an
 * arena of its own, bounded; EXEC hands it to the connection as a feed (net/conn.h), so the
 * commands run and are answered as a pipeline is, behind the header of EXEC's array. The
 * connection's loop, but for what says owner.
 */
#ifndef TSINK_API_MULTI_H
#define TSINK_API_MULTI_H

#include "api/args.h"
#include "api/txn.h"
#include "base/vec.h"
#include "model/batch.h"

enum {
    MULTI_COMMANDS_MAX = 1 << 20,  /* in a queue; as many as a request has words */
    MULTI_BYTES_MAX = 64 << 20,    /* of their words */
    MULTI_WATCHES_MAX = 65536,     /* keys that a session watches: a guess */
};

struct watch {
    char *key;                 /* its own memory */
    size_t key_len;
    series_id id;              /* 0: there was none */
    uint64_t mark;             /* db_mark() */
    struct series_attrs attrs; /* as they were */
    bool has_attrs;
};

struct multi {
    struct session *session;
    bool open;                 /* between MULTI and EXEC */
    bool dirty;                /* a command could not be queued */
    struct arena arena;        /* of the queue */
    size_t n_bytes;
    VEC(struct slices) queue;
    VEC(struct watch) watches;
    bool broken;               /* check: a watched key has changed */

    struct call *exec;         /* waits for the ticket */
    struct txn_ticket ticket;
    struct conn_feed feed;
    size_t n_taken, n_ended;   /* of the queue, by the feed and by call ends */
    bool running;              /* the feed's commands run; pushes are held back */
    VEC(struct iobuf) pushes;
};

/* The session's, made when it has none; NULL without memory. */
struct multi *multi_of(struct session *session);
void multi_free(struct multi *multi); /* accepts NULL */

/* Queues a call's words. ST_LIMIT, ST_NO_MEMORY: the transaction is dirty. */
CHECKED status multi_queue(struct multi *multi, const struct call *call, struct err *err);

/* DISCARD, RESET: nothing is queued or watched any more. */
void multi_discard(struct multi *multi);

/* EXEC of a call that is call_later_alone(): ends it. */
void multi_exec(struct multi *multi, struct call *call);

/* A call that the feed began has ended. */
void multi_call_ended(struct multi *multi);

/* Owner: watches a key as it is now. */
CHECKED status multi_watch(struct multi *multi, struct slice key, struct err *err);
void multi_unwatch(struct multi *multi);

#endif
