/* Inside the evaluator: change over a range of native histograms. The kernels of fn_rate.c
 * decide what a window is; these say how much it changed. A change is left in
 * ev->hist_change, where it can be scaled, until hist_take() makes a value of it.
 *
 * false means no value: annotated, or rc->failed. */
#ifndef TSINK_PROMQL_FN_HISTOGRAM_PRIV_H
#define TSINK_PROMQL_FN_HISTOGRAM_PRIV_H

#include "promql/agg_histogram_priv.h"
#include "promql/eval_range_priv.h"

/* Whether the counter was reset between histograms i - 1 and i (at least 1) of the samples:
 * found out once, then remembered beside them. */
bool samples_is_reset(struct range_call *rc, const struct samples *s, size_t i);

/* From the first histogram of the window (at least two) to the last. */
bool hist_window_change(struct range_call *rc, const struct window *w, bool counter);

/* From histogram at - 1 of the window to histogram at. */
bool hist_instant_change(struct range_call *rc, const struct window *w, size_t at, bool rate);

/* Over an anchored or smoothed range; fn_histogram_extended.c. */
bool hist_extended_change(struct range_call *rc, const struct window *w, bool counter);

/* Adds to the change. */
bool hist_change_add(struct range_call *rc, const struct histogram *h);

/* The change as a gauge. */
bool hist_take(struct range_call *rc, const struct histogram **out);

/* Histograms one after the other: where counters were reset is asked when needed. */
struct hist_run {
    const struct histogram *const *h;
    size_t n;                   /* at least 1 */
    bool (*is_reset)(struct range_call *rc, const struct hist_run *run, size_t i);
    const struct samples *samples;
    size_t from;                /* index of h[0] in the samples */
    bool on_line;               /* h[0] lies on the line to h[1]: no reset between them */
};

bool hist_change(struct range_call *rc, const struct hist_run *run, bool counter);

/* The straight line from a (part 0) to b (part 1); after a reset the line comes from
 * nothing. HIST_MIXED is annotated. The result is a histogram of its own. */
CHECKED enum hist_outcome hist_between(struct eval *ev, struct text_pos pos, struct labels labels,
                                       const struct histogram *a, const struct histogram *b,
                                       double part, bool reset, const struct histogram **out);

#endif
