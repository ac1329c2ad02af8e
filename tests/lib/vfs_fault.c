/* See vfs_fault.h.
 *
 * The lock guards rules and counters and is never held during a call of the inner vfs
 * or of the watch. To take back what a failed sync loses, every write through a handle
 * first saves the bytes it replaces (once a rule can need them); a sync that succeeds
 * forgets them. They are undone
 * in reverse order, so overlapping writes come out right.
 */
#include "tests/lib/vfs_fault.h"

#include <fnmatch.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/lock.h"
#include "base/mem.h"
#include "base/panic.h"
#include "base/rng.h"

enum { RULES_MAX = 32 };

struct rule {
    struct vfs_fault_rule rule;
    uint64_t n_seen, n_fired;
};

struct vfs_fault {
    struct vfs vfs;
    struct vfs *inner;
    _Atomic bool tracks; /* some rule may drop dirty bytes */
    struct mutex mutex;  /* the rest */
    struct rng rng;
    struct rule rules[RULES_MAX];
    unsigned n_rules;
    uint64_t n_calls[VFS_OPS];
    uint64_t n_fired;
    _Atomic uint64_t free_max; /* of space() */
    void (*watch)(void *ctx, enum vfs_op op, const char *path);
    void *watch_ctx;
};

/* Bytes that a write replaced, and the length before it. */
struct undo {
    uint64_t off, file_len;
    uint8_t *bytes; /* owned */
    size_t len;
};

struct fault_file {
    struct vfs_file file;
    struct vfs_fault *fault;
    struct vfs_file *inner;
    bool poisoned;
    struct undo *dirty; /* owned; since the last sync */
    size_t n_dirty;
    char path[VFS_PATH_MAX];
};

static struct vfs_fault *fault_of(struct vfs *vfs)
{
    return container_of(vfs, struct vfs_fault, vfs);
}

static struct fault_file *fault_file_of(struct vfs_file *file)
{
    return container_of(file, struct fault_file, file);
}

/* ---- rules ---- */

static bool matches(const struct vfs_fault_rule *rule, enum vfs_op op, const char *path,
                    const char *other)
{
    if (!(rule->ops & (1u << op))) return false;
    if (!rule->glob) return true;
    return fnmatch(rule->glob, path, 0) == 0 || (other && fnmatch(rule->glob, other, 0) == 0);
}

/* Counts the call for the rule and says whether it fires. */
static bool fires(struct vfs_fault *fault, struct rule *r)
{
    const struct vfs_fault_rule *rule = &r->rule;
    uint64_t times = rule->times;

    r->n_seen++;
    if (rule->nth > 0) {
        if (times == 0 && !rule->forever) times = 1;
        if (r->n_seen < rule->nth) return false;
    } else if (rng_unit(&fault->rng) >= rule->p) {
        return false;
    }
    if (times > 0 && r->n_fired >= times) return false;
    r->n_fired++;
    return rule->st != ST_OK;
}

/* Counts the call; true when a rule makes it fail, which is then copied to out. */
static bool must_fail(struct vfs_fault *fault, enum vfs_op op, const char *path,
                      const char *other, struct vfs_fault_rule *out)
{
    bool failing = false;

    mutex_lock(&fault->mutex);
    fault->n_calls[op]++;
    void (*watch)(void *, enum vfs_op, const char *) = fault->watch;
    void *watch_ctx = fault->watch_ctx;
    for (unsigned i = 0; i < fault->n_rules; i++) {
        struct rule *r = &fault->rules[i];
        /* Every rule counts every call, also when an earlier one has fired. */
        if (!matches(&r->rule, op, path, other) || !fires(fault, r) || failing) continue;
        failing = true;
        fault->n_fired++;
        *out = r->rule;
    }
    mutex_unlock(&fault->mutex);
    if (watch) watch(watch_ctx, op, path);
    return failing;
}

static status injected(struct err *err, const struct vfs_fault_rule *rule, const char *verb,
                       const char *path)
{
    return err_set(err, rule->st, "%s %s: injected failure", verb, path);
}

/* For calls whose failure has no effect. */
static status check(struct vfs_fault *fault, enum vfs_op op, const char *verb,
                    const char *path, const char *other, struct err *err)
{
    struct vfs_fault_rule rule;
    return must_fail(fault, op, path, other, &rule) ? injected(err, &rule, verb, path) : ST_OK;
}

/* ---- what a failed sync takes back ---- */

static void forget_dirty(struct fault_file *f)
{
    for (size_t i = 0; i < f->n_dirty; i++) free(f->dirty[i].bytes);
    free(f->dirty);
    f->dirty = NULL;
    f->n_dirty = 0;
}

/* Saves what a write to [off, off + len) will replace. When the disk below does not
 * answer, the write will fail too and there is nothing to save. The memory comes from
 * malloc: it must not count among the allocations that a test lets fail. */
static void save_before_write(struct fault_file *f, uint64_t off, uint64_t len)
{
    uint64_t file_len;

    if (!atomic_load(&f->fault->tracks)) return;
    if (vfs_len(f->inner, &file_len, NULL) != ST_OK) return;
    uint64_t have = off >= file_len ? 0 : file_len - off < len ? file_len - off : len;
    struct undo undo = {.off = off, .file_len = file_len, .len = (size_t)have};
    undo.bytes = malloc(have ? (size_t)have : 1);
    f->dirty = realloc(f->dirty, (f->n_dirty + 1) * sizeof(*f->dirty));
    ASSERT(undo.bytes && f->dirty);
    if (vfs_read(f->inner, off, undo.bytes, undo.len, NULL) == ST_OK)
        f->dirty[f->n_dirty++] = undo;
    else
        free(undo.bytes);
}

static void take_back_dirty(struct fault_file *f)
{
    for (size_t i = f->n_dirty; i-- > 0;) {
        const struct undo *undo = &f->dirty[i];
        status st = vfs_write(f->inner, undo->off, undo->bytes, undo->len, NULL);
        if (st == ST_OK) st = vfs_truncate(f->inner, undo->file_len, NULL);
        if (st != ST_OK) break; /* the disk below has lost its power */
    }
    forget_dirty(f);
}

/* ---- files ---- */

static status fail_poisoned(const struct fault_file *f, const char *verb, struct err *err)
{
    return err_set(err, ST_POISONED, "%s %s: an earlier sync failed", verb, f->path);
}

static void file_close(struct vfs_file *file)
{
    struct fault_file *f = fault_file_of(file);
    forget_dirty(f);
    vfs_close(f->inner);
    mem_free(f);
}

static status file_read(struct vfs_file *file, uint64_t off, void *dst, size_t len,
                        struct err *err)
{
    struct fault_file *f = fault_file_of(file);
    TRY(check(f->fault, VFS_OP_READ, "read", f->path, NULL, err));
    return vfs_read(f->inner, off, dst, len, err);
}

static status file_write(struct vfs_file *file, uint64_t off, const void *src, size_t len,
                         struct err *err)
{
    struct fault_file *f = fault_file_of(file);
    struct vfs_fault_rule rule;

    if (f->poisoned) return fail_poisoned(f, "write", err);
    if (must_fail(f->fault, VFS_OP_WRITE, f->path, NULL, &rule)) {
        size_t part = len == 0 ? 0 : rule.short_max < len - 1 ? rule.short_max : len - 1;
        if (part > 0) {
            save_before_write(f, off, part);
            TRY(vfs_write(f->inner, off, src, part, err));
        }
        return injected(err, &rule, "write", f->path);
    }
    save_before_write(f, off, len);
    return vfs_write(f->inner, off, src, len, err);
}

static status file_sync(struct vfs_file *file, struct err *err)
{
    struct fault_file *f = fault_file_of(file);
    struct vfs_fault_rule rule;

    if (f->poisoned) return fail_poisoned(f, "sync", err);
    if (must_fail(f->fault, VFS_OP_SYNC, f->path, NULL, &rule)) {
        f->poisoned = true;
        if (rule.drop_dirty) take_back_dirty(f);
        return injected(err, &rule, "sync", f->path);
    }
    status st = vfs_sync(f->inner, err);
    if (st == ST_OK) forget_dirty(f);
    return st;
}

/* Cutting saves the cut part: it is a write of nothing over it. */
static status file_truncate(struct vfs_file *file, uint64_t len, struct err *err)
{
    struct fault_file *f = fault_file_of(file);
    uint64_t file_len;

    if (f->poisoned) return fail_poisoned(f, "truncate", err);
    TRY(check(f->fault, VFS_OP_TRUNCATE, "truncate", f->path, NULL, err));
    TRY(vfs_len(f->inner, &file_len, err));
    save_before_write(f, len, file_len > len ? file_len - len : 0);
    return vfs_truncate(f->inner, len, err);
}

static status file_allocate(struct vfs_file *file, uint64_t off, uint64_t len, struct err *err)
{
    struct fault_file *f = fault_file_of(file);

    if (f->poisoned) return fail_poisoned(f, "allocate", err);
    TRY(check(f->fault, VFS_OP_ALLOCATE, "allocate", f->path, NULL, err));
    save_before_write(f, off, len);
    return vfs_allocate(f->inner, off, len, err);
}

static status file_len(struct vfs_file *file, uint64_t *out, struct err *err)
{
    struct fault_file *f = fault_file_of(file);
    TRY(check(f->fault, VFS_OP_LEN, "stat", f->path, NULL, err));
    return vfs_len(f->inner, out, err);
}

static status file_map(struct vfs_file *file, struct vfs_map *out, struct err *err)
{
    struct fault_file *f = fault_file_of(file);
    TRY(check(f->fault, VFS_OP_MAP, "map", f->path, NULL, err));
    return vfs_map(f->inner, out, err);
}

static status file_lock(struct vfs_file *file, struct err *err)
{
    struct fault_file *f = fault_file_of(file);
    TRY(check(f->fault, VFS_OP_LOCK, "lock", f->path, NULL, err));
    return vfs_lock(f->inner, err);
}

static const struct vfs_file_ops fault_file_ops = {
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

static status fault_open(struct vfs *vfs, struct vfs_file **out, const char *path,
                         enum vfs_mode mode, struct err *err)
{
    struct vfs_fault *fault = fault_of(vfs);
    struct vfs_file *inner;

    TRY(check(fault, VFS_OP_OPEN, "open", path, NULL, err));
    TRY(vfs_open(fault->inner, &inner, path, mode, err));
    struct fault_file *f = mem_zalloc(sizeof(*f));
    f->file.ops = &fault_file_ops;
    f->fault = fault;
    f->inner = inner;
    (void)snprintf(f->path, sizeof(f->path), "%s", path);
    *out = &f->file;
    return ST_OK;
}

static status fault_rename(struct vfs *vfs, const char *from, const char *to, struct err *err)
{
    struct vfs_fault *fault = fault_of(vfs);
    TRY(check(fault, VFS_OP_RENAME, "rename", from, to, err));
    return vfs_rename(fault->inner, from, to, err);
}

static status fault_link(struct vfs *vfs, const char *from, const char *to, struct err *err)
{
    struct vfs_fault *fault = fault_of(vfs);
    TRY(check(fault, VFS_OP_LINK, "link", from, to, err));
    return vfs_link(fault->inner, from, to, err);
}

static status fault_remove(struct vfs *vfs, const char *path, struct err *err)
{
    struct vfs_fault *fault = fault_of(vfs);
    TRY(check(fault, VFS_OP_REMOVE, "remove", path, NULL, err));
    return vfs_remove(fault->inner, path, err);
}

static status fault_mkdir(struct vfs *vfs, const char *path, struct err *err)
{
    struct vfs_fault *fault = fault_of(vfs);
    TRY(check(fault, VFS_OP_MKDIR, "mkdir", path, NULL, err));
    return vfs_mkdir(fault->inner, path, err);
}

static status fault_sync_dir(struct vfs *vfs, const char *path, struct err *err)
{
    struct vfs_fault *fault = fault_of(vfs);
    TRY(check(fault, VFS_OP_SYNC_DIR, "sync directory", path, NULL, err));
    return vfs_sync_dir(fault->inner, path, err);
}

static status fault_list(struct vfs *vfs, const char *path,
                         status (*each)(void *ctx, const struct vfs_entry *entry), void *ctx,
                         struct err *err)
{
    struct vfs_fault *fault = fault_of(vfs);
    TRY(check(fault, VFS_OP_LIST, "list", path, NULL, err));
    return vfs_list(fault->inner, path, each, ctx, err);
}

static status fault_space(struct vfs *vfs, struct vfs_space *out, struct err *err)
{
    struct vfs_fault *fault = fault_of(vfs);
    TRY(check(fault, VFS_OP_SPACE, "space", ".", NULL, err));
    TRY(vfs_space(fault->inner, out, err));
    if (out->free_bytes > atomic_load(&fault->free_max))
        out->free_bytes = atomic_load(&fault->free_max);
    return ST_OK;
}

void vfs_fault_set_free(struct vfs_fault *fault, uint64_t bytes)
{
    atomic_store(&fault->free_max, bytes);
}

static void free_by_vfs(struct vfs *vfs)
{
    vfs_fault_free(fault_of(vfs));
}

static const struct vfs_ops fault_ops = {
    .open = fault_open,
    .rename = fault_rename,
    .link = fault_link,
    .remove = fault_remove,
    .mkdir = fault_mkdir,
    .sync_dir = fault_sync_dir,
    .list = fault_list,
    .space = fault_space,
    .free = free_by_vfs,
};

/* ---- the tool ---- */

struct vfs_fault *vfs_fault_new(struct vfs *inner, uint64_t seed)
{
    struct vfs_fault *fault = mem_zalloc(sizeof(*fault));
    fault->vfs.ops = &fault_ops;
    fault->inner = inner;
    vfs_fault_set_free(fault, UINT64_MAX);
    mutex_init(&fault->mutex, LOCK_VFS_WRAP);
    rng_init(&fault->rng, seed);
    return fault;
}

void vfs_fault_free(struct vfs_fault *fault)
{
    if (!fault) return;
    mutex_release(&fault->mutex);
    mem_free(fault);
}

struct vfs *vfs_fault_vfs(struct vfs_fault *fault)
{
    return &fault->vfs;
}

unsigned vfs_fault_add(struct vfs_fault *fault, const struct vfs_fault_rule *rule)
{
    mutex_lock(&fault->mutex);
    ASSERT(fault->n_rules < RULES_MAX);
    unsigned idx = fault->n_rules++;
    fault->rules[idx] = (struct rule){.rule = *rule};
    if (rule->drop_dirty) atomic_store(&fault->tracks, true);
    mutex_unlock(&fault->mutex);
    return idx;
}

void vfs_fault_clear(struct vfs_fault *fault)
{
    mutex_lock(&fault->mutex);
    fault->n_rules = 0;
    mutex_unlock(&fault->mutex);
}

uint64_t vfs_fault_n_calls(struct vfs_fault *fault, unsigned ops)
{
    uint64_t n = 0;
    mutex_lock(&fault->mutex);
    for (unsigned op = 0; op < VFS_OPS; op++)
        if (ops & (1u << op)) n += fault->n_calls[op];
    mutex_unlock(&fault->mutex);
    return n;
}

void vfs_fault_reset_calls(struct vfs_fault *fault)
{
    mutex_lock(&fault->mutex);
    memset(fault->n_calls, 0, sizeof(fault->n_calls));
    mutex_unlock(&fault->mutex);
}

uint64_t vfs_fault_n_fired(struct vfs_fault *fault, unsigned rule)
{
    mutex_lock(&fault->mutex);
    ASSERT(rule < fault->n_rules);
    uint64_t n = fault->rules[rule].n_fired;
    mutex_unlock(&fault->mutex);
    return n;
}

uint64_t vfs_fault_n_fired_all(struct vfs_fault *fault)
{
    mutex_lock(&fault->mutex);
    uint64_t n = fault->n_fired;
    mutex_unlock(&fault->mutex);
    return n;
}

void vfs_fault_set_watch(struct vfs_fault *fault,
                         void (*watch)(void *ctx, enum vfs_op op, const char *path), void *ctx)
{
    mutex_lock(&fault->mutex);
    fault->watch = watch;
    fault->watch_ctx = ctx;
    mutex_unlock(&fault->mutex);
}
