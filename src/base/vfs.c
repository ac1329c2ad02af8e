/* The files port: path rules, thin calls, and what can be composed from them. Every
 * path is checked here, so implementations see only clean ones. See vfs.h. */
#include "base/vfs.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { TREE_DEPTH_MAX = 32 }; /* our own layouts are at most 6 deep */

static bool is_bad_part(const char *part, size_t len)
{
    return len == 0 || (len == 1 && part[0] == '.') ||
           (len == 2 && part[0] == '.' && part[1] == '.');
}

status vfs_path_check(const char *path, struct err *err)
{
    size_t len = strnlen(path, VFS_PATH_MAX);
    if (len == VFS_PATH_MAX) return err_set(err, ST_INVALID, "path is too long: %.64s...", path);
    if (len == 1 && path[0] == '.') return ST_OK;

    for (const char *part = path;;) {
        size_t part_len = strcspn(part, "/");
        if (is_bad_part(part, part_len))
            return err_set(err, ST_INVALID, "not a clean relative path: \"%s\"", path);
        if (!part[part_len]) return ST_OK;
        part += part_len + 1;
    }
}

void vfs_parent(char dst[VFS_PATH_MAX], const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash)
        (void)snprintf(dst, VFS_PATH_MAX, "%.*s", (int)(slash - path), path);
    else
        (void)snprintf(dst, VFS_PATH_MAX, ".");
}

/* ---- thin calls ---- */

void vfs_free(struct vfs *vfs)
{
    if (vfs) vfs->ops->free(vfs);
}

status vfs_open(struct vfs *vfs, struct vfs_file **out, const char *path, enum vfs_mode mode,
                struct err *err)
{
    TRY(vfs_path_check(path, err));
    return vfs->ops->open(vfs, out, path, mode, err);
}

void vfs_close(struct vfs_file *file)
{
    if (file) file->ops->close(file);
}

status vfs_read(struct vfs_file *file, uint64_t off, void *dst, size_t len, struct err *err)
{
    return file->ops->read(file, off, dst, len, err);
}

status vfs_write(struct vfs_file *file, uint64_t off, const void *src, size_t len,
                 struct err *err)
{
    return file->ops->write(file, off, src, len, err);
}

status vfs_sync(struct vfs_file *file, struct err *err)
{
    return file->ops->sync(file, err);
}

status vfs_truncate(struct vfs_file *file, uint64_t len, struct err *err)
{
    return file->ops->truncate(file, len, err);
}

status vfs_allocate(struct vfs_file *file, uint64_t off, uint64_t len, struct err *err)
{
    return file->ops->allocate(file, off, len, err);
}

status vfs_len(struct vfs_file *file, uint64_t *out, struct err *err)
{
    return file->ops->len(file, out, err);
}

status vfs_map(struct vfs_file *file, struct vfs_map *out, struct err *err)
{
    return file->ops->map(file, out, err);
}

void vfs_unmap(struct vfs_map *map)
{
    if (map->unmap) map->unmap(map);
    *map = (struct vfs_map){0};
}

status vfs_lock(struct vfs_file *file, struct err *err)
{
    return file->ops->lock(file, err);
}

status vfs_rename(struct vfs *vfs, const char *from, const char *to, struct err *err)
{
    TRY(vfs_path_check(from, err));
    TRY(vfs_path_check(to, err));
    return vfs->ops->rename(vfs, from, to, err);
}

status vfs_link(struct vfs *vfs, const char *from, const char *to, struct err *err)
{
    TRY(vfs_path_check(from, err));
    TRY(vfs_path_check(to, err));
    return vfs->ops->link(vfs, from, to, err);
}

status vfs_remove(struct vfs *vfs, const char *path, struct err *err)
{
    TRY(vfs_path_check(path, err));
    return vfs->ops->remove(vfs, path, err);
}

status vfs_mkdir(struct vfs *vfs, const char *path, struct err *err)
{
    TRY(vfs_path_check(path, err));
    return vfs->ops->mkdir(vfs, path, err);
}

status vfs_sync_dir(struct vfs *vfs, const char *path, struct err *err)
{
    TRY(vfs_path_check(path, err));
    return vfs->ops->sync_dir(vfs, path, err);
}

status vfs_list(struct vfs *vfs, const char *path,
                status (*each)(void *ctx, const struct vfs_entry *entry), void *ctx,
                struct err *err)
{
    TRY(vfs_path_check(path, err));
    return vfs->ops->list(vfs, path, each, ctx, err);
}

status vfs_space(struct vfs *vfs, struct vfs_space *out, struct err *err)
{
    return vfs->ops->space(vfs, out, err);
}

/* ---- compositions ---- */

/* One directory and the durability of its name. */
static status make_dir(struct vfs *vfs, const char *path, struct err *err)
{
    char parent[VFS_PATH_MAX];
    struct err why;
    status st = vfs->ops->mkdir(vfs, path, &why);
    if (st != ST_OK && st != ST_EXISTS) {
        if (err) *err = why;
        return st;
    }
    vfs_parent(parent, path);
    return vfs->ops->sync_dir(vfs, parent, err);
}

status vfs_mkdir_all(struct vfs *vfs, const char *path, struct err *err)
{
    TRY(vfs_path_check(path, err));
    if (path[0] == '.' && !path[1]) return ST_OK;

    char part[VFS_PATH_MAX];
    for (size_t len = 0; path[len];) {
        len += strcspn(path + len + (len > 0), "/") + (len > 0);
        (void)snprintf(part, sizeof(part), "%.*s", (int)len, path);
        TRY(make_dir(vfs, part, err));
    }
    /* Fails when the last name belongs to a file. */
    return vfs->ops->sync_dir(vfs, path, err);
}

struct tree {
    struct vfs *vfs;
    struct err *err;
    char path[VFS_PATH_MAX];
    unsigned depth;
};

static status remove_at(struct tree *tree);

static status remove_entry(void *ctx, const struct vfs_entry *entry)
{
    struct tree *tree = ctx;
    size_t len = strlen(tree->path);
    int n = snprintf(tree->path + len, sizeof(tree->path) - len, "/" SLICE_FMT,
                     SLICE_ARG(entry->name));
    status st = n > 0 && (size_t)n < sizeof(tree->path) - len
                    ? remove_at(tree)
                    : err_set(tree->err, ST_LIMIT, "path is too long: %.64s...", tree->path);
    tree->path[len] = 0;
    return st;
}

/* The directory may be filled again behind us, so the removal after the listing has
 * its own verdict. Depth is bounded by TREE_DEPTH_MAX. */
static status remove_at(struct tree *tree)
{
    status st = tree->vfs->ops->remove(tree->vfs, tree->path, tree->err);
    if (st == ST_NOT_FOUND) return ST_OK;
    if (st != ST_EXISTS) return st;
    if (tree->depth == TREE_DEPTH_MAX)
        return err_set(tree->err, ST_LIMIT, "%s: deeper than %d", tree->path, TREE_DEPTH_MAX);

    tree->depth++;
    st = tree->vfs->ops->list(tree->vfs, tree->path, remove_entry, tree, tree->err);
    tree->depth--;
    if (st != ST_OK) return st;
    return tree->vfs->ops->remove(tree->vfs, tree->path, tree->err);
}

status vfs_remove_tree(struct vfs *vfs, const char *path, struct err *err)
{
    TRY(vfs_path_check(path, err));
    struct tree tree = {.vfs = vfs, .err = err};
    (void)snprintf(tree.path, sizeof(tree.path), "%s", path);
    return remove_at(&tree);
}

void vfs_remove_best_effort(struct vfs *vfs, const char *path)
{
    /* Dropped on purpose: the name says so, and start-up sweeps what is left. */
    status dropped = vfs_remove_tree(vfs, path, NULL);
    (void)dropped;
}

status vfs_read_file(struct vfs *vfs, const char *path, size_t len_max, uint8_t **out,
                     size_t *out_len, struct err *err)
{
    struct vfs_file *file = NULL;
    uint8_t *bytes = NULL;
    uint64_t len;
    status st = vfs_open(vfs, &file, path, VFS_READ, err);
    if (st != ST_OK) return st;

    st = vfs_len(file, &len, err);
    if (st != ST_OK) goto fail;
    if (len > len_max || len > SIZE_MAX - 1) {
        st = err_set(err, ST_TOO_LARGE, "%s: %llu bytes, at most %zu", path,
                     (unsigned long long)len, len_max);
        goto fail;
    }
    bytes = mem_try((size_t)len + 1);
    if (!bytes) {
        st = err_set(err, ST_NO_MEMORY, "%s: no memory for %llu bytes", path,
                     (unsigned long long)len);
        goto fail;
    }
    st = vfs_read(file, 0, bytes, (size_t)len, err);
    if (st != ST_OK) goto fail;

    bytes[len] = 0;
    vfs_close(file);
    *out = bytes;
    *out_len = (size_t)len;
    return ST_OK;

fail:
    mem_free(bytes);
    vfs_close(file);
    return st;
}

static status stop_listing(void *ctx, const struct vfs_entry *entry)
{
    (void)ctx, (void)entry;
    return ST_CANCELLED;
}

bool vfs_exists(struct vfs *vfs, const char *path)
{
    struct vfs_file *file;
    status st = vfs_open(vfs, &file, path, VFS_READ, NULL);
    if (st == ST_OK) vfs_close(file);
    if (st == ST_OK || st == ST_NOT_FOUND || st == ST_INVALID) return st == ST_OK;

    st = vfs_list(vfs, path, stop_listing, NULL, NULL); /* a directory? */
    return st == ST_OK || st == ST_CANCELLED;
}
