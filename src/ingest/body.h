/* Bodies as they were sent -> plain bytes and back, for the codings that formats bring along:
 * snappy (block format) of remote write and zstd. gzip and deflate are HTTP's and are
 * taken off by net. Lengths are checked before anything is allocated. Pure, any thread.
 */
#ifndef TSINK_INGEST_BODY_H
#define TSINK_INGEST_BODY_H

#include "base/slice.h"
#include "base/status.h"
#include "base/strbuf.h"

enum body_coding { BODY_PLAIN, BODY_SNAPPY, BODY_ZSTD, BODY_UNKNOWN };

/* Of a Content-Encoding value, case ignored. Empty and "identity": BODY_PLAIN. */
enum body_coding body_coding_of(struct slice content_encoding);

/* Appends the decoded src to dst. ST_INVALID: damaged; ST_TOO_LARGE: more than len_max
 * bytes; ST_NO_MEMORY; ST_UNSUPPORTED. */
CHECKED status body_decode(struct strbuf *dst, enum body_coding coding, struct slice src,
                           size_t len_max, struct err *err);

/* Appends src as a snappy block; dst->failed tells about refused memory. */
void body_put_snappy(struct strbuf *dst, struct slice src);

#endif
