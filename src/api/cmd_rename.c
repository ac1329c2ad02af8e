/* RENAME RENAMENX: another key for a series, whose samples, labels and rules stay
 * (engine/relabel.h). What has the new key already is deleted first.
 *
 *     owner   find both -> [delete the other] -> relabel -> answer
 */
#include "api/cmd_handlers.h"
#include "api/events.h"
#include "api/ts_change.h"
#include "api/ts_key.h"
#include "base/panic.h"
#include "engine/delete_many.h"

struct rename {
    struct ts_change *change;
    struct delete_op del;
    series_id other;           /* what is deleted */
};

static void no_such_key(struct ts_change *change)
{
    ts_change_end(change, err_set(&change->err, ST_INVALID, "no such key"));
}

static void put_answer(struct call *call, const struct ts_change *change)
{
    (void)change;
    if (call->cmd->name[strlen("rename")]) reply_int(&call->reply, 1);
    else reply_ok(&call->reply);
}

static void relabelled(struct relabel_op *op)
{
    struct ts_change *change = container_of(op, struct ts_change, relabel);
    struct call *call = change->call;

    change->err = op->err;
    if (op->at > change->at) change->at = op->at;
    if (op->st == ST_NOT_FOUND) {
        no_such_key(change);
        return;
    }
    if (op->st == ST_OK) {
        events_tell(call->app, EVENT_GENERIC, "rename_from", call->argv[1]);
        events_tell(call->app, EVENT_GENERIC, "rename_to", call->argv[2]);
    }
    ts_change_end(change, op->st);
}

static void relabel(struct ts_change *change)
{
    struct call *call = change->call;
    uint32_t ordinal = ts_key_find(call->app, call->argv[1]);

    if (ordinal == ORDINAL_NONE) {
        no_such_key(change);
        return;
    }
    status st = ts_key_rename(call->app, &change->relabel, &change->arena, ordinal, call->argv[2],
                              &change->err);
    if (st != ST_OK) {
        ts_change_end(change, st);
        return;
    }
    change->relabel.done = relabelled;
    db_relabel(call->app->db, &change->relabel);
}

static void other_is_gone(struct delete_op *op)
{
    struct rename *rename = container_of(op, struct rename, del);

    rename->change->err = op->err;
    if (op->st == ST_OK) relabel(rename->change);
    else ts_change_end(rename->change, op->st);
}

static void same_answer(struct call *call, const struct ts_change *change)
{
    (void)change;
    if (call->cmd->name[strlen("rename")]) reply_int(&call->reply, 0);
    else reply_ok(&call->reply);
}

static void start(struct ts_change *change)
{
    struct call *call = change->call;
    struct app *app = call->app;
    bool nx = call->cmd->name[strlen("rename")] != '\0';
    uint32_t from = ts_key_find(app, call->argv[1]), to = ts_key_find(app, call->argv[2]);

    if (from == ORDINAL_NONE) {
        no_such_key(change);
        return;
    }
    if (to == from || (nx && to != ORDINAL_NONE)) {
        change->answer = same_answer;
        ts_change_end(change, ST_OK);
        return;
    }
    if (to == ORDINAL_NONE) {
        relabel(change);
        return;
    }
    struct rename *rename = arena_try_zero(&change->arena, sizeof(*rename));
    if (!rename) {
        ts_change_end(change, err_set(&change->err, ST_NO_MEMORY, "no memory for the command"));
        return;
    }
    rename->change = change;
    rename->other = registry_entry(db_registry(app->db), to)->id;
    rename->del = (struct delete_op){.ids = &rename->other,
                                     .n = 1,
                                     .range = {TS_MIN, TS_MAX},
                                     .drop_keys = true,
                                     .done = other_is_gone};
    list_init(&rename->del.link);
    db_delete_many(app->db, &rename->del);
}

status cmd_rename(struct call *call, const void *args)
{
    return ts_change_start(call, args, start, put_answer);
}
