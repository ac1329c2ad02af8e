/* Who has how many series: the largest metric names, label names and pairs. Worker. */
#ifndef TSINK_ENGINE_CARDINALITY_H
#define TSINK_ENGINE_CARDINALITY_H

#include "base/arena.h"
#include "engine/db.h"

struct name_count {
    struct slice name, value;  /* value empty unless it is about pairs */
    uint64_t n;
};

struct name_counts {
    struct name_count *ptr;    /* in the arena, largest first */
    size_t n;
};

struct cardinality {
    uint64_t n_series, n_pairs;
    struct name_counts by_metric;      /* series of a metric name */
    struct name_counts by_pair;        /* series with a label pair */
    struct name_counts values_by_name; /* distinct values of a label name */
    struct name_counts bytes_by_name;  /* bytes of those values */
};

/* Walks every series; at most limit entries a list. Polls *cancelled (may be NULL).
 * ST_CANCELLED, ST_NO_MEMORY. Texts are in the arena. */
CHECKED status db_cardinality(struct db *db, size_t limit, const _Atomic bool *cancelled,
                              struct arena *arena, struct cardinality *out);

#endif
