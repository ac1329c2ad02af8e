/* The buckets of rules. See rule_worker.h.
 *
 *     step      owner    takes tasks
 *     run       worker   one view over all sources and destinations: what differs
 *     publish   owner    deletes, then one batch
 *     written   owner    tells the engine; step again
 */
#include "query/rule_worker.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/panic.h"
#include "base/vec.h"
#include "engine/view.h"
#include "query/aggregate.h"

enum {
    TASKS_MAX = 128,
    PINS_MAX = 3,
    WINDOW_SAMPLES = 256 << 10, /* of a source, about, in memory at a time */
    PAUSE_NS = 1000 * 1000 * 1000,
};

/* What becomes of one task. */
struct outcome {
    struct rows rows;               /* as the destination shall be */
    VEC(struct point) puts;
    VEC(struct time_range) dead;    /* of the destination */
};

struct rule_worker {
    struct db *db;
    struct account *account;
    struct job job;
    struct task task;
    bool posted, running, stopped;
    mono_ns pause;                  /* until then nothing is tried; 0: none */
    struct rule_task tasks[TASKS_MAX];
    struct outcome outcomes[TASKS_MAX];
    size_t n;
    uint64_t ticket;
    lsn at;                         /* of the deletes */
    struct batch *batch;
};

/* Source and destination of a task, as they were at the pin. */
struct pair_of {
    struct captured source, dest;
};

/* --- reading: a worker --------------------------------------------------------------- */

static const struct time_range all_time = {TS_MIN, TS_MAX};

static int by_ordinal(const void *a, const void *b)
{
    const struct captured *x = a, *y = b;
    return (x->ordinal > y->ordinal) - (x->ordinal < y->ordinal);
}

static struct captured captured_of(const struct captured *all, size_t n, uint32_t ordinal)
{
    struct captured key = {.ordinal = ordinal};
    const struct captured *at = bsearch(&key, all, n, sizeof(key), by_ordinal);
    return at ? *at : (struct captured){.ordinal = ORDINAL_NONE};
}

static size_t sort_captured(struct captured *all, size_t n)
{
    size_t n_unique = 0;
    qsort(all, n, sizeof(*all), by_ordinal);
    for (size_t i = 0; i < n; i++)
        if (n_unique == 0 || all[n_unique - 1].ordinal != all[i].ordinal)
            all[n_unique++] = all[i];
    return n_unique;
}

/* Pins a view and captures both series of each rule; one that is gone has ORDINAL_NONE. */
static status pin_pairs(struct db *db, const struct rule_task *tasks, size_t n,
                        struct pair_of *pairs, struct view **view, struct err *err)
{
    struct registry *reg = db_registry(db);
    struct captured all[2 * TASKS_MAX];
    size_t n_all = 0;
    int reader = db_reader_enter(db);
    for (size_t i = 0; i < n; i++) {
        pairs[i].source.ordinal = registry_by_id(reg, tasks[i].rule.source);
        pairs[i].dest.ordinal = registry_by_id(reg, tasks[i].rule.dest);
        if (pairs[i].source.ordinal != ORDINAL_NONE) all[n_all++] = pairs[i].source;
        if (pairs[i].dest.ordinal != ORDINAL_NONE) all[n_all++] = pairs[i].dest;
    }
    status st = db_pin_found(db, reader, view, err);
    db_reader_leave(db, reader);
    if (st != ST_OK) return st;
    n_all = sort_captured(all, n_all);
    st = view_capture(*view, all, n_all, err);
    for (size_t i = 0; i < n_all && st == ST_OK; i++)
        if (captured_moved(&all[i])) st = ST_AGAIN; /* its labels changed just now */
    for (size_t i = 0; i < n; i++) {
        pairs[i].source = captured_of(all, n_all, pairs[i].source.ordinal);
        pairs[i].dest = captured_of(all, n_all, pairs[i].dest.ordinal);
    }
    if (st != ST_OK) db_unpin(db, *view);
    return st;
}

static status pin(struct db *db, const struct rule_task *tasks, size_t n, struct pair_of *pairs,
                  struct view **view, struct err *err)
{
    status st = ST_AGAIN;
    for (int i = 0; i < PINS_MAX && st == ST_AGAIN; i++) {
        if (err) *err = (struct err){.st = ST_OK};
        st = pin_pairs(db, tasks, n, pairs, view, err);
    }
    return st;
}

/* What the aggregator wants from behind the range: one sample, looked for in windows that
 * double. */
static status read_after(struct view *view, const struct captured *source, ts_time end,
                         struct time_range extent, int64_t step, struct points *pts,
                         struct arena *arena, struct err *err)
{
    size_t n = pts->n;
    ts_time from = sat_add(end, 1);
    if (from < extent.from) from = extent.from;
    while (pts->n == n && end < TS_MAX && from <= extent.to) {
        struct time_range window = {from, sat_add(from, step)};
        TRY(view_read_expired(view, source, window, pts, arena, err));
        if (window.to == TS_MAX) break;
        from = window.to + 1;
        step = sat_add(step, step);
    }
    if (pts->n > n) pts->n = n + 1;
    return ST_OK;
}

/* The rows of a range of the source, appended. */
static status aggregate(struct view *view, const struct captured *source,
                        const struct rule_info *rule, struct time_range range,
                        struct time_range extent, struct rows *rows, struct arena *arena,
                        struct err *err)
{
    const struct series_entry *entry = registry_entry(view_registry(view), source->ordinal);
    struct range_spec spec = {.range = range,
                              .aggs = {rule->agg},
                              .n_aggs = 1,
                              .bucket = rule->bucket,
                              .align = rule->align};
    struct points pts = {0};
    struct point before;
    bool found = false;
    status st = ST_OK;
    if (range_wants_edges(&spec) && range.from > TS_MIN)
        st = view_last(view, source, (struct time_range){TS_MIN, range.from - 1}, &before, &found,
                       arena, err);
    if (st == ST_OK && found && !points_push(&pts, before.ts, before.val)) st = ST_NO_MEMORY;
    if (st == ST_OK) st = view_read_expired(view, source, range, &pts, arena, err);
    if (st == ST_OK && range_wants_edges(&spec))
        st = read_after(view, source, range.to, extent, rule->bucket, &pts, arena, err);
    if (st == ST_OK)
        st = aggregate_range(rows, &pts, (enum value_type)entry->type, &spec, NULL, err);
    points_release(&pts);
    return st;
}

/* A bucket's place in the destination. */
static ts_time stamp_of(ts_time start)
{
    return start < 0 ? 0 : start;
}

static ts_time bucket_of(const struct rule_info *rule, ts_time ts)
{
    return time_bucket(ts, rule->bucket, rule->align);
}

/* Whole buckets of about WINDOW_SAMPLES samples of the source. */
static int64_t window_of(const struct rule_info *rule, const struct series_extent *extent)
{
    uint64_t span = (uint64_t)extent->range.to - (uint64_t)extent->range.from;
    uint64_t n_windows = extent->n_samples / WINDOW_SAMPLES + 1;
    uint64_t n_buckets = span / n_windows / (uint64_t)rule->bucket + 1;
    int64_t window;
    if (n_buckets > INT64_MAX ||
        __builtin_mul_overflow((int64_t)n_buckets, rule->bucket, &window))
        return INT64_MAX;
    return window;
}

static status make_rows(struct view *view, const struct pair_of *pair,
                        const struct rule_info *rule, struct time_range range, struct rows *rows,
                        struct arena *arena, struct err *err)
{
    struct series_extent extent;
    TRY(view_extent(view, &pair->source, &extent, err));
    if (range.from < extent.range.from) range.from = extent.range.from;
    if (range.to > extent.range.to) range.to = extent.range.to;
    int64_t window = range_empty(extent.range) ? 0 : window_of(rule, &extent);
    while (!range_empty(range)) {
        struct time_range part = range;
        ts_time end = sat_add(bucket_of(rule, range.from), window);
        if (end != TS_MAX && end - 1 < part.to) part.to = end - 1;
        TRY(aggregate(view, &pair->source, rule, part, extent.range, rows, arena, err));
        arena_reset(arena);
        if (part.to == TS_MAX) break;
        range.from = part.to + 1;
    }
    return ST_OK;
}

/* Which part of the source the task is about, behind the rule's making, and from where on
 * buckets are not closed yet. */
static status range_of(struct view *view, const struct pair_of *pair,
                       const struct rule_task *task, struct time_range *out, ts_time *open_at,
                       struct arena *arena, struct err *err)
{
    const struct rule_info *rule = &task->rule;
    struct time_range range = task->range;
    ts_time open = task->open;
    struct point last;
    bool found;
    if (!task->has_open) {
        TRY(view_last(view, &pair->source, all_time, &last, &found, arena, err));
        open = found ? bucket_of(rule, last.ts) : TS_MAX;
    }
    if (task->lost) {
        TRY(view_last(view, &pair->dest, all_time, &last, &found, arena, err));
        range = all_time;
        if (found) range.from = sat_add(bucket_of(rule, last.ts), rule->bucket);
        /* Somebody may have written to the destination, far in the future. */
        if (found && range.from > sat_sub(open, rule->bucket))
            range.from = sat_sub(open, rule->bucket);
        range.to = sat_sub(open, 1);
    }
    if (rule->since > TS_MIN && range.from <= rule->since) range.from = sat_add(rule->since, 1);
    *out = range;
    *open_at = open;
    return ST_OK;
}

static bool push_dead(struct outcome *out, ts_time ts, bool joins)
{
    if (joins && out->dead.len) {
        out->dead.ptr[out->dead.len - 1].to = ts;
        return true;
    }
    return vec_push(&out->dead, (struct time_range){ts, ts});
}

/* What is to be written and what is to go, from what shall be and what is. A bucket from
 * `open` on is written only when it is there: it was closed before its followers were
 * deleted. */
static status compare(struct outcome *out, const struct rule_info *rule, ts_time open,
                      const struct points *old)
{
    const struct rows *rows = &out->rows;
    bool joins = false;
    size_t k = 0;
    for (size_t i = 0; i < rows->n || k < old->n;) {
        ts_time want = i < rows->n ? stamp_of(rows->ts[i]) : TS_MAX;
        if (k < old->n && (i == rows->n || old->ts[k] < want)) {
            bool ours = old->ts[k] == stamp_of(bucket_of(rule, old->ts[k]));
            if (ours && !push_dead(out, old->ts[k], joins)) return ST_NO_MEMORY;
            joins = ours;
            k++;
            continue;
        }
        uint64_t bits = f64_bits(rows->val[i]);
        bool there = k < old->n && old->ts[k] == want;
        bool same = there && old->val[k].bits == bits;
        struct point put = {want, {.bits = bits}};
        if (!same && (there || rows->ts[i] < open) && !vec_push(&out->puts, put))
            return ST_NO_MEMORY;
        k += there;
        joins = false;
        i++;
    }
    return ST_OK;
}

static status make_task(struct view *view, const struct pair_of *pair,
                        const struct rule_task *task, struct outcome *out, struct arena *arena,
                        struct err *err)
{
    const struct rule_info *rule = &task->rule;
    struct time_range range;
    struct points old = {0};
    ts_time open;
    if (pair->source.ordinal == ORDINAL_NONE || pair->dest.ordinal == ORDINAL_NONE) return ST_OK;
    TRY(range_of(view, pair, task, &range, &open, arena, err));
    if (range_empty(range)) return ST_OK;
    TRY(make_rows(view, pair, rule, range, &out->rows, arena, err));
    struct time_range there = {stamp_of(bucket_of(rule, range.from)), range.to};
    status st = range_empty(there) ? ST_OK
                                   : view_read(view, &pair->dest, there, &old, arena, err);
    if (st == ST_OK) st = compare(out, rule, open, &old);
    points_release(&old);
    return st;
}

static status run(struct job *job)
{
    struct rule_worker *worker = container_of(job, struct rule_worker, job);
    struct pair_of pairs[TASKS_MAX];
    struct arena arena;
    struct view *view;
    TRY(pin(worker->db, worker->tasks, worker->n, pairs, &view, &job->err));
    arena_init(&arena, worker->account, 4096);
    status st = ST_OK;
    for (size_t i = 0; i < worker->n && st == ST_OK; i++) {
        st = make_task(view, &pairs[i], &worker->tasks[i], &worker->outcomes[i], &arena, &job->err);
        arena_reset(&arena);
    }
    arena_release(&arena);
    db_unpin(worker->db, view);
    return st;
}

/* --- the owner ------------------------------------------------------------------------ */

static void release_outcomes(struct rule_worker *worker)
{
    for (size_t i = 0; i < worker->n; i++) {
        rows_release(&worker->outcomes[i].rows);
        vec_release(&worker->outcomes[i].puts);
        vec_release(&worker->outcomes[i].dead);
        worker->outcomes[i] = (struct outcome){.rows = {0}};
    }
}

static void end_round(struct rule_worker *worker, status st, const struct err *err, lsn at)
{
    release_outcomes(worker);
    worker->running = false;
    if (st == ST_OK) {
        db_rules_done(worker->db, worker->ticket, at);
    } else {
        if (st != ST_CLOSED && st != ST_CANCELLED)
            log_error("rules", "buckets could not be made", "status=%s reason=\"%s\"",
                      status_name(st), err_text(err, st));
        worker->pause = clock_mono(db_clock(worker->db)) + PAUSE_NS;
        db_rules_failed(worker->db, worker->ticket, worker->tasks, worker->n);
    }
    rule_worker_step(worker);
}

static bool is_lasting(status st)
{
    return st == ST_OK || st == ST_TOO_OLD || st == ST_NOT_FOUND || st == ST_WRONG_TYPE ||
           st == ST_DUPLICATE || st == ST_TOO_NEW;
}

static void written(struct batch *batch)
{
    struct rule_worker *worker = batch->ctx;
    lsn at = batch->durable_at > worker->at ? batch->durable_at : worker->at;
    struct err err = batch->err;
    status st = ST_OK;
    for (size_t i = 0; i < batch->n_rows; i++)
        if (!is_lasting((status)batch->result[i])) st = (status)batch->result[i];
    for (size_t i = 0; i < batch->n_series; i++)
        if (!is_lasting((status)batch->series[i].st)) st = (status)batch->series[i].st;
    batch_free(batch);
    worker->batch = NULL;
    end_round(worker, st, &err, at);
}

static status delete_dead(struct rule_worker *worker, size_t i, uint32_t ordinal, struct err *err)
{
    const struct outcome *out = &worker->outcomes[i];
    for (size_t k = 0; k < out->dead.len; k++) {
        lsn at = 0;
        TRY(db_delete(worker->db, &ordinal, 1, out->dead.ptr[k], &at, err));
        if (at > worker->at) worker->at = at;
    }
    return ST_OK;
}

static status add_puts(struct rule_worker *worker, size_t i, uint32_t ordinal)
{
    const struct outcome *out = &worker->outcomes[i];
    const struct series_entry *entry = registry_entry(db_registry(worker->db), ordinal);
    if (out->puts.len == 0) return ST_OK;
    int64_t idx = batch_add_series(worker->batch);
    if (idx < 0) return ST_NO_MEMORY;
    struct batch_series *series = &worker->batch->series[idx];
    series->ordinal = ordinal;
    series->gen = entry_gen(entry);
    series->type = entry->type;
    series->make = MAKE_NEVER;
    for (size_t k = 0; k < out->puts.len; k++) {
        const struct point *pt = &out->puts.ptr[k];
        if (!batch_add_row(worker->batch, (size_t)idx, pt->ts, pt->val, 0)) return ST_NO_MEMORY;
        worker->batch->on_dup[worker->batch->n_rows - 1] = DUP_LAST;
    }
    return ST_OK;
}

static status write_all(struct rule_worker *worker, struct err *err)
{
    worker->at = 0;
    worker->batch = batch_new(worker->account);
    if (!worker->batch) return ST_NO_MEMORY;
    for (size_t i = 0; i < worker->n; i++) {
        uint32_t ordinal = registry_by_id(db_registry(worker->db), worker->tasks[i].rule.dest);
        if (ordinal == ORDINAL_NONE) continue;
        TRY(delete_dead(worker, i, ordinal, err));
        TRY(add_puts(worker, i, ordinal));
    }
    return ST_OK;
}

static void publish(struct job *job, status st)
{
    struct rule_worker *worker = container_of(job, struct rule_worker, job);
    if (st == ST_OK) st = write_all(worker, &job->err);
    if (st == ST_OK && worker->batch->n_rows) {
        worker->batch->deferrable = true;
        worker->batch->done = written;
        worker->batch->ctx = worker;
        sink_write(db_sink(worker->db), worker->batch);
        return;
    }
    if (worker->batch) batch_free(worker->batch);
    worker->batch = NULL;
    end_round(worker, st, &job->err, worker->at);
}

static const struct job_ops rule_ops = {
    .name = "rules", .lane = JOB_QUERY, .run = run, .publish = publish};

void rule_worker_step(struct rule_worker *worker)
{
    if (worker->running || worker->stopped) return;
    if (worker->pause && clock_mono(db_clock(worker->db)) < worker->pause) return;
    worker->pause = 0;
    worker->n = db_rules_take(worker->db, worker->tasks, TASKS_MAX, &worker->ticket);
    if (worker->n == 0) return;
    worker->running = true;
    job_init(&worker->job, &rule_ops);
    exec_submit(db_exec(worker->db), &worker->job);
}

static void step_task(struct task *task)
{
    struct rule_worker *worker = container_of(task, struct rule_worker, task);
    worker->posted = false;
    rule_worker_step(worker);
}

/* A batch is half applied: later. */
static void dirty(void *ctx)
{
    struct rule_worker *worker = ctx;
    if (worker->posted || worker->running) return;
    worker->posted = true;
    worker->task.fn = step_task;
    exec_to_owner(db_exec(worker->db), &worker->task);
}

struct rule_worker *rule_worker_new(struct db *db, struct account *account)
{
    struct rule_worker *worker = mem_try_zero(sizeof(*worker));
    if (!worker) return NULL;
    worker->db = db;
    worker->account = account;
    list_init(&worker->task.link);
    db_rules_listen(db, (struct rule_port){.dirty = dirty, .ctx = worker});
    return worker;
}

void rule_worker_stop(struct rule_worker *worker)
{
    if (!worker || worker->stopped) return;
    db_rules_listen(worker->db, (struct rule_port){.dirty = NULL});
    worker->stopped = true;
}

void rule_worker_free(struct rule_worker *worker)
{
    if (!worker) return;
    release_outcomes(worker);
    mem_free(worker);
}

/* --- the open bucket: a worker ---------------------------------------------------------- */

static status read_open(struct view *view, const struct pair_of *pair,
                        const struct rule_info *rule, ts_time *ts, double *val, bool *found,
                        struct arena *arena, struct err *err)
{
    struct point last, newest;
    struct rows rows = {0};
    bool any;
    TRY(view_last(view, &pair->source, all_time, &last, &any, arena, err));
    if (!any || last.ts <= rule->since) return ST_OK;
    struct time_range range = {bucket_of(rule, last.ts), last.ts};
    *ts = stamp_of(range.from);
    TRY(view_last(view, &pair->dest, all_time, &newest, &any, arena, err));
    if (any && newest.ts >= *ts) return ST_OK;
    if (range.from <= rule->since) range.from = rule->since + 1;
    status st = aggregate(view, &pair->source, rule, range, range, &rows, arena, err);
    *found = st == ST_OK && rows.n > 0;
    if (*found) *val = rows.val[0];
    rows_release(&rows);
    return st;
}

status rule_open_bucket(struct db *db, series_id dest, ts_time *ts, double *val, bool *found,
                        struct arena *arena, struct err *err)
{
    struct rule_task task = {.lost = true};
    struct pair_of pair;
    struct view *view;
    *found = false;
    if (!db_rule_of_dest(db, dest, &task.rule)) return ST_OK;
    TRY(pin(db, &task, 1, &pair, &view, err));
    status st = ST_OK;
    if (pair.source.ordinal != ORDINAL_NONE && pair.dest.ordinal != ORDINAL_NONE)
        st = read_open(view, &pair, &task.rule, ts, val, found, arena, err);
    db_unpin(db, view);
    return st;
}
