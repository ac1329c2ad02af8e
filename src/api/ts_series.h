/* Series of TS.* reads: the one that a key names, or those that a FILTER selects, fetched
 * and in the order in which they are answered. Worker. */
#ifndef TSINK_API_TS_SERIES_H
#define TSINK_API_TS_SERIES_H

#include "api/args.h"
#include "api/ts_filter.h"
#include "api/ts_read.h"

/* The series of a key. */
struct ts_one {
    struct fetch *fetch;
    struct series_set *set;
    size_t idx;               /* in set */
    struct matcher *matchers; /* in the work's arena */
    size_t n_matchers;
    struct select select;     /* the fetch points to it: the struct must not move */
};

/* ST_NOT_FOUND with "TSDB: the key does not exist". */
CHECKED status ts_one_fetch(struct ts_one *out, struct query_work *work, struct slice key,
                            struct time_range range, bool edges);
void ts_one_done(struct ts_one *one, struct query_work *work);

/* The series of several keys, in one version of the data. */
struct ts_keys {
    struct fetch *fetch;
    struct ts_one *ones;      /* n of them, each with its set and index; in the work's arena */
    size_t n;
    struct select *selects;
};

/* ST_NOT_FOUND when one of them does not exist. */
CHECKED status ts_keys_fetch(struct ts_keys *out, struct query_work *work,
                             const struct slice *keys, size_t n, struct time_range range,
                             bool edges);
void ts_keys_done(struct ts_keys *keys, struct query_work *work);

/* Series of FILTER expressions, in ascending byte order of key. */
struct ts_many {
    struct fetch *fetch;
    struct series_set *set;
    struct ts_filter filter;
    struct select select;     /* the fetch points to it: the struct must not move */
    size_t n;
    size_t *order;            /* indexes into set */
    struct slice *keys;       /* parallel to order */
};

CHECKED status ts_many_fetch(struct ts_many *out, struct query_work *work,
                             const struct slice *exprs, size_t n, struct time_range range,
                             bool edges);
void ts_many_done(struct ts_many *many, struct query_work *work);

/* Leaves out series without the label and sorts by its value, then key; returns the number
 * of groups. group_end: the first index behind the group that begins at from. */
size_t ts_many_group(struct ts_many *many, struct slice label);
size_t ts_many_group_end(const struct ts_many *many, size_t from, struct slice label);

/* The newest sample of a series of a set; stale markers are passed over. */
CHECKED status ts_last(struct query_work *work, struct series_set *set, size_t i,
                       struct point *out, bool *found);

/* LATEST: the bucket that is still open, when a rule makes the series and the bucket begins
 * in the range, behind the samples there are; appended. */
CHECKED status ts_add_latest(struct query_work *work, uint64_t id, struct time_range range,
                             struct points *pts);

/* --- answers ----------------------------------------------------------------------- */

/* SELECTED_LABELS */
struct ts_names {
    const struct slice *ptr;
    size_t n;
    bool has;
};
status ts_parse_selected(void *field, struct arg_cursor *at, struct err *err);

CHECKED status ts_put_key(struct reply *reply, const struct ts_many *many, size_t i);

/* All visible labels, the selected ones (null where the series lacks one), or none. */
void ts_put_labels(struct ts_read *read, struct labels labels, bool all,
                   const struct ts_names *selected);

#endif
