/* Arithmetic on native histograms, as far as operators need it. Pure, any thread. */
#ifndef TSINK_PROMQL_HIST_MATH_H
#define TSINK_PROMQL_HIST_MATH_H

#include "base/arena.h"
#include "model/histogram.h"

/* All counts and the sum times factor, as a gauge; NULL when the arena refuses. Spans and
 * bounds are shared with h. */
const struct histogram *histogram_scaled(struct arena *arena, const struct histogram *h,
                                         double factor);

/* All counts and the sum divided; division by zero follows floats. */
const struct histogram *histogram_divided(struct arena *arena, const struct histogram *h,
                                          double by);

/* The estimated variance of the observations. */
double histogram_variance(const struct histogram *h);

#endif
