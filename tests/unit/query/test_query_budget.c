/* Goal: a budget counts, names the limit that was passed, and sees the deadline and the
 * client that went away. Method: one budget a case, a clock set by hand. */
#include "query/querier.h"
#include "tests/unit/unit.h"

Suite *suite_query_budget(void);

static mono_ns now;

static mono_ns mono_by_hand(struct clock *clock)
{
    (void)clock;
    return now;
}

static struct clock by_hand = {.mono = mono_by_hand};

START_TEST(test_limits_are_named)
{
    struct query_budget budget = {.series_max = 2, .samples_max = 10};
    struct err err = {0};
    ck_assert_int_eq(budget_series(&budget, 2, &err), ST_OK);
    ck_assert_int_eq(budget_series(&budget, 1, &err), ST_LIMIT);
    ck_assert(strstr(err.text, "2 series") != NULL);
    ck_assert_int_eq(budget_samples(&budget, 10, &err), ST_OK);
    ck_assert_int_eq(budget_samples(&budget, UINT64_MAX, &err), ST_LIMIT);
    ck_assert(strstr(err.text, "10 samples") != NULL);
    ck_assert_uint_eq(budget.n_series, 3);
    ck_assert_uint_eq(budget.peak_samples, UINT64_MAX); /* held at the end, not wrapped */
}
END_TEST

START_TEST(test_zero_means_no_limit)
{
    struct query_budget budget = {0};
    ck_assert_int_eq(budget_series(&budget, 1u << 30, NULL), ST_OK);
    ck_assert_int_eq(budget_samples(&budget, 1u << 30, NULL), ST_OK);
    ck_assert_int_eq(budget_poll(&budget, NULL), ST_OK);
}
END_TEST

START_TEST(test_deadline_and_cancellation)
{
    _Atomic bool cancelled = false;
    struct query_budget budget = {.deadline = 100, .clock = &by_hand, .cancelled = &cancelled};
    now = 99;
    ck_assert_int_eq(budget_poll(&budget, NULL), ST_OK);
    now = 100;
    ck_assert_int_eq(budget_poll(&budget, NULL), ST_TIMEOUT);
    atomic_store(&cancelled, true);
    ck_assert_int_eq(budget_poll(&budget, NULL), ST_CANCELLED);
}
END_TEST

Suite *suite_query_budget(void)
{
    Suite *suite = suite_create("query_budget");
    TCase *tc = tcase_create("query_budget");
    tcase_add_test(tc, test_limits_are_named);
    tcase_add_test(tc, test_zero_means_no_limit);
    tcase_add_test(tc, test_deadline_and_cancellation);
    suite_add_tcase(suite, tc);
    return suite;
}
