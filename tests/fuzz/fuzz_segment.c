/* The parts of a segment. The first byte chooses: 0 an index block (byte 1: entries), 1 a
 * series table whose checksums are made right first, 2 a manifest with its checksum made
 * right, 3 a catalog likewise, 4 changes to a whole segment, whose checksums are then made
 * right, so that what is behind them is reached. Checked: an accepted block is in order and
 * encodes to something that decodes to the same; accepted series ascend. */
#include <stdio.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/durable.h"
#include "base/mem.h"
#include "base/panic.h"
#include "storage/catalog.h"
#include "storage/segment_priv.h"
#include "tests/fuzz/fuzz.h"

int fuzz_segment(const uint8_t *src, size_t len);

static void fuzz_block(const uint8_t *src, size_t len)
{
    struct segment_entry a[SEGMENT_BLOCK], b[SEGMENT_BLOCK];
    uint8_t bytes[SEG_BLOCK_BYTES_MAX];

    if (len < 1) return;
    size_t n = src[0] % SEGMENT_BLOCK + 1;
    memset(a, 0, sizeof(a));
    a[0].off = SEG_HEAD_LEN;
    a[0].series = 5;
    if (seg_block_decode(a, n, 1 << 20, src + 1, len - 1) != ST_OK) return;
    for (size_t i = 1; i < n; i++) {
        int order = seg_key_cmp(a[i - 1].shard, a[i - 1].series, a[i].shard, a[i].series);
        ASSERT(order < 0 || (order == 0 && a[i - 1].ts.to < a[i].ts.from));
        ASSERT(a[i].shard < SEGMENT_SHARDS);
        if (a[i].series >> 63) return; /* the encoder takes ids of 63 bits */
    }
    memset(b, 0, sizeof(b));
    b[0].off = SEG_HEAD_LEN;
    b[0].series = 5;
    size_t used = seg_block_encode(bytes, a, n);
    ASSERT(used <= sizeof(bytes));
    ASSERT(seg_block_decode(b, n, 1 << 20, bytes, used) == ST_OK);
    for (size_t i = 0; i < n; i++) {
        ASSERT(a[i].series == b[i].series && a[i].shard == b[i].shard);
        ASSERT(a[i].ts.from == b[i].ts.from && a[i].ts.to == b[i].ts.to);
        ASSERT(a[i].n_points == b[i].n_points && a[i].off == b[i].off && a[i].len == b[i].len);
        ASSERT(a[i].ticks == b[i].ticks);
    }
}

struct order {
    unsigned shard;
    uint64_t id;
    bool any;
};

static status check_series(void *ctx, const struct segment_series *s)
{
    struct order *order = ctx;

    ASSERT(!order->any ||
           seg_key_cmp(order->shard, order->id, segment_shard(s->place), s->id) < 0);
    ASSERT(value_type_valid(s->type));
    *order = (struct order){segment_shard(s->place), s->id, true};
    uint32_t sum = crc32c(crc32c(0, s->identity.ptr, s->identity.len), s->attrs.ptr, s->attrs.len);
    __asm__ volatile("" ::"r"(sum));
    return ST_OK;
}

/* Heads and checksums of the parts as the writer makes them (segment_series.c). */
static void seal_parts(uint8_t *bytes, size_t len, const struct seg_head *head)
{
    uint64_t numbers[256] = {0};

    seg_head_put(bytes, head);
    for (size_t at = SEG_HEAD_LEN; at + 20 <= len;) {
        uint8_t kind = bytes[at];
        uint32_t stored = load_u32(bytes + at + 8);
        if (stored > len - at - 20) return;
        uint64_t number = (uint64_t)kind << 56 | numbers[kind]++;
        uint32_t crc = seg_crc(head->segment, SEG_SERIES, number, bytes + at, 16);
        store_u32(bytes + at + 16, crc32c(crc, bytes + at + 20, stored));
        at += 20 + (size_t)stored;
    }
}

static void fuzz_series(const uint8_t *src, size_t len)
{
    if (len < SEG_HEAD_LEN) return;
    struct seg_head head = {.kind = SEG_SERIES,
                            .lane = LANE_NUMERIC,
                            .segment = 1,
                            .a = load_u32(src + 32),
                            .b = load_u32(src + 40),
                            .c = load_u32(src + 48)};
    struct order order = {0};
    uint8_t *bytes = mem_try(len);
    if (!bytes) return;
    memcpy(bytes, src, len);
    seal_parts(bytes, len, &head);
    (void)!series_table_each(bytes, len, &head, check_series, &order, NULL);
    mem_free(bytes);
}

/* The text as the body of a checked JSON file at path. */
static bool put_json(struct vfs *vfs, const char *path, const uint8_t *src, size_t len)
{
    char tail[32];
    struct strbuf text = {0};

    strbuf_put(&text, src, len);
    int n = snprintf(tail, sizeof(tail), ",\"crc32c\":\"%08x\"}", crc32c(0, text.ptr, text.len));
    strbuf_put(&text, tail, (size_t)n);
    bool ok = !text.failed && durable_replace(vfs, path, text.ptr, text.len, NULL) == ST_OK;
    strbuf_release(&text);
    return ok;
}

static void fuzz_json(bool catalog, const uint8_t *src, size_t len)
{
    struct vfs *vfs = vfs_mem_new();
    struct segment_info info;
    struct catalog cat;

    ASSERT(vfs_mkdir_all(vfs, "seg", NULL) == ST_OK);
    if (!catalog && put_json(vfs, "seg/" LAYOUT_SEG_MANIFEST, src, len) &&
        segment_manifest_read(&info, vfs, "seg", NULL) == ST_OK) {
        ASSERT(info.level < SEGMENT_LEVELS && info.n_sources <= SEGMENT_SOURCES_MAX);
        ASSERT(!range_empty(info.ts) && info.n_series <= info.n_chunks);
    }
    if (catalog && put_json(vfs, LAYOUT_CATALOG, src, len) &&
        catalog_read(&cat, vfs, NULL, NULL) == ST_OK) {
        for (size_t i = 0; i < cat.n; i++) {
            ASSERT(vfs_path_check(cat.entries[i].path, NULL) == ST_OK);
            ASSERT(cat.entries[i].info.id < cat.next_segment_id);
        }
        catalog_release(&cat);
    }
    vfs_free(vfs);
}

/* ---- a whole segment ---- */

enum { WHOLE_SERIES = 3, WHOLE_POINTS = 150, WHOLE_FILES = 3 };

static status add_series(struct segment_writer *w, uint64_t id)
{
    static const uint8_t identity[] = {1, 'm', 1, 'a', 1, 'b'};
    uint8_t *bytes = mem_try(chunk_ticks_bound(WHOLE_POINTS) +
                             chunk_values_bound(VALUE_F64, NULL, WHOLE_POINTS));
    ts_time ts[WHOLE_POINTS];
    union value val[WHOLE_POINTS];
    struct segment_series s = {
        .id = id, .place = 64 * id, .type = VALUE_F64, .identity = slice_of(identity, 6)};
    if (!bytes) return ST_NO_MEMORY;

    for (size_t i = 0; i < WHOLE_POINTS; i++) {
        ts[i] = (ts_time)(1000 * i + i * i % 7);
        val[i].bits = f64_bits((double)(i * id % 50) / 4);
    }
    struct chunk_ref chunk = {
        .type = VALUE_F64, .n = WHOLE_POINTS, .ts = {ts[0], ts[WHOLE_POINTS - 1]}};
    chunk.ticks = bytes;
    chunk.ticks_len = chunk_ticks_encode(bytes, ts, WHOLE_POINTS);
    chunk.values = bytes + chunk.ticks_len;
    chunk.values_len = chunk_values_encode(bytes + chunk.ticks_len, VALUE_F64, val, WHOLE_POINTS,
                                           (enum chunk_effort)(id % 3));
    status st = segment_add_series(w, &s, NULL);
    if (st == ST_OK) st = segment_add_chunk(w, &chunk, NULL);
    mem_free(bytes);
    return st;
}

static status write_whole(struct vfs *vfs)
{
    struct segment_options opt = {.id = 1, .lane = LANE_NUMERIC};
    struct segment_writer *w;
    struct segment_info info;

    TRY(segment_begin(&w, vfs, &opt, NULL));
    for (uint64_t id = 1; id <= WHOLE_SERIES; id++) ASSERT(add_series(w, id) == ST_OK);
    return segment_finish(w, &info, NULL);
}

struct whole {
    uint8_t *bytes[WHOLE_FILES]; /* chunks, ticks, index */
    size_t len[WHOLE_FILES];
};

/* Makes the checksums of block, pages and directory right. One block, one page a file. */
static void seal_index(struct whole *w)
{
    uint8_t *index = w->bytes[2];
    size_t len = w->len[2], dir_off = (size_t)load_u64(index + 40); /* b, under its CRC */

    store_u32(index + dir_off + SEG_DIR_CRC,
              seg_crc(1, SEG_INDEX, 0, index + SEG_HEAD_LEN, dir_off - SEG_HEAD_LEN));
    store_u32(index + len - 12, seg_crc(1, SEG_CHUNKS, 0, w->bytes[0], w->len[0]));
    store_u32(index + len - 8, seg_crc(1, SEG_TICKS, 0, w->bytes[1], w->len[1]));
    store_u32(index + len - 4,
              seg_crc(1, SEG_INDEX, UINT64_MAX, index + dir_off, len - 4 - dir_off));
}

static void read_whole(struct vfs *vfs, const char *dir)
{
    struct segment_cursor cur;
    const struct segment_entry *e;
    struct segment_range range;
    struct segment *seg;

    if (segment_open(&seg, vfs, dir, NULL, NULL) != ST_OK) return;
    segment_cursor_init(&cur, seg, (struct segment_range){0, 0});
    while (segment_next(&cur, &e, NULL) == ST_OK && e) {
        struct chunk_ref chunk;
        if (segment_chunk(&chunk, seg, e, NULL) != ST_OK) continue;
        if (value_lane_of(chunk.type) == LANE_NUMERIC && chunk.type != VALUE_HISTOGRAM) {
            (void)!chunk_check(NULL, &chunk, NULL);
        }
    }
    (void)!segment_find(&range, seg, 0, 2, NULL);
    (void)!segment_verify(seg, NULL, NULL);
    segment_unref(seg);
}

/* Four bytes each: which file, where behind its header (u16), and the byte there. */
static void fuzz_whole(const uint8_t *src, size_t len)
{
    static const char *const names[WHOLE_FILES] = {LAYOUT_SEG_CHUNKS, LAYOUT_SEG_TICKS,
                                                   LAYOUT_SEG_INDEX};
    struct vfs *vfs = vfs_mem_new();
    struct whole w = {.len = {0}};
    struct vfs_file *file;
    layout_path dir, path;

    ASSERT(write_whole(vfs) == ST_OK);
    layout_segment(dir, LANE_NUMERIC, 0, 1);
    for (int i = 0; i < WHOLE_FILES; i++) {
        ASSERT(layout_join(path, dir, slice_str(names[i]), NULL) == ST_OK);
        ASSERT(vfs_read_file(vfs, path, 1 << 20, &w.bytes[i], &w.len[i], NULL) == ST_OK);
    }
    for (size_t at = 0; at + 4 <= len; at += 4) {
        unsigned i = src[at] % WHOLE_FILES;
        w.bytes[i][SEG_HEAD_LEN + load_u16(src + at + 1) % (w.len[i] - SEG_HEAD_LEN)] =
            src[at + 3];
    }
    seal_index(&w);
    for (int i = 0; i < WHOLE_FILES; i++) {
        ASSERT(layout_join(path, dir, slice_str(names[i]), NULL) == ST_OK);
        ASSERT(vfs_open(vfs, &file, path, VFS_TRUNCATE, NULL) == ST_OK);
        ASSERT(vfs_write(file, 0, w.bytes[i], w.len[i], NULL) == ST_OK);
        vfs_close(file);
        mem_free(w.bytes[i]);
    }
    read_whole(vfs, dir);
    vfs_free(vfs);
}

int fuzz_segment(const uint8_t *src, size_t len)
{
    if (len < 1) return 0;
    switch (src[0] % 5) {
    case 0: fuzz_block(src + 1, len - 1); break;
    case 1: fuzz_series(src + 1, len - 1); break;
    case 2: fuzz_json(false, src + 1, len - 1); break;
    case 3: fuzz_json(true, src + 1, len - 1); break;
    case 4: fuzz_whole(src + 1, len - 1); break;
    }
    return 0;
}

FUZZ_ENTRY(fuzz_segment)
