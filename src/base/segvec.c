/* A vector that does not move. See segvec.h. */
#include "base/segvec.h"

#include <string.h>

#include "base/mem.h"

enum { CACHE_LINE = 64 };

void segvec_init(struct segvec *sv, size_t elem, struct account *account)
{
    memset(sv, 0, sizeof(*sv));
    sv->elem = elem;
    sv->account = account;
}

static size_t seg_bytes(const struct segvec *sv, size_t k)
{
    return ((size_t)1 << (k + SEGVEC_SHIFT)) * sv->elem;
}

void segvec_release(struct segvec *sv)
{
    for (size_t k = 0; k < SEGVEC_SEGMENTS; k++) {
        char *seg = atomic_load_explicit(&sv->seg[k], memory_order_relaxed);
        if (!seg) continue;
        account_release(sv->account, seg_bytes(sv, k));
        mem_free(seg - (uint8_t)seg[-1]);
    }
    segvec_init(sv, sv->elem, sv->account);
}

bool segvec_reserve(struct segvec *sv, size_t idx)
{
    size_t k = bit_width((idx >> SEGVEC_SHIFT) + 1) - 1;
    if (k >= SEGVEC_SEGMENTS) return false;
    if (atomic_load_explicit(&sv->seg[k], memory_order_relaxed)) return true;

    size_t bytes = seg_bytes(sv, k);
    if (!account_charge(sv->account, bytes)) return false;
    /* Not mem_try_aligned() and memset(): clearing a large segment would take the owner
     * tens of milliseconds, while fresh pages come zeroed. The byte before the segment
     * says how far the block's start lies behind. */
    char *block = mem_try_zero(bytes + CACHE_LINE);
    if (!block) {
        account_release(sv->account, bytes);
        return false;
    }
    size_t ahead = CACHE_LINE - (uintptr_t)block % CACHE_LINE; /* 1..64 */
    char *seg = block + ahead;
    seg[-1] = (char)ahead;
    atomic_store_explicit(&sv->seg[k], seg, memory_order_release);
    return true;
}
