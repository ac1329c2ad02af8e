/* Binary operators: pairs of values, scalars with scalars, vectors with scalars. Vectors
 * with vectors are joins and live in eval_match.c.
 *
 * Arithmetic changes the meaning of a value, so the name goes; a comparison is a filter
 * and keeps name and value of the left side, unless bool asks for 0 and 1. Where a scalar
 * stands left of a comparison it is still the vector's value that is kept.
 *
 * Histograms meet numbers in * and / and in the trim operators, and each other in +, -, ==
 * and !=; where types do not meet the step is dropped with an info, where bucket layouts do
 * not, with a warning. Trimming keeps the name.
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

/* Histogram and histogram; NULL where they do not meet or memory is refused. */
static const struct histogram *binary_sum(struct eval *ev, const struct expr *e,
                                          const struct histogram *a, const struct histogram *b,
                                          enum hist_outcome *outcome)
{
    bool add = e->bin.op == OP_ADD;
    const char *doing = add ? "addition" : "subtraction";
    struct hist_sum sum = {0};
    struct hist_notes notes = {0};

    *outcome = hist_sum_set(&ev->hist, &sum, a);
    if (*outcome == HIST_DONE) *outcome = hist_sum_add(&ev->hist, &sum, b, add ? 1 : -1, &notes);
    if (*outcome == HIST_MIXED) {
        annotations_warn(&ev->annos, expr_pos(e),
                         "incompatible bucket layout encountered for binary operator %s",
                         binary_op_text(e->bin.op));
    }
    if (*outcome != HIST_DONE) return NULL;
    if (notes.reset_collision) {
        annotations_warn(&ev->annos, expr_pos(e), "conflicting counter resets during histogram %s",
                         doing);
    }
    if (notes.reconciled) {
        annotations_info(&ev->annos, expr_pos(e),
                         "mismatched custom buckets were reconciled during %s", doing);
    }
    if (!add) sum.reset = HIST_GAUGE;
    const struct histogram *out = hist_sum_value(ev->arena, &sum);
    if (!out) *outcome = HIST_REFUSED;
    return out;
}

static bool hist_by_number(enum binary_op op)
{
    return op == OP_MUL || op == OP_DIV || op == OP_TRIM_UPPER || op == OP_TRIM_LOWER;
}

static const struct histogram *binary_by_number(struct eval *ev, enum binary_op op,
                                                const struct histogram *h, double v)
{
    switch (op) {
    case OP_MUL: return histogram_scaled(&ev->hist, h, v);
    case OP_DIV: return histogram_divided(&ev->hist, h, v);
    default: return histogram_trim(&ev->hist, h, v, op == OP_TRIM_UPPER);
    }
}

static void note_types(struct eval *ev, const struct expr *e, bool lhs_hist, bool rhs_hist)
{
    const char *text = binary_op_text(e->bin.op);

    annotations_info(&ev->annos, expr_pos(e),
                     "incompatible sample types encountered for binary operator \"%s\": %s %s %s",
                     text, lhs_hist ? "histogram" : "float", text,
                     rhs_hist ? "histogram" : "float");
}

/* Native histograms: the pairs that have a meaning. */
static status binary_hists(struct eval *ev, const struct expr *e, struct binary_value lhs,
                           struct binary_value rhs, struct binary_pair *out)
{
    enum binary_op op = e->bin.op;
    enum hist_outcome outcome = HIST_DONE;

    out->value = lhs;
    out->keep = true;
    if (lhs.h && rhs.h && (op == OP_EQ || op == OP_NE)) {
        out->keep = histogram_same(lhs.h, rhs.h) == (op == OP_EQ);
        return ST_OK;
    }
    if (lhs.h && rhs.h && (op == OP_ADD || op == OP_SUB)) {
        out->value.h = binary_sum(ev, e, lhs.h, rhs.h, &outcome);
    } else if (lhs.h && !rhs.h && hist_by_number(op)) {
        out->value.h = binary_by_number(ev, op, lhs.h, rhs.v);
        if (!out->value.h) outcome = HIST_REFUSED;
    } else if (!lhs.h && rhs.h && op == OP_MUL) {
        out->value.h = histogram_scaled(&ev->hist, rhs.h, lhs.v);
        if (!out->value.h) outcome = HIST_REFUSED;
    } else {
        note_types(ev, e, lhs.h, rhs.h);
        outcome = HIST_MIXED;
    }
    out->usable = outcome == HIST_DONE;
    return outcome == HIST_REFUSED ? eval_oom(ev) : ST_OK;
}

status binary_pair(struct eval *ev, const struct expr *e, struct binary_value lhs,
                   struct binary_value rhs, struct binary_pair *out)
{
    *out = (struct binary_pair){.usable = true};
    if (lhs.h || rhs.h) return binary_hists(ev, e, lhs, rhs, out);
    if (binary_op_is_trim(e->bin.op)) { /* there is nothing to trim */
        note_types(ev, e, false, false);
        out->usable = false;
        return ST_OK;
    }
    out->value.v = binary_floats(e->bin.op, lhs.v, rhs.v, &out->keep);
    return ST_OK;
}

status eval_binary_scalar(struct eval *ev, const struct frame *f, const struct expr *e,
                          double *out)
{
    double *lhs, *rhs;
    bool keep;

    if (binary_op_is_trim(e->bin.op)) {
        return err_set(ev->err, ST_EXECUTION, "operator \"%s\" not allowed for Scalar operations",
                       binary_op_text(e->bin.op));
    }
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
    struct binary_pair out;

    TRY(binary_pair(s->ev, s->e, s->swapped ? num : vec, s->swapped ? vec : num, &out));
    if (s->swapped && binary_op_is_comparison(s->e->bin.op)) out.value = vec;
    if (s->e->bin.return_bool && out.usable) {
        out.value = (struct binary_value){out.keep, NULL};
        out.keep = true;
    }
    if (!out.keep || !out.usable) {
        bit_clear(col->has, i);
        return ST_OK;
    }
    col->val[i] = out.value.v;
    if (out.value.h) TRY(column_need_hist(s->ev, s->frame, col));
    if (col->hist) col->hist[i] = out.value.h;
    return ST_OK;
}

static status scalar_op_put(struct sink *sink, struct column *col)
{
    struct scalar_op *s = container_of(sink, struct scalar_op, sink);
    bool keeps = binary_op_is_comparison(s->e->bin.op) || binary_op_is_trim(s->e->bin.op);

    FOR_EACH_BIT(i, col->has, s->frame->n) TRY(scalar_op_step(s, col, i));
    if (!bit_any(col->has, s->frame->n)) return ST_OK;
    if (!keeps || s->e->bin.return_bool) TRY(column_drop_name(s->ev, col));
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
