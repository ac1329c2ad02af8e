/* Goal: hiredis, the C client that others are built on, works against the whole server:
 * pipelines, nested replies, errors in place, binary arguments, large bulks. Method: a real
 * server on free ports of the loopback with a temporary directory, started once for the
 * suite; each test has a connection of its own. The server must end with 0 on SIGTERM.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/unit.h"

enum { START_SECONDS_MAX = 60, TEST_SECONDS_MAX = 120 };

extern char **environ;

/* Of the suite: set by start_server(), read by the tests, which run in children. */
static pid_t server_pid;
static int server_port;
static char server_dir[] = "/tmp/tsink-hiredis.XXXXXX";

/* --- the server --------------------------------------------------------------------- */

static int free_port(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&addr, len), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
    close(fd);
    return ntohs(addr.sin_port);
}

static redisContext *connect_once(void)
{
    redisContext *c = redisConnectWithTimeout("127.0.0.1", server_port, (struct timeval){5, 0});
    if (c && !c->err) return c;
    if (c) redisFree(c);
    return NULL;
}

static void wait_for_server(void)
{
    time_t end = time(NULL) + START_SECONDS_MAX;
    for (;;) {
        redisContext *c = connect_once();
        redisReply *reply = c ? redisCommand(c, "PING") : NULL;
        bool good = reply && reply->type == REDIS_REPLY_STATUS;
        if (reply) freeReplyObject(reply);
        if (c) redisFree(c);
        if (good) return;
        ck_assert_msg(waitpid(server_pid, NULL, WNOHANG) == 0, "the server ended");
        ck_assert_msg(time(NULL) < end, "the server does not answer");
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
}

static void start_server(void)
{
    char program[4096], port[16], data[64], log[64];
    const char *build = getenv("TSINK_BUILD"), *named = getenv("SERVER");
    if (named) snprintf(program, sizeof(program), "%s", named);
    else snprintf(program, sizeof(program), "%s/src/tsink-server", build ? build : ".");
    ck_assert_msg(access(program, X_OK) == 0, "%s: %s", program, strerror(errno));
    ck_assert_ptr_nonnull(mkdtemp(server_dir));
    server_port = free_port();
    snprintf(port, sizeof(port), "%d", server_port);
    snprintf(data, sizeof(data), "%s/data", server_dir);
    snprintf(log, sizeof(log), "%s/log", server_dir);

    const char *argv[] = {program, "--data-path", data, "--port", port, "--http-port", "0", NULL};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&actions, 1, 2);
    ck_assert_int_eq(posix_spawn(&server_pid, program, &actions, NULL, (char **)argv,
                                 environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    wait_for_server();
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st, (void)kind, (void)ftw;
    return remove(path);
}

static void stop_server(void)
{
    int how = -1;
    ck_assert_int_eq(kill(server_pid, SIGTERM), 0);
    ck_assert_int_eq(waitpid(server_pid, &how, 0), server_pid);
    ck_assert_msg(WIFEXITED(how) && WEXITSTATUS(how) == 0, "the server ended with %d", how);
    nftw(server_dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* --- tests ---------------------------------------------------------------------------- */

static redisContext *client;

static void connect_client(void)
{
    client = connect_once();
    ck_assert_ptr_nonnull(client);
}

static void free_client(void)
{
    redisFree(client);
}

static redisReply *ask(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    redisReply *reply = redisvCommand(client, fmt, ap);
    va_end(ap);
    ck_assert_msg(reply != NULL, "%s: %s", fmt, client->errstr);
    return reply;
}

static void expect_text(redisReply *reply, int type, const char *text)
{
    ck_assert_int_eq(reply->type, type);
    ck_assert_str_eq(reply->str, text);
    freeReplyObject(reply);
}

static void expect_int(redisReply *reply, long long n)
{
    ck_assert_int_eq(reply->type, REDIS_REPLY_INTEGER);
    ck_assert_int_eq(reply->integer, n);
    freeReplyObject(reply);
}

START_TEST(test_pipeline_of_ten_thousand_comes_back_in_order)
{
    enum { N = 10000 };
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(redisAppendCommand(client, i % 3 ? "ECHO %d" : "NOSUCH%d", i), REDIS_OK);
    for (int i = 0; i < N; i++) {
        void *got;
        char want[16];
        ck_assert_int_eq(redisGetReply(client, &got), REDIS_OK);
        redisReply *reply = got;
        snprintf(want, sizeof(want), "%d", i);
        if (i % 3 == 0) ck_assert_int_eq(reply->type, REDIS_REPLY_ERROR);
        else ck_assert_str_eq(reply->str, want);
        freeReplyObject(reply);
    }
}
END_TEST

START_TEST(test_series_are_made_written_and_read)
{
    expect_text(ask("TS.CREATE h:1 LABELS room %s", "two words\r\n"), REDIS_REPLY_STATUS, "OK");
    expect_int(ask("TS.ADD h:1 1000 1.5"), 1000);
    expect_text(ask("TS.ADD h:1 1000 2"), REDIS_REPLY_ERROR,
                "ERR TSDB: Error at upsert, update is not supported when DUPLICATE_POLICY is set "
                "to BLOCK mode, or either current or new value is NaN and DUPLICATE_POLICY is "
                "MAX/MIN/SUM");

    redisReply *reply = ask("TS.MADD h:1 2000 2 nosuch 1 1 h:1 3000 0.5");
    ck_assert_int_eq(reply->type, REDIS_REPLY_ARRAY);
    ck_assert_uint_eq(reply->elements, 3);
    ck_assert_int_eq(reply->element[0]->integer, 2000);
    ck_assert_int_eq(reply->element[1]->type, REDIS_REPLY_ERROR);
    ck_assert_int_eq(reply->element[2]->integer, 3000);
    freeReplyObject(reply);

    reply = ask("TS.RANGE h:1 - +");
    ck_assert_uint_eq(reply->elements, 3);
    redisReply *last = reply->element[2];
    ck_assert_int_eq(last->element[0]->type, REDIS_REPLY_INTEGER);
    ck_assert_int_eq(last->element[0]->integer, 3000);
    ck_assert_int_eq(last->element[1]->type, REDIS_REPLY_STATUS);
    ck_assert_str_eq(last->element[1]->str, "5E-1");
    freeReplyObject(reply);

    reply = ask("TS.MGET WITHLABELS FILTER room=%s", "two words\r\n");
    ck_assert_uint_eq(reply->elements, 1);
    ck_assert_str_eq(reply->element[0]->element[0]->str, "h:1");
    ck_assert_str_eq(reply->element[0]->element[1]->element[0]->element[1]->str, "two words\r\n");
    freeReplyObject(reply);
}
END_TEST

START_TEST(test_arguments_and_bulks_are_bytes)
{
    enum { LEN = 8 << 20 };
    char *bytes = malloc(LEN);
    for (size_t i = 0; i < LEN; i++) bytes[i] = (char)(i * 31 + (i >> 8));
    redisReply *reply = ask("ECHO %b", bytes, (size_t)LEN);
    ck_assert_int_eq(reply->type, REDIS_REPLY_STRING);
    ck_assert_uint_eq(reply->len, LEN);
    ck_assert_mem_eq(reply->str, bytes, LEN);
    freeReplyObject(reply);
    free(bytes);
}
END_TEST

START_TEST(test_promql_answers_over_resp)
{
    expect_int(ask("TS.ADD q:1 60000 3 LABELS metric q_load"), 60000);
    redisReply *reply = ask("TS.QUERY %s TIME 61000", "sum(q_load) * 2");
    ck_assert_int_eq(reply->type, REDIS_REPLY_ARRAY);
    ck_assert_uint_eq(reply->elements, 4);
    ck_assert_str_eq(reply->element[1]->str, "vector");
    redisReply *sample = reply->element[3]->element[0]->element[1];
    ck_assert_int_eq(sample->element[0]->integer, 61000);
    ck_assert_str_eq(sample->element[1]->str, "6");
    freeReplyObject(reply);
    expect_text(ask("TS.QUERY %s", "sum("), REDIS_REPLY_ERROR,
                "ERR PROMQL 1:5: parse error: unclosed left parenthesis");
}
END_TEST

START_TEST(test_no_reply_is_sent_when_none_is_wanted)
{
    ck_assert_int_eq(redisAppendCommand(client, "CLIENT REPLY OFF"), REDIS_OK);
    ck_assert_int_eq(redisAppendCommand(client, "TS.ADD silent 1 1"), REDIS_OK);
    ck_assert_int_eq(redisAppendCommand(client, "CLIENT REPLY ON"), REDIS_OK);
    void *got;
    ck_assert_int_eq(redisGetReply(client, &got), REDIS_OK);
    expect_text(got, REDIS_REPLY_STATUS, "OK");
    redisReply *reply = ask("TS.GET silent");
    ck_assert_int_eq(reply->element[0]->integer, 1);
    freeReplyObject(reply);
}
END_TEST

static Suite *suite_hiredis(void)
{
    Suite *suite = suite_create("hiredis");
    TCase *tests = tcase_create("hiredis");
    tcase_set_timeout(tests, TEST_SECONDS_MAX);
    tcase_add_unchecked_fixture(tests, start_server, stop_server);
    tcase_add_checked_fixture(tests, connect_client, free_client);
    tcase_add_test(tests, test_pipeline_of_ten_thousand_comes_back_in_order);
    tcase_add_test(tests, test_series_are_made_written_and_read);
    tcase_add_test(tests, test_arguments_and_bulks_are_bytes);
    tcase_add_test(tests, test_promql_answers_over_resp);
    tcase_add_test(tests, test_no_reply_is_sent_when_none_is_wanted);
    suite_add_tcase(suite, tests);
    return suite;
}

UNIT_MAIN(suite_hiredis)
