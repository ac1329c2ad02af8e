/* Port: chance. xoshiro256** (Blackman and Vigna 2018), seeded by the system in
 * programs and by the test in tests. Not for secrets. One owner at a time. */
#ifndef TSINK_BASE_RNG_H
#define TSINK_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

struct rng {
    uint64_t s[4];
};

void rng_init(struct rng *rng, uint64_t seed);
uint64_t rng_next(struct rng *rng);
uint64_t rng_below(struct rng *rng, uint64_t n); /* 0..n-1, n >= 1 */
double rng_unit(struct rng *rng);                /* [0, 1) */

/* Bytes from the operating system, for seeds and secrets. */
void rng_system_bytes(void *dst, size_t len);
uint64_t rng_system_seed(void);

#endif
