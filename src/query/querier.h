/* Port: where series come from. PromQL, TS.* reads, remote read and rules speak to
 * it and cannot tell a local series from a remote one. Local or clustered is decided
 * once, at start, by which querier is plugged in.
 *
 * fetch() runs on a worker (or in the caller, in the library): it resolves the
 * matchers, pins one view for all selects, captures the series, and returns sets
 * that can be read without waiting. Samples come as the database holds them, stale
 * markers included. The sets are valid until querier_done().
 */
#ifndef TSINK_QUERY_QUERIER_H
#define TSINK_QUERY_QUERIER_H

#include <stdatomic.h>

#include "base/account.h"
#include "base/arena.h"
#include "base/clock.h"
#include "model/label.h"
#include "model/matcher.h"
#include "model/point.h"
#include "model/time.h"

/* What a query may use, and what it has used. Zero means no limit. Shared by the
 * workers of one query; the counters are theirs alone. */
struct query_budget {
    uint64_t series_max, samples_max, bytes_max;
    mono_ns deadline;             /* 0: none */
    struct clock *clock;          /* for the deadline */
    const _Atomic bool *cancelled; /* may be NULL; the client went away */
    struct account *account;      /* of the query, limited; NULL: bytes_max for what is fetched */
    uint64_t n_series, n_samples, n_bytes;
    uint64_t peak_samples;
};

/* ST_OK, ST_CANCELLED or ST_TIMEOUT. Poll every few thousand samples. */
CHECKED status budget_poll(struct query_budget *budget, struct err *err);

/* Counts and checks; ST_LIMIT names the limit. */
CHECKED status budget_series(struct query_budget *budget, uint64_t n, struct err *err);
CHECKED status budget_samples(struct query_budget *budget, uint64_t n, struct err *err);

/* What the caller will do with the samples: a querier may use it to fetch less or to
 * answer with partial results, and may ignore it. Times in ticks. */
struct select_hint {
    struct slice func;            /* "rate", "sum_over_time", ...; empty: none */
    int64_t range, step;
    bool labels_only;             /* no samples are wanted */
};

struct select {
    struct matchers matchers;     /* all must accept */
    struct time_range range;      /* samples outside are not returned */
    struct select_hint hint;
    /* A set may leave out series without samples in the range, unless this is set:
     * TS.MRANGE and TS.QUERYINDEX name them all. With labels_only it does leave them
     * out, as far as the bounds of what is stored tell. */
    bool keep_empty;
    /* Also the newest sample before the range and the oldest one after it, where there
     * are any: at the ends of what read() gives. For aggregate.h. */
    bool edges;
};

struct series_set;

/* One thread's way to read the numbers of a set as columns, without a copy. Several readers
 * may read one set, or sets of one fetch, at the same time. */
struct series_reader {
    const struct series_reader_ops *ops;
};

struct series_reader_ops {
    /* The samples of series i, whose type is a number, in the select's range: what read()
     * would give. The span is valid until the next read with this reader; ask for ascending
     * i. Polls and charges the budget. */
    status (*read)(struct series_reader *reader, size_t i, struct sample_span *out,
                   struct err *err);
    void (*close)(struct series_reader *reader);
    /* Before the first read, optional: series [from, to) are going to be asked for, and no
     * others, so that they may be looked up together. May be NULL. */
    void (*bound)(struct series_reader *reader, size_t from, size_t to);
};

struct series_set_ops {
    /* Series i's samples in the select's range, appended to out in time order.
     * Polls and charges the budget. Worker. */
    status (*read)(struct series_set *set, size_t i, struct points *out, struct err *err);
    /* Series i's newest sample in the range, without reading the others; *found says
     * whether there is one. Worker. */
    status (*last)(struct series_set *set, size_t i, struct point *out, bool *found,
                   struct err *err);
    /* Start timestamps: for each of series i's samples in the range that has one a point at
     * the sample's time whose bits are the start (an int64 of ticks), appended to out in
     * time order. NULL: what is behind the set keeps none. Worker. */
    status (*starts)(struct series_set *set, size_t i, struct points *out, struct err *err);
    /* Opens a reader, to be closed before querier_done(); budget is what it charges (NULL:
     * that of the fetch). NULL: the set knows read() alone. Worker. */
    status (*open_reader)(struct series_set *set, struct query_budget *budget,
                          struct series_reader **out, struct err *err);
};

/* The series of one select, sorted by labels (labels_cmp). Two neighbours have the same
 * labels when a sender changed between numbers and histograms: one series to PromQL. */
struct series_set {
    const struct series_set_ops *ops;
    size_t n;
    const struct labels *labels;  /* n of them, valid until querier_done() */
    const enum value_type *types; /* n of them */
    const uint64_t *ids;          /* n series ids */
};

/* One fetch's state: pin, captured roots, arenas. */
struct fetch;

struct querier {
    const struct querier_ops *ops;
};

struct querier_ops {
    /* Answers n selects with n sets from one consistent view: sets[i], in an array of
     * the caller's with room for n pointers, answers selects[i]. tenant limits what can
     * be seen (empty: the default tenant). On success *out must be given back with
     * done(). */
    status (*fetch)(struct querier *q, struct fetch **out, struct series_set **sets,
                    const struct select *selects, size_t n, struct slice tenant,
                    struct query_budget *budget, struct err *err);
    void (*done)(struct querier *q, struct fetch *fetch);
    /* Label names (name empty) or the values of a label over the series that any of
     * the matcher groups accepts (no groups: all series) with data in range. Sorted,
     * unique, texts in the arena. limit 0: none; *more tells that it cut. */
    status (*label_texts)(struct querier *q, struct slice name, const struct matchers *groups,
                          size_t n_groups, struct time_range range, struct slice tenant,
                          size_t limit, struct arena *arena, struct slice **out, size_t *n_out,
                          bool *more, struct query_budget *budget, struct err *err);
};

static inline status querier_fetch(struct querier *q, struct fetch **out,
                                   struct series_set **sets, const struct select *selects,
                                   size_t n, struct slice tenant, struct query_budget *budget,
                                   struct err *err)
{
    return q->ops->fetch(q, out, sets, selects, n, tenant, budget, err);
}

static inline void querier_done(struct querier *q, struct fetch *fetch)
{
    if (fetch) q->ops->done(q, fetch);
}

static inline status series_reader_read(struct series_reader *reader, size_t i,
                                        struct sample_span *out, struct err *err)
{
    return reader->ops->read(reader, i, out, err);
}

static inline void series_reader_close(struct series_reader *reader)
{
    if (reader) reader->ops->close(reader);
}

static inline status series_read(struct series_set *set, size_t i, struct points *out,
                                 struct err *err)
{
    return set->ops->read(set, i, out, err);
}

#endif
