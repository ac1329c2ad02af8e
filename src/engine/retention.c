/* Retention by the wall clock: segments whose newest sample has expired go.
 *
 *   plan      owner    pure choice: all times before the cut-off, no series with a key
 *                      (those obey their own retention, decision 12)
 *   run       worker   the catalog without them, durably
 *   publish   owner    the manifest without them
 *   remove    worker   the directories; views that still read them keep their maps
 *
 * A segment that straddles the boundary stays; views do not show what has expired.
 */
#include "base/log.h"
#include "base/mem.h"
#include "engine/db_priv.h"
#include "engine/retention.h"

enum { EXPIRE_MAX = 64 };

struct expiry {
    struct job job;
    struct db *db;
    struct segment *segment[EXPIRE_MAX]; /* referenced */
    size_t n;
};

bool retention_expired(const struct segment_info *info, bool keyed, ts_time oldest)
{
    return !keyed && info->ts.to < oldest;
}

static void free_expiry(struct expiry *ex)
{
    for (size_t i = 0; i < ex->n; i++) segment_unref(ex->segment[i]);
    mem_free(ex);
}

/* --- remove ---------------------------------------------------------------------- */

static status remove_run(struct job *job)
{
    struct expiry *ex = container_of(job, struct expiry, job);
    status first = ST_OK;
    for (size_t i = 0; i < ex->n; i++) {
        status st = file_hold_remove(&ex->db->files, segment_dir(ex->segment[i]), &job->err);
        if (first == ST_OK) first = st;
    }
    return first;
}

static void remove_publish(struct job *job, status st)
{
    struct expiry *ex = container_of(job, struct expiry, job);
    /* What stays behind is not named by the catalog: the next start sweeps it. */
    if (st != ST_OK) cell_job_failed(&ex->db->cell, "expiry: remove", st, &job->err);
    ex->db->catalog_busy = false;
    free_expiry(ex);
}

static const struct job_ops remove_ops = {.name = "expiry: remove",
                                          .lane = JOB_MAINTENANCE,
                                          .run = remove_run,
                                          .publish = remove_publish};

/* --- drop ------------------------------------------------------------------------ */

static status drop_run(struct job *job)
{
    struct expiry *ex = container_of(job, struct expiry, job);
    struct catalog *cat = &ex->db->catalog;
    struct catalog_entry saved[EXPIRE_MAX];
    size_t n = 0;
    for (size_t i = 0; i < ex->n; i++) {
        const struct segment_info *info = segment_info(ex->segment[i]);
        const struct catalog_entry *at = catalog_find(cat, info->lane, info->id);
        if (!at) continue;
        saved[n++] = *at;
        (void)catalog_drop(cat, info->lane, info->id);
    }
    status st = catalog_write(ex->db->ports.vfs, cat, &job->err);
    for (size_t i = 0; st != ST_OK && i < n; i++)
        if (catalog_add(cat, &saved[i], NULL) != ST_OK)
            log_error("retention", "the inventory lost an entry in memory", "path=%s",
                      saved[i].path);
    return st;
}

static void drop_publish(struct job *job, status st)
{
    struct expiry *ex = container_of(job, struct expiry, job);
    struct cell *cell = &ex->db->cell;
    struct manifest *next = NULL;
    if (st == ST_OK) {
        struct manifest_change change = {.drop = ex->segment,
                                         .n_drop = ex->n,
                                         .deletes = cell->manifest->deletes,
                                         .mem_deletes = cell->manifest->mem_deletes};
        next = manifest_next(cell->manifest, &change);
        if (!next) st = ST_NO_MEMORY;
    }
    if (st != ST_OK) {
        cell_job_failed(cell, "expiry", st, &job->err);
        ex->db->catalog_busy = false;
        free_expiry(ex);
        return;
    }
    struct manifest *old = cell->manifest;
    cell->manifest = next;
    manifest_unref(old);
    cell->stats.n_segments_expired += ex->n;
    log_info("retention", "segments expired", "n=%zu", ex->n);
    job_init(&ex->job, &remove_ops);
    exec_submit(db_exec(ex->db), &ex->job);
}

static const struct job_ops drop_ops = {
    .name = "expiry", .lane = JOB_MAINTENANCE, .run = drop_run, .publish = drop_publish};

static bool is_keyed(const struct cell *cell, const struct segment_info *info)
{
    for (size_t i = 0; i < cell->keyed_segments.len; i++)
        if (cell->keyed_segments.ptr[i] == info->id) return true;
    return false;
}

void retention_plan(struct db *db)
{
    struct cell *cell = &db->cell;
    if (db->catalog_busy || db->options.retention_ms == 0 || cell->closing) return;

    ts_time oldest = db_window(db).oldest;
    struct expiry *ex = NULL;
    for (size_t i = 0; i < cell->manifest->n_segments; i++) {
        struct segment *seg = cell->manifest->segments[i];
        const struct segment_info *info = segment_info(seg);
        if (!retention_expired(info, is_keyed(cell, info), oldest)) continue;
        if (!ex) ex = mem_zalloc(sizeof(*ex));
        ex->segment[ex->n++] = segment_ref(seg);
        if (ex->n == EXPIRE_MAX) break;
    }
    if (!ex) return;
    ex->db = db;
    db->catalog_busy = true;
    job_init(&ex->job, &drop_ops);
    exec_submit(db_exec(db), &ex->job);
}
