/* Entropy classes: a stream of 64-bit residuals <-> bytes near its entropy. The bit length
 * of a number is its class (0 to 64); classes are coded by tANS (J. Duda, "Asymmetric
 * numeral systems", 2013), the bits below the highest follow raw. For residuals whose
 * sizes are uneven, which packing at one width wastes bits on.
 *
 * Four states take turns, so that the decoder's look-ups do not wait for each other;
 * the table has 1024 states. Encoders cannot fail; decoders trust nothing. Pure, any
 * thread. Layout: docs/formats/chunk.md, "Class stream".
 */
#ifndef TSINK_CODEC_ENTROPY_H
#define TSINK_CODEC_ENTROPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "codec/bitio.h"

enum {
    ENTROPY_STATES_LOG = 10,
    ENTROPY_STATES = 1 << ENTROPY_STATES_LOG,
    ENTROPY_TURNS = 4,
    ENTROPY_CLASSES = 65,
};

/* No stream of n numbers is longer. */
size_t entropy_bound(size_t n);

/* Encodes v[0..n), n <= 65535, to dst; words is working memory of n. Returns the bytes
 * written. */
size_t entropy_encode(uint8_t *dst, const uint64_t *v, size_t n, uint64_t *words);

struct entropy_entry {
    uint16_t base;   /* of the next state */
    uint8_t class;
    uint8_t width;   /* bits to add to base */
};

/* A stream read in order. About 4 KiB; fields are private; src must outlive it. */
struct entropy_reader {
    struct bit_reader states, raw;
    unsigned state[ENTROPY_TURNS];
    size_t at;       /* numbers read */
    bool empty;
    struct entropy_entry table[ENTROPY_STATES];
};

/* Reads the head of the stream that fills src[0..len); length 0 is a stream of none. */
CHECKED status entropy_open(struct entropy_reader *rd, const uint8_t *src, size_t len);

/* The next count numbers. Behind the last one there is anything; entropy_done() tells. */
void entropy_next(struct entropy_reader *rd, uint64_t *v, size_t count);

/* ST_CORRUPT unless what was read is exactly what the stream holds. */
CHECKED status entropy_done(const struct entropy_reader *rd);

#endif
