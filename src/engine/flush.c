/* Flush: turns everything that is not on disk yet into one level-0 segment a lane.
 *
 *   cut        owner    every series with unflushed samples, in slices between batches;
 *                       from here the nodes it takes are immutable, and still visible
 *   write      worker   segments in staging, synced, renamed
 *   sync       WAL      must be durable up to the end of the cut, so that no segment
 *                       holds half of a batch whose other half a power cut may take
 *   name       worker   registry snapshot when series were born, exemplars and metadata
 *                       when they have changed; then the catalog names the segments: from
 *                       here they exist after a crash
 *   publish    owner    mark.version = m, manifest m is current: the segments appear and
 *                       the nodes go, at once; the WAL before the cut is released
 *   unlink     owner    when every live view has m or later: nodes leave their chains
 *
 * Invariant: at every instant each sample is visible exactly once. A node points to its
 * flush and a view compares versions, so nothing between cut and publish needs to touch
 * a head. A failed flush gives the nodes back: their mark is cleared and the next one
 * takes them again. After a crash the samples come from the WAL, which is released only
 * after publish; segments that no catalog names are swept.
 *
 * Not here: writing the segments (flush_write.c), choosing when to flush (maintain.c).
 */
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/sync_point.h"
#include "engine/compact.h"
#include "engine/flush_priv.h"
#include "engine/view_priv.h"

enum {
    CUT_SLICE = 1024,
    UNLINK_SLICE = 1024,
    CUTS_KEPT = 64 << 10,  /* unused entries of the list of cuts that are not worth a call */
    HEAD_AHEAD = 16,
    NODE_AHEAD = 8,
};

/* --- cut ------------------------------------------------------------------------- */

static void take_nodes(struct flush *f, node_word root)
{
    for (struct node *node = word_node(root); node; node = word_node(node_older(node)))
        atomic_store_explicit(&node->flush, f->mark, memory_order_release);
}

static bool cut_series(struct flush *f, uint32_t ordinal)
{
    struct cell *cell = &f->db->cell;
    struct head *head = cell_head(cell, ordinal);
    node_word root = head_root(head);
    if (!(head->flags & HEAD_BORN) || !root || head->cut_gen == f->order) return true;

    const struct series_entry *entry = registry_entry(cell->registry, ordinal);
    struct cut cut = {.ordinal = ordinal,
                      .gen = head->gen,
                      .root = root,
                      .key = segment_shard(entry->place),
                      .id = entry->id};
    if (!vec_push(&f->cuts, cut)) return false;
    take_nodes(f, root);
    head->cut_gen = f->order;
    head->flags |= HEAD_CUT;
    return true;
}

/* Nodes become the memory's own again. */
static void give_back(struct flush *f)
{
    for (size_t i = 0; i < f->cuts.len; i++) {
        struct node *node = word_node(f->cuts.ptr[i].root);
        for (; node && node_flush(node) == f->mark; node = word_node(node_older(node)))
            atomic_store_explicit(&node->flush, 0, memory_order_release);
    }
}

static void answer_waiters(struct db *db, uint64_t order, status st)
{
    struct list *at = db->flush_waiters.next;
    while (at != &db->flush_waiters) {
        struct flush_waiter *wait = container_of(at, struct flush_waiter, link);
        at = at->next;
        if (wait->order > order) continue;
        list_remove(&wait->link);
        wait->done(wait->ctx, st);
        mem_free(wait);
    }
}

static void end_flush(struct flush *f, status st)
{
    struct db *db = f->db;
    struct cell *cell = &db->cell;
    uint64_t order = f->order;
    cell->flush = NULL;
    cell->last_flush = clock_mono(db->ports.clock);
    retire_push(&cell->retire, RETIRE_MARK, (void *)(uintptr_t)f->mark, 0);
    for (int lane = 0; lane < N_LANES; lane++) segment_unref(f->segment[lane]);
    tombstones_unref(f->mem_deletes);
    manifest_unref(f->manifest);
    vec_release(&f->gone);
    vec_release(&f->deletes);
    vec_release(&f->cuts);
    checkpoint_end(&f->checkpoint, cell);
    mem_free(f);
    answer_waiters(db, order, st);
    if (!list_empty(&db->flush_waiters) && !flush_begin(cell, "asked"))
        answer_waiters(db, UINT64_MAX, cell->closed ? ST_CLOSED : ST_OK); /* nothing is left */
    cell_collect(cell);
}

/* The deletes that this flush has put into the tombstone file need not wait for the
 * next one. Before that a failed flush leaves them all: a record that is in the file
 * twice hides no more than once. */
static void forget_deletes(struct flush *f)
{
    struct cell *cell = &f->db->cell;
    size_t n = f->deletes.len, left = cell->pending_deletes.len - n;
    for (size_t i = 0; i < n; i++) mem_free((void *)(uintptr_t)f->deletes.ptr[i].ids);
    if (left) memmove(cell->pending_deletes.ptr, cell->pending_deletes.ptr + n,
                      left * sizeof(cell->pending_deletes.ptr[0]));
    cell->pending_deletes.len = left;
}

static void fail_flush(struct flush *f, status st)
{
    struct cell *cell = &f->db->cell;
    struct segment *written[N_LANES];
    size_t n = 0;
    for (int lane = 0; lane < N_LANES; lane++)
        if (f->segment[lane]) written[n++] = f->segment[lane];
    compact_discard(cell, written, n);
    give_back(f);
    if (f->phase >= FLUSH_NAMING) f->db->catalog_busy = false;
    cell->n_unflushed += f->cuts.len; /* at least one sample each: a reason to try again */
    cell->n_unflushed_meta++;
    cell->stats.n_flush_failures++;
    cell_job_failed(cell, DB_JOB_FLUSH, st, &f->job.err);
    end_flush(f, st);
}

void flush_cut_now(struct cell *cell, uint32_t ordinal)
{
    struct flush *f = cell->flush;
    if (!f || f->phase != FLUSH_CUTTING || ordinal >= f->end_ordinal) return;
    /* Cut later, the series would have samples from behind the delete in a segment that
     * the delete hides: rather no flush at all. Likewise when there is nothing to cut: what
     * comes now is the next flush's. */
    if (cut_series(f, ordinal)) cell_head(cell, ordinal)->cut_gen = f->order;
    else fail_flush(f, ST_NO_MEMORY);
}

/* --- write and name: jobs -------------------------------------------------------- */

static status write_run(struct job *job)
{
    struct flush *f = container_of(job, struct flush, job);
    struct db *db = f->db;
    f->reader_slot = db_reader_enter(db);
    status st = flush_write_segments(f, &job->err);
    db_reader_leave(db, f->reader_slot);
    return st;
}

static status add_to_catalog(struct db *db, const struct segment *seg, struct err *err)
{
    struct catalog_entry entry = {.info = *segment_info(seg), .tier = TIER_HOT};
    layout_segment(entry.path, entry.info.lane, entry.info.level, entry.info.id);
    return catalog_add(&db->catalog, &entry, err);
}

/* Names the segments in the catalog; without success the catalog is as it was, so that
 * another job's write of it cannot say that the WAL is covered further than it is. */
static status name_segments(struct flush *f, struct err *err)
{
    struct catalog *cat = &f->db->catalog;
    uint64_t old_order = cat->last_order, old_id = cat->next_segment_id;
    uint64_t old_covered = cat->covered_lsn;
    status st = ST_OK;
    for (int lane = 0; lane < N_LANES && st == ST_OK; lane++)
        if (f->segment[lane]) st = add_to_catalog(f->db, f->segment[lane], err);
    cat->last_order = f->order;
    if (f->reserve > cat->next_segment_id) cat->next_segment_id = f->reserve;
    cat->wall_high = f->wall_high;
    if (f->begin_lsn > cat->covered_lsn) cat->covered_lsn = f->begin_lsn;
    SYNC_POINT("flush:before-catalog");
    if (st == ST_OK) st = catalog_write(f->db->ports.vfs, cat, err);
    if (st == ST_OK) return ST_OK;
    for (int lane = 0; lane < N_LANES; lane++)
        if (f->segment[lane]) (void)catalog_drop(cat, (enum value_lane)lane, f->segment_id[lane]);
    cat->last_order = old_order;
    cat->next_segment_id = old_id;
    cat->covered_lsn = old_covered;
    return st;
}

/* A store that a failed write has poisoned is opened anew: its torn end is cut, and the
 * records that it did not take are still pending. */
static status store_delete(struct db *db, const struct delete_rec *rec, struct err *err)
{
    struct tombstone_file *file = NULL;
    struct tombstones *set = NULL;
    status st = tombstone_file_append(db->tombstone_file, rec, err);
    if (st != ST_POISONED) return st;
    TRY(tombstone_file_open(&file, &set, db->ports.vfs, &db->file.id, err));
    tombstones_unref(set);
    tombstone_file_close(db->tombstone_file);
    db->tombstone_file = file;
    return tombstone_file_append(file, rec, err);
}

static status name_run(struct job *job)
{
    struct flush *f = container_of(job, struct flush, job);
    struct db *db = f->db;
    const struct segment_info *infos[N_LANES];
    size_t n_infos = 0;
    for (int lane = 0; lane < N_LANES; lane++)
        if (f->segment[lane]) infos[n_infos++] = segment_info(f->segment[lane]);
    int slot = db_reader_enter(db);
    status st = checkpoint_run(&f->checkpoint, db, infos, n_infos, f->order, &job->cancelled,
                               &job->err);
    db_reader_leave(db, slot);
    TRY(st);
    for (size_t i = 0; i < f->deletes.len; i++)
        TRY(store_delete(db, &f->deletes.ptr[i], &job->err));
    TRY(meta_files_checkpoint(db, &f->meta, f->begin_lsn, &job->cancelled, &job->err));
    return name_segments(f, &job->err);
}

/* --- publish: the owner ---------------------------------------------------------- */

static bool swap_manifest(struct flush *f)
{
    struct cell *cell = &f->db->cell;
    struct segment *add[N_LANES];
    struct tombstones *left = NULL;
    size_t n = 0;
    for (int lane = 0; lane < N_LANES; lane++)
        if (f->segment[lane]) add[n++] = f->segment[lane];
    /* What was written before the cut is in segments now: deletes up to f->del_gen can
     * hide nothing in memory any more. Keeping them is only a cost. */
    if (tombstones_trim(&left, cell->manifest->mem_deletes, f->del_gen + 1) != ST_OK)
        left = tombstones_ref(cell->manifest->mem_deletes);
    struct manifest_change change = {.add = add,
                                     .n_add = n,
                                     .deletes = cell->manifest->deletes,
                                     .mem_deletes = left};
    struct manifest *next = manifest_next(cell->manifest, &change);
    tombstones_unref(left);
    if (!next) return false;
    f->version = next->version;
    SYNC_POINT("flush:before-publish");
    atomic_store_explicit(&f->db->cell.marks.version[f->mark], next->version,
                          memory_order_release);
    struct manifest *old = cell->manifest;
    cell->manifest = next;
    manifest_unref(old);
    return true;
}

/* The catalog names the segments: there is no way back, so a lack of memory only means
 * that flush_step() comes by again. */
static void publish(struct flush *f)
{
    struct cell *cell = &f->db->cell;
    if (!swap_manifest(f)) return;
    f->db->catalog_busy = false;
    forget_deletes(f);
    cell->covered = f->begin_lsn;
    cell->wal_at_flush = f->begin_bytes;
    wal_release(cell->wal, f->begin_lsn);
    cell->stats.n_flushes++;
    cell->stats.n_flush_samples += f->n_samples;
    cell->stats.n_flush_bytes += f->n_bytes;
    cell->stats.flush_ns += (uint64_t)(clock_mono(f->db->ports.clock) - f->began);
    cell_job_done(cell, DB_JOB_FLUSH);
    log_info("flush", "segments published", "why=%s order=%llu series=%zu samples=%llu bytes=%llu",
             f->why, (unsigned long long)f->order, f->cuts.len, (unsigned long long)f->n_samples,
             (unsigned long long)f->n_bytes);
    f->phase = FLUSH_UNLINKING;
    flush_step(cell);
}

static void name_publish(struct job *job, status st)
{
    struct flush *f = container_of(job, struct flush, job);
    if (st != ST_OK) {
        fail_flush(f, st);
        return;
    }
    f->db->cell.n_catalogs++;
    f->phase = FLUSH_PUBLISHING;
    publish(f);
}

static const struct job_ops name_ops = {.name = "flush: name",
                                        .lane = JOB_MAINTENANCE,
                                        .run = name_run,
                                        .publish = name_publish};

static void plan_name(struct flush *f)
{
    struct cell *cell = &f->db->cell;
    if (f->db->catalog_busy) return; /* db_tick comes by again */
    /* Of those that came after end_lsn the log may not be durable: a power cut that kept
     * the record and not what the log had before it would not leave a prefix. */
    size_t n = 0;
    while (n < cell->pending_deletes.len && cell->pending_deletes.ptr[n].gen <= f->del_gen) n++;
    if (!vec_reserve(&f->deletes, n)) {
        fail_flush(f, ST_NO_MEMORY);
        return;
    }
    for (size_t i = 0; i < n; i++) (void)vec_push(&f->deletes, cell->pending_deletes.ptr[i]);
    f->reserve = cell->next_segment + SEGMENT_RESERVE;
    f->wall_high = cell->clock.high;
    f->phase = FLUSH_NAMING;
    f->db->catalog_busy = true;
    job_init(&f->job, &name_ops);
    exec_submit(db_exec(f->db), &f->job);
}

void flush_wal_moved(struct cell *cell)
{
    struct flush *f = cell->flush;
    if (!f || f->phase != FLUSH_SYNCING) return;
    bool enough = db_options(f->db)->wal_sync == DB_WAL_OFF || wal_synced(cell->wal) >= f->end_lsn;
    struct err err = {.st = ST_OK};
    if (enough) {
        plan_name(f);
    } else if (wal_failed(cell->wal, &err) != ST_OK) {
        f->job.err = err;
        fail_flush(f, ST_POISONED);
    }
}

static void write_publish(struct job *job, status st)
{
    struct flush *f = container_of(job, struct flush, job);
    if (st != ST_OK) {
        fail_flush(f, st);
        return;
    }
    f->phase = FLUSH_SYNCING;
    wal_want_sync(f->db->cell.wal);
    flush_wal_moved(&f->db->cell);
}

static const struct job_ops write_ops = {.name = "flush: write",
                                         .lane = JOB_MAINTENANCE,
                                         .run = write_run,
                                         .publish = write_publish};

static void plan_write(struct flush *f)
{
    struct cell *cell = &f->db->cell;
    if (f->abandoned) {
        fail_flush(f, ST_CANCELLED);
        return;
    }
    delete_finish(cell);
    f->end_lsn = wal_head(cell->wal);
    /* Between batches: whoever was born by now is defined up to here. Without syncs only
     * what the segments cover can be told from what a power cut took. */
    checkpoint_plan(&f->checkpoint, cell,
                    db_options(f->db)->wal_sync == DB_WAL_OFF ? f->begin_lsn : f->end_lsn);
    f->meta = meta_cut(f->db);
    f->del_gen = cell->del_gen;
    f->mem_deletes = tombstones_ref(cell->manifest->mem_deletes);
    f->manifest = cell->manifest;
    manifest_ref(f->manifest);
    for (int lane = 0; lane < N_LANES; lane++)
        f->segment_id[lane] = cell->next_segment++;
    f->phase = FLUSH_WRITING;
    job_init(&f->job, &write_ops);
    exec_submit(db_exec(f->db), &f->job);
}

/* --- unlink ---------------------------------------------------------------------- */

/* Cuts the taken nodes off the series' chain and retires them. */
static void unlink_series(struct flush *f, const struct cut *cut)
{
    struct cell *cell = &f->db->cell;
    struct head *head = cell_head(cell, cut->ordinal);
    struct node *node = word_node(head_root(head)), *above = NULL;
    if (head->gen != cut->gen) return; /* the series died: its nodes went with it */
    while (node && node_flush(node) != f->mark) {
        above = node;
        node = word_node(node_older(node));
    }
    if (!node) return;
    if (above) {
        atomic_store_explicit(&above->older, 0, memory_order_release);
    } else {
        head_touch(cell, head, cut->ordinal);
        atomic_store_explicit(&head->root, 0, memory_order_release);
    }
    while (node) {
        struct node *older = word_node(node_older(node));
        node_retire(node, &cell->retire);
        node = older;
    }
}

/* Heads and nodes are cold by now. */
static void prefetch_cut(const struct flush *f, size_t i)
{
    const struct cut *cuts = f->cuts.ptr;
    if (i >= HEAD_AHEAD)
        __builtin_prefetch(cell_head(&f->db->cell, cuts[i - HEAD_AHEAD].ordinal), 1);
    if (i >= NODE_AHEAD) __builtin_prefetch(word_node(cuts[i - NODE_AHEAD].root));
}

/* From the end, so that the list of cuts can be given back piece by piece: 40 MB at once
 * are milliseconds of the owner. */
/* Series that this flush left without a sample: what is touched from now on was not taken
 * by it. */
static void name_gone(struct flush *f)
{
    struct cell *cell = &f->db->cell;
    uint64_t epoch = atomic_fetch_add_explicit(&cell->retire.epoch, 1, memory_order_release) + 1;
    gone_add(cell, f->gone.ptr, f->gone.len, epoch);
}

static void unlink_step(struct flush *f)
{
    struct cell *cell = &f->db->cell;
    if (cell_oldest_version(cell) < f->version) return; /* view_unpin comes by again */
    for (size_t n = 0; n < UNLINK_SLICE && f->cuts.len; n++) {
        size_t i = --f->cuts.len;
        prefetch_cut(f, i);
        unlink_series(f, &f->cuts.ptr[i]);
    }
    if (f->cuts.len == 0) {
        name_gone(f);
        end_flush(f, ST_OK);
    } else if (f->cuts.cap - f->cuts.len >= CUTS_KEPT) {
        struct cut *less = mem_try_grow(f->cuts.ptr, f->cuts.len * sizeof(*less));
        if (!less) return;
        f->cuts.ptr = less;
        f->cuts.cap = f->cuts.len;
    }
}

static void cut_step(struct flush *f)
{
    const struct cell *cell = &f->db->cell;
    uint32_t end = f->next_ordinal + CUT_SLICE;
    if (end > f->end_ordinal) end = f->end_ordinal;
    for (; f->next_ordinal < end; f->next_ordinal++) {
        if (f->next_ordinal + NODE_AHEAD < end)
            __builtin_prefetch(
                word_node(head_root(cell_head(cell, f->next_ordinal + NODE_AHEAD))), 1);
        if (cut_series(f, f->next_ordinal)) continue;
        fail_flush(f, ST_NO_MEMORY);
        return;
    }
    if (f->next_ordinal == f->end_ordinal) plan_write(f);
}

void flush_step(struct cell *cell)
{
    struct flush *f = cell->flush;
    if (!f) return;
    switch (f->phase) {
    case FLUSH_CUTTING:
        if (write_idle(cell)) cut_step(f);
        return;
    case FLUSH_SYNCING: flush_wal_moved(cell); return;
    case FLUSH_PUBLISHING: publish(f); return;
    case FLUSH_UNLINKING: unlink_step(f); return;
    case FLUSH_WRITING:
    case FLUSH_NAMING: return;
    }
}

bool flush_waits_for_views(const struct cell *cell)
{
    const struct flush *f = cell->flush;
    return f && f->phase == FLUSH_UNLINKING && cell_oldest_version(cell) < f->version;
}

size_t flush_list_bytes(const struct cell *cell)
{
    const struct flush *f = cell->flush;
    return f ? f->cuts.cap * sizeof(f->cuts.ptr[0]) : 0;
}

uint64_t flush_wal_bytes(const struct cell *cell)
{
    struct wal_stats stats;
    wal_stats(cell->wal, &stats);
    return stats.n_bytes + stats.buffered_bytes;
}

/* A number that no node has; 0 while views hold back what 255 flushes took. */
static uint8_t take_mark(struct flush_marks *marks)
{
    for (unsigned i = 1; i < FLUSH_MARKS; i++) {
        if (marks->taken[i]) continue;
        marks->taken[i] = true;
        atomic_store_explicit(&marks->version[i], UINT64_MAX, memory_order_relaxed);
        return (uint8_t)i;
    }
    return 0;
}

bool flush_begin(struct cell *cell, const char *why)
{
    struct db *db = cell->db;
    bool news = cell->n_unflushed || checkpoint_due(cell) ||
                cell->covered < wal_head(cell->wal);
    if (cell->flush || !news || cell->closed) return false;
    uint8_t mark = take_mark(&cell->marks);
    if (!mark) return false;

    struct flush *f = mem_zalloc(sizeof(*f));
    f->mark = mark;
    f->db = db;
    f->why = why;
    f->order = ++cell->flush_order;
    f->end_ordinal = (uint32_t)segvec_len(&cell->heads);
    /* All at once: growing step by step would copy megabytes on the owner. Without the
     * memory now, cut_series() tries for less and tells. */
    (void)vec_reserve(&f->cuts, f->end_ordinal);
    f->begin_lsn = wal_head(cell->wal);
    f->begin_bytes = flush_wal_bytes(cell);
    f->began = clock_mono(db->ports.clock);
    cell->n_unflushed = cell->n_unflushed_meta = 0;
    cell->flush = f;
    return true;
}

void flush_abandon(struct cell *cell)
{
    struct flush *f = cell->flush;
    if (!f || f->abandoned) return;
    log_warn("flush", "abandoned: the deadline has passed; the WAL covers it", "order=%llu",
             (unsigned long long)f->order);
    f->abandoned = true;
    if (f->phase == FLUSH_WRITING) job_cancel(&f->job);
}
