/* Chunks.
 *
 *     +------+--------------------+---------------------+-----------------------+
 *     | head | ticks, by section  | values, by section  | index                 |
 *     +------+--------------------+---------------------+-----------------------+
 *                                                       | first times - from    |
 *                                                       | where ticks begin     |
 *                                                       | where values begin    |
 *
 * The index has a row for each section but the first, whose row is known: (from, 0, 0).
 * Its three columns have fixed widths, which follow from the head (how many bits
 * `to - from` and the lengths of the two columns take), so that a row is one load and
 * a time is found by bisection. A column is absent when it says nothing: ticks of
 * fixed step have no bytes at all, constants have one payload for all sections.
 *
 * What the index says is believed only as far as it is checked: a section lies inside
 * its column, its first time is the index's, its last time is before the next
 * section's. chunk_check() walks everything. Layout: docs/formats/chunk.md. */
#include "codec/chunk.h"

#include <string.h>

#include "base/panic.h"
#include "codec/bitio.h"
#include "codec/codec_priv.h"

enum {
    CHUNK_MAGIC = 0xc5,
    CHUNK_VERSION = 1,

    CHUNK_OFF_MAGIC = 0,
    CHUNK_OFF_VERSION = 1, /* version in the high half, type in the low half */
    CHUNK_OFF_TICK = 2,
    CHUNK_OFF_VALUE = 3,
    CHUNK_OFF_N = 4, /* u16 */
    CHUNK_HEAD_FIXED = 6,
    CHUNK_HEAD_MAX = CHUNK_HEAD_FIXED + 4 * VARINT_MAX,

    SECTIONS_MAX = (CHUNK_POINTS_MAX + CHUNK_SECTION - 1) / CHUNK_SECTION,
    INDEX_ROW_MAX = 3 * 8,
};

_Static_assert((int)CHUNK_SECTION <= (int)TICK_POINTS_MAX &&
                   (int)CHUNK_SECTION <= (int)VALUE_POINTS_MAX,
               "a section is coded in one call");

/* Where each column of the index begins, and its width in bits. */
struct index {
    size_t from_off, tick_off, value_off, len;
    unsigned from_width, tick_width, value_width;
};

static struct index index_of(const struct chunk_info *info)
{
    bool ticks = info->tick != TICK_FIXED_STEP;
    struct index idx = {
        .from_width = ticks ? bit_width(ts_gap(info->ts.from, info->ts.to)) : 0,
        .tick_width = ticks ? bit_width(info->tick_len) : 0,
        .value_width = info->value == VALUE_CODEC_CONST ? 0 : bit_width(info->value_len),
    };
    size_t rows = info->n_sections - 1;

    idx.tick_off = pack_len(rows, idx.from_width);
    idx.value_off = idx.tick_off + pack_len(rows, idx.tick_width);
    idx.len = idx.value_off + pack_len(rows, idx.value_width);
    return idx;
}

static inline size_t section_points(uint32_t n, uint32_t section)
{
    size_t left = n - (size_t)section * CHUNK_SECTION;
    return left < CHUNK_SECTION ? left : CHUNK_SECTION;
}

static inline uint32_t sections_of(size_t n)
{
    return (uint32_t)((n + CHUNK_SECTION - 1) >> CHUNK_SECTION_SHIFT);
}

/* ---- encoding ------------------------------------------------------------- */

size_t chunk_bound(enum value_type type, const union value *val, size_t n)
{
    size_t n_sections = sections_of(n);
    size_t len = CHUNK_HEAD_MAX + n_sections * INDEX_ROW_MAX;

    for (size_t i = 0; i < n_sections; i++) {
        size_t points = section_points((uint32_t)n, (uint32_t)i);
        len += tick_bound(points);
        len += value_bound(type, val ? val + i * CHUNK_SECTION : NULL, points);
    }
    return len;
}

/* One column's sections, one after the other; where each begins goes to off[]. */
static size_t put_ticks(uint8_t *dst, uint64_t *off, enum tick_codec codec, const ts_time *ts,
                        size_t n)
{
    size_t at = 0;

    if (codec == TICK_FIXED_STEP) return 0; /* the head says it all */
    for (size_t i = 0; i < n; i += CHUNK_SECTION) {
        off[i >> CHUNK_SECTION_SHIFT] = at;
        at += tick_encode(dst + at, codec, ts[i], ts + i,
                          section_points((uint32_t)n, (uint32_t)(i >> CHUNK_SECTION_SHIFT)));
    }
    return at;
}

static size_t put_values(uint8_t *dst, uint64_t *off, enum value_codec codec,
                         enum value_type type, const union value *val, size_t n)
{
    size_t at = 0;

    if (codec == VALUE_CODEC_CONST) return value_encode(dst, codec, type, val, 1);
    for (size_t i = 0; i < n; i += CHUNK_SECTION) {
        off[i >> CHUNK_SECTION_SHIFT] = at;
        at += value_encode(dst + at, codec, type, val + i,
                           section_points((uint32_t)n, (uint32_t)(i >> CHUNK_SECTION_SHIFT)));
    }
    return at;
}

static size_t put_head(uint8_t *dst, const struct chunk_info *info)
{
    dst[CHUNK_OFF_MAGIC] = CHUNK_MAGIC;
    dst[CHUNK_OFF_VERSION] = (uint8_t)(CHUNK_VERSION << 4 | (unsigned)info->type);
    dst[CHUNK_OFF_TICK] = (uint8_t)info->tick;
    dst[CHUNK_OFF_VALUE] = (uint8_t)info->value;
    store_u16(dst + CHUNK_OFF_N, (uint16_t)info->n);
    size_t at = CHUNK_HEAD_FIXED;
    at += svarint_put(dst + at, info->ts.from);
    at += varint_put(dst + at, ts_gap(info->ts.from, info->ts.to));
    at += varint_put(dst + at, info->tick_len);
    at += varint_put(dst + at, info->value_len);
    return at;
}

static size_t put_index(uint8_t *dst, const struct chunk_info *info, const ts_time *ts,
                        const uint64_t *tick_off, const uint64_t *value_off)
{
    struct index idx = index_of(info);
    uint64_t from[SECTIONS_MAX];
    size_t rows = info->n_sections - 1, at = 0;

    for (size_t i = 1; i <= rows; i++) from[i - 1] = ts_gap(ts[0], ts[i * CHUNK_SECTION]);
    at += pack_bits(dst, from, rows, idx.from_width);
    at += pack_bits(dst + at, tick_off + 1, rows, idx.tick_width);
    at += pack_bits(dst + at, value_off + 1, rows, idx.value_width);
    ASSERT(at == idx.len);
    return at;
}

static void assert_ascending(const ts_time *ts, size_t n)
{
    bool ascending = true;
    for (size_t i = 1; i < n; i++) ascending &= ts[i - 1] < ts[i];
    ASSERT(ascending);
}

size_t chunk_encode(uint8_t *dst, enum value_type type, const ts_time *ts,
                    const union value *val, size_t n)
{
    uint64_t tick_off[SECTIONS_MAX], value_off[SECTIONS_MAX];

    ASSERT(n >= 1 && n <= CHUNK_POINTS_MAX);
    assert_ascending(ts, n);
    struct chunk_info info = {
        .type = type,
        .tick = tick_choose_run(ts, n),
        .value = value_choose_run(type, val, n),
        .n = (uint32_t)n,
        .n_sections = sections_of(n),
        .ts = {ts[0], ts[n - 1]},
    };
    /* The head's length depends on what follows it, so that is moved down at the end. */
    uint8_t *body = dst + CHUNK_HEAD_MAX;
    info.tick_len = put_ticks(body, tick_off, info.tick, ts, n);
    info.value_len = put_values(body + info.tick_len, value_off, info.value, type, val, n);
    size_t body_len = info.tick_len + info.value_len;
    body_len += put_index(body + body_len, &info, ts, tick_off, value_off);
    size_t head_len = put_head(dst, &info);
    memmove(dst + head_len, body, body_len);
    return head_len + body_len;
}

/* ---- decoding ------------------------------------------------------------- */

/* from and to are possible for n points, and a fixed step divides them. */
static bool times_fit(const struct chunk_info *info, uint64_t gap)
{
    if (gap > ts_gap(info->ts.from, TS_MAX)) return false;
    if (gap < info->n - 1) return false;
    if (info->n == 1) return gap == 0;
    return info->tick != TICK_FIXED_STEP || gap % (info->n - 1) == 0;
}

status chunk_info(struct chunk_info *out, const uint8_t *src, size_t len)
{
    struct span in = {src, len};
    uint64_t gap, tick_len, value_len;
    int64_t from;

    const uint8_t *fixed = span_take(&in, CHUNK_HEAD_FIXED);
    if (!fixed || fixed[CHUNK_OFF_MAGIC] != CHUNK_MAGIC) return ST_CORRUPT;
    unsigned type = fixed[CHUNK_OFF_VERSION] & 15;
    if (fixed[CHUNK_OFF_VERSION] >> 4 != CHUNK_VERSION || !value_type_valid(type)) {
        return ST_CORRUPT;
    }
    struct chunk_info info = {
        .type = (enum value_type)type,
        .tick = (enum tick_codec)fixed[CHUNK_OFF_TICK],
        .value = (enum value_codec)fixed[CHUNK_OFF_VALUE],
        .n = load_u16(fixed + CHUNK_OFF_N),
    };
    if (info.n == 0 || !tick_codec_valid(info.tick)) return ST_CORRUPT;
    if (!value_codec_serves(info.value, info.type)) return ST_CORRUPT;
    if (!span_svarint(&from, &in) || !span_varint(&gap, &in)) return ST_CORRUPT;
    info.ts = (struct time_range){from, wrap_add(from, (int64_t)gap)};
    if (!times_fit(&info, gap)) return ST_CORRUPT;
    if (!span_varint(&tick_len, &in) || !span_varint(&value_len, &in)) return ST_CORRUPT;
    if (tick_len > in.len || value_len > in.len - tick_len) return ST_CORRUPT;
    if (info.tick == TICK_FIXED_STEP && tick_len != 0) return ST_CORRUPT;

    info.n_sections = sections_of(info.n);
    info.tick_off = len - in.len;
    info.tick_len = (size_t)tick_len;
    info.value_off = info.tick_off + info.tick_len;
    info.value_len = (size_t)value_len;
    info.index_off = info.value_off + info.value_len;
    info.index_len = index_of(&info).len;
    info.len = info.index_off + info.index_len;
    if (info.len != len) return ST_CORRUPT;
    *out = info;
    return ST_OK;
}

/* The first time of a section, from the index alone. */
static status section_from(ts_time *out, const struct chunk_info *info, const uint8_t *src,
                           uint32_t section)
{
    uint64_t gap = 0;

    if (info->tick == TICK_FIXED_STEP) {
        uint64_t step =
            info->n > 1 ? ts_gap(info->ts.from, info->ts.to) / (info->n - 1) : 0;
        gap = step * ((uint64_t)section << CHUNK_SECTION_SHIFT);
    } else if (section > 0) {
        gap = pack_at(src + info->index_off, section - 1, index_of(info).from_width);
        if (gap > ts_gap(info->ts.from, info->ts.to)) return ST_CORRUPT;
    }
    *out = wrap_add(info->ts.from, (int64_t)gap);
    return ST_OK;
}

status chunk_find_section(uint32_t *out, const struct chunk_info *info, const uint8_t *src,
                          ts_time t)
{
    uint32_t low = 0, high = info->n_sections; /* the answer is in [low, high) */

    while (high - low > 1) {
        uint32_t mid = low + (high - low) / 2;
        ts_time from;
        TRY(section_from(&from, info, src, mid));
        if (from <= t) {
            low = mid;
        } else {
            high = mid;
        }
    }
    *out = low;
    return ST_OK;
}

/* A section's bytes within a column of col_len bytes. */
static status section_bytes(struct span *out, const uint8_t *col, size_t col_len,
                            const uint8_t *index, unsigned width, uint32_t section,
                            uint32_t n_sections)
{
    uint64_t from = section ? pack_at(index, section - 1, width) : 0;
    uint64_t to = section + 1 < n_sections ? pack_at(index, section, width) : col_len;

    if (from > to || to > col_len) return ST_CORRUPT;
    *out = (struct span){col + from, (size_t)(to - from)};
    return ST_OK;
}

static status decode_ticks(ts_time *ts, size_t n, const struct chunk_info *info,
                           uint32_t section, const uint8_t *src)
{
    struct index idx = index_of(info);
    const uint8_t *index = src + info->index_off;
    struct span bytes;
    ts_time from, next;

    TRY(section_from(&from, info, src, section));
    if (info->tick == TICK_FIXED_STEP) {
        uint64_t step =
            info->n > 1 ? ts_gap(info->ts.from, info->ts.to) / (info->n - 1) : 0;
        for (size_t i = 0; i < n; i++) ts[i] = wrap_add(from, (int64_t)(i * step));
        return ST_OK;
    }
    TRY(section_bytes(&bytes, src + info->tick_off, info->tick_len, index + idx.tick_off,
                      idx.tick_width, section, info->n_sections));
    TRY(tick_decode(ts, n, info->tick, from, bytes.src, bytes.len));
    if (ts[0] != from) return ST_CORRUPT;
    if (section + 1 == info->n_sections) {
        return ts[n - 1] == info->ts.to ? ST_OK : ST_CORRUPT;
    }
    TRY(section_from(&next, info, src, section + 1));
    return ts[n - 1] < next ? ST_OK : ST_CORRUPT;
}

static status decode_values(union value *val, size_t n, const struct chunk_info *info,
                            uint32_t section, struct arena *arena, const uint8_t *src)
{
    struct index idx = index_of(info);
    struct span bytes = {src + info->value_off, info->value_len};

    if (info->value != VALUE_CODEC_CONST) {
        TRY(section_bytes(&bytes, src + info->value_off, info->value_len,
                          src + info->index_off + idx.value_off, idx.value_width, section,
                          info->n_sections));
    }
    return value_decode(val, n, info->value, info->type, arena, bytes.src, bytes.len);
}

status chunk_decode_section(ts_time *ts, union value *val, size_t *n,
                            const struct chunk_info *info, uint32_t section,
                            struct arena *arena, const uint8_t *src)
{
    ASSERT(section < info->n_sections);
    size_t points = section_points(info->n, section);

    TRY(decode_ticks(ts, points, info, section, src));
    if (val) TRY(decode_values(val, points, info, section, arena, src));
    *n = points;
    return ST_OK;
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

status chunk_decode_range(struct points *out, struct arena *arena, const uint8_t *src,
                          size_t len, struct time_range range)
{
    struct chunk_info info;
    uint32_t first, last;
    size_t n_before = out->n;
    status st;

    TRY(chunk_info(&info, src, len));
    if (range_empty(range) || !range_overlaps(range, info.ts)) return ST_OK;
    TRY(chunk_find_section(&first, &info, src, range.from));
    TRY(chunk_find_section(&last, &info, src, range.to));
    for (uint32_t section = first; section <= last; section++) {
        size_t n;
        st = points_reserve(out, CHUNK_SECTION) ? ST_OK : ST_NO_MEMORY;
        if (st != ST_OK) goto fail;
        st = chunk_decode_section(out->ts + out->n, out->val + out->n, &n, &info, section,
                                  arena, src);
        if (st != ST_OK) goto fail;
        if (section == first || section == last) n = trim(out, n, range);
        out->n += n;
    }
    return ST_OK;

fail:
    out->n = n_before;
    return st;
}

status chunk_check(struct arena *arena, const uint8_t *src, size_t len, struct err *err)
{
    ts_time ts[CHUNK_SECTION];
    union value val[CHUNK_SECTION];
    struct chunk_info info;
    size_t n;

    status st = chunk_info(&info, src, len);
    if (st != ST_OK) return err_set(err, st, "chunk head of %zu bytes", len);
    for (uint32_t section = 0; section < info.n_sections; section++) {
        /* decode_ticks() compares the section with its own row of the index and with
         * the next one's, so that all of them together ascend. */
        st = chunk_decode_section(ts, val, &n, &info, section, arena, src);
        if (st != ST_OK) {
            return err_set(err, st, "chunk section %u of %u (%s, %s)", section, info.n_sections,
                           tick_codec_name(info.tick), value_codec_name(info.value));
        }
    }
    return ST_OK;
}
