/* Workers: the exec port with real threads. Each lane has its own threads and its
 * own first-in-first-out queue.
 *
 *     submit --> lane queue --> worker: run --> results --> owner: publish
 *                                                  |  post(ctx, task)
 *                                                  v
 *                                            the owner's mailbox
 *
 * Everything for the owner (results, to_owner, call_owner) goes through one queue
 * inside, in order, and one task that is handed to post() when there is something:
 * whoever runs that task is the owner for its duration. It runs up to 2 messages
 * and posts itself again when there are more, so the owner can bound its step.
 *
 * workers_close() is called on the owner: it cancels what waits and what runs, lets
 * the running jobs end (serving their call_owner() meanwhile), and has run every
 * publish and task exactly once when it returns. The task that was posted may still
 * lie in the owner's mailbox; the owner drains it once more (it then does nothing
 * but free itself).
 */
#ifndef TSINK_BASE_WORKERS_H
#define TSINK_BASE_WORKERS_H

#include <stddef.h>

#include "base/exec.h"
#include "base/status.h"

enum { WORKERS_THREADS_MAX = 256 }; /* of one lane */

struct workers;

struct workers_options {
    unsigned n_threads[JOB_LANES]; /* 1..WORKERS_THREADS_MAX each */
    /* Hands a task to the owner, who runs task->fn(task) some time later: usually
     * mailbox_push(). Any thread, also a worker; must not run it at once. */
    void (*post)(void *ctx, struct task *task);
    void *post_ctx;
};

/* ST_INVALID, ST_LIMIT when the system refuses a thread. */
CHECKED status workers_open(struct workers **out, const struct workers_options *opt,
                            struct err *err);
void workers_close(struct workers *workers); /* accepts NULL */

/* The port. Valid until workers_close() begins; jobs and tasks sent while it runs
 * (by publishes and by running jobs) are still served: a job is then published with
 * ST_CANCELLED without being run. */
struct exec *workers_exec(struct workers *workers);

/* Jobs of the lane that wait or run. Any thread. */
size_t workers_pending(const struct workers *workers, enum job_lane lane);

#endif
