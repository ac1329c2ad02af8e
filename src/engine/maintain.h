/* What should run next, as a pure function of how things are: so that the policy is
 * tested on a table of situations. Pure, any thread. */
#ifndef TSINK_ENGINE_MAINTAIN_H
#define TSINK_ENGINE_MAINTAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/options.h"

struct situation {
    uint64_t wal_bytes;        /* logged since the last flush began */
    uint64_t n_unflushed;      /* samples, and frames of exemplars and metadata */
    int64_t since_flush_ms;    /* since the last flush ended or the database was opened */
    uint64_t memory_used;      /* bytes of everything that is charged; 0: unknown */
    uint64_t memory_samples;   /* of these, what a flush gives back */
    bool memory_asked;         /* a batch waits for what a flush gives back */
    bool flushing;
    bool flush_pauses;         /* the last flush failed just now */
    bool compacting;
    bool compact_news;         /* segments have changed since nothing was to be done */
    int64_t compact_wait_ms;   /* of the interval, or of a pause after a failure */
    uint64_t n_deletes;        /* records */
    bool deletes_news;         /* some may hide nothing any more */
    int64_t forget_wait_ms;
};

/* What should begin now. The rest of what a database does by itself hangs on these: a
 * registry checkpoint is part of a flush; expiry, rewriting and merging are chosen by a
 * compaction (compact_plan.h). */
struct maintain_choice {
    const char *flush;         /* why, or NULL */
    bool compact;
    bool forget;               /* deletes */
};

struct maintain_choice maintain_next(const struct situation *now,
                                     const struct db_options *options);

#endif
