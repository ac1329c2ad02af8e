/* Goal: a path leads to its route and to no other, and what never reaches a handler's work
 * is answered with the right code and words. Method: a table of paths; requests over a
 * socket to an app without a database. */
#include "api/http_handlers.h"
#include "tests/unit/api/api_fixture.h"

/* --- finding ---------------------------------------------------------------------- */

static const struct path_case {
    const char *path;
    void (*handle)(struct http_call *call); /* NULL: no route */
    const char *arg;
} paths[] = {
    {"/api/v1/query", http_query, ""},
    {"/api/v1/query_range", http_query_range, ""},
    {"/api/v1/labels", http_labels, ""},
    {"/api/v1/label/job/values", http_label_values, "job"},
    {"/api/v1/label/a%2Fb/values", http_label_values, "a%2Fb"},
    {"/api/v1/label/values/values", http_label_values, "values"},
    {"/api/v1/write", http_remote_write, ""},
    {"/api/v1/push", http_remote_write, ""},
    {"/api/v1/import/prometheus", http_import_text, ""},
    {"/-/healthy", http_healthy, ""},
    {"/healthz", http_healthy, ""},
    {"/ready", http_ready, ""},
    {"/metrics", http_metrics, ""},
    {"", NULL, ""},
    {"/", NULL, ""},
    {"/api/v1/quer", NULL, ""},
    {"/api/v1/query/", NULL, ""},
    {"/api/v1/queryx", NULL, ""},
    {"/API/v1/query", NULL, ""},
    {"/api/v1/label//values", NULL, ""},
    {"/api/v1/label/values", NULL, ""},
    {"/api/v1/label/a/b/values", NULL, ""},
    {"/api/v1/label/a/value", NULL, ""},
    {"/api/v1/label/a", NULL, ""},
};

START_TEST(test_route_find)
{
    const struct path_case *c = &paths[_i];
    struct slice arg = {"", 0};

    const struct route *route = route_find(slice_str(c->path), &arg);
    ck_assert_msg((route != NULL) == (c->handle != NULL), "%s", c->path);
    if (!route) return;
    ck_assert_msg(route->handle == c->handle, "%s", c->path);
    ck_assert_msg(slice_is(arg, c->arg), "%s: '%.*s'", c->path, (int)arg.len, arg.ptr);
}
END_TEST

START_TEST(test_route_rows_are_sound)
{
    const struct route *r = &routes[_i];

    ck_assert(r->methods != 0 && r->handle != NULL && r->path[0] == '/');
    ck_assert_msg(r->text[strlen(r->text) - 1] == '.', "%s: '%s'", r->path, r->text);
    ck_assert_msg(!(r->flags & ROUTE_FORM) || (r->methods & ROUTE_POST), "%s", r->path);
    ck_assert_msg(!(r->flags & ROUTE_FORM) || !(r->flags & ROUTE_BODY), "%s", r->path);
    for (int i = 0; i < _i; i++) ck_assert_str_ne(routes[i].path, r->path);
}
END_TEST

/* --- answers ---------------------------------------------------------------------- */

#define CLOSE "Host: x\r\nConnection: close\r\n"
#define BAD(param)                                                                             \
    "{\"status\":\"error\",\"errorType\":\"bad_data\","                                          \
    "\"error\":\"invalid parameter \\\"" param "\\\": "
#define RANGE "/api/v1/query_range?query=1&"
#define FORM "Content-Type: application/x-www-form-urlencoded\r\n"

static const struct answer_case {
    const char *line, *fields, *body;
    int code;
    const char *has; /* in head or body */
} answers[] = {
    {"GET /-/healthy", "", "", 200, "tsink is Healthy.\n"},
    {"HEAD /-/healthy", "", "", 200, "Content-Length: 18\r\n"},
    {"POST /-/healthy", "", "", 405, "Allow: OPTIONS, GET, HEAD\r\n"},
    {"DELETE /api/v1/query", "", "", 405, "Allow: OPTIONS, GET, HEAD, POST\r\n"},
    {"GET /api/v1/write", "", "", 405, "Allow: OPTIONS, POST\r\n"},
    {"OPTIONS /nowhere", "", "", 204, ""},
    {"GET /nowhere", "", "", 404, "404 page not found\n"},
    {"POST /nowhere", "Content-Length: 5\r\n", "hello", 404, "404 page not found\n"},
    {"GET /api/v1/status/buildinfo", "", "", 200,
     "{\"status\":\"success\",\"data\":{\"version\":\""},
    {"GET /api/v1/query", "", "", 400, BAD("query")},
    {"GET /api/v1/query?query=", "", "", 400, BAD("query")},
    {"GET /api/v1/query?query=1&time=x", "", "", 400,
     BAD("time") "invalid time value for 'time': cannot parse \\\"x\\\" to a valid timestamp\"}"},
    {"GET /api/v1/query?query=1&time=2015-02-28t00:00:00z", "", "", 400, BAD("time")},
    {"GET " RANGE "start=x&end=1&step=1", "", "", 400,
     BAD("start") "cannot parse \\\"x\\\" to a valid timestamp\"}"},
    {"GET /api/v1/query?query=1&time=nan", "", "", 400, BAD("time")},
    {"GET /api/v1/query?query=1&time=1e30", "", "", 400, BAD("time")},
    {"GET /api/v1/query?query=1&time=2015-02-29T00:00:00Z", "", "", 400, BAD("time")},
    {"GET /api/v1/query?query=1&time=2015-02-28T24:00:00Z", "", "", 400, BAD("time")},
    {"GET /api/v1/query?query=1&time=2015-02-28T00:00:00", "", "", 400, BAD("time")},
    {"GET /api/v1/query?query=1&time=2015-02-28T00:00:00.Z", "", "", 400, BAD("time")},
    {"GET /api/v1/query?query=1&time=2015-02-28T00:00:00Zx", "", "", 400, BAD("time")},
    {"GET /api/v1/query?query=1&time=2015-02-28T00:00:00%2B24:00", "", "", 400, BAD("time")},
    {"GET /api/v1/query?query=1&timeout=soon", "", "", 400,
     BAD("timeout") "cannot parse \\\"soon\\\" to a valid duration\"}"},
    {"GET /api/v1/query?query=1&timeout=inf", "", "", 400,
     BAD("timeout") "cannot parse \\\"inf\\\" to a valid duration. It overflows int64\"}"},
    {"GET /api/v1/query?query=1&timeout=9223372037", "", "", 400, "It overflows int64"},
    {"GET /api/v1/query?query=1&timeout=nan", "", "", 400, "to a valid duration\"}"},
    {"GET /api/v1/query?query=1&lookback_delta=5q", "", "", 400, BAD("lookback_delta")},
    {"GET /api/v1/query?query=1&limit=-1", "", "", 400, BAD("limit") "limit must be non-negative"},
    {"GET /api/v1/query?query=1&limit=all", "", "", 400,
     BAD("limit") "strconv.Atoi: parsing \\\"all\\\": invalid syntax\"}"},
    {"GET /api/v1/query?query=1&limit=99999999999999999999", "", "", 400, "value out of range\"}"},
    {"GET /api/v1/metadata?limit=all", "", "", 400, "\"error\":\"limit must be a number\"}"},
    {"GET /api/v1/metadata?limit_per_metric=1.5", "", "", 400,
     "\"error\":\"limit_per_metric must be a number\"}"},
    {"GET /api/v1/query?query=%zz", "", "", 400, "\"errorType\":\"bad_data\""},
    {"GET " RANGE "end=1&step=1", "", "", 400, BAD("start")},
    {"GET " RANGE "start=1&step=1", "", "", 400, BAD("end")},
    {"GET " RANGE "start=2&end=1&step=1", "", "", 400,
     BAD("end") "end timestamp must not be before start time\"}"},
    {"GET " RANGE "start=1&end=2", "", "", 400, BAD("step")},
    {"GET " RANGE "start=1&end=2&step=0", "", "", 400, BAD("step") "zero or negative"},
    {"GET " RANGE "start=1&end=2&step=-1", "", "", 400, BAD("step") "zero or negative"},
    {"GET " RANGE "start=0&end=11001&step=1", "", "", 400,
     "exceeded maximum resolution of 11,000 points per timeseries"},
    {"GET " RANGE "start=-9e15&end=9e15&step=1", "", "", 400, "exceeded maximum resolution"},
    {"POST /api/v1/query", FORM "Content-Length: 6\r\n", "time=x", 400, BAD("time")},
    {"POST /api/v1/query?time=y", FORM "Content-Length: 6\r\n", "time=x", 400,
     BAD("time") "invalid time value for 'time': cannot parse \\\"x\\\""}, /* the form's first */
    {"POST /api/v1/query", "Content-Type: text/plain\r\nContent-Length: 6\r\n", "time=x", 400,
     BAD("query")}, /* no form */
    {"POST /api/v1/query", FORM "Content-Length: 3\r\n", "%zz", 400, "\"bad_data\""},
    {"POST /api/v1/query", FORM "Content-Encoding: br\r\nContent-Length: 3\r\n", "abc", 415,
     "unsupported content encoding"},
    {"POST /api/v1/query", FORM "Content-Encoding: gzip\r\nContent-Length: 3\r\n", "abc", 400,
     "\"bad_data\""},
    {"GET /api/v1/label/%zz/values", "", "", 400, "invalid escape in the path"},
    {"GET /api/v1/label/U__%5f/values", "", "", 400, "invalid label name"},
    {"GET /api/v1/label/%ff/values", "", "", 400, "invalid label name"},
    {"POST /api/v1/write", "Content-Type: text/plain\r\nContent-Length: 1\r\n", "x", 415,
     "unsupported content type"},
    {"POST /api/v1/write",
     "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\nContent-Length: 1\r\n",
     "x", 400, "\"errorType\":\"bad_data\""},
};

/* What needs no data and no owner. */
static const struct answer_case constants[] = {
    {"GET /api/v1/rules?type=Alert&group_limit=3&exclude_alerts=t&match[]=a", "", "", 200,
     "{\"status\":\"success\",\"data\":{\"groups\":[]}}"},
    {"GET /api/v1/rules?type=x", "", "", 400, BAD("type") "not supported value \\\"x\\\"\"}"},
    {"GET /api/v1/rules?match[]=%7b", "", "", 400, BAD("match[]")},
    {"GET /api/v1/rules?group_limit=0", "", "", 400, BAD("group_limit")},
    {"GET /api/v1/rules?group_limit=9999999999999999999", "", "", 400, BAD("group_limit")},
    {"GET /api/v1/rules?group_next_token=x", "", "", 400, BAD("group_next_token")},
    {"GET /api/v1/alerts", "", "", 200, "{\"alerts\":[]}"},
    {"POST /api/v1/alerts", "", "", 405, "Allow: OPTIONS, GET, HEAD\r\n"},
    {"GET /api/v1/alertmanagers", "", "", 200, "\"droppedAlertmanagers\":[]"},
    {"GET /api/v1/targets", "", "", 200, "\"activeTargets\":[]"},
    {"GET /api/v1/targets/metadata", "", "", 200, "\"data\":[]}"},
    {"GET /api/v1/targets/metadata?limit=x", "", "", 400, "limit must be a number"},
    {"GET /api/v1/targets/relabel_steps", "", "", 400, "no scrapePool"},
    {"GET /api/v1/scrape_pools/config?scrapePool=p", "", "", 404, "\"not_found\""},
    {"GET /api/v1/scrape_pools", "", "", 200, "{\"scrapePools\":[]}"},
    {"GET /api/v1/notifications", "", "", 200, "\"data\":[]}"},
    {"GET /api/v1/notifications/live", "", "", 204, ""},
    {"GET /api/v1/status/config", "", "", 200,
     "{\"yaml\":\"global:\\n  external_labels:\\n    \\\"a\\\": \\\"x\\\"\\n\"}"},
    {"GET /api/v1/status/walreplay", "", "", 200, "{\"min\":0,\"max\":9,\"current\":9}"},
    {"GET /api/v1/features", "", "", 200, "\"promql_functions\":{\"rate\":true,"},
    {"GET /api/v1/cardinality/label_values", "", "", 400, BAD("label_names[]")},
    {"GET /api/v1/cardinality/label_values?label_names[]=a&selector=%7b", "", "", 400,
     BAD("selector")},
    {"GET /api/v1/cardinality/label_names?limit=501", "", "", 400, BAD("limit")},
    {"GET /api/v1/cardinality/active_series", "", "", 400, BAD("selector")},
    {"GET /api/v1/status/active_queries", "", "", 200, "{\"status\":\"success\",\"data\":[]}"},
    {"GET /api/v1/status/top_queries?limit=3", "", "", 200,
     "{\"status\":\"success\",\"data\":[]}"},
    {"GET /api/v1/status/top_queries?limit=-3", "", "", 400, BAD("limit")},
    {"DELETE /api/v1/status/active_queries/7", "", "", 404, "no query with id 7"},
    {"DELETE /api/v1/status/active_queries/x", "", "", 400, "\"bad_data\""},
    {"DELETE /api/v1/status/active_queries/-1", "", "", 400, "\"bad_data\""},
    {"DELETE /api/v1/status/active_queries/18446744073709551616", "", "", 400, "\"bad_data\""},
    {"DELETE /api/v1/status/active_queries", "", "", 405, "Allow: OPTIONS, GET, HEAD\r\n"},
    {"GET /api/v1/status/active_queries/7", "", "", 405, "Allow: OPTIONS, DELETE\r\n"},
    {"GET /version", "", "", 200, "{\"version\":\""},
    {"GET /api/v1/openapi.yaml", "", "", 200, "openapi: 3.1.0\n"},
    {"POST /-/reload", "", "", 403, "Lifecycle API is not enabled.\n"},
    {"PUT /-/quit", "", "", 403, "Lifecycle API is not enabled.\n"},
    {"GET /-/quit", "", "", 405, "Allow: OPTIONS, POST, PUT\r\n"},
};

static void ask(const struct answer_case *c, const char *code_is)
{
    char said[2048];
    int fd = fixture_client();

    snprintf(said, sizeof(said), "%s HTTP/1.1\r\n" CLOSE "%s\r\n%s", c->line, c->fields, c->body);
    fixture_say(fd, said);
    char *all = fixture_hear_all(fd);
    ck_assert_msg(strncmp(all, code_is, strlen(code_is)) == 0, "%s: %s", c->line, all);
    ck_assert_msg(strstr(all, c->has) != NULL, "%s: no '%s' in\n%s", c->line, c->has, all);
    free(all);
}

static void set_limits(void)
{
    static const struct app_settings settings = {.query_points_max = 11000,
                                                 .body_decoded_max = 1 << 20};

    fixture_init();
    atomic_store(&fixture_app.settings, &settings);
}

static void check_answers(size_t n_io)
{
    char code_is[32];

    set_limits();
    atomic_store(&fixture_app.ready, true);
    fixture_start_http(n_io);
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        snprintf(code_is, sizeof(code_is), "HTTP/1.1 %d ", answers[i].code);
        ask(&answers[i], code_is);
    }
    fixture_stop();
}

START_TEST(test_route_answers_on_the_owner)
{
    check_answers(0);
}
END_TEST

START_TEST(test_route_answers_on_an_io_thread)
{
    check_answers(1);
}
END_TEST

/* With a prefix every path is there twice, and nothing else is. */
START_TEST(test_route_constants)
{
    static const struct app_settings settings = {.external_labels = "a=\"x\""};
    char code_is[32];

    fixture_init();
    atomic_store(&fixture_app.settings, &settings);
    atomic_store(&fixture_app.ready, true);
    atomic_store(&fixture_app.replay_total, 9);
    fixture_start_http(1);
    for (size_t i = 0; i < sizeof(constants) / sizeof(constants[0]); i++) {
        snprintf(code_is, sizeof(code_is), "HTTP/1.1 %d ", constants[i].code);
        ask(&constants[i], code_is);
    }
    fixture_stop();
}
END_TEST

START_TEST(test_route_prefix)
{
    static const struct app_settings settings = {.query_points_max = 11000,
                                                 .http_prefix = "/a/b"};
    static const struct answer_case cases[] = {
        {"GET /a/b/-/healthy", "", "", 200, "Healthy"},
        {"GET /-/healthy", "", "", 200, "Healthy"},
        {"GET /a/b/api/v1/query?query=1&time=x", "", "", 400, BAD("time")},
        {"POST /a/b/-/healthy", "", "", 405, "Allow: OPTIONS, GET, HEAD\r\n"},
        {"OPTIONS /a/b/-/healthy", "", "", 204, ""},
        {"GET /a/b/nowhere", "", "", 404, "404 page not found\n"},
        {"GET /a/b", "", "", 404, "404 page not found\n"},
        {"GET /a/-/healthy", "", "", 404, "404 page not found\n"},
        {"GET /a/bc/-/healthy", "", "", 404, "404 page not found\n"},
        {"GET /a/b/a/b/-/healthy", "", "", 404, "404 page not found\n"},
        {"GET /a/b-/healthy", "", "", 404, "404 page not found\n"},
    };
    char code_is[32];

    fixture_init();
    atomic_store(&fixture_app.settings, &settings);
    atomic_store(&fixture_app.ready, true);
    fixture_start_http(0);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(code_is, sizeof(code_is), "HTTP/1.1 %d ", cases[i].code);
        ask(&cases[i], code_is);
    }
    fixture_stop();
}
END_TEST

START_TEST(test_route_waits_for_the_data)
{
#define WAITS "Service Unavailable: starting, replay 40 %\n"
#define ENDS "Service Unavailable: stopping\n"
    static const struct answer_case no[][3] = {
        {{"GET /api/v1/query?query=1", "", "", 503, WAITS},
         {"POST /api/v1/write", "Content-Length: 1\r\n", "x", 503, WAITS},
         {"GET /-/ready", "", "", 503, WAITS}},
        {{"GET /api/v1/query?query=1", "", "", 503, ENDS},
         {"POST /api/v1/write", "Content-Length: 1\r\n", "x", 503, ENDS},
         {"GET /-/ready", "", "", 503, ENDS}},
    };
    static const struct answer_case yes = {"GET /-/healthy", "", "", 200, "Healthy"};
    static const struct answer_case replay = {"GET /api/v1/status/walreplay", "", "", 200,
                                              "{\"min\":0,\"max\":50,\"current\":20}"};

    set_limits();
    fixture_start_http(1);
    atomic_store(&fixture_app.start_phase, "replay");
    atomic_store(&fixture_app.start_percent, 40);
    atomic_store(&fixture_app.replay_total, 50);
    atomic_store(&fixture_app.replay_done, 20);
    ask(&replay, "HTTP/1.1 200 ");
    for (int stopping = 0; stopping < 2; stopping++) {
        for (size_t i = 0; i < 3; i++) ask(&no[stopping][i], "HTTP/1.1 503 ");
        ask(&yes, "HTTP/1.1 200 ");
        atomic_store(&fixture_app.ready, true);
        atomic_store(&fixture_app.stopping, true);
    }
    fixture_stop();
}
END_TEST

Suite *suite_route(void)
{
    Suite *suite = suite_create("route");
    TCase *find = tcase_create("find"), *answer = tcase_create("answer");

    tcase_add_loop_test(find, test_route_find, 0, sizeof(paths) / sizeof(paths[0]));
    tcase_add_loop_test(find, test_route_rows_are_sound, 0, (int)n_routes);
    suite_add_tcase(suite, find);
    tcase_set_timeout(answer, 60);
    tcase_add_test(answer, test_route_answers_on_the_owner);
    tcase_add_test(answer, test_route_answers_on_an_io_thread);
    tcase_add_test(answer, test_route_constants);
    tcase_add_test(answer, test_route_prefix);
    tcase_add_test(answer, test_route_waits_for_the_data);
    suite_add_tcase(suite, answer);
    return suite;
}
