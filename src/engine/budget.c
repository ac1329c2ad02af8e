/* The memory policy. See budget.h. */
#include "engine/budget.h"

static uint64_t soft(uint64_t limit)
{
    return limit / 8 * 7;
}

static uint64_t gate(uint64_t limit)
{
    return limit / 16 * 15;
}

static uint64_t series_max(uint64_t limit)
{
    return limit / 8 * 5;
}

static uint64_t add(uint64_t a, uint64_t b)
{
    return a + b < a ? UINT64_MAX : a + b;
}

static uint64_t fixed_part(uint64_t used, uint64_t samples)
{
    return used > samples ? used - samples : 0;
}

enum budget_verdict budget_decide(const struct budget *now)
{
    if (!now->limit) return BUDGET_ADMIT;
    if (now->used >= now->limit) return BUDGET_REFUSE;

    uint64_t fixed = fixed_part(now->used, now->samples);
    bool makes = now->need_series && add(fixed, now->need_series) <= series_max(now->limit);
    uint64_t need = add(now->need_rows, makes ? now->need_series : 0);
    if (add(now->used, need) <= gate(now->limit))
        return now->need_series && !makes ? BUDGET_KNOWN_ONLY : BUDGET_ADMIT;
    if (add(fixed, need) > gate(now->limit)) return BUDGET_REFUSE; /* no flush could help */
    if (!now->samples && !now->flushing) return BUDGET_REFUSE;
    return now->short_ms < now->timeout_ms ? BUDGET_WAIT : BUDGET_REFUSE;
}

bool budget_wants_flush(uint64_t limit, uint64_t used, uint64_t samples)
{
    if (!limit || used < soft(limit)) return false;
    uint64_t fixed = fixed_part(used, samples);
    uint64_t room = fixed < limit ? limit - fixed : 0;
    return samples && samples >= room / 4;
}

uint64_t budget_retired_max(uint64_t limit)
{
    return limit / 16;
}

uint64_t budget_registry_max(uint64_t limit)
{
    return limit / 2;
}

uint64_t budget_default(uint64_t memory_bytes)
{
    return memory_bytes / 10 * 6;
}
