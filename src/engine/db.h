/* The database: open, write, look, close. One engine for the library, the server and
 * a node of a cluster.
 *
 *     db_open        recovers: discover, load, open WAL, hydrate, replay, finalise
 *     db_sink        where batches go (model/sink.h)
 *     view.h         where samples come from
 *     db_tick        the owner's cron: flush triggers, retention, memory, upkeep
 *     db_close       a last flush with a deadline; the WAL covers the rest
 *
 * Threads: "owner" below is the one thread that owns all mutable state at a time (the
 * reactor in the server). Jobs run through the exec port and come back to the owner.
 */
#ifndef TSINK_ENGINE_DB_H
#define TSINK_ENGINE_DB_H

#include "base/clock.h"
#include "base/exec.h"
#include "base/rng.h"
#include "base/strbuf.h"
#include "base/vfs.h"
#include "engine/exemplars.h"
#include "engine/job_table.h"
#include "engine/metadata_store.h"
#include "engine/options.h"
#include "index/registry.h"
#include "model/sink.h"
#include "model/validate.h"

struct db;

/* What the database needs from outside. All outlive it. */
struct db_ports {
    struct vfs *vfs;
    struct clock *clock;
    struct rng *rng;
    struct exec *exec;
    struct account *account;    /* parent of the database's accounts; may be NULL */
    bool wal_thread;            /* start one; otherwise the owner steps the WAL itself */
    unsigned recover_threads;   /* that recovery may run side by side; 0 and 1: its own */
    /* WAL thread: the acknowledged lsn moved or the log failed; may be NULL. The
     * server wakes the loops that park answers. */
    void (*durable)(void *ctx);
    void *durable_ctx;
    /* The thread that opens, some hundred times a second: recovery is in this phase and
     * has done so much of so much. May serve those who ask meanwhile; false gives up.
     * May be NULL. */
    bool (*progress)(void *ctx, const char *phase, uint64_t done, uint64_t total);
    void *progress_ctx;
};

/* Exit code of a failed open is a matter of its status: ST_LOCKED, ST_CORRUPT, ST_IO,
 * ST_INVALID. */
CHECKED status db_open(struct db **out, const struct db_options *options,
                       const struct db_ports *ports, struct err *err);

/* Owner. Refuses new batches, ends jobs, flushes until the deadline (mono; 0: do not
 * flush), closes the WAL. The caller serves the exec port meanwhile through `serve`
 * (run what waits for the owner, return soon); NULL when jobs run inline. Frees db. */
status db_close(struct db *db, mono_ns deadline, void (*serve)(void *ctx), void *ctx,
                struct err *err);

struct sink *db_sink(struct db *db);
const struct db_options *db_options(const struct db *db);
struct registry *db_registry(struct db *db);
struct exec *db_exec(struct db *db);
struct clock *db_clock(struct db *db);

/* What requests brought beside samples; any thread reads. Batches fill them. */
struct exemplars *db_exemplars(struct db *db);
struct metadata_store *db_metadata(struct db *db);

/* Any thread. Readers of the index without a view: io loops that probe, workers that
 * resolve. Short: memory that the owner retires waits for them. */
int db_reader_enter(struct db *db);
void db_reader_leave(struct db *db, int slot);

/* Any thread. Series that have died in this process. Whoever probes notes it, plus 1, in
 * batch->n_deaths: a batch of which a probe is stale, and which cannot tell the labels,
 * comes back as it went, uncounted, with ST_AGAIN at such a series. */
uint64_t db_deaths(const struct db *db);

/* Any thread. What answers wait for: the answer to a batch may go out when
 * db_durable() >= batch->durable_at. Not ST_OK after a failed sync: then never. */
lsn db_durable(const struct db *db);
status db_durable_failed(const struct db *db, struct err *err);

/* Owner, at least every flush-interval and after each batch of work. Returns the
 * nanoseconds until it wants to be called again. */
int64_t db_tick(struct db *db);

/* Owner. Asks for a flush now; done(ctx, st) is called on the owner when it is over,
 * ST_OK also when there was nothing to do. */
void db_flush(struct db *db, void (*done)(void *ctx, status st), void *ctx);

/* Owner. An administrator says that the wall clock is right: retention that was suspended
 * by a jump of the clock goes on (clock_guard.h). */
void db_confirm_clock(struct db *db);

/* Owner. Merges the segments there are, down to the last level, and takes out what deletes
 * hide; writes nothing from memory. done(ctx, st) on the owner when nothing is left to do;
 * ST_NO_SPACE, ST_CLOSED, or why a merge failed. */
void db_compact(struct db *db, void (*done)(void *ctx, status st), void *ctx);

/* The same for deletes alone: segments are rewritten in their places. */
void db_clean_deletes(struct db *db, void (*done)(void *ctx, status st), void *ctx);

/* Owner. The window in which samples are accepted now. Also for decoders: it is a
 * value, valid for about as long as its clock. */
struct time_window db_window(const struct db *db);

/* --- single series: owner ------------------------------------------------------- */

struct db_latest {
    ts_time ts;
    uint64_t bits;
    enum value_type type;
};

/* The newest sample from the head line, without touching a sample. ST_NOT_FOUND: the
 * series is empty; ST_AGAIN: only a view can tell (after a restart). */
status db_latest(struct db *db, uint32_t ordinal, struct db_latest *out);

/* A mark in time; whether samples of a live series were written or deleted since one. Upkeep
 * (a flush, an encoded tail) may look like a write. */
uint64_t db_mark(struct db *db);
bool db_touched_since(struct db *db, uint32_t ordinal, uint64_t mark);

/* Replaces the attributes of a series (TS.ALTER); goes through the WAL: *at is what the
 * answer waits for. */
CHECKED status db_set_attrs(struct db *db, uint32_t ordinal, const struct series_attrs *attrs,
                            lsn *at, struct err *err);

/* Hides what is stored now of these series in the range; later samples are not
 * concerned. Takes ids by copy. */
CHECKED status db_delete(struct db *db, const uint32_t *ordinals, size_t n,
                         struct time_range range, lsn *at, struct err *err);

/* --- observation ---------------------------------------------------------------- */

/* Counters since open, and sizes as they are. metrics.def has a row for each. */
struct db_stats {
    uint64_t n_batches, n_rows, n_rows_stored, n_rows_refused, n_rows_duplicate;
    uint64_t n_rows_late, n_rows_deferred, n_rows_ignored;
    uint64_t refused_by[64];       /* by status */
    uint64_t n_starts_stored, n_starts_dropped; /* start timestamps: write_starts.c */
    uint64_t n_series_made;
    uint64_t n_encode_jobs, n_blocks_encoded, n_chunks_sealed;
    uint64_t n_flushes, n_flush_failures, flush_ns, n_flush_samples, n_flush_bytes;
    uint64_t n_views, n_view_retries, n_views_live, n_views_cancelled;
    uint64_t n_deletes, n_segments_expired;
    /* Compaction: merges and rewrites; expiry of whole segments is not among them. */
    uint64_t n_compactions, n_compact_errors, n_compact_deferred; /* deferred: for space */
    uint64_t n_compact_sources, n_compact_outputs;
    uint64_t n_compact_copied, n_compact_encoded; /* chunks */
    uint64_t n_compact_points_in, n_compact_points_out;
    uint64_t n_compact_bytes_in, n_compact_bytes_out;
    uint64_t compact_ns;
    uint64_t n_samples_expired, n_series_gone, n_deletes_forgotten, n_clock_jumps;
    uint64_t n_segments_at[3];     /* by level */
    uint64_t n_delete_records;     /* that may still hide something */
    uint64_t compacting, retention_suspended; /* 0 or 1 */
    struct db_job jobs[DB_JOB_KINDS]; /* by enum db_job_kind */
    uint64_t n_segments, n_segment_bytes, n_segment_samples;
    uint64_t n_ordinals, n_series_dead; /* ever used; dead and not to be used again yet */
    uint64_t n_label_pairs, n_label_texts;
    uint64_t n_series, n_unflushed, n_retired, n_retired_bytes, n_journal_max;
    uint64_t head_bytes, registry_bytes, list_bytes, wal_buffer_bytes;
    uint64_t memory_used, memory_limit; /* of the process; 0: no limit */
    uint64_t n_memory_waits;       /* batches that waited for memory */
    uint64_t wal_bytes, wal_frames, wal_syncs, wal_sync_ns, wal_live_bytes;
    uint64_t replay_frames, replay_samples, replay_ns, replay_torn_bytes, replay_damaged;
    uint64_t n_quarantined;
    uint64_t n_snapshots, n_snapshot_failures, snapshot_ns; /* the last: of the last good one */
    uint64_t snapshot_running;     /* 0 or 1 */
    /* Exemplars and metadata: the stores' own counters, and what did not reach them. */
    struct exemplar_stats exemplars;
    struct metadata_stats metadata;
    uint64_t n_exemplars_no_series;
    uint64_t n_meta_unlogged;      /* that the log had no room for: exemplars are dropped,
                                    * families are in the next flush */
    uint64_t exemplar_bytes, metadata_bytes;
};

/* Owner. */
void db_stats(struct db *db, struct db_stats *out);

/* A segment as status routes show it. Times in ms, rounded down. */
struct db_segment {
    uint64_t id;
    unsigned level;
    int64_t min_ms, max_ms;
    uint64_t n_series, n_chunks, n_samples, n_bytes;
};

/* Owner. Calls fn for every segment. */
void db_segments(struct db *db, void (*fn)(void *ctx, const struct db_segment *segment),
                 void *ctx);

/* Owner, nothing under way: walks registry, heads, manifest, segments and deletes and
 * explains the first contradiction. */
CHECKED status db_check(struct db *db, struct err *err);

/* Why writes are refused now, or ST_OK. Owner. */
status db_refusing(const struct db *db, struct err *err);

#endif
