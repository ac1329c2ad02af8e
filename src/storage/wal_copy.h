/* Copies the log of a running database up to a frame, for a snapshot. The copy is a log
 * of its own: files of the same names, ended by a clean mark, so that what a restart
 * replays from it is what the frames up to there say, and damage to it is noticed.
 *
 * Worker. The log must be held (wal_hold) and synced up to the cut before. */
#ifndef TSINK_STORAGE_WAL_COPY_H
#define TSINK_STORAGE_WAL_COPY_H

#include <stdatomic.h>

#include "base/vfs.h"
#include "storage/wal_record.h"

struct wal_copy {
    struct vfs *from, *to;       /* roots of data directories */
    lsn covered;                 /* frames up to here need not be copied */
    lsn cut;                     /* the last frame to copy */
    struct database_id db;
    const _Atomic bool *cancelled; /* may be NULL */
};

/* Bytes that wal_copy_run() will write at most. */
CHECKED status wal_copy_bytes(uint64_t *out, const struct wal_copy *copy, struct err *err);

/* Every frame is checked on the way. ST_CORRUPT when one of (covered, cut] is missing or
 * damaged; ST_CANCELLED. Files and their directory are synced. */
CHECKED status wal_copy_run(const struct wal_copy *copy, struct err *err);

#endif
