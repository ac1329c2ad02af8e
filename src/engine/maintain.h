/* What should run next, as a pure function of how things are: so that the policy is
 * tested on a table of situations. Pure, any thread. */
#ifndef TSINK_ENGINE_MAINTAIN_H
#define TSINK_ENGINE_MAINTAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/options.h"

struct situation {
    uint64_t wal_bytes;        /* logged since the last flush began */
    uint64_t n_unflushed;      /* samples */
    int64_t since_flush_ms;    /* since the last flush ended or the database was opened */
    uint64_t memory_used;      /* 0: unknown */
    bool flushing;
    bool failed_before;        /* the last flush failed */
};

/* Why a flush should begin now, or NULL. */
const char *maintain_flush(const struct situation *now, const struct db_options *options);

#endif
