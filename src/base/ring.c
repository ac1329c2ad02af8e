/* See ring.h. */
#include "base/ring.h"

#include <string.h>

#include "base/bits.h"
#include "base/mem.h"

enum { CAP_MAX = 1 << 24 };

status ring_init(struct ring *ring, size_t cap)
{
    if (cap < 1 || cap > CAP_MAX) return ST_INVALID;

    size_t n = (size_t)next_pow2(cap);
    void **slots = mem_try_array(n, sizeof(*slots));
    if (!slots) return ST_NO_MEMORY;
    memset(ring, 0, sizeof(*ring));
    ring->slots = slots;
    ring->mask = n - 1;
    return ST_OK;
}

void ring_release(struct ring *ring)
{
    mem_free(ring->slots);
    memset(ring, 0, sizeof(*ring));
}
