/* Goal: merging gives what "newest wins" means, for arrays and streams, with deletes.
 * Method: random sources from a seed against a merge that sorts everything naively. */
#include "tests/unit/storage/storage_suites.h"

#include "base/panic.h"
#include "base/rng.h"
#include "storage/merge.h"

enum { RUNS_MAX = 20, POINTS_MAX = 60, TIMES = 90 };

struct source {
    struct merge_source base;
    ts_time ts[POINTS_MAX];
    union value val[POINTS_MAX];
    size_t n, at, batch;
    uint64_t rank;
    struct intervals hidden;
};

static struct source sources[RUNS_MAX];

/* Shapes: 0 dense and overlapping, 1 one behind the other, 2 with equal times inside. */
static size_t make_sources(struct rng *rng, int shape)
{
    size_t n_runs = rng_below(rng, RUNS_MAX) + 1;
    ts_time start = 0;

    for (size_t r = 0; r < n_runs; r++) {
        struct source *s = &sources[r];
        *s = (struct source){.rank = rng_below(rng, 5), .batch = rng_below(rng, 9) + 1};
        size_t n = rng_below(rng, POINTS_MAX + 1);
        ts_time t = shape == 1 ? start : (ts_time)rng_below(rng, TIMES);
        for (size_t i = 0; i < n; i++) {
            s->ts[s->n] = t;
            s->val[s->n].bits = r * 1000 + i;
            s->n++;
            t += shape == 2 ? (ts_time)rng_below(rng, 2) : 1 + (ts_time)rng_below(rng, 3);
        }
        start = t + 1;
        for (uint64_t k = rng_below(rng, 4); k > 0; k--) {
            ts_time from = (ts_time)rng_below(rng, TIMES * 2);
            ck_assert(intervals_add(&s->hidden,
                                    (struct time_range){from, from + (ts_time)rng_below(rng, 9)}));
        }
    }
    return n_runs;
}

/* For every time: the visible point of the highest (rank, source, place). */
static void merge_naively(struct points *out, size_t n_runs, struct time_range range)
{
    for (ts_time t = -5; t < 20000; t++) {
        const struct source *best = NULL;
        size_t best_at = 0;
        for (size_t r = 0; r < n_runs && range_has(range, t); r++) {
            const struct source *s = &sources[r];
            if (intervals_has(&s->hidden, t)) continue;
            for (size_t i = 0; i < s->n; i++) {
                if (s->ts[i] != t || (best && best->rank > s->rank)) continue;
                best = s;
                best_at = i;
            }
        }
        if (best) ck_assert(points_push(out, t, best->val[best_at]));
    }
}

static status fill(struct merge_source *src, struct merge_run *run)
{
    struct source *s = container_of(src, struct source, base);
    size_t n = s->n - s->at < s->batch ? s->n - s->at : s->batch;

    /* A batch is later than the one before: equal times stay together. */
    while (s->at + n < s->n && n > 0 && s->ts[s->at + n] == s->ts[s->at + n - 1]) n++;
    run->ts = s->ts + s->at;
    run->val = s->val + s->at;
    run->n = n;
    s->at += n;
    return ST_OK;
}

static void check_equal(const struct points *got, const struct points *want, const char *what)
{
    ck_assert_msg(got->n == want->n, "%s: %zu points, not %zu", what, got->n, want->n);
    for (size_t i = 0; i < got->n; i++) {
        ck_assert_msg(got->ts[i] == want->ts[i] && got->val[i].bits == want->val[i].bits,
                      "%s: point %zu", what, i);
    }
}

static void stream(struct points *out, size_t n_runs, struct time_range range, size_t max)
{
    struct merge_source *list[RUNS_MAX];
    const struct intervals *hidden[RUNS_MAX];
    uint64_t ranks[RUNS_MAX];
    struct merge *merge;
    bool more = true;

    for (size_t r = 0; r < n_runs; r++) {
        sources[r].base.fill = fill;
        sources[r].at = 0;
        list[r] = &sources[r].base;
        hidden[r] = &sources[r].hidden;
        ranks[r] = sources[r].rank;
    }
    ck_assert_int_eq(merge_new(&merge, list, ranks, hidden, n_runs, range), ST_OK);
    while (more) {
        size_t before = out->n;
        ck_assert_int_eq(merge_next(merge, out, max, &more), ST_OK);
        if (more) ck_assert_uint_ge(out->n, before + max);
    }
    merge_free(merge);
}

START_TEST(test_merge_newest_wins)
{
    struct rng rng;
    rng_init(&rng, unit_seed() + (uint64_t)_i);

    for (int round = 0; round < 150; round++) {
        struct points want = {0}, got = {0}, streamed = {0};
        struct merge_run runs[RUNS_MAX];
        size_t n_runs = make_sources(&rng, _i);
        struct time_range range = {TS_MIN, TS_MAX};
        if (rng_below(&rng, 2)) {
            range.from = (ts_time)rng_below(&rng, TIMES);
            range.to = range.from + (ts_time)rng_below(&rng, TIMES);
        }
        for (size_t r = 0; r < n_runs; r++) {
            runs[r] = (struct merge_run){sources[r].ts, sources[r].val, sources[r].n,
                                         sources[r].rank, &sources[r].hidden};
        }
        merge_naively(&want, n_runs, range);
        ck_assert_int_eq(merge_runs(&got, runs, n_runs, range), ST_OK);
        check_equal(&got, &want, "arrays");
        stream(&streamed, n_runs, range, rng_below(&rng, 20) + 1);
        check_equal(&streamed, &want, "stream");
        points_release(&want);
        points_release(&got);
        points_release(&streamed);
        for (size_t r = 0; r < n_runs; r++) intervals_release(&sources[r].hidden);
    }
}
END_TEST

START_TEST(test_merge_at_the_ends_of_time)
{
    const ts_time ts[] = {TS_MIN, 0, TS_MAX};
    const union value a[] = {{1}, {2}, {3}}, b[] = {{4}, {5}, {6}};
    struct intervals hidden = {0};
    struct points out = {0};

    ck_assert(intervals_add(&hidden, (struct time_range){1, TS_MAX}));
    struct merge_run runs[] = {{ts, a, 3, 0, NULL}, {ts, b, 3, 1, &hidden}};
    ck_assert_int_eq(merge_runs(&out, runs, 2, (struct time_range){TS_MIN, TS_MAX}), ST_OK);
    ck_assert_uint_eq(out.n, 3);
    ck_assert_uint_eq(out.val[0].bits, 4);
    ck_assert_uint_eq(out.val[1].bits, 5);
    ck_assert_uint_eq(out.val[2].bits, 3); /* the hidden one shadows nothing */
    points_release(&out);
    ck_assert_int_eq(merge_runs(&out, runs, 2, (struct time_range){5, 4}), ST_OK);
    ck_assert_uint_eq(out.n, 0);
    intervals_release(&hidden);
}
END_TEST

static status fail_to_fill(struct merge_source *src, struct merge_run *run)
{
    (void)src;
    (void)run;
    return ST_CORRUPT;
}

START_TEST(test_merge_passes_failures_on)
{
    struct merge_source bad = {fail_to_fill};
    struct merge_source *list[] = {&bad};
    const uint64_t ranks[] = {0};
    struct points out = {0};
    struct merge *merge;
    bool more;

    ck_assert_int_eq(merge_new(&merge, list, ranks, NULL, 1, (struct time_range){0, 9}), ST_OK);
    ck_assert_int_eq(merge_next(merge, &out, 5, &more), ST_CORRUPT);
    merge_free(merge);
}
END_TEST

/* ---- intervals ---- */

START_TEST(test_intervals_against_a_bitmap)
{
    struct rng rng;
    rng_init(&rng, unit_seed());

    for (int round = 0; round < 200; round++) {
        struct intervals set = {0};
        bool in[64] = {false};
        for (int k = 0; k < 12; k++) {
            ts_time from = (ts_time)rng_below(&rng, 60);
            ts_time to = from + (ts_time)rng_below(&rng, 6) - 1; /* sometimes empty */
            ck_assert(intervals_add(&set, (struct time_range){from, to}));
            for (ts_time t = from; t <= to && t < 64; t++) in[t] = true;
        }
        for (ts_time t = 0; t < 64; t++) ck_assert_int_eq(intervals_has(&set, t), in[t]);
        for (size_t i = 1; i < set.len; i++) {
            ck_assert_int_gt(set.ptr[i].from, set.ptr[i - 1].to + 1);
        }
        for (ts_time a = 0; a < 60; a += 7) {
            bool all = true, any = false;
            for (ts_time t = a; t <= a + 3; t++) {
                all &= in[t];
                any |= in[t];
            }
            struct time_range range = {a, a + 3};
            ck_assert_int_eq(intervals_covers(&set, range), all);
            ck_assert_int_eq(intervals_overlaps(&set, range), any);
        }
        intervals_release(&set);
    }
}
END_TEST

START_TEST(test_intervals_at_the_ends_of_time)
{
    struct intervals set = {0};
    struct time_range low = {TS_MIN, TS_MIN}, high = {TS_MAX, TS_MAX}, all = {TS_MIN, TS_MAX};

    ck_assert(intervals_add(&set, high));
    ck_assert(intervals_add(&set, low));
    ck_assert_uint_eq(set.len, 2);
    ck_assert(intervals_has(&set, TS_MAX));
    ck_assert(!intervals_has(&set, 0));
    ck_assert(intervals_add(&set, all));
    ck_assert_uint_eq(set.len, 1);
    ck_assert(intervals_covers(&set, all));
    intervals_release(&set);
}
END_TEST

Suite *suite_merge(void)
{
    Suite *suite = suite_create("merge");
    TCase *tc = tcase_create("merge");

    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, test_merge_newest_wins, 0, 3);
    tcase_add_test(tc, test_merge_at_the_ends_of_time);
    tcase_add_test(tc, test_merge_passes_failures_on);
    tcase_add_test(tc, test_intervals_against_a_bitmap);
    tcase_add_test(tc, test_intervals_at_the_ends_of_time);
    suite_add_tcase(suite, tc);
    return suite;
}
