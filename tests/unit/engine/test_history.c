/* Goal: whatever happens to a database, it holds what was written and not deleted.
 * Method: random histories on simulated ports, jobs in a random order between the
 * operations; after some of them, one view is compared with a naive model. */
#include "base/log.h"
#include "tests/lib/db_history.h"
#include "tests/unit/engine/engine_suites.h"

static const struct shape {
    const char *name;
    uint32_t chunk_points;
    uint64_t wal_flush_bytes;
    unsigned restarts;
    uint32_t compaction_trigger;   /* 0: hardly any compaction */
    int64_t retention_ms;
    unsigned kinds;
} shapes[] = {
    {"small chunks", 64, 1 << 30, 25, 0, 0, 0},
    {"large chunks, one life", 2048, 1 << 30, 0, 0, 0, 0},
    {"flushes by themselves", 256, 16 << 10, 50, 0, 0, 0},
    {"many restarts", 128, 1 << 30, 5, 0, 0, 0},
    {"compactions", 64, 1 << 30, 40, 2, 0, 0},
    {"compactions, one life", 300, 16 << 10, 0, 3, 0, 0},
    {"everything", 64, 8 << 10, 50, 2, 0, HISTORY_ALL},
    {"everything, and retention", 64, 8 << 10, 50, 2, 7200 * 1000, HISTORY_ALL & ~HISTORY_ATTRS},
};

static void run(const struct shape *shape, uint64_t seed, size_t n_steps)
{
    struct db_rig rig;
    struct db_history history;
    struct model_db model = {0};
    size_t applied = 0;
    db_rig_init(&rig, seed);
    rig.options.chunk_points = shape->chunk_points;
    rig.options.wal_flush_bytes = shape->wal_flush_bytes;
    if (shape->compaction_trigger) {
        rig.options.compaction_trigger = shape->compaction_trigger;
        rig.options.compaction_interval_ms = rig.options.flush_interval_ms = 1;
        rig.options.segment_bytes = 64 << 10;
    }
    rig.options.retention_ms = shape->retention_ms;
    ck_assert_int_eq(db_rig_open(&rig), ST_OK);
    db_history_init(&history, seed);
    history.restarts = shape->restarts;
    history.kinds = shape->kinds;
    for (size_t i = 0; i < n_steps; i++) {
        ck_assert_msg(db_history_step(&history, &rig), "%s, seed %llu, step %zu: %s: %s",
                      shape->name, (unsigned long long)seed, i, history.failure, rig.err.text);
        ck_assert_msg(!history.failure, "%s, seed %llu, step %zu: %s: %s", shape->name,
                      (unsigned long long)seed, i, history.failure, rig.err.text);
        if (i % 5) continue;
        db_history_replay(&history, applied, history.n, &model);
        applied = history.n;
        const char *why = db_history_differs(&rig, &model);
        ck_assert_msg(!why, "%s, seed %llu, step %zu: %s", shape->name, (unsigned long long)seed,
                      i, why);
    }
    struct err err = {.st = ST_OK};
    db_rig_settle(&rig);
    ck_assert_msg(db_check(rig.db, &err) == ST_OK, "%s, seed %llu: %s", shape->name,
                  (unsigned long long)seed, err.text);
    struct db_stats stats;
    db_stats(rig.db, &stats);
    ck_assert_msg(!shape->compaction_trigger || shape->restarts || stats.n_compactions > 3,
                  "%s: %llu compactions", shape->name, (unsigned long long)stats.n_compactions);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    db_history_release(&history);
    model_db_release(&model);
    db_rig_release(&rig);
}

START_TEST(test_random_histories_match_the_model)
{
    const char *rounds = getenv("TSINK_ROUNDS");
    uint64_t seed = unit_seed();
    long n = rounds ? strtol(rounds, NULL, 10) : 1;
    log_set_level(LOG_OFF);
    for (long i = 0; i < n; i++) run(&shapes[_i], seed + (uint64_t)i, 300);
}
END_TEST

Suite *suite_history(void)
{
    Suite *s = suite_create("history");
    TCase *tc = tcase_create("history");
    tcase_set_timeout(tc, 3600);
    tcase_add_loop_test(tc, test_random_histories_match_the_model, 0,
                        sizeof(shapes) / sizeof(shapes[0]));
    suite_add_tcase(s, tc);
    return s;
}
