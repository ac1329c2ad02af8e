/* RESP replies. Every short element is formatted in place in the chain (reserve,
 * write, commit), so the common reply is one copy. */
#include "net/resp_write.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/numfmt.h"
#include "base/panic.h"

/* type, decimal, CRLF */
static void put_count(struct resp_writer *w, char type, uint64_t n)
{
    char *at = iobuf_reserve(w->out, NUMFMT_MAX + 3);

    if (!at) return;
    at[0] = type;
    size_t len = 1 + numfmt_u64(at + 1, n);
    at[len++] = '\r';
    at[len++] = '\n';
    iobuf_commit(w->out, len);
}

void resp_array(struct resp_writer *w, size_t n)
{
    put_count(w, '*', n);
}

void resp_map(struct resp_writer *w, size_t n_pairs)
{
    if (w->version >= 3) put_count(w, '%', n_pairs);
    else put_count(w, '*', n_pairs * 2);
}

void resp_set(struct resp_writer *w, size_t n)
{
    put_count(w, w->version >= 3 ? '~' : '*', n);
}

void resp_push(struct resp_writer *w, size_t n)
{
    put_count(w, w->version >= 3 ? '>' : '*', n);
}

void resp_bulk(struct resp_writer *w, struct slice bytes)
{
    put_count(w, '$', bytes.len);
    iobuf_slice(w->out, bytes);
    iobuf_put(w->out, "\r\n", 2);
}

void resp_bulk_str(struct resp_writer *w, const char *text)
{
    resp_bulk(w, slice_str(text));
}

void resp_verbatim(struct resp_writer *w, const char format[4], struct slice text)
{
    if (w->version < 3) {
        resp_bulk(w, text);
        return;
    }
    put_count(w, '=', text.len + 4);
    iobuf_put(w->out, format, 3);
    iobuf_put(w->out, ":", 1);
    iobuf_slice(w->out, text);
    iobuf_put(w->out, "\r\n", 2);
}

void resp_simple(struct resp_writer *w, const char *text)
{
    DASSERT(!strpbrk(text, "\r\n"));
    iobuf_put(w->out, "+", 1);
    iobuf_str(w->out, text);
    iobuf_put(w->out, "\r\n", 2);
}

void resp_int(struct resp_writer *w, int64_t v)
{
    char *at = iobuf_reserve(w->out, NUMFMT_MAX + 3);

    if (!at) return;
    at[0] = ':';
    size_t len = 1 + numfmt_i64(at + 1, v);
    at[len++] = '\r';
    at[len++] = '\n';
    iobuf_commit(w->out, len);
}

void resp_u64(struct resp_writer *w, uint64_t v)
{
    char text[NUMFMT_MAX];

    if (v <= INT64_MAX) resp_int(w, (int64_t)v);
    else resp_bulk(w, slice_of(text, numfmt_u64(text, v)));
}

void resp_double(struct resp_writer *w, double v)
{
    char *at = iobuf_reserve(w->out, NUMFMT_MAX + 3);

    if (!at) return;
    size_t len = 1;
    if (w->version >= 3) {
        at[0] = ',';
        len += numfmt_resp3(at + 1, v);
    } else {
        at[0] = '+';
        len += numfmt_resp2(at + 1, v);
    }
    at[len++] = '\r';
    at[len++] = '\n';
    iobuf_commit(w->out, len);
}

void resp_bool(struct resp_writer *w, bool v)
{
    if (w->version >= 3) iobuf_put(w->out, v ? "#t\r\n" : "#f\r\n", 4);
    else iobuf_put(w->out, v ? ":1\r\n" : ":0\r\n", 4);
}

void resp_null(struct resp_writer *w)
{
    if (w->version >= 3) iobuf_put(w->out, "_\r\n", 3);
    else iobuf_put(w->out, "$-1\r\n", 5);
}

void resp_null_array(struct resp_writer *w)
{
    if (w->version >= 3) iobuf_put(w->out, "_\r\n", 3);
    else iobuf_put(w->out, "*-1\r\n", 5);
}

void resp_error(struct resp_writer *w, struct slice text)
{
    char line[RESP_LINE_MAX + 3];
    size_t len = text.len < RESP_LINE_MAX ? text.len : RESP_LINE_MAX;

    line[0] = '-';
    for (size_t i = 0; i < len; i++) {
        char c = text.ptr[i];
        line[1 + i] = c >= 0x20 && c < 0x7f ? c : '?';
    }
    line[len + 1] = '\r';
    line[len + 2] = '\n';
    iobuf_put(w->out, line, len + 3);
}

void resp_errorf(struct resp_writer *w, const char *fmt, ...)
{
    char text[ERR_TEXT_MAX];
    va_list args;

    va_start(args, fmt);
    int len = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (len < 0) len = 0;
    if ((size_t)len >= sizeof(text)) len = sizeof(text) - 1;
    resp_error(w, slice_of(text, (size_t)len));
}
