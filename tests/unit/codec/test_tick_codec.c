/* Goal: every timestamp codec gives back what it was given, at the size it promised,
 * and refuses bytes that it did not write; the choice is the smallest. Method: a table
 * of shapes, each through each codec, then each encoding cut short at every byte,
 * lengthened by one, and bytes with hand-made faults. */
#include "base/panic.h"
#include "base/rng.h"
#include "codec/tick_codec.h"
#include "tests/unit/codec/codec_shapes.h"
#include "tests/unit/codec/codec_suites.h"
#include "tests/unit/unit.h"

static const struct shape {
    const char *name;
    size_t n;
    ts_time ts[8];
    enum tick_codec best;
} shapes[] = {
    {"one point", 1, {42}, TICK_FIXED_STEP},
    {"one negative point", 1, {-1700000000000}, TICK_FIXED_STEP},
    {"steady scrape", 5, {0, 15, 30, 45, 60}, TICK_FIXED_STEP},
    {"two points", 2, {5, 1000}, TICK_FIXED_STEP},
    {"jitter of a few", 5, {0, 15, 31, 44, 60}, TICK_DELTA_VARINT},
    {"the far ends", 2, {TS_MIN, TS_MAX}, TICK_FIXED_STEP},
    {"the far ends and 0", 3, {TS_MIN, 0, TS_MAX}, TICK_DOD_BITS},
    {"late, then on time", 8, {0, 15003, 30000, 45000, 60000, 75000, 90000, 105000}, TICK_DOD_BITS},
    {"a gap", 8, {0, 15000, 30000, 75000, 90000, 105000, 120000, 135000}, TICK_GRID},
    {"growing", 8, {0, 10000, 20001, 30003, 40006, 50010, 60015, 70021}, TICK_DOD_BITS},
    {"ends at the end", 4, {TS_MAX - 9, TS_MAX - 8, TS_MAX - 4, TS_MAX}, TICK_DOD_BITS},
};

static bool can_express(enum tick_codec codec, const ts_time *ts, size_t n)
{
    return tick_cost(codec, ts, n) != SIZE_MAX;
}

static void check_cuts(const uint8_t *bytes, size_t len, enum tick_codec codec, ts_time base,
                       size_t n, const char *name)
{
    ts_time back[TICK_POINTS_MAX];

    bool refused = true;
    size_t cut = 0;
    for (; cut < len && refused; cut++) {
        uint8_t *part = malloc(cut + 1);
        memcpy(part, bytes, cut);
        refused = tick_decode(back, n, codec, base, part, cut) == ST_CORRUPT;
        free(part);
    }
    ck_assert_msg(refused, "%s: codec %d accepts %zu of %zu bytes", name, codec, cut - 1, len);
    uint8_t *more = malloc(len + 1);
    memcpy(more, bytes, len);
    more[len] = 0;
    ck_assert_msg(tick_decode(back, n, codec, base, more, len + 1) == ST_CORRUPT,
                  "%s: codec %d accepts a byte too many", name, codec);
    free(more);
}

static void check_round_trip(const ts_time *ts, size_t n, enum tick_codec codec, ts_time base,
                             const char *name)
{
    ts_time back[TICK_POINTS_MAX];
    uint8_t *bytes = malloc(tick_bound(n));
    size_t len = tick_encode(bytes, codec, base, ts, n);

    ck_assert_msg(len <= tick_bound(n), "%s: codec %d", name, codec);
    if (base == ts[0]) ck_assert_uint_eq(len, tick_cost(codec, ts, n));
    ck_assert_msg(tick_decode(back, n, codec, base, bytes, len) == ST_OK, "%s: codec %d", name,
                  codec);
    ck_assert_mem_eq(back, ts, n * sizeof(back[0]));
    check_cuts(bytes, len, codec, base, n, name);
    free(bytes);
}

START_TEST(test_round_trip)
{
    const struct shape *s = &shapes[_i];

    for (unsigned codec = TICK_FIXED_STEP; tick_codec_valid(codec); codec++) {
        if (!can_express((enum tick_codec)codec, s->ts, s->n)) continue;
        check_round_trip(s->ts, s->n, (enum tick_codec)codec, 0, s->name);
        check_round_trip(s->ts, s->n, (enum tick_codec)codec, s->ts[0], s->name);
        check_round_trip(s->ts, s->n, (enum tick_codec)codec, TS_MAX, s->name);
    }
    ck_assert_msg(tick_choose(s->ts, s->n) == s->best, "%s: chose %s", s->name,
                  tick_codec_name(tick_choose(s->ts, s->n)));
}
END_TEST

START_TEST(test_random_round_trip)
{
    enum tick_shape shape = (enum tick_shape)_i;
    struct rng rng;
    ts_time ts[TICK_POINTS_MAX];
    rng_init(&rng, unit_seed());

    for (int round = 0; round < 40; round++) {
        size_t n = 1 + rng_below(&rng, TICK_POINTS_MAX);
        shape_ticks(ts, n, shape, &rng);
        size_t least = SIZE_MAX;
        for (unsigned codec = TICK_FIXED_STEP; tick_codec_valid(codec); codec++) {
            if (!can_express((enum tick_codec)codec, ts, n)) continue;
            check_round_trip(ts, n, (enum tick_codec)codec, ts[0], tick_shape_name(shape));
            size_t len = tick_cost((enum tick_codec)codec, ts, n);
            if (len < least) least = len;
        }
        ck_assert_uint_eq(tick_cost(tick_choose(ts, n), ts, n), least);
    }
}
END_TEST

/* The sizes that performance.md 3.3 measured are what the grid is for. */
START_TEST(test_jitter_stays_under_a_byte)
{
    struct rng rng;
    ts_time ts[TICK_POINTS_MAX];
    rng_init(&rng, unit_seed());

    for (size_t i = 0; i < TICK_POINTS_MAX; i++) {
        ts[i] = (ts_time)(i * 15000 + rng_below(&rng, 20) + 1700000000000u);
    }
    ck_assert_int_eq(tick_choose(ts, TICK_POINTS_MAX), TICK_GRID);
    ck_assert_uint_lt(tick_cost(TICK_GRID, ts, TICK_POINTS_MAX), TICK_POINTS_MAX * 7 / 10);
    for (size_t i = 0; i < TICK_POINTS_MAX; i++) {
        ts[i] = (ts_time)(i * 15000 + (rng_below(&rng, 20) == 0) + 1700000000000u);
    }
    ck_assert_uint_lt(tick_cost(tick_choose(ts, TICK_POINTS_MAX), ts, TICK_POINTS_MAX), 40);
}
END_TEST

static const struct bad {
    const char *name;
    enum tick_codec codec;
    size_t n, len;
    uint8_t bytes[16];
} bad[] = {
    {"fixed: step 0", TICK_FIXED_STEP, 2, 2, {0, 0}},
    {"fixed: past the end of time", TICK_FIXED_STEP, 3, 11,
     {2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0}},
    {"delta: 0", TICK_DELTA_VARINT, 2, 2, {0, 0}},
    {"delta: overlong varint", TICK_DELTA_VARINT, 2, 12,
     {0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1}},
    {"dod: first difference 0", TICK_DOD_BITS, 3, 3, {0, 0, 0}},
    {"dod: difference becomes 0", TICK_DOD_BITS, 3, 3, {0, 1, 0x05}},
    {"dod: padding not zero", TICK_DOD_BITS, 3, 3, {0, 1, 0x02}},
    {"grid: step 0, no residual", TICK_GRID, 2, 5, {0, 0, 0, 0, 0}},
    {"grid: more misses than points", TICK_GRID, 2, 9, {0, 5, 2, 0, 1, 0, 1, 0, 0}},
    {"grid: miss of nothing", TICK_GRID, 3, 7, {0, 5, 1, 0, 0, 0, 0}},
    {"grid: miss outside", TICK_GRID, 3, 7, {0, 5, 1, 2, 1, 0, 0}},
    {"grid: same miss twice", TICK_GRID, 3, 9, {0, 5, 2, 0, 1, 0, 1, 0, 0}},
    {"grid: residual undoes the step", TICK_GRID, 2, 5, {0, 5, 0, 9, 0}},
    {"grid: width 127", TICK_GRID, 2, 6, {0, 5, 0, 0, 0x7f, 0}},
    {"no such codec", (enum tick_codec)5, 1, 1, {0}},
    {"codec 0", (enum tick_codec)0, 1, 1, {0}},
    {"no points", TICK_DELTA_VARINT, 0, 1, {0}},
    {"too many points", TICK_FIXED_STEP, TICK_POINTS_MAX + 1, 2, {0, 1}},
};

START_TEST(test_refuses_what_no_writer_writes)
{
    const struct bad *b = &bad[_i];
    ts_time ts[TICK_POINTS_MAX + 1];
    ck_assert_msg(tick_decode(ts, b->n, b->codec, 0, b->bytes, b->len) == ST_CORRUPT, "%s",
                  b->name);
}
END_TEST

/* Any bytes: an answer, no crash, and what is accepted ascends. */
START_TEST(test_any_bytes)
{
    struct rng rng;
    ts_time ts[TICK_POINTS_MAX];
    rng_init(&rng, unit_seed());

    for (int round = 0; round < 20000; round++) {
        size_t len = rng_below(&rng, 40), n = 1 + rng_below(&rng, 12);
        uint8_t *bytes = malloc(len + 1);
        for (size_t i = 0; i < len; i++) {
            bytes[i] = (uint8_t)rng_next(&rng) & (rng_below(&rng, 2) ? 0x07 : 0xff);
        }
        enum tick_codec codec = (enum tick_codec)(1 + rng_below(&rng, 4));
        ts_time base = (ts_time)rng_next(&rng);
        if (tick_decode(ts, n, codec, base, bytes, len) == ST_OK) {
            assert_ascending(ts, n);
        }
        free(bytes);
    }
}
END_TEST

static void encode_descending(void)
{
    static const ts_time ts[] = {2, 1};
    uint8_t dst[256];
    tick_encode(dst, TICK_DELTA_VARINT, 0, ts, 2);
}

START_TEST(test_the_encoder_insists_on_order)
{
    encode_descending();
}
END_TEST

Suite *suite_tick_codec(void)
{
    Suite *s = suite_create("tick_codec");
    TCase *tc = tcase_create("tick_codec");
    tcase_add_loop_test(tc, test_round_trip, 0, ARRAY_LEN(shapes));
    tcase_add_loop_test(tc, test_random_round_trip, 0, N_TICK_SHAPES);
    tcase_add_test(tc, test_jitter_stays_under_a_byte);
    tcase_add_loop_test(tc, test_refuses_what_no_writer_writes, 0, ARRAY_LEN(bad));
    tcase_add_test(tc, test_any_bytes);
    tcase_add_test_raise_signal(tc, test_the_encoder_insists_on_order, 6);
    suite_add_tcase(s, tc);
    return s;
}
