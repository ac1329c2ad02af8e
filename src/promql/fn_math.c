/* Functions of one value at a time, and between scalars and vectors. Histograms have no
 * such functions: their steps are dropped silently, as Prometheus does.
 */
#include "promql/eval_priv.h"

/* ---- value by value --------------------------------------------------------------- */

enum { MAP_ARGS_MAX = 2 };

/* v is the sample's value, arg the scalar arguments at the step. */
typedef double (*map_fn)(double v, const double *arg);

struct map_sink {
    struct sink sink;
    struct eval *ev;
    const struct frame *frame;
    map_fn fn;
    double *args[MAP_ARGS_MAX];
    size_t n_args;
    struct sink *to;
};

static status map_put(struct sink *sink, struct column *col)
{
    struct map_sink *s = container_of(sink, struct map_sink, sink);
    double arg[MAP_ARGS_MAX] = {0};

    (void)column_drop_hist(s->frame, col);
    FOR_EACH_BIT(i, col->has, s->frame->n) {
        for (size_t k = 0; k < s->n_args; k++) arg[k] = s->args[k][i];
        col->val[i] = s->fn(col->val[i], arg);
    }
    if (!bit_any(col->has, s->frame->n)) return ST_OK;
    TRY(column_drop_name(s->ev, col));
    return sink_put(s->to, col);
}

/* Args after the vector are scalars; one that is left out is `missing`. */
static status map_call(struct eval *ev, const struct frame *f, const struct expr *call,
                       struct sink *sink, map_fn fn, size_t n_args, double missing)
{
    struct map_sink map = {{map_put}, ev, f, fn, {NULL}, n_args, sink};

    for (size_t k = 0; k < n_args; k++) {
        if (k + 1 < call->call.n_args) {
            TRY(eval_scalar(ev, f, call->call.args[k + 1], &map.args[k]));
            continue;
        }
        map.args[k] = arena_try_array(ev->arena, f->n, sizeof(double));
        if (!map.args[k]) return eval_oom(ev);
        for (size_t i = 0; i < f->n; i++) map.args[k][i] = missing;
    }
    return eval_vector(ev, f, call->call.args[0], &map.sink);
}

#define MAP_FUNCTION(name, value)                                                              \
    static double map_##name(double v, const double *arg)                                      \
    {                                                                                          \
        (void)arg;                                                                             \
        return (value);                                                                        \
    }                                                                                          \
    status fn_##name(struct eval *ev, const struct frame *f, const struct expr *call,          \
                     struct sink *sink)                                                        \
    {                                                                                          \
        return map_call(ev, f, call, sink, map_##name, 0, 0);                                  \
    }

#define PI 3.14159265358979323846

MAP_FUNCTION(abs, fabs(v))
MAP_FUNCTION(ceil, ceil(v))
MAP_FUNCTION(floor, floor(v))
MAP_FUNCTION(sgn, v < 0 ? -1 : v > 0 ? 1 : v)
MAP_FUNCTION(sqrt, sqrt(v))
MAP_FUNCTION(exp, exp(v))
MAP_FUNCTION(ln, log(v))
MAP_FUNCTION(log2, log2(v))
MAP_FUNCTION(log10, log10(v))
MAP_FUNCTION(sin, sin(v))
MAP_FUNCTION(cos, cos(v))
MAP_FUNCTION(tan, tan(v))
MAP_FUNCTION(asin, asin(v))
MAP_FUNCTION(acos, acos(v))
MAP_FUNCTION(atan, atan(v))
MAP_FUNCTION(sinh, sinh(v))
MAP_FUNCTION(cosh, cosh(v))
MAP_FUNCTION(tanh, tanh(v))
MAP_FUNCTION(asinh, asinh(v))
MAP_FUNCTION(acosh, acosh(v))
MAP_FUNCTION(atanh, atanh(v))
MAP_FUNCTION(deg, v * 180 / PI)
MAP_FUNCTION(rad, v * PI / 180)

/* Go's Min and Max: the infinity at the end wins, then NaN; -0 is below 0. */
static double go_min(double a, double b)
{
    if (a == -INFINITY || b == -INFINITY) return -INFINITY;
    if (isnan(a) || isnan(b)) return NAN;
    if (a == 0 && b == 0) return signbit(a) ? a : b;
    return a < b ? a : b;
}

static double go_max(double a, double b)
{
    if (a == INFINITY || b == INFINITY) return INFINITY;
    if (isnan(a) || isnan(b)) return NAN;
    if (a == 0 && b == 0) return signbit(a) ? b : a;
    return a > b ? a : b;
}

/* To the nearest multiple, halves up. The inverse avoids the error of dividing by 0.1. */
static double map_round(double v, const double *arg)
{
    double inverse = 1.0 / arg[0];

    return floor(v * inverse + 0.5) / inverse;
}

status fn_round(struct eval *ev, const struct frame *f, const struct expr *call,
                struct sink *sink)
{
    return map_call(ev, f, call, sink, map_round, 1, 1);
}

static double map_clamp(double v, const double *arg)
{
    return go_max(arg[0], go_min(arg[1], v));
}

/* Drops the steps at which the lower bound is above the upper. */
struct clamp_sink {
    struct sink sink;
    const struct frame *frame;
    const double *low, *high;
    struct sink *to;
};

static status clamp_put(struct sink *sink, struct column *col)
{
    struct clamp_sink *s = container_of(sink, struct clamp_sink, sink);

    for (size_t i = 0; i < s->frame->n; i++) {
        if (s->high[i] < s->low[i]) bit_clear(col->has, i);
    }
    return bit_any(col->has, s->frame->n) ? sink_put(s->to, col) : ST_OK;
}

status fn_clamp(struct eval *ev, const struct frame *f, const struct expr *call,
                struct sink *sink)
{
    double *low, *high;

    TRY(eval_scalar(ev, f, call->call.args[1], &low));
    TRY(eval_scalar(ev, f, call->call.args[2], &high));
    struct clamp_sink clamp = {{clamp_put}, f, low, high, sink};
    struct map_sink map = {{map_put}, ev, f, map_clamp, {low, high}, 2, &clamp.sink};
    return eval_vector(ev, f, call->call.args[0], &map.sink);
}

static double map_clamp_min(double v, const double *arg)
{
    return go_max(arg[0], v);
}

static double map_clamp_max(double v, const double *arg)
{
    return go_min(arg[0], v);
}

status fn_clamp_min(struct eval *ev, const struct frame *f, const struct expr *call,
                    struct sink *sink)
{
    return map_call(ev, f, call, sink, map_clamp_min, 1, 0);
}

status fn_clamp_max(struct eval *ev, const struct frame *f, const struct expr *call,
                    struct sink *sink)
{
    return map_call(ev, f, call, sink, map_clamp_max, 1, 0);
}

/* ---- scalars ---------------------------------------------------------------------- */

/* Puts a column without labels that has a value at every step. */
static status put_scalar(struct eval *ev, const struct frame *f, const double *v,
                         struct sink *sink)
{
    struct column col;

    TRY(column_init(ev, f, &col));
    memcpy(col.val, v, f->n * sizeof(*v));
    for (size_t i = 0; i < f->n; i++) bit_set(col.has, i);
    return sink_put(sink, &col);
}

status fn_pi(struct eval *ev, const struct frame *f, const struct expr *call, struct sink *sink)
{
    double *v = arena_try_array(ev->arena, f->n, sizeof(*v));

    (void)call;
    if (!v) return eval_oom(ev);
    for (size_t i = 0; i < f->n; i++) v[i] = PI;
    return put_scalar(ev, f, v, sink);
}

status fn_vector(struct eval *ev, const struct frame *f, const struct expr *call,
                 struct sink *sink)
{
    double *v;

    TRY(eval_scalar(ev, f, call->call.args[0], &v));
    return put_scalar(ev, f, v, sink);
}

static status pair_of(struct eval *ev, const struct frame *f, const struct expr *call,
                      double (*fn)(double, double), struct sink *sink)
{
    double *a, *b;

    TRY(eval_scalar(ev, f, call->call.args[0], &a));
    TRY(eval_scalar(ev, f, call->call.args[1], &b));
    for (size_t i = 0; i < f->n; i++) a[i] = fn(a[i], b[i]);
    return put_scalar(ev, f, a, sink);
}

status fn_min_of(struct eval *ev, const struct frame *f, const struct expr *call,
                 struct sink *sink)
{
    return pair_of(ev, f, call, go_min, sink);
}

status fn_max_of(struct eval *ev, const struct frame *f, const struct expr *call,
                 struct sink *sink)
{
    return pair_of(ev, f, call, go_max, sink);
}

/* The only float of each step, NaN where there is none or more than one. */
struct only_sink {
    struct sink sink;
    const struct frame *frame;
    double *val;
    uint64_t *seen;
};

static status only_put(struct sink *sink, struct column *col)
{
    struct only_sink *s = container_of(sink, struct only_sink, sink);

    (void)column_drop_hist(s->frame, col);
    FOR_EACH_BIT(i, col->has, s->frame->n) {
        s->val[i] = bit_get(s->seen, i) ? NAN : col->val[i];
        bit_set(s->seen, i);
    }
    return ST_OK;
}

status fn_scalar(struct eval *ev, const struct frame *f, const struct expr *call,
                 struct sink *sink)
{
    struct only_sink only = {.sink = {only_put}, .frame = f};

    only.val = arena_try_array(ev->arena, f->n, sizeof(*only.val));
    only.seen = arena_try_zero(ev->arena, bitmap_words(f->n) * sizeof(*only.seen));
    if (!only.val || !only.seen) return eval_oom(ev);
    for (size_t i = 0; i < f->n; i++) only.val[i] = NAN;
    TRY(eval_vector(ev, f, call->call.args[0], &only.sink));
    return put_scalar(ev, f, only.val, sink);
}

/* ---- absent ----------------------------------------------------------------------- */

status absent_labels(struct eval *ev, const struct expr *arg, struct labels *out)
{
    const struct vector_expr *vec;
    struct labels set = {0};

    *out = set;
    while (arg->kind == EXPR_PAREN) arg = arg->paren;
    if (arg->kind == EXPR_VECTOR) vec = &arg->vec;
    else if (arg->kind == EXPR_MATRIX) vec = &arg->matrix.vec->vec;
    else return ST_OK;

    /* In written order: the first = of a name sets it, any other matcher takes it away. */
    for (size_t i = 0; i < vec->n_matchers; i++) {
        const struct matcher *m = &vec->matchers[i];
        bool has = false;
        if (slice_is(m->name, LABEL_NAME)) continue;
        for (size_t k = 0; k < i; k++) {
            has = has || (vec->matchers[k].op == MATCH_EQ &&
                          slice_eq(vec->matchers[k].name, m->name));
        }
        bool sets = m->op == MATCH_EQ && !has;
        set = labels_with(ev->arena, set, m->name, sets ? m->value : SLICE_LIT(""));
        if (!set.ptr) return eval_oom(ev);
    }
    *out = set;
    return ST_OK;
}

struct any_sink {
    struct sink sink;
    const struct frame *frame;
    uint64_t *has;
};

static status any_put(struct sink *sink, struct column *col)
{
    struct any_sink *s = container_of(sink, struct any_sink, sink);

    for (size_t w = 0; w < bitmap_words(s->frame->n); w++) s->has[w] |= col->has[w];
    return ST_OK;
}

status fn_absent(struct eval *ev, const struct frame *f, const struct expr *call,
                 struct sink *sink)
{
    struct any_sink any = {.sink = {any_put}, .frame = f};
    struct column col;

    TRY(column_init(ev, f, &col));
    any.has = arena_try_zero(ev->arena, bitmap_words(f->n) * sizeof(*any.has));
    if (!any.has) return eval_oom(ev);
    TRY(eval_vector(ev, f, call->call.args[0], &any.sink));
    TRY(absent_labels(ev, call->call.args[0], &col.labels));
    for (size_t i = 0; i < f->n; i++) {
        if (bit_get(any.has, i)) continue;
        col.val[i] = 1;
        bit_set(col.has, i);
    }
    return bit_any(col.has, f->n) ? sink_put(sink, &col) : ST_OK;
}
