/* K-way merge. See merge.h.
 *
 * A heap of cursors, ordered by the time of their next point, then newest first. The top
 * is copied in a block up to the next time of any other cursor: sources that do not
 * overlap cost one step each. Where times are equal the top has the highest rank: its
 * point is taken and all others step over that time. Hidden intervals are stepped over
 * before a point can be seen, so a deleted point never shadows an older visible one.
 */
#include "storage/merge.h"

#include <string.h>

#include "base/bits.h"
#include "base/mem.h"

enum { STACK_CURSORS = 16 };

struct cursor {
    const ts_time *ts;
    const union value *val;
    size_t at, n;                /* next point; end of the columns within the range */
    size_t lim;                  /* end of what is known not to be hidden */
    uint64_t rank;
    size_t number;               /* of the source */
    const struct intervals *hidden;
    size_t hidden_at;            /* the first interval that may still matter */
    bool strict;                 /* no timestamp is there twice */
    bool done;                   /* no further batch */
    struct merge_source *src;    /* NULL: one batch is all */
};

struct merge {
    struct time_range range;
    size_t n_heap;
    struct cursor **heap;
    struct cursor *cursors;
    size_t n_cursors;
    bool primed;
};

/* ---- cursors ---- */

/* First index in [from, to) with ts >= t, found by doubling steps: usually near. */
static size_t gallop(const ts_time *ts, size_t from, size_t to, ts_time t)
{
    size_t step = 1, low = from;

    while (low + step < to && ts[low + step] < t) {
        low += step;
        step *= 2;
    }
    size_t high = low + step < to ? low + step : to;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (ts[mid] < t) low = mid + 1;
        else high = mid;
    }
    return low;
}

static bool is_strict(const ts_time *ts, size_t from, size_t n)
{
    bool twice = false;
    for (size_t i = from + 1; i < n; i++) twice |= ts[i] == ts[i - 1];
    return !twice;
}

/* The columns of a batch, cut to the range. */
static void set_columns(struct cursor *c, const struct merge_run *run, struct time_range range)
{
    c->ts = run->ts;
    c->val = run->val;
    c->n = run->n;
    c->at = gallop(run->ts, 0, run->n, range.from);
    if (run->n > 0 && run->ts[run->n - 1] > range.to) {
        c->n = gallop(run->ts, c->at, run->n, sat_add(range.to, 1));
        c->done = true; /* what follows is later still */
    }
    if (!c->src) c->done = true;
    c->lim = c->at;
    c->strict = is_strict(c->ts, c->at, c->n);
}

/* Steps over hidden points; false at the end of the columns. */
static bool skip_hidden(struct cursor *c)
{
    const struct intervals *hidden = c->hidden;

    while (c->at < c->n) {
        if (c->at < c->lim) return true;
        c->lim = c->n;
        if (!hidden) return true;
        ts_time t = c->ts[c->at];
        while (c->hidden_at < hidden->len && hidden->ptr[c->hidden_at].to < t) c->hidden_at++;
        if (c->hidden_at == hidden->len) return true;
        struct time_range gap = hidden->ptr[c->hidden_at];
        if (t < gap.from) {
            c->lim = gallop(c->ts, c->at, c->n, gap.from);
            return true;
        }
        if (gap.to == TS_MAX) c->at = c->n;
        else c->at = gallop(c->ts, c->at, c->n, gap.to + 1);
        c->lim = c->at;
    }
    return false;
}

/* Makes c->at a visible point, with further batches when there are; *more is false at
 * the end of the source. */
static status settle(struct cursor *c, struct time_range range, bool *more)
{
    while (!skip_hidden(c)) {
        if (c->done) {
            *more = false;
            return ST_OK;
        }
        struct merge_run run = {0};
        TRY(c->src->fill(c->src, &run));
        if (run.n == 0) c->done = true;
        set_columns(c, &run, range);
    }
    *more = true;
    return ST_OK;
}

/* ---- the heap ---- */

static bool goes_before(const struct cursor *a, const struct cursor *b)
{
    ts_time x = a->ts[a->at], y = b->ts[b->at];
    if (x != y) return x < y;
    if (a->rank != b->rank) return a->rank > b->rank;
    return a->number > b->number;
}

static void sift_down(struct merge *m, size_t i)
{
    struct cursor *c = m->heap[i];

    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= m->n_heap) break;
        if (child + 1 < m->n_heap && goes_before(m->heap[child + 1], m->heap[child])) child++;
        if (goes_before(c, m->heap[child])) break;
        m->heap[i] = m->heap[child];
        i = child;
    }
    m->heap[i] = c;
}

/* The top has moved on: puts it where it belongs now, or takes it out. */
static status resettle_top(struct merge *m)
{
    bool more;

    TRY(settle(m->heap[0], m->range, &more));
    if (!more) {
        m->heap[0] = m->heap[--m->n_heap];
        if (m->n_heap == 0) return ST_OK;
    }
    sift_down(m, 0);
    return ST_OK;
}

static status prime(struct merge *m)
{
    if (m->primed) return ST_OK;
    for (size_t i = 0; i < m->n_cursors; i++) {
        bool more;
        TRY(settle(&m->cursors[i], m->range, &more));
        if (more) m->heap[m->n_heap++] = &m->cursors[i];
    }
    for (size_t i = m->n_heap / 2; i-- > 0;) sift_down(m, i);
    m->primed = true;
    return ST_OK;
}

/* The next time of any cursor but the top. There are two or more. */
static ts_time next_other(const struct merge *m)
{
    ts_time t = m->heap[1]->ts[m->heap[1]->at];
    if (m->n_heap > 2 && m->heap[2]->ts[m->heap[2]->at] < t) {
        t = m->heap[2]->ts[m->heap[2]->at];
    }
    return t;
}

/* ---- merging ---- */

/* Copies [from, to) of the cursor; the last of equal times. Room was reserved. */
static void emit(struct points *out, const struct cursor *c, size_t from, size_t to)
{
    if (c->strict) {
        memcpy(out->ts + out->n, c->ts + from, (to - from) * sizeof(out->ts[0]));
        memcpy(out->val + out->n, c->val + from, (to - from) * sizeof(out->val[0]));
        out->n += to - from;
        return;
    }
    for (size_t i = from; i < to; i++) {
        if (i + 1 < to && c->ts[i + 1] == c->ts[i]) continue;
        out->ts[out->n] = c->ts[i];
        out->val[out->n++] = c->val[i];
    }
}

/* A block's end that does not part equal times, at most max points away (more when one
 * timestamp fills all of them). */
static size_t cap_block(const struct cursor *c, size_t end, size_t max)
{
    if (end - c->at <= max) return end;
    size_t cut = c->at + max;
    while (cut < end && c->ts[cut] == c->ts[cut - 1]) cut++;
    return cut;
}

/* One step: a block of the top, or one timestamp that several have. */
static status merge_step(struct merge *m, struct points *out, size_t max)
{
    struct cursor *top = m->heap[0];
    ts_time t = top->ts[top->at];
    ts_time other = m->n_heap > 1 ? next_other(m) : TS_MAX;
    size_t end;

    if (m->n_heap == 1) end = top->lim;
    else if (t < other) end = gallop(top->ts, top->at, top->lim, other);
    else {
        end = top->at + 1;
        while (end < top->lim && top->ts[end] == t) end++;
    }
    end = cap_block(top, end, max);
    if (!points_reserve(out, end - top->at)) return ST_NO_MEMORY;
    emit(out, top, top->at, end);
    ts_time last = top->ts[end - 1];
    top->at = end;
    TRY(resettle_top(m));

    /* The others step over the time that was taken. */
    while (m->n_heap > 0 && m->heap[0]->ts[m->heap[0]->at] == last) {
        top = m->heap[0];
        while (top->at < top->lim && top->ts[top->at] == last) top->at++;
        TRY(resettle_top(m));
    }
    return ST_OK;
}

status merge_runs(struct points *out, const struct merge_run *runs, size_t n_runs,
                  struct time_range range)
{
    struct cursor few[STACK_CURSORS], *cursors = few;
    struct cursor *few_heap[STACK_CURSORS], **heap = few_heap;
    size_t before = out->n, total = 0;
    status st = ST_OK;

    if (range_empty(range) || n_runs == 0) return ST_OK;
    if (n_runs > STACK_CURSORS) {
        cursors = mem_try_array(n_runs, sizeof(cursors[0]));
        heap = mem_try_array(n_runs, sizeof(heap[0]));
    }
    if (!cursors || !heap) st = ST_NO_MEMORY;
    for (size_t i = 0; i < n_runs && st == ST_OK; i++) {
        cursors[i] = (struct cursor){
            .rank = runs[i].rank, .number = i, .hidden = runs[i].hidden};
        set_columns(&cursors[i], &runs[i], range);
        total += cursors[i].n - cursors[i].at;
    }
    struct merge m = {.range = range, .heap = heap, .cursors = cursors, .n_cursors = n_runs};
    if (st == ST_OK && !points_reserve(out, total)) st = ST_NO_MEMORY;
    if (st == ST_OK) st = prime(&m);
    while (st == ST_OK && m.n_heap > 0) st = merge_step(&m, out, SIZE_MAX / 2);
    if (st != ST_OK) out->n = before;
    if (n_runs > STACK_CURSORS) {
        mem_free(cursors);
        mem_free(heap);
    }
    return st;
}

/* ---- streaming ---- */

status merge_new(struct merge **out, struct merge_source *const *sources, const uint64_t *ranks,
                 const struct intervals *const *hidden, size_t n_sources,
                 struct time_range range)
{
    struct merge *m = mem_zalloc(sizeof(*m));

    m->range = range;
    m->n_cursors = range_empty(range) ? 0 : n_sources;
    m->cursors = mem_try_array(n_sources + 1, sizeof(m->cursors[0]));
    m->heap = mem_try_array(n_sources + 1, sizeof(m->heap[0]));
    if (!m->cursors || !m->heap) {
        merge_free(m);
        return ST_NO_MEMORY;
    }
    for (size_t i = 0; i < n_sources; i++) {
        m->cursors[i] = (struct cursor){.rank = ranks[i],
                                        .number = i,
                                        .hidden = hidden ? hidden[i] : NULL,
                                        .strict = true,
                                        .src = sources[i]};
    }
    *out = m;
    return ST_OK;
}

status merge_next(struct merge *merge, struct points *out, size_t max, bool *more)
{
    size_t target;

    TRY(prime(merge));
    if (__builtin_add_overflow(out->n, max, &target)) target = SIZE_MAX;
    while (merge->n_heap > 0 && out->n < target) {
        TRY(merge_step(merge, out, target - out->n));
    }
    *more = merge->n_heap > 0;
    return ST_OK;
}

void merge_free(struct merge *merge)
{
    if (!merge) return;
    mem_free(merge->cursors);
    mem_free(merge->heap);
    mem_free(merge);
}
