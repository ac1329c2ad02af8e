/* What remote write 1.0 and 2.0 have in common: the rows of a series, their checks and
 * the ways to fail. A decoder puts its own state behind a struct prom_ctx.
 *
 * A function that returns false has set ctx->failed (and err); everything returns early
 * on it.
 */
#ifndef TSINK_INGEST_PROM_ROWS_PRIV_H
#define TSINK_INGEST_PROM_ROWS_PRIV_H

#include "ingest/format_priv.h"
#include "ingest/wire.h"

/* Fields of a Sample and of an Exemplar, alike in both versions. */
enum {
    SAMPLE_VALUE = 1,
    SAMPLE_TIMESTAMP = 2,
    SAMPLE_START = 3,          /* 2.0 alone */
    EXEMPLAR_LABELS = 1,
    EXEMPLAR_VALUE = 2,
    EXEMPLAR_TIMESTAMP = 3,
};

/* Labels of an exemplar: more cannot be, each has two characters at least. */
enum { PROM_EXEMPLAR_LABELS = 64 };

enum {
    TAG_VALUE = SAMPLE_VALUE << 3 | WIRE_FIXED64,
    TAG_TIMESTAMP = SAMPLE_TIMESTAMP << 3 | WIRE_VARINT,
};

/* Six bytes of a varint, the last of which ends it, to a number; false: they are none. */
static inline bool prom_varint6(int64_t *out, const uint8_t *src)
{
    uint64_t x = (uint64_t)load_u32(src) | (uint64_t)load_u16(src + 4) << 32;
    if ((x & 0x808080808080) != 0x008080808080) return false;
    *out = (int64_t)((x & 0x7f) | (x >> 1 & 0x3f80) | (x >> 2 & 0x1fc000) |
                     (x >> 3 & 0xfe00000) | (x >> 4 & 0x7f0000000) | (x >> 5 & 0x3f800000000));
    return true;
}

struct prom_ctx {
    struct batch *batch;
    struct slice body;
    const struct decode_env *env;
    struct decode_report *report;
    struct err *err;
    status failed;             /* of the whole request */
};

/* The series being read. */
struct prom_series {
    uint64_t idx;              /* in the request */
    struct batch_series entry; /* what both kinds of entry have */
    struct hash128 raw;        /* for whoever makes or finds it to remember; 0,0: nothing */
    int64_t floats, hists;     /* their entries in the batch, or -1 */
    int64_t bare;              /* the entry of its exemplars when it has no rows yet, or -1 */
    status st;                 /* ST_OK, or why all rows are refused */
    bool one_kind;             /* 2.0: samples or histograms, the first kind holds; and rows
                                * may have start timestamps */
    int64_t created;           /* ms; of rows that have no start timestamp of their own */
    bool known;                /* entry is the series of this kind, and labels were not read: */
    enum value_type kind;
    bool other_kind;           /* but a row of the other kind came: nothing of it holds */
};

/* The kind of the first row behind the labels, by its tag. */
static inline enum value_type prom_kind_at(struct wire w, uint8_t tag_histograms)
{
    return w.at < w.end && *w.at == tag_histograms ? VALUE_HISTOGRAM : VALUE_F64;
}

struct prom_series prom_series_at(uint64_t idx);

bool prom_damaged(struct prom_ctx *ctx, const char *what, const struct wire *w);
bool prom_fail(struct prom_ctx *ctx, status st, const char *text);
void prom_refuse_series(struct prom_ctx *ctx, struct prom_series *s, status st,
                        const char *text);

/* Labels (any order, empty ones among them) to a canonical set with identity and hash, or
 * the series refused. ptr is kept: of the batch's arena. */
bool prom_name_series(struct prom_ctx *ctx, struct prom_series *s, struct label *ptr, size_t n);

/* A Sample message, a Histogram message: a row. */
bool prom_read_sample(struct prom_ctx *ctx, struct prom_series *s, struct slice msg);
bool prom_read_histogram(struct prom_ctx *ctx, struct prom_series *s, struct slice msg);

/* The row of a series that is known, its ordinal and gen probed, and that has this one
 * sample: what nearly every series of a request is. */
bool prom_known_row(struct prom_ctx *ctx, uint64_t idx, uint32_t ordinal, uint32_t gen,
                    int64_t ms, uint64_t bits);

/* The last row counts since start (ms; 0: it does not say). A start that the database's
 * precision cannot hold is left out. */
bool prom_start_row(struct prom_ctx *ctx, int64_t start);

/* An exemplar of the series, labels in any order: of its rows' entry or, as senders have
 * them apart from samples, of an entry without rows. */
bool prom_add_exemplar(struct prom_ctx *ctx, struct prom_series *s, struct label *ptr, size_t n,
                       double value, int64_t ms);

/* Where the batch and the report stood before a series, and back to there. */
struct prom_mark {
    size_t n_series, n_rows, n_batch_exemplars;
    uint64_t n_samples, n_refused, n_exemplars, n_exemplars_refused, n_histograms;
    status first;
};

struct prom_mark prom_mark(const struct prom_ctx *ctx);
void prom_take_back(struct prom_ctx *ctx, const struct prom_mark *mark);

/* Why a metadata entry cannot be kept, or NULL. */
const char *prom_metadata_fault(const struct metric_meta *meta, const struct limits *limits);

#endif
