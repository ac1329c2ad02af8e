/* Goal: a failed assertion and a fatal signal leave one report and end the process with
 * the right signal. Method: children whose stderr is a pipe. */
#include "base/panic.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/thread.h"
#include "tests/unit/base/base_suites.h"
#include "tests/unit/unit.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif

static int hook_fd;

static void write_hook(const char *text, size_t len)
{
    /* Its text is the report's, without the words that the test counts. */
    if (len > 20 && memmem(text, len, "reason: ", 8)) (void)!write(hook_fd, "HOOK", 4);
}

/* Runs fn in a child; its stderr comes back in text. Returns the wait status. */
static int run_child(void (*fn)(void), char *text, size_t cap)
{
    int fds[2], wstatus;
    size_t len = 0;

    ck_assert_int_eq(pipe(fds), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        (void)dup2(fds[1], STDERR_FILENO);
        hook_fd = STDERR_FILENO;
        fn();
        _exit(0);
    }
    (void)close(fds[1]);
    for (ssize_t n; len + 1 < cap && (n = read(fds[0], text + len, cap - 1 - len)) > 0;)
        len += (size_t)n;
    text[len] = 0;
    (void)close(fds[0]);
    ck_assert_int_eq(waitpid(pid, &wstatus, 0), pid);
    return wstatus;
}

static void fail_assertion(void)
{
    panic_set_hook(write_hook);
    for (int i = 0; i < 20; i++) log_error("test", "before", "line=%d", i);
    int one = 1;
    ASSERT(one == 2);
}

static void divide_nothing(void)
{
    panic_catch_signals();
    panic_set_hook(write_hook);
    (void)raise(SIGFPE);
}

static void abort_at_once(void)
{
    panic_catch_signals();
    abort();
}

static void panic_in_hook(const char *text, size_t len)
{
    (void)text, (void)len;
    PANIC("again");
}

static void crash_in_the_report(void)
{
    panic_set_hook(panic_in_hook);
    PANIC("first");
}

static void panic_in_thread(void *ctx)
{
    (void)ctx;
    PANIC("in a thread");
}

static void crash_in_two_threads(void)
{
    struct thread a, b;
    if (thread_start(&a, "first", panic_in_thread, NULL, NULL) != ST_OK) return;
    if (thread_start(&b, "second", panic_in_thread, NULL, NULL) != ST_OK) return;
    thread_join(&a);
    thread_join(&b);
}

static const struct crash {
    const char *name;
    void (*fn)(void);
    int signal;
    const char *says[3];
} crashes[] = {
    {"assertion", fail_assertion, SIGABRT,
     {"reason: assertion failed: one == 2", "test_panic.c:", "HOOK"}},
    {"last log lines", fail_assertion, SIGABRT,
     {"msg=\"before\" line=12\nlog: ", "line=19\n", "stack:"}},
    {"signal", divide_nothing, SIGFPE, {"reason: SIGFPE", "stack:", "HOOK"}},
    {"abort", abort_at_once, SIGABRT, {"reason: SIGABRT", "build: ", "thread: "}},
    {"crash in the report", crash_in_the_report, SIGABRT, {"reason: first", "stack:", ""}},
    {"two threads", crash_in_two_threads, SIGABRT, {"reason: in a thread", "stack:", ""}},
};

START_TEST(test_report)
{
    static char text[65536];
    const struct crash *c = &crashes[_i];
    int wstatus = run_child(c->fn, text, sizeof(text));

    ck_assert_msg(WIFSIGNALED(wstatus) && WTERMSIG(wstatus) == c->signal, "%s: status %d\n%s",
                  c->name, wstatus, text);
    for (int i = 0; i < 3; i++)
        ck_assert_msg(strstr(text, c->says[i]), "%s: no '%s' in\n%s", c->name, c->says[i], text);
    const char *first = strstr(text, "crash report");
    ck_assert_msg(first && !strstr(first + 1, "crash report"), "%s: not one report", c->name);
}
END_TEST

static volatile int depth_wanted = 1 << 30;

static int __attribute__((noinline)) dig(int depth)
{
    volatile char frame[4096];
    frame[0] = (char)depth;
    return depth < depth_wanted ? dig(depth + 1) + frame[0] : 0;
}

static void overflow_in_thread(void *ctx)
{
    *(int *)ctx = dig(0);
}

static void overflow_a_thread(void)
{
    struct thread thread;
    int sum;
    panic_catch_signals();
    if (thread_start(&thread, "deep", overflow_in_thread, &sum, NULL) == ST_OK)
        thread_join(&thread);
}

START_TEST(test_overflown_stack_is_reported)
{
    static char text[65536];
    if (SANITIZED) return; /* the sanitizers report it themselves */
    int wstatus = run_child(overflow_a_thread, text, sizeof(text));

    ck_assert(WIFSIGNALED(wstatus) && WTERMSIG(wstatus) == SIGSEGV);
    ck_assert_msg(strstr(text, "reason: SIGSEGV"), "%s", text);
    ck_assert_msg(strstr(text, "thread: deep"), "%s", text);
}
END_TEST

Suite *suite_panic(void)
{
    Suite *suite = suite_create("panic");
    TCase *tc = tcase_create("panic");
    tcase_add_loop_test(tc, test_report, 0, ARRAY_LEN(crashes));
    tcase_add_test(tc, test_overflown_stack_is_reported);
    suite_add_tcase(suite, tc);
    return suite;
}
