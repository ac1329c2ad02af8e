/* Ring: pointers from one producer to one consumer, bounded, without locks or
 * waiting. Each side keeps its own index and a copy of the other's on its own cache
 * line and looks at the real one only when the copy says full or empty. What
 * happened before a push is visible after its pop.
 */
#ifndef TSINK_BASE_RING_H
#define TSINK_BASE_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/panic.h"
#include "base/status.h"

enum { RING_CACHE_LINE = 64 };

struct ring {
    void **slots; /* owned; a power of two of them */
    size_t mask;
    struct {
        _Atomic size_t tail; /* next to write */
        size_t head_seen;
    } producer __attribute__((aligned(RING_CACHE_LINE)));
    struct {
        _Atomic size_t head; /* next to read */
        size_t tail_seen;
    } consumer __attribute__((aligned(RING_CACHE_LINE)));
};

/* Room for at least cap pointers (1 <= cap <= 2^24). ST_NO_MEMORY, ST_INVALID. */
CHECKED status ring_init(struct ring *ring, size_t cap);
void ring_release(struct ring *ring); /* accepts a zeroed struct */

/* The producer. False when full. ptr is not NULL. */
static inline bool ring_push(struct ring *ring, void *ptr)
{
    size_t tail = atomic_load_explicit(&ring->producer.tail, memory_order_relaxed);

    DASSERT(ptr);
    if (unlikely(tail - ring->producer.head_seen > ring->mask)) {
        ring->producer.head_seen =
            atomic_load_explicit(&ring->consumer.head, memory_order_acquire);
        if (tail - ring->producer.head_seen > ring->mask) return false;
    }
    ring->slots[tail & ring->mask] = ptr;
    atomic_store_explicit(&ring->producer.tail, tail + 1, memory_order_release);
    return true;
}

/* The consumer. NULL when empty. */
static inline void *ring_pop(struct ring *ring)
{
    size_t head = atomic_load_explicit(&ring->consumer.head, memory_order_relaxed);

    if (head == ring->consumer.tail_seen) {
        ring->consumer.tail_seen =
            atomic_load_explicit(&ring->producer.tail, memory_order_acquire);
        if (head == ring->consumer.tail_seen) return NULL;
    }
    void *ptr = ring->slots[head & ring->mask];
    atomic_store_explicit(&ring->consumer.head, head + 1, memory_order_release);
    return ptr;
}

/* Either side, or a third: how many were inside a moment ago. */
static inline size_t ring_len(const struct ring *ring)
{
    size_t head = atomic_load_explicit(&ring->consumer.head, memory_order_acquire);
    size_t tail = atomic_load_explicit(&ring->producer.tail, memory_order_acquire);
    return tail - head;
}

#endif
