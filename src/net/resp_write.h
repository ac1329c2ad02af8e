/* RESP replies, version 2 and 3, into an iobuf. The writer is the one place that
 * knows how the two versions differ; callers say what they mean (a map, a null, a
 * double) and resp.md 1.2 says what becomes of it.
 *
 * A RESP2 map is a flat array of 2n elements; where the specification wants an
 * array of pairs, write arrays. Doubles are simple strings in RESP2 (resp.md 1.3).
 *
 * Nothing fails here: a refused block marks the iobuf. Pure, any thread.
 */
#ifndef TSINK_NET_RESP_WRITE_H
#define TSINK_NET_RESP_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"
#include "net/iobuf.h"

enum { RESP_LINE_MAX = 200 }; /* bytes of an error line: reliability.md 5 (a) */

struct resp_writer {
    struct iobuf *out;
    int version; /* 2 or 3 */
};

void resp_array(struct resp_writer *w, size_t n);
void resp_map(struct resp_writer *w, size_t n_pairs);
void resp_set(struct resp_writer *w, size_t n);
void resp_push(struct resp_writer *w, size_t n); /* RESP2: an array */
void resp_bulk(struct resp_writer *w, struct slice bytes);
void resp_bulk_str(struct resp_writer *w, const char *text);
void resp_verbatim(struct resp_writer *w, const char format[4], struct slice text); /* "txt" */
void resp_simple(struct resp_writer *w, const char *text); /* no control bytes in text */
void resp_int(struct resp_writer *w, int64_t v);
void resp_u64(struct resp_writer *w, uint64_t v); /* above INT64_MAX: a bulk string */
void resp_double(struct resp_writer *w, double v);
void resp_bool(struct resp_writer *w, bool v); /* RESP2: 1 or 0 */
void resp_null(struct resp_writer *w);
void resp_null_array(struct resp_writer *w); /* RESP2: *-1 */

/* An error line: text begins with its code word. Control and non-ASCII bytes become
 * '?', and the line is cut at RESP_LINE_MAX bytes. */
void resp_error(struct resp_writer *w, struct slice text);
void resp_errorf(struct resp_writer *w, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
