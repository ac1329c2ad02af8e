/* Goal: times convert exactly or not at all, and buckets follow the mathematical modulus up
 * to the ends of int64. Method: tables. */
#include "base/panic.h"
#include "model/time.h"
#include "tests/unit/unit.h"

Suite *suite_time(void);

static const struct {
    int64_t ms;
    enum precision p;
    bool ok;
    ts_time t, clamped;
} conversions[] = {
    {1500, PRECISION_MS, true, 1500, 1500},
    {INT64_MIN, PRECISION_MS, true, INT64_MIN, INT64_MIN},
    {1500, PRECISION_US, true, 1500000, 1500000},
    {-1, PRECISION_NS, true, -1000000, -1000000},
    {INT64_MAX, PRECISION_NS, false, 0, TS_MAX},
    {INT64_MIN, PRECISION_US, false, 0, TS_MIN},
    {9223372036854, PRECISION_NS, true, 9223372036854000000, 9223372036854000000},
    {9223372036855, PRECISION_NS, false, 0, TS_MAX},
    {2000, PRECISION_S, true, 2, 2},
    {1500, PRECISION_S, false, 0, 1},
    {-1500, PRECISION_S, false, 0, -2},
    {-2000, PRECISION_S, true, -2, -2},
};

START_TEST(test_ms_convert_exactly_or_not_at_all)
{
    ts_time t = 77;
    ck_assert_msg(time_from_ms(&t, conversions[_i].ms, conversions[_i].p) == conversions[_i].ok,
                  "row %d", _i);
    if (conversions[_i].ok) {
        ck_assert_int_eq(t, conversions[_i].t);
        ck_assert_int_eq(time_to_ms(t, conversions[_i].p), conversions[_i].ms);
    }
    ck_assert_int_eq(time_from_ms_clamped(conversions[_i].ms, conversions[_i].p),
                     conversions[_i].clamped);
}
END_TEST

START_TEST(test_to_ms_rounds_down)
{
    ck_assert_int_eq(time_to_ms(1999, PRECISION_US), 1);
    ck_assert_int_eq(time_to_ms(-1, PRECISION_US), -1);
    ck_assert_int_eq(time_to_ms(-1000001, PRECISION_NS), -2);
    ck_assert_int_eq(time_to_ms(TS_MAX, PRECISION_S), INT64_MAX);
    ck_assert_int_eq(time_to_ms(TS_MIN, PRECISION_S), INT64_MIN);
}
END_TEST

static const struct {
    ts_time t;
    int64_t width;
    ts_time align, want;
} buckets[] = {
    {17, 10, 0, 10},
    {20, 10, 0, 20},
    {-1, 10, 0, -10},
    {-10, 10, 0, -10},
    {17, 10, 5, 15},
    {14, 10, 5, 5},
    {14, 10, -5, 5},
    {3, 10, 25, -5},
    {5, 1, 3, 5},
    {TS_MAX, 1000, 0, 9223372036854775000},
    {TS_MIN, 1000, 0, TS_MIN},
    {TS_MIN + 5, INT64_MAX, 0, TS_MIN + 1},
    {TS_MIN + 2, INT64_MAX, INT64_MAX - 1, TS_MIN},
    {TS_MAX, INT64_MAX, TS_MIN, TS_MAX - 1},
    {TS_MIN, 10, TS_MAX, TS_MIN},
    {0, INT64_MAX, TS_MIN, -1},
};

START_TEST(test_buckets)
{
    ck_assert_msg(time_bucket(buckets[_i].t, buckets[_i].width, buckets[_i].align) ==
                      buckets[_i].want,
                  "row %d: %lld", _i,
                  (long long)time_bucket(buckets[_i].t, buckets[_i].width, buckets[_i].align));
}
END_TEST

START_TEST(test_precisions_have_names)
{
    enum precision p = PRECISION_S;
    for (int i = PRECISION_S; i <= PRECISION_NS; i++) {
        ck_assert(precision_parse(&p, slice_str(precision_name((enum precision)i))));
        ck_assert_int_eq(p, i);
    }
    ck_assert(!precision_parse(&p, SLICE_LIT("m")) && !precision_parse(&p, SLICE_LIT("")));
    ck_assert_int_eq(precision_ticks_per_ms(PRECISION_S), 0);
    ck_assert_int_eq(precision_ticks_per_ms(PRECISION_NS), 1000000);
}
END_TEST

START_TEST(test_ranges_are_inclusive)
{
    struct time_range r = {10, 20};
    ck_assert(range_has(r, 10) && range_has(r, 20) && !range_has(r, 21) && !range_has(r, 9));
    ck_assert(range_overlaps(r, (struct time_range){20, 30}));
    ck_assert(!range_overlaps(r, (struct time_range){21, 30}));
    ck_assert(range_empty((struct time_range){2, 1}) && !range_empty((struct time_range){1, 1}));
}
END_TEST

Suite *suite_time(void)
{
    Suite *suite = suite_create("time");
    TCase *tc = tcase_create("time");
    tcase_add_loop_test(tc, test_ms_convert_exactly_or_not_at_all, 0, ARRAY_LEN(conversions));
    tcase_add_test(tc, test_to_ms_rounds_down);
    tcase_add_loop_test(tc, test_buckets, 0, ARRAY_LEN(buckets));
    tcase_add_test(tc, test_precisions_have_names);
    tcase_add_test(tc, test_ranges_are_inclusive);
    suite_add_tcase(suite, tc);
    return suite;
}
