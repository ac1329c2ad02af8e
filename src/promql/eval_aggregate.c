/* Aggregations that fold: sum, avg, count, min, max, group, stddev, stdvar. Columns are
 * added to their group as they come and are not kept, so memory grows with the groups.
 *
 * Groups are numbered in the order of their first series. A group has, for each step, the
 * running value and what the operator needs beside it: a compensation, a mean, a count.
 * Sums are compensated; a mean turns from a sum to an incremental mean where the sum
 * overflows, step by step (quantile.h).
 *
 * A column of floats is folded 64 steps at a time, a word of its bitmap, where it and the
 * group have all of them: the same operations in the same order, two steps at once.
 *
 * Histograms are counted by count and group, and folded by sum and avg (agg_histogram.c);
 * min, max, stddev and stdvar ignore them with an info. sum and avg of floats and histograms
 * at one step have no value.
 */
#include "promql/agg_histogram_priv.h"
#include "promql/lanes_priv.h"

struct group {
    struct labels labels;
    bool drop_name;
    double *val;
    double *c;             /* compensation */
    double *mean;
    double *n;
    uint64_t *has;         /* floats (for count and group: anything) */
    struct hist_fold **hist; /* sum, avg: the histograms of each step; NULL while there are
                              none at all, and at steps without */
    uint64_t *incremental; /* avg */
};

struct aggregation {
    struct sink sink;
    struct eval *ev;
    const struct frame *frame;
    const struct expr *e;
    struct label_filter filter;
    struct label_groups groups;
    struct group *list;
    size_t cap;
};

static status new_group(struct aggregation *a, size_t at, const struct column *col)
{
    struct eval *ev = a->ev;
    size_t n = a->frame->n, words = bitmap_words(n);
    enum aggregator op = a->e->agg.op;
    struct group *g;

    if (at >= a->cap) {
        size_t cap = a->cap ? a->cap * 2 : 16;
        struct group *list = arena_try_array(ev->arena, cap, sizeof(*list));
        if (!list) return eval_oom(ev);
        if (at) memcpy(list, a->list, at * sizeof(*list));
        a->list = list;
        a->cap = cap;
    }
    g = &a->list[at];
    *g = (struct group){.drop_name = col->drop_name};
    TRY(eval_hold(ev, n));
    g->labels = label_filter_apply(ev->arena, &a->filter, col->labels);
    if (g->labels.n && !g->labels.ptr) return eval_oom(ev);

    bool moments = op == AGGR_STDDEV || op == AGGR_STDVAR;
    bool sums = op == AGGR_SUM || op == AGGR_AVG;
    size_t len = n * sizeof(double);
    g->val = arena_try_zero(ev->arena, len);
    g->has = arena_try_zero(ev->arena, words * 8);
    if (!g->val || !g->has) return eval_oom(ev);
    if (sums && !(g->c = arena_try_zero(ev->arena, len))) return eval_oom(ev);
    if (op == AGGR_AVG || moments) {
        if (!(g->mean = arena_try_zero(ev->arena, len))) return eval_oom(ev);
        if (!(g->n = arena_try_zero(ev->arena, len))) return eval_oom(ev);
    }
    if (op != AGGR_AVG) return ST_OK;
    g->incremental = arena_try_zero(ev->arena, words * 8);
    return g->incremental ? ST_OK : eval_oom(ev);
}

/* ---- folds: one float at one step ------------------------------------------------- */

static void fold_avg(struct group *g, size_t i, double v)
{
    struct mean m;

    if (!bit_get(g->has, i)) mean_first(&m, v);
    else {
        m = (struct mean){.n = g->n[i],
                          .sum = g->val[i],
                          .c = g->c[i],
                          .mean = g->mean[i],
                          .incremental = bit_get(g->incremental, i)};
        mean_add(&m, v);
    }
    g->n[i] = m.n;
    g->val[i] = m.sum;
    g->c[i] = m.c;
    g->mean[i] = m.mean;
    if (m.incremental) bit_set(g->incremental, i);
}

/* Welford. What begins without a finite value has no spread. */
static void fold_moments(struct group *g, size_t i, double v)
{
    if (!bit_get(g->has, i)) {
        g->n[i] = 1;
        g->mean[i] = v;
        g->val[i] = isfinite(v) ? 0 : NAN;
        return;
    }
    g->n[i]++;
    double delta = v - g->mean[i];
    g->mean[i] += delta / g->n[i];
    g->val[i] += delta * (v - g->mean[i]);
}

static void fold(struct aggregation *a, struct group *g, size_t i, double v)
{
    bool first = !bit_get(g->has, i);

    switch (a->e->agg.op) {
    case AGGR_SUM:
        if (first) g->val[i] = v;
        else kahan_add(v, &g->val[i], &g->c[i]);
        break;
    case AGGR_AVG: fold_avg(g, i, v); break;
    case AGGR_MIN:
        if (first || g->val[i] > v || isnan(g->val[i])) g->val[i] = v;
        break;
    case AGGR_MAX:
        if (first || g->val[i] < v || isnan(g->val[i])) g->val[i] = v;
        break;
    case AGGR_STDDEV:
    case AGGR_STDVAR: fold_moments(g, i, v); break;
    case AGGR_COUNT: g->val[i]++; break;
    case AGGR_GROUP: g->val[i] = 1; break;
    case AGGR_TOPK:
    case AGGR_BOTTOMK:
    case AGGR_QUANTILE:
    case AGGR_COUNT_VALUES:
    case AGGR_LIMITK:
    case AGGR_LIMIT_RATIO:
    case N_AGGREGATORS: break; /* eval_topk.c */
    }
    bit_set(g->has, i);
}

/* ---- folds: 64 floats at 64 steps ------------------------------------------------- */

/* Of one word of the bitmaps: n steps from `at` on, all of which the column has, and the group
 * had before. What fold() does, two steps at a time; n is even. */

static void sum_word(struct group *g, size_t at, const double *v, size_t n)
{
    for (size_t i = 0; i < n; i += 2) {
        pair sum = pair_load(g->val + at + i), c = pair_load(g->c + at + i);
        kahan_pair(pair_load(v + i), &sum, &c);
        pair_store(g->val + at + i, sum);
        pair_store(g->c + at + i, c);
    }
}

/* A sum that becomes infinite goes on as an incremental mean. */
static void avg_word(struct group *g, size_t at, const double *v, size_t n)
{
    for (size_t i = 0; i < n; i += 2) {
        pair sum = pair_load(g->val + at + i), c = pair_load(g->c + at + i);
        kahan_pair(pair_load(v + i), &sum, &c);
        if (mask_any(pair_equals(pair_abs(sum), pair_of(INFINITY)))) {
            fold_avg(g, at + i, v[i]);
            fold_avg(g, at + i + 1, v[i + 1]);
            continue;
        }
        pair_store(g->val + at + i, sum);
        pair_store(g->c + at + i, c);
        pair_store(g->n + at + i, pair_load(g->n + at + i) + pair_of(1));
    }
}

static void extreme_word(struct group *g, size_t at, const double *v, size_t n, bool largest)
{
    for (size_t i = 0; i < n; i += 2) {
        pair best = pair_load(g->val + at + i), x = pair_load(v + i);
        pair_mask take = largest ? pair_below(best, x) : pair_below(x, best);
        take |= pair_differs(best, best);
        pair_store(g->val + at + i, pair_choose(take, x, best));
    }
}

static void moments_word(struct group *g, size_t at, const double *v, size_t n)
{
    for (size_t i = 0; i < n; i += 2) {
        pair x = pair_load(v + i), mean = pair_load(g->mean + at + i);
        pair count = pair_load(g->n + at + i) + pair_of(1), delta = x - mean;
        mean += delta / count;
        pair_store(g->n + at + i, count);
        pair_store(g->mean + at + i, mean);
        pair_store(g->val + at + i, pair_load(g->val + at + i) + delta * (x - mean));
    }
}

/* False: one by one, then. */
static bool fold_word(enum aggregator op, struct group *g, size_t w, const double *v, size_t n)
{
    size_t at = w * 64;

    switch (op) {
    case AGGR_SUM: sum_word(g, at, v, n); return true;
    case AGGR_AVG:
        if (g->incremental[w]) return false;
        avg_word(g, at, v, n);
        return true;
    case AGGR_MIN: extreme_word(g, at, v, n, false); return true;
    case AGGR_MAX: extreme_word(g, at, v, n, true); return true;
    case AGGR_STDDEV:
    case AGGR_STDVAR: moments_word(g, at, v, n); return true;
    case AGGR_COUNT:
        for (size_t i = 0; i < n; i++) g->val[at + i]++;
        return true;
    case AGGR_GROUP: return true; /* 1 it is */
    case AGGR_TOPK:
    case AGGR_BOTTOMK:
    case AGGR_QUANTILE:
    case AGGR_COUNT_VALUES:
    case AGGR_LIMITK:
    case AGGR_LIMIT_RATIO:
    case N_AGGREGATORS: break;
    }
    return false;
}

/* A column of floats: a word of steps at once where it and the group have all of them. */
static void fold_floats(struct aggregation *a, struct group *g, const struct column *col)
{
    size_t n = a->frame->n;

    for (size_t w = 0; w < bitmap_words(n); w++) {
        uint64_t bits = col->has[w];
        if (bits == UINT64_MAX && g->has[w] == UINT64_MAX &&
            fold_word(a->e->agg.op, g, w, col->val + w * 64, 64)) {
            continue;
        }
        for (; bits; bits &= bits - 1) {
            size_t i = w * 64 + trailing_zeros(bits);
            fold(a, g, i, col->val[i]);
        }
    }
}

/* ---- folds: histograms ------------------------------------------------------------ */

static status fold_sum(struct aggregation *a, struct group *g, size_t i,
                       const struct column *col)
{
    struct arena *arena = a->ev->arena;

    if (!g->hist) g->hist = arena_try_zero(arena, a->frame->n * sizeof(*g->hist));
    if (!g->hist) return eval_oom(a->ev);
    if (!g->hist[i]) {
        g->hist[i] = arena_try_zero(arena, sizeof(*g->hist[i]));
        if (!g->hist[i]) return eval_oom(a->ev);
        g->hist[i]->is_mean = a->e->agg.op == AGGR_AVG;
    }
    return hist_fold_add(a->ev, g->hist[i], col->hist[i], expr_pos(a->e->agg.expr),
                         labels_get(col->labels, SLICE_LIT(LABEL_NAME)));
}

static status fold_hist(struct aggregation *a, struct group *g, size_t i,
                        const struct column *col)
{
    enum aggregator op = a->e->agg.op;

    if (op == AGGR_SUM || op == AGGR_AVG) return fold_sum(a, g, i, col);
    if (op == AGGR_COUNT || op == AGGR_GROUP) {
        fold(a, g, i, 0);
    } else {
        annotations_info(&a->ev->annos, expr_pos(a->e->agg.expr),
                         "ignored histogram in %s aggregation", aggregator_name(op));
    }
    return ST_OK;
}

static status aggregation_put(struct sink *sink, struct column *col)
{
    struct aggregation *a = container_of(sink, struct aggregation, sink);
    bool is_new;
    int64_t at = label_groups_add(&a->groups, col->labels, &is_new);

    if (at < 0) return eval_oom(a->ev);
    if (is_new) TRY(new_group(a, (size_t)at, col));
    struct group *g = &a->list[at];
    if (!col->hist) {
        fold_floats(a, g, col);
        return ST_OK;
    }
    FOR_EACH_BIT(i, col->has, a->frame->n) {
        if (column_hist(col, i)) TRY(fold_hist(a, g, i, col));
        else fold(a, g, i, col->val[i]);
    }
    return ST_OK;
}

/* ---- finish ----------------------------------------------------------------------- */

static void finish_step(struct aggregation *a, struct group *g, size_t i)
{
    struct mean m;

    switch (a->e->agg.op) {
    case AGGR_SUM:
        if (!isinf(g->val[i])) g->val[i] += g->c[i];
        break;
    case AGGR_AVG:
        m = (struct mean){.n = g->n[i],
                          .sum = g->val[i],
                          .c = g->c[i],
                          .mean = g->mean[i],
                          .incremental = bit_get(g->incremental, i)};
        g->val[i] = mean_value(&m);
        break;
    case AGGR_STDDEV: g->val[i] = sqrt(g->val[i] / g->n[i]); break;
    case AGGR_STDVAR: g->val[i] /= g->n[i]; break;
    case AGGR_COUNT:
    case AGGR_MIN:
    case AGGR_MAX:
    case AGGR_GROUP:
    case AGGR_TOPK:
    case AGGR_BOTTOMK:
    case AGGR_QUANTILE:
    case AGGR_COUNT_VALUES:
    case AGGR_LIMITK:
    case AGGR_LIMIT_RATIO:
    case N_AGGREGATORS: break;
    }
}

/* The steps with histograms: where there are floats too, nothing is left. */
static status finish_hists(struct aggregation *a, struct group *g, struct column *col)
{
    struct text_pos pos = expr_pos(a->e->agg.expr);

    if (!g->hist) return ST_OK;
    TRY(column_need_hist(a->ev, a->frame, col));
    for (size_t i = 0; i < a->frame->n; i++) {
        if (!g->hist[i]) continue;
        if (bit_get(g->has, i)) {
            annotations_warn(&a->ev->annos, pos,
                             "encountered a mix of histograms and floats for aggregation");
            bit_clear(g->has, i);
            continue;
        }
        TRY(hist_fold_finish(a->ev, a->ev->arena, g->hist[i], pos, &col->hist[i]));
        if (col->hist[i]) bit_set(g->has, i);
    }
    return ST_OK;
}

static status finish_group(struct aggregation *a, struct group *g, struct sink *sink)
{
    struct column col = {
        .labels = g->labels, .drop_name = g->drop_name, .val = g->val, .has = g->has};

    FOR_EACH_BIT(i, g->has, a->frame->n) finish_step(a, g, i);
    TRY(finish_hists(a, g, &col));
    return bit_any(g->has, a->frame->n) ? sink_put(sink, &col) : ST_OK;
}

static status aggregate_fold(struct eval *ev, const struct frame *f, const struct expr *e,
                             const struct label_filter *filter, struct sink *sink)
{
    struct aggregation a = {
        .sink = {aggregation_put}, .ev = ev, .frame = f, .e = e, .filter = *filter};

    label_groups_init(&a.groups, ev->arena, *filter);
    TRY(eval_spread(ev, f, e->agg.expr, &a.sink));
    for (size_t i = 0; i < a.groups.n; i++) TRY(finish_group(&a, &a.list[i], sink));
    return ST_OK;
}

status eval_aggregate(struct eval *ev, const struct frame *f, const struct expr *e,
                      struct sink *sink)
{
    struct label_filter filter;

    if (label_filter_init(&filter, ev->arena, e->agg.grouping, e->agg.n_grouping,
                          !e->agg.without,
                          e->agg.without ? SLICE_LIT(LABEL_NAME) : SLICE_LIT("")) != ST_OK) {
        return eval_oom(ev);
    }
    switch (e->agg.op) {
    case AGGR_SUM:
    case AGGR_AVG:
    case AGGR_COUNT:
    case AGGR_MIN:
    case AGGR_MAX:
    case AGGR_GROUP:
    case AGGR_STDDEV:
    case AGGR_STDVAR: return aggregate_fold(ev, f, e, &filter, sink);
    case AGGR_TOPK:
    case AGGR_BOTTOMK:
    case AGGR_LIMITK:
    case AGGR_LIMIT_RATIO: return eval_aggregate_k(ev, f, e, &filter, sink);
    case AGGR_QUANTILE: return eval_aggregate_quantile(ev, f, e, &filter, sink);
    case AGGR_COUNT_VALUES: return eval_aggregate_values(ev, f, e, sink);
    case N_AGGREGATORS: break;
    }
    return err_set(ev->err, ST_INTERNAL, "unknown aggregation");
}
