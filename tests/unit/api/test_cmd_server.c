/* Goal: INFO, CONFIG, TIME, SHUTDOWN and DEBUG reach their ports on the owner and answer
 * as Redis does. Method: transcripts over ports that write down what they were asked. */
#include <unistd.h>

#include "api/args.h"
#include "tests/unit/api/api_fixture.h"

static struct {
    char value[64];
    int n_resets;
    _Atomic int n_shutdowns;
    bool save, wrong_thread;
} seen;

static void note_thread(void)
{
    if (!app_is_owner(&fixture_app)) seen.wrong_thread = true;
}

static void get(void *ctx, struct slice glob,
                void (*each)(void *arg, const char *name, struct slice value), void *arg)
{
    static const char *const names[] = {"maxmemory", "port", "save"};

    (void)ctx;
    note_thread();
    for (size_t i = 0; i < 3; i++) {
        if (arg_glob(glob, slice_str(names[i]))) each(arg, names[i], slice_str("0"));
    }
}

static status set(void *ctx, const struct slice *names, const struct slice *values, size_t n,
                  struct err *err)
{
    (void)ctx;
    note_thread();
    for (size_t i = 0; i < n; i++) {
        if (slice_is(names[i], "nope")) return err_set(err, ST_NOT_FOUND, "Unknown option");
        if (slice_is(names[i], "fixed")) return err_set(err, ST_DENIED, "immutable");
    }
    snprintf(seen.value, sizeof(seen.value), SLICE_FMT "=" SLICE_FMT,
             SLICE_ARG(names[n - 1]), SLICE_ARG(values[n - 1]));
    return ST_OK;
}

static status rewrite(void *ctx, struct err *err)
{
    (void)ctx;
    note_thread();
    return err_set(err, ST_INVALID, "The server is running without a config file");
}

static void reset(void *ctx)
{
    (void)ctx;
    note_thread();
    seen.n_resets++;
}

static void info(void *ctx, struct strbuf *out, const struct slice *sections, size_t n)
{
    (void)ctx;
    note_thread();
    strbuf_printf(out, "n:%zu", n);
    for (size_t i = 0; i < n; i++) strbuf_printf(out, " " SLICE_FMT, SLICE_ARG(sections[i]));
}

static void shut(void *ctx, bool save)
{
    (void)ctx;
    note_thread();
    seen.save = save;
    atomic_fetch_add(&seen.n_shutdowns, 1);
}

static const struct {
    const char *say, *hear;
} talks[] = {
    {"INFO", "$3\r\nn:0\r\n"},
    {"info server memory", "$17\r\nn:2 server memory\r\n"},
    {"CONFIG", "-ERR wrong number of arguments for 'config' command\r\n"},
    {"CONFIG BOGUS", "-ERR unknown subcommand 'BOGUS'. Try CONFIG HELP.\r\n"},
    {"CONFIG GET", "-ERR wrong number of arguments for 'config|get' command\r\n"},
    {"CONFIG GET port", "*2\r\n$4\r\nport\r\n$1\r\n0\r\n"},
    {"CONFIG GET nope", "*0\r\n"},
    {"CONFIG GET p* sav? port *o*",
     "*6\r\n$4\r\nport\r\n$1\r\n0\r\n$4\r\nsave\r\n$1\r\n0\r\n$9\r\nmaxmemory\r\n$1\r\n0\r\n"},
    {"CONFIG SET port 5", "+OK\r\n"},
    {"CONFIG SET a 1 b", "-ERR wrong number of arguments for 'config|set' command\r\n"},
    {"CONFIG SET a 1 A 2", "-ERR CONFIG SET failed (possibly related to argument 'A') - "
                           "duplicate parameter\r\n"},
    {"CONFIG SET nope 1", "-ERR Unknown option\r\n"},
    {"CONFIG SET fixed 1", "-ERR immutable\r\n"},
    {"CONFIG RESETSTAT", "+OK\r\n"},
    {"CONFIG REWRITE", "-ERR The server is running without a config file\r\n"},
    {"DBSIZE", "-LOADING Redis is loading the dataset in memory\r\n"},
    {"DEBUG SLEEP 0", "-ERR DEBUG command not allowed. Set enable-debug-command to yes in the "
                      "configuration file, then restart the server.\r\n"},
    {"DEBUG CHECK", "-LOADING Redis is loading the dataset in memory\r\n"},
    {"DEBUG BOGUS", "-ERR unknown subcommand 'BOGUS'. Try DEBUG HELP.\r\n"},
    {"SHUTDOWN MAYBE", "-ERR syntax error\r\n"},
    {"PING", "+PONG\r\n"},
};

static void start(size_t n_io)
{
    memset(&seen, 0, sizeof(seen));
    fixture_init();
    fixture_app.ports = (struct app_ports){
        .config_get = get, .config_set = set, .config_rewrite = rewrite, .stats_reset = reset,
        .info = info, .shutdown = shut};
    fixture_start(n_io);
}

START_TEST(test_cmd_server_transcript)
{
    static const size_t n_io[] = {0, 3};

    start(n_io[_i]);
    int fd = fixture_client(), all = fixture_client();
    for (size_t i = 0; i < sizeof(talks) / sizeof(talks[0]); i++) {
        char line[200];
        snprintf(line, sizeof(line), "%s\r\n", talks[i].say);
        fixture_say(fd, line);
        fixture_hear(fd, talks[i].say, talks[i].hear);
        fixture_say(all, line);
    }
    for (size_t i = 0; i < sizeof(talks) / sizeof(talks[0]); i++) {
        fixture_hear(all, talks[i].say, talks[i].hear);
    }
    close(fd);
    close(all);
    fixture_stop();
    ck_assert_str_eq(seen.value, "port=5");
    ck_assert_int_eq(seen.n_resets, 2);
    ck_assert(!seen.wrong_thread);
}
END_TEST

START_TEST(test_cmd_server_shutdown_says_nothing_and_closes)
{
    start(2);
    int fd = fixture_client();
    fixture_say(fd, "PING\r\nSHUTDOWN NOSAVE\r\nPING\r\n");
    char *all = fixture_hear_all(fd);
    ck_assert_str_eq(all, "+PONG\r\n");
    free(all);
    fixture_stop();
    ck_assert_int_eq(atomic_load(&seen.n_shutdowns), 1);
    ck_assert(!seen.save && !seen.wrong_thread);
}
END_TEST

START_TEST(test_cmd_server_time_and_debug)
{
    static const struct app_settings debugging = {.debug_command = true};

    memset(&seen, 0, sizeof(seen));
    fixture_init();
    atomic_store(&fixture_app.settings, &debugging);
    fixture_start(0);
    int fd = fixture_client();
    int64_t before = clock_wall(clock_system()) / 1000;
    fixture_say(fd, "TIME\r\nQUIT\r\n");
    char *all = fixture_hear_all(fd);
    long long second = 0;
    ck_assert_int_eq(sscanf(all, "*2\r\n$10\r\n%lld\r\n$", &second), 1);
    ck_assert_int_ge(second, before);
    ck_assert_int_le(second, before + 10);
    free(all);
    fd = fixture_client();
    mono_ns began = clock_mono(clock_system());
    fixture_say(fd, "DEBUG SLEEP 0.05\r\nDEBUG SLEEP x\r\nDEBUG SLEEP -1\r\n"
                    "DEBUG SET-ACTIVE-EXPIRE 0\r\n");
    fixture_hear(fd, "DEBUG SLEEP", "+OK\r\n");
    ck_assert_int_ge(clock_mono(clock_system()) - began, 50000000);
    fixture_hear(fd, "DEBUG", "-ERR value is not a valid float\r\n"
        "-ERR value is not a valid float\r\n"
                              "+OK\r\n");
    close(fd);
    fixture_stop();
}
END_TEST

Suite *suite_cmd_server(void)
{
    Suite *suite = suite_create("cmd_server");
    TCase *tc = tcase_create("cmd_server");

    tcase_add_loop_test(tc, test_cmd_server_transcript, 0, 2);
    tcase_add_test(tc, test_cmd_server_shutdown_says_nothing_and_closes);
    tcase_add_test(tc, test_cmd_server_time_and_debug);
    suite_add_tcase(suite, tc);
    return suite;
}
