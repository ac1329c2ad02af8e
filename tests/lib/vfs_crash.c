/* See vfs_crash.h. Every call that changes something makes a crash_change, applies it
 * to `now` and appends it to the pending list; sync and sync_dir apply theirs to
 * `durable` and take them off. So at any time: durable + pending, in order = now. */
#include "tests/lib/vfs_crash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/panic.h"
#include "tests/lib/vfs_crash_priv.h"

struct crash_file {
    struct vfs_file file;
    struct vfs_crash *disk;
    struct crash_node *node;
    bool writable;
    char path[VFS_PATH_MAX];
};

static struct vfs_crash *disk_of(struct vfs *vfs)
{
    return container_of(vfs, struct vfs_crash, vfs);
}

static struct crash_file *file_of(struct vfs_file *file)
{
    return container_of(file, struct crash_file, file);
}

/* ---- contents ---- */

void *crash_malloc(size_t size)
{
    void *ptr = malloc(size ? size : 1);
    ASSERT(ptr);
    return ptr;
}

char *crash_strndup(const char *src, size_t len)
{
    char *copy = crash_malloc(len + 1);
    memcpy(copy, src, len);
    copy[len] = 0;
    return copy;
}

void crash_content_set_len(struct crash_content *content, size_t len)
{
    if (len > content->cap) {
        size_t cap = content->cap * 2 > len ? content->cap * 2 : len;
        content->bytes = realloc(content->bytes, cap);
        ASSERT(content->bytes);
        content->cap = cap;
    }
    if (len > content->len) memset(content->bytes + content->len, 0, len - content->len);
    content->len = len;
}

void crash_content_put(struct crash_content *content, uint64_t off, const uint8_t *src,
                       size_t len)
{
    if (len == 0) return;
    if (off + len > content->len) crash_content_set_len(content, (size_t)off + len);
    if (src)
        memcpy(content->bytes + off, src, len);
    else
        memset(content->bytes + off, 0, len);
}

void crash_content_release(struct crash_content *content)
{
    free(content->bytes);
    for (size_t i = 0; i < content->n_entries; i++) free(content->entries[i].name);
    free(content->entries);
    *content = (struct crash_content){0};
}

void crash_content_copy(struct crash_content *to, const struct crash_content *from)
{
    *to = (struct crash_content){0};
    crash_content_put(to, 0, from->bytes, from->len);
    for (size_t i = 0; i < from->n_entries; i++)
        crash_entry_set(to, slice_str(from->entries[i].name), from->entries[i].node);
}

static size_t find_entry(const struct crash_content *dir, struct slice name, bool *found)
{
    size_t low = 0, high = dir->n_entries;
    while (low < high) {
        size_t mid = (low + high) / 2;
        int order = slice_cmp(slice_str(dir->entries[mid].name), name);
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *found = low < dir->n_entries && slice_eq(slice_str(dir->entries[low].name), name);
    return low;
}

struct crash_node *crash_entry_get(const struct crash_content *dir, struct slice name)
{
    bool found;
    size_t idx = find_entry(dir, name, &found);
    return found ? dir->entries[idx].node : NULL;
}

void crash_entry_set(struct crash_content *dir, struct slice name, struct crash_node *node)
{
    bool found;
    size_t idx = find_entry(dir, name, &found);
    if (found) {
        dir->entries[idx].node = node;
        return;
    }
    if (dir->n_entries == dir->cap_entries) {
        dir->cap_entries = dir->cap_entries ? dir->cap_entries * 2 : 8;
        dir->entries = realloc(dir->entries, dir->cap_entries * sizeof(*dir->entries));
        ASSERT(dir->entries);
    }
    struct crash_entry *at = dir->entries + idx;
    memmove(at + 1, at, (dir->n_entries - idx) * sizeof(*at));
    *at = (struct crash_entry){.name = crash_strndup(name.ptr, name.len), .node = node};
    dir->n_entries++;
}

void crash_entry_remove(struct crash_content *dir, struct slice name)
{
    bool found;
    size_t idx = find_entry(dir, name, &found);
    if (!found) return;

    struct crash_entry *at = dir->entries + idx;
    free(at->name);
    dir->n_entries--;
    memmove(at, at + 1, (dir->n_entries - idx) * sizeof(*at));
}

struct crash_content *crash_content_now(struct crash_node *node)
{
    return &node->now;
}

struct crash_content *crash_content_durable(struct crash_node *node)
{
    return &node->durable;
}

struct crash_content *crash_content_cut(struct crash_node *node)
{
    return &node->cut;
}

void crash_apply(const struct crash_change *change,
                 struct crash_content *(*of)(struct crash_node *node))
{
    switch (change->kind) {
    case CHANGE_WRITE:
        crash_content_put(of(change->node), change->off, change->bytes, change->len);
        break;
    case CHANGE_LEN:
        crash_content_set_len(of(change->node), (size_t)change->off);
        break;
    case CHANGE_SET:
        crash_entry_set(of(change->dir), slice_str(change->name), change->node);
        break;
    case CHANGE_REMOVE:
        crash_entry_remove(of(change->dir), slice_str(change->name));
        break;
    case CHANGE_RENAME:
        if (crash_entry_get(of(change->from_dir), slice_str(change->from_name)) == change->node)
            crash_entry_remove(of(change->from_dir), slice_str(change->from_name));
        crash_entry_set(of(change->dir), slice_str(change->name), change->node);
        break;
    }
}

/* ---- changes ---- */

struct crash_node *crash_node_new(struct vfs_crash *disk, bool is_dir)
{
    struct crash_node *node = crash_malloc(sizeof(*node));
    *node = (struct crash_node){.is_dir = is_dir};
    list_push(&disk->nodes, &node->link);
    return node;
}

static void change_free(struct vfs_crash *disk, struct crash_change *change)
{
    list_remove(&change->link);
    disk->n_pending--;
    free(change->name);
    free(change->from_name);
    free(change->bytes);
    free(change);
}

/* Takes what `proto` owns; the change happens now and waits for its sync. */
static void make_change(struct vfs_crash *disk, const struct crash_change *proto)
{
    struct crash_change *change = crash_malloc(sizeof(*change));
    *change = *proto;
    change->seq = disk->next_seq++;
    list_push(&disk->pending, &change->link);
    disk->n_pending++;
    disk->n_changes++;
    crash_apply(change, crash_content_now);
}

/* Applies the change to the durable contents and forgets it. */
static void settle(struct vfs_crash *disk, struct crash_change *change)
{
    crash_apply(change, crash_content_durable);
    change_free(disk, change);
}

static status check_power(const struct vfs_crash *disk, struct err *err)
{
    if (disk->n_changes < disk->stop_after) return ST_OK;
    return err_set(err, ST_IO, "the power is off");
}

/* ---- paths ---- */

static bool is_root(const char *path)
{
    return path[0] == '.' && !path[1];
}

static struct crash_node *find_node(struct vfs_crash *disk, const char *path)
{
    struct crash_node *at = disk->root;
    if (is_root(path)) return at;

    for (const char *part = path; at;) {
        size_t len = strcspn(part, "/");
        at = at->is_dir ? crash_entry_get(&at->now, slice_of(part, len)) : NULL;
        if (!part[len]) break;
        part += len + 1;
    }
    return at;
}

static struct crash_node *find_parent(struct vfs_crash *disk, const char *path,
                                      struct slice *name)
{
    char parent[VFS_PATH_MAX];
    const char *slash = strrchr(path, '/');

    vfs_parent(parent, path);
    *name = slice_str(slash ? slash + 1 : path);
    struct crash_node *dir = find_node(disk, parent);
    return dir && dir->is_dir ? dir : NULL;
}

static status fail_missing(struct err *err, const char *verb, const char *path)
{
    return err_set(err, ST_NOT_FOUND, "%s %s: no such file or directory", verb, path);
}

/* ---- files ---- */

static void file_close(struct vfs_file *file)
{
    struct crash_file *f = file_of(file);
    mutex_lock(&f->disk->mutex);
    if (f->node->locked_by == f) f->node->locked_by = NULL;
    mutex_unlock(&f->disk->mutex);
    free(f);
}

static status file_read(struct vfs_file *file, uint64_t off, void *dst, size_t len,
                        struct err *err)
{
    struct crash_file *f = file_of(file);
    const struct crash_content *now = &f->node->now;

    mutex_lock(&f->disk->mutex);
    status st = check_power(f->disk, err);
    if (st == ST_OK && (off > now->len || len > now->len - off))
        st = err_set(err, ST_CORRUPT, "read %s: the file ends at %zu", f->path, now->len);
    if (st == ST_OK && len > 0) memcpy(dst, now->bytes + off, len);
    mutex_unlock(&f->disk->mutex);
    return st;
}

/* Power, permission and room for a file of end bytes. */
static status check_change(struct crash_file *f, uint64_t end, const char *verb,
                           struct err *err)
{
    TRY(check_power(f->disk, err));
    if (!f->writable) return err_set(err, ST_IO, "%s %s: opened for reading", verb, f->path);
    if (end > CRASH_BYTES_MAX)
        return err_set(err, ST_NO_SPACE, "%s %s: no space left", verb, f->path);
    return ST_OK;
}

static status put(struct crash_file *f, uint64_t off, const void *src, uint64_t len,
                  const char *verb, struct err *err)
{
    uint64_t end;
    if (__builtin_add_overflow(off, len, &end) || end > INT64_MAX)
        return err_set(err, ST_INVALID, "%s %s: range", verb, f->path);

    mutex_lock(&f->disk->mutex);
    status st = check_change(f, end, verb, err);
    if (st == ST_OK && len > 0) {
        struct crash_change change = {
            .kind = CHANGE_WRITE, .node = f->node, .off = off, .len = (size_t)len};
        if (src) {
            change.bytes = crash_malloc((size_t)len);
            memcpy(change.bytes, src, (size_t)len);
        }
        make_change(f->disk, &change);
    }
    mutex_unlock(&f->disk->mutex);
    return st;
}

static status file_write(struct vfs_file *file, uint64_t off, const void *src, size_t len,
                         struct err *err)
{
    return put(file_of(file), off, src, len, "write", err);
}

static status file_allocate(struct vfs_file *file, uint64_t off, uint64_t len, struct err *err)
{
    return put(file_of(file), off, NULL, len, "allocate", err);
}

static status file_truncate(struct vfs_file *file, uint64_t len, struct err *err)
{
    struct crash_file *f = file_of(file);

    mutex_lock(&f->disk->mutex);
    status st = check_change(f, len, "truncate", err);
    if (st == ST_OK && len != f->node->now.len)
        make_change(f->disk,
                    &(struct crash_change){.kind = CHANGE_LEN, .node = f->node, .off = len});
    mutex_unlock(&f->disk->mutex);
    return st;
}

static status file_sync(struct vfs_file *file, struct err *err)
{
    struct crash_file *f = file_of(file);
    struct vfs_crash *disk = f->disk;
    bool changed = false;

    mutex_lock(&disk->mutex);
    status st = check_power(disk, err);
    bool lies = disk->n_changes >= disk->lie_after;
    disk->n_changes += lies;
    for (struct list *at = disk->pending.next, *next;
         st == ST_OK && !lies && at != &disk->pending;
         at = next) {
        struct crash_change *change = container_of(at, struct crash_change, link);
        next = at->next;
        if (!crash_is_data(change) || change->node != f->node) continue;
        settle(disk, change);
        changed = true;
    }
    disk->n_changes += changed;
    mutex_unlock(&disk->mutex);
    return st;
}

static status file_len(struct vfs_file *file, uint64_t *out, struct err *err)
{
    struct crash_file *f = file_of(file);

    mutex_lock(&f->disk->mutex);
    status st = check_power(f->disk, err);
    if (st == ST_OK) *out = f->node->now.len;
    mutex_unlock(&f->disk->mutex);
    return st;
}

static void unmap_copy(struct vfs_map *map)
{
    free(map->priv);
}

static status file_map(struct vfs_file *file, struct vfs_map *out, struct err *err)
{
    struct crash_file *f = file_of(file);
    struct vfs_map map = {0};

    mutex_lock(&f->disk->mutex);
    status st = check_power(f->disk, err);
    size_t len = f->node->now.len;
    if (st == ST_OK && len > 0) {
        uint8_t *copy = crash_malloc(len + VFS_MAP_SLACK);
        memcpy(copy, f->node->now.bytes, len);
        memset(copy + len, 0, VFS_MAP_SLACK);
        map = (struct vfs_map){.ptr = copy, .len = len, .priv = copy, .unmap = unmap_copy};
    }
    mutex_unlock(&f->disk->mutex);
    if (st == ST_OK) *out = map;
    return st;
}

static status file_lock(struct vfs_file *file, struct err *err)
{
    struct crash_file *f = file_of(file);

    mutex_lock(&f->disk->mutex);
    status st = check_power(f->disk, err);
    if (st == ST_OK && f->node->locked_by && f->node->locked_by != f)
        st = err_set(err, ST_LOCKED, "lock %s: held by another process", f->path);
    if (st == ST_OK) f->node->locked_by = f;
    mutex_unlock(&f->disk->mutex);
    return st;
}

static const struct vfs_file_ops crash_file_ops = {
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

/* ---- the tree; the _locked ones hold the lock ---- */

static status open_locked(struct vfs_crash *disk, struct crash_node **out, const char *path,
                          enum vfs_mode mode, struct err *err)
{
    struct slice name;
    TRY(check_power(disk, err));
    struct crash_node *dir = find_parent(disk, path, &name);
    struct crash_node *node = find_node(disk, path);

    if (!dir) return fail_missing(err, "open", path);
    if (node && node->is_dir) return err_set(err, ST_IO, "open %s: is a directory", path);
    if (node && mode == VFS_CREATE) return err_set(err, ST_EXISTS, "open %s: exists", path);
    if (!node && (mode == VFS_READ || mode == VFS_WRITE)) return fail_missing(err, "open", path);

    if (!node) {
        node = crash_node_new(disk, false);
        make_change(disk, &(struct crash_change){.kind = CHANGE_SET, .dir = dir, .node = node,
                                                 .name = crash_strndup(name.ptr, name.len)});
    } else if (mode == VFS_TRUNCATE && node->now.len > 0) {
        make_change(disk, &(struct crash_change){.kind = CHANGE_LEN, .node = node, .off = 0});
    }
    *out = node;
    return ST_OK;
}

static status crash_open(struct vfs *vfs, struct vfs_file **out, const char *path,
                         enum vfs_mode mode, struct err *err)
{
    struct vfs_crash *disk = disk_of(vfs);
    struct crash_node *node = NULL;

    mutex_lock(&disk->mutex);
    status st = open_locked(disk, &node, path, mode, err);
    mutex_unlock(&disk->mutex);
    if (st != ST_OK) return st;

    struct crash_file *f = crash_malloc(sizeof(*f));
    *f = (struct crash_file){.file = {&crash_file_ops}, .disk = disk, .node = node,
                             .writable = mode != VFS_READ};
    (void)snprintf(f->path, sizeof(f->path), "%s", path);
    *out = &f->file;
    return ST_OK;
}

static status rename_locked(struct vfs_crash *disk, const char *from, const char *to,
                            struct err *err)
{
    struct slice from_name, to_name;
    struct crash_node *from_dir = find_parent(disk, from, &from_name);
    struct crash_node *to_dir = find_parent(disk, to, &to_name);
    struct crash_node *node = from_dir ? crash_entry_get(&from_dir->now, from_name) : NULL;
    size_t from_len = strlen(from);

    if (!node) return fail_missing(err, "rename", from);
    if (!to_dir) return fail_missing(err, "rename to", to);
    if (node->is_dir && strncmp(from, to, from_len) == 0 && to[from_len] == '/')
        return err_set(err, ST_IO, "rename %s: into itself", from);

    const struct crash_node *target = crash_entry_get(&to_dir->now, to_name);
    if (target == node) return ST_OK;
    if (target && target->now.n_entries > 0)
        return err_set(err, ST_EXISTS, "rename to %s: directory not empty", to);
    if (target && target->is_dir != node->is_dir)
        return err_set(err, ST_IO, "rename to %s: a file and a directory", to);

    make_change(disk, &(struct crash_change){
                          .kind = CHANGE_RENAME, .node = node, .dir = to_dir,
                          .from_dir = from_dir,
                          .name = crash_strndup(to_name.ptr, to_name.len),
                          .from_name = crash_strndup(from_name.ptr, from_name.len)});
    return ST_OK;
}

static status crash_rename(struct vfs *vfs, const char *from, const char *to, struct err *err)
{
    struct vfs_crash *disk = disk_of(vfs);
    if (is_root(from) || is_root(to)) return err_set(err, ST_IO, "rename %s: the root", from);

    mutex_lock(&disk->mutex);
    status st = check_power(disk, err);
    if (st == ST_OK) st = rename_locked(disk, from, to, err);
    mutex_unlock(&disk->mutex);
    return st;
}

static status link_locked(struct vfs_crash *disk, const char *from, const char *to,
                          struct err *err)
{
    struct slice name;
    struct crash_node *node = find_node(disk, from);
    struct crash_node *dir = find_parent(disk, to, &name);

    if (!node) return fail_missing(err, "link", from);
    if (!dir) return fail_missing(err, "link to", to);
    if (node->is_dir) return err_set(err, ST_IO, "link %s: is a directory", from);
    if (is_root(to) || crash_entry_get(&dir->now, name))
        return err_set(err, ST_EXISTS, "link to %s: exists", to);
    make_change(disk, &(struct crash_change){.kind = CHANGE_SET, .dir = dir, .node = node,
                                             .name = crash_strndup(name.ptr, name.len)});
    return ST_OK;
}

static status crash_link(struct vfs *vfs, const char *from, const char *to, struct err *err)
{
    struct vfs_crash *disk = disk_of(vfs);

    mutex_lock(&disk->mutex);
    status st = check_power(disk, err);
    if (st == ST_OK) st = link_locked(disk, from, to, err);
    mutex_unlock(&disk->mutex);
    return st;
}

static status remove_locked(struct vfs_crash *disk, const char *path, struct err *err)
{
    struct slice name;
    struct crash_node *dir = find_parent(disk, path, &name);
    const struct crash_node *node = dir ? crash_entry_get(&dir->now, name) : NULL;

    if (!node) return fail_missing(err, "remove", path);
    if (node->now.n_entries > 0)
        return err_set(err, ST_EXISTS, "remove %s: directory not empty", path);
    make_change(disk, &(struct crash_change){.kind = CHANGE_REMOVE, .dir = dir,
                                             .name = crash_strndup(name.ptr, name.len)});
    return ST_OK;
}

static status crash_remove(struct vfs *vfs, const char *path, struct err *err)
{
    struct vfs_crash *disk = disk_of(vfs);
    if (is_root(path)) return err_set(err, ST_IO, "remove %s: the root", path);

    mutex_lock(&disk->mutex);
    status st = check_power(disk, err);
    if (st == ST_OK) st = remove_locked(disk, path, err);
    mutex_unlock(&disk->mutex);
    return st;
}

static status mkdir_locked(struct vfs_crash *disk, const char *path, struct err *err)
{
    struct slice name;
    struct crash_node *dir = find_parent(disk, path, &name);

    if (!dir) return fail_missing(err, "mkdir", path);
    if (is_root(path) || crash_entry_get(&dir->now, name))
        return err_set(err, ST_EXISTS, "mkdir %s: exists", path);
    make_change(disk, &(struct crash_change){.kind = CHANGE_SET, .dir = dir,
                                             .node = crash_node_new(disk, true),
                                             .name = crash_strndup(name.ptr, name.len)});
    return ST_OK;
}

static status crash_mkdir(struct vfs *vfs, const char *path, struct err *err)
{
    struct vfs_crash *disk = disk_of(vfs);

    mutex_lock(&disk->mutex);
    status st = check_power(disk, err);
    if (st == ST_OK) st = mkdir_locked(disk, path, err);
    mutex_unlock(&disk->mutex);
    return st;
}

static status check_dir(const struct crash_node *node, const char *verb, const char *path,
                        struct err *err)
{
    if (!node) return fail_missing(err, verb, path);
    if (!node->is_dir) return err_set(err, ST_IO, "%s %s: not a directory", verb, path);
    return ST_OK;
}

/* The directory's pending changes become durable, and with them all earlier changes of
 * the directories they touch: entry changes of one directory are never turned around.
 * A rename out of the directory is not one of its changes, unless a later one that
 * settles here must not overtake it. Marks from the newest to the oldest (1: synced, 2:
 * something later settles), then settles from the oldest. */
static void settle_dir(struct vfs_crash *disk, struct crash_node *dir)
{
    struct list *at;

    list_each(node, &disk->nodes) container_of(node, struct crash_node, link)->prefix = 0;
    dir->prefix = 1; /* here: a mark */
    for (at = disk->pending.prev; at != &disk->pending; at = at->prev) {
        struct crash_change *change = container_of(at, struct crash_change, link);
        if (crash_is_data(change)) continue;
        if (!change->dir->prefix && !(change->from_dir && change->from_dir->prefix == 2))
            continue;
        change->dir->prefix = 2;
        if (change->from_dir) change->from_dir->prefix = 2;
        change->off = 1; /* entry changes have no offset: a mark too */
    }
    for (at = disk->pending.next; at != &disk->pending;) {
        struct crash_change *change = container_of(at, struct crash_change, link);
        at = at->next;
        if (!crash_is_data(change) && change->off == 1) settle(disk, change);
    }
}

static status crash_sync_dir(struct vfs *vfs, const char *path, struct err *err)
{
    struct vfs_crash *disk = disk_of(vfs);

    mutex_lock(&disk->mutex);
    struct crash_node *dir = find_node(disk, path);
    status st = check_power(disk, err);
    if (st == ST_OK) st = check_dir(dir, "sync directory", path, err);
    if (st == ST_OK) {
        uint64_t before = disk->n_pending;
        bool lies = disk->n_changes >= disk->lie_after;
        if (!lies) settle_dir(disk, dir);
        disk->n_changes += lies || disk->n_pending < before;
    }
    mutex_unlock(&disk->mutex);
    return st;
}

struct listed {
    char *name;
    bool is_dir;
    uint64_t len;
};

static status crash_list(struct vfs *vfs, const char *path,
                         status (*each)(void *ctx, const struct vfs_entry *entry), void *ctx,
                         struct err *err)
{
    struct vfs_crash *disk = disk_of(vfs);
    struct listed *listed = NULL;
    size_t n = 0;

    mutex_lock(&disk->mutex);
    const struct crash_node *dir = find_node(disk, path);
    status st = check_power(disk, err);
    if (st == ST_OK) st = check_dir(dir, "list", path, err);
    if (st == ST_OK) {
        listed = crash_malloc(dir->now.n_entries * sizeof(*listed));
        for (; n < dir->now.n_entries; n++) {
            const struct crash_entry *entry = &dir->now.entries[n];
            listed[n] = (struct listed){crash_strndup(entry->name, strlen(entry->name)),
                                        entry->node->is_dir, entry->node->now.len};
        }
    }
    mutex_unlock(&disk->mutex);

    for (size_t i = 0; i < n && st == ST_OK; i++) {
        struct vfs_entry entry = {slice_str(listed[i].name), listed[i].is_dir, listed[i].len};
        st = each(ctx, &entry);
    }
    for (size_t i = 0; i < n; i++) free(listed[i].name);
    free(listed);
    return st;
}

static status crash_space(struct vfs *vfs, struct vfs_space *out, struct err *err)
{
    struct vfs_crash *disk = disk_of(vfs);
    uint64_t used = 0;

    mutex_lock(&disk->mutex);
    status st = check_power(disk, err);
    list_each(at, &disk->nodes) used += container_of(at, struct crash_node, link)->now.len;
    mutex_unlock(&disk->mutex);
    if (st != ST_OK) return st;
    out->total_bytes = CRASH_BYTES_MAX;
    out->free_bytes = used < CRASH_BYTES_MAX ? CRASH_BYTES_MAX - used : 0;
    return ST_OK;
}

static void free_by_vfs(struct vfs *vfs)
{
    vfs_crash_free(disk_of(vfs));
}

static const struct vfs_ops crash_ops = {
    .open = crash_open,
    .rename = crash_rename,
    .link = crash_link,
    .remove = crash_remove,
    .mkdir = crash_mkdir,
    .sync_dir = crash_sync_dir,
    .list = crash_list,
    .space = crash_space,
    .free = free_by_vfs,
};

/* ---- the tool ---- */

struct vfs_crash *vfs_crash_new(void)
{
    struct vfs_crash *disk = crash_malloc(sizeof(*disk));
    *disk = (struct vfs_crash){.vfs = {&crash_ops}, .stop_after = UINT64_MAX,
                               .lie_after = UINT64_MAX};
    mutex_init(&disk->mutex, LOCK_VFS);
    list_init(&disk->nodes);
    list_init(&disk->pending);
    disk->root = crash_node_new(disk, true);
    return disk;
}

void vfs_crash_free(struct vfs_crash *disk)
{
    struct list *at;
    if (!disk) return;

    while (!list_empty(&disk->pending))
        change_free(disk, container_of(disk->pending.next, struct crash_change, link));
    while ((at = list_pop(&disk->nodes)) != NULL) {
        struct crash_node *node = container_of(at, struct crash_node, link);
        crash_content_release(&node->now);
        crash_content_release(&node->durable);
        free(node);
    }
    mutex_release(&disk->mutex);
    free(disk);
}

struct vfs *vfs_crash_vfs(struct vfs_crash *disk)
{
    return &disk->vfs;
}

uint64_t vfs_crash_n_changes(struct vfs_crash *disk)
{
    mutex_lock(&disk->mutex);
    uint64_t n = disk->n_changes;
    mutex_unlock(&disk->mutex);
    return n;
}

void vfs_crash_stop_after(struct vfs_crash *disk, uint64_t n)
{
    mutex_lock(&disk->mutex);
    disk->stop_after = n;
    mutex_unlock(&disk->mutex);
}

void vfs_crash_lie_after(struct vfs_crash *disk, uint64_t n)
{
    mutex_lock(&disk->mutex);
    disk->lie_after = n;
    mutex_unlock(&disk->mutex);
}

bool vfs_crash_stopped(struct vfs_crash *disk)
{
    mutex_lock(&disk->mutex);
    bool stopped = disk->n_changes >= disk->stop_after;
    mutex_unlock(&disk->mutex);
    return stopped;
}

uint64_t vfs_crash_n_pending(struct vfs_crash *disk)
{
    mutex_lock(&disk->mutex);
    uint64_t n = disk->n_pending;
    mutex_unlock(&disk->mutex);
    return n;
}
