/* What a selector names: the series that a delete is to hide, and what it would hide.
 * Worker (or, in the library and in simulation, the caller).
 */
#ifndef TSINK_ENGINE_DELETE_LOOK_H
#define TSINK_ENGINE_DELETE_LOOK_H

#include "base/slice.h"
#include "engine/db.h"
#include "model/matcher.h"

struct delete_look {
    const struct matchers *groups; /* a series is meant when one of them accepts it */
    size_t n_groups;
    struct slice tenant;           /* empty: the default one */
    struct time_range range;       /* closed */
    const _Atomic bool *cancelled; /* of the index's walk; may be NULL */
    /* Asked every few series; what it returns but ST_OK ends the look. May be NULL. */
    status (*poll)(void *ctx, struct err *err);
    void *ctx;
};

/* The ids of the series, ascending, each once; the caller frees with mem_free(). Births
 * that go on meanwhile may be missing. ST_NO_MEMORY, ST_CANCELLED. */
CHECKED status delete_resolve(struct db *db, const struct delete_look *look, series_id **ids,
                              size_t *n, struct err *err);

struct delete_counts {
    uint64_t n_series;  /* that are meant */
    uint64_t n_samples; /* that are visible now and in the range */
};

/* Exact, of one view; holds the samples of one series at a time. ST_LIMIT when too many
 * series change while it begins, ST_CORRUPT, and as above. */
CHECKED status delete_count(struct db *db, const struct delete_look *look,
                            struct delete_counts *out, struct err *err);

#endif
