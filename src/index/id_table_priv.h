/* A set of u32 ids found by hash: open addressing, readable by any thread while the
 * owner inserts and removes. The ids' keys live elsewhere; the caller's eq() compares.
 *
 *     slot   0 empty | 32 bits of the hash << 32 | id + 1 | SLOT_GONE
 *
 * Growth makes a table of twice the size and moves 64 slots with every insert. Until
 * it is done the old table, which stays complete for what it held, is searched as
 * well: a reader loads `older` before it looks into the new one, so what moves under
 * its eyes is found in one of them. The old table is then retired.
 */
#ifndef TSINK_INDEX_ID_TABLE_PRIV_H
#define TSINK_INDEX_ID_TABLE_PRIV_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "index/index_pool_priv.h"

enum { ID_NONE = UINT32_MAX };

struct id_slots {
    _Atomic(struct id_slots *) older; /* what is still being moved; NULL: nothing */
    size_t mask;
    size_t n_moved; /* slots of older that are done; owner */
    _Atomic uint64_t slot[];
};

struct id_table {
    _Atomic(struct id_slots *) cur;
    size_t n_live; /* ids in it; owner */
    size_t n_used; /* slots of cur that are or will be taken, gone ones included; owner */
    struct index_pool *pool;
};

typedef bool (*id_table_eq)(const void *ctx, uint32_t id, const void *key);

void id_table_init(struct id_table *table, struct index_pool *pool);
void id_table_release(struct id_table *table);

/* The id with this hash that eq() accepts, or ID_NONE. Any registered reader. */
uint32_t id_table_find(const struct id_table *table, uint64_t hash, id_table_eq eq,
                       const void *ctx, const void *key);

/* Room for n more puts, which then cannot fail. Owner. */
CHECKED bool id_table_reserve(struct id_table *table, size_t n);

/* Adds an id (below ID_NONE - 1) that is not there, after a reserve. Owner. */
void id_table_put(struct id_table *table, uint64_t hash, uint32_t id);

/* Removes the id if it is there. Owner. */
void id_table_remove(struct id_table *table, uint64_t hash, uint32_t id);

#endif
