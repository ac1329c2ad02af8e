/* Laying newer samples over older ones: the one merge rule (newest wins) on columns.
 * Pure, any thread. */
#ifndef TSINK_ENGINE_OVERLAY_H
#define TSINK_ENGINE_OVERLAY_H

#include "base/status.h"
#include "model/point.h"

/* base[from..n) is ascending and so is newer; afterwards base holds both, newer's value
 * where they meet. Costs nothing but a copy when newer begins after base ends. */
CHECKED status points_overlay(struct points *base, size_t from, const struct points *newer);

/* Drops base[from..n) inside range. */
void points_cut(struct points *base, size_t from, struct time_range range);

#endif
