/* Goal: the simulated executor runs every job and message once, in orders that real
 * workers can produce, and the seed decides which. Method: recorded orders. */
#include "tests/lib/exec_sim.h"

#include "base/panic.h"
#include "tests/unit/base/base_suites.h"
#include "tests/unit/unit.h"

static char order[256];
static struct exec *exec;

struct named {
    struct job job;
    struct task task;
    char name;
    struct task *before_end, *calls;
};

static void note(char c)
{
    size_t len = strlen(order);
    ck_assert_uint_lt(len + 1, sizeof(order));
    order[len] = c;
    order[len + 1] = 0;
}

static status run(struct job *job)
{
    struct named *named = container_of(job, struct named, job);
    note(named->name);
    if (named->before_end) exec_to_owner(exec, named->before_end);
    if (named->calls) exec_call_owner(exec, named->calls);
    return job_cancelled(job) ? ST_CANCELLED : ST_OK;
}

static void publish(struct job *job, status st)
{
    note((char)(container_of(job, struct named, job)->name - 'a' + (st == ST_OK ? 'A' : '0')));
}

static void message(struct task *task)
{
    note(container_of(task, struct named, task)->name);
}

static const struct job_ops ops[JOB_LANES] = {
    [JOB_MAINTENANCE] = {"test", JOB_MAINTENANCE, run, publish},
    [JOB_QUERY] = {"test", JOB_QUERY, run, publish},
};

static void submit(struct named *named, char name, enum job_lane lane)
{
    *named = (struct named){.name = name, .task = {.fn = message}};
    job_init(&named->job, &ops[lane]);
    exec_submit(exec, &named->job);
}

START_TEST(test_orders)
{
    char first[256] = "";
    size_t n_orders = 0;

    for (uint64_t seed = 0; seed < 100; seed++) {
        struct exec_sim *sim = exec_sim_new(seed / 2);
        struct named jobs[6];
        exec = exec_sim_exec(sim);
        order[0] = 0;
        for (int i = 0; i < 6; i++)
            submit(&jobs[i], (char)('a' + i), i < 4 ? JOB_MAINTENANCE : JOB_QUERY);
        ck_assert_uint_eq(exec_sim_n_jobs(sim), 6);
        ck_assert_uint_eq(exec_sim_drain(sim), 12);
        for (char c = 'a'; c <= 'f'; c++) {
            const char *ran = strchr(order, c), *done = strchr(order, c - 'a' + 'A');
            ck_assert(ran && done && ran < done);
            ck_assert(!strchr(ran + 1, c) && !strchr(done + 1, c - 'a' + 'A'));
        }
        /* A lane is two wide: the third job cannot begin before one of the first two. */
        ck_assert(strchr(order, 'c') > strchr(order, 'a') ||
                  strchr(order, 'c') > strchr(order, 'b'));
        ck_assert(strchr(order, 'd') > strchr(order, 'a') ||
                  strchr(order, 'd') > strchr(order, 'b'));
        if (seed % 2) {
            ck_assert_str_eq(order, first);
        } else {
            n_orders += strcmp(order, first) != 0;
            memcpy(first, order, sizeof(first));
        }
        exec_sim_free(sim);
    }
    ck_assert_uint_gt(n_orders, 30);
}
END_TEST

START_TEST(test_owner_queue_is_in_order)
{
    struct exec_sim *sim = exec_sim_new(1);
    struct named job, x = {.name = 'x', .task = {.fn = message}}, y = x, z = x;
    y.name = 'y';
    z.name = 'z';
    exec = exec_sim_exec(sim);
    order[0] = 0;
    exec_to_owner(exec, &x.task);
    submit(&job, 'a', JOB_QUERY);
    job.before_end = &y.task;
    job.calls = &z.task; /* what was sent before runs before, and then at once */
    ck_assert_uint_eq(exec_sim_n_tasks(sim), 1);
    ck_assert_uint_eq(exec_sim_drain_owner(sim), 1);
    ck_assert(exec_sim_step(sim));
    ck_assert_str_eq(order, "xayz");
    (void)exec_sim_drain(sim);
    ck_assert_str_eq(order, "xayzA");
    ck_assert(!exec_sim_step(sim));
    exec_sim_free(sim);
    exec_sim_free(NULL);
}
END_TEST

START_TEST(test_cancel_all)
{
    struct exec_sim *sim = exec_sim_new(1);
    struct named jobs[3];
    exec = exec_sim_exec(sim);
    order[0] = 0;
    submit(&jobs[0], 'a', JOB_QUERY);
    submit(&jobs[1], 'b', JOB_MAINTENANCE);
    exec_sim_cancel_all(sim);
    ck_assert(strchr(order, '0') && strchr(order, '1') && strlen(order) == 2);
    ck_assert(job_cancelled(&jobs[0].job));
    submit(&jobs[2], 'c', JOB_QUERY);
    ck_assert_uint_eq(exec_sim_drain(sim), 1);
    ck_assert_uint_eq(strlen(order), 3);
    ck_assert_int_eq(jobs[2].job.st, ST_CANCELLED);
    exec_sim_free(sim);
}
END_TEST

Suite *suite_exec_sim(void)
{
    Suite *suite = suite_create("exec_sim");
    TCase *tc = tcase_create("exec_sim");
    tcase_add_test(tc, test_orders);
    tcase_add_test(tc, test_owner_queue_is_in_order);
    tcase_add_test(tc, test_cancel_all);
    suite_add_tcase(suite, tc);
    return suite;
}
