/* Unit tests of base. */
#include "tests/unit/base/base_suites.h"
#include "tests/unit/unit.h"

UNIT_MAIN(suite_status, suite_mem, suite_account, suite_arena, suite_sha256, suite_slab,
          suite_span_heap,
          suite_strbuf, suite_varint, suite_bits, suite_crc32c, suite_hash, suite_vec, suite_segvec,
          suite_list, suite_panic, suite_clock, suite_rng, suite_vfs, suite_vfs_posix,
          suite_durable, suite_lock, suite_thread, suite_mailbox, suite_ring,
          suite_timerwheel, suite_workers, suite_sync_point, suite_sm, suite_metric,
          suite_cgroup, suite_log, suite_vfs_fault, suite_vfs_crash, suite_exec_sim,
          suite_numfmt, suite_duration, suite_utf8, suite_regex, suite_json)
