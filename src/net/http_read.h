/* HTTP/1.0 and 1.1 requests, read strictly from a growing buffer.
 *
 * Pure and incremental: http_parse() is given all bytes since the start of the
 * request and goes on where it stopped, whatever the pieces. It answers twice for
 * a good request: HTTP_HEAD when the head is complete (the caller looks at the
 * route, may lower body_len_max, sends "100 Continue"), then HTTP_REQUEST when the
 * body has arrived whole. A chunked body is joined in place, so the buffer is not
 * const and its length may shrink; body bytes end up contiguous.
 *
 * Refusals are rows of reliability.md 5: `status` and `reason` say what to answer
 * and `keep` whether the connection survives (only when the request was framed
 * without doubt). There is never a second request taken from a refused one's bytes.
 *
 * The content coding of the body is left alone: see http_coding.h.
 */
#ifndef TSINK_NET_HTTP_READ_H
#define TSINK_NET_HTTP_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum {
    HTTP_FIELDS_MAX = 128,          /* reliability.md 5 */
    HTTP_HEAD_MAX = 64 << 10,
    HTTP_URI_MAX = 16 << 10,
    HTTP_CHUNK_LINE_MAX = 256,      /* size and extensions; a guess */
    HTTP_TRAILER_MAX = 8 << 10,     /* a guess */
    HTTP_BODY_MAX = 32 << 20,       /* default, compressed: reliability.md 5 */
};

enum http_method {
    HTTP_GET,
    HTTP_HEAD_METHOD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_PATCH,
    HTTP_METHODS, /* how many */
};

/* Fields the server looks at. Others are found by name. */
enum http_field_id {
    HTTP_F_OTHER,
    HTTP_F_ACCEPT,
    HTTP_F_ACCEPT_ENCODING,
    HTTP_F_AUTHORIZATION,
    HTTP_F_CONNECTION,
    HTTP_F_CONTENT_ENCODING,
    HTTP_F_CONTENT_LENGTH,
    HTTP_F_CONTENT_TYPE,
    HTTP_F_EXPECT,
    HTTP_F_HOST,
    HTTP_F_ORIGIN,
    HTTP_F_TRANSFER_ENCODING,
    HTTP_F_USER_AGENT,
    HTTP_F_X_SCOPE_ORGID,
    HTTP_F_N,
};

struct http_field {
    struct slice name, value; /* as sent; value without blanks around it */
    enum http_field_id id;
};

/* Slices point into the buffer given to http_parse(). */
struct http_request {
    enum http_method method;
    uint8_t minor;             /* HTTP/1.minor: 0 or 1 */
    bool keep_alive;           /* what the client asked, by the rules of its version */
    bool expect_continue;      /* and has not sent the body yet, as far as we know */
    bool chunked, has_length;  /* how the body is framed; neither: no body */
    uint64_t content_length;   /* when has_length */
    struct slice path, query;  /* raw; an absolute target lost its scheme and authority */
    struct slice body;         /* after HTTP_REQUEST */
    int16_t first[HTTP_F_N];   /* index of the first field with this id, or -1 */
    size_t n_fields;
    struct http_field fields[HTTP_FIELDS_MAX];
    const char *base;          /* private: where the slices point into */
};

struct http_limits {
    size_t body_len_max;       /* as sent */
    bool length_optional;      /* POST, PUT and PATCH may come without a length: no body */
};

enum http_result {
    HTTP_MORE,    /* not all here yet */
    HTTP_HEAD,    /* req's head is filled; call again for the body */
    HTTP_REQUEST, /* req is complete and took `used` bytes */
    HTTP_BAD,     /* answer status; if keep, skip `used` bytes and go on, else close */
};

struct http_parser {
    struct http_request *req; /* filled by http_parse(); the caller's */
    size_t used;
    int status;               /* after HTTP_BAD: 400 411 413 414 417 431 501 505 */
    const char *reason;       /* one printable sentence */
    bool keep;

    /* Private: where it stopped. */
    int state;
    size_t pos, scan, head_len;
    uint64_t chunk_left;
    size_t body_len, trailer_len;
};

/* Starts a request; req is where it will be put. */
void http_parser_start(struct http_parser *parser, struct http_request *req);

/* Looks at buf[0..*len): all bytes since the start of the request, as left by the
 * call before. May move bytes down and shorten *len (chunked bodies). */
enum http_result http_parse(struct http_parser *parser, char *buf, size_t *len,
                            const struct http_limits *limits);

/* How large the buffer must become for the body in hand; 0 when unknown. */
uint64_t http_wants(const struct http_parser *parser);

/* Whether nothing of a request has been read yet (idle), its head is under way, or
 * its body: for timeouts. */
bool http_in_head(const struct http_parser *parser);
bool http_in_body(const struct http_parser *parser);

/* The first field with this id, or NULL. */
const struct http_field *http_field(const struct http_request *req, enum http_field_id id);

/* Its value, or an empty slice. */
struct slice http_value(const struct http_request *req, enum http_field_id id);

/* The first field of this name (case ignored), or NULL. */
const struct http_field *http_field_named(const struct http_request *req, const char *name);

/* True when the comma-separated list of a field with this id has the token. */
bool http_has_token(const struct http_request *req, enum http_field_id id, const char *token);

const char *http_method_name(enum http_method method);

/* The media type of Content-Type without parameters, and whether it is `type`. */
bool http_content_is(const struct http_request *req, const char *type);

#endif
