/* The write-ahead log: one for a database, written by one thread.
 *
 *   owner         wal_begin, fill, wal_end ... wal_publish       memory only
 *                          | head (release)
 *   WAL thread    wal_step: take [taken, head), CRC, write, rotate, sync by mode,
 *                 acked (release), notify
 *
 * The owner builds frames in a ring buffer; the WAL thread takes all that is
 * published in one step, so group commit is what accumulates during a sync. Each
 * frame's sequence number is its lsn, and an answer may leave when
 * wal_acked() >= lsn.
 *
 * Modes (decision 3): append acknowledges after fdatasync; periodic after the
 * write and syncs when the interval has passed, idle or not; off after the write
 * and syncs at close only.
 *
 * Failure: a failed write or sync is final. wal_failed() keeps the status, nothing
 * is acknowledged any more, and the file is not touched again; a restart recovers
 * what can be read. A full disk is noticed while the next file is made ready:
 * wal_space_ok() turns false while the current file still has room, and true again
 * by itself when space returns; frames that find no file wait in the ring.
 *
 * A wal without a thread (tests, the library) is driven by calling wal_step() from
 * one thread at a time.
 */
#ifndef TSINK_STORAGE_WAL_H
#define TSINK_STORAGE_WAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/account.h"
#include "base/clock.h"
#include "base/vfs.h"
#include "storage/wal_record.h"

struct wal_replay;

enum wal_sync { WAL_SYNC_APPEND, WAL_SYNC_PERIODIC, WAL_SYNC_OFF };

enum {
    WAL_BUFFER_DEFAULT = 32 << 20,
    WAL_FILE_DEFAULT = 64 << 20,
    WAL_FILE_MIN = 16 << 10,
    WAL_BUFFER_MIN = 4 << 10,
    WAL_RUNS_MAX = 4096,           /* runs open at once */
};

struct wal_options {
    enum wal_sync sync;
    int64_t sync_interval_ns;      /* periodic; 0: one second */
    size_t buffer_bytes;           /* ring, rounded up to a power of two; 0: default */
    uint64_t file_bytes;           /* length of a file; 0: default. Raised until any frame
                                    * fits */
    unsigned n_spare_max;          /* files kept ready after recycling; 0: 8 */
    struct database_id db;
    lsn covered;                   /* what the catalog says is covered: the first frame is
                                    * later than that also when the log was lost */
    struct clock *clock;
    struct account *account;       /* charged for the ring; may be NULL */
    /* WAL thread, after acked moved, space changed or the log failed; may be NULL. */
    void (*notify)(void *ctx);
    void *notify_ctx;
};

struct wal_stats {
    uint64_t n_frames, n_bytes;         /* written, headers included */
    uint64_t n_writes, n_syncs;
    uint64_t sync_ns, sync_ns_max;      /* spent in fdatasync: sum, longest */
    uint64_t n_rotations;
    uint64_t n_created, n_recycled, n_removed; /* files */
    uint64_t n_files;                   /* that hold live frames, the current one too */
    uint64_t live_bytes;                /* wal_bytes() */
    uint64_t buffered_bytes;            /* in the ring, not yet written */
    uint64_t n_errors;                  /* failed operations, benign ones too */
};

struct wal;

/* Begins a new file behind what replay found (NULL: the directory has no log, else
 * ST_EXISTS) and makes it durable before it returns. replay may be closed afterwards. */
CHECKED status wal_open(struct wal **out, struct vfs *vfs, const struct wal_options *opt,
                        const struct wal_replay *replay, struct err *err);

/* Writes and syncs what is published, whatever the mode, and ends the log with a
 * clean mark. Stops the thread. Frees the wal also when it fails. NULL: ST_OK. */
status wal_close(struct wal *wal, struct err *err);

/* ---- owner ---- */

/* The longest payload that wal_begin() will ever give room for: a third of the
 * ring, at most WAL_PAYLOAD_MAX less the run id. */
size_t wal_payload_max(const struct wal *wal);

/* Free bytes of the ring. A frame of len payload bytes is certain to fit when
 * wal_room() >= 2 * (len + WAL_HEAD_LEN + WAL_RUN_LEN). */
size_t wal_room(const struct wal *wal);

/* Room for a payload of up to max_len bytes, or NULL when the ring has none now.
 * wal_end() or another wal_begin() follows. */
CHECKED uint8_t *wal_begin(struct wal *wal, size_t max_len);

/* Ends the frame with len <= max_len payload bytes and returns its lsn. flags: 0 or
 * WAL_COMMIT; a frame with run 0 stands alone. It is not seen by the WAL thread
 * before wal_publish(). At most WAL_RUNS_MAX runs are open at once (asserted). */
lsn wal_end(struct wal *wal, enum wal_type type, unsigned flags, uint64_t run, size_t len);

/* Makes the step's frames visible to the WAL thread and wakes it when it sleeps. */
void wal_publish(struct wal *wal);

lsn wal_head(const struct wal *wal); /* the last published frame; 0: none ever */

/* Everything up to seq is covered by published segments and the durable registry:
 * files that end there may be recycled. Takes effect in a later step. */
void wal_release(struct wal *wal, lsn seq);

/* From the next step on. */
void wal_set_sync(struct wal *wal, enum wal_sync sync, int64_t interval_ns);

/* ---- any thread ---- */

lsn wal_acked(const struct wal *wal);  /* acknowledged by the rule of the mode */
lsn wal_synced(const struct wal *wal); /* on stable storage */

/* ST_OK, or the failure that ended the log; err gets its text. */
status wal_failed(const struct wal *wal, struct err *err);

/* False while the next file cannot be made ready (disk full). */
bool wal_space_ok(const struct wal *wal);

/* Bytes of frames that are not released yet, the ring included: about what a restart
 * would replay. Counted by whole files; drops when the WAL thread sees the release. */
uint64_t wal_bytes(const struct wal *wal);

void wal_stats(const struct wal *wal, struct wal_stats *out);

/* While held no file is recycled or removed: for copying. Counted. May wait for a
 * rename, so not on the owner. */
void wal_hold(struct wal *wal);
void wal_unhold(struct wal *wal);

/* Asks for a sync of everything published, whatever the mode. Wait for
 * wal_synced() >= the lsn of interest. */
void wal_want_sync(struct wal *wal);

/* ---- WAL thread ---- */

/* One round: write, sync and acknowledge what is published; then, when nothing
 * waits, one bounded piece of upkeep (recycling, making the next file ready, a
 * sync that is due). True when there is more to do now. */
bool wal_step(struct wal *wal);

/* Nanoseconds until wal_step() has something to do by itself; -1: nothing. */
int64_t wal_wait_ns(struct wal *wal);

/* Runs wal_step() on a thread of its own ("wal") until wal_close() or wal_stop(). */
CHECKED status wal_start_thread(struct wal *wal, struct err *err);
void wal_stop(struct wal *wal);

#endif
