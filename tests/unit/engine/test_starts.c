/* Goal: a start timestamp lives and dies with its sample, wherever that lies, and nobody but
 * who asks for it pays or sees anything. Method: a few series written by hand, read through
 * their companions from memory, from a segment, from the log and after merges; then what
 * takes a sample's place, its series' name and its memory. */
#include "base/log.h"
#include "engine/cardinality.h"
#include "engine/db_priv.h"
#include "engine/relabel.h"
#include "tests/lib/db_rig.h"
#include "tests/unit/engine/engine_suites.h"

static const struct time_range all = {TS_MIN, TS_MAX};

static void open_rig(struct db_rig *rig)
{
    log_set_level(LOG_ERROR);
    db_rig_init(rig, 1);
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
    check(rig);
    ck_assert_msg(db_rig_close(rig) == ST_OK, "%s", rig->err.text);
    db_rig_release(rig);
}

static void serve(void *ctx)
{
    exec_sim_drain(ctx);
}

static void reopen(struct db_rig *rig, bool flush)
{
    check(rig);
    if (flush) ck_assert_int_eq(db_rig_close(rig), ST_OK);
    else ck_assert_int_eq(db_close(rig->db, 0, serve, rig->exec, &rig->err), ST_OK);
    exec_sim_drain(rig->exec);
    ck_assert_msg(db_rig_open(rig) == ST_OK, "%s", rig->err.text);
    check(rig);
}

/* One sample; the row's result. */
static status put(struct db_rig *rig, const char *name, ts_time ts, double v, ts_time start,
                  enum dup_policy policy)
{
    struct batch *batch = db_rig_batch(name);
    ck_assert(batch_add_row(batch, 0, ts, (union value){.bits = f64_bits(v)}, 0));
    ck_assert(batch_start_row(batch, start));
    batch->on_dup[0] = (uint8_t)policy;
    batch->deferrable = true;
    db_rig_send(rig, batch);
    status st = (status)batch->result[0];
    batch_free(batch);
    return st;
}

/* "time:start time:start", without those that say nothing. */
static const char *starts_of(struct db_rig *rig, const char *name)
{
    static char text[512];
    struct points pts = {0};
    struct view *view;
    size_t len = 0;
    uint32_t ordinal = db_rig_ordinal(rig, name);
    struct captured at = {.ordinal = ordinal == ORDINAL_NONE
                                         ? ORDINAL_NONE
                                         : registry_starts(db_registry(rig->db), ordinal)};
    text[0] = '\0';
    if (at.ordinal == ORDINAL_NONE) return text;
    ck_assert_int_eq(db_pin(rig->db, &view, &rig->err), ST_OK);
    ck_assert_int_eq(view_capture(view, &at, 1, &rig->err), ST_OK);
    ck_assert_int_eq(view_read(view, &at, all, &pts, NULL, &rig->err), ST_OK);
    db_unpin(rig->db, view);
    for (size_t i = 0; i < pts.n; i++) {
        if ((ts_time)pts.val[i].bits == START_NONE) continue;
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%lld:%lld", len ? " " : "",
                                (long long)pts.ts[i], (long long)pts.val[i].bits);
    }
    points_release(&pts);
    return text;
}

#define STARTS(rig, name, want) ck_assert_str_eq(starts_of(rig, name), want)
#define PUT(rig, name, ts, v, start) \
    ck_assert_int_eq(put(rig, name, ts, v, start, DUP_UNSET), ST_OK)

START_TEST(test_starts_are_where_their_samples_are)
{
    struct db_rig rig;
    struct db_stats stats;
    open_rig(&rig);
    for (int i = 1; i <= 3; i++) PUT(&rig, "a{x=\"1\"}", 1000 * i, i, 500);
    PUT(&rig, "a{x=\"2\"}", 1000, 1, START_NONE);
    STARTS(&rig, "a{x=\"1\"}", "1000:500 2000:500 3000:500");
    db_stats(rig.db, &stats);
    ck_assert(stats.n_starts_stored == 3 && stats.n_rows_stored == 4);
    ck_assert(stats.n_series == 2 && stats.n_series_made == 2);
    reopen(&rig, false); /* from the log */
    STARTS(&rig, "a{x=\"1\"}", "1000:500 2000:500 3000:500");
    PUT(&rig, "a{x=\"1\"}", 4000, 4, 3500); /* it began anew */
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    STARTS(&rig, "a{x=\"1\"}", "1000:500 2000:500 3000:500 4000:3500");
    PUT(&rig, "a{x=\"1\"}", 5000, 5, START_NONE); /* nobody says since when */
    PUT(&rig, "a{x=\"1\"}", 6000, 6, -7);
    reopen(&rig, true); /* from segments and the registry's files */
    STARTS(&rig, "a{x=\"1\"}", "1000:500 2000:500 3000:500 4000:3500 6000:-7");
    STARTS(&rig, "a{x=\"2\"}", "");
    reopen(&rig, true);
    STARTS(&rig, "a{x=\"1\"}", "1000:500 2000:500 3000:500 4000:3500 6000:-7");
    db_stats(rig.db, &stats);
    ck_assert_uint_eq(stats.n_series, 2);
    close_rig(&rig);
}
END_TEST

/* Whoever takes a sample's place brings a start of its own, or none. */
START_TEST(test_starts_go_with_what_takes_their_place)
{
    struct db_rig rig;
    open_rig(&rig);
    for (int i = 1; i <= 4; i++) PUT(&rig, "a", 1000 * i, i, 500);
    if (_i > 0) ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    if (_i > 1) reopen(&rig, _i == 3);
    PUT(&rig, "a", 4000, 40, START_NONE); /* the newest */
    PUT(&rig, "a", 2000, 20, START_NONE); /* a late one */
    PUT(&rig, "a", 3000, 30, 2500);
    PUT(&rig, "a", 2500, 25, START_NONE); /* between them */
    STARTS(&rig, "a", "1000:500 3000:2500");
    PUT(&rig, "a", 3000, 30, 2600); /* the same value again, and it was known better */
    PUT(&rig, "a", 4000, 40, 3900);
    STARTS(&rig, "a", "1000:500 3000:2600 4000:3900");
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    STARTS(&rig, "a", "1000:500 3000:2600 4000:3900");
    reopen(&rig, false);
    STARTS(&rig, "a", "1000:500 3000:2600 4000:3900");
    close_rig(&rig);
}
END_TEST

/* A policy that keeps the older sample keeps its start. */
START_TEST(test_starts_obey_policies)
{
    static const struct {
        enum dup_policy policy;
        double now;
        status want;
        const char *starts;
    } cases[] = {
        {DUP_FIRST, 7, ST_OK, "1000:500"},  {DUP_LAST, 7, ST_OK, "1000:600"},
        {DUP_BLOCK, 7, ST_DUPLICATE, "1000:500"}, {DUP_BLOCK, 5, ST_OK, "1000:500"},
        {DUP_MIN, 7, ST_OK, "1000:500"},    {DUP_MIN, 3, ST_OK, "1000:600"},
        {DUP_MAX, 7, ST_OK, "1000:600"},    {DUP_SUM, 1, ST_OK, "1000:600"},
    };
    struct db_rig rig;
    open_rig(&rig);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char name[16];
        snprintf(name, sizeof(name), "s%zu", i);
        PUT(&rig, name, 1000, 5, 500);
        ck_assert_int_eq(put(&rig, name, 1000, cases[i].now, 600, cases[i].policy), cases[i].want);
        STARTS(&rig, name, cases[i].starts);
    }
    close_rig(&rig);
}
END_TEST

START_TEST(test_starts_die_with_their_samples)
{
    struct db_rig rig;
    struct db_stats stats;
    lsn at;
    open_rig(&rig);
    for (int i = 1; i <= 4; i++) PUT(&rig, "a", 1000 * i, i, 500);
    PUT(&rig, "b", 1000, 1, 500);
    if (_i) ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    uint32_t a = db_rig_ordinal(&rig, "a");
    ck_assert_int_eq(db_delete(rig.db, &a, 1, (struct time_range){2000, 3000}, &at, &rig.err),
                     ST_OK);
    STARTS(&rig, "a", "1000:500 4000:500");
    PUT(&rig, "a", 2000, 2, START_NONE);
    STARTS(&rig, "a", "1000:500 4000:500");
    reopen(&rig, false);
    STARTS(&rig, "a", "1000:500 4000:500");

    a = db_rig_ordinal(&rig, "a");
    ck_assert_int_eq(db_delete(rig.db, &a, 1, all, &at, &rig.err), ST_OK);
    STARTS(&rig, "a", "");
    for (int i = 0; i < 5 && db_rig_ordinal(&rig, "a") != ORDINAL_NONE; i++) {
        ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
        clock_sim_advance_ms(&rig.clock, 1000);
        (void)db_tick(rig.db);
        db_rig_settle(&rig);
    }
    ck_assert_uint_eq(db_rig_ordinal(&rig, "a"), ORDINAL_NONE);
    ck_assert_uint_eq(registry_n_hidden(db_registry(rig.db)), 1); /* that of b */
    db_stats(rig.db, &stats);
    ck_assert(stats.n_series == 1 && stats.n_series_gone == 1);
    PUT(&rig, "a", 1000, 1, START_NONE); /* another one */
    STARTS(&rig, "a", "");
    PUT(&rig, "a", 2000, 1, 900);
    STARTS(&rig, "a", "2000:900");
    STARTS(&rig, "b", "1000:500");
    close_rig(&rig);
}
END_TEST

static void relabelled(struct relabel_op *op)
{
    ck_assert_int_eq(op->st, ST_OK);
}

/* A companion is named after what stays when a series gets other labels. */
START_TEST(test_starts_stay_with_other_labels)
{
    struct db_rig rig;
    uint8_t identity[64];
    struct label b = {SLICE_LIT(LABEL_NAME), SLICE_LIT("b")};
    struct relabel_op op = {.labels = {&b, 1}, .done = relabelled};
    open_rig(&rig);
    PUT(&rig, "a", 1000, 1, 500);
    if (_i) ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    list_init(&op.link);
    op.id = registry_entry(db_registry(rig.db), db_rig_ordinal(&rig, "a"))->id;
    op.identity = slice_of(identity, labels_identity(identity, op.labels));
    db_relabel(rig.db, &op);
    db_rig_settle(&rig);
    PUT(&rig, "b", 2000, 2, 600);
    PUT(&rig, "a", 2000, 2, START_NONE); /* somebody else */
    STARTS(&rig, "b", "1000:500 2000:600");
    STARTS(&rig, "a", "");
    reopen(&rig, _i);
    PUT(&rig, "b", 1000, 3, START_NONE);
    STARTS(&rig, "b", "2000:600");
    STARTS(&rig, "a", "");
    close_rig(&rig);
}
END_TEST

/* Its limit counts series that somebody sees; a key's retention counts from its newest
 * sample, which a companion does not know. */
START_TEST(test_starts_need_no_leave)
{
    struct db_rig rig;
    struct db_stats stats;
    log_set_level(LOG_ERROR);
    db_rig_init(&rig, 1);
    rig.options.cardinality_limit = 2;
    ck_assert_int_eq(db_rig_open(&rig), ST_OK);
    PUT(&rig, "a", 1000, 1, 500);
    PUT(&rig, "x{__key__=\"k\"}", 1000, 1, 500);
    ck_assert_int_eq(put(&rig, "c", 1000, 1, 500, DUP_UNSET), ST_CARDINALITY);
    STARTS(&rig, "a", "1000:500");
    STARTS(&rig, "x{__key__=\"k\"}", "");
    db_stats(rig.db, &stats);
    ck_assert(stats.n_series == 2 && stats.n_starts_stored == 1 && stats.n_starts_dropped == 1);

    struct cardinality card;
    struct arena arena;
    arena_init(&arena, NULL, 4096);
    ck_assert_int_eq(db_cardinality(rig.db, 10, NULL, &arena, &card), ST_OK);
    ck_assert_uint_eq(card.n_series, 2);
    for (size_t i = 0; i < card.values_by_name.n; i++)
        ck_assert(!slice_is(card.values_by_name.ptr[i].name, LABEL_STARTS));
    arena_release(&arena);
    close_rig(&rig);
}
END_TEST

/* A request of many rows, each with a start: slices, births of companions, one answer. */
START_TEST(test_starts_of_a_large_request)
{
    enum { N = 1000 };
    static char names[N][16];
    struct db_rig rig;
    struct db_stats stats;
    open_rig(&rig);
    for (int round = 1; round <= 3; round++) {
        struct batch *batch = db_rig_batch(NULL);
        for (int i = 0; i < N; i++) {
            snprintf(names[i], sizeof(names[i]), "m%d", i);
            size_t at = (size_t)db_rig_add_series(batch, names[i]);
            union value val = {.bits = f64_bits(i)};
            ck_assert(batch_add_row(batch, at, 1000 * round, val, 0));
            ck_assert(batch_start_row(batch, i % 3 == round % 3 ? START_NONE : 7));
        }
        db_rig_send(&rig, batch);
        ck_assert(batch->n_stored == N && batch->n_refused == 0);
        batch_free(batch);
    }
    db_stats(rig.db, &stats);
    ck_assert(stats.n_series == N && stats.n_starts_stored == 2 * N && stats.n_starts_dropped == 0);
    for (int again = 0; again < 2; again++) {
        STARTS(&rig, "m0", "1000:7 2000:7");
        STARTS(&rig, "m1", "2000:7 3000:7");
        STARTS(&rig, "m998", "1000:7 3000:7");
        reopen(&rig, again);
    }
    close_rig(&rig);
}
END_TEST

Suite *suite_starts(void)
{
    Suite *suite = suite_create("starts");
    TCase *tc = tcase_create("starts");
    tcase_add_test(tc, test_starts_are_where_their_samples_are);
    tcase_add_loop_test(tc, test_starts_go_with_what_takes_their_place, 0, 4);
    tcase_add_test(tc, test_starts_obey_policies);
    tcase_add_loop_test(tc, test_starts_die_with_their_samples, 0, 2);
    tcase_add_loop_test(tc, test_starts_stay_with_other_labels, 0, 2);
    tcase_add_test(tc, test_starts_need_no_leave);
    tcase_add_test(tc, test_starts_of_a_large_request);
    suite_add_tcase(suite, tc);
    return suite;
}
