/* Timestamps on a grid: t[i] = first + k[i] * step + r[i]. A scraper that aims at
 * every 15 s and is a little early or late does not drift: its jitter around the grid
 * is half as wide as the difference of differences (performance.md 3.3: 0.5 B a
 * sample against 1.8 for 2 ms of jitter).
 *
 * step is the median of the differences, so that missed scrapes and outliers do not
 * move it. k rises by 1 + the number of points missed; misses are a short list, empty
 * as a rule. r is stored as the zigzag distance from the median residual c, patched:
 * first happened to be late or early, and c takes that out of everyone else.
 *
 * Any ascending run can be expressed: where the grid does not fit, r is merely large.
 * All sums wrap modulo 2^64 on both sides. Layout: docs/formats/chunk.md. */
#include <string.h>

#include "base/bits.h"
#include "codec/codec_priv.h"
#include "codec/patched.h"
#include "codec/tick_codec.h"

/* One section, taken apart. miss[i] and r[i] are of point i + 1. */
struct grid {
    uint64_t step;
    int64_t center;
    size_t n_misses; /* points after a gap */
    uint64_t miss[TICK_POINTS_MAX];
    uint64_t r[TICK_POINTS_MAX]; /* zigzag(residual - center) */
};

static inline void swap_u64(uint64_t *a, uint64_t *b)
{
    uint64_t t = *a;
    *a = *b;
    *b = t;
}

/* The lower median of v[0..n), n >= 1; reorders v. Hoare's selection, at most n^2 / 2
 * steps of a run of 127. */
static uint64_t median(uint64_t *v, size_t n)
{
    size_t from = 0, to = n - 1, want = (n - 1) / 2;

    while (from < to) {
        uint64_t pivot = v[from + (to - from) / 2];
        size_t i = from, j = to;
        for (;;) {
            while (v[i] < pivot) i++;
            while (v[j] > pivot) j--;
            if (i >= j) break;
            swap_u64(&v[i++], &v[j--]);
        }
        /* v[from..j] <= pivot <= v[j + 1..to], and from <= j < to: the pivot is not
         * the last element, so j has moved at least once or was not above it. */
        if (want <= j) {
            to = j;
        } else {
            from = j + 1;
        }
    }
    return v[want];
}

static const uint64_t sign_bit = 1ull << 63;

static void split(struct grid *g, const ts_time *ts, size_t n)
{
    uint64_t order[TICK_POINTS_MAX];

    for (size_t i = 1; i < n; i++) order[i - 1] = ts_gap(ts[i - 1], ts[i]);
    g->step = median(order, n - 1);
    g->n_misses = 0;
    uint64_t half = g->step / 2, at = (uint64_t)ts[0];
    for (size_t i = 1; i < n; i++) {
        at += g->step;
        int64_t late = (int64_t)((uint64_t)ts[i] - at);
        uint64_t miss = 0;
        if (late > 0 && (uint64_t)late > half) miss = ((uint64_t)late + half) / g->step;
        g->miss[i - 1] = miss;
        g->n_misses += miss > 0;
        at += miss * g->step;
        g->r[i - 1] = (uint64_t)ts[i] - at;
        order[i - 1] = g->r[i - 1] ^ sign_bit; /* orders as signed */
    }
    g->center = (int64_t)(median(order, n - 1) ^ sign_bit);
    for (size_t i = 0; i < n - 1; i++) {
        g->r[i] = zigzag(wrap_sub((int64_t)g->r[i], g->center));
    }
}

size_t tick_grid_cost(const ts_time *ts, size_t n)
{
    struct grid g;

    if (n == 1) return 1;
    split(&g, ts, n);
    size_t len = 1 + varint_len(g.step) + varint_len(g.n_misses) + svarint_len(g.center);
    for (size_t i = 0, gap = 0; g.n_misses && i < n - 1; i++, gap++) {
        if (g.miss[i] == 0) continue;
        len += varint_len(gap) + varint_len(g.miss[i]);
        gap = 0;
    }
    return len + patched_cost(g.r, n - 1);
}

size_t tick_grid_encode(uint8_t *dst, ts_time base, const ts_time *ts, size_t n)
{
    struct grid g;
    size_t at = svarint_put(dst, wrap_sub(ts[0], base));

    if (n == 1) return at;
    split(&g, ts, n);
    at += varint_put(dst + at, g.step);
    at += varint_put(dst + at, g.n_misses);
    for (size_t i = 0, gap = 0; g.n_misses && i < n - 1; i++, gap++) {
        if (g.miss[i] == 0) continue;
        at += varint_put(dst + at, gap);
        at += varint_put(dst + at, g.miss[i]);
        gap = 0;
    }
    at += svarint_put(dst + at, g.center);
    return at + patched_encode(dst + at, g.r, n - 1);
}

/* A list of (points since the last one, points missed) to miss[0..n). */
static status get_misses(uint64_t *miss, size_t n, struct span *in)
{
    uint64_t n_misses, gap;
    size_t at = 0;

    memset(miss, 0, n * sizeof(miss[0]));
    if (!span_varint(&n_misses, in) || n_misses > n) return ST_CORRUPT;
    for (uint64_t i = 0; i < n_misses; i++) {
        if (!span_varint(&gap, in) || gap >= n - at || (i > 0 && gap == 0)) return ST_CORRUPT;
        at += (size_t)gap;
        if (!span_varint(&miss[at], in) || miss[at] == 0) return ST_CORRUPT;
    }
    return ST_OK;
}

status tick_grid_decode(ts_time *ts, size_t n, ts_time base, const uint8_t *src, size_t len)
{
    struct span in = {src, len};
    struct grid g;
    int64_t first;
    size_t used;

    if (!span_svarint(&first, &in)) return ST_CORRUPT;
    ts[0] = wrap_add(base, first);
    if (n == 1) return in.len == 0 ? ST_OK : ST_CORRUPT;

    if (!span_varint(&g.step, &in)) return ST_CORRUPT;
    TRY(get_misses(g.miss, n - 1, &in));
    if (!span_svarint(&g.center, &in)) return ST_CORRUPT;
    TRY(patched_decode(g.r, n - 1, &used, in.src, in.len));
    if (used != in.len) return ST_CORRUPT;

    uint64_t at = (uint64_t)ts[0];
    for (size_t i = 1; i < n; i++) {
        at += (1 + g.miss[i - 1]) * g.step;
        ts[i] = (ts_time)(at + (uint64_t)wrap_add(unzigzag(g.r[i - 1]), g.center));
        if (ts[i] <= ts[i - 1]) return ST_CORRUPT;
    }
    return ST_OK;
}
