/* Goal: what a handler means becomes the right bytes in RESP2 and in RESP3. Method: one
 * table: a thing to say and its bytes in both versions. */
#include <math.h>

#include "api/reply.h"
#include "tests/unit/api/api_suites.h"

enum thing {
    SAY_MAP, SAY_PAIRS, SAY_SET, SAY_ARRAY, SAY_INT, SAY_U64, SAY_DOUBLE, SAY_NAN, SAY_INF,
    SAY_BULK, SAY_VERBATIM, SAY_SIMPLE, SAY_TRUE, SAY_FALSE, SAY_NULL, SAY_NULL_ARRAY, SAY_ERROR,
    SAY_BARE_ERROR, SAY_LONG_ERROR, N_THINGS
};

static const struct {
    const char *resp2, *resp3;
} wants[N_THINGS] = {
    [SAY_MAP] = {"*4\r\n:1\r\n:2\r\n:3\r\n:4\r\n", "%2\r\n:1\r\n:2\r\n:3\r\n:4\r\n"},
    [SAY_PAIRS] = {"*2\r\n*2\r\n:1\r\n:2\r\n*2\r\n:3\r\n:4\r\n", "%2\r\n:1\r\n:2\r\n:3\r\n:4\r\n"},
    [SAY_SET] = {"*1\r\n:1\r\n", "~1\r\n:1\r\n"},
    [SAY_ARRAY] = {"*0\r\n", "*0\r\n"},
    [SAY_INT] = {":-5\r\n", ":-5\r\n"},
    [SAY_U64] = {"$20\r\n18446744073709551615\r\n", "$20\r\n18446744073709551615\r\n"},
    [SAY_DOUBLE] = {"+5E-1\r\n", ",0.5\r\n"},
    [SAY_NAN] = {"+NaN\r\n", ",nan\r\n"},
    [SAY_INF] = {"+-Infinity\r\n", ",-inf\r\n"},
    [SAY_BULK] = {"$3\r\na\r\n\r\n", "$3\r\na\r\n\r\n"},
    [SAY_VERBATIM] = {"$2\r\nhi\r\n", "=6\r\ntxt:hi\r\n"},
    [SAY_SIMPLE] = {"+OK\r\n", "+OK\r\n"},
    [SAY_TRUE] = {":1\r\n", "#t\r\n"},
    [SAY_FALSE] = {":0\r\n", "#f\r\n"},
    [SAY_NULL] = {"$-1\r\n", "_\r\n"},
    [SAY_NULL_ARRAY] = {"*-1\r\n", "_\r\n"},
    [SAY_ERROR] = {"-WRONGTYPE a?b\r\n", "-WRONGTYPE a?b\r\n"},
    [SAY_BARE_ERROR] = {"-LOADING the data is being loaded\r\n",
                        "-LOADING the data is being loaded\r\n"},
    [SAY_LONG_ERROR] = {NULL, NULL}, /* see below */
};

static void say(struct reply *reply, enum thing thing)
{
    struct err err = {.st = ST_WRONG_TYPE, .text = "a\nb"};

    switch (thing) {
    case SAY_MAP:
        reply_map(reply, 2);
        for (int i = 1; i <= 4; i++) reply_int(reply, i);
        return;
    case SAY_PAIRS:
        reply_pairs(reply, 2);
        for (int i = 1; i <= 4; i++) {
            if (i % 2) reply_pair(reply);
            reply_int(reply, i);
        }
        return;
    case SAY_SET:
        reply_set(reply, 1);
        reply_int(reply, 1);
        return;
    case SAY_ARRAY: reply_array(reply, 0); return;
    case SAY_INT: reply_int(reply, -5); return;
    case SAY_U64: reply_u64(reply, UINT64_MAX); return;
    case SAY_DOUBLE: reply_double(reply, 0.5); return;
    case SAY_NAN: reply_double(reply, NAN); return;
    case SAY_INF: reply_double(reply, -INFINITY); return;
    case SAY_BULK: reply_bulk(reply, SLICE_LIT("a\r\n")); return;
    case SAY_VERBATIM: reply_verbatim(reply, SLICE_LIT("hi")); return;
    case SAY_SIMPLE: reply_ok(reply); return;
    case SAY_TRUE: reply_bool(reply, true); return;
    case SAY_FALSE: reply_bool(reply, false); return;
    case SAY_NULL: reply_null(reply); return;
    case SAY_NULL_ARRAY: reply_null_array(reply); return;
    case SAY_ERROR: reply_error(reply, ST_WRONG_TYPE, &err); return;
    case SAY_BARE_ERROR: reply_error(reply, ST_LOADING, NULL); return;
    case SAY_LONG_ERROR:
        memset(err.text, 'x', sizeof(err.text) - 1);
        err.text[sizeof(err.text) - 1] = 0;
        reply_error(reply, ST_INVALID, &err);
        return;
    case N_THINGS: break;
    }
    ck_abort_msg("thing %d", (int)thing);
}

START_TEST(test_reply_says_it_in_both_versions)
{
    enum thing thing = (enum thing)(_i / 2);
    int version = 2 + _i % 2;
    const char *want = version == 2 ? wants[thing].resp2 : wants[thing].resp3;
    struct iobuf out;
    struct reply reply;

    iobuf_init(&out, NULL, NULL, 0);
    reply_init(&reply, &out, version);
    ck_assert_int_eq(reply_version(&reply), version);
    say(&reply, thing);
    char *got = calloc(1, out.len + 1);
    iobuf_copy(got, &out);
    if (want) {
        ck_assert_msg(strcmp(got, want) == 0, "thing %d in RESP%d: '%s', not '%s'", (int)thing,
                      version, got, want);
    } else {
        ck_assert_uint_eq(out.len, strlen("-") + RESP_LINE_MAX + strlen("\r\n"));
        ck_assert(strncmp(got, "-ERR xxx", 8) == 0 && got[out.len - 1] == '\n');
    }
    free(got);
    iobuf_release(&out, NULL);
}
END_TEST

Suite *suite_reply(void)
{
    Suite *suite = suite_create("reply");
    TCase *tcase = tcase_create("bytes");

    tcase_add_loop_test(tcase, test_reply_says_it_in_both_versions, 0, 2 * N_THINGS);
    suite_add_tcase(suite, tcase);
    return suite;
}
