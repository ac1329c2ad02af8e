/* Arena of doubling blocks. See arena.h. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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

enum { ALIGN = 16, BLOCK_LEN_MIN = 512, BLOCK_LEN_MAX = 1 << 20 };

struct arena_block {
    struct arena_block *older;
    size_t len; /* with this header */
};

_Static_assert(sizeof(struct arena_block) % ALIGN == 0, "payload must start aligned");

void arena_init(struct arena *arena, struct account *account, size_t block_len)
{
    *arena = (struct arena){.account = account,
                            .block_len = block_len < BLOCK_LEN_MIN ? BLOCK_LEN_MIN : block_len};
}

static void free_blocks(struct arena *arena, struct arena_block *block)
{
    while (block) {
        struct arena_block *older = block->older;
        UNPOISON(block, block->len);
        account_release(arena->account, block->len);
        arena->n_bytes -= block->len;
        mem_free(block);
        block = older;
    }
}

void arena_release(struct arena *arena)
{
    free_blocks(arena, arena->blocks);
    arena->blocks = NULL;
    arena->at = arena->end = NULL;
}

void arena_reset(struct arena *arena)
{
    struct arena_block *keep = arena->blocks;
    if (!keep) return;

    free_blocks(arena, keep->older);
    keep->older = NULL;
    arena->at = (char *)keep + sizeof(*keep);
    arena->end = (char *)keep + keep->len;
    POISON(arena->at, (size_t)(arena->end - arena->at));
}

static bool add_block(struct arena *arena, size_t payload)
{
    size_t len = arena->block_len ? arena->block_len : BLOCK_LEN_MIN;
    if (payload > SIZE_MAX - sizeof(struct arena_block)) return false;
    if (len < payload + sizeof(struct arena_block)) len = payload + sizeof(struct arena_block);
    if (!account_charge(arena->account, len)) return false;

    struct arena_block *block = mem_try(len);
    if (!block) {
        account_release(arena->account, len);
        return false;
    }
    *block = (struct arena_block){.older = arena->blocks, .len = len};
    arena->blocks = block;
    arena->at = (char *)block + sizeof(*block);
    arena->end = (char *)block + len;
    arena->n_bytes += len;
    if (arena->block_len < BLOCK_LEN_MAX)
        arena->block_len = len < BLOCK_LEN_MAX / 2 ? len * 2 : BLOCK_LEN_MAX;
    POISON(arena->at, (size_t)(arena->end - arena->at));
    return true;
}

void *arena_try(struct arena *arena, size_t len)
{
    if (unlikely(len > SIZE_MAX - ALIGN)) return NULL;
    size_t step = (len + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (step == 0) step = ALIGN;
    if (unlikely((size_t)(arena->end - arena->at) < step) && !add_block(arena, step)) return NULL;

    char *ptr = arena->at;
    arena->at += step;
    UNPOISON(ptr, len);
    return ptr;
}

void *arena_try_zero(struct arena *arena, size_t len)
{
    void *ptr = arena_try(arena, len);
    return ptr ? memset(ptr, 0, len) : NULL;
}

void *arena_try_array(struct arena *arena, size_t n, size_t size)
{
    size_t bytes;
    return __builtin_mul_overflow(n, size, &bytes) ? NULL : arena_try(arena, bytes);
}

struct slice arena_copy(struct arena *arena, struct slice from)
{
    char *ptr = arena_try(arena, from.len);
    if (!ptr) return (struct slice){NULL, 0};
    if (from.len) memcpy(ptr, from.ptr, from.len);
    return (struct slice){ptr, from.len};
}

char *arena_printf(struct arena *arena, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int len = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);

    char *text = len < 0 ? NULL : arena_try(arena, (size_t)len + 1);
    if (text) (void)vsnprintf(text, (size_t)len + 1, fmt, again);
    va_end(again);
    return text;
}
