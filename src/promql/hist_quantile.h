/* What a native histogram tells about its observations: quantiles, fractions, variance,
 * and its text. Inside a bucket observations are taken to be spread evenly: over the
 * exponents in exponential buckets, over the values in the zero bucket and between custom
 * bounds. Pure, any thread. */
#ifndef TSINK_PROMQL_HIST_QUANTILE_H
#define TSINK_PROMQL_HIST_QUANTILE_H

#include "base/strbuf.h"
#include "model/histogram.h"

/* NaN observations are in the count and in no bucket: what they did to an answer. */
enum hist_nans {
    HIST_NANS_NONE,
    HIST_NANS_SKEW,   /* the quantile is higher for them */
    HIST_NANS_RESULT, /* the quantile is among them */
    HIST_NANS_LEFT_OUT, /* the fraction is without them */
};

/* The q-quantile; -Inf below 0, +Inf above 1, NaN for no observations. */
double histogram_quantile(double q, const struct histogram *h, enum hist_nans *nans);

/* The part of the observations between lower and upper. */
double histogram_fraction(double lower, double upper, const struct histogram *h,
                          enum hist_nans *nans);

/* The estimated variance of the observations. */
double histogram_variance(const struct histogram *h);

/* {count:4, sum:5, (0.5,1]:1, (1,2]:3}: Prometheus' text form, empty buckets left out. */
void histogram_text(struct strbuf *out, const struct histogram *h);

#endif
