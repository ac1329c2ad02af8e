/* Sealed chunks in memory: they wait for a flush to copy them to a segment. */
#include "engine/node.h"

#include <string.h>

#include "base/mem.h"
#include "codec/chunk.h"

struct chunk_ref chunk_node_ref(const struct chunk_node *chunk)
{
    return (struct chunk_ref){.type = (enum value_type)chunk->node.type,
                              .n = chunk->n,
                              .ts = {chunk->min, chunk->max},
                              .ticks = chunk->data,
                              .ticks_len = chunk->ticks_len,
                              .values = chunk->data + chunk->ticks_len,
                              .values_len = chunk->values_len};
}

status chunk_node_new(struct chunk_node **out, struct node_space *space, uint8_t type,
                      const struct points *pts)
{
    ASSERT(pts->n >= 1 && pts->n <= CHUNK_POINTS_MAX);
    enum value_type kind = (enum value_type)type;
    uint8_t *bytes = mem_try(chunk_ticks_bound(pts->n) +
                             chunk_values_bound(kind, pts->val, pts->n));
    if (!bytes) return ST_NO_MEMORY;

    size_t ticks_len = chunk_ticks_encode(bytes, pts->ts, pts->n);
    size_t len = ticks_len + chunk_values_encode(bytes + ticks_len, kind, pts->val, pts->n,
                                                 CHUNK_FAST);
    struct chunk_node *chunk =
        len > UINT32_MAX ? NULL
                         : node_space_try_shared(space, sizeof(*chunk) + len + CHUNK_PAD);
    if (!chunk) {
        mem_free(bytes);
        return ST_NO_MEMORY;
    }
    memset(chunk, 0, sizeof(*chunk));
    chunk->node.type = type;
    chunk->node.shape = NODE_CHUNK;
    chunk->n = (uint32_t)pts->n;
    chunk->ticks_len = (uint32_t)ticks_len;
    chunk->values_len = (uint32_t)(len - ticks_len);
    chunk->min = pts->ts[0];
    chunk->max = pts->ts[pts->n - 1];
    memcpy(chunk->data, bytes, len);
    memset(chunk->data + len, 0, CHUNK_PAD);
    mem_free(bytes);
    *out = chunk;
    return ST_OK;
}
