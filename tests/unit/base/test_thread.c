/* Goal: threads have names and numbers, take no signals, and a refused one is an error.
 * Method: what a thread sees of itself; a limit on processes. */
#include "base/thread.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/panic.h"
#include "tests/unit/base/base_suites.h"
#include "tests/unit/unit.h"

struct seen {
    char name[64], kernel_name[64];
    uint64_t self;
    bool blocked;
};

static void look(void *ctx)
{
    struct seen *seen = ctx;
    sigset_t set;
    (void)snprintf(seen->name, sizeof(seen->name), "%s", thread_name());
    (void)pthread_getname_np(pthread_self(), seen->kernel_name, sizeof(seen->kernel_name));
    seen->self = thread_self();
    (void)pthread_sigmask(SIG_SETMASK, NULL, &set);
    seen->blocked = sigismember(&set, SIGTERM) == 1 && sigismember(&set, SIGHUP) == 1 &&
                    sigismember(&set, SIGSEGV) == 0 && sigismember(&set, SIGABRT) == 0;
}

START_TEST(test_what_a_thread_sees)
{
    struct seen seen[2] = {0};
    struct thread threads[2];
    sigset_t set;

    ck_assert_int_eq(thread_start(&threads[0], "short", look, &seen[0], NULL), ST_OK);
    ck_assert_int_eq(thread_start(&threads[1], "a-name-that-is-too-long", look, &seen[1], NULL),
                     ST_OK);
    for (int i = 0; i < 2; i++) {
        thread_join(&threads[i]);
        thread_join(&threads[i]); /* again is fine */
        ck_assert_str_eq(seen[i].name, seen[i].kernel_name);
        ck_assert(seen[i].blocked);
        ck_assert_uint_ne(seen[i].self, 0);
        ck_assert_uint_ne(seen[i].self, thread_self());
    }
    ck_assert_str_eq(seen[0].name, "short");
    ck_assert_str_eq(seen[1].name, "a-name-that-is-");
    ck_assert_uint_ne(seen[0].self, seen[1].self);
    ck_assert_uint_eq(thread_self(), thread_self());
    ck_assert_str_eq(thread_name(), "main");
    (void)pthread_sigmask(SIG_SETMASK, NULL, &set);
    ck_assert_int_eq(sigismember(&set, SIGTERM), 0); /* ours is as it was */
    struct thread never = {0};
    thread_join(&never);
    thread_relax();
}
END_TEST

struct shared {
    int n_runs;
    uint64_t self;
};

static void share(void *ctx)
{
    struct shared *shared = ctx;
    shared->n_runs++;
    shared->self = thread_self();
}

START_TEST(test_what_threads_share_is_done_once)
{
    static const struct {
        unsigned n, most;
    } cases[] = {{1, 1}, {1, 4}, {5, 0}, {5, 1}, {40, 3}, {3, 40}, {64, 64}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct shared shared[64] = {{0}};
        threads_share("share", share, shared, sizeof(shared[0]), cases[i].n, cases[i].most);
        for (unsigned k = 0; k < 64; k++) {
            ck_assert_int_eq(shared[k].n_runs, k < cases[i].n);
            if (cases[i].most <= 1 && k < cases[i].n)
                ck_assert_uint_eq(shared[k].self, thread_self());
        }
        ck_assert_uint_eq(shared[0].self, thread_self());
    }
}
END_TEST

START_TEST(test_refused_thread_is_an_error)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return; /* they need address space of their own */
#else
    struct rlimit limit = {.rlim_cur = 64 << 20, .rlim_max = 64 << 20};
    enum { N = 64 };
    struct thread threads[N] = {0};
    struct seen seen[N];
    struct err err = {0};
    status st = ST_OK;
    int n = 0;

    ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
    /* Eight MiB of stack each: the address space is used up long before 64. */
    for (; n < N && st == ST_OK; n++)
        st = thread_start(&threads[n], "many", look, &seen[n], &err);
    ck_assert_int_eq(st, ST_LIMIT);
    ck_assert_msg(strstr(err.text, "thread many"), "%s", err.text);
    for (int i = 0; i < n; i++) thread_join(&threads[i]);
#endif
}
END_TEST

Suite *suite_thread(void)
{
    Suite *suite = suite_create("thread");
    TCase *tc = tcase_create("thread");
    tcase_add_test(tc, test_what_a_thread_sees);
    tcase_add_test(tc, test_what_threads_share_is_done_once);
    tcase_add_test(tc, test_refused_thread_is_an_error);
    suite_add_tcase(suite, tc);
    return suite;
}
