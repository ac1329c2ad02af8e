/* Label matchers: = != =~ !~. A matcher that accepts the empty string also accepts
 * series without the label. Compiled once, immutable afterwards; any thread. */
#ifndef TSINK_MODEL_MATCHER_H
#define TSINK_MODEL_MATCHER_H

#include <stdbool.h>

#include "base/regex.h"
#include "base/slice.h"
#include "base/status.h"
#include "model/label.h"

enum match_op { MATCH_EQ, MATCH_NE, MATCH_RE, MATCH_NRE };

struct matcher {
    enum match_op op;
    struct slice name, value; /* borrowed */
    struct regex *re;         /* owned; MATCH_RE and MATCH_NRE */
};

struct matchers {
    const struct matcher *ptr;
    size_t n;
};

/* Borrows name and value, which must outlive the matcher; compiles regexes. */
CHECKED status matcher_init(struct matcher *m, enum match_op op, struct slice name,
                            struct slice value, struct err *err);
void matcher_release(struct matcher *m);

/* Whether a label with this value (empty: no such label) passes. */
bool matcher_accepts(const struct matcher *m, struct slice value);

/* Whether all of them accept the set. */
bool matchers_accept(struct matchers ms, struct labels set);

const char *match_op_text(enum match_op op); /* "=" "!=" "=~" "!~" */

#endif
