/* Little-endian loads and stores at any address; the only way to read or write a
 * file or wire format. Pure, any thread. */
#ifndef TSINK_BASE_BYTES_H
#define TSINK_BASE_BYTES_H

#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "a big-endian machine needs byte swaps here"
#endif

#define BYTES_PAIR(bits)                                                                       \
    static inline uint##bits##_t load_u##bits(const void *src)                                 \
    {                                                                                          \
        uint##bits##_t v;                                                                      \
        memcpy(&v, src, sizeof(v));                                                            \
        return v;                                                                              \
    }                                                                                          \
    static inline void store_u##bits(void *dst, uint##bits##_t v)                              \
    {                                                                                          \
        memcpy(dst, &v, sizeof(v));                                                            \
    }

BYTES_PAIR(16)
BYTES_PAIR(32)
BYTES_PAIR(64)
#undef BYTES_PAIR

static inline int64_t load_i64(const void *src)
{
    return (int64_t)load_u64(src);
}

static inline void store_i64(void *dst, int64_t v)
{
    store_u64(dst, (uint64_t)v);
}

static inline uint64_t f64_bits(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    return bits;
}

static inline double bits_f64(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

#endif
