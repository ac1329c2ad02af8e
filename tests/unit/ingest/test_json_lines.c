/* Goal: JSON lines become exactly their rows, bit for bit; a bad line costs itself alone and
 * is named. Method: tables of bodies against the batch as text and its bits; good bodies cut
 * at every length and bent at random. */
#include <math.h>

#include "base/panic.h"
#include "base/rng.h"
#include "ingest/json_lines.h"
#include "tests/unit/ingest/ingest_rig.h"
#include "tests/unit/unit.h"

Suite *suite_json_lines(void);

#define T0 "1700000000000"
#define T1 "1700000000001"
#define UP "{\"metric\":{\"__name__\":\"up\"},"
#define ONE UP "\"values\":[1],\"timestamps\":[" T0 "]}"

static const struct good {
    const char *body, *want;
} goods[] = {
    {"", ""},
    {"\n \r\n\t\n", ""},
    {ONE "\n", "up 1@0;"},
    {ONE, "up 1@0;"},
    {ONE "\r\n" ONE, "up 1@0;up 1@0;"},
    {UP "\"values\":[],\"timestamps\":[]}", ""},
    {" { \"timestamps\" : [ " T0 " , " T1 " ] , \"values\" : [ -0.5 , 1e3 ] , \"metric\" : "
     "{ \"b\" : \"x\" , \"__name__\" : \"up\" } } ", "up{b=\"x\"} -0.5@0 1000@1;"},
    {UP "\"values\":[\"NaN\",\"Infinity\",\"-Infinity\"],\"timestamps\":[" T0 "," T1
     ",1700000000002]}", "up NaN@0 +Inf@1 -Inf@2;"},
    {"{\"metric\":{\"__name__\":\"m\",\"a\":\" q\\\"\\\\\\/\\n\\u00fc\\ud83d\\ude00 \"},"
     "\"values\":[1],\"timestamps\":[" T0 "]}",
     "m{a=\" q\\\"\\\\/\\n\xc3\xbc\xf0\x9f\x98\x80 \"} 1@0;"},
    {"{\"metric\":{\"__name__\":\"a.b\",\"c\":\"\"},\"values\":[1],\"timestamps\":[" T0 ".0]}",
     "{\"a.b\"} 1@0;"},
    {UP "\"values\":[1,2,3],\"timestamps\":[1700000060001,1690000000000," T0 "]}",
     "up 1@60001!ST_TOO_NEW 2@-10000000000!ST_TOO_OLD 3@0;"},
    {UP "\"values\":[1],\"timestamps\":[1700000000000.5]}", "up 1@-1700000000000!ST_INVALID;"},
};

START_TEST(test_json_lines_good)
{
    struct rig rig;
    struct strbuf text;
    rig_init(&rig);
    strbuf_init(&text, 0);
    ck_assert_int_eq(rig_decode(&rig, json_lines_decode, slice_str(goods[_i].body)), ST_OK);
    const char *got = rig_text(&rig, &text);
    ck_assert_msg(strcmp(got, goods[_i].want) == 0, "%s\ngot  %s\nwant %s\n%s", goods[_i].body,
                  got, goods[_i].want, rig.report.first.text);
    ck_assert_uint_eq(rig.report.n_bad_lines, 0);
    strbuf_release(&text);
    rig_release(&rig);
}
END_TEST

static const struct bits_case {
    const char *value;
    uint64_t bits;
} bits_cases[] = {
    {"null", VALUE_STALE_BITS},
    {"\"NaN\"", VALUE_NAN_BITS},
    {"\"nan:7ff8000000000000\"", 0x7ff8000000000000},
    {"\"nan:fff8dead0000beef\"", 0xfff8dead0000beef},
    {"\"nan:7FF0000000000001\"", 0x7ff0000000000001},
    {"0", 0},
    {"-0", 0x8000000000000000},
    {"0.1", 0x3fb999999999999a},
    {"5e-324", 1},
    {"1.7976931348623157e+308", 0x7fefffffffffffff},
};

START_TEST(test_json_lines_bits)
{
    struct rig rig;
    char body[256];
    snprintf(body, sizeof(body), UP "\"values\":[%s],\"timestamps\":[" T0 "]}",
             bits_cases[_i].value);
    rig_init(&rig);
    ck_assert_int_eq(rig_decode(&rig, json_lines_decode, slice_str(body)), ST_OK);
    ck_assert_uint_eq(rig.batch->n_rows, 1);
    ck_assert_msg(rig.batch->val[0].bits == bits_cases[_i].bits, "%s: %llx", body,
                  (unsigned long long)rig.batch->val[0].bits);
    rig_release(&rig);
}
END_TEST

static const struct bad_case {
    const char *line, *why;
} bads[] = {
    {"x", "no object"},
    {"[]", "no object"},
    {"{}", "a text is wanted"},
    {UP "\"values\":[1]}", "are missing"},
    {UP "\"values\":[1],\"timestamps\":[]}", "differ in number"},
    {UP "\"values\":[1],\"timestamps\":[" T0 "],\"values\":[1]}", "twice"},
    {UP "\"values\":[1],\"timestamps\":[" T0 "],\"x\":1}", "not metric, values or timestamps"},
    {ONE "x", "more text behind"},
    {ONE ONE, "more text behind"},
    {"{\"metric\":{\"__name__\":\"up\"", "does not end"},
    {"{\"metric\":[],\"values\":[1],\"timestamps\":[" T0 "]}", "no object"},
    {"{\"metric\":{},\"values\":[1],\"timestamps\":[" T0 "]}", ""},
    {"{\"metric\":{\"\":\"x\"},\"values\":[1],\"timestamps\":[" T0 "]}", "empty name"},
    {"{\"metric\":{\"a\":1},\"values\":[1],\"timestamps\":[" T0 "]}", "a text is wanted"},
    {"{\"metric\":{\"a\":\"1\",\"a\":\"2\"},\"values\":[1],\"timestamps\":[" T0 "]}", "a"},
    {"{\"metric\":{\"a\":\"\\x\"},\"values\":[1],\"timestamps\":[" T0 "]}", "bad escape"},
    {"{\"metric\":{\"a\":\"\\ud800\"},\"values\":[1],\"timestamps\":[" T0 "]}", "bad \\u"},
    {"{\"metric\":{\"a\":\"\\udc00x\"},\"values\":[1],\"timestamps\":[" T0 "]}", "bad \\u"},
    {"{\"metric\":{\"a\":\"\\u12\"},\"values\":[1],\"timestamps\":[" T0 "]}", "bad \\u"},
    {"{\"metric\":{\"a\":\"\xff\"},\"values\":[1],\"timestamps\":[" T0 "]}", ""},
    {"{\"metric\":{\"a\":\"\x01\"},\"values\":[1],\"timestamps\":[" T0 "]}", "control byte"},
    {"{\"metric\":{\"\xff\":\"\"},\"values\":[1],\"timestamps\":[" T0 "]}", "not UTF-8"},
    {"{\"metric\":{\"a\":\"x\\", "does not end"},
    {UP "\"values\":[nan],\"timestamps\":[" T0 "]}", "bad value"},
    {UP "\"values\":[Inf],\"timestamps\":[" T0 "]}", "bad value"},
    {UP "\"values\":[+1],\"timestamps\":[" T0 "]}", "bad value"},
    {UP "\"values\":[01],\"timestamps\":[" T0 "]}", "bad value"},
    {UP "\"values\":[1.],\"timestamps\":[" T0 "]}", "bad value"},
    {UP "\"values\":[-],\"timestamps\":[" T0 "]}", "bad value"},
    {UP "\"values\":[1e],\"timestamps\":[" T0 "]}", "bad value"},
    {UP "\"values\":[1],\"timestamps\":[05]}", "bad timestamp"},
    {UP "\"values\":[1],\"timestamps\":[5.5e1]}", "bad timestamp"},
    {UP "\"values\":[1e999],\"timestamps\":[" T0 "]}", "bad value"},
    {UP "\"values\":[\"1\"],\"timestamps\":[" T0 "]}", "bad value"},
    {UP "\"values\":[\"nan:3ff0000000000000\"],\"timestamps\":[" T0 "]}", "bad value"},
    {UP "\"values\":[\"nan:7ff\"],\"timestamps\":[" T0 "]}", "bad value"},
    {UP "\"values\":[true],\"timestamps\":[" T0 "]}", "bad value"},
    {UP "\"values\":[1,],\"timestamps\":[" T0 "]}", "bad value"},
    {UP "\"values\":[1 2],\"timestamps\":[" T0 "]}", "does not end"},
    {UP "\"values\":1,\"timestamps\":[" T0 "]}", "no arrays"},
    {UP "\"values\":[1],\"timestamps\":[1e12]}", "bad timestamp"},
    {UP "\"values\":[1],\"timestamps\":[\"5\"]}", "bad timestamp"},
    {UP "\"values\":[1],\"timestamps\":[5.]}", "bad timestamp"},
    {UP "\"values\":[1],\"timestamps\":[5.x]}", "bad timestamp"},
    {UP "\"values\":[1],\"timestamps\":[99999999999999999999]}", "bad timestamp"},
};

/* The bad line stands between good ones, which stay. */
START_TEST(test_json_lines_bad)
{
    struct rig rig;
    struct strbuf text;
    char body[1024];
    snprintf(body, sizeof(body), ONE "\n%s\n" ONE "\n", bads[_i].line);
    rig_init(&rig);
    strbuf_init(&text, 0);
    ck_assert_int_eq(rig_decode(&rig, json_lines_decode, slice_str(body)), ST_OK);
    ck_assert_str_eq(rig_text(&rig, &text), "up 1@0;up 1@0;");
    ck_assert_msg(rig.report.n_bad_lines == 1, "%s", body);
    ck_assert_msg(strncmp(rig.report.first.text, "line 2: ", 8) == 0 &&
                      strstr(rig.report.first.text, bads[_i].why),
                  "%s: %s", body, rig.report.first.text);
    strbuf_release(&text);
    rig_release(&rig);
}
END_TEST

/* Milliseconds with a fraction are ticks of a finer database, exactly. */
START_TEST(test_json_lines_precisions)
{
    static const struct {
        enum precision p;
        const char *time;
        status st;
        int64_t ticks;
    } rows[] = {
        {PRECISION_NS, "1.000001", ST_OK, 1000001},
        {PRECISION_NS, "-1.5", ST_OK, -1500000},
        {PRECISION_NS, "-0.000001", ST_OK, -1},
        {PRECISION_NS, "1.0000001", ST_INVALID, 0},
        {PRECISION_NS, "9223372036854.775807", ST_OK, INT64_MAX},
        {PRECISION_NS, "9223372036855.5", ST_INVALID, 0},
        {PRECISION_US, "2.25", ST_OK, 2250},
        {PRECISION_US, "2.2505", ST_INVALID, 0},
        {PRECISION_MS, "-7.000", ST_OK, -7},
        {PRECISION_S, "3000", ST_OK, 3},
        {PRECISION_S, "3001", ST_INVALID, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct rig rig;
        char body[256];
        snprintf(body, sizeof(body), UP "\"values\":[1],\"timestamps\":[%s]}", rows[i].time);
        rig_init(&rig);
        rig.env.precision = rows[i].p;
        rig.env.window = (struct time_window){INT64_MIN, INT64_MAX};
        ck_assert_int_eq(rig_decode(&rig, json_lines_decode, slice_str(body)), ST_OK);
        ck_assert_uint_eq(rig.batch->n_rows, 1);
        ck_assert_msg(rig.batch->result[0] == rows[i].st, "%s: %d", body, rig.batch->result[0]);
        if (rows[i].st == ST_OK) ck_assert_int_eq(rig.batch->ts[0], rows[i].ticks);
        rig_release(&rig);
    }
}
END_TEST

START_TEST(test_json_lines_limits)
{
    struct rig rig;
    rig_init(&rig);
    rig.limits.batch_samples_max = 1;
    ck_assert_int_eq(rig_decode(&rig, json_lines_decode, SLICE_LIT(ONE)), ST_OK);
    ck_assert_int_eq(rig_decode(&rig, json_lines_decode, SLICE_LIT(ONE "\n" ONE)), ST_TOO_LARGE);
    rig_release(&rig);
}
END_TEST

/* Cut anywhere or bent anywhere, a body gives rows or bad lines and nothing else. */
START_TEST(test_json_lines_hostile)
{
    struct rng rng;
    uint64_t seed = unit_seed();
    rng_init(&rng, seed);
    for (size_t i = 0; i < sizeof(goods) / sizeof(goods[0]); i++) {
        size_t len = strlen(goods[i].body);
        for (size_t cut = 0; cut <= len; cut++) {
            struct rig rig;
            char body[512];
            memcpy(body, goods[i].body, len);
            if (cut < len) body[rng_below(&rng, len)] = "\"\\{}[]:,0x\n\x80"[rng_below(&rng, 12)];
            rig_init(&rig);
            ck_assert_int_eq(rig_decode(&rig, json_lines_decode, slice_of(body, cut)), ST_OK);
            rig_release(&rig);
        }
    }
}
END_TEST

Suite *suite_json_lines(void)
{
    Suite *suite = suite_create("json_lines");
    TCase *tc = tcase_create("lines");

    tcase_add_loop_test(tc, test_json_lines_good, 0, sizeof(goods) / sizeof(goods[0]));
    tcase_add_loop_test(tc, test_json_lines_bits, 0, sizeof(bits_cases) / sizeof(bits_cases[0]));
    tcase_add_loop_test(tc, test_json_lines_bad, 0, sizeof(bads) / sizeof(bads[0]));
    tcase_add_test(tc, test_json_lines_precisions);
    tcase_add_test(tc, test_json_lines_limits);
    tcase_add_test(tc, test_json_lines_hostile);
    suite_add_tcase(suite, tc);
    return suite;
}
