/* Goal: a text has one id for ever and the id gives back the text, through growth of
 * the table and for texts of every size; refusal of memory changes nothing. Method:
 * tables of texts, then thousands of generated ones compared with their spelling. */
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
    tcase_add_test(tc, test_dict_refused_memory_changes_nothing);
    suite_add_tcase(suite, tc);
    return suite;
}
