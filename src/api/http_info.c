/* What the server is and how it is set up: runtimeinfo, flags, config, walreplay,
 * self_metrics, features, version, openapi.yaml. */
#include <stdio.h>

#include "api/external_labels.h"
#include "api/http_handlers.h"
#include "api/http_owner.h"
#include "api/openapi.h"
#include "api/version.h"
#include "base/date.h"
#include "base/duration.h"
#include "base/json_write.h"
#include "promql/ast.h"

static void open_success(struct json_writer *w, struct strbuf *out)
{
    json_writer_init(w, out);
    json_open_object(w);
    json_field_text(w, "status", SLICE_LIT("success"));
    json_put_key(w, SLICE_LIT("data"));
}

static void field_time(struct json_writer *w, const char *key, int64_t ms)
{
    char text[64];
    struct date d = date_of(ms / 1000);
    int len = snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", d.year, d.month,
                       d.day, d.hour, d.minute, d.second, (int)(ms < 0 ? 0 : ms % 1000));
    json_field_text(w, key, slice_of(text, (size_t)len));
}

/* --- runtimeinfo ----------------------------------------------------------------------- */

/* Prometheus' keys; goroutines are threads here, GOMAXPROCS the CPUs. */
static status put_runtime(struct http_call *call, struct strbuf *out, struct err *err)
{
    struct app *app = call->app;
    struct app_runtime info;
    struct json_writer w;
    char text[64];
    (void)err;
    app->ports.runtime(app->ports.ctx, &info);
    open_success(&w, out);
    json_open_object(&w);
    field_time(&w, "startTime", app->start_wall_ms);
    json_field_text(&w, "CWD", slice_str(info.cwd));
    json_field_text(&w, "hostname", slice_str(info.hostname));
    field_time(&w, "serverTime", clock_wall(app->clock));
    json_field_bool(&w, "reloadConfigSuccess", info.config_ok);
    field_time(&w, "lastConfigTime", info.config_ms);
    json_field_u64(&w, "corruptionCount", info.n_corruptions);
    json_field_u64(&w, "goroutineCount", info.n_threads);
    json_field_u64(&w, "GOMAXPROCS", info.n_cpus);
    json_field_u64(&w, "GOMEMLIMIT", info.memory_limit);
    json_field_text(&w, "GOGC", SLICE_LIT(""));
    json_field_text(&w, "GODEBUG", SLICE_LIT(""));
    json_field_text(&w, "storageRetention",
                    slice_of(text, duration_print_ms(text, info.retention_ms)));
    json_field_text(&w, "application", SLICE_LIT("tsink"));
    json_field_text(&w, "applicationVersion", slice_str(API_VERSION));
    json_close_object(&w);
    json_close_object(&w);
    return ST_OK;
}

void http_runtimeinfo(struct http_call *call)
{
    http_on_owner(call, NULL, put_runtime);
}

/* --- flags --------------------------------------------------------------------------- */

/* Prometheus' names of options that are ours under another one. */
static const struct flag_alias {
    const char *option, *flag;
} aliases[] = {
    {"admin-api", "web.enable-admin-api"},
    {"cors-origin", "web.cors.origin"},
    {"data-path", "storage.tsdb.path"},
    {"http-prefix", "web.route-prefix"},
    {"lifecycle-api", "web.enable-lifecycle"},
    {"maxclients", "web.max-connections"},
    {"query-lookback", "query.lookback-delta"},
    {"query-max-samples", "query.max-samples"},
    {"query-threads", "query.max-concurrency"},
    {"query-timeout", "query.timeout"},
    {"retention", "storage.tsdb.retention.time"},
};

static void put_flag(void *arg, const char *name, struct slice value)
{
    struct json_writer *w = arg;
    json_field_text(w, name, value);
    for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
        if (!slice_is(slice_str(name), aliases[i].option)) continue;
        if (slice_is(value, "yes")) value = SLICE_LIT("true");
        if (slice_is(value, "no")) value = SLICE_LIT("false");
        json_field_text(w, aliases[i].flag, value);
    }
}

static status put_flags(struct http_call *call, struct strbuf *out, struct err *err)
{
    struct app *app = call->app;
    struct json_writer w;
    (void)err;
    open_success(&w, out);
    json_open_object(&w);
    app->ports.config_get(app->ports.ctx, SLICE_LIT("*"), put_flag, &w);
    json_close_object(&w);
    json_close_object(&w);
    return ST_OK;
}

void http_flags(struct http_call *call)
{
    http_on_owner(call, NULL, put_flags);
}

/* --- config -------------------------------------------------------------------------- */

/* Prometheus' configuration as far as this server has one: who it is. */
void http_config(struct http_call *call)
{
    struct labels labels;
    struct strbuf body, yaml;
    struct json_writer w;
    struct err err = {.st = ST_OK};
    status st = external_labels_parse(&labels, slice_str(app_settings(call->app)->external_labels),
                                      &call->arena, &err);
    if (st != ST_OK) {
        http_call_error(call, st, &err);
        return;
    }
    strbuf_init(&yaml, 0);
    strbuf_init(&body, 0);
    strbuf_str(&yaml, labels.n ? "global:\n  external_labels:\n" : "global: {}\n");
    for (size_t i = 0; i < labels.n; i++) {
        strbuf_str(&yaml, "    ");
        json_quote(&yaml, labels.ptr[i].name); /* JSON's strings are YAML's, too */
        strbuf_str(&yaml, ": ");
        json_quote(&yaml, labels.ptr[i].value);
        strbuf_char(&yaml, '\n');
    }
    open_success(&w, &body);
    json_open_object(&w);
    json_field_text(&w, "yaml", strbuf_view(&yaml));
    json_close_object(&w);
    json_close_object(&w);
    http_call_json(call, 200, &body);
    strbuf_release(&yaml);
    strbuf_release(&body);
}

/* --- walreplay ------------------------------------------------------------------------ */

/* Served while the log is being read: its place there and its end, in the log's order. */
void http_walreplay(struct http_call *call)
{
    struct app *app = call->app;
    struct strbuf body;
    struct json_writer w;
    uint64_t max = atomic_load_explicit(&app->replay_total, memory_order_acquire);
    uint64_t at = atomic_load_explicit(&app->replay_done, memory_order_relaxed);
    if (atomic_load_explicit(&app->ready, memory_order_acquire) || at > max) at = max;
    strbuf_init(&body, 0);
    open_success(&w, &body);
    json_open_object(&w);
    json_field_u64(&w, "min", 0);
    json_field_u64(&w, "max", max);
    json_field_u64(&w, "current", at);
    json_close_object(&w);
    json_close_object(&w);
    http_call_json(call, 200, &body);
    strbuf_release(&body);
}

/* --- self_metrics --------------------------------------------------------------------- */

static status put_self_metrics(struct http_call *call, struct strbuf *out, struct err *err)
{
    struct app *app = call->app;
    struct slice pattern = http_arg(call, "metric_name_pattern");
    struct regex *names = NULL;
    struct err why = {.st = ST_OK};
    status st = pattern.len ? regex_new(&names, pattern, &why) : ST_OK;
    if (st != ST_OK)
        return err_set(err, ST_INVALID, "invalid parameter \"metric_name_pattern\": %s",
                       err_text(&why, st));
    strbuf_str(out, "{\"status\":\"success\",\"data\":");
    app->ports.metrics_json(app->ports.ctx, out, names);
    strbuf_char(out, '}');
    regex_free(names);
    return ST_OK;
}

void http_self_metrics(struct http_call *call)
{
    http_on_owner(call, NULL, put_self_metrics);
}

/* --- features ------------------------------------------------------------------------- */

static void put_words(struct json_writer *w, const char *key, const char *const *words, size_t n)
{
    json_put_key(w, slice_str(key));
    json_open_object(w);
    for (size_t i = 0; i < n; i++) json_field_bool(w, words[i], true);
    json_close_object(w);
}

static void put_api_features(struct json_writer *w, const struct app_settings *set)
{
    json_put_key(w, SLICE_LIT("api"));
    json_open_object(w);
    json_field_bool(w, "admin", set->admin_api);
    json_field_bool(w, "label_values_match", true);
    json_field_bool(w, "lifecycle", set->lifecycle_api);
    json_field_bool(w, "otlp_write_receiver", false);
    json_field_bool(w, "query_stats", true);
    json_field_bool(w, "query_warnings", true);
    json_field_bool(w, "remote_write_receiver", true);
    json_close_object(w);
}

void http_features(struct http_call *call)
{
    static const char *const promql[] = {
        "anchored", "at_modifier", "bool", "by", "duration_expr", "experimental_functions", "fill",
        "group_left", "group_right", "ignoring", "negative_offset", "offset", "on",
        "per_query_lookback_delta", "smoothed", "subqueries", "without"};
    const struct app_settings *set = app_settings(call->app);
    struct strbuf body;
    struct json_writer w;
    strbuf_init(&body, 0);
    open_success(&w, &body);
    json_open_object(&w);
    put_api_features(&w, set);
    put_words(&w, "promql", promql, sizeof(promql) / sizeof(promql[0]));
    json_put_key(&w, SLICE_LIT("promql_functions"));
    json_open_object(&w);
    for (size_t i = 0; i < N_FUNCTIONS; i++) json_field_bool(&w, functions[i].name, true);
    json_close_object(&w);
    json_put_key(&w, SLICE_LIT("promql_operators"));
    json_open_object(&w);
    for (int op = OP_ADD; op <= OP_TRIM_LOWER; op++) json_field_bool(&w, binary_op_text(op), true);
    for (int op = 0; op < N_AGGREGATORS; op++) json_field_bool(&w, aggregator_name(op), true);
    json_close_object(&w);
    json_close_object(&w);
    json_close_object(&w);
    http_call_json(call, 200, &body);
    strbuf_release(&body);
}

/* --- what it is ------------------------------------------------------------------------ */

void http_version(struct http_call *call)
{
    struct strbuf body;
    struct json_writer w;
    strbuf_init(&body, 0);
    json_writer_init(&w, &body);
    json_open_object(&w);
    http_put_version(&w);
    json_close_object(&w);
    http_call_json(call, 200, &body);
    strbuf_release(&body);
}

void http_openapi(struct http_call *call)
{
    struct strbuf text;
    strbuf_init(&text, 0);
    openapi_print(&text);
    if (text.failed) http_call_error(call, ST_NO_MEMORY, NULL);
    else http_call_text(call, 200, "application/yaml; charset=utf-8", strbuf_view(&text));
    strbuf_release(&text);
}
