/* Series, label names, label values, metadata. */
#include <stdlib.h>

#include "api/http_handlers.h"
#include "api/http_match.h"
#include "api/promjson.h"
#include "api/work.h"
#include "base/mem.h"
#include "base/numfmt.h"
#include "base/panic.h"
#include "base/utf8.h"

/* A question about series: match[] selectors, a range, a limit. */
struct meta_question {
    struct query_work work;
    struct http_call *call;
    struct http_matches matches;
    struct time_range range;   /* ticks */
    struct slice label;        /* of which values are wanted; empty: names */
    size_t limit;
};

static void free_question(struct meta_question *q)
{
    http_matches_release(&q->matches);
    query_work_release(&q->work);
    mem_free(q);
}

static void meta_finish(struct query_work *work)
{
    struct meta_question *q = container_of(work, struct meta_question, work);
    if (work->st == ST_OK)
        http_call_chain(q->call, 200, &work->out);
    else
        http_call_error(q->call, work->st, &work->err);
    free_question(q);
}

/* A question with its parameters, or NULL: the call is answered. head: of what is said about
 * a bad match[]. */
static struct meta_question *new_question(struct http_call *call,
                                          status (*run)(struct query_work *), const char *head)
{
    struct meta_question *q = mem_zalloc(sizeof(*q));
    size_t limit;
    q->call = call;
    if (!http_arg_limit(call, "limit", &limit)) {
        mem_free(q);
        return NULL;
    }
    q->limit = limit;
    query_work_init(&q->work, call->app, call->slot, 0, run, meta_finish);
    if (http_arg_range(call, &q->range) && http_matches_take(call, &q->matches, head)) return q;
    free_question(q);
    return NULL;
}

/* --- answers ----------------------------------------------------------------------- */

static void begin_list(struct strbuf *body, struct json_writer *w, size_t len_max)
{
    strbuf_init(body, len_max);
    json_writer_init(w, body);
    json_open_object(w);
    json_field_text(w, "status", SLICE_LIT("success"));
    json_put_key(w, SLICE_LIT("data"));
    json_open_array(w);
}

static status end_list(struct query_work *work, struct strbuf *body, struct json_writer *w,
                       bool more)
{
    json_close_array(w);
    if (more) {
        json_put_key(w, SLICE_LIT("warnings"));
        json_open_array(w);
        json_put_text(w, SLICE_LIT("results truncated due to limit"));
        json_close_array(w);
    }
    json_close_object(w);
    status st = body->failed ? err_set(&work->err, ST_LIMIT, "the result is too large") : ST_OK;
    if (st == ST_OK) iobuf_adopt(&work->out, body);
    strbuf_release(body);
    return st;
}

/* --- label names and values --------------------------------------------------------- */

static status texts_run(struct query_work *work)
{
    struct meta_question *q = container_of(work, struct meta_question, work);
    struct querier *querier = work->app->querier;
    struct slice *texts;
    size_t n;
    bool more = false;
    TRY(querier->ops->label_texts(querier, q->label, q->matches.groups, q->matches.n, q->range,
                                  (struct slice){"", 0}, q->limit, &work->arena, &texts, &n, &more,
                                  &work->budget, &work->err));
    struct strbuf body;
    struct json_writer w;
    begin_list(&body, &w, work->budget.bytes_max);
    for (size_t i = 0; i < n; i++) json_put_text(&w, texts[i]);
    return end_list(work, &body, &w, more);
}

void http_labels(struct http_call *call)
{
    struct meta_question *q = new_question(call, texts_run, "");
    if (q) query_work_start(&q->work);
}

/* U__ names: _xx_ is a rune in hex, __ an underscore (Prometheus' values escaping). */
static bool unescape_name(struct http_call *call, struct slice *name)
{
    if (!slice_starts(*name, SLICE_LIT("U__"))) return true;
    char *dst = arena_try(&call->arena, name->len);
    size_t n = 0;
    if (!dst) return false;
    for (size_t i = 3; i < name->len;) {
        if (name->ptr[i] != '_') {
            dst[n++] = name->ptr[i++];
            continue;
        }
        if (i + 1 < name->len && name->ptr[i + 1] == '_') {
            dst[n++] = '_';
            i += 2;
            continue;
        }
        uint32_t rune = 0;
        size_t digits = 0;
        for (i++; i < name->len && name->ptr[i] != '_'; i++, digits++) {
            const char *hex = "0123456789abcdef", *at = strchr(hex, name->ptr[i] | 0x20);
            if (!at || digits == 6) return false;
            rune = rune * 16 + (uint32_t)(at - hex);
        }
        if (i == name->len || digits == 0 || rune > 0x10ffff) return false;
        n += utf8_put(dst + n, rune);
        i++;
    }
    *name = slice_of(dst, n);
    return true;
}

void http_label_values(struct http_call *call)
{
    struct slice name = call->path_arg;
    if (!unescape_name(call, &name) || name.len == 0 || !utf8_valid(name)) {
        http_call_bad(call, "invalid label name: \"%.*s\"", (int)(name.len > 100 ? 100 : name.len),
                      name.ptr);
        return;
    }
    struct meta_question *q = new_question(call, texts_run, "");
    if (!q) return;
    q->label = name;
    query_work_start(&q->work);
}

/* --- series ------------------------------------------------------------------------- */

/* The sets are sorted: a merge that drops what two selectors both found. */
static size_t smallest(struct series_set **sets, const size_t *at, size_t n)
{
    size_t best = n;
    for (size_t i = 0; i < n; i++) {
        if (at[i] == sets[i]->n) continue;
        if (best == n || labels_cmp(sets[i]->labels[at[i]], sets[best]->labels[at[best]]) < 0)
            best = i;
    }
    return best;
}

static status print_series(struct meta_question *q, struct series_set **sets)
{
    struct query_work *work = &q->work;
    struct strbuf body;
    struct json_writer w;
    struct labels prev = {NULL, 0};
    size_t n = 0, i;
    size_t *at = arena_try_zero(&work->arena, (q->matches.n + 1) * sizeof(*at));
    bool more = false;
    if (!at) return ST_NO_MEMORY;
    begin_list(&body, &w, work->budget.bytes_max);
    while ((i = smallest(sets, at, q->matches.n)) < q->matches.n) {
        struct labels labels = sets[i]->labels[at[i]++];
        if (n && labels_cmp(prev, labels) == 0) continue;
        if (q->limit && n == q->limit) {
            more = true;
            break;
        }
        prev = labels;
        n++;
        promjson_labels(&w, labels);
    }
    return end_list(work, &body, &w, more);
}

static status series_run(struct query_work *work)
{
    struct meta_question *q = container_of(work, struct meta_question, work);
    struct querier *querier = work->app->querier;
    struct fetch *fetch;
    struct select *selects = arena_try_array(&work->arena, q->matches.n, sizeof(*selects));
    struct series_set **sets = arena_try_array(&work->arena, q->matches.n, sizeof(*sets));
    if (!selects || !sets) return ST_NO_MEMORY;
    for (size_t i = 0; i < q->matches.n; i++)
        selects[i] = (struct select){
            .matchers = q->matches.groups[i], .range = q->range, .hint = {.labels_only = true}};
    TRY(querier_fetch(querier, &fetch, sets, selects, q->matches.n, (struct slice){"", 0},
                      &work->budget, &work->err));
    status st = print_series(q, sets);
    querier_done(querier, fetch);
    return st;
}

void http_series(struct http_call *call)
{
    if (http_matches_count(call) == 0) {
        http_call_bad(call, "no match[] parameter provided");
        return;
    }
    struct meta_question *q = new_question(call, series_run, HTTP_MATCH_BAD);
    if (q) query_work_start(&q->work);
}

/* --- metadata ------------------------------------------------------------------------ */

struct metadata_print {
    struct json_writer w;
    size_t limit, n;       /* SIZE_MAX: none */
};

static status print_metadata(void *ctx, const struct metric_meta *meta)
{
    struct metadata_print *p = ctx;
    if (p->n == p->limit) return ST_LIMIT;
    p->n++;
    json_put_key(&p->w, meta->family);
    json_open_array(&p->w);
    json_open_object(&p->w);
    json_field_text(&p->w, "type", slice_str(metric_type_name(meta->type)));
    json_field_text(&p->w, "help", meta->help);
    json_field_text(&p->w, "unit", meta->unit);
    json_close_object(&p->w);
    json_close_array(&p->w);
    return ST_OK;
}

static void print_one(void *ctx, const struct metric_meta *meta)
{
    (void)print_metadata(ctx, meta); /* beyond the limit nothing is printed */
}

static void print_all(struct http_call *call, struct metadata_print *p)
{
    struct metadata_store *store = db_metadata(call->app->db);
    struct slice metric = http_arg(call, "metric");
    struct metadata_walk walk = {.len = 0};
    if (metric.len) {
        metadata_store_get(store, metric, print_one, p);
        return;
    }
    for (bool more = true; more;)
        if (metadata_store_walk(store, &walk, print_metadata, p, &more) != ST_OK) return;
}

/* A limit as /metadata has it: none below 0 and when it is absent. */
static bool take_count(struct http_call *call, const char *name, size_t *out)
{
    struct slice value = http_arg(call, name);
    int64_t n = -1;
    if (value.len && !parse_i64(&n, value)) {
        http_call_bad(call, "%s must be a number", name);
        return false;
    }
    *out = n < 0 ? SIZE_MAX : (size_t)n;
    return true;
}

void http_metadata(struct http_call *call)
{
    struct metadata_print p = {.n = 0};
    size_t per_metric; /* there is one entry a family: what keeps any keeps it */
    struct strbuf body;
    if (!take_count(call, "limit", &p.limit) || !take_count(call, "limit_per_metric", &per_metric))
        return;
    strbuf_init(&body, app_settings(call->app)->query_bytes_max);
    json_writer_init(&p.w, &body);
    json_open_object(&p.w);
    json_field_text(&p.w, "status", SLICE_LIT("success"));
    json_put_key(&p.w, SLICE_LIT("data"));
    json_open_object(&p.w);
    print_all(call, &p);
    json_close_object(&p.w);
    json_close_object(&p.w);
    if (body.failed)
        http_call_error(call, ST_NO_MEMORY, NULL);
    else
        http_call_json(call, 200, &body);
    strbuf_release(&body);
}
