/* xoshiro256** behind a splitmix64 seeding, and the system's random bytes. See
 * rng.h. The splitmix step guarantees a state that is not all zero for any seed. */
#include "base/rng.h"

#include <errno.h>
#include <sys/random.h>

#include "base/panic.h"

static uint64_t splitmix(uint64_t *x)
{
    uint64_t z = (*x += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

void rng_init(struct rng *rng, uint64_t seed)
{
    for (size_t i = 0; i < ARRAY_LEN(rng->s); i++) rng->s[i] = splitmix(&seed);
}

static uint64_t rotl(uint64_t x, unsigned k)
{
    return (x << k) | (x >> (64 - k));
}

uint64_t rng_next(struct rng *rng)
{
    uint64_t *s = rng->s;
    uint64_t result = rotl(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

/* Multiply and take the high word; redraw the few values that would make the low
 * results more likely (Lemire 2019). */
uint64_t rng_below(struct rng *rng, uint64_t n)
{
    ASSERT(n >= 1);
    unsigned __int128 m = (unsigned __int128)rng_next(rng) * n;
    if ((uint64_t)m < n) {
        uint64_t unfair = (0 - n) % n;
        while ((uint64_t)m < unfair) m = (unsigned __int128)rng_next(rng) * n;
    }
    return (uint64_t)(m >> 64);
}

double rng_unit(struct rng *rng)
{
    return (double)(rng_next(rng) >> 11) * 0x1.0p-53;
}

void rng_system_bytes(void *dst, size_t len)
{
    uint8_t *at = dst;
    while (len > 0) {
        ssize_t n = getrandom(at, len, 0);
        if (n < 0 && errno == EINTR) continue;
        /* No guessing on without randomness: seeds guard tables against attack. */
        if (n <= 0) PANIC("getrandom: error %d", errno);
        at += n;
        len -= (size_t)n;
    }
}

uint64_t rng_system_seed(void)
{
    uint64_t seed;
    rng_system_bytes(&seed, sizeof(seed));
    return seed;
}
