/* The table of timestamp codecs, and the choice among them. */
#include "codec/tick_codec.h"

#include "base/panic.h"
#include "codec/codec_priv.h"

static const struct tick_row {
    const char *name;
    size_t (*cost)(const ts_time *ts, size_t n);
    size_t (*encode)(uint8_t *dst, ts_time base, const ts_time *ts, size_t n);
    status (*decode)(ts_time *ts, size_t n, ts_time base, const uint8_t *src, size_t len);
} rows[] = {
#define TICK_CODEC(code, id, name, prefix)                                                     \
    [code] = {name, prefix##_cost, prefix##_encode, prefix##_decode},
#define VALUE_CODEC(code, id, name, types, prefix)
#define COLUMN_CODEC(code, id, name, types, decoder)
#include "codec/codecs.def"
#undef TICK_CODEC
#undef VALUE_CODEC
#undef COLUMN_CODEC
};

bool tick_codec_valid(unsigned codec)
{
    return codec < ARRAY_LEN(rows) && rows[codec].name;
}

const char *tick_codec_name(enum tick_codec codec)
{
    return tick_codec_valid(codec) ? rows[codec].name : "unknown";
}

/* The longest is a grid that does not fit: four numbers, then for each point a miss
 * (one or two bytes of position and a varint) and a residual (8 bytes). */
size_t tick_bound(size_t n)
{
    return 4 * VARINT_MAX + 2 + n * (2 + VARINT_MAX + 8);
}

static void assert_ascending(const ts_time *ts, size_t n)
{
    ASSERT(n >= 1 && n <= TICK_POINTS_MAX);
    bool ascending = true;
    for (size_t i = 1; i < n; i++) ascending &= ts[i - 1] < ts[i];
    ASSERT(ascending);
}

size_t tick_cost(enum tick_codec codec, const ts_time *ts, size_t n)
{
    ASSERT(tick_codec_valid(codec));
    return rows[codec].cost(ts, n);
}

static size_t run_cost(const struct tick_row *row, const ts_time *ts, size_t n)
{
    size_t len = 0;
    for (size_t i = 0; i < n; i += TICK_POINTS_MAX) {
        size_t left = n - i;
        len += row->cost(ts + i, left < TICK_POINTS_MAX ? left : TICK_POINTS_MAX);
    }
    return len;
}

enum tick_codec tick_choose_run(const ts_time *ts, size_t n)
{
    if (tick_fixed_cost(ts, n) != SIZE_MAX) return TICK_FIXED_STEP;

    unsigned best = TICK_DELTA_VARINT;
    size_t best_len = SIZE_MAX;
    for (unsigned codec = TICK_DELTA_VARINT; codec < ARRAY_LEN(rows); codec++) {
        if (!rows[codec].name) continue;
        size_t len = run_cost(&rows[codec], ts, n);
        if (len < best_len) {
            best = codec;
            best_len = len;
        }
    }
    return (enum tick_codec)best;
}

enum tick_codec tick_choose(const ts_time *ts, size_t n)
{
    assert_ascending(ts, n);
    return tick_choose_run(ts, n);
}

size_t tick_encode(uint8_t *dst, enum tick_codec codec, ts_time base, const ts_time *ts,
                   size_t n)
{
    assert_ascending(ts, n);
    ASSERT(tick_codec_valid(codec));
    return rows[codec].encode(dst, base, ts, n);
}

status tick_decode(ts_time *ts, size_t n, enum tick_codec codec, ts_time base,
                   const uint8_t *src, size_t len)
{
    if (n < 1 || n > TICK_POINTS_MAX || !tick_codec_valid(codec)) return ST_CORRUPT;
    return rows[codec].decode(ts, n, base, src, len);
}
