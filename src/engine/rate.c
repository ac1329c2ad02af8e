/* Bytes a second. See rate.h. */
#include "engine/rate.h"

#include "base/lock.h"

enum {
    BURST_NS = 100 * 1000 * 1000,
    NAP_NS = 10 * 1000 * 1000, /* a close notices within this */
    SECOND_NS = 1000 * 1000 * 1000,
};

void rate_init(struct rate *rate, uint64_t per_s, mono_ns now)
{
    *rate = (struct rate){.per_s = per_s, .free_at = now};
}

int64_t rate_take(struct rate *rate, uint64_t bytes, mono_ns now)
{
    if (rate->per_s == 0) return 0;
    if (rate->free_at < now) rate->free_at = now;
    rate->free_at += (int64_t)((double)bytes / (double)rate->per_s * SECOND_NS);
    return rate->free_at - now > BURST_NS ? rate->free_at - now - BURST_NS : 0;
}

void rate_nap(int64_t ns, const _Atomic bool *cancelled)
{
    struct mutex mutex;
    struct cond never;
    mono_ns until = clock_mono(clock_system()) + ns, now;
    mutex_init(&mutex, LOCK_LEAF);
    cond_init(&never);
    mutex_lock(&mutex);
    while (!atomic_load_explicit(cancelled, memory_order_relaxed) &&
           (now = clock_mono(clock_system())) < until) {
        mono_ns wake = until - now < NAP_NS ? until : now + NAP_NS;
        (void)cond_wait_until(&never, &mutex, wake);
    }
    mutex_unlock(&mutex);
    cond_release(&never);
    mutex_release(&mutex);
}
