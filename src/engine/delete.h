/* The part of a delete that recovery repeats. See delete.c. Owner. */
#ifndef TSINK_ENGINE_DELETE_H
#define TSINK_ENGINE_DELETE_H

#include "engine/cell_priv.h"

/* ids strictly ascend; order is that of the last flush begun before the delete. */
CHECKED status delete_apply(struct cell *cell, const uint64_t *ids, size_t n,
                            struct time_range range, uint64_t order, struct err *err);

#endif
