/* Files of the operating system, all below one directory.
 *
 * Every path is resolved by openat2() beneath the root and without symbolic links, so
 * that nobody who can write into the data directory can make us write elsewhere. Where
 * the kernel lacks the call (before 5.6) or a sandbox forbids it, the path is walked
 * part by part with O_NOFOLLOW, which promises the same for our clean paths. Calls
 * that take a name (rename, link, unlink, mkdir) work on the parent's descriptor and
 * the last part.
 *
 * A failed fdatasync() means that the kernel may have dropped dirty pages and called
 * them clean: a second call would succeed over lost data. So the file is remembered,
 * in its handle and, by inode and birth time, in the vfs, and never synced again.
 *
 * Not here: what is done about a failed sync (engine), the order of syncs (durable.c).
 */
#include "base/vfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/lock.h"
#include "base/mem.h"
#include "base/panic.h"
#include "base/vec.h"

enum {
    FILE_PERMS = 0640,
    DIR_PERMS = 0750,
    CALL_BYTES_MAX = 1 << 30, /* of one read or write call */
    ZERO_BYTES = 64 << 10,    /* written at a time by allocate */
    POISONED_MAX = 64,        /* files remembered; one more poisons all */
    RESOLVE_TRIES = 16,       /* openat2 asks to retry when somebody renames meanwhile */
};

/* A file for as long as it exists: inode numbers are reused, birth times are not. */
struct file_identity {
    uint64_t ino;
    int64_t born_s;
    uint32_t born_ns;
};

struct posix_vfs {
    struct vfs vfs;
    int root_fd;
    _Atomic bool no_openat2;
    _Atomic bool dirs_poisoned;
    struct mutex mutex; /* the rest */
    struct file_identity poisoned[POISONED_MAX];
    size_t n_poisoned; /* POISONED_MAX + 1: all are */
};

struct posix_file {
    struct vfs_file file;
    struct posix_vfs *vfs;
    int fd;
    bool poisoned;
    char path[];
};

static struct posix_vfs *posix_of(struct vfs *vfs)
{
    return container_of(vfs, struct posix_vfs, vfs);
}

static struct posix_file *posix_file_of(struct vfs_file *file)
{
    return container_of(file, struct posix_file, file);
}

/* ---- errors ---- */

static status status_of_errno(int error)
{
    switch (error) {
    case ENOENT: return ST_NOT_FOUND;
    case EEXIST:
    case ENOTEMPTY: return ST_EXISTS;
    case ENOSPC:
    case EDQUOT: return ST_NO_SPACE;
    case ENOMEM: return ST_NO_MEMORY;
    }
    return ST_IO;
}

static status fail(struct err *err, int error, const char *verb, const char *path)
{
    char text[128];
    return err_set(err, status_of_errno(error), "%s %s: %s", verb, path,
                   strerror_r(error, text, sizeof(text)));
}

static status fail_poisoned(struct err *err, const char *verb, const char *path)
{
    return err_set(err, ST_POISONED, "%s %s: an earlier sync failed", verb, path);
}

/* ---- resolving paths ---- */

/* Opens path part by part; -1 and errno on failure. */
static int open_by_walking(int root_fd, const char *path, int flags, mode_t perms)
{
    char part[VFS_PATH_MAX];
    int at = root_fd;

    for (;;) {
        size_t len = strcspn(path, "/");
        bool last = !path[len];
        memcpy(part, path, len);
        part[len] = 0;
        int fd = last ? openat(at, part, flags | O_NOFOLLOW, perms)
                      : openat(at, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int error = errno;
        if (at != root_fd) (void)close(at);
        errno = error;
        if (fd < 0 || last) return fd;
        at = fd;
        path += len + 1;
    }
}

static int open_beneath(struct posix_vfs *v, const char *path, int flags, mode_t perms)
{
    flags |= O_CLOEXEC;
    if (atomic_load_explicit(&v->no_openat2, memory_order_relaxed))
        return open_by_walking(v->root_fd, path, flags, perms);

    struct open_how how = {.flags = (uint64_t)flags,
                           .mode = flags & O_CREAT ? perms : 0,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
    for (int tries = 0;; tries++) {
        long fd = syscall(SYS_openat2, v->root_fd, path, &how, sizeof(how));
        if (fd >= 0) return (int)fd;
        if (errno == EINTR || (errno == EAGAIN && tries < RESOLVE_TRIES)) continue;
        if (errno != ENOSYS && errno != EPERM) return -1;
        break;
    }
    /* Missing, or forbidden by a sandbox that does not know it. EPERM may also be the
     * file's own; then walking says so again. */
    if (errno == ENOSYS) atomic_store_explicit(&v->no_openat2, true, memory_order_relaxed);
    return open_by_walking(v->root_fd, path, flags, perms);
}

/* The directory that holds path, and the last part of path. */
static int open_parent(struct posix_vfs *v, const char *path, const char **name)
{
    char parent[VFS_PATH_MAX];
    const char *slash = strrchr(path, '/');

    vfs_parent(parent, path);
    *name = slash ? slash + 1 : path;
    return open_beneath(v, parent, O_PATH | O_DIRECTORY, 0);
}

/* ---- poisoned files ---- */

static struct file_identity identity_of(int fd)
{
    struct statx sx;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &sx) != 0)
        return (struct file_identity){0};
    return (struct file_identity){
        .ino = sx.stx_ino, .born_s = sx.stx_btime.tv_sec, .born_ns = sx.stx_btime.tv_nsec};
}

static void remember_poisoned(struct posix_vfs *v, int fd)
{
    struct file_identity id = identity_of(fd);

    mutex_lock(&v->mutex);
    if (v->n_poisoned < POISONED_MAX)
        v->poisoned[v->n_poisoned++] = id;
    else
        v->n_poisoned = POISONED_MAX + 1;
    mutex_unlock(&v->mutex);
}

static bool is_poisoned(struct posix_vfs *v, int fd)
{
    bool found = false;

    mutex_lock(&v->mutex);
    if (v->n_poisoned > 0) {
        struct file_identity id = identity_of(fd);
        found = v->n_poisoned > POISONED_MAX;
        for (size_t i = 0; i < v->n_poisoned && !found; i++)
            found = v->poisoned[i].ino == id.ino && v->poisoned[i].born_s == id.born_s &&
                    v->poisoned[i].born_ns == id.born_ns;
    }
    mutex_unlock(&v->mutex);
    return found;
}

/* ---- files ---- */

static void file_close(struct vfs_file *file)
{
    struct posix_file *f = posix_file_of(file);
    /* Nothing depends on close: what must be durable was synced. */
    (void)close(f->fd);
    mem_free(f);
}

static bool is_past_end(uint64_t off, uint64_t len)
{
    uint64_t end;
    return __builtin_add_overflow(off, len, &end) || end > INT64_MAX;
}

static status file_read(struct vfs_file *file, uint64_t off, void *dst, size_t len,
                        struct err *err)
{
    struct posix_file *f = posix_file_of(file);
    uint8_t *at = dst;

    if (is_past_end(off, len)) return err_set(err, ST_INVALID, "read %s: range", f->path);
    while (len > 0) {
        ssize_t n = pread(f->fd, at, len < CALL_BYTES_MAX ? len : CALL_BYTES_MAX, (off_t)off);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail(err, errno, "read", f->path);
        if (n == 0)
            return err_set(err, ST_CORRUPT, "read %s: the file ends at %llu, %zu bytes early",
                           f->path, (unsigned long long)off, len);
        at += n;
        off += (uint64_t)n;
        len -= (size_t)n;
    }
    return ST_OK;
}

static status file_write(struct vfs_file *file, uint64_t off, const void *src, size_t len,
                         struct err *err)
{
    struct posix_file *f = posix_file_of(file);
    const uint8_t *at = src;

    if (f->poisoned) return fail_poisoned(err, "write", f->path);
    if (is_past_end(off, len)) return err_set(err, ST_INVALID, "write %s: range", f->path);
    while (len > 0) {
        ssize_t n = pwrite(f->fd, at, len < CALL_BYTES_MAX ? len : CALL_BYTES_MAX, (off_t)off);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return fail(err, n < 0 ? errno : EIO, "write", f->path);
        at += n;
        off += (uint64_t)n;
        len -= (size_t)n;
    }
    return ST_OK;
}

static status file_sync(struct vfs_file *file, struct err *err)
{
    struct posix_file *f = posix_file_of(file);
    int rc;

    if (f->poisoned) return fail_poisoned(err, "sync", f->path);
    do rc = fdatasync(f->fd);
    while (rc != 0 && errno == EINTR);
    if (rc == 0) return ST_OK;

    int error = errno;
    f->poisoned = true;
    remember_poisoned(f->vfs, f->fd);
    return fail(err, error, "sync", f->path);
}

static status file_truncate(struct vfs_file *file, uint64_t len, struct err *err)
{
    struct posix_file *f = posix_file_of(file);
    int rc;

    if (f->poisoned) return fail_poisoned(err, "truncate", f->path);
    if (is_past_end(len, 0)) return err_set(err, ST_INVALID, "truncate %s: length", f->path);
    do rc = ftruncate(f->fd, (off_t)len);
    while (rc != 0 && errno == EINTR);
    return rc == 0 ? ST_OK : fail(err, errno, "truncate", f->path);
}

/* Space first, in one piece where the file system can; then real zeros, because blocks
 * that are only reserved need a metadata change at their first write, which is what
 * the log wants to be rid of (1,640 against 530 syncs a second, measured on ext4). */
static status file_allocate(struct vfs_file *file, uint64_t off, uint64_t len, struct err *err)
{
    struct posix_file *f = posix_file_of(file);
    static const uint8_t zeros[ZERO_BYTES];
    int rc;

    if (f->poisoned) return fail_poisoned(err, "allocate", f->path);
    if (is_past_end(off, len)) return err_set(err, ST_INVALID, "allocate %s: range", f->path);
    if (len == 0) return ST_OK;
    do rc = fallocate(f->fd, 0, (off_t)off, (off_t)len);
    while (rc != 0 && errno == EINTR);
    if (rc != 0 && errno != EOPNOTSUPP && errno != ENOSYS)
        return fail(err, errno, "allocate", f->path);

    for (uint64_t n; len > 0; off += n, len -= n) {
        n = len < ZERO_BYTES ? len : ZERO_BYTES;
        TRY(file_write(file, off, zeros, (size_t)n, err));
    }
    return ST_OK;
}

static status file_len(struct vfs_file *file, uint64_t *out, struct err *err)
{
    struct posix_file *f = posix_file_of(file);
    struct stat sb;

    if (fstat(f->fd, &sb) != 0) return fail(err, errno, "stat", f->path);
    *out = (uint64_t)sb.st_size;
    return ST_OK;
}

static void unmap_pages(struct vfs_map *map)
{
    int rc = munmap((void *)(uintptr_t)map->ptr, (size_t)(uintptr_t)map->priv);
    ASSERT(rc == 0);
}

/* Maps len bytes and VFS_MAP_SLACK behind them. When the last page has no room for
 * the slack, a page of zeros follows: the whole range is reserved as anonymous memory
 * and the file laid over its beginning. */
static status file_map(struct vfs_file *file, struct vfs_map *out, struct err *err)
{
    struct posix_file *f = posix_file_of(file);
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint64_t len;

    TRY(file_len(file, &len, err));
    if (len == 0) {
        *out = (struct vfs_map){0};
        return ST_OK;
    }
    if (len > SIZE_MAX / 2) return err_set(err, ST_TOO_LARGE, "map %s", f->path);

    size_t total = round_up((size_t)len + VFS_MAP_SLACK, page);
    void *at = mmap(NULL, total, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) return fail(err, errno, "map", f->path);
    if (mmap(at, (size_t)len, PROT_READ, MAP_SHARED | MAP_FIXED, f->fd, 0) == MAP_FAILED) {
        int error = errno;
        (void)munmap(at, total);
        return fail(err, error, "map", f->path);
    }
    *out = (struct vfs_map){.ptr = at, .len = (size_t)len,
                            .priv = (void *)(uintptr_t)total, .unmap = unmap_pages};
    return ST_OK;
}

/* An open-file-description lock: it belongs to this handle, not to the process, so a
 * second open of the same directory in one process is refused too. */
static status file_lock(struct vfs_file *file, struct err *err)
{
    struct posix_file *f = posix_file_of(file);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int rc;

    do rc = fcntl(f->fd, F_OFD_SETLK, &lock);
    while (rc != 0 && errno == EINTR);
    if (rc == 0) return ST_OK;
    if (errno == EAGAIN || errno == EACCES)
        return err_set(err, ST_LOCKED, "lock %s: held by another process", f->path);
    return fail(err, errno, "lock", f->path);
}

static const struct vfs_file_ops posix_file_ops = {
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

/* ---- the tree ---- */

static int flags_of_mode(enum vfs_mode mode)
{
    switch (mode) {
    case VFS_READ: return O_RDONLY;
    case VFS_WRITE: return O_RDWR;
    case VFS_CREATE: return O_RDWR | O_CREAT | O_EXCL;
    case VFS_TRUNCATE: return O_RDWR | O_CREAT | O_TRUNC;
    }
    PANIC("vfs mode %d", (int)mode);
}

static status posix_open(struct vfs *vfs, struct vfs_file **out, const char *path,
                         enum vfs_mode mode, struct err *err)
{
    struct posix_vfs *v = posix_of(vfs);
    struct stat sb;

    /* O_NONBLOCK: a fifo that somebody put there must not hold us. */
    int fd = open_beneath(v, path, flags_of_mode(mode) | O_NONBLOCK | O_NOCTTY, FILE_PERMS);
    if (fd < 0) return fail(err, errno, "open", path);

    int error = fstat(fd, &sb) == 0 ? 0 : errno;
    if (error == 0 && !S_ISREG(sb.st_mode)) error = S_ISDIR(sb.st_mode) ? EISDIR : EINVAL;
    if (error != 0) {
        (void)close(fd);
        return fail(err, error, "open", path);
    }
    size_t path_len = strlen(path);
    struct posix_file *f = mem_alloc(sizeof(*f) + path_len + 1);
    *f = (struct posix_file){.file = {&posix_file_ops}, .vfs = v, .fd = fd};
    f->poisoned = mode != VFS_READ && is_poisoned(v, fd);
    memcpy(f->path, path, path_len + 1);
    *out = &f->file;
    return ST_OK;
}

/* Rename and link: two parents, two names. */
static status with_two_names(struct posix_vfs *v, const char *from, const char *to,
                             const char *verb, bool linking, struct err *err)
{
    const char *from_name, *to_name;
    int from_fd = open_parent(v, from, &from_name);
    if (from_fd < 0) return fail(err, errno, verb, from);

    status st = ST_OK;
    int to_fd = open_parent(v, to, &to_name);
    if (to_fd < 0) {
        st = fail(err, errno, verb, to);
    } else {
        int rc = linking ? linkat(from_fd, from_name, to_fd, to_name, 0)
                         : renameat(from_fd, from_name, to_fd, to_name);
        if (rc != 0) st = fail(err, errno, verb, from);
        (void)close(to_fd);
    }
    (void)close(from_fd);
    return st == ST_OK ? ST_OK : err_wrap(err, st, "to %s", to);
}

static status posix_rename(struct vfs *vfs, const char *from, const char *to, struct err *err)
{
    return with_two_names(posix_of(vfs), from, to, "rename", false, err);
}

static status posix_link(struct vfs *vfs, const char *from, const char *to, struct err *err)
{
    return with_two_names(posix_of(vfs), from, to, "link", true, err);
}

static status posix_remove(struct vfs *vfs, const char *path, struct err *err)
{
    const char *name;
    int fd = open_parent(posix_of(vfs), path, &name);
    if (fd < 0) return fail(err, errno, "remove", path);

    int error = 0;
    if (unlinkat(fd, name, 0) != 0) {
        error = errno;
        if (error == EISDIR) error = unlinkat(fd, name, AT_REMOVEDIR) == 0 ? 0 : errno;
    }
    (void)close(fd);
    return error == 0 ? ST_OK : fail(err, error, "remove", path);
}

static status posix_mkdir(struct vfs *vfs, const char *path, struct err *err)
{
    const char *name;
    int fd = open_parent(posix_of(vfs), path, &name);
    if (fd < 0) return fail(err, errno, "mkdir", path);

    int error = mkdirat(fd, name, DIR_PERMS) == 0 ? 0 : errno;
    (void)close(fd);
    return error == 0 ? ST_OK : fail(err, error, "mkdir", path);
}

static status posix_sync_dir(struct vfs *vfs, const char *path, struct err *err)
{
    struct posix_vfs *v = posix_of(vfs);
    int rc;

    if (atomic_load(&v->dirs_poisoned)) return fail_poisoned(err, "sync directory", path);
    int fd = open_beneath(v, path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0) return fail(err, errno, "sync directory", path);

    do rc = fsync(fd);
    while (rc != 0 && errno == EINTR);
    int error = rc == 0 ? 0 : errno;
    (void)close(fd);
    /* EINVAL: a file system that keeps names durable by itself or not at all. */
    if (error == 0 || error == EINVAL) return ST_OK;
    atomic_store(&v->dirs_poisoned, true);
    return fail(err, error, "sync directory", path);
}

/* ---- listing ---- */

struct names {
    VEC(char *) names; /* owned */
};

static void names_release(struct names *names)
{
    for (size_t i = 0; i < names->names.len; i++) mem_free(names->names.ptr[i]);
    vec_release(&names->names);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static status gather_names(struct names *names, DIR *dir, const char *path, struct err *err)
{
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (!entry) break;
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) continue;

        size_t len = strlen(name) + 1;
        char *copy = mem_try(len);
        if (!copy || !vec_push(&names->names, copy)) {
            mem_free(copy);
            return err_set(err, ST_NO_MEMORY, "list %s: no memory", path);
        }
        memcpy(copy, name, len);
    }
    if (errno != 0) return fail(err, errno, "list", path);
    if (names->names.len > 0)
        qsort(names->names.ptr, names->names.len, sizeof(char *), compare_names);
    return ST_OK;
}

static status posix_list(struct vfs *vfs, const char *path,
                         status (*each)(void *ctx, const struct vfs_entry *entry), void *ctx,
                         struct err *err)
{
    struct names names = {0};
    struct stat sb;
    int fd = open_beneath(posix_of(vfs), path, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0) return fail(err, errno, "list", path);
    DIR *dir = fdopendir(fd);
    if (!dir) {
        int error = errno;
        (void)close(fd);
        return fail(err, error, "list", path);
    }

    status st = gather_names(&names, dir, path, err);
    for (size_t i = 0; i < names.names.len && st == ST_OK; i++) {
        const char *name = names.names.ptr[i];
        if (fstatat(fd, name, &sb, AT_SYMLINK_NOFOLLOW) != 0) {
            if (errno != ENOENT) st = fail(err, errno, "list", path);
            continue; /* gone since */
        }
        struct vfs_entry entry = {.name = slice_str(name),
                                  .is_dir = S_ISDIR(sb.st_mode),
                                  .len = S_ISREG(sb.st_mode) ? (uint64_t)sb.st_size : 0};
        st = each(ctx, &entry);
    }
    names_release(&names);
    (void)closedir(dir);
    return st;
}

static status posix_space(struct vfs *vfs, struct vfs_space *out, struct err *err)
{
    struct statvfs sv;
    if (fstatvfs(posix_of(vfs)->root_fd, &sv) != 0) return fail(err, errno, "statvfs", ".");

    out->free_bytes = (uint64_t)sv.f_bavail * sv.f_frsize;
    out->total_bytes = (uint64_t)sv.f_blocks * sv.f_frsize;
    return ST_OK;
}

static void posix_free(struct vfs *vfs)
{
    struct posix_vfs *v = posix_of(vfs);
    (void)close(v->root_fd);
    mutex_release(&v->mutex);
    mem_free(v);
}

static const struct vfs_ops posix_ops = {
    .open = posix_open,
    .rename = posix_rename,
    .link = posix_link,
    .remove = posix_remove,
    .mkdir = posix_mkdir,
    .sync_dir = posix_sync_dir,
    .list = posix_list,
    .space = posix_space,
    .free = posix_free,
};

status vfs_posix_open(struct vfs **out, const char *root, struct err *err)
{
    int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return fail(err, errno, "open", root);

    struct posix_vfs *v = mem_zalloc(sizeof(*v));
    v->vfs.ops = &posix_ops;
    v->root_fd = fd;
    mutex_init(&v->mutex, LOCK_VFS);
    *out = &v->vfs;
    return ST_OK;
}
