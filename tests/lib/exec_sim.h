/* The exec port in one thread, in an order that is a function of a seed.
 *
 *     struct exec_sim *sim = exec_sim_new(seed);
 *     db_open(..., exec_sim_exec(sim));
 *     while (exec_sim_step(sim)) check_something();     one job or task at a time
 *     exec_sim_drain(sim);                              or all of them
 *     exec_sim_free(sim);
 *
 * Every order that workers.c can produce with two threads a lane is possible, and no
 * other: a step runs one of the two oldest jobs of a lane, or the oldest message to
 * the owner; results and to_owner() share one queue in order; call_owner() runs what
 * is in that queue and then its task, at once. The caller's thread is owner and
 * worker. Not thread-safe.
 */
#ifndef TSINK_TESTS_EXEC_SIM_H
#define TSINK_TESTS_EXEC_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/exec.h"

struct exec_sim;

struct exec_sim *exec_sim_new(uint64_t seed);

/* Asserts that nothing is left: drain or cancel first. */
void exec_sim_free(struct exec_sim *sim);
struct exec *exec_sim_exec(struct exec_sim *sim);

/* Runs one job (without its publish) or one message to the owner. False when there
 * is nothing. A publish that submits more work lengthens the queue. */
bool exec_sim_step(struct exec_sim *sim);

/* Steps until nothing is left; returns the steps. Panics after 10 million. */
size_t exec_sim_drain(struct exec_sim *sim);

/* Runs messages to the owner only; jobs stay where they are. Returns their number. */
size_t exec_sim_drain_owner(struct exec_sim *sim);

/* What a shutdown does: waiting jobs are published with ST_CANCELLED, not run. From
 * here on submitted jobs are treated the same way. */
void exec_sim_cancel_all(struct exec_sim *sim);

/* Jobs that wait to be run, and messages that wait for the owner. */
size_t exec_sim_n_jobs(const struct exec_sim *sim);
size_t exec_sim_n_tasks(const struct exec_sim *sim);

#endif
