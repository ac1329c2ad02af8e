/* Byte strings: all lengths as varints, then all bytes. Equal neighbours are common
 * (a state, a version), so a length is stored plus one and 0 means "the one before
 * again". Decoding copies the bytes once into the arena and points into the copy.
 * Layout: docs/formats/chunk.md. */
#include <string.h>

#include "base/slice.h"
#include "codec/codec_priv.h"
#include "codec/value_codec.h"

static inline bool repeats(const union value *val, size_t i)
{
    return i > 0 && slice_eq(*val[i].bytes, *val[i - 1].bytes);
}

size_t bytes_block_cost(enum value_type type, const union value *val, size_t n)
{
    size_t len = 0;

    (void)type;
    for (size_t i = 0; i < n; i++) {
        if (repeats(val, i)) {
            len++;
        } else {
            len += varint_len(val[i].bytes->len + 1) + val[i].bytes->len;
        }
    }
    return len;
}

size_t bytes_block_encode(uint8_t *dst, enum value_type type, const union value *val, size_t n)
{
    size_t at = 0;

    (void)type;
    for (size_t i = 0; i < n; i++) {
        at += varint_put(dst + at, repeats(val, i) ? 0 : val[i].bytes->len + 1);
    }
    for (size_t i = 0; i < n; i++) {
        if (repeats(val, i) || val[i].bytes->len == 0) continue;
        memcpy(dst + at, val[i].bytes->ptr, val[i].bytes->len);
        at += val[i].bytes->len;
    }
    return at;
}

/* The lengths to len[0..n), plus one, 0 for a repetition; what is left is the bytes. */
static status get_lengths(uint64_t *len, size_t n, struct span *in)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++) {
        if (!span_varint(&len[i], in) || (i == 0 && len[0] == 0)) return ST_CORRUPT;
        if (len[i] && __builtin_add_overflow(sum, len[i] - 1, &sum)) return ST_CORRUPT;
    }
    return sum == in->len ? ST_OK : ST_CORRUPT;
}

status bytes_block_decode(union value *val, size_t n, enum value_type type,
                          struct arena *arena, const uint8_t *src, size_t len)
{
    struct span in = {src, len};
    uint64_t lens[VALUE_POINTS_MAX];

    (void)type;
    TRY(get_lengths(lens, n, &in));
    struct slice *slices = arena_try_array(arena, n, sizeof(*slices));
    struct slice all = arena_copy(arena, slice_of(in.src, in.len));
    if (!slices || !all.ptr) return ST_NO_MEMORY;

    for (size_t i = 0, at = 0; i < n; i++) {
        if (lens[i]) {
            slices[i] = slice_of(all.ptr + at, (size_t)lens[i] - 1);
            at += slices[i].len;
        } else {
            slices[i] = slices[i - 1];
        }
        val[i].bytes = &slices[i];
    }
    return ST_OK;
}
