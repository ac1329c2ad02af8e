/* To the owner and back. See http_owner.h. Before the owner's loop runs the task waits
 * there; the answer comes with it. */
#include "api/http_owner.h"

#include "base/mem.h"
#include "base/panic.h"

struct owner_question {
    struct task task;
    struct http_call *call;
    struct loop *home;
    const char *type;
    owner_fn *fn;
    struct strbuf body;
    status st;
    struct err err;
};

static void answer_at_home(struct task *task)
{
    struct owner_question *q = container_of(task, struct owner_question, task);
    if (q->st == ST_OK && q->body.failed) q->st = ST_NO_MEMORY;
    if (q->st != ST_OK) http_call_error(q->call, q->st, &q->err);
    else if (q->type) http_call_text(q->call, 200, q->type, strbuf_view(&q->body));
    else http_call_json(q->call, 200, &q->body);
    strbuf_release(&q->body);
    mem_free(q);
}

static void ask_on_owner(struct task *task)
{
    struct owner_question *q = container_of(task, struct owner_question, task);
    q->st = q->fn(q->call, &q->body, &q->err);
    q->task.fn = answer_at_home;
    app_to_loop(q->home, &q->task);
}

void http_on_owner(struct http_call *call, const char *type, owner_fn *fn)
{
    struct owner_question *q = mem_zalloc(sizeof(*q));
    q->call = call;
    q->home = conn_loop_loop(conn_home(call->conn));
    q->type = type;
    q->fn = fn;
    list_init(&q->task.link);
    strbuf_init(&q->body, 0);
    q->task.fn = ask_on_owner;
    app_to_owner(call->app, &q->task);
}
