/* JSON lines. Checked of what is accepted: rows lie in their series, refused ones are counted,
 * a good row has a name; a line that gave rows is JSON to jansson, too (but for what that
 * refuses by rules of its own: names twice, NUL in texts, numbers beyond its integers). */
#include <string.h>

#include "base/json_read.h"
#include "base/panic.h"
#include "ingest/json_lines.h"
#include "tests/fuzz/fuzz.h"

static const ts_time NOW = 1700000000000;

int fuzz_lines(const uint8_t *src, size_t len);

static void check_batch(const struct batch *b, const struct decode_report *report)
{
    uint64_t n_refused = 0;
    ASSERT(b->n_rows == report->n_samples && b->n_series == report->n_series);
    for (size_t i = 0; i < b->n_rows; i++) {
        ASSERT(b->row_series[i] < b->n_series);
        ASSERT(batch_name_of(&b->series[b->row_series[i]])->identity.len > 0);
        if (b->result[i] != ST_OK) n_refused++;
        else ASSERT(b->ts[i] >= NOW - 3600000 && b->ts[i] <= NOW + 60000);
    }
    ASSERT(n_refused == report->n_refused);
    ASSERT((n_refused == 0 && report->n_bad_lines == 0) || report->first.st != ST_OK);
}

static void check_json(struct slice line)
{
    static const char *const own[] = {"duplicate", "\\u0000", "too big", "overflow", "\\n", "NUL"};
    struct err err = {.st = ST_OK};
    struct json *doc;
    if (json_doc_parse(&doc, line, 1 << 24, &err) == ST_OK) {
        ASSERT(json_count(doc) == 3);
        size_t n = json_count(json_member(doc, "values"));
        ASSERT(n == json_count(json_member(doc, "timestamps")));
        json_doc_free(doc);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        if (strstr(err.text, own[i])) return;
    PANIC("jansson: %s", err.text);
}

int fuzz_lines(const uint8_t *src, size_t len)
{
    struct decode_env env = {.limits = &limits_default,
                             .precision = PRECISION_MS,
                             .window = time_window_at(NOW, 3600000, 60000),
                             .now = NOW};
    struct slice body = slice_of(src, len);
    struct batch *batch = batch_new(NULL);
    ASSERT(batch);
    while (body.len) {
        const char *end = memchr(body.ptr, '\n', body.len);
        struct slice line = slice_of(body.ptr, end ? (size_t)(end - body.ptr) : body.len);
        struct decode_report report = {.n_series = 0};
        batch_reset(batch);
        if (json_lines_decode(batch, line, &env, &report, NULL) == ST_OK) {
            check_batch(batch, &report);
            if (batch->n_rows) check_json(line);
        }
        body = slice_skip(body, line.len + (end ? 1 : 0));
    }
    batch_free(batch);
    return 0;
}

FUZZ_ENTRY(fuzz_lines)
