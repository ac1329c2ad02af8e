/* Companions of series, for what is not the write path: index/registry_starts.c tells what
 * they are, write_starts.c how they are written. Owner. */
#ifndef TSINK_ENGINE_STARTS_H
#define TSINK_ENGINE_STARTS_H

#include "engine/cell_priv.h"

/* A companion for the series `parent`, which has none; no limit of cardinality counts it
 * (cell.c). ST_NO_MEMORY, ST_LIMIT. */
CHECKED status cell_add_starts(struct cell *cell, uint32_t *ordinal, uint32_t parent);

/* The end of recovery: whoever has a companion gets to know it. */
void starts_link(struct cell *cell);

/* A companion is about to die: its parent forgets it. Of any other series: nothing. */
void starts_unlink(struct cell *cell, uint32_t ordinal);

/* What is deleted of a series is deleted of its companion. ids strictly ascend; a list with
 * the companions among them, to be freed with mem_free(), or NULL: no memory. */
uint64_t *starts_with_companions(const struct cell *cell, const uint64_t *ids, size_t n,
                                 size_t *n_out);

/* Companions and their parents know of each other, as far as both are there. */
CHECKED status starts_check(const struct cell *cell, struct err *err);

#endif
