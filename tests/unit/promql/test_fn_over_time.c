/* Goal: aggregations over a range. Method: a table over a few short series. */
#include "tests/unit/promql/eval_rig.h"

static const char *const lines[] = {
    "m 3 1 4 1 5",
    "holes NaN 2 NaN 1",
    "only NaN NaN",
    "big 1e100 1 -1e100",
    "gap{a=\"1\"} 1 _ 3",
    NULL,
};
static const struct eval_data data = {10000, lines};

static const struct eval_case cases[] = {
    {"avg_over_time(m[1m])", 40000, 0, 0, "{} 2.8\n"},
    {"sum_over_time(m[20s])", 0, 40000, 10000, "{} 3 4 5 5 6\n"},
    {"sum_over_time(big[1m])", 20000, 0, 0, "{} 1\n"},
    {"avg_over_time(big[1m])", 20000, 0, 0, "{} 0.3333333333333333\n"},
    {"min_over_time(m[1m])", 40000, 0, 0, "{} 1\n"},
    {"max_over_time(m[1m])", 40000, 0, 0, "{} 5\n"},
    {"min_over_time(holes[1m])", 40000, 0, 0, "{} 1\n"},
    {"max_over_time(holes[1m])", 40000, 0, 0, "{} 2\n"},
    {"max_over_time(only[1m])", 40000, 0, 0, "{} NaN\n"},
    {"count_over_time(gap[1m])", 40000, 0, 0, "{a=\"1\"} 2\n"},
    {"present_over_time(gap[1m])", 40000, 0, 0, "{a=\"1\"} 1\n"},
    {"stddev_over_time(m[1m])", 40000, 0, 0, "{} 1.6\n"},
    {"stdvar_over_time(m[20s])", 20000, 0, 0, "{} 2.25\n"},
    {"last_over_time(m[1m])", 40000, 0, 0, "m 5\n"},
    {"first_over_time(m[35s])", 40000, 0, 0, "m 1\n"},
    {"ts_of_first_over_time(m[25s])", 40000, 0, 0, "{} 20\n"},
    {"ts_of_last_over_time(gap[1m])", 40000, 0, 0, "{a=\"1\"} 20\n"},
    {"ts_of_min_over_time(m[1m])", 40000, 0, 0, "{} 30\n"}, /* the last of equals */
    {"ts_of_max_over_time(holes[1m])", 40000, 0, 0, "{} 10\n"},
    {"quantile_over_time(0.5, m[1m])", 40000, 0, 0, "{} 3\n"},
    {"quantile_over_time(0.25, m[25s])", 40000, 0, 0, "{} 2.5\n"},
    {"quantile_over_time(2, m[1m])", 40000, 0, 0,
     "{} +Inf\nwarning: PromQL warning: quantile value should be between 0 and 1, got 2 (1:20)\n"},
    {"mad_over_time(m[1m])", 40000, 0, 0, "{} 2\n"},
    {"mad_over_time(holes[1m])", 40000, 0, 0, "{} NaN\n"},
    {"sum_over_time(nothing[1m])", 40000, 0, 0, ""},
    /* absence */
    {"absent_over_time(m[20s])", 0, 80000, 20000, "{} _ _ _ 1 1\n"},
    {"absent_over_time(x{a=\"1\",b!=\"2\",c=\"3\",c=\"4\"}[1m])", 0, 0, 0, "{a=\"1\"} 1\n"},
    {"absent_over_time(rate(x{a=\"1\"}[1m])[1m:])", 0, 0, 0, "{} 1\n"},
    {"absent_over_time(m[1m])", 40000, 0, 0, ""},
};

START_TEST(test_over_time)
{
    rig_check(data, &cases[_i]);
}
END_TEST

#define N(a) (int)(sizeof(a) / sizeof((a)[0]))

Suite *suite_fn_over_time(void)
{
    Suite *s = suite_create("fn_over_time");
    TCase *tc = tcase_create("fn_over_time");

    tcase_add_loop_test(tc, test_over_time, 0, N(cases));
    suite_add_tcase(s, tc);
    return s;
}
