/* Deletes in slices. See delete_many.h.
 *
 * While a run is open (cell->delete_open) its records hide samples that a crash would
 * bring back: no view is pinned and no snapshot taken, and a flush or a compaction, which
 * would store what they hide for good, ends the run first (delete_finish()).
 */
#include "engine/delete_many.h"

#include <sched.h>

#include "base/mem.h"
#include "base/vec.h"
#include "engine/db_priv.h"
#include "engine/delete.h"
#include "engine/starts.h"
#include "engine/view_priv.h"
#include "engine/wal_payload.h"

enum {
    DELETE_SLICE = 1024, /* series: some 200 us */
    DROP_SLICE = 256,    /* keys */
};

static void end(struct cell *cell, struct delete_op *op, status st)
{
    list_remove(&op->link);
    op->st = st;
    db_step_wal(cell->db);
    op->done(op);
}

static status fail(struct cell *cell, struct delete_op *op, status st)
{
    end(cell, op, st);
    return ST_OK;
}

static size_t slice_len(const struct cell *cell, const struct delete_op *op)
{
    size_t max = delete_ids_a_frame(cell) / 2, left = op->n - op->n_hidden; /* companions */
    if (max > DELETE_SLICE) max = DELETE_SLICE;
    return left < max ? left : max;
}

/* What speaks against the delete as a whole. */
static status admit(struct cell *cell, struct delete_op *op)
{
    TRY(db_refusing(cell->db, &op->err));
    size_t n_slices = op->n / slice_len(cell, op) + 1;
    if (cell->del_gen + n_slices >= NODE_DEL_GEN_MAX)
        return err_set(&op->err, ST_LIMIT, "too many deletes");
    return ST_OK;
}

/* --- hide ---------------------------------------------------------------------------- */

/* The next n series and their companions are hidden, and the log knows. */
static status hide_all(struct cell *cell, struct delete_op *op, size_t n, bool last)
{
    size_t n_all;
    uint64_t *ids = starts_with_companions(cell, op->ids + op->n_hidden, n, &n_all);
    if (!ids) return err_set(&op->err, ST_NO_MEMORY, "delete of %zu series", n);
    status st = delete_apply(cell, ids, n_all, op->range, cell->flush_order, &op->err);
    if (st == ST_OK) {
        if (!last && op->n_hidden == 0) op->run = cell->next_run++;
        op->at = delete_log(cell, ids, n_all, op->range, op->run, last);
    }
    mem_free(ids);
    return st;
}

/* ST_AGAIN: it must wait. */
static status hide_slice(struct cell *cell, struct delete_op *op)
{
    size_t n = slice_len(cell, op);
    bool last = op->n_hidden + n == op->n;
    if (op->n_hidden == 0) {
        status st = admit(cell, op);
        if (st != ST_OK) return fail(cell, op, st);
    }
    if (wal_failed(cell->wal, &op->err) != ST_OK) {
        cell->delete_open = false;
        return fail(cell, op, ST_POISONED);
    }
    if (wal_room(cell->wal) < delete_room(cell, 2 * n)) return ST_AGAIN;
    if (!write_idle(cell)) write_finish_batch(cell);
    status st = hide_all(cell, op, n, last);
    if (st != ST_OK && op->n_hidden == 0) return fail(cell, op, st);
    if (st != ST_OK) return ST_AGAIN; /* no memory now; what was begun must end */
    op->n_hidden += n;
    cell->delete_open = !last;
    if (last && write_idle(cell)) view_serve_pins(cell);
    if (last && !op->drop_keys) end(cell, op, ST_OK);
    return ST_OK;
}

/* --- drop ---------------------------------------------------------------------------- */

/* Up to DROP_SLICE of the keys that are still there, from op->n_dropped on. */
static size_t pick_keys(struct cell *cell, struct delete_op *op, series_id *ids, uint32_t *ordinals)
{
    size_t n = 0, looked = 0;
    for (; op->n_dropped < op->n && n < DROP_SLICE && looked < 4 * DROP_SLICE; looked++) {
        series_id id = op->ids[op->n_dropped++];
        uint32_t ordinal = registry_by_id(cell->registry, id);
        if (ordinal == ORDINAL_NONE || !(cell_head(cell, ordinal)->flags & HEAD_KEYED)) continue;
        ids[n] = id;
        ordinals[n++] = ordinal;
    }
    return n;
}

static status drop_slice(struct cell *cell, struct delete_op *op)
{
    series_id ids[DROP_SLICE];
    uint32_t ordinals[DROP_SLICE];
    status st = db_refusing(cell->db, &op->err);
    if (st != ST_OK) return fail(cell, op, st);
    if (!cell_may_rename(cell)) return ST_AGAIN;
    if (wal_room(cell->wal) < delete_room(cell, DROP_SLICE)) return ST_AGAIN;
    if (!write_idle(cell)) write_finish_batch(cell);
    if (!cell_may_rename(cell)) return ST_AGAIN;

    size_t n = pick_keys(cell, op, ids, ordinals);
    if (n) {
        uint8_t *dst = wal_begin(cell->wal, WAL_REMOVE_BYTES * (n + 1));
        ASSERT(dst); /* there was room */
        op->at = wal_end(cell->wal, WAL_REMOVE, WAL_COMMIT, 0, wal_remove_put(dst, ids, n));
        wal_publish(cell->wal);
    }
    for (size_t i = 0; i < n; i++) {
        /* An encode job that has it finds nothing to put in its place. */
        cell_head(cell, ordinals[i])->flags &= (uint8_t)~HEAD_QUEUED;
        bool gone = cell_remove_series(cell, ordinals[i]);
        ASSERT(gone);
    }
    if (n) encode_forget_dead(cell);
    if (op->n_dropped == op->n) end(cell, op, ST_OK);
    return ST_OK;
}

/* --- steps --------------------------------------------------------------------------- */

static struct delete_op *first(const struct cell *cell)
{
    if (list_empty(&cell->delete_ops)) return NULL;
    return container_of(cell->delete_ops.next, struct delete_op, link);
}

static status slice(struct cell *cell, struct delete_op *op)
{
    return op->n_hidden < op->n ? hide_slice(cell, op) : drop_slice(cell, op);
}

static void step_task(struct task *task)
{
    struct cell *cell = container_of(task, struct cell, delete_task);
    cell->delete_posted = false;
    delete_step(cell);
}

void delete_step(struct cell *cell)
{
    mono_ns start = clock_mono(db_clock(cell->db));
    struct delete_op *op;
    if (cell->deleting) return; /* done() led here */
    cell->deleting = true;
    while ((op = first(cell)) && slice(cell, op) == ST_OK) {
        if (clock_mono(db_clock(cell->db)) - start < OWNER_STEP_NS) continue;
        if (first(cell) && !cell->delete_posted) {
            cell->delete_posted = true;
            cell->delete_task.fn = step_task;
            exec_to_owner(db_exec(cell->db), &cell->delete_task);
        }
        break;
    }
    db_step_wal(cell->db);
    cell->deleting = false;
}

void delete_finish(struct cell *cell)
{
    while (cell->delete_open) {
        if (hide_slice(cell, first(cell)) == ST_OK) continue;
        db_step_wal(cell->db);
        sched_yield(); /* the WAL thread makes room */
    }
}

void delete_close(struct cell *cell)
{
    struct delete_op *op;
    delete_finish(cell);
    while ((op = first(cell))) {
        (void)err_set(&op->err, ST_CLOSED, "the database is closing");
        end(cell, op, ST_CLOSED);
    }
}

void db_delete_many(struct db *db, struct delete_op *op)
{
    struct cell *cell = db_cell(db);
    op->st = ST_OK;
    op->err = (struct err){.st = ST_OK};
    op->at = wal_head(cell->wal);
    op->n_hidden = op->n_dropped = 0;
    op->run = 0;
    list_push(&cell->delete_ops, &op->link);
    if (op->n == 0 || range_empty(op->range)) {
        end(cell, op, ST_OK);
        return;
    }
    if (cell->closing) {
        (void)err_set(&op->err, ST_CLOSED, "the database is closing");
        end(cell, op, ST_CLOSED);
        return;
    }
    delete_step(cell);
}
