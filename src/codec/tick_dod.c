/* Timestamps as differences of differences, in bits, after Gorilla 4.1.1: intervals
 * that drift slowly. Our classes are wider at the low end, because clocks here tick
 * in milliseconds or finer; z is the zigzag of the second difference:
 *
 *     0                       z = 0
 *     1 0       + 5 bits      z < 2^5     (+-16)
 *     1 1 0     + 8 bits      z < 2^8     (+-128)
 *     1 1 1 0   + 12 bits     z < 2^12
 *     1 1 1 1 0 + 20 bits     z < 2^20    (about 9 minutes in ms)
 *     1 1 1 1 1 + 64 bits     the rest
 *
 * Written from left to right; the number follows its prefix, lowest bit first. The
 * first difference is a varint. Layout: docs/formats/chunk.md. */
#include "codec/bitio.h"
#include "codec/codec_priv.h"

static const struct dod_class {
    unsigned prefix, prefix_len, width;
} classes[] = {
    {0x00, 1, 0}, {0x01, 2, 5}, {0x03, 3, 8}, {0x07, 4, 12}, {0x0f, 5, 20}, {0x1f, 5, 64},
};

static const struct dod_class *class_of(uint64_t z)
{
    const struct dod_class *c = classes;
    while (c->width < 64 && z >> c->width) c++;
    return c;
}

static inline uint64_t second_gap(const ts_time *ts, size_t i)
{
    uint64_t gap = ts_gap(ts[i - 1], ts[i]), before = ts_gap(ts[i - 2], ts[i - 1]);
    return zigzag((int64_t)(gap - before));
}

size_t tick_dod_cost(const ts_time *ts, size_t n)
{
    size_t n_bits = 0;

    if (n == 1) return 1;
    for (size_t i = 2; i < n; i++) {
        const struct dod_class *c = class_of(second_gap(ts, i));
        n_bits += c->prefix_len + c->width;
    }
    return 1 + varint_len(ts_gap(ts[0], ts[1])) + (n_bits + 7) / 8;
}

size_t tick_dod_encode(uint8_t *dst, ts_time base, const ts_time *ts, size_t n)
{
    size_t at = svarint_put(dst, wrap_sub(ts[0], base));

    if (n == 1) return at;
    at += varint_put(dst + at, ts_gap(ts[0], ts[1]));
    struct bit_writer w = {.dst = dst + at};
    for (size_t i = 2; i < n; i++) {
        uint64_t z = second_gap(ts, i);
        const struct dod_class *c = class_of(z);
        bit_put(&w, c->prefix, c->prefix_len);
        if (c->width) bit_put(&w, z, c->width);
    }
    return at + bit_finish(&w);
}

static uint64_t get_second_gap(struct bit_reader *r)
{
    uint64_t ahead = bit_peek57(r);
    unsigned n_ones = trailing_zeros(~ahead);
    const struct dod_class *c = &classes[n_ones < 5 ? n_ones : 5];

    r->at += c->prefix_len;
    return c->width ? bit_get(r, c->width) : 0;
}

status tick_dod_decode(ts_time *ts, size_t n, ts_time base, const uint8_t *src, size_t len)
{
    struct span in = {src, len};
    int64_t first;
    uint64_t gap;

    if (!span_svarint(&first, &in)) return ST_CORRUPT;
    ts[0] = wrap_add(base, first);
    if (n == 1) return in.len == 0 ? ST_OK : ST_CORRUPT;

    if (!span_varint(&gap, &in)) return ST_CORRUPT;
    ts[1] = ts[0];
    if (!ts_advance(&ts[1], gap)) return ST_CORRUPT;
    struct bit_reader r = {.src = in.src, .len = in.len};
    for (size_t i = 2; i < n; i++) {
        gap += (uint64_t)unzigzag(get_second_gap(&r));
        ts[i] = ts[i - 1];
        if (!ts_advance(&ts[i], gap)) return ST_CORRUPT;
    }
    return bit_done(&r) ? ST_OK : ST_CORRUPT;
}
