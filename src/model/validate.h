/* The rules for names, labels and times, in one place for every protocol. Checks
 * that need no series id come before an id is minted (decision 33). Pure, any
 * thread. */
#ifndef TSINK_MODEL_VALIDATE_H
#define TSINK_MODEL_VALIDATE_H

#include "model/label.h"
#include "model/limits.h"
#include "model/time.h"

/* Sorted set from outside: sizes, count, UTF-8 names and values, non-empty names, a
 * metric name or a key, no reserved label (`__tsink_tenant__`; `__key__` only when
 * allow_key). ST_BAD_LABEL with a text that names the label and the reason. */
CHECKED status validate_labels(struct labels set, const struct limits *limits, bool allow_key,
                               struct err *err);

/* The window in which samples are accepted, worked out once a batch from the wall
 * clock. */
struct time_window {
    ts_time oldest, newest; /* inclusive */
};

/* retention 0: everything. Units: ticks of the database's precision. */
struct time_window time_window_at(ts_time now, int64_t retention, int64_t future_skew);

/* ST_OK, ST_TOO_OLD or ST_TOO_NEW. */
status validate_time(ts_time t, struct time_window window);

#endif
