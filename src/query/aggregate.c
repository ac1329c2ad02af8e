/* Buckets over the samples of one series. See aggregate.h and resp.md 2.11.
 *
 * The samples are filtered into columns of doubles first. A bucket is then a run of
 * neighbours in them, so it can be found from either end: the newest first costs no more
 * than the oldest first, and COUNT stops the walk.
 *
 *      edge before | b0 b0 b0 | . . | b3 b3 | edge after
 *                    ^ run            ^ run     . empty buckets, only with EMPTY
 *
 * Only the samples next to the range (edges) outlive the filters' judgement: the line of
 * twa runs to them whatever the filters say, as in the peer; EMPTY asks the filters.
 */
#include "query/aggregate.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/mem.h"

enum {
    POLL_ROWS = 1024,
    ROWS_MAX = 50 << 20, /* of one series: EMPTY can ask for 2^63. As many as a query's samples */
};

#define NONE SIZE_MAX

/* A sample that may not be there. */
struct edge {
    bool has;
    ts_time ts;
    double val;
};

struct walk {
    const struct range_spec *spec;
    struct rows *out;
    struct query_budget *budget;
    struct err *err;
    ts_time *ts;               /* filtered, in range */
    double *val;
    size_t n;
    /* With edges: where the last number before i and the first one from i on are, n + 1
     * of each; NONE: at the edge. */
    size_t *number_before, *number_from;
    struct edge before, after; /* next to the range */
    bool older, newer;         /* the series goes on beyond the range (for EMPTY) */
    uint64_t n_rows;
};

/* A bucket: samples [from, to) of the columns; none when from == to. */
struct bucket {
    ts_time start;
    size_t from, to;
};

/* ---------------------------------------------------------------- rows */

void rows_clear(struct rows *rows)
{
    rows->n = 0;
    rows->n_vals = 0;
}

void rows_release(struct rows *rows)
{
    mem_free(rows->ts);
    mem_free(rows->val);
    *rows = (struct rows){.n = 0};
}

/* Room for one more row of n_vals; its values, or NULL. */
static double *add_row(struct rows *rows, ts_time ts, size_t n_vals)
{
    size_t n_val = rows->n * n_vals;
    if (rows->cap_ts - rows->n < 1 &&
        !vec_grow((void **)&rows->ts, &rows->cap_ts, rows->n, 1, sizeof(*rows->ts))) {
        return NULL;
    }
    if (rows->cap_val - n_val < n_vals &&
        !vec_grow((void **)&rows->val, &rows->cap_val, n_val, n_vals, sizeof(*rows->val))) {
        return NULL;
    }
    rows->n_vals = n_vals;
    rows->ts[rows->n++] = ts;
    return rows->val + n_val;
}

static bool full(const struct walk *w)
{
    return w->spec->count && w->n_rows >= w->spec->count;
}

/* The place for the next row's values; charges it. */
static status next_row(struct walk *w, ts_time ts, size_t n_vals, double **val)
{
    if (w->n_rows >= ROWS_MAX) {
        return err_set(w->err, ST_LIMIT, "an answer of more than %d rows", ROWS_MAX);
    }
    if (w->budget) {
        TRY(budget_samples(w->budget, 1, w->err));
        if (w->n_rows % POLL_ROWS == 0) TRY(budget_poll(w->budget, w->err));
    }
    *val = add_row(w->out, ts, n_vals);
    if (!*val) return err_set(w->err, ST_NO_MEMORY, "rows of an answer");
    w->n_rows++;
    return ST_OK;
}

/* ---------------------------------------------------------------- filters */

static bool ts_passes(const struct range_spec *spec, ts_time ts)
{
    size_t low = 0, high = spec->n_by_ts;
    if (high == 0) return true;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (spec->by_ts[mid] < ts)
            low = mid + 1;
        else
            high = mid;
    }
    return low < spec->n_by_ts && spec->by_ts[low] == ts;
}

static bool passes(const struct range_spec *spec, ts_time ts, double val)
{
    if (!ts_passes(spec, ts)) return false;
    return !spec->by_value || (val >= spec->value_min && val <= spec->value_max);
}

static bool is_stale(enum value_type type, union value val)
{
    return type == VALUE_F64 && value_is_stale(val.bits);
}

static status filter(struct walk *w, const struct points *pts, enum value_type type)
{
    const struct range_spec *spec = w->spec;
    w->ts = mem_try_array(pts->n ? pts->n : 1, sizeof(*w->ts));
    w->val = mem_try_array(pts->n ? pts->n : 1, sizeof(*w->val));
    if (!w->ts || !w->val) return err_set(w->err, ST_NO_MEMORY, "samples of an answer");

    bool plain = type == VALUE_F64 && spec->n_by_ts == 0 && !spec->by_value;
    for (size_t i = 0; i < pts->n; i++) {
        ts_time ts = pts->ts[i];
        if (plain && range_has(spec->range, ts)) { /* nearly always */
            w->ts[w->n] = ts;
            w->val[w->n] = bits_f64(pts->val[i].bits);
            w->n += !value_is_stale(pts->val[i].bits);
            continue;
        }
        if (is_stale(type, pts->val[i])) continue;
        double val = value_to_f64(type, pts->val[i]);
        if (range_has(spec->range, ts)) {
            if (!passes(spec, ts, val)) continue;
            w->ts[w->n] = ts;
            w->val[w->n++] = val;
        } else if (ts < spec->range.from) {
            if (!isnan(val)) w->before = (struct edge){true, ts, val};
            w->older |= passes(spec, ts, val);
        } else {
            if (!isnan(val) && !w->after.has) w->after = (struct edge){true, ts, val};
            w->newer |= passes(spec, ts, val);
        }
    }
    return ST_OK;
}

/* ---------------------------------------------------------------- samples as they are */

static status put_samples(struct walk *w)
{
    for (size_t i = 0; i < w->n && !full(w); i++) {
        size_t at = w->spec->reverse ? w->n - 1 - i : i;
        double *val;
        TRY(next_row(w, w->ts[at], 1, &val));
        *val = w->val[at];
    }
    return ST_OK;
}

/* ---------------------------------------------------------------- one bucket */

/* Finds the neighbours with a number once, so that runs of NaN are not walked again. */
static status find_numbers(struct walk *w)
{
    if (!range_wants_edges(w->spec)) return ST_OK;
    w->number_before = mem_try_array(w->n + 1, sizeof(*w->number_before));
    w->number_from = mem_try_array(w->n + 1, sizeof(*w->number_from));
    if (!w->number_before || !w->number_from) {
        return err_set(w->err, ST_NO_MEMORY, "neighbours of %zu samples", w->n);
    }
    w->number_before[0] = w->number_from[w->n] = NONE;
    for (size_t i = 0; i < w->n; i++) {
        w->number_before[i + 1] = isnan(w->val[i]) ? w->number_before[i] : i;
    }
    for (size_t i = w->n; i-- > 0;) {
        w->number_from[i] = isnan(w->val[i]) ? w->number_from[i + 1] : i;
    }
    return ST_OK;
}

/* The last sample with a number before index i, in the range or before it. */
static struct edge number_before(const struct walk *w, size_t i)
{
    size_t at = w->number_before[i];
    return at == NONE ? w->before : (struct edge){true, w->ts[at], w->val[at]};
}

static struct edge number_from(const struct walk *w, size_t i)
{
    size_t at = w->number_from[i];
    return at == NONE ? w->after : (struct edge){true, w->ts[at], w->val[at]};
}

/* The part of a bucket inside the range: what twa integrates over. */
static struct time_range inside(const struct walk *w, ts_time start)
{
    struct time_range part = {start, sat_add(start, w->spec->bucket)};
    if (part.from < w->spec->range.from) part.from = w->spec->range.from;
    if (part.to > w->spec->range.to) part.to = w->spec->range.to;
    return part;
}

static double twa_of(const struct walk *w, const struct bucket *b, struct agg_state st)
{
    struct time_range part = inside(w, b->start);
    struct edge before = number_before(w, b->from), after = number_from(w, b->to);
    if (st.n == 0) {
        if (!before.has || !after.has) return (double)NAN;
        return agg_twa_gap(part.from, part.to, before.ts, before.val, after.ts, after.val);
    }
    if (before.has) agg_twa_left(&st, part.from, before.ts, before.val);
    if (after.has) agg_twa_right(&st, part.to, after.ts, after.val);
    return agg_final(AGG_TWA, &st);
}

static double empty_of(const struct walk *w, const struct bucket *b, enum agg agg)
{
    if (agg != AGG_LAST || !w->number_before) return agg_empty(agg);
    struct edge before = number_before(w, b->from);
    return before.has ? before.val : (double)NAN;
}

static ts_time stamp_of(const struct range_spec *spec, ts_time start)
{
    switch (spec->stamp) {
    case BUCKET_START: return start;
    case BUCKET_MID: return sat_add(start, spec->bucket / 2);
    case BUCKET_END: return sat_add(start, spec->bucket);
    }
    return start;
}

/* A row for the bucket, unless all its samples are NaN and nobody asked for empties. */
static status put_bucket(struct walk *w, const struct bucket *b)
{
    const struct range_spec *spec = w->spec;
    struct agg_state st;
    agg_init(&st);
    agg_run(&st, w->ts + b->from, w->val + b->from, b->to - b->from, spec->aggs, spec->n_aggs);

    bool any = spec->empty;
    for (size_t k = 0; k < spec->n_aggs; k++) any |= agg_has_value(spec->aggs[k], &st);
    if (!any) return ST_OK;
    double *val;
    TRY(next_row(w, stamp_of(spec, b->start), spec->n_aggs, &val));
    for (size_t k = 0; k < spec->n_aggs; k++) {
        enum agg agg = spec->aggs[k];
        if (agg == AGG_TWA)
            val[k] = twa_of(w, b, st);
        else if (agg_has_value(agg, &st))
            val[k] = agg_final(agg, &st);
        else
            val[k] = empty_of(w, b, agg);
    }
    return ST_OK;
}

/* ---------------------------------------------------------------- the walk */

static ts_time bucket_of(const struct range_spec *spec, ts_time ts)
{
    return time_bucket(ts, spec->bucket, spec->align);
}

/* Empty buckets with starts in [from, to), whose place in the columns is before sample
 * `at`; in the order of the answer. */
static status put_empties(struct walk *w, ts_time from, ts_time to, size_t at)
{
    int64_t width = w->spec->bucket;
    if (!w->spec->empty || from >= to) return ST_OK;
    struct bucket b = {.start = w->spec->reverse ? bucket_of(w->spec, to - 1) : from,
                       .from = at,
                       .to = at};
    while (!full(w) && b.start >= from && b.start < to) {
        TRY(put_bucket(w, &b));
        int64_t step = w->spec->reverse ? -width : width;
        if (__builtin_add_overflow(b.start, step, &b.start)) break;
    }
    return ST_OK;
}

/* Where the empty buckets of the series begin and end: [first, last). Beyond its oldest
 * and newest sample there are none. */
static ts_time first_start(const struct walk *w)
{
    return bucket_of(w->spec, w->older ? w->spec->range.from : w->ts[0]);
}

static ts_time end_start(const struct walk *w)
{
    ts_time last = bucket_of(w->spec, w->newer ? w->spec->range.to : w->ts[w->n - 1]);
    return sat_add(last, w->spec->bucket);
}

static status walk_forward(struct walk *w)
{
    ts_time next = first_start(w);
    for (size_t i = 0; i < w->n && !full(w);) {
        struct bucket b = {.start = bucket_of(w->spec, w->ts[i]), .from = i};
        ts_time last = sat_add(b.start, w->spec->bucket - 1);
        while (i < w->n && w->ts[i] <= last) i++;
        b.to = i;
        TRY(put_empties(w, next, b.start, b.from));
        if (!full(w)) TRY(put_bucket(w, &b));
        next = sat_add(b.start, w->spec->bucket);
    }
    return put_empties(w, next, end_start(w), w->n);
}

static status walk_backward(struct walk *w)
{
    ts_time end = end_start(w);
    for (size_t i = w->n; i > 0 && !full(w);) {
        struct bucket b = {.start = bucket_of(w->spec, w->ts[i - 1]), .to = i};
        while (i > 0 && w->ts[i - 1] >= b.start) i--;
        b.from = i;
        TRY(put_empties(w, sat_add(b.start, w->spec->bucket), end, b.to));
        if (!full(w)) TRY(put_bucket(w, &b));
        end = b.start;
    }
    return put_empties(w, first_start(w), end, 0);
}

/* No sample passed, but the series lies on both sides of the range: all is empty. */
static status walk_gap(struct walk *w)
{
    if (!w->spec->empty || !w->older || !w->newer) return ST_OK;
    ts_time last = bucket_of(w->spec, w->spec->range.to);
    return put_empties(w, bucket_of(w->spec, w->spec->range.from),
                       sat_add(last, w->spec->bucket), 0);
}

bool range_wants_edges(const struct range_spec *spec)
{
    if (spec->n_aggs > 0 && spec->empty) return true;
    for (size_t i = 0; i < spec->n_aggs; i++) {
        if (spec->aggs[i] == AGG_TWA) return true;
    }
    return false;
}

status aggregate_range(struct rows *out, const struct points *pts, enum value_type type,
                       const struct range_spec *spec, struct query_budget *budget,
                       struct err *err)
{
    struct walk w = {.spec = spec, .out = out, .budget = budget, .err = err};
    if (range_empty(spec->range)) return ST_OK;
    status st = filter(&w, pts, type);
    if (st == ST_OK) st = find_numbers(&w);
    if (st == ST_OK && spec->n_aggs == 0)
        st = put_samples(&w);
    else if (st == ST_OK && w.n == 0)
        st = walk_gap(&w);
    else if (st == ST_OK)
        st = spec->reverse ? walk_backward(&w) : walk_forward(&w);
    mem_free(w.ts);
    mem_free(w.val);
    mem_free(w.number_before);
    mem_free(w.number_from);
    return st;
}

/* ---------------------------------------------------------------- groups */

bool group_reducer_valid(enum agg reducer)
{
    return reducer < N_AGGS && reducer != AGG_FIRST && reducer != AGG_LAST &&
           reducer != AGG_TWA;
}

status group_add(struct group_reduce *group, const struct rows *rows)
{
    if (!vec_reserve(&group->rows, rows->n)) return ST_NO_MEMORY;
    for (size_t i = 0; i < rows->n; i++) {
        group->rows.ptr[group->rows.len] = (struct group_row){
            .ts = rows->ts[i], .at = group->rows.len, .val = rows->val[i]};
        group->rows.len++;
    }
    return ST_OK;
}

static int cmp_rows(const void *a, const void *b)
{
    const struct group_row *x = a, *y = b;
    if (x->ts != y->ts) return x->ts < y->ts ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

/* The rows [from, to) of one time become one. */
static status put_group(struct rows *out, const struct group_row *from,
                        const struct group_row *to, enum agg reducer)
{
    struct agg_state st;
    agg_init(&st);
    for (const struct group_row *at = from; at < to; at++) agg_step(&st, at->ts, at->val);
    double *val = add_row(out, from->ts, 1);
    if (!val) return ST_NO_MEMORY;
    *val = agg_final(reducer, &st); /* only NaN: what an empty bucket has */
    return ST_OK;
}

status group_finish(struct group_reduce *group, struct rows *out, enum agg reducer,
                    uint64_t count, bool reverse)
{
    const struct group_row *rows = group->rows.ptr;
    size_t n = group->rows.len;
    if (n > 1) qsort(group->rows.ptr, n, sizeof(*rows), cmp_rows);

    size_t low = 0, high = n;
    for (uint64_t n_rows = 0; low < high && (count == 0 || n_rows < count); n_rows++) {
        size_t from = low, to = high;
        if (reverse) {
            from = high - 1;
            while (from > low && rows[from - 1].ts == rows[high - 1].ts) from--;
            high = from;
        } else {
            to = low + 1;
            while (to < high && rows[to].ts == rows[low].ts) to++;
            low = to;
        }
        TRY(put_group(out, rows + from, rows + to, reducer));
    }
    return ST_OK;
}

void group_release(struct group_reduce *group)
{
    vec_release(&group->rows);
}
