/* Goal: mini-blocks of every type and shape come back and refuse damage. Method:
 * random blocks, every cut, any bytes. */
#include "base/arena.h"
#include "base/panic.h"
#include "codec/block.h"
#include "codec/chunk.h"
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

/* The block at its exact length before CHUNK_PAD bytes of anything. */
static uint8_t *with_pad(const uint8_t *src, size_t len)
{
    uint8_t *bytes = malloc(len + CHUNK_PAD);
    memcpy(bytes, src, len);
    memset(bytes + len, 0xa5, CHUNK_PAD);
    return bytes;
}

static status decode(struct points *pts, enum value_type type, const struct block_before *before,
                     const uint8_t *src, size_t len, size_t *used)
{
    struct block_head head;
    TRY(block_look(&head, before, src, len));
    ck_assert_uint_le(head.len, len);
    *used = head.len;
    return block_decode(pts, &arena, type, &head);
}

static void check_block(const ts_time *ts, const union value *val, size_t n,
                        enum value_type type, const struct block_before *before)
{
    size_t bound = block_bound(type, type >= VALUE_BYTES ? val : NULL, n), used = 0;
    uint8_t *bytes = malloc(bound + CHUNK_PAD);
    size_t len = block_encode(bytes, type, before, ts, val, n);
    struct points pts = {0};
    struct block_head head;

    ck_assert_uint_le(len, bound);
    bytes = realloc(bytes, len + CHUNK_PAD);
    ck_assert_int_eq(block_look(&head, before, bytes, len), ST_OK);
    ck_assert_uint_eq(head.n, n);
    ck_assert_int_eq(head.ts.from, ts[0]);
    ck_assert_int_eq(head.ts.to, ts[n - 1]);
    ck_assert_int_eq(decode(&pts, type, before, bytes, len, &used), ST_OK);
    ck_assert_uint_eq(used, len);
    ck_assert_uint_eq(pts.n, n);
    ck_assert_mem_eq(pts.ts, ts, n * sizeof(ts[0]));
    assert_same_values(val, pts.val, n, type, value_type_name(type));
    bool refused = true;
    for (size_t cut = 0; cut < len && refused; cut += 1 + len / 70) {
        uint8_t *part = with_pad(bytes, cut);
        refused = decode(&pts, type, before, part, cut, &used) == ST_CORRUPT && pts.n == n;
        free(part);
    }
    ck_assert_msg(refused, "accepts a part of %zu bytes", len);
    ck_assert_int_eq(block_look(&head, before, bytes, len + 1), ST_OK); /* others may follow */
    ck_assert_uint_eq(head.len, len);
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
        /* Nothing before it; some block; one that it goes on from when it has its step. */
        struct block_before before = {ts[0], 0};
        if (round % 3 == 1) before = (struct block_before){ts[0] / 2, rng_below(&rng, 100)};
        if (round % 3 == 2 && n > 1 && ts[0] > 0 && ts[1] - ts[0] < ts[0])
            before = (struct block_before){ts[0] - (ts[1] - ts[0]), (uint64_t)(ts[1] - ts[0])};
        check_block(ts, val, n, type, &before);
        arena_reset(&arena);
    }
}
END_TEST

/* What a scraped, unchanged series takes in a head. */
START_TEST(test_a_steady_block_is_a_few_bytes)
{
    ts_time ts[32];
    union value val[32];
    uint8_t bytes[2048];

    for (size_t i = 0; i < 32; i++) {
        ts[i] = (ts_time)(1700000000000 + 15000 * i);
        val[i].bits = f64_bits(42);
    }
    struct block_before none = {ts[0], 0}, before = {ts[0] - 15000, 15000};
    struct block_head head;
    ck_assert_uint_le(block_encode(bytes, VALUE_F64, &none, ts, val, 32), 15);
    ck_assert_uint_le(block_encode(bytes, VALUE_F64, &before, ts, val, 32), 11);
    ck_assert_int_eq(block_look(&head, &before, bytes, 11), ST_OK);
    ck_assert_int_eq(head.ts.to, ts[31]);

    /* What follows nothing, or the end of time, is refused. */
    ck_assert_int_eq(block_look(&head, &none, bytes, 11), ST_CORRUPT);
    ck_assert_int_eq(block_look(&head, &(struct block_before){TS_MAX - 31, 1}, bytes, 11),
                     ST_CORRUPT);
    ck_assert_int_eq(block_look(&head, &(struct block_before){TS_MAX - 32, 1}, bytes, 11), ST_OK);
    ck_assert_int_eq(head.ts.to, TS_MAX);
}
END_TEST

START_TEST(test_any_bytes)
{
    struct points pts = {0};
    struct rng rng;
    rng_init(&rng, unit_seed());

    for (int round = 0; round < 20000; round++) {
        size_t len = rng_below(&rng, 50);
        uint8_t *bytes = malloc(len + CHUNK_PAD);
        for (size_t i = 0; i < len + CHUNK_PAD; i++) {
            bytes[i] = (uint8_t)rng_below(&rng, i < 5 ? 40 : 256);
        }
        enum value_type type = (enum value_type)(VALUE_F64 + rng_below(&rng, VALUE_HISTOGRAM));
        size_t used;
        (void)!decode(&pts, type, &(struct block_before){0, rng_below(&rng, 3)}, bytes, len, &used);
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
    tcase_add_test(tc, test_a_steady_block_is_a_few_bytes);
    tcase_add_test(tc, test_any_bytes);
    suite_add_tcase(s, tc);
    return s;
}
