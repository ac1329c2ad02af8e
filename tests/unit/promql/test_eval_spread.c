/* Goal: what several workers compute is what one computes, to the bit: values, order, labels,
 * annotations, errors. Method: 450 series (decimals that do not add up exactly, gaps, resets,
 * native histograms, histograms and numbers of the same labels) and a table of queries, each
 * once alone and once with three workers, whose results are compared as text. Then
 * the same with limits that end the query, and cancelled. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/mailbox.h"
#include "base/panic.h"
#include "base/workers.h"
#include "tests/unit/promql/eval_rig.h"

enum { SERIES = 450, WORKERS = 3 };

/* The owner's role is this thread's: it drains the box between queries. */
struct pool {
    struct workers *workers;
    struct mailbox box;
};

static void wake(void *ctx)
{
    (void)ctx;
}

static void post(void *ctx, struct task *task)
{
    struct pool *pool = ctx;
    mailbox_push(&pool->box, task);
}

static void pool_open(struct pool *pool)
{
    struct workers_options opt = {
        .n_threads = {1, WORKERS, 1}, .post = post, .post_ctx = pool};
    mailbox_init(&pool->box, wake, pool);
    ck_assert_int_eq(workers_open(&pool->workers, &opt, NULL), ST_OK);
}

static void pool_close(struct pool *pool)
{
    workers_close(pool->workers);
    while (mailbox_drain(&pool->box, 64)) {
    }
}

static void load(struct querier_mem *mem)
{
    char line[512];
    struct err err;

    querier_mem_init(mem);
    for (int i = 0; i < SERIES; i++) {
        int n = snprintf(line, sizeof(line), "m%s{g=\"%d\",i=\"%04d\"} ", i % 3 ? "" : "_total",
                         i % 7, i);
        const char *values = i % 50 == 7    ? "{{count:3 sum:%d.1 buckets:[1 2]}}x250"
                             : i % 11 == 0  ? "%d.1+0.7x90 _x20 3.3+0.9x90 stale 1.1x20"
                             : i % 13 == 0  ? "%d.3 NaN Inf -0.7x100 NaN 1e300x50"
                                            : "%d.123+0.37x100 0.31+1.7x100";
        snprintf(line + n, sizeof(line) - (size_t)n, values, i);
        ck_assert_msg(querier_mem_load(mem, 15000, line, &err) == ST_OK, "%s", err.text);
        if (i % 100 != 1) continue; /* a sender that changed: two series of the same labels */
        snprintf(line + n, sizeof(line) - (size_t)n, "_x210 {{count:3 sum:5 buckets:[1 2]}}x20");
        ck_assert_msg(querier_mem_load(mem, 15000, line, &err) == ST_OK, "%s", err.text);
    }
}

static const char *const queries[] = {
    "{__name__=~\"m.*\"}", "sum(m)", "avg by (g) ({i=~\".+\"})", "sum by (g) (rate(m[5m]))",
    "count(rate({g=\"3\"}[5m]) or rate(m[2m]))", "stddev(rate(m[5m]) * 1.7)", "sum(-m offset 1m)",
    "quantile by (g) (0.9, m)", "topk(5, increase(m[3m]))", "count(m > 20)", "max(abs(-m) ^ 2)",
    "quantile_over_time(0.37, m[4m])", "sum(sum_over_time(m[10m:1m]))",
    "max_over_time(rate(m[2m])[10m:1m])", "histogram_count(m)",
    "sum(histogram_sum(m))",
    "sum by (g) (clamp_max(m, 50))", "absent(m)", "sum(m @ 600)", "sum(m) / sum(rate(m[5m]))",
    "count(label_replace(m, \"x\", \"$1\", \"i\", \"(.).*\"))", "sum(timestamp(m))",
    "sum(day_of_week(m))",
    "sum(predict_linear(m[5m], 60))", "sum(m + scalar(sum(m)))", "sum(2 - m)",
    "avg(last_over_time(m[3m]))", "rate({__name__=~\"m.*\"}[5m])", "sum without (i) (m_total)",
};

static int by_text(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

/* Annotations come in no certain order: puts those lines, which are the last, in one. */
static void sort_notes(struct strbuf *out)
{
    const char *lines[32];
    size_t n = 0;
    char *text = strdup(strbuf_cstr(out)), *at = strstr(text, "\nwarning: "), *save = NULL;

    if (!at) at = strstr(text, "\ninfo: ");
    if (at) {
        out->len = (size_t)(at - text) + 1;
        for (at = strtok_r(at, "\n", &save); at && n < ARRAY_LEN(lines);) {
            lines[n++] = at;
            at = strtok_r(NULL, "\n", &save);
        }
        qsort(lines, n, sizeof(*lines), by_text);
        for (size_t i = 0; i < n; i++) strbuf_printf(out, "%s\n", lines[i]);
    }
    free(text);
}

static void run(struct querier_mem *mem, const char *query, const struct rig_options *opt,
                struct strbuf *out)
{
    struct eval_case c = {query, 60000, 60000 + 250 * 15000, 15000, ""};
    strbuf_reset(out);
    (void)rig_run(mem, &c, opt, out); /* a failure is in the text */
    sort_notes(out);
}

START_TEST(test_many_workers_give_what_one_gives)
{
    struct querier_mem mem;
    struct pool pool;
    struct strbuf want, got;

    load(&mem);
    pool_open(&pool);
    strbuf_init(&want, 0);
    strbuf_init(&got, 0);
    for (size_t q = 0; q < ARRAY_LEN(queries); q++) {
        struct rig_options opt = {0};
        run(&mem, queries[q], &opt, &want);
        opt.exec = workers_exec(pool.workers);
        opt.n_helpers = WORKERS;
        run(&mem, queries[q], &opt, &got);
        ck_assert_msg(strcmp(strbuf_cstr(&got), strbuf_cstr(&want)) == 0,
                      "%s\n%.300s\nwant\n%.300s", queries[q], strbuf_cstr(&got),
                      strbuf_cstr(&want));
        mailbox_drain(&pool.box, 64);
    }
    strbuf_release(&want);
    strbuf_release(&got);
    pool_close(&pool);
    querier_mem_release(&mem);
}
END_TEST

/* A helper whose worker was busy until the query was over finds nothing to do. */
START_TEST(test_late_helpers_find_it_closed)
{
    struct querier_mem mem;
    struct pool pool;
    struct strbuf out;

    load(&mem);
    pool_open(&pool);
    strbuf_init(&out, 0);
    for (int i = 0; i < 20; i++) { /* more jobs than workers, none published meanwhile */
        struct rig_options opt = {.exec = workers_exec(pool.workers), .n_helpers = 60};
        run(&mem, "count(m)", &opt, &out);
        ck_assert_msg(strncmp(strbuf_cstr(&out), "{} ", 3) == 0, "%s", strbuf_cstr(&out));
    }
    strbuf_release(&out);
    pool_close(&pool);
    querier_mem_release(&mem);
}
END_TEST

static const struct limit {
    const char *name, *query, *want;
    uint64_t samples_max;
    bool cancelled;
} limits[] = {
    {"samples touched", "sum(rate(m[5m]))", "error: query touches more than 20000 samples\n", 20000,
     false},
    {"cancelled", "sum(rate(m[5m]))",
     "error: query was canceled in expression evaluation\n", 0, true},
};

START_TEST(test_limits_hold_with_workers)
{
    const struct limit *l = &limits[_i];
    struct querier_mem mem;
    struct pool pool;
    struct strbuf out;
    _Atomic bool cancelled = false;
    struct query_budget budget = {.samples_max = l->samples_max, .cancelled = &cancelled};

    load(&mem);
    pool_open(&pool);
    strbuf_init(&out, 0);
    atomic_store(&cancelled, l->cancelled);
    run(&mem, l->query,
        &(struct rig_options){.budget = &budget, .exec = workers_exec(pool.workers),
                              .n_helpers = WORKERS}, &out);
    ck_assert_msg(strcmp(strbuf_cstr(&out), l->want) == 0, "%s: %s", l->name, strbuf_cstr(&out));
    strbuf_release(&out);
    pool_close(&pool);
    querier_mem_release(&mem);
}
END_TEST

Suite *suite_eval_spread(void)
{
    Suite *suite = suite_create("eval_spread");
    TCase *tc = tcase_create("workers");

    tcase_set_timeout(tc, 120);
    tcase_add_test(tc, test_many_workers_give_what_one_gives);
    tcase_add_test(tc, test_late_helpers_find_it_closed);
    tcase_add_loop_test(tc, test_limits_hold_with_workers, 0, ARRAY_LEN(limits));
    suite_add_tcase(suite, tc);
    return suite;
}
