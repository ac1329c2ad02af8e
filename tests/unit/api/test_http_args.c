/* Goal: parameters of HTTP requests mean what Prometheus means by them. Method: tables of
 * query strings, read by a call that has nothing but parameters. What is refused ends
 * the call, so refusals are in test_route.c, over a socket. */
#include "api/route.h"
#include "tests/unit/api/api_suites.h"

static struct http_call call;

static void begin(const char *query)
{
    struct err err = {.st = ST_OK};

    memset(&call, 0, sizeof(call));
    arena_init(&call.arena, NULL, 512);
    uri_params_init(&call.params, &call.arena);
    ck_assert_int_eq(uri_params_add(&call.params, slice_str(query), &err), ST_OK);
}

static void end(void)
{
    uri_params_release(&call.params);
    arena_release(&call.arena);
}

static const struct arg_case {
    const char *query;
    int64_t want; /* ms */
} times[] = {
    {"", -77}, /* the preset */
    {"t=", -77},
    {"t=0", 0},
    {"t=1435781451.781", 1435781451781},
    {"t=1435781451.7815", 1435781451782}, /* rounded */
    {"t=-1.5", -1500},
    {"t=1e3", 1000000},
    {"t=1&t=2", 1000}, /* the first */
    {"t=9000000000000", 9000000000000000},
    {"t=1970-01-01T00:00:00Z", 0},
    {"t=2015-07-01T20:10:51.781Z", 1435781451781},
    {"t=2015-07-01T22:10:51.781%2B02:00", 1435781451781},
    {"t=2015-07-01T15:40:51-04:30", 1435781451000},
    {"t=2015-07-01T20:10:51.7Z", 1435781451700},
    {"t=2015-07-01T20:10:51.7819999Z", 1435781451781},
    {"t=1969-12-31T23:59:59.999Z", -1},
    {"t=2000-02-29T00:00:00Z", 951782400000},
    {"t=2024-12-31T23:59:59Z", 1735689599000},
    {"t=0000-03-01T00:00:00Z", -62162035200000},
    {"t=9999-12-31T23:59:59Z", 253402300799000},
    {"t=-292273086-05-16T16:47:06Z", -9223309901257974000}, /* Go's clients' ends of time */
    {"t=292277025-08-18T07:12:54.999999999Z", 9223309901257974999},
};

START_TEST(test_http_args_times)
{
    const struct arg_case *c = &times[_i];
    int64_t ms = 1;

    begin(c->query);
    ck_assert_msg(http_arg_time(&call, "t", -77, false, &ms), "%s", c->query);
    ck_assert_msg(ms == c->want, "%s: %lld, not %lld", c->query, (long long)ms,
                  (long long)c->want);
    end();
}
END_TEST

static const struct arg_case durations[] = {
    {"", 0},          {"t=15", 15000},    {"t=0.5", 500},         {"t=1e-3", 1},
    {"t=250ms", 250}, {"t=1h30m", 5400000}, {"t=1d", 86400000},   {"t=1w", 604800000},
    {"t=1y", 31536000000}, {"t=0", 0},    {"t=0s", 0},            {"t=-5", -5000},
};

START_TEST(test_http_args_durations)
{
    const struct arg_case *c = &durations[_i];
    int64_t ms = 1;

    begin(c->query);
    ck_assert_msg(http_arg_duration(&call, "t", &ms), "%s", c->query);
    ck_assert_msg(ms == c->want, "%s: %lld, not %lld", c->query, (long long)ms,
                  (long long)c->want);
    end();
}
END_TEST

START_TEST(test_http_args_limits_and_texts)
{
    size_t n = 5;

    begin("limit=12&text=a%20b+c&empty=");
    ck_assert(http_arg_limit(&call, "limit", &n));
    ck_assert_uint_eq(n, 12);
    ck_assert(http_arg_limit(&call, "other", &n));
    ck_assert_uint_eq(n, 0);
    ck_assert(http_arg_limit(&call, "empty", &n));
    ck_assert_uint_eq(n, 0);
    ck_assert(slice_is(http_arg(&call, "text"), "a b c"));
    ck_assert_uint_eq(http_arg(&call, "none").len, 0);
    end();
}
END_TEST

#define N(table) (int)(sizeof(table) / sizeof((table)[0]))

Suite *suite_http_args(void)
{
    Suite *suite = suite_create("http_args");
    TCase *tcase = tcase_create("tables");

    tcase_add_loop_test(tcase, test_http_args_times, 0, N(times));
    tcase_add_loop_test(tcase, test_http_args_durations, 0, N(durations));
    tcase_add_test(tcase, test_http_args_limits_and_texts);
    suite_add_tcase(suite, tcase);
    return suite;
}
