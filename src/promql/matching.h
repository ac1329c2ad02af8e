/* Matching: which label sets belong together. A label_filter looks at a part of a set
 * (on, by: only these names; ignoring, without, a histogram's series: all but these), and
 * a label_groups numbers the distinct parts in the order of their first mention.
 *
 * Hashes are compared first, labels always: two sets meet only when they are equal.
 * Everything lives in the arena. One owner at a time.
 */
#ifndef TSINK_PROMQL_MATCHING_H
#define TSINK_PROMQL_MATCHING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/strbuf.h"
#include "model/label.h"

struct label_filter {
    const struct slice *names; /* sorted, unique */
    size_t n;
    bool keep;                 /* keep these; else drop these */
};

/* A filter over a copy of names, and of `extra` unless it is empty. ST_NO_MEMORY. */
CHECKED status label_filter_init(struct label_filter *f, struct arena *arena,
                                 const struct slice *names, size_t n, bool keep,
                                 struct slice extra);

/* The part of the set that the filter sees. ptr NULL and n > 0 on refusal. */
struct labels label_filter_apply(struct arena *arena, const struct label_filter *f,
                                 struct labels set);

/* The set with one label set to value, or removed when value is empty. ptr NULL and
 * n > 0 on refusal. */
struct labels labels_with(struct arena *arena, struct labels set, struct slice name,
                          struct slice value);

/* Without __name__, __type__ and __unit__: what is left when the meaning of a value has
 * changed. Returns the set itself when it has none of them. */
struct labels labels_without_meta(struct arena *arena, struct labels set);

/* Prometheus' text of a set in messages: {__name__="m", a="1"}, in order. */
void labels_text(struct strbuf *out, struct labels set);

struct label_shape; /* matching.c */

struct label_groups {
    struct arena *arena;
    struct label_filter filter;
    struct label_shape *shape; /* of the last set; made with the first group */
    struct labels *rep;  /* the first set of each group, whole */
    uint64_t *hash;
    size_t n, cap;
    uint32_t *slots;     /* index + 1 */
    size_t n_slots;
};

/* The filter is copied; its names are borrowed. A filter that drops nothing (keep false,
 * n 0) compares whole sets. */
void label_groups_init(struct label_groups *g, struct arena *arena, struct label_filter filter);

/* The set's group, made when it is new (*is_new may be NULL); -1 when refused. The set
 * must stay where it is, whether its group is new or not. */
CHECKED int64_t label_groups_add(struct label_groups *g, struct labels set, bool *is_new);

/* The set's group, or -1. */
int64_t label_groups_find(const struct label_groups *g, struct labels set);

#endif
