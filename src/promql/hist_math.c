/* Arithmetic on native histograms: see hist_math.h. */
#include "promql/hist_math.h"

#include <math.h>

#include "promql/quantile.h"

static bool change_side(struct hist_side *side, struct arena *arena, double x, bool divide)
{
    double *counts = arena_try_array(arena, side->n_counts + 1, sizeof(*counts));

    if (!counts) return false;
    for (size_t i = 0; i < side->n_counts; i++) {
        counts[i] = divide ? side->counts[i] / x : side->counts[i] * x;
    }
    side->counts = counts;
    return true;
}

static const struct histogram *change(struct arena *arena, const struct histogram *h, double x,
                                      bool divide)
{
    struct histogram *out = arena_try(arena, sizeof(*out));

    if (!out) return NULL;
    *out = *h;
    out->is_int = false;
    out->reset = HIST_GAUGE;
    out->zero_count = divide ? h->zero_count / x : h->zero_count * x;
    out->count = divide ? h->count / x : h->count * x;
    out->sum = divide ? h->sum / x : h->sum * x;
    if (!change_side(&out->pos, arena, x, divide) || !change_side(&out->neg, arena, x, divide)) {
        return NULL;
    }
    return out;
}

const struct histogram *histogram_scaled(struct arena *arena, const struct histogram *h,
                                         double factor)
{
    return change(arena, h, factor, false);
}

const struct histogram *histogram_divided(struct arena *arena, const struct histogram *h,
                                          double by)
{
    return change(arena, h, by, true);
}

/* ---- spread ----------------------------------------------------------------------- */

/* Where the observations of a bucket are taken to be: at the middle, of the exponents
 * for exponential buckets (0 in the bucket around zero). */
static double bucket_middle(double lower, double upper, bool linear)
{
    if (linear) return (upper + lower) / 2;
    if (lower <= 0 && upper >= 0) return 0;
    double middle = sqrt(fabs(lower * upper));
    return lower < 0 ? -middle : middle;
}

struct spread {
    double mean, sum, c;
};

static void spread_add(struct spread *s, double count, double lower, double upper, bool linear)
{
    double delta = bucket_middle(lower, upper, linear) - s->mean;

    if (count != 0) kahan_add(count * delta * delta, &s->sum, &s->c);
}

static double custom_bound(const struct histogram *h, int64_t i)
{
    if (i < 0) return h->n_custom && h->custom[0] > 0 ? 0 : -INFINITY;
    return (size_t)i < h->n_custom ? h->custom[i] : INFINITY;
}

static void spread_side(struct spread *s, const struct histogram *h, const struct hist_side *side,
                        int sign)
{
    bool custom = h->schema == HIST_SCHEMA_CUSTOM;
    int64_t idx = 0;
    size_t at = 0;

    for (size_t i = 0; i < side->n_spans; i++) {
        idx += side->spans[i].offset;
        for (uint32_t k = 0; k < side->spans[i].n && at < side->n_counts; k++, idx++, at++) {
            double upper = custom ? custom_bound(h, idx) : exp2(ldexp((double)idx, -h->schema));
            double lower =
                custom ? custom_bound(h, idx - 1) : exp2(ldexp((double)idx - 1, -h->schema));
            if (sign < 0) spread_add(s, side->counts[at], -upper, -lower, custom);
            else spread_add(s, side->counts[at], lower, upper, custom);
        }
    }
}

double histogram_variance(const struct histogram *h)
{
    struct spread s = {.mean = h->sum / h->count};

    spread_side(&s, h, &h->neg, -1);
    spread_add(&s, h->zero_count, -h->zero_threshold, h->zero_threshold, false);
    spread_side(&s, h, &h->pos, 1);
    return (s.sum + s.c) / h->count;
}
