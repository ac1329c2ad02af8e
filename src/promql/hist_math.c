/* Sums of native histograms. See hist_math.h.
 *
 * Adding loads the other histogram into a sum of its own (hist_work.other), brings both to
 * one layout, and merges the sorted bucket lists, from the back and in place. When the
 * lists name the same buckets, which is the rule, merging is one loop over the values.
 */
#include "promql/hist_math.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "model/histogram_buckets.h"
#include "promql/quantile.h"

/* ---- numbers ---------------------------------------------------------------------- */

static void add_number(struct hist_number *to, struct hist_number x, int sign, bool compensated)
{
    if (!compensated) {
        to->v += sign * x.v;
        return;
    }
    kahan_add(sign * x.v, &to->v, &to->c);
    to->c += sign * x.c;
}

static double number_value(struct hist_number x)
{
    return isinf(x.v) ? x.v : x.v + x.c;
}

static void scale_number(struct hist_number *x, double factor, bool divide)
{
    x->v = divide ? x->v / factor : x->v * factor;
    x->c = divide ? x->c / factor : x->c * factor;
}

/* ---- bucket lists ----------------------------------------------------------------- */

static bool side_reserve(struct arena *arena, struct hist_sum_side *side, size_t n)
{
    if (n <= side->cap) return true;
    size_t cap = side->cap * 2 > n ? side->cap * 2 : n;
    int32_t *idx = arena_try_array(arena, cap, sizeof(*idx));
    struct hist_number *num = arena_try_array(arena, cap, sizeof(*num));
    if (!idx || !num) return false;
    if (side->n) {
        memcpy(idx, side->idx, side->n * sizeof(*idx));
        memcpy(num, side->num, side->n * sizeof(*num));
    }
    *side = (struct hist_sum_side){idx, num, side->n, cap};
    return true;
}

static bool side_load(struct arena *arena, struct hist_sum_side *to, const struct hist_side *from)
{
    struct hist_cursor cur;
    int64_t idx;
    double count;

    to->n = 0;
    if (!side_reserve(arena, to, from->n_counts)) return false;
    hist_cursor_begin(&cur, from, false);
    while (hist_cursor_next(&cur, &idx, &count)) {
        if (count == 0) continue;
        to->idx[to->n] = (int32_t)idx;
        to->num[to->n++] = (struct hist_number){count, 0};
    }
    return true;
}

static bool side_copy(struct arena *arena, struct hist_sum_side *to,
                      const struct hist_sum_side *from)
{
    to->n = 0;
    if (!side_reserve(arena, to, from->n)) return false;
    to->n = from->n;
    if (from->n) {
        memcpy(to->idx, from->idx, from->n * sizeof(*to->idx));
        memcpy(to->num, from->num, from->n * sizeof(*to->num));
    }
    return true;
}

static size_t count_missing(const struct hist_sum_side *in, const struct hist_sum_side *of)
{
    size_t i = 0, missing = 0;

    for (size_t k = 0; k < of->n; k++) {
        while (i < in->n && in->idx[i] < of->idx[k]) i++;
        if (i == in->n) return missing + of->n - k;
        if (in->idx[i] != of->idx[k]) missing++;
    }
    return missing;
}

/* From the back, so that what moves never overtakes what is still to be read. */
static void merge_backward(struct hist_sum_side *to, const struct hist_sum_side *from,
                           size_t missing, int sign, bool compensated)
{
    size_t i = to->n, w = to->n + missing;

    to->n += missing;
    for (size_t k = from->n; k-- > 0;) {
        while (i > 0 && to->idx[i - 1] > from->idx[k]) {
            w--;
            i--;
            to->idx[w] = to->idx[i];
            to->num[w] = to->num[i];
        }
        w--;
        bool both = i > 0 && to->idx[i - 1] == from->idx[k];
        struct hist_number num = both ? to->num[--i] : (struct hist_number){0};
        add_number(&num, from->num[k], sign, compensated);
        to->idx[w] = from->idx[k];
        to->num[w] = num;
    }
}

static bool side_add(struct arena *arena, struct hist_sum_side *to,
                     const struct hist_sum_side *from, int sign, bool compensated)
{
    if (from->n == 0) return true;
    if (to->n == from->n && memcmp(to->idx, from->idx, to->n * sizeof(*to->idx)) == 0) {
        for (size_t i = 0; i < to->n; i++) {
            add_number(&to->num[i], from->num[i], sign, compensated);
        }
        return true;
    }
    size_t missing = count_missing(to, from);
    if (!side_reserve(arena, to, to->n + missing)) return false;
    merge_backward(to, from, missing, sign, compensated);
    return true;
}

/* Appends to the n buckets that are kept, or to the last of them. */
static size_t keep_bucket(struct hist_sum_side *side, size_t n, int32_t idx,
                          struct hist_number num, bool compensated)
{
    if (n > 0 && side->idx[n - 1] == idx) {
        add_number(&side->num[n - 1], num, 1, compensated);
        return n;
    }
    side->idx[n] = idx;
    side->num[n] = num;
    return n + 1;
}

static void side_scale(struct hist_sum_side *side, double factor, bool divide)
{
    for (size_t i = 0; i < side->n; i++) scale_number(&side->num[i], factor, divide);
}

/* ---- layouts ---------------------------------------------------------------------- */

static void side_reduce(struct hist_sum_side *side, int32_t by, bool compensated)
{
    size_t n = 0;

    for (size_t i = 0; i < side->n; i++) {
        int32_t idx = (int32_t)((((int64_t)side->idx[i] - 1) >> by) + 1);
        n = keep_bucket(side, n, idx, side->num[i], compensated);
    }
    side->n = n;
}

void hist_sum_reduce(struct hist_sum *sum, int32_t schema)
{
    if (sum->schema == HIST_SCHEMA_CUSTOM || schema >= sum->schema) return;
    side_reduce(&sum->pos, sum->schema - schema, sum->compensated);
    side_reduce(&sum->neg, sum->schema - schema, sum->compensated);
    sum->schema = schema;
}

void hist_sum_map_custom(struct hist_sum *sum, const double *bounds, size_t n)
{
    size_t kept = 0, at = 0;

    for (size_t i = 0; i < sum->pos.n; i++) {
        size_t idx = (size_t)sum->pos.idx[i];
        double upper = idx < sum->n_custom ? sum->custom[idx] : INFINITY;
        while (at < n && bounds[at] < upper) at++;
        kept = keep_bucket(&sum->pos, kept, (int32_t)at, sum->pos.num[i], sum->compensated);
    }
    sum->pos.n = kept;
    sum->custom = bounds;
    sum->n_custom = n;
}

/* How many bounds both have, and which, unless out is NULL. */
static size_t intersect(const struct hist_sum *a, const struct hist_sum *b, double *out)
{
    size_t n = 0, i = 0, k = 0;

    while (i < a->n_custom && k < b->n_custom) {
        double x = a->custom[i], y = b->custom[k];
        if (x == y && out) out[n] = x;
        n += x == y;
        i += x <= y;
        k += y <= x;
    }
    return n;
}

const double *hist_common_bounds(struct arena *arena, const struct hist_sum *a,
                                 const struct hist_sum *b, size_t *n)
{
    *n = intersect(a, b, NULL);
    if (*n && *n == a->n_custom) return a->custom;
    if (*n && *n == b->n_custom) return b->custom;
    double *out = arena_try_array(arena, *n + 1, sizeof(*out));
    if (out) (void)intersect(a, b, out);
    return out;
}

bool hist_bounds_equal(const double *a, size_t n_a, const double *b, size_t n_b)
{
    if (n_a != n_b) return false;
    for (size_t i = 0; i < n_a; i++) {
        if (a[i] != b[i]) return false;
    }
    return true;
}

/* How far the zero bucket must reach so that it cuts no bucket of the side that is not
 * empty. */
static double reach_over(const struct hist_sum_side *side, int32_t schema, double threshold)
{
    for (size_t i = 0; i < side->n; i++) {
        if (histogram_exponential(schema, (int64_t)side->idx[i] - 1) >= threshold) break;
        double upper = histogram_exponential(schema, side->idx[i]);
        if (upper > threshold && side->num[i].v != 0) return upper;
    }
    return threshold;
}

/* Moves the buckets that begin below the threshold into the zero bucket. */
static void side_to_zero(struct hist_sum *sum, struct hist_sum_side *side)
{
    size_t n = 0;

    while (n < side->n &&
           histogram_exponential(sum->schema, (int64_t)side->idx[n] - 1) < sum->zero_threshold) {
        add_number(&sum->zero, side->num[n++], 1, sum->compensated);
    }
    side->n -= n;
    if (n == 0 || side->n == 0) return;
    memmove(side->idx, side->idx + n, side->n * sizeof(*side->idx));
    memmove(side->num, side->num + n, side->n * sizeof(*side->num));
}

void hist_sum_widen_zero(struct hist_sum *sum, double threshold)
{
    double reach = threshold, last;

    do {
        last = reach;
        reach = reach_over(&sum->pos, sum->schema, reach);
        reach = reach_over(&sum->neg, sum->schema, reach);
    } while (reach != last);
    sum->zero_threshold = reach;
    side_to_zero(sum, &sum->pos);
    side_to_zero(sum, &sum->neg);
}

/* ---- sums ------------------------------------------------------------------------- */

enum hist_outcome hist_sum_set(struct hist_work *w, struct hist_sum *sum,
                               const struct histogram *h)
{
    sum->schema = h->schema;
    sum->reset = h->reset;
    sum->zero_threshold = h->zero_threshold;
    sum->zero = (struct hist_number){h->zero_count, 0};
    sum->count = (struct hist_number){h->count, 0};
    sum->sum = (struct hist_number){h->sum, 0};
    sum->custom = h->custom;
    sum->n_custom = h->n_custom;
    bool good = side_load(w->arena, &sum->pos, &h->pos) && side_load(w->arena, &sum->neg, &h->neg);
    return good ? HIST_DONE : HIST_REFUSED;
}

/* Unknown wins over what is known, a gauge over everything. */
static void mix_resets(struct hist_sum *sum, enum hist_reset other, struct hist_notes *notes)
{
    if (sum->reset == other || sum->reset == HIST_GAUGE) return;
    if (other == HIST_GAUGE) {
        sum->reset = HIST_GAUGE;
        return;
    }
    bool known = sum->reset != HIST_RESET_UNKNOWN && other != HIST_RESET_UNKNOWN;
    notes->reset_collision = notes->reset_collision || known;
    sum->reset = HIST_RESET_UNKNOWN;
}

/* Custom bounds of both to those they share. */
static bool meet_custom(struct hist_work *w, struct hist_sum *sum, struct hist_sum *other,
                        struct hist_notes *notes)
{
    if (hist_bounds_equal(sum->custom, sum->n_custom, other->custom, other->n_custom)) return true;
    size_t n;
    const double *bounds = hist_common_bounds(w->arena, sum, other, &n);
    if (!bounds) return false;
    hist_sum_map_custom(sum, bounds, n);
    hist_sum_map_custom(other, bounds, n);
    notes->reconciled = true;
    return true;
}

static void meet_exponential(struct hist_sum *sum, struct hist_sum *other)
{
    while (sum->zero_threshold != other->zero_threshold) {
        bool wider = sum->zero_threshold > other->zero_threshold;
        struct hist_sum *narrow = wider ? other : sum;
        double threshold = wider ? sum->zero_threshold : other->zero_threshold;
        if (!(narrow->zero_threshold < threshold)) return; /* NaN: nothing to bring together */
        hist_sum_widen_zero(narrow, threshold);
    }
    hist_sum_reduce(sum, other->schema);
    hist_sum_reduce(other, sum->schema);
}

/* Adds w->other, which may be changed. */
static enum hist_outcome add_other(struct hist_work *w, struct hist_sum *sum, int sign,
                                   struct hist_notes *notes)
{
    struct hist_sum *other = &w->other;
    bool custom = sum->schema == HIST_SCHEMA_CUSTOM, kahan = sum->compensated;

    if (custom != (other->schema == HIST_SCHEMA_CUSTOM)) return HIST_MIXED;
    mix_resets(sum, other->reset, notes);
    if (custom && !meet_custom(w, sum, other, notes)) return HIST_REFUSED;
    if (!custom) meet_exponential(sum, other);
    add_number(&sum->zero, other->zero, sign, kahan);
    add_number(&sum->count, other->count, sign, kahan);
    add_number(&sum->sum, other->sum, sign, kahan);
    bool good = side_add(w->arena, &sum->pos, &other->pos, sign, kahan) &&
                side_add(w->arena, &sum->neg, &other->neg, sign, kahan);
    return good ? HIST_DONE : HIST_REFUSED;
}

enum hist_outcome hist_sum_add(struct hist_work *w, struct hist_sum *sum,
                               const struct histogram *h, int sign, struct hist_notes *notes)
{
    w->other.compensated = sum->compensated;
    enum hist_outcome out = hist_sum_set(w, &w->other, h);
    return out == HIST_DONE ? add_other(w, sum, sign, notes) : out;
}

static void change_all(struct hist_sum *sum, double factor, bool divide)
{
    /* Custom buckets have none around zero, and 0 times NaN would be one. */
    if (sum->schema != HIST_SCHEMA_CUSTOM) scale_number(&sum->zero, factor, divide);
    scale_number(&sum->count, factor, divide);
    scale_number(&sum->sum, factor, divide);
    side_scale(&sum->pos, factor, divide);
    side_scale(&sum->neg, factor, divide);
}

void hist_sum_scale(struct hist_sum *sum, double factor)
{
    change_all(sum, factor, false);
    if (factor < 0) sum->reset = HIST_GAUGE;
}

void hist_sum_divide(struct hist_sum *sum, double by)
{
    if (by == 0) sum->pos.n = sum->neg.n = 0; /* else each would be infinite */
    change_all(sum, by, true);
    if (by < 0) sum->reset = HIST_GAUGE;
}

static bool side_value(struct arena *arena, struct hist_side *out, const struct hist_sum_side *side)
{
    size_t n = 0, n_spans = 0;
    struct hist_span *spans = arena_try_array(arena, side->n + 2, sizeof(*spans));
    double *counts = arena_try_array(arena, side->n + 1, sizeof(*counts));

    if (!spans || !counts) return false;
    int64_t next = 0; /* the bucket after the last one */
    for (size_t i = 0; i < side->n; i++) {
        double v = number_value(side->num[i]);
        if (v == 0) continue;
        int64_t gap = side->idx[i] - next;
        if (gap > INT32_MAX) { /* at most once: indices have 32 bits */
            spans[n_spans++] = (struct hist_span){INT32_MAX, 0};
            gap -= INT32_MAX;
        }
        if (n == 0 || gap != 0) spans[n_spans++] = (struct hist_span){(int32_t)gap, 0};
        spans[n_spans - 1].n++;
        next = (int64_t)side->idx[i] + 1;
        counts[n++] = v;
    }
    *out = (struct hist_side){spans, counts, n_spans, n};
    return true;
}

const struct histogram *hist_sum_value(struct arena *arena, const struct hist_sum *sum)
{
    struct histogram *out = arena_try(arena, sizeof(*out));

    if (!out) return NULL;
    *out = (struct histogram){.schema = sum->schema,
                              .reset = sum->reset,
                              .zero_threshold = sum->zero_threshold,
                              .zero_count = number_value(sum->zero),
                              .count = number_value(sum->count),
                              .sum = number_value(sum->sum),
                              .custom = sum->custom,
                              .n_custom = sum->n_custom};
    bool good = side_value(arena, &out->pos, &sum->pos) && side_value(arena, &out->neg, &sum->neg);
    return good ? out : NULL;
}

/* ---- means ------------------------------------------------------------------------ */

static double side_size(const struct hist_sum_side *side)
{
    double size = 0;

    for (size_t i = 0; i < side->n; i++) size += fabs(side->num[i].v);
    return size;
}

/* No part of the sum, however buckets are merged, is larger than this. */
static double sum_size(const struct hist_sum *sum)
{
    return fabs(sum->zero.v) + fabs(sum->count.v) + fabs(sum->sum.v) + side_size(&sum->pos) +
           side_size(&sum->neg);
}

static bool side_overflows(const struct hist_sum_side *side)
{
    for (size_t i = 0; i < side->n; i++) {
        if (isinf(side->num[i].v)) return true;
    }
    return false;
}

static bool sum_overflows(const struct hist_sum *sum)
{
    return isinf(sum->zero.v) || isinf(sum->count.v) || isinf(sum->sum.v) ||
           side_overflows(&sum->pos) || side_overflows(&sum->neg);
}

static bool sum_copy(struct arena *arena, struct hist_sum *to, const struct hist_sum *from)
{
    struct hist_sum_side pos = to->pos, neg = to->neg;

    *to = *from;
    to->pos = pos;
    to->neg = neg;
    return side_copy(arena, &to->pos, &from->pos) && side_copy(arena, &to->neg, &from->neg);
}

static enum hist_outcome add_to_mean(struct hist_work *w, struct hist_mean *mean,
                                     struct hist_notes *notes)
{
    hist_sum_scale(&mean->sum, mean->n / (mean->n + 1));
    hist_sum_divide(&w->other, mean->n + 1);
    return add_other(w, &mean->sum, 1, notes);
}

/* Where adding could overflow it is tried, and taken back when it does. */
static enum hist_outcome add_with_care(struct hist_work *w, struct hist_mean *mean,
                                       const struct histogram *h, struct hist_notes *notes)
{
    struct hist_notes unsaid = *notes;

    if (!sum_copy(w->arena, &w->before, &mean->sum)) return HIST_REFUSED;
    enum hist_outcome out = add_other(w, &mean->sum, 1, notes);
    if (out != HIST_DONE || !sum_overflows(&mean->sum)) return out;
    *notes = unsaid;
    if (!sum_copy(w->arena, &mean->sum, &w->before)) return HIST_REFUSED;
    mean->incremental = true;
    hist_sum_divide(&mean->sum, mean->n);
    out = hist_sum_set(w, &w->other, h);
    return out == HIST_DONE ? add_to_mean(w, mean, notes) : out;
}

enum hist_outcome hist_mean_add(struct hist_work *w, struct hist_mean *mean,
                                const struct histogram *h, struct hist_notes *notes)
{
    enum hist_outcome out;

    mean->sum.compensated = w->other.compensated = true;
    if (mean->n == 0) {
        mean->n = 1;
        return hist_sum_set(w, &mean->sum, h);
    }
    out = hist_sum_set(w, &w->other, h);
    if (out != HIST_DONE) return out;
    if ((mean->sum.schema == HIST_SCHEMA_CUSTOM) != histogram_is_custom(h)) return HIST_MIXED;
    if (mean->incremental) out = add_to_mean(w, mean, notes);
    else if (sum_size(&mean->sum) + sum_size(&w->other) <= DBL_MAX / 2)
        out = add_other(w, &mean->sum, 1, notes);
    else out = add_with_care(w, mean, h, notes);
    mean->n++;
    return out;
}

const struct histogram *hist_mean_value(struct arena *arena, struct hist_mean *mean)
{
    if (!mean->incremental) hist_sum_divide(&mean->sum, mean->n);
    return hist_sum_value(arena, &mean->sum);
}

/* ---- one histogram ---------------------------------------------------------------- */

static const struct histogram *changed(struct hist_work *w, const struct histogram *h, double x,
                                       void (*change)(struct hist_sum *sum, double x))
{
    w->other.compensated = false;
    if (hist_sum_set(w, &w->other, h) != HIST_DONE) return NULL;
    change(&w->other, x);
    return hist_sum_value(w->arena, &w->other);
}

const struct histogram *histogram_scaled(struct hist_work *w, const struct histogram *h,
                                         double factor)
{
    return changed(w, h, factor, hist_sum_scale);
}

const struct histogram *histogram_divided(struct hist_work *w, const struct histogram *h,
                                          double by)
{
    return changed(w, h, by, hist_sum_divide);
}
