/* Probes, figures, versions. */
#include <stdio.h>

#include "api/http_handlers.h"
#include "api/http_owner.h"
#include "api/promjson.h"
#include "api/version.h"
#include "api/work.h"
#include "base/mem.h"
#include "base/panic.h"
#include "engine/cardinality.h"

enum { TOP_DEFAULT = 10, TOP_MAX = 10000 };

void http_healthy(struct http_call *call)
{
    http_call_text(call, 200, "text/plain; charset=utf-8", SLICE_LIT("tsink is Healthy.\n"));
}

/* --- what only the owner can tell --------------------------------------------------- */

struct owner_question {
    struct task task;
    struct http_call *call;
    struct loop *home;
    bool ready;
    struct strbuf text;
};

static void ready_at_home(struct task *task)
{
    struct owner_question *q = container_of(task, struct owner_question, task);
    if (q->ready)
        http_call_text(q->call, 200, "text/plain; charset=utf-8", SLICE_LIT("tsink is Ready.\n"));
    else
        http_call_text(q->call, 503, "text/plain; charset=utf-8", strbuf_view(&q->text));
    strbuf_release(&q->text);
    mem_free(q);
}

static void ready_on_owner(struct task *task)
{
    struct owner_question *q = container_of(task, struct owner_question, task);
    struct app *app = q->call->app;
    struct err err = {.st = ST_OK};
    q->ready = app->db && db_refusing(app->db, &err) == ST_OK;
    if (!q->ready) strbuf_printf(&q->text, "Service Unavailable: %s\n", err_text(&err, ST_CLOSED));
    q->task.fn = ready_at_home;
    app_to_loop(q->home, &q->task);
}

static struct owner_question *new_question(struct http_call *call)
{
    struct owner_question *q = mem_zalloc(sizeof(*q));
    q->call = call;
    q->home = conn_loop_loop(conn_home(call->conn));
    list_init(&q->task.link);
    strbuf_init(&q->text, 0);
    return q;
}

void http_ready(struct http_call *call)
{
    struct app *app = call->app;
    char why[APP_UNREADY_MAX];
    if (*app_unready(app, why)) {
        http_call_text(call, 503, "text/plain; charset=utf-8", slice_str(why));
        return;
    }
    struct owner_question *q = new_question(call);
    q->task.fn = ready_on_owner;
    app_to_owner(app, &q->task);
}

static bool wants_openmetrics(struct http_call *call)
{
    struct slice accept = http_value(call->req, HTTP_F_ACCEPT);
    return accept.len && memmem(accept.ptr, accept.len, "application/openmetrics-text", 28);
}

static status put_metrics(struct http_call *call, struct strbuf *out, struct err *err)
{
    struct app *app = call->app;
    (void)err;
    app->ports.metrics(app->ports.ctx, out, wants_openmetrics(call));
    return ST_OK;
}

void http_metrics(struct http_call *call)
{
    http_on_owner(call,
                  wants_openmetrics(call)
                      ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                      : "text/plain; version=0.0.4; charset=utf-8",
                  put_metrics);
}

/* --- versions ---------------------------------------------------------------------- */

void http_put_version(struct json_writer *w)
{
    json_field_text(w, "version", SLICE_LIT(API_PROMETHEUS_VERSION));
    json_field_text(w, "revision", SLICE_LIT(""));
    json_field_text(w, "branch", SLICE_LIT(""));
    json_field_text(w, "buildUser", SLICE_LIT(""));
    json_field_text(w, "buildDate", SLICE_LIT(""));
    json_field_text(w, "goVersion", SLICE_LIT(""));
    json_field_text(w, "application", SLICE_LIT("tsink"));
    json_field_text(w, "applicationVersion", slice_str(API_VERSION));
}

void http_buildinfo(struct http_call *call)
{
    struct strbuf body;
    struct json_writer w;
    strbuf_init(&body, 0);
    json_writer_init(&w, &body);
    json_open_object(&w);
    json_field_text(&w, "status", SLICE_LIT("success"));
    json_put_key(&w, SLICE_LIT("data"));
    json_open_object(&w);
    http_put_version(&w);
    json_close_object(&w);
    json_close_object(&w);
    http_call_json(call, 200, &body);
    strbuf_release(&body);
}

/* --- blocks ------------------------------------------------------------------------- */

static void put_block(void *ctx, const struct db_segment *seg)
{
    struct json_writer *w = ctx;
    char id[32];
    int len = snprintf(id, sizeof(id), "%026llX", (unsigned long long)seg->id);
    json_open_object(w);
    json_field_text(w, "ulid", slice_of(id, (size_t)len));
    json_field_i64(w, "minTime", seg->min_ms);
    json_field_i64(w, "maxTime", seg->max_ms);
    json_put_key(w, SLICE_LIT("stats"));
    json_open_object(w);
    json_field_u64(w, "numSamples", seg->n_samples);
    json_field_u64(w, "numSeries", seg->n_series);
    json_field_u64(w, "numChunks", seg->n_chunks);
    json_field_u64(w, "numBytes", seg->n_bytes);
    json_close_object(w);
    json_put_key(w, SLICE_LIT("compaction"));
    json_open_object(w);
    json_field_u64(w, "level", seg->level + 1); /* Prometheus counts from 1 */
    json_put_key(w, SLICE_LIT("sources"));
    json_open_array(w);
    json_put_text(w, slice_of(id, (size_t)len));
    json_close_array(w);
    json_close_object(w);
    json_field_u64(w, "version", 1);
    json_close_object(w);
}

/* The database may have closed since the request came. */
static status put_blocks(struct http_call *call, struct strbuf *out, struct err *err)
{
    struct json_writer w;
    if (!call->app->db) return err_set(err, ST_CLOSED, "stopping");
    json_writer_init(&w, out);
    json_open_object(&w);
    json_field_text(&w, "status", SLICE_LIT("success"));
    json_put_key(&w, SLICE_LIT("data"));
    json_open_object(&w);
    json_put_key(&w, SLICE_LIT("blocks"));
    json_open_array(&w);
    db_segments(call->app->db, put_block, &w);
    json_close_array(&w);
    json_close_object(&w);
    json_close_object(&w);
    return ST_OK;
}

void http_tsdb_blocks(struct http_call *call)
{
    http_on_owner(call, NULL, put_blocks);
}

/* --- cardinality ------------------------------------------------------------------- */

struct tsdb_question {
    struct query_work work;
    struct http_call *call;
    size_t limit;
};

static void put_counts(struct json_writer *w, const char *key, const struct name_counts *counts,
                       bool pairs, struct arena *arena)
{
    json_put_key(w, slice_str(key));
    json_open_array(w);
    for (size_t i = 0; i < counts->n; i++) {
        const struct name_count *at = &counts->ptr[i];
        struct slice name = at->name;
        if (pairs) {
            char *text = arena_printf(arena, SLICE_FMT "=" SLICE_FMT, SLICE_ARG(at->name),
                                      SLICE_ARG(at->value));
            if (text) name = slice_str(text);
        }
        json_open_object(w);
        json_field_text(w, "name", name);
        json_field_u64(w, "value", at->n);
        json_close_object(w);
    }
    json_close_array(w);
}

static status tsdb_run(struct query_work *work)
{
    struct tsdb_question *q = container_of(work, struct tsdb_question, work);
    struct cardinality card;
    struct strbuf body;
    struct json_writer w;
    TRY(db_cardinality(work->app->db, q->limit, &work->job.cancelled, &work->arena, &card));
    strbuf_init(&body, work->budget.bytes_max);
    json_writer_init(&w, &body);
    json_open_object(&w);
    json_field_text(&w, "status", SLICE_LIT("success"));
    json_put_key(&w, SLICE_LIT("data"));
    json_open_object(&w);
    json_put_key(&w, SLICE_LIT("headStats"));
    json_open_object(&w);
    json_field_u64(&w, "numSeries", card.n_series);
    json_field_u64(&w, "numLabelPairs", card.n_pairs);
    json_close_object(&w);
    put_counts(&w, "seriesCountByMetricName", &card.by_metric, false, &work->arena);
    put_counts(&w, "labelValueCountByLabelName", &card.values_by_name, false, &work->arena);
    put_counts(&w, "memoryInBytesByLabelName", &card.bytes_by_name, false, &work->arena);
    put_counts(&w, "seriesCountByLabelValuePair", &card.by_pair, true, &work->arena);
    json_close_object(&w);
    json_close_object(&w);
    status st = body.failed ? ST_NO_MEMORY : ST_OK;
    if (st == ST_OK) iobuf_adopt(&work->out, &body);
    strbuf_release(&body);
    return st;
}

static void tsdb_finish(struct query_work *work)
{
    struct tsdb_question *q = container_of(work, struct tsdb_question, work);
    if (work->st == ST_OK)
        http_call_chain(q->call, 200, &work->out);
    else
        http_call_error(q->call, work->st, &work->err);
    query_work_release(work);
    mem_free(q);
}

void http_tsdb_status(struct http_call *call)
{
    size_t limit;
    if (!http_arg_limit(call, "limit", &limit)) return;
    if (limit > TOP_MAX) {
        http_call_bad(call, "limit must not exceed %d", TOP_MAX);
        return;
    }
    struct tsdb_question *q = mem_alloc(sizeof(*q));
    q->call = call;
    q->limit = limit ? limit : TOP_DEFAULT;
    query_work_init(&q->work, call->app, call->slot, 0, tsdb_run, tsdb_finish);
    query_work_start(&q->work);
}
