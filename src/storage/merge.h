/* K-way merge of sorted points: for reads and compaction alike. The only rule is
 * "newest wins" (architecture, section 7): where several sources have a point at one
 * timestamp, that of the highest rank is kept. A source's hidden intervals (deletes
 * that apply to it) are left out before that. Sources that do not overlap in time,
 * the common case, are copied in blocks.
 *
 * Values are moved, not looked into: bytes and histograms keep pointing where the
 * source's values pointed. One owner at a time.
 */
#ifndef TSINK_STORAGE_MERGE_H
#define TSINK_STORAGE_MERGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "model/point.h"
#include "storage/interval.h"

/* Ascending columns, borrowed. A timestamp twice in one source: the later one wins. */
struct merge_run {
    const ts_time *ts;
    const union value *val;
    size_t n;
    uint64_t rank;                   /* equal ranks: the later source wins */
    const struct intervals *hidden;  /* may be NULL */
};

/* Appends the merge of all runs within range to out, whose last point (if any) must
 * be before them. ST_NO_MEMORY leaves out as it was. */
CHECKED status merge_runs(struct points *out, const struct merge_run *runs, size_t n_runs,
                          struct time_range range);

/* Streaming: a source gives its points batch by batch. */
struct merge_source {
    /* Sets the next batch (ts, val, n of *run), all of it later than the batch before;
     * n = 0 at the end. Its columns stay valid until the next call of fill on this
     * source, and everything that values point to until the merge is released. */
    status (*fill)(struct merge_source *src, struct merge_run *run);
};

struct merge;

/* sources[i] with ranks[i] and hidden[i] (hidden or its entries may be NULL); the
 * array is copied, the sources are borrowed. Returns owned. */
CHECKED status merge_new(struct merge **out, struct merge_source *const *sources,
                         const uint64_t *ranks, const struct intervals *const *hidden,
                         size_t n_sources, struct time_range range);

/* Appends up to max points to out; *more is false at the end. Columns of the sources
 * given before may be gone afterwards. Statuses of fill, ST_NO_MEMORY. */
CHECKED status merge_next(struct merge *merge, struct points *out, size_t max, bool *more);
void merge_free(struct merge *merge); /* accepts NULL */

#endif
