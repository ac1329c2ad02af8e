/* Aggregators over a bucket of samples: init, step, merge, final; one row each in
 * agg.def. What TS.RANGE, rollups and compaction rules share. NaN samples are
 * skipped by all but countnan and countall (resp.md 2.11). Pure, any thread. */
#ifndef TSINK_MODEL_AGG_H
#define TSINK_MODEL_AGG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "model/time.h"

enum agg {
#define AGG(id, name, upper) id,
#include "model/agg.def"
#undef AGG
    N_AGGS
};

struct agg_state {
    uint64_t n;          /* samples that are not NaN */
    uint64_t n_nan;
    double sum, sum_sq, mean; /* mean: running, for when the sum overflows */
    double min, max, first, last;
    ts_time first_ts, last_ts;
    /* twa: the integral of the line through the samples, and its ends */
    double integral;
    ts_time from_ts, to_ts;
    double from_val, to_val;
    bool overflow;
};

const char *agg_name(enum agg agg);  /* lower case, as TS.* writes it */
const char *agg_upper(enum agg agg); /* upper case, as TS.INFO writes it */
bool agg_parse(enum agg *out, struct slice text); /* any case */

/* Samples come in ascending time. */
void agg_init(struct agg_state *st);
void agg_step(struct agg_state *st, ts_time ts, double v);

/* n steps of a state as agg_init() left it, for these aggregators alone: what no other than
 * they look at may be left out. */
void agg_run(struct agg_state *st, const ts_time *ts, const double *v, size_t n,
             const enum agg *aggs, size_t n_aggs);
void agg_merge(struct agg_state *into, const struct agg_state *later); /* later in time */
bool agg_has_value(enum agg agg, const struct agg_state *st); /* false: empty bucket */
double agg_final(enum agg agg, const struct agg_state *st);
double agg_empty(enum agg agg); /* with EMPTY: 0 or NaN */

/* The edges of a twa bucket (resp.md 2.11). The line runs on to a sample outside the
 * bucket at (ts, v) and is integrated up to `edge`, which lies between that sample and
 * the bucket's. For buckets with a sample; call left after the last step or merge. */
void agg_twa_left(struct agg_state *st, ts_time edge, ts_time ts, double v);
void agg_twa_right(struct agg_state *st, ts_time edge, ts_time ts, double v);

/* The mean of the line from (ts0, v0) to (ts1, v1) over [from, to], ts0 < ts1: the twa of
 * a bucket without samples between two samples. */
double agg_twa_gap(ts_time from, ts_time to, ts_time ts0, double v0, ts_time ts1, double v1);

#endif
