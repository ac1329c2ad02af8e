/* Goal: every status has its row, and an error's sentence grows from the inside out
 * without running over. Method: all codes of the table; texts of every length. */
#include "base/status.h"

#include "tests/unit/base/base_suites.h"
#include "tests/unit/unit.h"

START_TEST(test_rows_are_complete)
{
#define STATUS(code, value, http, resp, retry, text)                                           \
    ck_assert_int_eq(code, value);                                                             \
    ck_assert_str_eq(status_name(code), #code);                                                \
    ck_assert_str_eq(status_text(code), text);                                                 \
    ck_assert_str_eq(status_resp(code), resp);                                                 \
    ck_assert_int_eq(status_http(code), http);                                                 \
    ck_assert_int_eq(status_retry(code), retry);
#include "base/status.def"
#undef STATUS
}
END_TEST

START_TEST(test_unknown_status_is_internal)
{
    ck_assert_str_eq(status_name((status)999), "ST_INTERNAL");
    ck_assert_str_eq(status_name((status)-1), "ST_INTERNAL");
    ck_assert_int_eq(status_http((status)999), 500);
}
END_TEST

START_TEST(test_err_grows_outwards)
{
    struct err err = {0};

    ck_assert_str_eq(err_text(&err, ST_IO), status_text(ST_IO));
    ck_assert_str_eq(err_text(NULL, ST_IO), status_text(ST_IO));
    ck_assert_int_eq(err_set(&err, ST_IO, "byte %d", 7), ST_IO);
    ck_assert_int_eq(err.st, ST_IO);
    ck_assert_int_eq(err_wrap(&err, ST_CORRUPT, "file %s", "a"), ST_CORRUPT);
    ck_assert_str_eq(err_text(&err, ST_CORRUPT), "file a: byte 7");
    ck_assert_int_eq(err.st, ST_CORRUPT);
    ck_assert_int_eq(err_set(NULL, ST_IO, "dropped"), ST_IO);
    ck_assert_int_eq(err_wrap(NULL, ST_IO, "dropped"), ST_IO);
}
END_TEST

START_TEST(test_wrap_says_the_row_when_nothing_was_said)
{
    struct err err = {0};
    ck_assert_int_eq(err_wrap(&err, ST_NO_SPACE, "flush"), ST_NO_SPACE);
    ck_assert_str_eq(err.text, "flush: disk full");
}
END_TEST

START_TEST(test_long_texts_are_cut)
{
    char longer[2 * ERR_TEXT_MAX];
    memset(longer, 'x', sizeof(longer));
    longer[sizeof(longer) - 1] = 0;

    for (int n = 0; n < (int)sizeof(longer) - 1; n += 17) {
        struct err err = {0};
        (void)err_set(&err, ST_IO, "%.*s", n, longer);
        ck_assert_uint_lt(strlen(err.text), ERR_TEXT_MAX);
        (void)err_wrap(&err, ST_IO, "%.*s", n, longer);
        ck_assert_uint_lt(strlen(err.text), ERR_TEXT_MAX);
    }
}
END_TEST

Suite *suite_status(void)
{
    Suite *suite = suite_create("status");
    TCase *tc = tcase_create("status");
    tcase_add_test(tc, test_rows_are_complete);
    tcase_add_test(tc, test_unknown_status_is_internal);
    tcase_add_test(tc, test_err_grows_outwards);
    tcase_add_test(tc, test_wrap_says_the_row_when_nothing_was_said);
    tcase_add_test(tc, test_long_texts_are_cut);
    suite_add_tcase(suite, tc);
    return suite;
}
