/* Trimming native histograms: `h </ x` keeps what is below x, `h >/ x` what is above. See
 * histogram_trim() in hist_math.h.
 *
 * A bucket that x cuts keeps its part, by the same interpolation as quantiles. Count and
 * sum are then put together anew, each bucket with its observations at its middle. Buckets
 * without an end cannot be cut: one that reaches to infinity on the side that goes is
 * dropped, one that does so on the side that stays is kept whole, with x as its middle.
 * The first custom bucket begins at zero when its bound is positive.
 */
#include "promql/hist_math.h"

#include <math.h>
#include <string.h>

#include "model/histogram_buckets.h"

struct trim {
    const struct histogram *h;
    double x;
    bool upper;   /* what is above x goes */
    bool changed;
    double count, sum;
};

/* A bucket's part that stays, and where its observations are taken to be. */
struct kept {
    double count, middle;
};

static double middle_of(double low, double high, bool linear)
{
    if (linear) return (low + high) / 2;
    double middle = sqrt(fabs(low * high));
    return low < 0 ? -middle : middle;
}

/* The part of the bucket below x, which lies inside it. */
static double part_below(const struct hist_bucket *b, double x, bool linear)
{
    if (linear) return (x - b->lower) / (b->upper - b->lower);
    double low = log2(fabs(b->lower)), high = log2(fabs(b->upper)), at = log2(fabs(x));
    return x > 0 ? (at - low) / (high - low) : 1 - (at - high) / (low - high);
}

static struct kept cut(const struct trim *t, const struct hist_bucket *b, bool linear)
{
    if (b->upper <= b->lower) return (struct kept){0, 0};
    double below = part_below(b, t->x, linear);
    if (t->upper) {
        return (struct kept){b->count * below, middle_of(b->lower, t->x, linear)};
    }
    return (struct kept){b->count * (1 - below), middle_of(t->x, b->upper, linear)};
}

/* Exponential buckets, and the one around zero (linear). */
static struct kept trim_bucket(const struct trim *t, const struct hist_bucket *b, bool linear)
{
    struct kept all = {b->count, middle_of(b->lower, b->upper, linear)};

    if (t->upper) {
        if (b->upper <= t->x) return all;
        if (!(b->lower < t->x)) return (struct kept){0, 0};
    } else {
        if (b->lower >= t->x) return all;
        if (!(b->upper > t->x)) return (struct kept){0, 0};
    }
    return cut(t, b, linear);
}

/* Custom buckets, some of which have no end. */
static struct kept trim_custom(const struct trim *t, struct hist_bucket b)
{
    bool from_zero = isinf(b.lower) && b.lower < 0 && b.upper > 0 && !isinf(b.upper);
    struct kept none = {0, 0}, all = {b.count, 0};

    if (isinf(b.lower) && isinf(b.upper)) all.middle = 0;
    else if (isinf(b.upper)) all.middle = b.lower;
    else if (isinf(b.lower) && !from_zero) all.middle = b.upper;
    else all.middle = middle_of(from_zero ? 0 : b.lower, b.upper, true);

    if (t->upper ? b.upper <= t->x : b.lower >= t->x) return all;
    if (t->upper ? !(b.lower < t->x) : !(b.upper > t->x)) return none;
    if (from_zero) {
        b.lower = 0;
        if (t->x < 0 || (t->upper && t->x == 0)) return none;
        return cut(t, &b, true);
    }
    if (isinf(b.upper) && isinf(b.lower)) return none;
    if (isinf(b.upper)) return t->upper ? none : (struct kept){b.count, t->x};
    if (isinf(b.lower)) return t->upper ? (struct kept){b.count, t->x} : none;
    return cut(t, &b, true);
}

static void note(struct trim *t, double before, struct kept kept)
{
    if (kept.count == 0) kept.middle = 0;
    t->changed = t->changed || kept.count != before;
    t->count += kept.count;
    t->sum += kept.count * kept.middle;
}

static void trim_side(struct trim *t, struct hist_sum_side *side, int sign)
{
    const struct histogram *h = t->h;

    for (size_t i = 0; i < side->n; i++) {
        double low = histogram_upper(h, (int64_t)side->idx[i] - 1);
        double high = histogram_upper(h, side->idx[i]);
        struct hist_bucket b = {.lower = low, .upper = high, .count = side->num[i].v};
        if (sign < 0) {
            b.lower = -high;
            b.upper = -low;
        }
        struct kept kept =
            histogram_is_custom(h) ? trim_custom(t, b) : trim_bucket(t, &b, false);
        note(t, b.count, kept);
        side->num[i].v = kept.count;
    }
}

static void trim_zero(struct trim *t, struct hist_sum *sum)
{
    const struct histogram *h = t->h;
    struct hist_bucket b = {
        .lower = -h->zero_threshold, .upper = h->zero_threshold, .count = h->zero_count};

    if (!(h->zero_count > 0)) return;
    if (h->neg.n_counts == 0 && h->pos.n_counts > 0) b.lower = 0;
    if (h->pos.n_counts == 0 && h->neg.n_counts > 0) b.upper = 0;
    struct kept kept = trim_bucket(t, &b, true);
    note(t, b.count, kept);
    sum->zero.v = kept.count;
}

const struct histogram *histogram_trim(struct hist_work *w, const struct histogram *h, double x,
                                       bool upper)
{
    struct trim t = {.h = h, .x = x, .upper = upper};
    struct hist_sum *sum = &w->other;

    sum->compensated = false;
    if (hist_sum_set(w, sum, h) != HIST_DONE) return NULL;
    trim_side(&t, &sum->neg, -1);
    trim_zero(&t, sum);
    trim_side(&t, &sum->pos, 1);
    if (t.changed) {
        sum->count.v = t.count;
        sum->sum.v = t.sum;
    }
    return hist_sum_value(w->arena, sum);
}
