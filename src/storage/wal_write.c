/* The WAL thread's round: from the ring to stable storage. See wal.h.
 *
 *     take [taken, head) -> seal frames -> pwrite -> sync by mode -> acked -> notify
 *
 * Frames that lie side by side in the ring and go to one file are one pwrite: usually
 * one a round, two when the ring wraps, one more for each new file.
 *
 * The barrier. A power cut between a write and its sync may keep any part of what was
 * written, also its end without its beginning. So that replay can tell this from rot,
 * the first frame written after a sync of everything before it carries WAL_BARRIER:
 * damage before a barrier is corruption, damage with none behind it was never synced
 * and so never acknowledged. In mode off there are no syncs and no barriers. When the
 * log has been idle for a second it is ended by a mark (a frame of the log's own, with
 * the sequence number of the frame before it) that is a barrier too, so that even the
 * last frames are guarded; a clean close does the same with WAL_CLEAN.
 *
 * An old file is synced before the first frame goes to the next one (not in mode off,
 * where the files left behind are remembered as unsynced and synced at close).
 *
 * Failure of a write or a sync is final (wal_fail). Finding no file to write to is not:
 * frames wait in the ring and the round is repeated when space may have returned.
 */
#include "base/bytes.h"
#include "base/sync_point.h"
#include "storage/wal_priv.h"

void wal_fail(struct wal *wal, status st, const struct err *err)
{
    ASSERT(st != ST_OK);
    wal_add(&wal->count.n_errors, 1);
    if (atomic_load_explicit(&wal->failed, memory_order_relaxed) != ST_OK) return;
    wal->err = *err;
    wal->err.st = st;
    atomic_store_explicit(&wal->failed, (int)st, memory_order_release);
    if (wal->notify) wal->notify(wal->notify_ctx);
}

/* ---- syncing ---- */

static status sync_file(struct wal *wal, struct vfs_file *file, struct err *err)
{
    mono_ns begun = clock_mono(wal->clock);

    SYNC_POINT("wal:before-sync");
    TRY(vfs_sync(file, err));
    uint64_t ns = (uint64_t)(clock_mono(wal->clock) - begun);
    wal_add(&wal->count.n_syncs, 1);
    wal_add(&wal->count.sync_ns, ns);
    if (ns > atomic_load_explicit(&wal->count.sync_ns_max, memory_order_relaxed)) {
        atomic_store_explicit(&wal->count.sync_ns_max, ns, memory_order_relaxed);
    }
    return ST_OK;
}

static status sync_left_behind(struct wal *wal, struct wal_file *f, struct err *err)
{
    struct vfs_file *file;
    layout_path path;

    layout_wal(path, f->id);
    TRY(vfs_open(wal->vfs, &file, path, VFS_WRITE, err));
    status st = sync_file(wal, file, err);
    vfs_close(file);
    if (st == ST_OK) f->unsynced = false;
    return st;
}

status wal_sync_files(struct wal *wal, struct err *err)
{
    for (size_t i = 0; i < wal->files.len; i++) {
        if (wal->files.ptr[i].unsynced) TRY(sync_left_behind(wal, &wal->files.ptr[i], err));
    }
    if (wal->file) TRY(sync_file(wal, wal->file, err));
    wal->synced_at = clock_mono(wal->clock);
    atomic_store_explicit(&wal->synced, wal->written, memory_order_release);
    return ST_OK;
}

/* ---- writing ---- */

/* Frames [from, to) of the ring, side by side there, to the current file. */
static status write_run(struct wal *wal, uint64_t from, uint64_t to, struct err *err)
{
    size_t len = (size_t)(to - from);
    if (len == 0) return ST_OK;

    TRY(vfs_write(wal->file, wal->off, wal->ring + (from & (wal->cap - 1)), len, err));
    wal->off += len;
    wal->cur.bytes += len;
    wal_add(&wal->count.n_writes, 1);
    wal_add(&wal->count.n_bytes, len);
    wal_add(&wal->file_live_bytes, len);
    return ST_OK;
}

/* Where the next frame begins: pos, or the start of the ring after a skip. */
static uint64_t skip_gap(const struct wal *wal, uint64_t pos)
{
    size_t idx = (size_t)(pos & (wal->cap - 1));
    size_t rest = wal->cap - idx;
    if (rest >= WAL_HEAD_LEN && load_u32(wal->ring + idx) == WAL_MAGIC) return pos;
    return pos + rest;
}

/* Goes on in the next file. ST_NO_SPACE and other failures to get one change nothing
 * and stall the log; *lost is set when the old file could not be synced. */
static status rotate(struct wal *wal, bool *lost, struct err *err)
{
    struct wal_ready next;
    bool off = atomic_load_explicit(&wal->sync_mode, memory_order_relaxed) == WAL_SYNC_OFF;

    if (!vec_reserve(&wal->files, 1)) return err_set(err, ST_NO_MEMORY, "WAL files");
    TRY(wal_next_file(wal, &next, err));
    if (!off) {
        status st = wal_sync_files(wal, err);
        if (st != ST_OK) {
            vfs_close(next.file);
            *lost = true;
            return st;
        }
    }
    wal->cur.last = wal->written;
    wal->cur.unsynced = off;
    (void)vec_push(&wal->files, wal->cur);
    vfs_close(wal->file);
    wal->file = next.file;
    wal->room = next.room;
    wal->cur = (struct wal_file){.id = next.id};
    wal->off = WAL_FILE_HEAD_LEN;
    wal_add(&wal->count.n_rotations, 1);
    atomic_store_explicit(&wal->count.n_files, wal->files.len + 1, memory_order_relaxed);
    return ST_OK;
}

/* Completes the frame at pos for the current file and returns its length. */
static size_t seal_frame(struct wal *wal, uint64_t pos)
{
    uint8_t *frame = wal->ring + (pos & (wal->cap - 1));
    lsn seq = load_u64(frame + WAL_OFF_SEQ);

    ASSERT(seq == wal->written + 1);
    if (atomic_load_explicit(&wal->synced, memory_order_relaxed) == wal->written) {
        frame[WAL_OFF_FLAGS] |= WAL_BARRIER;
    }
    wal_frame_seal(frame, wal->cur.id);
    wal->written = seq;
    wal_add(&wal->count.n_frames, 1);
    return WAL_HEAD_LEN + (size_t)load_u32(frame + WAL_OFF_LEN);
}

/* A full current file: what of it is pending goes out, then the next one. */
static status next_file(struct wal *wal, uint64_t *from, uint64_t pos, bool *lost,
                        struct err *err)
{
    status st = write_run(wal, *from, pos, err);
    *lost = st != ST_OK;
    if (st != ST_OK) return st;
    *from = pos;
    wal->taken = pos;
    return rotate(wal, lost, err);
}

status wal_write_head(struct wal *wal, uint64_t head, struct err *err)
{
    uint64_t from = wal->taken, pos = wal->taken;
    status st = ST_OK;
    bool lost = false;

    wal->stalled = false;
    while (pos < head) {
        uint64_t at = skip_gap(wal, pos);
        if (at != pos) {
            TRY(write_run(wal, from, pos, err));
            from = pos = at;
            continue;
        }
        const uint8_t *frame = wal->ring + (pos & (wal->cap - 1));
        size_t len = WAL_HEAD_LEN + (size_t)load_u32(frame + WAL_OFF_LEN);
        if (wal->off + (pos - from) + len > wal->room) {
            st = next_file(wal, &from, pos, &lost, err);
            if (st != ST_OK) break;
        }
        pos += seal_frame(wal, pos);
        wal->marked = false;
    }
    if (lost) return st;
    if (st != ST_OK) { /* no next file: wait for space */
        wal->stalled = true;
        wal->retry_at = clock_mono(wal->clock) + WAL_RETRY_NS;
        return ST_OK;
    }
    TRY(write_run(wal, from, pos, err));
    wal->taken = head;
    return ST_OK;
}

status wal_write_mark(struct wal *wal, unsigned flags, struct err *err)
{
    uint8_t mark[WAL_MARK_LEN];
    bool synced = atomic_load_explicit(&wal->synced, memory_order_relaxed) == wal->written;

    if (synced) flags |= WAL_BARRIER;
    wal_frame_head(mark, WAL_MARK, flags, wal->written, WAL_RUN_LEN);
    store_u64(mark + WAL_HEAD_LEN, 0);
    wal_frame_seal(mark, wal->cur.id);
    TRY(vfs_write(wal->file, wal->off, mark, sizeof(mark), err));
    wal->off += sizeof(mark);
    wal->marked = true;
    return ST_OK;
}

/* ---- the round ---- */

static enum wal_sync mode_of(const struct wal *wal)
{
    return (enum wal_sync)atomic_load_explicit(&wal->sync_mode, memory_order_relaxed);
}

/* When the next sync is due by the clock, or -1. */
static int64_t sync_wait_ns(const struct wal *wal)
{
    lsn synced = atomic_load_explicit(&wal->synced, memory_order_relaxed);

    if (synced == wal->written) return -1;
    if (atomic_load_explicit(&wal->want_sync, memory_order_relaxed) > synced) return 0;
    switch (mode_of(wal)) {
    case WAL_SYNC_APPEND: return 0;
    case WAL_SYNC_OFF: return -1;
    case WAL_SYNC_PERIODIC: break;
    }
    int64_t left = atomic_load_explicit(&wal->sync_interval_ns, memory_order_relaxed) -
                   (clock_mono(wal->clock) - wal->synced_at);
    return left > 0 ? left : 0;
}

static void acknowledge(struct wal *wal)
{
    lsn now = mode_of(wal) == WAL_SYNC_APPEND
                  ? atomic_load_explicit(&wal->synced, memory_order_relaxed)
                  : wal->written;

    /* A change from off to append must not take an answer back. */
    if (now <= atomic_load_explicit(&wal->acked, memory_order_relaxed)) return;
    atomic_store_explicit(&wal->acked, now, memory_order_release);
    if (wal->notify) wal->notify(wal->notify_ctx);
}

static status write_and_sync(struct wal *wal, uint64_t head, struct err *err)
{
    if (head != wal->taken) {
        TRY(wal_write_head(wal, head, err));
        wal->wrote_at = clock_mono(wal->clock);
        /* The ring is free as soon as the file has it: the next batch fills it while
         * this one syncs. */
        atomic_store_explicit(&wal->freed, wal->taken, memory_order_release);
    }
    if (sync_wait_ns(wal) == 0) TRY(wal_sync_files(wal, err));
    return ST_OK;
}

/* Idle and all synced, and the end of the log has no mark yet. */
static int64_t mark_wait_ns(const struct wal *wal)
{
    if (wal->marked || wal->cur.bytes == 0) return -1;
    if (atomic_load_explicit(&wal->synced, memory_order_relaxed) != wal->written) return -1;
    int64_t left = WAL_IDLE_MARK_NS - (clock_mono(wal->clock) - wal->wrote_at);
    return left > 0 ? left : 0;
}

static bool is_waiting_for_space(const struct wal *wal)
{
    return wal->stalled && clock_mono(wal->clock) < wal->retry_at;
}

bool wal_step(struct wal *wal)
{
    struct err err = {.st = ST_OK};

    if (atomic_exchange(&wal->poked, false)) wal_note_released(wal);
    if (atomic_load_explicit(&wal->failed, memory_order_relaxed) != ST_OK) return false;

    uint64_t head = atomic_load(&wal->head);
    if (is_waiting_for_space(wal)) head = wal->taken;
    bool worked = head != wal->taken;

    status st = write_and_sync(wal, head, &err);
    if (st == ST_OK && !worked && mark_wait_ns(wal) == 0) st = wal_write_mark(wal, 0, &err);
    if (st != ST_OK) {
        wal_fail(wal, st, &err);
        return false;
    }
    acknowledge(wal);

    /* Upkeep is rare and bounded; after a round that worked it keeps pace with it. */
    bool more = wal_upkeep_files(wal);
    return (worked && !wal->stalled) || more;
}

static int64_t sooner(int64_t a, int64_t b)
{
    if (a < 0) return b;
    return b < 0 || a < b ? a : b;
}

int64_t wal_wait_ns(struct wal *wal)
{
    if (atomic_load_explicit(&wal->failed, memory_order_relaxed) != ST_OK) return -1;

    bool head = atomic_load_explicit(&wal->head, memory_order_relaxed) != wal->taken;
    if (head && !wal->stalled) return 0;
    int64_t wait = sooner(sync_wait_ns(wal), mark_wait_ns(wal));
    if (wal->stalled) {
        int64_t left = wal->retry_at - clock_mono(wal->clock);
        wait = sooner(wait, left > 0 ? left : 0);
    }
    return sooner(wait, wal_upkeep_wait_ns(wal));
}
