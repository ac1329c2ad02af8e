/* FILTER expressions of TS.MRANGE and friends -> matchers (resp.md 2.14):
 *
 *     l=v   l!=v   l=   l!=   l=(v1,v2)   l!=(v1,v2)   and ours: l=~re   l!~re
 *
 * At least one l=v or l=(...) is required. Pure but for memory; any thread.
 */
#ifndef TSINK_API_TS_FILTER_H
#define TSINK_API_TS_FILTER_H

#include "base/arena.h"
#include "model/matcher.h"

struct ts_filter {
    struct matcher *matchers;  /* in the arena */
    size_t n;
    bool none;                 /* l=() : nothing can match */
};

/* Texts must outlive the filter. ST_INVALID with the peer's words: "TSDB: failed parsing
 * labels", "TSDB: please provide at least one matcher". */
CHECKED status ts_filter_parse(struct ts_filter *out, struct arena *arena,
                               const struct slice *exprs, size_t n, struct err *err);
void ts_filter_release(struct ts_filter *filter); /* accepts a zeroed struct */

#endif
