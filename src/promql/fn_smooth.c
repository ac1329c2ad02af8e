/* Lines and curves through a range: deriv, predict_linear, double_exponential_smoothing.
 *
 * The line is the least-squares fit of value over time in seconds, with compensated sums
 * and times counted from a point near the samples, because squares of Unix times do not
 * fit a double.
 */
#include "promql/eval_range_priv.h"

struct line {
    double slope, intercept; /* per second; the value at the reference time */
};

static struct line fit_line(const struct range_call *rc, const struct window *w, ts_time ref)
{
    double n = (double)w->n;
    double x = 0, cx = 0, y = 0, cy = 0, xy = 0, cxy = 0, x2 = 0, cx2 = 0;
    bool constant = true;

    for (size_t i = 0; i < w->n; i++) {
        double dx = plan_seconds(rc->ev->plan, w->t[i] - ref), v = w->v[i];
        if (i > 0 && v != w->v[0]) constant = false;
        kahan_add(dx, &x, &cx);
        kahan_add(v, &y, &cy);
        kahan_add(dx * v, &xy, &cxy);
        kahan_add(dx * dx, &x2, &cx2);
    }
    if (constant) {
        if (isinf(w->v[0])) return (struct line){NAN, NAN};
        return (struct line){0, w->v[0]};
    }
    x += cx;
    y += cy;
    xy += cxy;
    x2 += cx2;
    double slope = (xy - x * y / n) / (x2 - x * x / n);
    return (struct line){slope, y / n - slope * x / n};
}

static bool deriv_kernel(struct range_call *rc, const struct window *w, struct range_out *out)
{
    if (w->n == 0) return false;
    range_ignored_hist(rc, w);
    if (w->n < 2) return false;
    out->val = fit_line(rc, w, w->t[0]).slope;
    return true;
}

static bool predict_linear_kernel(struct range_call *rc, const struct window *w,
                                  struct range_out *out)
{
    if (w->n == 0) return false;
    range_ignored_hist(rc, w);
    if (w->n < 2) return false;
    struct line line = fit_line(rc, w, w->now);
    out->val = line.slope * rc->args[0] + line.intercept;
    return true;
}

/* Holt-Winters without seasons: level and trend, each an exponential mean. */
static bool double_exponential_smoothing_kernel(struct range_call *rc, const struct window *w,
                                                struct range_out *out)
{
    double sf = rc->args[0], tf = rc->args[1];

    if (w->n == 0) return false;
    if (w->n < 2) {
        range_ignored_hist(rc, w);
        return false;
    }
    double level = w->v[0], before = 0, trend = w->v[1] - w->v[0];
    for (size_t i = 1; i < w->n; i++) {
        double scaled = sf * w->v[i];
        if (i > 1) trend = tf * (level - before) + (1 - tf) * trend;
        double base = (1 - sf) * (level + trend);
        before = level;
        level = scaled + base;
    }
    range_ignored_hist(rc, w);
    out->val = level;
    return true;
}

RANGE_FUNCTION(deriv)
RANGE_FUNCTION(predict_linear)

/* A factor outside of [0, 1] fails the query where a series asks for it. */
static status check_factors(struct eval *ev, const struct frame *f, const struct expr *call)
{
    static const char *const names[] = {"smoothing", "trend"};

    for (size_t k = 1; k <= 2; k++) {
        double *v;
        TRY(eval_scalar(ev, f, call->call.args[k], &v));
        for (size_t i = 0; i < f->n; i++) {
            if (v[i] > 0 && v[i] < 1) continue;
            return err_set(ev->err, ST_EXECUTION,
                           "invalid %s factor. Expected: 0 < %cf < 1, got: %f", names[k - 1],
                           names[k - 1][0], v[i]);
        }
    }
    return ST_OK;
}

static bool any_sample_kernel(struct range_call *rc, const struct window *w,
                              struct range_out *out)
{
    (void)rc;
    out->val = (double)(w->n + w->hn);
    return out->val > 0;
}

/* Checks the factors when the first series comes. */
struct smooth_sink {
    struct sink sink;
    struct eval *ev;
    const struct frame *frame;
    const struct expr *call;
    struct sink *to;        /* NULL: columns are only checked */
    bool checked;
};

static status smooth_put(struct sink *sink, struct column *col)
{
    struct smooth_sink *s = container_of(sink, struct smooth_sink, sink);

    if (!s->checked) TRY(check_factors(s->ev, s->frame, s->call));
    s->checked = true;
    return s->to ? sink_put(s->to, col) : ST_OK;
}

status fn_double_exponential_smoothing(struct eval *ev, const struct frame *f,
                                       const struct expr *call, struct sink *sink)
{
    static const struct range_kernel kernel = {.fn = double_exponential_smoothing_kernel};
    static const struct range_kernel any_sample = {.fn = any_sample_kernel};
    struct smooth_sink check = {{smooth_put}, ev, f, call, sink, false};

    TRY(eval_range(ev, f, call, &kernel, &check.sink));
    if (check.checked) return ST_OK;
    /* No series has two samples; one asks for the factors already. */
    check.to = NULL;
    return eval_range(ev, f, call, &any_sample, &check.sink);
}
