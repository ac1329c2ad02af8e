/* Names and values. See label_scan.h.
 *
 * Over everything: a name or a value is there when one of its posting lists holds
 * something alive, so nothing per series is looked at. Over a set: the pairs of each
 * series are marked. `__key__` has no lists and is read from the series.
 */
#include "index/label_scan.h"

#include <stdlib.h>

#include "base/panic.h"
#include "index/registry_priv.h"

enum { POLL_STEP = 1024 };

static const struct slice key_name = {LABEL_KEY, sizeof(LABEL_KEY) - 1};
static const struct slice tenant_name = {LABEL_TENANT, sizeof(LABEL_TENANT) - 1};

struct scan {
    const struct registry *reg;
    const struct ordinals *set;
    const _Atomic bool *cancelled;
    struct arena *arena;
    VEC(struct slice) found;
};

static status poll_cancel(const struct scan *s, size_t i)
{
    if (i % POLL_STEP != 0 || !s->cancelled) return ST_OK;
    return atomic_load_explicit(s->cancelled, memory_order_relaxed) ? ST_CANCELLED : ST_OK;
}

static int cmp_slices(const void *a, const void *b)
{
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

/* Sorted, unique, cut, in the arena. */
static status finish(struct label_scan *out, struct scan *s, size_t limit, status st)
{
    size_t n = 0;
    struct slice *found = s->found.ptr;
    if (st == ST_OK && s->found.len > 0) {
        qsort(found, s->found.len, sizeof(*found), cmp_slices);
        for (size_t i = 0; i < s->found.len; i++) {
            if (n == 0 || !slice_eq(found[n - 1], found[i])) found[n++] = found[i];
        }
    }
    bool more = limit && n > limit;
    if (more) n = limit;
    struct slice *ptr = NULL;
    if (st == ST_OK) {
        ptr = arena_try_array(s->arena, n ? n : 1, sizeof(*ptr));
        if (!ptr) st = ST_NO_MEMORY;
    }
    if (st == ST_OK) {
        if (n) memcpy(ptr, found, n * sizeof(*ptr));
        *out = (struct label_scan){.ptr = ptr, .n = n, .more = more};
    }
    vec_release(&s->found);
    return st;
}

static status found_text(struct scan *s, struct slice text)
{
    return vec_push(&s->found, text) ? ST_OK : ST_NO_MEMORY;
}

/* The pair ids of a name, or NULL; *n of them. To be freed with the arena. */
static uint32_t *pairs_of_name(struct scan *s, uint32_t name, size_t *n)
{
    struct postings_view view = postings_view(&name_row_at(s->reg, name)->pairs);
    size_t n_all = (size_t)view.base_len + view.delta_len;
    uint32_t *ids = arena_try_array(s->arena, n_all ? n_all : 1, sizeof(*ids));
    if (ids) postings_view_all(&view, ids);
    *n = n_all;
    return ids;
}

/* ---------------------------------------------------------------- names */

static status names_of_all(struct scan *s)
{
    const struct registry *reg = s->reg;
    for (size_t name = 0; name < segvec_len(&reg->name_rows); name++) {
        size_t n;
        uint32_t *ids = pairs_of_name(s, (uint32_t)name, &n);
        if (!ids) return ST_NO_MEMORY;
        for (size_t i = 0; i < n; i++) {
            TRY(poll_cancel(s, i));
            if (!postings_any(&pair_at(reg, ids[i])->series, &reg->dead)) continue;
            TRY(found_text(s, dict_text(reg->names, (uint32_t)name)));
            break;
        }
    }
    if (atomic_load_explicit(&reg->n_keyed, memory_order_acquire) == 0) return ST_OK;
    return found_text(s, key_name);
}

static status names_of_set(struct scan *s)
{
    const struct registry *reg = s->reg;
    size_t n_names = dict_len(reg->names), n_seen = 0;
    bool *seen = arena_try_zero(s->arena, n_names ? n_names : 1);
    if (!seen) return ST_NO_MEMORY;
    bool keyed = false;

    for (size_t i = 0; i < s->set->n; i++) {
        TRY(poll_cancel(s, i));
        const struct series_entry *entry = entry_at(reg, s->set->ptr[i]);
        struct packed list = packed_open(packed_of(reg, entry));
        keyed |= list.keyed;
        while (list.n > 0) {
            uint32_t name = pair_at(reg, packed_next(&list))->name;
            /* A series born after n_names was read may bring a new name. */
            if (name >= n_names || seen[name]) continue;
            seen[name] = true;
            n_seen++;
        }
    }
    for (size_t name = 0; name < n_names && n_seen > 0; name++) {
        if (seen[name]) TRY(found_text(s, dict_text(reg->names, (uint32_t)name)));
    }
    return keyed ? found_text(s, key_name) : ST_OK;
}

status label_scan_names(struct label_scan *out, const struct registry *reg,
                        const struct ordinals *set, size_t limit,
                        const _Atomic bool *cancelled, struct arena *arena)
{
    struct scan s = {.reg = reg, .set = set, .cancelled = cancelled, .arena = arena};
    status st = set ? names_of_set(&s) : names_of_all(&s);
    size_t n = 0;
    for (size_t i = 0; i < s.found.len; i++) {
        if (!slice_eq(s.found.ptr[i], tenant_name)) s.found.ptr[n++] = s.found.ptr[i];
    }
    s.found.len = n;
    return finish(out, &s, limit, st);
}

/* ---------------------------------------------------------------- values */

static status found_key(struct scan *s, uint32_t ordinal)
{
    if (!(entry_flags(entry_at(s->reg, ordinal)) & SERIES_KEYED)) return ST_OK;
    struct slice key = arena_copy(s->arena, registry_key(s->reg, ordinal));
    return key.ptr ? found_text(s, key) : ST_NO_MEMORY;
}

static status keys_of(struct scan *s)
{
    size_t n = s->set ? s->set->n : registry_n_ordinals(s->reg);
    for (size_t i = 0; i < n; i++) {
        TRY(poll_cancel(s, i));
        uint32_t ordinal = s->set ? s->set->ptr[i] : (uint32_t)i;
        if (!s->set && !entry_live(entry_at(s->reg, ordinal))) continue;
        TRY(found_key(s, ordinal));
    }
    return ST_OK;
}

static status values_of_all(struct scan *s, uint32_t name)
{
    size_t n;
    uint32_t *ids = pairs_of_name(s, name, &n);
    if (!ids) return ST_NO_MEMORY;
    for (size_t i = 0; i < n; i++) {
        TRY(poll_cancel(s, i));
        const struct pair *pair = pair_at(s->reg, ids[i]);
        if (!postings_any(&pair->series, &s->reg->dead)) continue;
        TRY(found_text(s, dict_text(s->reg->values, pair->value)));
    }
    return ST_OK;
}

static status values_of_set(struct scan *s, uint32_t name)
{
    size_t n_values = dict_len(s->reg->values);
    uint64_t *seen = arena_try_zero(s->arena, (n_values / 64 + 1) * sizeof(*seen));
    if (!seen) return ST_NO_MEMORY;
    for (size_t i = 0; i < s->set->n; i++) {
        TRY(poll_cancel(s, i));
        uint32_t value = registry_value_of(s->reg, s->set->ptr[i], name);
        if (value >= n_values || seen[value / 64] >> value % 64 & 1) continue;
        seen[value / 64] |= 1ull << value % 64;
        TRY(found_text(s, dict_text(s->reg->values, value)));
    }
    return ST_OK;
}

status label_scan_values(struct label_scan *out, const struct registry *reg,
                         struct slice name, const struct ordinals *set, size_t limit,
                         const _Atomic bool *cancelled, struct arena *arena)
{
    struct scan s = {.reg = reg, .set = set, .cancelled = cancelled, .arena = arena};
    status st = ST_OK;
    if (slice_eq(name, key_name)) {
        st = keys_of(&s);
    } else if (!slice_eq(name, tenant_name)) {
        uint32_t id = dict_find(reg->names, name);
        if (id != DICT_NONE) st = set ? values_of_set(&s, id) : values_of_all(&s, id);
    }
    return finish(out, &s, limit, st);
}
