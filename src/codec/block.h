/* Mini-block: up to 128 points of one series, encoded once, never changed. What a
 * head's full tail becomes. It knows how many points it has and how long it is, but not what
 * its keeper knows: the value type, and what came before it, which both sides agree on. A
 * block that goes on in the step of the block before has no times at all. Not protected by
 * a checksum: it lives in memory.
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
#include "model/point.h"

enum { BLOCK_POINTS_MAX = 128 };

/* Before a block: a time near its first one, as a rule the last before it, and the step of
 * the block before (0: it had none). */
struct block_before {
    ts_time ts;
    uint64_t step;
};

/* A block without its points; borrows the bytes. */
struct block_head {
    size_t n;
    struct time_range ts;  /* of the first and the last point */
    uint64_t step;         /* from point to point; 0: there is none */
    enum tick_codec codec; /* of the ticks, when they have no step */
    const uint8_t *ticks;
    size_t ticks_len;
    const uint8_t *values;
    size_t values_len;
    size_t len;            /* of the whole block */
};

/* No block of these points is longer. val may be NULL for numeric types, whose bound
 * depends on n alone. */
size_t block_bound(enum value_type type, const union value *val, size_t n);

/* Encodes 1..BLOCK_POINTS_MAX points, ts strictly ascending (asserted), to dst, which
 * has room for block_bound(). Returns the bytes written. */
size_t block_encode(uint8_t *dst, enum value_type type, const struct block_before *before,
                    const ts_time *ts, const union value *val, size_t n);

/* Reads the head of the block that src[0..len) begins with; more may follow. ST_CORRUPT. */
CHECKED status block_look(struct block_head *out, const struct block_before *before,
                          const uint8_t *src, size_t len);

/* Appends its points to out. Bytes and histograms are copies in the arena (NULL will do for
 * numeric types). ST_CORRUPT, ST_NO_MEMORY; out is as before after a failure. */
CHECKED status block_decode(struct points *out, struct arena *arena, enum value_type type,
                            const struct block_head *head);

#endif
