/* /api/v1/query and /api/v1/query_range. */
#include "api/http_handlers.h"
#include "api/http_query_text.h"
#include "api/op_promql.h"
#include "api/promjson.h"
#include "api/work.h"
#include "base/mem.h"
#include "base/numfmt.h"
#include "base/panic.h"

struct http_eval {
    struct query_work work;
    struct http_call *call;
    struct promql_call query;
    size_t limit;
    bool want_stats, per_step;
    mono_ns started;           /* on its worker */
    struct promql_times times;
};

bool http_query_text(struct http_call *call, struct slice *out)
{
    *out = http_arg(call, "query");
    if (out->len) return true;
    http_call_bad(call, "invalid parameter \"query\": unknown position: parse error: no "
                        "expression found in input");
    return false;
}

void http_query_failed(struct http_call *call, status st, const struct err *err)
{
    if (st == ST_INVALID)
        http_call_bad(call, "invalid parameter \"query\": %s", err_text(err, st));
    else
        http_call_error(call, st, err);
}

static double seconds(mono_ns ns)
{
    return (double)ns / 1e9;
}

/* Parts of the answer go into the chain as they are made; all of it has one limit. */
struct answer_parts {
    struct promjson_drain drain;
    struct iobuf *to;
    size_t left;      /* bytes that may still come; 0: no limit */
};

static void take_part(struct promjson_drain *drain, struct strbuf *out)
{
    struct answer_parts *parts = container_of(drain, struct answer_parts, drain);
    size_t cap = out->cap;
    if (parts->left) parts->left = out->len < parts->left ? parts->left - out->len : 1;
    iobuf_adopt(parts->to, out);
    strbuf_init(out, parts->left);
    if ((parts->left == 0 || parts->left > cap) && !strbuf_reserve(out, cap)) return;
}

static status print_json(void *ctx, const struct promql_result *result)
{
    struct http_eval *ev = ctx;
    struct strbuf body;
    struct answer_parts parts = {{take_part}, &ev->work.out, ev->work.budget.bytes_max};
    strbuf_init(&body, ev->work.budget.bytes_max);
    struct promjson_stats stats = {
        .queued = seconds(ev->started - ev->work.began),
        .prepared = seconds(ev->times.prepared - ev->started),
        .evaluated = seconds(ev->times.evaluated - ev->times.prepared),
        .per_step = ev->per_step};
    promjson_result_parts(&body, result, ev->limit, ev->want_stats ? &stats : NULL,
                          &parts.drain);
    bool failed = body.failed || ev->work.out.failed;
    if (!failed) iobuf_adopt(&ev->work.out, &body);
    strbuf_release(&body);
    return failed ? err_set(&ev->work.err, ST_LIMIT, "the result is too large") : ST_OK;
}

static status eval_run(struct query_work *work)
{
    struct http_eval *ev = container_of(work, struct http_eval, work);
    ev->started = clock_mono(work->app->clock);
    ev->query.times = &ev->times;
    bool parse_failed;
    status st = op_promql(work->app, &ev->query, &work->budget, &work->arena, print_json, ev,
                          &parse_failed, &work->err);
    return parse_failed ? http_query_bad(st) : st;
}

static void eval_finish(struct query_work *work)
{
    struct http_eval *ev = container_of(work, struct http_eval, work);
    struct http_call *call = ev->call;
    if (work->st == ST_OK)
        http_call_chain(call, 200, &work->out);
    else
        http_query_failed(call, work->st, &work->err);
    query_work_release(work);
    mem_free(ev);
}

static void start_eval(struct http_call *call, const struct promql_call *query)
{
    int64_t timeout_ms;
    size_t limit;
    struct promql_call q = *query;
    if (!http_arg_duration(call, "timeout", &timeout_ms) ||
        !http_arg_duration(call, "lookback_delta", &q.lookback_ms) ||
        !http_arg_limit(call, "limit", &limit))
        return;
    if (!http_query_text(call, &q.query)) return;
    if (http_arg(call, "timeout").len && timeout_ms <= 0) timeout_ms = -1; /* as Prometheus */
    struct http_eval *ev = mem_zalloc(sizeof(*ev));
    struct slice stats = http_arg(call, "stats");
    ev->call = call;
    ev->query = q;
    ev->limit = limit;
    ev->want_stats = stats.len != 0;
    ev->per_step = slice_is(stats, "all");
    query_work_init(&ev->work, call->app, call->slot, timeout_ms, eval_run, eval_finish);
    query_work_describe(&ev->work, q.query, q.start_ms, q.end_ms, q.step_ms);
    query_work_start(&ev->work);
}

void http_query(struct http_call *call)
{
    struct promql_call query = {.step_ms = 0};
    int64_t now = clock_wall(call->app->clock);
    if (!http_arg_time(call, "time", now, false, &query.start_ms)) return;
    query.end_ms = query.start_ms;
    start_eval(call, &query);
}

void http_query_range(struct http_call *call)
{
    struct promql_call query = {.step_ms = 0};
    uint64_t points_max = app_settings(call->app)->query_points_max, span;
    if (!http_arg_time(call, "start", 0, true, &query.start_ms) ||
        !http_arg_time(call, "end", 0, true, &query.end_ms))
        return;
    if (query.end_ms < query.start_ms) {
        http_call_bad(call, "invalid parameter \"end\": end timestamp must not be before start "
                            "time");
        return;
    }
    if (http_arg(call, "step").len == 0) {
        http_call_bad(call, "invalid parameter \"step\": cannot parse \"\" to a valid duration");
        return;
    }
    if (!http_arg_duration(call, "step", &query.step_ms)) return;
    if (query.step_ms <= 0) {
        http_call_bad(call, "invalid parameter \"step\": zero or negative query resolution step "
                            "widths are not accepted. Try a positive integer");
        return;
    }
    span = (uint64_t)query.end_ms - (uint64_t)query.start_ms;
    if (span / (uint64_t)query.step_ms > points_max) {
        char shown[NUMFMT_MAX];
        int n = (int)numfmt_grouped(shown, points_max);
        http_call_bad(call, "exceeded maximum resolution of %.*s points per timeseries. Try "
                            "decreasing the query resolution (?step=XX)", n, shown);
        return;
    }
    start_eval(call, &query);
}
