/* Goal: fallible allocations fail when told to and others never; sizes that overflow
 * are refused. Method: the hooks of tests/lib/mem_fault.h. */
#include "base/mem.h"

#include <signal.h>
#include <stdint.h>

#include "tests/lib/mem_fault.h"
#include "tests/unit/base/base_suites.h"
#include "tests/unit/unit.h"

START_TEST(test_sizes)
{
    unsigned char *zeroed = mem_zalloc(100);
    for (int i = 0; i < 100; i++) ck_assert_int_eq(zeroed[i], 0);
    mem_free(zeroed);
    mem_free(NULL);

    void *none = mem_try(0);
    ck_assert_ptr_nonnull(none);
    mem_free(none);
    /* Through a variable, so that the compiler does not judge the size. */
    volatile size_t half = SIZE_MAX / 2;
    ck_assert_ptr_null(mem_try_array(half, 3));
    ck_assert_ptr_null(mem_try_array(3, half));

    for (size_t align = 16; align <= 4096; align *= 2) {
        void *ptr = mem_try_aligned(align, 100);
        ck_assert_ptr_nonnull(ptr);
        ck_assert_uint_eq((uintptr_t)ptr % align, 0);
        mem_free(ptr);
    }
}
END_TEST

START_TEST(test_the_nth_fails_and_only_what_may)
{
    mem_fault_install();
    int64_t live = mem_fault_live();

    mem_fault_arm(2, 2);
    void *a = mem_try(1), *b = mem_try_zero(1), *fixed = mem_alloc(1), *c = mem_try_grow(a, 9);
    void *d = mem_try_array(2, 2);
    ck_assert_ptr_nonnull(a);
    ck_assert_ptr_null(b);
    ck_assert_ptr_nonnull(fixed);
    ck_assert_ptr_null(c); /* and a is still there */
    ck_assert_ptr_nonnull(d);
    ck_assert_uint_eq(mem_fault_count(), 4);
    ck_assert_uint_eq(mem_fault_disarm(), 2);
    ck_assert_int_eq(mem_fault_live() - live, 3);

    mem_free(a);
    mem_free(fixed);
    mem_free(d);
    ck_assert_int_eq(mem_fault_live(), live);
    void *e = mem_try(1);
    ck_assert_ptr_nonnull(e);
    mem_free(e);

    mem_fault_arm(1, 0);
    for (int i = 0; i < 5; i++) ck_assert_ptr_null(mem_try_aligned(64, 64));
    ck_assert_uint_eq(mem_fault_disarm(), 5);
}
END_TEST

static void *alloc_nothing(size_t align, size_t size, int may_fail)
{
    (void)align, (void)size, (void)may_fail;
    return NULL;
}

START_TEST(test_fixed_allocation_ends_the_process)
{
    const struct mem_hooks nothing = {.alloc = alloc_nothing, .grow = realloc, .free = free};
    mem_set_hooks(&nothing);
    (void)mem_alloc(10);
}
END_TEST

Suite *suite_mem(void)
{
    Suite *suite = suite_create("mem");
    TCase *tc = tcase_create("mem");
    tcase_add_test(tc, test_sizes);
    tcase_add_test(tc, test_the_nth_fails_and_only_what_may);
    tcase_add_test_raise_signal(tc, test_fixed_allocation_ends_the_process, SIGABRT);
    suite_add_tcase(suite, tc);
    return suite;
}
