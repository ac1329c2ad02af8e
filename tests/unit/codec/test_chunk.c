/* Goal: chunks of every type, shape and size come back, whole and by range; damage is
 * refused or at least survived. Method: random chunks of each effort against plain
 * filtering; every cut; flipped bytes; a keeper that is wrong about the chunk. */
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

/* Both columns at their exact length, before CHUNK_PAD bytes of anything. */
static struct chunk_ref encode(enum value_type type, size_t n, enum chunk_effort effort)
{
    size_t ticks_max = chunk_ticks_bound(n);
    size_t values_max = chunk_values_bound(type, type >= VALUE_BYTES ? val : NULL, n);
    uint8_t *ticks = malloc(ticks_max + CHUNK_PAD), *values = malloc(values_max + CHUNK_PAD);
    size_t ticks_len = chunk_ticks_encode(ticks, ts, n);
    size_t values_len = chunk_values_encode(values, type, val, n, effort);

    ck_assert_uint_le(ticks_len, ticks_max);
    ck_assert_uint_le(values_len, values_max);
    ticks = realloc(ticks, ticks_len + CHUNK_PAD);
    values = realloc(values, values_len + CHUNK_PAD);
    memset(ticks + ticks_len, 0xa5, CHUNK_PAD);
    memset(values + values_len, 0xa5, CHUNK_PAD);
    return (struct chunk_ref){.type = type,
                              .n = (uint32_t)n,
                              .ts = {ts[0], ts[n - 1]},
                              .ticks = ticks,
                              .ticks_len = ticks_len,
                              .values = values,
                              .values_len = values_len};
}

static void release(struct chunk_ref *chunk)
{
    free((uint8_t *)(uintptr_t)chunk->ticks);
    free((uint8_t *)(uintptr_t)chunk->values);
}

static const struct time_range always = {TS_MIN, TS_MAX};

static void check_range(const struct chunk_ref *chunk, struct time_range range)
{
    struct points pts = {0};
    size_t from = 0, to = chunk->n;

    while (from < to && ts[from] < range.from) from++;
    while (to > from && ts[to - 1] > range.to) to--;
    ck_assert_int_eq(chunk_decode_range(&pts, &arena, chunk, range), ST_OK);
    ck_assert_uint_eq(pts.n, to - from);
    if (pts.n) ck_assert_mem_eq(pts.ts, ts + from, pts.n * sizeof(ts[0]));
    assert_same_values(val + from, pts.val, pts.n, chunk->type, value_type_name(chunk->type));
    points_release(&pts);
}

static void check_chunk(enum value_type type, size_t n, enum chunk_effort effort, struct rng *rng)
{
    struct err err = {0};
    struct chunk_ref chunk = encode(type, n, effort);
    enum value_type named;

    ck_assert_int_eq(chunk_values_type(&named, chunk.values, chunk.values_len), ST_OK);
    ck_assert_int_eq(named, type);
    ck_assert_msg(chunk_check(&arena, &chunk, &err) == ST_OK, "%s", err.text);
    check_range(&chunk, always);
    for (int i = 0; i < 12; i++) {
        ts_time a = ts[rng_below(rng, n)], b = ts[rng_below(rng, n)];
        if (rng_below(rng, 3) == 0 && a > TS_MIN) a--;
        if (rng_below(rng, 3) == 0 && b < TS_MAX) b++;
        check_range(&chunk, (struct time_range){a < b ? a : b, a < b ? b : a});
    }
    release(&chunk);
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
        check_chunk(type, n, (enum chunk_effort)(i % 3), &rng);
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
    check_chunk(VALUE_F64, CHUNK_POINTS_MAX, CHUNK_SMALLEST, &rng);
}
END_TEST

START_TEST(test_ranges_off_the_points)
{
    static const struct time_range ranges[] = {
        {TS_MIN, 999}, {9001, TS_MAX}, {1001, 1999}, {5000, 4000}, {TS_MIN, TS_MIN},
    };
    struct points pts = {0};
    for (size_t i = 0; i < 9; i++) ts[i] = (ts_time)(1000 + 1000 * i);
    memset(val, 0, 9 * sizeof(val[0]));
    struct chunk_ref chunk = encode(VALUE_F64, 9, CHUNK_FAST);
    ck_assert_int_eq(chunk_decode_range(&pts, NULL, &chunk, ranges[_i]), ST_OK);
    ck_assert_uint_eq(pts.n, 0);
    points_release(&pts);
    release(&chunk);
}
END_TEST

/* Fixed step and constant: the points follow from what the keeper knows. */
START_TEST(test_what_does_not_change_takes_no_room)
{
    for (size_t i = 0; i < CHUNK_POINTS_MAX; i++) {
        ts[i] = (ts_time)(1700000000000u + 15000 * i);
        val[i].bits = f64_bits(1);
    }
    struct chunk_ref chunk = encode(VALUE_F64, CHUNK_POINTS_MAX, CHUNK_FAST);
    ck_assert_uint_eq(chunk.ticks_len, 0);
    ck_assert_uint_le(chunk.values_len, 9);
    check_range(&chunk, (struct time_range){ts[300], ts[500]});
    release(&chunk);
}
END_TEST

/* Series that are scraped together share their tick bytes, at whatever time. */
START_TEST(test_equal_patterns_are_equal_bytes)
{
    struct rng rng;
    rng_init(&rng, unit_seed());
    shape_ticks(ts, 500, (enum tick_shape)_i, &rng);
    memset(val, 0, 500 * sizeof(val[0]));
    struct chunk_ref a = encode(VALUE_F64, 500, CHUNK_FAST);
    for (size_t i = 0; i < 500; i++) ts[i] += 86400000;
    struct chunk_ref b = encode(VALUE_F64, 500, CHUNK_FAST);
    ck_assert_uint_eq(a.ticks_len, b.ticks_len);
    ck_assert_mem_eq(a.ticks, b.ticks, a.ticks_len);
    release(&a);
    release(&b);
}
END_TEST

START_TEST(test_appends_and_leaves_alone_on_failure)
{
    struct points pts = {0};
    struct rng rng;
    rng_init(&rng, unit_seed());
    shape_ticks(ts, 500, TICKS_JITTER, &rng);
    shape_values(val, 500, VALUE_F64, VALUES_GAUGE, &rng, &arena);
    struct chunk_ref chunk = encode(VALUE_F64, 500, (enum chunk_effort)_i);

    ck_assert_int_eq(chunk_decode_range(&pts, NULL, &chunk, always), ST_OK);
    ck_assert_int_eq(chunk_decode_range(&pts, NULL, &chunk, always), ST_OK);
    ck_assert_uint_eq(pts.n, 1000);
    ck_assert_mem_eq(pts.ts + 500, ts, 500 * sizeof(ts[0]));
    for (size_t cut = 0; cut < chunk.values_len; cut++) {
        struct chunk_ref part = chunk;
        part.values_len = cut;
        ck_assert_int_eq(chunk_decode_range(&pts, NULL, &part, always), ST_CORRUPT);
        ck_assert_uint_eq(pts.n, 1000);
    }
    for (size_t cut = 1; cut < chunk.ticks_len; cut++) {
        struct chunk_ref part = chunk;
        part.ticks_len = cut;
        ck_assert_int_eq(chunk_decode_range(&pts, NULL, &part, always), ST_CORRUPT);
        ck_assert_uint_eq(pts.n, 1000);
    }
    points_release(&pts);
    release(&chunk);
}
END_TEST

START_TEST(test_what_the_keeper_says_is_checked)
{
    struct points pts = {0};
    struct rng rng;
    rng_init(&rng, unit_seed());
    shape_ticks(ts, 300, TICKS_JITTER, &rng);
    shape_values(val, 300, VALUE_F64, VALUES_GAUGE, &rng, &arena);
    struct chunk_ref chunk = encode(VALUE_F64, 300, CHUNK_FAST), wrong;

    wrong = chunk, wrong.n = 299;
    ck_assert_int_eq(chunk_check(NULL, &wrong, NULL), ST_CORRUPT);
    wrong = chunk, wrong.n = 301;
    ck_assert_int_eq(chunk_check(NULL, &wrong, NULL), ST_CORRUPT);
    wrong = chunk, wrong.n = 0;
    ck_assert_int_eq(chunk_check(NULL, &wrong, NULL), ST_CORRUPT);
    wrong = chunk, wrong.n = CHUNK_POINTS_MAX + 1;
    ck_assert_int_eq(chunk_check(NULL, &wrong, NULL), ST_CORRUPT);
    wrong = chunk, wrong.ts.to++;
    ck_assert_int_eq(chunk_check(NULL, &wrong, NULL), ST_CORRUPT);
    wrong = chunk, wrong.ts.to = wrong.ts.from - 1;
    ck_assert_int_eq(chunk_check(NULL, &wrong, NULL), ST_CORRUPT);
    wrong = chunk, wrong.type = VALUE_I64;
    ck_assert_int_eq(chunk_check(NULL, &wrong, NULL), ST_CORRUPT);
    wrong = chunk, wrong.ticks_len = 0, wrong.ts.to = wrong.ts.from + 300 * 7 + 1;
    ck_assert_int_eq(chunk_check(NULL, &wrong, NULL), ST_CORRUPT);
    points_release(&pts);
    release(&chunk);
}
END_TEST

START_TEST(test_flipped_bytes_never_crash)
{
    static const struct time_range some = {1700000500000, 1700002000000};
    enum value_type type = (enum value_type)(_i / 3 + 1);
    struct points pts = {0};
    struct rng rng;
    rng_init(&rng, unit_seed());
    shape_ticks(ts, 400, type == VALUE_F64 ? TICKS_JITTER : TICKS_BURSTS, &rng);
    shape_values(val, 400, type, VALUES_COUNTER, &rng, &arena);
    struct chunk_ref chunk = encode(type, 400, (enum chunk_effort)(_i % 3));
    uint8_t *ticks = (uint8_t *)(uintptr_t)chunk.ticks;
    uint8_t *values = (uint8_t *)(uintptr_t)chunk.values;
    struct arena scratch;
    arena_init(&scratch, NULL, 4096);

    for (int round = 0; round < 1000; round++) {
        bool in_ticks = round % 3 == 0 && chunk.ticks_len > 0;
        size_t len = in_ticks ? chunk.ticks_len : chunk.values_len;
        /* Heads are small; aim at them half of the time. */
        size_t at = round % 2 || len < 24 ? rng_below(&rng, len) : rng_below(&rng, 24);
        uint8_t *byte = (in_ticks ? ticks : values) + at, was = *byte;
        *byte = (uint8_t)rng_next(&rng);
        if (chunk_check(&scratch, &chunk, NULL) == ST_OK) {
            ck_assert_int_eq(chunk_decode_range(&pts, &scratch, &chunk, always), ST_OK);
            assert_ascending(pts.ts, pts.n);
        }
        pts.n = 0;
        (void)!chunk_decode_range(&pts, &scratch, &chunk, some);
        pts.n = 0;
        *byte = was;
        arena_reset(&scratch);
    }
    arena_release(&scratch);
    points_release(&pts);
    release(&chunk);
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
    tcase_add_loop_test(tc, test_equal_patterns_are_equal_bytes, 0, TICKS_WILD);
    tcase_add_loop_test(tc, test_appends_and_leaves_alone_on_failure, CHUNK_FAST,
                        CHUNK_SMALLEST + 1);
    tcase_add_test(tc, test_what_the_keeper_says_is_checked);
    tcase_add_loop_test(tc, test_flipped_bytes_never_crash, 0, 3 * VALUE_HISTOGRAM);
    suite_add_tcase(s, tc);
    return s;
}
