/* /metrics: the table over the figures, as exposition text 0.0.4 or OpenMetrics 1.0. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

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

static void put_histogram(struct strbuf *out, const char *name, const char *labels,
                          const struct histogram_us *h)
{
    static const uint64_t bounds_us[] = {10,    50,    100,    250,    500,     1000,    2500,
                                         5000,  10000, 25000,  50000,  100000,  250000,  500000,
                                         1000000, 2500000, 10000000, 60000000};
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

static void put_histograms(struct server *srv, struct strbuf *out)
{
    static const char step[] = "tsink_loop_step_seconds";
    strbuf_printf(out,
                  "# HELP tsink_query_duration_seconds Time of queries, waiting included.\n"
                  "# TYPE tsink_query_duration_seconds histogram\n");
    put_histogram(out, "tsink_query_duration_seconds", "", &srv->app.stats.query_us);
    strbuf_printf(out, "# HELP %s Time a loop's turn spent on callbacks.\n# TYPE %s histogram\n",
                  step, step);
    for (size_t i = 0; i < srv->app.loops.n; i++) {
        char labels[64];
        struct loop *loop = conn_loop_loop(srv->app.loops.ptr[i]);
        snprintf(labels, sizeof(labels), "loop=\"%s\"", loop_name(loop));
        put_histogram(out, step, labels, loop_step_times(loop));
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
