/* bench_codec: native histograms as columns of a chunk (codec 12) beside runs of at most
 * 128 (codec 10, how mini-blocks have them). Sizes are bytes a histogram, times
 * nanoseconds a histogram. */
#include <stdio.h>
#include <stdlib.h>

#include "base/rng.h"
#include "codec/value_column.h"
#include "model/histogram.h"
#include "tests/bench/bench_codec.h"
#include "tests/lib/hist_kinds.h"

enum { ROUNDS = 7 };

/* Codec 10: without memory to work in a column is written in sections. */
static double len_by_sections(const union value *val, size_t n)
{
    uint8_t *bytes = malloc(chunk_values_bound(VALUE_HISTOGRAM, val, n));
    if (!bytes) abort();
    size_t len = value_column_encode(bytes, VALUE_HISTOGRAM, val, n, CHUNK_FAST, NULL);
    free(bytes);
    return (double)len;
}

static void bench_kind(enum hist_kind kind, size_t n)
{
    static ts_time ts[2048];
    static union value val[2048];
    struct arena arena;
    struct rng rng;

    arena_init(&arena, NULL, 1 << 20);
    rng_init(&rng, 4);
    hist_kind_fill(val, n, kind, &rng, &arena);
    double plain = 0, per = 1 / (double)n;
    for (size_t i = 0; i < n; i++) {
        ts[i] = (ts_time)(1700000000000u + i * 15000);
        plain += (double)histogram_bound(val[i].hist);
    }
    const struct histogram *last = val[n - 1].hist;
    printf("# %s: %zu buckets, %.0f bytes plain\n", hist_kind_name(kind), last->pos.n_counts,
           plain * per);
    printf("BENCH codec.hist.%zu.%s.sections.size=%.2f\n", n, hist_kind_name(kind),
           len_by_sections(val, n) * per);
    for (int effort = CHUNK_FAST; effort <= CHUNK_SMALLEST; effort++) {
        struct chunk_cost cost;
        measure_chunk(&cost, VALUE_HISTOGRAM, ts, val, n, (enum chunk_effort)effort, ROUNDS);
        const char *name = effort_name((enum chunk_effort)effort);
        printf("BENCH codec.hist.%zu.%s.%s.size=%.2f\n", n, hist_kind_name(kind), name,
               cost.values * per);
        printf("BENCH codec.hist.%zu.%s.%s.encode_ns=%.0f\n", n, hist_kind_name(kind), name,
               cost.encode_ns * per);
        printf("BENCH codec.hist.%zu.%s.%s.decode_ns=%.0f\n", n, hist_kind_name(kind), name,
               cost.decode_ns * per);
    }
    fflush(stdout);
    arena_release(&arena);
}

void bench_hists(void)
{
    static const size_t lengths[] = {120, 512, 2048};

    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        for (int k = 0; k < N_HIST_KINDS; k++) bench_kind((enum hist_kind)k, lengths[i]);
    }
}
