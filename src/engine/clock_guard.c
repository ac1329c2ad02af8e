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
}

void clock_guard_confirm(struct clock_guard *guard, wall_ms wall, mono_ns mono)
{
    set_high(guard, wall, mono);
}

wall_ms clock_guard_now(const struct clock_guard *guard, wall_ms wall, mono_ns mono)
{
    return guard->suspended || is_far(guard, wall, mono) ? due(guard, mono) : wall;
}
