/* Bounds and walks. See histogram_buckets.h.
 *
 * Prometheus keeps the bounds of an octave as a table in which the square root of two, and
 * what is made from it, is one bit low. The table is a product chain: the bound at fraction
 * j / 2^s is that of its even neighbour times 2^(2^-s). So eight factors give all of it
 * back, bit for bit, one multiplication for each bit that is set in j.
 */
#include "model/histogram_buckets.h"

#include <float.h>
#include <math.h>

/* 2^(2^-s), nearest doubles but for the first, which is the one below. */
static const double root_of_two[HIST_SCHEMA_MAX + 1] = {
    2,
    0x1.6a09e667f3bccp+0,
    0x1.306fe0a31b715p+0,
    0x1.172b83c7d517bp+0,
    0x1.0b5586cf9890fp+0,
    0x1.059b0d3158574p+0,
    0x1.02c9a3e778061p+0,
    0x1.0163da9fb3335p+0,
    0x1.00b1afa5abcbfp+0,
};

enum { EXPONENT_END = 1024, EXPONENT_FAR = 5000 }; /* far: 0 or infinity for any double */

static double power_of_two(double fraction, int64_t exponent)
{
    if (fraction == 1 && exponent == EXPONENT_END) return DBL_MAX;
    if (exponent > EXPONENT_FAR) exponent = EXPONENT_FAR;
    if (exponent < -EXPONENT_FAR) exponent = -EXPONENT_FAR;
    return ldexp(fraction, (int)exponent);
}

double histogram_exponential(int32_t schema, int64_t idx)
{
    if (schema <= 0) return power_of_two(1, idx * (INT64_C(1) << -schema));
    int64_t per_octave = INT64_C(1) << schema;
    int64_t rest = idx & (per_octave - 1);
    double fraction = 1;
    for (int32_t s = 1; s <= schema; s++) {
        if (rest >> (schema - s) & 1) fraction *= root_of_two[s];
    }
    return power_of_two(fraction, (idx - rest) / per_octave);
}

double histogram_upper(const struct histogram *h, int64_t idx)
{
    if (h->schema != HIST_SCHEMA_CUSTOM) return histogram_exponential(h->schema, idx);
    if (idx < 0) return -INFINITY;
    return (uint64_t)idx < h->n_custom ? h->custom[idx] : INFINITY;
}

/* ---- one side --------------------------------------------------------------------- */

void hist_cursor_begin(struct hist_cursor *cur, const struct hist_side *side, bool backward)
{
    *cur = (struct hist_cursor){.side = side, .backward = backward};
    if (!backward) return;
    cur->span = side->n_spans;
    cur->at = side->n_counts;
    for (size_t i = 0; i < side->n_spans; i++) {
        cur->idx += (int64_t)side->spans[i].offset + side->spans[i].n;
    }
}

static bool step_back(struct hist_cursor *cur, int64_t *idx, double *count)
{
    const struct hist_side *side = cur->side;

    while (cur->left == 0) {
        if (cur->entered) cur->idx -= side->spans[cur->span].offset;
        if (cur->span == 0) {
            cur->entered = false;
            return false;
        }
        cur->left = side->spans[--cur->span].n;
        cur->entered = true;
    }
    cur->left--;
    *idx = --cur->idx;
    *count = side->counts[--cur->at];
    return true;
}

bool hist_cursor_next(struct hist_cursor *cur, int64_t *idx, double *count)
{
    const struct hist_side *side = cur->side;

    if (cur->backward) return step_back(cur, idx, count);
    while (cur->left == 0) {
        if (cur->span == side->n_spans) return false;
        cur->idx += side->spans[cur->span].offset;
        cur->left = side->spans[cur->span++].n;
    }
    cur->left--;
    *idx = cur->idx++;
    *count = side->counts[cur->at++];
    return true;
}

/* ---- all of it -------------------------------------------------------------------- */

static void enter_part(struct hist_buckets *walk, int part)
{
    walk->part = part;
    if (part == -1) hist_cursor_begin(&walk->cur, &walk->h->neg, !walk->descending);
    if (part == 1) hist_cursor_begin(&walk->cur, &walk->h->pos, walk->descending);
}

void hist_buckets_begin(struct hist_buckets *walk, const struct histogram *h, bool descending)
{
    *walk = (struct hist_buckets){.h = h, .descending = descending};
    enter_part(walk, descending ? 1 : -1);
}

static void bucket_of(const struct hist_buckets *walk, int64_t idx, double count,
                      struct hist_bucket *out)
{
    const struct histogram *h = walk->h;
    double low = histogram_upper(h, idx - 1), high = histogram_upper(h, idx);

    if (h->schema == HIST_SCHEMA_CUSTOM) {
        *out = (struct hist_bucket){low, high, count, idx == 0, true};
        return;
    }
    if (low < h->zero_threshold) low = h->zero_threshold;
    if (walk->part > 0) *out = (struct hist_bucket){low, high, count, false, true};
    else *out = (struct hist_bucket){-high, -low, count, true, false};
}

bool hist_buckets_next(struct hist_buckets *walk, struct hist_bucket *out)
{
    const struct histogram *h = walk->h;
    int step = walk->descending ? -1 : 1;

    while (walk->part >= -1 && walk->part <= 1) {
        int64_t idx;
        double count;
        if (walk->part != 0) {
            if (hist_cursor_next(&walk->cur, &idx, &count)) {
                bucket_of(walk, idx, count, out);
                return true;
            }
            enter_part(walk, walk->part + step);
            continue;
        }
        enter_part(walk, step);
        if (!(h->zero_count > 0)) continue;
        double t = h->zero_threshold;
        *out = (struct hist_bucket){-t, t, h->zero_count, true, true};
        return true;
    }
    return false;
}
