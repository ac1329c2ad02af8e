/* Histograms: quantiles and fractions of classic ones, whose buckets are series with a
 * bound in the label le; counts, sums and means of native ones.
 *
 * The buckets of one histogram are the series with equal labels but for le. They are kept
 * together (struct classic), and each step gathers the counts that are there.
 */
#include "promql/eval_priv.h"

#include "base/numfmt.h"

struct classic {
    struct labels labels; /* without le */
    bool drop_name;
    size_t *cols;         /* indices in the matrix */
    size_t n, cap;
};

struct classics {
    struct matrix m;
    double *upper;        /* of each column; meaningless for what is no bucket */
    struct classic *list;
    size_t n;
    struct bucket *buckets; /* room for the largest histogram */
};

static status add_bucket(struct eval *ev, struct classic *c, size_t col)
{
    if (c->n == c->cap) {
        size_t cap = c->cap ? c->cap * 2 : 16;
        size_t *cols = arena_try_array(ev->arena, cap, sizeof(*cols));
        if (!cols) return eval_oom(ev);
        if (c->n) memcpy(cols, c->cols, c->n * sizeof(*cols));
        c->cols = cols;
        c->cap = cap;
    }
    c->cols[c->n++] = col;
    return ST_OK;
}

static void warn_bad_bucket(struct eval *ev, struct text_pos pos, struct labels labels)
{
    struct slice metric = labels_get(labels, SLICE_LIT(LABEL_NAME));
    struct slice le = labels_get(labels, SLICE_LIT(LABEL_LE));

    annotations_warn(&ev->annos, pos,
                     "bucket label \"le\" is missing or has a malformed value of %s%s%s",
                     go_quote(ev->arena, le), metric.len ? " for metric name " : "",
                     metric.len ? go_quote(ev->arena, metric) : "");
}

/* Evaluates the vector and sorts its series into histograms. */
static status gather_classics(struct eval *ev, const struct frame *f, const struct expr *arg,
                              struct classics *out)
{
    static const struct slice le = {LABEL_LE, sizeof(LABEL_LE) - 1};
    struct label_filter filter = {.names = &le, .n = 1, .keep = false};
    struct label_groups groups;
    size_t largest = 0;

    *out = (struct classics){0};
    TRY(eval_matrix(ev, f, arg, &out->m));
    out->upper = arena_try_array(ev->arena, out->m.n + 1, sizeof(*out->upper));
    out->list = arena_try_zero(ev->arena, (out->m.n + 1) * sizeof(*out->list));
    if (!out->upper || !out->list) return eval_oom(ev);
    label_groups_init(&groups, ev->arena, filter);

    for (size_t i = 0; i < out->m.n; i++) {
        struct column *col = &out->m.s[i];
        bool is_new;
        (void)column_drop_hist(f, col); /* native ones have no buckets of this kind */
        if (!bit_any(col->has, f->n)) continue;
        if (!parse_f64(&out->upper[i], labels_get(col->labels, le))) {
            warn_bad_bucket(ev, expr_pos(expr_unwrap((struct expr *)arg)), col->labels);
            continue;
        }
        int64_t at = label_groups_add(&groups, col->labels, &is_new);
        if (at < 0) return eval_oom(ev);
        struct classic *c = &out->list[at];
        if (is_new) {
            c->labels = label_filter_apply(ev->arena, &filter, col->labels);
            if (c->labels.n && !c->labels.ptr) return eval_oom(ev);
            c->drop_name = col->drop_name;
            out->n++;
        }
        TRY(add_bucket(ev, c, i));
        if (c->n > largest) largest = c->n;
    }
    out->buckets = arena_try_array(ev->arena, largest + 1, sizeof(*out->buckets));
    return out->buckets ? ST_OK : eval_oom(ev);
}

/* The counts of one histogram at one step. */
static size_t buckets_at(const struct classics *cs, const struct classic *c, size_t step)
{
    size_t n = 0;

    for (size_t k = 0; k < c->n; k++) {
        const struct column *col = &cs->m.s[c->cols[k]];
        if (!bit_get(col->has, step)) continue;
        cs->buckets[n++] =
            (struct bucket){.upper = cs->upper[c->cols[k]], .count = col->val[step]};
    }
    return n;
}

static void warn_quantiles(struct eval *ev, const struct frame *f, const struct expr *arg,
                           const double *q)
{
    char text[40];

    for (size_t i = 0; i < f->n; i++) {
        if (q[i] >= 0 && q[i] <= 1) continue;
        annotations_warn(&ev->annos, expr_pos(expr_unwrap((struct expr *)arg)),
                         "quantile value should be between 0 and 1, got %s",
                         go_float(text, q[i]));
    }
}

/* The quantile of one histogram at the steps where `at` (NULL: everywhere) is set. */
static void fill_quantiles(struct eval *ev, const struct frame *f, const struct classics *cs,
                           const struct classic *c, const double *q, const uint64_t *at,
                           struct text_pos pos, struct column *out)
{
    struct bucket_repair repair;

    for (size_t i = 0; i < f->n; i++) {
        if (at && !bit_get(at, i)) continue;
        size_t n = buckets_at(cs, c, i);
        if (n == 0) continue;
        out->val[i] = bucket_quantile(q[i], cs->buckets, n, &repair);
        bit_set(out->has, i);
        if (!repair.forced) continue;
        struct monotonicity what = {repair.bucket_min, repair.bucket_max, repair.diff_max};
        annotations_monotonicity(&ev->annos, pos, labels_get(c->labels, SLICE_LIT(LABEL_NAME)),
                                 frame_time(f, i), &what);
    }
}

static status put_classic(struct eval *ev, const struct frame *f, struct labels labels,
                          struct column *col, struct sink *sink)
{
    if (!bit_any(col->has, f->n)) return ST_OK;
    col->labels = labels;
    col->drop_name = false;
    TRY(column_drop_name(ev, col));
    return sink_put(sink, col);
}

status fn_histogram_quantile(struct eval *ev, const struct frame *f, const struct expr *call,
                             struct sink *sink)
{
    struct expr *const *args = call->call.args;
    struct classics cs;
    struct column col;
    double *q;

    TRY(eval_scalar(ev, f, args[0], &q));
    warn_quantiles(ev, f, args[0], q);
    TRY(gather_classics(ev, f, args[1], &cs));
    TRY(column_init(ev, f, &col));
    for (size_t k = 0; k < cs.n; k++) {
        TRY(eval_poll(ev));
        memset(col.has, 0, bitmap_words(f->n) * sizeof(*col.has));
        fill_quantiles(ev, f, &cs, &cs.list[k], q, NULL, expr_pos(expr_unwrap(args[1])), &col);
        TRY(put_classic(ev, f, cs.list[k].labels, &col, sink));
    }
    return ST_OK;
}

/* ---- histogram_quantiles ---------------------------------------------------------- */

/* OpenMetrics' float: as Go prints it, and never without a point or an exponent. */
static struct slice quantile_label(struct arena *arena, double q)
{
    char text[44];

    go_float(text, q);
    bool plain = isfinite(q) && !strpbrk(text, ".e");
    const char *out = arena_printf(arena, "%s%s", text, plain ? ".0" : "");
    return out ? slice_str(out) : slice_of(NULL, 0);
}

/* The steps from i on at which q has the value it has at i, taken out of todo. */
static void take_equal(const struct frame *f, const double *q, size_t i, uint64_t *todo,
                       uint64_t *out)
{
    memset(out, 0, bitmap_words(f->n) * sizeof(*out));
    for (size_t k = i; k < f->n; k++) {
        bool same = q[k] == q[i] || (isnan(q[k]) && isnan(q[i]));
        if (!same || !bit_get(todo, k)) continue;
        bit_set(out, k);
        bit_clear(todo, k);
    }
}

struct quantiles_call {
    struct eval *ev;
    const struct frame *frame;
    struct classics cs;
    struct slice name;     /* of the label that tells the quantile */
    struct text_pos pos;
    struct matrix out;
    struct column col;
    uint64_t *todo, *at;
};

/* Columns of one argument: one for each histogram and value of the quantile, which may
 * change from step to step. */
static status add_quantiles(struct quantiles_call *qc, const double *q)
{
    struct eval *ev = qc->ev;
    const struct frame *f = qc->frame;

    for (size_t i = 0; i < f->n; i++) bit_set(qc->todo, i);
    for (size_t i = 0; i < f->n; i++) {
        if (!bit_get(qc->todo, i)) continue;
        struct slice value = quantile_label(ev->arena, q[i]);
        if (!value.ptr) return eval_oom(ev);
        take_equal(f, q, i, qc->todo, qc->at);
        for (size_t k = 0; k < qc->cs.n; k++) {
            const struct classic *c = &qc->cs.list[k];
            TRY(eval_poll(ev));
            memset(qc->col.has, 0, bitmap_words(f->n) * sizeof(*qc->col.has));
            fill_quantiles(ev, f, &qc->cs, c, q, qc->at, qc->pos, &qc->col);
            qc->col.labels = labels_with(ev->arena, c->labels, qc->name, value);
            if (!qc->col.labels.ptr) return eval_oom(ev);
            qc->col.drop_name = false;
            TRY(column_drop_name(ev, &qc->col));
            TRY(matrix_add(ev, f, &qc->out, &qc->col));
        }
    }
    return ST_OK;
}

status fn_histogram_quantiles(struct eval *ev, const struct frame *f, const struct expr *call,
                              struct sink *sink)
{
    struct expr *const *args = call->call.args;
    struct quantiles_call qc = {.ev = ev, .frame = f, .name = eval_string(args[1])};

    if (!qc.name.len) {
        return err_set(ev->err, ST_EXECUTION, "invalid label name %s",
                       go_quote(ev->arena, qc.name));
    }
    qc.pos = expr_pos(expr_unwrap(args[0]));
    qc.todo = arena_try_zero(ev->arena, bitmap_words(f->n) * sizeof(*qc.todo));
    qc.at = arena_try_zero(ev->arena, bitmap_words(f->n) * sizeof(*qc.at));
    if (!qc.todo || !qc.at) return eval_oom(ev);
    TRY(gather_classics(ev, f, args[0], &qc.cs));
    TRY(column_init(ev, f, &qc.col));
    for (size_t a = 2; a < call->call.n_args; a++) {
        double *q;
        TRY(eval_scalar(ev, f, args[a], &q));
        warn_quantiles(ev, f, args[a], q);
        TRY(add_quantiles(&qc, q));
    }
    TRY(matrix_join_same(ev, f, &qc.out));
    return matrix_put(ev, &qc.out, sink);
}

/* ---- histogram_fraction ----------------------------------------------------------- */

status fn_histogram_fraction(struct eval *ev, const struct frame *f, const struct expr *call,
                             struct sink *sink)
{
    struct expr *const *args = call->call.args;
    struct classics cs;
    struct column col;
    double *lower, *upper;

    TRY(eval_scalar(ev, f, args[0], &lower));
    TRY(eval_scalar(ev, f, args[1], &upper));
    TRY(gather_classics(ev, f, args[2], &cs));
    TRY(column_init(ev, f, &col));
    for (size_t k = 0; k < cs.n; k++) {
        TRY(eval_poll(ev));
        memset(col.has, 0, bitmap_words(f->n) * sizeof(*col.has));
        for (size_t i = 0; i < f->n; i++) {
            size_t n = buckets_at(&cs, &cs.list[k], i);
            if (n == 0) continue;
            col.val[i] = bucket_fraction(lower[i], upper[i], cs.buckets, n);
            bit_set(col.has, i);
        }
        TRY(put_classic(ev, f, cs.list[k].labels, &col, sink));
    }
    return ST_OK;
}

/* ---- native histograms ------------------------------------------------------------ */

typedef double (*native_fn)(const struct histogram *h);

struct native_sink {
    struct sink sink;
    struct eval *ev;
    const struct frame *frame;
    native_fn fn;
    struct sink *to;
};

/* Floats have no buckets: their steps are dropped. */
static status native_put(struct sink *sink, struct column *col)
{
    struct native_sink *s = container_of(sink, struct native_sink, sink);

    FOR_EACH_BIT(i, col->has, s->frame->n) {
        const struct histogram *h = column_hist(col, i);
        if (h) col->val[i] = s->fn(h);
        else bit_clear(col->has, i);
    }
    col->hist = NULL;
    if (!bit_any(col->has, s->frame->n)) return ST_OK;
    TRY(column_drop_name(s->ev, col));
    return sink_put(s->to, col);
}

#define NATIVE_FUNCTION(name, value)                                                           \
    static double native_##name(const struct histogram *h)                                     \
    {                                                                                          \
        return (value);                                                                        \
    }                                                                                          \
    status fn_histogram_##name(struct eval *ev, const struct frame *f, const struct expr *call, \
                               struct sink *sink)                                              \
    {                                                                                          \
        struct native_sink native = {{native_put}, ev, f, native_##name, sink};                \
        return eval_vector(ev, f, call->call.args[0], &native.sink);                           \
    }

NATIVE_FUNCTION(count, h->count)
NATIVE_FUNCTION(sum, h->sum)
NATIVE_FUNCTION(avg, h->sum / h->count)
NATIVE_FUNCTION(stdvar, histogram_variance(h))
NATIVE_FUNCTION(stddev, sqrt(histogram_variance(h)))
