/* Aggregators. See agg.h and resp.md 2.11.
 *
 * One state serves all fifteen, so that several aggregators over one bucket cost one
 * pass. The sum is plain; when it would leave the doubles although all values are in
 * them, the mean goes on as a running mean (which cannot overflow) and the sum is what
 * it is: an infinity.
 *
 * twa keeps the integral of the straight lines between neighbours, from (from_ts,
 * from_val) to (to_ts, to_val). Merging two states adds the trapezoid between them; the
 * edges of a bucket are trapezoids too:
 *
 *            ______o to                 o  samples
 *      from o      |                    |  edges
 *     |____/       |___
 *   left                right
 */
#include "model/agg.h"

#include <math.h>
#include <stddef.h>

#include "base/panic.h"

static const struct {
    const char *name, *upper;
} rows[N_AGGS] = {
#define AGG(id, name, upper) [id] = {name, upper},
#include "model/agg.def"
#undef AGG
};

const char *agg_name(enum agg agg)
{
    return rows[agg].name;
}

const char *agg_upper(enum agg agg)
{
    return rows[agg].upper;
}

bool agg_parse(enum agg *out, struct slice text)
{
    for (size_t i = 0; i < N_AGGS; i++) {
        if (!slice_is_nocase(text, rows[i].name)) continue;
        *out = (enum agg)i;
        return true;
    }
    return false;
}

void agg_init(struct agg_state *st)
{
    *st = (struct agg_state){0};
}

/* The integral of the line from (t0, v0) to (t1, v1). Times apart as doubles: they may be
 * further apart than an int64 holds. Halved first: the sum of two doubles may overflow. */
static double trapezoid(ts_time t0, double v0, ts_time t1, double v1)
{
    return (v0 / 2 + v1 / 2) * ((double)t1 - (double)t0);
}

static bool leaves_doubles(double a, double b)
{
    return isfinite(a) && isfinite(b) && !isfinite(a + b);
}

void agg_step(struct agg_state *st, ts_time ts, double v)
{
    if (isnan(v)) {
        st->n_nan++;
        return;
    }
    if (st->n == 0) {
        st->min = st->max = st->first = st->from_val = v;
        st->first_ts = st->from_ts = ts;
    } else {
        if (v < st->min) st->min = v;
        if (v > st->max) st->max = v;
        st->integral += trapezoid(st->to_ts, st->to_val, ts, v);
    }
    if (!st->overflow && leaves_doubles(st->sum, v)) {
        st->overflow = true;
        st->mean = st->sum / (double)st->n;
    }
    st->n++;
    if (st->overflow) st->mean += v / (double)st->n - st->mean / (double)st->n;
    st->sum += v;
    st->sum_sq += v * v;
    st->last = st->to_val = v;
    st->last_ts = st->to_ts = ts;
}

/* Whether the aggregator looks at none but counts, sum and the extreme and outer values. */
static bool is_simple(enum agg agg)
{
    return agg <= AGG_LAST;
}
_Static_assert(AGG_AVG == 0 && AGG_LAST == 9 && AGG_STD_P == 10, "the simple ones come first");

void agg_run(struct agg_state *st, const ts_time *ts, const double *v, size_t n,
             const enum agg *aggs, size_t n_aggs)
{
    const struct agg_state fresh = *st;
    bool simple = true;
    for (size_t k = 0; k < n_aggs; k++) simple &= is_simple(aggs[k]);
    for (size_t i = 0; simple && i < n; i++) {
        if (isnan(v[i])) {
            st->n_nan++;
            continue;
        }
        if (st->n++ == 0) st->min = st->max = st->first = v[i];
        if (v[i] < st->min) st->min = v[i];
        if (v[i] > st->max) st->max = v[i];
        st->sum += v[i];
        st->last = v[i];
    }
    if (simple && isfinite(st->sum)) return;
    *st = fresh; /* the mean of what overflows is another one */
    for (size_t i = 0; i < n; i++) agg_step(st, ts[i], v[i]);
}

static double mean_of(const struct agg_state *st)
{
    return st->overflow ? st->mean : st->sum / (double)st->n;
}

void agg_merge(struct agg_state *into, const struct agg_state *later)
{
    uint64_t n_nan = into->n_nan + later->n_nan;
    if (later->n == 0 || into->n == 0) {
        if (later->n) *into = *later;
        into->n_nan = n_nan;
        return;
    }
    uint64_t n = into->n + later->n;
    if (into->overflow || later->overflow || leaves_doubles(into->sum, later->sum)) {
        double share = (double)later->n / (double)n;
        into->mean = mean_of(into) * (1 - share) + mean_of(later) * share;
        into->overflow = true;
    }
    into->integral += later->integral +
                      trapezoid(into->to_ts, into->to_val, later->from_ts, later->from_val);
    into->n = n;
    into->n_nan = n_nan;
    into->sum += later->sum;
    into->sum_sq += later->sum_sq;
    if (later->min < into->min) into->min = later->min;
    if (later->max > into->max) into->max = later->max;
    into->last = later->last;
    into->last_ts = later->last_ts;
    into->to_val = later->to_val;
    into->to_ts = later->to_ts;
}

bool agg_has_value(enum agg agg, const struct agg_state *st)
{
    if (agg == AGG_COUNT_NAN || agg == AGG_COUNT_ALL) return st->n + st->n_nan > 0;
    return st->n > 0;
}

/* Sum of the squared distances from the mean, from sum and sum of squares as resp.md asks;
 * rounding may leave it a little below zero. */
static double squares(const struct agg_state *st)
{
    double n = (double)st->n, mean = mean_of(st);
    double sum = st->sum_sq - 2 * st->sum * mean + mean * mean * n;
    return sum < 0 ? 0 : sum;
}

static double variance(const struct agg_state *st, bool sample)
{
    if (!sample) return squares(st) / (double)st->n;
    return st->n == 1 ? 0 : squares(st) / (double)(st->n - 1);
}

static double weighted_mean(const struct agg_state *st)
{
    double len = (double)st->to_ts - (double)st->from_ts;
    return len > 0 ? st->integral / len : st->last;
}

double agg_final(enum agg agg, const struct agg_state *st)
{
    if (!agg_has_value(agg, st)) return agg_empty(agg);
    switch (agg) {
    case AGG_AVG: return mean_of(st);
    case AGG_SUM: return st->sum;
    case AGG_MIN: return st->min;
    case AGG_MAX: return st->max;
    case AGG_RANGE: return st->max - st->min;
    case AGG_COUNT: return (double)st->n;
    case AGG_COUNT_NAN: return (double)st->n_nan;
    case AGG_COUNT_ALL: return (double)(st->n + st->n_nan);
    case AGG_FIRST: return st->first;
    case AGG_LAST: return st->last;
    case AGG_STD_P: return sqrt(variance(st, false));
    case AGG_STD_S: return sqrt(variance(st, true));
    case AGG_VAR_P: return variance(st, false);
    case AGG_VAR_S: return variance(st, true);
    case AGG_TWA: return weighted_mean(st);
    case N_AGGS: break;
    }
    PANIC("aggregator %d", (int)agg);
}

double agg_empty(enum agg agg)
{
    switch (agg) {
    case AGG_SUM:
    case AGG_COUNT:
    case AGG_COUNT_NAN:
    case AGG_COUNT_ALL: return 0;
    case AGG_AVG:
    case AGG_MIN:
    case AGG_MAX:
    case AGG_RANGE:
    case AGG_FIRST:
    case AGG_LAST:
    case AGG_STD_P:
    case AGG_STD_S:
    case AGG_VAR_P:
    case AGG_VAR_S:
    case AGG_TWA:
    case N_AGGS: break;
    }
    return (double)NAN;
}

/* ---- twa at the edges ----------------------------------------------------- */

static double line_at(ts_time t, ts_time t0, double v0, ts_time t1, double v1)
{
    double part = ((double)t - (double)t0) / ((double)t1 - (double)t0);
    return v0 * (1 - part) + v1 * part;
}

void agg_twa_left(struct agg_state *st, ts_time edge, ts_time ts, double v)
{
    if (edge >= st->from_ts || ts >= st->from_ts) return;
    double at = line_at(edge, ts, v, st->from_ts, st->from_val);
    st->integral += trapezoid(edge, at, st->from_ts, st->from_val);
    st->from_ts = edge;
    st->from_val = at;
}

void agg_twa_right(struct agg_state *st, ts_time edge, ts_time ts, double v)
{
    if (edge <= st->to_ts || ts <= st->to_ts) return;
    double at = line_at(edge, st->to_ts, st->to_val, ts, v);
    st->integral += trapezoid(st->to_ts, st->to_val, edge, at);
    st->to_ts = edge;
    st->to_val = at;
}

double agg_twa_gap(ts_time from, ts_time to, ts_time ts0, double v0, ts_time ts1, double v1)
{
    return line_at(from, ts0, v0, ts1, v1) / 2 + line_at(to, ts0, v0, ts1, v1) / 2;
}
