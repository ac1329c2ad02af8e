/* A PromQL query from text to result. See op_promql.h. */
#include "api/op_promql.h"

#include <stdlib.h>

#include "promql/parser.h"
#include "promql/plan.h"

/* --- __key__ ------------------------------------------------------------------------ */

static bool has_key(const struct series_set *set)
{
    for (size_t i = 0; i < set->n; i++)
        if (labels_has(set->labels[i], SLICE_LIT(LABEL_KEY))) return true;
    return false;
}

static status without_key(struct arena *arena, struct labels from, struct labels *out)
{
    struct label *kept = arena_try_array(arena, from.n + 1, sizeof(*kept));
    size_t n = 0;
    if (!kept) return ST_NO_MEMORY;
    for (size_t i = 0; i < from.n; i++)
        if (!slice_is(from.ptr[i].name, LABEL_KEY)) kept[n++] = from.ptr[i];
    *out = (struct labels){kept, n};
    return ST_OK;
}

static int by_labels(const void *a, const void *b)
{
    const struct labels *const *x = a, *const *y = b;
    return labels_cmp(**x, **y);
}

status op_hide_keys(struct series_set *set, struct arena *arena)
{
    if (!has_key(set)) return ST_OK;
    struct labels *shown = arena_try_array(arena, set->n, sizeof(*shown));
    const struct labels **order = arena_try_array(arena, set->n, sizeof(*order));
    if (!shown || !order) return ST_NO_MEMORY;
    for (size_t i = 0; i < set->n; i++) {
        TRY(without_key(arena, set->labels[i], &shown[i]));
        order[i] = &shown[i];
    }
    qsort(order, set->n, sizeof(*order), by_labels);
    for (size_t i = 0, to; i < set->n; i = to) {
        for (to = i + 1; to < set->n && labels_cmp(*order[i], *order[to]) == 0; to++) {
        }
        if (to == i + 1) continue;
        for (size_t k = i; k < to; k++) {
            size_t at = (size_t)(order[k] - shown);
            shown[at] = set->labels[at];
        }
    }
    set->labels = shown;
    return ST_OK;
}

/* --- the whole way --------------------------------------------------------------------- */

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
    status st = ST_OK;
    for (size_t i = 0; i < plan.n_selects && st == ST_OK; i++) st = op_hide_keys(sets[i], arena);
    struct promql_result result;
    uint64_t n_threads = app->n_query_threads; /* this one among them */
    struct promql_options eval = {.budget = budget,
                                  .stable = set->promql_stable,
                                  .exec = app->exec,
                                  .n_helpers = n_threads > 1 ? (unsigned)n_threads - 1 : 0};
    if (st == ST_OK && call->times) call->times->prepared = clock_mono(app->clock);
    if (st == ST_OK) st = promql_eval(&result, &plan, ast->text, sets, &eval, arena, err);
    if (st == ST_OK && call->times) call->times->evaluated = clock_mono(app->clock);
    if (st == ST_OK) st = print(ctx, &result);
    querier_done(app->querier, fetch);
    return st;
}

status op_promql(struct app *app, const struct promql_call *call, struct query_budget *budget,
                 struct arena *arena,
                 status (*print)(void *ctx, const struct promql_result *result), void *ctx,
                 bool *parse_failed, struct err *err)
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
