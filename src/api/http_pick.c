/* Picking series. See http_pick.h. */
#include "api/http_pick.h"

#include <stdlib.h>

static int by_labels(const void *a, const void *b)
{
    const struct picked *x = a, *y = b;
    int order = labels_cmp(picked_labels(x), picked_labels(y));
    uint64_t i = x->set->ids[x->idx], k = y->set->ids[y->idx];
    if (order) return order;
    return i < k ? -1 : i > k;
}

static status gather(struct query_work *work, struct http_picks *out, struct series_set **sets,
                     size_t n_sets)
{
    size_t n = 0, kept = 0;
    for (size_t i = 0; i < n_sets; i++) n += sets[i]->n;
    out->ptr = arena_try_array(&work->arena, n + 1, sizeof(*out->ptr));
    if (!out->ptr) return err_set(&work->err, ST_NO_MEMORY, "query memory");
    n = 0;
    for (size_t i = 0; i < n_sets; i++)
        for (size_t k = 0; k < sets[i]->n; k++) out->ptr[n++] = (struct picked){sets[i], k};
    if (n_sets > 1) qsort(out->ptr, n, sizeof(*out->ptr), by_labels);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || by_labels(&out->ptr[i], &out->ptr[kept - 1]) != 0)
            out->ptr[kept++] = out->ptr[i];
    out->n = kept;
    return ST_OK;
}

status http_pick(struct query_work *work, struct http_picks *out, const struct matchers *groups,
                 size_t n_groups, struct time_range range, bool labels_only)
{
    struct querier *querier = work->app->querier;
    struct select *selects = arena_try_array(&work->arena, n_groups + 1, sizeof(*selects));
    struct series_set **sets = arena_try_array(&work->arena, n_groups + 1, sizeof(*sets));
    *out = (struct http_picks){.fetch = NULL};
    if (!selects || !sets) return err_set(&work->err, ST_NO_MEMORY, "query memory");
    for (size_t i = 0; i < n_groups; i++)
        selects[i] = (struct select){
            .matchers = groups[i], .range = range, .hint = {.labels_only = labels_only}};
    TRY(querier_fetch(querier, &out->fetch, sets, selects, n_groups, (struct slice){"", 0},
                      &work->budget, &work->err));
    status st = gather(work, out, sets, n_groups);
    if (st != ST_OK) http_unpick(work, out);
    return st;
}

void http_unpick(struct query_work *work, struct http_picks *picks)
{
    querier_done(work->app->querier, picks->fetch);
    *picks = (struct http_picks){.fetch = NULL};
}
