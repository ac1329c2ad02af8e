/* Goal: the numeric kernels give what arithmetic on paper gives, at the edges too.
 * Method: tables of small inputs. */
#include "promql/quantile.h"
#include "tests/unit/promql/promql_suites.h"

static void check_value(const char *name, double got, double want)
{
    bool same = isnan(want) ? isnan(got)
                            : got == want || fabs(got - want) <= 1e-12 * fabs(want);
    ck_assert_msg(same, "%s: got %.17g, want %.17g", name, got, want);
}

START_TEST(test_sums_are_compensated)
{
    double v[] = {1, 1e100, 1, -1e100}, sum = 0, c = 0;

    for (size_t i = 0; i < 4; i++) kahan_add(v[i], &sum, &c);
    ck_assert_double_eq(sum + c, 2);
    sum = c = 0;
    kahan_add(INFINITY, &sum, &c);
    kahan_add(1, &sum, &c);
    ck_assert(isinf(sum) && c == 0);
}
END_TEST

static const struct {
    const char *name;
    size_t n;
    double v[4], mean;
} means[] = {
    {"one", 1, {5}, 5},
    {"plain", 4, {1, 2, 3, 4}, 2.5},
    {"cancelling", 4, {2, 8, 1e100, -1e100}, 2.5},
    {"overflowing sum", 3, {1.7e308, 1.7e308, 1.7e308}, 1.7e308},
    {"overflow that comes back", 4, {1.7e308, 1.7e308, -1.7e308, -1.7e308}, 0},
    {"infinite first", 3, {INFINITY, 1, 2}, INFINITY},
    {"infinite later", 3, {1, -INFINITY, 2}, -INFINITY},
    {"both infinities", 2, {INFINITY, -INFINITY}, NAN},
    {"not a number", 3, {1, NAN, 2}, NAN},
};

START_TEST(test_mean_survives_overflow)
{
    struct mean m;

    mean_first(&m, means[_i].v[0]);
    for (size_t i = 1; i < means[_i].n; i++) mean_add(&m, means[_i].v[i]);
    if (means[_i].mean == 0) ck_assert_double_le(fabs(mean_value(&m)), 1e292);
    else check_value(means[_i].name, mean_value(&m), means[_i].mean);
}
END_TEST

static const struct {
    const char *name;
    double q;
    size_t n;
    double v[4], want;
} quantiles[] = {
    {"empty", 0.5, 0, {0}, NAN},
    {"q is NaN", NAN, 2, {1, 2}, NAN},
    {"below", -0.1, 2, {1, 2}, -INFINITY},
    {"above", 1.1, 2, {1, 2}, INFINITY},
    {"smallest", 0, 3, {3, 1, 2}, 1},
    {"largest", 1, 3, {3, 1, 2}, 3},
    {"between ranks", 0.8, 3, {4, 0, 1}, 2.8},
    {"NaN is smallest", 0.8, 3, {1, NAN, 0}, 0.6},
    {"near NaN", 0.2, 3, {1, NAN, 0}, NAN},
    {"one", 0.3, 1, {7}, 7},
};

START_TEST(test_quantile_interpolates)
{
    double v[4];

    memcpy(v, quantiles[_i].v, sizeof(v));
    check_value(quantiles[_i].name, quantile_of(quantiles[_i].q, v, quantiles[_i].n),
                quantiles[_i].want);
}
END_TEST

#define INF INFINITY
static const struct {
    const char *name;
    size_t n;
    struct bucket b[6];
    double q, want;
    bool forced;
    double diff;
} histograms[] = {
    {"no +Inf", 2, {{1, 1}, {2, 2}}, 0.5, NAN, false, 0},
    {"only +Inf", 1, {{INF, 2}}, 0.5, NAN, false, 0},
    {"empty", 2, {{1, 0}, {INF, 0}}, 0.5, NAN, false, 0},
    {"first bucket from zero", 2, {{10, 10}, {INF, 10}}, 0.5, 5, false, 0},
    {"first bound not positive", 2, {{-1, 10}, {INF, 10}}, 0.5, -1, false, 0},
    {"last bucket", 3, {{1, 1}, {2, 2}, {INF, 10}}, 0.9, 2, false, 0},
    {"unsorted", 3, {{INF, 4}, {2, 4}, {1, 2}}, 0.75, 1.5, false, 0},
    {"one bound twice", 4, {{1, 1}, {2, 1}, {2, 1}, {INF, 2}}, 0.75, 1.5, false, 0},
    {"q below", 2, {{1, 1}, {INF, 1}}, -1, -INF, false, 0},
    {"q above", 2, {{1, 1}, {INF, 1}}, 2, INF, false, 0},
    {"q NaN", 2, {{1, 1}, {INF, 1}}, NAN, NAN, false, 0},
    {"decreasing", 6, {{.1, 20}, {1, 10}, {10, 50}, {100, 40}, {1000, 90}, {INF, 80}}, 0.5, 8.5,
     true, 10},
    {"rounding only", 3, {{1, 10}, {2, 10 - 1e-13}, {INF, 10}}, 1, 1, false, 0},
};

START_TEST(test_classic_quantile)
{
    struct bucket b[6];
    struct bucket_repair repair;

    memcpy(b, histograms[_i].b, sizeof(b));
    double got = bucket_quantile(histograms[_i].q, b, histograms[_i].n, &repair);
    check_value(histograms[_i].name, got, histograms[_i].want);
    ck_assert_msg(repair.forced == histograms[_i].forced, "%s", histograms[_i].name);
    if (repair.forced) ck_assert_double_eq(repair.diff_max, histograms[_i].diff);
}
END_TEST

static const struct {
    const char *name;
    size_t n;
    struct bucket b[4];
    double lower, upper, want;
} fractions[] = {
    {"inside", 4, {{1, 1}, {2, 3}, {3, 6}, {INF, 100}}, 0, 1.5, 0.02},
    {"all", 4, {{1, 1}, {2, 3}, {3, 6}, {INF, 100}}, -INF, INF, 1},
    {"above the last bound", 4, {{1, 1}, {2, 3}, {3, 6}, {INF, 100}}, 4, 5, 0},
    {"to infinity", 4, {{1, 1}, {2, 3}, {3, 6}, {INF, 100}}, 400, INF, 0.94},
    {"from minus infinity", 4, {{-3, 10}, {-2, 12}, {-1, 15}, {INF, 100}}, -INF, -1.5, 0.135},
    {"below the first bound", 4, {{-3, 10}, {-2, 12}, {-1, 15}, {INF, 100}}, -4, -2, 0.02},
    {"nothing between", 4, {{1, 1}, {2, 3}, {3, 6}, {INF, 100}}, 2, 2, 0},
    {"upside down", 4, {{1, 1}, {2, 3}, {3, 6}, {INF, 100}}, 3, 2, 0},
    {"lower NaN", 2, {{1, 1}, {INF, 2}}, NAN, 1, NAN},
    {"empty", 2, {{1, 0}, {INF, 0}}, 0, 1, NAN},
    {"no +Inf", 2, {{1, 1}, {2, 2}}, 0, 1, NAN},
};

START_TEST(test_classic_fraction)
{
    struct bucket b[4];

    memcpy(b, fractions[_i].b, sizeof(b));
    check_value(fractions[_i].name,
                bucket_fraction(fractions[_i].lower, fractions[_i].upper, b, fractions[_i].n),
                fractions[_i].want);
}
END_TEST

#define N(a) (int)(sizeof(a) / sizeof((a)[0]))

Suite *suite_quantile(void)
{
    Suite *s = suite_create("quantile");
    TCase *tc = tcase_create("quantile");

    tcase_add_test(tc, test_sums_are_compensated);
    tcase_add_loop_test(tc, test_mean_survives_overflow, 0, N(means));
    tcase_add_loop_test(tc, test_quantile_interpolates, 0, N(quantiles));
    tcase_add_loop_test(tc, test_classic_quantile, 0, N(histograms));
    tcase_add_loop_test(tc, test_classic_fraction, 0, N(fractions));
    suite_add_tcase(s, tc);
    return s;
}
