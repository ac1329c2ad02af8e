/* Goal: pointers come out in order, none twice, none lost, and a full ring refuses.
 * Method: small rings by hand; then two threads through a ring of 64. */
#include "base/ring.h"

#include <sched.h>
#include <stdint.h>

#include "base/thread.h"
#include "tests/lib/mem_fault.h"
#include "tests/unit/base/base_suites.h"
#include "tests/unit/unit.h"

START_TEST(test_bounds)
{
    struct ring ring;
    int items[8];

    ck_assert_int_eq(ring_init(&ring, 0), ST_INVALID);
    ck_assert_int_eq(ring_init(&ring, (1 << 24) + 1), ST_INVALID);
    mem_fault_install();
    mem_fault_arm(1, 1);
    ck_assert_int_eq(ring_init(&ring, 4), ST_NO_MEMORY);
    (void)mem_fault_disarm();

    for (size_t cap = 1; cap <= 4; cap++) {
        ck_assert_int_eq(ring_init(&ring, cap), ST_OK);
        size_t room = ring.mask + 1;
        ck_assert_uint_ge(room, cap);
        for (int turn = 0; turn < 5; turn++) {
            ck_assert_ptr_null(ring_pop(&ring));
            for (size_t i = 0; i < room; i++) ck_assert(ring_push(&ring, &items[i]));
            ck_assert(!ring_push(&ring, &items[0]));
            ck_assert_uint_eq(ring_len(&ring), room);
            for (size_t i = 0; i < room; i++) ck_assert_ptr_eq(ring_pop(&ring), &items[i]);
        }
        ring_release(&ring);
        ring_release(&ring);
    }
}
END_TEST

enum { N = 200000 };

static void produce(void *ctx)
{
    struct ring *ring = ctx;
    for (uintptr_t i = 1; i <= N;) {
        if (ring_push(ring, (void *)(i * 2)))
            i++;
        else
            (void)sched_yield(); /* two cores are shared with others */
    }
}

START_TEST(test_two_threads)
{
    struct ring ring;
    struct thread thread;

    ck_assert_int_eq(ring_init(&ring, 64), ST_OK);
    ck_assert_int_eq(thread_start(&thread, "produce", produce, &ring, NULL), ST_OK);
    for (uintptr_t want = 1; want <= N;) {
        void *got = ring_pop(&ring);
        if (!got) {
            (void)sched_yield();
            continue;
        }
        ck_assert_uint_eq((uintptr_t)got, want * 2);
        want++;
    }
    thread_join(&thread);
    ck_assert_uint_eq(ring_len(&ring), 0);
    ring_release(&ring);
}
END_TEST

Suite *suite_ring(void)
{
    Suite *suite = suite_create("ring");
    TCase *tc = tcase_create("ring");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_bounds);
    tcase_add_test(tc, test_two_threads);
    suite_add_tcase(suite, tc);
    return suite;
}
