/* From records to a registry, in bulk: no look-up by text, no list grown step by step.
 *
 *   reserve   owner      room in every table; where each label list will lie
 *   entries   threads    each a range of records: entry, label list, the hash of the
 *                        identity, how many series each pair has
 *   tables    threads    one fills identity, id and key tables, one the posting lists:
 *                        ordinals are dealt to pairs by counting, so each list is made
 *                        once, at its full length
 *   publish   owner      births and counts
 *
 * Nobody else sees the registry meanwhile. Threads write to disjoint memory, and only
 * one of each pair that runs together takes from a pool. After a failure the registry
 * is to be freed.
 */
#include "index/registry_records_priv.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/panic.h"
#include "base/thread.h"

enum { THREADS_MAX = 8, RECORDS_A_THREAD = 4096, PREFETCH = 16 };

#define DAMAGED(err, ...) err_set(err, ST_CORRUPT, __VA_ARGS__)

struct build {
    struct registry *reg;
    struct record *records;
    uint32_t n;
    struct hash128 *hashes;      /* by ordinal */
    uint32_t *ranks;             /* of a name id in the order of texts */
    uint32_t *starts;            /* by pair: where its ordinals begin; n_pairs + 1 */
};

/* ---------------------------------------------------------------- reserve */

static int cmp_names(const void *a, const void *b, void *dict)
{
    return slice_cmp(dict_text(dict, *(const uint32_t *)a), dict_text(dict, *(const uint32_t *)b));
}

static status rank_names(struct build *b)
{
    uint32_t n = dict_len(b->reg->names);
    b->ranks = mem_try_array(n ? n : 1, sizeof(*b->ranks));
    uint32_t *order = mem_try_array(n ? n : 1, sizeof(*order));
    if (!b->ranks || !order) {
        mem_free(order);
        return ST_NO_MEMORY;
    }
    for (uint32_t i = 0; i < n; i++) order[i] = i;
    if (n > 1) qsort_r(order, n, sizeof(*order), cmp_names, b->reg->names);
    for (uint32_t i = 0; i < n; i++) b->ranks[order[i]] = i;
    mem_free(order);
    return ST_OK;
}

static uint32_t drop_dead(record_vec *records)
{
    size_t n = 0;
    for (size_t i = 0; i < records->len; i++)
        if (!records->ptr[i].dead) records->ptr[n++] = records->ptr[i];
    records->len = n;
    return (uint32_t)n;
}

/* Everything that only one thread may do. */
static status prepare(struct build *b)
{
    struct registry *reg = b->reg;
    uint32_t n_keyed = 0;
    for (uint32_t i = 0; i < b->n; i++) {
        struct record *rec = &b->records[i];
        rec->to = packed_store_alloc(&reg->packed, rec->len);
        if (rec->to == PACKED_NONE || !segvec_reserve(&reg->entries, i) ||
            !ordinal_bits_reserve(&reg->dead, i) || !id_pages_reserve(&reg->ids, rec->id))
            return ST_NO_MEMORY;
        id_pages_put(&reg->ids, rec->id, i);
        n_keyed += rec->packed[0] & 1;
        if (!rec->attrs) continue;
        struct series_attrs *attrs = pool_alloc(&reg->pool, sizeof(*attrs));
        if (!attrs) return ST_NO_MEMORY;
        record_attrs(attrs, rec->attrs);
        atomic_store_explicit(&entry_at(reg, i)->attrs, attrs, memory_order_relaxed);
    }
    atomic_store_explicit(&reg->n_keyed, n_keyed, memory_order_relaxed);
    if (!identity_reserve(reg->identity, b->n) || !id_table_reserve(&reg->keys, n_keyed))
        return ST_NO_MEMORY;
    b->hashes = mem_try_array(b->n ? b->n : 1, sizeof(*b->hashes));
    b->starts = mem_try_zero((n_pairs(reg) + (size_t)1) * sizeof(*b->starts));
    return b->hashes && b->starts ? rank_names(b) : ST_NO_MEMORY;
}

/* ---------------------------------------------------------------- entries */

struct entries_task {
    struct build *build;
    uint32_t from, to;
    uint32_t *counts;            /* by pair */
    VEC(uint8_t) identity;
    status st;
    struct err err;
};

static bool put_raw(struct entries_task *task, struct slice raw)
{
    if (!vec_reserve(&task->identity, raw.len)) return false;
    memcpy(task->identity.ptr + task->identity.len, raw.ptr, raw.len);
    task->identity.len += raw.len;
    return true;
}

static bool put_text(struct entries_task *task, struct slice text)
{
    if (!vec_reserve(&task->identity, VARINT_MAX + text.len)) return false;
    uint8_t *at = task->identity.ptr + task->identity.len;
    at += varint_put(at, text.len);
    memcpy(at, text.ptr, text.len);
    task->identity.len = (size_t)(at - task->identity.ptr) + text.len;
    return true;
}

static const struct slice key_name = {LABEL_KEY, sizeof(LABEL_KEY) - 1};
static const struct slice metric_name = {LABEL_NAME, sizeof(LABEL_NAME) - 1};

/* The identity's bytes (model/label.h) from the texts as the dictionaries hold them;
 * checks the order of the names on the way. */
static status make_identity(struct entries_task *task, uint32_t ordinal, uint32_t metric)
{
    const struct build *b = task->build;
    const struct registry *reg = b->reg;
    const uint8_t *bytes = b->records[ordinal].packed;
    struct packed list = packed_open(bytes);
    struct packed all = packed_open(bytes);
    struct slice key = {NULL, 0};
    if (list.keyed) {
        while (all.n > 0) (void)packed_next(&all);
        key = packed_key(&all);
        all = packed_open(bytes);
    }
    struct slice name = {"", 0};
    uint32_t value_of_metric = DICT_NONE;
    while (all.n > 0 && metric != DICT_NONE) {
        const struct pair *pair = pair_at(reg, packed_next(&all));
        if (pair->name == metric) value_of_metric = pair->value;
    }
    task->identity.len = 0;
    bool ok = value_of_metric == DICT_NONE ? put_text(task, name)
                                           : put_raw(task, dict_raw(reg->values, value_of_metric));
    uint32_t before = UINT32_MAX;
    bool key_due = list.keyed;
    while (list.n > 0 && ok) {
        uint32_t id = packed_next(&list);
        const struct pair *pair = pair_at(reg, id);
        if (before != UINT32_MAX && b->ranks[before] >= b->ranks[pair->name])
            return DAMAGED(&task->err, "series %u: labels out of order", ordinal);
        before = pair->name;
        task->counts[id]++;
        if (key_due && slice_cmp(key_name, dict_text(reg->names, pair->name)) < 0) {
            ok = put_text(task, key_name) && put_text(task, key);
            key_due = false;
        }
        if (pair->name == metric) continue;
        ok = ok && put_raw(task, dict_raw(reg->names, pair->name)) &&
             put_raw(task, dict_raw(reg->values, pair->value));
    }
    if (key_due) ok = ok && put_text(task, key_name) && put_text(task, key);
    if (!ok) return ST_NO_MEMORY;
    b->hashes[ordinal] = labels_hash_as(hash128(task->identity.ptr, task->identity.len),
                                         b->records[ordinal].type);
    return ST_OK;
}

static void run_entries(void *ctx)
{
    struct entries_task *task = ctx;
    struct registry *reg = task->build->reg;
    uint32_t metric = dict_find(reg->names, metric_name);
    for (uint32_t i = task->from; i < task->to && task->st == ST_OK; i++) {
        const struct record *rec = &task->build->records[i];
        struct series_entry *entry = entry_at(reg, i);
        bool keyed = rec->packed[0] & 1;
        entry->id = rec->id;
        entry->place = rec->place;
        entry->pairs = rec->to;
        entry->label_version = rec->label_version;
        entry->type = rec->type;
        memcpy(packed_store_at(&reg->packed, rec->to), rec->packed, rec->len);
        atomic_store_explicit(&entry->gen, 1, memory_order_relaxed);
        atomic_store_explicit(&entry->flags, SERIES_LIVE | (keyed ? SERIES_KEYED : 0),
                              memory_order_relaxed);
        task->st = make_identity(task, i, metric);
    }
}

/* Runs the ranges and adds their counts up into b->starts. */
static status fill_entries(struct build *b, unsigned n_threads, struct err *err)
{
    struct entries_task tasks[THREADS_MAX] = {{.from = 0}};
    uint32_t n_counts = n_pairs(b->reg), sum = 0;
    unsigned n = b->n / RECORDS_A_THREAD + 1;
    if (n > n_threads) n = n_threads;
    status st = ST_OK;
    for (unsigned i = 0; i < n; i++) {
        tasks[i].build = b;
        tasks[i].from = (uint32_t)((uint64_t)b->n * i / n);
        tasks[i].to = (uint32_t)((uint64_t)b->n * (i + 1) / n);
        tasks[i].counts = mem_try_zero((n_counts + (size_t)1) * sizeof(uint32_t));
        if (!tasks[i].counts) st = ST_NO_MEMORY;
    }
    if (st == ST_OK) threads_together("load", run_entries, tasks, sizeof(tasks[0]), n);
    for (unsigned i = 0; i < n; i++) {
        if (st == ST_OK && tasks[i].st != ST_OK) {
            st = tasks[i].st;
            if (st == ST_CORRUPT && err) *err = tasks[i].err;
        }
        for (uint32_t p = 0; p < n_counts && tasks[i].counts; p++)
            b->starts[p] += tasks[i].counts[p];
        mem_free(tasks[i].counts);
        vec_release(&tasks[i].identity);
    }
    for (uint32_t p = 0; p <= n_counts; p++) {
        uint32_t here = b->starts[p];
        b->starts[p] = sum;
        if (__builtin_add_overflow(sum, here, &sum)) return ST_LIMIT;
    }
    return st;
}

/* ---------------------------------------------------------------- tables */

struct table_task {
    struct build *build;
    bool lists;
    status st;
    struct err err;
};

static status put_key(struct table_task *task, uint32_t ordinal)
{
    struct registry *reg = task->build->reg;
    struct slice tenant = registry_label(reg, ordinal, slice_str(LABEL_TENANT));
    struct slice key = registry_key(reg, ordinal);
    if (registry_by_key(reg, tenant, key) != ORDINAL_NONE)
        return DAMAGED(&task->err, "series %u: its key is there twice", ordinal);
    id_table_put(&reg->keys, registry_key_hash(tenant, key), ordinal);
    return ST_OK;
}

static status fill_identity(struct table_task *task)
{
    const struct build *b = task->build;
    struct registry *reg = b->reg;
    for (uint32_t i = 0; i < b->n; i++) {
        uint32_t ordinal, gen;
        if (i + PREFETCH < b->n) identity_prefetch(reg->identity, b->hashes[i + PREFETCH]);
        if (identity_get(reg->identity, b->hashes[i], &ordinal, &gen))
            return DAMAGED(&task->err, "series %u: its labels are there twice", i);
        if (!identity_put(reg->identity, b->hashes[i], i, 1)) return ST_NO_MEMORY;
        if (entry_flags(entry_at(reg, i)) & SERIES_KEYED) TRY(put_key(task, i));
    }
    return ST_OK;
}

static status fill_lists(const struct build *b)
{
    struct registry *reg = b->reg;
    uint32_t n_all = b->starts[n_pairs(reg)];
    uint32_t *at = mem_try_array(n_pairs(reg) + (size_t)1, sizeof(*at));
    uint32_t *ordinals = mem_try_array(n_all ? n_all : 1, sizeof(*ordinals));
    status st = at && ordinals ? ST_OK : ST_NO_MEMORY;
    if (st == ST_OK) memcpy(at, b->starts, (n_pairs(reg) + (size_t)1) * sizeof(*at));
    for (uint32_t i = 0; i < b->n && st == ST_OK; i++) {
        struct packed list = packed_open(b->records[i].packed);
        while (list.n > 0) ordinals[at[packed_next(&list)]++] = i;
    }
    for (uint32_t p = 0; p < n_pairs(reg) && st == ST_OK; p++) {
        const uint32_t *own = ordinals + b->starts[p];
        if (!postings_fill(&pair_at(reg, p)->series, &reg->pool, own,
                           b->starts[p + 1] - b->starts[p]))
            st = ST_NO_MEMORY;
    }
    mem_free(at);
    mem_free(ordinals);
    return st;
}

static void run_table(void *ctx)
{
    struct table_task *task = ctx;
    task->st = task->lists ? fill_lists(task->build) : fill_identity(task);
}

static status fill_tables(struct build *b, unsigned n_threads, struct err *err)
{
    struct table_task tasks[2] = {{.build = b, .lists = true}, {.build = b}};
    if (n_threads > 1 && b->n >= RECORDS_A_THREAD) {
        threads_together("load", run_table, tasks, sizeof(tasks[0]), 2);
    } else {
        run_table(&tasks[0]);
        run_table(&tasks[1]);
    }
    for (int i = 0; i < 2; i++) {
        if (tasks[i].st == ST_OK) continue;
        if (tasks[i].st == ST_CORRUPT && err) *err = tasks[i].err;
        return tasks[i].st;
    }
    return ST_OK;
}

/* ---------------------------------------------------------------- all of it */

status registry_build(struct registry *reg, record_vec *records, unsigned n_threads,
                      struct err *err)
{
    struct build b = {.reg = reg};
    if (records->len >= ID_NONE - 1) return ST_LIMIT;
    if (n_threads < 1) n_threads = 1;
    if (n_threads > THREADS_MAX) n_threads = THREADS_MAX;
    b.n = drop_dead(records);
    b.records = records->ptr;
    status st = prepare(&b);
    segvec_publish(&reg->entries, st == ST_OK ? b.n : 0);
    if (st == ST_OK) st = fill_entries(&b, n_threads, err);
    if (st == ST_OK) st = fill_tables(&b, n_threads, err);
    if (st == ST_OK) {
        reg->n_series = b.n;
        atomic_store_explicit(&reg->n_births, b.n, memory_order_release);
        if (b.n) registry_raise_next_id(reg, b.records[b.n - 1].id + 1);
    }
    mem_free(b.hashes);
    mem_free(b.ranks);
    mem_free(b.starts);
    return st;
}
