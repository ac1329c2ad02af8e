/* Goal: blocks round-trip, and hostile ones are refused before memory is spent.
 * Method: real blocks, then the table of reliability.md 5. */
#include "base/panic.h"
#include "base/rng.h"
#include "codec/snappy.h"
#include "tests/unit/codec/codec_suites.h"
#include "tests/unit/unit.h"

START_TEST(test_round_trip)
{
    static const size_t lens[] = {0, 1, 60, 1000, 70000, 1 << 20};
    size_t n = lens[_i], got = 99;
    uint8_t *src = malloc(n + 1), *block = malloc(snappy_block_bound(n));

    for (size_t i = 0; i < n; i++) src[i] = (uint8_t)(i / 7 % 11);
    size_t len = snappy_block_encode(block, src, n);
    ck_assert_uint_gt(len, 0);
    ck_assert_int_eq(snappy_block_len(&got, block, len, n, NULL), ST_OK);
    ck_assert_uint_eq(got, n);
    uint8_t *back = malloc(n + 1);
    ck_assert_int_eq(snappy_block_decode(back, n, block, len, NULL), ST_OK);
    ck_assert_mem_eq(back, src, n);
    free(back);
    free(block);
    free(src);
}
END_TEST

/* What snappy_block_len() says is exact or nothing: the longest copies there are. */
START_TEST(test_the_best_ratio_is_believed)
{
    enum { N = 1 << 20 };
    uint8_t *src = calloc(1, N), *block = malloc(snappy_block_bound(N));
    size_t got, len = snappy_block_encode(block, src, N);

    ck_assert_int_eq(snappy_block_len(&got, block, len, N, NULL), ST_OK);
    ck_assert_int_eq(snappy_block_decode(src, N, block, len, NULL), ST_OK);
    free(block);
    free(src);
}
END_TEST

static const struct bad {
    const char *name;
    size_t len;
    uint8_t bytes[12];
    status st;
} bad[] = {
    {"empty", 0, {0}, ST_INVALID},
    {"length cut", 1, {0x80}, ST_INVALID},
    {"length of six bytes", 6, {0x80, 0x80, 0x80, 0x80, 0x80, 0x01}, ST_INVALID},
    {"five-byte overflow", 6, {0xff, 0xff, 0xff, 0xff, 0x7f, 0}, ST_INVALID},
    {"4 GiB in eight bytes", 8, {0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0}, ST_TOO_LARGE},
    {"above the limit", 4, {0x81, 0x80, 0x40, 0}, ST_TOO_LARGE},
    {"more than it can hold", 4, {0x80, 0x08, 0, 'x'}, ST_INVALID},
    {"longer than it says", 6, {2, 0x0c, 'a', 'b', 'c', 'd'}, ST_INVALID},
    {"shorter than it says", 6, {9, 0x0c, 'a', 'b', 'c', 'd'}, ST_INVALID},
    {"copy before the start", 5, {8, 0x00, 'a', 0x01, 0x05}, ST_INVALID},
    {"offset 0", 5, {5, 0x00, 'a', 0x01, 0x00}, ST_INVALID},
    {"literal cut", 3, {4, 0x0c, 'a'}, ST_INVALID},
    {"framed stream", 10, {0xff, 6, 0, 0, 's', 'N', 'a', 'P', 'p', 'Y'}, ST_INVALID},
};

START_TEST(test_hostile_blocks_are_refused)
{
    const struct bad *b = &bad[_i];
    uint8_t *src = malloc(b->len + 1);
    struct err err = {0};
    size_t got = 0;
    memcpy(src, b->bytes, b->len);

    status st = snappy_block_len(&got, src, b->len, 1 << 20, &err);
    if (st == ST_OK) {
        ck_assert_msg(got <= 22 * b->len, "%s: %zu bytes would be allocated", b->name, got);
        uint8_t *dst = malloc(got + 1);
        st = snappy_block_decode(dst, got, src, b->len, &err);
        free(dst);
    }
    ck_assert_msg(st == b->st, "%s: %s", b->name, status_name(st));
    ck_assert_msg(err.text[0], "%s: no reason given", b->name);
    free(src);
}
END_TEST

Suite *suite_snappy(void)
{
    Suite *s = suite_create("snappy");
    TCase *tc = tcase_create("snappy");
    tcase_add_loop_test(tc, test_round_trip, 0, 6);
    tcase_add_test(tc, test_the_best_ratio_is_believed);
    tcase_add_loop_test(tc, test_hostile_blocks_are_refused, 0, ARRAY_LEN(bad));
    suite_add_tcase(s, tc);
    return s;
}
