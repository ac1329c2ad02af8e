/* The times of a whole chunk <-> bytes, relative to the first of them, which the keeper
 * of the chunk knows. Two codecs; the smaller wins:
 *
 *     TICK_COLUMN_GRID      t[i] = t[0] + k[i] * step + r[i]     scrapes
 *     TICK_COLUMN_OFFSETS   t[i] - t[0] as an integer column     the rest
 *
 * k rises by one a point, more where points are missing; r is an integer column of
 * what jitter there is (int_column.h).
 *
 * Encoders cannot fail; decoders trust nothing. Pure, any thread. Layout:
 * docs/formats/chunk.md, "Ticks".
 */
#ifndef TSINK_CODEC_TICK_COLUMN_H
#define TSINK_CODEC_TICK_COLUMN_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "model/time.h"

/* Beside the ids of tick_codec.h in the same byte: never renumber. */
enum tick_column {
    TICK_COLUMN_GRID = 5,
    TICK_COLUMN_OFFSETS = 6,
};

size_t tick_column_bound(size_t n);

/* Words of working memory that encoding takes. */
size_t tick_column_words(size_t n);

/* Encodes ts[0..n), strictly ascending, 2 <= n <= 65535. Returns the bytes written. */
size_t tick_column_encode(uint8_t *dst, const ts_time *ts, size_t n, uint64_t *words);

/* Decodes n times that begin at `from`. Whether they ascend is the caller's to check. */
CHECKED status tick_column_decode(ts_time *ts, size_t n, ts_time from, const uint8_t *src,
                                  size_t len);

#endif
