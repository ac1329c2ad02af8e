/* Posting lists. See postings.h for the picture and the promises.
 *
 * Invariants: 1. entries below the published n never change and pages never move;
 * 2. a reader that holds a plist sees base + [skip, n) of its pages, which is a prefix
 * of the list in time; 3. the plist is replaced only by a rebuild, which keeps exactly
 * the same live ordinals; the pages that still hold unfolded entries pass on to the new
 * plist, the others are retired with the old one. 4. At most one rebuild of a list is
 * between plan and publish, so its inputs stand still.
 */
#include "index/postings.h"

#include <roaring/roaring.h>
#include <string.h>

#include "base/mem.h"
#include "base/panic.h"
#include "index/index_pool_priv.h"
#include "index/postings_priv.h"

enum {
    PAGE_CAP_MIN = 4,
    PAGE_CAP_MAX = 512,
    PAGE_CAP_PUBLISH = POSTINGS_PLAIN_MAX,
    FEW_MAX = PAGE_CAP_PUBLISH - 1024, /* with room for what comes while a rebuild runs */
};

struct page {
    _Atomic(struct page *) next;
    uint32_t cap;
    uint32_t pad;
    uint32_t ord[];
};

/* An immutable base. */
struct pbase {
    roaring_bitmap_t *bitmap;
    uint32_t len;
    size_t n_bytes; /* charged */
};

struct plist {
    struct pbase *base; /* NULL: none; never changes */
    struct page *first; /* never changes */
    struct page *tail;  /* owner */
    uint32_t skip;      /* entries of first that are in the base; never changes */
    uint32_t tail_n;    /* entries in tail; owner */
    _Atomic uint32_t n; /* published entries, the skipped ones included */
    bool wanted;        /* a rebuild was asked for and has not been published; owner */
};

/* ---------------------------------------------------------------- bits by ordinal */

void ordinal_bits_init(struct ordinal_bits *bits, struct account *account)
{
    segvec_init(&bits->words, sizeof(uint64_t), account);
    atomic_store_explicit(&bits->n, 0, memory_order_relaxed);
}

void ordinal_bits_release(struct ordinal_bits *bits)
{
    segvec_release(&bits->words);
}

bool ordinal_bits_reserve(struct ordinal_bits *bits, uint32_t ordinal)
{
    return segvec_reserve(&bits->words, ordinal / 64);
}

static inline _Atomic uint64_t *word_of(const struct ordinal_bits *bits, uint32_t ordinal)
{
    return segvec_at(&bits->words, ordinal / 64);
}

void ordinal_bits_set(struct ordinal_bits *bits, uint32_t ordinal)
{
    uint64_t bit = 1ull << (ordinal % 64);
    uint64_t was = atomic_fetch_or_explicit(word_of(bits, ordinal), bit, memory_order_release);
    if (!(was & bit)) atomic_fetch_add_explicit(&bits->n, 1, memory_order_release);
}

void ordinal_bits_clear(struct ordinal_bits *bits, uint32_t ordinal)
{
    uint64_t bit = 1ull << (ordinal % 64);
    uint64_t was =
        atomic_fetch_and_explicit(word_of(bits, ordinal), ~bit, memory_order_release);
    if (was & bit) atomic_fetch_sub_explicit(&bits->n, 1, memory_order_release);
}

bool ordinal_bits_has(const struct ordinal_bits *bits, uint32_t ordinal)
{
    if (atomic_load_explicit(&bits->n, memory_order_acquire) == 0) return false;
    uint64_t word = atomic_load_explicit(word_of(bits, ordinal), memory_order_acquire);
    return word >> (ordinal % 64) & 1;
}

roaring_bitmap_t *ordinal_bits_bitmap(const struct ordinal_bits *bits, uint32_t n_ordinals)
{
    roaring_bitmap_t *bitmap = roaring_bitmap_create();
    if (!bitmap || atomic_load_explicit(&bits->n, memory_order_acquire) == 0) return bitmap;
    for (uint32_t at = 0; at < n_ordinals; at = at / 64 * 64 + 64) {
        uint64_t word = atomic_load_explicit(word_of(bits, at), memory_order_acquire);
        while (word) {
            roaring_bitmap_add(bitmap, at + trailing_zeros(word));
            word &= word - 1;
        }
        if (at >= UINT32_MAX - 64) break;
    }
    return bitmap;
}

/* ---------------------------------------------------------------- append */

static size_t page_bytes(uint32_t cap)
{
    return sizeof(struct page) + cap * sizeof(uint32_t);
}

static struct page *new_page(struct index_pool *pool, uint32_t cap)
{
    struct page *page = pool_alloc(pool, page_bytes(cap));
    if (!page) return NULL;
    atomic_store_explicit(&page->next, NULL, memory_order_relaxed);
    page->cap = cap;
    page->pad = 0;
    return page;
}

static inline struct plist *list_of(const struct postings *post)
{
    return atomic_load_explicit(&post->list, memory_order_acquire);
}

static inline struct page *next_of(const struct page *page)
{
    return atomic_load_explicit(&page->next, memory_order_acquire);
}

static inline uint32_t few_load(const _Atomic uint32_t *few)
{
    return atomic_load_explicit(few, memory_order_acquire);
}

static bool make_list(struct postings *post, struct index_pool *pool)
{
    struct plist *list = pool_alloc(pool, sizeof(*list));
    if (!list) return false;
    struct page *page = new_page(pool, PAGE_CAP_MIN);
    if (!page) {
        pool_free(pool, list, sizeof(*list));
        return false;
    }
    page->ord[0] = few_load(&post->one) - 1;
    page->ord[1] = few_load(&post->two) - 1;
    *list = (struct plist){.first = page, .tail = page, .tail_n = 2, .n = 2};
    atomic_store_explicit(&post->list, list, memory_order_release);
    return true;
}

bool postings_reserve(struct postings *post, struct index_pool *pool)
{
    struct plist *list = list_of(post);
    if (!list) {
        return !few_load(&post->one) || !few_load(&post->two) || make_list(post, pool);
    }
    if (list->tail_n < list->tail->cap || next_of(list->tail)) return true;

    uint32_t cap = list->tail->cap * 2;
    if (cap > PAGE_CAP_MAX) cap = PAGE_CAP_MAX;
    if (cap < PAGE_CAP_MIN) cap = PAGE_CAP_MIN;
    struct page *page = new_page(pool, cap);
    if (!page) return false;
    atomic_store_explicit(&list->tail->next, page, memory_order_release);
    return true;
}

static bool wants_rebuild(const struct plist *list)
{
    uint32_t n = atomic_load_explicit(&list->n, memory_order_relaxed) - list->skip;
    if (!list->base) return n > POSTINGS_BASE_MIN;
    uint32_t most = list->base->len / 8;
    return n > (most > POSTINGS_DELTA_MIN ? most : POSTINGS_DELTA_MIN);
}

bool postings_append(struct postings *post, uint32_t ordinal)
{
    struct plist *list = list_of(post);
    if (!list) {
        _Atomic uint32_t *few = few_load(&post->one) ? &post->two : &post->one;
        DASSERT(few_load(few) == 0);
        atomic_store_explicit(few, ordinal + 1, memory_order_release);
        return false;
    }
    if (list->tail_n == list->tail->cap) {
        list->tail = next_of(list->tail);
        list->tail_n = 0;
    }
    list->tail->ord[list->tail_n++] = ordinal;
    uint32_t n = atomic_load_explicit(&list->n, memory_order_relaxed);
    atomic_store_explicit(&list->n, n + 1, memory_order_release);

    if (list->wanted || !wants_rebuild(list)) return false;
    list->wanted = true;
    return true;
}

/* ---------------------------------------------------------------- reading */

struct postings_view postings_view(const struct postings *post)
{
    const struct plist *list = list_of(post);
    struct postings_view view = {.list = list};
    if (!list) {
        uint32_t one = few_load(&post->one), two = few_load(&post->two);
        if (one) view.few[view.delta_len++] = one - 1;
        if (two) view.few[view.delta_len++] = two - 1;
        return view;
    }
    view.delta_len = atomic_load_explicit(&list->n, memory_order_acquire) - list->skip;
    if (list->base) {
        view.base = list->base->bitmap;
        view.base_len = list->base->len;
    }
    return view;
}

/* Entries [from, from + n) of the pages, counted from the first page's start. */
static void copy_entries(uint32_t *dst, const struct page *page, uint32_t from, uint32_t n)
{
    while (n > 0) {
        if (from >= page->cap) {
            from -= page->cap;
            page = next_of(page);
            continue;
        }
        uint32_t run = page->cap - from < n ? page->cap - from : n;
        memcpy(dst, page->ord + from, run * sizeof(*dst));
        dst += run;
        n -= run;
        from += run;
    }
}

void postings_view_delta(const struct postings_view *view, uint32_t *dst)
{
    if (view->list) {
        copy_entries(dst, view->list->first, view->list->skip, view->delta_len);
    } else if (view->delta_len) {
        memcpy(dst, view->few, view->delta_len * sizeof(*dst));
    }
}

void postings_view_all(const struct postings_view *view, uint32_t *dst)
{
    if (view->base) roaring_bitmap_to_uint32_array(view->base, dst);
    postings_view_delta(view, dst + view->base_len);
}

uint32_t postings_len(const struct postings *post)
{
    struct postings_view view = postings_view(post);
    return view.base_len + view.delta_len;
}

roaring_bitmap_t *postings_bitmap(const struct postings_view *view)
{
    uint32_t *delta = mem_try_array(view->delta_len ? view->delta_len : 1, sizeof(*delta));
    if (!delta) return NULL;
    postings_view_delta(view, delta);
    roaring_bitmap_t *bitmap =
        view->base ? roaring_bitmap_copy(view->base) : roaring_bitmap_create();
    if (bitmap) roaring_bitmap_add_many(bitmap, view->delta_len, delta);
    mem_free(delta);
    return bitmap;
}

struct any_alive {
    const struct ordinal_bits *dead;
    bool found;
};

static bool look_alive(uint32_t ordinal, void *arg)
{
    struct any_alive *any = arg;
    any->found = !ordinal_bits_has(any->dead, ordinal);
    return !any->found;
}

bool postings_any(const struct postings *post, const struct ordinal_bits *dead)
{
    struct postings_view view = postings_view(post);
    if (atomic_load_explicit(&dead->n, memory_order_acquire) == 0) {
        return view.base_len + view.delta_len > 0;
    }
    struct any_alive any = {.dead = dead};
    if (view.base) roaring_iterate(view.base, look_alive, &any);
    if (any.found) return true;
    if (!view.list) {
        for (uint32_t i = 0; i < view.delta_len; i++) {
            if (!ordinal_bits_has(dead, view.few[i])) return true;
        }
        return false;
    }
    const struct page *page = view.list->first;
    uint32_t from = view.list->skip;
    for (uint32_t left = view.delta_len; left > 0;) {
        if (from >= page->cap) {
            from -= page->cap;
            page = next_of(page);
            continue;
        }
        if (!ordinal_bits_has(dead, page->ord[from++])) return true;
        left--;
    }
    return false;
}

/* ---------------------------------------------------------------- rebuild */

/* Two in place are freed at once: nobody waits for a worker for that. */
static void drop_few(struct postings *post, const roaring_bitmap_t *drop)
{
    _Atomic uint32_t *few[2] = {&post->one, &post->two};
    for (size_t i = 0; i < 2; i++) {
        uint32_t at = few_load(few[i]);
        if (at && drop && roaring_bitmap_contains(drop, at - 1)) {
            atomic_store_explicit(few[i], 0, memory_order_release);
        }
    }
}

bool postings_rebuild_plan(struct postings_rebuild *rb, struct postings *post,
                           const struct roaring_bitmap_s *drop)
{
    struct plist *list = list_of(post);
    if (!list) {
        drop_few(post, drop);
        return false;
    }
    list->wanted = true;
    *rb = (struct postings_rebuild){
        .post = post,
        .list = list,
        .n = atomic_load_explicit(&list->n, memory_order_relaxed) - list->skip};
    return true;
}

static size_t compact_bitmap(roaring_bitmap_t *bitmap)
{
    roaring_bitmap_run_optimize(bitmap);
    roaring_bitmap_shrink_to_fit(bitmap);
    /* The header, and for each container a pointer, key, type and its own struct. */
    roaring_statistics_t stats;
    roaring_bitmap_statistics(bitmap, &stats);
    return sizeof(*bitmap) + stats.n_containers * (8 + 2 + 1 + 16) +
           stats.n_bytes_array_containers + stats.n_bytes_run_containers +
           stats.n_bytes_bitset_containers;
}

status postings_rebuild_run(struct postings_rebuild *rb, const struct roaring_bitmap_s *drop)
{
    const struct plist *list = rb->list;
    uint32_t *delta = mem_try_array(rb->n ? rb->n : 1, sizeof(*delta));
    if (!delta) return ST_NO_MEMORY;
    copy_entries(delta, list->first, list->skip, rb->n);

    if (!list->base && rb->n <= FEW_MAX) {
        /* Too short for a base: an array of what stays, in the old order. */
        uint32_t n = 0;
        for (uint32_t i = 0; i < rb->n; i++) {
            if (!drop || !roaring_bitmap_contains(drop, delta[i])) delta[n++] = delta[i];
        }
        rb->few = delta;
        rb->n_few = n;
        return ST_OK;
    }
    roaring_bitmap_t *out =
        list->base ? roaring_bitmap_copy(list->base->bitmap) : roaring_bitmap_create();
    if (out) {
        roaring_bitmap_add_many(out, rb->n, delta);
        if (drop) roaring_bitmap_andnot_inplace(out, drop);
        rb->out_bytes = compact_bitmap(out);
    }
    rb->out = out;
    mem_free(delta);
    return out ? ST_OK : ST_NO_MEMORY;
}

static struct pbase *new_base(struct index_pool *pool, roaring_bitmap_t *bitmap, size_t n_bytes)
{
    struct pbase *base = pool_alloc(pool, sizeof(*base));
    if (!base) return NULL;
    *base = (struct pbase){.bitmap = bitmap,
                           .len = (uint32_t)roaring_bitmap_get_cardinality(bitmap),
                           .n_bytes = n_bytes};
    account_force(pool->account, n_bytes); /* it is there already */
    pool->n_bytes += n_bytes;
    return base;
}

/* A base of all, with an empty page for what comes. */
static bool fill_base(struct plist *list, struct index_pool *pool, const uint32_t *ordinals,
                      uint32_t n)
{
    roaring_bitmap_t *bitmap = roaring_bitmap_create();
    if (!bitmap) return false;
    roaring_bitmap_add_many(bitmap, n, ordinals);
    size_t n_bytes = compact_bitmap(bitmap);
    struct page *page = new_page(pool, PAGE_CAP_MIN);
    struct pbase *base = page ? new_base(pool, bitmap, n_bytes) : NULL;
    if (!base) {
        roaring_bitmap_free(bitmap);
        if (page) pool_free(pool, page, page_bytes(page->cap));
        return false;
    }
    *list = (struct plist){.base = base, .first = page, .tail = page};
    return true;
}

static uint32_t *room_on_page(struct plist *list, struct index_pool *pool, uint32_t n)
{
    struct page *page = new_page(pool, n < PAGE_CAP_MIN ? PAGE_CAP_MIN : n);
    if (!page) return NULL;
    *list = (struct plist){.first = page, .tail = page, .tail_n = n, .n = n};
    return page->ord;
}

static bool fill_page(struct plist *list, struct index_pool *pool, const uint32_t *ordinals,
                      uint32_t n)
{
    uint32_t *room = room_on_page(list, pool, n);
    if (room) memcpy(room, ordinals, n * sizeof(*ordinals));
    return room != NULL;
}

uint32_t *postings_room(struct postings *post, struct index_pool *pool, uint32_t n)
{
    DASSERT(!list_of(post) && !few_load(&post->one));
    DASSERT(n >= POSTINGS_PLAIN_MIN && n <= POSTINGS_PLAIN_MAX);
    struct plist *list = pool_alloc(pool, sizeof(*list));
    if (!list) return NULL;
    uint32_t *room = room_on_page(list, pool, n);
    if (!room) {
        pool_free(pool, list, sizeof(*list));
        return NULL;
    }
    atomic_store_explicit(&post->list, list, memory_order_release);
    return room;
}

bool postings_fill(struct postings *post, struct index_pool *pool, const uint32_t *ordinals,
                   uint32_t n)
{
    DASSERT(!list_of(post) && !few_load(&post->one));
    if (n <= 2) {
        if (n > 1) atomic_store_explicit(&post->two, ordinals[1] + 1, memory_order_relaxed);
        if (n > 0) atomic_store_explicit(&post->one, ordinals[0] + 1, memory_order_release);
        return true;
    }
    struct plist *list = pool_alloc(pool, sizeof(*list));
    if (!list) return false;
    bool ok = n > PAGE_CAP_PUBLISH ? fill_base(list, pool, ordinals, n)
                                   : fill_page(list, pool, ordinals, n);
    if (!ok) {
        pool_free(pool, list, sizeof(*list));
        return false;
    }
    atomic_store_explicit(&post->list, list, memory_order_release);
    return true;
}

static void base_free(void *ptr, void *arg)
{
    struct pbase *base = ptr;
    struct index_pool *pool = arg;
    account_release(pool->account, base->n_bytes);
    pool->n_bytes -= base->n_bytes;
    roaring_bitmap_free(base->bitmap);
    pool_free(pool, base, sizeof(*base));
}

static void retire_list(struct plist *list, const struct page *keep, struct index_pool *pool)
{
    for (struct page *page = list->first; page && page != keep;) {
        struct page *next = next_of(page);
        pool_retire(pool, page, page_bytes(page->cap));
        page = next;
    }
    if (list->base) {
        reclaim_later(&pool->rc, base_free, list->base, pool, list->base->n_bytes);
    }
    pool_retire(pool, list, sizeof(*list));
}

/* base + the pages from the one that holds entry n on. */
static bool publish_base(struct postings_rebuild *rb, struct index_pool *pool)
{
    struct plist *old = rb->list;
    struct plist *list = pool_alloc(pool, sizeof(*list));
    struct pbase *base = list ? new_base(pool, rb->out, rb->out_bytes) : NULL;
    if (!base) {
        pool_free(pool, list, sizeof(*list));
        return false;
    }
    rb->out = NULL;

    struct page *page = old->first;
    uint32_t at = old->skip + rb->n, pos = 0;
    while (at - pos >= page->cap && page != old->tail) {
        pos += page->cap;
        page = next_of(page);
    }
    *list = (struct plist){.base = base,
                           .first = page,
                           .tail = old->tail,
                           .skip = at - pos,
                           .tail_n = old->tail_n,
                           .n = atomic_load_explicit(&old->n, memory_order_relaxed) - pos};
    atomic_store_explicit(&rb->post->list, list, memory_order_release);
    retire_list(old, page, pool);
    return true;
}

/* What is left of a short list, on one page. Never back in place: a reader that found
 * no list a while ago may still be about to read one and two, which therefore only ever
 * lose the dead. */
static bool publish_few(struct postings_rebuild *rb, struct index_pool *pool)
{
    struct plist *old = rb->list;
    uint32_t at = old->skip + rb->n;
    uint32_t n_late = atomic_load_explicit(&old->n, memory_order_relaxed) - at;
    uint32_t n = rb->n_few + n_late;
    if (n > PAGE_CAP_PUBLISH) return false;

    struct plist *list = pool_alloc(pool, sizeof(*list));
    struct page *page = list ? new_page(pool, n < PAGE_CAP_MIN ? PAGE_CAP_MIN : n) : NULL;
    if (!page) {
        pool_free(pool, list, sizeof(*list));
        return false;
    }
    memcpy(page->ord, rb->few, rb->n_few * sizeof(page->ord[0]));
    copy_entries(page->ord + rb->n_few, old->first, at, n_late);
    *list = (struct plist){.first = page, .tail = page, .tail_n = n, .n = n};
    atomic_store_explicit(&rb->post->list, list, memory_order_release);
    retire_list(old, NULL, pool);
    return true;
}

bool postings_rebuild_publish(struct postings_rebuild *rb, struct index_pool *pool)
{
    bool done = false;
    rb->list->wanted = false;
    if (rb->out) {
        done = publish_base(rb, pool);
    } else if (rb->few) {
        done = publish_few(rb, pool);
    }
    if (rb->out) roaring_bitmap_free(rb->out); /* it could not be published */
    mem_free(rb->few);
    *rb = (struct postings_rebuild){.post = NULL};
    return done;
}

void postings_release(struct postings *post, struct index_pool *pool)
{
    struct plist *list = list_of(post);
    atomic_store_explicit(&post->one, 0, memory_order_relaxed);
    atomic_store_explicit(&post->two, 0, memory_order_relaxed);
    if (!list) return;
    for (struct page *page = list->first; page;) {
        struct page *next = next_of(page);
        pool_free(pool, page, page_bytes(page->cap));
        page = next;
    }
    if (list->base) base_free(list->base, pool);
    pool_free(pool, list, sizeof(*list));
    atomic_store_explicit(&post->list, NULL, memory_order_relaxed);
}
