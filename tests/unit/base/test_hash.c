/* Goal: the placement hash is frozen, the table hashes depend on the secret. Method:
 * known answers of xxh64 with seed 0; two secrets. */
#include "base/hash.h"

#include "tests/unit/base/base_suites.h"
#include "tests/unit/unit.h"

START_TEST(test_placement_is_xxh64_with_seed_0)
{
    static const struct known {
        const char *text;
        uint64_t hash;
    } known[] = {
        /* From the published test vectors of xxHash and the xxhsum program. */
        {"", UINT64_C(0xef46db3751d8e999)},
        {"a", UINT64_C(0xd24ec4f1a98c6e5b)},
        {"abc", UINT64_C(0x44bc2cf5ad770999)},
    };
    hash_seed(12345); /* must not matter */
    for (size_t i = 0; i < 3; i++)
        ck_assert_uint_eq(hash_place(known[i].text, strlen(known[i].text)), known[i].hash);
}
END_TEST

START_TEST(test_tables_depend_on_the_secret)
{
    hash_seed(1);
    uint64_t one = hash64("series", 6);
    struct hash128 wide = hash128("series", 6);
    ck_assert_uint_eq(one, hash_slice(SLICE_LIT("series")));
    hash_seed(2);
    ck_assert_uint_ne(one, hash64("series", 6));
    ck_assert(wide.lo != hash128("series", 6).lo && wide.hi != hash128("series", 6).hi);
    hash_seed(1);
    ck_assert_uint_eq(one, hash64("series", 6));
}
END_TEST

START_TEST(test_mix_is_a_permutation_on_small_numbers)
{
    enum { N = 1 << 14 };
    static uint8_t seen[N / 8];
    size_t n_hit = 0;
    for (uint64_t i = 0; i < N; i++) {
        uint64_t slot = hash_mix(i) % N;
        n_hit += !(seen[slot / 8] & (1 << slot % 8));
        seen[slot / 8] |= (uint8_t)(1 << slot % 8);
    }
    /* A random function reaches 1 - 1/e of the slots: 63 %. */
    ck_assert_uint_gt(n_hit, N * 60 / 100);
    ck_assert_uint_eq(hash_mix(0), 0);
}
END_TEST

Suite *suite_hash(void)
{
    Suite *suite = suite_create("hash");
    TCase *tc = tcase_create("hash");
    tcase_add_test(tc, test_placement_is_xxh64_with_seed_0);
    tcase_add_test(tc, test_tables_depend_on_the_secret);
    tcase_add_test(tc, test_mix_is_a_permutation_on_small_numbers);
    suite_add_tcase(suite, tc);
    return suite;
}
