/* /api/v1/series/count (as VictoriaMetrics) and /api/v1/cardinality/... (as Mimir): how many
 * series and values there are, of what. Mimir's answers have no envelope; failures have it. */
#include <stdlib.h>

#include "api/http_handlers.h"
#include "api/http_owner.h"
#include "api/http_pick.h"
#include "api/promjson.h"
#include "base/mem.h"
#include "base/numfmt.h"
#include "base/panic.h"
#include "promql/parser.h"

enum {
    LIMIT_PRESET = 20, LIMIT_MAX = 500,   /* Mimir's */
    LABELS_MAX = 100,                     /* label_names[] of a request; a guess */
    ACTIVE_MS = 20 * 60 * 1000,           /* a series without samples for longer is idle: Mimir's */
    ARENA_BLOCK = 16 << 10,
};

static status put_series_count(struct http_call *call, struct strbuf *out, struct err *err)
{
    struct db_stats stats;
    if (!call->app->db) return err_set(err, ST_CLOSED, "stopping");
    db_stats(call->app->db, &stats);
    strbuf_printf(out, "{\"status\":\"success\",\"data\":[%llu]}",
                  (unsigned long long)stats.n_series);
    return ST_OK;
}

void http_series_count(struct http_call *call)
{
    http_on_owner(call, NULL, put_series_count);
}

/* --- a question ----------------------------------------------------------------------- */

struct card_question {
    struct query_work work;
    struct http_call *call;
    struct ast selector;
    struct matchers matchers;  /* of the selector; none: all series */
    bool selected;
    size_t limit;
};

static void free_question(struct card_question *q)
{
    ast_release(&q->selector);
    query_work_release(&q->work);
    mem_free(q);
}

static void card_finish(struct query_work *work)
{
    struct card_question *q = container_of(work, struct card_question, work);
    if (work->st == ST_OK) http_call_chain(q->call, 200, &work->out);
    else http_call_error(q->call, work->st, &work->err);
    free_question(q);
}

static bool take_selector(struct card_question *q)
{
    struct slice text = http_arg(q->call, "selector");
    struct err err = {.st = ST_OK};
    if (text.len == 0) return true;
    status st = promql_parse_selector(&q->selector, text, &err);
    if (st != ST_OK) {
        http_call_bad(q->call, "invalid parameter \"selector\": %s", err_text(&err, st));
        return false;
    }
    q->matchers = (struct matchers){q->selector.root->vec.matchers,
                                    q->selector.root->vec.n_matchers};
    return q->selected = true;
}

static bool take_limit(struct card_question *q)
{
    if (!http_arg_limit(q->call, "limit", &q->limit)) return false;
    if (q->limit == 0) q->limit = LIMIT_PRESET;
    if (q->limit <= LIMIT_MAX) return true;
    http_call_bad(q->call, "invalid parameter \"limit\": it must not exceed %d", LIMIT_MAX);
    return false;
}

/* A question with selector and limit, or NULL: the call is answered. */
static struct card_question *new_question(struct http_call *call,
                                          status (*run)(struct query_work *work))
{
    struct card_question *q = mem_zalloc(sizeof(*q));
    q->call = call;
    ast_init(&q->selector, call->app->query_account);
    query_work_init(&q->work, call->app, call->slot, 0, run, card_finish);
    if (take_selector(q) && take_limit(q)) return q;
    free_question(q);
    return NULL;
}

static status close_answer(struct query_work *work, struct strbuf *body)
{
    status st = body->failed ? err_set(&work->err, ST_LIMIT, "the result is too large") : ST_OK;
    if (st == ST_OK) iobuf_adopt(&work->out, body);
    strbuf_release(body);
    return st;
}

/* --- counts --------------------------------------------------------------------------- */

struct count {
    struct slice text;
    uint64_t n;
};

static int most_first(const void *a, const void *b)
{
    const struct count *x = a, *y = b;
    if (x->n != y->n) return x->n > y->n ? -1 : 1;
    return slice_cmp(x->text, y->text);
}

/* --- label_names ---------------------------------------------------------------------- */

static status texts(struct card_question *q, struct slice name, struct arena *arena,
                    struct slice **out, size_t *n)
{
    struct query_work *work = &q->work;
    struct querier *querier = work->app->querier;
    bool more;
    return querier->ops->label_texts(querier, name, &q->matchers, q->selected ? 1 : 0,
                                     (struct time_range){TS_MIN, TS_MAX}, (struct slice){"", 0}, 0,
                                     arena, out, n, &more, &work->budget, &work->err);
}

static status count_values(struct card_question *q, struct count *count)
{
    struct arena arena;
    struct slice *values;
    size_t n = 0;
    arena_init(&arena, q->work.app->query_account, ARENA_BLOCK);
    status st = texts(q, count->text, &arena, &values, &n);
    arena_release(&arena);
    count->n = n;
    return st;
}

static status names_run(struct query_work *work)
{
    struct card_question *q = container_of(work, struct card_question, work);
    struct slice *names;
    struct strbuf body;
    struct json_writer w;
    size_t n;
    uint64_t n_values = 0;
    TRY(texts(q, (struct slice){"", 0}, &work->arena, &names, &n));
    struct count *counts = arena_try_array(&work->arena, n + 1, sizeof(*counts));
    if (!counts) return err_set(&work->err, ST_NO_MEMORY, "query memory");
    for (size_t i = 0; i < n; i++) {
        counts[i].text = names[i];
        TRY(count_values(q, &counts[i]));
        n_values += counts[i].n;
    }
    qsort(counts, n, sizeof(*counts), most_first);
    strbuf_init(&body, work->budget.bytes_max);
    json_writer_init(&w, &body);
    json_open_object(&w);
    json_field_u64(&w, "label_values_count_total", n_values);
    json_field_u64(&w, "label_names_count", n);
    json_put_key(&w, SLICE_LIT("cardinality"));
    json_open_array(&w);
    for (size_t i = 0; i < n && i < q->limit; i++) {
        json_open_object(&w);
        json_field_text(&w, "label_name", counts[i].text);
        json_field_u64(&w, "label_values_count", counts[i].n);
        json_close_object(&w);
    }
    json_close_array(&w);
    json_close_object(&w);
    return close_answer(work, &body);
}

void http_cardinality_names(struct http_call *call)
{
    struct card_question *q = new_question(call, names_run);
    if (q) query_work_start(&q->work);
}

/* --- label_values --------------------------------------------------------------------- */

/* A label: its values, the most series first. */
struct label_count {
    struct slice name;
    struct count *values;
    size_t n_values;
    uint64_t n_series;
};

static int by_text(const void *a, const void *b)
{
    const struct count *x = a, *y = b;
    return slice_cmp(x->text, y->text);
}

static int label_most_first(const void *a, const void *b)
{
    const struct label_count *x = a, *y = b;
    if (x->n_series != y->n_series) return x->n_series > y->n_series ? -1 : 1;
    return slice_cmp(x->name, y->name);
}

/* The value in every series that has one; sorted and counted in place. */
static status count_label(struct query_work *work, const struct http_picks *picks,
                          struct label_count *out)
{
    struct count *values = arena_try_array(&work->arena, picks->n + 1, sizeof(*values));
    size_t n = 0, kept = 0;
    if (!values) return err_set(&work->err, ST_NO_MEMORY, "query memory");
    for (size_t i = 0; i < picks->n; i++) {
        struct slice value = labels_get(picked_labels(&picks->ptr[i]), out->name);
        if (value.len) values[n++] = (struct count){value, 1};
    }
    qsort(values, n, sizeof(*values), by_text);
    for (size_t i = 0; i < n; i++) {
        if (kept && slice_eq(values[i].text, values[kept - 1].text)) values[kept - 1].n++;
        else values[kept++] = values[i];
    }
    qsort(values, kept, sizeof(*values), most_first);
    out->values = values;
    out->n_values = kept;
    out->n_series = n;
    return budget_poll(&work->budget, &work->err);
}

static void put_label(struct json_writer *w, const struct label_count *label, size_t limit)
{
    json_open_object(w);
    json_field_text(w, "label_name", label->name);
    json_field_u64(w, "label_values_count", label->n_values);
    json_field_u64(w, "series_count", label->n_series);
    json_put_key(w, SLICE_LIT("cardinality"));
    json_open_array(w);
    for (size_t i = 0; i < label->n_values && i < limit; i++) {
        json_open_object(w);
        json_field_text(w, "label_value", label->values[i].text);
        json_field_u64(w, "series_count", label->values[i].n);
        json_close_object(w);
    }
    json_close_array(w);
    json_close_object(w);
}

static status put_labels(struct card_question *q, const struct http_picks *picks)
{
    struct query_work *work = &q->work;
    struct label_count labels[LABELS_MAX];
    size_t idx = 0, n = 0;
    struct slice name;
    struct strbuf body;
    struct json_writer w;
    while (n < LABELS_MAX && uri_param_next(&q->call->params, "label_names[]", &idx, &name)) {
        labels[n].name = name;
        TRY(count_label(work, picks, &labels[n++]));
    }
    qsort(labels, n, sizeof(labels[0]), label_most_first);
    strbuf_init(&body, work->budget.bytes_max);
    json_writer_init(&w, &body);
    json_open_object(&w);
    json_field_u64(&w, "series_count_total", picks->n);
    json_put_key(&w, SLICE_LIT("labels"));
    json_open_array(&w);
    for (size_t i = 0; i < n; i++) put_label(&w, &labels[i], q->limit);
    json_close_array(&w);
    json_close_object(&w);
    return close_answer(work, &body);
}

static status values_run(struct query_work *work)
{
    struct card_question *q = container_of(work, struct card_question, work);
    struct http_picks picks;
    TRY(http_pick(work, &picks, &q->matchers, 1, (struct time_range){TS_MIN, TS_MAX}, true));
    status st = put_labels(q, &picks);
    http_unpick(work, &picks);
    return st;
}

void http_cardinality_values(struct http_call *call)
{
    size_t idx = 0, n = 0;
    struct slice name;
    while (uri_param_next(&call->params, "label_names[]", &idx, &name)) n++;
    if (n == 0 || n > LABELS_MAX) {
        http_call_bad(call, "invalid parameter \"label_names[]\": 1 to %d label names are wanted",
                      LABELS_MAX);
        return;
    }
    struct card_question *q = new_question(call, values_run);
    if (q) query_work_start(&q->work);
}

/* --- active_series -------------------------------------------------------------------- */

static status active_run(struct query_work *work)
{
    struct card_question *q = container_of(work, struct card_question, work);
    enum precision precision = db_options(work->app->db)->precision;
    int64_t now = clock_wall(work->app->clock);
    struct time_range range = {time_from_ms_clamped(now - ACTIVE_MS, precision), TS_MAX};
    struct http_picks picks;
    struct strbuf body;
    struct json_writer w;
    TRY(http_pick(work, &picks, &q->matchers, 1, range, true));
    strbuf_init(&body, work->budget.bytes_max);
    json_writer_init(&w, &body);
    json_open_object(&w);
    json_put_key(&w, SLICE_LIT("data"));
    json_open_array(&w);
    for (size_t i = 0; i < picks.n; i++) promjson_labels(&w, picked_labels(&picks.ptr[i]));
    json_close_array(&w);
    json_close_object(&w);
    http_unpick(work, &picks);
    return close_answer(work, &body);
}

void http_active_series(struct http_call *call)
{
    if (http_arg(call, "selector").len == 0) {
        http_call_bad(call, "invalid parameter \"selector\": a selector is wanted");
        return;
    }
    struct card_question *q = new_question(call, active_run);
    if (q) query_work_start(&q->work);
}
