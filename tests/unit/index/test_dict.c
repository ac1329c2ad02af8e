/* Goal: a text has one id while it is used and the id gives back the text, through growth
 * of the table and for texts of every size; what nobody uses is used again; refusal of
 * memory changes nothing. Method: tables of texts, then thousands of generated ones
 * compared with their spelling. */
#include "index/dict.h"

#include "tests/unit/index/index_fixture.h"
#include "tests/unit/index/index_suites.h"

static void drop_now(void *ctx, void (*free_fn)(void *, void *), void *ptr, void *arg,
                     size_t bytes)
{
    (void)ctx;
    (void)bytes;
    free_fn(ptr, arg);
}

static const struct reclaim drop = {drop_now, NULL};

START_TEST(test_dict_gives_back_what_it_was_given)
{
    static char longest[200000];
    memset(longest, 'x', sizeof(longest));
    const struct slice texts[] = {SLICE_LIT(""), SLICE_LIT("a"), SLICE_LIT("__name__"),
                                  {"nul\0inside", 10}, {longest, 127}, {longest, 128},
                                  {longest, 16384}, {longest, sizeof(longest)}};
    struct account account;
    account_init(&account, "dict", NULL, 0);
    struct dict *dict = dict_new(&account, &drop);

    for (uint32_t i = 0; i < 8; i++) {
        ck_assert_uint_eq(dict_find(dict, texts[i]), DICT_NONE);
        ck_assert_uint_eq(dict_intern(dict, texts[i]), i);
    }
    for (uint32_t i = 0; i < 8; i++) {
        ck_assert_uint_eq(dict_intern(dict, texts[i]), i);
        ck_assert_uint_eq(dict_find(dict, texts[i]), i);
        ck_assert_msg(slice_eq(dict_text(dict, i), texts[i]), "text %u", i);
    }
    ck_assert_uint_eq(dict_len(dict), 8);
    dict_free(dict);
    ck_assert_uint_eq(account_used(&account), 0);
}
END_TEST

START_TEST(test_dict_keeps_ids_through_growth)
{
    struct account account;
    account_init(&account, "dict", NULL, 0);
    struct dict *dict = dict_new(&account, &drop);
    enum { N = 50000 };
    struct slice first = {NULL, 0};

    for (uint32_t i = 0; i < N; i++) {
        char text[32];
        int len = snprintf(text, sizeof(text), "value-%u", i);
        ck_assert_uint_eq(dict_intern(dict, slice_of(text, (size_t)len)), i);
        if (i == 0) first = dict_text(dict, 0);
        /* An old one, at every stage of every move. */
        len = snprintf(text, sizeof(text), "value-%u", i / 3);
        ck_assert_uint_eq(dict_find(dict, slice_of(text, (size_t)len)), i / 3);
    }
    ck_assert_ptr_eq(first.ptr, dict_text(dict, 0).ptr);
    ck_assert_uint_eq(dict_find(dict, SLICE_LIT("value-50000")), DICT_NONE);
    dict_free(dict);
    ck_assert_uint_eq(account_used(&account), 0);
}
END_TEST

struct late {
    void (*free_fn)(void *, void *);
    void *ptr, *arg;
};

static void drop_late(void *ctx, void (*free_fn)(void *, void *), void *ptr, void *arg,
                      size_t bytes)
{
    (void)bytes;
    *(struct late *)ctx = (struct late){free_fn, ptr, arg};
}

START_TEST(test_dict_lets_go_what_nobody_uses)
{
    struct late late = {NULL, NULL, NULL};
    const struct reclaim rc = {drop_late, &late};
    struct dict *dict = dict_new(NULL, &rc);
    uint32_t id = dict_intern(dict, SLICE_LIT("value"));
    dict_use(dict, id);
    dict_use(dict, id);
    dict_drop(dict, id);
    ck_assert_uint_eq(dict_find(dict, SLICE_LIT("value")), id); /* one user is left */
    struct slice text = dict_text(dict, id);
    dict_drop(dict, id);
    ck_assert_uint_eq(dict_find(dict, SLICE_LIT("value")), DICT_NONE);
    ck_assert(slice_is(text, "value")); /* readers that found it before still read it */
    ck_assert_uint_eq(dict_count(dict), 0);
    uint32_t again = dict_intern(dict, SLICE_LIT("value")); /* meanwhile it is another */
    ck_assert_uint_ne(again, id);
    late.free_fn(late.ptr, late.arg);
    ck_assert_uint_eq(dict_intern(dict, SLICE_LIT("eulav")), id);
    ck_assert_ptr_eq(dict_text(dict, id).ptr, text.ptr); /* of the same length */
    ck_assert_uint_eq(dict_count(dict), 2);
    dict_free(dict);
}
END_TEST

/* Texts of all sizes come and go; what more than DICT_USERS_MAX use stays. */
START_TEST(test_dict_churn_takes_no_more_memory)
{
    static char text[40000];
    struct account account;
    size_t used = 0;
    account_init(&account, "dict", NULL, 0);
    struct dict *dict = dict_new(&account, &drop);
    uint32_t popular = dict_intern(dict, SLICE_LIT("popular"));
    for (int i = 0; i < 2 * DICT_USERS_MAX; i++) dict_use(dict, popular);
    for (int i = 0; i < 2 * DICT_USERS_MAX; i++) dict_drop(dict, popular);
    ck_assert_uint_eq(dict_find(dict, SLICE_LIT("popular")), popular);
    for (int round = 0; round < 2000; round++) {
        static const size_t lens[] = {1, 7, 8, 40, 254, 255, 256, 5000, 20000, 40000};
        size_t len = lens[round % 10];
        memset(text, 'a' + round / 10 % 26, len);
        uint32_t id = dict_intern(dict, slice_of(text, len));
        ck_assert_uint_lt(id, 12);
        dict_use(dict, id);
        ck_assert(slice_eq(dict_text(dict, id), slice_of(text, len)));
        dict_drop(dict, id);
        if (round == 20) used = account_used(&account);
        if (round > 20) ck_assert_uint_le(account_used(&account), used);
    }
    ck_assert_uint_eq(dict_count(dict), 1);
    dict_free(dict);
    ck_assert_uint_eq(account_used(&account), 0);
}
END_TEST

START_TEST(test_dict_refused_memory_changes_nothing)
{
    struct account account;
    account_init(&account, "dict", NULL, 60000);
    struct dict *dict = dict_new(&account, &drop);
    uint32_t n = 0, id;
    char text[32];

    do {
        int len = snprintf(text, sizeof(text), "value-%u", n);
        id = dict_intern(dict, slice_of(text, (size_t)len));
        if (id != DICT_NONE) n++;
    } while (id != DICT_NONE);
    ck_assert_uint_gt(n, 100);
    ck_assert_uint_eq(dict_len(dict), n);
    ck_assert_uint_eq(dict_find(dict, slice_str(text)), DICT_NONE);
    ck_assert_uint_eq(dict_find(dict, SLICE_LIT("value-7")), 7);
    atomic_store(&account.limit, 0);
    ck_assert_uint_eq(dict_intern(dict, slice_str(text)), n);
    dict_free(dict);
    ck_assert_uint_eq(account_used(&account), 0);

    account_init(&account, "dict", NULL, 1);
    ck_assert_ptr_null(dict_new(&account, &drop));
}
END_TEST

Suite *suite_dict(void)
{
    Suite *suite = suite_create("dict");
    TCase *tc = tcase_create("dict");
    tcase_add_test(tc, test_dict_gives_back_what_it_was_given);
    tcase_add_test(tc, test_dict_keeps_ids_through_growth);
    tcase_add_test(tc, test_dict_lets_go_what_nobody_uses);
    tcase_add_test(tc, test_dict_churn_takes_no_more_memory);
    tcase_add_test(tc, test_dict_refused_memory_changes_nothing);
    suite_add_tcase(suite, tc);
    return suite;
}
