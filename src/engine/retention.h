/* Retention by the wall clock: what has expired. Dropping it is compaction's work
 * (compact.h). */
#ifndef TSINK_ENGINE_RETENTION_H
#define TSINK_ENGINE_RETENTION_H

#include <stdbool.h>

#include "model/time.h"
#include "storage/segment.h"

struct db;

/* Whether nothing in the segment can be seen any more: pure. Series with a key obey
 * their own retention, so a segment that holds one never expires as a whole. */
bool retention_expired(const struct segment_info *info, ts_time oldest);

/* Owner. The window in which samples without a key live now; its beginning is judged by
 * a clock that is believed (clock_guard.h). */
struct time_window retention_window(const struct db *db);

/* Owner. What lies before this time may be thrown away; TS_MIN: nothing may, because
 * retention is off, or suspended while the clock is not believed. */
ts_time db_expires_before(const struct db *db);

/* Owner, with each look at the triggers. */
void retention_look(struct db *db);

#endif
