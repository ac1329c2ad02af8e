/* /metrics: the table over the figures, as exposition text 0.0.4 or OpenMetrics 1.0, and as
 * JSON for /api/v1/status/self_metrics. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/json_write.h"
#include "base/numfmt.h"
#include "base/panic.h"
#include "server/server_stats.h"

enum metric_kind { COUNTER, GAUGE };

static const struct metric_row {
    enum metric_kind kind;
    size_t off;
    double scale;
    const char *name, *labels, *help;
} rows[] = {
#define METRIC(kind_, field, scale_, name_, labels_, help_)                                    \
    {kind_, offsetof(struct server_stats, field), scale_, name_, labels_, help_},
#include "server/metrics.def"
#undef METRIC
};

/* The rows are read as 64-bit words. */
#define METRIC(kind_, field, ...)                                                              \
    _Static_assert(sizeof(((struct server_stats *)0)->field) == sizeof(uint64_t), #field);
#include "server/metrics.def"
#undef METRIC

/* The family's name: OpenMetrics leaves _total to the sample. */
static size_t family_len(const struct metric_row *row, bool openmetrics)
{
    size_t len = strlen(row->name);
    return openmetrics && row->kind == COUNTER ? len - strlen("_total") : len;
}

static void put_family(struct strbuf *out, const struct metric_row *row, bool openmetrics)
{
    int len = (int)family_len(row, openmetrics);
    strbuf_printf(out, "# HELP %.*s %s\n# TYPE %.*s %s\n", len, row->name, row->help, len,
                  row->name, row->kind == COUNTER ? "counter" : "gauge");
}

/* Upper ends of what is shown of a histogram. */
static const uint64_t bounds_us[] = {10,    50,    100,    250,    500,     1000,    2500,
                                     5000,  10000, 25000,  50000,  100000,  250000,  500000,
                                     1000000, 2500000, 10000000, 60000000};

static void put_histogram(struct strbuf *out, const char *name, const char *labels,
                          const struct histogram_us *h)
{
    char text[NUMFMT_MAX];
    const char *comma = labels[0] ? "," : "";
    for (size_t i = 0; i < ARRAY_LEN(bounds_us); i++) {
        size_t len = numfmt_go(text, (double)bounds_us[i] / 1e6);
        strbuf_printf(out, "%s_bucket{%s%sle=\"%.*s\"} %llu\n", name, labels, comma, (int)len, text,
                      (unsigned long long)histogram_us_at_most(h, bounds_us[i]));
    }
    unsigned long long n = (unsigned long long)histogram_us_count(h);
    size_t len = numfmt_go(text, (double)histogram_us_sum(h) / 1e6);
    strbuf_printf(out, "%s_bucket{%s%sle=\"+Inf\"} %llu\n", name, labels, comma, n);
    if (labels[0])
        strbuf_printf(out, "%s_sum{%s} %.*s\n%s_count{%s} %llu\n", name, labels, (int)len, text,
                      name, labels, n);
    else
        strbuf_printf(out, "%s_sum %.*s\n%s_count %llu\n", name, (int)len, text, name, n);
}

static const char query_name[] = "tsink_query_duration_seconds",
                  query_help[] = "Time of queries, waiting included.",
                  step_name[] = "tsink_loop_step_seconds",
                  step_help[] = "Time a loop's turn spent on callbacks.";

static void put_histograms(struct server *srv, struct strbuf *out)
{
    strbuf_printf(out, "# HELP %s %s\n# TYPE %s histogram\n", query_name, query_help, query_name);
    put_histogram(out, query_name, "", &srv->app.stats.query_us);
    strbuf_printf(out, "# HELP %s %s\n# TYPE %s histogram\n", step_name, step_help, step_name);
    for (size_t i = 0; i < srv->app.loops.n; i++) {
        char labels[64];
        struct loop *loop = conn_loop_loop(srv->app.loops.ptr[i]);
        snprintf(labels, sizeof(labels), "loop=\"%s\"", loop_name(loop));
        put_histogram(out, step_name, labels, loop_step_times(loop));
    }
}

void server_metrics(void *ctx, struct strbuf *out, bool openmetrics)
{
    struct server *srv = ctx;
    struct server_stats stats;
    const char *family = "";
    server_stats(srv, &stats);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct metric_row *row = &rows[i];
        uint64_t v;
        char text[NUMFMT_MAX];
        memcpy(&v, (const char *)&stats + row->off, sizeof(v));
        if (strcmp(family, row->name) != 0) put_family(out, row, openmetrics);
        family = row->name;
        size_t len = row->scale == 1 ? numfmt_u64(text, v)
                                     : numfmt_go(text, (double)v / row->scale);
        if (row->labels[0])
            strbuf_printf(out, "%s{%s} %.*s\n", row->name, row->labels, (int)len, text);
        else
            strbuf_printf(out, "%s %.*s\n", row->name, (int)len, text);
    }
    put_histograms(srv, out);
    if (openmetrics) strbuf_str(out, "# EOF\n");
}

/* --- as JSON ----------------------------------------------------------------------- */

/* The labels of a row: name="value",... without escapes. */
static void json_labels(struct json_writer *w, const char *labels)
{
    if (!labels[0]) return;
    json_put_key(w, SLICE_LIT("label"));
    json_open_array(w);
    while (*labels) {
        const char *value = strchr(labels, '"') + 1, *end = strchr(value, '"');
        json_open_object(w);
        json_field_text(w, "name", slice_of(labels, (size_t)(value - labels) - strlen("=\"")));
        json_field_text(w, "value", slice_of(value, (size_t)(end - value)));
        json_close_object(w);
        labels = end[1] == ',' ? end + 2 : end + 1;
    }
    json_close_array(w);
}

static void json_family(struct json_writer *w, const char *name, const char *help,
                        const char *type)
{
    json_open_object(w);
    json_field_text(w, "name", slice_str(name));
    json_field_text(w, "help", slice_str(help));
    json_field_text(w, "type", slice_str(type));
    json_put_key(w, SLICE_LIT("metric"));
    json_open_array(w);
}

static void json_family_end(struct json_writer *w)
{
    json_close_array(w);
    json_close_object(w);
}

static void json_row(struct json_writer *w, const struct metric_row *row, uint64_t v)
{
    json_open_object(w);
    json_labels(w, row->labels);
    json_put_key(w, row->kind == COUNTER ? SLICE_LIT("counter") : SLICE_LIT("gauge"));
    json_open_object(w);
    json_field_f64(w, "value", (double)v / row->scale);
    json_close_object(w);
    json_close_object(w);
}

/* 64-bit counts are text in ProtoJSON, and so is infinity. */
static void json_count(struct json_writer *w, const char *key, uint64_t n)
{
    char text[NUMFMT_MAX];
    json_field_text(w, key, slice_of(text, numfmt_u64(text, n)));
}

static void json_histogram(struct json_writer *w, const char *labels, const struct histogram_us *h)
{
    uint64_t n = histogram_us_count(h);
    json_open_object(w);
    json_labels(w, labels);
    json_put_key(w, SLICE_LIT("histogram"));
    json_open_object(w);
    json_count(w, "sampleCount", n);
    json_field_f64(w, "sampleSum", (double)histogram_us_sum(h) / 1e6);
    json_put_key(w, SLICE_LIT("bucket"));
    json_open_array(w);
    for (size_t i = 0; i <= ARRAY_LEN(bounds_us); i++) {
        bool last = i == ARRAY_LEN(bounds_us);
        json_open_object(w);
        json_count(w, "cumulativeCount", last ? n : histogram_us_at_most(h, bounds_us[i]));
        if (last) json_field_text(w, "upperBound", SLICE_LIT("Infinity"));
        else json_field_f64(w, "upperBound", (double)bounds_us[i] / 1e6);
        json_close_object(w);
    }
    json_close_array(w);
    json_close_object(w);
    json_close_object(w);
}

static bool is_wanted(const struct regex *names, const char *name)
{
    return !names || regex_match(names, slice_str(name));
}

static void json_histograms(struct server *srv, struct json_writer *w, const struct regex *names)
{
    if (is_wanted(names, query_name)) {
        json_family(w, query_name, query_help, "HISTOGRAM");
        json_histogram(w, "", &srv->app.stats.query_us);
        json_family_end(w);
    }
    if (!is_wanted(names, step_name)) return;
    json_family(w, step_name, step_help, "HISTOGRAM");
    for (size_t i = 0; i < srv->app.loops.n; i++) {
        char labels[64];
        struct loop *loop = conn_loop_loop(srv->app.loops.ptr[i]);
        snprintf(labels, sizeof(labels), "loop=\"%s\"", loop_name(loop));
        json_histogram(w, labels, loop_step_times(loop));
    }
    json_family_end(w);
}

void server_metrics_json(void *ctx, struct strbuf *out, const struct regex *names)
{
    struct server *srv = ctx;
    struct server_stats stats;
    struct json_writer w;
    const char *family = NULL; /* that is open */
    server_stats(srv, &stats);
    json_writer_init(&w, out);
    json_open_array(&w);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct metric_row *row = &rows[i];
        uint64_t v;
        if (!is_wanted(names, row->name)) continue;
        memcpy(&v, (const char *)&stats + row->off, sizeof(v));
        if (!family || strcmp(family, row->name) != 0) {
            if (family) json_family_end(&w);
            family = row->name;
            json_family(&w, family, row->help, row->kind == COUNTER ? "COUNTER" : "GAUGE");
        }
        json_row(&w, row, v);
    }
    if (family) json_family_end(&w);
    json_histograms(srv, &w, names);
    json_close_array(&w);
}
