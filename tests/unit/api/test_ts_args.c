/* Goal: the options of TS.* commands mean what RedisTimeSeries means by them, and what it
 * refuses is refused in its words. Method: tables of command lines through the specs that
 * the commands use. */
#include <math.h>

#include "api/ts_args.h"
#include "tests/unit/api/api_suites.h"

enum { WORDS_MAX = 4096 };

static struct slice words[WORDS_MAX];

/* Splits at blanks; the text must live on. */
static size_t split(const char *line)
{
    size_t n = 0;

    while (*line) {
        size_t len = strcspn(line, " ");
        ck_assert_uint_lt(n, WORDS_MAX);
        if (len) words[n++] = slice_of(line, len);
        line += len + (line[len] == ' ');
    }
    return n;
}

/* --- what a series is made with ---------------------------------------------------- */

struct create {
    struct ts_create_args args;
};
static const struct arg_spec create_spec[] = {TS_CREATE_SPEC(struct create, args), ARG_END};
static const struct arg_shape create_shape = ARG_SHAPE(struct create, create_spec);

static const struct app_settings settings = {.ts_retention_ms = 7000,
                                             .ts_chunk_bytes = 4096,
                                             .ts_policy = DUP_BLOCK,
                                             .ts_ignore_ms = 3,
                                             .ts_ignore_val = 0.5};

#define CHUNK_RANGE "!TSDB: CHUNK_SIZE value must be a multiple of 8 in the range [48 .. 1048576]"

static const struct create_case {
    const char *line;
    const char *want; /* "retention chunk policy ignore_ms ignore_val raw labels" or "!error" */
} creates[] = {
    {"", "7000 4096 1 3 0.5 0 0"},
    {"RETENTION 0", "0 4096 1 3 0.5 0 0"},
    {"retention 60000 chunk_size 128", "60000 128 1 3 0.5 0 0"},
    {"RETENTION 5 RETENTION 6", "6 4096 1 3 0.5 0 0"},
    {"RETENTION -1", "!TSDB: Couldn't parse RETENTION"},
    {"RETENTION", "!TSDB: Couldn't parse RETENTION"},
    {"RETENTION 5m", "!TSDB: Couldn't parse RETENTION"},
    {"CHUNK_SIZE 48", "7000 48 1 3 0.5 0 0"},
    {"CHUNK_SIZE 1048576", "7000 1048576 1 3 0.5 0 0"},
    {"CHUNK_SIZE 40", CHUNK_RANGE},
    {"CHUNK_SIZE 1048584",
     CHUNK_RANGE},
    {"CHUNK_SIZE 50", CHUNK_RANGE},
    {"CHUNK_SIZE x", "!TSDB: Couldn't parse CHUNK_SIZE"},
    {"ENCODING UNCOMPRESSED", "7000 4096 1 3 0.5 1 0"},
    {"ENCODING compressed", "7000 4096 1 3 0.5 0 0"},
    {"UNCOMPRESSED", "7000 4096 1 3 0.5 1 0"},
    {"UNCOMPRESSED ENCODING COMPRESSED", "7000 4096 1 3 0.5 0 0"},
    {"ENCODING zip", "!TSDB: unknown ENCODING parameter"},
    {"ENCODING", "!TSDB: Couldn't parse ENCODING"},
    {"DUPLICATE_POLICY first", "7000 4096 2 3 0.5 0 0"},
    {"DUPLICATE_POLICY LAST", "7000 4096 3 3 0.5 0 0"},
    {"DUPLICATE_POLICY min", "7000 4096 4 3 0.5 0 0"},
    {"DUPLICATE_POLICY max", "7000 4096 5 3 0.5 0 0"},
    {"DUPLICATE_POLICY sum", "7000 4096 6 3 0.5 0 0"},
    {"DUPLICATE_POLICY BLOCK", "7000 4096 1 3 0.5 0 0"},
    {"DUPLICATE_POLICY newest", "!TSDB: Unknown DUPLICATE_POLICY"},
    {"DUPLICATE_POLICY", "!TSDB: Couldn't parse DUPLICATE_POLICY"},
    {"IGNORE 10 0.25", "7000 4096 1 10 0.25 0 0"},
    {"IGNORE 0 0", "7000 4096 1 0 0 0 0"},
    {"IGNORE 10", "!TSDB: Couldn't parse IGNORE"},
    {"IGNORE -1 0", "!TSDB: IGNORE arguments cannot be negative"},
    {"IGNORE 1 -0.5", "!TSDB: IGNORE arguments cannot be negative"},
    {"IGNORE 1 nan", "!TSDB: Couldn't parse IGNORE"},
    {"LABELS", "7000 4096 1 3 0.5 0 0"},
    {"LABELS a 1 b 2", "7000 4096 1 3 0.5 0 2"},
    {"LABELS a 1 RETENTION 5", "7000 4096 1 3 0.5 0 2"}, /* labels take all that follows */
    {"LABELS a 1 b", "7000 4096 1 3 0.5 0 1"},
    {"LABELS a 1 a 2", "!TSDB: Couldn't parse LABELS"},
    {"LABELS a (1)", "!TSDB: Couldn't parse LABELS"},
    {"LABELS a 1,2", "!TSDB: Couldn't parse LABELS"},
    {"LABELS __key__ k", "!TSDB: Couldn't parse LABELS"},
    {"BANANA", "!TSDB: unknown argument 'BANANA'"},
};

START_TEST(test_ts_args_of_a_new_series)
{
    const struct create_case *c = &creates[_i];
    struct create args;
    struct arena arena;
    struct err err = {.st = ST_OK};
    char got[600];

    arena_init(&arena, NULL, 1024);
    status st = args_parse(&args, &create_shape, words, split(c->line), ARG_UNKNOWN_TSDB, &arena,
                           &err);
    if (st != ST_OK) {
        snprintf(got, sizeof(got), "!%s", err.text);
    } else {
        struct series_attrs a = ts_attrs(&settings, &args.args);
        snprintf(got, sizeof(got), "%lld %u %d %lld %g %d %zu", (long long)a.retention_ms,
                 a.chunk_bytes, (int)a.policy, (long long)a.ignore_max_ms, a.ignore_max_val,
                 a.uncompressed, args.args.labels.n);
    }
    ck_assert_msg(strcmp(got, c->want) == 0, "%s: '%s', not '%s'", c->line, got, c->want);
    arena_release(&arena);
}
END_TEST

START_TEST(test_ts_args_lenient_words_go_unnoticed)
{
    struct create args;
    struct arena arena;
    struct err err = {.st = ST_OK};

    arena_init(&arena, NULL, 1024);
    size_t n = split("BANANA RETENTION 5 APPLE");
    ck_assert_int_eq(args_parse(&args, &create_shape, words, n, ARG_UNKNOWN_SKIP, &arena, &err),
                     ST_OK);
    ck_assert_int_eq(args.args.retention.v, 5);
    arena_release(&arena);
}
END_TEST

/* The search for repeated names is quadratic: a hostile number of labels is refused. */
START_TEST(test_ts_args_many_labels_are_refused_at_once)
{
    static char names[WORDS_MAX][8];
    struct create args;
    struct arena arena;
    struct err err = {.st = ST_OK};

    arena_init(&arena, NULL, 1024);
    words[0] = SLICE_LIT("LABELS");
    for (size_t i = 1; i < WORDS_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), "n%zu", i);
        words[i] = slice_str(names[i]);
    }
    ck_assert_int_eq(args_parse(&args, &create_shape, words, WORDS_MAX, ARG_UNKNOWN_TSDB, &arena,
                                &err),
                     ST_INVALID);
    ck_assert_str_eq(err.text, "TSDB: Couldn't parse LABELS");
    arena_release(&arena);
}
END_TEST

/* --- values and times ------------------------------------------------------------- */

static const struct value_case {
    const char *word;
    bool ok;
    double want;
} values[] = {
    {"1", true, 1},          {"-0.5", true, -0.5},  {"1e3", true, 1000},  {"1E-3", true, 0.001},
    {"0", true, 0},          {"nan", true, NAN},    {"NaN", true, NAN},   {"", false, 0},
    {"+1", false, 0},        {".5", false, 0},      {"5.", false, 0},     {"01", false, 0},
    {"0x10", false, 0},      {"inf", false, 0},     {"1e999", false, 0},  {"1 ", false, 0},
    {"1,5", false, 0},       {"abc", false, 0},
};

START_TEST(test_ts_args_values)
{
    const struct value_case *c = &values[_i];
    struct err err = {.st = ST_OK};
    double v = -1;

    status st = ts_value(&v, slice_str(c->word), &err);
    ck_assert_msg((st == ST_OK) == c->ok, "'%s'", c->word);
    if (!c->ok) ck_assert_str_eq(err.text, "TSDB: invalid value");
    else ck_assert_msg(v == c->want || (isnan(v) && isnan(c->want)), "'%s': %g", c->word, v);
}
END_TEST

static const struct time_case {
    const char *word;
    int64_t want;
    const char *words;
} times[] = {
    {"0", 0, NULL},
    {"1700000000000", 1700000000000, NULL},
    {"9223372036854775807", INT64_MAX, NULL},
    {"*", 77, NULL},
    {"-1", 0, "TSDB: invalid timestamp, must be a nonnegative integer"},
    {"1.5", 0, "TSDB: invalid timestamp"},
    {"9223372036854775808", 0, "TSDB: invalid timestamp"},
    {"**", 0, "TSDB: invalid timestamp"},
    {"", 0, "TSDB: invalid timestamp"},
    {"now", 0, "TSDB: invalid timestamp"},
};

START_TEST(test_ts_args_times)
{
    const struct time_case *c = &times[_i];
    struct err err = {.st = ST_OK};
    int64_t ms = -1;

    status st = ts_time_ms(&ms, slice_str(c->word), 77, &err);
    ck_assert_msg((st == ST_OK) == !c->words, "'%s'", c->word);
    if (c->words) ck_assert_str_eq(err.text, c->words);
    else ck_assert_int_eq(ms, c->want);
}
END_TEST

/* --- ranges ----------------------------------------------------------------------- */

struct range {
    struct ts_range_args r;
};
static const struct arg_spec range_spec_rows[] = {
    ARG_POS_BY(struct range, r.from, ts_parse_from),
    ARG_POS_BY(struct range, r.to, ts_parse_to),
    TS_RANGE_SPEC(struct range, r),
    ARG_END,
};
static const struct arg_shape range_shape = ARG_SHAPE(struct range, range_spec_rows);

#define PLACE_STAMP                                                                            \
    "!TSDB: BUCKETTIMESTAMP flag should be the 3rd or 4th flag after AGGREGATION flag"
#define PLACE_EMPTY "!TSDB: EMPTY flag should be the 3rd or 5th flag after AGGREGATION flag"

static const struct range_case {
    const char *line;
    enum precision precision;
    /* "from to count n_by_ts n_aggs bucket align stamp empty" or "!error" */
    const char *want;
} ranges[] = {
    {"- +", PRECISION_MS, "min max 0 0 0 0 0 0 0"},
    {"5 10", PRECISION_MS, "5 10 0 0 0 0 0 0 0"},
    {"10 5", PRECISION_MS, "10 5 0 0 0 0 0 0 0"},
    {"5 10", PRECISION_NS, "5000000 10000000 0 0 0 0 0 0 0"},
    {"5000 10999", PRECISION_S, "5 10 0 0 0 0 0 0 0"},
    {"+ 10", PRECISION_MS, "!TSDB: wrong fromTimestamp"},
    {"-1 10", PRECISION_MS, "!TSDB: wrong fromTimestamp"},
    {"5 -", PRECISION_MS, "!TSDB: wrong toTimestamp"},
    {"5 x", PRECISION_MS, "!TSDB: wrong toTimestamp"},
    {"5", PRECISION_MS, "!TSDB: wrong toTimestamp"},
    {"", PRECISION_MS, "!TSDB: wrong fromTimestamp"},
    {"- + LATEST COUNT 3", PRECISION_MS, "min max 3 0 0 0 0 0 0"},
    {"- + COUNT 0", PRECISION_MS, "!TSDB: Invalid COUNT value"},
    {"- + COUNT x", PRECISION_MS, "!TSDB: Couldn't parse COUNT"},
    {"- + COUNT", PRECISION_MS, "!TSDB: COUNT argument is missing"},
    {"- + FILTER_BY_TS 3 1 3 2", PRECISION_MS, "min max 0 3 0 0 0 0 0"},
    {"- + FILTER_BY_TS 3 COUNT 2", PRECISION_MS, "min max 2 1 0 0 0 0 0"},
    {"- + FILTER_BY_TS", PRECISION_MS, "!TSDB: FILTER_BY_TS one or more arguments are missing"},
    {"- + FILTER_BY_TS -5", PRECISION_MS, "!TSDB: FILTER_BY_TS one or more arguments are missing"},
    {"- + FILTER_BY_VALUE 1", PRECISION_MS,
     "!TSDB: FILTER_BY_VALUE one or more arguments are missing"},
    {"- + FILTER_BY_VALUE a 1", PRECISION_MS, "!TSDB: Couldn't parse MIN"},
    {"- + FILTER_BY_VALUE 1 nan", PRECISION_MS, "!TSDB: Couldn't parse MAX"},
    {"- + FILTER_BY_VALUE -inf 1.5", PRECISION_MS, "min max 0 0 0 0 0 0 0"},
    {"- + AGGREGATION avg 10", PRECISION_MS, "min max 0 0 1 10 0 0 0"},
    {"- + aggregation AVG,max,std.p 10", PRECISION_US, "min max 0 0 3 10000 0 0 0"},
    {"- + AGGREGATION avg 500", PRECISION_S,
     "!TSDB: bucketDuration is shorter than the database's precision"},
    {"- + AGGREGATION avg 9223372036854775807", PRECISION_NS,
     "min max 0 0 1 9223372036854775807 0 0 0"},
    {"- + AGGREGATION avg 0", PRECISION_MS, "!TSDB: bucketDuration must be greater than zero"},
    {"- + AGGREGATION avg -5", PRECISION_MS, "!TSDB: bucketDuration must be greater than zero"},
    {"- + AGGREGATION avg", PRECISION_MS, "!TSDB: Couldn't parse AGGREGATION"},
    {"- + AGGREGATION median 5", PRECISION_MS, "!TSDB: Unknown aggregation type"},
    {"- + AGGREGATION avg,,max 5", PRECISION_MS, "!TSDB: Empty aggregation type in list"},
    {"- + AGGREGATION avg, 5", PRECISION_MS, "!TSDB: Empty aggregation type in list"},
    {"- + AGGREGATION "
     "avg,avg,avg,avg,avg,avg,avg,avg,avg,avg,avg,avg,avg,avg,avg,avg,avg 5",
     PRECISION_MS, "!TSDB: Too many aggregation types"},
    {"- + ALIGN 3 AGGREGATION avg 10", PRECISION_MS, "min max 0 0 1 10 3 0 0"},
    {"7 + ALIGN start AGGREGATION avg 10", PRECISION_MS, "7 max 0 0 1 10 7 0 0"},
    {"7 + ALIGN - AGGREGATION avg 10", PRECISION_MS, "7 max 0 0 1 10 7 0 0"},
    {"- 9 ALIGN end AGGREGATION avg 10", PRECISION_MS, "min 9 0 0 1 10 9 0 0"},
    {"- 9 ALIGN + AGGREGATION avg 10", PRECISION_MS, "min 9 0 0 1 10 9 0 0"},
    {"- + ALIGN start AGGREGATION avg 10", PRECISION_MS,
     "!TSDB: start alignment can only be used with explicit start timestamp"},
    {"- + ALIGN end AGGREGATION avg 10", PRECISION_MS,
     "!TSDB: end alignment can only be used with explicit end timestamp"},
    {"- + ALIGN 3", PRECISION_MS, "!TSDB: ALIGN parameter can only be used with AGGREGATION"},
    {"- + ALIGN middle AGGREGATION avg 10", PRECISION_MS, "!TSDB: unknown ALIGN parameter"},
    {"- + ALIGN", PRECISION_MS, "!TSDB: unknown ALIGN parameter"},
    {"- + AGGREGATION avg 10 BUCKETTIMESTAMP end", PRECISION_MS, "min max 0 0 1 10 0 2 0"},
    {"- + AGGREGATION avg 10 BUCKETTIMESTAMP ~", PRECISION_MS, "min max 0 0 1 10 0 1 0"},
    {"- + AGGREGATION avg 10 BUCKETTIMESTAMP late", PRECISION_MS,
     "!TSDB: unknown BUCKETTIMESTAMP parameter"},
    {"- + AGGREGATION avg 10 EMPTY", PRECISION_MS, "min max 0 0 1 10 0 0 1"},
    {"- + AGGREGATION avg 10 EMPTY BUCKETTIMESTAMP mid", PRECISION_MS, "min max 0 0 1 10 0 1 1"},
    {"- + AGGREGATION avg 10 BUCKETTIMESTAMP mid EMPTY", PRECISION_MS, "min max 0 0 1 10 0 1 1"},
    {"- + BUCKETTIMESTAMP mid", PRECISION_MS, PLACE_STAMP},
    {"- + BUCKETTIMESTAMP mid AGGREGATION avg 10", PRECISION_MS, PLACE_STAMP},
    {"- + EMPTY", PRECISION_MS, PLACE_EMPTY},
    {"- + AGGREGATION avg 10 COUNT 1 EMPTY", PRECISION_MS, "min max 1 0 1 10 0 0 1"},
    {"- + AGGREGATION avg 10 COUNT 1 LATEST EMPTY", PRECISION_MS, PLACE_EMPTY},
};

static const char *tick(char dst[32], ts_time ts)
{
    if (ts == TS_MIN) return "min";
    if (ts == TS_MAX) return "max";
    snprintf(dst, 32, "%lld", (long long)ts);
    return dst;
}

START_TEST(test_ts_args_ranges)
{
    const struct range_case *c = &ranges[_i];
    struct range args;
    struct range_spec spec;
    struct arena arena;
    struct err err = {.st = ST_OK};
    char got[600], from[32], to[32];

    arena_init(&arena, NULL, 1024);
    status st = args_parse(&args, &range_shape, words, split(c->line), ARG_UNKNOWN_TSDB, &arena,
                           &err);
    if (st == ST_OK) st = ts_range_spec(&spec, &args.r, false, c->precision, &arena, &err);
    if (st != ST_OK)
        snprintf(got, sizeof(got), "!%s", err.text);
    else
        snprintf(got, sizeof(got), "%s %s %llu %zu %zu %lld %lld %d %d",
                 tick(from, spec.range.from), tick(to, spec.range.to),
                 (unsigned long long)spec.count, spec.n_by_ts, spec.n_aggs, (long long)spec.bucket,
                 (long long)spec.align, (int)spec.stamp, spec.empty);
    ck_assert_msg(strcmp(got, c->want) == 0, "%s: '%s', not '%s'", c->line, got, c->want);
    for (size_t i = 1; st == ST_OK && i < spec.n_by_ts; i++)
        ck_assert_int_lt(spec.by_ts[i - 1], spec.by_ts[i]);
    arena_release(&arena);
}
END_TEST

#define N(table) (int)(sizeof(table) / sizeof((table)[0]))

Suite *suite_ts_args(void)
{
    Suite *suite = suite_create("ts_args");
    TCase *tcase = tcase_create("tables");

    tcase_add_loop_test(tcase, test_ts_args_of_a_new_series, 0, N(creates));
    tcase_add_test(tcase, test_ts_args_lenient_words_go_unnoticed);
    tcase_add_test(tcase, test_ts_args_many_labels_are_refused_at_once);
    tcase_add_loop_test(tcase, test_ts_args_values, 0, N(values));
    tcase_add_loop_test(tcase, test_ts_args_times, 0, N(times));
    tcase_add_loop_test(tcase, test_ts_args_ranges, 0, N(ranges));
    suite_add_tcase(suite, tcase);
    return suite;
}
