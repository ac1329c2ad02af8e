/* Edges: where windows begin and end in a column of times, found once for all series that
 * share the column (sample_span.times) and kept in a table whose place is the column's
 * number. With them the window of a step costs two loads, and most range functions are
 * plain loops over columns.
 *
 * Both ends only move forward with the steps, so finding them is one pass over times and
 * steps.
 *
 * A query over many columns in no order would fill the table with what is never used again:
 * when nothing was found for a while, one place serves all, and stays in the cache.
 */
#include "promql/eval_range_priv.h"

enum {
    TABLE_BYTES = 8 << 20, /* of all places; a guess */
    SLOTS_MAX = 256,
    TRIES = 32,            /* misses without a hit until one place has to do */
    UNIT_MIN = 16,         /* steps that make a run of neighbours worth while */
};

static size_t slot_bytes(const struct edge_spec *spec)
{
    size_t n = spec->frame->n;
    return sizeof(struct edges) + n * (2 * sizeof(uint32_t) + spec->n_aux * sizeof(double)) +
           bitmap_words(n) * sizeof(uint64_t);
}

status edges_init(struct eval *ev, struct edge_cache *cache, const struct edge_spec *spec)
{
    size_t n = TABLE_BYTES / slot_bytes(spec);

    *cache = (struct edge_cache){.spec = *spec};
    cache->n_slots = n < 1 ? 1 : n > SLOTS_MAX ? SLOTS_MAX : n;
    cache->slots = arena_try_zero(ev->arena, cache->n_slots * sizeof(*cache->slots));
    return cache->slots ? ST_OK : eval_oom(ev);
}

status edges_ends(struct eval *ev, const struct frame *f, const struct modifiers *mod,
                  const ts_time **out)
{
    ts_time *ends = arena_try_array(ev->arena, f->n, sizeof(*ends));

    if (!ends) return eval_oom(ev);
    for (size_t i = 0; i < f->n; i++) ends[i] = modified_time(mod, frame_time(f, i));
    *out = ends;
    return ST_OK;
}

static status make_slot(struct eval *ev, const struct edge_spec *spec, struct edges **slot)
{
    size_t n = spec->frame->n;

    if (*slot) return ST_OK;
    struct edges *e = arena_try_zero(ev->arena, sizeof(*e));
    if (!e) return eval_oom(ev);
    e->hi = arena_try_array(ev->arena, n, sizeof(*e->hi));
    e->has = arena_try_array(ev->arena, bitmap_words(n), sizeof(*e->has));
    if (!e->hi || !e->has) return eval_oom(ev);
    for (size_t i = 0; i < spec->n_aux; i++) {
        e->aux[i] = arena_try_array(ev->arena, n, sizeof(*e->aux[i]));
        if (!e->aux[i]) return eval_oom(ev);
    }
    e->lo = arena_try_array(ev->arena, n, sizeof(*e->lo));
    if (!e->lo) return eval_oom(ev);
    *slot = e;
    return ST_OK;
}

/* The first of n times from `at` on that is after `when`. Windows mostly move by a time or
 * two, and by which of these is chance where samples and steps nearly coincide: so these
 * are not branches. */
static inline uint32_t move_on(const ts_time *t, uint32_t n, uint32_t at, ts_time when)
{
    for (int i = 0; i < 2; i++) {
        uint32_t safe = at < n ? at : n - 1;
        at += (at < n) & (t[safe] <= when);
    }
    while (at < n && t[at] <= when) at++;
    return at;
}

static void find_edges(const struct edge_spec *spec, const ts_time *t, size_t n, struct edges *e)
{
    uint32_t lo = 0, hi = 0, end = (uint32_t)n;

    DASSERT(n > 0);
    e->n_seen = 0;
    memset(e->has, 0, bitmap_words(spec->frame->n) * sizeof(*e->has));
    for (size_t i = 0; i < spec->frame->n; i++) {
        ts_time last = spec->ends[i], first = sat_sub(last, spec->range);
        hi = move_on(t, end, hi, last);
        lo = move_on(t, end, lo, first); /* never beyond hi: first is not after last */
        e->lo[i] = lo;
        e->hi[i] = hi;
        e->n_seen += hi - lo;
        e->has[i / 64] |= (uint64_t)(hi - lo >= spec->n_min) << (i % 64);
    }
}

static void add_run(struct edges *e, size_t from, size_t to, bool unit)
{
    if (from == to) return;
    if (e->n_runs == EDGE_RUNS_MAX) {
        e->ragged = true;
        return;
    }
    e->runs[e->n_runs++] = (struct edge_run){(uint32_t)from, (uint32_t)to, unit};
}

/* Cuts [from, to) where neighbours begin and end; not where chance makes them. */
static void cut_run(struct edges *e, size_t from, size_t to)
{
    size_t done = from, n_moves = 0;

    for (size_t i = from + 1; i < to; i++) {
        n_moves += (e->lo[i] - e->lo[i - 1] == 1) & (e->hi[i] - e->hi[i - 1] == 1);
    }
    if (n_moves < (to - from) / 4 * 3) {
        add_run(e, from, to, false);
        return;
    }

    for (size_t i = from, end; i < to; i = end) {
        end = i + 1;
        while (end < to && e->lo[end] == e->lo[end - 1] + 1 && e->hi[end] == e->hi[end - 1] + 1) {
            end++;
        }
        if (end - i < UNIT_MIN) continue;
        add_run(e, done, i, false);
        add_run(e, i, end, true);
        done = end;
    }
    add_run(e, done, to, false);
}

static void find_runs(struct edges *e, size_t n)
{
    e->n_runs = 0;
    e->ragged = false;
    for (size_t i = bit_next(e->has, n, 0), end; i < n; i = bit_next(e->has, n, end)) {
        end = i + 1;
        while (end < n && e->has[end / 64] == UINT64_MAX) end = (end / 64 + 1) * 64;
        while (end < n && bit_get(e->has, end)) end++;
        cut_run(e, i, end);
    }
}

status edges_get(struct eval *ev, struct edge_cache *cache, const struct sample_span *span,
                 const struct edges **out)
{
    struct edges **slot = &cache->slots[span->times % cache->n_slots];

    if (*slot && (*slot)->times == span->times) {
        *out = *slot;
        cache->n_hits++;
        return ST_OK;
    }
    cache->n_misses++;
    if (cache->n_misses >= TRIES && cache->n_hits == 0) {
        cache->n_slots = 1;
        slot = &cache->slots[0];
    }
    TRY(make_slot(ev, &cache->spec, slot));
    struct edges *e = *slot;
    find_edges(&cache->spec, span->ts, span->n, e);
    find_runs(e, cache->spec.frame->n);
    if (cache->spec.prepare && !e->ragged) {
        cache->spec.prepare(cache->spec.ctx, &cache->spec, span->ts, e);
    }
    e->times = span->times;
    *out = e;
    return ST_OK;
}
