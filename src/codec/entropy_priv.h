/* What the writer and the reader of class streams must agree on: the classes of numbers,
 * the weights of classes, and the table of states made of them. Private to codec.
 *
 * A split cuts a number v at `shift`: the bits below are raw. u, those above, is a class
 * of its own when below 2^exact; above, the place of its highest bit is the class, with
 * the bit behind it when `half`, and the bits left are raw.
 *
 *     u            0 1 .. 2^e - 1 | 2^e ..      2^(e+1) ..          (e = exact)
 *     class        0 1 .. 2^e - 1 | 2^e         2^e + 1             plain
 *                                 | 2^e, +1     2^e + 2, +3         half
 *
 * A class's weight is about how often it occurs, told as a level: four levels an octave
 * (0 1 2 3 4 5 6 7 8 10 12 14 16 20 ..), which cost few bits to tell and lose hardly any. */
#ifndef TSINK_CODEC_ENTROPY_PRIV_H
#define TSINK_CODEC_ENTROPY_PRIV_H

#include "base/bits.h"
#include "codec/entropy.h"

enum {
    ENTROPY_EXACT_MAX = 7,
    ENTROPY_LEVEL_MAX = 60,  /* weight 2^16 */
    ENTROPY_LEVEL_BITS = 6,  /* of the first one */
    ENTROPY_RICE_MAX = 3,
    /* The first byte of a stream: */
    ENTROPY_EXACT_MASK = 7,
    ENTROPY_HALF_FLAG = 8,
    ENTROPY_LOG_SHIFT = 4,   /* states_log - 8, two bits */
    ENTROPY_ONE_TURN = 0x40,
    ENTROPY_HAS_FIRST = 0x80,
    /* The second: shift, and the Rice parameter of the levels. */
    ENTROPY_RICE_SHIFT = 6,
    ENTROPY_SHIFT_MASK = 63,
};

struct entropy_split {
    uint8_t shift, exact;
    bool half; /* only with exact > 0 */
};

static inline unsigned entropy_class(struct entropy_split s, uint64_t v)
{
    uint64_t u = v >> s.shift;
    if (u >> s.exact == 0) return (unsigned)u;
    unsigned high = bit_width(u) - 1, above = high - s.exact;
    if (!s.half) return (1u << s.exact) + above;
    return (1u << s.exact) + 2 * above + (unsigned)(u >> (high - 1) & 1);
}

/* Its raw bits, and its least number. The class is at most that of UINT64_MAX. */
static inline unsigned entropy_raw(struct entropy_split s, unsigned class, uint64_t *least)
{
    unsigned above, high, bit = 0;

    if (class >> s.exact == 0) {
        *least = (uint64_t)class << s.shift;
        return s.shift;
    }
    above = class - (1u << s.exact);
    if (s.half) {
        bit = 2 | (above & 1);
        above >>= 1;
    }
    high = above + s.exact;
    *least = s.half ? (uint64_t)bit << (high - 1 + s.shift) : 1ull << (high + s.shift);
    return high - s.half + s.shift;
}

static inline uint32_t entropy_weight(unsigned level)
{
    return level < 4 ? level : (4 | (level & 3)) << (level / 4 - 1);
}

/* The levels of the classes first to last; first and last have one that is not 0. */
struct entropy_levels {
    uint8_t level[ENTROPY_CLASSES];
    unsigned first, last;
};

/* Gives each of these classes slots in proportion to its weight, at least 1 to each that
 * has one; the sum is 2^log. */
void entropy_share(uint16_t *slots, const struct entropy_levels *l, unsigned log);

/* class_at[slot] for all 2^log slots. */
void entropy_spread(uint8_t *class_at, const uint16_t *slots, const struct entropy_levels *l,
                    unsigned log);

#endif
