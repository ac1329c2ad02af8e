/* TS.NRANGE and TS.NREVRANGE: several keys, one row for each time (resp.md 2.12).
 *
 * The rows of each key are made as TS.RANGE makes them, then merged by time; where a key
 * has nothing the row has NaN. */
#include <math.h>
#include <string.h>

#include "api/cmd_handlers.h"
#include "api/ts_args.h"
#include "api/ts_read.h"
#include "api/ts_series.h"
#include "base/panic.h"

struct nrange_args {
    struct slices keys;
    struct ts_range_args range;
    struct ts_aggregation *aggs; /* one for each key; NULL: none */
    bool reverse;
};

static const struct arg_spec nrange_spec[] = {
    ARG_POS_BY(struct nrange_args, range.from, ts_parse_from),
    ARG_POS_BY(struct nrange_args, range.to, ts_parse_to),
    TS_RANGE_SPEC(struct nrange_args, range),
    ARG_END,
};
static const struct arg_shape nrange_shape = ARG_SHAPE(struct nrange_args, nrange_spec);

/* --- the answer ------------------------------------------------------------------------- */

/* Where a key is in its rows. */
struct lane {
    struct rows rows;
    size_t at, n_vals;
};

static status read_lane(struct ts_read *read, const struct ts_one *one, struct lane *lane,
                        const struct range_spec *spec)
{
    const struct nrange_args *args = read->args;
    struct points pts = {0};
    status st = series_read(one->set, one->idx, &pts, &read->work.err);
    if (st == ST_OK && args->range.latest)
        st = ts_add_latest(&read->work, one->set->ids[one->idx], spec->range, &pts);
    if (st == ST_OK)
        st = aggregate_range(&lane->rows, &pts, one->set->types[one->idx], spec,
                             &read->work.budget, &read->work.err);
    points_release(&pts);
    return st;
}

static bool next_time(const struct lane *lanes, size_t n, bool reverse, ts_time *ts)
{
    bool any = false;
    for (size_t i = 0; i < n; i++) {
        if (lanes[i].at == lanes[i].rows.n) continue;
        ts_time t = lanes[i].rows.ts[lanes[i].at];
        if (!any || (reverse ? t > *ts : t < *ts)) *ts = t;
        any = true;
    }
    return any;
}

static uint64_t count_rows(struct lane *lanes, size_t n, const struct range_spec *spec)
{
    uint64_t n_rows = 0;
    ts_time ts = 0;
    while ((!spec->count || n_rows < spec->count) && next_time(lanes, n, spec->reverse, &ts)) {
        for (size_t i = 0; i < n; i++)
            if (lanes[i].at < lanes[i].rows.n && lanes[i].rows.ts[lanes[i].at] == ts)
                lanes[i].at++;
        n_rows++;
    }
    for (size_t i = 0; i < n; i++) lanes[i].at = 0;
    return n_rows;
}

static void put_row(struct reply *reply, struct lane *lanes, size_t n, ts_time ts,
                    enum precision precision)
{
    size_t n_vals = 0;
    for (size_t i = 0; i < n; i++) n_vals += lanes[i].n_vals;
    reply_array(reply, 2);
    reply_int(reply, time_to_ms(ts, precision));
    reply_array(reply, n_vals);
    for (size_t i = 0; i < n; i++) {
        struct lane *lane = &lanes[i];
        bool has = lane->at < lane->rows.n && lane->rows.ts[lane->at] == ts;
        for (size_t k = 0; k < lane->n_vals; k++)
            reply_double(reply, has ? lane->rows.val[lane->at * lane->n_vals + k] : (double)NAN);
        lane->at += has;
    }
}

static status put_rows(struct ts_read *read, struct lane *lanes, size_t n,
                       const struct range_spec *spec)
{
    enum precision precision = db_options(read->work.app->db)->precision;
    uint64_t n_rows = count_rows(lanes, n, spec);
    reply_array(&read->reply, (size_t)n_rows);
    for (uint64_t i = 0; i < n_rows; i++) {
        ts_time ts = 0;
        (void)next_time(lanes, n, spec->reverse, &ts); /* there are n_rows of them */
        put_row(&read->reply, lanes, n, ts, precision);
    }
    return ST_OK;
}

static void use_aggs(struct range_spec *spec, const struct nrange_args *args, size_t i)
{
    if (!args->aggs) return;
    spec->n_aggs = args->aggs[i].n;
    memcpy(spec->aggs, args->aggs[i].aggs, sizeof(spec->aggs));
}

static bool any_wants_edges(struct range_spec *spec, const struct nrange_args *args)
{
    bool any = range_wants_edges(spec);
    for (size_t i = 0; i < args->keys.n && args->aggs; i++) {
        use_aggs(spec, args, i);
        any |= range_wants_edges(spec);
    }
    return any;
}

static status run_nrange(struct ts_read *read)
{
    const struct nrange_args *args = read->args;
    struct query_work *work = &read->work;
    size_t n = args->keys.n;
    struct range_spec spec;
    struct ts_keys keys;
    TRY(ts_range_spec(&spec, &args->range, args->reverse, db_options(work->app->db)->precision,
                      &work->arena, &work->err));
    struct lane *lanes = arena_try_zero(&work->arena, n * sizeof(*lanes));
    if (!lanes) return ST_NO_MEMORY;
    TRY(ts_keys_fetch(&keys, work, args->keys.ptr, n, spec.range, any_wants_edges(&spec, args)));
    status st = ST_OK;
    for (size_t i = 0; i < n && st == ST_OK; i++) {
        use_aggs(&spec, args, i);
        lanes[i].n_vals = spec.n_aggs ? spec.n_aggs : 1;
        st = read_lane(read, &keys.ones[i], &lanes[i], &spec);
    }
    if (st == ST_OK) st = put_rows(read, lanes, n, &spec);
    for (size_t i = 0; i < n; i++) rows_release(&lanes[i].rows);
    ts_keys_done(&keys, work);
    return st;
}

/* --- arguments -------------------------------------------------------------------------- */

/* "AGGREGATION list list ... bucket" becomes "AGGREGATION list bucket" in words, which may
 * be written to; the lists go to args->aggs. */
static status take_lists(struct call *call, struct ts_aggregation **aggs, size_t n_keys,
                         struct slice *words, size_t *n_words)
{
    size_t at = 2, n_lists = 0;
    int64_t bucket;
    while (at < *n_words && !slice_is_nocase(words[at], "AGGREGATION")) at++;
    if (at++ >= *n_words) return ST_OK;
    while (at + n_lists < *n_words && !arg_int(&bucket, words[at + n_lists])) n_lists++;
    if (at + n_lists == *n_words) return call_error(call, "TSDB: Couldn't parse AGGREGATION");
    if (n_lists != n_keys)
        return call_error(call, "TSDB: the number of AGGREGATION arguments must be equal to "
                                "numkeys");
    *aggs = arena_try_zero(&call->arena, n_keys * sizeof(**aggs));
    if (!*aggs) return ST_NO_MEMORY;
    for (size_t i = 0; i < n_keys; i++) TRY(ts_parse_aggs(&(*aggs)[i], words[at + i], &call->err));
    memmove(words + at + 1, words + at + n_keys, (*n_words - at - n_keys) * sizeof(*words));
    *n_words -= n_keys - 1;
    return ST_OK;
}

static status start_nrange(struct call *call, bool reverse)
{
    enum arg_unknown unknown =
        app_settings(call->app)->resp_lenient_args ? ARG_UNKNOWN_SKIP : ARG_UNKNOWN_TSDB;
    struct nrange_args *args = arena_try_zero(&call->arena, sizeof(*args));
    struct ts_aggregation *aggs = NULL;
    struct slices words = call_words(call);
    struct range_spec spec;
    int64_t n_keys;
    if (!args) return ST_NO_MEMORY;
    if (!arg_int(&n_keys, words.ptr[0]) || n_keys < 1)
        return call_error(call, "TSDB: numkeys must be a positive integer");
    if ((uint64_t)n_keys + 2 > words.n - 1)
        return call_error(call, "wrong number of arguments for '%s' command", call->cmd->name);
    size_t n = (size_t)n_keys, n_rest = words.n - 1 - n;
    struct slice *rest = arena_try_array(&call->arena, n_rest, sizeof(*rest));
    if (!rest) return ST_NO_MEMORY;
    memcpy(rest, words.ptr + 1 + n, n_rest * sizeof(*rest));
    TRY(take_lists(call, &aggs, n, rest, &n_rest));
    TRY(args_parse(args, &nrange_shape, rest, n_rest, unknown, &call->arena, &call->err));
    args->keys = (struct slices){words.ptr + 1, n};
    args->aggs = aggs;
    args->reverse = reverse;
    TRY(ts_range_spec(&spec, &args->range, reverse, db_options(call->app->db)->precision,
                      &call->arena, &call->err));
    return ts_read_start(call, args, 0, run_nrange);
}

status cmd_ts_nrange(struct call *call, const void *argp)
{
    (void)argp;
    return start_nrange(call, false);
}

status cmd_ts_nrevrange(struct call *call, const void *argp)
{
    (void)argp;
    return start_nrange(call, true);
}
