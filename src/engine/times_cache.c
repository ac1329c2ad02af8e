/* A table of SETS sets of WAYS columns; the key names the set. BYTES_MAX holds what a
 * core's second cache does a few times over (a guess): a query whose series have more
 * columns of times than that, in no order, decodes them again. */
#include "engine/times_cache.h"

#include <string.h>

#include "base/mem.h"

enum { SETS = 128, WAYS = 4, BYTES_MAX = 4 << 20 };

void times_cache_init(struct times_cache *cache, struct account *account)
{
    *cache = (struct times_cache){.account = account};
}

static void drop(struct times_cache *cache, struct times_column *column)
{
    size_t bytes = column->n * sizeof(column->ts[0]);

    if (column->id == 0) return;
    mem_free(column->ts);
    account_release(cache->account, bytes);
    cache->n_bytes -= bytes;
    *column = (struct times_column){.id = 0};
}

void times_cache_release(struct times_cache *cache)
{
    for (size_t i = 0; cache->slots && i < SETS * WAYS; i++) drop(cache, &cache->slots[i]);
    if (cache->slots) account_release(cache->account, SETS * WAYS * sizeof(cache->slots[0]));
    mem_free(cache->slots);
    cache->slots = NULL;
}

static struct times_column *set_of(const struct times_cache *cache, struct hash128 key)
{
    return cache->slots + key.lo % SETS * WAYS;
}

const struct times_column *times_cache_find(struct times_cache *cache, struct hash128 key)
{
    if (!cache->slots) return NULL;
    const struct times_column *at = set_of(cache, key);
    for (size_t i = 0; i < WAYS; i++) {
        if (at[i].id && at[i].key.lo == key.lo && at[i].key.hi == key.hi) return &at[i];
    }
    return NULL;
}

static bool make_table(struct times_cache *cache)
{
    size_t bytes = SETS * WAYS * sizeof(cache->slots[0]);

    if (cache->slots) return true;
    if (!account_charge(cache->account, bytes)) return false;
    cache->slots = mem_try_zero(bytes);
    if (!cache->slots) account_release(cache->account, bytes);
    return cache->slots != NULL;
}

/* An empty place of the key's set, with room for bytes. */
static struct times_column *make_room(struct times_cache *cache, struct hash128 key, size_t bytes)
{
    struct times_column *at = set_of(cache, key);
    size_t way = 0;

    while (way < WAYS && at[way].id) way++;
    if (way == WAYS) {
        way = cache->last_id % WAYS;
        drop(cache, &at[way]);
    }
    for (size_t i = 0; i < SETS * WAYS && cache->n_bytes + bytes > BYTES_MAX; i++) {
        drop(cache, &cache->slots[cache->hand++ % (SETS * WAYS)]);
    }
    return &at[way];
}

const struct times_column *times_cache_add(struct times_cache *cache, struct hash128 key,
                                           const ts_time *ts, size_t n, size_t skip)
{
    size_t bytes = n * sizeof(ts[0]);

    if (!make_table(cache)) return NULL;
    struct times_column *column = make_room(cache, key, bytes);
    if (!account_charge(cache->account, bytes)) return NULL;
    ts_time *copy = mem_try(bytes ? bytes : 1);
    if (!copy) {
        account_release(cache->account, bytes);
        return NULL;
    }
    if (n) memcpy(copy, ts, bytes);
    cache->n_bytes += bytes;
    *column = (struct times_column){
        .id = times_cache_mint(cache), .key = key, .ts = copy, .n = n, .skip = skip};
    return column;
}
