/* The door to xxHash. See hash.h. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/hash.h"

static uint64_t process_seed;

void hash_seed(uint64_t seed)
{
    process_seed = seed;
}

uint64_t hash_place(const void *src, size_t len)
{
    return XXH64(src, len, 0);
}

uint64_t hash64(const void *src, size_t len)
{
    return XXH3_64bits_withSeed(src, len, process_seed);
}

struct hash128 hash128(const void *src, size_t len)
{
    XXH128_hash_t h = XXH3_128bits_withSeed(src, len, process_seed);
    return (struct hash128){.lo = h.low64, .hi = h.high64};
}
