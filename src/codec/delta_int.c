/* i64 and u64 values as packed differences; two codecs that differ in how a
 * difference becomes a small unsigned number:
 *
 *     zigzag   its zigzag                       gauges, up and down
 *     delta    less the smallest of them all    counters: no sign bit, and a steady
 *                                               rate costs nothing
 *
 * Differences wrap modulo 2^64, so neither can fail and both types take either.
 * Packed in a patched run, in which one jump does not widen the rest. Layout:
 * docs/formats/chunk.md. */
#include "codec/codec_priv.h"
#include "codec/patched.h"
#include "codec/value_codec.h"

static void differences(uint64_t *d, const union value *val, size_t n)
{
    for (size_t i = 1; i < n; i++) d[i - 1] = val[i].bits - val[i - 1].bits;
}

static void zigzag_all(uint64_t *d, size_t n)
{
    for (size_t i = 0; i < n; i++) d[i] = zigzag((int64_t)d[i]);
}

/* Takes the smallest (as signed) off all and returns it. */
static int64_t subtract_least(uint64_t *d, size_t n)
{
    int64_t least = INT64_MAX;
    for (size_t i = 0; i < n; i++) {
        if ((int64_t)d[i] < least) least = (int64_t)d[i];
    }
    for (size_t i = 0; i < n; i++) d[i] -= (uint64_t)least;
    return least;
}

size_t delta_zigzag_cost(enum value_type type, const union value *val, size_t n)
{
    uint64_t d[VALUE_POINTS_MAX];
    size_t len = svarint_len((int64_t)val[0].bits);

    (void)type;
    if (n == 1) return len;
    differences(d, val, n);
    zigzag_all(d, n - 1);
    return len + patched_cost(d, n - 1);
}

size_t delta_zigzag_encode(uint8_t *dst, enum value_type type, const union value *val, size_t n)
{
    uint64_t d[VALUE_POINTS_MAX];
    size_t at = svarint_put(dst, (int64_t)val[0].bits);

    (void)type;
    if (n == 1) return at;
    differences(d, val, n);
    zigzag_all(d, n - 1);
    return at + patched_encode(dst + at, d, n - 1);
}

/* The part both decoders share: the run of n - 1 packed numbers, to the very end. */
static status get_packed(uint64_t *d, size_t n, struct span *in)
{
    size_t used;
    TRY(patched_decode(d, n - 1, &used, in->src, in->len));
    return used == in->len ? ST_OK : ST_CORRUPT;
}

status delta_zigzag_decode(union value *val, size_t n, enum value_type type,
                           struct arena *arena, const uint8_t *src, size_t len)
{
    struct span in = {src, len};
    uint64_t d[VALUE_POINTS_MAX];
    int64_t first;

    (void)type;
    (void)arena;
    if (!span_svarint(&first, &in)) return ST_CORRUPT;
    val[0].bits = (uint64_t)first;
    if (n == 1) return in.len == 0 ? ST_OK : ST_CORRUPT;
    TRY(get_packed(d, n, &in));
    for (size_t i = 1; i < n; i++) {
        val[i].bits = val[i - 1].bits + (uint64_t)unzigzag(d[i - 1]);
    }
    return ST_OK;
}

size_t delta_for_cost(enum value_type type, const union value *val, size_t n)
{
    uint64_t d[VALUE_POINTS_MAX];
    size_t len = svarint_len((int64_t)val[0].bits);

    (void)type;
    if (n == 1) return len;
    differences(d, val, n);
    len += svarint_len(subtract_least(d, n - 1));
    return len + patched_cost(d, n - 1);
}

size_t delta_for_encode(uint8_t *dst, enum value_type type, const union value *val, size_t n)
{
    uint64_t d[VALUE_POINTS_MAX];
    size_t at = svarint_put(dst, (int64_t)val[0].bits);

    (void)type;
    if (n == 1) return at;
    differences(d, val, n);
    at += svarint_put(dst + at, subtract_least(d, n - 1));
    return at + patched_encode(dst + at, d, n - 1);
}

status delta_for_decode(union value *val, size_t n, enum value_type type, struct arena *arena,
                        const uint8_t *src, size_t len)
{
    struct span in = {src, len};
    uint64_t d[VALUE_POINTS_MAX];
    int64_t first, least;

    (void)type;
    (void)arena;
    if (!span_svarint(&first, &in)) return ST_CORRUPT;
    val[0].bits = (uint64_t)first;
    if (n == 1) return in.len == 0 ? ST_OK : ST_CORRUPT;
    if (!span_svarint(&least, &in)) return ST_CORRUPT;
    TRY(get_packed(d, n, &in));
    for (size_t i = 1; i < n; i++) {
        val[i].bits = val[i - 1].bits + d[i - 1] + (uint64_t)least;
    }
    return ST_OK;
}
