/* PromQL over RESP: TS.QUERY and TS.QUERYRANGE (resp.md 4). */
#include <string.h>

#include "api/cmd_handlers.h"
#include "api/op_promql.h"
#include "api/ts_args.h"
#include "api/ts_read.h"
#include "base/numfmt.h"
#include "base/panic.h"
#include "promql/hist_quantile.h"
#include "promql/promvalue.h"

struct query_args {
    struct slice expr;
    int64_t start, end, step, time, timeout, lookback, limit;
    bool has_time, stats;
};

/* --- answers ---------------------------------------------------------------------------- */

/* A native histogram has no single number: its text. */
static void put_histogram(struct reply *reply, const struct histogram *hist)
{
    struct strbuf text;
    strbuf_init(&text, 0);
    histogram_text(&text, hist);
    if (text.failed) reply_null(reply);
    else reply_bulk(reply, strbuf_view(&text));
    strbuf_release(&text);
}

static void put_point(struct reply *reply, const struct promql_result *result,
                      const struct prom_point *point)
{
    reply_array(reply, 2);
    reply_int(reply, promvalue_ms(result, point->ts));
    if (point->hist) put_histogram(reply, point->hist);
    else reply_double(reply, point->val);
}

static void put_series(struct reply *reply, const struct promql_result *result,
                       const struct prom_series *series)
{
    size_t at = 0;
    struct prom_point point;
    reply_array(reply, 2);
    ts_put_label_map(reply, series->labels);
    if (result->type == KIND_VECTOR) {
        if (promvalue_next(result, series, &at, &point)) put_point(reply, result, &point);
        return;
    }
    reply_array(reply, series->n_samples);
    while (promvalue_next(result, series, &at, &point)) put_point(reply, result, &point);
}

static void put_value(struct reply *reply, const struct promql_result *result, size_t n)
{
    if (result->type == KIND_SCALAR || result->type == KIND_STRING) {
        reply_array(reply, 2);
        reply_int(reply, promvalue_ms(result, result->start));
        if (result->type == KIND_SCALAR)
            reply_double(reply, result->scalar);
        else
            reply_bulk(reply, result->string);
        return;
    }
    reply_array(reply, n);
    for (size_t i = 0; i < n; i++) put_series(reply, result, &result->series[i]);
}

static void put_warnings(struct reply *reply, const struct promql_result *result, bool cut)
{
    reply_text(reply, "warnings");
    reply_array(reply, result->n_warnings + result->n_infos + cut);
    for (size_t i = 0; i < result->n_warnings; i++) reply_bulk(reply, result->warnings[i]);
    for (size_t i = 0; i < result->n_infos; i++) reply_bulk(reply, result->infos[i]);
    if (cut) reply_text(reply, "results truncated due to limit");
}

static status print_reply(void *ctx, const struct promql_result *result)
{
    struct ts_read *read = ctx;
    const struct query_args *args = read->args;
    struct reply *reply = &read->reply;
    bool cut = args->limit > 0 && result->n_series > (size_t)args->limit;
    bool warned = result->n_warnings || result->n_infos || cut;
    reply_map(reply, 2 + warned + args->stats);
    reply_text(reply, "resultType");
    reply_text(reply, value_kind_name(result->type));
    reply_text(reply, "result");
    put_value(reply, result, cut ? (size_t)args->limit : result->n_series);
    if (warned) put_warnings(reply, result, cut);
    if (args->stats) {
        reply_text(reply, "stats");
        reply_map(reply, 3);
        reply_text(reply, "seriesFetched");
        reply_int(reply, (int64_t)read->work.budget.n_series);
        reply_text(reply, "samplesRead");
        reply_int(reply, (int64_t)read->work.budget.n_samples);
        reply_text(reply, "peakSamples");
        reply_int(reply, (int64_t)result->peak_samples);
    }
    return ST_OK;
}

/* --- running ------------------------------------------------------------------------------ */

static status run_query(struct ts_read *read)
{
    const struct query_args *args = read->args;
    struct query_work *work = &read->work;
    bool parse_failed;
    struct promql_call query = {.query = args->expr,
                                .start_ms = args->start,
                                .end_ms = args->end,
                                .step_ms = args->step,
                                .lookback_ms = args->lookback};
    status st = op_promql(work->app, &query, &work->budget, &work->arena, print_reply, read,
                          &parse_failed, &work->err);
    if (st == ST_OK) return ST_OK;
    if (parse_failed) {
        /* "1:5: parse error: text" -> "PROMQL 1:5: parse error: text" */
        struct err said = work->err;
        (void)err_set(&work->err, st, "PROMQL %s", err_text(&said, st));
    }
    return st;
}

/* --- arguments ------------------------------------------------------------------------------ */

static status parse_time(void *field, struct arg_cursor *at, struct err *err)
{
    struct slice word;
    if (!arg_next(at, &word) || !arg_int(field, word))
        return err_set(err, ST_INVALID, "invalid time: milliseconds are wanted");
    return ST_OK;
}

static status parse_query_time(void *field, struct arg_cursor *at, struct err *err)
{
    struct query_args *args = container_of(field, struct query_args, time);
    TRY(parse_time(&args->time, at, err));
    args->has_time = true;
    return ST_OK;
}

#define COMMON_SPEC                                                                            \
    ARG_OPT("TIMEOUT", struct query_args, timeout, ARG_DURATION, 0, INT64_MAX),                \
        ARG_OPT("LOOKBACK", struct query_args, lookback, ARG_DURATION, 0, INT64_MAX),          \
        ARG_OPT("LIMIT", struct query_args, limit, ARG_INT, 0, INT64_MAX),                     \
        ARG_FLAG("STATS", struct query_args, stats), ARG_END

static const struct arg_spec query_spec[] = {
    ARG_POS(struct query_args, expr, ARG_SLICE),
    ARG_SUB("TIME", struct query_args, time, parse_query_time),
    COMMON_SPEC,
};
const struct arg_shape ts_query_shape = ARG_SHAPE(struct query_args, query_spec);

static const struct arg_spec queryrange_spec[] = {
    ARG_POS(struct query_args, expr, ARG_SLICE),
    ARG_SUB("START", struct query_args, start, parse_time),
    ARG_SUB("END", struct query_args, end, parse_time),
    ARG_OPT("STEP", struct query_args, step, ARG_DURATION, 1, INT64_MAX),
    COMMON_SPEC,
};
const struct arg_shape ts_queryrange_shape = ARG_SHAPE(struct query_args, queryrange_spec);

/* The arguments outlive the handler in the call. */
static struct query_args *own_args(struct call *call)
{
    return (struct query_args *)(void *)call->args;
}

status cmd_ts_query(struct call *call, const void *argp)
{
    struct query_args *args = own_args(call);
    (void)argp;
    args->start = args->end = args->has_time ? args->time : clock_wall(call->app->clock);
    args->step = 0;
    return ts_read_start(call, args, args->timeout, run_query);
}

static bool has_word(const struct call *call, const char *word)
{
    for (size_t i = 2; i < call->argc; i++)
        if (slice_is_nocase(call->argv[i], word)) return true;
    return false;
}

static status too_many_points(struct call *call, uint64_t points_max)
{
    char shown[NUMFMT_MAX];
    int n = (int)numfmt_grouped(shown, points_max);
    return call_error(call, "exceeded maximum resolution of %.*s points per timeseries. Try "
                            "decreasing the query resolution (STEP)", n, shown);
}

status cmd_ts_queryrange(struct call *call, const void *argp)
{
    struct query_args *args = own_args(call);
    uint64_t points_max = app_settings(call->app)->query_points_max;
    (void)argp;
    if (!has_word(call, "START") || !has_word(call, "END") || !has_word(call, "STEP"))
        return call_error(call, "START, END and STEP are wanted");
    if (args->step <= 0) return call_error(call, "STEP must be positive");
    if (args->end < args->start) return call_error(call, "END must not be before START");
    if (((uint64_t)args->end - (uint64_t)args->start) / (uint64_t)args->step > points_max)
        return too_many_points(call, points_max);
    return ts_read_start(call, args, args->timeout, run_query);
}
