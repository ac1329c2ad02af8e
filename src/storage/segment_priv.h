/* What the sources of the segment share: file headers, index blocks, the series table.
 * Byte layouts: docs/formats/segment.md. */
#ifndef TSINK_STORAGE_SEGMENT_PRIV_H
#define TSINK_STORAGE_SEGMENT_PRIV_H

#include <stdatomic.h>

#include "base/strbuf.h"
#include "storage/layout.h"
#include "storage/segment.h"

/* ---- the first 64 bytes of each binary file ---- */

enum seg_kind { SEG_CHUNKS = 1, SEG_INDEX = 2, SEG_SERIES = 3 };

enum { SEG_HEAD_LEN = 64 };

/* What a, b and c mean is the kind's: index: entries, offset of the directory, bytes of
 * chunks.bin. series: series, strings, pairs. chunks: nothing. */
struct seg_head {
    enum seg_kind kind;
    enum value_lane lane;
    uint64_t segment;
    struct database_id db;
    uint64_t a, b, c;
};

void seg_head_put(uint8_t dst[SEG_HEAD_LEN], const struct seg_head *head);

/* Also checks kind, lane, segment id and database against `expect`. */
CHECKED status seg_head_get(struct seg_head *out, const uint8_t *src, size_t len,
                            const struct seg_head *expect, struct err *err);

/* The CRC32C of a part of a file, begun with segment id and part number, so that parts
 * cannot be swapped unnoticed. */
uint32_t seg_crc(uint64_t segment, enum seg_kind kind, uint64_t number, const void *src,
                 size_t len);

/* ---- blocks of the chunk index ---- */

enum {
    SEG_DIR_LEN = 32,           /* of a directory entry */
    SEG_DIR_SERIES = 0,         /* u64, the first entry's series */
    SEG_DIR_CHUNK_OFF = 8,      /* u64, the first entry's bytes in chunks.bin */
    SEG_DIR_BLOCK_OFF = 16,     /* u64, of the block in chunk_index.bin */
    SEG_DIR_CRC = 24,           /* u32, of the block */
    SEG_DIR_SHARD = 28,         /* u8, the first entry's */
    SEG_DIR_N = 29,             /* u8, entries */
    SEG_BLOCK_BYTES_MAX = 1 + SEGMENT_BLOCK * 64,
};

/* dst has SEG_BLOCK_BYTES_MAX bytes; returns those written. n is 1..SEGMENT_BLOCK. */
size_t seg_block_encode(uint8_t *dst, const struct segment_entry *entries, size_t n);

/* The first entry's series, shard and off come from the directory, in entries[0]. Chunks
 * must lie before chunks_len. */
CHECKED status seg_block_decode(struct segment_entry *entries, size_t n, uint64_t chunks_len,
                                const uint8_t *src, size_t len);

/* (shard, series) in order. */
static inline int seg_key_cmp(unsigned shard_a, uint64_t a, unsigned shard_b, uint64_t b)
{
    if (shard_a != shard_b) return shard_a < shard_b ? -1 : 1;
    return a < b ? -1 : a > b;
}

/* ---- the series table ---- */

struct series_table;

/* What the manifest says of all series. Begins zeroed. */
struct seg_sums {
    bool keyed;
    uint64_t id_max;
    uint64_t fingerprint;
};

/* Adds the next series in (shard, id) order. The identity has the form that
 * series_table_add() accepts. */
void seg_sums_add(struct seg_sums *sums, const struct segment_series *series);

CHECKED struct series_table *series_table_new(uint64_t segment);
void series_table_free(struct series_table *table);
CHECKED status series_table_add(struct series_table *table, const struct segment_series *series,
                                struct err *err);

/* Writes the whole file (not synced); *len is its length. */
CHECKED status series_table_write(struct series_table *table, struct vfs_file *file,
                                  const struct seg_head *head, uint64_t *len, struct err *err);

/* Calls each for every series of the file's bytes. */
CHECKED status series_table_each(const uint8_t *src, size_t len, const struct seg_head *expect,
                                 status (*each)(void *ctx, const struct segment_series *series),
                                 void *ctx, struct err *err);

/* ---- the manifest ---- */

struct seg_files {
    uint64_t chunks, index, series; /* bytes */
};

CHECKED status seg_manifest_write(struct vfs *vfs, const char *dir,
                                  const struct segment_info *info, const struct seg_files *files,
                                  struct err *err);
CHECKED status seg_manifest_read(struct segment_info *info, struct seg_files *files,
                                 struct vfs *vfs, const char *dir, struct err *err);

/* ---- an open segment ---- */

struct segment {
    _Atomic uint32_t refs;
    struct vfs *vfs;
    layout_path dir;
    struct segment_info info;
    struct seg_files files;
    struct vfs_map chunks, index;
    const uint8_t *blocks;            /* the directory: n_blocks * SEG_DIR_LEN */
    const uint8_t *pages;             /* a CRC32C for each page of chunks.bin */
    uint64_t n_blocks, n_pages;
    uint64_t dir_off;
    _Atomic uint64_t *pages_ok;       /* bit: the page was verified */
    _Atomic uint64_t *blocks_ok;
};

/* Decodes block number `block` of the index; *n is its entries. */
CHECKED status segment_load_block(const struct segment *seg, struct segment_entry *entries,
                                  size_t *n, uint64_t block, struct err *err);

#endif
