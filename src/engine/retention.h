/* Retention by the wall clock. See retention.c. */
#ifndef TSINK_ENGINE_RETENTION_H
#define TSINK_ENGINE_RETENTION_H

#include <stdbool.h>

#include "model/time.h"
#include "storage/segment.h"

struct db;

/* Whether nothing in the segment can be seen any more: pure. keyed: it holds series
 * with a key of their own. */
bool retention_expired(const struct segment_info *info, bool keyed, ts_time oldest);

/* Owner. Begins a job when there is something to expire. */
void retention_plan(struct db *db);

#endif
