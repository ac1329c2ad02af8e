/* Paths, queries and forms. Percent-decoding is strict (%XX with two hex digits);
 * '+' is a blank in queries and forms, itself in paths. Parameters keep their order
 * and may repeat: add those of the form before those of the URL, as Go's servers
 * do, and the first value of a name is the one that counts.
 *
 * Pure; a parameter set has one owner. Decoded text lives in its arena.
 */
#ifndef TSINK_NET_URI_H
#define TSINK_NET_URI_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/slice.h"
#include "base/status.h"
#include "base/vec.h"

enum { URI_PARAMS_MAX = 20000 }; /* in one set: a guess; a form of match[] is the largest */

struct uri_param {
    struct slice name, value; /* decoded */
};

struct uri_params {
    VEC(struct uri_param) items;
    struct arena *arena; /* holds decoded text; not owned */
};

/* "path?query#fragment" into raw path and raw query (without '?'); the fragment is
 * dropped. */
void uri_split(struct slice target, struct slice *path, struct slice *query);

void uri_params_init(struct uri_params *params, struct arena *arena);
void uri_params_release(struct uri_params *params);

/* Adds the pairs of a query string or of an application/x-www-form-urlencoded body.
 * Text without escapes is not copied: raw must live as long as the set. ST_INVALID
 * for a bad escape, ST_LIMIT for too many pairs, ST_NO_MEMORY. */
CHECKED status uri_params_add(struct uri_params *params, struct slice raw, struct err *err);

/* The first value of name, or false. */
bool uri_param(const struct uri_params *params, const char *name, struct slice *value);

/* The next value of name at or after *idx, which moves behind it; false at the end. */
bool uri_param_next(const struct uri_params *params, const char *name, size_t *idx,
                    struct slice *value);

/* Decodes src into dst, which has room for src.len bytes; false on a bad escape.
 * plus_is_blank for queries and forms. dst may be src.ptr. */
bool uri_decode(char *dst, size_t *dst_len, struct slice src, bool plus_is_blank);

#endif
