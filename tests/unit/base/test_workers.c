/* Goal: each job runs on its lane and is published once on the owner, in every ending;
 * messages keep their order; closing hangs nowhere. Method: an owner with a mailbox and
 * a condition; jobs that wait, call the owner, submit more and are cancelled. */
#include "base/workers.h"

#include "base/mailbox.h"
#include "base/panic.h"
#include "base/sync_point.h"
#include "base/thread.h"
#include "tests/unit/base/base_suites.h"
#include "tests/unit/unit.h"

struct owner {
    struct mailbox box;
    struct mutex mutex;
    struct cond cond;
    bool woken;
    uint64_t thread;
    struct workers *workers;
    struct exec *exec;
};

static void wake(void *ctx)
{
    struct owner *owner = ctx;
    mutex_lock(&owner->mutex);
    owner->woken = true;
    cond_signal(&owner->cond);
    mutex_unlock(&owner->mutex);
}

static void post(void *ctx, struct task *task)
{
    mailbox_push(&((struct owner *)ctx)->box, task);
}

static void owner_open(struct owner *owner, unsigned n_maintenance, unsigned n_query)
{
    *owner = (struct owner){.thread = thread_self()};
    mutex_init(&owner->mutex, LOCK_LEAF);
    cond_init(&owner->cond);
    mailbox_init(&owner->box, wake, owner);
    ck_assert_int_eq(
        workers_open(&owner->workers,
                     &(struct workers_options){
                         .n_threads = {[JOB_MAINTENANCE] = n_maintenance,
                                       [JOB_QUERY] = n_query,
                                       [JOB_LONG] = 1},
                         .post = post, .post_ctx = owner}, NULL), ST_OK);
    owner->exec = workers_exec(owner->workers);
}

/* Runs what comes until *n reaches want. */
static void owner_serve(struct owner *owner, const int *n, int want)
{
    mono_ns deadline = clock_mono(clock_system()) + INT64_C(20000000000);
    while (*n < want) {
        mutex_lock(&owner->mutex);
        while (!owner->woken) ck_assert(cond_wait_until(&owner->cond, &owner->mutex, deadline));
        owner->woken = false;
        mutex_unlock(&owner->mutex);
        (void)mailbox_drain(&owner->box, SIZE_MAX);
    }
}

static void owner_close(struct owner *owner)
{
    workers_close(owner->workers);
    (void)mailbox_drain(&owner->box, SIZE_MAX); /* the pump frees itself */
    ck_assert(mailbox_empty(&owner->box));
    cond_release(&owner->cond);
    mutex_release(&owner->mutex);
}

struct work {
    struct job job;
    struct owner *owner;
    struct task task;
    int n_calls, calls_answered;
    bool wait_for_cancel;
    struct work *then; /* submitted by publish */
    bool ran;
    int n_published;
    status st;
};

static int n_published, n_answered;

static void answer(struct task *task)
{
    struct work *work = container_of(task, struct work, task);
    if (thread_self() != work->owner->thread) PANIC("not on the owner");
    work->calls_answered++;
    n_answered++;
}

static void call_owner(struct work *work)
{
    int before = work->calls_answered;
    work->task.fn = answer;
    exec_call_owner(work->owner->exec, &work->task);
    if (work->calls_answered != before + 1) PANIC("returned before it ran");
}

static status run(struct job *job)
{
    struct work *work = container_of(job, struct work, job);
    if (thread_self() == work->owner->thread) PANIC("on the owner");
    if (strncmp(thread_name(), job->ops->lane == JOB_QUERY ? "query-" : "maintain-", 6) != 0)
        PANIC("wrong lane: %s", thread_name());
    work->ran = true;
    for (int i = 0; i < work->n_calls; i++) call_owner(work);
    while (work->wait_for_cancel && !job_cancelled(job)) thread_relax();
    for (int i = 0; work->wait_for_cancel && i < 3; i++) call_owner(work); /* while closing */
    return job_cancelled(job) ? ST_CANCELLED : err_set(&job->err, ST_LIMIT, "as asked");
}

static void published(struct job *job, status st)
{
    struct work *work = container_of(job, struct work, job);
    if (thread_self() != work->owner->thread) PANIC("not on the owner");
    work->n_published++;
    work->st = st;
    n_published++;
    if (work->then) exec_submit(work->owner->exec, &work->then->job);
}

static const struct job_ops ops[JOB_LANES] = {
    [JOB_MAINTENANCE] = {"test", JOB_MAINTENANCE, run, published},
    [JOB_QUERY] = {"test", JOB_QUERY, run, published},
};

static void work_init(struct work *work, struct owner *owner, enum job_lane lane)
{
    *work = (struct work){.owner = owner};
    job_init(&work->job, &ops[lane]);
}

START_TEST(test_jobs_run_and_publish_once)
{
    enum { ROUNDS = 400 };
    static struct work works[ROUNDS];
    struct owner owner;

    owner_open(&owner, 2, 2);
    for (int i = 0; i < ROUNDS; i++) {
        work_init(&works[i], &owner, i % 3 ? JOB_QUERY : JOB_MAINTENANCE);
        works[i].n_calls = i % 4;
        if (i + 1 < ROUNDS && i % 2 == 0) works[i].then = &works[i + 1];
    }
    for (int i = 0; i < ROUNDS; i += 2) exec_submit(owner.exec, &works[i].job);
    owner_serve(&owner, &n_published, ROUNDS);
    for (int i = 0; i < ROUNDS; i++) {
        ck_assert(works[i].ran);
        ck_assert_int_eq(works[i].n_published, 1);
        ck_assert_int_eq(works[i].st, ST_LIMIT);
        ck_assert_str_eq(works[i].job.err.text, "as asked");
    }
    ck_assert_uint_eq(workers_pending(owner.workers, JOB_QUERY), 0);
    ck_assert_uint_eq(workers_pending(owner.workers, JOB_MAINTENANCE), 0);
    owner_close(&owner);
}
END_TEST

START_TEST(test_close_cancels_and_publishes_all)
{
    enum { ROUNDS = 60 };
    static struct work works[ROUNDS], later[ROUNDS];
    struct owner owner;

    owner_open(&owner, 1, 2);
    for (int i = 0; i < ROUNDS; i++) {
        work_init(&works[i], &owner, i % 2 ? JOB_QUERY : JOB_MAINTENANCE);
        work_init(&later[i], &owner, JOB_QUERY);
        works[i].wait_for_cancel = true; /* holds its lane until closing */
        works[i].n_calls = i % 3;        /* and wants the owner while it closes */
        works[i].then = &later[i];       /* submitted by a publish, during closing */
        exec_submit(owner.exec, &works[i].job);
    }
    ck_assert_uint_gt(workers_pending(owner.workers, JOB_QUERY), 0);
    if (_i == 1) owner_serve(&owner, &n_answered, 1);
    owner_close(&owner);
    int n_ran = 0;
    for (int i = 0; i < ROUNDS; i++) {
        ck_assert_int_eq(works[i].n_published, 1);
        ck_assert_int_eq(works[i].st, ST_CANCELLED);
        ck_assert(job_cancelled(&works[i].job));
        ck_assert_int_eq(later[i].n_published, 1);
        ck_assert_int_eq(later[i].st, ST_CANCELLED);
        n_ran += works[i].ran;
    }
    ck_assert_int_le(n_ran, 3); /* the rest was not begun */
}
END_TEST

struct closing {
    struct task task;
    struct owner *owner;
    int done;
};

static void close_inside(struct task *task)
{
    struct closing *closing = container_of(task, struct closing, task);
    workers_close(closing->owner->workers);
    closing->done = 1;
}

START_TEST(test_close_from_a_message)
{
    struct owner owner;
    struct work works[40];

    owner_open(&owner, 1, 1);
    struct closing closing = {.task = {.fn = close_inside}, .owner = &owner};
    for (int i = 0; i < 40; i++) {
        work_init(&works[i], &owner, JOB_QUERY);
        exec_submit(owner.exec, &works[i].job);
    }
    exec_to_owner(owner.exec, &closing.task);
    owner_serve(&owner, &closing.done, 1);
    for (int i = 0; i < 40; i++) ck_assert_int_eq(works[i].n_published, 1);
    owner.workers = NULL;
    owner_close(&owner);
}
END_TEST

struct numbered {
    struct task task;
    int number;
};

static int last_number;

static void check_number(struct task *task)
{
    ck_assert_int_eq(container_of(task, struct numbered, task)->number, last_number + 1);
    last_number++;
}

START_TEST(test_messages_keep_their_order)
{
    enum { MESSAGES = 500 };
    static struct numbered messages[MESSAGES];
    struct owner owner;

    owner_open(&owner, 1, 1);
    for (int i = 0; i < MESSAGES; i++) {
        messages[i] = (struct numbered){{.fn = check_number}, i + 1};
        exec_to_owner(owner.exec, &messages[i].task);
        /* One turn of the owner is bounded. */
        if (i == 100) {
            ck_assert_uint_eq(mailbox_drain(&owner.box, 1), 1);
            ck_assert(last_number > 0 && last_number <= 16);
        }
    }
    owner_serve(&owner, &last_number, MESSAGES);
    owner_close(&owner);
}
END_TEST

START_TEST(test_bad_options)
{
    struct workers *workers = NULL;
    struct workers_options opt = {.n_threads = {1, 0, 1}, .post = post};
    struct err err = {0};
    ck_assert_int_eq(workers_open(&workers, &opt, &err), ST_INVALID);
    ck_assert_msg(strstr(err.text, "lane query"), "%s", err.text);
    opt.n_threads[JOB_QUERY] = WORKERS_THREADS_MAX + 1;
    ck_assert_int_eq(workers_open(&workers, &opt, NULL), ST_INVALID);
    ck_assert_ptr_null(workers);
    workers_close(NULL);
}
END_TEST

#ifdef TSINK_DEV
/* A job that has run, and a close that begins before its result is sent. */
static struct {
    struct mutex mutex;
    struct cond cond;
    int stage; /* 1: the job has run; 2: go on */
} gate;

static void stop_after_run(void *ctx)
{
    (void)ctx;
    mutex_lock(&gate.mutex);
    if (gate.stage == 0) gate.stage = 1;
    cond_broadcast(&gate.cond);
    while (gate.stage < 2) cond_wait(&gate.cond, &gate.mutex);
    mutex_unlock(&gate.mutex);
}

static void open_gate(void *ctx)
{
    (void)ctx;
    /* By now the owner is closing or about to; either order must do. */
    mutex_lock(&gate.mutex);
    gate.stage = 2;
    cond_broadcast(&gate.cond);
    mutex_unlock(&gate.mutex);
}

START_TEST(test_close_while_a_result_is_on_its_way)
{
    struct owner owner;
    struct work work;
    struct thread opener;

    mutex_init(&gate.mutex, LOCK_LEAF);
    cond_init(&gate.cond);
    sync_point_set("workers:after-run", stop_after_run, NULL);
    owner_open(&owner, 1, 1);
    work_init(&work, &owner, JOB_QUERY);
    exec_submit(owner.exec, &work.job);
    mutex_lock(&gate.mutex);
    while (gate.stage < 1) cond_wait(&gate.cond, &gate.mutex);
    mutex_unlock(&gate.mutex);
    ck_assert_int_eq(thread_start(&opener, "opener", open_gate, NULL, NULL), ST_OK);
    owner_close(&owner);
    thread_join(&opener);
    ck_assert_int_eq(work.n_published, 1);
    ck_assert_int_eq(work.st, ST_LIMIT); /* it had run to its end */
    sync_point_clear_all();
}
END_TEST
#endif

Suite *suite_workers(void)
{
    Suite *suite = suite_create("workers");
    TCase *tc = tcase_create("workers");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, test_jobs_run_and_publish_once);
    tcase_add_loop_test(tc, test_close_cancels_and_publishes_all, 0, 2);
    tcase_add_test(tc, test_close_from_a_message);
    tcase_add_test(tc, test_messages_keep_their_order);
    tcase_add_test(tc, test_bad_options);
#ifdef TSINK_DEV
    tcase_add_test(tc, test_close_while_a_result_is_on_its_way);
#endif
    suite_add_tcase(suite, tc);
    return suite;
}
