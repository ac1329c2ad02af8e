/* Evaluator: a planned expression and its fetched series to a result.
 *
 * Exactly Prometheus 3.x for float samples, experimental features included unless
 * `stable` asks otherwise (delayed name removal goes with them). All samples have been
 * fetched before (query/querier.h): evaluation reads the sets, never waits for others, and
 * runs to the end on one worker, which others may help (eval_spread.c).
 *
 *     parse (parser.h) -> plan_make (plan.h) -> querier_fetch -> promql_eval -> print
 *
 * Work goes series by series: a selector or a range function turns the samples of one
 * series into a column with a value a step, and hands it on; aggregations fold columns
 * as they come, so sum(rate(x[5m])) never holds its input. Nothing is allocated per
 * sample. The evaluation polls the budget at every series and counts the values that
 * it holds against samples_max.
 */
#ifndef TSINK_PROMQL_EVAL_H
#define TSINK_PROMQL_EVAL_H

#include "base/arena.h"
#include "base/exec.h"
#include "base/status.h"
#include "promql/plan.h"
#include "promql/promvalue.h"
#include "query/querier.h"

struct promql_options {
    struct query_budget *budget; /* may be NULL: no limits, no cancellation */
    bool stable;                 /* names are dropped at once, not at the end */
    /* Workers beside the caller that may take a part in the query lane of exec, which has
     * threads of its own; 0: none. Answers are the same to the bit. */
    struct exec *exec;
    unsigned n_helpers;
};

/* Fills *out with everything in the arena; untouched on failure.
 *
 * plan and text are of one tree (ast.text); sets are what querier_fetch() gave for
 * plan->selects, in that order. opt may be NULL. Fails with
 *   ST_EXECUTION   what Prometheus refuses while evaluating, in its words
 *   ST_INVALID     an expression type that a range query cannot have
 *   ST_LIMIT       "query processing would load too many samples into memory in query
 *                  execution", or the set's own limit
 *   ST_TIMEOUT, ST_CANCELLED, ST_NO_MEMORY, and what reading a set gives */
CHECKED status promql_eval(struct promql_result *out, const struct plan *plan, struct slice text,
                           struct series_set **sets, const struct promql_options *opt,
                           struct arena *arena, struct err *err);

#endif
