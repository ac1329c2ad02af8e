/* The policy of background work. See maintain.h. */
#include "engine/maintain.h"

#include <stddef.h>

enum {
    RETRY_MS = 5000,      /* pause after a failed flush */
    PRESSURE_NUM = 7,     /* memory use above 7/8 of the limit */
    PRESSURE_DEN = 8,
};

const char *maintain_flush(const struct situation *now, const struct db_options *options)
{
    if (now->flushing || now->n_unflushed == 0) return NULL;
    if (now->failed_before && now->since_flush_ms < RETRY_MS) return NULL;
    if (now->wal_bytes >= options->wal_flush_bytes) return "wal-bytes";
    if (now->since_flush_ms >= options->flush_age_ms) return "age";
    if (options->memory_limit &&
        now->memory_used >= options->memory_limit / PRESSURE_DEN * PRESSURE_NUM)
        return "memory";
    return NULL;
}
