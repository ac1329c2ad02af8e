/* /api/v1/status/active_queries and top_queries: who asks what, and how to stop it. */
#include "api/http_handlers.h"
#include "api/query_table.h"
#include "base/numfmt.h"

static void begin(struct strbuf *body, struct json_writer *w)
{
    strbuf_init(body, 0);
    json_writer_init(w, body);
    json_open_object(w);
    json_field_text(w, "status", SLICE_LIT("success"));
    json_put_key(w, SLICE_LIT("data"));
}

static void end(struct http_call *call, struct strbuf *body, struct json_writer *w)
{
    json_close_object(w);
    if (body->failed) http_call_error(call, ST_NO_MEMORY, NULL);
    else http_call_json(call, 200, body);
    strbuf_release(body);
}

void http_active_queries(struct http_call *call)
{
    struct strbuf body;
    struct json_writer w;
    begin(&body, &w);
    query_table_active(call->app->queries, &w, clock_mono(call->app->clock));
    end(call, &body, &w);
}

void http_top_queries(struct http_call *call)
{
    struct strbuf body;
    struct json_writer w;
    size_t limit;
    if (!http_arg_limit(call, "limit", &limit)) return;
    begin(&body, &w);
    query_table_slow(call->app->queries, &w, limit);
    end(call, &body, &w);
}

void http_cancel_query(struct http_call *call)
{
    struct err err = {.st = ST_NOT_FOUND};
    uint64_t id;
    if (!parse_u64(&id, call->path_arg)) {
        http_call_bad(call, "invalid id: the number of a query is wanted");
        return;
    }
    if (query_table_cancel(call->app->queries, id)) {
        http_call_empty(call, 204);
        return;
    }
    (void)err_set(&err, ST_NOT_FOUND, "no query with id %llu", (unsigned long long)id);
    http_call_error(call, ST_NOT_FOUND, &err);
}
