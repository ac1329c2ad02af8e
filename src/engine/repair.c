/* Repair. See repair.h. It verifies, does what each finding asks for, and leaves it to the
 * caller to verify again.
 *
 * Order: segments and catalog first (what is left of the data), then the log (whose
 * numbers the catalog refers to), then the registry (made from both), then deletes.
 *
 * A log with a hole cannot be kept: its numbers do not continue, and a strict replay
 * refuses it for ever. So what salvage read is written to a new log behind the old
 * numbers, the old files go to quarantine, and the catalog says that all old numbers
 * are covered. Definitions go along whatever segments cover; samples and deletes only
 * those behind, and of samples only those of series that something still defines. A run
 * of frames stays one.
 */
#include "engine/repair.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/vec.h"
#include "base/vfs_sub.h"
#include "engine/checkpoint.h"
#include "engine/wal_payload.h"
#include "index/registry_file.h"
#include "storage/quarantine.h"
#include "storage/tombstone_file.h"
#include "storage/wal.h"
#include "storage/wal_replay.h"

#define REPAIR_WAL_DIR LAYOUT_STAGING_DIR "/repair"

struct repair {
    struct vfs *vfs;
    struct database_file db;
    struct catalog cat;
    bool damaged[VERIFY_PARTS];
    VEC(struct bad_segment { layout_path path; char why[ERR_TEXT_MAX]; }) segments;
    bool no_memory;
    VEC(series_id) ids;        /* of series that something defines; ascending */
    repair_said said;
    void *ctx;
    struct err *err;
};

static void say(struct repair *r, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void say(struct repair *r, const char *fmt, ...)
{
    char text[2 * ERR_TEXT_MAX];
    va_list args;
    if (!r->said) return;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    r->said(r->ctx, text);
}

static void take_finding(void *ctx, const struct verify_finding *finding)
{
    struct repair *r = ctx;
    struct bad_segment bad;
    r->damaged[finding->part] = true;
    if (finding->part != VERIFY_SEGMENT) return;
    (void)snprintf(bad.path, sizeof(bad.path), "%s", finding->path);
    (void)snprintf(bad.why, sizeof(bad.why), "%s", finding->text);
    if (!vec_push(&r->segments, bad)) r->no_memory = true;
}

static status put_aside(struct repair *r, const char *path, const char *why)
{
    layout_path to;
    if (!vfs_exists(r->vfs, path)) return ST_OK;
    TRY(quarantine_move(to, r->vfs, path, why, r->err));
    say(r, "%s is now %s", path, to);
    return ST_OK;
}

/* ---- segments and catalog --------------------------------------------------------- */

static status repair_segments(struct repair *r)
{
    for (size_t i = 0; i < r->segments.len; i++)
        TRY(put_aside(r, r->segments.ptr[i].path, r->segments.ptr[i].why));
    return ST_OK;
}

static bool is_bad(const struct repair *r, const char *path)
{
    for (size_t i = 0; i < r->segments.len; i++)
        if (strcmp(r->segments.ptr[i].path, path) == 0) return true;
    return false;
}

/* The numbers that only the old catalog knows are kept when it can be read. */
static status load_catalog(struct repair *r)
{
    struct catalog old;
    bool readable = catalog_read(&old, r->vfs, &r->db.id, NULL) == ST_OK;
    if (readable && !r->damaged[VERIFY_CATALOG]) {
        r->cat = old;
        for (size_t i = 0; i < r->cat.n;) {
            struct catalog_entry entry = r->cat.entries[i];
            if (is_bad(r, entry.path))
                (void)catalog_drop(&r->cat, entry.info.lane, entry.info.id);
            else
                i++;
        }
        return ST_OK;
    }
    status st = catalog_scan(&r->cat, r->vfs, &r->db.id, NULL, NULL, r->err);
    if (st == ST_OK && readable) {
        if (old.next_segment_id > r->cat.next_segment_id)
            r->cat.next_segment_id = old.next_segment_id;
        if (old.last_order > r->cat.last_order) r->cat.last_order = old.last_order;
        r->cat.version = old.version;
    }
    if (readable) catalog_release(&old);
    return st;
}

static status repair_catalog(struct repair *r)
{
    TRY(load_catalog(r));
    if (!r->damaged[VERIFY_CATALOG] && r->segments.len == 0) return ST_OK;
    if (r->damaged[VERIFY_CATALOG])
        TRY(put_aside(r, LAYOUT_CATALOG, "damaged or older than the segments"));
    TRY(catalog_write(r->vfs, &r->cat, r->err));
    say(r, "the catalog names %zu segments", r->cat.n);
    return ST_OK;
}

/* ---- the log ---------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    series_id x = *(const series_id *)a, y = *(const series_id *)b;
    return x < y ? -1 : x > y;
}

static status learn_definition(void *ctx, const struct wal_series *series)
{
    struct repair *r = ctx;
    return vec_push(&r->ids, series->id) ? ST_OK : ST_NO_MEMORY;
}

static status learn_frame(void *ctx, const struct wal_frame *frame)
{
    struct wal_series series;
    uint16_t version;
    if (frame->type == WAL_RELABEL) {
        TRY(wal_relabel_get(&series, &version, frame->payload));
        return learn_definition(ctx, &series);
    }
    return frame->type == WAL_SERIES ? wal_series_each(frame->payload, learn_definition, ctx)
                                     : ST_OK;
}

static status learn_series(void *ctx, const struct segment_series *series)
{
    struct repair *r = ctx;
    return vec_push(&r->ids, series->id) ? ST_OK : ST_NO_MEMORY;
}

static status learn_registry(struct repair *r)
{
    struct registry_catalog cat;
    struct registry *reg = verify_registry_new();
    if (!reg) return ST_NO_MEMORY;
    status st = registry_files_load(reg, &cat, NULL, r->vfs, &r->db.id, 1, r->err);
    registry_catalog_release(&cat);
    if (st == ST_NOT_FOUND) st = ST_OK;
    for (uint32_t i = 0; st == ST_OK && i < registry_n_ordinals(reg); i++)
        if (!vec_push(&r->ids, registry_entry(reg, i)->id)) st = ST_NO_MEMORY;
    registry_free(reg);
    return st;
}

/* Who is known from the registry (unless that is damaged), segments and log. */
static status learn_ids(struct repair *r, const struct wal_replay *replay)
{
    if (!r->damaged[VERIFY_REGISTRY]) TRY(learn_registry(r));
    for (size_t i = 0; i < r->cat.n; i++) {
        struct segment *seg;
        TRY(segment_open(&seg, r->vfs, r->cat.entries[i].path, &r->db.id, r->err));
        status st = segment_each_series(seg, learn_series, r, r->err);
        segment_unref(seg);
        if (st != ST_OK) return st;
    }
    TRY(wal_replay_each(replay, learn_frame, r));
    if (r->ids.len) qsort(r->ids.ptr, r->ids.len, sizeof(r->ids.ptr[0]), by_value);
    return ST_OK;
}

static bool is_known(const struct repair *r, series_id id)
{
    return r->ids.len &&
           bsearch(&id, r->ids.ptr, r->ids.len, sizeof(id), by_value) != NULL;
}

struct rewrite {
    struct repair *r;
    struct wal *wal;           /* NULL: only look */
    lsn covered;
    uint64_t n_frames, n_orphans;
    VEC(struct wal_row) rows;  /* of the frame at hand, those that stay */
    VEC(uint8_t) bytes;
};

static status take_row(void *ctx, const struct wal_row *row)
{
    struct rewrite *rw = ctx;
    if (!is_known(rw->r, row->id)) {
        rw->n_orphans++;
        return ST_OK;
    }
    return vec_push(&rw->rows, *row) ? ST_OK : ST_NO_MEMORY;
}

/* The payload without the samples of series that nothing defines. */
static status drop_orphans(struct rewrite *rw, struct slice *payload)
{
    uint64_t before = rw->n_orphans;
    size_t bound = 0;
    vec_clear(&rw->rows);
    TRY(wal_samples_each(*payload, take_row, rw));
    if (rw->n_orphans == before) return ST_OK;
    for (size_t i = 0; i < rw->rows.len; i++)
        bound += WAL_ROW_BYTES + rw->rows.ptr[i].bytes.len;
    vec_clear(&rw->bytes);
    if (!vec_reserve(&rw->bytes, bound + WAL_ROW_BYTES)) return ST_NO_MEMORY;
    size_t len = wal_samples_put(rw->bytes.ptr, rw->rows.ptr, rw->rows.len);
    *payload = slice_of((const char *)rw->bytes.ptr, len);
    return ST_OK;
}

/* A run is complete here, but for what segments cover, and stays one: its first frame is
 * the first that is kept. */
static status rewrite_frame(void *ctx, const struct wal_frame *frame)
{
    struct rewrite *rw = ctx;
    struct slice payload = frame->payload;
    bool keeps = frame->type != WAL_SAMPLES && frame->type != WAL_DELETE &&
                 frame->type != WAL_META; /* these files have */
    if (!keeps && frame->seq <= rw->covered) return ST_OK;
    if (frame->type == WAL_SAMPLES) TRY(drop_orphans(rw, &payload));
    if (!rw->wal) return ST_OK;
    if (payload.len > wal_payload_max(rw->wal))
        return err_set(rw->r->err, ST_TOO_LARGE, "frame %llu", (unsigned long long)frame->seq);
    uint8_t *dst = wal_begin(rw->wal, payload.len);
    if (!dst) return err_set(rw->r->err, ST_NO_MEMORY, "the new log takes no more");
    if (payload.len) memcpy(dst, payload.ptr, payload.len);
    (void)wal_end(rw->wal, frame->type, frame->flags & WAL_COMMIT, frame->run, payload.len);
    wal_publish(rw->wal);
    while (wal_step(rw->wal)) {
    }
    rw->n_frames++;
    return wal_failed(rw->wal, rw->r->err);
}

static status rewrite_all(struct rewrite *rw, const struct wal_replay *replay)
{
    status st = wal_replay_each(replay, rewrite_frame, rw);
    vec_release(&rw->rows);
    vec_release(&rw->bytes);
    return st;
}

static status write_log(struct repair *r, struct vfs *dir, const struct wal_replay *replay)
{
    struct wal_replay_stats stats;
    wal_replay_stats(replay, &stats);
    /* Room for any frame that there is: a payload may be a third of the ring. */
    uint64_t most = (uint64_t)4 * WAL_PAYLOAD_MAX, want = 4 * stats.n_bytes + (64 << 10);
    struct wal_options opt = {.sync = WAL_SYNC_OFF,
                              .buffer_bytes = (size_t)(want < most ? want : most),
                              .db = r->db.id,
                              .covered = wal_replay_last(replay),
                              .clock = clock_system()};
    struct rewrite rw = {.r = r, .covered = r->cat.covered_lsn};
    TRY(wal_open(&rw.wal, dir, &opt, NULL, r->err));
    status st = rewrite_all(&rw, replay);
    struct err err = {.st = ST_OK};
    status closed = wal_close(rw.wal, &err);
    if (st == ST_OK && closed != ST_OK) st = err_set(r->err, closed, "%s", err.text);
    if (st == ST_OK)
        say(r, "the log is written anew: %llu frames could be read, %llu samples without a series",
            (unsigned long long)rw.n_frames, (unsigned long long)rw.n_orphans);
    return st;
}

static status move_old(void *ctx, const struct vfs_entry *entry)
{
    struct repair *r = ctx;
    layout_path path;
    uint64_t id;
    if (!layout_wal_id(&id, entry->name)) return ST_OK;
    layout_wal(path, id);
    return put_aside(r, path, "replaced by what could be read of it");
}

static status move_new(void *ctx, const struct vfs_entry *entry)
{
    struct repair *r = ctx;
    layout_path from, to;
    uint64_t id;
    if (!layout_wal_id(&id, entry->name)) return ST_OK;
    TRY(layout_join(from, REPAIR_WAL_DIR "/" LAYOUT_WAL_DIR, entry->name, r->err));
    layout_wal(to, id);
    return vfs_rename(r->vfs, from, to, r->err);
}

static status swap_logs(struct repair *r, lsn last)
{
    TRY(vfs_list(r->vfs, LAYOUT_WAL_DIR, move_old, r, r->err));
    TRY(vfs_list(r->vfs, REPAIR_WAL_DIR "/" LAYOUT_WAL_DIR, move_new, r, r->err));
    TRY(vfs_sync_dir(r->vfs, LAYOUT_WAL_DIR, r->err));
    r->cat.covered_lsn = last;
    TRY(catalog_write(r->vfs, &r->cat, r->err));
    return vfs_remove_tree(r->vfs, REPAIR_WAL_DIR, r->err);
}

static status replace_log(struct repair *r, const struct wal_replay *replay, lsn last)
{
    struct vfs *dir = NULL;
    TRY(vfs_remove_tree(r->vfs, REPAIR_WAL_DIR, r->err));
    TRY(vfs_mkdir_all(r->vfs, REPAIR_WAL_DIR, r->err));
    TRY(vfs_sub_open(&dir, r->vfs, REPAIR_WAL_DIR, r->err));
    status st = write_log(r, dir, replay);
    vfs_free(dir);
    return st == ST_OK ? swap_logs(r, last) : st;
}

/* Keeps salvage from copying files aside: they are moved there whole. Without the registry
 * the log may have samples of series that nothing defines any more. */
static status repair_wal(struct repair *r)
{
    struct wal_replay_options opt = {.mode = WAL_REPLAY_SALVAGE,
                                     .db = r->db.id,
                                     .covered = r->cat.covered_lsn,
                                     .read_only = true};
    struct wal_replay *replay = NULL;
    struct rewrite look = {.r = r, .covered = r->cat.covered_lsn};
    if (!r->damaged[VERIFY_WAL] && !r->damaged[VERIFY_REGISTRY]) return ST_OK;
    TRY(wal_replay_open(&replay, r->vfs, &opt, r->err));
    lsn last = wal_replay_last(replay);
    if (last < r->cat.covered_lsn) last = r->cat.covered_lsn;
    status st = learn_ids(r, replay);
    if (st == ST_OK) st = rewrite_all(&look, replay);
    if (st == ST_OK && (r->damaged[VERIFY_WAL] || look.n_orphans))
        st = replace_log(r, replay, last);
    wal_replay_close(replay);
    return st;
}

/* ---- the registry ----------------------------------------------------------------- */

static status adopt_series(void *ctx, const struct segment_series *series)
{
    struct series_attrs attrs;
    bool has = series->attrs.len > 0;
    if (has) TRY(attrs_get(&attrs, series->attrs));
    return verify_adopt(ctx, series->id, series->place, series->type, series->labels_version,
                        series->identity, has ? &attrs : NULL);
}

static status adopt_definition(void *ctx, const struct wal_series *series)
{
    series_id dead;
    return verify_define(ctx, series, &dead);
}

static status adopt_frame(void *ctx, const struct wal_frame *frame)
{
    struct registry *reg = ctx;
    struct series_attrs attrs;
    series_id id, dead;
    if (frame->type == WAL_SERIES) return wal_series_each(frame->payload, adopt_definition, reg);
    if (frame->type == WAL_RELABEL) return verify_relabel(reg, frame->payload, &dead);
    if (frame->type != WAL_ATTRS) return ST_OK;
    TRY(wal_attrs_get(&id, &attrs, frame->payload));
    uint32_t ordinal = registry_by_id(reg, id);
    return ordinal == ORDINAL_NONE ? ST_OK : registry_set_attrs(reg, ordinal, &attrs);
}

/* The newest segments first: their labels and attributes are the newest. */
static status gather_series(struct repair *r, struct registry *reg)
{
    struct wal_replay_options opt = {.mode = WAL_REPLAY_STRICT,
                                     .db = r->db.id,
                                     .covered = r->cat.covered_lsn,
                                     .read_only = true};
    struct wal_replay *replay;
    for (size_t i = r->cat.n; i > 0; i--) {
        struct segment *seg;
        TRY(segment_open(&seg, r->vfs, r->cat.entries[i - 1].path, &r->db.id, r->err));
        status st = segment_each_series(seg, adopt_series, reg, r->err);
        segment_unref(seg);
        if (st != ST_OK) return st;
    }
    TRY(wal_replay_open(&replay, r->vfs, &opt, r->err));
    status st = wal_replay_each(replay, adopt_frame, reg);
    wal_replay_close(replay);
    return st;
}

struct deltas_aside {
    struct repair *repair;
    const char *reason;
};

static status put_delta_aside(void *ctx, const struct vfs_entry *entry)
{
    struct deltas_aside *aside = ctx;
    layout_path path;
    uint64_t number;
    if (!layout_registry_delta_id(&number, entry->name)) return ST_OK;
    layout_registry_delta(path, number);
    return put_aside(aside->repair, path, aside->reason);
}

/* One of the registry's files without the others says too little. */
static status put_registry_aside(struct repair *r, const char *reason)
{
    struct deltas_aside aside = {r, reason};
    if (vfs_exists(r->vfs, LAYOUT_REGISTRY)) TRY(put_aside(r, LAYOUT_REGISTRY, reason));
    status st = vfs_list(r->vfs, LAYOUT_REGISTRY_DELTA_DIR, put_delta_aside, &aside, r->err);
    if (st != ST_OK && st != ST_NOT_FOUND) return st;
    if (!vfs_exists(r->vfs, LAYOUT_REGISTRY_CATALOG)) return ST_OK;
    return put_aside(r, LAYOUT_REGISTRY_CATALOG, reason);
}

static status repair_registry(struct repair *r)
{
    if (!r->damaged[VERIFY_REGISTRY]) return ST_OK;
    TRY(put_registry_aside(r, "damaged; written anew from segments and log"));
    struct registry *reg = verify_registry_new();
    if (!reg) return err_set(r->err, ST_NO_MEMORY, "registry");
    status st = gather_series(r, reg);
    if (st == ST_OK) {
        struct registry_prefix prefix = registry_prefix(reg, 0, 1);
        st = registry_files_write(reg, &prefix, r->cat.last_order, r->vfs, &r->db.id, NULL,
                                  r->err);
    }
    if (st == ST_OK)
        say(r, "the registry is written anew: %llu series",
            (unsigned long long)registry_counts(reg).n_series);
    registry_free(reg);
    return st;
}

/* ---- deletes ---------------------------------------------------------------------- */

static status repair_deletes(struct repair *r)
{
    struct tombstones *set = NULL, *none = NULL;
    struct tombstone_file *file = NULL;
    layout_path path;
    uint64_t n_lost;
    if (!r->damaged[VERIFY_DELETES]) return ST_OK;
    TRY(tombstone_file_load(&set, path, true, &n_lost, r->vfs, &r->db.id, r->err));
    status st = put_aside(r, path, "damaged; what could be read is in a new file");
    if (st == ST_OK) st = tombstone_file_open(&file, &none, r->vfs, &r->db.id, r->err);
    tombstones_unref(none);
    if (st == ST_OK && set) st = tombstone_file_rewrite(file, set, r->err);
    tombstone_file_close(file);
    if (st == ST_OK)
        say(r, "the deletes are written anew: %zu entries, %llu damaged places",
            tombstones_count(set), (unsigned long long)n_lost);
    tombstones_unref(set);
    return st;
}

/* ---- exemplars and metadata -------------------------------------------------------- */

/* Nothing else has what they hold: a person may read what is left of them. */
static status repair_meta(struct repair *r)
{
    if (r->damaged[VERIFY_EXEMPLARS]) TRY(put_aside(r, LAYOUT_EXEMPLARS, "damaged"));
    return r->damaged[VERIFY_METADATA] ? put_aside(r, LAYOUT_METADATA, "damaged") : ST_OK;
}

/* ---- all of it -------------------------------------------------------------------- */

static status repair_parts(struct repair *r)
{
    TRY(repair_segments(r));
    TRY(repair_catalog(r));
    TRY(repair_wal(r));
    TRY(repair_registry(r));
    TRY(repair_deletes(r));
    return repair_meta(r);
}

status repair_dir(struct vfs *vfs, repair_said said, void *ctx, struct err *err)
{
    struct repair r = {.vfs = vfs, .said = said, .ctx = ctx, .err = err};
    struct verify_options opt = {.finding = take_finding, .ctx = &r};
    struct verify_report report;
    status st = verify_dir(&report, vfs, &opt, err);
    if (st == ST_CORRUPT && r.no_memory) st = err_set(err, ST_NO_MEMORY, "list of findings");
    if (st == ST_CORRUPT && report.n_io_errors)
        st = err_set(err, ST_IO, "the disk fails: copy what can be read to another one first");
    if (st == ST_CORRUPT && r.damaged[VERIFY_DATABASE]) {
        st = err_wrap(err, ST_CORRUPT, "cannot be repaired, restore it from a snapshot");
    } else if (st == ST_CORRUPT) {
        if (err) *err = (struct err){.st = ST_OK};
        r.db = report.db;
        st = repair_parts(&r);
    }
    catalog_release(&r.cat);
    vec_release(&r.segments);
    vec_release(&r.ids);
    return st;
}
