/* Sets of delete records. See tombstone.h.
 *
 *     set -> { run, run, run }        newest last
 *     run -> sorted (id, gen) entries {id, range, order, gen}, counted, shared by sets
 *
 * Adding makes a run of the new record's entries and merges it with the last ones while
 * they are not at least twice as large, as a binary counter does; but what is larger than
 * ADD_MERGE_MAX together is left to who filters, on another thread: there sizes fall from
 * run to run, so that O(log n) are left. Runs and sets never change; a new set copies the
 * list of runs.
 */
#include "storage/tombstone.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/panic.h"
#include "base/vec.h"

enum { ADD_MERGE_MAX = 8192 }; /* entries: 0.4 MB, some 200 us */

struct entry {
    uint64_t id;
    struct time_range range;
    uint64_t order, gen;
};

struct run {
    _Atomic uint32_t refs;
    size_t n;
    uint64_t order_min, order_max; /* of all entries */
    struct time_range range;   /* around all entries */
    struct entry entries[];    /* sorted by id, then gen */
};

struct tombstones {
    _Atomic uint32_t refs;
    uint64_t gen;
    size_t n_sealed;           /* of the first runs; whoever adds looks at it and sets it */
    size_t n_runs;
    struct run *runs[];        /* room for as many as set_new() was asked for */
};

/* ---- runs ---- */

static struct run *run_new(size_t n)
{
    size_t bytes;

    if (__builtin_mul_overflow(n, sizeof(struct entry), &bytes)) return NULL;
    struct run *run = mem_try(sizeof(*run) + bytes);
    if (!run) return NULL;
    atomic_store_explicit(&run->refs, 1, memory_order_relaxed);
    run->n = 0;
    run->order_min = UINT64_MAX;
    run->order_max = 0;
    run->range = (struct time_range){TS_MAX, TS_MIN};
    return run;
}

static void run_put(struct run *run, const struct entry *e)
{
    run->entries[run->n++] = *e;
    if (e->order < run->order_min) run->order_min = e->order;
    if (e->order > run->order_max) run->order_max = e->order;
    if (e->range.from < run->range.from) run->range.from = e->range.from;
    if (e->range.to > run->range.to) run->range.to = e->range.to;
}

static struct run *run_ref(struct run *run)
{
    atomic_fetch_add_explicit(&run->refs, 1, memory_order_relaxed);
    return run;
}

static void run_unref(struct run *run)
{
    if (run && atomic_fetch_sub_explicit(&run->refs, 1, memory_order_acq_rel) == 1) mem_free(run);
}

static bool entry_before(const struct entry *a, const struct entry *b)
{
    return a->id != b->id ? a->id < b->id : a->gen < b->gen;
}

static struct run *run_merge(const struct run *a, const struct run *b)
{
    struct run *out = run_new(a->n + b->n);
    size_t i = 0, k = 0;

    if (!out) return NULL;
    while (i < a->n || k < b->n) {
        bool take_a = k == b->n || (i < a->n && entry_before(&a->entries[i], &b->entries[k]));
        run_put(out, take_a ? &a->entries[i++] : &b->entries[k++]);
    }
    return out;
}

/* The first entry of the series. */
static size_t run_seek(const struct run *run, uint64_t id)
{
    size_t from = 0, to = run->n;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        if (run->entries[mid].id < id) from = mid + 1;
        else to = mid;
    }
    return from;
}

/* ---- sets ---- */

/* With room for n_runs. */
static struct tombstones *set_new(size_t n_runs)
{
    struct tombstones *set = mem_try_zero(sizeof(*set) + n_runs * sizeof(set->runs[0]));
    if (set) atomic_store_explicit(&set->refs, 1, memory_order_relaxed);
    return set;
}

struct tombstones *tombstones_ref(struct tombstones *set)
{
    if (set) atomic_fetch_add_explicit(&set->refs, 1, memory_order_relaxed);
    return set;
}

void tombstones_unref(struct tombstones *set)
{
    if (!set || atomic_fetch_sub_explicit(&set->refs, 1, memory_order_acq_rel) != 1) return;
    for (size_t i = 0; i < set->n_runs; i++) run_unref(set->runs[i]);
    mem_free(set);
}

/* Appends base's runs from the first one on; NULL has none. */
static void share_runs(struct tombstones *set, const struct tombstones *base, size_t first)
{
    for (size_t i = first; i < tombstones_runs(base); i++)
        set->runs[set->n_runs++] = run_ref(base->runs[i]);
}

/* Adds a run (taken, also on failure), merging it with the last ones of like size as long
 * as no more than most entries are together. There is room. */
static status push_run(struct tombstones *set, struct run *run, size_t most)
{
    while (set->n_runs > set->n_sealed && set->runs[set->n_runs - 1]->n < 2 * run->n) {
        struct run *last = set->runs[set->n_runs - 1];
        if (last->n + run->n > most) break;
        struct run *both = run_merge(last, run);
        run_unref(run);
        if (!both) return ST_NO_MEMORY;
        run_unref(last);
        set->n_runs--;
        run = both;
    }
    set->runs[set->n_runs++] = run;
    return ST_OK;
}

static struct run *run_of(const struct delete_rec *rec)
{
    struct run *run = run_new(rec->n_ids);

    for (size_t i = 0; run && i < rec->n_ids; i++) {
        struct entry e = {rec->ids[i], rec->range, rec->order, rec->gen};
        run_put(run, &e);
    }
    return run;
}

static status check_rec(const struct delete_rec *rec)
{
    if (range_empty(rec->range)) return ST_INVALID;
    for (size_t i = 1; i < rec->n_ids; i++) {
        if (rec->ids[i] <= rec->ids[i - 1]) return ST_INVALID;
    }
    return ST_OK;
}

status tombstones_add(struct tombstones **out, const struct tombstones *base,
                      const struct delete_rec *rec)
{
    TRY(check_rec(rec));
    struct tombstones *set = set_new(tombstones_runs(base) + 1);
    if (!set) return ST_NO_MEMORY;
    share_runs(set, base, 0);
    set->gen = base ? base->gen : 0;
    set->n_sealed = base ? base->n_sealed : 0;
    if (rec->gen > set->gen) set->gen = rec->gen;
    status st = ST_OK;
    if (rec->n_ids > 0) {
        struct run *run = run_of(rec);
        st = run ? push_run(set, run, ADD_MERGE_MAX) : ST_NO_MEMORY;
    }
    if (st != ST_OK) {
        tombstones_unref(set);
        return st;
    }
    *out = set;
    return ST_OK;
}

/* The entries that are left, or the run itself when all are. *out is NULL for none. */
static status trim_run(struct run **out, struct run *run, uint64_t order_floor)
{
    size_t n = 0;

    *out = NULL;
    if (run->order_max < order_floor) return ST_OK;
    if (run->order_min >= order_floor) {
        *out = run_ref(run);
        return ST_OK;
    }
    for (size_t i = 0; i < run->n; i++) n += run->entries[i].order >= order_floor;
    struct run *left = run_new(n);
    if (!left) return ST_NO_MEMORY;
    for (size_t i = 0; i < run->n; i++) {
        if (run->entries[i].order >= order_floor) run_put(left, &run->entries[i]);
    }
    *out = left;
    return ST_OK;
}

status tombstones_trim(struct tombstones **out, const struct tombstones *base,
                       uint64_t order_floor)
{
    struct tombstones *set = set_new(tombstones_runs(base));

    if (!set) return ST_NO_MEMORY;
    set->gen = base ? base->gen : 0;
    for (size_t i = 0; base && i < base->n_runs; i++) {
        struct run *left;
        status st = trim_run(&left, base->runs[i], order_floor);
        if (st == ST_OK && left) st = push_run(set, left, ADD_MERGE_MAX);
        if (st != ST_OK) {
            tombstones_unref(set);
            return st;
        }
    }
    *out = set;
    return ST_OK;
}

static struct delete_rec rec_of(const struct entry *e)
{
    return (struct delete_rec){&e->id, 1, e->range, e->order, e->gen};
}

status tombstones_filter(struct tombstones **out, const struct tombstones *base,
                         status (*keep)(void *ctx, const struct delete_rec *rec, bool *stays),
                         void *ctx)
{
    struct tombstones *set = set_new(tombstones_runs(base));
    status st = ST_OK;

    if (!set) return ST_NO_MEMORY;
    set->gen = base ? base->gen : 0;
    for (size_t i = 0; base && i < base->n_runs && st == ST_OK; i++) {
        const struct run *run = base->runs[i];
        struct run *left = run_new(run->n);
        if (!left) st = ST_NO_MEMORY;
        for (size_t k = 0; st == ST_OK && k < run->n; k++) {
            struct delete_rec rec = rec_of(&run->entries[k]);
            bool stays = true;
            st = keep(ctx, &rec, &stays);
            if (st == ST_OK && stays) run_put(left, &run->entries[k]);
        }
        if (st == ST_OK && left->n) st = push_run(set, left, SIZE_MAX);
        else run_unref(left);
    }
    if (st != ST_OK) {
        tombstones_unref(set);
        return st;
    }
    *out = set;
    return ST_OK;
}

void tombstones_seal(struct tombstones *set)
{
    set->n_sealed = set->n_runs;
}

status tombstones_rebase(struct tombstones **out, const struct tombstones *old,
                         const struct tombstones *left, const struct tombstones *now)
{
    if (now->n_runs < old->n_runs) return ST_AGAIN;
    for (size_t i = 0; i < old->n_runs; i++)
        if (now->runs[i] != old->runs[i]) return ST_AGAIN;
    struct tombstones *set = set_new(left->n_runs + now->n_runs - old->n_runs);
    if (!set) return ST_NO_MEMORY;
    share_runs(set, left, 0);
    share_runs(set, now, old->n_runs);
    set->gen = now->gen;
    *out = set;
    return ST_OK;
}

/* ---- questions ---- */

bool tombstones_hides(const struct tombstones *set, uint64_t id, ts_time t, uint64_t order_max)
{
    for (size_t i = 0; set && i < set->n_runs; i++) {
        const struct run *run = set->runs[i];
        if (run->order_max < order_max || !range_has(run->range, t)) continue;
        for (size_t k = run_seek(run, id); k < run->n && run->entries[k].id == id; k++) {
            const struct entry *e = &run->entries[k];
            if (e->order >= order_max && range_has(e->range, t)) return true;
        }
    }
    return false;
}

status tombstones_intervals(struct intervals *out, const struct tombstones *set, uint64_t id,
                            uint64_t order_max)
{
    for (size_t i = 0; set && i < set->n_runs; i++) {
        const struct run *run = set->runs[i];
        if (run->order_max < order_max) continue;
        for (size_t k = run_seek(run, id); k < run->n && run->entries[k].id == id; k++) {
            const struct entry *e = &run->entries[k];
            if (e->order >= order_max && !intervals_add(out, e->range)) return ST_NO_MEMORY;
        }
    }
    return ST_OK;
}

bool tombstones_touch(const struct tombstones *set, uint64_t order_max, struct time_range range)
{
    for (size_t i = 0; set && i < set->n_runs; i++) {
        const struct run *run = set->runs[i];
        if (run->order_max >= order_max && range_overlaps(run->range, range)) return true;
    }
    return false;
}

size_t tombstones_count(const struct tombstones *set)
{
    size_t n = 0;
    for (size_t i = 0; set && i < set->n_runs; i++) n += set->runs[i]->n;
    return n;
}

size_t tombstones_runs(const struct tombstones *set)
{
    return set ? set->n_runs : 0;
}

size_t tombstones_bytes(const struct tombstones *set)
{
    if (!set) return 0;
    return sizeof(*set) + set->n_runs * (sizeof(struct run) + sizeof(struct run *)) +
           tombstones_count(set) * sizeof(struct entry);
}

uint64_t tombstones_gen(const struct tombstones *set)
{
    return set ? set->gen : 0;
}

status tombstones_walk(const struct tombstones *set, uint64_t order_min,
                       status (*each)(void *ctx, const struct delete_rec *rec), void *ctx)
{
    for (size_t i = 0; set && i < set->n_runs; i++) {
        const struct run *run = set->runs[i];
        for (size_t k = 0; run->order_max >= order_min && k < run->n; k++) {
            if (run->entries[k].order < order_min) continue;
            struct delete_rec rec = rec_of(&run->entries[k]);
            TRY(each(ctx, &rec));
        }
    }
    return ST_OK;
}

static int cmp_gen(const void *a, const void *b)
{
    const struct entry *x = *(const struct entry *const *)a, *y = *(const struct entry *const *)b;
    if (x->gen != y->gen) return x->gen < y->gen ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

status tombstones_each(const struct tombstones *set,
                       status (*each)(void *ctx, const struct delete_rec *rec), void *ctx)
{
    size_t n = tombstones_count(set), at = 0;
    status st = ST_OK;

    if (n == 0) return ST_OK;
    const struct entry **order = mem_try_array(n, sizeof(order[0]));
    if (!order) return ST_NO_MEMORY;
    for (size_t i = 0; i < set->n_runs; i++) {
        for (size_t k = 0; k < set->runs[i]->n; k++) order[at++] = &set->runs[i]->entries[k];
    }
    qsort(order, n, sizeof(order[0]), cmp_gen);
    for (size_t i = 0; i < n && st == ST_OK; i++) {
        struct delete_rec rec = rec_of(order[i]);
        st = each(ctx, &rec);
    }
    mem_free(order);
    return st;
}
