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
 * Rows of every third series may have start timestamps, which follow from the row.
 * Names of series are db_history_name(i). With `kinds` left 0 all of them are floats with
 * policy `last`, and the clock hardly moves; each bit adds something to what may happen.
 *
 * Choices come from the seed or, with db_history_from(), from bytes, so that a fuzzer can
 * change single operations; the values of a batch come from a seed of its own.
 */
#ifndef TSINK_TESTS_DB_HISTORY_H
#define TSINK_TESTS_DB_HISTORY_H

#include "tests/lib/db_rig.h"
#include "tests/lib/model_db.h"

enum {
    HISTORY_SERIES = 20,       /* floats; the series that kinds == 0 knows */
    HISTORY_SERIES_ALL = 32,   /* with those of other types, the one that is altered, two of
                                * histograms, two with keys */
    HISTORY_CROWD_N = 1100,    /* more than a delete has in one frame */
    HISTORY_SNAPSHOTS_MAX = 8,
};

enum history_kind {
    HISTORY_POLICIES = 1,      /* rows of every policy; the refusals are compared, too */
    HISTORY_TYPES = 2,         /* integers, booleans, texts */
    HISTORY_WHOLE = 4,         /* deletes of all there is of a series */
    HISTORY_CLOCK = 8,         /* the clock goes by minutes: retention, compaction */
    HISTORY_SNAPSHOTS = 16,
    HISTORY_ATTRS = 32,        /* one series is altered; not with a retention */
    HISTORY_HISTOGRAMS = 64,
    HISTORY_KEYS = 128,        /* series with keys, that are removed as keys */
    HISTORY_ALL = 255,
    HISTORY_CROWD = 256,       /* many series that are written and deleted together */
};

struct history_row {
    uint32_t series;
    ts_time ts;
    uint64_t bits;             /* of a text or a histogram: the number it is made from */
    uint8_t policy;            /* enum dup_policy */
    bool refused;              /* as a duplicate */
};

/* How the times of a series run in one batch. */
enum history_run { HISTORY_MIXED, HISTORY_BACK = 5, HISTORY_AGAIN, HISTORY_WILD, HISTORY_RUNS };

enum history_what {
    HISTORY_PUT,
    HISTORY_DELETE,            /* also of keys */
    HISTORY_EXPIRE,
    HISTORY_ALTER,
    HISTORY_PUT_CROWD,         /* one sample each; rows[0] says which */
    HISTORY_DELETE_CROWD,
};

struct history_op {
    enum history_what what;
    struct history_row *rows;  /* of a put */
    size_t n_rows;
    uint32_t mask;             /* of series deleted or altered */
    struct time_range range;   /* deleted */
    ts_time oldest;            /* what is older has expired */
    enum dup_policy policy;    /* altered to */
    lsn durable_at;            /* 0: it was refused, or the power went before an answer */
    bool refused;              /* nothing of it may be there */
};

/* A snapshot that was asked for: it holds the first n operations, for some n of
 * from..to. */
struct history_snapshot {
    struct db_history *history;
    char name[16];
    size_t from, to;
    bool over, good;
};

struct db_history {
    struct rng rng;
    const uint8_t *src, *src_end; /* choices; NULL: from rng */
    bool ended;                /* no more bytes */
    enum history_run only_run; /* 0: any; of db_history_put() */
    enum dup_policy only_policy; /* 0: any, as kinds say */
    uint32_t only_from;        /* the first series of a put; 0: any */
    unsigned kinds;            /* mask of enum history_kind */
    ts_time oldest;            /* of the window, at the operation under way */
    wall_ms wall;              /* the clock after the last step; only goes forward */
    struct history_snapshot snapshots[HISTORY_SNAPSHOTS_MAX];
    unsigned n_snapshots;
    struct history_op *ops;
    size_t n, cap;
    size_t n_safe;             /* the first of them that are acknowledged */
    ts_time now[HISTORY_SERIES_ALL]; /* newest time given out */
    unsigned restarts;           /* 0: none; else one in so many operations */
    bool starts_lost;            /* a start timestamp was dropped: they are not compared */
    bool may_fail;               /* the disk fails: errors are not the history's fault */
    /* Called before and after the engine works, so that a test can let only the engine
     * run out of memory; may be NULL. */
    void (*around)(void *ctx, bool begins);
    void *around_ctx;
    const char *failure;         /* what a step found wrong, or NULL */
};

void db_history_init(struct db_history *history, uint64_t seed);
void db_history_release(struct db_history *history);

/* Options with which segments are merged as soon as there are two; before the opening. */
void db_history_hurry(struct db_rig *rig);

/* Takes the choices from bytes that stay valid; their end sets `ended`, and from there on
 * every choice is the first one. */
void db_history_from(struct db_history *history, const uint8_t *src, size_t len);

/* 0..n-1. */
uint64_t db_history_choose(struct db_history *history, uint64_t n);

const char *db_history_name(uint32_t series);

/* One operation. False when the database is not open any more (a restart failed); then
 * rig->db is NULL. */
bool db_history_step(struct db_history *history, struct db_rig *rig);

/* Operations by name: a batch that is answered, a delete, an alteration, the beginning of
 * a snapshot, the removal of keys, the crowd's next sample or its end. */
void db_history_put(struct db_history *history, struct db_rig *rig);
void db_history_erase(struct db_history *history, struct db_rig *rig);
void db_history_alter(struct db_history *history, struct db_rig *rig);
void db_history_snapshot(struct db_history *history, struct db_rig *rig);
void db_history_remove(struct db_history *history, struct db_rig *rig);
void db_history_crowd(struct db_history *history, struct db_rig *rig);

/* Applies the operations from..to-1 to the model. */
void db_history_replay(const struct db_history *history, size_t from, size_t to,
                       struct model_db *model);

/* Notes which operations are acknowledged by now; while the database is open. */
void db_history_note(struct db_history *history, const struct db_rig *rig);

/* After the database was opened again: finds how many operations it holds, at least the
 * acknowledged ones and the others in order, and forgets those that it lost. NULL, or
 * why no number of them fits. */
const char *db_history_resolve(struct db_history *history, struct db_rig *rig);

/* NULL when every good snapshot can be restored, verified, opened, and holds what the
 * history held when it was made; else why not. Nothing is under way. Removes them. */
const char *db_history_check_snapshots(struct db_history *history, struct db_rig *rig);

/* NULL when every sample that can be read was written by the history at some time, with
 * that value; else which was not. Samples may be missing, and reads may be refused. */
const char *db_history_phantom(const struct db_history *history, struct db_rig *rig);

/* NULL when pts, of the series' companion, are the start timestamps that the model has for
 * it in the range; else why not. Takes out of pts what says nothing. */
const char *db_history_starts_differ(const struct model_db *model, uint32_t series,
                                     struct time_range range, struct points *pts);

/* NULL when the database holds exactly what the model does, by one view; of what has
 * expired nothing is compared. */
const char *db_history_differs(struct db_rig *rig, const struct model_db *model);

#endif
