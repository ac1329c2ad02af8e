/* Histograms: quantiles and fractions of classic ones, whose buckets are series with a
 * bound in the label le, and of native ones; counts, sums and means of native ones.
 *
 * The buckets of one classic histogram are the series with equal labels but for le. They
 * are kept together (struct classic), and each step gathers the counts that are there. A
 * native histogram is one series (struct native); where a classic one of the same labels
 * has buckets at the same step neither is read, which is warned about.
 */
#include "promql/eval_priv.h"

#include "base/numfmt.h"
#include "promql/hist_quantile.h"

struct classic {
    struct labels labels; /* without le */
    bool drop_name;
    size_t *cols;         /* indices in the matrix */
    size_t n, cap;
    uint64_t *blocked;    /* steps with a native histogram of the same labels; or NULL */
};

struct histograms {
    struct matrix m;
    double *upper;        /* of each column; meaningless for what is no bucket */
    struct classic *list;
    size_t n;
    size_t *natives;      /* indices of columns that have any */
    size_t n_natives;
    struct bucket *buckets; /* room for the largest classic histogram */
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

/* The counts of one classic histogram at one step. */
static size_t buckets_at(const struct histograms *hs, const struct classic *c, size_t step)
{
    size_t n = 0;

    if (c->blocked && bit_get(c->blocked, step)) return 0;
    for (size_t k = 0; k < c->n; k++) {
        const struct column *col = &hs->m.s[c->cols[k]];
        if (!bit_get(col->has, step) || column_hist(col, step)) continue;
        hs->buckets[n++] =
            (struct bucket){.upper = hs->upper[c->cols[k]], .count = col->val[step]};
    }
    return n;
}

/* ---- gathering -------------------------------------------------------------------- */

/* What of the column is native: noted; whether anything else is there. */
static bool note_native(const struct frame *f, struct histograms *hs, size_t i)
{
    const struct column *col = &hs->m.s[i];
    bool native = false, floats = false;

    FOR_EACH_BIT(step, col->has, f->n) {
        if (column_hist(col, step)) native = true;
        else floats = true;
    }
    if (native) hs->natives[hs->n_natives++] = i;
    return floats;
}

/* A native histogram and a classic one of the same labels: neither where both are. */
static status block_rivals(struct eval *ev, const struct frame *f, struct histograms *hs,
                           const struct label_groups *groups, struct text_pos pos)
{
    for (size_t k = 0; k < hs->n_natives; k++) {
        struct column *col = &hs->m.s[hs->natives[k]];
        int64_t at = -1;
        if (!labels_get(col->labels, SLICE_LIT(LABEL_LE)).len) {
            at = label_groups_find(groups, col->labels);
        }
        if (at < 0) continue;
        struct classic *c = &hs->list[at];
        if (!c->blocked) c->blocked = arena_try_zero(ev->arena, bitmap_words(f->n) * 8);
        if (!c->blocked) return eval_oom(ev);
        FOR_EACH_BIT(step, col->has, f->n) {
            if (!column_hist(col, step) || buckets_at(hs, c, step) == 0) continue;
            struct slice metric = labels_get(col->labels, SLICE_LIT(LABEL_NAME));
            bit_set(c->blocked, step);
            bit_clear(col->has, step);
            annotations_warn(&ev->annos, pos,
                             "vector contains a mix of classic and native histograms%s%s",
                             metric.len ? " for metric name " : "",
                             metric.len ? go_quote(ev->arena, metric) : "");
        }
    }
    return ST_OK;
}

static status histograms_room(struct eval *ev, struct histograms *hs)
{
    hs->upper = arena_try_array(ev->arena, hs->m.n + 1, sizeof(*hs->upper));
    hs->list = arena_try_zero(ev->arena, (hs->m.n + 1) * sizeof(*hs->list));
    hs->natives = arena_try_array(ev->arena, hs->m.n + 1, sizeof(*hs->natives));
    return hs->upper && hs->list && hs->natives ? ST_OK : eval_oom(ev);
}

/* Evaluates the vector and sorts its series into histograms. */
static status gather_histograms(struct eval *ev, const struct frame *f, const struct expr *arg,
                                struct histograms *out)
{
    static const struct slice le = {LABEL_LE, sizeof(LABEL_LE) - 1};
    struct label_filter filter = {.names = &le, .n = 1, .keep = false};
    struct text_pos pos = expr_pos(expr_unwrap((struct expr *)arg));
    struct label_groups groups;
    size_t largest = 0;

    *out = (struct histograms){0};
    TRY(eval_matrix(ev, f, arg, &out->m));
    TRY(histograms_room(ev, out));
    label_groups_init(&groups, ev->arena, filter);
    for (size_t i = 0; i < out->m.n; i++) {
        struct column *col = &out->m.s[i];
        bool is_new;
        if (!note_native(f, out, i)) continue;
        if (!parse_f64(&out->upper[i], labels_get(col->labels, le))) {
            warn_bad_bucket(ev, pos, col->labels);
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
    if (!out->buckets) return eval_oom(ev);
    return block_rivals(ev, f, out, &groups, pos);
}

/* ---- reading ---------------------------------------------------------------------- */

/* What is read from each histogram: a quantile, or the fraction between two bounds. */
struct reading {
    struct eval *ev;
    const struct frame *frame;
    struct histograms hs;
    struct text_pos pos;        /* of the vector */
    bool fraction;
    const double *q;            /* the quantile, or the lower bound, at each step */
    const double *upper;
    const uint64_t *at;         /* the steps that are wanted; NULL: all */
    struct column col;
};

static double read_classic(struct reading *r, const struct classic *c, size_t n, size_t step)
{
    struct bucket_repair repair;

    if (r->fraction) {
        return bucket_fraction(r->q[step], r->upper[step], r->hs.buckets, n);
    }
    double v = bucket_quantile(r->q[step], r->hs.buckets, n, &repair);
    if (repair.forced) {
        struct monotonicity what = {repair.bucket_min, repair.bucket_max, repair.diff_max};
        annotations_monotonicity(&r->ev->annos, r->pos,
                                 labels_get(c->labels, SLICE_LIT(LABEL_NAME)),
                                 frame_time(r->frame, step), &what);
    }
    return v;
}

static void note_nans(struct reading *r, struct labels labels, enum hist_nans nans)
{
    static const char *const texts[] = {
        [HIST_NANS_SKEW] = "input to histogram_quantile has NaN observations, result is skewed "
                           "higher",
        [HIST_NANS_RESULT] = "input to histogram_quantile has NaN observations, result is NaN",
        [HIST_NANS_LEFT_OUT] = "input to histogram_fraction has NaN observations, which are "
                               "excluded from all fractions",
    };
    struct slice metric = labels_get(labels, SLICE_LIT(LABEL_NAME));

    if (nans == HIST_NANS_NONE) return;
    annotations_info(&r->ev->annos, r->pos, "%s%s%s", texts[nans],
                     metric.len ? " for metric name " : "",
                     metric.len ? go_quote(r->ev->arena, metric) : "");
}

static double read_native(struct reading *r, const struct column *col, size_t step)
{
    const struct histogram *h = column_hist(col, step);
    enum hist_nans nans;
    double v = r->fraction ? histogram_fraction(r->q[step], r->upper[step], h, &nans)
                           : histogram_quantile(r->q[step], h, &nans);

    note_nans(r, col->labels, nans);
    return v;
}

/* The column of classic histogram k, or of native histogram k - n. */
static status read_steps(struct reading *r, size_t k)
{
    const struct frame *f = r->frame;
    const struct classic *c = k < r->hs.n ? &r->hs.list[k] : NULL;
    const struct column *native = c ? NULL : &r->hs.m.s[r->hs.natives[k - r->hs.n]];

    TRY(eval_poll(r->ev));
    memset(r->col.has, 0, bitmap_words(f->n) * sizeof(*r->col.has));
    for (size_t i = 0; i < f->n; i++) {
        size_t n = 1;
        if (r->at && !bit_get(r->at, i)) continue;
        if (c) n = buckets_at(&r->hs, c, i);
        else if (!bit_get(native->has, i) || !column_hist(native, i)) n = 0;
        if (n == 0) continue;
        r->col.val[i] = c ? read_classic(r, c, n, i) : read_native(r, native, i);
        bit_set(r->col.has, i);
    }
    r->col.labels = c ? c->labels : native->labels;
    r->col.drop_name = false;
    return ST_OK;
}

/* Native ones come first. */
static status put_readings(struct reading *r, struct sink *sink)
{
    size_t n = r->hs.n + r->hs.n_natives;

    TRY(column_init(r->ev, r->frame, &r->col));
    for (size_t i = 0; i < n; i++) {
        TRY(read_steps(r, (i + r->hs.n) % n));
        if (!bit_any(r->col.has, r->frame->n)) continue;
        TRY(column_drop_name(r->ev, &r->col));
        TRY(sink_put(sink, &r->col));
    }
    return ST_OK;
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

status fn_histogram_quantile(struct eval *ev, const struct frame *f, const struct expr *call,
                             struct sink *sink)
{
    struct expr *const *args = call->call.args;
    struct reading r = {.ev = ev, .frame = f, .pos = expr_pos(expr_unwrap(args[1]))};
    double *q;

    TRY(eval_scalar(ev, f, args[0], &q));
    r.q = q;
    warn_quantiles(ev, f, args[0], q);
    TRY(gather_histograms(ev, f, args[1], &r.hs));
    return put_readings(&r, sink);
}

status fn_histogram_fraction(struct eval *ev, const struct frame *f, const struct expr *call,
                             struct sink *sink)
{
    struct expr *const *args = call->call.args;
    struct reading r = {
        .ev = ev, .frame = f, .fraction = true, .pos = expr_pos(expr_unwrap(args[2]))};
    double *lower, *upper;

    TRY(eval_scalar(ev, f, args[0], &lower));
    TRY(eval_scalar(ev, f, args[1], &upper));
    r.q = lower;
    r.upper = upper;
    TRY(gather_histograms(ev, f, args[2], &r.hs));
    return put_readings(&r, sink);
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
    struct reading r;
    struct slice name;     /* of the label that tells the quantile */
    struct matrix out;
    uint64_t *todo, *at;
};

/* Columns of one argument: one for each histogram and value of the quantile, which may
 * change from step to step. */
static status add_quantiles(struct quantiles_call *qc)
{
    struct reading *r = &qc->r;
    struct eval *ev = r->ev;
    const struct frame *f = r->frame;
    size_t n = r->hs.n + r->hs.n_natives;

    for (size_t i = 0; i < f->n; i++) bit_set(qc->todo, i);
    for (size_t i = 0; i < f->n; i++) {
        if (!bit_get(qc->todo, i)) continue;
        struct slice value = quantile_label(ev->arena, r->q[i]);
        if (!value.ptr) return eval_oom(ev);
        take_equal(f, r->q, i, qc->todo, qc->at);
        for (size_t k = 0; k < n; k++) {
            TRY(read_steps(r, (k + r->hs.n) % n));
            r->col.labels = labels_with(ev->arena, r->col.labels, qc->name, value);
            if (!r->col.labels.ptr) return eval_oom(ev);
            TRY(column_drop_name(ev, &r->col));
            TRY(matrix_add(ev, f, &qc->out, &r->col));
        }
    }
    return ST_OK;
}

status fn_histogram_quantiles(struct eval *ev, const struct frame *f, const struct expr *call,
                              struct sink *sink)
{
    struct expr *const *args = call->call.args;
    struct quantiles_call qc = {.r = {.ev = ev, .frame = f}, .name = eval_string(args[1])};

    if (!qc.name.len) {
        return err_set(ev->err, ST_EXECUTION, "invalid label name %s",
                       go_quote(ev->arena, qc.name));
    }
    qc.r.pos = expr_pos(expr_unwrap(args[0]));
    qc.todo = arena_try_zero(ev->arena, bitmap_words(f->n) * sizeof(*qc.todo));
    qc.at = arena_try_zero(ev->arena, bitmap_words(f->n) * sizeof(*qc.at));
    if (!qc.todo || !qc.at) return eval_oom(ev);
    qc.r.at = qc.at;
    TRY(gather_histograms(ev, f, args[0], &qc.r.hs));
    TRY(column_init(ev, f, &qc.r.col));
    for (size_t a = 2; a < call->call.n_args; a++) {
        double *q;
        TRY(eval_scalar(ev, f, args[a], &q));
        warn_quantiles(ev, f, args[a], q);
        qc.r.q = q;
        TRY(add_quantiles(&qc));
    }
    TRY(matrix_join_same(ev, f, &qc.out));
    return matrix_put(ev, &qc.out, sink);
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
