/* Reading JSON: the door to jansson. For configuration, manifests and admin bodies,
 * not for hot paths. A parsed document is immutable; any thread may read it, one
 * frees it.
 */
#ifndef TSINK_BASE_JSON_READ_H
#define TSINK_BASE_JSON_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "base/status.h"

enum { JSON_READ_DEPTH_MAX = 64 };

/* A value inside a document; valid until json_doc_free() of its root. */
struct json;

enum json_kind {
    JSON_KIND_NULL,
    JSON_KIND_BOOL,
    JSON_KIND_INT,
    JSON_KIND_REAL,
    JSON_KIND_TEXT,
    JSON_KIND_ARRAY,
    JSON_KIND_OBJECT,
};

/* Parses all of text (one value, any kind). ST_TOO_LARGE above len_max bytes,
 * ST_INVALID with line, column and reason for anything that is not JSON, nests deeper
 * than JSON_READ_DEPTH_MAX, or names a member twice. Input is never echoed. Returns
 * owned. */
CHECKED status json_doc_parse(struct json **out, struct slice text, size_t len_max,
                              struct err *err);
void json_doc_free(struct json *root); /* accepts NULL */

enum json_kind json_kind_of(const struct json *v); /* NULL counts as null */

/* Members of an object by name, NULL when v is no object or has no such member; and by
 * position in order of appearance (i < json_count). */
const struct json *json_member(const struct json *v, const char *name);
bool json_member_at(const struct json **value, struct slice *name, const struct json *v,
                    size_t i);

/* Elements of an array, members of an object, else 0. */
size_t json_count(const struct json *v);
const struct json *json_element(const struct json *v, size_t i); /* NULL beyond the end */

/* Each is false, and leaves out alone, when v is NULL or of another kind. json_get_f64
 * takes integers too. Texts point into the document and may hold no NUL. */
bool json_get_text(struct slice *out, const struct json *v);
bool json_get_i64(int64_t *out, const struct json *v);
bool json_get_f64(double *out, const struct json *v);
bool json_get_bool(bool *out, const struct json *v);

#endif
