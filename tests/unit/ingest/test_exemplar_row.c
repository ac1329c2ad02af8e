/* Goal: an exemplar that is wanted and sound is in the batch, any other is counted and costs
 * nothing else. Method: rows by hand; a limit; refused memory. */
#include "ingest/exemplar_row.h"
#include <math.h>
#include "tests/unit/ingest/ingest_rig.h"
#include "tests/unit/unit.h"

Suite *suite_exemplar_row(void);

static struct rig rig;

static void set_up(void)
{
    rig_init(&rig);
    rig.batch = batch_new(&rig.account);
    ck_assert_int_eq(batch_add_series(rig.batch), 0);
}

static void tear_down(void)
{
    rig_release(&rig);
}

static bool add(struct label *labels, size_t n, double value, ts_time ts, status st)
{
    struct exemplar_row row = {
        .labels = labels, .n = n, .value = value, .ts = ts, .has_ts = true, .st = st};
    if (!exemplar_wanted(rig.batch, &rig.env, &rig.report)) return false;
    ck_assert(exemplar_add(rig.batch, 0, &row, &rig.env, &rig.report));
    return true;
}

START_TEST(test_what_is_sound_is_in_the_batch)
{
    struct label labels[] = {{SLICE_LIT("b"), SLICE_LIT("2")}, {SLICE_LIT("a"), SLICE_LIT("1")}};
    ck_assert(add(labels, 2, 1.5, RIG_NOW, ST_OK) && add(NULL, 0, NAN, RIG_NOW + 1, ST_OK));
    ck_assert_uint_eq(rig.batch->n_exemplars, 2);
    const struct exemplar *ex = &rig.batch->exemplars[0].ex;
    ck_assert(ex->ts == RIG_NOW && ex->value == 1.5 && ex->has_ts);
    ck_assert(slice_eq(ex->labels, SLICE_LIT("\x02\x01" "a\x01" "1\x01" "b\x01" "2")));
    /* A NaN of any bits is Prometheus' normal one. */
    ck_assert_uint_eq(f64_bits(rig.batch->exemplars[1].ex.value), VALUE_NAN_BITS);
    ck_assert(rig.report.n_exemplars == 2 && rig.report.n_exemplars_refused == 0);
}
END_TEST

START_TEST(test_what_is_not_is_counted_with_the_first_reason)
{
    struct label twice[] = {{SLICE_LIT("a"), SLICE_LIT("2")}, {SLICE_LIT("a"), SLICE_LIT("1")}};
    ck_assert(add(NULL, 0, 1, RIG_NOW - 7200000, ST_OK));
    ck_assert(add(NULL, 0, 1, 0, ST_INVALID));
    ck_assert(add(twice, 2, 1, RIG_NOW, ST_OK));
    exemplar_refused(&rig.report, ST_INVALID, "later");
    ck_assert(rig.batch->n_exemplars == 0 && rig.report.n_exemplars_refused == 4);
    ck_assert_int_eq(rig.report.exemplar.st, ST_TOO_OLD);
    ck_assert_str_eq(rig.report.exemplar.text, status_text(ST_TOO_OLD));
    ck_assert_int_eq(rig.report.first.st, ST_OK); /* no row is refused for it */
}
END_TEST

START_TEST(test_no_more_than_are_wanted)
{
    rig.env.exemplars_max = 2;
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(add(NULL, 0, 1, RIG_NOW + i, ST_OK), i < 2);
    ck_assert(rig.report.n_exemplars == 5 && rig.report.n_exemplars_refused == 3);
    ck_assert_uint_eq(rig.batch->n_exemplars, 2);
}
END_TEST

START_TEST(test_without_memory)
{
    struct exemplar_row row = {.ts = RIG_NOW, .st = ST_OK};
    atomic_store(&rig.account.limit, account_used(&rig.account));
    unsigned n = 0;
    while (exemplar_add(rig.batch, 0, &row, &rig.env, &rig.report)) ck_assert_uint_lt(n++, 10000);
    ck_assert_uint_eq(rig.batch->n_exemplars, n);
    ck_assert_uint_eq(rig.report.n_exemplars_refused, 0);
}
END_TEST

Suite *suite_exemplar_row(void)
{
    Suite *suite = suite_create("exemplar_row");
    TCase *tc = tcase_create("exemplar_row");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, test_what_is_sound_is_in_the_batch);
    tcase_add_test(tc, test_what_is_not_is_counted_with_the_first_reason);
    tcase_add_test(tc, test_no_more_than_are_wanted);
    tcase_add_test(tc, test_without_memory);
    suite_add_tcase(suite, tc);
    return suite;
}
