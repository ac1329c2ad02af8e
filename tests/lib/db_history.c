/* Random histories. See db_history.h. */
#include "tests/lib/db_history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/panic.h"

enum { STEP_MS = 15000, ROWS_MAX = 200 };

static const ts_time history_start = 1767225600000;

void db_history_init(struct db_history *history, uint64_t seed)
{
    memset(history, 0, sizeof(*history));
    rng_init(&history->rng, seed);
    history->restarts = 25;
    for (int i = 0; i < HISTORY_SERIES; i++) history->now[i] = history_start;
}

void db_history_release(struct db_history *history)
{
    for (size_t i = 0; i < history->n; i++) free(history->ops[i].rows);
    free(history->ops);
    memset(history, 0, sizeof(*history));
}

const char *db_history_name(uint32_t series)
{
    static char text[HISTORY_SERIES][32];
    snprintf(text[series], sizeof(text[series]), "h{s=\"%u\"}", series);
    return text[series];
}

static struct history_op *add_op(struct db_history *h)
{
    if (h->n == h->cap) {
        h->cap = h->cap ? h->cap * 2 : 64;
        h->ops = realloc(h->ops, h->cap * sizeof(*h->ops));
        ASSERT(h->ops);
    }
    struct history_op *op = &h->ops[h->n++];
    *op = (struct history_op){.n_rows = 0};
    return op;
}

static void engine(const struct db_history *h, bool begins)
{
    if (h->around) h->around(h->around_ctx, begins);
}

/* --- one operation ---------------------------------------------------------------- */

/* A time for the next sample of a series: nearly always behind the last one. Some series
 * are steady, some jitter, one is wild. */
static ts_time next_time(struct db_history *h, uint32_t series)
{
    uint64_t dice = rng_below(&h->rng, 100);
    ts_time now = h->now[series];
    if (dice < 8) return now - (ts_time)rng_below(&h->rng, 60) * STEP_MS;
    if (dice < 10) return now - (ts_time)rng_below(&h->rng, 2000) * STEP_MS;
    ts_time step = STEP_MS;
    if (series % 4 == 1) step += (ts_time)rng_below(&h->rng, 20) - 10;
    if (series % 4 == 2 && dice < 20) step += (ts_time)rng_below(&h->rng, 1000000);
    return h->now[series] = now + step;
}

static void fill(struct db_history *h, struct history_op *op, struct batch *batch)
{
    uint32_t n_series = 1 + (uint32_t)rng_below(&h->rng, 5);
    uint32_t first = (uint32_t)rng_below(&h->rng, HISTORY_SERIES);
    size_t n_rows = 1 + rng_below(&h->rng, rng_below(&h->rng, 4) ? 20 : ROWS_MAX);
    op->rows = calloc(n_rows * n_series, sizeof(*op->rows));
    ASSERT(op->rows);
    for (uint32_t i = 0; i < n_series; i++) {
        uint32_t series = (first + i) % HISTORY_SERIES;
        int64_t idx = db_rig_add_series(batch, db_history_name(series));
        for (size_t k = 0; k < n_rows; k++) {
            struct history_row row = {series, next_time(h, series),
                                      f64_bits((double)rng_below(&h->rng, 1000) / 8)};
            op->rows[op->n_rows++] = row;
            ASSERT(batch_add_row(batch, (size_t)idx, row.ts, (union value){.bits = row.bits}, 0));
        }
        batch->series[idx].first_row = (uint32_t)(i * n_rows);
        batch->series[idx].n_rows = (uint32_t)n_rows;
    }
}

static void put(struct db_history *h, struct db_rig *rig)
{
    struct history_op *op = add_op(h);
    struct batch *batch = db_rig_batch(NULL);
    bool done = false;
    fill(h, op, batch);
    batch->done = db_rig_done;
    batch->ctx = &done;
    batch->deferrable = true;
    engine(h, true);
    sink_write(db_sink(rig->db), batch);
    for (int i = 0; !done; i++) {
        ASSERT(i < 100000);
        if (!exec_sim_step(rig->exec)) (void)db_tick(rig->db);
    }
    engine(h, false);
    if (batch->n_refused) {
        if (!h->may_fail) h->failure = "a batch was refused";
        /* A row alone may be refused in the middle of trouble: keep what was taken. */
        size_t n = 0;
        for (size_t i = 0; i < batch->n_rows; i++)
            if (batch->result[i] == ST_OK) op->rows[n++] = op->rows[i];
        op->n_rows = n;
        op->refused = n == 0;
    }
    op->durable_at = batch->durable_at;
    batch_free(batch);
}

static void erase(struct db_history *h, struct db_rig *rig)
{
    uint32_t ordinals[HISTORY_SERIES], mask = 0;
    size_t n = 0;
    uint32_t first = (uint32_t)rng_below(&h->rng, HISTORY_SERIES);
    for (uint64_t i = rng_below(&h->rng, 4) + 1; i > 0; i--) {
        uint32_t series = (first + (uint32_t)i) % HISTORY_SERIES;
        uint32_t ordinal = db_rig_ordinal(rig, db_history_name(series));
        if (ordinal == ORDINAL_NONE) continue;
        mask |= 1u << series;
        ordinals[n++] = ordinal;
    }
    ts_time from = h->now[first] - (ts_time)rng_below(&h->rng, 300) * STEP_MS;
    struct time_range range = {from, from + (ts_time)rng_below(&h->rng, 200) * STEP_MS};
    lsn at = 0;
    engine(h, true);
    status st = db_delete(rig->db, ordinals, n, range, &at, &rig->err);
    engine(h, false);
    if (st != ST_OK) {
        if (!h->may_fail) h->failure = "a delete was refused";
        return;
    }
    struct history_op *op = add_op(h);
    op->mask = mask;
    op->range = range;
    op->durable_at = at;
}

static void flush_done(void *ctx, status st)
{
    (void)ctx;
    (void)st;
}

static bool restart(struct db_history *h, struct db_rig *rig)
{
    status st = db_rig_close(rig);
    if (st != ST_OK && !h->may_fail) h->failure = "closing failed";
    st = db_rig_open(rig);
    if (st != ST_OK && !h->may_fail) h->failure = "opening failed";
    return st == ST_OK;
}

bool db_history_step(struct db_history *h, struct db_rig *rig)
{
    uint64_t dice = rng_below(&h->rng, 100);
    bool open = true;
    if (h->restarts && rng_below(&h->rng, h->restarts) == 0)
        open = restart(h, rig);
    else if (dice < 75)
        put(h, rig);
    else if (dice < 82)
        erase(h, rig);
    else if (dice < 90)
        db_flush(rig->db, flush_done, NULL); /* the work comes in the steps below */
    else
        clock_sim_advance_ms(&rig->clock, (int64_t)rng_below(&h->rng, 2000));
    if (!open) return false;
    uint64_t n_steps = rng_below(&h->rng, 6);
    bool tick = rng_below(&h->rng, 2) != 0;
    engine(h, true);
    for (uint64_t i = 0; i < n_steps; i++) (void)exec_sim_step(rig->exec);
    if (tick) (void)db_tick(rig->db);
    engine(h, false);
    return true;
}

/* --- comparing ------------------------------------------------------------------- */

void db_history_replay(const struct db_history *h, size_t from, size_t to, struct model_db *model)
{
    for (size_t i = from; i < to; i++) {
        const struct history_op *op = &h->ops[i];
        for (size_t k = 0; k < op->n_rows; k++)
            (void)model_db_put(model, db_history_name(op->rows[k].series), op->rows[k].ts,
                               op->rows[k].bits, DUP_LAST);
        for (uint32_t s = 0; s < HISTORY_SERIES; s++)
            if (!op->rows && op->mask >> s & 1)
                model_db_delete(model, db_history_name(s), op->range);
    }
}

static int by_ordinal(const void *a, const void *b)
{
    const struct captured *x = a, *y = b;
    return x->ordinal < y->ordinal ? -1 : x->ordinal > y->ordinal;
}

static const char *compare_view(struct db_rig *rig, struct view *view,
                                const struct model_db *model)
{
    static char text[256];
    const struct time_range all = {TS_MIN, TS_MAX};
    struct captured at[HISTORY_SERIES];
    struct points pts = {0};
    const char *why = NULL;
    size_t n = 0;
    for (uint32_t s = 0; s < HISTORY_SERIES; s++) {
        uint32_t ordinal = db_rig_ordinal(rig, db_history_name(s));
        if (ordinal != ORDINAL_NONE) at[n++].ordinal = ordinal;
        else if (!why) why = model_db_differs(model, db_history_name(s), all, &pts);
    }
    qsort(at, n, sizeof(at[0]), by_ordinal);
    if (view_capture(view, at, n, &rig->err) != ST_OK) return "capture failed";
    for (uint32_t s = 0; s < HISTORY_SERIES && !why; s++) {
        struct captured key = {.ordinal = db_rig_ordinal(rig, db_history_name(s))};
        const struct captured *found = bsearch(&key, at, n, sizeof(key), by_ordinal);
        if (!found) continue;
        pts.n = 0;
        if (view_read(view, found, all, &pts, NULL, &rig->err) != ST_OK) {
            snprintf(text, sizeof(text), "reading %s: %.200s", db_history_name(s), rig->err.text);
            why = text;
        } else {
            why = model_db_differs(model, db_history_name(s), all, &pts);
        }
    }
    points_release(&pts);
    return why;
}

const char *db_history_differs(struct db_rig *rig, const struct model_db *model)
{
    struct view *view;
    if (db_pin(rig->db, &view, &rig->err) != ST_OK) return "pin failed";
    const char *why = compare_view(rig, view, model);
    db_unpin(rig->db, view);
    return why;
}

void db_history_note(struct db_history *h, const struct db_rig *rig)
{
    lsn durable = db_durable(rig->db);
    for (size_t i = h->n_safe; i < h->n; i++)
        if (h->ops[i].durable_at <= durable) h->n_safe = i + 1;
}

const char *db_history_resolve(struct db_history *h, struct db_rig *rig)
{
    static char text[300];
    struct model_db model = {0};
    const char *why = NULL;
    text[0] = 0;
    db_history_replay(h, 0, h->n_safe, &model);
    for (size_t k = h->n_safe;; k++) {
        why = db_history_differs(rig, &model);
        if (!why) {
            for (size_t i = k; i < h->n; i++) free(h->ops[i].rows);
            h->n = h->n_safe = k;
            break;
        }
        if (!text[0]) snprintf(text, sizeof(text), "with %zu operations: %.250s", k, why);
        if (k == h->n) break;
        db_history_replay(h, k, k + 1, &model);
    }
    model_db_release(&model);
    return why ? text : NULL;
}
