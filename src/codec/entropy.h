/* Class streams: 64-bit residuals <-> bytes near their entropy. A number is a class and,
 * below it, raw bits. Classes are coded by tANS (J. Duda, "Asymmetric numeral systems",
 * 2013). How numbers fall into classes is chosen for each stream (struct entropy_split):
 * small numbers may be classes of their own, or equal steps of a range, so that residuals
 * of any shape come near their entropy, and not only near that of their bit lengths.
 *
 * Four states take turns in long streams, so that the decoder's look-ups do not wait for
 * each other; short ones have one, which costs fewer bytes. Encoders cannot fail; decoders
 * trust nothing. Pure, any thread. Layout: docs/formats/chunk.md, "Class stream".
 */
#ifndef TSINK_CODEC_ENTROPY_H
#define TSINK_CODEC_ENTROPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "codec/bitio.h"

enum {
    ENTROPY_LOG_MIN = 8, /* a table has 2^8 to 2^11 states */
    ENTROPY_LOG_MAX = 11,
    ENTROPY_STATES_MAX = 1 << ENTROPY_LOG_MAX,
    ENTROPY_TURNS = 4,
    ENTROPY_CLASSES = 256,
};

/* No stream of n numbers is longer. */
size_t entropy_bound(size_t n);

/* Encodes v[0..n), n <= 65535, to dst; words is working memory of n. Returns the bytes
 * written. */
size_t entropy_encode(uint8_t *dst, const uint64_t *v, size_t n, uint64_t *words);

/* The bits of such a stream, within a few percent and without its table: to compare
 * streams that say the same. n <= 65535. */
size_t entropy_guess(const uint64_t *v, size_t n);

/* A stream read in order. About 24 KiB; fields are private; src must outlive it. */
struct entropy_reader {
    struct bit_reader states, raw;
    uint64_t state[ENTROPY_TURNS];
    unsigned turns;    /* 1 or ENTROPY_TURNS */
    unsigned raw_most; /* raw bits of a number */
    size_t at;         /* numbers read */
    bool empty;
    uint32_t table[ENTROPY_STATES_MAX]; /* entries as in kernels.h */
    uint64_t least[ENTROPY_STATES_MAX];
};

/* Reads the head of the stream that fills src[0..len); length 0 is a stream of none. */
CHECKED status entropy_open(struct entropy_reader *rd, const uint8_t *src, size_t len);

/* The next count numbers. Behind the last one there is anything; entropy_done() tells. */
void entropy_next(struct entropy_reader *rd, uint64_t *v, size_t count);

/* ST_CORRUPT unless what was read is exactly what the stream holds. */
CHECKED status entropy_done(const struct entropy_reader *rd);

#endif
