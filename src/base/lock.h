/* Locks with ranks, and conditions on the monotonic clock.
 *
 * There are few locks (lockrank.def lists them); what threads share otherwise is
 * atomic or lies in a mailbox. A thread takes locks in rising rank only, so no
 * circle of waiting can form; dev builds assert it at every lock, and that a lock
 * is released by the thread that took it. Any thread.
 */
#ifndef TSINK_BASE_LOCK_H
#define TSINK_BASE_LOCK_H

#include <pthread.h>
#include <stdbool.h>

#include "base/clock.h"

#define LOCK_RANK(name, rank, text) name = rank,
enum lock_rank {
#include "base/lockrank.def"
};
#undef LOCK_RANK

const char *lock_rank_name(enum lock_rank rank); /* "LOCK_LOG" */

struct mutex {
    pthread_mutex_t raw;
    enum lock_rank rank;
};

void mutex_init(struct mutex *mutex, enum lock_rank rank);
void mutex_release(struct mutex *mutex);
void mutex_lock(struct mutex *mutex);
bool mutex_try_lock(struct mutex *mutex);

/* As mutex_lock, but gives up at the deadline and returns false. */
bool mutex_lock_until(struct mutex *mutex, mono_ns deadline);
void mutex_unlock(struct mutex *mutex);

/* Whether the calling thread holds the mutex; for assertions, in dev builds only
 * (always true in release builds). */
bool mutex_held(const struct mutex *mutex);

struct cond {
    pthread_cond_t raw;
};

void cond_init(struct cond *cond);
void cond_release(struct cond *cond);

/* Waits with the mutex released. Returns also without a signal: test the condition
 * in a loop. The mutex must be the newest that this thread holds. */
void cond_wait(struct cond *cond, struct mutex *mutex);

/* As cond_wait; false when the system's monotonic clock has passed the deadline. */
bool cond_wait_until(struct cond *cond, struct mutex *mutex, mono_ns deadline);
void cond_signal(struct cond *cond);
void cond_broadcast(struct cond *cond);

#endif
