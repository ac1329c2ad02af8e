/* Node space: the memory of the nodes of a cell.
 *
 * Two span heaps, because there are two kinds of makers. What the owner makes (tails, late
 * lanes, blobs) is in its own, which needs no lock. Workers make runs and chunks, in the
 * shared one, under a lock that they hold for a few dozen nanoseconds. The owner frees
 * both, and never waits for a worker that was stopped while it held the lock: what it
 * cannot free now it chains up, through the objects themselves, for the next time.
 */
#ifndef TSINK_ENGINE_NODE_SPACE_H
#define TSINK_ENGINE_NODE_SPACE_H

#include <stdbool.h>

#include "base/lock.h"
#include "base/span_heap.h"

struct node_space {
    struct span_heap own;      /* the owner's */
    struct span_heap shared;   /* under lock */
    struct mutex lock;
    void *waiting;             /* shared objects that wait for the lock; the owner's */
    bool locked;               /* the owner holds the lock: between the next two */
};

void node_space_init(struct node_space *space, struct account *account);
void node_space_release(struct node_space *space); /* accepts a zeroed struct */

/* Owner: many objects are going to be freed. Tries to take the lock for all of them. */
void node_space_begin_free(struct node_space *space);
void node_space_end_free(struct node_space *space);

/* Any thread. NULL when the account or the heap refuses. */
CHECKED void *node_space_try_shared(struct node_space *space, size_t len);

/* Owner: an object of at least 16 bytes, with the length it was asked for with. */
void node_space_put_shared(struct node_space *space, void *ptr, size_t len);

/* A worker gives back what it took and nobody has seen. */
void node_space_drop_shared(struct node_space *space, void *ptr, size_t len);

#endif
