/* MULTI EXEC DISCARD WATCH UNWATCH (multi.h). They run at once, also inside MULTI. */
#include "api/cmd_handlers.h"
#include "api/multi.h"
#include "api/ts_turn.h"

status cmd_multi(struct call *call, const void *args)
{
    struct multi *multi = multi_of(call->session);

    (void)args;
    if (!multi) return err_set(&call->err, ST_NO_MEMORY, "no memory for a transaction");
    if (multi->open) return call_error(call, "MULTI calls can not be nested");
    multi->open = true;
    reply_ok(&call->reply);
    return ST_OK;
}

status cmd_discard(struct call *call, const void *args)
{
    struct multi *multi = call->session->multi;

    (void)args;
    if (!multi || !multi->open) return call_error(call, "DISCARD without MULTI");
    multi_discard(multi);
    reply_ok(&call->reply);
    return ST_OK;
}

status cmd_exec(struct call *call, const void *args)
{
    struct multi *multi = call->session->multi;

    (void)args;
    if (!multi || !multi->open) return call_error(call, "EXEC without MULTI");
    if (multi->dirty) {
        multi_discard(multi);
        return call_error_raw(call,
                              "EXECABORT Transaction discarded because of previous errors.");
    }
    TRY(call_later_alone(call));
    multi_exec(multi, call);
    return ST_OK;
}

static status watch_keys(struct call *call, struct reply *reply)
{
    struct slices keys = call_words(call);

    for (size_t i = 0; i < keys.n; i++)
        TRY(multi_watch(call->session->multi, keys.ptr[i], &call->err));
    reply_ok(reply);
    return ST_OK;
}

status cmd_watch(struct call *call, const void *args)
{
    struct multi *multi = multi_of(call->session);

    (void)args;
    if (!multi) return err_set(&call->err, ST_NO_MEMORY, "no memory for a transaction");
    if (multi->open) return call_error(call, "WATCH inside MULTI is not allowed");
    return ts_turn_on_owner(call, watch_keys);
}

status cmd_unwatch(struct call *call, const void *args)
{
    struct multi *multi = call->session->multi;

    (void)args;
    if (multi) multi_unwatch(multi);
    reply_ok(&call->reply);
    return ST_OK;
}
