/* UTF-8. See utf8.h. Valid sequences (RFC 3629, section 4):
 *
 *     00..7f
 *     c2..df  80..bf
 *     e0      a0..bf  80..bf            no overlong forms
 *     e1..ef  80..bf  80..bf            but ed only 80..9f: no surrogates
 *     f0      90..bf  80..bf  80..bf
 *     f1..f3  80..bf  80..bf  80..bf
 *     f4      80..8f  80..bf  80..bf    nothing above U+10FFFF
 */
#include "base/utf8.h"

#include "base/bytes.h"

enum { RUNE_BAD = 0xfffd };

/* Length of the valid sequence at s (n >= 1 bytes there), or 0. */
static size_t sequence_len(const uint8_t *s, size_t n)
{
    uint8_t a = s[0];
    if (a < 0x80) return 1;
    if (a < 0xc2 || a > 0xf4) return 0;

    size_t len = a < 0xe0 ? 2 : a < 0xf0 ? 3 : 4;
    uint8_t low = a == 0xe0 ? 0xa0 : a == 0xf0 ? 0x90 : 0x80;
    uint8_t high = a == 0xed ? 0x9f : a == 0xf4 ? 0x8f : 0xbf;
    if (n < len || s[1] < low || s[1] > high) return 0;
    for (size_t i = 2; i < len; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    return len;
}

bool utf8_valid(struct slice text)
{
    const uint8_t *s = (const uint8_t *)text.ptr;
    size_t at = 0;
    while (at < text.len) {
        /* eight ASCII bytes at a time: labels are nearly always ASCII */
        if (text.len - at >= 8 && (load_u64(s + at) & 0x8080808080808080ull) == 0) {
            at += 8;
            continue;
        }
        size_t len = sequence_len(s + at, text.len - at);
        if (len == 0) return false;
        at += len;
    }
    return true;
}

size_t utf8_next(uint32_t *rune, struct slice text)
{
    if (text.len == 0) return 0;

    const uint8_t *s = (const uint8_t *)text.ptr;
    size_t len = sequence_len(s, text.len);
    if (len == 0) {
        *rune = RUNE_BAD;
        return 1;
    }
    if (len == 1) {
        *rune = s[0];
        return 1;
    }
    uint32_t v = s[0] & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++) v = v << 6 | (s[i] & 0x3fu);
    *rune = v;
    return len;
}

size_t utf8_put(char *dst, uint32_t rune)
{
    if (rune > 0x10ffff || (rune >= 0xd800 && rune <= 0xdfff)) rune = RUNE_BAD;
    if (rune < 0x80) {
        dst[0] = (char)rune;
        return 1;
    }
    size_t len = rune < 0x800 ? 2 : rune < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--, rune >>= 6) dst[i] = (char)(0x80 | (rune & 0x3f));
    dst[0] = (char)((0xf00u >> len & 0xff) | rune);
    return len;
}

const char *utf8_printable(char *dst, size_t dst_len, struct slice text)
{
    size_t n = 0;
    for (; n < text.len && n + 1 < dst_len; n++)
        dst[n] = text.ptr[n] >= ' ' && text.ptr[n] < 0x7f ? text.ptr[n] : '?';
    if (dst_len) dst[n] = 0;
    return dst;
}
