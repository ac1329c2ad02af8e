/* Pairs of doubles, for loops over columns: the instructions that every x86-64 and arm64 has.
 * What they compute is what the same operations on one double compute, bit for bit.
 */
#ifndef TSINK_PROMQL_LANES_PRIV_H
#define TSINK_PROMQL_LANES_PRIV_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

typedef double pair __attribute__((vector_size(16), aligned(8), may_alias));
typedef int64_t pair_mask __attribute__((vector_size(16)));

static inline pair pair_load(const double *at)
{
    return *(const pair *)at;
}

static inline void pair_store(double *at, pair v)
{
    *(pair *)at = v;
}

static inline pair pair_of(double v)
{
    return (pair){v, v};
}

static inline bool mask_any(pair_mask m)
{
    return (m[0] | m[1]) != 0;
}

/* Comparisons, as of doubles: with NaN false, but for pair_differs. Written so that compilers
 * leave the masks in vectors: comparisons in C that are combined with & or | they take apart
 * when there is no SSE 4.1. */
#if defined(__SSE2__)
static inline pair_mask pair_below(pair a, pair b)
{
    return (pair_mask)_mm_cmplt_pd((__m128d)a, (__m128d)b);
}

static inline pair_mask pair_at_most(pair a, pair b)
{
    return (pair_mask)_mm_cmple_pd((__m128d)a, (__m128d)b);
}

static inline pair_mask pair_equals(pair a, pair b)
{
    return (pair_mask)_mm_cmpeq_pd((__m128d)a, (__m128d)b);
}

static inline pair_mask pair_differs(pair a, pair b)
{
    return (pair_mask)_mm_cmpneq_pd((__m128d)a, (__m128d)b);
}
#else
static inline pair_mask pair_below(pair a, pair b)
{
    return a < b;
}

static inline pair_mask pair_at_most(pair a, pair b)
{
    return a <= b;
}

static inline pair_mask pair_equals(pair a, pair b)
{
    return a == b;
}

static inline pair_mask pair_differs(pair a, pair b)
{
    return a != b;
}
#endif

/* a where the mask is set, b elsewhere. */
static inline pair pair_choose(pair_mask m, pair a, pair b)
{
    return (pair)(((pair_mask)a & m) | ((pair_mask)b & ~m));
}

static inline pair pair_abs(pair v)
{
    return (pair)((pair_mask)v & INT64_MAX);
}

/* kahan_add() (quantile.h) on two lanes. */
static inline void kahan_pair(pair x, pair *sum, pair *c)
{
    pair t = *sum + x;
    pair_mask big = pair_at_most(pair_abs(x), pair_abs(*sum));
    pair_mask keeps = pair_differs(pair_abs(t), pair_of(INFINITY));
    pair a = pair_choose(big, *sum, x), b = pair_choose(big, x, *sum);

    *c = (pair)((pair_mask)(*c + ((a - t) + b)) & keeps);
    *sum = t;
}

#endif
