/* Goal: each reply element has the bytes that resp.md 1.2 says, in both versions.
 * Method: a table of writes with both encodings. */
#include <math.h>

#include "net/resp_write.h"
#include "tests/unit/net/net_suites.h"

static void w_array(struct resp_writer *w) { resp_array(w, 3); }
static void w_map(struct resp_writer *w) { resp_map(w, 2); }
static void w_set(struct resp_writer *w) { resp_set(w, 4); }
static void w_push(struct resp_writer *w) { resp_push(w, 1); }
static void w_bulk(struct resp_writer *w) { resp_bulk(w, SLICE_LIT("a\r\nb")); }
static void w_bulk_empty(struct resp_writer *w) { resp_bulk_str(w, ""); }
static void w_verbatim(struct resp_writer *w) { resp_verbatim(w, "txt", SLICE_LIT("hi")); }
static void w_simple(struct resp_writer *w) { resp_simple(w, "OK"); }
static void w_int(struct resp_writer *w) { resp_int(w, INT64_MIN); }
static void w_u64_small(struct resp_writer *w) { resp_u64(w, 7); }
static void w_u64_big(struct resp_writer *w) { resp_u64(w, UINT64_MAX); }
static void w_half(struct resp_writer *w) { resp_double(w, 0.5); }
static void w_nan(struct resp_writer *w) { resp_double(w, NAN); }
static void w_inf(struct resp_writer *w) { resp_double(w, -INFINITY); }
static void w_1e20(struct resp_writer *w) { resp_double(w, 1e20); }
static void w_true(struct resp_writer *w) { resp_bool(w, true); }
static void w_false(struct resp_writer *w) { resp_bool(w, false); }
static void w_null(struct resp_writer *w) { resp_null(w); }
static void w_null_array(struct resp_writer *w) { resp_null_array(w); }
static void w_error(struct resp_writer *w) { resp_errorf(w, "ERR no %s", "way"); }
static void w_error_bytes(struct resp_writer *w)
{
    resp_error(w, SLICE_LIT("ERR a\r\nb\x01\xc3\xa4"));
}

static const struct row {
    const char *name;
    void (*write)(struct resp_writer *w);
    const char *resp2, *resp3;
} rows[] = {
    {"array", w_array, "*3\r\n", "*3\r\n"},
    {"map", w_map, "*4\r\n", "%2\r\n"},
    {"set", w_set, "*4\r\n", "~4\r\n"},
    {"push", w_push, "*1\r\n", ">1\r\n"},
    {"bulk", w_bulk, "$4\r\na\r\nb\r\n", "$4\r\na\r\nb\r\n"},
    {"empty bulk", w_bulk_empty, "$0\r\n\r\n", "$0\r\n\r\n"},
    {"verbatim", w_verbatim, "$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n"},
    {"simple", w_simple, "+OK\r\n", "+OK\r\n"},
    {"int", w_int, ":-9223372036854775808\r\n", ":-9223372036854775808\r\n"},
    {"u64", w_u64_small, ":7\r\n", ":7\r\n"},
    {"u64 above int64", w_u64_big, "$20\r\n18446744073709551615\r\n",
     "$20\r\n18446744073709551615\r\n"},
    {"0.5", w_half, "+5E-1\r\n", ",0.5\r\n"},
    {"NaN", w_nan, "+NaN\r\n", ",nan\r\n"},
    {"-Inf", w_inf, "+-Infinity\r\n", ",-inf\r\n"},
    {"1e20", w_1e20, "+1E20\r\n", ",1e+20\r\n"},
    {"true", w_true, ":1\r\n", "#t\r\n"},
    {"false", w_false, ":0\r\n", "#f\r\n"},
    {"null", w_null, "$-1\r\n", "_\r\n"},
    {"null array", w_null_array, "*-1\r\n", "_\r\n"},
    {"error", w_error, "-ERR no way\r\n", "-ERR no way\r\n"},
    {"error is one printable line", w_error_bytes, "-ERR a??b???\r\n", "-ERR a??b???\r\n"},
};

static void check(const struct row *row, int version, const char *expected)
{
    struct iobuf out;
    struct resp_writer w = {.out = &out, .version = version};
    char text[300];

    iobuf_init(&out, NULL, NULL, 0);
    row->write(&w);
    ck_assert_uint_lt(out.len, sizeof(text));
    iobuf_copy(text, &out);
    text[out.len] = '\0';
    ck_assert_msg(strcmp(text, expected) == 0, "%s, RESP%d: '%s', not '%s'", row->name, version,
                  text, expected);
    iobuf_release(&out, NULL);
}

START_TEST(test_resp_write_both_versions)
{
    check(&rows[_i], 2, rows[_i].resp2);
    check(&rows[_i], 3, rows[_i].resp3);
}
END_TEST

START_TEST(test_resp_write_cuts_long_errors)
{
    struct iobuf out;
    struct resp_writer w = {.out = &out, .version = 2};
    char text[1000];

    memset(text, 'x', sizeof(text));
    iobuf_init(&out, NULL, NULL, 0);
    resp_error(&w, slice_of(text, sizeof(text)));
    ck_assert_uint_eq(out.len, RESP_LINE_MAX + 3);
    iobuf_release(&out, NULL);
}
END_TEST

Suite *suite_resp_write(void)
{
    Suite *suite = suite_create("resp_write");
    TCase *tc = tcase_create("resp_write");

    tcase_add_loop_test(tc, test_resp_write_both_versions, 0,
        (int)(sizeof(rows) / sizeof(rows[0])));
    tcase_add_test(tc, test_resp_write_cuts_long_errors);
    suite_add_tcase(suite, tc);
    return suite;
}
