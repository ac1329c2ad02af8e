/* Deletes: immutable sets of delete records (architecture, section 7, rule 4).
 *
 * A record {ids, range, order, gen} hides the points of its series and range in
 * segments with order_max <= order (and memory nodes with del_gen < gen, which is
 * the engine's business). Adding a record makes a new set that shares what it can
 * with the old one: a set is a stack of sorted runs of (id, range, order), merged
 * when two neighbours have like sizes and are small: an add costs a bounded time. A
 * look-up searches every run, so whoever adds much folds the set now and then:
 *
 *     owner    tombstones_seal(set)          what is added from now on stays apart
 *     worker   tombstones_filter(&left, set, ...)
 *     owner    tombstones_rebase(&next, set, left, now)
 *
 * Sets are immutable and counted atomically: any thread.
 */
#ifndef TSINK_STORAGE_TOMBSTONE_H
#define TSINK_STORAGE_TOMBSTONE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "model/time.h"
#include "storage/interval.h"

struct delete_rec {
    const uint64_t *ids;      /* series ids, strictly ascending */
    size_t n_ids;
    struct time_range range;  /* both ends inclusive */
    uint64_t order;           /* of the last flush begun before the delete */
    uint64_t gen;             /* of the delete; rises from record to record */
};

struct tombstones;

/* More runs than this ask for a fold: a look-up takes some microseconds then. */
enum { TOMBSTONES_RUNS_MANY = 64 };

/* base may be NULL (the empty set) and stays as it is. Returns owned. ST_NO_MEMORY,
 * ST_INVALID when the ids do not ascend or the range is empty. */
CHECKED status tombstones_add(struct tombstones **out, const struct tombstones *base,
                              const struct delete_rec *rec);

/* Without what can hide nothing any more: records with order < order_floor, the least
 * order_max of all segments. */
CHECKED status tombstones_trim(struct tombstones **out, const struct tombstones *base,
                               uint64_t order_floor);

struct tombstones *tombstones_ref(struct tombstones *set); /* NULL: NULL */
void tombstones_unref(struct tombstones *set);             /* accepts NULL */

/* The entries for which keep() says so, as records of one id, in few runs. Statuses of keep()
 * end it. */
CHECKED status tombstones_filter(struct tombstones **out, const struct tombstones *base,
                                 status (*keep)(void *ctx, const struct delete_rec *rec,
                                                bool *stays),
                                 void *ctx);

/* From now on adding leaves the set's runs as they are. Whoever adds (the owner). */
void tombstones_seal(struct tombstones *set);

/* now, which was made from the sealed old by adding, with left in the place of old.
 * ST_AGAIN when it was not; ST_NO_MEMORY. */
CHECKED status tombstones_rebase(struct tombstones **out, const struct tombstones *old,
                                 const struct tombstones *left, const struct tombstones *now);

/* NULL is the empty set for all that follows. */
bool tombstones_hides(const struct tombstones *set, uint64_t id, ts_time t, uint64_t order_max);

/* Adds to out what is hidden of series id in a segment with this order_max. */
CHECKED status tombstones_intervals(struct intervals *out, const struct tombstones *set,
                                    uint64_t id, uint64_t order_max);

/* Whether any record can hide anything of such a segment: the quick way out. */
bool tombstones_touch(const struct tombstones *set, uint64_t order_max, struct time_range range);

size_t tombstones_count(const struct tombstones *set);  /* (id, range) entries */
size_t tombstones_runs(const struct tombstones *set);   /* that a look-up searches */
size_t tombstones_bytes(const struct tombstones *set);  /* memory, shared runs included */
uint64_t tombstones_gen(const struct tombstones *set);  /* highest gen; 0 when empty */

/* Calls each for every entry in order of gen, as records of one id. */
CHECKED status tombstones_each(const struct tombstones *set,
                               status (*each)(void *ctx, const struct delete_rec *rec),
                               void *ctx);

/* Calls each for every entry of order order_min or above, in no particular order. */
CHECKED status tombstones_walk(const struct tombstones *set, uint64_t order_min,
                               status (*each)(void *ctx, const struct delete_rec *rec),
                               void *ctx);

#endif
