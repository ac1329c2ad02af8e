/* The canonical form: one blank around binary operators, none after commas in braces,
 * matchers sorted by their text, modifiers before the argument of an aggregation, numbers
 * without exponent, durations by the largest exact units.
 *
 * Two things differ from Prometheus, both where its form does not read back as the same
 * tree: a duration that is no multiple of a millisecond prints as seconds, and an infinite
 * base of a power without its plus. A matrix prints its selector without the modifiers and
 * puts them behind the range.
 */
#include "promql/printer.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/duration.h"
#include "base/mem.h"
#include "base/numfmt.h"
#include "base/panic.h"
#include "promql/quote.h"

enum { FIXED_MAX = 400 }; /* numfmt_fixed() needs 350 */

/* ---- scalars -------------------------------------------------------------------- */

static void print_number(struct strbuf *out, double v)
{
    char text[FIXED_MAX];
    strbuf_put(out, text, numfmt_fixed(text, v, sizeof(text)));
}

static void print_ns(struct strbuf *out, int64_t ns)
{
    char text[64];
    uint64_t size = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;

    if (ns < 0) strbuf_char(out, '-');
    if (size % 1000000 == 0) {
        strbuf_put(out, text, duration_print_ms(text, (int64_t)(size / 1000000)));
        return;
    }
    strbuf_printf(out, "%" PRIu64 ".%09" PRIu64, size / 1000000000, size % 1000000000);
}

/* The second's parts apart: the product of all could not hold every nanosecond. */
static void print_literal(struct strbuf *out, double seconds, bool as_duration)
{
    double whole = trunc(seconds), part = round((seconds - whole) * 1e9);

    if (!as_duration || !(fabs(whole) < 9e9)) {
        print_number(out, seconds);
        return;
    }
    if (whole == 0 && part == 0 && signbit(seconds)) strbuf_char(out, '-'); /* 1 / -0s: -Inf */
    print_ns(out, (int64_t)whole * 1000000000 + (int64_t)part);
}

static void print_labels(struct strbuf *out, const struct slice *labels, size_t n)
{
    strbuf_char(out, '(');
    for (size_t i = 0; i < n; i++) {
        if (i > 0) strbuf_str(out, ", ");
        if (label_name_is_plain(labels[i])) strbuf_slice(out, labels[i]);
        else quote_text(out, labels[i]);
    }
    strbuf_char(out, ')');
}

/* ---- durations ------------------------------------------------------------------ */

static void print_duration_expr(struct strbuf *out, const struct duration_expr *d)
{
    static const char *const operators[] = {
        [DUR_ADD] = " + ", [DUR_SUB] = " - ", [DUR_MUL] = " * ",
        [DUR_DIV] = " / ", [DUR_MOD] = " % ", [DUR_POW] = " ^ ",
    };

    if (d->wrapped) strbuf_char(out, '(');
    switch (d->op) {
    case DUR_NUMBER: print_literal(out, d->seconds, d->as_duration); break;
    case DUR_NEG:
        strbuf_char(out, '-');
        print_duration_expr(out, d->left);
        break;
    case DUR_STEP: strbuf_str(out, "step()"); break;
    case DUR_RANGE: strbuf_str(out, "range()"); break;
    case DUR_MIN:
    case DUR_MAX:
        strbuf_str(out, d->op == DUR_MIN ? "min_of(" : "max_of(");
        print_duration_expr(out, d->left);
        strbuf_str(out, ", ");
        print_duration_expr(out, d->right);
        strbuf_char(out, ')');
        break;
    default:
        print_duration_expr(out, d->left);
        strbuf_str(out, operators[d->op]);
        print_duration_expr(out, d->right);
    }
    if (d->wrapped) strbuf_char(out, ')');
}

static void print_duration(struct strbuf *out, const struct duration *d)
{
    if (d->expr) print_duration_expr(out, d->expr);
    else print_ns(out, d->ns);
}

/* ---- modifiers ------------------------------------------------------------------ */

static void print_at(struct strbuf *out, const struct modifiers *mod)
{
    uint64_t ms = mod->at_ms < 0 ? 0 - (uint64_t)mod->at_ms : (uint64_t)mod->at_ms;

    switch (mod->at) {
    case AT_NONE: break;
    case AT_TIME:
        strbuf_printf(out, " @ %s%" PRIu64 ".%03" PRIu64, mod->at_ms < 0 ? "-" : "", ms / 1000,
                      ms % 1000);
        break;
    case AT_START: strbuf_str(out, " @ start()"); break;
    case AT_END: strbuf_str(out, " @ end()"); break;
    }
}

static void print_offset(struct strbuf *out, const struct modifiers *mod)
{
    if (!mod->has_offset) return;
    strbuf_str(out, " offset ");
    print_duration(out, &mod->offset);
}

static void print_extension(struct strbuf *out, const struct vector_expr *vec)
{
    if (vec->anchored) strbuf_str(out, " anchored");
    if (vec->smoothed) strbuf_str(out, " smoothed");
}

/* ---- selectors ------------------------------------------------------------------ */

static void print_matcher(struct strbuf *out, const struct matcher *m)
{
    if (label_name_is_plain(m->name)) strbuf_slice(out, m->name);
    else quote_text(out, m->name);
    strbuf_str(out, match_op_text(m->op));
    quote_text(out, m->value);
}

static int compare_slices(const void *a, const void *b)
{
    const struct slice *left = a, *right = b;
    return slice_cmp(*left, *right);
}

/* The matchers, sorted by their text; the one that the name stands for is left out. */
static void print_braces(struct strbuf *out, const struct vector_expr *vec)
{
    struct strbuf texts;
    size_t n = vec->n_matchers - (vec->name.len > 0);

    if (n == 0 && vec->name.len > 0) return;
    strbuf_init(&texts, 0);
    /* Printed one behind the other, then sorted: ends first, as the buffer moves. */
    size_t *ends = mem_try_array(n + 1, sizeof(*ends));
    struct slice *slices = mem_try_array(n + 1, sizeof(*slices));
    if (!ends || !slices) {
        out->failed = true;
    } else {
        for (size_t i = 0; i < n; i++) {
            print_matcher(&texts, &vec->matchers[i]);
            ends[i] = texts.len;
        }
        for (size_t i = 0, at = 0; i < n && !texts.failed; at = ends[i++])
            slices[i] = slice_of(texts.ptr + at, ends[i] - at);
        qsort(slices, n, sizeof(*slices), compare_slices);
        strbuf_char(out, '{');
        for (size_t i = 0; i < n; i++) {
            if (i > 0) strbuf_char(out, ',');
            strbuf_slice(out, slices[i]);
        }
        strbuf_char(out, '}');
        out->failed |= texts.failed;
    }
    mem_free(ends);
    mem_free(slices);
    strbuf_release(&texts);
}

static void print_vector_bare(struct strbuf *out, const struct vector_expr *vec)
{
    strbuf_slice(out, vec->name);
    print_braces(out, vec);
}

static void print_matrix(struct strbuf *out, const struct matrix_expr *matrix)
{
    const struct vector_expr *vec = &matrix->vec->vec;

    print_vector_bare(out, vec);
    strbuf_char(out, '[');
    print_duration(out, &matrix->range);
    strbuf_char(out, ']');
    print_extension(out, vec);
    print_at(out, &vec->mod);
    print_offset(out, &vec->mod);
}

static void print_subquery(struct strbuf *out, const struct subquery_expr *sub)
{
    expr_print(out, sub->expr);
    strbuf_char(out, '[');
    print_duration(out, &sub->range);
    strbuf_char(out, ':');
    if (sub->has_step) print_duration(out, &sub->step);
    strbuf_char(out, ']');
    print_at(out, &sub->mod);
    print_offset(out, &sub->mod);
}

/* ---- operators and calls ---------------------------------------------------------- */

static void print_fill(struct strbuf *out, const struct vector_matching *m)
{
    static const struct {
        const char *word;
        bool left;
    } sides[] = {{" fill_left (", true}, {" fill_right (", false}};

    /* NaN differs from itself, so both are compared as they print. */
    if (m->has_fill_left && m->has_fill_right && memcmp(&m->fill_left, &m->fill_right, 8) == 0) {
        strbuf_str(out, " fill (");
        print_number(out, m->fill_left);
        strbuf_char(out, ')');
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(sides); i++) {
        if (!(sides[i].left ? m->has_fill_left : m->has_fill_right)) continue;
        strbuf_str(out, sides[i].word);
        print_number(out, sides[i].left ? m->fill_left : m->fill_right);
        strbuf_char(out, ')');
    }
}

static void print_matching(struct strbuf *out, const struct vector_matching *m)
{
    bool grouped = m->card == CARD_MANY_TO_ONE || m->card == CARD_ONE_TO_MANY;

    if (m->n_labels > 0 || m->on || grouped) {
        strbuf_str(out, m->on ? " on " : " ignoring ");
        print_labels(out, m->labels, m->n_labels);
    }
    if (grouped) {
        strbuf_str(out, m->card == CARD_MANY_TO_ONE ? " group_left " : " group_right ");
        print_labels(out, m->include, m->n_include);
    }
    print_fill(out, m);
}

static void print_binary(struct strbuf *out, const struct binary_expr *bin)
{
    /* A sign before a base would be read as the sign of the whole power. */
    bool bare = bin->op == OP_POW && bin->lhs->kind == EXPR_NUMBER && isinf(bin->lhs->number.value);
    if (bare) strbuf_str(out, "Inf");
    else expr_print(out, bin->lhs);
    strbuf_char(out, ' ');
    strbuf_str(out, binary_op_text(bin->op));
    if (bin->return_bool) strbuf_str(out, " bool");
    if (bin->matching) print_matching(out, bin->matching);
    strbuf_char(out, ' ');
    expr_print(out, bin->rhs);
}

static void print_call(struct strbuf *out, const struct call_expr *call)
{
    strbuf_str(out, call->func->name);
    strbuf_char(out, '(');
    for (size_t i = 0; i < call->n_args; i++) {
        if (i > 0) strbuf_str(out, ", ");
        expr_print(out, call->args[i]);
    }
    strbuf_char(out, ')');
}

static void print_aggregate(struct strbuf *out, const struct aggregate_expr *agg)
{
    strbuf_str(out, aggregator_name(agg->op));
    if (agg->without || agg->n_grouping > 0) {
        strbuf_str(out, agg->without ? " without " : " by ");
        print_labels(out, agg->grouping, agg->n_grouping);
        strbuf_char(out, ' ');
    }
    strbuf_char(out, '(');
    if (agg->param) {
        expr_print(out, agg->param);
        strbuf_str(out, ", ");
    }
    expr_print(out, agg->expr);
    strbuf_char(out, ')');
}

void expr_print(struct strbuf *out, const struct expr *e)
{
    switch (e->kind) {
    case EXPR_NUMBER: print_literal(out, e->number.value, e->number.as_duration); break;
    case EXPR_STRING: quote_text(out, e->string); break;
    case EXPR_VECTOR:
        print_vector_bare(out, &e->vec);
        print_at(out, &e->vec.mod);
        print_extension(out, &e->vec);
        print_offset(out, &e->vec.mod);
        break;
    case EXPR_MATRIX: print_matrix(out, &e->matrix); break;
    case EXPR_SUBQUERY: print_subquery(out, &e->subquery); break;
    case EXPR_CALL: print_call(out, &e->call); break;
    case EXPR_AGGREGATE: print_aggregate(out, &e->agg); break;
    case EXPR_BINARY: print_binary(out, &e->bin); break;
    case EXPR_UNARY:
        strbuf_char(out, e->unary.negative ? '-' : '+');
        expr_print(out, e->unary.expr);
        break;
    case EXPR_PAREN:
        strbuf_char(out, '(');
        expr_print(out, e->paren);
        strbuf_char(out, ')');
        break;
    }
}
