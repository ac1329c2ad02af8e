/* Goal: queries and forms decode as browsers encode them; bad escapes are refused.
 * Method: tables; hostile strings in buffers of exact size. */
#include "net/uri.h"
#include "tests/unit/net/net_suites.h"

static const struct query_row {
    const char *name, *raw, *out; /* "name=value;..." or NULL: refused */
} queries[] = {
    {"empty", "", ""},
    {"one", "query=up", "query=up;"},
    {"two", "a=1&b=2", "a=1;b=2;"},
    {"repeated", "match[]=a&match[]=b", "match[]=a;match[]=b;"},
    {"escaped name", "match%5B%5D=%7Ba%3D%22b%22%7D", "match[]={a=\"b\"};"},
    {"plus", "q=a+b%2Bc", "q=a b+c;"},
    {"no value", "a&b=", "a=;b=;"},
    {"empty pairs", "&&a=1&&", "a=1;"},
    {"equals in value", "a=b=c", "a=b=c;"},
    {"no name", "=x", "=x;"},
    {"utf-8", "q=%C3%A4", "q=\xc3\xa4;"},
    {"cut escape", "q=%4", NULL},
    {"lone percent", "q=%", NULL},
    {"no hex", "q=%zz", NULL},
    {"bad escape in a name", "%q=1", NULL},
};

START_TEST(test_uri_params)
{
    const struct query_row *row = &queries[_i];
    struct uri_params params;
    struct arena arena;
    struct err err = {0};
    size_t len = strlen(row->raw);
    char *raw = malloc(len + (len == 0)), text[200] = "";

    memcpy(raw, row->raw, len);
    arena_init(&arena, NULL, 256);
    uri_params_init(&params, &arena);
    status st = uri_params_add(&params, slice_of(raw, len), &err);
    ck_assert_msg((st == ST_OK) == (row->out != NULL), "%s: %s", row->name, err.text);
    if (st != ST_OK) ck_assert_int_eq(st, ST_INVALID);
    for (size_t i = 0; st == ST_OK && i < params.items.len; i++) {
        size_t at = strlen(text);
        snprintf(text + at, sizeof(text) - at, SLICE_FMT "=" SLICE_FMT ";",
                 SLICE_ARG(params.items.ptr[i].name), SLICE_ARG(params.items.ptr[i].value));
    }
    if (row->out) ck_assert_str_eq(text, row->out);
    uri_params_release(&params);
    arena_release(&arena);
    free(raw);
}
END_TEST

START_TEST(test_uri_form_and_url_are_merged_in_order)
{
    struct uri_params params;
    struct arena arena;
    struct slice value;
    size_t idx = 0;

    arena_init(&arena, NULL, 256);
    uri_params_init(&params, &arena);
    ck_assert_int_eq(uri_params_add(&params, SLICE_LIT("q=form&x=1"), NULL), ST_OK);
    ck_assert_int_eq(uri_params_add(&params, SLICE_LIT("q=url"), NULL), ST_OK);
    ck_assert(uri_param(&params, "q", &value) && slice_is(value, "form"));
    ck_assert(uri_param_next(&params, "q", &idx, &value) && slice_is(value, "form"));
    ck_assert(uri_param_next(&params, "q", &idx, &value) && slice_is(value, "url"));
    ck_assert(!uri_param_next(&params, "q", &idx, &value));
    ck_assert(!uri_param(&params, "Q", &value));
    uri_params_release(&params);
    arena_release(&arena);
}
END_TEST

START_TEST(test_uri_refuses_too_many)
{
    struct uri_params params;
    struct arena arena;
    size_t len = (URI_PARAMS_MAX + 1) * 2;
    char *raw = malloc(len);

    for (size_t i = 0; i < len; i += 2) memcpy(raw + i, "a&", 2);
    arena_init(&arena, NULL, 256);
    uri_params_init(&params, &arena);
    ck_assert_int_eq(uri_params_add(&params, slice_of(raw, len), NULL), ST_LIMIT);
    uri_params_release(&params);
    arena_release(&arena);
    free(raw);
}
END_TEST

START_TEST(test_uri_split_and_path_decoding)
{
    struct slice path, query;
    char text[32];
    size_t len;

    uri_split(SLICE_LIT("/a/b?c=d?e#f"), &path, &query);
    ck_assert(slice_is(path, "/a/b") && slice_is(query, "c=d?e"));
    uri_split(SLICE_LIT("/a"), &path, &query);
    ck_assert(slice_is(path, "/a") && query.len == 0);
    uri_split(SLICE_LIT(""), &path, &query);
    ck_assert(path.len == 0 && query.len == 0);
    ck_assert(uri_decode(text, &len, SLICE_LIT("a+b%20c"), false));
    ck_assert(slice_is(slice_of(text, len), "a+b c"));
    ck_assert(!uri_decode(text, &len, SLICE_LIT("a%2"), false));
}
END_TEST

Suite *suite_uri(void)
{
    Suite *suite = suite_create("uri");
    TCase *tc = tcase_create("uri");

    tcase_add_loop_test(tc, test_uri_params, 0, (int)(sizeof(queries) / sizeof(queries[0])));
    tcase_add_test(tc, test_uri_form_and_url_are_merged_in_order);
    tcase_add_test(tc, test_uri_refuses_too_many);
    tcase_add_test(tc, test_uri_split_and_path_decoding);
    suite_add_tcase(suite, tc);
    return suite;
}
