/* From records to a registry, in bulk: no look-up by text, no list grown step by step.
 *
 *   reserve   owner      room in every table; where each label list will lie
 *   entries   threads    each a range of records: entry, label list, identity table
 *   keys      owner      the table of keys
 *   publish   owner      births and counts
 *   lists     threads    registry_lists.c, unless the caller does that later
 *
 * Nobody else sees the registry meanwhile. Threads write to disjoint memory but for the
 * identity table, which they fill together. After a failure the registry is to be freed.
 *
 * An identity is put together from its labels' bytes as it has them, name and value with
 * their lengths: these lie side by side, one piece a pair, for as long as the build takes.
 */
#include "index/registry_records_priv.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/panic.h"
#include "base/thread.h"

enum {
    THREADS_MAX = 8,
    RECORDS_A_THREAD = 4096,
    PAD = 32,            /* bytes copied at least */
    LATE = 16,           /* series between asking for a slot and filling it */
};

static const struct slice key_name = {LABEL_KEY, sizeof(LABEL_KEY) - 1};
static const struct slice starts_name = {LABEL_STARTS, sizeof(LABEL_STARTS) - 1};
static const struct slice metric_name = {LABEL_NAME, sizeof(LABEL_NAME) - 1};

#define DAMAGED(err, ...) err_set(err, ST_CORRUPT, __VA_ARGS__)

/* A pair's part of an identity. */
struct pair_text {
    const uint8_t *at;           /* PAD bytes behind its end may be read */
    uint32_t len;
    uint32_t rank;               /* of its name in the order of texts */
};

struct build {
    struct registry *reg;
    struct record *records;
    uint32_t n, n_keyed, n_hidden;
    uint32_t *ranks;             /* of a name id in the order of texts */
    uint32_t metric_rank;        /* of __name__; UINT32_MAX: there is none */
    struct pair_text *texts;     /* by pair id; __name__'s: the value alone */
    uint8_t *bytes;              /* that they point to */
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

static struct slice text_of(const struct build *b, const struct pair *pair, bool value)
{
    return value ? dict_raw(b->reg->values, pair->value) : dict_raw(b->reg->names, pair->name);
}

static status gather_texts(struct build *b)
{
    const struct registry *reg = b->reg;
    uint32_t n = n_pairs(reg), metric = dict_find(reg->names, metric_name);
    size_t len = PAD;
    for (uint32_t i = 0; i < n; i++) {
        const struct pair *pair = pair_at(reg, i);
        len += text_of(b, pair, true).len;
        if (pair->name != metric) len += text_of(b, pair, false).len;
    }
    b->metric_rank = metric == DICT_NONE ? UINT32_MAX : b->ranks[metric];
    b->texts = mem_try_array(n ? n : 1, sizeof(*b->texts));
    b->bytes = mem_try(len);
    if (!b->texts || !b->bytes) return ST_NO_MEMORY;
    uint8_t *at = b->bytes;
    for (uint32_t i = 0; i < n; i++) {
        const struct pair *pair = pair_at(reg, i);
        struct slice name = text_of(b, pair, false), value = text_of(b, pair, true);
        if (pair->name == metric) name.len = 0;
        if (name.len + value.len > UINT32_MAX) return ST_LIMIT;
        memcpy(at, name.ptr, name.len);
        memcpy(at + name.len, value.ptr, value.len);
        b->texts[i] = (struct pair_text){
            .at = at, .len = (uint32_t)(name.len + value.len), .rank = b->ranks[pair->name]};
        at += name.len + value.len;
    }
    memset(at, 0, PAD);
    return ST_OK;
}

/* Everything that only one thread may do. */
static status prepare(struct build *b)
{
    struct registry *reg = b->reg;
    for (uint32_t i = 0; i < b->n; i++) {
        struct record *rec = &b->records[i];
        rec->to = packed_store_alloc(&reg->packed, rec->len);
        if (rec->to == PACKED_NONE || !segvec_reserve(&reg->entries, i) ||
            !ordinal_bits_reserve(&reg->dead, i) || !id_pages_reserve(&reg->ids, rec->id))
            return ST_NO_MEMORY;
        id_pages_put(&reg->ids, rec->id, i);
        b->n_keyed += (rec->packed[0] & 1) && !rec->hidden;
        b->n_hidden += rec->hidden;
        if (!rec->attrs) continue;
        struct series_attrs *attrs = pool_alloc(&reg->pool, sizeof(*attrs));
        if (!attrs) return ST_NO_MEMORY;
        record_attrs(attrs, rec->attrs);
        atomic_store_explicit(&entry_at(reg, i)->attrs, attrs, memory_order_relaxed);
    }
    atomic_store_explicit(&reg->n_keyed, b->n_keyed, memory_order_relaxed);
    atomic_store_explicit(&reg->n_hidden, b->n_hidden, memory_order_relaxed);
    if (!identity_reserve(reg->identity, b->n) || !id_table_reserve(&reg->keys, b->n_keyed))
        return ST_NO_MEMORY;
    TRY(rank_names(b));
    return gather_texts(b);
}

/* ---------------------------------------------------------------- entries */

struct late {
    struct hash128 hash;
    uint32_t ordinal;
};

struct entries_task {
    struct build *build;
    uint32_t from, to;
    VEC(uint8_t) identity;
    struct late late[LATE];      /* hashed, on their way into the table */
    VEC(struct late) again;      /* a hash like this is there: the owner looks closer */
    status st;
    struct err err;
};

/* Room for `len` bytes and PAD more behind what is there. */
static inline uint8_t *identity_end(struct entries_task *task, size_t len)
{
    if (!vec_reserve(&task->identity, len + PAD)) return NULL;
    return task->identity.ptr + task->identity.len;
}

static inline bool put_raw(struct entries_task *task, const struct pair_text *text)
{
    uint8_t *at = identity_end(task, text->len);
    if (!at) return false;
    memcpy(at, text->at, PAD); /* most are no longer, and this is a few instructions */
    if (text->len > PAD) memcpy(at + PAD, text->at + PAD, text->len - PAD);
    task->identity.len += text->len;
    return true;
}

static bool put_text(struct entries_task *task, struct slice text)
{
    uint8_t *at = identity_end(task, VARINT_MAX + text.len);
    if (!at) return false;
    size_t n = varint_put(at, text.len);
    if (text.len) memcpy(at + n, text.ptr, text.len);
    task->identity.len += n + text.len;
    return true;
}

/* The value of __name__ comes first, or an empty text. */
static bool put_metric(struct entries_task *task, struct packed list)
{
    const struct build *b = task->build;
    while (list.n > 0) {
        const struct pair_text *text = &b->texts[packed_next(&list)];
        if (text->rank == b->metric_rank) return put_raw(task, text);
        if (text->rank > b->metric_rank) break;
    }
    return put_text(task, (struct slice){"", 0});
}

static bool put_key(struct entries_task *task, const struct record *rec)
{
    struct packed all = packed_open(rec->packed);
    while (all.n > 0) (void)packed_next(&all);
    return put_text(task, rec->hidden ? starts_name : key_name) &&
           put_text(task, packed_key(&all));
}

/* The identity's bytes (model/label.h) from the texts as the dictionaries hold them;
 * checks the order of the names on the way. */
static status make_identity(struct entries_task *task, uint32_t ordinal)
{
    const struct build *b = task->build;
    const struct record *rec = &b->records[ordinal];
    struct packed list = packed_open(rec->packed);
    task->identity.len = 0;
    bool ok = put_metric(task, list);
    uint32_t before = 0;
    bool first = true, key_due = list.keyed;
    while (list.n > 0 && ok) {
        uint32_t id = packed_next(&list);
        const struct pair_text *text = &b->texts[id];
        if (!first && before >= text->rank)
            return DAMAGED(&task->err, "series %u: labels out of order", ordinal);
        before = text->rank;
        first = false;
        if (key_due) {
            struct slice name = dict_text(b->reg->names, pair_at(b->reg, id)->name);
            if (slice_cmp(key_name, name) < 0) {
                ok = put_key(task, rec);
                key_due = false;
            }
        }
        if (text->rank == b->metric_rank) continue;
        ok = ok && put_raw(task, text);
    }
    if (key_due) ok = ok && put_key(task, rec);
    return ok ? ST_OK : ST_NO_MEMORY;
}

static bool put_late(struct entries_task *task, const struct late *late)
{
    struct identity *table = task->build->reg->identity;
    return identity_fill(table, late->hash, late->ordinal, 1) || vec_push(&task->again, *late);
}

/* Into the table goes the one hashed LATE series ago, whose slot has come closer by now. */
static status hash_entry(struct entries_task *task, uint32_t ordinal)
{
    struct late *late = &task->late[ordinal % LATE];
    if (ordinal >= task->from + LATE && !put_late(task, late)) return ST_NO_MEMORY;
    struct hash128 hash = hash128(task->identity.ptr, task->identity.len);
    *late = (struct late){labels_hash_as(hash, task->build->records[ordinal].type), ordinal};
    identity_prefetch(task->build->reg->identity, late->hash);
    return ST_OK;
}

static void make_entry(struct registry *reg, const struct record *rec, uint32_t ordinal)
{
    struct series_entry *entry = entry_at(reg, ordinal);
    uint8_t kind = rec->hidden ? SERIES_HIDDEN : rec->packed[0] & 1 ? SERIES_KEYED : 0;
    entry->id = rec->id;
    entry->place = rec->place;
    entry->pairs = rec->to;
    entry->label_version = rec->label_version;
    entry->type = rec->type;
    memcpy(packed_store_at(&reg->packed, rec->to), rec->packed, rec->len);
    atomic_store_explicit(&entry->gen, 1, memory_order_relaxed);
    atomic_store_explicit(&entry->flags, SERIES_LIVE | kind, memory_order_relaxed);
}

static void run_entries(void *ctx)
{
    struct entries_task *task = ctx;
    for (uint32_t i = task->from; i < task->to && task->st == ST_OK; i++) {
        make_entry(task->build->reg, &task->build->records[i], i);
        task->st = make_identity(task, i);
        if (task->st == ST_OK) task->st = hash_entry(task, i);
    }
    uint32_t n = task->to - task->from < LATE ? task->to - task->from : LATE;
    for (uint32_t i = task->to - n; i < task->to && task->st == ST_OK; i++)
        if (!put_late(task, &task->late[i % LATE])) task->st = ST_NO_MEMORY;
}

/* Those that met their own hash: 64 bits of it were equal, now all that is kept counts. */
static status look_again(struct build *b, const struct late *late, struct err *err)
{
    struct identity *table = b->reg->identity;
    uint32_t ordinal, gen;
    if (identity_get(table, late->hash, &ordinal, &gen))
        return DAMAGED(err, "series %u: its labels are there twice", late->ordinal);
    return identity_put(table, late->hash, late->ordinal, 1) ? ST_OK : ST_NO_MEMORY;
}

static status fill_entries(struct build *b, unsigned n_threads, struct err *err)
{
    struct entries_task tasks[THREADS_MAX] = {{.from = 0}};
    unsigned n = b->n / RECORDS_A_THREAD + 1;
    if (n > n_threads) n = n_threads;
    status st = ST_OK;
    size_t n_again = 0;
    for (unsigned i = 0; i < n; i++) {
        tasks[i].build = b;
        tasks[i].from = (uint32_t)((uint64_t)b->n * i / n);
        tasks[i].to = (uint32_t)((uint64_t)b->n * (i + 1) / n);
    }
    threads_together("load", run_entries, tasks, sizeof(tasks[0]), n);
    for (unsigned i = 0; i < n; i++) n_again += tasks[i].again.len;
    identity_filled(b->reg->identity, b->n - n_again);
    for (unsigned i = 0; i < n; i++) {
        if (st == ST_OK && tasks[i].st != ST_OK) {
            st = tasks[i].st;
            if (st == ST_CORRUPT && err) *err = tasks[i].err;
        }
        for (size_t k = 0; k < tasks[i].again.len && st == ST_OK; k++)
            st = look_again(b, &tasks[i].again.ptr[k], err);
        vec_release(&tasks[i].identity);
        vec_release(&tasks[i].again);
    }
    return st;
}

/* ---------------------------------------------------------------- keys */

static status put_keys(struct build *b, struct err *err)
{
    struct registry *reg = b->reg;
    for (uint32_t i = 0; i < b->n && b->n_keyed; i++) {
        if (!(entry_flags(entry_at(reg, i)) & SERIES_KEYED)) continue;
        struct slice tenant = registry_label(reg, i, slice_str(LABEL_TENANT));
        struct slice key = registry_key(reg, i);
        if (registry_by_key(reg, tenant, key) != ORDINAL_NONE)
            return DAMAGED(err, "series %u: its key is there twice", i);
        id_table_put(&reg->keys, registry_key_hash(tenant, key), i);
    }
    return ST_OK;
}

/* ---------------------------------------------------------------- all of it */

status registry_build(struct registry *reg, record_vec *records, unsigned n_threads,
                      struct err *err)
{
    struct build b = {.reg = reg};
    bool lists = !reg->bulk;
    if (records->len >= ID_NONE - 1) return ST_LIMIT;
    if (n_threads < 1) n_threads = 1;
    if (n_threads > THREADS_MAX) n_threads = THREADS_MAX;
    if (lists) registry_bulk_begin(reg);
    b.n = drop_dead(records);
    b.records = records->ptr;
    status st = prepare(&b);
    segvec_publish(&reg->entries, st == ST_OK ? b.n : 0);
    if (st == ST_OK) st = fill_entries(&b, n_threads, err);
    if (st == ST_OK) st = put_keys(&b, err);
    if (st == ST_OK) {
        reg->n_series = b.n;
        atomic_store_explicit(&reg->n_births, b.n, memory_order_release);
        if (b.n) registry_raise_next_id(reg, b.records[b.n - 1].id + 1);
    }
    mem_free(b.ranks);
    mem_free(b.texts);
    mem_free(b.bytes);
    if (st == ST_OK && lists) st = registry_bulk_end(reg, n_threads);
    return st;
}
