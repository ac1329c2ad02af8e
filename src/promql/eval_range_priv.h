/* Inside the evaluator: samples, the windows that slide over them, and what a range
 * function is made of. A range function is a kernel: it sees the samples of one window
 * and gives one value; eval_range.c finds the windows and calls it (eval_priv.h says how
 * columns go on from there).
 */
#ifndef TSINK_PROMQL_EVAL_RANGE_PRIV_H
#define TSINK_PROMQL_EVAL_RANGE_PRIV_H

#include "promql/eval_priv.h"

/* ---- samples ---------------------------------------------------------------------- */

/* The samples of one series, floats and histograms apart, in time order, query ticks. */
struct samples {
    VEC(ts_time) t;
    VEC(double) v;
    VEC(ts_time) ht;
    VEC(const struct histogram *) h;
    VEC(uint8_t) hist_reset;       /* samples_is_reset()'s memory */
    struct points starts;          /* samples_read_starts(): times and starts, query ticks */
    struct points raw;             /* read buffer */
};

/* What a borrowed span holds, without a copy; *out must not be released. */
static inline void samples_borrow(struct samples *out, const struct sample_span *span)
{
    *out = (struct samples){.t = {.ptr = (ts_time *)(uintptr_t)span->ts, .len = span->n},
                            .v = {.ptr = (double *)(uintptr_t)span->val, .len = span->n}};
}

/* Copies a span, in query ticks. Stale markers stay only when keep_stale. */
CHECKED status samples_from_span(struct eval *ev, const struct sample_span *span,
                                 bool keep_stale, struct samples *out);

/* Whether a reader can lend series i of a set: numbers, and no second series of the same
 * labels beside it. */
bool span_is_whole(const struct series_set *set, size_t i);

bool span_has_stale(const struct sample_span *span);

void samples_clear(struct samples *s);
void samples_release(struct samples *s);

/* Reads the series [i, *next) of a set, which all have the same labels (a series that
 * changed from floats to histograms is two series of the database). Stale markers stay
 * only when keep_stale. Where vec (or NULL) looks at counts alone, each histogram tells
 * whether it was reset against the one before, as far as it has no hint of its own. */
CHECKED status samples_read(struct eval *ev, struct series_set *set, size_t i, size_t *next,
                            const struct vector_expr *vec, bool keep_stale,
                            struct samples *out);

/* Reads the start timestamps of the same series, where they are kept: a sample's start is
 * when what it counts began. */
CHECKED status samples_read_starts(struct eval *ev, struct series_set *set, size_t i, size_t next,
                                   struct samples *out);

/* The start of the sample at t; false when it has none. */
bool samples_start(const struct samples *s, ts_time t, ts_time *out);

/* Whether a counter that was seen at prev began anew before it was seen at t. */
bool samples_restarted(const struct samples *s, ts_time prev, ts_time t);

static inline bool double_is_stale(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    return value_is_stale(bits);
}

/* ---- eval_range.c ----------------------------------------------------------------- */

/* What a range function sees of one series at one step: samples in (start, end]. */
struct window {
    const ts_time *t;
    const double *v;
    size_t n;
    const ts_time *ht;
    const struct histogram *const *h;
    size_t hn;
    ts_time start, end;
    ts_time now;                   /* the step's time */
    const struct samples *all;     /* what lies outside of the window too */
    size_t lo, hi;                 /* the floats of the window in `all`: [lo, hi) */
    size_t hlo, hhi;               /* and the histograms */
};

struct range_out {
    double val;
    const struct histogram *hist;  /* not NULL: the result */
};

/* ---- range_edges.c ---------------------------------------------------------------- */

/* Steps [from, to), each of which has samples. unit: both ends of the window move on by one
 * sample a step, so that what is gathered are neighbours. */
struct edge_run {
    uint32_t from, to;
    bool unit;
};

enum { EDGE_RUNS_MAX = 64, EDGE_AUX_MAX = 2 };

/* Where the windows of all steps begin and end in one column of times. Series that share
 * the column share this. */
struct edges {
    uint64_t times;                /* sample_span.times */
    uint32_t *lo, *hi;             /* step i sees the samples [lo[i], hi[i]) */
    uint64_t *has;                 /* steps with as many samples as are needed */
    struct edge_run runs[EDGE_RUNS_MAX]; /* the same steps, unless ragged */
    size_t n_runs;
    bool ragged;                   /* too many runs: step by step, then */
    uint64_t n_seen;               /* samples in all windows */
    double *aux[EDGE_AUX_MAX];     /* what the function makes of the times: a value a step */
};

/* The steps of all runs. */
#define FOR_EACH_EDGE(i, e)                                                                    \
    for (size_t run_ = 0; run_ < (e)->n_runs; run_++)                                          \
        for (size_t i = (e)->runs[run_].from; i < (e)->runs[run_].to; i++)

/* What is wanted of a column of times: windows (end - range, end]. */
struct edge_spec {
    const struct frame *frame;
    const ts_time *ends;           /* ascending, one a step */
    int64_t range;
    uint32_t n_min;                /* samples that a step needs, at least 1 */
    size_t n_aux;
    /* Fills aux for the steps of runs; may be NULL. */
    void (*prepare)(const void *ctx, const struct edge_spec *spec, const ts_time *t,
                    struct edges *e);
    const void *ctx;
};

struct edge_cache {
    struct edge_spec spec;
    struct edges **slots;          /* NULL: not needed yet */
    size_t n_slots;
    uint64_t n_hits, n_misses;
};

/* From the evaluation's arena. */
CHECKED status edges_init(struct eval *ev, struct edge_cache *cache, const struct edge_spec *spec);

/* Valid until the next call. */
CHECKED status edges_get(struct eval *ev, struct edge_cache *cache,
                         const struct sample_span *span, const struct edges **out);

/* The ends of a frame's windows, in the arena. */
CHECKED status edges_ends(struct eval *ev, const struct frame *f, const struct modifiers *mod,
                          const ts_time **out);

/* ---- range functions -------------------------------------------------------------- */

enum { RANGE_ARGS_MAX = 2 };

/* One call of a range function. */
struct range_call {
    struct eval *ev;
    const struct frame *frame;
    const struct expr *call;       /* EXPR_CALL */
    const struct expr *range;      /* its EXPR_MATRIX or EXPR_SUBQUERY */
    struct text_pos pos;           /* of the range argument */
    double seconds;                /* length of the range */
    bool anchored, smoothed;
    struct labels labels;          /* of the series at hand */
    double args[RANGE_ARGS_MAX];   /* scalar arguments at the step at hand */
    double *scratch;               /* room for the floats of any window of the series */
    bool has_resets;               /* some float of the series is below the one before, or
                                      began anew after it */
    bool failed;                   /* a kernel was refused memory: the call fails */
};

/* false: no value at this step. */
typedef bool (*range_fn)(struct range_call *rc, const struct window *w, struct range_out *out);

/* One series as columns: floats alone, without stale markers. */
struct range_columns {
    const ts_time *t;
    const double *v;
    size_t n;
    bool may_be_nan;
    const struct edges *edges;     /* not ragged */
    const struct edge_spec *spec;  /* of the edges */
    double *out;                   /* a value a step; only those of edges->has count */
    double *const *args;           /* scalar arguments: a value a step each */
};

struct range_kernel {
    range_fn fn;
    /* The same for all steps at once, to the last bit; false: not for this series. NULL:
     * step by step. */
    bool (*columns)(struct range_call *rc, const struct range_columns *c);
    uint32_t n_min;                /* samples that columns() needs at a step; 0 is 1 */
    size_t n_aux;                  /* edge_spec's, for columns(); ctx is the call */
    void (*prepare)(const void *ctx, const struct edge_spec *spec, const ts_time *t,
                    struct edges *e);
    bool keeps_name;               /* first_over_time, last_over_time */
    bool is_rate;                  /* rate, increase: only counters make sense */
    bool starts;                   /* looks at start timestamps */
    bool anchored, smoothed;       /* the modifiers that it understands */
};

CHECKED status eval_range(struct eval *ev, const struct frame *f, const struct expr *call,
                          const struct range_kernel *kernel, struct sink *sink);

/* Defines fn_<name>, which runs <name>_kernel over the call's range. */
#define RANGE_FUNCTION(name, ...)                                                              \
    status fn_##name(struct eval *ev, const struct frame *f, const struct expr *call,          \
                     struct sink *sink)                                                        \
    {                                                                                          \
        static const struct range_kernel kernel = {.fn = name##_kernel, __VA_ARGS__};          \
        return eval_range(ev, f, call, &kernel, sink);                                         \
    }

/* "... metric name <quoted>" of the series at hand, for annotations. */
const char *range_metric(struct range_call *rc);

/* The floats of a range in which histograms were ignored, which is annotated. */
void range_ignored_hist(struct range_call *rc, const struct window *w);

/* ---- eval_subquery.c -------------------------------------------------------------- */

/* The frame of a subquery whose windows serve the frame f; n is 0 (and the frame unusable)
 * when no step falls inside. ST_LIMIT when there are too many. */
CHECKED status subquery_frame(struct eval *ev, const struct frame *f, const struct expr *sub,
                              struct frame *out, bool *empty);

/* The columns of a subquery at its inner steps. Where names go at once, those of the same
 * labels are one; they fail where they meet. */
CHECKED status subquery_columns(struct eval *ev, const struct frame *inner, const struct expr *sub,
                                struct sink *sink);

/* A column's values with their times. */
CHECKED status samples_from_column(struct eval *ev, const struct frame *f,
                                   const struct column *col, struct samples *out);

#endif
