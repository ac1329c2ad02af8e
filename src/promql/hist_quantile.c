/* Reading native histograms. See hist_quantile.h.
 *
 * The zero bucket of a histogram that has buckets on one side only is taken to end at zero
 * on the other side; the first custom bucket begins at zero when its bound is positive, as
 * that of a classic histogram does. Other buckets without an end have nothing inside that
 * could be told apart.
 */
#include "promql/hist_quantile.h"

#include <math.h>

#include "model/histogram_buckets.h"
#include "promql/annotations.h"
#include "promql/quantile.h"

/* A bucket of custom bounds that begins nowhere begins at zero if that is below its end. */
static void begin_at_zero(const struct histogram *h, struct hist_bucket *b)
{
    if (h->schema == HIST_SCHEMA_CUSTOM && isinf(b->lower) && b->lower < 0 && b->upper > 0) {
        b->lower = 0;
    }
}

static void halve_zero_bucket(const struct histogram *h, struct hist_bucket *b)
{
    if (h->neg.n_counts == 0 && h->pos.n_counts > 0) b->lower = 0;
    else if (h->pos.n_counts == 0 && h->neg.n_counts > 0) b->upper = 0;
}

/* Where in the bucket the given part of its observations is below. */
static double value_inside(const struct histogram *h, const struct hist_bucket *b, double part)
{
    if (h->schema == HIST_SCHEMA_CUSTOM || (b->lower <= 0 && b->upper >= 0)) {
        return b->lower + (b->upper - b->lower) * part;
    }
    double low = log2(fabs(b->lower)), high = log2(fabs(b->upper));
    if (b->lower > 0) return exp2(low + (high - low) * part);
    return -exp2(high + (low - high) * (1 - part));
}

/* The first bucket, from either end, at which rank is reached, and the count up to it. */
static double find_rank(const struct histogram *h, double rank, bool descending,
                        struct hist_bucket *out)
{
    struct hist_buckets walk;
    struct hist_bucket b;
    double count = 0;

    *out = (struct hist_bucket){0};
    hist_buckets_begin(&walk, h, descending);
    while (hist_buckets_next(&walk, &b)) {
        if (b.count == 0) continue;
        *out = b;
        count += b.count;
        if (count >= rank) break;
    }
    return count;
}

double histogram_quantile(double q, const struct histogram *h, enum hist_nans *nans)
{
    struct hist_bucket b;

    *nans = HIST_NANS_NONE;
    if (q < 0) return -INFINITY;
    if (q > 1) return INFINITY;
    if (h->count == 0 || isnan(q)) return NAN;

    /* From the nearer end; NaN observations make the upper end unknown. */
    bool forward = isnan(h->sum) || q < 0.5;
    double rank = forward ? q * h->count : (1 - q) * h->count;
    double count = find_rank(h, rank, !forward, &b);
    if (h->schema == HIST_SCHEMA_CUSTOM) {
        begin_at_zero(h, &b);
        if (isinf(b.lower) && b.lower < 0) return b.upper;
        if (isinf(b.upper) && b.upper > 0) return b.lower;
    } else if (b.lower < 0 && b.upper > 0) {
        halve_zero_bucket(h, &b);
    }
    if (count > h->count) count = h->count; /* sums of rates are not exact */
    if (count < rank) {
        if (!isnan(h->sum)) return b.upper;
        *nans = HIST_NANS_RESULT;
        return NAN;
    }
    if (isnan(h->sum)) *nans = HIST_NANS_SKEW;
    double inside = forward ? rank - (count - b.count) : count - rank;
    return value_inside(h, &b, inside / b.count);
}

/* ---- fractions -------------------------------------------------------------------- */

/* Observations at or below v, which lies inside the bucket; rank of them are before it.
 * A bucket without end has all of them at its known one. */
static double rank_inside(const struct histogram *h, const struct hist_bucket *b, bool zero,
                          double rank, double v)
{
    if (h->schema == HIST_SCHEMA_CUSTOM || zero) {
        if (isinf(b->lower)) return b->count;
        return rank + b->count * (v - b->lower) / (b->upper - b->lower);
    }
    double low = log2(fabs(b->lower)), high = log2(fabs(b->upper)), at = log2(fabs(v));
    double part = v > 0 ? (at - low) / (high - low) : 1 - (at - high) / (low - high);
    return rank + b->count * part;
}

struct edge {
    double at, rank;
    bool set;
};

static void pass_edge(const struct histogram *h, struct edge *e, const struct hist_bucket *b,
                      bool zero, double rank)
{
    if (e->set) return;
    if (b->lower >= e->at) {
        e->rank = rank;
        e->set = true;
    } else if (b->upper > e->at) {
        e->rank = rank_inside(h, b, zero, rank, e->at);
        e->set = true;
    }
}

static double count_in_buckets(const struct histogram *h)
{
    struct hist_buckets walk;
    struct hist_bucket b;
    double count = 0;

    hist_buckets_begin(&walk, h, false);
    while (hist_buckets_next(&walk, &b)) count += b.count;
    return count;
}

double histogram_fraction(double lower, double upper, const struct histogram *h,
                          enum hist_nans *nans)
{
    struct edge low = {.at = lower}, high = {.at = upper};
    struct hist_buckets walk;
    struct hist_bucket b;
    double rank = 0, count = h->count;

    *nans = HIST_NANS_NONE;
    if (h->count == 0 || isnan(lower) || isnan(upper)) return NAN;
    if (lower >= upper) return 0;
    hist_buckets_begin(&walk, h, false);
    while (!(low.set && high.set) && hist_buckets_next(&walk, &b)) {
        bool zero = b.lower <= 0 && b.upper >= 0;
        if (h->schema == HIST_SCHEMA_CUSTOM) begin_at_zero(h, &b);
        else if (zero) halve_zero_bucket(h, &b);
        pass_edge(h, &low, &b, zero, rank);
        pass_edge(h, &high, &b, zero, rank);
        rank += b.count;
    }
    if (isnan(h->sum)) {
        count = count_in_buckets(h);
        if (count < h->count) *nans = HIST_NANS_LEFT_OUT;
    }
    if (!low.set || low.rank > count) low.rank = count;
    if (!high.set || high.rank > count) high.rank = count;
    return (high.rank - low.rank) / h->count;
}

/* ---- spread ----------------------------------------------------------------------- */

/* Where the observations of a bucket are taken to be: the middle between custom bounds,
 * the middle exponent between exponential ones, 0 around zero. */
static double bucket_middle(const struct histogram *h, const struct hist_bucket *b)
{
    if (h->schema == HIST_SCHEMA_CUSTOM) return (b->upper + b->lower) / 2;
    if (b->lower <= 0 && b->upper >= 0) return 0;
    double middle = sqrt(b->upper * b->lower);
    return b->upper < 0 ? -middle : middle;
}

double histogram_variance(const struct histogram *h)
{
    struct hist_buckets walk;
    struct hist_bucket b;
    double mean = h->sum / h->count, sum = 0, c = 0;

    hist_buckets_begin(&walk, h, false);
    while (hist_buckets_next(&walk, &b)) {
        if (b.count == 0) continue;
        double delta = bucket_middle(h, &b) - mean;
        kahan_add(b.count * delta * delta, &sum, &c);
    }
    return (sum + c) / h->count;
}

/* ---- text ------------------------------------------------------------------------- */

void histogram_text(struct strbuf *out, const struct histogram *h)
{
    struct hist_buckets walk;
    struct hist_bucket b;
    char first[40], second[40], third[40];

    strbuf_printf(out, "{count:%s, sum:%s", go_float(first, h->count), go_float(second, h->sum));
    hist_buckets_begin(&walk, h, false);
    while (hist_buckets_next(&walk, &b)) {
        if (b.count == 0) continue;
        strbuf_printf(out, ", %c%s,%s%c:%s", b.lower_closed ? '[' : '(', go_float(first, b.lower),
                      go_float(second, b.upper), b.upper_closed ? ']' : ')',
                      go_float(third, b.count));
    }
    strbuf_char(out, '}');
}
