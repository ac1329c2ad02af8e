/* Goal: RESP requests are read as Redis reads them, bad ones are refused with its
 * words, and the answer never depends on how the bytes were cut into pieces.
 * Method: tables of conversations; each is parsed whole, byte by byte, and cut once
 * at every place, in a buffer that moves at every step. */
#include "base/strbuf.h"
#include "net/resp_read.h"
#include "tests/unit/net/net_suites.h"

#define BYTES(lit) lit, sizeof(lit) - 1

/* What came out of a conversation, as text: "[a|b]" a request, "." nothing, then the
 * error or "..." when more is needed. */
static const struct talk {
    const char *name;
    const char *in;
    size_t len;
    const char *out;
    bool unauth;
} talks[] = {
    {"multibulk", BYTES("*1\r\n$4\r\nPING\r\n"), "[PING]", false},
    {"two arguments", BYTES("*2\r\n$4\r\nECHO\r\n$2\r\nhi\r\n"), "[ECHO|hi]", false},
    {"pipelined", BYTES("*1\r\n$1\r\na\r\n*1\r\n$1\r\nb\r\nc d\r\n"), "[a][b][c|d]", false},
    {"empty argument", BYTES("*2\r\n$0\r\n\r\n$1\r\nx\r\n"), "[|x]", false},
    {"argument with CR LF", BYTES("*1\r\n$4\r\n\r\n\r\n\r\n"), "[\r\n\r\n]", false},
    {"binary", BYTES("*1\r\n$3\r\n\0*\xff\r\n"), "[\0*\xff]", false},
    {"empty array", BYTES("*0\r\nPING\r\n"), ".[PING]", false},
    {"null array", BYTES("*-1\r\nPING\r\n"), ".[PING]", false},
    {"inline", BYTES("PING\r\n"), "[PING]", false},
    {"inline with LF only", BYTES("PING\n"), "[PING]", false},
    {"blanks around", BYTES("  SET \t a   b \r\n"), "[SET|a|b]", false},
    {"empty lines", BYTES("\r\n\n  \r\nPING\r\n"), "...[PING]", false},
    {"double quotes", BYTES("a \"b c\" \"\"\r\n"), "[a|b c|]", false},
    {"escapes", BYTES("\"\\x41\\n\\t\\\\\\\"\\q\\xZZ\"\r\n"), "[A\n\t\\\"qxZZ]", false},
    {"single quotes", BYTES("'it\\'s \\n' x\r\n"), "[it's \\n|x]", false},
    {"quote inside a word", BYTES("a\"b c\"\r\n"), "[ab c]", false},
    {"cut", BYTES("*2\r\n$4\r\nECHO\r\n$2\r\nh"), "...", false},
    {"cut in a header", BYTES("*2\r"), "...", false},

    {"unbalanced double", BYTES("a \"b\r\n"),
     "Protocol error: unbalanced quotes in request", false},
    {"unbalanced single", BYTES("a 'b\r\n"), "Protocol error: unbalanced quotes in request", false},
    {"text after quote", BYTES("\"a\"b\r\n"),
     "Protocol error: unbalanced quotes in request", false},
    {"after good ones", BYTES("PING\r\n*x\r\n"),
     "[PING]Protocol error: invalid multibulk length", false},
    {"count not a number", BYTES("*a\r\n"), "Protocol error: invalid multibulk length", false},
    {"count empty", BYTES("*\r\n"), "Protocol error: invalid multibulk length", false},
    {"count with plus", BYTES("*+1\r\n"), "Protocol error: invalid multibulk length", false},
    {"count with zero", BYTES("*01\r\n"), "Protocol error: invalid multibulk length", false},
    {"count negative", BYTES("*-2\r\n"), "Protocol error: invalid multibulk length", false},
    {"count too large", BYTES("*1048577\r\n"), "Protocol error: invalid multibulk length", false},
    {"count overflows", BYTES("*99999999999999999999\r\n"),
     "Protocol error: invalid multibulk length", false},
    {"count without LF", BYTES("*1\rx"), "Protocol error: invalid multibulk length", false},
    {"type byte", BYTES("*1\r\n:1\r\n"), "Protocol error: expected '$', got ':'", false},
    {"type byte unprintable", BYTES("*1\r\n\x01\r\n"),
     "Protocol error: expected '$', got '?'", false},
    {"bulk length negative", BYTES("*1\r\n$-1\r\n"), "Protocol error: invalid bulk length", false},
    {"bulk length no number", BYTES("*1\r\n$x\r\n"), "Protocol error: invalid bulk length", false},
    {"bulk length blank", BYTES("*1\r\n$ 1\r\n"), "Protocol error: invalid bulk length", false},
    {"bulk length too large", BYTES("*1\r\n$67108865\r\n"),
     "Protocol error: invalid bulk length", false},
    {"bulk too short", BYTES("*1\r\n$5\r\nab\r\nxyz"),
     "Protocol error: expected CRLF after bulk", false},
    {"bulk too long", BYTES("*1\r\n$1\r\nab\r\n"),
     "Protocol error: expected CRLF after bulk", false},
    {"bulk without LF", BYTES("*1\r\n$1\r\na\rb"),
     "Protocol error: expected CRLF after bulk", false},

    {"unauthenticated fits", BYTES("*2\r\n$4\r\nAUTH\r\n$1\r\nx\r\n"), "[AUTH|x]", true},
    {"unauthenticated count", BYTES("*11\r\n"),
     "Protocol error: unauthenticated multibulk length", true},
    {"unauthenticated bulk", BYTES("*1\r\n$16385\r\n"),
     "Protocol error: unauthenticated bulk length", true},
    {"unauthenticated inline", BYTES("1 2 3 4 5 6 7 8 9 10 11\r\n"),
     "Protocol error: unauthenticated multibulk length", true},

    {"POST", BYTES("POST / HTTP/1.1\r\n"), "!", false},
    {"Host", BYTES("Host: x\r\n"), "!", false},
    {"GET of a browser", BYTES("GET / HTTP/1.1\r\n"), "!", false},
    {"GET as a command", BYTES("GET key\r\n"), "[GET|key]", false},
    {"HTTP/2", BYTES("PRI * HTTP/2.0\r\n"), "!", false},
};

/* Feeds in[0..len) in pieces: one cut at `cut`, or single bytes when cut is len. */
static void converse(struct strbuf *out, const struct talk *talk, size_t cut)
{
    struct resp_limits limits = {RESP_ARGS_MAX, RESP_BULK_MAX, talk->unauth};
    struct resp_parser parser;
    size_t from = 0, to = cut == talk->len ? 1 : cut;

    resp_parser_init(&parser);
    strbuf_reset(out);
    for (;;) {
        /* Exactly as much memory as bytes: the sanitizer sees one byte too many. */
        char *buf = malloc(to - from + (to == from));
        memcpy(buf, talk->in + from, to - from);
        enum resp_result result = resp_parse(&parser, buf, to - from, &limits);
        if (result == RESP_REQUEST) {
            strbuf_char(out, '[');
            for (size_t i = 0; i < parser.n_args; i++) {
                if (i) strbuf_char(out, '|');
                strbuf_slice(out, parser.args[i]);
            }
            strbuf_char(out, ']');
        } else if (result == RESP_NOTHING) {
            strbuf_char(out, '.');
        } else if (result == RESP_BAD) {
            strbuf_str(out, parser.error);
        } else if (result == RESP_CROSS) {
            strbuf_char(out, '!');
        }
        if (result == RESP_REQUEST || result == RESP_NOTHING) from += parser.used;
        free(buf);
        if (result == RESP_BAD || result == RESP_CROSS) break;
        if (result != RESP_MORE) continue;
        if (to == talk->len) {
            if (from < to) strbuf_str(out, "...");
            break;
        }
        to = cut == talk->len ? to + 1 : talk->len;
    }
    resp_parser_release(&parser);
}

START_TEST(test_resp_read_whatever_the_pieces)
{
    const struct talk *talk = &talks[_i];
    struct strbuf out;

    strbuf_init(&out, 0);
    for (size_t cut = 0; cut <= talk->len; cut++) {
        converse(&out, talk, cut);
        /* The expected text may hold a NUL: compare as bytes of the literal's start. */
        ck_assert_msg(memcmp(strbuf_cstr(&out), talk->out, out.len) == 0 && out.len > 0,
                      "%s, cut at %zu: '%s', not '%s'", talk->name, cut, strbuf_cstr(&out),
                      talk->out);
        if (!memchr(talk->in, '\0', talk->len)) ck_assert_str_eq(strbuf_cstr(&out), talk->out);
    }
    strbuf_release(&out);
}
END_TEST

START_TEST(test_resp_read_long_lines_are_refused_without_their_end)
{
    static const struct {
        const char *prefix, *error;
    } rows[] = {
        {"", "Protocol error: too big inline request"},
        {"*", "Protocol error: too big mbulk count string"},
        {"*1\r\n$", "Protocol error: too big bulk count string"},
    };
    size_t len = RESP_INLINE_MAX + 100;
    char *buf = malloc(len);
    struct resp_limits limits = {RESP_ARGS_MAX, RESP_BULK_MAX, false};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct resp_parser parser;
        resp_parser_init(&parser);
        memset(buf, '1', len);
        memcpy(buf, rows[i].prefix, strlen(rows[i].prefix));
        ck_assert_int_eq(resp_parse(&parser, buf, 1000, &limits), RESP_MORE);
        ck_assert_int_eq(resp_parse(&parser, buf, len, &limits), RESP_BAD);
        ck_assert_str_eq(parser.error, rows[i].error);
        resp_parser_release(&parser);
    }
    free(buf);
}
END_TEST

START_TEST(test_resp_read_reserves_for_what_came_not_for_what_was_announced)
{
    char in[] = "*1048576\r\n$67108864\r\nx";
    struct resp_limits limits = {RESP_ARGS_MAX, RESP_BULK_MAX, false};
    struct resp_parser parser;

    resp_parser_init(&parser);
    ck_assert_int_eq(resp_parse(&parser, in, sizeof(in) - 1, &limits), RESP_MORE);
    ck_assert_uint_eq(parser.table.cap, 0);
    ck_assert_uint_eq(resp_wants(&parser), 21 + 67108864 + 2);
    resp_parser_release(&parser);
}
END_TEST

Suite *suite_resp_read(void)
{
    Suite *suite = suite_create("resp_read");
    TCase *tc = tcase_create("resp_read");

    tcase_add_loop_test(tc, test_resp_read_whatever_the_pieces, 0,
                        (int)(sizeof(talks) / sizeof(talks[0])));
    tcase_add_test(tc, test_resp_read_long_lines_are_refused_without_their_end);
    tcase_add_test(tc, test_resp_read_reserves_for_what_came_not_for_what_was_announced);
    suite_add_tcase(suite, tc);
    return suite;
}
