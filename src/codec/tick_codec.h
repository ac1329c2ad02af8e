/* Timestamp codecs: a strictly ascending run of timestamps <-> bytes.
 *
 * Four codecs share one interface. tick_choose() sizes each exactly and names the
 * smallest; tick_encode() and tick_decode() do the work:
 *
 *     TICK_FIXED_STEP     first, step                        scrape targets
 *     TICK_DELTA_VARINT   first, varint(delta)...            few points, bursts
 *     TICK_DOD_BITS       first, bits(delta of delta)...     drifting intervals
 *     TICK_GRID           first, step, misses, residuals     scrapes with jitter
 *
 * The first timestamp is stored as its distance from `base`, a time that the caller
 * knows from elsewhere when it decodes (a chunk's index); 0 when there is none.
 *
 * Pure: no I/O, no allocation, no global state; any thread. The byte layouts are in
 * docs/formats/chunk.md and are frozen: a new layout is a new codec number.
 */
#ifndef TSINK_CODEC_TICK_CODEC_H
#define TSINK_CODEC_TICK_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "model/time.h"

/* Stored in blocks and chunks: never renumber, never reuse. */
enum tick_codec {
#define TICK_CODEC(code, id, name, prefix) code = id,
#define VALUE_CODEC(code, id, name, types, prefix)
#define COLUMN_CODEC(code, id, name, types, decoder)
#include "codec/codecs.def"
#undef TICK_CODEC
#undef VALUE_CODEC
#undef COLUMN_CODEC
};

/* One call codes at most this many timestamps: the section of a chunk. */
enum { TICK_POINTS_MAX = 128 };

bool tick_codec_valid(unsigned codec);
const char *tick_codec_name(enum tick_codec codec); /* "fixed" ... */

/* No encoding of n timestamps is longer than this. */
size_t tick_bound(size_t n);

/* Exact bytes of tick_encode() with base = ts[0], or SIZE_MAX when the codec cannot
 * express these timestamps (TICK_FIXED_STEP, TICK_GRID). */
size_t tick_cost(enum tick_codec codec, const ts_time *ts, size_t n);

/* The codec with the smallest encoding. Needs 1 <= n <= TICK_POINTS_MAX and ts
 * strictly ascending. */
enum tick_codec tick_choose(const ts_time *ts, size_t n);

/* Encodes ts[0..n) to dst, which has room for tick_bound(n) bytes, and returns the
 * bytes written. Needs what tick_choose() needs (asserted) and a codec that can
 * express ts; cannot fail. */
size_t tick_encode(uint8_t *dst, enum tick_codec codec, ts_time base, const ts_time *ts,
                   size_t n);

/* Decodes exactly n timestamps (n as above) from src[0..len). ST_CORRUPT when the
 * bytes end early, overflow, do not ascend strictly or are not used up: src may be
 * hostile. ts[] is unspecified after a failure. */
CHECKED status tick_decode(ts_time *ts, size_t n, enum tick_codec codec, ts_time base,
                           const uint8_t *src, size_t len);

#endif
