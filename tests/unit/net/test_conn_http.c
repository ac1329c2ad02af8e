/* Goal: HTTP over real sockets: keep-alive, pipelining, bodies of every framing, 100
 * Continue in its place, refusals with their close, times. Method: net_fixture.h. */
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/net/net_fixture.h"

static struct net net;

#define HOST "Host: h\r\n"

/* Reads one reply and checks its status line and body; framed by Content-Length. */
static void expect_reply(int fd, int code, const char *body)
{
    char head[2048], *got;
    size_t len = 0;

    for (;;) {
        ck_assert_uint_lt(len, sizeof(head) - 1);
        ssize_t n = recv(fd, head + len, 1, 0);
        if (n == 1) len++;
        head[len] = '\0';
        ck_assert_msg(n == 1, "end after '%s', expected %d", head, code);
        if (len >= 4 && memcmp(head + len - 4, "\r\n\r\n", 4) == 0) break;
    }
    ck_assert_msg(atoi(head + 9) == code, "%s", head);
    const char *field = strstr(head, "Content-Length: ");
    size_t body_len = field ? strtoul(field + 16, NULL, 10) : 0;
    got = calloc(1, body_len + 1);
    ck_assert_int_eq(recv(fd, got, body_len, MSG_WAITALL), (ssize_t)body_len);
    if (body) ck_assert_msg(strcmp(got, body) == 0, "'%s', not '%s'", got, body);
    free(got);
}

START_TEST(test_conn_http_answers_and_keeps_alive)
{
    static const size_t n_io[] = {0, 1, 3};

    net_init(&net, n_io[_i]);
    net_start(&net);
    int fd = client_open(net.http_port);
    client_send(fd, "GET /a HTTP/1.1\r\n" HOST "\r\n");
    expect_reply(fd, 200, "GET /a ");
    client_send(fd, "POST /b HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nxyz"
                    "POST /c HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
                    "3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n"
                    "GET /d HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"
                    "GET /never HTTP/1.1\r\n" HOST "\r\n");
    expect_reply(fd, 200, "POST /b xyz");
    expect_reply(fd, 200, "POST /c abcd");
    expect_reply(fd, 200, "GET /d ");
    client_expect_end(fd);
    ck_assert_int_eq(atomic_load(&net.n_requests), 4);
    fd = client_open(net.http_port);
    client_send(fd, "GET /a HTTP/1.0\r\n\r\n");
    expect_reply(fd, 200, "GET /a ");
    client_expect_end(fd);
    net_stop(&net);
}
END_TEST

START_TEST(test_conn_http_slow_sender)
{
    const char *in = "POST /a HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
                     "3\r\nabc\r\n0\r\nT: x\r\n\r\nGET /b HTTP/1.1\r\n" HOST "\r\n";

    net_init(&net, 1);
    net_start(&net);
    int fd = client_open(net.http_port);
    for (const char *c = in; *c; c++) {
        client_send_bytes(fd, c, 1);
        if ((c - in) % 16 == 0) usleep(200);
    }
    expect_reply(fd, 200, "POST /a abc");
    expect_reply(fd, 200, "GET /b ");
    close(fd);
    net_stop(&net);
}
END_TEST

START_TEST(test_conn_http_large_bodies_arrive_whole)
{
    size_t len = 5 << 20, got;
    char head[200], *body = malloc(len);

    net_init(&net, 1);
    net_start(&net);
    memset(body, 'z', len);
    int fd = client_open(net.http_port);
    snprintf(head, sizeof(head),
             "POST /big HTTP/1.1\r\n" HOST "Connection: close\r\nContent-Length: %zu\r\n\r\n", len);
    client_send(fd, head);
    client_send_bytes(fd, body, len);
    char *all = client_read_all(fd, &got);
    char *at = strstr(all, "POST /big ");
    ck_assert_ptr_nonnull(at);
    ck_assert_uint_eq((size_t)(all + got - at), strlen("POST /big ") + len);
    ck_assert_mem_eq(at + strlen("POST /big "), body, len);
    free(all);
    free(body);
    net_stop(&net);
}
END_TEST

START_TEST(test_conn_http_continue_comes_in_its_place)
{
    net_init(&net, 1);
    net_start(&net);
    int fd = client_open(net.http_port);
    /* An earlier answer is still open: 100 must wait for it. */
    client_send(fd, "GET /later HTTP/1.1\r\n" HOST "\r\n"
                    "POST /a HTTP/1.1\r\n" HOST
                    "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    net_wait(atomic_load(&net.n_later) == 1);
    client_expect_silence(fd);
    net_release(&net);
    expect_reply(fd, 200, "later");
    client_expect(fd, "HTTP/1.1 100 Continue\r\n\r\n");
    client_send(fd, "ok");
    expect_reply(fd, 200, "POST /a ok");
    /* Sent together with the head: nobody waits for the word. */
    client_send(fd,
        "POST /b HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nok");
    expect_reply(fd, 200, "POST /b ok");
    /* Refused at the head: no body, no 100. */
    client_send(fd,
        "POST /refuse HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    expect_reply(fd, 403, "no");
    client_expect_end(fd);
    net_stop(&net);
}
END_TEST

START_TEST(test_conn_http_refusals)
{
    static const struct {
        const char *in;
        int code;
        bool keep;
    } rows[] = {
        {"GET / HTTP/1.1\r\n\r\n", 400, false},
        {"\x16\x03\x01", 400, false},
        {"GET / HTTP/3.0\r\n" HOST "\r\n", 505, false},
        {"POST /small HTTP/1.1\r\n" HOST "Content-Length: 11\r\n\r\nabcdefghijk", 413, false},
        {"POST /small HTTP/1.1\r\n" HOST "Content-Length: 40000000\r\n\r\n", 413, false},
        {"POST /x HTTP/1.1\r\n" HOST "\r\n", 411, true},
        {"BREW /x HTTP/1.1\r\n" HOST "\r\n", 501, true},
        {"GET /refuse HTTP/1.1\r\n" HOST "\r\n", 403, true},
        {"POST /refuse HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\nabcd", 403, false},
        {"POST /optional HTTP/1.1\r\n" HOST "\r\n", 200, true},
        {"POST /x HTTP/1.1\r\n" HOST "Expect: tea\r\nContent-Length: 1\r\n\r\nx", 417, false},
    };

    net_init(&net, 1);
    net_start(&net);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int fd = client_open(net.http_port);
        client_send(fd, rows[i].in);
        expect_reply(fd, rows[i].code, NULL);
        if (rows[i].keep) {
            client_send(fd, "GET /next HTTP/1.1\r\n" HOST "\r\n");
            expect_reply(fd, 200, "GET /next ");
            close(fd);
        } else {
            client_expect_end(fd);
        }
    }
    net_stop(&net);
}
END_TEST

START_TEST(test_conn_http_sender_of_a_refused_body_reads_the_answer)
{
    size_t len = 1 << 20;
    char *body = calloc(1, len);

    net_init(&net, 1);
    net_start(&net);
    int fd = client_open(net.http_port);
    client_send(fd, "POST /small HTTP/1.1\r\n" HOST "Content-Length: 1048576\r\n\r\n");
    client_send_bytes(fd, body, len); /* goes on although it was refused */
    expect_reply(fd, 413, NULL);
    client_expect_end(fd);
    free(body);
    net_stop(&net);
}
END_TEST

START_TEST(test_conn_http_parks_and_fails)
{
    net_init(&net, 1);
    net_start(&net);
    int fd = client_open(net.http_port);
    client_send(fd, "GET /park?5 HTTP/1.1\r\n" HOST "\r\nGET /park?9 HTTP/1.1\r\n" HOST "\r\n");
    client_expect_silence(fd);
    net_raise(&net, 5);
    expect_reply(fd, 200, "GET /park ");
    client_expect_silence(fd);
    struct conn_loops all = io_threads_all(net.io);
    for (size_t i = 0; i < all.n; i++) loop_gate_fail(conn_loop_loop(all.ptr[i]), ST_IO);
    expect_reply(fd, 503, "failed");
    close(fd);
    net_stop(&net);
}
END_TEST

START_TEST(test_conn_http_holds_request_bytes)
{
    net_init(&net, 1);
    net_start(&net);
    int fd = client_open(net.http_port);
    /* Held bodies of one block, with more requests read behind them. */
    for (int i = 0; i < 200; i++) {
        char text[200];
        snprintf(text, sizeof(text),
                 "POST /later HTTP/1.1\r\n" HOST "Content-Length: 8\r\n\r\nbody%04d", i);
        client_send(fd, text);
    }
    net_wait(atomic_load(&net.n_later) == 200);
    net_release(&net);
    for (int i = 0; i < 200; i++) {
        char text[20];
        snprintf(text, sizeof(text), "body%04d", i);
        expect_reply(fd, 200, text);
    }
    close(fd);
    net_stop(&net);
}
END_TEST

START_TEST(test_conn_http_streams)
{
    size_t got, want = 3000000;
    char command[100];

    net_init(&net, 1);
    net_start(&net);
    int fd = client_open(net.http_port);
    snprintf(command, sizeof(command),
        "GET /stream?%zu HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", want);
    client_send(fd, command);
    char *all = client_read_all(fd, &got);
    ck_assert(strstr(all, "Transfer-Encoding: chunked\r\n") != NULL);
    ck_assert_mem_eq(all + got - 7, "\r\n0\r\n\r\n", 7);
    ck_assert_uint_gt(got, want);
    free(all);
    /* A client that leaves in the middle. */
    fd = client_open(net.http_port);
    client_send(fd, "GET /stream?900000000 HTTP/1.1\r\n" HOST "\r\n");
    client_expect(fd, "HTTP/1.1 200 OK\r\n");
    close(fd);
    net_wait(atomic_load(&net.n_closed) == 2);
    net_stop(&net);
}
END_TEST

START_TEST(test_conn_http_times)
{
    struct conn_limits limits;

    net_init(&net, 1);
    limits = net_limits(&net, CONN_HTTP);
    limits.idle_ms = 400;
    limits.head_ms = 200;
    limits.body_grace_ms = 200;
    net_set_limits(&net, CONN_HTTP, limits);
    net_start(&net);
    int idle = client_open(net.http_port);
    int head = client_open(net.http_port), body = client_open(net.http_port);
    client_send(head, "GET / HTTP/1.1\r\nHo");
    client_send(body, "POST / HTTP/1.1\r\n" HOST "Content-Length: 100000\r\n\r\nab");
    expect_reply(head, 408, NULL);
    client_expect_end(head);
    expect_reply(body, 408, NULL);
    client_expect_end(body);
    client_expect_end(idle);
    struct conn_stats stats;
    conn_hub_stats(net.hub, CONN_HTTP, &stats);
    ck_assert_uint_eq(counter_read(&stats.n_idle), 1);
    ck_assert_uint_eq(counter_read(&stats.n_slow_head), 1);
    ck_assert_uint_eq(counter_read(&stats.n_slow_body), 1);
    net_stop(&net);
}
END_TEST

START_TEST(test_conn_http_body_cut_by_the_sender)
{
    net_init(&net, 1);
    net_start(&net);
    int fd = client_open(net.http_port);
    client_send(fd, "POST / HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nab");
    shutdown(fd, SHUT_WR);
    expect_reply(fd, 400, NULL);
    client_expect_end(fd);
    fd = client_open(net.http_port);
    client_send(fd, "POST / HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nab");
    close(fd);
    net_wait(atomic_load(&net.n_closed) == 2);
    ck_assert_int_eq(atomic_load(&net.n_requests), 0);
    net_stop(&net);
}
END_TEST

Suite *suite_conn_http(void)
{
    Suite *suite = suite_create("conn_http");
    TCase *tc = tcase_create("conn_http");

    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, test_conn_http_answers_and_keeps_alive, 0, 3);
    tcase_add_test(tc, test_conn_http_slow_sender);
    tcase_add_test(tc, test_conn_http_large_bodies_arrive_whole);
    tcase_add_test(tc, test_conn_http_continue_comes_in_its_place);
    tcase_add_test(tc, test_conn_http_refusals);
    tcase_add_test(tc, test_conn_http_sender_of_a_refused_body_reads_the_answer);
    tcase_add_test(tc, test_conn_http_parks_and_fails);
    tcase_add_test(tc, test_conn_http_holds_request_bytes);
    tcase_add_test(tc, test_conn_http_streams);
    tcase_add_test(tc, test_conn_http_times);
    tcase_add_test(tc, test_conn_http_body_cut_by_the_sender);
    suite_add_tcase(suite, tc);
    return suite;
}
