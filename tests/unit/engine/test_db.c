/* Goal: a database gives back what was written, from memory, across encoding and
 * flushes, after a clean stop and after none. Method: the real engine on simulated
 * ports; db_check() after every step that could break something. */
#include <math.h>

#include "tests/lib/db_rig.h"
#include "tests/unit/unit.h"

Suite *suite_db(void);

static const struct time_range all = {TS_MIN, TS_MAX};

static void check(struct db_rig *rig)
{
    struct err err = {.st = ST_OK};
    ck_assert_msg(db_check(rig->db, &err) == ST_OK, "db_check: %s", err.text);
}

static void expect(struct db_rig *rig, const char *series, const ts_time *ts, const double *v,
                   size_t n)
{
    struct points pts = {0};
    status st = db_rig_read(rig, series, all, &pts, NULL);
    ck_assert_msg(st == ST_OK, "%s: %s", series, rig->err.text);
    ck_assert_uint_eq(pts.n, n);
    for (size_t i = 0; i < n; i++) {
        ck_assert_int_eq(pts.ts[i], ts[i]);
        ck_assert_msg(pts.val[i].bits == f64_bits(v[i]), "%s at %lld", series, (long long)ts[i]);
    }
    points_release(&pts);
}

START_TEST(test_a_sample_comes_back)
{
    struct db_rig rig;
    db_rig_init(&rig, 1);
    ck_assert_msg(db_rig_open(&rig) == ST_OK, "%s", rig.err.text);
    ck_assert_int_eq(db_rig_put(&rig, "cpu{host=\"a\"}", 1000, 0.5), ST_OK);
    expect(&rig, "cpu{host=\"a\"}", (ts_time[]){1000}, (double[]){0.5}, 1);
    check(&rig);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    ck_assert_msg(db_rig_open(&rig) == ST_OK, "%s", rig.err.text);
    expect(&rig, "cpu{host=\"a\"}", (ts_time[]){1000}, (double[]){0.5}, 1);
    check(&rig);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    db_rig_release(&rig);
}
END_TEST

enum { MANY = 5000 };

static void fill(struct db_rig *rig, const char *series, ts_time *ts, double *v)
{
    for (size_t i = 0; i < MANY;) {
        struct batch *batch = db_rig_batch(series);
        for (size_t k = 0; k < 50 && i < MANY; k++, i++) {
            ts[i] = (ts_time)i * 15000 + (i % 97 == 0 ? 3 : 0);
            v[i] = sin((double)i);
            ck_assert(batch_add_row(batch, 0, ts[i], (union value){.bits = f64_bits(v[i])}, 0));
        }
        db_rig_send(rig, batch);
        ck_assert_int_eq(batch->st, ST_OK);
        ck_assert_uint_eq(batch->n_refused, 0);
        batch_free(batch);
    }
}

START_TEST(test_many_samples_through_every_node_kind)
{
    static ts_time ts[MANY];
    static double v[MANY];
    struct db_rig rig;
    struct db_stats stats;
    db_rig_init(&rig, 2);
    ck_assert_int_eq(db_rig_open(&rig), ST_OK);
    fill(&rig, "m", ts, v);
    expect(&rig, "m", ts, v, MANY);
    check(&rig);
    db_stats(rig.db, &stats);
    ck_assert_uint_ge(stats.n_chunks_sealed, 1);
    ck_assert_uint_ge(stats.n_blocks_encoded, 100);

    ck_assert_msg(db_rig_flush(&rig) == ST_OK, "%s", rig.err.text);
    expect(&rig, "m", ts, v, MANY);
    check(&rig);
    db_stats(rig.db, &stats);
    ck_assert_uint_eq(stats.n_segments, 1);
    ck_assert_uint_eq(stats.n_segment_samples, MANY);

    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    ck_assert_int_eq(db_rig_open(&rig), ST_OK);
    expect(&rig, "m", ts, v, MANY);
    check(&rig);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    db_rig_release(&rig);
}
END_TEST

START_TEST(test_late_and_overwriting_samples)
{
    struct db_rig rig;
    db_rig_init(&rig, 3);
    ck_assert_int_eq(db_rig_open(&rig), ST_OK);
    const ts_time in[] = {100, 300, 200, 300, 50, 400, 200};
    const double val[] = {1, 3, 2, 33, 0.5, 4, 22};
    for (size_t i = 0; i < 7; i++) ck_assert_int_eq(db_rig_put(&rig, "m", in[i], val[i]), ST_OK);
    const ts_time ts[] = {50, 100, 200, 300, 400};
    const double v[] = {0.5, 1, 22, 33, 4};
    expect(&rig, "m", ts, v, 5);
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    expect(&rig, "m", ts, v, 5);
    ck_assert_int_eq(db_rig_put(&rig, "m", 100, 11), ST_OK); /* over a segment */
    const double after[] = {0.5, 11, 22, 33, 4};
    expect(&rig, "m", ts, after, 5);
    check(&rig);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    ck_assert_int_eq(db_rig_open(&rig), ST_OK);
    expect(&rig, "m", ts, after, 5);
    check(&rig);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    db_rig_release(&rig);
}
END_TEST

START_TEST(test_delete_hides_what_was_there_and_nothing_later)
{
    struct db_rig rig;
    lsn at;
    db_rig_init(&rig, 4);
    ck_assert_int_eq(db_rig_open(&rig), ST_OK);
    for (int i = 0; i < 5; i++) ck_assert_int_eq(db_rig_put(&rig, "m", i * 10, i), ST_OK);
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    for (int i = 5; i < 10; i++) ck_assert_int_eq(db_rig_put(&rig, "m", i * 10, i), ST_OK);
    uint32_t ordinal = db_rig_ordinal(&rig, "m");
    ck_assert_int_eq(
        db_delete(rig.db, &ordinal, 1, (struct time_range){20, 70}, &at, &rig.err), ST_OK);
    expect(&rig, "m", (ts_time[]){0, 10, 80, 90}, (double[]){0, 1, 8, 9}, 4);
    ck_assert_int_eq(db_rig_put(&rig, "m", 30, 33), ST_OK);
    ck_assert_int_eq(db_rig_put(&rig, "m", 60, 66), ST_OK);
    const ts_time ts[] = {0, 10, 30, 60, 80, 90};
    const double v[] = {0, 1, 33, 66, 8, 9};
    expect(&rig, "m", ts, v, 6);
    check(&rig);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    ck_assert_msg(db_rig_open(&rig) == ST_OK, "%s", rig.err.text);
    expect(&rig, "m", ts, v, 6);
    ck_assert_int_eq(db_rig_flush(&rig), ST_OK);
    expect(&rig, "m", ts, v, 6);
    check(&rig);
    ck_assert_int_eq(db_rig_close(&rig), ST_OK);
    db_rig_release(&rig);
}
END_TEST

Suite *suite_db(void)
{
    Suite *s = suite_create("db");
    TCase *tc = tcase_create("db");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_a_sample_comes_back);
    tcase_add_test(tc, test_many_samples_through_every_node_kind);
    tcase_add_test(tc, test_late_and_overwriting_samples);
    tcase_add_test(tc, test_delete_hides_what_was_there_and_nothing_later);
    suite_add_tcase(s, tc);
    return s;
}
