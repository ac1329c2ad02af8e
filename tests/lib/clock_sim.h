/* A clock that is set by hand.
 *
 *     struct clock_sim sim;
 *     clock_sim_init(&sim, 1767225600000);          2026-01-01T00:00:00Z
 *     db_open(..., &sim.clock);
 *     clock_sim_advance_ms(&sim, 5000);             both clocks move
 *     clock_sim_step_wall_ms(&sim, -3600000);       somebody set the wall clock back
 *
 * Any thread may read and move it.
 */
#ifndef TSINK_TESTS_CLOCK_SIM_H
#define TSINK_TESTS_CLOCK_SIM_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/clock.h"

struct clock_sim {
    struct clock clock;
    _Atomic int64_t mono_ns, wall_ns;
    _Atomic int64_t tick_ns; /* both clocks move by this at each reading; 0 at first */
};

/* The monotonic clock begins at 1 s, so that 0 can mean "never". */
void clock_sim_init(struct clock_sim *sim, wall_ms wall);
void clock_sim_advance_ns(struct clock_sim *sim, int64_t ns); /* ns >= 0 */
void clock_sim_advance_ms(struct clock_sim *sim, int64_t ms); /* ms >= 0 */
void clock_sim_step_wall_ms(struct clock_sim *sim, int64_t ms); /* a jump, either way */
void clock_sim_set_tick_ns(struct clock_sim *sim, int64_t ns);

#endif
