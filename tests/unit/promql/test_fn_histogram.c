/* Goal: classic histograms are put together from their buckets at each step. Method: a
 * table. (The arithmetic itself: test_quantile.c.) */
#include "tests/unit/promql/eval_rig.h"

static const char *const lines[] = {
    "h_bucket{j=\"a\",le=\"1\"} 1 1",
    "h_bucket{j=\"a\",le=\"2e0\"} 3 _",
    "h_bucket{j=\"a\",le=\"+Inf\"} 4 4",
    "h_bucket{j=\"b\",le=\"1\"} 0 0",
    "h_bucket{j=\"b\",le=\"+Inf\"} 0 10",
    "bad{le=\"Hello\"} 1",
    "bad{x=\"1\"} 1",
    "down{le=\"1\"} 4",
    "down{le=\"2\"} 2",
    "down{le=\"+Inf\"} 8",
    "q 0.5 0.25",
    NULL,
};
static const struct eval_data data = {400000, lines};

static const struct eval_case cases[] = {
    {"histogram_quantile(0.5, h_bucket)", 0, 400000, 400000, "{j=\"a\"} 1.5 1\n{j=\"b\"} NaN 1\n"},
    {"histogram_quantile(scalar(q), h_bucket{j=\"a\"})", 0, 400000, 400000, "{j=\"a\"} 1.5 1\n"},
    {"histogram_quantile(0.5, sum by (le) (h_bucket))", 0, 0, 0, "{} 1.5\n"},
    {"histogram_quantile(2, nothing)", 0, 0, 0,
     "warning: PromQL warning: quantile value should be between 0 and 1, got 2 (1:20)\n"},
    {"histogram_quantile(0.5, bad)", 0, 0, 0,
     "warning: PromQL warning: bucket label \"le\" is missing or has a malformed value of "
     "\"Hello\" for metric name \"bad\" (1:25)\n"
     "warning: PromQL warning: bucket label \"le\" is missing or has a malformed value of \"\" for "
     "metric name \"bad\" (1:25)\n"},
    {"histogram_quantile(0.5, down)", 0, 0, 0,
     "{} 1\ninfo: PromQL info: input to histogram_quantile needed to be fixed for monotonicity "
     "(see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile) "
     "for metric name \"down\", from buckets 2 to 2, with a max diff of 2, over 1 samples from "
     "1970-01-01T00:00:00Z to 1970-01-01T00:00:00Z (1:25)\n"},
    {"histogram_fraction(0, 1.5, h_bucket{j=\"a\"})", 0, 0, 0, "{j=\"a\"} 0.5\n"},
    {"histogram_quantiles(h_bucket{j=\"a\"}, \"q\", 0.5, 1)", 0, 0, 0,
     "{j=\"a\",q=\"0.5\"} 1.5\n{j=\"a\",q=\"1.0\"} 2\n"},
    {"histogram_quantiles(h_bucket{j=\"a\"}, \"q\", scalar(q))", 0, 400000, 400000,
     "{j=\"a\",q=\"0.25\"} _ 1\n{j=\"a\",q=\"0.5\"} 1.5 _\n"},
    {"histogram_quantiles(h_bucket, \"j\", 0.5)", 0, 0, 0,
     "error: vector cannot contain metrics with the same labelset\n"},
    {"histogram_quantiles(h_bucket, \"\", 0.5)", 0, 0, 0, "error: invalid label name \"\"\n"},
    {"histogram_count(h_bucket)", 0, 0, 0, ""},
};

START_TEST(test_histograms)
{
    rig_check(data, &cases[_i]);
}
END_TEST

#define N(a) (int)(sizeof(a) / sizeof((a)[0]))

Suite *suite_fn_histogram(void)
{
    Suite *s = suite_create("fn_histogram");
    TCase *tc = tcase_create("fn_histogram");

    tcase_add_loop_test(tc, test_histograms, 0, N(cases));
    suite_add_tcase(s, tc);
    return s;
}
