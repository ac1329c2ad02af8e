/* Goal: a callback runs where its name is passed, on that thread, and none runs after
 * clear has returned. Method: counters; a thread held inside a point. */
#include "base/sync_point.h"

#include <stdatomic.h>
#include <stdbool.h>

#include "base/thread.h"
#include "tests/unit/base/base_suites.h"
#include "tests/unit/unit.h"

static void count(void *ctx)
{
    atomic_fetch_add((_Atomic int *)ctx, 1);
}

static void clear_itself(void *ctx)
{
    count(ctx);
    sync_point_pass("other"); /* not from inside a callback */
    sync_point_clear("self");
}

START_TEST(test_named_callbacks)
{
    _Atomic int a = 0, b = 0, self = 0;

    sync_point_pass("a");
    sync_point_set("a", count, &a);
    sync_point_set("other", count, &b);
    sync_point_pass("a");
    sync_point_pass("b");
    ck_assert_int_eq(a, 1);
    ck_assert_int_eq(b, 0);
    sync_point_set("a", count, &b); /* replaces */
    sync_point_pass("a");
    ck_assert_int_eq(a, 1);
    ck_assert_int_eq(b, 1);
    sync_point_set("self", clear_itself, &self);
    sync_point_pass("self");
    sync_point_pass("self");
    ck_assert_int_eq(self, 1);
    ck_assert_int_eq(b, 1);
    sync_point_clear("never set");
    sync_point_clear_all();
    sync_point_pass("a");
    ck_assert_int_eq(b, 1);
    for (int i = 0; i < SYNC_POINT_MAX * 3; i++) {
        sync_point_set("again", count, &a); /* cleared places are used again */
        sync_point_clear("again");
    }
#ifdef TSINK_DEV
    sync_point_set("a", count, &a);
    SYNC_POINT("a");
    ck_assert_int_eq(a, 2);
    sync_point_clear_all();
#endif
}
END_TEST

static struct {
    struct mutex mutex;
    struct cond cond;
    int inside, let_go;
    _Atomic int cleared;
} held;

static void hold(void *ctx)
{
    (void)ctx;
    mutex_lock(&held.mutex);
    held.inside++;
    cond_broadcast(&held.cond);
    while (!held.let_go) cond_wait(&held.cond, &held.mutex);
    mutex_unlock(&held.mutex);
    if (atomic_load(&held.cleared)) abort(); /* clear must wait for us */
}

static void pass(void *ctx)
{
    (void)ctx;
    sync_point_pass("held");
}

static void clear_held(void *ctx)
{
    (void)ctx;
    sync_point_clear("held");
    atomic_store(&held.cleared, 1);
}

START_TEST(test_clear_waits_for_those_inside)
{
    struct thread threads[3];

    mutex_init(&held.mutex, LOCK_LEAF);
    cond_init(&held.cond);
    sync_point_set("held", hold, NULL);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(thread_start(&threads[i], "pass", pass, NULL, NULL), ST_OK);
    mutex_lock(&held.mutex);
    while (held.inside < 2) cond_wait(&held.cond, &held.mutex);
    mutex_unlock(&held.mutex);
    ck_assert_int_eq(thread_start(&threads[2], "clear", clear_held, NULL, NULL), ST_OK);
    mutex_lock(&held.mutex);
    held.let_go = 1;
    cond_broadcast(&held.cond);
    mutex_unlock(&held.mutex);
    for (int i = 0; i < 3; i++) thread_join(&threads[i]);
    ck_assert_int_eq(held.cleared, 1);
}
END_TEST

Suite *suite_sync_point(void)
{
    Suite *suite = suite_create("sync_point");
    TCase *tc = tcase_create("sync_point");
    tcase_add_test(tc, test_named_callbacks);
    tcase_add_test(tc, test_clear_waits_for_those_inside);
    suite_add_tcase(suite, tc);
    return suite;
}
