/* Inside the evaluator: frames, columns, sinks, and who computes what.
 *
 * An expression is evaluated in a frame: the times at which its value is wanted. The
 * query's frame has its steps, a subquery opens one of its own, and what does not change
 * from step to step is computed in a frame of one step and repeated.
 *
 * A vector in a frame is a stream of columns, one a series. eval_vector() computes them
 * one by one and puts each into a sink; what is in a column is scratch of the one who
 * puts it, valid and free to be changed until put() returns. A sink that needs a column
 * longer copies it (matrix_sink). So a chain of functions over a million series holds one
 * column, and an aggregation its groups.
 *
 * Recursion follows the tree, whose depth the parser limits to PARSER_DEPTH_MAX.
 *
 *     eval.c           vectors and scalars by kind of node, matrices, the final result
 *     eval_select.c    samples of a set to columns: instant selectors
 *     eval_range.c     windows over samples or subqueries: the driver of range functions
 *     eval_subquery.c  a subquery's frame and its samples
 *     eval_binary.c    operators; eval_match.c: the joins of vector with vector
 *     eval_aggregate.c sum, avg...; eval_topk.c: topk, limitk, quantile...
 *     eval_info.c      info()
 *     eval_spread.c    ranges of series by several workers
 *     fn_*.c           functions, one C function each, in functions.def
 */
#ifndef TSINK_PROMQL_EVAL_PRIV_H
#define TSINK_PROMQL_EVAL_PRIV_H

#include <math.h>
#include <string.h>

#include "base/arena.h"
#include "base/bits.h"
#include "base/panic.h"
#include "base/vec.h"
#include "promql/annotations.h"
#include "promql/eval.h"
#include "promql/hist_math.h"
#include "promql/matching.h"
#include "promql/quantile.h"

struct frame {
    ts_time start; /* query ticks */
    int64_t step;
    size_t n;      /* at least 1 */
};

static inline ts_time frame_time(const struct frame *f, size_t i)
{
    return f->start + (int64_t)i * f->step;
}

struct hist_fold;

struct eval {
    const struct plan *plan;
    struct series_set **sets;
    struct query_budget *budget;   /* may be NULL */
    bool delayed;                  /* names go at the end; else at once */
    struct arena *arena;
    struct annotations annos;
    struct hist_work hist;         /* for arithmetic on histograms */
    struct hist_sum hist_change;   /* fn_histogram_priv.h */
    const struct histogram **hist_run;
    size_t hist_run_cap;
    struct hist_fold *fold;        /* of the range function at hand; made when needed */
    /* Histograms that a range function makes for one series: gone when the series has been
     * put, which is when the outermost of those under way has. */
    struct arena temp;
    unsigned temp_depth;
    uint64_t n_held, n_peak;       /* values in columns that are kept */
    uint64_t n_total;
    uint64_t n_unpolled;           /* values looked at since the budget was polled */
    struct err *err;
    struct exec *exec;             /* promql_options; n_helpers 0: this thread alone */
    unsigned n_helpers;
};

/* One series over a frame. */
struct column {
    struct labels labels;
    bool drop_name;                /* __name__ and its like are to go at the end */
    double *val;
    uint64_t *has;                 /* a bit a step */
    const struct histogram **hist; /* NULL: floats only. Non-NULL entries where has is set
                                      are histograms */
    bool hist_temp;                /* some are in eval.temp: who keeps them copies them */
};

static inline size_t bitmap_words(size_t n)
{
    return (n + 63) / 64;
}

static inline bool bit_get(const uint64_t *bits, size_t i)
{
    return bits[i / 64] >> (i % 64) & 1;
}

static inline void bit_set(uint64_t *bits, size_t i)
{
    bits[i / 64] |= 1ull << (i % 64);
}

static inline void bit_clear(uint64_t *bits, size_t i)
{
    bits[i / 64] &= ~(1ull << (i % 64));
}

/* The first set bit at or after i, or n. */
size_t bit_next(const uint64_t *bits, size_t n, size_t i);
size_t bit_count(const uint64_t *bits, size_t n);
bool bit_any(const uint64_t *bits, size_t n);

#define FOR_EACH_BIT(i, bits, n)                                                               \
    for (size_t i = bit_next((bits), (n), 0); i < (n); i = bit_next((bits), (n), i + 1))

static inline const struct histogram *column_hist(const struct column *c, size_t i)
{
    return c->hist ? c->hist[i] : NULL;
}

/* val and has (cleared) for the frame, in the arena. */
CHECKED status column_init(struct eval *ev, const struct frame *f, struct column *c);

/* Makes the histogram column, all NULL, when there is none. */
CHECKED status column_need_hist(struct eval *ev, const struct frame *f, struct column *c);

/* The value has changed its meaning: the name goes now or at the end. */
CHECKED status column_drop_name(struct eval *ev, struct column *c);

/* Takes out the steps that hold histograms; true when there were any. */
bool column_drop_hist(const struct frame *f, struct column *c);

struct sink {
    status (*put)(struct sink *sink, struct column *col);
};

static inline status sink_put(struct sink *sink, struct column *col)
{
    return sink->put(sink, col);
}

/* Kept columns, in the order in which they came. */
struct matrix {
    struct column *s;
    size_t n, cap;
};

/* Polls the budget. At every series. */
CHECKED status eval_poll(struct eval *ev);

/* n values were looked at: polls when that has been many since the last time. */
CHECKED status eval_work(struct eval *ev, uint64_t n);

/* n values are going to be kept. */
CHECKED status eval_hold(struct eval *ev, uint64_t n);

status eval_oom(struct eval *ev); /* ST_NO_MEMORY, said */

static inline struct text_pos expr_pos(const struct expr *e)
{
    return (struct text_pos){e->start, e->end};
}

/* ---- eval.c ----------------------------------------------------------------------- */

/* The columns of a vector expression (KIND_VECTOR). */
CHECKED status eval_vector(struct eval *ev, const struct frame *f, const struct expr *e,
                           struct sink *sink);

/* The same columns in the same order, computed by several workers where there are some and it
 * pays: eval_spread.c. */
CHECKED status eval_spread(struct eval *ev, const struct frame *f, const struct expr *e,
                           struct sink *sink);

/* The same, kept. */
CHECKED status eval_matrix(struct eval *ev, const struct frame *f, const struct expr *e,
                           struct matrix *out);

/* f->n values of a scalar expression, in the arena. */
CHECKED status eval_scalar(struct eval *ev, const struct frame *f, const struct expr *e,
                           double **out);

/* The text of a string expression. */
struct slice eval_string(const struct expr *e);

/* Moves a histogram out of eval.temp. */
CHECKED status histogram_keep(struct eval *ev, const struct histogram **h);

/* Keeps a copy of the column. */
CHECKED status matrix_add(struct eval *ev, const struct frame *f, struct matrix *m,
                          const struct column *col);

/* Puts all of it. */
CHECKED status matrix_put(struct eval *ev, struct matrix *m, struct sink *sink);

/* Joins columns of the same labels, whose values must not meet at any step:
 * "vector cannot contain metrics with the same labelset". */
CHECKED status matrix_join_same(struct eval *ev, const struct frame *f, struct matrix *m);

/* ---- eval_select.c ---------------------------------------------------------------- */

enum select_what {
    SELECT_VALUE,
    SELECT_TIME,  /* the sample's time in seconds */
    SELECT_START, /* its start timestamp in seconds, 0 when it has none */
    SELECT_INFO,  /* the time; a histogram fails the query */
};

/* An instant selector: at each step the newest sample inside the look-back window, or
 * its time. */
CHECKED status eval_select(struct eval *ev, const struct frame *f, const struct expr *vec,
                           enum select_what what, struct sink *sink);

/* A selector's set, looked at at refs[i] for step i (ascending). */
struct select_args {
    struct series_set *set;
    const ts_time *refs;
    enum select_what what;
    const struct expr *vec; /* the selector, which may be smoothed; NULL: info()'s */
};

CHECKED status eval_select_set(struct eval *ev, const struct frame *f,
                               const struct select_args *args, struct sink *sink);

/* The time a step looks at, with @ and offset. */
static inline ts_time modified_time(const struct modifiers *mod, ts_time t)
{
    return (mod->at == AT_NONE ? t : mod->at_ticks) - mod->offset.ticks;
}

/* The raw samples of a range expression at the end of the query: instant queries of a
 * matrix. */
CHECKED status eval_range_result(struct eval *ev, const struct frame *f, const struct expr *e,
                                 struct promql_result *out);

/* ---- operators -------------------------------------------------------------------- */

CHECKED status eval_binary(struct eval *ev, const struct frame *f, const struct expr *e,
                           struct sink *sink);
CHECKED status eval_binary_scalar(struct eval *ev, const struct frame *f, const struct expr *e,
                                  double *out);

struct binary_value {
    double v;
    const struct histogram *h;
};

/* One pair of values. Not usable: types that do not meet, which is annotated. */
struct binary_pair {
    struct binary_value value;
    bool keep;   /* false: a comparison that does not hold; value is the left one then */
    bool usable;
};
CHECKED status binary_pair(struct eval *ev, const struct expr *e, struct binary_value lhs,
                           struct binary_value rhs, struct binary_pair *out);
double binary_floats(enum binary_op op, double a, double b, bool *keep);

CHECKED status eval_vector_vector(struct eval *ev, const struct frame *f, const struct expr *e,
                                  struct sink *sink);
CHECKED status eval_set(struct eval *ev, const struct frame *f, const struct expr *e,
                        struct sink *sink);

CHECKED status eval_aggregate(struct eval *ev, const struct frame *f, const struct expr *e,
                              struct sink *sink);
CHECKED status eval_aggregate_k(struct eval *ev, const struct frame *f, const struct expr *e,
                                const struct label_filter *filter, struct sink *sink);
CHECKED status eval_aggregate_values(struct eval *ev, const struct frame *f,
                                     const struct expr *e, struct sink *sink);
CHECKED status eval_aggregate_quantile(struct eval *ev, const struct frame *f,
                                       const struct expr *e, const struct label_filter *filter,
                                       struct sink *sink);

/* ---- functions -------------------------------------------------------------------- */

/* A call: its vectors, or one column without labels for a function that gives a scalar. */
typedef status (*function_fn)(struct eval *ev, const struct frame *f, const struct expr *call,
                              struct sink *sink);

#define FUNCTION(name, n_args, args, variadic, ret, experimental, fn)                          \
    CHECKED status fn(struct eval *ev, const struct frame *f, const struct expr *call,         \
                      struct sink *sink);
#include "promql/functions.def"
#undef FUNCTION

/* Natural order of texts: runs of digits count as numbers. fn_label.c */
bool natural_less(struct slice a, struct slice b);

/* What absent() says about the selector: labels that its matchers fix. fn_math.c */
CHECKED status absent_labels(struct eval *ev, const struct expr *arg, struct labels *out);

#endif
