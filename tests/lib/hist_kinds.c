/* Observations are log-normal: a request takes about 10 ms, a few take seconds. They are
 * counted in a fixed array of buckets, from which each histogram takes those that have
 * been hit so far, in spans. */
#include "tests/lib/hist_kinds.h"

#include <math.h>

#include "base/bits.h"
#include "base/panic.h"
#include "model/histogram.h"

enum { BUCKETS = 512, MIDDLE = 256, CUSTOM = 12 };

static const double bounds[CUSTOM] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                      0.1,   0.25,   0.5,   1,    2.5,   10};

static const struct {
    const char *name;
    int schema;
    uint64_t observations; /* at most, a scrape */
    unsigned seldom;       /* one scrape in so many has any */
} kinds[N_HIST_KINDS] = {
    [HIST_LATENCY] = {"latency", 3, 60, 1},
    [HIST_IDLE] = {"idle", 3, 4, 20},
    [HIST_SIZES] = {"sizes", 0, 600, 1},
    [HIST_CLASSIC] = {"classic", HIST_SCHEMA_CUSTOM, 60, 1},
    [HIST_RATES] = {"rates", 3, 60, 1},
};

const char *hist_kind_name(enum hist_kind kind)
{
    return kinds[kind].name;
}

/* What has been observed so far. */
struct state {
    double counts[BUCKETS], count, sum;
    bool seen[BUCKETS];
};

static double gauss(struct rng *rng)
{
    double sum = 0;
    for (int i = 0; i < 12; i++) sum += rng_unit(rng);
    return sum - 6;
}

static size_t bucket_of(enum hist_kind kind, double v)
{
    if (kind == HIST_CLASSIC) {
        size_t i = 0;
        while (i < CUSTOM && v > bounds[i]) i++;
        return MIDDLE + i;
    }
    return (size_t)(MIDDLE + (int)ceil(log2(v) * (double)(1 << kinds[kind].schema)));
}

static void observe(struct state *s, enum hist_kind kind, struct rng *rng)
{
    double v = kind == HIST_SIZES ? floor(exp(8 + 2 * gauss(rng))) + 1
                                  : floor(exp(-4.6 + gauss(rng)) * 1e9) / 1e9 + 1e-9;
    size_t bucket = bucket_of(kind, v);
    ASSERT(bucket < BUCKETS);
    s->counts[bucket]++;
    s->seen[bucket] = true;
    s->count++;
    s->sum += v;
}

static void make_side(struct hist_side *side, const struct state *s, double scale,
                      struct arena *arena)
{
    struct hist_span *spans = arena_try_array(arena, BUCKETS / 2, sizeof(*spans));
    double *counts = arena_try_array(arena, BUCKETS, sizeof(*counts));
    size_t n_spans = 0, n = 0, end = MIDDLE;

    ASSERT(spans && counts);
    for (size_t i = 0; i < BUCKETS; i++) {
        if (!s->seen[i]) continue;
        if (n_spans == 0 || i > end) {
            spans[n_spans++] = (struct hist_span){.offset = (int32_t)i - (int32_t)end};
        }
        spans[n_spans - 1].n++;
        counts[n++] = s->counts[i] * scale;
        end = i + 1;
    }
    *side = (struct hist_side){spans, counts, n_spans, n};
}

static const struct histogram *take(const struct state *s, enum hist_kind kind,
                                    struct arena *arena)
{
    double scale = kind == HIST_RATES ? 1 / 15.0 : 1;
    struct histogram *h = arena_try_zero(arena, sizeof(*h));

    ASSERT(h);
    h->schema = kinds[kind].schema;
    h->is_int = kind != HIST_RATES;
    h->reset = kind == HIST_RATES ? HIST_GAUGE : HIST_RESET_NO;
    h->count = s->count * scale;
    h->sum = s->sum * scale;
    make_side(&h->pos, s, scale, arena);
    if (kind == HIST_CLASSIC) {
        h->custom = bounds;
        h->n_custom = CUSTOM;
    } else {
        h->zero_threshold = 0x1p-128;
    }
    return h;
}

void hist_kind_fill(union value *val, size_t n, enum hist_kind kind, struct rng *rng,
                    struct arena *arena)
{
    struct state state = {.count = 0};

    for (size_t i = 0; i < n; i++) {
        if (kind == HIST_RATES) {
            for (size_t k = 0; k < BUCKETS; k++) state.counts[k] = 0;
            state.count = state.sum = 0;
        }
        bool idle = rng_below(rng, kinds[kind].seldom) > 0;
        uint64_t more = idle ? 0 : rng_below(rng, kinds[kind].observations);
        for (uint64_t k = 0; k <= more && (more || i == 0); k++) observe(&state, kind, rng);
        val[i].hist = take(&state, kind, arena);
    }
}
