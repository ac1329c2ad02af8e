/* Who makes the buckets of rules (engine/rules.h): one job at a time takes what is marked,
 * reads sources and destinations under one view, and the owner writes what differs.
 *
 * What a bucket holds is what TS.RANGE with the same aggregator says of the source, edges
 * of twa included. Buckets that have nothing any more are deleted from the destination;
 * what somebody wrote there beside the bucket starts stays.
 *
 * It stays here until a room for rollups exists, which will share it. Owner, but for what
 * says worker.
 */
#ifndef TSINK_QUERY_RULE_WORKER_H
#define TSINK_QUERY_RULE_WORKER_H

#include "base/arena.h"
#include "engine/rules.h"

struct rule_worker;

/* Begins to listen; NULL: no memory. */
struct rule_worker *rule_worker_new(struct db *db, struct account *account);

/* Begins nothing more; before db_close(), which waits for what is under way. Accepts NULL. */
void rule_worker_stop(struct rule_worker *worker);

/* After db_close(), when the owner runs nothing any more. Accepts NULL. */
void rule_worker_free(struct rule_worker *worker);

/* Now and then: tries again what failed a second ago. */
void rule_worker_step(struct rule_worker *worker);

/* Worker. The bucket that is still open, of the rule that makes dest: *found when there is
 * one, it has a value, and dest has no sample at its start or behind it. ts: its start. */
CHECKED status rule_open_bucket(struct db *db, series_id dest, ts_time *ts, double *val,
                                bool *found, struct arena *arena, struct err *err);

#endif
