/* Quantiles: see quantile.h. A classic histogram is a list of cumulative counts; its
 * quantile is found by interpolating inside the bucket where the rank falls, taking the
 * lowest bucket to begin at 0 unless its bound is not positive, and nothing at all about
 * the highest, which ends at infinity.
 *
 * Counts that decrease from bucket to bucket come from races between scrapes. Tiny
 * decreases (and increases) are rounding of rates and are flattened silently; larger ones
 * are flattened and reported.
 */
#include "promql/quantile.h"

#include <float.h>
#include <stdlib.h>

/* Differences below this part of the sum are rounding (Prometheus' tolerance). */
#define SMALL_DELTA 1e-12

void mean_first(struct mean *m, double x)
{
    *m = (struct mean){.n = 1, .sum = x};
}

void mean_add(struct mean *m, double x)
{
    m->n++;
    if (!m->incremental) {
        double sum = m->sum, c = m->c;
        kahan_add(x, &sum, &c);
        if (!isinf(sum)) {
            m->sum = sum;
            m->c = c;
            return;
        }
        m->incremental = true;
        m->mean = m->sum / (m->n - 1);
        m->c /= m->n - 1;
    }
    /* An infinite mean stays: only NaN and the other infinity can change it. */
    if (isinf(m->mean)) {
        if (isinf(x) && (m->mean > 0) == (x > 0)) return;
        if (isfinite(x)) return;
    }
    double q = (m->n - 1) / m->n;
    double mean = q * m->mean, c = q * m->c;
    kahan_add(x / m->n, &mean, &c);
    m->mean = mean;
    m->c = c;
}

double mean_value(const struct mean *m)
{
    return m->incremental ? m->mean + m->c : m->sum / m->n + m->c / m->n;
}

static int compare_values(const void *pa, const void *pb)
{
    double a = *(const double *)pa, b = *(const double *)pb;

    if (isnan(a)) return isnan(b) ? 0 : -1;
    if (isnan(b)) return 1;
    return a < b ? -1 : a > b;
}

void sort_values(double *v, size_t n)
{
    if (n > 1) qsort(v, n, sizeof(*v), compare_values);
}

double quantile_of(double q, double *v, size_t n)
{
    if (n == 0 || isnan(q)) return NAN;
    if (q < 0) return -INFINITY;
    if (q > 1) return INFINITY;
    sort_values(v, n);
    return quantile_of_sorted(q, v, n);
}

double quantile_of_sorted(double q, const double *v, size_t n)
{
    double rank = q * ((double)n - 1);
    double low = fmax(0, floor(rank)), high = fmin((double)n - 1, low + 1);
    double weight = rank - floor(rank);
    return v[(size_t)low] * (1 - weight) + v[(size_t)high] * weight;
}

/* ---- classic histograms ----------------------------------------------------------- */

static int compare_buckets(const void *pa, const void *pb)
{
    double a = ((const struct bucket *)pa)->upper, b = ((const struct bucket *)pb)->upper;

    return a < b ? -1 : a > b;
}

/* Sorts, and adds up buckets of one bound; false when the highest is not +Inf. */
static bool prepare_buckets(struct bucket *b, size_t *n)
{
    size_t last = 0;

    qsort(b, *n, sizeof(*b), compare_buckets);
    if (!(isinf(b[*n - 1].upper) && b[*n - 1].upper > 0)) return false;
    for (size_t i = 1; i < *n; i++) {
        if (b[i].upper == b[last].upper) b[last].count += b[i].count;
        else b[++last] = b[i];
    }
    *n = last + 1;
    return true;
}

static bool almost_equal(double a, double b)
{
    if (isnan(a) && isnan(b)) return true;
    if (a == b) return true;
    double sum = fabs(a) + fabs(b), diff = fabs(a - b);
    if (a == 0 || b == 0 || sum < DBL_MIN) return diff < SMALL_DELTA * DBL_MIN;
    return diff / fmin(sum, DBL_MAX) < SMALL_DELTA;
}

static void make_monotonic(struct bucket *b, size_t n, struct bucket_repair *repair)
{
    double prev = b[0].count;

    for (size_t i = 1; i < n; i++) {
        double count = b[i].count;
        if (count == prev) continue;
        if (almost_equal(prev, count)) {
            b[i].count = prev;
            continue;
        }
        if (count < prev) {
            if (b[i].upper < repair->bucket_min) repair->bucket_min = b[i].upper;
            if (b[i].upper > repair->bucket_max) repair->bucket_max = b[i].upper;
            if (prev - count > repair->diff_max) repair->diff_max = prev - count;
            b[i].count = prev;
            repair->forced = true;
            continue;
        }
        prev = count;
    }
}

double bucket_quantile(double q, struct bucket *b, size_t n, struct bucket_repair *repair)
{
    *repair = (struct bucket_repair){.bucket_min = INFINITY, .bucket_max = -INFINITY};
    if (isnan(q)) return NAN;
    if (q < 0) return -INFINITY;
    if (q > 1) return INFINITY;
    if (!prepare_buckets(b, &n)) return NAN;
    make_monotonic(b, n, repair);
    if (n < 2 || b[n - 1].count == 0) return NAN;

    double rank = q * b[n - 1].count;
    size_t lo = 0, hi = n - 1; /* the first bucket that reaches the rank */
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (b[mid].count >= rank) hi = mid;
        else lo = mid + 1;
    }
    if (lo == n - 1) return b[n - 2].upper;
    if (lo == 0 && b[0].upper <= 0) return b[0].upper;

    double start = 0, end = b[lo].upper, count = b[lo].count;
    if (lo > 0) {
        start = b[lo - 1].upper;
        count -= b[lo - 1].count;
        rank -= b[lo - 1].count;
    }
    return start + (end - start) * (rank / count);
}

/* Observations at or below v, which lies between the bounds low and b->upper, with
 * `rank` of them at or below low. Nothing is known inside a bucket without end. */
static double rank_within(double v, double low, const struct bucket *b, double rank)
{
    if (isinf(low)) return b->count;
    if (isinf(b->upper)) return rank;
    return rank + (b->count - rank) * (v - low) / (b->upper - low);
}

double bucket_fraction(double lower, double upper, struct bucket *b, size_t n)
{
    if (!prepare_buckets(b, &n)) return NAN;
    double count = b[n - 1].count, rank = 0;
    if (count == 0 || isnan(lower) || isnan(upper)) return NAN;
    if (lower >= upper) return 0;

    double lower_rank = count, upper_rank = count;
    bool lower_set = false, upper_set = false;
    for (size_t i = 0; i < n && !(lower_set && upper_set); i++) {
        double low = i ? b[i - 1].upper : b[0].upper > 0 ? 0 : -INFINITY;
        if (!lower_set && (low >= lower || b[i].upper > lower)) {
            lower_rank = low >= lower ? rank : rank_within(lower, low, &b[i], rank);
            lower_set = true;
        }
        if (!upper_set && (low >= upper || b[i].upper > upper)) {
            upper_rank = low >= upper ? rank : rank_within(upper, low, &b[i], rank);
            upper_set = true;
        }
        rank = b[i].count;
    }
    if (lower_rank > count) lower_rank = count;
    if (upper_rank > count) upper_rank = count;
    return (upper_rank - lower_rank) / count;
}
