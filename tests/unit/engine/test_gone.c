/* Goal: a series of which a delete leaves nothing visible dies at once, for good, and is
 * born anew as another; one that has anything left, or is written again, lives. Method:
 * every place where its samples may lie (memory, a segment, both, a flush under way), every
 * way on (nothing, a restart from the log, a flush), and what a death must wait for. Then
 * generations of births and deaths: what the engine holds is that of the living. */
#include "base/log.h"
#include "base/vfs_sub.h"
#include "engine/db_priv.h"
#include "engine/snapshot.h"
#include "engine/verify.h"
#include "tests/lib/db_rig.h"
#include "tests/unit/engine/engine_suites.h"

static const struct time_range all = {TS_MIN, TS_MAX};

#define NAME "gone{pod=\"1\"}"

static void open_rig(struct db_rig *rig)
{
    log_set_level(LOG_OFF);
    db_rig_init(rig, unit_seed());
    rig->options.flush_interval_ms = 1;
    rig->options.compaction_interval_ms = 1;
    ck_assert_msg(db_rig_open(rig) == ST_OK, "%s", rig->err.text);
}

static void check(struct db_rig *rig)
{
    struct err err = {.st = ST_OK};
    db_rig_settle(rig);
    ck_assert_msg(db_check(rig->db, &err) == ST_OK, "%s", err.text);
}

static void close_rig(struct db_rig *rig)
{
    struct verify_report report;
    struct verify_options opt = {.cancelled = NULL};
    check(rig);
    ck_assert_int_eq(db_rig_close(rig), ST_OK);
    ck_assert_msg(verify_dir(&report, rig->vfs, &opt, &rig->err) == ST_OK, "%s", rig->err.text);
    ck_assert_uint_eq(report.n_series_missing, 0);
    db_rig_release(rig);
}

static void serve(void *ctx)
{
    exec_sim_drain(ctx);
}

/* Stops without a flush and opens again. */
static void reopen_from_log(struct db_rig *rig)
{
    ck_assert_int_eq(db_close(rig->db, 0, serve, rig->exec, &rig->err), ST_OK);
    exec_sim_drain(rig->exec);
    ck_assert_msg(db_rig_open(rig) == ST_OK, "%s", rig->err.text);
}

static void put(struct db_rig *rig, const char *series, ts_time from, size_t n)
{
    struct batch *batch = db_rig_batch(series);
    for (size_t i = 0; i < n; i++)
        ck_assert(batch_add_row(batch, 0, from + (ts_time)i, (union value){.bits = i}, 0));
    db_rig_send(rig, batch);
    ck_assert_uint_eq(batch->n_stored, n);
    batch_free(batch);
}

static size_t count(struct db_rig *rig, const char *series)
{
    struct points pts = {0};
    status st = db_rig_read(rig, series, all, &pts, NULL);
    size_t n = pts.n;
    points_release(&pts);
    return st == ST_NOT_FOUND ? SIZE_MAX : n;
}

/* Without a turn of the owner behind it. */
static void erase(struct db_rig *rig, const char *series, struct time_range range)
{
    uint32_t ordinal = db_rig_ordinal(rig, series);
    lsn at;
    ck_assert_uint_ne(ordinal, ORDINAL_NONE);
    ck_assert_int_eq(db_delete(rig->db, &ordinal, 1, range, &at, &rig->err), ST_OK);
}

static void turn(struct db_rig *rig)
{
    clock_sim_advance_ms(&rig->clock, 2);
    (void)db_tick(rig->db);
}

static series_id id_of(struct db_rig *rig, const char *series)
{
    uint32_t ordinal = db_rig_ordinal(rig, series);
    ck_assert_uint_ne(ordinal, ORDINAL_NONE);
    return registry_entry(rig->db->cell.registry, ordinal)->id;
}

static struct db_stats stats_of(struct db_rig *rig)
{
    struct db_stats stats;
    db_stats(rig->db, &stats);
    return stats;
}

enum where { MEMORY, SEGMENT, BOTH, N_WHERE };
enum then { NOTHING, RESTART, FLUSH, RESTART_AND_FLUSH, N_THEN };

static void go_on(struct db_rig *rig, enum then then)
{
    if (then & RESTART) reopen_from_log(rig);
    if (then & FLUSH) ck_assert_int_eq(db_rig_flush(rig), ST_OK);
    turn(rig);
}

static void put_where(struct db_rig *rig, enum where where)
{
    put(rig, NAME, 100, 10);
    if (where != MEMORY) ck_assert_int_eq(db_rig_flush(rig), ST_OK);
    if (where == BOTH) put(rig, NAME, 110, 10);
}

/* _i: where, what happens before the owner's next turn, and what afterwards. */
START_TEST(test_a_series_dies_with_all_it_had_and_is_born_anew)
{
    struct db_rig rig;
    enum where where = _i % N_WHERE;
    enum then first = _i / N_WHERE % N_THEN, later = _i / N_WHERE / N_THEN;
    open_rig(&rig);
    put(&rig, "stays", 1, 1);
    put_where(&rig, where);
    series_id id = id_of(&rig, NAME);
    erase(&rig, NAME, _i % 2 ? all : (struct time_range){0, 200});
    ck_assert_uint_eq(count(&rig, NAME), 0);
    go_on(&rig, first);
    ck_assert_uint_eq(count(&rig, NAME), SIZE_MAX);
    go_on(&rig, later);
    ck_assert_uint_eq(count(&rig, NAME), SIZE_MAX);
    ck_assert_uint_eq(stats_of(&rig).n_series, 1);
    check(&rig);
    put(&rig, NAME, 105, 3);
    ck_assert_uint_gt(id_of(&rig, NAME), id);
    go_on(&rig, first);
    ck_assert_uint_eq(count(&rig, NAME), 3);
    go_on(&rig, later);
    ck_assert_uint_eq(count(&rig, NAME), 3);
    ck_assert_uint_eq(count(&rig, "stays"), 1);
    close_rig(&rig);
}
END_TEST

/* Each leaves something, or what it leaves cannot be known at once. */
static const struct {
    const char *name;
    struct time_range range;
    bool keyed, written;
    size_t n_left;
} living[] = {
    {"the first sample is left", {101, 200}, false, false, 1},
    {"the last sample is left", {0, 108}, false, false, 1},
    {"a late sample is left", {51, 200}, false, false, 1},
    {"it is written again", {TS_MIN, TS_MAX}, false, true, 1},
    {"a key is a key", {TS_MIN, TS_MAX}, true, false, 0},
};

START_TEST(test_a_series_lives_with_what_is_left)
{
    struct db_rig rig;
    size_t idx = (size_t)_i / N_WHERE;
    const char *name = living[idx].keyed ? "gone{__key__=\"k\"}" : NAME;
    open_rig(&rig);
    put(&rig, name, 100, 10);
    if (idx == 2) put(&rig, name, 50, 1);
    if (_i % N_WHERE != MEMORY) ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    if (_i % N_WHERE == BOTH) put(&rig, name, living[idx].keyed ? 115 : 105, 1);
    series_id id = id_of(&rig, name);
    erase(&rig, name, living[idx].range);
    if (living[idx].written) put(&rig, name, 7, 1);
    for (int i = 0; i < 4; i++) turn(&rig);
    ck_assert_msg(id_of(&rig, name) == id, "%s", living[idx].name);
    reopen_from_log(&rig);
    for (int i = 0; i < 4; i++) turn(&rig);
    ck_assert_msg(id_of(&rig, name) == id, "%s", living[idx].name);
    ck_assert_uint_eq(count(&rig, name), living[idx].n_left);
    close_rig(&rig);
}
END_TEST

/* Two deletes, a sample between them: the first has doomed the series, the second takes
 * the newest sample and not the other one. */
START_TEST(test_doom_ends_with_a_write)
{
    struct db_rig rig;
    open_rig(&rig);
    put(&rig, NAME, 100, 10);
    erase(&rig, NAME, all);
    struct batch *batch = db_rig_batch(NAME);
    bool done = false;
    batch->done = db_rig_done;
    batch->ctx = &done;
    for (int i = 0; i < 2; i++)
        ck_assert(batch_add_row(batch, 0, 200 + i, (union value){.bits = 1}, 0));
    sink_write(db_sink(rig.db), batch);
    write_finish_batch(&rig.db->cell);
    erase(&rig, NAME, (struct time_range){201, 201});
    db_rig_settle(&rig);
    turn(&rig);
    ck_assert(done);
    batch_free(batch);
    ck_assert_uint_eq(count(&rig, NAME), 1);
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    turn(&rig);
    ck_assert_uint_eq(count(&rig, NAME), 1);
    close_rig(&rig);
}
END_TEST

static void flushed(void *ctx, status st)
{
    ck_assert_int_eq(st, ST_OK);
    *(bool *)ctx = true;
}

/* _i: after how many jobs and messages of the flush the delete comes. */
START_TEST(test_a_death_waits_for_the_flush_that_has_the_series)
{
    struct db_rig rig;
    bool done = false;
    open_rig(&rig);
    put(&rig, "stays", 1, 1);
    put(&rig, NAME, 100, 10);
    db_flush(rig.db, flushed, &done);
    for (int i = 0; i < _i; i++) {
        (void)db_tick(rig.db);
        (void)exec_sim_step(rig.exec);
    }
    erase(&rig, NAME, all);
    (void)db_tick(rig.db);
    db_rig_settle(&rig);
    for (int i = 0; i < 20; i++) {
        turn(&rig);
        db_rig_settle(&rig);
    }
    ck_assert(done);
    ck_assert_uint_eq(count(&rig, NAME), SIZE_MAX);
    ck_assert_uint_eq(count(&rig, "stays"), 1);
    reopen_from_log(&rig);
    turn(&rig);
    ck_assert_uint_eq(count(&rig, NAME), SIZE_MAX);
    close_rig(&rig);
}
END_TEST

static void snapshot_over(void *ctx, status st, const struct snapshot_info *info,
                          const struct err *err)
{
    (void)info;
    ck_assert_msg(st == ST_OK, "%s", err_text(err, st));
    *(bool *)ctx = true;
}

/* The delete comes after the cut of a snapshot: that still has the series, by its name. */
START_TEST(test_a_death_waits_for_the_names_of_a_snapshot)
{
    struct db_rig rig;
    struct snapshot_ask ask = {.name = SLICE_LIT("s")};
    bool done = false;
    open_rig(&rig);
    put(&rig, NAME, 100, 10);
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    db_snapshot(rig.db, &ask, snapshot_over, &done);
    for (int i = 0; i < 100 && !snapshot_wants_names(rig.db); i++) {
        (void)exec_sim_step(rig.exec);
        snapshot_step(rig.db);
    }
    ck_assert(snapshot_wants_names(rig.db));
    erase(&rig, NAME, all);
    (void)db_tick(rig.db);
    if (snapshot_wants_names(rig.db)) ck_assert_uint_ne(db_rig_ordinal(&rig, NAME), ORDINAL_NONE);
    for (int i = 0; i < 20 && !done; i++) {
        turn(&rig);
        db_rig_settle(&rig);
    }
    ck_assert(done);
    ck_assert_uint_eq(db_rig_ordinal(&rig, NAME), ORDINAL_NONE);
    struct vfs *dir = NULL;
    struct verify_report report;
    struct verify_options opt = {.cancelled = NULL};
    ck_assert_int_eq(vfs_sub_open(&dir, rig.vfs, "snapshots/s", &rig.err), ST_OK);
    ck_assert_msg(verify_dir(&report, dir, &opt, &rig.err) == ST_OK, "%s", rig.err.text);
    ck_assert_uint_eq(report.n_series, 1);
    vfs_free(dir);
    close_rig(&rig);
}
END_TEST

/* Births and deaths, generation after generation, with flushes and restarts between. */
/* A batch knows a series by a probe alone, waits for an older value of another, and the
 * series dies meanwhile: it goes back whole and uncounted, for its sender has the labels. */
START_TEST(test_a_batch_that_waits_comes_back_when_a_probe_goes_stale)
{
    const char *keyed = "k{__key__=\"k\"}";
    struct db_rig rig;
    open_rig(&rig);
    put(&rig, NAME, 100, 10);
    put(&rig, keyed, 100, 6);
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    struct cell *cell = &rig.db->cell;
    uint32_t ordinal = db_rig_ordinal(&rig, NAME);
    uint64_t n_rows = stats_of(&rig).n_rows;
    struct batch *batch = db_rig_batch(keyed);
    bool done = false;
    ck_assert(batch_add_row(batch, 0, 102, (union value){.bits = f64_bits(7)}, 0));
    ck_assert(batch_add_known(batch, ordinal, cell_head(cell, ordinal)->gen, 500,
                              (union value){.bits = 0}));
    batch->n_deaths = db_deaths(rig.db) + 1;
    batch->done = db_rig_done;
    batch->ctx = &done;
    batch->deferrable = true;
    sink_write(db_sink(rig.db), batch);
    while (list_empty(&cell->deferred)) ck_assert(!done && exec_sim_step(rig.exec));
    erase(&rig, NAME, all);
    while (db_rig_ordinal(&rig, NAME) != ORDINAL_NONE) turn(&rig);
    ck_assert(!done);
    db_rig_settle(&rig);
    ck_assert(done && !batch->engine);
    ck_assert_int_eq(batch->series[1].st, ST_AGAIN);
    ck_assert(batch->n_stored == 0 && batch->n_refused == 0);
    ck_assert_uint_eq(stats_of(&rig).n_rows, n_rows);
    batch_free(batch);
    close_rig(&rig);
}
END_TEST

/* The table of names gives a dead series to a probe that comes after its death. */
START_TEST(test_a_batch_comes_back_when_a_probe_was_stale_from_the_first)
{
    struct db_rig rig;
    open_rig(&rig);
    put(&rig, NAME, 100, 10);
    put(&rig, "stays", 100, 1);
    uint32_t ordinal = db_rig_ordinal(&rig, NAME), stays = db_rig_ordinal(&rig, "stays");
    uint32_t gen = cell_head(&rig.db->cell, ordinal)->gen;
    erase(&rig, NAME, all);
    while (db_rig_ordinal(&rig, NAME) != ORDINAL_NONE) turn(&rig);
    uint64_t n_rows = stats_of(&rig).n_rows;
    for (int stale = 1; stale >= 0; stale--) {
        struct batch *batch = db_rig_batch(NULL);
        union value zero = {.bits = 0};
        ck_assert(batch_add_known(batch, stays, cell_head(&rig.db->cell, stays)->gen, 500, zero));
        if (stale) ck_assert(batch_add_known(batch, ordinal, gen, 500, zero));
        batch->n_deaths = db_deaths(rig.db) + 1;
        db_rig_send(&rig, batch);
        ck_assert_uint_eq(batch->n_stored, !stale);
        if (stale) ck_assert_int_eq(batch->series[1].st, ST_AGAIN);
        ck_assert_uint_eq(stats_of(&rig).n_rows, n_rows + !stale);
        batch_free(batch);
    }
    close_rig(&rig);
}
END_TEST

/* Makes series until one of them gets the ordinal; false: none did. */
static bool is_used_again(struct db_rig *rig, uint32_t ordinal, int from, int n)
{
    char name[32];
    for (int i = from; i < from + n; i++) {
        snprintf(name, sizeof(name), "new{i=\"%d\"}", i);
        put(rig, name, 100, 1);
        db_rig_settle(rig);
        turn(rig);
        if (db_rig_ordinal(rig, name) == ordinal) return true;
    }
    return false;
}

/* A series that is found and dies before the pin keeps its ordinal for the view: who pins
 * without having said what it found is the control. */
START_TEST(test_what_a_reader_found_stays_for_its_view)
{
    struct db_rig rig;
    struct view *view;
    open_rig(&rig);
    put(&rig, NAME, 100, 10);
    int reader = db_reader_enter(rig.db);
    uint32_t ordinal = db_rig_ordinal(&rig, NAME);
    erase(&rig, NAME, all);
    while (db_rig_ordinal(&rig, NAME) != ORDINAL_NONE) turn(&rig);
    ck_assert(!is_used_again(&rig, ordinal, 0, 100)); /* the lists let it go, the reader not */
    status st = _i ? db_pin_found(rig.db, reader, &view, &rig.err)
                   : db_pin(rig.db, &view, &rig.err);
    ck_assert_int_eq(st, ST_OK);
    db_reader_leave(rig.db, reader);
    ck_assert(is_used_again(&rig, ordinal, 100, 100) == !_i);
    db_unpin(rig.db, view);
    if (_i) ck_assert(is_used_again(&rig, ordinal, 200, 100));
    close_rig(&rig);
}
END_TEST

START_TEST(test_churn_leaves_nothing_behind)
{
    enum { GENERATIONS = 40, EACH = 100, ALIVE = 2 };
    struct db_rig rig;
    size_t bytes = 0;
    open_rig(&rig);
    for (int g = 0; g < GENERATIONS; g++) {
        struct batch *batch = db_rig_batch(NULL);
        static char names[EACH][64];
        uint32_t ordinals[EACH];
        size_t n = 0;
        lsn at;
        for (int i = 0; i < EACH; i++) {
            snprintf(names[i], sizeof(names[i]), "m{g=\"%d\",pod=\"pod-%d-%d\"}", g, g, i);
            int64_t series = db_rig_add_series(batch, names[i]);
            ck_assert(batch_add_row(batch, (size_t)series, g, (union value){.bits = 1}, 0));
        }
        db_rig_send(&rig, batch);
        batch_free(batch);
        if (g % 5 == 4) ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
        for (int i = 0; i < EACH && g >= ALIVE; i++) {
            snprintf(names[i], sizeof(names[i]), "m{g=\"%d\",pod=\"pod-%d-%d\"}", g - ALIVE,
                     g - ALIVE, i);
            ordinals[n] = db_rig_ordinal(&rig, names[i]);
            ck_assert_uint_ne(ordinals[n++], ORDINAL_NONE);
        }
        if (n) ck_assert_int_eq(db_delete(rig.db, ordinals, n, all, &at, &rig.err), ST_OK);
        for (int i = 0; i < 10; i++) {
            turn(&rig);
            db_rig_settle(&rig);
        }
        struct db_stats stats = stats_of(&rig);
        ck_assert_uint_le(stats.n_series, (ALIVE + 1) * EACH);
        ck_assert_uint_le(stats.n_ordinals, 8 * EACH);
        ck_assert_uint_le(stats.n_series_dead, 4 * EACH);
        ck_assert_uint_le(stats.n_label_pairs, 8 * EACH);
        ck_assert_uint_le(stats.n_label_texts, 8 * EACH);
        if (g == GENERATIONS / 4) bytes = stats.registry_bytes;
        if (g > GENERATIONS / 4) ck_assert_uint_le(stats.registry_bytes, bytes + bytes / 4);
        if (g == GENERATIONS / 2) reopen_from_log(&rig);
    }
    close_rig(&rig);
}
END_TEST

Suite *suite_gone(void)
{
    Suite *s = suite_create("gone");
    TCase *tc = tcase_create("gone");
    tcase_set_timeout(tc, 3600);
    tcase_add_loop_test(tc, test_a_series_dies_with_all_it_had_and_is_born_anew, 0,
                        N_WHERE * N_THEN * N_THEN);
    tcase_add_loop_test(tc, test_a_series_lives_with_what_is_left, 0,
                        (int)(sizeof(living) / sizeof(living[0])) * N_WHERE);
    tcase_add_test(tc, test_doom_ends_with_a_write);
    tcase_add_loop_test(tc, test_a_death_waits_for_the_flush_that_has_the_series, 0, 12);
    tcase_add_test(tc, test_a_death_waits_for_the_names_of_a_snapshot);
    tcase_add_test(tc, test_a_batch_comes_back_when_a_probe_was_stale_from_the_first);
    tcase_add_loop_test(tc, test_what_a_reader_found_stays_for_its_view, 0, 2);
    tcase_add_test(tc, test_a_batch_that_waits_comes_back_when_a_probe_goes_stale);
    tcase_add_test(tc, test_churn_leaves_nothing_behind);
    suite_add_tcase(s, tc);
    return s;
}
