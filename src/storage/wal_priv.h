/* What wal.c, wal_write.c, wal_files.c and wal_replay.c share. The thread that may
 * touch a field is the one of its group; atomics say who writes. */
#ifndef TSINK_STORAGE_WAL_PRIV_H
#define TSINK_STORAGE_WAL_PRIV_H

#include <stdatomic.h>

#include "base/lock.h"
#include "base/panic.h"
#include "base/thread.h"
#include "base/vec.h"
#include "storage/layout.h"
#include "storage/wal.h"
#include "storage/wal_replay.h"

enum {
    WAL_FRAME_OVERHEAD = WAL_HEAD_LEN + WAL_RUN_LEN,
    WAL_MARK_LEN = WAL_FRAME_OVERHEAD,      /* a mark has no payload */
    WAL_PIECE = 512 << 10,                  /* allocated in one step of upkeep */
    WAL_FIRST_MIN = 2 << 20,                /* of the first file of a process, at least */
    WAL_RING_WARM = 1 << 20,                /* of the ring, or an eighth: see wal_begin() */
    WAL_ALIGN = 64,
};

#define WAL_RETRY_NS 100000000ll      /* after a failed attempt to make a file ready */
#define WAL_QUIET_NS 20000000ll       /* without a write: upkeep disturbs nobody */
#define WAL_UPKEEP_NS 25000000ll      /* between two pieces under load: about one commit in
                                       * a hundred waits for one */
#define WAL_IDLE_MARK_NS 1000000000ll /* idle that long: the end of the log gets a mark */

/* A file that was written to, in order of id. */
struct wal_file {
    uint64_t id;
    lsn last;          /* its last frame; 0: none, the file may go at once */
    uint64_t bytes;    /* of its frames; 0 once they are released */
    bool unsynced;     /* left behind in mode off */
};

/* A file made ready: header written and synced, room allocated, final name. */
struct wal_ready {
    uint64_t id;
    struct vfs_file *file;
    uint64_t room;     /* bytes it may hold, its header among them */
};

/* A file being made ready under its spare name. */
struct wal_prep {
    struct vfs_file *file; /* NULL: none */
    uint64_t id;
    uint64_t done;         /* bytes allocated */
    bool recycled;
};

struct wal_counters {
    _Atomic uint64_t n_frames, n_bytes, n_writes, n_syncs, sync_ns, sync_ns_max;
    _Atomic uint64_t n_rotations, n_created, n_recycled, n_removed, n_files, n_errors;
};

struct wal {
    struct vfs *vfs;
    struct clock *clock;
    struct account *account;
    void (*notify)(void *ctx);
    void *notify_ctx;
    struct database_id db;
    uint64_t file_bytes;
    uint64_t first_bytes;  /* of the first file: nobody waits at start for a whole one */
    unsigned n_spare_max;
    bool paced;            /* a thread of its own steps it */
    uint64_t session;      /* the id of the first file of this process run */

    /* The ring: positions count bytes for ever, the index is position & (cap - 1). */
    uint8_t *ring;
    size_t cap;            /* a power of two */

    /* ---- owner ---- */
    uint64_t build;        /* end of the last ended frame */
    uint64_t frame;        /* where the frame being built begins */
    size_t frame_max;      /* payload room it was given; SIZE_MAX: none begun */
    uint64_t gap, gap_len; /* the last skip: position, bytes */
    lsn next_seq;
    lsn published;
    uint64_t *runs;        /* open runs; WAL_RUNS_MAX */
    size_t n_runs;

    /* ---- owner to WAL thread ---- */
    _Alignas(WAL_ALIGN) _Atomic uint64_t head; /* position; frames below are complete */
    _Atomic lsn released;
    _Atomic lsn want_sync;
    _Atomic lsn head_seq;                      /* the last published frame */
    _Atomic int sync_mode;
    _Atomic int64_t sync_interval_ns;
    _Atomic bool poked;                        /* something besides head changed */

    /* ---- WAL thread to all ---- */
    _Alignas(WAL_ALIGN) _Atomic uint64_t freed; /* position; the ring is free below */
    _Atomic lsn acked, synced;
    _Atomic uint64_t file_live_bytes;           /* frames in files, not released */
    _Atomic bool space_ok;
    _Atomic int failed;                         /* a status; err is valid once it is set */
    struct err err;
    struct wal_counters count;

    /* ---- WAL thread ---- */
    _Alignas(WAL_ALIGN) uint64_t taken;  /* position; frames below are in a file */
    struct vfs_file *file;
    struct wal_file cur;
    uint64_t off;                        /* end of what is written to the current file */
    uint64_t room;                       /* what it may hold */
    lsn written;                         /* the last frame written */
    bool marked;                         /* a mark ends the current file */
    bool stalled;                        /* no file to write to: waits for space */
    mono_ns synced_at, wrote_at, retry_at, upkeep_at;
    VEC(struct wal_file) files;          /* left behind, oldest first */
    VEC(struct wal_ready) ready;         /* oldest first */
    struct wal_prep prep;
    uint64_t next_id;

    /* ---- sleep and wake ---- */
    struct thread thread;
    _Atomic bool sleeping, stop;
    struct mutex mutex;                  /* protects nothing but the sleep */
    struct cond cond;
    struct mutex hold_mutex;             /* n_holds, against files going away */
    uint32_t n_holds;
};

/* ---- wal_files.c: WAL thread (or before it runs) ---- */

/* Takes the next ready file, or makes one now. On failure nothing has changed. */
CHECKED status wal_next_file(struct wal *wal, struct wal_ready *out, struct err *err);

/* One bounded piece of making files ready or recycling. True when there is more. */
bool wal_upkeep_files(struct wal *wal);
void wal_note_released(struct wal *wal);

/* Nanoseconds until it has something to do; -1: nothing. */
int64_t wal_upkeep_wait_ns(struct wal *wal);

/* ---- wal_write.c ---- */

/* Writes what is published up to head; rotates. A failure is final. */
CHECKED status wal_write_head(struct wal *wal, uint64_t head, struct err *err);
CHECKED status wal_sync_files(struct wal *wal, struct err *err);
CHECKED status wal_write_mark(struct wal *wal, unsigned flags, struct err *err);
void wal_fail(struct wal *wal, status st, const struct err *err);

/* ---- wal_replay.c ---- */

struct wal_found_file {
    uint64_t id;
    lsn last;          /* its last valid frame; 0: none */
    uint64_t bytes;    /* of valid frames */
};

struct wal_found {
    const struct wal_found_file *files; /* by id; those put aside are not here */
    size_t n;
    uint64_t id_max;   /* the highest id ever seen, those put aside too */
    lsn last;
};

void wal_replay_found(const struct wal_replay *replay, struct wal_found *out);

static inline void wal_add(_Atomic uint64_t *counter, uint64_t n)
{
    /* One writer: a plain add is enough. */
    uint64_t v = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, v + n, memory_order_relaxed);
}

#endif
