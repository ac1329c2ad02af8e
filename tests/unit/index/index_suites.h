/* The suites of this program. */
#ifndef TSINK_TESTS_INDEX_SUITES_H
#define TSINK_TESTS_INDEX_SUITES_H

#include "tests/unit/unit.h"

Suite *suite_dict(void);
Suite *suite_identity(void);
Suite *suite_pair_reader(void);
Suite *suite_postings(void);
Suite *suite_registry(void);
Suite *suite_resolve(void);
Suite *suite_label_scan(void);
Suite *suite_registry_file(void);
Suite *suite_registry_starts(void);
Suite *suite_index_faults(void);
Suite *suite_index_threads(void);

#endif
