/* See node_space.h. */
#include "engine/node_space.h"

#include "base/panic.h"

enum { DRAIN_MAX = 256 };

/* At the start of a shared object that waits to be freed. */
struct waiting {
    struct waiting *next;
    size_t len;
};

void node_space_init(struct node_space *space, struct account *account)
{
    span_heap_init(&space->own, account);
    span_heap_init(&space->shared, account);
    mutex_init(&space->lock, LOCK_NODES);
    space->waiting = NULL;
    space->locked = false;
}

static void free_waiting(struct node_space *space, size_t max)
{
    for (size_t i = 0; i < max && space->waiting; i++) {
        struct waiting *at = space->waiting;
        space->waiting = at->next;
        span_heap_put(&space->shared, at, at->len);
    }
}

void node_space_release(struct node_space *space)
{
    if (!space->own.full.next) return; /* zeroed */
    free_waiting(space, SIZE_MAX);
    span_heap_release(&space->own);
    span_heap_release(&space->shared);
    mutex_release(&space->lock);
}

void node_space_begin_free(struct node_space *space)
{
    space->locked = mutex_try_lock(&space->lock);
    if (space->locked) free_waiting(space, DRAIN_MAX);
}

void node_space_end_free(struct node_space *space)
{
    if (space->locked) mutex_unlock(&space->lock);
    space->locked = false;
}

void *node_space_try_shared(struct node_space *space, size_t len)
{
    mutex_lock(&space->lock);
    void *ptr = span_heap_try(&space->shared, len);
    mutex_unlock(&space->lock);
    return ptr;
}

void node_space_put_shared(struct node_space *space, void *ptr, size_t len)
{
    bool locked = space->locked || mutex_try_lock(&space->lock);
    if (!locked) {
        struct waiting *at = ptr;
        *at = (struct waiting){.next = space->waiting, .len = len};
        space->waiting = at;
        return;
    }
    span_heap_put(&space->shared, ptr, len);
    if (!space->locked) mutex_unlock(&space->lock);
}

void node_space_drop_shared(struct node_space *space, void *ptr, size_t len)
{
    mutex_lock(&space->lock);
    span_heap_put(&space->shared, ptr, len);
    mutex_unlock(&space->lock);
}
