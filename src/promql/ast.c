/* Nodes, the table of functions, and small questions about both. The tables come from
 * functions.def and aggregators.def; nothing here knows the grammar.
 */
#include "promql/ast.h"

#include "base/panic.h"

enum { AST_BLOCK_LEN = 4096 }; /* a guess: most queries have fewer than 20 nodes */

const struct function functions[N_FUNCTIONS] = {
#define FUNCTION(fname, fn_args, fargs, fvariadic, fret, fexperimental, cfunction)             \
    [FUNC_##fname] = {.name = #fname,                                                          \
                      .id = FUNC_##fname,                                                      \
                      .n_args = (fn_args),                                                     \
                      .args = fargs,                                                           \
                      .variadic = (fvariadic),                                                 \
                      .ret = (fret),                                                           \
                      .experimental = (fexperimental)},
#include "promql/functions.def"
#undef FUNCTION
};

const struct function *function_find(struct slice name)
{
    for (size_t i = 0; i < N_FUNCTIONS; i++)
        if (slice_is(name, functions[i].name)) return &functions[i];
    return NULL;
}

/* ---- the tree ------------------------------------------------------------------- */

void ast_init(struct ast *ast, struct account *account)
{
    *ast = (struct ast){0};
    arena_init(&ast->arena, account, AST_BLOCK_LEN);
}

void ast_release(struct ast *ast)
{
    for (size_t i = 0; i < ast->n_vectors; i++) {
        struct vector_expr *vec = &ast->vectors[i]->vec;
        for (size_t m = 0; m < vec->n_matchers; m++) matcher_release(&vec->matchers[m]);
        vec->n_matchers = 0;
    }
    arena_release(&ast->arena);
    *ast = (struct ast){0};
}

static bool vectors_push(struct ast *ast, struct expr *e)
{
    if (ast->n_vectors == ast->cap_vectors) {
        size_t cap = ast->cap_vectors ? 2 * ast->cap_vectors : 8;
        struct expr **more = arena_try_array(&ast->arena, cap, sizeof(struct expr *));

        if (!more) return false;
        if (ast->n_vectors) memcpy(more, ast->vectors, ast->n_vectors * sizeof(struct expr *));
        ast->vectors = more;
        ast->cap_vectors = cap;
    }
    ast->vectors[ast->n_vectors++] = e;
    return true;
}

struct expr *ast_node(struct ast *ast, enum expr_kind kind)
{
    struct expr *e = arena_try_zero(&ast->arena, sizeof(*e));

    if (!e) return NULL;
    e->kind = kind;
    e->height = 1;
    if (kind == EXPR_VECTOR && !vectors_push(ast, e)) return NULL;
    ast->n_nodes++;
    return e;
}

void expr_measure(struct expr *e)
{
    const struct expr *child;

    e->height = 1;
    for (size_t i = 0; (child = expr_child(e, i)); i++)
        if (child->height >= e->height) e->height = (uint16_t)(child->height + 1);
}

struct expr *expr_unwrap(struct expr *e)
{
    while (e->kind == EXPR_PAREN) e = e->paren;
    return e;
}

struct expr *expr_child(const struct expr *e, size_t i)
{
    switch (e->kind) {
    case EXPR_NUMBER:
    case EXPR_STRING:
    case EXPR_VECTOR: return NULL;
    case EXPR_MATRIX: return i == 0 ? e->matrix.vec : NULL;
    case EXPR_SUBQUERY: return i == 0 ? e->subquery.expr : NULL;
    case EXPR_CALL: return i < e->call.n_args ? e->call.args[i] : NULL;
    case EXPR_AGGREGATE:
        if (!e->agg.param) return i == 0 ? e->agg.expr : NULL;
        return i == 0 ? e->agg.param : i == 1 ? e->agg.expr : NULL;
    case EXPR_BINARY: return i == 0 ? e->bin.lhs : i == 1 ? e->bin.rhs : NULL;
    case EXPR_UNARY: return i == 0 ? e->unary.expr : NULL;
    case EXPR_PAREN: return i == 0 ? e->paren : NULL;
    }
    PANIC("expression of kind %d", (int)e->kind);
}

/* ---- names ---------------------------------------------------------------------- */

const char *value_kind_name(enum value_kind kind)
{
    static const char *const names[] = {
        [KIND_NONE] = "none",     [KIND_SCALAR] = "scalar", [KIND_VECTOR] = "vector",
        [KIND_MATRIX] = "matrix", [KIND_STRING] = "string",
    };
    return names[kind];
}

const char *value_kind_text(enum value_kind kind)
{
    if (kind == KIND_VECTOR) return "instant vector";
    if (kind == KIND_MATRIX) return "range vector";
    return value_kind_name(kind);
}

const char *binary_op_text(enum binary_op op)
{
    static const char *const texts[] = {
        [OP_ADD] = "+",         [OP_SUB] = "-",         [OP_MUL] = "*",  [OP_DIV] = "/",
        [OP_MOD] = "%",         [OP_POW] = "^",         [OP_EQ] = "==",  [OP_NE] = "!=",
        [OP_LT] = "<",          [OP_LE] = "<=",         [OP_GT] = ">",   [OP_GE] = ">=",
        [OP_AND] = "and",       [OP_OR] = "or",         [OP_UNLESS] = "unless",
        [OP_ATAN2] = "atan2",   [OP_TRIM_UPPER] = "</", [OP_TRIM_LOWER] = ">/",
    };
    return texts[op];
}

bool binary_op_is_trim(enum binary_op op)
{
    return op == OP_TRIM_UPPER || op == OP_TRIM_LOWER;
}

bool binary_op_is_comparison(enum binary_op op)
{
    return op >= OP_EQ && op <= OP_GE;
}

bool binary_op_is_set(enum binary_op op)
{
    return op >= OP_AND && op <= OP_UNLESS;
}

static const struct {
    const char *name;
    enum value_kind param;
} aggregators[N_AGGREGATORS] = {
#define AGGREGATOR(id, aname, aparam, experimental) [id] = {aname, aparam},
#include "promql/aggregators.def"
#undef AGGREGATOR
};

const char *aggregator_name(enum aggregator op)
{
    return aggregators[op].name;
}

enum value_kind aggregator_param(enum aggregator op)
{
    return aggregators[op].param;
}
