/* Booleans, one bit each, the first in the lowest bit. Layout: docs/formats/chunk.md. */
#include "codec/bitio.h"
#include "codec/codec_priv.h"

size_t bool_bits_cost(enum value_type type, const union value *val, size_t n)
{
    (void)type;
    (void)val;
    return pack_len(n, 1);
}

size_t bool_bits_encode(uint8_t *dst, enum value_type type, const union value *val, size_t n)
{
    struct bit_writer w = {.dst = dst};

    (void)type;
    for (size_t i = 0; i < n; i++) bit_put(&w, val[i].bits != 0, 1);
    return bit_finish(&w);
}

status bool_bits_decode(union value *val, size_t n, enum value_type type, struct arena *arena,
                        const uint8_t *src, size_t len)
{
    struct bit_reader r = {.src = src, .len = len};

    (void)type;
    (void)arena;
    for (size_t i = 0; i < n; i++) val[i].bits = bit_get(&r, 1);
    return bit_done(&r) ? ST_OK : ST_CORRUPT;
}
