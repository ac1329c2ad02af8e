/* Files in memory: a tree of nodes behind one lock. Everything is durable at once; it
 * is what vfs_fault and the model of the disk are compared with.
 *
 * A node lives while a directory entry or an open file refers to it. Entries are
 * sorted by name. A map is a copy, so it stays valid whatever happens to the file.
 */
#include "base/vfs.h"

#include <stdio.h>
#include <string.h>

#include "base/lock.h"
#include "base/mem.h"
#include "base/panic.h"
#include "base/vec.h"

enum { TOTAL_BYTES_MAX = 1 << 30 }; /* of one file system; more is a full disk */

struct mem_node;

struct mem_entry {
    char *name; /* owned */
    struct mem_node *node;
};

struct mem_node {
    size_t refs; /* entries and open files */
    bool is_dir;
    VEC(struct mem_entry) entries;
    uint8_t *bytes; /* owned */
    size_t len, cap;
    struct mem_file *locked_by;
};

struct mem_vfs {
    struct vfs vfs;
    struct mutex mutex; /* everything below and in the nodes */
    struct mem_node *root;
    uint64_t n_bytes; /* capacity of all files */
};

struct mem_file {
    struct vfs_file file;
    struct mem_vfs *vfs;
    struct mem_node *node;
    bool writable;
    char path[VFS_PATH_MAX];
};

static struct mem_vfs *mem_of(struct vfs *vfs)
{
    return container_of(vfs, struct mem_vfs, vfs);
}

static struct mem_file *mem_file_of(struct vfs_file *file)
{
    return container_of(file, struct mem_file, file);
}

/* ---- nodes ---- */

static struct mem_node *node_new(bool is_dir)
{
    struct mem_node *node = mem_zalloc(sizeof(*node));
    node->refs = 1;
    node->is_dir = is_dir;
    return node;
}

/* A directory is empty when its last entry goes, except when the whole tree is freed,
 * which empties it first; so this never goes deeper than one level. */
static void node_unref(struct mem_vfs *v, struct mem_node *node)
{
    if (--node->refs > 0) return;
    ASSERT(node->entries.len == 0);
    vec_release(&node->entries);
    v->n_bytes -= node->cap;
    mem_free(node->bytes);
    mem_free(node);
}

/* The position of name among the entries, or where it belongs. */
static size_t find_entry(const struct mem_node *dir, struct slice name, bool *found)
{
    size_t low = 0, high = dir->entries.len;
    while (low < high) {
        size_t mid = (low + high) / 2;
        int order = slice_cmp(slice_str(dir->entries.ptr[mid].name), name);
        if (order == 0) {
            *found = true;
            return mid;
        }
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *found = false;
    return low;
}

static struct mem_node *get_entry(const struct mem_node *dir, struct slice name)
{
    bool found;
    size_t idx = find_entry(dir, name, &found);
    return found ? dir->entries.ptr[idx].node : NULL;
}

/* Adds an entry, which holds a reference of its own. The name must be new. */
static bool add_entry(struct mem_node *dir, struct slice name, struct mem_node *node)
{
    bool found;
    size_t idx = find_entry(dir, name, &found);
    ASSERT(!found);

    char *copy = mem_try(name.len + 1);
    if (!copy || !vec_reserve(&dir->entries, 1)) {
        mem_free(copy);
        return false;
    }
    memcpy(copy, name.ptr, name.len);
    copy[name.len] = 0;
    struct mem_entry *at = dir->entries.ptr + idx;
    memmove(at + 1, at, (dir->entries.len - idx) * sizeof(*at));
    *at = (struct mem_entry){.name = copy, .node = node};
    dir->entries.len++;
    node->refs++;
    return true;
}

static void drop_entry(struct mem_vfs *v, struct mem_node *dir, struct slice name)
{
    bool found;
    size_t idx = find_entry(dir, name, &found);
    ASSERT(found);

    struct mem_entry *at = dir->entries.ptr + idx;
    struct mem_node *node = at->node;
    mem_free(at->name);
    dir->entries.len--;
    memmove(at, at + 1, (dir->entries.len - idx) * sizeof(*at));
    node_unref(v, node);
}

/* Lets an existing name mean another node. */
static void replace_entry(struct mem_vfs *v, struct mem_node *dir, struct slice name,
                          struct mem_node *node)
{
    bool found;
    size_t idx = find_entry(dir, name, &found);
    ASSERT(found);

    struct mem_node *before = dir->entries.ptr[idx].node;
    dir->entries.ptr[idx].node = node;
    node->refs++;
    node_unref(v, before);
}

/* The node at path, or NULL. */
static struct mem_node *find_node(struct mem_vfs *v, const char *path)
{
    struct mem_node *at = v->root;
    if (path[0] == '.' && !path[1]) return at;

    for (const char *part = path; at;) {
        size_t len = strcspn(part, "/");
        at = at->is_dir ? get_entry(at, slice_of(part, len)) : NULL;
        if (!part[len]) break;
        part += len + 1;
    }
    return at;
}

/* The directory that holds path (NULL when it is missing) and the last name. */
static struct mem_node *find_parent(struct mem_vfs *v, const char *path, struct slice *name)
{
    char parent[VFS_PATH_MAX];
    const char *slash = strrchr(path, '/');

    vfs_parent(parent, path);
    *name = slice_str(slash ? slash + 1 : path);
    struct mem_node *dir = find_node(v, parent);
    return dir && dir->is_dir ? dir : NULL;
}

static bool is_root(const char *path)
{
    return path[0] == '.' && !path[1];
}

static status fail_missing(struct err *err, const char *verb, const char *path)
{
    return err_set(err, ST_NOT_FOUND, "%s %s: no such file or directory", verb, path);
}

static status fail_memory(struct err *err, const char *verb, const char *path)
{
    return err_set(err, ST_NO_MEMORY, "%s %s: no memory", verb, path);
}

/* ---- files ---- */

static status set_len(struct mem_file *f, uint64_t len, const char *verb, struct err *err)
{
    struct mem_node *node = f->node;

    if (len > node->cap) {
        size_t cap = node->cap < 64 ? 64 : node->cap;
        while (cap < len && cap <= TOTAL_BYTES_MAX) cap *= 2;
        if (cap - node->cap > TOTAL_BYTES_MAX - f->vfs->n_bytes)
            return err_set(err, ST_NO_SPACE, "%s %s: no space left", verb, f->path);
        uint8_t *bytes = mem_try_grow(node->bytes, cap);
        if (!bytes) return fail_memory(err, verb, f->path);
        f->vfs->n_bytes += cap - node->cap;
        node->bytes = bytes;
        node->cap = cap;
    }
    if (len > node->len) memset(node->bytes + node->len, 0, (size_t)len - node->len);
    node->len = (size_t)len;
    return ST_OK;
}

static void file_close(struct vfs_file *file)
{
    struct mem_file *f = mem_file_of(file);
    struct mem_vfs *v = f->vfs;

    mutex_lock(&v->mutex);
    if (f->node->locked_by == f) f->node->locked_by = NULL;
    node_unref(v, f->node);
    mutex_unlock(&v->mutex);
    mem_free(f);
}

static status file_read(struct vfs_file *file, uint64_t off, void *dst, size_t len,
                        struct err *err)
{
    struct mem_file *f = mem_file_of(file);
    status st = ST_OK;

    mutex_lock(&f->vfs->mutex);
    const struct mem_node *node = f->node;
    if (off > node->len || len > node->len - off)
        st = err_set(err, ST_CORRUPT, "read %s: the file ends at %zu", f->path, node->len);
    else if (len > 0)
        memcpy(dst, node->bytes + off, len);
    mutex_unlock(&f->vfs->mutex);
    return st;
}

/* Writes src, or zeros when src is NULL. */
static status put_bytes(struct mem_file *f, uint64_t off, const void *src, uint64_t len,
                        const char *verb, struct err *err)
{
    uint64_t end;
    status st = ST_OK;

    if (!f->writable) return err_set(err, ST_IO, "%s %s: opened for reading", verb, f->path);
    if (__builtin_add_overflow(off, len, &end) || end > INT64_MAX)
        return err_set(err, ST_INVALID, "%s %s: range", verb, f->path);
    if (len == 0) return ST_OK;

    mutex_lock(&f->vfs->mutex);
    if (end > f->node->len) st = set_len(f, end, verb, err);
    if (st == ST_OK && src) memcpy(f->node->bytes + off, src, (size_t)len);
    if (st == ST_OK && !src) memset(f->node->bytes + off, 0, (size_t)len);
    mutex_unlock(&f->vfs->mutex);
    return st;
}

static status file_write(struct vfs_file *file, uint64_t off, const void *src, size_t len,
                         struct err *err)
{
    return put_bytes(mem_file_of(file), off, src, len, "write", err);
}

static status file_allocate(struct vfs_file *file, uint64_t off, uint64_t len, struct err *err)
{
    return put_bytes(mem_file_of(file), off, NULL, len, "allocate", err);
}

static status file_sync(struct vfs_file *file, struct err *err)
{
    (void)file, (void)err;
    return ST_OK;
}

static status file_truncate(struct vfs_file *file, uint64_t len, struct err *err)
{
    struct mem_file *f = mem_file_of(file);

    if (!f->writable) return err_set(err, ST_IO, "truncate %s: opened for reading", f->path);
    mutex_lock(&f->vfs->mutex);
    status st = set_len(f, len, "truncate", err);
    mutex_unlock(&f->vfs->mutex);
    return st;
}

static status file_len(struct vfs_file *file, uint64_t *out, struct err *err)
{
    struct mem_file *f = mem_file_of(file);
    (void)err;

    mutex_lock(&f->vfs->mutex);
    *out = f->node->len;
    mutex_unlock(&f->vfs->mutex);
    return ST_OK;
}

static void unmap_copy(struct vfs_map *map)
{
    mem_free(map->priv);
}

static status file_map(struct vfs_file *file, struct vfs_map *out, struct err *err)
{
    struct mem_file *f = mem_file_of(file);
    struct vfs_map map = {0};
    status st = ST_OK;

    mutex_lock(&f->vfs->mutex);
    size_t len = f->node->len;
    if (len > 0) {
        uint8_t *copy = mem_try(len + VFS_MAP_SLACK);
        if (copy) {
            memcpy(copy, f->node->bytes, len);
            memset(copy + len, 0, VFS_MAP_SLACK);
            map = (struct vfs_map){.ptr = copy, .len = len, .priv = copy, .unmap = unmap_copy};
        } else {
            st = fail_memory(err, "map", f->path);
        }
    }
    mutex_unlock(&f->vfs->mutex);
    if (st == ST_OK) *out = map;
    return st;
}

static status file_lock(struct vfs_file *file, struct err *err)
{
    struct mem_file *f = mem_file_of(file);
    status st = ST_OK;

    mutex_lock(&f->vfs->mutex);
    if (f->node->locked_by && f->node->locked_by != f)
        st = err_set(err, ST_LOCKED, "lock %s: held by another process", f->path);
    else
        f->node->locked_by = f;
    mutex_unlock(&f->vfs->mutex);
    return st;
}

static const struct vfs_file_ops mem_file_ops = {
    .close = file_close,
    .read = file_read,
    .write = file_write,
    .sync = file_sync,
    .truncate = file_truncate,
    .allocate = file_allocate,
    .len = file_len,
    .map = file_map,
    .lock = file_lock,
};

/* ---- the tree; each of these holds the lock ---- */

static status open_node(struct mem_vfs *v, struct mem_node **out, const char *path,
                        enum vfs_mode mode, struct err *err)
{
    struct slice name;
    struct mem_node *dir = find_parent(v, path, &name);
    struct mem_node *node = is_root(path) ? v->root : dir ? get_entry(dir, name) : NULL;

    if (!dir) return fail_missing(err, "open", path);
    if (node && node->is_dir) return err_set(err, ST_IO, "open %s: is a directory", path);
    if (node && mode == VFS_CREATE) return err_set(err, ST_EXISTS, "open %s: exists", path);
    if (!node && (mode == VFS_READ || mode == VFS_WRITE)) return fail_missing(err, "open", path);

    if (!node) {
        node = node_new(false);
        bool added = add_entry(dir, name, node);
        node_unref(v, node); /* the entry has its own */
        if (!added) return fail_memory(err, "open", path);
    }
    if (mode == VFS_TRUNCATE) node->len = 0;
    *out = node;
    return ST_OK;
}

static status mem_open(struct vfs *vfs, struct vfs_file **out, const char *path,
                       enum vfs_mode mode, struct err *err)
{
    struct mem_vfs *v = mem_of(vfs);
    struct mem_node *node = NULL;

    mutex_lock(&v->mutex);
    status st = open_node(v, &node, path, mode, err);
    if (st == ST_OK) {
        struct mem_file *f = mem_zalloc(sizeof(*f));
        f->file.ops = &mem_file_ops;
        f->vfs = v;
        f->node = node;
        f->writable = mode != VFS_READ;
        (void)snprintf(f->path, sizeof(f->path), "%s", path);
        node->refs++;
        *out = &f->file;
    }
    mutex_unlock(&v->mutex);
    return st;
}

/* What may not be replaced by `node`: a directory by a file, a file by a directory, a
 * directory that is not empty. */
static status check_target(const struct mem_node *target, const struct mem_node *node,
                           const char *to, struct err *err)
{
    if (target->is_dir && target->entries.len > 0)
        return err_set(err, ST_EXISTS, "rename to %s: directory not empty", to);
    if (target->is_dir != node->is_dir)
        return err_set(err, ST_IO, "rename to %s: a file and a directory", to);
    return ST_OK;
}

static status rename_locked(struct mem_vfs *v, const char *from, const char *to,
                            struct err *err)
{
    struct slice from_name, to_name;
    struct mem_node *from_dir = find_parent(v, from, &from_name);
    struct mem_node *to_dir = find_parent(v, to, &to_name);
    struct mem_node *node = from_dir ? get_entry(from_dir, from_name) : NULL;

    if (!node) return fail_missing(err, "rename", from);
    if (!to_dir) return fail_missing(err, "rename to", to);
    size_t from_len = strlen(from);
    if (node->is_dir && strncmp(from, to, from_len) == 0 && to[from_len] == '/')
        return err_set(err, ST_IO, "rename %s: into itself", from);

    struct mem_node *target = get_entry(to_dir, to_name);
    if (target == node) return ST_OK;
    if (target) {
        TRY(check_target(target, node, to, err));
        replace_entry(v, to_dir, to_name, node);
    } else if (!add_entry(to_dir, to_name, node)) {
        return fail_memory(err, "rename to", to);
    }
    drop_entry(v, from_dir, from_name);
    return ST_OK;
}

static status mem_rename(struct vfs *vfs, const char *from, const char *to, struct err *err)
{
    struct mem_vfs *v = mem_of(vfs);
    if (is_root(from) || is_root(to)) return err_set(err, ST_IO, "rename %s: the root", from);

    mutex_lock(&v->mutex);
    status st = rename_locked(v, from, to, err);
    mutex_unlock(&v->mutex);
    return st;
}

static status link_locked(struct mem_vfs *v, const char *from, const char *to, struct err *err)
{
    struct slice to_name;
    struct mem_node *node = find_node(v, from);
    struct mem_node *to_dir = find_parent(v, to, &to_name);

    if (!node) return fail_missing(err, "link", from);
    if (!to_dir) return fail_missing(err, "link to", to);
    if (node->is_dir) return err_set(err, ST_IO, "link %s: is a directory", from);
    if (get_entry(to_dir, to_name)) return err_set(err, ST_EXISTS, "link to %s: exists", to);
    return add_entry(to_dir, to_name, node) ? ST_OK : fail_memory(err, "link to", to);
}

static status mem_link(struct vfs *vfs, const char *from, const char *to, struct err *err)
{
    struct mem_vfs *v = mem_of(vfs);
    if (is_root(to)) return err_set(err, ST_EXISTS, "link to %s: exists", to);

    mutex_lock(&v->mutex);
    status st = link_locked(v, from, to, err);
    mutex_unlock(&v->mutex);
    return st;
}

static status remove_locked(struct mem_vfs *v, const char *path, struct err *err)
{
    struct slice name;
    struct mem_node *dir = find_parent(v, path, &name);
    struct mem_node *node = dir ? get_entry(dir, name) : NULL;

    if (!node) return fail_missing(err, "remove", path);
    if (node->entries.len > 0)
        return err_set(err, ST_EXISTS, "remove %s: directory not empty", path);
    drop_entry(v, dir, name);
    return ST_OK;
}

static status mem_remove(struct vfs *vfs, const char *path, struct err *err)
{
    struct mem_vfs *v = mem_of(vfs);
    if (is_root(path)) return err_set(err, ST_IO, "remove %s: the root", path);

    mutex_lock(&v->mutex);
    status st = remove_locked(v, path, err);
    mutex_unlock(&v->mutex);
    return st;
}

static status mkdir_locked(struct mem_vfs *v, const char *path, struct err *err)
{
    struct slice name;
    struct mem_node *dir = find_parent(v, path, &name);

    if (!dir) return fail_missing(err, "mkdir", path);
    if (is_root(path) || get_entry(dir, name))
        return err_set(err, ST_EXISTS, "mkdir %s: exists", path);

    struct mem_node *node = node_new(true);
    bool added = add_entry(dir, name, node);
    node_unref(v, node);
    return added ? ST_OK : fail_memory(err, "mkdir", path);
}

static status mem_mkdir(struct vfs *vfs, const char *path, struct err *err)
{
    struct mem_vfs *v = mem_of(vfs);

    mutex_lock(&v->mutex);
    status st = mkdir_locked(v, path, err);
    mutex_unlock(&v->mutex);
    return st;
}

static status check_dir(const struct mem_node *node, const char *verb, const char *path,
                        struct err *err)
{
    if (!node) return fail_missing(err, verb, path);
    if (!node->is_dir) return err_set(err, ST_IO, "%s %s: not a directory", verb, path);
    return ST_OK;
}

static status mem_sync_dir(struct vfs *vfs, const char *path, struct err *err)
{
    struct mem_vfs *v = mem_of(vfs);

    mutex_lock(&v->mutex);
    status st = check_dir(find_node(v, path), "sync directory", path, err);
    mutex_unlock(&v->mutex);
    return st;
}

/* ---- listing ---- */

struct listed {
    char *name; /* owned */
    bool is_dir;
    uint64_t len;
};

struct listing {
    VEC(struct listed) entries;
};

static void listing_release(struct listing *listing)
{
    for (size_t i = 0; i < listing->entries.len; i++) mem_free(listing->entries.ptr[i].name);
    vec_release(&listing->entries);
}

static status gather(struct listing *listing, const struct mem_node *dir, const char *path,
                     struct err *err)
{
    for (size_t i = 0; i < dir->entries.len; i++) {
        const struct mem_entry *entry = &dir->entries.ptr[i];
        size_t len = strlen(entry->name) + 1;
        char *copy = mem_try(len);
        if (!copy || !vec_push(&listing->entries, ((struct listed){
                                   copy, entry->node->is_dir, entry->node->len}))) {
            mem_free(copy);
            return fail_memory(err, "list", path);
        }
        memcpy(copy, entry->name, len);
    }
    return ST_OK;
}

static status mem_list(struct vfs *vfs, const char *path,
                       status (*each)(void *ctx, const struct vfs_entry *entry), void *ctx,
                       struct err *err)
{
    struct mem_vfs *v = mem_of(vfs);
    struct listing listing = {0};

    mutex_lock(&v->mutex);
    const struct mem_node *dir = find_node(v, path);
    status st = check_dir(dir, "list", path, err);
    if (st == ST_OK) st = gather(&listing, dir, path, err);
    mutex_unlock(&v->mutex);

    for (size_t i = 0; i < listing.entries.len && st == ST_OK; i++) {
        const struct listed *at = &listing.entries.ptr[i];
        struct vfs_entry entry = {slice_str(at->name), at->is_dir, at->len};
        st = each(ctx, &entry);
    }
    listing_release(&listing);
    return st;
}

static status mem_space(struct vfs *vfs, struct vfs_space *out, struct err *err)
{
    struct mem_vfs *v = mem_of(vfs);
    (void)err;

    mutex_lock(&v->mutex);
    out->total_bytes = TOTAL_BYTES_MAX;
    out->free_bytes = TOTAL_BYTES_MAX - v->n_bytes;
    mutex_unlock(&v->mutex);
    return ST_OK;
}

/* Takes the tree apart without recursion: the last entry of the deepest directory on
 * the way goes first. */
static void free_tree(struct mem_vfs *v)
{
    while (v->root->entries.len > 0) {
        struct mem_node *dir = v->root;
        for (;;) {
            struct mem_node *last = dir->entries.ptr[dir->entries.len - 1].node;
            if (last->entries.len == 0) break;
            dir = last;
        }
        drop_entry(v, dir, slice_str(dir->entries.ptr[dir->entries.len - 1].name));
    }
    node_unref(v, v->root);
}

static void mem_free_vfs(struct vfs *vfs)
{
    struct mem_vfs *v = mem_of(vfs);
    free_tree(v);
    mutex_release(&v->mutex);
    mem_free(v);
}

static const struct vfs_ops mem_ops = {
    .open = mem_open,
    .rename = mem_rename,
    .link = mem_link,
    .remove = mem_remove,
    .mkdir = mem_mkdir,
    .sync_dir = mem_sync_dir,
    .list = mem_list,
    .space = mem_space,
    .free = mem_free_vfs,
};

struct vfs *vfs_mem_new(void)
{
    struct mem_vfs *v = mem_zalloc(sizeof(*v));
    v->vfs.ops = &mem_ops;
    v->root = node_new(true);
    mutex_init(&v->mutex, LOCK_VFS);
    return &v->vfs;
}
