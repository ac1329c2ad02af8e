/* What asks for others: ROLE CLUSTER READONLY READWRITE ASKING, and the module that TS.*
 * commands come from. A single node without replicas. */
#include "api/cmd_handlers.h"
#include "api/version.h"

status cmd_role(struct call *call, const void *args)
{
    (void)args;
    reply_array(&call->reply, 3);
    reply_text(&call->reply, "master");
    reply_int(&call->reply, 0);
    reply_array(&call->reply, 0);
    return ST_OK;
}

status cmd_cluster(struct call *call, const void *args)
{
    (void)args;
    return call_error(call, "This instance has cluster support disabled");
}

/* Clients of clusters say these to every node. */
status cmd_accepted(struct call *call, const void *args)
{
    (void)args;
    reply_ok(&call->reply);
    return ST_OK;
}

status cmd_module_list(struct call *call, const void *args)
{
    struct reply *reply = &call->reply;

    (void)args;
    reply_array(reply, 1);
    reply_map(reply, 4);
    reply_text(reply, "name");
    reply_text(reply, "timeseries");
    reply_text(reply, "ver");
    reply_int(reply, API_TS_MODULE_VERSION);
    reply_text(reply, "path");
    reply_text(reply, "");
    reply_text(reply, "args");
    reply_array(reply, 0);
    return ST_OK;
}

status cmd_lolwut(struct call *call, const void *args)
{
    static const char text[] = "     .-.       .-.\n"
                               "  __/   \\     /   \\__\n"
                               "         \\___/\n"
                               "tsink ver. " API_VERSION "\n";

    (void)args;
    reply_verbatim(&call->reply, slice_of(text, sizeof(text) - 1));
    return ST_OK;
}
