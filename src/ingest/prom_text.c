/* Text expositions. See prom_text.h.
 *
 * Line by line. A sample line is cut into the series' text (name and braces as they
 * stand), the value, and an optional time:
 *
 *     http_requests_total{code="200",method="get"} 1027 1395066363000
 *     '------------------ series -----------------' value    time
 *
 * The hash of the series' text says whether the series is known; only when it is not are
 * the labels read. A line whose series' text is that of the line before belongs to the
 * same entry of the batch.
 *
 * TYPE, HELP and UNIT of one family come on lines of their own; they are gathered until
 * another family begins and handed on after the last line. So are `_created` lines of
 * OpenMetrics (prom_created_priv.h), which become start timestamps of their family's rows.
 */
#include "ingest/prom_text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/numfmt.h"
#include "base/utf8.h"
#include "base/vec.h"
#include "ingest/exemplar_row.h"
#include "ingest/format_priv.h"
#include "ingest/prom_created_priv.h"

enum { MS_PER_S = 1000 };

struct text {
    struct batch *batch;
    const struct decode_env *env;
    struct decode_report *report;
    struct err *err;
    bool seconds;               /* OpenMetrics: times are seconds */
    uint64_t line;              /* number of the current one, from 1 */
    struct slice last;          /* series' text of the line before */
    int64_t last_entry;         /* its entry, or -1 */
    VEC(struct label) labels;   /* scratch */
    VEC(struct metric_meta) metas;
    struct created created;     /* OpenMetrics: of the family at hand */
    struct err why;             /* what model says about the labels of the line */
    status failed;              /* of the whole request */
};

/* A line and why it is bad; NULL while it is not. */
struct cursor {
    const char *at, *end;
    const char *why;
};

static bool bad(struct cursor *c, const char *why)
{
    c->why = why;
    return false;
}

static bool refuse(struct text *t, struct cursor *c)
{
    t->failed = ST_NO_MEMORY;
    return bad(c, "out of memory");
}

static void skip_blanks(struct cursor *c)
{
    while (c->at < c->end && (*c->at == ' ' || *c->at == '\t')) c->at++;
}

static bool at_char(const struct cursor *c, char want)
{
    return c->at < c->end && *c->at == want;
}

/* What stands up to the next blank or the end. */
static struct slice take_word(struct cursor *c)
{
    const char *from = c->at;
    while (c->at < c->end && *c->at != ' ' && *c->at != '\t') c->at++;
    return slice_of(from, (size_t)(c->at - from));
}

/* ---- quoted texts --------------------------------------------------------- */

/* A quoted text, its raw inside; *escaped tells that it has backslashes. */
static bool take_quoted(struct slice *out, bool *escaped, struct cursor *c)
{
    const char *from = ++c->at; /* behind the opening quote */
    *escaped = false;
    for (; c->at < c->end && *c->at != '"'; c->at++) {
        if (*c->at != '\\') continue;
        *escaped = true;
        if (++c->at == c->end) break;
    }
    if (c->at >= c->end) return bad(c, "a quoted text does not end");
    *out = slice_of(from, (size_t)(c->at - from));
    c->at++;
    return true;
}

/* The escapes n t r; any other character stands for itself. */
static struct slice unescape(struct arena *arena, struct slice raw)
{
    char *dst = arena_try(arena, raw.len);
    size_t n = 0;
    if (!dst) return (struct slice){NULL, 0};
    for (size_t i = 0; i < raw.len; i++) {
        char c = raw.ptr[i];
        if (c == '\\' && i + 1 < raw.len) {
            c = raw.ptr[++i];
            c = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
        }
        dst[n++] = c;
    }
    return slice_of(dst, n);
}

static bool take_text(struct slice *out, struct text *t, struct cursor *c)
{
    bool escaped;
    if (!take_quoted(out, &escaped, c)) return false;
    if (escaped) *out = unescape(&t->batch->arena, *out);
    return out->ptr ? true : refuse(t, c);
}

/* ---- series --------------------------------------------------------------- */

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           c == '_' || c == ':';
}

static struct slice take_name(struct cursor *c)
{
    const char *from = c->at;
    while (c->at < c->end && is_name_char(*c->at)) c->at++;
    return slice_of(from, (size_t)(c->at - from));
}

/* Name and braces, without reading what is in them: where the series' text ends. */
static bool skip_series(struct slice *out, struct cursor *c)
{
    const char *from = c->at;
    (void)take_name(c);
    const char *name_end = c->at;
    skip_blanks(c);
    if (!at_char(c, '{')) {
        *out = slice_of(from, (size_t)(name_end - from));
        return out->len ? true : bad(c, "no metric name");
    }
    while (c->at < c->end && *c->at != '}') {
        struct slice text;
        bool escaped;
        if (*c->at != '"') c->at++;
        else if (!take_quoted(&text, &escaped, c)) return false;
    }
    if (c->at == c->end) return bad(c, "the braces do not close");
    c->at++;
    *out = slice_of(from, (size_t)(c->at - from));
    return true;
}

static bool push_label(struct text *t, struct cursor *c, struct slice name, struct slice value)
{
    if (t->labels.len > t->env->limits->labels_max) return bad(c, "too many labels");
    return vec_push(&t->labels, ((struct label){name, value})) ? true : refuse(t, c);
}

/* One item of the braces: name="value", "name"="value" or the quoted metric name. */
static bool read_item(struct text *t, struct cursor *c, bool *named)
{
    struct slice name, value;
    bool quoted = at_char(c, '"');
    if (quoted) {
        if (!take_text(&name, t, c)) return false;
    } else {
        name = take_name(c);
        if (!label_name_is_plain(name)) return bad(c, "bad label name");
    }
    skip_blanks(c);
    if (quoted && !at_char(c, '=')) {
        if (*named) return bad(c, "a second metric name");
        *named = true;
        return push_label(t, c, SLICE_LIT(LABEL_NAME), name);
    }
    if (!at_char(c, '=')) return bad(c, "no = behind a label name");
    c->at++;
    skip_blanks(c);
    if (!at_char(c, '"')) return bad(c, "a label value is not quoted");
    if (name.len == 0) return bad(c, "a label has an empty name");
    if (!take_text(&value, t, c)) return false;
    return push_label(t, c, name, value);
}

/* Braces and what is in them, added to t->labels; the cursor stands behind them then. */
static bool read_braces(struct text *t, struct cursor *c, bool named)
{
    c->at++;
    for (;;) {
        skip_blanks(c);
        if (at_char(c, '}')) break;
        if (!read_item(t, c, &named)) return false;
        skip_blanks(c);
        if (at_char(c, ',')) c->at++;
        else if (!at_char(c, '}')) return bad(c, "no comma between labels");
    }
    c->at++;
    return true;
}

/* The labels of a series' text, in t->labels. */
static bool read_labels(struct text *t, struct cursor *c)
{
    struct slice name = take_name(c);
    bool named = name.len > 0;
    vec_clear(&t->labels);
    if (named) {
        if (!metric_name_is_plain(name)) return bad(c, "bad metric name");
        if (!push_label(t, c, SLICE_LIT(LABEL_NAME), name)) return false;
    }
    skip_blanks(c);
    return !at_char(c, '{') || read_braces(t, c, named);
}

/* A new entry for the series' text; the labels are read unless it is known. */
static bool name_series(struct text *t, struct cursor *line, struct slice series,
                        struct batch_series *out)
{
    const struct decode_env *env = t->env;
    struct arena *arena = &t->batch->arena;
    struct cursor c = {series.ptr, series.ptr + series.len, NULL};

    *out = (struct batch_series){.ordinal = ORDINAL_NONE, .type = VALUE_F64};
    struct hash128 raw = hash128(series.ptr, series.len);
    if (env->known && env->known(env->ctx, raw, &out->ordinal, &out->gen)) return true;
    if (!read_labels(t, &c)) return bad(line, c.why);

    size_t n = t->labels.len;
    status st = labels_canonicalise(t->labels.ptr, &n, &t->why);
    struct labels set = {t->labels.ptr, n};
    if (st == ST_OK) st = validate_labels(set, env->limits, false, &t->why);
    if (st != ST_OK) return bad(line, t->why.text);

    /* names and values lie in the body or the arena: the array alone is copied */
    struct label *ptr = arena_try_array(arena, n, sizeof(*ptr));
    size_t len = labels_identity_len(set);
    uint8_t *identity = arena_try(arena, len);
    if (!ptr || !identity || !batch_name_series(t->batch, out)) return refuse(t, line);
    memcpy(ptr, set.ptr, n * sizeof(*ptr));
    (void)labels_identity(identity, set);
    *out->name = (struct batch_name){.labels = {ptr, n},
                                     .identity = slice_of(identity, len),
                                     .hash = hash128(identity, len),
                                     .raw_hash = raw}; /* for who makes or finds it to remember */
    return true;
}

/* ---- times ---------------------------------------------------------------- */

/* Seconds as a decimal number -> ticks, exactly or not at all. With an exponent the
 * number goes through a double, as whoever wrote it did. */
static bool ticks_of_seconds(ts_time *out, struct slice text, enum precision p)
{
    static const int digits_of[] = {
        [PRECISION_S] = 0, [PRECISION_MS] = 3, [PRECISION_US] = 6, [PRECISION_NS] = 9};
    const char *point = memchr(text.ptr, '.', text.len);
    struct slice whole = slice_of(text.ptr, point ? (size_t)(point - text.ptr) : text.len);
    struct slice frac = slice_of(text.ptr + text.len, 0);
    bool neg = text.len && text.ptr[0] == '-';
    bool no_whole = whole.len == 0 || slice_is(whole, "-") || slice_is(whole, "+"); /* .5 */
    int64_t ticks = 0;

    if (point) frac = slice_of(point + 1, text.len - whole.len - 1);
    while (frac.len && frac.ptr[frac.len - 1] == '0') frac.len--;
    if (frac.len > (size_t)digits_of[p]) return false;
    if (!no_whole && !parse_i64(&ticks, whole)) return false;
    for (int i = 0; i < digits_of[p]; i++) {
        int digit = (size_t)i < frac.len ? frac.ptr[i] - '0' : 0;
        if (digit < 0 || digit > 9) return false;
        if (__builtin_mul_overflow(ticks, 10, &ticks)) return false;
        if (__builtin_add_overflow(ticks, neg ? -digit : digit, &ticks)) return false;
    }
    *out = ticks;
    return true;
}

static bool ticks_of_double(ts_time *out, double seconds, enum precision p)
{
    double ms = seconds * MS_PER_S;
    if (!(fabs(ms) < 9e15) || ms != floor(ms)) return false;
    return time_from_ms(out, (int64_t)ms, p);
}

/* The time of the line. A time that the precision cannot hold refuses the row alone:
 * *st says so. */
static bool read_time(ts_time *out, status *st, struct text *t, struct cursor *c)
{
    struct slice word = take_word(c);
    double seconds;
    int64_t ms;

    if (!t->seconds) {
        if (!parse_i64(&ms, word)) return bad(c, "bad timestamp");
        if (!time_from_ms(out, ms, t->env->precision)) *st = ST_INVALID;
        return true;
    }
    if (!parse_f64(&seconds, word) || !isfinite(seconds)) return bad(c, "bad timestamp");
    bool exponent = memchr(word.ptr, 'e', word.len) || memchr(word.ptr, 'E', word.len);
    bool ok = exponent ? ticks_of_double(out, seconds, t->env->precision)
                       : ticks_of_seconds(out, word, t->env->precision);
    if (!ok) *st = ST_INVALID;
    return true;
}

/* ---- sample lines --------------------------------------------------------- */

static bool add_row(struct text *t, struct cursor *c, struct slice series, double value,
                    ts_time ts, status st)
{
    struct batch *batch = t->batch;
    const struct limits *limits = t->env->limits;
    struct batch_series entry;

    if (t->last_entry < 0 || !slice_eq(series, t->last)) {
        if (!name_series(t, c, series, &entry)) return false;
        if (batch->n_series == limits->batch_series_max) {
            t->failed = err_set(t->err, ST_TOO_LARGE, "more than %u series in one request",
                                limits->batch_series_max);
            return bad(c, "too many series");
        }
        int64_t at = batch_add_series(batch);
        if (at < 0) return refuse(t, c);
        batch->series[at] = entry;
        t->last = series;
        t->last_entry = at;
    }
    if (t->report->n_samples == limits->batch_samples_max) {
        t->failed = err_set(t->err, ST_TOO_LARGE, "more than %u samples in one request",
                            limits->batch_samples_max);
        return bad(c, "too many samples");
    }
    union value val = {.bits = f64_bits(value)};
    if (!batch_add_row(batch, (size_t)t->last_entry, ts, val, 0)) return refuse(t, c);
    t->report->n_samples++;
    if (st == ST_OK) st = validate_time(ts, t->env->window);
    if (st != ST_OK) {
        batch->result[batch->n_rows - 1] = (uint8_t)st;
        t->report->n_refused++;
        report_first(t->report, st, "line %" PRIu64 ": %s", t->line,
                     st == ST_INVALID ? "the precision of the database cannot hold the timestamp"
                                      : status_text(st));
    }
    return true;
}

/* The time of an exemplar: whatever a double of seconds says, as Prometheus takes it, for
 * clients write more digits than a database may hold. */
static bool exemplar_time(struct exemplar_row *row, const struct text *t, struct slice word)
{
    double seconds;
    int64_t ms;
    if (t->seconds) {
        if (!parse_f64(&seconds, word) || !(fabs(seconds) < 9e15)) return false;
        ms = (int64_t)(seconds * MS_PER_S);
    } else if (!parse_i64(&ms, word)) {
        return false;
    }
    row->has_ts = true;
    if (!time_from_ms(&row->ts, ms, t->env->precision)) row->st = ST_INVALID;
    return true;
}

/* "# {labels} value [time]", its labels in t->labels. */
static bool read_exemplar(struct text *t, struct cursor *c, struct exemplar_row *row)
{
    c->at++;
    skip_blanks(c);
    vec_clear(&t->labels);
    if (!at_char(c, '{')) return bad(c, "an exemplar without braces");
    if (!read_braces(t, c, true)) return false;
    skip_blanks(c);
    if (!parse_f64(&row->value, take_word(c))) return bad(c, "bad value of an exemplar");
    skip_blanks(c);
    if (c->at < c->end && !exemplar_time(row, t, take_word(c)))
        return bad(c, "bad timestamp of an exemplar");
    skip_blanks(c);
    return c->at == c->end ? true : bad(c, "more text behind the exemplar");
}

/* What stands behind a sample that is in the batch. What is wrong with it does not touch
 * the sample; false only when memory is refused. */
static bool add_exemplar(struct text *t, struct cursor *c, ts_time sample_ts)
{
    struct exemplar_row row = {.ts = sample_ts, .st = ST_OK};
    if (!exemplar_wanted(t->batch, t->env, t->report)) return true;
    if (read_exemplar(t, c, &row)) {
        row.labels = t->labels.ptr;
        row.n = t->labels.len;
        return exemplar_add(t->batch, (size_t)t->last_entry, &row, t->env, t->report) ||
               refuse(t, c);
    }
    if (t->failed != ST_OK) return false;
    exemplar_refused(t->report, ST_INVALID, c->why);
    return true;
}

/* ---- start timestamps ----------------------------------------------------- */

/* The labels of a series' text, as read_labels(); of one that may have been read before. */
static bool labels_of(struct text *t, struct slice series)
{
    struct cursor c = {series.ptr, series.ptr + series.len, NULL};
    return read_labels(t, &c);
}

/* Whether this line says since when samples count, rather than being one. */
static bool is_created(struct text *t, struct slice series)
{
    struct cursor c = {series.ptr, series.ptr + series.len, NULL};
    struct slice name = take_name(&c);
    if (!t->created.counts) return false;
    if (name.len) return created_is(&t->created, name);
    if (!labels_of(t, series)) return false;
    (void)created_key(t->labels.ptr, t->labels.len, &name);
    return created_is(&t->created, name);
}

/* As Prometheus takes it: to the millisecond, whatever digits follow. One that is no time, or
 * that the precision cannot hold, says nothing. */
static bool add_created(struct text *t, struct cursor *c, struct slice series, double seconds)
{
    struct slice name;
    struct created_start at = {.start = START_NONE};
    if (!labels_of(t, series)) return bad(c, "bad labels");
    at.key = created_key(t->labels.ptr, t->labels.len, &name);
    if (!(fabs(seconds) < 9e12) ||
        !time_from_ms(&at.start, (int64_t)(seconds * MS_PER_S), t->env->precision))
        return true;
    return vec_push(&t->created.starts, at) || refuse(t, c);
}

/* The samples of the family get the starts that came with it. */
static void end_family(struct text *t)
{
    struct created *created = &t->created;
    created_sort(created);
    for (size_t i = 0; i < created->rows.len && created->starts.len && t->failed == ST_OK; i++) {
        const struct created_row *at = &created->rows.ptr[i];
        if (!labels_of(t, at->series)) continue;
        ts_time start = created_find(created, t->labels.ptr, t->labels.len);
        if (!batch_start_at(t->batch, at->row, start)) t->failed = ST_NO_MEMORY;
    }
    vec_clear(&created->rows);
    vec_clear(&created->starts);
}

static bool read_sample(struct text *t, struct cursor *c)
{
    struct slice series;
    double value;
    ts_time ts = t->env->now;
    status st = ST_OK;

    if (!skip_series(&series, c)) return false;
    skip_blanks(c);
    struct slice word = take_word(c);
    if (word.len == 0) return bad(c, "no value");
    if (!parse_f64(&value, word)) return bad(c, "bad value");
    if (is_created(t, series)) return add_created(t, c, series, value);
    skip_blanks(c);
    if (c->at < c->end && *c->at != '#' && !read_time(&ts, &st, t, c)) return false;
    skip_blanks(c);
    bool exemplar = at_char(c, '#');
    if (c->at < c->end && !exemplar) return bad(c, "more text behind the sample");
    if (isnan(value)) value = bits_f64(VALUE_NAN_BITS);
    if (!add_row(t, c, series, value, ts, st)) return false;
    struct created_row row = {series, (uint32_t)t->batch->n_rows - 1};
    if (t->created.counts && !vec_push(&t->created.rows, row)) return refuse(t, c);
    return !exemplar || add_exemplar(t, c, ts);
}

/* ---- metadata lines ------------------------------------------------------- */

/* The entry that a line about this family adds to. */
static struct metric_meta *meta_for(struct text *t, struct cursor *c, struct slice family)
{
    if (t->metas.len && slice_eq(t->metas.ptr[t->metas.len - 1].family, family))
        return &t->metas.ptr[t->metas.len - 1];
    if (t->metas.len == t->env->limits->batch_series_max) {
        (void)bad(c, "too many metric families");
        return NULL;
    }
    struct slice none = SLICE_LIT("");
    if (!vec_push(&t->metas, ((struct metric_meta){family, none, none, METRIC_UNKNOWN}))) {
        (void)refuse(t, c);
        return NULL;
    }
    return &t->metas.ptr[t->metas.len - 1];
}

static bool read_family(struct slice *out, struct text *t, struct cursor *c)
{
    if (at_char(c, '"')) {
        if (!take_text(out, t, c)) return false;
    } else {
        *out = take_word(c);
    }
    if (out->len == 0) return bad(c, "no metric family");
    if (out->len > t->env->limits->metric_name_len_max)
        return bad(c, "the name of the family is too long");
    return utf8_valid(*out) ? true : bad(c, "the name of the family is not UTF-8");
}

static bool read_help(struct text *t, struct cursor *c, struct metric_meta *meta)
{
    struct slice text = slice_of(c->at, (size_t)(c->end - c->at));
    if (text.len > t->env->limits->label_value_len_max) return bad(c, "the help is too long");
    if (!utf8_valid(text)) return bad(c, "the help is not UTF-8");
    if (text.len && memchr(text.ptr, '\\', text.len)) text = unescape(&t->batch->arena, text);
    if (!text.ptr) return refuse(t, c);
    meta->help = text;
    return true;
}

/* "# TYPE ...", "# HELP ...", "# UNIT ..."; any other comment is nobody's business. */
static bool read_comment(struct text *t, struct cursor *c)
{
    struct slice family;
    c->at++;
    skip_blanks(c);
    struct slice word = take_word(c);
    bool type = slice_is(word, "TYPE"), help = slice_is(word, "HELP");
    if (!type && !help && !slice_is(word, "UNIT")) return true;

    skip_blanks(c);
    if (!read_family(&family, t, c)) return false;
    struct metric_meta *meta = meta_for(t, c, family);
    if (!meta) return false;
    skip_blanks(c);
    if (help) return read_help(t, c, meta);
    word = take_word(c);
    skip_blanks(c);
    if (c->at < c->end) return bad(c, "more text behind the metadata");
    if (type) {
        if (!metric_type_parse(&meta->type, word)) return bad(c, "unknown metric type");
        end_family(t);
        if (t->seconds) created_begin(&t->created, family, meta->type);
        return true;
    }
    if (word.len > t->env->limits->label_name_len_max || !utf8_valid(word))
        return bad(c, "bad unit");
    meta->unit = word;
    return true;
}

/* ---- the body ------------------------------------------------------------- */

static void read_line(struct text *t, struct slice line)
{
    struct cursor c = {line.ptr, line.ptr + line.len, NULL};
    if (line.len && line.ptr[line.len - 1] == '\r') c.end--;
    while (c.end > c.at && (c.end[-1] == ' ' || c.end[-1] == '\t')) c.end--;
    skip_blanks(&c);
    if (c.at == c.end) return;
    if (*c.at == '#' ? read_comment(t, &c) : read_sample(t, &c)) return;
    if (t->failed != ST_OK) return;
    t->report->n_bad_lines++;
    report_first(t->report, ST_INVALID, "line %" PRIu64 ": %s", t->line, c.why);
}

static status decode(struct text *t, struct slice body)
{
    while (body.len && t->failed == ST_OK) {
        const char *end = memchr(body.ptr, '\n', body.len);
        struct slice line = slice_of(body.ptr, end ? (size_t)(end - body.ptr) : body.len);
        t->line++;
        read_line(t, line);
        body = slice_skip(body, line.len + (end ? 1 : 0));
    }
    end_family(t);
    if (t->failed == ST_NO_MEMORY) (void)err_set(t->err, ST_NO_MEMORY, "out of memory");
    if (t->failed == ST_OK) {
        t->report->n_series = t->batch->n_series;
        t->report->n_metadata = t->metas.len;
        for (size_t i = 0; i < t->metas.len && t->env->metadata; i++)
            t->env->metadata(t->env->ctx, &t->metas.ptr[i]);
    }
    vec_release(&t->labels);
    vec_release(&t->metas);
    created_release(&t->created);
    return t->failed;
}

status prom_text_decode(struct batch *batch, struct slice body, const struct decode_env *env,
                        struct decode_report *report, struct err *err)
{
    struct text t = {.batch = batch, .env = env, .report = report, .err = err, .last_entry = -1};
    *report = (struct decode_report){0};
    return decode(&t, body);
}

status openmetrics_decode(struct batch *batch, struct slice body, const struct decode_env *env,
                          struct decode_report *report, struct err *err)
{
    struct text t = {.batch = batch,
                     .env = env,
                     .report = report,
                     .err = err,
                     .seconds = true,
                     .last_entry = -1};
    *report = (struct decode_report){0};
    return decode(&t, body);
}
