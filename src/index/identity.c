/* Hashes of names -> {ordinal, gen}. See identity.h for the promises.
 *
 *     bucket, a cache line: | lo x 3 | rest x 3 | gen x 3 | 4 bytes free |
 *     lo    64 bits of the hash, never 0 when the slot is taken
 *     rest  32 bits of hi << 32 | ordinal
 *
 * What a look-up needs lies in one line of memory: at a million series that line is the
 * whole cost, and a table of single slots with the generations beside it took two to three.
 * The place of a hash is its fraction of the table (lo * n / 2^64), so a table may have any
 * size and is never far from full, and moving to another table goes through both in order,
 * not at random. Slots of a bucket are taken in order; who finds its bucket full goes to the
 * next one, so a free slot ends every search. A slot that was published never changes but
 * for its ordinal becoming ORDINAL_NONE (forgotten), so a reader always sees an ordinal and
 * a generation that were put together. A hash that is put again gets a new slot. Forgotten
 * and stale slots vanish when the table moves.
 *
 * The move works as in id_table_priv.h.
 */
#include "index/identity.h"

#include "base/mem.h"
#include "base/panic.h"
#include "index/index_pool_priv.h"
#include "model/batch.h"

enum { BUCKET = 3, BUCKETS_MIN = 8, MOVE_STEP = 24, MOVE_IDLE = 64, SAMPLE = 1024 };

/* Slots are full at 4/5; a new table begins at 3/5, so the mean is about 7/10. Searches for
 * what is there look at 1.1 to 1.3 buckets, for what is not at 1.4 to 2. */
enum { FULL_NUM = 4, FULL_DEN = 5, NEW_NUM = 3, NEW_DEN = 5 };
#define SLOTS_MAX ((size_t)1 << 34)

struct bucket {
    _Alignas(64) _Atomic uint64_t lo[BUCKET];
    _Atomic uint64_t rest[BUCKET];
    uint32_t gen[BUCKET];
};

_Static_assert(sizeof(struct bucket) == 64, "a cache line");

struct slots {
    _Atomic(struct slots *) older;
    struct bucket *bucket; /* behind the struct, on the next cache line */
    size_t n;              /* buckets */
    size_t n_moved;        /* buckets; owner */
};

/* Where a hash was found; bucket is NULL when it was not. */
struct place {
    struct bucket *bucket;
    unsigned idx;
    uint64_t rest;         /* what it held */
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

static inline uint64_t lo_of(struct hash128 hash)
{
    return hash.lo ? hash.lo : 1;
}

static inline uint64_t rest_of(struct hash128 hash, uint32_t ordinal)
{
    return (hash.hi >> 32) << 32 | ordinal;
}

/* Where a hash belongs; the order of places is the order of hashes. */
static inline struct bucket *bucket_of(const struct slots *slots, uint64_t lo)
{
    return &slots->bucket[(size_t)((unsigned __int128)lo * slots->n >> 64)];
}

static inline struct bucket *next_bucket(const struct slots *slots, struct bucket *at)
{
    return ++at == slots->bucket + slots->n ? slots->bucket : at;
}

static inline uint64_t lo_at(const struct bucket *at, unsigned idx)
{
    return atomic_load_explicit(&at->lo[idx], memory_order_acquire);
}

static inline uint64_t rest_at(const struct bucket *at, unsigned idx)
{
    return atomic_load_explicit(&at->rest[idx], memory_order_relaxed);
}

/* The slot of the hash that is not forgotten. */
static inline struct place find_in(const struct slots *slots, uint64_t lo, uint64_t hi)
{
    for (struct bucket *at = bucket_of(slots, lo);; at = next_bucket(slots, at)) {
        for (unsigned i = 0; i < BUCKET; i++) {
            uint64_t there = lo_at(at, i);
            if (there == lo) {
                uint64_t rest = rest_at(at, i);
                if (rest >> 32 == hi && (uint32_t)rest != ORDINAL_NONE)
                    return (struct place){at, i, rest};
            }
            if (there == 0) return (struct place){NULL, 0, 0};
        }
    }
}

bool identity_get(const struct identity *table, struct hash128 hash, uint32_t *ordinal,
                  uint32_t *gen)
{
    const struct slots *slots = atomic_load_explicit(&table->cur, memory_order_acquire);
    if (!slots) return false;

    const struct slots *older = atomic_load_explicit(&slots->older, memory_order_acquire);
    uint64_t lo = lo_of(hash), hi = hash.hi >> 32;
    struct place found = find_in(slots, lo, hi);
    if (!found.bucket && older) found = find_in(older, lo, hi);
    if (!found.bucket) return false;
    *ordinal = (uint32_t)found.rest;
    *gen = found.bucket->gen[found.idx];
    return true;
}

void identity_prefetch(const struct identity *table, struct hash128 hash)
{
    const struct slots *slots = atomic_load_explicit(&table->cur, memory_order_acquire);
    if (!slots) return;
    const struct slots *older = atomic_load_explicit(&slots->older, memory_order_acquire);
    __builtin_prefetch(bucket_of(slots, lo_of(hash)));
    if (unlikely(older)) __builtin_prefetch(bucket_of(older, lo_of(hash)));
}

/* ---------------------------------------------------------------- growth */

static inline bool fits(size_t n_used, size_t n_buckets)
{
    return n_used <= n_buckets * BUCKET / FULL_DEN * FULL_NUM;
}

static void put_slot(struct slots *slots, uint64_t lo, uint64_t rest, uint32_t gen)
{
    struct bucket *at = bucket_of(slots, lo);
    unsigned i = 0;
    while (lo_at(at, i) != 0) {
        if (++i < BUCKET) continue;
        at = next_bucket(slots, at);
        i = 0;
    }
    atomic_store_explicit(&at->rest[i], rest, memory_order_relaxed);
    at->gen[i] = gen;
    atomic_store_explicit(&at->lo[i], lo, memory_order_release);
}

static bool slot_dead(const struct identity *table, const struct bucket *at, unsigned idx)
{
    uint32_t ordinal = (uint32_t)rest_at(at, idx);
    return ordinal == ORDINAL_NONE || table->stale(table->ctx, ordinal, at->gen[idx]);
}

static void move_some(struct identity *table, size_t n)
{
    struct slots *cur = atomic_load_explicit(&table->cur, memory_order_relaxed);
    struct slots *older = atomic_load_explicit(&cur->older, memory_order_relaxed);
    if (!older) return;

    size_t end = older->n - cur->n_moved < n ? older->n : cur->n_moved + n;
    for (size_t b = cur->n_moved; b < end; b++) {
        const struct bucket *at = &older->bucket[b];
        for (unsigned i = 0; i < BUCKET && lo_at(at, i) != 0; i++) {
            if (slot_dead(table, at, i)) continue;
            put_slot(cur, lo_at(at, i), rest_at(at, i), at->gen[i]);
            table->n_in++;
            if (table->n_left > 0) table->n_left--;
        }
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
    size_t n = cur->n < SAMPLE / 2 ? cur->n : SAMPLE / 2;
    size_t step = cur->n / n, n_seen = 0, n_dead = 0;
    for (size_t b = 0; b < n; b++) {
        const struct bucket *at = &cur->bucket[b * step];
        for (unsigned i = 0; i < BUCKET && lo_at(at, i) != 0; i++) {
            n_seen++;
            n_dead += slot_dead(table, at, i);
        }
    }
    /* A sixteenth of doubt, several times the sample's error (1/32 at 3 sigma). */
    size_t n_live_16 = n_seen - n_dead + n_seen / 16;
    if (n_seen < 64 || n_live_16 >= n_seen) return table->n_in;
    return (size_t)((double)table->n_in * (double)n_live_16 / (double)n_seen);
}

/* An empty table, or NULL. */
static struct slots *new_slots(struct identity *table, size_t n_buckets)
{
    struct slots *slots = pool_big(&table->pool, sizeof(*slots) + sizeof(struct bucket) +
                                                     n_buckets * sizeof(struct bucket));
    if (!slots) return NULL;
    uintptr_t behind = (uintptr_t)(slots + 1) + sizeof(struct bucket) - 1;
    slots->bucket = (struct bucket *)(behind & ~(uintptr_t)(sizeof(struct bucket) - 1));
    slots->n = n_buckets;
    return slots;
}

bool identity_reserve(struct identity *table, size_t n)
{
    struct slots *cur = atomic_load_explicit(&table->cur, memory_order_relaxed);
    if (cur && fits(table->n_in + table->n_left + n, cur->n)) return true;

    size_t n_live = 0, n_buckets = BUCKETS_MIN;
    if (cur) {
        move_some(table, SIZE_MAX); /* unfinished only after a reserve of many at once */
        n_live = guess_live(table, cur);
        /* As in id_table.c: the move must be done long before the table is full. */
        if (cur->n / 4 >= BUCKETS_MIN) n_buckets = cur->n / 4;
    }
    if (n_live + n > SLOTS_MAX / NEW_DEN * NEW_NUM) return false;
    size_t want = ((n_live + n) / NEW_NUM * NEW_DEN + FULL_DEN + NEW_DEN) / BUCKET + 1;
    if (want > n_buckets) n_buckets = want;

    struct slots *next = new_slots(table, n_buckets);
    if (!next) return false;
    atomic_store_explicit(&next->older, cur, memory_order_relaxed);
    table->n_in = 0;
    table->n_left = n_live;
    atomic_store_explicit(&table->cur, next, memory_order_release);
    return true;
}

/* ---------------------------------------------------------------- the owner's verbs */

static void forget_in(struct slots *slots, uint64_t lo, uint64_t hi)
{
    struct place found = find_in(slots, lo, hi);
    if (!found.bucket) return;
    atomic_store_explicit(&found.bucket->rest[found.idx], hi << 32 | ORDINAL_NONE,
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

void identity_move(struct identity *table)
{
    if (atomic_load_explicit(&table->cur, memory_order_relaxed)) move_some(table, MOVE_IDLE);
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
    struct bucket *at = bucket_of(cur, lo);
    unsigned i = 0;
    for (;;) {
        /* Taking the slot is all that threads must agree on. No look before: a page that is
         * read first and written then costs two faults. */
        uint64_t there = 0;
        if (atomic_compare_exchange_strong_explicit(&at->lo[i], &there, lo, memory_order_relaxed,
                                                    memory_order_relaxed))
            break;
        if (there == lo) return false;
        if (++i < BUCKET) continue;
        at = next_bucket(cur, at);
        i = 0;
    }
    atomic_store_explicit(&at->rest[i], rest_of(hash, ordinal), memory_order_relaxed);
    at->gen[i] = gen;
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

/* Counts what is in the bucket; false when a slot cannot be found or comes after a free one. */
static bool check_bucket(const struct slots *slots, struct bucket *at, size_t *n_in)
{
    bool ended = false;
    for (unsigned i = 0; i < BUCKET; i++) {
        uint64_t lo = lo_at(at, i), rest = rest_at(at, i);
        if (lo == 0) {
            ended = true;
            continue;
        }
        if (ended) return false;
        ++*n_in;
        if ((uint32_t)rest == ORDINAL_NONE) continue;
        struct place found = find_in(slots, lo, rest >> 32);
        if (found.bucket != at || found.idx != i) return false;
    }
    return true;
}

status identity_check(const struct identity *table, struct err *err)
{
    const struct slots *cur = atomic_load_explicit(&table->cur, memory_order_relaxed);
    if (!cur) return ST_OK;
    const struct slots *tables[2] = {
        cur, atomic_load_explicit(&cur->older, memory_order_relaxed)};

    size_t n_in[2] = {0, 0};
    for (size_t t = 0; t < 2 && tables[t]; t++) {
        const struct slots *slots = tables[t];
        for (size_t b = 0; b < slots->n; b++) {
            if (check_bucket(slots, &slots->bucket[b], &n_in[t])) continue;
            return err_set(err, ST_CORRUPT,
                           "identity table: bucket %zu has a slot twice or out of order", b);
        }
    }
    if (n_in[0] == table->n_in) return ST_OK;
    return err_set(err, ST_CORRUPT, "identity table: %zu slots in use, counted %zu", n_in[0],
                   table->n_in);
}
