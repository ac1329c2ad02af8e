/* Results as Prometheus' HTTP API prints them. See promjson.h.
 *
 * Samples are by far the most of it, so they bypass the JSON writer: the times of the grid
 * are formatted once for all series, values by the shortest digits, and a value that is the
 * one before is copied.
 */
#include "api/promjson.h"

#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "base/numfmt.h"
#include "model/histogram_buckets.h"

enum { FIXED_MAX = 400 }; /* numfmt_fixed() needs 350 */

/* A part of a long answer: large enough that its block costs nothing, small enough to come
 * from memory that was used before. A guess. */
enum { PART_BYTES = 256 << 10 };

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

/* --- floats on the grid ----------------------------------------------------------- */

enum {
    STEP_TEXT_MAX = 24, /* [-9223372036854775.808," */
    RUN = 64,           /* steps of a word of presence bits */
    RUN_BYTES = RUN * (STEP_TEXT_MAX + NUMFMT_MAX + 3),
};

/* How each step of a result begins. */
struct step_text {
    char text[STEP_TEXT_MAX];
    uint32_t len;
};

/* NULL when there is no memory: then each time is formatted by itself. */
static struct step_text *step_texts(const struct promql_result *result)
{
    struct step_text *steps = mem_try_array(result->n_steps, sizeof(*steps));
    for (size_t i = 0; steps && i < result->n_steps; i++) {
        char *text = steps[i].text;
        ts_time ts = result->start + (int64_t)i * result->step;
        size_t n = 0;
        text[n++] = '[';
        n += promjson_time(text + n, promvalue_ms(result, ts));
        text[n++] = ',';
        text[n++] = '"';
        steps[i].len = (uint32_t)n;
    }
    return steps;
}

/* The value text of the sample before, which is often that of the next. */
struct last_value {
    double v;
    size_t len;
    char text[NUMFMT_MAX];
};

/* Whole copies of constant size: what is too much is written over. */
static char *put_step(char *to, const struct step_text *step, double v, struct last_value *last)
{
    memcpy(to, step->text, STEP_TEXT_MAX);
    to += step->len;
    if (memcmp(&v, &last->v, sizeof(v)) != 0) {
        last->v = v;
        last->len = numfmt_prom(last->text, v);
    }
    memcpy(to, last->text, NUMFMT_MAX);
    to += last->len;
    memcpy(to, "\"],", 3);
    return to + 3;
}

static void put_grid(struct strbuf *out, const struct promql_result *result,
                     const struct step_text *steps, const struct prom_series *series)
{
    struct last_value last = {.v = 0, .len = 1, .text = "0"};
    strbuf_str(out, ",\"values\":[");
    for (size_t i = 0; i < result->n_steps; i += RUN) {
        uint64_t has = series->has[i / RUN];
        if (result->n_steps - i < RUN) has &= (1ull << (result->n_steps - i)) - 1;
        if (has == 0) continue;
        if (!strbuf_reserve(out, RUN_BYTES)) return;
        char *to = out->ptr + out->len;
        for (; has; has &= has - 1) {
            size_t step = i + trailing_zeros(has);
            to = put_step(to, &steps[step], series->val[step], &last);
        }
        out->len = (size_t)(to - out->ptr);
    }
    out->ptr[out->len - 1] = ']'; /* the last comma */
}

static void put_values(struct strbuf *out, const struct promql_result *result,
                       const struct step_text *steps, const struct prom_series *series)
{
    if (steps && series->has && !series->hist && series->n_samples) {
        put_grid(out, result, steps, series);
        return;
    }
    put_points(out, result, series, false);
    put_points(out, result, series, true);
}

/* --- results ---------------------------------------------------------------------- */

static void put_series(struct strbuf *out, const struct promql_result *result,
                       const struct step_text *steps, const struct prom_series *series)
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
        put_values(out, result, steps, series);
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

static void put_list(struct strbuf *out, const struct promql_result *result, size_t n,
                     struct promjson_drain *drain)
{
    struct step_text *steps = NULL;
    if (result->type == KIND_MATRIX && n && result->series[0].has) steps = step_texts(result);
    strbuf_char(out, '[');
    for (size_t i = 0; i < n && !out->failed; i++) {
        if (i) strbuf_char(out, ',');
        put_series(out, result, steps, &result->series[i]);
        if (drain && out->len >= PART_BYTES) drain->full(drain, out);
    }
    strbuf_char(out, ']');
    mem_free(steps);
}

static void put_value(struct strbuf *out, const struct promql_result *result, size_t n,
                      struct promjson_drain *drain)
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
    default: put_list(out, result, n, drain); return;
    }
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
    promjson_result_parts(out, result, limit, stats, NULL);
}

void promjson_result_parts(struct strbuf *out, const struct promql_result *result, size_t limit,
                           const struct promjson_stats *stats, struct promjson_drain *drain)
{
    bool cut = limit && result->n_series > limit &&
               (result->type == KIND_VECTOR || result->type == KIND_MATRIX);
    strbuf_printf(out, "{\"status\":\"success\",\"data\":{\"resultType\":\"%s\",\"result\":",
                  value_kind_name(result->type));
    put_value(out, result, cut ? limit : result->n_series, drain);
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
