/* Reading a segment. See segment.h. All files but series.bin are mapped; nothing of
 * their payload is read before it is asked for. The directory of the index (32 bytes for
 * 128 chunks) is checked when the segment is opened, so look-ups trust it.
 *
 * Whether a page or block was verified is one bit in a shared bitmap. Two threads may
 * verify the same page at once; both find the same answer, and the bit is only ever set.
 */
#include <stdlib.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/panic.h"
#include "storage/segment_priv.h"

/* ---- opening ---- */

/* Opens a file that has the length that the manifest says. */
static status open_file(struct vfs_file **out, struct segment *seg, const char *name,
                        uint64_t expect, struct err *err)
{
    struct vfs_file *file;
    layout_path path;
    uint64_t len;

    TRY(layout_join(path, seg->dir, slice_str(name), err));
    status st = vfs_open(seg->vfs, &file, path, VFS_READ, err);
    if (st == ST_NOT_FOUND) return err_set(err, ST_CORRUPT, "%s is missing", name);
    if (st != ST_OK) return st;
    st = vfs_len(file, &len, err);
    if (st == ST_OK && len != expect) {
        st = err_set(err, ST_CORRUPT, "%s has %llu bytes, the manifest says %llu", name,
                     (unsigned long long)len, (unsigned long long)expect);
    }
    if (st == ST_OK) *out = file;
    else vfs_close(file);
    return st;
}

static status map_file(struct vfs_map *out, struct segment *seg, const char *name, uint64_t len,
                       struct err *err)
{
    struct vfs_file *file;

    TRY(open_file(&file, seg, name, len, err));
    status st = vfs_map(file, out, err);
    vfs_close(file);
    if (st == ST_OK && out->len != len) return err_set(err, ST_CORRUPT, "%s changes", name);
    return st;
}

static struct seg_head expect_head(const struct segment *seg, enum seg_kind kind)
{
    return (struct seg_head){
        .kind = kind, .lane = seg->info.lane, .segment = seg->info.id, .db = seg->info.db};
}

/* Blocks follow each other in the file, in chunks.bin and in order of their keys. */
static status check_directory(const struct segment *seg, struct err *err)
{
    uint64_t block_off = SEG_HEAD_LEN, chunk_off = SEG_HEAD_LEN, left = seg->info.n_chunks;
    unsigned shard = 0;
    uint64_t series = 0;

    for (uint64_t i = 0; i < seg->n_blocks; i++) {
        const uint8_t *row = seg->blocks + i * SEG_DIR_LEN;
        uint64_t n = left < SEGMENT_BLOCK ? left : SEGMENT_BLOCK;
        uint64_t off = load_u64(row + SEG_DIR_BLOCK_OFF), at = load_u64(row + SEG_DIR_CHUNK_OFF);
        bool first = i == 0;
        if (row[SEG_DIR_N] != n || row[SEG_DIR_SHARD] >= SEGMENT_SHARDS ||
            off >= seg->dir_off || (first ? off != block_off : off <= block_off) ||
            at >= seg->files.chunks || (first ? at != chunk_off : at <= chunk_off) ||
            seg_key_cmp(row[SEG_DIR_SHARD], load_u64(row + SEG_DIR_SERIES), shard, series) < 0) {
            return err_set(err, ST_CORRUPT, "block %llu of the index contradicts its neighbours",
                           (unsigned long long)i);
        }
        block_off = off;
        chunk_off = at;
        shard = row[SEG_DIR_SHARD];
        series = load_u64(row + SEG_DIR_SERIES);
        left -= n;
    }
    return ST_OK;
}

static status open_index(struct segment *seg, struct err *err)
{
    struct seg_head expect = expect_head(seg, SEG_INDEX), head;
    const uint8_t *base = seg->index.ptr;
    size_t len = seg->index.len;

    TRY(seg_head_get(&head, base, len, &expect, err));
    seg->n_blocks = seg->info.n_chunks / SEGMENT_BLOCK + (seg->info.n_chunks % SEGMENT_BLOCK > 0);
    seg->chunks.n_pages = seg_n_pages(seg->files.chunks);
    seg->ticks.n_pages = seg_n_pages(seg->files.ticks);
    uint64_t n_pages = seg->chunks.n_pages + seg->ticks.n_pages;
    uint64_t n_groups = seg_ticks_groups(seg->info.n_ticks);
    seg->dir_off = head.b;
    if (head.a != seg->info.n_chunks || head.c != seg->files.chunks ||
        head.b < SEG_HEAD_LEN || head.b > len || seg->n_blocks > len / SEG_DIR_LEN ||
        n_pages > len / 4 || n_groups > len / SEG_TICKS_GROUP_LEN ||
        head.b + seg->n_blocks * SEG_DIR_LEN + n_groups * SEG_TICKS_GROUP_LEN + n_pages * 4 + 4 !=
            len) {
        return err_set(err, ST_CORRUPT, "the index contradicts the manifest");
    }
    size_t dir_len = len - 4 - head.b;
    if (load_u32(base + len - 4) !=
        seg_crc(seg->info.id, SEG_INDEX, UINT64_MAX, base + head.b, dir_len)) {
        return err_set(err, ST_CORRUPT, "the checksum of the index directory is wrong");
    }
    seg->blocks = base + head.b;
    seg->tick_table = seg->blocks + seg->n_blocks * SEG_DIR_LEN;
    seg->chunks.crcs = seg->tick_table + n_groups * SEG_TICKS_GROUP_LEN;
    seg->ticks.crcs = seg->chunks.crcs + seg->chunks.n_pages * 4;
    return check_directory(seg, err);
}

static status open_mapped(struct seg_mapped *out, struct segment *seg, enum seg_kind kind,
                          const char *name, uint64_t len, struct err *err)
{
    struct seg_head expect = expect_head(seg, kind), head;

    if (len < SEG_HEAD_LEN + CHUNK_PAD) return err_set(err, ST_CORRUPT, "%s is short", name);
    TRY(map_file(&out->map, seg, name, len, err));
    out->kind = kind;
    out->ok = mem_try_zero((size_t)(seg_n_pages(len) / 64 + 1) * sizeof(out->ok[0]));
    if (!out->ok) return err_set(err, ST_NO_MEMORY, "segment");
    status st = seg_head_get(&head, out->map.ptr, out->map.len, &expect, err);
    return st == ST_OK ? ST_OK : err_wrap(err, st, "%s", name);
}

static status open_files(struct segment *seg, struct err *err)
{
    struct vfs_file *series;
    status st;

    TRY(open_file(&series, seg, LAYOUT_SEG_SERIES, seg->files.series, err));
    vfs_close(series); /* its content when somebody asks */
    TRY(open_mapped(&seg->chunks, seg, SEG_CHUNKS, LAYOUT_SEG_CHUNKS, seg->files.chunks, err));
    TRY(open_mapped(&seg->ticks, seg, SEG_TICKS, LAYOUT_SEG_TICKS, seg->files.ticks, err));
    TRY(map_file(&seg->index, seg, LAYOUT_SEG_INDEX, seg->files.index, err));
    st = open_index(seg, err);
    if (st != ST_OK) return err_wrap(err, st, LAYOUT_SEG_INDEX);

    seg->blocks_ok = mem_try_zero((size_t)(seg->n_blocks / 64 + 1) * sizeof(seg->blocks_ok[0]));
    if (!seg->blocks_ok) return err_set(err, ST_NO_MEMORY, "segment");
    return ST_OK;
}

status segment_open(struct segment **out, struct vfs *vfs, const char *dir,
                    const struct database_id *db, struct err *err)
{
    struct segment *seg = mem_zalloc(sizeof(*seg));
    status st;

    atomic_store_explicit(&seg->refs, 1, memory_order_relaxed);
    seg->vfs = vfs;
    st = vfs_path_check(dir, err);
    if (st != ST_OK) goto fail;
    memcpy(seg->dir, dir, strlen(dir) + 1);
    st = seg_manifest_read(&seg->info, &seg->files, vfs, dir, err);
    if (st != ST_OK) goto fail;
    if (db && memcmp(db, &seg->info.db, sizeof(*db)) != 0) {
        st = err_set(err, ST_CORRUPT, "belongs to another database");
        goto fail;
    }
    st = open_files(seg, err);
    if (st != ST_OK) goto fail;
    *out = seg;
    return ST_OK;

fail:
    segment_unref(seg);
    return err_wrap(err, st, "segment %s", dir);
}

struct segment *segment_ref(struct segment *seg)
{
    atomic_fetch_add_explicit(&seg->refs, 1, memory_order_relaxed);
    return seg;
}

void segment_unref(struct segment *seg)
{
    if (!seg || atomic_fetch_sub_explicit(&seg->refs, 1, memory_order_acq_rel) != 1) return;
    vfs_unmap(&seg->chunks.map);
    vfs_unmap(&seg->ticks.map);
    vfs_unmap(&seg->index);
    mem_free(seg->chunks.ok);
    mem_free(seg->ticks.ok);
    mem_free(seg->blocks_ok);
    mem_free(seg);
}

const struct segment_info *segment_info(const struct segment *seg)
{
    return &seg->info;
}

const char *segment_dir(const struct segment *seg)
{
    return seg->dir;
}

/* ---- verified bits ---- */

static bool is_verified(const _Atomic uint64_t *bits, uint64_t i)
{
    return atomic_load_explicit(&bits[i / 64], memory_order_relaxed) >> (i % 64) & 1;
}

static void set_verified(_Atomic uint64_t *bits, uint64_t i)
{
    atomic_fetch_or_explicit(&bits[i / 64], 1ull << (i % 64), memory_order_relaxed);
}

/* ---- the index ---- */

status segment_load_block(const struct segment *seg, struct segment_entry *entries, size_t *n,
                          uint64_t block, struct err *err)
{
    const uint8_t *row = seg->blocks + block * SEG_DIR_LEN;
    uint64_t off = load_u64(row + SEG_DIR_BLOCK_OFF);
    uint64_t end = block + 1 < seg->n_blocks ? load_u64(row + SEG_DIR_LEN + SEG_DIR_BLOCK_OFF)
                                             : seg->dir_off;
    const uint8_t *src = seg->index.ptr + off;
    size_t len = (size_t)(end - off);

    DASSERT(block < seg->n_blocks);
    if (!is_verified(seg->blocks_ok, block)) {
        if (load_u32(row + SEG_DIR_CRC) != seg_crc(seg->info.id, SEG_INDEX, block, src, len)) {
            return err_set(err, ST_CORRUPT, "%s: " LAYOUT_SEG_INDEX ": block %llu: wrong checksum",
                           seg->dir, (unsigned long long)block);
        }
        set_verified(seg->blocks_ok, block);
    }
    entries[0] = (struct segment_entry){.series = load_u64(row + SEG_DIR_SERIES),
                                        .shard = row[SEG_DIR_SHARD],
                                        .off = load_u64(row + SEG_DIR_CHUNK_OFF)};
    *n = row[SEG_DIR_N];
    status st = seg_block_decode(entries, *n, seg->files.chunks - CHUNK_PAD, src, len);
    if (st == ST_OK) return ST_OK;
    return err_set(err, st, "%s: " LAYOUT_SEG_INDEX ": block %llu does not decode", seg->dir,
                   (unsigned long long)block);
}

static int cmp_block(const struct segment *seg, uint64_t block, unsigned shard, uint64_t series)
{
    const uint8_t *row = seg->blocks + block * SEG_DIR_LEN;
    return seg_key_cmp(row[SEG_DIR_SHARD], load_u64(row + SEG_DIR_SERIES), shard, series);
}

/* The last block that begins before the series, or 0: its first chunk is there or is the
 * first entry of the next block. */
static uint64_t find_block(const struct segment *seg, unsigned shard, uint64_t series)
{
    uint64_t from = 0, to = seg->n_blocks;
    while (from < to) {
        uint64_t mid = from + (to - from) / 2;
        if (cmp_block(seg, mid, shard, series) < 0) from = mid + 1;
        else to = mid;
    }
    return from > 0 ? from - 1 : 0;
}

/* ---- cursor ---- */

void segment_cursor_init(struct segment_cursor *cur, const struct segment *seg,
                         struct segment_range range)
{
    cur->seg = seg;
    cur->block = UINT64_MAX;
    cur->n = 0;
    cur->next = range.first;
    cur->end = range.n == 0 && range.first == 0 ? seg->info.n_chunks : range.first + range.n;
    if (cur->end > seg->info.n_chunks) cur->end = seg->info.n_chunks;
}

static status load_block(struct segment_cursor *cur, uint64_t block, struct err *err)
{
    if (cur->block == block) return ST_OK;
    cur->block = UINT64_MAX; /* a failure leaves nothing half decoded */
    TRY(segment_load_block(cur->seg, cur->entries, &cur->n, block, err));
    cur->block = block;
    return ST_OK;
}

status segment_next(struct segment_cursor *cur, const struct segment_entry **entry,
                    struct err *err)
{
    if (cur->next >= cur->end) {
        *entry = NULL;
        return ST_OK;
    }
    TRY(load_block(cur, cur->next / SEGMENT_BLOCK, err));
    *entry = &cur->entries[cur->next % SEGMENT_BLOCK];
    cur->next++;
    return ST_OK;
}

/* First entry in the loaded block that is not before the series. */
static size_t find_entry(const struct segment_cursor *cur, unsigned shard, uint64_t series)
{
    size_t from = 0, to = cur->n;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        const struct segment_entry *e = &cur->entries[mid];
        if (seg_key_cmp(e->shard, e->series, shard, series) < 0) from = mid + 1;
        else to = mid;
    }
    return from;
}

/* Whether the loaded block certainly holds the first entry at or behind the series. */
static bool holds(const struct segment_cursor *cur, unsigned shard, uint64_t series)
{
    if (cur->block == UINT64_MAX) return false;
    const struct segment_entry *first = &cur->entries[0], *last = &cur->entries[cur->n - 1];
    return seg_key_cmp(first->shard, first->series, shard, series) < 0 &&
           seg_key_cmp(last->shard, last->series, shard, series) >= 0;
}

status segment_seek(struct segment_cursor *cur, unsigned shard, uint64_t series, struct err *err)
{
    const struct segment *seg = cur->seg;
    uint64_t block = holds(cur, shard, series) ? cur->block : find_block(seg, shard, series);

    cur->next = cur->end = 0;
    TRY(load_block(cur, block, err));
    size_t idx = find_entry(cur, shard, series);
    if (idx == cur->n) { /* behind this block: then it begins the next one, or is not there */
        if (block + 1 >= seg->n_blocks || cmp_block(seg, block + 1, shard, series) != 0) {
            return ST_OK;
        }
        TRY(load_block(cur, ++block, err));
        idx = 0;
    }
    uint64_t first = block * SEGMENT_BLOCK + idx, end = first;
    while (seg_key_cmp(cur->entries[idx].shard, cur->entries[idx].series, shard, series) == 0) {
        end++;
        idx++;
        if (idx < cur->n) continue;
        if (block + 1 >= seg->n_blocks || cmp_block(seg, block + 1, shard, series) != 0) break;
        TRY(load_block(cur, ++block, err));
        idx = 0;
    }
    cur->next = first;
    cur->end = end;
    return ST_OK;
}

status segment_find(struct segment_range *out, const struct segment *seg, unsigned shard,
                    uint64_t series, struct err *err)
{
    struct segment_cursor cur;

    segment_cursor_init(&cur, seg, (struct segment_range){0});
    TRY(segment_seek(&cur, shard, series, err));
    bool found = cur.end > cur.next;
    *out = (struct segment_range){found ? cur.next : seg->info.n_chunks, cur.end - cur.next};
    return ST_OK;
}

/* ---- chunks ---- */

static status verify_page(struct segment *seg, struct seg_mapped *file, uint64_t page,
                          struct err *err)
{
    uint64_t off = page * SEGMENT_PAGE, left = file->map.len - off;
    size_t len = left < SEGMENT_PAGE ? (size_t)left : SEGMENT_PAGE;
    uint32_t crc = seg_crc(seg->info.id, file->kind, page, file->map.ptr + off, len);

    if (load_u32(file->crcs + page * 4) != crc) {
        return err_set(err, ST_CORRUPT, "%s: %s: page %llu: wrong checksum", seg->dir,
                       file->kind == SEG_TICKS ? LAYOUT_SEG_TICKS : LAYOUT_SEG_CHUNKS,
                       (unsigned long long)page);
    }
    set_verified(file->ok, page);
    return ST_OK;
}

status segment_verify_pages(struct segment *seg, struct seg_mapped *file, uint64_t off,
                            uint64_t len, struct err *err)
{
    uint64_t last = (off + len - 1) / SEGMENT_PAGE;

    DASSERT(len > 0 && off <= file->map.len && len <= file->map.len - off);
    for (uint64_t page = off / SEGMENT_PAGE; page <= last; page++) {
        if (!is_verified(file->ok, page)) TRY(verify_page(seg, file, page, err));
    }
    return ST_OK;
}

/* Whether [off, off + len) lies before the pad of the file, and is not empty. */
static bool is_inside(const struct seg_mapped *file, uint64_t off, uint64_t len)
{
    uint64_t end = file->map.len - CHUNK_PAD;
    return off >= SEG_HEAD_LEN && off <= end && len > 0 && len <= end - off;
}

static status find_ticks(struct chunk_ref *out, struct segment *seg, uint32_t number,
                         struct err *err)
{
    uint64_t off, len;

    if (number >= seg->info.n_ticks || !seg_ticks_at(&off, &len, seg->tick_table, number) ||
        !is_inside(&seg->ticks, off, len)) {
        return err_set(err, ST_CORRUPT, "%s: ticks %u are not there", seg->dir, number);
    }
    TRY(segment_verify_pages(seg, &seg->ticks, off, len, err));
    out->ticks = seg->ticks.map.ptr + off;
    out->ticks_len = (size_t)len;
    return ST_OK;
}

status segment_chunk(struct chunk_ref *out, struct segment *seg,
                     const struct segment_entry *entry, struct err *err)
{
    struct chunk_ref chunk = {.n = entry->n_points, .ts = entry->ts};

    if (!is_inside(&seg->chunks, entry->off, entry->len)) {
        return err_set(err, ST_CORRUPT, "%s: chunk outside its file", seg->dir);
    }
    TRY(segment_verify_pages(seg, &seg->chunks, entry->off, entry->len, err));
    chunk.values = seg->chunks.map.ptr + entry->off;
    chunk.values_len = entry->len;
    if (chunk_values_type(&chunk.type, chunk.values, chunk.values_len) != ST_OK) {
        return err_set(err, ST_CORRUPT, "%s: chunk of no type", seg->dir);
    }
    chunk.ticks = chunk.values; /* of length 0 unless there are any */
    if (entry->ticks) TRY(find_ticks(&chunk, seg, entry->ticks - 1, err));
    *out = chunk;
    return ST_OK;
}

/* ---- series ---- */

status segment_each_series(struct segment *seg,
                           status (*each)(void *ctx, const struct segment_series *series),
                           void *ctx, struct err *err)
{
    struct seg_head expect = expect_head(seg, SEG_SERIES);
    struct vfs_map map = {0};

    TRY(map_file(&map, seg, LAYOUT_SEG_SERIES, seg->files.series, err));
    expect.a = seg->info.n_series;
    status st = series_table_each(map.ptr, map.len, &expect, each, ctx, err);
    vfs_unmap(&map);
    return st == ST_OK ? ST_OK : err_wrap(err, st, "%s/" LAYOUT_SEG_SERIES, seg->dir);
}
