/* /api/v1/query_exemplars: the exemplars of all series that a selector of the expression
 * accepts. The store is bounded, so it is gone through series by series, whatever the
 * selectors; what the index knows about them is asked for one at a time. */
#include <stdlib.h>

#include "api/http_handlers.h"
#include "api/http_query_text.h"
#include "api/promjson.h"
#include "api/work.h"
#include "base/mem.h"
#include "base/numfmt.h"
#include "base/panic.h"
#include "promql/parser.h"

struct http_exemplars {
    struct query_work work;
    struct http_call *call;
    struct ast ast;
    struct time_range range;
    size_t limit;              /* exemplars; 0: none */
};

/* A series and what it has in the range. */
struct found {
    struct labels labels;
    struct exemplar *list;
    size_t n;
};

struct finding {
    struct http_exemplars *q;
    struct found *ptr;         /* in the work's arena */
    size_t n, n_exemplars;
};

/* ---- finding: a worker, a registered reader --------------------------------------- */

static bool accepts(const struct ast *ast, struct labels set)
{
    for (size_t i = 0; i < ast->n_vectors; i++) {
        const struct vector_expr *vec = &ast->vectors[i]->vec;
        if (matchers_accept((struct matchers){vec->matchers, vec->n_matchers}, set)) return true;
    }
    return false;
}

/* A copy: the texts of the registry stay only while this reader is registered. The key of a
 * TS.* series is no label of PromQL's. */
static status copy_labels(struct arena *arena, struct labels from, struct labels *out)
{
    struct label *kept = arena_try_array(arena, from.n + 1, sizeof(*kept));
    size_t n = 0;
    if (!kept) return ST_NO_MEMORY;
    for (size_t i = 0; i < from.n; i++) {
        if (slice_is(from.ptr[i].name, LABEL_KEY)) continue;
        kept[n].name = arena_copy(arena, from.ptr[i].name);
        kept[n].value = arena_copy(arena, from.ptr[i].value);
        if (!kept[n].name.ptr || !kept[n].value.ptr) return ST_NO_MEMORY;
        n++;
    }
    *out = (struct labels){kept, n};
    return ST_OK;
}

static status look_at(struct finding *f, struct arena *scratch, series_id id)
{
    struct query_work *work = &f->q->work;
    struct db *db = work->app->db;
    struct registry *reg = db_registry(db);
    struct found found = {.n = 0};
    uint32_t ordinal = registry_by_id(reg, id);
    if (ordinal == ORDINAL_NONE) return ST_OK; /* it died just now */
    arena_reset(scratch);
    struct labels labels = registry_labels(reg, ordinal, scratch);
    if (labels.n && !labels.ptr) return ST_NO_MEMORY;
    if (!accepts(&f->q->ast, labels)) return ST_OK;
    TRY(exemplars_read(db_exemplars(db), id, f->q->range, &work->arena, &found.list, &found.n));
    if (found.n == 0) return ST_OK;
    TRY(budget_series(&work->budget, 1, &work->err));
    TRY(budget_samples(&work->budget, found.n, &work->err));
    TRY(copy_labels(&work->arena, labels, &found.labels));
    f->n_exemplars += found.n;
    f->ptr[f->n++] = found;
    return ST_OK;
}

static status look_at_all(struct finding *f, const uint64_t *ids, size_t n)
{
    enum { RENEW = 256 };      /* series for which one stay as a reader is good */
    struct query_work *work = &f->q->work;
    struct db *db = work->app->db;
    struct arena scratch;
    status st = ST_OK;
    arena_init(&scratch, work->arena.account, 4096);
    for (size_t i = 0; i < n && st == ST_OK; i += RENEW) {
        int slot = db_reader_enter(db);
        for (size_t k = i; k < n && k < i + RENEW && st == ST_OK; k++)
            st = look_at(f, &scratch, ids[k]);
        db_reader_leave(db, slot);
        if (st == ST_OK) st = budget_poll(&work->budget, &work->err);
    }
    arena_release(&scratch);
    return st;
}

/* ---- printing ---------------------------------------------------------------------- */

static int by_labels(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    return labels_cmp(x->labels, y->labels);
}

static status print_exemplar(struct strbuf *out, struct query_work *work,
                             const struct exemplar *ex)
{
    char text[NUMFMT_MAX];
    struct json_writer w;
    struct labels labels = exemplar_labels(ex->labels, &work->arena);
    if (labels.n && !labels.ptr) return ST_NO_MEMORY;
    strbuf_str(out, "{\"labels\":");
    json_writer_init(&w, out);
    promjson_labels(&w, labels);
    strbuf_str(out, ",\"value\":\"");
    strbuf_put(out, text, numfmt_prom(text, ex->value));
    strbuf_str(out, "\",\"timestamp\":");
    enum precision precision = db_options(work->app->db)->precision;
    strbuf_put(out, text, promjson_time(text, time_to_ms(ex->ts, precision)));
    strbuf_char(out, '}');
    return ST_OK;
}

static status print_found(struct strbuf *out, struct query_work *work, const struct found *found,
                          size_t max)
{
    struct json_writer w;
    strbuf_str(out, "{\"seriesLabels\":");
    json_writer_init(&w, out);
    promjson_labels(&w, found->labels);
    strbuf_str(out, ",\"exemplars\":[");
    for (size_t i = 0; i < found->n && i < max; i++) {
        if (i) strbuf_char(out, ',');
        TRY(print_exemplar(out, work, &found->list[i]));
    }
    strbuf_str(out, "]}");
    return ST_OK;
}

static status print_all(struct strbuf *out, const struct finding *f)
{
    struct query_work *work = &f->q->work;
    size_t left = f->q->limit ? f->q->limit : SIZE_MAX;
    strbuf_str(out, "{\"status\":\"success\",\"data\":[");
    for (size_t i = 0; i < f->n && left; i++) {
        if (i) strbuf_char(out, ',');
        TRY(print_found(out, work, &f->ptr[i], left));
        left -= f->ptr[i].n < left ? f->ptr[i].n : left;
    }
    strbuf_char(out, ']');
    if (f->q->limit && f->n_exemplars > f->q->limit)
        strbuf_str(out, ",\"warnings\":[\"results truncated due to limit\"]");
    strbuf_char(out, '}');
    return out->failed ? err_set(&work->err, ST_LIMIT, "the result is too large") : ST_OK;
}

/* ---- running ----------------------------------------------------------------------- */

static status find_and_print(struct http_exemplars *q, struct strbuf *body)
{
    struct query_work *work = &q->work;
    struct app_stats *stats = &work->app->stats;
    struct finding f = {.q = q};
    uint64_t *ids;
    size_t n;
    TRY(exemplars_series(db_exemplars(work->app->db), &work->arena, &ids, &n));
    f.ptr = arena_try_array(&work->arena, n + 1, sizeof(*f.ptr));
    if (!f.ptr) return ST_NO_MEMORY;
    TRY(look_at_all(&f, ids, n));
    qsort(f.ptr, f.n, sizeof(*f.ptr), by_labels);
    counter_add(&stats->n_exemplar_query_series, f.n);
    counter_add(&stats->n_exemplar_query_results, f.n_exemplars);
    return print_all(body, &f);
}

static status exemplars_run(struct query_work *work)
{
    struct http_exemplars *q = container_of(work, struct http_exemplars, work);
    struct strbuf body;
    strbuf_init(&body, work->budget.bytes_max);
    status st = find_and_print(q, &body);
    if (st == ST_OK) iobuf_adopt(&work->out, &body);
    else if (!work->err.text[0]) (void)err_set(&work->err, st, "query memory");
    strbuf_release(&body);
    return st;
}

static void exemplars_finish(struct query_work *work)
{
    struct http_exemplars *q = container_of(work, struct http_exemplars, work);
    if (work->st == ST_OK)
        http_call_chain(q->call, 200, &work->out);
    else
        http_call_error(q->call, work->st, &work->err);
    ast_release(&q->ast);
    query_work_release(work);
    mem_free(q);
}

/* In Prometheus' order and words, which are not those of other routes. False: the call is
 * answered. */
static bool take_range(struct http_call *call, struct time_range *out)
{
    enum precision precision = db_options(call->app->db)->precision;
    int64_t start, end;
    if (!http_arg_time(call, "start", INT64_MIN, false, &start) ||
        !http_arg_time(call, "end", INT64_MAX, false, &end))
        return false;
    if (end < start) {
        http_call_bad(call, "end timestamp must not be before start timestamp");
        return false;
    }
    out->from = start == INT64_MIN ? TS_MIN : time_from_ms_clamped(start, precision);
    out->to = end == INT64_MAX ? TS_MAX : time_from_ms_clamped(end, precision);
    return true;
}

static bool take_query(struct http_call *call, struct ast *ast)
{
    struct err err = {.st = ST_OK};
    struct slice text = http_arg(call, "query");
    status st = text.len ? http_query_bad(promql_parse(ast, text, NULL, &err))
                         : err_set(&err, ST_INVALID, "unknown position: parse error: no "
                                                     "expression found in input");
    if (st == ST_INVALID) http_call_bad(call, "%s", err_text(&err, st));
    else if (st != ST_OK) http_call_error(call, st, &err);
    else if (ast->n_vectors == 0) http_call_empty(call, 204); /* nothing was asked for */
    return st == ST_OK && ast->n_vectors > 0;
}

void http_query_exemplars(struct http_call *call)
{
    struct http_exemplars *q = mem_zalloc(sizeof(*q));
    struct app *app = call->app;
    q->call = call;
    ast_init(&q->ast, app->query_account);
    counter_add(&app->stats.n_exemplar_queries, 1);
    if (!take_range(call, &q->range) || !http_arg_limit(call, "limit", &q->limit) ||
        !take_query(call, &q->ast)) {
        ast_release(&q->ast);
        mem_free(q);
        return;
    }
    query_work_init(&q->work, app, call->slot, 0, exemplars_run, exemplars_finish);
    query_work_start(&q->work);
}
