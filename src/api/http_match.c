/* match[] parameters. See http_match.h. */
#include "api/http_match.h"

#include "base/mem.h"

enum { MATCH_MAX = 1000 };

size_t http_matches_count(const struct http_call *call)
{
    size_t idx = 0, n = 0;
    struct slice value;
    while (uri_param_next(&call->params, "match[]", &idx, &value)) n++;
    return n;
}

/* Whether a selector leaves out at least the series that has nothing: else it means all. */
static bool selects(struct matchers ms)
{
    for (size_t i = 0; i < ms.n; i++)
        if (!matcher_accepts(&ms.ptr[i], SLICE_LIT(""))) return true;
    return false;
}

status http_matches_parse(struct http_call *call, struct http_matches *out, struct err *err)
{
    size_t idx = 0, n = http_matches_count(call);
    struct slice value;

    if (n > MATCH_MAX) {
        return err_set(err, ST_INVALID, "more than %d match[] parameters", MATCH_MAX);
    }
    out->asts = mem_try_array(n + 1, sizeof(*out->asts));
    out->groups = arena_try_array(&call->arena, n + 1, sizeof(*out->groups));
    if (!out->asts || !out->groups) return err_set(err, ST_NO_MEMORY, "no memory for match[]");
    while (uri_param_next(&call->params, "match[]", &idx, &value)) {
        struct ast *ast = &out->asts[out->n];
        ast_init(ast, call->app->query_account);
        status st = promql_parse_selector(ast, value, err);
        if (st != ST_OK) {
            ast_release(ast);
            return st;
        }
        out->groups[out->n++] =
            (struct matchers){ast->root->vec.matchers, ast->root->vec.n_matchers};
        if (!selects(out->groups[out->n - 1])) {
            return err_set(err, ST_INVALID, "match[] must contain at least one non-empty matcher");
        }
    }
    return ST_OK;
}

bool http_matches_take(struct http_call *call, struct http_matches *out, const char *head)
{
    struct err err = {.st = ST_OK};
    status st = http_matches_parse(call, out, &err);

    if (st == ST_OK) return true;
    if (st == ST_NO_MEMORY) http_call_error(call, st, &err);
    else http_call_bad(call, "%s%s", head, err_text(&err, st));
    return false;
}

void http_matches_release(struct http_matches *matches)
{
    for (size_t i = 0; i < matches->n; i++) ast_release(&matches->asts[i]);
    mem_free(matches->asts);
    *matches = (struct http_matches){.n = 0};
}
