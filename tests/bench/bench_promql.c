/* What a query costs a sample: PromQL over a database in memory, from the text to the result.
 *
 * One thread, files in memory (tests/lib/db_rig.h), counters of data set C at 15 s for six
 * hours; a target has twenty series. Shapes of their times:
 *
 *     grid     every scrape exactly 15 s after the one before
 *     target   a few milliseconds of jitter that the series of a target share
 *     own      each series has its own
 *
 * Each is read from memory, then from the segments of three flushes, and expressions run at
 * a step of 15 s, as performance.md 1, row 12 has it. Processor time of the thread, the best
 * of some runs, fetching included; a sample counts once, however many windows it is in:
 * BENCH promql.<shape>.<where>.<expression>.ns_per_sample=...
 *
 * usage: bench_promql [series [shape [expression [runs [where]]]]]
 * (default 1000, all, the table below, 9; an expression is a name of the table or PromQL) */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/panic.h"
#include "promql/eval.h"
#include "promql/parser.h"
#include "query/querier_local.h"
#include "tests/lib/db_rig.h"
#include "tests/lib/series_kinds.h"

enum { STEP_MS = 15000, SAMPLES = 1440, PER_TARGET = 20, RUNS = 9, FLUSHES = 3, NAME_LEN = 64 };

enum shape { SHAPE_GRID, SHAPE_TARGET, SHAPE_OWN, N_SHAPES };

static const char *const shape_names[] = {"grid", "target", "own"};

static const struct {
    const char *name, *text;
} expressions[] = {
    {"sum_rate", "sum(rate(x_total[5m]))"},
    {"sum_increase_by", "sum by (instance) (increase(x_total[5m]))"},
    {"max_irate", "max(irate(x_total[5m]))"},
    {"sum_resets", "sum(resets(x_total[5m]))"},
    {"max_avg_over_time", "max(avg_over_time(x_total[5m]))"},
    {"max_max_over_time", "max(max_over_time(x_total[5m]))"},
    {"max_stddev_over_time", "max(stddev_over_time(x_total[5m]))"},
    {"max_quantile_over_time", "max(quantile_over_time(0.9, x_total[5m]))"},
    {"sum_last_over_time", "sum(last_over_time(x_total[5m]))"},
    {"sum", "sum(x_total)"},
};

struct bench {
    struct db_rig rig;
    struct querier *querier;
    size_t n_series, n_runs;
    char (*names)[NAME_LEN]; /* batches borrow them */
    ts_time start;
    double sum; /* of the last result, so that two runs can be compared */
};

static int64_t jitter(size_t i, size_t k, enum shape shape)
{
    if (shape == SHAPE_GRID) return 0;
    uint64_t who = shape == SHAPE_TARGET ? i / PER_TARGET : i + 1000000;
    return (int64_t)((hash_mix(who * SAMPLES + k + 1) >> 20) % 9);
}

static union value *series_values(const struct bench *b)
{
    static const enum series_kind kinds[] = {KIND_CONSTANT, KIND_IDLE,        KIND_EVENTS,
                                             KIND_BYTES,    KIND_CENTISECONDS, KIND_ACCUMULATED};
    union value *val = malloc(b->n_series * SAMPLES * sizeof(*val));
    struct rng rng;
    ASSERT(val);
    rng_init(&rng, 1);
    for (size_t i = 0; i < b->n_series; i++)
        kind_fill(val + i * SAMPLES, SAMPLES, kinds[i % ARRAY_LEN(kinds)], &rng);
    return val;
}

/* The samples [from, to) of every series, a scrape a batch. */
static void put(struct bench *b, const union value *val, enum shape shape, size_t from, size_t to)
{
    for (size_t k = from; k < to; k++) {
        struct batch *batch = batch_new(NULL);
        ASSERT(batch);
        for (size_t i = 0; i < b->n_series; i++) {
            int64_t idx = db_rig_add_series(batch, b->names[i]);
            ts_time ts = b->start + (ts_time)k * STEP_MS + jitter(i, k, shape);
            ASSERT(batch_add_row(batch, (size_t)idx, ts, val[i * SAMPLES + k], 0));
        }
        db_rig_send(&b->rig, batch);
        ASSERT(batch->n_refused == 0);
        batch_free(batch);
        clock_sim_advance_ms(&b->rig.clock, STEP_MS);
        db_rig_settle(&b->rig);
    }
}

static void keep_sum(struct bench *b, const struct promql_result *r)
{
    b->sum = 0;
    for (size_t i = 0; i < r->n_series; i++) {
        struct prom_point p;
        size_t at = 0;
        while (promvalue_next(r, &r->series[i], &at, &p)) b->sum += p.val;
    }
}

static int64_t run_once(struct bench *b, const char *text)
{
    struct ast ast;
    struct plan plan;
    struct arena arena;
    struct promql_result result;
    struct fetch *fetch = NULL;
    struct series_set *sets[4];
    struct query_budget budget = {0};
    struct err err = {0};
    int64_t begun = clock_thread_cpu_ns();

    struct plan_options po = {.start_ms = b->start,
                              .end_ms = b->start + (SAMPLES - 1) * (int64_t)STEP_MS,
                              .step_ms = STEP_MS};
    po.precision = PRECISION_MS;
    ast_init(&ast, NULL);
    arena_init(&arena, NULL, 4096);
    struct promql_options eo = {.budget = &budget};
    status st = promql_parse(&ast, slice_str(text), NULL, &err);
    if (st == ST_OK) st = plan_make(&plan, &ast, &po, &err);
    if (st == ST_OK) {
        st = querier_fetch(b->querier, &fetch, sets, plan.selects, plan.n_selects,
                           SLICE_LIT(""), &budget, &err);
    }
    if (st == ST_OK) st = promql_eval(&result, &plan, ast.text, sets, &eo, &arena, &err);
    if (st != ST_OK) {
        fprintf(stderr, "%s: %s\n", text, err_text(&err, st));
        exit(1);
    }
    keep_sum(b, &result);
    querier_done(b->querier, fetch);
    arena_release(&arena);
    ast_release(&ast);
    return clock_thread_cpu_ns() - begun;
}

static void measure(struct bench *b, enum shape shape, const char *where, const char *name,
                    const char *text)
{
    int64_t best = INT64_MAX;
    for (size_t i = 0; i < b->n_runs; i++) {
        int64_t ns = run_once(b, text);
        if (ns < best) best = ns;
    }
    printf("BENCH promql.%s.%s.%s.ns_per_sample=%.2f ms=%.2f sum=%.17g\n", shape_names[shape],
           where, name, (double)best / (double)(b->n_series * SAMPLES), (double)best / 1e6, b->sum);
    fflush(stdout);
}

static void measure_all(struct bench *b, enum shape shape, const char *where, const char *only)
{
    if (only && strchr(only, '(')) {
        measure(b, shape, where, "expression", only);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(expressions); i++) {
        if (only && strcmp(only, expressions[i].name) != 0) continue;
        measure(b, shape, where, expressions[i].name, expressions[i].text);
    }
}

/* Fills a database, flushing it so many times, and measures. */
static void run_where(struct bench *b, const union value *val, enum shape shape,
                      size_t n_flushes, const char *only)
{
    size_t n_parts = n_flushes ? n_flushes : 1;

    db_rig_init(&b->rig, 1);
    b->rig.options.wal_file_bytes = 64 << 20;
    b->rig.options.wal_buffer_bytes = 16 << 20;
    b->start = clock_wall(&b->rig.clock.clock) / STEP_MS * STEP_MS;
    ASSERT(db_rig_open(&b->rig) == ST_OK);
    b->querier = querier_local_new(b->rig.db, NULL);
    for (size_t k = 0; k < n_parts; k++) {
        put(b, val, shape, k * SAMPLES / n_parts, (k + 1) * SAMPLES / n_parts);
        if (n_flushes) ASSERT(db_rig_flush(&b->rig) == ST_OK);
    }
    measure_all(b, shape, n_flushes ? "segments" : "memory", only);
    querier_local_free(b->querier);
    ASSERT(db_rig_close(&b->rig) == ST_OK);
    db_rig_release(&b->rig);
}

static void run_shape(size_t n_series, size_t n_runs, enum shape shape, const char *only,
                      const char *where)
{
    struct bench b = {.n_series = n_series, .n_runs = n_runs};

    b.names = malloc(n_series * NAME_LEN);
    union value *val = series_values(&b);

    ASSERT(b.names);
    for (size_t i = 0; i < n_series; i++) {
        snprintf(b.names[i], NAME_LEN, "x_total{instance=\"host-%zu:9100\",path=\"/p%zu\"}",
                 i / PER_TARGET, i % PER_TARGET);
    }
    if (!where || strcmp(where, "memory") == 0) run_where(&b, val, shape, 0, only);
    if (!where || strcmp(where, "segments") == 0) run_where(&b, val, shape, FLUSHES, only);
    free(val);
    free(b.names);
}

int main(int argc, char **argv)
{
    size_t n_series = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000;
    const char *shape = argc > 2 ? argv[2] : NULL, *only = argc > 3 ? argv[3] : NULL;
    const char *where = argc > 5 ? argv[5] : NULL;
    size_t n_runs = argc > 4 ? strtoul(argv[4], NULL, 10) : RUNS;
    for (int i = 0; i < N_SHAPES; i++) {
        if (shape && strcmp(shape, "all") != 0 && strcmp(shape, shape_names[i]) != 0) continue;
        run_shape(n_series, n_runs, (enum shape)i, only, where);
    }
    return 0;
}
