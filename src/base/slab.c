/* See slab.h. A freed object's first word points to the next free one; the rest of it
 * is poisoned, and so is what was never used. */
#include "base/slab.h"

#include <stdint.h>

#include "base/bits.h"
#include "base/mem.h"
#include "base/panic.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define POISON(ptr, len) ASAN_POISON_MEMORY_REGION(ptr, len)
#define UNPOISON(ptr, len) ASAN_UNPOISON_MEMORY_REGION(ptr, len)
#else
#define POISON(ptr, len) ((void)(ptr), (void)(len))
#define UNPOISON(ptr, len) ((void)(ptr), (void)(len))
#endif

enum { ALIGN = 16, ELEM_LEN_MAX = 1 << 20, BLOCK_LEN_MAX = 64 << 20 };

struct slab_block {
    struct slab_block *older;
    uint64_t unused; /* keeps the payload aligned */
};

_Static_assert(sizeof(struct slab_block) % ALIGN == 0, "payload must start aligned");

void slab_init(struct slab *slab, struct account *account, size_t elem_len, size_t per_block)
{
    ASSERT(elem_len >= 1 && elem_len <= ELEM_LEN_MAX && per_block >= 1);
    elem_len = round_up(elem_len, ALIGN);
    if (per_block > BLOCK_LEN_MAX / elem_len) per_block = BLOCK_LEN_MAX / elem_len;
    *slab = (struct slab){.elem_len = elem_len,
                          .block_len = sizeof(struct slab_block) + elem_len * per_block,
                          .account = account};
}

void slab_release(struct slab *slab)
{
    struct slab_block *block = slab->blocks;
    while (block) {
        struct slab_block *older = block->older;
        UNPOISON(block, slab->block_len);
        mem_free(block);
        account_release(slab->account, slab->block_len);
        block = older;
    }
    slab->blocks = NULL;
    slab->free = NULL;
    slab->at = slab->end = NULL;
    slab->n_used = slab->n_blocks = 0;
}

static bool add_block(struct slab *slab)
{
    if (!account_charge(slab->account, slab->block_len)) return false;
    struct slab_block *block = mem_try(slab->block_len);
    if (!block) {
        account_release(slab->account, slab->block_len);
        return false;
    }
    *block = (struct slab_block){.older = slab->blocks};
    slab->blocks = block;
    slab->n_blocks++;
    slab->at = (char *)block + sizeof(*block);
    slab->end = (char *)block + slab->block_len;
    POISON(slab->at, (size_t)(slab->end - slab->at));
    return true;
}

void *slab_try(struct slab *slab)
{
    void *ptr = slab->free;
    if (ptr) {
        UNPOISON(ptr, slab->elem_len);
        slab->free = *(void **)ptr;
    } else {
        if (slab->at == slab->end && !add_block(slab)) return NULL;
        ptr = slab->at;
        slab->at += slab->elem_len;
        UNPOISON(ptr, slab->elem_len);
    }
    slab->n_used++;
    return ptr;
}

void slab_put(struct slab *slab, void *ptr)
{
    if (!ptr) return;
    ASSERT(slab->n_used > 0);
    *(void **)ptr = slab->free;
    slab->free = ptr;
    slab->n_used--;
    POISON(ptr, slab->elem_len);
}
