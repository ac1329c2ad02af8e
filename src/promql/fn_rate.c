/* Change over a range: rate, increase, delta and their instant forms; changes, resets.
 *
 * The change between the first and the last sample of a window is extrapolated to its
 * ends, as if the samples went on at their average distance: to the very end when the
 * outermost sample is closer than 1.1 distances, else by half a distance. A counter
 * starts at zero, so it is not extrapolated to before where its line meets zero. A value
 * below the one before is a reset, after which a counter counts from zero.
 *
 * anchored and smoothed ranges do not extrapolate. They see samples within look-back
 * outside of the window: anchored takes the newest at or before its start as the first
 * value; smoothed draws straight lines through both ends.
 *
 * All kernels see floats; windows that mix floats and histograms have no rate.
 */
#include "promql/eval_range_priv.h"

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

static double reset_correction(const double *v, size_t n)
{
    double sum = 0;

    for (size_t i = 1; i < n; i++) {
        if (v[i] < v[i - 1]) sum += v[i - 1];
    }
    return sum;
}

static bool extrapolated(struct range_call *rc, const struct window *w, bool counter, bool rate,
                         struct range_out *out)
{
    if (w->n && w->hn) return warn_mixed(rc);
    if (w->n < 2) return false;
    double change = w->v[w->n - 1] - w->v[0];
    if (counter && rc->has_resets) change += reset_correction(w->v, w->n);

    double to_start = to_seconds(rc, w->t[0] - w->start);
    double to_end = to_seconds(rc, w->end - w->t[w->n - 1]);
    double sampled = to_seconds(rc, w->t[w->n - 1] - w->t[0]);
    double distance = sampled / (double)(w->n - 1);
    double threshold = distance * 1.1;

    if (to_start >= threshold) to_start = distance / 2;
    if (counter && change > 0 && w->v[0] >= 0) {
        double to_zero = sampled * (w->v[0] / change);
        if (to_zero < to_start) to_start = to_zero;
    }
    if (to_end >= threshold) to_end = distance / 2;

    double factor = (sampled + to_start + to_end) / sampled;
    if (rate) factor /= rc->seconds;
    out->val = change * factor;
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

static bool extended(struct range_call *rc, const struct window *w, bool counter, bool rate,
                     struct range_out *out)
{
    struct reach r = reach_of(rc, w);

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

static bool instant(struct range_call *rc, const struct window *w, bool rate,
                    struct range_out *out)
{
    size_t n = w->n;

    if (n + w->hn < 2) return false;
    if (w->hn) { /* which two are the last? */
        ts_time h1 = w->ht[w->hn - 1];
        size_t newer = n;
        while (newer > 0 && w->t[newer - 1] > h1) newer--;
        if (n - newer < 2) {
            bool only_hist = n == 0 || (w->hn >= 2 && w->ht[w->hn - 2] > w->t[n - 1]);
            return only_hist ? false : warn_mixed(rc);
        }
    }
    double a = w->v[n - 2], b = w->v[n - 1];
    int64_t ticks = w->t[n - 1] - w->t[n - 2];
    if (ticks == 0) return false;
    out->val = rate && b < a ? b : b - a; /* after a reset a counter counts from zero */
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

/* ---- changes, resets -------------------------------------------------------------- */

/* Walks floats and histograms of a window in time order and counts where `differs`. */
static bool count_steps(struct range_call *rc, const struct window *w,
                        bool (*floats)(double a, double b),
                        bool (*hists)(const struct histogram *a, const struct histogram *b),
                        struct range_out *out)
{
    const struct samples *s = w->all;
    size_t i = w->lo, k = w->hlo;
    double prev_v = 0;
    const struct histogram *prev_h = NULL;

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
        const struct histogram *h = is_hist ? s->h.ptr[k++] : NULL;
        double v = is_hist ? 0 : s->v.ptr[i++];
        if (!first) {
            if (!h != !prev_h) out->val++;
            else if (h ? hists(prev_h, h) : floats(prev_v, v)) out->val++;
        }
        prev_v = v;
        prev_h = h;
    }
    return true;
}

static bool floats_changed(double a, double b)
{
    return a != b && !(isnan(a) && isnan(b));
}

static bool hists_changed(const struct histogram *a, const struct histogram *b)
{
    return !histogram_eq(a, b);
}

static bool floats_reset(double a, double b)
{
    return b < a;
}

static bool hists_reset(const struct histogram *a, const struct histogram *b)
{
    return b->reset == HIST_RESET_YES || b->count < a->count;
}

static bool changes_kernel(struct range_call *rc, const struct window *w, struct range_out *out)
{
    return count_steps(rc, w, floats_changed, hists_changed, out);
}

static bool resets_kernel(struct range_call *rc, const struct window *w, struct range_out *out)
{
    return count_steps(rc, w, floats_reset, hists_reset, out);
}

RANGE_FUNCTION(rate, .is_rate = true, .anchored = true, .smoothed = true)
RANGE_FUNCTION(increase, .is_rate = true, .anchored = true, .smoothed = true)
RANGE_FUNCTION(delta, .anchored = true, .smoothed = true)
RANGE_FUNCTION(irate)
RANGE_FUNCTION(idelta)
RANGE_FUNCTION(changes, .anchored = true)
RANGE_FUNCTION(resets, .anchored = true)
