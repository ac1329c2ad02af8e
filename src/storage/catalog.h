/* segment_catalog.json: the inventory of a root's segments, replaced as a whole after
 * every publication (docs/formats/catalog.md). A segment exists when the catalog names
 * it; when there is no usable catalog, when the directories say so. An entry with an
 * absolute path or ".." is refused. One owner at a time.
 *
 * Publication of a compaction: the out-segments' directories appear, then one catalog
 * replace swaps them for their sources, then the sources are removed. A crash in between
 * leaves directories that no catalog names: catalog_sweep() removes them. Without a
 * catalog, catalog_scan() takes the out-segments if all of them are there, and leaves out
 * what they name as their sources; otherwise it is the other way round, unless a source
 * is gone: then the replacement had been made.
 */
#ifndef TSINK_STORAGE_CATALOG_H
#define TSINK_STORAGE_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/vfs.h"
#include "model/time.h"
#include "storage/database_file.h"
#include "storage/layout.h"
#include "storage/segment.h"

enum { CATALOG_FORMAT = 3 };

struct catalog_entry {
    struct segment_info info;   /* as in the segment's manifest; sources only by a scan */
    enum layout_tier tier;
    layout_path path;           /* of the directory, below the root */
};

struct catalog {
    struct database_id db;
    uint64_t next_segment_id;   /* never given out before */
    uint64_t last_order;        /* of flushes begun */
    uint64_t covered_lsn;       /* the WAL is covered up to here */
    int64_t wall_high;          /* ms; high water of the wall clock, 0: unknown */
    uint64_t version;           /* rises with every write */
    struct catalog_entry *entries; /* sorted by lane, level, id */
    size_t n, cap;
};

void catalog_init(struct catalog *cat, const struct database_id *db);
void catalog_release(struct catalog *cat); /* accepts a zeroed struct */

/* Keeps the order. ST_EXISTS when the (lane, id) is there; ST_NO_MEMORY. */
CHECKED status catalog_add(struct catalog *cat, const struct catalog_entry *entry,
                           struct err *err);
/* Takes the entry out; false when it is not there. */
bool catalog_drop(struct catalog *cat, enum value_lane lane, uint64_t id);
const struct catalog_entry *catalog_find(const struct catalog *cat, enum value_lane lane,
                                         uint64_t id);

/* Replaces the file atomically and durably; version rises by one. */
CHECKED status catalog_write(struct vfs *vfs, struct catalog *cat, struct err *err);

/* ST_NOT_FOUND, ST_CORRUPT, ST_UNSUPPORTED (newer, untouched). out is initialised by
 * the call and untouched on failure. db may be NULL: any. */
CHECKED status catalog_read(struct catalog *out, struct vfs *vfs, const struct database_id *db,
                            struct err *err);

/* The inventory from the directories' manifests. Segments whose manifest is damaged are
 * reported to bad() (may be NULL) and left out. covered_lsn is 0: all that the WAL still
 * has is replayed, because the manifests cannot tell whether the other lane's half of a
 * flush was published. */
typedef void (*catalog_bad)(void *ctx, const char *path, status st, const struct err *err);
CHECKED status catalog_scan(struct catalog *out, struct vfs *vfs, const struct database_id *db,
                            catalog_bad bad, void *ctx, struct err *err);

/* catalog_read(), or catalog_scan() when the file is absent, damaged, or stale: when a
 * directory has an id that the catalog has not given out yet (a crash between the
 * rename of a segment and the catalog, or an old copy of the file). *scanned tells. */
CHECKED status catalog_load(struct catalog *out, bool *scanned, struct vfs *vfs,
                            const struct database_id *db, catalog_bad bad, void *ctx,
                            struct err *err);

/* Removes segment directories of the local lanes that the catalog does not name and
 * whose ids are below next_segment_id; counts them. */
CHECKED status catalog_sweep(size_t *n_removed, struct vfs *vfs, const struct catalog *cat,
                             struct err *err);

#endif
