/* The files of a snapshot. See linkset.h.
 *
 * Walks over a tree use a list of directories still to be read instead of recursion, and
 * stop at LINKSET_DEPTH_MAX. CRCs are made of pieces of the file, so no file is held in
 * memory. What a link cannot do (another file system, one without links, too many of
 * them) a copy can: any ST_IO of a link is tried again as a copy, which has its own
 * verdict about a disk that is really broken.
 */
#include "storage/linkset.h"

#include <stdlib.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "base/vec.h"

enum { PIECE = 256 << 10 };

void linkset_init(struct linkset *set)
{
    *set = (struct linkset){0};
    arena_init(&set->arena, NULL, 64 << 10);
}

void linkset_release(struct linkset *set)
{
    arena_release(&set->arena);
    mem_free(set->files);
    *set = (struct linkset){0};
}

static int by_path(const void *a, const void *b)
{
    const struct linkset_file *x = a, *y = b;
    return strcmp(x->path, y->path);
}

const struct linkset_file *linkset_find(const struct linkset *set, const char *path)
{
    struct linkset_file key = {.path = path};
    return set->n ? bsearch(&key, set->files, set->n, sizeof(key), by_path) : NULL;
}

/* ---- one file ---- */

static status watch_step(const struct linkset_watch *watch, uint64_t bytes, struct err *err)
{
    if (!watch) return ST_OK;
    if (watch->progress) watch->progress(watch->ctx, bytes);
    if (watch->cancelled && atomic_load_explicit(watch->cancelled, memory_order_relaxed)) {
        return err_set(err, ST_CANCELLED, "cancelled");
    }
    return ST_OK;
}

/* Reads src to its end; writes what it reads to dst unless that is NULL. */
static status read_through(struct vfs_file *src, struct vfs_file *dst, uint64_t *len,
                           uint32_t *crc, const struct linkset_watch *watch, struct err *err)
{
    uint8_t *buf = mem_try(PIECE);
    if (!buf) return err_set(err, ST_NO_MEMORY, "reading files");

    *crc = 0;
    status st = vfs_len(src, len, err);
    for (uint64_t off = 0; st == ST_OK && off < *len;) {
        size_t n = *len - off < PIECE ? (size_t)(*len - off) : PIECE;
        st = vfs_read(src, off, buf, n, err);
        if (st == ST_OK && dst) st = vfs_write(dst, off, buf, n, err);
        if (st == ST_OK) st = watch_step(watch, n, err);
        *crc = crc32c(*crc, buf, n);
        off += n;
    }
    mem_free(buf);
    return st;
}

static status file_crc(struct vfs *vfs, const char *path, uint64_t *len, uint32_t *crc,
                       const struct linkset_watch *watch, struct err *err)
{
    struct vfs_file *file;

    TRY(vfs_open(vfs, &file, path, VFS_READ, err));
    status st = read_through(file, NULL, len, crc, watch, err);
    vfs_close(file);
    return st;
}

static status copy_file(struct vfs *vfs, const char *from, const char *to,
                        const struct linkset_watch *watch, struct err *err)
{
    struct vfs_file *src = NULL, *dst = NULL;
    uint64_t len;
    uint32_t crc;

    status st = vfs_open(vfs, &src, from, VFS_READ, err);
    if (st == ST_OK) st = vfs_open(vfs, &dst, to, VFS_CREATE, err);
    if (st == ST_OK) st = read_through(src, dst, &len, &crc, watch, err);
    if (st == ST_OK) st = vfs_sync(dst, err);
    vfs_close(src);
    vfs_close(dst);
    return st == ST_OK ? ST_OK : err_wrap(err, st, "copy %s", from);
}

/* The directories of a path, not synced: linkset_sync_dirs() comes once for all. */
static status make_dirs_of(struct vfs *vfs, const char *path, struct err *err)
{
    char dir[VFS_PATH_MAX];
    struct err why;

    for (const char *at = strchr(path, '/'); at; at = strchr(at + 1, '/')) {
        size_t len = (size_t)(at - path);
        memcpy(dir, path, len);
        dir[len] = '\0';
        status st = vfs_mkdir(vfs, dir, &why);
        if (st != ST_OK && st != ST_EXISTS) return err_set(err, st, "%s", why.text);
    }
    return ST_OK;
}

status linkset_place(struct vfs *vfs, const char *from, const char *to, bool link, bool *copied,
                     const struct linkset_watch *watch, struct err *err)
{
    struct err why = {.st = ST_OK};

    if (copied) *copied = !link;
    TRY(vfs_path_check(to, err));
    TRY(make_dirs_of(vfs, to, err));
    if (!link) return copy_file(vfs, from, to, watch, err);
    status st = vfs_link(vfs, from, to, &why);
    if (st == ST_OK) return watch_step(watch, 0, err);
    if (st != ST_IO) return err_set(err, st, "%s", err_text(&why, st));
    if (copied) *copied = true;
    return copy_file(vfs, from, to, watch, err);
}

/* ---- trees ---- */

/* A walk over all files of a vfs. */
struct tree_walk {
    struct vfs *vfs;
    struct arena *arena;              /* of the paths */
    VEC(const char *) dirs;           /* still to be read */
    const char *dir;                  /* being read */
    size_t n_files;
    status (*file)(struct tree_walk *walk, const char *path);
    status (*leave)(struct tree_walk *walk, const char *dir); /* may be NULL */
    void *ctx;
    struct err *err;
};

/* What no list of a database's files has in it. */
static bool is_apart(const char *path)
{
    return strcmp(path, LAYOUT_SNAPSHOT) == 0 || strcmp(path, LAYOUT_LOCK) == 0 ||
           strcmp(path, LAYOUT_QUARANTINE_DIR) == 0 || strcmp(path, LAYOUT_RESTORING) == 0;
}

static bool is_too_deep(const char *path)
{
    unsigned n = 0;
    for (; *path; path++) n += *path == '/';
    return n >= LINKSET_DEPTH_MAX;
}

static status visit_entry(void *ctx, const struct vfs_entry *entry)
{
    struct tree_walk *walk = ctx;
    layout_path path;

    if (strcmp(walk->dir, ".") != 0) {
        TRY(layout_join(path, walk->dir, entry->name, walk->err));
    } else {
        if (entry->name.len >= sizeof(path) || memchr(entry->name.ptr, 0, entry->name.len)) {
            return err_set(walk->err, ST_INVALID, "a name is too long");
        }
        memcpy(path, entry->name.ptr, entry->name.len);
        path[entry->name.len] = '\0';
        if (is_apart(path)) return ST_OK;
    }
    size_t len = strlen(path) + 1;
    char *kept = arena_try(walk->arena, len);
    if (!kept) return err_set(walk->err, ST_NO_MEMORY, "list of files");
    memcpy(kept, path, len);
    if (entry->is_dir) {
        if (is_too_deep(path)) return err_set(walk->err, ST_LIMIT, "%s is too deep", path);
        return vec_push(&walk->dirs, kept) ? ST_OK
                                           : err_set(walk->err, ST_NO_MEMORY, "list of files");
    }
    if (++walk->n_files > LINKSET_FILES_MAX) {
        return err_set(walk->err, ST_LIMIT, "more than %d files", LINKSET_FILES_MAX);
    }
    return walk->file ? walk->file(walk, kept) : ST_OK;
}

static status walk_tree(struct tree_walk *walk, const char *root)
{
    status st = vec_push(&walk->dirs, root) ? ST_OK
                                            : err_set(walk->err, ST_NO_MEMORY, "list of files");
    while (st == ST_OK && walk->dirs.len > 0) {
        walk->dir = walk->dirs.ptr[--walk->dirs.len];
        st = vfs_list(walk->vfs, walk->dir, visit_entry, walk, walk->err);
        if (st == ST_OK && walk->leave) st = walk->leave(walk, walk->dir);
    }
    vec_release(&walk->dirs);
    return st;
}

/* ---- scanning ---- */

struct files_vec {
    struct linkset_file *ptr;
    size_t len, cap;
};

static status add_file(struct linkset *set, const struct linkset_file *file, struct err *err)
{
    struct files_vec vec = {set->files, set->n, set->cap};

    if (!vec_push(&vec, *file)) return err_set(err, ST_NO_MEMORY, "list of files");
    set->files = vec.ptr;
    set->n = vec.len;
    set->cap = vec.cap;
    set->n_bytes += file->len;
    return ST_OK;
}

struct scan {
    struct linkset *set;
    const struct linkset_watch *watch;
};

static status scan_file(struct tree_walk *walk, const char *path)
{
    const struct scan *scan = walk->ctx;
    struct linkset_file file = {.path = path};

    TRY(file_crc(walk->vfs, path, &file.len, &file.crc, scan->watch, walk->err));
    return add_file(scan->set, &file, walk->err);
}

status linkset_scan(struct linkset *set, struct vfs *vfs, const struct linkset_watch *watch,
                    struct err *err)
{
    struct scan scan = {.set = set, .watch = watch};
    struct tree_walk walk = {
        .vfs = vfs, .arena = &set->arena, .file = scan_file, .ctx = &scan, .err = err};

    TRY(walk_tree(&walk, "."));
    if (set->n) qsort(set->files, set->n, sizeof(set->files[0]), by_path);
    return ST_OK;
}

/* ---- comparing ---- */

static status check_listed(struct tree_walk *walk, const char *path)
{
    if (linkset_find(walk->ctx, path)) return ST_OK;
    return err_set(walk->err, ST_CORRUPT, "%s is not in the list of files", path);
}

static status compare_file(const struct linkset_file *file, struct vfs *vfs,
                           const struct linkset_watch *watch, struct err *err)
{
    uint64_t len;
    uint32_t crc;

    status st = file_crc(vfs, file->path, &len, &crc, watch, err);
    if (st == ST_NOT_FOUND) return err_set(err, ST_CORRUPT, "%s is missing", file->path);
    if (st != ST_OK) return st;
    if (len != file->len) {
        return err_set(err, ST_CORRUPT, "%s has %llu bytes instead of %llu", file->path,
                       (unsigned long long)len, (unsigned long long)file->len);
    }
    if (crc != file->crc) {
        return err_set(err, ST_CORRUPT, "%s: the checksum is %08x instead of %08x", file->path,
                       crc, file->crc);
    }
    return ST_OK;
}

status linkset_compare(const struct linkset *set, struct vfs *vfs,
                       const struct linkset_watch *watch, struct err *err)
{
    struct arena arena;
    struct tree_walk walk = {.vfs = vfs,
                             .arena = &arena,
                             .file = check_listed,
                             .ctx = (void *)(uintptr_t)set, /* only read */
                             .err = err};

    arena_init(&arena, NULL, 64 << 10);
    status st = walk_tree(&walk, ".");
    arena_release(&arena);
    for (size_t i = 0; st == ST_OK && i < set->n; i++) {
        st = compare_file(&set->files[i], vfs, watch, err);
    }
    return st;
}

/* ---- directories ---- */

static status sync_dir(struct tree_walk *walk, const char *dir)
{
    return vfs_sync_dir(walk->vfs, dir, walk->err);
}

status linkset_sync_dirs(struct vfs *vfs, const char *dir, struct err *err)
{
    struct arena arena;
    struct tree_walk walk = {.vfs = vfs, .arena = &arena, .leave = sync_dir, .err = err};

    arena_init(&arena, NULL, 16 << 10);
    status st = walk_tree(&walk, dir);
    arena_release(&arena);
    return st;
}
