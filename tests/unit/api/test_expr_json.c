/* Goal: a tree is printed as Prometheus' parse_query prints it, and laid out as its
 * format_query does. Method: expressions with their JSON, byte by byte; layouts with their
 * lines; every layout read back gives the same expression; trees as deep as the parser takes. */
#include "api/expr_json.h"
#include "api/expr_layout.h"
#include "base/account.h"
#include "base/json_read.h"
#include "promql/parser.h"
#include "promql/printer.h"
#include "tests/unit/api/api_suites.h"

static struct account account;

static void parse(struct ast *ast, const char *text)
{
    struct err err = {.st = ST_OK};
    ast_init(ast, &account);
    status st = promql_parse(ast, slice_str(text), NULL, &err);
    ck_assert_msg(st == ST_OK, "%s: %s", text, err.text);
}

/* ---- trees ---------------------------------------------------------------------- */

#define UP "{\"anchored\":false,\"matchers\":[{\"name\":\"__name__\",\"type\":\"=\"," \
           "\"value\":\"up\"}],\"name\":\"up\",\"offset\":0,\"smoothed\":false," \
           "\"startOrEnd\":null,\"timestamp\":null,\"type\":\"vectorSelector\"}"
#define NUMBER(v) "{\"type\":\"numberLiteral\",\"val\":\"" v "\"}"

static const struct tree_case {
    const char *text, *want;
} trees[] = {
    {"up", UP},
    {"1.5", NUMBER("1.5")},
    {"1e300 ", NULL},
    {"Inf", NUMBER("+Inf")},
    {"NaN", NUMBER("NaN")},
    {"5m", NUMBER("300")},
    {"\"a\\\"\\n\"", "{\"type\":\"stringLiteral\",\"val\":\"a\\\"\\n\"}"},
    {"-up", "{\"expr\":" UP ",\"op\":\"-\",\"type\":\"unaryExpr\"}"},
    {"+up", "{\"expr\":" UP ",\"op\":\"+\",\"type\":\"unaryExpr\"}"},
    {"(up)", "{\"expr\":" UP ",\"type\":\"parenExpr\"}"},
    {"m{a!=\"1\",b=~\"x|y\",c!~\"z\"} offset -1m @ 1.5",
     "{\"anchored\":false,\"matchers\":[{\"name\":\"a\",\"type\":\"!=\",\"value\":\"1\"},"
     "{\"name\":\"b\",\"type\":\"=~\",\"value\":\"x|y\"},"
     "{\"name\":\"c\",\"type\":\"!~\",\"value\":\"z\"},"
     "{\"name\":\"__name__\",\"type\":\"=\",\"value\":\"m\"}],\"name\":\"m\",\"offset\":-60000,"
     "\"smoothed\":false,\"startOrEnd\":null,\"timestamp\":1500,\"type\":\"vectorSelector\"}"},
    {"{\"a.b\"} @ start()",
     "{\"anchored\":false,\"matchers\":[{\"name\":\"__name__\",\"type\":\"=\",\"value\":\"a.b\"}],"
     "\"name\":\"\",\"offset\":0,\"smoothed\":false,\"startOrEnd\":\"start\",\"timestamp\":null,"
     "\"type\":\"vectorSelector\"}"},
    {"m[1h30m] smoothed @ end()",
     "{\"anchored\":false,\"matchers\":[{\"name\":\"__name__\",\"type\":\"=\",\"value\":\"m\"}],"
     "\"name\":\"m\",\"offset\":0,\"range\":5400000,\"smoothed\":true,\"startOrEnd\":\"end\","
     "\"timestamp\":null,\"type\":\"matrixSelector\"}"},
    {"up[5m:30s] offset 10s",
     "{\"expr\":" UP ",\"offset\":10000,\"range\":300000,\"startOrEnd\":null,\"step\":30000,"
     "\"timestamp\":null,\"type\":\"subquery\"}"},
    {"up[5m:]",
     "{\"expr\":" UP ",\"offset\":0,\"range\":300000,\"startOrEnd\":null,\"step\":0,"
     "\"timestamp\":null,\"type\":\"subquery\"}"},
    {"round(up, 5)",
     "{\"args\":[" UP "," NUMBER("5") "],\"func\":{\"argTypes\":[\"vector\",\"scalar\"],"
     "\"name\":\"round\",\"returnType\":\"vector\",\"variadic\":1},\"type\":\"call\"}"},
    {"time()",
     "{\"args\":[],\"func\":{\"argTypes\":[],\"name\":\"time\",\"returnType\":\"scalar\","
     "\"variadic\":0},\"type\":\"call\"}"},
    {"sum(up)",
     "{\"expr\":" UP ",\"grouping\":[],\"op\":\"sum\",\"param\":null,\"type\":\"aggregation\","
     "\"without\":false}"},
    {"topk without (a, b) (3, up)",
     "{\"expr\":" UP ",\"grouping\":[\"a\",\"b\"],\"op\":\"topk\",\"param\":" NUMBER("3") ","
     "\"type\":\"aggregation\",\"without\":true}"},
    {"1 + 2",
     "{\"bool\":false,\"lhs\":" NUMBER("1") ",\"matching\":null,\"op\":\"+\",\"rhs\":" NUMBER("2")
     ",\"type\":\"binaryExpr\"}"},
    {"up > bool 1",
     "{\"bool\":true,\"lhs\":" UP ",\"matching\":null,\"op\":\"\\u003e\",\"rhs\":" NUMBER("1")
     ",\"type\":\"binaryExpr\"}"},
    {"up * on (a) group_left (b) up",
     "{\"bool\":false,\"lhs\":" UP ",\"matching\":{\"card\":\"many-to-one\",\"fillValues\":"
     "{\"lhs\":null,\"rhs\":null},\"include\":[\"b\"],\"labels\":[\"a\"],\"on\":true},"
     "\"op\":\"*\",\"rhs\":" UP ",\"type\":\"binaryExpr\"}"},
    {"up + fill_left (0.5) up",
     "{\"bool\":false,\"lhs\":" UP ",\"matching\":{\"card\":\"one-to-one\",\"fillValues\":"
     "{\"lhs\":0.5,\"rhs\":null},\"include\":[],\"labels\":[],\"on\":false},"
     "\"op\":\"+\",\"rhs\":" UP ",\"type\":\"binaryExpr\"}"},
    {"up unless up",
     "{\"bool\":false,\"lhs\":" UP ",\"matching\":{\"card\":\"many-to-many\",\"fillValues\":"
     "{\"lhs\":null,\"rhs\":null},\"include\":[],\"labels\":[],\"on\":false},"
     "\"op\":\"unless\",\"rhs\":" UP ",\"type\":\"binaryExpr\"}"},
};

START_TEST(test_expr_json_trees)
{
    const struct tree_case *c = &trees[_i];
    struct ast ast;
    struct strbuf out;
    struct json *doc;

    parse(&ast, c->text);
    strbuf_init(&out, 0);
    expr_json(&out, ast.root);
    if (c->want)
        ck_assert_msg(slice_is(strbuf_view(&out), c->want), "%s:\n%.*s\nnot\n%s", c->text,
                      (int)out.len, out.ptr, c->want);
    ck_assert_int_eq(json_doc_parse(&doc, strbuf_view(&out), 1 << 20, NULL), ST_OK);
    json_doc_free(doc);
    strbuf_release(&out);
    ast_release(&ast);
}
END_TEST

/* ---- layouts -------------------------------------------------------------------- */

#define A40 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B40 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define C40 "cccccccccccccccccccccccccccccccccccccccc"

static const struct tree_case layouts[] = {
    {"sum( up )by(job)", "sum by (job) (up)"},
    {"1+2", "1 + 2"},
    {"foo{b=\"1\",a=\"2\"}[5m]", "foo{a=\"2\",b=\"1\"}[5m]"},
    {A40 "{a=\"" B40 "\",b=\"" C40 "\"}", A40 "{a=\"" B40 "\",b=\"" C40 "\"}"},
    {A40 "+" B40 "+" C40, "  " A40 " + " B40 "\n+\n  " C40},
    {A40 "+ignoring(x)group_right(y) (" B40 "*" C40 ")",
     "  " A40 "\n+ ignoring (x) group_right (y)\n  (" B40 " * " C40 ")"},
    {"sum by(x)(" A40 "-" B40 "-" C40 ")",
     "sum by (x) (\n    " A40 " - " B40 "\n  -\n    " C40 "\n)"},
    {"topk(3," A40 "{l=\"" B40 C40 "\"})",
     "topk(\n  3,\n  " A40 "{l=\"" B40 C40 "\"}\n)"},
    {"label_replace(" A40 ",\"" B40 "\",\"" C40 "\",\"a\",\"b\")",
     "label_replace(\n  " A40 ",\n  \"" B40 "\",\n  \"" C40 "\",\n  \"a\",\n  \"b\"\n)"},
    {"max_over_time((" A40 "+" B40 "+" C40 ")[5m:1m]offset 3m)",
     "max_over_time(\n  (\n      " A40 " + " B40 "\n    +\n      " C40
     "\n  )[5m:1m] offset 3m\n)"},
    {"-(" A40 "+" B40 "+" C40 ")",
     "-(\n    " A40 " + " B40 "\n  +\n    " C40 "\n)"},
    {"Inf^(" A40 "+" B40 "+" C40 ")",
     "  Inf\n^\n  (\n      " A40 " + " B40 "\n    +\n      " C40 "\n  )"},
};

/* The text of a tree on one line. */
static void one_line(struct strbuf *out, const char *text)
{
    struct ast ast;
    parse(&ast, text);
    expr_print(out, ast.root);
    ast_release(&ast);
}

START_TEST(test_expr_layout)
{
    const struct tree_case *c = &layouts[_i];
    struct ast ast;
    struct strbuf out, before, after;

    parse(&ast, c->text);
    strbuf_init(&out, 0);
    strbuf_init(&before, 0);
    strbuf_init(&after, 0);
    expr_layout(&out, ast.root);
    ck_assert_msg(slice_is(strbuf_view(&out), c->want), "%s:\n%.*s\nnot\n%s", c->text, (int)out.len,
                  out.ptr, c->want);
    one_line(&before, c->text);
    one_line(&after, strbuf_cstr(&out));
    ck_assert_msg(slice_eq(strbuf_view(&before), strbuf_view(&after)), "%s: %s", c->text,
                  strbuf_cstr(&after));
    strbuf_release(&out);
    strbuf_release(&before);
    strbuf_release(&after);
    ast_release(&ast);
}
END_TEST

START_TEST(test_expr_json_of_the_deepest)
{
    enum { DEPTH = PARSER_DEPTH_MAX - 2 };
    char text[2 * DEPTH + 8];
    struct ast ast;
    struct strbuf out;

    memset(text, '(', DEPTH);
    memcpy(text + DEPTH, "up", 2);
    memset(text + DEPTH + 2, ')', DEPTH);
    text[2 * DEPTH + 2] = '\0';
    parse(&ast, text);
    strbuf_init(&out, 0);
    expr_json(&out, ast.root);
    ck_assert(!out.failed && out.len > 20 * DEPTH);
    strbuf_reset(&out);
    expr_layout(&out, ast.root);
    ck_assert(!out.failed && out.len > 4 * DEPTH);
    strbuf_release(&out);
    ast_release(&ast);
}
END_TEST

START_TEST(test_expr_json_with_a_limit_fails)
{
    struct ast ast;
    struct strbuf out;

    parse(&ast, "sum(up) + 1");
    strbuf_init(&out, 20);
    expr_json(&out, ast.root);
    ck_assert(out.failed);
    strbuf_release(&out);
    ast_release(&ast);
}
END_TEST

Suite *suite_expr_json(void)
{
    Suite *suite = suite_create("expr_json");
    TCase *tc = tcase_create("trees");

    tcase_add_loop_test(tc, test_expr_json_trees, 0, sizeof(trees) / sizeof(trees[0]));
    tcase_add_loop_test(tc, test_expr_layout, 0, sizeof(layouts) / sizeof(layouts[0]));
    tcase_add_test(tc, test_expr_json_of_the_deepest);
    tcase_add_test(tc, test_expr_json_with_a_limit_fails);
    suite_add_tcase(suite, tc);
    return suite;
}
