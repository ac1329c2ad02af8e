/* Streaming JSON writer into a strbuf. Commas and quotes are the writer's business;
 * a failed buffer makes all of it do nothing and is looked at once, at the end.
 * One owner at a time.
 *
 *     struct json_writer w;
 *     json_writer_init(&w, &buf);
 *     json_open_object(&w);
 *     json_put_key(&w, SLICE_LIT("status"));
 *     json_put_text(&w, SLICE_LIT("success"));
 *     json_close_object(&w);                      {"status":"success"}
 *
 * Names are apart from jansson's (json_object, json_string ...) on purpose.
 */
#ifndef TSINK_BASE_JSON_WRITE_H
#define TSINK_BASE_JSON_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/strbuf.h"

enum { JSON_WRITE_DEPTH_MAX = 64 };

struct json_writer {
    struct strbuf *out; /* borrowed */
    uint64_t objects;   /* bit d: level d is an object (else an array) */
    unsigned depth;
    bool comma;         /* before the next key or element */
    bool keyed;         /* a key was written and waits for its value */
};

void json_writer_init(struct json_writer *w, struct strbuf *out);

/* Nesting deeper than JSON_WRITE_DEPTH_MAX, a value without a key in an object or a
 * close that does not fit is broken code: asserted. */
void json_open_object(struct json_writer *w);
void json_close_object(struct json_writer *w);
void json_open_array(struct json_writer *w);
void json_close_array(struct json_writer *w);

void json_put_key(struct json_writer *w, struct slice key);
/* Control bytes, quotes and backslashes are escaped, as are < > & and U+2028/9 (as Go
 * does, so that answers are safe inside HTML); bytes that are not UTF-8 become U+FFFD. */
void json_put_text(struct json_writer *w, struct slice text);
void json_put_i64(struct json_writer *w, int64_t v);
void json_put_u64(struct json_writer *w, uint64_t v);
/* Shortest digits (numfmt_prom); null when v is not finite. */
void json_put_f64(struct json_writer *w, double v);
void json_put_bool(struct json_writer *w, bool v);
void json_put_null(struct json_writer *w);
/* One JSON value that is written already. */
void json_put_raw(struct json_writer *w, struct slice value);

/* key and value in one call, key NUL-terminated. */
void json_field_text(struct json_writer *w, const char *key, struct slice text);
void json_field_i64(struct json_writer *w, const char *key, int64_t v);
void json_field_u64(struct json_writer *w, const char *key, uint64_t v);
void json_field_f64(struct json_writer *w, const char *key, double v);
void json_field_bool(struct json_writer *w, const char *key, bool v);

/* A quoted JSON string, for those who build JSON without a writer. */
void json_quote(struct strbuf *out, struct slice text);

#endif
