/* What the sets of kernels share. Private to codec.
 *
 * Division by a power of ten. The double nearest to a / b, b = 10^e, without dividing:
 *
 *     q = a * y,  y the double nearest to 1 / b       within 1.5 units of the last place
 *     s = a - b * q                                   one fused operation, exact
 *     result = q + s * y                              one fused operation
 *
 * s is exact: b has at most 35 significant bits (those of 5^15), a is a multiple of
 * 2^e * ulp(q), and |s| <= 1.5 ulp(q) * b, so s fits 37 bits. Before its rounding the
 * result is off from a / b by |s / b| * 2^-53 < 2^-52 ulp. A quotient that is not itself
 * a double is at least ulp / (2 * 5^e) > 2^-36 ulp from the middle between two doubles
 * (a - b * middle is a multiple of 2^e * ulp / 2, and not 0, since b * middle has more
 * than 53 bits), so both round alike. True of every whole a below 2^64 in size; a = 0
 * gives +0. Hence the vector sets multiply and plain C divides, with equal results. */
#ifndef TSINK_CODEC_KERNELS_PRIV_H
#define TSINK_CODEC_KERNELS_PRIV_H

#include "base/bits.h"
#include "codec/kernels.h"

extern const struct kernels kernels_scalar;
#if defined(__x86_64__)
extern const struct kernels kernels_avx2;
extern const struct kernels kernels_avx512;
void kernel_class_fours_bmi2(struct class_run *run, uint64_t *v, size_t n);
#endif

/* 10^e and the double nearest to 10^-e, e = 0..15. */
extern const double kernel_pow10[16], kernel_pow10_inverse[16];

/* The ways of plain C, where a vector set has no better one. */
void kernel_unpack_wide(uint64_t *r, const uint8_t *src, size_t n, unsigned width);
void kernel_pack(uint8_t *dst, const uint64_t *r, size_t n, unsigned width);

/* The bits of the head and the patches of a block of n with so many patches, `high` bits
 * each (pfor.h). */
static inline size_t kernel_patches_bits(size_t n, size_t n_patches, unsigned high)
{
    enum { HEAD = 16, MANY = 8, FEW = 3 };
    return HEAD + (n_patches > FEW ? MANY : 0) + n_patches * (bit_width(n - 1) + high);
}

/* The rows of a set whose functions have the table's own names; two are told apart. */
#define KERNEL_SET(set, how_to_pack, how_to_read_classes)                                      \
    {                                                                                          \
        .name = set, .unpack = unpack, .pack = how_to_pack, .choose_width = choose_width,      \
        .undo_for = undo_for, .undo_delta = undo_delta, .undo_least = undo_least,              \
        .undo_delta2 = undo_delta2, .to_f64 = to_f64, .to_decimal = to_decimal,                \
        .scale = scale, .deltas = deltas, .zigzag = zigzag_all, .subtract = subtract,          \
        .scan = scan, .class_fours = how_to_read_classes,                                      \
    }

/* |v * 10^e| must be less than this. */
#define KERNEL_DECIMAL_LIMIT 0x1p53

#endif
