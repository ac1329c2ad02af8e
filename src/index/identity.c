/* Hashes of names -> {ordinal, gen}. See identity.h for the promises.
 *
 *     slot: | lo: 64 bits of the hash, never 0 | 32 bits of hi << 32 | ordinal |
 *     gens: a u32 for each slot, in an array behind the slots
 *
 * 20 bytes a slot, four slots a cache line; gens is read on a hit only. The place of a
 * hash is its fraction of the table (lo * n_slots / 2^64), so a table may have any size
 * and is never far from full, and moving to another table goes through both in order,
 * not at random. A slot that
 * was published never changes but for its ordinal becoming ORDINAL_NONE (forgotten), so
 * a reader always sees an ordinal and a generation that were put together. A hash that
 * is put again gets a new slot. Forgotten and stale slots vanish when the table moves.
 *
 * The move works as in id_table_priv.h.
 */
#include "index/identity.h"

#include "base/mem.h"
#include "base/panic.h"
#include "index/index_pool_priv.h"
#include "model/batch.h"

enum { SLOTS_MIN = 16, MOVE_STEP = 64, SAMPLE = 1024 };

/* Full at 3/4; a new table begins at 3/5, so the mean is about 2/3. Searches for what is
 * there look at 2 to 3 slots, for what is not at 4 to 9: a cache line or two. */
enum { FULL_NUM = 3, FULL_DEN = 4, NEW_NUM = 3, NEW_DEN = 5 };
#define SLOTS_MAX ((size_t)1 << 34)

struct id_slot {
    _Atomic uint64_t lo;
    _Atomic uint64_t rest;
};

struct slots {
    _Atomic(struct slots *) older;
    size_t n;
    size_t n_moved; /* owner */
    size_t pad;     /* slots start on a multiple of 16 */
    struct id_slot slot[];
};

struct identity {
    _Atomic(struct slots *) cur;
    size_t n_in;    /* slots of cur that are taken; owner */
    size_t n_left;  /* slots of older that may still come: a guess; owner */
    struct index_pool pool;
    bool (*stale)(const void *ctx, uint32_t ordinal, uint32_t gen);
    const void *ctx;
    struct account *account;
};

struct identity *identity_new(struct account *account, const struct reclaim *rc,
                              bool (*stale)(const void *ctx, uint32_t ordinal, uint32_t gen),
                              const void *ctx)
{
    if (!account_charge(account, sizeof(struct identity))) return NULL;
    struct identity *table = mem_alloc(sizeof(*table));
    *table = (struct identity){.stale = stale, .ctx = ctx, .account = account};
    pool_init(&table->pool, account, rc);
    return table;
}

void identity_free(struct identity *table)
{
    if (!table) return;
    struct slots *cur = atomic_load_explicit(&table->cur, memory_order_relaxed);
    if (cur) {
        pool_big_free(&table->pool, atomic_load_explicit(&cur->older, memory_order_relaxed));
        pool_big_free(&table->pool, cur);
    }
    pool_release(&table->pool);
    account_release(table->account, sizeof(*table));
    mem_free(table);
}

/* ---------------------------------------------------------------- slots */

static inline uint32_t *gens_of(const struct slots *slots)
{
    return (uint32_t *)(void *)((char *)slots + sizeof(*slots) +
                                slots->n * sizeof(struct id_slot));
}

static inline uint64_t lo_of(struct hash128 hash)
{
    return hash.lo ? hash.lo : 1;
}

static inline uint64_t rest_of(struct hash128 hash, uint32_t ordinal)
{
    return (hash.hi >> 32) << 32 | ordinal;
}

/* Where a hash belongs; the order of places is the order of hashes. */
static inline size_t place_of(const struct slots *slots, uint64_t lo)
{
    return (size_t)((unsigned __int128)lo * slots->n >> 64);
}

static inline size_t next_place(const struct slots *slots, size_t idx)
{
    return idx + 1 == slots->n ? 0 : idx + 1;
}

static inline uint64_t lo_at(const struct slots *slots, size_t idx)
{
    return atomic_load_explicit(&slots->slot[idx].lo, memory_order_acquire);
}

static inline uint64_t rest_at(const struct slots *slots, size_t idx)
{
    return atomic_load_explicit(&slots->slot[idx].rest, memory_order_relaxed);
}

/* The slot of the hash that is not forgotten, or SIZE_MAX; *rest is what it held. */
static size_t find_in(const struct slots *slots, uint64_t lo, uint64_t hi, uint64_t *rest)
{
    for (size_t i = place_of(slots, lo);; i = next_place(slots, i)) {
        uint64_t at = lo_at(slots, i);
        if (at == 0) return SIZE_MAX;
        if (at != lo) continue;
        *rest = rest_at(slots, i);
        if (*rest >> 32 == hi && (uint32_t)*rest != ORDINAL_NONE) return i;
    }
}

bool identity_get(const struct identity *table, struct hash128 hash, uint32_t *ordinal,
                  uint32_t *gen)
{
    const struct slots *slots = atomic_load_explicit(&table->cur, memory_order_acquire);
    if (!slots) return false;

    const struct slots *older = atomic_load_explicit(&slots->older, memory_order_acquire);
    uint64_t lo = lo_of(hash), hi = hash.hi >> 32, rest = 0;
    size_t idx = find_in(slots, lo, hi, &rest);
    if (idx == SIZE_MAX && older) {
        slots = older;
        idx = find_in(slots, lo, hi, &rest);
    }
    if (idx == SIZE_MAX) return false;
    *ordinal = (uint32_t)rest;
    *gen = gens_of(slots)[idx];
    return true;
}

void identity_prefetch(const struct identity *table, struct hash128 hash)
{
    const struct slots *slots = atomic_load_explicit(&table->cur, memory_order_acquire);
    if (!slots) return;
    size_t idx = place_of(slots, lo_of(hash));
    __builtin_prefetch(&slots->slot[idx]);
    __builtin_prefetch(&gens_of(slots)[idx]);
}

/* ---------------------------------------------------------------- growth */

static inline bool fits(size_t n_used, size_t n_slots)
{
    return n_used <= n_slots / FULL_DEN * FULL_NUM;
}

static void put_slot(struct slots *slots, uint64_t lo, uint64_t rest, uint32_t gen)
{
    size_t i = place_of(slots, lo);
    while (lo_at(slots, i) != 0) i = next_place(slots, i);
    atomic_store_explicit(&slots->slot[i].rest, rest, memory_order_relaxed);
    gens_of(slots)[i] = gen;
    atomic_store_explicit(&slots->slot[i].lo, lo, memory_order_release);
}

static bool slot_dead(const struct identity *table, const struct slots *slots, size_t idx)
{
    uint32_t ordinal = (uint32_t)rest_at(slots, idx);
    return ordinal == ORDINAL_NONE || table->stale(table->ctx, ordinal, gens_of(slots)[idx]);
}

static void move_some(struct identity *table, size_t n)
{
    struct slots *cur = atomic_load_explicit(&table->cur, memory_order_relaxed);
    struct slots *older = atomic_load_explicit(&cur->older, memory_order_relaxed);
    if (!older) return;

    size_t end = older->n - cur->n_moved < n ? older->n : cur->n_moved + n;
    for (size_t i = cur->n_moved; i < end; i++) {
        uint64_t lo = lo_at(older, i);
        if (lo == 0 || slot_dead(table, older, i)) continue;
        put_slot(cur, lo, rest_at(older, i), gens_of(older)[i]);
        table->n_in++;
        if (table->n_left > 0) table->n_left--;
    }
    cur->n_moved = end;
    if (end < older->n) return;
    table->n_left = 0;
    atomic_store_explicit(&cur->older, NULL, memory_order_release);
    pool_big_retire(&table->pool, older);
}

/* How many of the used slots are alive, from a sample: a bounded look decides whether
 * the next table needs to be larger at all. Errs on the large side. */
static size_t guess_live(const struct identity *table, const struct slots *cur)
{
    size_t n = cur->n < SAMPLE ? cur->n : SAMPLE;
    size_t step = cur->n / n, n_seen = 0, n_dead = 0;
    for (size_t i = 0; i < n; i++) {
        if (lo_at(cur, i * step) == 0) continue;
        n_seen++;
        n_dead += slot_dead(table, cur, i * step);
    }
    /* A sixteenth of doubt, several times the sample's error (1/32 at 3 sigma). */
    size_t n_live_16 = n_seen - n_dead + n_seen / 16;
    if (n_seen < 64 || n_live_16 >= n_seen) return table->n_in;
    return (size_t)((double)table->n_in * (double)n_live_16 / (double)n_seen);
}

bool identity_reserve(struct identity *table, size_t n)
{
    struct slots *cur = atomic_load_explicit(&table->cur, memory_order_relaxed);
    if (cur && fits(table->n_in + table->n_left + n, cur->n)) return true;

    size_t n_live = 0, n_slots = SLOTS_MIN;
    if (cur) {
        move_some(table, SIZE_MAX); /* unfinished only after a reserve of many at once */
        n_live = guess_live(table, cur);
        /* As in id_table.c: the move must be done long before the table is full. */
        if (cur->n / 4 >= SLOTS_MIN) n_slots = cur->n / 4;
    }
    if (n_live + n > SLOTS_MAX / NEW_DEN * NEW_NUM) return false;
    size_t want = (n_live + n) / NEW_NUM * NEW_DEN + FULL_DEN + NEW_DEN;
    if (want > n_slots) n_slots = want;

    struct slots *next =
        pool_big(&table->pool,
                 sizeof(*next) + n_slots * (sizeof(struct id_slot) + sizeof(uint32_t)));
    if (!next) return false;
    next->n = n_slots;
    atomic_store_explicit(&next->older, cur, memory_order_relaxed);
    table->n_in = 0;
    table->n_left = n_live;
    atomic_store_explicit(&table->cur, next, memory_order_release);
    return true;
}

/* ---------------------------------------------------------------- the owner's verbs */

static void forget_in(struct slots *slots, uint64_t lo, uint64_t hi)
{
    uint64_t rest;
    size_t idx = find_in(slots, lo, hi, &rest);
    if (idx == SIZE_MAX) return;
    atomic_store_explicit(&slots->slot[idx].rest, hi << 32 | ORDINAL_NONE,
                          memory_order_relaxed);
}

void identity_remove(struct identity *table, struct hash128 hash)
{
    struct slots *cur = atomic_load_explicit(&table->cur, memory_order_relaxed);
    if (!cur) return;
    struct slots *older = atomic_load_explicit(&cur->older, memory_order_relaxed);
    forget_in(cur, lo_of(hash), hash.hi >> 32);
    if (older) forget_in(older, lo_of(hash), hash.hi >> 32);
}

bool identity_put(struct identity *table, struct hash128 hash, uint32_t ordinal, uint32_t gen)
{
    DASSERT(ordinal != ORDINAL_NONE);
    uint32_t now_ordinal, now_gen;
    if (identity_get(table, hash, &now_ordinal, &now_gen)) {
        if (now_ordinal == ordinal && now_gen == gen) return true;
        if (!identity_reserve(table, 1)) return false;
        identity_remove(table, hash);
    } else if (!identity_reserve(table, 1)) {
        return false;
    }
    struct slots *cur = atomic_load_explicit(&table->cur, memory_order_relaxed);
    put_slot(cur, lo_of(hash), rest_of(hash, ordinal), gen);
    table->n_in++;
    move_some(table, MOVE_STEP);
    return true;
}

bool identity_fill(struct identity *table, struct hash128 hash, uint32_t ordinal, uint32_t gen)
{
    struct slots *cur = atomic_load_explicit(&table->cur, memory_order_relaxed);
    uint64_t lo = lo_of(hash);
    size_t i = place_of(cur, lo);
    for (;;) {
        /* Taking the slot is all that threads must agree on. No look before: a page that is
         * read first and written then costs two faults. */
        uint64_t there = 0;
        if (atomic_compare_exchange_strong_explicit(&cur->slot[i].lo, &there, lo,
                                                    memory_order_relaxed, memory_order_relaxed))
            break;
        if (there == lo) return false;
        i = next_place(cur, i);
    }
    atomic_store_explicit(&cur->slot[i].rest, rest_of(hash, ordinal), memory_order_relaxed);
    gens_of(cur)[i] = gen;
    return true;
}

void identity_filled(struct identity *table, size_t n)
{
    struct slots *cur = atomic_load_explicit(&table->cur, memory_order_relaxed);
    ASSERT(n == 0 || !atomic_load_explicit(&cur->older, memory_order_relaxed));
    table->n_in += n;
}

size_t identity_len(const struct identity *table)
{
    return table->n_in + table->n_left;
}

status identity_check(const struct identity *table, struct err *err)
{
    const struct slots *cur = atomic_load_explicit(&table->cur, memory_order_relaxed);
    if (!cur) return ST_OK;
    const struct slots *tables[2] = {
        cur, atomic_load_explicit(&cur->older, memory_order_relaxed)};

    size_t n_in = 0;
    for (size_t t = 0; t < 2 && tables[t]; t++) {
        const struct slots *slots = tables[t];
        for (size_t i = 0; i < slots->n; i++) {
            uint64_t lo = lo_at(slots, i), rest = rest_at(slots, i), found;
            if (lo == 0) continue;
            n_in += t == 0;
            if ((uint32_t)rest == ORDINAL_NONE) continue;
            if (find_in(slots, lo, rest >> 32, &found) != i) {
                return err_set(err, ST_CORRUPT, "identity table: slot %zu is there twice", i);
            }
        }
    }
    if (n_in == table->n_in) return ST_OK;
    return err_set(err, ST_CORRUPT, "identity table: %zu slots in use, counted %zu", n_in,
                   table->n_in);
}
