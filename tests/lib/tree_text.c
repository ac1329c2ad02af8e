/* Prints a tree as lists. Written apart from the printer on purpose: a mistake in one
 * must not hide in the other. Depth is bounded by the parser. */
#include "tests/lib/tree_text.h"

#include <inttypes.h>

#include "base/numfmt.h"

static void put_double(struct strbuf *out, double v)
{
    char text[NUMFMT_MAX];
    strbuf_put(out, text, numfmt_go(text, v));
}

static void put_duration_expr(struct strbuf *out, const struct duration_expr *d)
{
    static const char *const names[] = {
        [DUR_NUMBER] = "", [DUR_NEG] = "neg", [DUR_ADD] = "+",    [DUR_SUB] = "-",
        [DUR_MUL] = "*",   [DUR_DIV] = "/",   [DUR_MOD] = "%",    [DUR_POW] = "^",
        [DUR_STEP] = "step", [DUR_RANGE] = "range", [DUR_MIN] = "min", [DUR_MAX] = "max",
    };

    if (d->op == DUR_NUMBER) {
        put_double(out, d->seconds);
        strbuf_str(out, d->as_duration ? "s" : "");
        return;
    }
    strbuf_char(out, d->wrapped ? '{' : '(');
    strbuf_str(out, names[d->op]);
    if (d->left) {
        strbuf_char(out, ' ');
        put_duration_expr(out, d->left);
    }
    if (d->right) {
        strbuf_char(out, ' ');
        put_duration_expr(out, d->right);
    }
    strbuf_char(out, d->wrapped ? '}' : ')');
}

static void put_duration(struct strbuf *out, const struct duration *d)
{
    if (d->expr) {
        put_duration_expr(out, d->expr);
        return;
    }
    put_double(out, (double)d->ns / 1e9);
    strbuf_char(out, 's');
}

static void put_modifiers(struct strbuf *out, const struct modifiers *mod)
{
    if (mod->has_offset) {
        strbuf_str(out, " offset ");
        put_duration(out, &mod->offset);
    }
    if (mod->at == AT_START) strbuf_str(out, " @start");
    if (mod->at == AT_END) strbuf_str(out, " @end");
    if (mod->at == AT_TIME) strbuf_printf(out, " @%" PRId64 "ms", mod->at_ms);
}

static int compare_matchers(const struct matcher *a, const struct matcher *b)
{
    int order = slice_cmp(a->name, b->name);
    if (!order) order = (int)a->op - (int)b->op;
    return order ? order : slice_cmp(a->value, b->value);
}

/* Matchers in a fixed order: the printer sorts them, and their order means nothing. */
static void put_vector(struct strbuf *out, const struct vector_expr *vec)
{
    const struct matcher *last = NULL;

    strbuf_str(out, "(select ");
    strbuf_slice(out, vec->name);
    for (size_t n = 0; n < vec->n_matchers; n++) {
        const struct matcher *best = NULL;
        for (size_t i = 0; i < vec->n_matchers; i++) {
            const struct matcher *m = &vec->matchers[i];
            int after = last ? compare_matchers(m, last) : 1;
            bool eligible = after > 0 || (after == 0 && m > last);
            if (eligible && (!best || compare_matchers(m, best) < 0)) best = m;
        }
        if (!best) break;
        strbuf_char(out, ' ');
        strbuf_slice(out, best->name);
        strbuf_str(out, match_op_text(best->op));
        strbuf_printf(out, "\"" SLICE_FMT "\"", SLICE_ARG(best->value));
        last = best;
    }
    if (vec->anchored) strbuf_str(out, " anchored");
    if (vec->smoothed) strbuf_str(out, " smoothed");
    put_modifiers(out, &vec->mod);
    strbuf_char(out, ')');
}

static void put_labels(struct strbuf *out, const char *word, const struct slice *labels, size_t n)
{
    strbuf_str(out, word);
    for (size_t i = 0; i < n; i++) {
        strbuf_char(out, i ? ',' : '[');
        strbuf_slice(out, labels[i]);
    }
    if (n == 0) strbuf_char(out, '[');
    strbuf_char(out, ']');
}

static void put_binary(struct strbuf *out, const struct binary_expr *bin)
{
    static const char *const cards[] = {"", " group_left", " group_right", " many"};
    const struct vector_matching *m = bin->matching;

    strbuf_char(out, '(');
    strbuf_str(out, binary_op_text(bin->op));
    if (bin->return_bool) strbuf_str(out, " bool");
    if (m) {
        if (m->on || m->n_labels)
            put_labels(out, m->on ? " on" : " ignoring", m->labels, m->n_labels);
        strbuf_str(out, cards[m->card]);
        if (m->n_include) put_labels(out, "", m->include, m->n_include);
        if (m->has_fill_left) strbuf_str(out, " fill_left=");
        if (m->has_fill_left) put_double(out, m->fill_left);
        if (m->has_fill_right) strbuf_str(out, " fill_right=");
        if (m->has_fill_right) put_double(out, m->fill_right);
    }
    strbuf_char(out, ' ');
    tree_text(out, bin->lhs);
    strbuf_char(out, ' ');
    tree_text(out, bin->rhs);
    strbuf_char(out, ')');
}

static void put_list(struct strbuf *out, const struct expr *e, const char *name)
{
    const struct expr *child;

    strbuf_char(out, '(');
    strbuf_str(out, name);
    if (e->kind == EXPR_AGGREGATE && (e->agg.without || e->agg.n_grouping))
        put_labels(out, e->agg.without ? " without" : " by", e->agg.grouping, e->agg.n_grouping);
    for (size_t i = 0; (child = expr_child(e, i)); i++) {
        strbuf_char(out, ' ');
        tree_text(out, child);
    }
    strbuf_char(out, ')');
}

static void put_subquery(struct strbuf *out, const struct subquery_expr *sub)
{
    strbuf_str(out, "(subquery ");
    put_duration(out, &sub->range);
    if (sub->has_step) {
        strbuf_char(out, ':');
        put_duration(out, &sub->step);
    }
    put_modifiers(out, &sub->mod);
    strbuf_char(out, ' ');
    tree_text(out, sub->expr);
    strbuf_char(out, ')');
}

void tree_text(struct strbuf *out, const struct expr *e)
{
    switch (e->kind) {
    case EXPR_NUMBER:
        put_double(out, e->number.value);
        if (e->number.as_duration) strbuf_char(out, 's');
        break;
    case EXPR_STRING: strbuf_printf(out, "\"" SLICE_FMT "\"", SLICE_ARG(e->string)); break;
    case EXPR_VECTOR: put_vector(out, &e->vec); break;
    case EXPR_MATRIX:
        strbuf_str(out, "(matrix ");
        put_duration(out, &e->matrix.range);
        strbuf_char(out, ' ');
        tree_text(out, e->matrix.vec);
        strbuf_char(out, ')');
        break;
    case EXPR_SUBQUERY: put_subquery(out, &e->subquery); break;
    case EXPR_CALL: put_list(out, e, e->call.func->name); break;
    case EXPR_AGGREGATE: put_list(out, e, aggregator_name(e->agg.op)); break;
    case EXPR_BINARY: put_binary(out, &e->bin); break;
    case EXPR_UNARY: put_list(out, e, e->unary.negative ? "-" : "+"); break;
    case EXPR_PAREN: put_list(out, e, "paren"); break;
    }
}
