/* Matching: see matching.h. The hash of a part is the hash of its names and values in
 * order; because sets are sorted, equal parts come out in one order and need no sorting
 * of their own.
 */
#include "promql/matching.h"

#include <stdlib.h>

#include "base/bits.h"
#include "base/hash.h"

static int compare_slices(const void *a, const void *b)
{
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

status label_filter_init(struct label_filter *f, struct arena *arena, const struct slice *names,
                         size_t n, bool keep, struct slice extra)
{
    struct slice *copy = arena_try_array(arena, n + 1, sizeof(*copy));
    size_t len = 0;

    if (!copy) return ST_NO_MEMORY;
    if (n) memcpy(copy, names, n * sizeof(*copy));
    if (extra.len) copy[n++] = extra;
    if (n > 1) qsort(copy, n, sizeof(*copy), compare_slices);
    for (size_t i = 0; i < n; i++) {
        if (len == 0 || !slice_eq(copy[len - 1], copy[i])) copy[len++] = copy[i];
    }
    *f = (struct label_filter){.names = copy, .n = len, .keep = keep};
    return ST_OK;
}

static bool filter_sees(const struct label_filter *f, struct slice name)
{
    size_t lo = 0, hi = f->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int order = slice_cmp(f->names[mid], name);
        if (order == 0) return f->keep;
        if (order < 0) lo = mid + 1;
        else hi = mid;
    }
    return !f->keep;
}

struct labels label_filter_apply(struct arena *arena, const struct label_filter *f,
                                 struct labels set)
{
    size_t n = 0;

    for (size_t i = 0; i < set.n; i++) n += filter_sees(f, set.ptr[i].name);
    if (n == set.n || n == 0) return (struct labels){set.ptr, n};
    struct label *out = arena_try_array(arena, n, sizeof(*out));
    if (!out) return (struct labels){NULL, 1};
    n = 0;
    for (size_t i = 0; i < set.n; i++) {
        if (filter_sees(f, set.ptr[i].name)) out[n++] = set.ptr[i];
    }
    return (struct labels){out, n};
}

struct labels labels_with(struct arena *arena, struct labels set, struct slice name,
                          struct slice value)
{
    struct label *out = arena_try_array(arena, set.n + 1, sizeof(*out));
    size_t n = 0;
    bool placed = value.len == 0;

    if (!out) return (struct labels){NULL, 1};
    for (size_t i = 0; i < set.n; i++) {
        int order = slice_cmp(set.ptr[i].name, name);
        if (order >= 0 && !placed) {
            out[n++] = (struct label){name, value};
            placed = true;
        }
        if (order != 0) out[n++] = set.ptr[i];
    }
    if (!placed) out[n++] = (struct label){name, value};
    return (struct labels){out, n};
}

struct labels labels_without_meta(struct arena *arena, struct labels set)
{
    static const struct slice meta[] = {
        {LABEL_NAME, sizeof(LABEL_NAME) - 1}, {"__type__", 8}, {"__unit__", 8}};
    static const struct label_filter filter = {.names = meta, .n = 3, .keep = false};

    return label_filter_apply(arena, &filter, set);
}

void labels_text(struct strbuf *out, struct labels set)
{
    strbuf_char(out, '{');
    for (size_t i = 0; i < set.n; i++) {
        struct slice value = set.ptr[i].value;
        if (i) strbuf_str(out, ", ");
        if (label_name_is_plain(set.ptr[i].name)) strbuf_slice(out, set.ptr[i].name);
        else strbuf_printf(out, "\"" SLICE_FMT "\"", SLICE_ARG(set.ptr[i].name));
        strbuf_str(out, "=\"");
        for (size_t k = 0; k < value.len; k++) {
            char c = value.ptr[k];
            if (c == '"' || c == '\\') strbuf_char(out, '\\');
            if (c == '\n') strbuf_str(out, "\\n");
            else strbuf_char(out, c);
        }
        strbuf_char(out, '"');
    }
    strbuf_char(out, '}');
}

/* ---- groups ----------------------------------------------------------------------- */

void label_groups_init(struct label_groups *g, struct arena *arena, struct label_filter filter)
{
    *g = (struct label_groups){.arena = arena, .filter = filter};
}

/* Names of the labels of the last set, by where their texts are: sets of one metric share
 * them, so what the filter sees of them is found out once. */
enum { SHAPE_MAX = 32, RECENT = 256 };

struct label_shape {
    size_t n;              /* 0: none */
    uint32_t seen;         /* bit i: the filter sees label i */
    struct slice name[SHAPE_MAX];
    uint64_t hash[SHAPE_MAX];
    /* Sets of the shape whose group was found lately, by where the texts of their values
     * are. */
    struct {
        const struct label *set; /* NULL: none */
        int64_t group;
    } recent[RECENT];
};

static bool same_place(struct slice a, struct slice b)
{
    return a.ptr == b.ptr && a.len == b.len;
}

/* Whether the set has the names of the shape, which is made anew when it has others. */
static bool has_shape(struct label_groups *g, struct labels set)
{
    struct label_shape *shape = g->shape;
    size_t i = 0;

    if (set.n == 0 || set.n > SHAPE_MAX) return false;
    while (i < set.n && shape->n == set.n && same_place(set.ptr[i].name, shape->name[i])) i++;
    if (i == set.n) return true;
    memset(shape->recent, 0, sizeof(shape->recent));
    shape->n = set.n;
    shape->seen = 0;
    for (i = 0; i < set.n; i++) {
        shape->name[i] = set.ptr[i].name;
        shape->hash[i] = hash_slice(set.ptr[i].name);
        if (filter_sees(&g->filter, set.ptr[i].name)) shape->seen |= 1u << i;
    }
    return true;
}

static uint64_t hash_part(const struct label_filter *f, struct labels set)
{
    uint64_t h = 0x9e3779b97f4a7c15ull;

    for (size_t i = 0; i < set.n; i++) {
        if (!filter_sees(f, set.ptr[i].name)) continue;
        h = hash_mix(h ^ hash_slice(set.ptr[i].name));
        h = hash_mix(h + hash_slice(set.ptr[i].value));
    }
    return h;
}

/* The same of a set of the shape. */
static uint64_t hash_shaped(const struct label_shape *shape, struct labels set)
{
    uint64_t h = 0x9e3779b97f4a7c15ull;

    for (uint32_t seen = shape->seen; seen; seen &= seen - 1) {
        unsigned i = (unsigned)trailing_zeros(seen);
        h = hash_mix(h ^ shape->hash[i]);
        h = hash_mix(h + hash_slice(set.ptr[i].value));
    }
    return h;
}

/* Where the entry of a set of the shape is in recent, if anywhere. */
static size_t recent_at(const struct label_shape *shape, struct labels set)
{
    uint64_t h = 0;

    for (uint32_t seen = shape->seen; seen; seen &= seen - 1) {
        h = (h ^ (uintptr_t)set.ptr[trailing_zeros(seen)].value.ptr) * 0x9e3779b97f4a7c15ull;
    }
    return h >> 32 & (RECENT - 1);
}

/* Both of the shape: the same texts at the same places. False tells nothing. */
static bool same_places(const struct label_shape *shape, const struct label *a,
                        const struct label *b)
{
    for (uint32_t seen = shape->seen; seen; seen &= seen - 1) {
        unsigned i = (unsigned)trailing_zeros(seen);
        if (!same_place(a[i].value, b[i].value)) return false;
    }
    return true;
}

static bool part_eq(const struct label_filter *f, struct labels a, struct labels b)
{
    size_t i = 0, k = 0;

    for (;; i++, k++) {
        while (i < a.n && !filter_sees(f, a.ptr[i].name)) i++;
        while (k < b.n && !filter_sees(f, b.ptr[k].name)) k++;
        if (i == a.n || k == b.n) return i == a.n && k == b.n;
        if (!slice_eq(a.ptr[i].name, b.ptr[k].name)) return false;
        if (!slice_eq(a.ptr[i].value, b.ptr[k].value)) return false;
    }
}

static size_t find_slot(const struct label_groups *g, struct labels set, uint64_t hash)
{
    size_t at = hash & (g->n_slots - 1);

    while (g->slots[at]) {
        uint32_t i = g->slots[at] - 1;
        if (g->hash[i] == hash && part_eq(&g->filter, g->rep[i], set)) break;
        at = (at + 1) & (g->n_slots - 1);
    }
    return at;
}

static bool groups_grow(struct label_groups *g)
{
    size_t cap = g->cap ? g->cap * 2 : 16;
    struct labels *rep = arena_try_array(g->arena, cap, sizeof(*rep));
    uint64_t *hash = arena_try_array(g->arena, cap, sizeof(*hash));
    uint32_t *slots = arena_try_zero(g->arena, cap * 2 * sizeof(*slots));

    if (!g->shape) g->shape = arena_try_zero(g->arena, sizeof(*g->shape));
    if (!rep || !hash || !slots || !g->shape) return false;
    if (g->n) memcpy(rep, g->rep, g->n * sizeof(*rep));
    if (g->n) memcpy(hash, g->hash, g->n * sizeof(*hash));
    g->rep = rep;
    g->hash = hash;
    g->cap = cap;
    g->slots = slots;
    g->n_slots = cap * 2;
    for (size_t i = 0; i < g->n; i++) { /* all different: no need to compare */
        size_t at = hash[i] & (g->n_slots - 1);
        while (slots[at]) at = (at + 1) & (g->n_slots - 1);
        slots[at] = (uint32_t)(i + 1);
    }
    return true;
}

static int64_t add_part(struct label_groups *g, struct labels set, uint64_t hash, bool *is_new)
{
    size_t at = find_slot(g, set, hash);

    *is_new = g->slots[at] == 0;
    if (g->slots[at]) return g->slots[at] - 1;
    g->rep[g->n] = set;
    g->hash[g->n] = hash;
    g->slots[at] = (uint32_t)++g->n;
    return (int64_t)g->n - 1;
}

int64_t label_groups_add(struct label_groups *g, struct labels set, bool *is_new)
{
    bool ignored;

    if (!is_new) is_new = &ignored;
    if (g->n == g->cap && (g->n >= UINT32_MAX / 4 || !groups_grow(g))) return -1;
    if (!has_shape(g, set)) return add_part(g, set, hash_part(&g->filter, set), is_new);

    size_t at = recent_at(g->shape, set);
    if (g->shape->recent[at].set && same_places(g->shape, g->shape->recent[at].set, set.ptr)) {
        *is_new = false;
        return g->shape->recent[at].group;
    }
    int64_t group = add_part(g, set, hash_shaped(g->shape, set), is_new);
    g->shape->recent[at].set = set.ptr;
    g->shape->recent[at].group = group;
    return group;
}

int64_t label_groups_find(const struct label_groups *g, struct labels set)
{
    if (g->n == 0) return -1;
    size_t at = find_slot(g, set, hash_part(&g->filter, set));
    return g->slots[at] ? (int64_t)g->slots[at] - 1 : -1;
}
