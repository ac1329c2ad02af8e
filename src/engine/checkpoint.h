/* Checkpoints of the registry: what a flush does so that a restart finds every series
 * without reading a segment's series table (storage/registry_catalog.h has the protocol).
 *
 *     plan    owner, at the end of the cut   freezes births, deaths, changed attributes
 *     run     the job that names segments    a delta of them, or when deltas have become
 *                                            a good part of it a new snapshot; then the
 *                                            catalogue, with the segments to be named
 *     end     owner, always                  forgets what is written
 *
 * A delta costs what has changed. The flush job has the catalogue while catalog_busy.
 */
#ifndef TSINK_ENGINE_CHECKPOINT_H
#define TSINK_ENGINE_CHECKPOINT_H

#include "base/vec.h"
#include "index/registry_file.h"
#include "storage/layout.h"
#include "storage/registry_catalog.h"

struct cell;
struct db;

/* ---- the files of any directory, by any thread that has the registry to itself ---- */

/* The catalogue, and what its files say, into an empty registry. ST_NOT_FOUND when there
 * is neither; ST_CORRUPT for any damage (then cat is sound and lists what it knows, and
 * the registry is to be freed, and bad (may be NULL) names the file). cat: uninitialised,
 * always to be released. */
CHECKED status registry_files_load(struct registry *reg, struct registry_catalog *cat,
                                   layout_path bad, struct vfs *vfs,
                                   const struct database_id *db, unsigned n_threads,
                                   struct err *err);

/* One snapshot and a catalogue that vouches for segments of flushes up to `order`. */
CHECKED status registry_files_write(const struct registry *reg,
                                    const struct registry_prefix *prefix, uint64_t order,
                                    struct vfs *vfs, const struct database_id *db,
                                    const _Atomic bool *cancelled, struct err *err);

/* ---- of the open database ---- */

struct checkpoint {
    struct registry_prefix prefix;
    VEC(series_id) dead, attrs;   /* copies of the fronts of the cell's lists */
    size_t n_dead, n_attrs;       /* how much of those lists this covers */
    uint64_t births_from;
    bool planned;
    bool due;                     /* something has changed */
    bool whole;                   /* a snapshot */
    bool written;                 /* the catalogue on disk has it */
};

/* Owner. covers: definitions in the WAL up to here are of series born by now. */
void checkpoint_plan(struct checkpoint *cp, struct cell *cell, uint64_t covers);

/* Worker that has the catalogs. infos: segments that will be named next; order: of the
 * flush that made them. */
CHECKED status checkpoint_run(struct checkpoint *cp, struct db *db,
                              const struct segment_info *const *infos, size_t n_infos,
                              uint64_t order, const _Atomic bool *cancelled, struct err *err);

/* Owner, once after plan, whatever happened. */
void checkpoint_end(struct checkpoint *cp, struct cell *cell);

/* Owner: something waits for a checkpoint. */
bool checkpoint_due(const struct cell *cell);

#endif
