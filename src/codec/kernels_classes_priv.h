/* The loop of class streams, for plain C and for instruction sets that shift by any
 * register. Included once by a set, which may define KERNEL, the attributes of its
 * functions, and
 *
 *     LOW_BITS(x, n)     the low n bits of x; of n the low byte counts, which is below 64
 *
 * Four numbers a turn, one of each state, so that their look-ups do not wait for each
 * other. What they do wait for is the bits: these are kept in a register that is filled up
 * from an address known a turn before, and 56 of them are there for the four, which take
 * at most 44. Raw bits wait for nothing and are added in a second pass, for which there
 * would be too few registers in the first. Private to codec. */
#ifndef TSINK_CODEC_KERNELS_CLASSES_PRIV_H
#define TSINK_CODEC_KERNELS_CLASSES_PRIV_H

#include "base/bytes.h"
#include "codec/kernels.h"

#ifndef KERNEL
#define KERNEL
#endif
#ifndef LOW_BITS
#define LOW_BITS(x, n) ((x) & ((1ull << ((n) & 63)) - 1))
#endif

#define WIDTH(e) ((e) & 63)
#define RAW(e) ((e) >> CLASS_RAW_SHIFT)
#define BASE(e) ((e) >> CLASS_BASE_SHIFT)

/* The raw bits of four numbers that are more than one look can have. */
static inline void raw_wide(uint64_t *v, const uint8_t *src, size_t at,
                                               const uint32_t *e)
{
    for (unsigned k = 0; k < 4; k++) {
        unsigned width = RAW(e[k]) & 63;
        const uint8_t *from = src + (at >> 3);
        uint64_t bits = load_u64(from) >> (at & 7);
        if (at & 7) bits |= (uint64_t)from[8] << (64 - (at & 7));
        v[k] += bits & ((1ull << width) - 1);
        at += width;
    }
}

/* What a state says of its number: an entry, and where its class begins. Then the next
 * state. */
#define CLASS_STEP(k, state)                                                                   \
    e[k] = entry = table[state], v[k] = least[state], sum += entry;                            \
    state = BASE(entry) + LOW_BITS(bits, entry), bits >>= WIDTH(entry)

/* Entries and the classes' least numbers of the next n, at most KERNEL_BLOCK. */
KERNEL static inline __attribute__((always_inline)) void class_turns(
    struct class_run *run, uint64_t *v, uint32_t *e, size_t n, bool one)
{
    const uint32_t *table = run->table, *end = e + n;
    const uint64_t *least = run->least;
    const uint8_t *src = run->bits + (run->bits_at >> 3);
    uint64_t bits = load_u64(src) >> (run->bits_at & 7), left = 56 - (run->bits_at & 7);
    uint64_t s0 = run->state[0], s1 = run->state[1], s2 = run->state[2], s3 = run->state[3];

    src += 7;
    for (; e < end; e += 4, v += 4) {
        uint32_t entry, sum = 0;
        bits |= load_u64(src) << left;
        src += (63 - left) >> 3;
        left |= 56;
        CLASS_STEP(0, s0);
        if (one) s1 = s0;
        CLASS_STEP(1, s1);
        if (one) s2 = s1;
        CLASS_STEP(2, s2);
        if (one) s3 = s2;
        CLASS_STEP(3, s3);
        if (one) s0 = s3;
        left -= sum & 255; /* the four widths: at most 44 */
    }
    run->state[0] = s0, run->state[1] = s1, run->state[2] = s2, run->state[3] = s3;
    run->bits_at = 8 * (size_t)(src - run->bits) - left;
}

/* What its raw bits add. */
#define CLASS_RAW(k)                                                                           \
    entry = RAW(e[k]);                                                                         \
    v[k] += LOW_BITS(low, entry), low >>= entry & 63

KERNEL static inline __attribute__((always_inline)) void class_raws(
    struct class_run *run, uint64_t *v, const uint32_t *e, size_t n)
{
    const uint8_t *src = run->raw;
    size_t at = run->raw_at;

    for (const uint32_t *end = e + n; e < end; e += 4, v += 4) {
        uint32_t entry;
        size_t raw = RAW(e[0] + e[1] + e[2] + e[3]) & 255; /* at most 252, above 44 */
        if (__builtin_expect(raw <= 57, 1)) {
            uint64_t low = load_u64(src + (at >> 3)) >> (at & 7);
            CLASS_RAW(0);
            CLASS_RAW(1);
            CLASS_RAW(2);
            CLASS_RAW(3);
        } else {
            raw_wide(v, src, at, e);
        }
        at += raw;
    }
    run->raw_at = at;
}

KERNEL static inline void class_fours(struct class_run *run, uint64_t *v, size_t n)
{
    uint32_t e[KERNEL_BLOCK];

    if (run->one_state) class_turns(run, v, e, n, true);
    else class_turns(run, v, e, n, false);
    if (run->has_raw) class_raws(run, v, e, n);
}

#endif
