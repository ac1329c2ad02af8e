/* Rules, alerts, targets and notifications of a server that has none of them: what
 * Prometheus answers then. Parameters are checked as there, so that a mistake is told today
 * and not when there are rules. */
#include <string.h>
#include <strings.h>

#include "api/http_handlers.h"
#include "api/http_match.h"
#include "base/numfmt.h"

static void say(struct http_call *call, const char *data)
{
    struct strbuf body;
    strbuf_init(&body, 0);
    strbuf_printf(&body, "{\"status\":\"success\",\"data\":%s}", data);
    http_call_json(call, 200, &body);
    strbuf_release(&body);
}

static int shown(struct slice text)
{
    return (int)(text.len > 100 ? 100 : text.len);
}

/* --- rules and alerts ---------------------------------------------------------------- */

static bool check_rule_type(struct http_call *call)
{
    struct slice type = http_arg(call, "type");
    if (type.len == 0 || slice_is_nocase(type, "alert") || slice_is_nocase(type, "record"))
        return true;
    http_call_bad(call, "invalid parameter \"type\": not supported value \"%.*s\"", shown(type),
                  type.ptr);
    return false;
}

/* Pages of groups: a token comes from an answer, and no answer has had one. */
static bool check_pages(struct http_call *call)
{
    struct slice limit = http_arg(call, "group_limit"), token = http_arg(call, "group_next_token");
    int64_t n = 1;
    if (token.len && limit.len == 0)
        http_call_bad(call, "invalid parameter \"group_next_token\": group_limit needs to be "
                            "present in order to paginate over the groups");
    else if (limit.len && !parse_i64(&n, limit))
        http_call_bad(call, "invalid parameter \"group_limit\": group_limit needs to be a valid "
                            "number: \"%.*s\"", shown(limit), limit.ptr);
    else if (n <= 0)
        http_call_bad(call, "invalid parameter \"group_limit\": group_limit needs to be greater "
                            "than 0");
    else if (token.len)
        http_call_bad(call, "invalid parameter \"group_next_token\": invalid group_next_token "
                            "'%.*s'. were rule groups changed?", shown(token), token.ptr);
    else
        return true;
    return false;
}

static bool check_matches(struct http_call *call)
{
    struct http_matches matches = {.n = 0};
    bool good = http_matches_take(call, &matches, HTTP_MATCH_BAD);
    http_matches_release(&matches);
    return good;
}

void http_rules(struct http_call *call)
{
    bool exclude;
    if (check_rule_type(call) && http_arg_bool(call, "exclude_alerts", &exclude) &&
        check_matches(call) && check_pages(call))
        say(call, "{\"groups\":[]}");
}

void http_alerts(struct http_call *call)
{
    say(call, "{\"alerts\":[]}");
}

void http_alertmanagers(struct http_call *call)
{
    say(call, "{\"activeAlertmanagers\":[],\"droppedAlertmanagers\":[]}");
}

/* --- targets ------------------------------------------------------------------------- */

void http_targets(struct http_call *call)
{
    say(call, "{\"activeTargets\":[],\"droppedTargets\":[],\"droppedTargetCounts\":{}}");
}

void http_targets_metadata(struct http_call *call)
{
    struct slice limit = http_arg(call, "limit"), match = http_arg(call, "match_target");
    struct err err = {.st = ST_OK};
    struct ast ast;
    int64_t n;
    if (limit.len && !parse_i64(&n, limit)) {
        http_call_bad(call, "limit must be a number");
        return;
    }
    ast_init(&ast, call->app->net_account);
    status st = match.len ? promql_parse_selector(&ast, match, &err) : ST_OK;
    ast_release(&ast);
    if (st == ST_OK) say(call, "[]");
    else http_call_bad(call, "invalid parameter \"match_target\": %s", err_text(&err, st));
}

void http_scrape_pools(struct http_call *call)
{
    say(call, "{\"scrapePools\":[]}");
}

/* A route about one scrape pool, of which there is none. */
static void no_such_pool(struct http_call *call)
{
    struct slice pool = http_arg(call, "scrapePool");
    struct err err = {.st = ST_NOT_FOUND};
    if (pool.len == 0) {
        http_call_bad(call, "no scrapePool parameter provided");
        return;
    }
    (void)err_set(&err, ST_NOT_FOUND, "scrape pool \"%.*s\" not found", shown(pool), pool.ptr);
    http_call_error(call, ST_NOT_FOUND, &err);
}

void http_relabel_steps(struct http_call *call)
{
    if (http_arg(call, "scrapePool").len && http_arg(call, "labels").len == 0)
        http_call_bad(call, "no labels parameter provided");
    else
        no_such_pool(call);
}

void http_scrape_pool_config(struct http_call *call)
{
    no_such_pool(call);
}

/* --- notifications -------------------------------------------------------------------- */

void http_notifications(struct http_call *call)
{
    say(call, "[]");
}

/* Prometheus' word for "no subscribers are taken". */
void http_notifications_live(struct http_call *call)
{
    http_call_empty(call, 204);
}
