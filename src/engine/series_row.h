/* The row of a series in a segment's table, as the registry has it now: for whoever
 * writes segments. A worker with a reader slot, or the owner. */
#ifndef TSINK_ENGINE_SERIES_ROW_H
#define TSINK_ENGINE_SERIES_ROW_H

#include "base/arena.h"
#include "engine/wal_payload.h"
#include "index/registry.h"
#include "storage/segment.h"

/* out points into the arena and into attrs_bytes, where attributes are put if there are
 * any. ST_NO_MEMORY. */
CHECKED status series_row(struct segment_series *out, uint8_t attrs_bytes[ATTRS_BYTES],
                          const struct registry *reg, uint32_t ordinal, struct arena *arena);

#endif
