/* Selectors: samples of a set to columns.
 *
 * A step at time t looks at the newest sample in (t - lookback, t], after @ and offset;
 * a stale marker there means the series has ended. Steps go forward, so one pass over
 * the samples serves all of them; series of floats that share their times share that pass,
 * too (range_edges.c). An instant query asks each series for its newest sample alone.
 *
 * A smoothed selector looks both ways: at the exact time if there is a sample, between
 * the samples before and after (each within look-back) by a straight line, or the one
 * before.
 */
#include "promql/fn_histogram_priv.h"

/* ---- samples ---------------------------------------------------------------------- */

void samples_clear(struct samples *s)
{
    vec_clear(&s->t);
    vec_clear(&s->v);
    vec_clear(&s->ht);
    vec_clear(&s->h);
    vec_clear(&s->hist_reset);
    s->starts.n = 0;
    s->raw.n = 0;
}

void samples_release(struct samples *s)
{
    vec_release(&s->t);
    vec_release(&s->v);
    vec_release(&s->ht);
    vec_release(&s->h);
    vec_release(&s->hist_reset);
    points_release(&s->starts);
    points_release(&s->raw);
}

static status append_floats(struct eval *ev, enum value_type type, bool keep_stale,
                            struct samples *out)
{
    const struct points *raw = &out->raw;

    if (!vec_reserve(&out->t, raw->n) || !vec_reserve(&out->v, raw->n)) return eval_oom(ev);
    for (size_t i = 0; i < raw->n; i++) {
        double v = value_to_f64(type, raw->val[i]);
        if (!keep_stale && type == VALUE_F64 && value_is_stale(raw->val[i].bits)) continue;
        out->t.ptr[out->t.len++] = plan_sample_time(ev->plan, raw->ts[i]);
        out->v.ptr[out->v.len++] = v;
    }
    return ST_OK;
}

static status append_hists(struct eval *ev, bool keep_stale, struct samples *out)
{
    const struct points *raw = &out->raw;

    if (!vec_reserve(&out->ht, raw->n) || !vec_reserve(&out->h, raw->n)) return eval_oom(ev);
    for (size_t i = 0; i < raw->n; i++) {
        const struct histogram *h = raw->val[i].hist;
        if (!keep_stale && double_is_stale(h->sum)) continue;
        out->ht.ptr[out->ht.len++] = plan_sample_time(ev->plan, raw->ts[i]);
        out->h.ptr[out->h.len++] = h;
    }
    return ST_OK;
}

/* Samples of a second series of the same labels: puts all in time order. Rare and short,
 * so insertion will do. */
static void order_floats(struct samples *s)
{
    for (size_t i = 1; i < s->t.len; i++) {
        ts_time t = s->t.ptr[i];
        double v = s->v.ptr[i];
        size_t k = i;
        for (; k > 0 && s->t.ptr[k - 1] > t; k--) {
            s->t.ptr[k] = s->t.ptr[k - 1];
            s->v.ptr[k] = s->v.ptr[k - 1];
        }
        s->t.ptr[k] = t;
        s->v.ptr[k] = v;
    }
}

static void order_hists(struct samples *s)
{
    for (size_t i = 1; i < s->ht.len; i++) {
        ts_time t = s->ht.ptr[i];
        const struct histogram *h = s->h.ptr[i];
        size_t k = i;
        for (; k > 0 && s->ht.ptr[k - 1] > t; k--) {
            s->ht.ptr[k] = s->ht.ptr[k - 1];
            s->h.ptr[k] = s->h.ptr[k - 1];
        }
        s->ht.ptr[k] = t;
        s->h.ptr[k] = h;
    }
}

/* Gives each histogram without a hint the one that comparing it with its neighbour tells;
 * the first has no neighbour. From the back: neighbours are compared as they came. */
static status tell_resets(struct eval *ev, struct samples *s)
{
    for (size_t i = s->h.len; i-- > 1;) {
        const struct histogram *h = s->h.ptr[i];
        bool reset;
        if (h->reset != HIST_RESET_UNKNOWN || double_is_stale(h->sum)) continue;
        if (double_is_stale(s->h.ptr[i - 1]->sum)) continue;
        if (histogram_is_reset(&ev->hist, h, s->h.ptr[i - 1], &reset) != HIST_DONE) {
            return eval_oom(ev);
        }
        struct histogram *told = arena_try(ev->arena, sizeof(*told));
        if (!told) return eval_oom(ev);
        *told = *h;
        told->reset = reset ? HIST_RESET_YES : HIST_RESET_NO;
        s->h.ptr[i] = told;
    }
    return ST_OK;
}

status samples_read(struct eval *ev, struct series_set *set, size_t i, size_t *next,
                    const struct vector_expr *vec, bool keep_stale, struct samples *out)
{
    size_t first = i;

    samples_clear(out);
    TRY(eval_poll(ev));
    for (; i < set->n && (i == first || labels_eq(set->labels[i], set->labels[first])); i++) {
        if (set->types[i] == VALUE_BYTES) continue; /* PromQL knows no texts */
        out->raw.n = 0;
        TRY(series_read(set, i, &out->raw, ev->err));
        if (set->types[i] == VALUE_HISTOGRAM) TRY(append_hists(ev, keep_stale, out));
        else TRY(append_floats(ev, set->types[i], keep_stale, out));
    }
    if (i > first + 1) {
        order_floats(out);
        order_hists(out);
    }
    if (vec && vec->counts) TRY(tell_resets(ev, out));
    *next = i;
    return ST_OK;
}

/* ---- spans ------------------------------------------------------------------------ */

bool span_is_whole(const struct series_set *set, size_t i)
{
    enum value_type type = set->types[i];

    if (type == VALUE_BYTES || type == VALUE_HISTOGRAM) return false;
    return i + 1 == set->n || !labels_eq(set->labels[i], set->labels[i + 1]);
}

bool span_has_stale(const struct sample_span *span)
{
    for (size_t i = 0; span->may_be_nan && i < span->n; i++) {
        if (double_is_stale(span->val[i])) return true;
    }
    return false;
}

status samples_from_span(struct eval *ev, const struct sample_span *span, bool keep_stale,
                         struct samples *out)
{
    samples_clear(out);
    if (!vec_reserve(&out->t, span->n) || !vec_reserve(&out->v, span->n)) return eval_oom(ev);
    for (size_t i = 0; i < span->n; i++) {
        if (!keep_stale && double_is_stale(span->val[i])) continue;
        out->t.ptr[out->t.len++] = plan_sample_time(ev->plan, span->ts[i]);
        out->v.ptr[out->v.len++] = span->val[i];
    }
    return ST_OK;
}

/* ---- start timestamps ------------------------------------------------------------- */

static void order_points(struct points *pts)
{
    for (size_t i = 1; i < pts->n; i++) {
        for (size_t k = i; k > 0 && pts->ts[k - 1] > pts->ts[k]; k--) {
            ts_time t = pts->ts[k];
            union value v = pts->val[k];
            pts->ts[k] = pts->ts[k - 1];
            pts->val[k] = pts->val[k - 1];
            pts->ts[k - 1] = t;
            pts->val[k - 1] = v;
        }
    }
}

status samples_read_starts(struct eval *ev, struct series_set *set, size_t i, size_t next,
                           struct samples *out)
{
    struct points *pts = &out->starts;

    if (!set->ops->starts) return ST_OK;
    for (; i < next; i++) TRY(set->ops->starts(set, i, pts, ev->err));
    order_points(pts); /* in order already, unless there were two series */
    for (size_t k = 0; k < pts->n; k++) {
        pts->ts[k] = plan_sample_time(ev->plan, pts->ts[k]);
        pts->val[k].bits = (uint64_t)plan_sample_time(ev->plan, (ts_time)pts->val[k].bits);
    }
    return ST_OK;
}

bool samples_start(const struct samples *s, ts_time t, ts_time *out)
{
    size_t at = points_seek(&s->starts, t);

    if (at == s->starts.n || s->starts.ts[at] != t) return false;
    *out = (ts_time)s->starts.val[at].bits;
    return true;
}

bool samples_restarted(const struct samples *s, ts_time prev, ts_time t)
{
    ts_time start;

    return samples_start(s, t, &start) && start >= prev && start < t;
}

/* ---- instant selectors ------------------------------------------------------------ */

struct select_pass {
    struct eval *ev;
    const struct frame *frame;
    const ts_time *refs;           /* the time each step looks at */
    enum select_what what;
    struct text_pos pos;           /* of a smoothed selector */
    struct column col;
    const struct histogram **hist; /* kept for the next series that needs it */
    const struct samples *samples; /* of the series at hand */
};

static void put_value(struct select_pass *p, size_t i, ts_time ts, double v)
{
    ts_time start;

    if (p->what == SELECT_START) {
        bool found = samples_start(p->samples, ts, &start);
        v = found ? plan_seconds(p->ev->plan, start) : 0;
    } else if (p->what != SELECT_VALUE) {
        v = plan_seconds(p->ev->plan, ts);
    }
    p->col.val[i] = v;
    bit_set(p->col.has, i);
    p->ev->n_total++;
}

static status put_hist(struct select_pass *p, size_t i, ts_time ts, const struct histogram *h)
{
    put_value(p, i, ts, 0);
    if (p->what == SELECT_INFO) {
        return err_set(p->ev->err, ST_EXECUTION, "info sample should be float");
    }
    if (p->what != SELECT_VALUE) return ST_OK;
    if (!p->col.hist && p->hist) {
        memset(p->hist, 0, p->frame->n * sizeof(*p->hist));
        p->col.hist = p->hist;
    }
    TRY(column_need_hist(p->ev, p->frame, &p->col));
    p->hist = p->col.hist;
    p->col.hist[i] = h;
    return ST_OK;
}

/* Fills the column of one series. */
static status select_steps(struct select_pass *p, const struct samples *s)
{
    int64_t lookback = p->ev->plan->lookback;
    size_t at = 0, hat = 0;

    for (size_t i = 0; i < p->frame->n; i++) {
        ts_time ref = p->refs[i];
        while (at < s->t.len && s->t.ptr[at] <= ref) at++;
        while (hat < s->ht.len && s->ht.ptr[hat] <= ref) hat++;

        ts_time oldest = sat_sub(ref, lookback);
        bool has_v = at > 0 && s->t.ptr[at - 1] > oldest;
        bool has_h = hat > 0 && s->ht.ptr[hat - 1] > oldest;
        if (has_h && (!has_v || s->ht.ptr[hat - 1] >= s->t.ptr[at - 1])) {
            if (double_is_stale(s->h.ptr[hat - 1]->sum)) continue;
            TRY(put_hist(p, i, s->ht.ptr[hat - 1], s->h.ptr[hat - 1]));
        } else if (has_v && !double_is_stale(s->v.ptr[at - 1])) {
            put_value(p, i, s->t.ptr[at - 1], s->v.ptr[at - 1]);
        }
    }
    return ST_OK;
}

/* The samples around a time: at most one on each side, within look-back. */
struct around {
    size_t v0, v1, h0, h1;  /* indices; SIZE_MAX: none. At most one of v0 and h0, and of v1
                               and h1 */
    ts_time t0, t1;
};

/* at and hat are the first samples after ref. */
static struct around look_around(const struct select_pass *p, const struct samples *s, ts_time ref,
                                 size_t at, size_t hat)
{
    struct around a = {SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX, 0, 0};
    ts_time oldest = sat_sub(ref, p->ev->plan->lookback);
    ts_time newest = sat_add(ref, p->ev->plan->lookback);
    bool v = at > 0 && s->t.ptr[at - 1] > oldest;
    bool h = hat > 0 && s->ht.ptr[hat - 1] > oldest;

    if (h && (!v || s->ht.ptr[hat - 1] >= s->t.ptr[at - 1])) a.h0 = hat - 1;
    else if (v) a.v0 = at - 1;
    v = at < s->t.len && s->t.ptr[at] <= newest;
    h = hat < s->ht.len && s->ht.ptr[hat] <= newest;
    if (h && (!v || s->ht.ptr[hat] <= s->t.ptr[at])) a.h1 = hat;
    else if (v) a.v1 = at;
    if (a.v0 != SIZE_MAX) a.t0 = s->t.ptr[a.v0];
    if (a.h0 != SIZE_MAX) a.t0 = s->ht.ptr[a.h0];
    if (a.v1 != SIZE_MAX) a.t1 = s->t.ptr[a.v1];
    if (a.h1 != SIZE_MAX) a.t1 = s->ht.ptr[a.h1];
    return a;
}

static status smooth_hist(struct select_pass *p, size_t i, const struct samples *s,
                          const struct around *a, ts_time ref)
{
    const struct histogram *prev = s->h.ptr[a->h0], *next, *out = NULL;
    bool reset = false;

    if (a->t0 == ref || a->h1 == SIZE_MAX) return put_hist(p, i, ref, prev);
    next = s->h.ptr[a->h1];
    double part = (double)(ref - a->t0) / (double)(a->t1 - a->t0);
    bool gauge = prev->reset == HIST_GAUGE || next->reset == HIST_GAUGE;
    enum hist_outcome outcome = HIST_DONE;
    if (!gauge) outcome = histogram_is_reset(&p->ev->hist, next, prev, &reset);
    if (outcome == HIST_DONE) {
        outcome = hist_between(p->ev, p->pos, p->col.labels, prev, next, part, reset, &out);
    }
    if (outcome == HIST_REFUSED) return eval_oom(p->ev);
    return outcome == HIST_DONE ? put_hist(p, i, ref, out) : ST_OK;
}

static void smooth_float(struct select_pass *p, size_t i, const struct samples *s,
                         const struct around *a, ts_time ref)
{
    double v = s->v.ptr[a->v0];

    if (a->t0 < ref && a->v1 != SIZE_MAX) {
        v += (s->v.ptr[a->v1] - v) * ((double)(ref - a->t0) / (double)(a->t1 - a->t0));
    }
    put_value(p, i, ref, v);
}

static status select_smoothed(struct select_pass *p, const struct samples *s)
{
    size_t at = 0, hat = 0;

    for (size_t i = 0; i < p->frame->n; i++) {
        ts_time ref = p->refs[i];
        while (at < s->t.len && s->t.ptr[at] <= ref) at++;
        while (hat < s->ht.len && s->ht.ptr[hat] <= ref) hat++;
        struct around a = look_around(p, s, ref, at, hat);
        bool is_hist = a.h0 != SIZE_MAX;
        if (!is_hist && a.v0 == SIZE_MAX) continue;
        if (a.t0 < ref && (is_hist ? a.v1 : a.h1) != SIZE_MAX) {
            annotations_warn(&p->ev->annos, p->pos,
                             "encountered a mix of histograms and floats for metric name %s",
                             go_quote(p->ev->arena, labels_get(p->col.labels,
                                                               SLICE_LIT(LABEL_NAME))));
            continue;
        }
        if (is_hist) TRY(smooth_hist(p, i, s, &a, ref));
        else smooth_float(p, i, s, &a, ref);
    }
    return ST_OK;
}

/* ---- instant selectors: the newest sample, borrowed columns ----------------------- */

/* One step that looks at the very end of what was fetched: no other sample matters. */
static bool newest_is_enough(const struct eval *ev, const struct frame *f,
                             const struct select_args *args)
{
    if (f->n != 1 || !args->vec || args->vec->vec.smoothed) return false;
    if (args->what != SELECT_VALUE && args->what != SELECT_TIME) return false;
    struct time_range range = ev->plan->selects[args->vec->vec.select].range;
    ts_time to = plan_sample_time(ev->plan, range.to);
    return !range_empty(range) && to <= args->refs[0] &&
           args->refs[0] - to < ev->plan->sample_scale;
}

static status select_newest(struct select_pass *p, struct series_set *set, size_t i)
{
    const struct plan *plan = p->ev->plan;
    struct point pt;
    bool found;

    TRY(set->ops->last(set, i, &pt, &found, p->ev->err));
    if (!found) return ST_OK;
    ts_time t = plan_sample_time(plan, pt.ts);
    double v = value_to_f64(set->types[i], pt.val);
    if (t > sat_sub(p->refs[0], plan->lookback) && !double_is_stale(v)) put_value(p, 0, t, v);
    return ST_OK;
}

/* The newest sample of each window, from the edges of the times. */
static status select_span(struct select_pass *p, struct edge_cache *edges,
                          const struct sample_span *span)
{
    size_t n = p->frame->n;
    const struct edges *e;

    TRY(edges_get(p->ev, edges, span, &e));
    TRY(eval_work(p->ev, n));
    memcpy(p->col.has, e->has, bitmap_words(n) * sizeof(*e->has));
    for (size_t k = 0; !e->ragged && k < e->n_runs; k++) {
        for (size_t i = e->runs[k].from; i < e->runs[k].to; i++) {
            p->col.val[i] = span->val[e->hi[i] - 1];
        }
    }
    if (e->ragged) FOR_EACH_BIT(i, e->has, n) p->col.val[i] = span->val[e->hi[i] - 1];
    if (span->may_be_nan) {
        FOR_EACH_BIT(i, e->has, n) if (double_is_stale(p->col.val[i])) bit_clear(p->col.has, i);
    }
    p->ev->n_total += bit_count(p->col.has, n);
    return ST_OK;
}

/* Series whose newest samples are looked up one by one: of more of them a reader finds the
 * chunks in the order in which they lie, which is several times cheaper. Measured. */
enum { NEWEST_MAX = 16 };

/* How a set is read: by the newest sample, by columns, or, where neither will do, copied. */
struct select_source {
    struct series_set *set;
    struct series_reader *reader;
    struct edge_cache edges;
    bool newest;
};

static status open_source(struct eval *ev, const struct frame *f, const struct select_args *args,
                          struct select_source *src)
{
    struct edge_spec spec = {
        .frame = f, .ends = args->refs, .range = ev->plan->lookback, .n_min = 1};
    bool smoothed = args->vec && args->vec->vec.smoothed;

    *src = (struct select_source){.set = args->set, .newest = newest_is_enough(ev, f, args)};
    if (args->set->n > NEWEST_MAX && args->set->ops->open_reader) src->newest = false;
    if (src->newest || smoothed || args->what != SELECT_VALUE || ev->plan->sample_scale != 1 ||
        !args->set->ops->open_reader || args->set->n == 0) {
        return ST_OK;
    }
    TRY(edges_init(ev, &src->edges, &spec));
    return args->set->ops->open_reader(args->set, ev->budget, &src->reader, ev->err);
}

/* Series i without a copy of its samples; *done is false when that cannot be. */
static status select_lent(struct select_pass *p, struct select_source *src, size_t i, bool *done)
{
    struct sample_span span;

    *done = (src->newest || src->reader) && span_is_whole(src->set, i);
    if (!*done) return ST_OK;
    if (src->newest) return select_newest(p, src->set, i);
    TRY(series_reader_read(src->reader, i, &span, p->ev->err));
    if (span.n > UINT32_MAX) *done = false;
    else if (span.n) return select_span(p, &src->edges, &span);
    return ST_OK;
}

/* The samples of the series from i on that have the same labels, copied. */
static status select_copied(struct select_pass *p, const struct select_args *args, size_t i,
                            size_t *next, struct samples *samples)
{
    const struct vector_expr *vec = args->vec ? &args->vec->vec : NULL;
    bool smoothed = vec && vec->smoothed;

    TRY(samples_read(p->ev, args->set, i, next, vec, !smoothed, samples));
    if (args->what == SELECT_START) {
        TRY(samples_read_starts(p->ev, args->set, i, *next, samples));
    }
    return smoothed ? select_smoothed(p, samples) : select_steps(p, samples);
}

status eval_select_set(struct eval *ev, const struct frame *f, const struct select_args *args,
                       struct sink *sink)
{
    struct select_pass pass = {.ev = ev, .frame = f, .refs = args->refs, .what = args->what};
    struct series_set *set = args->set;
    struct select_source src;
    struct samples samples = {0};

    TRY(column_init(ev, f, &pass.col));
    TRY(open_source(ev, f, args, &src));
    status st = ST_OK;
    pass.samples = &samples;
    if (args->vec) pass.pos = expr_pos(args->vec);
    for (size_t i = 0, next; st == ST_OK && i < set->n; i = next) {
        bool done;
        next = i + 1;
        memset(pass.col.has, 0, bitmap_words(f->n) * sizeof(*pass.col.has));
        pass.col.hist = NULL;
        pass.col.drop_name = false;
        pass.col.labels = set->labels[i];
        st = select_lent(&pass, &src, i, &done);
        if (st == ST_OK && !done) st = select_copied(&pass, args, i, &next, &samples);
        if (st != ST_OK || !bit_any(pass.col.has, f->n)) continue;
        st = sink_put(sink, &pass.col);
    }
    series_reader_close(src.reader);
    samples_release(&samples);
    return st;
}

status eval_select(struct eval *ev, const struct frame *f, const struct expr *vec,
                   enum select_what what, struct sink *sink)
{
    ts_time *refs = arena_try_array(ev->arena, f->n, sizeof(*refs));

    if (!refs) return eval_oom(ev);
    for (size_t i = 0; i < f->n; i++) refs[i] = modified_time(&vec->vec.mod, frame_time(f, i));
    struct select_args args = {
        .set = ev->sets[vec->vec.select], .refs = refs, .what = what, .vec = vec};
    return eval_select_set(ev, f, &args, sink);
}
