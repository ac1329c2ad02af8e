/* The buckets of a native histogram as intervals: their bounds, and walks over them in the
 * order of their values.
 *
 * Bucket idx of an exponential schema s holds (b^(idx-1), b^idx] with b = 2^(2^-s), its
 * mirror [-b^idx, -b^(idx-1)) the negative side; the bucket that ends at 2^1024 ends at the
 * largest double, and the one after it holds infinities. Bucket idx of custom bounds ends
 * at bound idx, the last one at +Inf, and the first begins at -Inf.
 *
 * Walks trust spans and counts to agree (histogram_check). Pure, any thread. */
#ifndef TSINK_MODEL_HISTOGRAM_BUCKETS_H
#define TSINK_MODEL_HISTOGRAM_BUCKETS_H

#include "model/histogram.h"

/* The upper bound of positive bucket idx, bit for bit as Prometheus has it. */
double histogram_upper(const struct histogram *h, int64_t idx);

/* The same for an exponential schema alone. */
double histogram_exponential(int32_t schema, int64_t idx);

/* Over one side, explicit zeros included. */
struct hist_cursor {
    const struct hist_side *side;
    size_t span, at;
    int64_t idx;
    uint32_t left;  /* buckets of the span at hand that are still to come */
    bool backward, entered;
};

void hist_cursor_begin(struct hist_cursor *cur, const struct hist_side *side, bool backward);
bool hist_cursor_next(struct hist_cursor *cur, int64_t *idx, double *count);

struct hist_bucket {
    double lower, upper, count;
    bool lower_closed, upper_closed;
};

/* Over all buckets by value: the zero bucket is among them when its count is above 0, and
 * what overlaps it is cut at its threshold. Explicit zeros are included. */
struct hist_buckets {
    const struct histogram *h;
    struct hist_cursor cur;
    int part;       /* -1: negative side, 0: zero bucket, 1: positive side */
    bool descending;
};

void hist_buckets_begin(struct hist_buckets *walk, const struct histogram *h, bool descending);
bool hist_buckets_next(struct hist_buckets *walk, struct hist_bucket *out);

#endif
