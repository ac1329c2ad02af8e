/* Memory that a reader may still see: the owner unlinks it and hands it here; the
 * engine calls free_fn(ptr, arg) on the owner once no reader that was registered at
 * that moment is left (architecture 7, "Retire"). `bytes` is what the block holds,
 * for the engine's bound on retired memory; it stays charged to the index's account
 * until free_fn runs. Owner only.
 */
#ifndef TSINK_INDEX_RECLAIM_H
#define TSINK_INDEX_RECLAIM_H

#include <stddef.h>

struct reclaim {
    void (*retire)(void *ctx, void (*free_fn)(void *ptr, void *arg), void *ptr, void *arg,
                   size_t bytes);
    void *ctx;
};

static inline void reclaim_later(const struct reclaim *rc, void (*free_fn)(void *, void *),
                                 void *ptr, void *arg, size_t bytes)
{
    rc->retire(rc->ctx, free_fn, ptr, arg, bytes);
}

#endif
