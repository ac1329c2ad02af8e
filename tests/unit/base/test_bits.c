/* Goal: bit tricks, byte loads and held arithmetic at their edges. Method: tables of
 * edges, and the plain definition beside the trick. */
#include "base/bits.h"

#include "base/bytes.h"
#include "tests/unit/base/base_suites.h"
#include "tests/unit/unit.h"

START_TEST(test_widths)
{
    ck_assert_uint_eq(bit_width(0), 0);
    ck_assert_uint_eq(leading_zeros(0), 64);
    ck_assert_uint_eq(trailing_zeros(0), 64);
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t v = UINT64_C(1) << bit;
        ck_assert_uint_eq(bit_width(v), bit + 1);
        ck_assert_uint_eq(bit_width(v | 1), bit + 1);
        ck_assert_uint_eq(leading_zeros(v), 63 - bit);
        ck_assert_uint_eq(trailing_zeros(v), bit);
        ck_assert_uint_eq(next_pow2(v), v);
        if (bit > 1) ck_assert_uint_eq(next_pow2(v - 1), v);
    }
    ck_assert_uint_eq(next_pow2(0), 1);
}
END_TEST

static const int64_t edges[] = {INT64_MIN, INT64_MIN + 1, -2, -1, 0, 1, 2, INT64_MAX - 1,
                                INT64_MAX};

START_TEST(test_signed_arithmetic)
{
    for (size_t i = 0; i < 9; i++) {
        ck_assert_int_eq(unzigzag(zigzag(edges[i])), edges[i]);
        for (size_t j = 0; j < 9; j++) {
            __int128 sum = (__int128)edges[i] + edges[j];
            __int128 difference = (__int128)edges[i] - edges[j];
            __int128 held = sum > INT64_MAX ? INT64_MAX : sum < INT64_MIN ? INT64_MIN : sum;
            ck_assert_int_eq(sat_add(edges[i], edges[j]), (int64_t)held);
            held = difference > INT64_MAX   ? INT64_MAX
                   : difference < INT64_MIN ? INT64_MIN
                                            : difference;
            ck_assert_int_eq(sat_sub(edges[i], edges[j]), (int64_t)held);
            ck_assert_int_eq(wrap_sub(wrap_add(edges[i], edges[j]), edges[j]), edges[i]);
        }
    }
    ck_assert_uint_eq(zigzag(0), 0);
    ck_assert_uint_eq(zigzag(-1), 1);
    ck_assert_uint_eq(zigzag(1), 2);
    ck_assert_uint_eq(zigzag(INT64_MIN), UINT64_MAX);
}
END_TEST

START_TEST(test_rounding)
{
    ck_assert_uint_eq(round_up(0, 16), 0);
    ck_assert_uint_eq(round_up(1, 16), 16);
    ck_assert_uint_eq(round_up(16, 16), 16);
    ck_assert_uint_eq(round_up(17, 3), 18);
}
END_TEST

START_TEST(test_bytes_are_little_endian_at_any_address)
{
    uint8_t bytes[16] = {0};
    for (size_t at = 0; at < 8; at++) {
        store_u64(bytes + at, UINT64_C(0x1122334455667788));
        ck_assert_uint_eq(bytes[at], 0x88);
        ck_assert_uint_eq(bytes[at + 7], 0x11);
        ck_assert_uint_eq(load_u64(bytes + at), UINT64_C(0x1122334455667788));
        ck_assert_uint_eq(load_u32(bytes + at), 0x55667788);
        ck_assert_uint_eq(load_u16(bytes + at), 0x7788);
    }
    store_i64(bytes, INT64_MIN);
    ck_assert_int_eq(load_i64(bytes), INT64_MIN);
    ck_assert_uint_eq(f64_bits(1.0), UINT64_C(0x3ff0000000000000));
    ck_assert_uint_eq(f64_bits(bits_f64(UINT64_C(0x7ff0000000000002))),
                      UINT64_C(0x7ff0000000000002)); /* a NaN keeps its payload */
}
END_TEST

Suite *suite_bits(void)
{
    Suite *suite = suite_create("bits");
    TCase *tc = tcase_create("bits");
    tcase_add_test(tc, test_widths);
    tcase_add_test(tc, test_signed_arithmetic);
    tcase_add_test(tc, test_rounding);
    tcase_add_test(tc, test_bytes_are_little_endian_at_any_address);
    suite_add_tcase(suite, tc);
    return suite;
}
