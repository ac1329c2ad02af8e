/* Goal: exactly RFC 3629 is valid. Method: the ends of each range, each one step outside,
 * each cut short; every rune through put, valid and next. */
#include "base/panic.h"
#include "base/utf8.h"
#include "tests/unit/unit.h"

Suite *suite_utf8(void);

#define TEXT(lit) lit, sizeof(lit) - 1

static const struct {
    const char *text;
    size_t len;
    bool ok;
} texts[] = {
    {TEXT(""), true},
    {TEXT("plain text over eight bytes"), true},
    {TEXT("\0"), true},
    {TEXT("\x7f"), true},
    {TEXT("\xc2\x80"), true},
    {TEXT("\xdf\xbf"), true},
    {TEXT("\xe0\xa0\x80"), true},
    {TEXT("\xed\x9f\xbf"), true},
    {TEXT("\xee\x80\x80"), true},
    {TEXT("\xef\xbf\xbf"), true},
    {TEXT("\xf0\x90\x80\x80"), true},
    {TEXT("\xf4\x8f\xbf\xbf"), true},
    {TEXT("12345678\xc3\xa9" "12345678"), true},
    {TEXT("\x80"), false},
    {TEXT("\xbf"), false},
    {TEXT("\xc0\x80"), false},
    {TEXT("\xc1\xbf"), false},
    {TEXT("\xe0\x9f\xbf"), false},
    {TEXT("\xed\xa0\x80"), false},
    {TEXT("\xf0\x8f\xbf\xbf"), false},
    {TEXT("\xf4\x90\x80\x80"), false},
    {TEXT("\xf5\x80\x80\x80"), false},
    {TEXT("\xff"), false},
    {TEXT("\xc3"), false},
    {TEXT("\xe2\x82"), false},
    {TEXT("\xf0\x9f\x98"), false},
    {TEXT("\xe2\x28\xa1"), false},
    {TEXT("1234567\xff"), false},
    {TEXT("12345678\xff"), false},
    {TEXT("1234567\xc3"), false},
};

START_TEST(test_valid_is_rfc_3629)
{
    char *copy = malloc(texts[_i].len + 1);
    memcpy(copy + 1, texts[_i].text, texts[_i].len); /* unaligned, to the last byte */
    ck_assert_msg(utf8_valid(slice_of(copy + 1, texts[_i].len)) == texts[_i].ok, "row %d", _i);
    free(copy);
}
END_TEST

START_TEST(test_every_rune_round_trips)
{
    for (uint32_t rune = 0; rune <= 0x10ffff; rune++) {
        char dst[4];
        uint32_t back = 1;
        size_t len = utf8_put(dst, rune);
        bool surrogate = rune >= 0xd800 && rune <= 0xdfff;
        bool ok = len >= 1 && len <= 4 && utf8_valid(slice_of(dst, len)) &&
                  utf8_next(&back, slice_of(dst, len)) == len &&
                  back == (surrogate ? 0xfffd : rune);

        if (!ok) ck_abort_msg("rune %x", rune); /* a check each would take a minute */
    }
}
END_TEST

START_TEST(test_next_steps_over_damage)
{
    uint32_t rune = 0;
    ck_assert_uint_eq(utf8_next(&rune, SLICE_LIT("")), 0);
    ck_assert_uint_eq(utf8_next(&rune, slice_of("\xff\x41", 2)), 1);
    ck_assert_uint_eq(rune, 0xfffd);
    ck_assert_uint_eq(utf8_next(&rune, slice_of("\xe2\x82", 2)), 1);
    ck_assert_uint_eq(rune, 0xfffd);
    char dst[4];
    ck_assert_uint_eq(utf8_put(dst, 0x110000), 3);
}
END_TEST

START_TEST(test_messages_carry_no_raw_input)
{
    char dst[6];
    ck_assert_str_eq(utf8_printable(dst, sizeof(dst), slice_of("a\n\xc3\xa9z", 5)), "a???z");
    ck_assert_str_eq(utf8_printable(dst, sizeof(dst), SLICE_LIT("abcdefgh")), "abcde");
    ck_assert_str_eq(utf8_printable(dst, 1, SLICE_LIT("abc")), "");
}
END_TEST

Suite *suite_utf8(void)
{
    Suite *suite = suite_create("utf8");
    TCase *tc = tcase_create("utf8");
    tcase_add_loop_test(tc, test_valid_is_rfc_3629, 0, ARRAY_LEN(texts));
    tcase_add_test(tc, test_every_rune_round_trips);
    tcase_add_test(tc, test_next_steps_over_damage);
    tcase_add_test(tc, test_messages_carry_no_raw_input);
    suite_add_tcase(suite, tc);
    return suite;
}
