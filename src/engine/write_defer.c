/* Deferred writes: rows whose policy needs an older value that the head line does not
 * hold. A worker looks it up under a view; the owner applies the row if the series was
 * not touched since the view's pin, and looks again otherwise. Later batches go on
 * meanwhile; the batch is answered when its last row is settled.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "engine/view_priv.h"
#include "engine/write_priv.h"
#include "model/histogram.h"

enum { ROUNDS_MAX = 16 }; /* then the row is refused as overload: somebody writes faster */

struct lookup {
    uint32_t row;
    ts_time ts;
    struct captured series;
    struct older_value value;
    bool stale;                /* the series was touched since the pin */
};

struct defer_job {
    struct job job;
    struct cell *cell;
    struct batch *batch;
    uint64_t epoch;            /* of the view that was read */
    VEC(struct lookup) lookups;
    VEC(struct captured) series; /* ascending, unique */
};

static int by_ordinal(const void *a, const void *b)
{
    const struct captured *x = a, *y = b;
    return x->ordinal < y->ordinal ? -1 : x->ordinal > y->ordinal;
}

/* Rows of one timestamp keep the order in which they came. */
static int by_series_and_time(const void *a, const void *b)
{
    const struct lookup *x = a, *y = b;
    if (x->series.ordinal != y->series.ordinal)
        return x->series.ordinal < y->series.ordinal ? -1 : 1;
    if (x->ts != y->ts) return x->ts < y->ts ? -1 : 1;
    return x->row < y->row ? -1 : x->row > y->row;
}

/* The distinct series of the rows, captured. */
static status capture_all(struct defer_job *job, struct view *view)
{
    job->series.len = 0;
    for (size_t i = 0; i < job->lookups.len; i++)
        if (!vec_push(&job->series, job->lookups.ptr[i].series)) return ST_NO_MEMORY;
    qsort(job->series.ptr, job->series.len, sizeof(job->series.ptr[0]), by_ordinal);
    size_t n = 0;
    for (size_t i = 0; i < job->series.len; i++)
        if (n == 0 || job->series.ptr[n - 1].ordinal != job->series.ptr[i].ordinal)
            job->series.ptr[n++] = job->series.ptr[i];
    job->series.len = n;
    return view_capture(view, job->series.ptr, n, &job->job.err);
}

/* Whether a stored value of bytes or a histogram is the one of the row. */
static bool same_blob(const struct defer_job *job, uint32_t row, union value old)
{
    const struct batch *batch = job->batch;
    union value now = batch->val[row];
    enum value_type type = batch->series[batch->row_series[row]].type;
    if (type == VALUE_BYTES) return slice_eq(*old.bytes, *now.bytes);
    return type == VALUE_HISTOGRAM && histogram_eq(old.hist, now.hist);
}

static status look_up(struct defer_job *job, struct view *view, struct lookup *lookup,
                      struct arena *arena)
{
    ts_time ts = lookup->ts;
    struct points pts = {0};
    struct point last;
    const struct captured *at =
        bsearch(&lookup->series, job->series.ptr, job->series.len, sizeof(*at), by_ordinal);
    ASSERT(at);
    status st = view_read(view, at, (struct time_range){ts, ts}, &pts, arena, &job->job.err);
    lookup->value = (struct older_value){.known = true, .found = pts.n > 0};
    if (st == ST_OK && pts.n) {
        lookup->value.bits = pts.val[0].bits;
        lookup->value.same = same_blob(job, lookup->row, pts.val[0]);
    }
    points_release(&pts);
    if (st != ST_OK) return st;

    st = view_last(view, at, (struct time_range){TS_MIN, TS_MAX}, &last,
                   &lookup->value.has_last, arena, &job->job.err);
    if (lookup->value.has_last) {
        lookup->value.last_ts = last.ts;
        lookup->value.last_bits = last.val.bits;
    }
    return st;
}

static status defer_run(struct job *base)
{
    struct defer_job *job = container_of(base, struct defer_job, job);
    struct db *db = job->cell->db;
    struct view *view;
    struct arena arena;
    TRY(db_pin(db, &view, &base->err));
    job->epoch = view->hold.epoch;
    arena_init(&arena, NULL, 4096);
    status st = capture_all(job, view);
    for (size_t i = 0; i < job->lookups.len && st == ST_OK; i++)
        st = look_up(job, view, &job->lookups.ptr[i], &arena);
    arena_release(&arena);
    db_unpin(db, view);
    return st;
}

static void refuse_deferred(struct defer_job *job, status st)
{
    for (size_t i = 0; i < job->lookups.len; i++)
        job->batch->result[job->lookups.ptr[i].row] = (uint8_t)st;
}

/* One settled row is a slice of its own: simple, and these are rare. False when the WAL
 * has no room now. *stored tells what the sample at this timestamp is from now on. */
static bool settle_row(struct defer_job *job, const struct lookup *lookup,
                       struct older_value *stored)
{
    struct cell *cell = job->cell;
    struct batch *batch = job->batch;
    struct write_slice *slice = cell->slice;
    struct slice_row row;
    if (!write_has_room(cell, 0, write_row_bytes(batch, lookup->row))) return false;
    if (head_reserve(cell, 1) != ST_OK) {
        batch->result[lookup->row] = ST_NO_MEMORY;
        return true;
    }
    slice->n_rows = slice->n_made = slice->made_bytes = slice->row_bytes = 0;
    enum write_verdict verdict = write_decide(cell, batch, lookup->row, &lookup->value, &row);
    ASSERT(verdict != VERDICT_DEFER);
    if (verdict != VERDICT_STORE) return true;
    write_apply(cell, slice, &row);
    write_state(batch)->run = 0; /* each stands alone in the WAL */
    write_commit(cell, batch, slice, true);
    wal_publish(cell->wal);
    stored->found = true;
    stored->bits = row.wal.bits;
    return true;
}

static void free_job(struct defer_job *job)
{
    vec_release(&job->lookups);
    vec_release(&job->series);
    mem_free(job);
}

static void learn_last(struct cell *cell, const struct lookup *lookup)
{
    struct head *head = cell_head(cell, lookup->series.ordinal);
    if (!(head->flags & HEAD_UNKNOWN)) return;
    head->flags &= (uint8_t)~HEAD_UNKNOWN;
    if (!lookup->value.has_last) return;
    if ((head->flags & HEAD_HAS_LAST) && head->last_ts >= lookup->value.last_ts) return;
    head->flags |= HEAD_HAS_LAST;
    head->last_ts = lookup->value.last_ts;
    head->last_bits = lookup->value.last_bits;
}

static void defer_publish(struct job *base, status st)
{
    struct defer_job *job = container_of(base, struct defer_job, job);
    struct cell *cell = job->cell;
    struct batch *batch = job->batch;
    struct write_state *state = write_state(batch);

    list_remove(&batch->link);
    state->deferred.len = 0;
    if (st != ST_OK && st != ST_AGAIN) {
        refuse_deferred(job, st);
        job->lookups.len = 0;
    }
    for (size_t i = 0; i < job->lookups.len; i++) {
        struct lookup *at = &job->lookups.ptr[i];
        at->stale = st == ST_AGAIN ||
                    cell_head(cell, at->series.ordinal)->touched > job->epoch;
    }
    for (size_t i = 0; i < job->lookups.len; i++) {
        struct lookup *at = &job->lookups.ptr[i];
        if (!at->stale) learn_last(cell, at);
        if (!at->stale && settle_row(job, at, &at->value)) {
            /* Rows are sorted: the next may have the same timestamp. */
            struct lookup *next = i + 1 < job->lookups.len ? at + 1 : NULL;
            if (next && next->series.ordinal == at->series.ordinal && next->ts == at->ts) {
                next->value.found = at->value.found;
                next->value.bits = at->value.bits;
                uint8_t type = cell_head(cell, at->series.ordinal)->type;
                if (type_is_blob(type)) next->stale = true; /* compared by a look-up only */
            }
            continue;
        }
        bool again = state->n_rounds < ROUNDS_MAX && vec_push(&state->deferred, at->row);
        if (!again) batch->result[at->row] = ST_OVERLOAD;
    }
    free_job(job);
    if (state->deferred.len)
        write_defer(cell, batch);
    else
        write_finish(cell, batch);
}

static const struct job_ops defer_ops = {
    .name = "deferred write", .lane = JOB_QUERY, .run = defer_run, .publish = defer_publish};

void write_defer(struct cell *cell, struct batch *batch)
{
    struct write_state *state = write_state(batch);
    struct defer_job *job = mem_zalloc(sizeof(*job));
    job_init(&job->job, &defer_ops);
    job->cell = cell;
    job->batch = batch;
    cell->stats.n_rows_deferred += state->n_rounds == 0 ? state->deferred.len : 0;
    state->n_rounds++;
    list_push(&cell->deferred, &batch->link);
    for (size_t i = 0; i < state->deferred.len; i++) {
        uint32_t idx = state->deferred.ptr[i];
        const struct batch_series *series = &batch->series[batch->row_series[idx]];
        struct lookup lookup = {
            .row = idx, .ts = batch->ts[idx], .series = {.ordinal = series->ordinal}};
        if (!vec_push(&job->lookups, lookup)) batch->result[idx] = ST_NO_MEMORY;
    }
    if (job->lookups.len == 0) { /* no memory for a single one */
        list_remove(&batch->link);
        free_job(job);
        write_finish(cell, batch);
        return;
    }
    qsort(job->lookups.ptr, job->lookups.len, sizeof(job->lookups.ptr[0]), by_series_and_time);
    exec_submit(db_exec(cell->db), &job->job);
}
