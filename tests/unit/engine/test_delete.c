/* Goal: a delete of any number of series is one decision, in memory, in the log and after a
 * restart; one that cannot be logged whole changes nothing; a series that is removed is
 * gone, and is born anew as another. Method: a small WAL buffer, so that the record takes
 * several frames; a stop without a flush, so that the log alone tells. */
#include "base/log.h"
#include "base/mem.h"
#include "engine/db_priv.h"
#include "engine/delete_look.h"
#include "engine/delete_many.h"
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
    batch->series[0].name->attrs = &attrs;
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

/* --- many, in slices --------------------------------------------------------------- */

struct asked {
    struct delete_op op;
    series_id *ids;
    int n_done;
};

static void note_done(struct delete_op *op)
{
    container_of(op, struct asked, op)->n_done++;
}

static struct delete_look look_for(struct matchers *ms, struct time_range range)
{
    return (struct delete_look){.groups = ms, .n_groups = 1, .range = range};
}

/* Asks for a delete of everything whose label accepts the pattern. */
static void ask(struct db_rig *rig, struct asked *asked, const char *label, const char *pattern,
                struct time_range range, bool drop_keys)
{
    struct matcher m;
    struct matchers ms = {&m, 1};
    size_t n;
    struct delete_look look = look_for(&ms, range);
    ck_assert_int_eq(matcher_init(&m, MATCH_RE, slice_str(label), slice_str(pattern), NULL), ST_OK);
    ck_assert_int_eq(delete_resolve(rig->db, &look, &asked->ids, &n, &rig->err), ST_OK);
    matcher_release(&m);
    asked->n_done = 0;
    asked->op = (struct delete_op){.ids = asked->ids,
                                   .n = n,
                                   .range = range,
                                   .drop_keys = drop_keys,
                                   .done = note_done};
    db_delete_many(rig->db, &asked->op);
}

static void finish(struct db_rig *rig, struct asked *asked)
{
    db_rig_settle(rig);
    for (int i = 0; i < 100 && !asked->n_done; i++) {
        (void)db_tick(rig->db);
        db_rig_settle(rig);
    }
    ck_assert_int_eq(asked->n_done, 1);
    mem_free(asked->ids);
}

static struct delete_counts count_for(struct db_rig *rig, const char *label, const char *pattern,
                                      struct time_range range)
{
    struct matcher m;
    struct matchers ms = {&m, 1};
    struct delete_counts counts;
    struct delete_look look = look_for(&ms, range);
    ck_assert_int_eq(matcher_init(&m, MATCH_RE, slice_str(label), slice_str(pattern), NULL), ST_OK);
    ck_assert_msg(delete_count(rig->db, &look, &counts, &rig->err) == ST_OK, "%s", rig->err.text);
    matcher_release(&m);
    return counts;
}

START_TEST(test_many_slices_are_one_delete)
{
    struct db_rig rig;
    struct asked asked;
    const struct time_range early = {0, 15};
    open_rig(&rig, 4);
    put_many(&rig, 10);
    if (_i) ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    put_many(&rig, 20);
    struct delete_counts counts = count_for(&rig, "__name__", "m", early);
    ck_assert_uint_eq(counts.n_series, MANY);
    ck_assert_uint_eq(counts.n_samples, MANY);
    ask(&rig, &asked, "__name__", "m", early, false);
    ck_assert_uint_eq(asked.op.n, MANY);
    finish(&rig, &asked);
    ck_assert_int_eq(asked.op.st, ST_OK);
    ck_assert_uint_eq(count_for(&rig, "__name__", "m", early).n_samples, 0);
    ck_assert_uint_eq(count_for(&rig, "__name__", "m", all).n_samples, MANY);
    ck_assert_uint_eq(count_all(&rig), MANY);
    reopen_from_log(&rig);
    ck_assert_uint_eq(count_all(&rig), MANY);
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    ck_assert_uint_eq(count_all(&rig), MANY);
    close_rig(&rig);
}
END_TEST

/* Each slice is a step of its own; before the last there is no view, and in the log
 * nothing is deleted. */
START_TEST(test_nothing_comes_between_the_slices)
{
    struct db_rig rig;
    struct asked asked;
    open_rig(&rig, 5);
    put_many(&rig, 10);
    db_rig_settle(&rig);
    clock_sim_set_tick_ns(&rig.clock, OWNER_STEP_NS);
    ask(&rig, &asked, "__name__", "m", all, false);
    clock_sim_set_tick_ns(&rig.clock, 0);
    ck_assert_int_eq(asked.n_done, 0);
    ck_assert(rig.db->cell.delete_open);
    struct points pts = {0};
    struct arena arena;
    arena_init(&arena, NULL, 4096);
    ck_assert_int_eq(db_read_small(rig.db, 0, all, 100, &pts, &arena, NULL), ST_AGAIN);
    arena_release(&arena);
    if (_i == 0) { /* whoever wants a view waits for the end */
        ck_assert_uint_eq(count_for(&rig, "__name__", "m", all).n_samples, 0);
        ck_assert_int_eq(asked.n_done, 1);
        finish(&rig, &asked);
        close_rig(&rig);
        return;
    }
    /* So does a close; and who comes behind is turned away. */
    struct asked second;
    clock_sim_set_tick_ns(&rig.clock, OWNER_STEP_NS);
    ask(&rig, &second, "__name__", "m", all, false);
    clock_sim_set_tick_ns(&rig.clock, 0);
    ck_assert_int_eq(second.n_done, 0);
    ck_assert_int_eq(db_close(rig.db, 0, serve, rig.exec, &rig.err), ST_OK);
    exec_sim_drain(rig.exec);
    ck_assert_int_eq(asked.n_done, 1);
    ck_assert_int_eq(asked.op.st, ST_OK);
    ck_assert_int_eq(second.n_done, 1);
    ck_assert_int_eq(second.op.st, ST_CLOSED);
    mem_free(asked.ids);
    mem_free(second.ids);
    ck_assert_msg(db_rig_open(&rig) == ST_OK, "%s", rig.err.text);
    ck_assert_uint_eq(count_for(&rig, "__name__", "m", all).n_samples, 0);
    close_rig(&rig);
}
END_TEST

static void put_key(struct db_rig *rig, const char *series, ts_time ts)
{
    struct batch *batch = db_rig_batch(series);
    ck_assert(batch_add_row(batch, 0, ts, (union value){.bits = 1}, 0));
    db_rig_send(rig, batch);
    ck_assert_uint_eq(batch->n_stored, 1);
    batch_free(batch);
}

static size_t samples_of(struct db_rig *rig, const char *series)
{
    struct points pts = {0};
    status st = db_rig_read(rig, series, all, &pts, NULL);
    size_t n = pts.n;
    points_release(&pts);
    return st == ST_NOT_FOUND ? SIZE_MAX : n;
}

#define KEY_A "k{__key__=\"a\"}"
#define KEY_B "k{__key__=\"b\"}"

/* What the case does between the steps: nothing, a restart from the log, a flush, both. */
static void meanwhile(struct db_rig *rig, int how)
{
    if (how & 2) ck_assert_int_eq(db_rig_flush(rig), ST_OK);
    if (how & 1) reopen_from_log(rig);
}

START_TEST(test_keys_are_removed_for_good_and_may_be_born_anew)
{
    struct db_rig rig;
    struct asked asked;
    open_rig(&rig, 6);
    put_key(&rig, KEY_A, 1);
    put_key(&rig, KEY_B, 1);
    ck_assert_int_eq(db_rig_put(&rig, "k{x=\"1\"}", 1, 1), ST_OK);
    meanwhile(&rig, _i & 3);
    series_id id = registry_entry(rig.db->cell.registry, db_rig_ordinal(&rig, KEY_A))->id;
    ask(&rig, &asked, "__key__", "a", all, true);
    finish(&rig, &asked);
    ck_assert_int_eq(asked.op.st, ST_OK);
    ck_assert_uint_eq(samples_of(&rig, KEY_A), SIZE_MAX);
    meanwhile(&rig, _i >> 2 & 3);
    ck_assert_uint_eq(samples_of(&rig, KEY_A), SIZE_MAX);
    ck_assert_uint_eq(samples_of(&rig, KEY_B), 1);
    for (int life = 0; life < 2; life++) { /* born anew, and removed once more */
        put_key(&rig, KEY_A, 1);
        put_key(&rig, KEY_A, 2);
        series_id now = registry_entry(rig.db->cell.registry, db_rig_ordinal(&rig, KEY_A))->id;
        ck_assert_uint_gt(now, id);
        id = now;
        meanwhile(&rig, _i >> 4 & 3);
        ck_assert_uint_eq(samples_of(&rig, KEY_A), 2);
        if (life) break;
        ask(&rig, &asked, "__key__", ".*", all, true);
        finish(&rig, &asked);
        ck_assert_uint_eq(samples_of(&rig, KEY_A), SIZE_MAX);
        ck_assert_uint_eq(samples_of(&rig, KEY_B), SIZE_MAX);
        reopen_from_log(&rig);
        ck_assert_uint_eq(samples_of(&rig, KEY_A), SIZE_MAX);
        ck_assert_uint_eq(samples_of(&rig, "k{x=\"1\"}"), SIZE_MAX); /* no key: it died */
    }
    close_rig(&rig);
}
END_TEST

/* The last id that was given out is never given again, or the log would take its next
 * bearer for dead. */
START_TEST(test_the_id_of_a_removed_series_is_not_used_again)
{
    struct db_rig rig;
    struct asked asked;
    open_rig(&rig, 7);
    put_key(&rig, KEY_A, 1);
    series_id id = registry_entry(rig.db->cell.registry, db_rig_ordinal(&rig, KEY_A))->id;
    ask(&rig, &asked, "__key__", "a", all, true);
    finish(&rig, &asked);
    reopen_from_log(&rig);
    put_key(&rig, KEY_B, 1);
    ck_assert_uint_gt(registry_entry(rig.db->cell.registry, db_rig_ordinal(&rig, KEY_B))->id, id);
    reopen_from_log(&rig);
    ck_assert_uint_eq(samples_of(&rig, KEY_B), 1);
    close_rig(&rig);
}
END_TEST

START_TEST(test_a_look_ends_when_it_is_told_to)
{
    struct db_rig rig;
    struct matcher m;
    struct matchers ms = {&m, 1};
    struct delete_counts counts;
    _Atomic bool cancelled = true;
    series_id *ids;
    size_t n;
    open_rig(&rig, 8);
    put_many(&rig, 10);
    struct delete_look look = look_for(&ms, all);
    look.cancelled = &cancelled;
    ck_assert_int_eq(
        matcher_init(&m, MATCH_RE, SLICE_LIT("i"), SLICE_LIT(".*[0-9]"), NULL), ST_OK);
    ck_assert_int_eq(delete_count(rig.db, &look, &counts, &rig.err), ST_CANCELLED);
    ck_assert_int_eq(delete_resolve(rig.db, &look, &ids, &n, &rig.err), ST_CANCELLED);
    look.cancelled = NULL;
    ck_assert_int_eq(delete_count(rig.db, &look, &counts, &rig.err), ST_OK);
    ck_assert_uint_eq(counts.n_samples, MANY);
    look.range = (struct time_range){11, 5};
    ck_assert_int_eq(delete_count(rig.db, &look, &counts, &rig.err), ST_OK);
    ck_assert_uint_eq(counts.n_samples, 0);
    ck_assert_uint_eq(counts.n_series, MANY);
    matcher_release(&m);
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
    tcase_add_loop_test(tc, test_many_slices_are_one_delete, 0, 2);
    tcase_add_loop_test(tc, test_nothing_comes_between_the_slices, 0, 2);
    tcase_add_loop_test(tc, test_keys_are_removed_for_good_and_may_be_born_anew, 0, 64);
    tcase_add_test(tc, test_the_id_of_a_removed_series_is_not_used_again);
    tcase_add_test(tc, test_a_look_ends_when_it_is_told_to);
    suite_add_tcase(s, tc);
    return s;
}
