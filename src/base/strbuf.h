/* A growing buffer of bytes. Appends never return a failure: a refused one sets
 * `failed`, later ones do nothing, and whoever uses the result looks once. One
 * owner at a time.
 */
#ifndef TSINK_BASE_STRBUF_H
#define TSINK_BASE_STRBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/slice.h"
#include "base/status.h"

struct strbuf {
    char *ptr;
    size_t len, cap;
    size_t len_max; /* 0: no limit */
    bool failed;
};

void strbuf_init(struct strbuf *buf, size_t len_max);
void strbuf_release(struct strbuf *buf);
void strbuf_reset(struct strbuf *buf); /* len 0, failed cleared, memory kept */

/* Room for n more bytes at ptr + len; false (and failed) when refused. */
CHECKED bool strbuf_reserve(struct strbuf *buf, size_t n);
void strbuf_put(struct strbuf *buf, const void *src, size_t len);
void strbuf_printf(struct strbuf *buf, const char *fmt, ...) PRINTF_LIKE(2, 3);

static inline void strbuf_char(struct strbuf *buf, char c)
{
    if (buf->len < buf->cap || strbuf_reserve(buf, 1)) buf->ptr[buf->len++] = c;
}

static inline void strbuf_str(struct strbuf *buf, const char *text)
{
    strbuf_put(buf, text, strlen(text));
}

static inline void strbuf_slice(struct strbuf *buf, struct slice s)
{
    strbuf_put(buf, s.ptr, s.len);
}

static inline struct slice strbuf_view(const struct strbuf *buf)
{
    return (struct slice){buf->ptr ? buf->ptr : "", buf->len};
}

/* NUL-terminates beyond len and returns the text; "" when failed. */
const char *strbuf_cstr(struct strbuf *buf);

#endif
