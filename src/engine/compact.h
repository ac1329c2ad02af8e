/* Compaction: segments merged, rewritten and dropped, beside everything else.
 *
 *   freeze     owner    a manifest and what retention says now; one compaction at a time
 *   run        worker   look at the segments, choose (compact_plan.c), merge
 *                       (compact_run.c): new segments in their places, named by nobody
 *   sync       WAL      must hold the deletes that were applied, so that no power cut
 *                       takes a delete back and leaves its holes
 *   name       worker   one replacement of the catalog: new segments for their sources
 *   publish    owner    one manifest for another
 *   remove     worker   the sources' directories, when no view needs them
 *
 * A flush may run all the while: it adds segments that are newer than all the sources.
 * Deletes may come: they hide what the output has by their order. What fails leaves the
 * database as it was and is tried again later, after a pause that doubles.
 *
 * Series of which nothing visible is left die (compact_gone.c); delete records that can hide
 * nothing any more are forgotten (compact_deletes.c). All of this is the owner's but what
 * says worker. Who asks for one waits in compact_ask.c (db_compact(), db.h).
 */
#ifndef TSINK_ENGINE_COMPACT_H
#define TSINK_ENGINE_COMPACT_H

#include "engine/cell_priv.h"
#include "engine/maintain.h"
#include "storage/segment.h"

/* Begins a compaction if none is under way; it ends by itself, also when there is nothing
 * to do. False: not now. */
bool compact_begin(struct cell *cell);

/* Of those who wait (db_compact(), db_clean_deletes()) the first n are answered. */
void compact_answer(struct cell *cell, size_t n, status st);

/* Goes on with what waits: for the WAL, for the catalog, for memory, for views. */
void compact_step(struct cell *cell);

/* Whether a compaction or a removal is under way. */
bool compact_busy(const struct cell *cell);

/* Cancels what runs; it ends soon. */
void compact_cancel(struct cell *cell);

/* Fills in what the policy wants to know. */
void compact_situation(const struct cell *cell, struct situation *out);

/* Owner. Segments that were written and that no manifest has (at most COMPACT_PARTS_MAX):
 * they are removed when a catalog that does not name them is on disk. */
void compact_discard(struct cell *cell, struct segment *const *segs, size_t n);

/* At the end of the cell: what still waits. */
void compact_release(struct cell *cell);

/* Forgets delete records that can hide nothing any more, in a job. */
void compact_deletes_begin(struct cell *cell);
int64_t compact_deletes_wait_ms(const struct cell *cell); /* until it may begin */

/* --- compact_gone.c ----------------------------------------------------------------- */

/* These series have no segment and nothing in memory that was there before the epoch
 * began. They are removed if nothing was written to them since. */
void gone_add(struct cell *cell, const series_id *ids, size_t n, uint64_t epoch);

/* What a delete that has just been applied covers. */
struct doom {
    struct time_range range;
    bool whole;                    /* of everything */
    series_id id_max[N_LANES];     /* series above have nothing in segments outside of it */
};
void doom_init(struct doom *doom, const struct cell *cell, struct time_range range,
               uint64_t order);

/* Dooms the series if the delete covers all it has; its newest node is cut. */
void doom_series(const struct doom *doom, struct cell *cell, uint32_t ordinal);

/* Removes some of both kinds; bounded. cell->gone_more: it could go on at once. */
void gone_step(struct cell *cell);
void gone_release(struct cell *cell);

#endif
