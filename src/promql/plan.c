/* The plan is made in three walks over the tree, each bounded by the height that the
 * parser allows:
 *
 *   1. durations   every range, resolution, offset and @ becomes query ticks
 *   2. invariants  the roots of the largest subtrees whose value no step changes
 *   3. selects     every selector with the range of samples that it can touch
 *
 * A node is invariant when it is a literal, a selector or subquery whose time is pinned by
 * @, or when all its children are and it is no function of the evaluation time. Walk 3
 * carries the interval of times at which the current subtree is evaluated: the query's
 * own steps at the root, (t - range, t] - offset below a subquery, one instant below an @.
 * All arithmetic saturates: an absurd offset selects nothing instead of overflowing.
 */
#include "promql/plan.h"

#include <math.h>

struct planner {
    struct plan *plan;
    const struct plan_options *opt;
    struct err *err;
    struct matcher *info_matchers; /* room for those of info() calls */
};

/* ---- saturating time -------------------------------------------------------------- */

static int64_t sat_add(int64_t a, int64_t b)
{
    int64_t out;
    if (__builtin_add_overflow(a, b, &out)) return a < 0 ? INT64_MIN : INT64_MAX;
    return out;
}

static int64_t sat_sub(int64_t a, int64_t b)
{
    int64_t out;
    if (__builtin_sub_overflow(a, b, &out)) return a < 0 ? INT64_MIN : INT64_MAX;
    return out;
}

static int64_t sat_mul(int64_t a, int64_t b)
{
    int64_t out;
    if (__builtin_mul_overflow(a, b, &out)) return (a < 0) != (b < 0) ? INT64_MIN : INT64_MAX;
    return out;
}

/* Towards minus infinity; b > 0. */
static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* ---- 1: durations ----------------------------------------------------------------- */

/* Nanoseconds to query ticks, cut towards zero as Prometheus cuts to milliseconds. */
static int64_t ticks_of_ns(const struct planner *pl, int64_t ns)
{
    return ns / (1000000 / pl->plan->ticks_per_ms);
}

/* In seconds. Complains with the position of what divides by zero. */
static status evaluate(const struct planner *pl, double *out, const struct duration_expr *d)
{
    double left = 0, right = 0;

    if (d->left) TRY(evaluate(pl, &left, d->left));
    if (d->right) TRY(evaluate(pl, &right, d->right));
    if ((d->op == DUR_DIV || d->op == DUR_MOD) && right == 0)
        return err_set(pl->err, ST_INVALID, "%u:%u: %s by zero", d->start, d->end,
                       d->op == DUR_DIV ? "division" : "modulo");
    switch (d->op) {
    case DUR_NUMBER: *out = d->seconds; break;
    case DUR_NEG: *out = -left; break;
    case DUR_ADD: *out = left + right; break;
    case DUR_SUB: *out = left - right; break;
    case DUR_MUL: *out = left * right; break;
    case DUR_DIV: *out = left / right; break;
    case DUR_MOD: *out = fmod(left, right); break;
    case DUR_POW: *out = pow(left, right); break;
    case DUR_STEP: *out = (double)pl->plan->interval_ms / 1000; break;
    case DUR_RANGE: *out = (double)(pl->opt->end_ms - pl->opt->start_ms) / 1000; break;
    case DUR_MIN: *out = fmin(left, right); break;
    case DUR_MAX: *out = fmax(left, right); break;
    }
    return ST_OK;
}

static status settle(const struct planner *pl, struct duration *d, bool may_be_negative)
{
    double seconds = 0;

    if (!d->expr) {
        d->ticks = ticks_of_ns(pl, d->ns);
        return ST_OK;
    }
    TRY(evaluate(pl, &seconds, d->expr));
    if (!may_be_negative && !(seconds > 0))
        return err_set(pl->err, ST_INVALID, "%u:%u: duration must be greater than 0",
                       d->expr->start, d->expr->end);
    if (!(seconds < 0x1p63 / 1e9 && seconds > -0x1p63 / 1e9))
        return err_set(pl->err, ST_INVALID, "%u:%u: duration is out of range", d->expr->start,
                       d->expr->end);
    d->ns = (int64_t)(seconds * 1e9);
    d->ticks = (int64_t)round(seconds * 1000 * (double)pl->plan->ticks_per_ms);
    return ST_OK;
}

static status settle_modifiers(const struct planner *pl, struct modifiers *mod)
{
    if (mod->has_offset) TRY(settle(pl, &mod->offset, true));
    else mod->offset.ticks = 0;
    if (mod->at == AT_TIME) mod->at_ticks = sat_mul(mod->at_ms, pl->plan->ticks_per_ms);
    if (mod->at == AT_START) mod->at_ticks = pl->plan->start;
    if (mod->at == AT_END) mod->at_ticks = pl->plan->end;
    return ST_OK;
}

static status settle_subquery(const struct planner *pl, struct subquery_expr *sub)
{
    int64_t step_ms = pl->opt->subquery_step_ms;

    TRY(settle(pl, &sub->range, false));
    if (sub->has_step) TRY(settle(pl, &sub->step, false));
    else sub->step.ticks = sat_mul(step_ms > 0 ? step_ms : PLAN_SUBQUERY_STEP_MS,
                                   pl->plan->ticks_per_ms);
    /* A resolution below a tick would never advance. */
    if (sub->step.ticks < 1) sub->step.ticks = 1;
    return settle_modifiers(pl, &sub->mod);
}

static status settle_tree(const struct planner *pl, struct expr *e)
{
    struct expr *child;

    if (e->kind == EXPR_VECTOR) TRY(settle_modifiers(pl, &e->vec.mod));
    if (e->kind == EXPR_MATRIX) TRY(settle(pl, &e->matrix.range, false));
    if (e->kind == EXPR_SUBQUERY) TRY(settle_subquery(pl, &e->subquery));
    for (size_t i = 0; (child = expr_child(e, i)); i++) TRY(settle_tree(pl, child));
    return ST_OK;
}

/* ---- 2: invariants ---------------------------------------------------------------- */

/* Functions whose value follows the evaluation time even where their arguments do not:
 * Prometheus' list of those that are unsafe with @. info() reads series besides those of
 * its argument. */
static bool follows_time(const struct expr *e)
{
    if (e->kind != EXPR_CALL) return false;
    switch (e->call.func->id) {
    case FUNC_time:
    case FUNC_timestamp:
    case FUNC_start_timestamp:
    case FUNC_predict_linear:
    case FUNC_info:
    case FUNC_minute:
    case FUNC_hour:
    case FUNC_day_of_week:
    case FUNC_day_of_month:
    case FUNC_day_of_year:
    case FUNC_days_in_month:
    case FUNC_month:
    case FUNC_year: return true;
    default: return false;
    }
}

static bool may_be_root(const struct expr *parent, struct expr *e)
{
    if (e->kind == EXPR_NUMBER || e->kind == EXPR_STRING || e->type == KIND_MATRIX) return false;
    if (!parent || parent->kind != EXPR_CALL) return true;
    enum function_id id = parent->call.func->id;
    return (id != FUNC_timestamp && id != FUNC_start_timestamp) ||
           expr_unwrap(e)->kind != EXPR_VECTOR;
}

/* Whether no step changes e's value. When some step does, the children that none changes
 * are roots. */
static bool mark(struct expr *e)
{
    struct expr *child;
    bool all = !follows_time(e);

    e->invariant = false;
    if (e->kind == EXPR_VECTOR) return e->vec.mod.at != AT_NONE;
    for (size_t i = 0; (child = expr_child(e, i)); i++) {
        child->invariant = mark(child);
        all &= child->invariant;
    }
    bool keep = e->kind == EXPR_SUBQUERY || !all;
    for (size_t i = 0; (child = expr_child(e, i)); i++)
        child->invariant = child->invariant && keep && may_be_root(e, child);
    return e->kind == EXPR_SUBQUERY ? e->subquery.mod.at != AT_NONE : all;
}

/* ---- 3: selects ------------------------------------------------------------------- */

/* The times at which a subtree is evaluated, both ends inclusive, and what for. */
struct span {
    ts_time from, to;
    int64_t step;
    const char *func; /* of the hint; may be NULL */
    bool counts;      /* only counts and sums of histograms are looked at ... */
    bool buckets;     /* ... unless something in between wants the buckets */
};

/* The times that are looked at from a span, before any window. */
static struct span apply_modifiers(struct span span, const struct modifiers *mod)
{
    if (mod->at != AT_NONE) span.from = span.to = mod->at_ticks;
    span.from = sat_sub(span.from, mod->offset.ticks);
    span.to = sat_sub(span.to, mod->offset.ticks);
    return span;
}

/* range is NULL for an instant vector. */
static void add_select(struct planner *pl, struct vector_expr *vec, struct span span,
                       const struct duration *range)
{
    struct plan *plan = pl->plan;
    int64_t scale = plan->sample_scale;

    span = apply_modifiers(span, &vec->mod);
    /* (t - window, t]; the extended selectors look for the samples around a range. */
    int64_t window = range ? range->ticks : plan->lookback;
    if (range && (vec->anchored || vec->smoothed)) window = sat_add(window, plan->lookback);
    /* The first histogram's reset is found by looking at the one before it. */
    vec->counts = span.counts && !span.buckets;
    if (vec->counts) window = sat_add(window, plan->lookback);
    ts_time from = sat_sub(span.from, window);
    ts_time to = vec->smoothed ? sat_add(span.to, plan->lookback) : span.to;

    vec->select = plan->n_selects;
    plan->selects[plan->n_selects++] = (struct select){
        .matchers = {vec->matchers, vec->n_matchers},
        .range = {sat_add(floor_div(from, scale), 1), floor_div(to, scale)},
        .hint = {.func = span.func ? slice_str(span.func) : (struct slice){"", 0},
                 .range = range ? range->ticks / scale : 0,
                 .step = span.step / scale},
    };
}

static struct span subquery_span(struct span span, const struct subquery_expr *sub)
{
    int64_t step = sub->step.ticks;

    span = apply_modifiers(span, &sub->mod);
    /* Steps are multiples of the resolution, the first one after the left end. */
    ts_time left = sat_sub(span.from, sub->range.ticks);
    span.from = sat_add(sat_mul(floor_div(left, step), step), step);
    span.step = step;
    span.func = NULL;
    return span;
}

/* ---- info() ----------------------------------------------------------------------- */

/* Finds the first selector under e and moves *t to the time it looks at. */
static bool info_time(const struct expr *e, ts_time *t)
{
    struct expr *child;
    const struct modifiers *mod = e->kind == EXPR_VECTOR     ? &e->vec.mod
                                  : e->kind == EXPR_SUBQUERY ? &e->subquery.mod
                                                             : NULL;
    ts_time at = *t;

    if (mod) at = sat_sub(mod->at == AT_NONE ? at : mod->at_ticks, mod->offset.ticks);
    bool found = e->kind == EXPR_VECTOR;
    for (size_t i = 0; !found && (child = expr_child(e, i)); i++) found = info_time(child, &at);
    if (found) *t = at;
    return found;
}

ts_time plan_info_time(const struct expr *base, ts_time t)
{
    (void)info_time(base, &t); /* without a selector t itself is meant */
    return t;
}

static size_t count_infos(const struct expr *e)
{
    struct expr *child;
    size_t n = e->kind == EXPR_CALL && e->call.func->id == FUNC_info;

    for (size_t i = 0; (child = expr_child(e, i)); i++) n += count_infos(child);
    return n;
}

/* The info series of a call: those that its second argument names, target_info unless that
 * speaks of names itself. */
static void add_info(struct planner *pl, struct expr *call, struct span span)
{
    struct plan *plan = pl->plan;
    const struct vector_expr *vec =
        call->call.n_args > 1 ? &expr_unwrap(call->call.args[1])->vec : NULL;
    size_t n = vec ? vec->n_matchers : 0;
    const struct matcher *matchers = vec ? vec->matchers : NULL;
    bool named = false;

    for (size_t i = 0; i < n; i++) named = named || slice_is(matchers[i].name, LABEL_NAME);
    if (!named) {
        struct matcher *copy = pl->info_matchers;
        pl->info_matchers += n + 1;
        if (n) memcpy(copy, matchers, n * sizeof(*copy));
        copy[n++] = (struct matcher){.op = MATCH_EQ,
                                     .name = SLICE_LIT(LABEL_NAME),
                                     .value = SLICE_LIT("target_info")};
        matchers = copy;
    }
    ts_time from = sat_sub(plan_info_time(call->call.args[0], span.from), plan->lookback);
    ts_time to = plan_info_time(call->call.args[0], span.to);
    call->call.info_select = plan->n_selects;
    plan->selects[plan->n_selects++] = (struct select){
        .matchers = {matchers, n},
        .range = {sat_add(floor_div(from, plan->sample_scale), 1),
                  floor_div(to, plan->sample_scale)},
        .hint = {.func = SLICE_LIT("info"), .step = span.step / plan->sample_scale},
    };
}

/* What a call does with histograms. */
static struct span call_span(struct span span, const struct function *func)
{
    span.func = func->name;
    switch (func->id) {
    case FUNC_histogram_count:
    case FUNC_histogram_sum:
    case FUNC_histogram_avg: span.counts = true; break;
    case FUNC_histogram_quantile:
    case FUNC_histogram_quantiles:
    case FUNC_histogram_fraction: span.buckets = true; break;
    default: break;
    }
    return span;
}

static void gather(struct planner *pl, struct expr *e, struct span span)
{
    struct expr *child;

    switch (e->kind) {
    case EXPR_VECTOR: add_select(pl, &e->vec, span, NULL); return;
    case EXPR_MATRIX: add_select(pl, &e->matrix.vec->vec, span, &e->matrix.range); return;
    case EXPR_SUBQUERY: span = subquery_span(span, &e->subquery); break;
    case EXPR_CALL:
        span = call_span(span, e->call.func);
        if (e->call.func->id != FUNC_info) break;
        gather(pl, e->call.args[0], span);
        add_info(pl, e, span);
        return;
    case EXPR_AGGREGATE: span.func = aggregator_name(e->agg.op); break;
    case EXPR_BINARY:
        span.func = NULL;
        span.counts = span.buckets = false; /* each side for itself */
        break;
    default: break;
    }
    for (size_t i = 0; (child = expr_child(e, i)); i++) gather(pl, child, span);
}

/* ---- the frame ------------------------------------------------------------------ */

static int64_t ticks_of_ms(const struct plan *plan, int64_t ms)
{
    return sat_mul(ms, plan->ticks_per_ms);
}

static status set_frame(struct planner *pl)
{
    const struct plan_options *opt = pl->opt;
    struct plan *plan = pl->plan;
    int64_t lookback_ms = opt->lookback_ms > 0 ? opt->lookback_ms : PLAN_LOOKBACK_MS;

    if (opt->end_ms < opt->start_ms)
        return err_set(pl->err, ST_INVALID, "end timestamp must not be before start time");
    if (opt->step_ms < 0)
        return err_set(pl->err, ST_INVALID,
                       "zero or negative query resolution step widths are not accepted. Try a "
                       "positive integer");
    plan->ticks_per_ms = opt->precision == PRECISION_NS   ? 1000000
                         : opt->precision == PRECISION_US ? 1000
                                                          : 1;
    plan->sample_scale = opt->precision == PRECISION_S ? 1000 : 1;
    if (__builtin_mul_overflow(opt->start_ms, plan->ticks_per_ms, &plan->start) ||
        __builtin_mul_overflow(opt->end_ms, plan->ticks_per_ms, &plan->end))
        return err_set(pl->err, ST_INVALID, "a time of the query does not fit the precision %s",
                       precision_name(opt->precision));
    plan->instant = opt->step_ms == 0;
    plan->interval_ms = opt->step_ms;
    plan->lookback = ticks_of_ms(plan, lookback_ms);
    plan->step = 1;
    plan->n_steps = 1;
    if (plan->instant) {
        plan->end = plan->start;
        return ST_OK;
    }
    plan->step = ticks_of_ms(plan, opt->step_ms);
    plan->n_steps = (size_t)(((uint64_t)plan->end - (uint64_t)plan->start) /
                             (uint64_t)plan->step) + 1;
    return ST_OK;
}

status plan_make(struct plan *out, struct ast *ast, const struct plan_options *opt,
                 struct err *err)
{
    struct plan plan = {.root = ast->root};
    struct planner pl = {.plan = &plan, .opt = opt, .err = err};

    TRY(set_frame(&pl));
    TRY(settle_tree(&pl, ast->root));
    ast->root->invariant = mark(ast->root) && may_be_root(NULL, ast->root);
    size_t n_infos = count_infos(ast->root), n_matchers = n_infos + 1;
    for (size_t i = 0; n_infos && i < ast->n_vectors; i++) {
        n_matchers += ast->vectors[i]->vec.n_matchers;
    }
    plan.selects = arena_try_array(&ast->arena, ast->n_vectors + n_infos + 1,
                                   sizeof(*plan.selects));
    pl.info_matchers = arena_try_array(&ast->arena, n_matchers, sizeof(*pl.info_matchers));
    if (!plan.selects || !pl.info_matchers) {
        return err_set(err, ST_NO_MEMORY, "planning the query");
    }

    /* The last step is not after end, and nothing beyond it is looked at. */
    ts_time last = (ts_time)((uint64_t)plan.start + (plan.n_steps - 1) * (uint64_t)plan.step);
    gather(&pl, ast->root, (struct span){plan.start, last, plan.step, NULL, false, false});
    *out = plan;
    return ST_OK;
}
