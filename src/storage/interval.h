/* Sets of time intervals, both ends inclusive: what deletes hide. Kept sorted,
 * disjoint and coalesced (neighbours that touch are one). One owner at a time;
 * reading is pure. */
#ifndef TSINK_STORAGE_INTERVAL_H
#define TSINK_STORAGE_INTERVAL_H

#include <stdbool.h>
#include <stddef.h>

#include "model/time.h"

struct intervals {
    struct time_range *ptr; /* from ascending; ptr[i].to < ptr[i + 1].from - 1 */
    size_t len, cap;
};

void intervals_release(struct intervals *set); /* accepts a zeroed struct */
void intervals_clear(struct intervals *set);   /* keeps the memory */

/* Adds a range; an empty one changes nothing. False when memory is refused. */
bool intervals_add(struct intervals *set, struct time_range range);

bool intervals_has(const struct intervals *set, ts_time t);

/* Whether one interval holds all of range. */
bool intervals_covers(const struct intervals *set, struct time_range range);
bool intervals_overlaps(const struct intervals *set, struct time_range range);

#endif
