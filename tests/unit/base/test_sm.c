/* Goal: allowed moves happen and are checked, others end the process. Method: a door. */
#include "base/sm.h"

#include <signal.h>

#include "base/panic.h"
#include "tests/unit/base/base_suites.h"
#include "tests/unit/unit.h"

enum door { OPEN, SHUT, LOCKED, BROKEN, DOORS };

static const struct sm_state doors[] = {
    [OPEN] = {"open", SM_MAY(SHUT) | SM_MAY(BROKEN)},
    [SHUT] = {"shut", SM_MAY(OPEN) | SM_MAY(LOCKED)},
    [LOCKED] = {"locked", SM_MAY(SHUT)},
    [BROKEN] = {"broken", 0},
};

static unsigned n_checks;

static void check(const struct sm *sm)
{
    n_checks++;
    ASSERT(sm->n_moves == n_checks);
}

START_TEST(test_moves)
{
    struct sm sm;
    sm_init(&sm, "door", doors, DOORS, OPEN);
    sm.check = check;
    n_checks = 0;
    ck_assert_str_eq(sm_state_name(&sm), "open");
    ck_assert(sm_may(&sm, SHUT) && !sm_may(&sm, LOCKED) && !sm_may(&sm, OPEN));
    ck_assert(!sm_may(&sm, 63) && !sm_may(&sm, 1000));
    static const enum door way[] = {SHUT, LOCKED, SHUT, OPEN, BROKEN};
    for (size_t i = 0; i < ARRAY_LEN(way); i++) {
        ck_assert(!sm_is_end(&sm));
        sm_move(&sm, way[i]);
        ck_assert_uint_eq(sm.state, way[i]);
    }
    ck_assert_uint_eq(n_checks, 5);
    ck_assert(sm_is_end(&sm));
}
END_TEST

START_TEST(test_forbidden_move_panics)
{
    struct sm sm;
    sm_init(&sm, "door", doors, DOORS, OPEN);
    sm_move(&sm, _i == 0 ? LOCKED : 77);
}
END_TEST

START_TEST(test_table_with_a_hole_panics)
{
    static const struct sm_state hole[3] = {[0] = {"a", SM_MAY(2)}, [2] = {"c", 0}};
    struct sm sm;
    sm_init(&sm, "hole", hole, 3, 0);
}
END_TEST

START_TEST(test_move_to_no_state_panics)
{
    static const struct sm_state bad[2] = {{"a", SM_MAY(5)}, {"b", 0}};
    struct sm sm;
    sm_init(&sm, "bad", bad, 2, 0);
}
END_TEST

Suite *suite_sm(void)
{
    Suite *suite = suite_create("sm");
    TCase *tc = tcase_create("sm");
    tcase_add_test(tc, test_moves);
    tcase_add_loop_test_raise_signal(tc, test_forbidden_move_panics, SIGABRT, 0, 2);
    tcase_add_test_raise_signal(tc, test_table_with_a_hole_panics, SIGABRT);
    tcase_add_test_raise_signal(tc, test_move_to_no_state_panics, SIGABRT);
    suite_add_tcase(suite, tc);
    return suite;
}
