/* Results as Prometheus' HTTP API prints them. See promjson.h.
 *
 * Samples are by far the most of it, so they bypass the JSON writer: each step of the
 * grid is formatted by itself, values by the shortest digits.
 */
#include "api/promjson.h"

#include <string.h>

#include "base/numfmt.h"
#include "model/histogram_buckets.h"

enum { FIXED_MAX = 400 }; /* numfmt_fixed() needs 350 */

size_t promjson_time(char *dst, int64_t ms)
{
    uint64_t size = ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms;
    size_t n = 0;
    if (ms < 0) dst[n++] = '-';
    n += numfmt_u64(dst + n, size / 1000);
    unsigned rest = (unsigned)(size % 1000);
    if (rest == 0) return n;
    dst[n++] = '.';
    dst[n++] = (char)('0' + rest / 100);
    dst[n++] = (char)('0' + rest / 10 % 10);
    dst[n++] = (char)('0' + rest % 10);
    return n;
}

void promjson_labels(struct json_writer *w, struct labels labels)
{
    json_open_object(w);
    for (size_t i = 0; i < labels.n; i++) {
        json_put_key(w, labels.ptr[i].name);
        json_put_text(w, labels.ptr[i].value);
    }
    json_close_object(w);
}

/* [time,"value"] */
static void put_sample(struct strbuf *out, int64_t ms, double v)
{
    char text[2 * NUMFMT_MAX + 8];
    size_t n = 0;
    text[n++] = '[';
    n += promjson_time(text + n, ms);
    text[n++] = ',';
    text[n++] = '"';
    n += numfmt_prom(text + n, v);
    text[n++] = '"';
    text[n++] = ']';
    strbuf_put(out, text, n);
}

/* --- native histograms ------------------------------------------------------------ */

static void put_number(struct strbuf *out, double v)
{
    char text[NUMFMT_MAX];
    strbuf_char(out, '"');
    strbuf_put(out, text, numfmt_prom(text, v));
    strbuf_char(out, '"');
}

/* [boundaries,"lower","upper","count"]; boundaries: 0 open left, 1 open right, 2 open
 * both, 3 closed both. Empty buckets are left out. */
static void put_buckets(struct strbuf *out, const struct histogram *h)
{
    static const int rules[2][2] = {{2, 0}, {1, 3}}; /* [left closed][right closed] */
    struct hist_buckets walk;
    struct hist_bucket b;
    bool any = false;
    hist_buckets_begin(&walk, h, false);
    while (hist_buckets_next(&walk, &b)) {
        if (b.count == 0) continue;
        strbuf_str(out, any ? "," : ",\"buckets\":[");
        any = true;
        strbuf_printf(out, "[%d,", rules[b.lower_closed][b.upper_closed]);
        put_number(out, b.lower);
        strbuf_char(out, ',');
        put_number(out, b.upper);
        strbuf_char(out, ',');
        put_number(out, b.count);
        strbuf_char(out, ']');
    }
    if (any) strbuf_char(out, ']');
}

static void put_histogram(struct strbuf *out, int64_t ms, const struct histogram *h)
{
    char text[NUMFMT_MAX];
    strbuf_char(out, '[');
    strbuf_put(out, text, promjson_time(text, ms));
    strbuf_str(out, ",{\"count\":");
    put_number(out, h->count);
    strbuf_str(out, ",\"sum\":");
    put_number(out, h->sum);
    put_buckets(out, h);
    strbuf_str(out, "}]");
}

/* --- results ---------------------------------------------------------------------- */

/* Floats or histograms of one series, as a JSON list; nothing when there are none. */
static void put_points(struct strbuf *out, const struct promql_result *result,
                       const struct prom_series *series, bool histograms)
{
    size_t at = 0;
    bool any = false;
    struct prom_point point;
    while (promvalue_next(result, series, &at, &point)) {
        if ((point.hist != NULL) != histograms) continue;
        strbuf_str(out, any ? "," : histograms ? ",\"histograms\":[" : ",\"values\":[");
        any = true;
        if (histograms)
            put_histogram(out, promvalue_ms(result, point.ts), point.hist);
        else
            put_sample(out, promvalue_ms(result, point.ts), point.val);
    }
    if (any) strbuf_char(out, ']');
}

static void put_series(struct strbuf *out, const struct promql_result *result,
                       const struct prom_series *series)
{
    struct json_writer w;
    struct prom_point point;
    size_t at = 0;
    strbuf_str(out, "{\"metric\":");
    json_writer_init(&w, out);
    promjson_labels(&w, series->labels);
    if (result->type == KIND_VECTOR) {
        if (promvalue_next(result, series, &at, &point)) {
            strbuf_str(out, point.hist ? ",\"histogram\":" : ",\"value\":");
            if (point.hist)
                put_histogram(out, promvalue_ms(result, point.ts), point.hist);
            else
                put_sample(out, promvalue_ms(result, point.ts), point.val);
        }
    } else {
        put_points(out, result, series, false);
        put_points(out, result, series, true);
    }
    strbuf_char(out, '}');
}

/* [time,"value"]; Prometheus never prints a scalar with an exponent. */
static void put_scalar(struct strbuf *out, int64_t ms, double v)
{
    char text[FIXED_MAX];
    strbuf_char(out, '[');
    strbuf_put(out, text, promjson_time(text, ms));
    strbuf_str(out, ",\"");
    strbuf_put(out, text, numfmt_fixed(text, v, sizeof(text)));
    strbuf_str(out, "\"]");
}

static void put_value(struct strbuf *out, const struct promql_result *result, size_t n)
{
    char text[NUMFMT_MAX];
    switch (result->type) {
    case KIND_SCALAR: put_scalar(out, promvalue_ms(result, result->start), result->scalar); return;
    case KIND_STRING:
        strbuf_char(out, '[');
        strbuf_put(out, text, promjson_time(text, promvalue_ms(result, result->start)));
        strbuf_char(out, ',');
        json_quote(out, result->string);
        strbuf_char(out, ']');
        return;
    default: break;
    }
    strbuf_char(out, '[');
    for (size_t i = 0; i < n; i++) {
        if (i) strbuf_char(out, ',');
        put_series(out, result, &result->series[i]);
    }
    strbuf_char(out, ']');
}

static void put_texts(struct strbuf *out, const char *key, const struct slice *texts, size_t n,
                      bool cut)
{
    if (n == 0 && !cut) return;
    strbuf_printf(out, ",\"%s\":[", key);
    for (size_t i = 0; i < n; i++) {
        if (i) strbuf_char(out, ',');
        json_quote(out, texts[i]);
    }
    if (cut) {
        if (n) strbuf_char(out, ',');
        json_quote(out, SLICE_LIT("results truncated due to limit"));
    }
    strbuf_char(out, ']');
}

static void put_seconds(struct strbuf *out, const char *key, double s)
{
    char text[NUMFMT_MAX];
    strbuf_str(out, key);
    strbuf_put(out, text, numfmt_prom(text, s));
}

/* Results come sorted out of the evaluation: that time is a part of it. */
static void put_stats(struct strbuf *out, const struct promql_result *result,
                      const struct promjson_stats *stats)
{
    char text[NUMFMT_MAX];
    put_seconds(out, ",\"stats\":{\"timings\":{\"evalTotalTime\":",
                stats->prepared + stats->evaluated);
    put_seconds(out, ",\"resultSortTime\":", 0);
    put_seconds(out, ",\"queryPreparationTime\":", stats->prepared);
    put_seconds(out, ",\"innerEvalTime\":", stats->evaluated);
    put_seconds(out, ",\"execQueueTime\":", stats->queued);
    put_seconds(out, ",\"execTotalTime\":", stats->queued + stats->prepared + stats->evaluated);
    strbuf_str(out, "},\"samples\":{");
    if (stats->per_step && result->instant) {
        strbuf_str(out, "\"totalQueryableSamplesPerStep\":[[");
        strbuf_put(out, text, promjson_time(text, promvalue_ms(result, result->start)));
        strbuf_printf(out, ",%llu]],", (unsigned long long)result->total_samples);
    }
    strbuf_printf(out, "\"totalQueryableSamples\":%llu,\"peakSamples\":%llu}}",
                  (unsigned long long)result->total_samples,
                  (unsigned long long)result->peak_samples);
}

void promjson_result(struct strbuf *out, const struct promql_result *result, size_t limit,
                     const struct promjson_stats *stats)
{
    bool cut = limit && result->n_series > limit &&
               (result->type == KIND_VECTOR || result->type == KIND_MATRIX);
    strbuf_printf(out, "{\"status\":\"success\",\"data\":{\"resultType\":\"%s\",\"result\":",
                  value_kind_name(result->type));
    put_value(out, result, cut ? limit : result->n_series);
    if (stats) put_stats(out, result, stats);
    strbuf_char(out, '}');
    put_texts(out, "warnings", result->warnings, result->n_warnings, cut);
    put_texts(out, "infos", result->infos, result->n_infos, false);
    strbuf_char(out, '}');
}

void promjson_error(struct strbuf *out, const char *type, struct slice text)
{
    strbuf_printf(out, "{\"status\":\"error\",\"errorType\":\"%s\",\"error\":", type);
    json_quote(out, text);
    strbuf_char(out, '}');
}
