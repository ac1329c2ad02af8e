/* Goal: lines hold what the format asks for, quoted where they must be; times in every unit.
 * Method: tables of formats against the text of three samples. */
#include "api/export_csv.h"
#include "base/panic.h"
#include "tests/unit/api/api_suites.h"

static const struct label set[] = {{SLICE_LIT("__name__"), SLICE_LIT("up")},
                                   {SLICE_LIT("a,b"), SLICE_LIT("x")},
                                   {SLICE_LIT("job"), SLICE_LIT("say \"a,\nb\"")}};
static ts_time times[] = {1500, -1, 1700000000250};
static union value values[] = {{.bits = 0x3fb999999999999a}, {.bits = VALUE_STALE_BITS},
                               {.bits = 0x7ff0000000000000}};
static const struct points points = {.ts = times, .val = values, .n = 3};

#define SAY "\"say \"\"a,\nb\"\"\"\n"

static const struct good {
    const char *format;
    enum precision precision;
    const char *want;
} goods[] = {
    {"__value__", PRECISION_MS, "0.1\n\n+Inf\n"},
    {"__name__,nothing,__value__", PRECISION_MS, "up,,0.1\nup,,\nup,,+Inf\n"},
    {"job", PRECISION_MS, SAY SAY SAY},
    {"__timestamp__:unix_s", PRECISION_MS, "1\n-1\n1700000000\n"},
    {"__timestamp__:unix_ms", PRECISION_MS, "1500\n-1\n1700000000250\n"},
    {"__timestamp__:unix_us", PRECISION_MS, "1500000\n-1000\n1700000000250000\n"},
    {"__timestamp__:unix_ns", PRECISION_S,
     "1500000000000\n-1000000000\n9223372036854775807\n"},
    {"__timestamp__:unix_ms", PRECISION_NS, "0\n-1\n1700000\n"},
    {"__timestamp__:rfc3339", PRECISION_MS,
     "1970-01-01T00:00:01.5Z\n1970-01-01T00:00:00Z\n2023-11-14T22:13:20.25Z\n"},
    {"__timestamp__:rfc3339", PRECISION_NS,
     "1970-01-01T00:00:00.0000015Z\n1970-01-01T00:00:00Z\n1970-01-01T00:28:20.00000025Z\n"},
};

START_TEST(test_export_csv_lines)
{
    struct export_csv csv;
    struct strbuf out;
    struct err err = {.st = ST_OK};
    strbuf_init(&out, 0);
    ck_assert_int_eq(export_csv_parse(&csv, slice_str(goods[_i].format), &err), ST_OK);
    export_csv_lines(&out, &csv, (struct labels){set, ARRAY_LEN(set)}, VALUE_F64, &points, 0, 3,
                     goods[_i].precision);
    ck_assert_str_eq(strbuf_cstr(&out), goods[_i].want);
    strbuf_release(&out);
}
END_TEST

static const struct bad_case {
    const char *format, *why;
} bads[] = {
    {"", "no name"},
    {"a,", "no name"},
    {",a", "no name"},
    {"__timestamp__", "followed by"},
    {"__timestamp__:", "followed by"},
    {"__timestamp__:iso", "followed by"},
};

START_TEST(test_export_csv_formats)
{
    struct export_csv csv;
    struct err err = {.st = ST_OK};
    ck_assert_int_eq(export_csv_parse(&csv, slice_str(bads[_i].format), &err), ST_INVALID);
    ck_assert_msg(strstr(err.text, bads[_i].why) != NULL, "%s: %s", bads[_i].format, err.text);
}
END_TEST

START_TEST(test_export_csv_many_fields)
{
    struct export_csv csv;
    struct strbuf format;
    struct err err = {.st = ST_OK};
    strbuf_init(&format, 0);
    strbuf_str(&format, "a");
    for (int i = 1; i < EXPORT_CSV_FIELDS_MAX; i++) strbuf_str(&format, ",a");
    ck_assert_int_eq(export_csv_parse(&csv, strbuf_view(&format), &err), ST_OK);
    strbuf_str(&format, ",a");
    ck_assert_int_eq(export_csv_parse(&csv, strbuf_view(&format), &err), ST_INVALID);
    strbuf_release(&format);
}
END_TEST

Suite *suite_export_csv(void)
{
    Suite *s = suite_create("export_csv");
    TCase *tc = tcase_create("export_csv");
    tcase_add_loop_test(tc, test_export_csv_lines, 0, ARRAY_LEN(goods));
    tcase_add_loop_test(tc, test_export_csv_formats, 0, ARRAY_LEN(bads));
    tcase_add_test(tc, test_export_csv_many_fields);
    suite_add_tcase(s, tc);
    return s;
}
