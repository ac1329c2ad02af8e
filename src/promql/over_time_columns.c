/* Aggregations over a range, all steps of a series at once. What each gives is what its
 * kernel in fn_over_time.c gives window by window, to the last bit; that decides how:
 *
 *     count, present, first, last, ts_of_*   the edges alone
 *     min, max     the better of two: a half window's suffix and the next one's prefix (van
 *                  Herk); exact, because choosing the first of equals is associative
 *     sum, avg     Prometheus compensates each window's sum from its first sample on, so a
 *                  sum that runs along would differ in its last bit. Whole numbers whose sums
 *                  stay below 2^53 have exact sums, whose differences are exact, too; others
 *                  are summed window by window, but four windows at once, a lane each
 *     stddev, stdvar   likewise, always
 *     quantile     a sorted window, to which samples come and from which they go
 *
 * Lanes and halves need windows that move on by one sample a step (edge_run.unit); other
 * steps are computed one by one here. A column that may hold NaN (min, max, quantile), or
 * both zeros (quantile), is left to the kernels.
 */
#include "promql/over_time_priv.h"

#include "promql/lanes_priv.h"

/* ---- edges alone ------------------------------------------------------------------ */

bool samples_columns(struct range_call *rc, const struct range_columns *col)
{
    (void)rc;
    FOR_EACH_EDGE(i, col->edges) col->out[i] = (double)(col->edges->hi[i] - col->edges->lo[i]);
    return true;
}

bool present_columns(struct range_call *rc, const struct range_columns *col)
{
    (void)rc;
    FOR_EACH_EDGE(i, col->edges) col->out[i] = 1;
    return true;
}

bool last_columns(struct range_call *rc, const struct range_columns *col)
{
    (void)rc;
    FOR_EACH_EDGE(i, col->edges) col->out[i] = col->v[col->edges->hi[i] - 1];
    return true;
}

bool first_columns(struct range_call *rc, const struct range_columns *col)
{
    (void)rc;
    FOR_EACH_EDGE(i, col->edges) col->out[i] = col->v[col->edges->lo[i]];
    return true;
}

bool ts_of_last_columns(struct range_call *rc, const struct range_columns *col)
{
    FOR_EACH_EDGE(i, col->edges) {
        col->out[i] = plan_seconds(rc->ev->plan, col->t[col->edges->hi[i] - 1]);
    }
    return true;
}

bool ts_of_first_columns(struct range_call *rc, const struct range_columns *col)
{
    FOR_EACH_EDGE(i, col->edges) {
        col->out[i] = plan_seconds(rc->ev->plan, col->t[col->edges->lo[i]]);
    }
    return true;
}

/* ---- min, max --------------------------------------------------------------------- */

/* The better of two, a before b. */
static inline double better(double a, double b, bool largest)
{
    if (largest) return b > a ? b : a;
    return b < a ? b : a;
}

static double best_of(const double *v, size_t n, bool largest)
{
    double best = v[0];

    for (size_t k = 1; k < n; k++) best = better(best, v[k], largest);
    return best;
}

/* n windows of len samples, each one sample on. suffix has room for len. */
static inline void best_of_unit(double *out, const double *v, size_t n, size_t len,
                                double *suffix, bool largest)
{
    for (size_t at = 0; at < n; at += len) {
        size_t part = n - at < len ? n - at : len;
        const double *half = v + at, *next = half + len;
        double best = suffix[len - 1] = half[len - 1];

        for (size_t k = len - 1; k-- > 0;) suffix[k] = better(half[k], suffix[k + 1], largest);
        out[at] = suffix[0];
        for (size_t k = 1; k < part; k++) {
            best = k == 1 ? next[0] : better(best, next[k - 1], largest);
            out[at + k] = better(suffix[k], best, largest);
        }
    }
}

static bool extreme_columns(struct range_call *rc, const struct range_columns *col, bool largest)
{
    const struct edges *e = col->edges;

    if (col->may_be_nan) return false;
    for (size_t k = 0; k < e->n_runs; k++) {
        size_t from = e->runs[k].from, to = e->runs[k].to, len = e->hi[from] - e->lo[from];
        const double *v = col->v + e->lo[from];
        if (e->runs[k].unit) {
            if (largest) best_of_unit(col->out + from, v, to - from, len, rc->scratch, true);
            else best_of_unit(col->out + from, v, to - from, len, rc->scratch, false);
            continue;
        }
        for (size_t i = from; i < to; i++) {
            col->out[i] = best_of(col->v + e->lo[i], e->hi[i] - e->lo[i], largest);
        }
    }
    return true;
}

bool min_columns(struct range_call *rc, const struct range_columns *col)
{
    return extreme_columns(rc, col, false);
}

bool max_columns(struct range_call *rc, const struct range_columns *col)
{
    return extreme_columns(rc, col, true);
}

/* ---- sum, avg --------------------------------------------------------------------- */

/* sums[k]: of the first k values, if all are whole, not a negative zero, and so small that
 * no sum of some that follow each other needs rounding. */
static bool whole_sums(double *sums, const double *v, size_t n)
{
    const double most = 9007199254740992.0; /* 2^53 */
    double sum = 0, size = 0;

    for (size_t k = 0; k < n; k++) {
        sums[k] = sum;
        if (!(fabs(v[k]) < most) || (double)(int64_t)v[k] != v[k]) return false;
        if (v[k] == 0 && signbit(v[k])) return false;
        sum += v[k];
        size += fabs(v[k]);
    }
    sums[n] = sum;
    return size < most;
}

static double sum_of(const double *v, size_t n)
{
    double sum = 0, c = 0;

    for (size_t k = 0; k < n; k++) kahan_add(v[k], &sum, &c);
    return isinf(sum) ? sum : sum + c;
}

static double mean_of(const double *v, size_t n)
{
    struct mean m;

    mean_first(&m, v[0]);
    for (size_t k = 1; k < n; k++) mean_add(&m, v[k]);
    return mean_value(&m);
}

/* Four windows of len samples from v on, each one sample on. */
static void sum_of_four(double *out, const double *v, size_t len)
{
    pair s0 = pair_of(0), s1 = s0, c0 = s0, c1 = s0;

    for (size_t k = 0; k < len; k++) {
        kahan_pair(pair_load(v + k), &s0, &c0);
        kahan_pair(pair_load(v + k + 2), &s1, &c1);
    }
    pair_store(out, pair_choose(pair_equals(pair_abs(s0), pair_of(INFINITY)), s0, s0 + c0));
    pair_store(out + 2, pair_choose(pair_equals(pair_abs(s1), pair_of(INFINITY)), s1, s1 + c1));
}

/* A sum that is infinite on the way makes the mean another one. */
static void mean_of_four(double *out, const double *v, size_t len)
{
    pair s0 = pair_load(v), s1 = pair_load(v + 2), c0 = pair_of(0), c1 = c0;
    pair n = pair_of((double)len);
    pair_mask infinite = {0, 0};

    for (size_t k = 1; k < len; k++) {
        kahan_pair(pair_load(v + k), &s0, &c0);
        kahan_pair(pair_load(v + k + 2), &s1, &c1);
        infinite |= pair_equals(pair_abs(s0), pair_of(INFINITY)) |
                    pair_equals(pair_abs(s1), pair_of(INFINITY));
    }
    pair_store(out, s0 / n + c0 / n);
    pair_store(out + 2, s1 / n + c1 / n);
    if (!mask_any(infinite)) return;
    for (size_t k = 0; k < 4; k++) out[k] = mean_of(v + k, len);
}

/* Windows that a function takes four at a time, or one by one. */
static void by_lanes(const struct range_columns *col,
                     void (*four)(double *out, const double *v, size_t len),
                     double (*one)(const double *v, size_t n))
{
    const struct edges *e = col->edges;

    for (size_t k = 0; k < e->n_runs; k++) {
        size_t i = e->runs[k].from, to = e->runs[k].to, len = e->hi[i] - e->lo[i];
        for (; e->runs[k].unit && i + 4 <= to; i += 4) four(col->out + i, col->v + e->lo[i], len);
        for (; i < to; i++) col->out[i] = one(col->v + e->lo[i], e->hi[i] - e->lo[i]);
    }
}

bool sum_columns(struct range_call *rc, const struct range_columns *col)
{
    const struct edges *e = col->edges;
    double *sums = rc->scratch;

    if (!whole_sums(sums, col->v, col->n)) {
        by_lanes(col, sum_of_four, sum_of);
        return true;
    }
    FOR_EACH_EDGE(i, e) col->out[i] = sums[e->hi[i]] - sums[e->lo[i]];
    return true;
}

bool avg_columns(struct range_call *rc, const struct range_columns *col)
{
    const struct edges *e = col->edges;
    double *sums = rc->scratch;

    if (!whole_sums(sums, col->v, col->n)) {
        by_lanes(col, mean_of_four, mean_of);
        return true;
    }
    FOR_EACH_EDGE(i, e) {
        double n = (double)(e->hi[i] - e->lo[i]);
        col->out[i] = (sums[e->hi[i]] - sums[e->lo[i]]) / n + 0 / n; /* no compensation */
    }
    return true;
}

/* ---- stddev, stdvar --------------------------------------------------------------- */

double variance_of(const double *v, size_t n)
{
    double mean = 0, c_mean = 0, aux = 0, c_aux = 0;

    for (size_t i = 0; i < n; i++) {
        double delta = v[i] - (mean + c_mean);
        kahan_add(delta / (double)(i + 1), &mean, &c_mean);
        kahan_add(delta * (v[i] - (mean + c_mean)), &aux, &c_aux);
    }
    return (aux + c_aux) / (double)n;
}

struct spread {
    pair mean, c_mean, aux, c_aux;
};

static inline void spread_add(struct spread *s, pair x, pair n)
{
    pair delta = x - (s->mean + s->c_mean);

    kahan_pair(delta / n, &s->mean, &s->c_mean);
    kahan_pair(delta * (x - (s->mean + s->c_mean)), &s->aux, &s->c_aux);
}

static void variance_of_four(double *out, const double *v, size_t len)
{
    struct spread a = {0}, b = {0};

    for (size_t k = 0; k < len; k++) {
        pair n = pair_of((double)(k + 1));
        spread_add(&a, pair_load(v + k), n);
        spread_add(&b, pair_load(v + k + 2), n);
    }
    pair_store(out, (a.aux + a.c_aux) / pair_of((double)len));
    pair_store(out + 2, (b.aux + b.c_aux) / pair_of((double)len));
}

bool stdvar_columns(struct range_call *rc, const struct range_columns *col)
{
    (void)rc;
    by_lanes(col, variance_of_four, variance_of);
    return true;
}

bool stddev_columns(struct range_call *rc, const struct range_columns *col)
{
    (void)stdvar_columns(rc, col);
    FOR_EACH_EDGE(i, col->edges) col->out[i] = sqrt(col->out[i]);
    return true;
}

/* ---- quantile --------------------------------------------------------------------- */

/* The first of n ascending values that is not below x. */
static size_t rank_of(const double *sorted, size_t n, double x)
{
    size_t from = 0;

    while (n > 0) {
        size_t half = n / 2;
        bool below = sorted[from + half] < x;
        from = below ? from + half + 1 : from;
        n = below ? n - half - 1 : half;
    }
    return from;
}

static void sorted_put(double *sorted, size_t n, double x)
{
    size_t at = rank_of(sorted, n, x);

    memmove(sorted + at + 1, sorted + at, (n - at) * sizeof(*sorted));
    sorted[at] = x;
}

static void sorted_take(double *sorted, size_t n, double x)
{
    size_t at = rank_of(sorted, n, x);

    memmove(sorted + at, sorted + at + 1, (n - at - 1) * sizeof(*sorted));
}

static bool has_negative_zero(const double *v, size_t n)
{
    bool found = false;

    for (size_t k = 0; k < n; k++) found |= v[k] == 0 && signbit(v[k]);
    return found;
}

/* A window longer than this moves too much: sorting each is no slower. */
enum { SORTED_MAX = 4096 };

static bool can_sort(const struct range_columns *col)
{
    const struct edges *e = col->edges;

    if (col->may_be_nan || has_negative_zero(col->v, col->n)) return false;
    FOR_EACH_EDGE(i, e) {
        double q = col->args[0][i];
        if (!(q >= 0 && q <= 1) || e->hi[i] - e->lo[i] > SORTED_MAX) return false;
    }
    return true;
}

bool quantile_columns(struct range_call *rc, const struct range_columns *col)
{
    const struct edges *e = col->edges;
    double *sorted = rc->scratch;
    uint32_t lo = 0, hi = 0;

    if (!can_sort(col)) return false;
    FOR_EACH_EDGE(i, e) {
        if (e->lo[i] >= hi) lo = hi = e->lo[i];
        for (; lo < e->lo[i]; lo++) sorted_take(sorted, hi - lo, col->v[lo]);
        for (; hi < e->hi[i]; hi++) sorted_put(sorted, hi - lo, col->v[hi]);
        col->out[i] = quantile_of_sorted(col->args[0][i], sorted, hi - lo);
    }
    return true;
}
