/* A segment: an immutable, self-contained directory of one lane, made by a flush or a
 * compaction (docs/formats/segment.md).
 *
 *     chunks.bin        the values of chunks, back to back
 *     ticks.bin         their ticks, each pattern once: series that are scraped together
 *                       share them; a fixed step has none
 *     chunk_index.bin   who has which chunk: sorted by (shard, series id, min time),
 *                       columns in blocks of 128 entries, a CRC32C each; where each
 *                       pattern of ticks is; and a CRC32C for every 64 KiB page of
 *                       chunks.bin and ticks.bin
 *     series.bin        the series at write time: labels (pair-coded), type, place
 *     manifest.json     what the segment is; with its own CRC32C
 *
 * A segment appears by the rename of its staging directory, after everything in it is
 * synced, so a short or missing file is damage and never an unfinished write. Every
 * byte lies under a checksum that is verified before the byte is used: the manifest,
 * headers and the directory of the index at open, index blocks when they are read,
 * pages of chunks.bin and ticks.bin at their first use, series.bin as a whole when it is read.
 *
 * Writer: one owner at a time. Reader: any number of threads once open.
 */
#ifndef TSINK_STORAGE_SEGMENT_H
#define TSINK_STORAGE_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"
#include "base/vfs.h"
#include "codec/chunk.h"
#include "model/time.h"
#include "model/value.h"
#include "storage/database_file.h"

enum {
    SEGMENT_FORMAT = 2,
    SEGMENT_SHARDS = 64,             /* shard of a series: place mod 64 */
    SEGMENT_BLOCK = 128,             /* entries in a block of the chunk index */
    SEGMENT_PAGE = 64 << 10,         /* bytes of values or ticks under one CRC32C */
    SEGMENT_IDENTITY_MAX = 1 << 20,  /* bytes of a series' identity */
    SEGMENT_ATTRS_MAX = 64 << 10,
    SEGMENT_CHUNK_MAX = 64 << 20,    /* bytes of a chunk's values */
    SEGMENT_SOURCES_MAX = 16,        /* segments that one compaction merges */
    SEGMENT_SET_MAX = 64,            /* segments that replace them together */
};

static inline unsigned segment_shard(uint64_t place)
{
    return (unsigned)(place % SEGMENT_SHARDS);
}

/* The manifest. */
struct segment_info {
    uint64_t id;
    enum value_lane lane;
    unsigned level;
    struct database_id db;
    uint64_t n_series, n_chunks, n_points;
    uint64_t n_ticks;                 /* patterns in ticks.bin */
    struct time_range ts;             /* of all points */
    uint64_t order_min, order_max;    /* flush orders it holds */
    uint64_t wal_lsn;                 /* the WAL is covered up to here */
    uint64_t n_bytes;                 /* of all files but the manifest */
    bool keyed;                       /* a series has the label __key__ */
    uint64_t id_max;                  /* of its series */
    uint64_t fingerprint;             /* of its series: equal when ids, label versions and
                                       * labels are (docs/formats/segment.md) */
    uint64_t sources[SEGMENT_SOURCES_MAX]; /* ids of the segments it replaces; same lane */
    size_t n_sources;
    uint64_t del_gen;                 /* deletes up to this generation were applied to it */
    /* The segments that replace its sources together with it: set_n ids from set_first
     * on. One that replaces nothing, or alone, may say 0 of 0. */
    uint64_t set_first, set_n;
};

/* A series as the segment keeps it. */
struct segment_series {
    uint64_t id;
    uint64_t place;             /* hash_place(), decision 14 */
    enum value_type type;
    uint32_t labels_version;    /* the newest one wins */
    struct slice identity;      /* labels_identity() */
    struct slice attrs;         /* the engine's; opaque, may be empty */
};

/* An entry of the chunk index. */
struct segment_entry {
    uint64_t series;
    unsigned shard;
    uint32_t n_points;
    struct time_range ts;       /* of the first and the last point */
    uint64_t off;               /* of its values, in chunks.bin */
    uint32_t len;               /* of its values */
    uint32_t ticks;             /* number of its ticks plus 1; 0: a fixed step */
};

/* ---- writing ---- */

struct segment_options {
    uint64_t id;
    enum value_lane lane;
    unsigned level;
    struct database_id db;
    uint64_t order_min, order_max;
    uint64_t wal_lsn;
    uint64_t del_gen;
    /* Every segment that this one replaces, so that both are never taken for data when
     * the catalog is lost; borrowed during the call. */
    const uint64_t *sources;
    size_t n_sources;                /* at most SEGMENT_SOURCES_MAX */
};

struct segment_writer;

/* Makes the staging directory. Exactly one of finish and abort follows. */
CHECKED status segment_begin(struct segment_writer **out, struct vfs *vfs,
                             const struct segment_options *opt, struct err *err);

/* Series in ascending (shard, id); each has at least one chunk. ST_INVALID for a series
 * or chunk out of order or over a limit: broken callers do not make broken segments. */
CHECKED status segment_add_series(struct segment_writer *w, const struct segment_series *series,
                                  struct err *err);

/* A chunk of the last added series, of its type, in ascending time without overlap.
 * Copies the columns: those of another open segment may be added as they are. */
CHECKED status segment_add_chunk(struct segment_writer *w, const struct chunk_ref *chunk,
                                 struct err *err);

/* The segments that replace the sources together with this one, itself included. */
void segment_writer_set(struct segment_writer *w, uint64_t first, uint64_t n);

/* Bytes of values and ticks so far, to end a segment at a size; 0 without a chunk. */
uint64_t segment_writer_bytes(const struct segment_writer *w);

/* Writes the tables, syncs all and renames the directory to its place: from then on the
 * segment exists. Takes w. A segment without series is ST_INVALID. On failure nothing
 * is left but, at worst, a staging directory for the next sweep. */
CHECKED status segment_finish(struct segment_writer *w, struct segment_info *out,
                              struct err *err);
void segment_abort(struct segment_writer *w); /* accepts NULL */

/* ---- reading ---- */

struct segment;

/* dir is the segment's directory. ST_CORRUPT names the file and the reason;
 * ST_UNSUPPORTED for a newer format; ST_NOT_FOUND. db may be NULL: any. Reads the
 * manifest, the headers and the directory of the index. One reference. */
CHECKED status segment_open(struct segment **out, struct vfs *vfs, const char *dir,
                            const struct database_id *db, struct err *err);
struct segment *segment_ref(struct segment *seg);
void segment_unref(struct segment *seg); /* accepts NULL; closes with the last one */

const struct segment_info *segment_info(const struct segment *seg);
const char *segment_dir(const struct segment *seg); /* as opened */

/* Entries [first, first + n) of the index. */
struct segment_range {
    uint64_t first, n;
};


/* The chunks of a series, in time order; {chunks of the segment, 0} when it has none.
 * ST_CORRUPT. */
CHECKED status segment_find(struct segment_range *out, const struct segment *seg, unsigned shard,
                            uint64_t series, struct err *err);

/* Entries in order, a block decoded at a time. About 7 KiB; owns nothing. */
struct segment_cursor {
    const struct segment *seg;
    uint64_t next;               /* the entry that segment_next() gives */
    uint64_t end;
    uint64_t block;              /* in entries[]; UINT64_MAX: none */
    size_t n;                    /* valid entries */
    struct segment_entry entries[SEGMENT_BLOCK];
};

/* Over a range, or over the whole index with {0, 0} (which segment_find() never gives).
 * Nothing is read yet. */
void segment_cursor_init(struct segment_cursor *cur, const struct segment *seg,
                         struct segment_range range);

/* *entry is NULL at the end; it lives until the next call. */
CHECKED status segment_next(struct segment_cursor *cur, const struct segment_entry **entry,
                            struct err *err);

/* As segment_find(), leaving the cursor on the series, so that the block need not be
 * decoded twice. Going through many series in order is cheapest with one cursor. */
CHECKED status segment_seek(struct segment_cursor *cur, unsigned shard, uint64_t series,
                            struct err *err);

/* The chunk of an entry: its columns, verified, in the mapped files (with CHUNK_PAD
 * readable bytes behind); they live as long as the segment. ST_CORRUPT. */
CHECKED status segment_chunk(struct chunk_ref *out, struct segment *seg,
                             const struct segment_entry *entry, struct err *err);

/* Every series, in (shard, id) order, until each fails. Slices live during the call.
 * Reads and unpacks all of series.bin: for registry rebuild and strangers. */
CHECKED status segment_each_series(struct segment *seg,
                                   status (*each)(void *ctx, const struct segment_series *series),
                                   void *ctx, struct err *err);

/* Everything: all checksums, order and bounds, every chunk decoded, sums against the
 * manifest, index against series. Polls *cancelled (may be NULL). */
CHECKED status segment_verify(struct segment *seg, const _Atomic bool *cancelled,
                              struct err *err);

/* The same without decoding chunks: every byte is read, but only against its checksum. */
CHECKED status segment_verify_quick(struct segment *seg, const _Atomic bool *cancelled,
                                    struct err *err);

/* Reads only the manifest of the segment at dir. */
CHECKED status segment_manifest_read(struct segment_info *out, struct vfs *vfs, const char *dir,
                                     struct err *err);

/* Removes a segment that nobody names any more: first its manifest, so that what is
 * left is not taken for a segment, then the rest. */
CHECKED status segment_remove(struct vfs *vfs, const char *dir, struct err *err);

#endif
