/* HTTP replies into an iobuf.
 *
 * What a reply must know of its request is copied into a small value, struct
 * http_answer, so that a worker can encode a reply without seeing the connection:
 * version, keep-alive, HEAD, accepted coding, CORS, the date.
 *
 *     http_reply(out, &answer, &(struct http_reply){.status = 200, .type = JSON}, &body);
 *
 * or, when the length is not known, http_stream_begin(), http_stream_part() and
 * http_stream_end(): chunked for 1.1, until close for 1.0.
 *
 * Vary: Accept-Encoding and Origin are always sent (ecosystem.md 2.2). Pure, any
 * thread.
 */
#ifndef TSINK_NET_HTTP_WRITE_H
#define TSINK_NET_HTTP_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/regex.h"
#include "base/slice.h"
#include "net/http_coding.h"
#include "net/http_read.h"
#include "net/iobuf.h"

enum { HTTP_DATE_LEN = 29, HTTP_ORIGIN_MAX = 256 };

/* "Sun, 06 Nov 1994 08:49:37 GMT", made anew when the second changes. Zeroed is
 * empty; one owner at a time. */
struct http_date {
    int64_t second;
    char text[HTTP_DATE_LEN + 1];
};

/* Brings the date up to wall_s (seconds since 1970) and returns its text. */
const char *http_date(struct http_date *date, int64_t wall_s);

struct http_answer {
    uint8_t minor;
    bool keep_alive;
    bool head_only;                  /* HEAD: same head, no body */
    bool has_origin;                 /* the request had an Origin that is allowed */
    enum http_coding coding;         /* what the client takes */
    char date[HTTP_DATE_LEN + 1];
    char origin[HTTP_ORIGIN_MAX];    /* for Allow-Origin: "*" or the echo; NUL-terminated */
};

/* cors: the origins that may read answers; NULL: none. One that matches everything is
 * answered with "*", others with an echo of the origin. */
void http_answer_init(struct http_answer *answer, const struct http_request *req,
                      const char *date, const struct regex *cors);

struct http_extra {
    const char *name, *value; /* without control bytes: asserted */
};

struct http_reply {
    int status;
    const char *type;               /* Content-Type; NULL: none */
    const struct http_extra *extra; /* further fields */
    size_t n_extra;
    bool plain;                     /* never compress */
};

/* A whole reply. Takes body (left empty); NULL is an empty body. Compresses when
 * the client takes it and the body is worth it. 204 and 304 have no body. */
void http_reply(struct iobuf *out, const struct http_answer *answer,
                const struct http_reply *reply, struct iobuf *body);

/* The same with a short body. */
void http_reply_text(struct iobuf *out, const struct http_answer *answer,
                     const struct http_reply *reply, struct slice body);

/* A body in pieces, never compressed. After http_stream_begin() a 1.0 client is
 * told to read until close: the caller closes after the reply. */
void http_stream_begin(struct iobuf *out, const struct http_answer *answer,
                       const struct http_reply *reply);
void http_stream_part(struct iobuf *out, const struct http_answer *answer, struct iobuf *part);
void http_stream_end(struct iobuf *out, const struct http_answer *answer);

/* "Not Found"; never NULL. */
const char *http_reason(int status);

#endif
