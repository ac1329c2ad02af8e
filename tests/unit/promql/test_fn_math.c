/* Goal: functions of single values, scalars, dates and absence. Method: tables. */
#include "tests/unit/promql/eval_rig.h"

static const char *const lines[] = {
    "v{i=\"0\"} -2.5",
    "v{i=\"1\"} 0.35",
    "v{i=\"2\"} NaN",
    "two{i=\"0\"} 1",
    "two{i=\"1\"} 2 stale",
    "t 1136239445", /* 2006-01-02 22:04:05 */
    NULL,
};
static const struct eval_data data = {60000, lines};

static const struct eval_case math[] = {
    {"abs(v)", 0, 0, 0, "{i=\"0\"} 2.5\n{i=\"1\"} 0.35\n{i=\"2\"} NaN\n"},
    {"sgn(v)", 0, 0, 0, "{i=\"0\"} -1\n{i=\"1\"} 1\n{i=\"2\"} NaN\n"},
    {"sgn(vector(0))", 0, 0, 0, "{} 0\n"},
    {"round(v)", 0, 0, 0, "{i=\"0\"} -2\n{i=\"1\"} 0\n{i=\"2\"} NaN\n"},
    {"round(v, 0.1)", 0, 0, 0, "{i=\"0\"} -2.5\n{i=\"1\"} 0.4\n{i=\"2\"} NaN\n"},
    {"round(v, 0)", 0, 0, 0, "{i=\"0\"} NaN\n{i=\"1\"} NaN\n{i=\"2\"} NaN\n"},
    {"clamp(v, -1, 0.2)", 0, 0, 0, "{i=\"0\"} -1\n{i=\"1\"} 0.2\n{i=\"2\"} NaN\n"},
    {"clamp(v, 1, 0)", 0, 0, 0, ""},
    {"clamp(v{i=\"1\"}, NaN, 0)", 0, 0, 0, "{i=\"1\"} NaN\n"},
    {"clamp(v{i=\"1\"}, Inf, NaN)", 0, 0, 0, "{i=\"1\"} +Inf\n"},
    {"min_of(-Inf, NaN)", 0, 0, 0, "scalar -Inf\n"},
    {"clamp_min(v, 0)", 0, 0, 0, "{i=\"0\"} 0\n{i=\"1\"} 0.35\n{i=\"2\"} NaN\n"},
    {"clamp_max(v, NaN)", 0, 0, 0, "{i=\"0\"} NaN\n{i=\"1\"} NaN\n{i=\"2\"} NaN\n"},
    {"ln(v{i=\"0\"})", 0, 0, 0, "{i=\"0\"} NaN\n"},
    {"deg(vector(pi()))", 0, 0, 0, "{} 180\n"},
    {"rad(vector(180)) == pi()", 0, 0, 0, "{} 3.141592653589793\n"},
    {"scalar(two)", 0, 60000, 60000, "{} NaN 1\n"},
    {"scalar(nothing)", 0, 0, 0, "scalar NaN\n"},
    {"vector(time())", 0, 60000, 60000, "{} 0 60\n"},
    {"min_of(1, NaN)", 0, 0, 0, "scalar NaN\n"},
    {"max_of(-0, 0)", 0, 0, 0, "scalar 0\n"},
    {"min_of(2, max_of(1, 3))", 0, 0, 0, "scalar 2\n"},
    {"absent(two)", 0, 0, 0, ""},
    {"absent(two{i=\"1\"})", 0, 120000, 60000, "{i=\"1\"} _ 1 1\n"},
    {"absent(x{a=\"1\",a=\"2\",b=~\"c\",d=\"3\"})", 0, 0, 0, "{d=\"3\"} 1\n"},
    {"absent(x{a!=\"1\",a=\"2\"})", 0, 0, 0, "{a=\"2\"} 1\n"},
    {"absent(sum(x{a=\"1\"}))", 0, 0, 0, "{} 1\n"},
    {"start() + end() + step() + range()", 0, 120000, 60000, "{} 300 300 300\n"},
    {"range()", 5000, 0, 0, "scalar 0\n"},
};

START_TEST(test_math)
{
    rig_check(data, &math[_i]);
}
END_TEST

static const struct eval_case dates[] = {
    {"year(t)", 0, 0, 0, "{} 2006\n"},
    {"month(t)", 0, 0, 0, "{} 1\n"},
    {"day_of_month(t)", 0, 0, 0, "{} 2\n"},
    {"day_of_week(t)", 0, 0, 0, "{} 1\n"},
    {"day_of_year(t)", 0, 0, 0, "{} 2\n"},
    {"hour(t)", 0, 0, 0, "{} 22\n"},
    {"minute(t)", 0, 0, 0, "{} 4\n"},
    {"days_in_month(vector(1454284800))", 0, 0, 0, "{} 29\n"},
    {"days_in_month(vector(1485907200))", 0, 0, 0, "{} 28\n"},
    {"day_of_year(vector(1483191420))", 0, 0, 0, "{} 366\n"},
    {"year(vector(-1))", 0, 0, 0, "{} 1969\n"},
    {"day_of_week(vector(-1))", 0, 0, 0, "{} 3\n"},
    {"day_of_week(vector(-86400 * 8))", 0, 0, 0, "{} 3\n"},
    {"hour(vector(-1))", 0, 0, 0, "{} 23\n"},
    {"year(vector(-62135596801))", 0, 0, 0, "{} 0\n"},
    {"month(vector(951782400)) * 100 + day_of_month(vector(951782400))", 0, 0, 0, "{} 229\n"},
    {"hour(vector(NaN))", 0, 0, 0, "{} 15\n"}, /* as Prometheus on amd64 */
    {"hour(vector(1e300))", 0, 0, 0, "{} 15\n"},
    {"day_of_week(vector(-Inf))", 0, 0, 0, "{} 0\n"},
    {"minute()", 0, 120000, 60000, "{} 0 1 2\n"},
};

START_TEST(test_dates)
{
    rig_check(data, &dates[_i]);
}
END_TEST

#define N(a) (int)(sizeof(a) / sizeof((a)[0]))

Suite *suite_fn_math(void)
{
    Suite *s = suite_create("fn_math");
    TCase *tc = tcase_create("fn_math");

    tcase_add_loop_test(tc, test_math, 0, N(math));
    tcase_add_loop_test(tc, test_dates, 0, N(dates));
    suite_add_tcase(s, tc);
    return s;
}
