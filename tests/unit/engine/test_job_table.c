/* Goal: failures are counted by kind, pauses double up to their limit, and writes are
 * refused after repeated failures of what they depend on, until that has worked again.
 * Method: the table alone; then a database whose jobs are said to fail. */
#include "base/log.h"
#include "engine/db_priv.h"
#include "engine/job_table.h"
#include "tests/lib/db_rig.h"
#include "tests/unit/engine/engine_suites.h"

START_TEST(test_pauses_double_and_end)
{
    static const int64_t pause_s[] = {1, 2, 4, 8, 16, 32, 60, 60, 60};
    struct db_job jobs[DB_JOB_KINDS] = {{0}};
    const struct db_job *job = &jobs[DB_JOB_FLUSH];
    for (size_t i = 0; i < ARRAY_LEN(pause_s); i++) {
        mono_ns now = (mono_ns)i * 100;
        bool stop = job_table_failed(jobs, DB_JOB_FLUSH, ST_IO, "why", 1000, now);
        ck_assert(stop == (i >= 2));
        ck_assert_int_eq(job->retry_at - now, pause_s[i] * 1000000000);
    }
    ck_assert_uint_eq(job->n_failures, ARRAY_LEN(pause_s));
    ck_assert_int_eq(job->last_st, ST_IO);
    ck_assert_str_eq(job->last_error, "why");
    ck_assert_int_eq(job_table_worst(jobs), DB_JOB_FLUSH);
    job_table_done(&jobs[DB_JOB_FLUSH], 2000);
    ck_assert_int_eq(job_table_worst(jobs), DB_JOB_KINDS);
    ck_assert_int_eq(job->retry_at, 0);
    ck_assert_uint_eq(job->n_in_a_row, 0);
    ck_assert_uint_eq(job->n_runs, ARRAY_LEN(pause_s) + 1);
    ck_assert_uint_eq(job->last_success_ms, 2000);
    ck_assert_str_eq(job->last_error, "why"); /* of the last failure, for the record */
    ck_assert(!job_table_failed(jobs, DB_JOB_FLUSH, ST_IO, "again", 1000, 0));
    ck_assert_int_eq(job->retry_at, 1000000000);
    for (int i = 0; i < 9; i++) /* writes do not depend on snapshots */
        ck_assert(!job_table_failed(jobs, DB_JOB_SNAPSHOT, ST_IO, "x", 1000, 0));
    ck_assert_int_eq(job_table_worst(jobs), DB_JOB_KINDS);
}
END_TEST

static void break_job(struct db_rig *rig, enum db_job_kind kind, int n)
{
    struct err err = {.st = ST_OK};
    for (int i = 0; i < n; i++)
        cell_job_failed(&rig->db->cell, kind, err_set(&err, ST_IO, "the disk is odd"), &err);
}

START_TEST(test_writes_are_refused_until_that_kind_works)
{
    struct db_rig rig;
    struct err err = {.st = ST_OK};
    log_set_level(LOG_OFF);
    db_rig_init(&rig, 1);
    ck_assert_int_eq(db_rig_open(&rig), ST_OK);
    break_job(&rig, DB_JOB_COMPACT, 2);
    ck_assert_int_eq(db_rig_put(&rig, "m", 1, 1), ST_OK);
    break_job(&rig, DB_JOB_SNAPSHOT, 9);
    ck_assert_int_eq(db_rig_put(&rig, "m", 2, 1), ST_OK);
    break_job(&rig, DB_JOB_COMPACT, 1);
    ck_assert_int_eq(db_rig_put(&rig, "m", 3, 1), ST_IO);
    ck_assert_int_eq(db_refusing(rig.db, &err), ST_IO);
    ck_assert_ptr_nonnull(strstr(err.text, "compact failed 3 times in a row: the disk is odd"));
    cell_job_done(&rig.db->cell, DB_JOB_ENCODE); /* another kind says nothing about it */
    ck_assert_int_eq(db_rig_put(&rig, "m", 3, 1), ST_IO);
    cell_job_done(&rig.db->cell, DB_JOB_COMPACT);
    ck_assert_int_eq(db_rig_put(&rig, "m", 3, 1), ST_OK);
    rig.db->options.fail_fast = false;
    break_job(&rig, DB_JOB_COMPACT, 9);
    ck_assert_int_eq(db_rig_put(&rig, "m", 4, 1), ST_OK);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    db_rig_release(&rig);
}
END_TEST

/* A flush after a failed one waits for its pause, and then runs. */
START_TEST(test_a_failed_flush_is_tried_again_after_its_pause)
{
    struct db_rig rig;
    struct db_stats stats;
    log_set_level(LOG_OFF);
    db_rig_init(&rig, 2);
    rig.options.wal_flush_bytes = 1 << 10;
    rig.options.flush_interval_ms = 1;
    ck_assert_int_eq(db_rig_open(&rig), ST_OK);
    break_job(&rig, DB_JOB_FLUSH, 2); /* a pause of 2 s */
    for (int i = 0; i < 200; i++) ck_assert_int_eq(db_rig_put(&rig, "m", i * i, i), ST_OK);
    clock_sim_advance_ms(&rig.clock, 1900);
    db_rig_settle(&rig);
    db_stats(rig.db, &stats);
    ck_assert_uint_eq(stats.n_flushes, 0);
    clock_sim_advance_ms(&rig.clock, 200);
    for (int i = 0; i < 5; i++) {
        db_rig_settle(&rig);
        clock_sim_advance_ms(&rig.clock, 2);
    }
    db_stats(rig.db, &stats);
    ck_assert_uint_eq(stats.n_flushes, 1);
    ck_assert_uint_eq(stats.jobs[DB_JOB_FLUSH].n_failures, 2);
    ck_assert_uint_eq(stats.jobs[DB_JOB_FLUSH].n_runs, 3);
    ck_assert_uint_eq(stats.jobs[DB_JOB_FLUSH].n_in_a_row, 0);
    ck_assert_uint_gt(stats.jobs[DB_JOB_FLUSH].last_success_ms, 0);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    db_rig_release(&rig);
}
END_TEST

Suite *suite_job_table(void)
{
    Suite *s = suite_create("job_table");
    TCase *tc = tcase_create("job_table");
    tcase_add_test(tc, test_pauses_double_and_end);
    tcase_add_test(tc, test_writes_are_refused_until_that_kind_works);
    tcase_add_test(tc, test_a_failed_flush_is_tried_again_after_its_pause);
    suite_add_tcase(s, tc);
    return s;
}
