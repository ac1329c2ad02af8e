/* Content codings of HTTP: the only door to zlib. gzip and deflate, both ways, with
 * a limit on what comes out: an input never makes more memory than len_max, and
 * one that swells suspiciously is refused early. Pure, any thread; big bodies
 * belong off the owner.
 */
#ifndef TSINK_NET_HTTP_CODING_H
#define TSINK_NET_HTTP_CODING_H

#include "base/slice.h"
#include "base/status.h"
#include "base/strbuf.h"
#include "net/iobuf.h"

enum {
    HTTP_DECODED_MAX = 64 << 20,   /* default limit of a decoded body: reliability.md 5 */
    HTTP_RATIO_FREE = 4 << 20,     /* below this much output any ratio will do; a guess */
    HTTP_RATIO_MAX = 256,          /* above it, out / in; exposition text reaches 40 */
    HTTP_COMPRESS_MIN = 1 << 10,   /* replies below are sent as they are; a guess */
};

enum http_coding {
    HTTP_CODING_IDENTITY,
    HTTP_CODING_GZIP,
    HTTP_CODING_DEFLATE,
    HTTP_CODING_OTHER, /* snappy, zstd, unknown: not for this door */
};

/* Of a Content-Encoding value: empty and "identity" are identity, x-gzip is gzip. */
enum http_coding http_coding_of(struct slice content_encoding);

/* What to answer with, from Accept-Encoding and its q values: gzip before deflate
 * at the same weight, identity when neither is wanted. */
enum http_coding http_coding_accepted(struct slice accept_encoding);

const char *http_coding_name(enum http_coding coding);

/* Appends the decoded src to dst. deflate is taken with and without its zlib
 * wrapper, since both are sent. ST_INVALID: cut, damaged, or bytes after the end;
 * ST_TOO_LARGE: more than len_max or a bomb; ST_NO_MEMORY. */
CHECKED status http_decode(struct strbuf *dst, enum http_coding coding, struct slice src,
                           size_t len_max, struct err *err);

/* Appends the encoded chain src to dst. False (dst failed) without memory. */
CHECKED bool http_encode(struct iobuf *dst, enum http_coding coding, const struct iobuf *src);

#endif
