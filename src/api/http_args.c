/* Parameters of HTTP requests: times, durations, numbers. See route.h. */
#include <math.h>
#include <string.h>

#include "api/route.h"
#include "base/duration.h"
#include "base/numfmt.h"

struct slice http_arg(const struct http_call *call, const char *name)
{
    struct slice value;
    return uri_param(&call->params, name, &value) ? value : (struct slice){"", 0};
}

/* --- RFC 3339 ---------------------------------------------------------------------- */

/* Reads exactly n digits; moves *at. */
static bool digits(struct slice s, size_t *at, size_t n, int *out)
{
    int v = 0;
    if (s.len - *at < n || *at > s.len) return false;
    for (size_t i = 0; i < n; i++) {
        char c = s.ptr[*at + i];
        if (c < '0' || c > '9') return false;
        v = v * 10 + (c - '0');
    }
    *at += n;
    *out = v;
    return true;
}

static bool literal(struct slice s, size_t *at, const char *any)
{
    if (*at >= s.len || !strchr(any, s.ptr[*at])) return false;
    ++*at;
    return true;
}

/* Days since 1970-01-01 of a civil date (proleptic Gregorian): years begin in March, so
 * that the leap day is the last of its year. */
static int64_t days_of(int y, int m, int d)
{
    int64_t year = m <= 2 ? y - 1 : y;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t of_era = year - era * 400;
    int64_t of_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static bool date_is_valid(int y, int m, int d)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
    return m >= 1 && m <= 12 && d >= 1 && d <= lengths[m - 1] + (m == 2 && leap);
}

static bool parse_offset(struct slice s, size_t *at, int64_t *offset_s)
{
    int h, m;
    *offset_s = 0;
    if (literal(s, at, "Z")) return *at == s.len;
    bool minus = *at < s.len && s.ptr[*at] == '-';
    if (!literal(s, at, "+-") || !digits(s, at, 2, &h) || !literal(s, at, ":") ||
        !digits(s, at, 2, &m) || h > 23 || m > 59)
        return false;
    *offset_s = (minus ? -1 : 1) * (h * 3600 + m * 60);
    return *at == s.len;
}

static bool parse_rfc3339(int64_t *out, struct slice s)
{
    int y, mo, d, h, mi, sec, ms = 0;
    size_t at = 0;
    int64_t offset;
    if (!digits(s, &at, 4, &y) || !literal(s, &at, "-") || !digits(s, &at, 2, &mo) ||
        !literal(s, &at, "-") || !digits(s, &at, 2, &d) || !literal(s, &at, "T") ||
        !digits(s, &at, 2, &h) || !literal(s, &at, ":") || !digits(s, &at, 2, &mi) ||
        !literal(s, &at, ":") || !digits(s, &at, 2, &sec))
        return false;
    if (!date_is_valid(y, mo, d) || h > 23 || mi > 59 || sec > 59) return false;
    if (literal(s, &at, ".,")) {
        size_t n = 0;
        for (; at < s.len && s.ptr[at] >= '0' && s.ptr[at] <= '9'; at++, n++)
            if (n < 3) ms = ms * 10 + (s.ptr[at] - '0');
        if (n == 0) return false;
        for (; n < 3; n++) ms *= 10;
    }
    if (!parse_offset(s, &at, &offset)) return false;
    *out = ((days_of(y, mo, d) * 86400 + h * 3600 + mi * 60 + sec) - offset) * 1000 + ms;
    return true;
}

/* Prometheus counts durations in nanoseconds. */
#define SECONDS_MAX 9223372036.854775

/* --- parameters ------------------------------------------------------------------- */

/* Seconds to ms, rounded; false when they do not fit. */
static bool seconds_to_ms(int64_t *out, double s)
{
    double ms = round(s * 1000);
    if (!(fabs(ms) < 9.2e18)) return false;
    *out = (int64_t)ms;
    return true;
}

static int shown(struct slice value)
{
    return (int)(value.len > 100 ? 100 : value.len);
}

/* How Prometheus' clients write the ends of its time, which no other text can say. */
static bool parse_time_end(int64_t *out, struct slice text)
{
    if (slice_is(text, "-292273086-05-16T16:47:06Z")) *out = -9223309901257974000;
    else if (slice_is(text, "292277025-08-18T07:12:54.999999999Z")) *out = 9223309901257974999;
    else return false;
    return true;
}

bool http_arg_time(struct http_call *call, const char *name, int64_t preset_ms, bool required,
                   int64_t *out)
{
    struct slice value = http_arg(call, name);
    double s;
    if (value.len == 0 && !required) {
        *out = preset_ms;
        return true;
    }
    if (parse_f64(&s, value) && seconds_to_ms(out, s)) return true;
    if (parse_rfc3339(out, value) || parse_time_end(out, value)) return true;
    if (required)
        http_call_bad(call, "invalid parameter \"%s\": cannot parse \"%.*s\" to a valid timestamp",
                      name, shown(value), value.ptr);
    else
        http_call_bad(call,
                      "invalid parameter \"%s\": invalid time value for '%s': cannot parse "
                      "\"%.*s\" to a valid timestamp",
                      name, name, shown(value), value.ptr);
    return false;
}

bool http_arg_range(struct http_call *call, struct time_range *out)
{
    enum precision precision = db_options(call->app->db)->precision;
    int64_t start, end;
    if (!http_arg_time(call, "start", INT64_MIN, false, &start) ||
        !http_arg_time(call, "end", INT64_MAX, false, &end))
        return false;
    if (end < start) {
        http_call_bad(call, "invalid parameter \"end\": end timestamp must not be before start "
                            "time");
        return false;
    }
    bool from = http_arg(call, "start").len != 0, to = http_arg(call, "end").len != 0;
    out->from = from ? time_from_ms_clamped(start, precision) : TS_MIN;
    out->to = to ? time_from_ms_clamped(end, precision) : TS_MAX;
    return true;
}

bool http_arg_duration(struct http_call *call, const char *name, int64_t *out)
{
    struct slice value = http_arg(call, name);
    double s;
    *out = 0;
    if (value.len == 0) return true;
    bool number = parse_f64(&s, value) && !isnan(s), fits = number && fabs(s) < SECONDS_MAX;
    if (fits && seconds_to_ms(out, s)) return true;
    if (!number && duration_parse_ms(out, value)) return true;
    http_call_bad(call, "invalid parameter \"%s\": cannot parse \"%.*s\" to a valid duration%s",
                  name, shown(value), value.ptr, number ? ". It overflows int64" : "");
    return false;
}

/* Whether the text is a number, if perhaps one that no int64_t holds. */
static bool all_digits(struct slice s)
{
    size_t i = s.len > 1 && (s.ptr[0] == '-' || s.ptr[0] == '+');
    for (; i < s.len; i++)
        if (s.ptr[i] < '0' || s.ptr[i] > '9') return false;
    return true;
}

bool http_arg_limit(struct http_call *call, const char *name, size_t *out)
{
    struct slice value = http_arg(call, name);
    int64_t n;
    *out = 0;
    if (value.len == 0) return true;
    if (!parse_i64(&n, value)) {
        http_call_bad(call, "invalid parameter \"%s\": strconv.Atoi: parsing \"%.*s\": %s", name,
                      shown(value), value.ptr, all_digits(value) ? "value out of range"
                                                                : "invalid syntax");
        return false;
    }
    if (n < 0) {
        http_call_bad(call, "invalid parameter \"%s\": limit must be non-negative", name);
        return false;
    }
    *out = (size_t)n;
    return true;
}

/* What Go's strconv.ParseBool takes. */
static bool parse_bool(struct slice text, bool *out)
{
    static const char *const yes[] = {"1", "t", "T", "TRUE", "true", "True"};
    static const char *const no[] = {"0", "f", "F", "FALSE", "false", "False"};
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
        if (slice_is(text, yes[i])) return *out = true;
        if (slice_is(text, no[i])) {
            *out = false;
            return true;
        }
    }
    return false;
}

bool http_arg_bool(struct http_call *call, const char *name, bool *out)
{
    struct slice value = http_arg(call, name);
    *out = false;
    if (value.len == 0 || parse_bool(value, out)) return true;
    http_call_bad(call, "unable to parse boolean \"%s\" argument", name);
    return false;
}
