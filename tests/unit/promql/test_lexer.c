/* Goal: text falls into the tokens that Prometheus sees, in every mode, and bad text into
 * its words at its position. Method: the tokens of a text written as the descriptions that
 * messages use; a table of errors; every prefix of a long text and random bytes end. */
#include "promql/lexer.h"
#include "base/rng.h"
#include "tests/unit/promql/promql_suites.h"

/* Descriptions joined by a bar; an error ends the list as "!position words". */
static void describe_all(struct strbuf *out, struct slice text)
{
    struct lexer lx;

    lexer_init(&lx, text);
    for (;;) {
        struct token t = lexer_next(&lx);
        if (t.kind == TOKEN_ERROR) {
            strbuf_printf(out, "!%u ", lx.error_start);
            strbuf_slice(out, strbuf_view(&lx.error));
            break;
        }
        ck_assert(t.text.ptr == text.ptr + t.start);
        if (t.kind == TOKEN_EOF) break;
        token_describe(out, &t);
        strbuf_char(out, '|');
    }
    lexer_release(&lx);
}

static const struct {
    const char *text, *tokens;
} texts[] = {
    {"", ""},
    {" \t\r\n# all comment", ""},
    {"a # b\nc", "identifier \"a\"|identifier \"c\"|"},
    {"a:b :c _d", "metric identifier \"a:b\"|metric identifier \":c\"|identifier \"_d\"|"},
    {"1 .5 5. 1e3 1E-3 0x1F 0755 1_000", "number \"1\"|number \".5\"|number \"5.\"|number \"1e3\"|"
     "number \"1E-3\"|number \"0x1F\"|number \"0755\"|number \"1_000\"|"},
    {"inf NaN INF", "number \"inf\"|number \"NaN\"|number \"INF\"|"},
    {"5m 1h30m 2d3ms", "duration \"5m\"|duration \"1h30m\"|duration \"2d3ms\"|"},
    {"12345678901", "number \"1234567890\"...|"},
    {"'x' \"y\" `z`", "string \"'x'\"|string \"\\\"y\\\"\"|string \"`z`\"|"},
    {"\"\xc3\xbc\\\"\\x41\\101\\u00e9\"", "string \"\\\"\xc3\xbc\\\\\\\"\\\\x41\\\\1\"...|"},
    {"+-*/%^@", "<op:+>|<op:->|<op:*>|<op:/>|<op:%>|<op:^>|<op:@>|"},
    {"= == != < <= > >= </ >/", "\"=\"|<op:==>|<op:!=>|<op:<>|<op:<=>|<op:>>|<op:>=>|<op:</>|"
     "<op:>/>|"},
    {"and OR unless Atan2", "<op:and>|<op:OR>|<op:unless>|<op:Atan2>|"},
    {"sum TOPK", "<aggr:sum>|<aggr:TOPK>|"},
    {"by without on ignoring group_left group_right bool offset anchored smoothed",
     "<by>|<without>|<on>|<ignoring>|<group_left>|<group_right>|<bool>|<offset>|<anchored>|"
     "<smoothed>|"},
    {"start end step range", "\"start\"|\"end\"|\"step\"|\"range\"|"},
    {"fill fill (fill_left( Fill_Right)", "identifier \"fill\"|<fill>|\"(\"|<fill_left>|\"(\"|"
     "identifier \"Fill_Right\"|\")\"|!33 unclosed left parenthesis"},
    {"{by=~\"x\",sum!~'y',a!=\"z\",b=`w`}", "\"{\"|identifier \"by\"|<op:=~>|string \"\\\"x\\\"\"|"
     "\",\"|identifier \"sum\"|<op:!~>|string \"'y'\"|\",\"|identifier \"a\"|<op:!=>|"
     "string \"\\\"z\\\"\"|\",\"|identifier \"b\"|\"=\"|string \"`w`\"|\"}\"|"},
    {"{ # comment }\n}", "\"{\"|\"}\"|"},
    {"[5m]", "\"[\"|duration \"5m\"|\"]\"|"},
    {"[ 5m : 1m ]", "\"[\"|duration \"5m\"|\":\"|duration \"1m\"|\"]\"|"},
    {"[-5m+2*(step()%RANGE())^.5,1]", "\"[\"|<op:->|duration \"5m\"|<op:+>|number \"2\"|<op:*>|"
     "\"(\"|\"step\"|\"(\"|\")\"|<op:%>|\"RANGE\"|\"(\"|\")\"|\")\"|<op:^>|number \".5\"|\",\"|"
     "number \"1\"|\"]\"|"},
    {"[min_of(1,Max_Of(2,3)):step()]", "\"[\"|\"min_of\"|\"(\"|number \"1\"|\",\"|\"Max_Of\"|\"(\"|"
     "number \"2\"|\",\"|number \"3\"|\")\"|\")\"|\":\"|\"step\"|\"(\"|\")\"|\"]\"|"},
    /* errors */
    {"(", "\"(\"|!1 unclosed left parenthesis"},
    {")", "!1 unexpected right parenthesis ')'"},
    {"]", "!0 unexpected right bracket ']'"},
    {"a[5m", "identifier \"a\"|\"[\"|duration \"5m\"|!4 unclosed left bracket"},
    {"a[", "identifier \"a\"|\"[\"|!2 unexpected end of input in duration expression"},
    {"[x]", "\"[\"|!1 unexpected character in duration expression: 'x'"},
    {"[stop]", "\"[\"|!1 unexpected character in duration expression: 's'"},
    {"[5m x]", "\"[\"|duration \"5m\"|!4 unexpected character: 'x', expected ':'"},
    {"[5m min]", "\"[\"|duration \"5m\"|!4 unexpected character: 'm', expected ':'"},
    {"[5m:1m:1m]", "\"[\"|duration \"5m\"|\":\"|duration \"1m\"|!6 unexpected colon ':'"},
    {"[:5m]", "\"[\"|!2 unexpected colon before duration in duration expression"},
    {"[5m[", "\"[\"|duration \"5m\"|!3 unexpected left bracket '['"},
    {"{", "\"{\"|!1 unexpected end of input inside braces"},
    {"{{", "\"{\"|!1 unexpected left brace '{'"},
    {"{a!b}", "\"{\"|identifier \"a\"|!2 unexpected character after '!' inside braces: 'b'"},
    {"{1}", "\"{\"|!1 unexpected character inside braces: '1'"},
    {"a =~ b", "identifier \"a\"|!2 unexpected character after '=': '~'"},
    {"a !~ b", "identifier \"a\"|!2 unexpected character after '!': '~'"},
    {"a !", "identifier \"a\"|!2 unexpected character after '!': '\xef\xbf\xbd'"},
    {"a ; b", "identifier \"a\"|!2 unexpected character: ';'"},
    {".", "!0 unexpected character: '.'"},
    {"\xc3\xbc", "!0 unexpected character: '\xc3\xbc'"},
    {"\xff", "!0 unexpected character: '\xef\xbf\xbd'"},
    {"2.5.", "!0 bad number or duration syntax: \"2.5.\""},
    {"1e5e5", "!0 bad number or duration syntax: \"1e5e\""},
    {"1e", "!0 bad number or duration syntax: \"1e\""},
    {"1__0", "!0 bad number or duration syntax: \"1__\""},
    {"1_", "!0 bad number or duration syntax: \"1_\""},
    {"0x1.5", "!0 bad number or duration syntax: \"0x1.\""},
    {"12x", "!0 bad number or duration syntax: \"12\""},
    {"5mz", "!0 bad number or duration syntax: \"5mz\""},
    {"\"abc", "!0 unterminated quoted string"},
    {"\"ab\nc\"", "!0 unterminated quoted string"},
    {"`abc", "!0 unterminated raw string"},
    {"\"\\q\"", "!0 unknown escape sequence U+0071 'q'"},
    {"\"\\xzz\"", "!0 illegal character U+007A 'z' in escape sequence"},
    {"\"\\x", "!0 escape sequence not terminated"},
    {"\"\\", "!0 escape sequence not terminated"},
    {"\"\\ud800\"", "!0 escape sequence is an invalid Unicode code point"},
    {"\"\\400\"", "!0 escape sequence is an invalid Unicode code point"},
    {"\"\xff\"", "!0 invalid UTF-8 rune"},
    {"`\xff`", "!0 invalid UTF-8 rune"},
};

START_TEST(test_text_falls_into_tokens)
{
    struct strbuf out;

    strbuf_init(&out, 0);
    describe_all(&out, slice_str(texts[_i].text));
    ck_assert_msg(strcmp(strbuf_cstr(&out), texts[_i].tokens) == 0, "%s\n  wants %s\n  gets  %s",
                  texts[_i].text, texts[_i].tokens, strbuf_cstr(&out));
    strbuf_release(&out);
}
END_TEST

static const struct {
    const char *word;
    bool metric, label;
} words[] = {
    {"foo", true, true},      {"a:b", true, true},     {"sum", true, true},
    {"by", true, true},       {"without", true, false}, {"on", false, true},
    {"bool", false, true},    {"group_left", false, true}, {"atan2", false, true},
    {"and", true, true},      {"offset", true, true},  {"start", true, true},
    {"step", true, true},     {"min_of", true, true},  {"anchored", true, true},
    {"1", false, false},      {"inf", false, false},   {"'x'", false, false},
};

START_TEST(test_keywords_may_be_names)
{
    struct lexer lx;

    lexer_init(&lx, slice_str(words[_i].word));
    struct token t = lexer_next(&lx);
    ck_assert_msg(token_is_metric(&t) == words[_i].metric, "%s as a metric", words[_i].word);
    ck_assert_msg(token_is_label(&t) == words[_i].label, "%s as a label", words[_i].word);
    lexer_release(&lx);
}
END_TEST

/* Every text ends in EOF or an error within its length in tokens, read from a buffer of
 * its exact size. */
static void check_ends(const char *bytes, size_t len)
{
    char *copy = malloc(len ? len : 1);
    struct lexer lx;
    size_t n = 0;
    enum token_kind kind;

    memcpy(copy, bytes, len);
    lexer_init(&lx, slice_of(copy, len));
    do {
        kind = lexer_next(&lx).kind;
        ck_assert(n++ <= len);
    } while (kind != TOKEN_EOF && kind != TOKEN_ERROR);
    lexer_release(&lx);
    free(copy);
}

START_TEST(test_any_bytes_end)
{
    static const char text[] =
        "sum by (a) (rate(x{b=~\"c\\x41\\u00e9\"}[5m:1m] offset -1h @ end()))";
    static const char letters[] = "aesumby0159_.xe{}[]()=!~<>\"'`\\:,+-*/%^@# \n\xc3\xbc\xff";
    struct rng rng;

    for (size_t len = 0; len < sizeof(text); len++) check_ends(text, len);
    rng_init(&rng, unit_seed());
    for (int round = 0; round < 20000; round++) {
        char bytes[24];
        size_t len = rng_below(&rng, sizeof(bytes) + 1);
        for (size_t i = 0; i < len; i++) bytes[i] = letters[rng_below(&rng, sizeof(letters) - 1)];
        check_ends(bytes, len);
    }
}
END_TEST

#define N(a) (int)(sizeof(a) / sizeof((a)[0]))

Suite *suite_lexer(void)
{
    Suite *s = suite_create("lexer");
    TCase *tc = tcase_create("lexer");

    tcase_add_loop_test(tc, test_text_falls_into_tokens, 0, N(texts));
    tcase_add_loop_test(tc, test_keywords_may_be_names, 0, N(words));
    tcase_add_test(tc, test_any_bytes_end);
    suite_add_tcase(s, tc);
    return s;
}
