/* Reading class streams, and the table of states that both sides make.
 *
 * Slots are shared out so that rounding favours nobody: who is due less than one slot gets
 * one, and those left share by running sums. They are spread by an odd stride, which
 * visits all. */
#include <string.h>

#include "codec/codec_priv.h"
#include "codec/entropy_priv.h"

void entropy_share(uint16_t *slots, const struct entropy_levels *l, unsigned log)
{
    uint64_t left = 1ull << log, weights = 0, sum = 0, given = 0;
    bool again = true;

    for (unsigned c = l->first; c <= l->last; c++) {
        slots[c] = 0;
        weights += entropy_weight(l->level[c]);
    }
    /* Each round gives at least one class its only slot. */
    while (again) {
        again = false;
        for (unsigned c = l->first; c <= l->last; c++) {
            uint64_t weight = entropy_weight(l->level[c]);
            if (weight == 0 || slots[c] || weight * left >= weights) continue;
            slots[c] = 1;
            left--;
            weights -= weight;
            again = true;
        }
    }
    for (unsigned c = l->first; c <= l->last; c++) {
        uint64_t weight = entropy_weight(l->level[c]);
        if (weight == 0 || slots[c]) continue;
        sum += weight;
        uint64_t upto = sum * left / weights;
        slots[c] = (uint16_t)(upto - given);
        given = upto;
    }
}

void entropy_spread(uint8_t *class_at, const uint16_t *slots, const struct entropy_levels *l,
                    unsigned log)
{
    unsigned n = 1u << log, stride = n / 2 + n / 8 + 3, at = 0;

    for (unsigned c = l->first; c <= l->last; c++) {
        for (unsigned k = 0; k < slots[c]; k++) {
            class_at[at] = (uint8_t)c;
            at = (at + stride) & (n - 1);
        }
    }
}

/* ---- the head --------------------------------------------------------------- */

/* Zeros, then a one: how many, or SIZE_MAX when they are more than most. */
static size_t get_unary(struct bit_reader *r, size_t most)
{
    for (size_t n = 0; n <= most; n++) {
        if (bit_get(r, 1)) return n;
    }
    return SIZE_MAX;
}

/* The level after `last`, or SIZE_MAX. */
static size_t get_level(struct bit_reader *r, unsigned last, unsigned rice)
{
    size_t high = get_unary(r, 2 * ENTROPY_LEVEL_MAX);
    if (high == SIZE_MAX) return SIZE_MAX;
    int64_t level = (int64_t)last + unzigzag(high << rice | bit_get(r, rice));
    return level >= 0 && level <= ENTROPY_LEVEL_MAX ? (size_t)level : SIZE_MAX;
}

/* The levels of the classes l->first to l->last, from r. */
static status get_levels(struct entropy_levels *l, unsigned rice, struct bit_reader *r)
{
    unsigned before = (unsigned)bit_get(r, ENTROPY_LEVEL_BITS);

    if (before < 1 || before > ENTROPY_LEVEL_MAX) return ST_CORRUPT;
    l->level[l->first] = (uint8_t)before;
    for (unsigned c = l->first + 1; c <= l->last; c++) {
        size_t got = get_level(r, before, rice);
        if (got == SIZE_MAX) return ST_CORRUPT;
        l->level[c] = (uint8_t)got;
        if (got) {
            before = (unsigned)got;
            continue;
        }
        size_t width = get_unary(r, 8);
        if (width == SIZE_MAX) return ST_CORRUPT;
        size_t run = ((size_t)1 << width | bit_get(r, (unsigned)width)) - 1;
        if (run >= l->last - c) return ST_CORRUPT;
        memset(l->level + c + 1, 0, run);
        c += (unsigned)run;
    }
    return r->at <= 8 * r->len && l->level[l->last] ? ST_OK : ST_CORRUPT;
}

static void make_table(struct entropy_reader *rd, const struct entropy_levels *l, unsigned log)
{
    uint8_t class_at[ENTROPY_STATES_MAX];
    uint16_t next[ENTROPY_CLASSES];
    unsigned n = 1u << log;

    entropy_share(next, l, log);
    entropy_spread(class_at, next, l, log);
    for (unsigned s = 0; s < n; s++) {
        unsigned x = next[class_at[s]]++;
        unsigned width = log - (bit_width(x) - 1);
        rd->table[s] = (struct entropy_entry){.base = (uint16_t)((x << width) - n),
                                              .class = class_at[s],
                                              .width = (uint8_t)width};
    }
}

/* Everything before the state bits. */
static status get_head(struct entropy_reader *rd, unsigned *log, struct span *in)
{
    struct entropy_levels l;
    unsigned flags, second, more, first = 0;

    if (!span_byte(&flags, in) || !span_byte(&second, in)) return ST_CORRUPT;
    if (!span_byte(&more, in)) return ST_CORRUPT;
    if (flags & ENTROPY_HAS_FIRST && !span_byte(&first, in)) return ST_CORRUPT;
    struct entropy_split split = {.shift = second & ENTROPY_SHIFT_MASK,
                                  .exact = flags & ENTROPY_EXACT_MASK,
                                  .half = flags & ENTROPY_HALF_FLAG};
    if (split.half && split.exact == 0) return ST_CORRUPT;
    if (first + more > entropy_class(split, UINT64_MAX)) return ST_CORRUPT;
    *log = ENTROPY_LOG_MIN + (flags >> ENTROPY_LOG_SHIFT & 3);
    rd->turns = flags & ENTROPY_ONE_TURN ? 1 : ENTROPY_TURNS;

    struct bit_reader r = {.src = in->src, .len = in->len};
    l.first = first;
    l.last = first + more;
    TRY(get_levels(&l, second >> ENTROPY_RICE_SHIFT, &r));
    (void)span_take(in, (r.at + 7) / 8);
    rd->has_raw = false;
    for (unsigned c = l.first; c <= l.last; c++) {
        rd->raw_bits[c] = (uint8_t)entropy_raw(split, c, &rd->least[c]);
        rd->has_raw |= l.level[c] && rd->raw_bits[c];
    }
    make_table(rd, &l, *log);
    return ST_OK;
}

status entropy_open(struct entropy_reader *rd, const uint8_t *src, size_t len)
{
    struct span in = {src, len};
    unsigned log;
    uint64_t states_len;

    rd->at = 0;
    rd->empty = len == 0;
    if (rd->empty) return ST_OK;
    TRY(get_head(rd, &log, &in));
    states_len = in.len;
    if (rd->has_raw && !span_varint(&states_len, &in)) return ST_CORRUPT;
    const uint8_t *states = span_take(&in, states_len);
    if (!states) return ST_CORRUPT;
    rd->states = (struct bit_reader){.src = states, .len = (size_t)states_len};
    rd->raw = (struct bit_reader){.src = in.src, .len = in.len};
    for (unsigned t = 0; t < ENTROPY_TURNS; t++) {
        rd->state[t] = t < rd->turns ? (unsigned)bit_get(&rd->states, log) : 0;
    }
    return ST_OK;
}

/* ---- numbers ---------------------------------------------------------------- */

static inline unsigned step(const struct entropy_entry *table, unsigned *state, uint64_t *bits,
                            size_t *used)
{
    struct entropy_entry e = table[*state];
    *state = e.base + (unsigned)(*bits & ((1u << e.width) - 1));
    *bits >>= e.width;
    *used += e.width;
    return e.class;
}

static inline uint64_t raw_get(const struct entropy_reader *rd, struct bit_reader *raw,
                               unsigned class)
{
    return rd->least[class] + bit_get(raw, rd->raw_bits[class]);
}

static inline uint64_t raw_cut(const struct entropy_reader *rd, uint64_t *bits, unsigned class)
{
    unsigned width = rd->raw_bits[class];
    uint64_t low = *bits & ((1ull << width) - 1);
    *bits >>= width;
    return rd->least[class] + low;
}

/* The numbers of four classes: by one look at the bits when they are not too many. */
static inline void raw_four(const struct entropy_reader *rd, struct bit_reader *raw, uint64_t *v,
                            const unsigned c[4])
{
    unsigned width = 0;

    for (unsigned k = 0; k < 4; k++) width += rd->raw_bits[c[k]];
    if (width > 57) {
        for (unsigned k = 0; k < 4; k++) v[k] = raw_get(rd, raw, c[k]);
        return;
    }
    uint64_t bits = bit_peek57(raw);
    for (unsigned k = 0; k < 4; k++) v[k] = raw_cut(rd, &bits, c[k]);
    raw->at += width;
}

/* Four numbers at a time; their states take at most 4 times 11 bits. Returns how many. */
static inline size_t next_fours(struct entropy_reader *rd, uint64_t *v, size_t count,
                                unsigned turns, bool has_raw)
{
    const struct entropy_entry *table = rd->table;
    struct bit_reader states = rd->states, raw = rd->raw;
    unsigned s[ENTROPY_TURNS], last = turns - 1;
    size_t i = 0;

    memcpy(s, rd->state, sizeof(s));
    for (; i + 4 <= count; i += 4) {
        uint64_t bits = bit_peek57(&states);
        unsigned c[4];
        c[0] = step(table, &s[0], &bits, &states.at);
        c[1] = step(table, &s[1 & last], &bits, &states.at);
        c[2] = step(table, &s[2 & last], &bits, &states.at);
        c[3] = step(table, &s[3 & last], &bits, &states.at);
        if (has_raw) {
            raw_four(rd, &raw, v + i, c);
        } else {
            for (unsigned k = 0; k < 4; k++) v[i + k] = rd->least[c[k]];
        }
    }
    memcpy(rd->state, s, sizeof(s));
    rd->states.at = states.at;
    rd->raw.at = raw.at;
    return i;
}

static void next_singly(struct entropy_reader *rd, uint64_t *v, size_t count)
{
    for (size_t i = 0; i < count; i++, rd->at++) {
        uint64_t bits = bit_peek57(&rd->states);
        unsigned *state = &rd->state[rd->at & (rd->turns - 1)];
        v[i] = raw_get(rd, &rd->raw, step(rd->table, state, &bits, &rd->states.at));
    }
}

void entropy_next(struct entropy_reader *rd, uint64_t *v, size_t count)
{
    if (rd->empty) {
        memset(v, 0, count * sizeof(v[0]));
        rd->at += count;
        return;
    }
    size_t first = (0 - rd->at) % ENTROPY_TURNS;
    if (first > count) first = count;
    next_singly(rd, v, first);
    v += first;
    count -= first;
    size_t most = rd->turns == 1 ? next_fours(rd, v, count, 1, true)
                  : rd->has_raw  ? next_fours(rd, v, count, ENTROPY_TURNS, true)
                                 : next_fours(rd, v, count, ENTROPY_TURNS, false);
    rd->at += most;
    next_singly(rd, v + most, count - most);
}

status entropy_done(const struct entropy_reader *rd)
{
    if (rd->empty) return rd->at == 0 ? ST_OK : ST_CORRUPT;
    for (unsigned t = 0; t < ENTROPY_TURNS; t++) {
        if (rd->state[t] != 0) return ST_CORRUPT;
    }
    return bit_done(&rd->states) && bit_done(&rd->raw) ? ST_OK : ST_CORRUPT;
}
