/* LEB128 integers, as protobuf writes them. Pure, any thread. */
#ifndef TSINK_BASE_VARINT_H
#define TSINK_BASE_VARINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bits.h"

enum { VARINT_MAX = 10 };

/* Writes v and returns the bytes written; dst has room for VARINT_MAX. */
static inline size_t varint_put(uint8_t *dst, uint64_t v)
{
    size_t n = 0;
    while (v >= 0x80) {
        dst[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    dst[n++] = (uint8_t)v;
    return n;
}

static inline size_t varint_len(uint64_t v)
{
    return v ? (bit_width(v) + 6) / 7 : 1;
}

/* Bytes read from src[0..len), or 0 when they end early or pass 64 bits. */
static inline size_t varint_get(uint64_t *out, const uint8_t *src, size_t len)
{
    uint64_t v = 0;
    for (size_t i = 0; i < len && i < VARINT_MAX; i++) {
        uint64_t low = src[i] & 0x7f;
        if (i == 9 && low > 1) return 0;
        v |= low << (7 * i);
        if (src[i] < 0x80) {
            *out = v;
            return i + 1;
        }
    }
    return 0;
}

#endif
