/* Goal: a timer is called once, at the first advance at or after its due time, in order,
 * whatever is set and cancelled meanwhile, and never as a backlog. Method: random
 * histories beside a plain table of due times; pauses of every length. */
#include "base/timerwheel.h"

#include <signal.h>

#include "base/panic.h"
#include "base/rng.h"
#include "tests/unit/base/base_suites.h"
#include "tests/unit/unit.h"

enum { N = 200 };

static struct {
    struct timer timer;
    int64_t due; /* -1: not set */
} table[N];
static struct wheel wheel;
static struct rng rng;
static int64_t last_due;
static bool chaos; /* timers set and cancel others */

static size_t idx_of(struct timer *timer)
{
    return (size_t)(((char *)timer - (char *)table) / (ptrdiff_t)sizeof(table[0]));
}

static int64_t random_delay(uint64_t n_bits)
{
    return (int64_t)(rng_next(&rng) >> (63 - rng_below(&rng, n_bits)));
}

static void set_random(size_t i)
{
    int64_t delay = random_delay(46);
    timer_set(&wheel, &table[i].timer, delay);
    table[i].due = wheel.now_ms + (delay < 1 ? 1 : delay);
}

static void cancel(size_t i)
{
    timer_cancel(&wheel, &table[i].timer);
    table[i].due = -1;
}

static void on_timer(struct timer *timer)
{
    size_t i = idx_of(timer);
    ck_assert_int_ge(table[i].due, 0);
    ck_assert_int_le(table[i].due, wheel.now_ms);
    ck_assert_int_ge(table[i].due, last_due);
    ck_assert(!timer_is_set(timer));
    last_due = table[i].due;
    table[i].due = -1;
    if (!chaos) return;
    if (rng_below(&rng, 3) == 0) set_random(i);
    if (rng_below(&rng, 3) == 0) cancel(rng_below(&rng, N)); /* perhaps one that is due */
    if (rng_below(&rng, 3) == 0) set_random(rng_below(&rng, N));
}

static size_t count_set(int64_t *first)
{
    size_t n = 0;
    *first = INT64_MAX;
    for (size_t i = 0; i < N; i++) {
        ck_assert_int_eq(timer_is_set(&table[i].timer), table[i].due >= 0);
        if (table[i].due < 0) continue;
        ck_assert_int_gt(table[i].due, wheel.now_ms); /* nothing is overdue */
        n++;
        if (table[i].due < *first) *first = table[i].due;
    }
    return n;
}

START_TEST(test_random_history)
{
    int64_t first;
    rng_init(&rng, unit_seed() + (uint64_t)_i);
    chaos = _i % 2;
    wheel_init(&wheel, (int64_t)(rng_next(&rng) >> 24));
    for (size_t i = 0; i < N; i++) {
        timer_init(&table[i].timer, on_timer);
        table[i].due = -1;
    }
    for (int step = 0; step < 3000; step++) {
        size_t i = rng_below(&rng, N);
        if (rng_below(&rng, 4) == 0)
            cancel(i);
        else
            set_random(i);
        if (rng_below(&rng, 2) == 0) {
            int64_t next = wheel_next_ms(&wheel), delta = random_delay(30);
            last_due = 0;
            if (next >= 0 && rng_below(&rng, 2)) delta = next;
            (void)wheel_advance(&wheel, wheel.now_ms + delta);
        }
        size_t n = count_set(&first);
        ck_assert_uint_eq(wheel.n_timers, n);
        int64_t next = wheel_next_ms(&wheel);
        ck_assert_int_eq(next < 0, n == 0);
        if (n > 0) ck_assert(next >= 1 && next <= first - wheel.now_ms);
    }
    for (size_t i = 0; i < N; i++) cancel(i);
    ck_assert_int_eq(wheel_next_ms(&wheel), -1);
    wheel_release(&wheel);
}
END_TEST

/* Following wheel_next_ms() must call each timer in the very millisecond. */
START_TEST(test_following_next_is_exact)
{
    int64_t first;
    size_t n_steps = 0;
    rng_init(&rng, unit_seed());
    wheel_init(&wheel, 123456789);
    for (size_t i = 0; i < N; i++) {
        timer_init(&table[i].timer, on_timer);
        set_random(i);
    }
    while (count_set(&first) > 0) {
        last_due = 0;
        size_t n = wheel_advance(&wheel, wheel.now_ms + wheel_next_ms(&wheel));
        if (n > 0) ck_assert_int_eq(last_due, wheel.now_ms);
        n_steps++;
    }
    ck_assert_uint_le(n_steps, N * WHEEL_LEVELS);
    ck_assert_int_eq(wheel_next_ms(&wheel), -1);
    wheel_release(&wheel);
}
END_TEST

static int n_periods;

static void every_second(struct timer *timer)
{
    n_periods++;
    timer_set(&wheel, timer, 1000);
}

START_TEST(test_no_backlog_after_a_pause)
{
    struct timer timer;
    n_periods = 0;
    wheel_init(&wheel, 0);
    timer_init(&timer, every_second);
    timer_set(&wheel, &timer, 1000);
    for (int64_t at = 0; at <= 10000; at += 100) (void)wheel_advance(&wheel, at);
    ck_assert_int_eq(n_periods, 10);
    (void)wheel_advance(&wheel, 70000); /* stopped for a minute */
    ck_assert_int_eq(n_periods, 11);
    ck_assert_int_eq(timer.due_ms, 71000);
    (void)wheel_advance(&wheel, 60000); /* and time does not go back */
    ck_assert_int_eq(wheel.now_ms, 70000);
    (void)wheel_advance(&wheel, 71000);
    ck_assert_int_eq(n_periods, 12);
    timer_cancel(&wheel, &timer);
    wheel_release(&wheel);
}
END_TEST

static void again_at_once(struct timer *timer)
{
    n_periods++;
    timer_set(&wheel, timer, 0);
}

START_TEST(test_a_timer_cannot_hold_the_loop)
{
    struct timer timer;
    n_periods = 0;
    wheel_init(&wheel, 5);
    timer_init(&timer, again_at_once);
    timer_set(&wheel, &timer, -100);
    ck_assert_uint_eq(wheel_advance(&wheel, 5), 0);
    ck_assert_uint_eq(wheel_advance(&wheel, 6), 1);
    ck_assert_uint_eq(wheel_advance(&wheel, 100), 1);
    timer_set(&wheel, &timer, INT64_MAX); /* held at the range's end */
    ck_assert(timer_is_set(&timer));
    timer_cancel(&wheel, &timer);
    timer_cancel(&wheel, &timer);
    wheel_release(&wheel);
}
END_TEST

START_TEST(test_forgotten_timer_panics)
{
    struct timer timer;
    wheel_init(&wheel, 0);
    timer_init(&timer, again_at_once);
    timer_set(&wheel, &timer, 1);
    wheel_release(&wheel);
}
END_TEST

Suite *suite_timerwheel(void)
{
    Suite *suite = suite_create("timerwheel");
    TCase *tc = tcase_create("timerwheel");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_random_history, 0, 4);
    tcase_add_test(tc, test_following_next_is_exact);
    tcase_add_test(tc, test_no_backlog_after_a_pause);
    tcase_add_test(tc, test_a_timer_cannot_hold_the_loop);
    tcase_add_test_raise_signal(tc, test_forgotten_timer_panics, SIGABRT);
    suite_add_tcase(suite, tc);
    return suite;
}
