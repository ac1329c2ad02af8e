/* What a query may use. See querier.h. */
#include "query/querier.h"

#include <inttypes.h>

status budget_poll(struct query_budget *budget, struct err *err)
{
    if (budget->cancelled && atomic_load_explicit(budget->cancelled, memory_order_relaxed))
        return err_set(err, ST_CANCELLED, "query was canceled in expression evaluation");
    if (budget->deadline && clock_mono(budget->clock) >= budget->deadline)
        return err_set(err, ST_TIMEOUT, "query timed out in expression evaluation");
    return ST_OK;
}

static status charge(uint64_t *used, uint64_t n, uint64_t max, const char *what, struct err *err)
{
    uint64_t total;
    if (__builtin_add_overflow(*used, n, &total)) total = UINT64_MAX;
    *used = total;
    if (max && total > max)
        return err_set(err, ST_LIMIT, "query touches more than %" PRIu64 " %s", max, what);
    return ST_OK;
}

status budget_series(struct query_budget *budget, uint64_t n, struct err *err)
{
    return charge(&budget->n_series, n, budget->series_max, "series", err);
}

status budget_samples(struct query_budget *budget, uint64_t n, struct err *err)
{
    status st = charge(&budget->n_samples, n, budget->samples_max, "samples", err);
    if (budget->n_samples > budget->peak_samples) budget->peak_samples = budget->n_samples;
    return st;
}
