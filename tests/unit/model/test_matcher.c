/* Goal: matchers follow Prometheus, also where a label is missing. Method: a table of
 * matcher against value (empty: no such label). */
#include "base/panic.h"
#include "model/matcher.h"
#include "tests/unit/unit.h"

Suite *suite_matcher(void);

static const struct {
    enum match_op op;
    const char *pattern, *value;
    bool accepts;
} rows[] = {
    {MATCH_EQ, "a", "a", true},    {MATCH_EQ, "a", "b", false},   {MATCH_EQ, "a", "", false},
    {MATCH_EQ, "", "", true},      {MATCH_EQ, "", "a", false},    {MATCH_NE, "a", "b", true},
    {MATCH_NE, "a", "a", false},   {MATCH_NE, "a", "", true},     {MATCH_NE, "", "", false},
    {MATCH_RE, "a|b", "b", true},  {MATCH_RE, "a|b", "ab", false}, {MATCH_RE, "a*", "", true},
    {MATCH_RE, "a+", "", false},   {MATCH_RE, ".*", "", true},    {MATCH_RE, ".+", "", false},
    {MATCH_NRE, "a|b", "c", true}, {MATCH_NRE, "a|b", "a", false}, {MATCH_NRE, "a", "", true},
    {MATCH_NRE, ".*", "", false},  {MATCH_NRE, ".+", "", true},
};

START_TEST(test_matchers)
{
    struct matcher m;
    ck_assert_int_eq(matcher_init(&m, rows[_i].op, SLICE_LIT("l"), slice_str(rows[_i].pattern),
                                  NULL),
                     ST_OK);
    ck_assert_msg(matcher_accepts(&m, slice_str(rows[_i].value)) == rows[_i].accepts, "%s%s on %s",
                  match_op_text(rows[_i].op), rows[_i].pattern, rows[_i].value);
    matcher_release(&m);
    matcher_release(&m);
}
END_TEST

START_TEST(test_all_must_accept)
{
    struct label set[] = {{SLICE_LIT("a"), SLICE_LIT("1")}, {SLICE_LIT("b"), SLICE_LIT("2")}};
    struct labels labels = {set, 2};
    struct matcher ms[3];
    ck_assert_int_eq(matcher_init(&ms[0], MATCH_EQ, SLICE_LIT("a"), SLICE_LIT("1"), NULL), ST_OK);
    ck_assert_int_eq(matcher_init(&ms[1], MATCH_NE, SLICE_LIT("c"), SLICE_LIT("x"), NULL), ST_OK);
    ck_assert_int_eq(matcher_init(&ms[2], MATCH_RE, SLICE_LIT("b"), SLICE_LIT("[13]"), NULL),
                     ST_OK);
    ck_assert(matchers_accept((struct matchers){ms, 2}, labels));
    ck_assert(!matchers_accept((struct matchers){ms, 3}, labels));
    ck_assert(matchers_accept((struct matchers){NULL, 0}, labels));
    for (size_t i = 0; i < 3; i++) matcher_release(&ms[i]);
}
END_TEST

START_TEST(test_bad_regexes_leave_the_matcher_alone)
{
    struct matcher m = {.op = MATCH_NE};
    struct err err = {0};
    ck_assert_int_eq(matcher_init(&m, MATCH_RE, SLICE_LIT("l"), SLICE_LIT("("), &err), ST_INVALID);
    ck_assert(err.text[0] && m.op == MATCH_NE);
}
END_TEST

Suite *suite_matcher(void)
{
    Suite *suite = suite_create("matcher");
    TCase *tc = tcase_create("matcher");
    tcase_add_loop_test(tc, test_matchers, 0, ARRAY_LEN(rows));
    tcase_add_test(tc, test_all_must_accept);
    tcase_add_test(tc, test_bad_regexes_leave_the_matcher_alone);
    suite_add_tcase(suite, tc);
    return suite;
}
