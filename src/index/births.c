/* See births_priv.h. */
#include "index/births_priv.h"

#include "base/panic.h"

enum { RING_MIN = 4 };

void births_init(struct births *births, struct index_pool *pool)
{
    *births = (struct births){.pool = pool};
}

static struct birth_ring *ring_of(const struct births *births)
{
    return atomic_load_explicit(&births->ring, memory_order_acquire);
}

static _Atomic(struct birth_page *) *page_at(struct birth_ring *ring, uint64_t page)
{
    return &ring->page[page & ring->mask];
}

static struct birth_page *page_of(struct birth_ring *ring, uint64_t page)
{
    return atomic_load_explicit(page_at(ring, page), memory_order_acquire);
}

void births_release(struct births *births)
{
    for (uint64_t p = births->first; p < births->end; p++)
        pool_free(births->pool, page_of(ring_of(births), p), sizeof(struct birth_page));
    pool_big_free(births->pool, ring_of(births));
    births_init(births, births->pool);
}

static bool grow(struct births *births)
{
    struct birth_ring *old = ring_of(births);
    uint64_t n = old ? (old->mask + 1) * 2 : RING_MIN;
    struct birth_ring *ring = pool_big(births->pool, sizeof(*ring) + n * sizeof(ring->page[0]));
    if (!ring) return false;
    ring->mask = n - 1;
    for (uint64_t p = births->first; p < births->end; p++)
        atomic_store_explicit(page_at(ring, p), page_of(old, p), memory_order_relaxed);
    atomic_store_explicit(&births->ring, ring, memory_order_release);
    pool_big_retire(births->pool, old);
    return true;
}

bool births_reserve(struct births *births, uint64_t i)
{
    uint64_t page = i / BIRTHS_A_PAGE;
    struct birth_ring *ring = ring_of(births);
    if (births->first == births->end) births->first = births->end = page;
    if (page < births->end) return true;
    DASSERT(page == births->end);
    if ((!ring || page - births->first > ring->mask) && !grow(births)) return false;
    struct birth_page *fresh = pool_alloc(births->pool, sizeof(*fresh));
    if (!fresh) return false;
    atomic_store_explicit(page_at(ring_of(births), page), fresh, memory_order_release);
    births->end++;
    return true;
}

void births_put(struct births *births, uint64_t i, uint32_t ordinal)
{
    page_of(ring_of(births), i / BIRTHS_A_PAGE)->ordinal[i % BIRTHS_A_PAGE] = ordinal;
}

uint32_t births_get(const struct births *births, uint64_t i)
{
    return page_of(ring_of(births), i / BIRTHS_A_PAGE)->ordinal[i % BIRTHS_A_PAGE];
}

void births_forget(struct births *births, uint64_t i)
{
    for (; births->first < births->end && (births->first + 1) * BIRTHS_A_PAGE <= i;
         births->first++) {
        _Atomic(struct birth_page *) *at = page_at(ring_of(births), births->first);
        pool_free(births->pool, atomic_load_explicit(at, memory_order_relaxed),
                  sizeof(struct birth_page));
        atomic_store_explicit(at, NULL, memory_order_relaxed);
    }
}
