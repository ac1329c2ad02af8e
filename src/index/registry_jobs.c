/* The registry's jobs: folding posting lists, and letting go what is dead.
 *
 *   plan     owner    freezes a prefix of each list
 *   run      worker   builds the replacements
 *   publish  owner    swaps them in; old ones are retired
 *
 * A fold drops nothing. A purge rebuilds every list that its ordinals are in without
 * these ordinals, and no others: so between two jobs a dead series is in all of its lists
 * or in none. Its ordinals are free only after one more grace period, because a reader may
 * still hold an old list and must find them in the dead set until it is done.
 *
 * Pairs go when they are empty after a purge: then every series that had them has left all
 * lists, and no reader that comes now can meet one. They leave the table of pairs at once,
 * and, a number at a time, the lists of their names; after a grace period their rows are
 * free, and their values have one user less (dict.h). Nobody uses a row before the
 * ordinals of its series are free: what is retired later is freed later. Names stay.
 *
 * One plan at a time: that keeps a list from being rebuilt twice at once.
 */
#include "base/mem.h"
#include "base/panic.h"
#include "index/registry_priv.h"

#include <roaring/roaring.h>
#include <stdlib.h>

enum {
    FOLD_LISTS_MAX = 64,
    PURGE_ORDINALS_MAX = 512, /* some 300 us of the owner with ten labels a series */
    LEAVE_PAIRS_MAX = 1024,
    WORTH_SHARE = 16,         /* of the living: from there the dead are worth a job */
    WAIT_MAX = 32,            /* plans without one, before less is worth it, too */
};

struct registry_rebuild {
    struct registry *reg;
    struct postings_rebuild *lists;
    size_t n_lists;
    roaring_bitmap_t *drop; /* NULL: a fold */
    /* A purge. */
    uint32_t *ordinals;
    size_t n_purge;
    /* A purge: those that its ordinals had. Else pairs that leave the lists of names. */
    uint32_t *pairs;
    size_t n_pairs;
};

static void rebuild_free(struct registry_rebuild *rb)
{
    if (!rb) return;
    if (rb->drop) roaring_bitmap_free(rb->drop);
    mem_free(rb->lists);
    mem_free(rb->ordinals);
    mem_free(rb->pairs);
    mem_free(rb);
}

static struct registry_rebuild *rebuild_new(struct registry *reg, size_t n_lists)
{
    struct registry_rebuild *rb = mem_zalloc(sizeof(*rb));
    rb->reg = reg;
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
        rb->n_lists += postings_rebuild_plan(&rb->lists[rb->n_lists], &pair->series, NULL);
    }
    reg->busy = true;
    return rb;
}

static int cmp_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Sorted, each once; how many. */
static size_t sort_unique(uint32_t *ids, size_t n)
{
    size_t n_unique = 0;
    if (n > 1) qsort(ids, n, sizeof(*ids), cmp_u32);
    for (size_t i = 0; i < n; i++)
        if (n_unique == 0 || ids[n_unique - 1] != ids[i]) ids[n_unique++] = ids[i];
    return n_unique;
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
    *n_out = sort_unique(all.ptr, all.len);
    return all.ptr;
}

static uint32_t *copy_ids(const uint32_t *ids, size_t n)
{
    uint32_t *copy = mem_try_array(n ? n : 1, sizeof(*copy));
    if (copy && n) memcpy(copy, ids, n * sizeof(*copy));
    return copy;
}

/* The names of n pairs, unique. NULL when refused. */
static uint32_t *names_of(const struct registry *reg, const uint32_t *pairs, size_t n,
                          size_t *n_out)
{
    uint32_t *names = mem_try_array(n ? n : 1, sizeof(*names));
    if (!names) return NULL;
    for (size_t i = 0; i < n; i++) names[i] = pair_at(reg, pairs[i])->name;
    *n_out = sort_unique(names, n);
    return names;
}

static bool make_drop(struct registry_rebuild *rb, const uint32_t *ids, size_t n)
{
    rb->drop = roaring_bitmap_create();
    if (rb->drop) roaring_bitmap_add_many(rb->drop, n, ids);
    return rb->drop != NULL;
}

/* Pairs leave the lists of their names. */
static struct registry_rebuild *leave_plan(struct registry *reg)
{
    size_t n = reg->leaving.len < LEAVE_PAIRS_MAX ? reg->leaving.len : LEAVE_PAIRS_MAX, n_names;
    uint32_t *names = names_of(reg, reg->leaving.ptr, n, &n_names);
    struct registry_rebuild *rb = names ? rebuild_new(reg, n_names) : NULL;
    if (rb) rb->pairs = copy_ids(reg->leaving.ptr, n);
    if (!rb || !rb->pairs || !make_drop(rb, rb->pairs, n)) {
        rebuild_free(rb);
        mem_free(names);
        return NULL;
    }
    rb->n_pairs = n;
    for (size_t i = 0; i < n_names; i++)
        rb->n_lists += postings_rebuild_plan(&rb->lists[rb->n_lists],
                                             &name_row_at(reg, names[i])->pairs, rb->drop);
    mem_free(names);
    return rb;
}

static struct registry_rebuild *ordinals_plan(struct registry *reg, size_t n)
{
    if (n > PURGE_ORDINALS_MAX) n = PURGE_ORDINALS_MAX;
    const uint32_t *ordinals = reg->quarantine.ptr + reg->quarantine_at;
    size_t n_pairs = 0;
    uint32_t *pairs = pairs_of(reg, ordinals, n, &n_pairs);
    struct registry_rebuild *rb = pairs ? rebuild_new(reg, n_pairs) : NULL;
    if (rb) rb->ordinals = copy_ids(ordinals, n);
    if (!rb || !rb->ordinals || !make_drop(rb, ordinals, n)) {
        rebuild_free(rb);
        mem_free(pairs);
        return NULL;
    }
    rb->n_purge = n;
    rb->pairs = pairs;
    rb->n_pairs = n_pairs;
    for (size_t i = 0; i < n_pairs; i++)
        rb->n_lists += postings_rebuild_plan(&rb->lists[rb->n_lists],
                                             &pair_at(reg, pairs[i])->series, rb->drop);
    return rb;
}

/* Whether n of something are worth a job, of n_all and at most n_max at a time. */
static bool worth(const struct registry *reg, size_t n, uint64_t n_all, size_t n_max)
{
    return n && (n >= n_max || n * WORTH_SHARE >= n_all || reg->n_waited >= WAIT_MAX);
}

struct registry_rebuild *registry_purge_plan(struct registry *reg)
{
    size_t n_dead = reg->quarantine.len - reg->quarantine_at, n_leaving = reg->leaving.len;
    struct registry_rebuild *rb = NULL;
    /* A list that waits for its fold is not looked at by two. */
    if (reg->busy || reg->due.len || (n_dead == 0 && n_leaving == 0)) return NULL;
    if (worth(reg, n_leaving, n_pairs(reg) - reg->n_pairs_gone, LEAVE_PAIRS_MAX)) {
        rb = leave_plan(reg);
        if (rb) reg->n_waited = 0;
    } else if (worth(reg, n_dead, reg->n_series, PURGE_ORDINALS_MAX)) {
        rb = ordinals_plan(reg, n_dead);
        if (rb) reg->n_waited = 0;
    } else {
        reg->n_waited++;
    }
    if (rb) reg->busy = true;
    return rb;
}

status registry_rebuild_run(struct registry_rebuild *rb, const _Atomic bool *cancelled)
{
    status st = ST_OK;
    for (size_t i = 0; i < rb->n_lists && st == ST_OK; i++) {
        if (cancelled && atomic_load_explicit(cancelled, memory_order_relaxed)) {
            st = ST_CANCELLED;
        } else {
            st = postings_rebuild_run(&rb->lists[i], rb->drop);
        }
    }
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

/* After the grace period: nobody can meet these pairs any more. */
static void free_pairs(void *ptr, void *arg)
{
    struct registry_rebuild *rb = ptr;
    struct registry *reg = arg;
    for (size_t i = 0; i < rb->n_pairs; i++) {
        struct pair *pair = pair_at(reg, rb->pairs[i]);
        postings_release(&pair->series, &reg->pool);
        dict_drop(reg->values, pair->value);
        pair->name = PAIR_FREE;
        /* Without memory for the list the row is simply not used again. */
        (void)vec_push(&reg->free_pairs, rb->pairs[i]);
    }
    rebuild_free(rb);
}

/* The pairs of a purge that are empty now leave. */
static void unlink_empty(struct registry *reg, const struct registry_rebuild *rb)
{
    for (size_t i = 0; i < rb->n_pairs; i++) {
        if (postings_len(&pair_at(reg, rb->pairs[i])->series) > 0) continue;
        /* Without memory it stays, empty, to be found by who has it next. */
        if (vec_push(&reg->leaving, rb->pairs[i])) registry_unlink_pair(reg, rb->pairs[i]);
    }
}

/* What readers may still meet waits; the rest of the plan is not needed any more. */
static void free_later(struct registry *reg, struct registry_rebuild *rb,
                       void (*fn)(void *ptr, void *arg))
{
    mem_free(rb->lists);
    rb->lists = NULL;
    roaring_bitmap_free(rb->drop);
    rb->drop = NULL;
    reclaim_later(&reg->pool.rc, fn, rb, reg,
                  sizeof(*rb) + (rb->n_purge + rb->n_pairs) * sizeof(uint32_t));
}

bool registry_rebuild_publish(struct registry *reg, struct registry_rebuild *rb, status st)
{
    bool all = st == ST_OK;
    for (size_t i = 0; i < rb->n_lists; i++) {
        all &= postings_rebuild_publish(&rb->lists[i], &reg->pool);
    }
    reg->busy = false;
    if (!all || !rb->drop) {
        rebuild_free(rb); /* what was to go is still where it was, at the front */
    } else if (rb->n_purge) {
        leave_quarantine(reg, rb->n_purge);
        unlink_empty(reg, rb);
        free_later(reg, rb, free_ordinals);
    } else {
        reg->leaving.len -= rb->n_pairs;
        memmove(reg->leaving.ptr, reg->leaving.ptr + rb->n_pairs,
                reg->leaving.len * sizeof(*reg->leaving.ptr));
        free_later(reg, rb, free_pairs);
    }
    return all;
}
