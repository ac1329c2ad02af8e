/* Prometheus' chunks. See prom_chunk.h.
 *
 * Three ways to write a number: xor() against the value before (as Gorilla does, leading
 * zeros in 5 bits and significant ones in 6), varbit() with a prefix code of nine classes,
 * and dod() with five for times of floats.
 */
#include "ingest/prom_chunk.h"

#include <math.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "base/mem.h"
#include "base/panic.h"
#include "base/varint.h"
#include "ingest/prom_hist.h"

enum { FLAG_RESET = 2 << 6, FLAG_NO_RESET = 1 << 6, FLAG_GAUGE = 3 << 6 };

/* ---- bits ----------------------------------------------------------------- */

struct bits_out {
    struct strbuf *buf;
    unsigned n_free;           /* bits of the last byte that are not used */
};

static void put_bits(struct bits_out *out, uint64_t v, unsigned width)
{
    while (width > 0) {
        if (out->n_free == 0) {
            strbuf_char(out->buf, 0);
            out->n_free = 8;
        }
        if (out->buf->failed) return;
        unsigned n = width < out->n_free ? width : out->n_free;
        uint64_t part = (v >> (width - n)) & ((1u << n) - 1);
        out->n_free -= n;
        out->buf->ptr[out->buf->len - 1] |= (char)(part << out->n_free);
        width -= n;
    }
}

static void put_bytes(struct bits_out *out, const uint8_t *src, size_t len)
{
    for (size_t i = 0; i < len; i++) put_bits(out, src[i], 8);
}

static void put_uvarint(struct bits_out *out, uint64_t v)
{
    uint8_t bytes[VARINT_MAX];
    put_bytes(out, bytes, varint_put(bytes, v));
}

/* ---- numbers -------------------------------------------------------------- */

/* A prefix of so many ones and a zero (the last class: ones only), then so many bits. */
struct bit_class {
    unsigned prefix, prefix_len, width;
};

/* Class 0 is the number zero. */
static const struct bit_class varbit_classes[] = {
    {0x0, 1, 0},  {0x2, 2, 3},   {0x6, 3, 6},   {0xe, 4, 9},   {0x1e, 5, 12},
    {0x3e, 6, 18}, {0x7e, 7, 25}, {0xfe, 8, 56}, {0xff, 8, 64},
};
static const struct bit_class dod_classes[] = {
    {0x0, 1, 0}, {0x2, 2, 14}, {0x6, 3, 17}, {0xe, 4, 20}, {0xf, 4, 64},
};

/* Whether v is one of the 2^width numbers that Prometheus keeps in so many bits: one more
 * above zero than two's complement has, one less below. */
static bool fits(int64_t v, unsigned width)
{
    if (width == 64) return true;
    if (width == 0) return v == 0;
    int64_t half = INT64_C(1) << (width - 1);
    return v > -half && v <= half;
}

static void put_class(struct bits_out *out, const struct bit_class *class, uint64_t v)
{
    put_bits(out, class->prefix, class->prefix_len);
    put_bits(out, v, class->width);
}

static void put_signed(struct bits_out *out, const struct bit_class *class, int64_t v)
{
    while (!fits(v, class->width)) class++;
    put_class(out, class, (uint64_t)v);
}

static void put_varbit(struct bits_out *out, int64_t v)
{
    put_signed(out, varbit_classes, v);
}

static void put_varbit_unsigned(struct bits_out *out, uint64_t v)
{
    const struct bit_class *class = varbit_classes;
    while (bit_width(v) > class->width) class++;
    put_class(out, class, v);
}

/* One number after the other. */
struct xor_state {
    uint64_t before;
    unsigned leading, trailing;
    bool known;                /* leading and trailing hold */
};

static void put_xor(struct bits_out *out, struct xor_state *state, uint64_t v)
{
    uint64_t diff = v ^ state->before;
    state->before = v;
    if (diff == 0) {
        put_bits(out, 0, 1);
        return;
    }
    unsigned leading = leading_zeros(diff), trailing = (unsigned)__builtin_ctzll(diff);
    if (leading > 31) leading = 31;
    put_bits(out, 1, 1);
    if (state->known && leading >= state->leading && trailing >= state->trailing) {
        put_bits(out, 0, 1);
        put_bits(out, diff >> state->trailing, 64 - state->leading - state->trailing);
        return;
    }
    state->leading = leading;
    state->trailing = trailing;
    state->known = true;
    unsigned width = 64 - leading - trailing;
    put_bits(out, 1, 1);
    put_bits(out, leading, 5);
    put_bits(out, width & 63, 6);
    put_bits(out, diff >> trailing, width);
}

static void put_first_xor(struct bits_out *out, struct xor_state *state, uint64_t v)
{
    *state = (struct xor_state){.before = v};
    put_bits(out, v, 64);
}

static struct bits_out begin(struct strbuf *buf, size_t n)
{
    ASSERT(n > 0 && n <= PROM_CHUNK_MAX);
    struct bits_out out = {.buf = buf};
    put_bits(&out, n, 16);
    return out;
}

/* ---- floats --------------------------------------------------------------- */

void prom_chunk_floats(struct strbuf *buf, const int64_t *ms, const union value *val, size_t n)
{
    struct bits_out out = begin(buf, n);
    struct xor_state v;
    int64_t delta = 0;
    put_uvarint(&out, zigzag(ms[0]));
    put_first_xor(&out, &v, val[0].bits);
    for (size_t i = 1; i < n; i++) {
        int64_t now = wrap_sub(ms[i], ms[i - 1]);
        if (i == 1) put_uvarint(&out, (uint64_t)now);
        else put_signed(&out, dod_classes, wrap_sub(now, delta));
        delta = now;
        put_xor(&out, &v, val[i].bits);
    }
}

/* ---- histograms: what goes together --------------------------------------- */

static bool is_stale(const struct histogram *h)
{
    return value_is_stale(f64_bits(h->sum));
}

/* A stale marker is its sum alone, whatever came with it. */
static struct histogram shown(const struct histogram *h)
{
    if (is_stale(h)) return (struct histogram){.sum = h->sum, .is_int = h->is_int};
    return *h;
}

static bool same_spans(const struct hist_side *a, const struct hist_side *b)
{
    return a->n_spans == b->n_spans && a->n_counts == b->n_counts &&
           (a->n_spans == 0 || memcmp(a->spans, b->spans, a->n_spans * sizeof(*a->spans)) == 0);
}

static bool same_layout(const struct histogram *a, const struct histogram *b)
{
    return a->schema == b->schema && a->is_int == b->is_int &&
           f64_bits(a->zero_threshold) == f64_bits(b->zero_threshold) &&
           same_spans(&a->pos, &b->pos) && same_spans(&a->neg, &b->neg) &&
           a->n_custom == b->n_custom &&
           (a->n_custom == 0 || memcmp(a->custom, b->custom, a->n_custom * sizeof(double)) == 0);
}

static bool any_less(const struct hist_side *now, const struct hist_side *before)
{
    for (size_t i = 0; i < now->n_counts; i++)
        if (!(now->counts[i] >= before->counts[i])) return true;
    return false;
}

/* Whether a counter began again, as far as the numbers tell; a NaN tells nothing good. */
static bool is_reset(const struct histogram *now, const struct histogram *before)
{
    return now->reset == HIST_RESET_YES || !(now->count >= before->count) ||
           !(now->zero_count >= before->zero_count) || any_less(&now->pos, &before->pos) ||
           any_less(&now->neg, &before->neg);
}

static bool goes_on(const struct histogram *now, const struct histogram *before)
{
    if (is_stale(now) || is_stale(before)) return is_stale(now) && is_stale(before);
    if (!same_layout(now, before)) return false;
    if ((now->reset == HIST_GAUGE) != (before->reset == HIST_GAUGE)) return false;
    return now->reset == HIST_GAUGE || !is_reset(now, before);
}

size_t prom_hist_run(enum prom_chunk_kind *kind, const union value *val, size_t n)
{
    size_t to = 1;
    bool ints = prom_hist_is_int(val[0].hist);
    if (n > PROM_CHUNK_MAX) n = PROM_CHUNK_MAX;
    while (to < n && goes_on(val[to].hist, val[to - 1].hist) &&
           prom_hist_is_int(val[to].hist) == ints)
        to++;
    *kind = ints ? PROM_CHUNK_HIST : PROM_CHUNK_FLOAT_HIST;
    return to;
}

/* ---- histograms: layout --------------------------------------------------- */

/* A power of two from 2^-243 to 2^10 in a byte, zero as 0, others behind 255. */
static void put_zero_threshold(struct bits_out *out, double threshold)
{
    int exponent;
    if (threshold == 0) {
        put_bits(out, 0, 8);
    } else if (frexp(threshold, &exponent) == 0.5 && exponent >= -242 && exponent <= 11) {
        put_bits(out, (uint64_t)(exponent + 243), 8);
    } else {
        put_bits(out, 255, 8);
        put_bits(out, f64_bits(threshold), 64);
    }
}

static void put_spans(struct bits_out *out, const struct hist_side *side)
{
    put_varbit_unsigned(out, side->n_spans);
    for (size_t i = 0; i < side->n_spans; i++) {
        put_varbit_unsigned(out, side->spans[i].n);
        put_varbit(out, side->spans[i].offset);
    }
}

/* Thousandths where they are exact and short. */
static void put_bound(struct bits_out *out, double bound)
{
    enum { THOUSANDTHS_MAX = 33554430 };
    double scaled = bound * 1000;
    if (scaled >= 0 && scaled <= THOUSANDTHS_MAX && round(scaled) / 1000 == bound) {
        put_varbit_unsigned(out, (uint64_t)round(scaled) + 1);
        return;
    }
    put_bits(out, 0, 1);
    put_bits(out, f64_bits(bound), 64);
}

static void put_layout(struct bits_out *out, const struct histogram *h)
{
    put_zero_threshold(out, h->zero_threshold);
    put_varbit(out, h->schema);
    put_spans(out, &h->pos);
    put_spans(out, &h->neg);
    if (h->schema != HIST_SCHEMA_CUSTOM) return;
    put_varbit_unsigned(out, h->n_custom);
    for (size_t i = 0; i < h->n_custom; i++) put_bound(out, h->custom[i]);
}

static unsigned flags_of(const struct histogram *h)
{
    switch (h->reset) {
    case HIST_GAUGE: return FLAG_GAUGE;
    case HIST_RESET_YES: return FLAG_RESET;
    case HIST_RESET_NO: return FLAG_NO_RESET;
    default: return 0;
    }
}

/* ---- histograms: samples -------------------------------------------------- */

/* An integer that is written as the change of its change. */
struct twice {
    int64_t before, delta;
};

static void put_twice(struct bits_out *out, struct twice *state, int64_t v)
{
    int64_t delta = wrap_sub(v, state->before);
    put_varbit(out, wrap_sub(delta, state->delta));
    *state = (struct twice){v, delta};
}

/* Bucket i as an integer histogram has it: the change from the bucket before. */
static int64_t bucket_delta(const struct hist_side *side, size_t i)
{
    int64_t before = i ? (int64_t)side->counts[i - 1] : 0;
    return wrap_sub((int64_t)side->counts[i], before);
}

static void put_first_int(struct bits_out *out, int64_t ms, const struct histogram *h,
                          struct xor_state *sum, struct twice *buckets)
{
    size_t n_pos = h->pos.n_counts;
    put_varbit(out, ms);
    put_varbit_unsigned(out, (uint64_t)h->count);
    put_varbit_unsigned(out, (uint64_t)h->zero_count);
    put_first_xor(out, sum, f64_bits(h->sum));
    for (size_t i = 0; i < n_pos + h->neg.n_counts; i++) {
        int64_t v = i < n_pos ? bucket_delta(&h->pos, i) : bucket_delta(&h->neg, i - n_pos);
        buckets[i] = (struct twice){v, 0};
        put_varbit(out, v);
    }
}

static void put_int_hists(struct bits_out *out, const int64_t *ms, const union value *val,
                          size_t n, struct twice *buckets)
{
    struct histogram h = shown(val[0].hist);
    struct twice t = {ms[0], 0}, count = {(int64_t)h.count, 0}, zero = {(int64_t)h.zero_count, 0};
    struct xor_state sum;
    put_first_int(out, ms[0], &h, &sum, buckets);
    for (size_t k = 1; k < n; k++) {
        h = shown(val[k].hist);
        put_twice(out, &t, ms[k]);
        put_twice(out, &count, (int64_t)h.count);
        put_twice(out, &zero, (int64_t)h.zero_count);
        put_xor(out, &sum, f64_bits(h.sum));
        size_t n_pos = h.pos.n_counts;
        for (size_t i = 0; i < n_pos; i++) put_twice(out, &buckets[i], bucket_delta(&h.pos, i));
        for (size_t i = 0; i < h.neg.n_counts; i++)
            put_twice(out, &buckets[n_pos + i], bucket_delta(&h.neg, i));
    }
}

enum { N_HEADS = 3 }; /* count, zero count and sum stand before the buckets */

static void put_float_hists(struct bits_out *out, const int64_t *ms, const union value *val,
                            size_t n, struct xor_state *states)
{
    struct twice t = {ms[0], 0};
    for (size_t k = 0; k < n; k++) {
        const struct histogram h = shown(val[k].hist);
        const double heads[N_HEADS] = {h.count, h.zero_count, h.sum};
        size_t n_pos = h.pos.n_counts;
        if (k == 0) put_varbit(out, ms[0]);
        else put_twice(out, &t, ms[k]);
        for (size_t i = 0; i < N_HEADS + n_pos + h.neg.n_counts; i++) {
            double v = i < N_HEADS           ? heads[i]
                       : i < N_HEADS + n_pos ? h.pos.counts[i - N_HEADS]
                                             : h.neg.counts[i - N_HEADS - n_pos];
            if (k == 0) put_first_xor(out, &states[i], f64_bits(v));
            else put_xor(out, &states[i], f64_bits(v));
        }
    }
}

void prom_chunk_hists(struct strbuf *buf, enum prom_chunk_kind kind, const int64_t *ms,
                      const union value *val, size_t n)
{
    const struct histogram first = shown(val[0].hist);
    struct bits_out out = begin(buf, n);
    put_bits(&out, flags_of(&first), 8);
    put_layout(&out, &first);
    size_t n_buckets = first.pos.n_counts + first.neg.n_counts;
    bool ints = kind == PROM_CHUNK_HIST;
    void *states = mem_try_array(n_buckets + N_HEADS,
                                 ints ? sizeof(struct twice) : sizeof(struct xor_state));
    if (!states) {
        buf->failed = true;
        return;
    }
    if (ints) put_int_hists(&out, ms, val, n, states);
    else put_float_hists(&out, ms, val, n, states);
    mem_free(states);
}
