/* The series table of a segment: series.bin. See segment_priv.h, docs/formats/segment.md.
 *
 * Pair-coded: a dictionary of strings (metrics, label names, values), a dictionary of
 * pairs (two string numbers), then a record for each series with the numbers of its
 * metric and pairs. Numbers are given out in order of appearance. The three sections are
 * cut into parts of up to 4 MiB, each compressed and under a checksum of its own, so that
 * neither writer nor reader holds more of the records than one part.
 *
 *     | head 64 | part: kind 1, zero 3, raw len 4, stored len 4, items 4, crc 4 | bytes | ...
 *
 * A record:  flags | id step | [place 8] | labels version | metric | n | pairs | attrs
 * flags: bits 0-2 the value type, 3-4 where the place comes from, 5 a new shard follows.
 * The place is the hash of identity or key except for series that were renamed, so its 8
 * bytes are rarely there.
 */
#include "base/bits.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/panic.h"
#include "base/varint.h"
#include "base/vec.h"
#include "codec/compress.h"
#include "model/label.h"
#include "storage/segment_priv.h"

enum part_kind { PART_STRINGS = 1, PART_PAIRS = 2, PART_SERIES = 3 };

enum {
    PART_HEAD_LEN = 20,
    PART_OFF_KIND = 0,
    PART_OFF_RAW = 4,
    PART_OFF_STORED = 8,
    PART_OFF_ITEMS = 12,
    PART_OFF_CRC = 16,
    PART_RAW_AIM = 4 << 20,
    PART_RAW_MAX = 16 << 20,   /* one record may pass the aim */
};

enum {
    REC_TYPE = 7,
    REC_PLACE_SHIFT = 3,
    REC_PLACE_MASK = 3 << REC_PLACE_SHIFT,
    REC_SHARD = 1 << 5,
    REC_FLAGS = REC_TYPE | REC_PLACE_MASK | REC_SHARD,
};

enum place_from { PLACE_STORED = 0, PLACE_IDENTITY = 1, PLACE_KEY = 2 };

_Static_assert(PART_RAW_MAX > PART_RAW_AIM + SEGMENT_IDENTITY_MAX * 2 + SEGMENT_ATTRS_MAX,
               "a part that meets the aim takes one more record");

/* ---- a set of byte strings, numbered in order of appearance ---- */

struct interned {
    struct strbuf bytes;         /* back to back */
    VEC(uint64_t) ends;          /* of number i */
    uint32_t *slots;             /* number + 1; 0: empty */
    size_t n_slots;              /* a power of two, or 0 */
};

static struct slice interned_at(const struct interned *set, size_t number)
{
    uint64_t from = number ? set->ends.ptr[number - 1] : 0;
    return slice_of(set->bytes.ptr + from, (size_t)(set->ends.ptr[number] - from));
}

static void interned_release(struct interned *set)
{
    strbuf_release(&set->bytes);
    vec_release(&set->ends);
    mem_free(set->slots);
}

static size_t find_slot(const struct interned *set, struct slice s)
{
    size_t mask = set->n_slots - 1;
    size_t at = (size_t)hash_slice(s) & mask;
    while (set->slots[at] && !slice_eq(interned_at(set, set->slots[at] - 1), s)) {
        at = (at + 1) & mask;
    }
    return at;
}

static bool grow_slots(struct interned *set)
{
    size_t n = set->n_slots ? set->n_slots * 2 : 1024;
    uint32_t *slots = mem_try_zero(n * sizeof(slots[0]));
    if (!slots) return false;
    mem_free(set->slots);
    set->slots = slots;
    set->n_slots = n;
    for (size_t i = 0; i < set->ends.len; i++) {
        set->slots[find_slot(set, interned_at(set, i))] = (uint32_t)i + 1;
    }
    return true;
}

/* The number of s, which is added when it is new. False when memory or numbers end. */
static bool intern(uint32_t *number, struct interned *set, struct slice s)
{
    if (set->ends.len * 2 >= set->n_slots && !grow_slots(set)) return false;
    size_t at = find_slot(set, s);
    if (set->slots[at]) {
        *number = set->slots[at] - 1;
        return true;
    }
    if (set->ends.len >= UINT32_MAX - 1) return false;
    strbuf_put(&set->bytes, s.ptr, s.len);
    if (set->bytes.failed || !vec_push(&set->ends, set->bytes.len)) return false;
    *number = (uint32_t)set->ends.len - 1;
    set->slots[at] = (uint32_t)set->ends.len;
    return true;
}

/* ---- parts ---- */

/* Parts are numbered within their kind. */
static uint32_t part_crc(uint64_t segment, uint64_t number, enum part_kind kind,
                         const uint8_t *head, size_t stored)
{
    uint64_t seed = (uint64_t)kind << 56 | number;
    uint32_t crc = seg_crc(segment, SEG_SERIES, seed, head, PART_OFF_CRC);
    return crc32c(crc, head + PART_HEAD_LEN, stored);
}

/* Appends a part to out: head and compressed bytes. */
static status put_part(struct strbuf *out, uint64_t segment, uint64_t number,
                       enum part_kind kind, const struct strbuf *raw, uint32_t n_items,
                       struct err *err)
{
    size_t cap = zstd_bound(raw->len), stored;

    ASSERT(raw->len <= PART_RAW_MAX);
    if (!strbuf_reserve(out, PART_HEAD_LEN + cap)) {
        return err_set(err, ST_NO_MEMORY, "series table");
    }
    uint8_t *head = (uint8_t *)out->ptr + out->len;
    TRY(zstd_encode(&stored, head + PART_HEAD_LEN, cap, raw->ptr, raw->len, ZSTD_LEVEL_STORED));
    memset(head, 0, PART_HEAD_LEN);
    head[PART_OFF_KIND] = (uint8_t)kind;
    store_u32(head + PART_OFF_RAW, (uint32_t)raw->len);
    store_u32(head + PART_OFF_STORED, (uint32_t)stored);
    store_u32(head + PART_OFF_ITEMS, n_items);
    store_u32(head + PART_OFF_CRC, part_crc(segment, number, kind, head, stored));
    out->len += PART_HEAD_LEN + stored;
    return ST_OK;
}

/* ---- building ---- */

struct series_table {
    uint64_t segment;
    struct interned strings, pairs;
    struct strbuf raw;           /* records of the part in the making */
    uint32_t n_raw;
    struct strbuf parts;         /* finished parts of records */
    uint64_t n_parts;
    uint64_t n_series;
    uint64_t last_id;
    unsigned last_shard;
};

struct series_table *series_table_new(uint64_t segment)
{
    struct series_table *table = mem_try_zero(sizeof(*table));
    if (table) table->segment = segment;
    return table;
}

void series_table_free(struct series_table *table)
{
    if (!table) return;
    interned_release(&table->strings);
    interned_release(&table->pairs);
    strbuf_release(&table->raw);
    strbuf_release(&table->parts);
    mem_free(table);
}

static bool cut_text(struct slice *out, struct slice *rest)
{
    uint64_t len;
    size_t n = varint_get(&len, (const uint8_t *)rest->ptr, rest->len);

    if (n == 0 || len > rest->len - n) return false;
    *out = slice_of(rest->ptr + n, (size_t)len);
    *rest = slice_skip(*rest, n + (size_t)len);
    return true;
}

void seg_sums_add(struct seg_sums *sums, const struct segment_series *series)
{
    struct slice rest = series->identity, text, value;
    uint8_t bytes[32];

    store_u64(bytes, sums->fingerprint);
    store_u64(bytes + 8, series->id);
    store_u64(bytes + 16, series->labels_version);
    store_u64(bytes + 24, hash_place(series->identity.ptr, series->identity.len));
    sums->fingerprint = hash_place(bytes, sizeof(bytes));
    if (series->id > sums->id_max) sums->id_max = series->id;
    bool more = cut_text(&text, &rest); /* the metric */
    while (more && !sums->keyed && cut_text(&text, &rest) && cut_text(&value, &rest)) {
        sums->keyed = slice_is(text, LABEL_KEY);
    }
}

static void put_varint(struct strbuf *out, uint64_t v)
{
    uint8_t bytes[VARINT_MAX];
    strbuf_put(out, bytes, varint_put(bytes, v));
}

/* The metric and pairs of an identity as numbers, appended to out after their count. */
static status put_identity(struct series_table *table, struct strbuf *out, struct slice identity,
                           struct slice *key, struct err *err)
{
    struct slice rest = identity, text, name, value;
    uint32_t metric, n_name, n_value, pair;
    uint8_t coded[8];
    uint64_t n = 0;

    if (!cut_text(&text, &rest)) return err_set(err, ST_INVALID, "not an identity");
    for (struct slice count = rest; count.len > 0; n++) {
        if (!cut_text(&name, &count) || !cut_text(&value, &count)) {
            return err_set(err, ST_INVALID, "not an identity");
        }
    }
    if (!intern(&metric, &table->strings, text)) return err_set(err, ST_NO_MEMORY, "series");
    put_varint(out, metric);
    put_varint(out, n);
    while (rest.len > 0) {
        if (!cut_text(&name, &rest) || !cut_text(&value, &rest)) break; /* counted above */
        if (slice_is(name, LABEL_KEY)) *key = value;
        if (!intern(&n_name, &table->strings, name) || !intern(&n_value, &table->strings, value)) {
            return err_set(err, ST_NO_MEMORY, "series");
        }
        store_u32(coded, n_name);
        store_u32(coded + 4, n_value);
        if (!intern(&pair, &table->pairs, slice_of(coded, sizeof(coded)))) {
            return err_set(err, ST_NO_MEMORY, "series");
        }
        put_varint(out, pair);
    }
    return ST_OK;
}

static status flush_part(struct series_table *table, struct err *err)
{
    if (table->n_raw == 0) return ST_OK;
    TRY(put_part(&table->parts, table->segment, table->n_parts, PART_SERIES, &table->raw,
                 table->n_raw, err));
    table->n_parts++;
    table->n_raw = 0;
    strbuf_reset(&table->raw);
    return ST_OK;
}

static enum place_from place_from(const struct segment_series *series, struct slice key)
{
    if (key.ptr && hash_place(key.ptr, key.len) == series->place) return PLACE_KEY;
    if (hash_place(series->identity.ptr, series->identity.len) == series->place) {
        return PLACE_IDENTITY;
    }
    return PLACE_STORED;
}

static status put_record(struct series_table *table, const struct segment_series *series,
                         const struct strbuf *coded, enum place_from from)
{
    struct strbuf *raw = &table->raw;
    unsigned shard = segment_shard(series->place);
    bool first = table->n_raw == 0; /* of its part: parts are read alone */
    bool new_shard = first || shard != table->last_shard;
    uint8_t bytes[8];

    strbuf_char(raw, (char)((unsigned)series->type | (unsigned)from << REC_PLACE_SHIFT |
                            (new_shard ? REC_SHARD : 0)));
    put_varint(raw, new_shard ? series->id : series->id - table->last_id);
    if (from == PLACE_STORED) {
        store_u64(bytes, series->place);
        strbuf_put(raw, bytes, sizeof(bytes));
    }
    put_varint(raw, series->labels_version);
    strbuf_put(raw, coded->ptr, coded->len);
    put_varint(raw, series->attrs.len);
    strbuf_put(raw, series->attrs.ptr, series->attrs.len);
    table->last_id = series->id;
    table->last_shard = shard;
    table->n_raw++;
    table->n_series++;
    return raw->failed ? ST_NO_MEMORY : ST_OK;
}

status series_table_add(struct series_table *table, const struct segment_series *series,
                        struct err *err)
{
    struct slice key = {0};
    struct strbuf coded;

    if (series->identity.len > SEGMENT_IDENTITY_MAX || series->attrs.len > SEGMENT_ATTRS_MAX) {
        return err_set(err, ST_INVALID, "labels or attributes over their limits");
    }
    strbuf_init(&coded, 0);
    status st = put_identity(table, &coded, series->identity, &key, err);
    if (st == ST_OK && coded.failed) st = err_set(err, ST_NO_MEMORY, "series");
    if (st == ST_OK) st = put_record(table, series, &coded, place_from(series, key));
    strbuf_release(&coded);
    if (st == ST_OK && table->raw.len >= PART_RAW_AIM) st = flush_part(table, err);
    return st;
}

/* ---- writing ---- */

struct table_out {
    struct vfs_file *file;
    uint64_t off;
    uint64_t segment;
    struct strbuf raw, part;
    enum part_kind kind;
    uint64_t n_parts;
    uint32_t n_items;
};

static status end_part(struct table_out *out, struct err *err)
{
    if (out->n_items == 0) return ST_OK;
    if (out->raw.failed) return err_set(err, ST_NO_MEMORY, "series table");
    strbuf_reset(&out->part);
    TRY(put_part(&out->part, out->segment, out->n_parts, out->kind, &out->raw, out->n_items,
                 err));
    TRY(vfs_write(out->file, out->off, out->part.ptr, out->part.len, err));
    out->off += out->part.len;
    out->n_parts++;
    out->n_items = 0;
    strbuf_reset(&out->raw);
    return ST_OK;
}

static status write_dictionary(struct table_out *out, enum part_kind kind,
                               const struct interned *set, struct err *err)
{
    out->kind = kind;
    out->n_parts = 0;
    for (size_t i = 0; i < set->ends.len; i++) {
        struct slice item = interned_at(set, i);
        if (kind == PART_STRINGS) {
            put_varint(&out->raw, item.len);
            strbuf_slice(&out->raw, item);
        } else {
            put_varint(&out->raw, load_u32(item.ptr));
            put_varint(&out->raw, load_u32(item.ptr + 4));
        }
        out->n_items++;
        if (out->raw.len >= PART_RAW_AIM) TRY(end_part(out, err));
    }
    return end_part(out, err);
}

status series_table_write(struct series_table *table, struct vfs_file *file,
                          const struct seg_head *head, uint64_t *len, struct err *err)
{
    struct table_out out = {.file = file, .off = SEG_HEAD_LEN, .segment = table->segment};
    struct seg_head fields = *head;
    uint8_t bytes[SEG_HEAD_LEN];

    status st = flush_part(table, err);
    if (st == ST_OK) st = write_dictionary(&out, PART_STRINGS, &table->strings, err);
    if (st == ST_OK) st = write_dictionary(&out, PART_PAIRS, &table->pairs, err);
    strbuf_release(&out.raw);
    strbuf_release(&out.part);
    if (st != ST_OK) return st;

    TRY(vfs_write(file, out.off, table->parts.ptr, table->parts.len, err));
    *len = out.off + table->parts.len;
    fields.a = table->n_series;
    fields.b = table->strings.ends.len;
    fields.c = table->pairs.ends.len;
    seg_head_put(bytes, &fields);
    return vfs_write(file, 0, bytes, sizeof(bytes), err);
}

/* ---- reading ---- */

struct pair_numbers {
    uint32_t name, value;
};

struct table_in {
    const uint8_t *at, *end;
    uint64_t segment;
    struct seg_head head;
    struct strbuf bytes;             /* of the strings */
    VEC(uint64_t) ends;
    VEC(struct pair_numbers) pairs;
    struct strbuf raw;               /* the part at hand */
    uint32_t n_items;
    enum part_kind kind;
    uint64_t n_parts[PART_SERIES + 1];
    struct strbuf identity;
    uint64_t n_series, last_id;
    unsigned last_shard;
    status (*each)(void *ctx, const struct segment_series *series);
    void *ctx;
    struct err *err;
};

static status damaged(struct table_in *in, const char *what)
{
    return err_set(in->err, ST_CORRUPT, "%s", what);
}

/* Checks and unpacks the part at in->at. */
static status next_part(struct table_in *in)
{
    size_t left = (size_t)(in->end - in->at);

    if (left < PART_HEAD_LEN) return damaged(in, "ends inside a part");
    unsigned kind = in->at[PART_OFF_KIND];
    uint32_t raw = load_u32(in->at + PART_OFF_RAW), stored = load_u32(in->at + PART_OFF_STORED);
    if (kind < PART_STRINGS || kind > PART_SERIES || kind < (unsigned)in->kind) {
        return damaged(in, "parts out of order");
    }
    if (stored > left - PART_HEAD_LEN || raw == 0 || raw > PART_RAW_MAX) {
        return damaged(in, "impossible length of a part");
    }
    in->kind = (enum part_kind)kind;
    if (load_u32(in->at + PART_OFF_CRC) !=
        part_crc(in->segment, in->n_parts[kind]++, in->kind, in->at, stored)) {
        return damaged(in, "wrong checksum of a part");
    }
    strbuf_reset(&in->raw);
    if (!strbuf_reserve(&in->raw, raw)) return err_set(in->err, ST_NO_MEMORY, "series table");
    status st = zstd_decode_exact(in->raw.ptr, raw, in->at + PART_HEAD_LEN, stored);
    if (st != ST_OK) return err_set(in->err, st, "a part does not unpack");
    in->raw.len = raw;
    in->n_items = load_u32(in->at + PART_OFF_ITEMS);
    in->at += PART_HEAD_LEN + stored;
    return ST_OK;
}

static bool cut_varint(uint64_t *out, struct slice *rest)
{
    size_t n = varint_get(out, (const uint8_t *)rest->ptr, rest->len);
    if (n == 0) return false;
    *rest = slice_skip(*rest, n);
    return true;
}

static status read_strings(struct table_in *in)
{
    struct slice rest = strbuf_view(&in->raw), text;

    for (uint32_t i = 0; i < in->n_items; i++) {
        if (!cut_text(&text, &rest)) return damaged(in, "strings end early");
        strbuf_slice(&in->bytes, text);
        if (in->bytes.failed || !vec_push(&in->ends, in->bytes.len)) {
            return err_set(in->err, ST_NO_MEMORY, "series table");
        }
    }
    return rest.len == 0 ? ST_OK : damaged(in, "strings leave bytes over");
}

static status read_pairs(struct table_in *in)
{
    struct slice rest = strbuf_view(&in->raw);
    uint64_t name, value;

    for (uint32_t i = 0; i < in->n_items; i++) {
        if (!cut_varint(&name, &rest) || !cut_varint(&value, &rest) || name >= in->ends.len ||
            value >= in->ends.len) {
            return damaged(in, "a pair names no string");
        }
        struct pair_numbers pair = {(uint32_t)name, (uint32_t)value};
        if (!vec_push(&in->pairs, pair)) return err_set(in->err, ST_NO_MEMORY, "series table");
    }
    return rest.len == 0 ? ST_OK : damaged(in, "pairs leave bytes over");
}

static struct slice string_at(const struct table_in *in, uint64_t number)
{
    uint64_t from = number ? in->ends.ptr[number - 1] : 0;
    return slice_of((in->bytes.ptr ? in->bytes.ptr : "") + from,
                    (size_t)(in->ends.ptr[number] - from));
}

static void put_text(struct strbuf *out, struct slice text)
{
    put_varint(out, text.len);
    strbuf_slice(out, text);
}

/* The identity bytes back from numbers. */
static status read_identity(struct table_in *in, struct slice *rest, struct slice *key)
{
    uint64_t metric, n, pair;

    strbuf_reset(&in->identity);
    if (!cut_varint(&metric, rest) || !cut_varint(&n, rest) || metric >= in->ends.len) {
        return damaged(in, "a series names no metric");
    }
    put_text(&in->identity, string_at(in, metric));
    for (uint64_t i = 0; i < n; i++) {
        if (!cut_varint(&pair, rest) || pair >= in->pairs.len) {
            return damaged(in, "a series names no pair");
        }
        struct slice name = string_at(in, in->pairs.ptr[pair].name);
        struct slice value = string_at(in, in->pairs.ptr[pair].value);
        if (slice_is(name, LABEL_KEY)) *key = value;
        put_text(&in->identity, name);
        put_text(&in->identity, value);
        if (in->identity.len > SEGMENT_IDENTITY_MAX) return damaged(in, "labels over the limit");
    }
    return in->identity.failed ? err_set(in->err, ST_NO_MEMORY, "series table") : ST_OK;
}

static status read_place(struct table_in *in, struct segment_series *s, unsigned flags,
                         struct slice stored, struct slice key)
{
    switch ((flags & REC_PLACE_MASK) >> REC_PLACE_SHIFT) {
    case PLACE_STORED: s->place = load_u64(stored.ptr); return ST_OK;
    case PLACE_IDENTITY: s->place = hash_place(s->identity.ptr, s->identity.len); return ST_OK;
    case PLACE_KEY: s->place = hash_place(key.ptr ? key.ptr : "", key.len); return ST_OK;
    default: return damaged(in, "unknown place of a series");
    }
}

static status check_order(struct table_in *in, const struct segment_series *s, bool new_shard)
{
    unsigned shard = segment_shard(s->place);

    if (!new_shard && shard != in->last_shard) return damaged(in, "series in the wrong shard");
    if (in->n_series > 0 && seg_key_cmp(in->last_shard, in->last_id, shard, s->id) >= 0) {
        return damaged(in, "series out of order");
    }
    in->last_shard = shard;
    in->last_id = s->id;
    in->n_series++;
    return ST_OK;
}

static status read_record(struct table_in *in, struct slice *rest, bool first)
{
    struct segment_series s = {0};
    struct slice stored = {0}, key = {0};
    uint64_t step, version;

    if (rest->len == 0) return damaged(in, "series end early");
    unsigned flags = (uint8_t)rest->ptr[0];
    *rest = slice_skip(*rest, 1);
    bool new_shard = flags & REC_SHARD;
    if ((flags & ~(unsigned)REC_FLAGS) || !value_type_valid(flags & REC_TYPE) ||
        (first && !new_shard) || !cut_varint(&step, rest)) {
        return damaged(in, "not a series");
    }
    s.type = (enum value_type)(flags & REC_TYPE);
    if (__builtin_add_overflow(new_shard ? 0 : in->last_id, step, &s.id)) {
        return damaged(in, "impossible series id");
    }
    if ((flags & REC_PLACE_MASK) == 0) {
        if (rest->len < 8) return damaged(in, "series end early");
        stored = slice_of(rest->ptr, 8);
        *rest = slice_skip(*rest, 8);
    }
    if (!cut_varint(&version, rest) || version > UINT32_MAX) return damaged(in, "not a series");
    s.labels_version = (uint32_t)version;
    TRY(read_identity(in, rest, &key));
    s.identity = strbuf_view(&in->identity);
    if (!cut_text(&s.attrs, rest) || s.attrs.len > SEGMENT_ATTRS_MAX) {
        return damaged(in, "attributes end early");
    }
    TRY(read_place(in, &s, flags, stored, key));
    TRY(check_order(in, &s, new_shard));
    return in->each(in->ctx, &s);
}

static status read_series(struct table_in *in)
{
    struct slice rest = strbuf_view(&in->raw);

    for (uint32_t i = 0; i < in->n_items; i++) TRY(read_record(in, &rest, i == 0));
    return rest.len == 0 ? ST_OK : damaged(in, "series leave bytes over");
}

static status read_parts(struct table_in *in)
{
    while (in->at < in->end) {
        TRY(next_part(in));
        switch (in->kind) {
        case PART_STRINGS: TRY(read_strings(in)); break;
        case PART_PAIRS: TRY(read_pairs(in)); break;
        case PART_SERIES: TRY(read_series(in)); break;
        }
    }
    if (in->n_series != in->head.a || in->ends.len != in->head.b ||
        in->pairs.len != in->head.c) {
        return damaged(in, "its counts are wrong");
    }
    return ST_OK;
}

status series_table_each(const uint8_t *src, size_t len, const struct seg_head *expect,
                         status (*each)(void *ctx, const struct segment_series *series),
                         void *ctx, struct err *err)
{
    struct table_in in = {.at = src + SEG_HEAD_LEN,
                          .end = src + len,
                          .segment = expect->segment,
                          .each = each,
                          .ctx = ctx,
                          .err = err};

    TRY(seg_head_get(&in.head, src, len, expect, err));
    if (in.head.a != expect->a) return err_set(err, ST_CORRUPT, "contradicts the manifest");
    status st = read_parts(&in);
    strbuf_release(&in.bytes);
    strbuf_release(&in.raw);
    strbuf_release(&in.identity);
    vec_release(&in.ends);
    vec_release(&in.pairs);
    return st;
}
