/* The crash report: what, where, in which thread, by which build, the last log lines,
 * and the stack.
 *
 * Everything after the reason is written with write(2) and integer formatting of our
 * own, because a panic may come from a signal handler in the middle of malloc.
 * backtrace() allocates when it is first called (it loads libgcc), so
 * panic_catch_signals() calls it once while all is well. The handlers run on an
 * alternate stack, so that a stack overflow can be reported too: alt_stack serves the
 * thread that calls panic_catch_signals(), thread_start() gives every other its own.
 *
 * One report per process: the first thread wins, a second one waits for the end; a
 * crash inside the report ends it at once.
 */
#include "base/panic.h"

#include <errno.h>
#include <execinfo.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/log.h"

#ifdef TSINK_VERSION
#define BUILD_TEXT TSINK_VERSION
#else
#define BUILD_TEXT "unversioned"
#endif

enum {
    REPORT_MAX = 8192,
    FRAMES_MAX = 64,
    ALT_STACK_LEN = 64 << 10, /* backtrace's unwinder needs some 10 KiB (measured) */
};

struct report {
    char text[REPORT_MAX];
    size_t len;
};

static _Atomic(void (*)(const char *, size_t)) panic_hook;
static atomic_flag reporting = ATOMIC_FLAG_INIT;
static _Thread_local bool in_report;
static struct report the_report; /* of the one thread that reports */
static char alt_stack[ALT_STACK_LEN];

void panic_set_hook(void (*hook)(const char *text, size_t len))
{
    atomic_store(&panic_hook, hook);
}

static void put_bytes(struct report *r, const char *src, size_t len)
{
    if (len > sizeof(r->text) - r->len) len = sizeof(r->text) - r->len;
    memcpy(r->text + r->len, src, len);
    r->len += len;
}

static void put_text(struct report *r, const char *text)
{
    put_bytes(r, text, strlen(text));
}

static void put_number(struct report *r, uint64_t v, unsigned base)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = "0123456789abcdef"[v % base];
        v /= base;
    } while (v);
    put_bytes(r, digits + at, sizeof(digits) - at);
}

static void write_all(const char *src, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDERR_FILENO, src, len);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return; /* nobody listens */
        src += n;
        len -= (size_t)n;
    }
}

/* True for the one that may report. Returns never to a second thread. */
static bool begin_report(void)
{
    if (in_report) return false;
    in_report = true;
    if (!atomic_flag_test_and_set(&reporting)) return true;
    for (;;) (void)pause(); /* the first ends the process */
}

static void put_place(struct report *r)
{
    char name[17] = {0};
    (void)prctl(PR_GET_NAME, name);
    put_text(r, "\nthread: ");
    put_text(r, name);
    put_text(r, "\npid: ");
    put_number(r, (uint64_t)getpid(), 10);
    put_text(r, "\nbuild: " BUILD_TEXT "\n");
}

static void put_log_line(void *ctx, const char *line, size_t len)
{
    put_text(ctx, "log: ");
    put_bytes(ctx, line, len);
}

/* Writes the report and the stack, tells the hook. */
static void finish_report(struct report *r)
{
    put_place(r);
    log_recent(put_log_line, r);
    write_all(r->text, r->len);

    void *frames[FRAMES_MAX];
    int n = backtrace(frames, FRAMES_MAX);
    write_all("stack:\n", 7);
    if (n > 0) backtrace_symbols_fd(frames, n, STDERR_FILENO);
    write_all("=== end of report ===\n", 22);

    put_text(r, "stack:");
    for (int i = 0; i < n; i++) {
        put_text(r, " 0x");
        put_number(r, (uint64_t)(uintptr_t)frames[i], 16);
    }
    put_text(r, "\n");
    void (*hook)(const char *, size_t) = atomic_load(&panic_hook);
    if (hook) hook(r->text, r->len);
}

static void on_signal(int sig, siginfo_t *info, void *context);

/* A handler of the program around us, a fuzzer's say, is still asked. */
static _Noreturn void die(int sig)
{
    struct sigaction now;
    sigset_t only;
    if (sigaction(sig, NULL, &now) == 0 && now.sa_flags & SA_SIGINFO &&
        now.sa_sigaction == on_signal)
        (void)signal(sig, SIG_DFL);
    (void)sigemptyset(&only);
    (void)sigaddset(&only, sig);
    (void)sigprocmask(SIG_UNBLOCK, &only, NULL);
    (void)raise(sig);
    _exit(128 + sig);
}

void panic_at(const char *file, int line, const char *fmt, ...)
{
    if (begin_report()) {
        char reason[512];
        va_list ap;
        va_start(ap, fmt);
        (void)vsnprintf(reason, sizeof(reason), fmt, ap);
        va_end(ap);

        struct report *r = &the_report;
        put_text(r, "\n=== tsink crash report ===\nreason: ");
        put_text(r, reason);
        put_text(r, "\nplace: ");
        put_text(r, file);
        put_text(r, ":");
        put_number(r, (uint64_t)line, 10);
        finish_report(r);
    }
    die(SIGABRT);
}

static const char *signal_text(int sig)
{
    switch (sig) {
    case SIGSEGV: return "SIGSEGV, invalid memory access";
    case SIGBUS: return "SIGBUS, memory that a file or device failed to give";
    case SIGFPE: return "SIGFPE, arithmetic error";
    case SIGILL: return "SIGILL, illegal instruction";
    case SIGABRT: return "SIGABRT, abort";
    }
    return "signal";
}

static void on_signal(int sig, siginfo_t *info, void *context)
{
    (void)context;
    if (begin_report()) {
        struct report *r = &the_report;
        put_text(r, "\n=== tsink crash report ===\nreason: ");
        put_text(r, signal_text(sig));
        put_text(r, "\nplace: address 0x");
        put_number(r, (uint64_t)(uintptr_t)info->si_addr, 16);
        finish_report(r);
    }
    die(sig);
}

void panic_catch_signals(void)
{
    void *warm[1];
    (void)backtrace(warm, 1);

    stack_t stack = {.ss_sp = alt_stack, .ss_size = sizeof(alt_stack)};
    (void)sigaltstack(&stack, NULL);

    struct sigaction action = {.sa_sigaction = on_signal,
                               .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    (void)sigemptyset(&action.sa_mask);
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        (void)sigaction(signals[i], &action, NULL);
}
