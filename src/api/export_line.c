/* JSON lines. Doubles are the shortest digits that read back as the same number; what JSON
 * has no number for:
 *
 *     null                  the stale marker
 *     "NaN"                 Prometheus' normal NaN
 *     "nan:7ff8000000000000"   any other NaN, by its bits
 *     "Infinity" "-Infinity"
 *
 * Timestamps are milliseconds, with a fraction where a finer database has one. */
#include "api/export_line.h"

#include <inttypes.h>
#include <math.h>

#include "api/promjson.h"
#include "base/numfmt.h"

static void put_double(struct strbuf *out, uint64_t bits)
{
    char text[NUMFMT_MAX];
    double v = bits_f64(bits);
    if (value_is_stale(bits)) strbuf_str(out, "null");
    else if (bits == VALUE_NAN_BITS) strbuf_str(out, "\"NaN\"");
    else if (isnan(v)) strbuf_printf(out, "\"nan:%016" PRIx64 "\"", bits);
    else if (isinf(v)) strbuf_str(out, v < 0 ? "\"-Infinity\"" : "\"Infinity\"");
    else strbuf_put(out, text, numfmt_prom(text, v));
}

static void put_value(struct strbuf *out, enum value_type type, union value val)
{
    switch (type) {
    case VALUE_I64: strbuf_printf(out, "%" PRId64, (int64_t)val.bits); return;
    case VALUE_U64: strbuf_printf(out, "%" PRIu64, val.bits); return;
    case VALUE_BOOL: strbuf_char(out, val.bits ? '1' : '0'); return;
    case VALUE_F64:
    case VALUE_BYTES:
    case VALUE_HISTOGRAM: break;
    }
    put_double(out, val.bits);
}

static void put_time(struct strbuf *out, ts_time ts, enum precision p)
{
    char text[NUMFMT_MAX];
    if (p == PRECISION_S) {
        strbuf_put(out, text, numfmt_i64(text, ts));
        if (ts) strbuf_str(out, "000");
        return;
    }
    int64_t per_ms = precision_ticks_per_ms(p);
    uint64_t size = ts < 0 ? 0 - (uint64_t)ts : (uint64_t)ts;
    if (ts < 0) strbuf_char(out, '-');
    strbuf_put(out, text, numfmt_u64(text, size / (uint64_t)per_ms));
    if (size % (uint64_t)per_ms == 0) return;
    strbuf_printf(out, ".%0*" PRIu64, p == PRECISION_US ? 3 : 6, size % (uint64_t)per_ms);
}

void export_line(struct strbuf *out, struct labels labels, enum value_type type,
                 const struct points *points, size_t from, size_t to, enum precision precision)
{
    struct json_writer w;
    strbuf_str(out, "{\"metric\":");
    json_writer_init(&w, out);
    promjson_labels(&w, labels);
    strbuf_str(out, ",\"values\":[");
    for (size_t i = from; i < to; i++) {
        if (i > from) strbuf_char(out, ',');
        put_value(out, type, points->val[i]);
    }
    strbuf_str(out, "],\"timestamps\":[");
    for (size_t i = from; i < to; i++) {
        if (i > from) strbuf_char(out, ',');
        put_time(out, points->ts[i], precision);
    }
    strbuf_str(out, "]}\n");
}
