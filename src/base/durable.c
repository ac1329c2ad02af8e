/* Publish: staging, sync, rename, sync of the directory, in this order and nowhere
 * else. See durable.h. A failure before the rename removes the staging file; a failure
 * after it leaves the new name, whose durability is then unknown: the caller has the
 * status and must not acknowledge. */
#include "base/durable.h"

#include <stdio.h>

#include "base/sync_point.h"

static status write_staging(struct vfs *vfs, const char *staging, const void *src, size_t len,
                            struct err *err)
{
    struct vfs_file *file;
    TRY(vfs_open(vfs, &file, staging, VFS_TRUNCATE, err));

    status st = vfs_write(file, 0, src, len, err);
    SYNC_POINT("durable:written");
    if (st == ST_OK) st = vfs_sync(file, err);
    vfs_close(file);
    return st;
}

status durable_replace(struct vfs *vfs, const char *path, const void *src, size_t len,
                       struct err *err)
{
    char staging[VFS_PATH_MAX], parent[VFS_PATH_MAX];
    TRY(vfs_path_check(path, err));
    int n = snprintf(staging, sizeof(staging), "%s.tmp", path);
    if (n < 0 || (size_t)n >= sizeof(staging))
        return err_set(err, ST_INVALID, "path is too long: %.64s...", path);

    status st = write_staging(vfs, staging, src, len, err);
    SYNC_POINT("durable:synced");
    if (st == ST_OK) st = vfs_rename(vfs, staging, path, err);
    if (st != ST_OK) {
        vfs_remove_best_effort(vfs, staging);
        return err_wrap(err, st, "replace %s", path);
    }
    SYNC_POINT("durable:renamed");
    vfs_parent(parent, path);
    st = vfs_sync_dir(vfs, parent, err);
    return st == ST_OK ? ST_OK : err_wrap(err, st, "replace %s", path);
}

status durable_rename_file(struct vfs *vfs, const char *staging, const char *path,
                           struct err *err)
{
    char parent[VFS_PATH_MAX];
    TRY(vfs_path_check(path, err));
    vfs_parent(parent, path);

    status st = vfs_rename(vfs, staging, path, err);
    SYNC_POINT("durable:renamed");
    if (st == ST_OK) st = vfs_sync_dir(vfs, parent, err);
    return st == ST_OK ? ST_OK : err_wrap(err, st, "publish %s", path);
}

status durable_rename_dir(struct vfs *vfs, const char *staging, const char *path,
                          struct err *err)
{
    char from[VFS_PATH_MAX], to[VFS_PATH_MAX];
    TRY(vfs_path_check(staging, err));
    TRY(vfs_path_check(path, err));
    vfs_parent(from, staging);
    vfs_parent(to, path);

    status st = vfs_sync_dir(vfs, staging, err);
    SYNC_POINT("durable:dir-synced");
    if (st == ST_OK) st = vfs_rename(vfs, staging, path, err);
    SYNC_POINT("durable:dir-renamed");
    /* The new name first: if power goes between the two, both names or the new one. */
    if (st == ST_OK) st = vfs_sync_dir(vfs, to, err);
    if (st == ST_OK && !slice_eq(slice_str(from), slice_str(to)))
        st = vfs_sync_dir(vfs, from, err);
    return st == ST_OK ? ST_OK : err_wrap(err, st, "publish %s", path);
}
