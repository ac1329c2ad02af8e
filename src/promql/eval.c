/* Evaluator: who computes which node, kept columns, and the final result.
 *
 * Three ways to ask for a value, by its type: eval_vector() streams columns into a sink,
 * eval_scalar() fills one array, eval_string() points at the text. Ranges are asked for
 * by range functions alone (eval_range.c). What the plan marked invariant is computed in
 * a frame of one step and repeated.
 *
 * Label sets may be the same twice while names wait to be dropped; the end of the query
 * drops them, joins what does not meet at any step, and refuses the rest. Operators that
 * can bring sets together join at once.
 */
#include "promql/eval_priv.h"

#include <stdlib.h>

size_t bit_next(const uint64_t *bits, size_t n, size_t i)
{
    while (i < n) {
        uint64_t word = bits[i / 64] >> (i % 64);
        if (word) {
            i += trailing_zeros(word);
            return i < n ? i : n;
        }
        i = (i / 64 + 1) * 64;
    }
    return n;
}

size_t bit_count(const uint64_t *bits, size_t n)
{
    size_t count = 0;

    for (size_t w = 0; w < bitmap_words(n); w++) {
        count += (size_t)__builtin_popcountll(bits[w]);
    }
    return count;
}

bool bit_any(const uint64_t *bits, size_t n)
{
    for (size_t w = 0; w < bitmap_words(n); w++) {
        if (bits[w]) return true;
    }
    return false;
}

status eval_oom(struct eval *ev)
{
    return err_set(ev->err, ST_NO_MEMORY, "query needs more memory than it may have");
}

/* Values between two polls: a guess, some hundred microseconds' work. */
enum { POLL_VALUES = 65536 };

status eval_work(struct eval *ev, uint64_t n)
{
    ev->n_unpolled += n;
    return ev->n_unpolled < POLL_VALUES ? ST_OK : eval_poll(ev);
}

status eval_poll(struct eval *ev)
{
    ev->n_unpolled = 0;
    return ev->budget ? budget_poll(ev->budget, ev->err) : ST_OK;
}

status eval_hold(struct eval *ev, uint64_t n)
{
    ev->n_held += n;
    if (ev->n_held > ev->n_peak) ev->n_peak = ev->n_held;
    if (ev->budget && ev->budget->samples_max && ev->n_held > ev->budget->samples_max) {
        return err_set(ev->err, ST_LIMIT,
                       "query processing would load too many samples into memory in query "
                       "execution");
    }
    return ST_OK;
}

/* ---- columns ---------------------------------------------------------------------- */

status column_init(struct eval *ev, const struct frame *f, struct column *c)
{
    *c = (struct column){0};
    c->val = arena_try_array(ev->arena, f->n, sizeof(*c->val));
    c->has = arena_try_zero(ev->arena, bitmap_words(f->n) * sizeof(*c->has));
    return c->val && c->has ? ST_OK : eval_oom(ev);
}

status column_need_hist(struct eval *ev, const struct frame *f, struct column *c)
{
    if (c->hist) return ST_OK;
    c->hist = arena_try_zero(ev->arena, f->n * sizeof(*c->hist));
    return c->hist ? ST_OK : eval_oom(ev);
}

status column_drop_name(struct eval *ev, struct column *c)
{
    c->drop_name = true;
    if (ev->delayed) return ST_OK;
    c->labels = labels_without_meta(ev->arena, c->labels);
    return c->labels.n && !c->labels.ptr ? eval_oom(ev) : ST_OK;
}

bool column_drop_hist(const struct frame *f, struct column *c)
{
    bool any = false;

    if (!c->hist) return false;
    for (size_t i = 0; i < f->n; i++) {
        if (!c->hist[i] || !bit_get(c->has, i)) continue;
        bit_clear(c->has, i);
        any = true;
    }
    c->hist = NULL;
    return any;
}

status histogram_keep(struct eval *ev, const struct histogram **h)
{
    *h = histogram_copy(ev->arena, *h);
    return *h ? ST_OK : eval_oom(ev);
}

status matrix_add(struct eval *ev, const struct frame *f, struct matrix *m,
                  const struct column *col)
{
    size_t count = bit_count(col->has, f->n);
    struct column copy;

    if (count == 0) return ST_OK;
    TRY(eval_hold(ev, count));
    if (m->n == m->cap) {
        size_t cap = m->cap ? m->cap * 2 : 8;
        struct column *s = arena_try_array(ev->arena, cap, sizeof(*s));
        if (!s) return eval_oom(ev);
        if (m->n) memcpy(s, m->s, m->n * sizeof(*s));
        m->s = s;
        m->cap = cap;
    }
    TRY(column_init(ev, f, &copy));
    copy.labels = col->labels;
    copy.drop_name = col->drop_name;
    memcpy(copy.val, col->val, f->n * sizeof(*copy.val));
    memcpy(copy.has, col->has, bitmap_words(f->n) * sizeof(*copy.has));
    if (col->hist) {
        TRY(column_need_hist(ev, f, &copy));
        memcpy(copy.hist, col->hist, f->n * sizeof(*copy.hist));
    }
    if (col->hist && col->hist_temp) {
        FOR_EACH_BIT(i, copy.has, f->n) {
            if (copy.hist[i]) TRY(histogram_keep(ev, &copy.hist[i]));
        }
    }
    m->s[m->n++] = copy;
    return ST_OK;
}

struct matrix_sink {
    struct sink sink;
    struct eval *ev;
    const struct frame *frame;
    struct matrix *out;
};

static status matrix_sink_put(struct sink *sink, struct column *col)
{
    struct matrix_sink *s = container_of(sink, struct matrix_sink, sink);

    return matrix_add(s->ev, s->frame, s->out, col);
}

status eval_matrix(struct eval *ev, const struct frame *f, const struct expr *e,
                   struct matrix *out)
{
    struct matrix_sink sink = {{matrix_sink_put}, ev, f, out};

    *out = (struct matrix){0};
    return eval_spread(ev, f, e, &sink.sink);
}

status matrix_put(struct eval *ev, struct matrix *m, struct sink *sink)
{
    for (size_t i = 0; i < m->n; i++) {
        TRY(eval_poll(ev));
        TRY(sink_put(sink, &m->s[i]));
    }
    return ST_OK;
}

/* Moves the values of `from` to `into`; false when both have one at some step. */
static bool column_join(const struct frame *f, struct column *into, const struct column *from)
{
    for (size_t w = 0; w < bitmap_words(f->n); w++) {
        if (into->has[w] & from->has[w]) return false;
        into->has[w] |= from->has[w];
    }
    FOR_EACH_BIT(i, from->has, f->n) {
        into->val[i] = from->val[i];
        if (into->hist) into->hist[i] = column_hist(from, i);
    }
    return true;
}

/* What comes from one selector is in the order of labels, mostly to the end. */
static bool is_ordered(const struct matrix *m)
{
    for (size_t i = 1; i < m->n; i++) {
        if (labels_cmp(m->s[i - 1].labels, m->s[i].labels) >= 0) return false;
    }
    return true;
}

status matrix_join_same(struct eval *ev, const struct frame *f, struct matrix *m)
{
    struct label_groups groups;
    size_t kept = 0;

    if (is_ordered(m)) return ST_OK;
    label_groups_init(&groups, ev->arena, (struct label_filter){0});
    for (size_t i = 0; i < m->n; i++) {
        bool is_new;
        int64_t at = label_groups_add(&groups, m->s[i].labels, &is_new);
        if (at < 0) return eval_oom(ev);
        if (is_new) {
            m->s[kept++] = m->s[i]; /* groups are numbered as they are kept */
            continue;
        }
        if (m->s[i].hist) TRY(column_need_hist(ev, f, &m->s[at]));
        if (!column_join(f, &m->s[at], &m->s[i])) {
            return err_set(ev->err, ST_EXECUTION,
                           "vector cannot contain metrics with the same labelset");
        }
    }
    m->n = kept;
    return ST_OK;
}

/* ---- nodes ------------------------------------------------------------------------ */

#define FUNCTION(name, n_args, args, variadic, ret, experimental, fn) [FUNC_##name] = fn,
static const function_fn function_table[N_FUNCTIONS] = {
#include "promql/functions.def"
};
#undef FUNCTION

/* Repeats a column of one step over the frame. */
struct repeat_sink {
    struct sink sink;
    struct eval *ev;
    const struct frame *frame;
    struct column col;
    struct sink *to;
};

static status repeat_put(struct sink *sink, struct column *col)
{
    struct repeat_sink *s = container_of(sink, struct repeat_sink, sink);
    const struct histogram *h = column_hist(col, 0);
    size_t n = s->frame->n;

    if (!bit_get(col->has, 0)) return ST_OK;
    s->col.labels = col->labels;
    s->col.drop_name = col->drop_name;
    s->col.hist = NULL;
    s->col.hist_temp = col->hist_temp;
    memset(s->col.has, 0, bitmap_words(n) * sizeof(*s->col.has));
    if (h) TRY(column_need_hist(s->ev, s->frame, &s->col));
    for (size_t i = 0; i < n; i++) {
        s->col.val[i] = col->val[0];
        bit_set(s->col.has, i);
        if (h) s->col.hist[i] = h;
    }
    return sink_put(s->to, &s->col);
}

struct negate_sink {
    struct sink sink;
    struct eval *ev;
    const struct frame *frame;
    struct sink *to;
};

static status negate_put(struct sink *sink, struct column *col)
{
    struct negate_sink *s = container_of(sink, struct negate_sink, sink);

    FOR_EACH_BIT(i, col->has, s->frame->n) {
        const struct histogram *h = column_hist(col, i);
        if (h) {
            col->hist[i] = histogram_scaled(&s->ev->hist, h, -1);
            if (!col->hist[i]) return eval_oom(s->ev);
        } else {
            col->val[i] = -col->val[i];
        }
    }
    TRY(column_drop_name(s->ev, col));
    return sink_put(s->to, col);
}

/* Where names go at once, two series can get the same labels at once: then an operator or
 * function fails as soon as they have a value at the same step; a range function and unary
 * minus also when they do not meet. */
struct unique_sink {
    struct sink sink;
    struct eval *ev;
    const struct frame *frame;
    bool strict;
    struct label_groups groups;
    uint64_t **has;
    size_t cap;
    struct sink *to;
};

static status unique_put(struct sink *sink, struct column *col)
{
    struct unique_sink *s = container_of(sink, struct unique_sink, sink);
    struct arena *arena = s->ev->arena;
    size_t words = bitmap_words(s->frame->n);
    bool is_new;
    int64_t at = label_groups_add(&s->groups, col->labels, &is_new);

    if (at < 0) return eval_oom(s->ev);
    if ((size_t)at >= s->cap) {
        size_t cap = s->cap ? s->cap * 2 : 16;
        uint64_t **has = arena_try_array(arena, cap, sizeof(*has));
        if (!has) return eval_oom(s->ev);
        if (at) memcpy(has, s->has, (size_t)at * sizeof(*has));
        s->has = has;
        s->cap = cap;
    }
    if (is_new) s->has[at] = arena_try_zero(arena, words * sizeof(**s->has));
    if (!s->has[at]) return eval_oom(s->ev);
    for (size_t w = 0; w < words; w++) {
        if ((s->strict && !is_new) || (s->has[at][w] & col->has[w])) {
            return err_set(s->ev->err, ST_EXECUTION,
                           "vector cannot contain metrics with the same labelset");
        }
        s->has[at][w] |= col->has[w];
    }
    return sink_put(s->to, col);
}

static status eval_kind(struct eval *ev, const struct frame *f, const struct expr *e,
                        struct sink *sink)
{
    struct negate_sink negate = {{negate_put}, ev, f, sink};

    switch (e->kind) {
    case EXPR_VECTOR: return eval_select(ev, f, e, SELECT_VALUE, sink);
    case EXPR_CALL: return function_table[e->call.func->id](ev, f, e, sink);
    case EXPR_AGGREGATE: return eval_aggregate(ev, f, e, sink);
    case EXPR_BINARY: return eval_binary(ev, f, e, sink);
    case EXPR_UNARY:
        return eval_vector(ev, f, e->unary.expr, e->unary.negative ? &negate.sink : sink);
    case EXPR_PAREN: return eval_vector(ev, f, e->paren, sink);
    case EXPR_NUMBER:
    case EXPR_STRING:
    case EXPR_MATRIX:
    case EXPR_SUBQUERY: break;
    }
    return err_set(ev->err, ST_INTERNAL, "expression is no vector"); /* typecheck prevents it */
}

static status eval_node(struct eval *ev, const struct frame *f, const struct expr *e,
                        struct sink *sink)
{
    bool may_drop = e->kind == EXPR_CALL || e->kind == EXPR_UNARY || e->kind == EXPR_BINARY;

    if (ev->delayed || !may_drop) return eval_kind(ev, f, e, sink);
    struct unique_sink unique = {.sink = {unique_put}, .ev = ev, .frame = f, .to = sink};
    unique.strict = e->kind == EXPR_UNARY;
    for (size_t i = 0; e->kind == EXPR_CALL && i < e->call.n_args; i++) {
        unique.strict = unique.strict || e->call.args[i]->type == KIND_MATRIX;
    }
    label_groups_init(&unique.groups, ev->arena, (struct label_filter){0});
    return eval_kind(ev, f, e, &unique.sink);
}

status eval_vector(struct eval *ev, const struct frame *f, const struct expr *e,
                   struct sink *sink)
{
    if (!e->invariant || f->n == 1) return eval_node(ev, f, e, sink);

    struct frame one = {.start = f->start, .step = f->step, .n = 1};
    struct repeat_sink repeat = {.sink = {repeat_put}, .ev = ev, .frame = f, .to = sink};
    TRY(column_init(ev, f, &repeat.col));
    return eval_node(ev, &one, e, &repeat.sink);
}

struct scalar_sink {
    struct sink sink;
    const struct frame *frame;
    double *out;
};

static status scalar_put(struct sink *sink, struct column *col)
{
    struct scalar_sink *s = container_of(sink, struct scalar_sink, sink);

    memcpy(s->out, col->val, s->frame->n * sizeof(*s->out));
    return ST_OK;
}

static status eval_scalar_node(struct eval *ev, const struct frame *f, const struct expr *e,
                               double *out)
{
    struct scalar_sink sink = {{scalar_put}, f, out};
    double *inner;

    switch (e->kind) {
    case EXPR_NUMBER:
        for (size_t i = 0; i < f->n; i++) out[i] = e->number.value;
        return ST_OK;
    case EXPR_CALL: return function_table[e->call.func->id](ev, f, e, &sink.sink);
    case EXPR_BINARY: return eval_binary_scalar(ev, f, e, out);
    case EXPR_UNARY:
    case EXPR_PAREN:
        TRY(eval_scalar(ev, f, e->kind == EXPR_PAREN ? e->paren : e->unary.expr, &inner));
        for (size_t i = 0; i < f->n; i++) {
            out[i] = e->kind == EXPR_UNARY && e->unary.negative ? -inner[i] : inner[i];
        }
        return ST_OK;
    case EXPR_STRING:
    case EXPR_VECTOR:
    case EXPR_MATRIX:
    case EXPR_SUBQUERY:
    case EXPR_AGGREGATE: break;
    }
    return err_set(ev->err, ST_INTERNAL, "expression is no scalar"); /* typecheck prevents it */
}

status eval_scalar(struct eval *ev, const struct frame *f, const struct expr *e, double **out)
{
    struct frame one = {.start = f->start, .step = f->step, .n = 1};
    double *v = arena_try_array(ev->arena, f->n, sizeof(*v));

    if (!v) return eval_oom(ev);
    TRY(eval_scalar_node(ev, e->invariant ? &one : f, e, v));
    for (size_t i = 1; e->invariant && i < f->n; i++) v[i] = v[0];
    *out = v;
    return ST_OK;
}

struct slice eval_string(const struct expr *e)
{
    while (e->kind == EXPR_PAREN) e = e->paren;
    return e->string;
}

/* ---- the result ------------------------------------------------------------------- */

static int compare_columns(const void *a, const void *b)
{
    return labels_cmp(((const struct column *)a)->labels, ((const struct column *)b)->labels);
}

static status publish_matrix(struct eval *ev, const struct frame *f, struct matrix *m,
                             struct promql_result *out)
{
    for (size_t i = 0; i < m->n; i++) {
        if (!m->s[i].drop_name) continue;
        m->s[i].labels = labels_without_meta(ev->arena, m->s[i].labels);
        if (m->s[i].labels.n && !m->s[i].labels.ptr) return eval_oom(ev);
    }
    TRY(matrix_join_same(ev, f, m));
    if (!out->instant && !is_ordered(m)) qsort(m->s, m->n, sizeof(*m->s), compare_columns);

    out->series = arena_try_array(ev->arena, m->n + 1, sizeof(*out->series));
    if (!out->series) return eval_oom(ev);
    for (size_t i = 0; i < m->n; i++) {
        const struct column *c = &m->s[i];
        out->series[i] = (struct prom_series){.labels = c->labels,
                                              .val = c->val,
                                              .has = c->has,
                                              .hist = c->hist,
                                              .n_samples = bit_count(c->has, f->n)};
    }
    out->n_series = m->n;
    return ST_OK;
}

static status publish_scalar(struct eval *ev, const struct frame *f, const double *v,
                             struct promql_result *out)
{
    struct matrix m = {0};
    struct column col;

    out->scalar = v[0];
    if (out->instant) return ST_OK;
    out->type = KIND_MATRIX;
    TRY(column_init(ev, f, &col));
    memcpy(col.val, v, f->n * sizeof(*v));
    for (size_t i = 0; i < f->n; i++) bit_set(col.has, i);
    TRY(matrix_add(ev, f, &m, &col));
    return publish_matrix(ev, f, &m, out);
}

static status eval_root(struct eval *ev, const struct frame *f, struct promql_result *out)
{
    const struct expr *root = ev->plan->root;
    struct matrix m;
    double *v;

    out->type = root->type;
    switch (root->type) {
    case KIND_SCALAR:
        TRY(eval_scalar(ev, f, root, &v));
        return publish_scalar(ev, f, v, out);
    case KIND_VECTOR:
        if (!out->instant) out->type = KIND_MATRIX;
        TRY(eval_matrix(ev, f, root, &m));
        return publish_matrix(ev, f, &m, out);
    case KIND_STRING:
    case KIND_MATRIX:
        if (!out->instant) {
            return err_set(ev->err, ST_INVALID,
                           "invalid expression type \"%s\" for range query, must be Scalar or "
                           "instant Vector",
                           value_kind_text(root->type));
        }
        if (root->type == KIND_MATRIX) return eval_range_result(ev, f, root, out);
        out->string = eval_string(root);
        return ST_OK;
    case KIND_NONE: break;
    }
    return err_set(ev->err, ST_INTERNAL, "expression has no type");
}

status promql_eval(struct promql_result *out, const struct plan *plan, struct slice text,
                   struct series_set **sets, const struct promql_options *opt,
                   struct arena *arena, struct err *err)
{
    struct eval ev = {
        .plan = plan, .sets = sets, .arena = arena, .hist = {.arena = arena}, .err = err,
        .delayed = true};
    struct frame frame = {.start = plan->start, .step = plan->step, .n = plan->n_steps};
    struct promql_result result = {.instant = plan->instant,
                                   .start = plan->start,
                                   .step = plan->step,
                                   .n_steps = plan->n_steps,
                                   .ticks_per_ms = plan->ticks_per_ms};

    if (opt) {
        ev.budget = opt->budget;
        ev.delayed = !opt->stable;
        ev.exec = opt->exec;
        ev.n_helpers = opt->exec ? opt->n_helpers : 0;
    }
    annotations_init(&ev.annos, arena, text, plan->ticks_per_ms * 1000);
    arena_init(&ev.temp, arena->account, 0);
    status st = eval_poll(&ev);
    if (st == ST_OK) st = eval_root(&ev, &frame, &result);
    arena_release(&ev.temp);
    if (st != ST_OK) return st;
    annotations_texts(&ev.annos, true, &result.warnings, &result.n_warnings);
    annotations_texts(&ev.annos, false, &result.infos, &result.n_infos);
    result.peak_samples = ev.n_peak;
    result.total_samples = ev.n_total;
    if (ev.budget && ev.budget->peak_samples < ev.n_peak) ev.budget->peak_samples = ev.n_peak;
    *out = result;
    return ST_OK;
}
