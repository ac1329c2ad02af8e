/* Goal: elements do not move, segments meet without gaps, and readers see complete
 * elements while the owner appends. Method: addresses noted at first sight; a reader
 * thread that checks everything below the published length. */
#include "base/segvec.h"

#include "base/thread.h"
#include "tests/lib/mem_fault.h"
#include "tests/unit/base/base_suites.h"
#include "tests/unit/unit.h"

START_TEST(test_elements_do_not_move)
{
    enum { N = 20000 };
    static void *at[N];
    struct account account;
    struct segvec sv;

    account_init(&account, "test", NULL, 0);
    segvec_init(&sv, 24, &account);
    for (size_t i = 0; i < N; i++) {
        ck_assert(segvec_reserve(&sv, i));
        at[i] = segvec_at(&sv, i);
        ck_assert_uint_eq(*(uint64_t *)at[i], 0);
        *(uint64_t *)at[i] = i;
    }
    segvec_publish(&sv, N);
    ck_assert_uint_eq(segvec_len(&sv), N);
    for (size_t i = 0; i < N; i++) {
        ck_assert_ptr_eq(segvec_at(&sv, i), at[i]);
        ck_assert_uint_eq(*(uint64_t *)at[i], i);
    }
    ck_assert_uint_gt(account_used(&account), N * 24);
    segvec_release(&sv);
    ck_assert_uint_eq(account_used(&account), 0);
}
END_TEST

START_TEST(test_refusals)
{
    struct account account;
    struct segvec sv;

    mem_fault_install();
    account_init(&account, "test", NULL, 10000);
    segvec_init(&sv, 8, &account);
    ck_assert(segvec_reserve(&sv, 0));     /* 8 KiB */
    ck_assert(!segvec_reserve(&sv, 1024)); /* 16 more */
    account.limit = 0;
    mem_fault_arm(1, 1);
    ck_assert(!segvec_reserve(&sv, 1024));
    (void)mem_fault_disarm();
    ck_assert_uint_eq(account_used(&account), 8192);
    ck_assert(segvec_reserve(&sv, 1024));
    ck_assert(!segvec_reserve(&sv, (size_t)1 << 60));
    segvec_release(&sv);
}
END_TEST

struct reading {
    struct segvec sv;
    _Atomic bool done;
};

static void read_all(void *ctx)
{
    struct reading *r = ctx;
    while (!atomic_load(&r->done)) {
        size_t len = segvec_len(&r->sv);
        for (size_t i = len > 3000 ? len - 3000 : 0; i < len; i++)
            if (*(uint64_t *)segvec_at(&r->sv, i) != i * 3) abort();
    }
}

START_TEST(test_readers_see_complete_elements)
{
    static struct reading r;
    struct thread thread;

    segvec_init(&r.sv, 8, NULL);
    ck_assert_int_eq(thread_start(&thread, "reader", read_all, &r, NULL), ST_OK);
    for (size_t i = 0; i < 50000; i++) {
        ck_assert(segvec_reserve(&r.sv, i));
        *(uint64_t *)segvec_at(&r.sv, i) = i * 3;
        segvec_publish(&r.sv, i + 1);
    }
    atomic_store(&r.done, true);
    thread_join(&thread);
    segvec_release(&r.sv);
}
END_TEST

Suite *suite_segvec(void)
{
    Suite *suite = suite_create("segvec");
    TCase *tc = tcase_create("segvec");
    tcase_add_test(tc, test_elements_do_not_move);
    tcase_add_test(tc, test_refusals);
    tcase_add_test(tc, test_readers_see_complete_elements);
    suite_add_tcase(suite, tc);
    return suite;
}
