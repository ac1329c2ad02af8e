/* The parts of a segment. The first byte chooses: 0 an index block (byte 1: entries), 1 a
 * series table whose checksums are made right first, 2 a manifest with its checksum made
 * right, 3 a catalog likewise. Checked: an accepted block is in order and encodes to
 * something that decodes to the same; accepted series ascend. */
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

int fuzz_segment(const uint8_t *src, size_t len)
{
    if (len < 1) return 0;
    switch (src[0] & 3) {
    case 0: fuzz_block(src + 1, len - 1); break;
    case 1: fuzz_series(src + 1, len - 1); break;
    case 2: fuzz_json(false, src + 1, len - 1); break;
    case 3: fuzz_json(true, src + 1, len - 1); break;
    }
    return 0;
}

FUZZ_ENTRY(fuzz_segment)
