/* Columns of times. The first byte: the codec in the low half, flags in the high half.
 *
 * Grid. A scraper that aims at every 15 s and is a little early or late does not drift,
 * so its jitter around a grid is half as wide as the difference of differences
 * (performance.md 3.3: 0.5 B a sample against 1.8 for 2 ms of jitter).
 *
 *     step     the median of some first differences, refined by the whole span: in whole
 *              ticks, or in 1/256 of a tick where the whole ones drift away from the
 *              points (a clock that is a little fast)
 *     misses   a list, absent as a rule: gaps longer than one step and a half
 *     r        what is left, in an integer column: constant when there is no jitter. As a
 *              rule the distances from the median, because the early ones among many
 *              late ones are then no wider than the others; where that packs poorly
 *              (jitter that wanders) plain, which the column may difference
 *
 * Points whose every fourth interval is a miss are not on a grid; they are coded as
 * offsets, whose integer column finds steps, rates and drift itself. All sums wrap
 * modulo 2^64 on both sides. Layout: docs/formats/chunk.md. */
#include "codec/tick_column.h"

#include "base/bits.h"
#include "codec/codec_priv.h"
#include "codec/int_column.h"

enum {
    FLAG_FRACTION = 0x10, /* the step is in 1/256 of a tick */
    FLAG_MISSES = 0x20,
    FLAG_CENTERED = 0x40, /* r is a zigzag distance from a center */
    CODEC_MASK = 0x0f,
    HEAD_MASK = CODEC_MASK | FLAG_FRACTION | FLAG_MISSES | FLAG_CENTERED,
    FRACTION_BITS = 8,
    SAMPLES = 31,
    MISS_SHARE = 4, /* at most n / 4 misses */
    MISS_BYTES = 3 + VARINT_MAX,
};

/* What encoding works with; all arrays in the caller's words. */
struct grid {
    uint64_t step;      /* in 1 << shift parts of a tick */
    unsigned shift;     /* 0 or FRACTION_BITS */
    size_t n_misses;
    uint64_t *off;      /* t[i] - t[0] */
    uint64_t *r, *z;    /* residuals; their zigzag distances from the center */
    int64_t center;
    uint32_t *miss;     /* pairs: point, misses before it */
};

size_t tick_column_words(size_t n)
{
    return 4 * n;
}

size_t tick_column_bound(size_t n)
{
    return 1 + 3 * VARINT_MAX + (n / MISS_SHARE + 1) * MISS_BYTES + int_column_bound(n);
}

/* The median of about SAMPLES first differences, evenly spread. n >= 2. */
static uint64_t median_step(const uint64_t *off, size_t n)
{
    uint64_t sorted[SAMPLES];
    size_t n_sorted = 0, stride = (n - 1 + SAMPLES - 1) / SAMPLES;

    for (size_t i = 1 + stride / 2; i < n && n_sorted < SAMPLES; i += stride) {
        uint64_t d = off[i] - off[i - 1];
        size_t at = n_sorted++;
        for (; at > 0 && sorted[at - 1] > d; at--) sorted[at] = sorted[at - 1];
        sorted[at] = d;
    }
    return n_sorted ? sorted[(n_sorted - 1) / 2] : off[1];
}

/* Steps of about `step` from the first point to the last. */
static uint64_t count_steps(const uint64_t *off, size_t n, uint64_t step)
{
    uint64_t span = off[n - 1];
    uint64_t steps = span / step + (span % step > step / 2);
    return steps < n - 1 ? n - 1 : steps;
}

/* Residuals and misses by the grid's step. False when it is not one. */
static bool split(struct grid *g, size_t n)
{
    uint64_t half = g->step >> (g->shift + 1), whole = g->step >> g->shift, k = 0;

    g->n_misses = 0;
    g->r[0] = 0;
    for (size_t i = 1; i < n; i++) {
        k++;
        uint64_t late = g->off[i] - (k * g->step >> g->shift);
        if ((int64_t)late > 0 && late > half) {
            uint64_t miss = (late - half + whole - 1) / whole;
            if (miss > UINT32_MAX || g->n_misses == n / MISS_SHARE) return false;
            g->miss[2 * g->n_misses] = (uint32_t)i;
            g->miss[2 * g->n_misses + 1] = (uint32_t)miss;
            g->n_misses++;
            k += miss;
            late = g->off[i] - (k * g->step >> g->shift);
        }
        g->r[i] = late;
    }
    return true;
}

/* How far the residuals spread, the outer eighth of some samples left out; also sets
 * the center. */
static uint64_t spread(struct grid *g, size_t n)
{
    int64_t sorted[SAMPLES];
    size_t n_sorted = 0, stride = (n + SAMPLES - 1) / SAMPLES;

    for (size_t i = 0; i < n && n_sorted < SAMPLES; i += stride) {
        int64_t r = (int64_t)g->r[i];
        size_t at = n_sorted++;
        for (; at > 0 && sorted[at - 1] > r; at--) sorted[at] = sorted[at - 1];
        sorted[at] = r;
    }
    g->center = sorted[n_sorted / 2];
    return (uint64_t)sorted[n_sorted - 1 - n_sorted / 8] - (uint64_t)sorted[n_sorted / 8];
}

/* Finds the step and splits by it; false when the points are on no grid. */
static bool find_grid(struct grid *g, size_t n)
{
    uint64_t median = median_step(g->off, n), span = g->off[n - 1];

    if (span >> (62 - FRACTION_BITS)) return false;
    uint64_t steps = count_steps(g->off, n, median);
    uint64_t step = (span + steps / 2) / steps;
    uint64_t apart = step > median ? step - median : median - step;
    if (apart > median / 64) step = median;
    g->step = step;
    g->shift = 0;
    if (!split(g, n)) return false;
    uint64_t whole_spread = spread(g, n);
    if (whole_spread <= 1) return true;

    uint64_t fine = ((span << FRACTION_BITS) + steps / 2) / steps;
    if (step == median && apart > median / 64) return true;
    if (fine == step << FRACTION_BITS) return true;
    g->step = fine;
    g->shift = FRACTION_BITS;
    if (split(g, n) && spread(g, n) < whole_spread - whole_spread / 4) return true;
    g->step = step;
    g->shift = 0;
    if (!split(g, n)) return false;
    (void)spread(g, n); /* the center */
    return true;
}

static size_t put_grid(uint8_t *dst, const struct grid *g, size_t n, bool centered)
{
    size_t at = 0;

    dst[at++] = (uint8_t)(TICK_COLUMN_GRID | (g->shift ? FLAG_FRACTION : 0) |
                          (g->n_misses ? FLAG_MISSES : 0) | (centered ? FLAG_CENTERED : 0));
    at += varint_put(dst + at, g->step);
    if (g->n_misses) at += varint_put(dst + at, g->n_misses);
    for (size_t i = 0, last = 0; i < g->n_misses; i++) {
        at += varint_put(dst + at, g->miss[2 * i] - last);
        at += varint_put(dst + at, g->miss[2 * i + 1]);
        last = g->miss[2 * i];
    }
    if (centered) at += svarint_put(dst + at, g->center);
    return at + int_column_encode(dst + at, centered ? g->z : g->r, n, 0);
}

/* What some residuals look like: how far they lie from the center, and from the one
 * before, on the average. */
struct look {
    uint64_t apart, rough;
};

static struct look look_at(const struct grid *g, size_t n)
{
    struct look look = {0, 0};
    size_t stride = n / SAMPLES + 1, count = 0;

    for (size_t i = 1; i < n; i += stride, count++) {
        look.apart += zigzag(wrap_sub((int64_t)g->r[i], g->center)) / 2;
        look.rough += zigzag(wrap_sub((int64_t)g->r[i], (int64_t)g->r[i - 1])) / 2;
    }
    look.apart /= count;
    look.rough /= count;
    return look;
}

/* Whether neighbours are no nearer to each other than to the center. */
static inline bool is_jitter(struct look look)
{
    return look.rough + 1 >= look.apart / 2;
}

/* Jitter as distances from the center; what wanders as it is. */
static size_t put_residuals(uint8_t *dst, struct grid *g, size_t n, struct look look)
{
    bool centered = is_jitter(look);
    for (size_t i = 0; centered && i < n; i++) {
        g->z[i] = zigzag(wrap_sub((int64_t)g->r[i], g->center));
    }
    return put_grid(dst, g, n, centered);
}

size_t tick_column_encode(uint8_t *dst, const ts_time *ts, size_t n, uint64_t *words)
{
    struct grid g = {.off = words,
                     .r = words + n,
                     .miss = (uint32_t *)(words + 2 * n),
                     .z = words + 3 * n};
    size_t grid_len = SIZE_MAX;
    struct look look = {0, 0};

    for (size_t i = 0; i < n; i++) g.off[i] = ts_gap(ts[0], ts[i]);
    if (find_grid(&g, n)) {
        look = look_at(&g, n);
        grid_len = put_residuals(dst, &g, n, look);
        /* A good grid is not beaten, nor is one with mere jitter. */
        bool jitter = is_jitter(look) && look.apart < g.step >> (g.shift + 4);
        if (grid_len <= n / 8 + 16 || jitter) return grid_len;
    }
    dst[0] = TICK_COLUMN_OFFSETS;
    size_t len = 1 + int_column_encode(dst + 1, g.off, n, 0);
    return len <= grid_len ? len : put_residuals(dst, &g, n, look);
}

/* ---- decoding ------------------------------------------------------------- */

/* The list of misses, read along with the points. */
struct misses {
    struct span in;
    size_t left;
    size_t next;   /* the point before which some are missing; n when no more */
    uint64_t count;
};

static bool next_miss(struct misses *m, size_t n)
{
    uint64_t gap;

    if (m->left == 0) {
        m->next = n;
        return true;
    }
    if (!span_varint(&gap, &m->in) || !span_varint(&m->count, &m->in)) return false;
    if (gap == 0 || gap >= n - m->next || m->count == 0) return false;
    m->next += (size_t)gap;
    m->left--;
    return true;
}

/* Passes over the list, so that what follows it can be found. */
static bool pass_misses(struct misses *m, size_t n, struct span *in)
{
    uint64_t left;

    *m = (struct misses){.next = 0};
    if (!span_varint(&left, in) || left == 0 || left > n / MISS_SHARE) return false;
    m->in = *in;
    m->left = (size_t)left;
    for (uint64_t i = 0, v; i < 2 * left; i++) {
        if (!span_varint(&v, in)) return false;
    }
    return next_miss(m, n);
}

static status decode_grid(ts_time *ts, size_t n, ts_time from, unsigned flags, struct span in)
{
    uint64_t r[INT_BLOCK + 16], step, k = 0;
    unsigned shift = flags & FLAG_FRACTION ? FRACTION_BITS : 0;
    struct misses m = {.next = n};
    int64_t center = 0;
    struct int_reader rd;
    size_t got;

    if (!span_varint(&step, &in)) return ST_CORRUPT;
    if ((flags & FLAG_MISSES) && !pass_misses(&m, n, &in)) return ST_CORRUPT;
    if ((flags & FLAG_CENTERED) && !span_svarint(&center, &in)) return ST_CORRUPT;
    TRY(int_reader_open(&rd, NULL, n, in.src, in.len));
    for (size_t at = 0; at < n; at += got) {
        TRY(int_reader_next(&rd, r, &got));
        if (got == 0) return ST_CORRUPT;
        for (size_t i = 0; (flags & FLAG_CENTERED) && i < got; i++) {
            r[i] = (uint64_t)wrap_add(unzigzag(r[i]), center);
        }
        for (size_t i = 0; i < got;) {
            if (at + i == m.next) {
                k += m.count;
                if (!next_miss(&m, n)) return ST_CORRUPT;
            }
            size_t end = m.next - at < got ? m.next - at : got;
            uint64_t grid = (k + at + i) * step;
            for (; i < end; i++, grid += step) {
                ts[at + i] = (ts_time)((uint64_t)from + (grid >> shift) + r[i]);
            }
        }
    }
    return ST_OK;
}

status tick_column_decode(ts_time *ts, size_t n, ts_time from, const uint8_t *src, size_t len)
{
    struct span in = {src, len};
    unsigned head;

    if (!span_byte(&head, &in)) return ST_CORRUPT;
    if ((head & CODEC_MASK) == TICK_COLUMN_GRID) {
        if (head & ~(unsigned)HEAD_MASK) return ST_CORRUPT;
        return decode_grid(ts, n, from, head, in);
    }
    if (head != TICK_COLUMN_OFFSETS) return ST_CORRUPT;
    TRY(int_column_decode((uint64_t *)ts, n, in.src, in.len));
    for (size_t i = 0; i < n; i++) ts[i] = wrap_add(ts[i], from);
    return ST_OK;
}
