/* TS.RANGE's arithmetic over the samples of one series (resp.md 2.11), and the reduction
 * over the series of a group (2.13). Pure apart from the heap; any thread.
 *
 *     samples --filters--> samples --buckets--> rows --COUNT--> answer
 *
 * Stale markers are hidden. Values are doubles (value_to_f64). A row has one value for
 * each aggregator, or one when there is none.
 */
#ifndef TSINK_QUERY_AGGREGATE_H
#define TSINK_QUERY_AGGREGATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/vec.h"
#include "model/agg.h"
#include "model/point.h"
#include "model/time.h"
#include "query/querier.h"

enum { AGGREGATORS_MAX = 16, FILTER_TS_MAX = 128 };

enum bucket_stamp { BUCKET_START, BUCKET_MID, BUCKET_END };

struct range_spec {
    struct time_range range;
    /* FILTER_BY_TS: ascending, unique; n 0: off. */
    const ts_time *by_ts;
    size_t n_by_ts;
    /* FILTER_BY_VALUE: inclusive; NaN never passes. */
    bool by_value;
    double value_min, value_max;
    /* AGGREGATION; n_aggs 0: samples as they are. */
    enum agg aggs[AGGREGATORS_MAX];
    size_t n_aggs;
    int64_t bucket;            /* ticks, >= 1 */
    ts_time align;             /* "start" and "end" resolved to range.from and range.to */
    enum bucket_stamp stamp;
    bool empty;                /* EMPTY */
    uint64_t count;            /* rows, after everything else; 0: all */
    bool reverse;              /* newest first; COUNT then keeps the newest */
};

/* Rows of an answer: val holds n * n_vals values, row by row. Zeroed is empty; may be
 * filled again after rows_clear(). */
struct rows {
    ts_time *ts;
    double *val;
    size_t n, n_vals;
    size_t cap_ts, cap_val;
};

void rows_clear(struct rows *rows);
void rows_release(struct rows *rows); /* accepts a zeroed struct */

/* Whether the samples next to the range matter: then the select must ask for edges. */
bool range_wants_edges(const struct range_spec *spec);

/* Appends the answer for one series. pts ascend and may begin before and end after the
 * range (edges). Rows beyond count never cost anything; each row is charged as a sample
 * (EMPTY can ask for many). ST_LIMIT, ST_TIMEOUT, ST_CANCELLED, ST_NO_MEMORY. budget may
 * be NULL. */
CHECKED status aggregate_range(struct rows *out, const struct points *pts,
                               enum value_type type, const struct range_spec *spec,
                               struct query_budget *budget, struct err *err);

/* GROUPBY ... REDUCE: add each series' rows (n_vals 1, ascending, without COUNT), then
 * finish. Rows of equal time become one, by the reducer. Zeroed is empty. */
struct group_row {
    ts_time ts;
    uint64_t at; /* order of addition: sums do not depend on how rows are sorted */
    double val;
};

struct group_reduce {
    VEC(struct group_row) rows;
};

/* False for first, last and twa, which no reducer may be. */
bool group_reducer_valid(enum agg reducer);

CHECKED status group_add(struct group_reduce *group, const struct rows *rows);

/* Appends at most count rows (0: all), newest first when reverse is set. */
CHECKED status group_finish(struct group_reduce *group, struct rows *out, enum agg reducer,
                            uint64_t count, bool reverse);

void group_release(struct group_reduce *group);

#endif
