/* The suites of the room, front half (text to plan) and back half (evaluation). */
#ifndef TSINK_TESTS_PROMQL_SUITES_H
#define TSINK_TESTS_PROMQL_SUITES_H

#include "tests/unit/unit.h"

Suite *suite_quote(void);
Suite *suite_lexer(void);
Suite *suite_parser(void);
Suite *suite_typecheck(void);
Suite *suite_printer(void);
Suite *suite_plan(void);

Suite *suite_annotations(void);
Suite *suite_eval(void);
Suite *suite_eval_aggregate(void);
Suite *suite_eval_binary(void);
Suite *suite_eval_select(void);
Suite *suite_eval_spread(void);
Suite *suite_fn_histogram(void);
Suite *suite_fn_histogram_native(void);
Suite *suite_fn_label(void);
Suite *suite_fn_math(void);
Suite *suite_fn_over_time(void);
Suite *suite_fn_rate(void);
Suite *suite_range_columns(void);
Suite *suite_hist_math(void);
Suite *suite_hist_quantile(void);
Suite *suite_matching(void);
Suite *suite_quantile(void);

#endif
