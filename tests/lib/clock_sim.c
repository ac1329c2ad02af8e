/* See clock_sim.h. */
#include "tests/lib/clock_sim.h"

#include "base/panic.h"

static struct clock_sim *sim_of(struct clock *clock)
{
    return container_of(clock, struct clock_sim, clock);
}

static void tick(struct clock_sim *sim)
{
    int64_t ns = atomic_load(&sim->tick_ns);
    if (ns > 0) clock_sim_advance_ns(sim, ns);
}

static mono_ns sim_mono(struct clock *clock)
{
    tick(sim_of(clock));
    return atomic_load(&sim_of(clock)->mono_ns);
}

static int64_t sim_wall_ns(struct clock *clock)
{
    tick(sim_of(clock));
    return atomic_load(&sim_of(clock)->wall_ns);
}

void clock_sim_init(struct clock_sim *sim, wall_ms wall)
{
    sim->clock = (struct clock){.mono = sim_mono, .wall_ns = sim_wall_ns};
    atomic_init(&sim->mono_ns, 1000000000);
    atomic_init(&sim->wall_ns, wall * 1000000);
    atomic_init(&sim->tick_ns, 0);
}

void clock_sim_advance_ns(struct clock_sim *sim, int64_t ns)
{
    ASSERT(ns >= 0);
    atomic_fetch_add(&sim->mono_ns, ns);
    atomic_fetch_add(&sim->wall_ns, ns);
}

void clock_sim_advance_ms(struct clock_sim *sim, int64_t ms)
{
    clock_sim_advance_ns(sim, ms * 1000000);
}

void clock_sim_step_wall_ms(struct clock_sim *sim, int64_t ms)
{
    atomic_fetch_add(&sim->wall_ns, ms * 1000000);
}

void clock_sim_set_tick_ns(struct clock_sim *sim, int64_t ns)
{
    ASSERT(ns >= 0);
    atomic_store(&sim->tick_ns, ns);
}
