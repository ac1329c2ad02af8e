/* Metadata of metric families. See metadata_store.h.
 *
 * Entries are sorted by family, in pages: a new one moves what is behind it in its page, so
 * that the owner pays little however many families there are. A full page becomes two.
 */
#include "engine/metadata_store.h"

#include <string.h>

#include "base/lock.h"
#include "base/mem.h"
#include "base/vec.h"

enum { PAGE_ENTRIES = 256, HEAP_EXTRA = 16 };

/* One block: the struct, then family, help and unit. */
struct entry {
    struct metric_meta meta;
    size_t len;                /* of the block */
    char text[];
};

struct page {
    size_t n;                  /* at least 1, but for the first page of an empty store */
    struct entry *entry[PAGE_ENTRIES];
};

struct metadata_store {
    struct mutex lock;         /* all below */
    struct account *account;
    VEC(struct page *) pages;
    uint32_t families_max;
    uint64_t version;
    struct metadata_stats stats;
};

struct metadata_store *metadata_store_new(uint32_t families_max, struct account *account)
{
    struct metadata_store *store = mem_try_zero(sizeof(*store));
    if (!store) return NULL;
    mutex_init(&store->lock, LOCK_CACHE);
    store->families_max = families_max;
    store->account = account;
    return store;
}

static void free_entry(struct metadata_store *store, struct entry *entry)
{
    if (!entry) return;
    account_release(store->account, entry->len + HEAP_EXTRA);
    mem_free(entry);
}

void metadata_store_free(struct metadata_store *store)
{
    if (!store) return;
    for (size_t i = 0; i < store->pages.len; i++) {
        struct page *page = store->pages.ptr[i];
        for (size_t k = 0; k < page->n; k++) free_entry(store, page->entry[k]);
        account_release(store->account, sizeof(*page));
        mem_free(page);
    }
    vec_release(&store->pages);
    mutex_release(&store->lock);
    mem_free(store);
}

/* ---- entries ---------------------------------------------------------------------- */

static struct slice cut_text(struct slice text)
{
    size_t len = text.len;
    if (len <= META_TEXT_MAX) return text;
    len = META_TEXT_MAX;
    while (len > 0 && ((uint8_t)text.ptr[len] & 0xc0) == 0x80) len--; /* inside a character */
    return slice_of(text.ptr, len);
}

struct metric_meta metadata_cut(const struct metric_meta *meta)
{
    struct metric_meta cut = *meta;
    cut.help = cut_text(meta->help);
    cut.unit = cut_text(meta->unit);
    return cut;
}

static struct slice put_text(char **at, struct slice from)
{
    struct slice to = slice_of(*at, from.len);
    if (from.len) memcpy(*at, from.ptr, from.len);
    *at += from.len;
    return to;
}

static struct entry *make_entry(struct metadata_store *store, const struct metric_meta *meta)
{
    struct entry *entry;
    size_t len = sizeof(*entry) + meta->family.len + meta->help.len + meta->unit.len;
    if (!account_charge(store->account, len + HEAP_EXTRA)) return NULL;
    entry = mem_try(len);
    if (!entry) {
        account_release(store->account, len + HEAP_EXTRA);
        return NULL;
    }
    char *at = entry->text;
    entry->len = len;
    entry->meta = *meta;
    entry->meta.family = put_text(&at, meta->family);
    entry->meta.help = put_text(&at, meta->help);
    entry->meta.unit = put_text(&at, meta->unit);
    return entry;
}

static bool same(const struct metric_meta *a, const struct metric_meta *b)
{
    return a->type == b->type && slice_eq(a->help, b->help) && slice_eq(a->unit, b->unit);
}

/* ---- places ----------------------------------------------------------------------- */

struct place {
    size_t page, at;
    bool there;
};

/* The last page that does not begin behind the family. */
static size_t find_page(const struct metadata_store *store, struct slice family)
{
    size_t low = 0, high = store->pages.len;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const struct page *page = store->pages.ptr[mid];
        if (slice_cmp(page->entry[0]->meta.family, family) <= 0) low = mid + 1;
        else high = mid;
    }
    return low ? low - 1 : 0;
}

static struct place find(const struct metadata_store *store, struct slice family)
{
    struct place p = {0, 0, false};
    if (store->pages.len == 0) return p;
    p.page = find_page(store, family);
    const struct page *page = store->pages.ptr[p.page];
    size_t high = page->n;
    while (p.at < high) {
        size_t mid = p.at + (high - p.at) / 2;
        if (slice_cmp(page->entry[mid]->meta.family, family) < 0) p.at = mid + 1;
        else high = mid;
    }
    p.there = p.at < page->n && slice_eq(page->entry[p.at]->meta.family, family);
    return p;
}

/* A new page at idx. Whoever calls this fills it: no page is empty. */
static struct page *add_page(struct metadata_store *store, size_t idx)
{
    struct page *page;
    if (!vec_reserve(&store->pages, 1) || !account_charge(store->account, sizeof(*page)))
        return NULL;
    page = mem_try_zero(sizeof(*page));
    if (!page) {
        account_release(store->account, sizeof(*page));
        return NULL;
    }
    memmove(store->pages.ptr + idx + 1, store->pages.ptr + idx,
            (store->pages.len - idx) * sizeof(page));
    store->pages.ptr[idx] = page;
    store->pages.len++;
    return page;
}

/* The upper half of a full page becomes a page of its own; *p goes along. */
static bool split_page(struct metadata_store *store, struct place *p)
{
    enum { HALF = PAGE_ENTRIES / 2 };
    struct page *low = store->pages.ptr[p->page], *high = add_page(store, p->page + 1);
    if (!high) return false;
    memcpy(high->entry, low->entry + HALF, HALF * sizeof(high->entry[0]));
    high->n = HALF;
    low->n = HALF;
    if (p->at > HALF) {
        p->page++;
        p->at -= HALF;
    }
    return true;
}

static bool insert(struct metadata_store *store, struct place p, struct entry *entry)
{
    if (store->stats.n_families >= store->families_max) return false;
    if (store->pages.len == 0 && !add_page(store, 0)) return false;
    if (store->pages.ptr[p.page]->n == PAGE_ENTRIES && !split_page(store, &p)) return false;
    struct page *page = store->pages.ptr[p.page];
    memmove(page->entry + p.at + 1, page->entry + p.at, (page->n - p.at) * sizeof(entry));
    page->entry[p.at] = entry;
    page->n++;
    store->stats.n_families++;
    return true;
}

/* ---- putting ---------------------------------------------------------------------- */

static enum metadata_verdict put(struct metadata_store *store, const struct metric_meta *meta)
{
    if (meta->family.len == 0 || meta->family.len > META_TEXT_MAX) return METADATA_REFUSED;
    struct place p = find(store, meta->family);
    struct entry **old = p.there ? &store->pages.ptr[p.page]->entry[p.at] : NULL;
    if (old && same(&(*old)->meta, meta)) return METADATA_SAME;
    struct entry *entry = make_entry(store, meta);
    if (!entry) return METADATA_REFUSED;
    if (old) {
        free_entry(store, *old);
        *old = entry;
    } else if (!insert(store, p, entry)) {
        free_entry(store, entry);
        return METADATA_REFUSED;
    }
    store->version++;
    return METADATA_CHANGED;
}

enum metadata_verdict metadata_store_put(struct metadata_store *store,
                                         const struct metric_meta *meta)
{
    struct metric_meta cut = metadata_cut(meta);
    mutex_lock(&store->lock);
    enum metadata_verdict verdict = put(store, &cut);
    store->stats.n_changed += verdict == METADATA_CHANGED;
    store->stats.n_refused += verdict == METADATA_REFUSED;
    mutex_unlock(&store->lock);
    return verdict;
}

/* ---- reading ---------------------------------------------------------------------- */

bool metadata_store_has(struct metadata_store *store, const struct metric_meta *meta)
{
    struct metric_meta cut = metadata_cut(meta);
    mutex_lock(&store->lock);
    struct place p = find(store, cut.family);
    bool has = p.there && same(&store->pages.ptr[p.page]->entry[p.at]->meta, &cut);
    mutex_unlock(&store->lock);
    return has;
}

void metadata_store_get(struct metadata_store *store, struct slice family,
                        void (*each)(void *ctx, const struct metric_meta *meta), void *ctx)
{
    mutex_lock(&store->lock);
    struct place p = find(store, family);
    if (p.there) each(ctx, &store->pages.ptr[p.page]->entry[p.at]->meta);
    mutex_unlock(&store->lock);
}

/* The families of the page behind the walk's last one. */
static status walk_page(struct metadata_store *store, struct metadata_walk *walk, bool *more,
                        status (*each)(void *ctx, const struct metric_meta *meta), void *ctx)
{
    struct place p = find(store, slice_of(walk->family, walk->len));
    *more = false;
    if (store->pages.len == 0) return ST_OK;
    if (p.there) p.at++;
    if (p.at == store->pages.ptr[p.page]->n) {
        p.page++;
        p.at = 0;
    }
    if (p.page == store->pages.len) return ST_OK;
    const struct page *page = store->pages.ptr[p.page];
    for (; p.at < page->n; p.at++) TRY(each(ctx, &page->entry[p.at]->meta));
    struct slice family = page->entry[page->n - 1]->meta.family;
    memcpy(walk->family, family.ptr, family.len);
    walk->len = family.len;
    *more = true;
    return ST_OK;
}

status metadata_store_walk(struct metadata_store *store, struct metadata_walk *walk,
                           status (*each)(void *ctx, const struct metric_meta *meta), void *ctx,
                           bool *more)
{
    mutex_lock(&store->lock);
    status st = walk_page(store, walk, more, each, ctx);
    mutex_unlock(&store->lock);
    return st;
}

uint64_t metadata_store_version(struct metadata_store *store)
{
    mutex_lock(&store->lock);
    uint64_t version = store->version;
    mutex_unlock(&store->lock);
    return version;
}

void metadata_store_stats(struct metadata_store *store, struct metadata_stats *out)
{
    mutex_lock(&store->lock);
    *out = store->stats;
    mutex_unlock(&store->lock);
}

void metadata_store_begin_stats(struct metadata_store *store)
{
    mutex_lock(&store->lock);
    store->stats.n_changed = store->stats.n_refused = 0;
    mutex_unlock(&store->lock);
}
