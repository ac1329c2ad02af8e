/* Bits in bytes: a writer, a reader that never looks past its end, and runs of
 * integers of one width. The first bit is the lowest bit of the first byte; a value
 * of several bits has its lowest bit first. Pure, any thread.
 */
#ifndef TSINK_CODEC_BITIO_H
#define TSINK_CODEC_BITIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/* Appends bits to dst, which the caller made large enough. */
struct bit_writer {
    uint8_t *dst;
    size_t len;      /* whole bytes written */
    uint64_t bits;   /* not yet written, from the lowest */
    unsigned n_bits; /* how many, < 64 */
};

/* v < 2^width, width <= 64. Writes 8 bytes at a time: nothing beyond the bytes that
 * the bits before and these fill completely. */
static inline void bit_put(struct bit_writer *w, uint64_t v, unsigned width)
{
    w->bits |= v << w->n_bits;
    unsigned n = w->n_bits + width;
    if (n < 64) {
        w->n_bits = n;
        return;
    }
    store_u64(w->dst + w->len, w->bits);
    w->len += 8;
    w->bits = w->n_bits ? v >> (64 - w->n_bits) : 0;
    w->n_bits = n - 64;
}

/* Writes the rest, zero bits up to the next byte; returns the length. */
size_t bit_finish(struct bit_writer *w);

/* Reads src[0..len). Past the end there are zeros; bit_done() tells. */
struct bit_reader {
    const uint8_t *src;
    size_t len;
    size_t at; /* in bits; may pass the end */
};

/* bit_peek57() where fewer than 8 bytes are left. */
uint64_t bit_peek_tail(const struct bit_reader *r);

/* At least the next 57 bits, nothing consumed. */

static inline uint64_t bit_peek57(const struct bit_reader *r)
{
    size_t byte = r->at >> 3;
    if (byte + 8 <= r->len) return load_u64(r->src + byte) >> (r->at & 7);
    return bit_peek_tail(r);
}

/* width <= 64. */
static inline uint64_t bit_get(struct bit_reader *r, unsigned width)
{
    if (width > 57) {
        uint64_t low = bit_get(r, 32);
        return low | bit_get(r, width - 32) << 32;
    }
    uint64_t v = bit_peek57(r) & ((1ull << width) - 1);
    r->at += width;
    return v;
}

/* True when every bit read so far was there, fewer than 8 are left, and those are
 * zero: the bytes are exactly what a writer makes. */
bool bit_done(const struct bit_reader *r);

/* n values of one width (0..64), packed without gaps. The bytes of a run: */
static inline size_t pack_len(size_t n, unsigned width)
{
    return (n * width + 7) / 8;
}

/* Packs v[0..n), each < 2^width, to dst; returns pack_len(). */
size_t pack_bits(uint8_t *dst, const uint64_t *v, size_t n, unsigned width);

/* Unpacks n values; src has pack_len(n, width) bytes. */
void unpack_bits(uint64_t *v, size_t n, unsigned width, const uint8_t *src);

/* The i-th value of a packed run of at least i + 1. */
uint64_t pack_at(const uint8_t *src, size_t i, unsigned width);

#endif
