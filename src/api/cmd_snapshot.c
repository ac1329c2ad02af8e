/* TS.SNAPSHOT [CREATE [name]] | LIST | DELETE name. */
#include "api/cmd_handlers.h"
#include "api/op_snapshot.h"

static void answer_list(struct reply *reply, const struct snapshot_question *q)
{
    reply_array(reply, q->entries.len);
    for (size_t i = 0; i < q->entries.len; i++) {
        const struct snapshot_entry *at = &q->entries.ptr[i];
        bool ok = at->st == ST_OK;
        reply_map(reply, 7);
        reply_text(reply, "name");
        reply_text(reply, at->info.name);
        reply_text(reply, "state");
        reply_text(reply, ok ? "complete" : "damaged");
        reply_text(reply, "created");
        reply_int(reply, ok ? at->info.created_ms : 0);
        reply_text(reply, "series");
        reply_u64(reply, ok ? at->info.n_series : 0);
        reply_text(reply, "segments");
        reply_u64(reply, ok ? at->info.n_segments : 0);
        reply_text(reply, "files");
        reply_u64(reply, at->n_files);
        reply_text(reply, "bytes");
        reply_u64(reply, at->n_bytes);
    }
}

static void finish(struct snapshot_question *q)
{
    struct call *call = q->ctx;
    if (q->st != ST_OK) {
        status st = q->st;
        call->err = q->err;
        snapshot_question_free(q);
        call_fail(call, st);
        return;
    }
    switch (q->verb) {
    case SNAPSHOT_CREATE: reply_text(&call->reply, q->info.name); break;
    case SNAPSHOT_LIST: answer_list(&call->reply, q); break;
    case SNAPSHOT_DELETE: reply_ok(&call->reply); break;
    }
    snapshot_question_free(q);
    call_finish(call);
}

static status parse(struct call *call, enum snapshot_verb *verb, struct slice *name)
{
    struct slice word = call->argc > 1 ? call->argv[1] : SLICE_LIT("create");
    *name = (struct slice){"", 0};
    if (slice_is_nocase(word, "create") && call->argc <= 3) {
        *verb = SNAPSHOT_CREATE;
        if (call->argc < 3) return ST_OK;
    } else if (slice_is_nocase(word, "delete") && call->argc == 3) {
        *verb = SNAPSHOT_DELETE;
    } else if (slice_is_nocase(word, "list") && call->argc == 2) {
        *verb = SNAPSHOT_LIST;
        return ST_OK;
    } else {
        return call_error(call, "syntax error: TS.SNAPSHOT [CREATE [name] | LIST | DELETE name]");
    }
    *name = call->argv[2];
    return name->len ? ST_OK : call_error(call, "a snapshot's name may not be empty");
}

status cmd_ts_snapshot(struct call *call, const void *args)
{
    enum snapshot_verb verb = SNAPSHOT_CREATE;
    struct slice name;
    (void)args;
    TRY(parse(call, &verb, &name));
    TRY(call_later_alone(call));
    struct snapshot_question *q = snapshot_question_new(
        call->app, conn_loop_loop(conn_home(call->conn)), verb, name);
    q->finish = finish;
    q->ctx = call;
    snapshot_ask(q);
    return ST_OK;
}
