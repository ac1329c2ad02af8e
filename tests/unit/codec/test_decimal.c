/* Goal: a column of doubles comes back bit for bit, whatever it holds, by the form that
 * suits it. Method: the kinds of data set C and named nasty columns at many lengths, by
 * every set of kernels, whole, block by block, with skips, and from bare residuals;
 * every encoding cut short; random doubles and random bytes. */
#include <math.h>

#include "base/bytes.h"
#include "base/panic.h"
#include "base/rng.h"
#include "codec/decimal.h"
#include "codec/entropy.h"
#include "codec/kernels.h"
#include "tests/lib/series_kinds.h"
#include "tests/unit/codec/codec_suites.h"
#include "tests/unit/unit.h"

enum { LONG = 2048 };

enum nasty {
    NASTY_STALE_END = N_SERIES_KINDS, /* a counter, then a stale marker */
    NASTY_NANS,                       /* NaNs of any payload among decimals */
    NASTY_INFINITIES,
    NASTY_MINUS_ZERO,
    NASTY_MISFITS, /* one in fifty is no decimal */
    NASTY_SUBNORMAL,
    NASTY_FLOATS, /* widened from 32 bits */
    NASTY_ALL_NAN,
    NASTY_BITS, /* any */
    NASTY_NEAR_2_53,
    NASTY_INT64,
    NASTY_FEW, /* of very different sizes */
    N_SHAPES,
};

static const char *shape_name(int shape)
{
    static const char *const names[] = {
        "stale at the end", "NaNs", "infinities", "minus zero", "misfits", "subnormal",
        "floats",           "all NaN", "any bits", "near 2^53",  "int64",   "sizes"};
    return shape < N_SERIES_KINDS ? kind_name((enum series_kind)shape)
                                  : names[shape - N_SERIES_KINDS];
}

static uint64_t nasty_value(int shape, size_t i, size_t n, struct rng *rng)
{
    uint64_t any = rng_next(rng);
    double cents = (double)(int64_t)(1000 + any % 500) / 100;

    switch (shape) {
    case NASTY_STALE_END:
        return i + 1 == n ? VALUE_STALE_BITS : f64_bits((double)(1000 + 1500 * i + any % 64));
    case NASTY_NANS:
        return any % 60 == 0 ? 0x7ff0000000000001 | rng_next(rng) >> 1 : f64_bits(cents);
    case NASTY_INFINITIES:
        return any % 40 == 0 ? 0x7ff0000000000000 | (any & 64) << 57 : f64_bits(cents);
    case NASTY_MINUS_ZERO: return any % 20 == 0 ? 1ull << 63 : f64_bits((double)(any % 3));
    case NASTY_MISFITS: return any % 50 == 0 ? f64_bits(rng_unit(rng)) : f64_bits(cents);
    case NASTY_SUBNORMAL: return any >> 13;
    case NASTY_FLOATS: return f64_bits((double)(float)rng_unit(rng));
    case NASTY_ALL_NAN: return 0x7ff8000000000000 | any >> 20;
    case NASTY_BITS: return any;
    case NASTY_NEAR_2_53: return f64_bits((double)((1ll << 53) - 64 + (int64_t)(any % 128)));
    case NASTY_INT64: return any % 2 ? INT64_MAX : (uint64_t)INT64_MIN;
    case NASTY_FEW: return f64_bits(pow(10, (double)(any % 40) - 20));
    }
    return 0;
}

static union value *make_shape(int shape, size_t n, struct rng *rng)
{
    union value *val = malloc(n * sizeof(val[0]));
    if (shape < N_SERIES_KINDS) {
        kind_fill(val, n, (enum series_kind)shape, rng);
    } else {
        for (size_t i = 0; i < n; i++) val[i].bits = nasty_value(shape, i, n, rng);
    }
    return val;
}

static void check_blocks(const union value *val, size_t n, enum value_type type,
                         const uint8_t *src, size_t len)
{
    struct decimal_reader rd;
    union value block[DECIMAL_BLOCK];
    size_t got;

    ck_assert_int_eq(decimal_open(&rd, type, n, src, len), ST_OK);
    for (size_t at = 0, run = 0; at < n; run++) {
        ck_assert_int_eq(decimal_skip(&rd, run), ST_OK);
        at += run * DECIMAL_BLOCK;
        for (size_t i = 0; i <= run && at < n; i++, at += got) {
            ck_assert_int_eq(decimal_next(&rd, block, &got), ST_OK);
            ck_assert_mem_eq(block, val + at, got * sizeof(val[0]));
        }
    }
    ck_assert_int_eq(decimal_next(&rd, block, &got), ST_OK);
    ck_assert_uint_eq(got, 0);
}

static void check_parts(const union value *val, size_t n, enum value_type type,
                        struct decimal_scratch *scratch)
{
    uint8_t *head = malloc(decimal_bound(n));
    union value block[DECIMAL_BLOCK];
    uint64_t r[2][KERNEL_ROOM];
    struct decimal_parts parts;
    struct decimal_reader rd;
    size_t used, got, taken[2] = {0, 0};

    decimal_split(&parts, head, type, val, n, scratch, entropy_guess);
    ck_assert_int_eq(decimal_join_open(&rd, type, n, &used, head, parts.head_len), ST_OK);
    ck_assert_uint_eq(used, parts.head_len);
    ck_assert_uint_eq(decimal_join_streams(&rd), parts.n_streams);
    for (size_t at = 0; at < n; at += got) {
        for (size_t i = 0; i < parts.n_streams; i++) {
            size_t want = decimal_join_wants(&rd, i);
            ck_assert_uint_le(taken[i] + want, parts.n_r[i]);
            memcpy(r[i], parts.r[i] + taken[i], want * sizeof(r[0][0]));
            taken[i] += want;
        }
        ck_assert_int_eq(decimal_join(&rd, block, &got, r[0], r[1]), ST_OK);
        ck_assert_mem_eq(block, val + at, got * sizeof(val[0]));
    }
    free(head);
}

/* Encodes, decodes in every way, cuts short. Returns the length. */
static size_t check_column(const union value *val, size_t n, enum value_type type,
                           const char *name)
{
    struct decimal_scratch scratch = {0};
    uint8_t *bytes = malloc(decimal_bound(n));
    union value *back = malloc(n * sizeof(back[0]));

    ck_assert_int_eq(decimal_scratch_reserve(&scratch, n), ST_OK);
    size_t len = decimal_encode(bytes, type, val, n, &scratch);
    ck_assert_uint_le(len, decimal_bound(n));
    uint8_t *exact = malloc(len);
    memcpy(exact, bytes, len);
    for (unsigned set = 0; kernels_nth(set); set++) {
        kernels_use(kernels_nth(set));
        ck_assert_uint_eq(decimal_encode(bytes, type, val, n, &scratch), len);
        ck_assert_msg(memcmp(bytes, exact, len) == 0, "%s by %s", name, kernels()->name);
        ck_assert_int_eq(decimal_decode(back, type, n, exact, len), ST_OK);
        ck_assert_msg(memcmp(back, val, n * sizeof(val[0])) == 0, "%s of %zu", name, n);
    }
    kernels_use(NULL);
    for (size_t cut = 0; cut < len; cut += 1 + cut / 20) {
        uint8_t *part = malloc(cut + 1);
        memcpy(part, exact, cut);
        ck_assert_int_eq(decimal_decode(back, type, n, part, cut), ST_CORRUPT);
        free(part);
    }
    check_blocks(val, n, type, exact, len);
    check_parts(val, n, type, &scratch);
    decimal_scratch_release(&scratch);
    free(bytes);
    free(back);
    free(exact);
    return len;
}

START_TEST(test_round_trip)
{
    static const size_t lengths[] = {1, 2, 3, 4, 15, 16, 17, 32, 120, 128, 129, 300, LONG};
    struct rng rng;

    rng_init(&rng, unit_seed());
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        for (int type = VALUE_F64; type <= VALUE_U64; type++) {
            union value *val = make_shape(_i, lengths[i], &rng);
            (void)check_column(val, lengths[i], (enum value_type)type, shape_name(_i));
            free(val);
        }
    }
}
END_TEST

START_TEST(test_the_longest_column)
{
    struct rng rng;
    rng_init(&rng, unit_seed());
    union value *val = make_shape(KIND_TWO_DECIMALS, DECIMAL_COLUMN_MAX, &rng);
    val[DECIMAL_COLUMN_MAX - 1].bits = VALUE_STALE_BITS;
    (void)check_column(val, DECIMAL_COLUMN_MAX, VALUE_F64, "longest");
    free(val);
}
END_TEST

/* Bytes a value of the PFOR column of the design's table, which this must not exceed by
 * more than a tenth; and some forms that must be found. */
static const struct {
    int shape;
    double size;
} sizes[] = {
    {KIND_CONSTANT, 0.01},    {KIND_IDLE, 0.074},        {KIND_EVENTS, 0.878},
    {KIND_BYTES, 2.263},      {KIND_CENTISECONDS, 1.042}, {KIND_PAGES, 1.027},
    {KIND_TWO_DECIMALS, 0.636}, {KIND_ACCUMULATED, 2.524}, {KIND_NOISE, 6.979},
    {NASTY_STALE_END, 0.89},  {NASTY_MISFITS, 1.5},      {NASTY_MINUS_ZERO, 0.6},
    {NASTY_FLOATS, 4.2},      {NASTY_NEAR_2_53, 1.0},
};

START_TEST(test_sizes)
{
    struct rng rng;
    size_t sum = 0;

    rng_init(&rng, unit_seed());
    for (int i = 0; i < 4; i++) {
        union value *val = make_shape(sizes[_i].shape, LONG, &rng);
        sum += check_column(val, LONG, VALUE_F64, shape_name(sizes[_i].shape));
        free(val);
    }
    ck_assert_msg((double)sum <= 1.1 * 4 * LONG * sizes[_i].size, "%s: %.3f bytes a value",
                  shape_name(sizes[_i].shape), (double)sum / 4 / LONG);
}
END_TEST

/* Layouts are for ever: the example of docs/formats/chunk.md, and one of each form. */
static const struct {
    const char *name;
    union value val[4];
    size_t n;
    const char *bytes;
    size_t len;
} golden[] = {
    {"ramp", {{0x3ff4000000000000}, {0x3ff8000000000000}, {0x3ffc000000000000}}, 3,
     "\x24\xfa\x01\x32", 4},
    {"stale", {{0x3ff0000000000000}, {0x4000000000000000}, {0x4008000000000000},
               {VALUE_STALE_BITS}}, 4, "\xd4\x02\x02\x40\x01\x19", 6},
    {"raw", {{0x7ff8000000000005}}, 1,
     "\xd4\x8a\x80\x80\x80\x80\x80\x80\xf8\xff\x01\x00\x20", 13},
};

START_TEST(test_golden_bytes)
{
    uint8_t bytes[200];
    size_t len = decimal_encode(bytes, VALUE_F64, golden[_i].val, golden[_i].n, NULL);
    ck_assert_uint_eq(len, golden[_i].len);
    ck_assert_msg(memcmp(bytes, golden[_i].bytes, len) == 0, "%s", golden[_i].name);
}
END_TEST

START_TEST(test_a_hint_costs_nothing_when_wrong)
{
    union value val[32], back[32];
    uint8_t *bytes = malloc(decimal_bound(32));

    for (unsigned hint = 0; hint < 256; hint += hint < 20 ? 1 : 59) {
        for (size_t i = 0; i < 32; i++) val[i].bits = f64_bits((double)(i * i) / 100);
        uint8_t exponent = (uint8_t)hint;
        size_t len = decimal_encode_block(bytes, VALUE_F64, val, 32, &exponent);
        ck_assert_uint_le(len, 28);
        ck_assert_int_eq(decimal_decode(back, VALUE_F64, 32, bytes, len), ST_OK);
        ck_assert_mem_eq(back, val, sizeof(val));
        ck_assert_uint_eq(exponent, 2);
    }
    free(bytes);
}
END_TEST

START_TEST(test_random_doubles)
{
    struct rng rng;
    rng_init(&rng, unit_seed());
    for (int round = 0; round < 300; round++) {
        size_t n = 1 + rng_below(&rng, 400);
        union value *val = malloc(n * sizeof(val[0]));
        int a = (int)rng_below(&rng, N_SHAPES), b = (int)rng_below(&rng, N_SHAPES);
        union value *left = make_shape(a, n, &rng), *right = make_shape(b, n, &rng);
        uint64_t rare = 1 + rng_below(&rng, 100);
        for (size_t i = 0; i < n; i++) val[i] = rng_below(&rng, rare) ? left[i] : right[i];
        (void)check_column(val, n, VALUE_F64, "two mixed");
        free(val);
        free(left);
        free(right);
    }
}
END_TEST

START_TEST(test_hostile_bytes)
{
    union value val[400];
    struct rng rng;

    rng_init(&rng, unit_seed());
    for (int round = 0; round < 10000; round++) {
        size_t len = rng_below(&rng, 60), n = 1 + rng_below(&rng, 400);
        uint8_t *bytes = malloc(len + 1);
        for (size_t i = 0; i < len; i++) {
            bytes[i] = (uint8_t)(rng_next(&rng) >> rng_below(&rng, 8));
        }
        if (len && round % 2) bytes[0] = (uint8_t)(13 << 4 | bytes[0] % 8);
        status st = decimal_decode(val, VALUE_F64, n, bytes, len);
        if (st != ST_OK && st != ST_CORRUPT) ck_abort_msg("status %d", (int)st);
        free(bytes);
    }
    ck_assert_int_eq(decimal_decode(val, VALUE_BOOL, 1, (const uint8_t *)"\4\0\0", 3), ST_CORRUPT);
    ck_assert_int_eq(decimal_decode(val, VALUE_F64, 0, (const uint8_t *)"\4\0\0", 3), ST_CORRUPT);
    ck_assert_int_eq(decimal_decode(val, VALUE_F64, 1, (const uint8_t *)"\4\0\0", 3), ST_OK);
    ck_assert_int_eq(decimal_decode(val, VALUE_F64, 1, (const uint8_t *)"\4\0\0\0", 4), ST_CORRUPT);
}
END_TEST

Suite *suite_decimal(void)
{
    Suite *s = suite_create("decimal");
    TCase *t = tcase_create("decimal");
    tcase_set_timeout(t, 30);
    tcase_add_loop_test(t, test_round_trip, 0, N_SHAPES);
    tcase_add_test(t, test_the_longest_column);
    tcase_add_loop_test(t, test_sizes, 0, (int)ARRAY_LEN(sizes));
    tcase_add_loop_test(t, test_golden_bytes, 0, (int)ARRAY_LEN(golden));
    tcase_add_test(t, test_a_hint_costs_nothing_when_wrong);
    tcase_add_test(t, test_random_doubles);
    tcase_add_test(t, test_hostile_bytes);
    suite_add_tcase(s, t);
    return s;
}
