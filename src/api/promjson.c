/* Results as Prometheus' HTTP API prints them. See promjson.h.
 *
 * Samples are by far the most of it, so they bypass the JSON writer: each step of the
 * grid is formatted by itself, values by the shortest digits.
 */
#include "api/promjson.h"

#include <math.h>
#include <string.h>

#include "base/numfmt.h"

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

/* The upper bound of exponential bucket idx: base^idx with base 2^(2^-schema). */
static double exponential_bound(int32_t schema, int32_t idx)
{
    if (schema < 0) return ldexp(1.0, idx << -schema);
    double whole = floor((double)idx / (1 << schema));
    int32_t rest = idx - (int32_t)(whole * (1 << schema));
    return ldexp(exp2((double)rest / (1 << schema)), (int)whole);
}

static double upper_bound(const struct histogram *h, int32_t idx)
{
    if (h->schema != HIST_SCHEMA_CUSTOM) return exponential_bound(h->schema, idx);
    if (idx < 0) return -INFINITY;
    return (size_t)idx < h->n_custom ? h->custom[idx] : INFINITY;
}

struct bucket_list {
    struct strbuf *out;
    bool any;
};

/* [boundaries,"lower","upper","count"]; boundaries: 0 open left, 1 open right, 2 open
 * both, 3 closed both. */
static void put_bucket(struct bucket_list *list, int rule, double low, double high, double count)
{
    if (count == 0) return;
    strbuf_str(list->out, list->any ? "," : ",\"buckets\":[");
    list->any = true;
    strbuf_printf(list->out, "[%d,", rule);
    put_number(list->out, low);
    strbuf_char(list->out, ',');
    put_number(list->out, high);
    strbuf_char(list->out, ',');
    put_number(list->out, count);
    strbuf_char(list->out, ']');
}

/* The indexes of a side's buckets, in order of the spans. */
static int32_t next_index(const struct hist_side *side, size_t *span, uint32_t *in_span,
                          int32_t idx)
{
    while (*span < side->n_spans && *in_span == 0) {
        idx += side->spans[*span].offset;
        *in_span = side->spans[*span].n;
        if (*in_span == 0) ++*span;
    }
    return idx;
}

static void put_negative(struct bucket_list *list, const struct histogram *h)
{
    /* Largest magnitude first: walk to the end remembering indexes would need memory, so
     * each bucket's index is found anew; histograms have few negative buckets. */
    for (size_t want = h->neg.n_counts; want-- > 0;) {
        size_t span = 0;
        uint32_t in_span = 0;
        int32_t idx = 0;
        for (size_t i = 0; i <= want; i++) {
            idx = next_index(&h->neg, &span, &in_span, idx);
            if (i == want) break;
            idx++;
            if (--in_span == 0) span++;
        }
        put_bucket(list, 1, -upper_bound(h, idx), -upper_bound(h, idx - 1), h->neg.counts[want]);
    }
}

static void put_positive(struct bucket_list *list, const struct histogram *h)
{
    size_t span = 0;
    uint32_t in_span = 0;
    int32_t idx = 0;
    for (size_t i = 0; i < h->pos.n_counts; i++) {
        idx = next_index(&h->pos, &span, &in_span, idx);
        double low = upper_bound(h, idx - 1);
        /* The first custom bucket has no lower bound; Prometheus closes it if it is -Inf. */
        int rule = h->schema == HIST_SCHEMA_CUSTOM && idx == 0 ? 3 : 0;
        put_bucket(list, rule, low, upper_bound(h, idx), h->pos.counts[i]);
        idx++;
        if (--in_span == 0) span++;
    }
}

static void put_histogram(struct strbuf *out, int64_t ms, const struct histogram *h)
{
    char text[NUMFMT_MAX];
    struct bucket_list list = {.out = out};
    strbuf_char(out, '[');
    strbuf_put(out, text, promjson_time(text, ms));
    strbuf_str(out, ",{\"count\":");
    put_number(out, h->count);
    strbuf_str(out, ",\"sum\":");
    put_number(out, h->sum);
    put_negative(&list, h);
    put_bucket(&list, 3, -h->zero_threshold, h->zero_threshold, h->zero_count);
    put_positive(&list, h);
    strbuf_str(out, list.any ? "]}]" : "}]");
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

static void put_value(struct strbuf *out, const struct promql_result *result, size_t n)
{
    char text[NUMFMT_MAX];
    switch (result->type) {
    case KIND_SCALAR: put_sample(out, promvalue_ms(result, result->start), result->scalar); return;
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

void promjson_result(struct strbuf *out, const struct promql_result *result, size_t limit)
{
    bool cut = limit && result->n_series > limit &&
               (result->type == KIND_VECTOR || result->type == KIND_MATRIX);
    strbuf_printf(out, "{\"status\":\"success\",\"data\":{\"resultType\":\"%s\",\"result\":",
                  value_kind_name(result->type));
    put_value(out, result, cut ? limit : result->n_series);
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
