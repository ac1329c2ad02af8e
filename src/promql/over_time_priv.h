/* The functions of fn_over_time.c on whole columns (range_kernel.columns). */
#ifndef TSINK_PROMQL_OVER_TIME_PRIV_H
#define TSINK_PROMQL_OVER_TIME_PRIV_H

#include "promql/eval_range_priv.h"

bool samples_columns(struct range_call *rc, const struct range_columns *col);
bool present_columns(struct range_call *rc, const struct range_columns *col);
bool last_columns(struct range_call *rc, const struct range_columns *col);
bool first_columns(struct range_call *rc, const struct range_columns *col);
bool ts_of_last_columns(struct range_call *rc, const struct range_columns *col);
bool ts_of_first_columns(struct range_call *rc, const struct range_columns *col);
bool min_columns(struct range_call *rc, const struct range_columns *col);
bool max_columns(struct range_call *rc, const struct range_columns *col);
bool sum_columns(struct range_call *rc, const struct range_columns *col);
bool avg_columns(struct range_call *rc, const struct range_columns *col);
bool stdvar_columns(struct range_call *rc, const struct range_columns *col);
bool stddev_columns(struct range_call *rc, const struct range_columns *col);
bool quantile_columns(struct range_call *rc, const struct range_columns *col);

/* Welford's variance with compensated sums. */
double variance_of(const double *v, size_t n);

#endif
