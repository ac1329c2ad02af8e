/* Writing class streams. With L = 2^log states and a class that fills f of them:
 *
 *     decode   state X in [L, 2L) names, by its slot X - L, a class and the class's k-th
 *              slot. x = f + k; X' = x << width | that many bits, where width brings x
 *              back to [L, 2L)
 *     encode   the reverse: give away the low bits of X until x = X >> width is in
 *              [f, 2f); the next state is the class's slot number x - f
 *
 * The encoder walks backwards, so that the decoder walks forwards; what it gives away is
 * kept (in `words`) and written in the order of reading. It starts from slot 0, where the
 * decoder must end: a check that costs nothing.
 *
 * The split is the one with the fewest bits, table included, by the entropy of its
 * classes. Tried are: no shift, with every number of exact classes; and shifts that leave
 * 2 to 7 bits of what nine in ten numbers fit into, which is how a range that is no power
 * of two comes near its entropy. Everything is counted from a histogram by the finest
 * split of a shift, so a shift is one pass over the numbers. */
#include "codec/entropy.h"

#include <string.h>

#include "base/varint.h"
#include "codec/entropy_priv.h"

enum {
    HEAD_MAX = 4 + ENTROPY_CLASSES * 17 + VARINT_MAX,
    LOG_BITS = 8,          /* of fractions in log2_of() */
    PER_LN2 = 369,         /* 256 / ln 2 */
    STEP_COST = 2 << LOG_BITS, /* a level more or less in the table, in bits */
    EXACT_LEAST = 2,       /* bits that a shift leaves */
    LONG = 1000,           /* from so many numbers on, four states */
    TABLE_COST = 64,       /* states */
};

/* What a split makes of a stream. */
struct histogram_of {
    struct entropy_split split;
    uint32_t count[ENTROPY_CLASSES];
    uint64_t raw; /* bits */
};

size_t entropy_bound(size_t n)
{
    /* At most 11 bits of state and 63 raw bits a number; the writer stores words. */
    return HEAD_MAX + ENTROPY_TURNS * 2 + n * 10 + 32;
}

/* ---- logarithms --------------------------------------------------------------- */

/* 256 * log2(v), within 2; v > 0. log2(1 + x) is about x + 0.344 x (1 - x). */
static uint64_t log2_of(uint64_t v)
{
    unsigned high = bit_width(v) - 1;
    uint64_t part = ((v << LOG_BITS) >> high) - (1u << LOG_BITS);
    return ((uint64_t)high << LOG_BITS) + part + (88 * part * (256 - part) >> 16);
}

/* ---- levels ------------------------------------------------------------------ */

/* The highest whose weight is not above a count. */
static unsigned level_of(uint32_t count)
{
    if (count < 4) return count;
    unsigned high = bit_width(count) - 1;
    return 4 * (high - 1) + (count >> (high - 2) & 3);
}

/* What a count costs by a level, up to a constant: w / ln 2 - count * log2(w). */
static int64_t level_cost(uint32_t count, unsigned level)
{
    uint32_t weight = entropy_weight(level);
    return (int64_t)weight * PER_LN2 - (int64_t)(count * log2_of(weight));
}

/* The level of a count behind the level `before`, the bits to tell it considered: noise
 * in the counts is not worth its bits. */
static unsigned level_after(uint32_t count, unsigned before)
{
    unsigned near = level_of(count);
    if (near < ENTROPY_LEVEL_MAX && level_cost(count, near + 1) < level_cost(count, near)) near++;
    unsigned level = near;
    int64_t best = level_cost(count, near);
    while (level != before) {
        unsigned next = level < before ? level + 1 : level - 1;
        int64_t cost = level_cost(count, next) - STEP_COST * (level < before
                                                                  ? (int64_t)(next - near)
                                                                  : (int64_t)(near - next));
        if (cost > best) break;
        best = cost;
        level = next;
    }
    return level;
}

static void levels_of(struct entropy_levels *out, const uint32_t *count)
{
    unsigned before = 0;

    out->first = ENTROPY_CLASSES;
    for (unsigned c = 0; c < ENTROPY_CLASSES; c++) {
        out->level[c] = 0;
        if (!count[c]) continue;
        if (out->first == ENTROPY_CLASSES) out->first = c;
        before = level_after(count[c], before ? before : level_of(count[c]));
        out->level[c] = (uint8_t)before;
        out->last = c;
    }
}

static unsigned zero_run(const struct entropy_levels *l, unsigned c)
{
    unsigned run = 0;
    while (l->level[c + 1 + run] == 0) run++;
    return run;
}

/* Bits by each Rice parameter; the last class is not 0, which ends every run. */
static void level_bits(size_t bits[ENTROPY_RICE_MAX + 1], const struct entropy_levels *l)
{
    unsigned before = l->level[l->first];

    for (unsigned k = 0; k <= ENTROPY_RICE_MAX; k++) bits[k] = ENTROPY_LEVEL_BITS;
    for (unsigned c = l->first + 1; c <= l->last; c++) {
        unsigned level = l->level[c], run_bits = 0;
        uint64_t diff = zigzag((int64_t)level - before);
        if (level == 0) {
            unsigned run = zero_run(l, c);
            run_bits = 2 * bit_width(run + 1) - 1;
            c += run;
        } else {
            before = level;
        }
        for (unsigned k = 0; k <= ENTROPY_RICE_MAX; k++) {
            bits[k] += (size_t)(diff >> k) + 1 + k + run_bits;
        }
    }
}

static unsigned best_rice(const size_t bits[ENTROPY_RICE_MAX + 1])
{
    unsigned best = 0;
    for (unsigned k = 1; k <= ENTROPY_RICE_MAX; k++) {
        if (bits[k] < bits[best]) best = k;
    }
    return best;
}

/* Zeros, then a one. */
static void put_unary(struct bit_writer *w, uint64_t n)
{
    for (; n >= 32; n -= 32) bit_put(w, 0, 32);
    bit_put(w, 1ull << n, (unsigned)n + 1);
}

static size_t put_levels(uint8_t *dst, const struct entropy_levels *l, unsigned rice)
{
    struct bit_writer w = {.dst = dst};
    unsigned before = l->level[l->first];

    bit_put(&w, before, ENTROPY_LEVEL_BITS);
    for (unsigned c = l->first + 1; c <= l->last; c++) {
        unsigned level = l->level[c];
        uint64_t diff = zigzag((int64_t)level - before);
        put_unary(&w, diff >> rice);
        bit_put(&w, diff & ((1u << rice) - 1), rice);
        if (level) {
            before = level;
            continue;
        }
        unsigned run = zero_run(l, c), width = bit_width(run + 1) - 1;
        put_unary(&w, width);
        bit_put(&w, (run + 1) & ((1u << width) - 1), width);
        c += run;
    }
    return bit_finish(&w);
}

/* ---- the split ---------------------------------------------------------------- */

/* The bits of classes that occur so often, by the weights of their levels. */
static uint64_t class_bits(const uint32_t *count, size_t n, const struct entropy_levels *l)
{
    uint64_t sum = 0, weights = 0;

    for (unsigned c = l->first; c <= l->last; c++) {
        if (!count[c]) continue;
        uint32_t weight = entropy_weight(l->level[c]);
        weights += weight;
        sum += count[c] * log2_of(weight);
    }
    uint64_t all = n * log2_of(weights);
    return all > sum ? (all - sum) >> LOG_BITS : 0;
}

static uint64_t bits_of(const struct histogram_of *h, size_t n)
{
    size_t table[ENTROPY_RICE_MAX + 1];
    struct entropy_levels l;

    levels_of(&l, h->count);
    level_bits(table, &l);
    return class_bits(h->count, n, &l) + h->raw + table[best_rice(table)];
}

static void count_all(struct histogram_of *out, struct entropy_split split, const uint64_t *v,
                      size_t n)
{
    uint64_t least;

    memset(out, 0, sizeof(*out));
    out->split = split;
    for (size_t i = 0; i < n; i++) out->count[entropy_class(split, v[i])]++;
    for (unsigned c = 0; c < ENTROPY_CLASSES; c++) {
        if (out->count[c]) out->raw += (uint64_t)out->count[c] * entropy_raw(split, c, &least);
    }
}

/* The same by a split that is coarser than that of `fine`, with its shift. */
static void merge(struct histogram_of *out, const struct histogram_of *fine,
                  struct entropy_split split)
{
    uint64_t least, own;

    memset(out, 0, sizeof(*out));
    out->split = split;
    for (unsigned c = 0; c < ENTROPY_CLASSES; c++) {
        if (!fine->count[c]) continue;
        (void)entropy_raw(fine->split, c, &least);
        unsigned to = entropy_class(split, least);
        out->count[to] += fine->count[c];
        out->raw += (uint64_t)fine->count[c] * entropy_raw(split, to, &own);
    }
}

/* Nine in ten numbers take at most so many bits. */
static unsigned usual_width(const struct histogram_of *h, size_t n)
{
    uint64_t least = 0;
    size_t longer = n;

    for (unsigned c = 0; longer * 10 > n; c++) {
        if (!h->count[c]) continue;
        longer -= h->count[c];
        (void)entropy_raw(h->split, c, &least);
    }
    return bit_width(least);
}

static void keep_better(struct histogram_of *best, uint64_t *best_bits,
                        const struct histogram_of *h, size_t n)
{
    uint64_t bits = bits_of(h, n);
    if (bits >= *best_bits) return;
    *best_bits = bits;
    *best = *h;
}

static void choose_split(struct histogram_of *best, const uint64_t *v, size_t n)
{
    struct histogram_of fine, h;
    struct entropy_split split = {0, ENTROPY_EXACT_MAX, true};

    count_all(&fine, split, v, n);
    unsigned width = usual_width(&fine, n);
    uint64_t best_bits = bits_of(&fine, n);
    *best = fine;
    for (unsigned i = 0; i < 2 * ENTROPY_EXACT_MAX + 1; i++) {
        split = (struct entropy_split){0, (uint8_t)((i + 1) / 2), i % 2 == 0 && i > 0};
        if (split.exact > width + 1u) break;
        merge(&h, &fine, split);
        keep_better(best, &best_bits, &h, n);
    }
    for (unsigned left = EXACT_LEAST; left <= ENTROPY_EXACT_MAX && left < width; left++) {
        count_all(&h, (struct entropy_split){(uint8_t)(width - left), (uint8_t)left, false}, v,
                  n);
        keep_better(best, &best_bits, &h, n);
    }
}

size_t entropy_guess(const uint64_t *v, size_t n)
{
    struct histogram_of h;

    if (n == 0) return 0;
    count_all(&h, (struct entropy_split){0, ENTROPY_EXACT_MAX, true}, v, n);
    return (size_t)bits_of(&h, n);
}

/* ---- bytes -------------------------------------------------------------------- */

/* What the encoder gave away for a number: its bits and how many. */
static inline uint64_t given(unsigned bits, unsigned width)
{
    return (uint64_t)bits << 8 | width;
}

/* How a stream is coded. */
struct coding {
    struct entropy_split split;
    unsigned log, turns;
    uint16_t slots[ENTROPY_CLASSES];
};

/* Walks backwards; state[] ends as what the decoder begins with. Returns the bits that
 * were given away. */
static size_t walk_back(uint64_t *out, unsigned *state, const uint64_t *v, size_t n,
                        const struct coding *by,
                        const struct entropy_levels *l)
{
    uint8_t class_at[ENTROPY_STATES_MAX];
    uint16_t slot_of[ENTROPY_STATES_MAX], begin[ENTROPY_CLASSES];
    uint16_t filled[ENTROPY_CLASSES] = {0};
    unsigned n_states = 1u << by->log;
    size_t bits = 0;

    entropy_spread(class_at, by->slots, l, by->log);
    for (unsigned c = 0, at = 0; c < ENTROPY_CLASSES; at += by->slots[c++]) {
        begin[c] = (uint16_t)at;
    }
    for (unsigned s = 0; s < n_states; s++) {
        unsigned c = class_at[s];
        slot_of[begin[c] + filled[c]++] = (uint16_t)s;
    }
    for (unsigned t = 0; t < by->turns; t++) state[t] = n_states;
    for (size_t i = n; i-- > 0;) {
        unsigned c = entropy_class(by->split, v[i]), f = by->slots[c];
        unsigned x = state[i & (by->turns - 1)], width = by->log - (bit_width(f) - 1);
        if (x >> width < f) width--;
        out[i] = given(x & ((1u << width) - 1), width);
        bits += width;
        state[i & (by->turns - 1)] = n_states + slot_of[begin[c] + (x >> width) - f];
    }
    return bits;
}

/* The states with the fewest bits, and their slots. A table takes time to make, which
 * counts as a bit for each TABLE_COST states. */
static void choose_states(struct coding *by, const struct entropy_levels *l,
                          const uint32_t *count)
{
    uint64_t best = UINT64_MAX;
    uint16_t slots[ENTROPY_CLASSES] = {0};

    memset(by->slots, 0, sizeof(by->slots));
    for (unsigned log = ENTROPY_LOG_MIN; log <= ENTROPY_LOG_MAX; log++) {
        uint64_t bits = (by->turns * log + (1u << log) / TABLE_COST) << LOG_BITS;
        entropy_share(slots, l, log);
        for (unsigned c = l->first; c <= l->last; c++) {
            if (count[c]) bits += count[c] * ((log << LOG_BITS) - log2_of(slots[c]));
        }
        if (bits >= best) continue;
        best = bits;
        by->log = log;
        memcpy(by->slots, slots, sizeof(slots));
    }
}

/* The head and the levels. */
static size_t put_head(uint8_t *dst, const struct coding *by, const struct entropy_levels *l)
{
    size_t bits[ENTROPY_RICE_MAX + 1], at = 0;
    struct entropy_split s = by->split;

    level_bits(bits, l);
    unsigned rice = best_rice(bits);
    dst[at++] = (uint8_t)(s.exact | (s.half ? ENTROPY_HALF_FLAG : 0) |
                       (by->log - ENTROPY_LOG_MIN) << ENTROPY_LOG_SHIFT |
                       (by->turns == 1 ? ENTROPY_ONE_TURN : 0) |
                       (l->first ? ENTROPY_HAS_FIRST : 0));
    dst[at++] = (uint8_t)(s.shift | rice << ENTROPY_RICE_SHIFT);
    dst[at++] = (uint8_t)(l->last - l->first);
    if (l->first) dst[at++] = (uint8_t)l->first;
    return at + put_levels(dst + at, l, rice);
}

size_t entropy_encode(uint8_t *dst, const uint64_t *v, size_t n, uint64_t *words)
{
    unsigned state[ENTROPY_TURNS];
    struct histogram_of h;
    struct coding by;
    struct entropy_levels l;
    uint64_t least;

    if (n == 0) return 0;
    choose_split(&h, v, n);
    levels_of(&l, h.count);
    by.split = h.split;
    by.turns = n < LONG ? 1 : ENTROPY_TURNS;
    choose_states(&by, &l, h.count);
    size_t at = put_head(dst, &by, &l);
    size_t bits = walk_back(words, state, v, n, &by, &l) + (size_t)by.turns * by.log;
    if (h.raw) at += varint_put(dst + at, (bits + 7) / 8);

    struct bit_writer w = {.dst = dst + at};
    for (unsigned t = 0; t < by.turns; t++) bit_put(&w, state[t] - (1u << by.log), by.log);
    for (size_t i = 0; i < n; i++) bit_put(&w, words[i] >> 8, (unsigned)(words[i] & 0xff));
    at += bit_finish(&w);
    if (!h.raw) return at;
    w = (struct bit_writer){.dst = dst + at};
    for (size_t i = 0; i < n; i++) {
        unsigned width = entropy_raw(by.split, entropy_class(by.split, v[i]), &least);
        bit_put(&w, v[i] - least, width);
    }
    return at + bit_finish(&w);
}
