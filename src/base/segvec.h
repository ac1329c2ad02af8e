/* A vector that grows without moving its elements. One thread appends; any thread
 * may read elements below the published length, without locks, while it grows.
 *
 * Segment k holds 2^(k + SEGVEC_SHIFT) elements, so 32 pointers reach 2^40 of
 * them; index i lies in segment floor(log2(i / 2^SHIFT + 1)).
 *
 *     +-----+    +--------------+
 *     | [0] | -> | 1024 elements|
 *     | [1] | -> | 2048         |
 *     | ... |    +--------------+
 */
#ifndef TSINK_BASE_SEGVEC_H
#define TSINK_BASE_SEGVEC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/account.h"
#include "base/bits.h"
#include "base/status.h"

enum { SEGVEC_SHIFT = 10, SEGVEC_SEGMENTS = 32 };

struct segvec {
    _Atomic(char *) seg[SEGVEC_SEGMENTS]; /* zeroed when made */
    _Atomic size_t len;                   /* published elements */
    size_t elem;                          /* bytes, a multiple of 8 or a power of two */
    struct account *account;
};

void segvec_init(struct segvec *sv, size_t elem, struct account *account);
void segvec_release(struct segvec *sv);

/* Makes sure that element idx has memory; false when refused. Owner only. */
CHECKED bool segvec_reserve(struct segvec *sv, size_t idx);

/* Element idx, which has memory. */
static inline void *segvec_at(const struct segvec *sv, size_t idx)
{
    uint64_t k = bit_width((idx >> SEGVEC_SHIFT) + 1) - 1;
    size_t first = (((size_t)1 << k) - 1) << SEGVEC_SHIFT;
    char *seg = atomic_load_explicit(&sv->seg[k], memory_order_acquire);
    return seg + (idx - first) * sv->elem;
}

static inline size_t segvec_len(const struct segvec *sv)
{
    return atomic_load_explicit(&sv->len, memory_order_acquire);
}

/* Publishes the first len elements, which are complete. Owner only. */
static inline void segvec_publish(struct segvec *sv, size_t len)
{
    atomic_store_explicit(&sv->len, len, memory_order_release);
}

#endif
