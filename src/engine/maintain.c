/* The policy of background work. See maintain.h. */
#include "engine/maintain.h"

#include "engine/budget.h"

#include <stddef.h>

static const char *why_flush(const struct situation *now, const struct db_options *options)
{
    if (now->flushing) return NULL;
    if (now->flush_pauses) return NULL;
    if (now->n_unflushed == 0) return NULL;
    if (now->wal_bytes >= options->wal_flush_bytes) return "wal-bytes";
    if (now->since_flush_ms >= options->flush_age_ms) return "age";
    if (now->memory_asked ||
        budget_wants_flush(options->memory_limit, now->memory_used, now->memory_samples))
        return "memory";
    return NULL;
}

struct maintain_choice maintain_next(const struct situation *now,
                                     const struct db_options *options)
{
    return (struct maintain_choice){
        .flush = why_flush(now, options),
        .compact = !now->compacting && now->compact_news && now->compact_wait_ms <= 0,
        .forget = now->n_deletes && now->deletes_news && !now->compacting &&
                  now->forget_wait_ms <= 0};
}
