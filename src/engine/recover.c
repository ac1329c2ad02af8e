/* Recovery, in six phases:
 *
 *   discover   lock, database.json, catalog (or a scan), sweep what a crash left
 *   load       the registry from snapshot and deltas; when they are damaged it is rebuilt
 *              from the segments' series tables (recover_series.c); deletes
 *   open WAL   check every frame; strict refuses damage, salvage puts it aside
 *   hydrate    open the segments; a damaged one is put aside, counted and named
 *   replay     exemplars and metadata from their files (meta_files.h); definitions,
 *              attributes, deletes, samples and what is new of those in the order of the
 *              log (recover_replay.c)
 *   finalise   first manifest, the log goes on behind its last frame
 *
 * Replay applies upserts: a sample that a segment has already changes nothing, because
 * memory beats segments and holds the same or a newer value. Frames up to the catalog's
 * covered lsn are in segments; of those only attributes are looked at, and definitions
 * that the registry's files do not cover. Recovery may be cut short and repeated any
 * number of times.
 */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "engine/flush_priv.h"
#include "engine/recover_priv.h"
#include "engine/rules.h"
#include "engine/starts.h"
#include "storage/quarantine.h"

status recover_report(struct recovery *rec, const char *phase, uint64_t done, uint64_t total)
{
    const struct db_ports *ports = &rec->db->ports;
    if (!ports->progress || ports->progress(ports->progress_ctx, phase, done, total)) return ST_OK;
    return err_set(rec->err, ST_CANCELLED, "stopped while recovering");
}

/* --- deletes --------------------------------------------------------------------- */

/* A delete may carry the order of a flush that began and was never published. The
 * next flush must have a larger one, or the delete would hide what is written now. */
static status pass_order(void *ctx, const struct delete_rec *del)
{
    struct cell *cell = ctx;
    if (del->order > cell->flush_order) cell->flush_order = del->order;
    return ST_OK;
}

static status load_deletes(struct recovery *rec)
{
    struct db *db = rec->db;
    struct tombstones *set = NULL;
    TRY(tombstone_file_open(&db->tombstone_file, &set, db->ports.vfs, &db->file.id, rec->err));
    struct manifest_change change = {.deletes = set};
    struct manifest *next = manifest_next(rec->cell->manifest, &change);
    tombstones_unref(set);
    if (!next) return ST_NO_MEMORY;
    manifest_unref(rec->cell->manifest);
    rec->cell->manifest = next;
    rec->cell->del_gen = tombstones_gen(next->deletes);
    return tombstones_each(next->deletes, pass_order, rec->cell);
}

/* --- all of it ------------------------------------------------------------------- */

static status open_wal(struct recovery *rec, const struct wal_replay *replayed)
{
    struct db *db = rec->db;
    const struct db_options *opt = &db->options;
    struct wal_options wal = {.sync = (enum wal_sync)opt->wal_sync,
                              .sync_interval_ns = opt->wal_sync_interval_ms * 1000000,
                              .buffer_bytes = opt->wal_buffer_bytes,
                              .file_bytes = opt->wal_file_bytes,
                              .db = db->file.id,
                              .covered = db->catalog.covered_lsn,
                              .clock = db->ports.clock,
                              .account = &db->wal_account,
                              .notify = db_wal_moved,
                              .notify_ctx = db};
    TRY(wal_open(&rec->cell->wal, db->ports.vfs, &wal, replayed, rec->err));
    if (rec->db->catalog.covered_lsn) wal_release(rec->cell->wal, db->catalog.covered_lsn);
    /* What replay found waits to be flushed as well: 0 minus that, modulo 2^64. */
    rec->cell->wal_at_flush = flush_wal_bytes(rec->cell) - wal_bytes(rec->cell->wal);
    return db->ports.wal_thread ? wal_start_thread(rec->cell->wal, rec->err) : ST_OK;
}

static void bad_segment(void *ctx, const char *path, status st, const struct err *err)
{
    recover_put_aside(ctx, path, st, err);
}

static status discover(struct recovery *rec)
{
    struct db *db = rec->db;
    bool scanned;
    size_t n_swept;
    TRY(recover_report(rec, "discover", 0, 1));
    TRY(layout_make_dirs(db->ports.vfs, rec->err));
    TRY(dirlock_open(&db->lock, db->ports.vfs, rec->err));
    TRY(database_file_open(&db->file, db->ports.vfs, db->options.precision, db->ports.rng,
                           rec->err));
    TRY(layout_sweep(db->ports.vfs, rec->err));
    TRY(catalog_load(&db->catalog, &scanned, db->ports.vfs, &db->file.id, bad_segment, db,
                     rec->err));
    if (scanned && db->catalog.n)
        log_warn("recover", "no usable catalog; took the inventory of the directories",
                 "segments=%zu", db->catalog.n);
    TRY(catalog_sweep(&n_swept, db->ports.vfs, &db->catalog, rec->err));
    if (n_swept) log_info("recover", "removed unfinished segments", "n=%zu", n_swept);
    rec->cell->next_segment = db->catalog.next_segment_id;
    rec->cell->flush_order = db->catalog.last_order;
    rec->cell->covered = db->catalog.covered_lsn;
    clock_guard_init(&rec->cell->clock, db->catalog.wall_high, clock_wall(db->ports.clock),
                     clock_mono(db->ports.clock));
    /* Ids are reserved in the file before a segment has one, so that a directory that
     * no catalog names is known to be unfinished. */
    db->catalog.next_segment_id += SEGMENT_RESERVE;
    return catalog_write(db->ports.vfs, &db->catalog, rec->err);
}

status recover(struct db *db, struct err *err)
{
    struct recovery rec = {.db = db, .cell = &db->cell, .err = err};
    struct wal_replay *replayed = NULL;
    struct wal_replay_options opt = {.mode = (enum wal_replay_mode)db->options.wal_replay};
    arena_init(&rec.arena, NULL, 16 << 10);
    rec.n_threads = db->ports.recover_threads > 1 ? db->ports.recover_threads : 1;
    db->cell.replaying = true;

    status st = discover(&rec);
    opt.db = db->file.id;
    opt.covered = db->catalog.covered_lsn;
    registry_bulk_begin(db->cell.registry);
    if (st == ST_OK) st = recover_registry(&rec);
    if (st == ST_OK) st = load_deletes(&rec);
    if (st == ST_OK) st = wal_replay_open(&replayed, db->ports.vfs, &opt, err);
    if (st == ST_OK) st = recover_segments(&rec);
    if (st == ST_OK) st = meta_files_load(db, err);
    if (st == ST_OK) st = recover_replay(&rec, replayed);
    if (st == ST_OK) st = registry_bulk_end(db->cell.registry, rec.n_threads);
    if (st == ST_OK) st = meta_settle(db);
    if (st == ST_OK) starts_link(rec.cell);
    if (st == ST_OK) st = open_wal(&rec, replayed);
    wal_replay_close(replayed);
    arena_release(&rec.arena);
    vec_release(&rec.removed);
    db->cell.replaying = false;
    if (st != ST_OK) return st;
    db->cell.n_unflushed = db->cell.stats.replay_samples;
    rules_recovered(&db->cell);
    TRY(recover_report(&rec, "finalise", 1, 1));
    log_info("recover", "database is open",
             "series=%llu segments=%zu replayed_frames=%llu replayed_samples=%llu torn_bytes=%llu",
             (unsigned long long)registry_counts(db->cell.registry).n_series,
             db->cell.manifest->n_segments, (unsigned long long)db->cell.stats.replay_frames,
             (unsigned long long)db->cell.stats.replay_samples,
             (unsigned long long)db->cell.stats.replay_torn_bytes);
    return ST_OK;
}
