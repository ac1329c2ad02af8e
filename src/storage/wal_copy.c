/* Copying a held log. See wal_copy.h.
 *
 * Files of the log are written again after they were recycled, so a hard link to one
 * would change under the snapshot: they are copied. In each file only the chain of valid
 * frames counts; what a recycled file holds behind it belongs to another file id and
 * does not parse. Files go in order of id, which is the order of sequence numbers, and
 * the numbers must continue from file to file.
 */
#include "storage/wal_copy.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/vec.h"
#include "storage/layout.h"

enum { PIECE = 1 << 20, COPY_FILES_MAX = 1 << 20 };

struct ids {
    VEC(uint64_t) v;
};

struct copying {
    const struct wal_copy *opt;
    lsn expect;               /* 0: none seen yet */
    lsn last;                 /* the last frame seen in the files copied */
    uint64_t n_bytes;
    bool dry;                 /* only count */
    struct err *err;
};

static status add_id(void *ctx, const struct vfs_entry *entry)
{
    struct ids *ids = ctx;
    uint64_t id;

    if (entry->is_dir || !layout_wal_id(&id, entry->name)) return ST_OK;
    if (ids->v.len >= COPY_FILES_MAX) return ST_LIMIT;
    return vec_push(&ids->v, id) ? ST_OK : ST_NO_MEMORY;
}

static int by_id(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* ---- one file ---- */

/* The frames of a file that lie in the copy. */
struct chain {
    lsn first, last;          /* 0: none */
    size_t end;               /* of the last of them */
};

static void follow(struct chain *chain, const struct copying *c, uint64_t id,
                   const struct vfs_map *map)
{
    struct wal_frame frame;
    size_t len;

    *chain = (struct chain){.end = WAL_FILE_HEAD_LEN};
    for (size_t off = WAL_FILE_HEAD_LEN; off < map->len; off += len) {
        if (wal_frame_parse(&frame, &len, id, map->ptr + off, map->len - off)) return;
        if (frame.seq > c->opt->cut) return;
        if (frame.type != WAL_MARK) {
            if (chain->last && frame.seq != chain->last + 1) return;
            if (!chain->first) chain->first = frame.seq;
            chain->last = frame.seq;
        }
        chain->end = off + len;
    }
}

static status write_all(struct vfs_file *file, const uint8_t *src, size_t len,
                        const struct copying *c)
{
    for (size_t off = 0; off < len;) {
        size_t n = len - off < PIECE ? len - off : PIECE;
        if (c->opt->cancelled && atomic_load_explicit(c->opt->cancelled, memory_order_relaxed)) {
            return err_set(c->err, ST_CANCELLED, "cancelled");
        }
        TRY(vfs_write(file, off, src + off, n, c->err));
        off += n;
    }
    return ST_OK;
}

/* The end of the copied log: nothing may follow, and all before it was synced. */
static status put_mark(struct vfs_file *file, uint64_t id, size_t off, const struct copying *c)
{
    uint8_t mark[WAL_HEAD_LEN + WAL_RUN_LEN];

    wal_frame_head(mark, WAL_MARK, WAL_BARRIER | WAL_CLEAN, c->opt->cut, WAL_RUN_LEN);
    store_u64(mark + WAL_HEAD_LEN, 0);
    wal_frame_seal(mark, id);
    return vfs_write(file, off, mark, sizeof(mark), c->err);
}

static status write_copy(struct copying *c, uint64_t id, const struct vfs_map *map,
                         const struct chain *chain)
{
    struct vfs_file *file;
    layout_path path;

    layout_wal(path, id);
    TRY(vfs_open(c->opt->to, &file, path, VFS_CREATE, c->err));
    status st = write_all(file, map->ptr, chain->end, c);
    if (st == ST_OK && chain->last == c->opt->cut) st = put_mark(file, id, chain->end, c);
    if (st == ST_OK) st = vfs_sync(file, c->err);
    vfs_close(file);
    return st;
}

static status take_chain(struct copying *c, uint64_t id, const struct vfs_map *map)
{
    struct wal_file_head head;
    struct chain chain;

    TRY(wal_file_head_get(&head, map->ptr, map->len, c->err));
    if (head.file_id != id || memcmp(&head.db, &c->opt->db, sizeof(head.db)) != 0) {
        return err_set(c->err, ST_CORRUPT, "the header belongs to another file");
    }
    follow(&chain, c, id, map);
    if (chain.last == 0 || chain.last <= c->opt->covered) return ST_OK;
    if (chain.first > (c->expect ? c->expect : c->opt->covered + 1)) {
        return err_set(c->err, ST_CORRUPT, "begins with frame %llu, but %llu is missing",
                       (unsigned long long)chain.first,
                       (unsigned long long)(c->expect ? c->expect : c->opt->covered + 1));
    }
    c->expect = chain.last + 1;
    c->last = chain.last;
    c->n_bytes += chain.end + WAL_HEAD_LEN + WAL_RUN_LEN;
    return c->dry ? ST_OK : write_copy(c, id, map, &chain);
}

static status copy_one(struct copying *c, uint64_t id)
{
    struct vfs_file *file;
    struct vfs_map map;
    layout_path path;

    layout_wal(path, id);
    TRY(vfs_open(c->opt->from, &file, path, VFS_READ, c->err));
    status st = vfs_map(file, &map, c->err);
    vfs_close(file);
    if (st != ST_OK) return st;
    st = take_chain(c, id, &map);
    vfs_unmap(&map);
    return st == ST_OK ? ST_OK : err_wrap(c->err, st, "%s", path);
}

/* ---- all of them ---- */

static status copy_log(struct copying *c)
{
    struct ids ids = {0};

    if (c->opt->cut <= c->opt->covered) return ST_OK;
    status st = vfs_list(c->opt->from, LAYOUT_WAL_DIR, add_id, &ids, c->err);
    if (st == ST_OK && ids.v.len) qsort(ids.v.ptr, ids.v.len, sizeof(ids.v.ptr[0]), by_id);
    for (size_t i = 0; st == ST_OK && i < ids.v.len && c->last < c->opt->cut; i++) {
        st = copy_one(c, ids.v.ptr[i]);
    }
    vec_release(&ids.v);
    if (st == ST_OK && c->last < c->opt->cut) {
        st = err_set(c->err, ST_CORRUPT, "the log ends at frame %llu, before %llu",
                     (unsigned long long)c->last, (unsigned long long)c->opt->cut);
    }
    return st;
}

status wal_copy_bytes(uint64_t *out, const struct wal_copy *copy, struct err *err)
{
    struct copying c = {.opt = copy, .dry = true, .err = err};

    TRY(copy_log(&c));
    *out = c.n_bytes;
    return ST_OK;
}

status wal_copy_run(const struct wal_copy *copy, struct err *err)
{
    struct copying c = {.opt = copy, .err = err};

    TRY(vfs_mkdir_all(copy->to, LAYOUT_WAL_DIR, err));
    TRY(copy_log(&c));
    return vfs_sync_dir(copy->to, LAYOUT_WAL_DIR, err);
}
