/* Goal: a charge counts in all parents or nowhere. Method: a chain of three accounts
 * with limits at each height; then threads that charge and release at once. */
#include "base/account.h"

#include "base/thread.h"
#include "tests/unit/base/base_suites.h"
#include "tests/unit/unit.h"

START_TEST(test_charge_is_all_or_nothing)
{
    struct account root, room, query;
    account_init(&root, "root", NULL, 100);
    account_init(&room, "room", &root, 0);
    account_init(&query, "query", &room, 60);

    ck_assert(account_charge(&query, 60));
    ck_assert(!account_charge(&query, 1)); /* its own limit */
    ck_assert(account_charge(&room, 40));
    ck_assert(!account_charge(&room, 1)); /* the root's */
    ck_assert_uint_eq(account_used(&query), 60);
    ck_assert_uint_eq(account_used(&room), 100);
    ck_assert_uint_eq(account_used(&root), 100);
    ck_assert_uint_eq(query.n_refused, 1);
    ck_assert_uint_eq(root.n_refused, 1);

    account_force(&query, 50); /* past every limit */
    ck_assert_uint_eq(account_used(&root), 150);
    account_release(&query, 110);
    account_release(&room, 40);
    ck_assert_uint_eq(account_used(&root), 0);
    ck_assert_uint_eq(root.peak, 150);
    ck_assert_uint_eq(query.peak, 110);
    ck_assert(account_charge(NULL, 1));
    account_release(NULL, 1);
}
END_TEST

static void charge_many(void *ctx)
{
    struct account *account = ctx;
    for (int i = 0; i < 20000; i++)
        if (account_charge(account, 7)) account_release(account, 7);
}

START_TEST(test_threads_leave_nothing_behind)
{
    struct account root, leaf;
    struct thread threads[3];
    account_init(&root, "root", NULL, 15); /* refuses the third at a time */
    account_init(&leaf, "leaf", &root, 0);

    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(thread_start(&threads[i], "charge", charge_many, &leaf, NULL), ST_OK);
    for (int i = 0; i < 3; i++) thread_join(&threads[i]);
    ck_assert_uint_eq(account_used(&root), 0);
    ck_assert_uint_eq(account_used(&leaf), 0);
    ck_assert_uint_le(root.peak, 15);
}
END_TEST

Suite *suite_account(void)
{
    Suite *suite = suite_create("account");
    TCase *tc = tcase_create("account");
    tcase_add_test(tc, test_charge_is_all_or_nothing);
    tcase_add_test(tc, test_threads_leave_nothing_behind);
    suite_add_tcase(suite, tc);
    return suite;
}
