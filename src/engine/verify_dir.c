/* Verification of a directory that nobody has open. See verify.h.
 *
 *   database.json     readable, and whose it is
 *   registry, log     the registry file, then the definitions of the log on top of it;
 *                     every payload of the log is decoded
 *   catalog           readable; each directory that it names is there and is what it says;
 *                     none is newer than it; no flush is newer than its last; of two
 *                     segments of a lane whose times overlap one is newer as a whole
 *   segments          verify_segment(), against that registry
 *   deletes           the store, record by record
 *   exemplars, metadata   their files, record by record
 *
 * A damaged registry or log is one finding; what depends on it is then checked without
 * it, so that one damage does not look like many.
 */
#include "engine/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/vec.h"
#include "engine/checkpoint.h"
#include "engine/meta_files.h"
#include "engine/meta_payload.h"
#include "engine/wal_payload.h"
#include "index/registry_file.h"
#include "storage/quarantine.h"
#include "storage/tombstone_file.h"
#include "storage/wal_replay.h"

struct verify {
    struct vfs *vfs;
    const struct verify_options *opt;
    struct verify_report *out;
    struct registry *reg;      /* NULL: it cannot be relied on */
    series_id known_ids;         /* series below are in the registry's files, or dead */
    struct wal_replay *replay; /* NULL: damaged */
    series_id next_id;         /* whom the registry's files do not have below this is dead */
    lsn covered;
    struct err first;          /* of the findings */
    uint64_t bytes_done, bytes_total;
    uint64_t n_unknown;        /* samples of the log whose series nothing defines */
    VEC(uint64_t) dead;        /* ids that the log defines and whose name was born again */
    struct err *why;           /* of the walk over the log */
    struct err *err;
};

const char *verify_part_name(enum verify_part part)
{
    static const char *const names[VERIFY_PARTS] = {
        [VERIFY_DATABASE] = "database", [VERIFY_CATALOG] = "catalog",
        [VERIFY_SEGMENT] = "segment",   [VERIFY_REGISTRY] = "registry",
        [VERIFY_WAL] = "wal",           [VERIFY_DELETES] = "deletes",
        [VERIFY_EXEMPLARS] = "exemplars", [VERIFY_METADATA] = "metadata",
    };
    return names[part];
}

/* What ends the whole run and is no finding. */
static bool is_fatal(status st)
{
    return st == ST_NO_MEMORY || st == ST_CANCELLED;
}

/* Takes note of a failure of one part; a fatal one goes on up. */
static status find(struct verify *v, enum verify_part part, const char *path, status st,
                   const struct err *why)
{
    const char *text = err_text(why, st);
    if (st == ST_OK) return ST_OK;
    if (is_fatal(st)) return err_set(v->err, st, "%s: %s", path, text);
    if (v->out->n_findings++ == 0) (void)err_set(&v->first, ST_CORRUPT, "%s: %s", path, text);
    if (st == ST_IO) v->out->n_io_errors++;
    struct verify_finding finding = {.part = part, .path = path, .st = st, .text = text};
    if (v->opt->finding) v->opt->finding(v->opt->ctx, &finding);
    return ST_OK;
}

static void note(struct verify *v, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void note(struct verify *v, const char *fmt, ...)
{
    char text[ERR_TEXT_MAX];
    va_list args;
    if (!v->opt->note) return;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    v->opt->note(v->opt->ctx, text);
}

static void progress(struct verify *v, const char *phase, uint64_t bytes)
{
    v->bytes_done += bytes;
    if (v->opt->progress) v->opt->progress(v->opt->ctx, phase, v->bytes_done, v->bytes_total);
}

/* --- the registry and the log ------------------------------------------------------ */

static uint64_t file_len(struct vfs *vfs, const char *path)
{
    struct vfs_file *file;
    uint64_t len = 0;
    if (vfs_open(vfs, &file, path, VFS_READ, NULL) != ST_OK) return 0;
    if (vfs_len(file, &len, NULL) != ST_OK) len = 0;
    vfs_close(file);
    return len;
}

static status check_registry(struct verify *v)
{
    struct err why = {.st = ST_OK};
    struct registry_catalog cat;
    layout_path bad;
    v->reg = verify_registry_new();
    if (!v->reg) return err_set(v->err, ST_NO_MEMORY, "registry");
    v->out->registry_bytes = file_len(v->vfs, LAYOUT_REGISTRY);
    progress(v, "registry", 0);
    status st = registry_files_load(v->reg, &cat, bad, v->vfs, &v->out->db.id, 1, &why);
    for (size_t i = 0; i < cat.deltas.len; i++)
        v->out->registry_bytes += cat.deltas.ptr[i].n_bytes;
    if (st == ST_OK) v->known_ids = cat.next_id;
    v->next_id = cat.next_id;
    registry_catalog_release(&cat);
    if (st == ST_OK) {
        snprintf(bad, sizeof(bad), "%s", LAYOUT_REGISTRY);
        st = registry_check(v->reg, &why);
    }
    if (st == ST_OK || st == ST_NOT_FOUND) return ST_OK;
    registry_free(v->reg);
    v->reg = NULL;
    return find(v, VERIFY_REGISTRY, bad, st, &why);
}

static status see_definition(void *ctx, const struct wal_series *series)
{
    struct verify *v = ctx;
    series_id dead;
    if (!v->reg) return ST_OK;
    TRY(verify_define(v->reg, series, &dead));
    return dead == 0 || vec_push(&v->dead, dead) ? ST_OK : ST_NO_MEMORY;
}

static status see_relabel(struct verify *v, struct slice payload)
{
    struct wal_series series;
    uint16_t version;
    series_id dead;
    if (!v->reg) return wal_relabel_get(&series, &version, payload);
    TRY(verify_relabel(v->reg, payload, &dead));
    return dead == 0 || vec_push(&v->dead, dead) ? ST_OK : ST_NO_MEMORY;
}

static status see_definitions(void *ctx, const struct wal_frame *frame)
{
    struct verify *v = ctx;
    status st = ST_OK;
    if (frame->type == WAL_SERIES) st = wal_series_each(frame->payload, see_definition, v);
    if (frame->type == WAL_RELABEL) st = see_relabel(v, frame->payload);
    if (st == ST_OK || is_fatal(st)) return st;
    return err_set(v->why, st, "frame %llu: a series definition makes no sense",
                   (unsigned long long)frame->seq);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static status see_row(void *ctx, const struct wal_row *row)
{
    struct verify *v = ctx;
    v->out->n_wal_samples++;
    if (!v->reg) return ST_OK;
    uint32_t ordinal = registry_by_id(v->reg, row->id);
    if (ordinal == ORDINAL_NONE) {
        uint64_t id = row->id;
        bool dead = id < v->next_id ||
                    (v->dead.len &&
                     bsearch(&id, v->dead.ptr, v->dead.len, sizeof(id), by_value) != NULL);
        v->n_unknown += !dead;
        return ST_OK;
    }
    return registry_entry(v->reg, ordinal)->type == row->type ? ST_OK : ST_CORRUPT;
}

static status see_delete(struct slice payload)
{
    uint64_t *ids, order;
    struct time_range range;
    size_t n;
    TRY(wal_delete_get(&ids, &n, &range, &order, payload));
    mem_free(ids);
    return ST_OK;
}

static status see_remove(struct slice payload)
{
    uint64_t *ids;
    size_t n;
    TRY(wal_remove_get(&ids, &n, payload));
    mem_free(ids);
    return ST_OK;
}

static status see_frame(void *ctx, const struct wal_frame *frame)
{
    struct verify *v = ctx;
    struct series_attrs attrs;
    series_id id;
    status st = ST_OK;
    if (v->opt->cancelled && atomic_load_explicit(v->opt->cancelled, memory_order_relaxed))
        return err_set(v->why, ST_CANCELLED, "cancelled");
    switch (frame->type) {
    case WAL_SAMPLES:
        if (frame->seq > v->covered) st = wal_samples_each(frame->payload, see_row, v);
        break;
    case WAL_ATTRS: st = wal_attrs_get(&id, &attrs, frame->payload); break;
    case WAL_DELETE: st = see_delete(frame->payload); break;
    case WAL_REMOVE: st = see_remove(frame->payload); break;
    case WAL_META: st = meta_payload_each(frame->payload, &(struct meta_taker){0}); break;
    case WAL_SERIES:
    case WAL_RELABEL:
    case WAL_POLICY:
    case WAL_MARK: break;
    }
    if (st == ST_OK || is_fatal(st)) return st;
    return err_set(v->why, st, "frame %llu: its payload makes no sense",
                   (unsigned long long)frame->seq);
}

/* Checks the frames and takes their definitions. */
static status open_wal(struct verify *v)
{
    struct wal_replay_options opt = {.mode = WAL_REPLAY_STRICT,
                                     .db = v->out->db.id,
                                     .covered = v->covered,
                                     .read_only = true};
    struct wal_replay_stats stats;
    struct err why = {.st = ST_OK};
    progress(v, "wal", 0);
    v->why = &why;
    status st = wal_replay_open(&v->replay, v->vfs, &opt, &why);
    if (st == ST_OK) st = wal_replay_each(v->replay, see_definitions, v);
    if (st != ST_OK) {
        wal_replay_close(v->replay);
        v->replay = NULL;
        if (v->reg) registry_free(v->reg); /* what the log defines is unknown */
        v->reg = NULL;
        return find(v, VERIFY_WAL, LAYOUT_WAL_DIR, st, &why);
    }
    wal_replay_stats(v->replay, &stats);
    v->out->n_wal_files = stats.n_files;
    v->out->n_wal_frames = stats.n_frames;
    v->out->n_wal_bytes = stats.n_bytes;
    v->out->torn_bytes = stats.torn_bytes;
    if (stats.n_torn) note(v, "the log ends with an unfinished frame; the next start cuts it");
    if (stats.n_runs_dropped)
        note(v, "the log holds %llu unfinished requests; the next start drops them",
             (unsigned long long)stats.n_runs_dropped);
    progress(v, "wal", stats.n_bytes);
    return ST_OK;
}

/* What the frames say, once all series are known, those of segments too. */
static status check_wal(struct verify *v)
{
    struct err why = {.st = ST_OK};
    if (!v->replay) return ST_OK;
    v->why = &why;
    if (v->dead.len) qsort(v->dead.ptr, v->dead.len, sizeof(v->dead.ptr[0]), by_value);
    status st = wal_replay_each(v->replay, see_frame, v);
    if (st == ST_OK && v->n_unknown)
        st = err_set(&why, ST_CORRUPT, "%llu samples belong to series that nothing defines",
                     (unsigned long long)v->n_unknown);
    return find(v, VERIFY_WAL, LAYOUT_WAL_DIR, st, &why);
}

/* --- segments ---------------------------------------------------------------------- */

static void count_segment(struct verify *v, const struct segment_info *info)
{
    struct verify_level *level = &v->out->levels[info->lane][info->level];
    level->n_segments++;
    level->n_chunks += info->n_chunks;
    level->n_points += info->n_points;
    level->n_bytes += info->n_bytes;
    v->out->n_points += info->n_points;
    if (info->ts.from < v->out->ts.from) v->out->ts.from = info->ts.from;
    if (info->ts.to > v->out->ts.to) v->out->ts.to = info->ts.to;
}

/* Whether a segment is what its entry says. */
static status check_entry(const struct segment_info *has, const struct segment_info *entry,
                          struct err *why)
{
    if (has->id == entry->id && has->lane == entry->lane && has->level == entry->level &&
        has->n_series == entry->n_series && has->n_chunks == entry->n_chunks &&
        has->n_points == entry->n_points && has->n_bytes == entry->n_bytes &&
        has->ts.from == entry->ts.from && has->ts.to == entry->ts.to &&
        has->order_min == entry->order_min && has->order_max == entry->order_max)
        return ST_OK;
    return err_set(why, ST_CORRUPT, "is not the segment that the catalog means");
}

/* As recovery does: what only a segment knows is known from here. */
static status adopt_series(void *ctx, const struct segment_series *series)
{
    const struct verify *v = ctx;
    if (series->id < v->known_ids) return ST_OK; /* in the registry, or dead */
    return verify_adopt(v->reg, series->id, series->place, series->type, series->labels_version,
                        series->identity, NULL);
}

static status check_segment(struct verify *v, const struct catalog_entry *entry)
{
    struct segment *seg = NULL;
    struct err why = {.st = ST_OK};
    uint64_t n_missing = 0;
    count_segment(v, &entry->info);
    status st = segment_open(&seg, v->vfs, entry->path, &v->out->db.id, &why);
    if (st == ST_NOT_FOUND) st = err_set(&why, ST_CORRUPT, "the catalog names it: %s", why.text);
    if (st == ST_OK) st = check_entry(segment_info(seg), &entry->info, &why);
    if (st == ST_OK)
        st = verify_segment(seg, v->reg, v->known_ids, v->opt->quick, &n_missing,
                            v->opt->cancelled, &why);
    if (st == ST_OK && n_missing) st = segment_each_series(seg, adopt_series, v, &why);
    v->out->n_series_missing += n_missing;
    segment_unref(seg);
    progress(v, "segments", entry->info.n_bytes);
    return find(v, VERIFY_SEGMENT, entry->path, st, &why);
}

static status finding_in_catalog(struct verify *v, const struct err *why)
{
    return find(v, VERIFY_CATALOG, LAYOUT_CATALOG, why->st, why);
}

static int by_lane_and_start(const void *a, const void *b)
{
    const struct segment_info *x = &(*(const struct catalog_entry *const *)a)->info;
    const struct segment_info *y = &(*(const struct catalog_entry *const *)b)->info;
    if (x->lane != y->lane) return x->lane < y->lane ? -1 : 1;
    return x->ts.from < y->ts.from ? -1 : x->ts.from > y->ts.from;
}

/* Newest wins by the order of flushes: of two that overlap it must say which that is. */
static status check_overlaps(struct verify *v, const struct catalog_entry *const *sorted,
                             size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct segment_info *a = &sorted[i]->info;
        for (size_t k = i + 1; k < n; k++) {
            const struct segment_info *b = &sorted[k]->info;
            struct err why = {.st = ST_OK};
            if (b->lane != a->lane || b->ts.from > a->ts.to) break;
            if (a->order_max < b->order_min || b->order_max < a->order_min) continue;
            (void)err_set(&why, ST_CORRUPT, "%s and %s overlap, and neither is newer",
                          sorted[i]->path, sorted[k]->path);
            TRY(finding_in_catalog(v, &why));
        }
    }
    return ST_OK;
}

static status check_order(struct verify *v, const struct catalog *cat)
{
    const struct catalog_entry **sorted = mem_try_array(cat->n + 1, sizeof(*sorted));
    status st = ST_OK;
    if (!sorted) return err_set(v->err, ST_NO_MEMORY, "catalog");
    for (size_t i = 0; i < cat->n && st == ST_OK; i++) {
        const struct catalog_entry *entry = sorted[i] = &cat->entries[i];
        struct err why = {.st = ST_OK};
        if (entry->info.order_max <= cat->last_order) continue;
        (void)err_set(&why, ST_CORRUPT, "%s is of flush %llu, and the last one was %llu",
                      entry->path, (unsigned long long)entry->info.order_max,
                      (unsigned long long)cat->last_order);
        st = finding_in_catalog(v, &why);
    }
    if (st == ST_OK) {
        qsort(sorted, cat->n, sizeof(*sorted), by_lane_and_start);
        st = check_overlaps(v, sorted, cat->n);
    }
    mem_free(sorted);
    return st;
}

static void bad_manifest(void *ctx, const char *path, status st, const struct err *err)
{
    struct verify *v = ctx;
    /* A fatal one cannot come here: the scan itself stops then. */
    if (find(v, VERIFY_SEGMENT, path, st, err) != ST_OK) v->out->n_findings++;
}

/* The catalog, or what the directories say when it cannot be used. */
static status load_catalog(struct verify *v, struct catalog *cat)
{
    struct err why = {.st = ST_OK};
    bool scanned;
    status st = catalog_read(cat, v->vfs, &v->out->db.id, &why);
    if (st == ST_OK) {
        /* The same reading as recovery's: a directory newer than the catalog makes it
         * stale. Manifests are read again one by one below. */
        struct catalog seen;
        st = catalog_load(&seen, &scanned, v->vfs, &v->out->db.id, NULL, NULL, v->err);
        if (st != ST_OK) {
            catalog_release(cat);
            return st;
        }
        catalog_release(&seen);
        if (!scanned) return ST_OK;
        catalog_release(cat);
        st = err_set(&why, ST_CORRUPT, "there are segments newer than the catalog");
    }
    bool missing = st == ST_NOT_FOUND;
    TRY(catalog_scan(cat, v->vfs, &v->out->db.id, bad_manifest, v, v->err));
    if (missing && cat->n == 0) return ST_OK; /* a new directory */
    status found = find(v, VERIFY_CATALOG, LAYOUT_CATALOG, st, &why);
    if (found != ST_OK) catalog_release(cat);
    return found;
}

static status check_deletes(struct verify *v)
{
    struct tombstones *set = NULL;
    struct err why = {.st = ST_OK};
    layout_path path = LAYOUT_TOMBSTONE_DIR;
    progress(v, "deletes", 0);
    status st = tombstone_file_load(&set, path, false, NULL, v->vfs, &v->out->db.id, &why);
    if (st == ST_NOT_FOUND) return ST_OK; /* nothing was ever deleted */
    if (st != ST_OK) return find(v, VERIFY_DELETES, path, st, &why);
    v->out->n_deletes = tombstones_count(set);
    tombstones_unref(set);
    return ST_OK;
}

static status check_meta_file(struct verify *v, enum verify_part part, enum payload_kind kind,
                              uint64_t *n)
{
    struct err why = {.st = ST_OK};
    status st = meta_file_verify(n, v->vfs, kind, &v->out->db.id, &why);
    return st == ST_NOT_FOUND ? ST_OK : find(v, part, payload_file_path(kind), st, &why);
}

/* --- all of it --------------------------------------------------------------------- */

static status check_all(struct verify *v, struct catalog *cat)
{
    for (size_t i = 0; i < cat->n; i++) v->bytes_total += cat->entries[i].info.n_bytes;
    TRY(check_registry(v));
    v->covered = cat->covered_lsn;
    TRY(open_wal(v));
    for (size_t i = 0; i < cat->n; i++) TRY(check_segment(v, &cat->entries[i]));
    TRY(check_order(v, cat));
    TRY(check_wal(v));
    TRY(check_deletes(v));
    TRY(check_meta_file(v, VERIFY_EXEMPLARS, PAYLOAD_EXEMPLARS, &v->out->n_exemplars));
    TRY(check_meta_file(v, VERIFY_METADATA, PAYLOAD_METADATA, &v->out->n_families));
    if (v->reg) v->out->n_series = registry_counts(v->reg).n_series;
    if (v->out->n_series_missing)
        note(v, "%llu series of segments are not in the registry; the next start adds them",
             (unsigned long long)v->out->n_series_missing);
    return quarantine_count(&v->out->n_quarantined, v->vfs, v->err);
}

/* Without database.json nothing can be opened, and nothing says whose files these are. */
static status check_database(struct verify *v, bool *go_on)
{
    struct err why = {.st = ST_OK};
    *go_on = false;
    if (vfs_exists(v->vfs, LAYOUT_RESTORING))
        return find(v, VERIFY_DATABASE, LAYOUT_RESTORING, ST_CORRUPT,
                    &(struct err){.st = ST_CORRUPT, .text = "a restore was not finished"});
    status st = database_file_read(&v->out->db, v->vfs, &why);
    *go_on = st == ST_OK;
    if (st == ST_NOT_FOUND && !vfs_exists(v->vfs, LAYOUT_WAL_DIR) &&
        !vfs_exists(v->vfs, LAYOUT_CATALOG) && !vfs_exists(v->vfs, LAYOUT_REGISTRY))
        return err_set(v->err, ST_NOT_FOUND, "this is no data directory: there is no "
                       LAYOUT_DATABASE);
    return find(v, VERIFY_DATABASE, LAYOUT_DATABASE, st, &why);
}

status verify_dir(struct verify_report *out, struct vfs *vfs, const struct verify_options *opt,
                  struct err *err)
{
    struct verify v = {.vfs = vfs, .opt = opt, .out = out, .err = err};
    struct catalog cat = {0};
    bool go_on;
    *out = (struct verify_report){.ts = {TS_MAX, TS_MIN}};
    status st = check_database(&v, &go_on);
    if (st == ST_OK && go_on) {
        st = load_catalog(&v, &cat);
        if (st == ST_OK) st = check_all(&v, &cat);
        catalog_release(&cat); /* also when only a part of the loading succeeded */
    }
    wal_replay_close(v.replay);
    if (v.reg) registry_free(v.reg);
    vec_release(&v.dead);
    if (st != ST_OK || out->n_findings == 0) return st;
    if (err) *err = v.first;
    return ST_CORRUPT;
}
