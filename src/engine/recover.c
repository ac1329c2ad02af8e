/* Recovery, in six phases:
 *
 *   discover   lock, database.json, catalog (or a scan), sweep what a crash left
 *   load       registry snapshot, rebuilt from the segments' series tables when it is
 *              damaged; deletes
 *   open WAL   check every frame; strict refuses damage, salvage puts it aside
 *   hydrate    open the segments; a damaged one is put aside, counted and named
 *   replay     definitions, attributes, deletes and samples in the order of the log
 *   finalise   first manifest, the log goes on behind its last frame
 *
 * Replay applies upserts: a sample that a segment has already changes nothing, because
 * memory beats segments and holds the same or a newer value. Frames up to the catalog's
 * covered lsn are in segments; of those only definitions and attributes are looked at.
 * Recovery may be cut short and repeated any number of times.
 */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "engine/delete.h"
#include "engine/flush_priv.h"
#include "engine/recover.h"
#include "engine/wal_payload.h"
#include "storage/quarantine.h"
#include "storage/wal_replay.h"

struct recovery {
    struct db *db;
    struct cell *cell;
    struct err *err;
    struct arena arena;
    lsn defined;               /* the registry snapshot knows what was defined up to here */
    uint64_t n_missing_series; /* samples whose definition is nowhere */
};

static void report(struct db *db, const char *phase, uint64_t done, uint64_t total)
{
    if (db->ports.progress) db->ports.progress(db->ports.progress_ctx, phase, done, total);
}

/* --- series ---------------------------------------------------------------------- */

static status adopt(struct recovery *rec, uint32_t *ordinal, series_id id, enum value_type type,
                    struct slice identity, const struct series_attrs *attrs)
{
    struct labels labels;
    arena_reset(&rec->arena);
    TRY(labels_from_identity(&labels, &rec->arena, identity));
    return cell_add_series(rec->cell, ordinal, labels, identity,
                           hash128(identity.ptr, identity.len), id, type, attrs);
}

static status replay_series(void *ctx, const struct wal_series *series)
{
    struct recovery *rec = ctx;
    uint32_t ordinal;
    if (registry_by_id(rec->cell->registry, series->id) != ORDINAL_NONE) return ST_OK;
    return adopt(rec, &ordinal, series->id, series->type, series->identity,
                 series->has_attrs ? &series->attrs : NULL);
}

static status series_of_segment(void *ctx, const struct segment_series *series)
{
    struct recovery *rec = ctx;
    struct series_attrs attrs;
    uint32_t ordinal = registry_by_id(rec->cell->registry, series->id);
    if (ordinal == ORDINAL_NONE) {
        bool has = series->attrs.len > 0;
        if (has) TRY(attrs_get(&attrs, series->attrs));
        TRY(adopt(rec, &ordinal, series->id, series->type, series->identity, has ? &attrs : NULL));
    }
    cell_head(rec->cell, ordinal)->flags |= HEAD_UNKNOWN;
    return ST_OK;
}

/* --- load ------------------------------------------------------------------------ */

static status load_registry(struct recovery *rec)
{
    struct cell *cell = rec->cell;
    struct registry_loaded loaded;
    struct err err = {.st = ST_OK};
    status st = registry_load(cell->registry, &loaded, rec->db->ports.vfs, LAYOUT_REGISTRY, &err);
    if (st == ST_OK && memcmp(loaded.database_id, rec->db->file.id.bytes, DATABASE_ID_LEN) != 0)
        return err_set(rec->err, ST_CORRUPT, LAYOUT_REGISTRY " belongs to another database");
    if (st == ST_OK) {
        uint32_t n = registry_n_ordinals(cell->registry);
        for (uint32_t i = 0; i < n; i++) {
            if (!segvec_reserve(&cell->heads, i)) return ST_NO_MEMORY;
            segvec_publish(&cell->heads, (size_t)i + 1);
            cell_adopt_series(cell, i);
        }
        cell->saved_births = registry_n_births(cell->registry);
        rec->defined = loaded.covers;
        return ST_OK;
    }
    if (st == ST_NOT_FOUND) return ST_OK;
    if (st != ST_CORRUPT) return err_set(rec->err, st, "%s", err_text(&err, st));

    log_error("recover", "registry snapshot is damaged; rebuilding it from segments and WAL",
              "reason=\"%s\"", err_text(&err, st));
    TRY(quarantine_move(NULL, rec->db->ports.vfs, LAYOUT_REGISTRY, err_text(&err, st), rec->err));
    rec->db->n_quarantined++;
    return cell_restart_registry(cell);
}

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

/* --- segments -------------------------------------------------------------------- */

static void put_aside(struct db *db, const char *path, status st, const struct err *err)
{
    struct err failed = {.st = ST_OK};
    log_error("recover", "a segment is damaged and is put aside", "path=%s reason=\"%s\"", path,
              err_text(err, st));
    if (quarantine_move(NULL, db->ports.vfs, path, err_text(err, st), &failed) != ST_OK)
        log_error("recover", "putting aside failed", "path=%s reason=\"%s\"", path, failed.text);
    db->n_quarantined++;
}

static void bad_segment(void *ctx, const char *path, status st, const struct err *err)
{
    put_aside(ctx, path, st, err);
}

static status add_segment(struct recovery *rec, struct segment *seg)
{
    struct manifest_change change = {.add = &seg,
                                     .n_add = 1,
                                     .deletes = rec->cell->manifest->deletes,
                                     .mem_deletes = rec->cell->manifest->mem_deletes};
    struct manifest *next = manifest_next(rec->cell->manifest, &change);
    if (!next) return ST_NO_MEMORY;
    manifest_unref(rec->cell->manifest);
    rec->cell->manifest = next;
    /* A delete that is made from now on has not been applied to it. */
    if (segment_info(seg)->del_gen > rec->cell->del_gen)
        rec->cell->del_gen = segment_info(seg)->del_gen;
    return ST_OK;
}

/* Every series of every segment must be in the registry (a snapshot older than the
 * segment is possible only when it was lost), and its head must know that it does not
 * know the newest sample. */
static status open_segments(struct recovery *rec)
{
    struct db *db = rec->db;
    struct catalog *cat = &db->catalog;
    for (size_t i = 0; i < cat->n;) {
        struct catalog_entry entry = cat->entries[i];
        struct segment *seg = NULL;
        struct err err = {.st = ST_OK};
        report(db, "hydrate", i, cat->n);
        status st = segment_open(&seg, db->ports.vfs, entry.path, &db->file.id, &err);
        if (st == ST_OK) st = segment_each_series(seg, series_of_segment, rec, &err);
        if (st == ST_OK) st = add_segment(rec, seg);
        segment_unref(seg);
        if (st == ST_OK) {
            i++;
            continue;
        }
        if (st != ST_CORRUPT && st != ST_NOT_FOUND) return err_set(rec->err, st, "%s", err.text);
        if (st == ST_CORRUPT) put_aside(db, entry.path, st, &err);
        if (st == ST_NOT_FOUND)
            log_error("recover", "the catalog names a segment that is not there", "path=%s",
                      entry.path);
        (void)catalog_drop(cat, entry.info.lane, entry.info.id);
        rec->cell->stats.n_quarantined++;
    }
    return ST_OK;
}

/* --- replay ---------------------------------------------------------------------- */

static status replay_row(void *ctx, const struct wal_row *row)
{
    struct recovery *rec = ctx;
    struct cell *cell = rec->cell;
    uint32_t ordinal = registry_by_id(cell->registry, row->id);
    if (ordinal == ORDINAL_NONE) {
        rec->n_missing_series++;
        return ST_OK;
    }
    struct head *head = cell_head(cell, ordinal);
    if (head->type != row->type) return ST_CORRUPT;
    TRY(head_reserve(cell, 1));
    union value val = {.bits = row->bits};
    if (type_is_blob(row->type)) {
        struct blob *blob = blob_new(&cell->space, row->bytes.ptr, row->bytes.len);
        if (!blob) return ST_NO_MEMORY;
        val.bits = (uint64_t)(uintptr_t)blob;
    }
    if (!(head->flags & HEAD_HAS_LAST) || row->ts > head->last_ts)
        head_append(cell, ordinal, row->ts, val);
    else
        head_append_late(cell, ordinal, row->ts, val);
    cell->stats.replay_samples++;
    return ST_OK;
}

static status replay_attrs(struct recovery *rec, struct slice payload)
{
    series_id id;
    struct series_attrs attrs;
    TRY(wal_attrs_get(&id, &attrs, payload));
    uint32_t ordinal = registry_by_id(rec->cell->registry, id);
    if (ordinal == ORDINAL_NONE) return ST_OK;
    TRY(registry_set_attrs(rec->cell->registry, ordinal, &attrs));
    cell_attrs_changed(rec->cell, ordinal);
    return ST_OK;
}

static status replay_delete(struct recovery *rec, struct slice payload)
{
    uint64_t *ids, order;
    size_t n;
    struct time_range range;
    TRY(wal_delete_get(&ids, &n, &range, &order, payload));
    status st = delete_apply(rec->cell, ids, n, range, order, rec->err);
    mem_free(ids);
    if (order > rec->cell->flush_order) rec->cell->flush_order = order;
    return st;
}

static status replay_definitions(void *ctx, const struct wal_frame *frame)
{
    struct recovery *rec = ctx;
    /* What the snapshot does not have of those has died since. */
    if (frame->type != WAL_SERIES || frame->seq <= rec->defined) return ST_OK;
    status st = wal_series_each(frame->payload, replay_series, rec);
    return st == ST_OK ? st
                       : err_set(rec->err, st, "WAL frame %llu: series definition: %s",
                                 (unsigned long long)frame->seq, status_text(st));
}

static status replay_frame(void *ctx, const struct wal_frame *frame)
{
    struct recovery *rec = ctx;
    bool covered = frame->seq <= rec->db->catalog.covered_lsn;
    status st = ST_OK;
    switch (frame->type) {
    case WAL_SAMPLES:
        if (!covered) st = wal_samples_each(frame->payload, replay_row, rec);
        break;
    case WAL_ATTRS: st = replay_attrs(rec, frame->payload); break;
    case WAL_DELETE:
        if (!covered) st = replay_delete(rec, frame->payload);
        break;
    case WAL_SERIES:
    case WAL_META:
    case WAL_POLICY:
    case WAL_MARK: break;
    }
    if (!covered) rec->cell->stats.replay_frames++;
    if (rec->cell->encode.ordinals.len > ENCODE_JOB_MAX) encode_all_inline(rec->cell);
    cell_collect(rec->cell); /* nobody reads yet: what was replaced goes at once */
    return st == ST_OK ? st
                       : err_set(rec->err, st, "WAL frame %llu: %s",
                                 (unsigned long long)frame->seq, status_text(st));
}

static status replay(struct recovery *rec, struct wal_replay *replayed)
{
    struct cell *cell = rec->cell;
    mono_ns start = clock_mono(rec->db->ports.clock);
    TRY(wal_replay_each(replayed, replay_definitions, rec));
    report(rec->db, "replay", 0, wal_replay_last(replayed));
    TRY(wal_replay_each(replayed, replay_frame, rec));
    encode_all_inline(cell);
    cell_collect(cell);

    struct wal_replay_stats stats;
    wal_replay_stats(replayed, &stats);
    cell->stats.replay_torn_bytes = stats.torn_bytes;
    cell->stats.replay_damaged = stats.n_damaged;
    cell->stats.replay_ns = (uint64_t)(clock_mono(rec->db->ports.clock) - start);
    if (rec->n_missing_series && rec->db->options.wal_replay == DB_REPLAY_SALVAGE)
        log_error("recover", "samples of series that nothing defines were dropped", "n=%llu",
                  (unsigned long long)rec->n_missing_series);
    else if (rec->n_missing_series)
        return err_set(rec->err, ST_CORRUPT,
                       "%llu samples in the WAL belong to series that nothing defines",
                       (unsigned long long)rec->n_missing_series);
    return ST_OK;
}

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

/* --- all of it ------------------------------------------------------------------- */

static status discover(struct recovery *rec)
{
    struct db *db = rec->db;
    bool scanned;
    size_t n_swept;
    report(db, "discover", 0, 1);
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
    db->cell.replaying = true;

    status st = discover(&rec);
    opt.db = db->file.id;
    opt.covered = db->catalog.covered_lsn;
    if (st == ST_OK) st = load_registry(&rec);
    if (st == ST_OK) st = load_deletes(&rec);
    if (st == ST_OK) st = wal_replay_open(&replayed, db->ports.vfs, &opt, err);
    if (st == ST_OK) st = open_segments(&rec);
    if (st == ST_OK) st = replay(&rec, replayed);
    if (st == ST_OK) st = open_wal(&rec, replayed);
    wal_replay_close(replayed);
    arena_release(&rec.arena);
    db->cell.replaying = false;
    if (st != ST_OK) return st;
    db->cell.n_unflushed = db->cell.stats.replay_samples;
    report(db, "finalise", 1, 1);
    log_info("recover", "database is open",
             "series=%llu segments=%zu replayed_frames=%llu replayed_samples=%llu torn_bytes=%llu",
             (unsigned long long)registry_counts(db->cell.registry).n_series,
             db->cell.manifest->n_segments, (unsigned long long)db->cell.stats.replay_frames,
             (unsigned long long)db->cell.stats.replay_samples,
             (unsigned long long)db->cell.stats.replay_torn_bytes);
    return ST_OK;
}
