/* The write path, phase by phase (architecture, section 5):
 *
 *     admit     write.c           may refuse the batch
 *     resolve   write_resolve.c   series -> ordinals, mints new ones
 *     decide    write_decide.c    policies: append, late, nothing, refused, deferred
 *     apply     write_commit.c    heads; cannot fail, and the next row sees it
 *     put       write_commit.c    the slice's definitions and samples to the WAL
 *     commit    write.c           published, counted, answered
 *     defer     write_defer.c     rows whose policy needs an older value
 *
 * A slice is what one step applies: at most WRITE_SLICE_ROWS rows, one samples frame.
 */
#ifndef TSINK_ENGINE_WRITE_PRIV_H
#define TSINK_ENGINE_WRITE_PRIV_H

#include "engine/cell_priv.h"
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
    struct slice_row rows[WRITE_SLICE_ROWS];
    size_t n_rows;
    const struct batch_series *made[WRITE_SLICE_SERIES]; /* made in this slice */
    size_t n_made;
    size_t made_bytes;       /* bound of their definitions */
    size_t row_bytes;        /* bound of the samples frame */
};

/* What a batch carries between steps; batch->engine. */
struct write_state {
    uint64_t run;            /* 0: it fitted one slice so far */
    VEC(uint32_t) deferred;  /* rows */
    unsigned n_rounds;       /* of deferral */
    bool counted;
};

/* Fills ordinal of a batch series, making the series where that is asked for. The
 * status goes into series->st. */
void write_resolve(struct cell *cell, struct batch *batch, struct batch_series *series,
                   struct write_slice *slice);

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

enum write_verdict { VERDICT_STORE, VERDICT_DONE, VERDICT_DEFER };

/* Decides one row of a resolved series. STORE: *row is filled. DONE: the row's result is
 * set (refused, or nothing to do). DEFER: an older value is needed. older may be NULL. */
enum write_verdict write_decide(struct cell *cell, struct batch *batch, size_t idx,
                                const struct older_value *older, struct slice_row *row);

/* Puts a stored row into its head and into the slice. Cannot fail: there is room in the
 * WAL and in the spares for all rows of a slice before the first is decided. */
void write_apply(struct cell *cell, struct write_slice *slice, const struct slice_row *row);

/* Frames for what the slice holds. last: no other slice of this batch follows. */
void write_commit(struct cell *cell, struct batch *batch, struct write_slice *slice, bool last);

/* Whether the WAL takes frames of these payload bounds now. */
bool write_has_room(const struct cell *cell, size_t made_bytes, size_t row_bytes);

/* The bound of one row in the samples frame. */
size_t write_row_bytes(const struct batch *batch, size_t idx);

/* Takes a batch with deferred rows: looks their values up and goes on with them. */
void write_defer(struct cell *cell, struct batch *batch);

/* Counts results and calls done. */
void write_finish(struct cell *cell, struct batch *batch);

static inline struct write_state *write_state(struct batch *batch)
{
    return batch->engine;
}

#endif
