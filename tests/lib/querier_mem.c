/* The literal querier. Everything that a fetch hands out lies in the arena of its
 * mem_fetch. A series_set carries no context of its own, so read() finds the backing of
 * a set by its array of types, which is the tail of struct backing. Samples are charged
 * to the budget as they are read: limits are tested with the same double.
 *
 * Not here: series as text (series_text.c).
 */
#include "tests/lib/querier_mem.h"

#include <stdlib.h>

#include "base/duration.h"
#include "base/mem.h"
#include "base/numfmt.h"
#include "base/panic.h"
#include "tests/lib/series_text.h"

/* What is behind one set. */
struct backing {
    struct time_range range;
    struct query_budget *budget;
    const struct mem_series **series; /* as many as the set has */
    enum value_type types[];
};

struct mem_fetch {
    struct arena arena;
    struct querier_mem *mem;
};

static bool has_sample(const struct mem_series *series, struct time_range range)
{
    size_t at = points_seek(&series->points, range.from);
    return at < series->points.n && series->points.ts[at] <= range.to;
}

static int compare_series(const void *a, const void *b)
{
    const struct mem_series *const *left = a, *const *right = b;
    int order = labels_cmp((*left)->labels, (*right)->labels);
    return order ? order : (int)(*left)->type - (int)(*right)->type;
}

/* ---- the port ------------------------------------------------------------------- */

static status mem_read(struct series_set *set, size_t i, struct points *out, struct err *err)
{
    const struct backing *b = (const void *)((const char *)set->types -
                                             offsetof(struct backing, types));
    const struct points *pts = &b->series[i]->points;
    uint64_t n = 0;

    for (size_t at = points_seek(pts, b->range.from); at < pts->n; at++) {
        if (pts->ts[at] > b->range.to) break;
        if (!points_push(out, pts->ts[at], pts->val[at]))
            return err_set(err, ST_NO_MEMORY, "reading samples");
        n++;
    }
    TRY(budget_poll(b->budget, err));
    return budget_samples(b->budget, n, err);
}

static status mem_last(struct series_set *set, size_t i, struct point *out, bool *found,
                       struct err *err)
{
    struct points pts = {0};
    status st = mem_read(set, i, &pts, err);
    *found = st == ST_OK && pts.n > 0;
    if (*found) *out = (struct point){pts.ts[pts.n - 1], pts.val[pts.n - 1]};
    points_release(&pts);
    return st;
}

static status mem_starts(struct series_set *set, size_t i, struct points *out, struct err *err)
{
    const struct backing *b = (const void *)((const char *)set->types -
                                             offsetof(struct backing, types));
    const struct points *pts = &b->series[i]->starts;

    for (size_t at = points_seek(pts, b->range.from); at < pts->n; at++) {
        if (pts->ts[at] > b->range.to) break;
        if (!points_push(out, pts->ts[at], pts->val[at]))
            return err_set(err, ST_NO_MEMORY, "reading starts");
    }
    return ST_OK;
}

/* ---- readers -------------------------------------------------------------------- */

struct mem_reader {
    struct series_reader base;
    const struct backing *b;
    struct query_budget *budget;
    double *val;               /* of the series at hand */
};

/* The samples of a series in the set's range. */
static struct points in_range(const struct backing *b, size_t i)
{
    const struct points *pts = &b->series[i]->points;
    size_t from = points_seek(pts, b->range.from), to = from;

    while (to < pts->n && pts->ts[to] <= b->range.to) to++;
    return (struct points){.ts = pts->ts + from, .val = pts->val + from, .n = to - from};
}

/* Times are numbered by the first series of the set that has them. */
static uint64_t number_times(const struct backing *b, size_t i, struct points pts)
{
    for (size_t k = 0; k < i; k++) {
        struct points other = in_range(b, k);
        if (other.n == pts.n && memcmp(other.ts, pts.ts, pts.n * sizeof(*pts.ts)) == 0)
            return k + 1;
    }
    return i + 1;
}

static status mem_reader_read(struct series_reader *base, size_t i, struct sample_span *out,
                              struct err *err)
{
    struct mem_reader *rd = container_of(base, struct mem_reader, base);
    struct points pts = in_range(rd->b, i);
    enum value_type type = rd->b->types[i];
    bool may_be_nan = false;

    ASSERT(type != VALUE_HISTOGRAM && type != VALUE_BYTES);
    mem_free(rd->val);
    rd->val = mem_try(pts.n * sizeof(*rd->val) + 1);
    if (!rd->val) return err_set(err, ST_NO_MEMORY, "reading samples");
    for (size_t k = 0; k < pts.n; k++) {
        rd->val[k] = value_to_f64(type, pts.val[k]);
        may_be_nan = may_be_nan || rd->val[k] != rd->val[k];
    }
    *out = (struct sample_span){.ts = pts.ts,
                                .val = rd->val,
                                .n = pts.n,
                                .times = pts.n ? number_times(rd->b, i, pts) : 0,
                                .may_be_nan = may_be_nan};
    TRY(budget_poll(rd->budget, err));
    return budget_samples(rd->budget, pts.n, err);
}

static void mem_reader_close(struct series_reader *base)
{
    struct mem_reader *rd = container_of(base, struct mem_reader, base);

    mem_free(rd->val);
    mem_free(rd);
}

static const struct series_reader_ops mem_reader_ops = {.read = mem_reader_read,
                                                        .close = mem_reader_close};

static status mem_open_reader(struct series_set *set, struct query_budget *budget,
                              struct series_reader **out, struct err *err)
{
    const struct backing *b = (const void *)((const char *)set->types -
                                             offsetof(struct backing, types));
    struct mem_reader *rd = mem_alloc(sizeof(*rd));

    (void)err;
    *rd = (struct mem_reader){
        .base = {&mem_reader_ops}, .b = b, .budget = budget ? budget : b->budget};
    *out = &rd->base;
    return ST_OK;
}

static const struct series_set_ops mem_set_ops = {
    .read = mem_read, .last = mem_last, .starts = mem_starts, .open_reader = mem_open_reader};
static const struct series_set_ops mem_copy_ops = {
    .read = mem_read, .last = mem_last, .starts = mem_starts};

static status fill_set(struct series_set *set, struct mem_fetch *fetch,
                       const struct select *select, struct query_budget *budget, struct err *err)
{
    const struct querier_mem *mem = fetch->mem;
    size_t n = 0, cap = mem->series.len + 1;

    struct backing *b =
        arena_try_zero(&fetch->arena, sizeof(*b) + cap * sizeof(enum value_type));
    const struct mem_series **series = arena_try_array(&fetch->arena, cap, sizeof(*series));
    struct labels *labels = arena_try_array(&fetch->arena, cap, sizeof(*labels));
    uint64_t *ids = arena_try_array(&fetch->arena, cap, sizeof(*ids));
    if (!b || !series || !labels || !ids) return err_set(err, ST_NO_MEMORY, "a fetch");

    for (size_t i = 0; i < mem->series.len; i++) {
        const struct mem_series *s = &mem->series.ptr[i];
        if (has_sample(s, select->range) && matchers_accept(select->matchers, s->labels))
            series[n++] = s;
    }
    qsort(series, n, sizeof(*series), compare_series);
    for (size_t i = 0; i < n; i++) {
        labels[i] = series[i]->labels;
        b->types[i] = series[i]->type;
        ids[i] = (uint64_t)(series[i] - mem->series.ptr) + 1;
    }
    b->range = select->range;
    b->budget = budget;
    b->series = series;
    const struct series_set_ops *ops = mem->no_reader ? &mem_copy_ops : &mem_set_ops;
    *set = (struct series_set){ops, n, labels, b->types, ids};
    return budget_series(budget, n, err);
}

static void mem_done(struct querier *q, struct fetch *opaque)
{
    struct mem_fetch *fetch = (struct mem_fetch *)opaque;

    (void)q;
    fetch->mem->n_open--;
    arena_release(&fetch->arena);
    mem_free(fetch);
}

static status mem_fetch(struct querier *q, struct fetch **out, struct series_set **sets,
                        const struct select *selects, size_t n, struct slice tenant,
                        struct query_budget *budget, struct err *err)
{
    struct querier_mem *mem = container_of(q, struct querier_mem, base);
    struct mem_fetch *fetch = mem_zalloc(sizeof(*fetch));
    status st = mem->fail_with;

    (void)tenant; /* literal series have one owner */
    mem->n_fetches++;
    mem->n_open++;
    fetch->mem = mem;
    arena_init(&fetch->arena, NULL, 1024);
    if (st != ST_OK) {
        (void)err_set(err, st, "told to fail");
        goto fail;
    }
    struct series_set *answer = arena_try_array(&fetch->arena, n + 1, sizeof(*answer));
    if (!answer) {
        st = err_set(err, ST_NO_MEMORY, "a fetch");
        goto fail;
    }
    for (size_t i = 0; i < n; i++) {
        st = fill_set(&answer[i], fetch, &selects[i], budget, err);
        if (st != ST_OK) goto fail;
    }
    *out = (struct fetch *)fetch;
    for (size_t i = 0; i < n; i++) sets[i] = &answer[i];
    return ST_OK;

fail:
    mem_done(q, (struct fetch *)fetch);
    return st;
}

/* ---- label texts ---------------------------------------------------------------- */

static bool in_groups(const struct mem_series *s, const struct matchers *groups, size_t n_groups)
{
    for (size_t i = 0; i < n_groups; i++)
        if (matchers_accept(groups[i], s->labels)) return true;
    return n_groups == 0;
}

static int compare_texts(const void *a, const void *b)
{
    const struct slice *left = a, *right = b;
    return slice_cmp(*left, *right);
}

static status mem_label_texts(struct querier *q, struct slice name, const struct matchers *groups,
                              size_t n_groups, struct time_range range, struct slice tenant,
                              size_t limit, struct arena *arena, struct slice **out,
                              size_t *n_out, bool *more, struct query_budget *budget,
                              struct err *err)
{
    struct querier_mem *mem = container_of(q, struct querier_mem, base);
    size_t n = 0, n_unique = 0, cap = 1;

    (void)tenant;
    for (size_t i = 0; i < mem->series.len; i++) cap += mem->series.ptr[i].labels.n;
    struct slice *texts = arena_try_array(arena, cap, sizeof(*texts));
    if (!texts) return err_set(err, ST_NO_MEMORY, "label texts");
    for (size_t i = 0; i < mem->series.len; i++) {
        const struct mem_series *s = &mem->series.ptr[i];
        if (!has_sample(s, range) || !in_groups(s, groups, n_groups)) continue;
        for (size_t l = 0; l < s->labels.n; l++) {
            struct label label = s->labels.ptr[l];
            if (name.len == 0) texts[n++] = label.name;
            else if (slice_eq(label.name, name)) texts[n++] = label.value;
        }
    }
    qsort(texts, n, sizeof(*texts), compare_texts);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || !slice_eq(texts[i], texts[i - 1])) texts[n_unique++] = texts[i];
    *more = limit > 0 && n_unique > limit;
    *n_out = *more ? limit : n_unique;
    *out = texts;
    return budget_poll(budget, err);
}

static const struct querier_ops mem_ops = {
    .fetch = mem_fetch, .done = mem_done, .label_texts = mem_label_texts,
};

/* ---- filling -------------------------------------------------------------------- */

void querier_mem_init(struct querier_mem *mem)
{
    *mem = (struct querier_mem){.base.ops = &mem_ops};
    arena_init(&mem->arena, NULL, 4096);
}

void querier_mem_clear(struct querier_mem *mem)
{
    ASSERT(mem->n_open == 0);
    for (size_t i = 0; i < mem->series.len; i++) {
        points_release(&mem->series.ptr[i].points);
        points_release(&mem->series.ptr[i].starts);
    }
    points_release(&mem->pending.starts);
    mem->pending = (struct mem_series){0};
    vec_clear(&mem->series);
    arena_reset(&mem->arena);
}

void querier_mem_release(struct querier_mem *mem)
{
    querier_mem_clear(mem);
    vec_release(&mem->series);
    arena_release(&mem->arena);
}

static status find_series(struct mem_series **out, struct querier_mem *mem, struct labels labels,
                          enum value_type type, struct err *err)
{
    struct label *own = arena_try_array(&mem->arena, labels.n + 1, sizeof(*own));
    size_t n = labels.n;

    if (!own) return err_set(err, ST_NO_MEMORY, "a series");
    if (n) memcpy(own, labels.ptr, n * sizeof(*own));
    TRY(labels_canonicalise(own, &n, err));
    labels = (struct labels){own, n};

    for (size_t i = 0; i < mem->series.len; i++) {
        struct mem_series *s = &mem->series.ptr[i];
        if (s->type != type || !labels_eq(s->labels, labels)) continue;
        *out = s;
        return ST_OK;
    }
    labels = labels_copy(&mem->arena, labels);
    if ((n && !labels.ptr) ||
        !vec_push(&mem->series, (struct mem_series){.labels = labels, .type = type}))
        return err_set(err, ST_NO_MEMORY, "a series");
    *out = &mem->series.ptr[mem->series.len - 1];
    return ST_OK;
}

static bool put_point(struct points *pts, struct point p)
{
    size_t at = points_seek(pts, p.ts);

    if (at < pts->n && pts->ts[at] == p.ts) {
        pts->val[at] = p.val;
        return true;
    }
    if (!points_push(pts, p.ts, p.val)) return false;
    for (size_t i = pts->n - 1; i > at; i--) {
        pts->ts[i] = pts->ts[i - 1];
        pts->val[i] = pts->val[i - 1];
    }
    pts->ts[at] = p.ts;
    pts->val[at] = p.val;
    return true;
}

status querier_mem_add(struct querier_mem *mem, struct labels labels, enum value_type type,
                       const struct point *points, size_t n, struct err *err)
{
    struct mem_series *series = NULL;

    ASSERT(mem->n_open == 0);
    TRY(find_series(&series, mem, labels, type, err));
    for (size_t i = 0; i < n; i++)
        if (!put_point(&series->points, points[i]))
            return err_set(err, ST_NO_MEMORY, "samples");
    return ST_OK;
}

/* An offset: a duration with a sign. */
static bool parse_offset(int64_t *out, struct slice *text)
{
    bool negative = text->len > 0 && text->ptr[0] == '-';
    size_t len = 0;

    if (text->len > 0 && (negative || text->ptr[0] == '+')) *text = slice_skip(*text, 1);
    while (len < text->len && text->ptr[len] != '-' && text->ptr[len] != '+' &&
           text->ptr[len] != 'x')
        len++;
    if (len == 0 || !duration_parse_ms(out, slice_of(text->ptr, len))) return false;
    if (negative) *out = -*out;
    *text = slice_skip(*text, len);
    return true;
}

/* One word of an @st line: `_`, or an offset with a step and repetitions. */
static bool load_start(struct points *out, struct slice word, int64_t step, size_t *at)
{
    int64_t offset, change = 0;
    uint64_t n = 0;
    bool gap = word.ptr[0] == '_';

    if (gap) {
        offset = 0;
        word = slice_skip(word, 1);
    } else if (!parse_offset(&offset, &word)) {
        return false;
    }
    if (word.len > 0 && word.ptr[0] != 'x' && !parse_offset(&change, &word)) return false;
    if (word.len > 0 && (word.ptr[0] != 'x' || !parse_u64(&n, slice_skip(word, 1)))) return false;
    for (uint64_t i = gap && n ? 1 : 0; i <= n; i++, offset += change) {
        ts_time t = (ts_time)(*at)++ * step;
        union value v = {.bits = (uint64_t)(t + offset)};
        if (!gap && !points_push(out, t, v)) return false;
    }
    return true;
}

static status load_starts(struct querier_mem *mem, struct labels labels, int64_t step,
                          struct slice text, struct err *err)
{
    size_t at = 0;

    mem->pending.labels = labels;
    mem->pending.starts.n = 0;
    while (text.len > 0) {
        size_t len = 0;
        if (text.ptr[0] == ' ' || text.ptr[0] == '\t') {
            text = slice_skip(text, 1);
            continue;
        }
        while (len < text.len && text.ptr[len] != ' ' && text.ptr[len] != '\t') len++;
        if (!load_start(&mem->pending.starts, slice_of(text.ptr, len), step, &at))
            return err_set(err, ST_INVALID, "\"%.*s\" is no start", (int)len, text.ptr);
        text = slice_skip(text, len);
    }
    return ST_OK;
}

/* The starts that wait for a sample of these labels at p.ts go to its series. */
static status take_start(struct querier_mem *mem, struct labels labels, enum value_type type,
                         ts_time ts, struct err *err)
{
    const struct points *from = &mem->pending.starts;
    size_t at = points_seek(from, ts);
    struct mem_series *series = NULL;

    if (at == from->n || from->ts[at] != ts || !labels_eq(mem->pending.labels, labels))
        return ST_OK;
    TRY(find_series(&series, mem, labels, type, err));
    if (!put_point(&series->starts, (struct point){ts, from->val[at]}))
        return err_set(err, ST_NO_MEMORY, "starts");
    return ST_OK;
}

status querier_mem_load(struct querier_mem *mem, int64_t step, const char *line, struct err *err)
{
    struct labels labels;
    struct slice rest;
    struct text_value *values;
    size_t n;

    TRY(series_text_labels(&labels, &rest, slice_str(line), &mem->arena, err));
    if (slice_starts(rest, SLICE_LIT("@st"))) {
        return load_starts(mem, labels, step, slice_skip(rest, 3), err);
    }
    TRY(series_text_values(&values, &n, rest, &mem->arena, err));
    for (size_t i = 0; i < n; i++) {
        struct point p = {.ts = (ts_time)i * step};
        if (!values[i].present) continue;
        if (values[i].hist) p.val.hist = values[i].hist;
        else memcpy(&p.val.bits, &values[i].value, sizeof(p.val.bits));
        enum value_type type = values[i].hist ? VALUE_HISTOGRAM : VALUE_F64;
        TRY(querier_mem_add(mem, labels, type, &p, 1, err));
        TRY(take_start(mem, labels, type, p.ts, err));
    }
    return ST_OK;
}
