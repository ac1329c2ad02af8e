/* /api/v1/format_query and /api/v1/parse_query: expressions without data. They are parsed on
 * a worker, since a long one with many patterns takes its time. */
#include "api/expr_json.h"
#include "api/expr_layout.h"
#include "api/http_handlers.h"
#include "api/http_query_text.h"
#include "api/work.h"
#include "base/json_write.h"
#include "base/mem.h"
#include "base/panic.h"
#include "promql/parser.h"

struct expr_question {
    struct query_work work;
    struct http_call *call;
    struct slice query;
    bool as_tree;
};

static void put_answer(struct strbuf *out, const struct expr_question *q, const struct expr *e)
{
    strbuf_str(out, "{\"status\":\"success\",\"data\":");
    if (q->as_tree) {
        expr_json(out, e);
    } else {
        struct strbuf text;
        strbuf_init(&text, q->work.budget.bytes_max);
        expr_layout(&text, e);
        json_quote(out, strbuf_view(&text));
        out->failed |= text.failed;
        strbuf_release(&text);
    }
    strbuf_char(out, '}');
}

static status expr_run(struct query_work *work)
{
    struct expr_question *q = container_of(work, struct expr_question, work);
    struct ast ast;
    struct strbuf body;
    ast_init(&ast, work->app->query_account);
    strbuf_init(&body, work->budget.bytes_max);
    status st = http_query_bad(promql_parse(&ast, q->query, NULL, &work->err));
    if (st == ST_OK) {
        put_answer(&body, q, ast.root);
        if (body.failed) st = err_set(&work->err, ST_LIMIT, "the answer is too large");
        else iobuf_adopt(&work->out, &body);
    }
    strbuf_release(&body);
    ast_release(&ast);
    return st;
}

static void expr_finish(struct query_work *work)
{
    struct expr_question *q = container_of(work, struct expr_question, work);
    if (work->st == ST_OK) http_call_chain(q->call, 200, &work->out);
    else http_query_failed(q->call, work->st, &work->err);
    query_work_release(work);
    mem_free(q);
}

static void start(struct http_call *call, bool as_tree)
{
    struct slice query;
    if (!http_query_text(call, &query)) return;
    struct expr_question *q = mem_zalloc(sizeof(*q));
    q->call = call;
    q->query = query;
    q->as_tree = as_tree;
    query_work_init(&q->work, call->app, call->slot, 0, expr_run, expr_finish);
    query_work_start(&q->work);
}

void http_format_query(struct http_call *call)
{
    start(call, false);
}

void http_parse_query(struct http_call *call)
{
    start(call, true);
}
