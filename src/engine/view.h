/* View: one consistent version of the database, pinned in constant time.
 *
 *     resolve      worker   matchers -> ordinals, noting how many births it saw
 *     view_pin     owner    epoch, manifest, place in the journal
 *     capture      worker   the root of each series as it was at the pin
 *     view_read    worker   samples of one captured series
 *     view_unpin   owner
 *
 * A sample is in a view if and only if its batch was applied before the pin, however
 * long the worker takes to capture. A view never outlives evaluation: it holds memory
 * back, and is ended (every call says ST_LIMIT) when that is more than a sixteenth of
 * memory-limit. db_pin() and db_unpin() are the worker's way to the owner.
 */
#ifndef TSINK_ENGINE_VIEW_H
#define TSINK_ENGINE_VIEW_H

#include "engine/db.h"
#include "model/point.h"

struct view;

/* A series as it was at the pin. */
struct captured {
    uint32_t ordinal;
    uint64_t root;   /* engine/node.h; opaque outside the engine */
};

/* Whether the series had another ordinal at the pin already, because its labels had changed
 * (relabel.h): this one has nothing then, and is left out of answers. */
bool captured_moved(const struct captured *series);

/* A worker (or, in the library and in simulation, the caller): asks the owner for a pin
 * and waits for it; never between the slices of a batch. ST_CLOSED, ST_NO_MEMORY. */
CHECKED status db_pin(struct db *db, struct view **out, struct err *err);

/* The same for a reader (db_reader_enter()) that found ordinals: they stay what they are
 * until the view is unpinned, those of series that died before the pin among them. The
 * reader leaves when it likes. */
CHECKED status db_pin_found(struct db *db, int reader, struct view **out, struct err *err);

/* Any thread but the owner in the server; returns at once. */
void db_unpin(struct db *db, struct view *view);

/* The owner itself, never while a batch is half applied (asserted). NULL: no memory. */
struct view *view_pin(struct db *db);
void view_unpin(struct view *view);

/* The owner, for reads so small that a job would cost more: appends the samples of one
 * series within range as view_read() does, if they are in memory alone and at most
 * samples_max of them have to be looked at. ST_AGAIN: ask a job. */
CHECKED status db_read_small(struct db *db, uint32_t ordinal, struct time_range range,
                             uint64_t samples_max, struct points *out, struct arena *arena,
                             struct err *err);

/* Births that the view has: ordinals born later are not in it. */
uint64_t view_births(const struct view *view);

/* The wall clock at the pin, in ticks; retention is judged by it. */
ts_time view_now(const struct view *view);

/* Worker. Fills root for n entries whose ordinals ascend. To be called once a view.
 * ST_AGAIN when the journal overflowed meanwhile: unpin and pin again. */
CHECKED status view_capture(struct view *view, struct captured *series, size_t n,
                            struct err *err);

/* Worker or owner. Appends the samples of a captured series within range, ascending,
 * newest wins, deletes and retention applied; bytes and histograms are in the arena.
 * ST_CORRUPT names a damaged segment. */
CHECKED status view_read(struct view *view, const struct captured *series,
                         struct time_range range, struct points *out, struct arena *arena,
                         struct err *err);

/* The same with samples that retention hides already and that are still there: what is made
 * of a series (rules) must not miss those that came and expired in one batch. */
CHECKED status view_read_expired(struct view *view, const struct captured *series,
                                 struct time_range range, struct points *out,
                                 struct arena *arena, struct err *err);

/* The newest sample at or before range.to, not before range.from; *found says whether
 * there is one. */
CHECKED status view_last(struct view *view, const struct captured *series,
                         struct time_range range, struct point *out, bool *found,
                         struct arena *arena, struct err *err);

/* Bounds and an upper bound of the number of samples, from headers alone. */
struct series_extent {
    struct time_range range;   /* empty: no samples */
    uint64_t n_samples;        /* late duplicates may count twice */
    uint64_t n_chunks;
    uint64_t n_bytes;          /* memory and disk */
    bool exact;                /* nothing overlaps: range and n_samples are exact but for
                                * deletes and retention */
};
CHECKED status view_extent(struct view *view, const struct captured *series,
                           struct series_extent *out, struct err *err);

/* Which of n captured series, whose ordinals ascend, have something stored whose bounds overlap
 * the range: sets has[0..n) to 1 or 0 (one that has moved: 0). Deletes and retention are not
 * looked at. Many at once cost much less than one by one. Polls nothing: call it for some ten
 * thousand. */
CHECKED status view_reaches(struct view *view, const struct captured *series, size_t n,
                            struct time_range range, uint8_t *has, struct err *err);

/* One chunk of a segment, or one chunk or run in memory, as its header tells. */
struct chunk_extent {
    struct time_range range;
    uint64_t n_samples, n_bytes;
};
typedef status chunk_extent_fn(void *ctx, const struct chunk_extent *chunk);

/* Calls fn for each chunk of a captured series, in no order of time; what it returns but
 * ST_OK ends the walk. */
CHECKED status view_chunks(struct view *view, const struct captured *series, chunk_extent_fn *fn,
                           void *ctx, struct err *err);

struct registry *view_registry(struct view *view);

#endif
