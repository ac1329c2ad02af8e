/* Mailbox: tasks from many threads to one reader, without locks.
 *
 * A push is one compare-and-swap on the newest task; the reader takes the whole
 * chain with one exchange and turns it around. So the tasks of one sender run in
 * the order in which they were sent, and what happened before a push is visible to
 * its fn. Nothing is allocated: the queue is as long as the tasks that exist, and
 * each sender bounds its own.
 *
 * wake(ctx) is called by the sender whose push found the mailbox empty, and by no
 * other; it must be cheap and callable from any thread (write an eventfd, signal a
 * condition). A reader that drains until mailbox_drain() returns less than it asked
 * for and then sleeps until woken misses nothing.
 *
 * Push: any thread. Take, drain, empty: the reader, who may be another thread each
 * time when something else (a gate, a join) orders the turns.
 */
#ifndef TSINK_BASE_MAILBOX_H
#define TSINK_BASE_MAILBOX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/exec.h"

struct mailbox {
    _Atomic(struct list *) newest; /* a chain over link.next, newest first */
    struct list *ready;            /* the reader's: taken and turned around */
    void (*wake)(void *ctx);
    void *wake_ctx;
};

/* wake may be NULL: the reader polls. */
void mailbox_init(struct mailbox *box, void (*wake)(void *ctx), void *ctx);

/* Sends the task (taken until its fn begins). */
void mailbox_push(struct mailbox *box, struct task *task);

/* The oldest task, now the caller's, or NULL. */
struct task *mailbox_take(struct mailbox *box);

/* Runs up to n_max tasks in order and returns how many: less than n_max means that
 * the mailbox was seen empty. A task may push more and may free itself. */
size_t mailbox_drain(struct mailbox *box, size_t n_max);

/* Whether the reader would find nothing now. */
bool mailbox_empty(const struct mailbox *box);

#endif
