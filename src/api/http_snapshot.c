/* POST /api/v1/admin/tsdb/snapshot: as Prometheus, skip_head included. */
#include "api/http_handlers.h"
#include "api/op_snapshot.h"
#include "base/json_write.h"

static void finish(struct snapshot_question *q)
{
    struct http_call *call = q->ctx;
    struct strbuf body;
    struct json_writer w;
    if (q->st != ST_OK) {
        http_call_error(call, q->st, &q->err);
        snapshot_question_free(q);
        return;
    }
    strbuf_init(&body, 0);
    json_writer_init(&w, &body);
    json_open_object(&w);
    json_field_text(&w, "status", SLICE_LIT("success"));
    json_put_key(&w, SLICE_LIT("data"));
    json_open_object(&w);
    json_field_text(&w, "name", slice_str(q->info.name));
    json_close_object(&w);
    json_close_object(&w);
    http_call_json(call, 200, &body);
    strbuf_release(&body);
    snapshot_question_free(q);
}

void http_snapshot(struct http_call *call)
{
    bool skip_head;
    if (!http_arg_bool(call, "skip_head", &skip_head)) return;
    struct snapshot_question *q = snapshot_question_new(
        call->app, conn_loop_loop(conn_home(call->conn)), SNAPSHOT_CREATE,
        http_arg(call, "name"));
    q->skip_head = skip_head;
    q->finish = finish;
    q->ctx = call;
    snapshot_ask(q);
}
