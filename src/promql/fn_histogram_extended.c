/* Anchored and smoothed ranges over native histograms, as fn_rate.c has them for floats:
 * anchored begins with the newest histogram at or before the window's start, smoothed draws
 * a straight line through both ends. A line across a reset comes from nothing; what begins
 * on such a line is not reset again by the histogram that the line leads to.
 */
#include "promql/fn_histogram_priv.h"

/* Histograms [lo, hi) of the series that the range may use. */
struct hist_reach {
    const struct samples *s;
    size_t lo, hi;
};

static struct hist_reach hist_reach_of(const struct range_call *rc, const struct window *w)
{
    struct hist_reach r = {.s = w->all, .lo = w->hlo, .hi = w->hhi};
    int64_t lookback = rc->ev->plan->lookback;
    const ts_time *t = w->all->ht.ptr;

    if (r.lo > 0 && t[r.lo - 1] > sat_sub(w->start, lookback)) r.lo--;
    if (rc->smoothed && r.hi < w->all->ht.len && t[r.hi] <= sat_add(w->end, lookback) &&
        (r.hi == 0 || t[r.hi - 1] < w->end)) {
        r.hi++;
    }
    return r;
}

/* The line between histograms i and i + 1 at time t; NULL: no value. */
static const struct histogram *line_at(struct range_call *rc, const struct hist_reach *r,
                                       size_t i, ts_time t, bool counter)
{
    const ts_time *ht = r->s->ht.ptr;
    const struct histogram *out = NULL;
    double part = (double)(t - ht[i]) / (double)(ht[i + 1] - ht[i]);
    bool reset = counter && samples_is_reset(rc, r->s, i + 1);
    enum hist_outcome outcome =
        rc->failed ? HIST_REFUSED
                   : hist_between(rc->ev, rc->pos, rc->labels, r->s->h.ptr[i],
                                  r->s->h.ptr[i + 1], part, reset, &out);

    if (outcome == HIST_REFUSED) rc->failed = true;
    return outcome == HIST_DONE ? out : NULL;
}

static bool run_reset(struct range_call *rc, const struct hist_run *run, size_t i)
{
    if (i == 1 && run->on_line) return false;
    return samples_is_reset(rc, run->samples, run->from + i);
}

/* Room for the histograms of a run, kept from step to step. */
static bool run_room(struct range_call *rc, size_t n)
{
    struct eval *ev = rc->ev;

    if (n <= ev->hist_run_cap) return true;
    size_t cap = n < 2 * ev->hist_run_cap ? 2 * ev->hist_run_cap : n;
    ev->hist_run = arena_try_array(ev->arena, cap, sizeof(*ev->hist_run));
    ev->hist_run_cap = ev->hist_run ? cap : 0;
    if (!ev->hist_run) rc->failed = true;
    return ev->hist_run != NULL;
}

bool hist_extended_change(struct range_call *rc, const struct window *w, bool counter)
{
    struct hist_reach r = hist_reach_of(rc, w);
    const ts_time *t = w->all->ht.ptr;
    struct hist_run run = {.is_reset = run_reset, .samples = w->all, .from = r.lo};

    if (r.hi == r.lo || t[r.hi - 1] <= w->start || t[r.lo] > w->end) return false;
    size_t n = r.hi - r.lo;
    if (!run_room(rc, n + 1)) return false;
    const struct histogram **h = rc->ev->hist_run;
    memcpy(h, w->all->h.ptr + r.lo, n * sizeof(*h));
    if (rc->smoothed && t[r.lo] < w->start) {
        run.on_line = true;
        h[0] = line_at(rc, &r, r.lo, w->start, counter);
        if (!h[0]) return false;
    }
    if (rc->smoothed && n > 1 && t[r.hi - 1] > w->end) {
        h[n - 1] = line_at(rc, &r, r.hi - 2, w->end, counter);
        if (!h[n - 1]) return false;
    }
    if (n == 1) { /* from itself to itself */
        h[n++] = h[0];
        run.on_line = true;
    }
    run.h = h;
    run.n = n;
    return hist_change(rc, &run, counter);
}
