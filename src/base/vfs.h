/* Port: files. Everything that touches a disk goes through here, so that a full
 * disk, a failing sync and a power cut are test cases: vfs_posix in programs,
 * vfs_mem in tests, wrapped by vfs_fault (the n-th call fails) or vfs_crash (loses,
 * keeps or tears what was not synced).
 *
 * Paths are relative to the vfs' root and use '/'; a path that is absolute, too long
 * or holds "..", "." or an empty part is ST_INVALID; only "." alone is fine and means
 * the root. Symbolic links are not followed. Errors: ST_NOT_FOUND, ST_EXISTS,
 * ST_NO_SPACE (disk, quota), ST_LOCKED, ST_NO_MEMORY, ST_POISONED (below), ST_IO for
 * the rest, each with path and system text in err. Short reads and writes and EINTR do
 * not come through: a call does all of it or fails. Any thread; one file's calls by
 * one thread at a time except read, len and map.
 */
#ifndef TSINK_BASE_VFS_H
#define TSINK_BASE_VFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

enum vfs_mode {
    VFS_READ = 0,       /* must exist */
    VFS_WRITE = 1,      /* must exist; read and write */
    VFS_CREATE = 2,     /* must not exist; read and write */
    VFS_TRUNCATE = 3,   /* made or emptied; read and write */
};

enum {
    VFS_PATH_MAX = 512,  /* bytes of a path with its NUL */
    VFS_MAP_SLACK = 64,  /* readable bytes behind every map, so that word-wise readers
                          * need no special last step; their content is unspecified */
};

struct vfs_entry {
    struct slice name;
    bool is_dir;
    uint64_t len; /* bytes; 0 for a directory */
};

/* A read-only view of a file. ptr[0 .. len + VFS_MAP_SLACK) is readable, also when
 * len ends at a page's end. Whether later writes to the file show is unspecified. */
struct vfs_map {
    const uint8_t *ptr; /* NULL when len is 0 */
    size_t len;
    void *priv;         /* of the implementation */
    void (*unmap)(struct vfs_map *map);
};

struct vfs_space {
    uint64_t free_bytes, total_bytes;
};

struct vfs;

/* An open file. Implementations embed it. */
struct vfs_file {
    const struct vfs_file_ops *ops;
};

struct vfs_file_ops {
    void (*close)(struct vfs_file *file);
    /* Reads exactly len bytes; ST_CORRUPT when the file ends before. */
    status (*read)(struct vfs_file *file, uint64_t off, void *dst, size_t len, struct err *err);
    status (*write)(struct vfs_file *file, uint64_t off, const void *src, size_t len,
                    struct err *err);
    /* Data and length are durable. After a failure the kernel may have dropped the
     * dirty pages, so this file is never synced again: ST_IO (or ST_NO_SPACE) once,
     * then ST_POISONED for every later sync, write, truncate and allocate of it. */
    status (*sync)(struct vfs_file *file, struct err *err);
    status (*truncate)(struct vfs_file *file, uint64_t len, struct err *err);
    /* Allocates and zeroes [off, off + len), so that writing there needs no new
     * metadata. */
    status (*allocate)(struct vfs_file *file, uint64_t off, uint64_t len, struct err *err);
    status (*len)(struct vfs_file *file, uint64_t *out, struct err *err);
    /* A read-only view of the whole file; stays valid after close. */
    status (*map)(struct vfs_file *file, struct vfs_map *out, struct err *err);
    /* An exclusive lock that dies with the process; ST_LOCKED when taken. */
    status (*lock)(struct vfs_file *file, struct err *err);
};

struct vfs {
    const struct vfs_ops *ops;
};

struct vfs_ops {
    status (*open)(struct vfs *vfs, struct vfs_file **out, const char *path, enum vfs_mode mode,
                   struct err *err);
    /* Replaces a file at `to`; ST_EXISTS when a directory there is not empty. */
    status (*rename)(struct vfs *vfs, const char *from, const char *to, struct err *err);
    status (*link)(struct vfs *vfs, const char *from, const char *to, struct err *err);
    /* A file or an empty directory; ST_EXISTS when it is not empty. */
    status (*remove)(struct vfs *vfs, const char *path, struct err *err);
    status (*mkdir)(struct vfs *vfs, const char *path, struct err *err); /* ST_EXISTS if there */
    /* The names in the directory are durable. After a failure: ST_POISONED, for every
     * directory of this vfs. */
    status (*sync_dir)(struct vfs *vfs, const char *path, struct err *err);
    /* Calls each for every entry in name order until it fails. The names were gathered
     * before: each may change the directory. */
    status (*list)(struct vfs *vfs, const char *path,
                   status (*each)(void *ctx, const struct vfs_entry *entry), void *ctx,
                   struct err *err);
    status (*space)(struct vfs *vfs, struct vfs_space *out, struct err *err);
    void (*free)(struct vfs *vfs);
};

/* The file system below root, which must be a directory. */
CHECKED status vfs_posix_open(struct vfs **out, const char *root, struct err *err);

/* An empty file system in memory. */
struct vfs *vfs_mem_new(void);
void vfs_free(struct vfs *vfs);

/* Thin calls. close and unmap accept what init left: NULL, zeroed. */
CHECKED status vfs_open(struct vfs *vfs, struct vfs_file **out, const char *path,
                        enum vfs_mode mode, struct err *err);
void vfs_close(struct vfs_file *file);
CHECKED status vfs_read(struct vfs_file *file, uint64_t off, void *dst, size_t len,
                        struct err *err);
CHECKED status vfs_write(struct vfs_file *file, uint64_t off, const void *src, size_t len,
                         struct err *err);
CHECKED status vfs_sync(struct vfs_file *file, struct err *err);
CHECKED status vfs_truncate(struct vfs_file *file, uint64_t len, struct err *err);
CHECKED status vfs_allocate(struct vfs_file *file, uint64_t off, uint64_t len, struct err *err);
CHECKED status vfs_len(struct vfs_file *file, uint64_t *out, struct err *err);
CHECKED status vfs_map(struct vfs_file *file, struct vfs_map *out, struct err *err);
void vfs_unmap(struct vfs_map *map);
CHECKED status vfs_lock(struct vfs_file *file, struct err *err);
CHECKED status vfs_rename(struct vfs *vfs, const char *from, const char *to, struct err *err);
CHECKED status vfs_link(struct vfs *vfs, const char *from, const char *to, struct err *err);
CHECKED status vfs_remove(struct vfs *vfs, const char *path, struct err *err);
CHECKED status vfs_mkdir(struct vfs *vfs, const char *path, struct err *err);
CHECKED status vfs_sync_dir(struct vfs *vfs, const char *path, struct err *err);
CHECKED status vfs_list(struct vfs *vfs, const char *path,
                        status (*each)(void *ctx, const struct vfs_entry *entry), void *ctx,
                        struct err *err);
CHECKED status vfs_space(struct vfs *vfs, struct vfs_space *out, struct err *err);

/* Compositions. */

/* Makes the directory and those above it, and makes their names durable, also of those
 * that were there: an earlier process may have died between the two. */
CHECKED status vfs_mkdir_all(struct vfs *vfs, const char *path, struct err *err);

/* Removes a file, or a directory with what it holds (at most 32 deep: ST_LIMIT). What
 * is not there is ST_OK. Syncs nothing. */
CHECKED status vfs_remove_tree(struct vfs *vfs, const char *path, struct err *err);

/* For staging names, which the next start sweeps anyway: failures are dropped. */
void vfs_remove_best_effort(struct vfs *vfs, const char *path);

/* The whole file, owned by the caller (mem_free), with a NUL behind it that out_len
 * does not count. ST_TOO_LARGE above len_max, ST_NO_MEMORY. */
CHECKED status vfs_read_file(struct vfs *vfs, const char *path, size_t len_max,
                             uint8_t **out, size_t *out_len, struct err *err);

/* Whether a file or directory is there and can be opened. */
bool vfs_exists(struct vfs *vfs, const char *path);
CHECKED status vfs_path_check(const char *path, struct err *err);

/* The directory part of a path that passed the check, "." for none. */
void vfs_parent(char dst[VFS_PATH_MAX], const char *path);

#endif
