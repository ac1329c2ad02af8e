/* Columns of values: the table of their codecs, and the choice.
 *
 *     const    all equal: one value
 *     bool     a bit each
 *     section  sections of 128 by a codec of value_codec.h, each behind its length; a
 *              single one has none. Few values, and when memory is refused
 *     decimal  decimal.h: what nearly every numeric column is
 *     classes  the same with its residuals entropy-coded: where sizes are uneven (L2)
 *     dict     bytes, at most 256 distinct: those, then a number for each value
 *     hists    histograms: a column for each of their numbers (hist_columns_priv.h)
 *     zstd     the column by another codec, compressed (from L1)
 *
 * Encoding tries what the effort allows and keeps the smallest; the dearer a codec is to
 * decode the more it must save (performance.md 3.4). Layout: docs/formats/chunk.md. */
#include "codec/value_column.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/panic.h"
#include "codec/codec_priv.h"
#include "codec/decimal.h"
#include "codec/class_column_priv.h"
#include "codec/column_work_priv.h"
#include "codec/hist_columns_priv.h"

enum {
    FEW = 16,               /* up to so many values the heads decide: all codecs are tried */
    ZSTD_SAVES_PERCENT = 5, /* performance.md 3.4 */
    CLASSES_SAVE_PERCENT = 1,
    HIST_CLASSES_SAVE_PERCENT = 3,
    DICT_MAX = 256,
    RAW_MAX = 64 << 20,     /* bytes and histograms of a chunk, as in a segment */
};

#define FOR(type) (1u << VALUE_##type)
#define FOR_ALL (FOR(F64) | FOR(I64) | FOR(U64) | FOR(BOOL) | FOR(BYTES) | FOR(HISTOGRAM))

/* The decoders of columns: as value_column_decode(), src and len without the head. */
typedef status column_fn(union value *val, const struct value_column *col, size_t first,
                         size_t end, struct work *work, const uint8_t *src, size_t len);

#define TICK_CODEC(code, id, name, prefix)
#define VALUE_CODEC(code, id, name, types, prefix)
#define COLUMN_CODEC(code, id, name, types, decoder) static column_fn decoder;
#include "codec/codecs.def"
#undef COLUMN_CODEC

static const struct column_row {
    column_fn *decode;
    unsigned types;
} rows[] = {
#define COLUMN_CODEC(code, id, name, types, decoder) [code] = {decoder, types},
#include "codec/codecs.def"
#undef TICK_CODEC
#undef VALUE_CODEC
#undef COLUMN_CODEC
};

static inline bool is_number(enum value_type type)
{
    return type == VALUE_F64 || type == VALUE_I64 || type == VALUE_U64;
}

static inline size_t section_len(size_t n, size_t section)
{
    size_t left = n - section * VALUE_SECTION;
    return left < VALUE_SECTION ? left : VALUE_SECTION;
}

/* The values of the sections [first, end). */
static inline size_t values_of(size_t n, size_t first, size_t end)
{
    size_t to = end * VALUE_SECTION;
    return (to < n ? to : n) - first * VALUE_SECTION;
}

/* ---- sections -------------------------------------------------------------- */

static size_t put_sections(uint8_t *dst, enum value_codec codec, enum value_type type,
                           const union value *val, size_t n)
{
    size_t at = 0;

    dst[at++] = value_head(codec, type);
    if (n <= VALUE_SECTION) return at + value_encode(dst + at, codec, type, val, n);
    for (size_t i = 0; i < value_sections(n); i++) {
        uint8_t *body = dst + at + VARINT_MAX;
        size_t len = value_encode(body, codec, type, val + i * VALUE_SECTION, section_len(n, i));
        at += varint_put(dst + at, len);
        memmove(dst + at, body, len);
        at += len;
    }
    return at;
}

static status decode_sections(union value *val, const struct value_column *col,
                              enum value_codec codec, size_t first, size_t end, struct span in)
{
    size_t n_sections = value_sections(col->n);

    for (size_t i = 0; i < end; i++) {
        struct span section = in;
        uint64_t len = in.len;
        if (n_sections > 1 && !span_varint(&len, &in)) return ST_CORRUPT;
        section.src = span_take(&in, len);
        section.len = (size_t)len;
        if (!section.src) return ST_CORRUPT;
        if (i < first) continue;
        TRY(value_decode(val + (i - first) * VALUE_SECTION, section_len(col->n, i), codec,
                         col->type, col->arena, section.src, section.len));
    }
    return end < n_sections || in.len == 0 ? ST_OK : ST_CORRUPT;
}

/* ---- constants and bits ---------------------------------------------------- */

static status decode_const(union value *val, const struct value_column *col, size_t first,
                           size_t end, struct span in)
{
    TRY(value_decode(val, 1, VALUE_CODEC_CONST, col->type, NULL, in.src, in.len));
    size_t n = values_of(col->n, first, end);
    for (size_t i = 1; i < n; i++) val[i] = val[0];
    return ST_OK;
}

static status decode_bool(union value *val, const struct value_column *col, size_t first,
                          size_t end, struct span in)
{
    struct bit_reader r = {.src = in.src, .len = in.len, .at = first * VALUE_SECTION};
    size_t n = values_of(col->n, first, end);

    if (in.len != pack_len(col->n, 1)) return ST_CORRUPT;
    for (size_t i = 0; i < n; i++) val[i].bits = bit_get(&r, 1);
    return end < value_sections(col->n) || bit_done(&r) ? ST_OK : ST_CORRUPT;
}

/* ---- decimal --------------------------------------------------------------- */

static status column_decimal(union value *val, const struct value_column *col, size_t first,
                             size_t end, struct work *work, const uint8_t *src, size_t len)
{
    struct decimal_reader rd;
    size_t got;

    (void)work;
    TRY(decimal_open(&rd, col->type, col->n, src, len));
    if (first > 0) TRY(decimal_skip(&rd, first));
    for (size_t i = first; i < end; i++) {
        TRY(decimal_next(&rd, val + (i - first) * VALUE_SECTION, &got));
        if (got != section_len(col->n, i)) return ST_CORRUPT;
    }
    return ST_OK;
}

/* ---- classes --------------------------------------------------------------- */

/* To work buffer 0; *len is SIZE_MAX when memory is refused. */
static const uint8_t *put_classes(size_t *len, enum value_type type, const union value *val,
                                  size_t n, struct work *work)
{
    uint8_t *dst = work_bytes(work, 0, 1 + class_column_bound(n));

    *len = dst ? class_column_encode(dst + 1, type, val, n, work) : SIZE_MAX;
    if (*len == SIZE_MAX) return NULL;
    dst[0] = value_head(VALUE_CODEC_CLASSES, type);
    ++*len;
    return dst;
}

static status column_classes(union value *val, const struct value_column *col, size_t first,
                             size_t end, struct work *work, const uint8_t *src, size_t len)
{
    union value passed[DECIMAL_BLOCK];
    size_t got;

    if (!work) return ST_NO_MEMORY;
    struct class_reader *rd = (void *)work_bytes(work, 1, sizeof(*rd));
    if (!rd) return ST_NO_MEMORY;
    TRY(class_reader_open(rd, col->type, col->n, src, len));
    for (size_t i = 0; i < end; i++) {
        union value *to = i < first ? passed : val + (i - first) * VALUE_SECTION;
        TRY(class_reader_next(rd, to, &got));
        if (got != section_len(col->n, i)) return ST_CORRUPT;
    }
    return ST_OK;
}

/* ---- dictionaries ---------------------------------------------------------- */

struct dict {
    const struct slice *item[DICT_MAX];
    size_t n;
    uint16_t slots[4 * DICT_MAX]; /* number + 1; 0: empty */
};

/* The number of s, or DICT_MAX when there is no room for it. */
static size_t dict_number(struct dict *dict, const struct slice *s)
{
    size_t mask = ARRAY_LEN(dict->slots) - 1, at = (size_t)hash_slice(*s) & mask;

    for (; dict->slots[at]; at = (at + 1) & mask) {
        if (slice_eq(*dict->item[dict->slots[at] - 1], *s)) return dict->slots[at] - 1u;
    }
    if (dict->n == DICT_MAX) return DICT_MAX;
    dict->item[dict->n] = s;
    dict->slots[at] = (uint16_t)(dict->n + 1);
    return dict->n++;
}

/* To dst when that takes less than `best` bytes, which dst has room for; else SIZE_MAX. */
static size_t put_dict(uint8_t *dst, const union value *val, size_t n, size_t best,
                       struct work *work)
{
    struct dict dict = {.n = 0};
    uint64_t *numbers = work_words(work, n);
    uint8_t *packed = work_bytes(work, 0, int_column_bound(n));
    size_t len = 1 + VARINT_MAX, at = 0;

    if (!numbers || !packed) return SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        size_t number = dict_number(&dict, val[i].bytes);
        if (number == DICT_MAX) return SIZE_MAX;
        numbers[i] = number;
    }
    size_t packed_len = int_column_encode(packed, numbers, n, 0);
    len += packed_len;
    for (size_t i = 0; i < dict.n; i++) len += VARINT_MAX + dict.item[i]->len;
    if (len >= best) return SIZE_MAX;
    dst[at++] = value_head(VALUE_CODEC_DICT, VALUE_BYTES);
    at += varint_put(dst + at, dict.n);
    for (size_t i = 0; i < dict.n; i++) at += varint_put(dst + at, dict.item[i]->len);
    for (size_t i = 0; i < dict.n; i++) {
        if (dict.item[i]->len) memcpy(dst + at, dict.item[i]->ptr, dict.item[i]->len);
        at += dict.item[i]->len;
    }
    memcpy(dst + at, packed, packed_len);
    return at + packed_len;
}

static status get_dict(struct slice **out, size_t *n, struct arena *arena, struct span *in)
{
    uint64_t n_items, len[DICT_MAX], sum = 0;

    if (!span_varint(&n_items, in) || n_items < 1 || n_items > DICT_MAX) return ST_CORRUPT;
    for (size_t i = 0; i < n_items; i++) {
        if (!span_varint(&len[i], in) || __builtin_add_overflow(sum, len[i], &sum)) {
            return ST_CORRUPT;
        }
    }
    const uint8_t *bytes = span_take(in, sum);
    if (!bytes) return ST_CORRUPT;
    struct slice *items = arena_try_array(arena, (size_t)n_items, sizeof(*items));
    struct slice all = arena_copy(arena, slice_of(bytes, (size_t)sum));
    if (!items || !all.ptr) return ST_NO_MEMORY;
    for (size_t i = 0, at = 0; i < n_items; i++) {
        items[i] = slice_of(all.ptr + at, (size_t)len[i]);
        at += (size_t)len[i];
    }
    *out = items;
    *n = (size_t)n_items;
    return ST_OK;
}

static status column_dict(union value *val, const struct value_column *col, size_t first,
                          size_t end, struct work *work, const uint8_t *src, size_t len)
{
    uint64_t numbers[INT_BLOCK + 16];
    struct span in = {src, len};
    struct int_reader rd;
    struct slice *items;
    size_t n_items, got;

    (void)work;
    TRY(get_dict(&items, &n_items, col->arena, &in));
    TRY(int_reader_open(&rd, NULL, col->n, in.src, in.len));
    if (first > 0) TRY(int_reader_skip(&rd, first));
    for (size_t i = first; i < end; i++) {
        TRY(int_reader_next(&rd, numbers, &got));
        if (got != section_len(col->n, i)) return ST_CORRUPT;
        for (size_t k = 0; k < got; k++) {
            if (numbers[k] >= n_items) return ST_CORRUPT;
            val[(i - first) * VALUE_SECTION + k].bytes = &items[numbers[k]];
        }
    }
    return ST_OK;
}

/* ---- histograms ------------------------------------------------------------ */

static size_t put_hists(uint8_t *dst, const union value *val, size_t n, struct work *work)
{
    size_t cap = chunk_values_bound(VALUE_HISTOGRAM, val, n) - 1, len = SIZE_MAX;

    if (work && n > 1) len = hist_columns_encode(dst + 1, cap, val, n, false, work);
    if (len == SIZE_MAX) return put_sections(dst, VALUE_CODEC_HIST, VALUE_HISTOGRAM, val, n);
    dst[0] = value_head(VALUE_CODEC_HISTS, VALUE_HISTOGRAM);
    return 1 + len;
}

/* With class streams to dst when that takes clearly less than `best` bytes; else SIZE_MAX. */
static size_t put_hist_classes(uint8_t *dst, const union value *val, size_t n, size_t best,
                               struct work *work)
{
    size_t cap = best - best * HIST_CLASSES_SAVE_PERCENT / 100 - 1;
    uint8_t *bytes = n > 1 ? mem_try(cap) : NULL;
    size_t len = bytes ? hist_columns_encode(bytes, cap, val, n, true, work) : SIZE_MAX;

    if (len != SIZE_MAX) {
        dst[0] = value_head(VALUE_CODEC_HISTS, VALUE_HISTOGRAM);
        memcpy(dst + 1, bytes, len++);
    }
    mem_free(bytes);
    return len;
}

static status column_hists(union value *val, const struct value_column *col, size_t first,
                           size_t end, struct work *work, const uint8_t *src, size_t len)
{
    (void)work;
    return hist_columns_decode(val, col->n, first, end, col->arena, src, len);
}

/* ---- zstd ------------------------------------------------------------------ */

/* The column of len bytes at src compressed into dst, when it saves enough; else
 * SIZE_MAX. */
static size_t put_zstd(uint8_t *dst, enum value_type type, const uint8_t *src, size_t len,
                       struct work *work)
{
    struct zstd_pack *zstd = work_zstd(work);
    size_t cap = len - len * ZSTD_SAVES_PERCENT / 100, at = 0;

    if (!zstd || len < 64) return SIZE_MAX; /* its own heads take about 10 bytes */
    dst[at++] = value_head(VALUE_CODEC_ZSTD, type);
    at += varint_put(dst + at, len);
    size_t got = zstd_pack_encode(zstd, dst + at, cap - at, src, len, ZSTD_LEVEL_STORED);
    return got ? at + got : SIZE_MAX;
}

static status decode_plain(union value *val, const struct value_column *col, size_t first,
                           size_t end, struct work *work, bool packed);

static status column_zstd(union value *val, const struct value_column *col, size_t first,
                          size_t end, struct work *work, const uint8_t *src, size_t len)
{
    size_t raw_max = is_number(col->type) || col->type == VALUE_BOOL
                         ? chunk_values_bound(col->type, NULL, col->n)
                         : RAW_MAX;
    struct span in = {src, len};
    uint64_t raw_len;

    if (!span_varint(&raw_len, &in) || raw_len < 1 || raw_len > raw_max) return ST_CORRUPT;
    if (!work) return ST_NO_MEMORY;
    uint8_t *raw = work_bytes(work, 0, (size_t)raw_len + CHUNK_PAD);
    struct zstd_pack *zstd = work_zstd(work);
    if (!raw || !zstd) return ST_NO_MEMORY;
    TRY(zstd_pack_decode(zstd, raw, (size_t)raw_len, in.src, in.len));
    memset(raw + raw_len, 0, CHUNK_PAD);
    struct value_column inner = *col;
    inner.src = raw;
    inner.len = (size_t)raw_len;
    return decode_plain(val, &inner, first, end, work, true);
}

/* ---- the choice ------------------------------------------------------------ */

/* By the codec that needs no memory to work. */
static size_t put_simple(uint8_t *dst, enum value_type type, const union value *val, size_t n)
{
    size_t first = n < VALUE_SECTION ? n : VALUE_SECTION;
    enum value_codec codec = value_choose(type, val, first);
    if (codec == VALUE_CODEC_CONST) {
        codec = type == VALUE_F64 ? VALUE_CODEC_XOR : VALUE_CODEC_ZIGZAG;
    }
    return put_sections(dst, codec, type, val, n);
}

static size_t put_numbers(uint8_t *dst, enum value_type type, const union value *val, size_t n,
                          struct work *work)
{
    struct decimal_scratch *scratch = NULL;

    if (n > DECIMAL_BLOCK) {
        if (!work || decimal_scratch_reserve(&work->decimal, n) != ST_OK) {
            return put_simple(dst, type, val, n);
        }
        scratch = &work->decimal;
    }
    dst[0] = value_head(VALUE_CODEC_DECIMAL, type);
    size_t len = 1 + decimal_encode(dst + 1, type, val, n, scratch);
    if (n > FEW) return len;
    uint8_t other[FEW * 40 + 64];
    size_t other_len = put_simple(other, type, val, n);
    ASSERT(other_len <= sizeof(other));
    if (other_len >= len) return len;
    memcpy(dst, other, other_len);
    return other_len;
}

/* The best of the cheap codecs. */
static size_t put_cheap(uint8_t *dst, enum value_type type, const union value *val, size_t n,
                        struct work *work)
{
    if (value_codec_serves(VALUE_CODEC_CONST, type) &&
        const_rle_cost(type, val, n) != SIZE_MAX) {
        dst[0] = value_head(VALUE_CODEC_CONST, type);
        return 1 + value_encode(dst + 1, VALUE_CODEC_CONST, type, val, 1);
    }
    switch (type) {
    case VALUE_F64:
    case VALUE_I64:
    case VALUE_U64:
        return put_numbers(dst, type, val, n, work);
    case VALUE_BOOL:
        dst[0] = value_head(VALUE_CODEC_BOOL, type);
        return 1 + bool_bits_encode(dst + 1, type, val, n);
    case VALUE_BYTES: {
        size_t len = put_sections(dst, VALUE_CODEC_BYTES, type, val, n);
        size_t dict_len = work && n > 1 ? put_dict(dst, val, n, len, work) : SIZE_MAX;
        return dict_len < len ? dict_len : len;
    }
    case VALUE_HISTOGRAM:
        return put_hists(dst, val, n, work);
    }
    PANIC("value type %d", (int)type);
}

size_t value_column_encode(uint8_t *dst, enum value_type type, const union value *val, size_t n,
                           enum chunk_effort effort, struct work *work)
{
    size_t len = put_cheap(dst, type, val, n, work), best = len, other_len;

    if (effort == CHUNK_FAST || !work || len < 64) return len;
    uint8_t *other = work_bytes(work, 1, len + VARINT_MAX + 1);
    if (!other) return len;
    other_len = put_zstd(other, type, dst, len, work);
    if (other_len < best) best = other_len;
    if (effort == CHUNK_SMALLEST && is_number(type)) {
        size_t classes_len;
        const uint8_t *classes = put_classes(&classes_len, type, val, n, work);
        if (classes && classes_len < best - best * CLASSES_SAVE_PERCENT / 100) {
            memcpy(dst, classes, classes_len);
            return classes_len;
        }
    }
    if (effort == CHUNK_SMALLEST && type == VALUE_HISTOGRAM) {
        size_t classes_len = put_hist_classes(dst, val, n, best, work);
        if (classes_len != SIZE_MAX) return classes_len;
    }
    if (best < len) memcpy(dst, other, best);
    return best;
}

/* packed: out of a zstd column, which does not hold another one. */
static status decode_plain(union value *val, const struct value_column *col, size_t first,
                           size_t end, struct work *work, bool packed)
{
    struct span in = {col->src, col->len};
    unsigned head;

    if (!span_byte(&head, &in) || (head & 7) != (unsigned)col->type) return ST_CORRUPT;
    enum value_codec codec = (enum value_codec)(head >> 3);
    if (codec < ARRAY_LEN(rows) && rows[codec].decode) {
        if (!(rows[codec].types >> col->type & 1)) return ST_CORRUPT;
        if (packed && codec == VALUE_CODEC_ZSTD) return ST_CORRUPT;
        return rows[codec].decode(val, col, first, end, work, in.src, in.len);
    }
    if (!value_codec_serves(codec, col->type)) return ST_CORRUPT;
    if (codec == VALUE_CODEC_CONST) return decode_const(val, col, first, end, in);
    if (codec == VALUE_CODEC_BOOL) return decode_bool(val, col, first, end, in);
    return decode_sections(val, col, codec, first, end, in);
}

static bool wants_work(const struct value_column *col)
{
    enum value_codec codec = (enum value_codec)(col->len ? col->src[0] >> 3 : 0);
    return codec == VALUE_CODEC_CLASSES || codec == VALUE_CODEC_ZSTD;
}

status value_column_decode(union value *val, const struct value_column *col, size_t first,
                           size_t end)
{
    struct work *work = wants_work(col) ? work_take() : NULL;
    status st = decode_plain(val, col, first, end, work, false);
    work_give(work);
    return st;
}
