/* Range functions: the driver. It takes the samples of one series, from a selector or
 * from a subquery, and calls the function's kernel once a step, with the samples in its
 * window. There are two ways:
 *
 *     borrowed   a reader lends the columns of a series of floats, and so does a subquery.
 *                Windows are those of its times, found once for all series that share
 *                them (range_edges.c), and many functions compute all steps at once
 *                (range_kernel.columns)
 *     copied     everything else: histograms, stale markers, start timestamps. The window
 *                slides over the samples; both ends only move forward, so finding it
 *                costs one pass, whatever the number of steps
 *
 * Anchored and smoothed ranges also see samples outside of their window, as far as the
 * look-back; their kernels take them from window.all (fn_rate.c).
 */
#include "promql/eval_range_priv.h"

#include <stdlib.h>

/* The steps at which the columns of a subquery have values. */
struct inner {
    uint64_t number;              /* sample_span.times; 0: nothing yet */
    uint64_t *has;
    ts_time *ts;                  /* n of them */
    size_t n;
};

struct range_pass {
    struct sink sink;             /* a subquery's columns come here */
    struct range_call call;
    const struct range_kernel *kernel;
    struct sink *to;
    double *args[RANGE_ARGS_MAX]; /* a value a step */
    size_t n_args;
    const struct modifiers *mod;
    int64_t range;                /* query ticks */
    struct frame inner;           /* of a subquery */
    struct inner inner_times;
    struct samples samples;       /* of a subquery */
    struct column col;
    const struct histogram **hist;
    VEC(double) scratch;
    struct edge_cache edges;      /* of borrowed columns; made for the first of them */
};

static const struct expr *range_argument(const struct expr *call)
{
    for (size_t i = 0; i < call->call.n_args; i++) {
        struct expr *arg = expr_unwrap(call->call.args[i]);
        if (arg->type == KIND_MATRIX) return arg;
    }
    return NULL;
}

static const struct modifiers *range_modifiers(const struct expr *range, int64_t *ticks)
{
    if (range->kind == EXPR_SUBQUERY) {
        *ticks = range->subquery.range.ticks;
        return &range->subquery.mod;
    }
    *ticks = range->matrix.range.ticks;
    return &range->matrix.vec->vec.mod;
}

/* ---- windows ---------------------------------------------------------------------- */

/* Moves the window to the step's time. */
static void slide(const struct range_pass *p, const struct samples *s, ts_time now,
                  struct window *w)
{
    w->now = now;
    w->end = modified_time(p->mod, now);
    w->start = sat_sub(w->end, p->range);
    while (w->hi < s->t.len && s->t.ptr[w->hi] <= w->end) w->hi++;
    while (w->lo < w->hi && s->t.ptr[w->lo] <= w->start) w->lo++;
    while (w->hhi < s->ht.len && s->ht.ptr[w->hhi] <= w->end) w->hhi++;
    while (w->hlo < w->hhi && s->ht.ptr[w->hlo] <= w->start) w->hlo++;
    w->n = w->hi - w->lo;
    w->hn = w->hhi - w->hlo;
    w->t = w->n ? s->t.ptr + w->lo : NULL;
    w->v = w->n ? s->v.ptr + w->lo : NULL;
    w->ht = w->hn ? s->ht.ptr + w->hlo : NULL;
    w->h = w->hn ? s->h.ptr + w->hlo : NULL;
}

static status put_out(struct range_pass *p, size_t i, const struct range_out *out)
{
    struct eval *ev = p->call.ev;

    p->col.val[i] = out->val;
    bit_set(p->col.has, i);
    if (!out->hist) return ST_OK;
    if (!p->col.hist && p->hist) {
        memset(p->hist, 0, p->call.frame->n * sizeof(*p->hist));
        p->col.hist = p->hist;
    }
    TRY(column_need_hist(ev, p->call.frame, &p->col));
    p->hist = p->col.hist;
    p->col.hist[i] = out->hist;
    return ST_OK;
}

static bool find_resets(const struct samples *s)
{
    for (size_t i = 1; i < s->t.len; i++) {
        if (s->v.ptr[i] < s->v.ptr[i - 1]) return true;
        if (s->starts.n && samples_restarted(s, s->t.ptr[i - 1], s->t.ptr[i])) return true;
    }
    return false;
}

const char *range_metric(struct range_call *rc)
{
    return go_quote(rc->ev->arena, labels_get(rc->labels, SLICE_LIT(LABEL_NAME)));
}

void range_ignored_hist(struct range_call *rc, const struct window *w)
{
    if (w->hn == 0) return;
    annotations_info(&rc->ev->annos, rc->pos,
                     "ignored histograms in a range containing both floats and histograms for "
                     "metric name %s",
                     range_metric(rc));
}

/* Only a counter has a rate: says so when name or type speak against it. */
static void check_counter(struct range_call *rc)
{
    struct slice metric = labels_get(rc->labels, SLICE_LIT(LABEL_NAME));
    struct slice type = labels_get(rc->labels, SLICE_LIT("__type__"));
    struct annotations *an = &rc->ev->annos;
    static const char *const endings[] = {"_total", "_sum", "_count", "_bucket"};

    if (!metric.len) return;
    if (type.len) {
        if (slice_is(type, "counter") || slice_is(type, "histogram")) return;
        annotations_info(an, rc->pos,
                         "metric might not be a counter, __type__ label is not set to "
                         "\"counter\" or \"histogram\", got %s: %s",
                         go_quote(rc->ev->arena, type), go_quote(rc->ev->arena, metric));
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
        size_t len = strlen(endings[i]);
        if (metric.len >= len && memcmp(metric.ptr + metric.len - len, endings[i], len) == 0) {
            return;
        }
    }
    annotations_info(an, rc->pos,
                     "metric might not be a counter, name does not end in "
                     "_total/_sum/_count/_bucket: %s",
                     go_quote(rc->ev->arena, metric));
}

/* Of a series of n floats. */
static status begin_series(struct range_pass *p, size_t n, struct labels labels, bool drop_name)
{
    p->col.hist = NULL;
    p->col.hist_temp = true;
    p->col.labels = labels;
    p->col.drop_name = drop_name;
    p->call.labels = labels;
    p->scratch.len = 0;
    if (!vec_reserve(&p->scratch, n + 2)) return eval_oom(p->call.ev);
    p->call.scratch = p->scratch.ptr;
    return ST_OK;
}

static status finish_series(struct range_pass *p, bool floats)
{
    struct range_call *rc = &p->call;

    if (rc->failed) return eval_oom(rc->ev);
    if (!bit_any(p->col.has, rc->frame->n)) return ST_OK;
    if (p->kernel->is_rate && floats) check_counter(rc);
    if (!p->kernel->keeps_name) TRY(column_drop_name(rc->ev, &p->col));
    return sink_put(p->to, &p->col);
}

/* One series: samples to a column, and on. */
static status range_steps(struct range_pass *p, const struct samples *s, struct labels labels,
                          bool drop_name)
{
    struct range_call *rc = &p->call;
    size_t n = rc->frame->n;
    struct window w = {.all = s};
    bool floats = false;

    TRY(begin_series(p, s->t.len, labels, drop_name));
    memset(p->col.has, 0, bitmap_words(n) * sizeof(*p->col.has));
    rc->has_resets = find_resets(s);
    for (size_t i = 0; i < n; i++) {
        struct range_out out = {0};
        slide(p, s, frame_time(rc->frame, i), &w);
        if (w.n + w.hn == 0 && !rc->anchored && !rc->smoothed) continue;
        rc->ev->n_total += w.n + w.hn;
        TRY(eval_work(rc->ev, w.n + w.hn + 1));
        for (size_t k = 0; k < p->n_args; k++) rc->args[k] = p->args[k][i];
        if (!p->kernel->fn(rc, &w, &out)) continue;
        floats = floats || !out.hist;
        TRY(put_out(p, i, &out));
    }
    return finish_series(p, floats);
}

static status range_series(struct range_pass *p, const struct samples *s, struct labels labels,
                           bool drop_name)
{
    struct eval *ev = p->call.ev;

    ev->temp_depth++;
    status st = range_steps(p, s, labels, drop_name);
    if (--ev->temp_depth == 0) arena_reset(&ev->temp);
    return st;
}

/* ---- borrowed columns ------------------------------------------------------------- */

static status make_edges(struct range_pass *p)
{
    const struct range_kernel *kernel = p->kernel;
    struct edge_spec spec = {.frame = p->call.frame, .range = p->range, .n_min = 1};

    if (p->edges.slots) return ST_OK;
    TRY(edges_ends(p->call.ev, p->call.frame, p->mod, &spec.ends));
    if (kernel->columns) {
        spec.n_min = kernel->n_min > 1 ? kernel->n_min : 1;
        spec.n_aux = kernel->n_aux;
        spec.prepare = kernel->prepare;
        spec.ctx = &p->call;
    }
    return edges_init(p->call.ev, &p->edges, &spec);
}

/* Step by step, the windows as the edges have them. */
static status range_windows(struct range_pass *p, const struct samples *s, const struct edges *e)
{
    struct range_call *rc = &p->call;
    size_t n = rc->frame->n;

    memset(p->col.has, 0, bitmap_words(n) * sizeof(*p->col.has));
    rc->has_resets = find_resets(s);
    for (size_t i = 0; i < n; i++) {
        size_t lo = e->lo[i], hi = e->hi[i];
        struct range_out out = {0};
        if (lo == hi) continue;
        TRY(eval_work(rc->ev, hi - lo));
        struct window w = {.t = s->t.ptr + lo,
                           .v = s->v.ptr + lo,
                           .n = hi - lo,
                           .end = p->edges.spec.ends[i],
                           .now = frame_time(rc->frame, i),
                           .all = s,
                           .lo = lo,
                           .hi = hi};
        w.start = sat_sub(w.end, p->range);
        for (size_t k = 0; k < p->n_args; k++) rc->args[k] = p->args[k][i];
        if (!p->kernel->fn(rc, &w, &out)) continue;
        p->col.val[i] = out.val;
        bit_set(p->col.has, i);
    }
    return ST_OK;
}

/* Of windows that hold more than this between them, columns() might not come back for
 * seconds, and nothing could stop it meanwhile. */
enum { COLUMNS_SEEN_MAX = 1 << 29 };

static bool make_columns(struct range_pass *p, const struct range_columns *c)
{
    const struct edges *e = c->edges;

    if (!p->kernel->columns || e->ragged || e->n_seen > COLUMNS_SEEN_MAX) return false;
    return p->kernel->columns(&p->call, c);
}

static status range_columns(struct range_pass *p, const struct sample_span *span,
                            struct labels labels, bool drop_name)
{
    struct range_call *rc = &p->call;
    const struct edges *e;
    struct samples s;

    TRY(make_edges(p));
    TRY(edges_get(rc->ev, &p->edges, span, &e));
    rc->ev->n_total += e->n_seen;
    TRY(eval_work(rc->ev, rc->frame->n));
    TRY(begin_series(p, span->n, labels, drop_name));
    struct range_columns c = {.t = span->ts,
                              .v = span->val,
                              .n = span->n,
                              .may_be_nan = span->may_be_nan,
                              .edges = e,
                              .spec = &p->edges.spec,
                              .out = p->col.val,
                              .args = p->args};
    if (make_columns(p, &c)) {
        memcpy(p->col.has, e->has, bitmap_words(rc->frame->n) * sizeof(*e->has));
        TRY(eval_work(rc->ev, e->n_seen));
    } else {
        samples_borrow(&s, span);
        TRY(range_windows(p, &s, e));
    }
    return finish_series(p, true);
}

/* ---- where the samples come from -------------------------------------------------- */

/* The times of an inner column: those of its frame that have a value. Numbered, so that
 * columns with values at the same steps share them. */
static status inner_times(struct range_pass *p, const struct column *col)
{
    struct arena *arena = p->call.ev->arena;
    struct inner *in = &p->inner_times;
    size_t n = p->inner.n, len = bitmap_words(n) * sizeof(*col->has);

    if (in->number && memcmp(in->has, col->has, len) == 0) return ST_OK;
    if (!in->has) in->has = arena_try(arena, len);
    if (!in->ts) in->ts = arena_try_array(arena, n, sizeof(*in->ts));
    if (!in->has || !in->ts) return eval_oom(p->call.ev);
    memcpy(in->has, col->has, len);
    in->n = 0;
    FOR_EACH_BIT(i, col->has, n) in->ts[in->n++] = frame_time(&p->inner, i);
    in->number++;
    return ST_OK;
}

/* A column of floats is lent as it is, or, where it has gaps, without them. */
static status subquery_lent(struct range_pass *p, const struct column *col)
{
    const struct inner *in = &p->inner_times;
    struct samples *s = &p->samples;

    TRY(inner_times(p, col));
    struct sample_span span = {.ts = in->ts, .val = col->val, .n = in->n, .times = in->number};
    if (in->n == 0) return ST_OK;
    if (in->n < p->inner.n) {
        samples_clear(s);
        if (!vec_reserve(&s->v, in->n)) return eval_oom(p->call.ev);
        FOR_EACH_BIT(i, col->has, p->inner.n) s->v.ptr[s->v.len++] = col->val[i];
        span.val = s->v.ptr;
    }
    for (size_t i = 0; i < span.n && !span.may_be_nan; i++) span.may_be_nan = isnan(span.val[i]);
    return range_columns(p, &span, col->labels, col->drop_name);
}

static status subquery_put(struct sink *sink, struct column *col)
{
    struct range_pass *p = container_of(sink, struct range_pass, sink);

    TRY(eval_poll(p->call.ev));
    if (!col->hist) return subquery_lent(p, col);
    TRY(samples_from_column(p->call.ev, &p->inner, col, &p->samples));
    return range_series(p, &p->samples, col->labels, col->drop_name);
}

static status run_subquery(struct range_pass *p)
{
    const struct expr *sub = p->call.range;
    bool empty;

    TRY(subquery_frame(p->call.ev, p->call.frame, sub, &p->inner, &empty));
    if (empty) return ST_OK;
    return subquery_columns(p->call.ev, &p->inner, sub, &p->sink);
}

/* One series through a reader. */
static status read_borrowed(struct range_pass *p, struct series_set *set,
                            struct series_reader *reader, size_t i)
{
    struct eval *ev = p->call.ev;
    struct sample_span span;

    TRY(series_reader_read(reader, i, &span, ev->err));
    if (span.n == 0) return ST_OK;
    p->samples.starts.n = 0;
    if (p->kernel->starts) TRY(samples_read_starts(ev, set, i, i + 1, &p->samples));
    if (p->samples.starts.n == 0 && ev->plan->sample_scale == 1 && span.n <= UINT32_MAX &&
        !span_has_stale(&span)) {
        return range_columns(p, &span, set->labels[i], false);
    }
    TRY(samples_from_span(ev, &span, false, &p->samples));
    if (p->samples.t.len == 0) return ST_OK;
    if (p->kernel->starts) TRY(samples_read_starts(ev, set, i, i + 1, &p->samples));
    return range_series(p, &p->samples, set->labels[i], false);
}

static status run_series(struct range_pass *p, struct series_set *set,
                         struct series_reader *reader)
{
    struct eval *ev = p->call.ev;
    const struct vector_expr *vec = &p->call.range->matrix.vec->vec;

    for (size_t i = 0, next; i < set->n; i = next) {
        if (reader && span_is_whole(set, i)) {
            next = i + 1;
            TRY(read_borrowed(p, set, reader, i));
            continue;
        }
        TRY(samples_read(ev, set, i, &next, vec, false, &p->samples));
        if (p->samples.t.len + p->samples.ht.len == 0) continue;
        if (p->kernel->starts) TRY(samples_read_starts(ev, set, i, next, &p->samples));
        TRY(range_series(p, &p->samples, set->labels[i], false));
    }
    return ST_OK;
}

static status run_selector(struct range_pass *p)
{
    struct eval *ev = p->call.ev;
    struct series_set *set = ev->sets[p->call.range->matrix.vec->vec.select];
    struct series_reader *reader = NULL;
    bool extended = p->call.anchored || p->call.smoothed;

    if (set->ops->open_reader && set->n > 0 && !extended) {
        TRY(set->ops->open_reader(set, ev->budget, &reader, ev->err));
    }
    status st = run_series(p, set, reader);
    series_reader_close(reader);
    return st;
}

/* anchored and smoothed have a meaning for few functions. */
static status check_extended(const struct range_call *rc, const struct range_kernel *kernel)
{
    const char *name = rc->call->call.func->name;

    if (rc->smoothed && !kernel->smoothed) {
        return err_set(rc->ev->err, ST_EXECUTION,
                       "smoothed modifier can only be used with: delta, increase, rate - not "
                       "with %s",
                       name);
    }
    if (rc->anchored && !kernel->anchored) {
        return err_set(rc->ev->err, ST_EXECUTION,
                       "anchored modifier can only be used with: changes, delta, increase, rate, "
                       "resets - not with %s",
                       name);
    }
    return ST_OK;
}

status eval_range(struct eval *ev, const struct frame *f, const struct expr *call,
                  const struct range_kernel *kernel, struct sink *sink)
{
    const struct expr *range = range_argument(call);
    struct range_pass p = {
        .sink = {subquery_put},
        .kernel = kernel,
        .to = sink,
        .call = {.ev = ev, .frame = f, .call = call, .range = range},
    };
    status st;

    p.mod = range_modifiers(range, &p.range);
    p.call.pos = expr_pos(expr_unwrap(call->call.args[0]));
    p.call.seconds = plan_seconds(ev->plan, p.range);
    if (range->kind == EXPR_MATRIX) {
        p.call.anchored = range->matrix.vec->vec.anchored;
        p.call.smoothed = range->matrix.vec->vec.smoothed;
    }
    TRY(check_extended(&p.call, kernel));
    for (size_t i = 0; i < call->call.n_args; i++) {
        if (call->call.args[i]->type != KIND_SCALAR) continue;
        TRY(eval_scalar(ev, f, call->call.args[i], &p.args[p.n_args++]));
    }
    TRY(column_init(ev, f, &p.col));
    st = range->kind == EXPR_SUBQUERY ? run_subquery(&p) : run_selector(&p);
    samples_release(&p.samples);
    vec_release(&p.scratch);
    return st;
}

/* ---- a range as a result ---------------------------------------------------------- */

/* Gathers what lies in the one window of an instant query. */
struct gather {
    struct sink sink;
    struct eval *ev;
    struct frame inner;
    ts_time start, end;
    struct samples samples;
    VEC(struct prom_series) series;
};

static size_t first_after(const ts_time *t, size_t n, ts_time when)
{
    size_t lo = 0, hi = n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (t[mid] <= when) lo = mid + 1;
        else hi = mid;
    }
    return lo;
}

static status gather_series(struct gather *g, const struct samples *s, struct labels labels)
{
    size_t lo = first_after(s->t.ptr, s->t.len, g->start);
    size_t hi = first_after(s->t.ptr, s->t.len, g->end);
    size_t hlo = first_after(s->ht.ptr, s->ht.len, g->start);
    size_t hhi = first_after(s->ht.ptr, s->ht.len, g->end);
    size_t n = hi - lo + hhi - hlo;

    if (n == 0) return ST_OK;
    TRY(eval_hold(g->ev, n));
    g->ev->n_total += n;
    ts_time *ts = arena_try_array(g->ev->arena, n, sizeof(*ts));
    double *val = arena_try_array(g->ev->arena, n, sizeof(*val));
    const struct histogram **hist = arena_try_zero(g->ev->arena, n * sizeof(*hist));
    if (!ts || !val || !hist) return eval_oom(g->ev);
    for (size_t i = 0; i < n; i++) {
        bool is_hist = lo == hi || (hlo < hhi && s->ht.ptr[hlo] < s->t.ptr[lo]);
        ts[i] = is_hist ? s->ht.ptr[hlo] : s->t.ptr[lo];
        val[i] = is_hist ? 0 : s->v.ptr[lo];
        if (is_hist) hist[i] = s->h.ptr[hlo++];
        else lo++;
    }
    struct prom_series out = {
        .labels = labels, .ts = ts, .val = val, .hist = hist, .n_samples = n};
    return vec_push(&g->series, out) ? ST_OK : eval_oom(g->ev);
}

static status gather_put(struct sink *sink, struct column *col)
{
    struct gather *g = container_of(sink, struct gather, sink);
    struct labels labels = col->labels;

    TRY(samples_from_column(g->ev, &g->inner, col, &g->samples));
    for (size_t i = 0; col->hist_temp && i < g->samples.h.len; i++) {
        TRY(histogram_keep(g->ev, &g->samples.h.ptr[i]));
    }
    if (col->drop_name) labels = labels_without_meta(g->ev->arena, labels);
    if (labels.n && !labels.ptr) return eval_oom(g->ev);
    return gather_series(g, &g->samples, labels);
}

static status gather_range(struct gather *g, const struct frame *f, const struct expr *range)
{
    bool empty;

    if (range->kind == EXPR_SUBQUERY) {
        TRY(subquery_frame(g->ev, f, range, &g->inner, &empty));
        if (empty) return ST_OK;
        return subquery_columns(g->ev, &g->inner, range, &g->sink);
    }
    struct series_set *set = g->ev->sets[range->matrix.vec->vec.select];
    for (size_t i = 0, next; i < set->n; i = next) {
        TRY(samples_read(g->ev, set, i, &next, NULL, false, &g->samples));
        TRY(gather_series(g, &g->samples, set->labels[i]));
    }
    return ST_OK;
}

static int compare_series(const void *a, const void *b)
{
    return labels_cmp(((const struct prom_series *)a)->labels,
                      ((const struct prom_series *)b)->labels);
}

status eval_range_result(struct eval *ev, const struct frame *f, const struct expr *e,
                         struct promql_result *out)
{
    struct gather g = {.sink = {gather_put}, .ev = ev};
    int64_t ticks;
    status st;

    while (e->kind == EXPR_PAREN) e = e->paren;
    const struct modifiers *mod = range_modifiers(e, &ticks);
    g.end = modified_time(mod, f->start);
    g.start = sat_sub(g.end, ticks);
    st = gather_range(&g, f, e);
    if (st == ST_OK) {
        out->series = arena_try_array(ev->arena, g.series.len + 1, sizeof(*out->series));
        st = out->series ? ST_OK : eval_oom(ev);
    }
    if (st == ST_OK) {
        if (g.series.len > 1) {
            qsort(g.series.ptr, g.series.len, sizeof(*g.series.ptr), compare_series);
        }
        out->n_series = g.series.len;
        if (g.series.len) {
            memcpy(out->series, g.series.ptr, g.series.len * sizeof(*out->series));
        }
        for (size_t i = 1; i < out->n_series && st == ST_OK; i++) {
            if (!labels_eq(out->series[i - 1].labels, out->series[i].labels)) continue;
            st = err_set(ev->err, ST_EXECUTION,
                         "vector cannot contain metrics with the same labelset");
        }
    }
    samples_release(&g.samples);
    vec_release(&g.series);
    return st;
}
