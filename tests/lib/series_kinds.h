/* Columns of values like those that monitored machines send: data set C of the
 * performance design, one kind each, from a seed.
 *
 *     kind_fill(val, 1440, KIND_BYTES, &rng)
 *
 * Every kind is f64. The shares are those of the set and sum to 100.
 */
#ifndef TSINK_TESTS_SERIES_KINDS_H
#define TSINK_TESTS_SERIES_KINDS_H

#include <stddef.h>

#include "base/rng.h"
#include "model/value.h"

enum series_kind {
    KIND_CONSTANT,
    KIND_IDLE,        /* a counter that seldom moves */
    KIND_EVENTS,      /* a counter of tens of events a scrape */
    KIND_BYTES,       /* a counter of 100 kB a scrape */
    KIND_CENTISECONDS, /* a counter of seconds with two decimals */
    KIND_PAGES,       /* a gauge of multiples of 4096 that often stays */
    KIND_TWO_DECIMALS, /* a gauge that walks by hundredths */
    KIND_ACCUMULATED, /* a counter that sums decimals in floating point */
    KIND_NOISE,       /* all mantissa bits */
    KIND_SMALL,       /* a gauge of small whole numbers */
    N_SERIES_KINDS,
};

const char *kind_name(enum series_kind kind);
unsigned kind_share(enum series_kind kind); /* percent of set C */

/* Fills val[0..n) with one series of the kind. */
void kind_fill(union value *val, size_t n, enum series_kind kind, struct rng *rng);

#endif
