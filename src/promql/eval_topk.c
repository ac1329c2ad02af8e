/* Aggregations that must see a group's values together: topk, bottomk, limitk,
 * limit_ratio choose some of the series as they are; quantile; count_values.
 *
 * Parameters may change from step to step. topk and bottomk order the chosen series of an
 * instant query by value, group by group; NaN is the last choice of both, and of equal
 * values the first series wins. limit_ratio decides by the hash of a series' labels, the
 * same at every step, query and server, and r and -(1-r) choose complements.
 */
#include "promql/eval_priv.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/numfmt.h"
#include "base/utf8.h"
#include "promql/hist_quantile.h"

/* The columns of a vector, sorted into groups. */
struct members {
    struct matrix m;
    struct label_groups groups;
    size_t *order;  /* column indices, group after group, each in the order of the matrix */
    size_t *from;   /* of each group in order; one more at the end */
};

static status gather_members(struct eval *ev, const struct frame *f, const struct expr *e,
                             const struct label_filter *filter, struct members *out)
{
    *out = (struct members){0};
    TRY(eval_matrix(ev, f, e->agg.expr, &out->m));
    label_groups_init(&out->groups, ev->arena, *filter);

    size_t n = out->m.n;
    int64_t *group = arena_try_array(ev->arena, n + 1, sizeof(*group));
    out->order = arena_try_array(ev->arena, n + 1, sizeof(*out->order));
    if (!group || !out->order) return eval_oom(ev);
    for (size_t i = 0; i < n; i++) {
        group[i] = label_groups_add(&out->groups, out->m.s[i].labels, NULL);
        if (group[i] < 0) return eval_oom(ev);
    }
    /* Counting sort: sizes, then ends, then places from the back. */
    out->from = arena_try_zero(ev->arena, (out->groups.n + 1) * sizeof(*out->from));
    if (!out->from) return eval_oom(ev);
    for (size_t i = 0; i < n; i++) out->from[group[i]]++;
    for (size_t g = 1; g <= out->groups.n; g++) out->from[g] += out->from[g - 1];
    for (size_t i = n; i-- > 0;) out->order[--out->from[group[i]]] = i;
    return ST_OK;
}

static void note_histogram(struct eval *ev, const struct expr *e)
{
    annotations_info(&ev->annos, expr_pos(e->agg.expr), "ignored histogram in %s aggregation",
                     aggregator_name(e->agg.op));
}

/* ---- topk, bottomk, limitk -------------------------------------------------------- */

struct candidate {
    double v;
    size_t col;
};

static int compare_candidates(const struct candidate *a, const struct candidate *b, int sign)
{
    if (isnan(a->v) || isnan(b->v)) {
        if (isnan(a->v) != isnan(b->v)) return isnan(a->v) ? 1 : -1;
    } else if (a->v != b->v) {
        return a->v < b->v ? sign : -sign;
    }
    return a->col < b->col ? -1 : 1;
}

static int compare_top(const void *a, const void *b)
{
    return compare_candidates(a, b, 1);
}

static int compare_bottom(const void *a, const void *b)
{
    return compare_candidates(a, b, -1);
}

struct choice {
    struct eval *ev;
    const struct frame *frame;
    const struct expr *e;
    struct members mem;
    const double *param;
    struct candidate *cand;
    uint64_t **keep;     /* of each column */
    size_t *sorted;      /* instant: columns in the order to put */
    size_t n_sorted;
};

static bool wins(const struct choice *c, const struct column *col, size_t step)
{
    if (!bit_get(col->has, step)) return false;
    if (!column_hist(col, step) || c->e->agg.op == AGGR_LIMITK) return true;
    note_histogram(c->ev, c->e);
    return false;
}

/* Marks the chosen of one group at one step. */
static void choose(struct choice *c, size_t g, size_t step)
{
    size_t n = 0;
    double k = c->param[step];
    enum aggregator op = c->e->agg.op;

    for (size_t i = c->mem.from[g]; i < c->mem.from[g + 1]; i++) {
        size_t col = c->mem.order[i];
        if (!wins(c, &c->mem.m.s[col], step)) continue;
        c->cand[n++] = (struct candidate){c->mem.m.s[col].val[step], col};
    }
    if (!(k >= 1)) return;
    if (op != AGGR_LIMITK && n > 1) {
        qsort(c->cand, n, sizeof(*c->cand), op == AGGR_TOPK ? compare_top : compare_bottom);
    }
    if (k < (double)n) n = (size_t)k;
    for (size_t i = 0; i < n; i++) {
        bit_set(c->keep[c->cand[i].col], step);
        if (c->frame->n == 1) c->sorted[c->n_sorted++] = c->cand[i].col;
    }
}

/* ---- limit_ratio ------------------------------------------------------------------ */

/* Prometheus' hash of a set as it lays it out in memory: lengths (one byte, or 255 and
 * three), names and values; xxh64. So both choose the same series. */
static status labels_place_hash(struct strbuf *buf, struct labels set, uint64_t *out)
{
    strbuf_reset(buf);
    for (size_t i = 0; i < 2 * set.n; i++) {
        struct slice s = i % 2 ? set.ptr[i / 2].value : set.ptr[i / 2].name;
        if (s.len < 255) strbuf_char(buf, (char)s.len);
        else {
            char len[4] = {(char)255, (char)s.len, (char)(s.len >> 8), (char)(s.len >> 16)};
            strbuf_put(buf, len, sizeof(len));
        }
        strbuf_slice(buf, s);
    }
    if (buf->failed) return ST_NO_MEMORY;
    *out = hash_place(buf->ptr ? buf->ptr : "", buf->len);
    return ST_OK;
}

static status choose_ratio(struct choice *c)
{
    struct strbuf buf;
    status st = ST_OK;

    strbuf_init(&buf, 0);
    for (size_t i = 0; st == ST_OK && i < c->mem.m.n; i++) {
        const struct column *col = &c->mem.m.s[i];
        uint64_t hash;
        st = labels_place_hash(&buf, col->labels, &hash);
        if (st != ST_OK) break;
        double offset = (double)hash / 18446744073709551616.0;
        FOR_EACH_BIT(step, col->has, c->frame->n) {
            double r = fmax(-1, fmin(1, c->param[step]));
            if (r >= 0 ? offset < r : offset >= 1 + r) bit_set(c->keep[i], step);
        }
    }
    strbuf_release(&buf);
    return st == ST_OK ? ST_OK : eval_oom(c->ev);
}

/* ---- parameters ------------------------------------------------------------------- */

struct param_range {
    double min, max;
    bool nan;
};

static struct param_range param_range_of(const double *v, size_t n)
{
    struct param_range r = {INFINITY, -INFINITY, false};

    for (size_t i = 0; i < n; i++) {
        r.nan = r.nan || isnan(v[i]);
        r.min = fmin(r.min, v[i]);
        r.max = fmax(r.max, v[i]);
    }
    return r;
}

/* Refuses what is no number of series. */
static status check_k(struct eval *ev, struct param_range r)
{
    char text[40];

    if (r.nan) return err_set(ev->err, ST_EXECUTION, "Parameter value is NaN");
    if (r.min < -9223372036854775808.0) {
        return err_set(ev->err, ST_EXECUTION, "Scalar value %s underflows int64",
                       go_float(text, r.min));
    }
    if (r.max >= 9223372036854775808.0) {
        return err_set(ev->err, ST_EXECUTION, "Scalar value %s overflows int64",
                       go_float(text, r.max));
    }
    return ST_OK;
}

static status check_ratio(struct eval *ev, const struct expr *e, struct param_range r)
{
    struct text_pos pos = expr_pos(e->agg.param);
    char text[40];

    if (r.nan) return err_set(ev->err, ST_EXECUTION, "Ratio value is NaN");
    if (r.max > 1) {
        annotations_warn(&ev->annos, pos,
                         "ratio value should be between -1 and 1, got %s, capping to 1",
                         go_float(text, r.max));
    }
    if (r.min < -1) {
        annotations_warn(&ev->annos, pos,
                         "ratio value should be between -1 and 1, got %s, capping to -1",
                         go_float(text, r.min));
    }
    return ST_OK;
}

static status choice_init(struct choice *c, const struct label_filter *filter)
{
    struct eval *ev = c->ev;

    TRY(gather_members(ev, c->frame, c->e, filter, &c->mem));
    size_t n = c->mem.m.n;
    c->cand = arena_try_array(ev->arena, n + 1, sizeof(*c->cand));
    c->keep = arena_try_array(ev->arena, n + 1, sizeof(*c->keep));
    c->sorted = arena_try_array(ev->arena, n + 1, sizeof(*c->sorted));
    if (!c->cand || !c->keep || !c->sorted) return eval_oom(ev);
    for (size_t i = 0; i < n; i++) {
        c->keep[i] = arena_try_zero(ev->arena, bitmap_words(c->frame->n) * sizeof(uint64_t));
        if (!c->keep[i]) return eval_oom(ev);
    }
    return ST_OK;
}

status eval_aggregate_k(struct eval *ev, const struct frame *f, const struct expr *e,
                        const struct label_filter *filter, struct sink *sink)
{
    struct choice c = {.ev = ev, .frame = f, .e = e};
    bool ratio = e->agg.op == AGGR_LIMIT_RATIO;
    double *param;

    TRY(eval_scalar(ev, f, e->agg.param, &param));
    c.param = param;
    struct param_range r = param_range_of(param, f->n);
    TRY(ratio ? check_ratio(ev, e, r) : check_k(ev, r));
    TRY(choice_init(&c, filter));
    if (ratio) TRY(choose_ratio(&c));
    for (size_t g = 0; !ratio && g < c.mem.groups.n; g++) {
        for (size_t i = 0; i < f->n; i++) {
            TRY(eval_work(ev, c.mem.from[g + 1] - c.mem.from[g]));
            choose(&c, g, i);
        }
    }
    bool sorted = f->n == 1 && !ratio;
    size_t n = sorted ? c.n_sorted : c.mem.m.n;
    for (size_t i = 0; i < n; i++) {
        size_t at = sorted ? c.sorted[i] : i;
        struct column col = c.mem.m.s[at];
        memcpy(col.has, c.keep[at], bitmap_words(f->n) * sizeof(*col.has));
        if (bit_any(col.has, f->n)) TRY(sink_put(sink, &col));
    }
    return ST_OK;
}

/* ---- quantile --------------------------------------------------------------------- */

static void warn_quantile(struct eval *ev, const struct expr *e, double q)
{
    char text[40];

    annotations_warn(&ev->annos, expr_pos(e->agg.param),
                     "quantile value should be between 0 and 1, got %s", go_float(text, q));
}

static void quantile_step(struct eval *ev, const struct expr *e, const struct members *mem,
                          size_t g, size_t step, double q, double *scratch, struct column *out)
{
    size_t n = 0;

    for (size_t i = mem->from[g]; i < mem->from[g + 1]; i++) {
        const struct column *col = &mem->m.s[mem->order[i]];
        if (!bit_get(col->has, step)) continue;
        if (column_hist(col, step)) note_histogram(ev, e);
        else scratch[n++] = col->val[step];
    }
    if (n == 0) return;
    out->val[step] = quantile_of(q, scratch, n);
    bit_set(out->has, step);
}

status eval_aggregate_quantile(struct eval *ev, const struct frame *f, const struct expr *e,
                               const struct label_filter *filter, struct sink *sink)
{
    struct members mem;
    struct column col;
    double *q;

    TRY(eval_scalar(ev, f, e->agg.param, &q));
    struct param_range r = param_range_of(q, f->n);
    if (r.nan) warn_quantile(ev, e, NAN);
    if (r.max > 1) warn_quantile(ev, e, r.max);
    if (r.min < 0) warn_quantile(ev, e, r.min);

    TRY(gather_members(ev, f, e, filter, &mem));
    TRY(column_init(ev, f, &col));
    double *scratch = arena_try_array(ev->arena, mem.m.n + 1, sizeof(*scratch));
    if (!scratch) return eval_oom(ev);
    for (size_t g = 0; g < mem.groups.n; g++) {
        memset(col.has, 0, bitmap_words(f->n) * sizeof(*col.has));
        for (size_t i = 0; i < f->n; i++) {
            TRY(eval_work(ev, mem.from[g + 1] - mem.from[g]));
            quantile_step(ev, e, &mem, g, i, q[i], scratch, &col);
        }
        if (!bit_any(col.has, f->n)) continue;
        col.labels = label_filter_apply(ev->arena, filter, mem.groups.rep[g]);
        if (col.labels.n && !col.labels.ptr) return eval_oom(ev);
        col.drop_name = mem.m.s[mem.order[mem.from[g]]].drop_name;
        TRY(sink_put(sink, &col));
    }
    return ST_OK;
}

/* ---- count_values ----------------------------------------------------------------- */

/* Counts of one value in one group. */
struct tally {
    int64_t group;
    uint64_t bits;       /* of the value; every NaN is one. A histogram's are a hash */
    struct slice text;   /* a histogram's text; else empty */
    struct column col;
};

struct tallies {
    struct sink sink;
    struct eval *ev;
    const struct frame *frame;
    struct slice label;
    bool label_dropped;  /* without(label): counted, but not told apart in the result */
    struct label_filter filter; /* what is left of a series besides the label */
    struct label_groups groups;
    struct tally *list;
    size_t n, cap;
    uint32_t *slots;     /* index + 1 */
    size_t n_slots;
    struct strbuf buf;   /* a histogram's text */
};

static size_t tally_slot(const struct tallies *t, int64_t group, uint64_t bits,
                         struct slice text)
{
    size_t at = hash_mix(bits ^ hash_mix((uint64_t)group)) & (t->n_slots - 1);

    while (t->slots[at]) {
        const struct tally *y = &t->list[t->slots[at] - 1];
        if (y->group == group && y->bits == bits && slice_eq(y->text, text)) break;
        at = (at + 1) & (t->n_slots - 1);
    }
    return at;
}

static status tallies_grow(struct tallies *t)
{
    size_t cap = t->cap ? t->cap * 2 : 16;
    struct tally *list = arena_try_array(t->ev->arena, cap, sizeof(*list));
    uint32_t *slots = arena_try_zero(t->ev->arena, cap * 2 * sizeof(*slots));

    if (!list || !slots || cap > UINT32_MAX / 2) return eval_oom(t->ev);
    if (t->n) memcpy(list, t->list, t->n * sizeof(*list));
    t->list = list;
    t->cap = cap;
    t->slots = slots;
    t->n_slots = cap * 2;
    for (size_t i = 0; i < t->n; i++) {
        slots[tally_slot(t, list[i].group, list[i].bits, list[i].text)] = (uint32_t)(i + 1);
    }
    return ST_OK;
}

static status tally_new(struct tallies *t, int64_t group, struct slice text,
                        struct labels labels, struct tally *y)
{
    struct eval *ev = t->ev;

    y->group = group;
    TRY(eval_hold(ev, t->frame->n));
    TRY(column_init(ev, t->frame, &y->col));
    y->col.labels = label_filter_apply(ev->arena, &t->filter, labels);
    if (!t->label_dropped) {
        struct slice value = arena_copy(ev->arena, text);
        if (!value.ptr || (y->col.labels.n && !y->col.labels.ptr)) return eval_oom(ev);
        y->col.labels = labels_with(ev->arena, y->col.labels, t->label, value);
    }
    return y->col.labels.n && !y->col.labels.ptr ? eval_oom(ev) : ST_OK;
}

/* Counts a float (text empty) or a histogram by its text. */
static status count_one(struct tallies *t, int64_t group, const struct column *col, size_t i,
                        uint64_t bits, struct slice text)
{
    char number[360];

    if (t->label_dropped) bits = 0;
    if (t->n == t->cap) TRY(tallies_grow(t));
    struct slice key = t->label_dropped ? SLICE_LIT("") : text;
    size_t slot = tally_slot(t, group, bits, key);
    struct tally *y = &t->list[t->slots[slot] ? t->slots[slot] - 1 : t->n];
    if (!t->slots[slot]) {
        if (!text.len) text = slice_of(number, numfmt_fixed(number, col->val[i], sizeof(number)));
        TRY(tally_new(t, group, text, col->labels, y));
        y->bits = bits;
        y->text = arena_copy(t->ev->arena, key);
        if (!y->text.ptr) return eval_oom(t->ev);
        y->col.drop_name = col->drop_name;
        t->slots[slot] = (uint32_t)++t->n;
    }
    y->col.val[i] = bit_get(y->col.has, i) ? y->col.val[i] + 1 : 1;
    bit_set(y->col.has, i);
    return ST_OK;
}

static status count_value(struct tallies *t, int64_t group, const struct column *col, size_t i)
{
    double v = col->val[i];
    uint64_t bits = VALUE_NAN_BITS;

    if (column_hist(col, i)) {
        strbuf_reset(&t->buf);
        histogram_text(&t->buf, col->hist[i]);
        if (t->buf.failed) return eval_oom(t->ev);
        struct slice text = strbuf_view(&t->buf);
        return count_one(t, group, col, i, hash_slice(text), text);
    }
    if (!isnan(v)) memcpy(&bits, &v, sizeof(bits));
    return count_one(t, group, col, i, bits, SLICE_LIT(""));
}

static status tallies_put(struct sink *sink, struct column *col)
{
    struct tallies *t = container_of(sink, struct tallies, sink);
    int64_t group = label_groups_add(&t->groups, col->labels, NULL);

    if (group < 0) return eval_oom(t->ev);
    FOR_EACH_BIT(i, col->has, t->frame->n) TRY(count_value(t, group, col, i));
    return ST_OK;
}

/* The grouping without the label that is going to hold the value. */
static status tallies_filter(struct tallies *t, const struct expr *e)
{
    const struct aggregate_expr *agg = &e->agg;
    struct slice *names = arena_try_array(t->ev->arena, agg->n_grouping + 2, sizeof(*names));
    size_t n = 0;

    if (!names) return eval_oom(t->ev);
    for (size_t i = 0; i < agg->n_grouping; i++) {
        if (!slice_eq(agg->grouping[i], t->label)) names[n++] = agg->grouping[i];
        else t->label_dropped = agg->without;
    }
    if (agg->without) {
        names[n++] = SLICE_LIT(LABEL_NAME);
        names[n++] = t->label;
        if (slice_is(t->label, LABEL_NAME)) t->label_dropped = true;
    }
    status st = label_filter_init(&t->filter, t->ev->arena, names, n, !agg->without,
                                  SLICE_LIT(""));
    return st == ST_OK ? ST_OK : eval_oom(t->ev);
}

status eval_aggregate_values(struct eval *ev, const struct frame *f, const struct expr *e,
                             struct sink *sink)
{
    struct tallies t = {
        .sink = {tallies_put}, .ev = ev, .frame = f, .label = eval_string(e->agg.param)};
    struct matrix m = {0};

    if (!t.label.len || !utf8_valid(t.label)) {
        return err_set(ev->err, ST_EXECUTION, "invalid label name %s",
                       go_quote(ev->arena, t.label));
    }
    TRY(tallies_filter(&t, e));
    label_groups_init(&t.groups, ev->arena, t.filter);
    strbuf_init(&t.buf, 0);
    status st = eval_vector(ev, f, e->agg.expr, &t.sink);
    strbuf_release(&t.buf);
    if (st != ST_OK) return st;
    for (size_t i = 0; i < t.n; i++) TRY(matrix_add(ev, f, &m, &t.list[i].col));
    TRY(matrix_join_same(ev, f, &m));
    return matrix_put(ev, &m, sink);
}
