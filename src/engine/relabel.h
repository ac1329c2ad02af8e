/* Other labels for a series that stays who it is: TS.ALTER ... LABELS, RENAME.
 *
 * The id stays and with it every sample, wherever it lies; the place stays (decision 14).
 * The labels get a higher version and the series a new ordinal, so that posting lists stay
 * append-only: what a view was pinned with it goes on seeing under the labels of then.
 *
 *     log    WAL_RELABEL: the definition as it is from here on, with its version
 *     index  the new ordinal is born, the old one dies
 *     head   the samples in memory and what is known of them move; the old root says MOVED
 *
 * A change waits, like the removal of a key, for a flush under way, deferred writes and a
 * snapshot's list of names. Changes are made one after the other.
 */
#ifndef TSINK_ENGINE_RELABEL_H
#define TSINK_ENGINE_RELABEL_H

#include "base/hash.h"
#include "engine/db.h"
#include "model/label.h"

struct relabel_op {
    struct list link;          /* initialised by the caller */
    series_id id;
    struct labels labels;      /* canonical; of the caller until done(), like identity */
    struct slice identity;     /* labels_identity() */
    /* Owner, once. */
    void (*done)(struct relabel_op *op);
    status st;                 /* ST_NOT_FOUND: it died; ST_EXISTS: another series is called
                                * that; ST_LIMIT: changed 65,535 times; ST_CLOSED, ... */
    struct err err;
    lsn at;                    /* what an answer waits for */
};

/* Owner. Takes op until done(), which may come before it returns. */
void db_relabel(struct db *db, struct relabel_op *op);

/* Of the engine: goes on with what waits; answers it at a close. */
struct cell;
void relabel_step(struct cell *cell);
void relabel_close(struct cell *cell);

#endif
