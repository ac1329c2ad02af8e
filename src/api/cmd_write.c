/* Commands that write: TS.CREATE TS.ADD TS.INCRBY TS.DECRBY TS.MADD. Each puts its part into
 * the batch of the loop's turn and is answered when that is applied and durable. */
#include "api/cmd_handlers.h"
#include "api/ts_args.h"
#include "api/ts_error.h"
#include "api/ts_key.h"
#include "api/ts_policy.h"
#include "api/ts_turn.h"

/* --- parts of a batch ----------------------------------------------------------------- */

static struct ts_part begin_part(const struct batch *batch,
                                 void (*answer)(struct call *, const struct batch *,
                                                const struct ts_part *))
{
    return (struct ts_part){
        .first_series = batch->n_series, .first_row = batch->n_rows, .answer = answer};
}

/* A series for the key in the batch; attrs NULL: it must exist. */
static status add_series(struct call *call, struct batch *batch, struct slice key,
                         const struct ts_labels *labels, const struct series_attrs *attrs,
                         enum batch_make make, size_t *idx)
{
    int64_t at = batch_add_series(batch);
    if (at < 0) return ST_NO_MEMORY;
    struct batch_series *series = &batch->series[at];
    *idx = (size_t)at;
    series->make = make;
    if (make == MAKE_NEVER) {
        /* The labels of a key that is not there: a command before this one may make it. */
        status st = ts_key_series(call->app, batch, series, key, NULL, 0, NULL);
        return st == ST_BAD_LABEL ? ST_OK : st;
    }
    struct series_attrs *kept = arena_try(&batch->arena, sizeof(*kept));
    if (!kept) return ST_NO_MEMORY;
    *kept = *attrs;
    TRY(ts_key_series(call->app, batch, series, key, labels->ptr, labels->n, &call->err));
    if (series->name) series->name->attrs = kept;
    return ST_OK;
}

/* Looking at the registry needs a reader's slot off the owner's loop. */
static int enter(struct call *call)
{
    return app_is_owner(call->app) ? -1 : db_reader_enter(call->app->db);
}

static void leave(struct call *call, int slot)
{
    if (slot >= 0) db_reader_leave(call->app->db, slot);
}

/* Ends the command's part, or takes it out of the batch when something failed. */
static status end_part(struct call *call, struct ts_part *part, status st)
{
    if (st == ST_OK) st = call_later(call);
    if (st == ST_OK)
        ts_turn_end(call, part);
    else
        ts_turn_cancel(call, part);
    return st == ST_BAD_LABEL ? err_wrap(&call->err, st, "TSDB") : st;
}

/* --- TS.CREATE ------------------------------------------------------------------------ */

struct create_args {
    struct slice key;
    struct ts_create_args with;
};

static const struct arg_spec create_spec[] = {
    ARG_POS(struct create_args, key, ARG_SLICE),
    TS_CREATE_SPEC(struct create_args, with),
    ARG_END,
};
const struct arg_shape ts_create_shape = ARG_SHAPE(struct create_args, create_spec);

static void answer_create(struct call *call, const struct batch *batch, const struct ts_part *part)
{
    const struct batch_series *series = &batch->series[part->first_series];
    if (series->st == ST_OK)
        reply_ok(&call->reply);
    else
        ts_reply_error(&call->reply, series->st);
}

status cmd_ts_create(struct call *call, const void *argp)
{
    const struct create_args *args = argp;
    struct series_attrs attrs = ts_attrs(app_settings(call->app), &args->with);
    struct batch *batch = ts_turn_begin(call);
    size_t idx;
    if (!batch) return ST_NO_MEMORY;
    struct ts_part part = begin_part(batch, answer_create);
    int slot = enter(call);
    status st = add_series(call, batch, args->key, &args->with.labels, &attrs, MAKE_REQUIRED, &idx);
    leave(call, slot);
    return end_part(call, &part, st);
}

/* --- TS.ADD --------------------------------------------------------------------------- */

struct add_args {
    struct slice key, ts, value;
    struct ts_create_args with;
    enum dup_policy on_duplicate;
};

static const struct arg_spec add_spec[] = {
    ARG_POS(struct add_args, key, ARG_SLICE),
    ARG_POS(struct add_args, ts, ARG_SLICE),
    ARG_POS(struct add_args, value, ARG_SLICE),
    TS_CREATE_SPEC(struct add_args, with),
    ARG_SUB("ON_DUPLICATE", struct add_args, on_duplicate, ts_parse_policy),
    ARG_END,
};
const struct arg_shape ts_add_shape = ARG_SHAPE(struct add_args, add_spec);

static int64_t applied_ms(const struct call *call, const struct batch *batch, size_t row)
{
    return time_to_ms(batch->applied_ts[row], db_options(call->app->db)->precision);
}

static void answer_row(struct call *call, const struct batch *batch, size_t row)
{
    status st = (status)batch->result[row];
    if (st == ST_OK || st == ST_IGNORED)
        reply_int(&call->reply, applied_ms(call, batch, row));
    else
        ts_reply_error(&call->reply, st);
}

static void answer_add(struct call *call, const struct batch *batch, const struct ts_part *part)
{
    answer_row(call, batch, part->first_row);
}

struct sample {
    ts_time ts;
    double v;
    enum dup_policy on_duplicate;
};

/* A sample of a series that is made when it is missing. */
static status add_sample(struct call *call, struct slice key, const struct ts_labels *labels,
                         const struct series_attrs *attrs, const struct sample *sample,
                         void (*answer)(struct call *, const struct batch *,
                                        const struct ts_part *))
{
    struct batch *batch = ts_turn_begin(call);
    size_t idx;
    if (!batch) return ST_NO_MEMORY;
    struct ts_part part = begin_part(batch, answer);
    part.follow = ts_policy_follow;
    union value val = {.bits = f64_bits(sample->v)};
    int slot = enter(call);
    status st = add_series(call, batch, key, labels, attrs, MAKE_ALLOWED, &idx);
    leave(call, slot);
    if (st == ST_OK && !batch_add_row(batch, idx, sample->ts, val, 0)) st = ST_NO_MEMORY;
    if (st == ST_OK) batch->on_dup[part.first_row] = (uint8_t)sample->on_duplicate;
    return end_part(call, &part, st);
}

status cmd_ts_add(struct call *call, const void *argp)
{
    const struct add_args *args = argp;
    struct series_attrs attrs = ts_attrs(app_settings(call->app), &args->with);
    double v;
    int64_t ms;
    ts_time ts;
    TRY(ts_value(&v, args->value, &call->err));
    TRY(ts_time_ms(&ms, args->ts, clock_wall(call->app->clock), &call->err));
    if (!time_from_ms(&ts, ms, db_options(call->app->db)->precision))
        return call_error(call, "TSDB: invalid timestamp");
    return add_sample(call, args->key, &args->with.labels, &attrs,
                      &(struct sample){ts, v, args->on_duplicate}, answer_add);
}

/* --- TS.INCRBY, TS.DECRBY ------------------------------------------------------------- */

struct incr_args {
    struct slice key, addend;
    struct slice ts;
    struct ts_create_args with;
};

static const struct arg_spec incr_spec[] = {
    ARG_POS(struct incr_args, key, ARG_SLICE),
    ARG_POS(struct incr_args, addend, ARG_SLICE),
    ARG_OPT("TIMESTAMP", struct incr_args, ts, ARG_SLICE, 0, 0),
    TS_CREATE_SPEC(struct incr_args, with),
    ARG_END,
};
const struct arg_shape ts_incr_shape = ARG_SHAPE(struct incr_args, incr_spec);

static void answer_incr(struct call *call, const struct batch *batch, const struct ts_part *part)
{
    switch (batch->result[part->first_row]) {
    case ST_TOO_OLD:
        resp_errorf(&call->reply.w, "ERR TSDB: timestamp must be equal to or higher than the "
                                    "maximum existing timestamp");
        break;
    case ST_BAD_VALUE:
        resp_errorf(&call->reply.w, "ERR TSDB: cannot increment/decrement NaN value");
        break;
    default: answer_row(call, batch, part->first_row);
    }
}

static status increment(struct call *call, const struct incr_args *args, bool down)
{
    struct series_attrs attrs = ts_attrs(app_settings(call->app), &args->with);
    struct slice when = args->ts.ptr ? args->ts : SLICE_LIT("*");
    double v;
    int64_t ms;
    ts_time ts;
    if (!arg_double(&v, args->addend))
        return call_error(call, "TSDB: invalid increase/decrease value");
    TRY(ts_time_ms(&ms, when, clock_wall(call->app->clock), &call->err));
    if (!time_from_ms(&ts, ms, db_options(call->app->db)->precision))
        return call_error(call, "TSDB: invalid timestamp");
    return add_sample(call, args->key, &args->with.labels, &attrs,
                      &(struct sample){ts, down ? -v : v, DUP_INCREMENT}, answer_incr);
}

status cmd_ts_incrby(struct call *call, const void *argp)
{
    return increment(call, argp, false);
}

status cmd_ts_decrby(struct call *call, const void *argp)
{
    return increment(call, argp, true);
}

/* --- TS.MADD -------------------------------------------------------------------------- */

static void answer_madd(struct call *call, const struct batch *batch, const struct ts_part *part)
{
    reply_array(&call->reply, part->n_rows);
    for (size_t i = 0; i < part->n_rows; i++) answer_row(call, batch, part->first_row + i);
}

/* What is wrong with a triple's words, as the status that stands for the text. */
static status read_sample(struct call *call, const struct slice *words, int64_t now_ms, double *v,
                          ts_time *ts)
{
    int64_t ms;
    *ts = 0;
    *v = 0;
    if (ts_value(v, words[2], NULL) != ST_OK) return ST_BAD_VALUE;
    if (ts_time_ms(&ms, words[1], now_ms, NULL) != ST_OK)
        return arg_int(&ms, words[1]) ? ST_PROTOCOL : ST_INVALID;
    return time_from_ms(ts, ms, db_options(call->app->db)->precision) ? ST_OK : ST_INVALID;
}

static status add_triples(struct call *call, struct batch *batch, const struct ts_part *part,
                          const struct slice *words, size_t n)
{
    int64_t now_ms = clock_wall(call->app->clock); /* '*' is one moment for the command */
    const struct ts_labels none = {NULL, 0};
    for (size_t i = 0; i < n; i++) {
        double v;
        ts_time ts;
        size_t idx;
        status st = read_sample(call, words + 3 * i, now_ms, &v, &ts);
        TRY(add_series(call, batch, words[3 * i], &none, NULL, MAKE_NEVER, &idx));
        if (!batch_add_row(batch, idx, ts, (union value){.bits = f64_bits(v)}, 0))
            return ST_NO_MEMORY;
        batch->result[part->first_row + i] = (uint8_t)st;
    }
    return ST_OK;
}

status cmd_ts_madd(struct call *call, const void *argp)
{
    (void)argp;
    struct slices words = call_words(call);
    if (words.n % 3) return call_error(call, "wrong number of arguments for 'ts.madd' command");
    struct batch *batch = ts_turn_begin(call);
    if (!batch) return ST_NO_MEMORY;
    struct ts_part part = begin_part(batch, answer_madd);
    int slot = enter(call);
    status st = add_triples(call, batch, &part, words.ptr, words.n / 3);
    leave(call, slot);
    return end_part(call, &part, st);
}
