/* Goal: every row of the HTTP table of reliability.md 5 gets its status and its
 * close/keep decision, good requests are read whole, and nothing depends on how the
 * bytes were cut. Method: tables of byte streams, each parsed whole, byte by byte and
 * cut once at every place, in a buffer of exact size that moves at every step. */
#include "base/strbuf.h"
#include "net/http_read.h"
#include "tests/unit/net/net_suites.h"

#define BYTES(lit) lit, sizeof(lit) - 1
#define GET "GET / HTTP/1.1\r\nHost: h\r\n"
#define POST "POST / HTTP/1.1\r\nHost: h\r\n"
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"

/* Out: "METHOD path?query [k][body];" for a request (k: kept alive), "!413" a refusal
 * that closes, "!501k" one that keeps, "..." when more is needed. */
static const struct talk {
    const char *name;
    const char *in;
    size_t len;
    const char *out;
} talks[] = {
    {"get", BYTES(GET "\r\n"), "GET / k[];"},
    {"query", BYTES("GET /a?b=c&d HTTP/1.1\r\nHost: h\r\n\r\n"), "GET /a?b=c&d k[];"},
    {"fragment", BYTES("GET /a?b#c HTTP/1.1\r\nHost: h\r\n\r\n"), "GET /a?b k[];"},
    {"absolute target", BYTES("GET http://h:1/a?b HTTP/1.1\r\nHost: h\r\n\r\n"), "GET /a?b k[];"},
    {"star", BYTES("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"), "OPTIONS * k[];"},
    {"empty line first", BYTES("\r\n" GET "\r\n"), "GET / k[];"},
    {"close", BYTES(GET "Connection: x, Close\r\n\r\n"), "GET / [];"},
    {"1.0", BYTES("GET / HTTP/1.0\r\n\r\n"), "GET / [];"},
    {"1.0 keep-alive", BYTES("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), "GET / k[];"},
    {"pipelined", BYTES(GET "\r\n" GET "\r\n"), "GET / k[];GET / k[];"},
    {"length", BYTES(POST "Content-Length: 3\r\n\r\nabcGET"), "POST / k[abc];..."},
    {"length 0", BYTES(POST "content-length:0\r\n\r\n"), "POST / k[];"},
    {"get with body", BYTES(GET "Content-Length: 1\r\n\r\nx"), "GET / k[x];"},
    {"chunked", BYTES(CHUNKED "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n" GET "\r\n"),
     "POST / k[abcde];GET / k[];"},
    {"chunked, hex and zeros", BYTES(CHUNKED "00A\r\n0123456789\r\n000\r\n\r\n"),
     "POST / k[0123456789];"},
    {"trailers", BYTES(CHUNKED "1\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n" GET "\r\n"),
     "POST / k[x];GET / k[];"},
    {"empty chunked", BYTES(CHUNKED "0\r\n\r\n"), "POST / k[];"},
    {"delete", BYTES("DELETE /x HTTP/1.1\r\nHost: h\r\n\r\n"), "DELETE /x k[];"},
    {"cut head", BYTES("GET / HTT"), "..."},
    {"cut body", BYTES(POST "Content-Length: 3\r\n\r\nab"), "..."},
    {"cut chunk", BYTES(CHUNKED "3\r\nab"), "..."},

    /* bad request line */
    {"no version", BYTES("GET /\r\n\r\n"), "!400"},
    {"no target", BYTES("GET HTTP/1.1\r\n\r\n"), "!400"},
    {"two blanks", BYTES("GET  / HTTP/1.1\r\n\r\n"), "!400"},
    {"blank at the end", BYTES("GET / HTTP/1.1 \r\n\r\n"), "!400"},
    {"tab", BYTES("GET\t/ HTTP/1.1\r\n\r\n"), "!400"},
    {"relative target", BYTES("GET a HTTP/1.1\r\n\r\n"), "!400"},
    {"byte above 7f", BYTES("GET /\xc3 HTTP/1.1\r\n\r\n"), "!400"},
    {"NUL in target", BYTES("GET /\0 HTTP/1.1\r\n\r\n"), "!400"},
    {"method of no token", BYTES("G(T / HTTP/1.1\r\n\r\n"), "!400"},
    {"CR inside", BYTES("GET /\rHTTP/1.1\r\n\r\n"), "!400"},
    {"LF only", BYTES("GET / HTTP/1.1\nHost: h\n\n"), "!400"},
    {"TLS hello", BYTES("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), "!400"},
    {"HTTP/2 preface", BYTES("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "!400"},
    {"noise", BYTES("\x80\xff"), "!400"},
    {"RESP", BYTES("*1\r\n$4\r\nPING\r\n"), "!400"},

    /* fields */
    {"no colon", BYTES(GET "abc\r\n\r\n"), "!400"},
    {"blank before colon", BYTES(GET "A : b\r\n\r\n"), "!400"},
    {"empty name", BYTES(GET ": b\r\n\r\n"), "!400"},
    {"NUL in value", BYTES(GET "A: \0\r\n\r\n"), "!400"},
    {"CR in value", BYTES(GET "A: b\rc\r\n\r\n"), "!400"},
    {"bare LF", BYTES(GET "A: b\n\r\n"), "!400"},
    {"folded", BYTES(GET "A: b\r\n c\r\n\r\n"), "!400"},
    {"folded with tab", BYTES(GET "A: b\r\n\tc\r\n\r\n"), "!400"},
    {"no host", BYTES("GET / HTTP/1.1\r\n\r\n"), "!400"},
    {"two hosts", BYTES(GET "Host: h\r\n\r\n"), "!400"},

    /* framing */
    {"CL and TE", BYTES(POST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
     "!400"},
    {"TE and CL", BYTES(POST "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n"),
     "!400"},
    {"two CL", BYTES(POST "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx"), "!400"},
    {"list CL", BYTES(POST "Content-Length: 1, 1\r\n\r\nx"), "!400"},
    {"CL with sign", BYTES(POST "Content-Length: +1\r\n\r\nx"), "!400"},
    {"CL negative", BYTES(POST "Content-Length: -1\r\n\r\nx"), "!400"},
    {"CL hex", BYTES(POST "Content-Length: 0x1\r\n\r\nx"), "!400"},
    {"CL with blank", BYTES(POST "Content-Length: 1 0\r\n\r\nx"), "!400"},
    {"CL empty", BYTES(POST "Content-Length:\r\n\r\nx"), "!400"},
    {"TE other", BYTES(POST "Transfer-Encoding: gzip\r\n\r\n"), "!400"},
    {"TE list", BYTES(POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), "!400"},
    {"TE twice", BYTES(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
     "!400"},
    {"TE identity", BYTES(POST "Transfer-Encoding: identity\r\n\r\n"), "!400"},
    {"TE in quotes", BYTES(POST "Transfer-Encoding: \"chunked\"\r\n\r\n"), "!400"},
    {"TE in 1.0", BYTES("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "!400"},
    {"chunk size with sign", BYTES(CHUNKED "+1\r\nx\r\n0\r\n\r\n"), "!400"},
    {"chunk size negative", BYTES(CHUNKED "-1\r\nx\r\n0\r\n\r\n"), "!400"},
    {"chunk size 0x", BYTES(CHUNKED "0x1\r\nx\r\n0\r\n\r\n"), "!400"},
    {"chunk size empty", BYTES(CHUNKED "\r\nx\r\n0\r\n\r\n"), "!400"},
    {"chunk size blank", BYTES(CHUNKED " 1\r\nx\r\n0\r\n\r\n"), "!400"},
    {"chunk size overflows", BYTES(CHUNKED "10000000000000000\r\nx"), "!400"},
    {"data longer than chunk", BYTES(CHUNKED "1\r\nxy\r\n0\r\n\r\n"), "!400"},
    {"chunk without LF", BYTES(CHUNKED "1\r\nx\ry"), "!400"},
    {"bare LF in chunking", BYTES(CHUNKED "1\nx\r\n0\r\n\r\n"), "!400"},
    {"bare LF behind data", BYTES(CHUNKED "1\r\nx\n0\r\n\r\n"), "!400"},
    {"control in extension", BYTES(CHUNKED "1;\x01\r\nx\r\n0\r\n\r\n"), "!400"},
    {"bad trailer", BYTES(CHUNKED "0\r\nabc\r\n\r\n"), "!400"},

    /* sizes and words */
    {"announced over the limit", BYTES(POST "Content-Length: 101\r\n\r\n"), "!413"},
    {"CL overflows", BYTES(POST "Content-Length: 99999999999999999999999\r\n\r\n"), "!413"},
    {"chunk over the limit", BYTES(CHUNKED "65\r\n"), "!413"},
    {"chunk size of 16 digits", BYTES(CHUNKED "ffffffffffffffff\r\n"), "!413"},
    {"chunks grow over the limit", BYTES(CHUNKED "2\r\nab\r\n63\r\n"), "!413"},
    {"no length on POST", BYTES(POST "\r\n" GET "\r\n"), "!411kGET / k[];"},
    {"no length on POST, close", BYTES(POST "Connection: close\r\n\r\n"), "!411"},
    {"unknown method", BYTES("BREW / HTTP/1.1\r\nHost: h\r\n\r\n" GET "\r\n"), "!501kGET / k[];"},
    {"unknown method with body", BYTES("BREW / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx"),
     "!501"},
    {"method in lower case", BYTES("get / HTTP/1.1\r\nHost: h\r\n\r\n"), "!501k"},
    {"version 2.0", BYTES("GET / HTTP/2.0\r\nHost: h\r\n\r\n"), "!505"},
    {"version 1.2", BYTES("GET / HTTP/1.2\r\nHost: h\r\n\r\n"), "!505"},
    {"version 0.9", BYTES("GET / HTTP/0.9\r\n\r\n"), "!505"},
    {"version of no form", BYTES("GET / HTTP/11\r\n\r\n"), "!400"},
    {"expect other", BYTES(POST "Expect: tea\r\nContent-Length: 1\r\n\r\nx"), "!417"},
};

static void put_request(struct strbuf *out, const struct http_request *req)
{
    strbuf_printf(out, "%s " SLICE_FMT, http_method_name(req->method), SLICE_ARG(req->path));
    if (req->query.len) strbuf_printf(out, "?" SLICE_FMT, SLICE_ARG(req->query));
    strbuf_printf(out, " %s[" SLICE_FMT "];", req->keep_alive ? "k" : "", SLICE_ARG(req->body));
}

/* Feeds in[0..len): one cut at `cut`, or single bytes when cut is len. The unread
 * rest is copied to a fresh buffer of exact size before each call. */
static void converse(struct strbuf *out, const char *in, size_t len, size_t cut)
{
    static struct http_request req;
    struct http_limits limits = {.body_len_max = 100};
    struct http_parser parser;
    size_t fed = 0, have = 0;
    char *buf = malloc(1);

    strbuf_reset(out);
    http_parser_start(&parser, &req);
    for (;;) {
        size_t to = fed == 0 ? (cut == len ? 1 : cut) : (cut == len ? fed + 1 : len);
        if (to > len) to = len;
        char *more = malloc(have + (to - fed) + 1);
        memcpy(more, buf, have);
        memcpy(more + have, in + fed, to - fed);
        free(buf);
        buf = more;
        have += to - fed;
        bool last = to == len;
        fed = to;
        enum http_result result;
        do {
            result = http_parse(&parser, buf, &have, &limits);
            if (result == HTTP_REQUEST) put_request(out, &req);
            if (result == HTTP_BAD) {
                strbuf_printf(out, "!%d%s", parser.status, parser.keep ? "k" : "");
                if (!parser.keep) goto done;
            }
            if (result == HTTP_REQUEST || result == HTTP_BAD) {
                have -= parser.used;
                memmove(buf, buf + parser.used, have);
                http_parser_start(&parser, &req);
            }
        } while (result != HTTP_MORE);
        if (last) break;
    }
    if (have > 0) strbuf_str(out, "...");
done:
    free(buf);
}

START_TEST(test_http_read_whatever_the_pieces)
{
    const struct talk *talk = &talks[_i];
    struct strbuf out;

    strbuf_init(&out, 0);
    for (size_t cut = 1; cut <= talk->len; cut++) {
        converse(&out, talk->in, talk->len, cut);
        ck_assert_msg(strcmp(strbuf_cstr(&out), talk->out) == 0, "%s, cut at %zu: '%s', not '%s'",
                      talk->name, cut, strbuf_cstr(&out), talk->out);
    }
    strbuf_release(&out);
}
END_TEST

/* A head of the given shape; the caller frees it. */
static char *make_head(size_t *len, size_t uri_len, size_t n_fields, size_t value_len)
{
    struct strbuf text;

    strbuf_init(&text, 0);
    strbuf_str(&text, "GET /");
    for (size_t i = 1; i < uri_len; i++) strbuf_char(&text, 'a');
    strbuf_str(&text, " HTTP/1.1\r\nHost: h\r\n");
    for (size_t i = 1; i < n_fields; i++) {
        strbuf_printf(&text, "X-%zu: ", i);
        for (size_t k = 0; k < value_len; k++) strbuf_char(&text, 'v');
        strbuf_str(&text, "\r\n");
    }
    strbuf_str(&text, "\r\n");
    *len = text.len;
    return text.ptr;
}

START_TEST(test_http_read_head_limits)
{
    static const struct {
        const char *name;
        size_t uri_len, n_fields, value_len;
        const char *out;
    } rows[] = {
        {"uri at the limit", HTTP_URI_MAX, 1, 1, ""},
        {"uri over the limit", HTTP_URI_MAX + 1, 1, 1, "!414"},
        {"uri far over the limit", HTTP_URI_MAX * 3, 1, 1, "!414"},
        {"fields at the limit", 1, HTTP_FIELDS_MAX, 1, ""},
        {"fields over the limit", 1, HTTP_FIELDS_MAX + 1, 1, "!431"},
        {"head over the limit", 1, 3, 40000, "!431"},
        {"one field over the limit", 1, 2, 80000, "!431"},
    };
    struct strbuf out;

    strbuf_init(&out, 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t len;
        char *head = make_head(&len, rows[i].uri_len, rows[i].n_fields, rows[i].value_len);
        size_t cuts[] = {1, 100, len / 2, len - 1};
        for (size_t k = 0; k < sizeof(cuts) / sizeof(cuts[0]); k++) {
            if (cuts[k] == 0 || cuts[k] >= len) continue;
            converse(&out, head, len, cuts[k]);
            const char *text = strbuf_cstr(&out);
            bool ok = rows[i].out[0] ? strcmp(text, rows[i].out) == 0 : text[0] == 'G';
            ck_assert_msg(ok, "%s, cut at %zu: '%.20s'", rows[i].name, cuts[k], text);
        }
        free(head);
    }
    strbuf_release(&out);
}
END_TEST

START_TEST(test_http_read_tiny_chunks_take_no_more_room_than_their_bytes)
{
    struct http_limits limits = {.body_len_max = 1000};
    struct http_request req;
    struct http_parser parser;
    char buf[512];
    size_t have = sizeof(CHUNKED) - 1;

    memcpy(buf, CHUNKED, have);
    http_parser_start(&parser, &req);
    ck_assert_int_eq(http_parse(&parser, buf, &have, &limits), HTTP_HEAD);
    size_t head = have;
    for (int i = 0; i < 50; i++) {
        memcpy(buf + have, "1\r\nx\r\n", 6);
        have += 6;
        ck_assert_int_eq(http_parse(&parser, buf, &have, &limits), HTTP_MORE);
        ck_assert_uint_eq(have, head + 1 + (size_t)i);
    }
    memcpy(buf + have, "0\r\n\r\n", 5);
    have += 5;
    ck_assert_int_eq(http_parse(&parser, buf, &have, &limits), HTTP_REQUEST);
    ck_assert_uint_eq(req.body.len, 50);
    ck_assert_uint_eq(parser.used, have);
}
END_TEST

START_TEST(test_http_read_fields_are_found)
{
    char buf[] = GET "Accept-Encoding: gzip\r\nX-Thing:  a b \t\r\nACCEPT: x\r\n"
                     "Content-Type: Text/Plain ; charset=x\r\nAccept-Encoding: br\r\n\r\n";
    struct http_limits limits = {.body_len_max = 10};
    struct http_request req;
    struct http_parser parser;
    size_t have = sizeof(buf) - 1;

    http_parser_start(&parser, &req);
    ck_assert_int_eq(http_parse(&parser, buf, &have, &limits), HTTP_HEAD);
    ck_assert(slice_is(http_value(&req, HTTP_F_ACCEPT_ENCODING), "gzip"));
    ck_assert(http_has_token(&req, HTTP_F_ACCEPT_ENCODING, "BR"));
    ck_assert(!http_has_token(&req, HTTP_F_ACCEPT_ENCODING, "b"));
    ck_assert(slice_is(http_value(&req, HTTP_F_ACCEPT), "x"));
    ck_assert(slice_is(http_field_named(&req, "x-thing")->value, "a b"));
    ck_assert_ptr_null(http_field_named(&req, "x-thin"));
    ck_assert_ptr_null(http_field(&req, HTTP_F_ORIGIN));
    ck_assert(http_content_is(&req, "text/plain") && !http_content_is(&req, "text"));
}
END_TEST

START_TEST(test_http_read_length_is_optional_where_the_route_says)
{
    char buf[] = POST "\r\n";
    struct http_limits limits = {.body_len_max = 10, .length_optional = true};
    struct http_request req;
    struct http_parser parser;
    size_t have = sizeof(buf) - 1;

    http_parser_start(&parser, &req);
    ck_assert_int_eq(http_parse(&parser, buf, &have, &limits), HTTP_HEAD);
    ck_assert_int_eq(http_parse(&parser, buf, &have, &limits), HTTP_REQUEST);
    ck_assert_uint_eq(req.body.len, 0);
}
END_TEST

Suite *suite_http_read(void)
{
    Suite *suite = suite_create("http_read");
    TCase *tc = tcase_create("http_read");

    tcase_add_loop_test(tc, test_http_read_whatever_the_pieces, 0,
                        (int)(sizeof(talks) / sizeof(talks[0])));
    tcase_add_test(tc, test_http_read_head_limits);
    tcase_add_test(tc, test_http_read_tiny_chunks_take_no_more_room_than_their_bytes);
    tcase_add_test(tc, test_http_read_fields_are_found);
    tcase_add_test(tc, test_http_read_length_is_optional_where_the_route_says);
    suite_add_tcase(suite, tc);
    return suite;
}
