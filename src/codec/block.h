/* Mini-block: up to 128 points of one series, encoded once, never changed. What a
 * head's full tail becomes. It knows how many points it has, but not what its keeper
 * knows: the value type, and a base, a time near its first one that both sides agree
 * on (the last time before it; its first time itself, which then takes no room). Not
 * protected by a checksum: it lives in memory.
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
#include "model/point.h"

enum { BLOCK_POINTS_MAX = 128 };

/* No block of these points is longer. val may be NULL for numeric types, whose bound
 * depends on n alone. */
size_t block_bound(enum value_type type, const union value *val, size_t n);

/* Encodes 1..BLOCK_POINTS_MAX points, ts strictly ascending (asserted), to dst, which
 * has room for block_bound(). Returns the bytes written. */
size_t block_encode(uint8_t *dst, enum value_type type, ts_time base, const ts_time *ts,
                    const union value *val, size_t n);

/* Appends the points of the block that fills src[0..len) to out. Bytes and histograms
 * are copies in the arena (NULL will do for numeric types). ST_CORRUPT, ST_NO_MEMORY;
 * out is as before after a failure. */
CHECKED status block_decode(struct points *out, struct arena *arena, enum value_type type,
                            ts_time base, const uint8_t *src, size_t len);

#endif
