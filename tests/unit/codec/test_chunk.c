/* Goal: chunks of every type, shape and size come back, whole and by range, decoding
 * only what a range needs; damage is refused or at least survived. Method: random
 * chunks against plain filtering; every cut; flipped bytes; damage outside a range's
 * sections goes unnoticed by the range and is found by the check. */
#include "base/arena.h"
#include "base/panic.h"
#include "codec/chunk.h"
#include "tests/unit/codec/codec_shapes.h"
#include "tests/unit/codec/codec_suites.h"
#include "tests/unit/unit.h"

enum { N_MAX = 3000 };

static struct arena arena;
static ts_time ts[CHUNK_POINTS_MAX];
static union value val[CHUNK_POINTS_MAX];

static void setup(void)
{
    arena_init(&arena, NULL, 4096);
}

static void teardown(void)
{
    arena_release(&arena);
}

static uint8_t *encode(size_t *len, enum value_type type, size_t n)
{
    size_t bound = chunk_bound(type, type >= VALUE_BYTES ? val : NULL, n);
    uint8_t *bytes = malloc(bound);
    *len = chunk_encode(bytes, type, ts, val, n);
    ck_assert_uint_le(*len, bound);
    return realloc(bytes, *len); /* exact, so that the sanitizer sees one byte too many */
}

static const struct time_range always = {TS_MIN, TS_MAX};

static void check_range(const uint8_t *bytes, size_t len, enum value_type type, size_t n,
                        struct time_range range)
{
    struct points pts = {0};
    size_t from = 0, to = n;

    while (from < n && ts[from] < range.from) from++;
    while (to > from && ts[to - 1] > range.to) to--;
    ck_assert_int_eq(chunk_decode_range(&pts, &arena, bytes, len, range), ST_OK);
    ck_assert_uint_eq(pts.n, to - from);
    if (pts.n) ck_assert_mem_eq(pts.ts, ts + from, pts.n * sizeof(ts[0]));
    assert_same_values(val + from, pts.val, pts.n, type, value_type_name(type));
    points_release(&pts);
}

static void check_chunk(enum value_type type, size_t n, struct rng *rng)
{
    struct err err = {0};
    struct chunk_info info;
    size_t len;
    uint8_t *bytes = encode(&len, type, n);

    ck_assert_int_eq(chunk_info(&info, bytes, len), ST_OK);
    ck_assert_int_eq(info.type, type);
    ck_assert_uint_eq(info.n, n);
    ck_assert_int_eq(info.ts.from, ts[0]);
    ck_assert_int_eq(info.ts.to, ts[n - 1]);
    ck_assert_msg(chunk_check(&arena, bytes, len, &err) == ST_OK, "%s", err.text);
    check_range(bytes, len, type, n, always);
    for (int i = 0; i < 12; i++) {
        ts_time a = ts[rng_below(rng, n)], b = ts[rng_below(rng, n)];
        if (rng_below(rng, 3) == 0 && a > TS_MIN) a--;
        if (rng_below(rng, 3) == 0 && b < TS_MAX) b++;
        check_range(bytes, len, type, n, (struct time_range){a < b ? a : b, a < b ? b : a});
    }
    free(bytes);
}

START_TEST(test_round_trip)
{
    enum value_type type = (enum value_type)(_i / N_TICK_SHAPES + 1);
    enum tick_shape shape = (enum tick_shape)(_i % N_TICK_SHAPES);
    static const size_t sizes[] = {1, 2, 127, 128, 129, 256, 257, 1000, N_MAX};
    struct rng rng;
    rng_init(&rng, unit_seed());

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        size_t n = sizes[i];
        if (type >= VALUE_BYTES && n > 1000) continue;
        shape_ticks(ts, n, shape, &rng);
        shape_values(val, n, type, (enum value_shape)(i % N_VALUE_SHAPES), &rng, &arena);
        check_chunk(type, n, &rng);
        arena_reset(&arena);
    }
}
END_TEST

START_TEST(test_the_largest_chunk)
{
    struct rng rng;
    rng_init(&rng, unit_seed());
    shape_ticks(ts, CHUNK_POINTS_MAX, TICKS_JITTER, &rng);
    shape_values(val, CHUNK_POINTS_MAX, VALUE_F64, VALUES_GAUGE, &rng, &arena);
    check_chunk(VALUE_F64, CHUNK_POINTS_MAX, &rng);
}
END_TEST

START_TEST(test_ranges_off_the_points)
{
    static const struct time_range ranges[] = {
        {TS_MIN, 999}, {9001, TS_MAX}, {1001, 1999}, {5000, 4000}, {TS_MIN, TS_MIN},
    };
    struct points pts = {0};
    size_t len;
    for (size_t i = 0; i < 9; i++) ts[i] = (ts_time)(1000 + 1000 * i);
    memset(val, 0, 9 * sizeof(val[0]));
    uint8_t *bytes = encode(&len, VALUE_F64, 9);
    ck_assert_int_eq(chunk_decode_range(&pts, NULL, bytes, len, ranges[_i]), ST_OK);
    ck_assert_uint_eq(pts.n, 0);
    points_release(&pts);
    free(bytes);
}
END_TEST

/* Fixed step and constant: the points follow from the head, whatever their number. */
START_TEST(test_what_does_not_change_takes_no_room)
{
    size_t len;
    for (size_t i = 0; i < CHUNK_POINTS_MAX; i++) {
        ts[i] = (ts_time)(1700000000000u + 15000 * i);
        val[i].bits = f64_bits(1);
    }
    uint8_t *bytes = encode(&len, VALUE_F64, CHUNK_POINTS_MAX);
    ck_assert_uint_lt(len, 32);
    check_range(bytes, len, VALUE_F64, CHUNK_POINTS_MAX,
                (struct time_range){ts[300], ts[500]});
    free(bytes);
}
END_TEST

START_TEST(test_appends_and_leaves_alone_on_failure)
{
    struct points pts = {0};
    struct rng rng;
    size_t len;
    rng_init(&rng, unit_seed());
    shape_ticks(ts, 500, TICKS_JITTER, &rng);
    shape_values(val, 500, VALUE_F64, VALUES_GAUGE, &rng, &arena);
    uint8_t *bytes = encode(&len, VALUE_F64, 500);

    ck_assert_int_eq(chunk_decode_range(&pts, NULL, bytes, len, always), ST_OK);
    ck_assert_int_eq(chunk_decode_range(&pts, NULL, bytes, len, always), ST_OK);
    ck_assert_uint_eq(pts.n, 1000);
    ck_assert_mem_eq(pts.ts + 500, ts, 500 * sizeof(ts[0]));
    bool refused = true;
    for (size_t cut = 0; cut < len && refused; cut++) {
        uint8_t *part = malloc(cut + 1);
        memcpy(part, bytes, cut);
        refused = chunk_decode_range(&pts, NULL, part, cut, always) == ST_CORRUPT;
        refused = refused && pts.n == 1000;
        free(part);
    }
    ck_assert(refused);
    points_release(&pts);
    free(bytes);
}
END_TEST

/* Damage in the last section's values is nobody's business who reads the first. */
START_TEST(test_only_the_needed_sections_are_decoded)
{
    struct points pts = {0};
    struct chunk_info info;
    struct err err = {0};
    struct rng rng;
    size_t len;
    rng_init(&rng, unit_seed());
    shape_ticks(ts, 1000, TICKS_JITTER, &rng);
    shape_values(val, 1000, VALUE_F64, VALUES_GAUGE, &rng, &arena);
    uint8_t *bytes = encode(&len, VALUE_F64, 1000);
    ck_assert_int_eq(chunk_info(&info, bytes, len), ST_OK);
    memset(bytes + info.value_off + info.value_len - 24, 0xff, 24);

    ck_assert_int_eq(chunk_check(NULL, bytes, len, &err), ST_CORRUPT);
    ck_assert_str_eq(err.text, "chunk section 7 of 8 (grid, xor)");
    check_range(bytes, len, VALUE_F64, 1000, (struct time_range){ts[0], ts[800]});
    ck_assert_int_eq(chunk_decode_range(&pts, NULL, bytes, len, always), ST_CORRUPT);
    points_release(&pts);
    free(bytes);
}
END_TEST

START_TEST(test_flipped_bytes_never_crash)
{
    static const struct time_range some = {1700000500000, 1700002000000};
    enum value_type type = (enum value_type)_i;
    struct points pts = {0};
    struct rng rng;
    size_t len;
    rng_init(&rng, unit_seed());
    shape_ticks(ts, 400, type == VALUE_F64 ? TICKS_JITTER : TICKS_BURSTS, &rng);
    shape_values(val, 400, type, VALUES_COUNTER, &rng, &arena);
    uint8_t *bytes = encode(&len, type, 400);
    struct arena scratch;
    arena_init(&scratch, NULL, 4096);

    for (int round = 0; round < 1500; round++) {
        /* Heads and indexes are small; aim at them half of the time. */
        size_t at = round % 2 ? rng_below(&rng, len) : rng_below(&rng, 24);
        if (round % 8 == 0) at = len - 1 - rng_below(&rng, 16);
        uint8_t was = bytes[at];
        bytes[at] = (uint8_t)rng_next(&rng);
        if (chunk_check(&scratch, bytes, len, NULL) == ST_OK) {
            ck_assert_int_eq(chunk_decode_range(&pts, &scratch, bytes, len, always), ST_OK);
            assert_ascending(pts.ts, pts.n);
        }
        pts.n = 0;
        (void)!chunk_decode_range(&pts, &scratch, bytes, len, some);
        pts.n = 0;
        bytes[at] = was;
        arena_reset(&scratch);
    }
    arena_release(&scratch);
    points_release(&pts);
    free(bytes);
}
END_TEST

Suite *suite_chunk(void)
{
    Suite *s = suite_create("chunk");
    TCase *tc = tcase_create("chunk");
    tcase_set_timeout(tc, 30);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, test_round_trip, 0, VALUE_HISTOGRAM * N_TICK_SHAPES);
    tcase_add_test(tc, test_the_largest_chunk);
    tcase_add_loop_test(tc, test_ranges_off_the_points, 0, 5);
    tcase_add_test(tc, test_what_does_not_change_takes_no_room);
    tcase_add_test(tc, test_appends_and_leaves_alone_on_failure);
    tcase_add_test(tc, test_only_the_needed_sections_are_decoded);
    tcase_add_loop_test(tc, test_flipped_bytes_never_crash, VALUE_F64, VALUE_HISTOGRAM + 1);
    suite_add_tcase(s, tc);
    return s;
}
