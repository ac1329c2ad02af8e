/* The store of exemplars. See exemplars.h.
 *
 *     by id       open addressing, indices of series, linear probing
 *     series      dense; the last one takes the place of one that goes
 *       oldest -> newer -> newer -> newest     a chain of entries each
 *     all         every entry in the order in which it came in
 *
 * An entry is one block: the struct and its packed labels. A walk stands before an entry of
 * `all`; whoever takes that entry out moves the walk on.
 */
#include "engine/exemplars.h"

#include <string.h>

#include "base/bits.h"
#include "base/hash.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/panic.h"
#include "base/vec.h"

enum {
    HEAP_EXTRA = 16,           /* what the heap adds to a block: a guess */
    TABLE_MIN = 64,
    EVICT_FOR_BYTES = 8,       /* entries that go when memory is refused, before giving up */
};

struct entry {
    struct list all;
    struct entry *newer;       /* of the series, or NULL */
    uint64_t seq;              /* the how manieth that ever came in */
    uint32_t series;           /* index */
    uint32_t len;
    ts_time ts;
    double value;
    bool has_ts;
    char labels[];
};

struct series {
    series_id id;
    struct entry *oldest, *newest; /* at least one */
    uint32_t n;
};

struct exemplars {
    struct mutex lock;         /* all below */
    struct exemplar_limits limits;
    struct account *account;
    struct list all, walks;
    VEC(struct series) series;
    uint32_t *table;           /* 1 + index; 0: free */
    size_t n_table;            /* a power of two, at least twice the series */
    uint64_t seq, version;
    struct exemplar_stats stats;
};

struct exemplars *exemplars_new(const struct exemplar_limits *limits, struct account *account)
{
    struct exemplars *store = mem_try_zero(sizeof(*store));
    if (!store) return NULL;
    mutex_init(&store->lock, LOCK_CACHE);
    store->limits = *limits;
    store->account = account;
    list_init(&store->all);
    list_init(&store->walks);
    return store;
}

static size_t entry_bytes(const struct entry *e)
{
    return sizeof(*e) + e->len + HEAP_EXTRA;
}

static size_t table_bytes(const struct exemplars *store)
{
    return store->series.cap * sizeof(struct series) + store->n_table * sizeof(uint32_t);
}

void exemplars_free(struct exemplars *store)
{
    if (!store) return;
    ASSERT(list_empty(&store->walks));
    struct list *at;
    while ((at = list_pop(&store->all))) {
        struct entry *e = container_of(at, struct entry, all);
        account_release(store->account, entry_bytes(e));
        mem_free(e);
    }
    account_release(store->account, table_bytes(store));
    vec_release(&store->series);
    mem_free(store->table);
    mutex_release(&store->lock);
    mem_free(store);
}

/* ---- series by id ---------------------------------------------------------------- */

static size_t home_of(const struct exemplars *store, series_id id)
{
    return (size_t)hash_mix(id) & (store->n_table - 1);
}

/* The slot that has the id, or the free one where it would be. */
static size_t slot_of(const struct exemplars *store, series_id id)
{
    size_t slot = home_of(store, id);
    while (store->table[slot] && store->series.ptr[store->table[slot] - 1].id != id)
        slot = (slot + 1) & (store->n_table - 1);
    return slot;
}

static struct series *find(const struct exemplars *store, series_id id)
{
    if (!store->n_table) return NULL;
    uint32_t at = store->table[slot_of(store, id)];
    return at ? &store->series.ptr[at - 1] : NULL;
}

/* Frees a slot; those behind it that could not have their homes come closer. */
static void clear_slot(struct exemplars *store, size_t slot)
{
    size_t mask = store->n_table - 1;
    for (size_t next = (slot + 1) & mask; store->table[next]; next = (next + 1) & mask) {
        size_t home = home_of(store, store->series.ptr[store->table[next] - 1].id);
        if (((next - home) & mask) < ((next - slot) & mask)) continue;
        store->table[slot] = store->table[next];
        slot = next;
    }
    store->table[slot] = 0;
}

static bool grow_table(struct exemplars *store)
{
    size_t n = store->n_table ? 2 * store->n_table : TABLE_MIN;
    uint32_t *table = mem_try_zero(n * sizeof(*table));
    if (!table) return false;
    mem_free(store->table);
    store->table = table;
    store->n_table = n;
    for (size_t i = 0; i < store->series.len; i++)
        table[slot_of(store, store->series.ptr[i].id)] = (uint32_t)i + 1;
    return true;
}

/* Room for one more series. */
static bool reserve_series(struct exemplars *store)
{
    size_t before = table_bytes(store);
    bool ok = vec_reserve(&store->series, 1) &&
              (2 * (store->series.len + 1) <= store->n_table || grow_table(store));
    account_force(store->account, table_bytes(store) - before);
    return ok;
}

/* The series has no entry any more. */
static void forget_series(struct exemplars *store, uint32_t idx)
{
    uint32_t last = (uint32_t)store->series.len - 1;
    clear_slot(store, slot_of(store, store->series.ptr[idx].id));
    if (idx != last) {
        size_t slot = slot_of(store, store->series.ptr[last].id);
        store->series.ptr[idx] = store->series.ptr[last];
        store->table[slot] = idx + 1;
        for (struct entry *e = store->series.ptr[idx].oldest; e; e = e->newer) e->series = idx;
    }
    store->series.len--;
}

/* ---- entries going ---------------------------------------------------------------- */

/* Takes an entry, which no chain has any more, out of the order and frees it. */
static void free_entry(struct exemplars *store, struct entry *e)
{
    list_each(at, &store->walks) {
        struct exemplar_walk *walk = container_of(at, struct exemplar_walk, link);
        if (walk->next == &e->all) walk->next = e->all.next;
    }
    list_remove(&e->all);
    account_release(store->account, entry_bytes(e));
    mem_free(e);
    store->stats.n_exemplars--;
    store->version++;
}

static void drop_oldest(struct exemplars *store, struct series *s)
{
    struct entry *e = s->oldest;
    uint32_t idx = e->series;
    s->oldest = e->newer;
    s->n--;
    if (!s->oldest) forget_series(store, idx);
    free_entry(store, e);
}

/* The one that came in longest ago is the oldest of its series. */
static void evict(struct exemplars *store)
{
    struct entry *e = container_of(store->all.next, struct entry, all);
    drop_oldest(store, &store->series.ptr[e->series]);
    store->stats.n_evicted++;
}

void exemplars_drop(struct exemplars *store, series_id id)
{
    mutex_lock(&store->lock);
    struct series *s = find(store, id);
    for (uint32_t n = s ? s->n : 0; n > 0; n--) drop_oldest(store, s);
    mutex_unlock(&store->lock);
}

static void delete_range(struct exemplars *store, struct series *s, struct time_range range)
{
    struct entry *before = NULL, *next;
    for (struct entry *e = s->oldest; e; e = next) {
        next = e->newer;
        if (!range_has(range, e->ts)) {
            before = e;
            continue;
        }
        if (before) before->newer = next;
        else s->oldest = next;
        s->n--;
        if (s->newest == e) s->newest = before;
        if (!s->oldest) forget_series(store, e->series); /* next is NULL */
        free_entry(store, e);
    }
}

void exemplars_delete(struct exemplars *store, const uint64_t *ids, size_t n,
                      struct time_range range)
{
    mutex_lock(&store->lock);
    for (size_t i = 0; i < n && store->series.len; i++) {
        struct series *s = find(store, ids[i]);
        if (s) delete_range(store, s, range);
    }
    mutex_unlock(&store->lock);
}

/* ---- entries coming --------------------------------------------------------------- */

static struct exemplar view_of(const struct entry *e)
{
    return (struct exemplar){.ts = e->ts,
                             .value = e->value,
                             .has_ts = e->has_ts,
                             .labels = slice_of(e->labels, e->len)};
}

/* A charged block, or NULL. Others may have gone to make room. */
static struct entry *make_entry(struct exemplars *store, const struct exemplar *ex)
{
    size_t bytes = sizeof(struct entry) + ex->labels.len;
    unsigned n_gone = 0;
    while (!account_charge(store->account, bytes + HEAP_EXTRA)) {
        if (list_empty(&store->all) || n_gone++ == EVICT_FOR_BYTES) return NULL;
        evict(store);
    }
    struct entry *e = mem_try(bytes);
    if (!e) {
        account_release(store->account, bytes + HEAP_EXTRA);
        return NULL;
    }
    *e = (struct entry){.ts = ex->ts,
                        .value = ex->value,
                        .has_ts = ex->has_ts,
                        .len = (uint32_t)ex->labels.len,
                        .seq = store->seq};
    memcpy(e->labels, ex->labels.ptr, ex->labels.len);
    return e;
}

static enum exemplar_verdict look(const struct exemplars *store, series_id id,
                                  const struct exemplar *ex)
{
    const struct series *s = find(store, id);
    if (!s) return EXEMPLAR_STORED;
    struct exemplar newest = view_of(s->newest);
    if (exemplar_same(&newest, ex)) return EXEMPLAR_DUPLICATE;
    return exemplar_cmp(ex, &newest) < 0 ? EXEMPLAR_OUT_OF_ORDER : EXEMPLAR_STORED;
}

static enum exemplar_verdict store_it(struct exemplars *store, series_id id,
                                      const struct exemplar *ex)
{
    if (store->limits.total == 0) return EXEMPLAR_NO_ROOM;
    struct entry *e = make_entry(store, ex);
    if (!e) return EXEMPLAR_NO_ROOM;
    /* What goes may take the series along: look for it last. */
    struct series *s = find(store, id);
    if (s && s->n >= store->limits.per_series) {
        store->stats.n_evicted++;
        drop_oldest(store, s);
    } else if (store->stats.n_exemplars >= store->limits.total) {
        evict(store);
    }
    s = find(store, id);
    if (!s && !reserve_series(store)) {
        account_release(store->account, entry_bytes(e));
        mem_free(e);
        return EXEMPLAR_NO_ROOM;
    }
    if (!s) {
        (void)vec_push(&store->series, (struct series){.id = id}); /* there is room */
        store->table[slot_of(store, id)] = (uint32_t)store->series.len;
        s = &store->series.ptr[store->series.len - 1];
        s->oldest = e;
    } else {
        s->newest->newer = e;
    }
    s->newest = e;
    s->n++;
    e->series = (uint32_t)(s - store->series.ptr);
    list_push(&store->all, &e->all);
    store->seq++;
    store->version++;
    store->stats.n_exemplars++;
    return EXEMPLAR_STORED;
}

enum exemplar_verdict exemplars_put(struct exemplars *store, series_id id,
                                    const struct exemplar *ex)
{
    struct exemplar_stats *stats = &store->stats;
    mutex_lock(&store->lock);
    enum exemplar_verdict verdict = look(store, id, ex);
    if (verdict == EXEMPLAR_STORED) verdict = store_it(store, id, ex);
    switch (verdict) {
    case EXEMPLAR_STORED: stats->n_stored++; break;
    case EXEMPLAR_DUPLICATE: stats->n_duplicate++; break;
    case EXEMPLAR_OUT_OF_ORDER: stats->n_out_of_order++; break;
    case EXEMPLAR_NO_ROOM: stats->n_no_room++; break;
    }
    mutex_unlock(&store->lock);
    return verdict;
}

void exemplars_stats(struct exemplars *store, struct exemplar_stats *out)
{
    mutex_lock(&store->lock);
    *out = store->stats;
    out->n_series = store->series.len;
    mutex_unlock(&store->lock);
}

void exemplars_begin_stats(struct exemplars *store)
{
    mutex_lock(&store->lock);
    store->stats = (struct exemplar_stats){.n_exemplars = store->stats.n_exemplars};
    mutex_unlock(&store->lock);
}

/* ---- reading ----------------------------------------------------------------------- */

status exemplars_series(struct exemplars *store, struct arena *arena, uint64_t **ids, size_t *n)
{
    mutex_lock(&store->lock);
    size_t len = store->series.len;
    uint64_t *list = arena_try_array(arena, len + 1, sizeof(*list));
    for (size_t i = 0; list && i < len; i++) list[i] = store->series.ptr[i].id;
    mutex_unlock(&store->lock);
    if (!list) return ST_NO_MEMORY;
    *ids = list;
    *n = len;
    return ST_OK;
}

static status copy_range(const struct series *s, struct time_range range, struct arena *arena,
                         struct exemplar **out, size_t *n)
{
    struct exemplar *list = arena_try_array(arena, (size_t)s->n + 1, sizeof(*list));
    size_t kept = 0;
    if (!list) return ST_NO_MEMORY;
    for (const struct entry *e = s->oldest; e; e = e->newer) {
        if (!range_has(range, e->ts)) continue;
        struct exemplar ex = view_of(e);
        ex.labels = arena_copy(arena, ex.labels);
        if (!ex.labels.ptr) return ST_NO_MEMORY;
        list[kept++] = ex;
    }
    *out = list;
    *n = kept;
    return ST_OK;
}

status exemplars_read(struct exemplars *store, series_id id, struct time_range range,
                      struct arena *arena, struct exemplar **out, size_t *n)
{
    status st = ST_OK;
    *n = 0;
    mutex_lock(&store->lock);
    const struct series *s = find(store, id);
    if (s) st = copy_range(s, range, arena, out, n);
    mutex_unlock(&store->lock);
    return st;
}

/* ---- walking ----------------------------------------------------------------------- */

uint64_t exemplars_version(struct exemplars *store)
{
    mutex_lock(&store->lock);
    uint64_t version = store->version;
    mutex_unlock(&store->lock);
    return version;
}

uint64_t exemplars_mark(struct exemplars *store)
{
    mutex_lock(&store->lock);
    uint64_t mark = store->seq;
    mutex_unlock(&store->lock);
    return mark;
}

void exemplars_walk_begin(struct exemplars *store, struct exemplar_walk *walk, uint64_t mark)
{
    mutex_lock(&store->lock);
    walk->next = store->all.next;
    walk->mark = mark;
    list_push(&store->walks, &walk->link);
    mutex_unlock(&store->lock);
}

void exemplars_walk_end(struct exemplars *store, struct exemplar_walk *walk)
{
    mutex_lock(&store->lock);
    list_remove(&walk->link);
    mutex_unlock(&store->lock);
}

status exemplars_walk(struct exemplars *store, struct exemplar_walk *walk, size_t max,
                      status (*each)(void *ctx, series_id id, const struct exemplar *ex),
                      void *ctx, bool *more)
{
    status st = ST_OK;
    *more = true;
    mutex_lock(&store->lock);
    for (size_t i = 0; i < max && st == ST_OK; i++) {
        const struct entry *e = container_of(walk->next, struct entry, all);
        if (walk->next == &store->all || e->seq >= walk->mark) {
            *more = false;
            break;
        }
        struct exemplar ex = view_of(e);
        st = each(ctx, store->series.ptr[e->series].id, &ex);
        walk->next = e->all.next;
    }
    mutex_unlock(&store->lock);
    return st;
}

/* ---- check ------------------------------------------------------------------------- */

static status check_series(const struct exemplars *store, size_t idx, struct err *err)
{
    const struct series *s = &store->series.ptr[idx];
    uint32_t n = 0;
    if (!s->oldest || find(store, s->id) != s)
        return err_set(err, ST_CORRUPT, "exemplars: series %llu is lost",
                       (unsigned long long)s->id);
    for (const struct entry *e = s->oldest; e; e = e->newer) {
        struct exemplar a = view_of(e), b;
        n++;
        if (e->series != idx || (!e->newer && e != s->newest))
            return err_set(err, ST_CORRUPT, "exemplars: a chain of series %llu is broken",
                           (unsigned long long)s->id);
        if (!e->newer) break;
        b = view_of(e->newer);
        if (exemplar_cmp(&a, &b) > 0 || e->seq >= e->newer->seq)
            return err_set(err, ST_CORRUPT, "exemplars of series %llu are out of order",
                           (unsigned long long)s->id);
    }
    if (n == s->n && n <= store->limits.per_series) return ST_OK;
    return err_set(err, ST_CORRUPT, "exemplars: series %llu has %u, and says %u",
                   (unsigned long long)s->id, n, s->n);
}

status exemplars_check(struct exemplars *store, struct err *err)
{
    status st = ST_OK;
    uint64_t n = 0, n_listed = 0;
    mutex_lock(&store->lock);
    for (size_t i = 0; i < store->series.len && st == ST_OK; i++) {
        st = check_series(store, i, err);
        n += store->series.ptr[i].n;
    }
    list_each(at, &store->all) n_listed++;
    if (st == ST_OK && (n != store->stats.n_exemplars || n != n_listed))
        st = err_set(err, ST_CORRUPT, "exemplars: %llu in series, %llu in order, %llu counted",
                     (unsigned long long)n, (unsigned long long)n_listed,
                     (unsigned long long)store->stats.n_exemplars);
    mutex_unlock(&store->lock);
    return st;
}
