/* The door to xxHash. See hash.h. */
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/hash.h"

static struct {
    uint64_t seed;
    /* What XXH3 derives from the seed: for inputs over 240 bytes it would do so anew on
     * every call. */
    _Alignas(64) uint8_t secret[XXH3_SECRET_DEFAULT_SIZE];
} process;

/* Seed 0 until told otherwise; the secret must fit it from the beginning. */
__attribute__((constructor)) static void begin(void)
{
    hash_seed(process.seed);
}

void hash_seed(uint64_t seed)
{
    process.seed = seed;
    XXH3_generateSecret_fromSeed(process.secret, seed);
}

uint64_t hash_place(const void *src, size_t len)
{
    return XXH64(src, len, 0);
}

uint64_t hash64(const void *src, size_t len)
{
    return XXH3_64bits_withSecretandSeed(src, len, process.secret, sizeof(process.secret),
                                          process.seed);
}

struct hash128 hash128(const void *src, size_t len)
{
    XXH128_hash_t h = XXH3_128bits_withSecretandSeed(src, len, process.secret,
                                                     sizeof(process.secret), process.seed);
    return (struct hash128){.lo = h.low64, .hi = h.high64};
}
