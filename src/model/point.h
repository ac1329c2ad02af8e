/* A sample, and columns of samples. Pure. */
#ifndef TSINK_MODEL_POINT_H
#define TSINK_MODEL_POINT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"
#include "model/time.h"
#include "model/value.h"

struct point {
    ts_time ts;
    union value val;
};

/* Columns of one series, ascending in time, one value a timestamp. Grows like a
 * vector; one owner at a time. */
struct points {
    ts_time *ts;
    union value *val;
    size_t n, cap;
};

/* Numbers of one series as columns that somebody else owns, ascending in time; not to be
 * changed. Other types than f64 are converted. */
struct sample_span {
    const ts_time *ts;
    const double *val;
    size_t n;
    uint64_t times;   /* which column of times: of one reader, spans with the same number
                       * have the same n times. Never 0 when there are samples */
    bool may_be_nan;  /* false: no value is NaN, so none is a stale marker */
};

CHECKED bool points_reserve(struct points *pts, size_t more);
CHECKED bool points_push(struct points *pts, ts_time ts, union value val);
void points_release(struct points *pts); /* accepts a zeroed struct */

/* First index with ts >= t. */
size_t points_seek(const struct points *pts, ts_time t);

#endif
