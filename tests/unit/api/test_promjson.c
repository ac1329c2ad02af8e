/* Goal: results are printed as Prometheus prints them, byte for byte. Method: results made
 * by hand (a grid, times of their own, scalars, strings, histograms of every schema) with
 * the JSON that the peer's HTTP API gives for them. */
#include <math.h>

#include "api/promjson.h"
#include "base/numfmt.h"
#include "base/panic.h"
#include "tests/unit/api/api_suites.h"

#define HEAD(type) "{\"status\":\"success\",\"data\":{\"resultType\":\"" type "\",\"result\":"

static void assert_prints(const char *name, const struct promql_result *result, size_t limit,
                          const char *want)
{
    struct strbuf out;

    strbuf_init(&out, 0);
    promjson_result(&out, result, limit, NULL);
    ck_assert_msg(slice_is(strbuf_view(&out), want), "%s:\n%.*s\nnot\n%s", name, (int)out.len,
                  out.ptr, want);
    strbuf_release(&out);
}

/* --- times and values ----------------------------------------------------------- */

static const struct time_case {
    int64_t ms;
    const char *want;
} times[] = {
    {0, "0"},           {1, "0.001"},       {10, "0.010"},
    {100, "0.100"},     {1000, "1"},        {1435781451781, "1435781451.781"},
    {-1, "-0.001"},     {-1500, "-1.500"},  {-1000, "-1"},
    {INT64_MAX, "9223372036854775.807"},    {INT64_MIN, "-9223372036854775.808"},
};

START_TEST(test_promjson_times)
{
    char text[NUMFMT_MAX];

    size_t len = promjson_time(text, times[_i].ms);
    ck_assert_uint_le(len, sizeof(text));
    ck_assert_msg(slice_is(slice_of(text, len), times[_i].want), "'%.*s', not '%s'", (int)len, text,
                  times[_i].want);
}
END_TEST

static const struct value_case {
    double v;
    const char *want;
} values[] = {
    {0, "0"},           {-0.0, "-0"},    {1, "1"},           {0.1, "0.1"},
    {1e-7, "0.0000001"}, {1e21, "1000000000000000000000"}, {1e20, "100000000000000000000"},
    {NAN, "NaN"},       {INFINITY, "+Inf"}, {-INFINITY, "-Inf"},
    {123456.789, "123456.789"},
};

START_TEST(test_promjson_scalars)
{
    struct promql_result result = {
        .type = KIND_SCALAR, .start = 1500, .ticks_per_ms = 1, .scalar = values[_i].v};
    char want[256];

    snprintf(want, sizeof(want), HEAD("scalar") "[1.500,\"%s\"]}}", values[_i].want);
    assert_prints(values[_i].want, &result, 0, want);
}
END_TEST

START_TEST(test_promjson_strings_are_escaped)
{
    struct promql_result result = {.type = KIND_STRING,
                                   .start = 2000,
                                   .ticks_per_ms = 1,
                                   .string = SLICE_LIT("a\"b\\c\n\x01")};

    assert_prints("string", &result, 0, HEAD("string") "[2,\"a\\\"b\\\\c\\n\\u0001\"]}}");
}
END_TEST

/* Each time is a sum of what it names; the steps' samples only where there is one step. */
START_TEST(test_promjson_stats)
{
    struct promjson_stats stats = {.queued = 0.25, .prepared = 0.5, .evaluated = 2};
    struct promql_result result = {.type = KIND_SCALAR, .start = 1500, .ticks_per_ms = 1,
                                   .instant = true, .scalar = 1, .total_samples = 7,
                                   .peak_samples = 9};
    const char *timings = "\"stats\":{\"timings\":{\"evalTotalTime\":2.5,\"resultSortTime\":0,"
                          "\"queryPreparationTime\":0.5,\"innerEvalTime\":2,"
                          "\"execQueueTime\":0.25,\"execTotalTime\":2.75},\"samples\":{";
    const char *steps = "\"totalQueryableSamplesPerStep\":[[1.500,7]],";
    const char *totals = "\"totalQueryableSamples\":7,\"peakSamples\":9}}}}";

    for (int all = 0; all < 2; all++) {
        for (int instant = 0; instant < 2; instant++) {
            struct strbuf out;
            char want[1024];
            stats.per_step = all;
            result.instant = instant;
            strbuf_init(&out, 0);
            promjson_result(&out, &result, 0, &stats);
            snprintf(want, sizeof(want), HEAD("scalar") "[1.500,\"1\"],%s%s%s", timings,
                     all && instant ? steps : "", totals);
            ck_assert_str_eq(strbuf_cstr(&out), want);
            strbuf_release(&out);
        }
    }
}
END_TEST

/* --- series -------------------------------------------------------------------- */

static const struct label job_a[] = {{SLICE_LIT("__name__"), SLICE_LIT("up")},
                                     {SLICE_LIT("job"), SLICE_LIT("a")}};
static const struct label job_b[] = {{SLICE_LIT("job"), SLICE_LIT("b")}};
static const double column[] = {1, 2, 3};
static const uint64_t all[] = {7}, first_and_last[] = {5}, only_first[] = {1};

#define UP_A "{\"metric\":{\"__name__\":\"up\",\"job\":\"a\"},"
#define JOB_B "{\"metric\":{\"job\":\"b\"},"
#define CUT ",\"warnings\":[\"results truncated due to limit\"]"

START_TEST(test_promjson_vector_and_its_limit)
{
    struct prom_series series[] = {
        {.labels = {job_a, 2}, .val = column, .has = only_first, .n_samples = 1},
        {.labels = {job_b, 1}, .val = column + 1, .has = only_first, .n_samples = 1}};
    struct promql_result result = {.type = KIND_VECTOR,
                                   .instant = true,
                                   .start = 10000,
                                   .step = 1,
                                   .n_steps = 1,
                                   .ticks_per_ms = 1,
                                   .series = series,
                                   .n_series = 2};
    static const char one[] = HEAD("vector") "[" UP_A "\"value\":[10,\"1\"]}]}" CUT "}";
    static const char both[] = HEAD("vector") "[" UP_A "\"value\":[10,\"1\"]}," JOB_B
                                              "\"value\":[10,\"2\"]}]}}";

    assert_prints("no limit", &result, 0, both);
    assert_prints("limit of all", &result, 2, both);
    assert_prints("limit", &result, 1, one);
    result.n_series = 0;
    assert_prints("nothing", &result, 1, HEAD("vector") "[]}}");
}
END_TEST

START_TEST(test_promjson_matrix_on_the_grid)
{
    struct prom_series series[] = {
        {.labels = {job_a, 2}, .val = column, .has = all, .n_samples = 3},
        {.labels = {job_b, 1}, .val = column, .has = first_and_last, .n_samples = 2}};
    struct promql_result result = {.type = KIND_MATRIX,
                                   .start = 1000000, /* in microseconds */
                                   .step = 500000,
                                   .n_steps = 3,
                                   .ticks_per_ms = 1000,
                                   .series = series,
                                   .n_series = 2};

    assert_prints("grid", &result, 0,
                  HEAD("matrix") "[" UP_A "\"values\":[[1,\"1\"],[1.500,\"2\"],[2,\"3\"]]}," JOB_B
                                 "\"values\":[[1,\"1\"],[2,\"3\"]]}]}}");
}
END_TEST

START_TEST(test_promjson_matrix_with_times)
{
    static const ts_time ts[] = {5, 1005, 70000};
    struct prom_series series = {.labels = {NULL, 0}, .val = column, .ts = ts, .n_samples = 3};
    struct promql_result result = {.type = KIND_MATRIX,
                                   .instant = true,
                                   .start = 70000,
                                   .n_steps = 1,
                                   .ticks_per_ms = 1,
                                   .series = &series,
                                   .n_series = 1};

    assert_prints("times", &result, 0,
                  HEAD("matrix") "[{\"metric\":{},\"values\":[[0.005,\"1\"],[1.005,\"2\"],"
                                 "[70,\"3\"]]}]}}");
}
END_TEST

/* The grid is printed word by word, and in parts: it must read as the same points with times
 * of their own do. */
struct gather {
    struct promjson_drain drain;
    struct strbuf all;
    size_t n_parts;
};

static void gather_part(struct promjson_drain *drain, struct strbuf *out)
{
    struct gather *g = container_of(drain, struct gather, drain);
    strbuf_slice(&g->all, strbuf_view(out));
    strbuf_reset(out);
    g->n_parts++;
}

START_TEST(test_promjson_grid_is_as_points)
{
    enum { STEPS = 150, SERIES = 300 };
    static double val[STEPS], packed[STEPS];
    static uint64_t has[3];
    static ts_time ts[STEPS];
    struct prom_series grid[SERIES], points[SERIES];
    struct promql_result result = {.type = KIND_MATRIX, .start = -3000, .step = 1001,
                                   .n_steps = STEPS, .ticks_per_ms = 1, .n_series = SERIES};
    struct strbuf rest, want;
    struct gather g = {.drain = {gather_part}};
    size_t n = 0;

    for (size_t i = 0; i < STEPS; i++) {
        val[i] = i % 7 == 0 ? -0.0 : (double)(i / 4) / 3;
        if (i % 5 == 0 || (i > 64 && i < 128)) continue;
        has[i / 64] |= 1ull << (i % 64);
        packed[n] = val[i];
        ts[n++] = result.start + (ts_time)i * result.step;
    }
    has[2] |= ~0ull << (STEPS - 128); /* behind the last step: nothing */
    for (size_t i = 0; i < SERIES; i++) {
        grid[i] = (struct prom_series){{job_a, 2}, .val = val, .has = has, .n_samples = n};
        points[i] = (struct prom_series){{job_a, 2}, .val = packed, .ts = ts, .n_samples = n};
    }
    strbuf_init(&g.all, 0);
    strbuf_init(&rest, 0);
    strbuf_init(&want, 0);
    result.series = points;
    promjson_result(&want, &result, 0, NULL);
    result.series = grid;
    promjson_result_parts(&rest, &result, 0, NULL, &g.drain);
    ck_assert_uint_ge(g.n_parts, 1);
    gather_part(&g.drain, &rest);
    ck_assert_str_eq(strbuf_cstr(&g.all), strbuf_cstr(&want));

    strbuf_release(&rest);
    strbuf_init(&rest, 1000); /* a limit is kept */
    promjson_result(&rest, &result, 0, NULL);
    ck_assert(rest.failed);
    strbuf_release(&rest);
    strbuf_release(&want);
    strbuf_release(&g.all);
}
END_TEST

START_TEST(test_promjson_warnings_and_infos)
{
    static const struct slice warnings[] = {SLICE_LIT("mind the \"gap\""), SLICE_LIT("two")};
    static const struct slice infos[] = {SLICE_LIT("not a counter")};
    struct prom_series series[2] = {{.labels = {job_b, 1}, .val = column, .has = only_first},
                                    {.labels = {job_a, 2}, .val = column, .has = only_first}};
    struct promql_result result = {.type = KIND_VECTOR,
                                   .n_steps = 1,
                                   .step = 1,
                                   .ticks_per_ms = 1,
                                   .series = series,
                                   .n_series = 2,
                                   .warnings = warnings,
                                   .n_warnings = 2,
                                   .infos = infos,
                                   .n_infos = 1};

    assert_prints("texts", &result, 1,
                  HEAD("vector") "[" JOB_B "\"value\":[0,\"1\"]}]},\"warnings\":[\"mind the "
                                 "\\\"gap\\\"\",\"two\",\"results truncated due to limit\"],"
                                 "\"infos\":[\"not a counter\"]}");
}
END_TEST

/* --- histograms ---------------------------------------------------------------- */

static const double counts[] = {1, 2, 3, 4};
static const struct hist_span at_zero_of_2[] = {{0, 2}}, at_one_of_1[] = {{1, 1}};
static const struct hist_span with_a_gap[] = {{-1, 1}, {1, 2}}, far[] = {{2147483646, 1}};
static const struct hist_span far_below[] = {{-2147483647 - 1, 1}};
static const double bounds[] = {0.5, 10};
static const struct hist_span custom_three[] = {{0, 3}};

static const struct hist_case {
    const char *name;
    struct histogram h;
    const char *buckets; /* "" : none */
} hists[] = {
    {"no buckets", {.schema = 0}, ""},
    {"zero bucket", {.schema = 0, .zero_threshold = 0.001, .zero_count = 5},
     "[3,\"-0.001\",\"0.001\",\"5\"]"},
    {"powers of two", {.schema = 0, .pos = {at_zero_of_2, counts, 1, 2}},
     "[0,\"0.5\",\"1\",\"1\"],[0,\"1\",\"2\",\"2\"]"},
    {"negative, largest magnitude first", {.schema = 0, .neg = {at_zero_of_2, counts, 1, 2}},
     "[1,\"-2\",\"-1\",\"2\"],[1,\"-1\",\"-0.5\",\"1\"]"},
    {"a gap", {.schema = 0, .pos = {with_a_gap, counts, 2, 3}},
     "[0,\"0.25\",\"0.5\",\"1\"],[0,\"1\",\"2\",\"2\"],[0,\"2\",\"4\",\"3\"]"},
    {"a gap, negative", {.schema = 0, .neg = {with_a_gap, counts, 2, 3}},
     "[1,\"-4\",\"-2\",\"3\"],[1,\"-2\",\"-1\",\"2\"],[1,\"-0.5\",\"-0.25\",\"1\"]"},
    {"all sides", {.schema = 0, .zero_threshold = 0.5, .zero_count = 7,
                   .pos = {at_one_of_1, counts, 1, 1}, .neg = {at_one_of_1, counts + 1, 1, 1}},
     "[1,\"-2\",\"-1\",\"2\"],[3,\"-0.5\",\"0.5\",\"7\"],[0,\"1\",\"2\",\"1\"]"},
    {"schema 1", {.schema = 1, .pos = {at_zero_of_2, counts, 1, 2}},
     "[0,\"0.7071067811865475\",\"1\",\"1\"],[0,\"1\",\"1.414213562373095\",\"2\"]"},
    {"schema -1", {.schema = -1, .pos = {with_a_gap, counts, 2, 3}},
     "[0,\"0.0625\",\"0.25\",\"1\"],[0,\"1\",\"4\",\"2\"],[0,\"4\",\"16\",\"3\"]"},
    {"schema -4", {.schema = -4, .pos = {at_one_of_1, counts, 1, 1}}, "[0,\"1\",\"65536\",\"1\"]"},
    {"beyond all doubles", {.schema = -4, .pos = {far, counts, 1, 1}},
     "[0,\"+Inf\",\"+Inf\",\"1\"]"},
    {"below all doubles", {.schema = 8, .pos = {far_below, counts, 1, 1}},
     "[0,\"0\",\"0\",\"1\"]"},
    {"custom bounds", {.schema = HIST_SCHEMA_CUSTOM, .pos = {custom_three, counts, 1, 3},
                       .custom = bounds, .n_custom = 2},
     "[3,\"-Inf\",\"0.5\",\"1\"],[0,\"0.5\",\"10\",\"2\"],[0,\"10\",\"+Inf\",\"3\"]"},
};

START_TEST(test_promjson_histograms)
{
    const struct hist_case *c = &hists[_i];
    struct histogram h = c->h;
    const struct histogram *const column_of_one[] = {&h};
    double unused = 0;
    struct prom_series series = {.labels = {job_b, 1},
                                 .val = &unused,
                                 .hist = column_of_one,
                                 .has = only_first,
                                 .n_samples = 1};
    struct promql_result result = {.type = KIND_VECTOR,
                                   .instant = true,
                                   .n_steps = 1,
                                   .step = 1,
                                   .ticks_per_ms = 1,
                                   .series = &series,
                                   .n_series = 1};
    char want[512];

    h.count = 10;
    h.sum = 1.25;
    snprintf(want, sizeof(want),
             HEAD("vector") "[" JOB_B
                            "\"histogram\":[0,{\"count\":\"10\",\"sum\":\"1.25\"%s%s%s}]}]}}",
             c->buckets[0] ? ",\"buckets\":[" : "", c->buckets, c->buckets[0] ? "]" : "");
    assert_prints(c->name, &result, 0, want);
}
END_TEST

START_TEST(test_promjson_floats_and_histograms_are_two_lists)
{
    struct histogram h = {.schema = 0, .count = 1, .sum = 2};
    const struct histogram *const mixed[] = {NULL, &h, NULL};
    struct prom_series series = {.labels = {job_b, 1},
                                 .val = column,
                                 .hist = mixed,
                                 .has = all,
                                 .n_samples = 3};
    struct promql_result result = {.type = KIND_MATRIX,
                                   .step = 1000,
                                   .n_steps = 3,
                                   .ticks_per_ms = 1,
                                   .series = &series,
                                   .n_series = 1};

    assert_prints("mixed", &result, 0,
                  HEAD("matrix") "[" JOB_B "\"values\":[[0,\"1\"],[2,\"3\"]],\"histograms\":[[1,{"
                                 "\"count\":\"1\",\"sum\":\"2\"}]]}]}}");
}
END_TEST

START_TEST(test_promjson_errors)
{
    struct strbuf out;

    strbuf_init(&out, 0);
    promjson_error(&out, "bad_data", SLICE_LIT("say \"what\""));
    ck_assert_str_eq(strbuf_cstr(&out), "{\"status\":\"error\",\"errorType\":\"bad_data\","
                                        "\"error\":\"say \\\"what\\\"\"}");
    strbuf_release(&out);
}
END_TEST

#define N(table) (int)(sizeof(table) / sizeof((table)[0]))

Suite *suite_promjson(void)
{
    Suite *suite = suite_create("promjson");
    TCase *tcase = tcase_create("bytes");

    tcase_add_loop_test(tcase, test_promjson_times, 0, N(times));
    tcase_add_loop_test(tcase, test_promjson_scalars, 0, N(values));
    tcase_add_test(tcase, test_promjson_strings_are_escaped);
    tcase_add_test(tcase, test_promjson_stats);
    tcase_add_test(tcase, test_promjson_vector_and_its_limit);
    tcase_add_test(tcase, test_promjson_matrix_on_the_grid);
    tcase_add_test(tcase, test_promjson_matrix_with_times);
    tcase_add_test(tcase, test_promjson_grid_is_as_points);
    tcase_add_test(tcase, test_promjson_warnings_and_infos);
    tcase_add_loop_test(tcase, test_promjson_histograms, 0, N(hists));
    tcase_add_test(tcase, test_promjson_floats_and_histograms_are_two_lists);
    tcase_add_test(tcase, test_promjson_errors);
    suite_add_tcase(suite, tcase);
    return suite;
}
