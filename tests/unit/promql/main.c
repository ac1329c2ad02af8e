/* Unit tests of the room promql. */
#include "tests/unit/promql/promql_suites.h"

UNIT_MAIN(suite_quote, suite_lexer, suite_parser, suite_typecheck, suite_printer, suite_plan,
          suite_annotations, suite_matching, suite_quantile, suite_eval, suite_eval_select,
          suite_eval_binary, suite_eval_aggregate, suite_eval_spread, suite_fn_rate,
          suite_fn_over_time, suite_range_columns, suite_fn_math, suite_fn_label,
          suite_fn_histogram, suite_fn_histogram_native, suite_hist_math, suite_hist_quantile)
