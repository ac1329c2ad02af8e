/* CSV. See csv.h.
 *
 * A line is cut into the fields that the format names before any of it becomes rows, so a bad
 * line leaves nothing. Fields lie in the body, but for those with a quote inside, which are
 * copied to the batch's arena. Lines of one series mostly come together or in turns: a small
 * table of the last series by their identity spares the batch a series a row.
 */
#include "ingest/csv.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/numfmt.h"
#include "base/utf8.h"
#include "ingest/format_priv.h"

enum { RECENT = 1024 /* a power of two */ };

struct recent {
    struct hash128 hash;
    size_t series;             /* + 1; 0: free */
};

struct csv {
    struct batch *batch;
    const struct decode_env *env;
    struct decode_report *report;
    struct err *err;
    const struct csv_format *format;
    uint64_t line;             /* number of the current one, from 1 */
    struct slice fields[CSV_COLUMNS_MAX];
    struct label labels[CSV_COLUMNS_MAX + 1];
    struct recent *recent;     /* RECENT of them, in the arena */
    const char *why;           /* of a bad line */
    struct err said;
    status failed;             /* of the whole request */
};

static bool bad(struct csv *c, const char *why)
{
    c->why = why;
    return false;
}

static bool refuse(struct csv *c)
{
    c->failed = err_set(c->err, ST_NO_MEMORY, "out of memory");
    return false;
}

/* ---- the format ------------------------------------------------------------------- */

/* Cuts off what comes before the byte; false when it is not there. */
static bool cut(struct slice *rest, char byte, struct slice *out)
{
    const char *at = memchr(rest->ptr, byte, rest->len);
    if (!at) return false;
    *out = slice_of(rest->ptr, (size_t)(at - rest->ptr));
    *rest = slice_skip(*rest, out->len + 1);
    return true;
}

static bool parse_unit(enum precision *out, struct slice text)
{
    if (slice_is(text, "unix_s")) *out = PRECISION_S;
    else if (slice_is(text, "unix_ms")) *out = PRECISION_MS;
    else if (slice_is(text, "unix_us")) *out = PRECISION_US;
    else if (slice_is(text, "unix_ns")) *out = PRECISION_NS;
    else return false;
    return true;
}

static status parse_column(struct csv_format *out, struct slice text, struct err *err)
{
    struct slice rest = text, position, kind;
    uint64_t n;
    if (!cut(&rest, ':', &position) || !cut(&rest, ':', &kind) || rest.len == 0)
        return err_set(err, ST_INVALID, "a column is position:type:name");
    if (!parse_u64(&n, position) || n == 0 || n > CSV_COLUMNS_MAX)
        return err_set(err, ST_INVALID, "a column's position is not in 1 to %d", CSV_COLUMNS_MAX);
    struct csv_column *column = &out->columns[n - 1];
    if (column->kind != CSV_IGNORED)
        return err_set(err, ST_INVALID, "column %d is there twice", (int)n);
    if (slice_is(kind, "metric")) column->kind = CSV_METRIC;
    else if (slice_is(kind, "label")) column->kind = CSV_LABEL;
    else if (slice_is(kind, "time")) column->kind = CSV_TIME;
    else return err_set(err, ST_INVALID, "a column's type is not metric, label or time");
    if (column->kind == CSV_TIME && !parse_unit(&column->unit, rest))
        return err_set(err, ST_INVALID, "a time is not unix_s, unix_ms, unix_us or unix_ns");
    column->name = rest;
    if (n > out->n) out->n = (size_t)n;
    return ST_OK;
}

status csv_format_parse(struct csv_format *out, struct slice text, struct err *err)
{
    size_t n_metrics = 0, n_times = 0;
    *out = (struct csv_format){.n = 0};
    for (bool more = text.len > 0; more;) {
        struct slice column;
        more = cut(&text, ',', &column);
        TRY(parse_column(out, more ? column : text, err));
    }
    for (size_t i = 0; i < out->n; i++) {
        n_metrics += out->columns[i].kind == CSV_METRIC;
        n_times += out->columns[i].kind == CSV_TIME;
    }
    if (n_metrics == 0) return err_set(err, ST_INVALID, "no column is a metric");
    if (n_times > 1) return err_set(err, ST_INVALID, "two columns are times");
    return ST_OK;
}

/* ---- fields ----------------------------------------------------------------------- */

/* A field in quotes; *at is behind the first of them. */
static bool take_quoted(struct csv *c, struct slice body, size_t *at, struct slice *out)
{
    size_t from = *at, n_quotes = 0;
    for (;; ++*at) {
        if (*at == body.len) return bad(c, "a quoted field does not end");
        if (body.ptr[*at] != '"') continue;
        if (*at + 1 == body.len || body.ptr[*at + 1] != '"') break;
        ++*at;
        n_quotes++;
    }
    *out = slice_of(body.ptr + from, *at - from);
    ++*at;
    if (n_quotes == 0) return true;
    char *text = arena_try(&c->batch->arena, out->len);
    size_t n = 0;
    if (!text) return refuse(c);
    for (size_t i = 0; i < out->len; i++) {
        text[n++] = out->ptr[i];
        if (out->ptr[i] == '"') i++;
    }
    *out = slice_of(text, n);
    return true;
}

static bool ends_field(struct slice body, size_t at)
{
    if (at == body.len || body.ptr[at] == ',' || body.ptr[at] == '\n') return true;
    return body.ptr[at] == '\r' && (at + 1 == body.len || body.ptr[at + 1] == '\n');
}

static bool take_field(struct csv *c, struct slice body, size_t *at, struct slice *out)
{
    if (*at < body.len && body.ptr[*at] == '"') {
        ++*at;
        if (!take_quoted(c, body, at, out)) return false;
        return ends_field(body, *at) ? true : bad(c, "text behind a quoted field");
    }
    size_t from = *at;
    while (!ends_field(body, *at)) ++*at;
    *out = slice_of(body.ptr + from, *at - from);
    return true;
}

/* Reads a line into fields. *n: how many it has, those beyond the format too. After a failure
 * *at is where it was found. */
static bool take_line(struct csv *c, struct slice body, size_t *at, size_t *n)
{
    for (*n = 0;; ++*at) {
        struct slice field;
        if (!take_field(c, body, at, &field)) return false;
        if (*n < c->format->n) c->fields[*n] = field;
        ++*n;
        if (*at == body.len || body.ptr[*at] != ',') return true;
    }
}

static void skip_line(struct slice body, size_t *at)
{
    const char *end = *at < body.len ? memchr(body.ptr + *at, '\n', body.len - *at) : NULL;
    *at = end ? (size_t)(end - body.ptr) + 1 : body.len;
}

/* ---- rows ------------------------------------------------------------------------- */

static int64_t ticks_per_s(enum precision p)
{
    return p == PRECISION_S ? 1 : 1000 * precision_ticks_per_ms(p);
}

/* The time of a line in ticks; *st: why its rows are refused. */
static bool take_time(struct csv *c, ts_time *ts, status *st)
{
    enum precision to = c->env->precision;
    *ts = c->env->now;
    *st = ST_OK;
    for (size_t i = 0; i < c->format->n; i++) {
        if (c->format->columns[i].kind != CSV_TIME) continue;
        enum precision from = c->format->columns[i].unit;
        int64_t v;
        if (!parse_i64(&v, c->fields[i])) return bad(c, "bad time");
        int64_t have = ticks_per_s(from), want = ticks_per_s(to);
        if (have <= want) {
            if (__builtin_mul_overflow(v, want / have, ts)) *st = ST_INVALID;
        } else {
            *ts = v / (have / want);
            if (v % (have / want) != 0) *st = ST_INVALID;
        }
    }
    if (*st == ST_OK) *st = validate_time(*ts, c->env->window);
    return true;
}

/* Names the series of the labels in hand, whose first is the metric's name. */
static bool name_series(struct csv *c, size_t n, struct hash128 *hash, struct batch_series *out)
{
    status st = labels_canonicalise(c->labels, &n, &c->said);
    struct labels set = {c->labels, n};
    if (st == ST_OK) st = validate_labels(set, c->env->limits, false, &c->said);
    if (st != ST_OK) return bad(c, err_text(&c->said, st));
    struct label *ptr = arena_try_array(&c->batch->arena, n + 1, sizeof(*ptr));
    size_t len = labels_identity_len(set);
    uint8_t *identity = arena_try(&c->batch->arena, len);
    if (!ptr || !identity || !batch_name_series(c->batch, out)) return refuse(c);
    memcpy(ptr, set.ptr, n * sizeof(*ptr));
    (void)labels_identity(identity, set);
    *hash = hash128(identity, len);
    *out->name = (struct batch_name){
        .labels = {ptr, n}, .identity = slice_of(identity, len), .hash = *hash};
    return true;
}

/* What the labels of the line and the metric's name hash to, before they are canonical. */
static struct hash128 raw_hash(const struct csv *c, size_t metric)
{
    struct hash128 h = {0, 0};
    uint64_t mix[4] = {0};
    for (size_t i = 0; i < c->format->n; i++) {
        if (c->format->columns[i].kind != CSV_LABEL) continue;
        h = hash128(c->fields[i].ptr, c->fields[i].len);
        mix[0] = mix[0] * 0x9e3779b97f4a7c15ull + h.lo;
        mix[1] = mix[1] * 0xc2b2ae3d27d4eb4full + h.hi;
    }
    mix[2] = metric;
    return hash128(mix, sizeof(mix));
}

static bool find_series(struct csv *c, size_t metric, size_t *out)
{
    struct hash128 raw = raw_hash(c, metric), named;
    struct recent *recent = &c->recent[raw.lo & (RECENT - 1)];
    struct batch_series entry = {.ordinal = ORDINAL_NONE, .type = VALUE_F64};
    size_t n = 0;
    if (recent->series && recent->hash.lo == raw.lo && recent->hash.hi == raw.hi) {
        *out = recent->series - 1;
        return true;
    }
    c->labels[n++] = (struct label){SLICE_LIT(LABEL_NAME), c->format->columns[metric].name};
    for (size_t i = 0; i < c->format->n; i++) {
        if (c->format->columns[i].kind == CSV_LABEL && c->fields[i].len)
            c->labels[n++] = (struct label){c->format->columns[i].name, c->fields[i]};
    }
    if (!name_series(c, n, &named, &entry)) return false;
    if (c->batch->n_series == c->env->limits->batch_series_max) {
        c->failed = err_set(c->err, ST_TOO_LARGE, "more than %u series in one request",
                            c->env->limits->batch_series_max);
        return false;
    }
    int64_t at = batch_add_series(c->batch);
    if (at < 0) return refuse(c);
    c->batch->series[at] = entry;
    *recent = (struct recent){raw, (size_t)at + 1};
    *out = (size_t)at;
    return true;
}

static bool add_row(struct csv *c, size_t metric, double v, ts_time ts, status st)
{
    size_t series = 0;
    union value val = {.bits = isnan(v) ? VALUE_NAN_BITS : f64_bits(v)};
    if (!find_series(c, metric, &series)) return false;
    if (c->report->n_samples == c->env->limits->batch_samples_max) {
        c->failed = err_set(c->err, ST_TOO_LARGE, "more than %u samples in one request",
                            c->env->limits->batch_samples_max);
        return false;
    }
    if (!batch_add_row(c->batch, series, ts, val, 0)) return refuse(c);
    c->report->n_samples++;
    if (st == ST_OK) return true;
    c->batch->result[c->batch->n_rows - 1] = (uint8_t)st;
    c->report->n_refused++;
    report_first(c->report, st, "line %" PRIu64 ": %s", c->line,
                 st == ST_INVALID ? "the precision of the database cannot hold the time"
                                  : status_text(st));
    return true;
}

/* Checks the whole line, then makes its rows. */
static bool add_line(struct csv *c, size_t n_fields)
{
    double values[CSV_COLUMNS_MAX];
    ts_time ts;
    status st;
    if (n_fields < c->format->n) return bad(c, "fewer fields than the format has");
    if (!take_time(c, &ts, &st)) return false;
    for (size_t i = 0; i < c->format->n; i++) {
        const struct csv_column *column = &c->format->columns[i];
        if (column->kind == CSV_METRIC && c->fields[i].len && !parse_f64(&values[i], c->fields[i]))
            return bad(c, "bad value");
        if (column->kind == CSV_LABEL && !utf8_valid(c->fields[i]))
            return bad(c, "a label is not UTF-8");
    }
    for (size_t i = 0; i < c->format->n; i++) {
        if (c->format->columns[i].kind != CSV_METRIC || c->fields[i].len == 0) continue;
        if (!add_row(c, i, values[i], ts, st)) return false;
    }
    return true;
}

/* Names and labels of the format, once: what then is wrong with a line is its values, the same
 * for all of its metrics. */
static status check_names(struct csv *c)
{
    for (size_t i = 0; i < c->format->n; i++) {
        size_t n = 0;
        if (c->format->columns[i].kind != CSV_METRIC) continue;
        c->labels[n++] = (struct label){SLICE_LIT(LABEL_NAME), c->format->columns[i].name};
        for (size_t k = 0; k < c->format->n; k++) {
            if (c->format->columns[k].kind == CSV_LABEL)
                c->labels[n++] = (struct label){c->format->columns[k].name, SLICE_LIT("x")};
        }
        TRY(labels_canonicalise(c->labels, &n, c->err));
        TRY(validate_labels((struct labels){c->labels, n}, c->env->limits, false, c->err));
    }
    return ST_OK;
}

/* ---- the body --------------------------------------------------------------------- */

static uint64_t count_lines(struct slice text)
{
    uint64_t n = 0;
    for (size_t i = 0; i < text.len; i++) n += text.ptr[i] == '\n';
    return n;
}

static void read_lines(struct csv *c, struct slice body)
{
    for (size_t at = 0; at < body.len && c->failed == ST_OK;) {
        size_t from = at, n;
        bool empty = ends_field(body, at) && body.ptr[at] != ',';
        bool good = empty || (take_line(c, body, &at, &n) && add_line(c, n));
        if (!good && c->failed == ST_OK) {
            c->report->n_bad_lines++;
            report_first(c->report, ST_INVALID, "line %" PRIu64 ": %s", c->line, c->why);
            if (at > body.len) at = body.len;
        }
        skip_line(body, &at);
        c->line += count_lines(slice_of(body.ptr + from, at - from));
    }
}

status csv_decode(struct batch *batch, struct slice body, const struct decode_env *env,
                  struct decode_report *report, struct err *err)
{
    struct csv *c = arena_try_zero(&batch->arena, sizeof(*c));
    if (!c) return err_set(err, ST_NO_MEMORY, "out of memory");
    c->batch = batch;
    c->env = env;
    c->report = report;
    c->err = err;
    c->format = env->csv;
    c->line = 1;
    c->recent = arena_try_zero(&batch->arena, RECENT * sizeof(*c->recent));
    if (!c->recent) return err_set(err, ST_NO_MEMORY, "out of memory");
    TRY(check_names(c));
    read_lines(c, body);
    report->n_series = batch->n_series;
    return c->failed;
}
