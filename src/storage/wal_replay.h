/* Reads the WAL of an earlier run. wal_replay_open() maps all files, checks every
 * frame, and settles what counts:
 *
 *   - the order of the log is the order of sequence numbers, through all files;
 *   - a torn tail (bytes that are no frame, and no valid frame behind them that
 *     was written after a sync of them) is normal: it is cut and counted;
 *   - damage before a frame that proves it was synced (WAL_BARRIER) is corruption.
 *     strict: ST_CORRUPT with file, offset and reason, nothing is changed on disk.
 *     salvage: the file is copied to quarantine/, the damage skipped and counted;
 *   - frames of a run count only when its COMMIT is there; unfinished runs, and
 *     runs that lost a frame to damage, are dropped and counted.
 *
 * wal_replay_each() then hands on the frames that count, as often as wanted (first
 * the definitions, then the samples, from several threads): payloads point into
 * the mapped files and live until wal_replay_close(). wal_open() takes over where
 * the replay ended. Opening may be repeated any number of times.
 */
#ifndef TSINK_STORAGE_WAL_REPLAY_H
#define TSINK_STORAGE_WAL_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/vfs.h"
#include "storage/wal_record.h"

enum wal_replay_mode { WAL_REPLAY_STRICT, WAL_REPLAY_SALVAGE };

struct wal_replay_options {
    enum wal_replay_mode mode;
    struct database_id db;
    lsn covered;    /* lost frames up to here are no loss: segments have them */
    bool read_only; /* tsink-check: report, cut and copy nothing */
};

struct wal_replay_stats {
    uint64_t n_files, n_frames, n_bytes;  /* valid ones */
    uint64_t n_frames_dropped;            /* of unfinished or damaged runs */
    uint64_t n_runs_dropped;
    uint64_t n_torn;                      /* tails cut: 0 or 1 */
    uint64_t torn_bytes;                  /* known to have been written behind the cut */
    uint64_t n_torn_frames;               /* valid but never synced, behind the cut */
    uint64_t n_damaged;                   /* salvage: places skipped */
    uint64_t n_files_aside;               /* copied or moved to quarantine/ */
};

struct wal_replay;

/* A directory without WAL files replays nothing. ST_CORRUPT, ST_UNSUPPORTED (a
 * newer format, an unknown frame type: nothing is touched), ST_NO_MEMORY, ST_IO. */
CHECKED status wal_replay_open(struct wal_replay **out, struct vfs *vfs,
                               const struct wal_replay_options *opt, struct err *err);

/* In order of seq, until each fails. Any thread, several at once. */
CHECKED status wal_replay_each(const struct wal_replay *replay,
                               status (*each)(void *ctx, const struct wal_frame *frame),
                               void *ctx);

lsn wal_replay_last(const struct wal_replay *replay); /* the last valid frame; 0: none */
void wal_replay_stats(const struct wal_replay *replay, struct wal_replay_stats *out);
void wal_replay_close(struct wal_replay *replay); /* accepts NULL */

#endif
