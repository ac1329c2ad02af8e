/* Goal: selectors see the samples of the open-left look-back window, with staleness, @
 * and offset; subqueries step on multiples of their resolution. Method: tables. */
#include "tests/unit/promql/eval_rig.h"

static const char *const lines[] = {
    "up 0 1 stale 3", /* 0 s, 10 s, 20 s, 30 s */
    "count_total 0+1x100",
    NULL,
};
static const struct eval_data data = {10000, lines};

static const struct eval_case cases[] = {
    {"up", 9999, 0, 0, "up 0\n"},
    {"up", 10000, 0, 0, "up 1\n"},
    {"up", 20000, 0, 0, ""},
    {"up", 29999, 0, 0, ""},
    {"up", 30000, 0, 0, "up 3\n"},
    {"up", 329999, 0, 0, "up 3\n"},
    {"up", 330000, 0, 0, ""}, /* 300 s after: the left edge is open */
    {"up", 0, 40000, 10000, "up 0 1 _ 3 3\n"},
    {"up offset 10s", 40000, 0, 0, "up 3\n"},
    {"up offset -10s", 0, 0, 0, "up 1\n"},
    {"up @ 10", 0, 40000, 20000, "up 1 1 1\n"},
    {"up @ 20 offset 10s", 0, 40000, 20000, "up 1 1 1\n"},
    {"up @ end()", 0, 30000, 10000, "up 3 3 3 3\n"},
    {"up @ start()", 0, 30000, 10000, "up 0 0 0 0\n"},
    /* ranges skip stale markers and are open on the left */
    {"count_over_time(up[30s])", 30000, 0, 0, "{} 2\n"},
    {"count_over_time(up[30001ms])", 30000, 0, 0, "{} 3\n"},
    {"count_over_time(up[10s])", 20000, 0, 0, ""},
    {"sum_over_time(count_total[100s] @ 100 offset 50s)", 25000, 0, 0, "{} 15\n"},
    {"count_over_time(count_total[20s])", 0, 40000, 10000, "{} 1 2 2 2 2\n"},
    /* an invariant part beside one that changes */
    {"count_total - count_total @ 100", 0, 20000, 10000, "{} -10 -9 -8\n"},
    {"quantile_over_time(scalar(count_total) / 2, count_total[20s] @ 100)", 0, 20000, 10000,
     "{} 9 9.5 10\n"},
    /* subqueries */
    {"count_total[30s:10s]", 45000, 0, 0, "count_total 2@20000 3@30000 4@40000\n"},
    {"count_total[30s:10s]", 40000, 0, 0, "count_total 2@20000 3@30000 4@40000\n"},
    {"count_total[30s:10s] offset 20s", 65000, 0, 0, "count_total 2@20000 3@30000 4@40000\n"},
    {"count_total[30s:10s] @ 45", 0, 0, 0, "count_total 2@20000 3@30000 4@40000\n"},
    {"count_total[20s:7s]", 20000, 0, 0, "count_total 0@7000 1@14000\n"},
    {"sum_over_time(sum_over_time(count_total[10s])[100s:25s] @ 200)", 0, 0, 0, "{} 64\n"},
    {"sum_over_time(vector(time())[100s:1s] @ 3000)", 0, 20000, 10000, "{} 295050 295050 295050\n"},
    {"max_over_time(count_total[20s:10s])", 0, 60000, 30000, "{} 0 3 6\n"},
    {"sum_over_time(timestamp(count_total @ 10)[100s:10s] @ 3000)", 0, 0, 0, "{} 100\n"},
    {"timestamp(timestamp(count_total @ 10))", 600000, 0, 0, "{} 600\n"},
    {"timestamp(count_total)", 15000, 0, 0, "{} 10\n"},
    /* smoothed selectors draw lines */
    {"count_total smoothed", 15000, 0, 0, "count_total 1.5\n"},
    {"up smoothed", 25000, 0, 0, "up 2.5\n"},
    {"up smoothed", 35000, 0, 0, "up 3\n"},
};

START_TEST(test_selectors)
{
    rig_check(data, &cases[_i]);
}
END_TEST

/* Two series of one label set (floats, then histograms) are one to the evaluator. */
START_TEST(test_types_of_one_series_meet)
{
    struct querier_mem mem;
    struct strbuf out;
    static const char *const none[] = {NULL};
    static const struct histogram h = {.count = 4, .sum = 10};
    static const struct label name[] = {{{LABEL_NAME, 8}, {"h", 1}}};
    struct point p = {.ts = 60000, .val.hist = &h};
    struct err err;
    static const struct eval_case table[] = {
        {"h", 60000, 0, 0, "h {count:4, sum:10}\n"},
        {"count(h) + count_over_time(h[1m])", 60000, 0, 0, "{} 2\n"},
        {"-h", 60000, 0, 0, "{} {count:-4, sum:-10}\n"},
        {"h / 2", 60000, 0, 0, "{} {count:2, sum:5}\n"},
        {"histogram_avg(h)", 60000, 0, 0, "{} 2.5\n"},
        {"h + 1", 60000, 0, 0,
         "info: PromQL info: incompatible sample types encountered for binary operator \"+\": "
         "histogram + float (1:1)\n"},
        {"max(h)", 60000, 0, 0, "info: PromQL info: ignored histogram in max aggregation (1:5)\n"},
        {"abs(h)", 60000, 0, 0, ""},
        {"h[2m]", 60000, 0, 0, "h {count:4, sum:10}@60000\n"},
    };

    rig_load(&mem, (struct eval_data){1, none});
    ck_assert_int_eq(
        querier_mem_add(&mem, (struct labels){name, 1}, VALUE_HISTOGRAM, &p, 1, &err), ST_OK);
    strbuf_init(&out, 0);
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        strbuf_reset(&out);
        ck_assert_int_eq(rig_run(&mem, &table[i], NULL, &out), ST_OK);
        ck_assert_msg(strcmp(strbuf_cstr(&out), table[i].want) == 0, "%s: %s", table[i].query,
                      strbuf_cstr(&out));
    }
    strbuf_release(&out);
    querier_mem_release(&mem);
}
END_TEST

#define N(a) (int)(sizeof(a) / sizeof((a)[0]))

Suite *suite_eval_select(void)
{
    Suite *s = suite_create("eval_select");
    TCase *tc = tcase_create("eval_select");

    tcase_add_loop_test(tc, test_selectors, 0, N(cases));
    tcase_add_test(tc, test_types_of_one_series_meet);
    suite_add_tcase(s, tc);
    return s;
}
