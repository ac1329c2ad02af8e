/* The unit tests of src/query. */
#include "tests/unit/query/query_suites.h"

UNIT_MAIN(suite_aggregate, suite_query_budget, suite_querier_local,
          suite_querier_threads, suite_series_reader, suite_rule_worker)
