/* Random histories. See db_history.h. */
#include "tests/lib/db_history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/panic.h"
#include "engine/delete_many.h"
#include "engine/snapshot.h"
#include "tests/lib/db_history_priv.h"
#include "tests/lib/mem_fault.h"

void db_history_init(struct db_history *history, uint64_t seed)
{
    memset(history, 0, sizeof(*history));
    rng_init(&history->rng, seed);
    history->restarts = 25;
    history->oldest = TS_MIN;
    history->wall = HISTORY_START;
    for (int i = 0; i < HISTORY_SERIES_ALL; i++) history->now[i] = HISTORY_START;
}

void db_history_from(struct db_history *history, const uint8_t *src, size_t len)
{
    history->src = src;
    history->src_end = src + len;
}

void db_history_hurry(struct db_rig *rig)
{
    rig->options.compaction_trigger = 2;
    rig->options.compaction_interval_ms = rig->options.flush_interval_ms = 1;
    rig->options.segment_bytes = 64 << 10;
}

void db_history_release(struct db_history *history)
{
    for (size_t i = 0; i < history->n; i++) free(history->ops[i].rows);
    free(history->ops);
    memset(history, 0, sizeof(*history));
}

uint64_t db_history_choose(struct db_history *h, uint64_t n)
{
    if (!h->src) return rng_below(&h->rng, n);
    uint64_t x = 0;
    for (uint64_t most = n - 1; most; most >>= 8) {
        if (h->src == h->src_end) {
            h->ended = true;
            return 0;
        }
        x = x << 8 | *h->src++;
    }
    return x % n;
}

const char *db_history_name(uint32_t series)
{
    static char text[HISTORY_SERIES_ALL][32];
    const char *label = series >= SERIES_KEY ? "__key__" : "s";
    snprintf(text[series], sizeof(text[series]), "h{%s=\"%u\"}", label, series);
    return text[series];
}

static struct history_op *add_op(struct db_history *h, enum history_what what)
{
    if (h->n == h->cap) {
        h->cap = h->cap ? h->cap * 2 : 64;
        h->ops = realloc(h->ops, h->cap * sizeof(*h->ops));
        ASSERT(h->ops);
    }
    struct history_op *op = &h->ops[h->n++];
    *op = (struct history_op){.what = what};
    return op;
}

static void engine(const struct db_history *h, bool begins)
{
    if (h->around) h->around(h->around_ctx, begins);
}

/* --- batches ---------------------------------------------------------------------- */

/* A time for the next sample of a series: nearly always behind the last one. Some series
 * are steady, some jitter, one is wild. */
static ts_time mixed_time(struct db_history *h, struct rng *rng, uint32_t series)
{
    uint64_t dice = rng_below(rng, 100);
    ts_time now = h->now[series];
    if (dice < 8) return now - (ts_time)rng_below(rng, 60) * STEP_MS;
    if (dice < 10) return now - (ts_time)rng_below(rng, 2000) * STEP_MS;
    ts_time step = STEP_MS;
    if (series % 4 == 1) step += (ts_time)rng_below(rng, 20) - 10;
    if (series % 4 == 2 && dice < 20) step += (ts_time)rng_below(rng, 1000000);
    return h->now[series] = now + step;
}

static ts_time next_time(struct db_history *h, struct rng *rng, uint32_t series,
                         enum history_run run, size_t i)
{
    ts_time at;
    switch (run) {
    case HISTORY_BACK: at = h->now[series] - (ts_time)i * STEP_MS; break;
    case HISTORY_AGAIN: at = h->now[series] - (ts_time)rng_below(rng, 8) * STEP_MS; break;
    case HISTORY_WILD: at = HISTORY_START + (ts_time)rng_below(rng, 4 * HOUR_MS); break;
    default: at = mixed_time(h, rng, series); break;
    }
    /* What is too old already is nobody's promise. */
    return at < h->oldest ? h->oldest + (ts_time)rng_below(rng, HOUR_MS) : at;
}

static uint64_t make_bits(struct rng *rng, enum value_type type)
{
    uint64_t x = rng_below(rng, 1000);
    switch (type) {
    case VALUE_F64: return f64_bits((double)x / 8);
    case VALUE_I64: return x - 500;
    case VALUE_BOOL: return x & 1;
    default: return x;
    }
}

static uint32_t n_series_of(const struct db_history *h)
{
    return h->kinds & HISTORY_TYPES ? SERIES_ALTERED : HISTORY_SERIES;
}

static void fill_series(struct db_history *h, struct history_op *op, struct batch *batch,
                        uint32_t series, size_t n_rows, enum dup_policy policy)
{
    struct rng rng;
    enum value_type type = history_type(series);
    enum history_run run = h->kinds ? (enum history_run)db_history_choose(h, HISTORY_RUNS)
                                    : HISTORY_MIXED;
    if (h->only_run) run = h->only_run;
    int64_t idx = db_rig_add_series(batch, db_history_name(series));
    batch->series[idx].type = type;
    batch->series[idx].first_row = (uint32_t)batch->n_rows;
    batch->series[idx].n_rows = (uint32_t)n_rows;
    rng_init(&rng, db_history_choose(h, 65536));
    if (h->kinds & HISTORY_CLOCK && h->now[series] < h->wall - HOUR_MS)
        h->now[series] = h->wall - HOUR_MS;
    for (size_t i = 0; i < n_rows; i++) {
        struct history_row row = {series, next_time(h, &rng, series, run, i),
                                  make_bits(&rng, type), (uint8_t)policy, false};
        union value val = history_value(&batch->arena, type, row.bits);
        ASSERT(batch_add_row(batch, (size_t)idx, row.ts, val, 0));
        batch->on_dup[batch->n_rows - 1] = (uint8_t)policy;
        ASSERT(batch_start_row(batch, history_start(series, row.ts, row.bits)));
        op->rows[op->n_rows++] = row;
    }
}

/* Beside the rows, and beside the model: an exemplar of each series and news of a family, so
 * that they are in the log, in files and in every check. They draw no numbers. */
static void fill_meta(const struct history_op *op, struct batch *batch)
{
    static const char labels[] = "\x01\x02id\x01x", *const help[] = {"one", "two", "three"};
    for (size_t i = 0; i < batch->n_rows; i++) { /* with the last row of each series */
        if (i + 1 < batch->n_rows && batch->row_series[i + 1] == batch->row_series[i]) continue;
        struct exemplar ex = {.ts = batch->ts[i],
                              .value = 1,
                              .has_ts = true,
                              .labels = slice_of(labels, sizeof(labels) - 1)};
        ASSERT(batch_add_exemplar(batch, batch->row_series[i], &ex));
    }
    struct metric_meta meta = {.family = SLICE_LIT("history"),
                               .help = slice_str(help[op->n_rows % 3]),
                               .unit = SLICE_LIT(""),
                               .type = METRIC_GAUGE};
    ASSERT(batch_add_meta(batch, &meta));
}

static void fill(struct db_history *h, struct history_op *op, struct batch *batch)
{
    uint32_t n_all = n_series_of(h);
    uint32_t n_series = 1 + (uint32_t)db_history_choose(h, 5);
    uint32_t first = (uint32_t)db_history_choose(h, n_all);
    if (h->only_from) first = h->only_from;
    size_t n_rows = 1 + db_history_choose(h, db_history_choose(h, 4) ? 20 : ROWS_MAX);
    enum dup_policy policy = DUP_UNSET;
    if (h->kinds & HISTORY_POLICIES) policy = (enum dup_policy)db_history_choose(h, DUP_SUM + 1);
    if (h->only_policy) policy = h->only_policy;
    bool altered = h->kinds & HISTORY_ATTRS && db_history_choose(h, 4) == 0;
    bool histogram = h->kinds & HISTORY_HISTOGRAMS && db_history_choose(h, 4) == 0;
    bool keyed = h->kinds & HISTORY_KEYS && db_history_choose(h, 4) == 0;
    op->rows = calloc(n_rows * (n_series + altered + histogram + keyed), sizeof(*op->rows));
    ASSERT(op->rows);
    for (uint32_t i = 0; i < n_series; i++)
        fill_series(h, op, batch, (first + i) % n_all, n_rows, policy);
    if (altered) fill_series(h, op, batch, SERIES_ALTERED, n_rows, DUP_UNSET);
    if (histogram) fill_series(h, op, batch, SERIES_HISTOGRAM + first % 2, n_rows, policy);
    if (keyed) /* unset would refuse duplicates */
        fill_series(h, op, batch, SERIES_KEY + first % 2, n_rows, policy ? policy : DUP_LAST);
    fill_meta(op, batch);
}

/* Rows that were refused for another reason than being duplicates are forgotten. */
static void keep_answered(struct db_history *h, struct history_op *op, const struct batch *batch)
{
    size_t n = 0;
    for (size_t i = 0; i < batch->n_rows; i++) {
        struct history_row row = op->rows[i];
        row.refused = batch->result[i] == ST_DUPLICATE;
        if (batch->result[i] == ST_OK || row.refused) op->rows[n++] = row;
    }
    if (n < op->n_rows && !h->may_fail) {
        h->failure = "a batch was refused";
        for (size_t i = 0; i < batch->n_rows; i++)
            if (batch->result[i] != ST_OK && batch->result[i] != ST_DUPLICATE)
                h->failure = status_text((status)batch->result[i]);
    }
    op->n_rows = n;
    op->refused = n == 0;
}

/* The engine works until it is done. */
static void wait_for(struct db_history *h, struct db_rig *rig, const bool *done)
{
    for (int i = 0; !*done; i++) {
        ASSERT(i < 100000);
        if (exec_sim_step(rig->exec)) continue;
        (void)db_tick(rig->db);
        if (i > 1000) clock_sim_advance_ms(&rig->clock, 1); /* it waits for a full disk */
    }
    engine(h, false);
    struct db_stats stats;
    db_stats(rig->db, &stats);
    h->starts_lost |= stats.n_starts_dropped > 0;
    h->wall = clock_wall(&rig->clock.clock);
}

static void send(struct db_history *h, struct db_rig *rig, struct batch *batch)
{
    bool done = false;
    batch->done = db_rig_done;
    batch->ctx = &done;
    batch->deferrable = true;
    engine(h, true);
    sink_write(db_sink(rig->db), batch);
    wait_for(h, rig, &done);
}

void db_history_put(struct db_history *h, struct db_rig *rig)
{
    struct history_op *op = add_op(h, HISTORY_PUT);
    mem_fault_pause();
    struct batch *batch = db_rig_batch(NULL);
    fill(h, op, batch);
    mem_fault_resume();
    send(h, rig, batch);
    if (batch->n_refused) keep_answered(h, op, batch);
    op->durable_at = batch->durable_at;
    batch_free(batch);
}

/* --- the other operations ------------------------------------------------------------ */

static void refused(struct db_history *h, const struct db_rig *rig, const char *what)
{
    static char text[300];
    if (h->may_fail) return;
    snprintf(text, sizeof(text), "%s was refused: %.250s", what, rig->err.text);
    h->failure = text;
}

void db_history_erase(struct db_history *h, struct db_rig *rig)
{
    uint32_t ordinals[HISTORY_SERIES_ALL], mask = 0, n_all = n_series_of(h);
    size_t n = 0;
    uint32_t first = (uint32_t)db_history_choose(h, n_all);
    for (uint64_t i = db_history_choose(h, 4) + 1; i > 0; i--) {
        uint32_t series = (first + (uint32_t)i) % n_all;
        uint32_t ordinal = db_rig_ordinal(rig, db_history_name(series));
        if (ordinal == ORDINAL_NONE) continue;
        mask |= 1u << series;
        ordinals[n++] = ordinal;
    }
    ts_time from = h->now[first] - (ts_time)db_history_choose(h, 300) * STEP_MS;
    struct time_range range = {from, from + (ts_time)db_history_choose(h, 200) * STEP_MS};
    if (h->kinds & HISTORY_WHOLE && db_history_choose(h, 3) == 0)
        range = (struct time_range){TS_MIN, TS_MAX};
    lsn at = 0;
    engine(h, true);
    status st = db_delete(rig->db, ordinals, n, range, &at, &rig->err);
    engine(h, false);
    if (st != ST_OK) {
        refused(h, rig, "a delete");
        return;
    }
    struct history_op *op = add_op(h, HISTORY_DELETE);
    op->mask = mask;
    op->range = range;
    op->durable_at = at;
}

/* --- deletes in slices, keys, the crowd ---------------------------------------------- */

static void many_done(struct delete_op *op)
{
    *(bool *)op->ctx = true;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Whether something of it may be there, and so whether it counts as an operation: unless
 * it was refused before its first record. */
static bool delete_many(struct db_history *h, struct db_rig *rig, series_id *ids, size_t n,
                        bool drop_keys, lsn *at)
{
    bool done = false;
    struct delete_op op = {.ids = ids,
                           .n = n,
                           .range = {TS_MIN, TS_MAX},
                           .drop_keys = drop_keys,
                           .done = many_done,
                           .ctx = &done};
    qsort(ids, n, sizeof(*ids), by_number);
    engine(h, true);
    db_delete_many(rig->db, &op);
    wait_for(h, rig, &done);
    rig->err = op.err;
    if (op.st != ST_OK) refused(h, rig, "a delete of many");
    *at = op.n_hidden == n ? op.at : 0;
    return op.st == ST_OK || op.n_hidden > 0;
}

void db_history_remove(struct db_history *h, struct db_rig *rig)
{
    series_id ids[2];
    size_t n = 0;
    uint32_t mask = 0, first = (uint32_t)db_history_choose(h, 2);
    uint32_t end = first + 1 + (uint32_t)db_history_choose(h, 2);
    lsn at;
    for (uint32_t i = first; i < end; i++) {
        uint32_t series = SERIES_KEY + i % 2;
        uint32_t ordinal = db_rig_ordinal(rig, db_history_name(series));
        if (ordinal == ORDINAL_NONE) continue;
        mask |= 1u << series;
        ids[n++] = registry_entry(db_registry(rig->db), ordinal)->id;
    }
    if (n == 0 || !delete_many(h, rig, ids, n, true, &at)) return;
    struct history_op *op = add_op(h, HISTORY_DELETE);
    op->mask = mask;
    op->range = (struct time_range){TS_MIN, TS_MAX};
    op->durable_at = at;
}

static void put_crowd(struct db_history *h, struct db_rig *rig)
{
    struct history_op *op = add_op(h, HISTORY_PUT_CROWD);
    op->rows = calloc(1, sizeof(*op->rows));
    ASSERT(op->rows);
    ts_time at = HISTORY_START + (ts_time)db_history_choose(h, 16) * STEP_MS;
    if (at < h->oldest) at = h->oldest + STEP_MS;
    op->rows[0] = (struct history_row){.ts = at, .bits = f64_bits((double)h->n)};
    op->n_rows = 1;
    mem_fault_pause();
    struct batch *batch = db_rig_batch(NULL);
    for (uint32_t i = 0; i < HISTORY_CROWD_N; i++) {
        int64_t idx = db_rig_add_series(batch, history_crowd_name(i));
        batch->series[idx].type = VALUE_F64;
        batch->series[idx].first_row = (uint32_t)batch->n_rows;
        batch->series[idx].n_rows = 1;
        ASSERT(batch_add_row(batch, (size_t)idx, at, (union value){.bits = op->rows[0].bits}, 0));
    }
    mem_fault_resume();
    send(h, rig, batch);
    if (batch->n_refused) {
        op->n_rows = 0;
        op->refused = true;
        if (!h->may_fail) h->failure = "the crowd was refused";
    }
    op->durable_at = batch->durable_at;
    batch_free(batch);
}

void db_history_crowd(struct db_history *h, struct db_rig *rig)
{
    static series_id ids[HISTORY_CROWD_N];
    size_t n = 0;
    lsn at;
    if (db_history_choose(h, 3)) {
        put_crowd(h, rig);
        return;
    }
    for (uint32_t i = 0; i < HISTORY_CROWD_N; i++) {
        uint32_t ordinal = db_rig_ordinal(rig, history_crowd_name(i));
        if (ordinal != ORDINAL_NONE) ids[n++] = registry_entry(db_registry(rig->db), ordinal)->id;
    }
    if (n && delete_many(h, rig, ids, n, false, &at))
        add_op(h, HISTORY_DELETE_CROWD)->durable_at = at;
}

void db_history_alter(struct db_history *h, struct db_rig *rig)
{
    struct series_attrs attrs = {.policy = (enum dup_policy)db_history_choose(h, DUP_SUM + 1)};
    uint32_t ordinal = db_rig_ordinal(rig, db_history_name(SERIES_ALTERED));
    lsn at = 0;
    if (ordinal == ORDINAL_NONE) return;
    engine(h, true);
    status st = db_set_attrs(rig->db, ordinal, &attrs, &at, &rig->err);
    engine(h, false);
    if (st != ST_OK) {
        refused(h, rig, "an alteration");
        return;
    }
    struct history_op *op = add_op(h, HISTORY_ALTER);
    op->mask = 1u << SERIES_ALTERED;
    op->policy = attrs.policy;
    op->durable_at = at;
}

static void snapshot_over(void *ctx, status st, const struct snapshot_info *info,
                          const struct err *err)
{
    struct history_snapshot *snapshot = ctx;
    (void)info;
    (void)err;
    snapshot->over = true;
    snapshot->good = st == ST_OK;
    snapshot->to = snapshot->history->n;
}

void db_history_snapshot(struct db_history *h, struct db_rig *rig)
{
    if (h->n_snapshots == HISTORY_SNAPSHOTS_MAX) return;
    if (h->n_snapshots && !h->snapshots[h->n_snapshots - 1].over) return;
    struct history_snapshot *snapshot = &h->snapshots[h->n_snapshots];
    *snapshot = (struct history_snapshot){.history = h, .from = h->n};
    snprintf(snapshot->name, sizeof(snapshot->name), "s%u", h->n_snapshots++);
    struct snapshot_ask ask = {.name = slice_of(snapshot->name, strlen(snapshot->name)),
                               .full = db_history_choose(h, 2) == 0};
    engine(h, true);
    db_snapshot(rig->db, &ask, snapshot_over, snapshot);
    engine(h, false);
}

static void move_clock(struct db_history *h, struct db_rig *rig)
{
    bool far = h->kinds & HISTORY_CLOCK && db_history_choose(h, 2) == 0;
    int64_t ms = (int64_t)db_history_choose(h, far ? CLOCK_STEP_MS : 2000);
    clock_sim_advance_ms(&rig->clock, ms);
    h->wall = clock_wall(&rig->clock.clock);
    if (!far || rig->options.retention_ms == 0) return;
    add_op(h, HISTORY_EXPIRE)->oldest = db_window(rig->db).oldest;
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

static bool one_operation(struct db_history *h, struct db_rig *rig)
{
    uint64_t dice = db_history_choose(h, 100);
    if (h->restarts && db_history_choose(h, h->restarts) == 0) return restart(h, rig);
    if (dice >= 60 && dice < 64 && h->kinds & HISTORY_ATTRS)
        db_history_alter(h, rig);
    else if (dice >= 64 && dice < 66 && h->kinds & HISTORY_SNAPSHOTS)
        db_history_snapshot(h, rig);
    else if (dice >= 56 && dice < 59 && h->kinds & HISTORY_KEYS)
        db_history_remove(h, rig);
    else if (dice >= 36 && dice < 56 && h->kinds & HISTORY_CROWD)
        db_history_crowd(h, rig);
    else if (dice < 75)
        db_history_put(h, rig);
    else if (dice < 82)
        db_history_erase(h, rig);
    else if (dice < 90)
        db_flush(rig->db, flush_done, NULL); /* the work comes in the steps below */
    else
        move_clock(h, rig);
    return true;
}

bool db_history_step(struct db_history *h, struct db_rig *rig)
{
    h->oldest = db_window(rig->db).oldest;
    if (!one_operation(h, rig)) return false;
    uint64_t n_steps = db_history_choose(h, h->kinds ? 30 : 6);
    bool tick = db_history_choose(h, 2) != 0;
    engine(h, true);
    for (uint64_t i = 0; i < n_steps; i++) (void)exec_sim_step(rig->exec);
    if (tick) (void)db_tick(rig->db);
    engine(h, false);
    return true;
}

