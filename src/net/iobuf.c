/* Chains of output blocks and the pools of free ones.
 *
 * Growth: the first block of a chain is small, all others are large, unless one
 * piece needs more (iobuf_block_new with a bigger cap: input of a big request).
 * Only blocks of the two standard sizes go into pools; a pool is as good for blocks
 * that were made by another thread, because nothing in a block refers to its origin
 * but the account, which is released when the block enters the pool.
 *
 * Moving a chain to the end of another copies it when it is short: a reply of a few
 * bytes would otherwise drag a block of its own through every writev.
 */
#include "net/iobuf.h"

#include "base/mem.h"
#include "base/panic.h"

enum {
    SMALL_CAP = IOBUF_SMALL - (int)sizeof(struct iobuf_block),
    LARGE_CAP = IOBUF_LARGE - (int)sizeof(struct iobuf_block),
    COPY_MAX = 1024,   /* chains up to this long are copied; a guess: one cache-warm page quarter */
    ADOPT_MIN = 4096,  /* shorter strbufs are copied */
    RESERVE_MAX = 4096,
};

_Static_assert(RESERVE_MAX <= LARGE_CAP, "a reservation fits a large block");

/* ---- Pools ------------------------------------------------------------------- */

void iobuf_pool_init(struct iobuf_pool *pool, struct account *account)
{
    *pool = (struct iobuf_pool){.account = account};
}

static void free_list(struct iobuf_block **list, size_t *n, struct account *account)
{
    while (*list) {
        struct iobuf_block *block = *list;
        *list = block->next;
        account_release(account, sizeof(*block) + block->cap);
        mem_free(block);
    }
    *n = 0;
}

void iobuf_pool_release(struct iobuf_pool *pool)
{
    free_list(&pool->small, &pool->n_small, pool->account);
    free_list(&pool->large, &pool->n_large, pool->account);
}

static struct iobuf_block *pool_take(struct iobuf_pool *pool, size_t cap)
{
    struct iobuf_block **list = cap == SMALL_CAP ? &pool->small : &pool->large;
    struct iobuf_block *block = *list;

    if (!block) return NULL;
    *list = block->next;
    if (cap == SMALL_CAP) pool->n_small--;
    else pool->n_large--;
    account_release(pool->account, sizeof(*block) + cap);
    return block;
}

/* False when the pool is full or the block is of no standard size. */
static bool pool_put(struct iobuf_pool *pool, struct iobuf_block *block)
{
    bool small = block->cap == SMALL_CAP;
    size_t *n = small ? &pool->n_small : &pool->n_large;

    if (block->adopted || (!small && block->cap != LARGE_CAP)) return false;
    if (*n >= (small ? (size_t)IOBUF_POOL_SMALL : (size_t)IOBUF_POOL_LARGE)) return false;
    struct iobuf_block **list = small ? &pool->small : &pool->large;
    account_force(pool->account, sizeof(*block) + block->cap);
    block->next = *list;
    *list = block;
    (*n)++;
    return true;
}

/* ---- Blocks ------------------------------------------------------------------ */

struct iobuf_block *iobuf_block_new(struct iobuf_pool *pool, struct account *account,
                                    size_t cap)
{
    struct iobuf_block *block = NULL;

    if (cap <= SMALL_CAP) cap = SMALL_CAP;
    else if (cap <= LARGE_CAP) cap = LARGE_CAP;
    if (cap > SIZE_MAX - sizeof(*block)) return NULL;
    if (!account_charge(account, sizeof(*block) + cap)) return NULL;
    if (pool && cap <= LARGE_CAP) block = pool_take(pool, cap);
    if (!block) block = mem_try(sizeof(*block) + cap);
    if (!block) {
        account_release(account, sizeof(*block) + cap);
        return NULL;
    }
    *block = (struct iobuf_block){.account = account, .cap = cap, .data = (char *)(block + 1)};
    atomic_init(&block->refs, 1);
    return block;
}

void iobuf_block_ref(struct iobuf_block *block)
{
    atomic_fetch_add_explicit(&block->refs, 1, memory_order_relaxed);
}

void iobuf_block_unref(struct iobuf_block *block, struct iobuf_pool *pool)
{
    if (!block) return;
    /* The only reference needs no locked instruction: nobody else can add one. */
    if (atomic_load_explicit(&block->refs, memory_order_acquire) != 1 &&
        atomic_fetch_sub_explicit(&block->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    account_release(block->account, sizeof(*block) + block->cap);
    if (pool && pool_put(pool, block)) return;
    if (block->adopted) mem_free(block->data);
    mem_free(block);
}

/* ---- Chains ------------------------------------------------------------------ */

void iobuf_init(struct iobuf *buf, struct iobuf_pool *pool, struct account *account,
                size_t len_max)
{
    *buf = (struct iobuf){.pool = pool, .account = account, .len_max = len_max};
}

void iobuf_release(struct iobuf *buf, struct iobuf_pool *pool)
{
    if (!pool) pool = buf->pool;
    for (struct iobuf_block *block = buf->first, *next; block; block = next) {
        next = block->next;
        iobuf_block_unref(block, pool);
    }
    buf->first = buf->last = NULL;
    buf->len = 0;
    buf->failed = false;
}

static void link_block(struct iobuf *buf, struct iobuf_block *block)
{
    block->next = NULL;
    if (buf->last) buf->last->next = block;
    else buf->first = block;
    buf->last = block;
}

static size_t room_in(const struct iobuf_block *block)
{
    return block->cap - block->start - block->len;
}

static bool add_block(struct iobuf *buf, size_t cap)
{
    struct iobuf_block *block = iobuf_block_new(buf->pool, buf->account, cap);

    if (!block) {
        buf->failed = true;
        return false;
    }
    link_block(buf, block);
    return true;
}

static bool may_grow(struct iobuf *buf, size_t len)
{
    if (buf->failed) return false;
    if (buf->len_max && (len > buf->len_max || buf->len > buf->len_max - len)) {
        buf->failed = true;
        return false;
    }
    return true;
}

void iobuf_put(struct iobuf *buf, const void *src, size_t len)
{
    const char *at = src;

    if (!may_grow(buf, len)) return;
    while (len > 0) {
        size_t room = buf->last ? room_in(buf->last) : 0;
        if (room == 0) {
            size_t cap = !buf->first && len <= SMALL_CAP ? SMALL_CAP : LARGE_CAP;
            if (!add_block(buf, cap)) return;
            room = room_in(buf->last);
        }
        size_t n = len < room ? len : room;
        struct iobuf_block *block = buf->last;
        memcpy(block->data + block->start + block->len, at, n);
        block->len += n;
        buf->len += n;
        at += n;
        len -= n;
    }
}

char *iobuf_reserve(struct iobuf *buf, size_t n)
{
    ASSERT(n <= RESERVE_MAX);
    if (!may_grow(buf, n)) return NULL;
    if (!buf->last || room_in(buf->last) < n) {
        size_t cap = !buf->first && n <= SMALL_CAP ? SMALL_CAP : LARGE_CAP;
        if (!add_block(buf, cap)) return NULL;
    }
    return buf->last->data + buf->last->start + buf->last->len;
}

void iobuf_commit(struct iobuf *buf, size_t n)
{
    ASSERT(buf->last && room_in(buf->last) >= n);
    buf->last->len += n;
    buf->len += n;
}

void iobuf_adopt(struct iobuf *buf, struct strbuf *src)
{
    struct iobuf_block *block = NULL;

    if (src->failed) buf->failed = true;
    if (src->len < ADOPT_MIN || !may_grow(buf, src->len)) {
        if (src->len) iobuf_put(buf, src->ptr, src->len);
        strbuf_release(src);
        return;
    }
    if (account_charge(buf->account, sizeof(*block) + src->cap)) {
        block = mem_try(sizeof(*block));
        if (!block) account_release(buf->account, sizeof(*block) + src->cap);
    }
    if (!block) {
        buf->failed = true;
        strbuf_release(src);
        return;
    }
    *block = (struct iobuf_block){.account = buf->account, .adopted = true, .cap = src->cap,
                                  .len = src->len, .data = src->ptr};
    atomic_init(&block->refs, 1);
    link_block(buf, block);
    buf->len += src->len;
    src->ptr = NULL;
    src->len = src->cap = 0;
    strbuf_release(src);
}

void iobuf_move(struct iobuf *dst, struct iobuf *src, struct iobuf_pool *pool)
{
    bool failed = src->failed;

    if (src->len > COPY_MAX && may_grow(dst, src->len)) {
        if (dst->last) dst->last->next = src->first;
        else dst->first = src->first;
        dst->last = src->last;
        dst->len += src->len;
        src->first = src->last = NULL;
        src->len = 0;
    } else {
        for (struct iobuf_block *block = src->first; block; block = block->next) {
            iobuf_put(dst, block->data + block->start, block->len);
        }
    }
    iobuf_release(src, pool);
    if (failed) dst->failed = true;
}

void iobuf_consume(struct iobuf *buf, size_t n, struct iobuf_pool *pool)
{
    ASSERT(n <= buf->len);
    buf->len -= n;
    while (buf->first) {
        struct iobuf_block *block = buf->first;
        if (n < block->len) {
            block->start += n;
            block->len -= n;
            return;
        }
        n -= block->len;
        buf->first = block->next;
        if (!buf->first) buf->last = NULL;
        iobuf_block_unref(block, pool ? pool : buf->pool);
    }
}

void iobuf_truncate(struct iobuf *buf, size_t len, struct iobuf_pool *pool)
{
    struct iobuf_block *block = buf->first;

    ASSERT(len <= buf->len);
    buf->failed = false;
    buf->len = len;
    if (len == 0) {
        iobuf_release(buf, pool);
        return;
    }
    while (block->len < len) {
        len -= block->len;
        block = block->next;
    }
    block->len = len;
    struct iobuf_block *rest = block->next;
    block->next = NULL;
    buf->last = block;
    while (rest) {
        struct iobuf_block *next = rest->next;
        iobuf_block_unref(rest, pool ? pool : buf->pool);
        rest = next;
    }
}

void iobuf_copy(char *dst, const struct iobuf *buf)
{
    for (const struct iobuf_block *block = buf->first; block; block = block->next) {
        memcpy(dst, block->data + block->start, block->len);
        dst += block->len;
    }
}
