/* Goal: a pattern means the same whether it runs as a set of literals or on RE2; bad
 * patterns are refused with a reason. Method: a table of patterns with texts in and out and
 * the shape expected; each pattern is also run with an empty group in front, which keeps
 * its language and forces RE2; random patterns compare the two the same way. */
#include "base/panic.h"
#include "base/regex.h"
#include "base/rng.h"
#include "base/strbuf.h"
#include "tests/unit/unit.h"

Suite *suite_regex(void);

static const struct pattern {
    const char *text;
    size_t n_literals;    /* 0: left to RE2 */
    const char *prefix;   /* when left to RE2 */
    const char *in[4];    /* must match */
    const char *out[4];   /* must not */
} patterns[] = {
    {"", 1, NULL, {""}, {"a"}},
    {"abc", 1, NULL, {"abc"}, {"", "ab", "abcd", "xabc"}},
    {"a|b|c", 3, NULL, {"a", "b", "c"}, {"", "ab", "d"}},
    {"a||b", 3, NULL, {"a", "", "b"}, {"c"}},
    {"a|b|a", 2, NULL, {"a", "b"}, {"aa"}},
    {"node-(1|2|3)\\.eu", 3, NULL, {"node-1.eu", "node-3.eu"}, {"node-1xeu", "node-4.eu"}},
    {"(?:a|b)(?:c|d)", 4, NULL, {"ac", "ad", "bc", "bd"}, {"a", "cd"}},
    {"x[ab]y", 2, NULL, {"xay", "xby"}, {"xy", "xaby"}},
    {"x[0-3-]", 5, NULL, {"x0", "x3", "x-"}, {"x4"}},
    {"[a-c][0-1]", 6, NULL, {"a0", "c1"}, {"a", "d0"}},
    {"colou?r", 2, NULL, {"color", "colour"}, {"colouur"}},
    {"(a)?", 2, NULL, {"a", ""}, {"aa"}},
    {"^abc$", 1, NULL, {"abc"}, {"^abc$"}},
    {"^a|b$", 2, NULL, {"a", "b"}, {"ab"}},
    {"a\\|b", 1, NULL, {"a|b"}, {"a", "b"}},
    {"gr\xc3\xbc\xc3\x9f?e", 2, NULL, {"gr\xc3\xbc\xc3\x9f" "e", "gr\xc3\xbc" "e"}, {"gr"}},
    {"a}b]", 1, NULL, {"a}b]"}, {"ab"}},
    {"abc.*", 0, "abc", {"abc", "abc\ndef"}, {"ab", "xabc"}},
    {"abcd*", 0, "abc", {"abc", "abcdd"}, {"abd"}},
    {"abc+", 0, "abc", {"abc", "abccc"}, {"ab"}},
    {"ab{2}c", 0, "a", {"abbc"}, {"abc", "ab{2}c"}},
    {"a\\.b.+", 0, "a.b", {"a.bc"}, {"axbc", "a.b"}},
    {"foo(a|b).*", 0, "foo", {"fooa", "foobar"}, {"foo"}},
    {"foo.*|bar", 0, "", {"foox", "bar"}, {"ba"}},
    {"foo[|]x.*", 0, "", {"foo|x"}, {"foox"}},
    {"(?i)abc", 0, "", {"ABC", "abc"}, {"abd"}},
    {"abc(?i)d", 0, "abc", {"abcD"}, {"ABCD"}},
    {"[^a]", 0, "", {"b", "\n"}, {"a", ""}},
    {"\\d+", 0, "", {"12"}, {"", "a"}},
    {"\\Qa|b\\E.*", 0, "", {"a|b", "a|bc"}, {"a", "b"}},
    {"a(^b)", 0, "a", {NULL}, {"ab", "a^b"}},
    {"[[:digit:]]", 0, "", {"1"}, {"a", ":"}},
    {"[]a]", 0, "", {"]", "a"}, {"[]a]"}},
    {"[]?<(?<x]", 0, "", {"]", "x", "("}, {"y"}},
    {"(?<n>a|b).*", 0, "", {"a", "bx"}, {"c"}},
    {"(?P<n>a|b)", 2, NULL, {"a", "b"}, {"c"}},
    {"a.b", 0, "a", {"a\nb", "axb"}, {"ab"}},
};

static struct regex *must_compile(struct slice pattern)
{
    struct regex *re = NULL;
    struct err err = {0};
    status st = regex_new(&re, pattern, &err);
    ck_assert_msg(st == ST_OK, "%.*s: %s", (int)pattern.len, pattern.ptr, err_text(&err, st));
    return re;
}

/* The same language with a capturing group that RE2 alone can serve: (?s:)()(?:...) does
 * not fit the literal reader. */
static struct regex *through_re2(struct slice pattern)
{
    struct strbuf buf;
    strbuf_init(&buf, 0);
    strbuf_str(&buf, "(?s:)(?:");
    strbuf_slice(&buf, pattern);
    strbuf_str(&buf, ")");
    struct regex *re = must_compile(strbuf_view(&buf));
    ck_assert_uint_eq(regex_shape(re)->n_literals, 0);
    strbuf_release(&buf);
    return re;
}

START_TEST(test_patterns_mean_the_same_either_way)
{
    const struct pattern *p = &patterns[_i];
    struct regex *re = must_compile(slice_str(p->text));
    struct regex *slow = through_re2(slice_str(p->text));
    const struct regex_shape *shape = regex_shape(re);

    ck_assert_msg(shape->n_literals == p->n_literals, "%s: %zu literals", p->text,
                  shape->n_literals);
    for (size_t i = 1; i < shape->n_literals; i++)
        ck_assert(slice_cmp(shape->literals[i - 1], shape->literals[i]) < 0);
    if (p->n_literals == 0)
        ck_assert_msg(slice_is(shape->prefix, p->prefix), "%s: prefix %.*s", p->text,
                      SLICE_ARG(shape->prefix));
    for (size_t i = 0; i < ARRAY_LEN(p->in) && p->in[i]; i++) {
        ck_assert_msg(regex_match(re, slice_str(p->in[i])), "%s on %s", p->text, p->in[i]);
        ck_assert_msg(regex_match(slow, slice_str(p->in[i])), "re2 %s on %s", p->text, p->in[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(p->out) && p->out[i]; i++) {
        ck_assert_msg(!regex_match(re, slice_str(p->out[i])), "%s on %s", p->text, p->out[i]);
        ck_assert_msg(!regex_match(slow, slice_str(p->out[i])), "re2 %s on %s", p->text, p->out[i]);
    }
    regex_free(re);
    regex_free(slow);
}
END_TEST

START_TEST(test_dots_need_no_automaton)
{
    static const char *const all[] = {".*", "^.*$", "(.*)", "(?:.*)"};
    static const char *const some[] = {".+", "^.+$", "(.+)", "^(.+)$"};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        struct regex *re = must_compile(slice_str(all[i]));
        ck_assert(regex_shape(re)->match_all && regex_match(re, SLICE_LIT("")));
        ck_assert(regex_match(re, SLICE_LIT("a\nb")));
        regex_free(re);
        re = must_compile(slice_str(some[i]));
        ck_assert(regex_shape(re)->match_nonempty && !regex_match(re, SLICE_LIT("")));
        ck_assert(regex_match(re, SLICE_LIT("\n")));
        regex_free(re);
    }
}
END_TEST

static const struct {
    const char *text;
    status st;
} refused[] = {
    {"(", ST_INVALID},       {")", ST_INVALID},         {"a**", ST_INVALID},
    {"*a", ST_INVALID},      {"[a", ST_INVALID},        {"a|*", ST_INVALID},
    {"[b-a]", ST_INVALID},   {"\\", ST_INVALID},        {"\\C", ST_INVALID},
    {"a\\Cb", ST_INVALID},   {"(?<=a)b", ST_INVALID},   {"(?<!a)b", ST_INVALID},
    {"(?<n>a", ST_INVALID},  {"a\xff", ST_INVALID},     {"a{1001}", ST_INVALID},
    {"\\1", ST_INVALID},     {"(?P<n>a)(?P<n>b)", ST_INVALID},
    {"(?P<>a)", ST_INVALID}, {"a|(b", ST_INVALID},      {"x?*", ST_INVALID},
    {"((a{100}){100}){100}", ST_INVALID},
    {"(?:\\pL{500}\\d{500}){2}", ST_LIMIT},
};

START_TEST(test_bad_patterns_say_why)
{
    struct regex *re = NULL;
    struct err err = {0};
    status st = regex_new(&re, slice_str(refused[_i].text), &err);
    ck_assert_msg(st == refused[_i].st, "%s: %s %s", refused[_i].text, status_name(st), err.text);
    ck_assert(err.text[0] && re == NULL);
    for (const char *c = err.text; *c; c++) ck_assert(*c >= ' ');
}
END_TEST

START_TEST(test_sources_have_a_limit)
{
    char text[REGEX_SOURCE_MAX + 1];
    struct regex *re = NULL;
    memset(text, 'a', sizeof(text));
    ck_assert_int_eq(regex_new(&re, slice_of(text, sizeof(text)), NULL), ST_LIMIT);
    re = must_compile(slice_of(text, sizeof(text) - 1));
    ck_assert_uint_eq(regex_shape(re)->n_literals, 1);
    regex_free(re);
}
END_TEST

START_TEST(test_hostile_products_are_left_to_re2)
{
    struct strbuf buf;
    strbuf_init(&buf, 0);
    strbuf_str(&buf, "[a-p][a-p][a-p]");
    for (int i = 0; i < 1500; i++) strbuf_str(&buf, "(?:x)");
    struct regex *re = must_compile(strbuf_view(&buf));
    ck_assert_uint_eq(regex_shape(re)->n_literals, 0);
    regex_free(re);

    strbuf_reset(&buf);
    for (int i = 0; i < 3000; i++) strbuf_str(&buf, "a?");
    struct regex *many = NULL;
    status st = regex_new(&many, strbuf_view(&buf), NULL); /* quick, whatever the answer */
    ck_assert(st == ST_OK || st == ST_LIMIT);
    regex_free(many);
    strbuf_release(&buf);
}
END_TEST

START_TEST(test_groups_for_label_replace)
{
    struct slice g[4];
    struct regex *re = must_compile(SLICE_LIT("(?<host>[^:]+)(:(\\d+))?"));

    ck_assert_uint_eq(regex_n_groups(re), 3);
    ck_assert_int_eq(regex_group_index(re, SLICE_LIT("host")), 1);
    ck_assert_int_eq(regex_group_index(re, SLICE_LIT("port")), -1);
    ck_assert(regex_groups(re, SLICE_LIT("h:90"), g, 4));
    ck_assert(slice_is(g[0], "h:90") && slice_is(g[1], "h") && slice_is(g[3], "90"));
    ck_assert(regex_groups(re, SLICE_LIT("h"), g, 4));
    ck_assert(slice_is(g[1], "h") && g[3].ptr == NULL);
    ck_assert(!regex_groups(re, SLICE_LIT(":1"), g, 4));
    regex_free(re);

    re = must_compile(SLICE_LIT("(a|b)c")); /* a literal set that captures */
    ck_assert(regex_groups(re, SLICE_LIT("bc"), g, 2) && slice_is(g[1], "b"));
    regex_free(re);

    re = must_compile(SLICE_LIT("a|b")); /* none: the whole match alone */
    ck_assert(regex_groups(re, SLICE_LIT("b"), g, 2) && slice_is(g[0], "b") && !g[1].ptr);
    ck_assert_uint_eq(regex_n_groups(re), 0);
    regex_free(re);

    re = must_compile(SLICE_LIT("(.*)"));
    ck_assert(regex_groups(re, SLICE_LIT(""), g, 2) && g[1].ptr && g[1].len == 0);
    regex_free(re);
}
END_TEST

/* Random patterns over a small alphabet; those that compile must agree on random texts. */
START_TEST(test_random_patterns_agree)
{
    static const char *const parts[] = {"a", "b", "ab", "(", "(?:", ")", "|", "[ab]", "[a-c]", "?",
                                        "^", "$", "\\.", ".", "*", "c", "[-a]", "\\|", "+"};
    struct rng rng;
    int n_literal = 0;
    rng_init(&rng, unit_seed());
    for (int round = 0; round < 4000; round++) {
        struct strbuf buf;
        strbuf_init(&buf, 0);
        for (uint64_t n = rng_below(&rng, 9); n > 0; n--)
            strbuf_str(&buf, parts[rng_below(&rng, ARRAY_LEN(parts))]);
        struct slice pattern = strbuf_view(&buf);
        struct regex *re = NULL;
        if (regex_new(&re, pattern, NULL) == ST_OK) {
            struct regex *slow = through_re2(pattern);
            n_literal += regex_shape(re)->n_literals > 0;
            for (int t = 0; t < 30; t++) {
                char text[4];
                size_t len = rng_below(&rng, 5);
                for (size_t i = 0; i < len; i++) text[i] = "abc."[rng_below(&rng, 4)];
                struct slice s = slice_of(text, len);
                ck_assert_msg(regex_match(re, s) == regex_match(slow, s), "%.*s on %.*s",
                              SLICE_ARG(pattern), SLICE_ARG(s));
            }
            for (size_t i = 0; i < regex_shape(re)->n_literals; i++)
                ck_assert_msg(regex_match(slow, regex_shape(re)->literals[i]), "%.*s",
                              SLICE_ARG(pattern));
            regex_free(slow);
        } else {
            /* what we refuse RE2 refuses too, so nothing was lost by reading it ourselves */
            ck_assert_ptr_null(re);
        }
        regex_free(re);
        strbuf_release(&buf);
    }
    ck_assert_int_gt(n_literal, 300);
}
END_TEST

Suite *suite_regex(void)
{
    Suite *suite = suite_create("regex");
    TCase *tc = tcase_create("regex");
    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, test_patterns_mean_the_same_either_way, 0, ARRAY_LEN(patterns));
    tcase_add_test(tc, test_dots_need_no_automaton);
    tcase_add_loop_test(tc, test_bad_patterns_say_why, 0, ARRAY_LEN(refused));
    tcase_add_test(tc, test_sources_have_a_limit);
    tcase_add_test(tc, test_hostile_products_are_left_to_re2);
    tcase_add_test(tc, test_groups_for_label_replace);
    tcase_add_test(tc, test_random_patterns_agree);
    suite_add_tcase(suite, tc);
    return suite;
}
