/* Slab: objects of one size, taken and given back in any order, with a free list.
 * Memory comes in blocks that are charged to an account and is returned to the
 * system when the slab is released. Freed objects are poisoned for the address
 * sanitizer. One owner at a time.
 */
#ifndef TSINK_BASE_SLAB_H
#define TSINK_BASE_SLAB_H

#include <stddef.h>

#include "base/account.h"
#include "base/status.h"

struct slab_block;

struct slab {
    struct slab_block *blocks;
    void *free;              /* chain through the first word of each */
    char *at, *end;          /* not yet used part of the newest block */
    size_t elem_len;         /* rounded up to 16 */
    size_t block_len;        /* bytes of a block with its header */
    size_t n_used, n_blocks; /* objects out; blocks held */
    struct account *account; /* may be NULL */
};

/* Objects of elem_len bytes (1..1 MiB), per_block of them at a time (at least 1). */
void slab_init(struct slab *slab, struct account *account, size_t elem_len, size_t per_block);
void slab_release(struct slab *slab); /* frees all objects; accepts a zeroed struct */

/* 16-byte aligned, not zeroed; NULL when the account or the heap refuses. */
CHECKED void *slab_try(struct slab *slab);
void slab_put(struct slab *slab, void *ptr); /* accepts NULL */

#endif
