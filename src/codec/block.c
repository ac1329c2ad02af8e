/* Mini-blocks. The head is a few bytes, because 32 points are not many: codecs and
 * type share two bytes, lengths are varints.
 *
 *     n  type|tick  value  tick_len  value_len  ticks...  values...
 *
 * Layout: docs/formats/chunk.md. */
#include "codec/block.h"

#include <string.h>

#include "base/panic.h"
#include "codec/codec_priv.h"

enum {
    BLOCK_OFF_N = 0,
    BLOCK_OFF_TYPE = 1, /* type in the low half, tick codec in the high half */
    BLOCK_OFF_VALUE = 2,
    BLOCK_HEAD_FIXED = 3,
    BLOCK_HEAD_MAX = BLOCK_HEAD_FIXED + 2 * VARINT_MAX,
};

_Static_assert((int)BLOCK_POINTS_MAX <= (int)TICK_POINTS_MAX &&
                   (int)BLOCK_POINTS_MAX <= (int)VALUE_POINTS_MAX,
               "a block is coded in one call");

size_t block_bound(enum value_type type, const union value *val, size_t n)
{
    return BLOCK_HEAD_MAX + tick_bound(n) + value_bound(type, val, n);
}

size_t block_encode(uint8_t *dst, enum value_type type, const ts_time *ts,
                    const union value *val, size_t n)
{
    enum tick_codec tick = tick_choose(ts, n);
    enum value_codec value = value_choose(type, val, n);
    uint8_t *body = dst + BLOCK_HEAD_MAX;
    size_t tick_len = tick_encode(body, tick, 0, ts, n);
    size_t value_len = value_encode(body + tick_len, value, type, val, n);

    dst[BLOCK_OFF_N] = (uint8_t)n;
    dst[BLOCK_OFF_TYPE] = (uint8_t)((unsigned)type | (unsigned)tick << 4);
    dst[BLOCK_OFF_VALUE] = (uint8_t)value;
    size_t at = BLOCK_HEAD_FIXED;
    at += varint_put(dst + at, tick_len);
    at += varint_put(dst + at, value_len);
    memmove(dst + at, body, tick_len + value_len);
    return at + tick_len + value_len;
}

status block_info(struct block_info *out, const uint8_t *src, size_t len)
{
    struct span in = {src, len};
    uint64_t tick_len, value_len, first;

    const uint8_t *fixed = span_take(&in, BLOCK_HEAD_FIXED);
    if (!fixed || !span_varint(&tick_len, &in) || !span_varint(&value_len, &in)) {
        return ST_CORRUPT;
    }
    unsigned type = fixed[BLOCK_OFF_TYPE] & 15, tick = fixed[BLOCK_OFF_TYPE] >> 4;
    unsigned value = fixed[BLOCK_OFF_VALUE];
    size_t n = fixed[BLOCK_OFF_N];
    if (n < 1 || n > BLOCK_POINTS_MAX || !value_type_valid(type)) return ST_CORRUPT;
    if (!tick_codec_valid(tick)) return ST_CORRUPT;
    if (!value_codec_serves((enum value_codec)value, (enum value_type)type)) return ST_CORRUPT;
    if (tick_len > in.len || value_len > in.len - tick_len) return ST_CORRUPT;

    /* Every tick codec begins with the first timestamp. */
    size_t head_len = len - in.len;
    struct span ticks = {in.src, (size_t)tick_len};
    if (!span_varint(&first, &ticks)) return ST_CORRUPT;
    *out = (struct block_info){
        .type = (enum value_type)type,
        .tick = (enum tick_codec)tick,
        .value = (enum value_codec)value,
        .n = n,
        .from = unzigzag(first),
        .head_len = head_len,
        .tick_len = (size_t)tick_len,
        .value_len = (size_t)value_len,
        .len = head_len + (size_t)tick_len + (size_t)value_len,
    };
    return ST_OK;
}

status block_decode(struct points *out, struct arena *arena, const uint8_t *src, size_t len,
                    size_t *used)
{
    struct block_info info;

    TRY(block_info(&info, src, len));
    if (!used && info.len != len) return ST_CORRUPT;
    if (!points_reserve(out, info.n)) return ST_NO_MEMORY;
    const uint8_t *ticks = src + info.head_len;
    TRY(tick_decode(out->ts + out->n, info.n, info.tick, 0, ticks, info.tick_len));
    TRY(value_decode(out->val + out->n, info.n, info.value, info.type, arena,
                     ticks + info.tick_len, info.value_len));
    out->n += info.n;
    if (used) *used = info.len;
    return ST_OK;
}
