/* Columns of many series. See view_reader.h.
 *
 * Nearly every series is a few chunks of segments that follow each other in time, and
 * nodes in memory behind them. Values are decoded to where they stay. Times are looked up
 * first, by a key of all that they would be decoded from:
 *
 *     chunks   for each the segment and the number of its ticks (a fixed step has none), the
 *              first and the last time, and how many
 *     memory   the column of the chunks before it, and the times themselves, hashed
 *
 * so the ticks of a segment are decoded once for all series that share them. The hash is
 * secret and of 128 bits: two keys do not meet.
 *
 * Sources that overlap, samples that came late and series with deletes of their own are
 * what view_read() is for: laid over each other there, and converted here.
 */
#include "engine/view_reader.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "engine/times_cache.h"
#include "engine/view_priv.h"

/* A chunk of an expected series that reaches into the range. */
struct found {
    uint32_t at;               /* which of those expected */
    uint32_t segment;          /* in the manifest */
    struct segment_entry entry;
};

struct expected {
    const struct captured *series;
    const struct series_entry *entry;
    size_t first, n;           /* of reader->found */
};

/* In the order in which segments have series. */
struct place {
    uint64_t id;
    uint32_t at;
    unsigned shard;
};

struct view_reader {
    struct view *view;
    struct time_range range;
    struct times_cache times;
    struct segment_cursor cursor;
    VEC(struct expected) series;
    VEC(struct place) places;
    VEC(struct found) raw;     /* as segments gave them */
    VEC(struct found) found;   /* by series, segments from old to new */
    VEC(struct chunk_ref) chunks; /* of the series at hand */
    VEC(uint64_t) key;
    VEC(node_word) words;
    struct intervals hidden;
    struct points pts;
};

/* The series at hand, between its parts. */
struct column {
    const struct expected *at;
    struct time_range range;   /* without what has expired */
    size_t base;               /* of its first value in pts */
    const struct times_column *times; /* of the chunks; NULL: none */
    ts_time last;              /* newest time so far, where there is one */
};

status view_reader_open(struct view_reader **out, struct view *view, struct time_range range,
                        struct account *account, struct err *err)
{
    struct view_reader *reader = mem_try_zero(sizeof(*reader));
    if (!reader) return err_set(err, ST_NO_MEMORY, "reading series");
    reader->view = view;
    reader->range = range;
    times_cache_init(&reader->times, account);
    *out = reader;
    return ST_OK;
}

void view_reader_close(struct view_reader *reader)
{
    if (!reader) return;
    times_cache_release(&reader->times);
    vec_release(&reader->series);
    vec_release(&reader->places);
    vec_release(&reader->raw);
    vec_release(&reader->found);
    vec_release(&reader->chunks);
    vec_release(&reader->key);
    vec_release(&reader->words);
    intervals_release(&reader->hidden);
    points_release(&reader->pts);
    mem_free(reader);
}

static status no_memory(struct err *err)
{
    return err_set(err, ST_NO_MEMORY, "reading series: %s", status_text(ST_NO_MEMORY));
}

/* --- looking chunks up ---------------------------------------------------------- */

static int by_place(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->shard != y->shard) return x->shard < y->shard ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

static bool is_number(uint8_t type)
{
    return !type_is_blob(type);
}

static status list_series(struct view_reader *r, const struct captured *const *series, size_t n,
                          struct err *err)
{
    vec_clear(&r->series);
    vec_clear(&r->places);
    if (!vec_reserve(&r->series, n) || !vec_reserve(&r->places, n)) return no_memory(err);
    for (size_t i = 0; i < n; i++) {
        const struct series_entry *entry =
            registry_entry(r->view->cell->registry, series[i]->ordinal);
        r->series.ptr[i] = (struct expected){.series = series[i], .entry = entry};
        if (!is_number(entry->type)) continue;
        r->places.ptr[r->places.len++] = (struct place){
            .id = entry->id, .at = (uint32_t)i, .shard = segment_shard(entry->place)};
    }
    r->series.len = n;
    if (r->places.len > 1) {
        qsort(r->places.ptr, r->places.len, sizeof(*r->places.ptr), by_place);
    }
    return ST_OK;
}

static status look_up(struct view_reader *r, size_t segment, struct err *err)
{
    struct segment_cursor *cur = &r->cursor;
    const struct segment_entry *entry;

    segment_cursor_init(cur, r->view->manifest->segments[segment], (struct segment_range){0, 0});
    for (size_t i = 0; i < r->places.len; i++) {
        const struct place *place = &r->places.ptr[i];
        TRY(segment_seek(cur, place->shard, place->id, err));
        for (;;) {
            TRY(segment_next(cur, &entry, err));
            if (!entry || entry->ts.from > r->range.to) break;
            if (entry->ts.to < r->range.from) continue;
            struct found found = {place->at, (uint32_t)segment, *entry};
            if (!vec_push(&r->raw, found)) return no_memory(err);
            r->series.ptr[place->at].n++;
        }
    }
    return ST_OK;
}

/* Puts what was found together by series; in each, segments stay in order. */
static status group_found(struct view_reader *r, struct err *err)
{
    size_t first = 0;

    vec_clear(&r->found);
    if (!vec_reserve(&r->found, r->raw.len)) return no_memory(err);
    for (size_t i = 0; i < r->series.len; i++) {
        r->series.ptr[i].first = first;
        first += r->series.ptr[i].n;
        r->series.ptr[i].n = 0;
    }
    for (size_t i = 0; i < r->raw.len; i++) {
        struct expected *at = &r->series.ptr[r->raw.ptr[i].at];
        r->found.ptr[at->first + at->n++] = r->raw.ptr[i];
    }
    r->found.len = r->raw.len;
    return ST_OK;
}

status view_reader_expect(struct view_reader *r, const struct captured *const *series, size_t n,
                          struct err *err)
{
    const struct manifest *m = r->view->manifest;

    vec_clear(&r->raw);
    TRY(view_alive(r->view, err));
    TRY(list_series(r, series, n, err));
    for (size_t i = 0; i < m->n_segments; i++) {
        const struct segment_info *info = segment_info(m->segments[i]);
        if (info->lane != LANE_NUMERIC || !range_overlaps(info->ts, r->range)) continue;
        TRY(look_up(r, i, err));
    }
    return group_found(r, err);
}

size_t view_reader_chunks(const struct view_reader *r)
{
    const struct manifest *m = r->view->manifest;
    double n = 0;

    for (size_t i = 0; i < m->n_segments; i++) {
        const struct segment_info *info = segment_info(m->segments[i]);
        if (info->lane != LANE_NUMERIC || !range_overlaps(info->ts, r->range)) continue;
        ts_time from = info->ts.from > r->range.from ? info->ts.from : r->range.from;
        ts_time to = info->ts.to < r->range.to ? info->ts.to : r->range.to;
        double whole = (double)info->ts.to - (double)info->ts.from + 1;
        double part = ((double)to - (double)from + 1) / whole;
        n += part * (double)info->n_chunks / (double)info->n_series;
    }
    return n < 1 ? 1 : (size_t)n;
}

/* --- chunks --------------------------------------------------------------------- */

/* ST_AGAIN: they overlap, or deletes hide some of them. */
static status check_found(struct view_reader *r, const struct expected *at)
{
    const struct manifest *m = r->view->manifest;
    const struct found *found = r->found.ptr + at->first;

    for (size_t i = 0; i < at->n; i++) {
        if (i > 0 && found[i].entry.ts.from <= found[i - 1].entry.ts.to) return ST_AGAIN;
        if (i > 0 && found[i].segment == found[i - 1].segment) continue;
        uint64_t order = segment_info(m->segments[found[i].segment])->order_max;
        if (!tombstones_touch(m->deletes, order, r->range)) continue;
        intervals_clear(&r->hidden);
        TRY(tombstones_intervals(&r->hidden, m->deletes, at->entry->id, order));
        if (r->hidden.len) return ST_AGAIN;
    }
    return ST_OK;
}

static status map_chunks(struct view_reader *r, const struct expected *at, struct err *err)
{
    vec_clear(&r->chunks);
    if (!vec_reserve(&r->chunks, at->n)) return no_memory(err);
    for (size_t i = 0; i < at->n; i++) {
        const struct found *found = &r->found.ptr[at->first + i];
        TRY(segment_chunk(&r->chunks.ptr[i], r->view->manifest->segments[found->segment],
                          &found->entry, err));
    }
    r->chunks.len = at->n;
    return ST_OK;
}

static status damaged(const struct view_reader *r, const struct expected *at, size_t i, status st,
                      struct err *err)
{
    const struct found *found = &r->found.ptr[at->first + i];
    return err_set(err, st, "%s: chunk of series %llu at %llu",
                   segment_dir(r->view->manifest->segments[found->segment]),
                   (unsigned long long)found->entry.series, (unsigned long long)found->entry.off);
}

static status key_of_chunks(struct view_reader *r, const struct column *c, struct hash128 *out,
                            struct err *err)
{
    const struct found *found = r->found.ptr + c->at->first;

    vec_clear(&r->key);
    if (!vec_reserve(&r->key, 1 + 4 * c->at->n)) return no_memory(err);
    r->key.ptr[r->key.len++] = (uint64_t)c->range.from;
    for (size_t i = 0; i < c->at->n; i++) {
        const struct segment_entry *entry = &found[i].entry;
        uint64_t *at = r->key.ptr + r->key.len;
        at[0] = entry->ticks ? found[i].segment + 1 : 0;
        at[1] = (uint64_t)entry->ticks << 32 | entry->n_points;
        at[2] = (uint64_t)entry->ts.from;
        at[3] = (uint64_t)entry->ts.to;
        r->key.len += 4;
    }
    *out = hash128(r->key.ptr, r->key.len * sizeof(r->key.ptr[0]));
    return ST_OK;
}

/* The first of n ascending times that is not before t. */
static size_t seek(const ts_time *ts, size_t n, ts_time t)
{
    const struct points pts = {.ts = (ts_time *)(uintptr_t)ts, .n = n};
    return points_seek(&pts, t);
}

static status decode_times(struct view_reader *r, struct column *c, struct hash128 key,
                           struct err *err)
{
    size_t n = 0;

    for (size_t i = 0; i < r->chunks.len; i++) {
        status st = chunk_decode_ticks(r->pts.ts + n, &r->chunks.ptr[i]);
        if (st != ST_OK) return damaged(r, c->at, i, st, err);
        n += r->chunks.ptr[i].n;
    }
    size_t from = seek(r->pts.ts, n, c->range.from);
    size_t to = c->range.to == TS_MAX ? n : seek(r->pts.ts, n, c->range.to + 1);
    c->times = times_cache_add(&r->times, key, r->pts.ts + from, to - from, from);
    return c->times ? ST_OK : no_memory(err);
}

/* The values of the times that c has. */
static status decode_values(struct view_reader *r, struct column *c, struct err *err)
{
    size_t from = c->times->skip, to = from + c->times->n, begin = 0, pos = 0, at;

    for (size_t i = 0; i < r->chunks.len; begin += r->chunks.ptr[i].n, i++) {
        const struct chunk_ref *chunk = &r->chunks.ptr[i];
        size_t first = from > begin ? from - begin : 0;
        size_t end = to < begin + chunk->n ? (to > begin ? to - begin : 0) : chunk->n;
        if (first >= end) continue;
        status st = chunk_decode_values(r->pts.val + pos, &at, chunk, first, end);
        if (st != ST_OK) return damaged(r, c->at, i, st, err);
        if (pos == 0) c->base = at;
        pos += at + end - first; /* at is 0 but for the first of them */
    }
    r->pts.n = c->base + c->times->n;
    return ST_OK;
}

static status read_chunks(struct view_reader *r, struct column *c, struct err *err)
{
    struct hash128 key;
    size_t n = 0;

    TRY(check_found(r, c->at));
    TRY(map_chunks(r, c->at, err));
    TRY(key_of_chunks(r, c, &key, err));
    for (size_t i = 0; i < r->chunks.len; i++) n += r->chunks.ptr[i].n;
    r->pts.n = 0;
    if (!points_reserve(&r->pts, chunk_values_room(n) + chunk_values_room(1))) {
        return no_memory(err);
    }
    c->times = times_cache_find(&r->times, key);
    if (!c->times) TRY(decode_times(r, c, key, err));
    if (c->times->n) c->last = c->times->ts[c->times->n - 1];
    return decode_values(r, c, err);
}

/* --- memory --------------------------------------------------------------------- */

static status collect_words(struct view_reader *r, node_word root, struct err *err)
{
    vec_clear(&r->words);
    for (node_word w = root; word_node(w); w = node_older(word_node(w))) {
        if (view_has_node(r->view, word_node(w)) && !vec_push(&r->words, w)) {
            return no_memory(err);
        }
    }
    return ST_OK;
}

/* Behind what is there; ST_AGAIN: it does not belong behind, or deletes hide some of it. */
static status read_node(struct view_reader *r, struct column *c, node_word word, struct err *err)
{
    const struct tombstones *deletes = r->view->manifest->mem_deletes;
    uint64_t gen = node_del_gen(word_node(word)) + 1;
    size_t n = r->pts.n;

    if (tombstones_touch(deletes, gen, c->range)) {
        intervals_clear(&r->hidden);
        TRY(tombstones_intervals(&r->hidden, deletes, c->at->entry->id, gen));
        if (r->hidden.len) return ST_AGAIN;
    }
    status st = node_read(word, c->range, &r->pts, NULL);
    if (st != ST_OK) return err_set(err, st, "reading a series: %s", status_text(st));
    if (r->pts.n == n) return ST_OK;
    if (n > c->base && r->pts.ts[n] <= c->last) return ST_AGAIN;
    c->last = r->pts.ts[r->pts.n - 1];
    return ST_OK;
}

/* The times of chunks and memory together. */
static status join_times(struct view_reader *r, struct column *c, size_t n_chunks,
                         struct err *err)
{
    size_t n = r->pts.n - c->base, n_mem = n - n_chunks;
    ts_time *ts = r->pts.ts + c->base;
    struct hash128 mem = hash128(ts + n_chunks, n_mem * sizeof(*ts));
    const uint64_t parts[] = {mem.lo, mem.hi, n_mem, c->times ? c->times->id : 0};
    struct hash128 key = hash128(parts, sizeof(parts));

    const struct times_column *joined = times_cache_find(&r->times, key);
    if (!joined) {
        if (n_chunks) memcpy(ts, c->times->ts, n_chunks * sizeof(*ts));
        joined = times_cache_add(&r->times, key, ts, n, 0);
        if (!joined) return no_memory(err);
    }
    c->times = joined;
    return ST_OK;
}

static status read_memory(struct view_reader *r, struct column *c, struct err *err)
{
    size_t n_chunks = r->pts.n - c->base;

    TRY(collect_words(r, c->at->series->root, err));
    for (size_t i = r->words.len; i-- > 0;) TRY(read_node(r, c, r->words.ptr[i], err));
    return r->pts.n - c->base == n_chunks ? ST_OK : join_times(r, c, n_chunks, err);
}

/* --- one series ----------------------------------------------------------------- */

/* What lies over each other, the long way. */
static status read_merged(struct view_reader *r, struct column *c, struct err *err)
{
    r->pts.n = 0;
    c->base = 0;
    return view_read(r->view, c->at->series, r->range, &r->pts, NULL, err);
}

static void to_doubles(union value *val, size_t n, enum value_type type)
{
    for (size_t i = 0; i < n; i++) val[i].f64 = value_to_f64(type, val[i]);
}

/* Whether any of n doubles is NaN: its bits without the sign are above those of an infinity,
 * so adding what is missing to the sign bit there sets it. Two at a time. */
static bool any_nan(const union value *val, size_t n)
{
    typedef uint64_t lanes __attribute__((vector_size(16), aligned(8), may_alias));
    const lanes magnitude = {~0ull >> 1, ~0ull >> 1};
    const lanes over = {(1ull << 52) - 1, (1ull << 52) - 1};
    lanes a = {0, 0}, b = {0, 0};
    uint64_t rest = 0;
    size_t i = 0;

    for (; i + 4 <= n; i += 4) {
        a |= (*(const lanes *)&val[i] & magnitude) + over;
        b |= (*(const lanes *)&val[i + 2] & magnitude) + over;
    }
    for (; i < n; i++) rest |= (val[i].bits & magnitude[0]) + over[0];
    a |= b;
    return (a[0] | a[1] | rest) >> 63;
}

status view_reader_read(struct view_reader *r, size_t at, struct sample_span *out,
                        struct err *err)
{
    const struct expected *expected = &r->series.ptr[at];
    enum value_type type = (enum value_type)expected->entry->type;
    struct column c = {.at = expected, .range = r->range};
    status st = ST_OK;

    DASSERT(at < r->series.len && is_number(expected->entry->type));
    *out = (struct sample_span){.n = 0};
    TRY(view_alive(r->view, err));
    TRY(view_clip_range(r->view, expected->series, expected->entry, &c.range, err));
    if (range_empty(c.range)) return ST_OK;
    r->pts.n = 0;
    if (expected->n) st = read_chunks(r, &c, err);
    if (st == ST_OK) st = read_memory(r, &c, err);
    if (st == ST_AGAIN) {
        c.times = NULL;
        st = read_merged(r, &c, err);
    }
    if (st != ST_OK) return st;

    size_t n = r->pts.n - c.base;
    union value *val = r->pts.val + c.base;
    if (n == 0) return ST_OK;
    if (type != VALUE_F64) to_doubles(val, n, type);
    *out = (struct sample_span){.ts = c.times ? c.times->ts : r->pts.ts,
                                .val = &val->f64,
                                .n = n,
                                .times = c.times ? c.times->id : times_cache_mint(&r->times),
                                .may_be_nan = type == VALUE_F64 && any_nan(val, n)};
    return ST_OK;
}
