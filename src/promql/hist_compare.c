/* Comparing native histograms: equality, and whether a counter was reset. See hist_math.h.
 *
 * A reset is told by the later histogram's hint. Without one every count is compared: the
 * later histogram must have at least what the earlier one had, in a layout that is not
 * finer, around a zero bucket that is not narrower. The earlier one is brought to the
 * later one's layout for that. Custom bounds are compared as far as both have them.
 */
#include "promql/hist_math.h"

#include <string.h>

#include "model/histogram_buckets.h"

static bool same_bits(double a, double b)
{
    return memcmp(&a, &b, sizeof(a)) == 0;
}

/* The same buckets with the same counts, however the spans are cut. */
static bool same_side(const struct hist_side *a, const struct hist_side *b)
{
    struct hist_cursor ca, cb;
    int64_t ia, ib;
    double va, vb;

    if (a->n_counts != b->n_counts) return false;
    hist_cursor_begin(&ca, a, false);
    hist_cursor_begin(&cb, b, false);
    while (hist_cursor_next(&ca, &ia, &va) && hist_cursor_next(&cb, &ib, &vb)) {
        if (ia != ib || !same_bits(va, vb)) return false;
    }
    return true;
}

bool histogram_same(const struct histogram *a, const struct histogram *b)
{
    return a->schema == b->schema && same_bits(a->count, b->count) && same_bits(a->sum, b->sum) &&
           hist_bounds_equal(a->custom, a->n_custom, b->custom, b->n_custom) &&
           a->zero_threshold == b->zero_threshold && same_bits(a->zero_count, b->zero_count) &&
           same_side(&a->neg, &b->neg) && same_side(&a->pos, &b->pos);
}

/* ---- resets ----------------------------------------------------------------------- */

/* Some bucket of prev is larger than that of h, which the side need not have. */
static bool side_shrank(const struct hist_sum_side *h, const struct hist_sum_side *prev)
{
    size_t i = 0;

    for (size_t k = 0; k < prev->n; k++) {
        while (i < h->n && h->idx[i] < prev->idx[k]) i++;
        bool both = i < h->n && h->idx[i] == prev->idx[k];
        if (both ? h->num[i].v < prev->num[k].v : prev->num[k].v != 0) return true;
    }
    return false;
}

static enum hist_outcome custom_reset(struct hist_work *w, const struct histogram *h,
                                      const struct histogram *prev, bool *reset)
{
    struct hist_sum *now = &w->other, *old = &w->before;

    if (!hist_bounds_equal(h->custom, h->n_custom, prev->custom, prev->n_custom)) {
        size_t n;
        const double *bounds = hist_common_bounds(w->arena, now, old, &n);
        if (!bounds) return HIST_REFUSED;
        hist_sum_map_custom(now, bounds, n);
        hist_sum_map_custom(old, bounds, n);
    }
    *reset = side_shrank(&now->pos, &old->pos);
    return HIST_DONE;
}

static bool exponential_reset(struct hist_work *w, const struct histogram *h)
{
    struct hist_sum *now = &w->other, *old = &w->before;

    if (now->schema > old->schema || now->zero_threshold < old->zero_threshold) return true;
    if (now->zero_threshold > old->zero_threshold) {
        hist_sum_widen_zero(old, now->zero_threshold);
        if (old->zero_threshold != now->zero_threshold) return true; /* it cut a bucket */
    }
    if (h->zero_count < old->zero.v) return true;
    hist_sum_reduce(old, now->schema);
    return side_shrank(&now->pos, &old->pos) || side_shrank(&now->neg, &old->neg);
}

enum hist_outcome histogram_is_reset(struct hist_work *w, const struct histogram *h,
                                     const struct histogram *prev, bool *reset)
{
    if (h->reset == HIST_RESET_YES || h->reset == HIST_RESET_NO) {
        *reset = h->reset == HIST_RESET_YES;
        return HIST_DONE;
    }
    *reset = h->count < prev->count || histogram_is_custom(h) != histogram_is_custom(prev);
    if (*reset) return HIST_DONE;
    w->other.compensated = w->before.compensated = false;
    if (hist_sum_set(w, &w->other, h) != HIST_DONE) return HIST_REFUSED;
    if (hist_sum_set(w, &w->before, prev) != HIST_DONE) return HIST_REFUSED;
    if (histogram_is_custom(h)) return custom_reset(w, h, prev, reset);
    *reset = exponential_reset(w, h);
    return HIST_DONE;
}
