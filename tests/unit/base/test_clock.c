/* Goal: real clocks move forward and agree with the simulated one's interface; a
 * simulated clock moves only when told. Method: both behind struct clock. */
#include "base/clock.h"

#include "tests/lib/clock_sim.h"
#include "tests/unit/base/base_suites.h"
#include "tests/unit/unit.h"

START_TEST(test_system_clock)
{
    struct clock *clock = clock_system();
    mono_ns before = clock_mono(clock);
    int64_t cpu = clock_thread_cpu_ns(), process = clock_process_cpu_ns();
    volatile unsigned work = 0;
    for (int i = 0; i < 2000000; i++) work += (unsigned)i;

    ck_assert_int_gt(clock_mono(clock), before);
    ck_assert_int_gt(clock_thread_cpu_ns(), cpu);
    ck_assert_int_gt(clock_process_cpu_ns(), process);
    ck_assert_int_gt(clock_wall(clock), INT64_C(1700000000000)); /* after 2023 */
    ck_assert_int_lt(clock_wall(clock), INT64_C(10000000000000)); /* milliseconds */
}
END_TEST

START_TEST(test_simulated_clock)
{
    struct clock_sim sim;
    clock_sim_init(&sim, 1000000);
    struct clock *clock = &sim.clock;

    mono_ns start = clock_mono(clock);
    ck_assert_int_gt(start, 0);
    ck_assert_int_eq(clock_wall(clock), 1000000);
    clock_sim_advance_ms(&sim, 1500);
    ck_assert_int_eq(clock_mono(clock) - start, 1500000000);
    ck_assert_int_eq(clock_wall(clock), 1001500);
    clock_sim_step_wall_ms(&sim, -500);
    ck_assert_int_eq(clock_wall(clock), 1001000);
    ck_assert_int_eq(clock_mono(clock) - start, 1500000000);
    clock_sim_advance_ns(&sim, 7);
    ck_assert_int_eq(clock_mono(clock) - start, 1500000007);
    clock_sim_set_tick_ns(&sim, 10);
    ck_assert_int_eq(clock_mono(clock) - start, 1500000017);
    ck_assert_int_eq(clock_mono(clock) - start, 1500000027);
}
END_TEST

Suite *suite_clock(void)
{
    Suite *suite = suite_create("clock");
    TCase *tc = tcase_create("clock");
    tcase_add_test(tc, test_system_clock);
    tcase_add_test(tc, test_simulated_clock);
    suite_add_tcase(suite, tc);
    return suite;
}
