/* Goal: a tree prints in Prometheus' canonical form, and what is printed reads back as the
 * same tree. Method: a table of texts with their form, each read back; the same for
 * expressions put together at random from a grammar. */
#include "promql/printer.h"
#include "base/rng.h"
#include "promql/parser.h"
#include "tests/lib/tree_text.h"
#include "tests/unit/promql/promql_suites.h"

static const struct {
    const char *text, *form; /* NULL: the text itself */
} forms[] = {
    {"1", NULL},
    {"0x10", "16"},
    {"1e3 + 1E-7", "1000 + 0.0000001"},
    {"iNf+-inf+nAn", "+Inf + -Inf + NaN"},
    {"90m + 1d + 14d + 365d + 1500ms + -1s", "1h30m + 1d + 2w + 1y + 1s500ms + -1s"},
    {"'a\"\\n'", "\"a\\\"\\n\""},
    {"-2^2", "-2 ^ 2"},
    {"inf^2", "Inf ^ 2"},
    {"-m", NULL},
    {"+ m", "+m"},
    {"( ( m ) )", "((m))"},
    {"a*b", "a * b"},
    {"a==bool b", "a == bool b"},
    {"a+on(x,'y z')b", "a + on (x, \"y z\") b"},
    {"a+ignoring()b", "a + b"},
    {"a+on()b", "a + on () b"},
    {"a/on(x)group_left(y)b", "a / on (x) group_left (y) b"},
    {"a/ignoring(x)group_right b", "a / ignoring (x) group_right () b"},
    {"a+fill(1)b", "a + fill (1) b"},
    {"a+fill(NaN)b", "a + fill (NaN) b"},
    {"a+fill_right(1)fill_left(2)b", "a + fill_left (2) fill_right (1) b"},
    {"a+on(x)fill_left(-Inf)b", "a + on (x) fill_left (-Inf) b"},
    {"a ANd b", "a and b"},
    {"a </ 1", NULL},
    {"m{b='1',a=\"2\"}", "m{a=\"2\",b=\"1\"}"},
    {"m{}", "m"},
    {"{'m'}", "{__name__=\"m\"}"},
    {"{a=~'x','b c'!='y'}", "{\"b c\"!=\"y\",a=~\"x\"}"},
    {"{__name__!=''}", "{__name__!=\"\"}"},
    {"m offset 3600", "m offset 1h"},
    {"m offset -90s @ 1.5", "m @ 1.500 offset -1m30s"},
    {"m @ -1603774568.1235", "m @ -1603774568.124"},
    {"m @ start() anchored", NULL},
    {"m offset 0", "m"},
    {"m - 5041275041s", "m - 58348d2h10m41s"},
    {"1 / -0h", "1 / -0s"},
    {"m[5m]@end()", "m[5m] @ end()"},
    {"m[1m]offset 1m smoothed", "m[1m] smoothed offset 1m"},
    {"m[0.0005]", "m[0.000500000]"},
    {"m[5m:]", NULL},
    {"abs(m)[1h:60]offset 1d@5", "abs(m)[1h:1m] @ 5.000 offset 1d"},
    {"m[1m+2*(step()-3)^2]", "m[1m + 2 * (step() - 3) ^ 2]"},
    {"m[(-2)^2]", "m[(-2) ^ 2]"},
    {"m[-step()+5m:max_of(1,2s)]", "m[-step() + 5m:max_of(1, 2s)]"},
    {"m offset (step())", NULL},
    {"m offset -min_of(1s,range())", "m offset -min_of(1s, range())"},
    {"m offset (5m)+1", "m offset (5m) + 1"},
    {"m offset (5m)", "m offset 5m"},
    {"time()", NULL},
    {"label_replace(m,'a','$1','b','(.*)')", "label_replace(m, \"a\", \"$1\", \"b\", \"(.*)\")"},
    {"info(m,{})", "info(m, {})"},
    {"SUM(m)", "sum(m)"},
    {"sum(m)by(a,'b c')", "sum by (a, \"b c\") (m)"},
    {"sum by() (m)", "sum(m)"},
    {"sum without() (m)", "sum without () (m)"},
    {"topk(3,m)by(a)", "topk by (a) (3, m)"},
    {"quantile(0.9,m)without(a)", "quantile without (a) (0.9, m)"},
};

/* Parses, prints, and gives the tree as lists; false when it does not parse. */
static bool forms_of(struct strbuf *form, struct strbuf *tree, struct slice text)
{
    struct ast ast;

    ast_init(&ast, NULL);
    bool ok = promql_parse(&ast, text, NULL, NULL) == ST_OK;
    if (ok) {
        expr_print(form, ast.root);
        tree_text(tree, ast.root);
    }
    ast_release(&ast);
    return ok;
}

static void check_round_trip(struct slice text)
{
    struct strbuf form, tree, form2, tree2;

    strbuf_init(&form, 0);
    strbuf_init(&tree, 0);
    strbuf_init(&form2, 0);
    strbuf_init(&tree2, 0);
    ck_assert(forms_of(&form, &tree, text));
    ck_assert_msg(forms_of(&form2, &tree2, strbuf_view(&form)), SLICE_FMT "\n  prints %s",
                  SLICE_ARG(text), strbuf_cstr(&form));
    ck_assert_msg(slice_eq(strbuf_view(&tree), strbuf_view(&tree2)),
                  SLICE_FMT "\n  prints %s\n  was %s\n  is  %s", SLICE_ARG(text),
                  strbuf_cstr(&form), strbuf_cstr(&tree), strbuf_cstr(&tree2));
    ck_assert(slice_eq(strbuf_view(&form), strbuf_view(&form2)));
    strbuf_release(&form);
    strbuf_release(&tree);
    strbuf_release(&form2);
    strbuf_release(&tree2);
}

START_TEST(test_form_is_canonical)
{
    struct strbuf form, tree;
    const char *want = forms[_i].form ? forms[_i].form : forms[_i].text;

    strbuf_init(&form, 0);
    strbuf_init(&tree, 0);
    ck_assert_msg(forms_of(&form, &tree, slice_str(forms[_i].text)), "%s", forms[_i].text);
    ck_assert_msg(strcmp(strbuf_cstr(&form), want) == 0, "%s\n  wants %s\n  gets  %s",
                  forms[_i].text, want, strbuf_cstr(&form));
    check_round_trip(slice_str(forms[_i].text));
    strbuf_release(&form);
    strbuf_release(&tree);
}
END_TEST

/* ---- random expressions ------------------------------------------------------------- */

static const char *pick(struct rng *rng, const char *const *words, size_t n)
{
    return words[rng_below(rng, n)];
}
#define PICK(rng, ...)                                                                         \
    pick(rng, (const char *const[]){__VA_ARGS__},                                              \
         sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void put_duration(struct strbuf *out, struct rng *rng, int depth)
{
    switch (depth > 0 ? rng_below(rng, 8) : 0) {
    case 1:
    case 2:
        put_duration(out, rng, depth - 1);
        strbuf_str(out, PICK(rng, "+", "-", "*", "/", "%", "^"));
        put_duration(out, rng, depth - 1);
        break;
    case 3:
        strbuf_str(out, PICK(rng, "(", "-(", "+("));
        put_duration(out, rng, depth - 1);
        strbuf_char(out, ')');
        break;
    case 4: strbuf_str(out, PICK(rng, "step()", "-range()", "+step()")); break;
    case 5:
        strbuf_str(out, PICK(rng, "min_of(", "-max_of("));
        put_duration(out, rng, depth - 1);
        strbuf_char(out, ',');
        put_duration(out, rng, depth - 1);
        strbuf_char(out, ')');
        break;
    default: strbuf_str(out, PICK(rng, "5m", "1.5", "-3", "2h30m", "7", "-0s", "90s"));
    }
}

static void put_vector(struct strbuf *out, struct rng *rng, int depth);

static void put_selector(struct strbuf *out, struct rng *rng)
{
    strbuf_str(out, PICK(rng, "m", "a:b", "sum", "{'x.y'}", "n{b='1',a=~'2'}", "m{c!~'\\n'}"));
}

static void put_modifiers(struct strbuf *out, struct rng *rng)
{
    if (rng_below(rng, 3) == 0) strbuf_str(out, PICK(rng, " @ 5", " @ start()", " @ -1.25"));
    if (rng_below(rng, 3) == 0) {
        strbuf_str(out, PICK(rng, " offset ", " offset -", " offset ("));
        bool open = out->ptr[out->len - 1] == '(';
        if (open) put_duration(out, rng, 2);
        else strbuf_str(out, PICK(rng, "1m", "step()", "min_of(1, range())", "2.5"));
        if (open) strbuf_char(out, ')');
    }
}

static void put_matrix(struct strbuf *out, struct rng *rng, int depth)
{
    if (rng_below(rng, 2)) {
        put_selector(out, rng);
        strbuf_char(out, '[');
        put_duration(out, rng, 2);
        strbuf_char(out, ']');
    } else {
        strbuf_str(out, "(");
        put_vector(out, rng, depth - 1);
        strbuf_str(out, ")[");
        put_duration(out, rng, 2);
        strbuf_char(out, ':');
        if (rng_below(rng, 2)) put_duration(out, rng, 2);
        strbuf_char(out, ']');
    }
    put_modifiers(out, rng);
}

static void put_vector(struct strbuf *out, struct rng *rng, int depth)
{
    switch (depth > 0 ? rng_below(rng, 8) : 0) {
    case 1:
        put_vector(out, rng, depth - 1);
        strbuf_str(out, PICK(rng, "+", " == bool ", "^ on(a)", "*ignoring(a)group_left(b)",
                             " and on(a) ", " or ", "/ fill(-1)", "- on() fill_left(2)", " >/ "));
        put_vector(out, rng, depth - 1);
        break;
    case 2:
        strbuf_str(out, PICK(rng, "-", "+", "2 ^ ", "-1 * "));
        put_vector(out, rng, depth - 1);
        break;
    case 3:
        strbuf_str(out, PICK(rng, "sum(", "topk by (a) (3, ",
                             "count_values without ('x y') ('v', "));
        put_vector(out, rng, depth - 1);
        strbuf_char(out, ')');
        break;
    case 4:
        strbuf_str(out, PICK(rng, "rate(", "max_over_time("));
        put_matrix(out, rng, depth);
        strbuf_char(out, ')');
        break;
    case 5:
        strbuf_char(out, '(');
        put_vector(out, rng, depth - 1);
        strbuf_char(out, ')');
        break;
    default:
        put_selector(out, rng);
        put_modifiers(out, rng);
    }
}

START_TEST(test_random_expressions_read_back)
{
    struct rng rng;
    size_t n_parsed = 0;

    rng_init(&rng, unit_seed());
    for (int round = 0; round < 3000; round++) {
        struct strbuf text;
        struct ast ast;

        strbuf_init(&text, 0);
        put_vector(&text, &rng, 6);
        ast_init(&ast, NULL);
        bool ok = promql_parse(&ast, strbuf_view(&text), NULL, NULL) == ST_OK;
        ast_release(&ast);
        if (ok) check_round_trip(strbuf_view(&text));
        n_parsed += ok;
        strbuf_release(&text);
    }
    /* A literal range that is not positive is refused, little else. */
    ck_assert_uint_gt(n_parsed, 1500);
}
END_TEST

#define N(a) (int)(sizeof(a) / sizeof((a)[0]))

Suite *suite_printer(void)
{
    Suite *s = suite_create("printer");
    TCase *tc = tcase_create("printer");

    tcase_add_loop_test(tc, test_form_is_canonical, 0, N(forms));
    tcase_add_test(tc, test_random_expressions_read_back);
    suite_add_tcase(s, tc);
    return s;
}
