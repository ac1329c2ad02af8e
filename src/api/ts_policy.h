/* The option ts-compaction-policy (resp.md 2.19): rules that come with each key that TS.ADD,
 * TS.INCRBY or TS.DECRBY makes.
 *
 *     avg:1m:0;max:1h:30d:10m       aggregator : bucket : retention [: align] ; ...
 *
 * Times are a number and a unit: m (milliseconds) s M (minutes) h d; 0 needs none.
 */
#ifndef TSINK_API_TS_POLICY_H
#define TSINK_API_TS_POLICY_H

#include "api/ts_turn.h"
#include "base/strbuf.h"
#include "model/agg.h"

enum { TS_POLICY_MAX = 16 };

struct ts_policy_rule {
    enum agg agg;
    int64_t bucket_ms, retention_ms, align_ms;
};

/* Pure. ST_INVALID says what is wrong. */
CHECKED status ts_policy_parse(struct ts_policy_rule rules[TS_POLICY_MAX], size_t *n,
                               struct slice text, struct err *err);

/* The same as text, times in their largest whole unit. */
void ts_policy_print(struct strbuf *out, const struct ts_policy_rule *rules, size_t n);

/* For ts_part.follow: when the command has made its key, the destinations are made as well,
 * and the call ends with them. False: there is nothing to do. The loop's thread. */
bool ts_policy_follow(struct call *call, const struct batch *batch, const struct ts_part *part);

#endif
