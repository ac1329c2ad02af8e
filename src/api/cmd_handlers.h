/* The handlers and argument shapes that commands.def names. */
#ifndef TSINK_API_CMD_HANDLERS_H
#define TSINK_API_CMD_HANDLERS_H

#include "api/command.h"

/* cmd_connection.c */
status cmd_ping(struct call *call, const void *args);
status cmd_echo(struct call *call, const void *args);
status cmd_hello(struct call *call, const void *args);
status cmd_auth(struct call *call, const void *args);
status cmd_select(struct call *call, const void *args);
status cmd_quit(struct call *call, const void *args);
status cmd_reset(struct call *call, const void *args);

/* cmd_client.c */
status cmd_client_id(struct call *call, const void *args);
status cmd_client_getname(struct call *call, const void *args);
status cmd_client_setname(struct call *call, const void *args);
status cmd_client_setinfo(struct call *call, const void *args);
status cmd_client_info(struct call *call, const void *args);
status cmd_client_list(struct call *call, const void *args);
status cmd_client_kill(struct call *call, const void *args);
status cmd_client_no_evict(struct call *call, const void *args);
status cmd_client_no_touch(struct call *call, const void *args);
status cmd_client_reply(struct call *call, const void *args);

/* cmd_command.c */
status cmd_command(struct call *call, const void *args);
status cmd_command_count(struct call *call, const void *args);
status cmd_command_docs(struct call *call, const void *args);
status cmd_command_getkeys(struct call *call, const void *args);
status cmd_command_info(struct call *call, const void *args);
status cmd_command_list(struct call *call, const void *args);

#endif
