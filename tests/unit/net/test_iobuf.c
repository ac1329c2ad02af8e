/* Goal: a chain gives back the bytes that were put in, whatever is done to it, and
 * every byte charged is released. Method: a random history of puts, moves, consumes
 * and truncations beside a flat string; failures by account and by len_max. */
#include "base/rng.h"
#include "net/iobuf.h"
#include "tests/unit/net/net_suites.h"

static void same_as(const struct iobuf *buf, const struct strbuf *flat)
{
    char *copy = malloc(flat->len + 1);

    ck_assert_uint_eq(buf->len, flat->len);
    iobuf_copy(copy, buf);
    if (flat->len) ck_assert_mem_eq(copy, flat->ptr, flat->len);
    free(copy);
}

static void put_both(struct iobuf *buf, struct strbuf *flat, struct rng *rng)
{
    static char bytes[40000];
    size_t n = rng_below(rng, 3) ? rng_below(rng, 100) : rng_below(rng, sizeof(bytes));

    for (size_t i = 0; i < n; i++) bytes[i] = (char)rng_next(rng);
    iobuf_put(buf, bytes, n);
    strbuf_put(flat, bytes, n);
}

START_TEST(test_iobuf_random_history_equals_flat_bytes)
{
    struct account account;
    struct iobuf_pool pool;
    struct iobuf buf, other;
    struct strbuf flat, flat_other;
    struct rng rng;

    account_init(&account, "test", NULL, 0);
    iobuf_pool_init(&pool, &account);
    iobuf_init(&buf, &pool, &account, 0);
    strbuf_init(&flat, 0);
    rng_init(&rng, unit_seed());
    for (int step = 0; step < 400; step++) {
        switch (rng_below(&rng, 5)) {
        case 0: case 1:
            put_both(&buf, &flat, &rng);
            break;
        case 2: /* a chain made elsewhere */
            iobuf_init(&other, rng_below(&rng, 2) ? &pool : NULL, &account, 0);
            strbuf_init(&flat_other, 0);
            put_both(&other, &flat_other, &rng);
            iobuf_move(&buf, &other, &pool);
            strbuf_put(&flat, flat_other.ptr, flat_other.len);
            ck_assert_uint_eq(other.len, 0);
            if (rng_below(&rng, 2)) iobuf_adopt(&buf, &(struct strbuf){0});
            strbuf_release(&flat_other);
            break;
        case 3: {
            size_t n = rng_below(&rng, buf.len + 1);
            iobuf_consume(&buf, n, &pool);
            if (n) memmove(flat.ptr, flat.ptr + n, flat.len - n);
            flat.len -= n;
            break;
        }
        case 4:
            flat.len = rng_below(&rng, buf.len + 1);
            iobuf_truncate(&buf, flat.len, &pool);
            break;
        }
        same_as(&buf, &flat);
    }
    iobuf_release(&buf, &pool);
    iobuf_pool_release(&pool);
    strbuf_release(&flat);
    ck_assert_uint_eq(account_used(&account), 0);
}
END_TEST

START_TEST(test_iobuf_adopts_long_text_and_copies_short)
{
    static const size_t lens[] = {0, 1, 4095, 4096, 100000};
    struct account account;

    account_init(&account, "test", NULL, 0);
    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        struct iobuf buf;
        struct strbuf text;
        strbuf_init(&text, 0);
        for (size_t k = 0; k < lens[i]; k++) strbuf_char(&text, (char)('a' + k % 26));
        iobuf_init(&buf, NULL, &account, 0);
        iobuf_put(&buf, ">", 1);
        const char *was = text.ptr;
        iobuf_adopt(&buf, &text);
        iobuf_put(&buf, "<", 1);
        ck_assert_uint_eq(buf.len, lens[i] + 2);
        ck_assert_ptr_null(text.ptr);
        char *copy = malloc(buf.len);
        iobuf_copy(copy, &buf);
        ck_assert_int_eq(copy[0], '>');
        ck_assert_int_eq(copy[buf.len - 1], '<');
        for (size_t k = 0; k < lens[i]; k++) ck_assert_int_eq(copy[1 + k], (int)('a' + k % 26));
        if (lens[i] >= 4096) ck_assert_ptr_eq(buf.first->next->data, was);
        free(copy);
        iobuf_release(&buf, NULL);
        ck_assert_uint_eq(account_used(&account), 0);
    }
}
END_TEST

START_TEST(test_iobuf_refusals_mark_and_stop)
{
    struct account account;
    struct iobuf buf;
    char bytes[3000] = {0};

    account_init(&account, "test", NULL, 20000);
    iobuf_init(&buf, NULL, &account, 0);
    for (int i = 0; i < 10; i++) iobuf_put(&buf, bytes, sizeof(bytes));
    ck_assert(buf.failed);
    ck_assert_uint_lt(account_used(&account), 20001);
    size_t len = buf.len;
    iobuf_put(&buf, "x", 1);
    ck_assert_uint_eq(buf.len, len); /* nothing after the hole */
    ck_assert_ptr_null(iobuf_reserve(&buf, 8));
    iobuf_release(&buf, NULL);
    ck_assert_uint_eq(account_used(&account), 0);
    ck_assert(!buf.failed);

    iobuf_init(&buf, NULL, NULL, 10);
    iobuf_put(&buf, "0123456789", 10);
    ck_assert(!buf.failed);
    iobuf_put(&buf, "x", 1);
    ck_assert(buf.failed);
    struct iobuf to;
    iobuf_init(&to, NULL, NULL, 0);
    iobuf_move(&to, &buf, NULL);
    ck_assert_msg(to.failed, "a failed chain must not look whole after a move");
    iobuf_release(&to, NULL);
}
END_TEST

START_TEST(test_iobuf_block_lives_until_its_last_holder)
{
    struct account account;
    struct iobuf_pool pool;

    account_init(&account, "test", NULL, 0);
    iobuf_pool_init(&pool, &account);
    struct iobuf_block *block = iobuf_block_new(&pool, &account, 100);
    iobuf_block_ref(block);
    iobuf_block_unref(block, &pool);
    memset(block->data, 7, 100); /* still ours */
    iobuf_block_unref(block, &pool);
    ck_assert_uint_eq(pool.n_small, 1);
    struct iobuf_block *again = iobuf_block_new(&pool, &account, 50);
    ck_assert_ptr_eq(again, block);
    iobuf_block_unref(again, &pool);
    iobuf_pool_release(&pool);
    ck_assert_uint_eq(account_used(&account), 0);
}
END_TEST

Suite *suite_iobuf(void)
{
    Suite *suite = suite_create("iobuf");
    TCase *tc = tcase_create("iobuf");

    tcase_add_test(tc, test_iobuf_random_history_equals_flat_bytes);
    tcase_add_test(tc, test_iobuf_adopts_long_text_and_copies_short);
    tcase_add_test(tc, test_iobuf_refusals_mark_and_stop);
    tcase_add_test(tc, test_iobuf_block_lives_until_its_last_holder);
    suite_add_tcase(suite, tc);
    return suite;
}
