/* The suites of this room, one for each test file. */
#ifndef TSINK_TESTS_BASE_SUITES_H
#define TSINK_TESTS_BASE_SUITES_H

#include <check.h>

Suite *suite_status(void);
Suite *suite_mem(void);
Suite *suite_account(void);
Suite *suite_arena(void);
Suite *suite_sha256(void);
Suite *suite_slab(void);
Suite *suite_span_heap(void);
Suite *suite_strbuf(void);
Suite *suite_varint(void);
Suite *suite_bits(void);
Suite *suite_crc32c(void);
Suite *suite_hash(void);
Suite *suite_vec(void);
Suite *suite_segvec(void);
Suite *suite_list(void);
Suite *suite_panic(void);
Suite *suite_clock(void);
Suite *suite_rng(void);
Suite *suite_vfs(void);
Suite *suite_vfs_posix(void);
Suite *suite_durable(void);
Suite *suite_lock(void);
Suite *suite_thread(void);
Suite *suite_mailbox(void);
Suite *suite_ring(void);
Suite *suite_timerwheel(void);
Suite *suite_workers(void);
Suite *suite_sync_point(void);
Suite *suite_sm(void);
Suite *suite_metric(void);
Suite *suite_cgroup(void);
Suite *suite_log(void);
Suite *suite_vfs_fault(void);
Suite *suite_vfs_crash(void);
Suite *suite_exec_sim(void);
Suite *suite_numfmt(void);
Suite *suite_duration(void);
Suite *suite_utf8(void);
Suite *suite_regex(void);
Suite *suite_json(void);

#endif
