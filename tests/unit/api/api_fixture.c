/* See api_fixture.h. */
#include "tests/unit/api/api_fixture.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/acl.h"
#include "api/command_stats.h"
#include "api/handlers.h"
#include "api/keyspace.h"
#include "api/pubsub.h"
#include "api/query_table.h"
#include "api/txn.h"
#include "api/write_space.h"
#include "net/listener.h"

struct app fixture_app;

static const struct app_settings settings = {.resp_lenient_args = true};
static struct account account;
static struct io_threads *io;
static struct listener *listener;
static bool ready;

void fixture_init(void)
{
    memset(&fixture_app, 0, sizeof(fixture_app));
    atomic_store(&fixture_app.settings, &settings);
    fixture_app.clock = clock_system();
    fixture_app.net_account = &account;
    ready = true;
}

static void start(enum conn_proto proto, size_t n_io)
{
    struct conn_hub_opts hub_opts = {.account = &account};
    struct loop_opts loop_opts = {.name = "owner"};
    struct listener_opts opts = {.hosts = "127.0.0.1", .proto = proto};
    struct app *app = &fixture_app;

    account_init(&account, "net", NULL, 0);
    if (!ready) fixture_init();
    ready = false;
    app->acl = acl_new();
    ck_assert_ptr_nonnull(app->acl);
    ck_assert_int_eq(conn_hub_open(&app->hub, &hub_opts, NULL), ST_OK);
    api_set_handlers(app);
    ck_assert_int_eq(loop_open(&app->owner, &loop_opts, NULL), ST_OK);
    ck_assert_int_eq(io_threads_open(&io, app->owner, app->hub, n_io, NULL), ST_OK);
    app->loops = io_threads_all(io);
    app->queries = query_table_new();
    ck_assert_ptr_nonnull(app->queries);
    app->spaces = write_spaces_new(app);
    ck_assert_ptr_nonnull(app->spaces);
    app->keyspace = keyspace_new(app);
    ck_assert_ptr_nonnull(app->keyspace);
    app->command_stats = command_stats_new(app);
    ck_assert_ptr_nonnull(app->command_stats);
    app->pubsub = pubsub_new(app);
    ck_assert_ptr_nonnull(app->pubsub);
    app->txns = txns_new(app);
    ck_assert_ptr_nonnull(app->txns);
    struct conn_loops deal =
        proto == CONN_RESP ? io_threads_for_resp(io) : io_threads_for_http(io);
    opts.hub = app->hub;
    opts.loop = app->owner;
    opts.deal = deal.ptr;
    opts.n_deal = deal.n;
    ck_assert_int_eq(listener_open(&listener, &opts, NULL), ST_OK);
    ck_assert_int_eq(io_threads_start(io, NULL), ST_OK);
    ck_assert_int_eq(loop_start(app->owner, NULL), ST_OK);
}

void fixture_start(size_t n_io)
{
    start(CONN_RESP, n_io);
}

void fixture_start_http(size_t n_io)
{
    start(CONN_HTTP, n_io);
}

void fixture_stop(void)
{
    loop_stop(fixture_app.owner);
    loop_join(fixture_app.owner);
    listener_close(listener);
    io_threads_close(io);
    txns_free(fixture_app.txns);
    pubsub_free(fixture_app.pubsub);
    acl_free(fixture_app.acl);
    command_stats_free(fixture_app.command_stats);
    write_spaces_free(fixture_app.spaces);
    keyspace_free(fixture_app.keyspace);
    query_table_free(fixture_app.queries);
    loop_close(fixture_app.owner);
    conn_hub_close(fixture_app.hub);
    ck_assert_uint_eq(account_used(&account), 0);
}

int fixture_client(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(listener_port(listener))};
    struct timeval deadline = {.tv_sec = 10};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof(deadline)), 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    return fd;
}

void fixture_say(int fd, const char *text)
{
    ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

void fixture_hear(int fd, const char *said, const char *text)
{
    size_t len = strlen(text), have = 0;
    char *got = calloc(1, len + 1);

    while (have < len) {
        ssize_t n = recv(fd, got + have, len - have, 0);
        if (n <= 0) break;
        have += (size_t)n;
    }
    ck_assert_msg(strcmp(got, text) == 0, "%s: '%s', not '%s'", said, got, text);
    free(got);
}

char *fixture_hear_all(int fd)
{
    enum { ROOM = 1 << 20 };
    char *all = calloc(1, ROOM);
    size_t have = 0;
    ssize_t n;

    while ((n = recv(fd, all + have, ROOM - 1 - have, 0)) > 0) have += (size_t)n;
    ck_assert_int_eq(n, 0);
    close(fd);
    return all;
}
