/* Timestamps: signed 64-bit counts of the database's precision since 1970-01-01
 * UTC (decision 9). The precision is a property of the database; the protocols
 * speak milliseconds and convert at the edge, exactly or not at all. Pure, any
 * thread. */
#ifndef TSINK_MODEL_TIME_H
#define TSINK_MODEL_TIME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

typedef int64_t ts_time;

#define TS_MIN INT64_MIN
#define TS_MAX INT64_MAX

enum precision { PRECISION_S, PRECISION_MS, PRECISION_US, PRECISION_NS };

/* Both ends inclusive; empty when from > to. */
struct time_range {
    ts_time from, to;
};

const char *precision_name(enum precision p); /* "s" "ms" "us" "ns" */
bool precision_parse(enum precision *out, struct slice text);

/* Ticks in a millisecond, or 0 when a tick is longer (PRECISION_S). */
int64_t precision_ticks_per_ms(enum precision p);

/* Exact conversions. From ms: false when the time does not fit or (PRECISION_S)
 * has a fraction. To ms: rounds towards minus infinity. */
bool time_from_ms(ts_time *out, int64_t ms, enum precision p);
int64_t time_to_ms(ts_time t, enum precision p);

/* Ends of a range given in ms, clamped instead of refused. */
ts_time time_from_ms_clamped(int64_t ms, enum precision p);

/* Start of the bucket that holds t: t - ((t - align) mod width), width >= 1,
 * mathematical modulus, clamped at TS_MIN. */
ts_time time_bucket(ts_time t, int64_t width, ts_time align);

static inline bool range_empty(struct time_range r)
{
    return r.from > r.to;
}

static inline bool range_overlaps(struct time_range a, struct time_range b)
{
    return a.from <= b.to && b.from <= a.to;
}

static inline bool range_has(struct time_range r, ts_time t)
{
    return r.from <= t && t <= r.to;
}

#endif
