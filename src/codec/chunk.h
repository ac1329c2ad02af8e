/* Chunk: up to 65535 points of one series, sealed. What segments are made of.
 *
 * A chunk is two columns of bytes, its ticks and its values. What whoever keeps it
 * knows anyway is not in them: the number of points, the first and the last time and
 * the value type stand beside the columns, in a struct chunk_ref. Ticks are coded
 * relative to the first time, so that series that were scraped together have equal
 * tick bytes, whoever they are and whenever it was; a fixed step has no tick bytes at
 * all. Values begin with one byte that names codec and type.
 *
 * Encoding cannot fail; decoding trusts nothing, but the checksum is the business of
 * the file that holds the columns. CHUNK_PAD bytes behind either column are readable,
 * whatever is in them: today's decoders touch nothing but the columns, and one that
 * reads ahead will need no new format.
 *
 * Any thread. Codecs that need memory to work (zstd, entropy classes) take it from a
 * small pool of this room and give it back before they return; what lands in `out` and
 * the arena is bounded by the number of points, whatever the bytes say. Layout:
 * docs/formats/chunk.md.
 */
#ifndef TSINK_CODEC_CHUNK_H
#define TSINK_CODEC_CHUNK_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "model/point.h"
#include "model/time.h"
#include "model/value.h"

enum {
    CHUNK_POINTS_MAX = 65535,
    CHUNK_PAD = 64, /* readable bytes behind each column */
};

/* A chunk wherever it lies; borrows the columns. */
struct chunk_ref {
    enum value_type type;
    uint32_t n;           /* points, 1..CHUNK_POINTS_MAX */
    struct time_range ts; /* of the first and the last point */
    const uint8_t *ticks; /* of length 0: a fixed step, (to - from) / (n - 1) */
    size_t ticks_len;
    const uint8_t *values;
    size_t values_len;
};

/* How hard the encoder tries, and so how dear decoding is (performance.md 3.4). Each
 * includes the ones before: the result is never larger. */
enum chunk_effort {
    CHUNK_FAST,     /* heads and L0: the cheap codecs */
    CHUNK_SMALL,    /* L1: zstd over their bytes where it saves 5 % */
    CHUNK_SMALLEST, /* L2: entropy classes where they save 3 % more */
};

/* No column of n points is longer. val may be NULL for numeric types. */
size_t chunk_ticks_bound(size_t n);
size_t chunk_values_bound(enum value_type type, const union value *val, size_t n);

/* Encode 1..CHUNK_POINTS_MAX points, ts strictly ascending (asserted), to dst, which
 * has room for the bound; return the bytes written, 0 for ticks of a fixed step. When
 * memory for a dear codec is refused, a cheaper one is taken. */
size_t chunk_ticks_encode(uint8_t *dst, const ts_time *ts, size_t n);
size_t chunk_values_encode(uint8_t *dst, enum value_type type, const union value *val, size_t n,
                           enum chunk_effort effort);

/* The value type that a column of values names in its first byte; ST_CORRUPT. */
CHECKED status chunk_values_type(enum value_type *out, const uint8_t *values, size_t len);

/* Appends the points with from <= ts <= to to out, in order. Bytes and histograms are
 * copies in the arena (NULL will do for numeric types). ST_CORRUPT, ST_NO_MEMORY; out
 * keeps what it held before and nothing more after a failure. */
CHECKED status chunk_decode_range(struct points *out, struct arena *arena,
                                  const struct chunk_ref *chunk, struct time_range range);

/* The columns apart, for who keeps the times of one chunk for others that have the same.
 *
 * All n times; ts has room for them. */
CHECKED status chunk_decode_ticks(ts_time *ts, const struct chunk_ref *chunk);

/* The values [from, to) of a numeric chunk, from < to <= n: *at is where the first of them is
 * in val, which has room for chunk_values_room() and is written before and behind them. */
CHECKED status chunk_decode_values(union value *val, size_t *at, const struct chunk_ref *chunk,
                                   size_t from, size_t to);
size_t chunk_values_room(size_t n);

/* Decodes everything, and says what is wrong. The arena (may be NULL for numeric
 * types) is where decoded bytes and histograms go. */
CHECKED status chunk_check(struct arena *arena, const struct chunk_ref *chunk, struct err *err);

#endif
