/* Aggregations over a range: one value from the samples of a window. Sums and means are
 * compensated as Prometheus' are (quantile.h). Functions of floats ignore histograms, and
 * say so when the window has both. over_time_columns.c has the same for whole columns.
 */
#include "promql/agg_histogram_priv.h"
#include "promql/over_time_priv.h"

/* false when there are no floats to look at. */
static bool floats_only(struct range_call *rc, const struct window *w)
{
    if (w->n == 0) return false;
    range_ignored_hist(rc, w);
    return true;
}

/* Sums and means mix nothing: a window with both kinds has no value. */
static bool mixed_kinds(struct range_call *rc, const struct window *w)
{
    if (w->n == 0 || w->hn == 0) return false;
    annotations_warn(&rc->ev->annos, rc->pos,
                     "encountered a mix of histograms and floats for metric name %s",
                     range_metric(rc));
    return true;
}

static bool fold_hists(struct range_call *rc, const struct window *w, bool is_mean,
                       struct range_out *out)
{
    struct eval *ev = rc->ev;
    struct slice metric = labels_get(rc->labels, SLICE_LIT(LABEL_NAME));
    status st = ST_OK;

    if (!ev->fold) ev->fold = arena_try_zero(ev->arena, sizeof(*ev->fold));
    if (ev->fold) {
        hist_fold_reset(ev->fold);
        ev->fold->is_mean = is_mean;
    } else {
        st = ST_NO_MEMORY;
    }
    for (size_t i = 0; st == ST_OK && i < w->hn; i++) {
        st = hist_fold_add(ev, ev->fold, w->h[i], rc->pos, metric);
    }
    if (st == ST_OK) st = hist_fold_finish(ev, &ev->temp, ev->fold, rc->pos, &out->hist);
    if (st != ST_OK) rc->failed = true;
    return out->hist != NULL;
}

static bool avg_over_time_kernel(struct range_call *rc, const struct window *w,
                                 struct range_out *out)
{
    struct mean m;

    if (mixed_kinds(rc, w)) return false;
    if (w->hn) return fold_hists(rc, w, true, out);
    mean_first(&m, w->v[0]);
    for (size_t i = 1; i < w->n; i++) mean_add(&m, w->v[i]);
    out->val = mean_value(&m);
    return true;
}

static bool sum_over_time_kernel(struct range_call *rc, const struct window *w,
                                 struct range_out *out)
{
    double sum = 0, c = 0;

    if (mixed_kinds(rc, w)) return false;
    if (w->hn) return fold_hists(rc, w, false, out);
    for (size_t i = 0; i < w->n; i++) kahan_add(w->v[i], &sum, &c);
    out->val = isinf(sum) ? sum : sum + c;
    return true;
}

/* The index of the smallest or largest value that is not NaN, the last of equals or the
 * first; 0 when all are NaN. */
static size_t extreme(const struct window *w, bool largest, bool last)
{
    size_t at = 0;

    for (size_t i = 1; i < w->n; i++) {
        double v = w->v[i], best = w->v[at];
        bool better = largest ? v > best : v < best;
        if (better || isnan(best) || (last && v == best)) at = i;
    }
    return at;
}

static bool min_over_time_kernel(struct range_call *rc, const struct window *w,
                                 struct range_out *out)
{
    if (!floats_only(rc, w)) return false;
    out->val = w->v[extreme(w, false, false)];
    return true;
}

static bool max_over_time_kernel(struct range_call *rc, const struct window *w,
                                 struct range_out *out)
{
    if (!floats_only(rc, w)) return false;
    out->val = w->v[extreme(w, true, false)];
    return true;
}

static bool ts_of_min_over_time_kernel(struct range_call *rc, const struct window *w,
                                       struct range_out *out)
{
    if (!floats_only(rc, w)) return false;
    out->val = plan_seconds(rc->ev->plan, w->t[extreme(w, false, true)]);
    return true;
}

static bool ts_of_max_over_time_kernel(struct range_call *rc, const struct window *w,
                                       struct range_out *out)
{
    if (!floats_only(rc, w)) return false;
    out->val = plan_seconds(rc->ev->plan, w->t[extreme(w, true, true)]);
    return true;
}

static bool count_over_time_kernel(struct range_call *rc, const struct window *w,
                                   struct range_out *out)
{
    (void)rc;
    out->val = (double)(w->n + w->hn);
    return true;
}

static bool present_over_time_kernel(struct range_call *rc, const struct window *w,
                                     struct range_out *out)
{
    (void)rc;
    (void)w;
    out->val = 1;
    return true;
}

static bool stddev_over_time_kernel(struct range_call *rc, const struct window *w,
                                    struct range_out *out)
{
    if (!floats_only(rc, w)) return false;
    out->val = sqrt(variance_of(w->v, w->n));
    return true;
}

static bool stdvar_over_time_kernel(struct range_call *rc, const struct window *w,
                                    struct range_out *out)
{
    if (!floats_only(rc, w)) return false;
    out->val = variance_of(w->v, w->n);
    return true;
}

static bool hist_is_first(const struct window *w)
{
    return w->hn && (w->n == 0 || w->ht[0] < w->t[0]);
}

static bool hist_is_last(const struct window *w)
{
    return w->hn && (w->n == 0 || w->ht[w->hn - 1] > w->t[w->n - 1]);
}

static bool last_over_time_kernel(struct range_call *rc, const struct window *w,
                                  struct range_out *out)
{
    (void)rc;
    if (hist_is_last(w)) out->hist = w->h[w->hn - 1];
    else out->val = w->v[w->n - 1];
    return true;
}

static bool first_over_time_kernel(struct range_call *rc, const struct window *w,
                                   struct range_out *out)
{
    (void)rc;
    if (hist_is_first(w)) out->hist = w->h[0];
    else out->val = w->v[0];
    return true;
}

static bool ts_of_last_over_time_kernel(struct range_call *rc, const struct window *w,
                                        struct range_out *out)
{
    out->val = plan_seconds(rc->ev->plan, hist_is_last(w) ? w->ht[w->hn - 1] : w->t[w->n - 1]);
    return true;
}

static bool ts_of_first_over_time_kernel(struct range_call *rc, const struct window *w,
                                         struct range_out *out)
{
    out->val = plan_seconds(rc->ev->plan, hist_is_first(w) ? w->ht[0] : w->t[0]);
    return true;
}

static bool quantile_over_time_kernel(struct range_call *rc, const struct window *w,
                                      struct range_out *out)
{
    double q = rc->args[0];
    char text[40];

    if (w->n == 0) return false;
    if (isnan(q) || q < 0 || q > 1) {
        annotations_warn(&rc->ev->annos, rc->pos,
                         "quantile value should be between 0 and 1, got %s", go_float(text, q));
    }
    range_ignored_hist(rc, w);
    memcpy(rc->scratch, w->v, w->n * sizeof(*w->v));
    out->val = quantile_of(q, rc->scratch, w->n);
    return true;
}

/* The median of the distances from the median; NaN when a sample is. */
static bool mad_over_time_kernel(struct range_call *rc, const struct window *w,
                                 struct range_out *out)
{
    if (!floats_only(rc, w)) return false;
    memcpy(rc->scratch, w->v, w->n * sizeof(*w->v));
    double median = quantile_of(0.5, rc->scratch, w->n);
    if (isnan(rc->scratch[0])) { /* sorted: NaN first */
        out->val = NAN;
        return true;
    }
    for (size_t i = 0; i < w->n; i++) rc->scratch[i] = fabs(rc->scratch[i] - median);
    out->val = quantile_of(0.5, rc->scratch, w->n);
    return true;
}

RANGE_FUNCTION(avg_over_time, .columns = avg_columns)
RANGE_FUNCTION(sum_over_time, .columns = sum_columns)
RANGE_FUNCTION(min_over_time, .columns = min_columns)
RANGE_FUNCTION(max_over_time, .columns = max_columns)
RANGE_FUNCTION(count_over_time, .columns = samples_columns)
RANGE_FUNCTION(present_over_time, .columns = present_columns)
RANGE_FUNCTION(stddev_over_time, .columns = stddev_columns)
RANGE_FUNCTION(stdvar_over_time, .columns = stdvar_columns)
RANGE_FUNCTION(last_over_time, .keeps_name = true, .columns = last_columns)
RANGE_FUNCTION(first_over_time, .keeps_name = true, .columns = first_columns)
RANGE_FUNCTION(ts_of_first_over_time, .columns = ts_of_first_columns)
RANGE_FUNCTION(ts_of_last_over_time, .columns = ts_of_last_columns)
RANGE_FUNCTION(ts_of_min_over_time)
RANGE_FUNCTION(ts_of_max_over_time)
RANGE_FUNCTION(quantile_over_time, .columns = quantile_columns)
RANGE_FUNCTION(mad_over_time)

/* ---- absent_over_time ------------------------------------------------------------- */

/* Notes the steps at which any series has a value. */
struct presence_sink {
    struct sink sink;
    const struct frame *frame;
    uint64_t *has;
};

static status presence_put(struct sink *sink, struct column *col)
{
    struct presence_sink *s = container_of(sink, struct presence_sink, sink);

    for (size_t w = 0; w < bitmap_words(s->frame->n); w++) s->has[w] |= col->has[w];
    return ST_OK;
}

status fn_absent_over_time(struct eval *ev, const struct frame *f, const struct expr *call,
                           struct sink *sink)
{
    static const struct range_kernel kernel = {.fn = present_over_time_kernel,
                                               .columns = present_columns};
    struct presence_sink seen = {.sink = {presence_put}, .frame = f};
    struct column col;

    TRY(column_init(ev, f, &col));
    seen.has = arena_try_zero(ev->arena, bitmap_words(f->n) * sizeof(*seen.has));
    if (!seen.has) return eval_oom(ev);
    TRY(eval_range(ev, f, call, &kernel, &seen.sink));
    TRY(absent_labels(ev, call->call.args[0], &col.labels));
    for (size_t i = 0; i < f->n; i++) {
        if (bit_get(seen.has, i)) continue;
        col.val[i] = 1;
        bit_set(col.has, i);
    }
    if (!bit_any(col.has, f->n)) return ST_OK;
    TRY(column_drop_name(ev, &col));
    return sink_put(sink, &col);
}
