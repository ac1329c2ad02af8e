/* One value for all points: 8 bytes for f64, a zigzag varint for i64, a varint for
 * u64, a byte for bool. A third of what servers are asked to keep never changes
 * (performance.md, data set C). Layout: docs/formats/chunk.md. */
#include "base/bytes.h"
#include "codec/codec_priv.h"

size_t const_rle_cost(enum value_type type, const union value *val, size_t n)
{
    uint64_t differs = 0;
    for (size_t i = 1; i < n; i++) differs |= val[i].bits ^ val[0].bits;
    if (differs) return SIZE_MAX;
    if (type == VALUE_F64) return 8;
    return type == VALUE_I64 ? svarint_len((int64_t)val[0].bits) : varint_len(val[0].bits);
}

size_t const_rle_encode(uint8_t *dst, enum value_type type, const union value *val, size_t n)
{
    (void)n;
    if (type == VALUE_F64) {
        store_u64(dst, val[0].bits);
        return 8;
    }
    if (type == VALUE_I64) return svarint_put(dst, (int64_t)val[0].bits);
    return varint_put(dst, val[0].bits);
}

status const_rle_decode(union value *val, size_t n, enum value_type type, struct arena *arena,
                        const uint8_t *src, size_t len)
{
    struct span in = {src, len};
    uint64_t bits;

    (void)arena;
    if (type == VALUE_F64) {
        if (len != 8) return ST_CORRUPT;
        bits = load_u64(src);
    } else {
        if (!span_varint(&bits, &in) || in.len > 0) return ST_CORRUPT;
        if (type == VALUE_BOOL && bits > 1) return ST_CORRUPT;
        if (type == VALUE_I64) bits = (uint64_t)unzigzag(bits);
    }
    for (size_t i = 0; i < n; i++) val[i].bits = bits;
    return ST_OK;
}
