/* Goal: a batch that needs older values is applied whole, after its look-up, as if its rows
 * had come one by one; faster writers cannot keep it from its turn, and do not wait for it
 * without need. Method: the same random rows as batches into one database and one by one
 * into another; single situations driven step by step. Beside that, what came in is stored,
 * a duplicate, ignored or refused for a reason, row by row (reliability.md L1). */
#include "base/log.h"
#include "engine/db_priv.h"
#include "engine/write_priv.h"
#include "tests/lib/db_rig.h"
#include "tests/unit/engine/engine_suites.h"

enum { SERIES = 4, TIMES = 12 };

static const struct time_range all = {TS_MIN, TS_MAX};
static bool is_done[8];

static union value f64(double v)
{
    return (union value){.bits = f64_bits(v)};
}

static void open_rig(struct db_rig *rig, uint64_t seed)
{
    log_set_level(LOG_ERROR);
    db_rig_init(rig, seed);
    rig->options.chunk_points = 64;
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

static void restart(struct db_rig *rig)
{
    ck_assert_msg(db_rig_close(rig) == ST_OK, "%s", rig->err.text);
    ck_assert_msg(db_rig_open(rig) == ST_OK, "%s", rig->err.text);
}

/* --- batches against single rows ----------------------------------------------------- */

static const struct {
    const char *name;
    enum value_type type;
    struct series_attrs attrs;
} series[SERIES] = {
    {"a", VALUE_F64, {.policy = DUP_SUM}},
    {"k{__key__=\"k\"}", VALUE_F64, {.policy = DUP_BLOCK, .retention_ms = 8}},
    {"l", VALUE_F64, {.policy = DUP_LAST}},
    {"b", VALUE_BYTES, {.policy = DUP_FIRST}},
};
static struct slice words[] = {{"one", 3}, {"two", 3}, {"three", 5}};

struct one_row {
    int series;
    ts_time ts;
    int value;
    enum dup_policy on_dup;
};

static void add_row(struct batch *batch, const struct one_row *row)
{
    int64_t at = db_rig_add_series(batch, series[row->series].name);
    size_t idx = batch->n_rows;
    batch->series[at].type = series[row->series].type;
    batch->series[at].name->attrs = &series[row->series].attrs;
    union value val = series[row->series].type == VALUE_BYTES
                          ? (union value){.bytes = &words[row->value]}
                          : f64(row->value);
    ck_assert(batch_add_row(batch, (size_t)at, row->ts, val, 0));
    batch->on_dup[idx] = (uint8_t)row->on_dup;
}

static void draw_row(struct rng *rng, struct one_row *row)
{
    static const enum dup_policy dups[] = {DUP_UNSET, DUP_UNSET, DUP_UNSET, DUP_LAST,
                                           DUP_MAX,   DUP_FIRST, DUP_BLOCK};
    row->series = (int)rng_below(rng, SERIES);
    row->ts = 1000 + (ts_time)rng_below(rng, TIMES);
    row->value = (int)rng_below(rng, 3);
    row->on_dup = dups[rng_below(rng, ARRAY_LEN(dups))];
}

static void expect_same(struct db_rig *x, struct db_rig *y, uint64_t seed, const char *when)
{
    struct arena arena;
    arena_init(&arena, NULL, 4096);
    for (int s = 0; s < SERIES; s++) {
        struct points p = {0}, q = {0};
        status st = db_rig_read(x, series[s].name, all, &p, &arena);
        ck_assert_int_eq(st, db_rig_read(y, series[s].name, all, &q, &arena));
        ck_assert_msg(p.n == q.n, "seed %llu, %s, %s: %zu samples, %zu one by one",
                      (unsigned long long)seed, when, series[s].name, p.n, q.n);
        for (size_t i = 0; i < p.n; i++) {
            bool same = series[s].type == VALUE_BYTES
                            ? slice_eq(*p.val[i].bytes, *q.val[i].bytes)
                            : p.val[i].bits == q.val[i].bits;
            ck_assert_msg(same && p.ts[i] == q.ts[i], "seed %llu, %s, %s at %lld",
                          (unsigned long long)seed, when, series[s].name, (long long)p.ts[i]);
        }
        points_release(&p);
        points_release(&q);
    }
    arena_release(&arena);
}

static void expect_balance(struct db_rig *rig, uint64_t seed)
{
    struct db_stats stats;
    uint64_t refused = 0;
    db_stats(rig->db, &stats);
    for (size_t i = 0; i < ARRAY_LEN(stats.refused_by); i++) refused += stats.refused_by[i];
    ck_assert_uint_eq(refused, stats.n_rows_refused);
    ck_assert_msg(stats.n_rows == stats.n_rows_stored + stats.n_rows_duplicate +
                                      stats.n_rows_ignored + stats.n_rows_refused,
                  "seed %llu: %llu rows, %llu stored, %llu duplicate, %llu ignored, %llu refused",
                  (unsigned long long)seed, (unsigned long long)stats.n_rows,
                  (unsigned long long)stats.n_rows_stored,
                  (unsigned long long)stats.n_rows_duplicate,
                  (unsigned long long)stats.n_rows_ignored,
                  (unsigned long long)stats.n_rows_refused);
}

START_TEST(test_a_batch_is_its_rows_one_by_one)
{
    uint64_t seed = (uint64_t)_i + 100;
    struct db_rig whole, single;
    struct rng rng;
    open_rig(&whole, seed);
    open_rig(&single, seed);
    rng_init(&rng, seed);
    bool strict = _i % 2;
    for (int round = 0; round < 40; round++) {
        struct one_row rows[16];
        size_t n = 1 + rng_below(&rng, ARRAY_LEN(rows));
        struct batch *batch = db_rig_batch(NULL);
        batch->want_applied = strict;
        for (size_t i = 0; i < n; i++) {
            draw_row(&rng, &rows[i]);
            add_row(batch, &rows[i]);
        }
        db_rig_send(&whole, batch);
        for (size_t i = 0; i < n; i++) {
            struct batch *one = db_rig_batch(NULL);
            one->want_applied = strict;
            add_row(one, &rows[i]);
            db_rig_send(&single, one);
            ck_assert_msg(one->result[0] == batch->result[i], "seed %llu, round %d, row %zu, %s "
                          "%d at %lld, policy %d: %s, one by one %s", (unsigned long long)seed,
                          round, i, series[rows[i].series].name, rows[i].value,
                          (long long)rows[i].ts, (int)rows[i].on_dup,
                          status_text((status)batch->result[i]),
                          status_text((status)one->result[0]));
            if (strict && one->result[0] == ST_OK)
                ck_assert_int_eq(one->applied_ts[0], batch->applied_ts[i]);
            batch_free(one);
        }
        batch_free(batch);
        expect_balance(&whole, seed);
        expect_balance(&single, seed);
        unsigned what = (unsigned)rng_below(&rng, 8);
        if (what == 0) ck_assert_int_eq(db_rig_flush(&whole), ST_OK);
        if (what == 1) ck_assert_int_eq(db_rig_flush(&single), ST_OK);
        if (what == 2) restart(&whole);
        if (what == 3) restart(&single);
        expect_same(&whole, &single, seed, "at once");
    }
    restart(&whole);
    expect_same(&whole, &single, seed, "after a restart");
    close_rig(&whole);
    close_rig(&single);
}
END_TEST

/* --- step by step ---------------------------------------------------------------------- */

static const struct series_attrs block = {.policy = DUP_BLOCK};

/* A series under `block` whose ten samples lie in a segment. */
static void make_old(struct db_rig *rig, const char *name)
{
    for (int i = 0; i < 10; i++) {
        struct batch *batch = db_rig_batch(name);
        batch->series[0].name->attrs = &block;
        ck_assert(batch_add_row(batch, 0, i * 10, f64(i), 0));
        db_rig_send(rig, batch);
        batch_free(batch);
    }
}

static struct batch *start(struct db_rig *rig, const char *name, ts_time ts, int k)
{
    struct batch *batch = db_rig_batch(name);
    ck_assert(batch_add_row(batch, 0, ts, f64(k), 0));
    batch->done = db_rig_done;
    batch->ctx = &is_done[k];
    batch->deferrable = true;
    is_done[k] = false;
    sink_write(db_sink(rig->db), batch);
    return batch;
}

static size_t count_of(struct db_rig *rig, const char *name)
{
    struct points pts = {0};
    ck_assert_int_eq(db_rig_read(rig, name, all, &pts, NULL), ST_OK);
    size_t n = pts.n;
    points_release(&pts);
    return n;
}

static uint64_t frames(struct db_rig *rig)
{
    struct db_stats stats;
    db_stats(rig->db, &stats);
    return stats.wal_frames;
}

/* Rows that need nothing stand beside rows that need a look-up: before it the log has
 * nothing of the batch, afterwards one run. */
START_TEST(test_nothing_is_logged_before_the_look_up)
{
    struct db_rig rig;
    open_rig(&rig, 1);
    make_old(&rig, "m");
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    uint64_t before = frames(&rig);
    struct batch *batch = db_rig_batch("fresh");
    (void)db_rig_add_series(batch, "m");
    ck_assert(batch_add_row(batch, 0, 1, f64(1), 0));
    ck_assert(batch_add_row(batch, 1, 100, f64(1), 0));
    ck_assert(batch_add_row(batch, 1, 55, f64(1), 0));
    ck_assert(batch_add_row(batch, 1, 50, f64(1), 0)); /* taken: refused */
    batch->done = db_rig_done;
    batch->ctx = &is_done[0];
    batch->deferrable = true;
    is_done[0] = false;
    sink_write(db_sink(rig.db), batch);
    ck_assert(!is_done[0]);
    ck_assert_uint_eq(frames(&rig), before);
    ck_assert_uint_eq(db_rig_ordinal(&rig, "fresh"), ORDINAL_NONE);
    ck_assert_uint_eq(batch->n_stored, 0);

    struct batch *other = start(&rig, "other", 5, 1); /* goes on meanwhile */
    ck_assert(is_done[1]);
    ck_assert_uint_eq(frames(&rig), before + 2);
    batch_free(other);

    db_rig_settle(&rig);
    ck_assert(is_done[0]);
    ck_assert_uint_eq(frames(&rig), before + 4); /* a definition and all samples */
    ck_assert_uint_eq(batch->n_stored, 3);
    ck_assert_int_eq(batch->result[3], ST_DUPLICATE);
    batch_free(batch);
    ck_assert_uint_eq(count_of(&rig, "m"), 12);
    close_rig(&rig);
}
END_TEST

/* Someone writes to the series between every two turns of the owner: the look-up is stale
 * each time, until the batch holds the series and the writer waits. */
START_TEST(test_faster_writers_cannot_starve_a_batch)
{
    struct db_rig rig;
    open_rig(&rig, 2);
    make_old(&rig, "m");
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    struct batch *slow = start(&rig, "m", 55, 0);
    int turns = 0;
    for (ts_time ts = 1000; !is_done[0]; turns++) {
        ck_assert_int_lt(turns, 400);
        struct batch *fast = start(&rig, "m", ts++, 1);
        bool free_now = is_done[1];
        if (!exec_sim_step(rig.exec)) ck_assert(is_done[0]);
        while (!is_done[1]) ck_assert(exec_sim_step(rig.exec));
        ck_assert(free_now || fast->result[0] == ST_OK);
        batch_free(fast);
    }
    ck_assert_int_eq(slow->result[0], ST_OK);
    ck_assert(!rig.db->cell.holder);
    batch_free(slow);
    ck_assert_uint_eq(count_of(&rig, "m"), 10 + 1 + (size_t)turns);
    close_rig(&rig);
}
END_TEST

/* Two batches that look at each other's series, with a writer for both: each gets through,
 * and what waited is applied in the order in which it came. */
START_TEST(test_holders_do_not_lock_each_other_out)
{
    struct db_rig rig;
    open_rig(&rig, 3);
    make_old(&rig, "m");
    make_old(&rig, "n");
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    struct batch *slow[2];
    for (int k = 0; k < 2; k++) {
        slow[k] = db_rig_batch(k ? "n" : "m");
        (void)db_rig_add_series(slow[k], k ? "m" : "n");
        ck_assert(batch_add_row(slow[k], 0, 55 + k, f64(k), 0));
        ck_assert(batch_add_row(slow[k], 1, 55 + k, f64(k), 0));
        slow[k]->done = db_rig_done;
        slow[k]->ctx = &is_done[k];
        slow[k]->deferrable = true;
        is_done[k] = false;
        sink_write(db_sink(rig.db), slow[k]);
    }
    size_t n_fast = 0;
    for (ts_time ts = 1000; !is_done[0] || !is_done[1]; ts++) {
        ck_assert_int_lt(ts, 1400);
        struct batch *fast = start(&rig, ts % 2 ? "m" : "n", ts, 2);
        (void)exec_sim_step(rig.exec);
        while (!is_done[2]) ck_assert(exec_sim_step(rig.exec));
        ck_assert_int_eq(fast->result[0], ST_OK);
        batch_free(fast);
        n_fast++;
    }
    for (int k = 0; k < 2; k++) {
        ck_assert_uint_eq(slow[k]->n_stored, 2);
        batch_free(slow[k]);
    }
    ck_assert_uint_eq(count_of(&rig, "m") + count_of(&rig, "n"), 20 + 4 + n_fast);
    close_rig(&rig);
}
END_TEST

/* A delete between look-up and application makes the look-up void. */
START_TEST(test_a_delete_voids_a_look_up)
{
    struct db_rig rig;
    lsn at;
    open_rig(&rig, 4);
    make_old(&rig, "m");
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    struct batch *batch = start(&rig, "m", 50, 0);
    uint32_t ordinal = db_rig_ordinal(&rig, "m");
    for (int i = 0; i < 2 && !is_done[0]; i++) (void)exec_sim_step(rig.exec);
    ck_assert(!is_done[0]);
    ck_assert_int_eq(db_delete(rig.db, &ordinal, 1, (struct time_range){50, 50}, &at, &rig.err),
                     ST_OK);
    db_rig_settle(&rig);
    ck_assert(is_done[0]);
    ck_assert_int_eq(batch->result[0], ST_OK); /* nothing is there any more */
    batch_free(batch);
    ck_assert_uint_eq(count_of(&rig, "m"), 10);
    close_rig(&rig);
}
END_TEST

Suite *suite_write_defer(void)
{
    Suite *s = suite_create("write_defer");
    TCase *tc = tcase_create("write_defer");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, test_a_batch_is_its_rows_one_by_one, 0, 10);
    tcase_add_test(tc, test_nothing_is_logged_before_the_look_up);
    tcase_add_test(tc, test_faster_writers_cannot_starve_a_batch);
    tcase_add_test(tc, test_holders_do_not_lock_each_other_out);
    tcase_add_test(tc, test_a_delete_voids_a_look_up);
    suite_add_tcase(s, tc);
    return s;
}
