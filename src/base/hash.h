/* Hashes: the only door to xxHash. Two kinds that must not be mixed:
 *
 *   hash_place()     xxh64 with seed 0: on disk and between nodes, frozen
 *   hash64/hash128() XXH3 with a secret drawn once per process: tables in memory,
 *                    so that nobody outside can aim at a bucket
 *
 * Pure after hash_seed(); any thread.
 */
#ifndef TSINK_BASE_HASH_H
#define TSINK_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct hash128 {
    uint64_t lo, hi;
};

/* Sets the process's secret; called once before any table exists. Tests pass a
 * fixed seed, programs one from the system's random source. */
void hash_seed(uint64_t seed);

uint64_t hash_place(const void *src, size_t len);
uint64_t hash64(const void *src, size_t len);
struct hash128 hash128(const void *src, size_t len);

static inline uint64_t hash_slice(struct slice s)
{
    return hash64(s.ptr, s.len);
}

/* Mixes a 64-bit key (not secret: for integers of our own making). */
static inline uint64_t hash_mix(uint64_t x)
{
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93ull;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93ull;
    return x ^ (x >> 32);
}

#endif
