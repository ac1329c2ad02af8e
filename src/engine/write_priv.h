/* The write path, phase by phase (architecture, section 5):
 *
 *     admit     write_admit.c     may refuse the batch, or let it wait for memory
 *     survey    write_survey.c    does a row need an older value? then none is applied yet
 *     look up   write_defer.c     a worker reads those values; the batch starts again
 *     resolve   write_resolve.c   series -> ordinals, mints new ones
 *     decide    write_decide.c    policies: append, late, nothing, refused
 *     apply     write_commit.c    heads; cannot fail, and the next row sees it
 *     start     write_starts.c    since when it counts, into its series' companion
 *     put       write_commit.c    the slice's definitions and samples to the WAL
 *     meta      write_meta.c      behind the last row: exemplars and metadata, likewise
 *     commit    write.c           published, counted, answered
 *
 * A slice is what one step applies: at most WRITE_SLICE_ROWS rows, one samples frame.
 * All slices of a batch are one run in the WAL: after a crash all of it is there or none
 * (reliability.md A1).
 */
#ifndef TSINK_ENGINE_WRITE_PRIV_H
#define TSINK_ENGINE_WRITE_PRIV_H

#include "engine/cell_priv.h"
#include "engine/rules.h"
#include "engine/wal_payload.h"

enum write_how { WRITE_APPEND, WRITE_LATE };

struct slice_row {
    uint32_t ordinal;
    uint8_t how;             /* enum write_how */
    struct blob *blob;       /* of bytes and histogram series; the head takes it */
    struct wal_row wal;
};

enum { WRITE_SLICE_SERIES = 64 };

struct write_slice {
    struct wal_row rows[2 * WRITE_SLICE_ROWS]; /* as the samples frame takes them */
    size_t n_rows;
    size_t n_starts;         /* rows of companions among them */
    const struct batch_series *made[WRITE_SLICE_SERIES]; /* made in this slice */
    size_t n_made;
    struct {
        series_id parent;
        uint32_t ordinal;
    } companions[WRITE_SLICE_ROWS]; /* made in this slice, too */
    size_t n_companions;
    size_t made_bytes;       /* bound of their definitions */
    size_t row_bytes;        /* bound of the samples frame */
};

/* The older value that a policy asked for. */
struct older_value {
    bool known;              /* looked up: found says whether there is a sample at ts */
    bool found;
    uint64_t bits;           /* numeric types */
    bool same;               /* blobs: found, and equal to the row's */
    bool has_last;           /* the newest sample, for heads that do not know it */
    ts_time last_ts;
    uint64_t last_bits;
};

/* What a worker looked up for one row. */
struct lookup {
    uint32_t row;
    uint32_t ordinal, gen;
    ts_time ts;
    struct older_value value;
};

enum write_phase {
    WRITE_WAITS,             /* nothing done: anything may come before it */
    WRITE_SURVEYS,
    WRITE_APPLIES,           /* from here to its end nothing comes between */
};

/* What a batch carries between steps; batch->engine. */
struct write_state {
    enum write_phase phase;
    bool admitted;           /* once is enough, however often it is put back */
    bool known_only;         /* no memory for new series */
    bool waited;             /* for memory */
    uint64_t run;            /* 0: it fitted one slice so far */
    uint64_t marks;          /* of rules, before the batch was applied */
    struct rule_wait wait;   /* for the buckets that it closed or changed */
    struct cell *cell;       /* of a batch that waits for them, and the batch */
    struct batch *batch;
    /* The survey. */
    size_t at;               /* rows looked at */
    bool by_series;          /* times are compared series by series, in seen */
    bool tangled;            /* a row needs what an earlier row of the batch stored */
    bool stale;              /* a row needs a value that was not looked up, or too long ago */
    uint32_t last_series;    /* whose ordinal was settled last */
    bool last_known;
    ts_time newest;          /* of the rows looked at */
    struct row_slot *seen;   /* newest time of each series; in the batch's arena */
    struct row_slot *stored; /* values that this batch stored; likewise */
    size_t n_slots;          /* of each of these tables */
    VEC(uint32_t) needs;     /* rows that need an older value, ascending */
    /* The look-ups. */
    VEC(struct lookup) lookups; /* of needs, ascending by row */
    uint64_t epoch;          /* of the view that they were read under */
    unsigned n_rounds;
    VEC(uint32_t) held;      /* series that this batch keeps from others */
};

/* --- write_admit.c --------------------------------------------------------------- */

/* Whether the batch may be applied: *st, and in batch->err why not. False: it waits for
 * memory, with all behind it; ask again when some may have come (db_tick does). */
CHECKED bool write_admit(struct cell *cell, struct batch *batch, status *st);

/* Whether every series that is known by a probe alone is still that series; those that are
 * not get ST_AGAIN. */
bool write_probes_hold(const struct cell *cell, struct batch *batch);

/* Finds the series; false when it does not exist (yet). Sets ordinal and gen. */
bool write_find(struct cell *cell, struct batch_series *series);

/* Fills ordinal of a batch series, making the series where that is asked for. The
 * status goes into series->st. */
void write_resolve(struct cell *cell, struct batch *batch, struct batch_series *series,
                   struct write_slice *slice);

/* The duplicate policy of a row. */
enum dup_policy write_policy(const struct batch *batch, size_t idx, const struct head *head);

enum write_verdict { VERDICT_STORE, VERDICT_DONE };

/* Decides one row of a resolved series. STORE: *row is filled. DONE: the row's result is
 * set (refused, or nothing to do; ST_AGAIN when an older value is needed and the batch may
 * not wait for it). older may be NULL. */
enum write_verdict write_decide(struct cell *cell, struct batch *batch, size_t idx,
                                const struct older_value *older, struct slice_row *row);

/* --- write_survey.c ------------------------------------------------------------- */

enum survey_end { SURVEY_MORE, SURVEY_READY, SURVEY_LOOK_UP, SURVEY_NO_MEMORY };

/* Goes on with the survey of a deferrable batch for a bounded number of rows. READY: no
 * row needs a value that is not known; the batch may be applied, in this step or with
 * nothing in between. LOOK_UP: write_state.needs says what is needed. */
enum survey_end write_survey(struct cell *cell, struct batch *batch);
void write_survey_reset(struct write_state *state);

/* The older value of a row, or NULL when its policy needs none; in *scratch. */
const struct older_value *write_older(const struct batch *batch, size_t idx,
                                      struct older_value *scratch);

/* Notes what a row of a tangled batch stored, for those behind it. */
void write_note_stored(const struct batch *batch, size_t idx, const struct slice_row *row);

/* Whether blobs of a type are equal. */
bool write_same_blob(enum value_type type, union value a, union value b);

/* --- write_starts.c -------------------------------------------------------------- */

/* Whether a slice of the batch may hold rows of companions, and the bound of what one row
 * may bring besides its own bytes. */
static inline bool write_may_start(const struct cell *cell, const struct batch *batch)
{
    return batch->n_starts || registry_n_hidden(cell->registry);
}
size_t write_starts_bytes(const struct batch *batch);

/* The sample of the series `parent` at ts is in force, and counts since `start`. Cannot
 * fail: there is room as for write_apply(). */
void write_put_start(struct cell *cell, const struct batch *batch, uint32_t parent, ts_time ts,
                     ts_time start, struct write_slice *slice);

/* Definitions of the slice's companions; returns the bytes. */
size_t write_put_companions(const struct cell *cell, const struct write_slice *slice, uint8_t *dst);

/* --- the rest -------------------------------------------------------------------- */

/* Puts a stored row into its head and into the slice. Cannot fail: there is room in the
 * WAL and in the spares for all rows of a slice before the first is decided. */
void write_apply(struct cell *cell, struct write_slice *slice, const struct slice_row *row);

/* Frames for what the slice holds. last: no other slice of this batch follows. */
void write_commit(struct cell *cell, struct batch *batch, struct write_slice *slice, bool last);

/* Whether the WAL takes frames of these payload bounds now. */
bool write_has_room(const struct cell *cell, size_t made_bytes, size_t row_bytes);

/* --- write_meta.c ---------------------------------------------------------------- */

/* How many of the exemplars and families that are left the next slice takes, and the bound of
 * their frame. */
size_t write_meta_measure(const struct cell *cell, const struct batch *batch, size_t *n);

/* Takes so many of them; there is room for so many bytes in the log. */
void write_meta(struct cell *cell, struct batch *batch, size_t n, size_t max_bytes);

size_t write_meta_left(const struct batch *batch);

/* --- the rest -------------------------------------------------------------------- */

/* The bound of one row in the samples frame. */
size_t write_row_bytes(const struct batch *batch, size_t idx);

/* Takes a batch that no list holds: looks up what it needs and puts it in front of those
 * that wait, or refuses it. */
void write_defer(struct cell *cell, struct batch *batch);

/* Whether another batch holds a series of this one. */
bool write_is_held(struct cell *cell, struct batch *batch);

/* Lets go of the series that the batch holds; whoever waited for them goes on. */
void write_let_go(struct cell *cell, struct batch *batch);

/* Puts a batch before all that wait, behind the one that is half applied. */
void write_requeue(struct cell *cell, struct batch *batch);

/* The whole batch is refused: nothing of it was applied. */
void write_refuse(struct batch *batch, status st);

/* Counts results and calls done. */
void write_finish(struct cell *cell, struct batch *batch);

static inline struct write_state *write_state(const struct batch *batch)
{
    return batch->engine;
}

#endif
