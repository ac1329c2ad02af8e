/* The suites of this program; each is in test_<name>.c. */
#ifndef TSINK_TESTS_SERVER_SUITES_H
#define TSINK_TESTS_SERVER_SUITES_H

#include "tests/unit/unit.h"

Suite *suite_config(void);
Suite *suite_config_file(void);
Suite *suite_metrics(void);

#endif
