/* Unit tests of room engine. */
#include "tests/unit/engine/engine_suites.h"

UNIT_MAIN(suite_head, suite_run, suite_overlay, suite_wal_payload, suite_retire, suite_maintain,
          suite_budget, suite_compact_plan, suite_compact, suite_db, suite_snapshot, suite_write,
          suite_write_defer, suite_delete, suite_gone, suite_relabel, suite_flush, suite_view,
          suite_history, suite_recover, suite_repair, suite_job_table, suite_starts,
          suite_exemplars, suite_meta_payload, suite_metadata_store, suite_meta_files)
