/* Goal: flushes begin for the right reason, segments expire at the right time. Method:
 * tables of situations for the two pure functions; then expiry in a database, with keyed
 * series, a view that still reads, and a restart. */
#include "base/log.h"
#include "engine/db_priv.h"
#include "engine/maintain.h"
#include "engine/retention.h"
#include "tests/lib/db_rig.h"
#include "tests/unit/engine/engine_suites.h"

enum { HOUR = 3600 * 1000 };

static const struct {
    const char *name;
    struct situation now;
    const char *why;           /* NULL: no flush */
} situations[] = {
    {"nothing new", {.wal_bytes = 1 << 30, .since_flush_ms = 9 * HOUR}, NULL},
    {"young and small", {.n_unflushed = 1, .wal_bytes = 999}, NULL},
    {"enough WAL", {.n_unflushed = 1, .wal_bytes = 1000}, "wal-bytes"},
    {"enough WAL, flushing", {.n_unflushed = 1, .wal_bytes = 1000, .flushing = true}, NULL},
    {"old", {.n_unflushed = 1, .since_flush_ms = 2 * HOUR}, "age"},
    {"nearly old", {.n_unflushed = 1, .since_flush_ms = 2 * HOUR - 1}, NULL},
    {"memory", {.n_unflushed = 1, .memory_used = 700, .memory_samples = 500}, "memory"},
    {"memory is all right", {.n_unflushed = 1, .memory_used = 699, .memory_samples = 500}, NULL},
    {"little of it samples", {.n_unflushed = 1, .memory_used = 700, .memory_samples = 30}, NULL},
    {"a batch waits for memory", {.n_unflushed = 1, .memory_asked = true}, "memory"},
    {"it waits for a flush", {.n_unflushed = 1, .memory_asked = true, .flushing = true}, NULL},
    {"it waits for nothing", {.memory_asked = true}, NULL},
    {"just failed", {.n_unflushed = 1, .wal_bytes = 5000, .flush_pauses = true}, NULL},
};

static const struct {
    const char *name;
    struct situation now;
    bool compact, forget;
} beside[] = {
    {"nothing", {.n_unflushed = 0}, false, false},
    {"segments have changed", {.compact_news = true}, true, false},
    {"not yet", {.compact_news = true, .compact_wait_ms = 1}, false, false},
    {"one is under way", {.compact_news = true, .compacting = true}, false, false},
    {"deletes", {.n_deletes = 1, .deletes_news = true}, false, true},
    {"no deletes", {.deletes_news = true}, false, false},
    {"deletes, looked at just now",
     {.n_deletes = 1, .deletes_news = true, .forget_wait_ms = 1}, false, false},
    {"deletes, nothing new", {.n_deletes = 1}, false, false},
    {"deletes, compacting", {.n_deletes = 1, .deletes_news = true, .compacting = true}, false,
     false},
};

START_TEST(test_what_else_runs)
{
    struct db_options options;
    db_options_init(&options);
    struct maintain_choice next = maintain_next(&beside[_i].now, &options);
    ck_assert_ptr_null(next.flush);
    ck_assert_msg(next.compact == beside[_i].compact, "%s: compact %d", beside[_i].name,
                  next.compact);
    ck_assert_msg(next.forget == beside[_i].forget, "%s: forget %d", beside[_i].name, next.forget);
}
END_TEST

START_TEST(test_when_to_flush)
{
    struct db_options options;
    db_options_init(&options);
    options.wal_flush_bytes = 1000;
    options.flush_age_ms = 2 * HOUR;
    options.memory_limit = 800;
    const char *why = maintain_next(&situations[_i].now, &options).flush;
    const char *want = situations[_i].why;
    ck_assert_msg((!why && !want) || (why && want && strcmp(why, want) == 0), "%s: %s",
                  situations[_i].name, why ? why : "no flush");
    options.memory_limit = 0;
    struct situation memory = {.n_unflushed = 1, .memory_used = UINT64_MAX};
    ck_assert_ptr_null(maintain_next(&memory, &options).flush);
}
END_TEST

START_TEST(test_what_has_expired)
{
    static const struct {
        ts_time to, oldest;
        bool keyed, want;
    } rows[] = {
        {99, 100, false, true},       {100, 100, false, false}, {101, 100, false, false},
        {99, 100, true, false},       {TS_MIN, TS_MIN, false, false},
        {TS_MAX - 1, TS_MAX, false, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct segment_info info = {.ts = {TS_MIN, rows[i].to}, .keyed = rows[i].keyed};
        ck_assert_msg(retention_expired(&info, rows[i].oldest) == rows[i].want,
                      "row %zu", i);
    }
}
END_TEST

START_TEST(test_options_out_of_range_are_named)
{
    struct db_options options;
    struct err err = {.st = ST_OK};
    db_options_init(&options);
    ck_assert_int_eq(db_options_check(&options, &err), ST_OK);
    options.chunk_points = 63;
    ck_assert_int_eq(db_options_check(&options, &err), ST_INVALID);
    ck_assert_ptr_nonnull(strstr(err.text, "chunk-points"));
    db_options_init(&options);
    static const uint32_t heads[] = {0, 65};
    static const int64_t windows[] = {0, -1, INT64_MAX / 1000000 + 1};
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        options.partition_heads = heads[i];
        ck_assert_int_eq(db_options_check(&options, &err), ST_INVALID);
        ck_assert_ptr_nonnull(strstr(err.text, "max-active-partition-heads-per-series"));
    }
    options.partition_heads = 64;
    ck_assert_int_eq(db_options_check(&options, &err), ST_OK);
    for (size_t i = 0; i < ARRAY_LEN(windows); i++) {
        options.partition_ms = windows[i];
        ck_assert_int_eq(db_options_check(&options, &err), ST_INVALID);
        ck_assert_ptr_nonnull(strstr(err.text, "partition-window"));
    }
    db_options_init(&options);
    options.wal_size_limit = options.wal_flush_bytes = 2 * options.wal_file_bytes - 1;
    ck_assert_int_eq(db_options_check(&options, &err), ST_INVALID);
    ck_assert_ptr_nonnull(strstr(err.text, "wal-size-limit"));
}
END_TEST

/* --- in a database ------------------------------------------------------------------ */

static void pass_time(struct db_rig *rig, int64_t ms)
{
    clock_sim_advance_ms(&rig->clock, ms);
    db_rig_settle(rig);
    clock_sim_advance_ms(&rig->clock, 1100);
    db_rig_settle(rig);
}

static size_t count(struct db_rig *rig, const char *series)
{
    struct points pts = {0};
    status st = db_rig_read(rig, series, (struct time_range){TS_MIN, TS_MAX}, &pts, NULL);
    if (st == ST_NOT_FOUND) return 0; /* it died with its last sample */
    ck_assert_msg(st == ST_OK, "%s: %s", series, rig->err.text);
    size_t n = pts.n;
    points_release(&pts);
    return n;
}

static uint64_t n_segments(struct db_rig *rig)
{
    struct db_stats stats;
    db_stats(rig->db, &stats);
    return stats.n_segments;
}

START_TEST(test_segments_expire_but_not_under_a_view_or_with_keys)
{
    struct db_rig rig;
    struct points pts = {0};
    struct view *view;
    struct err err = {.st = ST_OK};
    log_set_level(LOG_OFF);
    db_rig_init(&rig, 1);
    rig.options.retention_ms = HOUR;
    ck_assert_int_eq(db_rig_open(&rig), ST_OK);
    ts_time now = clock_wall(&rig.clock.clock);
    ck_assert_int_eq(db_rig_put(&rig, "m", now - HOUR + 5000, 1), ST_OK);
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    ck_assert_int_eq(db_rig_put(&rig, "k{__key__=\"k\"}", 17, 1), ST_OK);
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    ck_assert_int_eq(db_rig_put(&rig, "m", now, 2), ST_OK);
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    ck_assert_uint_eq(n_segments(&rig), 3);
    ck_assert_uint_eq(count(&rig, "m"), 2);

    struct captured at = {.ordinal = db_rig_ordinal(&rig, "m")};
    ck_assert_int_eq(db_pin(rig.db, &view, &err), ST_OK);
    ck_assert_int_eq(view_capture(view, &at, 1, &err), ST_OK);
    pass_time(&rig, 6000);
    ck_assert_uint_eq(n_segments(&rig), 2); /* the keyed one stays */
    ck_assert_int_eq(view_read(view, &at, (struct time_range){TS_MIN, TS_MAX}, &pts, NULL, &err),
                     ST_OK);
    ck_assert_uint_eq(pts.n, 2); /* the view is from before */
    points_release(&pts);
    db_unpin(rig.db, view);
    ck_assert_uint_eq(count(&rig, "m"), 1);
    ck_assert_uint_eq(count(&rig, "k{__key__=\"k\"}"), 1);
    ck_assert_msg(db_check(rig.db, &err) == ST_OK, "%s", err.text);

    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    ck_assert_int_eq(db_rig_open(&rig), ST_OK);
    pass_time(&rig, 2 * HOUR);
    ck_assert_uint_eq(n_segments(&rig), 1);
    ck_assert_uint_eq(count(&rig, "m"), 0);
    ck_assert_uint_eq(count(&rig, "k{__key__=\"k\"}"), 1);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    db_rig_release(&rig);
}
END_TEST

Suite *suite_maintain(void)
{
    Suite *s = suite_create("maintain");
    TCase *tc = tcase_create("maintain");
    tcase_add_loop_test(tc, test_when_to_flush, 0, ARRAY_LEN(situations));
    tcase_add_loop_test(tc, test_what_else_runs, 0, ARRAY_LEN(beside));
    tcase_add_test(tc, test_what_has_expired);
    tcase_add_test(tc, test_options_out_of_range_are_named);
    tcase_add_test(tc, test_segments_expire_but_not_under_a_view_or_with_keys);
    suite_add_tcase(s, tc);
    return s;
}
