/* The identity table: 128-bit hashes of series names -> {ordinal, generation}. It is
 * a cache in front of nothing: the canonical identity of each live series is in it,
 * and beside it any number of raw spellings (a remote-write label block, a key).
 *
 * io loops probe while the owner inserts (architecture 4). A slot is written, then
 * its hash released. At 4/5 the table grows, and every insert moves 24 cache lines of three
 * slots; the old table stays complete until it is retired, so a reader looks in both.
 *
 * Removing a series does not touch the table: its generation rises and whoever finds
 * the entry sees that it is stale (the owner compares with the registry's). Stale
 * entries are dropped when the table moves, which is when they would start to cost.
 *
 * A false hit needs two names that agree in 96 bits of XXH3 under a secret of the
 * process: for ten million series below 2^-50 in all.
 */
#ifndef TSINK_INDEX_IDENTITY_H
#define TSINK_INDEX_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/account.h"
#include "base/hash.h"
#include "base/status.h"
#include "index/reclaim.h"

struct identity;

/* stale(ctx, ordinal, gen) says whether an entry may be dropped; owner's thread.
 * NULL when memory is refused. */
struct identity *identity_new(struct account *account, const struct reclaim *rc,
                              bool (*stale)(const void *ctx, uint32_t ordinal, uint32_t gen),
                              const void *ctx);
void identity_free(struct identity *table);

/* Fills ordinal and gen and returns true, or returns false: unknown. The pair is one
 * that was put together. Any registered reader. */
bool identity_get(const struct identity *table, struct hash128 hash, uint32_t *ordinal,
                  uint32_t *gen);

/* Brings the cache line of a hash closer; probe a dozen of them ahead. Any thread. */
void identity_prefetch(const struct identity *table, struct hash128 hash);

/* The hash stands for (ordinal, gen) from now on, whatever it stood for before. False
 * when memory is refused: then nothing changed. Owner. */
CHECKED bool identity_put(struct identity *table, struct hash128 hash, uint32_t ordinal,
                          uint32_t gen);

/* Room for n more puts, which then cannot fail (as long as each is a single put of a
 * hash). Owner. */
CHECKED bool identity_reserve(struct identity *table, size_t n);

/* Filling an empty table for which room was reserved: any number of threads put hashes while
 * nobody looks, then the owner says how many came in. False: a hash with the same lower half
 * is there, and nothing was put; the owner does it when all have ended. */
bool identity_fill(struct identity *table, struct hash128 hash, uint32_t ordinal, uint32_t gen);
void identity_filled(struct identity *table, size_t n);

/* Goes on with a move that the last puts left unfinished, a few microseconds of it: while it
 * lasts, a look-up may need both tables. Call it now and then. Owner. */
void identity_move(struct identity *table);

/* Forgets one hash, if it is there. Owner. */
void identity_remove(struct identity *table, struct hash128 hash);

/* Entries in use, stale ones included. Owner. */
size_t identity_len(const struct identity *table);

/* Every entry can be found and none is there twice; ST_CORRUPT with words. Owner. */
CHECKED status identity_check(const struct identity *table, struct err *err);

#endif
