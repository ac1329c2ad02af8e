/* The loops of the integer and decimal codecs, in three instruction sets.
 *
 * kernels() is the best set that this processor has: AVX-512 (with VBMI), AVX2 (with
 * FMA), or plain C. It is found at the first call and never changes, except that tests
 * and benchmarks may name another (kernels_use()). All sets give the same results for
 * all inputs, bit by bit; plain C defines them.
 *
 * Nothing is checked here: callers have validated widths and lengths. Unless said
 * otherwise n is 1..KERNEL_BLOCK; arrays that are written have room for round_up(n, 8)
 * entries, whose last ones are undefined, and so have the arrays `r` and `ints` that
 * are read to decode. Encoders read n entries exactly.
 * Pure, any thread.
 */
#ifndef TSINK_CODEC_KERNELS_H
#define TSINK_CODEC_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    KERNEL_BLOCK = 128,
    KERNEL_ROOM = KERNEL_BLOCK + 16, /* entries in a block's buffer: two may go before it */
    KERNEL_SLACK = 64,               /* bytes that unpack may read past the packed ones */
    KERNEL_SPILL = 16,               /* bytes that pack may write past them */
};

/* What int_params_choose() wants to know of v[0..n), relative to v[0]. */
struct int_scan {
    uint64_t bits;         /* OR of all v[i] - v[0] */
    int64_t low, high;     /* of v[i] - v[0] */
    int64_t d_low, d_high; /* of the differences v[i] - v[i-1] */
    int64_t d_low_up;      /* of those that are not negative; INT64_MAX without any */
    size_t n_down;         /* negative differences */
};

/* A patched block (pfor.h): its numbers' low bits, and how many need more. */
struct width_choice {
    unsigned width, top; /* of all, and of the widest */
    size_t n_patches;    /* numbers of more than `width` bits */
    size_t bits;         /* the block's, its head included */
};

/* A class stream under way (entropy.h). */
enum {
    CLASS_RAW_SHIFT = 8,  /* an entry: the width of what is added to base, then the raw */
    CLASS_BASE_SHIFT = 16, /* bits of the number, then base, of the next state */
    CLASS_SLACK = 32,     /* bytes that are readable behind what four-number turns take */
};

struct class_run {
    const uint32_t *table; /* by state: an entry */
    const uint64_t *least; /* and the least number of its class */
    uint64_t state[4];
    const uint8_t *bits, *raw;
    size_t bits_at, raw_at; /* in bits from there */
    bool one_state;         /* state[0] alone is there, else they take turns */
    bool has_raw;           /* else no number has raw bits */
};

struct kernels {
    const char *name;

    /* n values of `width` (1..64) bits, packed from the lowest bit. Reads up to
     * KERNEL_SLACK bytes past the last. */
    void (*unpack)(uint64_t *r, const uint8_t *src, size_t n, unsigned width);

    /* The low `width` (1..64) bits of each. May spill over up to KERNEL_SPILL bytes past
     * the last, undefined ones. */
    void (*pack)(uint8_t *dst, const uint64_t *r, size_t n, unsigned width);

    /* The width of a patched block with the fewest bits in total. */
    void (*choose_width)(struct width_choice *out, const uint64_t *r, size_t n);

    /* v = base + factor * r. v may be r here and in all that follow but deltas. */
    void (*undo_for)(uint64_t *v, const uint64_t *r, size_t n, uint64_t factor,
                     uint64_t base);

    /* Running sums from `before`: of factor * unzigzag(r), and of factor * (step + r).
     * Both return the last sum. */
    uint64_t (*undo_delta)(uint64_t *v, const uint64_t *r, size_t n, uint64_t factor,
                           uint64_t before);
    uint64_t (*undo_least)(uint64_t *v, const uint64_t *r, size_t n, uint64_t factor,
                           uint64_t before, uint64_t step);

    /* Sums of sums: delta += unzigzag(r), last += factor * delta. */
    void (*undo_delta2)(uint64_t *v, const uint64_t *r, size_t n, uint64_t factor,
                        uint64_t *last, uint64_t *delta);

    /* The bits of the double nearest to ints / 10^e; ints are signed, e <= 15. */
    void (*to_f64)(uint64_t *bits, const uint64_t *ints, size_t n, unsigned e);

    /* The decimal test: ints = v * 10^e rounded to the nearest (even) whole. Bit i of
     * misfits[] is set when v is not to the bit the double nearest to ints / 10^e, and
     * when |v * 10^e| >= 2^53 or v is a NaN, where ints is undefined. misfits[0..2) are
     * written. */
    void (*to_decimal)(uint64_t *ints, uint64_t *misfits, const uint64_t *bits, size_t n,
                       unsigned e);

    /* r = ((v - origin) >> shift) * inverse: exact division by a factor. */
    void (*scale)(uint64_t *r, const uint64_t *v, size_t n, uint64_t origin, unsigned shift,
                  uint64_t inverse);

    /* r[i] = v[i] - v[i-1]; v[-1] is read. */
    void (*deltas)(uint64_t *r, const uint64_t *v, size_t n);
    void (*zigzag)(uint64_t *r, const uint64_t *v, size_t n);
    void (*subtract)(uint64_t *r, const uint64_t *v, size_t n, uint64_t less);

    /* n >= 2, of any size. */
    void (*scan)(struct int_scan *out, const uint64_t *v, size_t n);

    /* The next n numbers, a multiple of 4. */
    void (*class_fours)(struct class_run *run, uint64_t *v, size_t n);
};

const struct kernels *kernels(void);

/* The sets of this processor, plain C first, the best last; NULL past the end. */
const struct kernels *kernels_nth(unsigned i);

/* Makes kernels() return `set`, or the best again for NULL. For tests and benchmarks. */
void kernels_use(const struct kernels *set);

#endif
