/* Goal: a reader of columns gives what read() gives, sample for sample, and the same number
 * to times that are the same. Method: random writes (series that are scraped together and
 * alone, gaps, late samples, stale markers, whole numbers), flushes, merges and deletes; then
 * both ways over random ranges, in and out of order. */
#include "base/panic.h"
#include "query/querier_local.h"
#include "tests/lib/db_rig.h"
#include "tests/unit/query/query_suites.h"

enum { N_SERIES = 12, PER_TARGET = 4, ROUNDS = 40, STEP = 1000 };

struct trial {
    struct db_rig rig;
    struct querier *querier;
    struct rng rng;
    char names[N_SERIES][32];
    ts_time now;
    size_t n_shared;
};

static uint64_t chance(struct trial *t, uint64_t n)
{
    return rng_below(&t->rng, n);
}

static union value draw_value(struct trial *t, size_t series)
{
    if (series % PER_TARGET == 3) return (union value){.bits = chance(t, 1 << 20)};
    if (chance(t, 50) == 0) return (union value){.bits = VALUE_STALE_BITS};
    if (chance(t, 100) == 0) return (union value){.bits = VALUE_NAN_BITS};
    return (union value){.f64 = (double)chance(t, 1000) / 8};
}

/* One scrape: a time a target, and a series now and then at its own. */
static void scrape(struct trial *t)
{
    struct batch *batch = db_rig_batch(NULL);
    ts_time ts = 0;

    t->now += STEP;
    for (size_t i = 0; i < N_SERIES; i++) {
        if (i % PER_TARGET == 0) ts = t->now + (i == 0 ? 0 : (ts_time)chance(t, 9));
        bool steady = i < PER_TARGET; /* what the first target has is shared */
        if (!steady && chance(t, 60) == 0) continue;
        int64_t idx = db_rig_add_series(batch, t->names[i]);
        if (i % PER_TARGET == 3) batch->series[idx].type = VALUE_I64;
        ts_time own = i == N_SERIES - 1 ? t->now + (ts_time)chance(t, 400) : ts;
        if (!steady && chance(t, 80) == 0) own -= (ts_time)chance(t, 90) * STEP;
        ck_assert(batch_add_row(batch, (size_t)idx, own, draw_value(t, i), 0));
    }
    db_rig_send(&t->rig, batch);
    batch_free(batch);
    clock_sim_advance_ms(&t->rig.clock, STEP);
}

static void note_done(void *ctx, status st)
{
    ck_assert_int_eq(st, ST_OK);
    *(bool *)ctx = true;
}

static void merge(struct trial *t)
{
    bool done = false;
    db_compact(t->rig.db, note_done, &done);
    for (int i = 0; !done; i++) {
        ck_assert_int_lt(i, 100000);
        clock_sim_advance_ms(&t->rig.clock, 1);
        db_rig_settle(&t->rig);
    }
}

static struct time_range draw_range(struct trial *t)
{
    ts_time from = t->now - (ts_time)chance(t, 900) * STEP - (ts_time)chance(t, STEP);
    return (struct time_range){from, from + (ts_time)chance(t, 700) * STEP};
}

static void erase(struct trial *t)
{
    uint32_t ordinal = db_rig_ordinal(&t->rig, t->names[chance(t, N_SERIES)]);
    struct time_range range = draw_range(t);
    lsn at;
    if (ordinal == ORDINAL_NONE) return;
    range.to = range.from + (range.to - range.from) / 8;
    ck_assert_int_eq(db_delete(t->rig.db, &ordinal, 1, range, &at, &t->rig.err), ST_OK);
    db_rig_settle(&t->rig);
}

static void compare(const struct sample_span *span, const struct points *pts,
                    enum value_type type)
{
    bool nan = false;
    ck_assert_uint_eq(span->n, pts->n);
    for (size_t k = 0; k < pts->n; k++) {
        double want = value_to_f64(type, pts->val[k]);
        ck_assert_int_eq(span->ts[k], pts->ts[k]);
        ck_assert_mem_eq(&span->val[k], &want, sizeof(want));
        nan = nan || want != want;
    }
    ck_assert_int_eq(span->may_be_nan, nan);
    if (span->n) ck_assert_uint_ne(span->times, 0);
}

static void check_set(struct trial *t, struct series_set *set, struct query_budget *budget)
{
    struct series_reader *reader;
    struct sample_span span;
    struct points pts = {0};
    uint64_t times[N_SERIES] = {0};
    struct err err = {.st = ST_OK};

    ck_assert_int_eq(set->ops->open_reader(set, budget, &reader, &err), ST_OK);
    for (size_t pass = 0; pass < 2; pass++) {
        for (size_t k = 0; k < set->n; k++) {
            size_t i = pass ? (size_t)chance(t, set->n) : k;
            pts.n = 0;
            ck_assert_int_eq(series_read(set, i, &pts, &err), ST_OK);
            ck_assert_msg(series_reader_read(reader, i, &span, &err) == ST_OK, "%s", err.text);
            compare(&span, &pts, set->types[i]);
            for (size_t o = 0; o < i && pass == 0; o++) {
                t->n_shared += span.n && times[o] == span.times;
            }
            times[i] = span.times;
        }
    }
    series_reader_close(reader);
    points_release(&pts);
}

/* A reader that is told its series beforehand reads the same. */
static void check_bounded(struct trial *t, struct series_set *set, struct query_budget *budget)
{
    struct series_reader *reader;
    struct sample_span span;
    struct points pts = {0};
    struct err err = {.st = ST_OK};
    if (set->n == 0) return;
    size_t from = (size_t)chance(t, set->n), to = from + 1 + (size_t)chance(t, set->n - from);

    ck_assert_int_eq(set->ops->open_reader(set, budget, &reader, &err), ST_OK);
    reader->ops->bound(reader, from, to);
    for (size_t i = from; i < to; i++) {
        pts.n = 0;
        ck_assert_int_eq(series_read(set, i, &pts, &err), ST_OK);
        ck_assert_msg(series_reader_read(reader, i, &span, &err) == ST_OK, "%s", err.text);
        compare(&span, &pts, set->types[i]);
    }
    series_reader_close(reader);
    points_release(&pts);
}

/* Who asks for labels alone gets every series that has samples in the range; bounds may make
 * it a few more, but none where nothing is stored. */
static void check_labels_only(struct trial *t, struct time_range range)
{
    struct query_budget budget = {0};
    struct series_set *sets[3];
    struct fetch *fetch;
    struct points pts = {0};
    struct err err = {.st = ST_OK};
    struct select selects[] = {
        {.range = range},
        {.range = range, .hint = {.labels_only = true}},
        {.range = {t->now + 1000 * STEP, t->now + 2000 * STEP}, .hint = {.labels_only = true}}};

    status st = querier_fetch(t->querier, &fetch, sets, selects, 3, SLICE_LIT(""), &budget, &err);
    ck_assert_msg(st == ST_OK, "%s", err.text);
    ck_assert_uint_eq(sets[2]->n, 0);
    for (size_t i = 0, k = 0; i < sets[0]->n; i++) {
        pts.n = 0;
        ck_assert_int_eq(series_read(sets[0], i, &pts, &err), ST_OK);
        bool listed = k < sets[1]->n && labels_eq(sets[0]->labels[i], sets[1]->labels[k]);
        ck_assert_msg(listed || pts.n == 0, "series %zu has samples and is left out", i);
        k += listed;
    }
    points_release(&pts);
    querier_done(t->querier, fetch);
}

static void check_all(struct trial *t)
{
    struct query_budget budget = {0};
    struct series_set *set;
    struct fetch *fetch;
    struct err err = {.st = ST_OK};
    struct select select = {.range = draw_range(t)};

    if (chance(t, 5) == 0) select.range = (struct time_range){TS_MIN, TS_MAX};
    status st = querier_fetch(t->querier, &fetch, &set, &select, 1, SLICE_LIT(""), &budget, &err);
    ck_assert_msg(st == ST_OK, "%s", err.text);
    check_set(t, set, &budget);
    check_bounded(t, set, &budget);
    querier_done(t->querier, fetch);
    check_labels_only(t, select.range);
    db_rig_settle(&t->rig);
}

static void trial_init(struct trial *t, uint64_t seed)
{
    memset(t, 0, sizeof(*t));
    db_rig_init(&t->rig, seed);
    rng_init(&t->rng, seed);
    t->rig.options.chunk_points = 64;
    for (size_t i = 0; i < N_SERIES; i++) {
        snprintf(t->names[i], sizeof(t->names[i]), "m{i=\"%zu\"}", i);
    }
    ck_assert_int_eq(db_rig_open(&t->rig), ST_OK);
    t->querier = querier_local_new(t->rig.db, NULL);
    t->now = clock_wall(&t->rig.clock.clock);
}

START_TEST(test_reader_reads_as_read_does)
{
    struct trial t;
    trial_init(&t, unit_seed() + (uint64_t)_i);
    bool deletes = _i % 3 == 2;

    for (size_t round = 0; round < ROUNDS; round++) {
        for (uint64_t i = chance(&t, 60); i > 0; i--) scrape(&t);
        if (chance(&t, 4) == 0) ck_assert_int_eq(db_rig_flush(&t.rig), ST_OK);
        if (chance(&t, 10) == 0) merge(&t);
        if (deletes && chance(&t, 4) == 0) erase(&t);
        check_all(&t);
    }
    ck_assert_uint_gt(t.n_shared, 100);
    querier_local_free(t.querier);
    ck_assert_int_eq(db_rig_close(&t.rig), ST_OK);
    db_rig_release(&t.rig);
}
END_TEST

Suite *suite_series_reader(void)
{
    Suite *s = suite_create("series_reader");
    TCase *tc = tcase_create("series_reader");

    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_reader_reads_as_read_does, 0, 6);
    suite_add_tcase(s, tc);
    return s;
}
