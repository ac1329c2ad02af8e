/* Reading class streams, and the table of states that both sides make.
 *
 * Slots are shared out so that rounding favours nobody: who is due less than one slot gets
 * one, and those left share by running sums. They are spread by an odd stride, which
 * visits all. */
#include <string.h>

#include "codec/codec_priv.h"
#include "codec/entropy_priv.h"
#include "codec/kernels.h"

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
    enum { LOOK = 57 };

    for (size_t n = 0; n <= most; n += LOOK, r->at += LOOK) {
        uint64_t bits = bit_peek57(r);
        if (bits == 0) continue;
        n += trailing_zeros(bits);
        r->at += trailing_zeros(bits) + 1;
        return n <= most ? n : SIZE_MAX;
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

/* What the numbers of a class have in common. */
struct class_facts {
    uint64_t least[ENTROPY_CLASSES];
    uint8_t raw[ENTROPY_CLASSES];
};

static void make_table(struct entropy_reader *rd, const struct entropy_levels *l,
                       const struct class_facts *facts, unsigned log)
{
    uint8_t class_at[ENTROPY_STATES_MAX];
    uint16_t next[ENTROPY_CLASSES];
    unsigned n = 1u << log;

    entropy_share(next, l, log);
    entropy_spread(class_at, next, l, log);
    for (unsigned s = 0; s < n; s++) {
        unsigned c = class_at[s], x = next[c]++;
        unsigned width = log - (bit_width(x) - 1);
        rd->table[s] = width | (unsigned)facts->raw[c] << CLASS_RAW_SHIFT |
                       ((x << width) - n) << CLASS_BASE_SHIFT;
        rd->least[s] = facts->least[c];
    }
}

/* Everything before the state bits. */
static status get_head(struct entropy_reader *rd, unsigned *log, struct span *in)
{
    struct entropy_levels l;
    struct class_facts facts;
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
    rd->raw_most = 0;
    for (unsigned c = l.first; c <= l.last; c++) {
        unsigned raw = entropy_raw(split, c, &facts.least[c]);
        facts.raw[c] = (uint8_t)raw;
        if (l.level[c] && raw > rd->raw_most) rd->raw_most = raw;
    }
    make_table(rd, &l, &facts, *log);
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
    if (rd->raw_most && !span_varint(&states_len, &in)) return ST_CORRUPT;
    const uint8_t *states = span_take(&in, states_len);
    if (!states) return ST_CORRUPT;
    rd->states = (struct bit_reader){.src = states, .len = (size_t)states_len};
    rd->raw = (struct bit_reader){.src = in.src, .len = in.len};
    for (unsigned t = 0; t < ENTROPY_TURNS; t++) {
        rd->state[t] = t < rd->turns ? bit_get(&rd->states, log) : 0;
    }
    return ST_OK;
}

/* ---- numbers ---------------------------------------------------------------- */

static void next_singly(struct entropy_reader *rd, uint64_t *v, size_t count)
{
    for (size_t i = 0; i < count; i++, rd->at++) {
        uint64_t *state = &rd->state[rd->at & (rd->turns - 1)];
        uint32_t entry = rd->table[*state];
        uint64_t least = rd->least[*state];
        *state = (entry >> CLASS_BASE_SHIFT) + bit_get(&rd->states, entry & 63);
        v[i] = least + bit_get(&rd->raw, entry >> CLASS_RAW_SHIFT & 63);
    }
}

/* Bytes with `most` bits and CLASS_SLACK bytes readable from the reader's place on: its
 * own, or what is left of them in `room`, with zeros behind. *at is then the place. */
static const uint8_t *readable(size_t *at, const struct bit_reader *r, uint8_t *room, size_t most)
{
    size_t from = r->at >> 3, want = most / 8 + CLASS_SLACK;

    if (from < r->len && r->len - from >= want) {
        *at = r->at;
        return r->src;
    }
    size_t left = from < r->len ? r->len - from : 0;
    if (left) memcpy(room, r->src + from, left);
    memset(room + left, 0, want - left);
    *at = r->at & 7;
    return room;
}

/* A multiple of 4, at most a block. */
static void next_fours(struct entropy_reader *rd, uint64_t *v, size_t count)
{
    uint8_t states_room[KERNEL_BLOCK * ENTROPY_LOG_MAX / 8 + CLASS_SLACK];
    uint8_t raw_room[KERNEL_BLOCK * 8 + CLASS_SLACK];
    struct class_run run = {.table = rd->table,
                            .least = rd->least,
                            .one_state = rd->turns == 1,
                            .has_raw = rd->raw_most > 0};

    run.bits = readable(&run.bits_at, &rd->states, states_room, count * ENTROPY_LOG_MAX);
    if (run.has_raw) run.raw = readable(&run.raw_at, &rd->raw, raw_room, count * rd->raw_most);
    size_t bits_from = run.bits_at, raw_from = run.raw_at;
    for (size_t t = 0; t < ENTROPY_TURNS; t++) {
        run.state[t] = rd->state[(rd->at + t) & (rd->turns - 1)];
    }
    kernels()->class_fours(&run, v, count);
    for (size_t t = 0; t < rd->turns; t++) {
        rd->state[(rd->at + t) & (rd->turns - 1)] = run.state[t];
    }
    rd->states.at += run.bits_at - bits_from;
    rd->raw.at += run.raw_at - raw_from;
    rd->at += count;
}

void entropy_next(struct entropy_reader *rd, uint64_t *v, size_t count)
{
    if (rd->empty) {
        memset(v, 0, count * sizeof(v[0]));
        rd->at += count;
        return;
    }
    while (count >= 4) {
        size_t fours = (count < KERNEL_BLOCK ? count : KERNEL_BLOCK) & ~(size_t)3;
        next_fours(rd, v, fours);
        v += fours;
        count -= fours;
    }
    next_singly(rd, v, count);
}

status entropy_done(const struct entropy_reader *rd)
{
    if (rd->empty) return rd->at == 0 ? ST_OK : ST_CORRUPT;
    for (unsigned t = 0; t < ENTROPY_TURNS; t++) {
        if (rd->state[t]) return ST_CORRUPT;
    }
    return bit_done(&rd->states) && bit_done(&rd->raw) ? ST_OK : ST_CORRUPT;
}
