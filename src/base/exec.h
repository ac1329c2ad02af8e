/* Port: run this elsewhere, then tell the owner. All slow work has one shape:
 *
 *     plan      owner     freezes the inputs, makes a job, submits it
 *     run       a worker  reads the inputs, writes files or results; polls cancelled
 *     publish   owner     takes the result; called exactly once, also after
 *                         failure, cancellation and shutdown
 *
 * Three lanes, so that queries and maintenance do not starve each other. Behind the
 * port: workers.c with real threads and the owner's mailbox; in tests exec_sim,
 * one thread whose order is drawn from a seed; in the library without threads, the
 * caller itself.
 */
#ifndef TSINK_BASE_EXEC_H
#define TSINK_BASE_EXEC_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/list.h"
#include "base/status.h"

/* JOB_LONG: maintenance that takes minutes (compaction), so that what takes milliseconds
 * (encoding, flushes, the catalog) does not wait behind it. */
enum job_lane { JOB_MAINTENANCE, JOB_QUERY, JOB_LONG, JOB_LANES };

struct job;

struct job_ops {
    const char *name;
    enum job_lane lane;
    status (*run)(struct job *job);                /* worker */
    void (*publish)(struct job *job, status st);   /* owner; may free the job */
};

/* A message to the owner: fn(task) runs there once. From the moment it is sent
 * until fn begins, the task belongs to the queue; after that to fn. */
struct task {
    struct list link;
    void (*fn)(struct task *task);
};

struct job {
    const struct job_ops *ops;
    struct list link;            /* of the queue it waits in */
    struct task done;            /* carries the result home; for the exec's use */
    _Atomic bool cancelled;      /* set by anyone, polled by run */
    status st;                   /* of run */
    struct err err;
};

struct exec {
    const struct exec_ops *ops;
};

struct exec_ops {
    /* Takes the job. Any thread. run and publish follow. */
    void (*submit)(struct exec *exec, struct job *job);
    /* Any thread. Runs the task on the owner, some time later or, in the library
     * and in simulation, possibly before this returns. */
    void (*to_owner)(struct exec *exec, struct task *task);
    /* A worker, never the owner: as to_owner, but returns when fn has run. */
    void (*call_owner)(struct exec *exec, struct task *task);
};

static inline void job_init(struct job *job, const struct job_ops *ops)
{
    job->ops = ops;
    list_init(&job->link);
    list_init(&job->done.link);
    job->done.fn = 0;
    atomic_store_explicit(&job->cancelled, false, memory_order_relaxed);
    job->st = ST_OK;
    job->err = (struct err){.st = ST_OK};
}

static inline bool job_cancelled(const struct job *job)
{
    return atomic_load_explicit(&job->cancelled, memory_order_relaxed);
}

static inline void job_cancel(struct job *job)
{
    atomic_store_explicit(&job->cancelled, true, memory_order_relaxed);
}

static inline void exec_submit(struct exec *exec, struct job *job)
{
    exec->ops->submit(exec, job);
}

static inline void exec_to_owner(struct exec *exec, struct task *task)
{
    exec->ops->to_owner(exec, task);
}

static inline void exec_call_owner(struct exec *exec, struct task *task)
{
    exec->ops->call_owner(exec, task);
}

#endif
