/* Writing a segment. See segment.h.
 *
 *     begin         staging directory, chunks.bin with its header
 *     add           chunk bytes go through one buffer of whole pages; index entries
 *                   gather to blocks of 128; series go to the table's builder
 *     finish        last page, index, series table, manifest: each file synced, then
 *                   durable_rename_dir(): the one moment at which the segment appears
 *
 * Memory: about 10 bytes a chunk for the index, the series table compressed as it grows,
 * and the buffer. A failure leaves the staging directory, which abort (or the next
 * start's sweep) removes.
 */
#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/durable.h"
#include "base/mem.h"
#include "base/panic.h"
#include "base/sync_point.h"
#include "base/varint.h"
#include "codec/chunk.h"
#include "storage/segment_priv.h"

enum {
    BUFFER_PAGES = 16,                          /* 1 MiB a write */
    BUFFER_LEN = BUFFER_PAGES * SEGMENT_PAGE,
};

struct segment_writer {
    struct vfs *vfs;
    struct segment_info info;
    layout_path staging;

    struct vfs_file *chunks;
    uint8_t *buf;              /* BUFFER_LEN; begins at a page */
    size_t buf_len;
    uint64_t buf_off;          /* in the file */
    struct strbuf pages;       /* CRCs */

    struct segment_entry block[SEGMENT_BLOCK];
    size_t n_block;
    struct strbuf blocks, dir;

    struct series_table *table;
    struct seg_sums sums;      /* of all series */
    struct segment_entry last; /* series and times of the chunk before */
    enum value_type type;      /* of the current series */
    bool has_chunk;            /* it has one */
    struct seg_files files;
};

/* ---- begin ---- */

static struct seg_head head_of(const struct segment_writer *w, enum seg_kind kind)
{
    return (struct seg_head){
        .kind = kind, .lane = w->info.lane, .segment = w->info.id, .db = w->info.db};
}

static status create_file(struct vfs_file **out, struct segment_writer *w, const char *name,
                          struct err *err)
{
    layout_path path;

    TRY(layout_join(path, w->staging, slice_str(name), err));
    return vfs_open(w->vfs, out, path, VFS_CREATE, err);
}

static status make_staging(struct segment_writer *w, struct err *err)
{
    TRY(vfs_mkdir_all(w->vfs, LAYOUT_STAGING_DIR, err));
    TRY(vfs_remove_tree(w->vfs, w->staging, err)); /* of an earlier, failed attempt */
    return vfs_mkdir(w->vfs, w->staging, err);
}

status segment_begin(struct segment_writer **out, struct vfs *vfs,
                     const struct segment_options *opt, struct err *err)
{
    if (opt->n_sources > SEGMENT_SOURCES_MAX) {
        return err_set(err, ST_INVALID, "a segment of %zu sources", opt->n_sources);
    }
    struct segment_writer *w = mem_try_zero(sizeof(*w));
    status st = ST_NO_MEMORY;
    if (!w) return err_set(err, st, "segment writer");
    w->vfs = vfs;
    w->info = (struct segment_info){.id = opt->id,
                                    .lane = opt->lane,
                                    .level = opt->level,
                                    .db = opt->db,
                                    .order_min = opt->order_min,
                                    .order_max = opt->order_max,
                                    .wal_lsn = opt->wal_lsn,
                                    .ts = {TS_MAX, TS_MIN},
                                    .n_sources = opt->n_sources};
    for (size_t i = 0; i < opt->n_sources; i++) w->info.sources[i] = opt->sources[i];
    strbuf_init(&w->pages, 0);
    strbuf_init(&w->blocks, 0);
    strbuf_init(&w->dir, 0);
    layout_segment_staging(w->staging, opt->lane, opt->level, opt->id);
    w->table = series_table_new(opt->id);
    w->buf = mem_try(BUFFER_LEN);
    if (!w->table || !w->buf) {
        st = err_set(err, ST_NO_MEMORY, "segment writer");
        goto fail;
    }
    st = make_staging(w, err);
    if (st != ST_OK) goto fail;
    st = create_file(&w->chunks, w, LAYOUT_SEG_CHUNKS, err);
    if (st != ST_OK) goto fail;

    struct seg_head head = head_of(w, SEG_CHUNKS);
    seg_head_put(w->buf, &head);
    w->buf_len = SEG_HEAD_LEN;
    *out = w;
    return ST_OK;

fail:
    segment_abort(w);
    return err_wrap(err, st, "begin segment %016llx", (unsigned long long)opt->id);
}

static void free_writer(struct segment_writer *w)
{
    vfs_close(w->chunks);
    mem_free(w->buf);
    strbuf_release(&w->pages);
    strbuf_release(&w->blocks);
    strbuf_release(&w->dir);
    series_table_free(w->table);
    mem_free(w);
}

void segment_abort(struct segment_writer *w)
{
    if (!w) return;
    /* Best effort: the next start sweeps what stays. */
    (void)!vfs_remove_tree(w->vfs, w->staging, NULL);
    free_writer(w);
}

/* ---- series and chunks ---- */

static status flush_block(struct segment_writer *w, struct err *err)
{
    uint8_t bytes[SEG_BLOCK_BYTES_MAX], row[SEG_DIR_LEN] = {0};
    const struct segment_entry *first = &w->block[0];

    if (w->n_block == 0) return ST_OK;
    size_t len = seg_block_encode(bytes, w->block, w->n_block);
    uint64_t number = w->dir.len / SEG_DIR_LEN;
    store_u64(row + SEG_DIR_SERIES, first->series);
    store_u64(row + SEG_DIR_CHUNK_OFF, first->off);
    store_u64(row + SEG_DIR_BLOCK_OFF, SEG_HEAD_LEN + w->blocks.len);
    store_u32(row + SEG_DIR_CRC, seg_crc(w->info.id, SEG_INDEX, number, bytes, len));
    row[SEG_DIR_SHARD] = (uint8_t)first->shard;
    row[SEG_DIR_N] = (uint8_t)w->n_block;
    strbuf_put(&w->blocks, bytes, len);
    strbuf_put(&w->dir, row, sizeof(row));
    w->n_block = 0;
    if (w->blocks.failed || w->dir.failed) return err_set(err, ST_NO_MEMORY, "chunk index");
    return ST_OK;
}

/* Writes what is in the buffer; only the last call may have a part of a page. */
static status flush_pages(struct segment_writer *w, struct err *err)
{
    for (size_t off = 0; off < w->buf_len; off += SEGMENT_PAGE) {
        uint8_t crc[4];
        size_t len = w->buf_len - off < SEGMENT_PAGE ? w->buf_len - off : SEGMENT_PAGE;
        uint64_t number = (w->buf_off + off) / SEGMENT_PAGE;
        store_u32(crc, seg_crc(w->info.id, SEG_CHUNKS, number, w->buf + off, len));
        strbuf_put(&w->pages, crc, sizeof(crc));
    }
    if (w->pages.failed) return err_set(err, ST_NO_MEMORY, "checksums of pages");
    TRY(vfs_write(w->chunks, w->buf_off, w->buf, w->buf_len, err));
    w->buf_off += w->buf_len;
    w->buf_len = 0;
    return ST_OK;
}

static status put_bytes(struct segment_writer *w, const uint8_t *src, size_t len,
                        struct err *err)
{
    while (len > 0) {
        size_t room = BUFFER_LEN - w->buf_len;
        size_t n = len < room ? len : room;
        memcpy(w->buf + w->buf_len, src, n);
        w->buf_len += n;
        src += n;
        len -= n;
        if (w->buf_len == BUFFER_LEN) TRY(flush_pages(w, err));
    }
    return ST_OK;
}

status segment_add_series(struct segment_writer *w, const struct segment_series *series,
                          struct err *err)
{
    unsigned shard = segment_shard(series->place);

    if (w->info.n_series > 0) {
        if (!w->has_chunk) return err_set(err, ST_INVALID, "series without a chunk");
        if (seg_key_cmp(w->last.shard, w->last.series, shard, series->id) >= 0) {
            return err_set(err, ST_INVALID, "series %llu is out of order",
                           (unsigned long long)series->id);
        }
    }
    if (value_lane_of(series->type) != w->info.lane) {
        return err_set(err, ST_INVALID, "series %llu is of another lane",
                       (unsigned long long)series->id);
    }
    if (series->id >> 63) return err_set(err, ST_INVALID, "series ids have 63 bits");
    TRY(series_table_add(w->table, series, err));
    seg_sums_add(&w->sums, series);
    w->last = (struct segment_entry){.series = series->id, .shard = shard};
    w->type = series->type;
    w->has_chunk = false;
    w->info.n_series++;
    return ST_OK;
}

status segment_add_chunk(struct segment_writer *w, const struct chunk_ref *chunk,
                         struct err *err)
{
    uint8_t head[VARINT_MAX];
    size_t head_len = varint_put(head, chunk->ticks_len);
    size_t len = head_len + chunk->ticks_len + chunk->values_len;
    struct time_range ts = chunk->ts;

    if (w->info.n_series == 0) return err_set(err, ST_INVALID, "chunk without a series");
    if (chunk->n < 1 || chunk->n > CHUNK_POINTS_MAX || chunk->values_len < 1 ||
        len > SEGMENT_CHUNK_MAX || range_empty(ts) || chunk->type != w->type) {
        return err_set(err, ST_INVALID, "chunk over its limits or of another type");
    }
    if (w->has_chunk && ts.from <= w->last.ts.to) {
        return err_set(err, ST_INVALID, "chunks of series %llu overlap",
                       (unsigned long long)w->last.series);
    }
    if (w->n_block == SEGMENT_BLOCK) TRY(flush_block(w, err));
    w->last.ts = ts;
    w->last.n_points = chunk->n;
    w->last.off = w->buf_off + w->buf_len;
    w->last.len = (uint32_t)len;
    TRY(put_bytes(w, head, head_len, err));
    TRY(put_bytes(w, chunk->ticks, chunk->ticks_len, err));
    TRY(put_bytes(w, chunk->values, chunk->values_len, err));
    w->block[w->n_block++] = w->last;
    w->has_chunk = true;
    w->info.n_chunks++;
    w->info.n_points += chunk->n;
    if (ts.from < w->info.ts.from) w->info.ts.from = ts.from;
    if (ts.to > w->info.ts.to) w->info.ts.to = ts.to;
    return ST_OK;
}

uint64_t segment_writer_bytes(const struct segment_writer *w)
{
    return w->buf_off + w->buf_len;
}

/* ---- finish ---- */

static status finish_chunks(struct segment_writer *w, struct err *err)
{
    static const uint8_t pad[CHUNK_PAD];

    TRY(put_bytes(w, pad, sizeof(pad), err));
    if (w->buf_len > 0) TRY(flush_pages(w, err));
    w->files.chunks = w->buf_off;
    return vfs_sync(w->chunks, err);
}

static status write_index(struct segment_writer *w, struct vfs_file *file, struct err *err)
{
    uint8_t head[SEG_HEAD_LEN], crc[4];
    struct seg_head fields = head_of(w, SEG_INDEX);
    uint64_t dir_off = SEG_HEAD_LEN + w->blocks.len;

    fields.a = w->info.n_chunks;
    fields.b = dir_off;
    fields.c = w->files.chunks;
    seg_head_put(head, &fields);

    /* Directory and page checksums are one part, under one checksum at the end. */
    strbuf_put(&w->dir, w->pages.ptr, w->pages.len);
    if (w->dir.failed) return err_set(err, ST_NO_MEMORY, "chunk index");
    store_u32(crc, seg_crc(w->info.id, SEG_INDEX, UINT64_MAX, w->dir.ptr, w->dir.len));
    strbuf_put(&w->dir, crc, sizeof(crc));
    if (w->dir.failed) return err_set(err, ST_NO_MEMORY, "chunk index");

    TRY(vfs_write(file, 0, head, sizeof(head), err));
    TRY(vfs_write(file, SEG_HEAD_LEN, w->blocks.ptr, w->blocks.len, err));
    TRY(vfs_write(file, dir_off, w->dir.ptr, w->dir.len, err));
    w->files.index = dir_off + w->dir.len;
    return vfs_sync(file, err);
}

static status finish_index(struct segment_writer *w, struct err *err)
{
    struct vfs_file *file;

    TRY(flush_block(w, err));
    TRY(create_file(&file, w, LAYOUT_SEG_INDEX, err));
    status st = write_index(w, file, err);
    vfs_close(file);
    return st;
}

static status finish_series(struct segment_writer *w, struct err *err)
{
    struct seg_head head = head_of(w, SEG_SERIES);
    struct vfs_file *file;

    TRY(create_file(&file, w, LAYOUT_SEG_SERIES, err));
    status st = series_table_write(w->table, file, &head, &w->files.series, err);
    if (st == ST_OK) st = vfs_sync(file, err);
    vfs_close(file);
    return st;
}

static status publish(struct segment_writer *w, struct err *err)
{
    layout_path path;
    char parent[VFS_PATH_MAX];

    layout_segment(path, w->info.lane, w->info.level, w->info.id);
    vfs_parent(parent, path);
    TRY(vfs_mkdir_all(w->vfs, parent, err));
    SYNC_POINT("segment:before-publish");
    return durable_rename_dir(w->vfs, w->staging, path, err);
}

status segment_finish(struct segment_writer *w, struct segment_info *out, struct err *err)
{
    uint64_t id = w->info.id;
    status st = ST_OK;

    if (w->info.n_series == 0 || !w->has_chunk) {
        st = err_set(err, ST_INVALID, "nothing in it, or a series without a chunk");
    }
    if (st == ST_OK) st = finish_chunks(w, err);
    if (st == ST_OK) st = finish_index(w, err);
    if (st == ST_OK) st = finish_series(w, err);
    w->info.keyed = w->sums.keyed;
    w->info.id_max = w->sums.id_max;
    w->info.fingerprint = w->sums.fingerprint;
    w->info.n_bytes = w->files.chunks + w->files.index + w->files.series;
    if (st == ST_OK) st = seg_manifest_write(w->vfs, w->staging, &w->info, &w->files, err);
    if (st == ST_OK) st = publish(w, err);
    if (st != ST_OK) {
        segment_abort(w);
        return err_wrap(err, st, "finish segment %016llx", (unsigned long long)id);
    }
    *out = w->info;
    free_writer(w);
    return ST_OK;
}
