/* The choice of what to compact. See compact_plan.h. */
#include "engine/compact_plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/panic.h"
#include "storage/segment.h"

_Static_assert((int)COMPACT_SOURCES_MAX == (int)SEGMENT_SOURCES_MAX, "a manifest names them");

enum {
    LEVEL_LAST = 2,
    DELETED_SHARE = 10,         /* a tenth is worth a rewrite */
    EXPIRED_SHARE = 4,          /* a quarter; a guess: rewritten at most four times */
};

struct planner {
    const struct compact_segment *segs;
    size_t n;
    const struct compact_policy *policy;
    bool short_of_space;
};

/* Sources under consideration. */
struct choice {
    size_t idx[COMPACT_SOURCES_MAX];
    size_t n;
};

const char *compact_kind_name(enum compact_kind kind)
{
    switch (kind) {
    case COMPACT_NOTHING: return "nothing";
    case COMPACT_EXPIRED: return "expired";
    case COMPACT_LEVEL: return "level";
    case COMPACT_OVERLAP: return "overlap";
    case COMPACT_RETENTION: return "retention";
    case COMPACT_DELETES: return "deletes";
    case COMPACT_SMALL: return "small";
    }
    return "?";
}

/* --- sets of sources ------------------------------------------------------------- */

static bool has(const struct choice *c, size_t idx)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->idx[i] == idx) return true;
    return false;
}

static void hull(const struct planner *p, const struct choice *c, struct time_range *ts,
                 uint64_t *order_min, uint64_t *order_max)
{
    *ts = (struct time_range){TS_MAX, TS_MIN};
    *order_min = UINT64_MAX;
    *order_max = 0;
    for (size_t i = 0; i < c->n; i++) {
        const struct compact_segment *s = &p->segs[c->idx[i]];
        if (s->ts.from < ts->from) ts->from = s->ts.from;
        if (s->ts.to > ts->to) ts->to = s->ts.to;
        if (s->order_min < *order_min) *order_min = s->order_min;
        if (s->order_max > *order_max) *order_max = s->order_max;
    }
}

/* A segment that is left out though it lies between the sources in flush order and
 * within their times; p->n when there is none. */
static size_t find_between(const struct planner *p, const struct choice *c)
{
    struct time_range ts;
    uint64_t order_min, order_max;
    hull(p, c, &ts, &order_min, &order_max);
    for (size_t i = 0; i < p->n; i++) {
        const struct compact_segment *s = &p->segs[i];
        if (s->lane != p->segs[c->idx[0]].lane || has(c, i)) continue;
        if (s->order_min <= order_max && s->order_max >= order_min && range_overlaps(s->ts, ts))
            return i;
    }
    return p->n;
}

static uint64_t bytes_of(const struct planner *p, const struct choice *c)
{
    uint64_t n = 0;
    for (size_t i = 0; i < c->n; i++) n += p->segs[c->idx[i]].n_bytes;
    return n;
}

/* What a merge may write, at most: the bytes of its sources without the share that goes,
 * and a little for what is cut apart. */
static uint64_t output_of(const struct planner *p, const struct choice *c)
{
    uint64_t n = 0;
    for (size_t i = 0; i < c->n; i++) {
        const struct compact_segment *s = &p->segs[c->idx[i]];
        uint64_t gone = s->n_hidden > s->n_expired ? s->n_hidden : s->n_expired;
        if (gone > s->n_points) gone = s->n_points;
        double share = s->n_points ? (double)gone / (double)s->n_points : 0;
        n += s->n_bytes - (uint64_t)((double)s->n_bytes * share * 0.5);
    }
    return n + n / 16 + (64 << 10);
}

static bool fits(struct planner *p, const struct choice *c)
{
    if (output_of(p, c) <= p->policy->free_bytes) return true;
    p->short_of_space = true;
    return false;
}

static int by_number(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return x < y ? -1 : x > y;
}

/* --- cuts ------------------------------------------------------------------------ */

static int by_time(const void *a, const void *b)
{
    ts_time x = *(const ts_time *)a, y = *(const ts_time *)b;
    return x < y ? -1 : x > y;
}

static double width(struct time_range r)
{
    return (double)r.to - (double)r.from + 1;
}

/* Bytes of the sources before t, as if each were spread evenly over its times. */
static double bytes_before(const struct planner *p, const struct choice *c, ts_time t)
{
    double sum = 0;
    for (size_t i = 0; i < c->n; i++) {
        const struct compact_segment *s = &p->segs[c->idx[i]];
        if (t > s->ts.to) sum += (double)s->n_bytes;
        else if (t > s->ts.from)
            sum += (double)s->n_bytes * ((double)t - (double)s->ts.from) / width(s->ts);
    }
    return sum;
}

/* The first time before which there are as many bytes; by bisection of the hull. */
static ts_time quantile(const struct planner *p, const struct choice *c, struct time_range ts,
                        double bytes)
{
    ts_time low = ts.from, high = ts.to;
    while (low < high) {
        ts_time mid = low + (ts_time)(((uint64_t)high - (uint64_t)low) / 2);
        if (bytes_before(p, c, mid) < bytes) low = mid + 1;
        else high = mid;
    }
    return low;
}

struct cuts {
    ts_time *ptr;
    size_t len, cap;
};

static void add_cut(struct cuts *cuts, struct time_range ts, ts_time t)
{
    if (t <= ts.from || t > ts.to || cuts->len == cuts->cap) return;
    cuts->ptr[cuts->len++] = t;
}

/* Where other segments of level 2 begin and end, and every out_bytes. */
static void cut_output(const struct planner *p, const struct choice *c, struct compact_plan *out)
{
    ts_time room[4 * COMPACT_PARTS_MAX];
    struct cuts cuts = {room, 0, sizeof(room) / sizeof(room[0])};
    struct time_range ts;
    uint64_t order_min, order_max;
    if (out->level != LEVEL_LAST) return;
    hull(p, c, &ts, &order_min, &order_max);

    uint64_t n_parts = (bytes_of(p, c) + p->policy->out_bytes / 2) / p->policy->out_bytes;
    if (n_parts > COMPACT_PARTS_MAX / 2) n_parts = COMPACT_PARTS_MAX / 2;
    for (uint64_t i = 1; i < n_parts; i++)
        add_cut(&cuts, ts,
                quantile(p, c, ts, (double)bytes_of(p, c) * (double)i / (double)n_parts));
    /* Newest first: when there are too many, those further back are left out. */
    for (size_t i = p->n; i-- > 0 && c->n > 1;) {
        const struct compact_segment *s = &p->segs[i];
        if (s->lane != out->lane || s->level != LEVEL_LAST || has(c, i)) continue;
        add_cut(&cuts, ts, s->ts.from);
        if (s->ts.to < TS_MAX) add_cut(&cuts, ts, s->ts.to + 1);
    }
    if (cuts.len == 0) return;
    qsort(cuts.ptr, cuts.len, sizeof(cuts.ptr[0]), by_time);
    size_t n = 0;
    for (size_t i = 0; i < cuts.len; i++)
        if (n == 0 || cuts.ptr[n - 1] != cuts.ptr[i]) cuts.ptr[n++] = cuts.ptr[i];
    size_t skip = n > COMPACT_PARTS_MAX - 1 ? n - (COMPACT_PARTS_MAX - 1) : 0;
    out->n_cuts = n - skip;
    memcpy(out->cut, cuts.ptr + skip, out->n_cuts * sizeof(out->cut[0]));
}

static bool take(struct planner *p, struct choice *c, enum compact_kind kind, unsigned level,
                 struct compact_plan *out)
{
    if (!fits(p, c)) return false;
    qsort(c->idx, c->n, sizeof(c->idx[0]), by_number);
    out->kind = kind;
    out->lane = p->segs[c->idx[0]].lane;
    out->level = level;
    memcpy(out->source, c->idx, c->n * sizeof(c->idx[0]));
    out->n_sources = c->n;
    out->n_bytes = bytes_of(p, c);
    out->out_bytes = output_of(p, c);
    cut_output(p, c, out);
    return true;
}

/* --- EXPIRED --------------------------------------------------------------------- */

static bool plan_expired(struct planner *p, enum value_lane lane, struct compact_plan *out)
{
    for (size_t i = 0; i < p->n && out->n_sources < COMPACT_DROP_MAX; i++) {
        const struct compact_segment *s = &p->segs[i];
        if (s->lane != lane || !s->expired) continue;
        out->source[out->n_sources++] = i;
        out->n_bytes += s->n_bytes;
    }
    if (out->n_sources == 0) return false;
    out->kind = COMPACT_EXPIRED;
    out->lane = lane;
    return true;
}

/* --- LEVEL ----------------------------------------------------------------------- */

static size_t list_level(const struct planner *p, enum value_lane lane, unsigned level,
                         size_t *list, size_t cap)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n && n < cap; i++) {
        const struct compact_segment *s = &p->segs[i];
        if (s->lane == lane && s->level == level && !s->barred) list[n++] = i;
    }
    return n;
}

static size_t count_overlaps(const struct planner *p, const struct choice *c)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++)
        for (size_t k = i + 1; k < c->n; k++)
            n += range_overlaps(p->segs[c->idx[i]].ts, p->segs[c->idx[k]].ts);
    return n;
}

/* The longest run of the list from `start` that may be merged and finds room. */
static bool run_from(struct planner *p, const size_t *list, size_t n, size_t start,
                     struct choice *c)
{
    size_t most = n - start < p->policy->window ? n - start : p->policy->window;
    for (c->n = most; c->n >= 2; c->n--) {
        memcpy(c->idx, list + start, c->n * sizeof(list[0]));
        if (find_between(p, c) == p->n && fits(p, c)) return true;
    }
    return false;
}

enum { LIST_MAX = 512 }; /* of a level, oldest first: more wait for the next time */

static bool plan_level(struct planner *p, enum value_lane lane, unsigned level,
                       struct compact_plan *out)
{
    size_t list[LIST_MAX];
    size_t n = list_level(p, lane, level, list, LIST_MAX), best_score = 0;
    struct choice best = {.n = 0};
    if (n == 1 && p->policy->all_down) {
        best = (struct choice){.idx = {list[0]}, .n = 1};
        return take(p, &best, COMPACT_LEVEL, level + 1, out);
    }
    if (n < p->policy->trigger) return false;
    for (size_t start = 0; start + 1 < n; start++) {
        struct choice c;
        if (start > 0 && n - start < p->policy->trigger) break;
        if (!run_from(p, list, n, start, &c)) continue;
        size_t score = count_overlaps(p, &c);
        if (best.n && score <= best_score) continue;
        best = c;
        best_score = score;
    }
    return best.n && take(p, &best, COMPACT_LEVEL, level + 1, out);
}

/* --- OVERLAP --------------------------------------------------------------------- */

/* Adds what lies between until nothing does; false when that is too much. */
static bool close_choice(const struct planner *p, struct choice *c)
{
    for (;;) {
        size_t between = find_between(p, c);
        if (between == p->n) return true;
        if (c->n == COMPACT_SOURCES_MAX || p->segs[between].barred) return false;
        c->idx[c->n++] = between;
    }
}

static bool plan_overlap(struct planner *p, enum value_lane lane, struct compact_plan *out)
{
    size_t list[LIST_MAX];
    size_t n = list_level(p, lane, LEVEL_LAST, list, LIST_MAX);
    struct choice best = {.n = 0};
    for (size_t i = 0; i < n; i++) {
        for (size_t k = i + 1; k < n; k++) {
            struct choice c = {.idx = {list[i], list[k]}, .n = 2};
            if (!range_overlaps(p->segs[list[i]].ts, p->segs[list[k]].ts)) continue;
            if (!close_choice(p, &c) || !fits(p, &c)) continue;
            if (!best.n || bytes_of(p, &c) < bytes_of(p, &best)) best = c;
        }
    }
    return best.n && take(p, &best, COMPACT_OVERLAP, LEVEL_LAST, out);
}

/* --- RETENTION, DELETES: one segment, in its place --------------------------------- */

static bool wants_rewrite(const struct planner *p, const struct compact_segment *s,
                          enum compact_kind kind)
{
    if (kind == COMPACT_RETENTION)
        return s->n_expired && s->n_expired >= s->n_points / EXPIRED_SHARE;
    bool enough = s->n_hidden >= s->n_points / DELETED_SHARE;
    return s->n_hidden && (p->policy->all_hidden || s->hidden_long || enough);
}

static bool plan_rewrite(struct planner *p, enum value_lane lane, enum compact_kind kind,
                         struct compact_plan *out)
{
    struct choice best = {.n = 0};
    for (size_t i = 0; i < p->n; i++) {
        const struct compact_segment *s = &p->segs[i];
        struct choice c = {.idx = {i}, .n = 1};
        if (s->lane != lane || s->barred || !wants_rewrite(p, s, kind) || !fits(p, &c)) continue;
        if (!best.n || s->n_bytes < p->segs[best.idx[0]].n_bytes) best = c;
    }
    return best.n && take(p, &best, kind, p->segs[best.idx[0]].level, out);
}

/* --- SMALL ----------------------------------------------------------------------- */

/* Insertion: the list is short and nearly sorted already. */
static void sort_by_start(const struct planner *p, size_t *list, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        size_t idx = list[i], at = i;
        for (; at > 0 && p->segs[list[at - 1]].ts.from > p->segs[idx].ts.from; at--)
            list[at] = list[at - 1];
        list[at] = idx;
    }
}

/* The longest run of neighbours from `start` none of which is more than half of all. */
static bool small_run(struct planner *p, const size_t *list, size_t n, size_t start,
                      struct choice *c)
{
    uint64_t largest = 0, sum = 0;
    struct choice good = {.n = 0};
    c->n = 0;
    for (size_t i = start; i < n && c->n < p->policy->window; i++) {
        const struct compact_segment *s = &p->segs[list[i]];
        struct time_range span = {p->segs[list[start]].ts.from, s->ts.to};
        if (s->n_bytes > p->policy->out_bytes / 2) break;
        if (sum + s->n_bytes > p->policy->out_bytes) break;
        if (p->policy->span_max && sat_sub(span.to, span.from) > p->policy->span_max) break;
        c->idx[c->n++] = list[i];
        sum += s->n_bytes;
        if (s->n_bytes > largest) largest = s->n_bytes;
        if (c->n >= p->policy->trigger && largest <= sum / 2) good = *c;
    }
    *c = good;
    return c->n && find_between(p, c) == p->n && fits(p, c);
}

static bool plan_small(struct planner *p, enum value_lane lane, struct compact_plan *out)
{
    size_t list[LIST_MAX];
    size_t n = list_level(p, lane, LEVEL_LAST, list, LIST_MAX);
    sort_by_start(p, list, n);
    for (size_t start = 0; start + p->policy->trigger <= n; start++) {
        struct choice c;
        if (small_run(p, list, n, start, &c)) return take(p, &c, COMPACT_SMALL, LEVEL_LAST, out);
    }
    return false;
}

/* --- all of it ------------------------------------------------------------------- */

static bool plan_one(struct planner *p, enum compact_kind kind, enum value_lane lane,
                     struct compact_plan *out)
{
    switch (kind) {
    case COMPACT_NOTHING: return false;
    case COMPACT_EXPIRED: return plan_expired(p, lane, out);
    case COMPACT_LEVEL: return plan_level(p, lane, 0, out) || plan_level(p, lane, 1, out);
    case COMPACT_OVERLAP: return plan_overlap(p, lane, out);
    case COMPACT_RETENTION:
    case COMPACT_DELETES: return plan_rewrite(p, lane, kind, out);
    case COMPACT_SMALL: return plan_small(p, lane, out);
    }
    return false;
}

void compact_plan(struct compact_plan *out, const struct compact_segment *segs, size_t n,
                  const struct compact_policy *policy)
{
    struct planner p = {.segs = segs, .n = n, .policy = policy};
    ASSERT(policy->trigger >= 2 && policy->window >= policy->trigger &&
           policy->window <= COMPACT_SOURCES_MAX && policy->out_bytes > 0);
    *out = (struct compact_plan){.kind = COMPACT_NOTHING};
    for (int kind = COMPACT_EXPIRED; kind <= COMPACT_SMALL; kind++)
        for (int lane = 0; lane < N_LANES; lane++)
            if (plan_one(&p, (enum compact_kind)kind, (enum value_lane)lane, out)) goto found;
found:
    out->short_of_space = p.short_of_space;
}
