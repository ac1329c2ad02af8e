/* Mini-blocks. 17 to 32 points are the rule, so every byte of the head counts:
 *
 *     n - 1 | fixed << 7     value codec     [tick codec, tick_len]  ticks...  values...
 *
 * Layout: docs/formats/chunk.md. */
#include "codec/block.h"

#include <string.h>

#include "base/panic.h"
#include "codec/codec_priv.h"
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
    return BLOCK_HEAD_MAX + tick_bound(n) + value_bound(type, val, n);
}

size_t block_encode(uint8_t *dst, enum value_type type, ts_time base, const ts_time *ts,
                    const union value *val, size_t n)
{
    enum tick_codec tick = tick_choose(ts, n);
    enum value_codec value = value_choose(type, val, n);
    bool fixed = tick == TICK_FIXED_STEP;
    size_t at = 0;

    dst[at++] = (uint8_t)((n - 1) | (fixed ? BLOCK_FIXED : 0));
    dst[at++] = (uint8_t)value;
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
    return at + value_encode(dst + at, value, type, val, n);
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
    unsigned head, value;

    if (!span_byte(&head, &in) || !span_byte(&value, &in)) return ST_CORRUPT;
    size_t n = (head & (BLOCK_FIXED - 1)) + 1;
    if (!points_reserve(out, n)) return ST_NO_MEMORY;
    if (head & BLOCK_FIXED) TRY(decode_fixed(out->ts + out->n, n, base, &in));
    else TRY(decode_ticks(out->ts + out->n, n, base, &in));
    TRY(value_decode(out->val + out->n, n, (enum value_codec)value, type, arena, in.src, in.len));
    out->n += n;
    return ST_OK;
}
