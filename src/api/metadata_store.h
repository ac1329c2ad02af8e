/* Type, help and unit of metric families, as remote write and expositions tell them. In
 * memory only: senders repeat them every minute. Bounded; the newest word about a family
 * wins. Any thread (a lock that is held for a few comparisons).
 */
#ifndef TSINK_API_METADATA_STORE_H
#define TSINK_API_METADATA_STORE_H

#include "base/status.h"
#include "model/metadata.h"

enum { METADATA_FAMILIES_MAX = 100000, METADATA_TEXT_MAX = 4096 };

struct metadata_store;

struct metadata_store *metadata_store_new(void); /* NULL when memory is refused */
void metadata_store_free(struct metadata_store *store);

/* Keeps it unless the store is full or memory is refused; then it is counted. */
void metadata_store_put(struct metadata_store *store, const struct metric_meta *meta);

/* Calls each for every family in order of name, under the lock: it copies what it wants
 * and does not call back. */
void metadata_store_each(struct metadata_store *store,
                         void (*each)(void *ctx, const struct metric_meta *meta), void *ctx);

#endif
