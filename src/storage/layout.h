/* Every path the engine ever writes is spelled here and nowhere else (decision 16).
 * Paths are relative to the root of a vfs: the data directory, or the object-store
 * root for tiers. A path buffer has VFS_PATH_MAX bytes and always suffices, because
 * every part has a fixed width.
 *
 *     .process.lock                         one process at a time
 *     database.json                         id, format version, precision
 *     wal/wal-<16 hex>.log                  wal.h
 *     lane_numeric|lane_blob/l0|l1|l2/seg-<16 hex>/
 *         chunks.bin chunk_index.bin series.bin postings.bin manifest.json
 *     .staging/<lane>-l<level>-<16 hex>/    segments being written; swept at start
 *     segment_catalog.json                  catalog.h
 *     series_index.bin                      registry snapshot
 *     series_index.delta.d/delta-<16 hex>.bin
 *     series_index.catalog.json
 *     tombstones.json.store/deletes-<16 hex>.log
 *     exemplars.bin  metadata.bin           payload_file.h
 *     .rollups/  .compaction-replacements/  rollup state; planned replacements
 *     quarantine/                           quarantine.h
 *     snapshots/<name>/                     linkset.h; each a data directory of its own
 *     .staging/snapshot-<name>/             a snapshot being made; swept at start
 *     snapshot.json                         in a snapshot: what it is and holds
 *     restore.incomplete                    a restore is being made, or was cut short
 *
 *     <hot|warm|cold>/<lane>/segments/L<level>/seg-<16 hex>/   object-store root
 *
 * Pure, any thread.
 */
#ifndef TSINK_STORAGE_LAYOUT_H
#define TSINK_STORAGE_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"
#include "base/vfs.h"
#include "model/value.h"

#define LAYOUT_LOCK ".process.lock"
#define LAYOUT_DATABASE "database.json"
#define LAYOUT_WAL_DIR "wal"
#define LAYOUT_STAGING_DIR ".staging"
#define LAYOUT_CATALOG "segment_catalog.json"
#define LAYOUT_REGISTRY "series_index.bin"
#define LAYOUT_REGISTRY_DELTA_DIR "series_index.delta.d"
#define LAYOUT_REGISTRY_CATALOG "series_index.catalog.json"
#define LAYOUT_TOMBSTONE_DIR "tombstones.json.store"
#define LAYOUT_EXEMPLARS "exemplars.bin"
#define LAYOUT_METADATA "metadata.bin"
#define LAYOUT_ROLLUP_DIR ".rollups"
#define LAYOUT_REPLACEMENT_DIR ".compaction-replacements"
#define LAYOUT_QUARANTINE_DIR "quarantine"
#define LAYOUT_SNAPSHOT_DIR "snapshots"
#define LAYOUT_SNAPSHOT "snapshot.json"
#define LAYOUT_RESTORING "restore.incomplete"

/* Files of a segment directory. */
#define LAYOUT_SEG_CHUNKS "chunks.bin"
#define LAYOUT_SEG_TICKS "ticks.bin"
#define LAYOUT_SEG_INDEX "chunk_index.bin"
#define LAYOUT_SEG_SERIES "series.bin"
#define LAYOUT_SEG_POSTINGS "postings.bin"
#define LAYOUT_SEG_MANIFEST "manifest.json"

enum { SEGMENT_LEVELS = 3 }; /* l0 l1 l2 */

enum layout_tier { TIER_HOT, TIER_WARM, TIER_COLD, N_TIERS };

typedef char layout_path[VFS_PATH_MAX];

const char *layout_lane_name(enum value_lane lane); /* "lane_numeric" "lane_blob" */
const char *layout_tier_name(enum layout_tier tier); /* "hot" "warm" "cold" */
bool layout_lane_parse(enum value_lane *out, struct slice text);
bool layout_tier_parse(enum layout_tier *out, struct slice text);

void layout_wal(layout_path out, uint64_t id);
void layout_wal_spare(layout_path out, uint64_t id); /* a WAL file being made ready */
void layout_level_dir(layout_path out, enum value_lane lane, unsigned level);
void layout_segment(layout_path out, enum value_lane lane, unsigned level, uint64_t id);
void layout_segment_staging(layout_path out, enum value_lane lane, unsigned level, uint64_t id);
void layout_registry_delta(layout_path out, uint64_t id);
void layout_tombstones(layout_path out, uint64_t id);
void layout_snapshot(layout_path out, const char *name); /* snapshot_name_ok() */
void layout_snapshot_staging(layout_path out, const char *name);
void layout_tier_level_dir(layout_path out, enum layout_tier tier, enum value_lane lane,
                           unsigned level);
void layout_tier_segment(layout_path out, enum layout_tier tier, enum value_lane lane,
                         unsigned level, uint64_t id);

/* dir + "/" + name; ST_INVALID when the result is no valid path or too long. */
CHECKED status layout_join(layout_path out, const char *dir, struct slice name, struct err *err);

/* Ids back from names of directory entries; false for any other name. */
bool layout_wal_id(uint64_t *out, struct slice name);
bool layout_segment_id(uint64_t *out, struct slice name);
bool layout_tombstones_id(uint64_t *out, struct slice name);
bool layout_registry_delta_id(uint64_t *out, struct slice name);

/* Makes all directories of a data directory (idempotent, synced). */
CHECKED status layout_make_dirs(struct vfs *vfs, struct err *err);

/* Empties the staging directory and removes what publication leaves behind when
 * it is cut short (*.tmp, WAL spares). At start, under the lock. */
CHECKED status layout_sweep(struct vfs *vfs, struct err *err);

#endif
