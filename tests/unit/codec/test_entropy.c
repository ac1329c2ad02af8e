/* Goal: class streams come back, near their entropy, and hostile ones do no harm.
 * Method: streams of every shape of sizes, read in pieces of every length; every cut; any
 * bytes. */
#include "base/bits.h"
#include "base/panic.h"
#include "base/rng.h"
#include "codec/entropy.h"
#include "codec/kernels.h"
#include "tests/unit/codec/codec_suites.h"
#include "tests/unit/unit.h"

enum { N_MAX = 5000 };

static uint64_t v[N_MAX], back[N_MAX], words[N_MAX];

/* Numbers of the kind _i: of one class, of few, of all, and of nothing but 64 bits. */
static void fill(size_t n, int kind, struct rng *rng)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t bits = rng_next(rng);
        unsigned width = kind == 0   ? 0
                         : kind == 1 ? 5
                         : kind == 2 ? (unsigned)trailing_zeros(bits | 1ull << 20)
                         : kind == 3 ? (unsigned)rng_below(rng, 65)
                                     : 64;
        v[i] = width ? rng_next(rng) >> (64 - width) : 0;
    }
}

static status read_all(size_t n, const uint8_t *src, size_t len, size_t piece)
{
    struct entropy_reader rd;

    TRY(entropy_open(&rd, src, len));
    for (size_t at = 0; at < n; at += piece) {
        entropy_next(&rd, back + at, n - at < piece ? n - at : piece);
    }
    return entropy_done(&rd);
}

START_TEST(test_round_trip)
{
    static const size_t sizes[] = {0, 1, 2, 3, 4, 5, 127, 128, 1000, N_MAX};
    struct rng rng;
    rng_init(&rng, unit_seed());

    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        size_t n = sizes[s];
        fill(n, _i, &rng);
        uint8_t *bytes = malloc(entropy_bound(n));
        size_t len = entropy_encode(bytes, v, n, words);
        ck_assert_uint_le(len, entropy_bound(n));
        bytes = realloc(bytes, len + 1);
        for (size_t piece = 1; piece < 140; piece += 1 + piece / 2) {
            ck_assert_int_eq(read_all(n, bytes, len, piece), ST_OK);
            ck_assert_mem_eq(back, v, n * sizeof(v[0]));
        }
        for (unsigned set = 0; kernels_nth(set); set++) {
            kernels_use(kernels_nth(set));
            ck_assert_msg(read_all(n, bytes, len, 128) == ST_OK, "%s", kernels_nth(set)->name);
            ck_assert_mem_eq(back, v, n * sizeof(v[0]));
        }
        kernels_use(NULL);
        /* One number may have no bits, but not many. */
        if (n > 100) ck_assert_int_eq(read_all(n - 16, bytes, len, 128), _i ? ST_CORRUPT : ST_OK);
        for (size_t cut = len > 40 ? len - 40 : 1; cut < len; cut++) {
            uint8_t *part = malloc(cut);
            memcpy(part, bytes, cut);
            ck_assert_int_eq(read_all(n, part, cut, 128), ST_CORRUPT);
            free(part);
        }
        free(bytes);
    }
}
END_TEST

/* Half of the numbers are 0, a quarter 1, and so on: 2 bits a class, and the low bits. */
START_TEST(test_near_the_entropy)
{
    uint8_t *bytes = malloc(entropy_bound(N_MAX));
    struct rng rng;
    size_t raw_bits = 0;
    rng_init(&rng, unit_seed());
    fill(N_MAX, 2, &rng);
    for (size_t i = 0; i < N_MAX; i++) {
        unsigned width = bit_width(v[i]);
        raw_bits += width > 1 ? width - 1 : 0;
    }
    size_t len = entropy_encode(bytes, v, N_MAX, words);
    ck_assert_uint_lt(len, (N_MAX * 205 / 100 + raw_bits) / 8 + 60);
    free(bytes);
}
END_TEST

/* Ranges that are no powers of two: by exact classes or equal steps, within 2 %. */
static const struct range {
    uint64_t most;
    unsigned millibits; /* 1000 log2(most) */
    bool wide;          /* times 2^40, plus any bits */
} ranges[] = {
    {3, 1585, false},       {25, 4644, false},   {95, 6570, false},  {230, 7845, false},
    {200000, 17610, false}, {1300, 10344, false}, {25, 4644, true},
};

START_TEST(test_near_the_range)
{
    const struct range *range = &ranges[_i];
    uint8_t *bytes = malloc(entropy_bound(N_MAX));
    struct rng rng;
    rng_init(&rng, unit_seed());

    for (size_t i = 0; i < N_MAX; i++) {
        v[i] = rng_below(&rng, range->most);
        if (range->wide) v[i] = v[i] << 40 | rng_next(&rng) >> 24;
    }
    size_t len = entropy_encode(bytes, v, N_MAX, words);
    size_t bits = N_MAX * (range->millibits + (range->wide ? 40000 : 0)) / 1000;
    ck_assert_uint_lt(len, bits * 102 / 800 + 12);
    ck_assert_uint_gt(len, bits * 98 / 800);
    ck_assert_uint_lt(entropy_guess(v, N_MAX), len * 8 * 105 / 100);
    ck_assert_uint_gt(entropy_guess(v, N_MAX), len * 8 * 95 / 100);
    ck_assert_int_eq(read_all(N_MAX, bytes, len, 128), ST_OK);
    ck_assert_mem_eq(back, v, sizeof(v));
    free(bytes);
}
END_TEST

/* What hostile bytes give does not matter, but all sets of kernels give the same. */
static void read_alike(const uint8_t *bytes, size_t len)
{
    static uint64_t first[300];
    struct entropy_reader *rd = malloc(sizeof(*rd));
    status st = ST_OK;

    for (unsigned set = 0; kernels_nth(set); set++) {
        kernels_use(kernels_nth(set));
        ck_assert_int_eq(entropy_open(rd, bytes, len), ST_OK);
        entropy_next(rd, back, 300);
        status end = entropy_done(rd);
        if (set == 0) {
            memcpy(first, back, sizeof(first));
            st = end;
        }
        ck_assert_mem_eq(back, first, sizeof(first));
        ck_assert_int_eq(end, st);
    }
    kernels_use(NULL);
    free(rd);
}

/* Each flag of the head alone, over good and over any bytes behind it. */
START_TEST(test_any_head)
{
    struct rng rng;
    size_t n_opened = 0;
    rng_init(&rng, unit_seed());

    for (int round = 0; round < 8000; round++) {
        size_t len = 4 + rng_below(&rng, 80);
        uint8_t *bytes = malloc(len);
        for (size_t i = 0; i < len; i++) bytes[i] = (uint8_t)rng_below(&rng, 256);
        bytes[2] %= 40;
        struct entropy_reader *rd = malloc(sizeof(*rd));
        if (entropy_open(rd, bytes, len) == ST_OK) {
            n_opened++;
            read_alike(bytes, len);
        }
        free(rd);
        free(bytes);
    }
    ck_assert_uint_gt(n_opened, 20);
}
END_TEST

/* The example of docs/formats/chunk.md. */
START_TEST(test_as_drawn)
{
    static const uint64_t numbers[] = {5, 5, 9, 5, 5, 5};
    static const uint8_t drawn[] = {0xcf, 0x40, 0x04, 0x05, 0x05, 0xec, 0x00, 0x03, 0x00};
    uint8_t bytes[8192];

    ck_assert_uint_ge(sizeof(bytes), entropy_bound(6));
    ck_assert_uint_eq(entropy_encode(bytes, numbers, 6, words), sizeof(drawn));
    ck_assert_mem_eq(bytes, drawn, sizeof(drawn));
    ck_assert_int_eq(read_all(6, drawn, sizeof(drawn), 6), ST_OK);
    ck_assert_mem_eq(back, numbers, sizeof(numbers));
}
END_TEST

START_TEST(test_any_bytes)
{
    struct rng rng;
    size_t n_opened = 0;
    rng_init(&rng, unit_seed());

    fill(300, 2, &rng);
    uint8_t *good = malloc(entropy_bound(300));
    size_t good_len = entropy_encode(good, v, 300, words);
    for (int round = 0; round < 3000; round++) {
        size_t len = round % 2 ? good_len : rng_below(&rng, 60);
        uint8_t *bytes = malloc(len + 1);
        for (size_t i = 0; i < len; i++) bytes[i] = (uint8_t)rng_below(&rng, i < 4 ? 12 : 256);
        if (round % 2) {
            memcpy(bytes, good, len);
            bytes[rng_below(&rng, len)] ^= (uint8_t)(1 + rng_below(&rng, 255));
        }
        struct entropy_reader rd;
        if (entropy_open(&rd, bytes, len) == ST_OK) {
            n_opened++;
            read_alike(bytes, len);
        }
        free(bytes);
    }
    ck_assert_uint_gt(n_opened, 500);
    free(good);
}
END_TEST

Suite *suite_entropy(void)
{
    Suite *s = suite_create("entropy");
    TCase *tc = tcase_create("entropy");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_round_trip, 0, 5);
    tcase_add_test(tc, test_near_the_entropy);
    tcase_add_loop_test(tc, test_near_the_range, 0, (int)ARRAY_LEN(ranges));
    tcase_add_test(tc, test_as_drawn);
    tcase_add_test(tc, test_any_bytes);
    tcase_add_test(tc, test_any_head);
    suite_add_tcase(s, tc);
    return s;
}
