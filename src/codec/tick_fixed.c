/* Timestamps at one fixed step: the first, and the step. The best case and a common
 * one: scrapers that stamp with the planned time. Layout: docs/formats/chunk.md. */
#include "codec/codec_priv.h"

size_t tick_fixed_cost(const ts_time *ts, size_t n)
{
    if (n == 1) return 1;
    uint64_t step = ts_gap(ts[0], ts[1]);
    for (size_t i = 2; i < n; i++) {
        if (ts_gap(ts[i - 1], ts[i]) != step) return SIZE_MAX;
    }
    return 1 + varint_len(step);
}

size_t tick_fixed_encode(uint8_t *dst, ts_time base, const ts_time *ts, size_t n)
{
    size_t at = svarint_put(dst, wrap_sub(ts[0], base));
    if (n > 1) at += varint_put(dst + at, ts_gap(ts[0], ts[1]));
    return at;
}

status tick_fixed_decode(ts_time *ts, size_t n, ts_time base, const uint8_t *src, size_t len)
{
    struct span in = {src, len};
    int64_t first;
    uint64_t step = 0;

    if (!span_svarint(&first, &in)) return ST_CORRUPT;
    ts[0] = wrap_add(base, first);
    if (n > 1 && !span_varint(&step, &in)) return ST_CORRUPT;
    for (size_t i = 1; i < n; i++) {
        ts[i] = ts[i - 1];
        if (!ts_advance(&ts[i], step)) return ST_CORRUPT;
    }
    return in.len == 0 ? ST_OK : ST_CORRUPT;
}
