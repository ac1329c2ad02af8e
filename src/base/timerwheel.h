/* Timer wheel: many timers, cheap to set and to cancel, in steps of a millisecond.
 *
 * Eight levels of 64 slots. A timer lies in the level of the highest six-bit digit
 * in which its due time differs from now, and falls to lower levels as that digit
 * is reached; set and cancel are O(1), and each level's bit map of used slots finds
 * the next one without walking. Times and delays reach 2^47 ms (4,400 years); longer
 * delays are cut to that.
 *
 * No backlog: wheel_advance() first moves the clock all the way, then calls what
 * has become due, in order of due time, each timer once. A periodic timer sets
 * itself again from its fn, so after the process was stopped for a minute it fires
 * once, not sixty times. Time going backwards is taken as standing still.
 *
 * The time is the caller's (clock_mono() / 1e6 in the server, simulated in tests).
 * One owner: the loop's thread.
 */
#ifndef TSINK_BASE_TIMERWHEEL_H
#define TSINK_BASE_TIMERWHEEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

enum { WHEEL_LEVELS = 8, WHEEL_SLOTS = 64 };

struct timer {
    struct list link;
    void (*fn)(struct timer *timer); /* on the wheel's thread; may set, cancel and free */
    int64_t due_ms;
    int8_t level; /* -1: about to be called; meaningless when not set */
    bool set;
};

struct wheel {
    int64_t now_ms;
    uint64_t used[WHEEL_LEVELS]; /* bit s: slot s is not empty */
    struct list slots[WHEEL_LEVELS][WHEEL_SLOTS];
    size_t n_timers; /* set and not yet called */
};

void wheel_init(struct wheel *wheel, int64_t now_ms);

/* Timers are embedded by others: all must be cancelled or called before the wheel
 * goes. Asserts it. */
void wheel_release(struct wheel *wheel);

void timer_init(struct timer *timer, void (*fn)(struct timer *timer));

/* Calls fn once, delay_ms from the wheel's now; at least 1 ms from now, so a timer
 * that sets itself cannot hold the loop. A timer that is already set moves. */
void timer_set(struct wheel *wheel, struct timer *timer, int64_t delay_ms);

/* Accepts a timer that is not set. */
void timer_cancel(struct wheel *wheel, struct timer *timer);

static inline bool timer_is_set(const struct timer *timer)
{
    return timer->set;
}

/* Moves to now_ms and calls what is due. Returns the number of calls. */
size_t wheel_advance(struct wheel *wheel, int64_t now_ms);

/* Milliseconds from the wheel's now until it wants to be advanced: never later than
 * the first timer, possibly earlier (to let timers fall a level); -1 for never. */
int64_t wheel_next_ms(const struct wheel *wheel);

#endif
