/* Go's quoting rules. A rune is written as it is when Go's unicode.IsPrint() says so;
 * the table below holds what that refuses among the assigned runes that one meets
 * (controls, separators, invisible formatting, private use): unassigned runes are taken
 * for printable, which is the one difference.
 */
#include "promql/quote.h"

#include "base/panic.h"
#include "base/utf8.h"

static const struct {
    uint32_t from, to;
} unprintable[] = {
    {0x00, 0x1f},     {0x7f, 0xa0},     {0xad, 0xad},     {0x600, 0x605},
    {0x61c, 0x61c},   {0x6dd, 0x6dd},   {0x70f, 0x70f},   {0x1680, 0x1680},
    {0x180e, 0x180e}, {0x2000, 0x200f}, {0x2028, 0x202f}, {0x205f, 0x206f},
    {0x3000, 0x3000}, {0xd800, 0xf8ff}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb},
    {0xfffe, 0xffff}, {0xe0001, 0xe007f}, {0xf0000, UINT32_MAX},
};

static bool rune_is_printable(uint32_t rune)
{
    for (size_t i = 0; i < ARRAY_LEN(unprintable); i++) {
        if (rune < unprintable[i].from) return true;
        if (rune <= unprintable[i].to) return false;
    }
    return true;
}

static void put_rune(struct strbuf *out, uint32_t rune, char quote)
{
    static const char names[] = "abtnvfr"; /* U+0007 to U+000D */
    char utf8[4];

    if (rune == (uint32_t)quote || rune == '\\') {
        strbuf_char(out, '\\');
        strbuf_char(out, (char)rune);
    } else if (rune_is_printable(rune)) {
        strbuf_put(out, utf8, utf8_put(utf8, rune));
    } else if (rune >= 7 && rune <= 13) {
        strbuf_char(out, '\\');
        strbuf_char(out, names[rune - 7]);
    } else if (rune < 0x20 || rune == 0x7f) {
        strbuf_printf(out, "\\x%02x", (unsigned)rune);
    } else if (rune < 0x10000) {
        strbuf_printf(out, "\\u%04x", (unsigned)rune);
    } else {
        strbuf_printf(out, "\\U%08x", (unsigned)rune);
    }
}

void quote_text(struct strbuf *out, struct slice text)
{
    strbuf_char(out, '"');
    while (text.len > 0) {
        uint32_t rune;
        size_t n = utf8_next(&rune, text);

        /* One byte that decodes to U+FFFD is an invalid one. */
        if (n == 1 && rune == 0xfffd) {
            strbuf_printf(out, "\\x%02x", (unsigned)(unsigned char)text.ptr[0]);
        } else {
            put_rune(out, rune, '"');
        }
        text = slice_skip(text, n);
    }
    strbuf_char(out, '"');
}

void quote_rune(struct strbuf *out, uint32_t rune)
{
    if (rune > 0x10ffff || (rune >= 0xd800 && rune < 0xe000)) rune = 0xfffd;
    strbuf_char(out, '\'');
    put_rune(out, rune, '\'');
    strbuf_char(out, '\'');
}

void quote_code_point(struct strbuf *out, uint32_t rune)
{
    char utf8[4];

    strbuf_printf(out, "U+%04X", (unsigned)rune);
    if (!rune_is_printable(rune)) return;
    strbuf_str(out, " '");
    strbuf_put(out, utf8, utf8_put(utf8, rune));
    strbuf_char(out, '\'');
}

/* ---- unquoting ------------------------------------------------------------------ */

static int digit_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return 16;
}

/* n digits of the base at *text; moves past them. */
static bool take_digits(uint32_t *out, struct slice *text, size_t n, int base)
{
    uint32_t value = 0;

    if (text->len < n) return false;
    for (size_t i = 0; i < n; i++) {
        int digit = digit_value(text->ptr[i]);
        if (digit >= base) return false;
        value = value * (uint32_t)base + (uint32_t)digit;
    }
    *text = slice_skip(*text, n);
    *out = value;
    return true;
}

/* The escape after a backslash at *text; appends what it stands for. */
static bool put_escape(char **dst, struct slice *text, char quote)
{
    static const char letters[] = "abfnrtv\\", values[] = "\a\b\f\n\r\t\v\\";
    uint32_t value;

    if (text->len == 0) return false;
    char c = text->ptr[0];
    const char *at = c ? strchr(letters, c) : NULL;

    if (at || c == quote) {
        *(*dst)++ = at ? values[at - letters] : quote;
        *text = slice_skip(*text, 1);
        return true;
    }
    if (c >= '0' && c <= '7') {
        if (!take_digits(&value, text, 3, 8) || value > 255) return false;
        *(*dst)++ = (char)value;
        return true;
    }
    *text = slice_skip(*text, 1);
    if (c == 'x') {
        if (!take_digits(&value, text, 2, 16)) return false;
        *(*dst)++ = (char)value;
        return true;
    }
    if (c != 'u' && c != 'U') return false;
    if (!take_digits(&value, text, c == 'u' ? 4 : 8, 16)) return false;
    if (value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) return false;
    *dst += utf8_put(*dst, value);
    return true;
}

bool unquote_text(struct slice *out, struct slice literal, struct arena *arena)
{
    if (literal.len < 2) return false;
    char quote = literal.ptr[0];
    struct slice text = slice_of(literal.ptr + 1, literal.len - 2);

    if (literal.ptr[literal.len - 1] != quote) return false;
    if (quote == '`') {
        *out = arena_copy(arena, text);
        return true;
    }

    /* An escape is never shorter than what it stands for. */
    char *bytes = arena_try(arena, text.len + 1);
    char *dst = bytes;
    *out = (struct slice){0};
    if (!bytes) return true;
    while (text.len > 0) {
        char c = text.ptr[0];
        text = slice_skip(text, 1);
        if (c == quote || c == '\n') return false;
        if (c != '\\') {
            *dst++ = c;
        } else if (!put_escape(&dst, &text, quote)) {
            return false;
        }
    }
    *out = slice_of(bytes, (size_t)(dst - bytes));
    return true;
}
