/* Goal: what becomes of a row is what its policy says, wherever the older value lies; a
 * batch is seen whole or not at all; what cannot be taken is refused, row by row, and
 * accepted later. Method: for each place in which an older value can lie, a series for
 * each policy, wording and value, decided against a rule of ten lines, before and after
 * a restart; then single situations. */
#include <math.h>

#include "base/log.h"
#include "engine/db_priv.h"
#include "model/histogram.h"
#include "tests/lib/db_rig.h"
#include "tests/unit/engine/engine_suites.h"

static const struct time_range all = {TS_MIN, TS_MAX};

static union value f64(double v)
{
    return (union value){.bits = f64_bits(v)};
}

static bool is_done[3];

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

/* The value at ts, or NaN with *found false. */
static double value_at(struct db_rig *rig, const char *series, ts_time ts, bool *found)
{
    struct points pts = {0};
    ck_assert_msg(db_rig_read(rig, series, all, &pts, NULL) == ST_OK, "%s", rig->err.text);
    size_t at = points_seek(&pts, ts);
    *found = at < pts.n && pts.ts[at] == ts;
    double v = *found ? bits_f64(pts.val[at].bits) : NAN;
    points_release(&pts);
    return v;
}

/* --- policies ---------------------------------------------------------------------- */

/* Where the older value lies: how many samples come before the row, which of them is
 * hit, and what happens in between. */
static const struct place {
    const char *name;
    int n, at;                 /* samples at 0, 10, 20...; the one that is hit, -1: none */
    bool flush, restart;
    int after;                 /* late samples put at 5, 15... after that */
} places[] = {
    {"the head line", 5, 4, false, false, 0},
    {"the tail", 5, 2, false, false, 0},
    {"the late lane", 5, -2, false, false, 3},
    {"a run", 60, 20, false, false, 0},
    {"a chunk", 400, 20, false, false, 0},
    {"a segment", 30, 10, true, false, 2},
    {"the end of a segment", 30, 29, true, false, 0},
    {"a segment, after a restart", 30, 10, true, true, 0},
    {"the end of a segment, after a restart", 30, 29, true, true, 0},
    {"the end of a segment, after a restart and a late sample", 30, 29, true, true, 2},
    {"nowhere, in memory", 5, -1, false, false, 0},
    {"nowhere, after a restart", 30, -1, true, true, 0},
};

static const enum dup_policy policies[] = {DUP_BLOCK, DUP_FIRST, DUP_LAST,
                                           DUP_MIN,   DUP_MAX,   DUP_SUM};
static const struct values {
    const char *name;
    double old, now;
} values[] = {
    {"smaller", 7, 3}, {"larger", 7, 11}, {"equal", 7, 7},
    {"a NaN over a number", 7, NAN}, {"a number over NaN", NAN, 7}, {"NaN over NaN", NAN, NAN},
};

/* One series of a place: its name says which. */
struct cell_case {
    enum dup_policy policy;
    const struct values *values;
    bool strict;
    char name[32];
};

/* The rule. False: refused. */
static bool rule(const struct cell_case *c, double *v)
{
    double old = c->values->old, now = c->values->now;
    bool pick = c->policy == DUP_FIRST || c->policy == DUP_LAST;
    bool same = f64_bits(old) == f64_bits(now);
    *v = old;
    if (c->policy == DUP_BLOCK) return same && !c->strict;
    if (c->strict && isnan(old) != isnan(now)) {
        if (pick) *v = isnan(old) ? now : old;
        return pick;
    }
    switch (c->policy) {
    case DUP_LAST: *v = now; break;
    case DUP_MIN: *v = now < old ? now : old; break;
    case DUP_MAX: *v = now > old ? now : old; break;
    case DUP_SUM: *v = old + now; break;
    case DUP_UNSET:
    case DUP_BLOCK:
    case DUP_INCREMENT:
    case DUP_FIRST: break;
    }
    return true;
}

static void put_row(struct db_rig *rig, const struct cell_case *c, ts_time ts, double v,
                    bool strict, enum dup_policy on_dup, status want, const char *what)
{
    struct batch *batch = db_rig_batch(c->name);
    struct series_attrs attrs = {.policy = c->policy};
    batch->want_applied = strict;
    batch->series[0].name->attrs = &attrs;
    ck_assert(batch_add_row(batch, 0, ts, f64(v), 0));
    batch->on_dup[0] = (uint8_t)on_dup;
    db_rig_send(rig, batch);
    ck_assert_msg(batch->result[0] == want, "%s, %s: %s, not %s", what, c->name,
                  status_text((status)batch->result[0]), status_text(want));
    if (strict && want == ST_OK) ck_assert_int_eq(batch->applied_ts[0], ts);
    batch_free(batch);
}

static ts_time target(const struct place *p)
{
    return p->at >= 0 ? p->at * 10 : p->at == -2 ? 15 : 7;
}

static void prepare(struct db_rig *rig, const struct place *p, const struct cell_case *c)
{
    for (int i = 0; i < p->n; i++)
        put_row(rig, c, i * 10, i == p->at ? c->values->old : i, false, DUP_LAST, ST_OK, p->name);
}

static void put_late(struct db_rig *rig, const struct place *p, const struct cell_case *c)
{
    for (int i = 0; i < p->after; i++)
        put_row(rig, c, i * 10 + 5, p->at == -2 && i == 1 ? c->values->old : i, false, DUP_LAST,
                ST_OK, p->name);
}

static size_t make_cases(struct cell_case *cases)
{
    size_t n = 0;
    for (size_t p = 0; p < ARRAY_LEN(policies); p++)
        for (size_t v = 0; v < ARRAY_LEN(values); v++)
            for (int strict = 0; strict < 2; strict++, n++) {
                cases[n] = (struct cell_case){policies[p], &values[v], strict != 0, ""};
                snprintf(cases[n].name, sizeof(cases[n].name), "m{p=\"%d\",v=\"%d\",s=\"%d\"}",
                         (int)policies[p], (int)v, strict);
            }
    return n;
}

static void expect_cases(struct db_rig *rig, const struct place *p, const struct cell_case *cases,
                         size_t n, const char *when)
{
    for (size_t i = 0; i < n; i++) {
        bool found;
        double want = cases[i].values->now, v = value_at(rig, cases[i].name, target(p), &found);
        if (p->at != -1) (void)rule(&cases[i], &want);
        ck_assert_msg(found && (v == want || (isnan(v) && isnan(want))),
                      "%s, %s, %s, %s: %g, not %g", p->name, cases[i].name,
                      cases[i].values->name, when, v, want);
    }
}

START_TEST(test_policies)
{
    const struct place *p = &places[_i];
    static struct cell_case cases[ARRAY_LEN(policies) * ARRAY_LEN(values) * 2];
    size_t n = make_cases(cases);
    struct db_rig rig;
    open_rig(&rig, 10);
    for (size_t i = 0; i < n; i++) prepare(&rig, p, &cases[i]);
    if (p->flush) ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    if (p->restart) restart(&rig);
    for (size_t i = 0; i < n; i++) put_late(&rig, p, &cases[i]);
    for (size_t i = 0; i < n; i++) {
        double v;
        status want = p->at == -1 || rule(&cases[i], &v) ? ST_OK : ST_DUPLICATE;
        /* IGNORE 0 0: the newest sample once more is a no-op. */
        bool again = p->at == p->n - 1 && cases[i].values->old == cases[i].values->now;
        if (again && cases[i].strict && cases[i].policy == DUP_LAST) want = ST_IGNORED;
        put_row(&rig, &cases[i], target(p), cases[i].values->now, cases[i].strict, DUP_UNSET,
                want, p->name);
    }
    expect_cases(&rig, p, cases, n, "at once");
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    expect_cases(&rig, p, cases, n, "flushed");
    restart(&rig);
    expect_cases(&rig, p, cases, n, "after a restart");
    close_rig(&rig);
}
END_TEST

START_TEST(test_a_row_may_bring_its_own_policy)
{
    struct cell_case c = {.policy = DUP_BLOCK, .name = "m"};
    struct db_rig rig;
    bool found;
    open_rig(&rig, 11);
    put_row(&rig, &c, 10, 1, false, DUP_UNSET, ST_OK, "first");
    put_row(&rig, &c, 10, 2, false, DUP_UNSET, ST_DUPLICATE, "block");
    put_row(&rig, &c, 10, 2, false, DUP_SUM, ST_OK, "on duplicate sum");
    ck_assert(value_at(&rig, "m", 10, &found) == 3);
    close_rig(&rig);
}
END_TEST

/* A chain of rows of one batch at one timestamp, all of which need a look-up: each sees
 * the one before. */
START_TEST(test_rows_of_one_batch_see_each_other)
{
    struct series_attrs attrs = {.policy = DUP_SUM};
    struct db_rig rig;
    bool found;
    open_rig(&rig, 12);
    for (int round = 0; round < 2; round++) {
        struct batch *batch = db_rig_batch("m");
        batch->series[0].name->attrs = &attrs;
        for (int i = 0; i < 4; i++) ck_assert(batch_add_row(batch, 0, 10, f64(1), 0));
        ck_assert(batch_add_row(batch, 0, 20, f64(5), 0));
        ck_assert(batch_add_row(batch, 0, 10, f64(1), 0)); /* late now: deferred */
        ck_assert(batch_add_row(batch, 0, 10, f64(1), 0));
        db_rig_send(&rig, batch);
        ck_assert_uint_eq(batch->n_refused, 0);
        batch_free(batch);
        ck_assert(value_at(&rig, "m", 10, &found) == 6 * (round + 1));
        ck_assert(value_at(&rig, "m", 20, &found) == 5 * (round + 1));
        if (round == 0) {
            ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
            restart(&rig);
        }
    }
    close_rig(&rig);
}
END_TEST

START_TEST(test_a_row_that_may_not_wait_is_told_to_come_again)
{
    struct db_rig rig;
    struct series_attrs attrs = {.policy = DUP_BLOCK};
    open_rig(&rig, 13);
    for (int i = 0; i < 5; i++) {
        struct batch *batch = db_rig_batch("m");
        batch->series[0].name->attrs = &attrs;
        ck_assert(batch_add_row(batch, 0, i * 10, f64(i), 0));
        db_rig_send(&rig, batch);
        batch_free(batch);
    }
    struct batch *batch = db_rig_batch("m");
    ck_assert(batch_add_row(batch, 0, 20, f64(9), 0));
    ck_assert(batch_add_row(batch, 0, 50, f64(5), 0));
    batch->done = db_rig_done;
    batch->ctx = &is_done[0];
    is_done[0] = false;
    sink_write(db_sink(rig.db), batch); /* deferrable is not set */
    ck_assert(is_done[0]);
    ck_assert_int_eq(batch->result[0], ST_AGAIN);
    ck_assert_int_eq(batch->result[1], ST_OK);
    batch_free(batch);
    close_rig(&rig);
}
END_TEST

START_TEST(test_ignore_drops_what_is_close_to_the_newest)
{
    static const struct {
        ts_time ts;
        double v;
        status want;
        ts_time applied;
    } rows[] = {
        {100, 1.0, ST_OK, 100},      {105, 1.4, ST_IGNORED, 100}, {105, 1.6, ST_OK, 105},
        {116, 1.6, ST_OK, 116},      {126, 1.6, ST_IGNORED, 116}, {126, NAN, ST_OK, 126},
        {127, 1.6, ST_OK, 127},      {127, 1.7, ST_IGNORED, 127}, {90, 1.6, ST_OK, 90},
    };
    struct series_attrs attrs = {.policy = DUP_LAST, .ignore_max_ms = 10, .ignore_max_val = 0.5};
    struct db_rig rig;
    open_rig(&rig, 14);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct batch *batch = db_rig_batch("k{__key__=\"k\"}");
        batch->want_applied = true;
        batch->series[0].name->attrs = &attrs;
        ck_assert(batch_add_row(batch, 0, rows[i].ts, f64(rows[i].v), 0));
        db_rig_send(&rig, batch);
        ck_assert_msg(batch->result[0] == rows[i].want, "row %zu: %s", i,
                      status_text((status)batch->result[0]));
        ck_assert_int_eq(batch->applied_ts[0], rows[i].applied);
        batch_free(batch);
    }
    close_rig(&rig);
}
END_TEST

START_TEST(test_keyed_retention_counts_from_the_newest_sample)
{
    static const struct {
        ts_time ts;
        status want;
        bool restart;
    } rows[] = {{1000, ST_OK, false}, {900, ST_OK, false},   {899, ST_TOO_OLD, false},
                {1100, ST_OK, false}, {999, ST_TOO_OLD, true}, {1000, ST_OK, false}};
    struct series_attrs attrs = {.policy = DUP_LAST, .retention_ms = 100};
    struct db_rig rig;
    open_rig(&rig, 15);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].restart) restart(&rig);
        struct batch *batch = db_rig_batch("k{__key__=\"k\"}");
        batch->series[0].name->attrs = &attrs;
        ck_assert(batch_add_row(batch, 0, rows[i].ts, f64(1), 0));
        db_rig_send(&rig, batch);
        ck_assert_msg(batch->result[0] == rows[i].want, "row %zu: %s", i,
                      status_text((status)batch->result[0]));
        batch_free(batch);
    }
    struct points pts = {0};
    ck_assert_int_eq(db_rig_read(&rig, "k{__key__=\"k\"}", all, &pts, NULL), ST_OK);
    ck_assert_uint_eq(pts.n, 2); /* 1000 and 1100: 900 has expired */
    ck_assert_int_eq(pts.ts[0], 1000);
    points_release(&pts);
    close_rig(&rig);
}
END_TEST

/* --- making series ----------------------------------------------------------------- */

static status make(struct db_rig *rig, const char *series, enum batch_make how, bool row,
                   enum value_type type)
{
    struct batch *batch = db_rig_batch(series);
    batch->series[0].make = how;
    batch->series[0].type = type;
    if (row) ck_assert(batch_add_row(batch, 0, 1, (union value){.bits = 0}, 0));
    db_rig_send(rig, batch);
    status st = row ? (status)batch->result[0] : batch->series[0].st;
    batch_free(batch);
    return st;
}

START_TEST(test_series_are_made_as_asked)
{
    struct db_rig rig;
    open_rig(&rig, 16);
    ck_assert_int_eq(make(&rig, "a", MAKE_NEVER, true, VALUE_F64), ST_NOT_FOUND);
    ck_assert_uint_eq(db_rig_ordinal(&rig, "a"), ORDINAL_NONE);
    ck_assert_int_eq(make(&rig, "a", MAKE_REQUIRED, false, VALUE_F64), ST_OK);
    ck_assert_uint_ne(db_rig_ordinal(&rig, "a"), ORDINAL_NONE);
    ck_assert_int_eq(make(&rig, "a", MAKE_REQUIRED, false, VALUE_F64), ST_EXISTS);
    ck_assert_int_eq(make(&rig, "a", MAKE_NEVER, true, VALUE_F64), ST_OK);
    ck_assert_int_eq(make(&rig, "a", MAKE_ALLOWED, true, VALUE_I64), ST_WRONG_TYPE);
    struct series_attrs attrs = {.retention_ms = -1};
    lsn at;
    ck_assert_int_eq(db_set_attrs(rig.db, 0, &attrs, &at, &rig.err), ST_INVALID);
    struct batch *batch = db_rig_batch("n");
    batch->series[0].name->attrs = &attrs;
    db_rig_send(&rig, batch);
    ck_assert_int_eq(batch->series[0].st, ST_INVALID);
    batch_free(batch);
    restart(&rig);
    ck_assert_int_eq(make(&rig, "a", MAKE_REQUIRED, false, VALUE_F64), ST_EXISTS);
    ck_assert_int_eq(make(&rig, "a", MAKE_ALLOWED, true, VALUE_I64), ST_WRONG_TYPE);
    close_rig(&rig);
}
END_TEST

static status put_histogram(struct db_rig *rig, const char *series, ts_time ts)
{
    const struct histogram hist = {.count = 3, .sum = 1.5, .zero_count = 3, .is_int = true};
    struct batch *batch = db_rig_batch(series);
    batch->series[0].type = VALUE_HISTOGRAM;
    ck_assert(batch_add_row(batch, 0, ts, (union value){.hist = &hist}, 0));
    db_rig_send(rig, batch);
    status st = (status)batch->result[0];
    batch_free(batch);
    return st;
}

/* Numbers and histograms with the same labels are two series, also after a restart from the
 * WAL and from files. */
START_TEST(test_histograms_beside_numbers)
{
    struct db_rig rig;
    open_rig(&rig, 16);
    ck_assert_int_eq(db_rig_put(&rig, "a", 1, 1.0), ST_OK);
    ck_assert_int_eq(put_histogram(&rig, "a", 1), ST_OK);
    ck_assert_int_eq(put_histogram(&rig, "a", 2), ST_OK);
    ck_assert_int_eq(db_rig_put(&rig, "a", 3, 3.0), ST_OK);
    ck_assert_uint_eq(registry_counts(db_registry(rig.db)).n_series, 2);
    for (int round = 0; round < 3; round++) {
        bool found;
        ck_assert(value_at(&rig, "a", 1, &found) == 1.0 && found);
        ck_assert(value_at(&rig, "a", 3, &found) == 3.0 && found);
        (void)value_at(&rig, "a", 2, &found);
        ck_assert(!found);
        ck_assert_int_eq(db_check(rig.db, &rig.err), ST_OK);
        if (round == 1) ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
        restart(&rig);
        ck_assert_uint_eq(registry_counts(db_registry(rig.db)).n_series, 2);
    }
    close_rig(&rig);
}
END_TEST

START_TEST(test_one_batch_may_create_many_series)
{
    enum { N = 1000 };
    static char names[N][24];
    struct db_rig rig;
    open_rig(&rig, 17);
    struct batch *batch = db_rig_batch(NULL);
    for (int i = 0; i < N; i++) {
        snprintf(names[i], sizeof(names[i]), "c{i=\"%d\"}", i);
        (void)db_rig_add_series(batch, names[i]);
    }
    (void)db_rig_add_series(batch, names[0]); /* twice in one batch */
    for (int i = 0; i <= N; i++) batch->series[i].make = MAKE_REQUIRED;
    db_rig_send(&rig, batch);
    for (int i = 0; i < N; i++) {
        ck_assert_msg(batch->series[i].st == ST_OK && batch->series[i].made, "%s", names[i]);
        ck_assert_uint_ne(db_rig_ordinal(&rig, names[i]), ORDINAL_NONE);
    }
    ck_assert_int_eq(batch->series[N].st, ST_EXISTS);
    ck_assert_uint_le(batch->durable_at, db_durable(rig.db));
    batch_free(batch);
    close_rig(&rig);
}
END_TEST

START_TEST(test_the_cardinality_limit_holds_for_new_series_only)
{
    struct db_rig rig;
    log_set_level(LOG_ERROR);
    db_rig_init(&rig, 18);
    rig.options.cardinality_limit = 2;
    ck_assert_int_eq(db_rig_open(&rig), ST_OK);
    ck_assert_int_eq(db_rig_put(&rig, "a", 1, 1), ST_OK);
    ck_assert_int_eq(db_rig_put(&rig, "b", 1, 1), ST_OK);
    ck_assert_int_eq(db_rig_put(&rig, "c", 1, 1), ST_CARDINALITY);
    ck_assert_int_eq(db_rig_put(&rig, "a", 2, 1), ST_OK);
    restart(&rig);
    ck_assert_int_eq(db_rig_put(&rig, "c", 1, 1), ST_CARDINALITY);
    ck_assert_int_eq(db_rig_put(&rig, "b", 2, 1), ST_OK);
    close_rig(&rig);
}
END_TEST

/* --- limits of the moment ----------------------------------------------------------- */

START_TEST(test_a_full_wal_refuses_until_a_flush)
{
    struct db_rig rig;
    log_set_level(LOG_ERROR);
    db_rig_init(&rig, 19);
    rig.options.wal_flush_bytes = 64 << 10;
    rig.options.wal_size_limit = 128 << 10;
    rig.options.flush_interval_ms = 3600 * 1000; /* nobody looks but the write path */
    ck_assert_int_eq(db_rig_open(&rig), ST_OK);
    status st = ST_OK;
    int i = 0;
    for (; i < 100000 && st == ST_OK; i++) st = db_rig_put(&rig, "m", i, i);
    ck_assert_int_eq(st, ST_OVERLOAD);
    ck_assert_int_gt(i, 1000);
    for (int k = 0; k < 100 && st != ST_OK; k++) {
        clock_sim_advance_ms(&rig.clock, 10);
        db_rig_settle(&rig);
        st = db_rig_put(&rig, "m", i, i);
    }
    ck_assert_msg(st == ST_OK, "%s", status_text(st));
    close_rig(&rig);
}
END_TEST

START_TEST(test_the_memory_limit_refuses_until_a_flush)
{
    struct db_rig rig;
    log_set_level(LOG_ERROR);
    db_rig_init(&rig, 20);
    rig.options.flush_interval_ms = 3600 * 1000;
    rig.options.chunk_points = 65535;
    rig.options.wal_buffer_bytes = 256 << 10;
    rig.options.memory_limit = 2 << 20;
    rig.options.write_timeout_ms = 0;
    ck_assert_int_eq(db_rig_open(&rig), ST_OK);
    status st = ST_OK;
    int i = 1;
    for (; i < 100000 && st == ST_OK; i++) {
        char name[16];
        snprintf(name, sizeof(name), "m%d", i % 50);
        st = db_rig_put(&rig, name, i * 1000 + (int64_t)i * i % 7919, sin(i) * i);
    }
    ck_assert_int_eq(st, ST_NO_MEMORY);
    for (int k = 0; k < 100 && st != ST_OK; k++) {
        clock_sim_advance_ms(&rig.clock, 10);
        db_rig_settle(&rig);
        st = db_rig_put(&rig, "m1", INT32_MAX, i);
    }
    ck_assert_msg(st == ST_OK, "%s", status_text(st));
    close_rig(&rig);
}
END_TEST

/* --- sliced batches ----------------------------------------------------------------- */

static struct batch *big_batch(int k, size_t n_rows, size_t n_series)
{
    static char names[400][16];
    struct batch *batch = db_rig_batch(NULL);
    for (size_t s = 0; s < n_series; s++) {
        snprintf(names[s], sizeof(names[s]), "s%zu", s);
        (void)db_rig_add_series(batch, names[s]);
    }
    for (size_t i = 0; i < n_rows; i++) { /* scattered: series after series, over again */
        ts_time ts = (ts_time)(i / n_series) + k * 1000;
        ck_assert(batch_add_row(batch, i % n_series, ts, f64(k), 0));
    }
    batch->done = db_rig_done;
    batch->deferrable = true;
    batch->ctx = &is_done[k];
    is_done[k] = false;
    return batch;
}

/* Pins at every turn of the owner while three batches of many slices wait: each is there
 * whole or not at all. The clock makes every slice end its step. */
START_TEST(test_a_sliced_batch_is_seen_whole)
{
    enum { ROWS = 2000, SERIES = 300 };
    struct db_rig rig;
    open_rig(&rig, 21);
    clock_sim_set_tick_ns(&rig.clock, OWNER_STEP_NS * 2);
    struct batch *batch[3];
    for (int k = 0; k < 3; k++) {
        batch[k] = big_batch(k, ROWS, SERIES);
        sink_write(db_sink(rig.db), batch[k]);
    }
    ck_assert(!is_done[0]);
    size_t seen = 0;
    for (int turn = 0; seen < 3 * ROWS; turn++) {
        ck_assert_int_lt(turn, 1000);
        if (turn % 4) (void)exec_sim_step(rig.exec);
        struct view *view;
        ck_assert_int_eq(db_pin(rig.db, &view, &rig.err), ST_OK);
        size_t n = (size_t)view_births(view), total = 0;
        struct captured *at = calloc(n + 1, sizeof(*at));
        struct points pts = {0};
        for (size_t i = 0; i < n; i++) at[i].ordinal = (uint32_t)i;
        ck_assert_int_eq(view_capture(view, at, n, &rig.err), ST_OK);
        if (turn % 3 == 0) (void)exec_sim_step(rig.exec); /* between capture and reading */
        for (size_t i = 0; i < n; i++) {
            pts.n = 0;
            ck_assert_int_eq(view_read(view, &at[i], all, &pts, NULL, &rig.err), ST_OK);
            total += pts.n;
        }
        ck_assert_msg(total % ROWS == 0 && total >= seen, "turn %d: %zu samples", turn, total);
        seen = total;
        points_release(&pts);
        free(at);
        db_unpin(rig.db, view);
    }
    for (int k = 0; k < 3; k++) {
        db_rig_settle(&rig);
        ck_assert(is_done[k]);
        ck_assert_uint_eq(batch[k]->n_stored, ROWS);
        batch_free(batch[k]);
    }
    clock_sim_set_tick_ns(&rig.clock, 0);
    restart(&rig);
    close_rig(&rig);
}
END_TEST

START_TEST(test_a_refused_row_leaves_its_neighbours_alone)
{
    struct db_rig rig;
    struct points pts = {0};
    static char big[200 << 10];
    struct slice small = SLICE_LIT("small"), huge = {big, sizeof(big)};
    open_rig(&rig, 22);
    struct batch *batch = db_rig_batch("b");
    batch->series[0].type = VALUE_BYTES;
    ck_assert(batch_add_row(batch, 0, 1, (union value){.bytes = &small}, 0));
    ck_assert(batch_add_row(batch, 0, 2, (union value){.bytes = &huge}, 0));
    ck_assert(batch_add_row(batch, 0, 3, (union value){.bytes = NULL}, 0));
    batch->result[2] = ST_INVALID; /* by the decoder */
    ck_assert(batch_add_row(batch, 0, 4, (union value){.bytes = &small}, 0));
    db_rig_send(&rig, batch);
    const uint8_t want[] = {ST_OK, ST_TOO_LARGE, ST_INVALID, ST_OK};
    for (int i = 0; i < 4; i++) ck_assert_int_eq(batch->result[i], want[i]);
    ck_assert_uint_eq(batch->n_refused, 2);
    batch_free(batch);
    struct arena arena;
    arena_init(&arena, NULL, 1024);
    ck_assert_int_eq(db_rig_read(&rig, "b", all, &pts, &arena), ST_OK);
    ck_assert_uint_eq(pts.n, 2);
    ck_assert(slice_eq(*pts.val[1].bytes, small));
    arena_release(&arena);
    points_release(&pts);
    close_rig(&rig);
}
END_TEST

/* --- bytes and histograms ------------------------------------------------------------ */

START_TEST(test_policies_of_bytes)
{
    static const struct {
        enum dup_policy policy;
        const char *now;
        status want;
        const char *then;
    } rows[] = {
        {DUP_LAST, "new", ST_OK, "new"},        {DUP_FIRST, "new", ST_OK, "old"},
        {DUP_BLOCK, "new", ST_DUPLICATE, "old"}, {DUP_BLOCK, "old", ST_OK, "old"},
    };
    struct db_rig rig;
    struct arena arena;
    open_rig(&rig, 23);
    arena_init(&arena, NULL, 1024);
    for (size_t i = 0; i < ARRAY_LEN(rows) * 2; i++) {
        size_t r = i / 2;
        char name[16];
        struct points pts = {0};
        struct series_attrs attrs = {.policy = rows[r].policy};
        struct slice old = SLICE_LIT("old"), now = slice_str(rows[r].now);
        snprintf(name, sizeof(name), "b%zu", i);
        for (int k = 0; k < 2; k++) {
            struct batch *batch = db_rig_batch(name);
            batch->series[0].type = VALUE_BYTES;
            batch->series[0].name->attrs = &attrs;
            ck_assert(batch_add_row(batch, 0, 5, (union value){.bytes = k ? &now : &old}, 0));
            db_rig_send(&rig, batch);
            ck_assert_msg(batch->result[0] == (k ? rows[r].want : ST_OK), "case %zu: %s", i,
                          status_text((status)batch->result[0]));
            batch_free(batch);
            if (k == 0 && i % 2) {
                ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
                restart(&rig);
            }
        }
        ck_assert_int_eq(db_rig_read(&rig, name, all, &pts, &arena), ST_OK);
        ck_assert_uint_eq(pts.n, 1);
        ck_assert_msg(slice_is(*pts.val[0].bytes, rows[r].then), "case %zu", i);
        points_release(&pts);
    }
    arena_release(&arena);
    close_rig(&rig);
}
END_TEST

/* Goal: a row with DUP_INCREMENT adds to the newest sample, wherever that lies, whatever
 * the policy of the series; a batch of them adds up. */
START_TEST(test_increments)
{
    static const struct {
        ts_time ts, applied;
        double add, want;
        status st;
    } rows[] = {
        {1000, 1000, 5, 5, ST_OK},          {1000, 1000, 2, 7, ST_OK},
        {900, 0, 1, 7, ST_TOO_OLD},         {2000, 2000, -3, 4, ST_OK},
        {2001, 2000, 0.25, 4, ST_IGNORED},  {2500, 2500, 0.25, 4.25, ST_OK},
        {2500, 2500, 0, 4.25, ST_IGNORED},
    };
    struct db_rig rig;
    log_set_level(LOG_OFF);
    db_rig_init(&rig, unit_seed());
    ck_assert_int_eq(db_rig_open(&rig), ST_OK);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct batch *batch = db_rig_batch("c{__key__=\"c\"}");
        struct series_attrs attrs = {.policy = DUP_BLOCK, .ignore_max_ms = 5, .ignore_max_val = 1};
        struct points pts = {0};
        batch->want_applied = batch->deferrable = true;
        batch->series[0].name->attrs = &attrs;
        ck_assert(batch_add_row(batch, 0, rows[i].ts, f64(rows[i].add), 0));
        batch->on_dup[0] = DUP_INCREMENT;
        db_rig_send(&rig, batch);
        ck_assert_msg(batch->result[0] == rows[i].st, "row %zu: %s", i,
                      status_text((status)batch->result[0]));
        if (rows[i].applied) ck_assert_int_eq(batch->applied_ts[0], rows[i].applied);
        batch_free(batch);
        ck_assert_int_eq(db_rig_read(&rig, "c{__key__=\"c\"}", (struct time_range){0, 9999}, &pts,
                                     NULL), ST_OK);
        ck_assert_msg(bits_f64(pts.val[pts.n - 1].bits) == rows[i].want, "row %zu", i);
        points_release(&pts);
        if (i % 2 == 0) ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
        if (i % 3 == 0) { /* the newest sample is unknown to the head then */
            ck_assert_int_eq(db_rig_close(&rig), ST_OK);
            ck_assert_int_eq(db_rig_open(&rig), ST_OK);
        }
    }
    struct batch *batch = db_rig_batch("c{__key__=\"c\"}");
    batch->want_applied = batch->deferrable = true;
    for (int i = 0; i < 10; i++) {
        ck_assert(batch_add_row(batch, 0, 3000 + i / 2, f64(2), 0));
        batch->on_dup[i] = DUP_INCREMENT;
    }
    db_rig_send(&rig, batch);
    batch_free(batch);
    ck_assert_int_eq(db_rig_put(&rig, "c{__key__=\"c\"}", 3004, 24.25), ST_OK); /* it is that */
    ck_assert_int_eq(db_rig_put(&rig, "c{__key__=\"c\"}", 3004, 24), ST_DUPLICATE);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    db_rig_release(&rig);
}
END_TEST

Suite *suite_write(void)
{
    Suite *s = suite_create("write");
    TCase *tc = tcase_create("write");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, test_policies, 0, ARRAY_LEN(places));
    tcase_add_test(tc, test_a_row_may_bring_its_own_policy);
    tcase_add_test(tc, test_rows_of_one_batch_see_each_other);
    tcase_add_test(tc, test_a_row_that_may_not_wait_is_told_to_come_again);
    tcase_add_test(tc, test_ignore_drops_what_is_close_to_the_newest);
    tcase_add_test(tc, test_keyed_retention_counts_from_the_newest_sample);
    tcase_add_test(tc, test_series_are_made_as_asked);
    tcase_add_test(tc, test_histograms_beside_numbers);
    tcase_add_test(tc, test_one_batch_may_create_many_series);
    tcase_add_test(tc, test_the_cardinality_limit_holds_for_new_series_only);
    tcase_add_test(tc, test_a_full_wal_refuses_until_a_flush);
    tcase_add_test(tc, test_the_memory_limit_refuses_until_a_flush);
    tcase_add_test(tc, test_a_sliced_batch_is_seen_whole);
    tcase_add_test(tc, test_a_refused_row_leaves_its_neighbours_alone);
    tcase_add_test(tc, test_policies_of_bytes);
    tcase_add_test(tc, test_increments);
    suite_add_tcase(s, tc);
    return s;
}
