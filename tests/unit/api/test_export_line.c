/* Goal: every sample of a numeric series is a line that says exactly it. Method: a table of
 * values and times with their texts; the decoder reads lines of random bits back to the same
 * bits. */
#include <math.h>

#include "api/export_line.h"
#include "base/rng.h"
#include "ingest/json_lines.h"
#include "tests/unit/api/api_suites.h"

static const struct line_case {
    enum value_type type;
    uint64_t bits;
    const char *value;
} lines[] = {
    {VALUE_F64, 0, "0"},
    {VALUE_F64, 0x8000000000000000, "-0"},
    {VALUE_F64, 0x3fb999999999999a, "0.1"},
    {VALUE_F64, 0x3e7ad7f29abcaf48, "1e-07"},
    {VALUE_F64, VALUE_STALE_BITS, "null"},
    {VALUE_F64, VALUE_NAN_BITS, "\"NaN\""},
    {VALUE_F64, 0x7ff8000000000000, "\"nan:7ff8000000000000\""},
    {VALUE_F64, 0x7ff0000000000000, "\"Infinity\""},
    {VALUE_F64, 0xfff0000000000000, "\"-Infinity\""},
    {VALUE_I64, 0x8000000000000000, "-9223372036854775808"},
    {VALUE_U64, 0xffffffffffffffff, "18446744073709551615"},
    {VALUE_U64, VALUE_STALE_BITS, "9218868437227405314"},
    {VALUE_BOOL, 1, "1"},
    {VALUE_BOOL, 0, "0"},
};

static void print(struct strbuf *out, enum value_type type, ts_time ts, uint64_t bits,
                  enum precision p)
{
    struct label label = {SLICE_LIT("__name__"), SLICE_LIT("up")};
    struct labels labels = {&label, 1};
    union value val = {.bits = bits};
    struct points points = {.ts = &ts, .val = &val, .n = 1};
    strbuf_reset(out);
    export_line(out, labels, type, &points, 0, 1, p);
}

START_TEST(test_export_line_values)
{
    const struct line_case *c = &lines[_i];
    struct strbuf out;
    char want[256];

    strbuf_init(&out, 0);
    print(&out, c->type, 5, c->bits, PRECISION_MS);
    snprintf(want, sizeof(want),
             "{\"metric\":{\"__name__\":\"up\"},\"values\":[%s],\"timestamps\":[5]}\n", c->value);
    ck_assert_str_eq(strbuf_cstr(&out), want);
    strbuf_release(&out);
}
END_TEST

static const struct time_case {
    enum precision p;
    ts_time ts;
    const char *want;
} times[] = {
    {PRECISION_S, 3, "3000"},
    {PRECISION_S, 0, "0"},
    {PRECISION_S, -3, "-3000"},
    {PRECISION_MS, INT64_MIN, "-9223372036854775808"},
    {PRECISION_US, 2250, "2.250"},
    {PRECISION_US, -1, "-0.001"},
    {PRECISION_NS, 1000000, "1"},
    {PRECISION_NS, INT64_MIN, "-9223372036854.775808"},
};

START_TEST(test_export_line_times)
{
    const struct time_case *c = &times[_i];
    struct strbuf out;
    char want[256];

    strbuf_init(&out, 0);
    print(&out, VALUE_F64, c->ts, 0, c->p);
    snprintf(want, sizeof(want),
             "{\"metric\":{\"__name__\":\"up\"},\"values\":[0],\"timestamps\":[%s]}\n", c->want);
    ck_assert_str_eq(strbuf_cstr(&out), want);
    strbuf_release(&out);
}
END_TEST

/* A part of a column, and labels that JSON must escape. */
START_TEST(test_export_line_part)
{
    struct label label[] = {{SLICE_LIT("a"), SLICE_LIT("q\"\n")},
                            {SLICE_LIT("b.c"), SLICE_LIT("x")}};
    ts_time ts[] = {1, 2, 3, 4};
    union value val[] = {{.bits = 1}, {.bits = 2}, {.bits = 3}, {.bits = 4}};
    struct points points = {.ts = ts, .val = val, .n = 4};
    struct strbuf out;

    strbuf_init(&out, 0);
    export_line(&out, (struct labels){label, 2}, VALUE_I64, &points, 1, 3, PRECISION_MS);
    ck_assert_str_eq(strbuf_cstr(&out), "{\"metric\":{\"a\":\"q\\\"\\n\",\"b.c\":\"x\"},"
                                        "\"values\":[2,3],\"timestamps\":[2,3]}\n");
    strbuf_release(&out);
}
END_TEST

START_TEST(test_export_line_round_trip)
{
    struct account account;
    struct strbuf out;
    struct rng rng;
    struct err err;

    account_init(&account, "batch", NULL, 0);
    rng_init(&rng, unit_seed());
    strbuf_init(&out, 0);
    struct batch *batch = batch_new(&account);
    for (int i = 0; i < 5000; i++) {
        struct decode_report report = {.n_series = 0};
        enum precision p = i % 2 ? PRECISION_NS : PRECISION_MS;
        struct decode_env env = {
            .limits = &limits_default, .precision = p, .window = {INT64_MIN, INT64_MAX}};
        uint64_t bits = rng_next(&rng);
        ts_time ts = (ts_time)(rng_next(&rng) >> rng_below(&rng, 60));
        if (i % 5 == 0) bits |= 0x7ff0000000000000; /* one of the NaNs */
        print(&out, VALUE_F64, ts, bits, p);
        batch_reset(batch);
        ck_assert_int_eq(json_lines_decode(batch, strbuf_view(&out), &env, &report, &err), ST_OK);
        ck_assert_msg(batch->n_rows == 1 && batch->val[0].bits == bits && batch->ts[0] == ts, "%s",
                      strbuf_cstr(&out));
    }
    batch_free(batch);
    strbuf_release(&out);
}
END_TEST

Suite *suite_export_line(void)
{
    Suite *suite = suite_create("export_line");
    TCase *tc = tcase_create("lines");

    tcase_add_loop_test(tc, test_export_line_values, 0, sizeof(lines) / sizeof(lines[0]));
    tcase_add_loop_test(tc, test_export_line_times, 0, sizeof(times) / sizeof(times[0]));
    tcase_add_test(tc, test_export_line_part);
    tcase_add_test(tc, test_export_line_round_trip);
    suite_add_tcase(suite, tc);
    return suite;
}
