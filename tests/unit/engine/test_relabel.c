/* Goal: a series that gets other labels stays who it is: its id and every sample of it, in
 * memory, in segments and in the log, before and after flushes, merges and restarts; a view
 * pinned before sees it under the labels of then, each series once. Method: cases by hand,
 * then random histories against a model, with names that go from one series to another. */
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "base/log.h"
#include "engine/db_priv.h"
#include "engine/relabel.h"
#include "engine/verify.h"
#include "storage/layout.h"
#include "tests/lib/db_rig.h"
#include "tests/unit/engine/engine_suites.h"

static const struct time_range all = {TS_MIN, TS_MAX};

static void open_rig(struct db_rig *rig)
{
    log_set_level(LOG_OFF);
    db_rig_init(rig, unit_seed());
    rig->options.retention_ms = 0;
    rig->options.flush_interval_ms = 1;
    ck_assert_msg(db_rig_open(rig) == ST_OK, "%s", rig->err.text);
}

static void check(struct db_rig *rig)
{
    struct err err = {.st = ST_OK};
    db_rig_settle(rig);
    ck_assert_msg(db_check(rig->db, &err) == ST_OK, "%s", err.text);
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

static void verify(struct db_rig *rig)
{
    struct verify_report report;
    struct verify_options opt = {.cancelled = NULL};
    ck_assert_msg(verify_dir(&report, rig->vfs, &opt, &rig->err) == ST_OK, "%s", rig->err.text);
    ck_assert_uint_eq(report.n_series_missing, 0);
}

static void close_rig(struct db_rig *rig)
{
    check(rig);
    ck_assert_int_eq(db_rig_close(rig), ST_OK);
    verify(rig);
    db_rig_release(rig);
}

static void tick(struct db_rig *rig)
{
    clock_sim_advance_ms(&rig->clock, 2);
    (void)db_tick(rig->db);
    db_rig_settle(rig);
}

struct change {
    struct relabel_op op;
    bool done;
};

static void changed(struct relabel_op *op)
{
    container_of(op, struct change, op)->done = true;
}

static status relabel_id(struct db_rig *rig, series_id id, const char *to)
{
    struct batch *named = db_rig_batch(to); /* for its labels and identity */
    struct change change = {.done = false};
    list_init(&change.op.link);
    change.op.id = id;
    change.op.labels = named->series[0].name->labels;
    change.op.identity = named->series[0].name->identity;
    change.op.done = changed;
    db_relabel(rig->db, &change.op);
    for (int i = 0; i < 1000 && !change.done; i++) tick(rig);
    ck_assert(change.done);
    batch_free(named);
    return change.op.st;
}

static series_id id_of(struct db_rig *rig, const char *series)
{
    uint32_t ordinal = db_rig_ordinal(rig, series);
    return ordinal == ORDINAL_NONE ? 0 : registry_entry(rig->db->cell.registry, ordinal)->id;
}

static status relabel(struct db_rig *rig, const char *from, const char *to)
{
    series_id id = id_of(rig, from);
    ck_assert_uint_ne(id, 0);
    return relabel_id(rig, id, to);
}

static void flush(struct db_rig *rig)
{
    ck_assert_int_eq(db_rig_flush(rig), ST_OK);
}

static size_t count(struct db_rig *rig, const char *series)
{
    struct points pts = {0};
    status st = db_rig_read(rig, series, all, &pts, NULL);
    size_t n = pts.n;
    points_release(&pts);
    return st == ST_NOT_FOUND ? SIZE_MAX : n;
}

#define A "m{__key__=\"k\",room=\"a\"}"
#define B "m{__key__=\"k\",room=\"b\"}"
#define C "m{__key__=\"k2\",room=\"b\"}"

START_TEST(test_samples_stay_wherever_they_lie)
{
    struct db_rig rig;
    open_rig(&rig);
    ck_assert_int_eq(db_rig_put(&rig, A, 1000, 1), ST_OK);
    flush(&rig);
    ck_assert_int_eq(db_rig_put(&rig, A, 2000, 2), ST_OK);
    series_id id = id_of(&rig, A);
    ck_assert_int_eq(relabel(&rig, A, B), ST_OK);
    for (int i = 0; i < 4; i++) {
        ck_assert_uint_eq(id_of(&rig, B), id);
        ck_assert_uint_eq(id_of(&rig, A), 0);
        ck_assert_uint_eq(count(&rig, B), 2);
        check(&rig);
        if (i == 0) reopen_from_log(&rig);
        if (i == 1) flush(&rig);
        if (i == 2) reopen_from_log(&rig);
    }
    ck_assert_int_eq(db_rig_put(&rig, B, 3000, 3), ST_OK);
    ck_assert_int_eq(db_rig_put(&rig, B, 2000, 3), ST_DUPLICATE); /* it knows its newest */
    ck_assert_uint_eq(count(&rig, B), 3);
    close_rig(&rig);
}
END_TEST

START_TEST(test_the_registrys_files_lost)
{
    struct db_rig rig;
    open_rig(&rig);
    ck_assert_int_eq(db_rig_put(&rig, A, 1000, 1), ST_OK);
    flush(&rig);
    ck_assert_int_eq(relabel(&rig, A, C), ST_OK);       /* renamed: its place stays */
    ck_assert_int_eq(db_rig_put(&rig, C, 2000, 2), ST_OK);
    flush(&rig);
    ck_assert_int_eq(db_rig_put(&rig, A, 1500, 7), ST_OK); /* another series takes the name */
    flush(&rig);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    ck_assert_int_eq(vfs_remove(rig.vfs, LAYOUT_REGISTRY, &rig.err), ST_OK);
    ck_assert_msg(db_rig_open(&rig) == ST_OK, "%s", rig.err.text);
    ck_assert_uint_eq(count(&rig, C), 2);
    ck_assert_uint_eq(count(&rig, A), 1);
    close_rig(&rig);
}
END_TEST

START_TEST(test_a_taken_name_is_refused)
{
    struct db_rig rig;
    open_rig(&rig);
    ck_assert_int_eq(db_rig_put(&rig, A, 1000, 1), ST_OK);
    ck_assert_int_eq(db_rig_put(&rig, C, 1000, 1), ST_OK);
    ck_assert_int_eq(relabel(&rig, A, C), ST_EXISTS);
    ck_assert_int_eq(relabel(&rig, A, "m{__key__=\"k2\",room=\"z\"}"), ST_EXISTS); /* its key */
    ck_assert_int_eq(relabel(&rig, A, A), ST_OK);
    ck_assert_int_eq(relabel_id(&rig, 4711, B), ST_NOT_FOUND);
    ck_assert_uint_eq(count(&rig, A), 1);
    close_rig(&rig);
}
END_TEST

/* Through the querier: a series is found once, under the labels of the pin. */
START_TEST(test_a_view_keeps_the_labels_of_its_pin)
{
    struct db_rig rig;
    open_rig(&rig);
    ck_assert_int_eq(db_rig_put(&rig, A, 1000, 1), ST_OK);
    struct captured old = {.ordinal = db_rig_ordinal(&rig, A)};
    struct view *before = view_pin(rig.db);
    ck_assert_int_eq(relabel(&rig, A, B), ST_OK);
    ck_assert_int_eq(db_rig_put(&rig, B, 2000, 2), ST_OK);
    struct captured new = {.ordinal = db_rig_ordinal(&rig, B)};
    struct captured late[2] = {old, new};
    struct view *after = view_pin(rig.db);
    struct points pts = {0};
    ck_assert_uint_lt(old.ordinal, new.ordinal);

    ck_assert_int_eq(view_capture(before, &old, 1, &rig.err), ST_OK);
    ck_assert(!captured_moved(&old));
    ck_assert_int_eq(view_read(before, &old, all, &pts, NULL, &rig.err), ST_OK);
    ck_assert_uint_eq(pts.n, 1);
    ck_assert_uint_ge(new.ordinal, view_births(before));
    pts.n = 0;
    ck_assert_int_eq(view_capture(after, late, 2, &rig.err), ST_OK);
    ck_assert(captured_moved(&late[0]) && !captured_moved(&late[1]));
    ck_assert_int_eq(view_read(after, &late[0], all, &pts, NULL, &rig.err), ST_OK);
    ck_assert_uint_eq(pts.n, 0);
    ck_assert_int_eq(view_read(after, &late[1], all, &pts, NULL, &rig.err), ST_OK);
    ck_assert_uint_eq(pts.n, 2);
    points_release(&pts);
    db_rig_settle(&rig);
    view_unpin(before);
    view_unpin(after);
    close_rig(&rig);
}
END_TEST

/* --- random histories ------------------------------------------------------------------ */

enum { KEYS = 5, ROOMS = 4, STEPS = 400, TIMES = 600 };

struct model {
    series_id id;              /* 0: nobody is called that */
    int room;
    bool has[TIMES];
    double val[TIMES];
};

static void name(char *dst, size_t len, int key, int room)
{
    snprintf(dst, len, "m{__key__=\"k%d\",room=\"r%d\"}", key, room);
}

static void compare(struct db_rig *rig, const struct model *model)
{
    for (int k = 0; k < KEYS; k++) {
        struct points pts = {0};
        char text[64];
        size_t n = 0;
        for (int r = 0; r < ROOMS; r++) {
            name(text, sizeof(text), k, r);
            if (model[k].id && r == model[k].room) continue;
            ck_assert_uint_eq(id_of(rig, text), 0);
        }
        if (!model[k].id) continue;
        name(text, sizeof(text), k, model[k].room);
        ck_assert_uint_eq(id_of(rig, text), model[k].id);
        ck_assert_int_eq(db_rig_read(rig, text, all, &pts, NULL), ST_OK);
        for (int t = 0; t < TIMES; t++) {
            if (!model[k].has[t]) continue;
            ck_assert_msg(n < pts.n && pts.ts[n] == t, "%s: %d is not there", text, t);
            ck_assert(bits_f64(pts.val[n++].bits) == model[k].val[t]);
        }
        ck_assert_uint_eq(pts.n, n);
        points_release(&pts);
    }
}

static void step_put(struct db_rig *rig, struct model *m, int key)
{
    char text[64];
    int room = m->id ? m->room : (int)rng_below(&rig->rng, ROOMS);
    name(text, sizeof(text), key, room);
    int from = (int)rng_below(&rig->rng, TIMES), n = 1 + (int)rng_below(&rig->rng, 60);
    for (int t = from; t < TIMES && t < from + n; t++) {
        double v = (double)rng_below(&rig->rng, 1000);
        status st = db_rig_put(rig, text, t, v);
        if (st == ST_DUPLICATE) continue;
        ck_assert_int_eq(st, ST_OK);
        m->room = room;
        m->id = id_of(rig, text);
        if (!m->has[t]) {
            m->has[t] = true;
            m->val[t] = v;
        }
    }
}

static void step_relabel(struct db_rig *rig, struct model *model, int from)
{
    char old[64], new[64];
    int to = rng_below(&rig->rng, 2) ? from : (int)rng_below(&rig->rng, KEYS);
    int room = (int)rng_below(&rig->rng, ROOMS);
    if (!model[from].id) return;
    name(old, sizeof(old), from, model[from].room);
    name(new, sizeof(new), to, room);
    bool taken = to != from && model[to].id;
    ck_assert_int_eq(relabel(rig, old, new), taken ? ST_EXISTS : ST_OK);
    if (taken) return;
    if (to != from) {
        model[to] = model[from];
        memset(&model[from], 0, sizeof(model[from]));
    }
    model[to].room = room;
}

static void compacted(void *ctx, status st)
{
    *(status *)ctx = st;
}

static void step_other(struct db_rig *rig)
{
    status st = ST_AGAIN;
    switch (rng_below(&rig->rng, 5)) {
    case 0: flush(rig); break;
    case 1:
        db_compact(rig->db, compacted, &st);
        for (int i = 0; i < 1000 && st == ST_AGAIN; i++) tick(rig);
        ck_assert_int_eq(st, ST_OK);
        break;
    case 2: reopen_from_log(rig); break;
    case 3:
        ck_assert_int_eq(db_rig_close(rig), ST_OK);
        verify(rig);
        ck_assert_msg(db_rig_open(rig) == ST_OK, "%s", rig->err.text);
        break;
    default: check(rig); break;
    }
}

START_TEST(test_random_histories)
{
    static struct model model[KEYS];
    struct db_rig rig;
    memset(model, 0, sizeof(model));
    open_rig(&rig);
    rig.options.chunk_points = 128;
    for (int i = 0; i < STEPS; i++) {
        int key = (int)rng_below(&rig.rng, KEYS);
        uint64_t what = rng_below(&rig.rng, 10);
        if (what < 5) step_put(&rig, &model[key], key);
        else if (what < 8) step_relabel(&rig, model, key);
        else step_other(&rig);
        compare(&rig, model);
    }
    close_rig(&rig);
}
END_TEST

Suite *suite_relabel(void)
{
    Suite *s = suite_create("relabel");
    TCase *tc = tcase_create("relabel");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_samples_stay_wherever_they_lie);
    tcase_add_test(tc, test_the_registrys_files_lost);
    tcase_add_test(tc, test_a_taken_name_is_refused);
    tcase_add_test(tc, test_a_view_keeps_the_labels_of_its_pin);
    tcase_add_test(tc, test_random_histories);
    suite_add_tcase(s, tc);
    return s;
}
