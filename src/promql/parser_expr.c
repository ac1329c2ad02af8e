/* Expressions: operators by precedence climbing, calls, aggregations, parentheses.
 *
 *     1  or                   left
 *     2  and unless           left
 *     3  == != < <= > >= </ >/  left
 *     4  + -                  left
 *     5  * / % atan2          left, and the unary signs: -2^2 is -(2^2)
 *     6  ^                    right
 *
 * A sign before a number belongs to the number, so that -1 is a literal; what binds
 * tighter than the sign keeps it outside: -1^2 is a unary expression.
 */
#include "promql/parser_priv.h"

#include "base/utf8.h"
#include "promql/quote.h"

enum { PREC_LOWEST = 1, PREC_SIGN = 5, PREC_POW = 6 };

static const struct operator {
    enum binary_op op;
    int precedence; /* 0: no binary operator */
} operators[N_TOKENS] = {
    [TOKEN_OR] = {OP_OR, 1},
    [TOKEN_AND] = {OP_AND, 2},
    [TOKEN_UNLESS] = {OP_UNLESS, 2},
    [TOKEN_EQLC] = {OP_EQ, 3},
    [TOKEN_NEQ] = {OP_NE, 3},
    [TOKEN_LSS] = {OP_LT, 3},
    [TOKEN_LTE] = {OP_LE, 3},
    [TOKEN_GTR] = {OP_GT, 3},
    [TOKEN_GTE] = {OP_GE, 3},
    [TOKEN_TRIM_UPPER] = {OP_TRIM_UPPER, 3},
    [TOKEN_TRIM_LOWER] = {OP_TRIM_LOWER, 3},
    [TOKEN_ADD] = {OP_ADD, 4},
    [TOKEN_SUB] = {OP_SUB, 4},
    [TOKEN_MUL] = {OP_MUL, PREC_SIGN},
    [TOKEN_DIV] = {OP_DIV, PREC_SIGN},
    [TOKEN_MOD] = {OP_MOD, PREC_SIGN},
    [TOKEN_ATAN2] = {OP_ATAN2, PREC_SIGN},
    [TOKEN_POW] = {OP_POW, PREC_POW},
};

static const struct place in_aggregation = {"aggregation", NULL};
static const struct place at_label_list = {"grouping opts", "\"(\""};
static const struct place at_label = {"grouping opts", "label"};
static const struct place after_label = {"grouping opts", "\",\" or \")\""};

static struct expr *parse_binary(struct parser *p, int min_precedence);

/* ---- lists ---------------------------------------------------------------------- */

struct list {
    void *ptr;
    size_t n, cap;
};

/* Room for one more element in an array in the arena. */
static bool list_grow(struct parser *p, struct list *list, size_t size)
{
    if (list->n < list->cap) return true;
    size_t cap = list->cap ? 2 * list->cap : 4;
    void *more = arena_try_array(&p->ast->arena, cap, size);

    if (!more) {
        parser_no_memory(p);
        return false;
    }
    if (list->n) memcpy(more, list->ptr, list->n * size);
    list->ptr = more;
    list->cap = cap;
    return true;
}

static bool take_label(struct parser *p, struct slice *out)
{
    struct token t = *parser_peek(p);

    if (t.kind == TOKEN_STRING) {
        (void)parser_take(p);
        if (!parser_unquote(p, out, &t)) return false;
    } else if (token_is_label(&t)) {
        (void)parser_take(p);
        *out = t.text;
    } else {
        parser_unexpected(p);
        return false;
    }
    if (out->len > 0 && utf8_valid(*out)) return true;

    struct strbuf name;
    strbuf_init(&name, 0);
    quote_text(&name, *out);
    parser_fail(p, ST_INVALID, t.start, "invalid label name for grouping: %s", strbuf_cstr(&name));
    strbuf_release(&name);
    return false;
}

static bool parse_labels_inside(struct parser *p, struct list *labels)
{
    p->place = &at_label;
    while (!parser_accept(p, TOKEN_RPAREN)) {
        struct slice label;
        if (!take_label(p, &label) || !parser_count(p, p->last_end)) return false;
        if (!list_grow(p, labels, sizeof(label))) return false;
        ((struct slice *)labels->ptr)[labels->n++] = label;

        p->place = &after_label;
        if (parser_accept(p, TOKEN_RPAREN)) return true;
        if (!parser_expect(p, TOKEN_COMMA)) return false;
        p->place = &at_label;
    }
    return true;
}

bool parse_label_list(struct parser *p, const struct slice **out, size_t *n)
{
    const struct place *outer = p->place;
    struct list labels = {0};

    p->place = &at_label_list;
    bool ok = parser_expect(p, TOKEN_LPAREN) && parse_labels_inside(p, &labels);
    p->place = outer;
    *out = labels.ptr;
    *n = labels.n;
    return ok;
}

/* ---- calls and aggregations ------------------------------------------------------- */

static bool begins_expr(const struct token *t)
{
    switch (t->kind) {
    case TOKEN_NUMBER:
    case TOKEN_DURATION:
    case TOKEN_STRING:
    case TOKEN_LPAREN:
    case TOKEN_LBRACE:
    case TOKEN_ADD:
    case TOKEN_SUB: return true;
    default: return token_is_metric(t);
    }
}

/* `(a, b)` with arguments. */
static bool parse_args(struct parser *p, struct expr ***out, size_t *n)
{
    struct list args = {0};
    bool ok = parser_expect(p, TOKEN_LPAREN);

    if (ok && parser_accept(p, TOKEN_RPAREN)) {
        *out = NULL;
        *n = 0;
        return true;
    }
    while (ok) {
        struct expr *arg = parse_expr(p);
        if (!arg || !list_grow(p, &args, sizeof(arg))) return false;
        ((struct expr **)args.ptr)[args.n++] = arg;
        if (parser_accept(p, TOKEN_RPAREN)) break;

        uint32_t comma = parser_peek(p)->start;
        ok = parser_expect(p, TOKEN_COMMA);
        if (ok && !begins_expr(parser_peek(p))) {
            parser_fail(p, ST_INVALID, comma, "trailing commas not allowed in function call args");
            return false;
        }
    }
    *out = args.ptr;
    *n = args.n;
    return ok;
}

static struct expr *parse_call(struct parser *p, const struct token *name)
{
    struct expr **args;
    size_t n;

    if (!parse_args(p, &args, &n)) return NULL;
    const struct function *func = function_find(name->text);
    if (!func) {
        parser_fail(p, ST_INVALID, name->start, "unknown function with name \"" SLICE_FMT "\"",
                    SLICE_ARG(name->text));
        return NULL;
    }
    if (func->experimental)
        parser_experimental(p, name->start, "function \"%s\" is not enabled", func->name);
    struct expr *e = parser_node(p, EXPR_CALL, name->start);
    if (!e) return NULL;
    e->call = (struct call_expr){.func = func, .args = args, .n_args = n};
    e->type = func->ret;
    e->end = p->last_end;
    return parser_done(p, e);
}

static bool parse_grouping(struct parser *p, struct aggregate_expr *agg)
{
    if (!parser_is(p, TOKEN_BY) && !parser_is(p, TOKEN_WITHOUT)) return true;
    agg->without = parser_take(p).kind == TOKEN_WITHOUT;
    return parse_label_list(p, &agg->grouping, &agg->n_grouping);
}

static bool is_experimental(enum aggregator op)
{
    static const bool experimental[N_AGGREGATORS] = {
#define AGGREGATOR(id, name, param, is_exp) [id] = is_exp,
#include "promql/aggregators.def"
#undef AGGREGATOR
    };
    return experimental[op];
}

static void assign_args(struct parser *p, struct expr *e, struct expr **args, size_t n)
{
    enum aggregator op = e->agg.op;
    size_t wanted = aggregator_param(op) == KIND_NONE ? 1 : 2;

    if (n == 0) {
        parser_fail(p, ST_INVALID, e->start, "no arguments for aggregate expression provided");
        return;
    }
    if (is_experimental(op))
        parser_experimental(p, e->start,
                            "%s() is experimental and must be enabled with "
                            "--enable-feature=promql-experimental-functions",
                            aggregator_name(op));
    if (n != wanted) {
        parser_fail(p, ST_INVALID, e->start,
                    "wrong number of arguments for aggregate expression provided, "
                    "expected %zu, got %zu",
                    wanted, n);
        return;
    }
    e->agg.param = wanted == 2 ? args[0] : NULL;
    e->agg.expr = args[wanted - 1];
}

static struct expr *parse_aggregate(struct parser *p, const struct token *name)
{
    const struct place *outer = p->place;
    struct expr *e = parser_node(p, EXPR_AGGREGATE, name->start);
    struct expr **args = NULL;
    size_t n = 0;

    if (!e) return NULL;
    e->type = KIND_VECTOR;
    e->agg.op = name->aggregator;
    p->place = &in_aggregation;
    bool modified = !parser_is(p, TOKEN_LPAREN);
    bool ok = parse_grouping(p, &e->agg) && parse_args(p, &args, &n);
    if (ok && !modified) ok = parse_grouping(p, &e->agg);
    p->place = outer;
    if (!ok) return NULL;
    e->end = p->last_end;
    assign_args(p, e, args, n);
    return p->st == ST_OK ? parser_done(p, e) : NULL;
}

/* ---- primaries ------------------------------------------------------------------ */

static struct expr *parse_literal(struct parser *p)
{
    struct token t = parser_take(p);
    struct expr *e = parser_node(p, t.kind == TOKEN_STRING ? EXPR_STRING : EXPR_NUMBER, t.start);
    bool ok;

    if (!e) return NULL;
    e->end = token_end(&t);
    if (t.kind == TOKEN_STRING) {
        e->type = KIND_STRING;
        ok = parser_unquote(p, &e->string, &t);
    } else {
        e->type = KIND_SCALAR;
        e->number.as_duration = t.kind == TOKEN_DURATION;
        ok = t.kind == TOKEN_DURATION ? parse_duration_literal(p, &e->number.value, &t)
                                      : parse_number(p, &e->number.value, &t);
    }
    return ok ? e : NULL;
}

static struct expr *parse_paren(struct parser *p)
{
    struct token open = parser_take(p);
    struct expr *inner = parse_expr(p);

    if (!inner || !parser_expect(p, TOKEN_RPAREN)) return NULL;
    struct expr *e = parser_node(p, EXPR_PAREN, open.start);
    if (!e) return NULL;
    e->paren = inner;
    e->type = inner->type;
    e->end = p->last_end;
    return parser_done(p, e);
}

static bool names_function(const struct token *t)
{
    return t->kind == TOKEN_IDENTIFIER || (t->kind >= TOKEN_START && t->kind <= TOKEN_MAX_OF);
}

/* A name has been read: what follows decides what it is. */
static struct expr *parse_name(struct parser *p)
{
    struct token name = parser_take(p);
    enum token_kind after = parser_peek(p)->kind;

    if (p->st != ST_OK) return NULL;
    if (names_function(&name) && after == TOKEN_LPAREN) return parse_call(p, &name);
    if (name.kind == TOKEN_AGGREGATOR &&
        (after == TOKEN_LPAREN || after == TOKEN_BY || after == TOKEN_WITHOUT))
        return parse_aggregate(p, &name);
    return parse_selector(p, &name);
}

static struct expr *parse_primary(struct parser *p)
{
    const struct token *t = parser_peek(p);

    switch (t->kind) {
    case TOKEN_NUMBER:
    case TOKEN_DURATION:
    case TOKEN_STRING: return parse_literal(p);
    case TOKEN_LPAREN: return parse_paren(p);
    case TOKEN_LBRACE: return parse_selector(p, NULL);
    default: break;
    }
    if (token_is_metric(t)) return parse_name(p);
    parser_unexpected(p);
    return NULL;
}

static struct expr *parse_unary(struct parser *p)
{
    if (!parser_is(p, TOKEN_ADD) && !parser_is(p, TOKEN_SUB)) {
        struct expr *e = parse_primary(p);
        return e ? parse_suffixes(p, e) : NULL;
    }
    struct token sign = parser_take(p);
    struct expr *inner = parse_binary(p, PREC_POW);

    if (!inner) return NULL;
    if (inner->kind == EXPR_NUMBER) {
        if (sign.kind == TOKEN_SUB) inner->number.value *= -1;
        inner->start = sign.start;
        return inner;
    }
    struct expr *e = parser_node(p, EXPR_UNARY, sign.start);
    if (!e) return NULL;
    e->unary = (struct unary_expr){.negative = sign.kind == TOKEN_SUB, .expr = inner};
    e->type = inner->type;
    e->end = inner->end;
    return parser_done(p, e);
}

/* ---- binary operators ------------------------------------------------------------- */

/* (1.5), (-Inf): the value that stands for a missing side. */
static bool parse_fill_value(struct parser *p, double *out)
{
    if (!parser_expect(p, TOKEN_LPAREN)) return false;
    bool negative = parser_is(p, TOKEN_SUB);
    if (negative || parser_is(p, TOKEN_ADD)) (void)parser_take(p);
    if (!parser_is(p, TOKEN_NUMBER)) {
        parser_unexpected(p);
        return false;
    }
    struct token t = parser_take(p);
    if (!parse_number(p, out, &t)) return false;
    if (negative) *out = -*out;
    return parser_expect(p, TOKEN_RPAREN);
}

/* fill(v), or fill_left(v) and fill_right(v) in any order, each once. */
static bool parse_fill(struct parser *p, struct vector_matching *m)
{
    if (parser_accept(p, TOKEN_FILL)) {
        m->has_fill_left = m->has_fill_right = true;
        if (!parse_fill_value(p, &m->fill_left)) return false;
        m->fill_right = m->fill_left;
        return true;
    }
    for (;;) {
        if (!m->has_fill_left && parser_accept(p, TOKEN_FILL_LEFT)) {
            m->has_fill_left = true;
            if (!parse_fill_value(p, &m->fill_left)) return false;
        } else if (!m->has_fill_right && parser_accept(p, TOKEN_FILL_RIGHT)) {
            m->has_fill_right = true;
            if (!parse_fill_value(p, &m->fill_right)) return false;
        } else {
            return p->st == ST_OK;
        }
    }
}

/* The labels behind group_left or group_right, which may be missing: what follows must then be
 * the other operand or a fill modifier. */
static bool parse_include(struct parser *p, struct vector_matching *m)
{
    const struct token *t = parser_peek(p);
    bool missing = begins_expr(t) || t->kind == TOKEN_FILL || t->kind == TOKEN_FILL_LEFT ||
                   t->kind == TOKEN_FILL_RIGHT;

    if (missing && t->kind != TOKEN_LPAREN) return true;
    return parse_label_list(p, &m->include, &m->n_include);
}

static bool parse_matching(struct parser *p, struct vector_matching *m)
{
    if (parser_is(p, TOKEN_ON) || parser_is(p, TOKEN_IGNORING)) {
        m->on = parser_take(p).kind == TOKEN_ON;
        if (!parse_label_list(p, &m->labels, &m->n_labels)) return false;
        if (parser_is(p, TOKEN_GROUP_LEFT) || parser_is(p, TOKEN_GROUP_RIGHT)) {
            bool left = parser_take(p).kind == TOKEN_GROUP_LEFT;
            m->card = left ? CARD_MANY_TO_ONE : CARD_ONE_TO_MANY;
            if (!parse_include(p, m)) return false;
        }
    }
    return parse_fill(p, m);
}

static struct expr *parse_operation(struct parser *p, struct expr *lhs,
                                    const struct operator *operator)
{
    struct token t = parser_take(p);
    struct vector_matching *m = arena_try_zero(&p->ast->arena, sizeof(*m));

    if (!m) {
        parser_no_memory(p);
        return NULL;
    }
    bool return_bool = parser_accept(p, TOKEN_BOOL);
    if (!parse_matching(p, m)) return NULL;
    /* Left-associative but for ^, whose right side may be another ^. */
    int tighter = operator->precedence + (operator->precedence != PREC_POW);
    struct expr *rhs = parse_binary(p, tighter);
    if (!rhs) return NULL;
    if (m->has_fill_left || m->has_fill_right)
        parser_experimental(p, lhs->start,
                            "binop fill modifiers are experimental and not enabled");

    struct expr *e = parser_node(p, EXPR_BINARY, lhs->start);
    if (!e) return NULL;
    e->bin = (struct binary_expr){.op = operator->op, .return_bool = return_bool,
                                  .lhs = lhs, .rhs = rhs, .matching = m,
                                  .op_start = t.start, .op_end = token_end(&t)};
    bool scalar = lhs->type == KIND_SCALAR && rhs->type == KIND_SCALAR;
    e->type = scalar ? KIND_SCALAR : KIND_VECTOR;
    e->end = rhs->end;
    return parser_done(p, e);
}

static struct expr *parse_binary(struct parser *p, int min_precedence)
{
    if (!parser_enter(p, parser_peek(p)->start)) return NULL;
    struct expr *e = parse_unary(p);

    while (e) {
        const struct operator *operator = &operators[parser_peek(p)->kind];
        if (operator->precedence == 0 || operator->precedence < min_precedence) break;
        e = parse_operation(p, e, operator);
    }
    parser_leave(p);
    return p->st == ST_OK ? e : NULL;
}

struct expr *parse_expr(struct parser *p)
{
    return parse_binary(p, PREC_LOWEST);
}
