/* Goal: ill-typed expressions are refused with Prometheus' words at its positions, and well
 * typed ones are not. Method: tables of both; what the check settles in the tree is read
 * back; the table of functions is checked against itself. */
#include "promql/typecheck.h"
#include "promql/parser.h"
#include "tests/unit/promql/promql_suites.h"

static const struct {
    const char *text, *error;
} errors[] = {
    /* selectors */
    {"{}", "1:1: parse error: vector selector must contain at least one non-empty matcher"},
    {"{a=''}", "1:1: parse error: vector selector must contain at least one non-empty matcher"},
    {"1 + {a=~'.*', b!='x'}",
     "1:5: parse error: vector selector must contain at least one non-empty matcher"},
    {"m{__name__='n'}", "1:1: parse error: metric name must not be set twice: \"m\" or \"n\""},
    {"m{'n'}", "1:1: parse error: metric name must not be set twice: \"m\" or \"n\""},
    /* calls */
    {"rate(m)", "1:6: parse error: expected type range vector in call to function \"rate\", got "
     "instant vector"},
    {"abs(m[5m])", "1:5: parse error: expected type instant vector in call to function \"abs\", "
     "got range vector"},
    {"abs(1)", "1:5: parse error: expected type instant vector in call to function \"abs\", got "
     "scalar"},
    {"vector(m)", "1:8: parse error: expected type scalar in call to function \"vector\", got "
     "instant vector"},
    {"scalar('x')", "1:8: parse error: expected type instant vector in call to function "
     "\"scalar\", got string"},
    {"label_replace(m, 'a', 1, 'b', 'c')", "1:23: parse error: expected type string in call to "
     "function \"label_replace\", got scalar"},
    {"label_join(m, 'a', 'b', 'c', n)", "1:30: parse error: expected type string in call to "
     "function \"label_join\", got instant vector"},
    {"rate(rate(m))", "1:11: parse error: expected type range vector in call to function "
     "\"rate\", got instant vector"},
    {"time(1)", "1:1: parse error: expected 0 argument(s) in call to \"time\", got 1"},
    {"rate()", "1:1: parse error: expected 1 argument(s) in call to \"rate\", got 0"},
    {"clamp(m, 1)", "1:1: parse error: expected 3 argument(s) in call to \"clamp\", got 2"},
    {"round()", "1:1: parse error: expected at least 1 argument(s) in call to \"round\", got 0"},
    {"round(m, 1, 2)", "1:1: parse error: expected at most 2 argument(s) in call to \"round\", "
     "got 3"},
    {"year(m, m)", "1:1: parse error: expected at most 1 argument(s) in call to \"year\", got 2"},
    {"label_join(m, 'a')",
     "1:1: parse error: expected at least 3 argument(s) in call to \"label_join\", got 2"},
    {"info(m, 1)", "1:1: parse error: expected type instant vector in call to function \"info\", "
     "got scalar"},
    {"info(m, n)", "1:9: parse error: expected label selectors only, got vector selector instead"},
    {"info(m, ({a='b'}))", "1:9: parse error: expected label selectors only"},
    /* aggregations */
    {"sum(1)", "1:5: parse error: expected type instant vector in aggregation expression, got "
     "scalar"},
    {"sum(m[5m])", "1:5: parse error: expected type instant vector in aggregation expression, "
     "got range vector"},
    {"topk('x', m)", "1:6: parse error: expected type scalar in aggregation parameter, got "
     "string"},
    {"quantile(m, m)", "1:10: parse error: expected type scalar in aggregation parameter, got "
     "instant vector"},
    {"count_values(1, m)", "1:14: parse error: expected type string in aggregation parameter, "
     "got scalar"},
    /* operators */
    {"1 > 2", "1:3: parse error: comparisons between scalars must use BOOL modifier"},
    {"(1)  ==  2", "1:6: parse error: comparisons between scalars must use BOOL modifier"},
    {"a + bool b", "1:3: parse error: bool modifier can only be used on comparison operators"},
    {"a and bool b", "1:3: parse error: bool modifier can only be used on comparison operators"},
    {"a and 1", "1:1: parse error: set operator \"and\" not allowed in binary scalar expression"},
    {"1 or b", "1:1: parse error: set operator \"or\" not allowed in binary scalar expression"},
    {"1 unless 2",
     "1:1: parse error: set operator \"unless\" not allowed in binary scalar expression"},
    {"a and on(x) group_left b", "1:1: parse error: no grouping allowed for \"and\" operation"},
    {"a or on(x) group_right(y) b", "1:1: parse error: no grouping allowed for \"or\" operation"},
    {"a or fill(1) b",
     "1:1: parse error: filling in missing series not allowed for set operators"},
    {"a + fill(1) 2",
     "1:1: parse error: filling in missing series only allowed between instant vectors"},
    {"a + on(x) 1", "1:1: parse error: vector matching only allowed between instant vectors"},
    {"1 + ignoring(x) b", "1:1: parse error: vector matching only allowed between instant vectors"},
    {"a + on(x, y) group_left(z, y) b",
     "1:3: parse error: label \"y\" must not occur in ON and GROUP clause at once"},
    {"a[5m] + b",
     "1:1: parse error: binary expression must contain only scalar and instant vector types"},
    {"1 + 'x'",
     "1:5: parse error: binary expression must contain only scalar and instant vector types"},
    {"-'x'", "1:1: parse error: unary expression only allowed on expressions of type scalar or "
     "instant vector, got \"string\""},
    {"+m[5m]", "1:1: parse error: unary expression only allowed on expressions of type scalar or "
     "instant vector, got \"range vector\""},
    {"1[5m:]", "1:1: parse error: subquery is only allowed on instant vector, got scalar instead"},
    {"m[5m:][5m:]",
     "1:1: parse error: subquery is only allowed on instant vector, got matrix instead"},
    /* the leftmost complaint of the innermost wins */
    {"abs(1) + rate(m)", "1:5: parse error: expected type instant vector in call to function "
     "\"abs\", got scalar"},
    {"sum(rate(m)) + {}", "1:10: parse error: expected type range vector in call to function "
     "\"rate\", got instant vector"},
};

START_TEST(test_ill_typed_has_its_message)
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

static const struct {
    const char *text;
    enum value_kind type;
} typed[] = {
    {"1 + 2", KIND_SCALAR},          {"1 == bool 2", KIND_SCALAR},
    {"m == 2", KIND_VECTOR},         {"1 + on() m", KIND_VECTOR},
    {"-time()", KIND_SCALAR},        {"'x'", KIND_STRING},
    {"((m))", KIND_VECTOR},          {"m[5m]", KIND_MATRIX},
    {"m[5m:]", KIND_MATRIX},         {"rate(m[5m:])", KIND_VECTOR},
    {"scalar(m)", KIND_SCALAR},      {"minute()", KIND_VECTOR},
    {"info(m, {})", KIND_VECTOR},    {"info(m, {'a.b'})", KIND_VECTOR},
    {"{a!=''}", KIND_VECTOR},        {"{a=~'.+'}", KIND_VECTOR},
    {"{__name__='a', __name__='b'}", KIND_VECTOR},
    {"a + ignoring(x) group_left(x) b", KIND_VECTOR},
    {"sort_by_label(m)", KIND_VECTOR},
    {"topk(scalar(m), m)", KIND_VECTOR},
    {"m >/ 1", KIND_VECTOR},
};

START_TEST(test_well_typed_has_its_type)
{
    struct err err = {0};
    struct ast ast;

    ast_init(&ast, NULL);
    status st = promql_parse(&ast, slice_str(typed[_i].text), NULL, &err);
    ck_assert_msg(st == ST_OK, "%s: %s", typed[_i].text, err.text);
    ck_assert_msg(ast.root->type == typed[_i].type, "%s is %s", typed[_i].text,
                  value_kind_name(ast.root->type));
    ast_release(&ast);
}
END_TEST

START_TEST(test_check_settles_matching)
{
    struct ast ast;

    ast_init(&ast, NULL);
    ck_assert_int_eq(promql_parse(&ast, SLICE_LIT("a unless b"), NULL, NULL), ST_OK);
    ck_assert_int_eq(ast.root->bin.matching->card, CARD_MANY_TO_MANY);
    ast_release(&ast);
    ast_init(&ast, NULL);
    ck_assert_int_eq(promql_parse(&ast, SLICE_LIT("a + 1"), NULL, NULL), ST_OK);
    ck_assert_ptr_null(ast.root->bin.matching);
    ast_release(&ast);
}
END_TEST

START_TEST(test_functions_are_found_and_sane)
{
    for (int id = 0; id < N_FUNCTIONS; id++) {
        const struct function *f = &functions[id];

        ck_assert_int_eq(f->id, id);
        ck_assert_ptr_eq(function_find(slice_str(f->name)), f);
        ck_assert_uint_le(f->n_args, FUNCTION_ARGS_MAX);
        ck_assert(f->ret == KIND_VECTOR || f->ret == KIND_SCALAR);
        for (int i = 0; i < f->n_args; i++) ck_assert_int_ne(f->args[i], KIND_NONE);
        ck_assert_msg(f->variadic == 0 || f->n_args > 0, "%s", f->name);
    }
    ck_assert_ptr_null(function_find(SLICE_LIT("Rate")));
    ck_assert_ptr_null(function_find(SLICE_LIT("")));
}
END_TEST

#define N(a) (int)(sizeof(a) / sizeof((a)[0]))

Suite *suite_typecheck(void)
{
    Suite *s = suite_create("typecheck");
    TCase *tc = tcase_create("typecheck");

    tcase_add_loop_test(tc, test_ill_typed_has_its_message, 0, N(errors));
    tcase_add_loop_test(tc, test_well_typed_has_its_type, 0, N(typed));
    tcase_add_test(tc, test_check_settles_matching);
    tcase_add_test(tc, test_functions_are_found_and_sane);
    suite_add_tcase(s, tc);
    return s;
}
