/* Random histories. See db_history.h. */
#include "tests/lib/db_history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "base/panic.h"
#include "base/vfs_sub.h"
#include "engine/restore.h"
#include "engine/snapshot.h"
#include "tests/lib/mem_fault.h"

enum {
    STEP_MS = 15000,
    ROWS_MAX = 200,
    HOUR_MS = 3600 * 1000,
    CLOCK_STEP_MS = 600 * 1000, /* so that a history stays within a day: no jump (T2) */
    SERIES_I64 = HISTORY_SERIES,
    SERIES_U64,
    SERIES_BOOL,
    SERIES_TEXT,                /* and the rest but the last */
    SERIES_ALTERED = HISTORY_SERIES_ALL - 1,
    TEXT_MAX = 8 + 250,
};

static const ts_time history_start = 1767225600000;

void db_history_init(struct db_history *history, uint64_t seed)
{
    memset(history, 0, sizeof(*history));
    rng_init(&history->rng, seed);
    history->restarts = 25;
    history->oldest = TS_MIN;
    history->wall = history_start;
    for (int i = 0; i < HISTORY_SERIES_ALL; i++) history->now[i] = history_start;
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
    snprintf(text[series], sizeof(text[series]), "h{s=\"%u\"}", series);
    return text[series];
}

static enum value_type type_of(uint32_t series)
{
    switch (series) {
    case SERIES_I64: return VALUE_I64;
    case SERIES_U64: return VALUE_U64;
    case SERIES_BOOL: return VALUE_BOOL;
    default: break;
    }
    return series < HISTORY_SERIES || series == SERIES_ALTERED ? VALUE_F64 : VALUE_BYTES;
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
    case HISTORY_WILD: at = history_start + (ts_time)rng_below(rng, 4 * HOUR_MS); break;
    default: at = mixed_time(h, rng, series); break;
    }
    /* What is too old already is nobody's promise. */
    return at < h->oldest ? h->oldest + (ts_time)rng_below(rng, HOUR_MS) : at;
}

static uint64_t text_bytes(uint8_t text[TEXT_MAX], uint64_t number)
{
    uint64_t len = 8 + number % (TEXT_MAX - 8);
    store_u64(text, number);
    for (uint64_t i = 8; i < len; i++) text[i] = (uint8_t)(number * 31 + i * (number & 7));
    return len;
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

static union value make_value(struct arena *arena, enum value_type type, uint64_t bits)
{
    if (type != VALUE_BYTES) return (union value){.bits = bits};
    uint8_t text[TEXT_MAX];
    struct slice *slice = arena_try(arena, sizeof(*slice));
    size_t len = text_bytes(text, bits);
    char *copy = arena_try(arena, len);
    ASSERT(slice && copy);
    memcpy(copy, text, len);
    *slice = slice_of(copy, len);
    return (union value){.bytes = slice};
}

static uint32_t n_series_of(const struct db_history *h)
{
    return h->kinds & HISTORY_TYPES ? SERIES_ALTERED : HISTORY_SERIES;
}

static void fill_series(struct db_history *h, struct history_op *op, struct batch *batch,
                        uint32_t series, size_t n_rows, enum dup_policy policy)
{
    struct rng rng;
    enum value_type type = type_of(series);
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
        union value val = make_value(&batch->arena, type, row.bits);
        ASSERT(batch_add_row(batch, (size_t)idx, row.ts, val, 0));
        batch->on_dup[batch->n_rows - 1] = (uint8_t)policy;
        op->rows[op->n_rows++] = row;
    }
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
    op->rows = calloc(n_rows * (n_series + altered), sizeof(*op->rows));
    ASSERT(op->rows);
    for (uint32_t i = 0; i < n_series; i++)
        fill_series(h, op, batch, (first + i) % n_all, n_rows, policy);
    if (altered) fill_series(h, op, batch, SERIES_ALTERED, n_rows, DUP_UNSET);
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

void db_history_put(struct db_history *h, struct db_rig *rig)
{
    struct history_op *op = add_op(h, HISTORY_PUT);
    bool done = false;
    mem_fault_pause();
    struct batch *batch = db_rig_batch(NULL);
    fill(h, op, batch);
    mem_fault_resume();
    batch->done = db_rig_done;
    batch->ctx = &done;
    batch->deferrable = true;
    engine(h, true);
    sink_write(db_sink(rig->db), batch);
    for (int i = 0; !done; i++) {
        ASSERT(i < 100000);
        if (exec_sim_step(rig->exec)) continue;
        (void)db_tick(rig->db);
        if (i > 1000) clock_sim_advance_ms(&rig->clock, 1); /* it waits for a full disk */
    }
    engine(h, false);
    h->wall = clock_wall(&rig->clock.clock);
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

/* --- comparing ------------------------------------------------------------------- */

static void replay_put(const struct history_op *op, struct model_db *model)
{
    for (size_t k = 0; k < op->n_rows; k++) {
        const struct history_row *row = &op->rows[k];
        status st = model_db_put_as(model, db_history_name(row->series), type_of(row->series),
                                    row->ts, row->bits, (enum dup_policy)row->policy);
        if ((st == ST_DUPLICATE) != row->refused && !model->surprise[0])
            snprintf(model->surprise, sizeof(model->surprise), "%s at %lld, policy %u: %s",
                     db_history_name(row->series), (long long)row->ts, row->policy,
                     row->refused ? "refused as a duplicate" : "a duplicate was taken");
    }
}

void db_history_replay(const struct db_history *h, size_t from, size_t to, struct model_db *model)
{
    for (size_t i = from; i < to; i++) {
        const struct history_op *op = &h->ops[i];
        if (op->what == HISTORY_PUT) replay_put(op, model);
        if (op->what == HISTORY_EXPIRE) model_db_expire(model, op->oldest);
        for (uint32_t s = 0; s < HISTORY_SERIES_ALL; s++) {
            if (!(op->mask >> s & 1)) continue;
            if (op->what == HISTORY_DELETE) model_db_delete(model, db_history_name(s), op->range);
            if (op->what == HISTORY_ALTER)
                model_db_set_policy(model, db_history_name(s), op->policy);
        }
    }
}

static int by_ordinal(const void *a, const void *b)
{
    const struct captured *x = a, *y = b;
    return x->ordinal < y->ordinal ? -1 : x->ordinal > y->ordinal;
}

/* Texts become the numbers they were made from. */
static void name_texts(struct points *pts)
{
    uint8_t text[TEXT_MAX];
    for (size_t i = 0; i < pts->n; i++) {
        struct slice got = *pts->val[i].bytes;
        uint64_t number = got.len >= 8 ? load_u64((const uint8_t *)got.ptr) : 0;
        bool same = got.len >= 8 && got.len == text_bytes(text, number) &&
                    memcmp(text, got.ptr, got.len) == 0;
        pts->val[i].bits = same ? number : UINT64_MAX;
    }
}

static const char *compare_series(struct db_rig *rig, struct view *view,
                                  const struct captured *found, uint32_t series,
                                  struct time_range range, const struct model_db *model)
{
    static char text[256];
    const char *why = NULL;
    struct points pts = {0};
    struct arena arena;
    arena_init(&arena, NULL, 4096);
    if (found && view_read(view, found, range, &pts, &arena, &rig->err) != ST_OK) {
        snprintf(text, sizeof(text), "reading %s: %.200s", db_history_name(series), rig->err.text);
        why = text;
    } else {
        if (type_of(series) == VALUE_BYTES) name_texts(&pts);
        why = model_db_differs(model, db_history_name(series), range, &pts);
    }
    points_release(&pts);
    arena_release(&arena);
    return why;
}

/* An alteration that no sample shows yet is there all the same, or is not. */
static const char *compare_policy(struct db_rig *rig, const struct model_db *model)
{
    const char *name = db_history_name(SERIES_ALTERED);
    uint32_t ordinal = db_rig_ordinal(rig, name);
    if (ordinal == ORDINAL_NONE) return NULL;
    const struct series_attrs *attrs = entry_attrs(registry_entry(db_registry(rig->db), ordinal));
    enum dup_policy got = attrs ? attrs->policy : DUP_UNSET;
    return got == model_db_policy(model, name) ? NULL : "an alteration is lost, or was not made";
}

static const char *compare_view(struct db_rig *rig, struct view *view,
                                const struct model_db *model)
{
    const struct time_range range = {db_window(rig->db).oldest, TS_MAX};
    struct captured at[HISTORY_SERIES_ALL];
    const char *why = compare_policy(rig, model);
    size_t n = 0;
    for (uint32_t s = 0; s < HISTORY_SERIES_ALL; s++) {
        uint32_t ordinal = db_rig_ordinal(rig, db_history_name(s));
        if (ordinal != ORDINAL_NONE) at[n++].ordinal = ordinal;
    }
    qsort(at, n, sizeof(at[0]), by_ordinal);
    if (view_capture(view, at, n, &rig->err) != ST_OK) return "capture failed";
    for (uint32_t s = 0; s < HISTORY_SERIES_ALL && !why; s++) {
        struct captured key = {.ordinal = db_rig_ordinal(rig, db_history_name(s))};
        const struct captured *found = bsearch(&key, at, n, sizeof(key), by_ordinal);
        why = compare_series(rig, view, found, s, range, model);
    }
    return why;
}

const char *db_history_differs(struct db_rig *rig, const struct model_db *model)
{
    struct view *view;
    if (model->surprise[0]) return model->surprise;
    if (db_pin(rig->db, &view, &rig->err) != ST_OK) return "pin failed";
    const char *why = compare_view(rig, view, model);
    db_unpin(rig->db, view);
    return why;
}

void db_history_note(struct db_history *h, const struct db_rig *rig)
{
    lsn durable = db_durable(rig->db);
    for (size_t i = h->n_safe; i < h->n; i++)
        if (h->ops[i].durable_at && h->ops[i].durable_at <= durable) h->n_safe = i + 1;
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

/* --- snapshots --------------------------------------------------------------------- */

static const char *compare_restored(const struct db_history *h, struct db_rig *rig,
                                    const struct history_snapshot *snapshot)
{
    static char text[300];
    struct model_db model = {0};
    struct err err = {.st = ST_OK};
    const char *why = NULL;
    if (db_check(rig->db, &err) != ST_OK) {
        snprintf(text, sizeof(text), "restored: %.250s", err.text);
        return text;
    }
    db_history_replay(h, 0, snapshot->from, &model);
    for (size_t k = snapshot->from;; k++) {
        why = db_history_differs(rig, &model);
        if (!why || k == snapshot->to) break;
        db_history_replay(h, k, k + 1, &model);
    }
    model_db_release(&model);
    if (!why) return NULL;
    snprintf(text, sizeof(text), "%s, of operations %zu to %zu: %.200s", snapshot->name,
             snapshot->from, snapshot->to, why);
    return text;
}

static const char *check_snapshot(const struct db_history *h, struct db_rig *rig,
                                  const struct history_snapshot *snapshot)
{
    static char text[300];
    const struct restore_options options = {0};
    struct restore_result result;
    struct db_rig other;
    struct vfs *sub;
    char from[32];
    snprintf(from, sizeof(from), "snapshots/%s", snapshot->name);
    if (restore_run(&result, rig->vfs, from, "restored", &options, &rig->err) != ST_OK ||
        vfs_sub_open(&sub, rig->vfs, "restored", &rig->err) != ST_OK) {
        snprintf(text, sizeof(text), "restoring %s: %.250s", from, rig->err.text);
        return text;
    }
    db_rig_init_on(&other, rig->seed, sub);
    other.options = rig->options;
    clock_sim_init(&other.clock, h->wall);
    const char *why = NULL;
    if (db_rig_open(&other) == ST_OK) {
        why = compare_restored(h, &other, snapshot);
        (void)db_rig_close(&other);
    } else {
        snprintf(text, sizeof(text), "opening %s: %.250s", from, other.err.text);
        why = text;
    }
    db_rig_release(&other);
    vfs_free(sub);
    return why;
}

const char *db_history_check_snapshots(struct db_history *h, struct db_rig *rig)
{
    const char *why = NULL;
    for (unsigned i = 0; i < h->n_snapshots; i++) {
        const struct history_snapshot *snapshot = &h->snapshots[i];
        char path[32];
        snprintf(path, sizeof(path), "snapshots/%s", snapshot->name);
        if (!why && snapshot->good && snapshot->to <= h->n) why = check_snapshot(h, rig, snapshot);
        if (vfs_remove_tree(rig->vfs, "restored", &rig->err) != ST_OK ||
            vfs_remove_tree(rig->vfs, path, &rig->err) != ST_OK)
            why = why ? why : "a snapshot cannot be removed";
    }
    h->n_snapshots = 0;
    return why;
}
