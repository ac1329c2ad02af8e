/* Goal: replies are framed so that a client reads exactly them, with the fields of
 * ecosystem.md 2.2. Method: replies for a table of requests, compared as text. */
#include "net/http_write.h"
#include "tests/unit/net/net_suites.h"

#define DATE "Sun, 06 Nov 1994 08:49:37 GMT"
#define VARY "Vary: Accept-Encoding, Origin\r\n"

static struct http_answer answer_for(const char *head, const struct regex *cors)
{
    static struct http_request req;
    struct http_limits limits = {.body_len_max = 10};
    struct http_parser parser;
    struct http_answer answer;
    size_t len = strlen(head);
    char *buf = malloc(len);

    memcpy(buf, head, len);
    http_parser_start(&parser, &req);
    ck_assert_int_eq(http_parse(&parser, buf, &len, &limits), HTTP_HEAD);
    http_answer_init(&answer, &req, DATE, cors);
    free(buf);
    return answer;
}

static char *text_of(struct iobuf *out)
{
    char *text = malloc(out->len + 1);

    iobuf_copy(text, out);
    text[out->len] = '\0';
    iobuf_release(out, NULL);
    return text;
}

static void check(const char *name, struct iobuf *out, const char *expected)
{
    char *text = text_of(out);

    ck_assert_msg(strcmp(text, expected) == 0, "%s:\n%s\nnot\n%s", name, text, expected);
    free(text);
}

START_TEST(test_http_write_framing)
{
    static const struct {
        const char *name, *head;
        int status;
        const char *body, *expected;
    } rows[] = {
        {"1.1", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 200, "hi",
         "HTTP/1.1 200 OK\r\nDate: " DATE "\r\nContent-Type: text/plain\r\n"
         "X-Content-Type-Options: nosniff\r\n" VARY "Content-Length: 2\r\n\r\nhi"},
        {"HEAD", "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n", 200, "hi",
         "HTTP/1.1 200 OK\r\nDate: " DATE "\r\nContent-Type: text/plain\r\n"
         "X-Content-Type-Options: nosniff\r\n" VARY "Content-Length: 2\r\n\r\n"},
        {"close", "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 404, "",
         "HTTP/1.1 404 Not Found\r\nDate: " DATE "\r\nContent-Type: text/plain\r\n"
         "X-Content-Type-Options: nosniff\r\n" VARY
         "Connection: close\r\nContent-Length: 0\r\n\r\n"},
        {"1.0", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200, "x",
         "HTTP/1.1 200 OK\r\nDate: " DATE "\r\nContent-Type: text/plain\r\n"
         "X-Content-Type-Options: nosniff\r\n" VARY
         "Connection: keep-alive\r\nContent-Length: 1\r\n\r\nx"},
        {"204 has no body", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", 204, "ignored",
         "HTTP/1.1 204 No Content\r\nDate: " DATE "\r\nContent-Type: text/plain\r\n"
         "X-Content-Type-Options: nosniff\r\n" VARY "\r\n"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct http_answer answer = answer_for(rows[i].head, NULL);
        struct http_reply reply = {.status = rows[i].status, .type = "text/plain"};
        struct iobuf out;
        iobuf_init(&out, NULL, NULL, 0);
        http_reply_text(&out, &answer, &reply, slice_str(rows[i].body));
        check(rows[i].name, &out, rows[i].expected);
    }
}
END_TEST

START_TEST(test_http_write_compresses_long_bodies_only)
{
    static const struct {
        size_t len;
        bool plain, packed;
    } rows[] = {{100, false, false}, {5000, false, true}, {5000, true, false}};
    struct http_answer answer =
        answer_for("GET / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n", NULL);

    for (size_t i = 0; i < 3; i++) {
        struct http_reply reply = {.status = 200, .plain = rows[i].plain};
        struct iobuf out, body;
        iobuf_init(&out, NULL, NULL, 0);
        iobuf_init(&body, NULL, NULL, 0);
        for (size_t k = 0; k < rows[i].len; k++) iobuf_put(&body, "a", 1);
        http_reply(&out, &answer, &reply, &body);
        ck_assert_uint_eq(body.len, 0);
        size_t total = out.len;
        char *text = text_of(&out);
        ck_assert_int_eq(strstr(text, "Content-Encoding: gzip\r\n") != NULL, rows[i].packed);
        char *end = strstr(text, "\r\n\r\n") + 4;
        size_t announced = strtoul(strstr(text, "Content-Length: ") + 16, NULL, 10);
        ck_assert_uint_eq(announced, total - (size_t)(end - text));
        if (rows[i].packed) {
            struct strbuf back;
            strbuf_init(&back, 0);
            ck_assert_int_eq(http_decode(&back, HTTP_CODING_GZIP, slice_of(end, announced),
                                         10000, NULL), ST_OK);
            ck_assert_uint_eq(back.len, rows[i].len);
            strbuf_release(&back);
        }
        free(text);
    }
}
END_TEST

START_TEST(test_http_write_cors)
{
    static const struct {
        const char *cors, *origin, *allowed; /* NULL: no such field */
    } rows[] = {
        {NULL, "http://a", NULL},
        {".*", "http://a", "*"},
        {".*", NULL, NULL},
        {"http://a|https://b", "https://b", "https://b"},
        {"https?://[ab]", "http://a", "http://a"},
        {"https?://.*[.]example", "http://x.y.example", "http://x.y.example"},
        {"http://a", "http://a.evil", NULL},
        {"http://a", "evil.http://a", NULL},
        {"http://a", "null", NULL},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char head[200], field[200];
        snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nHost: h\r\n%s%s%s\r\n",
                 rows[i].origin ? "Origin: " : "", rows[i].origin ? rows[i].origin : "",
                 rows[i].origin ? "\r\n" : "");
        struct regex *cors = NULL;
        if (rows[i].cors)
            ck_assert_int_eq(regex_new(&cors, slice_str(rows[i].cors), NULL), ST_OK);
        struct http_answer answer = answer_for(head, cors);
        regex_free(cors);
        struct iobuf out;
        iobuf_init(&out, NULL, NULL, 0);
        http_reply_text(&out, &answer, &(struct http_reply){.status = 200}, SLICE_LIT(""));
        char *text = text_of(&out);
        snprintf(field, sizeof(field), "Access-Control-Allow-Origin: %s\r\n",
                 rows[i].allowed ? rows[i].allowed : "");
        ck_assert_msg(strstr(text, VARY) != NULL, "row %zu", i);
        if (rows[i].allowed) ck_assert_msg(strstr(text, field) != NULL, "row %zu: %s", i, text);
        else ck_assert_msg(!strstr(text, "Access-Control-"), "row %zu: %s", i, text);
        free(text);
    }
}
END_TEST

START_TEST(test_http_write_streams)
{
    struct http_answer answer = answer_for("GET / HTTP/1.1\r\nHost: h\r\n\r\n", NULL);
    struct iobuf out, part;

    iobuf_init(&out, NULL, NULL, 0);
    iobuf_init(&part, NULL, NULL, 0);
    http_stream_begin(&out, &answer, &(struct http_reply){.status = 200});
    iobuf_str(&part, "hello");
    http_stream_part(&out, &answer, &part);
    http_stream_part(&out, &answer, &part); /* empty: must not end the stream */
    iobuf_str(&part, "0123456789abcdef0");
    http_stream_part(&out, &answer, &part);
    http_stream_end(&out, &answer);
    check("1.1", &out,
          "HTTP/1.1 200 OK\r\nDate: " DATE "\r\n" VARY "Transfer-Encoding: chunked\r\n\r\n"
          "5\r\nhello\r\n11\r\n0123456789abcdef0\r\n0\r\n\r\n");

    answer = answer_for("GET / HTTP/1.0\r\n\r\n", NULL);
    http_stream_begin(&out, &answer, &(struct http_reply){.status = 200});
    iobuf_str(&part, "hello");
    http_stream_part(&out, &answer, &part);
    http_stream_end(&out, &answer);
    check("1.0", &out,
          "HTTP/1.1 200 OK\r\nDate: " DATE "\r\n" VARY "Connection: close\r\n\r\nhello");
}
END_TEST

START_TEST(test_http_write_dates)
{
    static const struct {
        int64_t second;
        const char *text;
    } rows[] = {
        {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
        {784111777, DATE},
        {951782400, "Tue, 29 Feb 2000 00:00:00 GMT"},
        {4102444799, "Thu, 31 Dec 2099 23:59:59 GMT"},
        {-5, "Thu, 01 Jan 1970 00:00:00 GMT"},
    };
    struct http_date date = {0};

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ck_assert_str_eq(http_date(&date, rows[i].second), rows[i].text);
        ck_assert_str_eq(http_date(&date, rows[i].second), rows[i].text);
    }
}
END_TEST

Suite *suite_http_write(void)
{
    Suite *suite = suite_create("http_write");
    TCase *tc = tcase_create("http_write");

    tcase_add_test(tc, test_http_write_framing);
    tcase_add_test(tc, test_http_write_compresses_long_bodies_only);
    tcase_add_test(tc, test_http_write_cors);
    tcase_add_test(tc, test_http_write_streams);
    tcase_add_test(tc, test_http_write_dates);
    suite_add_tcase(suite, tc);
    return suite;
}
