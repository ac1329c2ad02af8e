/* Between regex.c and regex_literals.c: what a pattern is without an automaton. */
#ifndef TSINK_BASE_REGEX_PRIV_H
#define TSINK_BASE_REGEX_PRIV_H

#include "base/arena.h"
#include "base/regex.h"

/* What regex_literals() found out about a pattern. */
struct regex_reading {
    struct regex_shape shape;
    size_t n_captures; /* groups that capture; right only when `exact` */
    bool exact;        /* the shape is the whole language: RE2 is needed for groups only */
};

/* Reads a valid UTF-8 pattern. Texts and arrays are in the arena. Never fails but for
 * memory: what it cannot express it leaves to RE2 (exact false). */
CHECKED status regex_literals(struct regex_reading *out, struct arena *arena,
                              struct slice pattern);

#endif
