/* See codec_shapes.h. */
#include "tests/unit/codec/codec_shapes.h"

#include <math.h>

#include "base/panic.h"
#include "model/histogram.h"
#include "tests/unit/unit.h"

const char *tick_shape_name(enum tick_shape shape)
{
    static const char *const names[] = {
        [TICKS_STEADY] = "steady", [TICKS_JITTER] = "jitter", [TICKS_MISSING] = "missing",
        [TICKS_BURSTS] = "bursts", [TICKS_DRIFT] = "drift",   [TICKS_WILD] = "wild",
    };
    return names[shape];
}

const char *value_shape_name(enum value_shape shape)
{
    static const char *const names[] = {
        [VALUES_CONSTANT] = "constant",
        [VALUES_COUNTER] = "counter",
        [VALUES_GAUGE] = "gauge",
        [VALUES_NOISE] = "noise",
    };
    return names[shape];
}

void assert_ascending(const ts_time *ts, size_t n)
{
    bool ascending = true;
    for (size_t i = 1; i < n; i++) ascending &= ts[i - 1] < ts[i];
    ck_assert(ascending);
}

static int compare_times(const void *a, const void *b)
{
    ts_time x = *(const ts_time *)a, y = *(const ts_time *)b;
    return x < y ? -1 : x > y;
}

static uint64_t next_gap(size_t i, enum tick_shape shape, struct rng *rng)
{
    switch (shape) {
    case TICKS_MISSING:
        return rng_below(rng, 50) == 0 ? 45000 : 15000;
    case TICKS_BURSTS:
        return rng_below(rng, 20) == 0 ? 60000 + rng_below(rng, 600000) : 1 + rng_below(rng, 9);
    case TICKS_DRIFT:
        return 1000 + 3 * i;
    case TICKS_STEADY:
    case TICKS_JITTER:
    case TICKS_WILD:
    case N_TICK_SHAPES:
        break;
    }
    return 15000;
}

void shape_ticks(ts_time *ts, size_t n, enum tick_shape shape, struct rng *rng)
{
    uint64_t t = 1700000000000u + rng_below(rng, 1000000);

    for (size_t i = 0; i < n; i++) {
        if (shape == TICKS_WILD) {
            ts[i] = (ts_time)rng_next(rng);
        } else {
            ts[i] = (ts_time)(t + (shape == TICKS_JITTER ? rng_below(rng, 20) : 0));
            t += next_gap(i, shape, rng);
        }
    }
    if (shape != TICKS_WILD) return;
    qsort(ts, n, sizeof(ts[0]), compare_times);
    assert_ascending(ts, n); /* 2^64 is roomy */
}

static uint64_t next_number(uint64_t before, enum value_type type, enum value_shape shape,
                            struct rng *rng)
{
    static const uint64_t odd[] = {
        0, 1ull << 63, VALUE_STALE_BITS, VALUE_NAN_BITS, 0x7ff0000000000000ull, 1,
        0xfff0000000000000ull, 0xffffffffffffffffull, 0x7fefffffffffffffull,
    };
    if (type == VALUE_BOOL) return shape == VALUES_CONSTANT ? 1 : rng_below(rng, 2);
    switch (shape) {
    case VALUES_CONSTANT:
        return f64_bits(42.5);
    case VALUES_COUNTER:
        if (type == VALUE_F64) return f64_bits(bits_f64(before) + (double)rng_below(rng, 100));
        return before + rng_below(rng, 100);
    case VALUES_GAUGE:
        if (type == VALUE_F64) return f64_bits((double)rng_below(rng, 10000) / 100.0);
        return (uint64_t)((int64_t)rng_below(rng, 2000) - 1000);
    case VALUES_NOISE:
    case N_VALUE_SHAPES:
        break;
    }
    return rng_below(rng, 4) ? rng_next(rng) : odd[rng_below(rng, ARRAY_LEN(odd))];
}

static const struct slice *next_bytes(const struct slice *before, enum value_shape shape,
                                      struct rng *rng, struct arena *arena)
{
    if (before && (shape == VALUES_CONSTANT || rng_below(rng, 3) == 0)) return before;
    size_t len = rng_below(rng, shape == VALUES_NOISE ? 300 : 12);
    char text[300];
    for (size_t i = 0; i < len; i++) text[i] = (char)rng_next(rng);
    struct slice *out = arena_try(arena, sizeof(*out));
    *out = arena_copy(arena, slice_of(text, len));
    return out;
}

static const struct histogram *next_histogram(const struct histogram *before,
                                              enum value_shape shape, struct rng *rng,
                                              struct arena *arena)
{
    bool whole = shape != VALUES_GAUGE;
    size_t n = before && rng_below(rng, 40) ? before->pos.n_counts : 1 + rng_below(rng, 12);
    bool same = before && before->pos.n_counts == n;
    struct histogram *h = arena_try_zero(arena, sizeof(*h));
    struct hist_span *span = arena_try_zero(arena, sizeof(*span));
    double *counts = arena_try_array(arena, n, sizeof(*counts));

    *span = (struct hist_span){.offset = same ? before->pos.spans[0].offset : 3,
                               .n = (uint32_t)n};
    h->schema = 2;
    h->is_int = whole;
    h->zero_threshold = 1e-128;
    h->zero_count = (double)rng_below(rng, 5) + (whole ? 0 : 0.5);
    h->count = h->zero_count;
    for (size_t i = 0; i < n; i++) {
        double more = shape == VALUES_CONSTANT && same ? 0 : (double)rng_below(rng, 30);
        counts[i] = (same ? before->pos.counts[i] : 0) + more + (whole ? 0 : 0.25);
        h->count += counts[i];
    }
    h->sum = rng_unit(rng) * 1e6;
    h->pos = (struct hist_side){.spans = span, .counts = counts, .n_spans = 1, .n_counts = n};
    return h;
}

void shape_values(union value *val, size_t n, enum value_type type, enum value_shape shape,
                  struct rng *rng, struct arena *arena)
{
    for (size_t i = 0; i < n; i++) {
        if (type == VALUE_BYTES) {
            val[i].bytes = next_bytes(i ? val[i - 1].bytes : NULL, shape, rng, arena);
        } else if (type == VALUE_HISTOGRAM) {
            val[i].hist = next_histogram(i ? val[i - 1].hist : NULL, shape, rng, arena);
        } else {
            val[i].bits = next_number(i ? val[i - 1].bits : 0, type, shape, rng);
        }
    }
}

void assert_same_values(const union value *a, const union value *b, size_t n,
                        enum value_type type, const char *name)
{
    size_t i = 0;
    for (; i < n; i++) {
        bool same = type == VALUE_BYTES       ? slice_eq(*a[i].bytes, *b[i].bytes)
                    : type == VALUE_HISTOGRAM ? histogram_eq(a[i].hist, b[i].hist)
                                              : a[i].bits == b[i].bits;
        if (!same) break;
    }
    ck_assert_msg(i == n, "%s: value %zu of %zu differs", name, i, n);
}
