/* Goal: lines of fields become exactly the rows that their format says; a bad line costs itself
 * alone and is named; a bad format is refused in words. Method: tables of formats and bodies
 * against the batch as text; good bodies cut at every length and bent at random. */
#include "base/panic.h"
#include "base/rng.h"
#include "ingest/csv.h"
#include "tests/unit/ingest/ingest_rig.h"
#include "tests/unit/unit.h"

Suite *suite_csv(void);

#define T0 "1700000000000"
#define TWO "2:metric:bid,3:metric:ask,1:label:ticker,5:time:unix_ms"

static const struct good {
    const char *format, *body, *want;
} goods[] = {
    {TWO, "", ""},
    {TWO, "\n\r\n", ""},
    {TWO, "GOOG,1.5,2,x," T0 "\n", "bid{ticker=\"GOOG\"} 1.5@0;ask{ticker=\"GOOG\"} 2@0;"},
    {TWO, "GOOG,1.5,2,x," T0, "bid{ticker=\"GOOG\"} 1.5@0;ask{ticker=\"GOOG\"} 2@0;"},
    {TWO, "A,1,,," T0 "\r\nA,2,,,1700000000001\r\nB,,3,," T0 ",more\r\n",
     "bid{ticker=\"A\"} 1@0 2@1;ask{ticker=\"B\"} 3@0;"},
    {TWO, "A,1,,," T0 "\nB,2,,," T0 "\nA,3,,,1700000000001\n",
     "bid{ticker=\"A\"} 1@0 3@1;bid{ticker=\"B\"} 2@0;"},
    {TWO, ",1,,," T0 "\n", "bid 1@0;"},
    {TWO, "A,,,," T0 "\n", ""},
    {TWO, "A,NaN,-Inf,," T0 "\n", "bid{ticker=\"A\"} NaN@0;ask{ticker=\"A\"} -Inf@0;"},
    {TWO, "\"a \"\"b\"\",\nc\",\"1\",,\"\",\"" T0 "\"\n", "bid{ticker=\"a \\\"b\\\",\\nc\"} 1@0;"},
    {TWO, "\"\",1,,," T0 "\n", "bid 1@0;"},
    {TWO, "a\"b,1,,," T0 "\n", "bid{ticker=\"a\\\"b\"} 1@0;"},
    {"1:metric:m", "1\n2\n", "m 1@0 2@0;"},
    {"1:metric:m,2:time:unix_s", "1,1700000000\n", "m 1@0;"},
    {"1:metric:m,2:time:unix_us", "1,1700000000001000\n", "m 1@1;"},
    {"1:metric:m,2:time:unix_ns", "1,1700000000002000000\n2,1700000000002000001\n",
     "m 1@2 2@2!ST_INVALID;"},
    {"1:metric:m,2:time:unix_s",
     "1,1700003600\n2,1600000000\n3,9223372036854775807\n4,1700000000\n",
     "m 1@3600000!ST_TOO_NEW 2@-100000000000!ST_TOO_OLD 3@-1700000001000!ST_INVALID 4@0;"},
    {"1:metric:a.b,2:label:c d", "1,\xc3\xbc\n", "{\"a.b\",\"c d\"=\"\xc3\xbc\"} 1@0;"},
    {"1:metric:a:b", "1\n", "a:b 1@0;"},
};

static void start(struct rig *rig, struct csv_format *format, const char *text)
{
    struct err err = {.st = ST_OK};
    rig_init(rig);
    ck_assert_msg(csv_format_parse(format, slice_str(text), &err) == ST_OK, "%s: %s", text,
                  err.text);
    rig->env.csv = format;
}

START_TEST(test_csv_good)
{
    struct rig rig;
    struct csv_format format;
    struct strbuf text;
    start(&rig, &format, goods[_i].format);
    strbuf_init(&text, 0);
    ck_assert_int_eq(rig_decode(&rig, csv_decode, slice_str(goods[_i].body)), ST_OK);
    const char *got = rig_text(&rig, &text);
    ck_assert_msg(strcmp(got, goods[_i].want) == 0, "%s\ngot  %s\nwant %s\n%s", goods[_i].body,
                  got, goods[_i].want, rig.report.first.text);
    ck_assert_uint_eq(rig.report.n_bad_lines, 0);
    strbuf_release(&text);
    rig_release(&rig);
}
END_TEST

static const struct bad_case {
    const char *line, *why;
} bads[] = {
    {"A", "fewer fields"},
    {"A,1,2,x", "fewer fields"},
    {"A,x,2,," T0, "bad value"},
    {"A,1,2 ,," T0, "bad value"},
    {"A,1,2,,", "bad time"},
    {"A,1,2,,1.5", "bad time"},
    {"A,1,2,,1e12", "bad time"},
    {"A,1,2,,now", "bad time"},
    {"A,1,2,,99999999999999999999", "bad time"},
    {"\"A\"b,1,2,," T0, "text behind a quoted field"},
    {"\xff,1,2,," T0, "not UTF-8"},
};

/* The bad line stands between good ones, which stay. */
START_TEST(test_csv_bad)
{
    struct rig rig;
    struct csv_format format;
    struct strbuf text;
    char body[512];
    snprintf(body, sizeof(body), "A,1,,," T0 "\n%s\nA,2,,," T0 "\n", bads[_i].line);
    start(&rig, &format, TWO);
    strbuf_init(&text, 0);
    ck_assert_int_eq(rig_decode(&rig, csv_decode, slice_str(body)), ST_OK);
    ck_assert_msg(strcmp(rig_text(&rig, &text), "bid{ticker=\"A\"} 1@0 2@0;") == 0, "%s: %s", body,
                  strbuf_cstr(&text));
    ck_assert_uint_eq(rig.report.n_bad_lines, 1);
    ck_assert_msg(strncmp(rig.report.first.text, "line 2: ", 8) == 0 &&
                      strstr(rig.report.first.text, bads[_i].why),
                  "%s: %s", body, rig.report.first.text);
    strbuf_release(&text);
    rig_release(&rig);
}
END_TEST

static const struct bad_case formats[] = {
    {"", "no column is a metric"},
    {"1", "position:type:name"},
    {"1:metric", "position:type:name"},
    {"1:metric:", "position:type:name"},
    {"0:metric:m", "not in 1 to 256"},
    {"257:metric:m", "not in 1 to 256"},
    {"x:metric:m", "not in 1 to 256"},
    {"1:value:m", "not metric, label or time"},
    {"1:time:rfc822,2:metric:m", "a time is not"},
    {"1:label:a", "no column is a metric"},
    {"1:metric:m,1:label:a", "column 1 is there twice"},
    {"1:metric:m,2:time:unix_s,3:time:unix_s", "two columns are times"},
    {"1:metric:m,", "position:type:name"},
};

START_TEST(test_csv_formats)
{
    struct csv_format format;
    struct err err = {.st = ST_OK};
    ck_assert_int_eq(csv_format_parse(&format, slice_str(formats[_i].line), &err), ST_INVALID);
    ck_assert_msg(strstr(err.text, formats[_i].why) != NULL, "%s: %s", formats[_i].line, err.text);
}
END_TEST

/* What no line can mend fails the request: names, sizes. */
START_TEST(test_csv_requests)
{
    static const struct bad_case rows[] = {
        {"1:metric:m,2:label:a,3:label:a", "a"},
        {"1:metric:m,2:label:__name__", "__name__"},
        {"1:metric:m,2:label:\xff", ""},
    };
    struct rig rig;
    struct csv_format format;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        start(&rig, &format, rows[i].line);
        ck_assert_int_ne(rig_decode(&rig, csv_decode, SLICE_LIT("1,2,3\n")), ST_OK);
        ck_assert_msg(strstr(rig.err.text, rows[i].why) != NULL, "%s: %s", rows[i].line,
                      rig.err.text);
        rig_release(&rig);
    }
    start(&rig, &format, "1:metric:m");
    rig.limits.batch_samples_max = 2;
    ck_assert_int_eq(rig_decode(&rig, csv_decode, SLICE_LIT("1\n2\n3\n")), ST_TOO_LARGE);
    rig_release(&rig);
    start(&rig, &format, "1:metric:m,2:label:l");
    rig.limits.batch_series_max = 2;
    ck_assert_int_eq(rig_decode(&rig, csv_decode, SLICE_LIT("1,a\n2,b\n3,c\n")), ST_TOO_LARGE);
    rig_release(&rig);
}
END_TEST

/* A cut or bent body gives rows or bad lines, and nothing is read beyond its end. */
START_TEST(test_csv_hostile)
{
    struct rng rng;
    struct csv_format format;
    char body[] = "\"a\"\"b\",1,2,x," T0 "\nB,3,,,1700000000001\r\n\"\",,4,,\"" T0 "\"\n";
    size_t len = sizeof(body) - 1;
    rng_init(&rng, 20260101);
    printf("# TSINK_SEED=20260101\n");
    for (size_t i = 0; i < 3000; i++) {
        struct rig rig;
        char bent[sizeof(body)];
        memcpy(bent, body, sizeof(body));
        size_t n = i <= len ? i : len;
        for (size_t k = 0; i > len && k < 3; k++)
            bent[rng_below(&rng, len)] = "\",\n\r\xff" "0a"[rng_below(&rng, 7)];
        start(&rig, &format, TWO);
        ck_assert_int_eq(rig_decode(&rig, csv_decode, slice_of(bent, n)), ST_OK);
        ck_assert_uint_le(rig.batch->n_rows, 6);
        rig_release(&rig);
    }
}
END_TEST

Suite *suite_csv(void)
{
    Suite *s = suite_create("csv");
    TCase *tc = tcase_create("csv");
    tcase_add_loop_test(tc, test_csv_good, 0, ARRAY_LEN(goods));
    tcase_add_loop_test(tc, test_csv_bad, 0, ARRAY_LEN(bads));
    tcase_add_loop_test(tc, test_csv_formats, 0, ARRAY_LEN(formats));
    tcase_add_test(tc, test_csv_requests);
    tcase_add_test(tc, test_csv_hostile);
    suite_add_tcase(s, tc);
    return s;
}
