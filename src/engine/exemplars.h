/* The store of exemplars: the newest of each series, bounded in number, a series at a time
 * and in all, and in bytes by its account. What is oldest goes first: of the series when
 * that is full, else what came in longest ago.
 *
 * Exemplars of a series come in order (exemplar_cmp()): one that says what the newest said
 * is no news, one that comes before it in that order is refused. Whoever puts the same ones
 * again in the same order therefore changes nothing: that is why a log may be replayed over
 * a file that has some of it already.
 *
 * Series are known by their ids; a series that is no more must be dropped here.
 *
 * Threads: the owner puts, drops and deletes; anyone reads. A lock is held for one series at
 * a time, or for some hundred exemplars of a walk.
 */
#ifndef TSINK_ENGINE_EXEMPLARS_H
#define TSINK_ENGINE_EXEMPLARS_H

#include "base/account.h"
#include "base/arena.h"
#include "base/list.h"
#include "model/batch.h"
#include "model/time.h"

enum { EXEMPLARS_PER_SERIES_MAX = 4096, EXEMPLARS_MAX = 10000000 };

struct exemplar_limits {
    uint32_t total;            /* 0: none are kept */
    uint32_t per_series;       /* at least 1 */
};

struct exemplars;

/* Charged to the account. NULL when memory is refused. */
struct exemplars *exemplars_new(const struct exemplar_limits *limits, struct account *account);
void exemplars_free(struct exemplars *store); /* accepts NULL */

enum exemplar_verdict {
    EXEMPLAR_STORED,
    EXEMPLAR_DUPLICATE,        /* the newest says the same */
    EXEMPLAR_OUT_OF_ORDER,     /* the newest comes behind it */
    EXEMPLAR_NO_ROOM,          /* none are kept, or no memory */
};

/* Owner. Copies. */
enum exemplar_verdict exemplars_put(struct exemplars *store, series_id id,
                                    const struct exemplar *ex);

/* Owner. The series is no more. */
void exemplars_drop(struct exemplars *store, series_id id);

/* Owner. Takes out what lies in the closed range, of n series. */
void exemplars_delete(struct exemplars *store, const uint64_t *ids, size_t n,
                      struct time_range range);

/* Counters since it was made, and sizes as they are. Any thread. */
struct exemplar_stats {
    uint64_t n_stored, n_duplicate, n_out_of_order, n_no_room;
    uint64_t n_evicted;        /* to make room */
    uint64_t n_series, n_exemplars;
};
void exemplars_stats(struct exemplars *store, struct exemplar_stats *out);

/* Counters begin again: what recovery put was no news. Owner. */
void exemplars_begin_stats(struct exemplars *store);

/* ---- reading: any thread --------------------------------------------------------- */

/* The ids of all series that have some, in no order; in the arena. ST_NO_MEMORY. */
CHECKED status exemplars_series(struct exemplars *store, struct arena *arena, uint64_t **ids,
                                size_t *n);

/* The exemplars of a series in the closed range, oldest first; copies in the arena. */
CHECKED status exemplars_read(struct exemplars *store, series_id id, struct time_range range,
                              struct arena *arena, struct exemplar **out, size_t *n);

/* ---- walking, for files ----------------------------------------------------------- */

/* Everything changes this number: a file is current while it is what it was. Any thread. */
uint64_t exemplars_version(struct exemplars *store);

/* What has come in by now: a mark for a walk. Any thread. */
uint64_t exemplars_mark(struct exemplars *store);

/* A walk over what came in before the mark, in the order in which it came in. What goes
 * away meanwhile is passed over. Any thread, one at a time each. */
struct exemplar_walk {
    struct list link;          /* of the store's walks */
    struct list *next;         /* the entry it comes to */
    uint64_t mark;
};
void exemplars_walk_begin(struct exemplars *store, struct exemplar_walk *walk, uint64_t mark);
void exemplars_walk_end(struct exemplars *store, struct exemplar_walk *walk);

/* Goes on with up to max of them: each is called under the lock and copies what it wants.
 * *more: there may be others behind them. */
CHECKED status exemplars_walk(struct exemplars *store, struct exemplar_walk *walk, size_t max,
                              status (*each)(void *ctx, series_id id, const struct exemplar *ex),
                              void *ctx, bool *more);

/* Every sum and every link agrees; ST_CORRUPT with words. Owner. */
CHECKED status exemplars_check(struct exemplars *store, struct err *err);

#endif
