/* Native histograms. See histogram.h.
 *
 * Bytes (frozen; drawn in docs/formats/chunk.md):
 *
 *     u8       flags: bit 0 is_int, bits 1-2 reset, bit 3 packed counts
 *     varint   zigzag(schema)
 *     f64      zero_threshold, zero_count, count, sum      4 x 8 bytes
 *     side     positive, then negative:
 *                varint n_spans, then for each: varint zigzag(offset), varint n
 *                the counts, one a bucket: varint when packed, else f64
 *     varint   n_custom, then as many f64
 *
 * Packed: every count is a whole number below 2^53, which those of integer histograms
 * are. The length of the whole comes from outside (value column, WAL).
 */
#include "model/histogram.h"

#include <math.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "base/varint.h"

enum { FLAG_INT = 1, RESET_SHIFT = 1, RESET_MASK = 3, FLAG_PACKED = 8, FLAGS_ALL = 15 };

#define PACKED_LIMIT 9007199254740992.0 /* 2^53: below it doubles hold every whole number */

/* ---- checks --------------------------------------------------------------- */

static status check_side(const struct hist_side *side, const char *name, struct err *err)
{
    uint64_t n = 0;
    int64_t at = 0;
    for (size_t i = 0; i < side->n_spans; i++) {
        const struct hist_span *span = &side->spans[i];
        if (i > 0 && span->offset < 0)
            return err_set(err, ST_BAD_VALUE, "histogram: %s span %zu overlaps the one before",
                           name, i);
        at += (int64_t)span->offset + span->n;
        if (at > INT32_MAX || at < INT32_MIN)
            return err_set(err, ST_BAD_VALUE, "histogram: %s span %zu is out of range", name, i);
        n += span->n;
    }
    if (n != side->n_counts)
        return err_set(err, ST_BAD_VALUE, "histogram: %s spans name %llu buckets, %zu are given",
                       name, (unsigned long long)n, side->n_counts);
    return ST_OK;
}

static status check_custom(const struct histogram *h, struct err *err)
{
    for (size_t i = 0; i < h->n_custom; i++) {
        if (!isfinite(h->custom[i]))
            return err_set(err, ST_BAD_VALUE, "histogram: custom bound %zu is not finite", i);
        if (i > 0 && !(h->custom[i - 1] < h->custom[i]))
            return err_set(err, ST_BAD_VALUE, "histogram: custom bound %zu does not ascend", i);
    }
    if (h->neg.n_spans || h->zero_count != 0 || h->zero_threshold != 0)
        return err_set(err, ST_BAD_VALUE,
                       "histogram: custom bounds go with positive buckets alone");

    /* bucket n_custom is the one up to +Inf */
    int64_t at = 0;
    for (size_t i = 0; i < h->pos.n_spans; i++) {
        at += h->pos.spans[i].offset;
        if (at < 0 || at + (int64_t)h->pos.spans[i].n > (int64_t)h->n_custom + 1)
            return err_set(err, ST_BAD_VALUE, "histogram: span %zu is outside the custom bounds",
                           i);
        at += h->pos.spans[i].n;
    }
    return ST_OK;
}

status histogram_check(const struct histogram *h, struct err *err)
{
    TRY(check_side(&h->pos, "positive", err));
    TRY(check_side(&h->neg, "negative", err));
    if (h->schema == HIST_SCHEMA_CUSTOM) return check_custom(h, err);
    if (h->schema < HIST_SCHEMA_MIN || h->schema > HIST_SCHEMA_MAX)
        return err_set(err, ST_BAD_VALUE, "histogram: schema %d is not known", (int)h->schema);
    if (h->n_custom)
        return err_set(err, ST_BAD_VALUE, "histogram: schema %d has no custom bounds",
                       (int)h->schema);
    return ST_OK;
}

/* ---- copies --------------------------------------------------------------- */

/* NULL is right for no elements, so failure is told apart. */
static bool copy_array(const void **out, struct arena *arena, const void *src, size_t n,
                       size_t elem)
{
    *out = NULL;
    if (n == 0) return true;
    void *ptr = arena_try_array(arena, n, elem);
    if (!ptr) return false;
    memcpy(ptr, src, n * elem);
    *out = ptr;
    return true;
}

static bool copy_side(struct hist_side *out, struct arena *arena, const struct hist_side *side)
{
    const void *spans, *counts;
    if (!copy_array(&spans, arena, side->spans, side->n_spans, sizeof(*side->spans))) return false;
    if (!copy_array(&counts, arena, side->counts, side->n_counts, sizeof(*side->counts)))
        return false;
    *out = (struct hist_side){spans, counts, side->n_spans, side->n_counts};
    return true;
}

const struct histogram *histogram_copy(struct arena *arena, const struct histogram *h)
{
    const void *custom;
    struct histogram *out = arena_try(arena, sizeof(*out));
    if (!out) return NULL;
    *out = *h;
    if (!copy_side(&out->pos, arena, &h->pos) || !copy_side(&out->neg, arena, &h->neg))
        return NULL;
    if (!copy_array(&custom, arena, h->custom, h->n_custom, sizeof(*h->custom))) return NULL;
    out->custom = custom;
    return out;
}

static bool same_doubles(const double *a, const double *b, size_t n)
{
    return n == 0 || memcmp(a, b, n * sizeof(*a)) == 0;
}

static bool same_side(const struct hist_side *a, const struct hist_side *b)
{
    if (a->n_spans != b->n_spans || a->n_counts != b->n_counts) return false;
    for (size_t i = 0; i < a->n_spans; i++)
        if (a->spans[i].offset != b->spans[i].offset || a->spans[i].n != b->spans[i].n)
            return false;
    return same_doubles(a->counts, b->counts, a->n_counts);
}

bool histogram_eq(const struct histogram *a, const struct histogram *b)
{
    return a->schema == b->schema && a->reset == b->reset && a->is_int == b->is_int &&
           a->n_custom == b->n_custom && same_doubles(&a->zero_threshold, &b->zero_threshold, 1) &&
           same_doubles(&a->zero_count, &b->zero_count, 1) &&
           same_doubles(&a->count, &b->count, 1) && same_doubles(&a->sum, &b->sum, 1) &&
           same_side(&a->pos, &b->pos) && same_side(&a->neg, &b->neg) &&
           same_doubles(a->custom, b->custom, a->n_custom);
}

/* ---- bytes ---------------------------------------------------------------- */

static size_t side_bound(const struct hist_side *side)
{
    return VARINT_MAX + side->n_spans * 10 + side->n_counts * sizeof(double);
}

size_t histogram_bound(const struct histogram *h)
{
    return 1 + VARINT_MAX + 4 * sizeof(double) + side_bound(&h->pos) + side_bound(&h->neg) +
           VARINT_MAX + h->n_custom * sizeof(double);
}

static bool is_packable(const struct hist_side *side)
{
    for (size_t i = 0; i < side->n_counts; i++) {
        double v = side->counts[i];
        if (!(v >= 0 && v < PACKED_LIMIT) || v != floor(v) || signbit(v)) return false;
    }
    return true;
}

static uint8_t *put_f64(uint8_t *at, double v)
{
    store_u64(at, f64_bits(v));
    return at + sizeof(double);
}

static uint8_t *put_side(uint8_t *at, const struct hist_side *side, bool packed)
{
    at += varint_put(at, side->n_spans);
    for (size_t i = 0; i < side->n_spans; i++) {
        at += varint_put(at, zigzag(side->spans[i].offset));
        at += varint_put(at, side->spans[i].n);
    }
    for (size_t i = 0; i < side->n_counts; i++) {
        if (packed) at += varint_put(at, (uint64_t)side->counts[i]);
        else at = put_f64(at, side->counts[i]);
    }
    return at;
}

size_t histogram_encode(uint8_t *dst, const struct histogram *h)
{
    bool packed = is_packable(&h->pos) && is_packable(&h->neg);
    uint8_t *at = dst;
    *at++ = (uint8_t)((h->is_int ? FLAG_INT : 0) | (unsigned)h->reset << RESET_SHIFT |
                      (packed ? FLAG_PACKED : 0));
    at += varint_put(at, zigzag(h->schema));
    at = put_f64(at, h->zero_threshold);
    at = put_f64(at, h->zero_count);
    at = put_f64(at, h->count);
    at = put_f64(at, h->sum);
    at = put_side(at, &h->pos, packed);
    at = put_side(at, &h->neg, packed);
    at += varint_put(at, h->n_custom);
    for (size_t i = 0; i < h->n_custom; i++) at = put_f64(at, h->custom[i]);
    return (size_t)(at - dst);
}

struct reader {
    const uint8_t *at, *end;
    bool bad; /* sticky: bytes ended early or hold nonsense */
};

static size_t left(const struct reader *r)
{
    return (size_t)(r->end - r->at);
}

static uint64_t take_varint(struct reader *r, uint64_t max)
{
    uint64_t v = 0;
    size_t n = r->bad ? 0 : varint_get(&v, r->at, left(r));
    if (n == 0 || v > max) {
        r->bad = true;
        return 0;
    }
    r->at += n;
    return v;
}

static double take_f64(struct reader *r)
{
    if (r->bad || left(r) < sizeof(double)) {
        r->bad = true;
        return 0;
    }
    double v = bits_f64(load_u64(r->at));
    r->at += sizeof(double);
    return v;
}

static int32_t take_i32(struct reader *r)
{
    int64_t v = unzigzag(take_varint(r, UINT32_MAX));
    return (int32_t)v; /* zigzag of 32 bits: fits */
}

/* What is announced is checked against the bytes that are left before memory is asked. */
static status take_side(struct hist_side *out, struct arena *arena, struct reader *r, bool packed)
{
    enum { SPAN_LEN_MIN = 2 };
    uint64_t n_spans = take_varint(r, left(r) / SPAN_LEN_MIN);
    uint64_t n_counts = 0;
    struct hist_span *spans = arena_try_array(arena, n_spans, sizeof(*spans));
    if (!spans) return ST_NO_MEMORY;
    for (uint64_t i = 0; i < n_spans && !r->bad; i++) {
        spans[i].offset = take_i32(r);
        spans[i].n = (uint32_t)take_varint(r, UINT32_MAX);
        n_counts += spans[i].n;
    }
    if (r->bad || n_counts > left(r) / (packed ? 1 : sizeof(double))) return ST_CORRUPT;

    double *counts = arena_try_array(arena, n_counts, sizeof(*counts));
    if (!counts) return ST_NO_MEMORY;
    for (uint64_t i = 0; i < n_counts; i++)
        counts[i] = packed ? (double)take_varint(r, (uint64_t)PACKED_LIMIT - 1) : take_f64(r);
    *out = (struct hist_side){spans, counts, n_spans, n_counts};
    return r->bad ? ST_CORRUPT : ST_OK;
}

status histogram_decode(const struct histogram **out, struct arena *arena, const uint8_t *src,
                        size_t len)
{
    struct reader r = {src, src + len, len == 0};
    if (r.bad || (*r.at & ~FLAGS_ALL)) return ST_CORRUPT;

    uint8_t flags = *r.at++;
    struct histogram *h = arena_try_zero(arena, sizeof(*h));
    if (!h) return ST_NO_MEMORY;
    h->is_int = flags & FLAG_INT;
    h->reset = (enum hist_reset)(flags >> RESET_SHIFT & RESET_MASK);
    h->schema = take_i32(&r);
    h->zero_threshold = take_f64(&r);
    h->zero_count = take_f64(&r);
    h->count = take_f64(&r);
    h->sum = take_f64(&r);
    if (r.bad) return ST_CORRUPT;
    TRY(take_side(&h->pos, arena, &r, flags & FLAG_PACKED));
    TRY(take_side(&h->neg, arena, &r, flags & FLAG_PACKED));

    uint64_t n_custom = take_varint(&r, left(&r) / sizeof(double));
    double *custom = arena_try_array(arena, n_custom, sizeof(*custom));
    if (!custom) return ST_NO_MEMORY;
    for (uint64_t i = 0; i < n_custom; i++) custom[i] = take_f64(&r);
    h->custom = custom;
    h->n_custom = n_custom;
    if (r.bad || left(&r) > 0 || histogram_check(h, NULL) != ST_OK) return ST_CORRUPT;
    *out = h;
    return ST_OK;
}
