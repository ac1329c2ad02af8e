/* What the files of recovery share. See recover.c. */
#ifndef TSINK_ENGINE_RECOVER_PRIV_H
#define TSINK_ENGINE_RECOVER_PRIV_H

#include "engine/db_priv.h"
#include "engine/recover.h"
#include "storage/wal_replay.h"

struct recovery {
    struct db *db;
    struct cell *cell;
    struct err *err;
    struct arena arena;
    unsigned n_threads;        /* that may work side by side, the owner's included */
    bool rebuilding;           /* the registry's files are lost */
    uint32_t n_known;          /* ordinals below this come from files and segments */
    lsn defined;               /* series defined up to here are known, or dead */
    series_id next_id;         /* so are ids below this */
    VEC(series_id) removed;    /* that the log says are no more; ascending */
    uint64_t n_missing_series; /* samples whose definition is nowhere */
};

/* Tells how far it is. ST_CANCELLED when the port says that nobody waits any more. */
CHECKED status recover_report(struct recovery *rec, const char *phase, uint64_t done,
                              uint64_t total);

/* recover_series.c: the registry from its files, and from the series tables of segments
 * that the files do not vouch for. */
CHECKED status recover_registry(struct recovery *rec);
CHECKED status recover_segments(struct recovery *rec);
void recover_put_aside(struct db *db, const char *path, status st, const struct err *err);

/* Adds a series that something on disk defines, by id, type, identity, attributes, place
 * (0: that of the labels) and version; the rest of *make is filled in. When the name has
 * another id, the larger id is the one that lives: then *ordinal may be ORDINAL_NONE. */
CHECKED status recover_adopt(struct recovery *rec, uint32_t *ordinal,
                             const struct series_new *make);

/* The same for a definition with a later version of the labels: a series that has an earlier
 * one gets these, and one that nothing else defines is added. */
CHECKED status recover_relabel(struct recovery *rec, const struct series_new *make);

/* The part of that which decides: *lives says whether the series with this id is the one; a
 * rival with a smaller id is removed. */
void recover_rival(bool *lives, struct recovery *rec, series_id id, enum value_type type,
                   struct slice identity, struct hash128 hash);

/* recover_removed.c: removals come first. */
CHECKED status recover_removed(struct recovery *rec, struct wal_replay *replayed);
bool recover_is_removed(const struct recovery *rec, series_id id);

/* recover_define.c: the series that the log defines and the files do not know. */
CHECKED status recover_define(struct recovery *rec, struct wal_replay *replayed);
CHECKED status recover_bad_frame(struct recovery *rec, const struct wal_frame *frame, status st);

/* recover_replay.c: definitions, then everything else in the order of the log; series
 * of which no sample is anywhere go again. */
CHECKED status recover_replay(struct recovery *rec, struct wal_replay *replayed);

#endif
