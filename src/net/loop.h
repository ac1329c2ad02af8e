/* A loop: one thread that waits for sockets, messages and timers and runs short
 * callbacks. The owner is a loop; each I/O thread is one.
 *
 * A turn: wait; ready descriptors; mailbox; timers; then the hooks of the turn's
 * end, phase by phase. What has become ready in one turn can so be handled as one
 * batch (phase LOOP_BATCH) before the turn's output is written (phase LOOP_FLUSH).
 *
 * Another thread reaches a loop by loop_post() only; the kernel is asked to wake
 * the loop only when it sleeps. A loop spins for up to 20 us before it sleeps, when
 * it was told to and the machine has four CPUs.
 *
 * The gate: a number that another thread raises (the WAL's durable position).
 * Replies tagged with a higher number wait at their loop; loop_gate_wake() by the
 * raising thread costs one atomic operation while nobody waits.
 *
 * Threads: functions are for the loop's own thread (before loop_run(): the maker's)
 * unless they say "any thread".
 */
#ifndef TSINK_NET_LOOP_H
#define TSINK_NET_LOOP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/exec.h"
#include "base/list.h"
#include "base/metric.h"
#include "base/status.h"
#include "base/timerwheel.h"

enum {
    LOOP_READ = 1,
    LOOP_WRITE = 2,
    LOOP_ERROR = 4, /* reported, not asked for */
};

enum loop_phase { LOOP_BATCH, LOOP_FLUSH, LOOP_PHASES };

enum { LOOP_SPIN_US = 20, LOOP_SPIN_CPUS = 4, LOOP_NAME_MAX = 16 };

struct loop;

/* A watched descriptor, embedded in its owner. */
struct loop_fd {
    int fd;                                             /* -1 while not watched */
    unsigned want;                                      /* LOOP_READ | LOOP_WRITE */
    void (*ready)(struct loop_fd *lfd, unsigned events); /* may unwatch and free */
};

/* Runs at the end of every turn; embedded in its owner. Does nothing quickly when
 * there is nothing to do. */
struct loop_hook {
    struct list link;
    void (*fn)(struct loop_hook *hook);
};

struct loop_opts {
    const char *name;    /* of the thread; copied, cut to LOOP_NAME_MAX - 1 */
    struct clock *clock; /* outlives the loop; NULL: the system's */
    unsigned spin_us;    /* 0: never spin; at most LOOP_SPIN_US */
};

struct loop_stats {
    uint64_t n_turns, n_wakes, n_tasks, n_events;
};

CHECKED status loop_open(struct loop **out, const struct loop_opts *opts, struct err *err);

/* Needs a loop that does not run and whose descriptors are unwatched; runs what is
 * left in the mailbox. Accepts NULL. */
void loop_close(struct loop *loop);

/* Runs turns in the calling thread until loop_stop(). */
void loop_run(struct loop *loop);

/* One turn that waits at most timeout_ms (-1: until something happens). */
void loop_turn(struct loop *loop, int timeout_ms);

/* The same in a thread of its own; loop_join() waits for its end. */
CHECKED status loop_start(struct loop *loop, struct err *err);
void loop_join(struct loop *loop);

/* Any thread: the turn in hand is the last. */
void loop_stop(struct loop *loop);

/* Any thread. Takes the task; fn runs on the loop, in the order of posting by one
 * thread, after the turn's descriptors. */
void loop_post(struct loop *loop, struct task *task);

/* Any thread. Whether the caller is the loop's thread. */
bool loop_is_mine(const struct loop *loop);

/* Start of this turn. Monotonic; cheap. */
mono_ns loop_now(const struct loop *loop);
struct clock *loop_clock(const struct loop *loop);
const char *loop_name(const struct loop *loop);

/* Watches lfd->fd with lfd->want. */
CHECKED status loop_watch(struct loop *loop, struct loop_fd *lfd, struct err *err);
void loop_want(struct loop *loop, struct loop_fd *lfd, unsigned want);

/* No callback comes after this, not even for an event already fetched. The
 * descriptor stays open. */
void loop_unwatch(struct loop *loop, struct loop_fd *lfd);

/* The wheel to which timers of this loop are added (timer_set); all must be cancelled
 * before loop_close(). Its now is the start of the turn. */
struct wheel *loop_wheel(struct loop *loop);

void loop_hook_add(struct loop *loop, enum loop_phase phase, struct loop_hook *hook);
void loop_hook_remove(struct loop_hook *hook);

/* The gate's number and who is told when it has risen or failed; both outlive the
 * loop. Before loop_run(). */
struct loop_gate_watcher {
    struct list link;
    void (*risen)(struct loop_gate_watcher *watcher, uint64_t passed);
    void (*failed)(struct loop_gate_watcher *watcher, status st);
};
void loop_set_gate(struct loop *loop, const _Atomic uint64_t *passed);
void loop_gate_add(struct loop *loop, struct loop_gate_watcher *watcher);
void loop_gate_remove(struct loop_gate_watcher *watcher);

/* The gate as of now, 0 when there is none: what is tagged at most this may go. */
uint64_t loop_gate(const struct loop *loop);

/* Tests and loops whose gate is moved by themselves: sets an own gate to passed. */
void loop_set_watermark(struct loop *loop, uint64_t passed);

/* Somebody on this loop now waits for the gate (true) or nobody does (false). While
 * true, the gate is looked at in each turn and before sleeping. */
void loop_gate_waiting(struct loop *loop, bool waiting);

/* Any thread, after it raised the number (release): wakes the loop if somebody there
 * waits. */
void loop_gate_wake(struct loop *loop);

/* Any thread: the gate will not rise any more (a failed sync). Sticky: the watchers'
 * failed() runs once, and loop_gate_failed() tells later comers. */
void loop_gate_fail(struct loop *loop, status st);
status loop_gate_failed(const struct loop *loop); /* ST_OK while it may still rise */

/* Any thread. Time that turns spent on callbacks, and counts. */
const struct histogram_us *loop_step_times(const struct loop *loop);
void loop_stats(const struct loop *loop, struct loop_stats *out);

#endif
