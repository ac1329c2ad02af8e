/* The table of formats, and how refusals are remembered. See format.h. */
#include "ingest/format.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/panic.h"
#include "ingest/format_priv.h"
#include "ingest/json_lines.h"
#include "ingest/prom_text.h"
#include "ingest/prom_write.h"
#include "ingest/prom_write2.h"

static const struct format formats[N_FORMATS] = {
#define FORMAT(id, name, types, message, decode) [id] = {id, name, types, message, decode},
#include "ingest/formats.def"
#undef FORMAT
};

const struct format *format_get(enum format_id id)
{
    ASSERT((unsigned)id < N_FORMATS);
    return &formats[id];
}

static struct slice trim(struct slice text)
{
    while (text.len && (*text.ptr == ' ' || *text.ptr == '\t')) text = slice_skip(text, 1);
    while (text.len && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t'))
        text.len--;
    return text;
}

/* Cuts off and returns what stands before the first sep; the rest begins behind it. */
static struct slice cut(struct slice *rest, char sep)
{
    const char *at = rest->len ? memchr(rest->ptr, sep, rest->len) : NULL;
    struct slice head = slice_of(rest->ptr, at ? (size_t)(at - rest->ptr) : rest->len);
    *rest = at ? slice_skip(*rest, head.len + 1) : slice_of("", 0);
    return head;
}

static bool has_type(const struct format *format, struct slice type)
{
    for (struct slice types = slice_str(format->types); types.len;) {
        struct slice one = cut(&types, ' ');
        if (one.len == type.len && strncasecmp(one.ptr, type.ptr, one.len) == 0) return true;
    }
    return false;
}

/* proto= names the message of a protobuf body; remote write 2.0 says so. */
static bool may_mean(const struct format *format, struct slice params)
{
    while (params.len) {
        struct slice value = trim(cut(&params, ';'));
        struct slice name = trim(cut(&value, '='));
        value = trim(value);
        if (value.len >= 2 && value.ptr[0] == '"') value = slice_of(value.ptr + 1, value.len - 2);
        if (slice_is_nocase(name, "proto") && !slice_is(value, format->message)) return false;
    }
    return true;
}

const struct format *format_by_type(struct slice content_type)
{
    struct slice params = content_type;
    struct slice type = trim(cut(&params, ';'));
    if (type.len == 0) return NULL;
    for (size_t i = 0; i < N_FORMATS; i++)
        if (has_type(&formats[i], type) && may_mean(&formats[i], params)) return &formats[i];
    return NULL;
}

void report_first(struct decode_report *report, status st, const char *fmt, ...)
{
    if (report->first.st != ST_OK) return;

    va_list ap;
    va_start(ap, fmt);
    report->first.st = st;
    (void)vsnprintf(report->first.text, sizeof(report->first.text), fmt, ap);
    va_end(ap);
}
