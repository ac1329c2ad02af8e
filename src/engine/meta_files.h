/* Exemplars and metadata on disk: two stores in memory, the log, and a file each.
 *
 *     write     owner     a request's exemplars and changed families: store, then one frame
 *                         of the log behind its samples; the answer waits for both
 *     cut       owner     what a flush or a snapshot is to have: a mark and two versions
 *     file      worker    the job that names a flush's segments writes the file of a store
 *                         that has changed, before the log is released
 *     replay    recovery  the file, then frames behind what it covers
 *
 * The promise: what an answered request brought survives what its samples survive. A file is
 * written at flushes only, and is whole or the one before. It may have more than it covers,
 * up to the cut: replaying that again changes nothing (exemplars.h, newest word wins). It has
 * no exemplar of a series that the registry's files of the same flush do not know.
 */
#ifndef TSINK_ENGINE_META_FILES_H
#define TSINK_ENGINE_META_FILES_H

#include "storage/payload_file.h"
#include "storage/wal_record.h"

struct db;
struct cell;
struct batch;

enum { META_KINDS = PAYLOAD_METADATA + 1 }; /* arrays by enum payload_kind */

/* What there is between two batches. */
struct meta_cut {
    uint64_t mark;                 /* exemplars that had come in */
    uint64_t version[META_KINDS];
};

/* Owner, between batches. */
struct meta_cut meta_cut(struct db *db);

/* Worker with the catalog: writes the files of what has changed since they were written. */
CHECKED status meta_files_checkpoint(struct db *db, const struct meta_cut *cut, lsn covered,
                                     const _Atomic bool *cancelled, struct err *err);

/* Worker: the files of another directory, of stores that hold something. */
CHECKED status meta_files_copy(struct db *db, struct vfs *to, const struct meta_cut *cut,
                               lsn covered, const _Atomic bool *cancelled, struct err *err);

/* ---- recovery ---- */

/* What the files hold. A damaged one is put aside, counted and named. */
CHECKED status meta_files_load(struct db *db, struct err *err);

/* A frame of type WAL_META, or the exemplars' share of a WAL_DELETE, that the files do not
 * cover. */
CHECKED status meta_replay(struct db *db, const struct wal_frame *frame);
CHECKED status meta_replay_delete(struct db *db, const struct wal_frame *frame);

/* The end: exemplars of series that are no more go. */
CHECKED status meta_settle(struct db *db);

/* ---- a directory that nobody has open ---- */

/* Reads a file; *n counts its records. ST_NOT_FOUND, ST_CORRUPT. */
CHECKED status meta_file_verify(uint64_t *n, struct vfs *vfs, enum payload_kind kind,
                                const struct database_id *db, struct err *err);

#endif
