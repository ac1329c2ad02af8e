/* Loops.
 *
 *     wait -> descriptors -> mailbox -> timers -> LOOP_BATCH hooks -> gate -> LOOP_FLUSH hooks
 *      ^                                                                          |
 *      +--------------------------------------------------------------------------+
 *
 * Sleeping and waking: the loop exchanges sleeping for true and then looks once more
 * at everything another thread may have changed (mailbox, gate, stop). A thread that
 * changes one of these then exchanges sleeping for false and wakes the loop if it was
 * true. Exchanges of one variable have one order: either the other thread's comes
 * second and finds true, or the loop's comes second and, acquiring, sees the change.
 * So no wake-up is lost and a busy loop costs its senders no system call. The same
 * holds for gate_waiting between loop_gate_waiting() and loop_gate_wake(). (Fences
 * would do too, but the thread sanitizer does not know them.)
 *
 * The step-time histogram holds, for each turn, the time between the end of the wait
 * and the end of the hooks: what a request that came meanwhile had to wait at least.
 */
#include "net/loop.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/cgroup.h"
#include "base/mailbox.h"
#include "base/mem.h"
#include "base/panic.h"
#include "base/thread.h"
#include "net/loop_poll_priv.h"

enum { TASKS_A_TURN = 1024, NS_PER_MS = 1000000, NS_PER_US = 1000 };
enum { TASKS_A_LOOK = 2, TASKS_NS = 500 * NS_PER_US }; /* an owner's step */
enum { SLOW_TURN_NS = 100 * NS_PER_MS, SLOW_PAUSE_NS = 1000 * NS_PER_MS };

struct loop {
    struct poller poller;
    struct clock *clock;
    mono_ns now;
    unsigned spin_us;
    struct wheel wheel;
    struct list hooks[LOOP_PHASES];

    struct mailbox box;
    struct loop_fd wake;           /* an eventfd */
    _Atomic bool sleeping, stop;

    const _Atomic uint64_t *gate;  /* raised elsewhere; own_gate until set */
    _Atomic uint64_t own_gate;
    uint64_t gate_seen;
    _Atomic int gate_waiting;
    _Atomic int gate_failed;       /* a status */
    bool gate_failed_told;
    struct list gate_watchers;

    char name[LOOP_NAME_MAX];
    struct thread thread;
    _Atomic uint64_t owner;        /* thread_self() of the thread it belongs to */

    struct histogram_us steps;
    mono_ns told_slow;             /* when a slow turn was last logged; 0: never */
    struct counter n_turns, n_wakes, n_tasks, n_events;
};

/* ---- Life ---------------------------------------------------------------------- */

static void wake_from(void *ctx)
{
    struct loop *loop = ctx;

    if (!atomic_exchange_explicit(&loop->sleeping, false, memory_order_acq_rel)) return;
    /* Fails only when the counter is full, and then the loop is woken already. */
    (void)eventfd_write(loop->wake.fd, 1);
}

static void woken(struct loop_fd *lfd, unsigned events)
{
    struct loop *loop = container_of(lfd, struct loop, wake);
    eventfd_t n;

    (void)events;
    (void)eventfd_read(lfd->fd, &n); /* nothing to read is fine: woken twice */
    counter_add_alone(&loop->n_wakes, 1);
}

static unsigned spin_for(unsigned spin_us)
{
    struct cgroup_limits machine;

    if (spin_us == 0) return 0;
    cgroup_read(&machine, NULL);
    if (machine.n_cpus < LOOP_SPIN_CPUS) return 0;
    return spin_us < LOOP_SPIN_US ? spin_us : LOOP_SPIN_US;
}

static void take_over(struct loop *loop)
{
    atomic_store_explicit(&loop->owner, thread_self(), memory_order_relaxed);
}

static void free_loop(struct loop *loop)
{
    poller_close(&loop->poller);
    if (loop->wake.fd >= 0) close(loop->wake.fd);
    mem_free(loop);
}

status loop_open(struct loop **out, const struct loop_opts *opts, struct err *err)
{
    struct loop *loop = mem_try_zero(sizeof(*loop));

    if (!loop) return err_set(err, ST_NO_MEMORY, "no memory for a loop");
    loop->poller.fd = -1;
    loop->wake = (struct loop_fd){.fd = -1, .want = LOOP_READ, .ready = woken};
    loop->clock = opts->clock ? opts->clock : clock_system();
    loop->now = clock_mono(loop->clock);
    loop->spin_us = spin_for(opts->spin_us);
    snprintf(loop->name, sizeof(loop->name), "%s", opts->name ? opts->name : "loop");
    wheel_init(&loop->wheel, loop->now / NS_PER_MS);
    for (int i = 0; i < LOOP_PHASES; i++) list_init(&loop->hooks[i]);
    list_init(&loop->gate_watchers);
    loop->gate = &loop->own_gate;
    mailbox_init(&loop->box, wake_from, loop);
    take_over(loop);

    status st = poller_open(&loop->poller, err);
    if (st != ST_OK) goto fail;
    loop->wake.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (loop->wake.fd < 0) {
        st = err_set(err, ST_LIMIT, "eventfd: %s", strerror(errno));
        goto fail;
    }
    st = poller_add(&loop->poller, &loop->wake, err);
    if (st != ST_OK) goto fail;
    *out = loop;
    return ST_OK;

fail:
    free_loop(loop);
    return st;
}

void loop_close(struct loop *loop)
{
    if (!loop) return;
    while (mailbox_drain(&loop->box, TASKS_A_TURN) == TASKS_A_TURN) continue;
    for (int i = 0; i < LOOP_PHASES; i++) ASSERT(list_empty(&loop->hooks[i]));
    ASSERT(list_empty(&loop->gate_watchers));
    wheel_release(&loop->wheel);
    free_loop(loop);
}

/* ---- Waiting ------------------------------------------------------------------- */

static bool has_news(struct loop *loop)
{
    if (!mailbox_empty(&loop->box)) return true;
    if (atomic_load_explicit(&loop->stop, memory_order_acquire)) return true;
    if (atomic_load_explicit(&loop->gate_failed, memory_order_acquire) != ST_OK &&
        !loop->gate_failed_told) {
        return true;
    }
    return atomic_load_explicit(&loop->gate_waiting, memory_order_relaxed) != 0 &&
           loop_gate(loop) > loop->gate_seen;
}

static bool spin(struct loop *loop)
{
    mono_ns until = clock_mono(loop->clock) + loop->spin_us * (mono_ns)NS_PER_US;

    do {
        if (poller_wait(&loop->poller, 0) > 0 || has_news(loop)) return true;
        thread_relax();
    } while (clock_mono(loop->clock) < until);
    return false;
}

static int wait_ms(const struct loop *loop, int timeout_ms)
{
    int64_t next = wheel_next_ms(&loop->wheel);

    if (next >= 0 && (timeout_ms < 0 || next < timeout_ms)) {
        timeout_ms = next > 60000 ? 60000 : (int)next;
    }
    return timeout_ms;
}

static void wait_for_news(struct loop *loop, int timeout_ms)
{
    timeout_ms = wait_ms(loop, timeout_ms);
    if (timeout_ms == 0 || has_news(loop)) {
        poller_wait(&loop->poller, 0);
        return;
    }
    if (loop->spin_us > 0 && spin(loop)) return;
    (void)atomic_exchange_explicit(&loop->sleeping, true, memory_order_acq_rel);
    if (has_news(loop)) timeout_ms = 0;
    poller_wait(&loop->poller, timeout_ms);
    (void)atomic_exchange_explicit(&loop->sleeping, false, memory_order_acq_rel);
}

/* ---- A turn --------------------------------------------------------------------- */

static void run_events(struct loop *loop)
{
    struct poller *poller = &loop->poller;

    if (poller->n == 0) return;
    counter_add_alone(&loop->n_events, poller->n);
    for (poller->at = 0; poller->at < poller->n;) {
        struct poll_event event = poller->fetched[poller->at++];
        if (event.lfd) event.lfd->ready(event.lfd, event.events);
    }
    poller->n = poller->at = 0;
}

/* Tasks that post themselves again, as long work of the owner does, must not keep the
 * sockets waiting: the rest has its turn after the next look at them. */
static size_t run_tasks(struct loop *loop)
{
    size_t n = 0;
    for (struct task *task; n < TASKS_A_TURN && (task = mailbox_take(&loop->box)) != NULL;) {
        task->fn(task);
        if (++n % TASKS_A_LOOK == 0 && clock_mono(loop->clock) - loop->now > TASKS_NS) break;
    }
    return n;
}

static void run_hooks(struct list *hooks)
{
    for (struct list *at = hooks->next, *next; at != hooks; at = next) {
        struct loop_hook *hook = container_of(at, struct loop_hook, link);
        next = at->next;
        hook->fn(hook);
    }
}

static void look_at_gate(struct loop *loop)
{
    uint64_t passed = loop_gate(loop);
    status failed = (status)atomic_load_explicit(&loop->gate_failed, memory_order_acquire);
    bool risen = passed > loop->gate_seen;
    bool tell_failed = failed != ST_OK && !loop->gate_failed_told;

    if (!risen && !tell_failed) return;
    loop->gate_seen = passed;
    loop->gate_failed_told |= tell_failed;
    for (struct list *at = loop->gate_watchers.next, *next; at != &loop->gate_watchers; at = next) {
        struct loop_gate_watcher *watcher = container_of(at, struct loop_gate_watcher, link);
        next = at->next;
        if (risen) watcher->risen(watcher, passed);
        if (tell_failed) watcher->failed(watcher, failed);
    }
}

/* Everybody on this loop waited: worth a line, but not one a turn. */
static void tell_slow_turn(struct loop *loop, mono_ns took, size_t n_events, size_t n_tasks)
{
    if (loop->told_slow && loop->now - loop->told_slow < SLOW_PAUSE_NS) return;
    loop->told_slow = loop->now;
    log_warn("net", "a loop's turn took long", "loop=%s ms=%lld events=%zu tasks=%zu",
             loop->name, (long long)(took / NS_PER_MS), n_events, n_tasks);
}

static void turn(struct loop *loop, int timeout_ms)
{
    wait_for_news(loop, timeout_ms);
    loop->now = clock_mono(loop->clock);
    counter_add_alone(&loop->n_turns, 1);
    size_t n_events = loop->poller.n;
    run_events(loop);
    size_t n = run_tasks(loop);
    if (n) counter_add_alone(&loop->n_tasks, n);
    wheel_advance(&loop->wheel, loop->now / NS_PER_MS);
    run_hooks(&loop->hooks[LOOP_BATCH]);
    look_at_gate(loop);
    run_hooks(&loop->hooks[LOOP_FLUSH]);
    mono_ns took = clock_mono(loop->clock) - loop->now;
    histogram_us_record(&loop->steps, took > 0 ? (uint64_t)took / NS_PER_US : 0);
    if (took > SLOW_TURN_NS) tell_slow_turn(loop, took, n_events, n);
}

void loop_turn(struct loop *loop, int timeout_ms)
{
    take_over(loop);
    turn(loop, timeout_ms);
}

void loop_run(struct loop *loop)
{
    take_over(loop);
    while (!atomic_load_explicit(&loop->stop, memory_order_acquire)) turn(loop, -1);
    atomic_store_explicit(&loop->stop, false, memory_order_relaxed);
}

static void thread_main(void *ctx)
{
    loop_run(ctx);
}

status loop_start(struct loop *loop, struct err *err)
{
    return thread_start(&loop->thread, loop->name, thread_main, loop, err);
}

void loop_join(struct loop *loop)
{
    thread_join(&loop->thread);
    take_over(loop);
}

void loop_stop(struct loop *loop)
{
    atomic_store_explicit(&loop->stop, true, memory_order_release);
    wake_from(loop);
}

void loop_post(struct loop *loop, struct task *task)
{
    mailbox_push(&loop->box, task);
}

bool loop_is_mine(const struct loop *loop)
{
    return atomic_load_explicit(&loop->owner, memory_order_relaxed) == thread_self();
}

mono_ns loop_now(const struct loop *loop)
{
    return loop->now;
}

struct clock *loop_clock(const struct loop *loop)
{
    return loop->clock;
}

const char *loop_name(const struct loop *loop)
{
    return loop->name;
}

/* ---- Descriptors, timers, hooks --------------------------------------------------- */

status loop_watch(struct loop *loop, struct loop_fd *lfd, struct err *err)
{
    DASSERT(loop_is_mine(loop));
    return poller_add(&loop->poller, lfd, err);
}

void loop_want(struct loop *loop, struct loop_fd *lfd, unsigned want)
{
    DASSERT(loop_is_mine(loop));
    if (lfd->want == want) return;
    lfd->want = want;
    poller_change(&loop->poller, lfd);
}

void loop_unwatch(struct loop *loop, struct loop_fd *lfd)
{
    DASSERT(loop_is_mine(loop));
    poller_remove(&loop->poller, lfd);
    lfd->fd = -1;
}

struct wheel *loop_wheel(struct loop *loop)
{
    return &loop->wheel;
}

void loop_hook_add(struct loop *loop, enum loop_phase phase, struct loop_hook *hook)
{
    list_push(&loop->hooks[phase], &hook->link);
}

void loop_hook_remove(struct loop_hook *hook)
{
    list_remove(&hook->link);
}

/* ---- The gate ------------------------------------------------------------------- */

void loop_set_gate(struct loop *loop, const _Atomic uint64_t *passed)
{
    loop->gate = passed;
}

void loop_gate_add(struct loop *loop, struct loop_gate_watcher *watcher)
{
    list_push(&loop->gate_watchers, &watcher->link);
}

void loop_gate_remove(struct loop_gate_watcher *watcher)
{
    list_remove(&watcher->link);
}

uint64_t loop_gate(const struct loop *loop)
{
    return atomic_load_explicit(loop->gate, memory_order_acquire);
}

void loop_set_watermark(struct loop *loop, uint64_t passed)
{
    ASSERT(loop->gate == &loop->own_gate);
    atomic_store_explicit(&loop->own_gate, passed, memory_order_release);
}

void loop_gate_waiting(struct loop *loop, bool waiting)
{
    if (atomic_load_explicit(&loop->gate_waiting, memory_order_relaxed) == (int)waiting) {
        return;
    }
    (void)atomic_exchange_explicit(&loop->gate_waiting, (int)waiting, memory_order_acq_rel);
}

void loop_gate_wake(struct loop *loop)
{
    /* A read that joins the order of exchanges: see the top. */
    if (atomic_fetch_or_explicit(&loop->gate_waiting, 0, memory_order_acq_rel)) wake_from(loop);
}

void loop_gate_fail(struct loop *loop, status st)
{
    int expected = ST_OK;

    if (atomic_compare_exchange_strong_explicit(&loop->gate_failed, &expected, (int)st,
                                                memory_order_release, memory_order_relaxed)) {
        wake_from(loop);
    }
}

status loop_gate_failed(const struct loop *loop)
{
    return (status)atomic_load_explicit(&loop->gate_failed, memory_order_acquire);
}

/* ---- Numbers -------------------------------------------------------------------- */

const struct histogram_us *loop_step_times(const struct loop *loop)
{
    return &loop->steps;
}

void loop_stats(const struct loop *loop, struct loop_stats *out)
{
    *out = (struct loop_stats){
        .n_turns = counter_read(&loop->n_turns),
        .n_wakes = counter_read(&loop->n_wakes),
        .n_tasks = counter_read(&loop->n_tasks),
        .n_events = counter_read(&loop->n_events),
    };
}
