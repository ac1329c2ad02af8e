/* Goal: a delete of any number of series is one decision, in memory, in the log and after a
 * restart; one that cannot be logged whole changes nothing; a series that is removed is
 * gone, and is born anew as another. Method: a small WAL buffer, so that the record takes
 * several frames; a stop without a flush, so that the log alone tells. */
#include "base/log.h"
#include "engine/db_priv.h"
#include "tests/lib/db_rig.h"
#include "tests/unit/engine/engine_suites.h"

enum { MANY = 2500 };

static const struct time_range all = {TS_MIN, TS_MAX};

static void open_rig(struct db_rig *rig, uint64_t seed)
{
    log_set_level(LOG_ERROR);
    db_rig_init(rig, seed);
    rig->options.wal_buffer_bytes = 64 << 10;
    ck_assert_msg(db_rig_open(rig) == ST_OK, "%s", rig->err.text);
}

static void close_rig(struct db_rig *rig)
{
    struct err err = {.st = ST_OK};
    db_rig_settle(rig);
    ck_assert_msg(db_check(rig->db, &err) == ST_OK, "%s", err.text);
    ck_assert_msg(db_rig_close(rig) == ST_OK, "%s", rig->err.text);
    db_rig_release(rig);
}

static void serve(void *ctx)
{
    exec_sim_drain(ctx);
}

/* Stops without a flush and opens again: the log alone tells. */
static void reopen_from_log(struct db_rig *rig)
{
    db_rig_settle(rig);
    ck_assert_int_eq(db_close(rig->db, 0, serve, rig->exec, &rig->err), ST_OK);
    exec_sim_drain(rig->exec);
    ck_assert_msg(db_rig_open(rig) == ST_OK, "%s", rig->err.text);
}

static void put_many(struct db_rig *rig, ts_time ts)
{
    static char names[100][24];
    for (int from = 0; from < MANY; from += 100) {
        struct batch *batch = db_rig_batch(NULL);
        for (int i = 0; i < 100; i++) {
            snprintf(names[i], sizeof(names[i]), "m{i=\"%d\"}", from + i);
            int64_t at = db_rig_add_series(batch, names[i]);
            ck_assert(batch_add_row(batch, (size_t)at, ts, (union value){.bits = 1}, 0));
        }
        db_rig_send(rig, batch);
        ck_assert_uint_eq(batch->n_stored, 100);
        batch_free(batch);
    }
}

static size_t count_all(struct db_rig *rig)
{
    size_t total = 0;
    for (int i = 0; i < MANY; i++) {
        char name[24];
        struct points pts = {0};
        snprintf(name, sizeof(name), "m{i=\"%d\"}", i);
        ck_assert_int_eq(db_rig_read(rig, name, all, &pts, NULL), ST_OK);
        total += pts.n;
        points_release(&pts);
    }
    return total;
}

START_TEST(test_a_delete_of_many_series_is_one_run)
{
    static uint32_t ordinals[MANY + 2];
    struct db_rig rig;
    struct db_stats before, after;
    lsn at;
    open_rig(&rig, 1);
    put_many(&rig, 10);
    if (_i) ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    put_many(&rig, 20);
    for (uint32_t i = 0; i < MANY; i++) ordinals[i] = MANY - 1 - i;
    ordinals[MANY] = ordinals[MANY + 1] = 7; /* twice is once */
    db_stats(rig.db, &before);
    ck_assert_msg(db_delete(rig.db, ordinals, ARRAY_LEN(ordinals), (struct time_range){0, 15},
                            &at, &rig.err) == ST_OK, "%s", rig.err.text);
    db_stats(rig.db, &after);
    ck_assert_uint_eq(after.wal_frames, before.wal_frames + 2);
    ck_assert_uint_eq(after.n_deletes, before.n_deletes + 1);
    ck_assert_uint_eq(count_all(&rig), MANY);
    reopen_from_log(&rig);
    ck_assert_uint_eq(count_all(&rig), MANY);
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    ck_assert_uint_eq(count_all(&rig), MANY);
    close_rig(&rig);
}
END_TEST

START_TEST(test_a_delete_that_the_log_cannot_take_changes_nothing)
{
    enum { TOO_MANY = 4000 };
    static uint32_t ordinals[TOO_MANY];
    struct db_rig rig;
    lsn at;
    open_rig(&rig, 2);
    put_many(&rig, 10);
    static char name[24];
    for (uint32_t i = 0; i < TOO_MANY - MANY; i++) {
        snprintf(name, sizeof(name), "n{i=\"%u\"}", i);
        ck_assert_int_eq(db_rig_put(&rig, name, 1, 1), ST_OK);
    }
    for (uint32_t i = 0; i < TOO_MANY; i++) ordinals[i] = i;
    ck_assert_int_eq(db_delete(rig.db, ordinals, TOO_MANY, all, &at, &rig.err), ST_LIMIT);
    ck_assert_uint_eq(count_all(&rig), MANY);
    close_rig(&rig);
}
END_TEST

START_TEST(test_a_removed_series_is_gone_and_may_be_born_anew)
{
    struct db_rig rig;
    struct points pts = {0};
    open_rig(&rig, 3);
    struct series_attrs attrs = {.policy = DUP_BLOCK};
    struct batch *batch = db_rig_batch("k{__key__=\"k\"}");
    batch->series[0].attrs = &attrs;
    for (int i = 0; i < 100; i++)
        ck_assert(batch_add_row(batch, 0, i, (union value){.bits = 1}, 0));
    db_rig_send(&rig, batch);
    batch_free(batch);
    db_rig_settle(&rig);
    struct cell *cell = &rig.db->cell;
    uint32_t ordinal = db_rig_ordinal(&rig, "k{__key__=\"k\"}");
    series_id id = registry_entry(cell->registry, ordinal)->id;
    ck_assert_uint_eq(cell->n_choosy, 1);
    ck_assert(cell_remove_series(cell, ordinal));
    ck_assert_uint_eq(cell->n_choosy, 0);
    ck_assert_uint_eq(cell->pending_deaths.len, 1);
    ck_assert_uint_eq(cell->pending_deaths.ptr[0], id);
    ck_assert_uint_eq(db_rig_ordinal(&rig, "k{__key__=\"k\"}"), ORDINAL_NONE);
    ck_assert_uint_eq(registry_counts(cell->registry).n_series, 0);
    ck_assert_int_eq(db_rig_put(&rig, "k{__key__=\"k\"}", 5, 7), ST_OK);
    uint32_t again = db_rig_ordinal(&rig, "k{__key__=\"k\"}");
    ck_assert_uint_ne(registry_entry(cell->registry, again)->id, id);
    ck_assert_int_eq(db_rig_read(&rig, "k{__key__=\"k\"}", all, &pts, NULL), ST_OK);
    ck_assert_uint_eq(pts.n, 1);
    points_release(&pts);
    close_rig(&rig);
}
END_TEST

Suite *suite_delete(void)
{
    Suite *s = suite_create("delete");
    TCase *tc = tcase_create("delete");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, test_a_delete_of_many_series_is_one_run, 0, 2);
    tcase_add_test(tc, test_a_delete_that_the_log_cannot_take_changes_nothing);
    tcase_add_test(tc, test_a_removed_series_is_gone_and_may_be_born_anew);
    suite_add_tcase(s, tc);
    return s;
}
