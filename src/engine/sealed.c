/* Sealed chunks in memory: they wait for a flush to copy them to a segment. */
#include "engine/node.h"

#include <string.h>

#include "base/mem.h"
#include "codec/chunk.h"

enum { READ_BEYOND = 64 };

status chunk_node_new(struct chunk_node **out, struct account *account, uint8_t type,
                      const struct points *pts)
{
    ASSERT(pts->n >= 1 && pts->n <= CHUNK_POINTS_MAX);
    uint8_t *bytes = mem_try(chunk_bound((enum value_type)type, pts->val, pts->n));
    if (!bytes) return ST_NO_MEMORY;

    size_t len = chunk_encode(bytes, (enum value_type)type, pts->ts, pts->val, pts->n);
    size_t total = sizeof(struct chunk_node) + len + READ_BEYOND;
    struct chunk_node *chunk = NULL;
    if (account_charge(account, total)) {
        chunk = mem_try(total);
        if (!chunk) account_release(account, total);
    }
    if (!chunk) {
        mem_free(bytes);
        return ST_NO_MEMORY;
    }
    memset(chunk, 0, sizeof(*chunk));
    chunk->node.account = account;
    chunk->node.n_bytes = (uint32_t)total;
    chunk->node.kind = NODE_CHUNK;
    chunk->node.type = type;
    chunk->n = (uint32_t)pts->n;
    chunk->len = (uint32_t)len;
    chunk->min = pts->ts[0];
    chunk->max = pts->ts[pts->n - 1];
    memcpy(chunk->data, bytes, len);
    memset(chunk->data + len, 0, READ_BEYOND);
    mem_free(bytes);
    *out = chunk;
    return ST_OK;
}
