/* TS.ALTER: options at once, labels when nobody is in the way (engine/relabel.h). What is
 * not named stays. */
#include "api/cmd_handlers.h"
#include "api/ts_args.h"
#include "api/ts_change.h"
#include "api/ts_key.h"
#include "base/panic.h"

struct alter_args {
    struct slice key;
    struct ts_create_args with;
};

static const struct arg_spec alter_spec[] = {
    ARG_POS(struct alter_args, key, ARG_SLICE),
    TS_CREATE_SPEC(struct alter_args, with),
    ARG_END,
};
const struct arg_shape ts_alter_shape = ARG_SHAPE(struct alter_args, alter_spec);

static void relabelled(struct relabel_op *op)
{
    struct ts_change *change = container_of(op, struct ts_change, relabel);
    change->err = op->err;
    if (op->st == ST_NOT_FOUND)
        (void)err_set(&change->err, ST_NOT_FOUND, "TSDB: the key does not exist");
    if (op->at > change->at) change->at = op->at;
    ts_change_end(change, op->st);
}

static status set_options(struct ts_change *change, uint32_t ordinal)
{
    const struct alter_args *args = change->args;
    struct app *app = change->call->app;
    const struct series_attrs *now = entry_attrs(registry_entry(db_registry(app->db), ordinal));
    struct series_attrs attrs = now ? *now : (struct series_attrs){.retention_ms = 0};
    if (!ts_attrs_alter(&attrs, &args->with)) return ST_OK;
    return db_set_attrs(app->db, ordinal, &attrs, &change->at, &change->err);
}

static void alter(struct ts_change *change)
{
    const struct alter_args *args = change->args;
    struct app *app = change->call->app;
    uint32_t ordinal = ts_key_find(app, args->key);
    status st = ordinal == ORDINAL_NONE
                    ? err_set(&change->err, ST_NOT_FOUND, "TSDB: the key does not exist")
                    : ST_OK;
    if (st == ST_OK && args->with.labels.ptr)
        st = ts_key_relabel(app, &change->relabel, &change->arena, ordinal,
                            args->with.labels.ptr, args->with.labels.n, &change->err);
    if (st == ST_OK) st = set_options(change, ordinal);
    if (st != ST_OK || !args->with.labels.ptr) {
        ts_change_end(change, st);
        return;
    }
    change->relabel.done = relabelled;
    db_relabel(app->db, &change->relabel);
}

status cmd_ts_alter(struct call *call, const void *argp)
{
    return ts_change_start(call, argp, alter, NULL);
}
