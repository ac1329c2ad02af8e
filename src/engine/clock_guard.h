/* Whether the wall clock may be believed when data is thrown away (reliability.md, T2).
 *
 * The guard keeps a high water of the wall clock, which the catalog carries over a
 * restart. Time that passes by the monotonic clock raises it. When the wall clock stands
 * more than a day above it, nothing expires until the clock has gone on steadily for an
 * hour, or an administrator says that it is right, or it comes back. A clock that runs
 * backwards only lets data live longer.
 *
 * clock_guard_now() is the time by which retention is judged: the wall clock, or, while
 * it is not believed, the time at which the jump was seen, going on.
 *
 * The owner's, but for clock_guard_now(): any thread.
 */
#ifndef TSINK_ENGINE_CLOCK_GUARD_H
#define TSINK_ENGINE_CLOCK_GUARD_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/clock.h"

struct clock_guard {
    wall_ms high;          /* 0: nothing is known yet, the first look believes */
    mono_ns high_at;       /* when high was set */
    bool suspended;
    wall_ms jumped_to;     /* suspended: what the clock has shown since... */
    mono_ns jumped_at;     /* ...then, steadily */
    uint64_t n_jumps;
    _Atomic int64_t shown; /* for other threads: twice what the high water would be at
                            * monotonic time 0, plus 1 when suspended; INT64_MIN: unknown */
};

/* high: as persisted; 0: unknown. */
void clock_guard_init(struct clock_guard *guard, wall_ms high, wall_ms wall, mono_ns mono);

/* A look at both clocks; at least every few minutes. */
void clock_guard_look(struct clock_guard *guard, wall_ms wall, mono_ns mono);

/* The wall clock is right. */
void clock_guard_confirm(struct clock_guard *guard, wall_ms wall, mono_ns mono);

/* The time by which retention is judged; at least every few minutes after a look. Any
 * thread. */
wall_ms clock_guard_now(const struct clock_guard *guard, wall_ms wall, mono_ns mono);

#endif
