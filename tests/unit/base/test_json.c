/* Goal: what is written is JSON that says the same, whatever the texts hold; what is read
 * is bounded, and nothing but JSON. Method: writer output compared byte by byte and read
 * back; tables of documents taken and refused. */
#include <math.h>

#include "base/json_read.h"
#include "base/json_write.h"
#include "base/panic.h"
#include "tests/unit/unit.h"

Suite *suite_json(void);

#define TEXT(lit) {lit, sizeof(lit) - 1}

static const struct {
    struct slice text;
    const char *want;
} quotes[] = {
    {TEXT(""), "\"\""},
    {TEXT("plain"), "\"plain\""},
    {TEXT("a\"b\\c"), "\"a\\\"b\\\\c\""},
    {TEXT("\n\r\t\b\x01\x7f"), "\"\\n\\r\\t\\u0008\\u0001\x7f\""},
    {TEXT("a\0b"), "\"a\\u0000b\""},
    {TEXT("<&>"), "\"\\u003c\\u0026\\u003e\""},
    {TEXT("gr\xc3\xbc\xc3\x9f"), "\"gr\xc3\xbc\xc3\x9f\""},
    {TEXT("\xff"), "\"\\ufffd\""},
    {TEXT("a\xe2\x82z"), "\"a\\ufffd\\ufffdz\""},
    {TEXT("\xef\xbf\xbd"), "\"\xef\xbf\xbd\""},
    {TEXT("\xe2\x80\xa8"), "\"\\u2028\""},
    {TEXT("\xf0\x9f\x98\x80"), "\"\xf0\x9f\x98\x80\""},
};

START_TEST(test_texts_are_escaped)
{
    struct strbuf buf;
    strbuf_init(&buf, 0);
    json_quote(&buf, quotes[_i].text);
    ck_assert_str_eq(strbuf_cstr(&buf), quotes[_i].want);
    strbuf_release(&buf);
}
END_TEST

START_TEST(test_every_byte_reads_back)
{
    for (int c = 1; c < 0x80; c++) {
        char text = (char)c;
        struct strbuf buf;
        struct json *doc = NULL;
        struct slice back;
        strbuf_init(&buf, 0);
        json_quote(&buf, slice_of(&text, 1));
        ck_assert_int_eq(json_doc_parse(&doc, strbuf_view(&buf), 100, NULL), ST_OK);
        ck_assert(json_get_text(&back, doc) && back.len == 1 && back.ptr[0] == text);
        json_doc_free(doc);
        strbuf_release(&buf);
    }
}
END_TEST

START_TEST(test_structures)
{
    struct strbuf buf;
    struct json_writer w;
    strbuf_init(&buf, 0);
    json_writer_init(&w, &buf);
    json_open_object(&w);
    json_field_text(&w, "t", SLICE_LIT("x"));
    json_field_i64(&w, "i", -3);
    json_field_u64(&w, "u", UINT64_MAX);
    json_field_f64(&w, "f", 0.5);
    json_field_f64(&w, "n", NAN);
    json_field_bool(&w, "b", true);
    json_put_key(&w, SLICE_LIT("a"));
    json_open_array(&w);
    json_open_array(&w);
    json_close_array(&w);
    json_put_i64(&w, 1);
    json_put_raw(&w, SLICE_LIT("[2]"));
    json_put_null(&w);
    json_open_object(&w);
    json_close_object(&w);
    json_close_array(&w);
    json_field_bool(&w, "z", false);
    json_close_object(&w);
    ck_assert_str_eq(strbuf_cstr(&buf),
                     "{\"t\":\"x\",\"i\":-3,\"u\":18446744073709551615,\"f\":0.5,\"n\":null,"
                     "\"b\":true,\"a\":[[],1,[2],null,{}],\"z\":false}");
    strbuf_release(&buf);
}
END_TEST

START_TEST(test_full_buffers_only_fail_once)
{
    struct strbuf buf;
    struct json_writer w;
    strbuf_init(&buf, 10);
    json_writer_init(&w, &buf);
    json_open_array(&w);
    for (int i = 0; i < 100; i++) json_put_i64(&w, i);
    json_close_array(&w);
    ck_assert(buf.failed && buf.len <= 10);
    strbuf_release(&buf);
}
END_TEST

static const struct {
    struct slice text;
    status st;
    const char *why;
} documents[] = {
    {TEXT("{}"), ST_OK, NULL},
    {TEXT(" [1, 2.5, \"x\", null, true] "), ST_OK, NULL},
    {TEXT("7"), ST_OK, NULL},
    {TEXT(""), ST_INVALID, "line 1"},
    {TEXT("{"), ST_INVALID, "ends early"},
    {TEXT("{} x"), ST_INVALID, "more text"},
    {TEXT("{\"a\":1,\"a\":2}"), ST_INVALID, "twice"},
    {TEXT("{a:1}"), ST_INVALID, "syntax"},
    {TEXT("[1,]"), ST_INVALID, "syntax"},
    {TEXT("[01]"), ST_INVALID, "syntax"},
    {TEXT("[NaN]"), ST_INVALID, "syntax"},
    {TEXT("\"\xff\""), ST_INVALID, "UTF-8"},
    {TEXT("\"a\\u0000\""), ST_INVALID, "NUL"},
    {TEXT("[\n\n 1e999]"), ST_INVALID, "line 3"},
    {TEXT("[99999999999999999999]"), ST_INVALID, "range"},
    {TEXT("\"unfinished"), ST_INVALID, NULL},
};

START_TEST(test_documents_taken_and_refused)
{
    struct json *doc = NULL;
    struct err err = {0};
    char *copy = malloc(documents[_i].text.len + 1);
    memcpy(copy, documents[_i].text.ptr, documents[_i].text.len);
    status st = json_doc_parse(&doc, slice_of(copy, documents[_i].text.len), 1000, &err);
    ck_assert_msg(st == documents[_i].st, "row %d: %s %s", _i, status_name(st), err.text);
    if (documents[_i].why)
        ck_assert_msg(strstr(err.text, documents[_i].why), "row %d: %s", _i, err.text);
    ck_assert((doc != NULL) == (st == ST_OK));
    json_doc_free(doc);
    free(copy);
}
END_TEST

static void nest(struct strbuf *buf, int depth)
{
    strbuf_reset(buf);
    for (int i = 0; i < depth; i++) strbuf_char(buf, i % 2 ? '[' : '[');
    for (int i = 0; i < depth; i++) strbuf_char(buf, ']');
}

START_TEST(test_depth_and_length_are_bounded)
{
    struct json *doc = NULL;
    struct strbuf buf;
    strbuf_init(&buf, 0);
    nest(&buf, JSON_READ_DEPTH_MAX);
    ck_assert_int_eq(json_doc_parse(&doc, strbuf_view(&buf), 1 << 20, NULL), ST_OK);
    json_doc_free(doc);
    doc = NULL;
    nest(&buf, JSON_READ_DEPTH_MAX + 1);
    ck_assert_int_eq(json_doc_parse(&doc, strbuf_view(&buf), 1 << 20, NULL), ST_INVALID);
    ck_assert_int_eq(json_doc_parse(&doc, strbuf_view(&buf), 100, NULL), ST_TOO_LARGE);
    /* brackets inside texts do not count */
    strbuf_reset(&buf);
    strbuf_char(&buf, '"');
    for (int i = 0; i < 100; i++) strbuf_str(&buf, "[\\\"{");
    strbuf_char(&buf, '"');
    ck_assert_int_eq(json_doc_parse(&doc, strbuf_view(&buf), 1 << 20, NULL), ST_OK);
    json_doc_free(doc);
    strbuf_release(&buf);
}
END_TEST

START_TEST(test_getters_know_kinds)
{
    struct json *doc = NULL;
    const struct json *member;
    struct slice text = SLICE_LIT("before"), name;
    int64_t i = -1;
    double f = -1;
    bool b = false;

    ck_assert_int_eq(json_doc_parse(&doc,
                                    SLICE_LIT("{\"t\":\"x\",\"i\":5,\"f\":2.5,\"b\":true,"
                                              "\"n\":null,\"a\":[10,20]}"),
                                    1000, NULL),
                     ST_OK);
    ck_assert(json_get_text(&text, json_member(doc, "t")) && slice_is(text, "x"));
    ck_assert(json_get_i64(&i, json_member(doc, "i")) && i == 5);
    ck_assert(json_get_f64(&f, json_member(doc, "i")) && f == 5);
    ck_assert(json_get_f64(&f, json_member(doc, "f")) && f == 2.5);
    ck_assert(json_get_bool(&b, json_member(doc, "b")) && b);
    ck_assert_int_eq(json_kind_of(json_member(doc, "n")), JSON_KIND_NULL);
    ck_assert(!json_get_i64(&i, json_member(doc, "f")) && i == 5);
    ck_assert(!json_get_text(&text, json_member(doc, "missing")) && slice_is(text, "x"));
    ck_assert(!json_get_bool(&b, json_member(doc, "i")));
    ck_assert_uint_eq(json_count(json_member(doc, "a")), 2);
    ck_assert(json_get_i64(&i, json_element(json_member(doc, "a"), 1)) && i == 20);
    ck_assert_ptr_null(json_element(json_member(doc, "a"), 2));
    ck_assert_uint_eq(json_count(json_member(doc, "t")), 0);
    ck_assert_uint_eq(json_count(doc), 6);
    ck_assert(json_member_at(&member, &name, doc, 1) && slice_is(name, "i"));
    ck_assert(!json_member_at(&member, &name, doc, 6));
    ck_assert_ptr_null(json_member(json_member(doc, "t"), "x"));
    json_doc_free(doc);
    json_doc_free(NULL);
}
END_TEST

Suite *suite_json(void)
{
    Suite *suite = suite_create("json");
    TCase *tc = tcase_create("json");
    tcase_add_loop_test(tc, test_texts_are_escaped, 0, ARRAY_LEN(quotes));
    tcase_add_test(tc, test_every_byte_reads_back);
    tcase_add_test(tc, test_structures);
    tcase_add_test(tc, test_full_buffers_only_fail_once);
    tcase_add_loop_test(tc, test_documents_taken_and_refused, 0, ARRAY_LEN(documents));
    tcase_add_test(tc, test_depth_and_length_are_bounded);
    tcase_add_test(tc, test_getters_know_kinds);
    suite_add_tcase(suite, tc);
    return suite;
}
