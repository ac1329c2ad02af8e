/* Goal: what a rule makes is what the samples of its source say, whatever happened to them
 * and in whatever order, also after restarts without a flush. Method: random histories of a
 * few sources with rules of all kinds, compared after each step with a naive aggregation of
 * a model; then cases by hand. */
#include <math.h>
#include <stdio.h>

#include "base/bits.h"
#include "base/log.h"
#include "base/panic.h"
#include "engine/rules.h"
#include "query/rule_worker.h"
#include "tests/lib/db_rig.h"
#include "tests/unit/query/query_suites.h"

static const struct time_range all = {TS_MIN, TS_MAX};

struct world {
    struct db_rig rig;
    struct rule_worker *worker;
};

static void serve(void *ctx)
{
    exec_sim_drain(ctx);
}

static void begin(struct world *w)
{
    ck_assert_msg(db_rig_open(&w->rig) == ST_OK, "%s", w->rig.err.text);
    w->worker = rule_worker_new(w->rig.db, NULL);
    ck_assert_ptr_nonnull(w->worker);
    db_rig_settle(&w->rig);
}

static void open_world(struct world *w)
{
    log_set_level(LOG_OFF);
    db_rig_init(&w->rig, unit_seed());
    w->rig.options.retention_ms = 0;
    w->rig.options.chunk_points = 64;
    begin(w);
}

static void end(struct world *w, bool flush)
{
    db_rig_settle(&w->rig);
    rule_worker_stop(w->worker);
    if (flush) ck_assert_int_eq(db_rig_close(&w->rig), ST_OK);
    else ck_assert_int_eq(db_close(w->rig.db, 0, serve, w->rig.exec, &w->rig.err), ST_OK);
    exec_sim_drain(w->rig.exec);
    rule_worker_free(w->worker);
}

static void close_world(struct world *w)
{
    struct err err = {.st = ST_OK};
    ck_assert_msg(db_check(w->rig.db, &err) == ST_OK, "%s", err.text);
    end(w, true);
    db_rig_release(&w->rig);
}

static void make(struct world *w, const char *series)
{
    struct batch *batch = db_rig_batch(series);
    static const struct series_attrs last = {.policy = DUP_LAST};
    batch->series[0].make = MAKE_REQUIRED;
    batch->series[0].name->attrs = &last;
    db_rig_send(&w->rig, batch);
    ck_assert_int_eq(batch->series[0].st, ST_OK);
    batch_free(batch);
}

static series_id id_of(struct world *w, const char *series)
{
    uint32_t ordinal = db_rig_ordinal(&w->rig, series);
    ck_assert_uint_ne(ordinal, ORDINAL_NONE);
    return registry_entry(db_registry(w->rig.db), ordinal)->id;
}

static void make_rule(struct world *w, const char *source, const char *dest, enum agg agg,
                      int64_t bucket, int64_t align, ts_time since)
{
    uint32_t ordinal = db_rig_ordinal(&w->rig, dest);
    struct series_attrs attrs = {.policy = DUP_LAST,
                                 .rule_source = id_of(w, source),
                                 .rule_agg = (uint8_t)agg,
                                 .rule_bucket_ms = bucket,
                                 .rule_align_ms = align,
                                 .rule_since = since};
    lsn at;
    ck_assert_int_eq(db_rules_reserve(w->rig.db), ST_OK);
    ck_assert_int_eq(db_set_attrs(w->rig.db, ordinal, &attrs, &at, &w->rig.err), ST_OK);
    if (since == TS_MIN) db_rules_backfill(w->rig.db, id_of(w, dest));
    db_rig_settle(&w->rig);
}

/* --- the model -------------------------------------------------------------------------- */

enum { TIMES = 400, SOURCES = 2, RULES = 8, STEPS = 250 };

struct model {
    bool has[TIMES];
    double val[TIMES];
    int newest;                /* ever; -1: none */
};

struct model_rule {
    int source;
    enum agg agg;
    int64_t bucket, align;
};

static bool naive(const struct model *m, const struct model_rule *r, int64_t start, double *out)
{
    double sum = 0, min = INFINITY, max = -INFINITY, first = 0, last = 0;
    int n = 0;
    for (int64_t t = start; t < start + r->bucket; t++) {
        if (t < 0 || t >= TIMES || !m->has[t]) continue;
        if (n++ == 0) first = m->val[t];
        last = m->val[t];
        sum += last;
        if (last < min) min = last;
        if (last > max) max = last;
    }
    switch (r->agg) {
    case AGG_AVG: *out = sum / n; break;
    case AGG_SUM: *out = sum; break;
    case AGG_MIN: *out = min; break;
    case AGG_MAX: *out = max; break;
    case AGG_RANGE: *out = max - min; break;
    case AGG_COUNT:
    case AGG_COUNT_ALL: *out = n; break;
    case AGG_FIRST: *out = first; break;
    default: *out = last; break;
    }
    return n > 0;
}

static int64_t bucket_of(const struct model_rule *r, int64_t t)
{
    int64_t into = ((t - r->align) % r->bucket + r->bucket) % r->bucket;
    return t - into;
}

static int newest_now(const struct model *m)
{
    int t = TIMES - 1;
    while (t >= 0 && !m->has[t]) t--;
    return t;
}

/* Buckets from that of the newest sample there is may be closed or not: after a restart
 * nobody knows of later ones that were deleted. When they are there they must be right. */
static void compare(struct world *w, const struct model *models, const struct model_rule *rules,
                    int step)
{
    for (int i = 0; i < RULES; i++) {
        const struct model_rule *r = &rules[i];
        const struct model *m = &models[r->source];
        struct points pts = {0};
        char dest[64];
        size_t n = 0;
        snprintf(dest, sizeof(dest), "d{__key__=\"d%d\"}", i);
        ck_assert_int_eq(db_rig_read(&w->rig, dest, all, &pts, NULL), ST_OK);
        for (int64_t at = bucket_of(r, 0); m->newest >= 0 && at < bucket_of(r, m->newest);
             at += r->bucket) {
            double want;
            if (!naive(m, r, at, &want)) continue;
            bool there = n < pts.n && pts.ts[n] == (at < 0 ? 0 : at);
            if (!there && at >= bucket_of(r, newest_now(m))) continue;
            ck_assert_msg(n < pts.n && pts.ts[n] == (at < 0 ? 0 : at) &&
                              bits_f64(pts.val[n].bits) == want,
                          "step %d, rule %d (%s of %lld): bucket %lld is %g, not %g (%zu of %zu)",
                          step, i, agg_name(r->agg), (long long)r->bucket, (long long)at,
                          n < pts.n ? bits_f64(pts.val[n].bits) : (double)NAN, want, n, pts.n);
            n++;
        }
        ck_assert_msg(pts.n == n, "step %d, rule %d: %zu buckets, not %zu", step, i, pts.n, n);
        points_release(&pts);
    }
}

/* --- random histories --------------------------------------------------------------------- */

static void step_put(struct world *w, struct model *m, const char *series)
{
    struct batch *batch = db_rig_batch(series);
    int n = 1 + (int)rng_below(&w->rig.rng, 30);
    int t = rng_below(&w->rig.rng, 3) ? m->newest + 1 : (int)rng_below(&w->rig.rng, TIMES);
    batch->deferrable = true;
    for (int i = 0; i < n && t < TIMES; i++) {
        double v = (double)rng_below(&w->rig.rng, 64);
        ck_assert(batch_add_row(batch, 0, t, (union value){.bits = f64_bits(v)}, 0));
        m->has[t] = true;
        m->val[t] = v;
        if (t > m->newest) m->newest = t;
        t += 1 + (int)rng_below(&w->rig.rng, 5);
    }
    db_rig_send(&w->rig, batch);
    ck_assert_uint_eq(batch->n_refused, 0);
    batch_free(batch);
}

static void step_delete(struct world *w, struct model *m, const char *series)
{
    uint32_t ordinal = db_rig_ordinal(&w->rig, series);
    int from = (int)rng_below(&w->rig.rng, TIMES), len = (int)rng_below(&w->rig.rng, 60);
    struct time_range range = {from, from + len};
    lsn at;
    ck_assert_int_eq(db_delete(w->rig.db, &ordinal, 1, range, &at, &w->rig.err), ST_OK);
    for (int t = from; t <= from + len && t < TIMES; t++) m->has[t] = false;
}

static void step_other(struct world *w)
{
    switch (rng_below(&w->rig.rng, 3)) {
    case 0: ck_assert_int_eq(db_rig_flush(&w->rig), ST_OK); break;
    case 1:
        end(w, false);
        begin(w);
        break;
    default:
        end(w, true);
        begin(w);
        break;
    }
}

static void random_rules(struct world *w, struct model_rule *rules)
{
    static const enum agg aggs[] = {AGG_AVG,   AGG_SUM,       AGG_MIN,   AGG_MAX, AGG_RANGE,
                                    AGG_COUNT, AGG_COUNT_ALL, AGG_FIRST, AGG_LAST};
    for (int i = 0; i < RULES; i++) {
        char source[64], dest[64];
        rules[i] = (struct model_rule){.source = i % SOURCES,
                                       .agg = aggs[rng_below(&w->rig.rng, ARRAY_LEN(aggs))],
                                       .bucket = 1 + (int64_t)rng_below(&w->rig.rng, 40),
                                       .align = (int64_t)rng_below(&w->rig.rng, 50)};
        snprintf(source, sizeof(source), "s{__key__=\"s%d\"}", rules[i].source);
        snprintf(dest, sizeof(dest), "d{__key__=\"d%d\"}", i);
        make(w, dest);
        make_rule(w, source, dest, rules[i].agg, rules[i].bucket, rules[i].align, TS_MIN);
    }
}

START_TEST(test_random_histories)
{
    static struct model models[SOURCES];
    struct model_rule rules[RULES];
    struct world w;
    open_world(&w);
    for (int i = 0; i < SOURCES; i++) {
        char source[64];
        models[i] = (struct model){.newest = -1};
        snprintf(source, sizeof(source), "s{__key__=\"s%d\"}", i);
        make(&w, source);
    }
    step_put(&w, &models[0], "s{__key__=\"s0\"}"); /* to be back-filled */
    random_rules(&w, rules);
    for (int i = 0; i < STEPS; i++) {
        int s = (int)rng_below(&w.rig.rng, SOURCES);
        char source[64];
        snprintf(source, sizeof(source), "s{__key__=\"s%d\"}", s);
        uint64_t what = rng_below(&w.rig.rng, 10);
        if (what < 6) step_put(&w, &models[s], source);
        else if (what < 8) step_delete(&w, &models[s], source);
        else step_other(&w);
        db_rig_settle(&w.rig);
        compare(&w, models, rules, i);
    }
    close_world(&w);
}
END_TEST

/* --- by hand ---------------------------------------------------------------------------- */

#define S "s{__key__=\"s\"}"
#define D "d{__key__=\"d\"}"

static size_t count(struct world *w, const char *series)
{
    struct points pts = {0};
    ck_assert_int_eq(db_rig_read(&w->rig, series, all, &pts, NULL), ST_OK);
    size_t n = pts.n;
    points_release(&pts);
    return n;
}

START_TEST(test_the_answer_waits_for_the_bucket)
{
    struct world w;
    bool done = false;
    open_world(&w);
    make(&w, S);
    make(&w, D);
    make_rule(&w, S, D, AGG_SUM, 10, 0, TS_MIN);
    ck_assert_int_eq(db_rig_put(&w.rig, S, 5, 1), ST_OK);
    struct batch *batch = db_rig_batch(S);
    ck_assert(batch_add_row(batch, 0, 15, (union value){.bits = f64_bits(2)}, 0));
    batch->done = db_rig_done;
    batch->ctx = &done;
    sink_write(db_sink(w.rig.db), batch);
    while (!done) ck_assert(exec_sim_step(w.rig.exec));
    ck_assert_uint_eq(count(&w, D), 1);
    batch_free(batch);
    close_world(&w);
}
END_TEST

START_TEST(test_a_rule_goes_with_either_end)
{
    struct rule_info rule;
    struct world w;
    open_world(&w);
    make(&w, S);
    make(&w, D);
    make_rule(&w, S, D, AGG_SUM, 10, 3, 7);
    ck_assert(db_rule_of_dest(w.rig.db, id_of(&w, D), &rule));
    ck_assert(rule.bucket == 10 && rule.align == 3 && rule.since == 7 && rule.agg == AGG_SUM);
    ck_assert_uint_eq(db_rules_of_source(w.rig.db, id_of(&w, S), &rule, 1), 1);
    for (int i = 0; i < 3; i++) { /* from the log, from a segment */
        end(&w, i == 1);
        begin(&w);
        ck_assert(db_rule_of_dest(w.rig.db, id_of(&w, D), &rule));
        ck_assert(rule.bucket == 10 && rule.align == 3 && rule.since == 7);
    }
    uint32_t dest = db_rig_ordinal(&w.rig, D);
    lsn at;
    struct series_attrs plain = {.policy = DUP_LAST};
    ck_assert_int_eq(db_set_attrs(w.rig.db, dest, &plain, &at, &w.rig.err), ST_OK);
    ck_assert(!db_rule_of_dest(w.rig.db, id_of(&w, D), &rule));
    ck_assert_uint_eq(db_rules_of_source(w.rig.db, id_of(&w, S), &rule, 1), 0);
    close_world(&w);
}
END_TEST

START_TEST(test_the_open_bucket)
{
    struct arena arena;
    struct world w;
    ts_time ts;
    double val;
    bool found;
    open_world(&w);
    arena_init(&arena, NULL, 1024);
    make(&w, S);
    make(&w, D);
    make_rule(&w, S, D, AGG_SUM, 10, 0, TS_MIN);
    ck_assert_int_eq(rule_open_bucket(w.rig.db, id_of(&w, D), &ts, &val, &found, &arena, NULL),
                     ST_OK);
    ck_assert(!found);
    ck_assert_int_eq(db_rig_put(&w.rig, S, 5, 1), ST_OK);
    ck_assert_int_eq(db_rig_put(&w.rig, S, 12, 2), ST_OK);
    ck_assert_int_eq(db_rig_put(&w.rig, S, 14, 3), ST_OK);
    ck_assert_int_eq(rule_open_bucket(w.rig.db, id_of(&w, D), &ts, &val, &found, &arena, NULL),
                     ST_OK);
    ck_assert(found && ts == 10 && val == 5);
    ck_assert_int_eq(rule_open_bucket(w.rig.db, id_of(&w, S), &ts, &val, &found, &arena, NULL),
                     ST_OK);
    ck_assert(!found);
    arena_release(&arena);
    close_world(&w);
}
END_TEST

Suite *suite_rule_worker(void)
{
    Suite *s = suite_create("rule_worker");
    TCase *tc = tcase_create("rule_worker");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_the_answer_waits_for_the_bucket);
    tcase_add_test(tc, test_a_rule_goes_with_either_end);
    tcase_add_test(tc, test_the_open_bucket);
    tcase_add_test(tc, test_random_histories);
    suite_add_tcase(s, tc);
    return s;
}
