/* Goal: counters lose nothing, and a quantile is known to a sixteenth. Method: threads
 * on one counter; random values against a sorted copy. */
#include "base/metric.h"

#include "base/rng.h"
#include "base/thread.h"
#include "tests/unit/base/base_suites.h"
#include "tests/unit/unit.h"

static struct histogram_us histogram, other;

static void count_up(void *ctx)
{
    for (int i = 0; i < 20000; i++) {
        counter_add(ctx, 2);
        histogram_us_record(&histogram, (uint64_t)i);
    }
}

START_TEST(test_threads_lose_nothing)
{
    struct counter counter = {0};
    struct gauge gauge = {0};
    struct thread threads[3];

    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(thread_start(&threads[i], "count", count_up, &counter, NULL), ST_OK);
    for (int i = 0; i < 3; i++) thread_join(&threads[i]);
    ck_assert_uint_eq(counter_read(&counter), 120000);
    ck_assert_uint_eq(histogram_us_count(&histogram), 60000);
    ck_assert_uint_eq(histogram_us_sum(&histogram), UINT64_C(3) * 19999 * 20000 / 2);
    ck_assert_uint_eq(histogram_us_max(&histogram), 19999);
    counter_add_alone(&counter, 5);
    ck_assert_uint_eq(counter_read(&counter), 120005);
    gauge_set(&gauge, 10);
    gauge_add(&gauge, -25);
    ck_assert_int_eq(gauge_read(&gauge), -15);
}
END_TEST

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

START_TEST(test_quantiles)
{
    enum { N = 5000 };
    static uint64_t values[N];
    struct rng rng;

    rng_init(&rng, unit_seed() + (uint64_t)_i);
    for (size_t i = 0; i < N; i++) {
        values[i] = rng_next(&rng) >> (28 + rng_below(&rng, 36));
        histogram_us_record(i % 2 ? &histogram : &other, values[i]);
    }
    histogram_us_merge(&histogram, &other);
    qsort(values, N, sizeof(values[0]), compare);
    ck_assert_uint_eq(histogram_us_count(&histogram), N);
    ck_assert_uint_eq(histogram_us_max(&histogram), values[N - 1]);
    for (int q = 0; q <= 100; q++) {
        size_t rank = 1;
        while ((double)rank < q / 100.0 * N) rank++;
        uint64_t exact = values[rank - 1];
        uint64_t got = histogram_us_quantile(&histogram, q / 100.0);
        ck_assert_uint_ge(got, exact);
        ck_assert_uint_le(got, exact + exact / 16);
    }
    /* Counting up to a power of two less one is exact. */
    for (int bit = 0; bit < 36; bit++) {
        uint64_t top = (UINT64_C(1) << bit) - 1;
        size_t n = 0;
        while (n < N && values[n] <= top) n++;
        ck_assert_uint_eq(histogram_us_at_most(&histogram, top), n);
    }
    histogram_us_reset(&histogram);
    ck_assert_uint_eq(histogram_us_count(&histogram) + histogram_us_max(&histogram), 0);
}
END_TEST

START_TEST(test_edges)
{
    ck_assert_uint_eq(histogram_us_quantile(&histogram, 0.5), 0);
    for (uint64_t v = 0; v < 32; v++) { /* small values are exact */
        histogram_us_reset(&histogram);
        histogram_us_record(&histogram, v);
        histogram_us_record(&histogram, 1000);
        ck_assert_uint_eq(histogram_us_quantile(&histogram, 0.5), v);
    }
    histogram_us_reset(&histogram);
    histogram_us_record(&histogram, UINT64_MAX);
    ck_assert_uint_eq(histogram_us_quantile(&histogram, 0.5), UINT64_MAX);
    ck_assert_uint_eq(histogram_us_at_most(&histogram, UINT64_MAX), 1);
    ck_assert_uint_eq(histogram_us_at_most(&histogram, UINT64_MAX - 1), 0);
}
END_TEST

Suite *suite_metric(void)
{
    Suite *suite = suite_create("metric");
    TCase *tc = tcase_create("metric");
    tcase_add_test(tc, test_threads_lose_nothing);
    tcase_add_loop_test(tc, test_quantiles, 0, 3);
    tcase_add_test(tc, test_edges);
    suite_add_tcase(suite, tc);
    return suite;
}
