/* What an evaluation gives back, for whoever prints it.
 *
 * A result is a string, a scalar, or series. Series come in two shapes:
 *
 *     on the grid   val, has: a column with one slot a step of the result's grid,
 *                   start + i * step; bit i of has tells whether step i has a value.
 *                   Instant vectors (a grid of one step) and range queries.
 *     with times    ts, val: n_samples samples at their own times. Instant queries of a
 *                   range selector or a subquery.
 *
 * A value is the double in val, or the histogram in hist where that column exists and
 * is not NULL. promvalue_next() walks both shapes alike.
 *
 * Everything lives in the arena the evaluator was given and in the sets it read, and is
 * valid as long as both. Immutable once promql_eval() has returned; any thread.
 * Times are query ticks (plan.h).
 */
#ifndef TSINK_PROMQL_PROMVALUE_H
#define TSINK_PROMQL_PROMVALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "model/histogram.h"
#include "model/label.h"
#include "model/time.h"
#include "promql/ast.h"

struct prom_series {
    struct labels labels;          /* canonical; what is to be printed */
    const double *val;
    const uint64_t *has;           /* on the grid: a bit a step; else NULL */
    const struct histogram *const *hist; /* parallel to val; NULL: floats only */
    const ts_time *ts;             /* with times; else NULL */
    size_t n_samples;              /* values present, in either shape */
};

struct prom_point {
    ts_time ts;                    /* query ticks */
    double val;
    const struct histogram *hist;  /* not NULL: the value is this, val has no meaning */
};

struct promql_result {
    enum value_kind type;          /* what the API calls resultType */
    bool instant;
    ts_time start;                 /* of the grid; the evaluation time when instant */
    int64_t step;
    size_t n_steps;
    int64_t ticks_per_ms;
    double scalar;                 /* KIND_SCALAR */
    struct slice string;           /* KIND_STRING */
    struct prom_series *series;    /* KIND_VECTOR and KIND_MATRIX */
    size_t n_series;
    /* Texts as Prometheus words them, position included; at most 10 of each kind and
     * a line that counts the rest. */
    const struct slice *warnings, *infos;
    size_t n_warnings, n_infos;
    uint64_t peak_samples;         /* values held at once */
    uint64_t total_samples;        /* samples looked at, a window's counted each time */
};

/* The next point of a series from *at on, which starts at 0 and is moved past it; false
 * at the end. */
bool promvalue_next(const struct promql_result *result, const struct prom_series *series,
                    size_t *at, struct prom_point *out);

/* A time as the API prints it, in milliseconds, rounded down. */
int64_t promvalue_ms(const struct promql_result *result, ts_time ts);

/* Points in all series. */
uint64_t promvalue_n_points(const struct promql_result *result);

#endif
