/* Annotations: the warnings and infos that travel beside a result, in Prometheus' words
 * ("PromQL warning: ... (1:7)"). The same text is kept once, with the first position;
 * what was found about the monotonicity of one metric's buckets is merged.
 *
 * Texts live in the arena. One owner at a time. A refused allocation only loses an
 * annotation: they are advice, and the query still has an answer.
 */
#ifndef TSINK_PROMQL_ANNOTATIONS_H
#define TSINK_PROMQL_ANNOTATIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/slice.h"

enum { ANNOTATIONS_SHOWN_MAX = 10 }; /* of each kind, as Prometheus shows them */

struct annotation;

struct annotations {
    struct arena *arena;
    struct slice query;          /* positions are told as line:column of this text */
    int64_t ticks_per_second;    /* of the times given below */
    struct annotation **list;    /* in the order of their first mention */
    size_t n, cap;
    uint32_t *slots;             /* hash table of indices + 1 */
    size_t n_slots;
};

/* A place in the query text: bytes [start, end). */
struct text_pos {
    uint32_t start, end;
};

void annotations_init(struct annotations *an, struct arena *arena, struct slice query,
                      int64_t ticks_per_second);

/* Adds "PromQL warning: <text> (line:col)" unless it is there. */
void annotations_warn(struct annotations *an, struct text_pos pos, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
void annotations_info(struct annotations *an, struct text_pos pos, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* What was wrong with one classic histogram at one time. */
struct monotonicity {
    double bucket_min, bucket_max, diff_max;
};

/* Classic buckets of a metric had to be repaired; mentions are merged into one info. */
void annotations_monotonicity(struct annotations *an, struct text_pos pos, struct slice metric,
                              int64_t ts, const struct monotonicity *what);

/* Adds what another query, or another part of this one, was told, as if it had been told here
 * now. Not for what annotations_monotonicity() was told. */
void annotations_merge(struct annotations *an, const struct annotations *from);

/* The texts of one kind, in the arena; at most ANNOTATIONS_SHOWN_MAX and one that counts
 * the rest. */
void annotations_texts(struct annotations *an, bool warnings, const struct slice **out,
                       size_t *n_out);

/* Go's %g with the shortest digits: 0.5, 1e+06, NaN, +Inf. dst has room for 40 bytes and
 * is NUL-terminated; returns dst. */
const char *go_float(char *dst, double v);

/* Go's %q of the text (quote.h), NUL-terminated in the arena; "" on refusal. */
const char *go_quote(struct arena *arena, struct slice text);

#endif
