/* Types of metric families. See metadata.h. */
#include "model/metadata.h"

#include <stddef.h>

static const char *const names[N_METRIC_TYPES] = {
    [METRIC_UNKNOWN] = "unknown",
    [METRIC_COUNTER] = "counter",
    [METRIC_GAUGE] = "gauge",
    [METRIC_HISTOGRAM] = "histogram",
    [METRIC_GAUGE_HISTOGRAM] = "gaugehistogram",
    [METRIC_SUMMARY] = "summary",
    [METRIC_INFO] = "info",
    [METRIC_STATESET] = "stateset",
};

const char *metric_type_name(enum metric_type type)
{
    return (unsigned)type < N_METRIC_TYPES ? names[type] : names[METRIC_UNKNOWN];
}

bool metric_type_parse(enum metric_type *out, struct slice text)
{
    if (slice_is(text, "untyped")) {
        *out = METRIC_UNKNOWN;
        return true;
    }
    for (size_t i = 0; i < N_METRIC_TYPES; i++) {
        if (!slice_is(text, names[i])) continue;
        *out = (enum metric_type)i;
        return true;
    }
    return false;
}
