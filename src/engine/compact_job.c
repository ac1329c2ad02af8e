/* The life of a compaction. See compact.h.
 *
 *     RUNNING --> SYNCING --> NAMING --> PUBLISHING --> (done)
 *        |           |           |
 *        +-----------+-----------+--> failed: what was written is removed, a pause
 *
 * Nothing between the freeze and the publication touches the manifest, so views see one
 * or the other. Sources cannot go away meanwhile: only compactions take segments out, and
 * there is one at a time. A crash before the catalog is replaced leaves directories that
 * it does not name, after it the sources' directories; either are swept at the start.
 */
#include "base/log.h"
#include "base/mem.h"
#include "base/sync_point.h"
#include "engine/compact_priv.h"
#include "engine/view_priv.h"

enum {
    PAUSE_MS_MIN = 1000,
    PAUSE_MS_MAX = 5 * 60 * 1000,
    KEY_LOOK_MS = 10 * 60 * 1000,      /* between walks through indices of keyed series */
    REMOVE_AGAIN_MS = 60 * 1000,
};

/* Directories that nobody will name any more. */
struct removal {
    struct list link;              /* of cell->removals */
    struct job job;
    struct db *db;
    uint64_t version;              /* no view older than this manifest may be left */
    uint64_t n_catalogs;           /* and so many catalogs must have been written */
    mono_ns not_before;
    bool running, failed;
    size_t n;
    struct segment *segment[COMPACT_DROP_MAX]; /* one reference each */
};

/* --- removing ------------------------------------------------------------------------ */

static status remove_run(struct job *job)
{
    struct removal *rm = container_of(job, struct removal, job);
    status first = ST_OK;
    for (size_t i = 0; i < rm->n; i++) {
        status st = file_hold_remove(&rm->db->files, segment_dir(rm->segment[i]),
                                   first == ST_OK ? &job->err : NULL);
        if (first == ST_OK) first = st;
    }
    return first;
}

static void free_removal(struct removal *rm)
{
    list_remove(&rm->link);
    for (size_t i = 0; i < rm->n; i++) segment_unref(rm->segment[i]);
    mem_free(rm);
}

static void remove_publish(struct job *job, status st)
{
    struct removal *rm = container_of(job, struct removal, job);
    rm->running = false;
    if (st == ST_OK) {
        free_removal(rm);
        return;
    }
    /* What stays behind is not named by the catalog: at the latest the next start sweeps. */
    rm->failed = true;
    rm->not_before = clock_mono(rm->db->ports.clock) + REMOVE_AGAIN_MS * 1000000ll;
    cell_job_failed(&rm->db->cell, DB_JOB_COMPACT, st, &job->err);
}

static const struct job_ops remove_ops = {.name = "compact: remove",
                                          .lane = JOB_MAINTENANCE,
                                          .run = remove_run,
                                          .publish = remove_publish};

static struct removal *removal_new(struct db *db, uint64_t version)
{
    struct removal *rm = mem_zalloc(sizeof(*rm));
    rm->db = db;
    rm->version = version;
    list_push(&db->cell.removals, &rm->link);
    return rm;
}

void compact_discard(struct cell *cell, struct segment *const *segs, size_t n)
{
    struct removal *rm = n ? removal_new(cell->db, 0) : NULL;
    for (size_t i = 0; i < n; i++) rm->segment[rm->n++] = segment_ref(segs[i]);
    /* A catalog whose replacement failed may be there all the same, and name them. */
    if (rm) rm->n_catalogs = cell->n_catalogs + 1;
}

static bool waits_for_catalog(const struct cell *cell, const struct removal *rm)
{
    return cell->n_catalogs < rm->n_catalogs;
}

static void step_removals(struct cell *cell)
{
    mono_ns now = clock_mono(cell->db->ports.clock);
    struct list *at = cell->removals.next;
    while (at != &cell->removals) {
        struct removal *rm = container_of(at, struct removal, link);
        at = at->next;
        if (rm->running || rm->not_before > now || waits_for_catalog(cell, rm) ||
            cell_oldest_version(cell) < rm->version)
            continue;
        rm->running = true;
        job_init(&rm->job, &remove_ops);
        exec_submit(db_exec(cell->db), &rm->job);
    }
}

void compact_release(struct cell *cell)
{
    while (!list_empty(&cell->removals))
        free_removal(container_of(cell->removals.next, struct removal, link));
    gone_release(cell);
}

/* --- the end -------------------------------------------------------------------------- */

static void end(struct compaction *c)
{
    struct cell *cell = &c->db->cell;
    /* Nobody took ids behind these: give back what was not used. An output that was begun
     * may have left something where its id says. */
    if (cell->next_segment == c->first_id + COMPACT_PARTS_MAX)
        cell->next_segment = c->first_id + c->n_begun;
    for (size_t i = 0; i < c->n_out; i++) segment_unref(c->out[i]);
    manifest_unref(c->manifest);
    vec_release(&c->gone);
    mem_free(c);
    cell->compact = NULL;
}

static void bar(struct cell *cell, const struct segment *seg, const struct err *err)
{
    uint64_t id = segment_info(seg)->id;
    cell->barred[cell->n_barred++ % CELL_BARRED_MAX] = id;
    log_error("compact", "a damaged segment is left as it is", "path=%s reason=\"%s\"",
              segment_dir(seg), err_text(err, ST_CORRUPT));
}

static void fail(struct compaction *c, status st)
{
    struct cell *cell = &c->db->cell;
    mono_ns now = clock_mono(c->db->ports.clock);
    compact_discard(cell, c->out, c->n_out); /* written, but not named */
    if (st != ST_CANCELLED && st != ST_CLOSED) {
        cell->stats.n_compact_errors++;
        if (c->damaged) bar(cell, c->damaged, &c->job.err);
        else if (st == ST_NO_SPACE) cell->stats.n_compact_deferred++;
        else cell_job_failed(cell, DB_JOB_COMPACT, st, &c->job.err);
    }
    cell->compact_pause_ms = cell->compact_pause_ms ? cell->compact_pause_ms * 2 : PAUSE_MS_MIN;
    if (cell->compact_pause_ms > PAUSE_MS_MAX) cell->compact_pause_ms = PAUSE_MS_MAX;
    cell->next_compact = now + cell->compact_pause_ms * 1000000;
    size_t n_asked = c->n_asked;
    end(c);
    compact_answer(cell, n_asked, st);
}

/* --- publish: the owner ---------------------------------------------------------------- */

static void count(struct compaction *c)
{
    struct db_stats *stats = &c->db->cell.stats;
    if (c->plan.kind == COMPACT_EXPIRED) {
        stats->n_segments_expired += c->plan.n_sources;
        for (size_t i = 0; i < c->plan.n_sources; i++)
            stats->n_samples_expired += segment_info(c->source[i])->n_points;
    } else {
        stats->n_compactions++;
        stats->n_compact_sources += c->plan.n_sources;
        stats->n_compact_outputs += c->n_out;
        stats->n_compact_copied += c->n_copied;
        stats->n_compact_encoded += c->n_encoded;
        stats->n_compact_points_in += c->n_points_in;
        stats->n_compact_points_out += c->n_points_out;
        stats->n_compact_bytes_in += c->plan.n_bytes;
        stats->n_compact_bytes_out += c->n_bytes_out;
        stats->n_samples_expired += c->n_expired;
    }
    stats->compact_ns += (uint64_t)(clock_mono(c->db->ports.clock) - c->began);
}

static bool swap_manifest(struct compaction *c)
{
    struct cell *cell = &c->db->cell;
    struct manifest_change change = {.add = c->out,
                                     .n_add = c->n_out,
                                     .drop = c->source,
                                     .n_drop = c->plan.n_sources,
                                     .deletes = cell->manifest->deletes,
                                     .mem_deletes = cell->manifest->mem_deletes};
    struct manifest *next = manifest_next(cell->manifest, &change);
    if (!next) return false;
    struct manifest *old = cell->manifest;
    c->version = next->version;
    cell->manifest = next;
    manifest_unref(old);
    return true;
}

/* The catalog has changed: there is no way back, so a lack of memory only means that
 * compact_step() comes by again. */
static void publish(struct compaction *c)
{
    struct cell *cell = &c->db->cell;
    struct db *db = c->db;
    if (!swap_manifest(c)) return;
    db->catalog_busy = false;
    struct removal *rm = removal_new(db, c->version);
    for (size_t i = 0; i < c->plan.n_sources; i++) rm->segment[rm->n++] = segment_ref(c->source[i]);
    gone_add(cell, c->gone.ptr, c->gone.len, c->epoch);
    count(c);
    cell->compact_pause_ms = 0;
    cell->next_compact = 0; /* there may be more: look again at once */
    cell_job_done(cell, DB_JOB_COMPACT);
    log_info("compact", "segments replaced",
             "why=%s lane=%d level=%u sources=%zu outputs=%zu points=%llu bytes=%llu",
             compact_kind_name(c->plan.kind), (int)c->plan.lane, c->plan.level,
             c->plan.n_sources, c->n_out, (unsigned long long)c->n_points_out,
             (unsigned long long)c->n_bytes_out);
    end(c);
    step_removals(cell);
}

/* --- name: a worker ---------------------------------------------------------------------- */

static status add_output(struct catalog *cat, const struct segment *seg, struct err *err)
{
    struct catalog_entry entry = {.info = *segment_info(seg), .tier = TIER_HOT};
    layout_segment(entry.path, entry.info.lane, entry.info.level, entry.info.id);
    return catalog_add(cat, &entry, err);
}

/* Puts back what was taken out; there was room for it a moment ago. */
static void undo_names(struct compaction *c, const struct catalog_entry *saved, size_t n_saved)
{
    struct catalog *cat = &c->db->catalog;
    for (size_t i = 0; i < c->n_out; i++)
        (void)catalog_drop(cat, c->plan.lane, segment_info(c->out[i])->id);
    for (size_t i = 0; i < n_saved; i++) {
        status st = catalog_add(cat, &saved[i], NULL);
        ASSERT(st == ST_OK);
    }
}

static status name_outputs(struct compaction *c, struct catalog_entry *saved, struct err *err)
{
    struct catalog *cat = &c->db->catalog;
    uint64_t old_id = cat->next_segment_id;
    size_t n_saved = 0;
    status st = ST_OK;
    for (size_t i = 0; i < c->n_out && st == ST_OK; i++) st = add_output(cat, c->out[i], err);
    for (size_t i = 0; i < c->plan.n_sources && st == ST_OK; i++) {
        const struct segment_info *info = segment_info(c->source[i]);
        const struct catalog_entry *entry = catalog_find(cat, info->lane, info->id);
        if (!entry) continue;
        saved[n_saved++] = *entry;
        (void)catalog_drop(cat, info->lane, info->id);
    }
    if (c->reserve > cat->next_segment_id) cat->next_segment_id = c->reserve;
    cat->wall_high = c->wall_high;
    SYNC_POINT("compact:before-catalog");
    if (st == ST_OK) st = catalog_write(c->db->ports.vfs, cat, err);
    if (st == ST_OK) return st;
    undo_names(c, saved, n_saved);
    cat->next_segment_id = old_id;
    return st;
}

static status name_run(struct job *job)
{
    struct compaction *c = container_of(job, struct compaction, job);
    struct catalog_entry *saved = mem_try_array(c->plan.n_sources, sizeof(*saved));
    if (!saved) return err_set(&job->err, ST_NO_MEMORY, "catalog");
    status st = name_outputs(c, saved, &job->err);
    mem_free(saved);
    return st;
}

static void name_publish(struct job *job, status st)
{
    struct compaction *c = container_of(job, struct compaction, job);
    if (st != ST_OK) {
        c->db->catalog_busy = false;
        fail(c, st);
        return;
    }
    c->db->cell.n_catalogs++;
    c->phase = COMPACT_PUBLISHING;
    publish(c);
}

static const struct job_ops name_ops = {.name = "compact: name",
                                        .lane = JOB_MAINTENANCE,
                                        .run = name_run,
                                        .publish = name_publish};

/* Waits until the deletes that were applied are durable and nobody has the catalog. */
static void try_name(struct compaction *c)
{
    struct cell *cell = &c->db->cell;
    struct err err = {.st = ST_OK};
    bool sync = c->applied_deletes && db_options(c->db)->wal_sync != DB_WAL_OFF;
    if (sync && wal_synced(cell->wal) < c->sync) {
        if (wal_failed(cell->wal, &err) != ST_OK || cell->closing) {
            c->job.err = err;
            fail(c, cell->closing ? ST_CANCELLED : ST_POISONED);
        }
        return;
    }
    if (c->db->catalog_busy) return;
    c->phase = COMPACT_NAMING;
    c->reserve = cell->next_segment + SEGMENT_RESERVE;
    c->wall_high = cell->clock.high;
    c->db->catalog_busy = true;
    job_init(&c->job, &name_ops);
    exec_submit(db_exec(c->db), &c->job);
}

/* --- run: a worker ------------------------------------------------------------------------ */

static status run(struct job *job)
{
    struct compaction *c = container_of(job, struct compaction, job);
    TRY(compact_look(c, &job->err));
    switch (c->plan.kind) {
    case COMPACT_NOTHING: return ST_OK;
    case COMPACT_EXPIRED: return compact_list_gone(c, &job->err);
    case COMPACT_LEVEL:
    case COMPACT_OVERLAP:
    case COMPACT_RETENTION:
    case COMPACT_DELETES:
    case COMPACT_SMALL: break;
    }
    return compact_run(c, &job->err);
}

static void run_publish(struct job *job, status st)
{
    struct compaction *c = container_of(job, struct compaction, job);
    struct cell *cell = &c->db->cell;
    if (st == ST_OK && c->plan.short_of_space) cell->stats.n_compact_deferred++;
    if (st != ST_OK) {
        fail(c, st);
    } else if (c->plan.kind == COMPACT_NOTHING) {
        cell->compact_seen = c->plan.short_of_space ? 0 : c->manifest->version;
        cell->compact_seen_oldest = c->oldest;
        size_t n_asked = c->n_asked;
        status found = c->plan.short_of_space ? ST_NO_SPACE : ST_OK;
        end(c);
        compact_answer(cell, n_asked, found);
    } else {
        c->phase = COMPACT_SYNCING;
        c->sync = wal_head(cell->wal);
        if (c->applied_deletes) wal_want_sync(cell->wal);
        try_name(c);
    }
}

static const struct job_ops run_ops = {
    .name = "compact", .lane = JOB_LONG, .run = run, .publish = run_publish};

/* --- begin --------------------------------------------------------------------------------- */

static struct compact_policy policy_of(const struct db *db)
{
    const struct db_options *o = &db->options;
    int64_t retention = db_ticks(db, o->retention_ms);
    return (struct compact_policy){.trigger = o->compaction_trigger,
                                   .window = o->compaction_trigger > 8 ? o->compaction_trigger : 8,
                                   .out_bytes = o->segment_bytes,
                                   .span_max = retention / 8};
}

bool compact_begin(struct cell *cell)
{
    struct db *db = cell->db;
    mono_ns now = clock_mono(db->ports.clock);
    if (cell->compact || cell->closing || cell->delete_open) return false;
    struct compaction *c = mem_try_zero(sizeof(*c));
    if (!c) return false;

    c->db = db;
    c->manifest = cell->manifest;
    manifest_ref(c->manifest);
    c->del_gen = cell->del_gen;
    c->flush_order = cell->flush_order;
    c->oldest = db_expires_before(db);
    /* Heads that are touched from now on carry this epoch or a later one. */
    c->epoch = atomic_fetch_add_explicit(&cell->retire.epoch, 1, memory_order_release) + 1;
    c->first_id = cell->next_segment;
    cell->next_segment += COMPACT_PARTS_MAX;
    memcpy(c->barred, cell->barred, sizeof(c->barred));
    c->look_at_keys = now >= cell->next_key_look;
    if (c->look_at_keys) cell->next_key_look = now + KEY_LOOK_MS * 1000000ll;
    c->policy = policy_of(db);
    c->n_asked = compact_asked(cell, &c->policy);
    c->began = now;
    cell->compact = c;
    cell->next_compact = now + db->options.compaction_interval_ms * 1000000;
    job_init(&c->job, &run_ops);
    exec_submit(db_exec(db), &c->job);
    return true;
}

void compact_step(struct cell *cell)
{
    struct compaction *c = cell->compact;
    if (c && c->phase == COMPACT_SYNCING) try_name(c);
    else if (c && c->phase == COMPACT_PUBLISHING) publish(c);
    if (!cell->compact && !list_empty(&cell->compact_waiters)) (void)compact_begin(cell);
    step_removals(cell);
    gone_step(cell);
}

bool compact_busy(const struct cell *cell)
{
    if (cell->compact) return true;
    list_each(at, &cell->removals) {
        const struct removal *rm = container_of(at, struct removal, link);
        if (rm->running || (!rm->failed && !waits_for_catalog(cell, rm))) return true;
    }
    return false;
}

void compact_cancel(struct cell *cell)
{
    struct compaction *c = cell->compact;
    if (c && c->phase == COMPACT_RUNNING) job_cancel(&c->job);
}

/* Something has changed since the last look that found nothing to do. */
static bool has_news(const struct cell *cell)
{
    const struct manifest *m = cell->manifest;
    ts_time oldest = db_expires_before(cell->db);
    if (m->n_segments == 0) return false;
    if (m->version != cell->compact_seen) return true;
    if (clock_mono(cell->db->ports.clock) >= cell->next_key_look) return true;
    for (size_t i = 0; i < m->n_segments; i++)
        if (!segment_info(m->segments[i])->keyed && segment_info(m->segments[i])->ts.to < oldest)
            return true;
    return false;
}

void compact_situation(const struct cell *cell, struct situation *out)
{
    mono_ns now = clock_mono(cell->db->ports.clock);
    out->compacting = cell->compact != NULL;
    out->compact_news = has_news(cell);
    out->compact_wait_ms = cell->next_compact > now ? (cell->next_compact - now) / 1000000 : 0;
    out->n_deletes = tombstones_count(cell->manifest->deletes);
    out->deletes_news = cell->manifest->version != cell->forget_seen &&
                        list_empty(&cell->removals) && !cell->forgetting && !cell->db->snapshot;
    out->forget_wait_ms = compact_deletes_wait_ms(cell);
}
