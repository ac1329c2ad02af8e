/* PromQL evaluation over series of every kind: floats, counters with resets, native
 * histograms of several layouts, custom bounds, gauges, series that are both. Checked: it
 * ends within its budget with a status that it may have; every histogram of a result is one
 * that histogram_check() accepts and has a text; series of a range are sorted and unique.
 *
 * An input that begins with a byte below 0x80 is the text of a query. Of any other the
 * bytes are choices by which a query is put together, so that most of them evaluate. */
#include <stdlib.h>
#include <string.h>

#include "base/panic.h"
#include "base/strbuf.h"
#include "promql/eval.h"
#include "promql/hist_quantile.h"
#include "promql/parser.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/querier_mem.h"

int fuzz_eval(const uint8_t *src, size_t len);

enum { GAP_MS = 15000, DEPTH_MAX = 5, MEMORY_MAX = 32 << 20, SAMPLES_MAX = 200000 };

static const char *const lines[] = {
    "f{a=\"1\"} 1 2 NaN 4 -5 stale 7 Inf 1e308 1e308",
    "f{a=\"2\"} 0+3x4 0+2x4",
    "h{a=\"1\"} {{schema:0 sum:10 count:8 z_bucket:1 z_bucket_w:0.001 buckets:[1 2 4]}}+{{sum:1 "
    "count:3 buckets:[1 0 2]}}x9",
    "h{a=\"2\"} {{schema:3 sum:7 count:5 z_bucket:2 z_bucket_w:0.5 buckets:[1 1] n_buckets:[1] "
    "offset:4}} {{schema:1 sum:2 count:9 buckets:[4 5]}} _ {{schema:8 sum:1 count:1 buckets:[1] "
    "offset:-500}} {{schema:-4 sum:1e300 count:1e300 buckets:[1e300] offset:60}}x3",
    "h{a=\"3\"} {{schema:0 sum:NaN count:9 buckets:[1 2 4] counter_reset_hint:reset}}x2 {{count:1 "
    "sum:1 z_bucket:1 z_bucket_w:4 counter_reset_hint:not_reset}}x2 {{schema:0 sum:-3 count:-2 "
    "n_buckets:[-2 NaN] counter_reset_hint:gauge}}x4",
    "h{a=\"4\"} {{schema:-53 sum:20 count:6 custom_values:[2 5 10] buckets:[1 2 3 0]}}x3 "
    "{{schema:-53 sum:5 count:4 custom_values:[-5 5] buckets:[1 2 1]}}x3 {{schema:-53 count:3 "
    "sum:9 buckets:[3]}}x2",
    "m{a=\"1\"} 1 2 {{count:2 sum:2 buckets:[2]}} {{count:3 sum:3 buckets:[3]}} 5 {{schema:-53 "
    "count:3 sum:9 custom_values:[1] buckets:[3]}} 2 1",
    "b{a=\"1\",le=\"1\"} 0+1x9",
    "b{a=\"1\",le=\"+Inf\"} 0+2x9",
    "b{a=\"1\"} {{count:2 sum:2 buckets:[2]}}x9",
};

/* ---- queries from choices --------------------------------------------------------- */

struct maker {
    const uint8_t *at, *end;
    struct strbuf *out;
};

static unsigned choose(struct maker *mk, unsigned n)
{
    return mk->at < mk->end ? *mk->at++ % n : 0;
}

#define PICK(mk, list) strbuf_str((mk)->out, (list)[choose((mk), ARRAY_LEN(list))])

static void make_number(struct maker *mk)
{
    static const char *const numbers[] = {"0", "1", "-1", "0.5", "2", "-0.3", "NaN",
                                          "Inf", "-Inf", "1e300", "scalar(f{a=\"1\"})", "3"};
    PICK(mk, numbers);
}

static void make_selector(struct maker *mk)
{
    static const char *const selectors[] = {"f", "h", "m", "b", "{a=~\".*\"}", "h{a=\"4\"}",
                                            "h{a=~\"1|2\"}", "h{a=~\"1|3\"}", "{a=\"1\"}"};
    PICK(mk, selectors);
}

static void make_range(struct maker *mk, bool extended)
{
    static const char *const ranges[] = {"[1m]", "[45s]", "[15s]",
                                         "[2m]", "[1s]",  "[3m] offset 30s",
                                         "[1m] @ 90", "[2m:20s]", "[1m30s:7s]"};
    static const char *const kinds[] = {"[1m] anchored", "[40s] smoothed", "[2m] smoothed",
                                        "[15s] anchored"};
    make_selector(mk);
    if (extended) PICK(mk, kinds);
    else PICK(mk, ranges);
}

static void make_vector(struct maker *mk, int depth);

static void make_range_call(struct maker *mk)
{
    static const char *const all[] = {
        "rate", "increase", "delta", "irate", "idelta", "changes", "resets", "deriv",
        "avg_over_time", "sum_over_time", "min_over_time", "max_over_time", "count_over_time",
        "last_over_time", "first_over_time", "present_over_time", "stddev_over_time",
        "stdvar_over_time", "mad_over_time", "ts_of_max_over_time", "ts_of_last_over_time"};
    static const char *const extended[] = {"rate", "increase", "delta"};
    bool is_extended = choose(mk, 4) == 0;

    if (is_extended) PICK(mk, extended);
    else PICK(mk, all);
    strbuf_char(mk->out, '(');
    make_range(mk, is_extended);
    strbuf_char(mk->out, ')');
}

static void make_call(struct maker *mk, int depth)
{
    static const char *const plain[] = {
        "histogram_count", "histogram_sum", "histogram_avg", "histogram_stddev",
        "histogram_stdvar", "abs", "sort", "absent", "timestamp", "sgn"};
    static const char *const with_number[] = {"histogram_quantile", "histogram_fraction"};
    unsigned kind = choose(mk, 4);

    if (kind == 0) {
        bool fraction = choose(mk, 2);
        strbuf_str(mk->out, with_number[fraction]);
        strbuf_char(mk->out, '(');
        make_number(mk);
        if (fraction) {
            strbuf_char(mk->out, ',');
            make_number(mk);
        }
        strbuf_char(mk->out, ',');
    } else {
        PICK(mk, plain);
        strbuf_char(mk->out, '(');
    }
    make_vector(mk, depth + 1);
    strbuf_char(mk->out, ')');
}

static void make_aggregation(struct maker *mk, int depth)
{
    static const char *const heads[] = {
        "sum(", "avg(", "count(", "group(", "min(", "max(", "stddev(", "topk(2, ", "limitk(2, ",
        "limit_ratio(0.5, ", "quantile(0.5, ", "count_values(\"v\", ", "sum by (a) (",
        "avg by (a) (", "sum without (a) ("};
    PICK(mk, heads);
    make_vector(mk, depth + 1);
    strbuf_char(mk->out, ')');
}

static void make_binary(struct maker *mk, int depth)
{
    static const char *const ops[] = {" + ", " - ", " * ", " / ", " == ", " != ", " </ ", " >/ ",
                                      " and ", " or ", " unless ", " == bool ", " > ",
                                      " + on (a) group_left () ", " - ignoring (le) "};
    strbuf_char(mk->out, '(');
    make_vector(mk, depth + 1);
    unsigned op = choose(mk, ARRAY_LEN(ops));
    strbuf_str(mk->out, ops[op]);
    if (op < 8 && choose(mk, 2)) make_number(mk);
    else make_vector(mk, depth + 1);
    strbuf_char(mk->out, ')');
}

static void make_vector(struct maker *mk, int depth)
{
    unsigned kind = depth >= DEPTH_MAX ? 0 : choose(mk, 7);

    switch (kind) {
    case 1:
    case 2: make_range_call(mk); break;
    case 3: make_call(mk, depth); break;
    case 4: make_aggregation(mk, depth); break;
    case 5: make_binary(mk, depth); break;
    case 6: strbuf_char(mk->out, '-'); /* fall through */
    default:
        make_selector(mk);
        if (choose(mk, 5) == 0) strbuf_str(mk->out, " smoothed");
        break;
    }
}

/* ---- what must hold --------------------------------------------------------------- */

static void check_result(const struct promql_result *r)
{
    struct prom_point p;
    struct strbuf text;

    strbuf_init(&text, 0);
    for (size_t i = 0; i < r->n_series; i++) {
        if (i > 0 && !r->instant) {
            ASSERT(labels_cmp(r->series[i - 1].labels, r->series[i].labels) < 0);
        }
        for (size_t at = 0; promvalue_next(r, &r->series[i], &at, &p);) {
            if (!p.hist) continue;
            ASSERT(histogram_check(p.hist, NULL) == ST_OK);
            strbuf_reset(&text);
            histogram_text(&text, p.hist);
            ASSERT(!text.failed && text.len > 0);
        }
    }
    strbuf_release(&text);
    ASSERT(r->n_warnings <= 11 && r->n_infos <= 11);
}

static void evaluate(struct querier_mem *mem, struct ast *ast, const struct plan_options *opt,
                     bool stable)
{
    struct query_budget budget = {.samples_max = SAMPLES_MAX};
    struct promql_options options = {.budget = &budget, .stable = stable};
    struct promql_result result = {0};
    struct fetch *fetch = NULL;
    struct account account;
    struct arena arena;
    struct plan plan;
    struct err err = {0};

    if (plan_make(&plan, ast, opt, &err) != ST_OK) return;
    struct series_set **sets = calloc(plan.n_selects + 1, sizeof(struct series_set *));
    ASSERT(sets);
    account_init(&account, "eval", NULL, MEMORY_MAX);
    arena_init(&arena, &account, 4096);
    status st = querier_fetch(&mem->base, &fetch, sets, plan.selects, plan.n_selects,
                              SLICE_LIT(""), &budget, &err);
    if (st == ST_OK) st = promql_eval(&result, &plan, ast->text, sets, &options, &arena, &err);
    ASSERT(st == ST_OK || st == ST_EXECUTION || st == ST_INVALID || st == ST_LIMIT ||
           st == ST_NO_MEMORY);
    if (st == ST_OK) check_result(&result);
    else ASSERT(err.text[0]);
    querier_done(&mem->base, fetch);
    arena_release(&arena);
    free(sets);
}

static void load(struct querier_mem *mem)
{
    struct err err = {0};

    querier_mem_init(mem);
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        ASSERT(querier_mem_load(mem, GAP_MS, lines[i], &err) == ST_OK);
    }
}

int fuzz_eval(const uint8_t *src, size_t len)
{
    static const struct plan_options frames[] = {
        {.precision = PRECISION_MS, .start_ms = 100000, .end_ms = 100000},
        {.precision = PRECISION_MS, .start_ms = 0, .end_ms = 180000, .step_ms = 15000},
        {.precision = PRECISION_MS, .start_ms = 7000, .end_ms = 150000, .step_ms = 11000},
    };
    struct querier_mem mem;
    struct strbuf text;
    struct ast ast;

    strbuf_init(&text, 0);
    if (len > 0 && src[0] >= 0x80) {
        struct maker mk = {src + 1, src + len, &text};
        make_vector(&mk, 0);
    } else {
        strbuf_put(&text, src, len);
    }
    ast_init(&ast, NULL);
    if (promql_parse(&ast, strbuf_view(&text), NULL, NULL) == ST_OK) {
        load(&mem);
        for (size_t i = 0; i < ARRAY_LEN(frames); i++) {
            evaluate(&mem, &ast, &frames[i], len % 2);
        }
        querier_mem_release(&mem);
    }
    ast_release(&ast);
    strbuf_release(&text);
    return 0;
}

FUZZ_ENTRY_SLOW(fuzz_eval, 4)
