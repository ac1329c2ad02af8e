/* Reading a segment. See segment.h. chunks.bin and chunk_index.bin are mapped; nothing of
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
#include "base/varint.h"
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
    seg->n_pages = seg->files.chunks / SEGMENT_PAGE + (seg->files.chunks % SEGMENT_PAGE > 0);
    seg->dir_off = head.b;
    if (head.a != seg->info.n_chunks || head.c != seg->files.chunks ||
        head.b < SEG_HEAD_LEN || head.b > len || seg->n_blocks > len / SEG_DIR_LEN ||
        seg->n_pages > len / 4 ||
        head.b + seg->n_blocks * SEG_DIR_LEN + seg->n_pages * 4 + 4 != len) {
        return err_set(err, ST_CORRUPT, "the index contradicts the manifest");
    }
    size_t dir_len = len - 4 - head.b;
    if (load_u32(base + len - 4) !=
        seg_crc(seg->info.id, SEG_INDEX, UINT64_MAX, base + head.b, dir_len)) {
        return err_set(err, ST_CORRUPT, "the checksum of the index directory is wrong");
    }
    seg->blocks = base + head.b;
    seg->pages = seg->blocks + seg->n_blocks * SEG_DIR_LEN;
    return check_directory(seg, err);
}

static status open_files(struct segment *seg, struct err *err)
{
    struct seg_head expect = expect_head(seg, SEG_CHUNKS), head;
    struct vfs_file *series;
    status st;

    TRY(open_file(&series, seg, LAYOUT_SEG_SERIES, seg->files.series, err));
    vfs_close(series); /* its content when somebody asks */
    TRY(map_file(&seg->chunks, seg, LAYOUT_SEG_CHUNKS, seg->files.chunks, err));
    st = seg_head_get(&head, seg->chunks.ptr, seg->chunks.len, &expect, err);
    if (st != ST_OK) return err_wrap(err, st, LAYOUT_SEG_CHUNKS);
    TRY(map_file(&seg->index, seg, LAYOUT_SEG_INDEX, seg->files.index, err));
    st = open_index(seg, err);
    if (st != ST_OK) return err_wrap(err, st, LAYOUT_SEG_INDEX);

    seg->pages_ok = mem_try_zero((size_t)(seg->n_pages / 64 + 1) * sizeof(seg->pages_ok[0]));
    seg->blocks_ok = mem_try_zero((size_t)(seg->n_blocks / 64 + 1) * sizeof(seg->blocks_ok[0]));
    if (!seg->pages_ok || !seg->blocks_ok) return err_set(err, ST_NO_MEMORY, "segment");
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
    vfs_unmap(&seg->chunks);
    vfs_unmap(&seg->index);
    mem_free(seg->pages_ok);
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
    status st = seg_block_decode(entries, *n, seg->files.chunks, src, len);
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

static status verify_page(struct segment *seg, uint64_t page, struct err *err)
{
    uint64_t off = page * SEGMENT_PAGE;
    uint64_t left = seg->files.chunks - off;
    size_t len = left < SEGMENT_PAGE ? (size_t)left : SEGMENT_PAGE;
    uint32_t crc = seg_crc(seg->info.id, SEG_CHUNKS, page, seg->chunks.ptr + off, len);

    if (load_u32(seg->pages + page * 4) != crc) {
        return err_set(err, ST_CORRUPT, "%s: " LAYOUT_SEG_CHUNKS ": page %llu: wrong checksum",
                       seg->dir, (unsigned long long)page);
    }
    set_verified(seg->pages_ok, page);
    return ST_OK;
}

status segment_chunk(struct chunk_ref *out, struct segment *seg,
                     const struct segment_entry *entry, struct err *err)
{
    uint64_t ticks_len;

    if (entry->off > seg->files.chunks || entry->len > seg->files.chunks - entry->off ||
        entry->len == 0) {
        return err_set(err, ST_CORRUPT, "%s: chunk outside its file", seg->dir);
    }
    uint64_t last = (entry->off + entry->len - 1) / SEGMENT_PAGE;
    for (uint64_t page = entry->off / SEGMENT_PAGE; page <= last; page++) {
        if (!is_verified(seg->pages_ok, page)) TRY(verify_page(seg, page, err));
    }
    const uint8_t *src = seg->chunks.ptr + entry->off;
    size_t head = varint_get(&ticks_len, src, entry->len);
    enum value_type type;
    if (head == 0 || ticks_len > entry->len - head ||
        chunk_values_type(&type, src + head + ticks_len, entry->len - head - ticks_len) != ST_OK) {
        return err_set(err, ST_CORRUPT, "%s: not a chunk", seg->dir);
    }
    *out = (struct chunk_ref){.type = type,
                              .n = entry->n_points,
                              .ts = entry->ts,
                              .ticks = src + head,
                              .ticks_len = (size_t)ticks_len,
                              .values = src + head + ticks_len,
                              .values_len = entry->len - head - (size_t)ticks_len};
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
