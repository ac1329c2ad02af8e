/* Goal: aggregations group, fold and choose as Prometheus does, step by step. Method:
 * tables. */
#include "tests/unit/promql/eval_rig.h"

static const char *const lines[] = {
    "m{g=\"x\",i=\"0\"} 1 2 3",
    "m{g=\"x\",i=\"1\"} 4 _ 6",
    "m{g=\"y\",i=\"0\"} 9 8 7",
    "big{i=\"0\"} 1e100",
    "big{i=\"1\"} 1",
    "big{i=\"2\"} -1e100",
    "odd{i=\"0\"} NaN",
    "odd{i=\"1\"} 5",
    "odd{i=\"2\"} 3",
    "k 1 2 0",
    NULL,
};
static const struct eval_data data = {400000, lines}; /* beyond look-back: gaps are gaps */

static const struct eval_case cases[] = {
    {"sum(m)", 0, 800000, 400000, "{} 14 10 16\n"},
    {"sum by (g) (m)", 0, 800000, 400000, "{g=\"x\"} 5 2 9\n{g=\"y\"} 9 8 7\n"},
    {"sum without (i) (m)", 0, 800000, 400000, "{g=\"x\"} 5 2 9\n{g=\"y\"} 9 8 7\n"},
    {"sum by (g, g, none) (m)", 0, 0, 0, "{g=\"x\"} 5\n{g=\"y\"} 9\n"},
    {"sum by () (m)", 0, 0, 0, "{} 14\n"},
    {"sum without () (m{i=\"1\"})", 0, 0, 0, "{g=\"x\",i=\"1\"} 4\n"},
    {"sum(big)", 0, 0, 0, "{} 1\n"},
    {"avg(m)", 0, 800000, 400000, "{} 4.666666666666667 5 5.333333333333333\n"},
    {"avg(big)", 0, 0, 0, "{} 0.3333333333333333\n"},
    {"count by (g) (m)", 0, 800000, 400000, "{g=\"x\"} 2 1 2\n{g=\"y\"} 1 1 1\n"},
    {"group by (g) (m)", 0, 0, 0, "{g=\"x\"} 1\n{g=\"y\"} 1\n"},
    {"min(odd)", 0, 0, 0, "{} 3\n"},
    {"max(odd)", 0, 0, 0, "{} 5\n"},
    {"max(odd{i=\"0\"})", 0, 0, 0, "{} NaN\n"},
    {"stdvar(m{g=\"x\"})", 0, 800000, 400000, "{} 2.25 0 2.25\n"},
    {"stddev by (g) (m)", 0, 0, 0, "{g=\"x\"} 1.5\n{g=\"y\"} 0\n"},
    {"stddev(odd)", 0, 0, 0, "{} NaN\n"},
    {"stdvar(odd{i!=\"0\"})", 0, 0, 0, "{} 1\n"},
    {"sum(nothing)", 0, 0, 0, ""},
    /* topk and friends */
    {"topk(2, m)", 0, 0, 0, "m{g=\"y\",i=\"0\"} 9\nm{g=\"x\",i=\"1\"} 4\n"},
    {"bottomk(2, m)", 0, 0, 0, "m{g=\"x\",i=\"0\"} 1\nm{g=\"x\",i=\"1\"} 4\n"},
    {"topk(3, odd)", 0, 0, 0, "odd{i=\"1\"} 5\nodd{i=\"2\"} 3\nodd{i=\"0\"} NaN\n"},
    {"bottomk(9, odd)", 0, 0, 0, "odd{i=\"2\"} 3\nodd{i=\"1\"} 5\nodd{i=\"0\"} NaN\n"},
    {"topk by (g) (1, m)", 0, 0, 0, "m{g=\"x\",i=\"1\"} 4\nm{g=\"y\",i=\"0\"} 9\n"},
    {"topk(scalar(k), m)", 0, 800000, 400000,
     "m{g=\"x\",i=\"0\"} _ 2 _\nm{g=\"y\",i=\"0\"} 9 8 _\n"},
    {"topk(0, m)", 0, 0, 0, ""},
    {"topk(0.9, m)", 0, 0, 0, ""},
    {"topk(1, m * 0)", 0, 0, 0, "{g=\"x\",i=\"0\"} 0\n"},
    {"topk(NaN, m)", 0, 0, 0, "error: Parameter value is NaN\n"},
    {"topk(1e30, m)", 0, 0, 0, "error: Scalar value 1e+30 overflows int64\n"},
    {"bottomk(-1e30, m)", 0, 0, 0, "error: Scalar value -1e+30 underflows int64\n"},
    {"limitk(1, m)", 0, 0, 0, "m{g=\"x\",i=\"0\"} 1\n"},
    {"limitk by (g) (1, m)", 0, 0, 0, "m{g=\"x\",i=\"0\"} 1\nm{g=\"y\",i=\"0\"} 9\n"},
    {"count(limit_ratio(0.3, m) or limit_ratio(-0.7, m))", 0, 0, 0, "{} 3\n"},
    {"limit_ratio(0.3, m) and limit_ratio(-0.7, m)", 0, 0, 0, ""},
    {"count(limit_ratio(1, m))", 0, 0, 0, "{} 3\n"},
    {"count(limit_ratio(2, m))", 0, 0, 0,
     "{} 3\nwarning: PromQL warning: ratio value should be between -1 and 1, got 2, capping to 1 "
     "(1:19)\n"},
    {"limit_ratio(NaN, m)", 0, 0, 0, "error: Ratio value is NaN\n"},
    /* quantile */
    {"quantile(0.5, m)", 0, 800000, 400000, "{} 4 5 6\n"},
    {"quantile by (g) (1, m)", 0, 0, 0, "{g=\"x\"} 4\n{g=\"y\"} 9\n"},
    {"quantile(2, m)", 0, 0, 0,
     "{} +Inf\nwarning: PromQL warning: quantile value should be between 0 and 1, got 2 (1:10)\n"},
    {"quantile(NaN, nothing)", 0, 0, 0,
     "warning: PromQL warning: quantile value should be between 0 and 1, got NaN (1:10)\n"},
    /* count_values */
    {"count_values(\"v\", m)", 0, 0, 0, "{v=\"1\"} 1\n{v=\"4\"} 1\n{v=\"9\"} 1\n"},
    {"count_values(\"v\", m > bool 2)", 0, 800000, 400000,
     "{v=\"0\"} 1 1 _\n{v=\"1\"} 2 1 3\n"},
    {"count_values by (g) (\"g\", m * 0)", 0, 0, 0, "{g=\"0\"} 3\n"},
    {"count_values without (i) (\"v\", m * 0)", 0, 0, 0,
     "{g=\"x\",v=\"0\"} 2\n{g=\"y\",v=\"0\"} 1\n"},
    {"count_values(\"v\", odd * 1e20)", 0, 0, 0,
     "{v=\"NaN\"} 1\n{v=\"500000000000000000000\"} 1\n"
     "{v=\"300000000000000000000\"} 1\n"},
    {"count_values(\"a\\xc5z\", m)", 0, 0, 0, "error: invalid label name \"a\\xc5z\"\n"},
};

START_TEST(test_aggregations)
{
    rig_check(data, &cases[_i]);
}
END_TEST

#define N(a) (int)(sizeof(a) / sizeof((a)[0]))

Suite *suite_eval_aggregate(void)
{
    Suite *s = suite_create("eval_aggregate");
    TCase *tc = tcase_create("eval_aggregate");

    tcase_add_loop_test(tc, test_aggregations, 0, N(cases));
    suite_add_tcase(s, tc);
    return s;
}
