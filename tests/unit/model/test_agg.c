/* Goal: every aggregator on every kind of bucket as resp.md 2.11 says, in one pass or
 * merged from parts. Method: buckets with all fifteen answers; each bucket again cut in two
 * at every place and merged; twa at edges worked out by hand. */
#include <float.h>
#include <math.h>

#include "base/panic.h"
#include "model/agg.h"
#include "tests/unit/unit.h"

/* Goal: a run is its steps. Method: each aggregator, and pairs of them, over random samples
 * with NaN, infinities and sums that overflow. */
START_TEST(test_a_run_is_its_steps)
{
    static const double odd[] = {NAN, INFINITY, -INFINITY, 1e308, -1e308, 0, -0.0, 1e-308};
    uint64_t x = unit_seed() | 1;
    for (int round = 0; round < 2000; round++) {
        ts_time ts[32];
        double v[32];
        size_t n = (size_t)round % 32;
        for (size_t i = 0; i < n; i++) {
            x = x * 6364136223846793005ull + 1442695040888963407ull;
            ts[i] = (ts_time)(10 * i + (x >> 60));
            v[i] = (x >> 40) % 6 == 0 && round % 3 ? odd[(x >> 50) % 8] : (double)(x >> 44);
        }
        for (int agg = 0; agg < N_AGGS; agg++) {
            enum agg aggs[2] = {(enum agg)agg, (enum agg)((x >> 33) % N_AGGS)};
            size_t n_aggs = 1 + (size_t)round % 2;
            struct agg_state steps, run;
            agg_init(&steps);
            agg_init(&run);
            for (size_t i = 0; i < n; i++) agg_step(&steps, ts[i], v[i]);
            agg_run(&run, ts, v, n, aggs, n_aggs);
            for (size_t k = 0; k < n_aggs; k++) {
                double a = agg_final(aggs[k], &steps), b = agg_final(aggs[k], &run);
                ck_assert_msg(a == b || (isnan(a) && isnan(b)), "round %d, %s: %g, not %g", round,
                              agg_name(aggs[k]), b, a);
                ck_assert_int_eq(agg_has_value(aggs[k], &steps), agg_has_value(aggs[k], &run));
            }
        }
    }
}
END_TEST

Suite *suite_agg(void);

enum { STEPS_MAX = 5 };

static const struct bucket {
    const char *name;
    size_t n;
    ts_time ts[STEPS_MAX];
    double v[STEPS_MAX];
    /* avg sum min max range count countnan countall first last std.p std.s var.p var.s twa */
    double want[N_AGGS];
    bool has_value, has_rows;
} buckets[] = {
    {"empty", 0, {0}, {0},
     {NAN, 0, NAN, NAN, NAN, 0, 0, 0, NAN, NAN, NAN, NAN, NAN, NAN, NAN}, false, false},
    {"one", 1, {10}, {4}, {4, 4, 4, 4, 0, 1, 0, 1, 4, 4, 0, 0, 0, 0, 4}, true, true},
    {"steady", 4, {0, 10, 20, 30}, {1, 2, 3, 4},
     {2.5, 10, 1, 4, 3, 4, 0, 4, 1, 4, 1.118033988749895, 1.2909944487358056, 1.25,
      1.6666666666666667, 2.5},
     true, true},
    {"uneven", 3, {0, 10, 40}, {0, 10, 10},
     {20 / 3.0, 20, 0, 10, 10, 3, 0, 3, 0, 10, 4.714045207910317, 5.773502691896257,
      22.22222222222222, 33.333333333333336, 8.75},
     true, true},
    {"nan inside", 3, {0, 10, 20}, {1, NAN, 3},
     {2, 4, 1, 3, 2, 2, 1, 3, 1, 3, 1, 1.4142135623730951, 1, 2, 2}, true, true},
    {"only nan", 2, {0, 10}, {NAN, NAN},
     {NAN, 0, NAN, NAN, NAN, 0, 2, 2, NAN, NAN, NAN, NAN, NAN, NAN, NAN}, false, true},
    {"negative", 2, {-20, -10}, {-5, -7},
     {-6, -12, -7, -5, 2, 2, 0, 2, -5, -7, 1, 1.4142135623730951, 1, 2, -6}, true, true},
    {"same", 3, {0, 1, 2}, {0.1, 0.1, 0.1},
     {0.1, 0.3, 0.1, 0.1, 0, 3, 0, 3, 0.1, 0.1, 0, 0, 0, 0, 0.1}, true, true},
};

static bool close_to(double a, double b)
{
    if (isnan(a) || isnan(b)) return isnan(a) && isnan(b);
    return a == b || fabs(a - b) <= 1e-8 * (fabs(a) + fabs(b) + 1);
}

static void step_all(struct agg_state *st, const struct bucket *b, size_t from, size_t to)
{
    agg_init(st);
    for (size_t i = from; i < to; i++) agg_step(st, b->ts[i], b->v[i]);
}

static void check_bucket(const struct bucket *b, const struct agg_state *st, size_t cut)
{
    for (int agg = 0; agg < N_AGGS; agg++) {
        bool counts_nan = agg == AGG_COUNT_NAN || agg == AGG_COUNT_ALL;
        ck_assert_msg(agg_has_value((enum agg)agg, st) == (counts_nan ? b->has_rows : b->has_value),
                      "%s %s", b->name, agg_name((enum agg)agg));
        double got = agg_final((enum agg)agg, st);
        ck_assert_msg(close_to(got, b->want[agg]), "%s cut at %zu: %s is %.17g, want %.17g",
                      b->name, cut, agg_name((enum agg)agg), got, b->want[agg]);
    }
}

START_TEST(test_buckets_in_one_pass_and_merged)
{
    const struct bucket *b = &buckets[_i];
    struct agg_state whole, head, tail;
    step_all(&whole, b, 0, b->n);
    check_bucket(b, &whole, 0);
    for (size_t cut = 0; cut <= b->n; cut++) {
        step_all(&head, b, 0, cut);
        step_all(&tail, b, cut, b->n);
        agg_merge(&head, &tail);
        check_bucket(b, &head, cut);
        ck_assert(head.first_ts == whole.first_ts && head.last_ts == whole.last_ts);
    }
}
END_TEST

START_TEST(test_sums_that_overflow_keep_their_mean)
{
    struct agg_state st, other;
    agg_init(&st);
    for (int i = 0; i < 4; i++) agg_step(&st, i, DBL_MAX);
    ck_assert(isinf(agg_final(AGG_SUM, &st)));
    ck_assert(close_to(agg_final(AGG_AVG, &st) / DBL_MAX, 1));
    ck_assert(close_to(agg_final(AGG_TWA, &st) / DBL_MAX, 1));
    agg_init(&other);
    for (int i = 4; i < 8; i++) agg_step(&other, i, DBL_MAX / 2);
    agg_merge(&st, &other);
    ck_assert(close_to(agg_final(AGG_AVG, &st) / DBL_MAX, 0.75));

    agg_init(&st); /* an infinity among the values is one, not an overflow */
    agg_step(&st, 0, INFINITY);
    agg_step(&st, 1, 1);
    ck_assert(isinf(agg_final(AGG_AVG, &st)));
}
END_TEST

START_TEST(test_twa_at_the_edges)
{
    struct agg_state st;
    agg_init(&st);
    agg_step(&st, 12, 20);
    agg_step(&st, 18, 80);
    ck_assert(close_to(agg_final(AGG_TWA, &st), 50)); /* no neighbours: 12..18 alone */
    agg_twa_left(&st, 10, 8, 60);   /* at 10: half way from 60 to 20 = 40 */
    agg_twa_right(&st, 20, 28, 30); /* at 20: 80 - 50 * 2/10 = 70 */
    ck_assert(close_to(agg_final(AGG_TWA, &st), (2 * 30.0 + 6 * 50.0 + 2 * 75.0) / 10));
    ck_assert(st.last == 80 && st.first == 20); /* edges are no samples */

    agg_init(&st); /* one sample becomes a line */
    agg_step(&st, 10, 5);
    agg_twa_left(&st, 5, 0, 15);
    ck_assert(close_to(agg_final(AGG_TWA, &st), 7.5));

    agg_init(&st); /* an edge at the sample adds nothing */
    agg_step(&st, 10, 5);
    agg_twa_left(&st, 10, 0, 15);
    agg_twa_right(&st, 10, 20, 15);
    ck_assert(close_to(agg_final(AGG_TWA, &st), 5));

    ck_assert(close_to(agg_twa_gap(10, 20, 0, 0, 100, 100), 15));
}
END_TEST

START_TEST(test_far_times_do_not_overflow)
{
    struct agg_state st;
    agg_init(&st);
    agg_step(&st, TS_MIN, 1);
    agg_step(&st, TS_MAX, 3);
    ck_assert(close_to(agg_final(AGG_TWA, &st), 2));
}
END_TEST

START_TEST(test_names)
{
    enum agg agg = AGG_SUM;
    for (int i = 0; i < N_AGGS; i++) {
        ck_assert(agg_parse(&agg, slice_str(agg_upper((enum agg)i))));
        ck_assert_int_eq(agg, i);
        ck_assert(agg_parse(&agg, slice_str(agg_name((enum agg)i))));
        ck_assert_int_eq(agg, i);
    }
    ck_assert(agg_parse(&agg, SLICE_LIT("CountNaN")) && agg == AGG_COUNT_NAN);
    ck_assert(!agg_parse(&agg, SLICE_LIT("median")) && !agg_parse(&agg, SLICE_LIT("")));
}
END_TEST

Suite *suite_agg(void)
{
    Suite *suite = suite_create("agg");
    TCase *tc = tcase_create("agg");
    tcase_add_loop_test(tc, test_buckets_in_one_pass_and_merged, 0, ARRAY_LEN(buckets));
    tcase_add_test(tc, test_sums_that_overflow_keep_their_mean);
    tcase_add_test(tc, test_twa_at_the_edges);
    tcase_add_test(tc, test_far_times_do_not_overflow);
    tcase_add_test(tc, test_names);
    tcase_add_test(tc, test_a_run_is_its_steps);
    suite_add_tcase(suite, tc);
    return suite;
}
