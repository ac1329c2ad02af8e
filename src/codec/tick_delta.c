/* Timestamps as varint differences: no structure assumed, one byte for gaps under
 * 128, two under 16,384. Layout: docs/formats/chunk.md. */
#include "codec/codec_priv.h"

size_t tick_delta_cost(const ts_time *ts, size_t n)
{
    size_t len = 1;
    for (size_t i = 1; i < n; i++) len += varint_len(ts_gap(ts[i - 1], ts[i]));
    return len;
}

size_t tick_delta_encode(uint8_t *dst, ts_time base, const ts_time *ts, size_t n)
{
    size_t at = svarint_put(dst, wrap_sub(ts[0], base));
    for (size_t i = 1; i < n; i++) at += varint_put(dst + at, ts_gap(ts[i - 1], ts[i]));
    return at;
}

status tick_delta_decode(ts_time *ts, size_t n, ts_time base, const uint8_t *src, size_t len)
{
    struct span in = {src, len};
    int64_t first;

    if (!span_svarint(&first, &in)) return ST_CORRUPT;
    ts[0] = wrap_add(base, first);
    for (size_t i = 1; i < n; i++) {
        uint64_t gap;
        ts[i] = ts[i - 1];
        if (!span_varint(&gap, &in) || !ts_advance(&ts[i], gap)) return ST_CORRUPT;
    }
    return in.len == 0 ? ST_OK : ST_CORRUPT;
}
