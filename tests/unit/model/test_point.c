/* Goal: columns grow without losing a sample, and seek finds the first at or after. */
#include "model/point.h"
#include "tests/unit/unit.h"

Suite *suite_point(void);

START_TEST(test_push_and_seek)
{
    struct points pts = {0};
    ck_assert_uint_eq(points_seek(&pts, 5), 0);
    for (int64_t i = 0; i < 1000; i++)
        ck_assert(points_push(&pts, i * 10, (union value){.bits = (uint64_t)i}));
    ck_assert_uint_eq(pts.n, 1000);
    for (int64_t i = 0; i < 1000; i++)
        ck_assert(pts.ts[i] == i * 10 && pts.val[i].bits == (uint64_t)i);
    ck_assert_uint_eq(points_seek(&pts, TS_MIN), 0);
    ck_assert_uint_eq(points_seek(&pts, 50), 5);
    ck_assert_uint_eq(points_seek(&pts, 51), 6);
    ck_assert_uint_eq(points_seek(&pts, 9990), 999);
    ck_assert_uint_eq(points_seek(&pts, 9991), 1000);
    points_release(&pts);
    points_release(&pts);
}
END_TEST

START_TEST(test_reserve_refuses_what_cannot_be)
{
    struct points pts = {0};
    ck_assert(points_push(&pts, 1, (union value){.bits = 1}));
    ck_assert(!points_reserve(&pts, SIZE_MAX));
    ck_assert(!points_reserve(&pts, SIZE_MAX / 4));
    ck_assert(pts.n == 1 && pts.ts[0] == 1);
    points_release(&pts);
}
END_TEST

Suite *suite_point(void)
{
    Suite *suite = suite_create("point");
    TCase *tc = tcase_create("point");
    tcase_add_test(tc, test_push_and_seek);
    tcase_add_test(tc, test_reserve_refuses_what_cannot_be);
    suite_add_tcase(suite, tc);
    return suite;
}
