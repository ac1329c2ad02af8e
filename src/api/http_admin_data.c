/* Admin routes that change what is stored: delete_series, as Prometheus, with dry_run of
 * our own; clean_tombstones. */
#include "api/http_handlers.h"
#include "api/http_match.h"
#include "api/op_delete.h"
#include "base/json_write.h"
#include "base/mem.h"
#include "base/panic.h"

/* --- delete_series ------------------------------------------------------------------- */

struct admin_delete {
    struct delete_question q;
    struct http_call *call;
    struct http_matches matches;
};

static void free_delete(struct admin_delete *ad)
{
    delete_question_release(&ad->q);
    http_matches_release(&ad->matches);
    mem_free(ad);
}

static void answer_counts(struct http_call *call, const struct delete_counts *counts)
{
    struct strbuf body;
    struct json_writer w;
    strbuf_init(&body, 0);
    json_writer_init(&w, &body);
    json_open_object(&w);
    json_field_text(&w, "status", SLICE_LIT("success"));
    json_put_key(&w, SLICE_LIT("data"));
    json_open_object(&w);
    json_field_u64(&w, "series", counts->n_series);
    json_field_u64(&w, "samples", counts->n_samples);
    json_close_object(&w);
    json_close_object(&w);
    http_call_json(call, 200, &body);
    strbuf_release(&body);
}

static void delete_finished(struct delete_question *q)
{
    struct admin_delete *ad = container_of(q, struct admin_delete, q);
    if (q->st != ST_OK) http_call_error(ad->call, q->st, &q->err);
    else if (q->dry_run) answer_counts(ad->call, &q->counts);
    else http_call_empty_at(ad->call, 204, q->at);
    free_delete(ad);
}

static bool take_range(struct http_call *call, struct delete_question *q)
{
    q->drop_keys = !http_arg(call, "start").len && !http_arg(call, "end").len;
    return http_arg_range(call, &q->range);
}

void http_delete_series(struct http_call *call)
{
    if (http_matches_count(call) == 0) {
        http_call_bad(call, "no match[] parameter provided");
        return;
    }
    struct admin_delete *ad = mem_zalloc(sizeof(*ad));
    ad->call = call;
    delete_question_init(&ad->q, call->app, call->slot);
    if (!http_arg_bool(call, "dry_run", &ad->q.dry_run) || !take_range(call, &ad->q) ||
        !http_matches_take(call, &ad->matches, HTTP_MATCH_BAD)) {
        free_delete(ad);
        return;
    }
    ad->q.groups = ad->matches.groups;
    ad->q.n_groups = ad->matches.n;
    ad->q.finish = delete_finished;
    delete_ask(&ad->q);
}

/* --- clean_tombstones ---------------------------------------------------------------- */

struct clean {
    struct task task;
    struct http_call *call;
    struct loop *home;
    struct app *app;
    status st;
};

static void clean_at_home(struct task *task)
{
    struct clean *clean = container_of(task, struct clean, task);
    if (clean->st == ST_OK) http_call_empty(clean->call, 204);
    else http_call_error(clean->call, clean->st, NULL);
    mem_free(clean);
}

static void cleaned(void *ctx, status st)
{
    struct clean *clean = ctx;
    clean->st = st;
    clean->task.fn = clean_at_home;
    app_to_loop(clean->home, &clean->task);
}

static void clean_on_owner(struct task *task)
{
    struct clean *clean = container_of(task, struct clean, task);
    db_clean_deletes(clean->app->db, cleaned, clean);
}

void http_clean_tombstones(struct http_call *call)
{
    struct clean *clean = mem_zalloc(sizeof(*clean));
    list_init(&clean->task.link);
    clean->call = call;
    clean->app = call->app;
    clean->home = conn_loop_loop(conn_home(call->conn));
    clean->task.fn = clean_on_owner;
    app_to_owner(call->app, &clean->task);
}
