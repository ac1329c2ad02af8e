/* One transaction at a time, and nobody else's commands meanwhile.
 *
 *     EXEC        txn_acquire(ticket)
 *     owner       holder = the connection; every loop in turn: calls under way have ended
 *     owner       check(ticket)            WATCH, in front of the first command
 *     home loop   granted(ticket)          the commands run, as a pipeline would
 *     home loop   txn_release(ticket)      the next ticket, or nobody
 *
 * While there is a holder, commands of all other RESP connections are parked where they
 * came in, in order, and their connections are not read. Batches and queries over HTTP go
 * on: each is atomic for itself, and WATCH sees what they write.
 *
 * A call is under way from call_later() to its end. One that waits for something that a
 * parked command may have to do says txn_call_waits().
 */
#ifndef TSINK_API_TXN_H
#define TSINK_API_TXN_H

#include "api/app.h"
#include "base/list.h"

struct call;
struct txns;
struct txn_loop;

/* Before connections open, when the loops are known; NULL without memory. */
struct txns *txns_new(struct app *app);
void txns_free(struct txns *txns); /* loops stopped; accepts NULL */

struct txn_loop *txn_loop_of(struct txns *txns, struct conn_loop *home);

struct txn_ticket {
    struct task task;
    struct list link;
    struct txns *txns;
    uint64_t conn_id;
    struct loop *home;
    size_t idx;                                   /* private: the loop being asked */
    void (*check)(struct txn_ticket *ticket);     /* owner */
    void (*granted)(struct txn_ticket *ticket);   /* the home loop */
};

/* The ticket's connection's loop. The ticket stays until it is released. */
void txn_acquire(struct txn_ticket *ticket);
void txn_release(struct txn_ticket *ticket, void (*released)(struct txn_ticket *ticket));

/* For the dispatcher: whether this connection's commands must wait now. */
bool txn_must_park(const struct txns *txns, uint64_t conn_id);

/* CLIENT PAUSE: until then (mono) commands that write, or all of them, are parked; the later
 * end of two pauses counts, and ALL over WRITE. UNPAUSE ends it. Any thread. */
void txn_pause(struct txns *txns, mono_ns until, bool all);
void txn_unpause(struct txns *txns);

/* Whether a pause holds a command back now. */
bool txn_is_paused(const struct txns *txns, bool writes);

/* Keeps a call that has not begun; it goes on with call_unpark(). */
void txn_park(struct call *call);

/* For the dispatcher: a call is under way, or has ended. */
void txn_call_begins(struct call *call);
void txn_call_ends(struct call *call);

/* A call that is under way waits for others: a transaction need not wait for it. */
void txn_call_waits(struct call *call);

#endif
