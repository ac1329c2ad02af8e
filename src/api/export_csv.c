/* CSV. See export_csv.h. Fields with a comma, a quote or the end of a line stand in quotes, in
 * which a quote is doubled; lines end with a newline alone. */
#include "api/export_csv.h"

#include <stdio.h>
#include <string.h>

#include "base/date.h"
#include "base/numfmt.h"
#include "base/panic.h"

#define LAST_S 253402300799 /* the end of the year 9999: no date is later */

/* ---- the format ------------------------------------------------------------------- */

static bool parse_time(struct export_csv *out, struct slice form)
{
    static const struct {
        const char *name;
        enum precision unit;
    } units[] = {{"unix_s", PRECISION_S},
                 {"unix_ms", PRECISION_MS},
                 {"unix_us", PRECISION_US},
                 {"unix_ns", PRECISION_NS}};
    out->fields[out->n].kind = EXPORT_RFC3339;
    if (slice_is(form, "rfc3339")) return true;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (!slice_is(form, units[i].name)) continue;
        out->fields[out->n].kind = EXPORT_TIME;
        out->fields[out->n].unit = units[i].unit;
        return true;
    }
    return false;
}

static status parse_field(struct export_csv *out, struct slice text, struct err *err)
{
    struct slice time = SLICE_LIT("__timestamp__:");
    if (out->n == EXPORT_CSV_FIELDS_MAX)
        return err_set(err, ST_INVALID, "more than %d fields", EXPORT_CSV_FIELDS_MAX);
    if (text.len == 0) return err_set(err, ST_INVALID, "a field has no name");
    out->fields[out->n].kind = EXPORT_LABEL;
    out->fields[out->n].name = text;
    if (slice_is(text, "__value__")) {
        out->fields[out->n].kind = EXPORT_VALUE;
    } else if (slice_is(text, "__timestamp__") ||
               (slice_starts(text, time) && !parse_time(out, slice_skip(text, time.len)))) {
        return err_set(err, ST_INVALID, "__timestamp__: is followed by unix_s, unix_ms, unix_us, "
                                        "unix_ns or rfc3339");
    }
    out->n++;
    return ST_OK;
}

status export_csv_parse(struct export_csv *out, struct slice text, struct err *err)
{
    out->n = 0;
    for (bool more = true; more;) {
        const char *end = text.len ? memchr(text.ptr, ',', text.len) : NULL;
        struct slice field = slice_of(text.ptr, end ? (size_t)(end - text.ptr) : text.len);
        TRY(parse_field(out, field, err));
        more = end != NULL;
        text = slice_skip(text, field.len + more);
    }
    return ST_OK;
}

/* ---- fields ----------------------------------------------------------------------- */

static void put_text(struct strbuf *out, struct slice text)
{
    bool quoted = false;
    for (size_t i = 0; i < text.len; i++) quoted |= strchr(",\"\n\r", text.ptr[i]) && text.ptr[i];
    if (!quoted) {
        strbuf_slice(out, text);
        return;
    }
    strbuf_char(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"') strbuf_char(out, '"');
        strbuf_char(out, text.ptr[i]);
    }
    strbuf_char(out, '"');
}

static void put_value(struct strbuf *out, enum value_type type, union value val)
{
    char text[NUMFMT_MAX];
    if (type == VALUE_I64) strbuf_put(out, text, numfmt_i64(text, (int64_t)val.bits));
    else if (type == VALUE_U64) strbuf_put(out, text, numfmt_u64(text, val.bits));
    else if (type == VALUE_BOOL) strbuf_char(out, val.bits ? '1' : '0');
    else if (!value_is_stale(val.bits))
        strbuf_put(out, text, numfmt_prom(text, bits_f64(val.bits)));
}

static int64_t ticks_per_s(enum precision p)
{
    return p == PRECISION_S ? 1 : 1000 * precision_ticks_per_ms(p);
}

/* Towards the past; what does not fit becomes the nearest that does. */
static int64_t in_unit(ts_time ts, enum precision from, enum precision to)
{
    int64_t have = ticks_per_s(from), want = ticks_per_s(to), out;
    if (have > want) {
        int64_t per = have / want;
        return ts / per - (ts % per < 0);
    }
    if (__builtin_mul_overflow(ts, want / have, &out)) return ts < 0 ? INT64_MIN : INT64_MAX;
    return out;
}

static void put_rfc3339(struct strbuf *out, ts_time ts, enum precision precision)
{
    int64_t s = in_unit(ts, precision, PRECISION_S);
    struct date d = date_of(s);
    int64_t per_s = ticks_per_s(precision), ns = 0;
    if (s >= 0 && s <= LAST_S) ns = (ts - s * per_s) * (1000000000 / per_s);
    strbuf_printf(out, "%04d-%02d-%02dT%02d:%02d:%02d", d.year, d.month, d.day, d.hour, d.minute,
                  d.second);
    if (ns) {
        char text[16];
        int len = snprintf(text, sizeof(text), ".%09d", (int)ns);
        while (text[len - 1] == '0') len--;
        strbuf_put(out, text, (size_t)len);
    }
    strbuf_char(out, 'Z');
}

void export_csv_lines(struct strbuf *out, const struct export_csv *csv, struct labels labels,
                      enum value_type type, const struct points *points, size_t from, size_t to,
                      enum precision precision)
{
    char text[NUMFMT_MAX];
    int64_t at;
    for (size_t i = from; i < to; i++) {
        for (size_t k = 0; k < csv->n; k++) {
            if (k) strbuf_char(out, ',');
            switch (csv->fields[k].kind) {
            case EXPORT_LABEL: put_text(out, labels_get(labels, csv->fields[k].name)); break;
            case EXPORT_VALUE: put_value(out, type, points->val[i]); break;
            case EXPORT_TIME:
                at = in_unit(points->ts[i], precision, csv->fields[k].unit);
                strbuf_put(out, text, numfmt_i64(text, at));
                break;
            case EXPORT_RFC3339: put_rfc3339(out, points->ts[i], precision); break;
            }
        }
        strbuf_char(out, '\n');
    }
}
