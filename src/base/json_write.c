/* Streaming JSON writer. See json_write.h. */
#include "base/json_write.h"

#include <math.h>

#include "base/numfmt.h"
#include "base/panic.h"
#include "base/utf8.h"

/* ---- texts ---------------------------------------------------------------- */

/* Bytes that go out as they are: printable ASCII but " \ < > &. */
static const bool plain[256] = {
    [' '] = true,         ['!'] = true,         ['#' ... '%'] = true, ['\'' ... ';'] = true,
    ['='] = true,         ['?' ... '['] = true, [']' ... '~'] = true,
};

static void put_unicode_escape(struct strbuf *out, uint32_t rune)
{
    static const char hex[] = "0123456789abcdef";
    char text[6] = {'\\',
                    'u',
                    hex[rune >> 12 & 15],
                    hex[rune >> 8 & 15],
                    hex[rune >> 4 & 15],
                    hex[rune & 15]};
    strbuf_put(out, text, sizeof(text));
}

static void put_ascii_escape(struct strbuf *out, char c)
{
    switch (c) {
    case '"': strbuf_str(out, "\\\""); break;
    case '\\': strbuf_str(out, "\\\\"); break;
    case '\n': strbuf_str(out, "\\n"); break;
    case '\r': strbuf_str(out, "\\r"); break;
    case '\t': strbuf_str(out, "\\t"); break;
    case 0x7f: strbuf_char(out, c); break;
    default: put_unicode_escape(out, (unsigned char)c); break;
    }
}

/* The rune at text, which is not ASCII; returns its bytes. */
static size_t put_rune(struct strbuf *out, struct slice text)
{
    enum { LINE_SEPARATOR = 0x2028, PARAGRAPH_SEPARATOR = 0x2029, REPLACEMENT = 0xfffd };
    uint32_t rune;
    size_t len = utf8_next(&rune, text);
    if (rune == LINE_SEPARATOR || rune == PARAGRAPH_SEPARATOR || (rune == REPLACEMENT && len == 1))
        put_unicode_escape(out, rune);
    else
        strbuf_put(out, text.ptr, len);
    return len;
}

void json_quote(struct strbuf *out, struct slice text)
{
    strbuf_char(out, '"');
    while (text.len) {
        size_t n = 0;
        while (n < text.len && plain[(unsigned char)text.ptr[n]]) n++;
        strbuf_put(out, text.ptr, n);
        text = slice_skip(text, n);
        if (text.len == 0) break;
        n = 1;
        if ((unsigned char)text.ptr[0] < 0x80) put_ascii_escape(out, text.ptr[0]);
        else n = put_rune(out, text);
        text = slice_skip(text, n);
    }
    strbuf_char(out, '"');
}

/* ---- structure ------------------------------------------------------------ */

void json_writer_init(struct json_writer *w, struct strbuf *out)
{
    *w = (struct json_writer){.out = out};
}

static bool in_object(const struct json_writer *w)
{
    return w->depth > 0 && (w->objects >> (w->depth - 1) & 1);
}

static void begin_value(struct json_writer *w)
{
    DASSERT(!in_object(w) || w->keyed);
    if (w->comma && !w->keyed) strbuf_char(w->out, ',');
    w->keyed = false;
    w->comma = true;
}

static void open_level(struct json_writer *w, bool object)
{
    ASSERT(w->depth < JSON_WRITE_DEPTH_MAX);
    begin_value(w);
    uint64_t bit = 1ull << w->depth++;
    w->objects = object ? w->objects | bit : w->objects & ~bit;
    w->comma = false;
    strbuf_char(w->out, object ? '{' : '[');
}

static void close_level(struct json_writer *w, bool object)
{
    ASSERT(w->depth > 0 && in_object(w) == object && !w->keyed);
    w->depth--;
    w->comma = true;
    strbuf_char(w->out, object ? '}' : ']');
}

void json_open_object(struct json_writer *w)
{
    open_level(w, true);
}

void json_close_object(struct json_writer *w)
{
    close_level(w, true);
}

void json_open_array(struct json_writer *w)
{
    open_level(w, false);
}

void json_close_array(struct json_writer *w)
{
    close_level(w, false);
}

/* ---- values --------------------------------------------------------------- */

void json_put_key(struct json_writer *w, struct slice key)
{
    DASSERT(in_object(w) && !w->keyed);
    if (w->comma) strbuf_char(w->out, ',');
    json_quote(w->out, key);
    strbuf_char(w->out, ':');
    w->keyed = true;
}

void json_put_text(struct json_writer *w, struct slice text)
{
    begin_value(w);
    json_quote(w->out, text);
}

void json_put_i64(struct json_writer *w, int64_t v)
{
    char text[NUMFMT_MAX];
    begin_value(w);
    strbuf_put(w->out, text, numfmt_i64(text, v));
}

void json_put_u64(struct json_writer *w, uint64_t v)
{
    char text[NUMFMT_MAX];
    begin_value(w);
    strbuf_put(w->out, text, numfmt_u64(text, v));
}

void json_put_f64(struct json_writer *w, double v)
{
    char text[NUMFMT_MAX];
    if (!isfinite(v)) {
        json_put_null(w);
        return;
    }
    begin_value(w);
    strbuf_put(w->out, text, numfmt_prom(text, v));
}

void json_put_bool(struct json_writer *w, bool v)
{
    json_put_raw(w, v ? SLICE_LIT("true") : SLICE_LIT("false"));
}

void json_put_null(struct json_writer *w)
{
    json_put_raw(w, SLICE_LIT("null"));
}

void json_put_raw(struct json_writer *w, struct slice value)
{
    begin_value(w);
    strbuf_slice(w->out, value);
}

void json_field_text(struct json_writer *w, const char *key, struct slice text)
{
    json_put_key(w, slice_str(key));
    json_put_text(w, text);
}

void json_field_i64(struct json_writer *w, const char *key, int64_t v)
{
    json_put_key(w, slice_str(key));
    json_put_i64(w, v);
}

void json_field_u64(struct json_writer *w, const char *key, uint64_t v)
{
    json_put_key(w, slice_str(key));
    json_put_u64(w, v);
}

void json_field_f64(struct json_writer *w, const char *key, double v)
{
    json_put_key(w, slice_str(key));
    json_put_f64(w, v);
}

void json_field_bool(struct json_writer *w, const char *key, bool v)
{
    json_put_key(w, slice_str(key));
    json_put_bool(w, v);
}
