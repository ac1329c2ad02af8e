/* Putting damaged files aside. See quarantine.h. The number in a name is one more than
 * the highest there, and the rename goes to a name that does not exist: nothing is
 * ever written over. The note is best effort: the move matters more. */
#include "storage/quarantine.h"

#include <stdio.h>

#include "base/durable.h"
#include "base/mem.h"

enum {
    WHAT_MAX = 96,         /* of the old path that goes into the new name */
    COPY_PIECE = 256 << 10,
};

static const char note_tail[] = ".reason.txt";

static bool is_note(struct slice name)
{
    size_t len = sizeof(note_tail) - 1;
    return name.len > len && memcmp(name.ptr + name.len - len, note_tail, len) == 0;
}

struct names {
    uint64_t highest;
    size_t n;
};

static status see_name(void *ctx, const struct vfs_entry *entry)
{
    struct names *names = ctx;
    uint64_t number = 0;

    for (size_t i = 0; i < entry->name.len && i < 18; i++) {
        char c = entry->name.ptr[i];
        if (c < '0' || c > '9') break;
        number = number * 10 + (uint64_t)(c - '0');
    }
    if (number > names->highest) names->highest = number;
    if (!is_note(entry->name)) names->n++;
    return ST_OK;
}

static status see_names(struct names *names, struct vfs *vfs, struct err *err)
{
    *names = (struct names){0};
    status st = vfs_list(vfs, LAYOUT_QUARANTINE_DIR, see_name, names, err);
    return st == ST_NOT_FOUND ? ST_OK : st;
}

/* A fresh name: number, and the end of the old path with '/' as '-'. */
static status make_name(layout_path out, struct vfs *vfs, const char *path, struct err *err)
{
    struct names names;
    char what[WHAT_MAX + 1];

    TRY(vfs_mkdir_all(vfs, LAYOUT_QUARANTINE_DIR, err));
    TRY(see_names(&names, vfs, err));
    size_t len = strlen(path), skip = len > WHAT_MAX ? len - WHAT_MAX : 0;
    for (size_t i = skip; i <= len; i++) what[i - skip] = path[i] == '/' ? '-' : path[i];
    (void)snprintf(out, VFS_PATH_MAX, "%s/%llu-%s", LAYOUT_QUARANTINE_DIR,
                   (unsigned long long)names.highest + 1, what);
    return ST_OK;
}

static void write_note(struct vfs *vfs, const char *name, const char *path, const char *reason)
{
    char note[VFS_PATH_MAX], text[VFS_PATH_MAX + ERR_TEXT_MAX + 8];

    int n = snprintf(note, sizeof(note), "%s%s", name, note_tail);
    if (n < 0 || (size_t)n >= sizeof(note)) return;
    n = snprintf(text, sizeof(text), "%s: %s\n", path, reason);
    if (n < 0) return;
    size_t len = (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
    /* Best effort: the reason is in the log too. */
    (void)!durable_replace(vfs, note, text, len, NULL);
}

status quarantine_move(layout_path to, struct vfs *vfs, const char *path, const char *reason,
                       struct err *err)
{
    layout_path name;
    char parent[VFS_PATH_MAX];

    TRY(make_name(name, vfs, path, err));
    TRY(vfs_rename(vfs, path, name, err));
    vfs_parent(parent, path);
    TRY(vfs_sync_dir(vfs, LAYOUT_QUARANTINE_DIR, err)); /* the new name first */
    TRY(vfs_sync_dir(vfs, parent, err));
    write_note(vfs, name, path, reason);
    if (to) memcpy(to, name, sizeof(name));
    return ST_OK;
}

static status copy_bytes(struct vfs_file *dst, struct vfs_file *src, uint8_t *buf,
                         struct err *err)
{
    uint64_t len;

    TRY(vfs_len(src, &len, err));
    for (uint64_t off = 0; off < len;) {
        size_t n = len - off < COPY_PIECE ? (size_t)(len - off) : COPY_PIECE;
        TRY(vfs_read(src, off, buf, n, err));
        TRY(vfs_write(dst, off, buf, n, err));
        off += n;
    }
    return vfs_sync(dst, err);
}

status quarantine_copy(layout_path to, struct vfs *vfs, const char *path, const char *reason,
                       struct err *err)
{
    layout_path name;
    struct vfs_file *src = NULL, *dst = NULL;
    uint8_t *buf = NULL;

    TRY(make_name(name, vfs, path, err));
    status st = vfs_open(vfs, &src, path, VFS_READ, err);
    if (st == ST_OK) st = vfs_open(vfs, &dst, name, VFS_CREATE, err);
    if (st == ST_OK) {
        buf = mem_try(COPY_PIECE);
        st = buf ? copy_bytes(dst, src, buf, err) : err_set(err, ST_NO_MEMORY, "copy");
    }
    mem_free(buf);
    vfs_close(src);
    vfs_close(dst);
    if (st == ST_OK) st = vfs_sync_dir(vfs, LAYOUT_QUARANTINE_DIR, err);
    if (st != ST_OK) {
        if (dst) vfs_remove_best_effort(vfs, name); /* an unfinished copy of ours */
        return err_wrap(err, st, "copy %s aside", path);
    }
    write_note(vfs, name, path, reason);
    if (to) memcpy(to, name, sizeof(name));
    return ST_OK;
}

status quarantine_count(size_t *out, struct vfs *vfs, struct err *err)
{
    struct names names;

    TRY(see_names(&names, vfs, err));
    *out = names.n;
    return ST_OK;
}
