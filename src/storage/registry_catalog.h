/* series_index.catalog.json: which of the registry's files count, in which order, and
 * which segments they were seen to match (docs/formats/registry.md).
 *
 * A checkpoint writes a delta or a snapshot first, then replaces this file, and only then
 * does the segment catalog name new segments. So after any crash:
 *
 *   - a delta that is not listed never counted: it is swept;
 *   - a snapshot with a number above the listed one holds everything that is listed;
 *   - the series of every segment that exists are in the files: it is listed with its
 *     fingerprint, or was made of listed ones (compaction), which shows in its orders
 *     and in its largest id.
 *
 * One owner at a time.
 */
#ifndef TSINK_STORAGE_REGISTRY_CATALOG_H
#define TSINK_STORAGE_REGISTRY_CATALOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/vec.h"
#include "base/vfs.h"
#include "storage/database_file.h"
#include "storage/segment.h"

enum { REGISTRY_CATALOG_FORMAT = 1, REGISTRY_DELTAS_MAX = 1024 };

struct registry_file_ref {
    uint64_t number;        /* rises from file to file; a delta's is in its name */
    uint64_t n_bytes;
    uint32_t crc;           /* CRC32C of all bytes */
};

struct registry_segment {
    enum value_lane lane;
    uint64_t id;
    uint64_t fingerprint;   /* of its series (segment.h) */
};

struct registry_catalog {
    struct database_id db;
    uint64_t version;       /* rises with every write */
    uint64_t next_id;       /* series ids from here on are not in the files */
    uint64_t covered_lsn;   /* series defined in the WAL up to here are in the files, or dead */
    uint64_t last_order;    /* so are those of flushes up to this one */
    struct registry_file_ref snapshot; /* number 0: none */
    VEC(struct registry_file_ref) deltas; /* numbers rise, all above the snapshot's */
    VEC(struct registry_segment) segments;
};

void registry_catalog_init(struct registry_catalog *cat, const struct database_id *db);
void registry_catalog_release(struct registry_catalog *cat); /* accepts a zeroed struct */

/* A copy with its own memory; ST_NO_MEMORY. */
CHECKED status registry_catalog_copy(struct registry_catalog *out,
                                     const struct registry_catalog *cat);

/* Whether the files hold every series of this segment. */
bool registry_catalog_vouches(const struct registry_catalog *cat,
                              const struct segment_info *info);

/* The number of the last file. */
uint64_t registry_catalog_last(const struct registry_catalog *cat);

/* Replaces the file atomically and durably; version rises by one. */
CHECKED status registry_catalog_write(struct vfs *vfs, struct registry_catalog *cat,
                                      struct err *err);

/* ST_NOT_FOUND, ST_CORRUPT, ST_UNSUPPORTED (newer, untouched). out is untouched on
 * failure. */
CHECKED status registry_catalog_read(struct registry_catalog *out, struct vfs *vfs,
                                     const struct database_id *db, struct err *err);

/* Removes deltas that the catalog does not list. */
CHECKED status registry_catalog_sweep(struct vfs *vfs, const struct registry_catalog *cat,
                                      struct err *err);

#endif
