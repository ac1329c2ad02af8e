/* Forgetting deletes: a record that can hide nothing any more is dropped, from the set
 * that views read and from the store.
 *
 * A record can hide something of a segment if it is newer than what the segment holds
 * (order), was not applied when the segment was made (gen), and meets a chunk of its
 * series. Of a dead series that means: while any segment has it. Records are kept, too,
 * that a flush under way may need, and none is dropped while replaced segments are still on
 * disk: without a catalog they might come back.
 *
 *   plan      owner    a manifest, and what the store has of its deletes
 *   run       worker   which records stay; the store is rewritten when half of it goes
 *   publish   owner    the next manifest; deletes that came meanwhile are put on top
 *
 * The same job folds the set when many deletes have made many runs of it (tombstone.h).
 */
#include "base/log.h"
#include "base/mem.h"
#include "base/sync_point.h"
#include "engine/compact_priv.h"

enum {
    FORGET_MS = 60 * 1000,      /* between two looks */
    FOLD_MS = 1000,             /* while there are many runs */
    SHRINK_SHARE = 2,           /* the store is rewritten when it can be half as long */
    CHECK_MASK = 1023,
    DEAD_LOOKS = 1 << 18,       /* blocks of indices: below a second */
};

struct forgetting {
    struct job job;
    struct db *db;
    struct manifest *manifest;  /* referenced */
    uint64_t keep_order;        /* records of this order or above stay */
    uint64_t stored_gen;        /* records below this generation are in the store */
    struct tombstones *left;    /* what stays */
    struct tombstones *stored;  /* of that, what the store had */
    bool swap;                  /* left is worth it */
    struct seeker seeker;
    struct dead_ids dead;
    bool dead_known;            /* every segment was looked through for them */
    uint64_t n_looked, n_stored;
};

/* Whether the record hides something of this segment. */
static status hides(struct forgetting *fg, size_t idx, const struct delete_rec *rec,
                    const struct series_facts *facts, bool *out)
{
    const struct segment_info *info = segment_info(fg->manifest->segments[idx]);
    struct segment_cursor *cur = &fg->seeker.cursors[idx];
    *out = false;
    if (rec->order < info->order_max || rec->gen <= info->del_gen ||
        !range_overlaps(rec->range, info->ts))
        return ST_OK;
    if (!facts->live) {
        const struct dead_id *dead = dead_ids_find(&fg->dead, rec->ids[0]);
        *out = !fg->dead_known || !dead || dead->held; /* not there: it died just now */
        return ST_OK;
    }
    if (info->lane != value_lane_of(facts->type)) return ST_OK;
    TRY(segment_seek(cur, facts->shard, rec->ids[0], &fg->job.err));
    for (const struct segment_entry *e;;) {
        TRY(segment_next(cur, &e, &fg->job.err));
        if (!e || e->ts.from > rec->range.to) return ST_OK;
        if (!range_overlaps(e->ts, rec->range)) continue;
        *out = true;
        return ST_OK;
    }
}

static status may_hide(void *ctx, const struct delete_rec *rec, bool *stays)
{
    struct forgetting *fg = ctx;
    struct series_facts facts;
    if ((++fg->n_looked & CHECK_MASK) == 0 && job_cancelled(&fg->job)) return ST_CANCELLED;
    *stays = true;
    if (rec->order >= fg->keep_order || rec->gen >= fg->stored_gen) return ST_OK;
    series_facts(fg->db, rec->ids[0], &facts);
    *stays = false;
    for (size_t i = fg->manifest->n_segments; i-- > 0 && !*stays;)
        TRY(hides(fg, i, rec, &facts, stays));
    return ST_OK;
}

static status is_stored(void *ctx, const struct delete_rec *rec, bool *stays)
{
    const struct forgetting *fg = ctx;
    *stays = rec->gen < fg->stored_gen;
    return ST_OK;
}

static void note_held(void *ctx, struct dead_id *dead, const struct segment_entry *entry)
{
    (void)ctx, (void)entry;
    dead->held = true;
}

/* Which of the dead are still in segments. */
static status look_for_dead(struct forgetting *fg)
{
    uint64_t looks = DEAD_LOOKS;
    TRY(dead_ids_collect(&fg->dead, fg->db, &fg->job, fg->manifest->deletes));
    fg->dead_known = true;
    for (size_t i = 0; i < fg->manifest->n_segments && fg->dead_known; i++)
        TRY(dead_ids_in(&fg->dead, fg->manifest->segments[i], &looks, note_held, NULL,
                        &fg->dead_known, &fg->job.err));
    return ST_OK;
}

static status forget_run(struct job *job)
{
    struct forgetting *fg = container_of(job, struct forgetting, job);
    struct tombstone_file *file = fg->db->tombstone_file;
    const struct tombstones *all = fg->manifest->deletes;
    TRY(seeker_init(&fg->seeker, fg->manifest));
    TRY(look_for_dead(fg));
    TRY(tombstones_filter(&fg->left, all, may_hide, fg));
    bool fewer = tombstones_count(fg->left) < tombstones_count(all);
    fg->swap = fewer || tombstones_runs(all) > TOMBSTONES_RUNS_MANY;
    if (!fewer) return ST_OK;
    TRY(tombstones_filter(&fg->stored, fg->left, is_stored, fg));
    fg->n_stored = tombstone_file_records(file);
    if (tombstones_count(fg->stored) > fg->n_stored / SHRINK_SHARE) return ST_OK;
    SYNC_POINT("compact:before-deletes");
    return tombstone_file_rewrite(file, fg->stored, &job->err);
}

static void swap_deletes(struct cell *cell, struct forgetting *fg)
{
    struct manifest_change change = {.mem_deletes = cell->manifest->mem_deletes};
    size_t n_before = tombstones_count(cell->manifest->deletes);
    if (tombstones_rebase(&change.deletes, fg->manifest->deletes, fg->left,
                          cell->manifest->deletes) != ST_OK)
        return; /* no memory: next time */
    struct manifest *next = manifest_next(cell->manifest, &change);
    cell->stats.n_deletes_forgotten += next ? n_before - tombstones_count(change.deletes) : 0;
    tombstones_unref(change.deletes);
    if (!next) return;
    bool seen = cell->compact_seen == cell->manifest->version;
    struct manifest *old = cell->manifest;
    cell->manifest = next;
    if (seen) cell->compact_seen = next->version; /* nothing about the segments is new */
    manifest_unref(old);
}

static void forget_publish(struct job *job, status st)
{
    struct forgetting *fg = container_of(job, struct forgetting, job);
    struct cell *cell = &fg->db->cell;
    cell->forgetting = false;
    fg->db->catalog_busy = false;
    if (st != ST_OK) {
        cell_job_failed(cell, DB_JOB_DELETES, st, &job->err);
    } else {
        cell_job_done(cell, DB_JOB_DELETES);
        cell->forget_seen = fg->manifest->version;
        if (fg->swap) swap_deletes(cell, fg);
    }
    seeker_release(&fg->seeker);
    dead_ids_release(&fg->dead);
    tombstones_unref(fg->left);
    tombstones_unref(fg->stored);
    manifest_unref(fg->manifest);
    mem_free(fg);
}

static const struct job_ops forget_ops = {.name = "deletes",
                                          .lane = JOB_MAINTENANCE,
                                          .run = forget_run,
                                          .publish = forget_publish};

int64_t compact_deletes_wait_ms(const struct cell *cell)
{
    int64_t wait_ms = (cell->next_forget - clock_mono(db_clock(cell->db))) / 1000000;
    bool many = tombstones_runs(cell->manifest->deletes) > TOMBSTONES_RUNS_MANY;
    if (many && cell->next_forget) wait_ms -= FORGET_MS - FOLD_MS;
    return wait_ms > 0 ? wait_ms : 0;
}

void compact_deletes_begin(struct cell *cell)
{
    struct db *db = cell->db;
    mono_ns now = clock_mono(db->ports.clock);
    bool first = cell->next_forget == 0;
    if (db->catalog_busy || cell->closing || cell->forgetting) return;
    cell->next_forget = now + FORGET_MS * 1000000ll;
    if (first) return; /* not while everybody is busy with a start */
    struct forgetting *fg = mem_zalloc(sizeof(*fg));
    fg->db = db;
    fg->manifest = cell->manifest;
    manifest_ref(fg->manifest);
    fg->keep_order = cell->flush ? cell->flush_order : UINT64_MAX;
    fg->stored_gen = cell->pending_deletes.len ? cell->pending_deletes.ptr[0].gen : UINT64_MAX;
    tombstones_seal(cell->manifest->deletes);
    cell->forgetting = true;
    db->catalog_busy = true; /* the store belongs to whoever has the catalog */
    job_init(&fg->job, &forget_ops);
    exec_submit(db_exec(db), &fg->job);
}
