/* Commands: rows of commands.def. The parser, arity, COMMAND, HELP and docs come from
 * the row; a handler is what the command means and nothing else (call.h).
 *
 * Adding a command: a handler and an arg_shape (both declared in cmd_handlers.h), and a
 * row at its alphabetical place in commands.def. A row "container|name" is a
 * subcommand; its container's row has no handler.
 *
 * Tables are constant; any thread.
 */
#ifndef TSINK_API_COMMAND_H
#define TSINK_API_COMMAND_H

#include "api/call.h"

enum command_flag {
    CMD_WRITE = 1 << 0,
    CMD_READONLY = 1 << 1,
    CMD_DENYOOM = 1 << 2,    /* refused while memory is over its limit */
    CMD_FAST = 1 << 3,
    CMD_LOADING = 1 << 4,    /* works before the database is open */
    CMD_STALE = 1 << 5,
    CMD_NO_AUTH = 1 << 6,    /* works before authentication */
    CMD_ADMIN = 1 << 7,
    CMD_NOSCRIPT = 1 << 8,
    CMD_BLOCKING = 1 << 9,
    CMD_TS = 1 << 10,        /* of the module: argument errors in its words, lenient */
    CMD_MOVABLE = 1 << 11,   /* keys cannot be told by position */
    CMD_CONTAINER = 1 << 12, /* has subcommands; its own handler runs without one */
    CMD_TXN = 1 << 13,       /* runs at once, also between MULTI and EXEC */
    CMD_NO_MULTI = 1 << 14,  /* refused there */
    CMD_LISTENER = 1 << 15,  /* works on a RESP2 connection that has subscriptions */
};

enum command_acl {
    ACL_READ = 1 << 0,
    ACL_WRITE = 1 << 1,
    ACL_FAST = 1 << 2,
    ACL_SLOW = 1 << 3,
    ACL_ADMIN = 1 << 4,
    ACL_DANGEROUS = 1 << 5,
    ACL_CONNECTION = 1 << 6,
    ACL_KEYSPACE = 1 << 7,
    ACL_TIMESERIES = 1 << 8,
    ACL_TRANSACTION = 1 << 9,
    ACL_PUBSUB = 1 << 10,
    ACL_BLOCKING = 1 << 11,
};

typedef status (*command_handler)(struct call *call, const void *args);

struct command {
    const char *name;              /* lower case; "client|list" */
    int arity;                     /* words; negative: at least */
    unsigned flags;                /* enum command_flag */
    int first_key, last_key, key_step; /* 0: no keys; last -1: the last word */
    unsigned acl;                  /* enum command_acl */
    const struct arg_shape *shape; /* NULL: the handler reads argv */
    command_handler handle;        /* NULL: a container that needs a subcommand */
    const char *since, *group;
    const char *syntax;            /* behind the name: "key timestamp value" */
    const char *summary;           /* one sentence without full stop */
};

extern const struct command commands[]; /* sorted by name */
extern const size_t n_commands;

/* The row of a command word, in any case; NULL when there is none. Containers are
 * found, subcommands are not. */
const struct command *command_find(struct slice name);

/* The subcommand of a container, or NULL. */
const struct command *command_find_sub(const struct command *container, struct slice name);

/* "client|list" to "client" and "list"; sub is empty without '|'. */
void command_split_name(const struct command *cmd, struct slice *name, struct slice *sub);

bool command_is_sub(const struct command *cmd);

/* The row that argv names, a subcommand's where there is one; or NULL. */
const struct command *command_of_words(const struct slice *argv, size_t argc);

/* The index of the key behind word i (0: the first key), or 0. */
size_t command_next_key(const struct command *cmd, const struct slice *argv, size_t argc,
                        size_t i);

/* What the command does with its key at word i: ACL_KEY_READ, ACL_KEY_WRITE, both. */
unsigned command_key_perms(const struct command *cmd, size_t i);

/* The bit of a category's name without '@', in any case; 0: unknown. */
unsigned command_category(struct slice name);
void command_put_categories(struct reply *reply); /* their names */

struct command_bit {
    unsigned bit;
    const char *name;              /* "@read" */
};
extern const struct command_bit command_categories[];
extern const size_t n_command_categories;

/* Whether a call with argc words has the right number. */
bool command_arity_ok(const struct command *cmd, size_t argc);

/* The help of a container: a handler for its "help" row. */
status cmd_help(struct call *call, const void *args);

#endif
