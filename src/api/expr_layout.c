/* Layout of expressions. promql/printer.h has the words; here is only where lines end. What
 * stands between the parts of a node (modifiers, matching, grouping) is taken out of the
 * printed node, so the two can never say different things.
 *
 * A node is printed once for each node above it that is split: at most the parser's depth
 * times its length of text. */
#include "api/expr_layout.h"

#include <string.h>

#include "promql/printer.h"

enum { LINE_MAX_LEN = 100, INDENT = 2 };

static void put(struct strbuf *out, const struct expr *e, unsigned level);

static void indent(struct strbuf *out, unsigned level)
{
    for (unsigned i = 0; i < level * INDENT; i++) strbuf_char(out, ' ');
}

/* The bytes of e on one line. */
static size_t printed_len(const struct expr *e)
{
    struct strbuf text;
    strbuf_init(&text, 0);
    expr_print(&text, e);
    size_t len = text.len;
    strbuf_release(&text);
    return len;
}

/* sum by (a) (param, expr) */
static void put_aggregate(struct strbuf *out, const struct expr *e, struct slice text,
                          unsigned level)
{
    size_t tail = printed_len(e->agg.expr) + strlen("()");
    if (e->agg.param) tail += printed_len(e->agg.param) + strlen(", ");
    strbuf_put(out, text.ptr, text.len - tail);
    strbuf_str(out, "(\n");
    if (e->agg.param) {
        put(out, e->agg.param, level + 1);
        strbuf_str(out, ",\n");
    }
    put(out, e->agg.expr, level + 1);
    strbuf_char(out, '\n');
    indent(out, level);
    strbuf_char(out, ')');
}

static void put_call(struct strbuf *out, const struct expr *e, unsigned level)
{
    strbuf_str(out, e->call.func->name);
    strbuf_str(out, "(\n");
    for (size_t i = 0; i < e->call.n_args; i++) {
        if (i) strbuf_str(out, ",\n");
        put(out, e->call.args[i], level + 1);
    }
    strbuf_char(out, '\n');
    indent(out, level);
    strbuf_char(out, ')');
}

/* lhs op matching rhs. The printer leaves the plus before an infinite base out, which would
 * be read as the sign of the power: then the base is as it stands there. */
static void put_binary(struct strbuf *out, const struct expr *e, struct slice text,
                       unsigned level)
{
    size_t rhs = printed_len(e->bin.rhs), lhs = printed_len(e->bin.lhs);
    if (text.ptr[lhs] == ' ') {
        put(out, e->bin.lhs, level + 1);
    } else {
        lhs--;
        indent(out, level + 1);
        strbuf_put(out, text.ptr, lhs);
    }
    strbuf_char(out, '\n');
    indent(out, level);
    strbuf_put(out, text.ptr + lhs + 1, text.len - lhs - rhs - 2);
    strbuf_char(out, '\n');
    put(out, e->bin.rhs, level + 1);
}

static void put_split(struct strbuf *out, const struct expr *e, struct slice text, unsigned level)
{
    switch (e->kind) {
    case EXPR_AGGREGATE:
        indent(out, level);
        put_aggregate(out, e, text, level);
        return;
    case EXPR_CALL:
        indent(out, level);
        put_call(out, e, level);
        return;
    case EXPR_BINARY: put_binary(out, e, text, level); return;
    case EXPR_PAREN:
        indent(out, level);
        strbuf_str(out, "(\n");
        put(out, e->paren, level + 1);
        strbuf_char(out, '\n');
        indent(out, level);
        strbuf_char(out, ')');
        return;
    case EXPR_SUBQUERY:
        put(out, e->subquery.expr, level);
        strbuf_slice(out, slice_skip(text, printed_len(e->subquery.expr)));
        return;
    case EXPR_UNARY: {
        /* The operand's own indent stands before the sign. */
        struct strbuf inner;
        strbuf_init(&inner, 0);
        put(&inner, e->unary.expr, level);
        struct slice rest = strbuf_view(&inner);
        while (rest.len && rest.ptr[0] == ' ') rest = slice_skip(rest, 1);
        indent(out, level);
        strbuf_char(out, e->unary.negative ? '-' : '+');
        strbuf_slice(out, rest);
        out->failed |= inner.failed;
        strbuf_release(&inner);
        return;
    }
    case EXPR_NUMBER:
    case EXPR_STRING:
    case EXPR_VECTOR:
    case EXPR_MATRIX: break;
    }
    indent(out, level);
    strbuf_slice(out, text);
}

static void put(struct strbuf *out, const struct expr *e, unsigned level)
{
    struct strbuf text;
    strbuf_init(&text, 0);
    expr_print(&text, e);
    if (text.failed) {
        out->failed = true;
    } else if (text.len > LINE_MAX_LEN) {
        put_split(out, e, strbuf_view(&text), level);
    } else {
        indent(out, level);
        strbuf_slice(out, strbuf_view(&text));
    }
    strbuf_release(&text);
}

void expr_layout(struct strbuf *out, const struct expr *e)
{
    put(out, e, 0);
}
