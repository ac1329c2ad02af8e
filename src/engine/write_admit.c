/* Admit: may this batch be applied at all, now, or only in part? Decided once for a batch,
 * before anything of it is done, with the most that it can need: so that nothing runs out
 * half way. See budget.h for the policy of memory. */
#include "engine/budget.h"
#include "engine/db_priv.h"
#include "engine/write_priv.h"

enum {
    ROW_BYTES = 32,     /* of a slot with its time, twice: tails and lanes grow by copy */
    TAIL_BYTES = 128,   /* of a first small tail, with its place in a span */
    SERIES_BYTES = 512, /* of head, entry, places in posting lists and tables */
};

/* The state of log, disk and background work. */
static status admit_state(struct cell *cell, struct batch *batch)
{
    const struct db_options *opt = db_options(cell->db);
    struct err *err = &batch->err;
    if (wal_failed(cell->wal, err) != ST_OK) return ST_POISONED;
    if (cell->closing) return err_set(err, ST_CLOSED, "the database is closing");
    if (cell->refuse != ST_OK)
        return err_set(err, cell->refuse, "writes are refused: %s", cell->refuse_err.text);
    if (!wal_space_ok(cell->wal))
        return err_set(err, ST_NO_SPACE, "disk full: the next WAL file cannot be allocated");
    if (wal_bytes(cell->wal) < opt->wal_size_limit) return ST_OK;
    (void)flush_begin(cell, "wal-size-limit");
    return err_set(err, ST_OVERLOAD, "the WAL holds %llu bytes, the limit is %llu",
                   (unsigned long long)wal_bytes(cell->wal),
                   (unsigned long long)opt->wal_size_limit);
}

static bool has_companion(const struct cell *cell, const struct batch_series *series)
{
    return series->ordinal < segvec_len(&cell->heads) && cell_head(cell, series->ordinal)->started;
}

static void measure_need(const struct cell *cell, const struct batch *batch, struct budget *now)
{
    bool blobs = false;
    now->need_rows = (uint64_t)batch->n_rows * ROW_BYTES + (uint64_t)batch->n_series * TAIL_BYTES;
    for (size_t i = 0; i < batch->n_series; i++) {
        const struct batch_series *series = &batch->series[i];
        if (type_is_blob(series->type)) blobs = true;
        if (series->ordinal != ORDINAL_NONE || series->make == MAKE_NEVER) continue;
        now->need_series += SERIES_BYTES + 2 * (uint64_t)batch_name_of(series)->identity.len;
    }
    if (blobs) now->need_rows += batch_bytes(batch);
    now->need_rows += (uint64_t)batch->n_starts * ROW_BYTES;
    for (size_t i = 0; i < batch->n_starts; i++)
        if (!has_companion(cell, &batch->series[batch->row_series[batch->starts[i].row]]))
            now->need_series += TAIL_BYTES + SERIES_BYTES;
}

static status refuse_memory(struct batch *batch, const struct budget *now)
{
    return err_set(&batch->err, ST_NO_MEMORY,
                   "%llu bytes are in use and %llu wanted, memory-limit is %llu",
                   (unsigned long long)now->used,
                   (unsigned long long)(now->need_rows + now->need_series),
                   (unsigned long long)now->limit);
}

/* False: wait. */
static bool admit_memory(struct cell *cell, struct batch *batch, status *st)
{
    const struct db_options *opt = db_options(cell->db);
    struct write_state *state = write_state(batch);
    mono_ns at = clock_mono(db_clock(cell->db));
    struct budget now = {.limit = opt->memory_limit,
                         .used = cell_memory_used(cell),
                         .samples = account_used(&cell->account),
                         .short_ms = cell->short_since ? (at - cell->short_since) / 1000000 : 0,
                         .timeout_ms = opt->write_timeout_ms,
                         .flushing = cell->flush != NULL};
    *st = ST_OK;
    if (now.used < now.limit / 2 && batch_bytes(batch) < now.limit / 16) {
        cell->short_since = 0;
        return true;
    }
    measure_need(cell, batch, &now);
    enum budget_verdict verdict = budget_decide(&now);
    if (verdict == BUDGET_WAIT) {
        if (!cell->short_since) cell->short_since = at;
        if (!state->waited) cell->stats.n_memory_waits++;
        state->waited = cell->memory_asked = true;
        cell->next_look = 0; /* the owner's next tick looks after it */
        return false;
    }
    if (verdict == BUDGET_REFUSE) {
        cell->memory_asked = cell->n_unflushed > 0;
        cell->next_look = 0;
        *st = refuse_memory(batch, &now);
        return true;
    }
    cell->short_since = 0;
    state->known_only = verdict == BUDGET_KNOWN_ONLY;
    return true;
}

bool write_admit(struct cell *cell, struct batch *batch, status *st)
{
    *st = admit_state(cell, batch);
    if (*st != ST_OK || !db_options(cell->db)->memory_limit) return true;
    return admit_memory(cell, batch, st);
}
