/* Quantiles of plain values and of classic histograms, and the compensated sums that
 * PromQL's averages are made of. Results are Prometheus' to the last step of the
 * arithmetic. Pure, any thread. */
#ifndef TSINK_PROMQL_QUANTILE_H
#define TSINK_PROMQL_QUANTILE_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>

/* Neumaier's improvement of Kahan's sum: sum + c is the value. An infinite sum drops
 * its compensation, which would be NaN. */
static inline void kahan_add(double x, double *sum, double *c)
{
    double t = *sum + x;

    if (isinf(t)) *c = 0;
    else if (fabs(*sum) >= fabs(x)) *c += (*sum - t) + x;
    else *c += (x - t) + *sum;
    *sum = t;
}

/* A running mean: an ordinary compensated sum until that overflows, an incremental mean
 * from there on. */
struct mean {
    double n, sum, c, mean;
    bool incremental;
};

void mean_first(struct mean *m, double x);
void mean_add(struct mean *m, double x);
double mean_value(const struct mean *m);

/* The q-quantile by linear interpolation between ranks; sorts v, NaN first. NaN for
 * n == 0 or q NaN, -Inf below 0, +Inf above 1. */
double quantile_of(double q, double *v, size_t n);

/* The same of n >= 1 sorted values, q in [0, 1]. */
double quantile_of_sorted(double q, const double *v, size_t n);

/* Ascending, NaN first. */
void sort_values(double *v, size_t n);

struct bucket {
    double upper; /* le */
    double count; /* cumulative */
};

/* What had to be repaired before a quantile could be read. */
struct bucket_repair {
    bool forced; /* counts went down by more than rounding */
    double bucket_min, bucket_max, diff_max;
};

/* The q-quantile of a classic histogram; sorts and repairs the buckets (n >= 1). NaN
 * without a +Inf bucket, with fewer than two buckets or without observations. */
double bucket_quantile(double q, struct bucket *b, size_t n, struct bucket_repair *repair);

/* The part of the observations in [lower, upper]; sorts the buckets (n >= 1). */
double bucket_fraction(double lower, double upper, struct bucket *b, size_t n);

#endif
