/* Parts of a delete: what recovery repeats, and its frames. See delete.c. Owner. */
#ifndef TSINK_ENGINE_DELETE_H
#define TSINK_ENGINE_DELETE_H

#include "engine/cell_priv.h"

/* ids strictly ascend; order is that of the last flush begun before the delete. */
CHECKED status delete_apply(struct cell *cell, const uint64_t *ids, size_t n,
                            struct time_range range, uint64_t order, struct err *err);

/* Ids that are certain to fit one frame. */
size_t delete_ids_a_frame(const struct cell *cell);

/* What wal_room() must say for the frames of n ids. */
size_t delete_room(const struct cell *cell, size_t n);

/* A frame of at most delete_ids_a_frame() ids, for which there is room; run 0: it stands
 * alone. */
lsn delete_log(struct cell *cell, const uint64_t *ids, size_t n, struct time_range range,
               uint64_t run, bool commit);

#endif
