/* Chunks: two columns and what their keeper knows. Ticks are the business of
 * tick_column.c (or, a few of them, of tick_codec.c), values of value_column.c; here is
 * what holds for both.
 *
 * All times of a chunk are decoded for any range: they cost little, and often nothing.
 * Of the values only the sections that the range needs are made. What the keeper says is
 * checked against the ticks: they ascend from ts.from to ts.to. Layout:
 * docs/formats/chunk.md. */
#include "codec/chunk.h"

#include <string.h>

#include "base/panic.h"
#include "codec/codec_priv.h"
#include "codec/tick_codec.h"
#include "codec/tick_column.h"
#include "codec/value_column.h"
#include "codec/column_work_priv.h"

enum {
    SECTION = VALUE_SECTION,
    FEW = 16, /* up to so many times the codecs of sections are smaller */
};

_Static_assert((int)SECTION <= (int)TICK_POINTS_MAX, "a section is coded in one call");

static inline size_t section_points(size_t n, size_t at)
{
    return n - at < SECTION ? n - at : SECTION;
}

static void assert_ascending(const ts_time *ts, size_t n)
{
    bool ascending = true;
    ASSERT(n >= 1 && n <= CHUNK_POINTS_MAX);
    for (size_t i = 1; i < n; i++) ascending &= ts[i - 1] < ts[i];
    ASSERT(ascending);
}

/* ---- encoding ------------------------------------------------------------- */

static size_t ticks_sections_bound(size_t n)
{
    size_t len = 1;
    for (size_t i = 0; i < n; i += SECTION) len += VARINT_MAX + tick_bound(section_points(n, i));
    return len;
}

size_t chunk_ticks_bound(size_t n)
{
    size_t sections = ticks_sections_bound(n), column = tick_column_bound(n);
    return sections > column ? sections : column;
}

size_t chunk_values_bound(enum value_type type, const union value *val, size_t n)
{
    size_t len = 1, column;
    for (size_t i = 0; i < n; i += SECTION) {
        len += VARINT_MAX + value_bound(type, val ? val + i : NULL, section_points(n, i));
    }
    column = 1 + decimal_bound(n);
    return len > column ? len : column;
}

/* Sections of one codec, each behind its length; a single one has none. For few points,
 * and when there is no memory for a column. */
static size_t put_tick_sections(uint8_t *dst, enum tick_codec codec, const ts_time *ts, size_t n)
{
    size_t at = 0;
    ts_time base = ts[0];

    dst[at++] = (uint8_t)codec;
    if (n <= SECTION) return at + tick_encode(dst + at, codec, base, ts, n);
    for (size_t i = 0; i < n; i += SECTION) {
        size_t points = section_points(n, i);
        uint8_t *body = dst + at + VARINT_MAX;
        size_t len = tick_encode(body, codec, base, ts + i, points);
        at += varint_put(dst + at, len);
        memmove(dst + at, body, len);
        at += len;
        base = ts[i + points - 1];
    }
    return at;
}

size_t chunk_ticks_encode(uint8_t *dst, const ts_time *ts, size_t n)
{
    assert_ascending(ts, n);
    if (tick_fixed_cost(ts, n) != SIZE_MAX) return 0;
    if (n <= FEW) return put_tick_sections(dst, tick_choose(ts, n), ts, n);

    struct work *work = work_take();
    uint64_t *words = work ? work_words(work, tick_column_words(n)) : NULL;
    size_t len = words ? tick_column_encode(dst, ts, n, words)
                       : put_tick_sections(dst, TICK_DELTA_VARINT, ts, n);
    work_give(work);
    return len;
}

size_t chunk_values_encode(uint8_t *dst, enum value_type type, const union value *val, size_t n,
                           enum chunk_effort effort)
{
    ASSERT(n >= 1 && n <= CHUNK_POINTS_MAX);
    struct work *work = work_take();
    size_t len = value_column_encode(dst, type, val, n, effort, work);
    work_give(work);
    return len;
}

/* ---- decoding ------------------------------------------------------------- */

status chunk_values_type(enum value_type *out, const uint8_t *values, size_t len)
{
    if (len < 1 || !value_type_valid(values[0] & 7)) return ST_CORRUPT;
    *out = (enum value_type)(values[0] & 7);
    return ST_OK;
}

static status decode_fixed(ts_time *ts, const struct chunk_ref *chunk, uint64_t gap)
{
    uint64_t step = 0;

    if (chunk->n > 1) {
        step = gap / (chunk->n - 1);
        if (gap % (chunk->n - 1)) return ST_CORRUPT;
    } else if (gap != 0) {
        return ST_CORRUPT;
    }
    uint64_t at = (uint64_t)chunk->ts.from;
    for (size_t i = 0; i < chunk->n; i++, at += step) ts[i] = (ts_time)at;
    return ST_OK;
}

static status decode_tick_sections(ts_time *ts, const struct chunk_ref *chunk)
{
    struct span in = {chunk->ticks, chunk->ticks_len};
    ts_time base = chunk->ts.from;
    unsigned codec;

    if (!span_byte(&codec, &in)) return ST_CORRUPT;
    for (size_t i = 0; i < chunk->n; i += SECTION) {
        size_t points = section_points(chunk->n, i);
        uint64_t len = in.len;
        if (chunk->n > SECTION && !span_varint(&len, &in)) return ST_CORRUPT;
        const uint8_t *src = span_take(&in, len);
        if (!src) return ST_CORRUPT;
        TRY(tick_decode(ts + i, points, (enum tick_codec)codec, base, src, (size_t)len));
        base = ts[i + points - 1];
    }
    return in.len == 0 ? ST_OK : ST_CORRUPT;
}

/* All times; that they ascend from `from` to `to` holds afterwards. */
static status decode_ticks(ts_time *ts, const struct chunk_ref *chunk)
{
    uint64_t gap = ts_gap(chunk->ts.from, chunk->ts.to);
    unsigned head = chunk->ticks_len ? chunk->ticks[0] : 0;
    bool ascending = true;

    if (gap < chunk->n - 1) return ST_CORRUPT;
    if (chunk->ticks_len == 0) return decode_fixed(ts, chunk, gap);
    if (tick_codec_valid(head)) {
        TRY(decode_tick_sections(ts, chunk));
    } else {
        TRY(tick_column_decode(ts, chunk->n, chunk->ts.from, chunk->ticks, chunk->ticks_len));
    }
    for (size_t i = 1; i < chunk->n; i++) ascending &= ts[i - 1] < ts[i];
    if (!ascending || ts[0] != chunk->ts.from || ts[chunk->n - 1] != chunk->ts.to) {
        return ST_CORRUPT;
    }
    return ST_OK;
}

static struct value_column values_of(const struct chunk_ref *chunk, struct arena *arena)
{
    return (struct value_column){.type = chunk->type,
                                 .n = chunk->n,
                                 .src = chunk->values,
                                 .len = chunk->values_len,
                                 .arena = arena};
}

/* The first of n ascending times that is >= t (or, after, > t). */
static size_t find_time(const ts_time *ts, size_t n, ts_time t, bool after)
{
    size_t from = 0, to = n;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        if (ts[mid] < t || (after && ts[mid] == t)) from = mid + 1;
        else to = mid;
    }
    return from;
}

static bool is_sound(const struct chunk_ref *chunk)
{
    return chunk->n >= 1 && chunk->n <= CHUNK_POINTS_MAX && !range_empty(chunk->ts);
}

/* Room for whole sections behind out->n. */
static status reserve(struct points *out, const struct chunk_ref *chunk)
{
    if (!is_sound(chunk)) return ST_CORRUPT;
    return points_reserve(out, value_sections(chunk->n) * SECTION) ? ST_OK : ST_NO_MEMORY;
}

status chunk_decode_range(struct points *out, struct arena *arena, const struct chunk_ref *chunk,
                          struct time_range range)
{
    struct value_column col = values_of(chunk, arena);

    if (range_empty(range) || !range_overlaps(range, chunk->ts)) return ST_OK;
    TRY(reserve(out, chunk));
    ts_time *ts = out->ts + out->n;
    union value *val = out->val + out->n;
    TRY(decode_ticks(ts, chunk));
    size_t from = find_time(ts, chunk->n, range.from, false);
    size_t to = find_time(ts, chunk->n, range.to, true), n = to - from;
    if (n == 0) return ST_OK;

    size_t first = from / SECTION;
    TRY(value_column_decode(val, &col, first, (to + SECTION - 1) / SECTION));
    if (from > 0) {
        memmove(ts, ts + from, n * sizeof(ts[0]));
        memmove(val, val + (from - first * SECTION), n * sizeof(val[0]));
    }
    out->n += n;
    return ST_OK;
}

status chunk_decode_ticks(ts_time *ts, const struct chunk_ref *chunk)
{
    return is_sound(chunk) ? decode_ticks(ts, chunk) : ST_CORRUPT;
}

size_t chunk_values_room(size_t n)
{
    return value_sections(n) * SECTION;
}

status chunk_decode_values(union value *val, size_t *at, const struct chunk_ref *chunk,
                           size_t from, size_t to)
{
    struct value_column col = values_of(chunk, NULL);

    DASSERT(from < to && to <= chunk->n);
    if (!is_sound(chunk)) return ST_CORRUPT;
    *at = from % SECTION;
    return value_column_decode(val, &col, from / SECTION, (to + SECTION - 1) / SECTION);
}

status chunk_check(struct arena *arena, const struct chunk_ref *chunk, struct err *err)
{
    struct value_column col = values_of(chunk, arena);
    struct points pts = {0};

    status st = reserve(&pts, chunk);
    if (st == ST_OK) st = decode_ticks(pts.ts, chunk);
    if (st == ST_OK) st = value_column_decode(pts.val, &col, 0, value_sections(chunk->n));
    points_release(&pts);
    if (st == ST_OK) return ST_OK;
    return err_set(err, st, "chunk of %u points, %zu + %zu bytes", chunk->n, chunk->ticks_len,
                   chunk->values_len);
}
