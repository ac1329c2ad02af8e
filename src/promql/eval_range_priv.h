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

struct range_kernel {
    range_fn fn;
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
