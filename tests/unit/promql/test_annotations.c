/* Goal: annotations are told once, in order, with line and column, at most ten of a kind;
 * numbers print as Go prints them. Method: direct calls. */
#include <math.h>

#include "promql/annotations.h"
#include "tests/unit/promql/promql_suites.h"

static const struct {
    double v;
    const char *want;
} floats[] = {
    {0, "0"}, {-0.0, "-0"}, {1, "1"}, {0.5, "0.5"}, {-1.1, "-1.1"}, {1.01, "1.01"},
    {100000, "100000"}, {1e6, "1e+06"}, {1234567, "1.234567e+06"}, {123456, "123456"},
    {0.0001, "0.0001"}, {0.00001, "1e-05"}, {1e100, "1e+100"}, {0.1 + 0.2, "0.30000000000000004"},
    {979.75, "979.75"}, {5e-324, "5e-324"}, {INFINITY, "+Inf"}, {-INFINITY, "-Inf"},
};

START_TEST(test_floats_print_as_go_prints_them)
{
    char text[40];

    ck_assert_str_eq(go_float(text, floats[_i].v), floats[_i].want);
    ck_assert_str_eq(go_float(text, NAN), "NaN");
}
END_TEST

START_TEST(test_told_once_with_a_place)
{
    struct arena arena;
    struct annotations an;
    const struct slice *texts;
    size_t n;
    static const char query[] = "sum(\n  rate(m[5m]))";

    arena_init(&arena, NULL, 256);
    annotations_init(&an, &arena, slice_str(query), 1000);
    annotations_info(&an, (struct text_pos){7, 18}, "odd %d", 1);
    annotations_info(&an, (struct text_pos){0, 3}, "odd %d", 1);
    annotations_warn(&an, (struct text_pos){0, 3}, "odd %d", 1);
    annotations_texts(&an, false, &texts, &n);
    ck_assert_uint_eq(n, 1);
    ck_assert(slice_is(texts[0], "PromQL info: odd 1 (2:3)"));
    annotations_texts(&an, true, &texts, &n);
    ck_assert_uint_eq(n, 1);
    ck_assert(slice_is(texts[0], "PromQL warning: odd 1 (1:1)"));
    arena_release(&arena);
}
END_TEST

START_TEST(test_ten_are_shown_and_the_rest_counted)
{
    struct arena arena;
    struct annotations an;
    const struct slice *texts;
    size_t n;

    arena_init(&arena, NULL, 256);
    annotations_init(&an, &arena, SLICE_LIT("m"), 1000);
    for (int i = 0; i < 1000; i++) annotations_warn(&an, (struct text_pos){0, 1}, "w%d", i % 500);
    annotations_texts(&an, true, &texts, &n);
    ck_assert_uint_eq(n, 11);
    ck_assert(slice_is(texts[9], "PromQL warning: w9 (1:1)"));
    ck_assert(slice_is(texts[10], "490 more warning annotations omitted"));
    annotations_texts(&an, false, &texts, &n);
    ck_assert_uint_eq(n, 0);
    arena_release(&arena);
}
END_TEST

START_TEST(test_repairs_of_one_metric_are_merged)
{
    struct arena arena;
    struct annotations an;
    const struct slice *texts;
    size_t n;
    struct monotonicity a = {1, 1, 3}, b = {0.5, 10, 2};

    arena_init(&arena, NULL, 256);
    annotations_init(&an, &arena, SLICE_LIT("q(m)"), 1000);
    annotations_monotonicity(&an, (struct text_pos){2, 3}, SLICE_LIT("m"), 61000, &a);
    annotations_monotonicity(&an, (struct text_pos){2, 3}, SLICE_LIT("m"), 1000, &b);
    annotations_texts(&an, false, &texts, &n);
    ck_assert_uint_eq(n, 1);
    ck_assert_msg(
        slice_is(texts[0],
                 "PromQL info: input to histogram_quantile needed to be fixed for monotonicity "
                 "(see https://prometheus.io/docs/prometheus/latest/querying/functions/"
                 "#histogram_quantile) for metric name \"m\", from buckets 0.5 to 10, with a max "
                 "diff of 3, over 2 samples from 1970-01-01T00:00:01Z to 1970-01-01T00:01:01Z "
                 "(1:3)"),
        SLICE_FMT, SLICE_ARG(texts[0]));
    arena_release(&arena);
}
END_TEST

#define N(a) (int)(sizeof(a) / sizeof((a)[0]))

Suite *suite_annotations(void)
{
    Suite *s = suite_create("annotations");
    TCase *tc = tcase_create("annotations");

    tcase_add_loop_test(tc, test_floats_print_as_go_prints_them, 0, N(floats));
    tcase_add_test(tc, test_told_once_with_a_place);
    tcase_add_test(tc, test_ten_are_shown_and_the_rest_counted);
    tcase_add_test(tc, test_repairs_of_one_metric_are_merged);
    suite_add_tcase(s, tc);
    return s;
}
