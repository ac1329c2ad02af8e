/* Goal: objects of a slab are distinct, keep their bytes, are reused and charged.
 * Method: random takes and puts against a table of what is out. */
#include "base/slab.h"

#include "base/rng.h"
#include "tests/lib/mem_fault.h"
#include "tests/unit/base/base_suites.h"
#include "tests/unit/unit.h"

START_TEST(test_objects_keep_their_bytes)
{
    enum { N = 300 };
    static const size_t sizes[] = {1, 8, 16, 40, 64, 1000};
    size_t elem_len = sizes[_i];
    uint8_t *out[N] = {0};
    struct account account;
    struct slab slab;
    struct rng rng;

    rng_init(&rng, unit_seed());
    account_init(&account, "test", NULL, 0);
    slab_init(&slab, &account, elem_len, 7);
    size_t n_out = 0;
    for (int step = 0; step < 5000; step++) {
        size_t i = rng_below(&rng, N);
        if (out[i]) {
            for (size_t at = 0; at < elem_len; at++)
                if (out[i][at] != (i & 0xff)) ck_abort_msg("object %zu, byte %zu", i, at);
            slab_put(&slab, out[i]);
            out[i] = NULL;
            n_out--;
        } else {
            out[i] = slab_try(&slab);
            ck_assert_ptr_nonnull(out[i]);
            ck_assert_uint_eq((uintptr_t)out[i] % 16, 0);
            memset(out[i], (int)(i & 0xff), elem_len);
            n_out++;
        }
        ck_assert_uint_eq(slab.n_used, n_out);
    }
    ck_assert_uint_le(slab.n_blocks, N / 7 + 1); /* what was freed is used again */
    ck_assert_uint_eq(account_used(&account), slab.n_blocks * slab.block_len);
    slab_release(&slab);
    ck_assert_uint_eq(account_used(&account), 0);
}
END_TEST

START_TEST(test_refusals)
{
    struct account account;
    struct slab slab;

    mem_fault_install();
    account_init(&account, "test", NULL, 600);
    slab_init(&slab, &account, 100, 4);
    void *first = slab_try(&slab);
    ck_assert_ptr_nonnull(first);
    for (int i = 0; i < 3; i++) ck_assert_ptr_nonnull(slab_try(&slab));
    ck_assert_ptr_null(slab_try(&slab)); /* a second block is over the limit */
    slab_put(&slab, first);
    slab_put(&slab, NULL);
    ck_assert_ptr_eq(slab_try(&slab), first);

    account.limit = 0;
    mem_fault_arm(1, 1);
    ck_assert_ptr_null(slab_try(&slab));
    ck_assert_uint_eq(mem_fault_disarm(), 1);
    ck_assert_uint_eq(account_used(&account), slab.block_len);
    slab_release(&slab);
    struct slab zeroed = {0};
    slab_release(&zeroed);
}
END_TEST

Suite *suite_slab(void)
{
    Suite *suite = suite_create("slab");
    TCase *tc = tcase_create("slab");
    tcase_add_loop_test(tc, test_objects_keep_their_bytes, 0, 6);
    tcase_add_test(tc, test_refusals);
    suite_add_tcase(suite, tc);
    return suite;
}
