/* JSON lines. See json_lines.h.
 *
 * A scanner over the one known shape: a line is read to its end into scratch columns before
 * any of it becomes rows, so a bad line leaves nothing. Nesting is two levels, so nothing
 * recurses.
 */
#include "ingest/json_lines.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/numfmt.h"
#include "base/utf8.h"
#include "base/vec.h"
#include "ingest/format_priv.h"

struct stamp {
    ts_time ts;
    status st;                 /* ST_INVALID: the precision cannot hold it */
};

struct lines {
    struct batch *batch;
    const struct decode_env *env;
    struct decode_report *report;
    struct err *err;
    uint64_t line;             /* number of the current one, from 1 */
    /* Of the line in hand: */
    VEC(struct label) labels;
    VEC(uint64_t) values;      /* bits */
    VEC(struct stamp) stamps;
    struct err why;
    status failed;             /* of the whole request */
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

static bool refuse(struct lines *t, struct cursor *c)
{
    t->failed = err_set(t->err, ST_NO_MEMORY, "out of memory");
    return bad(c, "out of memory");
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static void skip_blanks(struct cursor *c)
{
    while (c->at < c->end && is_blank(*c->at)) c->at++;
}

/* Takes the character, and blanks on both sides. */
static bool take(struct cursor *c, char want)
{
    skip_blanks(c);
    if (c->at == c->end || *c->at != want) return false;
    c->at++;
    skip_blanks(c);
    return true;
}

/* ---- texts ------------------------------------------------------------------ */

static bool take_hex4(uint32_t *out, struct cursor *c)
{
    uint32_t v = 0;
    if (c->end - c->at < 4) return false;
    for (int i = 0; i < 4; i++) {
        char d = *c->at++;
        int digit = d >= '0' && d <= '9'   ? d - '0'
                    : d >= 'a' && d <= 'f' ? d - 'a' + 10
                    : d >= 'A' && d <= 'F' ? d - 'A' + 10
                                           : -1;
        if (digit < 0) return false;
        v = v * 16 + (uint32_t)digit;
    }
    *out = v;
    return true;
}

/* Behind \u: a rune, of two halves when the first says so. */
static bool take_rune(uint32_t *out, struct cursor *c)
{
    uint32_t low;
    if (!take_hex4(out, c)) return false;
    if (*out < 0xd800 || *out > 0xdfff) return true;
    if (*out > 0xdbff || c->end - c->at < 6 || c->at[0] != '\\' || c->at[1] != 'u') return false;
    c->at += 2;
    if (!take_hex4(&low, c) || low < 0xdc00 || low > 0xdfff) return false;
    *out = 0x10000 + ((*out - 0xd800) << 10) + (low - 0xdc00);
    return true;
}

/* An escape never becomes longer than it was. */
static bool unescape(struct slice *text, struct lines *t, struct cursor *line)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    struct cursor c = {text->ptr, text->ptr + text->len, NULL};
    char *dst = arena_try(&t->batch->arena, text->len);
    size_t n = 0;
    if (!dst) return refuse(t, line);
    while (c.at < c.end) {
        if (*c.at != '\\') {
            dst[n++] = *c.at++;
            continue;
        }
        char kind = *++c.at;
        const char *plain = strchr(from, kind);
        uint32_t rune;
        c.at++;
        if (kind == 'u') {
            if (!take_rune(&rune, &c)) return bad(line, "a bad \\u in a text");
            n += utf8_put(dst + n, rune);
        } else if (kind && plain) {
            dst[n++] = to[plain - from];
        } else {
            return bad(line, "a bad escape in a text");
        }
    }
    *text = slice_of(dst, n);
    return true;
}

static bool take_text(struct slice *out, struct lines *t, struct cursor *c)
{
    bool escaped = false;
    skip_blanks(c);
    if (c->at == c->end || *c->at != '"') return bad(c, "a text is wanted");
    const char *from = ++c->at;
    for (; c->at < c->end && *c->at != '"'; c->at++) {
        if ((unsigned char)*c->at < 0x20) return bad(c, "a control byte in a text");
        if (*c->at != '\\') continue;
        escaped = true;
        if (++c->at == c->end) break;
    }
    if (c->at >= c->end) return bad(c, "a text does not end");
    *out = slice_of(from, (size_t)(c->at - from));
    c->at++;
    if (!utf8_valid(*out)) return bad(c, "a text is not UTF-8");
    return !escaped || unescape(out, t, c);
}

/* ---- members ---------------------------------------------------------------- */

static bool read_metric(struct lines *t, struct cursor *c)
{
    struct label label;
    if (!take(c, '{')) return bad(c, "metric is no object");
    if (take(c, '}')) return true;
    do {
        if (!take_text(&label.name, t, c)) return false;
        if (label.name.len == 0) return bad(c, "a label has an empty name");
        if (!take(c, ':')) return bad(c, "no : behind a label name");
        if (!take_text(&label.value, t, c)) return false;
        if (t->labels.len > t->env->limits->labels_max) return bad(c, "too many labels");
        if (!vec_push(&t->labels, label)) return refuse(t, c);
    } while (take(c, ','));
    return take(c, '}') ? true : bad(c, "metric does not end");
}

/* What stands up to the next comma, bracket or blank. */
static struct slice take_word(struct cursor *c)
{
    const char *from = c->at;
    while (c->at < c->end && *c->at != ',' && *c->at != ']' && !is_blank(*c->at)) c->at++;
    return slice_of(from, (size_t)(c->at - from));
}

/* A value that JSON has no number for. */
static bool parse_text_value(uint64_t *bits, struct slice text)
{
    uint32_t high, low;
    if (slice_is(text, "NaN")) *bits = VALUE_NAN_BITS;
    else if (slice_is(text, "Infinity")) *bits = f64_bits(INFINITY);
    else if (slice_is(text, "-Infinity")) *bits = f64_bits(-INFINITY);
    else {
        struct slice head = SLICE_LIT("nan:");
        if (text.len != head.len + 16 || !slice_starts(text, head)) return false;
        struct cursor c = {text.ptr + head.len, text.ptr + text.len, NULL};
        uint32_t part[4];
        for (int i = 0; i < 4; i++)
            if (!take_hex4(&part[i], &c)) return false;
        high = part[0] << 16 | part[1];
        low = part[2] << 16 | part[3];
        *bits = (uint64_t)high << 32 | low;
        return isnan(bits_f64(*bits));
    }
    return true;
}

/* JSON's grammar of numbers: no plus, no leading zeros, digits around the point. */
static bool is_number(struct slice text)
{
    size_t i = text.len && text.ptr[0] == '-', from = i;
    while (i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9') i++;
    if (i == from || (text.ptr[from] == '0' && i > from + 1)) return false;
    if (i < text.len && text.ptr[i] == '.') {
        for (from = ++i; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++) {
        }
        if (i == from) return false;
    }
    if (i == text.len || (text.ptr[i] != 'e' && text.ptr[i] != 'E')) return i == text.len;
    i++;
    if (i < text.len && (text.ptr[i] == '-' || text.ptr[i] == '+')) i++;
    for (from = i; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++) {
    }
    return i > from && i == text.len;
}

static bool read_value(struct lines *t, struct cursor *c)
{
    struct slice text;
    uint64_t bits;
    double v;
    if (c->at < c->end && *c->at == '"') {
        if (!take_text(&text, t, c)) return false;
        if (!parse_text_value(&bits, text)) return bad(c, "bad value");
    } else {
        text = take_word(c);
        if (slice_is(text, "null")) bits = VALUE_STALE_BITS;
        else if (is_number(text) && parse_f64(&v, text) && isfinite(v)) bits = f64_bits(v);
        else return bad(c, "bad value");
    }
    return vec_push(&t->values, bits) ? true : refuse(t, c);
}

/* Milliseconds as a decimal number -> ticks, exactly or not at all. False: no number. */
static bool ticks_of_ms(struct stamp *out, struct slice text, enum precision p)
{
    const char *point = memchr(text.ptr, '.', text.len);
    struct slice whole = slice_of(text.ptr, point ? (size_t)(point - text.ptr) : text.len);
    struct slice frac = {"", 0};
    int digits = p == PRECISION_NS ? 6 : p == PRECISION_US ? 3 : 0;
    int64_t ticks, ms;
    bool neg = text.len && text.ptr[0] == '-';
    if (!is_number(text) || !parse_i64(&ms, whole)) return false;
    if (point) frac = slice_of(point + 1, text.len - whole.len - 1);
    for (size_t i = 0; i < frac.len; i++)
        if (frac.ptr[i] < '0' || frac.ptr[i] > '9') return false; /* an exponent */
    while (frac.len && frac.ptr[frac.len - 1] == '0') frac.len--;
    *out = (struct stamp){0, ST_INVALID};
    if (frac.len > (size_t)digits) return true;
    if (p == PRECISION_S || frac.len == 0) {
        if (time_from_ms(&out->ts, ms, p)) out->st = ST_OK;
        return true;
    }
    ticks = ms;
    for (int i = 0; i < digits; i++) {
        int digit = (size_t)i < frac.len ? frac.ptr[i] - '0' : 0;
        if (__builtin_mul_overflow(ticks, 10, &ticks)) return true;
        if (__builtin_add_overflow(ticks, neg ? -digit : digit, &ticks)) return true;
    }
    *out = (struct stamp){ticks, ST_OK};
    return true;
}

static bool read_stamp(struct lines *t, struct cursor *c)
{
    struct stamp stamp;
    if (!ticks_of_ms(&stamp, take_word(c), t->env->precision)) return bad(c, "bad timestamp");
    return vec_push(&t->stamps, stamp) ? true : refuse(t, c);
}

static bool read_array(struct lines *t, struct cursor *c,
                       bool (*element)(struct lines *t, struct cursor *c))
{
    if (!take(c, '[')) return bad(c, "values and timestamps are no arrays");
    if (take(c, ']')) return true;
    do {
        if (!element(t, c)) return false;
    } while (take(c, ','));
    return take(c, ']') ? true : bad(c, "an array does not end");
}

enum { HAS_METRIC = 1, HAS_VALUES = 2, HAS_STAMPS = 4, HAS_ALL = 7 };

static bool read_member(struct lines *t, struct cursor *c, unsigned *has)
{
    struct slice name;
    if (!take_text(&name, t, c)) return false;
    unsigned which = slice_is(name, "metric")       ? HAS_METRIC
                     : slice_is(name, "values")     ? HAS_VALUES
                     : slice_is(name, "timestamps") ? HAS_STAMPS
                                                    : 0;
    if (!which) return bad(c, "a member that is not metric, values or timestamps");
    if (*has & which) return bad(c, "a member is there twice");
    *has |= which;
    if (!take(c, ':')) return bad(c, "no : behind a member's name");
    if (which == HAS_METRIC) return read_metric(t, c);
    return read_array(t, c, which == HAS_VALUES ? read_value : read_stamp);
}

static bool read_object(struct lines *t, struct cursor *c)
{
    unsigned has = 0;
    if (!take(c, '{')) return bad(c, "no object");
    do {
        if (!read_member(t, c, &has)) return false;
    } while (take(c, ','));
    if (!take(c, '}')) return bad(c, "the object does not end");
    if (c->at < c->end) return bad(c, "more text behind the object");
    if (has != HAS_ALL) return bad(c, "metric, values or timestamps are missing");
    if (t->values.len != t->stamps.len) return bad(c, "values and timestamps differ in number");
    return true;
}

/* ---- rows ------------------------------------------------------------------- */

static bool name_series(struct lines *t, struct cursor *c, struct batch_series *out)
{
    size_t n = t->labels.len;
    status st = labels_canonicalise(t->labels.ptr, &n, &t->why);
    struct labels set = {t->labels.ptr, n};
    if (st == ST_OK) st = validate_labels(set, t->env->limits, false, &t->why);
    if (st != ST_OK) return bad(c, err_text(&t->why, st));
    /* names and values lie in the body or the arena: the array alone is copied */
    struct label *ptr = arena_try_array(&t->batch->arena, n + 1, sizeof(*ptr));
    size_t len = labels_identity_len(set);
    uint8_t *identity = arena_try(&t->batch->arena, len);
    if (!ptr || !identity || !batch_name_series(t->batch, out)) return refuse(t, c);
    memcpy(ptr, set.ptr, n * sizeof(*ptr));
    (void)labels_identity(identity, set);
    *out->name = (struct batch_name){.labels = {ptr, n},
                                     .identity = slice_of(identity, len),
                                     .hash = hash128(identity, len)};
    return true;
}

static bool add_row(struct lines *t, struct cursor *c, size_t series, size_t i)
{
    struct stamp stamp = t->stamps.ptr[i];
    union value val = {.bits = t->values.ptr[i]};
    if (stamp.st == ST_OK) stamp.st = validate_time(stamp.ts, t->env->window);
    if (!batch_add_row(t->batch, series, stamp.ts, val, 0)) return refuse(t, c);
    t->report->n_samples++;
    if (stamp.st == ST_OK) return true;
    t->batch->result[t->batch->n_rows - 1] = (uint8_t)stamp.st;
    t->report->n_refused++;
    report_first(t->report, stamp.st, "line %" PRIu64 ": %s", t->line,
                 stamp.st == ST_INVALID
                     ? "the precision of the database cannot hold the timestamp"
                     : status_text(stamp.st));
    return true;
}

static bool add_rows(struct lines *t, struct cursor *c)
{
    const struct limits *limits = t->env->limits;
    struct batch_series entry = {.ordinal = ORDINAL_NONE, .type = VALUE_F64};
    if (t->values.len == 0) return true;
    if (!name_series(t, c, &entry)) return false;
    if (t->batch->n_series == limits->batch_series_max ||
        t->values.len > limits->batch_samples_max - t->report->n_samples) {
        t->failed = err_set(t->err, ST_TOO_LARGE,
                            "more than %u series or %u samples in one request",
                            limits->batch_series_max, limits->batch_samples_max);
        return bad(c, "too many series or samples");
    }
    int64_t at = batch_add_series(t->batch);
    if (at < 0) return refuse(t, c);
    t->batch->series[at] = entry;
    for (size_t i = 0; i < t->values.len; i++)
        if (!add_row(t, c, (size_t)at, i)) return false;
    return true;
}

/* ---- the body ---------------------------------------------------------------- */

static void read_line(struct lines *t, struct slice line)
{
    struct cursor c = {line.ptr, line.ptr + line.len, NULL};
    while (c.end > c.at && is_blank(c.end[-1])) c.end--;
    skip_blanks(&c);
    if (c.at == c.end) return;
    vec_clear(&t->labels);
    vec_clear(&t->values);
    vec_clear(&t->stamps);
    if (read_object(t, &c) && add_rows(t, &c)) return;
    if (t->failed != ST_OK) return;
    t->report->n_bad_lines++;
    report_first(t->report, ST_INVALID, "line %" PRIu64 ": %s", t->line, c.why);
}

status json_lines_decode(struct batch *batch, struct slice body, const struct decode_env *env,
                         struct decode_report *report, struct err *err)
{
    struct lines t = {
        .batch = batch, .env = env, .report = report, .err = err, .failed = ST_OK};
    while (body.len && t.failed == ST_OK) {
        const char *end = memchr(body.ptr, '\n', body.len);
        struct slice line = slice_of(body.ptr, end ? (size_t)(end - body.ptr) : body.len);
        t.line++;
        read_line(&t, line);
        body = slice_skip(body, line.len + (end ? 1 : 0));
    }
    report->n_series = batch->n_series;
    vec_release(&t.labels);
    vec_release(&t.values);
    vec_release(&t.stamps);
    return t.failed;
}
