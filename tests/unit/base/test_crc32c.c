/* Goal: the checksum is Castagnoli's, equal in both versions, and can be continued.
 * Method: RFC 3720 B.4's vectors; random bytes at every alignment and split. */
#include "base/crc32c.h"

#include "base/rng.h"
#include "tests/unit/base/base_suites.h"
#include "tests/unit/unit.h"

START_TEST(test_known_answers)
{
    uint8_t bytes[32];

    ck_assert_uint_eq(crc32c(0, "", 0), 0);
    ck_assert_uint_eq(crc32c(0, "123456789", 9), 0xe3069283);
    memset(bytes, 0, 32);
    ck_assert_uint_eq(crc32c(0, bytes, 32), 0x8a9136aa);
    memset(bytes, 0xff, 32);
    ck_assert_uint_eq(crc32c(0, bytes, 32), 0x62a8ab43);
    for (int i = 0; i < 32; i++) bytes[i] = (uint8_t)i;
    ck_assert_uint_eq(crc32c(0, bytes, 32), 0x46dd794e);
    ck_assert_uint_eq(crc32c_portable(0, bytes, 32), 0x46dd794e);
}
END_TEST

START_TEST(test_versions_agree_and_continue)
{
    uint8_t bytes[300];
    struct rng rng;

    rng_init(&rng, unit_seed());
    for (size_t i = 0; i < sizeof(bytes); i++) bytes[i] = (uint8_t)rng_next(&rng);
    for (int i = 0; i < 2000; i++) {
        size_t from = rng_below(&rng, 100), len = rng_below(&rng, 200);
        size_t split = rng_below(&rng, len + 1);
        uint32_t whole = crc32c(0, bytes + from, len);
        ck_assert_uint_eq(whole, crc32c_portable(0, bytes + from, len));
        uint32_t begun = crc32c(0, bytes + from, split);
        ck_assert_uint_eq(whole, crc32c(begun, bytes + from + split, len - split));
        if (len == 0) continue;
        bytes[from + rng_below(&rng, len)] ^= (uint8_t)(1u << rng_below(&rng, 8));
        ck_assert_uint_ne(whole, crc32c(0, bytes + from, len));
    }
}
END_TEST

Suite *suite_crc32c(void)
{
    Suite *suite = suite_create("crc32c");
    TCase *tc = tcase_create("crc32c");
    tcase_add_test(tc, test_known_answers);
    tcase_add_test(tc, test_versions_agree_and_continue);
    suite_add_tcase(suite, tc);
    return suite;
}
