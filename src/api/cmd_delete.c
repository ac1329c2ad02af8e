/* TS.DELSERIES FILTER expr ... [FROM ts] [TO ts] [DRYRUN]: deletes by selector.
 *
 * Without FROM and TO keyed series go as keys; of others the samples go, and they
 * themselves when the storage notices that nothing is left.
 */
#include "api/cmd_handlers.h"
#include "api/op_delete.h"
#include "api/ts_args.h"
#include "api/ts_filter.h"
#include "api/ts_turn.h"
#include "base/mem.h"
#include "base/panic.h"

struct delseries_args {
    struct slices exprs;
    struct ts_bound from, to;
    bool has_from, has_to, dry_run;
};

struct delseries {
    struct delete_question q;
    struct call *call;
    struct ts_filter filter;   /* texts are the call's, matchers in its arena */
    struct matchers group;
};

static bool is_option(struct slice word)
{
    return slice_is_nocase(word, "FROM") || slice_is_nocase(word, "TO") ||
           slice_is_nocase(word, "DRYRUN");
}

static status parse_options(struct call *call, struct delseries_args *args, struct arg_cursor *at)
{
    struct slice word;
    while (arg_next(at, &word)) {
        if (slice_is_nocase(word, "FROM") && !args->has_from) {
            TRY(ts_parse_from(&args->from, at, &call->err));
            args->has_from = true;
        } else if (slice_is_nocase(word, "TO") && !args->has_to) {
            TRY(ts_parse_to(&args->to, at, &call->err));
            args->has_to = true;
        } else if (slice_is_nocase(word, "DRYRUN") && !args->dry_run) {
            args->dry_run = true;
        } else {
            return call_error(call, "syntax error");
        }
    }
    return ST_OK;
}

static status parse(struct call *call, struct delseries_args *args)
{
    struct slices words = call_words(call);
    struct arg_cursor at = {
        .argv = words.ptr, .argc = words.n, .at = 1, .arena = &call->arena};
    *args = (struct delseries_args){.exprs = {words.ptr + 1, 0}};
    if (!slice_is_nocase(words.ptr[0], "FILTER"))
        return call_error(call, "TSDB: missing FILTER argument");
    while (at.at < at.argc && !is_option(at.argv[at.at])) {
        at.at++;
        args->exprs.n++;
    }
    return parse_options(call, args, &at);
}

static void answer(struct reply *reply, const struct delete_question *q)
{
    if (!q->dry_run) {
        reply_u64(reply, q->counts.n_series);
        return;
    }
    reply_map(reply, 2);
    reply_text(reply, "series");
    reply_u64(reply, q->counts.n_series);
    reply_text(reply, "samples");
    reply_u64(reply, q->counts.n_samples);
}

static void finish(struct delete_question *q)
{
    struct delseries *ds = container_of(q, struct delseries, q);
    struct call *call = ds->call;
    status st = q->st;
    lsn at = q->at;
    if (st == ST_OK) answer(&call->reply, q);
    call->err = q->err;
    ts_filter_release(&ds->filter);
    delete_question_release(q);
    mem_free(ds);
    if (st == ST_OK) call_finish_at(call, at);
    else call_fail(call, st);
}

static void start(struct call *call)
{
    struct delseries *ds = call->state;
    delete_ask(&ds->q);
}

status cmd_ts_delseries(struct call *call, const void *argp)
{
    enum precision precision = db_options(call->app->db)->precision;
    struct delseries_args args;
    struct ts_filter filter;
    (void)argp;
    TRY(parse(call, &args));
    TRY(ts_filter_parse(&filter, &call->arena, args.exprs.ptr, args.exprs.n, &call->err));
    /* The next command of this connection must see the delete. */
    status st = call_later_alone(call);
    if (st != ST_OK) {
        ts_filter_release(&filter);
        return st;
    }
    struct delseries *ds = mem_zalloc(sizeof(*ds));
    ds->call = call;
    ds->filter = filter;
    ds->group = (struct matchers){filter.matchers, filter.n};
    delete_question_init(&ds->q, call->app, call->slot);
    bool from = args.has_from && !args.from.open, to = args.has_to && !args.to.open;
    ds->q.range.from = from ? time_from_ms_clamped(args.from.ms, precision) : TS_MIN;
    ds->q.range.to = to ? time_from_ms_clamped(args.to.ms, precision) : TS_MAX;
    ds->q.groups = &ds->group;
    ds->q.n_groups = filter.none ? 0 : 1;
    ds->q.dry_run = args.dry_run;
    ds->q.drop_keys = !args.has_from && !args.has_to;
    ds->q.finish = finish;
    call->state = ds;
    ts_turn_read(call, start);
    return ST_OK;
}
