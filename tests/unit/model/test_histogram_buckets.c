/* Goal: bounds are Prometheus' bit for bit, and walks visit every bucket once, in order.
 * Method: known bounds, among them those whose last bit differs from the nearest double; a
 * histogram with gaps, walked both ways over each side and over all. */
#include <float.h>
#include <math.h>

#include "base/panic.h"
#include "model/histogram_buckets.h"
#include "tests/unit/unit.h"

Suite *suite_histogram_buckets(void);

static const struct {
    int32_t schema;
    int64_t idx;
    double bound;
} bounds[] = {
    {0, 0, 1}, {0, 3, 8}, {0, -2, 0.25}, {-1, 1, 4}, {-4, 1, 65536}, {-4, -1, 1.0 / 65536},
    {1, 1, 1.414213562373095}, {1, -1, 0.7071067811865475}, {2, 3, 2 * 0.8408964152537144},
    {3, 7, 2 * 0.9170040432046711}, {4, 13, 2 * 0.8781260801866495},
    {5, 31, 2 * 0.9785720620876999}, {6, 63, 2 * 0.9892280131939752},
    {7, 127, 2 * 0.9945994234836328}, {8, 1, 2 * 0.5013556375251013},
    {8, 255, 2 * 0.9972960560854698}, {8, 129, 2 * 0.7090239421602076},
    {8, 200, 2 * 0.8593096490612387}, {0, 1024, DBL_MAX}, {0, 1025, INFINITY},
    {3, 8192, DBL_MAX}, {3, 8193, INFINITY}, {-4, 64, DBL_MAX}, {-4, 65, INFINITY},
    {8, INT32_MIN, 0}, {-4, INT32_MAX, INFINITY},
};

START_TEST(test_bounds)
{
    double got = histogram_exponential(bounds[_i].schema, bounds[_i].idx);
    ck_assert_msg(got == bounds[_i].bound, "schema %d bucket %lld: %.17g, want %.17g",
                  (int)bounds[_i].schema, (long long)bounds[_i].idx, got, bounds[_i].bound);
}
END_TEST

static const struct hist_span spans[] = {{-1, 2}, {0, 0}, {2, 1}};
static const double counts[] = {1, 0, 3};
static const double custom[] = {-5, 5};
static const struct hist_span three[] = {{0, 3}};

START_TEST(test_cursor_goes_both_ways)
{
    static const int64_t idx[] = {-1, 0, 3};
    const struct hist_side side = {spans, counts, 3, 3};
    struct hist_cursor cur;
    int64_t at;
    double count;

    for (int backward = 0; backward < 2; backward++) {
        hist_cursor_begin(&cur, &side, backward);
        for (int i = 0; i < 3; i++) {
            int k = backward ? 2 - i : i;
            ck_assert(hist_cursor_next(&cur, &at, &count));
            ck_assert_int_eq(at, idx[k]);
            ck_assert_double_eq(count, counts[k]);
        }
        ck_assert(!hist_cursor_next(&cur, &at, &count));
        ck_assert(!hist_cursor_next(&cur, &at, &count));
    }
}
END_TEST

static void check_walk(const struct histogram *h, const struct hist_bucket *want, size_t n)
{
    struct hist_buckets walk;
    struct hist_bucket b;

    for (int descending = 0; descending < 2; descending++) {
        hist_buckets_begin(&walk, h, descending);
        for (size_t i = 0; i < n; i++) {
            const struct hist_bucket *w = &want[descending ? n - 1 - i : i];
            ck_assert(hist_buckets_next(&walk, &b));
            ck_assert_double_eq(b.lower, w->lower);
            ck_assert_double_eq(b.upper, w->upper);
            ck_assert_double_eq(b.count, w->count);
            ck_assert_int_eq(b.lower_closed, w->lower_closed);
            ck_assert_int_eq(b.upper_closed, w->upper_closed);
        }
        ck_assert(!hist_buckets_next(&walk, &b));
        ck_assert(!hist_buckets_next(&walk, &b));
    }
}

START_TEST(test_walk_exponential)
{
    struct histogram h = {.zero_threshold = 0.3, .zero_count = 7,
                          .pos = {spans, counts, 3, 3}, .neg = {spans, counts, 3, 3}};
    static const struct hist_bucket want[] = {
        {-8, -4, 3, true, false}, {-1, -0.5, 0, true, false}, {-0.5, -0.3, 1, true, false},
        {-0.3, 0.3, 7, true, true},
        {0.3, 0.5, 1, false, true}, {0.5, 1, 0, false, true}, {4, 8, 3, false, true}};
    check_walk(&h, want, ARRAY_LEN(want));
    h.zero_count = -1; /* a zero bucket without observations is none */
    h.neg = (struct hist_side){0};
    check_walk(&h, want + 4, 3);
}
END_TEST

START_TEST(test_walk_custom)
{
    struct histogram h = {.schema = HIST_SCHEMA_CUSTOM, .pos = {three, counts, 1, 3},
                          .custom = custom, .n_custom = 2};
    static const struct hist_bucket want[] = {{-INFINITY, -5, 1, true, true},
                                              {-5, 5, 0, false, true},
                                              {5, INFINITY, 3, false, true}};
    check_walk(&h, want, ARRAY_LEN(want));
}
END_TEST

Suite *suite_histogram_buckets(void)
{
    Suite *s = suite_create("histogram_buckets");
    TCase *tc = tcase_create("histogram_buckets");

    tcase_add_loop_test(tc, test_bounds, 0, (int)ARRAY_LEN(bounds));
    tcase_add_test(tc, test_cursor_goes_both_ways);
    tcase_add_test(tc, test_walk_exponential);
    tcase_add_test(tc, test_walk_custom);
    suite_add_tcase(s, tc);
    return s;
}
