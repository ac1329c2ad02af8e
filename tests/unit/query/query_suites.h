/* The suites of this program. */
#ifndef TSINK_TESTS_QUERY_SUITES_H
#define TSINK_TESTS_QUERY_SUITES_H

#include "tests/unit/unit.h"

Suite *suite_aggregate(void);
Suite *suite_query_budget(void);
Suite *suite_querier_local(void);
Suite *suite_querier_threads(void);
Suite *suite_rule_worker(void);
Suite *suite_series_reader(void);

#endif
