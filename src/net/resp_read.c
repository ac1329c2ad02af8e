/* RESP requests.
 *
 *     *2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n        multibulk
 *     ECHO "a \x41 b"\r\n                     inline, quoted as in Redis
 *
 * State between calls: pos is the offset behind the last thing understood, scan how
 * far a line end has been looked for (so a line that trickles in is not searched
 * again), n_left the arguments still to come (-1: the count is not known yet) and
 * bulk_len the length of the one in hand (-1: not known yet). The table holds
 * offsets disguised as slices (ptr = base + offset is put in at the end), because
 * the buffer may move between calls.
 *
 * Stricter than Redis in one thing: it skips two bytes behind an argument without
 * looking; here they must be CR LF (reliability.md 5: missing CRLF).
 */
#include "net/resp_read.h"

#include <stdio.h>
#include <string.h>

#include "base/panic.h"

void resp_parser_init(struct resp_parser *parser)
{
    *parser = (struct resp_parser){.n_left = -1, .bulk_len = -1};
}

void resp_parser_release(struct resp_parser *parser)
{
    vec_release(&parser->table);
}

static enum resp_result bad(struct resp_parser *p, const char *what)
{
    snprintf(p->error, sizeof(p->error), "Protocol error: %s", what);
    return RESP_BAD;
}

/* Between requests: forgets the finished one. A table that a huge request left is
 * given back. */
static void start_over(struct resp_parser *p)
{
    enum { TABLE_KEEP = 1024 };

    p->pos = p->scan = p->used = p->n_args = 0;
    p->args = NULL;
    p->n_left = p->bulk_len = -1;
    if (p->table.cap > TABLE_KEEP) vec_release(&p->table);
    vec_clear(&p->table);
}

/* Redis' rule for integers: digits without leading zeros, optional minus. */
static bool read_integer(int64_t *out, const char *text, size_t len)
{
    bool negative = len > 0 && text[0] == '-';
    size_t i = negative;
    int64_t v = 0;

    if (len == i || len - i > 18) return false;
    if (text[i] == '0' && (len - i > 1 || negative)) return false;
    for (; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        v = v * 10 + (text[i] - '0');
    }
    *out = negative ? -v : v;
    return true;
}

enum line { LINE_MORE, LINE_FOUND, LINE_BAD, LINE_LONG };

/* A line of a multibulk header from pos: ends with CR LF. */
static enum line find_line(struct resp_parser *p, const char *buf, size_t len, size_t *end)
{
    size_t from = p->scan > p->pos ? p->scan : p->pos;
    const char *cr = len > from ? memchr(buf + from, '\r', len - from) : NULL;

    if (!cr) {
        p->scan = len;
        return len - p->pos > RESP_INLINE_MAX ? LINE_LONG : LINE_MORE;
    }
    *end = (size_t)(cr - buf);
    p->scan = *end;
    if (*end + 1 == len) return LINE_MORE;
    return buf[*end + 1] == '\n' ? LINE_FOUND : LINE_BAD;
}

/* ---- Inline requests ----------------------------------------------------------- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\v' || c == '\f' || c == '\r';
}

/* One escape inside double quotes at at[0] == '\\'; returns the bytes read. */
static size_t unescape(char *out, const char *at, const char *end)
{
    static const char from[] = "nrtba", to[] = "\n\r\t\b\a";

    if (end - at >= 4 && at[1] == 'x' && hex_digit(at[2]) >= 0 && hex_digit(at[3]) >= 0) {
        *out = (char)(hex_digit(at[2]) * 16 + hex_digit(at[3]));
        return 4;
    }
    const char *known = memchr(from, at[1], sizeof(from) - 1);
    *out = known ? to[known - from] : at[1];
    return 2;
}

/* One word from *at, unquoted to *out. False: unbalanced quotes. */
static bool read_word(char **out, const char **at, const char *end)
{
    const char *in = *at;
    char *put = *out, quote = 0;

    for (;; ) {
        if (in == end) {
            if (quote) return false;
            break;
        }
        if (!quote && is_blank(*in)) break;
        if (quote == '"' && *in == '\\' && in + 1 < end) {
            in += unescape(put++, in, end);
        } else if (quote == '\'' && *in == '\\' && in + 1 < end && in[1] == '\'') {
            *put++ = '\'';
            in += 2;
        } else if (quote && *in == quote) {
            /* A closing quote ends the word: only a blank may follow. */
            in++;
            if (in < end && !is_blank(*in)) return false;
            break;
        } else if (!quote && (*in == '"' || *in == '\'')) {
            quote = *in++;
        } else {
            *put++ = *in++;
        }
    }
    *out = put;
    *at = in;
    return true;
}

/* A browser that was made to talk to this port: its first line is a request line or
 * a Host field. GET might be somebody's idea of a command, so it needs its HTTP/. */
static bool is_cross_protocol(const struct slice *words, size_t n)
{
    static const char *const verbs[] = {"POST", "Host:", "PUT", "PATCH", "DELETE", "OPTIONS",
                                        "HEAD", "CONNECT", "TRACE", "PRI"};

    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        if (slice_is_nocase(words[0], verbs[i])) return true;
    }
    return slice_is_nocase(words[0], "GET") && n == 3 &&
           slice_starts(words[2], SLICE_LIT("HTTP/"));
}

/* Words are put where their quoted form was, from the start of the line on: text
 * never grows by unquoting. */
static enum resp_result parse_inline(struct resp_parser *p, char *buf, size_t len,
                                     const struct resp_limits *limits)
{
    const char *lf = len > p->scan ? memchr(buf + p->scan, '\n', len - p->scan) : NULL;

    if (!lf) {
        p->scan = len;
        return len > RESP_INLINE_MAX ? bad(p, "too big inline request") : RESP_MORE;
    }
    p->used = (size_t)(lf - buf) + 1;
    if (p->used > RESP_INLINE_MAX) return bad(p, "too big inline request");
    const char *at = buf, *end = lf > buf && lf[-1] == '\r' ? lf - 1 : lf;
    char *out = buf;
    for (;;) {
        while (at < end && is_blank(*at)) at++;
        if (at == end) break;
        char *word = out;
        if (!read_word(&out, &at, end)) return bad(p, "unbalanced quotes in request");
        if (limits->unauthenticated && p->table.len >= RESP_UNAUTH_ARGS_MAX) {
            return bad(p, "unauthenticated multibulk length");
        }
        if (!vec_push(&p->table, slice_of(word, (size_t)(out - word)))) return RESP_NO_MEMORY;
    }
    p->args = p->table.ptr;
    p->n_args = p->table.len;
    if (p->n_args == 0) return RESP_NOTHING;
    if (is_cross_protocol(p->args, p->n_args)) {
        bad(p, "HTTP on the RESP port; use the HTTP port");
        return RESP_CROSS;
    }
    return RESP_REQUEST;
}

/* ---- Multibulk requests -------------------------------------------------------- */

static enum resp_result read_count(struct resp_parser *p, const char *buf, size_t len,
                                   const struct resp_limits *limits)
{
    size_t end = 0;
    int64_t n;

    switch (find_line(p, buf, len, &end)) {
    case LINE_MORE: return RESP_MORE;
    case LINE_LONG: return bad(p, "too big mbulk count string");
    case LINE_BAD: return bad(p, "invalid multibulk length");
    case LINE_FOUND: break;
    }
    /* *0 and *-1 are empty requests, as in Redis. */
    if (!read_integer(&n, buf + 1, end - 1) || n < -1 || n > (int64_t)limits->n_args_max) {
        return bad(p, "invalid multibulk length");
    }
    if (limits->unauthenticated && n > RESP_UNAUTH_ARGS_MAX) {
        return bad(p, "unauthenticated multibulk length");
    }
    p->pos = p->scan = end + 2;
    p->n_left = n;
    return RESP_REQUEST;
}

static enum resp_result read_bulk_len(struct resp_parser *p, const char *buf, size_t len,
                                      const struct resp_limits *limits)
{
    size_t end = 0;
    int64_t n;

    if (len == p->pos) return RESP_MORE;
    /* Redis waits for the line's end before it looks at the type; the answer is the
     * same, only sooner. */
    char type = buf[p->pos];
    if (type != '$') {
        char text[] = "expected '$', got '?'";
        if (type >= 0x20 && type < 0x7f) text[sizeof(text) - 3] = type;
        return bad(p, text);
    }
    switch (find_line(p, buf, len, &end)) {
    case LINE_MORE: return RESP_MORE;
    case LINE_LONG: return bad(p, "too big bulk count string");
    case LINE_BAD: return bad(p, "invalid bulk length");
    case LINE_FOUND: break;
    }
    if (!read_integer(&n, buf + p->pos + 1, end - p->pos - 1) || n < 0 ||
        (uint64_t)n > limits->bulk_len_max) {
        return bad(p, "invalid bulk length");
    }
    if (limits->unauthenticated && n > RESP_UNAUTH_BULK_MAX) {
        return bad(p, "unauthenticated bulk length");
    }
    p->pos = p->scan = end + 2;
    p->bulk_len = n;
    return RESP_REQUEST;
}

/* RESP_REQUEST: the argument in hand is complete. */
static enum resp_result read_bulk(struct resp_parser *p, const char *buf, size_t len)
{
    size_t n = (size_t)p->bulk_len, have = len - p->pos;

    if (have > n && buf[p->pos + n] != '\r') return bad(p, "expected CRLF after bulk");
    if (have < n + 2) return RESP_MORE;
    if (buf[p->pos + n + 1] != '\n') return bad(p, "expected CRLF after bulk");
    /* An offset until the command is whole: the buffer may move before that. */
    if (!vec_push(&p->table, (struct slice){(const char *)(uintptr_t)p->pos, n})) {
        return RESP_NO_MEMORY;
    }
    p->pos = p->scan = p->pos + n + 2;
    p->bulk_len = -1;
    p->n_left--;
    return RESP_REQUEST;
}

enum resp_result resp_parse(struct resp_parser *p, char *buf, size_t len,
                            const struct resp_limits *limits)
{
    enum resp_result result;

    if (p->used > 0) start_over(p);
    if (len == 0) return RESP_MORE;
    if (buf[0] != '*') return parse_inline(p, buf, len, limits);
    if (p->n_left < 0) {
        result = read_count(p, buf, len, limits);
        if (result != RESP_REQUEST) return result;
    }
    while (p->n_left > 0) {
        if (p->bulk_len < 0) {
            result = read_bulk_len(p, buf, len, limits);
            if (result != RESP_REQUEST) return result;
        }
        result = read_bulk(p, buf, len);
        if (result != RESP_REQUEST) return result;
    }
    p->used = p->pos;
    for (size_t i = 0; i < p->table.len; i++) {
        p->table.ptr[i].ptr = buf + (uintptr_t)p->table.ptr[i].ptr;
    }
    p->args = p->table.ptr;
    p->n_args = p->table.len;
    return p->n_args > 0 ? RESP_REQUEST : RESP_NOTHING;
}

size_t resp_wants(const struct resp_parser *p)
{
    return p->bulk_len < 0 || p->used > 0 ? 0 : p->pos + (size_t)p->bulk_len + 2;
}
