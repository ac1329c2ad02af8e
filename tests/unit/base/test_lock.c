/* Goal: mutual exclusion, deadlines on the monotonic clock, and an order of ranks that
 * dev builds enforce. Method: counters under a lock; waits that time out; children that
 * must panic. */
#include "base/lock.h"

#include <signal.h>

#include "base/thread.h"
#include "tests/unit/base/base_suites.h"
#include "tests/unit/unit.h"

struct shared {
    struct mutex mutex;
    struct cond cond;
    long count;
    bool ready;
};

static void shared_init(struct shared *s)
{
    *s = (struct shared){0};
    mutex_init(&s->mutex, LOCK_LEAF);
    cond_init(&s->cond);
}

static void shared_release(struct shared *s)
{
    cond_release(&s->cond);
    mutex_release(&s->mutex);
}

static void count_many(void *ctx)
{
    struct shared *s = ctx;
    for (int i = 0; i < 20000; i++) {
        mutex_lock(&s->mutex);
        s->count++;
        mutex_unlock(&s->mutex);
    }
}

START_TEST(test_mutual_exclusion)
{
    struct shared s;
    struct thread threads[3];
    shared_init(&s);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(thread_start(&threads[i], "count", count_many, &s, NULL), ST_OK);
    for (int i = 0; i < 3; i++) thread_join(&threads[i]);
    ck_assert_int_eq(s.count, 60000);
    shared_release(&s);
}
END_TEST

static void answer(void *ctx)
{
    struct shared *s = ctx;
    mutex_lock(&s->mutex);
    s->ready = true;
    cond_broadcast(&s->cond);
    mutex_unlock(&s->mutex);
}

START_TEST(test_cond_wakes_and_times_out)
{
    struct clock *clock = clock_system();
    struct shared s;
    struct thread thread;

    shared_init(&s);
    mutex_lock(&s.mutex);
    mono_ns deadline = clock_mono(clock) + 2000000;
    while (cond_wait_until(&s.cond, &s.mutex, deadline)) ck_assert(!s.ready);
    ck_assert_int_ge(clock_mono(clock), deadline);
    ck_assert(!cond_wait_until(&s.cond, &s.mutex, -5)); /* long past */
    ck_assert(mutex_held(&s.mutex));

    ck_assert_int_eq(thread_start(&thread, "answer", answer, &s, NULL), ST_OK);
    while (!s.ready)
        ck_assert(cond_wait_until(&s.cond, &s.mutex, clock_mono(clock) + INT64_C(60000000000)));
    mutex_unlock(&s.mutex);
    thread_join(&thread);
    shared_release(&s);
}
END_TEST

static void hold_until_ready(void *ctx)
{
    struct shared *s = ctx;
    struct mutex *held = &s[1].mutex;
    mutex_lock(held);
    mutex_lock(&s->mutex);
    s->count = 1;
    cond_broadcast(&s->cond);
    while (!s->ready) cond_wait(&s->cond, &s->mutex);
    mutex_unlock(&s->mutex);
    mutex_unlock(held);
}

START_TEST(test_try_and_deadline)
{
    struct shared s[2];
    struct thread thread;
    shared_init(&s[0]);
    mutex_init(&s[1].mutex, LOCK_GATE);
    ck_assert_int_eq(thread_start(&thread, "hold", hold_until_ready, s, NULL), ST_OK);
    mutex_lock(&s->mutex);
    while (s->count == 0) cond_wait(&s->cond, &s->mutex);
    mutex_unlock(&s->mutex);

    ck_assert(!mutex_try_lock(&s[1].mutex));
    mono_ns deadline = clock_mono(clock_system()) + 1000000;
    ck_assert(!mutex_lock_until(&s[1].mutex, deadline));
    ck_assert_int_ge(clock_mono(clock_system()), deadline);
    answer(s);
    ck_assert(mutex_lock_until(&s[1].mutex, clock_mono(clock_system()) + INT64_C(60000000000)));
    mutex_unlock(&s[1].mutex);
    thread_join(&thread);
    ck_assert(mutex_try_lock(&s[1].mutex));
    mutex_unlock(&s[1].mutex);
    mutex_release(&s[1].mutex);
    shared_release(&s[0]);
}
END_TEST

#ifdef TSINK_DEV
static void take_in_order(enum lock_rank first, enum lock_rank second)
{
    struct mutex a, b;
    mutex_init(&a, first);
    mutex_init(&b, second);
    mutex_lock(&a);
    mutex_lock(&b);
    ck_assert(mutex_held(&a) && mutex_held(&b));
    mutex_unlock(&a); /* any order of release */
    ck_assert(!mutex_held(&a) && mutex_held(&b));
    mutex_unlock(&b);
    mutex_release(&a);
    mutex_release(&b);
}

START_TEST(test_rising_ranks)
{
    take_in_order(LOCK_GATE, LOCK_LOG);
    take_in_order(LOCK_VFS_WRAP, LOCK_VFS);
}
END_TEST

START_TEST(test_falling_ranks_panic)
{
    take_in_order(LOCK_LOG, LOCK_GATE);
}
END_TEST

START_TEST(test_equal_ranks_panic)
{
    take_in_order(LOCK_LEAF, LOCK_LEAF);
}
END_TEST

START_TEST(test_foreign_release_panics)
{
    struct mutex a;
    mutex_init(&a, LOCK_LEAF);
    mutex_unlock(&a);
}
END_TEST
#endif

START_TEST(test_rank_names)
{
    ck_assert_str_eq(lock_rank_name(LOCK_LOG), "LOCK_LOG");
    ck_assert_str_eq(lock_rank_name((enum lock_rank)1), "unknown lock");
}
END_TEST

Suite *suite_lock(void)
{
    Suite *suite = suite_create("lock");
    TCase *tc = tcase_create("lock");
    tcase_add_test(tc, test_mutual_exclusion);
    tcase_add_test(tc, test_cond_wakes_and_times_out);
    tcase_add_test(tc, test_try_and_deadline);
#ifdef TSINK_DEV
    tcase_add_test(tc, test_rising_ranks);
    tcase_add_test_raise_signal(tc, test_falling_ranks_panic, SIGABRT);
    tcase_add_test_raise_signal(tc, test_equal_ranks_panic, SIGABRT);
    tcase_add_test_raise_signal(tc, test_foreign_release_panics, SIGABRT);
#endif
    tcase_add_test(tc, test_rank_names);
    suite_add_tcase(suite, tc);
    return suite;
}
