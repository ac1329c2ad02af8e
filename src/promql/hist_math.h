/* Arithmetic on native histograms as Prometheus does it: adding and subtracting brings both
 * sides to one layout first (the coarser schema, the wider zero bucket, the custom bounds
 * that both have), and results hold no empty buckets.
 *
 * A sum is a histogram that can change: buckets as sorted lists of index and value, and
 * beside each value a compensation (Neumaier), which stays zero unless the sum is
 * compensated. Sums live in an arena and keep their room when they are set again.
 *
 * Refused memory is HIST_REFUSED. One owner at a time; no state but the arguments'. */
#ifndef TSINK_PROMQL_HIST_MATH_H
#define TSINK_PROMQL_HIST_MATH_H

#include "base/arena.h"
#include "model/histogram.h"

enum hist_outcome {
    HIST_DONE,
    HIST_MIXED,   /* exponential and custom buckets do not meet; the sum is as it was */
    HIST_REFUSED, /* no memory; the sum is lost */
};

/* A value and its compensation. */
struct hist_number {
    double v, c;
};

struct hist_sum_side {
    int32_t *idx;
    struct hist_number *num;
    size_t n, cap;
};

struct hist_sum {
    bool compensated;
    int32_t schema;
    enum hist_reset reset;
    double zero_threshold;
    struct hist_number zero, count, sum;
    struct hist_sum_side pos, neg;
    const double *custom;
    size_t n_custom;
};

/* What the operations need beside their operands: room to bring the other side to the
 * layout of the sum. Zeroed but for the arena is its start. */
struct hist_work {
    struct arena *arena;
    struct hist_sum other, before;
};

/* What is to be said about a call; flags are set, never cleared. */
struct hist_notes {
    bool reset_collision; /* a counter with and one without a reset met */
    bool reconciled;      /* custom bounds that only one side had are gone */
};

/* The histogram itself; sum was zeroed or used before, sum->compensated is kept. */
CHECKED enum hist_outcome hist_sum_set(struct hist_work *w, struct hist_sum *sum,
                                       const struct histogram *h);

/* Adds the histogram (sign 1) or takes it away (sign -1). */
CHECKED enum hist_outcome hist_sum_add(struct hist_work *w, struct hist_sum *sum,
                                       const struct histogram *h, int sign,
                                       struct hist_notes *notes);

void hist_sum_scale(struct hist_sum *sum, double factor);
void hist_sum_divide(struct hist_sum *sum, double by);

/* To a coarser exponential schema; a finer one or custom buckets change nothing. */
void hist_sum_reduce(struct hist_sum *sum, int32_t schema);

/* The sum as a histogram of its own, without empty buckets; NULL when refused. */
const struct histogram *hist_sum_value(struct arena *arena, const struct hist_sum *sum);

/* A running mean: a compensated sum until any part of it overflows, an incremental mean
 * from there on. Zeroed is its start. */
struct hist_mean {
    struct hist_sum sum;
    double n;
    bool incremental;
};

CHECKED enum hist_outcome hist_mean_add(struct hist_work *w, struct hist_mean *mean,
                                        const struct histogram *h, struct hist_notes *notes);

/* The mean of what was added, at least one; the mean can not go on after it. */
const struct histogram *hist_mean_value(struct arena *arena, struct hist_mean *mean);

/* All counts and the sum times factor, or divided; a negative number makes a gauge of it,
 * and division by zero leaves no buckets but that around zero. NULL when refused. */
const struct histogram *histogram_scaled(struct hist_work *w, const struct histogram *h,
                                         double factor);
const struct histogram *histogram_divided(struct hist_work *w, const struct histogram *h,
                                          double by);

/* The same values, whatever the hints: what == means. */
bool histogram_same(const struct histogram *a, const struct histogram *b);

/* Whether a counter was reset between prev and h: by the hint of h, or because something
 * has become less. HIST_REFUSED leaves *reset alone. */
CHECKED enum hist_outcome histogram_is_reset(struct hist_work *w, const struct histogram *h,
                                             const struct histogram *prev, bool *reset);

/* The observations below x (upper) or above it; shares nothing with h. A histogram that
 * loses nothing keeps its sum, which is estimated otherwise. NULL when refused. */
const struct histogram *histogram_trim(struct hist_work *w, const struct histogram *h, double x,
                                       bool upper);

/* ---- what hist_*.c share ---------------------------------------------------------- */

/* Widens the zero bucket so that it reaches to threshold, or further when that lies inside
 * a bucket that is not empty. */
void hist_sum_widen_zero(struct hist_sum *sum, double threshold);

/* To custom bounds that the sum's own include. */
void hist_sum_map_custom(struct hist_sum *sum, const double *bounds, size_t n);

/* The bounds that both have: those of one of them where it has no others, else in the
 * arena; NULL when refused. */
const double *hist_common_bounds(struct arena *arena, const struct hist_sum *a,
                                 const struct hist_sum *b, size_t *n);

bool hist_bounds_equal(const double *a, size_t n_a, const double *b, size_t n_b);

static inline bool histogram_is_custom(const struct histogram *h)
{
    return h->schema == HIST_SCHEMA_CUSTOM;
}

#endif
