/* Writing a segment. See segment.h.
 *
 *     begin         staging directory, chunks.bin and ticks.bin with their headers
 *     add           values and ticks go through buffers of whole pages, ticks only when
 *                   they are new; index entries gather to blocks of 128; series go to
 *                   the table's builder
 *     finish        last pages, index, series table, manifest: each file synced, then
 *                   durable_rename_dir(): the one moment at which the segment appears
 *
 * Memory: about 6 bytes a chunk for the index, 3.5 a pattern of ticks and at most 6 MiB to
 * find them again, the series table compressed as it grows, and the buffers. A failure
 * leaves the staging directory, which abort (or the next start's sweep) removes.
 */
#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/durable.h"
#include "base/mem.h"
#include "base/panic.h"
#include "base/sync_point.h"
#include "codec/chunk.h"
#include "storage/segment_priv.h"

enum {
    CHUNKS_BUFFER = 16 * SEGMENT_PAGE, /* 1 MiB a write */
    TICKS_BUFFER = 4 * SEGMENT_PAGE,
};

struct segment_writer {
    struct vfs *vfs;
    struct segment_info info;
    layout_path staging;

    struct seg_pages chunks, ticks;
    struct seg_ticks known;    /* what is in ticks.bin */

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

static status begin_pages(struct seg_pages *out, struct segment_writer *w, enum seg_kind kind,
                          const char *name, size_t cap, struct err *err)
{
    struct seg_head head = head_of(w, kind);
    struct vfs_file *file;

    TRY(create_file(&file, w, name, err));
    return seg_pages_begin(out, file, &head, cap, err);
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
                                    .del_gen = opt->del_gen,
                                    .ts = {TS_MAX, TS_MIN},
                                    .n_sources = opt->n_sources};
    for (size_t i = 0; i < opt->n_sources; i++) w->info.sources[i] = opt->sources[i];
    strbuf_init(&w->blocks, 0);
    strbuf_init(&w->dir, 0);
    strbuf_init(&w->known.table, 0);
    layout_segment_staging(w->staging, opt->lane, opt->level, opt->id);
    w->table = series_table_new(opt->id);
    if (!w->table) {
        st = err_set(err, ST_NO_MEMORY, "segment writer");
        goto fail;
    }
    st = make_staging(w, err);
    if (st != ST_OK) goto fail;
    st = begin_pages(&w->chunks, w, SEG_CHUNKS, LAYOUT_SEG_CHUNKS, CHUNKS_BUFFER, err);
    if (st != ST_OK) goto fail;
    st = begin_pages(&w->ticks, w, SEG_TICKS, LAYOUT_SEG_TICKS, TICKS_BUFFER, err);
    if (st != ST_OK) goto fail;
    *out = w;
    return ST_OK;

fail:
    segment_abort(w);
    return err_wrap(err, st, "begin segment %016llx", (unsigned long long)opt->id);
}

static void free_writer(struct segment_writer *w)
{
    seg_pages_release(&w->chunks);
    seg_pages_release(&w->ticks);
    seg_ticks_release(&w->known);
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

/* The chunk's ticks, unless they are there already; *ticks as in the index. */
static status put_ticks(uint32_t *ticks, struct segment_writer *w, const struct chunk_ref *chunk,
                        struct err *err)
{
    uint32_t number;

    *ticks = 0;
    if (chunk->ticks_len == 0) return ST_OK;
    struct hash128 hash = hash128(chunk->ticks, chunk->ticks_len);
    if (!seg_ticks_find(&number, &w->known, hash)) {
        TRY(seg_ticks_put(&number, &w->known, hash, seg_pages_at(&w->ticks), chunk->ticks_len,
                          err));
        TRY(seg_pages_put(&w->ticks, chunk->ticks, chunk->ticks_len, err));
    }
    *ticks = number + 1;
    return ST_OK;
}

status segment_add_chunk(struct segment_writer *w, const struct chunk_ref *chunk,
                         struct err *err)
{
    struct time_range ts = chunk->ts;

    if (w->info.n_series == 0) return err_set(err, ST_INVALID, "chunk without a series");
    if (chunk->n < 1 || chunk->n > CHUNK_POINTS_MAX || chunk->values_len < 1 ||
        chunk->values_len > SEGMENT_CHUNK_MAX || range_empty(ts) || chunk->type != w->type) {
        return err_set(err, ST_INVALID, "chunk over its limits or of another type");
    }
    if (w->has_chunk && ts.from <= w->last.ts.to) {
        return err_set(err, ST_INVALID, "chunks of series %llu overlap",
                       (unsigned long long)w->last.series);
    }
    if (w->n_block == SEGMENT_BLOCK) TRY(flush_block(w, err));
    w->last.ts = ts;
    w->last.n_points = chunk->n;
    w->last.off = seg_pages_at(&w->chunks);
    w->last.len = (uint32_t)chunk->values_len;
    TRY(put_ticks(&w->last.ticks, w, chunk, err));
    TRY(seg_pages_put(&w->chunks, chunk->values, chunk->values_len, err));
    w->block[w->n_block++] = w->last;
    w->has_chunk = true;
    w->info.n_chunks++;
    w->info.n_points += chunk->n;
    if (ts.from < w->info.ts.from) w->info.ts.from = ts.from;
    if (ts.to > w->info.ts.to) w->info.ts.to = ts.to;
    return ST_OK;
}

void segment_writer_set(struct segment_writer *w, uint64_t first, uint64_t n)
{
    w->info.set_first = first;
    w->info.set_n = n;
}

uint64_t segment_writer_bytes(const struct segment_writer *w)
{
    return seg_pages_at(&w->chunks) + seg_pages_at(&w->ticks) - 2 * SEG_HEAD_LEN;
}

/* ---- finish ---- */

static status finish_pages(struct segment_writer *w, struct err *err)
{
    TRY(seg_pages_finish(&w->chunks, err));
    TRY(seg_pages_finish(&w->ticks, err));
    w->files.chunks = w->chunks.off;
    w->files.ticks = w->ticks.off;
    w->info.n_ticks = w->known.n;
    return ST_OK;
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

    /* Directory, table of ticks and page checksums are one part, under one checksum at
     * the end. */
    strbuf_put(&w->dir, w->known.table.ptr, w->known.table.len);
    strbuf_put(&w->dir, w->chunks.crcs.ptr, w->chunks.crcs.len);
    strbuf_put(&w->dir, w->ticks.crcs.ptr, w->ticks.crcs.len);
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
    status st = durable_rename_dir(w->vfs, w->staging, path, err);
    /* Renamed, and perhaps not durably: nobody will name it. What cannot be removed the
     * next start sweeps. */
    if (st != ST_OK && st != ST_EXISTS && !vfs_exists(w->vfs, w->staging))
        (void)!segment_remove(w->vfs, path, NULL);
    return st;
}

status segment_finish(struct segment_writer *w, struct segment_info *out, struct err *err)
{
    uint64_t id = w->info.id;
    status st = ST_OK;

    if (w->info.n_series == 0 || !w->has_chunk) {
        st = err_set(err, ST_INVALID, "nothing in it, or a series without a chunk");
    }
    if (st == ST_OK) st = finish_pages(w, err);
    if (st == ST_OK) st = finish_index(w, err);
    if (st == ST_OK) st = finish_series(w, err);
    w->info.keyed = w->sums.keyed;
    w->info.id_max = w->sums.id_max;
    w->info.fingerprint = w->sums.fingerprint;
    w->info.n_bytes = w->files.chunks + w->files.ticks + w->files.index + w->files.series;
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
