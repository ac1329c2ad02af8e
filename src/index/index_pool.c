/* Pieces by size class. Classes are multiples of 8 up to 256 bytes, then four steps a
 * doubling, so at most a fifth of a piece is waste. A freed piece goes to its class's
 * list and is never split or joined: the sizes of lists and packed sets hardly change
 * over a database's life. See index_pool_priv.h.
 */
#include "index/index_pool_priv.h"

#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "base/panic.h"

enum { FINE_MAX = 256, FINE_STEP = 8, N_FINE = FINE_MAX / FINE_STEP, STEPS = 4 };

/* Before the bytes of a big block. */
struct big_head {
    struct index_pool *pool;
    size_t len; /* with this head */
};
_Static_assert(sizeof(struct big_head) == 16, "tables behind it stay aligned");
_Static_assert(sizeof(struct pool_block) == 16, "pieces behind it stay aligned");

static size_t class_of(size_t len)
{
    if (len <= FINE_MAX) return (len + FINE_STEP - 1) / FINE_STEP - 1;
    unsigned top = bit_width(len - 1) - 1; /* 2^top < len <= 2^(top + 1) */
    size_t step = (size_t)1 << (top - 2);
    size_t part = (len - ((size_t)1 << top) + step - 1) / step; /* 1..4 */
    return N_FINE + (size_t)(top - 8) * STEPS + part - 1;
}

static size_t class_len(size_t idx)
{
    if (idx < N_FINE) return (idx + 1) * FINE_STEP;
    size_t top = (idx - N_FINE) / STEPS + 8;
    size_t part = (idx - N_FINE) % STEPS + 1;
    return ((size_t)1 << top) + part * ((size_t)1 << (top - 2));
}

void pool_init(struct index_pool *pool, struct account *account, const struct reclaim *rc)
{
    *pool = (struct index_pool){.account = account, .rc = *rc};
    for (size_t i = 0; i < POOL_CLASSES; i++) {
        pool->classes[i] = (struct pool_class){.pool = pool, .len = class_len(i)};
    }
}

void pool_release(struct index_pool *pool)
{
    struct pool_block *block = pool->blocks;
    while (block) {
        struct pool_block *older = block->older;
        account_release(pool->account, block->len);
        mem_free(block);
        block = older;
    }
    pool->blocks = NULL;
    pool->at = pool->end = pool->text_at = pool->text_end = NULL;
    pool->n_bytes = 0;
}

/* The first blocks are small, so that an empty registry costs little. */
static struct pool_block *add_block(struct index_pool *pool)
{
    size_t len = pool->n_blocks < 4 ? POOL_BLOCK_LEN / 16 : POOL_BLOCK_LEN;
    if (!account_charge(pool->account, len)) return NULL;

    struct pool_block *block = mem_try(len);
    if (!block) {
        account_release(pool->account, len);
        return NULL;
    }
    *block = (struct pool_block){.older = pool->blocks, .len = len};
    pool->blocks = block;
    pool->n_bytes += len;
    pool->n_blocks++;
    return block;
}

static bool refill(struct index_pool *pool, char **at, char **end, size_t need)
{
    while ((size_t)(*end - *at) < need) {
        struct pool_block *block = add_block(pool);
        if (!block) return false;
        *at = (char *)block + sizeof(*block);
        *end = (char *)block + block->len;
    }
    return true;
}

void *pool_alloc(struct index_pool *pool, size_t len)
{
    if (len > POOL_PIECE_MAX) return pool_big(pool, len);

    struct pool_class *class = &pool->classes[class_of(len)];
    if (class->free_list) {
        void *ptr = class->free_list;
        memcpy(&class->free_list, ptr, sizeof(void *));
        return ptr;
    }
    if (!refill(pool, &pool->at, &pool->end, class->len)) return NULL;
    void *ptr = pool->at;
    pool->at += class->len;
    return ptr;
}

static void piece_free(void *ptr, void *arg)
{
    struct pool_class *class = arg;
    memcpy(ptr, &class->free_list, sizeof(void *));
    class->free_list = ptr;
}

void pool_free(struct index_pool *pool, void *ptr, size_t len)
{
    if (!ptr) return;
    if (len > POOL_PIECE_MAX) {
        pool_big_free(pool, ptr);
        return;
    }
    piece_free(ptr, &pool->classes[class_of(len)]);
}

void pool_retire(struct index_pool *pool, void *ptr, size_t len)
{
    if (!ptr) return;
    if (len > POOL_PIECE_MAX) {
        pool_big_retire(pool, ptr);
        return;
    }
    struct pool_class *class = &pool->classes[class_of(len)];
    reclaim_later(&pool->rc, piece_free, ptr, class, class->len);
}

char *pool_text(struct index_pool *pool, size_t len)
{
    DASSERT(len <= POOL_TEXT_MAX);
    if (!refill(pool, &pool->text_at, &pool->text_end, len)) return NULL;
    char *ptr = pool->text_at;
    pool->text_at += len;
    return ptr;
}

void *pool_big(struct index_pool *pool, size_t len)
{
    size_t bytes = len + sizeof(struct big_head);
    if (bytes < len || !account_charge(pool->account, bytes)) return NULL;

    struct big_head *head = mem_try_zero(bytes);
    if (!head) {
        account_release(pool->account, bytes);
        return NULL;
    }
    *head = (struct big_head){.pool = pool, .len = bytes};
    pool->n_bytes += bytes;
    return head + 1;
}

static void big_free(void *ptr, void *arg)
{
    struct big_head *head = (struct big_head *)ptr - 1;
    struct index_pool *pool = arg;
    DASSERT(head->pool == pool);
    account_release(pool->account, head->len);
    pool->n_bytes -= head->len;
    mem_free(head);
}

void pool_big_free(struct index_pool *pool, void *ptr)
{
    if (ptr) big_free(ptr, pool);
}

void pool_big_retire(struct index_pool *pool, void *ptr)
{
    if (!ptr) return;
    struct big_head *head = (struct big_head *)ptr - 1;
    reclaim_later(&pool->rc, big_free, ptr, pool, head->len);
}
