/* COPY DUMP RESTORE: a series as a value (series_image.h).
 *
 *     worker   read or decode the image
 *     owner    is the name free? [delete what has it]
 *     loop     batches of samples, one after the other; the first makes the series
 *     owner    [its expiry]
 *     loop     the answer, when the last batch is durable
 *
 * The new series can be seen while it fills; commands of the same connection, and those of
 * a transaction, wait for its end.
 */
#include "api/cmd_handlers.h"
#include "api/events.h"
#include "api/keyspace.h"
#include "api/series_image.h"
#include "api/ts_key.h"
#include "api/ts_read.h"
#include "api/ts_turn.h"
#include "base/mem.h"
#include "base/panic.h"
#include "engine/delete_many.h"

enum { BATCH_ROWS = 8192 };

/* --- DUMP ---------------------------------------------------- */

static status run_dump(struct ts_read *read)
{
    const struct slice *key = read->args;
    struct series_image image;
    struct strbuf text;
    bool found;

    TRY(series_image_read(&image, &read->work, *key, &found));
    if (!found) {
        reply_null(&read->reply);
        return ST_OK;
    }
    strbuf_init(&text, 0);
    series_image_put(&text, &image, db_options(read->work.app->db)->precision);
    series_image_release(&image);
    if (text.failed) read->reply.w.out->failed = true;
    else reply_bulk(&read->reply, strbuf_view(&text));
    strbuf_release(&text);
    return ST_OK;
}

status cmd_dump(struct call *call, const void *args)
{
    struct slice *key = arena_try(&call->arena, sizeof(*key));

    (void)args;
    if (!key) return ST_NO_MEMORY;
    *key = call->argv[1];
    return ts_read_start(call, key, 0, run_dump);
}

/* --- a copy under way ---------------------------------------------------- */

struct copy {
    struct query_work work;
    struct write_work write;
    struct delete_op del;
    struct task task;
    struct call *call;
    struct loop *home;
    struct slice to;           /* of the call */
    struct series_image image;
    bool restore, replace, found, exists;
    int64_t expire_ms;         /* 0: never */
    series_id other;           /* what is deleted */
    size_t n_written;
    bool begun;                /* the series is made */
    lsn at;
    status st;
    struct err err;
};

static void free_copy(struct copy *copy)
{
    series_image_release(&copy->image);
    query_work_release(&copy->work);
    mem_free(copy);
}

/* The home loop: the end. */
static void finish(struct copy *copy)
{
    struct call *call = copy->call;
    status st = copy->st;
    lsn at = copy->at;

    if (st != ST_OK) {
        call->err = copy->err;
    } else if (copy->restore && copy->exists) {
        st = call_error_raw(call, "BUSYKEY Target key name already exists.");
    } else if (copy->restore) {
        reply_ok(&call->reply);
    } else {
        reply_int(&call->reply, copy->begun);
    }
    if (copy->begun && st == ST_OK)
        events_tell(call->app, EVENT_GENERIC, copy->restore ? "restore" : "copy_to", copy->to);
    free_copy(copy);
    if (st == ST_OK) call_finish_at(call, at);
    else call_fail(call, st);
}

static void finish_task(struct task *task)
{
    finish(container_of(task, struct copy, task));
}

/* --- the expiry ---------------------------------------------------- */

static void set_expiry(struct task *task)
{
    struct copy *copy = container_of(task, struct copy, task);
    struct app *app = copy->call->app;
    uint32_t ordinal = ts_key_find(app, copy->to);
    lsn at = copy->at;

    if (ordinal != ORDINAL_NONE)
        copy->st = keyspace_expire(app, ordinal, copy->expire_ms, &at, &copy->err);
    if (at > copy->at) copy->at = at;
    copy->task.fn = finish_task;
    app_to_loop(copy->home, &copy->task);
}

/* --- samples ---------------------------------------------------- */

static void write_next(struct copy *copy);

static status outcome(const struct copy *copy, struct err *err)
{
    const struct batch *batch = copy->write.batch;

    if (batch->st != ST_OK) {
        *err = batch->err;
        return batch->st;
    }
    if (batch->series[0].st != ST_OK) return (status)batch->series[0].st;
    for (size_t i = 0; i < batch->n_rows; i++) {
        status st = (status)batch->result[i];
        if (st != ST_OK && st != ST_IGNORED && st != ST_DUPLICATE)
            return err_set(err, st, "a sample of the copy was refused: %s", status_text(st));
    }
    return ST_OK;
}

static void written(struct write_work *work)
{
    struct copy *copy = container_of(work, struct copy, write);

    copy->st = outcome(copy, &copy->err);
    if (work->batch->durable_at > copy->at) copy->at = work->batch->durable_at;
    copy->n_written += work->batch->n_rows;
    batch_free(work->batch);
    work->batch = NULL;
    if (copy->st != ST_OK) {
        finish(copy);
        return;
    }
    copy->begun = true;
    if (copy->n_written < copy->image.pts.n) {
        write_next(copy);
    } else if (copy->expire_ms) {
        copy->task.fn = set_expiry;
        app_to_owner(copy->call->app, &copy->task);
    } else {
        finish(copy);
    }
}

static status fill_batch(struct copy *copy, struct batch *batch)
{
    struct app *app = copy->call->app;
    const struct series_image *image = &copy->image;
    int64_t idx = batch_add_series(batch);
    if (idx < 0) return ST_NO_MEMORY;
    struct batch_series *series = &batch->series[0];
    struct series_attrs *attrs = arena_try(&batch->arena, sizeof(*attrs));
    if (!attrs) return ST_NO_MEMORY;
    *attrs = image->attrs;
    attrs->expire_ms = 0; /* set at the end */
    series->make = copy->begun ? MAKE_ALLOWED : MAKE_REQUIRED;
    series->type = (uint8_t)image->type;
    TRY(ts_key_series(app, batch, series, copy->to, image->labels, image->n_labels, &copy->err));
    if (series->name && image->has_attrs) series->name->attrs = attrs;
    for (size_t i = copy->n_written; i < image->pts.n && batch->n_rows < BATCH_ROWS; i++) {
        if (!batch_add_row(batch, 0, image->pts.ts[i], image->pts.val[i], 0)) return ST_NO_MEMORY;
        batch->on_dup[batch->n_rows - 1] = DUP_LAST;
    }
    return ST_OK;
}

static void write_next(struct copy *copy)
{
    struct app *app = copy->call->app;
    struct batch *batch = batch_new(app->net_account);
    int slot = app_is_owner(app) ? -1 : db_reader_enter(app->db);

    copy->st = batch ? fill_batch(copy, batch) : ST_NO_MEMORY;
    if (slot >= 0) db_reader_leave(app->db, slot);
    if (copy->st != ST_OK) {
        if (copy->err.st == ST_OK) (void)err_set(&copy->err, copy->st, "the copy of a series");
        if (batch) batch_free(batch);
        finish(copy);
        return;
    }
    write_work_start(&copy->write, app, copy->home, batch, written);
}

static void write_task(struct task *task)
{
    write_next(container_of(task, struct copy, task));
}

/* --- the name ---------------------------------------------------- */

static void go_home(struct copy *copy, void (*fn)(struct task *))
{
    copy->task.fn = fn;
    app_to_loop(copy->home, &copy->task);
}

static void other_is_gone(struct delete_op *op)
{
    struct copy *copy = container_of(op, struct copy, del);

    copy->st = op->st;
    copy->err = op->err;
    go_home(copy, op->st == ST_OK ? write_task : finish_task);
}

static void look_at_name(struct task *task)
{
    struct copy *copy = container_of(task, struct copy, task);
    struct app *app = copy->call->app;
    uint32_t ordinal = ts_key_find(app, copy->to);

    copy->exists = ordinal != ORDINAL_NONE && !copy->replace;
    if (copy->exists) {
        go_home(copy, finish_task);
        return;
    }
    if (ordinal == ORDINAL_NONE) {
        go_home(copy, write_task);
        return;
    }
    copy->other = registry_entry(db_registry(app->db), ordinal)->id;
    copy->del = (struct delete_op){.ids = &copy->other,
                                   .n = 1,
                                   .range = {TS_MIN, TS_MAX},
                                   .drop_keys = true,
                                   .done = other_is_gone};
    list_init(&copy->del.link);
    db_delete_many(app->db, &copy->del);
}

/* --- the image ---------------------------------------------------- */

static status run_copy(struct query_work *work)
{
    struct copy *copy = container_of(work, struct copy, work);
    struct call *call = copy->call;

    if (!copy->restore) {
        TRY(series_image_read(&copy->image, work, call->argv[1], &copy->found));
        copy->expire_ms = copy->image.attrs.expire_ms;
        return ST_OK;
    }
    copy->found = true;
    status st = series_image_get(&copy->image, call->argv[3],
                                 db_options(call->app->db)->precision, &work->arena);
    if (st != ST_CORRUPT) return st;
    return err_set(&work->err, ST_INVALID, "DUMP payload version or checksum are wrong");
}

static void have_image(struct query_work *work)
{
    struct copy *copy = container_of(work, struct copy, work);

    copy->st = work->st;
    copy->err = work->err;
    if (copy->st != ST_OK || !copy->found) {
        finish(copy);
        return;
    }
    copy->task.fn = look_at_name;
    app_to_owner(work->app, &copy->task);
}

static void start_copy(struct call *call)
{
    struct copy *copy = call->state;
    query_work_start(&copy->work);
}

static status begin(struct call *call, const struct copy *what)
{
    TRY(call_later_alone(call));
    struct copy *copy = mem_zalloc(sizeof(*copy));
    *copy = *what;
    copy->call = call;
    copy->home = conn_loop_loop(conn_home(call->conn));
    copy->to = call->argv[copy->restore ? 1 : 2];
    list_init(&copy->task.link);
    query_work_init(&copy->work, call->app, call->slot, 0, run_copy, have_image);
    call->state = copy;
    ts_turn_read(call, start_copy);
    return ST_OK;
}

/* --- COPY ---------------------------------------------------- */

status cmd_copy(struct call *call, const void *args)
{
    struct copy what = {.st = ST_OK};
    int64_t db;

    (void)args;
    for (size_t i = 3; i < call->argc; i++) {
        if (slice_is_nocase(call->argv[i], "REPLACE")) {
            what.replace = true;
        } else if (slice_is_nocase(call->argv[i], "DB") && i + 1 < call->argc) {
            if (!arg_int(&db, call->argv[++i]))
                return call_error(call, "value is not an integer or out of range");
            if (db != 0) return call_error(call, "DB index is out of range");
        } else {
            return call_error(call, "syntax error");
        }
    }
    if (slice_eq(call->argv[1], call->argv[2]))
        return call_error(call, "source and destination objects are the same");
    return begin(call, &what);
}

/* --- RESTORE ---------------------------------------------------- */

static status parse_restore(struct call *call, struct copy *what, bool *absolute)
{
    int64_t number;

    for (size_t i = 4; i < call->argc; i++) {
        bool idle = slice_is_nocase(call->argv[i], "IDLETIME");
        if (slice_is_nocase(call->argv[i], "REPLACE")) {
            what->replace = true;
        } else if (slice_is_nocase(call->argv[i], "ABSTTL")) {
            *absolute = true;
        } else if ((idle || slice_is_nocase(call->argv[i], "FREQ")) && i + 1 < call->argc) {
            if (!arg_int(&number, call->argv[++i]))
                return call_error(call, "value is not an integer or out of range");
            if (number < 0 || (!idle && number > 255))
                return call_error(call, "Invalid %s value, must be >= 0%s",
                                  idle ? "IDLETIME" : "FREQ", idle ? "" : " and <= 255");
        } else {
            return call_error(call, "syntax error");
        }
    }
    return ST_OK;
}

status cmd_restore(struct call *call, const void *args)
{
    struct copy what = {.restore = true};
    bool absolute = false;
    int64_t ttl;

    (void)args;
    TRY(parse_restore(call, &what, &absolute));
    if (!arg_int(&ttl, call->argv[2]))
        return call_error(call, "value is not an integer or out of range");
    if (ttl < 0) return call_error(call, "Invalid TTL value, must be >= 0");
    what.expire_ms = ttl;
    if (ttl && !absolute &&
        __builtin_add_overflow(ttl, clock_wall(call->app->clock), &what.expire_ms))
        return call_error(call, "Invalid TTL value, must be >= 0");
    return begin(call, &what);
}
