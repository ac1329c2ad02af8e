/* Plan: from a typed tree and a time frame to what must be fetched before evaluation.
 *
 * plan_make() writes the fields of the tree that ast.h marks [plan] and lists one
 * struct select (query/querier.h) per selector: its matchers, and the smallest range
 * of samples that can matter to any step, with offsets, @, ranges, look-back and the
 * subqueries around it taken into account. Windows are open on the left: (t - d, t].
 *
 * Query ticks are the unit of evaluation: the finer of a millisecond and the
 * database's tick, so that no window edge is ever rounded. With PRECISION_S and
 * PRECISION_MS a query tick is a millisecond, with _US a microsecond, with _NS a
 * nanosecond. A sample's time in query ticks is its timestamp * sample_scale; the
 * ranges inside selects are in the database's own ticks, as the querier wants them.
 *
 * A plan has no memory of its own: everything is in the tree's arena, and it borrows
 * the tree's matchers. One owner at a time; planning again overwrites the tree's [plan]
 * fields, so an earlier plan of the same tree must not be used any more.
 */
#ifndef TSINK_PROMQL_PLAN_H
#define TSINK_PROMQL_PLAN_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "model/time.h"
#include "promql/ast.h"
#include "query/querier.h"

enum {
    PLAN_LOOKBACK_MS = 300000,     /* Prometheus' default: 5 min */
    PLAN_SUBQUERY_STEP_MS = 60000, /* Prometheus' default evaluation interval: 1 min */
};

struct plan_options {
    int64_t start_ms, end_ms;  /* the same in an instant query */
    int64_t step_ms;           /* 0: an instant query; > 0: a range query */
    int64_t lookback_ms;       /* 0: PLAN_LOOKBACK_MS */
    int64_t subquery_step_ms;  /* resolution of [5m:]; 0: PLAN_SUBQUERY_STEP_MS */
    enum precision precision;  /* of the database */
};

struct plan {
    struct expr *root;
    ts_time start, end;        /* query ticks; steps are start, start + step, ... <= end */
    int64_t step;              /* query ticks; at least 1 (1 in an instant query) */
    size_t n_steps;            /* at least 1 */
    bool instant;              /* a range query of one step is none */
    int64_t lookback;          /* query ticks, at least 1 */
    int64_t ticks_per_ms;      /* query ticks in a millisecond: 1, 1000 or 1000000 */
    int64_t sample_scale;      /* query ticks in a tick of the database: 1 or 1000 */
    int64_t interval_ms;       /* what step() says: 0 in an instant query */
    struct select *selects;    /* vec.select is an index here */
    size_t n_selects;
};

/* ST_INVALID with Prometheus' words when a duration expression has no usable value
 * ("4:12: duration must be greater than 0", byte offsets), the end is before the start,
 * the step is negative, or a time does not fit the precision; ST_NO_MEMORY. */
CHECKED status plan_make(struct plan *out, struct ast *ast, const struct plan_options *opt,
                         struct err *err);

/* The time as of which info(base) looks for info series at time t: that of the samples of
 * base's first selector, with the @ and offset of it and of the subqueries around it. */
ts_time plan_info_time(const struct expr *base, ts_time t);

/* A sample's time in query ticks, saturated. */
static inline ts_time plan_sample_time(const struct plan *plan, ts_time ts)
{
    ts_time out;
    if (plan->sample_scale == 1) return ts;
    if (__builtin_mul_overflow(ts, plan->sample_scale, &out)) return ts < 0 ? TS_MIN : TS_MAX;
    return out;
}

/* Query ticks as Unix seconds, as time() and timestamp() tell it. */
static inline double plan_seconds(const struct plan *plan, ts_time t)
{
    return (double)t / (1000.0 * (double)plan->ticks_per_ms);
}

#endif
