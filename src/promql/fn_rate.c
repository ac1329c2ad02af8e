/* Change over a range: rate, increase, delta and their instant forms; changes, resets.
 *
 * The change between the first and the last sample of a window is extrapolated to its
 * ends, as if the samples went on at their average distance: to the very end when the
 * outermost sample is closer than 1.1 distances, else by half a distance. A counter
 * starts at zero, so it is not extrapolated to before where its line meets zero. A value
 * below the one before is a reset, after which a counter counts from zero; so is one that
 * says it began after the one before (start timestamps). One whose first sample says that it
 * began inside the window was zero there.
 *
 * anchored and smoothed ranges do not extrapolate. They see samples within look-back
 * outside of the window: anchored takes the newest at or before its start as the first
 * value; smoothed draws straight lines through both ends.
 *
 * Windows of histograms alone go the same way (fn_histogram_rate.c); those that mix floats
 * and histograms have no rate.
 */
#include "promql/fn_histogram_priv.h"
#include "promql/lanes_priv.h"

static bool warn_mixed(struct range_call *rc)
{
    annotations_warn(&rc->ev->annos, rc->pos,
                     "encountered a mix of histograms and floats for metric name %s",
                     range_metric(rc));
    return false;
}

static double to_seconds(const struct range_call *rc, int64_t ticks)
{
    return plan_seconds(rc->ev->plan, ticks);
}

/* ---- extrapolated ----------------------------------------------------------------- */

/* Between floats i - 1 and i of the samples. */
static bool float_is_reset(struct range_call *rc, const struct samples *s, size_t i)
{
    (void)rc;
    if (s->v.ptr[i] < s->v.ptr[i - 1]) return true;
    return s->starts.n && samples_restarted(s, s->t.ptr[i - 1], s->t.ptr[i]);
}

/* The change of a counter over a window, given the difference of its ends. What resets took
 * is added one by one, in their order: so is Prometheus' rounding. */
static double reset_correction(struct range_call *rc, const struct window *w, double change)
{
    for (size_t i = w->lo + 1; i < w->hi; i++) {
        if (float_is_reset(rc, w->all, i)) change += w->all->v.ptr[i - 1];
    }
    return change;
}

/* A change between the first and the last of n samples, and where they begin. */
struct change {
    double v;      /* of a histogram: its count */
    double first;
    ts_time t0, t1;
    size_t n;
};

/* What to multiply the change with so that it is that of the whole window. */
static double extrapolation(const struct range_call *rc, const struct window *w,
                            const struct change *c, bool counter)
{
    double to_start = to_seconds(rc, c->t0 - w->start);
    double to_end = to_seconds(rc, w->end - c->t1);
    double sampled = to_seconds(rc, c->t1 - c->t0);
    double distance = sampled / (double)(c->n - 1);
    double threshold = distance * 1.1;

    if (to_start >= threshold) to_start = distance / 2;
    if (counter && c->v > 0 && c->first >= 0) {
        double to_zero = sampled * (c->first / c->v);
        if (to_zero < to_start) to_start = to_zero;
    }
    if (to_end >= threshold) to_end = distance / 2;
    return (sampled + to_start + to_end) / sampled;
}

/* A counter that began inside the window, before its first sample: from zero, then. */
static bool begin_inside(const struct window *w, struct change *c, double first)
{
    ts_time start;

    if (w->all->starts.n == 0) return false;
    if (!samples_start(w->all, c->t0, &start) || start <= w->start || start >= c->t0) return false;
    c->v += first;
    c->first = 0;
    c->t0 = start;
    c->n++;
    return true;
}

static bool extrapolated_hist(struct range_call *rc, const struct window *w, bool counter,
                              bool rate, struct range_out *out)
{
    if (w->hn < 2 || !hist_window_change(rc, w, counter)) return false;
    struct change change = {.v = rc->ev->hist_change.count.v,
                            .first = w->h[0]->count,
                            .t0 = w->ht[0],
                            .t1 = w->ht[w->hn - 1],
                            .n = w->hn};
    if (counter && begin_inside(w, &change, w->h[0]->count) && !hist_change_add(rc, w->h[0])) {
        return false;
    }
    double factor = extrapolation(rc, w, &change, counter);
    if (rate) factor /= rc->seconds;
    hist_sum_scale(&rc->ev->hist_change, factor);
    return hist_take(rc, &out->hist);
}

static bool extrapolated(struct range_call *rc, const struct window *w, bool counter, bool rate,
                         struct range_out *out)
{
    if (w->n && w->hn) return warn_mixed(rc);
    if (w->hn) return extrapolated_hist(rc, w, counter, rate, out);
    if (w->n < 2) return false;
    struct change change = {.v = w->v[w->n - 1] - w->v[0],
                            .first = w->v[0],
                            .t0 = w->t[0],
                            .t1 = w->t[w->n - 1],
                            .n = w->n};
    if (counter && rc->has_resets) change.v = reset_correction(rc, w, change.v);
    if (counter) (void)begin_inside(w, &change, w->v[0]);
    double factor = extrapolation(rc, w, &change, counter);
    if (rate) factor /= rc->seconds;
    out->val = change.v * factor;
    return true;
}

/* ---- anchored and smoothed -------------------------------------------------------- */

/* Samples that an extended range may use: [lo, hi) of the series. */
struct reach {
    const ts_time *t;
    const double *v;
    size_t lo, hi;
};

static struct reach reach_of(const struct range_call *rc, const struct window *w)
{
    int64_t lookback = rc->ev->plan->lookback;
    ts_time oldest = sat_sub(w->start, lookback);
    struct reach r = {.t = w->all->t.ptr, .v = w->all->v.ptr, .lo = w->lo, .hi = w->hi};

    /* One before the window is enough at either side; smoothed looks after it too. */
    if (r.lo > 0 && r.t[r.lo - 1] > oldest) r.lo--;
    if (rc->smoothed && r.hi < w->all->t.len && r.t[r.hi] <= sat_add(w->end, lookback) &&
        (r.hi == 0 || r.t[r.hi - 1] < w->end)) {
        r.hi++;
    }
    return r;
}

/* The line between samples i and i + 1 at time t. Across a reset a counter comes from
 * zero (left end of a range) or goes on from where it was (right end; but when both ends
 * lie between the same two samples they are on one line). */
static double line_at(const struct reach *r, size_t i, ts_time t, bool counter, bool left)
{
    double a = r->v[i], b = r->v[i + 1];

    if (counter && b < a) {
        if (left) a = 0;
        else b += a;
    }
    return a + (b - a) * (double)(t - r->t[i]) / (double)(r->t[i + 1] - r->t[i]);
}

/* Whether a range may use any histogram: in the window, or at its ends. */
static bool reaches_hist(const struct range_call *rc, const struct window *w)
{
    const struct samples *s = w->all;
    int64_t lookback = rc->ev->plan->lookback;

    if (w->hn) return true;
    if (w->hlo > 0 && s->ht.ptr[w->hlo - 1] > sat_sub(w->start, lookback)) return true;
    return rc->smoothed && w->hhi < s->ht.len && s->ht.ptr[w->hhi] <= sat_add(w->end, lookback);
}

static bool extended_hist(struct range_call *rc, const struct window *w, bool counter, bool rate,
                          struct range_out *out)
{
    if (!hist_extended_change(rc, w, counter)) return false;
    if (rate) hist_sum_divide(&rc->ev->hist_change, rc->seconds);
    return hist_take(rc, &out->hist);
}

static bool extended(struct range_call *rc, const struct window *w, bool counter, bool rate,
                     struct range_out *out)
{
    struct reach r = reach_of(rc, w);

    if (reaches_hist(rc, w)) {
        return r.hi == r.lo ? extended_hist(rc, w, counter, rate, out) : warn_mixed(rc);
    }
    if (r.hi == r.lo || r.t[r.hi - 1] <= w->start || r.t[r.lo] > w->end) return false;
    size_t last = r.hi - 1;
    double left = r.v[r.lo], right = r.v[last];
    bool from_line = rc->smoothed && r.t[r.lo] < w->start;
    if (from_line) left = line_at(&r, r.lo, w->start, counter, true);
    if (rc->smoothed && last > r.lo && r.t[last] > w->end) {
        right = line_at(&r, last - 1, w->end, counter, from_line && last - 1 == r.lo);
    }
    double change = right - left, prev = left;
    if (counter) {
        for (size_t i = r.lo + 1; i < last; i++) {
            if (r.v[i] < prev) change += prev;
            prev = r.v[i];
        }
        if (right < prev) change += prev;
    }
    out->val = rate ? change / rc->seconds : change;
    return true;
}

/* ---- extrapolated, all steps at once ---------------------------------------------- */

/* What depends on times alone is computed once for all series that share them: the factor,
 * and how small a first value has to be for zero to be nearer than the extrapolation goes.
 * That is first / change < to_start / sampled; the limit here is larger by what goes beyond
 * the end, and some slack for rounding. So a step whose first value is not below it is
 * computed with the factor, to the last bit, and the others the long way. */
enum { AUX_FACTOR, AUX_LIMIT, BLOCK_STEPS = 64 };

#define LIMIT_SLACK 1e-9
#define CHANGE_TINY 1e-200 /* below it rounding could be more than the slack */

static struct window window_at(const struct edge_spec *spec, const ts_time *t, size_t lo, size_t hi,
                               size_t step)
{
    ts_time end = spec->ends[step];

    return (struct window){.t = t + lo,
                           .n = hi - lo,
                           .start = sat_sub(end, spec->range),
                           .end = end,
                           .lo = lo,
                           .hi = hi};
}

/* As extrapolation() has it, but for the zero that may limit it. */
static void prepare_step(const struct range_call *rc, const struct window *w, double *factor,
                         double *limit)
{
    double to_start = to_seconds(rc, w->t[0] - w->start);
    double to_end = to_seconds(rc, w->end - w->t[w->n - 1]);
    double sampled = to_seconds(rc, w->t[w->n - 1] - w->t[0]);
    double distance = sampled / (double)(w->n - 1), threshold = distance * 1.1;

    to_start = to_start >= threshold ? distance / 2 : to_start;
    to_end = to_end >= threshold ? distance / 2 : to_end;
    *factor = (sampled + to_start + to_end) / sampled;
    *limit = *factor - 1 + LIMIT_SLACK;
}

static void prepare_change(const struct range_call *rc, const struct edge_spec *spec,
                           const ts_time *t, struct edges *e, bool rate)
{
    double *factor = e->aux[AUX_FACTOR], *limit = e->aux[AUX_LIMIT];

    FOR_EACH_EDGE(i, e) {
        struct window w = window_at(spec, t, e->lo[i], e->hi[i], i);
        prepare_step(rc, &w, &factor[i], &limit[i]);
        if (rate) factor[i] /= rc->seconds;
    }
}

static void prepare_rate(const void *ctx, const struct edge_spec *spec, const ts_time *t,
                         struct edges *e)
{
    prepare_change(ctx, spec, t, e, true);
}

static void prepare_increase(const void *ctx, const struct edge_spec *spec, const ts_time *t,
                             struct edges *e)
{
    prepare_change(ctx, spec, t, e, false);
}

/* One step, the long way; resets[k] counts those among the samples up to k (NULL: none). */
static double change_at(const struct range_call *rc, const struct range_columns *col, size_t step,
                        const double *resets, bool counter, bool rate)
{
    const struct edges *e = col->edges;
    const double *v = col->v;
    size_t lo = e->lo[step], last = e->hi[step] - 1;
    double change = v[last] - v[lo];

    if (resets && resets[last] != resets[lo]) {
        for (size_t k = lo + 1; k <= last; k++) {
            if (v[k] < v[k - 1]) change += v[k - 1];
        }
    }
    bool near_zero = counter && change > 0 && v[lo] >= 0 &&
                     !(change >= CHANGE_TINY && v[lo] >= e->aux[AUX_LIMIT][step] * change);
    if (!near_zero) return change * e->aux[AUX_FACTOR][step];
    struct window w = window_at(col->spec, col->t, lo, last + 1, step);
    struct change c = {
        .v = change, .first = v[lo], .t0 = col->t[lo], .t1 = col->t[last], .n = last + 1 - lo};
    double factor = extrapolation(rc, &w, &c, counter);
    if (rate) factor /= rc->seconds;
    return change * factor;
}

/* Two steps that have no reset: out, and whether one may have to go the long way; one that
 * begins below zero and rises is told so, too, and need not. */
static inline pair_mask change_pair(double *out, pair first, pair last, const double *factor,
                                    const double *limit)
{
    pair change = last - first, zero = pair_of(0);

    pair_store(out, change * pair_load(factor));
    pair_mask tiny = pair_below(zero, change) & pair_below(change, pair_of(CHANGE_TINY));
    return tiny | pair_below(first, pair_load(limit) * change);
}

/* Steps [from, to) of a run: how many of them are done, and need no second look. */
static size_t change_block(const struct range_columns *col, const struct edge_run *run, size_t from,
                           size_t to, bool counter)
{
    const struct edges *e = col->edges;
    const double *v = col->v, *factor = e->aux[AUX_FACTOR], *limit = e->aux[AUX_LIMIT];
    const double *first = v + e->lo[from], *last = v + e->hi[from] - 1;
    pair_mask slow = {0, 0};
    size_t i = from;

    if (run->unit) {
        for (size_t k = 0; i + 2 <= to; i += 2, k += 2) {
            slow |= change_pair(col->out + i, pair_load(first + k), pair_load(last + k),
                                factor + i, limit + i);
        }
    } else {
        for (; i + 2 <= to; i += 2) {
            pair a = {v[e->lo[i]], v[e->lo[i + 1]]};
            pair b = {v[e->hi[i] - 1], v[e->hi[i + 1] - 1]};
            slow |= change_pair(col->out + i, a, b, factor + i, limit + i);
        }
    }
    return counter && mask_any(slow) ? from : i;
}

static bool any_below(const double *v, size_t n)
{
    pair_mask seen = {0, 0};
    size_t i = 1;

    for (; i + 2 <= n; i += 2) seen |= pair_below(pair_load(v + i), pair_load(v + i - 1));
    return mask_any(seen) || (i < n && v[i] < v[i - 1]);
}

/* counts[k]: how often neighbours among the samples up to k differ as `differ` says. */
static void count_up(double *counts, const double *v, size_t n, bool (*differ)(double a, double b))
{
    uint32_t count = 0;

    counts[0] = 0;
    for (size_t i = 1; i < n; i++) {
        count += differ(v[i - 1], v[i]);
        counts[i] = count;
    }
}

static bool is_below(double a, double b)
{
    return b < a;
}

static bool change_columns(struct range_call *rc, const struct range_columns *col, bool counter,
                           bool rate)
{
    const double *resets = counter && any_below(col->v, col->n) ? rc->scratch : NULL;

    if (resets) count_up(rc->scratch, col->v, col->n, is_below);
    for (size_t k = 0; k < col->edges->n_runs; k++) {
        const struct edge_run *run = &col->edges->runs[k];
        for (size_t i = run->from, end; i < run->to; i = end) {
            end = run->to - i < BLOCK_STEPS ? run->to : i + BLOCK_STEPS;
            size_t at = resets ? i : change_block(col, run, i, end, counter);
            for (; at < end; at++) col->out[at] = change_at(rc, col, at, resets, counter, rate);
        }
    }
    return true;
}

static bool rate_columns(struct range_call *rc, const struct range_columns *col)
{
    return change_columns(rc, col, true, true);
}

static bool increase_columns(struct range_call *rc, const struct range_columns *col)
{
    return change_columns(rc, col, true, false);
}

static bool delta_columns(struct range_call *rc, const struct range_columns *col)
{
    return change_columns(rc, col, false, false);
}

static bool change_over(struct range_call *rc, const struct window *w, bool counter, bool rate,
                        struct range_out *out)
{
    if (rc->anchored || rc->smoothed) return extended(rc, w, counter, rate, out);
    return extrapolated(rc, w, counter, rate, out);
}

static bool rate_kernel(struct range_call *rc, const struct window *w, struct range_out *out)
{
    return change_over(rc, w, true, true, out);
}

static bool increase_kernel(struct range_call *rc, const struct window *w,
                            struct range_out *out)
{
    return change_over(rc, w, true, false, out);
}

static bool delta_kernel(struct range_call *rc, const struct window *w, struct range_out *out)
{
    return change_over(rc, w, false, false, out);
}

/* ---- the last two samples --------------------------------------------------------- */

/* Which two samples are the last? */
enum last_two { LAST_FLOATS, LAST_HISTS, LAST_MIXED };

static enum last_two last_two_of(const struct window *w)
{
    size_t n = w->n, hn = w->hn, n_hist = 0;

    for (int i = 0; i < 2; i++) {
        bool hist = n == 0 || (hn > 0 && w->ht[hn - 1] > w->t[n - 1]);
        if (hist) hn--;
        else n--;
        n_hist += hist;
    }
    return n_hist == 2 ? LAST_HISTS : n_hist == 1 ? LAST_MIXED : LAST_FLOATS;
}

static bool instant_hist(struct range_call *rc, const struct window *w, bool rate,
                         struct range_out *out)
{
    size_t last = w->hn - 1;
    int64_t ticks = w->ht[last] - w->ht[last - 1];

    if (ticks == 0 || !hist_instant_change(rc, w, last, rate)) return false;
    if (rate) hist_sum_divide(&rc->ev->hist_change, to_seconds(rc, ticks));
    return hist_take(rc, &out->hist);
}

static bool instant(struct range_call *rc, const struct window *w, bool rate,
                    struct range_out *out)
{
    size_t n = w->n;

    if (n + w->hn < 2) return false;
    enum last_two last = w->hn ? last_two_of(w) : LAST_FLOATS;
    if (last == LAST_MIXED) return warn_mixed(rc);
    if (last == LAST_HISTS) return instant_hist(rc, w, rate, out);
    double a = w->v[n - 2], b = w->v[n - 1];
    int64_t ticks = w->t[n - 1] - w->t[n - 2];
    if (ticks == 0) return false;
    /* after a reset a counter counts from zero */
    out->val = rate && float_is_reset(rc, w->all, w->hi - 1) ? b : b - a;
    if (rate) out->val /= to_seconds(rc, ticks);
    return true;
}

static bool irate_kernel(struct range_call *rc, const struct window *w, struct range_out *out)
{
    return instant(rc, w, true, out);
}

static bool idelta_kernel(struct range_call *rc, const struct window *w, struct range_out *out)
{
    return instant(rc, w, false, out);
}

/* The seconds between the last two samples of each step. */
static void prepare_instant(const void *ctx, const struct edge_spec *spec, const ts_time *t,
                            struct edges *e)
{
    (void)spec;
    FOR_EACH_EDGE(i, e) {
        e->aux[0][i] = to_seconds(ctx, t[e->hi[i] - 1] - t[e->hi[i] - 2]);
    }
}

static bool irate_columns(struct range_call *rc, const struct range_columns *col)
{
    const struct edges *e = col->edges;

    (void)rc;
    FOR_EACH_EDGE(i, e) {
        double a = col->v[e->hi[i] - 2], b = col->v[e->hi[i] - 1];
        col->out[i] = (b < a ? b : b - a) / e->aux[0][i];
    }
    return true;
}

static bool idelta_columns(struct range_call *rc, const struct range_columns *col)
{
    const struct edges *e = col->edges;

    (void)rc;
    FOR_EACH_EDGE(i, e) {
        col->out[i] = col->v[e->hi[i] - 1] - col->v[e->hi[i] - 2];
    }
    return true;
}

/* ---- changes, resets -------------------------------------------------------------- */

/* Walks floats and histograms of a window in time order and counts where neighbours differ,
 * as floats and hists say of samples i - 1 and i. */
static bool count_steps(struct range_call *rc, const struct window *w,
                        bool (*floats)(struct range_call *rc, const struct samples *s, size_t i),
                        bool (*hists)(struct range_call *rc, const struct samples *s, size_t i),
                        struct range_out *out)
{
    const struct samples *s = w->all;
    size_t i = w->lo, k = w->hlo;
    bool was_hist = false;

    if (w->n + w->hn == 0) return false;
    if (rc->anchored) { /* from the newest sample at or before the start */
        ts_time oldest = sat_sub(w->start, rc->ev->plan->lookback);
        bool v = i > 0 && s->t.ptr[i - 1] > oldest;
        bool h = k > 0 && s->ht.ptr[k - 1] > oldest;
        if (v && (!h || s->t.ptr[i - 1] > s->ht.ptr[k - 1])) i--;
        else if (h) k--;
    }
    for (bool first = true; i < w->hi || k < w->hhi; first = false) {
        bool is_hist = i == w->hi || (k < w->hhi && s->ht.ptr[k] < s->t.ptr[i]);
        if (!first) {
            if (is_hist != was_hist) out->val++;
            else if (is_hist ? hists(rc, s, k) : floats(rc, s, i)) out->val++;
        }
        if (is_hist) k++;
        else i++;
        was_hist = is_hist;
    }
    return true;
}

static bool is_other(double a, double b)
{
    return a != b && !(isnan(a) && isnan(b));
}

static bool floats_changed(struct range_call *rc, const struct samples *s, size_t i)
{
    (void)rc;
    return is_other(s->v.ptr[i - 1], s->v.ptr[i]);
}

/* Histograms i - 1 and i of the samples differ. */
static bool hists_changed(struct range_call *rc, const struct samples *s, size_t i)
{
    (void)rc;
    return !histogram_same(s->h.ptr[i - 1], s->h.ptr[i]);
}

static bool changes_kernel(struct range_call *rc, const struct window *w, struct range_out *out)
{
    return count_steps(rc, w, floats_changed, hists_changed, out);
}

static bool resets_kernel(struct range_call *rc, const struct window *w, struct range_out *out)
{
    return count_steps(rc, w, float_is_reset, samples_is_reset, out);
}

/* How often neighbours differ in each window, from how often they do up to each sample. */
static bool count_columns(struct range_call *rc, const struct range_columns *col,
                          bool (*differ)(double a, double b))
{
    const struct edges *e = col->edges;
    double *counts = rc->scratch;

    count_up(counts, col->v, col->n, differ);
    FOR_EACH_EDGE(i, e) {
        col->out[i] = counts[e->hi[i] - 1] - counts[e->lo[i]];
    }
    return true;
}

static bool changes_columns(struct range_call *rc, const struct range_columns *col)
{
    return count_columns(rc, col, is_other);
}

static bool resets_columns(struct range_call *rc, const struct range_columns *col)
{
    return count_columns(rc, col, is_below);
}

RANGE_FUNCTION(rate, .is_rate = true, .starts = true, .anchored = true, .smoothed = true,
               .columns = rate_columns, .n_min = 2, .n_aux = 2, .prepare = prepare_rate)
RANGE_FUNCTION(increase, .is_rate = true, .starts = true, .anchored = true, .smoothed = true,
               .columns = increase_columns, .n_min = 2, .n_aux = 2, .prepare = prepare_increase)
RANGE_FUNCTION(delta, .anchored = true, .smoothed = true,
               .columns = delta_columns, .n_min = 2, .n_aux = 2, .prepare = prepare_increase)
RANGE_FUNCTION(irate, .starts = true,
               .columns = irate_columns, .n_min = 2, .n_aux = 1, .prepare = prepare_instant)
RANGE_FUNCTION(idelta, .columns = idelta_columns, .n_min = 2)
RANGE_FUNCTION(changes, .anchored = true, .columns = changes_columns)
RANGE_FUNCTION(resets, .starts = true, .anchored = true, .columns = resets_columns)
