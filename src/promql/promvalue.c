/* Results: walking both shapes of a series alike. See promvalue.h. */
#include "promql/promvalue.h"

bool promvalue_next(const struct promql_result *result, const struct prom_series *series,
                    size_t *at, struct prom_point *out)
{
    size_t i = *at;

    if (series->ts) {
        if (i >= series->n_samples) return false;
        out->ts = series->ts[i];
    } else {
        while (i < result->n_steps && !(series->has[i / 64] >> (i % 64) & 1)) i++;
        if (i >= result->n_steps) return false;
        out->ts = result->start + (int64_t)i * result->step;
    }
    out->val = series->val[i];
    out->hist = series->hist ? series->hist[i] : NULL;
    *at = i + 1;
    return true;
}

int64_t promvalue_ms(const struct promql_result *result, ts_time ts)
{
    int64_t ms = ts / result->ticks_per_ms;

    return ms - (ts % result->ticks_per_ms < 0);
}

uint64_t promvalue_n_points(const struct promql_result *result)
{
    uint64_t n = 0;

    for (size_t i = 0; i < result->n_series; i++) n += result->series[i].n_samples;
    return n;
}
