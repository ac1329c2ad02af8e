/* Jobs that a command waits for. See db_job.h. */
#include "api/db_job.h"

#include "api/ts_turn.h"
#include "base/panic.h"

struct job_wait {
    struct task task;
    struct call *call;
    struct loop *home;
    db_job_begin begin;
    void (*answer)(struct call *call);
    status st;
};

static void job_at_home(struct task *task)
{
    struct job_wait *wait = container_of(task, struct job_wait, task);
    struct call *call = wait->call;

    if (wait->st != ST_OK) {
        call_fail(call, wait->st);
        return;
    }
    if (wait->answer) wait->answer(call);
    else reply_ok(&call->reply);
    call_finish(call);
}

static void job_done(void *ctx, status st)
{
    struct job_wait *wait = ctx;

    wait->st = st;
    wait->task.fn = job_at_home;
    app_to_loop(wait->home, &wait->task);
}

static void job_on_owner(struct task *task)
{
    struct job_wait *wait = container_of(task, struct job_wait, task);
    wait->begin(wait->call->app->db, job_done, wait);
}

static void start(struct call *call)
{
    struct job_wait *wait = call->state;
    app_to_owner(call->app, &wait->task);
}

status db_job_call(struct call *call, db_job_begin begin, void (*answer)(struct call *call))
{
    TRY(call_later_alone(call));
    struct job_wait *wait = arena_try_zero(&call->arena, sizeof(*wait));
    if (!wait) return err_set(&call->err, ST_NO_MEMORY, "no memory for the command");
    list_init(&wait->task.link);
    wait->task.fn = job_on_owner;
    wait->call = call;
    wait->home = conn_loop_loop(conn_home(call->conn));
    wait->begin = begin;
    wait->answer = answer;
    call->state = wait;
    ts_turn_read(call, start);
    return ST_OK;
}
