/* Inside the evaluator: native histograms in sum and avg, and in sum_over_time and
 * avg_over_time. A fold takes histograms one by one and gives their sum or mean; what is
 * to be said about them goes to the annotations, with the position and the metric name
 * that the caller gives. */
#ifndef TSINK_PROMQL_AGG_HISTOGRAM_PRIV_H
#define TSINK_PROMQL_AGG_HISTOGRAM_PRIV_H

#include "promql/eval_priv.h"

struct hist_fold {
    struct hist_mean mean; /* sum: only mean.sum and mean.n are used */
    bool is_mean;
    bool reset_seen, no_reset_seen;
    bool failed;           /* exponential and custom buckets met: there is no result */
};

/* Zeroed but for is_mean is its start. metric is of the series that h is of. */
CHECKED status hist_fold_add(struct eval *ev, struct hist_fold *fold, const struct histogram *h,
                             struct text_pos pos, struct slice metric);

/* The result of at least one histogram, in the arena; NULL when the fold has failed. Once. */
CHECKED status hist_fold_finish(struct eval *ev, struct arena *arena, struct hist_fold *fold,
                                struct text_pos pos, const struct histogram **out);

/* Empty again; keeps its room. */
void hist_fold_reset(struct hist_fold *fold);

/* "vector contains a mix of histograms with exponential and custom buckets schemas ..." */
void warn_mixed_schemas(struct eval *ev, struct text_pos pos, struct slice metric);

#endif
