/* COMMAND: what the table says about itself. The shapes are those of Redis 7, which
 * redis-cli (hints) and cluster clients (key positions) read. */
#include <stdio.h>
#include <string.h>

#include "api/acl_user.h"
#include "api/cmd_handlers.h"
#include "base/panic.h"

static const struct command_bit flag_names[] = {
    {CMD_WRITE, "write"}, {CMD_READONLY, "readonly"}, {CMD_DENYOOM, "denyoom"},
    {CMD_ADMIN, "admin"}, {CMD_NOSCRIPT, "noscript"}, {CMD_BLOCKING, "blocking"},
    {CMD_LOADING, "loading"}, {CMD_STALE, "stale"}, {CMD_FAST, "fast"},
    {CMD_NO_AUTH, "no_auth"}, {CMD_MOVABLE, "movablekeys"}, {CMD_TS, "module"},
    {CMD_NO_MULTI, "no_multi"},
};

static void put_bits(struct reply *reply, unsigned bits, const struct command_bit *names, size_t n)
{
    size_t n_set = 0;

    for (size_t i = 0; i < n; i++) n_set += (bits & names[i].bit) != 0;
    reply_set(reply, n_set);
    for (size_t i = 0; i < n; i++) {
        if (bits & names[i].bit) reply_simple(reply, names[i].name);
    }
}

/* The subcommands of a container stand behind its row: its name is their prefix. */
static size_t count_subs(const struct command *cmd)
{
    size_t len = strlen(cmd->name), n = 0;

    if (!(cmd->flags & CMD_CONTAINER)) return 0;
    while (cmd + n + 1 < commands + n_commands && strncmp(cmd[n + 1].name, cmd->name, len) == 0 &&
           cmd[n + 1].name[len] == '|') {
        n++;
    }
    return n;
}

static size_t count_top(void)
{
    size_t n = 0;

    for (size_t i = 0; i < n_commands; i++) n += !command_is_sub(&commands[i]);
    return n;
}

/* ---- INFO ------------------------------------------------------- */

static void put_key_spec(struct reply *reply, const struct command *cmd)
{
    bool write = (cmd->flags & CMD_WRITE) != 0;

    reply_map(reply, 3);
    reply_text(reply, "flags");
    reply_set(reply, 2);
    reply_simple(reply, write ? "RW" : "RO");
    reply_simple(reply, write ? "update" : "access");
    reply_text(reply, "begin_search");
    reply_map(reply, 2);
    reply_text(reply, "type");
    reply_text(reply, "index");
    reply_text(reply, "spec");
    reply_map(reply, 1);
    reply_text(reply, "index");
    reply_int(reply, cmd->first_key);
    reply_text(reply, "find_keys");
    reply_map(reply, 2);
    reply_text(reply, "type");
    reply_text(reply, "range");
    reply_text(reply, "spec");
    reply_map(reply, 3);
    reply_text(reply, "lastkey");
    reply_int(reply, cmd->last_key < 0 ? cmd->last_key : cmd->last_key - cmd->first_key);
    reply_text(reply, "keystep");
    reply_int(reply, cmd->key_step);
    reply_text(reply, "limit");
    reply_int(reply, 0);
}

/* Ten elements, the last of them the same for each subcommand (which have none). */
static void put_row(struct reply *reply, const struct command *cmd)
{
    reply_array(reply, 10);
    reply_text(reply, cmd->name);
    reply_int(reply, cmd->arity);
    put_bits(reply, cmd->flags, flag_names, ARRAY_LEN(flag_names));
    reply_int(reply, cmd->first_key);
    reply_int(reply, cmd->last_key);
    reply_int(reply, cmd->key_step);
    put_bits(reply, cmd->acl, command_categories, n_command_categories);
    reply_array(reply, 0); /* tips */
    reply_array(reply, cmd->first_key > 0);
    if (cmd->first_key > 0) put_key_spec(reply, cmd);
}

static void put_info(struct reply *reply, const struct command *cmd)
{
    size_t n_subs = count_subs(cmd);

    put_row(reply, cmd);
    reply_array(reply, n_subs);
    for (size_t i = 1; i <= n_subs; i++) {
        put_row(reply, cmd + i);
        reply_array(reply, 0);
    }
}

static void put_all_info(struct reply *reply)
{
    reply_array(reply, count_top());
    for (size_t i = 0; i < n_commands; i++) {
        if (!command_is_sub(&commands[i])) put_info(reply, &commands[i]);
    }
}

/* "get" or "client|list". */
static const struct command *find_any(struct slice name)
{
    const char *bar = name.len ? memchr(name.ptr, '|', name.len) : NULL;

    if (!bar) return command_find(name);
    size_t len = (size_t)(bar - name.ptr);
    const struct command *container = command_find(slice_of(name.ptr, len));
    if (!container || !(container->flags & CMD_CONTAINER)) return NULL;
    return command_find_sub(container, slice_skip(name, len + 1));
}

status cmd_command(struct call *call, const void *args)
{
    (void)args;
    put_all_info(&call->reply);
    return ST_OK;
}

status cmd_command_info(struct call *call, const void *args)
{
    struct slices names = call_words(call);

    (void)args;
    if (names.n == 0) {
        put_all_info(&call->reply);
        return ST_OK;
    }
    reply_array(&call->reply, names.n);
    for (size_t i = 0; i < names.n; i++) {
        const struct command *cmd = find_any(names.ptr[i]);
        if (cmd) put_info(&call->reply, cmd);
        else reply_null_array(&call->reply);
    }
    return ST_OK;
}

status cmd_command_count(struct call *call, const void *args)
{
    (void)args;
    reply_int(&call->reply, (int64_t)count_top());
    return ST_OK;
}

/* ---- DOCS ------------------------------------------------------- */

/* One argument stands for all: redis-cli prints its display text as the hint. */
static void put_syntax(struct reply *reply, const char *syntax)
{
    reply_text(reply, "arguments");
    reply_array(reply, 1);
    reply_map(reply, 3);
    reply_text(reply, "name");
    reply_text(reply, syntax);
    reply_text(reply, "type");
    reply_text(reply, "string");
    reply_text(reply, "display_text");
    reply_text(reply, syntax);
}

static void put_docs(struct reply *reply, const struct command *cmd)
{
    size_t n_subs = count_subs(cmd);
    bool module = (cmd->flags & CMD_TS) != 0;

    reply_text(reply, cmd->name);
    reply_map(reply, 3 + module + (cmd->syntax[0] != '\0') + (n_subs > 0));
    reply_text(reply, "summary");
    reply_text(reply, cmd->summary);
    reply_text(reply, "since");
    reply_text(reply, cmd->since);
    reply_text(reply, "group");
    reply_text(reply, cmd->group);
    if (module) {
        reply_text(reply, "module");
        reply_text(reply, "timeseries");
    }
    if (cmd->syntax[0]) put_syntax(reply, cmd->syntax);
    if (n_subs == 0) return;
    reply_text(reply, "subcommands");
    reply_map(reply, n_subs);
    for (size_t i = 1; i <= n_subs; i++) put_docs(reply, cmd + i); /* one level: subs have none */
}

status cmd_command_docs(struct call *call, const void *args)
{
    struct slices names = call_words(call);
    struct reply *reply = &call->reply;
    size_t n = 0;

    (void)args;
    if (names.n == 0) {
        reply_map(reply, count_top());
        for (size_t i = 0; i < n_commands; i++) {
            if (!command_is_sub(&commands[i])) put_docs(reply, &commands[i]);
        }
        return ST_OK;
    }
    for (size_t i = 0; i < names.n; i++) n += find_any(names.ptr[i]) != NULL;
    reply_map(reply, n);
    for (size_t i = 0; i < names.n; i++) {
        const struct command *cmd = find_any(names.ptr[i]);
        if (cmd) put_docs(reply, cmd);
    }
    return ST_OK;
}

/* ---- LIST ------------------------------------------------------- */

enum { FILTER_NONE, FILTER_MODULE, FILTER_ACL, FILTER_PATTERN };

struct filter {
    int kind;
    struct slice text;
    unsigned acl;
};

static bool passes(const struct filter *filter, const struct command *cmd)
{
    switch (filter->kind) {
    case FILTER_MODULE:
        return (cmd->flags & CMD_TS) && slice_is_nocase(filter->text, "timeseries");
    case FILTER_ACL: return (cmd->acl & filter->acl) != 0;
    case FILTER_PATTERN: return arg_glob(filter->text, slice_str(cmd->name));
    }
    return true;
}

static status parse_filter(struct call *call, struct filter *filter)
{
    struct slices words = call_words(call);

    *filter = (struct filter){.kind = FILTER_NONE};
    if (words.n == 0) return ST_OK;
    if (words.n != 3 || !slice_is_nocase(words.ptr[0], "FILTERBY")) {
        return call_error(call, "syntax error");
    }
    filter->text = words.ptr[2];
    if (slice_is_nocase(words.ptr[1], "MODULE")) filter->kind = FILTER_MODULE;
    else if (slice_is_nocase(words.ptr[1], "PATTERN")) filter->kind = FILTER_PATTERN;
    else if (slice_is_nocase(words.ptr[1], "ACLCAT")) filter->kind = FILTER_ACL;
    else return call_error(call, "syntax error");
    if (filter->kind == FILTER_ACL) filter->acl = command_category(filter->text);
    return ST_OK;
}

status cmd_command_list(struct call *call, const void *args)
{
    struct filter filter;
    size_t n = 0;

    (void)args;
    TRY(parse_filter(call, &filter));
    /* Unfiltered: top-level names; filtered: subcommands, too. As Redis. */
    for (size_t i = 0; i < n_commands; i++) {
        if (filter.kind == FILTER_NONE && command_is_sub(&commands[i])) continue;
        n += passes(&filter, &commands[i]);
    }
    reply_set(&call->reply, n);
    for (size_t i = 0; i < n_commands; i++) {
        if (filter.kind == FILTER_NONE && command_is_sub(&commands[i])) continue;
        if (passes(&filter, &commands[i])) reply_text(&call->reply, commands[i].name);
    }
    return ST_OK;
}

/* ---- GETKEYS ------------------------------------------------------- */

static status find_keys(struct call *call, const struct command **cmd, size_t *n)
{
    struct slices words = call_words(call);

    *cmd = command_of_words(words.ptr, words.n);
    *n = 0;
    if (!*cmd) return call_error(call, "Invalid command specified");
    if ((*cmd)->first_key == 0 && !((*cmd)->flags & CMD_MOVABLE))
        return call_error(call, "The command has no key arguments");
    if (!command_arity_ok(*cmd, words.n))
        return call_error(call, "Invalid number of arguments specified for command");
    for (size_t i = 0; (i = command_next_key(*cmd, words.ptr, words.n, i));) ++*n;
    return *n ? ST_OK : call_error(call, "Invalid arguments specified for command");
}

status cmd_command_getkeys(struct call *call, const void *args)
{
    struct slices words = call_words(call);
    const struct command *cmd;
    size_t n;

    (void)args;
    TRY(find_keys(call, &cmd, &n));
    reply_array(&call->reply, n);
    for (size_t i = 0; (i = command_next_key(cmd, words.ptr, words.n, i));)
        reply_bulk(&call->reply, words.ptr[i]);
    return ST_OK;
}

/* What is done with the key, in the words of key specifications. */
static void put_key_flags(struct reply *reply, const struct command *cmd, unsigned perms)
{
    if (perms == ACL_KEY_READ) {
        reply_set(reply, 2);
        reply_simple(reply, "RO");
        reply_simple(reply, "access");
        return;
    }
    bool both = perms == ACL_KEY_BOTH;
    bool deletes = both || strcmp(cmd->name, "del") == 0 || strcmp(cmd->name, "unlink") == 0;
    reply_set(reply, both ? 3 : 2);
    reply_simple(reply, deletes && !both ? "RM" : "RW");
    if (both) reply_simple(reply, "access");
    reply_simple(reply, deletes ? "delete" : "update");
}

status cmd_command_getkeysandflags(struct call *call, const void *args)
{
    struct slices words = call_words(call);
    const struct command *cmd;
    size_t n;

    (void)args;
    TRY(find_keys(call, &cmd, &n));
    reply_array(&call->reply, n);
    for (size_t i = 0; (i = command_next_key(cmd, words.ptr, words.n, i));) {
        reply_array(&call->reply, 2);
        reply_bulk(&call->reply, words.ptr[i]);
        put_key_flags(&call->reply, cmd, command_key_perms(cmd, i));
    }
    return ST_OK;
}
