/* Columns of native histograms like those that instrumented servers send, from a seed.
 *
 *     hist_kind_fill(val, 2048, HIST_LATENCY, &rng, &arena)
 *
 * A series begins with few buckets and gets further ones as rare observations come; what
 * the values point to is in the arena.
 */
#ifndef TSINK_TESTS_HIST_KINDS_H
#define TSINK_TESTS_HIST_KINDS_H

#include <stddef.h>

#include "base/arena.h"
#include "base/rng.h"
#include "model/value.h"

enum hist_kind {
    HIST_LATENCY,  /* integer counter, schema 3, about 30 requests a scrape */
    HIST_IDLE,     /* the same, of a server that is seldom asked */
    HIST_SIZES,    /* integer counter, schema 0, about 300 a scrape, sums are whole */
    HIST_CLASSIC,  /* integer counter with 12 custom bounds */
    HIST_RATES,    /* float gauge: rates of the first kind, as a rule records them */
    N_HIST_KINDS,
};

const char *hist_kind_name(enum hist_kind kind);

/* Fills val[0..n) with one series of the kind. */
void hist_kind_fill(union value *val, size_t n, enum hist_kind kind, struct rng *rng,
                    struct arena *arena);

#endif
