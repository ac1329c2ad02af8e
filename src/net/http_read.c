/* HTTP requests, strictly (RFC 9110, 9112 and reliability.md 5).
 *
 *            +------+  head   +--------+  length  +------+
 *   start -->| LINE |-------->| FIELDS |--------->| BODY |----------------+
 *            +------+ complete+--------+          +------+                v
 *                                 |    chunked  +------+  0  +---------+  DONE
 *                                 +------------>| SIZE |---->| TRAILER |--^
 *                                 |             +------+     +---------+
 *                                 |             |  ^
 *                                 |             v  | CRLF
 *                                 |             DATA
 *                                 +-- no body -------------------------> DONE
 *
 * HTTP_HEAD is returned between FIELDS and what follows (state FRAMED): only then is
 * it known how much body the route takes. A line is parsed once, when its LF has
 * arrived; scan remembers how far it was looked for. The first line is checked as it
 * comes, so that a TLS hello or other noise is refused at once and not after a
 * newline that may never come.
 *
 * Slices in the request point into the buffer; when a later call brings the buffer
 * at another address they are moved by the difference (rebase).
 *
 * Request smuggling: whatever could be read in two ways is refused, and after a
 * refusal that leaves the framing in doubt the connection closes.
 */
#include "net/http_read.h"

#include <string.h>

#include "base/panic.h"

enum state {
    STATE_LINE,
    STATE_FIELDS,
    STATE_FRAMED,
    STATE_BODY,
    STATE_SIZE,
    STATE_DATA,
    STATE_TRAILER,
};

static const char *const method_names[HTTP_METHODS] = {
    [HTTP_GET] = "GET",         [HTTP_HEAD_METHOD] = "HEAD", [HTTP_POST] = "POST",
    [HTTP_PUT] = "PUT",         [HTTP_DELETE] = "DELETE",    [HTTP_OPTIONS] = "OPTIONS",
    [HTTP_PATCH] = "PATCH",
};

static const char *const field_names[HTTP_F_N] = {
    [HTTP_F_ACCEPT] = "Accept",
    [HTTP_F_ACCEPT_ENCODING] = "Accept-Encoding",
    [HTTP_F_AUTHORIZATION] = "Authorization",
    [HTTP_F_CONNECTION] = "Connection",
    [HTTP_F_CONTENT_ENCODING] = "Content-Encoding",
    [HTTP_F_CONTENT_LENGTH] = "Content-Length",
    [HTTP_F_CONTENT_TYPE] = "Content-Type",
    [HTTP_F_EXPECT] = "Expect",
    [HTTP_F_HOST] = "Host",
    [HTTP_F_ORIGIN] = "Origin",
    [HTTP_F_TRANSFER_ENCODING] = "Transfer-Encoding",
    [HTTP_F_USER_AGENT] = "User-Agent",
    [HTTP_F_X_SCOPE_ORGID] = "X-Scope-OrgID",
};

const char *http_method_name(enum http_method method)
{
    return method_names[method];
}

void http_parser_start(struct http_parser *parser, struct http_request *req)
{
    *parser = (struct http_parser){.req = req, .state = STATE_LINE};
}

bool http_in_head(const struct http_parser *parser)
{
    return parser->state <= STATE_FIELDS && parser->scan > 0;
}

bool http_in_body(const struct http_parser *parser)
{
    return parser->state >= STATE_FRAMED;
}

uint64_t http_wants(const struct http_parser *parser)
{
    return parser->state == STATE_BODY ? parser->head_len + parser->req->content_length : 0;
}

static enum http_result refuse(struct http_parser *p, int code, const char *reason)
{
    p->status = code;
    p->reason = reason;
    p->keep = false;
    return HTTP_BAD;
}

/* ---- Characters ------------------------------------------------------------------ */

/* RFC 9110 5.6.2: tchar. */
static bool is_token_char(unsigned char c)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) return true;
    return c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

static bool is_token(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!is_token_char((unsigned char)text.ptr[i])) return false;
    }
    return text.len > 0;
}

/* RFC 9110 5.5: visible, blank, tab, or a byte above 0x7f; no other control byte. */
static bool is_field_value(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) return false;
    }
    return true;
}

static struct slice trim(struct slice text)
{
    while (text.len && (text.ptr[0] == ' ' || text.ptr[0] == '\t')) text = slice_skip(text, 1);
    while (text.len && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t')) {
        text.len--;
    }
    return text;
}

/* ---- Lines ----------------------------------------------------------------------- */

enum line { LINE_MORE, LINE_FOUND, LINE_BARE_LF };

/* The line that starts at p->pos, without its CR LF; pos moves behind it. */
static enum line take_line(struct http_parser *p, const char *buf, size_t len,
                           struct slice *line)
{
    size_t from = p->scan > p->pos ? p->scan : p->pos;
    const char *lf = len > from ? memchr(buf + from, '\n', len - from) : NULL;

    if (!lf) {
        p->scan = len;
        return LINE_MORE;
    }
    size_t end = (size_t)(lf - buf);
    if (end == p->pos || buf[end - 1] != '\r') return LINE_BARE_LF;
    *line = slice_of(buf + p->pos, end - 1 - p->pos);
    p->pos = p->scan = end + 1;
    return LINE_FOUND;
}

/* ---- Request line ---------------------------------------------------------------- */

/* Bytes of a first line that is not complete yet: noise is refused early. */
static bool line_is_noise(const char *buf, size_t from, size_t len)
{
    for (size_t i = from; i < len; i++) {
        unsigned char c = (unsigned char)buf[i];
        if ((c < 0x20 && c != '\r' && c != '\n') || c >= 0x7f) return true;
    }
    return false;
}

static enum http_result parse_version(struct http_parser *p, struct slice text)
{
    if (text.len != 8 || !slice_starts(text, SLICE_LIT("HTTP/")) || text.ptr[6] != '.' ||
        text.ptr[5] < '0' || text.ptr[5] > '9' || text.ptr[7] < '0' || text.ptr[7] > '9') {
        return refuse(p, 400, "malformed request line");
    }
    if (text.ptr[5] != '1' || text.ptr[7] > '1') {
        return refuse(p, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    }
    p->req->minor = (uint8_t)(text.ptr[7] - '0');
    return HTTP_MORE;
}

/* origin-form, absolute-form (its scheme and authority are dropped) or "*". */
static enum http_result parse_target(struct http_parser *p, struct slice target)
{
    struct http_request *req = p->req;

    for (size_t i = 0; i < target.len; i++) {
        unsigned char c = (unsigned char)target.ptr[i];
        if (c <= 0x20 || c >= 0x7f) return refuse(p, 400, "invalid byte in the request target");
    }
    if (target.len > HTTP_URI_MAX) return refuse(p, 414, "request target too long");
    if (target.len >= 7 && strncasecmp(target.ptr, "http://", 7) == 0) {
        const char *slash = memchr(target.ptr + 7, '/', target.len - 7);
        if (!slash) return refuse(p, 400, "malformed request target");
        target = slice_skip(target, (size_t)(slash - target.ptr));
    }
    if (target.len == 0 || (target.ptr[0] != '/' && !slice_is(target, "*"))) {
        return refuse(p, 400, "malformed request target");
    }
    const char *hash = memchr(target.ptr, '#', target.len);
    if (hash) target.len = (size_t)(hash - target.ptr);
    const char *mark = memchr(target.ptr, '?', target.len);
    req->path = slice_of(target.ptr, mark ? (size_t)(mark - target.ptr) : target.len);
    req->query = mark ? slice_skip(target, req->path.len + 1)
                      : slice_of(target.ptr + target.len, 0);
    return HTTP_MORE;
}

static enum http_result parse_request_line(struct http_parser *p, struct slice line)
{
    const char *first = memchr(line.ptr, ' ', line.len);
    struct http_request *req = p->req;

    if (!first) return refuse(p, 400, "malformed request line");
    struct slice method = slice_of(line.ptr, (size_t)(first - line.ptr));
    struct slice rest = slice_skip(line, method.len + 1);
    const char *second = rest.len ? memchr(rest.ptr, ' ', rest.len) : NULL;
    if (!second || !is_token(method)) return refuse(p, 400, "malformed request line");
    if (slice_is(method, "PRI")) return refuse(p, 400, "HTTP/2 is not spoken on this port");
    struct slice target = slice_of(rest.ptr, (size_t)(second - rest.ptr));
    enum http_result result = parse_target(p, target);
    if (result == HTTP_BAD) return result;
    result = parse_version(p, slice_skip(rest, target.len + 1));
    if (result == HTTP_BAD) return result;
    req->method = HTTP_METHODS;
    for (int m = 0; m < HTTP_METHODS; m++) {
        if (slice_is(method, method_names[m])) req->method = (enum http_method)m;
    }
    return HTTP_MORE;
}

/* ---- Fields ---------------------------------------------------------------------- */

static enum http_field_id field_id_of(struct slice name)
{
    for (int id = HTTP_F_OTHER + 1; id < HTTP_F_N; id++) {
        if (slice_is_nocase(name, field_names[id])) return (enum http_field_id)id;
    }
    return HTTP_F_OTHER;
}

static enum http_result parse_field(struct http_parser *p, struct slice line,
                                    struct http_field *out)
{
    if (line.ptr[0] == ' ' || line.ptr[0] == '\t') {
        return refuse(p, 400, "folded header field");
    }
    const char *colon = memchr(line.ptr, ':', line.len);
    if (!colon) return refuse(p, 400, "header field without colon");
    struct slice name = slice_of(line.ptr, (size_t)(colon - line.ptr));
    if (!is_token(name)) return refuse(p, 400, "invalid header field name");
    struct slice value = slice_skip(line, name.len + 1);
    if (!is_field_value(value)) return refuse(p, 400, "invalid byte in a header field");
    *out = (struct http_field){.name = name, .value = trim(value), .id = field_id_of(name)};
    return HTTP_MORE;
}

static enum http_result add_field(struct http_parser *p, struct slice line)
{
    struct http_request *req = p->req;
    struct http_field field;

    if (req->n_fields >= HTTP_FIELDS_MAX) return refuse(p, 431, "too many header fields");
    enum http_result result = parse_field(p, line, &field);
    if (result == HTTP_BAD) return result;
    if (req->first[field.id] >= 0) {
        switch (field.id) {
        case HTTP_F_HOST: return refuse(p, 400, "more than one Host");
        case HTTP_F_CONTENT_LENGTH: return refuse(p, 400, "more than one Content-Length");
        case HTTP_F_TRANSFER_ENCODING: return refuse(p, 400, "more than one Transfer-Encoding");
        case HTTP_F_OTHER: case HTTP_F_ACCEPT: case HTTP_F_ACCEPT_ENCODING:
        case HTTP_F_AUTHORIZATION: case HTTP_F_CONNECTION: case HTTP_F_CONTENT_ENCODING:
        case HTTP_F_CONTENT_TYPE: case HTTP_F_EXPECT: case HTTP_F_ORIGIN:
        case HTTP_F_USER_AGENT: case HTTP_F_X_SCOPE_ORGID: case HTTP_F_N: break;
        }
    } else {
        req->first[field.id] = (int16_t)req->n_fields;
    }
    req->fields[req->n_fields++] = field;
    return HTTP_MORE;
}

/* Digits only. A number that does not fit is surely over the limit. */
static bool parse_length(uint64_t *out, struct slice text)
{
    uint64_t v = 0;

    if (text.len == 0) return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') return false;
        uint64_t digit = (uint64_t)(text.ptr[i] - '0');
        if (v > (UINT64_MAX - digit) / 10) v = UINT64_MAX;
        else if (v != UINT64_MAX) v = v * 10 + digit;
    }
    *out = v;
    return true;
}

static enum http_result check_framing(struct http_parser *p)
{
    struct http_request *req = p->req;
    const struct http_field *length = http_field(req, HTTP_F_CONTENT_LENGTH);
    const struct http_field *coding = http_field(req, HTTP_F_TRANSFER_ENCODING);

    if (length && coding) {
        return refuse(p, 400, "both Content-Length and Transfer-Encoding");
    }
    if (coding) {
        if (req->minor == 0 || !slice_is_nocase(coding->value, "chunked")) {
            return refuse(p, 400, "unknown Transfer-Encoding");
        }
        req->chunked = true;
    }
    if (length) {
        if (!parse_length(&req->content_length, length->value)) {
            return refuse(p, 400, "invalid Content-Length");
        }
        req->has_length = true;
    }
    return HTTP_MORE;
}

/* The head is complete. What is wrong from here on is wrong with a request whose end
 * is known: without a body the connection can be kept. */
static enum http_result check_head(struct http_parser *p)
{
    struct http_request *req = p->req;
    struct slice expect = http_value(req, HTTP_F_EXPECT);

    if (req->first[HTTP_F_HOST] < 0 && req->minor == 1) {
        return refuse(p, 400, "missing Host");
    }
    enum http_result result = check_framing(p);
    if (result == HTTP_BAD) return result;
    req->keep_alive = req->minor == 1 ? !http_has_token(req, HTTP_F_CONNECTION, "close")
                                      : http_has_token(req, HTTP_F_CONNECTION, "keep-alive");
    if (req->method == HTTP_METHODS) result = refuse(p, 501, "unknown method");
    if (result != HTTP_BAD && expect.len > 0 && !slice_is_nocase(expect, "100-continue")) {
        result = refuse(p, 417, "unknown expectation");
    }
    if (result == HTTP_BAD) {
        p->keep = req->keep_alive && !req->chunked && req->content_length == 0;
        p->used = p->pos;
        return result;
    }
    req->expect_continue = expect.len > 0 && req->minor == 1;
    p->head_len = p->pos;
    p->state = STATE_FRAMED;
    return HTTP_HEAD;
}

static enum http_result read_line_part(struct http_parser *p, const char *buf, size_t len)
{
    size_t looked = p->scan;
    struct slice line;

    /* One empty line before a request is forgiven (RFC 9112 2.2). */
    if (p->pos == 0 && len >= 2 && buf[0] == '\r' && buf[1] == '\n') p->pos = 2;
    switch (take_line(p, buf, len, &line)) {
    case LINE_MORE:
        if (line_is_noise(buf, looked, len)) return refuse(p, 400, "not HTTP");
        if (len - p->pos > HTTP_URI_MAX + 64) return refuse(p, 414, "request line too long");
        return HTTP_MORE;
    case LINE_BARE_LF: return refuse(p, 400, "line without CR LF");
    case LINE_FOUND: break;
    }
    if (memchr(line.ptr, '\r', line.len)) return refuse(p, 400, "malformed request line");
    if (line.len > HTTP_URI_MAX + 64) return refuse(p, 414, "request line too long");
    p->state = STATE_FIELDS;
    return parse_request_line(p, line);
}

static enum http_result read_fields(struct http_parser *p, const char *buf, size_t len)
{
    struct slice line;

    for (;;) {
        switch (take_line(p, buf, len, &line)) {
        case LINE_MORE:
            return len > HTTP_HEAD_MAX ? refuse(p, 431, "head too long") : HTTP_MORE;
        case LINE_BARE_LF: return refuse(p, 400, "line without CR LF");
        case LINE_FOUND: break;
        }
        if (p->pos > HTTP_HEAD_MAX) return refuse(p, 431, "head too long");
        if (line.len == 0) return check_head(p);
        enum http_result result = add_field(p, line);
        if (result == HTTP_BAD) return result;
    }
}

/* ---- Bodies ---------------------------------------------------------------------- */

static enum http_result finish(struct http_parser *p, const char *buf)
{
    p->req->body = slice_of(buf + p->head_len, p->body_len);
    p->used = p->pos;
    return HTTP_REQUEST;
}

static enum http_result begin_body(struct http_parser *p, const char *buf,
                                   const struct http_limits *limits)
{
    struct http_request *req = p->req;
    bool wants = req->method == HTTP_POST || req->method == HTTP_PUT ||
                 req->method == HTTP_PATCH;

    if (!req->chunked && !req->has_length) {
        if (!wants || limits->length_optional) return finish(p, buf);
        enum http_result result = refuse(p, 411, "Content-Length or chunked needed");
        p->keep = req->keep_alive; /* framed without doubt: no body */
        p->used = p->pos;
        return result;
    }
    if (req->has_length && req->content_length > limits->body_len_max) {
        return refuse(p, 413, "body larger than the limit");
    }
    p->state = req->chunked ? STATE_SIZE : STATE_BODY;
    return HTTP_MORE;
}

/* "1a2b;name=value": at most 16 hex digits. */
static bool parse_chunk_size(uint64_t *out, struct slice line)
{
    uint64_t v = 0;
    size_t i = 0;

    for (; i < line.len && i < 17; i++) {
        char c = line.ptr[i];
        unsigned digit;
        if (c >= '0' && c <= '9') digit = (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f') digit = (unsigned)(c - 'a' + 10);
        else if (c >= 'A' && c <= 'F') digit = (unsigned)(c - 'A' + 10);
        else break;
        v = v << 4 | digit;
    }
    if (i == 0 || i > 16) return false;
    if (i < line.len && (line.ptr[i] != ';' || !is_field_value(slice_skip(line, i)))) {
        return false;
    }
    *out = v;
    return true;
}

static enum http_result read_chunk_size(struct http_parser *p, const char *buf, size_t len,
                                        const struct http_limits *limits)
{
    struct slice line;

    switch (take_line(p, buf, len, &line)) {
    case LINE_MORE:
        if (len - p->pos > HTTP_CHUNK_LINE_MAX) return refuse(p, 400, "chunk line too long");
        return HTTP_MORE;
    case LINE_BARE_LF: return refuse(p, 400, "line without CR LF in the body");
    case LINE_FOUND: break;
    }
    if (line.len > HTTP_CHUNK_LINE_MAX) return refuse(p, 400, "chunk line too long");
    if (!parse_chunk_size(&p->chunk_left, line)) return refuse(p, 400, "invalid chunk size");
    if (p->chunk_left > limits->body_len_max ||
        p->body_len > limits->body_len_max - p->chunk_left) {
        return refuse(p, 413, "body larger than the limit");
    }
    p->state = p->chunk_left ? STATE_DATA : STATE_TRAILER;
    return HTTP_REQUEST;
}

/* Moves the chunk's bytes down to the end of the body so far. */
static enum http_result read_chunk_data(struct http_parser *p, char *buf, size_t len)
{
    size_t have = len - p->pos;
    size_t n = p->chunk_left < have ? (size_t)p->chunk_left : have;

    memmove(buf + p->head_len + p->body_len, buf + p->pos, n);
    p->body_len += n;
    p->pos += n;
    p->chunk_left -= n;
    if (p->chunk_left > 0) return HTTP_MORE;
    if (len > p->pos && buf[p->pos] != '\r') return refuse(p, 400, "data longer than its chunk");
    if (len - p->pos < 2) return HTTP_MORE;
    if (buf[p->pos + 1] != '\n') return refuse(p, 400, "data longer than its chunk");
    p->pos += 2;
    p->scan = p->pos;
    p->state = STATE_SIZE;
    return HTTP_REQUEST;
}

/* Fields behind the last chunk: checked and dropped. */
static enum http_result read_trailer(struct http_parser *p, const char *buf, size_t len)
{
    struct http_field dropped;
    struct slice line;

    switch (take_line(p, buf, len, &line)) {
    case LINE_MORE:
        if (p->trailer_len + (len - p->pos) > HTTP_TRAILER_MAX) {
            return refuse(p, 431, "trailer too long");
        }
        return HTTP_MORE;
    case LINE_BARE_LF: return refuse(p, 400, "line without CR LF in the trailer");
    case LINE_FOUND: break;
    }
    if (line.len == 0) return finish(p, buf);
    p->trailer_len += line.len + 2;
    if (p->trailer_len > HTTP_TRAILER_MAX) return refuse(p, 431, "trailer too long");
    enum http_result result = parse_field(p, line, &dropped);
    return result == HTTP_BAD ? result : HTTP_HEAD;
}

/* Everything that has arrived of a chunked body. The gap that joining leaves is
 * closed before returning, so a body of tiny chunks takes no more room than it is. */
static enum http_result read_chunked(struct http_parser *p, char *buf, size_t *len,
                                     const struct http_limits *limits)
{
    enum http_result result = HTTP_MORE;

    for (;;) {
        int state = p->state;
        if (state == STATE_SIZE) result = read_chunk_size(p, buf, *len, limits);
        else if (state == STATE_DATA) result = read_chunk_data(p, buf, *len);
        else result = read_trailer(p, buf, *len);
        if (result == HTTP_MORE || result == HTTP_BAD) break;
        if (state == STATE_TRAILER && result == HTTP_REQUEST) break;
    }
    size_t end = p->head_len + p->body_len, gap = p->pos - end;
    if (gap > 0 && result != HTTP_BAD) {
        memmove(buf + end, buf + p->pos, *len - p->pos);
        *len -= gap;
        p->pos = end;
        p->scan = p->scan > gap ? p->scan - gap : 0;
        p->used = result == HTTP_REQUEST ? end : 0;
    }
    return result;
}

static enum http_result read_body(struct http_parser *p, const char *buf, size_t len)
{
    uint64_t end = p->head_len + p->req->content_length;

    if (len < end) return HTTP_MORE;
    p->body_len = (size_t)p->req->content_length;
    p->pos = (size_t)end;
    return finish(p, buf);
}

/* ---- The request ------------------------------------------------------------------- */

static void shift(struct slice *s, ptrdiff_t by)
{
    s->ptr += by;
}

/* The buffer moved: so do the slices. */
static void rebase(struct http_request *req, const char *buf)
{
    ptrdiff_t by = buf - req->base;

    if (by == 0) return;
    req->base = buf;
    shift(&req->path, by);
    shift(&req->query, by);
    for (size_t i = 0; i < req->n_fields; i++) {
        shift(&req->fields[i].name, by);
        shift(&req->fields[i].value, by);
    }
}

static void clear_request(struct http_request *req, const char *buf)
{
    req->method = HTTP_METHODS;
    req->minor = 1;
    req->keep_alive = req->expect_continue = req->chunked = req->has_length = false;
    req->content_length = 0;
    req->path = req->query = req->body = slice_of(buf, 0);
    req->n_fields = 0;
    req->base = buf;
    for (int id = 0; id < HTTP_F_N; id++) req->first[id] = -1;
}

enum http_result http_parse(struct http_parser *p, char *buf, size_t *len,
                            const struct http_limits *limits)
{
    enum http_result result = HTTP_MORE;

    if (p->scan == 0 && p->pos == 0) clear_request(p->req, buf);
    rebase(p->req, buf);
    if (*len == 0) return HTTP_MORE;
    if (p->state == STATE_LINE) {
        result = read_line_part(p, buf, *len);
        if (p->state == STATE_LINE || result == HTTP_BAD) return result;
    }
    if (p->state == STATE_FIELDS) return read_fields(p, buf, *len);
    if (p->state == STATE_FRAMED) {
        result = begin_body(p, buf, limits);
        if (result != HTTP_MORE) return result;
    }
    if (p->state == STATE_BODY) return read_body(p, buf, *len);
    return read_chunked(p, buf, len, limits);
}

/* ---- Looking at fields --------------------------------------------------------------- */

const struct http_field *http_field(const struct http_request *req, enum http_field_id id)
{
    return req->first[id] < 0 ? NULL : &req->fields[req->first[id]];
}

struct slice http_value(const struct http_request *req, enum http_field_id id)
{
    const struct http_field *field = http_field(req, id);
    return field ? field->value : slice_of("", 0);
}

const struct http_field *http_field_named(const struct http_request *req, const char *name)
{
    for (size_t i = 0; i < req->n_fields; i++) {
        if (slice_is_nocase(req->fields[i].name, name)) return &req->fields[i];
    }
    return NULL;
}

static bool list_has(struct slice list, const char *token)
{
    while (list.len > 0) {
        const char *comma = memchr(list.ptr, ',', list.len);
        size_t len = comma ? (size_t)(comma - list.ptr) : list.len;
        if (slice_is_nocase(trim(slice_of(list.ptr, len)), token)) return true;
        list = slice_skip(list, comma ? len + 1 : len);
    }
    return false;
}

bool http_has_token(const struct http_request *req, enum http_field_id id, const char *token)
{
    for (size_t i = 0; i < req->n_fields; i++) {
        if (req->fields[i].id == id && list_has(req->fields[i].value, token)) return true;
    }
    return false;
}

bool http_content_is(const struct http_request *req, const char *type)
{
    struct slice value = http_value(req, HTTP_F_CONTENT_TYPE);
    const char *semi = value.len ? memchr(value.ptr, ';', value.len) : NULL;

    if (semi) value.len = (size_t)(semi - value.ptr);
    return slice_is_nocase(trim(value), type);
}
