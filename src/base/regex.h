/* Regular expressions: the door to RE2 (cxx_shim.cc), with Prometheus' rules: RE2
 * syntax, anchored at both ends, dot matches newline. `(?<n>` is accepted as Go
 * does, `\C` refused. Before RE2 sees a pattern, regex_literals.c tries to turn it
 * into what needs no automaton. Compiled expressions are immutable; any thread.
 */
#ifndef TSINK_BASE_REGEX_H
#define TSINK_BASE_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"
#include "base/status.h"

enum {
    REGEX_SOURCE_MAX = 8192,    /* bytes (reliability.md 5) */
    REGEX_LITERALS_MAX = 10000, /* alternation literals */
    REGEX_GROUPS_MAX = 32,
};

struct regex;

/* ST_INVALID with RE2's reason, ST_LIMIT when source or program are too large. */
CHECKED status regex_new(struct regex **out, struct slice pattern, struct err *err);
void regex_free(struct regex *re);

/* Whether all of text matches. */
bool regex_match(const struct regex *re, struct slice text);

/* What a pattern needs besides the automaton; both may hold.
 * literals: if n_literals > 0 the language is exactly that set (sorted, unique).
 * prefix: every match begins with it (may be empty). */
struct regex_shape {
    const struct slice *literals;
    size_t n_literals;
    struct slice prefix;
    bool match_all;      /* .* : everything, the empty string too */
    bool match_nonempty; /* .+ : everything but the empty string */
};
const struct regex_shape *regex_shape(const struct regex *re);

/* For label_replace: anchored match with groups. groups[0] is the whole match; a
 * group that took no part has ptr NULL. Returns false on no match. */
bool regex_groups(const struct regex *re, struct slice text, struct slice *groups,
                  size_t n_groups);
size_t regex_n_groups(const struct regex *re); /* without group 0 */
int regex_group_index(const struct regex *re, struct slice name); /* -1: no such name */

#endif
