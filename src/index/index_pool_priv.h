/* The room's memory: small pieces by size class out of large blocks that are charged
 * to one account, and texts at any alignment, which are the caller's to use again. One
 * owner; what readers may still see goes back through the reclaimer. Blocks are returned
 * when the pool is released, pieces larger than POOL_PIECE_MAX one by one.
 */
#ifndef TSINK_INDEX_INDEX_POOL_PRIV_H
#define TSINK_INDEX_INDEX_POOL_PRIV_H

#include <stddef.h>
#include <stdint.h>

#include "base/account.h"
#include "base/status.h"
#include "index/reclaim.h"

enum {
    POOL_PIECE_MAX = 16384,
    POOL_TEXT_MAX = 256,
    POOL_BLOCK_LEN = 64 << 10,
    POOL_CLASSES = 32 + 6 * 4,
};

struct index_pool;

struct pool_class {
    struct index_pool *pool;
    void *free_list; /* linked through the first word of each piece */
    size_t len;
};

struct pool_block {
    struct pool_block *older;
    size_t len;
};

struct index_pool {
    struct account *account;
    struct reclaim rc;
    struct pool_block *blocks;
    char *at, *end;           /* free part for pieces, 8-byte aligned */
    char *text_at, *text_end; /* free part for texts, any alignment */
    size_t n_bytes;           /* charged */
    size_t n_blocks;
    struct pool_class classes[POOL_CLASSES];
};

void pool_init(struct index_pool *pool, struct account *account, const struct reclaim *rc);
void pool_release(struct index_pool *pool);

/* A piece of at least len bytes, 8-byte aligned, len >= 1; NULL when refused. */
CHECKED void *pool_alloc(struct index_pool *pool, size_t len);

/* Gives a piece back now (no reader has seen it) or after the grace period. len is what
 * pool_alloc was asked for. */
void pool_free(struct index_pool *pool, void *ptr, size_t len);
void pool_retire(struct index_pool *pool, void *ptr, size_t len);

/* Up to POOL_TEXT_MAX bytes for good, at any alignment; NULL when refused. */
CHECKED char *pool_text(struct index_pool *pool, size_t len);

/* A charged block of its own, zeroed, for tables; the length is kept with it. */
CHECKED void *pool_big(struct index_pool *pool, size_t len);
void pool_big_free(struct index_pool *pool, void *ptr);
void pool_big_retire(struct index_pool *pool, void *ptr);

#endif
