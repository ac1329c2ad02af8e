/* Binary operators: pairs of values, scalars with scalars, vectors with scalars. Vectors
 * with vectors are joins and live in eval_match.c.
 *
 * Arithmetic changes the meaning of a value, so the name goes; a comparison is a filter
 * and keeps name and value of the left side, unless bool asks for 0 and 1. Where a scalar
 * stands left of a comparison it is still the vector's value that is kept.
 *
 * Histograms meet numbers in * and /, and each other in == and !=; where types do not
 * meet the step is dropped with an info.
 */
#include "promql/eval_priv.h"

double binary_floats(enum binary_op op, double a, double b, bool *keep)
{
    *keep = true;
    switch (op) {
    case OP_ADD: return a + b;
    case OP_SUB: return a - b;
    case OP_MUL: return a * b;
    case OP_DIV: return a / b;
    case OP_MOD: return fmod(a, b);
    case OP_POW: return pow(a, b);
    case OP_ATAN2: return atan2(a, b);
    case OP_EQ: *keep = a == b; return a;
    case OP_NE: *keep = a != b; return a;
    case OP_LT: *keep = a < b; return a;
    case OP_LE: *keep = a <= b; return a;
    case OP_GT: *keep = a > b; return a;
    case OP_GE: *keep = a >= b; return a;
    case OP_AND:
    case OP_OR:
    case OP_UNLESS:
    case OP_TRIM_UPPER:
    case OP_TRIM_LOWER: break;
    }
    *keep = false;
    return a;
}

/* Native histograms: the pairs that have a meaning. *usable is false for the others. */
static bool binary_hists(struct eval *ev, const struct expr *e, struct binary_value lhs,
                         struct binary_value rhs, struct binary_value *out, bool *usable)
{
    enum binary_op op = e->bin.op;
    const char *text = binary_op_text(op);

    *out = lhs;
    if (lhs.h && rhs.h && (op == OP_EQ || op == OP_NE)) {
        return histogram_eq(lhs.h, rhs.h) == (op == OP_EQ);
    }
    if (lhs.h && !rhs.h && (op == OP_MUL || op == OP_DIV)) {
        out->h = op == OP_MUL ? histogram_scaled(ev->arena, lhs.h, rhs.v)
                              : histogram_divided(ev->arena, lhs.h, rhs.v);
        return *usable = out->h != NULL;
    }
    if (!lhs.h && rhs.h && op == OP_MUL) {
        out->h = histogram_scaled(ev->arena, rhs.h, lhs.v);
        return *usable = out->h != NULL;
    }
    *usable = false;
    annotations_info(&ev->annos, expr_pos(e),
                     "incompatible sample types encountered for binary operator \"%s\": %s %s %s",
                     text, lhs.h ? "histogram" : "float", text, rhs.h ? "histogram" : "float");
    return false;
}

bool binary_pair(struct eval *ev, const struct expr *e, struct binary_value lhs,
                 struct binary_value rhs, struct binary_value *out, bool *usable)
{
    bool keep;

    *usable = true;
    if (lhs.h || rhs.h) return binary_hists(ev, e, lhs, rhs, out, usable);
    out->h = NULL;
    out->v = binary_floats(e->bin.op, lhs.v, rhs.v, &keep);
    return keep;
}

status eval_binary_scalar(struct eval *ev, const struct frame *f, const struct expr *e,
                          double *out)
{
    double *lhs, *rhs;
    bool keep;

    TRY(eval_scalar(ev, f, e->bin.lhs, &lhs));
    TRY(eval_scalar(ev, f, e->bin.rhs, &rhs));
    for (size_t i = 0; i < f->n; i++) {
        out[i] = binary_floats(e->bin.op, lhs[i], rhs[i], &keep);
        if (binary_op_is_comparison(e->bin.op)) out[i] = keep; /* they have bool */
    }
    return ST_OK;
}

struct scalar_op {
    struct sink sink;
    struct eval *ev;
    const struct frame *frame;
    const struct expr *e;
    const double *scalar;
    bool swapped;         /* the scalar is on the left */
    struct sink *to;
};

static status scalar_op_step(struct scalar_op *s, struct column *col, size_t i)
{
    struct binary_value vec = {col->val[i], column_hist(col, i)}, num = {s->scalar[i], NULL};
    struct binary_value out;
    bool usable;
    bool keep = binary_pair(s->ev, s->e, s->swapped ? num : vec, s->swapped ? vec : num, &out,
                            &usable);

    if (s->swapped && binary_op_is_comparison(s->e->bin.op)) out = vec;
    if (s->e->bin.return_bool && usable) {
        out = (struct binary_value){keep, NULL};
        keep = true;
    }
    if (!keep || !usable) {
        bit_clear(col->has, i);
        return ST_OK;
    }
    col->val[i] = out.v;
    if (out.h) TRY(column_need_hist(s->ev, s->frame, col));
    if (col->hist) col->hist[i] = out.h;
    return ST_OK;
}

static status scalar_op_put(struct sink *sink, struct column *col)
{
    struct scalar_op *s = container_of(sink, struct scalar_op, sink);
    bool comparison = binary_op_is_comparison(s->e->bin.op);

    FOR_EACH_BIT(i, col->has, s->frame->n) TRY(scalar_op_step(s, col, i));
    if (!bit_any(col->has, s->frame->n)) return ST_OK;
    if (!comparison || s->e->bin.return_bool) TRY(column_drop_name(s->ev, col));
    return sink_put(s->to, col);
}

status eval_binary(struct eval *ev, const struct frame *f, const struct expr *e,
                   struct sink *sink)
{
    bool lhs_scalar = e->bin.lhs->type == KIND_SCALAR;
    double *scalar;

    if (binary_op_is_set(e->bin.op)) return eval_set(ev, f, e, sink);
    if (!lhs_scalar && e->bin.rhs->type != KIND_SCALAR) {
        return eval_vector_vector(ev, f, e, sink);
    }
    TRY(eval_scalar(ev, f, lhs_scalar ? e->bin.lhs : e->bin.rhs, &scalar));
    struct scalar_op op = {{scalar_op_put}, ev, f, e, scalar, lhs_scalar, sink};
    return eval_vector(ev, f, lhs_scalar ? e->bin.rhs : e->bin.lhs, &op.sink);
}
