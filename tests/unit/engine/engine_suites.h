/* The suites of unit_engine; see main.c. */
#ifndef TSINK_TESTS_ENGINE_SUITES_H
#define TSINK_TESTS_ENGINE_SUITES_H

#include "tests/unit/unit.h"

Suite *suite_db(void);
Suite *suite_delete(void);
Suite *suite_exemplars(void);
Suite *suite_flush(void);
Suite *suite_gone(void);
Suite *suite_head(void);
Suite *suite_history(void);
Suite *suite_maintain(void);
Suite *suite_meta_files(void);
Suite *suite_meta_payload(void);
Suite *suite_metadata_store(void);
Suite *suite_compact(void);
Suite *suite_compact_plan(void);
Suite *suite_budget(void);
Suite *suite_job_table(void);
Suite *suite_overlay(void);
Suite *suite_recover(void);
Suite *suite_relabel(void);
Suite *suite_repair(void);
Suite *suite_retire(void);
Suite *suite_run(void);
Suite *suite_snapshot(void);
Suite *suite_starts(void);
Suite *suite_wal_payload(void);
Suite *suite_view(void);
Suite *suite_write(void);
Suite *suite_write_defer(void);

#endif
