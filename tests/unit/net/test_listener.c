/* Goal: listeners report their port, deal fairly, and refuse politely at each limit.
 * Method: net_fixture.h with small limits; several addresses. */
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/net/net_fixture.h"

static struct net net;

START_TEST(test_listener_limits_connections)
{
    struct conn_limits limits;

    net_init(&net, 1);
    limits = net_limits(&net, CONN_RESP);
    limits.n_conns_max = 2;
    net_set_limits(&net, CONN_RESP, limits);
    limits = net_limits(&net, CONN_HTTP);
    limits.n_source_max = 1;
    net_set_limits(&net, CONN_HTTP, limits);
    net_start(&net);
    int a = client_open(net.resp_port), b = client_open(net.resp_port);
    net_wait(atomic_load(&net.n_opened) == 2);
    int c = client_open(net.resp_port);
    client_expect(c, "-ERR max number of clients reached\r\n");
    client_expect_end(c);
    close(a);
    net_wait(atomic_load(&net.n_closed) == 1);
    a = client_open(net.resp_port);
    client_send(a, "PING\r\n");
    client_expect(a, "+OK\r\n");
    int d = client_open(net.http_port);
    net_wait(atomic_load(&net.n_opened) == 4);
    int e = client_open(net.http_port);
    client_expect(e, "HTTP/1.1 503 Service Unavailable\r\n");
    close(e);
    close(d);
    net_wait(atomic_load(&net.n_closed) == 2);
    d = client_open(net.http_port); /* the source's count went down again */
    net_wait(atomic_load(&net.n_opened) == 5);
    close(a);
    close(b);
    close(d);
    struct conn_stats resp, http;
    conn_hub_stats(net.hub, CONN_RESP, &resp);
    conn_hub_stats(net.hub, CONN_HTTP, &http);
    ck_assert_uint_eq(counter_read(&resp.n_over_max), 1);
    ck_assert_uint_eq(counter_read(&http.n_over_source), 1);
    ck_assert_uint_eq(counter_read(&resp.n_accepted), 3);
    net_stop(&net);
}
END_TEST

START_TEST(test_listener_deals_to_the_least_loaded)
{
    int fds[9];

    net_init(&net, 3);
    net_start(&net);
    for (int i = 0; i < 9; i++) {
        fds[i] = client_open(net.http_port);
        net_wait(atomic_load(&net.n_opened) == i + 1);
    }
    struct conn_loops io = io_threads_for_http(net.io), all = io_threads_all(net.io);
    ck_assert_uint_eq(io.n, 3);
    ck_assert_uint_eq(all.n, 4);
    ck_assert_uint_eq(conn_loop_count(all.ptr[0]), 0);
    for (size_t i = 0; i < io.n; i++) ck_assert_uint_eq(conn_loop_count(io.ptr[i]), 3);
    for (int i = 0; i < 9; i++) close(fds[i]);
    net_stop(&net);
}
END_TEST

START_TEST(test_listener_addresses)
{
    static const struct {
        const char *hosts;
        status st;
        bool loopback;
    } rows[] = {
        {"127.0.0.1", ST_OK, true},
        {"localhost", ST_OK, true},
        {"127.0.0.1 127.0.0.2", ST_OK, true},
        {"127.0.0.1 -192.0.2.1", ST_OK, false},  /* not ours, optional */
        {"127.0.0.1 192.0.2.1", ST_IO, false},
        {"example.org", ST_INVALID, false},
        {"", ST_INVALID, false},
        {"300.1.1.1", ST_INVALID, false},
        {"*", ST_OK, false},
    };

    net_init(&net, 0);
    struct conn_loops deal = io_threads_for_resp(net.io);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct listener_opts opts = {.hub = net.hub, .loop = net.owner, .deal = deal.ptr,
                                     .n_deal = deal.n, .hosts = rows[i].hosts};
        struct listener *listener = NULL;
        struct err err = {0};
        status st = listener_open(&listener, &opts, &err);
        ck_assert_msg(st == rows[i].st, "'%s': %s", rows[i].hosts, err_text(&err, st));
        ck_assert_int_eq(listener_is_loopback(rows[i].hosts), rows[i].loopback);
        if (st == ST_OK) ck_assert_uint_gt(listener_port(listener), 0);
        listener_close(listener);
    }
    ck_assert(listener_is_loopback("::1 127.0.0.1"));
    ck_assert(!listener_is_loopback("::*"));
    net_start(&net);
    net_stop(&net);
}
END_TEST

START_TEST(test_listener_port_in_use_is_an_error)
{
    net_init(&net, 0);
    net_start(&net);
    loop_stop(net.owner);
    loop_join(net.owner);
    struct conn_loops deal = io_threads_for_resp(net.io);
    struct listener_opts opts = {.hub = net.hub, .loop = net.owner, .deal = deal.ptr,
                                 .n_deal = deal.n, .hosts = "127.0.0.1", .port = net.resp_port};
    struct listener *listener = NULL;
    struct err err = {0};
    ck_assert_int_eq(listener_open(&listener, &opts, &err), ST_IO);
    ck_assert_ptr_nonnull(strstr(err.text, "in use"));
    ck_assert_int_eq(loop_start(net.owner, NULL), ST_OK);
    net_stop(&net);
}
END_TEST

Suite *suite_listener(void)
{
    Suite *suite = suite_create("listener");
    TCase *tc = tcase_create("listener");

    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, test_listener_limits_connections);
    tcase_add_test(tc, test_listener_deals_to_the_least_loaded);
    tcase_add_test(tc, test_listener_addresses);
    tcase_add_test(tc, test_listener_port_in_use_is_an_error);
    suite_add_tcase(suite, tc);
    return suite;
}
