/* The registry: adding, removing and looking up series. See registry.h.
 *
 * Adding first gets everything that can be refused (texts, pairs, room in every list
 * and table, the packed label list), then changes what readers see, in an order that
 * never shows a half: entry, LIVE, lists, tables, and the birth last.
 *
 * Removing: LIVE off, dead bit on, generation up. Readers of posting lists subtract
 * the dead bits until a purge (registry_jobs.c) has taken the ordinal out of every
 * list and the grace period is over; only then is the bit cleared and the ordinal free.
 */
#include "index/registry.h"

#include "base/mem.h"
#include "base/panic.h"
#include "index/pair_reader.h"
#include "index/registry_priv.h"

enum { SPELLINGS_A_SERIES = 8, SPELLINGS_FREE = 65536 };

static const struct slice key_name = {LABEL_KEY, sizeof(LABEL_KEY) - 1};
static const struct slice tenant_name = {LABEL_TENANT, sizeof(LABEL_TENANT) - 1};
static const struct slice starts_name = {LABEL_STARTS, sizeof(LABEL_STARTS) - 1};

/* ---------------------------------------------------------------- life */

static bool entry_stale(const void *ctx, uint32_t ordinal, uint32_t gen)
{
    const struct registry *reg = ctx;
    return reg->n_removed > 0 && entry_gen(entry_at(reg, ordinal)) != gen;
}

struct registry *registry_new(struct account *account, const struct reclaim *rc)
{
    if (!account_charge(account, sizeof(struct registry))) return NULL;
    struct registry *reg = mem_try_zero(sizeof(*reg));
    if (!reg) {
        account_release(account, sizeof(*reg));
        return NULL;
    }
    account_init(&reg->account, "index", account, 0);
    pool_init(&reg->pool, &reg->account, rc);
    segvec_init(&reg->name_rows, sizeof(struct name_row), &reg->account);
    segvec_init(&reg->pairs, sizeof(struct pair), &reg->account);
    segvec_init(&reg->entries, sizeof(struct series_entry), &reg->account);
    births_init(&reg->births, &reg->pool);
    id_table_init(&reg->pair_ids, &reg->pool);
    id_table_init(&reg->keys, &reg->pool);
    id_pages_init(&reg->ids, &reg->pool);
    packed_store_init(&reg->packed, &reg->account);
    atomic_store_explicit(&reg->n_linear, UINT64_MAX, memory_order_relaxed);
    ordinal_bits_init(&reg->dead, &reg->account);
    reg->next_id = 1;
    reg->names = dict_new(&reg->account, rc);
    reg->values = dict_new(&reg->account, rc);
    reg->identity = identity_new(&reg->account, rc, entry_stale, reg);
    if (reg->names && reg->values && reg->identity) return reg;
    registry_free(reg);
    return NULL;
}

void registry_free(struct registry *reg)
{
    if (!reg) return;
    for (uint32_t i = 0; i < n_pairs(reg); i++) {
        postings_release(&pair_at(reg, i)->series, &reg->pool);
    }
    for (size_t i = 0; i < segvec_len(&reg->name_rows); i++) {
        postings_release(&name_row_at(reg, (uint32_t)i)->pairs, &reg->pool);
    }
    id_table_release(&reg->pair_ids);
    id_table_release(&reg->keys);
    id_pages_release(&reg->ids);
    packed_store_release(&reg->packed);
    ordinal_bits_release(&reg->dead);
    segvec_release(&reg->name_rows);
    segvec_release(&reg->pairs);
    segvec_release(&reg->entries);
    births_release(&reg->births);
    identity_free(reg->identity);
    dict_free(reg->names);
    dict_free(reg->values);
    vec_release(&reg->scratch);
    vec_release(&reg->before);
    vec_release(&reg->due);
    vec_release(&reg->quarantine);
    vec_release(&reg->free_ordinals);
    vec_release(&reg->leaving);
    vec_release(&reg->free_pairs);
    pool_release(&reg->pool);
    account_release(reg->account.parent, sizeof(*reg));
    mem_free(reg);
}

/* ---------------------------------------------------------------- pairs */

struct pair_key {
    uint32_t name, value;
};

static uint64_t pair_hash(uint32_t name, uint32_t value)
{
    return hash_mix((uint64_t)name << 32 | value);
}

static bool pair_eq(const void *ctx, uint32_t id, const void *key)
{
    const struct pair *pair = pair_at(ctx, id);
    const struct pair_key *want = key;
    return pair->name == want->name && pair->value == want->value;
}

uint32_t registry_pair(const struct registry *reg, uint32_t name, uint32_t value)
{
    struct pair_key key = {name, value};
    return id_table_find(&reg->pair_ids, pair_hash(name, value), pair_eq, reg, &key);
}

uint32_t registry_intern_ids(struct registry *reg, uint32_t name, uint32_t value)
{
    uint32_t id = registry_pair(reg, name, value);
    if (id != ID_NONE) return id;
    size_t n_free = reg->free_pairs.len;
    id = n_free ? reg->free_pairs.ptr[n_free - 1] : n_pairs(reg);
    if (!segvec_reserve(&reg->name_rows, name)) return ID_NONE;
    if (segvec_len(&reg->name_rows) <= name) segvec_publish(&reg->name_rows, name + 1);
    struct name_row *row = name_row_at(reg, name);
    if (id >= ID_NONE - 1 || !segvec_reserve(&reg->pairs, id) ||
        !id_table_reserve(&reg->pair_ids, 1) || !postings_reserve(&row->pairs, &reg->pool)) {
        return ID_NONE;
    }
    struct pair *pair = pair_at(reg, id);
    pair->name = name;
    pair->value = value;
    dict_use(reg->values, value);
    if (n_free) {
        reg->free_pairs.len--;
        reg->n_pairs_gone--;
    } else {
        segvec_publish(&reg->pairs, id + 1);
    }
    id_table_put(&reg->pair_ids, pair_hash(name, value), id);
    (void)postings_append(&row->pairs, id); /* rebuilt when pairs leave (registry_jobs.c) */
    return id;
}

void registry_unlink_pair(struct registry *reg, uint32_t id)
{
    const struct pair *pair = pair_at(reg, id);
    id_table_remove(&reg->pair_ids, pair_hash(pair->name, pair->value), id);
    vec_clear(&reg->scratch); /* the next series is compared with the one before */
    reg->n_pairs_gone++;
}

uint32_t registry_intern_pair(struct registry *reg, struct slice name_text,
                              struct slice value_text)
{
    uint32_t name = dict_intern(reg->names, name_text);
    if (name == DICT_NONE) return ID_NONE;
    uint32_t value = dict_intern(reg->values, value_text);
    if (value == DICT_NONE) return ID_NONE;
    return registry_intern_ids(reg, name, value);
}

/* The pair of a label. Series that are born together are mostly those of one target and
 * have most of their labels in common, each at the same place: `like`, the pair that the
 * series before had there, is compared first, and saves three look-ups when it is the one
 * and one when only its name is. */
static uint32_t intern_like(struct registry *reg, const struct label *label, uint32_t like)
{
    if (like == ID_NONE) return registry_intern_pair(reg, label->name, label->value);
    const struct pair *pair = pair_at(reg, like);
    if (!slice_eq(dict_text(reg->names, pair->name), label->name))
        return registry_intern_pair(reg, label->name, label->value);
    if (slice_eq(dict_text(reg->values, pair->value), label->value)) return like;
    uint32_t value = dict_intern(reg->values, label->value);
    return value == DICT_NONE ? ID_NONE : registry_intern_ids(reg, pair->name, value);
}

/* ---------------------------------------------------------------- packed lists */

size_t packed_len(const uint8_t *bytes)
{
    struct packed list = packed_open(bytes);
    while (list.n > 0) (void)packed_next(&list);
    struct slice key = packed_key(&list);
    return (size_t)(list.at - bytes) + key.len;
}

/* PACKED_NONE when refused. */
static uint32_t pack(struct registry *reg, struct slice key)
{
    const uint32_t *ids = reg->scratch.ptr;
    uint64_t head = (uint64_t)reg->scratch.len << 1 | (key.ptr != NULL);
    size_t len = varint_len(head);
    for (size_t i = 0; i < reg->scratch.len; i++) len += varint_len(ids[i]);
    if (key.ptr) len += varint_len(key.len) + key.len;

    uint32_t to = packed_store_alloc(&reg->packed, len);
    if (to == PACKED_NONE) return PACKED_NONE;
    uint8_t *at = packed_store_at(&reg->packed, to);
    at += varint_put(at, head);
    for (size_t i = 0; i < reg->scratch.len; i++) at += varint_put(at, ids[i]);
    if (key.ptr) {
        at += varint_put(at, key.len);
        memcpy(at, key.ptr, key.len);
    }
    return to;
}

/* ---------------------------------------------------------------- add */

static const struct series_attrs *copy_attrs(struct registry *reg,
                                             const struct series_attrs *attrs)
{
    struct series_attrs *copy = pool_alloc(&reg->pool, sizeof(*copy));
    if (copy) *copy = *attrs;
    return copy;
}

/* Room for one more in the list of each pair in reg->scratch. */
static bool reserve_lists(struct registry *reg)
{
    for (size_t i = 0; i < reg->scratch.len; i++) {
        struct pair *pair = pair_at(reg, reg->scratch.ptr[i]);
        if (!postings_reserve(&pair->series, &reg->pool)) return false;
    }
    return vec_reserve(&reg->due, reg->scratch.len);
}

/* While births are linear only the first that is not needs a place. */
static bool reserve_birth(struct registry *reg, uint32_t ordinal)
{
    uint64_t n = atomic_load_explicit(&reg->n_births, memory_order_relaxed);
    uint64_t n_linear = atomic_load_explicit(&reg->n_linear, memory_order_relaxed);
    if (n_linear == UINT64_MAX) return ordinal == n || births_reserve(&reg->births, 0);
    return births_reserve(&reg->births, n - n_linear);
}

static bool reserve_tables(struct registry *reg, series_id id, uint32_t ordinal, bool keyed)
{
    return segvec_reserve(&reg->entries, ordinal) &&
           reserve_birth(reg, ordinal) &&
           ordinal_bits_reserve(&reg->dead, ordinal) && id_pages_reserve(&reg->ids, id) &&
           (!keyed || id_table_reserve(&reg->keys, 1)) && identity_reserve(reg->identity, 1);
}

uint64_t registry_key_hash(struct slice tenant, struct slice key)
{
    uint64_t hash = hash_slice(key);
    return tenant.len ? hash ^ hash_mix(hash_slice(tenant)) : hash;
}

/* What the text beside the pairs makes of the series. */
static uint8_t kind_of(const struct series_new *make, struct slice key)
{
    uint64_t parent, place;
    if (!key.ptr) return 0;
    return starts_name_parse(make->labels, &parent, &place) ? SERIES_HIDDEN : SERIES_KEYED;
}

/* Last of all. Room in births was reserved. */
static void publish_birth(struct registry *reg, uint32_t ordinal)
{
    uint64_t n = atomic_load_explicit(&reg->n_births, memory_order_relaxed);
    uint64_t n_linear = atomic_load_explicit(&reg->n_linear, memory_order_relaxed);
    if (n_linear == UINT64_MAX && ordinal != n)
        atomic_store_explicit(&reg->n_linear, n_linear = n, memory_order_relaxed);
    if (n_linear != UINT64_MAX) births_put(&reg->births, n - n_linear, ordinal);
    atomic_store_explicit(&reg->n_births, n + 1, memory_order_release);
}

/* Everything is reserved: makes the series visible. */
static void show(struct registry *reg, uint32_t ordinal, const struct series_new *make,
                 uint32_t pairs, const struct series_attrs *attrs, struct slice key)
{
    struct series_entry *entry = entry_at(reg, ordinal);
    entry->id = make->id ? make->id : reg->next_id;
    entry->place = make->place;
    entry->pairs = pairs;
    entry->label_version = make->label_version ? make->label_version : 1;
    entry->type = (uint8_t)make->type;
    atomic_store_explicit(&entry->attrs, attrs, memory_order_relaxed);
    if (entry_gen(entry) == 0) atomic_store_explicit(&entry->gen, 1, memory_order_relaxed);
    registry_raise_next_id(reg, entry->id + 1);
    uint8_t kind = kind_of(make, key);
    atomic_store_explicit(&entry->flags, SERIES_LIVE | kind, memory_order_release);
    if (ordinal >= segvec_len(&reg->entries)) segvec_publish(&reg->entries, ordinal + 1);

    for (size_t i = 0; i < reg->scratch.len && !reg->bulk; i++) {
        uint32_t id = reg->scratch.ptr[i];
        if (postings_append(&pair_at(reg, id)->series, ordinal)) {
            reg->due.ptr[reg->due.len++] = id;
        }
    }
    id_pages_put(&reg->ids, entry->id, ordinal);
    if (kind == SERIES_HIDDEN) atomic_fetch_add_explicit(&reg->n_hidden, 1, memory_order_release);
    if (kind == SERIES_KEYED) {
        struct slice tenant = labels_get(make->labels, tenant_name);
        id_table_put(&reg->keys, registry_key_hash(tenant, key), ordinal);
        atomic_fetch_add_explicit(&reg->n_keyed, 1, memory_order_release);
    }
    struct hash128 hash = labels_hash_as(make->hash, make->type);
    bool put = identity_put(reg->identity, hash, ordinal, entry_gen(entry));
    ASSERT(put); /* reserved */

    reg->n_series++;
    publish_birth(reg, ordinal);
}

status registry_add_scratch(uint32_t *ordinal, struct registry *reg,
                            const struct series_new *make, struct slice key)
{
    series_id id = make->id ? make->id : reg->next_id;
    if (id == UINT64_MAX) return ST_LIMIT;
    if (make->id && !make->again && registry_by_id(reg, make->id) != ORDINAL_NONE)
        return ST_EXISTS;

    bool reuse = reg->free_ordinals.len > 0;
    size_t next = reuse ? reg->free_ordinals.ptr[reg->free_ordinals.len - 1]
                        : segvec_len(&reg->entries);
    if (next >= ID_NONE - 1) return ST_LIMIT;
    if (!reg->bulk && !reserve_lists(reg)) return ST_NO_MEMORY;
    if (!reserve_tables(reg, id, (uint32_t)next, key.ptr != NULL)) return ST_NO_MEMORY;
    uint32_t pairs = pack(reg, key);
    if (pairs == PACKED_NONE) return ST_NO_MEMORY;
    const struct series_attrs *attrs = NULL;
    if (make->attrs) {
        attrs = copy_attrs(reg, make->attrs);
        if (!attrs) {
            packed_store_free(&reg->packed, pairs,
                              packed_len(packed_store_at(&reg->packed, pairs)));
            return ST_NO_MEMORY;
        }
    }
    if (reuse) reg->free_ordinals.len--;
    show(reg, (uint32_t)next, make, pairs, attrs, key);
    *ordinal = (uint32_t)next;
    return ST_OK;
}

/* The pairs of the series that is added are gathered; those of the one before are kept. */
static void next_scratch(struct registry *reg)
{
    __typeof__(reg->scratch) oldest = reg->before;
    reg->before = reg->scratch;
    reg->scratch = oldest;
    vec_clear(&reg->scratch);
}

/* What the series before has where the next pair goes. */
static uint32_t like_before(const struct registry *reg)
{
    size_t at = reg->scratch.len;
    return at < reg->before.len ? reg->before.ptr[at] : ID_NONE;
}

status registry_add(uint32_t *ordinal, struct registry *reg, const struct series_new *make)
{
    struct slice key = {NULL, 0};
    if (n_pairs(reg) >= ID_NONE - 1 - make->labels.n) return ST_LIMIT;
    /* Needed last, the farthest away. */
    identity_prefetch(reg->identity, labels_hash_as(make->hash, make->type));
    next_scratch(reg);
    for (size_t i = 0; i < make->labels.n; i++) {
        const struct label *label = &make->labels.ptr[i];
        uint64_t parent, place;
        if (slice_eq(label->name, key_name) || starts_name_parse(make->labels, &parent, &place)) {
            key = label->value;
            continue;
        }
        uint32_t id = intern_like(reg, label, like_before(reg));
        if (id == ID_NONE || !vec_push(&reg->scratch, id)) return ST_NO_MEMORY;
    }
    return registry_add_scratch(ordinal, reg, make, key);
}

status registry_add_pairs(uint32_t *ordinal, struct registry *reg,
                          const struct series_new *make, const struct pair_list *list)
{
    size_t n_unknown = 0;
    if (n_pairs(reg) >= ID_NONE - 1 - list->n_unknown) return ST_LIMIT;
    next_scratch(reg);
    if (!vec_reserve(&reg->scratch, list->n)) return ST_NO_MEMORY;
    for (size_t i = 0; i < list->n; i++) {
        uint32_t id = list->pairs[i];
        if (id == PAIR_UNKNOWN) {
            id = intern_like(reg, &list->unknown[n_unknown++], like_before(reg));
            if (id == ID_NONE) return ST_NO_MEMORY;
        }
        reg->scratch.ptr[reg->scratch.len++] = id;
    }
    return registry_add_scratch(ordinal, reg, make, (struct slice){NULL, 0});
}

/* ---------------------------------------------------------------- change */

/* The ordinal dies; its id is the caller's matter. */
static void bury(struct registry *reg, uint32_t ordinal)
{
    struct series_entry *entry = entry_at(reg, ordinal);
    uint8_t flags = entry_flags(entry);
    ASSERT(flags & SERIES_LIVE);

    atomic_store_explicit(&entry->flags, flags & ~SERIES_LIVE, memory_order_release);
    ordinal_bits_set(&reg->dead, ordinal);
    atomic_fetch_add_explicit(&entry->gen, 1, memory_order_release);
    if (flags & SERIES_HIDDEN)
        atomic_fetch_sub_explicit(&reg->n_hidden, 1, memory_order_release);
    if (flags & SERIES_KEYED) {
        atomic_fetch_sub_explicit(&reg->n_keyed, 1, memory_order_release);
        struct slice tenant = registry_label(reg, ordinal, tenant_name);
        id_table_remove(&reg->keys, registry_key_hash(tenant, registry_key(reg, ordinal)),
                        ordinal);
    }
    reg->n_series--;
    reg->n_removed++;
    /* Without memory for the queue the ordinal is simply not used again. */
    (void)vec_push(&reg->quarantine, ordinal);
}

void registry_remove(struct registry *reg, uint32_t ordinal)
{
    bury(reg, ordinal);
    id_pages_remove(&reg->ids, entry_at(reg, ordinal)->id);
}

status registry_relabel(uint32_t *to, struct registry *reg, uint32_t from, struct labels labels,
                        struct slice identity, struct hash128 hash, uint16_t version)
{
    const struct series_entry *entry = entry_at(reg, from);
    struct series_new make = {.labels = labels,
                              .identity = identity,
                              .hash = hash,
                              .place = entry->place,
                              .id = entry->id,
                              .label_version = version,
                              .type = (enum value_type)entry->type,
                              .attrs = entry_attrs(entry),
                              .again = true};
    ASSERT(entry_live(entry) && version > entry->label_version);
    TRY(registry_add(to, reg, &make)); /* the id leads to the new one from here on */
    bury(reg, from);
    return ST_OK;
}

status registry_set_attrs(struct registry *reg, uint32_t ordinal,
                          const struct series_attrs *attrs)
{
    struct series_entry *entry = entry_at(reg, ordinal);
    const struct series_attrs *copy = NULL;
    if (attrs) {
        copy = copy_attrs(reg, attrs);
        if (!copy) return ST_NO_MEMORY;
    }
    const struct series_attrs *old = entry_attrs(entry);
    atomic_store_explicit(&entry->attrs, copy, memory_order_release);
    if (old) pool_retire(&reg->pool, (void *)(uintptr_t)old, sizeof(*old));
    return ST_OK;
}

void registry_raise_next_id(struct registry *reg, series_id next_id)
{
    if (next_id > reg->next_id) reg->next_id = next_id;
}

series_id registry_next_id(const struct registry *reg)
{
    return reg->next_id;
}

void registry_learn(struct registry *reg, struct hash128 raw_hash, uint32_t ordinal)
{
    size_t most = reg->n_series * SPELLINGS_A_SERIES + SPELLINGS_FREE;
    if (identity_len(reg->identity) >= most) return;
    const struct series_entry *entry = entry_at(reg, ordinal);
    uint32_t gen = entry_gen(entry);
    raw_hash = labels_hash_as(raw_hash, entry->type);
    /* Only a cache: a spelling that is not remembered is worked out again. */
    (void)!identity_put(reg->identity, raw_hash, ordinal, gen);
}

void registry_settle(struct registry *reg)
{
    identity_move(reg->identity);
}

/* ---------------------------------------------------------------- look up */

const struct series_entry *registry_entry(const struct registry *reg, uint32_t ordinal)
{
    return entry_at(reg, ordinal);
}

const struct identity *registry_identity(const struct registry *reg)
{
    return reg->identity;
}

#ifdef TSINK_DEV
/* Whether the series' labels have this identity; true when there is no memory to look. */
static bool same_identity(const struct registry *reg, uint32_t ordinal, struct slice identity)
{
    struct arena arena;
    arena_init(&arena, NULL, 1024);
    struct labels labels = registry_labels(reg, ordinal, &arena);
    size_t len = labels.ptr ? labels_identity_len(labels) : 0;
    uint8_t *bytes = labels.ptr ? arena_try(&arena, len) : NULL;
    bool same = true;
    if (bytes) {
        labels_identity(bytes, labels);
        same = slice_eq(slice_of(bytes, len), identity);
    }
    arena_release(&arena);
    return same;
}
#endif

uint32_t registry_find(const struct registry *reg, struct slice identity, struct hash128 hash,
                       enum value_type type)
{
    uint32_t ordinal, gen;
    if (!identity_get(reg->identity, labels_hash_as(hash, type), &ordinal, &gen))
        return ORDINAL_NONE;
    const struct series_entry *entry = entry_at(reg, ordinal);
    if (entry_gen(entry) != gen || !entry_live(entry)) return ORDINAL_NONE;
#ifdef TSINK_DEV
    ASSERT(same_identity(reg, ordinal, identity));
#endif
    (void)identity;
    return ordinal;
}

struct key_want {
    struct slice tenant, key;
};

static bool key_eq(const void *ctx, uint32_t ordinal, const void *key)
{
    const struct key_want *want = key;
    return slice_eq(registry_key(ctx, ordinal), want->key) &&
           slice_eq(registry_label(ctx, ordinal, tenant_name), want->tenant);
}

uint32_t registry_by_key(const struct registry *reg, struct slice tenant, struct slice key)
{
    struct key_want want = {tenant, key};
    uint64_t hash = registry_key_hash(tenant, key);
    /* A series whose labels change has two entries for a moment: when the one that was found
     * has just died, the other one is there. */
    for (int i = 0; i < 2; i++) {
        uint32_t ordinal = id_table_find(&reg->keys, hash, key_eq, reg, &want);
        if (ordinal == ID_NONE) return ORDINAL_NONE;
        if (entry_live(entry_at(reg, ordinal))) return ordinal;
    }
    return ORDINAL_NONE;
}

uint32_t registry_by_id(const struct registry *reg, series_id id)
{
    uint32_t ordinal = id_pages_find(&reg->ids, id);
    if (ordinal == ID_NONE) return ORDINAL_NONE;
    const struct series_entry *entry = entry_at(reg, ordinal);
    return entry->id == id && entry_live(entry) ? ordinal : ORDINAL_NONE;
}

uint32_t registry_by_id_near(const struct registry *reg, series_id id,
                             struct registry_near *near)
{
    return id_pages_find_near(&reg->ids, id, &near->page, &near->idx);
}

struct labels registry_labels(const struct registry *reg, uint32_t ordinal,
                              struct arena *arena)
{
    const struct series_entry *entry = entry_at(reg, ordinal);
    struct packed list = packed_open(packed_of(reg, entry));
    bool hidden = entry_flags(entry) & SERIES_HIDDEN;
    const struct slice text_name = hidden ? starts_name : key_name;
    size_t n = list.n + list.keyed, at = 0;
    struct label *labels = arena_try_array(arena, n ? n : 1, sizeof(*labels));
    if (!labels) return (struct labels){NULL, n ? n : 1};

    bool key_due = list.keyed;
    while (list.n > 0) {
        const struct pair *pair = pair_at(reg, packed_next(&list));
        struct slice name = dict_text(reg->names, pair->name);
        if (key_due && slice_cmp(text_name, name) < 0) {
            key_due = false;
            labels[at++] = (struct label){.name = text_name};
        }
        labels[at++] = (struct label){name, dict_text(reg->values, pair->value)};
    }
    if (key_due) labels[at++] = (struct label){.name = text_name};
    struct slice key = packed_key(&list);
    for (size_t i = 0; list.keyed && i < n; i++) {
        if (labels[i].name.ptr == text_name.ptr) labels[i].value = key;
    }
    return (struct labels){labels, n};
}

uint32_t registry_value_of(const struct registry *reg, uint32_t ordinal, uint32_t name)
{
    struct packed list = packed_open(packed_of(reg, entry_at(reg, ordinal)));
    while (list.n > 0) {
        const struct pair *pair = pair_at(reg, packed_next(&list));
        if (pair->name == name) return pair->value;
    }
    return DICT_NONE;
}

struct slice registry_key(const struct registry *reg, uint32_t ordinal)
{
    const struct series_entry *entry = entry_at(reg, ordinal);
    struct packed list = packed_open(packed_of(reg, entry));
    if (!list.keyed || (entry_flags(entry) & SERIES_HIDDEN)) return (struct slice){"", 0};
    while (list.n > 0) (void)packed_next(&list);
    return packed_key(&list);
}

struct slice registry_label(const struct registry *reg, uint32_t ordinal, struct slice name)
{
    if (slice_eq(name, key_name)) return registry_key(reg, ordinal);
    uint32_t name_id = dict_find(reg->names, name);
    if (name_id == DICT_NONE) return (struct slice){"", 0};
    uint32_t value = registry_value_of(reg, ordinal, name_id);
    return value == DICT_NONE ? (struct slice){"", 0} : dict_text(reg->values, value);
}

bool registry_has_name(const struct registry *reg, struct slice name)
{
    if (slice_eq(name, key_name)) {
        return atomic_load_explicit(&reg->n_keyed, memory_order_acquire) > 0;
    }
    return dict_find(reg->names, name) != DICT_NONE;
}

uint64_t registry_n_births(const struct registry *reg)
{
    return atomic_load_explicit(&reg->n_births, memory_order_acquire);
}

uint32_t registry_birth(const struct registry *reg, uint64_t i)
{
    uint64_t n_linear = atomic_load_explicit(&reg->n_linear, memory_order_acquire);
    if (i < n_linear) return (uint32_t)i;
    return births_get(&reg->births, i - n_linear);
}

uint64_t registry_first_birth(const struct registry *reg)
{
    uint64_t n_linear = atomic_load_explicit(&reg->n_linear, memory_order_relaxed);
    if (n_linear == UINT64_MAX || reg->births.first == 0) return 0;
    return n_linear + reg->births.first * BIRTHS_A_PAGE;
}

static void forget_births(void *ptr, void *arg)
{
    struct registry *reg = arg;
    uint64_t i = (uint64_t)(uintptr_t)ptr;
    uint64_t n_linear = atomic_load_explicit(&reg->n_linear, memory_order_relaxed);
    if (n_linear < i) births_forget(&reg->births, i - n_linear);
}

void registry_forget_births(struct registry *reg, uint64_t i)
{
    uint64_t n_linear = atomic_load_explicit(&reg->n_linear, memory_order_relaxed);
    if (n_linear >= i) return;
    reclaim_later(&reg->pool.rc, forget_births, (void *)(uintptr_t)i, reg, 0);
}

uint32_t registry_n_ordinals(const struct registry *reg)
{
    return (uint32_t)segvec_len(&reg->entries);
}

struct registry_counts registry_counts(const struct registry *reg)
{
    return (struct registry_counts){
        .n_series = reg->n_series - registry_n_hidden(reg),
        .n_dead = atomic_load_explicit(&reg->dead.n, memory_order_relaxed),
        .n_births = registry_n_births(reg),
        .n_pairs = n_pairs(reg) - reg->n_pairs_gone,
        .n_names = dict_count(reg->names),
        .n_values = dict_count(reg->values),
        .n_bytes = account_used(&reg->account),
        .n_identity = identity_len(reg->identity)};
}
