/* Goal: every construct of the grammar gives the tree that Prometheus builds, with its
 * positions, and every mistake its message at its place. Method: tables of texts with the
 * tree as lists (tests/lib/tree_text.h) and of bad texts with the whole error; hostile
 * depth and size; an arena that refuses after each allocation. */
#include "promql/parser.h"
#include "tests/lib/tree_text.h"
#include "tests/unit/promql/promql_suites.h"

static const struct {
    const char *text, *tree;
} trees[] = {
    /* literals */
    {"1", "1"},
    {"0x10 + 010 + 1_000", "(+ (+ 16 8) 1000)"},
    {"08.5 + .5e1 + 5.", "(+ (+ 8.5 5) 5)"},
    {"09", "9"},
    {"Inf - -iNf + NaN", "(+ (- +Inf -Inf) NaN)"},
    {"0x7fffffffffffffff", "9.223372036854776e+18"},
    {"99999999999999999999", "1e+20"},
    {"5m + 1h30m + 1y2w3d4h5m6s7ms", "(+ (+ 300s 5400s) 3.3019506007e+07s)"},
    {"-5m", "-300s"},
    {"--+1", "1"},
    {"'it''s'", NULL},
    {"\"a\\tb\"", "\"a\tb\""},
    {"('x')", "(paren \"x\")"},
    /* precedence */
    {"1 + 2 * 3 ^ 4 ^ 5", "(+ 1 (* 2 (^ 3 (^ 4 5))))"},
    {"1 - 2 - 3", "(- (- 1 2) 3)"},
    {"8 / 4 % 3 * 2 atan2 1", "(atan2 (* (% (/ 8 4) 3) 2) 1)"},
    {"-2 ^ 2", "(- (^ 2 2))"},
    {"-2 * 3", "(* -2 3)"},
    {"2 ^ -1 * 3", "(* (^ 2 -1) 3)"},
    {"-1 ^ -2 ^ -3", "(- (^ 1 (- (^ 2 -3))))"},
    {"- -1 ^ 2", "(- (- (^ 1 2)))"},
    {"1 < bool 2 - 1", "(< bool 1 (- 2 1))"},
    {"1 == bool 2 != bool 3", "(!= bool (== bool 1 2) 3)"},
    {"a or b and c unless d > e", "(or many (select a __name__=\"a\") (unless many (and many "
     "(select b __name__=\"b\") (select c __name__=\"c\")) (> (select d __name__=\"d\") "
     "(select e __name__=\"e\"))))"},
    {"(1 + 2) * 3", "(* (paren (+ 1 2)) 3)"},
    {"m >/ 1 + 2 </ 3", "(</ (>/ (select m __name__=\"m\") (+ 1 2)) 3)"},
    /* selectors */
    {"m", "(select m __name__=\"m\")"},
    {"a:b:c{}", "(select a:b:c __name__=\"a:b:c\")"},
    {"m{b=\"1\",a!=\"2\",c=~\"3\",d!~'4',}", "(select m __name__=\"m\" a!=\"2\" b=\"1\" c=~\"3\" "
     "d!~\"4\")"},
    {"{a=\"1\"}", "(select  a=\"1\")"},
    {"{\"a.b\", 'c d'='e'}", "(select  __name__=\"a.b\" c d=\"e\")"},
    {"m{by=\"1\",sum=\"2\",on=\"3\",inf=\"4\"}", "(select m __name__=\"m\" by=\"1\" inf=\"4\" "
     "on=\"3\" sum=\"2\")"},
    {"m{a=`\\d`}", "(select m __name__=\"m\" a=\"\\d\")"},
    {"sum + by + offset + start{a='b'}", "(+ (+ (+ (select sum __name__=\"sum\") "
     "(select by __name__=\"by\")) (select offset __name__=\"offset\")) "
     "(select start __name__=\"start\" a=\"b\"))"},
    {"m offset 5m", "(select m __name__=\"m\" offset 300s)"},
    {"m offset -1.5", "(select m __name__=\"m\" offset -1.5s)"},
    {"m OFFSET +1h @ 10", "(select m __name__=\"m\" offset 3600s @10000ms)"},
    {"m @ -1.2345 offset 1s", "(select m __name__=\"m\" offset 1s @-1235ms)"},
    {"m @ 0x10", "(select m __name__=\"m\" @16000ms)"},
    {"m @ 5m", "(select m __name__=\"m\" @300000ms)"},
    {"m @ start()", "(select m __name__=\"m\" @start)"},
    {"m @ END()", "(select m __name__=\"m\" @end)"},
    {"m offset 0 offset 1s", "(select m __name__=\"m\" offset 1s)"},
    {"m[5m] @ end() offset 1s", "(matrix 300s (select m __name__=\"m\" offset 1s @end))"},
    {"m[300]", "(matrix 300s (select m __name__=\"m\"))"},
    {"m anchored", "(select m __name__=\"m\" anchored)"},
    {"m[1m] smoothed offset 1s", "(matrix 60s (select m __name__=\"m\" smoothed offset 1s))"},
    {"m[5m:1m]", "(subquery 300s:60s (select m __name__=\"m\"))"},
    {"m[5m:]", "(subquery 300s (select m __name__=\"m\"))"},
    {"(a + b)[1h:5m] offset 1d @ 5", "(subquery 3600s:300s offset 86400s @5000ms (paren "
     "(+ (select a __name__=\"a\") (select b __name__=\"b\"))))"},
    {"rate(m[1m])[5m:][1h:]", NULL},
    {"max_over_time(rate(m[1m])[5m:10])", "(max_over_time (subquery 300s:10s (rate "
     "(matrix 60s (select m __name__=\"m\")))))"},
    {"-m[5m:]", NULL},
    {"a + b offset 5m", "(+ (select a __name__=\"a\") (select b __name__=\"b\" offset 300s))"},
    {"-m @ 5 ^ 2", "(- (^ (select m __name__=\"m\" @5000ms) 2))"},
    /* duration arithmetic */
    {"m[1m + 2 * step()]", "(matrix (+ 60s (* 2 (step))) (select m __name__=\"m\"))"},
    {"m[(1m + 2) * 3]", "(matrix (* {+ 60s 2} 3) (select m __name__=\"m\"))"},
    {"m[2 ^ 3 ^ 2 - -1]", "(matrix (- (^ 2 (^ 3 2)) -1) (select m __name__=\"m\"))"},
    {"m[-2 ^ 2 + 10]", "(matrix (+ (neg (^ 2 2)) 10) (select m __name__=\"m\"))"},
    {"m[RANGE() / 2 : min_of(step(), 1m) % 7]", "(subquery (/ (range) 2):(% (min (step) 60s) 7) "
     "(select m __name__=\"m\"))"},
    {"m[max_of(1s, (2s))]", "(matrix (max 1s 2s) (select m __name__=\"m\"))"},
    {"m offset 1m + 2", "(+ (select m __name__=\"m\" offset 60s) 2)"},
    {"m offset -2 ^ 2", "(^ (select m __name__=\"m\" offset -2s) 2)"},
    {"m offset step() * 2", "(* (select m __name__=\"m\" offset (step)) 2)"},
    {"m offset -min_of(step(), 1s) ^ 0", "(^ (select m __name__=\"m\" offset (neg (min (step) 1s)))"
     " 0)"},
    {"m offset (1m + 2)", "(select m __name__=\"m\" offset {+ 60s 2})"},
    {"m offset (-0m % 7)", "(select m __name__=\"m\" offset {% 0s 7})"},
    {"m offset -(1m + 2) + 3", "(+ (select m __name__=\"m\" offset (neg {+ 60s 2})) 3)"},
    {"m offset (1m) + 3", "(select m __name__=\"m\" offset (+ 60s 3))"},
    {"m offset -(1m) + 3", "(+ (select m __name__=\"m\" offset -60s) 3)"},
    {"m offset - -1m", "(select m __name__=\"m\" offset 60s)"},
    /* calls and aggregations */
    {"time()", "(time)"},
    {"start() + step() * range() - end()", "(- (+ (start) (* (step) (range))) (end))"},
    {"min_of(1, max_of(2, 3))", "(min_of 1 (max_of 2 3))"},
    {"minute()", "(minute)"},
    {"label_join(m, 'a', 'b')", "(label_join (select m __name__=\"m\") \"a\" \"b\")"},
    {"info(m, {})", "(info (select m __name__=\"m\") (select ))"},
    {"sum(m)", "(sum (select m __name__=\"m\"))"},
    {"SUM by (a, b) (m)", "(sum by[a,b] (select m __name__=\"m\"))"},
    {"sum (m) by (a,)", "(sum by[a] (select m __name__=\"m\"))"},
    {"avg without () (m)", "(avg without[] (select m __name__=\"m\"))"},
    {"count(m) without (by, on, 'x y')", "(count without[by,on,x y] (select m __name__=\"m\"))"},
    {"topk by (a) (3, m)", "(topk by[a] 3 (select m __name__=\"m\"))"},
    {"count_values('v', m)", "(count_values \"v\" (select m __name__=\"m\"))"},
    {"limit_ratio(-0.5, m)", "(limit_ratio -0.5 (select m __name__=\"m\"))"},
    {"sum(sum(m)) by (a) + 1", "(+ (sum by[a] (sum (select m __name__=\"m\"))) 1)"},
    /* matching */
    {"a + on(x, y) b", "(+ on[x,y] (select a __name__=\"a\") (select b __name__=\"b\"))"},
    {"a + ignoring() b", "(+ (select a __name__=\"a\") (select b __name__=\"b\"))"},
    {"a / on() group_left b", "(/ on[] group_left (select a __name__=\"a\") "
     "(select b __name__=\"b\"))"},
    {"a > bool ignoring(x) group_right(y,) b", "(> bool ignoring[x] group_right[y] "
     "(select a __name__=\"a\") (select b __name__=\"b\"))"},
    {"a and on(x) b", "(and on[x] many (select a __name__=\"a\") (select b __name__=\"b\"))"},
    {"a - fill(-1.5) b", "(- fill_left=-1.5 fill_right=-1.5 (select a __name__=\"a\") "
     "(select b __name__=\"b\"))"},
    {"a - on(x) fill_right(+Inf) fill_left(0x2) b", "(- on[x] fill_left=2 fill_right=+Inf "
     "(select a __name__=\"a\") (select b __name__=\"b\"))"},
    {"fill - fill_left", "(- (select fill __name__=\"fill\") (select fill_left "
     "__name__=\"fill_left\"))"},
    {"1 # one\n+ # plus\n2", "(+ 1 2)"},
};

START_TEST(test_text_becomes_its_tree)
{
    struct err err = {0};
    struct strbuf out;
    struct ast ast;

    ast_init(&ast, NULL);
    strbuf_init(&out, 0);
    status st = promql_parse(&ast, slice_str(trees[_i].text), NULL, &err);
    if (!trees[_i].tree) {
        ck_assert_msg(st == ST_INVALID, "%s is taken", trees[_i].text);
    } else {
        ck_assert_msg(st == ST_OK, "%s: %s", trees[_i].text, err.text);
        tree_text(&out, ast.root);
        ck_assert_msg(strcmp(strbuf_cstr(&out), trees[_i].tree) == 0,
                      "%s\n  wants %s\n  gets  %s", trees[_i].text, trees[_i].tree,
                      strbuf_cstr(&out));
    }
    strbuf_release(&out);
    ast_release(&ast);
}
END_TEST

static const struct {
    const char *text, *error;
} errors[] = {
    {"", "unknown position: parse error: no expression found in input"},
    {" # x\n", "1:1: parse error: no expression found in input"},
    {"1 +", "1:4: parse error: unexpected end of input"},
    {"1 +\n\n  *", "3:3: parse error: unexpected <op:*>"},
    {"(1", "1:3: parse error: unclosed left parenthesis"},
    {"1 2", "1:3: parse error: unexpected number \"2\""},
    {"a b", "1:3: parse error: unexpected identifier \"b\""},
    {"a 'b'", "1:3: parse error: unexpected string \"'b'\""},
    {"a:b c:d", "1:5: parse error: unexpected metric identifier \"c:d\""},
    {"a = b", "1:3: parse error: unexpected \"=\""},
    {"bool", "1:1: parse error: unexpected <bool>"},
    {"a + on(b) ignoring(c) d", "1:11: parse error: unexpected <ignoring>"},
    {"a + group_left b", "1:5: parse error: unexpected <group_left>"},
    {"a:b(1)", "1:4: parse error: unexpected \"(\""},
    {"1m1h", "1:1: parse error: not a valid duration string: \"1m1h\""},
    {"5hs", "1:1: parse error: unknown unit \"hs\" in duration \"5hs\""},
    {"0.5m", "1:1: parse error: unknown unit \".\" in duration \"0.5m\""},
    {"293y", "1:1: parse error: duration out of range"},
    {"1e999", "1:1: parse error: error parsing number: strconv.ParseFloat: parsing \"1e999\": "
     "value out of range"},
    {"0x8000000000000000", "1:1: parse error: error parsing number: strconv.ParseFloat: parsing "
     "\"0x8000000000000000\": invalid syntax"},
    /* braces */
    {"m{a}", "1:4: parse error: unexpected \"}\" in label matching, expected label matching "
     "operator"},
    {"m{a=b}", "1:5: parse error: unexpected identifier \"b\" in label matching, expected string"},
    {"m{a='1' b='2'}", "1:9: parse error: unexpected identifier \"b\" in label matching, "
     "expected \",\" or \"}\""},
    {"m{,}", "1:3: parse error: unexpected \",\" in label matching, expected identifier or \"}\""},
    {"m{a='1',,}", "1:9: parse error: unexpected \",\" in label matching, expected identifier or "
     "\"}\""},
    {"m{'a' 'b'}", "1:7: parse error: unexpected string \"'b'\" in label matching, expected "
     "\",\" or \"}\""},
    {"m{a='1'", "1:8: parse error: unexpected end of input inside braces"},
    {"m{a=~'('}", "1:3: parse error: error parsing regexp: missing closing ): `(`"},
    {"m{}{}", "1:4: parse error: unexpected \"{\""},
    /* brackets */
    {"m[]", "1:3: parse error: unexpected \"]\" in subquery or range selector, expected number, "
     "duration, step(), or range()"},
    {"m[5m 5m]", "1:6: parse error: unexpected duration \"5m\" in subquery or range, expected "
     "\":\" or \"]\""},
    {"m[5m:*]", "1:6: parse error: unexpected <op:*> in subquery selector, expected number, "
     "duration, step(), range(), or \"]\""},
    {"m[5m:1m 1m]", "1:9: parse error: unexpected duration \"1m\" in subquery selector, expected "
     "\"]\""},
    {"m[5m", "1:5: parse error: unclosed left bracket"},
    {"m[0]", "1:3: parse error: duration must be greater than 0"},
    {"m[1m:-1s]", "1:6: parse error: duration must be greater than 0"},
    {"m[1m / 0]", "1:6: parse error: division by zero"},
    {"m[1m % 0s]", "1:6: parse error: modulo by zero"},
    {"m[min_of(1)]", "1:11: parse error: unexpected \")\" in subquery or range selector, expected "
     "number, duration, step(), or range()"},
    {"m[1e10]", "1:3: parse error: duration out of range"},
    {"(m)[5m]", "1:4: parse error: ranges only allowed for vector selectors"},
    {"m offset 1m [5m]", "1:13: parse error: no offset modifiers allowed before range"},
    {"m @ 1 [5m]", "1:7: parse error: no @ modifiers allowed before range"},
    /* modifiers */
    {"m offset", "1:9: parse error: unexpected end of input in offset, expected number, duration, "
     "step(), or range()"},
    {"m offset (1m", "1:13: parse error: unclosed left parenthesis"},
    {"m offset foo", "1:10: parse error: unexpected identifier \"foo\" in offset, expected "
     "number, duration, step(), or range()"},
    {"1 offset 5m", "1:1: parse error: offset modifier must be preceded by an instant vector "
     "selector or range vector selector or a subquery"},
    {"1 + (m) offset 5m", "1:5: parse error: offset modifier must be preceded by an instant vector "
     "selector or range vector selector or a subquery"},
    {"m offset 1s offset 1s", "1:1: parse error: offset may not be set multiple times"},
    {"m @", "1:4: parse error: unexpected end of input in @, expected timestamp"},
    {"m @ foo", "1:5: parse error: unexpected identifier \"foo\" in @, expected timestamp"},
    {"m @ start", "1:10: parse error: unexpected end of input in @, expected timestamp"},
    {"m @ -start()", "1:6: parse error: unexpected \"start\" in @, expected timestamp"},
    {"m @ Inf", "1:1: parse error: timestamp out of bounds for @ modifier: +Inf"},
    {"m @ NaN", "1:1: parse error: timestamp out of bounds for @ modifier: NaN"},
    {"m @ 1e19", "1:1: parse error: timestamp out of bounds for @ modifier: "
     "10000000000000000000.000000"},
    {"m @ 1 @ 2", "1:1: parse error: @ <timestamp> may not be set multiple times"},
    {"m @ start() @ 2", "1:1: parse error: @ <timestamp> may not be set multiple times"},
    {"1 @ 2", "1:1: parse error: @ modifier must be preceded by an instant vector selector or "
     "range vector selector or a subquery"},
    {"m anchored smoothed", "1:1: parse error: anchored and smoothed modifiers cannot be used "
     "together"},
    {"m[5m:] smoothed", "1:1: parse error: smoothed modifier is not supported for subqueries"},
    {"1 anchored", "1:1: parse error: anchored modifier not implemented"},
    /* calls and aggregations */
    {"foo()", "1:1: parse error: unknown function with name \"foo\""},
    {"RATE(m[5m])", "1:1: parse error: unknown function with name \"RATE\""},
    {"1 + START()", "1:5: parse error: unknown function with name \"START\""},
    {"abs(m,)", "1:6: parse error: trailing commas not allowed in function call args"},
    {"abs(m m)", "1:7: parse error: unexpected identifier \"m\""},
    {"abs(,m)", "1:5: parse error: unexpected \",\""},
    {"sum(m m)", "1:7: parse error: unexpected identifier \"m\" in aggregation"},
    {"sum(abs((m m)))", "1:12: parse error: unexpected identifier \"m\" in aggregation"},
    {"sum by (a) m", "1:12: parse error: unexpected identifier \"m\" in aggregation"},
    {"sum by a (m)", "1:8: parse error: unexpected identifier \"a\" in grouping opts, expected "
     "\"(\""},
    {"sum by (a b) (m)", "1:11: parse error: unexpected identifier \"b\" in grouping opts, "
     "expected \",\" or \")\""},
    {"sum by (1) (m)", "1:9: parse error: unexpected number \"1\" in grouping opts, expected "
     "label"},
    {"sum by (without) (m)", "1:9: parse error: unexpected <without> in grouping opts, expected "
     "label"},
    {"sum by ('') (m)", "1:9: parse error: invalid label name for grouping: \"\""},
    {"sum by (a) (m) by (b)", "1:16: parse error: unexpected <by>"},
    {"sum()", "1:1: parse error: no arguments for aggregate expression provided"},
    {"sum(a, b)", "1:1: parse error: wrong number of arguments for aggregate expression "
     "provided, expected 1, got 2"},
    {"topk(m)", "1:1: parse error: wrong number of arguments for aggregate expression provided, "
     "expected 2, got 1"},
    {"a * on(x) group_left == b",
     "1:22: parse error: unexpected <op:==> in grouping opts, expected \"(\""},
    {"a * on(x) group_right",
     "1:22: parse error: unexpected end of input in grouping opts, expected \"(\""},
    {"a + on b", "1:8: parse error: unexpected identifier \"b\" in grouping opts, expected "
     "\"(\""},
    {"a + fill(b) c", "1:10: parse error: unexpected identifier \"b\""},
    {"a + fill(1) fill_left(2) c", "1:13: parse error: unexpected <fill_left>"},
};

START_TEST(test_mistake_has_its_message)
{
    struct err err = {0};
    struct ast ast;

    ast_init(&ast, NULL);
    ck_assert_msg(promql_parse(&ast, slice_str(errors[_i].text), NULL, &err) == ST_INVALID, "%s",
                  errors[_i].text);
    ck_assert_msg(strcmp(err.text, errors[_i].error) == 0, "%s\n  wants %s\n  gets  %s",
                  errors[_i].text, errors[_i].error, err.text);
    ast_release(&ast);
}
END_TEST

/* ---- positions ------------------------------------------------------------------ */

static const struct {
    const char *text;
    const char *parts; /* "start-end" of the nodes, root first, children in order */
} positions[] = {
    {" 1 + 22 ", "1-7 1-2 5-7"},
    {"-m", "0-2 1-2"},
    {"- 5", "0-3"},
    {"( m )", "0-5 2-3"},
    {"m { a = 'b' } offset 5m", "0-23"},
    {"m[5m] @ 5 ", "0-9 0-1"},
    {"m[5m:1m] offset (1 + 2)", "0-23 0-1"},
    {"rate( m[5m] ) ", "0-13 6-11 6-7"},
    {"sum( m ) by ( a ) ", "0-17 5-6"},
    {"sum by (a) ( m ) ", "0-16 13-14"},
    {"1 + sum(m) ", "0-10 0-1 4-10 8-9"},
    {"topk ( 1 , m )", "0-14 7-8 11-12"},
};

static void put_positions(struct strbuf *out, const struct expr *e)
{
    const struct expr *child;

    strbuf_printf(out, "%s%u-%u", out->len ? " " : "", e->start, e->end);
    for (size_t i = 0; (child = expr_child(e, i)); i++) put_positions(out, child);
}

START_TEST(test_nodes_know_where_they_are)
{
    struct err err = {0};
    struct strbuf out;
    struct ast ast;

    ast_init(&ast, NULL);
    strbuf_init(&out, 0);
    ck_assert_int_eq(promql_parse(&ast, slice_str(positions[_i].text), NULL, &err), ST_OK);
    put_positions(&out, ast.root);
    ck_assert_msg(strcmp(strbuf_cstr(&out), positions[_i].parts) == 0,
                  "%s\n  wants %s\n  gets  %s", positions[_i].text, positions[_i].parts,
                  strbuf_cstr(&out));
    strbuf_release(&out);
    ast_release(&ast);
}
END_TEST

START_TEST(test_operators_know_where_they_are)
{
    struct ast ast;

    ast_init(&ast, NULL);
    ck_assert_int_eq(promql_parse(&ast, SLICE_LIT("a unless b"), NULL, NULL), ST_OK);
    ck_assert_uint_eq(ast.root->bin.op_start, 2);
    ck_assert_uint_eq(ast.root->bin.op_end, 8);
    ck_assert_uint_eq(ast.root->height, 2);
    ck_assert_uint_eq(ast.n_vectors, 2);
    ast_release(&ast);
}
END_TEST

/* ---- options and entries ---------------------------------------------------------- */

static const struct {
    const char *text, *error; /* NULL: allowed */
} stable[] = {
    {"sum(rate(m{a='b'}[5m] offset 1m)) ^ 2", NULL},
    {"m offset -5m", NULL},
    {"mad_over_time(m[5m])", "1:1: parse error: function \"mad_over_time\" is not enabled"},
    {"limitk(1, m)", "1:1: parse error: limitk() is experimental and must be enabled with "
     "--enable-feature=promql-experimental-functions"},
    {"m[(1m + step())]", NULL},
    {"m anchored", "1:1: parse error: anchored modifier is experimental and not enabled"},
    {"a + fill(1) b", "1:1: parse error: binop fill modifiers are experimental and not enabled"},
};

START_TEST(test_stable_refuses_what_is_experimental)
{
    struct parser_options opt = {.stable = true};
    struct err err = {0};
    struct ast ast;

    ast_init(&ast, NULL);
    status st = promql_parse(&ast, slice_str(stable[_i].text), &opt, &err);
    ck_assert_msg((st == ST_OK) == !stable[_i].error, "%s: %s", stable[_i].text, err.text);
    if (stable[_i].error) ck_assert_str_eq(err.text, stable[_i].error);
    ast_release(&ast);
    ast_init(&ast, NULL);
    ck_assert_int_eq(promql_parse(&ast, slice_str(stable[_i].text), NULL, NULL), ST_OK);
    ast_release(&ast);
}
END_TEST

static const struct {
    const char *text, *error;
} selectors[] = {
    {"m", NULL},
    {"m{a=~'b.*'}", NULL},
    {"{'a.b'}", NULL},
    {"{}", NULL}, /* match[] has its own rule for empty matchers */
    {"sum{a='b'}", NULL},
    {"", "unknown position: parse error: unexpected end of input"},
    {"m[5m]", "1:2: parse error: unexpected \"[\""},
    {"m offset 5m", "1:3: parse error: unexpected <offset>"},
    {"1", "1:1: parse error: unexpected number \"1\""},
    {"rate(m)", "1:5: parse error: unexpected \"(\""},
};

START_TEST(test_selector_alone)
{
    struct err err = {0};
    struct ast ast;

    ast_init(&ast, NULL);
    status st = promql_parse_selector(&ast, slice_str(selectors[_i].text), &err);
    ck_assert_msg((st == ST_OK) == !selectors[_i].error, "%s: %s", selectors[_i].text, err.text);
    if (selectors[_i].error) ck_assert_str_eq(err.text, selectors[_i].error);
    else ck_assert_int_eq(ast.root->kind, EXPR_VECTOR);
    ast_release(&ast);
}
END_TEST

/* ---- limits ----------------------------------------------------------------------- */

static char *repeat(const char *head, const char *part, const char *middle, const char *back,
                    size_t n)
{
    size_t len = strlen(head) + n * (strlen(part) + strlen(back)) + strlen(middle) + 1;
    char *text = malloc(len), *at = text;

    at += snprintf(at, len, "%s", head);
    for (size_t i = 0; i < n; i++) at += snprintf(at, len - (size_t)(at - text), "%s", part);
    at += snprintf(at, len - (size_t)(at - text), "%s", middle);
    for (size_t i = 0; i < n; i++) at += snprintf(at, len - (size_t)(at - text), "%s", back);
    return text;
}

static const struct {
    const char *head, *part, *middle, *back;
    size_t good, bad;
} depths[] = {
    {"", "(", "1", ")", 127, 128},
    {"", "-", "m", "", 127, 128},
    {"", "abs(", "m", ")", 127, 128},
    {"", "sum(", "m", ")", 127, 128},
    {"1", "+1", "", "", 127, 128},
    {"1", "^1", "", "", 127, 128},
    {"m[", "(", "1s", ")", 126, 128},
    {"m[1", "+1", "", "", 0, 128},
    {"m", "", "", "[1m:]", 0, 128},
};

START_TEST(test_depth_is_limited)
{
    struct err err = {0};
    struct ast ast;

    if (depths[_i].good) {
        char *good = repeat(depths[_i].head, depths[_i].part, depths[_i].middle, depths[_i].back,
                            depths[_i].good);
        bool bracket = strchr(depths[_i].head, '[');
        char *whole = repeat(good, "", bracket ? "]" : "", "", 1);
        ast_init(&ast, NULL);
        ck_assert_msg(promql_parse(&ast, slice_str(whole), NULL, &err) == ST_OK, "case %d: %s", _i,
                      err.text);
        ck_assert_uint_le(ast.root->height, PARSER_DEPTH_MAX);
        ast_release(&ast);
        free(whole);
        free(good);
    }
    char *bad = repeat(depths[_i].head, depths[_i].part, depths[_i].middle, depths[_i].back, 10000);
    ast_init(&ast, NULL);
    ck_assert_int_eq(promql_parse(&ast, slice_str(bad), NULL, &err), ST_LIMIT);
    ck_assert_msg(strstr(err.text, "nested deeper than 128 levels"), "case %d: %s", _i, err.text);
    ast_release(&ast);
    free(bad);
    bad = repeat(depths[_i].head, depths[_i].part, depths[_i].middle, depths[_i].back,
                 depths[_i].bad);
    char *closed = repeat(bad, "", strchr(depths[_i].head, '[') ? "]" : "", "", 1);
    ast_init(&ast, NULL);
    ck_assert_int_eq(promql_parse(&ast, slice_str(closed), NULL, &err), ST_LIMIT);
    ast_release(&ast);
    free(closed);
    free(bad);
}
END_TEST

START_TEST(test_size_is_limited)
{
    struct err err = {0};
    struct ast ast;
    char *args = repeat("sum by (", "a,", ") (m)", "", 12000);
    char *text = repeat("1", " ", "", "", PARSER_TEXT_MAX);
    char *fits = repeat("1", " ", "", "", PARSER_TEXT_MAX - 1);

    ast_init(&ast, NULL);
    ck_assert_int_eq(promql_parse(&ast, slice_str(args), NULL, &err), ST_LIMIT);
    ck_assert_ptr_nonnull(strstr(err.text, "more than 10000 parts"));
    ast_release(&ast);
    ast_init(&ast, NULL);
    ck_assert_int_eq(promql_parse(&ast, slice_str(text), NULL, &err), ST_LIMIT);
    ck_assert_ptr_nonnull(strstr(err.text, "65536"));
    ast_release(&ast);
    ast_init(&ast, NULL);
    ck_assert_int_eq(promql_parse(&ast, slice_str(fits), NULL, &err), ST_OK);
    ast_release(&ast);
    free(args);
    free(text);
    free(fits);
}
END_TEST

/* An account that holds ever more: each refusal must come back as one. */
START_TEST(test_refused_memory_is_a_status)
{
    static const char text[] =
        "sum by (a, b, c, d, e) (rate(m{a='1', b=~'2.*', c!='3', d!~'4', e='5'}[5m + step()]))"
        " / on(a) group_left(b) label_replace(n offset (1m * 2), 'x', '$1', 'y', '(.*)')";
    bool parsed = false;

    for (size_t limit = 1; limit < 64 << 10 && !parsed; limit += 512) {
        struct account account;
        struct err err = {0};
        struct ast ast;

        account_init(&account, "parser", NULL, limit);
        ast_init(&ast, &account);
        status st = promql_parse(&ast, slice_str(text), NULL, &err);
        ck_assert_msg(st == ST_OK || st == ST_NO_MEMORY, "%zu bytes: %s", limit, err.text);
        parsed = st == ST_OK;
        ast_release(&ast);
        ck_assert_uint_eq(account_used(&account), 0);
    }
    ck_assert(parsed);
}
END_TEST

#define N(a) (int)(sizeof(a) / sizeof((a)[0]))

Suite *suite_parser(void)
{
    Suite *s = suite_create("parser");
    TCase *tc = tcase_create("parser");

    tcase_add_loop_test(tc, test_text_becomes_its_tree, 0, N(trees));
    tcase_add_loop_test(tc, test_mistake_has_its_message, 0, N(errors));
    tcase_add_loop_test(tc, test_nodes_know_where_they_are, 0, N(positions));
    tcase_add_test(tc, test_operators_know_where_they_are);
    tcase_add_loop_test(tc, test_stable_refuses_what_is_experimental, 0, N(stable));
    tcase_add_loop_test(tc, test_selector_alone, 0, N(selectors));
    tcase_add_loop_test(tc, test_depth_is_limited, 0, N(depths));
    tcase_add_test(tc, test_size_is_limited);
    tcase_add_test(tc, test_refused_memory_is_a_status);
    suite_add_tcase(s, tc);
    return s;
}
