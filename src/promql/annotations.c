/* Annotations: a list in order of mention and a hash table over the texts, because a
 * query over a million metric names can mention a million of them and only ten are
 * shown. The position is no part of the key: the same complaint about two places of the
 * query is told once, as Prometheus does.
 */
#include "promql/annotations.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/panic.h"
#include "base/strbuf.h"
#include "promql/quote.h"

struct annotation {
    bool warning;
    struct slice text;       /* without the position */
    struct text_pos pos;
    bool monotonic;          /* the rest belongs to annotations_monotonicity() */
    struct monotonicity what;
    int64_t ts_min, ts_max;
    uint64_t count;
};

void annotations_init(struct annotations *an, struct arena *arena, struct slice query,
                      int64_t ticks_per_second)
{
    *an = (struct annotations){
        .arena = arena, .query = query, .ticks_per_second = ticks_per_second};
}

/* ---- the table -------------------------------------------------------------------- */

static size_t slot_of(const struct annotations *an, bool warning, struct slice text)
{
    size_t at = (hash_slice(text) + warning) & (an->n_slots - 1);

    while (an->slots[at]) {
        const struct annotation *a = an->list[an->slots[at] - 1];
        if (a->warning == warning && slice_eq(a->text, text)) break;
        at = (at + 1) & (an->n_slots - 1);
    }
    return at;
}

/* Room for one more; the arena keeps the outgrown arrays until it goes. */
static bool make_room(struct annotations *an)
{
    if (an->n < an->cap) return true;
    size_t cap = an->cap ? an->cap * 2 : 16;
    struct annotation **list = arena_try_array(an->arena, cap, sizeof(*list));
    uint32_t *slots = arena_try_zero(an->arena, cap * 2 * sizeof(*slots));
    if (!list || !slots) return false;

    if (an->n) memcpy(list, an->list, an->n * sizeof(*list));
    an->list = list;
    an->cap = cap;
    an->slots = slots;
    an->n_slots = cap * 2;
    for (size_t i = 0; i < an->n; i++) {
        slots[slot_of(an, list[i]->warning, list[i]->text)] = (uint32_t)(i + 1);
    }
    return true;
}

/* The annotation with this text, made when it is new; NULL when refused. */
static struct annotation *mention(struct annotations *an, bool warning, struct slice text,
                                  struct text_pos pos, bool *is_new)
{
    if (an->n >= UINT32_MAX - 1 || !make_room(an)) return NULL;
    size_t slot = slot_of(an, warning, text);

    *is_new = an->slots[slot] == 0;
    if (!*is_new) return an->list[an->slots[slot] - 1];
    struct annotation *a = arena_try_zero(an->arena, sizeof(*a));
    if (!a) return NULL;
    a->warning = warning;
    a->text = arena_copy(an->arena, text);
    a->pos = pos;
    if (!a->text.ptr) return NULL;
    an->list[an->n++] = a;
    an->slots[slot] = (uint32_t)an->n;
    return a;
}

static void mention_fmt(struct annotations *an, bool warning, struct text_pos pos,
                        const char *fmt, va_list args)
{
    char text[1024];
    bool is_new;
    int len = vsnprintf(text, sizeof(text), fmt, args);

    if (len < 0) return;
    if ((size_t)len >= sizeof(text)) len = sizeof(text) - 1;
    (void)mention(an, warning, slice_of(text, (size_t)len), pos, &is_new); /* advice only */
}

void annotations_warn(struct annotations *an, struct text_pos pos, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    mention_fmt(an, true, pos, fmt, args);
    va_end(args);
}

void annotations_info(struct annotations *an, struct text_pos pos, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    mention_fmt(an, false, pos, fmt, args);
    va_end(args);
}

void annotations_monotonicity(struct annotations *an, struct text_pos pos, struct slice metric,
                              int64_t ts, const struct monotonicity *what)
{
    static const char intro[] =
        "input to histogram_quantile needed to be fixed for monotonicity (see "
        "https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)";
    struct strbuf buf;
    bool is_new = false;
    struct annotation *a = NULL;

    strbuf_init(&buf, 0);
    strbuf_str(&buf, intro);
    if (metric.len) strbuf_printf(&buf, " for metric name %s", go_quote(an->arena, metric));
    if (!buf.failed) a = mention(an, false, strbuf_view(&buf), pos, &is_new);
    strbuf_release(&buf);
    if (!a) return;
    if (is_new) {
        a->monotonic = true;
        a->what = *what;
        a->ts_min = a->ts_max = ts;
        a->count = 1;
        return;
    }
    a->count++;
    if (ts < a->ts_min) a->ts_min = ts;
    if (ts > a->ts_max) a->ts_max = ts;
    a->what.bucket_min = fmin(a->what.bucket_min, what->bucket_min);
    a->what.bucket_max = fmax(a->what.bucket_max, what->bucket_max);
    a->what.diff_max = fmax(a->what.diff_max, what->diff_max);
}

void annotations_merge(struct annotations *an, const struct annotations *from)
{
    for (size_t i = 0; i < from->n; i++) {
        const struct annotation *a = from->list[i];
        bool is_new;
        DASSERT(!a->monotonic);
        (void)mention(an, a->warning, a->text, a->pos, &is_new); /* advice only */
    }
}

/* ---- text ------------------------------------------------------------------------- */

/* Lays decimal digits d (n of them, value 0.d1d2... * 10^point) out as %g does. */
static size_t put_digits(char *dst, const char *d, int n, int point)
{
    size_t at = 0;
    int exp = point - 1;

    if (exp < -4 || exp >= 6) { /* where Go's shortest %g turns to exponents */
        dst[at++] = d[0];
        if (n > 1) {
            dst[at++] = '.';
            for (int i = 1; i < n; i++) dst[at++] = d[i];
        }
        return at + (size_t)snprintf(dst + at, 8, "e%c%02d", exp < 0 ? '-' : '+', abs(exp));
    }
    if (point <= 0) {
        dst[at++] = '0';
        dst[at++] = '.';
        for (int i = point; i < 0; i++) dst[at++] = '0';
    }
    for (int i = 0; i < n || i < point; i++) {
        if (i == point && i > 0) dst[at++] = '.';
        dst[at++] = i < n ? d[i] : '0';
    }
    return at;
}

const char *go_float(char *dst, double v)
{
    char sci[40], digits[24];
    int n = 0;

    if (isnan(v)) return memcpy(dst, "NaN", 4);
    if (isinf(v)) return memcpy(dst, v > 0 ? "+Inf" : "-Inf", 5);
    for (int prec = 0; prec < 17; prec++) { /* the fewest digits that read back */
        snprintf(sci, sizeof(sci), "%.*e", prec, fabs(v));
        if (strtod(sci, NULL) == fabs(v)) break;
    }
    const char *e = strchr(sci, 'e');
    for (const char *p = sci; p < e; p++) {
        if (*p != '.') digits[n++] = *p;
    }
    size_t at = 0;
    if (signbit(v)) dst[at++] = '-';
    at += put_digits(dst + at, digits, n, v == 0 ? 1 : (int)strtol(e + 1, NULL, 10) + 1);
    dst[at] = 0;
    return dst;
}

const char *go_quote(struct arena *arena, struct slice text)
{
    struct strbuf buf;

    strbuf_init(&buf, 0);
    quote_text(&buf, text);
    strbuf_char(&buf, 0);
    struct slice out = buf.failed ? slice_of(NULL, 0) : arena_copy(arena, strbuf_view(&buf));
    strbuf_release(&buf);
    return out.ptr ? out.ptr : "";
}

static void place_of(struct slice query, struct text_pos pos, size_t *line, size_t *col)
{
    *line = 1;
    *col = 1;
    for (size_t i = 0; i < pos.start && i < query.len; i++) {
        if (query.ptr[i] == '\n') {
            ++*line;
            *col = 1;
        } else {
            ++*col;
        }
    }
}

/* RFC 3339 in UTC, seconds. Days to a civil date by counting 400-year eras. */
static void put_time(struct strbuf *buf, int64_t ts, int64_t ticks_per_second)
{
    int64_t sec = ts / ticks_per_second - (ts % ticks_per_second < 0);
    int64_t days = sec / 86400 - (sec % 86400 < 0);
    int64_t rest = sec - days * 86400;
    int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    int64_t month = mp < 10 ? mp + 3 : mp - 9;

    strbuf_printf(buf, "%04lld-%02lld-%02lldT%02lld:%02lld:%02lldZ",
                  (long long)(yoe + era * 400 + (month <= 2)), (long long)month,
                  (long long)(doy - (153 * mp + 2) / 5 + 1), (long long)(rest / 3600),
                  (long long)(rest / 60 % 60), (long long)(rest % 60));
}

static struct slice full_text(struct annotations *an, const struct annotation *a)
{
    struct strbuf buf;
    size_t line, col;
    char from[40], to[40];

    strbuf_init(&buf, 0);
    strbuf_str(&buf, a->warning ? "PromQL warning: " : "PromQL info: ");
    strbuf_slice(&buf, a->text);
    if (a->monotonic) {
        strbuf_printf(&buf, ", from buckets %s to %s, with a max diff of %.2g, over %llu samples",
                      go_float(from, a->what.bucket_min), go_float(to, a->what.bucket_max),
                      a->what.diff_max, (unsigned long long)a->count);
        strbuf_str(&buf, " from ");
        put_time(&buf, a->ts_min, an->ticks_per_second);
        strbuf_str(&buf, " to ");
        put_time(&buf, a->ts_max, an->ticks_per_second);
    }
    place_of(an->query, a->pos, &line, &col);
    strbuf_printf(&buf, " (%zu:%zu)", line, col);
    struct slice out = buf.failed ? slice_of(NULL, 0) : arena_copy(an->arena, strbuf_view(&buf));
    strbuf_release(&buf);
    return out;
}

void annotations_texts(struct annotations *an, bool warnings, const struct slice **out,
                       size_t *n_out)
{
    size_t n = 0, n_more = 0;
    struct slice *texts = arena_try_array(an->arena, ANNOTATIONS_SHOWN_MAX + 1, sizeof(*texts));

    *out = texts;
    *n_out = 0;
    if (!texts) return;
    for (size_t i = 0; i < an->n; i++) {
        if (an->list[i]->warning != warnings) continue;
        if (n == ANNOTATIONS_SHOWN_MAX) {
            n_more++;
            continue;
        }
        texts[n] = full_text(an, an->list[i]);
        if (texts[n].ptr) n++;
    }
    if (n_more) {
        const char *text = arena_printf(an->arena, "%zu more %s annotations omitted", n_more,
                                        warnings ? "warning" : "info");
        if (text) texts[n++] = slice_str(text);
    }
    *n_out = n;
}
