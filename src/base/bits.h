/* Bit tricks and checked arithmetic. Pure, any thread. */
#ifndef TSINK_BASE_BITS_H
#define TSINK_BASE_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bits needed to write v: 0 for 0, 64 for the largest. */
static inline unsigned bit_width(uint64_t v)
{
    return v ? 64u - (unsigned)__builtin_clzll(v) : 0;
}

/* The number of zero bits at either end; 64 for 0. */
static inline unsigned leading_zeros(uint64_t v)
{
    return v ? (unsigned)__builtin_clzll(v) : 64;
}

static inline unsigned trailing_zeros(uint64_t v)
{
    return v ? (unsigned)__builtin_ctzll(v) : 64;
}

/* Signed to unsigned so that small magnitudes stay small: 0 -1 1 -2 -> 0 1 2 3. */
static inline uint64_t zigzag(int64_t v)
{
    return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}

static inline int64_t unzigzag(uint64_t v)
{
    return (int64_t)((v >> 1) ^ (0 - (v & 1)));
}

/* a - b as two's complement, without undefined behaviour. */
static inline int64_t wrap_sub(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a - (uint64_t)b);
}

static inline int64_t wrap_add(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

/* a + b and a - b, held at the ends of the range. */
static inline int64_t sat_add(int64_t a, int64_t b)
{
    int64_t r;
    return __builtin_add_overflow(a, b, &r) ? (b < 0 ? INT64_MIN : INT64_MAX) : r;
}

static inline int64_t sat_sub(int64_t a, int64_t b)
{
    int64_t r;
    return __builtin_sub_overflow(a, b, &r) ? (b > 0 ? INT64_MIN : INT64_MAX) : r;
}

static inline size_t round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}

static inline uint64_t next_pow2(uint64_t v)
{
    return v <= 1 ? 1 : 1ull << bit_width(v - 1);
}

#endif
