/* Batch: decoded rows, grouped by series. Every writer makes one; the sink applies
 * it; the writer reads the results and answers.
 *
 *     series     one entry per series mentioned, in order of first mention
 *     rows       columns: series index, time, value, policy, result, tag
 *     exemplars  of those series; one of them may have nothing else
 *     metas      what metric families are
 *
 * Life: made and filled on the thread that decodes (batch_new ... batch_row), with
 * the series' ordinals probed in the identity table where they are known; handed to
 * the sink (sink.h), which owns it until it calls `done`; freed by the thread that
 * made it. Texts and labels live in the batch's arena or in bytes that outlive it.
 *
 * A refused row has its reason in `result` and never fails its neighbours. A refused
 * series (bad labels) refuses all its rows.
 *
 * Few rows have a start timestamp: since when their counter counts. They are listed beside
 * the columns, so that the others pay nothing.
 */
#ifndef TSINK_MODEL_BATCH_H
#define TSINK_MODEL_BATCH_H

#include <stdint.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/status.h"
#include "model/exemplar.h"
#include "model/label.h"
#include "model/metadata.h"
#include "model/time.h"
#include "model/value.h"

typedef uint64_t series_id; /* on disk and in the API, never reused; 0 is none */
typedef uint64_t lsn;       /* a place in the WAL; larger is later */

enum { ORDINAL_NONE = UINT32_MAX };

/* Two values at one timestamp (decision 11). On disk: never renumber. */
enum dup_policy {
    DUP_UNSET = 0, /* the database's default */
    DUP_BLOCK = 1,
    DUP_FIRST = 2,
    DUP_LAST = 3,
    DUP_MIN = 4,
    DUP_MAX = 5,
    DUP_SUM = 6,
    DUP_INCREMENT = 7, /* of a row alone, never stored: its value is added to the newest one */
};

/* What TS.CREATE and friends may say about a series; stored with it. */
struct series_attrs {
    int64_t retention_ms;      /* 0: for ever */
    int64_t ignore_max_ms;     /* IGNORE: maxTimeDiff */
    int64_t expire_ms;         /* EXPIRE: wall ms at which the key goes; 0: never */
    double ignore_max_val;     /* IGNORE: maxValDiff */
    uint32_t chunk_bytes;      /* remembered and reported only */
    enum dup_policy policy;
    bool uncompressed;         /* remembered and reported only */
    /* The rule that makes this series from another one (engine/rules.h). */
    uint8_t rule_agg;          /* enum agg */
    uint64_t rule_source;      /* id of the other; 0: there is none */
    int64_t rule_bucket_ms;    /* > 0 */
    int64_t rule_align_ms;     /* >= 0 */
    ts_time rule_since;        /* ticks: samples up to here were there before the rule */
};

enum batch_make {
    MAKE_ALLOWED,  /* find it or make it: TS.ADD, remote write */
    MAKE_NEVER,    /* ST_NOT_FOUND for its rows when missing: TS.MADD */
    MAKE_REQUIRED, /* ST_EXISTS when it is there: TS.CREATE */
};

/* What finds or makes a series. */
struct batch_name {
    struct labels labels;      /* canonical */
    struct slice identity;     /* labels_identity() */
    struct hash128 hash;       /* hash128 of the identity */
    struct hash128 raw_hash;   /* of the bytes as received, cached on a miss; 0,0: none */
    const struct series_attrs *attrs; /* for a series this batch makes; NULL: defaults */
};

/* Small: nearly all series of a request are known, and each costs its bytes on two threads. */
struct batch_series {
    /* What is known before the owner sees it. */
    uint32_t ordinal, gen;     /* from the identity probe, or ORDINAL_NONE */
    uint32_t first_row, n_rows; /* rows of one series are adjacent unless scattered is set */
    struct batch_name *name;   /* in the batch's arena; NULL when the probe found it */
    uint8_t type;              /* enum value_type */
    uint8_t make;              /* enum batch_make */
    bool scattered;            /* rows are not adjacent: look at batch->row_series */
    /* What the owner answers. */
    bool resolved;             /* of the engine: ordinal is settled */
    bool made;                 /* this batch made the series */
    uint8_t st;                /* enum status: ST_OK, or why all its rows are refused */
};

/* An exemplar and whose it is: a series of the batch that exists when the rows are stored,
 * else it is passed over. */
struct batch_exemplar {
    uint32_t series;           /* index */
    struct exemplar ex;        /* labels in the batch's arena or bytes that outlive it */
};

/* The start timestamp of a row, in ticks. */
struct batch_start {
    uint32_t row;
    ts_time start;             /* never START_NONE */
};

/* No start timestamp: what 0 means on the wire, too. */
enum { START_NONE = 0 };

struct batch;

struct batch {
    struct arena arena;
    struct batch_series *series;
    size_t n_series, cap_series;
    /* Columns, n_rows long. */
    uint32_t *row_series;      /* index into series */
    ts_time *ts;
    union value *val;
    uint8_t *on_dup;           /* enum dup_policy: ON_DUPLICATE, or DUP_UNSET. DUP_INCREMENT
                                * (TS.INCRBY; with want_applied only): ST_TOO_OLD before the
                                * newest sample, ST_BAD_VALUE when that is NaN */
    uint8_t *result;           /* enum status; set by decode and by the owner */
    uint32_t *tag;             /* of the writer: which reply a row belongs to */
    ts_time *applied_ts;       /* with want_applied: the time TS.ADD answers with */
    size_t n_rows, cap_rows;
    /* In the arena; texts in it or in bytes that outlive the batch. Taken with the last row,
     * each alone; what is refused of them never fails a row. */
    struct batch_exemplar *exemplars;
    size_t n_exemplars, cap_exemplars;
    struct metric_meta *metas;
    size_t n_metas, cap_metas;
    struct batch_start *starts; /* n_starts, rows ascend */
    size_t n_starts, cap_starts;
    bool want_applied;
    bool deferrable;           /* may wait for a lookup of an older value */
    uint64_t n_deaths;         /* db_deaths() before the first probe, plus 1; 0: no probes */
    /* The outcome, set before done. */
    status st;                 /* of the batch as a whole: ST_OK or why nothing was applied */
    struct err err;
    lsn durable_at;            /* the answer may go out when the WAL is durable up to here */
    uint64_t n_stored, n_refused;
    uint64_t n_exemplars_kept; /* stored, or there already */
    /* Called once, on the owner. It may free the batch or send it home. */
    void (*done)(struct batch *batch);
    void *ctx;                 /* of the writer */
    struct list link;          /* of the queue that holds it */
    size_t at;                 /* of the engine: rows applied so far */
    size_t meta_at;            /* of the engine: exemplars, then metas, taken so far */
    void *engine;              /* of the engine */
};

struct batch *batch_new(struct account *account); /* NULL when refused */
void batch_free(struct batch *batch);
void batch_reset(struct batch *batch);            /* empty again, memory kept */
size_t batch_bytes(const struct batch *batch);    /* memory it holds */

/* Adds a series and returns its index, or -1 when refused. The entry is zeroed but
 * for ordinal = ORDINAL_NONE and type = VALUE_F64. */
CHECKED int64_t batch_add_series(struct batch *batch);

/* Gives the series a name, all zero: false when refused. */
CHECKED bool batch_name_series(struct batch *batch, struct batch_series *series);

/* The name of a series, or an empty one. */
static inline const struct batch_name *batch_name_of(const struct batch_series *series)
{
    static const struct batch_name none;
    return series->name ? series->name : &none;
}

/* Adds a row for series idx with result ST_OK; false when refused. */
CHECKED bool batch_add_row(struct batch *batch, size_t series, ts_time ts, union value val,
                           uint32_t tag);

/* Adds a series that was probed, of the default kind, with one row; false when refused. */
CHECKED bool batch_add_known(struct batch *batch, uint32_t ordinal, uint32_t gen, ts_time ts,
                             union value val);

/* Adds an exemplar of a series, an entry about a metric family; false when refused. */
CHECKED bool batch_add_exemplar(struct batch *batch, size_t series, const struct exemplar *ex);
CHECKED bool batch_add_meta(struct batch *batch, const struct metric_meta *meta);

/* The row counts since `start`; START_NONE says nothing. Rows ascend from call to call. False
 * when refused. */
CHECKED bool batch_start_at(struct batch *batch, size_t row, ts_time start);

/* The same of the row that was added last. */
static inline bool batch_start_row(struct batch *batch, ts_time start)
{
    return start == START_NONE || batch_start_at(batch, batch->n_rows - 1, start);
}

/* Rows from n_rows on, and series from n_series on, were never added. */
void batch_take_back(struct batch *batch, size_t n_series, size_t n_rows);

/* Where the starts of rows from this one on begin. */
size_t batch_first_start(const struct batch *batch, size_t row);

/* The start timestamp of a row, or START_NONE. */
ts_time batch_start_of(const struct batch *batch, size_t row);

/* Room for n more rows at once, for decoders that fill the columns themselves. */
CHECKED bool batch_reserve_rows(struct batch *batch, size_t n);

#endif
