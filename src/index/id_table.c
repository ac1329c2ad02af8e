/* Ids by hash. See id_table_priv.h.
 *
 * Invariants: cur has a free slot (load <= 7/10), so a search ends; an id is in cur or
 * in the unmoved part of cur->older; the tag alone gives the first slot, so moving
 * needs no key. A removed id becomes SLOT_GONE in both tables; gone slots are not used
 * again, which keeps readers' chains whole, and vanish when the table moves.
 */
#include "index/id_table_priv.h"

#include "base/panic.h"

enum { SLOTS_MIN = 16, MOVE_STEP = 64 };
#define SLOT_GONE 0xffffffffull
#define SLOTS_MAX ((size_t)1 << 32)

void id_table_init(struct id_table *table, struct index_pool *pool)
{
    *table = (struct id_table){.pool = pool};
}

void id_table_release(struct id_table *table)
{
    struct id_slots *cur = atomic_load_explicit(&table->cur, memory_order_relaxed);
    if (!cur) return;
    pool_big_free(table->pool, atomic_load_explicit(&cur->older, memory_order_relaxed));
    pool_big_free(table->pool, cur);
    id_table_init(table, table->pool);
}

static inline uint64_t slot_load(const struct id_slots *slots, size_t idx)
{
    return atomic_load_explicit(&slots->slot[idx], memory_order_acquire);
}

static uint32_t find_in(const struct id_slots *slots, uint32_t tag, id_table_eq eq,
                        const void *ctx, const void *key)
{
    for (size_t i = tag & slots->mask;; i = (i + 1) & slots->mask) {
        uint64_t slot = slot_load(slots, i);
        if (slot == 0) return ID_NONE;
        if ((uint32_t)(slot >> 32) != tag || slot == SLOT_GONE) continue;
        uint32_t id = (uint32_t)slot - 1;
        if (eq(ctx, id, key)) return id;
    }
}

uint32_t id_table_find(const struct id_table *table, uint64_t hash, id_table_eq eq,
                       const void *ctx, const void *key)
{
    const struct id_slots *cur = atomic_load_explicit(&table->cur, memory_order_acquire);
    if (!cur) return ID_NONE;

    const struct id_slots *older = atomic_load_explicit(&cur->older, memory_order_acquire);
    uint32_t tag = (uint32_t)(hash >> 32);
    uint32_t id = find_in(cur, tag, eq, ctx, key);
    return id == ID_NONE && older ? find_in(older, tag, eq, ctx, key) : id;
}

static void put_slot(struct id_slots *slots, uint64_t slot)
{
    size_t i = (size_t)(slot >> 32) & slots->mask;
    while (slot_load(slots, i) != 0) i = (i + 1) & slots->mask;
    atomic_store_explicit(&slots->slot[i], slot, memory_order_release);
}

/* Moves up to n slots of the old table and retires it when it is done. */
static void move_some(struct id_table *table, size_t n)
{
    struct id_slots *cur = atomic_load_explicit(&table->cur, memory_order_relaxed);
    struct id_slots *older = atomic_load_explicit(&cur->older, memory_order_relaxed);
    if (!older) return;

    size_t end = older->mask + 1 - cur->n_moved < n ? older->mask + 1 : cur->n_moved + n;
    for (size_t i = cur->n_moved; i < end; i++) {
        uint64_t slot = slot_load(older, i);
        if (slot != 0 && slot != SLOT_GONE) put_slot(cur, slot);
    }
    cur->n_moved = end;
    if (end <= older->mask) return;
    atomic_store_explicit(&cur->older, NULL, memory_order_release);
    pool_big_retire(table->pool, older);
}

static inline bool fits(size_t n_used, size_t n_slots)
{
    return n_used <= n_slots / 10 * 7;
}

bool id_table_reserve(struct id_table *table, size_t n)
{
    struct id_slots *cur = atomic_load_explicit(&table->cur, memory_order_relaxed);
    if (cur && fits(table->n_used + n, cur->mask + 1)) return true;

    /* Only a reserve of many at once finds the last move unfinished. */
    if (cur) move_some(table, SIZE_MAX);
    /* Never under a quarter of the old size: the move, at 64 slots a put, must be done
     * long before the new table is full. */
    size_t n_slots = cur && cur->mask / 4 >= SLOTS_MIN ? (cur->mask + 1) / 4 : SLOTS_MIN;
    while (n_slots < SLOTS_MAX && !fits(2 * (table->n_live + n), n_slots + n_slots / 4)) {
        n_slots *= 2;
    }
    if (!fits(table->n_live + n, n_slots)) return false;
    struct id_slots *next =
        pool_big(table->pool, sizeof(*next) + n_slots * sizeof(next->slot[0]));
    if (!next) return false;
    next->mask = n_slots - 1;
    atomic_store_explicit(&next->older, cur, memory_order_relaxed);
    table->n_used = table->n_live;
    atomic_store_explicit(&table->cur, next, memory_order_release);
    return true;
}

void id_table_put(struct id_table *table, uint64_t hash, uint32_t id)
{
    struct id_slots *cur = atomic_load_explicit(&table->cur, memory_order_relaxed);
    DASSERT(cur && fits(table->n_used + 1, cur->mask + 1) && id < ID_NONE - 1);

    put_slot(cur, (hash >> 32) << 32 | (id + 1u));
    table->n_live++;
    table->n_used++;
    move_some(table, MOVE_STEP);
}

static bool remove_in(struct id_slots *slots, uint64_t want)
{
    for (size_t i = (size_t)(want >> 32) & slots->mask;; i = (i + 1) & slots->mask) {
        uint64_t slot = slot_load(slots, i);
        if (slot == 0) return false;
        if (slot != want) continue;
        atomic_store_explicit(&slots->slot[i], SLOT_GONE, memory_order_release);
        return true;
    }
}

void id_table_remove(struct id_table *table, uint64_t hash, uint32_t id)
{
    struct id_slots *cur = atomic_load_explicit(&table->cur, memory_order_relaxed);
    if (!cur) return;

    uint64_t want = (hash >> 32) << 32 | (id + 1u);
    struct id_slots *older = atomic_load_explicit(&cur->older, memory_order_relaxed);
    bool found = remove_in(cur, want);
    if (older && remove_in(older, want)) found = true;
    if (found) table->n_live--;
}
