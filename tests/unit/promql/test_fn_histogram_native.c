/* Goal: every function, operator and aggregation does with native histograms what
 * Prometheus does, alone and where a series or a vector has floats too; the warnings and
 * infos are its own. Method: a table over literal series; the numbers are worked out from
 * the counts. */
#include "tests/unit/promql/eval_rig.h"

static const char *const lines[] = {
    /* counters: 1 more each minute; a reset at 3 min */
    "c {{count:1 sum:2 buckets:[1]}}+{{count:1 sum:2 buckets:[1]}}x5",
    "r {{count:5 sum:5 buckets:[5]}} {{count:8 sum:8 buckets:[8]}} {{count:9 sum:9 buckets:[9]}} "
    "{{count:2 sum:2 buckets:[2]}} {{count:4 sum:4 buckets:[4]}}",
    "g {{count:4 sum:4 buckets:[4] counter_reset_hint:gauge}} {{count:2 sum:2 buckets:[2] "
    "counter_reset_hint:gauge}}x4",
    /* both kinds */
    "m 1 2 {{count:2 sum:2 buckets:[2]}} {{count:5 sum:5 buckets:[5]}} 3 stale",
    "e{k=\"exp\"} {{count:2 sum:2 buckets:[2]}}x5",
    "e{k=\"nhcb\"} {{schema:-53 count:2 sum:2 custom_values:[1 2] buckets:[1 1]}}x5",
    "n{k=\"a\"} {{schema:-53 count:2 sum:2 custom_values:[1 2] buckets:[1 1]}} {{schema:-53 "
    "count:3 sum:4 custom_values:[2] buckets:[3]}}x4",
    "f 3x5",
    "h_bucket{le=\"1\"} 1x5",
    "h_bucket{le=\"+Inf\"} 2x5",
    "h_bucket {{count:2 sum:2 buckets:[2]}}x5",
    "bad {{count:4 sum:NaN buckets:[2]}}x5",
    NULL,
};
static const struct eval_data data = {60000, lines};

#define MIX(name, pos)                                                                         \
    "warning: PromQL warning: encountered a mix of histograms and floats for metric name "     \
    "\"" name "\" (" pos ")\n"
#define IGNORED(name, pos)                                                                     \
    "info: PromQL info: ignored histograms in a range containing both floats and histograms "  \
    "for metric name \"" name "\" (" pos ")\n"

static const struct eval_case cases[] = {
    /* change: (0, 4m] holds 2, 3, 4, 5; zero is 2 min before the first */
    {"increase(c[4m])", 240000, 0, 0, "{} {count:4, sum:8, (0.5,1]:4}\n"},
    {"rate(c[4m])", 240000, 0, 0,
     "{} {count:0.016666666666666663, sum:0.033333333333333326, (0.5,1]:0.016666666666666663}\n"},
    {"irate(c[4m])", 240000, 0, 0,
     "{} {count:0.016666666666666666, sum:0.03333333333333333, (0.5,1]:0.016666666666666666}\n"},
    {"increase(c[1m])", 240000, 0, 0, ""},
    {"increase(c[4m:2m])", 240000, 0, 0, "{} {count:4, sum:8, (0.5,1]:4}\n"},
    /* (0, 4m]: 8, 9, reset, 2, 4: 4 - 8 + 9 = 5 over 3 min, 1 min to the start */
    {"increase(r[4m])", 240000, 0, 0,
     "{} {count:6.666666666666666, sum:6.666666666666666, (0.5,1]:6.666666666666666}\n"},
    {"increase(r[2m])", 180000, 0, 0, "{} {count:4, sum:4, (0.5,1]:4}\n"},
    {"irate(r[2m]) * 60", 180000, 0, 0, "{} {count:2, sum:2, (0.5,1]:2}\n"},
    {"resets(r[5m])", 240000, 0, 0, "{} 1\n"},
    {"changes(r[5m])", 240000, 0, 0, "{} 4\n"},
    {"resets(r[1m] anchored)", 180000, 0, 0, "{} 1\n"},
    {"delta(g[2m])", 60000, 0, 0, "{} {count:-4, sum:-4, (0.5,1]:-4}\n"},
    {"idelta(g[2m])", 60000, 0, 0, "{} {count:-2, sum:-2, (0.5,1]:-2}\n"},
    {"delta(c[2m])", 60000, 0, 0,
     "{} {count:2, sum:4, (0.5,1]:2}\n"
     "warning: PromQL warning: this native histogram metric is not a gauge: \"c\" (1:7)\n"},
    {"rate(g[2m])", 120000, 0, 0,
     "{} {count:0, sum:0}\n"
     "warning: PromQL warning: this native histogram metric is not a counter: \"g\" (1:6)\n"},
    {"irate(g[2m])", 120000, 0, 0,
     "{} {count:0, sum:0}\n"
     "warning: PromQL warning: this native histogram metric is not a counter: \"g\" (1:7)\n"},
    {"increase(n[2m])", 60000, 0, 0, "{k=\"a\"} {count:2, sum:4, [-Inf,2]:2}\n"
     "info: PromQL info: mismatched custom buckets were reconciled during subtraction (1:10)\n"},
    /* both kinds in one series */
    {"m", 0, 300000, 60000, "m 1 2 {count:2, sum:2, (0.5,1]:2} {count:5, sum:5, (0.5,1]:5} 3 _\n"},
    {"m[5m]", 240000, 0, 0,
     "m 1@0 2@60000 {count:2, sum:2, (0.5,1]:2}@120000 {count:5, sum:5, (0.5,1]:5}@180000 "
     "3@240000\n"},
    {"rate(m[4m])", 180000, 0, 0, MIX("m", "1:6")},
    {"increase(m[2m])", 180000, 0, 0, "{} {count:5, sum:5, (0.5,1]:5}\n"},
    {"irate(m[4m])", 120000, 0, 0, MIX("m", "1:7")},
    {"idelta(m[5m])", 60000, 0, 0, "{} 1\n"},
    {"irate(m[4m]) * 60", 180000, 0, 0, "{} {count:3, sum:3, (0.5,1]:3}\n"},
    {"increase(m[1m] anchored)", 120000, 0, 0, MIX("m", "1:10")},
    {"changes(m[6m])", 240000, 0, 0, "{} 4\n"},
    {"resets(m[6m])", 240000, 0, 0, "{} 2\n"},
    {"count_over_time(m[6m])", 240000, 0, 0, "{} 5\n"},
    {"present_over_time(m[6m])", 180000, 0, 0, "{} 1\n"},
    {"last_over_time(m[6m])", 180000, 0, 0, "m {count:5, sum:5, (0.5,1]:5}\n"},
    {"first_over_time(m[2m])", 240000, 0, 0, "m {count:5, sum:5, (0.5,1]:5}\n"},
    {"ts_of_last_over_time(m[6m])", 180000, 0, 0, "{} 180\n"},
    {"ts_of_first_over_time(m[2m])", 180000, 0, 0, "{} 120\n"},
    {"sum_over_time(m[6m])", 180000, 0, 0, MIX("m", "1:15")},
    {"avg_over_time(m[6m])", 180000, 0, 0, MIX("m", "1:15")},
    {"sum_over_time(m[2m])", 180000, 0, 0, "{} {count:7, sum:7, (0.5,1]:7}\n"},
    {"avg_over_time(m[2m])", 180000, 0, 0, "{} {count:3.5, sum:3.5, (0.5,1]:3.5}\n"},
    {"max_over_time(m[6m])", 180000, 0, 0, "{} 2\n" IGNORED("m", "1:15")},
    {"min_over_time(m[2m])", 180000, 0, 0, ""},
    {"stddev_over_time(m[6m])", 180000, 0, 0, "{} 0.5\n" IGNORED("m", "1:18")},
    {"quantile_over_time(0.5, m[6m])", 180000, 0, 0, "{} 1.5\n" IGNORED("m", "1:20")},
    {"mad_over_time(m[6m])", 180000, 0, 0, "{} 0.5\n" IGNORED("m", "1:15")},
    {"deriv(m[6m])", 180000, 0, 0, "{} 0.016666666666666666\n" IGNORED("m", "1:7")},
    {"absent_over_time(m[1m])", 180000, 0, 0, ""},
    /* other buckets */
    {"sum_over_time(n[2m])", 60000, 0, 0,
     "{k=\"a\"} {count:5, sum:6, [-Inf,2]:5}\n"
     "info: PromQL info: mismatched custom buckets were reconciled during aggregation (1:15)\n"},
    {"sum(e)", 60000, 0, 0,
     "warning: PromQL warning: vector contains a mix of histograms with exponential and custom "
     "buckets schemas for metric name \"e\" (1:5)\n"},
    {"e{k=\"exp\"} + ignoring (k) e{k=\"nhcb\"}", 60000, 0, 0,
     "warning: PromQL warning: incompatible bucket layout encountered for binary operator + "
     "(1:1)\n"},
    {"e{k=\"nhcb\"} - ignoring (k) n", 60000, 0, 0,
     "{} {count:-1, sum:-2, [-Inf,2]:-1}\n"
     "info: PromQL info: mismatched custom buckets were reconciled during subtraction (1:1)\n"},
    /* aggregations */
    {"sum({__name__=~\"c|r\"})", 60000, 0, 0, "{} {count:10, sum:12, (0.5,1]:10}\n"},
    {"avg({__name__=~\"c|r\"})", 60000, 0, 0, "{} {count:5, sum:6, (0.5,1]:5}\n"},
    {"sum({__name__=~\"c|f\"})", 60000, 0, 0,
     "warning: PromQL warning: encountered a mix of histograms and floats for aggregation "
     "(1:5)\n"},
    {"count({__name__=~\"c|f\"}) + group({__name__=~\"c|f\"})", 60000, 0, 0, "{} 3\n"},
    {"max({__name__=~\"c|f\"})", 60000, 0, 0,
     "{} 3\ninfo: PromQL info: ignored histogram in max aggregation (1:5)\n"},
    {"stddev(c)", 60000, 0, 0,
     "info: PromQL info: ignored histogram in stddev aggregation (1:8)\n"},
    {"topk(1, {__name__=~\"c|f\"})", 60000, 0, 0,
     "f 3\ninfo: PromQL info: ignored histogram in topk aggregation (1:9)\n"},
    {"quantile(0.5, {__name__=~\"c|f\"})", 60000, 0, 0,
     "{} 3\ninfo: PromQL info: ignored histogram in quantile aggregation (1:15)\n"},
    {"limitk(1, c)", 60000, 0, 0, "c {count:2, sum:4, (0.5,1]:2}\n"},
    {"limit_ratio(1, c)", 60000, 0, 0, "c {count:2, sum:4, (0.5,1]:2}\n"},
    {"count_values(\"v\", {__name__=~\"c|f\"})", 0, 60000, 60000,
     "{v=\"3\"} 1 1\n{v=\"{count:1, sum:2, (0.5,1]:1}\"} 1 _\n"
     "{v=\"{count:2, sum:4, (0.5,1]:2}\"} _ 1\n"},
    /* operators */
    {"-c", 0, 0, 0, "{} {count:-1, sum:-2, (0.5,1]:-1}\n"},
    {"+c", 0, 0, 0, "c {count:1, sum:2, (0.5,1]:1}\n"},
    {"c * 2 + on () c", 0, 0, 0, "{} {count:3, sum:6, (0.5,1]:3}\n"},
    {"f * c / f", 0, 0, 0, "{} {count:1, sum:2, (0.5,1]:1}\n"},
    {"c == c", 0, 0, 0, "c {count:1, sum:2, (0.5,1]:1}\n"},
    {"c != bool c", 0, 0, 0, "{} 0\n"},
    {"c == 1", 0, 0, 0,
     "info: PromQL info: incompatible sample types encountered for binary operator \"==\": "
     "histogram == float (1:1)\n"},
    {"c > on () r", 0, 0, 0,
     "info: PromQL info: incompatible sample types encountered for binary operator \">\": "
     "histogram > histogram (1:1)\n"},
    {"2 ^ c", 0, 0, 0,
     "info: PromQL info: incompatible sample types encountered for binary operator \"^\": "
     "float ^ histogram (1:1)\n"},
    {"f </ 2", 0, 0, 0,
     "info: PromQL info: incompatible sample types encountered for binary operator \"</\": "
     "float </ float (1:1)\n"},
    {"1 </ 2", 0, 0, 0, "error: operator \"</\" not allowed for Scalar operations\n"},
    {"c >/ 1", 0, 0, 0, "c {count:0, sum:0}\n"},
    {"c and on () r", 0, 0, 0, "c {count:1, sum:2, (0.5,1]:1}\n"},
    {"c or f unless c", 0, 0, 0, "c {count:1, sum:2, (0.5,1]:1}\n"},
    /* functions of histograms */
    {"histogram_count(c) + histogram_sum(c) + histogram_avg(c)", 0, 0, 0, "{} 5\n"},
    {"histogram_count(m)", 0, 240000, 60000, "{} _ _ 2 5 _\n"},
    {"histogram_quantile(0.5, c)", 0, 0, 0, "{} 0.7071067811865476\n"},
    {"histogram_fraction(0, 1, c)", 0, 0, 0, "{} 1\n"},
    {"histogram_quantile(0.5, h_bucket)", 0, 0, 0,
     "warning: PromQL warning: vector contains a mix of classic and native histograms for metric "
     "name \"h_bucket\" (1:25)\n"},
    {"histogram_quantile(0.25, bad)", 0, 0, 0,
     "{} 0.7071067811865476\ninfo: PromQL info: input to histogram_quantile has NaN observations, "
     "result is skewed higher for metric name \"bad\" (1:26)\n"},
    {"histogram_quantile(0.75, bad)", 0, 0, 0,
     "{} NaN\ninfo: PromQL info: input to histogram_quantile has NaN observations, result is NaN "
     "for metric name \"bad\" (1:26)\n"},
    {"histogram_fraction(0, 1, bad)", 0, 0, 0,
     "{} 0.5\ninfo: PromQL info: input to histogram_fraction has NaN observations, which are "
     "excluded from all fractions for metric name \"bad\" (1:26)\n"},
    {"histogram_quantiles(c, \"q\", 0, 1)", 0, 0, 0, "{q=\"0.0\"} 0.5\n{q=\"1.0\"} 1\n"},
    /* functions of floats */
    {"abs(m)", 0, 240000, 60000, "{} 1 2 _ _ 3\n"},
    {"sort(m) or vector(9)", 120000, 0, 0, "{} 9\n"},
    {"scalar(c)", 0, 0, 0, "scalar NaN\n"},
    {"absent(c)", 0, 0, 0, ""},
    {"timestamp(c)", 90000, 0, 0, "{} 60\n"},
    {"label_replace(c, \"x\", \"y\", \"\", \"\")", 0, 0, 0,
     "c{x=\"y\"} {count:1, sum:2, (0.5,1]:1}\n"},
    /* between samples */
    {"c smoothed", 90000, 0, 0, "c {count:2.5, sum:5, (0.5,1]:2.5}\n"},
    {"r smoothed", 150000, 0, 0, "r {count:1, sum:1, (0.5,1]:1}\n"}, /* from nothing to 2 */
    {"g smoothed", 30000, 0, 0, "g {count:3, sum:3, (0.5,1]:3}\n"},
    {"m smoothed", 90000, 0, 0, MIX("m", "1:1")},
    {"increase(c[1m] smoothed)", 150000, 0, 0, "{} {count:1, sum:2, (0.5,1]:1}\n"},
    {"increase(c[90s] anchored)", 150000, 0, 0, "{} {count:1, sum:2, (0.5,1]:1}\n"},
    {"increase(r[1m] smoothed)", 210000, 0, 0, /* 1 on the line to 2, then 3 */
     "{} {count:2, sum:2, (0.5,1]:2}\n"},
    {"increase(r[1m] smoothed)", 150000, 0, 0, /* 8.5, 9, 1: 1 - 8.5 + 9 */
     "{} {count:1.5, sum:1.5, (0.5,1]:1.5}\n"},
};

START_TEST(test_native)
{
    rig_check(data, &cases[_i]);
}
END_TEST

/* A reset and a counter that goes on, told where only counts are looked at. */
START_TEST(test_conflicting_resets)
{
    static const struct eval_case with = {
        "histogram_count(sum({__name__=~\"c|r\"}))", 180000, 0, 0,
        "{} 6\nwarning: PromQL warning: conflicting counter resets during histogram aggregation "
        "(1:21)\n"};
    static const struct eval_case without = {"sum({__name__=~\"c|r\"})", 180000, 0, 0,
                                             "{} {count:6, sum:10, (0.5,1]:6}\n"};
    static const struct eval_case beside = {
        "histogram_count(sum({__name__=~\"c|r\"}) + sum({__name__=~\"c|r\"}))", 180000, 0, 0,
        "{} 12\n"};
    static const struct eval_case over = {
        "histogram_sum(sum_over_time(r[2m]))", 180000, 0, 0,
        "{} 11\nwarning: PromQL warning: conflicting counter resets during histogram aggregation "
        "(1:29)\n"};
    rig_check(data, &with);
    rig_check(data, &without);
    rig_check(data, &beside);
    rig_check(data, &over);
}
END_TEST

/* Nothing is lost silently when memory ends in the middle. */
START_TEST(test_refused_memory)
{
    static const char *const queries[] = {
        "sum(rate({__name__=~\"c|r|e|n\"}[3m]))", "avg_over_time(n[5m])",
        "histogram_quantile(0.5, c + on () r)",   "count_values(\"v\", c </ 0.7)",
        "increase(r[2m] smoothed)",               "r smoothed"};
    struct querier_mem mem;
    struct account account;
    struct strbuf out;
    int n_refused = 0, n_done = 0;

    rig_load(&mem, data);
    strbuf_init(&out, 0);
    for (size_t limit = 512; limit < 60000; limit += 1024) {
        for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
            struct eval_case c = {queries[i], 60000, 300000, 60000, NULL};
            struct rig_options opt = {.account = &account};
            account_init(&account, "eval", NULL, limit);
            strbuf_reset(&out);
            status st = rig_run(&mem, &c, &opt, &out);
            ck_assert(st == ST_OK || st == ST_NO_MEMORY);
            if (st == ST_OK) n_done++;
            else n_refused++;
        }
    }
    ck_assert_int_gt(n_refused, 0);
    ck_assert_int_gt(n_done, 0);
    strbuf_release(&out);
    querier_mem_release(&mem);
}
END_TEST

/* What a range function makes of one series is gone when the series has been put. */
START_TEST(test_memory_grows_with_groups)
{
    enum { SERIES = 300, STEPS = 60, MEMORY_MAX = 1 << 20 }; /* results alone: 5 MB */
    static const char *const none[] = {NULL};
    struct querier_mem mem;
    struct account account;
    struct strbuf out;
    struct err err = {0};
    struct eval_case c = {"sum(rate(h[5m]))", 300000, 300000 + STEPS * 60000, 60000, NULL};
    struct rig_options opt = {.account = &account};

    rig_load(&mem, (struct eval_data){60000, none});
    for (int i = 0; i < SERIES; i++) {
        char line[200];
        snprintf(line, sizeof(line),
                 "h{i=\"%d\"} {{count:4 buckets:[1 1 1 1]}}+{{count:4 buckets:[1 1 1 1]}}x70", i);
        ck_assert_int_eq(querier_mem_load(&mem, 60000, line, &err), ST_OK);
    }
    account_init(&account, "eval", NULL, MEMORY_MAX);
    strbuf_init(&out, 0);
    ck_assert_msg(rig_run(&mem, &c, &opt, &out) == ST_OK, "%s", strbuf_cstr(&out));
    c.query = "rate(h[5m])"; /* all of it is wanted: more than there may be */
    ck_assert_int_eq(rig_run(&mem, &c, &opt, &out), ST_NO_MEMORY);
    strbuf_release(&out);
    querier_mem_release(&mem);
}
END_TEST

#define N(a) (int)(sizeof(a) / sizeof((a)[0]))

Suite *suite_fn_histogram_native(void)
{
    Suite *s = suite_create("fn_histogram_native");
    TCase *tc = tcase_create("fn_histogram_native");

    tcase_add_loop_test(tc, test_native, 0, N(cases));
    tcase_add_test(tc, test_conflicting_resets);
    tcase_add_test(tc, test_refused_memory);
    tcase_add_test(tc, test_memory_grows_with_groups);
    suite_add_tcase(s, tc);
    return s;
}
