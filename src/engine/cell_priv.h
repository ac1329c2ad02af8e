/* Cell: everything mutable of a database hangs from here. A database has one cell
 * today; functions take a cell, so that several owners stay possible (architecture,
 * section 4). All fields belong to the owner unless they say otherwise.
 */
#ifndef TSINK_ENGINE_CELL_PRIV_H
#define TSINK_ENGINE_CELL_PRIV_H

#include "base/exec.h"
#include "base/segvec.h"
#include "engine/clock_guard.h"
#include "engine/db.h"
#include "engine/head.h"
#include "engine/journal.h"
#include "engine/manifest.h"
#include "engine/retire.h"
#include "index/registry.h"
#include "base/vec.h"
#include "model/batch.h"
#include "storage/wal.h"

enum {
    CELL_SHARDS = 64,
    WRITE_SLICE_ROWS = 256,        /* rows in a slice, between two looks at the clock */
    OWNER_STEP_NS = 500 * 1000,    /* a step of the owner ends after this */
    ENCODE_JOB_MAX = 128,          /* series in one encode job */
    SEGMENT_RESERVE = 4096,        /* segment ids that the catalog file is ahead */
    CELL_BARRED_MAX = 32,          /* damaged segments that compaction remembers */
    ENCODE_QUEUE_MAX = 1 << 20,    /* series waiting to be encoded: then writes wait */
};

struct compaction;
struct flush;
struct rules;
struct view;
struct write_slice;

/* Keeps what is reachable now from being freed; views and encode jobs embed one. */
struct epoch_hold {
    struct list link;              /* of cell->holds, oldest first */
    uint64_t epoch;
};

/* Series whose full tails wait for an encode job, first come first served: who waits long
 * has several tails by then. */
struct encode_queue {
    VEC(uint32_t) ordinals;
    size_t first;                  /* the ones before it have been taken */
    uint32_t n_running;            /* jobs out */
};

static inline size_t encode_waiting(const struct encode_queue *queue)
{
    return queue->ordinals.len - queue->first;
}

/* A series of which nothing visible is left; see compact_gone.c. */
struct gone_series {
    series_id id;
    uint64_t epoch;                /* not touched in this or a later one: then it dies;
                                    * 0: it dies while its head is doomed */
};

struct cell {
    struct db *db;
    struct registry *registry;
    struct segvec heads;           /* struct head by ordinal */
    struct retire_list retire;     /* and the epoch */
    struct node_space space;       /* nodes; charged to the account below */
    struct flush_marks marks;

    /* Versions. */
    struct journal journal;
    uint32_t n_capturing;
    struct list holds;             /* struct epoch_hold, oldest first */
    struct list views;             /* struct view, oldest first */
    struct manifest *manifest;     /* current; one reference is the cell's */
    uint64_t del_gen;              /* generation of the newest delete */

    /* The write path. */
    struct wal *wal;
    struct list inbox;             /* struct batch, first come first served */
    struct list pins;              /* struct pin_wait: they wait for the end of a batch */
    struct task pump_task;
    bool pump_posted, pumping;
    uint64_t next_run;             /* id of the next sliced batch in the WAL */
    struct list deferred;          /* batches that wait for a look-up */
    struct list held_back;         /* batches that wait for series which holder holds */
    struct batch *holder;          /* has HEAD_HELD series, or NULL */
    struct write_slice *slice;     /* scratch of the step */
    struct node *spare;            /* tails that append may not fail for, linked by older */
    size_t n_spare;

    struct encode_queue encode;

    /* Deletes of many series (delete_many.h). */
    struct list delete_ops;        /* struct delete_op, one after the other */
    struct task delete_task;
    bool delete_posted, deleting;
    bool delete_open;              /* the first one's run has frames and no COMMIT yet */

    struct rules *rules;           /* series that are made from others (rules.h) */
    struct list relabels;          /* struct relabel_op, one after the other (relabel.h) */
    /* Flush. */
    struct flush *flush;           /* under way, or NULL */
    uint64_t flush_order;          /* order of the last flush begun */
    mono_ns last_flush, next_look;
    uint64_t wal_at_flush;         /* bytes of log when the last good flush began */
    lsn covered;                   /* everything up to here is in segments */
    uint64_t n_choosy;             /* heads with HEAD_CHOOSY */
    uint64_t n_unflushed;          /* samples in memory that no flush has taken */
    uint64_t n_unflushed_meta;     /* frames of exemplars and metadata, likewise */
    uint64_t saved_births;         /* births that the registry's files cover */
    uint64_t registry_tried;       /* the last number that a file of it was to have */
    /* Series that registry_remove() took away and no registry file knows yet: whoever
     * removes one pushes its id here. Without memory for that: lost_deaths, and the next
     * checkpoint writes a whole snapshot instead. */
    VEC(series_id) pending_deaths;
    _Atomic uint64_t n_deaths;     /* ever; written by the owner, read by any thread */
    bool lost_deaths;
    VEC(series_id) pending_attrs;  /* likewise series whose attributes changed */
    bool lost_attrs;
    VEC(struct delete_rec) pending_deletes; /* not yet in the tombstone file; owns ids */
    bool rebuild_running;          /* a job folds posting lists */

    /* Compaction (compact.h) and retention. */
    struct compaction *compact;    /* under way, or NULL */
    struct list compact_waiters;   /* who asked for one, first come first served */
    struct list removals;          /* segments whose directories go */
    uint64_t n_catalogs;           /* written by flushes and compactions since the start */
    mono_ns next_compact, next_key_look;
    int64_t compact_pause_ms;      /* after a failure */
    uint64_t compact_seen;         /* version of the manifest that needs nothing; 0: none */
    ts_time compact_seen_oldest;   /* what had expired then */
    uint64_t barred[CELL_BARRED_MAX]; /* ids of damaged segments */
    size_t n_barred;
    VEC(struct gone_series) gone;  /* from n_gone_seen on they wait */
    size_t n_gone_seen;
    bool gone_more;                /* some of them only wait for their turn */
    bool forgetting;               /* a job looks for deletes that hide nothing any more */
    mono_ns next_forget;
    uint64_t forget_seen;          /* version of the manifest that it looked at last */
    struct clock_guard clock;
    uint64_t next_segment;         /* ids below SEGMENT_RESERVE more are in the catalog */

    struct account account;        /* of nodes and what hangs from them */
    struct account list_account;   /* of lists that are measured now and then */
    mono_ns short_since;           /* batches have been waiting for memory since; 0: none */
    bool memory_asked;             /* a flush is wanted because of that */
    struct db_stats stats;
    struct db_job jobs[DB_JOB_KINDS];
    status refuse;                 /* not ST_OK: writes are refused, with refuse_err */
    struct err refuse_err;
    bool closing;                  /* no new batches or pins */
    bool closed;                   /* no new flushes either */
    bool attrs_dirty;              /* attributes changed since the last checkpoint */
    bool replaying;                /* during recovery: encode inline, no WAL */
};

static inline struct head *cell_head(const struct cell *cell, uint32_t ordinal)
{
    return segvec_at(&cell->heads, ordinal);
}

static inline uint64_t cell_epoch(const struct cell *cell)
{
    return atomic_load_explicit(&cell->retire.epoch, memory_order_relaxed);
}

/* --- db.c ----------------------------------------------------------------------- */

struct cell *db_cell(struct db *db);
bool db_threaded(const struct db *db); /* jobs run on other threads than the owner's */
ts_time db_now(const struct db *db);   /* wall clock in ticks */
int64_t db_ticks(const struct db *db, int64_t ms); /* a duration, saturating */
void db_wal_moved(void *db);           /* WAL thread: acked moved, space changed, failed */
void db_step_wal(struct db *db);       /* without a WAL thread: writes what is published */

/* --- cell.c --------------------------------------------------------------------- */

CHECKED status cell_init(struct cell *cell, struct db *db);
void cell_release(struct cell *cell);

/* A series for this batch entry or record; makes room in heads. ST_NO_MEMORY,
 * ST_CARDINALITY. id 0: mint one. place 0: that of its labels. */
CHECKED status cell_add_series(struct cell *cell, uint32_t *ordinal,
                               const struct series_new *make);

/* Gives a series other labels (canonical, that no other has) of a higher version: *to is its
 * ordinal from here on. ST_NO_MEMORY, ST_LIMIT: nothing has changed. While
 * cell_may_rename() only. */
CHECKED status cell_relabel(struct cell *cell, uint32_t *to, uint32_t from, struct labels labels,
                            struct slice identity, struct hash128 hash, uint16_t version);

/* Nobody but encode jobs and readers knows series by their ordinals for longer than a step. */
bool cell_may_rename(const struct cell *cell);

/* The same for recovery: a series with an id, its labels as pairs. */
struct pair_list;
CHECKED status cell_add_pairs(struct cell *cell, uint32_t *ordinal, const struct series_new *make,
                              const struct pair_list *list);

/* Heads of series that the registry has already (recovery), with these flags: several
 * threads may do it, each a range that has room and was never used. Returns how many the
 * owner adds to n_choosy. */
uint64_t cell_adopt_heads(const struct cell *cell, uint32_t from, uint32_t to, uint8_t flags);

/* The series dies: nobody finds it any more, its nodes are retired, its id goes to
 * pending_deaths. False, and nothing is changed, while a flush has its nodes, an encode job
 * or a deferred batch is at it, or a snapshot has yet to write down its name: ask again
 * later. Whoever calls this knows that no sample of it is to be kept, and has told the log
 * (WAL_REMOVE) or knows that the log says nothing of it. Between batches only
 * (write_idle()). */
CHECKED bool cell_remove_series(struct cell *cell, uint32_t ordinal);

/* Whether it succeeds, but for encode jobs. */
bool cell_may_remove(const struct cell *cell, uint32_t ordinal);

/* Takes over what changed attributes mean for the head. */
void cell_attrs_changed(struct cell *cell, uint32_t ordinal);

/* Recovery: an empty registry in place of one that was found damaged half way. */
CHECKED status cell_restart_registry(struct cell *cell);

/* Posting lists that wait to be folded, ordinals that may be born again: one job. */
void registry_upkeep(struct cell *cell);

/* The effective duplicate policy of a series with these attributes. */
enum dup_policy cell_policy(const struct cell *cell, const struct series_attrs *attrs,
                            bool keyed);

/* Counts and logs a failed job; after several in a row refuses writes (fail-fast). */
void cell_job_failed(struct cell *cell, enum db_job_kind kind, status st, const struct err *err);
void cell_job_done(struct cell *cell, enum db_job_kind kind);
bool cell_job_pauses(const struct cell *cell, enum db_job_kind kind); /* after a failure */

/* Begins a new epoch and holds the one before. */
void cell_hold(struct cell *cell, struct epoch_hold *hold);
/* Goes on with what a reader that entered at this epoch holds, when that one leaves. */
void cell_hold_since(struct cell *cell, struct epoch_hold *hold, uint64_t since);
void cell_unhold(struct epoch_hold *hold);

/* Manifest version of the oldest live view, UINT64_MAX when there is none. */
uint64_t cell_oldest_version(const struct cell *cell);

/* Bytes of everything charged in the process, or in the database when it has no parent
 * account: what memory-limit is about. */
uint64_t cell_memory_used(const struct cell *cell);

/* Measures the lists that no allocator charges: queues, cuts, deletes, manifests. */
void cell_charge_lists(struct cell *cell);

/* End of an owner's step: frees what nobody can see any more, within limits. */
void cell_collect(struct cell *cell);
void cell_collect_all(struct cell *cell); /* recovery: without limits */

/* --- write_*.c ------------------------------------------------------------------ */

void write_enqueue(struct cell *cell, struct batch *batch);
void write_pump(struct cell *cell);      /* applies batches until the step is over */
void write_wake(struct cell *cell);      /* posts a pump when something waits */
bool write_idle(const struct cell *cell); /* between batches: nothing half applied */
void write_finish_batch(struct cell *cell); /* applies the rest of the current one now */

/* --- encode.c ------------------------------------------------------------------- */

void encode_queue_push(struct cell *cell, uint32_t ordinal);
void encode_plan(struct cell *cell);
void encode_forget_dead(struct cell *cell); /* series that were removed leave the queue */

/* Recovery, without the exec port: takes up to max queued series (owner; NULL: none, or no
 * memory), encodes what lies below their newest nodes (any thread, beside an owner who
 * appends and frees nothing), and links it (owner). */
struct encode_job;
struct encode_job *encode_take(struct cell *cell, size_t max);
void encode_work(struct encode_job *job);
void encode_put(struct encode_job *job);

/* --- delete_many.c -------------------------------------------------------------- */

void delete_step(struct cell *cell);     /* goes on with what waits, bounded */
void delete_finish(struct cell *cell);   /* ends the run that is open, if one is */
void delete_close(struct cell *cell);    /* the same, and answers those that wait */

/* --- flush.c -------------------------------------------------------------------- */

/* Begins a flush unless one is under way or nothing is new; false then. */
bool flush_begin(struct cell *cell, const char *why);
bool flush_waits_for_views(const struct cell *cell); /* to unlink what it has written */
size_t flush_list_bytes(const struct cell *cell); /* of the flush under way, or 0 */
uint64_t flush_wal_bytes(const struct cell *cell); /* logged since the start, ever rising */
void flush_step(struct cell *cell);      /* goes on cutting or unlinking, bounded */

/* Takes this series into the flush that is cutting now, if it is not taken yet. */
void flush_cut_now(struct cell *cell, uint32_t ordinal);
void flush_abandon(struct cell *cell);   /* a close cannot wait for it any longer */
void flush_wal_moved(struct cell *cell); /* synced further: a waiting publish may go */

#endif
