/* Reading one captured series: segments below, memory above, newest wins.
 *
 * Sources are visited from old to new: segments in ascending flush order, then the
 * chain of nodes from its oldest. Each is laid over what is there; as long as times
 * ascend, which is nearly always, that is decoding straight into the result.
 */
#include "base/mem.h"
#include "codec/chunk.h"
#include "engine/overlay.h"
#include "engine/view_priv.h"

/* What one call works with. */
struct reading {
    struct view *view;
    const struct series_entry *entry;
    node_word root;
    struct time_range range;
    struct points *out;
    size_t from;               /* out->n at the start */
    struct points part;        /* scratch for what must be laid over */
    struct intervals hidden;   /* scratch */
    struct arena *arena;
};

typedef VEC(node_word) word_vec;

bool captured_moved(const struct captured *series)
{
    return series->root == ROOT_MOVED;
}

/* The chain of nodes that the view has, newest first. */
static status collect_words(const struct view *view, node_word root, word_vec *words)
{
    for (node_word w = root; word_node(w); w = node_older(word_node(w)))
        if (view_has_node(view, word_node(w)) && !vec_push(words, w)) return ST_NO_MEMORY;
    return ST_OK;
}

static bool may_append(const struct reading *rd, ts_time first)
{
    return rd->out->n == rd->from || first > rd->out->ts[rd->out->n - 1];
}

static void hide(struct points *pts, size_t from, const struct intervals *hidden)
{
    for (size_t i = 0; i < hidden->len; i++) points_cut(pts, from, hidden->ptr[i]);
}

/* --- segments ------------------------------------------------------------------- */

static status read_entry(struct reading *rd, struct segment *seg,
                         const struct segment_entry *entry, struct err *err)
{
    struct chunk_ref chunk;
    TRY(segment_chunk(&chunk, seg, entry, err));

    bool direct = may_append(rd, entry->ts.from);
    struct points *to = direct ? rd->out : &rd->part;
    size_t base = direct ? rd->out->n : (rd->part.n = 0);
    status st = chunk_decode_range(to, rd->arena, &chunk, rd->range);
    if (st != ST_OK)
        return err_set(err, st, "%s: chunk of series %llu at %llu", segment_dir(seg),
                       (unsigned long long)entry->series, (unsigned long long)entry->off);
    hide(to, base, &rd->hidden);
    return direct ? ST_OK : points_overlay(rd->out, rd->from, &rd->part);
}

static status read_segment(struct reading *rd, struct segment *seg, struct err *err)
{
    const struct segment_info *info = segment_info(seg);
    const struct manifest *m = rd->view->manifest;
    intervals_clear(&rd->hidden);
    if (tombstones_touch(m->deletes, info->order_max, rd->range))
        TRY(tombstones_intervals(&rd->hidden, m->deletes, rd->entry->id, info->order_max));
    if (intervals_covers(&rd->hidden, rd->range)) return ST_OK;

    struct segment_cursor cur;
    const struct segment_entry *entry;
    segment_cursor_init(&cur, seg, (struct segment_range){0, 0});
    TRY(segment_seek(&cur, segment_shard(rd->entry->place), rd->entry->id, err));
    for (;;) {
        TRY(segment_next(&cur, &entry, err));
        if (!entry || entry->ts.from > rd->range.to) return ST_OK;
        if (entry->ts.to >= rd->range.from) TRY(read_entry(rd, seg, entry, err));
    }
}

static status read_segments(struct reading *rd, struct err *err)
{
    const struct manifest *m = rd->view->manifest;
    enum value_lane lane = value_lane_of((enum value_type)rd->entry->type);
    for (size_t i = 0; i < m->n_segments; i++) {
        const struct segment_info *info = segment_info(m->segments[i]);
        if (info->lane == lane && range_overlaps(info->ts, rd->range))
            TRY(read_segment(rd, m->segments[i], err));
    }
    return ST_OK;
}

/* --- memory --------------------------------------------------------------------- */

static status read_node(struct reading *rd, node_word word)
{
    const struct manifest *m = rd->view->manifest;
    const struct node *node = word_node(word);
    struct time_range bounds;
    if (!node_bounds(word, &bounds) || !range_overlaps(bounds, rd->range)) return ST_OK;

    intervals_clear(&rd->hidden);
    if (tombstones_touch(m->mem_deletes, node_del_gen(node) + 1, rd->range))
        TRY(tombstones_intervals(&rd->hidden, m->mem_deletes, rd->entry->id,
                                 node_del_gen(node) + 1));
    bool direct = may_append(rd, bounds.from);
    struct points *to = direct ? rd->out : &rd->part;
    size_t base = direct ? rd->out->n : (rd->part.n = 0);
    TRY(node_read(word, rd->range, to, rd->arena));
    hide(to, base, &rd->hidden);
    return direct ? ST_OK : points_overlay(rd->out, rd->from, &rd->part);
}

static status read_memory(struct reading *rd)
{
    word_vec words = {0};
    status st = collect_words(rd->view, rd->root, &words);
    for (size_t i = words.len; i-- > 0 && st == ST_OK;) st = read_node(rd, words.ptr[i]);
    vec_release(&words);
    return st;
}

/* --- retention ------------------------------------------------------------------ */

/* Keyed series count retention from their newest sample, the others from the clock. */
status view_clip_range(struct view *view, const struct captured *series,
                       const struct series_entry *entry, struct time_range *range,
                       struct err *err)
{
    if (!(entry_flags(entry) & SERIES_KEYED)) {
        if (range->from < view->window.oldest) range->from = view->window.oldest;
        return ST_OK;
    }
    const struct series_attrs *attrs = entry_attrs(entry);
    if (!attrs || attrs->retention_ms <= 0) return ST_OK;

    struct series_extent extent;
    TRY(view_extent(view, series, &extent, err));
    int64_t keep = db_ticks(view->cell->db, attrs->retention_ms);
    ts_time oldest = sat_sub(extent.range.to, keep);
    if (!range_empty(extent.range) && range->from < oldest) range->from = oldest;
    return ST_OK;
}

static status read_range(struct view *view, const struct captured *series,
                         struct time_range range, struct points *out, struct arena *arena,
                         struct err *err)
{
    const struct series_entry *entry = registry_entry(view->cell->registry, series->ordinal);
    TRY(view_alive(view, err));
    if (captured_moved(series)) return ST_OK;
    if (range_empty(range)) return ST_OK;

    struct reading rd = {.view = view,
                         .entry = entry,
                         .root = series->root,
                         .range = range,
                         .out = out,
                         .from = out->n,
                         .arena = arena};
    status st = read_segments(&rd, err);
    if (st == ST_OK) st = read_memory(&rd);
    points_release(&rd.part);
    intervals_release(&rd.hidden);
    if (st == ST_OK) return ST_OK;
    out->n = rd.from;
    if (err && !err->text[0]) return err_set(err, st, "reading a series: %s", status_text(st));
    return st;
}

status view_read(struct view *view, const struct captured *series, struct time_range range,
                 struct points *out, struct arena *arena, struct err *err)
{
    const struct series_entry *entry = registry_entry(view->cell->registry, series->ordinal);
    TRY(view_alive(view, err));
    if (captured_moved(series)) return ST_OK;
    TRY(view_clip_range(view, series, entry, &range, err));
    return read_range(view, series, range, out, arena, err);
}

status view_read_expired(struct view *view, const struct captured *series,
                         struct time_range range, struct points *out, struct arena *arena,
                         struct err *err)
{
    return read_range(view, series, range, out, arena, err);
}

/* --- headers only --------------------------------------------------------------- */

static status chunks_of_segment(const struct series_entry *entry, struct segment *seg,
                                chunk_extent_fn *fn, void *ctx, struct err *err)
{
    struct segment_cursor cur;
    const struct segment_entry *at;
    segment_cursor_init(&cur, seg, (struct segment_range){0, 0});
    TRY(segment_seek(&cur, segment_shard(entry->place), entry->id, err));
    for (;;) {
        TRY(segment_next(&cur, &at, err));
        if (!at) return ST_OK;
        const struct chunk_extent chunk = {at->ts, at->n_points, at->len};
        TRY(fn(ctx, &chunk));
    }
}

status view_chunks(struct view *view, const struct captured *series, chunk_extent_fn *fn,
                   void *ctx, struct err *err)
{
    const struct series_entry *entry = registry_entry(view->cell->registry, series->ordinal);
    const struct manifest *m = view->manifest;
    TRY(view_alive(view, err));
    if (captured_moved(series)) return ST_OK;
    for (size_t i = 0; i < m->n_segments; i++)
        if (segment_info(m->segments[i])->lane == value_lane_of((enum value_type)entry->type))
            TRY(chunks_of_segment(entry, m->segments[i], fn, ctx, err));
    for (node_word w = series->root; word_node(w); w = node_older(word_node(w))) {
        struct time_range bounds;
        if (!view_has_node(view, word_node(w)) || !node_bounds(w, &bounds)) continue;
        const struct chunk_extent chunk = {bounds, node_samples(w),
                                           (uint32_t)node_bytes(word_node(w))};
        TRY(fn(ctx, &chunk));
    }
    return ST_OK;
}

static status extend(void *ctx, const struct chunk_extent *chunk)
{
    struct series_extent *extent = ctx;
    if (!range_empty(extent->range) && range_overlaps(extent->range, chunk->range))
        extent->exact = false;
    if (chunk->range.from < extent->range.from) extent->range.from = chunk->range.from;
    if (chunk->range.to > extent->range.to) extent->range.to = chunk->range.to;
    extent->n_samples += chunk->n_samples;
    extent->n_bytes += chunk->n_bytes;
    extent->n_chunks++;
    return ST_OK;
}

status view_extent(struct view *view, const struct captured *series, struct series_extent *out,
                   struct err *err)
{
    *out = (struct series_extent){.range = {TS_MAX, TS_MIN}, .exact = true};
    return view_chunks(view, series, extend, out, err);
}

/* --- the newest sample ---------------------------------------------------------- */

/* Of the sources that begin at or before range.to, the one that ends last: where to
 * look for the newest sample. False when there is none in range. */
static status newest_source(struct view *view, const struct captured *series,
                            struct time_range range, struct time_range *out, bool *found,
                            struct err *err)
{
    const struct series_entry *entry = registry_entry(view->cell->registry, series->ordinal);
    const struct manifest *m = view->manifest;
    struct time_range best = {TS_MAX, TS_MIN};
    for (node_word w = series->root; word_node(w); w = node_older(word_node(w))) {
        struct time_range bounds;
        if (view_has_node(view, word_node(w)) && node_bounds(w, &bounds) &&
            range_overlaps(bounds, range) && bounds.to > best.to)
            best = bounds;
    }
    for (size_t i = 0; i < m->n_segments; i++) {
        struct segment_cursor cur;
        const struct segment_entry *at;
        const struct segment_info *info = segment_info(m->segments[i]);
        if (info->lane != value_lane_of((enum value_type)entry->type) ||
            info->ts.to <= best.to || !range_overlaps(info->ts, range))
            continue;
        segment_cursor_init(&cur, m->segments[i], (struct segment_range){0, 0});
        TRY(segment_seek(&cur, segment_shard(entry->place), entry->id, err));
        for (;;) {
            TRY(segment_next(&cur, &at, err));
            if (!at) break;
            if (range_overlaps(at->ts, range) && at->ts.to > best.to) best = at->ts;
        }
    }
    *found = !range_empty(best);
    *out = best;
    return ST_OK;
}

status view_last(struct view *view, const struct captured *series, struct time_range range,
                 struct point *out, bool *found, struct arena *arena, struct err *err)
{
    struct points pts = {0};
    status st = ST_OK;
    *found = false;
    while (!range_empty(range)) {
        struct time_range source;
        bool any;
        st = newest_source(view, series, range, &source, &any, err);
        if (st != ST_OK || !any) break;
        if (source.from < range.from) source.from = range.from;
        /* Its last sample is where it ends: unless that is hidden, no other is decoded. */
        struct time_range end = {source.to, range.to};
        source.to = range.to;
        if (!range_empty(end)) st = view_read(view, series, end, &pts, arena, err);
        if (st == ST_OK && pts.n == 0) st = view_read(view, series, source, &pts, arena, err);
        if (st != ST_OK) break;
        if (pts.n) {
            *out = (struct point){pts.ts[pts.n - 1], pts.val[pts.n - 1]};
            *found = true;
            break;
        }
        if (source.from == TS_MIN) break;
        range.to = source.from - 1; /* all deleted or expired: look further back */
    }
    points_release(&pts);
    return st;
}

/* --- small reads of the owner -------------------------------------------------------- */

/* Whether the range touches no segment and few samples in memory. */
static bool is_small(const struct view *view, const struct captured *series,
                     struct time_range range, uint64_t samples_max)
{
    const struct manifest *m = view->manifest;
    uint64_t n = 0;
    for (size_t i = 0; i < m->n_segments; i++)
        if (range_overlaps(segment_info(m->segments[i])->ts, range)) return false;
    for (node_word w = series->root; word_node(w); w = node_older(word_node(w))) {
        n += node_samples(w);
        if (n > samples_max) return false;
    }
    return true;
}

status db_read_small(struct db *db, uint32_t ordinal, struct time_range range,
                     uint64_t samples_max, struct points *out, struct arena *arena,
                     struct err *err)
{
    struct cell *cell = db_cell(db);
    struct captured at = {.ordinal = ordinal, .root = head_root(cell_head(cell, ordinal))};
    const struct series_entry *entry = registry_entry(cell->registry, ordinal);
    const struct series_attrs *attrs = entry_attrs(entry);
    if (!write_idle(cell) || cell->delete_open || cell->closing) return ST_AGAIN;
    /* Its own retention counts from its newest sample, which a segment may hold. */
    if ((entry_flags(entry) & SERIES_KEYED) && attrs && attrs->retention_ms) return ST_AGAIN;

    struct view *view = view_pin(db);
    if (!view) return ST_AGAIN;
    status st = is_small(view, &at, range, samples_max)
                    ? view_read(view, &at, range, out, arena, err)
                    : ST_AGAIN;
    view_unpin(view);
    return st;
}
