/* Ranked mutexes over pthreads. See lock.h.
 *
 * The ranks a thread holds are kept on a small stack in thread-local memory, in dev
 * builds only. Locks are taken in rising order, so the newest is the highest and one
 * comparison decides; they may be released in any order.
 */
#include "base/lock.h"

#include <errno.h>
#include <time.h>

#include "base/panic.h"

#if defined(__SANITIZE_THREAD__)
/* The thread sanitizer of gcc 12 does not know pthread_mutex_clocklock(). */
#include <sanitizer/tsan_interface.h>
#define TELL_SANITIZER_LOCKED(raw)                                                             \
    (__tsan_mutex_pre_lock(raw, __tsan_mutex_try_lock),                                        \
     __tsan_mutex_post_lock(raw, __tsan_mutex_try_lock, 0))
#else
#define TELL_SANITIZER_LOCKED(raw) ((void)(raw))
#endif

const char *lock_rank_name(enum lock_rank rank)
{
    switch (rank) {
#define LOCK_RANK(name, value, text) case name: return #name;
#include "base/lockrank.def"
#undef LOCK_RANK
    }
    return "unknown lock";
}

#ifdef TSINK_DEV

enum { HELD_MAX = 16 };

static _Thread_local struct {
    const struct mutex *mutex[HELD_MAX];
    unsigned n;
} held;

static void check_order(const struct mutex *mutex)
{
    if (held.n == 0) return;
    const struct mutex *newest = held.mutex[held.n - 1];
    if (mutex->rank <= newest->rank)
        PANIC("lock order: %s wanted while %s is held", lock_rank_name(mutex->rank),
              lock_rank_name(newest->rank));
}

static void note_taken(const struct mutex *mutex)
{
    ASSERT(held.n < HELD_MAX);
    held.mutex[held.n++] = mutex;
}

static void note_released(const struct mutex *mutex)
{
    for (unsigned i = held.n; i-- > 0;) {
        if (held.mutex[i] != mutex) continue;
        held.n--;
        for (; i < held.n; i++) held.mutex[i] = held.mutex[i + 1];
        return;
    }
    PANIC("%s released by a thread that does not hold it", lock_rank_name(mutex->rank));
}

bool mutex_held(const struct mutex *mutex)
{
    for (unsigned i = 0; i < held.n; i++)
        if (held.mutex[i] == mutex) return true;
    return false;
}

#else

static void check_order(const struct mutex *mutex)
{
    (void)mutex;
}

static void note_taken(const struct mutex *mutex)
{
    (void)mutex;
}

static void note_released(const struct mutex *mutex)
{
    (void)mutex;
}

bool mutex_held(const struct mutex *mutex)
{
    (void)mutex;
    return true;
}

#endif

static struct timespec timespec_of(mono_ns at)
{
    if (at < 0) at = 0;
    return (struct timespec){.tv_sec = at / 1000000000, .tv_nsec = at % 1000000000};
}

void mutex_init(struct mutex *mutex, enum lock_rank rank)
{
    int rc = pthread_mutex_init(&mutex->raw, NULL);
    ASSERT(rc == 0);
    mutex->rank = rank;
}

void mutex_release(struct mutex *mutex)
{
    int rc = pthread_mutex_destroy(&mutex->raw);
    ASSERT(rc == 0); /* EBUSY: somebody holds it */
}

void mutex_lock(struct mutex *mutex)
{
    check_order(mutex);
    int rc = pthread_mutex_lock(&mutex->raw);
    ASSERT(rc == 0);
    note_taken(mutex);
}

/* Trying cannot deadlock, but a lock gained out of order would be found by the next
 * one taken under it, so the order holds here too. */
bool mutex_try_lock(struct mutex *mutex)
{
    check_order(mutex);
    int rc = pthread_mutex_trylock(&mutex->raw);
    ASSERT(rc == 0 || rc == EBUSY);
    if (rc == 0) note_taken(mutex);
    return rc == 0;
}

bool mutex_lock_until(struct mutex *mutex, mono_ns deadline)
{
    struct timespec at = timespec_of(deadline);

    check_order(mutex);
    int rc = pthread_mutex_clocklock(&mutex->raw, CLOCK_MONOTONIC, &at);
    ASSERT(rc == 0 || rc == ETIMEDOUT);
    if (rc == 0) {
        TELL_SANITIZER_LOCKED(&mutex->raw);
        note_taken(mutex);
    }
    return rc == 0;
}

void mutex_unlock(struct mutex *mutex)
{
    note_released(mutex);
    int rc = pthread_mutex_unlock(&mutex->raw);
    ASSERT(rc == 0);
}

void cond_init(struct cond *cond)
{
    pthread_condattr_t attr;
    int rc = pthread_condattr_init(&attr);
    if (rc == 0) rc = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    if (rc == 0) rc = pthread_cond_init(&cond->raw, &attr);
    ASSERT(rc == 0);
    (void)pthread_condattr_destroy(&attr);
}

void cond_release(struct cond *cond)
{
    int rc = pthread_cond_destroy(&cond->raw);
    ASSERT(rc == 0);
}

void cond_wait(struct cond *cond, struct mutex *mutex)
{
    note_released(mutex);
    check_order(mutex); /* the wait takes it again */
    int rc = pthread_cond_wait(&cond->raw, &mutex->raw);
    ASSERT(rc == 0);
    note_taken(mutex);
}

bool cond_wait_until(struct cond *cond, struct mutex *mutex, mono_ns deadline)
{
    struct timespec at = timespec_of(deadline);

    note_released(mutex);
    check_order(mutex);
    int rc = pthread_cond_timedwait(&cond->raw, &mutex->raw, &at);
    ASSERT(rc == 0 || rc == ETIMEDOUT);
    note_taken(mutex);
    return rc == 0;
}

void cond_signal(struct cond *cond)
{
    int rc = pthread_cond_signal(&cond->raw);
    ASSERT(rc == 0);
}

void cond_broadcast(struct cond *cond)
{
    int rc = pthread_cond_broadcast(&cond->raw);
    ASSERT(rc == 0);
}
