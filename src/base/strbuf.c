/* Growing buffer. See strbuf.h. The block has one byte more than cap, for the NUL that
 * strbuf_cstr() and printing put behind the text; cap never passes len_max, so that
 * strbuf_char() needs to look at cap only. */
#include "base/strbuf.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"

enum { CAP_MIN = 64 };

void strbuf_init(struct strbuf *buf, size_t len_max)
{
    *buf = (struct strbuf){.len_max = len_max};
}

void strbuf_release(struct strbuf *buf)
{
    mem_free(buf->ptr);
    *buf = (struct strbuf){.len_max = buf->len_max};
}

void strbuf_reset(struct strbuf *buf)
{
    buf->len = 0;
    buf->failed = false;
}

bool strbuf_reserve(struct strbuf *buf, size_t n)
{
    size_t need;
    if (buf->failed) return false;
    if (__builtin_add_overflow(buf->len, n, &need)) goto refuse;
    if (buf->len_max && need > buf->len_max) goto refuse;
    if (need <= buf->cap && buf->ptr) return true;

    size_t cap = buf->cap ? buf->cap : CAP_MIN;
    while (cap < need) cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    if (buf->len_max && cap > buf->len_max) cap = buf->len_max; /* strbuf_char trusts cap */
    char *ptr = cap < SIZE_MAX ? mem_try_grow(buf->ptr, cap + 1) : NULL;
    if (!ptr) goto refuse;
    buf->ptr = ptr;
    buf->cap = cap;
    return true;

refuse:
    buf->failed = true;
    return false;
}

void strbuf_put(struct strbuf *buf, const void *src, size_t len)
{
    if (len == 0 || !strbuf_reserve(buf, len)) return;
    memcpy(buf->ptr + buf->len, src, len);
    buf->len += len;
}

void strbuf_printf(struct strbuf *buf, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int len = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (len >= 0 && strbuf_reserve(buf, (size_t)len)) {
        (void)vsnprintf(buf->ptr + buf->len, (size_t)len + 1, fmt, again);
        buf->len += (size_t)len;
    }
    va_end(again);
}

const char *strbuf_cstr(struct strbuf *buf)
{
    if (buf->failed || (!buf->ptr && !strbuf_reserve(buf, 1))) return "";
    buf->ptr[buf->len] = 0;
    return buf->ptr;
}
