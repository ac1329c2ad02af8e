/* Arguments that TS.* commands share (resp.md 2.1, 2.11). Parsers for arg_spec tables.
 * Pure, any thread. */
#ifndef TSINK_API_TS_ARGS_H
#define TSINK_API_TS_ARGS_H

#include "api/app.h"
#include "api/args.h"
#include "model/agg.h"
#include "model/batch.h"
#include "model/label.h"
#include "query/aggregate.h"

struct ts_number {
    int64_t v;
    bool has;
};

struct ts_ignore {
    int64_t max_ms;
    double max_val;
    bool has;
};

struct ts_encoding {
    bool uncompressed, has;
};

struct ts_labels {
    struct label *ptr;   /* in the call's arena, as written; NULL: LABELS was not given */
    size_t n;
};

/* [RETENTION ms] [ENCODING e] [CHUNK_SIZE n] [DUPLICATE_POLICY p] [IGNORE t v] [LABELS ...] */
struct ts_create_args {
    struct ts_number retention, chunk_size;
    struct ts_encoding encoding;
    bool uncompressed, compressed;   /* the bare words */
    enum dup_policy policy;          /* DUP_UNSET: not given */
    struct ts_ignore ignore;
    struct ts_labels labels;
};

/* The rows of a table for T, whose field of type ts_create_args is `field`. */
#define TS_CREATE_SPEC(T, field)                                                               \
    ARG_SUB("RETENTION", T, field.retention, ts_parse_retention),                              \
        ARG_SUB("ENCODING", T, field.encoding, ts_parse_encoding),                             \
        ARG_SUB("CHUNK_SIZE", T, field.chunk_size, ts_parse_chunk_size),                       \
        ARG_SUB("DUPLICATE_POLICY", T, field.policy, ts_parse_policy),                         \
        ARG_SUB("IGNORE", T, field.ignore, ts_parse_ignore),                                   \
        ARG_FLAG("UNCOMPRESSED", T, field.uncompressed),                                       \
        ARG_FLAG("COMPRESSED", T, field.compressed),                                           \
        ARG_SUB("LABELS", T, field.labels, ts_parse_labels)

status ts_parse_retention(void *field, struct arg_cursor *at, struct err *err);
status ts_parse_encoding(void *field, struct arg_cursor *at, struct err *err);
status ts_parse_chunk_size(void *field, struct arg_cursor *at, struct err *err);
status ts_parse_policy(void *field, struct arg_cursor *at, struct err *err);
status ts_parse_ignore(void *field, struct arg_cursor *at, struct err *err);
status ts_parse_labels(void *field, struct arg_cursor *at, struct err *err);

/* The attributes of a series that a command with these arguments makes. */
struct series_attrs ts_attrs(const struct app_settings *set, const struct ts_create_args *args);

/* Changes those that are named; ENCODING has no effect on a series that exists. True when
 * any was. */
bool ts_attrs_alter(struct series_attrs *attrs, const struct ts_create_args *args);

/* A value as TS.ADD takes it (JSON number, or nan); "TSDB: invalid value". */
CHECKED status ts_value(double *out, struct slice word, struct err *err);

/* A timestamp in ms, or '*' for now_ms; "TSDB: invalid timestamp...". */
CHECKED status ts_time_ms(int64_t *out, struct slice word, int64_t now_ms, struct err *err);

/* --- ranges ------------------------------------------------------------------------ */

struct ts_bound {
    int64_t ms;
    bool open;           /* '-' or '+' */
};

struct ts_aggregation {
    enum agg aggs[AGGREGATORS_MAX];
    size_t n;            /* 0: none */
    int64_t bucket_ms;
    size_t at;           /* where the word AGGREGATION stands */
};

struct ts_align {
    enum { TS_ALIGN_NONE, TS_ALIGN_AT, TS_ALIGN_START, TS_ALIGN_END } how;
    int64_t ms;
};

struct ts_placed {
    size_t at;           /* where the word stands; 0: not given */
    enum bucket_stamp stamp;
};

struct ts_times {
    int64_t *ms;         /* ascending, unique, in the call's arena */
    size_t n;
};

struct ts_values {
    double min, max;
    bool has;
};

/* from to [LATEST] [FILTER_BY_TS ...] [FILTER_BY_VALUE ..] [COUNT n] [ALIGN a]
 * [AGGREGATION ...] [BUCKETTIMESTAMP bt] [EMPTY] */
struct ts_range_args {
    struct ts_bound from, to;
    bool latest;
    struct ts_times by_ts;
    struct ts_values by_value;
    struct ts_number count;
    struct ts_align align;
    struct ts_aggregation agg;
    struct ts_placed stamp, empty;
};

#define TS_RANGE_SPEC(T, field)                                                                \
    ARG_FLAG("LATEST", T, field.latest), ARG_SUB("FILTER_BY_TS", T, field.by_ts, ts_parse_times), \
        ARG_SUB("FILTER_BY_VALUE", T, field.by_value, ts_parse_values),                        \
        ARG_SUB("COUNT", T, field.count, ts_parse_count),                                      \
        ARG_SUB("ALIGN", T, field.align, ts_parse_align),                                      \
        ARG_SUB("AGGREGATION", T, field.agg, ts_parse_aggregation),                            \
        ARG_SUB("BUCKETTIMESTAMP", T, field.stamp, ts_parse_stamp),                            \
        ARG_SUB("EMPTY", T, field.empty, ts_parse_empty)

status ts_parse_from(void *field, struct arg_cursor *at, struct err *err);
status ts_parse_to(void *field, struct arg_cursor *at, struct err *err);
status ts_parse_times(void *field, struct arg_cursor *at, struct err *err);
status ts_parse_values(void *field, struct arg_cursor *at, struct err *err);
status ts_parse_count(void *field, struct arg_cursor *at, struct err *err);
status ts_parse_align(void *field, struct arg_cursor *at, struct err *err);
status ts_parse_aggregation(void *field, struct arg_cursor *at, struct err *err);
status ts_parse_stamp(void *field, struct arg_cursor *at, struct err *err);
status ts_parse_empty(void *field, struct arg_cursor *at, struct err *err);

/* One list of aggregators, "avg,max". */
CHECKED status ts_parse_aggs(struct ts_aggregation *out, struct slice list, struct err *err);

/* Checks what no word can say alone, and turns the arguments into the query room's terms
 * (ticks of the precision). by_ts is copied to the arena. */
CHECKED status ts_range_spec(struct range_spec *out, const struct ts_range_args *args,
                             bool reverse, enum precision precision, struct arena *arena,
                             struct err *err);

#endif
