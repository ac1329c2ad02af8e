/* Named threads over pthreads. See thread.h.
 *
 * Each thread lends the end of its own stack to the signal handlers of panic.c, so
 * that an overflow in any thread can still be reported. The former alternate stack is
 * put back before the end: the address sanitizer keeps its own there and unmaps what
 * it finds.
 */
#include "base/thread.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/panic.h"

enum { SIGNAL_STACK_LEN = 64 << 10 }; /* of address space; untouched pages cost nothing */

static _Atomic uint64_t n_threads;
static _Thread_local uint64_t self;
static _Thread_local const char *self_name;

uint64_t thread_self(void)
{
    if (unlikely(self == 0))
        self = atomic_fetch_add_explicit(&n_threads, 1, memory_order_relaxed) + 1;
    return self;
}

const char *thread_name(void)
{
    return self_name ? self_name : "main";
}

static void *run_thread(void *arg)
{
    struct thread *thread = arg;
    char signal_stack[SIGNAL_STACK_LEN];
    stack_t ours = {.ss_sp = signal_stack, .ss_size = sizeof(signal_stack)}, former;

    self_name = thread->name;
    (void)pthread_setname_np(pthread_self(), thread->name);
    bool lent = sigaltstack(&ours, &former) == 0;
    thread->main(thread->ctx);
    if (lent) (void)sigaltstack(&former, NULL);
    return NULL;
}

status thread_start(struct thread *thread, const char *name, void (*main)(void *ctx),
                    void *ctx, struct err *err)
{
    sigset_t all, before;
    char text[128];

    *thread = (struct thread){.main = main, .ctx = ctx};
    (void)snprintf(thread->name, sizeof(thread->name), "%s", name);

    /* Not those that the thread's own instructions raise: blocked, they would end the
     * process without a report. */
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS};
    (void)sigfillset(&all);
    for (size_t i = 0; i < ARRAY_LEN(own); i++) (void)sigdelset(&all, own[i]);
    int rc = pthread_sigmask(SIG_SETMASK, &all, &before);
    ASSERT(rc == 0);
    int start = pthread_create(&thread->raw, NULL, run_thread, thread);
    rc = pthread_sigmask(SIG_SETMASK, &before, NULL);
    ASSERT(rc == 0);
    if (start != 0)
        return err_set(err, ST_LIMIT, "thread %s: %s", name,
                       strerror_r(start, text, sizeof(text)));
    thread->started = true;
    return ST_OK;
}

void thread_join(struct thread *thread)
{
    if (!thread->started) return;
    int rc = pthread_join(thread->raw, NULL);
    ASSERT(rc == 0);
    thread->started = false;
}

void threads_together(const char *name, void (*fn)(void *ctx), void *ctx, size_t size,
                      unsigned n)
{
    struct thread threads[THREADS_TOGETHER_MAX] = {{.started = false}};
    bool alone[THREADS_TOGETHER_MAX] = {false};
    ASSERT(n >= 1 && n <= THREADS_TOGETHER_MAX);
    for (unsigned i = 0; i + 1 < n; i++)
        alone[i] = thread_start(&threads[i], name, fn, (char *)ctx + i * size, NULL) != ST_OK;
    fn((char *)ctx + (n - 1) * size);
    for (unsigned i = 0; i + 1 < n; i++) {
        if (alone[i]) fn((char *)ctx + i * size);
        else thread_join(&threads[i]);
    }
}

struct share {
    void (*fn)(void *ctx);
    char *ctx;
    size_t size;
    unsigned n;
    _Atomic unsigned next;
};

static void take_shares(void *ctx)
{
    struct share *share = ctx;
    for (;;) {
        unsigned i = atomic_fetch_add_explicit(&share->next, 1, memory_order_relaxed);
        if (i >= share->n) return;
        share->fn(share->ctx + i * share->size);
    }
}

void threads_share(const char *name, void (*fn)(void *ctx), void *ctx, size_t size, unsigned n,
                   unsigned most)
{
    struct thread threads[THREADS_TOGETHER_MAX] = {{.started = false}};
    struct share share = {.fn = fn, .ctx = ctx, .size = size, .n = n, .next = 1};
    unsigned n_more = most < n ? most : n;
    ASSERT(n >= 1);
    if (n_more > THREADS_TOGETHER_MAX) n_more = THREADS_TOGETHER_MAX;
    for (unsigned i = 0; i + 1 < n_more; i++)
        if (thread_start(&threads[i], name, take_shares, &share, NULL) != ST_OK) break;
    fn(ctx);
    take_shares(&share);
    for (unsigned i = 0; i + 1 < n_more; i++) thread_join(&threads[i]); /* started or not */
}
