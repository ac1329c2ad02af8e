/* Files of payloads. See payload_file.h. */
#include "storage/payload_file.h"

#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/durable.h"
#include "base/mem.h"
#include "base/panic.h"
#include "codec/frame.h"
#include "storage/layout.h"

enum {
    FRAME_HEAD = 1,
    FRAME_PAYLOAD = 2,
    FRAME_END = 3,
    HEAD_LEN = 16 + DATABASE_ID_LEN,
    END_LEN = 8,
    FILE_MAX = 1 << 30,        /* mapped whole */
};

#define PAYLOAD_MAGIC FRAME_MAGIC('T', 'S', 'P', 'F')

struct payload_writer {
    struct vfs *vfs;
    struct vfs_file *file;
    layout_path path, staging;
    uint64_t off, n;
};

const char *payload_file_path(enum payload_kind kind)
{
    return kind == PAYLOAD_EXEMPLARS ? LAYOUT_EXEMPLARS : LAYOUT_METADATA;
}

/* ---- writing ----------------------------------------------------------------------- */

static status put_frame(struct payload_writer *w, uint16_t type, const void *payload, size_t len,
                        struct err *err)
{
    uint8_t head[FRAME_HEAD_LEN];
    struct frame frame = {.magic = PAYLOAD_MAGIC,
                          .version = PAYLOAD_FILE_FORMAT,
                          .type = type,
                          .payload = payload,
                          .len = len};
    frame_put_head(head, &frame);
    if (w->off + sizeof(head) + len > FILE_MAX)
        return err_set(err, ST_TOO_LARGE, "%s grows too large", w->path);
    TRY(vfs_write(w->file, w->off, head, sizeof(head), err));
    TRY(vfs_write(w->file, w->off + sizeof(head), payload, len, err));
    w->off += sizeof(head) + len;
    return ST_OK;
}

status payload_file_begin(struct payload_writer **out, struct vfs *vfs, enum payload_kind kind,
                          const struct database_id *db, lsn covered, struct err *err)
{
    uint8_t head[HEAD_LEN];
    struct payload_writer *w = mem_zalloc(sizeof(*w));
    w->vfs = vfs;
    (void)snprintf(w->path, sizeof(w->path), "%s", payload_file_path(kind));
    (void)snprintf(w->staging, sizeof(w->staging), "%s.tmp", payload_file_path(kind));
    store_u64(head, kind);
    store_u64(head + 8, covered);
    memcpy(head + 16, db->bytes, DATABASE_ID_LEN);
    status st = vfs_open(vfs, &w->file, w->staging, VFS_TRUNCATE, err);
    if (st == ST_OK) st = put_frame(w, FRAME_HEAD, head, sizeof(head), err);
    if (st != ST_OK) {
        payload_file_abort(w);
        return st;
    }
    *out = w;
    return ST_OK;
}

status payload_file_add(struct payload_writer *w, struct slice payload, struct err *err)
{
    ASSERT(payload.len <= PAYLOAD_LEN_MAX);
    w->n++;
    return put_frame(w, FRAME_PAYLOAD, payload.ptr, payload.len, err);
}

static void free_writer(struct payload_writer *w)
{
    vfs_close(w->file);
    mem_free(w);
}

status payload_file_finish(struct payload_writer *w, struct err *err)
{
    uint8_t end[END_LEN];
    store_u64(end, w->n);
    status st = put_frame(w, FRAME_END, end, sizeof(end), err);
    if (st == ST_OK) st = vfs_sync(w->file, err);
    if (st != ST_OK) {
        payload_file_abort(w);
        return st;
    }
    st = durable_rename_file(w->vfs, w->staging, w->path, err);
    if (st != ST_OK) vfs_remove_best_effort(w->vfs, w->staging);
    free_writer(w);
    return st;
}

void payload_file_abort(struct payload_writer *w)
{
    if (!w) return;
    vfs_remove_best_effort(w->vfs, w->staging);
    free_writer(w);
}

/* ---- reading ----------------------------------------------------------------------- */

struct reading {
    const struct vfs_map *map;
    size_t off;
    struct err *err;
};

static status next_frame(struct frame *out, struct reading *r)
{
    TRY(frame_read(out, r->map->ptr + r->off, r->map->len - r->off, PAYLOAD_MAGIC,
                   PAYLOAD_FILE_FORMAT, PAYLOAD_LEN_MAX, r->err));
    r->off += FRAME_HEAD_LEN + out->len;
    return ST_OK;
}

static status read_head(lsn *covered, struct reading *r, enum payload_kind kind,
                        const struct database_id *db)
{
    struct frame f;
    TRY(next_frame(&f, r));
    if (f.type != FRAME_HEAD || f.len != HEAD_LEN || load_u64(f.payload) != kind)
        return err_set(r->err, ST_CORRUPT, "does not begin with its head");
    if (memcmp(f.payload + 16, db->bytes, DATABASE_ID_LEN) != 0)
        return err_set(r->err, ST_CORRUPT, "belongs to another database");
    *covered = load_u64(f.payload + 8);
    return ST_OK;
}

/* Every frame up to the end. each NULL: checks them. */
static status read_frames(struct reading *r, status (*each)(void *ctx, struct slice payload),
                          void *ctx)
{
    struct frame f;
    uint64_t n = 0;
    for (;; n++) {
        TRY(next_frame(&f, r));
        if (f.type != FRAME_PAYLOAD) break;
        if (each) TRY(each(ctx, slice_of(f.payload, f.len)));
    }
    if (f.type != FRAME_END || f.len != END_LEN || load_u64(f.payload) != n)
        return err_set(r->err, ST_CORRUPT, "the end does not fit the %llu frames before it",
                       (unsigned long long)n);
    if (r->off != r->map->len) return err_set(r->err, ST_CORRUPT, "bytes behind the end");
    return ST_OK;
}

static status read_map(lsn *covered, const struct vfs_map *map, enum payload_kind kind,
                       const struct database_id *db,
                       status (*each)(void *ctx, struct slice payload), void *ctx,
                       struct err *err)
{
    struct reading r = {.map = map, .err = err};
    if (map->len == 0) return err_set(err, ST_CORRUPT, "is empty");
    TRY(read_head(covered, &r, kind, db));
    size_t first = r.off;
    TRY(read_frames(&r, NULL, NULL));
    r.off = first;
    return each ? read_frames(&r, each, ctx) : ST_OK;
}

status payload_file_read(lsn *covered, struct vfs *vfs, enum payload_kind kind,
                         const struct database_id *db,
                         status (*each)(void *ctx, struct slice payload), void *ctx,
                         struct err *err)
{
    struct vfs_file *file;
    struct vfs_map map = {0};
    uint64_t len = 0;
    *covered = 0;
    TRY(vfs_open(vfs, &file, payload_file_path(kind), VFS_READ, err));
    status st = vfs_len(file, &len, err);
    if (st == ST_OK && len > FILE_MAX) st = err_set(err, ST_CORRUPT, "is too large");
    if (st == ST_OK) st = vfs_map(file, &map, err);
    if (st == ST_OK) st = read_map(covered, &map, kind, db, each, ctx, err);
    vfs_unmap(&map);
    vfs_close(file);
    if (st != ST_OK) *covered = 0;
    return st;
}
