/* What the evaluator's suites share: literal series, a query, and its result as text.
 *
 * A result is printed as lines, in the order in which it came:
 *
 *     labels value...      a value a step, `_` where there is none: up{job="a"} 1 _ 2
 *     labels value@time... a matrix: samples with their times in ms
 *     scalar 1             string "text"
 *     warning: text        info: text, error: text
 */
#ifndef TSINK_TESTS_EVAL_RIG_H
#define TSINK_TESTS_EVAL_RIG_H

#include "base/strbuf.h"
#include "promql/eval.h"
#include "promql/parser.h"
#include "tests/lib/querier_mem.h"
#include "tests/unit/promql/promql_suites.h"

struct eval_case {
    const char *query;
    int64_t from, to, step; /* ms; step 0: an instant query at from */
    const char *want;
};

/* Series of a suite: lines for querier_mem_load, gap ms apart, ended by NULL. */
struct eval_data {
    int64_t gap;
    const char *const *lines;
};

void rig_load(struct querier_mem *mem, struct eval_data data);

struct rig_options {
    bool stable;
    enum precision precision; /* of samples; 0 means PRECISION_MS */
    bool precision_set;
    struct query_budget *budget;
    struct account *account;  /* of the evaluation's arena */
    struct exec *exec;        /* promql_options */
    unsigned n_helpers;
};

/* Runs the query and prints what it gives; opt may be NULL. The status is that of
 * promql_eval(), or ST_INVALID when the query does not parse. */
status rig_run(struct querier_mem *mem, const struct eval_case *c, const struct rig_options *opt,
               struct strbuf *out);

/* Runs the case over the data and compares; the query is in the message. */
void rig_check(struct eval_data data, const struct eval_case *c);

#endif
