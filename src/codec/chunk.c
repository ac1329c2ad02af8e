/* Chunks: the two columns and what lies between them and a caller.
 *
 * Both columns are sections of 128 points, each behind its length. Layout:
 * docs/formats/chunk.md. */
#include "codec/chunk.h"

#include <string.h>

#include "base/panic.h"
#include "codec/codec_priv.h"
#include "codec/tick_codec.h"
#include "codec/value_codec.h"

enum { SECTION = 128 };

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

size_t chunk_ticks_bound(size_t n)
{
    size_t len = 1;
    for (size_t i = 0; i < n; i += SECTION) len += VARINT_MAX + tick_bound(section_points(n, i));
    return len;
}

size_t chunk_values_bound(enum value_type type, const union value *val, size_t n)
{
    size_t len = 1;
    for (size_t i = 0; i < n; i += SECTION) {
        len += VARINT_MAX + value_bound(type, val ? val + i : NULL, section_points(n, i));
    }
    return len;
}

/* Puts the length before the section that stands VARINT_MAX behind it. */
static size_t close_section(uint8_t *dst, size_t len)
{
    size_t head = varint_put(dst, len);
    memmove(dst + head, dst + VARINT_MAX, len);
    return head + len;
}

size_t chunk_ticks_encode(uint8_t *dst, const ts_time *ts, size_t n)
{
    assert_ascending(ts, n);
    enum tick_codec codec = tick_choose_run(ts, n);
    if (codec == TICK_FIXED_STEP) return 0;

    size_t at = 0;
    ts_time base = ts[0];
    dst[at++] = (uint8_t)codec;
    for (size_t i = 0; i < n; i += SECTION) {
        size_t points = section_points(n, i);
        size_t len = tick_encode(dst + at + VARINT_MAX, codec, base, ts + i, points);
        at += close_section(dst + at, len);
        base = ts[i + points - 1];
    }
    return at;
}

size_t chunk_values_encode(uint8_t *dst, enum value_type type, const union value *val, size_t n,
                           enum chunk_effort effort)
{
    ASSERT(n >= 1 && n <= CHUNK_POINTS_MAX);
    (void)effort;
    enum value_codec codec = value_choose_run(type, val, n);
    size_t at = 0;
    dst[at++] = (uint8_t)((unsigned)codec << 3 | (unsigned)type);
    if (codec == VALUE_CODEC_CONST) return at + value_encode(dst + at, codec, type, val, 1);
    for (size_t i = 0; i < n; i += SECTION) {
        size_t len = value_encode(dst + at + VARINT_MAX, codec, type, val + i,
                                  section_points(n, i));
        at += close_section(dst + at, len);
    }
    return at;
}

/* ---- decoding ------------------------------------------------------------- */

status chunk_values_type(enum value_type *out, const uint8_t *values, size_t len)
{
    if (len < 1 || !value_type_valid(values[0] & 7)) return ST_CORRUPT;
    *out = (enum value_type)(values[0] & 7);
    return ST_OK;
}

static status next_section(struct span *out, struct span *in)
{
    uint64_t len;
    if (!span_varint(&len, in)) return ST_CORRUPT;
    out->src = span_take(in, len);
    out->len = (size_t)len;
    return out->src ? ST_OK : ST_CORRUPT;
}

static status decode_ticks(ts_time *ts, const struct chunk_ref *chunk)
{
    struct span in = {chunk->ticks, chunk->ticks_len}, section;
    uint64_t gap = ts_gap(chunk->ts.from, chunk->ts.to);
    ts_time base = chunk->ts.from;
    unsigned codec;

    if (gap < chunk->n - 1) return ST_CORRUPT;
    if (chunk->ticks_len == 0) {
        if (chunk->n == 1) {
            ts[0] = base;
            return gap == 0 ? ST_OK : ST_CORRUPT;
        }
        if (gap % (chunk->n - 1)) return ST_CORRUPT;
        for (uint64_t i = 0; i < chunk->n; i++) {
            ts[i] = wrap_add(base, (int64_t)(i * (gap / (chunk->n - 1))));
        }
        return ST_OK;
    }
    if (!span_byte(&codec, &in)) return ST_CORRUPT;
    for (size_t i = 0; i < chunk->n; i += SECTION) {
        size_t points = section_points(chunk->n, i);
        TRY(next_section(&section, &in));
        TRY(tick_decode(ts + i, points, (enum tick_codec)codec, base, section.src, section.len));
        if (i > 0 && ts[i] <= base) return ST_CORRUPT;
        base = ts[i + points - 1];
    }
    if (in.len || ts[0] != chunk->ts.from || base != chunk->ts.to) return ST_CORRUPT;
    return ST_OK;
}

static status decode_values(union value *val, struct arena *arena, const struct chunk_ref *chunk)
{
    struct span in = {chunk->values, chunk->values_len}, section;
    unsigned head;

    if (!span_byte(&head, &in) || (head & 7) != (unsigned)chunk->type) return ST_CORRUPT;
    enum value_codec codec = (enum value_codec)(head >> 3);
    for (size_t i = 0; i < chunk->n; i += SECTION) {
        if (codec == VALUE_CODEC_CONST) section = in;
        else TRY(next_section(&section, &in));
        TRY(value_decode(val + i, section_points(chunk->n, i), codec, chunk->type, arena,
                         section.src, section.len));
    }
    return codec == VALUE_CODEC_CONST || in.len == 0 ? ST_OK : ST_CORRUPT;
}

/* Drops what lies outside the range from the n points at pts->n. */
static size_t trim(struct points *pts, size_t n, struct time_range range)
{
    ts_time *ts = pts->ts + pts->n;
    union value *val = pts->val + pts->n;
    size_t from = 0, to = n;

    while (from < to && ts[from] < range.from) from++;
    while (to > from && ts[to - 1] > range.to) to--;
    if (from > 0) {
        memmove(ts, ts + from, (to - from) * sizeof(ts[0]));
        memmove(val, val + from, (to - from) * sizeof(val[0]));
    }
    return to - from;
}

/* All points to the place behind out->n, which stays as it is. */
static status decode_all(struct points *out, struct arena *arena, const struct chunk_ref *chunk)
{
    if (chunk->n < 1 || chunk->n > CHUNK_POINTS_MAX || range_empty(chunk->ts)) return ST_CORRUPT;
    if (!points_reserve(out, chunk->n)) return ST_NO_MEMORY;
    TRY(decode_ticks(out->ts + out->n, chunk));
    return decode_values(out->val + out->n, arena, chunk);
}

status chunk_decode_range(struct points *out, struct arena *arena, const struct chunk_ref *chunk,
                          struct time_range range)
{
    if (range_empty(range) || !range_overlaps(range, chunk->ts)) return ST_OK;
    TRY(decode_all(out, arena, chunk));
    out->n += trim(out, chunk->n, range);
    return ST_OK;
}

status chunk_check(struct arena *arena, const struct chunk_ref *chunk, struct err *err)
{
    struct points pts = {0};
    status st = decode_all(&pts, arena, chunk);
    points_release(&pts);
    if (st == ST_OK) return ST_OK;
    return err_set(err, st, "chunk of %u points, %zu + %zu bytes", chunk->n, chunk->ticks_len,
                   chunk->values_len);
}
