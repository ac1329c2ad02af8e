/* Goal: quantiles, fractions and spread of native histograms follow Prometheus, NaN
 * observations and buckets without end included. Method: tables; the numbers follow from
 * the bounds (2^(1/2) is the middle of (1,2]). Then quantile and fraction undo each other
 * over random ranks. */
#include "base/rng.h"
#include "promql/hist_quantile.h"
#include "tests/lib/histogram_parse.h"
#include "tests/unit/promql/promql_suites.h"

static struct arena arena;

static void setup(void)
{
    arena_init(&arena, NULL, 4096);
}

static void teardown(void)
{
    arena_release(&arena);
}

static const struct histogram *parse(const char *text)
{
    const struct histogram *h = NULL;
    struct err err = {0};

    ck_assert_msg(histogram_parse(&h, slice_str(text), &arena, &err) == ST_OK, "%s: %s", text,
                  err.text);
    return h;
}

static void check_number(const char *what, double got, double want)
{
    bool same = (isnan(got) && isnan(want)) || got == want || fabs(got - want) < 1e-12;

    ck_assert_msg(same, "%s: %.17g, want %.17g", what, got, want);
}

static const struct {
    const char *h;
    double q, want;
    enum hist_nans nans;
} quantiles[] = {
    {"count:4 sum:5 buckets:[1 2 1]", 0.5, 1.4142135623730950, HIST_NANS_NONE},
    {"count:4 sum:5 buckets:[1 2 1]", 1, 4, HIST_NANS_NONE},
    {"count:4 sum:5 buckets:[1 2 1]", 0, 0.5, HIST_NANS_NONE},
    {"count:4 sum:5 buckets:[1 2 1]", -0.1, -INFINITY, HIST_NANS_NONE},
    {"count:4 sum:5 buckets:[1 2 1]", 1.1, INFINITY, HIST_NANS_NONE},
    {"count:4 sum:5 buckets:[1 2 1]", NAN, NAN, HIST_NANS_NONE},
    {"count:0", 0.5, NAN, HIST_NANS_NONE},
    {"count:4 sum:-5 n_buckets:[1 2 1]", 0.5, -1.4142135623730950, HIST_NANS_NONE},
    /* the zero bucket: linear, and one-sided when all else is */
    {"count:2 z_bucket:2 z_bucket_w:1", 0.75, 0.5, HIST_NANS_NONE},
    {"count:4 z_bucket:2 z_bucket_w:0.5 offset:1 buckets:[2]", 0.25, 0.25, HIST_NANS_NONE},
    {"count:4 z_bucket:2 z_bucket_w:0.5 n_offset:1 n_buckets:[2]", 0.75, -0.25, HIST_NANS_NONE},
    /* custom: linear, from zero in the first bucket, nothing known about the ends */
    {"schema:-53 count:4 sum:9 custom_values:[5 10] buckets:[1 2 1]", 0.5, 7.5, HIST_NANS_NONE},
    {"schema:-53 count:4 sum:9 custom_values:[5 10] buckets:[1 2 1]", 0.125, 2.5, HIST_NANS_NONE},
    {"schema:-53 count:4 sum:9 custom_values:[5 10] buckets:[1 2 1]", 0.9, 10, HIST_NANS_NONE},
    {"schema:-53 count:4 sum:9 custom_values:[-5 10] buckets:[1 2 1]", 0.1, -5, HIST_NANS_NONE},
    /* NaN observations are in the count alone */
    {"count:15 sum:NaN buckets:[12]", 0.4, 0.7071067811865475, HIST_NANS_SKEW},
    {"count:15 sum:NaN buckets:[12]", 0.8, 1, HIST_NANS_SKEW},
    {"count:15 sum:NaN buckets:[12]", 0.81, NAN, HIST_NANS_RESULT},
    {"count:3 sum:NaN", 0.5, NAN, HIST_NANS_RESULT},
    /* a count above what the buckets have, as rates make it */
    {"count:4.5 sum:1 buckets:[4]", 0.1, 0.5 * 1.0810, HIST_NANS_NONE},
};

START_TEST(test_quantiles)
{
    enum hist_nans nans;
    double got = histogram_quantile(quantiles[_i].q, parse(quantiles[_i].h), &nans);

    if (_i == (int)(sizeof(quantiles) / sizeof(quantiles[0])) - 1) {
        ck_assert_double_eq_tol(got, quantiles[_i].want, 1e-4);
    } else {
        check_number(quantiles[_i].h, got, quantiles[_i].want);
    }
    ck_assert_int_eq(nans, quantiles[_i].nans);
}
END_TEST

static const struct {
    const char *h;
    double lower, upper, want;
    enum hist_nans nans;
} fractions[] = {
    {"count:4 sum:5 buckets:[1 2 1]", 1, 2, 0.5, HIST_NANS_NONE},
    {"count:4 sum:5 buckets:[1 2 1]", 1, 1.4142135623730950, 0.25, HIST_NANS_NONE},
    {"count:4 sum:5 buckets:[1 2 1]", -INFINITY, INFINITY, 1, HIST_NANS_NONE},
    {"count:4 sum:5 buckets:[1 2 1]", 2, 1, 0, HIST_NANS_NONE},
    {"count:4 sum:5 buckets:[1 2 1]", 5, 9, 0, HIST_NANS_NONE},
    {"count:4 sum:5 buckets:[1 2 1]", NAN, 9, NAN, HIST_NANS_NONE},
    {"count:0", 0, 9, NAN, HIST_NANS_NONE},
    {"count:4 sum:-5 n_buckets:[1 2 1]", -1.4142135623730950, -1, 0.25, HIST_NANS_NONE},
    {"count:2 z_bucket:2 z_bucket_w:1", 0, 0.5, 0.25, HIST_NANS_NONE},
    {"count:4 z_bucket:2 z_bucket_w:0.5 offset:1 buckets:[2]", 0, 0.25, 0.25, HIST_NANS_NONE},
    {"schema:-53 count:4 sum:9 custom_values:[5 10] buckets:[1 2 1]", 0, 7.5, 0.5, HIST_NANS_NONE},
    {"schema:-53 count:4 sum:9 custom_values:[-5 10] buckets:[1 2 1]", -9, 2.5, 0.25,
     HIST_NANS_NONE},
    {"schema:-53 count:4 sum:9 custom_values:[5 10] buckets:[1 2 1]", 20, 30, 0, HIST_NANS_NONE},
    {"count:15 sum:NaN buckets:[12]", -INFINITY, INFINITY, 0.8, HIST_NANS_LEFT_OUT},
    {"count:3 sum:NaN", -INFINITY, 1, 0, HIST_NANS_LEFT_OUT},
    {"count:12 sum:NaN buckets:[12]", -INFINITY, 1, 1, HIST_NANS_NONE},
};

START_TEST(test_fractions)
{
    enum hist_nans nans;
    double got = histogram_fraction(fractions[_i].lower, fractions[_i].upper,
                                    parse(fractions[_i].h), &nans);
    check_number(fractions[_i].h, got, fractions[_i].want);
    ck_assert_int_eq(nans, fractions[_i].nans);
}
END_TEST

START_TEST(test_quantile_and_fraction_undo_each_other)
{
    static const char *const texts[] = {
        "schema:2 count:12 sum:9 z_bucket:2 z_bucket_w:0.1 buckets:[1 4 0 2] n_buckets:[3]",
        "count:7 sum:9 offset:-3 buckets:[1 1 5]",
        "schema:-53 count:6 sum:9 custom_values:[1 5 10] buckets:[1 2 3]",
    };
    enum hist_nans nans;
    struct rng rng;

    rng_init(&rng, unit_seed());
    for (int i = 0; i < 3000; i++) {
        const struct histogram *h = parse(texts[rng_below(&rng, 3)]);
        double q = (double)rng_below(&rng, 1000) / 1000;
        double x = histogram_quantile(q, h, &nans);
        double part = histogram_fraction(-INFINITY, x, h, &nans);
        ck_assert_msg(fabs(part - q) < 1e-9, "quantile %g is %g, of which %g are below", q, x,
                      part);
        arena_reset(&arena);
    }
}
END_TEST

static const struct {
    const char *h;
    double want;
} variances[] = {
    {"schema:8 count:10 sum:10 buckets:[1 2 3 4]", 2.3971123370139447e-05},
    {"schema:0 count:10 sum:-100 n_buckets:[0 0 0 0 10]", 1.725830020304794},
    {"schema:-53 count:2 sum:10 custom_values:[2 4 6] buckets:[0 1 1]", 2},
    {"schema:-53 count:2 sum:10 custom_values:[2 4] buckets:[0 1 1]", INFINITY},
    {"count:2 sum:0 z_bucket:2 z_bucket_w:1", 0},
    {"count:0", NAN},
};

START_TEST(test_variances)
{
    check_number(variances[_i].h, histogram_variance(parse(variances[_i].h)), variances[_i].want);
}
END_TEST

static const struct {
    const char *h, *want;
} texts[] = {
    {"", "{count:0, sum:0}"},
    {"schema:0 sum:10 count:20 z_bucket_w:0.001 z_bucket:2 buckets:[1 2] n_buckets:[1 2]",
     "{count:20, sum:10, [-2,-1):2, [-1,-0.5):1, [-0.001,0.001]:2, (0.5,1]:1, (1,2]:2}"},
    {"schema:1 count:1e6 sum:NaN offset:1 buckets:[0.5 0 Inf]",
     "{count:1e+06, sum:NaN, (1,1.414213562373095]:0.5, (2,2.82842712474619]:+Inf}"},
    {"schema:-53 count:3 custom_values:[0.1] buckets:[1 2]",
     "{count:3, sum:0, [-Inf,0.1]:1, (0.1,+Inf]:2}"},
};

START_TEST(test_texts)
{
    struct strbuf out;

    strbuf_init(&out, 0);
    histogram_text(&out, parse(texts[_i].h));
    ck_assert_str_eq(strbuf_cstr(&out), texts[_i].want);
    strbuf_release(&out);
}
END_TEST

#define N(a) (int)(sizeof(a) / sizeof((a)[0]))

Suite *suite_hist_quantile(void)
{
    Suite *s = suite_create("hist_quantile");
    TCase *tc = tcase_create("hist_quantile");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, test_quantiles, 0, N(quantiles));
    tcase_add_loop_test(tc, test_fractions, 0, N(fractions));
    tcase_add_test(tc, test_quantile_and_fraction_undo_each_other);
    tcase_add_loop_test(tc, test_variances, 0, N(variances));
    tcase_add_loop_test(tc, test_texts, 0, N(texts));
    suite_add_tcase(s, tc);
    return s;
}
