/* The command table. Looking up is a binary search over the sorted rows; a session
 * remembers its last row, so a pipeline of one command does not search at all. */
#include "api/command.h"

#include <stdio.h>
#include <string.h>

#include "api/acl_user.h"
#include "api/cmd_handlers.h"
#include "base/panic.h"

const struct command commands[] = {
#define COMMAND(name_, arity_, flags_, first_, last_, step_, acl_, shape_, handle_, since_,    \
                group_, syntax_, summary_)                                                     \
    {.name = name_, .arity = arity_, .flags = flags_, .first_key = first_, .last_key = last_,  \
     .key_step = step_, .acl = acl_, .shape = shape_, .handle = handle_, .since = since_,      \
     .group = group_, .syntax = syntax_, .summary = summary_},
#include "api/commands.def"
#undef COMMAND
};

const size_t n_commands = ARRAY_LEN(commands);

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* Order of a row's name against "word" or "container|word". */
static int compare(const char *name, const char *container, struct slice word)
{
    if (container) {
        size_t len = strlen(container);
        int order = strncmp(name, container, len);
        if (order) return order;
        if (name[len] != '|') return name[len] ? (unsigned char)name[len] - '|' : -1;
        name += len + 1;
    }
    for (size_t i = 0; i < word.len; i++) {
        int order = (unsigned char)name[i] - (unsigned char)lower(word.ptr[i]);
        if (order) return order; /* the row's NUL is smaller than any byte but NUL */
        if (!name[i]) return -1;
    }
    return name[word.len] ? 1 : 0;
}

static const struct command *search(const char *container, struct slice word)
{
    size_t low = 0, high = n_commands;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = compare(commands[mid].name, container, word);
        if (order == 0) return &commands[mid];
        if (order < 0) low = mid + 1;
        else high = mid;
    }
    return NULL;
}

const struct command *command_find(struct slice name)
{
    if (name.len == 0 || memchr(name.ptr, '|', name.len)) return NULL;
    return search(NULL, name);
}

const struct command *command_find_sub(const struct command *container, struct slice name)
{
    return name.len == 0 ? NULL : search(container->name, name);
}

void command_split_name(const struct command *cmd, struct slice *name, struct slice *sub)
{
    const char *bar = strchr(cmd->name, '|');

    *name = slice_str(cmd->name);
    *sub = slice_of("", 0);
    if (!bar) return;
    name->len = (size_t)(bar - cmd->name);
    *sub = slice_str(bar + 1);
}

bool command_is_sub(const struct command *cmd)
{
    return strchr(cmd->name, '|') != NULL;
}

bool command_arity_ok(const struct command *cmd, size_t argc)
{
    return cmd->arity >= 0 ? argc == (size_t)cmd->arity : argc >= (size_t)-cmd->arity;
}

const struct command *command_of_words(const struct slice *argv, size_t argc)
{
    const struct command *cmd = argc ? command_find(argv[0]) : NULL;

    if (!cmd || !(cmd->flags & CMD_CONTAINER) || argc < 2) return cmd;
    return command_find_sub(cmd, argv[1]);
}

/* ---- Keys ---------------------------------------------------------------- */

/* TS.NRANGE numkeys key ...: a number says how many. */
static size_t next_counted_key(const struct slice *argv, size_t argc, size_t i)
{
    int64_t n;

    if (argc < 3 || !arg_int(&n, argv[1]) || n < 1) return 0;
    size_t next = i ? i + 1 : 2;
    return next < argc && (uint64_t)(next - 2) < (uint64_t)n ? next : 0;
}

size_t command_next_key(const struct command *cmd, const struct slice *argv, size_t argc,
                        size_t i)
{
    if (cmd->flags & CMD_MOVABLE) return next_counted_key(argv, argc, i);
    if (cmd->first_key == 0) return 0;
    size_t next = i ? i + (size_t)cmd->key_step : (size_t)cmd->first_key;
    size_t last = cmd->last_key < 0 ? argc - (size_t)-cmd->last_key : (size_t)cmd->last_key;
    return next <= last && next < argc ? next : 0;
}

unsigned command_key_perms(const struct command *cmd, size_t i)
{
    static const struct two {
        const char *name;
        unsigned first, second;
    } twos[] = {{"rename", ACL_KEY_BOTH, ACL_KEY_WRITE},
                {"renamenx", ACL_KEY_BOTH, ACL_KEY_WRITE},
                {"copy", ACL_KEY_READ, ACL_KEY_WRITE},
                {"ts.createrule", ACL_KEY_READ, ACL_KEY_WRITE},
                {"ts.deleterule", ACL_KEY_READ, ACL_KEY_WRITE}};

    for (size_t k = 0; k < ARRAY_LEN(twos) && cmd->last_key == 2; k++)
        if (strcmp(cmd->name, twos[k].name) == 0) return i == 1 ? twos[k].first : twos[k].second;
    return cmd->flags & CMD_WRITE ? ACL_KEY_WRITE : ACL_KEY_READ;
}

/* ---- Categories ---------------------------------------------------------------- */

const struct command_bit command_categories[] = {
    {ACL_READ, "@read"}, {ACL_WRITE, "@write"}, {ACL_FAST, "@fast"},
    {ACL_SLOW, "@slow"}, {ACL_ADMIN, "@admin"}, {ACL_DANGEROUS, "@dangerous"},
    {ACL_CONNECTION, "@connection"}, {ACL_KEYSPACE, "@keyspace"},
    {ACL_TIMESERIES, "@timeseries"}, {ACL_TRANSACTION, "@transaction"},
    {ACL_PUBSUB, "@pubsub"}, {ACL_BLOCKING, "@blocking"},
};
const size_t n_command_categories = ARRAY_LEN(command_categories);

unsigned command_category(struct slice name)
{
    for (size_t i = 0; i < n_command_categories; i++)
        if (slice_is_nocase(name, command_categories[i].name + 1))
            return command_categories[i].bit;
    return 0;
}

void command_put_categories(struct reply *reply)
{
    reply_array(reply, n_command_categories);
    for (size_t i = 0; i < n_command_categories; i++)
        reply_text(reply, command_categories[i].name + 1);
}

/* ---- HELP ------------------------------------------------------- */

static bool is_sub_of(const struct command *cmd, struct slice container)
{
    struct slice name, sub;

    command_split_name(cmd, &name, &sub);
    return sub.len > 0 && slice_eq(name, container);
}

static void put_upper(char *dst, size_t room, struct slice text)
{
    size_t len = text.len < room - 1 ? text.len : room - 1;

    for (size_t i = 0; i < len; i++) {
        char c = text.ptr[i];
        dst[i] = c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
    }
    dst[len] = '\0';
}

status cmd_help(struct call *call, const void *args)
{
    char upper[64], line[400];
    struct slice container, sub;
    size_t n = 0;

    (void)args;
    command_split_name(call->cmd, &container, &sub);
    for (size_t i = 0; i < n_commands; i++) n += is_sub_of(&commands[i], container);
    put_upper(upper, sizeof(upper), container);
    reply_array(&call->reply, 1 + 2 * n);
    snprintf(line, sizeof(line),
             "%s <subcommand> [<arg> [value] [opt] ...]. Subcommands are:", upper);
    reply_simple(&call->reply, line);
    for (size_t i = 0; i < n_commands; i++) {
        if (!is_sub_of(&commands[i], container)) continue;
        command_split_name(&commands[i], &container, &sub);
        put_upper(upper, sizeof(upper), sub);
        snprintf(line, sizeof(line), "%s%s%s", upper, commands[i].syntax[0] ? " " : "",
                 commands[i].syntax);
        reply_simple(&call->reply, line);
        snprintf(line, sizeof(line), "    %s.", commands[i].summary);
        reply_simple(&call->reply, line);
    }
    return ST_OK;
}
