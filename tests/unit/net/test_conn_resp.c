/* Goal: replies leave in request order, whole and bounded, whatever handlers, gate and
 * clients do. Method: a real server (net_fixture.h) with 0, 1 and 3 I/O threads and
 * blocking clients over loopback. */
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "tests/unit/net/net_fixture.h"

static const size_t io_counts[] = {0, 1, 3};

static struct net net; /* one test at a time: Check forks or runs them in turn */

static struct conn_stats stats_now(enum conn_proto proto)
{
    struct conn_stats stats;
    conn_hub_stats(net.hub, proto, &stats);
    return stats;
}

static int64_t n_open_now(void)
{
    struct conn_stats stats = stats_now(CONN_RESP);
    return gauge_read(&stats.n_open);
}

START_TEST(test_conn_resp_answers)
{
    net_init(&net, io_counts[_i]);
    net_start(&net);
    int fd = client_open(net.resp_port);
    client_send(fd, "PING\r\n");
    client_expect(fd, "+OK\r\n");
    client_send(fd, "*2\r\n$4\r\nECHO\r\n$3\r\nabc\r\nECHO \"d e\"\r\n");
    client_expect(fd, "$3\r\nabc\r\n$3\r\nd e\r\n");
    for (const char *c = "*1\r\n$4\r\nPING\r\n"; *c; c++) client_send_bytes(fd, c, 1);
    client_expect(fd, "+OK\r\n");
    client_send(fd, "QUIT\r\nPING\r\n");
    client_expect(fd, "+OK\r\n");
    client_expect_end(fd);
    ck_assert_int_eq(atomic_load(&net.n_requests), 5); /* nothing behind QUIT */
    net_stop(&net);
}
END_TEST

START_TEST(test_conn_resp_keeps_order)
{
    net_init(&net, io_counts[_i]);
    net_start(&net);
    int fd = client_open(net.resp_port);
    client_send(fd, "LATER\r\nECHO a\r\nHELD xyz\r\nECHO b\r\nLATER\r\n");
    client_expect_silence(fd);
    net_wait(atomic_load(&net.n_later) == 3);
    net_release(&net); /* newest first */
    client_expect(fd, "$5\r\nlater\r\n$1\r\na\r\n$3\r\nxyz\r\n$1\r\nb\r\n$5\r\nlater\r\n");
    close(fd);
    net_stop(&net);
}
END_TEST

START_TEST(test_conn_resp_pipelines_deeply)
{
    enum { N = 20000 };
    struct strbuf out;
    struct strbuf all;

    net_init(&net, io_counts[_i]);
    net_start(&net);
    int fd = client_open(net.resp_port);
    strbuf_init(&out, 0);
    for (int i = 0; i < N; i++) strbuf_printf(&out, "*2\r\n$4\r\nECHO\r\n$5\r\n%05d\r\n", i);
    client_send(fd, "TRUST\r\n");
    client_expect(fd, "+OK\r\n");
    client_send_bytes(fd, out.ptr, out.len); /* all before reading anything */
    strbuf_init(&all, 0);
    for (int i = 0; i < N; i++) strbuf_printf(&all, "$5\r\n%05d\r\n", i);
    client_expect(fd, strbuf_cstr(&all));
    close(fd);
    strbuf_release(&out);
    strbuf_release(&all);
    net_stop(&net);
}
END_TEST

START_TEST(test_conn_resp_bounds_unanswered_requests)
{
    struct conn_limits limits;

    net_init(&net, 0);
    limits = net_limits(&net, CONN_RESP);
    limits.pipeline_max = 8;
    net_set_limits(&net, CONN_RESP, limits);
    net_start(&net);
    int fd = client_open(net.resp_port);
    for (int i = 0; i < 20; i++) client_send(fd, "LATER\r\n");
    net_wait(atomic_load(&net.n_requests) == 8);
    client_expect_silence(fd);
    ck_assert_int_eq(atomic_load(&net.n_requests), 8);
    net_release(&net);
    net_wait(atomic_load(&net.n_requests) == 16);
    net_release(&net);
    net_wait(atomic_load(&net.n_requests) == 20);
    net_release(&net);
    for (int i = 0; i < 20; i++) client_expect(fd, "$5\r\nlater\r\n");
    close(fd);
    net_stop(&net);
}
END_TEST

START_TEST(test_conn_resp_parks_until_the_gate)
{
    net_init(&net, io_counts[_i]);
    net_start(&net);
    int fd = client_open(net.resp_port), other = client_open(net.resp_port);
    client_send(fd, "PARK 10\r\nECHO a\r\nPARK 20\r\nPARK 15\r\n");
    client_send(other, "PARK 5\r\nPING\r\n");
    client_expect_silence(fd);
    client_expect_silence(other);
    net_raise(&net, 9);
    client_expect(other, "+OK\r\n+OK\r\n");
    client_expect_silence(fd);
    net_raise(&net, 10);
    client_expect(fd, "+OK\r\n$1\r\na\r\n");
    client_expect_silence(fd);
    net_raise(&net, 30);
    client_expect(fd, "+OK\r\n+OK\r\n");
    client_send(fd, "PARK 30\r\n"); /* passed already */
    client_expect(fd, "+OK\r\n");
    close(fd);
    close(other);
    net_stop(&net);
}
END_TEST

START_TEST(test_conn_resp_failed_gate_turns_parked_replies_into_errors)
{
    net_init(&net, io_counts[_i]);
    net_start(&net);
    int fd = client_open(net.resp_port);
    client_send(fd, "PARK 10\r\nECHO a\r\nPARK 5\r\nPARK 20\r\n");
    client_expect_silence(fd);
    net_raise(&net, 7);
    struct conn_loops all = io_threads_all(net.io);
    for (size_t i = 0; i < all.n; i++) loop_gate_fail(conn_loop_loop(all.ptr[i]), ST_IO);
    client_expect(fd, "-MISCONF failed\r\n$1\r\na\r\n+OK\r\n-MISCONF failed\r\n");
    client_send(fd, "PARK 7\r\nPARK 8\r\n");
    client_expect(fd, "+OK\r\n-MISCONF failed\r\n");
    close(fd);
    net_stop(&net);
}
END_TEST

START_TEST(test_conn_resp_bad_input_is_answered_then_closed)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"*x\r\n", "-ERR Protocol error: invalid multibulk length\r\n"},
        {"PING\r\n*1\r\n:\r\nPING\r\n", "+OK\r\n-ERR Protocol error: expected '$', got ':'\r\n"},
        {"POST / HTTP/1.1\r\nHost: a\r\n\r\n",
         "-ERR Protocol error: HTTP on the RESP port; use the HTTP port\r\n"},
        {"*1\r\n$20000\r\n", "-ERR Protocol error: unauthenticated bulk length\r\n"},
    };

    net_init(&net, 1);
    net_start(&net);
    int neighbour = client_open(net.resp_port);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int fd = client_open(net.resp_port);
        client_send(fd, rows[i].in);
        client_expect(fd, rows[i].out);
        client_expect_end(fd);
    }
    client_send(neighbour, "PING\r\n");
    client_expect(neighbour, "+OK\r\n");
    close(neighbour);
    struct conn_stats stats = stats_now(CONN_RESP);
    ck_assert_uint_eq(counter_read(&stats.n_bad_input), 4);
    ck_assert_uint_eq(counter_read(&stats.n_cross_protocol), 1);
    net_stop(&net);
}
END_TEST

START_TEST(test_conn_resp_trust_lifts_the_limits)
{
    size_t len = 3 << 20;
    char head[64], *body = malloc(len);

    net_init(&net, 1);
    net_start(&net);
    int fd = client_open(net.resp_port);
    client_send(fd, "TRUST\r\n");
    client_expect(fd, "+OK\r\n");
    snprintf(head, sizeof(head), "*2\r\n$4\r\nECHO\r\n$%zu\r\n", len);
    memset(body, 'b', len);
    client_send(fd, head);
    client_send_bytes(fd, body, len);
    client_send(fd, "\r\nQUIT\r\n");
    size_t got;
    char *all = client_read_all(fd, &got);
    ck_assert_uint_eq(got, strlen("$3145728\r\n") + len + 2 + strlen("+OK\r\n"));
    ck_assert_mem_eq(all + strlen("$3145728\r\n"), body, len);
    free(all);
    free(body);
    net_stop(&net);
}
END_TEST

START_TEST(test_conn_resp_output_is_limited)
{
    struct conn_limits limits;
    size_t got;

    net_init(&net, 1);
    limits = net_limits(&net, CONN_RESP);
    limits.output_hard = 8u << 20;
    net_set_limits(&net, CONN_RESP, limits);
    net_start(&net);
    int fd = client_open(net.resp_port); /* not trusted: 64 KiB */
    client_send(fd, "BYTES 70000\r\n");
    client_expect_end(fd);
    fd = client_open(net.resp_port);
    client_send(fd, "TRUST\r\nBYTES 1000000\r\nQUIT\r\n");
    free(client_read_all(fd, &got));
    ck_assert_uint_eq(got, 5 + 1000000 + 5);
    fd = client_open(net.resp_port);
    client_send(fd, "TRUST\r\n");
    client_expect(fd, "+OK\r\n");
    client_send(fd, "BYTES 9000000\r\n");
    client_expect_end(fd);
    struct conn_stats stats = stats_now(CONN_RESP);
    ck_assert_uint_eq(counter_read(&stats.n_output_limit), 2);
    net_stop(&net);
}
END_TEST

START_TEST(test_conn_resp_soft_limit_stops_reading_then_closes)
{
    struct conn_limits limits;

    net_init(&net, 1);
    limits = net_limits(&net, CONN_RESP);
    limits.output_soft = 1 << 20;
    limits.output_soft_ms = 300;
    net_set_limits(&net, CONN_RESP, limits);
    net_start(&net);
    int fd = client_open(net.resp_port);
    client_send(fd, "TRUST\r\n");
    client_expect(fd, "+OK\r\n");
    /* Far more than the kernel's buffers take, and nobody reads. */
    client_send(fd, "BYTES 20000000\r\nPING\r\nPING\r\n");
    net_wait(n_open_now() == 0);
    ck_assert_int_eq(atomic_load(&net.n_requests), 2); /* the PINGs were not looked at */
    struct conn_stats stats = stats_now(CONN_RESP);
    ck_assert_uint_eq(counter_read(&stats.n_output_limit), 1);
    close(fd);
    net_stop(&net);
}
END_TEST

START_TEST(test_conn_resp_slow_reader_gets_all)
{
    size_t len = 30000000, got = 0;
    char piece[100000], command[64];

    net_init(&net, io_counts[_i]);
    net_start(&net);
    int fd = client_open(net.resp_port);
    client_send(fd, "TRUST\r\n");
    client_expect(fd, "+OK\r\n");
    snprintf(command, sizeof(command), "%s %zu\r\nQUIT\r\n", _i == 1 ? "STREAM" : "BYTES", len);
    client_send(fd, command);
    for (;;) {
        ssize_t n = recv(fd, piece, sizeof(piece), 0);
        ck_assert_int_ge(n, 0);
        if (n == 0) break;
        got += (size_t)n;
        if (got % 7 == 0) usleep(200);
    }
    ck_assert_uint_eq(got, len + 5 + (_i == 1 ? strlen("-begin\r\n") + 2 : 0));
    close(fd);
    net_stop(&net);
}
END_TEST

START_TEST(test_conn_resp_tells_requests_that_the_client_is_gone)
{
    net_init(&net, io_counts[_i]);
    net_start(&net);
    int fd = client_open(net.resp_port), neighbour = client_open(net.resp_port);
    client_send(fd, "LATER\r\nLATER\r\nPING\r\n");
    client_send(neighbour, "LATER\r\n");
    net_wait(atomic_load(&net.n_later) == 3);
    close(fd);
    net_wait(atomic_load(&net.n_gone) == 2);
    net_release(&net); /* finished into nothing */
    client_expect(neighbour, "$5\r\nlater\r\n");
    net_wait(atomic_load(&net.n_closed) == 1);
    close(neighbour);
    net_stop(&net);
}
END_TEST

START_TEST(test_conn_resp_half_close_is_answered)
{
    net_init(&net, 1);
    net_start(&net);
    int fd = client_open(net.resp_port);
    client_send(fd, "PING\r\nLATER\r\nECHO last\r\nhalf");
    shutdown(fd, SHUT_WR);
    client_expect(fd, "+OK\r\n");
    net_wait(atomic_load(&net.n_later) == 1);
    net_release(&net);
    client_expect(fd, "$5\r\nlater\r\n$4\r\nlast\r\n");
    client_expect_end(fd);
    net_stop(&net);
}
END_TEST

START_TEST(test_conn_resp_pause_holds_the_next_request)
{
    net_init(&net, io_counts[_i]);
    net_start(&net);
    int fd = client_open(net.resp_port);
    client_send(fd, "PAUSE\r\nPING\r\n");
    client_expect(fd, "+OK\r\n");
    client_send(fd, "PING\r\n");
    client_expect_silence(fd);
    net_resume(&net);
    client_expect(fd, "+OK\r\n+OK\r\n");
    close(fd);
    net_stop(&net);
}
END_TEST

START_TEST(test_conn_resp_idle_and_input_limits)
{
    struct conn_limits limits;
    char big[5000];

    net_init(&net, 1);
    limits = net_limits(&net, CONN_RESP);
    limits.idle_ms = 200;
    limits.input_max = 4096;
    net_set_limits(&net, CONN_RESP, limits);
    net_start(&net);
    int fd = client_open(net.resp_port);
    client_send(fd, "TRUST\r\n");
    client_expect(fd, "+OK\r\n");
    memset(big, 'x', sizeof(big));
    client_send(fd, "*2\r\n$4\r\nECHO\r\n$5000\r\n");
    client_send_bytes(fd, big, sizeof(big));
    client_expect_end(fd);
    fd = client_open(net.resp_port);
    client_expect_end(fd); /* after 0.2 s */
    struct conn_stats stats = stats_now(CONN_RESP);
    ck_assert_uint_eq(counter_read(&stats.n_input_limit), 1);
    ck_assert_uint_eq(counter_read(&stats.n_idle), 1);
    net_stop(&net);
}
END_TEST

/* ---- CLIENT LIST and KILL ------------------------------------------------------------ */

struct look {
    int n;
    struct conn_info info;
    char name[CONN_NAME_MAX], addr[CONN_ADDR_MAX];
};

static void look_at(struct conn *conn, void *ctx)
{
    struct look *look = ctx;

    conn_info(conn, &look->info);
    snprintf(look->name, sizeof(look->name), "%s", look->info.name);
    snprintf(look->addr, sizeof(look->addr), "%s", look->info.addr);
    look->n++;
}

static void look_on_loop(struct conn_loop *cl, void *arg)
{
    conn_each(cl, look_at, arg);
}

static void kill_on_loop(struct conn_loop *cl, void *arg)
{
    struct look *look = arg;
    struct conn *conn = conn_find(cl, look->info.id);

    if (conn) conn_kill(conn);
}

START_TEST(test_conn_resp_is_listed_and_killed)
{
    struct look look = {0};

    net_init(&net, io_counts[_i]);
    net_start(&net);
    int fd = client_open(net.resp_port);
    client_send(fd, "NAME ann\r\nLATER\r\n");
    client_expect(fd, "+OK\r\n");
    net_wait(atomic_load(&net.n_later) == 1);
    net_on_loops(&net, look_on_loop, &look);
    ck_assert_int_eq(look.n, 1);
    ck_assert_str_eq(look.name, "ann");
    ck_assert_int_eq(strncmp(look.addr, "127.0.0.1:", 10), 0);
    ck_assert_uint_eq(look.info.n_waiting, 1);
    ck_assert_uint_eq(look.info.n_requests, 2);
    ck_assert_uint_eq(look.info.n_bytes_in, strlen("NAME ann\r\nLATER\r\n"));
    net_on_loops(&net, kill_on_loop, &look);
    client_expect_end(fd);
    ck_assert_int_eq(atomic_load(&net.n_gone), 1);
    net_release(&net);
    fd = client_open(net.resp_port);
    client_send(fd, "DIE\r\n"); /* killed by its own handler */
    client_expect_end(fd);
    net_stop(&net);
}
END_TEST

static void drain_on_loop(struct conn_loop *cl, void *arg)
{
    (void)arg;
    conn_loop_drain(cl);
}

START_TEST(test_conn_resp_drain_answers_what_was_taken)
{
    net_init(&net, io_counts[_i]);
    net_start(&net);
    int busy = client_open(net.resp_port), idle = client_open(net.resp_port);
    client_send(busy, "LATER\r\n");
    net_wait(atomic_load(&net.n_later) == 1 && atomic_load(&net.n_opened) == 2);
    net_on_loops(&net, drain_on_loop, NULL);
    client_expect_end(idle);
    client_send(busy, "PING\r\n");
    net_release(&net);
    client_expect(busy, "$5\r\nlater\r\n");
    client_expect_end(busy);
    net_stop(&net);
}
END_TEST

Suite *suite_conn_resp(void)
{
    Suite *suite = suite_create("conn_resp");
    TCase *tc = tcase_create("conn_resp");

    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, test_conn_resp_answers, 0, 3);
    tcase_add_loop_test(tc, test_conn_resp_keeps_order, 0, 3);
    tcase_add_loop_test(tc, test_conn_resp_pipelines_deeply, 0, 3);
    tcase_add_test(tc, test_conn_resp_bounds_unanswered_requests);
    tcase_add_loop_test(tc, test_conn_resp_parks_until_the_gate, 0, 3);
    tcase_add_loop_test(tc, test_conn_resp_failed_gate_turns_parked_replies_into_errors, 0, 3);
    tcase_add_test(tc, test_conn_resp_bad_input_is_answered_then_closed);
    tcase_add_test(tc, test_conn_resp_trust_lifts_the_limits);
    tcase_add_test(tc, test_conn_resp_output_is_limited);
    tcase_add_test(tc, test_conn_resp_soft_limit_stops_reading_then_closes);
    tcase_add_loop_test(tc, test_conn_resp_slow_reader_gets_all, 0, 2);
    tcase_add_loop_test(tc, test_conn_resp_tells_requests_that_the_client_is_gone, 0, 3);
    tcase_add_test(tc, test_conn_resp_half_close_is_answered);
    tcase_add_loop_test(tc, test_conn_resp_pause_holds_the_next_request, 0, 2);
    tcase_add_test(tc, test_conn_resp_idle_and_input_limits);
    tcase_add_loop_test(tc, test_conn_resp_is_listed_and_killed, 0, 3);
    tcase_add_loop_test(tc, test_conn_resp_drain_answers_what_was_taken, 0, 3);
    suite_add_tcase(suite, tc);
    return suite;
}
