/* Arguments of TS.RANGE and friends (resp.md 2.11). See ts_args.h. */
#include <stdlib.h>
#include <string.h>

#include "api/ts_args.h"
#include "base/numfmt.h"

static status refuse(struct err *err, const char *text)
{
    return err_set(err, ST_INVALID, "%s", text);
}

static status parse_bound(struct ts_bound *out, struct arg_cursor *at, char open, const char *text,
                          struct err *err)
{
    struct slice word;
    if (!arg_next(at, &word)) return refuse(err, text);
    if (word.len == 1 && word.ptr[0] == open) {
        out->open = true;
        return ST_OK;
    }
    if (!arg_int(&out->ms, word) || out->ms < 0) return refuse(err, text);
    return ST_OK;
}

status ts_parse_from(void *field, struct arg_cursor *at, struct err *err)
{
    return parse_bound(field, at, '-', "TSDB: wrong fromTimestamp", err);
}

status ts_parse_to(void *field, struct arg_cursor *at, struct err *err)
{
    return parse_bound(field, at, '+', "TSDB: wrong toTimestamp", err);
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

status ts_parse_times(void *field, struct arg_cursor *at, struct err *err)
{
    struct ts_times *out = field;
    int64_t ms;
    out->n = 0;
    out->ms = arena_try_array(at->arena, FILTER_TS_MAX, sizeof(*out->ms));
    if (!out->ms) return ST_NO_MEMORY;
    while (at->at < at->argc && out->n < FILTER_TS_MAX && arg_int(&ms, arg_peek(at)) && ms >= 0) {
        out->ms[out->n++] = ms;
        at->at++;
    }
    if (out->n == 0)
        return refuse(err, "TSDB: FILTER_BY_TS one or more arguments are missing");
    qsort(out->ms, out->n, sizeof(*out->ms), by_value);
    size_t n = 1;
    for (size_t i = 1; i < out->n; i++)
        if (out->ms[i] != out->ms[n - 1]) out->ms[n++] = out->ms[i];
    out->n = n;
    return ST_OK;
}

status ts_parse_values(void *field, struct arg_cursor *at, struct err *err)
{
    struct ts_values *out = field;
    struct slice min, max;
    if (!arg_next(at, &min) || !arg_next(at, &max))
        return refuse(err, "TSDB: FILTER_BY_VALUE one or more arguments are missing");
    if (!arg_double(&out->min, min)) return refuse(err, "TSDB: Couldn't parse MIN");
    if (!arg_double(&out->max, max)) return refuse(err, "TSDB: Couldn't parse MAX");
    out->has = true;
    return ST_OK;
}

status ts_parse_count(void *field, struct arg_cursor *at, struct err *err)
{
    struct ts_number *out = field;
    struct slice word;
    if (!arg_next(at, &word)) return refuse(err, "TSDB: COUNT argument is missing");
    if (!arg_int(&out->v, word)) return refuse(err, "TSDB: Couldn't parse COUNT");
    if (out->v < 1) return refuse(err, "TSDB: Invalid COUNT value");
    out->has = true;
    return ST_OK;
}

status ts_parse_align(void *field, struct arg_cursor *at, struct err *err)
{
    struct ts_align *out = field;
    struct slice word;
    if (!arg_next(at, &word)) return refuse(err, "TSDB: unknown ALIGN parameter");
    if (slice_is_nocase(word, "start") || slice_is(word, "-"))
        out->how = TS_ALIGN_START;
    else if (slice_is_nocase(word, "end") || slice_is(word, "+"))
        out->how = TS_ALIGN_END;
    else if (arg_int(&out->ms, word) && out->ms >= 0)
        out->how = TS_ALIGN_AT;
    else
        return refuse(err, "TSDB: unknown ALIGN parameter");
    return ST_OK;
}

status ts_parse_aggs(struct ts_aggregation *out, struct slice list, struct err *err)
{
    out->n = 0;
    for (;;) {
        const char *comma = memchr(list.ptr, ',', list.len);
        size_t len = comma ? (size_t)(comma - list.ptr) : list.len;
        if (len == 0) return refuse(err, "TSDB: Empty aggregation type in list");
        if (out->n == AGGREGATORS_MAX) return refuse(err, "TSDB: Too many aggregation types");
        if (!agg_parse(&out->aggs[out->n++], slice_of(list.ptr, len)))
            return refuse(err, "TSDB: Unknown aggregation type");
        if (!comma) return ST_OK;
        list = slice_skip(list, len + 1);
    }
}

status ts_parse_aggregation(void *field, struct arg_cursor *at, struct err *err)
{
    struct ts_aggregation *out = field;
    struct slice list, bucket;
    out->at = at->at - 1; /* the word itself has been taken */
    if (!arg_next(at, &list) || !arg_next(at, &bucket) || list.len == 0)
        return refuse(err, "TSDB: Couldn't parse AGGREGATION");
    TRY(ts_parse_aggs(out, list, err));
    if (!arg_int(&out->bucket_ms, bucket)) return refuse(err, "TSDB: Couldn't parse AGGREGATION");
    if (out->bucket_ms <= 0)
        return refuse(err, "TSDB: bucketDuration must be greater than zero");
    return ST_OK;
}

status ts_parse_stamp(void *field, struct arg_cursor *at, struct err *err)
{
    struct ts_placed *out = field;
    struct slice word;
    out->at = at->at - 1;
    if (!arg_next(at, &word)) return refuse(err, "TSDB: unknown BUCKETTIMESTAMP parameter");
    if (slice_is_nocase(word, "start") || slice_is(word, "-"))
        out->stamp = BUCKET_START;
    else if (slice_is_nocase(word, "end") || slice_is(word, "+"))
        out->stamp = BUCKET_END;
    else if (slice_is_nocase(word, "mid") || slice_is(word, "~"))
        out->stamp = BUCKET_MID;
    else
        return refuse(err, "TSDB: unknown BUCKETTIMESTAMP parameter");
    return ST_OK;
}

status ts_parse_empty(void *field, struct arg_cursor *at, struct err *err)
{
    (void)err;
    ((struct ts_placed *)field)->at = at->at - 1;
    return ST_OK;
}

/* --- together ---------------------------------------------------------------------- */

/* BUCKETTIMESTAMP stands 3rd or 4th behind AGGREGATION, EMPTY 3rd or 5th. */
static status check_places(const struct ts_range_args *args, struct err *err)
{
    size_t agg = args->agg.at, stamp = args->stamp.at, empty = args->empty.at;
    bool has = args->agg.n > 0;
    if (stamp && (!has || (stamp != agg + 3 && stamp != agg + 4)))
        return refuse(err, "TSDB: BUCKETTIMESTAMP flag should be the 3rd or 4th flag after "
                           "AGGREGATION flag");
    if (empty && (!has || (empty != agg + 3 && empty != agg + 5)))
        return refuse(err, "TSDB: EMPTY flag should be the 3rd or 5th flag after AGGREGATION flag");
    return ST_OK;
}

static status resolve_align(struct range_spec *out, const struct ts_range_args *args,
                            enum precision precision, struct err *err)
{
    if (args->align.how != TS_ALIGN_NONE && args->agg.n == 0)
        return refuse(err, "TSDB: ALIGN parameter can only be used with AGGREGATION");
    switch (args->align.how) {
    case TS_ALIGN_NONE: return ST_OK;
    case TS_ALIGN_AT: out->align = time_from_ms_clamped(args->align.ms, precision); return ST_OK;
    case TS_ALIGN_START:
        if (args->from.open)
            return refuse(err, "TSDB: start alignment can only be used with explicit start "
                               "timestamp");
        out->align = out->range.from;
        return ST_OK;
    case TS_ALIGN_END:
        if (args->to.open)
            return refuse(err, "TSDB: end alignment can only be used with explicit end timestamp");
        out->align = out->range.to;
        return ST_OK;
    }
    return ST_OK;
}

status ts_range_spec(struct range_spec *out, const struct ts_range_args *args, bool reverse,
                     enum precision precision, struct arena *arena, struct err *err)
{
    int64_t per_ms = precision_ticks_per_ms(precision);
    memset(out, 0, sizeof(*out));
    TRY(check_places(args, err));
    out->range.from = args->from.open ? TS_MIN : time_from_ms_clamped(args->from.ms, precision);
    out->range.to = args->to.open ? TS_MAX : time_from_ms_clamped(args->to.ms, precision);
    TRY(resolve_align(out, args, precision, err));
    if (args->by_ts.n) {
        ts_time *ts = arena_try_array(arena, args->by_ts.n, sizeof(*ts));
        if (!ts) return ST_NO_MEMORY;
        for (size_t i = 0; i < args->by_ts.n; i++)
            ts[i] = time_from_ms_clamped(args->by_ts.ms[i], precision);
        out->by_ts = ts;
        out->n_by_ts = args->by_ts.n;
    }
    out->by_value = args->by_value.has;
    out->value_min = args->by_value.min;
    out->value_max = args->by_value.max;
    out->n_aggs = args->agg.n;
    memcpy(out->aggs, args->agg.aggs, sizeof(out->aggs));
    if (args->agg.n) {
        bool fits = per_ms == 0 ||
                    !__builtin_mul_overflow(args->agg.bucket_ms, per_ms, &out->bucket);
        if (per_ms == 0) out->bucket = args->agg.bucket_ms / 1000;
        if (!fits) out->bucket = INT64_MAX;
        if (out->bucket < 1)
            return refuse(err, "TSDB: bucketDuration is shorter than the database's precision");
    }
    out->stamp = args->stamp.stamp;
    out->empty = args->empty.at != 0;
    out->count = args->count.has ? (uint64_t)args->count.v : 0;
    out->reverse = reverse;
    return ST_OK;
}
