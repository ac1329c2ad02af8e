/* The lock of a data directory. See dirlock.h. The lock is the file system's and dies
 * with the process; the pid inside is only for people, so a stale or half-written one
 * does no harm. */
#include "storage/dirlock.h"

#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "storage/layout.h"

struct dirlock {
    struct vfs_file *file;
};

/* The pid that the holder wrote, 0 when there is none to be read. */
static unsigned long long read_holder(struct vfs *vfs)
{
    uint8_t *text;
    size_t len;
    unsigned long long pid = 0;

    if (vfs_read_file(vfs, LAYOUT_LOCK, 64, &text, &len, NULL) != ST_OK) return 0;
    for (size_t i = 0; i < len && text[i] >= '0' && text[i] <= '9' && pid < 1u << 30; i++) {
        pid = pid * 10 + (unsigned)(text[i] - '0');
    }
    mem_free(text);
    return pid;
}

static status open_file(struct vfs_file **out, struct vfs *vfs, struct err *err)
{
    status st = vfs_open(vfs, out, LAYOUT_LOCK, VFS_WRITE, err);
    if (st != ST_NOT_FOUND) return st;
    st = vfs_open(vfs, out, LAYOUT_LOCK, VFS_CREATE, err);
    if (st != ST_EXISTS) return st; /* else somebody was quicker: then it is theirs to lock */
    return vfs_open(vfs, out, LAYOUT_LOCK, VFS_WRITE, err);
}

static status refuse(struct vfs *vfs, struct err *err)
{
    unsigned long long pid = read_holder(vfs);
    if (pid == 0) return err_set(err, ST_LOCKED, "the data directory is in use");
    return err_set(err, ST_LOCKED, "the data directory is in use by process %llu", pid);
}

status dirlock_look(struct dirlock **out, struct vfs *vfs, struct err *err)
{
    struct vfs_file *file;

    *out = NULL;
    /* A lock needs a file open for writing; nothing is written. */
    status st = vfs_open(vfs, &file, LAYOUT_LOCK, VFS_WRITE, err);
    if (st == ST_NOT_FOUND) return ST_OK;
    if (st != ST_OK) return st;
    st = vfs_lock(file, err);
    if (st != ST_OK) {
        vfs_close(file);
        return st == ST_LOCKED ? refuse(vfs, err) : st;
    }
    struct dirlock *lock = mem_alloc(sizeof(*lock));
    *lock = (struct dirlock){.file = file};
    *out = lock;
    return ST_OK;
}

status dirlock_open(struct dirlock **out, struct vfs *vfs, struct err *err)
{
    struct vfs_file *file;
    char text[32];

    TRY(open_file(&file, vfs, err));
    status st = vfs_lock(file, err);
    if (st == ST_LOCKED) {
        vfs_close(file);
        return refuse(vfs, err);
    }
    if (st != ST_OK) goto fail;

    int len = snprintf(text, sizeof(text), "%lld\n", (long long)getpid());
    st = vfs_truncate(file, 0, err);
    if (st != ST_OK) goto fail;
    st = vfs_write(file, 0, text, (size_t)len, err);
    if (st != ST_OK) goto fail;

    struct dirlock *lock = mem_alloc(sizeof(*lock));
    *lock = (struct dirlock){.file = file};
    *out = lock;
    return ST_OK;

fail:
    vfs_close(file);
    return err_wrap(err, st, "lock of the data directory");
}

void dirlock_close(struct dirlock *lock)
{
    if (!lock) return;
    vfs_close(lock->file);
    mem_free(lock);
}
