/* Snapshots. See snapshot.h.
 *
 *   begin     worker   an empty staging directory; the hold on segment directories and
 *                      on the log's files: from here nothing needed can go away
 *   capture   owner    between two batches: manifest, deletes, the lsn that segments
 *                      cover, the end of the log (the cut), the registry's prefix
 *   sync      WAL      durable up to the cut: what a batch promised is not half there
 *   link      worker   the registry's file, hard links to the segments, the log copied up
 *                      to the cut; then both holds are dropped
 *   write     worker   deletes, database.json, catalog; the list of all files
 *                      with their checksums; verification of the whole; the rename
 *
 * Why it is exact: a sample applied before the capture is in a segment of the manifest
 * or in the log behind what segments cover, and the manifest and the covered lsn change
 * in one step of the owner. Frames of a request that is still open at the cut have no
 * commit there and are dropped by replay. All deletes are written out, those that the
 * log has too: hiding twice hides no more. A series that was born after the cut may be
 * in the registry, without a sample. None dies between the cut and the registry's file
 * (snapshot_wants_names()): what it had at the cut would belong to nobody. Of exemplars the
 * snapshot has those from before the cut that are there when it writes their file: one that
 * was evicted or deleted meanwhile is missing.
 *
 * Links share bytes with the database's segments, which are never written again; files
 * of the log are, so they are copied. Until the rename all is below .staging/, which the
 * next start sweeps; a failure removes it at once.
 *
 * Not here: the list (storage/linkset.h), copying the log (storage/wal_copy.h), the
 * checks (verify.h), restoring (utils/tsink-check).
 */
#include "engine/snapshot.h"

#include <stdio.h>
#include <string.h>

#include "base/date.h"
#include "base/durable.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sync_point.h"
#include "base/vfs_sub.h"
#include "engine/checkpoint.h"
#include "engine/db_priv.h"
#include "engine/verify.h"
#include "index/registry_file.h"
#include "storage/wal_copy.h"

enum { SPACE_RESERVE = 64 << 20 }; /* reliability.md F2: left for the log */

enum snapshot_phase { SNAP_BEGIN, SNAP_CAPTURE, SNAP_SYNC, SNAP_LINK, SNAP_WRITE };

static const char *const phase_names[] = {"begin", "begin", "sync", "link", "write"};

struct snapshot {
    struct job job;
    struct db *db;
    enum snapshot_phase phase;
    bool skip_head, full;
    bool held;                    /* both holds are taken */
    bool cancelled;               /* asked to stop while no job runs */
    struct vfs *dir;              /* the staging directory */
    layout_path staging, path;
    struct snapshot_info info;
    mono_ns began;
    _Atomic uint64_t bytes_done, bytes_total;
    _Atomic bool names_saved;     /* the registry's file is written */
    /* Captured. */
    struct manifest *manifest;
    struct registry_prefix prefix;
    struct meta_cut meta;
    lsn covered;
    uint64_t last_order, next_segment;
    uint64_t n_copied;            /* segment files that could not be linked */
    snapshot_done done;
    void *ctx;
};

/* ---- ending --------------------------------------------------------------------- */

static void drop_holds(struct snapshot *s)
{
    if (!s->held) return;
    s->held = false;
    wal_unhold(s->db->cell.wal);
    file_hold_drop(&s->db->files);
}

static void free_snapshot(struct snapshot *s)
{
    if (s->manifest) manifest_unref(s->manifest);
    vfs_free(s->dir);
    mem_free(s);
}

static void end_snapshot(struct snapshot *s, status st)
{
    struct db *db = s->db;
    struct db_stats *stats = &db->cell.stats;
    int64_t ns = clock_mono(db->ports.clock) - s->began;
    db->snapshot = NULL;
    if (st == ST_OK) {
        stats->n_snapshots++;
        cell_job_done(&db->cell, DB_JOB_SNAPSHOT);
        stats->snapshot_ns = (uint64_t)ns;
        log_info("snapshot", "made and verified",
                 "name=%s segments=%llu copied_files=%llu cut=%llu ms=%lld", s->info.name,
                 (unsigned long long)s->info.n_segments, (unsigned long long)s->n_copied,
                 (unsigned long long)s->info.cut, (long long)(ns / 1000000));
    } else {
        stats->n_snapshot_failures++;
        cell_job_failed(&db->cell, DB_JOB_SNAPSHOT, st, &s->job.err);
        log_error("snapshot", "failed; nothing of it is kept", "name=%s reason=\"%s\"",
                  s->info.name, err_text(&s->job.err, st));
    }
    s->done(s->ctx, st, st == ST_OK ? &s->info : NULL, &s->job.err);
    free_snapshot(s);
}

/* After a failure: the staging directory goes, on a worker. */
static status clear_run(struct job *job)
{
    struct snapshot *s = container_of(job, struct snapshot, job);
    status st = s->job.err.st;
    drop_holds(s);
    vfs_remove_best_effort(s->db->ports.vfs, s->staging);
    return st != ST_OK ? st : ST_CANCELLED;
}

static void clear_publish(struct job *job, status st)
{
    end_snapshot(container_of(job, struct snapshot, job), st);
}

static const struct job_ops clear_ops = {.name = "snapshot: clear",
                                         .lane = JOB_MAINTENANCE,
                                         .run = clear_run,
                                         .publish = clear_publish};

static void fail_snapshot(struct snapshot *s, status st, const struct err *why)
{
    struct err err = *why;
    s->phase = SNAP_WRITE; /* no step of the owner meddles any more */
    job_init(&s->job, &clear_ops);
    s->job.err = err;
    s->job.err.st = st;
    if (!err.text[0]) (void)err_set(&s->job.err, st, "%s", status_text(st));
    exec_submit(db_exec(s->db), &s->job);
}

static void submit(struct snapshot *s, enum snapshot_phase phase, const struct job_ops *ops)
{
    s->phase = phase;
    job_init(&s->job, ops);
    exec_submit(db_exec(s->db), &s->job);
}

/* ---- write: registry, deletes, catalog, the list, verification, the name --------- */

static void count_bytes(void *ctx, uint64_t bytes)
{
    struct snapshot *s = ctx;
    atomic_fetch_add_explicit(&s->bytes_done, bytes, memory_order_relaxed);
}

static status put_registry(struct snapshot *s, struct err *err)
{
    int slot = db_reader_enter(s->db);
    status st = registry_files_write(s->db->cell.registry, &s->prefix, s->last_order, s->dir,
                                     &s->db->file.id, &s->job.cancelled, err);
    db_reader_leave(s->db, slot);
    atomic_store_explicit(&s->names_saved, true, memory_order_release);
    return st;
}

static status put_deletes(struct snapshot *s, struct err *err)
{
    struct tombstone_file *file;
    struct tombstones *none = NULL;
    TRY(tombstone_file_open(&file, &none, s->dir, &s->db->file.id, err));
    tombstones_unref(none);
    status st = s->manifest->deletes ? tombstone_file_rewrite(file, s->manifest->deletes, err)
                                     : ST_OK;
    tombstone_file_close(file);
    return st;
}

static status put_catalog(struct snapshot *s, struct err *err)
{
    struct catalog cat;
    status st = ST_OK;
    catalog_init(&cat, &s->db->file.id);
    cat.next_segment_id = s->next_segment;
    cat.last_order = s->last_order;
    cat.covered_lsn = s->skip_head ? s->info.cut : s->covered;
    for (size_t i = 0; i < s->manifest->n_segments && st == ST_OK; i++) {
        const struct segment *seg = s->manifest->segments[i];
        struct catalog_entry entry = {.info = *segment_info(seg), .tier = TIER_HOT};
        layout_segment(entry.path, entry.info.lane, entry.info.level, entry.info.id);
        st = catalog_add(&cat, &entry, err);
    }
    if (st == ST_OK) st = catalog_write(s->dir, &cat, err);
    catalog_release(&cat);
    return st;
}

static status put_list(struct snapshot *s, const struct linkset_watch *watch, struct err *err)
{
    struct linkset set;
    linkset_init(&set);
    status st = linkset_scan(&set, s->dir, watch, err);
    if (st == ST_OK) st = snapshot_write(s->dir, &s->info, &set, err);
    linkset_release(&set);
    return st;
}

/* Reads back what was written: the list, and what the files say of each other. */
static status verify_it(struct snapshot *s, struct err *err)
{
    struct snapshot_info info;
    struct linkset set;
    struct linkset_watch watch = {.cancelled = &s->job.cancelled};
    struct verify_options opt = {.quick = !s->full, .cancelled = &s->job.cancelled};
    struct verify_report report;
    TRY(snapshot_read(&info, &set, s->dir, err));
    status st = linkset_compare(&set, s->dir, &watch, err);
    linkset_release(&set);
    if (st != ST_OK) return err_wrap(err, st, "verification");
    st = verify_dir(&report, s->dir, &opt, err);
    return st == ST_OK ? ST_OK : err_wrap(err, st, "verification");
}

static status write_run(struct job *job)
{
    struct snapshot *s = container_of(job, struct snapshot, job);
    struct linkset_watch watch = {
        .cancelled = &job->cancelled, .progress = count_bytes, .ctx = s};
    struct err *err = &job->err;
    TRY(put_deletes(s, err));
    TRY(put_catalog(s, err));
    TRY(database_file_write(s->dir, &s->db->file, err));
    TRY(linkset_sync_dirs(s->db->ports.vfs, s->staging, err));
    TRY(put_list(s, &watch, err));
    TRY(verify_it(s, err));
    SYNC_POINT("snapshot:before-rename");
    TRY(vfs_mkdir_all(s->db->ports.vfs, LAYOUT_SNAPSHOT_DIR, err));
    if (vfs_exists(s->db->ports.vfs, s->path))
        return err_set(err, ST_EXISTS, "there is a snapshot %s", s->info.name);
    return durable_rename_dir(s->db->ports.vfs, s->staging, s->path, err);
}

static void write_publish(struct job *job, status st)
{
    struct snapshot *s = container_of(job, struct snapshot, job);
    if (st == ST_OK)
        end_snapshot(s, ST_OK);
    else
        fail_snapshot(s, st, &job->err);
}

static const struct job_ops write_ops = {.name = "snapshot: write",
                                         .lane = JOB_MAINTENANCE,
                                         .run = write_run,
                                         .publish = write_publish};

/* ---- link ----------------------------------------------------------------------- */

static status check_space(struct snapshot *s, uint64_t need, struct err *err)
{
    struct vfs_space space;
    TRY(vfs_space(s->db->ports.vfs, &space, err));
    if (space.free_bytes >= need + SPACE_RESERVE) return ST_OK;
    return err_set(err, ST_NO_SPACE, "the copies need %llu bytes, %llu are free and %d stay so",
                   (unsigned long long)need, (unsigned long long)space.free_bytes, SPACE_RESERVE);
}

struct link_dir {
    struct snapshot *s;
    const char *from, *to;
    uint64_t bytes_left;         /* of segments, this one included */
    struct err *err;
};

static status link_entry(void *ctx, const struct vfs_entry *entry)
{
    struct link_dir *dir = ctx;
    struct snapshot *s = dir->s;
    struct linkset_watch watch = {.cancelled = &s->job.cancelled};
    layout_path from, to;
    bool copied;
    if (entry->is_dir) return ST_OK;
    TRY(layout_join(from, dir->from, entry->name, dir->err));
    TRY(layout_join(to, dir->to, entry->name, dir->err));
    /* Without links the first file tells; then all that is left must fit. */
    TRY(linkset_place(s->db->ports.vfs, from, to, true, &copied, &watch, dir->err));
    if (copied && s->n_copied++ == 0) TRY(check_space(s, dir->bytes_left, dir->err));
    return ST_OK;
}

static status link_segments(struct snapshot *s, struct err *err)
{
    struct vfs *vfs = s->db->ports.vfs;
    uint64_t left = 0;
    for (size_t i = 0; i < s->manifest->n_segments; i++)
        left += segment_info(s->manifest->segments[i])->n_bytes;
    for (size_t i = 0; i < s->manifest->n_segments; i++) {
        const struct segment *seg = s->manifest->segments[i];
        const struct segment_info *info = segment_info(seg);
        layout_path at, to;
        layout_segment(at, info->lane, info->level, info->id);
        TRY(layout_join(to, s->staging, slice_str(at), err));
        struct link_dir dir = {
            .s = s, .from = segment_dir(seg), .to = to, .bytes_left = left, .err = err};
        TRY(vfs_list(vfs, dir.from, link_entry, &dir, err));
        left -= info->n_bytes;
    }
    return ST_OK;
}

/* The registry's file and the log. */
static status save_memory(struct snapshot *s, struct err *err)
{
    struct wal_copy copy = {.from = s->db->ports.vfs,
                            .to = s->dir,
                            .covered = s->covered,
                            .cut = s->info.cut,
                            .db = s->db->file.id,
                            .cancelled = &s->job.cancelled};
    uint64_t bytes = 0;
    if (!s->skip_head) TRY(wal_copy_bytes(&bytes, &copy, err));
    /* The registry file is written anew: it takes less than the registry in memory. */
    TRY(check_space(s, bytes + account_used(&s->db->registry_account), err));
    TRY(put_registry(s, err));
    TRY(meta_files_copy(s->db, s->dir, &s->meta, s->skip_head ? s->info.cut : s->covered,
                        &s->job.cancelled, err));
    return s->skip_head ? vfs_mkdir_all(s->dir, LAYOUT_WAL_DIR, err) : wal_copy_run(&copy, err);
}

static status link_run(struct job *job)
{
    struct snapshot *s = container_of(job, struct snapshot, job);
    status st = save_memory(s, &job->err);
    SYNC_POINT("snapshot:before-links");
    if (st == ST_OK) st = link_segments(s, &job->err);
    drop_holds(s);
    return st;
}

static void link_publish(struct job *job, status st)
{
    struct snapshot *s = container_of(job, struct snapshot, job);
    if (st == ST_OK)
        submit(s, SNAP_WRITE, &write_ops);
    else
        fail_snapshot(s, st, &job->err);
}

static const struct job_ops link_ops = {.name = "snapshot: link",
                                        .lane = JOB_MAINTENANCE,
                                        .run = link_run,
                                        .publish = link_publish};

/* ---- capture and sync: the owner -------------------------------------------------- */

static void capture(struct snapshot *s)
{
    struct cell *cell = &s->db->cell;
    uint64_t bytes = 0;
    s->manifest = cell->manifest;
    manifest_ref(s->manifest);
    s->covered = cell->covered;
    s->last_order = cell->flush_order;
    s->next_segment = cell->next_segment;
    s->info.cut = wal_head(cell->wal);
    s->prefix = registry_prefix(cell->registry, s->info.cut, 1);
    s->meta = meta_cut(s->db);
    s->info.created_ms = clock_wall(s->db->ports.clock);
    s->info.n_segments = s->manifest->n_segments;
    s->info.n_series = registry_counts(cell->registry).n_series;
    for (size_t i = 0; i < s->manifest->n_segments; i++) {
        const struct segment_info *info = segment_info(s->manifest->segments[i]);
        s->info.n_points += info->n_points;
        bytes += info->n_bytes;
    }
    atomic_store_explicit(&s->bytes_total, bytes, memory_order_relaxed);
    s->phase = SNAP_SYNC;
    wal_want_sync(cell->wal);
    db_step_wal(s->db);
}

static void wait_for_sync(struct snapshot *s)
{
    struct cell *cell = &s->db->cell;
    struct err err = {.st = ST_OK};
    if (wal_synced(cell->wal) >= s->info.cut)
        submit(s, SNAP_LINK, &link_ops);
    else if (wal_failed(cell->wal, &err) != ST_OK)
        fail_snapshot(s, ST_POISONED, &err);
}

void snapshot_step(struct db *db)
{
    struct snapshot *s = db->snapshot;
    if (!s || (s->phase != SNAP_CAPTURE && s->phase != SNAP_SYNC)) return;
    if (s->cancelled) {
        struct err err = {.st = ST_OK};
        fail_snapshot(s, err_set(&err, ST_CANCELLED, "the database closes"), &err);
        return;
    }
    if (s->phase == SNAP_CAPTURE && write_idle(&db->cell) && !db->cell.delete_open) capture(s);
    if (s->phase == SNAP_SYNC) wait_for_sync(s);
}

void snapshot_cancel(struct db *db)
{
    struct snapshot *s = db->snapshot;
    if (!s) return;
    s->cancelled = true;
    job_cancel(&s->job);
    snapshot_step(db);
}

bool snapshot_busy(const struct db *db)
{
    return db->snapshot != NULL || db->n_snapshot_jobs > 0;
}

bool snapshot_wants_names(const struct db *db)
{
    const struct snapshot *s = db->snapshot;
    return s && (s->phase == SNAP_SYNC || s->phase == SNAP_LINK) &&
           !atomic_load_explicit(&s->names_saved, memory_order_acquire);
}

/* ---- begin ------------------------------------------------------------------------ */

static status begin_run(struct job *job)
{
    struct snapshot *s = container_of(job, struct snapshot, job);
    struct vfs *vfs = s->db->ports.vfs;
    if (vfs_exists(vfs, s->path))
        return err_set(&job->err, ST_EXISTS, "there is a snapshot %s", s->info.name);
    TRY(vfs_remove_tree(vfs, s->staging, &job->err)); /* of an attempt that failed */
    TRY(vfs_mkdir_all(vfs, s->staging, &job->err));
    file_hold_take(&s->db->files);
    wal_hold(s->db->cell.wal);
    s->held = true;
    return ST_OK;
}

static void begin_publish(struct job *job, status st)
{
    struct snapshot *s = container_of(job, struct snapshot, job);
    if (st != ST_OK) {
        fail_snapshot(s, st, &job->err);
        return;
    }
    s->phase = SNAP_CAPTURE;
    snapshot_step(s->db);
}

static const struct job_ops begin_ops = {.name = "snapshot: begin",
                                         .lane = JOB_MAINTENANCE,
                                         .run = begin_run,
                                         .publish = begin_publish};

static void default_name(char dst[SNAPSHOT_NAME_MAX + 1], struct db *db)
{
    struct date date = date_of(clock_wall(db->ports.clock) / 1000);
    (void)snprintf(dst, SNAPSHOT_NAME_MAX + 1, "%04d%02d%02dT%02d%02d%02dZ-%016llx", date.year,
                   date.month, date.day, date.hour, date.minute, date.second,
                   (unsigned long long)rng_next(db->ports.rng));
}

void db_snapshot(struct db *db, const struct snapshot_ask *ask, snapshot_done done, void *ctx)
{
    struct err err = {.st = ST_OK};
    status st = ST_OK;
    if (db->cell.closing) st = err_set(&err, ST_CLOSED, "the database is closing");
    else if (ask->name.len && !snapshot_name_ok(ask->name))
        st = err_set(&err, ST_INVALID, "a snapshot's name has 1 to %d of A-Z a-z 0-9 . _ - and "
                     "no dot first", SNAPSHOT_NAME_MAX);
    else if (db->snapshot)
        st = err_set(&err, ST_AGAIN, "snapshot %s is being made", db->snapshot->info.name);
    if (st != ST_OK) {
        done(ctx, st, NULL, &err);
        return;
    }
    struct snapshot *s = mem_zalloc(sizeof(*s));
    s->db = db;
    s->done = done;
    s->ctx = ctx;
    s->skip_head = ask->skip_head;
    s->full = ask->full;
    s->began = clock_mono(db->ports.clock);
    s->info.db = db->file;
    s->info.has_head = !ask->skip_head;
    if (ask->name.len) memcpy(s->info.name, ask->name.ptr, ask->name.len); /* ends with NUL */
    else default_name(s->info.name, db);
    layout_snapshot(s->path, s->info.name);
    layout_snapshot_staging(s->staging, s->info.name);
    if (vfs_sub_open(&s->dir, db->ports.vfs, s->staging, &err) != ST_OK) {
        mem_free(s);
        done(ctx, err.st, NULL, &err);
        return;
    }
    db->snapshot = s;
    submit(s, SNAP_BEGIN, &begin_ops);
}

bool db_snapshot_progress(const struct db *db, struct snapshot_progress *out)
{
    struct snapshot *s = db->snapshot;
    if (!s) return false;
    memcpy(out->name, s->info.name, sizeof(out->name));
    out->phase = phase_names[s->phase];
    out->bytes_done = atomic_load_explicit(&s->bytes_done, memory_order_relaxed);
    out->bytes_total = atomic_load_explicit(&s->bytes_total, memory_order_relaxed);
    return true;
}
