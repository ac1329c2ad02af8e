/* Chunk: up to 65535 points of one series, sealed. What segments are made of.
 *
 * A chunk is a head, a column of ticks, a column of values, and an index. Both
 * columns are cut into sections of 128 points that can be decoded alone; the index
 * gives each section's first time and where it begins, in columns of fixed width, so
 * that a time is found by binary search and only the sections that overlap a range
 * are decoded. Timestamps with a fixed step and constant values have no sections at
 * all: every point follows from the head.
 *
 * Encoding cannot fail; decoding trusts nothing, but the checksum is the business of
 * the file that holds the chunk. Pure, any thread. Layout: docs/formats/chunk.md.
 */
#ifndef TSINK_CODEC_CHUNK_H
#define TSINK_CODEC_CHUNK_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "codec/tick_codec.h"
#include "codec/value_codec.h"
#include "model/point.h"

enum {
    CHUNK_POINTS_MAX = 65535,
    CHUNK_SECTION_SHIFT = 7,
    CHUNK_SECTION = 1 << CHUNK_SECTION_SHIFT, /* points in a section */
};

/* What the head says. Sizes are in bytes, offsets from the start of the chunk. */
struct chunk_info {
    enum value_type type;
    enum tick_codec tick;
    enum value_codec value;
    uint32_t n;            /* points, 1..CHUNK_POINTS_MAX */
    uint32_t n_sections;   /* of CHUNK_SECTION points, the last may be shorter */
    struct time_range ts;  /* of the first and the last point */
    size_t tick_off, tick_len;
    size_t value_off, value_len;
    size_t index_off, index_len;
    size_t len; /* the whole chunk */
};

/* No chunk of these points is longer. val may be NULL for numeric types. */
size_t chunk_bound(enum value_type type, const union value *val, size_t n);

/* Encodes 1..CHUNK_POINTS_MAX points, ts strictly ascending (asserted), to dst, which
 * has room for chunk_bound(). Returns the bytes written. */
size_t chunk_encode(uint8_t *dst, enum value_type type, const ts_time *ts,
                    const union value *val, size_t n);

/* Reads the head, in constant time. ST_CORRUPT unless src[0..len) is, by its lengths,
 * exactly one chunk. */
CHECKED status chunk_info(struct chunk_info *out, const uint8_t *src, size_t len);

/* Appends the points with from <= ts <= to to out, in order. Decodes the sections
 * that overlap the range and no others. Bytes and histograms are copies in the arena
 * (NULL will do for numeric types). ST_CORRUPT, ST_NO_MEMORY; out keeps what it held
 * before and nothing more after a failure. */
CHECKED status chunk_decode_range(struct points *out, struct arena *arena, const uint8_t *src,
                                  size_t len, struct time_range range);

/* Decodes everything and checks what the partial decoders rely on: sections follow
 * each other in time, the index agrees with them, head and points agree. The arena
 * (may be NULL for numeric types) is where decoded bytes and histograms go. */
CHECKED status chunk_check(struct arena *arena, const uint8_t *src, size_t len,
                           struct err *err);

/* Sections, for the cursor: the last section whose first time is <= t (section 0 when
 * all are later), and the decoding of one. `info` is of chunk_info() over the same
 * bytes. Both columns have room for CHUNK_SECTION entries; val may be NULL when only
 * times are wanted. *n is the number decoded. */
CHECKED status chunk_find_section(uint32_t *out, const struct chunk_info *info,
                                  const uint8_t *src, ts_time t);
CHECKED status chunk_decode_section(ts_time *ts, union value *val, size_t *n,
                                    const struct chunk_info *info, uint32_t section,
                                    struct arena *arena, const uint8_t *src);

#endif
