/* Goal: the same seed gives the same numbers, on every machine, and they are evenly
 * spread. Method: recorded numbers, counts per bucket. */
#include "base/rng.h"

#include "tests/unit/base/base_suites.h"
#include "tests/unit/unit.h"

/* The state {1, 2, 3, 4} of the authors' reference program gives these. */
START_TEST(test_reference_numbers)
{
    static const uint64_t want[] = {11520, 0, 1509978240, 1215971899390074240};
    struct rng rng = {{1, 2, 3, 4}};
    for (int i = 0; i < 4; i++) ck_assert_uint_eq(rng_next(&rng), want[i]);
}
END_TEST

START_TEST(test_seeds)
{
    struct rng a, b, c;
    rng_init(&a, 0);
    rng_init(&b, 0);
    rng_init(&c, 1);
    ck_assert(a.s[0] | a.s[1] | a.s[2] | a.s[3]); /* all zero would stay zero */
    uint64_t first = rng_next(&a);
    ck_assert_uint_eq(first, rng_next(&b));
    ck_assert_uint_ne(first, rng_next(&c));
}
END_TEST

START_TEST(test_below_and_unit_are_even)
{
    enum { N = 70000, KINDS = 7 };
    size_t seen[KINDS] = {0}, n_low = 0;
    struct rng rng;

    rng_init(&rng, unit_seed());
    for (int i = 0; i < N; i++) {
        seen[rng_below(&rng, KINDS)]++;
        double u = rng_unit(&rng);
        ck_assert(u >= 0 && u < 1);
        n_low += u < 0.25;
        ck_assert_uint_eq(rng_below(&rng, 1), 0);
    }
    /* Ten standard deviations: sqrt(70000 * 1/7 * 6/7) = 93. */
    for (int i = 0; i < KINDS; i++) ck_assert(seen[i] > 9070 && seen[i] < 10930);
    ck_assert(n_low > 16350 && n_low < 18650);
    /* A range just above 2^63 rejects almost half of the draws. */
    uint64_t odd = (UINT64_C(1) << 63) + 1;
    for (int i = 0; i < 1000; i++) ck_assert_uint_lt(rng_below(&rng, odd), odd);
}
END_TEST

START_TEST(test_system_bytes_differ)
{
    uint8_t a[64] = {0}, b[64] = {0}, zero[64] = {0};
    rng_system_bytes(a, sizeof(a));
    rng_system_bytes(b, sizeof(b));
    ck_assert_mem_ne(a, b, sizeof(a));
    ck_assert_mem_ne(a, zero, sizeof(a));
    ck_assert_uint_ne(rng_system_seed(), rng_system_seed());
    rng_system_bytes(a, 0);
}
END_TEST

Suite *suite_rng(void)
{
    Suite *suite = suite_create("rng");
    TCase *tc = tcase_create("rng");
    tcase_add_test(tc, test_reference_numbers);
    tcase_add_test(tc, test_seeds);
    tcase_add_test(tc, test_below_and_unit_are_even);
    tcase_add_test(tc, test_system_bytes_differ);
    suite_add_tcase(suite, tc);
    return suite;
}
