/* TS.READ key cursor [BLOCK ms min_count] [MAX_COUNT n] (resp.md 2.17).
 *
 *     home     begin ------> owner   mark           what is written from here on is news
 *     worker   run: enough? the answer : more
 *     home     part ------> owner   watch          until the key is touched
 *     owner    changed: mark anew ------> home   resume -> run
 *     home     the timer, the client, a stop: the watch is taken back first
 *
 * The watch belongs to the owner, the rest to the connection's loop or the worker in turn.
 */
#include "api/cmd_handlers.h"
#include "api/ts_args.h"
#include "api/ts_key.h"
#include "api/ts_series.h"
#include "api/ts_turn.h"
#include "api/txn.h"
#include "base/mem.h"
#include "base/panic.h"

struct read_args {
    struct slice key;
    enum { CURSOR_AT, CURSOR_NEWEST, CURSOR_BEHIND } cursor;
    int64_t cursor_ms, block_ms, min_count, max_count;
    bool blocks;
};

struct reading {
    struct query_work work;
    struct call *call;
    struct reply reply;
    struct read_args args;
    struct task task, wake;     /* to the owner and back; from the watch */
    struct timer timer;
    struct ts_watch watch;
    ts_time from;               /* the cursor, once it is settled */
    bool settled;
    bool started;               /* the work */
    bool existed;               /* the key, once */
    bool last;                  /* the answer is what there is: time is up */
    bool watching;              /* home: the owner has the watch, or its wake is on its way */
};

/* --- the answer: a worker ------------------------------------------------------------------ */

static status settle_cursor(struct reading *r, struct ts_one *one)
{
    enum precision precision = db_options(r->work.app->db)->precision;
    struct point newest;
    bool found = false;
    if (r->settled) return ST_OK;
    if (r->args.cursor != CURSOR_AT && one)
        TRY(ts_last(&r->work, one->set, one->idx, &newest, &found));
    r->settled = true;
    r->from = time_from_ms_clamped(r->args.cursor_ms, precision);
    if (found)
        r->from = r->args.cursor == CURSOR_NEWEST
                      ? newest.ts
                      : time_from_ms_clamped(time_to_ms(newest.ts, precision) + 1, precision);
    return ST_OK;
}

static void put_rows(struct reading *r, const struct rows *rows)
{
    enum precision precision = db_options(r->work.app->db)->precision;
    reply_array(&r->reply, rows->n);
    for (size_t i = 0; i < rows->n; i++) {
        reply_array(&r->reply, 2);
        reply_int(&r->reply, time_to_ms(rows->ts[i], precision));
        reply_double(&r->reply, rows->val[i]);
    }
}

/* Enough samples, or an answer all the same; else there is more to come. */
static status answer_or_wait(struct reading *r, struct ts_one *one)
{
    struct range_spec spec = {.range = {r->from, TS_MAX}, .count = (uint64_t)r->args.max_count};
    struct points pts = {0};
    struct rows rows = {0};
    status st = series_read(one->set, one->idx, &pts, &r->work.err);
    struct points *part = &pts;
    size_t skip = st == ST_OK ? points_seek(part, r->from) : 0;
    struct points tail = {.ts = pts.ts + skip, .val = pts.val + skip, .n = pts.n - skip};
    if (st == ST_OK)
        st = aggregate_range(&rows, &tail, one->set->types[one->idx], &spec, &r->work.budget,
                             &r->work.err);
    bool enough = !r->args.blocks || r->last || rows.n >= (uint64_t)r->args.min_count;
    if (st == ST_OK && enough) put_rows(r, &rows);
    r->work.more = st == ST_OK && !enough;
    rows_release(&rows);
    points_release(&pts);
    return st;
}

static status run(struct query_work *work)
{
    struct reading *r = container_of(work, struct reading, work);
    struct ts_one one;
    struct time_range range = {r->settled ? r->from : TS_MIN, TS_MAX};
    arena_reset(&work->arena);
    status st = ts_one_fetch(&one, work, r->args.key, range, false);
    if (st == ST_NOT_FOUND) {
        work->err = (struct err){.st = ST_OK};
        TRY(settle_cursor(r, NULL));
        bool waits = r->args.blocks && !r->last && !r->existed;
        if (!waits) reply_array(&r->reply, 0);
        work->more = waits;
        return ST_OK;
    }
    if (st != ST_OK) return st;
    r->existed = true;
    r->watch.id = one.set->ids[one.idx];
    st = settle_cursor(r, &one);
    if (st == ST_OK) st = answer_or_wait(r, &one);
    ts_one_done(&one, work);
    return st;
}

/* --- the end: home ------------------------------------------------------------------------- */

static void really_finish(struct reading *r)
{
    struct call *call = r->call;
    status st = r->work.st;
    timer_cancel(loop_wheel(r->work.home), &r->timer);
    if (st == ST_OK) reply_slot_take(call->slot, &r->work.out);
    else call->err = r->work.err;
    query_work_release(&r->work);
    mem_free(r);
    if (st == ST_OK) call_finish(call);
    else call_fail(call, st);
}

static void unwatched(struct task *task)
{
    really_finish(container_of(task, struct reading, task));
}

static void take_back_and_finish(struct task *task)
{
    struct reading *r = container_of(task, struct reading, task);
    ts_watch_remove(&r->watch);
    r->task.fn = unwatched;
    loop_post(r->work.home, &r->task); /* behind a wake that may be on its way */
}

static void finish(struct query_work *work)
{
    struct reading *r = container_of(work, struct reading, work);
    if (!r->watching) {
        really_finish(r);
        return;
    }
    r->task.fn = take_back_and_finish; /* the client has gone while it waited */
    app_to_owner(work->app, &r->task);
}

/* --- waiting --------------------------------------------------------------------------------- */

/* Home: a wait is no time that the query took. */
static void go_on(struct reading *r)
{
    struct query_work *work = &r->work;
    int64_t limit_ms = app_settings(work->app)->query_timeout_ms;
    work->began = work->note.began = clock_mono(work->app->clock);
    work->budget.deadline = limit_ms ? work->began + limit_ms * 1000000 : 0;
    work->budget.n_samples = work->budget.n_series = 0;
    if (r->started) {
        query_work_resume(work);
        return;
    }
    r->started = true;
    query_work_start(work);
}

static void woken(struct task *task)
{
    struct reading *r = container_of(task, struct reading, wake);
    if (!r->watching) return;
    r->watching = false;
    go_on(r);
}

/* Owner. What is written from here on is news for the next look. */
static void changed(struct ts_watch *watch, bool stopping)
{
    struct reading *r = container_of(watch, struct reading, watch);
    watch->mark = db_mark(r->work.app->db);
    if (stopping) watch->over = true;
    r->wake.fn = woken;
    loop_post(r->work.home, &r->wake);
}

static void watch_on_owner(struct task *task)
{
    struct reading *r = container_of(task, struct reading, task);
    ts_watch_add(r->work.app, &r->watch);
}

static void part(struct query_work *work)
{
    struct reading *r = container_of(work, struct reading, work);
    if (r->last || r->watch.over) {
        r->last = true;
        go_on(r);
        return;
    }
    r->watching = true;
    r->task.fn = watch_on_owner;
    app_to_owner(work->app, &r->task);
}

static void wake_on_owner(struct task *task)
{
    struct reading *r = container_of(task, struct reading, task);
    if (ts_watch_remove(&r->watch)) changed(&r->watch, false);
}

static void time_is_up(struct timer *timer)
{
    struct reading *r = container_of(timer, struct reading, timer);
    r->last = true;
    if (!r->watching) return; /* it is looking: then it answers */
    r->task.fn = wake_on_owner;
    app_to_owner(r->work.app, &r->task);
}

/* --- the beginning --------------------------------------------------------------------------- */

static void marked(struct task *task)
{
    go_on(container_of(task, struct reading, task));
}

static void mark_on_owner(struct task *task)
{
    struct reading *r = container_of(task, struct reading, task);
    r->watch.mark = db_mark(r->work.app->db);
    r->task.fn = marked;
    app_to_loop(r->work.home, &r->task);
}

static void begin(struct call *call)
{
    struct reading *r = call->state;
    if (r->args.blocks) txn_call_waits(call);
    if (r->args.blocks && r->args.block_ms)
        timer_set(loop_wheel(r->work.home), &r->timer, r->args.block_ms);
    r->task.fn = mark_on_owner;
    app_to_owner(call->app, &r->task);
}

static status parse_cursor(struct call *call, struct read_args *args, struct slice word)
{
    if (slice_is(word, "-")) args->cursor_ms = 0;
    else if (slice_is(word, "+")) args->cursor = CURSOR_NEWEST;
    else if (slice_is(word, "$")) args->cursor = CURSOR_BEHIND;
    else if (!arg_int(&args->cursor_ms, word) || args->cursor_ms < 0)
        return call_error(call, "TSDB: invalid timestamp");
    return ST_OK;
}

static status parse(struct call *call, struct read_args *args)
{
    struct slices words = call_words(call);
    *args = (struct read_args){.key = words.ptr[0]};
    TRY(parse_cursor(call, args, words.ptr[1]));
    for (size_t at = 2; at < words.n;) {
        size_t left = words.n - at - 1;
        if (slice_is_nocase(words.ptr[at], "BLOCK") && left >= 2) {
            if (!arg_int(&args->block_ms, words.ptr[at + 1]) || args->block_ms < 0)
                return call_error(call, "TSDB: BLOCK milliseconds must be a non-negative integer");
            if (!arg_int(&args->min_count, words.ptr[at + 2]) || args->min_count < 1)
                return call_error(call, "TSDB: BLOCK min_count must be a positive integer");
            args->blocks = true;
            at += 3;
        } else if (slice_is_nocase(words.ptr[at], "MAX_COUNT") && left >= 1) {
            if (!arg_int(&args->max_count, words.ptr[at + 1]) || args->max_count < 1)
                return call_error(call, "TSDB: MAX_COUNT must be a positive integer");
            at += 2;
        } else {
            return call_error(call, "wrong number of arguments for 'ts.read' command");
        }
    }
    if (args->blocks && args->max_count && args->min_count > args->max_count)
        return call_error(call, "TSDB: BLOCK min_count must be <= MAX_COUNT");
    return ST_OK;
}

status cmd_ts_read(struct call *call, const void *argp)
{
    struct read_args args;
    (void)argp;
    if (call->in_exec) return call_error(call, "TSDB: TS.READ is not allowed inside MULTI");
    TRY(parse(call, &args));
    TRY(call_later_alone(call));
    struct reading *r = mem_zalloc(sizeof(*r));
    r->call = call;
    r->args = args;
    list_init(&r->task.link);
    list_init(&r->wake.link);
    timer_init(&r->timer, time_is_up);
    query_work_init(&r->work, call->app, call->slot, 0, run, finish);
    r->work.part = part;
    r->watch = (struct ts_watch){.key = args.key, .changed = changed};
    list_init(&r->watch.link);
    reply_init(&r->reply, &r->work.out, call->session->version);
    call->state = r;
    ts_turn_read(call, begin);
    return ST_OK;
}
