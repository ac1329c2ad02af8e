/* See workers.h.
 *
 * Three things cross threads: the lanes (a list under the mutex), `results` (a mailbox
 * whose reader is the owner), and the pump, the one task that is handed to post(). The
 * pump is on its way or running whenever `results` is not empty:
 *
 *     push finds results empty --> wake_owner --> pump not posted? --> post(pump)
 *     pump_run: posted = false, run up to 2 messages, more? --> post(pump)
 *
 * `posted` falls before the messages are taken, so a push either is seen by this turn
 * or posts another. The pump is a block of its own because it may still lie in the
 * owner's mailbox when the workers are gone; the last one who knows of it frees it.
 *
 * Closing: `closing` is set under the mutex, waiting and running jobs are cancelled, and
 * the owner serves `results` itself until every worker has left. Workers publish what
 * they find in their lane as cancelled; later submits go to `results` at once.
 */
#include "base/workers.h"

#include <stdatomic.h>
#include <stdio.h>

#include "base/mailbox.h"
#include "base/mem.h"
#include "base/panic.h"
#include "base/sync_point.h"
#include "base/thread.h"

enum { PUMP_MESSAGES_MAX = 2 }; /* of one turn: a publish may take a step of the owner */

struct pump {
    struct task task;
    struct workers *workers; /* owner only; NULL when they are closed */
    bool running;            /* owner only */
    _Atomic bool posted;
};

struct worker {
    struct thread thread;
    struct workers *workers;
    struct lane *lane;
    struct job *running; /* under the mutex */
};

struct lane {
    struct list queue; /* of job.link; under the mutex */
    struct cond ready;
    struct worker *threads; /* owned */
    unsigned n_threads;     /* started */
    _Atomic size_t n_pending;
};

struct workers {
    struct exec exec;
    struct mutex mutex; /* lanes' queues, running, closing, n_alive, calls */
    struct lane lanes[JOB_LANES];
    struct mailbox results;
    struct pump *pump;
    void (*post)(void *ctx, struct task *task);
    void *post_ctx;
    struct cond called;  /* a call_owner() has been answered */
    struct cond changed; /* for close: results came or a worker left */
    bool closing;
    unsigned n_alive;
};

/* A call_owner() on its caller's stack. */
struct call {
    struct task carrier;
    struct task *task;
    struct workers *workers;
    bool done; /* under the mutex */
};

static _Thread_local bool is_owner_now; /* this thread runs a message */

static struct workers *workers_of(struct exec *exec)
{
    return container_of(exec, struct workers, exec);
}

/* ---- the owner's side ---- */

static void post_pump(struct workers *w)
{
    if (!atomic_exchange(&w->pump->posted, true)) w->post(w->post_ctx, &w->pump->task);
}

/* Of the mailbox: it was empty and is not any more. Any thread. */
static void wake_owner(void *ctx)
{
    struct workers *w = ctx;

    mutex_lock(&w->mutex);
    bool closing = w->closing;
    if (closing) cond_signal(&w->changed);
    mutex_unlock(&w->mutex);
    if (!closing) post_pump(w);
}

static void pump_run(struct task *task)
{
    struct pump *pump = container_of(task, struct pump, task);
    bool was_owner = is_owner_now;

    atomic_store(&pump->posted, false);
    pump->running = true;
    is_owner_now = true;
    for (int i = 0; i < PUMP_MESSAGES_MAX && pump->workers; i++) {
        struct task *message = mailbox_take(&pump->workers->results);
        if (!message) break;
        message->fn(message); /* may close the workers */
    }
    is_owner_now = was_owner;
    pump->running = false;
    if (pump->workers) {
        if (!mailbox_empty(&pump->workers->results)) post_pump(pump->workers);
    } else if (!atomic_load(&pump->posted)) {
        mem_free(pump);
    }
}

static void publish(struct task *task)
{
    struct job *job = container_of(task, struct job, done);
    job->ops->publish(job, job->st);
}

static void answer_call(struct task *task)
{
    struct call *call = container_of(task, struct call, carrier);
    struct workers *w = call->workers;

    call->task->fn(call->task);
    mutex_lock(&w->mutex);
    call->done = true; /* the caller's stack may go when the mutex does */
    cond_broadcast(&w->called);
    mutex_unlock(&w->mutex);
}

/* ---- the workers' side ---- */

static void finish_job(struct workers *w, struct job *job, status st)
{
    struct lane *lane = &w->lanes[job->ops->lane];

    job->st = st;
    job->done.fn = publish;
    atomic_fetch_sub_explicit(&lane->n_pending, 1, memory_order_relaxed);
    mailbox_push(&w->results, &job->done);
}

/* The next job of the lane, or NULL when it is time to leave. Holds the mutex. */
static struct job *next_job(struct worker *worker)
{
    struct workers *w = worker->workers;
    struct list *node;

    while ((node = list_pop(&worker->lane->queue)) == NULL && !w->closing)
        cond_wait(&worker->lane->ready, &w->mutex);
    return node ? container_of(node, struct job, link) : NULL;
}

static void worker_main(void *ctx)
{
    struct worker *worker = ctx;
    struct workers *w = worker->workers;

    mutex_lock(&w->mutex);
    for (struct job *job; (job = next_job(worker)) != NULL;) {
        bool run = !w->closing;
        worker->running = job;
        mutex_unlock(&w->mutex);

        SYNC_POINT("workers:before-run");
        status st = run ? job->ops->run(job) : ST_CANCELLED;
        SYNC_POINT("workers:after-run");

        mutex_lock(&w->mutex);
        worker->running = NULL; /* before the publish, which may free the job */
        mutex_unlock(&w->mutex);
        finish_job(w, job, st);
        mutex_lock(&w->mutex);
    }
    w->n_alive--;
    cond_signal(&w->changed);
    mutex_unlock(&w->mutex);
}

/* ---- the port ---- */

static void submit(struct exec *exec, struct job *job)
{
    struct workers *w = workers_of(exec);
    struct lane *lane = &w->lanes[job->ops->lane];

    ASSERT((unsigned)job->ops->lane < JOB_LANES);
    atomic_fetch_add_explicit(&lane->n_pending, 1, memory_order_relaxed);
    mutex_lock(&w->mutex);
    bool closing = w->closing;
    if (!closing) {
        list_push(&lane->queue, &job->link);
        cond_signal(&lane->ready);
    }
    mutex_unlock(&w->mutex);
    if (closing) {
        job_cancel(job);
        finish_job(w, job, ST_CANCELLED);
    }
}

static void to_owner(struct exec *exec, struct task *task)
{
    mailbox_push(&workers_of(exec)->results, task);
}

static void call_owner(struct exec *exec, struct task *task)
{
    struct workers *w = workers_of(exec);
    struct call call = {.carrier = {.fn = answer_call}, .task = task, .workers = w};

    ASSERT(!is_owner_now); /* it would wait for itself */
    mailbox_push(&w->results, &call.carrier);
    mutex_lock(&w->mutex);
    while (!call.done) cond_wait(&w->called, &w->mutex);
    mutex_unlock(&w->mutex);
}

static const struct exec_ops workers_ops = {
    .submit = submit, .to_owner = to_owner, .call_owner = call_owner};

struct exec *workers_exec(struct workers *workers)
{
    return &workers->exec;
}

size_t workers_pending(const struct workers *workers, enum job_lane lane)
{
    return atomic_load_explicit(&workers->lanes[lane].n_pending, memory_order_relaxed);
}

/* ---- open and close ---- */

static status start_lane(struct workers *w, enum job_lane which, unsigned n, struct err *err)
{
    static const char *const names[JOB_LANES] = {
        [JOB_MAINTENANCE] = "maintain", [JOB_QUERY] = "query", [JOB_LONG] = "long"};
    struct lane *lane = &w->lanes[which];

    if (n < 1 || n > WORKERS_THREADS_MAX)
        return err_set(err, ST_INVALID, "%u threads for lane %s", n, names[which]);
    lane->threads = mem_try_array(n, sizeof(*lane->threads));
    if (!lane->threads) return err_set(err, ST_NO_MEMORY, "no memory for %u threads", n);

    while (lane->n_threads < n) {
        struct worker *worker = &lane->threads[lane->n_threads];
        char name[THREAD_NAME_MAX];

        *worker = (struct worker){.workers = w, .lane = lane};
        (void)snprintf(name, sizeof(name), "%s-%u", names[which], lane->n_threads);
        mutex_lock(&w->mutex);
        w->n_alive++;
        mutex_unlock(&w->mutex);
        status st = thread_start(&worker->thread, name, worker_main, worker, err);
        if (st != ST_OK) {
            mutex_lock(&w->mutex);
            w->n_alive--;
            mutex_unlock(&w->mutex);
            return st;
        }
        lane->n_threads++;
    }
    return ST_OK;
}

status workers_open(struct workers **out, const struct workers_options *opt, struct err *err)
{
    struct workers *w = mem_zalloc(sizeof(*w));
    w->exec.ops = &workers_ops;
    w->post = opt->post;
    w->post_ctx = opt->post_ctx;
    w->pump = mem_zalloc(sizeof(*w->pump));
    w->pump->task.fn = pump_run;
    w->pump->workers = w;
    mutex_init(&w->mutex, LOCK_WORKERS);
    cond_init(&w->called);
    cond_init(&w->changed);
    mailbox_init(&w->results, wake_owner, w);
    for (unsigned i = 0; i < JOB_LANES; i++) {
        list_init(&w->lanes[i].queue);
        cond_init(&w->lanes[i].ready);
    }

    for (unsigned i = 0; i < JOB_LANES; i++) {
        status st = start_lane(w, (enum job_lane)i, opt->n_threads[i], err);
        if (st == ST_OK) continue;
        workers_close(w);
        return err_wrap(err, st, "workers");
    }
    *out = w;
    return ST_OK;
}

static void begin_closing(struct workers *w)
{
    mutex_lock(&w->mutex);
    w->closing = true;
    for (unsigned i = 0; i < JOB_LANES; i++) {
        struct lane *lane = &w->lanes[i];
        list_each(at, &lane->queue) job_cancel(container_of(at, struct job, link));
        for (unsigned t = 0; t < lane->n_threads; t++)
            if (lane->threads[t].running) job_cancel(lane->threads[t].running);
        cond_broadcast(&lane->ready);
    }
    mutex_unlock(&w->mutex);
}

/* Runs messages until the workers have left and nothing is left of theirs. */
static void serve_until_empty(struct workers *w)
{
    bool was_owner = is_owner_now;
    bool alive = true;

    is_owner_now = true;
    while (alive) {
        mutex_lock(&w->mutex);
        while (mailbox_empty(&w->results) && w->n_alive > 0) cond_wait(&w->changed, &w->mutex);
        alive = w->n_alive > 0;
        mutex_unlock(&w->mutex);
        (void)mailbox_drain(&w->results, SIZE_MAX);
    }
    is_owner_now = was_owner;
}

void workers_close(struct workers *workers)
{
    struct workers *w = workers;
    if (!w) return;

    begin_closing(w);
    serve_until_empty(w);
    for (unsigned i = 0; i < JOB_LANES; i++) {
        struct lane *lane = &w->lanes[i];
        for (unsigned t = 0; t < lane->n_threads; t++) thread_join(&lane->threads[t].thread);
        ASSERT(list_empty(&lane->queue));
        cond_release(&lane->ready);
        mem_free(lane->threads);
    }
    ASSERT(mailbox_empty(&w->results));
    w->pump->workers = NULL;
    if (!w->pump->running && !atomic_load(&w->pump->posted)) mem_free(w->pump);
    cond_release(&w->called);
    cond_release(&w->changed);
    mutex_release(&w->mutex);
    mem_free(w);
}
