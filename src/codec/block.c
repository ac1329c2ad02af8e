/* Mini-blocks. 17 to 128 points, so every byte of the head counts:
 *
 *     n - 1 | follows << 7                                                 values
 *     n - 1            fixed   first - before, step                        values
 *     n - 1            codec   first - before, span, length, ticks         values
 *
 * with values = length, value codec, payload. Layout: docs/formats/chunk.md. */
#include "codec/block.h"

#include <string.h>

#include "base/panic.h"
#include "codec/codec_priv.h"
#include "codec/decimal.h"
#include "codec/tick_codec.h"
#include "codec/value_codec.h"

enum {
    BLOCK_FOLLOWS = 0x80, /* the step of the block before goes on */
    BLOCK_HEAD_MAX = 3 + 4 * VARINT_MAX,
};

_Static_assert((int)BLOCK_POINTS_MAX <= (int)TICK_POINTS_MAX &&
                   (int)BLOCK_POINTS_MAX <= (int)VALUE_POINTS_MAX,
               "a block is coded in one call");

size_t block_bound(enum value_type type, const union value *val, size_t n)
{
    size_t values = value_bound(type, val, n), decimal = decimal_bound(n);
    return BLOCK_HEAD_MAX + tick_bound(n) + (values > decimal ? values : decimal);
}

static inline bool is_number(enum value_type type)
{
    return type == VALUE_F64 || type == VALUE_I64 || type == VALUE_U64;
}

/* Numbers are constant or decimal: nothing is gained by comparing here. */
static size_t put_values(uint8_t *dst, enum value_type type, const union value *val, size_t n)
{
    uint8_t exponent = 0;
    enum value_codec codec = VALUE_CODEC_CONST;

    if (is_number(type) && const_rle_cost(type, val, n) == SIZE_MAX) {
        dst[0] = VALUE_CODEC_DECIMAL;
        return 1 + decimal_encode_block(dst + 1, type, val, n, &exponent);
    }
    if (!is_number(type)) codec = value_choose(type, val, n);
    dst[0] = (uint8_t)codec;
    return 1 + value_encode(dst + 1, codec, type, val, n);
}

static status get_values(union value *val, size_t n, enum value_type type, struct arena *arena,
                         struct span *in)
{
    unsigned codec;

    if (!span_byte(&codec, in)) return ST_CORRUPT;
    if (codec != VALUE_CODEC_DECIMAL) {
        return value_decode(val, n, (enum value_codec)codec, type, arena, in->src, in->len);
    }
    if (!is_number(type)) return ST_CORRUPT;
    return decimal_decode(val, type, n, in->src, in->len);
}

/* The step of a column of ticks; 0 when it has none. */
static uint64_t step_of(const ts_time *ts, size_t n)
{
    uint64_t step = n > 1 ? ts_gap(ts[0], ts[1]) : 0;
    for (size_t i = 2; i < n; i++)
        if (ts_gap(ts[i - 1], ts[i]) != step) return 0;
    return step;
}

/* Whether the points go on where the block before ended. */
static bool goes_on(const struct block_before *before, const ts_time *ts, size_t n, uint64_t step)
{
    return before->step && ts[0] > before->ts && ts_gap(before->ts, ts[0]) == before->step &&
           (n == 1 || step == before->step);
}

static size_t put_ticks(uint8_t *dst, ts_time before, const ts_time *ts, size_t n, uint64_t step)
{
    enum tick_codec codec = step || n == 1 ? TICK_FIXED_STEP : tick_choose(ts, n);
    size_t at = 0;

    dst[at++] = (uint8_t)codec;
    at += svarint_put(dst + at, wrap_sub(ts[0], before));
    if (codec == TICK_FIXED_STEP) return n > 1 ? at + varint_put(dst + at, step) : at;
    at += varint_put(dst + at, ts_gap(ts[0], ts[n - 1]));
    uint8_t *body = dst + at + VARINT_MAX;
    size_t len = tick_encode(body, codec, ts[0], ts, n);
    at += varint_put(dst + at, len);
    memmove(dst + at, body, len);
    return at + len;
}

size_t block_encode(uint8_t *dst, enum value_type type, const struct block_before *before,
                    const ts_time *ts, const union value *val, size_t n)
{
    ASSERT(n >= 1 && n <= BLOCK_POINTS_MAX && (n == 1 || ts[0] < ts[n - 1]));
    uint64_t step = step_of(ts, n);
    size_t at = 0;

    if (goes_on(before, ts, n, step)) {
        dst[at++] = (uint8_t)((n - 1) | BLOCK_FOLLOWS);
    } else {
        dst[at++] = (uint8_t)(n - 1);
        at += put_ticks(dst + at, before->ts, ts, n, step);
    }
    uint8_t *body = dst + at + VARINT_MAX;
    size_t len = put_values(body, type, val, n);
    at += varint_put(dst + at, len);
    memmove(dst + at, body, len);
    return at + len;
}

/* The last of n times from `first` in steps; false when there is no such time. */
static bool last_of(ts_time *out, ts_time first, uint64_t step, size_t n)
{
    uint64_t span;
    if (__builtin_mul_overflow(step, n - 1, &span) || span > ts_gap(first, TS_MAX)) return false;
    *out = wrap_add(first, (int64_t)span);
    return true;
}

/* Of a block that does not follow: its codec, and what that needs. */
static status look_at_ticks(struct block_head *out, const struct block_before *before,
                            struct span *in)
{
    unsigned codec;
    int64_t first;
    uint64_t span, len;

    if (!span_byte(&codec, in) || !span_svarint(&first, in)) return ST_CORRUPT;
    out->codec = (enum tick_codec)codec;
    out->ts.from = out->ts.to = wrap_add(before->ts, first);
    if (codec == TICK_FIXED_STEP) {
        if (out->n == 1) return ST_OK;
        if (!span_varint(&out->step, in) || out->step == 0) return ST_CORRUPT;
        return last_of(&out->ts.to, out->ts.from, out->step, out->n) ? ST_OK : ST_CORRUPT;
    }
    if (out->n == 1 || !tick_codec_valid(codec) || !span_varint(&span, in) ||
        !ts_advance(&out->ts.to, span) || !span_varint(&len, in))
        return ST_CORRUPT;
    out->ticks = span_take(in, len);
    out->ticks_len = (size_t)len;
    return out->ticks ? ST_OK : ST_CORRUPT;
}

status block_look(struct block_head *out, const struct block_before *before, const uint8_t *src,
                  size_t len)
{
    struct span in = {src, len};
    unsigned head;
    uint64_t values_len;

    if (!span_byte(&head, &in)) return ST_CORRUPT;
    *out = (struct block_head){.n = (head & (BLOCK_FOLLOWS - 1)) + 1, .codec = TICK_FIXED_STEP};
    if (head & BLOCK_FOLLOWS) {
        out->step = before->step;
        out->ts.from = before->ts;
        if (!ts_advance(&out->ts.from, before->step) ||
            !last_of(&out->ts.to, out->ts.from, out->step, out->n))
            return ST_CORRUPT;
    } else {
        TRY(look_at_ticks(out, before, &in));
    }
    if (!span_varint(&values_len, &in)) return ST_CORRUPT;
    out->values = span_take(&in, values_len);
    if (!out->values) return ST_CORRUPT;
    out->values_len = (size_t)values_len;
    out->len = (size_t)(in.src - src);
    return ST_OK;
}

static status decode_ticks(ts_time *ts, const struct block_head *head)
{
    if (head->ticks) {
        TRY(tick_decode(ts, head->n, head->codec, head->ts.from, head->ticks, head->ticks_len));
        bool as_told = ts[0] == head->ts.from && ts[head->n - 1] == head->ts.to;
        return as_told ? ST_OK : ST_CORRUPT;
    }
    for (size_t i = 0; i < head->n; i++)
        ts[i] = wrap_add(head->ts.from, (int64_t)(head->step * i));
    return ST_OK;
}

status block_decode(struct points *out, struct arena *arena, enum value_type type,
                    const struct block_head *head)
{
    struct span in = {head->values, head->values_len};

    if (!points_reserve(out, head->n)) return ST_NO_MEMORY;
    TRY(decode_ticks(out->ts + out->n, head));
    TRY(get_values(out->val + out->n, head->n, type, arena, &in));
    out->n += head->n;
    return ST_OK;
}
