/* Changes on the owner. See ts_change.h. */
#include "api/ts_change.h"

#include "api/ts_turn.h"
#include "base/mem.h"
#include "base/panic.h"

static void at_home(struct task *task)
{
    struct ts_change *change = container_of(task, struct ts_change, task);
    struct call *call = change->call;
    lsn at = change->at;
    status st = change->st;
    if (st != ST_OK) call->err = change->err;
    else if (change->answer) change->answer(call, change);
    else reply_ok(&call->reply);
    arena_release(&change->arena);
    mem_free(change);
    if (st == ST_OK)
        call_finish_at(call, at);
    else
        call_fail(call, st);
}

void ts_change_end(struct ts_change *change, status st)
{
    change->st = st;
    change->task.fn = at_home;
    app_to_loop(change->home, &change->task);
}

static void on_owner(struct task *task)
{
    struct ts_change *change = container_of(task, struct ts_change, task);
    change->run(change);
}

static void start(struct call *call)
{
    struct ts_change *change = call->state;
    change->task.fn = on_owner;
    app_to_owner(call->app, &change->task);
}

status ts_change_start(struct call *call, const void *args,
                       void (*run)(struct ts_change *change),
                       void (*answer)(struct call *call, const struct ts_change *change))
{
    TRY(call_later_alone(call));
    struct ts_change *change = mem_zalloc(sizeof(*change));
    change->call = call;
    change->args = args;
    change->home = conn_loop_loop(conn_home(call->conn));
    change->run = run;
    change->answer = answer;
    list_init(&change->task.link);
    list_init(&change->relabel.link);
    arena_init(&change->arena, call->app->net_account, 1024);
    call->state = change;
    ts_turn_read(call, start);
    return ST_OK;
}
