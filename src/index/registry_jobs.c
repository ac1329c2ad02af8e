/* The registry's jobs: folding posting lists, and letting dead ordinals go.
 *
 *   plan     owner    freezes a prefix of each list
 *   run      worker   builds the replacements without the dead
 *   publish  owner    swaps them in; old ones are retired
 *
 * A purge is the same over every list that a batch of dead ordinals is in. Its
 * ordinals are free only after one more grace period, because a reader may still hold
 * an old list and must find them in the dead set until it is done. One plan at a time:
 * that keeps a list from being rebuilt twice at once.
 */
#include "base/mem.h"
#include "base/panic.h"
#include "index/registry_priv.h"

#include <roaring/roaring.h>
#include <stdlib.h>

enum { FOLD_LISTS_MAX = 64, PURGE_ORDINALS_MAX = 256 };

struct registry_rebuild {
    struct registry *reg;
    struct postings_rebuild *lists;
    size_t n_lists;
    uint32_t n_ordinals;  /* when it was planned: the dead set is read below this */
    /* A purge. */
    uint32_t *ordinals;
    size_t n_purge;
};

static void rebuild_free(struct registry_rebuild *rb)
{
    if (!rb) return;
    mem_free(rb->lists);
    mem_free(rb->ordinals);
    mem_free(rb);
}

static struct registry_rebuild *rebuild_new(struct registry *reg, size_t n_lists)
{
    struct registry_rebuild *rb = mem_zalloc(sizeof(*rb));
    rb->reg = reg;
    rb->n_ordinals = registry_n_ordinals(reg);
    rb->lists = mem_try_array(n_lists ? n_lists : 1, sizeof(*rb->lists));
    if (rb->lists) return rb;
    rebuild_free(rb);
    return NULL;
}

bool registry_rebuild_due(const struct registry *reg)
{
    return reg->due.len > 0 && !reg->busy;
}

struct registry_rebuild *registry_rebuild_plan(struct registry *reg)
{
    if (!registry_rebuild_due(reg)) return NULL;
    size_t n = reg->due.len < FOLD_LISTS_MAX ? reg->due.len : FOLD_LISTS_MAX;
    struct registry_rebuild *rb = rebuild_new(reg, n);
    if (!rb) return NULL;

    for (size_t i = 0; i < n; i++) {
        struct pair *pair = pair_at(reg, reg->due.ptr[--reg->due.len]);
        rb->n_lists += postings_rebuild_plan(&rb->lists[rb->n_lists], &pair->series, &reg->dead);
    }
    reg->busy = true;
    return rb;
}

static int cmp_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* The pairs of n dead ordinals, unique. NULL when refused. */
static uint32_t *pairs_of(const struct registry *reg, const uint32_t *ordinals, size_t n,
                          size_t *n_out)
{
    VEC(uint32_t) all = {0};
    for (size_t i = 0; i < n; i++) {
        struct packed list = packed_open(packed_of(reg, entry_at(reg, ordinals[i])));
        while (list.n > 0) {
            if (vec_push(&all, packed_next(&list))) continue;
            vec_release(&all);
            return NULL;
        }
    }
    if (!vec_reserve(&all, 1)) return NULL;
    if (all.len > 1) qsort(all.ptr, all.len, sizeof(*all.ptr), cmp_u32);
    size_t n_unique = 0;
    for (size_t i = 0; i < all.len; i++) {
        if (n_unique == 0 || all.ptr[n_unique - 1] != all.ptr[i]) {
            all.ptr[n_unique++] = all.ptr[i];
        }
    }
    *n_out = n_unique;
    return all.ptr;
}

struct registry_rebuild *registry_purge_plan(struct registry *reg)
{
    size_t n = reg->quarantine.len - reg->quarantine_at;
    if (n == 0 || reg->busy) return NULL;
    if (n > PURGE_ORDINALS_MAX) n = PURGE_ORDINALS_MAX;

    const uint32_t *ordinals = reg->quarantine.ptr + reg->quarantine_at;
    size_t n_lists;
    uint32_t *pairs = pairs_of(reg, ordinals, n, &n_lists);
    struct registry_rebuild *rb = pairs ? rebuild_new(reg, n_lists) : NULL;
    if (rb) rb->ordinals = mem_try_array(n, sizeof(*rb->ordinals));
    if (!rb || !rb->ordinals) {
        rebuild_free(rb);
        mem_free(pairs);
        return NULL;
    }
    memcpy(rb->ordinals, ordinals, n * sizeof(*ordinals));
    rb->n_purge = n;
    for (size_t i = 0; i < n_lists; i++) {
        rb->n_lists += postings_rebuild_plan(&rb->lists[rb->n_lists],
                                             &pair_at(reg, pairs[i])->series, &reg->dead);
    }
    mem_free(pairs);
    reg->busy = true;
    return rb;
}

status registry_rebuild_run(struct registry_rebuild *rb, const _Atomic bool *cancelled)
{
    roaring_bitmap_t *dead = ordinal_bits_bitmap(&rb->reg->dead, rb->n_ordinals);
    if (!dead) return ST_NO_MEMORY;

    status st = ST_OK;
    for (size_t i = 0; i < rb->n_lists && st == ST_OK; i++) {
        if (cancelled && atomic_load_explicit(cancelled, memory_order_relaxed)) {
            st = ST_CANCELLED;
        } else {
            st = postings_rebuild_run(&rb->lists[i], dead);
        }
    }
    roaring_bitmap_free(dead);
    return st;
}

/* After the grace period: nobody can meet these ordinals any more. */
static void free_ordinals(void *ptr, void *arg)
{
    struct registry_rebuild *rb = ptr;
    struct registry *reg = arg;
    for (size_t i = 0; i < rb->n_purge; i++) {
        struct series_entry *entry = entry_at(reg, rb->ordinals[i]);
        const struct series_attrs *attrs = entry_attrs(entry);
        packed_store_free(&reg->packed, entry->pairs, packed_len(packed_of(reg, entry)));
        pool_free(&reg->pool, (void *)(uintptr_t)attrs, sizeof(*attrs));
        entry->pairs = PACKED_NONE;
        atomic_store_explicit(&entry->attrs, NULL, memory_order_relaxed);
        ordinal_bits_clear(&reg->dead, rb->ordinals[i]);
        /* Without memory for the list the ordinal is simply not used again. */
        (void)vec_push(&reg->free_ordinals, rb->ordinals[i]);
    }
    rebuild_free(rb);
}

/* Takes the front of the quarantine away, which is what the plan had copied. */
static void leave_quarantine(struct registry *reg, size_t n)
{
    reg->quarantine_at += n;
    if (reg->quarantine_at < reg->quarantine.len / 2) return;
    size_t left = reg->quarantine.len - reg->quarantine_at;
    memmove(reg->quarantine.ptr, reg->quarantine.ptr + reg->quarantine_at,
            left * sizeof(*reg->quarantine.ptr));
    reg->quarantine.len = left;
    reg->quarantine_at = 0;
}

void registry_rebuild_publish(struct registry *reg, struct registry_rebuild *rb, status st)
{
    bool all = st == ST_OK;
    for (size_t i = 0; i < rb->n_lists; i++) {
        all &= postings_rebuild_publish(&rb->lists[i], &reg->pool);
    }
    reg->busy = false;
    if (!all || rb->n_purge == 0) {
        rebuild_free(rb); /* a purge's ordinals are still at the front of the quarantine */
        return;
    }
    leave_quarantine(reg, rb->n_purge);
    size_t n_bytes = sizeof(*rb) + rb->n_purge * sizeof(*rb->ordinals);
    mem_free(rb->lists);
    rb->lists = NULL;
    reclaim_later(&reg->pool.rc, free_ordinals, rb, reg, n_bytes);
}
