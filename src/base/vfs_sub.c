/* A vfs below a directory of another. See vfs_sub.h. Files are the inner vfs' own, so only
 * calls that take a path pass through here; vfs.c has checked that it stays below. */
#include "base/vfs_sub.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/panic.h"

struct sub {
    struct vfs vfs;
    struct vfs *inner;
    char dir[VFS_PATH_MAX];
};

static status inner_path(char dst[VFS_PATH_MAX], struct vfs *vfs, const char *path,
                         struct err *err)
{
    const struct sub *sub = container_of(vfs, struct sub, vfs);
    bool is_root = strcmp(path, ".") == 0;
    int n = snprintf(dst, VFS_PATH_MAX, "%s%s%s", sub->dir, is_root ? "" : "/",
                     is_root ? "" : path);
    if (n > 0 && n < VFS_PATH_MAX) return ST_OK;
    return err_set(err, ST_INVALID, "path is too long: %.64s...", path);
}

static struct vfs *inner_of(struct vfs *vfs)
{
    return container_of(vfs, struct sub, vfs)->inner;
}

static status sub_open(struct vfs *vfs, struct vfs_file **out, const char *path,
                       enum vfs_mode mode, struct err *err)
{
    char at[VFS_PATH_MAX];
    TRY(inner_path(at, vfs, path, err));
    return vfs_open(inner_of(vfs), out, at, mode, err);
}

static status sub_rename(struct vfs *vfs, const char *from, const char *to, struct err *err)
{
    char at[VFS_PATH_MAX], at_to[VFS_PATH_MAX];
    TRY(inner_path(at, vfs, from, err));
    TRY(inner_path(at_to, vfs, to, err));
    return vfs_rename(inner_of(vfs), at, at_to, err);
}

static status sub_link(struct vfs *vfs, const char *from, const char *to, struct err *err)
{
    char at[VFS_PATH_MAX], at_to[VFS_PATH_MAX];
    TRY(inner_path(at, vfs, from, err));
    TRY(inner_path(at_to, vfs, to, err));
    return vfs_link(inner_of(vfs), at, at_to, err);
}

static status sub_remove(struct vfs *vfs, const char *path, struct err *err)
{
    char at[VFS_PATH_MAX];
    TRY(inner_path(at, vfs, path, err));
    return vfs_remove(inner_of(vfs), at, err);
}

static status sub_mkdir(struct vfs *vfs, const char *path, struct err *err)
{
    char at[VFS_PATH_MAX];
    TRY(inner_path(at, vfs, path, err));
    return vfs_mkdir(inner_of(vfs), at, err);
}

static status sub_sync_dir(struct vfs *vfs, const char *path, struct err *err)
{
    char at[VFS_PATH_MAX];
    TRY(inner_path(at, vfs, path, err));
    return vfs_sync_dir(inner_of(vfs), at, err);
}

static status sub_list(struct vfs *vfs, const char *path,
                       status (*each)(void *ctx, const struct vfs_entry *entry), void *ctx,
                       struct err *err)
{
    char at[VFS_PATH_MAX];
    TRY(inner_path(at, vfs, path, err));
    return vfs_list(inner_of(vfs), at, each, ctx, err);
}

static status sub_space(struct vfs *vfs, struct vfs_space *out, struct err *err)
{
    return vfs_space(inner_of(vfs), out, err);
}

static void sub_free(struct vfs *vfs)
{
    mem_free(container_of(vfs, struct sub, vfs));
}

static const struct vfs_ops sub_ops = {
    .open = sub_open,
    .rename = sub_rename,
    .link = sub_link,
    .remove = sub_remove,
    .mkdir = sub_mkdir,
    .sync_dir = sub_sync_dir,
    .list = sub_list,
    .space = sub_space,
    .free = sub_free,
};

status vfs_sub_open(struct vfs **out, struct vfs *inner, const char *dir, struct err *err)
{
    TRY(vfs_path_check(dir, err));
    if (strcmp(dir, ".") == 0) return err_set(err, ST_INVALID, "the root is no part of itself");
    struct sub *sub = mem_alloc(sizeof(*sub));
    *sub = (struct sub){.vfs.ops = &sub_ops, .inner = inner};
    (void)snprintf(sub->dir, sizeof(sub->dir), "%s", dir);
    *out = &sub->vfs;
    return ST_OK;
}
