/* A PromQL query from text to result. See op_promql.h. */
#include "api/op_promql.h"

#include "promql/parser.h"
#include "promql/plan.h"

static status evaluate(struct app *app, const struct promql_call *call, struct ast *ast,
                       struct query_budget *budget, struct arena *arena,
                       status (*print)(void *ctx, const struct promql_result *result), void *ctx,
                       struct err *err)
{
    const struct app_settings *set = app_settings(app);
    struct plan plan;
    struct plan_options opt = {.start_ms = call->start_ms,
                               .end_ms = call->end_ms,
                               .step_ms = call->step_ms,
                               .lookback_ms = call->lookback_ms ? call->lookback_ms
                                                                : set->query_lookback_ms,
                               .precision = db_options(app->db)->precision};
    TRY(plan_make(&plan, ast, &opt, err));

    struct series_set **sets = arena_try_array(arena, plan.n_selects + 1, sizeof(*sets));
    if (!sets) return err_set(err, ST_NO_MEMORY, "query memory");
    struct fetch *fetch = NULL;
    TRY(querier_fetch(app->querier, &fetch, sets, plan.selects, plan.n_selects,
                      (struct slice){"", 0}, budget, err));
    struct promql_result result;
    struct promql_options eval = {.budget = budget, .stable = set->promql_stable};
    status st = promql_eval(&result, &plan, ast->text, sets, &eval, arena, err);
    if (st == ST_OK) st = print(ctx, &result);
    querier_done(app->querier, fetch);
    return st;
}

status op_promql(struct app *app, const struct promql_call *call, struct query_budget *budget,
                 struct arena *arena, status (*print)(void *ctx, const struct promql_result *result),
                 void *ctx, bool *parse_failed, struct err *err)
{
    struct ast ast;
    struct parser_options opt = {.stable = false};
    ast_init(&ast, app->query_account);
    status st = promql_parse(&ast, call->query, &opt, err);
    *parse_failed = st != ST_OK;
    if (st == ST_OK) st = evaluate(app, call, &ast, budget, arena, print, ctx, err);
    ast_release(&ast);
    return st;
}
