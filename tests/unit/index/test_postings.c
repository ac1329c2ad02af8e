/* Goal: a list holds what was appended, in every form it takes (in place, pages, base
 * and delta), and a rebuild changes nothing but the dead. Method: sizes around every
 * border; rebuilds with appends between plan and publish; a view taken before must stay
 * what it was until the grace period. */
#include "index/postings.h"

#include "index/index_pool_priv.h"
#include "index/postings_priv.h"
#include "tests/unit/index/index_fixture.h"
#include "tests/unit/index/index_suites.h"

#include <roaring/roaring.h>

struct lists {
    struct account account;
    struct index_pool pool;
    struct ordinal_bits dead;
    struct postings post;
    struct retired retired[4096];
    size_t n_retired;
};

static void keep(void *ctx, void (*free_fn)(void *, void *), void *ptr, void *arg, size_t bytes)
{
    struct lists *ls = ctx;
    ck_assert_uint_lt(ls->n_retired, 4096);
    ls->retired[ls->n_retired++] = (struct retired){free_fn, ptr, arg, bytes};
}

static void grace(struct lists *ls)
{
    for (size_t i = 0; i < ls->n_retired; i++) {
        ls->retired[i].free_fn(ls->retired[i].ptr, ls->retired[i].arg);
    }
    ls->n_retired = 0;
}

static struct lists *lists_new(void)
{
    struct lists *ls = calloc(1, sizeof(*ls));
    account_init(&ls->account, "lists", NULL, 0);
    pool_init(&ls->pool, &ls->account, &(struct reclaim){keep, ls});
    ordinal_bits_init(&ls->dead, &ls->account);
    return ls;
}

static void lists_free(struct lists *ls)
{
    grace(ls);
    postings_release(&ls->post, &ls->pool);
    ordinal_bits_release(&ls->dead);
    pool_release(&ls->pool);
    ck_assert_uint_eq(account_used(&ls->account), 0);
    free(ls);
}

static bool append(struct lists *ls, uint32_t ordinal)
{
    if (!postings_reserve(&ls->post, &ls->pool) || !ordinal_bits_reserve(&ls->dead, ordinal)) {
        ck_abort_msg("no memory"); /* a plain if: ck_assert() costs a write each time */
    }
    return postings_append(&ls->post, ordinal);
}

/* The view holds exactly 0, 3, 6 ... for i in [from, n). */
static void check_threes(const struct postings_view *view, uint32_t from, uint32_t n)
{
    roaring_bitmap_t *all = postings_bitmap(view);
    ck_assert_uint_eq(roaring_bitmap_get_cardinality(all), n - from);
    bool there = true;
    for (uint32_t i = from; i < n; i++) there &= roaring_bitmap_contains(all, i * 3);
    ck_assert(there);
    roaring_bitmap_free(all);
}

static void check_list(struct lists *ls, uint32_t from, uint32_t n)
{
    struct postings_view view = postings_view(&ls->post);
    check_threes(&view, from, n);
}

START_TEST(test_postings_every_size)
{
    static const uint32_t sizes[] = {0, 1, 2, 3, 5, 6, 7, 14, 15, 1020, 4096, 4097, 20000};
    struct lists *ls = lists_new();
    uint32_t n = 0;
    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        for (; n < sizes[s]; n++) append(ls, n * 3);
        check_list(ls, 0, n);
        ck_assert_uint_eq(postings_len(&ls->post), n);
        ck_assert_int_eq(postings_any(&ls->post, &ls->dead), n > 0);
    }
    lists_free(ls);
}
END_TEST

START_TEST(test_postings_ask_for_a_rebuild_once)
{
    struct lists *ls = lists_new();
    uint32_t n_asked = 0, first = 0;
    for (uint32_t i = 0; i < 10000; i++) {
        if (!append(ls, i * 3)) continue;
        if (n_asked++ == 0) first = i;
    }
    ck_assert_uint_eq(n_asked, 1);
    ck_assert_uint_eq(first, POSTINGS_BASE_MIN);
    lists_free(ls);
}
END_TEST

/* A rebuild of n entries with `late` appended while it runs, `dead` of the first gone. */
static void rebuild(struct lists *ls, uint32_t *n, uint32_t late, uint32_t n_dead)
{
    struct postings_rebuild rb;
    struct postings_view before = postings_view(&ls->post);
    uint32_t n_before = *n;
    for (uint32_t i = 0; i < n_dead; i++) ordinal_bits_set(&ls->dead, i * 3);
    roaring_bitmap_t *dead = ordinal_bits_bitmap(&ls->dead, *n * 3 + 1);
    ck_assert(postings_rebuild_plan(&rb, &ls->post, dead));
    ck_assert_uint_eq(roaring_bitmap_get_cardinality(dead), n_dead);
    ck_assert_int_eq(postings_rebuild_run(&rb, dead), ST_OK);
    roaring_bitmap_free(dead);
    for (uint32_t i = 0; i < late; i++) append(ls, (*n)++ * 3);
    ck_assert(postings_rebuild_publish(&rb, &ls->pool));
    check_threes(&before, 0, n_before); /* the old reader still sees its own */
    grace(ls);
    check_list(ls, n_dead, *n);
}

START_TEST(test_postings_rebuild_keeps_the_living)
{
    static const struct {
        const char *name;
        uint32_t n, late, n_dead;
    } cases[] = {
        {"short, nothing dead", 3, 0, 0},      {"short, one dead", 4, 0, 1},
        {"short, all dead", 7, 0, 7},          {"short, late ones", 5, 9, 2},
        {"at the border", 4096, 0, 10},        {"over the border", 4097, 0, 0},
        {"over it, dead", 5000, 0, 4999},      {"over it, late ones", 5000, 700, 3},
        {"many pages late", 9000, 3000, 100},  {"a full page", 508 + 4096, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        printf("# %s\n", cases[i].name);
        struct lists *ls = lists_new();
        uint32_t n = 0;
        while (n < cases[i].n) append(ls, n++ * 3);
        rebuild(ls, &n, cases[i].late, cases[i].n_dead);
        for (int more = 0; more < 3000; more++) append(ls, n++ * 3);
        check_list(ls, cases[i].n_dead, n);
        ck_assert_int_eq(postings_any(&ls->post, &ls->dead), true);
        lists_free(ls);
    }
}
END_TEST

START_TEST(test_postings_rebuild_again_and_again)
{
    struct lists *ls = lists_new();
    uint32_t n = 0, n_rebuilt = 0;
    while (n < 60000) {
        uint32_t before = n++;
        if (!append(ls, before * 3)) continue;
        rebuild(ls, &n, 37, 0);
        n_rebuilt++;
    }
    ck_assert_uint_gt(n_rebuilt, 5); /* each wants an eighth more: a logarithm of them */
    ck_assert_uint_lt(n_rebuilt, 30);
    lists_free(ls);
}
END_TEST

START_TEST(test_postings_failed_rebuild_is_as_if_never)
{
    struct lists *ls = lists_new();
    uint32_t n = 0;
    bool asked = false;
    while (n < 5000) asked |= append(ls, n++ * 3);
    ck_assert(asked);
    struct postings_rebuild rb;
    ck_assert(postings_rebuild_plan(&rb, &ls->post, NULL));
    ck_assert(!postings_rebuild_publish(&rb, &ls->pool)); /* it never ran */
    check_list(ls, 0, n);
    ck_assert_uint_eq(ls->n_retired, 0);
    ck_assert(append(ls, n++ * 3)); /* and asks again */
    lists_free(ls);
}
END_TEST

START_TEST(test_postings_two_in_place_lose_the_dead_at_once)
{
    struct lists *ls = lists_new();
    struct postings_rebuild rb;
    append(ls, 0);
    append(ls, 3);
    ordinal_bits_set(&ls->dead, 0);
    ck_assert(postings_any(&ls->post, &ls->dead));
    ck_assert(!postings_rebuild_plan(&rb, &ls->post, NULL));
    check_list(ls, 0, 2); /* nothing is to be dropped */
    roaring_bitmap_t *dead = ordinal_bits_bitmap(&ls->dead, 1);
    ck_assert(!postings_rebuild_plan(&rb, &ls->post, dead));
    roaring_bitmap_free(dead);
    check_list(ls, 1, 2);
    append(ls, 6); /* takes the free place */
    check_list(ls, 1, 3);
    append(ls, 9);
    check_list(ls, 1, 4);
    ordinal_bits_set(&ls->dead, 3);
    ordinal_bits_set(&ls->dead, 6);
    ordinal_bits_set(&ls->dead, 9);
    ck_assert(!postings_any(&ls->post, &ls->dead));
    lists_free(ls);
}
END_TEST

START_TEST(test_ordinal_bits)
{
    struct ordinal_bits bits;
    ordinal_bits_init(&bits, NULL);
    ck_assert(!ordinal_bits_has(&bits, 5)); /* nothing set: no memory needed */
    for (uint32_t i = 0; i < 70000; i += 7) {
        ck_assert(ordinal_bits_reserve(&bits, i));
        ordinal_bits_set(&bits, i);
        ordinal_bits_set(&bits, i);
    }
    ck_assert_uint_eq(atomic_load(&bits.n), 10000);
    ck_assert(ordinal_bits_has(&bits, 63) && !ordinal_bits_has(&bits, 64));
    ordinal_bits_clear(&bits, 63);
    ordinal_bits_clear(&bits, 63);
    ck_assert(!ordinal_bits_has(&bits, 63));
    ck_assert_uint_eq(atomic_load(&bits.n), 9999);
    ordinal_bits_release(&bits);
}
END_TEST

Suite *suite_postings(void)
{
    Suite *suite = suite_create("postings");
    TCase *tc = tcase_create("postings");
    tcase_add_test(tc, test_postings_every_size);
    tcase_add_test(tc, test_postings_ask_for_a_rebuild_once);
    tcase_add_test(tc, test_postings_rebuild_keeps_the_living);
    tcase_add_test(tc, test_postings_rebuild_again_and_again);
    tcase_add_test(tc, test_postings_failed_rebuild_is_as_if_never);
    tcase_add_test(tc, test_postings_two_in_place_lose_the_dead_at_once);
    tcase_add_test(tc, test_ordinal_bits);
    suite_add_tcase(suite, tc);
    return suite;
}
