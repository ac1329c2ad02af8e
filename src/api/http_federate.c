/* /federate: the newest samples as exposition text, for a Prometheus above. As there: an
 * instant vector at now, external labels on series that have no such label, an empty
 * `instance` on those without one, native histograms left out of the text format. */
#include <stdio.h>
#include <stdlib.h>

#include "api/external_labels.h"
#include "api/http_handlers.h"
#include "api/http_match.h"
#include "api/http_pick.h"
#include "base/mem.h"
#include "base/numfmt.h"
#include "base/panic.h"

#define INSTANCE "instance"
#define TEXT_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct http_federate {
    struct query_work work;
    struct http_call *call;
    struct http_matches matches;
    struct time_range range;
    struct labels external;
    bool utf8;                 /* the reader knows quoted names */
    struct strbuf text;
};

/* --- text ---------------------------------------------------------------------------- */

/* A name as it is, or with '_' for what a plain one cannot have. */
static void put_plain(struct strbuf *out, struct slice name, bool colon)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
                    (colon && c == ':') || (i > 0 && c >= '0' && c <= '9');
        strbuf_char(out, good ? c : '_');
    }
}

static void put_quoted(struct strbuf *out, struct slice text)
{
    strbuf_char(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (c == '\n') {
            strbuf_str(out, "\\n");
            continue;
        }
        if (c == '"' || c == '\\') strbuf_char(out, '\\');
        strbuf_char(out, c);
    }
    strbuf_char(out, '"');
}

static void put_label(struct strbuf *out, const struct http_federate *fed, const char **comma,
                      struct slice name, struct slice value)
{
    strbuf_str(out, *comma);
    *comma = ",";
    if (fed->utf8 && !label_name_is_plain(name)) put_quoted(out, name);
    else put_plain(out, name, false);
    strbuf_char(out, '=');
    put_quoted(out, value);
}

/* The series: its labels, then what it lacks of the external ones and instance. */
static void put_series(struct strbuf *out, const struct http_federate *fed, struct labels set,
                       struct slice name)
{
    bool quoted = fed->utf8 && !metric_name_is_plain(name), instance = false;
    const char *comma = "";
    if (!quoted) put_plain(out, name, true);
    strbuf_char(out, '{');
    if (quoted) {
        put_quoted(out, name);
        comma = ",";
    }
    for (size_t i = 0; i < set.n; i++) {
        if (slice_is(set.ptr[i].name, LABEL_NAME)) continue;
        put_label(out, fed, &comma, set.ptr[i].name, set.ptr[i].value);
        instance |= slice_is(set.ptr[i].name, INSTANCE);
    }
    for (size_t i = 0; i < fed->external.n; i++) {
        const struct label *l = &fed->external.ptr[i];
        if (labels_has(set, l->name)) continue;
        put_label(out, fed, &comma, l->name, l->value);
        instance |= slice_is(l->name, INSTANCE);
    }
    if (!instance) put_label(out, fed, &comma, SLICE_LIT(INSTANCE), (struct slice){"", 0});
    strbuf_str(out, "} ");
}

static void put_type(struct strbuf *out, const struct http_federate *fed, struct slice name)
{
    strbuf_str(out, "# TYPE ");
    if (fed->utf8 && !metric_name_is_plain(name)) put_quoted(out, name);
    else put_plain(out, name, true);
    strbuf_str(out, " untyped\n");
}

static void put_sample(struct strbuf *out, double v, int64_t ms)
{
    char text[NUMFMT_MAX];
    strbuf_put(out, text, numfmt_go(text, v));
    strbuf_char(out, ' ');
    strbuf_put(out, text, numfmt_i64(text, ms));
    strbuf_char(out, '\n');
}

/* --- running ------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    struct labels x = picked_labels(a), y = picked_labels(b);
    int order = slice_cmp(labels_get(x, SLICE_LIT(LABEL_NAME)),
                          labels_get(y, SLICE_LIT(LABEL_NAME)));
    return order ? order : labels_cmp(x, y);
}

static status put_all(struct http_federate *fed, struct http_picks *picks, struct strbuf *out)
{
    struct query_work *work = &fed->work;
    enum precision precision = db_options(work->app->db)->precision;
    struct slice family = {"", 0};
    for (size_t i = 0; i < picks->n; i++) {
        struct picked *p = &picks->ptr[i];
        enum value_type type = picked_type(p);
        struct slice name = labels_get(picked_labels(p), SLICE_LIT(LABEL_NAME));
        struct point point;
        bool found;
        if (name.len == 0 || type == VALUE_HISTOGRAM || type == VALUE_BYTES) continue;
        TRY(budget_poll(&work->budget, &work->err));
        TRY(p->set->ops->last(p->set, p->idx, &point, &found, &work->err));
        if (!found || (type == VALUE_F64 && value_is_stale(point.val.bits))) continue;
        if (!slice_eq(name, family)) put_type(out, fed, name);
        family = name;
        put_series(out, fed, picked_labels(p), name);
        put_sample(out, value_to_f64(type, point.val), time_to_ms(point.ts, precision));
    }
    return out->failed ? err_set(&work->err, ST_LIMIT, "the result is too large") : ST_OK;
}

static status federate_run(struct query_work *work)
{
    struct http_federate *fed = container_of(work, struct http_federate, work);
    struct http_picks picks;
    TRY(external_labels_parse(&fed->external, slice_str(app_settings(work->app)->external_labels),
                              &work->arena, &work->err));
    TRY(http_pick(work, &picks, fed->matches.groups, fed->matches.n, fed->range, false));
    qsort(picks.ptr, picks.n, sizeof(*picks.ptr), by_name);
    strbuf_init(&fed->text, work->budget.bytes_max);
    status st = put_all(fed, &picks, &fed->text);
    http_unpick(work, &picks);
    return st;
}

static void federate_finish(struct query_work *work)
{
    struct http_federate *fed = container_of(work, struct http_federate, work);
    struct http_call *call = fed->call;
    http_matches_release(&fed->matches);
    if (work->st == ST_OK)
        http_call_text(call, 200, TEXT_TYPE, strbuf_view(&fed->text));
    else
        http_call_error(call, work->st, &work->err);
    query_work_release(work);
    strbuf_release(&fed->text);
    mem_free(fed);
}

void http_federate(struct http_call *call)
{
    struct app *app = call->app;
    enum precision precision = db_options(app->db)->precision;
    struct slice accept = http_value(call->req, HTTP_F_ACCEPT);
    int64_t now = clock_wall(app->clock), back = app_settings(app)->query_lookback_ms;
    if (http_matches_count(call) == 0) {
        http_call_text(call, 200, TEXT_TYPE, (struct slice){"", 0});
        return;
    }
    struct http_federate *fed = mem_zalloc(sizeof(*fed));
    fed->call = call;
    struct err err = {.st = ST_OK};
    status st = http_matches_parse(call, &fed->matches, &err);
    if (st != ST_OK) { /* in plain text, as Prometheus */
        char text[sizeof(err.text) + 1];
        int len = snprintf(text, sizeof(text), "%s\n", err_text(&err, st));
        http_matches_release(&fed->matches);
        mem_free(fed);
        http_call_text(call, status_http(st), "text/plain; charset=utf-8",
                       slice_of(text, (size_t)len));
        return;
    }
    fed->utf8 = accept.len && memmem(accept.ptr, accept.len, "escaping=allow-utf-8", 20);
    /* The look-back's older end is not in it. */
    fed->range = (struct time_range){time_from_ms_clamped(now - back, precision) + 1,
                                     time_from_ms_clamped(now, precision)};
    query_work_init(&fed->work, app, call->slot, 0, federate_run, federate_finish);
    query_work_start(&fed->work);
}
