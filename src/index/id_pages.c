/* Ids in pages. See id_pages_priv.h. */
#include "index/id_pages_priv.h"

#include "base/hash.h"
#include "base/panic.h"

void id_pages_init(struct id_pages *ids, struct index_pool *pool)
{
    *ids = (struct id_pages){.last = UINT64_MAX};
    id_table_init(&ids->dir, pool);
    segvec_init(&ids->pages, sizeof(struct id_page), pool->account);
}

void id_pages_release(struct id_pages *ids)
{
    id_table_release(&ids->dir);
    segvec_release(&ids->pages);
    vec_release(&ids->free);
}

static struct id_page *page_at(const struct id_pages *ids, uint32_t idx)
{
    return segvec_at(&ids->pages, idx);
}

static bool page_eq(const void *ctx, uint32_t idx, const void *key)
{
    const struct id_page *page = page_at(ctx, idx);
    return atomic_load_explicit(&page->number, memory_order_acquire) == *(const uint64_t *)key;
}

static uint32_t find_page(const struct id_pages *ids, uint64_t number)
{
    return id_table_find(&ids->dir, hash_mix(number), page_eq, ids, &number);
}

/* The same for the owner, who mostly asks for the page of the last put. */
static uint32_t own_page(struct id_pages *ids, uint64_t number)
{
    if (ids->last == number) return ids->last_idx;
    uint32_t idx = find_page(ids, number);
    if (idx == ID_NONE) return ID_NONE;
    ids->last = number;
    ids->last_idx = idx;
    return idx;
}

bool id_pages_reserve(struct id_pages *ids, uint64_t id)
{
    uint64_t number = id / ID_PAGE_LEN;
    if (own_page(ids, number) != ID_NONE) return true;
    if (!id_table_reserve(&ids->dir, 1)) return false;

    uint32_t idx;
    if (ids->free.len > 0) {
        idx = ids->free.ptr[--ids->free.len];
    } else {
        size_t n = segvec_len(&ids->pages);
        /* Room to note every page as free one day, so that removing cannot fail. */
        if (n >= ID_NONE - 1 || !segvec_reserve(&ids->pages, n) ||
            !vec_reserve(&ids->free, n + 1 - ids->free.len))
            return false;
        idx = (uint32_t)n;
        segvec_publish(&ids->pages, n + 1);
    }
    atomic_store_explicit(&page_at(ids, idx)->number, number, memory_order_release);
    id_table_put(&ids->dir, hash_mix(number), idx);
    ids->last = number;
    ids->last_idx = idx;
    return true;
}

void id_pages_put(struct id_pages *ids, uint64_t id, uint32_t ordinal)
{
    uint32_t idx = own_page(ids, id / ID_PAGE_LEN);
    ASSERT(idx != ID_NONE); /* reserved */
    struct id_page *page = page_at(ids, idx);
    _Atomic uint32_t *slot = &page->ordinal[id % ID_PAGE_LEN];
    page->n_live += atomic_load_explicit(slot, memory_order_relaxed) == 0;
    atomic_store_explicit(slot, ordinal + 1, memory_order_release);
}

void id_pages_remove(struct id_pages *ids, uint64_t id)
{
    uint64_t number = id / ID_PAGE_LEN;
    uint32_t idx = own_page(ids, number);
    if (idx == ID_NONE) return;
    struct id_page *page = page_at(ids, idx);
    _Atomic uint32_t *slot = &page->ordinal[id % ID_PAGE_LEN];
    if (atomic_load_explicit(slot, memory_order_relaxed) == 0) return;
    atomic_store_explicit(slot, 0, memory_order_release);
    if (--page->n_live > 0) return;
    id_table_remove(&ids->dir, hash_mix(number), idx);
    ids->last = UINT64_MAX;
    (void)vec_push(&ids->free, idx); /* reserved when the page was made */
}

uint32_t id_pages_find(const struct id_pages *ids, uint64_t id)
{
    uint32_t idx = find_page(ids, id / ID_PAGE_LEN);
    if (idx == ID_NONE) return ID_NONE;
    const struct id_page *page = page_at(ids, idx);
    uint32_t at = atomic_load_explicit(&page->ordinal[id % ID_PAGE_LEN], memory_order_acquire);
    return at ? at - 1 : ID_NONE;
}

uint32_t id_pages_find_near(const struct id_pages *ids, uint64_t id, uint64_t *number,
                            uint32_t *idx)
{
    uint64_t want = id / ID_PAGE_LEN;
    if (*number != want) {
        uint32_t found = find_page(ids, want);
        if (found == ID_NONE) return ID_NONE;
        *number = want;
        *idx = found;
    }
    const struct id_page *page = page_at(ids, *idx);
    uint32_t at = atomic_load_explicit(&page->ordinal[id % ID_PAGE_LEN], memory_order_acquire);
    return at ? at - 1 : ID_NONE;
}
