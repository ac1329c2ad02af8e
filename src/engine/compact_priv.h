/* A compaction and what its files share. */
#ifndef TSINK_ENGINE_COMPACT_PRIV_H
#define TSINK_ENGINE_COMPACT_PRIV_H

#include "base/arena.h"
#include "codec/chunk.h"
#include "engine/compact.h"
#include "engine/compact_plan.h"
#include "engine/db_priv.h"
#include "engine/rate.h"
#include "engine/retention.h"
#include "model/point.h"

enum {
    COMPACT_RESERVE_BYTES = 64 << 20, /* stays free for the WAL and for flushes (F2) */
    DELETE_AGE_FLUSHES = 12,          /* a delete is old after so many: a day at 2 h */
};

typedef VEC(series_id) id_vec;

enum compact_phase {
    COMPACT_RUNNING,     /* job: look, choose, merge */
    COMPACT_SYNCING,     /* the WAL must be as durable as the deletes that were applied */
    COMPACT_NAMING,      /* job: catalog */
    COMPACT_PUBLISHING,  /* owner: waits for memory if it must */
};

struct compaction {
    struct job job;
    struct db *db;
    enum compact_phase phase;

    /* Frozen by the owner. */
    struct manifest *manifest;    /* referenced; its segments and deletes are the input */
    uint64_t del_gen;             /* deletes up to here are in it */
    uint64_t flush_order;
    ts_time oldest;               /* older samples have expired; TS_MIN: none */
    uint64_t epoch;               /* the first after the manifest */
    lsn sync;                     /* what must be durable before the output is named */
    uint64_t first_id;            /* of COMPACT_PARTS_MAX segment ids */
    size_t n_begun;               /* the job: so many of them were taken */
    size_t n_asked;               /* of cell->compact_waiters: they wait for this */
    bool look_at_keys;            /* what keyed series have expired is counted, too */
    struct compact_policy policy; /* free_bytes: filled by the job */
    uint64_t barred[CELL_BARRED_MAX]; /* ids of segments found damaged before */
    uint64_t reserve;             /* next_segment_id for the catalog file */
    wall_ms wall_high;            /* likewise */
    mono_ns began;

    /* Made by the job. */
    struct compact_plan plan;
    struct segment *source[COMPACT_DROP_MAX]; /* borrowed from the manifest */
    struct segment *out[COMPACT_PARTS_MAX];   /* one reference each */
    size_t n_out;
    struct segment *damaged;      /* the source that could not be read, or NULL */
    bool applied_deletes;         /* something was left out because somebody said so */
    id_vec gone;                  /* series of the sources that no segment has any more */
    uint64_t n_points_in, n_points_out, n_bytes_out, n_copied, n_encoded;
    uint64_t n_expired;           /* points of the sources too old for the output, as stored:
                                   * one that a newer source shadows is counted, too */
    uint64_t version;             /* of the manifest that has the outputs */
};

/* A cursor for each segment of a manifest, to find many series in (shard, id) order. */
struct seeker {
    const struct manifest *manifest;
    struct segment_cursor *cursors;
};

CHECKED status seeker_init(struct seeker *s, const struct manifest *manifest);
void seeker_release(struct seeker *s); /* accepts a zeroed struct */

/* Whether a segment of the lane that is none of `but` has the series. */
CHECKED status seeker_has(struct seeker *s, enum value_lane lane, unsigned shard, series_id id,
                          struct segment *const *but, size_t n_but, bool *has, struct err *err);

/* The newest time of the series in any segment of the lane; TS_MIN: none has it. */
CHECKED status seeker_newest(struct seeker *s, enum value_lane lane, unsigned shard, series_id id,
                             ts_time *newest, struct err *err);

/* compact_ask.c: how many wait, and what that means for the policy. Owner. */
size_t compact_asked(const struct cell *cell, struct compact_policy *policy);

/* --- compact_look.c: worker ------------------------------------------------------- */

/* Chooses: fills plan and source. */
CHECKED status compact_look(struct compaction *c, struct err *err);

/* A series as compaction sees it: what the registry says, by id. */
struct series_facts {
    bool live;            /* not: it was removed, its samples belong to nobody */
    bool keyed;
    uint32_t ordinal;
    enum value_type type;
    unsigned shard;
    int64_t keep;         /* keyed: its retention in ticks; 0: for ever */
};

void series_facts(struct db *db, series_id id, struct series_facts *out);

/* Before this time the samples of a series have expired. newest matters to keyed ones. */
ts_time compact_oldest(const struct compaction *c, const struct series_facts *facts,
                       ts_time newest);

/* --- compact_dead.c: worker --------------------------------------------------------- */

/* A series of a delete record that nobody has any more. */
struct dead_id {
    series_id id;
    uint64_t order;       /* the largest of its records */
    bool held;            /* for the caller: false at first */
};

struct dead_ids {
    struct db *db;
    const struct job *job; /* asked whether to go on */
    VEC(struct dead_id) ids; /* ascending */
    uint64_t n_looked;
};

/* ST_CANCELLED, ST_NO_MEMORY; to be released in any case. */
CHECKED status dead_ids_collect(struct dead_ids *dead, struct db *db, const struct job *job,
                                const struct tombstones *deletes);
void dead_ids_release(struct dead_ids *dead); /* accepts a zeroed struct */
struct dead_id *dead_ids_find(const struct dead_ids *dead, series_id id); /* or NULL */

/* Calls fn for each entry of one of them in the segment. Takes its cost, in blocks of the
 * index, from *looks; does nothing and says !*done when that is more than there is. */
typedef void dead_entry_fn(void *ctx, struct dead_id *dead, const struct segment_entry *entry);
CHECKED status dead_ids_in(struct dead_ids *dead, struct segment *seg, uint64_t *looks,
                           dead_entry_fn *fn, void *ctx, bool *done, struct err *err);

/* --- compact_run.c, compact_series.c: worker -------------------------------------- */

struct part {
    struct segment_writer *writer; /* NULL: nothing yet */
    bool announced;                /* has the series at hand */
};

/* A chunk of the series at hand. */
struct piece {
    struct segment_entry entry;
    size_t src;
};

struct merging {
    struct compaction *c;
    struct err *err;
    struct seeker seeker;
    struct rate rate;
    enum chunk_effort effort;
    size_t chunk_points;

    struct segment_cursor *cursors; /* of the sources */
    const struct segment_entry *at[COMPACT_DROP_MAX]; /* NULL: at its end */
    bool touched[COMPACT_DROP_MAX]; /* some delete may hide something of the source */

    struct part part[COMPACT_PARTS_MAX];

    /* The series at hand. */
    series_id id;
    unsigned shard;
    struct series_facts facts;
    ts_time oldest;
    VEC(struct piece) pieces;
    struct intervals hidden[COMPACT_SOURCES_MAX];
    struct points got;              /* merged, not yet distributed */
    struct points pend;             /* the chunk that is being filled, of part pend_part */
    size_t pend_part;
    VEC(uint8_t) bytes;
    struct arena arena;             /* of values of the series */
    struct arena names;
    bool written;                   /* something of the series is in the output */
};

/* Merges the plan's sources into c->out, and lists who is gone. */
CHECKED status compact_run(struct compaction *c, struct err *err);

/* Removes the segments of a compaction that will not be published. */
void compact_remove_output(struct compaction *c);

/* Of a plan without output: who is gone. */
CHECKED status compact_list_gone(struct compaction *c, struct err *err);

/* Merges the pieces of the series at hand. */
CHECKED status compact_series(struct merging *m);

/* The writer of a part, begun when there is none; with the series announced. */
CHECKED status compact_part(struct merging *m, size_t part, struct segment_writer **out);

/* Polls for cancellation and keeps to the rate. */
CHECKED status compact_breathe(struct merging *m, uint64_t bytes);

#endif
