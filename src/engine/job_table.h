/* Kinds of background jobs: how they went, and when a failed one may be tried again. A
 * failure doubles the pause from 1 s to 60 s, a success ends it. Plain data of the owner.
 *
 * Kinds that writes depend on (flush, compact, deletes) put the database into a refusing
 * state after JOB_FAILURES_MAX failures in a row under background-fail-fast; a success of
 * that kind ends it. The others only count.
 */
#ifndef TSINK_ENGINE_JOB_TABLE_H
#define TSINK_ENGINE_JOB_TABLE_H

#include "base/clock.h"
#include "base/status.h"

enum db_job_kind {
    DB_JOB_ENCODE, DB_JOB_FLUSH, DB_JOB_COMPACT, DB_JOB_DELETES, DB_JOB_POSTINGS,
    DB_JOB_SNAPSHOT, DB_JOB_KINDS,
};

enum { JOB_FAILURES_MAX = 3, JOB_ERROR_MAX = 120 };

struct db_job {
    uint64_t n_runs, n_failures;  /* ended well or badly; badly */
    uint64_t n_in_a_row;          /* failures since the last success */
    uint64_t last_success_ms;     /* wall clock; 0: never */
    uint64_t last_failure_ms;
    mono_ns retry_at;             /* not before; 0: whenever there is a reason */
    status last_st;               /* of the last failure */
    char last_error[JOB_ERROR_MAX]; /* likewise; "" when there was none */
};

const char *db_job_name(enum db_job_kind kind);

void job_table_done(struct db_job *job, wall_ms at);

/* Counts and pauses. True: the kind has failed too often for writes to go on. */
CHECKED bool job_table_failed(struct db_job *jobs, enum db_job_kind kind, status st,
                              const char *text, wall_ms at, mono_ns now);

/* Whether a kind that writes depend on has failed too often; it, or DB_JOB_KINDS. */
enum db_job_kind job_table_worst(const struct db_job *jobs);

#endif
