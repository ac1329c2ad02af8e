/* Plain C: the definition of every kernel, and what runs on a processor without AVX2.
 * Division is the processor's own, so the decimal test here is the reference for the
 * multiplications of the vector sets (kernels_priv.h). */
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "codec/bitio.h"
#include "codec/kernels_classes_priv.h"
#include "codec/kernels_priv.h"

const double kernel_pow10[16] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
const double kernel_pow10_inverse[16] = {1e0,  1e-1, 1e-2,  1e-3,  1e-4,  1e-5,  1e-6,  1e-7,
                                         1e-8, 1e-9, 1e-10, 1e-11, 1e-12, 1e-13, 1e-14, 1e-15};

void kernel_unpack_wide(uint64_t *r, const uint8_t *src, size_t n, unsigned width)
{
    uint64_t mask = width < 64 ? (1ull << width) - 1 : ~0ull;

    for (size_t i = 0, at = 0; i < n; i++, at += width) {
        unsigned shift = at & 7;
        uint64_t v = load_u64(src + (at >> 3)) >> shift;
        if (shift + width > 64) v |= (uint64_t)src[(at >> 3) + 8] << (64 - shift);
        r[i] = v & mask;
    }
}

static void unpack(uint64_t *r, const uint8_t *src, size_t n, unsigned width)
{
    if (width > 57) {
        kernel_unpack_wide(r, src, n, width);
        return;
    }
    uint64_t mask = (1ull << width) - 1;
    for (size_t i = 0, at = 0; i < n; i++, at += width) {
        r[i] = (load_u64(src + (at >> 3)) >> (at & 7)) & mask;
    }
}

void kernel_pack(uint8_t *dst, const uint64_t *r, size_t n, unsigned width)
{
    uint64_t mask = width < 64 ? (1ull << width) - 1 : ~0ull;
    struct bit_writer w = {.dst = dst};

    for (size_t i = 0; i < n; i++) bit_put(&w, r[i] & mask, width);
    bit_finish(&w);
}

/* From a count of the numbers by their bits. The cost of the patches only grows as the
 * width falls, so it ends the search once it alone is more than the best. */
static void choose_width(struct width_choice *out, const uint64_t *r, size_t n)
{
    uint8_t count[65] = {0};
    uint64_t all = 0;

    for (size_t i = 0; i < n; i++) {
        count[bit_width(r[i])]++;
        all |= r[i];
    }
    unsigned top = bit_width(all);
    size_t n_patches = 0;
    *out = (struct width_choice){top, top, 0, 8 + n * top};
    for (unsigned w = top; w-- > 0;) {
        n_patches += count[w + 1];
        size_t patches = kernel_patches_bits(n, n_patches, top - w);
        if (patches >= out->bits) break;
        if (patches + n * w < out->bits) {
            *out = (struct width_choice){w, top, n_patches, patches + n * w};
        }
    }
}

static void undo_for(uint64_t *v, const uint64_t *r, size_t n, uint64_t factor, uint64_t base)
{
    for (size_t i = 0; i < n; i++) v[i] = base + factor * r[i];
}

static uint64_t undo_delta(uint64_t *v, const uint64_t *r, size_t n, uint64_t factor,
                           uint64_t before)
{
    for (size_t i = 0; i < n; i++) {
        before += factor * (uint64_t)unzigzag(r[i]);
        v[i] = before;
    }
    return before;
}

static uint64_t undo_least(uint64_t *v, const uint64_t *r, size_t n, uint64_t factor,
                           uint64_t before, uint64_t step)
{
    for (size_t i = 0; i < n; i++) {
        before += factor * (step + r[i]);
        v[i] = before;
    }
    return before;
}

static void undo_delta2(uint64_t *v, const uint64_t *r, size_t n, uint64_t factor,
                        uint64_t *last, uint64_t *delta)
{
    uint64_t x = *last, d = *delta;
    for (size_t i = 0; i < n; i++) {
        d += (uint64_t)unzigzag(r[i]);
        x += factor * d;
        v[i] = x;
    }
    *last = x;
    *delta = d;
}

/* Two doubles at any address: every 64-bit machine divides two in the time of one. */
typedef double f64_pair __attribute__((vector_size(16), aligned(8), may_alias));

static void to_f64(uint64_t *bits, const uint64_t *ints, size_t n, unsigned e)
{
    f64_pair p = {kernel_pow10[e], kernel_pow10[e]};

    for (size_t i = 0; i < n; i++) bits[i] = f64_bits((double)(int64_t)ints[i]);
    if (e == 0) return;
    if (n % 2) bits[n] = 0;
    for (size_t i = 0; i < n; i += 2) {
        f64_pair *at = (f64_pair *)(void *)(bits + i);
        *at /= p;
    }
}

/* To the nearest, of two the even one, |v| < 2^53. Doubles from 2^52 on are whole, so
 * the sum with 2^52 rounds as wanted. */
static inline int64_t round_i64(double v)
{
    if (v >= 0x1p52 || v <= -0x1p52) return (int64_t)v;
    return (int64_t)(v < 0 ? (v - 0x1p52) + 0x1p52 : (v + 0x1p52) - 0x1p52);
}

static void to_decimal(uint64_t *ints, uint64_t *misfits, const uint64_t *bits, size_t n,
                       unsigned e)
{
    double p = kernel_pow10[e];

    misfits[0] = misfits[1] = 0;
    for (size_t i = 0; i < n; i++) {
        double scaled = bits_f64(bits[i]) * p;
        bool in = scaled > -KERNEL_DECIMAL_LIMIT && scaled < KERNEL_DECIMAL_LIMIT;
        int64_t whole = in ? round_i64(scaled) : 0;
        bool fits = in && f64_bits((double)whole / p) == bits[i];
        misfits[i >> 6] |= (uint64_t)!fits << (i & 63);
        ints[i] = (uint64_t)whole;
    }
}

static void scale(uint64_t *r, const uint64_t *v, size_t n, uint64_t origin, unsigned shift,
                  uint64_t inverse)
{
    for (size_t i = 0; i < n; i++) {
        r[i] = (uint64_t)((int64_t)(v[i] - origin) >> shift) * inverse;
    }
}

static void deltas(uint64_t *r, const uint64_t *v, size_t n)
{
    for (size_t i = 0; i < n; i++) r[i] = v[i] - v[(ptrdiff_t)i - 1];
}

static void zigzag_all(uint64_t *r, const uint64_t *v, size_t n)
{
    for (size_t i = 0; i < n; i++) r[i] = zigzag((int64_t)v[i]);
}

static void subtract(uint64_t *r, const uint64_t *v, size_t n, uint64_t less)
{
    for (size_t i = 0; i < n; i++) r[i] = v[i] - less;
}

static void scan(struct int_scan *out, const uint64_t *v, size_t n)
{
    struct int_scan s = {.d_low = INT64_MAX, .d_high = INT64_MIN, .d_low_up = INT64_MAX};

    for (size_t i = 1; i < n; i++) {
        int64_t diff = (int64_t)(v[i] - v[0]), d = (int64_t)(v[i] - v[i - 1]);
        s.bits |= (uint64_t)diff;
        s.low = diff < s.low ? diff : s.low;
        s.high = diff > s.high ? diff : s.high;
        s.d_low = d < s.d_low ? d : s.d_low;
        s.d_high = d > s.d_high ? d : s.d_high;
        if (d < 0) {
            s.n_down++;
        } else if (d < s.d_low_up) {
            s.d_low_up = d;
        }
    }
    *out = s;
}

const struct kernels kernels_scalar = KERNEL_SET("scalar", kernel_pack, class_fours);
