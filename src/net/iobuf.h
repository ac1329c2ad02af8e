/* Output on its way to a socket: a chain of blocks that grows without moving.
 *
 * A chain starts with a small block (most replies are a few bytes) and goes on
 * with large ones, so a big result is written block by block and never copied as
 * a whole. Chains are appended to each other in O(1). Every block is charged to
 * the chain's account when it is made and released when it is freed, wherever
 * that happens.
 *
 * Like strbuf, appending reports no failure: a refused block (memory, account,
 * len_max) sets `failed`, later appends do nothing, and whoever sends the chain
 * looks once.
 *
 * Blocks also hold input: a connection reads into one, and a request whose bytes
 * must outlive its callback holds a reference (reply_slot_hold_input).
 *
 * Threads: a chain has one owner at a time and may be handed to another thread as
 * a whole. A pool belongs to one loop. A chain made without a pool (by a worker)
 * takes its blocks from the heap; its blocks may still end in the pool of the loop
 * that sends them. The reference count of a block is atomic.
 */
#ifndef TSINK_NET_IOBUF_H
#define TSINK_NET_IOBUF_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/account.h"
#include "base/slice.h"
#include "base/strbuf.h"

enum {
    IOBUF_SMALL = 512,        /* bytes of a small block, header included */
    IOBUF_LARGE = 16 << 10,   /* of a large one */
    IOBUF_POOL_SMALL = 2048,  /* free small blocks a pool keeps (1 MiB) */
    IOBUF_POOL_LARGE = 128,   /* free large blocks a pool keeps (2 MiB) */
};

struct iobuf_block {
    struct iobuf_block *next;  /* in its chain or in the pool */
    struct account *account;   /* charged with sizeof(*this) + cap; may be NULL */
    _Atomic uint32_t refs;
    bool adopted;              /* data is heap memory of its own */
    size_t cap;                /* bytes at data */
    size_t start, len;         /* the bytes in use: data[start .. start + len) */
    char *data;                /* behind the struct, unless adopted */
};

/* Free blocks of the two standard sizes. Zeroed is empty. */
struct iobuf_pool {
    struct iobuf_block *small, *large;
    size_t n_small, n_large;
    struct account *account;   /* charged for what the pool keeps; may be NULL */
};

struct iobuf {
    struct iobuf_block *first, *last;
    size_t len;                /* bytes in the chain */
    size_t len_max;            /* 0: no limit */
    struct iobuf_pool *pool;   /* NULL: the heap */
    struct account *account;   /* for new blocks; may be NULL */
    bool failed;
};

void iobuf_pool_init(struct iobuf_pool *pool, struct account *account);
void iobuf_pool_release(struct iobuf_pool *pool);

/* A block with at least cap bytes of room, one reference, or NULL. pool may be NULL. */
CHECKED struct iobuf_block *iobuf_block_new(struct iobuf_pool *pool, struct account *account,
                                            size_t cap);
void iobuf_block_ref(struct iobuf_block *block);

/* Drops a reference; the last one puts the block into the pool (NULL: the heap). */
void iobuf_block_unref(struct iobuf_block *block, struct iobuf_pool *pool);

void iobuf_init(struct iobuf *buf, struct iobuf_pool *pool, struct account *account,
                size_t len_max);

/* Frees the blocks, into pool when it is not NULL (the loop's own, whatever the
 * chain was made with). The chain is empty afterwards and may be used again. */
void iobuf_release(struct iobuf *buf, struct iobuf_pool *pool);

void iobuf_put(struct iobuf *buf, const void *src, size_t len);

/* Room for exactly n contiguous bytes (n <= 4096) at the end, or NULL and failed.
 * The bytes count once iobuf_commit() says how many were written. */
CHECKED char *iobuf_reserve(struct iobuf *buf, size_t n);
void iobuf_commit(struct iobuf *buf, size_t n);

/* Moves the bytes of a strbuf to the end without copying them when they are many:
 * for writers that build text in one piece. src is empty and released afterwards;
 * its failed mark moves too. */
void iobuf_adopt(struct iobuf *buf, struct strbuf *src);

/* Moves all bytes of src to the end of dst; src is empty afterwards. Small chains
 * are copied into the room at dst's end, others are linked. src's failed mark
 * moves too. pool takes src's freed blocks. */
void iobuf_move(struct iobuf *dst, struct iobuf *src, struct iobuf_pool *pool);

/* Drops the first n bytes (n <= len) into pool. */
void iobuf_consume(struct iobuf *buf, size_t n, struct iobuf_pool *pool);

/* Cuts the chain back to its first len bytes and clears failed: for a reply that
 * turns into an error half-way. */
void iobuf_truncate(struct iobuf *buf, size_t len, struct iobuf_pool *pool);

/* Copies the whole chain to dst, which has room for buf->len bytes. For tests. */
void iobuf_copy(char *dst, const struct iobuf *buf);

static inline void iobuf_slice(struct iobuf *buf, struct slice s)
{
    iobuf_put(buf, s.ptr, s.len);
}

static inline void iobuf_str(struct iobuf *buf, const char *text)
{
    iobuf_put(buf, text, strlen(text));
}

#endif
