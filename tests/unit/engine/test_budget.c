/* Goal: memory is refused for the right reason and to the right rows, a wait ends, and what
 * is admitted stays below the limit. Method: a table of situations for the pure function;
 * the same walked over a grid for what must always hold; then overloads of a database. */
#include <stdio.h>

#include "base/log.h"
#include "engine/budget.h"
#include "engine/db_priv.h"
#include "engine/view.h"
#include "model/batch.h"
#include "tests/lib/db_rig.h"
#include "tests/unit/engine/engine_suites.h"

/* --- the pure function -------------------------------------------------------------- */

/* limit 1600: series to 1000, flush at 1400, gate at 1500 */
static const struct {
    const char *name;
    struct budget now;
    enum budget_verdict want;
} cases[] = {
    {"no limit", {.used = UINT64_MAX, .need_rows = UINT64_MAX}, BUDGET_ADMIT},
    {"room", {.limit = 1600, .used = 100, .need_rows = 100, .need_series = 100}, BUDGET_ADMIT},
    {"to the gate", {.limit = 1600, .used = 1400, .need_rows = 100}, BUDGET_ADMIT},
    {"over the gate", {.limit = 1600, .used = 1400, .samples = 500, .need_rows = 101,
                       .timeout_ms = 10}, BUDGET_WAIT},
    {"it has waited", {.limit = 1600, .used = 1400, .samples = 500, .need_rows = 101,
                       .short_ms = 10, .timeout_ms = 10}, BUDGET_REFUSE},
    {"nobody may wait", {.limit = 1600, .used = 1400, .samples = 500, .need_rows = 101},
     BUDGET_REFUSE},
    {"a flush cannot help", {.limit = 1600, .used = 1400, .samples = 50, .need_rows = 151,
                             .timeout_ms = 10}, BUDGET_REFUSE},
    {"nothing to flush", {.limit = 1600, .used = 1450, .need_rows = 51, .timeout_ms = 10},
     BUDGET_REFUSE},
    {"full", {.limit = 1600, .used = 1600, .samples = 1600, .timeout_ms = 10}, BUDGET_REFUSE},
    {"a new series fits", {.limit = 1600, .used = 1100, .samples = 110, .need_series = 10},
     BUDGET_ADMIT},
    {"too many series", {.limit = 1600, .used = 1100, .samples = 110, .need_series = 11},
     BUDGET_KNOWN_ONLY},
    {"old series with too many new", {.limit = 1600, .used = 1300, .need_rows = 200,
                                      .need_series = 1}, BUDGET_KNOWN_ONLY},
    {"sums that overflow", {.limit = 1600, .used = 1300, .samples = 100,
                            .need_rows = UINT64_MAX, .need_series = UINT64_MAX,
                            .timeout_ms = 10}, BUDGET_REFUSE},
};

START_TEST(test_verdicts)
{
    ck_assert_msg(budget_decide(&cases[_i].now) == cases[_i].want, "%s: %d", cases[_i].name,
                  budget_decide(&cases[_i].now));
}
END_TEST

START_TEST(test_what_is_admitted_stays_below_the_limit)
{
    enum { LIMIT = 1600, STEP = 50 };
    size_t n_waits = 0;
    for (uint64_t used = 0; used <= LIMIT + STEP; used += STEP)
        for (uint64_t samples = 0; samples <= used; samples += STEP)
            for (uint64_t rows = 0; rows <= LIMIT; rows += STEP)
                for (uint64_t series = 0; series <= LIMIT; series += STEP) {
                    struct budget now = {.limit = LIMIT, .used = used, .samples = samples,
                                         .need_rows = rows, .need_series = series,
                                         .timeout_ms = 1};
                    enum budget_verdict verdict = budget_decide(&now);
                    uint64_t made = verdict == BUDGET_ADMIT ? series : 0;
                    if (verdict == BUDGET_ADMIT || verdict == BUDGET_KNOWN_ONLY)
                        ck_assert_uint_lt(used + rows + made, LIMIT);
                    if (verdict != BUDGET_WAIT) continue;
                    /* Waiting makes sense: without the samples it is admitted. */
                    n_waits++;
                    now.used -= now.samples;
                    now.samples = 0;
                    verdict = budget_decide(&now);
                    ck_assert(verdict == BUDGET_ADMIT || verdict == BUDGET_KNOWN_ONLY);
                }
    ck_assert_uint_gt(n_waits, 1000);
}
END_TEST

START_TEST(test_flushes_that_would_free_nothing_do_not_begin)
{
    ck_assert(!budget_wants_flush(0, UINT64_MAX, UINT64_MAX));
    ck_assert(!budget_wants_flush(1600, 1399, 1399));
    ck_assert(budget_wants_flush(1600, 1400, 1400));
    ck_assert(!budget_wants_flush(1600, 1400, 0));
    ck_assert(!budget_wants_flush(1600, 1410, 60));
    ck_assert(budget_wants_flush(1600, 1420, 80));
    ck_assert(budget_wants_flush(1600, 1700, 1));
    ck_assert_uint_eq(budget_default(1000), 600);
}
END_TEST

/* --- overloads ---------------------------------------------------------------------- */

/* MARGIN: the list of a flush that has begun at the limit, a table that doubles. */
enum { MIB = 1 << 20, LIMIT = 4 * MIB, MARGIN = LIMIT / 8 };

struct tally {
    uint64_t n_sent, n_ok, n_memory;
};

static void open_small(struct db_rig *rig, uint64_t seed)
{
    log_set_level(LOG_OFF);
    db_rig_init(rig, seed);
    rig->options.memory_limit = LIMIT;
    rig->options.wal_buffer_bytes = 256 << 10;
    rig->options.retention_ms = 0;
    ck_assert_int_eq(db_rig_open(rig), ST_OK);
}

static void put(struct db_rig *rig, struct tally *tally, const char *name, ts_time ts)
{
    status st = db_rig_put(rig, name, ts, (double)ts);
    tally->n_sent++;
    ck_assert_msg(st == ST_OK || st == ST_NO_MEMORY, "%s", status_text(st));
    if (st == ST_OK) tally->n_ok++;
    else tally->n_memory++;
    ck_assert_uint_lt(account_used(&rig->db->account), LIMIT + MARGIN);
}

static size_t count(struct db_rig *rig, const char *series)
{
    struct points pts = {0};
    status st = db_rig_read(rig, series, (struct time_range){TS_MIN, TS_MAX}, &pts, NULL);
    size_t n = st == ST_OK ? pts.n : 0;
    points_release(&pts);
    return n;
}

static void check_balance(struct db_rig *rig, const struct tally *tally)
{
    struct db_stats stats;
    struct err err = {.st = ST_OK};
    db_stats(rig->db, &stats);
    ck_assert_uint_eq(stats.n_rows, tally->n_sent);
    ck_assert_uint_eq(stats.n_rows_stored, tally->n_ok);
    ck_assert_uint_eq(stats.refused_by[ST_NO_MEMORY], tally->n_memory);
    ck_assert_uint_eq(stats.n_rows_stored + stats.n_rows_refused, stats.n_rows);
    ck_assert_msg(db_check(rig->db, &err) == ST_OK, "%s", err.text);
}

/* Series without end: they are refused some day, those that exist go on, and of what was
 * acknowledged nothing is missing. */
START_TEST(test_new_series_are_refused_and_old_ones_go_on)
{
    enum { N = 12000, ROUNDS = 200 };
    struct db_rig rig;
    struct tally tally = {0}, old = {0};
    char name[32];
    size_t n_made = 0, n_read = 0;
    open_small(&rig, 1);
    for (int i = 0; i < N; i++) {
        uint64_t before = tally.n_ok;
        snprintf(name, sizeof(name), "m{i=\"%d\"}", i);
        put(&rig, &tally, name, i);
        if (tally.n_ok > before) n_made++;
    }
    ck_assert_uint_gt(n_made, 1000);
    ck_assert_uint_gt(tally.n_memory, 1000);
    for (int round = 1; round <= ROUNDS; round++)
        for (int i = 0; i < 100; i++) {
            snprintf(name, sizeof(name), "m{i=\"%d\"}", i);
            put(&rig, &old, name, N + round * 1000 + i * round % 997);
            if (i == 99) db_rig_settle(&rig); /* the owner's cron comes by */
        }
    /* A flush's own list may fill the last sixteenth for a moment, with a limit so small. */
    ck_assert_uint_lt(old.n_memory * 20, old.n_sent);
    tally.n_sent += old.n_sent;
    tally.n_ok += old.n_ok;
    tally.n_memory += old.n_memory;
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof(name), "m{i=\"%d\"}", i);
        n_read += count(&rig, name);
    }
    ck_assert_uint_eq(n_read, tally.n_ok);
    check_balance(&rig, &tally);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    db_rig_release(&rig);
}
END_TEST

/* Samples without end: flushes keep up with them and nothing is refused. */
START_TEST(test_samples_flush_early_and_go_on)
{
    enum { ROUNDS = 1200, SERIES = 50, ROWS = 10 };
    struct db_rig rig;
    struct tally tally = {0};
    struct db_stats stats;
    char name[SERIES][16];
    size_t n_read = 0;
    open_small(&rig, 2);
    uint64_t lcg = 1;
    for (int round = 0; round < ROUNDS; round++) {
        struct batch *batch = db_rig_batch(NULL);
        for (int i = 0; i < SERIES; i++) {
            lcg = lcg * 6364136223846793005ull + 1;
            snprintf(name[i], sizeof(name[i]), "s%d", i);
            int64_t at = db_rig_add_series(batch, name[i]);
            for (int k = 0; k < ROWS; k++) {
                union value val = {.bits = (lcg * (uint64_t)(k + 3)) >> 2 | 1};
                ts_time ts = round * 10000 + k * 1000 + (ts_time)(lcg >> 56);
                ck_assert(batch_add_row(batch, (size_t)at, ts, val, 0));
            }
        }
        db_rig_send(&rig, batch);
        db_rig_settle(&rig); /* encoding goes on beside */
        ck_assert_msg(batch->n_stored == SERIES * ROWS, "round %d: %s", round, batch->err.text);
        tally.n_sent += SERIES * ROWS;
        tally.n_ok += batch->n_stored;
        batch_free(batch);
        ck_assert_uint_lt(account_used(&rig.db->account), LIMIT + MARGIN);
    }
    db_stats(rig.db, &stats);
    ck_assert_uint_gt(stats.n_flushes, 0);
    for (int i = 0; i < SERIES; i++) n_read += count(&rig, name[i]);
    ck_assert_uint_eq(n_read, tally.n_ok);
    check_balance(&rig, &tally);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    db_rig_release(&rig);
}
END_TEST

/* What no flush could make room for is refused at once; the database is as it was. */
START_TEST(test_a_batch_that_can_never_fit)
{
    enum { ROWS = 200000 };
    struct db_rig rig;
    struct tally tally = {0};
    open_small(&rig, 3);
    put(&rig, &tally, "m", 1);
    struct batch *batch = db_rig_batch("m");
    for (int i = 0; i < ROWS; i++)
        ck_assert(batch_add_row(batch, 0, 2 + i, (union value){.bits = 0}, 0));
    db_rig_send(&rig, batch);
    ck_assert_int_eq(batch->st, ST_NO_MEMORY);
    ck_assert_uint_eq(batch->n_refused, ROWS);
    ck_assert_ptr_nonnull(strstr(batch->err.text, "memory-limit"));
    batch_free(batch);
    tally.n_sent += ROWS;
    tally.n_memory += ROWS;
    put(&rig, &tally, "m", 2);
    ck_assert_uint_eq(count(&rig, "m"), 2);
    check_balance(&rig, &tally);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    db_rig_release(&rig);
}
END_TEST

/* Retires memory by growing tails until so much waits. */
static void retire_bytes(struct db_rig *rig, size_t bytes)
{
    static ts_time ts = 1000;
    for (int i = 0; rig->db->cell.retire.n_bytes <= bytes; i++) {
        ck_assert_int_lt(i, 100000);
        char name[16];
        snprintf(name, sizeof(name), "r%d", i % 20);
        ck_assert_int_eq(db_rig_put(rig, name, ts += 7 + i % 3, i), ST_OK);
        if (i % 20 == 0) db_rig_settle(rig);
    }
}

/* A view that holds back too much is ended; one that is young or holds little is not. */
START_TEST(test_the_oldest_view_ends_when_it_holds_back_too_much)
{
    struct db_rig rig;
    struct db_stats stats;
    struct points pts = {0};
    struct view *view, *young;
    struct err err = {.st = ST_OK};
    const struct time_range ever = {TS_MIN, TS_MAX};
    open_small(&rig, 4);
    ck_assert_int_eq(db_rig_put(&rig, "m", 1, 1), ST_OK);
    struct captured at = {.ordinal = db_rig_ordinal(&rig, "m")};
    ck_assert_int_eq(db_pin(rig.db, &view, &err), ST_OK);
    ck_assert_int_eq(view_capture(view, &at, 1, &err), ST_OK);
    clock_sim_advance_ms(&rig.clock, 5000);
    db_rig_settle(&rig);
    ck_assert_int_eq(view_read(view, &at, ever, &pts, NULL, &err), ST_OK); /* holds little */
    ck_assert_int_eq(db_pin(rig.db, &young, &err), ST_OK);
    retire_bytes(&rig, LIMIT / 16);
    db_rig_settle(&rig);

    ck_assert_int_eq(view_read(view, &at, ever, &pts, NULL, &err), ST_LIMIT);
    ck_assert_int_eq(view_capture(young, &at, 1, &err), ST_OK); /* one at a time, and young */
    db_stats(rig.db, &stats);
    ck_assert_uint_eq(stats.n_views_cancelled, 1);
    db_unpin(rig.db, view);
    db_rig_settle(&rig);
    ck_assert_int_eq(view_read(young, &at, ever, &pts, NULL, &err), ST_OK);
    clock_sim_advance_ms(&rig.clock, 2000);
    db_rig_settle(&rig);
    ck_assert_int_eq(view_read(young, &at, ever, &pts, NULL, &err), ST_LIMIT);
    db_unpin(rig.db, young);
    db_rig_settle(&rig);
    db_stats(rig.db, &stats);
    ck_assert_uint_eq(stats.n_views_cancelled, 2);
    ck_assert_uint_lt(stats.n_retired_bytes, LIMIT / 16);
    ck_assert_uint_eq(count(&rig, "m"), 1);
    points_release(&pts);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    db_rig_release(&rig);
}
END_TEST

Suite *suite_budget(void)
{
    Suite *s = suite_create("budget");
    TCase *tc = tcase_create("budget");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_verdicts, 0, ARRAY_LEN(cases));
    tcase_add_test(tc, test_what_is_admitted_stays_below_the_limit);
    tcase_add_test(tc, test_flushes_that_would_free_nothing_do_not_begin);
    tcase_add_test(tc, test_new_series_are_refused_and_old_ones_go_on);
    tcase_add_test(tc, test_samples_flush_early_and_go_on);
    tcase_add_test(tc, test_a_batch_that_can_never_fit);
    tcase_add_test(tc, test_the_oldest_view_ends_when_it_holds_back_too_much);
    suite_add_tcase(s, tc);
    return s;
}
