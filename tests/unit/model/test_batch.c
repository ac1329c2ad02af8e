/* Goal: a batch keeps what it was given, knows adjacent from scattered, and is refused by
 * its account without losing what it has. Method: small batches by hand, then growth under
 * a limit; accounts end at zero. */
#include "model/batch.h"
#include "tests/unit/unit.h"

Suite *suite_batch(void);

static union value f64(double v)
{
    return (union value){.bits = f64_bits(v)};
}

START_TEST(test_rows_are_adjacent_until_they_are_not)
{
    struct batch *b = batch_new(NULL);
    ck_assert_int_eq(batch_add_series(b), 0);
    ck_assert_int_eq(batch_add_series(b), 1);
    ck_assert(batch_add_row(b, 0, 10, f64(1), 7));
    ck_assert(batch_add_row(b, 0, 20, f64(2), 8));
    ck_assert(batch_add_row(b, 1, 30, f64(3), 9));
    ck_assert(!b->series[0].scattered && b->series[0].first_row == 0 && b->series[0].n_rows == 2);
    ck_assert(!b->series[1].scattered && b->series[1].first_row == 2 && b->series[1].n_rows == 1);
    ck_assert(batch_add_row(b, 0, 40, f64(4), 10));
    ck_assert(b->series[0].scattered && b->series[0].n_rows == 3);
    ck_assert(batch_add_row(b, 0, 50, f64(5), 11) && b->series[0].scattered);
    ck_assert(b->series[0].ordinal == ORDINAL_NONE && b->series[0].type == VALUE_F64);
    ck_assert(b->row_series[3] == 0 && b->ts[3] == 40 && b->tag[3] == 10 && b->result[3] == ST_OK &&
              b->on_dup[3] == DUP_UNSET && b->val[3].bits == f64(4).bits);
    ck_assert_ptr_null(b->applied_ts);
    batch_free(b);
    batch_free(NULL);
}
END_TEST

START_TEST(test_growth_keeps_rows)
{
    struct account acc;
    account_init(&acc, "test", NULL, 0);
    struct batch *b = batch_new(&acc);
    for (int i = 0; i < 5000; i++) {
        if (i % 10 == 0) ck_assert_int_eq(batch_add_series(b), i / 10);
        ck_assert(batch_add_row(b, (size_t)i / 10, i, f64(i), (uint32_t)i));
    }
    for (int i = 0; i < 5000; i++) ck_assert(b->ts[i] == i && b->row_series[i] == (uint32_t)i / 10);
    ck_assert_uint_gt(account_used(&acc), 5000 * 26);
    batch_free(b);
    ck_assert_uint_eq(account_used(&acc), 0);
}
END_TEST

START_TEST(test_exemplars_and_metadata_grow)
{
    struct account acc;
    account_init(&acc, "test", NULL, 0);
    struct batch *b = batch_new(&acc);
    for (int turn = 0; turn < 2; turn++) {
        for (int i = 0; i < 1000; i++) {
            struct exemplar ex = {.ts = i, .value = i};
            struct metric_meta meta = {.type = (enum metric_type)(i % 8)};
            ck_assert(batch_add_exemplar(b, (size_t)i, &ex) && batch_add_meta(b, &meta));
        }
        ck_assert(b->n_exemplars == 1000 && b->n_metas == 1000);
        for (int i = 0; i < 1000; i++) {
            ck_assert(b->exemplars[i].series == (uint32_t)i && b->exemplars[i].ex.ts == i);
            ck_assert_int_eq(b->metas[i].type, i % 8);
        }
        batch_reset(b);
        ck_assert(b->n_exemplars == 0 && b->cap_exemplars == 0 && b->n_metas == 0);
    }
    atomic_store(&acc.limit, account_used(&acc));
    size_t n = 0;
    struct exemplar ex = {.ts = 1};
    while (batch_add_exemplar(b, 0, &ex)) n++;
    ck_assert_uint_eq(b->n_exemplars, n);
    batch_free(b);
    ck_assert_uint_eq(account_used(&acc), 0);
}
END_TEST

START_TEST(test_applied_times_when_wanted)
{
    struct account acc;
    account_init(&acc, "test", NULL, 0);
    struct batch *b = batch_new(&acc);
    ck_assert_int_eq(batch_add_series(b), 0);
    ck_assert(batch_add_row(b, 0, 1, f64(1), 0));
    b->want_applied = true; /* also when asked for late */
    for (int i = 0; i < 300; i++) ck_assert(batch_add_row(b, 0, i, f64(1), 0));
    ck_assert_int_eq(b->applied_ts[300], 299);
    batch_reset(b);
    ck_assert(b->n_rows == 0 && b->n_series == 0 && !b->want_applied && b->cap_rows >= 300);
    ck_assert_int_eq(batch_add_series(b), 0);
    for (int i = 0; i < 3000; i++) ck_assert(batch_add_row(b, 0, i, f64(1), 0));
    ck_assert(!b->series[0].scattered);
    batch_free(b);
    ck_assert_uint_eq(account_used(&acc), 0);
}
END_TEST

START_TEST(test_accounts_refuse_and_nothing_is_lost)
{
    struct account acc;
    account_init(&acc, "test", NULL, 20000);
    struct batch *b = batch_new(&acc);
    size_t n = 0;
    ck_assert_int_eq(batch_add_series(b), 0);
    while (batch_add_row(b, 0, (ts_time)n, f64(1), 0)) n++;
    ck_assert(n > 100 && b->n_rows == n && b->ts[n - 1] == (ts_time)n - 1);
    ck_assert(!batch_reserve_rows(b, SIZE_MAX) && !batch_reserve_rows(b, 5000000000));
    size_t n_series = 1;
    while (batch_add_series(b) >= 0) n_series++;
    ck_assert_uint_eq(b->n_series, n_series);
    ck_assert_uint_le(account_used(&acc), 20000);
    batch_free(b);
    ck_assert_uint_eq(account_used(&acc), 0);

    account_init(&acc, "tiny", NULL, 10);
    ck_assert_ptr_null(batch_new(&acc));
    ck_assert_uint_eq(account_used(&acc), 0);
}
END_TEST

START_TEST(test_starts_stand_beside_the_rows)
{
    struct account acc;
    account_init(&acc, "test", NULL, 0);
    struct batch *b = batch_new(&acc);
    ck_assert_int_eq(batch_add_series(b), 0);
    for (int i = 0; i < 1000; i++) {
        ck_assert(batch_add_row(b, 0, i, f64(i), 0));
        ck_assert(batch_start_row(b, i % 3 ? START_NONE : -1 - i));
    }
    ck_assert_uint_eq(b->n_starts, 334);
    for (int i = 0; i < 1000; i++)
        ck_assert_int_eq(batch_start_of(b, (size_t)i), i % 3 ? START_NONE : -1 - i);
    ck_assert_int_eq(batch_start_of(b, 1000), START_NONE);
    ck_assert_uint_ge(batch_bytes(b), 334 * sizeof(struct batch_start));

    batch_take_back(b, 1, 900); /* what was taken back had none */
    ck_assert(b->n_rows == 900 && b->n_series == 1 && b->n_starts == 300);
    ck_assert(batch_add_row(b, 0, 5, f64(1), 0) && batch_start_of(b, 900) == START_NONE);
    batch_reset(b);
    ck_assert(b->n_starts == 0 && batch_start_of(b, 0) == START_NONE);
    batch_free(b);
    ck_assert_uint_eq(account_used(&acc), 0);

    account_init(&acc, "small", NULL, 20000);
    b = batch_new(&acc);
    ck_assert_int_eq(batch_add_series(b), 0);
    ck_assert(batch_add_row(b, 0, 1, f64(1), 0));
    size_t n = 0;
    while (batch_start_row(b, 7)) n++;
    ck_assert(n == b->n_starts && n > 0);
    batch_free(b);
    ck_assert_uint_eq(account_used(&acc), 0);
}
END_TEST

Suite *suite_batch(void)
{
    Suite *suite = suite_create("batch");
    TCase *tc = tcase_create("batch");
    tcase_add_test(tc, test_rows_are_adjacent_until_they_are_not);
    tcase_add_test(tc, test_growth_keeps_rows);
    tcase_add_test(tc, test_exemplars_and_metadata_grow);
    tcase_add_test(tc, test_starts_stand_beside_the_rows);
    tcase_add_test(tc, test_applied_times_when_wanted);
    tcase_add_test(tc, test_accounts_refuse_and_nothing_is_lost);
    suite_add_tcase(suite, tc);
    return suite;
}
