/* How background jobs went. See job_table.h. */
#include "engine/job_table.h"

#include <stdio.h>

enum { PAUSE_MIN_S = 1, PAUSE_MAX_S = 60 };

static const struct {
    const char *name;
    bool stops_writes;
} kinds[DB_JOB_KINDS] = {
    [DB_JOB_ENCODE] = {"encode", false},     [DB_JOB_FLUSH] = {"flush", true},
    [DB_JOB_COMPACT] = {"compact", true},    [DB_JOB_DELETES] = {"deletes", true},
    [DB_JOB_POSTINGS] = {"postings", false}, [DB_JOB_SNAPSHOT] = {"snapshot", false},
};

const char *db_job_name(enum db_job_kind kind)
{
    return kinds[kind].name;
}

void job_table_done(struct db_job *job, wall_ms at)
{
    job->n_runs++;
    job->n_in_a_row = 0;
    job->retry_at = 0;
    job->last_success_ms = (uint64_t)at;
}

bool job_table_failed(struct db_job *jobs, enum db_job_kind kind, status st, const char *text,
                      wall_ms at, mono_ns now)
{
    struct db_job *job = &jobs[kind];
    int64_t pause_s = PAUSE_MIN_S;
    for (uint64_t i = 0; i < job->n_in_a_row && pause_s < PAUSE_MAX_S; i++) pause_s *= 2;
    if (pause_s > PAUSE_MAX_S) pause_s = PAUSE_MAX_S;
    job->n_runs++;
    job->n_failures++;
    job->n_in_a_row++;
    job->last_failure_ms = (uint64_t)at;
    job->retry_at = now + pause_s * 1000000000;
    job->last_st = st;
    (void)snprintf(job->last_error, sizeof(job->last_error), "%s", text);
    return kinds[kind].stops_writes && job->n_in_a_row >= JOB_FAILURES_MAX;
}

enum db_job_kind job_table_worst(const struct db_job *jobs)
{
    for (int i = 0; i < DB_JOB_KINDS; i++)
        if (kinds[i].stops_writes && jobs[i].n_in_a_row >= JOB_FAILURES_MAX)
            return (enum db_job_kind)i;
    return DB_JOB_KINDS;
}
