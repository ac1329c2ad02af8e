/* Goal: TS.RANGE's answers as resp.md 2.11 and 2.13 say, oldest and newest first.
 * Method: literal samples as text and the rows expected as text; each case also runs
 * newest first, where the rows must be the same in the other order, and with every
 * COUNT, where they must be the first of them. Then limits, and a naive twa by integrating
 * in small steps. */
#include "query/aggregate.h"

#include <math.h>

#include "base/panic.h"
#include "base/rng.h"
#include "tests/unit/query/query_suites.h"

/* "10:1 20:2.5 30:nan 40:stale" -> points. */
static void parse_points(struct points *out, const char *text)
{
    while (*text) {
        char *end;
        ts_time ts = strtoll(text, &end, 10);
        union value val = {.bits = VALUE_STALE_BITS};
        if (strncmp(end + 1, "stale", 5) != 0) {
            double v = strtod(end + 1, NULL);
            val.bits = isnan(v) ? 0x7ff8000000000000ull : f64_bits(v);
        }
        ck_assert(points_push(out, ts, val));
        text = end + 1 + strcspn(end + 1, " ");
        while (*text == ' ') text++;
    }
}

static void print_row(char *text, size_t cap, const struct rows *rows, size_t i)
{
    int len = snprintf(text, cap, "%" PRId64, rows->ts[i]);
    for (size_t k = 0; k < rows->n_vals; k++) {
        double v = rows->val[i * rows->n_vals + k];
        len += snprintf(text + len, cap - (size_t)len, isnan(v) ? "%cnan" : "%c%.10g",
                        k ? ',' : ':', v);
    }
}

/* The rows from..n-1, or backwards. */
static void print_rows(char *text, size_t cap, const struct rows *rows, size_t n, bool backwards)
{
    size_t len = 0;
    text[0] = 0;
    for (size_t i = 0; i < n; i++) {
        char row[128];
        print_row(row, sizeof(row), rows, backwards ? rows->n - 1 - i : i);
        len += (size_t)snprintf(text + len, cap - len, "%s%s", i ? " " : "", row);
        ck_assert_uint_lt(len, cap);
    }
}

#define WIDE {TS_MIN, TS_MAX}
#define N_ARGS(...) (sizeof((enum agg[]){__VA_ARGS__}) / sizeof(enum agg))
#define AGGS(...) .aggs = {__VA_ARGS__}, .n_aggs = N_ARGS(__VA_ARGS__)

static const ts_time by_ts[] = {20, 30, 999};

static const struct agg_case {
    const char *name, *points, *want;
    struct range_spec spec;
} cases[] = {
    {"as they are", "10:1 20:2 30:3", "10:1 20:2 30:3", {.range = WIDE}},
    {"range", "10:1 20:2 30:3", "20:2", {.range = {11, 29}}},
    {"range ends are inside", "10:1 20:2 30:3", "10:1 20:2 30:3", {.range = {10, 30}}},
    {"empty range", "10:1 20:2 30:3", "", {.range = {30, 10}}},
    {"nothing there", "", "", {.range = WIDE}},
    {"stale markers are hidden, NaN is not", "10:1 20:stale 30:nan", "10:1 30:nan",
     {.range = WIDE}},
    {"by time", "10:1 20:2 30:3", "20:2 30:3",
     {.range = WIDE, .by_ts = by_ts, .n_by_ts = 3}},
    {"by value", "10:1 20:2 30:3 40:nan", "20:2 30:3",
     {.range = WIDE, .by_value = true, .value_min = 2, .value_max = 3}},
    {"sum", "10:1 11:2 20:3 39:4", "10:3 20:3 30:4",
     {.range = WIDE, AGGS(AGG_SUM), .bucket = 10}},
    {"filters come first", "10:1 11:2 20:3 39:4", "10:2 20:3",
     {.range = WIDE, AGGS(AGG_SUM), .bucket = 10, .by_value = true, .value_min = 2,
      .value_max = 3}},
    {"first bucket may start before from", "10:1 15:2 20:3", "10:2 20:3",
     {.range = {12, 30}, AGGS(AGG_SUM), .bucket = 10}},
    {"align", "10:1 14:2 15:3 24:4", "5:3 15:7",
     {.range = WIDE, AGGS(AGG_SUM), .bucket = 10, .align = 5}},
    {"align behind the samples", "10:1 14:2 15:3", "5:3 15:3",
     {.range = WIDE, AGGS(AGG_SUM), .bucket = 10, .align = 1005}},
    {"negative times", "-11:1 -10:2 -1:3 0:4", "-20:1 -10:5 0:4",
     {.range = WIDE, AGGS(AGG_SUM), .bucket = 10}},
    {"bucket end", "10:1 25:2", "20:1 30:2",
     {.range = WIDE, AGGS(AGG_SUM), .bucket = 10, .stamp = BUCKET_END}},
    {"bucket middle, rounded down", "10:1 25:2", "9:1 24:2",
     {.range = WIDE, AGGS(AGG_SUM), .bucket = 5, .align = 2, .stamp = BUCKET_MID}},
    {"several", "10:1 15:4 25:nan 26:2", "10:1,4,2,2.5 20:2,2,1,2",
     {.range = WIDE, AGGS(AGG_MIN, AGG_MAX, AGG_COUNT, AGG_AVG), .bucket = 10}},
    {"only NaN is an empty bucket", "10:1 25:nan 35:2", "10:1 30:2",
     {.range = WIDE, AGGS(AGG_MAX), .bucket = 10}},
    {"but countnan counts it", "10:1 25:nan 35:2", "10:0,1 20:1,nan 30:0,2",
     {.range = WIDE, AGGS(AGG_COUNT_NAN, AGG_MAX), .bucket = 10}},
    {"empties", "10:1 45:2", "10:1,1,1 20:0,nan,1 30:0,nan,1 40:2,2,2",
     {.range = WIDE, AGGS(AGG_SUM, AGG_MIN, AGG_LAST), .bucket = 10, .empty = true}},
    {"no empties beyond the series", "10:1 45:2", "20:0 30:0 40:2",
     {.range = {20, 99}, AGGS(AGG_SUM), .bucket = 10, .empty = true}},
    {"empties up to a later sample", "10:1 45:2 200:1", "40:2 50:0 60:0",
     {.range = {40, 69}, AGGS(AGG_SUM), .bucket = 10, .empty = true}},
    {"all empty between two samples", "10:1 200:1", "40:1,0 50:1,0",
     {.range = {40, 59}, AGGS(AGG_LAST, AGG_COUNT), .bucket = 10, .empty = true}},
    {"empty before the series", "100:1 200:1", "",
     {.range = {40, 59}, AGGS(AGG_LAST), .bucket = 10, .empty = true}},
    {"the last value over NaN", "10:7 20:nan 30:nan 40:nan 50:1",
     "10:7 20:7 30:7 40:7 50:1",
     {.range = WIDE, AGGS(AGG_LAST), .bucket = 10, .empty = true}},
    {"twa of one sample", "13:5", "10:5", {.range = WIDE, AGGS(AGG_TWA), .bucket = 10}},
    /* The line 0 -> 10 over [0, 10]; each bucket's mean is its middle. */
    {"twa runs to the neighbours", "0:0 10:10", "0:2.5 5:7.5 10:10",
     {.range = WIDE, AGGS(AGG_TWA), .bucket = 5, .empty = true}},
    {"twa clips at the range, not the line", "0:0 4:4 12:12", "0:4",
     {.range = {3, 5}, AGGS(AGG_TWA), .bucket = 10}},
    {"twa without neighbours", "12:2 16:4", "10:3",
     {.range = WIDE, AGGS(AGG_TWA), .bucket = 10}},
    {"twa in a gap", "0:0 40:40", "10:15 20:24.5",
     {.range = {10, 29}, AGGS(AGG_TWA), .bucket = 10, .empty = true}},
    {"the far ends", "-9223372036854775808:1 9223372036854775807:2",
     "-9223372036854775808:1 9223372036854775800:2",
     {.range = WIDE, AGGS(AGG_SUM), .bucket = 100}},
    {"buckets wider than time", "-9223372036854775808:1 0:1 9223372036854775807:2",
     "-9223372036854775808:1 0:1 9223372036854775807:2",
     {.range = WIDE, AGGS(AGG_SUM), .bucket = INT64_MAX}},
};

static void run(struct rows *out, const struct points *pts, const struct range_spec *spec)
{
    struct err err = {.st = ST_OK};
    rows_clear(out);
    status st = aggregate_range(out, pts, VALUE_F64, spec, NULL, &err);
    ck_assert_msg(st == ST_OK, "%s", err.text);
}

START_TEST(test_aggregate)
{
    const struct agg_case *c = &cases[_i];
    struct points pts = {0};
    struct rows forward = {0}, other = {0};
    char want[1024], got[1024];
    parse_points(&pts, c->points);

    run(&forward, &pts, &c->spec);
    print_rows(got, sizeof(got), &forward, forward.n, false);
    ck_assert_msg(strcmp(got, c->want) == 0, "%s: got %s, want %s", c->name, got, c->want);

    struct range_spec spec = c->spec;
    for (int reverse = 0; reverse < 2; reverse++) {
        for (uint64_t count = 0; count <= forward.n + 1; count++) {
            spec.reverse = reverse;
            spec.count = count;
            run(&other, &pts, &spec);
            size_t n = count && count < forward.n ? count : forward.n;
            print_rows(want, sizeof(want), &forward, n, reverse);
            print_rows(got, sizeof(got), &other, other.n, false);
            ck_assert_msg(strcmp(got, want) == 0, "%s, reverse %d, count %d: got %s, want %s",
                          c->name, reverse, (int)count, got, want);
        }
    }
    rows_release(&forward);
    rows_release(&other);
    points_release(&pts);
}
END_TEST

START_TEST(test_aggregate_other_types)
{
    static const struct {
        enum value_type type;
        uint64_t bits;
        double want;
    } rows[] = {
        {VALUE_I64, (uint64_t)-5, -5},
        {VALUE_U64, 7, 7},
        {VALUE_BOOL, 1, 1},
        {VALUE_I64, VALUE_STALE_BITS, 0x7ff0000000000002}, /* a number like others */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct points pts = {0};
        struct rows out = {0};
        struct range_spec spec = {.range = WIDE};
        ck_assert(points_push(&pts, 1, (union value){.bits = rows[i].bits}));
        ck_assert_int_eq(aggregate_range(&out, &pts, rows[i].type, &spec, NULL, NULL), ST_OK);
        ck_assert_uint_eq(out.n, 1);
        ck_assert_double_eq(out.val[0], rows[i].want);
        rows_release(&out);
        points_release(&pts);
    }
}
END_TEST

START_TEST(test_aggregate_is_bounded)
{
    struct points pts = {0};
    struct rows out = {0};
    parse_points(&pts, "0:1 4611686018427387904:1");
    struct range_spec spec = {.range = WIDE, AGGS(AGG_SUM), .bucket = 1, .empty = true};
    struct query_budget budget = {.samples_max = 5000};
    struct err err = {.st = ST_OK};
    for (int reverse = 0; reverse < 2; reverse++) {
        spec.reverse = reverse;
        budget.n_samples = 0;
        rows_clear(&out);
        ck_assert_int_eq(aggregate_range(&out, &pts, VALUE_F64, &spec, &budget, &err), ST_LIMIT);
        ck_assert_uint_le(out.n, 5000);
        _Atomic bool cancelled = true;
        struct query_budget gone = {.cancelled = &cancelled};
        ck_assert_int_eq(aggregate_range(&out, &pts, VALUE_F64, &spec, &gone, &err),
                         ST_CANCELLED);
        /* COUNT makes it cheap again, at either end. */
        spec.count = 3;
        rows_clear(&out);
        ck_assert_int_eq(aggregate_range(&out, &pts, VALUE_F64, &spec, NULL, &err), ST_OK);
        ck_assert_uint_eq(out.n, 3);
        spec.count = 0;
    }
    rows_release(&out);
    points_release(&pts);
}
END_TEST

/* The line through the samples at t; they ascend and surround it. */
static double line(const struct points *pts, double t)
{
    size_t i = 1;
    while (i + 1 < pts->n && (double)pts->ts[i] < t) i++;
    double t0 = (double)pts->ts[i - 1], t1 = (double)pts->ts[i];
    double v0 = bits_f64(pts->val[i - 1].bits), v1 = bits_f64(pts->val[i].bits);
    return v0 + (v1 - v0) * (t - t0) / (t1 - t0);
}

START_TEST(test_twa_like_small_steps)
{
    struct rng rng;
    rng_init(&rng, unit_seed());
    for (int round = 0; round < 200; round++) {
        struct points pts = {0};
        struct rows out = {0};
        ts_time ts = -50;
        for (int i = 0; i < 40; i++, ts += 1 + (ts_time)rng_below(&rng, 20)) {
            ck_assert(points_push(&pts, ts, (union value){.bits = f64_bits(rng_unit(&rng))}));
        }
        /* A range within the samples, so that the line is known everywhere. */
        ts_time from = pts.ts[1] + (ts_time)rng_below(&rng, 40);
        ts_time to = from + 20 + (ts_time)rng_below(&rng, 60);
        struct range_spec spec = {.range = {from, to}, AGGS(AGG_TWA), .empty = true,
                                  .bucket = 1 + (int64_t)rng_below(&rng, 30)};
        if (to >= pts.ts[pts.n - 1]) {
            points_release(&pts);
            continue;
        }
        run(&out, &pts, &spec);
        for (size_t i = 0; i < out.n; i++) {
            double low = (double)(out.ts[i] < from ? from : out.ts[i]);
            double high = (double)(out.ts[i] + spec.bucket > to ? to : out.ts[i] + spec.bucket);
            double sum = 0;
            enum { STEPS = 2000 };
            for (int k = 0; k < STEPS; k++) {
                sum += line(&pts, low + (high - low) * (k + 0.5) / STEPS);
            }
            ck_assert_msg(fabs(out.val[i] - sum / STEPS) < 1e-3, "round %d: %g, want %g",
                          round, out.val[i], sum / STEPS);
        }
        rows_release(&out);
        points_release(&pts);
    }
}
END_TEST

static void add_rows(struct group_reduce *group, const char *text)
{
    struct points pts = {0};
    struct rows rows = {0};
    struct range_spec spec = {.range = WIDE};
    parse_points(&pts, text);
    run(&rows, &pts, &spec);
    ck_assert_int_eq(group_add(group, &rows), ST_OK);
    rows_release(&rows);
    points_release(&pts);
}

START_TEST(test_group_reduce)
{
    static const struct {
        enum agg reducer;
        uint64_t count;
        bool reverse;
        const char *want;
    } rows[] = {
        {AGG_SUM, 0, false, "10:111 20:2 30:30 40:0"},
        {AGG_SUM, 2, false, "10:111 20:2"},
        {AGG_SUM, 2, true, "40:0 30:30"},
        {AGG_MAX, 0, true, "40:nan 30:30 20:2 10:100"},
        {AGG_COUNT, 0, false, "10:3 20:1 30:1 40:0"},
        {AGG_COUNT_ALL, 0, false, "10:3 20:1 30:1 40:1"},
        {AGG_AVG, 0, false, "10:37 20:2 30:30 40:nan"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct group_reduce group = {.rows = {NULL}};
        struct rows out = {0};
        char got[256];
        add_rows(&group, "10:1 20:2");
        add_rows(&group, "");
        add_rows(&group, "10:10 30:30 40:nan");
        add_rows(&group, "10:100");
        ck_assert_int_eq(group_finish(&group, &out, rows[i].reducer, rows[i].count,
                                      rows[i].reverse), ST_OK);
        print_rows(got, sizeof(got), &out, out.n, false);
        ck_assert_msg(strcmp(got, rows[i].want) == 0, "row %zu: got %s, want %s", i, got,
                      rows[i].want);
        rows_release(&out);
        group_release(&group);
    }
    ck_assert(group_reducer_valid(AGG_SUM) && group_reducer_valid(AGG_COUNT_NAN));
    ck_assert(!group_reducer_valid(AGG_FIRST) && !group_reducer_valid(AGG_LAST));
    ck_assert(!group_reducer_valid(AGG_TWA) && !group_reducer_valid(N_AGGS));
}
END_TEST

START_TEST(test_range_wants_edges)
{
    struct range_spec spec = {.range = WIDE, AGGS(AGG_SUM, AGG_TWA), .bucket = 1};
    ck_assert(range_wants_edges(&spec));
    spec.n_aggs = 1;
    ck_assert(!range_wants_edges(&spec));
    spec.empty = true;
    ck_assert(range_wants_edges(&spec));
    spec.n_aggs = 0;
    ck_assert(!range_wants_edges(&spec));
}
END_TEST

Suite *suite_aggregate(void)
{
    Suite *suite = suite_create("aggregate");
    TCase *tc = tcase_create("aggregate");
    tcase_add_loop_test(tc, test_aggregate, 0, (int)ARRAY_LEN(cases));
    tcase_add_test(tc, test_aggregate_other_types);
    tcase_add_test(tc, test_aggregate_is_bounded);
    tcase_add_test(tc, test_twa_like_small_steps);
    tcase_add_test(tc, test_group_reduce);
    tcase_add_test(tc, test_range_wants_edges);
    suite_add_tcase(suite, tc);
    return suite;
}
