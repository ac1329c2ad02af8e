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

CHECKED bool points_reserve(struct points *pts, size_t more);
CHECKED bool points_push(struct points *pts, ts_time ts, union value val);
void points_release(struct points *pts); /* accepts a zeroed struct */

/* First index with ts >= t. */
size_t points_seek(const struct points *pts, ts_time t);

#endif
