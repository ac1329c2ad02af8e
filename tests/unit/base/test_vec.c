/* Goal: a vector keeps what was pushed, and a refused push changes nothing. Method:
 * failing memory at every growth. */
#include "base/vec.h"

#include <stdint.h>

#include "tests/lib/mem_fault.h"
#include "tests/unit/base/base_suites.h"
#include "tests/unit/unit.h"

START_TEST(test_push_and_refuse)
{
    VEC(uint64_t) v = {0};
    uint64_t n = 0;

    mem_fault_install();
    for (int step = 0; step < 3000; step++) {
        bool failing = step % 3 == 0;
        size_t len = v.len, cap = v.cap;
        mem_fault_arm(1, failing ? 0 : UINT64_MAX);
        if (!failing) (void)mem_fault_disarm();
        bool pushed = vec_push(&v, n);
        if (failing) (void)mem_fault_disarm();
        ck_assert_int_eq(pushed, !failing || len < cap);
        ck_assert_uint_eq(v.len, len + pushed);
        n += pushed;
    }
    for (uint64_t i = 0; i < n; i++) ck_assert_uint_eq(v.ptr[i], i);
    ck_assert(vec_reserve(&v, 5000));
    ck_assert_uint_ge(v.cap - v.len, 5000);
    vec_clear(&v);
    ck_assert_uint_eq(v.len, 0);
    vec_release(&v);
    ck_assert_ptr_null(v.ptr);
    ck_assert_uint_eq(v.cap, 0);
}
END_TEST

START_TEST(test_sizes_that_overflow)
{
    VEC(uint64_t) v = {0};
    ck_assert(!vec_reserve(&v, SIZE_MAX));
    ck_assert(!vec_reserve(&v, SIZE_MAX / 8 + 1));
    ck_assert_uint_eq(v.cap, 0);
    vec_release(&v);
}
END_TEST

Suite *suite_vec(void)
{
    Suite *suite = suite_create("vec");
    TCase *tc = tcase_create("vec");
    tcase_add_test(tc, test_push_and_refuse);
    tcase_add_test(tc, test_sizes_that_overflow);
    suite_add_tcase(suite, tc);
    return suite;
}
