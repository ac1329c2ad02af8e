/* The table of value codecs, and the choice among them. */
#include "codec/value_codec.h"

#include "base/panic.h"
#include "codec/codec_priv.h"
#include "codec/patched.h"

#define FOR(type) (1u << VALUE_##type)

static const struct value_row {
    const char *name;
    unsigned types; /* bit t: serves value type t */
    size_t (*cost)(enum value_type type, const union value *val, size_t n);
    size_t (*encode)(uint8_t *dst, enum value_type type, const union value *val, size_t n);
    status (*decode)(union value *val, size_t n, enum value_type type, struct arena *arena,
                     const uint8_t *src, size_t len);
} rows[] = {
#define TICK_CODEC(code, id, name, prefix)
#define VALUE_CODEC(code, id, name, types, prefix)                                             \
    [code] = {name, types, prefix##_cost, prefix##_encode, prefix##_decode},
#define COLUMN_CODEC(code, id, name, types, decoder)
#include "codec/codecs.def"
#undef TICK_CODEC
#undef VALUE_CODEC
#undef COLUMN_CODEC
};

bool value_codec_valid(unsigned codec)
{
    return codec < ARRAY_LEN(rows) && rows[codec].name;
}

const char *value_codec_name(enum value_codec codec)
{
    return value_codec_valid(codec) ? rows[codec].name : "unknown";
}

bool value_codec_serves(enum value_codec codec, enum value_type type)
{
    return value_codec_valid(codec) && (rows[codec].types >> type & 1);
}

/* XOR takes 8 bytes and 77 bits for each value after the first; differences take two
 * varints and a patched run. */
static size_t numeric_bound(size_t n)
{
    return 2 * VARINT_MAX + patched_bound(n) + 2 * n;
}

size_t value_bound(enum value_type type, const union value *val, size_t n)
{
    size_t len = 0;

    switch (type) {
    case VALUE_F64:
    case VALUE_I64:
    case VALUE_U64:
    case VALUE_BOOL:
        return numeric_bound(n);
    case VALUE_BYTES:
        for (size_t i = 0; i < n; i++) len += VARINT_MAX + val[i].bytes->len;
        return len;
    case VALUE_HISTOGRAM:
        for (size_t i = 0; i < n; i++) len += hist_codec_bound(val[i].hist);
        return len;
    }
    PANIC("value type %d", (int)type);
}

static size_t run_cost(const struct value_row *row, enum value_type type,
                       const union value *val, size_t n)
{
    if (row == &rows[VALUE_CODEC_CONST]) return row->cost(type, val, n);
    size_t len = 0;
    for (size_t i = 0; i < n; i += VALUE_POINTS_MAX) {
        size_t left = n - i;
        len += row->cost(type, val + i, left < VALUE_POINTS_MAX ? left : VALUE_POINTS_MAX);
    }
    return len;
}

enum value_codec value_choose_run(enum value_type type, const union value *val, size_t n)
{
    unsigned best = 0, n_candidates = 0;
    size_t best_len = SIZE_MAX;

    /* A constant is ruled out early as a rule, and then f64, bool, bytes and
     * histograms have one codec each, whose cost nobody needs to know. */
    bool constant = value_codec_serves(VALUE_CODEC_CONST, type) &&
                    const_rle_cost(type, val, n) != SIZE_MAX;
    for (unsigned codec = 0; codec < ARRAY_LEN(rows); codec++) {
        if (!value_codec_serves((enum value_codec)codec, type)) continue;
        if (codec == VALUE_CODEC_CONST && !constant) continue;
        n_candidates++;
        best = codec;
    }
    if (n_candidates == 1) return (enum value_codec)best;

    for (unsigned codec = 0; codec < ARRAY_LEN(rows); codec++) {
        if (!value_codec_serves((enum value_codec)codec, type)) continue;
        if (codec == VALUE_CODEC_CONST && !constant) continue;
        size_t len = run_cost(&rows[codec], type, val, n);
        if (len < best_len) {
            best_len = len;
            best = codec;
        }
    }
    return (enum value_codec)best;
}

enum value_codec value_choose(enum value_type type, const union value *val, size_t n)
{
    ASSERT(n >= 1 && n <= VALUE_POINTS_MAX);
    return value_choose_run(type, val, n);
}

size_t value_encode(uint8_t *dst, enum value_codec codec, enum value_type type,
                    const union value *val, size_t n)
{
    ASSERT(n >= 1 && n <= VALUE_POINTS_MAX);
    ASSERT(value_codec_serves(codec, type));
    return rows[codec].encode(dst, type, val, n);
}

status value_decode(union value *val, size_t n, enum value_codec codec, enum value_type type,
                    struct arena *arena, const uint8_t *src, size_t len)
{
    if (n < 1 || n > VALUE_POINTS_MAX || !value_codec_serves(codec, type)) return ST_CORRUPT;
    return rows[codec].decode(val, n, type, arena, src, len);
}
