/* Value codecs: a column of values of one type <-> bytes.
 *
 *     VALUE_CODEC_XOR      f64        XOR with the value before (Gorilla 4.1.2)
 *     VALUE_CODEC_ZIGZAG   i64 u64    differences, zigzag, bit-packed
 *     VALUE_CODEC_DELTA    i64 u64    differences less the smallest, bit-packed
 *     VALUE_CODEC_CONST    numeric    one value for all
 *     VALUE_CODEC_BOOL     bool       one bit each
 *     VALUE_CODEC_BYTES    bytes      lengths, then the bytes
 *     VALUE_CODEC_HIST     histogram  one layout a run, then columns of numbers
 *
 * These take up to 128 values at a time. Those of whole columns are value_column.h's:
 *
 *     VALUE_CODEC_DECIMAL  numeric    decimals, integers: patched frame of reference
 *     VALUE_CODEC_CLASSES  numeric    the same, its residuals entropy-coded
 *     VALUE_CODEC_DICT     bytes      few distinct ones
 *     VALUE_CODEC_HISTS    histogram  a column for each bucket
 *     VALUE_CODEC_ZSTD     all        another codec's bytes, compressed
 *
 * What goes in comes out bit for bit: -0, every NaN, denormals. codecs.def is the
 * table; the smallest wins. Bytes and histograms come out as copies in the caller's
 * arena. Encoders cannot fail; decoders trust nothing. Pure, any thread; only the
 * arena is written. Layouts: docs/formats/chunk.md.
 */
#ifndef TSINK_CODEC_VALUE_CODEC_H
#define TSINK_CODEC_VALUE_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/status.h"
#include "model/value.h"

/* Stored in blocks and chunks: never renumber, never reuse. */
enum value_codec {
#define TICK_CODEC(code, id, name, prefix)
#define VALUE_CODEC(code, id, name, types, prefix) code = id,
#define COLUMN_CODEC(code, id, name, types, decoder) code = id,
#include "codec/codecs.def"
#undef TICK_CODEC
#undef VALUE_CODEC
#undef COLUMN_CODEC
};

/* One call codes at most this many values: the section of a chunk. */
enum { VALUE_POINTS_MAX = 128 };

bool value_codec_valid(unsigned codec);
const char *value_codec_name(enum value_codec codec); /* "xor" ... */
bool value_codec_serves(enum value_codec codec, enum value_type type);

/* No codec that serves the type makes more of val[0..n) than this. Reads the values
 * of bytes and histograms, not the others (val may then be NULL). */
size_t value_bound(enum value_type type, const union value *val, size_t n);

/* The codec with the smallest encoding, sized exactly. Needs 1 <= n <= VALUE_POINTS_MAX. */
enum value_codec value_choose(enum value_type type, const union value *val, size_t n);

/* Encodes val[0..n) to dst, which has room for value_bound() bytes, and returns the
 * bytes written. Needs a codec that serves the type and can express the values. */
size_t value_encode(uint8_t *dst, enum value_codec codec, enum value_type type,
                    const union value *val, size_t n);

/* Decodes exactly n values (1 <= n <= VALUE_POINTS_MAX). ST_CORRUPT when the bytes
 * are not exactly such an encoding, ST_NO_MEMORY when the arena refuses. arena may
 * be NULL for numeric types. val[] is unspecified after a failure. */
CHECKED status value_decode(union value *val, size_t n, enum value_codec codec,
                            enum value_type type, struct arena *arena, const uint8_t *src,
                            size_t len);

#endif
