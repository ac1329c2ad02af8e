/* Goal: rates extrapolate, correct resets and respect anchored and smoothed; lines fit.
 * Method: tables; the numbers are worked out in the comments or in Prometheus' design
 * papers. */
#include "tests/unit/promql/eval_rig.h"

static const char *const lines[] = {
    "c_total 0 60 120 30 90 150",       /* reset at 3 min */
    "late_total _x4 100 160",
    "g 5 3 NaN NaN 7 1",
    "line 0 10 20 30 40 0",
    "flat 7 7 7 7",
    "inf_total Inf Inf Inf",
    "tenths_total 1.3 1.2 1.6 0.1",
    "one 4",
    NULL,
};
static const struct eval_data data = {60000, lines};

static const struct eval_case cases[] = {
    /* (60 s, 180 s]: 120, 30 -> reset: 30; from 120 s to 180 s, 60 s to the start: 1 distance */
    {"increase(c_total[2m])", 180000, 0, 0, "{} 60\n"},
    {"rate(c_total[2m])", 180000, 0, 0, "{} 0.5\n"},
    {"increase(c_total[5m])", 300000, 0, 0, "{} 262.5\n"}, /* 210 over 240 s, to 300 s */
    {"delta(c_total[5m])", 300000, 0, 0, "{} 112.5\n"},
    /* (0, 300 s]: samples at 240 and 300 s; 30 s before the first: 90 s in all, counter 100 */
    {"increase(late_total[5m])", 300000, 0, 0, "{} 90\n"},
    {"rate(one[5m])", 60000, 0, 0, ""},
    {"increase(c_total[1m])", 60000, 0, 0, ""},
    {"rate(flat[3m])", 180000, 0, 0,
     "{} 0\ninfo: PromQL info: metric might not be a counter, name does not end in "
     "_total/_sum/_count/_bucket: \"flat\" (1:6)\n"},
    {"delta(flat[3m])", 180000, 0, 0, "{} 0\n"},
    /* (-1.2 + 1.3) + 1.6 as Prometheus rounds, not -1.2 + (1.3 + 1.6); times 240 / 180 */
    {"increase(tenths_total[4m])", 180000, 0, 0, "{} 2.2666666666666666\n"},
    {"rate(inf_total[3m])", 120000, 0, 0, "{} NaN\n"},
    {"irate(c_total[5m])", 0, 300000, 60000, "{} _ 1 1 0.5 1 1\n"},
    {"idelta(c_total[5m])", 0, 300000, 60000, "{} _ 60 60 -90 60 60\n"},
    {"idelta(g[5m])", 0, 300000, 60000, "{} _ -2 NaN NaN NaN -6\n"},
    {"changes(g[10m])", 300000, 0, 0, "{} 4\n"}, /* NaN after NaN is no change */
    {"resets(c_total[10m])", 300000, 0, 0, "{} 1\n"},
    {"resets(g[10m])", 300000, 0, 0, "{} 2\n"},
    {"changes(one[10m])", 300000, 0, 0, "{} 0\n"},
    /* anchored and smoothed */
    {"increase(c_total[90s] anchored)", 120000, 0, 0, "{} 120\n"},
    {"increase(c_total[90s] smoothed)", 150000, 0, 0, "{} 75\n"}, /* 60 at 60 s to 135 at 150 s */
    {"increase(c_total[1m] smoothed)", 150000, 0, 0, "{} 45\n"}, /* 90 at 90 s: 30 + half of 30 */
    {"delta(line[1m] smoothed)", 90000, 0, 0, "{} 10\n"},
    {"changes(flat[1m] anchored)", 60000, 0, 0, "{} 0\n"},
    {"changes(line[1m] anchored)", 60000, 0, 0, "{} 1\n"},
    {"deriv(line[1m] smoothed)", 60000, 0, 0,
     "error: smoothed modifier can only be used with: delta, increase, rate - not with deriv\n"},
    {"sum_over_time(line[1m] anchored)", 60000, 0, 0,
     "error: anchored modifier can only be used with: changes, delta, increase, rate, resets - not "
     "with sum_over_time\n"},
    /* lines */
    {"deriv(line[4m] offset 1m)", 300000, 0, 0, "{} 0.16666666666666666\n"},
    {"deriv(flat[10m])", 300000, 0, 0, "{} 0\n"},
    {"deriv(one[10m])", 300000, 0, 0, ""},
    {"deriv(inf_total[10m])", 300000, 0, 0, "{} NaN\n"},
    {"predict_linear(line[4m], 60)", 180000, 0, 0, "{} 40\n"},
    {"predict_linear(line[4m], scalar(flat))", 180000, 0, 0, "{} 31.166666666666668\n"},
    {"double_exponential_smoothing(line[4m], 0.5, 0.5)", 180000, 0, 0, "{} 30\n"},
    {"double_exponential_smoothing(line[4m], 1, 0.5)", 180000, 0, 0,
     "error: invalid smoothing factor. Expected: 0 < sf < 1, got: 1.000000\n"},
    {"double_exponential_smoothing(line[4m], 0.5, -1)", 180000, 0, 0,
     "error: invalid trend factor. Expected: 0 < tf < 1, got: -1.000000\n"},
    {"double_exponential_smoothing(one[4m], 0.5, 0)", 60000, 0, 0,
     "error: invalid trend factor. Expected: 0 < tf < 1, got: 0.000000\n"},
    {"double_exponential_smoothing(one[4m], 0.5, 0.5)", 60000, 0, 0, ""},
    {"double_exponential_smoothing(none[4m], 2, 2)", 60000, 0, 0, ""},
};

START_TEST(test_rates)
{
    rig_check(data, &cases[_i]);
}
END_TEST

static const char *const typed[] = {
    "a{__type__=\"counter\"} 0 1",
    "b_total{__type__=\"gauge\"} 0 1",
    NULL,
};

START_TEST(test_type_label_tells_counters)
{
    struct eval_data d = {60000, typed};
    struct eval_case a = {"increase(a[2m])", 60000, 0, 0, "{} 1\n"};
    struct eval_case b = {"increase(b_total[2m])", 60000, 0, 0,
                          "{} 1\ninfo: PromQL info: metric might not be a counter, __type__ label "
                          "is not set to \"counter\" or \"histogram\", got \"gauge\": \"b_total\" "
                          "(1:10)\n"};
    rig_check(d, &a);
    rig_check(d, &b);
}
END_TEST

#define N(a) (int)(sizeof(a) / sizeof((a)[0]))

Suite *suite_fn_rate(void)
{
    Suite *s = suite_create("fn_rate");
    TCase *tc = tcase_create("fn_rate");

    tcase_add_loop_test(tc, test_rates, 0, N(cases));
    tcase_add_test(tc, test_type_label_tells_counters);
    suite_add_tcase(s, tc);
    return s;
}
