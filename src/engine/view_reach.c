/* Which series have data in a range: one look for many, from headers alone. See view.h.
 *
 * Nodes in memory are looked at series by series. What they do not tell is looked up in the
 * segments that overlap the range, in the order in which their indexes have series, so that
 * a block of an index is decoded once and not once a series.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "engine/view_priv.h"

enum { AHEAD = 8, SHARDS = 64 }; /* roots prefetched; measured elsewhere (head.h) */

/* In the order in which segments have series. */
struct place {
    uint64_t id;
    uint32_t at;
    uint8_t shard, lane;
};

static bool reaches_in_memory(const struct view *view, node_word root, struct time_range range)
{
    struct time_range bounds;
    for (node_word w = root; word_node(w); w = node_older(word_node(w))) {
        if (view_has_node(view, word_node(w)) && node_bounds(w, &bounds) &&
            range_overlaps(bounds, range))
            return true;
    }
    return false;
}

static int by_id(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static struct place place_of(const struct view *view, const struct captured *series, size_t at)
{
    const struct series_entry *entry =
        registry_entry(view->cell->registry, series[at].ordinal);
    return (struct place){.id = entry->id,
                          .at = (uint32_t)at,
                          .shard = (uint8_t)segment_shard(entry->place),
                          .lane = (uint8_t)value_lane_of((enum value_type)entry->type)};
}

/* Those without has, shard by shard; ids ascend with ordinals unless these were born again. */
static void order_places(const struct view *view, const struct captured *series, size_t n,
                         const uint8_t *has, struct place *raw, struct place *out, size_t *n_out)
{
    size_t end[SHARDS + 1] = {0}, n_raw = 0;
    for (size_t i = 0; i < n; i++) {
        if (has[i] || captured_moved(&series[i])) continue;
        raw[n_raw] = place_of(view, series, i);
        end[raw[n_raw++].shard + 1]++;
    }
    for (size_t s = 0; s < SHARDS; s++) end[s + 1] += end[s];
    for (size_t i = 0; i < n_raw; i++) out[end[raw[i].shard]++] = raw[i];
    for (size_t s = 0, from = 0; s < SHARDS; from = end[s++]) {
        size_t i = from + 1;
        while (i < end[s] && out[i - 1].id < out[i].id) i++;
        if (i < end[s]) qsort(out + from, end[s] - from, sizeof(*out), by_id);
    }
    *n_out = n_raw;
}

static status look_in_segment(struct segment *seg, const struct place *places, size_t n,
                              struct time_range range, uint8_t *has, struct err *err)
{
    struct segment_cursor cur;
    const struct segment_entry *at;
    segment_cursor_init(&cur, seg, (struct segment_range){0, 0});
    for (size_t i = 0; i < n; i++) {
        if (has[places[i].at] || places[i].lane != (uint8_t)segment_info(seg)->lane) continue;
        TRY(segment_seek(&cur, places[i].shard, places[i].id, err));
        for (;;) {
            TRY(segment_next(&cur, &at, err));
            if (!at || at->ts.from > range.to) break;
            if (at->ts.to < range.from) continue;
            has[places[i].at] = 1;
            break;
        }
    }
    return ST_OK;
}

static status look_in_segments(struct view *view, const struct place *places, size_t n,
                               struct time_range range, uint8_t *has, struct err *err)
{
    const struct manifest *m = view->manifest;
    for (size_t i = m->n_segments; i-- > 0;) { /* the newest has most of them */
        TRY(view_alive(view, err));
        if (range_overlaps(segment_info(m->segments[i])->ts, range))
            TRY(look_in_segment(m->segments[i], places, n, range, has, err));
    }
    return ST_OK;
}

status view_reaches(struct view *view, const struct captured *series, size_t n,
                    struct time_range range, uint8_t *has, struct err *err)
{
    size_t n_missing = 0;
    for (size_t i = 0; i < n; i++) {
        if (i + AHEAD < n) __builtin_prefetch(word_node(series[i + AHEAD].root));
        bool moved = captured_moved(&series[i]);
        has[i] = !moved && reaches_in_memory(view, series[i].root, range);
        n_missing += !moved && !has[i];
    }
    if (n_missing == 0) return ST_OK;

    struct place *places = mem_try_array(2 * n_missing, sizeof(*places));
    if (!places) return err_set(err, ST_NO_MEMORY, "the bounds of %zu series", n);
    order_places(view, series, n, has, places + n_missing, places, &n_missing);
    status st = look_in_segments(view, places, n_missing, range, has, err);
    mem_free(places);
    return st;
}
