/* A PromQL query from text to result: what the HTTP API and TS.QUERY share. */
#ifndef TSINK_API_OP_PROMQL_H
#define TSINK_API_OP_PROMQL_H

#include "api/app.h"
#include "promql/eval.h"

/* When a query's steps were over. */
struct promql_times {
    mono_ns prepared, evaluated;
};

struct promql_call {
    struct slice query;
    int64_t start_ms, end_ms;  /* the same in an instant query */
    int64_t step_ms;           /* 0: an instant query */
    int64_t lookback_ms;       /* 0: the settings' */
    struct promql_times *times; /* filled before print is called; may be NULL */
};

/* Worker. Parses, plans, fetches and evaluates, then calls print once with the result,
 * which is valid during the call. *parse_failed tells a text that is no query from an
 * evaluation that failed. err has Prometheus' words. */
CHECKED status op_promql(struct app *app, const struct promql_call *call,
                         struct query_budget *budget, struct arena *arena,
                         status (*print)(void *ctx, const struct promql_result *result),
                         void *ctx, bool *parse_failed, struct err *err);

/* The key of a TS.* series is no label of PromQL's: results, matching and grouping do not
 * see it, except on series that nothing else tells apart (resp.md 5.2). Gives the set other
 * labels, in the arena; the order of its series stays. ST_NO_MEMORY. */
CHECKED status op_hide_keys(struct series_set *set, struct arena *arena);

#endif
