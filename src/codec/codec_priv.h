/* What the codecs of this room share: the prototypes that the rows of codecs.def
 * name, and reading small numbers off a run of hostile bytes. Private to codec. */
#ifndef TSINK_CODEC_CODEC_PRIV_H
#define TSINK_CODEC_CODEC_PRIV_H

#include "base/arena.h"
#include "base/status.h"
#include "base/varint.h"
#include "model/time.h"
#include "model/value.h"

/* <prefix>_encode and _decode as tick_codec.h and value_codec.h describe them, and
 * <prefix>_cost: the exact bytes of an encoding, SIZE_MAX when the codec cannot express
 * the points. tick costs count 1 byte for the first timestamp. A value codec that is
 * alone in its type is never compared and may answer with its bound. */
#define TICK_CODEC(code, id, name, prefix)                                                     \
    size_t prefix##_cost(const ts_time *ts, size_t n);                                         \
    size_t prefix##_encode(uint8_t *dst, ts_time base, const ts_time *ts, size_t n);           \
    CHECKED status prefix##_decode(ts_time *ts, size_t n, ts_time base, const uint8_t *src,    \
                                   size_t len);
#define VALUE_CODEC(code, id, name, types, prefix)                                             \
    size_t prefix##_cost(enum value_type type, const union value *val, size_t n);              \
    size_t prefix##_encode(uint8_t *dst, enum value_type type, const union value *val,         \
                           size_t n);                                                          \
    CHECKED status prefix##_decode(union value *val, size_t n, enum value_type type,           \
                                   struct arena *arena, const uint8_t *src, size_t len);
#define COLUMN_CODEC(code, id, name, types, decoder)
#include "codec/codecs.def"
#undef TICK_CODEC
#undef VALUE_CODEC
#undef COLUMN_CODEC

/* The codec with the fewest bytes for n points of any number, cut into sections of
 * CHUNK_SECTION that are coded alone; but fixed steps and constants are stored once
 * for all. For one section this is tick_choose() and value_choose(). */
enum tick_codec tick_choose_run(const ts_time *ts, size_t n);
enum value_codec value_choose_run(enum value_type type, const union value *val, size_t n);

/* No histogram takes more than this of a hist_codec encoding. */
size_t hist_codec_bound(const struct histogram *h);

/* The bytes not yet read. */
struct span {
    const uint8_t *src;
    size_t len;
};

static inline bool span_varint(uint64_t *out, struct span *in)
{
    size_t used = varint_get(out, in->src, in->len);
    in->src += used;
    in->len -= used;
    return used > 0;
}

/* A signed number, zigzag. */
static inline bool span_svarint(int64_t *out, struct span *in)
{
    uint64_t v;
    if (!span_varint(&v, in)) return false;
    *out = unzigzag(v);
    return true;
}

static inline bool span_byte(unsigned *out, struct span *in)
{
    if (in->len == 0) return false;
    *out = *in->src++;
    in->len--;
    return true;
}

/* n bytes as they are; NULL when there are fewer. */
static inline const uint8_t *span_take(struct span *in, uint64_t n)
{
    if (n > in->len) return NULL;
    const uint8_t *at = in->src;
    in->src += n;
    in->len -= (size_t)n;
    return at;
}

static inline size_t svarint_put(uint8_t *dst, int64_t v)
{
    return varint_put(dst, zigzag(v));
}

static inline size_t svarint_len(int64_t v)
{
    return varint_len(zigzag(v));
}

/* b - a for a <= b, which may be more than an int64_t holds. */
static inline uint64_t ts_gap(ts_time a, ts_time b)
{
    return (uint64_t)b - (uint64_t)a;
}

/* *t + gap when that is later than *t and fits. */
static inline bool ts_advance(ts_time *t, uint64_t gap)
{
    if (gap == 0 || gap > ts_gap(*t, TS_MAX)) return false;
    *t = wrap_add(*t, (int64_t)gap);
    return true;
}

#endif
