/* Goal: a histogram's bytes give back the histogram, bit for bit, and no other bytes do
 * harm. Method: a table through copy, encode and decode; each encoding cut at every length
 * and bent at every byte; a table of structures that the check must refuse. */
#include <math.h>

#include "base/bytes.h"
#include "base/panic.h"
#include "base/rng.h"
#include "model/histogram.h"
#include "tests/unit/unit.h"

Suite *suite_histogram(void);

static const struct hist_span spans[] = {{-3, 2}, {1, 3}};
static const struct hist_span one_span[] = {{0, 3}};
static const double counts[] = {1, 2, 3, 4, 5};
static const double fractions[] = {0.5, NAN, -0.0, 1e300, 9007199254740993.0};
static const double bounds[] = {0.1, 1, 10};

#define SIDE(s, c, n_s, n_c) {s, c, n_s, n_c}

static const struct {
    const char *name;
    struct histogram h;
} good[] = {
    {"empty", {.schema = 0}},
    {"integer", {.schema = 3, .is_int = true, .reset = HIST_RESET_NO, .zero_threshold = 1e-128,
                 .zero_count = 2, .count = 32, .sum = 5.5, .pos = SIDE(spans, counts, 2, 5),
                 .neg = SIDE(spans, counts, 2, 5)}},
    {"float", {.schema = -4, .reset = HIST_GAUGE, .count = NAN, .sum = -INFINITY,
               .pos = SIDE(spans, fractions, 2, 5)}},
    {"mixed sides", {.schema = 8, .pos = SIDE(spans, counts, 2, 5),
                     .neg = SIDE(one_span, fractions, 1, 3)}},
    {"custom", {.schema = HIST_SCHEMA_CUSTOM, .reset = HIST_RESET_YES, .count = 6,
                .pos = SIDE(one_span, counts, 1, 3), .custom = bounds, .n_custom = 3}},
};

START_TEST(test_bytes_give_it_back)
{
    const struct histogram *h = &good[_i].h, *back = NULL;
    struct arena arena;
    arena_init(&arena, NULL, 0);
    uint8_t *bytes = malloc(histogram_bound(h));
    size_t len = histogram_encode(bytes, h);

    ck_assert_int_eq(histogram_check(h, NULL), ST_OK);
    ck_assert_uint_le(len, histogram_bound(h));
    ck_assert_int_eq(histogram_decode(&back, &arena, bytes, len), ST_OK);
    ck_assert_msg(histogram_eq(back, h), "%s", good[_i].name);
    const struct histogram *copy = histogram_copy(&arena, h);
    ck_assert(histogram_eq(copy, h));
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *part = malloc(cut ? cut : 1);
        memcpy(part, bytes, cut);
        ck_assert_int_eq(histogram_decode(&back, &arena, part, cut), ST_CORRUPT);
        free(part);
    }
    bytes = realloc(bytes, len + 1);
    bytes[len] = 0;
    ck_assert_int_eq(histogram_decode(&back, &arena, bytes, len + 1), ST_CORRUPT);
    free(bytes);
    arena_release(&arena);
}
END_TEST

START_TEST(test_bent_bytes_do_no_harm)
{
    struct rng rng;
    rng_init(&rng, unit_seed());
    for (int round = 0; round < 20000; round++) {
        const struct histogram *h = &good[rng_below(&rng, ARRAY_LEN(good))].h, *back;
        struct arena arena;
        uint8_t *bytes = malloc(histogram_bound(h));
        size_t len = histogram_encode(bytes, h);
        bytes = realloc(bytes, len);
        for (uint64_t n = 1 + rng_below(&rng, 3); n > 0; n--)
            bytes[rng_below(&rng, len)] = (uint8_t)rng_next(&rng);
        arena_init(&arena, NULL, 0);
        if (histogram_decode(&back, &arena, bytes, len) == ST_OK)
            ck_assert_int_eq(histogram_check(back, NULL), ST_OK);
        ck_assert_uint_lt(arena.n_bytes, 1 << 16); /* memory follows the bytes that are there */
        arena_release(&arena);
        free(bytes);
    }
}
END_TEST

static const struct hist_span overlap[] = {{0, 2}, {-1, 3}};
static const struct hist_span far_span[] = {{INT32_MAX, 5}};
static const struct hist_span wide[] = {{0, 5}};
static const struct hist_span below[] = {{-1, 3}};
static const double falling[] = {1, 0.5};
static const double endless[] = {1, INFINITY};

static const struct {
    const char *why;
    struct histogram h;
} bad[] = {
    {"schema", {.schema = 9}},
    {"schema", {.schema = -5}},
    {"buckets", {.schema = 0, .pos = SIDE(spans, counts, 2, 4)}},
    {"buckets", {.schema = 0, .neg = SIDE(NULL, counts, 0, 1)}},
    {"overlaps", {.schema = 0, .pos = SIDE(overlap, counts, 2, 5)}},
    {"out of range", {.schema = 0, .pos = SIDE(far_span, counts, 1, 5)}},
    {"no custom bounds", {.schema = 0, .custom = bounds, .n_custom = 3}},
    {"ascend", {.schema = HIST_SCHEMA_CUSTOM, .custom = falling, .n_custom = 2}},
    {"finite", {.schema = HIST_SCHEMA_CUSTOM, .custom = endless, .n_custom = 2}},
    {"outside", {.schema = HIST_SCHEMA_CUSTOM, .custom = bounds, .n_custom = 3,
                 .pos = SIDE(wide, counts, 1, 5)}},
    {"outside", {.schema = HIST_SCHEMA_CUSTOM, .custom = bounds, .n_custom = 3,
                 .pos = SIDE(below, counts, 1, 3)}},
    {"positive", {.schema = HIST_SCHEMA_CUSTOM, .neg = SIDE(one_span, counts, 1, 3)}},
    {"positive", {.schema = HIST_SCHEMA_CUSTOM, .zero_count = 1}},
};

START_TEST(test_nonsense_is_refused)
{
    struct err err = {0};
    ck_assert_int_eq(histogram_check(&bad[_i].h, &err), ST_BAD_VALUE);
    ck_assert_msg(strstr(err.text, bad[_i].why), "row %d: %s", _i, err.text);
}
END_TEST

START_TEST(test_equal_is_bit_for_bit)
{
    struct histogram a = good[1].h, b = good[1].h;
    double same[] = {1, 2, 3, 4, 5}, zero = 0;
    b.pos.counts = same;
    ck_assert(histogram_eq(&a, &b));
    same[2] = 3.5;
    ck_assert(!histogram_eq(&a, &b));
    b = a;
    b.reset = HIST_GAUGE;
    ck_assert(!histogram_eq(&a, &b));
    a = b = good[2].h;
    b.sum = bits_f64(f64_bits(NAN) ^ 1);
    a.sum = NAN;
    ck_assert(!histogram_eq(&a, &b));
    a = b = (struct histogram){.schema = 0};
    a.count = zero;
    b.count = -zero;
    ck_assert(!histogram_eq(&a, &b));
}
END_TEST

Suite *suite_histogram(void)
{
    Suite *suite = suite_create("histogram");
    TCase *tc = tcase_create("histogram");
    tcase_add_loop_test(tc, test_bytes_give_it_back, 0, ARRAY_LEN(good));
    tcase_add_test(tc, test_bent_bytes_do_no_harm);
    tcase_add_loop_test(tc, test_nonsense_is_refused, 0, ARRAY_LEN(bad));
    tcase_add_test(tc, test_equal_is_bit_for_bit);
    suite_add_tcase(suite, tc);
    return suite;
}
