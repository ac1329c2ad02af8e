/* A delete of any number of series, in slices of the owner's time.
 *
 *   hide   a slice of series at a time: their newest nodes are cut, a record hides what
 *          they have, a frame goes to the log. The frames are one run with one COMMIT,
 *          so after a crash all of it holds or none; nobody gets a view in between.
 *   drop   keyed series, when that is asked for: they are no keys any more. A slice waits
 *          until no flush, no deferred write and no snapshot's list of names is at
 *          work; its frame stands alone.
 *
 * A sample that is written while this runs is hidden or not, in the log as in memory.
 * Deletes follow one another. A step takes about 500 us; the longest is one of
 * DELETE_SLICE series and, rarely, the merge of two sets of records (tombstone.h), twice:
 * some 50 ns a record, measured as 25 ms on 300,000 series. Owner.
 */
#ifndef TSINK_ENGINE_DELETE_MANY_H
#define TSINK_ENGINE_DELETE_MANY_H

#include "base/list.h"
#include "engine/db.h"

struct delete_op {
    struct list link;
    const series_id *ids;     /* strictly ascending; borrowed until done() */
    size_t n;
    struct time_range range;  /* closed */
    bool drop_keys;           /* keyed series go as keys: then range is everything */
    /* Once, with st, err and at, which is what the answer waits for. */
    void (*done)(struct delete_op *op);
    void *ctx;
    status st;
    struct err err;
    lsn at;
    /* private */
    size_t n_hidden, n_dropped;
    uint64_t run;
};

/* Begins; done() may have been called when this returns. A failure has hidden nothing,
 * but for one of the WAL, or of a close after the samples are hidden and before all the
 * keys are gone. */
void db_delete_many(struct db *db, struct delete_op *op);

#endif
