/* The suites of this program; each test_<file>.c defines its own. */
#ifndef TSINK_TESTS_STORAGE_SUITES_H
#define TSINK_TESTS_STORAGE_SUITES_H

#include "tests/unit/unit.h"

Suite *suite_wal(void);
Suite *suite_wal_replay(void);
Suite *suite_golden_segment(void);
Suite *suite_segment(void);
Suite *suite_merge(void);
Suite *suite_tombstone(void);
Suite *suite_catalog(void);
Suite *suite_payload_file(void);
Suite *suite_registry_catalog(void);
Suite *suite_storage_crash(void);
Suite *suite_storage_memory(void);

#endif
