/* See exec_sim.h. A job is taken out of its lane, run to its end, and its result goes
 * to the owner's queue: what real workers do, at one of the moments at which they can. */
#include "tests/lib/exec_sim.h"

#include "base/mem.h"
#include "base/panic.h"
#include "base/rng.h"

enum {
    LANE_WIDTH = 2, /* jobs of a lane that may overtake each other: two threads */
    STEPS_MAX = 10000000,
};

struct exec_sim {
    struct exec exec;
    struct rng rng;
    struct list lanes[JOB_LANES]; /* of job.link */
    struct list owner;            /* of task.link, oldest first */
    size_t n_jobs, n_tasks;
    bool cancelling;
};

static struct exec_sim *sim_of(struct exec *exec)
{
    return container_of(exec, struct exec_sim, exec);
}

static void send(struct exec_sim *sim, struct task *task)
{
    list_each(at, &sim->owner) ASSERT(at != &task->link); /* nobody posts a task twice */
    list_push(&sim->owner, &task->link);
    sim->n_tasks++;
}

static void publish(struct task *task)
{
    struct job *job = container_of(task, struct job, done);
    job->ops->publish(job, job->st);
}

static void finish(struct exec_sim *sim, struct job *job, status st)
{
    job->st = st;
    job->done.fn = publish;
    send(sim, &job->done);
}

static bool run_message(struct exec_sim *sim)
{
    struct list *node = list_pop(&sim->owner);
    if (!node) return false;

    struct task *task = container_of(node, struct task, link);
    sim->n_tasks--;
    task->fn(task);
    return true;
}

static void submit(struct exec *exec, struct job *job)
{
    struct exec_sim *sim = sim_of(exec);

    ASSERT((unsigned)job->ops->lane < JOB_LANES);
    if (sim->cancelling) {
        job_cancel(job);
        finish(sim, job, ST_CANCELLED);
        return;
    }
    list_push(&sim->lanes[job->ops->lane], &job->link);
    sim->n_jobs++;
}

static void to_owner(struct exec *exec, struct task *task)
{
    send(sim_of(exec), task);
}

/* The owner's queue is first in, first out, so what was sent before runs before. */
static void call_owner(struct exec *exec, struct task *task)
{
    while (run_message(sim_of(exec))) {
    }
    task->fn(task);
}

static const struct exec_ops sim_ops = {
    .submit = submit, .to_owner = to_owner, .call_owner = call_owner};

struct exec_sim *exec_sim_new(uint64_t seed)
{
    struct exec_sim *sim = mem_zalloc(sizeof(*sim));
    sim->exec.ops = &sim_ops;
    rng_init(&sim->rng, seed);
    for (size_t i = 0; i < JOB_LANES; i++) list_init(&sim->lanes[i]);
    list_init(&sim->owner);
    return sim;
}

void exec_sim_free(struct exec_sim *sim)
{
    if (!sim) return;
    ASSERT(sim->n_jobs == 0 && sim->n_tasks == 0);
    mem_free(sim);
}

struct exec *exec_sim_exec(struct exec_sim *sim)
{
    return &sim->exec;
}

static void run_job(struct exec_sim *sim, struct list *node)
{
    struct job *job = container_of(node, struct job, link);

    list_remove(node);
    sim->n_jobs--;
    finish(sim, job, job->ops->run(job));
}

/* Picks evenly among what could happen next: one of the first jobs of a lane, or the
 * oldest message. */
bool exec_sim_step(struct exec_sim *sim)
{
    struct list *choices[JOB_LANES * LANE_WIDTH];
    size_t n = 0;

    for (size_t i = 0; i < JOB_LANES; i++) {
        size_t width = 0;
        list_each(at, &sim->lanes[i]) {
            if (width++ == LANE_WIDTH) break;
            choices[n++] = at;
        }
    }
    size_t n_all = n + (sim->n_tasks > 0);
    if (n_all == 0) return false;

    size_t pick = (size_t)rng_below(&sim->rng, n_all);
    if (pick == n) return run_message(sim);
    run_job(sim, choices[pick]);
    return true;
}

size_t exec_sim_drain(struct exec_sim *sim)
{
    size_t n = 0;
    while (exec_sim_step(sim))
        if (++n > STEPS_MAX) PANIC("exec_sim: no end after %d steps", STEPS_MAX);
    return n;
}

size_t exec_sim_drain_owner(struct exec_sim *sim)
{
    size_t n = 0;
    while (run_message(sim))
        if (++n > STEPS_MAX) PANIC("exec_sim: no end after %d messages", STEPS_MAX);
    return n;
}

void exec_sim_cancel_all(struct exec_sim *sim)
{
    struct list *node;

    sim->cancelling = true;
    for (size_t i = 0; i < JOB_LANES; i++) {
        while ((node = list_pop(&sim->lanes[i])) != NULL) {
            struct job *job = container_of(node, struct job, link);
            sim->n_jobs--;
            job_cancel(job);
            finish(sim, job, ST_CANCELLED);
        }
    }
    (void)exec_sim_drain_owner(sim);
}

size_t exec_sim_n_jobs(const struct exec_sim *sim)
{
    return sim->n_jobs;
}

size_t exec_sim_n_tasks(const struct exec_sim *sim)
{
    return sim->n_tasks;
}
