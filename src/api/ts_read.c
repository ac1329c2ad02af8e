/* Reads of TS.* commands. See ts_read.h. */
#include "api/ts_read.h"

#include <stdio.h>

#include "api/acl_user.h"
#include "api/command.h"
#include "api/ts_turn.h"
#include "base/mem.h"
#include "base/panic.h"

static status run_work(struct query_work *work)
{
    struct ts_read *read = container_of(work, struct ts_read, work);
    return read->run(read);
}

static void finish_work(struct query_work *work)
{
    struct ts_read *read = container_of(work, struct ts_read, work);
    struct call *call = read->call;
    status st = work->st;
    if (st == ST_OK) {
        reply_slot_take(call->slot, &work->out);
    } else {
        call->err = work->err;
        call->raw_error = read->raw_error;
    }
    query_work_release(work);
    acl_user_unref(read->user);
    mem_free(read);
    if (st == ST_OK)
        call_finish(call);
    else
        call_fail(call, st);
}

static void start_work(struct call *call)
{
    struct ts_read *read = call->state;
    struct query_note *note = &read->work.note;
    snprintf(note->kind, sizeof(note->kind), "%s", call->cmd->name);
    if (call->argc > 1) note->text = call->argv[1]; /* key, filter or expression */
    query_work_start(&read->work);
}

status ts_read_start(struct call *call, const void *args, int64_t timeout_ms,
                     status (*run)(struct ts_read *read))
{
    TRY(call_later(call));
    struct ts_read *read = mem_zalloc(sizeof(*read));
    read->call = call;
    read->args = args;
    read->run = run;
    query_work_init(&read->work, call->app, call->slot, timeout_ms, run_work, finish_work);
    if (!call->session->user->can_all)
        read->work.acl = read->user = acl_user_ref(call->session->user);
    reply_init(&read->reply, &read->work.out, call->session->version);
    call->state = read;
    ts_turn_read(call, start_work);
    return ST_OK;
}

void ts_put_label_map(struct reply *reply, struct labels labels)
{
    reply_pairs(reply, labels.n);
    for (size_t i = 0; i < labels.n; i++) {
        reply_pair(reply);
        reply_bulk(reply, labels.ptr[i].name);
        reply_bulk(reply, labels.ptr[i].value);
    }
}
