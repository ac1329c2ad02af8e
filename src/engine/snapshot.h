/* Snapshots: a consistent point in time of a running database as a directory of its own,
 * snapshots/<name>/, that a server can be started on after `tsink-check restore`
 * (docs/snapshots.md). Writers are not stopped.
 *
 * What it holds is what a view pinned at its cut would show: every batch applied before
 * it, completely, and none applied after. Without the head it holds what was in segments.
 *
 * One at a time. All calls: owner; the callbacks come on the owner, exactly once, and
 * before db_close() returns.
 */
#ifndef TSINK_ENGINE_SNAPSHOT_H
#define TSINK_ENGINE_SNAPSHOT_H

#include "base/slice.h"
#include "engine/db.h"
#include "storage/linkset.h"

struct snapshot_ask {
    struct slice name;        /* copied; empty: YYYYMMDDTHHMMSSZ-<16 hex digits> */
    bool skip_head;           /* only what is in segments */
    bool full;                /* verify every chunk, not only every checksum */
};

/* info is valid during the call, and only with ST_OK. ST_INVALID: no name; ST_EXISTS;
 * ST_AGAIN: another one is being made; ST_NO_SPACE; ST_CANCELLED, ST_CLOSED: the
 * database closes; ST_CORRUPT: verification found what err says, and nothing was kept. */
typedef void (*snapshot_done)(void *ctx, status st, const struct snapshot_info *info,
                              const struct err *err);
void db_snapshot(struct db *db, const struct snapshot_ask *ask, snapshot_done done, void *ctx);

struct snapshot_entry {
    struct snapshot_info info;
    uint64_t n_bytes, n_files; /* of the list; linked ones are shared with the database */
    status st;                 /* not ST_OK: damaged, and only the name is valid */
};

/* Complete ones, by name; entries are valid during the call. */
typedef void (*snapshot_listed)(void *ctx, status st, const struct snapshot_entry *entries,
                                size_t n, const struct err *err);
void db_snapshot_list(struct db *db, snapshot_listed done, void *ctx);

/* ST_NOT_FOUND, ST_INVALID. First it loses its name, so half of one is never seen. */
typedef void (*snapshot_deleted)(void *ctx, status st, const struct err *err);
void db_snapshot_delete(struct db *db, struct slice name, snapshot_deleted done, void *ctx);

/* How far the one under way is; false: none. */
struct snapshot_progress {
    char name[SNAPSHOT_NAME_MAX + 1];
    const char *phase;        /* "begin" "sync" "link" "write" */
    uint64_t bytes_done, bytes_total; /* read for checksums; total 0: not known yet */
};
bool db_snapshot_progress(const struct db *db, struct snapshot_progress *out);

/* ---- for the engine itself ---- */

/* Goes on when it waits for the end of a batch or for the log. */
void snapshot_step(struct db *db);
void snapshot_cancel(struct db *db); /* a close does not wait for it */
bool snapshot_busy(const struct db *db);

/* Whether series that were there at the cut of the one under way must stay: their names
 * are not written down yet. Owner. */
bool snapshot_wants_names(const struct db *db);

#endif
