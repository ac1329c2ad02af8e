/* Files of the WAL: made ready ahead of need, recycled when released. WAL thread.
 *
 *     (new)  create spare -> header -> allocate piece by piece -> sync -> rename
 *     (old)  rename to spare -> new header -> sync -> rename          "recycled"
 *
 * The spare name ends in .tmp and is swept at start, so a file that has its final name
 * has a durable header and all its room: a full disk is noticed here, while the
 * current file still has room, and nowhere else. Allocating happens in pieces with a
 * sync each, so that no round waits for a whole file. The first file of a process is a small
 * one, unless one can be recycled: a start waits for it, and for one sync.
 *
 * Pieces cost a sync, so the thread does them when the log has been quiet for a moment,
 * and between two rounds as fast as the current file fills, or one in a while. Who steps
 * the log by hand has everything done at once.
 *
 * Each rename is made durable before the next step. Released files go oldest first, so
 * what is left after any crash is a log without a hole. A recycled file keeps its old
 * bytes: its frames carry another file id in their CRC and never pass.
 *
 * Failures here are benign: the attempt is undone, counted, and repeated later; while
 * no file is ready for lack of space, space_ok is false.
 */
#include "base/sync_point.h"
#include "storage/wal_priv.h"

static void set_space(struct wal *wal, bool ok)
{
    if (atomic_load_explicit(&wal->space_ok, memory_order_relaxed) == ok) return;
    atomic_store_explicit(&wal->space_ok, ok, memory_order_relaxed);
    if (wal->notify) wal->notify(wal->notify_ctx);
}

/* ---- making a file ready ---- */

static status put_head(struct wal *wal, struct err *err)
{
    uint8_t head[WAL_FILE_HEAD_LEN];
    struct wal_file_head fields = {
        .file_id = wal->prep.id, .session = wal->session, .db = wal->db};

    wal_file_head_put(head, &fields);
    return vfs_write(wal->prep.file, 0, head, sizeof(head), err);
}

/* Gives up the file in the making. */
static void drop_prep(struct wal *wal)
{
    layout_path path;

    if (wal->prep.id == 0) return;
    layout_wal_spare(path, wal->prep.id);
    vfs_close(wal->prep.file);
    vfs_remove_best_effort(wal->vfs, path);
    wal->prep = (struct wal_prep){0};
}

static status begin_new(struct wal *wal, struct err *err)
{
    layout_path path;

    wal->prep = (struct wal_prep){.id = wal->next_id++};
    layout_wal_spare(path, wal->prep.id);
    return vfs_open(wal->vfs, &wal->prep.file, path, VFS_TRUNCATE, err);
}

/* What the file in the making is to hold. */
static uint64_t room_wanted(const struct wal *wal)
{
    return wal->file ? wal->file_bytes : wal->first_bytes;
}

/* The next piece of room. Sets *complete when there is all of it. */
static status allocate_piece(struct wal *wal, bool *complete, struct err *err)
{
    struct wal_prep *prep = &wal->prep;
    uint64_t need = room_wanted(wal);

    if (prep->done < need) {
        uint64_t len = need - prep->done;
        if (wal->file && len > WAL_PIECE) len = WAL_PIECE;
        TRY(vfs_allocate(prep->file, prep->done, len, err));
        /* Allocating zeroes: the header comes after the piece that it lies in. */
        if (prep->done == 0) TRY(put_head(wal, err));
        prep->done += len;
    }
    *complete = prep->done >= need;
    return vfs_sync(prep->file, err);
}

/* The file is complete: it gets its final name and waits for its turn. */
static status finish_prep(struct wal *wal, struct err *err)
{
    layout_path spare, path;
    uint64_t room = wal->prep.done < wal->file_bytes ? wal->prep.done : wal->file_bytes;

    if (!vec_reserve(&wal->ready, 1)) return err_set(err, ST_NO_MEMORY, "WAL files");
    layout_wal_spare(spare, wal->prep.id);
    layout_wal(path, wal->prep.id);
    SYNC_POINT("wal:before-ready");
    TRY(vfs_rename(wal->vfs, spare, path, err));
    TRY(vfs_sync_dir(wal->vfs, LAYOUT_WAL_DIR, err));
    (void)vec_push(&wal->ready,
                   (struct wal_ready){.id = wal->prep.id, .file = wal->prep.file, .room = room});
    wal_add(wal->prep.recycled ? &wal->count.n_recycled : &wal->count.n_created, 1);
    wal->prep = (struct wal_prep){0};
    return ST_OK;
}

/* One step of the file in the making, begun when there is none. */
static status prepare_piece(struct wal *wal, struct err *err)
{
    bool complete = false;

    if (!wal->prep.file) TRY(begin_new(wal, err));
    TRY(allocate_piece(wal, &complete, err));
    return complete ? finish_prep(wal, err) : ST_OK;
}

/* ---- released files ---- */

static bool is_released(const struct wal *wal, const struct wal_file *f)
{
    return f->last <= atomic_load_explicit(&wal->released, memory_order_acquire);
}

/* Their bytes are no longer live, wherever the files are on their way. */
void wal_note_released(struct wal *wal)
{
    uint64_t live = atomic_load_explicit(&wal->file_live_bytes, memory_order_relaxed);

    for (size_t i = 0; i < wal->files.len && is_released(wal, &wal->files.ptr[i]); i++) {
        live -= wal->files.ptr[i].bytes;
        wal->files.ptr[i].bytes = 0;
    }
    atomic_store_explicit(&wal->file_live_bytes, live, memory_order_relaxed);
}

static void forget_oldest(struct wal *wal)
{
    wal->files.len--;
    memmove(wal->files.ptr, wal->files.ptr + 1, wal->files.len * sizeof(wal->files.ptr[0]));
    atomic_store_explicit(&wal->count.n_files, wal->files.len + 1, memory_order_relaxed);
}

static status remove_oldest(struct wal *wal, struct err *err)
{
    layout_path path;

    layout_wal(path, wal->files.ptr[0].id);
    status st = vfs_remove(wal->vfs, path, err);
    if (st != ST_OK && st != ST_NOT_FOUND) return st;
    TRY(vfs_sync_dir(wal->vfs, LAYOUT_WAL_DIR, err));
    forget_oldest(wal);
    wal_add(&wal->count.n_removed, 1);
    return ST_OK;
}

/* Moves the oldest file to a spare name and gives it its new header; what is missing of
 * its room is allocated by the steps that follow. */
static status begin_recycled(struct wal *wal, struct err *err)
{
    layout_path path, spare;

    wal->prep = (struct wal_prep){.id = wal->next_id++, .recycled = true};
    layout_wal(path, wal->files.ptr[0].id);
    layout_wal_spare(spare, wal->prep.id);
    TRY(vfs_rename(wal->vfs, path, spare, err));
    forget_oldest(wal);
    SYNC_POINT("wal:recycling");
    TRY(vfs_sync_dir(wal->vfs, LAYOUT_WAL_DIR, err));
    TRY(vfs_open(wal->vfs, &wal->prep.file, spare, VFS_WRITE, err));
    TRY(vfs_len(wal->prep.file, &wal->prep.done, err));
    if (wal->prep.done < WAL_FILE_HEAD_LEN) wal->prep.done = 0;
    return put_head(wal, err);
}

/* Needs no file in the making. None goes while somebody copies them. */
static status release_oldest(struct wal *wal, struct err *err)
{
    status st = ST_OK;

    mutex_lock(&wal->hold_mutex);
    if (wal->n_holds == 0) {
        bool spare = wal->ready.len < wal->n_spare_max;
        st = spare ? begin_recycled(wal, err) : remove_oldest(wal, err);
        /* Usually all its room is there, and it is ready at once. */
        if (st == ST_OK && spare && wal->prep.done >= room_wanted(wal)) {
            st = prepare_piece(wal, err);
        }
    }
    mutex_unlock(&wal->hold_mutex);
    return st;
}

static bool can_release(struct wal *wal)
{
    if (wal->files.len == 0 || !is_released(wal, &wal->files.ptr[0])) return false;
    mutex_lock(&wal->hold_mutex);
    bool held = wal->n_holds > 0;
    mutex_unlock(&wal->hold_mutex);
    return !held;
}

/* ---- upkeep ---- */

static void note_failure(struct wal *wal)
{
    drop_prep(wal);
    wal_add(&wal->count.n_errors, 1);
    wal->retry_at = clock_mono(wal->clock) + WAL_RETRY_NS;
    if (wal->ready.len == 0) set_space(wal, false);
}

/* Whether the next file would not be ready when the current one, which may be smaller, is
 * three quarters full. */
static bool lags_behind(const struct wal *wal)
{
    return wal->ready.len == 0 &&
           wal->prep.done < wal->off / 3 * 4 * (wal->file_bytes / wal->room);
}

int64_t wal_upkeep_wait_ns(struct wal *wal)
{
    mono_ns now = clock_mono(wal->clock);

    if (!wal->prep.file && wal->ready.len > 0 && !can_release(wal)) return -1;
    if (now < wal->retry_at) return wal->retry_at - now;
    if (!wal->paced || lags_behind(wal)) return 0;
    mono_ns quiet_at = wal->wrote_at + WAL_QUIET_NS;
    mono_ns at = quiet_at < wal->upkeep_at ? quiet_at : wal->upkeep_at;
    return at > now ? at - now : 0;
}

bool wal_upkeep_files(struct wal *wal)
{
    struct err err = {.st = ST_OK};
    status st;

    if (wal_upkeep_wait_ns(wal) != 0) return false;
    if (!wal->prep.file && can_release(wal)) st = release_oldest(wal, &err);
    else st = prepare_piece(wal, &err);
    wal->upkeep_at = clock_mono(wal->clock) + WAL_UPKEEP_NS;
    if (st != ST_OK) {
        note_failure(wal);
        return false;
    }
    if (wal->ready.len > 0) set_space(wal, true);
    return wal_upkeep_wait_ns(wal) == 0;
}

status wal_next_file(struct wal *wal, struct wal_ready *out, struct err *err)
{
    status st = ST_OK;

    if (wal->ready.len == 0 && !wal->prep.file && can_release(wal)) {
        st = release_oldest(wal, err);
    }
    while (st == ST_OK && wal->ready.len == 0) st = prepare_piece(wal, err);
    if (st != ST_OK) {
        note_failure(wal);
        return st;
    }
    set_space(wal, true);
    *out = wal->ready.ptr[0];
    wal->ready.len--;
    memmove(wal->ready.ptr, wal->ready.ptr + 1, wal->ready.len * sizeof(wal->ready.ptr[0]));
    return ST_OK;
}
