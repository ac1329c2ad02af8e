/* Columns of times that a reader has decoded, by what they were decoded from: series that
 * are scraped together have the same, so most of a query's series find theirs here. What
 * is equal by key is one column with one number. One thread.
 */
#ifndef TSINK_ENGINE_TIMES_CACHE_H
#define TSINK_ENGINE_TIMES_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "base/account.h"
#include "base/hash.h"
#include "model/time.h"

struct times_column {
    uint64_t id;          /* never 0, never used again; 0: an empty slot */
    struct hash128 key;
    ts_time *ts;
    size_t n;
    size_t skip;          /* times of the sources before these: outside of the range */
};

struct times_cache {
    struct account *account; /* may be NULL */
    struct times_column *slots;
    size_t n_bytes;
    size_t hand;
    uint64_t last_id;
};

void times_cache_init(struct times_cache *cache, struct account *account);
void times_cache_release(struct times_cache *cache); /* accepts a zeroed struct */

/* NULL: not there. Valid until the next times_cache_add(). */
const struct times_column *times_cache_find(struct times_cache *cache, struct hash128 key);

/* A copy of ts[0..n), which must not lie in the cache; others go to make room for it. NULL
 * when memory is refused. */
const struct times_column *times_cache_add(struct times_cache *cache, struct hash128 key,
                                           const ts_time *ts, size_t n, size_t skip);

/* A number for times that are not kept. */
static inline uint64_t times_cache_mint(struct times_cache *cache)
{
    return ++cache->last_id;
}

#endif
