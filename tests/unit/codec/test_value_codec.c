/* Goal: every value codec gives back every bit, within the bound, and refuses bytes
 * that it did not write; the choice is the smallest. Method: edge values by hand, then
 * every type and shape at random sizes, every cut, and hand-made faults. Histograms
 * have their own file. */
#include "base/arena.h"
#include "base/panic.h"
#include "codec/value_codec.h"
#include "tests/unit/codec/codec_shapes.h"
#include "tests/unit/codec/codec_suites.h"
#include "tests/unit/unit.h"

static struct arena arena;

static void setup(void)
{
    arena_init(&arena, NULL, 4096);
}

static void teardown(void)
{
    arena_release(&arena);
}

static size_t check_round_trip(const union value *val, size_t n, enum value_codec codec,
                               enum value_type type, const char *name)
{
    union value back[VALUE_POINTS_MAX];
    size_t bound = value_bound(type, type >= VALUE_BYTES ? val : NULL, n);
    uint8_t *bytes = malloc(bound);
    size_t len = value_encode(bytes, codec, type, val, n);

    ck_assert_msg(len <= bound, "%s: %s", name, value_codec_name(codec));
    ck_assert_msg(value_decode(back, n, codec, type, &arena, bytes, len) == ST_OK, "%s: %s",
                  name, value_codec_name(codec));
    assert_same_values(val, back, n, type, name);
    size_t step = len > 100 ? len / 50 : 1;
    bool refused = true;
    for (size_t cut = 0; cut < len && refused; cut += step) {
        uint8_t *part = malloc(cut + 1);
        memcpy(part, bytes, cut);
        refused = value_decode(back, n, codec, type, &arena, part, cut) == ST_CORRUPT;
        free(part);
    }
    ck_assert_msg(refused, "%s: %s accepts a part of %zu bytes", name, value_codec_name(codec),
                  len);
    uint8_t *more = calloc(1, len + 1);
    memcpy(more, bytes, len);
    ck_assert_msg(value_decode(back, n, codec, type, &arena, more, len + 1) == ST_CORRUPT,
                  "%s: %s accepts a byte too many", name, value_codec_name(codec));
    free(more);
    free(bytes);
    return len;
}

static bool all_equal(const union value *val, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        if (val[i].bits != val[0].bits) return false;
    }
    return true;
}

/* Through every codec of the type; the choice must be no longer than any. */
static void check_codecs(const union value *val, size_t n, enum value_type type,
                         const char *name)
{
    size_t least = SIZE_MAX, chosen = 0;
    enum value_codec choice = value_choose(type, val, n);

    for (unsigned codec = 1; codec <= VALUE_CODEC_HIST; codec++) {
        if (!value_codec_serves((enum value_codec)codec, type)) continue;
        if (codec == VALUE_CODEC_CONST && !all_equal(val, n)) continue;
        size_t len = check_round_trip(val, n, (enum value_codec)codec, type, name);
        if (len < least) least = len;
        if (codec == choice) chosen = len;
    }
    ck_assert_msg(chosen == least, "%s: %s takes %zu, the least is %zu", name,
                  value_codec_name(choice), chosen, least);
}

static const struct shape {
    const char *name;
    enum value_type type;
    size_t n;
    uint64_t bits[6];
    enum value_codec best;
} shapes[] = {
    {"one double", VALUE_F64, 1, {0x3ff8000000000000}, VALUE_CODEC_XOR},
    {"constant", VALUE_F64, 4, {7, 7, 7, 7}, VALUE_CODEC_CONST},
    {"stale markers", VALUE_F64, 3, {VALUE_STALE_BITS, VALUE_STALE_BITS, VALUE_STALE_BITS},
     VALUE_CODEC_CONST},
    {"zero and its negative", VALUE_F64, 2, {0, 1ull << 63}, VALUE_CODEC_XOR},
    {"three kinds of NaN", VALUE_F64, 3,
     {VALUE_STALE_BITS, VALUE_NAN_BITS, 0xfff8000000000000}, VALUE_CODEC_XOR},
    {"all bits turn", VALUE_F64, 4, {0, ~0ull, 0, ~0ull}, VALUE_CODEC_XOR},
    {"denormals", VALUE_F64, 4, {1, 2, 3, 0x000fffffffffffff}, VALUE_CODEC_XOR},
    {"counter", VALUE_I64, 6, {1000, 1100, 1205, 1299, 1400, 1502}, VALUE_CODEC_DELTA},
    {"gauge", VALUE_I64, 6, {5, 6, 5, 4, 5, 6}, VALUE_CODEC_ZIGZAG},
    {"the far ends", VALUE_I64, 3, {1ull << 63, INT64_MAX, 1ull << 63}, VALUE_CODEC_ZIGZAG},
    {"u64 far ends", VALUE_U64, 3, {0, UINT64_MAX, 0}, VALUE_CODEC_ZIGZAG},
    {"u64 constant", VALUE_U64, 3, {300, 300, 300}, VALUE_CODEC_CONST},
    {"true", VALUE_BOOL, 3, {1, 1, 1}, VALUE_CODEC_CONST},
    {"true and false", VALUE_BOOL, 3, {1, 0, 1}, VALUE_CODEC_BOOL},
};

START_TEST(test_edge_values)
{
    const struct shape *s = &shapes[_i];
    union value val[6];
    for (size_t i = 0; i < s->n; i++) val[i].bits = s->bits[i];

    check_codecs(val, s->n, s->type, s->name);
    size_t least = check_round_trip(val, s->n, s->best, s->type, s->name);
    enum value_codec choice = value_choose(s->type, val, s->n);
    ck_assert_msg(check_round_trip(val, s->n, choice, s->type, s->name) == least,
                  "%s: chose %s", s->name, value_codec_name(choice));
}
END_TEST

START_TEST(test_random_round_trip)
{
    static const enum value_type types[] = {VALUE_F64, VALUE_I64, VALUE_U64, VALUE_BOOL,
                                            VALUE_BYTES};
    enum value_type type = types[_i / N_VALUE_SHAPES];
    enum value_shape shape = (enum value_shape)(_i % N_VALUE_SHAPES);
    union value val[VALUE_POINTS_MAX];
    struct rng rng;
    rng_init(&rng, unit_seed());

    for (int round = 0; round < 25; round++) {
        size_t n = 1 + rng_below(&rng, VALUE_POINTS_MAX);
        shape_values(val, n, type, shape, &rng, &arena);
        check_codecs(val, n, type, value_shape_name(shape));
        arena_reset(&arena);
    }
}
END_TEST

/* One jump to another magnitude must not widen the window of everything after it. */
START_TEST(test_an_outlier_does_not_cost_its_neighbours)
{
    union value val[128];
    uint8_t dst[2048];

    for (size_t i = 0; i < 128; i++) val[i].bits = f64_bits(100 + (double)(i % 4) * 0.25);
    size_t calm = value_encode(dst, VALUE_CODEC_XOR, VALUE_F64, val, 128);
    val[3].bits = f64_bits(1.0 / 3);
    size_t jump = value_encode(dst, VALUE_CODEC_XOR, VALUE_F64, val, 128);
    ck_assert_uint_lt(jump, calm + 24);
}
END_TEST

static const struct bad {
    const char *name;
    enum value_codec codec;
    enum value_type type;
    size_t n, len;
    uint8_t bytes[24];
} bad[] = {
    {"xor: window past 64 bits", VALUE_CODEC_XOR, VALUE_F64, 2, 18,
     {0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}},
    {"xor: padding not zero", VALUE_CODEC_XOR, VALUE_F64, 2, 9, {0, 0, 0, 0, 0, 0, 0, 0, 0x02}},
    {"xor: short first value", VALUE_CODEC_XOR, VALUE_F64, 1, 7, {0}},
    {"xor of integers", VALUE_CODEC_XOR, VALUE_I64, 1, 8, {0}},
    {"zigzag of doubles", VALUE_CODEC_ZIGZAG, VALUE_F64, 1, 1, {0}},
    {"zigzag: no run", VALUE_CODEC_ZIGZAG, VALUE_I64, 2, 1, {0}},
    {"delta: no least", VALUE_CODEC_DELTA, VALUE_U64, 2, 1, {0}},
    {"const: 7 bytes", VALUE_CODEC_CONST, VALUE_F64, 2, 7, {0}},
    {"const: bool of 2", VALUE_CODEC_CONST, VALUE_BOOL, 2, 1, {2}},
    {"const of bytes", VALUE_CODEC_CONST, VALUE_BYTES, 2, 1, {0}},
    {"bool: padding not zero", VALUE_CODEC_BOOL, VALUE_BOOL, 3, 1, {0x0f}},
    {"bytes: begins with a repetition", VALUE_CODEC_BYTES, VALUE_BYTES, 1, 1, {0}},
    {"bytes: more than there are", VALUE_CODEC_BYTES, VALUE_BYTES, 1, 3, {4, 'a', 'b'}},
    {"bytes: fewer than there are", VALUE_CODEC_BYTES, VALUE_BYTES, 1, 3, {2, 'a', 'b'}},
    {"bytes: lengths overflow", VALUE_CODEC_BYTES, VALUE_BYTES, 2, 20,
     {255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 255, 255, 255, 255, 255, 255, 255, 255,
      255, 1}},
    {"no such codec", (enum value_codec)7, VALUE_F64, 1, 8, {0}},
    {"codec 0", (enum value_codec)0, VALUE_F64, 1, 8, {0}},
    {"codec 200", (enum value_codec)200, VALUE_F64, 1, 8, {0}},
    {"no values", VALUE_CODEC_CONST, VALUE_F64, 0, 8, {0}},
    {"too many values", VALUE_CODEC_CONST, VALUE_F64, VALUE_POINTS_MAX + 1, 8, {0}},
};

START_TEST(test_refuses_what_no_writer_writes)
{
    const struct bad *b = &bad[_i];
    union value val[VALUE_POINTS_MAX + 1];
    ck_assert_msg(value_decode(val, b->n, b->codec, b->type, &arena, b->bytes, b->len) ==
                      ST_CORRUPT,
                  "%s", b->name);
}
END_TEST

START_TEST(test_any_bytes)
{
    struct rng rng;
    union value val[VALUE_POINTS_MAX];
    rng_init(&rng, unit_seed());

    for (int round = 0; round < 20000; round++) {
        size_t len = rng_below(&rng, 60), n = 1 + rng_below(&rng, VALUE_POINTS_MAX);
        uint8_t *bytes = malloc(len + 1);
        for (size_t i = 0; i < len; i++) {
            bytes[i] = (uint8_t)rng_next(&rng) & (rng_below(&rng, 2) ? 0x07 : 0xff);
        }
        enum value_codec codec = (enum value_codec)(1 + rng_below(&rng, 6));
        enum value_type type = (enum value_type)(1 + rng_below(&rng, 5));
        if (value_decode(val, n, codec, type, &arena, bytes, len) == ST_OK &&
            type == VALUE_BYTES) {
            for (size_t i = 0; i < n; i++) ck_assert_uint_le(val[i].bytes->len, len);
        }
        free(bytes);
        arena_reset(&arena);
    }
}
END_TEST

Suite *suite_value_codec(void)
{
    Suite *s = suite_create("value_codec");
    TCase *tc = tcase_create("value_codec");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, test_edge_values, 0, ARRAY_LEN(shapes));
    tcase_add_loop_test(tc, test_random_round_trip, 0, 5 * N_VALUE_SHAPES);
    tcase_add_test(tc, test_an_outlier_does_not_cost_its_neighbours);
    tcase_add_loop_test(tc, test_refuses_what_no_writer_writes, 0, ARRAY_LEN(bad));
    tcase_add_test(tc, test_any_bytes);
    suite_add_tcase(s, tc);
    return s;
}
