/* The parts of bitio.h that are not worth inlining. Everything is little-endian from
 * the lowest bit, so the i-th value of a packed run is one unaligned 64-bit load, a
 * shift and a mask; only values wider than 57 bits and the last bytes of a buffer
 * need more. */
#include "codec/bitio.h"

#include <string.h>

size_t bit_finish(struct bit_writer *w)
{
    uint8_t last[8];
    size_t n = (w->n_bits + 7) / 8;

    store_u64(last, w->bits);
    memcpy(w->dst + w->len, last, n);
    w->len += n;
    w->bits = 0;
    w->n_bits = 0;
    return w->len;
}

uint64_t bit_peek_tail(const struct bit_reader *r)
{
    uint8_t last[8] = {0};
    size_t byte = r->at >> 3;

    if (byte < r->len) {
        size_t left = r->len - byte;
        memcpy(last, r->src + byte, left < 8 ? left : 8);
    }
    return load_u64(last) >> (r->at & 7);
}

bool bit_done(const struct bit_reader *r)
{
    size_t n_bits = r->len * 8;
    if (r->at > n_bits || n_bits - r->at >= 8) return false;
    return (bit_peek57(r) & 0x7f) == 0;
}

size_t pack_bits(uint8_t *dst, const uint64_t *v, size_t n, unsigned width)
{
    struct bit_writer w = {.dst = dst};

    if (width == 0) return 0;
    for (size_t i = 0; i < n; i++) bit_put(&w, v[i], width);
    return bit_finish(&w);
}

void unpack_bits(uint64_t *v, size_t n, unsigned width, const uint8_t *src)
{
    struct bit_reader r = {.src = src, .len = pack_len(n, width)};

    if (width == 0) {
        memset(v, 0, n * sizeof(v[0]));
        return;
    }
    for (size_t i = 0; i < n; i++) v[i] = bit_get(&r, width);
}

uint64_t pack_at(const uint8_t *src, size_t i, unsigned width)
{
    struct bit_reader r = {.src = src, .len = pack_len(i + 1, width), .at = i * width};
    return width ? bit_get(&r, width) : 0;
}
