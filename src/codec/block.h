/* Mini-block: up to 128 points of one series, encoded once, never changed. What a
 * head's full tail becomes. It knows its own length, so blocks can follow each
 * other in one buffer. Not protected by a checksum: it lives in memory.
 *
 * Encoding cannot fail; decoding trusts nothing. Pure, any thread. Layout:
 * docs/formats/chunk.md, "Mini-block".
 */
#ifndef TSINK_CODEC_BLOCK_H
#define TSINK_CODEC_BLOCK_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "codec/tick_codec.h"
#include "codec/value_codec.h"
#include "model/point.h"

enum { BLOCK_POINTS_MAX = 128 };

/* What a block says about itself without being decoded. */
struct block_info {
    enum value_type type;
    enum tick_codec tick;
    enum value_codec value;
    size_t n;        /* points, 1..BLOCK_POINTS_MAX */
    ts_time from;    /* of the first point */
    size_t head_len; /* where the ticks begin */
    size_t tick_len, value_len;
    size_t len; /* the whole block */
};

/* No block of these points is longer. val may be NULL for numeric types, whose bound
 * depends on n alone. */
size_t block_bound(enum value_type type, const union value *val, size_t n);

/* Encodes 1..BLOCK_POINTS_MAX points, ts strictly ascending (asserted), to dst, which
 * has room for block_bound(). Returns the bytes written. */
size_t block_encode(uint8_t *dst, enum value_type type, const ts_time *ts,
                    const union value *val, size_t n);

/* Reads the head of the block at src; the block ends at src + out->len <= src + len. */
CHECKED status block_info(struct block_info *out, const uint8_t *src, size_t len);

/* Appends the points of the block at src to out and stores the block's length in
 * *used (may be NULL; then the block must fill len exactly). Bytes and histograms
 * are copies in the arena (NULL will do for numeric types). ST_CORRUPT,
 * ST_NO_MEMORY; out is as before after a failure. */
CHECKED status block_decode(struct points *out, struct arena *arena, const uint8_t *src,
                            size_t len, size_t *used);

#endif
