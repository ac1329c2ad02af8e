/* What a metric family is: its type, help and unit, as exposition formats and remote
 * write carry them. Plain data; texts are borrowed. Pure, any thread. */
#ifndef TSINK_MODEL_METADATA_H
#define TSINK_MODEL_METADATA_H

#include <stdbool.h>

#include "base/slice.h"

/* The numbers are remote write's, and ours on disk: never renumber. */
enum metric_type {
    METRIC_UNKNOWN = 0,
    METRIC_COUNTER = 1,
    METRIC_GAUGE = 2,
    METRIC_HISTOGRAM = 3,
    METRIC_GAUGE_HISTOGRAM = 4,
    METRIC_SUMMARY = 5,
    METRIC_INFO = 6,
    METRIC_STATESET = 7,
    N_METRIC_TYPES
};

struct metric_meta {
    struct slice family; /* name of the metric family */
    struct slice help, unit;
    enum metric_type type;
};

/* "unknown" "counter" "gauge" "histogram" "gaugehistogram" "summary" "info" "stateset" */
const char *metric_type_name(enum metric_type type);

/* The same words, and "untyped" for unknown. */
bool metric_type_parse(enum metric_type *out, struct slice text);

#endif
