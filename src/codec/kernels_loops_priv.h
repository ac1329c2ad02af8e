/* The loops that AVX2 and AVX-512 have in common, written once over vectors of
 * KERNEL_LANES 64-bit lanes. kernels_avx2.c and kernels_avx512.c define what is named
 * in capitals, include this, and add the loops in which they differ. Private to codec.
 *
 *     KERNEL            attributes of every function
 *     vec, fvec         lanes of u64, lanes of double
 *     LOAD STORE        LANES at any address; LOAD_PART(p, k) reads k < LANES, others 0
 *     SET ADD SUB MUL XOR OR AND SHR1, SAR(v, n), SIGN (all ones where negative)
 *     MIN MAX           signed
 *     KEEP_PART(a, b, k)  the lanes of a below k, else those of b
 *     PREFIX            inclusive running sum within the vector
 *     LAST              the last lane in every lane
 *     F_* as named      doubles; F_FROM(i64) rounds to nearest, F_TO_I64 of |f| < 2^53
 *     WIDTHS(w, v)      stores the bit lengths of a vector's lanes as bytes
 *     ABOVE(w, n, b)    how many of the n bytes of w are more than b; bytes from n on are
 *                       0 up to the next multiple of 64
 *     MISFIT(i, f)      bit mask of lanes whose bits differ or where f is false
 */
#ifndef TSINK_CODEC_KERNELS_LOOPS_PRIV_H
#define TSINK_CODEC_KERNELS_LOOPS_PRIV_H
#ifdef KERNEL_LANES

#include <string.h>

#include "codec/kernels_priv.h"

KERNEL static inline vec load_upto(const uint64_t *p, size_t k)
{
    return k >= KERNEL_LANES ? LOAD(p) : LOAD_PART(p, k);
}

KERNEL static inline vec unzigzag_vec(vec r)
{
    return XOR(SHR1(r), SUB(SET(0), AND(r, SET(1))));
}

KERNEL static void undo_for(uint64_t *v, const uint64_t *r, size_t n, uint64_t factor,
                            uint64_t base)
{
    vec f = SET(factor), b = SET(base);

    if (factor == 1) {
        for (size_t i = 0; i < n; i += KERNEL_LANES) STORE(v + i, ADD(b, LOAD(r + i)));
    } else {
        for (size_t i = 0; i < n; i += KERNEL_LANES) {
            STORE(v + i, ADD(b, MUL(f, LOAD(r + i))));
        }
    }
}

/* The last of n sums in v, which may end within a vector. */
KERNEL static uint64_t undo_delta(uint64_t *v, const uint64_t *r, size_t n, uint64_t factor,
                                  uint64_t before)
{
    vec f = SET(factor), carry = SET(before);

    for (size_t i = 0; i < n; i += KERNEL_LANES) {
        vec d = unzigzag_vec(LOAD(r + i));
        if (factor != 1) d = MUL(f, d);
        d = PREFIX(d);
        STORE(v + i, ADD(carry, d));
        carry = ADD(carry, LAST(d));
    }
    return v[n - 1];
}

KERNEL static uint64_t undo_least(uint64_t *v, const uint64_t *r, size_t n, uint64_t factor,
                                  uint64_t before, uint64_t step)
{
    vec f = SET(factor), carry = SET(before), least = SET(step);

    for (size_t i = 0; i < n; i += KERNEL_LANES) {
        vec d = ADD(least, LOAD(r + i));
        if (factor != 1) d = MUL(f, d);
        d = PREFIX(d);
        STORE(v + i, ADD(carry, d));
        carry = ADD(carry, LAST(d));
    }
    return v[n - 1];
}

KERNEL static void undo_delta2(uint64_t *v, const uint64_t *r, size_t n, uint64_t factor,
                               uint64_t *last, uint64_t *delta)
{
    vec f = SET(factor), x = SET(*last), d = SET(*delta);
    uint64_t room[KERNEL_LANES];
    size_t tail = (n - 1) % KERNEL_LANES;

    for (size_t i = 0; i < n; i += KERNEL_LANES) {
        vec dd = ADD(d, PREFIX(unzigzag_vec(LOAD(r + i))));
        STORE(room, dd);
        d = LAST(dd);
        if (factor != 1) dd = MUL(f, dd);
        dd = PREFIX(dd);
        STORE(v + i, ADD(x, dd));
        x = ADD(x, LAST(dd));
    }
    *last = v[n - 1];
    *delta = room[tail];
}

KERNEL static void to_f64(uint64_t *bits, const uint64_t *ints, size_t n, unsigned e)
{
    fvec p = F_SET(kernel_pow10[e]), y = F_SET(kernel_pow10_inverse[e]);

    if (e == 0) {
        for (size_t i = 0; i < n; i += KERNEL_LANES) {
            STORE(bits + i, F_BITS(F_FROM(LOAD(ints + i))));
        }
        return;
    }
    for (size_t i = 0; i < n; i += KERNEL_LANES) {
        fvec a = F_FROM(LOAD(ints + i));
        fvec q = F_MUL(a, y);
        STORE(bits + i, F_BITS(F_FMA(F_FNMA(q, p, a), y, q)));
    }
}

KERNEL static void to_decimal(uint64_t *ints, uint64_t *misfits, const uint64_t *bits,
                              size_t n, unsigned e)
{
    fvec p = F_SET(kernel_pow10[e]), y = F_SET(kernel_pow10_inverse[e]);

    misfits[0] = misfits[1] = 0;
    for (size_t i = 0; i < n; i += KERNEL_LANES) {
        vec v = load_upto(bits + i, n - i);
        fvec scaled = F_MUL(F_OF(v), p);
        fvec a = F_ROUND(scaled);
        fvec q = F_MUL(a, y);
        q = F_FMA(F_FNMA(q, p, a), y, q);
        /* Of -0.4 the rounded is -0, of the integer it is +0: only +0 may fit. */
        q = F_ADD(q, F_SET(0));
        uint64_t bad = MISFIT(v, F_BITS(q), scaled);
        STORE(ints + i, F_TO_I64(a));
        misfits[i >> 6] |= bad << (i & 63);
    }
    size_t last = (n - 1) >> 6;
    if (n & 63) misfits[last] &= (1ull << (n & 63)) - 1;
}

KERNEL static void choose_width(struct width_choice *out, const uint64_t *r, size_t n)
{
    uint8_t widths[KERNEL_BLOCK + 8];
    vec all = SET(0);
    size_t i;

    for (i = 0; i < n; i += KERNEL_LANES) {
        vec v = load_upto(r + i, n - i);
        all = OR(all, v);
        WIDTHS(widths + i, v);
    }
    for (; i % 64; i += KERNEL_LANES) memset(widths + i, 0, KERNEL_LANES);
    unsigned top = bit_width(FOLD_OR(all));
    *out = (struct width_choice){top, top, 0, 8 + n * top};
    for (unsigned w = top; w-- > 0;) {
        size_t n_patches = ABOVE(widths, n, w);
        size_t patches = kernel_patches_bits(n, n_patches, top - w);
        if (patches >= out->bits) break;
        if (patches + n * w < out->bits) {
            *out = (struct width_choice){w, top, n_patches, patches + n * w};
        }
    }
}

KERNEL static void scale(uint64_t *r, const uint64_t *v, size_t n, uint64_t origin,
                         unsigned shift, uint64_t inverse)
{
    vec o = SET(origin), m = SET(inverse);

    for (size_t i = 0; i < n; i += KERNEL_LANES) {
        vec d = SAR(SUB(load_upto(v + i, n - i), o), shift);
        STORE(r + i, inverse == 1 ? d : MUL(d, m));
    }
}

KERNEL static void deltas(uint64_t *r, const uint64_t *v, size_t n)
{
    for (size_t i = 0; i < n; i += KERNEL_LANES) {
        STORE(r + i, SUB(load_upto(v + i, n - i), load_upto(v + i - 1, n - i)));
    }
}

KERNEL static void zigzag_all(uint64_t *r, const uint64_t *v, size_t n)
{
    for (size_t i = 0; i < n; i += KERNEL_LANES) {
        vec d = load_upto(v + i, n - i);
        STORE(r + i, XOR(ADD(d, d), SIGN(d)));
    }
}

KERNEL static void subtract(uint64_t *r, const uint64_t *v, size_t n, uint64_t less)
{
    vec l = SET(less);

    for (size_t i = 0; i < n; i += KERNEL_LANES) {
        STORE(r + i, SUB(load_upto(v + i, n - i), l));
    }
}

/* Lanes past the end repeat the first difference, which changes nothing but the count. */
KERNEL static void scan(struct int_scan *out, const uint64_t *v, size_t n)
{
    uint64_t first = v[1] - v[0];
    vec origin = SET(v[0]), d_first = SET(first), none = SET(INT64_MAX), zero = SET(0);
    vec bits = zero, low = zero, high = zero, d_low = d_first, d_high = d_first;
    vec d_low_up = none, n_down = zero;

    for (size_t i = 1; i < n; i += KERNEL_LANES) {
        vec here = load_upto(v + i, n - i), diff = SUB(here, origin);
        vec d = SUB(here, load_upto(v + i - 1, n - i));
        if (n - i < KERNEL_LANES) {
            diff = KEEP_PART(diff, zero, n - i);
            d = KEEP_PART(d, d_first, n - i);
        }
        vec down = SIGN(d);
        bits = OR(bits, diff);
        low = MIN(low, diff);
        high = MAX(high, diff);
        d_low = MIN(d_low, d);
        d_high = MAX(d_high, d);
        d_low_up = MIN(d_low_up, OR(AND(down, none), ANDNOT(down, d)));
        n_down = SUB(n_down, down);
    }
    size_t past = (KERNEL_LANES - (n - 1) % KERNEL_LANES) % KERNEL_LANES;
    *out = (struct int_scan){
        .bits = FOLD_OR(bits),
        .low = (int64_t)FOLD_MIN(low),
        .high = (int64_t)FOLD_MAX(high),
        .d_low = (int64_t)FOLD_MIN(d_low),
        .d_high = (int64_t)FOLD_MAX(d_high),
        .d_low_up = (int64_t)FOLD_MIN(d_low_up),
        .n_down = FOLD_ADD(n_down) - ((int64_t)first < 0 ? past : 0),
    };
}

#endif
#endif
