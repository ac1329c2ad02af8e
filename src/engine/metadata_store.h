/* Type, help and unit of metric families, as remote write and expositions tell them.
 * Bounded in number and, by its account, in bytes; the newest word about a family wins.
 * Texts longer than META_TEXT_MAX are cut between two characters.
 *
 * Threads: the owner puts; anyone asks and reads. A lock is held for a few comparisons, or
 * for some hundred families of a walk.
 */
#ifndef TSINK_ENGINE_METADATA_STORE_H
#define TSINK_ENGINE_METADATA_STORE_H

#include "base/account.h"
#include "base/status.h"
#include "engine/meta_payload.h"
#include "model/metadata.h"

enum { METADATA_FAMILIES_MAX = 10000000 }; /* the option's ceiling */

struct metadata_store;

/* Charged to the account. NULL when memory is refused. */
struct metadata_store *metadata_store_new(uint32_t families_max, struct account *account);
void metadata_store_free(struct metadata_store *store); /* accepts NULL */

/* The entry as it is kept: its texts are cut. */
struct metric_meta metadata_cut(const struct metric_meta *meta);

enum metadata_verdict {
    METADATA_SAME,             /* it is there */
    METADATA_CHANGED,
    METADATA_REFUSED,          /* no name, too long a name, the store is full, no memory */
};

/* Owner. Copies; what is refused is counted. */
enum metadata_verdict metadata_store_put(struct metadata_store *store,
                                         const struct metric_meta *meta);

/* Whether the store has just this: then there is nothing to put. Any thread. */
bool metadata_store_has(struct metadata_store *store, const struct metric_meta *meta);

/* A walk over the families in order of name, some hundred at a time: each is called under the
 * lock, copies what it wants and does not call back. What comes meanwhile may be in it or
 * not. Zeroed to begin; *more: there may be others behind them. Ends with the first call that
 * says so. Any thread. */
struct metadata_walk {
    size_t len;
    char family[META_TEXT_MAX]; /* the last one */
};
CHECKED status metadata_store_walk(struct metadata_store *store, struct metadata_walk *walk,
                                   status (*each)(void *ctx, const struct metric_meta *meta),
                                   void *ctx, bool *more);

/* One family; each is called once, under the lock, when it is there. Any thread. */
void metadata_store_get(struct metadata_store *store, struct slice family,
                        void (*each)(void *ctx, const struct metric_meta *meta), void *ctx);

/* Every change changes this number. Any thread. */
uint64_t metadata_store_version(struct metadata_store *store);

struct metadata_stats {
    uint64_t n_families, n_changed, n_refused;
};
void metadata_store_stats(struct metadata_store *store, struct metadata_stats *out);

/* Counters begin again: what recovery put was no news. Owner. */
void metadata_store_begin_stats(struct metadata_store *store);

#endif
