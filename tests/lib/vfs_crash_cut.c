/* What is left after power loss. See vfs_crash.h for the variants.
 *
 * A cut starts from every node's durable content, applies those pending changes (or
 * parts of them) that the variant lets arrive, in their order, and copies what is then
 * reachable from the root into a new disk.
 */
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/panic.h"
#include "base/rng.h"
#include "tests/lib/vfs_crash_priv.h"

const char *vfs_crash_variant_name(enum vfs_crash_variant variant)
{
    static const char *const names[] = {
        [VFS_CRASH_DROP_ALL] = "drop-all",         [VFS_CRASH_KEEP_ALL] = "keep-all",
        [VFS_CRASH_PREFIX] = "prefix",             [VFS_CRASH_PER_FILE] = "per-file",
        [VFS_CRASH_BLOCKS] = "blocks",             [VFS_CRASH_ZEROS] = "zeros",
        [VFS_CRASH_STALE] = "stale",               [VFS_CRASH_RENAME_FIRST] = "rename-first",
        [VFS_CRASH_NO_DIRSYNC] = "no-dirsync",     [VFS_CRASH_UNLINK_FIRST] = "unlink-first",
    };
    _Static_assert(ARRAY_LEN(names) == VFS_CRASH_VARIANTS, "a new variant needs a name");
    return names[variant];
}

struct cut {
    struct vfs_crash *disk;
    enum vfs_crash_variant variant;
    struct rng rng;
    uint64_t prefix; /* of all changes, by seq */
    uint64_t torn;   /* seq of the write that is torn */
};

static struct crash_change *change_of(struct list *at)
{
    return container_of(at, struct crash_change, link);
}

/* Draws a cut through the pending changes for every node: between two changes that
 * belong to it, each equally likely. */
static void draw_prefixes(struct cut *cut)
{
    list_each(at, &cut->disk->nodes) {
        struct crash_node *node = container_of(at, struct crash_node, link);
        uint64_t n = 0;
        list_each(p, &cut->disk->pending) {
            const struct crash_change *change = change_of(p);
            n += (crash_is_data(change) ? change->node : change->dir) == node;
        }
        uint64_t keep = rng_below(&cut->rng, n + 1);
        node->prefix = 0;
        list_each(p, &cut->disk->pending) {
            const struct crash_change *change = change_of(p);
            if ((crash_is_data(change) ? change->node : change->dir) != node) continue;
            if (keep-- == 0) break;
            node->prefix = change->seq + 1;
        }
    }
}

/* Applies any subset of a write's sectors; of a torn write one sector only in part. */
static void apply_sectors(struct cut *cut, const struct crash_change *change)
{
    struct crash_content *to = &change->node->cut;
    uint64_t end = change->off + change->len;
    size_t n_sectors = (size_t)((end - 1) / CRASH_SECTOR - change->off / CRASH_SECTOR) + 1;
    size_t torn = change->seq == cut->torn ? rng_below(&cut->rng, n_sectors) : n_sectors;

    for (size_t i = 0; i < n_sectors; i++) {
        uint64_t from = i == 0 ? change->off : (change->off / CRASH_SECTOR + i) * CRASH_SECTOR;
        uint64_t to_off = (from / CRASH_SECTOR + 1) * CRASH_SECTOR;
        size_t len = (size_t)((to_off < end ? to_off : end) - from);
        bool lucky = rng_next(&cut->rng) & 1;
        if (i == torn)
            len = (size_t)rng_below(&cut->rng, len + 1);
        else if (!lucky)
            continue;
        const uint8_t *src = change->bytes ? change->bytes + (from - change->off) : NULL;
        crash_content_put(to, from, src, len);
    }
}

/* Whether the change arrives whole; BLOCKS' writes are dealt with apart. */
static bool arrives(struct cut *cut, const struct crash_change *change)
{
    bool data = crash_is_data(change);

    switch (cut->variant) {
    case VFS_CRASH_DROP_ALL: return false;
    case VFS_CRASH_KEEP_ALL: return true;
    case VFS_CRASH_PREFIX: return change->seq < cut->prefix;
    case VFS_CRASH_PER_FILE: return change->seq < (data ? change->node : change->dir)->prefix;
    case VFS_CRASH_BLOCKS:
        return data ? rng_next(&cut->rng) & 1 : change->seq < change->dir->prefix;
    case VFS_CRASH_ZEROS:
    case VFS_CRASH_STALE:
    case VFS_CRASH_RENAME_FIRST: return !data;
    case VFS_CRASH_NO_DIRSYNC: return data;
    case VFS_CRASH_UNLINK_FIRST: return data || change->kind == CHANGE_REMOVE;
    case VFS_CRASH_VARIANTS: break;
    }
    PANIC("crash variant %d", (int)cut->variant);
}

/* ZEROS and STALE: the length arrived, the new blocks did not. What the file was cut to
 * meanwhile counts as new. */
static void apply_lengths(struct cut *cut, struct crash_node *node)
{
    size_t kept = node->durable.len, now = node->now.len;
    bool pending = false;

    list_each(at, &cut->disk->pending) {
        const struct crash_change *change = change_of(at);
        if (!crash_is_data(change) || change->node != node) continue;
        pending = true;
        if (change->kind == CHANGE_LEN && change->off < kept) kept = (size_t)change->off;
    }
    if (!pending) return;
    if (kept > now) kept = now;
    crash_content_set_len(&node->cut, kept);
    crash_content_set_len(&node->cut, now);
    if (cut->variant != VFS_CRASH_STALE) return;
    for (size_t i = kept; i < now; i++) node->cut.bytes[i] = (uint8_t)rng_next(&cut->rng);
}

static void draw(struct cut *cut, uint64_t seed)
{
    struct vfs_crash *disk = cut->disk;

    rng_init(&cut->rng, seed);
    uint64_t keep = rng_below(&cut->rng, disk->n_pending + 1);
    uint64_t torn = disk->n_pending ? rng_below(&cut->rng, disk->n_pending) : 0;
    cut->prefix = 0;
    cut->torn = UINT64_MAX;
    uint64_t idx = 0;
    list_each(at, &disk->pending) {
        if (idx < keep) cut->prefix = change_of(at)->seq + 1;
        /* The torn write is the first one from a random place on. */
        if (idx >= torn && cut->torn == UINT64_MAX && change_of(at)->kind == CHANGE_WRITE)
            cut->torn = change_of(at)->seq;
        idx++;
    }
    draw_prefixes(cut);
}

static void apply_all(struct cut *cut)
{
    list_each(at, &cut->disk->pending) {
        const struct crash_change *change = change_of(at);
        if (cut->variant == VFS_CRASH_BLOCKS && change->kind == CHANGE_WRITE)
            apply_sectors(cut, change);
        else if (arrives(cut, change))
            crash_apply(change, crash_content_cut);
    }
    if (cut->variant != VFS_CRASH_ZEROS && cut->variant != VFS_CRASH_STALE) return;
    list_each(at, &cut->disk->nodes)
        apply_lengths(cut, container_of(at, struct crash_node, link));
}

/* Copies what the root reaches. Files keep their hard links; a directory is entered
 * once, so an impossible tree (half of two renames) cannot be endless. The new disk's
 * node list is the list of work: it grows while it is walked. */
static void copy_reachable(struct vfs_crash *to, struct vfs_crash *from)
{
    list_each(at, &from->nodes) container_of(at, struct crash_node, link)->copy = NULL;
    from->root->copy = to->root;
    to->root->copy = from->root; /* and back, while copying */

    list_each(at, &to->nodes) {
        struct crash_node *node = container_of(at, struct crash_node, link);
        const struct crash_content *cut = &node->copy->cut;
        crash_content_put(&node->now, 0, cut->bytes, cut->len);
        for (size_t i = 0; i < cut->n_entries; i++) {
            struct crash_node *child = cut->entries[i].node;
            if (child->copy && child->is_dir) continue;
            if (!child->copy) {
                child->copy = crash_node_new(to, child->is_dir);
                child->copy->copy = child;
            }
            crash_entry_set(&node->now, slice_str(cut->entries[i].name), child->copy);
        }
        crash_content_copy(&node->durable, &node->now);
    }
}

struct vfs_crash *vfs_crash_cut(struct vfs_crash *disk, enum vfs_crash_variant variant,
                                uint64_t seed)
{
    struct cut cut = {.disk = disk, .variant = variant};
    struct vfs_crash *after = vfs_crash_new();

    mutex_lock(&disk->mutex);
    draw(&cut, seed);
    list_each(at, &disk->nodes) {
        struct crash_node *node = container_of(at, struct crash_node, link);
        crash_content_copy(&node->cut, &node->durable);
    }
    apply_all(&cut);
    copy_reachable(after, disk);
    list_each(at, &disk->nodes)
        crash_content_release(&container_of(at, struct crash_node, link)->cut);
    mutex_unlock(&disk->mutex);
    return after;
}

/* ---- rot ---- */

struct found {
    struct crash_node *node, *dir;
    char path[VFS_PATH_MAX];
};

struct search {
    const char *glob;
    struct found *found; /* files and directories; owned */
    size_t n, cap;
};

static void add_found(struct search *search, const char *parent, const char *name,
                      struct crash_node *node, struct crash_node *dir)
{
    if (search->n == search->cap) {
        search->cap = search->cap ? search->cap * 2 : 64;
        search->found = realloc(search->found, search->cap * sizeof(*search->found));
        ASSERT(search->found);
    }
    struct found *to = &search->found[search->n++];
    *to = (struct found){.node = node, .dir = dir};
    int n = snprintf(to->path, sizeof(to->path), "%s%s%s", parent, *parent ? "/" : "", name);
    ASSERT(n > 0 && (size_t)n < sizeof(to->path)); /* it was made through vfs.c */
}

/* Every path of the tree, breadth first. */
static void find_all(struct search *search, struct crash_node *root)
{
    struct crash_node *dir = root;
    char parent[VFS_PATH_MAX] = "";

    for (size_t next = 0;; next++) {
        for (size_t i = 0; i < dir->now.n_entries; i++)
            add_found(search, parent, dir->now.entries[i].name, dir->now.entries[i].node, dir);
        while (next < search->n && !search->found[next].node->is_dir) next++;
        if (next >= search->n) return;
        dir = search->found[next].node;
        memcpy(parent, search->found[next].path, sizeof(parent));
    }
}

/* Keeps the non-empty files that match. */
static void keep_victims(struct search *search)
{
    size_t n = 0;
    for (size_t i = 0; i < search->n; i++) {
        const struct found *f = &search->found[i];
        if (f->node->is_dir || f->node->now.len == 0) continue;
        if (search->glob && fnmatch(search->glob, f->path, 0) != 0) continue;
        if (n != i) search->found[n] = *f;
        n++;
    }
    search->n = n;
}

static void flip_bits(struct crash_content *content, struct rng *rng)
{
    for (uint64_t n = 1 + rng_below(rng, 8); n > 0; n--)
        content->bytes[rng_below(rng, content->len)] ^= (uint8_t)(1u << rng_below(rng, 8));
}

static void swap_sectors(struct crash_content *content, struct rng *rng)
{
    uint8_t kept[CRASH_SECTOR];
    size_t n = content->len / CRASH_SECTOR;
    size_t a = (size_t)rng_below(rng, n), b = (a + 1 + (size_t)rng_below(rng, n - 1)) % n;
    uint8_t *pa = content->bytes + a * CRASH_SECTOR, *pb = content->bytes + b * CRASH_SECTOR;

    memcpy(kept, pa, CRASH_SECTOR);
    memcpy(pa, pb, CRASH_SECTOR);
    memcpy(pb, kept, CRASH_SECTOR);
}

static const char *damage(struct found *f, struct rng *rng)
{
    struct crash_content *now = &f->node->now;

    switch (rng_below(rng, 5)) {
    case 1: {
        uint64_t off = rng_below(rng, now->len) / CRASH_SECTOR * CRASH_SECTOR;
        size_t len = now->len - off < CRASH_SECTOR ? (size_t)(now->len - off) : CRASH_SECTOR;
        memset(now->bytes + off, 0, len);
        return "sector";
    }
    case 2:
        if (now->len < 2 * CRASH_SECTOR) break;
        swap_sectors(now, rng);
        return "swap";
    case 3: crash_content_set_len(now, (size_t)rng_below(rng, now->len)); return "cut";
    case 4: {
        const char *slash = strrchr(f->path, '/');
        struct slice name = slice_str(slash ? slash + 1 : f->path);
        crash_entry_remove(&f->dir->now, name);
        crash_entry_remove(&f->dir->durable, name);
        return "lost";
    }
    }
    flip_bits(now, rng);
    return "bits";
}

const char *vfs_crash_rot(struct vfs_crash *disk, const char *glob, uint64_t seed, char *path)
{
    struct search search = {.glob = glob};
    const char *what = NULL;
    struct rng rng;

    rng_init(&rng, seed);
    mutex_lock(&disk->mutex);
    find_all(&search, disk->root);
    keep_victims(&search);
    if (search.n > 0) {
        struct found *f = &search.found[rng_below(&rng, search.n)];
        what = damage(f, &rng);
        crash_content_release(&f->node->durable);
        crash_content_copy(&f->node->durable, &f->node->now);
        if (path) memcpy(path, f->path, VFS_PATH_MAX);
    }
    mutex_unlock(&disk->mutex);
    free(search.found);
    return what;
}
