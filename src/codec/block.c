/* Mini-blocks. 17 to 32 points are the rule, so every byte of the head counts:
 *
 *     n - 1 | fixed << 7     first - base, step            value codec, values...
 *     n - 1                  tick codec, length, ticks...  value codec, values...
 *
 * Layout: docs/formats/chunk.md. */
#include "codec/block.h"

#include <string.h>

#include "base/panic.h"
#include "codec/codec_priv.h"
#include "codec/decimal.h"
#include "codec/tick_codec.h"
#include "codec/value_codec.h"

enum {
    BLOCK_FIXED = 0x80, /* the ticks have a fixed step */
    BLOCK_HEAD_MAX = 3 + VARINT_MAX,
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

size_t block_encode(uint8_t *dst, enum value_type type, ts_time base, const ts_time *ts,
                    const union value *val, size_t n)
{
    enum tick_codec tick = tick_choose(ts, n);
    bool fixed = tick == TICK_FIXED_STEP;
    size_t at = 0;

    dst[at++] = (uint8_t)((n - 1) | (fixed ? BLOCK_FIXED : 0));
    if (fixed) {
        at += svarint_put(dst + at, wrap_sub(ts[0], base));
        if (n > 1) at += varint_put(dst + at, ts_gap(ts[0], ts[1]));
    } else {
        uint8_t *body = dst + BLOCK_HEAD_MAX;
        size_t len = tick_encode(body, tick, base, ts, n);
        dst[at++] = (uint8_t)tick;
        at += varint_put(dst + at, len);
        memmove(dst + at, body, len);
        at += len;
    }
    return at + put_values(dst + at, type, val, n);
}

static status decode_fixed(ts_time *ts, size_t n, ts_time base, struct span *in)
{
    uint64_t step = 0;
    int64_t first;

    if (!span_svarint(&first, in) || (n > 1 && !span_varint(&step, in))) return ST_CORRUPT;
    ts[0] = wrap_add(base, first);
    for (size_t i = 1; i < n; i++) {
        ts[i] = ts[i - 1];
        if (!ts_advance(&ts[i], step)) return ST_CORRUPT;
    }
    return ST_OK;
}

static status decode_ticks(ts_time *ts, size_t n, ts_time base, struct span *in)
{
    unsigned codec;
    uint64_t len;

    if (!span_byte(&codec, in) || !span_varint(&len, in)) return ST_CORRUPT;
    const uint8_t *ticks = span_take(in, len);
    if (!ticks) return ST_CORRUPT;
    return tick_decode(ts, n, (enum tick_codec)codec, base, ticks, (size_t)len);
}

status block_decode(struct points *out, struct arena *arena, enum value_type type, ts_time base,
                    const uint8_t *src, size_t len)
{
    struct span in = {src, len};
    unsigned head;

    if (!span_byte(&head, &in)) return ST_CORRUPT;
    size_t n = (head & (BLOCK_FIXED - 1)) + 1;
    if (!points_reserve(out, n)) return ST_NO_MEMORY;
    if (head & BLOCK_FIXED) TRY(decode_fixed(out->ts + out->n, n, base, &in));
    else TRY(decode_ticks(out->ts + out->n, n, base, &in));
    TRY(get_values(out->val + out->n, n, type, arena, &in));
    out->n += n;
    return ST_OK;
}
