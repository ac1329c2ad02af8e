/* Arena: many allocations, one free. A lifetime is an arena: a request, a query,
 * an expression. Blocks double from block_len up to 1 MiB and are charged to the
 * arena's account. Not thread-safe: one owner at a time. In dev builds freed and
 * reset memory is poisoned for the address sanitizer.
 */
#ifndef TSINK_BASE_ARENA_H
#define TSINK_BASE_ARENA_H

#include <stddef.h>
#include <stdint.h>

#include "base/account.h"
#include "base/slice.h"
#include "base/status.h"

struct arena_block;

struct arena {
    struct arena_block *blocks; /* newest first */
    char *at, *end;             /* free part of the newest */
    size_t block_len;           /* size of the next block */
    size_t n_bytes;             /* charged */
    struct account *account;    /* may be NULL */
};

void arena_init(struct arena *arena, struct account *account, size_t block_len);
void arena_release(struct arena *arena); /* accepts a zeroed struct */
void arena_reset(struct arena *arena);   /* keeps the newest block */

/* 16-byte aligned; NULL when the account or the heap refuses. */
CHECKED void *arena_try(struct arena *arena, size_t len);
CHECKED void *arena_try_zero(struct arena *arena, size_t len);
CHECKED void *arena_try_array(struct arena *arena, size_t n, size_t size);

/* Copies. ptr is NULL on refusal (and only then: an empty slice has a pointer). */
struct slice arena_copy(struct arena *arena, struct slice from);
CHECKED char *arena_printf(struct arena *arena, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
