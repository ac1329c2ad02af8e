/* Histograms in columns. Neighbours have the same layout as a rule (schema, spans,
 * custom bounds, zero threshold), and then differ only in numbers that move slowly:
 *
 *     run      n, length, the first histogram as model/histogram.h encodes it,
 *              then for n > 1 one column for each number of the other n - 1:
 *              count, sum, zero count, positive buckets, negative buckets
 *     column   codec, length, payload: constant, or decimal.h's integers and decimals,
 *              over the n - 1 numbers
 *
 * A new layout begins a new run. Decoding shares the spans and bounds
 * of a run's first histogram among all of them. For mini-blocks; chunks are the business
 * of hist_columns.c. Layout: docs/formats/chunk.md. */
#include <string.h>

#include "base/panic.h"
#include "codec/codec_priv.h"
#include "codec/decimal.h"
#include "codec/value_codec.h"
#include "model/histogram.h"

enum {
    COLUMN_COUNT,
    COLUMN_SUM,
    COLUMN_ZERO,
    COLUMN_BUCKETS, /* the first of the buckets */
    COLUMN_BOUND = 64, /* bytes of a column for each value, its head included */
    RUN_HEAD_BOUND = 2 + VARINT_MAX,
};

static inline size_t n_columns(const struct histogram *h)
{
    return COLUMN_BUCKETS + h->pos.n_counts + h->neg.n_counts;
}

static double get_number(const struct histogram *h, size_t column)
{
    if (column == COLUMN_COUNT) return h->count;
    if (column == COLUMN_SUM) return h->sum;
    if (column == COLUMN_ZERO) return h->zero_count;
    size_t i = column - COLUMN_BUCKETS;
    return i < h->pos.n_counts ? h->pos.counts[i] : h->neg.counts[i - h->pos.n_counts];
}

/* A column of n numbers takes a codec byte, a length of at most 2 bytes, heads of at
 * most 50 and 9 for each number: less than COLUMN_BOUND * n in all, also for n = 1. */
size_t hist_codec_bound(const struct histogram *h)
{
    return RUN_HEAD_BOUND + histogram_bound(h) + COLUMN_BOUND * n_columns(h);
}

size_t hist_codec_cost(enum value_type type, const union value *val, size_t n)
{
    return value_bound(type, val, n);
}

static bool same_spans(const struct hist_side *a, const struct hist_side *b)
{
    if (a->n_spans != b->n_spans || a->n_counts != b->n_counts) return false;
    for (size_t i = 0; i < a->n_spans && a->spans != b->spans; i++) {
        if (a->spans[i].offset != b->spans[i].offset || a->spans[i].n != b->spans[i].n) {
            return false;
        }
    }
    return true;
}

static bool same_layout(const struct histogram *a, const struct histogram *b)
{
    if (a->schema != b->schema || a->reset != b->reset || a->is_int != b->is_int) return false;
    if (f64_bits(a->zero_threshold) != f64_bits(b->zero_threshold)) return false;
    if (!same_spans(&a->pos, &b->pos) || !same_spans(&a->neg, &b->neg)) return false;
    if (a->n_custom != b->n_custom) return false;
    return a->n_custom == 0 || a->custom == b->custom ||
           memcmp(a->custom, b->custom, a->n_custom * sizeof(a->custom[0])) == 0;
}

static size_t put_column(uint8_t *dst, const union value *val, size_t n, size_t column)
{
    uint8_t payload[VALUE_POINTS_MAX * 8 + 512];
    union value number[VALUE_POINTS_MAX];
    size_t len, at = 0;

    ASSERT(decimal_bound(n) <= sizeof(payload));
    for (size_t i = 0; i < n; i++) number[i].bits = f64_bits(get_number(val[i].hist, column));
    dst[at] = VALUE_CODEC_DECIMAL;
    len = decimal_encode(payload, VALUE_F64, number, n, NULL);
    if (len > 8 && const_rle_cost(VALUE_F64, number, n) != SIZE_MAX) {
        dst[at] = VALUE_CODEC_CONST;
        len = value_encode(payload, VALUE_CODEC_CONST, VALUE_F64, number, n);
    }
    at++;
    at += varint_put(dst + at, len);
    memcpy(dst + at, payload, len);
    return at + len;
}

static size_t put_run(uint8_t *dst, const union value *val, size_t n)
{
    size_t at = varint_put(dst, n);
    size_t len = histogram_encode(dst + RUN_HEAD_BOUND, val[0].hist);

    at += varint_put(dst + at, len);
    memmove(dst + at, dst + RUN_HEAD_BOUND, len);
    at += len;
    for (size_t c = 0; n > 1 && c < n_columns(val[0].hist); c++) {
        at += put_column(dst + at, val + 1, n - 1, c);
    }
    return at;
}

size_t hist_codec_encode(uint8_t *dst, enum value_type type, const union value *val, size_t n)
{
    size_t at = 0;

    (void)type;
    for (size_t i = 0; i < n;) {
        size_t same = 1;
        while (i + same < n && same_layout(val[i].hist, val[i + same].hist)) same++;
        at += put_run(dst + at, val + i, same);
        i += same;
    }
    return at;
}

/* The n numbers of the next column. */
static status get_column(union value *out, size_t n, struct span *in)
{
    unsigned codec;
    uint64_t len;

    if (!span_byte(&codec, in) || !span_varint(&len, in)) return ST_CORRUPT;
    const uint8_t *payload = span_take(in, len);
    if (!payload) return ST_CORRUPT;
    if (codec == VALUE_CODEC_DECIMAL) {
        return decimal_decode(out, VALUE_F64, n, payload, (size_t)len);
    }
    if (codec != VALUE_CODEC_CONST) return ST_CORRUPT;
    return value_decode(out, n, VALUE_CODEC_CONST, VALUE_F64, NULL, payload, (size_t)len);
}

/* The n histograms of a run after its first, whose layout they share. */
static status get_others(union value *val, size_t n, const struct histogram *first,
                         struct arena *arena, struct span *in)
{
    union value numbers[VALUE_POINTS_MAX];
    size_t n_buckets = first->pos.n_counts + first->neg.n_counts;

    /* A column is at least a codec, a length and a byte: hostile counts end here,
     * before memory is asked for. */
    if (in->len / 3 < n_columns(first)) return ST_CORRUPT;
    struct histogram *hist = arena_try_array(arena, n, sizeof(*hist));
    double *counts = arena_try_array(arena, n * n_buckets + 1, sizeof(*counts));
    if (!hist || !counts) return ST_NO_MEMORY;

    for (size_t i = 0; i < n; i++) {
        hist[i] = *first;
        hist[i].pos.counts = counts + i * n_buckets;
        hist[i].neg.counts = counts + i * n_buckets + first->pos.n_counts;
        val[i].hist = &hist[i];
    }
    for (size_t c = 0; c < n_columns(first); c++) {
        TRY(get_column(numbers, n, in));
        for (size_t i = 0; i < n; i++) {
            double v = bits_f64(numbers[i].bits);
            if (c == COLUMN_COUNT) {
                hist[i].count = v;
            } else if (c == COLUMN_SUM) {
                hist[i].sum = v;
            } else if (c == COLUMN_ZERO) {
                hist[i].zero_count = v;
            } else {
                counts[i * n_buckets + c - COLUMN_BUCKETS] = v;
            }
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (histogram_check(&hist[i], NULL) != ST_OK) return ST_CORRUPT;
    }
    return ST_OK;
}

status hist_codec_decode(union value *val, size_t n, enum value_type type, struct arena *arena,
                         const uint8_t *src, size_t len)
{
    struct span in = {src, len};

    (void)type;
    for (size_t i = 0; i < n;) {
        uint64_t same, first_len;
        if (!span_varint(&same, &in) || same == 0 || same > n - i) return ST_CORRUPT;
        if (!span_varint(&first_len, &in)) return ST_CORRUPT;
        const uint8_t *first = span_take(&in, first_len);
        if (!first) return ST_CORRUPT;
        TRY(histogram_decode(&val[i].hist, arena, first, (size_t)first_len));
        if (same > 1) {
            TRY(get_others(val + i + 1, (size_t)same - 1, val[i].hist, arena, &in));
        }
        i += (size_t)same;
    }
    return in.len == 0 ? ST_OK : ST_CORRUPT;
}
