/* Status table and error texts. See status.h. */
#include "base/status.h"

#include <stdio.h>
#include <string.h>

static const struct row {
    const char *name;
    int http;
    const char *resp;
    bool retry;
    const char *text;
} rows[] = {
#define STATUS(code, value, http, resp, retry, text) [value] = {#code, http, resp, retry, text},
#include "base/status.def"
#undef STATUS
};

enum { N_ROWS = sizeof(rows) / sizeof(rows[0]) };

static const struct row *row_of(status st)
{
    unsigned idx = (unsigned)st;
    return &rows[idx < N_ROWS && rows[idx].name ? idx : (unsigned)ST_INTERNAL];
}

const char *status_name(status st)
{
    return row_of(st)->name;
}

const char *status_text(status st)
{
    return row_of(st)->text;
}

const char *status_resp(status st)
{
    return row_of(st)->resp;
}

int status_http(status st)
{
    return row_of(st)->http;
}

bool status_retry(status st)
{
    return row_of(st)->retry;
}

status err_set(struct err *err, status st, const char *fmt, ...)
{
    if (!err) return st;

    va_list ap;
    va_start(ap, fmt);
    err->st = st;
    (void)vsnprintf(err->text, sizeof(err->text), fmt, ap);
    va_end(ap);
    return st;
}

status err_wrap(struct err *err, status st, const char *fmt, ...)
{
    if (!err) return st;

    char said[ERR_TEXT_MAX];
    memcpy(said, err->text, sizeof(said));

    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(err->text, sizeof(err->text), fmt, ap);
    va_end(ap);
    err->st = st;
    if (n >= 0 && (size_t)n + 3 < sizeof(err->text))
        (void)snprintf(err->text + n, sizeof(err->text) - (size_t)n, ": %.*s",
                       (int)(sizeof(err->text) - (size_t)n - 3),
                       said[0] ? said : status_text(st));
    return st;
}

const char *err_text(const struct err *err, status st)
{
    return err && err->text[0] ? err->text : status_text(st);
}
