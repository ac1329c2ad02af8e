/* Goal: memory of an arena is aligned, does not overlap, is charged, and a refusal
 * leaves the arena usable. Method: random sizes with a pattern in each piece. */
#include "base/arena.h"

#include "base/rng.h"
#include "tests/lib/mem_fault.h"
#include "tests/unit/base/base_suites.h"
#include "tests/unit/unit.h"

START_TEST(test_pieces_keep_their_bytes)
{
    enum { N = 2000 };
    static struct { uint8_t *ptr; size_t len; } pieces[N];
    struct account account;
    struct arena arena;
    struct rng rng;

    rng_init(&rng, unit_seed());
    account_init(&account, "test", NULL, 0);
    arena_init(&arena, &account, 100);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < N; i++) {
            pieces[i].len = rng_below(&rng, i % 100 == 0 ? 5000 : 60);
            pieces[i].ptr = arena_try(&arena, pieces[i].len);
            ck_assert_ptr_nonnull(pieces[i].ptr);
            ck_assert_uint_eq((uintptr_t)pieces[i].ptr % 16, 0);
            memset(pieces[i].ptr, (int)(i & 0xff), pieces[i].len);
        }
        for (size_t i = 0; i < N; i++)
            for (size_t at = 0; at < pieces[i].len; at++)
                if (pieces[i].ptr[at] != (i & 0xff)) ck_abort_msg("piece %zu, byte %zu", i, at);
        ck_assert_uint_eq(account_used(&account), arena.n_bytes);
        arena_reset(&arena);
        ck_assert_uint_eq(account_used(&account), arena.n_bytes);
        ck_assert_uint_gt(arena.n_bytes, 0);
    }
    arena_release(&arena);
    ck_assert_uint_eq(account_used(&account), 0);
    arena_release(&arena);
}
END_TEST

START_TEST(test_refusals_leave_it_usable)
{
    struct account account;
    struct arena arena;

    mem_fault_install();
    account_init(&account, "test", NULL, 2000);
    arena_init(&arena, &account, 512);
    ck_assert_ptr_nonnull(arena_try(&arena, 100));
    ck_assert_ptr_null(arena_try(&arena, 4000));
    volatile size_t huge = SIZE_MAX - 8;
    ck_assert_ptr_null(arena_try(&arena, huge));
    ck_assert_ptr_null(arena_try_array(&arena, huge / 2, 3));
    ck_assert_ptr_nonnull(arena_try(&arena, 100));

    mem_fault_arm(1, 0);
    ck_assert_ptr_null(arena_try(&arena, 900));
    ck_assert_uint_eq(mem_fault_disarm(), 1);
    ck_assert_uint_eq(account_used(&account), arena.n_bytes);
    arena_release(&arena);
    ck_assert_uint_eq(account_used(&account), 0);
}
END_TEST

START_TEST(test_copies)
{
    struct arena arena;
    arena_init(&arena, NULL, 0);

    struct slice copy = arena_copy(&arena, SLICE_LIT("abc"));
    ck_assert(slice_is(copy, "abc"));
    copy = arena_copy(&arena, (struct slice){NULL, 0});
    ck_assert_ptr_nonnull(copy.ptr);
    ck_assert_uint_eq(copy.len, 0);
    ck_assert_str_eq(arena_printf(&arena, "%s-%d", "x", 5), "x-5");
    const uint8_t *zero = arena_try_zero(&arena, 33);
    for (int i = 0; i < 33; i++) ck_assert_int_eq(zero[i], 0);
    arena_release(&arena);
}
END_TEST

Suite *suite_arena(void)
{
    Suite *suite = suite_create("arena");
    TCase *tc = tcase_create("arena");
    tcase_add_test(tc, test_pieces_keep_their_bytes);
    tcase_add_test(tc, test_refusals_leave_it_usable);
    tcase_add_test(tc, test_copies);
    suite_add_tcase(suite, tc);
    return suite;
}
