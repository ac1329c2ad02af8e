/* Doubts about the wall clock. See clock_guard.h. */
#include "engine/clock_guard.h"

#include "base/bits.h"

enum {
    JUMP_MS = 24 * 3600 * 1000,     /* further than this at once is no clock being set */
    STEADY_MS = 3600 * 1000,        /* believed after so long */
    DRIFT_MS = 60 * 1000,           /* of a steady clock against the monotonic one */
};

static wall_ms after(wall_ms then, mono_ns then_mono, mono_ns mono)
{
    return sat_add(then, (mono - then_mono) / 1000000);
}

/* Where the high water would be by now. */
static wall_ms due(const struct clock_guard *guard, mono_ns mono)
{
    return after(guard->high, guard->high_at, mono);
}

static bool is_far(const struct clock_guard *guard, wall_ms wall, mono_ns mono)
{
    return guard->high != 0 && wall > sat_add(due(guard, mono), JUMP_MS);
}

static void set_high(struct clock_guard *guard, wall_ms wall, mono_ns mono)
{
    guard->high = wall;
    guard->high_at = mono;
    guard->suspended = false;
}

/* What other threads need, in one word. */
static void show(struct clock_guard *guard)
{
    const int64_t most = INT64_MAX / 4;
    int64_t at_zero = sat_sub(guard->high, guard->high_at / 1000000);
    if (at_zero > most) at_zero = most;
    if (at_zero < -most) at_zero = -most;
    int64_t shown = guard->high ? at_zero * 2 + guard->suspended : INT64_MIN;
    atomic_store_explicit(&guard->shown, shown, memory_order_relaxed);
}

void clock_guard_init(struct clock_guard *guard, wall_ms high, wall_ms wall, mono_ns mono)
{
    *guard = (struct clock_guard){.high = high, .high_at = mono};
    clock_guard_look(guard, wall, mono);
}

void clock_guard_look(struct clock_guard *guard, wall_ms wall, mono_ns mono)
{
    if (!is_far(guard, wall, mono)) { /* all is well, or well again */
        wall_ms high = guard->high ? due(guard, mono) : wall;
        set_high(guard, wall > high ? wall : high, mono);
        show(guard);
        return;
    }
    wall_ms steady = after(guard->jumped_to, guard->jumped_at, mono);
    if (!guard->suspended || wall > sat_add(steady, DRIFT_MS) ||
        wall < sat_sub(steady, DRIFT_MS)) {
        guard->n_jumps++;
        guard->suspended = true;
        guard->jumped_to = wall;
        guard->jumped_at = mono;
    } else if (mono - guard->jumped_at >= STEADY_MS * 1000000ll) {
        set_high(guard, wall, mono);
    }
    show(guard);
}

void clock_guard_confirm(struct clock_guard *guard, wall_ms wall, mono_ns mono)
{
    set_high(guard, wall, mono);
    show(guard);
}

wall_ms clock_guard_now(const struct clock_guard *guard, wall_ms wall, mono_ns mono)
{
    int64_t shown = atomic_load_explicit(&guard->shown, memory_order_relaxed);
    if (shown == INT64_MIN) return wall;
    wall_ms high = sat_add(shown >> 1, mono / 1000000);
    return (shown & 1) || wall > sat_add(high, JUMP_MS) ? high : wall;
}
