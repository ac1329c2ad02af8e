/* Metadata of metric families. See metadata_store.h. Entries are kept sorted by family;
 * there are few inserts after the first minute, and they are cold. */
#include "api/metadata_store.h"

#include <string.h>

#include "base/lock.h"
#include "base/mem.h"
#include "base/vec.h"

/* One block: the struct, then family, help and unit. */
struct entry {
    struct metric_meta meta;
    char text[];
};

struct metadata_store {
    struct mutex lock;
    VEC(struct entry *) entries; /* ascending family */
    uint64_t n_dropped;
};

struct metadata_store *metadata_store_new(void)
{
    struct metadata_store *store = mem_try_zero(sizeof(*store));
    if (store) mutex_init(&store->lock, LOCK_CACHE);
    return store;
}

void metadata_store_free(struct metadata_store *store)
{
    if (!store) return;
    for (size_t i = 0; i < store->entries.len; i++) mem_free(store->entries.ptr[i]);
    vec_release(&store->entries);
    mutex_release(&store->lock);
    mem_free(store);
}

static struct slice put_text(char **at, struct slice from)
{
    struct slice to = slice_of(*at, from.len);
    if (from.len) memcpy(*at, from.ptr, from.len);
    *at += from.len;
    return to;
}

static struct entry *make_entry(const struct metric_meta *meta)
{
    struct metric_meta cut = *meta;
    if (cut.help.len > METADATA_TEXT_MAX) cut.help.len = METADATA_TEXT_MAX;
    if (cut.unit.len > METADATA_TEXT_MAX) cut.unit.len = METADATA_TEXT_MAX;
    struct entry *entry =
        mem_try(sizeof(*entry) + cut.family.len + cut.help.len + cut.unit.len);
    if (!entry) return NULL;
    char *at = entry->text;
    entry->meta = cut;
    entry->meta.family = put_text(&at, cut.family);
    entry->meta.help = put_text(&at, cut.help);
    entry->meta.unit = put_text(&at, cut.unit);
    return entry;
}

/* The place of a family, and whether it is there. */
static size_t find(const struct metadata_store *store, struct slice family, bool *there)
{
    size_t low = 0, high = store->entries.len;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (slice_cmp(store->entries.ptr[mid]->meta.family, family) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *there = low < store->entries.len && slice_eq(store->entries.ptr[low]->meta.family, family);
    return low;
}

static bool same(const struct metric_meta *a, const struct metric_meta *b)
{
    return a->type == b->type && slice_eq(a->help, b->help) && slice_eq(a->unit, b->unit);
}

static bool insert(struct metadata_store *store, size_t at, struct entry *entry)
{
    if (store->entries.len >= METADATA_FAMILIES_MAX || !vec_reserve(&store->entries, 1))
        return false;
    memmove(store->entries.ptr + at + 1, store->entries.ptr + at,
            (store->entries.len - at) * sizeof(entry));
    store->entries.ptr[at] = entry;
    store->entries.len++;
    return true;
}

void metadata_store_put(struct metadata_store *store, const struct metric_meta *meta)
{
    bool there;
    if (meta->family.len == 0 || meta->family.len > METADATA_TEXT_MAX) return;
    mutex_lock(&store->lock);
    size_t at = find(store, meta->family, &there);
    if (!there || !same(&store->entries.ptr[at]->meta, meta)) {
        struct entry *entry = make_entry(meta);
        if (entry && there) {
            mem_free(store->entries.ptr[at]);
            store->entries.ptr[at] = entry;
        } else if (!entry || !insert(store, at, entry)) {
            mem_free(entry);
            store->n_dropped++;
        }
    }
    mutex_unlock(&store->lock);
}

void metadata_store_each(struct metadata_store *store,
                         void (*each)(void *ctx, const struct metric_meta *meta), void *ctx)
{
    mutex_lock(&store->lock);
    for (size_t i = 0; i < store->entries.len; i++) each(ctx, &store->entries.ptr[i]->meta);
    mutex_unlock(&store->lock);
}
