/* Deferred batches: a row's policy needs an older value that the head line does not hold
 * (write_survey.c). A worker looks all of them up under one view; then the batch comes
 * before the others again, and is applied if nobody has touched those series since the
 * view's pin. Later batches go on meanwhile; nothing of this one is applied before all of
 * it can be.
 *
 * Writers that are always faster cannot keep a batch from its turn: after HOLD_ROUNDS it
 * holds the series it looks at. A batch that would write to a held series waits until
 * they are let go, one batch holds at a time, and nobody who holds waits for anything but
 * a look-up. What is left to disturb it (deletes, nodes that are encoded) is rare, so
 * that ROUNDS_MAX is a limit and not a policy.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "engine/view_priv.h"
#include "engine/write_priv.h"

enum { HOLD_ROUNDS = 3, ROUNDS_MAX = 64 };

struct defer_job {
    struct job job;
    struct cell *cell;
    struct batch *batch;
    struct write_state *state;   /* the job's alone while the batch waits for it */
    VEC(struct captured) series; /* ascending, unique */
    size_t charged;
    struct epoch_hold hold;      /* no ordinal of a look-up is used anew meanwhile */
};

/* --- the worker ---------------------------------------------------------------------- */

static int by_ordinal(const void *a, const void *b)
{
    const struct captured *x = a, *y = b;
    return x->ordinal < y->ordinal ? -1 : x->ordinal > y->ordinal;
}

/* The distinct series of the rows, captured. */
static status capture_all(struct defer_job *job, struct view *view)
{
    struct write_state *state = job->state;
    job->series.len = 0;
    for (size_t i = 0; i < state->lookups.len; i++)
        if (!vec_push(&job->series, (struct captured){.ordinal = state->lookups.ptr[i].ordinal}))
            return ST_NO_MEMORY;
    qsort(job->series.ptr, job->series.len, sizeof(job->series.ptr[0]), by_ordinal);
    size_t n = 0;
    for (size_t i = 0; i < job->series.len; i++)
        if (n == 0 || job->series.ptr[n - 1].ordinal != job->series.ptr[i].ordinal)
            job->series.ptr[n++] = job->series.ptr[i];
    job->series.len = n;
    return view_capture(view, job->series.ptr, n, &job->job.err);
}

static status look_up(struct defer_job *job, struct view *view, struct lookup *lookup,
                      struct arena *arena)
{
    const struct batch *batch = job->batch;
    struct captured key = {.ordinal = lookup->ordinal};
    struct points pts = {0};
    struct point last;
    const struct captured *at =
        bsearch(&key, job->series.ptr, job->series.len, sizeof(key), by_ordinal);
    ASSERT(at);
    struct time_range when = {lookup->ts, lookup->ts};
    status st = view_read(view, at, when, &pts, arena, &job->job.err);
    lookup->value = (struct older_value){.known = true, .found = pts.n > 0};
    if (st == ST_OK && pts.n) {
        enum value_type type = batch->series[batch->row_series[lookup->row]].type;
        lookup->value.bits = pts.val[0].bits;
        lookup->value.same = write_same_blob(type, pts.val[0], batch->val[lookup->row]);
    }
    points_release(&pts);
    if (st != ST_OK) return st;

    st = view_last(view, at, (struct time_range){TS_MIN, TS_MAX}, &last,
                   &lookup->value.has_last, arena, &job->job.err);
    if (lookup->value.has_last) {
        lookup->value.last_ts = last.ts;
        lookup->value.last_bits = last.val.bits;
    }
    arena_reset(arena);
    return st;
}

static status defer_run(struct job *base)
{
    struct defer_job *job = container_of(base, struct defer_job, job);
    struct write_state *state = job->state;
    struct db *db = job->cell->db;
    struct view *view;
    struct arena arena;
    TRY(db_pin(db, &view, &base->err));
    state->epoch = view->hold.epoch;
    arena_init(&arena, NULL, 4096);
    status st = capture_all(job, view);
    for (size_t i = 0; i < state->lookups.len && st == ST_OK; i++)
        st = look_up(job, view, &state->lookups.ptr[i], &arena);
    arena_release(&arena);
    db_unpin(db, view);
    return st;
}

/* --- the owner ------------------------------------------------------------------------ */

void write_requeue(struct cell *cell, struct batch *batch)
{
    struct list *before = &cell->inbox;
    if (!write_idle(cell)) before = before->next;
    struct list *after = before->next;
    batch->link.prev = before;
    batch->link.next = after;
    before->next = &batch->link;
    after->prev = &batch->link;
    write_wake(cell);
}

static void free_job(struct defer_job *job)
{
    account_release(&job->cell->account, job->charged);
    vec_release(&job->series);
    mem_free(job);
}

static void defer_publish(struct job *base, status st)
{
    struct defer_job *job = container_of(base, struct defer_job, job);
    struct cell *cell = job->cell;
    struct batch *batch = job->batch;
    struct write_state *state = job->state;

    list_remove(&batch->link);
    cell_unhold(&job->hold);
    /* The view's journal was lost, or it held back too much memory: nothing is known. */
    if (st == ST_AGAIN || st == ST_LIMIT) {
        vec_clear(&state->lookups);
    } else if (st != ST_OK) { /* what cannot be told is refused, the others are applied */
        for (size_t i = 0; i < state->lookups.len; i++)
            batch->result[state->lookups.ptr[i].row] = (uint8_t)st;
        if (!batch->err.text[0]) batch->err = base->err;
        vec_clear(&state->lookups);
    }
    free_job(job);
    write_requeue(cell, batch);
}

static const struct job_ops defer_ops = {
    .name = "deferred write", .lane = JOB_QUERY, .run = defer_run, .publish = defer_publish};

bool write_is_held(struct cell *cell, struct batch *batch)
{
    if (!cell->holder || cell->holder == batch) return false;
    for (size_t i = 0; i < batch->n_series; i++) {
        struct batch_series *series = &batch->series[i];
        if (series->st != ST_OK || !write_find(cell, series)) continue;
        if (cell_head(cell, series->ordinal)->flags & HEAD_HELD) return true;
    }
    return false;
}

void write_let_go(struct cell *cell, struct batch *batch)
{
    struct write_state *state = write_state(batch);
    struct list *at;
    if (cell->holder != batch) return;
    for (size_t i = 0; i < state->held.len; i++)
        cell_head(cell, state->held.ptr[i])->flags &= (uint8_t)~HEAD_HELD;
    cell->holder = NULL;
    /* The last of them first: each goes before those that wait. */
    while (!list_empty(&cell->held_back)) {
        at = cell->held_back.prev;
        list_remove(at);
        write_requeue(cell, container_of(at, struct batch, link));
    }
}

/* Keeps others from the series of the look-ups. False: somebody else does so now. */
static bool hold(struct cell *cell, struct batch *batch)
{
    struct write_state *state = write_state(batch);
    if (cell->holder && cell->holder != batch) return false;
    cell->holder = batch;
    for (size_t i = 0; i < state->lookups.len; i++) {
        struct head *head = cell_head(cell, state->lookups.ptr[i].ordinal);
        if (head->flags & HEAD_HELD) continue;
        if (!vec_push(&state->held, state->lookups.ptr[i].ordinal)) continue; /* in vain then */
        head->flags |= HEAD_HELD;
    }
    return true;
}

/* The needs of the survey become look-ups. */
static bool list_lookups(struct batch *batch)
{
    struct write_state *state = write_state(batch);
    vec_clear(&state->lookups);
    if (!vec_reserve(&state->lookups, state->needs.len)) return false;
    for (size_t i = 0; i < state->needs.len; i++) {
        uint32_t idx = state->needs.ptr[i];
        const struct batch_series *series = &batch->series[batch->row_series[idx]];
        struct lookup lookup = {.row = idx,
                                .ordinal = series->ordinal,
                                .gen = series->gen,
                                .ts = batch->ts[idx]};
        (void)vec_push(&state->lookups, lookup); /* reserved */
    }
    return true;
}

void write_defer(struct cell *cell, struct batch *batch)
{
    struct write_state *state = write_state(batch);
    size_t bytes = state->needs.len * (sizeof(struct lookup) + sizeof(struct captured));
    cell->stats.n_rows_deferred += state->n_rounds == 0 ? state->needs.len : 0;
    status st = ++state->n_rounds > ROUNDS_MAX ? ST_OVERLOAD : ST_OK;
    if (st == ST_OK && (!list_lookups(batch) || !account_charge(&cell->account, bytes)))
        st = ST_NO_MEMORY;
    if (st != ST_OK) {
        write_refuse(batch, st);
        write_finish(cell, batch);
        return;
    }
    if (state->n_rounds > HOLD_ROUNDS && !hold(cell, batch)) {
        state->n_rounds--; /* it does not count: the holder goes first */
        account_release(&cell->account, bytes);
        list_push(&cell->held_back, &batch->link);
        return;
    }
    struct defer_job *job = mem_zalloc(sizeof(*job));
    job_init(&job->job, &defer_ops);
    job->cell = cell;
    job->batch = batch;
    job->state = state;
    job->charged = bytes;
    list_push(&cell->deferred, &batch->link);
    cell_hold(cell, &job->hold);
    exec_submit(db_exec(cell->db), &job->job);
}
