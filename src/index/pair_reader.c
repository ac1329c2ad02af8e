/* See pair_reader.h.
 *
 * Three ways from a label to its id, the cheap ones first: the series before had the same
 * bytes at the same place; a small table by the hash of the bytes, which keeps 96 bits of
 * it, as the identity table does; the registry's own look-ups. Only what the registry knows
 * gets into the table, and pairs never go.
 *
 * That names ascend is compared only where they differ from those of the series before.
 */
#include "index/pair_reader.h"

#include <string.h>

#include "base/mem.h"
#include "base/varint.h"
#include "base/vec.h"
#include "index/registry_priv.h"

enum { SLOTS = 1 << 14 };

struct known {
    uint64_t lo;
    uint32_t hi, pair;  /* pair PAIR_UNKNOWN: nothing here */
};

/* A label of the series before. */
struct like {
    const char *at;
    uint32_t len, name_len; /* with their lengths before them */
    uint32_t pair;
};

struct pair_reader {
    const struct registry *reg;
    VEC(uint32_t) pairs;
    VEC(struct label) unknown;
    VEC(struct like) now, before;
    struct known known[SLOTS];
};

/* What is read of one identity. */
struct reading {
    struct pair_reader *reader;
    struct slice left;
    struct label last;      /* before this one */
    bool same_names;        /* so far those of the series before, at the same places */
};

static const struct slice metric_name = {LABEL_NAME, sizeof(LABEL_NAME) - 1};
static const struct slice key_name = {LABEL_KEY, sizeof(LABEL_KEY) - 1};
static const struct slice starts_name = {LABEL_STARTS, sizeof(LABEL_STARTS) - 1};

struct pair_reader *pair_reader_new(const struct registry *reg)
{
    struct pair_reader *reader = mem_try(sizeof(*reader));
    if (!reader) return NULL;
    memset(reader, 0, offsetof(struct pair_reader, known));
    reader->reg = reg;
    for (size_t i = 0; i < SLOTS; i++) reader->known[i] = (struct known){.pair = PAIR_UNKNOWN};
    return reader;
}

void pair_reader_free(struct pair_reader *reader)
{
    if (!reader) return;
    vec_release(&reader->pairs);
    vec_release(&reader->unknown);
    vec_release(&reader->now);
    vec_release(&reader->before);
    mem_free(reader);
}

static uint32_t look_up(const struct registry *reg, struct slice name, struct slice value)
{
    uint32_t name_id = dict_find(reg->names, name);
    if (name_id == DICT_NONE) return PAIR_UNKNOWN;
    uint32_t value_id = dict_find(reg->values, value);
    return value_id == DICT_NONE ? PAIR_UNKNOWN : registry_pair(reg, name_id, value_id);
}

/* raw: the bytes that stand for the label, which begin differently for a metric's name. */
static uint32_t find_pair(struct pair_reader *reader, struct slice raw, uint64_t kind,
                          const struct label *label)
{
    struct hash128 hash = hash128(raw.ptr, raw.len);
    hash.lo ^= kind;
    struct known *known = &reader->known[hash.lo % SLOTS];
    uint32_t hi = (uint32_t)(hash.hi >> 32);
    if (known->lo == hash.lo && known->hi == hi && known->pair != PAIR_UNKNOWN)
        return known->pair;
    uint32_t pair = look_up(reader->reg, label->name, label->value);
    if (pair != PAIR_UNKNOWN) *known = (struct known){hash.lo, hi, pair};
    return pair;
}

static bool take_text(struct slice *out, struct slice *left)
{
    uint64_t len = left->len ? (uint8_t)left->ptr[0] : 0x80;
    size_t n = 1;
    if (len >= 0x80) n = varint_get(&len, (const uint8_t *)left->ptr, left->len);
    if (n == 0 || n != varint_len(len) || len > left->len - n) return false;
    *out = slice_of(left->ptr + n, (size_t)len);
    *left = slice_skip(*left, n + (size_t)len);
    return true;
}

static bool add_label(struct pair_reader *reader, uint32_t pair, const struct label *label)
{
    if (pair == PAIR_UNKNOWN && !vec_push(&reader->unknown, *label)) return false;
    return vec_push(&reader->pairs, pair);
}

/* The next label is the one that the series before had there, byte for byte. */
static bool take_alike(struct reading *r, const struct like *like, struct label *label)
{
    if (!like || like->len > r->left.len || memcmp(like->at, r->left.ptr, like->len) != 0)
        return false;
    struct slice text = {r->left.ptr, like->len};
    r->left = slice_skip(r->left, like->len);
    (void)take_text(&label->name, &text); /* was read when it came first */
    (void)take_text(&label->value, &text);
    return true;
}

static bool same_name(const struct like *like, struct slice raw, size_t name_len)
{
    return like && like->name_len == name_len && memcmp(like->at, raw.ptr, name_len) == 0;
}

/* One label after the metric's name. */
static status read_label(struct reading *r, struct label *label, uint32_t *pair)
{
    struct pair_reader *reader = r->reader;
    size_t at = reader->now.len;
    const struct like *like = at < reader->before.len ? &reader->before.ptr[at] : NULL;
    struct slice raw = r->left;
    struct like now = {.at = raw.ptr};
    if (take_alike(r, like, label)) {
        now = *like;
        now.at = raw.ptr;
    } else {
        if (!take_text(&label->name, &r->left)) return ST_CORRUPT;
        size_t name_len = raw.len - r->left.len;
        if (!take_text(&label->value, &r->left)) return ST_CORRUPT;
        raw.len -= r->left.len;
        if (label->name.len == 0 || label->value.len == 0 || raw.len > UINT32_MAX ||
            slice_eq(label->name, metric_name))
            return ST_CORRUPT;
        if (!same_name(like, raw, name_len)) like = NULL;
        now.len = (uint32_t)raw.len;
        now.name_len = (uint32_t)name_len;
        now.pair = PAIR_UNKNOWN;
    }
    bool ordered = at == 0 || (r->same_names && like);
    if (!ordered && slice_cmp(r->last.name, label->name) >= 0) return ST_CORRUPT;
    r->same_names = r->same_names && like;
    if (now.pair == PAIR_UNKNOWN)
        now.pair = find_pair(reader, slice_of(now.at, now.len), 0, label);
    *pair = now.pair;
    r->last = *label;
    return vec_push(&reader->now, now) ? ST_OK : ST_NO_MEMORY;
}

static status read_labels(struct reading *r, struct slice metric, struct slice metric_raw,
                          bool *keyed)
{
    struct pair_reader *reader = r->reader;
    struct label name = {metric_name, metric}, label;
    bool placed = metric.len == 0;
    uint32_t pair, of_metric = PAIR_UNKNOWN;
    if (!placed) of_metric = find_pair(reader, metric_raw, 1, &name);
    while (r->left.len) {
        TRY(read_label(r, &label, &pair));
        *keyed |= slice_eq(label.name, key_name) || slice_eq(label.name, starts_name);
        if (!placed && slice_cmp(metric_name, label.name) < 0) {
            if (!add_label(reader, of_metric, &name)) return ST_NO_MEMORY;
            placed = true;
        }
        if (!add_label(reader, pair, &label)) return ST_NO_MEMORY;
    }
    if (!placed && !add_label(reader, of_metric, &name)) return ST_NO_MEMORY;
    return ST_OK;
}

status pair_reader_read(struct pair_list *out, struct pair_reader *reader,
                        struct slice identity)
{
    struct reading r = {.reader = reader, .left = identity, .same_names = true};
    struct slice metric, raw = identity;
    __typeof__(reader->now) oldest = reader->before;
    bool keyed = false;
    reader->before = reader->now;
    reader->now = oldest;
    vec_clear(&reader->now);
    vec_clear(&reader->pairs);
    vec_clear(&reader->unknown);
    if (!take_text(&metric, &r.left)) return ST_CORRUPT;
    raw.len -= r.left.len;
    TRY(read_labels(&r, metric, raw, &keyed));
    *out = (struct pair_list){.pairs = reader->pairs.ptr,
                              .n = reader->pairs.len,
                              .unknown = reader->unknown.ptr,
                              .n_unknown = reader->unknown.len,
                              .keyed = keyed};
    return ST_OK;
}
