/* The values of a whole chunk <-> bytes: the choice among all codecs of codecs.def.
 *
 * A column is one byte, the codec and the type, and what the codec makes of the values.
 * Sections are 128 values; any run of sections can be decoded, at a price that depends
 * on the codec: nothing but the run for const, bool, section codecs and dictionaries;
 * passing over what is before it for the others. Any thread. Layout:
 * docs/formats/chunk.md, "Values".
 */
#ifndef TSINK_CODEC_VALUE_COLUMN_H
#define TSINK_CODEC_VALUE_COLUMN_H

#include "base/arena.h"
#include "codec/chunk.h"
#include "codec/value_codec.h"

enum { VALUE_SECTION = VALUE_POINTS_MAX };

static inline size_t value_sections(size_t n)
{
    return (n + VALUE_SECTION - 1) / VALUE_SECTION;
}

static inline uint8_t value_head(enum value_codec codec, enum value_type type)
{
    return (uint8_t)((unsigned)codec << 3 | (unsigned)type);
}

struct work;

/* Encodes val[0..n), 1 <= n <= CHUNK_POINTS_MAX, to dst, which has room for
 * chunk_values_bound(). Without work memory (NULL) a codec is taken that needs none. */
size_t value_column_encode(uint8_t *dst, enum value_type type, const union value *val, size_t n,
                           enum chunk_effort effort, struct work *work);

/* A column that is decoded: of n values of a type. */
struct value_column {
    enum value_type type;
    size_t n;
    const uint8_t *src;
    size_t len;
    struct arena *arena; /* for bytes and histograms */
};

/* Decodes the sections [first, end), end > first, to val, which has room for
 * (end - first) * VALUE_SECTION values. ST_CORRUPT, ST_NO_MEMORY. */
CHECKED status value_column_decode(union value *val, const struct value_column *col,
                                   size_t first, size_t end);

#endif
