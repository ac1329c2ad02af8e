/* Numbers <-> text. See numfmt.h.
 *
 * Printing: one source of digits (the shortest that read back, from the shim), then a
 * layout per protocol. to_chars' own fixed form is not used: above 2^53 it prints the
 * exact integer instead of the shortest digits padded with zeros.
 *
 *     v = 0.d1 d2 ... dn * 10^point           1234.5: digits 12345, point 4
 *
 * Parsing: the grammar is checked here, byte by byte, and only then does from_chars
 * see the text, so that its extras (nan(...), a missing digit) never get through.
 */
#include "base/numfmt.h"

#include <math.h>
#include <string.h>

#include "base/cxx_shim.h"
#include "base/panic.h"

enum { DIGITS_MAX = 17 };

struct digits {
    char d[DIGITS_MAX + 1];
    int n;     /* 1..17, no zeros at the end */
    int point; /* digits before the decimal point; may be negative */
    bool neg;
};

/* The shim's text is d[.ddd]e[+-]xx[x], after the sign. */
static struct digits digits_of(double v)
{
    char text[40];
    struct digits out;
    size_t len = shim_f64_scientific(text, fabs(v));
    size_t mark = len - (text[len - 4] == 'e' ? 4 : 5);

    out.neg = signbit(v) != 0;
    out.n = mark > 2 ? (int)mark - 1 : 1;
    DASSERT(out.n <= DIGITS_MAX && text[mark] == 'e');
    out.d[0] = text[0];
    if (out.n > 1) memcpy(out.d + 1, text + 2, (size_t)out.n - 1);

    int exp = 0;
    for (size_t at = mark + 2; at < len; at++) exp = exp * 10 + (text[at] - '0');
    out.point = (text[mark + 1] == '-' ? -exp : exp) + 1;
    return out;
}

static char *put_text(char *at, const char *text, size_t len)
{
    memcpy(at, text, len);
    return at + len;
}

static char *put_zeros(char *at, int n)
{
    for (; n > 0; n--) *at++ = '0';
    return at;
}

/* 0.00ddd, dd.ddd, ddd000 */
static char *put_fixed(char *at, const struct digits *g)
{
    if (g->neg) *at++ = '-';
    if (g->point <= 0) {
        at = put_text(at, "0.", 2);
        at = put_zeros(at, -g->point);
        return put_text(at, g->d, (size_t)g->n);
    }
    if (g->point >= g->n) {
        at = put_text(at, g->d, (size_t)g->n);
        return put_zeros(at, g->point - g->n);
    }
    at = put_text(at, g->d, (size_t)g->point);
    *at++ = '.';
    return put_text(at, g->d + g->point, (size_t)(g->n - g->point));
}

/* d.ddd<mark><sign>xx: at least exp_width digits of exponent, a plus sign or none. */
static char *put_exponent(char *at, const struct digits *g, char mark, bool plus, int exp_width)
{
    int exp = g->point - 1;
    char text[4];
    int n = 0;

    if (g->neg) *at++ = '-';
    *at++ = g->d[0];
    if (g->n > 1) {
        *at++ = '.';
        at = put_text(at, g->d + 1, (size_t)(g->n - 1));
    }
    *at++ = mark;
    if (exp < 0) {
        *at++ = '-';
        exp = -exp;
    } else if (plus) {
        *at++ = '+';
    }
    for (; exp > 0 || n < exp_width; exp /= 10) text[n++] = (char)('0' + exp % 10);
    while (n > 0) *at++ = text[--n];
    return at;
}

static size_t put_word(char *dst, const char *word)
{
    return (size_t)(put_text(dst, word, strlen(word)) - dst);
}

/* NaN, +Inf, -Inf and the zeros as Go spells them; 0 when v is none of these. */
static size_t put_special(char *dst, double v)
{
    if (isnan(v)) return put_word(dst, "NaN");
    if (isinf(v)) return put_word(dst, v > 0 ? "+Inf" : "-Inf");
    if (v == 0) return put_word(dst, signbit(v) ? "-0" : "0");
    return 0;
}

/* Whole numbers below 1e15 have their shortest digits as they stand. */
static bool is_small_whole(double v)
{
    return fabs(v) < 1e15 && v == (double)(int64_t)v && v != 0;
}

/* Numbers with at most DECIMALS places, of at most 15 digits in all: two such numbers are
 * never the same double, so when n / 10^DECIMALS gives v back, n's digits are the shortest.
 * 0 when v is none of these. The division is correctly rounded, and guesses n well enough:
 * where the product is off by an ulp, rounding to a whole number mends it. */
static size_t put_decimal(char *dst, double v)
{
    enum { DECIMALS = 6 };
    static const double scale = 1e6;
    double scaled = fabs(v) * scale;
    if (!(scaled >= 1 && scaled < 1e15)) return 0;
    uint64_t n = (uint64_t)(scaled + 0.5);
    if ((double)n / scale != fabs(v)) return 0;

    char *at = dst;
    uint64_t whole = n / 1000000, rest = n % 1000000;
    if (v < 0) *at++ = '-';
    at += numfmt_u64(at, whole);
    if (rest == 0) return (size_t)(at - dst);
    *at++ = '.';
    for (int i = DECIMALS - 1; i >= 0; i--, rest /= 10) at[i] = (char)('0' + rest % 10);
    at += DECIMALS;
    while (at[-1] == '0') at--;
    return (size_t)(at - dst);
}

size_t numfmt_prom(char *dst, double v)
{
    size_t len = put_special(dst, v);
    if (len) return len;
    if (is_small_whole(v)) return numfmt_i64(dst, (int64_t)v);
    len = put_decimal(dst, v);
    if (len) return len;

    struct digits g = digits_of(v);
    bool fixed = g.point > -6 && g.point <= 21; /* 1e-6 <= |v| < 1e21 */
    char *end = fixed ? put_fixed(dst, &g) : put_exponent(dst, &g, 'e', true, 2);
    return (size_t)(end - dst);
}

size_t numfmt_fixed(char *dst, double v, size_t dst_len)
{
    /* -0.<323 zeros><17 digits>, the longest: 343 bytes */
    ASSERT(dst_len >= 350);
    size_t len = put_special(dst, v);
    if (len) return len;
    if (is_small_whole(v)) return numfmt_i64(dst, (int64_t)v);

    struct digits g = digits_of(v);
    return (size_t)(put_fixed(dst, &g) - dst);
}

size_t numfmt_go(char *dst, double v)
{
    size_t len = put_special(dst, v);
    if (len) return len;

    struct digits g = digits_of(v);
    bool fixed = g.point > -4 && g.point <= 6; /* 1e-4 <= |v| < 1e6 */
    char *end = fixed ? put_fixed(dst, &g) : put_exponent(dst, &g, 'e', true, 2);
    return (size_t)(end - dst);
}

size_t numfmt_resp2(char *dst, double v)
{
    if (isnan(v)) return put_word(dst, "NaN");
    if (isinf(v)) return put_word(dst, v > 0 ? "Infinity" : "-Infinity");
    if (v == 0) return put_word(dst, "0");
    if (is_small_whole(v)) return numfmt_i64(dst, (int64_t)v);

    struct digits g = digits_of(v);
    bool plain = g.point >= 1 && (g.point <= 16 || (g.point == DIGITS_MAX && g.n == DIGITS_MAX));
    char *end = plain ? put_fixed(dst, &g) : put_exponent(dst, &g, 'E', false, 1);
    return (size_t)(end - dst);
}

/* The rule that Redis clients know: with v = digits * 10^scale and exp the decimal
 * exponent, whole numbers are plain while exp < n + 7, fractions while scale > -7 or
 * |exp| < 4. */
size_t numfmt_resp3(char *dst, double v)
{
    if (isnan(v)) return put_word(dst, "nan");
    if (isinf(v)) return put_word(dst, v > 0 ? "inf" : "-inf");
    if (v == 0) return put_word(dst, signbit(v) ? "-0" : "0");

    struct digits g = digits_of(v);
    int scale = g.point - g.n;
    int exp = g.point > 0 ? g.point - 1 : 1 - g.point;
    bool plain = scale >= 0 ? exp < g.n + 7 : scale > -7 || exp < 4;
    char *end = plain ? put_fixed(dst, &g) : put_exponent(dst, &g, 'e', true, 1);
    return (size_t)(end - dst);
}

static unsigned digit_count(uint64_t v)
{
    unsigned n = 1;
    for (;;) {
        if (v < 10) return n;
        if (v < 100) return n + 1;
        if (v < 1000) return n + 2;
        if (v < 10000) return n + 3;
        v /= 10000;
        n += 4;
    }
}

/* Two digits at a time, from the back. */
size_t numfmt_u64(char *dst, uint64_t v)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324252627282930"
                                "31323334353637383940414243444546474849505152535455565758596061"
                                "62636465666768697071727374757677787980818283848586878889909192"
                                "93949596979899";
    size_t n = digit_count(v);
    char *at = dst + n;

    for (; v >= 100; v /= 100) memcpy(at -= 2, pairs + v % 100 * 2, 2);
    if (v >= 10) memcpy(at - 2, pairs + v * 2, 2);
    else at[-1] = (char)('0' + v);
    return n;
}

size_t numfmt_grouped(char *dst, uint64_t v)
{
    char digits[20];
    size_t n = numfmt_u64(digits, v), out = 0;
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0) dst[out++] = ',';
        dst[out++] = digits[i];
    }
    return out;
}

size_t numfmt_i64(char *dst, int64_t v)
{
    if (v >= 0) return numfmt_u64(dst, (uint64_t)v);
    *dst = '-';
    return 1 + numfmt_u64(dst + 1, 0 - (uint64_t)v);
}

/* ---- reading -------------------------------------------------------------- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool parse_u64(uint64_t *out, struct slice text)
{
    uint64_t v = 0;
    size_t at = text.len && text.ptr[0] == '+' ? 1 : 0;
    if (at == text.len) return false;
    for (; at < text.len; at++) {
        if (!is_digit(text.ptr[at])) return false;
        if (__builtin_mul_overflow(v, 10u, &v)) return false;
        if (__builtin_add_overflow(v, (uint64_t)(text.ptr[at] - '0'), &v)) return false;
    }
    *out = v;
    return true;
}

bool parse_i64(int64_t *out, struct slice text)
{
    bool neg = text.len && text.ptr[0] == '-';
    uint64_t v;
    if (neg) {
        text = slice_skip(text, 1);
        if (text.len && text.ptr[0] == '+') return false;
    }
    if (!parse_u64(&v, text)) return false;
    if (v > (uint64_t)INT64_MAX + (neg ? 1 : 0)) return false;
    *out = (int64_t)(neg ? 0 - v : v);
    return true;
}

/* What the grammar check learns about a decimal number. */
struct shape {
    size_t n_int, n_frac; /* digits before and after the point */
    bool leading_zero;    /* more than one digit, the first is 0 */
    bool point;
};

/* digits [. digits] [e [sign] digits], all of it, at least one digit in the mantissa. */
static bool scan_decimal(struct shape *out, struct slice text)
{
    struct shape s = {0};
    size_t at = 0;
    while (at < text.len && is_digit(text.ptr[at])) at++;
    s.n_int = at;
    s.leading_zero = at > 1 && text.ptr[0] == '0';
    if (at < text.len && text.ptr[at] == '.') {
        s.point = true;
        size_t from = ++at;
        while (at < text.len && is_digit(text.ptr[at])) at++;
        s.n_frac = at - from;
    }
    if (s.n_int + s.n_frac == 0) return false;
    if (at < text.len && (text.ptr[at] | 0x20) == 'e') {
        at++;
        if (at < text.len && (text.ptr[at] == '+' || text.ptr[at] == '-')) at++;
        size_t from = at;
        while (at < text.len && is_digit(text.ptr[at])) at++;
        if (at == from) return false;
    }
    *out = s;
    return at == text.len;
}

/* Whether a number that from_chars calls out of range is too large (else too small):
 * the decimal place of its first digit that is not zero, plus its exponent. */
static bool is_overflow(struct slice text)
{
    int64_t place = 0, exp = 0;
    bool seen_point = false, found = false, exp_neg = false;
    size_t at = 0;
    for (; at < text.len && (text.ptr[at] | 0x20) != 'e'; at++) {
        if (text.ptr[at] == '.') {
            seen_point = true;
        } else {
            found = found || text.ptr[at] != '0';
            if (found && !seen_point) place++;
            if (!found && seen_point) place--;
        }
    }
    if (++at < text.len && (text.ptr[at] == '+' || text.ptr[at] == '-'))
        exp_neg = text.ptr[at++] == '-';
    for (; at < text.len && exp < INT32_MAX; at++) exp = exp * 10 + (text.ptr[at] - '0');
    return place + (exp_neg ? -exp : exp) > 0;
}

/* text fits scan_decimal(). Overflow gives infinity, underflow 0. */
static double read_decimal(struct slice text)
{
    double v = 0;
    enum shim_f64_result got = shim_f64_parse(&v, text.ptr, text.len);
    ASSERT(got != SHIM_F64_BAD);
    if (got == SHIM_F64_RANGE) return is_overflow(text) ? HUGE_VAL : 0;
    return v;
}

bool parse_f64(double *out, struct slice text)
{
    struct shape shape;
    bool neg = false;
    double v;

    if (text.len && (text.ptr[0] == '-' || text.ptr[0] == '+')) {
        neg = text.ptr[0] == '-';
        text = slice_skip(text, 1);
    }
    if (scan_decimal(&shape, text)) {
        v = read_decimal(text);
    } else if (slice_is_nocase(text, "inf") || slice_is_nocase(text, "infinity")) {
        v = HUGE_VAL;
    } else if (slice_is_nocase(text, "nan")) {
        v = (double)NAN;
    } else {
        return false;
    }
    *out = neg ? -v : v;
    return true;
}

bool parse_f64_json(double *out, struct slice text, bool allow_nan)
{
    struct shape shape;
    struct slice bare = text;
    bool neg = false;

    if (bare.len && (bare.ptr[0] == '-' || bare.ptr[0] == '+')) {
        neg = bare.ptr[0] == '-';
        bare = slice_skip(bare, 1);
    }
    if (allow_nan && slice_is_nocase(bare, "nan")) {
        *out = (double)NAN;
        return true;
    }
    if (text.len && text.ptr[0] == '+') return false;
    if (!scan_decimal(&shape, bare)) return false;
    if (shape.n_int == 0 || shape.leading_zero || (shape.point && shape.n_frac == 0)) return false;

    double v = read_decimal(bare);
    if (isinf(v)) return false;
    *out = neg ? -v : v;
    return true;
}
