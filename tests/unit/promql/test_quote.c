/* Goal: texts are quoted as Go quotes them, and quoting undoes itself. Method: a table of
 * texts with their quoted form, each unquoted again; a table of literals of all three
 * kinds of quotes; regex complaints in Go's words. */
#include "promql/quote.h"
#include "promql/regex_words.h"
#include "tests/unit/promql/promql_suites.h"

static const struct {
    const char *text, *quoted;
} quoted[] = {
    {"", "\"\""},
    {"plain", "\"plain\""},
    {"say \"hi\"", "\"say \\\"hi\\\"\""},
    {"back\\slash", "\"back\\\\slash\""},
    {"\a\b\f\n\r\t\v", "\"\\a\\b\\f\\n\\r\\t\\v\""},
    {"\x01\x7f", "\"\\x01\\x7f\""},
    {"gr\xc3\xbc\xc3\x9f", "\"gr\xc3\xbc\xc3\x9f\""},
    {"\xff" "a\xc3", "\"\\xffa\\xc3\""},
    {"\xc2\xa0", "\"\\u00a0\""},
    {"\xe2\x80\xa8", "\"\\u2028\""},
    {"\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\""},
    {"\xf3\xb0\x80\x80", "\"\\U000f0000\""},
    {"\xef\xbf\xbd", "\"\xef\xbf\xbd\""},
};

START_TEST(test_quote_text_is_gos)
{
    struct strbuf out;
    struct arena arena;
    struct slice back;

    strbuf_init(&out, 0);
    arena_init(&arena, NULL, 256);
    quote_text(&out, slice_str(quoted[_i].text));
    ck_assert_str_eq(strbuf_cstr(&out), quoted[_i].quoted);
    ck_assert(unquote_text(&back, strbuf_view(&out), &arena));
    ck_assert_msg(slice_is(back, quoted[_i].text), "%s", quoted[_i].quoted);
    arena_release(&arena);
    strbuf_release(&out);
}
END_TEST

static const struct {
    const char *literal, *text; /* text NULL: malformed */
} literals[] = {
    {"'it\\'s \"x\"'", "it's \"x\""},
    {"`raw \\n \"x\"`", "raw \\n \"x\""},
    {"\"\\101\\x41\\u0041\\U00000041\"", "AAAA"},
    {"\"\\377\"", "\xff"},
    {"\"\\u00fc\"", "\xc3\xbc"},
    {"\"\"", ""},
    {"\"", NULL},
    {"\"a'", NULL},
    {"\"\\'\"", NULL},
    {"\"\\400\"", NULL},
    {"\"\\x4\"", NULL},
    {"\"\\q\"", NULL},
    {"\"\\\"", NULL},
    {"\"\\ud800\"", NULL},
    {"\"\\U00110000\"", NULL},
    {"\"a\nb\"", NULL},
};

START_TEST(test_unquote_takes_gos_literals)
{
    struct arena arena;
    struct slice out;

    arena_init(&arena, NULL, 256);
    bool ok = unquote_text(&out, slice_str(literals[_i].literal), &arena);
    ck_assert_msg(ok == (literals[_i].text != NULL), "%s", literals[_i].literal);
    if (ok) ck_assert_msg(slice_is(out, literals[_i].text), "%s", literals[_i].literal);
    arena_release(&arena);
}
END_TEST

static const struct {
    uint32_t rune;
    const char *quoted, *point;
} runes[] = {
    {'q', "'q'", "U+0071 'q'"},       {'\'', "'\\''", "U+0027 '''"},
    {'\n', "'\\n'", "U+000A"},        {0xfc, "'\xc3\xbc'", "U+00FC '\xc3\xbc'"},
    {UINT32_MAX, "'\xef\xbf\xbd'", NULL},
};

START_TEST(test_quote_rune_is_gos)
{
    struct strbuf out;

    strbuf_init(&out, 0);
    quote_rune(&out, runes[_i].rune);
    ck_assert_str_eq(strbuf_cstr(&out), runes[_i].quoted);
    strbuf_reset(&out);
    if (runes[_i].point) {
        quote_code_point(&out, runes[_i].rune);
        ck_assert_str_eq(strbuf_cstr(&out), runes[_i].point);
    }
    strbuf_release(&out);
}
END_TEST

static const struct {
    const char *re2, *go;
} complaints[] = {
    {"missing ): a(b", "error parsing regexp: missing closing ): `a(b`"},
    {"trailing \\", "error parsing regexp: trailing backslash at end of expression: ``"},
    {"invalid character class range: z-a",
     "error parsing regexp: invalid character class range: `z-a`"},
    {"something new: x", "error parsing regexp: something new: x"},
};

START_TEST(test_regex_words_are_gos)
{
    struct strbuf out;

    strbuf_init(&out, 0);
    regex_words(&out, slice_str(complaints[_i].re2));
    ck_assert_str_eq(strbuf_cstr(&out), complaints[_i].go);
    strbuf_release(&out);
}
END_TEST

#define N(a) (int)(sizeof(a) / sizeof((a)[0]))

Suite *suite_quote(void)
{
    Suite *s = suite_create("quote");
    TCase *tc = tcase_create("quote");

    tcase_add_loop_test(tc, test_quote_text_is_gos, 0, N(quoted));
    tcase_add_loop_test(tc, test_unquote_takes_gos_literals, 0, N(literals));
    tcase_add_loop_test(tc, test_quote_rune_is_gos, 0, N(runes));
    tcase_add_loop_test(tc, test_regex_words_are_gos, 0, N(complaints));
    suite_add_tcase(s, tc);
    return s;
}
