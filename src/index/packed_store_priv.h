/* The packed label lists of all series, addressed by a u32 in words of 4 bytes: half of
 * a pointer a series, and no slack behind a list but up to 3 bytes. Lists lie in a
 * segmented vector, which does not move; one never crosses the end of a segment.
 *
 * Freed pieces are kept by size, exact up to PACKED_EXACT words and by power of two
 * above; their first word links them. One owner allocates and frees (when no reader is
 * left that could look); any thread reads.
 */
#ifndef TSINK_INDEX_PACKED_STORE_PRIV_H
#define TSINK_INDEX_PACKED_STORE_PRIV_H

#include "base/segvec.h"

enum { PACKED_WORD = 4, PACKED_EXACT = 64, PACKED_CLASSES = PACKED_EXACT + 32 };
enum { PACKED_NONE = 0 }; /* no list has this address */

struct packed_store {
    struct segvec words;     /* of uint32_t; its length is the first unused word */
    uint32_t free_list[PACKED_CLASSES];
};

void packed_store_init(struct packed_store *store, struct account *account);
void packed_store_release(struct packed_store *store);

/* len >= 1 bytes; PACKED_NONE when refused. Owner. */
CHECKED uint32_t packed_store_alloc(struct packed_store *store, size_t len);
void packed_store_free(struct packed_store *store, uint32_t at, size_t len); /* owner */

static inline uint8_t *packed_store_at(const struct packed_store *store, uint32_t at)
{
    return segvec_at(&store->words, at);
}

#endif
