/* A random history of a database, made from a seed: batches of several series, in order
 * and late and over older values, deletes, flushes, ticks, restarts; jobs and messages
 * run in between, a few at a time.
 *
 *     struct db_history history;
 *     db_history_init(&history, seed);
 *     while (n-- && db_history_step(&history, &rig)) {
 *     }
 *     db_history_replay(&history, k, &model)     the state after the first k operations
 *
 * Every operation that changes the data is remembered with the lsn that its
 * acknowledgement waits for, so that after a power cut one can tell what must be there.
 * Series have policy `last`; their names are db_history_name(i).
 */
#ifndef TSINK_TESTS_DB_HISTORY_H
#define TSINK_TESTS_DB_HISTORY_H

#include "tests/lib/db_rig.h"
#include "tests/lib/model_db.h"

enum { HISTORY_SERIES = 20 };

struct history_row {
    uint32_t series;
    ts_time ts;
    uint64_t bits;
};

struct history_op {
    struct history_row *rows;  /* NULL: a delete */
    size_t n_rows;
    uint32_t mask;             /* of series deleted */
    struct time_range range;
    lsn durable_at;            /* 0: it was refused, or the power went before an answer */
    bool refused;              /* nothing of it may be there */
};

struct db_history {
    struct rng rng;
    struct history_op *ops;
    size_t n, cap;
    size_t n_safe;             /* the first of them that are acknowledged */
    ts_time now[HISTORY_SERIES]; /* newest time given out */
    unsigned restarts;           /* 0: none; else one in so many operations */
    bool may_fail;               /* the disk fails: errors are not the history's fault */
    /* Called before and after the engine works, so that a test can let only the engine
     * run out of memory; may be NULL. */
    void (*around)(void *ctx, bool begins);
    void *around_ctx;
    const char *failure;         /* what a step found wrong, or NULL */
};

void db_history_init(struct db_history *history, uint64_t seed);
void db_history_release(struct db_history *history);

const char *db_history_name(uint32_t series);

/* One operation. False when the database is not open any more (a restart failed); then
 * rig->db is NULL. */
bool db_history_step(struct db_history *history, struct db_rig *rig);

/* Applies the operations from..to-1 to the model. */
void db_history_replay(const struct db_history *history, size_t from, size_t to,
                       struct model_db *model);

/* Notes which operations are acknowledged by now; while the database is open. */
void db_history_note(struct db_history *history, const struct db_rig *rig);

/* After the database was opened again: finds how many operations it holds, at least the
 * acknowledged ones and the others in order, and forgets those that it lost. NULL, or
 * why no number of them fits. */
const char *db_history_resolve(struct db_history *history, struct db_rig *rig);

/* NULL when the database holds exactly what the model does, by one view. */
const char *db_history_differs(struct db_rig *rig, const struct model_db *model);

#endif
