/* The type check walks the tree from the left and stops at the first complaint, so the
 * order of checks within a node is part of the contract: Prometheus reports the first one
 * only, and clients compare texts. Depth is bounded by the parser (expr.height).
 */
#include "promql/typecheck.h"

#include <stdio.h>

#include "promql/quote.h"

struct checker {
    uint32_t start;
    struct strbuf *out;
};

static bool check(struct checker *c, struct expr *e);

static bool complain(struct checker *c, uint32_t start, const char *fmt, ...) PRINTF_LIKE(3, 4);

static bool complain(struct checker *c, uint32_t start, const char *fmt, ...)
{
    char text[ERR_TEXT_MAX];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    strbuf_str(c->out, text);
    c->start = start;
    return false;
}

static bool check_type(struct checker *c, struct expr *e, enum value_kind want,
                       const char *where, const char *func)
{
    if (!check(c, e)) return false;
    if (e->type == want) return true;
    return complain(c, e->start, "expected type %s in %s%s%s%s, got %s", value_kind_text(want),
                    where, func ? " \"" : "", func ? func : "", func ? "\"" : "",
                    value_kind_text(e->type));
}

static bool check_aggregate(struct checker *c, struct expr *e)
{
    if (!check_type(c, e->agg.expr, KIND_VECTOR, "aggregation expression", NULL)) return false;
    if (!e->agg.param) return true;
    return check_type(c, e->agg.param, aggregator_param(e->agg.op), "aggregation parameter", NULL);
}

/* ---- binary operators ------------------------------------------------------------- */

static bool check_clauses(struct checker *c, const struct binary_expr *bin)
{
    const struct vector_matching *m = bin->matching;

    if (!m->on) return true;
    for (size_t i = 0; i < m->n_labels; i++) {
        for (size_t j = 0; j < m->n_include; j++) {
            if (!slice_eq(m->labels[i], m->include[j])) continue;
            strbuf_str(c->out, "label ");
            quote_text(c->out, m->labels[i]);
            return complain(c, bin->op_start, " must not occur in ON and GROUP clause at once");
        }
    }
    return true;
}

static bool is_operand(enum value_kind kind)
{
    return kind == KIND_SCALAR || kind == KIND_VECTOR;
}

static bool check_matching(struct checker *c, struct expr *e)
{
    struct binary_expr *bin = &e->bin;
    const struct vector_matching *m = bin->matching;
    bool fill = m->has_fill_left || m->has_fill_right;

    if (bin->lhs->type != KIND_VECTOR || bin->rhs->type != KIND_VECTOR) {
        if (m->n_labels > 0)
            return complain(c, e->start, "vector matching only allowed between instant vectors");
        if (fill)
            return complain(c, e->start,
                            "filling in missing series only allowed between instant vectors");
        bin->matching = NULL;
    } else if (binary_op_is_set(bin->op)) {
        if (m->card != CARD_MANY_TO_MANY)
            return complain(c, e->start, "no grouping allowed for \"%s\" operation",
                            binary_op_text(bin->op));
        if (fill)
            return complain(c, e->start,
                            "filling in missing series not allowed for set operators");
    }
    return true;
}

static bool check_binary(struct checker *c, struct expr *e)
{
    static const char *const operands =
        "binary expression must contain only scalar and instant vector types";
    struct binary_expr *bin = &e->bin;

    if (!check(c, bin->lhs) || !check(c, bin->rhs)) return false;
    enum value_kind left = bin->lhs->type, right = bin->rhs->type;
    bool comparison = binary_op_is_comparison(bin->op), set = binary_op_is_set(bin->op);

    if (bin->return_bool && !comparison)
        return complain(c, bin->op_start, "bool modifier can only be used on comparison operators");
    if (comparison && !bin->return_bool && left == KIND_SCALAR && right == KIND_SCALAR)
        return complain(c, bin->op_start, "comparisons between scalars must use BOOL modifier");
    if (set && bin->matching->card == CARD_ONE_TO_ONE) bin->matching->card = CARD_MANY_TO_MANY;
    if (!check_clauses(c, bin)) return false;
    if (!is_operand(left)) return complain(c, bin->lhs->start, "%s", operands);
    if (!is_operand(right)) return complain(c, bin->rhs->start, "%s", operands);
    if (!check_matching(c, e)) return false;
    if (set && (left == KIND_SCALAR || right == KIND_SCALAR))
        return complain(c, e->start, "set operator \"%s\" not allowed in binary scalar expression",
                        binary_op_text(bin->op));
    return true;
}

/* ---- calls ---------------------------------------------------------------------- */

static bool check_count(struct checker *c, const struct expr *e)
{
    const struct function *func = e->call.func;
    size_t n = e->call.n_args;

    if (func->variadic == 0) {
        if (n == func->n_args) return true;
        return complain(c, e->start, "expected %u argument(s) in call to \"%s\", got %zu",
                        (unsigned)func->n_args, func->name, n);
    }
    size_t least = func->n_args - 1u;
    if (n < least)
        return complain(c, e->start, "expected at least %zu argument(s) in call to \"%s\", got %zu",
                        least, func->name, n);
    if (func->variadic > 0 && n > least + (size_t)func->variadic)
        return complain(c, e->start, "expected at most %zu argument(s) in call to \"%s\", got %zu",
                        least + (size_t)func->variadic, func->name, n);
    return true;
}

/* info(v, {...}): the second argument is a set of label matchers. */
static bool check_info(struct checker *c, const struct expr *e)
{
    if (e->call.func->id != FUNC_info || e->call.n_args < 2) return true;
    struct expr *arg = e->call.args[1];

    if (arg->type != KIND_VECTOR)
        return complain(c, e->start, "expected type %s in call to function \"info\", got %s",
                        value_kind_text(KIND_VECTOR), value_kind_text(arg->type));
    if (arg->kind != EXPR_VECTOR)
        return complain(c, arg->start, "expected label selectors only");
    if (arg->vec.name.len > 0)
        return complain(c, arg->start,
                        "expected label selectors only, got vector selector instead");
    arg->vec.may_be_empty = true;
    return true;
}

static bool check_call(struct checker *c, struct expr *e)
{
    const struct function *func = e->call.func;

    if (!check_count(c, e) || !check_info(c, e)) return false;
    for (size_t i = 0; i < e->call.n_args; i++) {
        enum value_kind want = func->args[i < func->n_args ? i : func->n_args - 1u];
        if (!check_type(c, e->call.args[i], want, "call to function", func->name)) return false;
    }
    return true;
}

/* ---- the rest --------------------------------------------------------------------- */

static bool check_unary(struct checker *c, struct expr *e)
{
    if (!check(c, e->unary.expr)) return false;
    if (is_operand(e->type)) return true;
    return complain(c, e->start,
                    "unary expression only allowed on expressions of type scalar or instant "
                    "vector, got \"%s\"",
                    value_kind_text(e->type));
}

static bool check_subquery(struct checker *c, struct expr *e)
{
    if (!check(c, e->subquery.expr)) return false;
    if (e->subquery.expr->type == KIND_VECTOR) return true;
    return complain(c, e->start, "subquery is only allowed on instant vector, got %s instead",
                    value_kind_name(e->subquery.expr->type));
}

static bool check_vector(struct checker *c, const struct expr *e)
{
    const struct vector_expr *vec = &e->vec;

    if (vec->name.len > 0) {
        for (size_t i = 0; i + 1 < vec->n_matchers; i++) {
            if (!slice_is(vec->matchers[i].name, LABEL_NAME)) continue;
            strbuf_str(c->out, "metric name must not be set twice: ");
            quote_text(c->out, vec->name);
            strbuf_str(c->out, " or ");
            quote_text(c->out, vec->matchers[i].value);
            return complain(c, e->start, "%s", "");
        }
        return true;
    }
    if (vec->may_be_empty) return true;
    for (size_t i = 0; i < vec->n_matchers; i++)
        if (!matcher_accepts(&vec->matchers[i], (struct slice){"", 0})) return true;
    return complain(c, e->start, "vector selector must contain at least one non-empty matcher");
}

static bool check(struct checker *c, struct expr *e)
{
    switch (e->kind) {
    case EXPR_NUMBER:
    case EXPR_STRING: return true;
    case EXPR_VECTOR: return check_vector(c, e);
    case EXPR_MATRIX: return check(c, e->matrix.vec);
    case EXPR_SUBQUERY: return check_subquery(c, e);
    case EXPR_CALL: return check_call(c, e);
    case EXPR_AGGREGATE: return check_aggregate(c, e);
    case EXPR_BINARY: return check_binary(c, e);
    case EXPR_UNARY: return check_unary(c, e);
    case EXPR_PAREN: return check(c, e->paren);
    }
    return true;
}

bool typecheck(struct ast *ast, uint32_t *start, struct strbuf *out)
{
    struct checker c = {.out = out};

    if (check(&c, ast->root)) return true;
    *start = c.start;
    return false;
}
