/* Goal: varints come back as they went, and bytes that end early or pass 64 bits are
 * refused. Method: every width with its neighbours, each encoding cut short. */
#include "base/varint.h"

#include "tests/unit/base/base_suites.h"
#include "tests/unit/unit.h"

static void round_trip(uint64_t v)
{
    uint8_t *exact, bytes[VARINT_MAX];
    size_t len = varint_put(bytes, v);
    uint64_t back = ~v;

    ck_assert_uint_eq(len, varint_len(v));
    exact = malloc(len); /* the sanitizer sees one byte too many */
    memcpy(exact, bytes, len);
    ck_assert_uint_eq(varint_get(&back, exact, len), len);
    ck_assert_uint_eq(back, v);
    for (size_t cut = 0; cut < len; cut++)
        ck_assert_uint_eq(varint_get(&back, exact, cut), 0);
    free(exact);
}

START_TEST(test_round_trip)
{
    for (int bit = 0; bit < 64; bit++)
        for (int64_t d = -2; d <= 2; d++) round_trip((UINT64_C(1) << bit) + (uint64_t)d);
}
END_TEST

static const struct bad {
    const char *name, *bytes;
    size_t len;
} bad[] = {
    {"empty", "", 0},
    {"never ends", "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80", 11},
    {"65 bits", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10},
    {"tenth byte goes on", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00", 11},
};

START_TEST(test_bad_bytes)
{
    uint64_t v;
    ck_assert_msg(varint_get(&v, (const uint8_t *)bad[_i].bytes, bad[_i].len) == 0, "%s",
                  bad[_i].name);
}
END_TEST

Suite *suite_varint(void)
{
    Suite *suite = suite_create("varint");
    TCase *tc = tcase_create("varint");
    tcase_add_test(tc, test_round_trip);
    tcase_add_loop_test(tc, test_bad_bytes, 0, 4);
    suite_add_tcase(suite, tc);
    return suite;
}
