/* What the sources of the segment share: file headers, index blocks, the series table.
 * Byte layouts: docs/formats/segment.md. */
#ifndef TSINK_STORAGE_SEGMENT_PRIV_H
#define TSINK_STORAGE_SEGMENT_PRIV_H

#include <stdatomic.h>

#include "base/hash.h"
#include "base/strbuf.h"
#include "storage/layout.h"
#include "storage/segment.h"

/* ---- the first 64 bytes of each binary file ---- */

enum seg_kind { SEG_CHUNKS = 1, SEG_INDEX = 2, SEG_SERIES = 3, SEG_TICKS = 4 };

enum { SEG_HEAD_LEN = 64 };

/* What a, b and c mean is the kind's: index: entries, offset of the directory, bytes of
 * chunks.bin. series: series, strings, pairs. chunks, ticks: nothing. */
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
    SEG_BLOCK_BYTES_MAX = 16 << 10,
};

/* dst has SEG_BLOCK_BYTES_MAX bytes; returns those written. n is 1..SEGMENT_BLOCK. */
size_t seg_block_encode(uint8_t *dst, const struct segment_entry *entries, size_t n);

/* The first entry's series, shard and off come from the directory, in entries[0]. Chunks
 * must lie before chunks_len. */
CHECKED status seg_block_decode(struct segment_entry *entries, size_t n, uint64_t chunks_len,
                                const uint8_t *src, size_t len);

/* ---- the table of ticks ---- */

/* Number n is in group n / 16: where its first one begins in ticks.bin, then where each
 * ends, counted from there. */
enum {
    SEG_TICKS_GROUP = 16,
    SEG_TICKS_END = 8,      /* of the first end, 3 bytes each */
    SEG_TICKS_END_LEN = 3,
    SEG_TICKS_GROUP_LEN = SEG_TICKS_END + SEG_TICKS_GROUP * SEG_TICKS_END_LEN,
};

/* Where ticks go while a segment is written: finds those that are there already. */
struct seg_ticks {
    struct strbuf table;
    uint64_t n;
    struct seg_seen *seen;  /* what was put, as far as there is room: n_seen is a power of 2 */
    size_t n_seen, n_used;
    unsigned victim;
};

void seg_ticks_release(struct seg_ticks *ticks);

/* The number of these bytes when they were put before (and are remembered); false when
 * they are new. */
bool seg_ticks_find(uint32_t *number, struct seg_ticks *ticks, struct hash128 hash);

/* A new number for bytes that lie at off in ticks.bin. Numbers follow each other. */
CHECKED status seg_ticks_put(uint32_t *number, struct seg_ticks *ticks, struct hash128 hash,
                             uint64_t off, size_t len, struct err *err);

/* Where number lies, off and len in ticks.bin; number < n. False when the table does not
 * make sense there. */
bool seg_ticks_at(uint64_t *off, uint64_t *len, const uint8_t *table, uint64_t number);

/* Groups of n numbers. */
static inline uint64_t seg_ticks_groups(uint64_t n)
{
    return n / SEG_TICKS_GROUP + (n % SEG_TICKS_GROUP > 0);
}

/* ---- files in pages ---- */

/* Writes bytes through a buffer of whole pages and keeps the checksum of each. */
struct seg_pages {
    struct vfs_file *file;   /* owned */
    enum seg_kind kind;
    uint64_t segment;
    uint8_t *buf;            /* cap bytes; begins at a page */
    size_t cap, len;
    uint64_t off;            /* of the buffer in the file */
    struct strbuf crcs;
};

/* Takes the file; begins with its header. */
CHECKED status seg_pages_begin(struct seg_pages *out, struct vfs_file *file,
                               const struct seg_head *head, size_t cap, struct err *err);
CHECKED status seg_pages_put(struct seg_pages *pages, const uint8_t *src, size_t len,
                             struct err *err);

/* The pad, the last page, sync. The file's length is pages->off afterwards. */
CHECKED status seg_pages_finish(struct seg_pages *pages, struct err *err);
void seg_pages_release(struct seg_pages *pages); /* accepts a zeroed struct */

static inline uint64_t seg_pages_at(const struct seg_pages *pages)
{
    return pages->off + pages->len;
}

static inline uint64_t seg_n_pages(uint64_t len)
{
    return len / SEGMENT_PAGE + (len % SEGMENT_PAGE > 0);
}

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
    uint64_t chunks, ticks, index, series; /* bytes */
};

CHECKED status seg_manifest_write(struct vfs *vfs, const char *dir,
                                  const struct segment_info *info, const struct seg_files *files,
                                  struct err *err);
CHECKED status seg_manifest_read(struct segment_info *info, struct seg_files *files,
                                 struct vfs *vfs, const char *dir, struct err *err);

/* ---- an open segment ---- */

/* A file in pages. */
struct seg_mapped {
    struct vfs_map map;
    enum seg_kind kind;
    const uint8_t *crcs;              /* of its pages */
    uint64_t n_pages;
    _Atomic uint64_t *ok;             /* bit: the page was verified */
};

struct segment {
    _Atomic uint32_t refs;
    struct vfs *vfs;
    layout_path dir;
    struct segment_info info;
    struct seg_files files;
    struct vfs_map index;
    struct seg_mapped chunks, ticks;
    const uint8_t *blocks;            /* the directory: n_blocks * SEG_DIR_LEN */
    const uint8_t *tick_table;        /* groups of SEG_TICKS_GROUP_LEN */
    uint64_t n_blocks;
    uint64_t dir_off;
    _Atomic uint64_t *blocks_ok;      /* bit: the block was verified */
};

/* Verifies the pages of [off, off + len), which lies in the file. */
CHECKED status segment_verify_pages(struct segment *seg, struct seg_mapped *file, uint64_t off,
                                    uint64_t len, struct err *err);

/* Decodes block number `block` of the index; *n is its entries. */
CHECKED status segment_load_block(const struct segment *seg, struct segment_entry *entries,
                                  size_t *n, uint64_t block, struct err *err);

#endif
