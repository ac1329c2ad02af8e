/* Timestamps on a grid: t[i] = first + k[i] * step + r[i]. A scraper that aims at
 * every 15 s and is a little early or late does not drift: its jitter around the grid
 * is half as wide as the difference of differences (performance.md 3.3: 0.5 B a
 * sample against 1.8 for 2 ms of jitter).
 *
 * step is the median of the differences, so that missed scrapes and outliers do not
 * move it; then the whole span divided by the steps in it, because the median of
 * jittered differences is off by a little and a little times 127 is not. k rises by 1
 * + the number of points missed; misses are a short list, empty as a rule. r is stored
 * as the zigzag distance from the median residual c, patched: first happened to be
 * late or early, and c takes that out of everyone else. Both medians are of 16 samples,
 * which costs a tenth of the exact ones and no measurable size.
 *
 * Any ascending run can be expressed: where the grid does not fit, r is merely large.
 * All sums wrap modulo 2^64 on both sides. Layout: docs/formats/chunk.md. */
#include <string.h>

#include "base/bits.h"
#include "codec/codec_priv.h"
#include "codec/patched.h"
#include "codec/tick_codec.h"

enum { SAMPLES = 16 };

/* One section, taken apart. miss[i] and r[i] are of point i + 1. */
struct grid {
    uint64_t step;
    int64_t center;
    size_t n_misses; /* points after a gap */
    uint64_t miss[TICK_POINTS_MAX];
    uint64_t r[TICK_POINTS_MAX]; /* zigzag(residual - center) */
};

/* The median of about SAMPLES of v[0..n), n >= 1, evenly spread. */
static uint64_t sample_median(const uint64_t *v, size_t n)
{
    uint64_t sorted[SAMPLES];
    size_t n_sorted = 0, stride = (n + SAMPLES - 1) / SAMPLES;

    for (size_t i = stride / 2; i < n; i += stride) {
        size_t at = n_sorted++;
        for (; at > 0 && sorted[at - 1] > v[i]; at--) sorted[at] = sorted[at - 1];
        sorted[at] = v[i];
    }
    return sorted[(n_sorted - 1) / 2];
}

/* The step that takes first to last in a whole number of steps of about `median`;
 * the median itself where that is far from it (a jump of the phase in between). */
static uint64_t refine_step(uint64_t median, uint64_t span)
{
    uint64_t n_steps = span / median + (span % median > median / 2);
    uint64_t step = span / n_steps + (span % n_steps > n_steps / 2);
    uint64_t off = step > median ? step - median : median - step;
    return off > median / 64 ? median : step;
}

static const uint64_t sign_bit = 1ull << 63;

static void split(struct grid *g, const ts_time *ts, size_t n)
{
    uint64_t order[TICK_POINTS_MAX];

    for (size_t i = 1; i < n; i++) order[i - 1] = ts_gap(ts[i - 1], ts[i]);
    g->step = refine_step(sample_median(order, n - 1), ts_gap(ts[0], ts[n - 1]));
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
    g->center = (int64_t)(sample_median(order, n - 1) ^ sign_bit);
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
