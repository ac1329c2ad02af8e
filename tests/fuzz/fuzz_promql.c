/* PromQL text. Checked: parsing ends within its limits; a refusal says where and why; what
 * parses prints as text that reads back as the same tree and prints the same; it can be
 * planned in every precision, and every select of the plan belongs to a selector. */
#include <stdlib.h>
#include <string.h>

#include "base/panic.h"
#include "promql/parser.h"
#include "promql/plan.h"
#include "promql/printer.h"
#include "tests/fuzz/fuzz.h"
#include "tests/lib/tree_text.h"

int fuzz_promql(const uint8_t *src, size_t len);

/* The matchers are those of a selector of the tree, or what info() makes of one. */
static bool is_asked(const struct ast *ast, const struct matchers *matchers)
{
    for (size_t i = 0; i < ast->n_vectors; i++) {
        if (ast->vectors[i]->vec.matchers == matchers->ptr) return true;
    }
    return matchers->n > 0 && slice_is(matchers->ptr[matchers->n - 1].value, "target_info");
}

static void check_plan(struct ast *ast, const struct plan_options *opt)
{
    struct err err = {0};
    struct plan plan;
    status st = plan_make(&plan, ast, opt, &err);

    ASSERT(st == ST_OK || st == ST_INVALID);
    if (st != ST_OK) {
        ASSERT(err.text[0]);
        return;
    }
    ASSERT(plan.n_selects >= ast->n_vectors); /* info() has selects of its own */
    for (size_t i = 0; i < plan.n_selects; i++) ASSERT(is_asked(ast, &plan.selects[i].matchers));
}

static void check_plans(struct ast *ast)
{
    static const struct plan_options frames[] = {
        {.precision = PRECISION_S, .start_ms = 1500, .end_ms = 1500},
        {.precision = PRECISION_MS, .start_ms = -60000, .end_ms = 3600000, .step_ms = 15000},
        {.precision = PRECISION_NS, .start_ms = 0, .end_ms = 9000000000000, .step_ms = 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(frames); i++) check_plan(ast, &frames[i]);
}

static void check_printed(struct ast *ast)
{
    struct strbuf form, tree, form2, tree2;
    struct ast again;

    strbuf_init(&form, 0);
    strbuf_init(&tree, 0);
    strbuf_init(&form2, 0);
    strbuf_init(&tree2, 0);
    ast_init(&again, NULL);
    expr_print(&form, ast->root);
    tree_text(&tree, ast->root);
    ASSERT(!form.failed && !tree.failed);

    /* The form may be longer than a text may be (1e300 has 301 digits), and a sign that it
     * adds may be one level too deep. */
    status st = promql_parse(&again, strbuf_view(&form), NULL, NULL);
    ASSERT(st == ST_OK || st == ST_LIMIT);
    if (st == ST_OK) {
        expr_print(&form2, again.root);
        tree_text(&tree2, again.root);
        ASSERT(slice_eq(strbuf_view(&tree), strbuf_view(&tree2)));
        ASSERT(slice_eq(strbuf_view(&form), strbuf_view(&form2)));
    }
    ast_release(&again);
    strbuf_release(&form);
    strbuf_release(&tree);
    strbuf_release(&form2);
    strbuf_release(&tree2);
}

int fuzz_promql(const uint8_t *src, size_t len)
{
    struct err err = {0};
    struct ast ast;

    ast_init(&ast, NULL);
    status st = promql_parse(&ast, slice_of(src, len), NULL, &err);
    ASSERT(st == ST_OK || st == ST_INVALID || st == ST_LIMIT);
    if (st == ST_OK) {
        ASSERT(ast.root->height <= PARSER_DEPTH_MAX && ast.n_nodes <= PARSER_NODES_MAX);
        ASSERT(ast.root->start <= ast.root->end && ast.root->end <= len);
        check_printed(&ast);
        check_plans(&ast);
    } else {
        ASSERT(err.text[0]);
    }
    ast_release(&ast);
    return 0;
}

FUZZ_ENTRY(fuzz_promql)
