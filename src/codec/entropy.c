/* tANS over bit lengths. With L = 1024 states and a class that fills f of them:
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
 * Frequent classes get slots in proportion, every class that occurs at least one, spread
 * by a stride that is odd and so visits all 1024 slots. */
#include "codec/entropy.h"

#include <string.h>

#include "base/bits.h"
#include "base/panic.h"
#include "codec/codec_priv.h"

enum {
    SLOTS = ENTROPY_STATES,
    SLOTS_LOG = ENTROPY_STATES_LOG,
    STRIDE = 643, /* about 5/8 of the slots: far apart, yet not periodic */
    HEAD_MAX = 2 + ENTROPY_CLASSES * 2 + VARINT_MAX,
};

size_t entropy_bound(size_t n)
{
    /* At most 10 bits of state and 63 raw bits a number; the writer stores words. */
    return HEAD_MAX + ENTROPY_TURNS * 2 + n * 10 + 32;
}

/* Gives each class slots in proportion to its count, at least 1; the sum is SLOTS. */
static void share_slots(uint16_t *slots, const uint32_t *count, size_t n)
{
    int left = SLOTS;
    unsigned most = 0;

    for (unsigned c = 0; c < ENTROPY_CLASSES; c++) {
        slots[c] = 0;
        if (count[c] == 0) continue;
        uint64_t share = ((uint64_t)count[c] * SLOTS + n / 2) / n;
        slots[c] = (uint16_t)(share ? share : 1);
        left -= slots[c];
        if (slots[c] > slots[most]) most = c;
    }
    /* Rounding and rare classes took too much or too little: the largest pays, one slot
     * after the other while another one is as large. */
    while (left < 0) {
        for (unsigned c = 0; c < ENTROPY_CLASSES; c++) {
            if (slots[c] > slots[most]) most = c;
        }
        slots[most]--;
        left++;
    }
    slots[most] = (uint16_t)(slots[most] + left);
}

/* class_at[slot] for all slots. */
static void spread_classes(uint8_t *class_at, const uint16_t *slots)
{
    unsigned at = 0;
    for (unsigned c = 0; c < ENTROPY_CLASSES; c++) {
        for (unsigned k = 0; k < slots[c]; k++) {
            class_at[at] = (uint8_t)c;
            at = (at + STRIDE) & (SLOTS - 1);
        }
    }
}

/* ---- encoding ------------------------------------------------------------- */

static size_t put_slots(uint8_t *dst, const uint16_t *slots)
{
    unsigned low = 0, high = ENTROPY_CLASSES - 1;
    size_t at = 0;

    while (slots[low] == 0) low++;
    while (slots[high] == 0) high--;
    dst[at++] = (uint8_t)low;
    dst[at++] = (uint8_t)(high - low);
    for (unsigned c = low; c <= high; c++) at += varint_put(dst + at, slots[c]);
    return at;
}

/* What the encoder gave away for a number: its bits and how many. */
static inline uint64_t given(unsigned bits, unsigned width)
{
    return (uint64_t)bits << 8 | width;
}

/* Walks backwards; state[] ends as what the decoder begins with. */
static void walk_back(uint64_t *out, unsigned *state, const uint64_t *v, size_t n,
                      const uint16_t *slots)
{
    uint8_t class_at[SLOTS];
    uint16_t slot_of[SLOTS], begin[ENTROPY_CLASSES], filled[ENTROPY_CLASSES] = {0};

    spread_classes(class_at, slots);
    for (unsigned c = 0, at = 0; c < ENTROPY_CLASSES; at += slots[c++]) begin[c] = (uint16_t)at;
    for (unsigned s = 0; s < SLOTS; s++) {
        unsigned c = class_at[s];
        slot_of[begin[c] + filled[c]++] = (uint16_t)s;
    }
    for (unsigned t = 0; t < ENTROPY_TURNS; t++) state[t] = SLOTS;
    for (size_t i = n; i-- > 0;) {
        unsigned c = bit_width(v[i]), f = slots[c], x = state[i % ENTROPY_TURNS];
        unsigned width = SLOTS_LOG - (bit_width(f) - 1);
        if (x >> width < f) width--;
        out[i] = given(x & ((1u << width) - 1), width);
        state[i % ENTROPY_TURNS] = SLOTS + slot_of[begin[c] + (x >> width) - f];
    }
}

size_t entropy_encode(uint8_t *dst, const uint64_t *v, size_t n, uint64_t *words)
{
    uint32_t count[ENTROPY_CLASSES] = {0};
    uint16_t slots[ENTROPY_CLASSES];
    unsigned state[ENTROPY_TURNS];

    if (n == 0) return 0;
    for (size_t i = 0; i < n; i++) count[bit_width(v[i])]++;
    share_slots(slots, count, n);
    walk_back(words, state, v, n, slots);
    size_t at = put_slots(dst, slots), len_at = at;

    /* The states' bits, behind their length; it has 3 bytes, because it is known last. */
    struct bit_writer w = {.dst = dst + at + 3};
    for (unsigned t = 0; t < ENTROPY_TURNS; t++) bit_put(&w, state[t] - SLOTS, SLOTS_LOG);
    for (size_t i = 0; i < n; i++) bit_put(&w, words[i] >> 8, (unsigned)(words[i] & 0xff));
    size_t len = bit_finish(&w);
    dst[len_at] = (uint8_t)len;
    dst[len_at + 1] = (uint8_t)(len >> 8);
    dst[len_at + 2] = (uint8_t)(len >> 16);
    at += 3 + len;
    w = (struct bit_writer){.dst = dst + at};
    for (size_t i = 0; i < n; i++) {
        unsigned c = bit_width(v[i]);
        if (c > 1) bit_put(&w, v[i] & ~(1ull << (c - 1)), c - 1);
    }
    return at + bit_finish(&w);
}

/* ---- decoding ------------------------------------------------------------- */

static status get_slots(uint16_t *slots, struct span *in)
{
    unsigned low, more;
    uint64_t sum = 0, share;

    memset(slots, 0, ENTROPY_CLASSES * sizeof(slots[0]));
    if (!span_byte(&low, in) || !span_byte(&more, in)) return ST_CORRUPT;
    if (low + more >= ENTROPY_CLASSES) return ST_CORRUPT;
    for (unsigned c = low; c <= low + more; c++) {
        if (!span_varint(&share, in) || share > SLOTS) return ST_CORRUPT;
        slots[c] = (uint16_t)share;
        sum += share;
    }
    return sum == SLOTS ? ST_OK : ST_CORRUPT;
}

static void make_table(struct entropy_entry *table, const uint16_t *slots)
{
    uint8_t class_at[SLOTS];
    uint16_t next[ENTROPY_CLASSES];

    spread_classes(class_at, slots);
    memcpy(next, slots, sizeof(next));
    for (unsigned s = 0; s < SLOTS; s++) {
        unsigned x = next[class_at[s]]++;
        unsigned width = SLOTS_LOG - (bit_width(x) - 1);
        table[s] = (struct entropy_entry){.base = (uint16_t)((x << width) - SLOTS),
                                          .class = class_at[s],
                                          .width = (uint8_t)width};
    }
}

status entropy_open(struct entropy_reader *rd, const uint8_t *src, size_t len)
{
    struct span in = {src, len};
    uint16_t slots[ENTROPY_CLASSES];

    rd->at = 0;
    rd->empty = len == 0;
    if (rd->empty) return ST_OK;
    TRY(get_slots(slots, &in));
    const uint8_t *bytes = span_take(&in, 3);
    if (!bytes) return ST_CORRUPT;
    size_t states_len = bytes[0] | (size_t)bytes[1] << 8 | (size_t)bytes[2] << 16;
    const uint8_t *states = span_take(&in, states_len);
    if (!states) return ST_CORRUPT;
    rd->states = (struct bit_reader){.src = states, .len = states_len};
    rd->raw = (struct bit_reader){.src = in.src, .len = in.len};
    make_table(rd->table, slots);
    for (unsigned t = 0; t < ENTROPY_TURNS; t++) {
        rd->state[t] = (unsigned)bit_get(&rd->states, SLOTS_LOG);
    }
    return ST_OK;
}

/* The number of a class: its highest bit, and the ones below. */
static inline uint64_t raw_get(struct bit_reader *raw, unsigned class)
{
    if (class < 2) return class;
    return 1ull << (class - 1) | bit_get(raw, class - 1);
}

static inline unsigned step(struct entropy_reader *rd, unsigned turn, uint64_t *bits)
{
    const struct entropy_entry *e = &rd->table[rd->state[turn]];
    rd->state[turn] = e->base + (unsigned)(*bits & ((1u << e->width) - 1));
    *bits >>= e->width;
    rd->states.at += e->width;
    return e->class;
}

void entropy_next(struct entropy_reader *rd, uint64_t *v, size_t count)
{
    size_t i = 0;

    if (rd->empty) {
        memset(v, 0, count * sizeof(v[0]));
        rd->at += count;
        return;
    }
    for (; i < count && (rd->at + i) % ENTROPY_TURNS; i++) {
        uint64_t bits = bit_peek57(&rd->states);
        v[i] = raw_get(&rd->raw, step(rd, (unsigned)((rd->at + i) % ENTROPY_TURNS), &bits));
    }
    for (; i + ENTROPY_TURNS <= count; i += ENTROPY_TURNS) {
        uint64_t bits = bit_peek57(&rd->states); /* 4 times 10 at most */
        unsigned a = step(rd, 0, &bits), b = step(rd, 1, &bits);
        unsigned c = step(rd, 2, &bits), d = step(rd, 3, &bits);
        v[i] = raw_get(&rd->raw, a);
        v[i + 1] = raw_get(&rd->raw, b);
        v[i + 2] = raw_get(&rd->raw, c);
        v[i + 3] = raw_get(&rd->raw, d);
    }
    for (; i < count; i++) {
        uint64_t bits = bit_peek57(&rd->states);
        v[i] = raw_get(&rd->raw, step(rd, (unsigned)((rd->at + i) % ENTROPY_TURNS), &bits));
    }
    rd->at += count;
}

status entropy_done(const struct entropy_reader *rd)
{
    if (rd->empty) return rd->at == 0 ? ST_OK : ST_CORRUPT;
    for (unsigned t = 0; t < ENTROPY_TURNS; t++) {
        if (rd->state[t] != 0) return ST_CORRUPT;
    }
    return bit_done(&rd->states) && bit_done(&rd->raw) ? ST_OK : ST_CORRUPT;
}
