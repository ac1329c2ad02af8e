/* Timestamps and precisions. See time.h. */
#include "model/time.h"

#include "base/bits.h"
#include "base/panic.h"

enum { MS_PER_S = 1000 };

static const struct {
    const char *name;
    int64_t ticks_per_ms; /* 0: a tick is longer than a millisecond */
} precisions[] = {
    [PRECISION_S] = {"s", 0},
    [PRECISION_MS] = {"ms", 1},
    [PRECISION_US] = {"us", 1000},
    [PRECISION_NS] = {"ns", 1000000},
};

static int64_t floor_div(int64_t a, int64_t b) /* b > 0 */
{
    return a / b - (a % b < 0);
}

static int64_t floor_mod(int64_t a, int64_t b) /* b > 0 */
{
    int64_t rest = a % b;
    return rest < 0 ? rest + b : rest;
}

const char *precision_name(enum precision p)
{
    return precisions[p].name;
}

bool precision_parse(enum precision *out, struct slice text)
{
    for (size_t i = 0; i < ARRAY_LEN(precisions); i++) {
        if (!slice_is(text, precisions[i].name)) continue;
        *out = (enum precision)i;
        return true;
    }
    return false;
}

int64_t precision_ticks_per_ms(enum precision p)
{
    return precisions[p].ticks_per_ms;
}

bool time_from_ms(ts_time *out, int64_t ms, enum precision p)
{
    if (p != PRECISION_S) return !__builtin_mul_overflow(ms, precisions[p].ticks_per_ms, out);
    if (ms % MS_PER_S != 0) return false;
    *out = ms / MS_PER_S;
    return true;
}

int64_t time_to_ms(ts_time t, enum precision p)
{
    int64_t ms;
    if (p != PRECISION_S) return floor_div(t, precisions[p].ticks_per_ms);
    if (!__builtin_mul_overflow(t, MS_PER_S, &ms)) return ms;
    return t < 0 ? INT64_MIN : INT64_MAX;
}

ts_time time_from_ms_clamped(int64_t ms, enum precision p)
{
    ts_time t;
    if (p == PRECISION_S) return floor_div(ms, MS_PER_S);
    if (!__builtin_mul_overflow(ms, precisions[p].ticks_per_ms, &t)) return t;
    return ms < 0 ? TS_MIN : TS_MAX;
}

ts_time time_bucket(ts_time t, int64_t width, ts_time align)
{
    /* (t - align) mod width, from two remainders of 0..width-1: nothing overflows */
    int64_t into = floor_mod(t, width) - floor_mod(align, width);
    return sat_sub(t, into < 0 ? into + width : into);
}
