/* Goal: histograms come back bit for bit, layouts are stored once a run, and hostile
 * bytes are refused. Method: runs of one layout and of many, odd numbers in every
 * field, cuts, flipped bytes. */
#include <math.h>

#include "base/arena.h"
#include "base/panic.h"
#include "codec/value_codec.h"
#include "model/histogram.h"
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

static uint8_t *encode(size_t *len, const union value *val, size_t n)
{
    size_t bound = value_bound(VALUE_HISTOGRAM, val, n);
    uint8_t *bytes = malloc(bound);
    *len = value_encode(bytes, VALUE_CODEC_HIST, VALUE_HISTOGRAM, val, n);
    ck_assert_uint_le(*len, bound);
    return bytes;
}

static status decode(union value *val, size_t n, const uint8_t *bytes, size_t len)
{
    return value_decode(val, n, VALUE_CODEC_HIST, VALUE_HISTOGRAM, &arena, bytes, len);
}

START_TEST(test_random_round_trip)
{
    union value val[VALUE_POINTS_MAX], back[VALUE_POINTS_MAX];
    enum value_shape shape = (enum value_shape)_i;
    struct rng rng;
    rng_init(&rng, unit_seed());

    for (int round = 0; round < 10; round++) {
        size_t n = 1 + rng_below(&rng, VALUE_POINTS_MAX), len;
        shape_values(val, n, VALUE_HISTOGRAM, shape, &rng, &arena);
        uint8_t *bytes = encode(&len, val, n);
        ck_assert_int_eq(decode(back, n, bytes, len), ST_OK);
        assert_same_values(val, back, n, VALUE_HISTOGRAM, value_shape_name(shape));
        for (size_t cut = 0; cut < len; cut += 1 + len / 60) {
            uint8_t *part = malloc(cut + 1);
            memcpy(part, bytes, cut);
            ck_assert_msg(decode(back, n, part, cut) == ST_CORRUPT, "%zu of %zu", cut, len);
            free(part);
        }
        free(bytes);
        arena_reset(&arena);
    }
}
END_TEST

/* Every field with a value that arithmetic would lose, and layouts that differ in one
 * thing only. */
START_TEST(test_odd_histograms_round_trip)
{
    static const struct hist_span one[] = {{-3, 2}}, low[] = {{1, 2}}, two[] = {{0, 1}, {4, 1}};
    static const double counts[] = {1.5, NAN}, whole[] = {3, 9007199254740991.0},
                        big[] = {1e300, -0.0}, bounds[] = {0.1, 2.5, 10};
    const struct histogram hist[] = {
        {.schema = 3, .count = 4.5, .sum = -0.0, .pos = {one, counts, 1, 2}},
        {.schema = 3, .count = 4.5, .sum = bits_f64(VALUE_STALE_BITS), .pos = {one, counts, 1, 2}},
        {.schema = 3, .count = 12, .sum = INFINITY, .pos = {one, big, 1, 2}},
        {.schema = 3, .count = 12, .sum = 1, .pos = {two, big, 2, 2}},
        {.schema = 3, .count = 12, .sum = 1, .neg = {two, big, 2, 2}},
        {.schema = -4, .count = 12, .sum = 1, .neg = {two, big, 2, 2}},
        {.schema = -4, .reset = HIST_RESET_YES, .count = 12, .neg = {two, big, 2, 2}},
        {.schema = -4, .reset = HIST_GAUGE, .is_int = true, .count = 9007199254740994.0,
         .neg = {two, whole, 2, 2}},
        {.schema = -4, .reset = HIST_GAUGE, .is_int = true, .count = 9007199254740994.0,
         .sum = -7, .neg = {two, whole, 2, 2}},
        {.schema = HIST_SCHEMA_CUSTOM, .count = 4, .custom = bounds, .n_custom = 3,
         .pos = {low, counts, 1, 2}},
        {.schema = HIST_SCHEMA_CUSTOM, .count = 4, .custom = bounds, .n_custom = 2,
         .pos = {low, counts, 1, 2}},
        {.schema = 0, .zero_threshold = 0.001, .zero_count = 2, .count = 2},
        {.schema = 0, .zero_threshold = 0.002, .zero_count = 2, .count = 2},
        {.schema = 0},
        {.schema = 0, .sum = bits_f64(VALUE_STALE_BITS)},
    };
    union value val[ARRAY_LEN(hist)], back[ARRAY_LEN(hist)];
    size_t len;

    for (size_t i = 0; i < ARRAY_LEN(hist); i++) val[i].hist = &hist[i];
    for (size_t i = 0; i < ARRAY_LEN(hist); i++) {
        uint8_t *bytes = encode(&len, val + i, 1);
        ck_assert_msg(decode(back, 1, bytes, len) == ST_OK, "histogram %zu", i);
        assert_same_values(val + i, back, 1, VALUE_HISTOGRAM, "alone");
        free(bytes);
    }
    uint8_t *bytes = encode(&len, val, ARRAY_LEN(hist));
    ck_assert_int_eq(decode(back, ARRAY_LEN(hist), bytes, len), ST_OK);
    assert_same_values(val, back, ARRAY_LEN(hist), VALUE_HISTOGRAM, "together");
    free(bytes);
}
END_TEST

START_TEST(test_one_layout_is_stored_once)
{
    union value val[VALUE_POINTS_MAX], back[VALUE_POINTS_MAX];
    struct hist_span span = {0, 10};
    struct histogram hist[VALUE_POINTS_MAX];
    double counts[VALUE_POINTS_MAX][10];
    size_t len;

    for (size_t i = 0; i < VALUE_POINTS_MAX; i++) {
        for (size_t b = 0; b < 10; b++) counts[i][b] = (double)(1000 + i * b);
        hist[i] = (struct histogram){.schema = 1, .is_int = true, .count = (double)(i * 45),
                                     .sum = (double)i, .pos = {&span, counts[i], 1, 10}};
        val[i].hist = &hist[i];
    }
    uint8_t *bytes = encode(&len, val, VALUE_POINTS_MAX);
    /* Thirteen steady columns: a handful of bytes each, not 128 histograms. */
    ck_assert_uint_lt(len, histogram_bound(&hist[0]) + 13 * 10);
    ck_assert_int_eq(decode(back, VALUE_POINTS_MAX, bytes, len), ST_OK);
    assert_same_values(val, back, VALUE_POINTS_MAX, VALUE_HISTOGRAM, "steady");
    ck_assert_ptr_eq(back[1].hist->pos.spans, back[100].hist->pos.spans);
    free(bytes);
}
END_TEST

START_TEST(test_flipped_bytes_never_crash)
{
    union value val[40], back[40];
    struct rng rng;
    size_t len;
    rng_init(&rng, unit_seed());
    shape_values(val, 40, VALUE_HISTOGRAM, VALUES_COUNTER, &rng, &arena);
    uint8_t *bytes = encode(&len, val, 40);

    struct arena scratch;
    arena_init(&scratch, NULL, 4096);
    for (int round = 0; round < 5000; round++) {
        size_t at = rng_below(&rng, len);
        uint8_t was = bytes[at];
        bytes[at] = (uint8_t)rng_next(&rng);
        status st = value_decode(back, 40, VALUE_CODEC_HIST, VALUE_HISTOGRAM, &scratch, bytes, len);
        if (st == ST_OK) {
            bool valid = true;
            for (size_t i = 0; i < 40; i++) {
                valid &= histogram_check(back[i].hist, NULL) == ST_OK;
            }
            ck_assert(valid);
        }
        bytes[at] = was;
        arena_reset(&scratch);
    }
    arena_release(&scratch);
    free(bytes);
}
END_TEST

Suite *suite_hist_codec(void)
{
    Suite *s = suite_create("hist_codec");
    TCase *tc = tcase_create("hist_codec");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, test_random_round_trip, 0, N_VALUE_SHAPES);
    tcase_add_test(tc, test_odd_histograms_round_trip);
    tcase_add_test(tc, test_one_layout_is_stored_once);
    tcase_add_test(tc, test_flipped_bytes_never_crash);
    suite_add_tcase(s, tc);
    return s;
}
