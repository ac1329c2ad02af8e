/* Goal: mini-blocks of every type and shape come back, say how long they are, and
 * refuse damage. Method: random blocks, blocks in a row, every cut, any bytes. */
#include "base/arena.h"
#include "base/panic.h"
#include "codec/block.h"
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

static void check_block(const ts_time *ts, const union value *val, size_t n,
                        enum value_type type)
{
    size_t bound = block_bound(type, type >= VALUE_BYTES ? val : NULL, n);
    uint8_t *bytes = malloc(bound);
    size_t len = block_encode(bytes, type, ts, val, n), used = 0;
    struct points pts = {0};
    struct block_info info;

    ck_assert_uint_le(len, bound);
    ck_assert_int_eq(block_info(&info, bytes, len), ST_OK);
    ck_assert_uint_eq(info.n, n);
    ck_assert_uint_eq(info.len, len);
    ck_assert_int_eq(info.type, type);
    ck_assert_int_eq(info.from, ts[0]);
    ck_assert_int_eq(block_decode(&pts, &arena, bytes, len, &used), ST_OK);
    ck_assert_uint_eq(used, len);
    ck_assert_uint_eq(pts.n, n);
    ck_assert_mem_eq(pts.ts, ts, n * sizeof(ts[0]));
    assert_same_values(val, pts.val, n, type, value_type_name(type));
    bool refused = true;
    for (size_t cut = 0; cut < len && refused; cut += 1 + len / 70) {
        uint8_t *part = malloc(cut + 1);
        memcpy(part, bytes, cut);
        refused = block_decode(&pts, &arena, part, cut, NULL) == ST_CORRUPT && pts.n == n;
        free(part);
    }
    ck_assert_msg(refused, "accepts a part of %zu bytes", len);
    points_release(&pts);
    free(bytes);
}

START_TEST(test_round_trip)
{
    enum value_type type = (enum value_type)_i;
    ts_time ts[BLOCK_POINTS_MAX];
    union value val[BLOCK_POINTS_MAX];
    struct rng rng;
    rng_init(&rng, unit_seed());

    for (int round = 0; round < 60; round++) {
        size_t n = round < 8 ? (size_t)(round + 1) : 1 + rng_below(&rng, BLOCK_POINTS_MAX);
        shape_ticks(ts, n, (enum tick_shape)rng_below(&rng, N_TICK_SHAPES), &rng);
        shape_values(val, n, type, (enum value_shape)rng_below(&rng, N_VALUE_SHAPES), &rng,
                     &arena);
        check_block(ts, val, n, type);
        arena_reset(&arena);
    }
}
END_TEST

START_TEST(test_blocks_follow_each_other)
{
    ts_time ts[64];
    union value val[64];
    struct points pts = {0};
    uint8_t bytes[8192];
    struct rng rng;
    size_t len = 0, at = 0, used;
    rng_init(&rng, unit_seed());

    shape_ticks(ts, 64, TICKS_JITTER, &rng);
    shape_values(val, 64, VALUE_F64, VALUES_GAUGE, &rng, &arena);
    len += block_encode(bytes, VALUE_F64, ts, val, 40);
    len += block_encode(bytes + len, VALUE_F64, ts + 40, val + 40, 24);
    while (at < len) {
        ck_assert_int_eq(block_decode(&pts, NULL, bytes + at, len - at, &used), ST_OK);
        at += used;
    }
    ck_assert_uint_eq(pts.n, 64);
    ck_assert_mem_eq(pts.ts, ts, sizeof(ts));
    assert_same_values(val, pts.val, 64, VALUE_F64, "two blocks");
    ck_assert_int_eq(block_decode(&pts, NULL, bytes, len, NULL), ST_CORRUPT);
    ck_assert_uint_eq(pts.n, 64);
    points_release(&pts);
}
END_TEST

START_TEST(test_any_bytes)
{
    struct points pts = {0};
    struct rng rng;
    rng_init(&rng, unit_seed());

    for (int round = 0; round < 20000; round++) {
        size_t len = rng_below(&rng, 50);
        uint8_t *bytes = malloc(len + 1);
        for (size_t i = 0; i < len; i++) bytes[i] = (uint8_t)rng_below(&rng, i < 5 ? 40 : 256);
        (void)!block_decode(&pts, &arena, bytes, len, NULL);
        pts.n = 0;
        free(bytes);
        arena_reset(&arena);
    }
    points_release(&pts);
}
END_TEST

Suite *suite_block(void)
{
    Suite *s = suite_create("block");
    TCase *tc = tcase_create("block");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, test_round_trip, VALUE_F64, VALUE_HISTOGRAM + 1);
    tcase_add_test(tc, test_blocks_follow_each_other);
    tcase_add_test(tc, test_any_bytes);
    suite_add_tcase(s, tc);
    return s;
}
