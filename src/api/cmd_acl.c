/* ACL: users and what they may do (acl_user.h). Changes run on the owner; sessions see
 * them with their next command, and those of users who are gone are closed. */
#include <stdio.h>
#include <string.h>

#include "api/acl.h"
#include "api/cmd_handlers.h"
#include "base/mem.h"
#include "base/panic.h"
#include "base/rng.h"

/* --- asking ------------------------------------------------------------------------------- */

status cmd_acl_whoami(struct call *call, const void *args)
{
    (void)args;
    reply_bulk(&call->reply, call->session->user->name);
    return ST_OK;
}

struct listing {
    struct strbuf text;         /* of one user */
    struct reply *reply;        /* NULL: only count */
    size_t n;
    bool names_only;
};

static void list_user(void *ctx, const struct acl_user *user)
{
    struct listing *list = ctx;

    list->n++;
    if (!list->reply) return;
    if (list->names_only) {
        reply_bulk(list->reply, user->name);
        return;
    }
    strbuf_reset(&list->text);
    strbuf_str(&list->text, "user ");
    strbuf_slice(&list->text, user->name);
    strbuf_char(&list->text, ' ');
    acl_user_print(&list->text, user);
    if (list->text.failed) list->reply->w.out->failed = true;
    else reply_bulk(list->reply, strbuf_view(&list->text));
}

/* On the owner nobody changes the table between counting and printing. */
static status put_users(struct call *call, struct reply *reply)
{
    struct listing list = {.names_only = slice_is_nocase(call->argv[1], "users")};

    strbuf_init(&list.text, 0);
    acl_each(call->app->acl, list_user, &list);
    reply_array(reply, list.n);
    list.reply = reply;
    acl_each(call->app->acl, list_user, &list);
    strbuf_release(&list.text);
    return ST_OK;
}

status cmd_acl_list(struct call *call, const void *args)
{
    (void)args;
    return call_on_owner(call, put_users);
}

static void put_text(struct call *call, void (*print)(struct strbuf *, const struct acl_selector *),
                     const char *name, const struct acl_selector *sel)
{
    struct strbuf text;

    strbuf_init(&text, 0);
    print(&text, sel);
    reply_text(&call->reply, name);
    if (text.failed) call->reply.w.out->failed = true;
    else reply_bulk(&call->reply, strbuf_view(&text));
    strbuf_release(&text);
}

static void put_selector(struct call *call, const struct acl_selector *sel)
{
    put_text(call, acl_print_commands, "commands", sel);
    put_text(call, acl_print_keys, "keys", sel);
    put_text(call, acl_print_channels, "channels", sel);
}

static void put_user(struct call *call, const struct acl_user *user)
{
    struct reply *reply = &call->reply;
    size_t n = 0;

    reply_map(reply, 6);
    reply_text(reply, "flags");
    reply_set(reply, user->nopass ? 2 : 1);
    reply_text(reply, user->on ? "on" : "off");
    if (user->nopass) reply_text(reply, "nopass");
    reply_text(reply, "passwords");
    for (const struct acl_text *at = user->passwords; at; at = at->next) n++;
    reply_array(reply, n);
    for (const struct acl_text *at = user->passwords; at; at = at->next)
        reply_bulk(reply, at->text);
    put_selector(call, &user->root);
    reply_text(reply, "selectors");
    n = 0;
    for (const struct acl_selector *sel = user->root.next; sel; sel = sel->next) n++;
    reply_array(reply, n);
    for (const struct acl_selector *sel = user->root.next; sel; sel = sel->next) {
        reply_map(reply, 3);
        put_selector(call, sel);
    }
}

status cmd_acl_getuser(struct call *call, const void *args)
{
    struct acl_user *user = acl_find(call->app->acl, call->argv[2]);

    (void)args;
    if (user) put_user(call, user);
    else reply_null(&call->reply);
    acl_user_unref(user);
    return ST_OK;
}

status cmd_acl_cat(struct call *call, const void *args)
{
    unsigned bit = 0;
    size_t n = 0;

    (void)args;
    if (call->argc == 2) {
        command_put_categories(&call->reply);
        return ST_OK;
    }
    if (call->argc > 3) return call_error(call, "wrong number of arguments for 'acl|cat' command");
    bit = command_category(call->argv[2]);
    if (!bit)
        return call_error(call, "Unknown category '%.*s'",
                          call->argv[2].len < 64 ? (int)call->argv[2].len : 64, call->argv[2].ptr);
    for (size_t i = 0; i < n_commands; i++) n += (commands[i].acl & bit) != 0;
    reply_array(&call->reply, n);
    for (size_t i = 0; i < n_commands; i++)
        if (commands[i].acl & bit) reply_text(&call->reply, commands[i].name);
    return ST_OK;
}

status cmd_acl_genpass(struct call *call, const void *args)
{
    enum { BITS = 256, BITS_MAX = 4096 };
    static const char digits[] = "0123456789abcdef";
    uint8_t bytes[BITS_MAX / 8];
    char text[BITS_MAX / 4];
    int64_t bits = BITS;

    (void)args;
    if (call->argc > 3)
        return call_error(call, "wrong number of arguments for 'acl|genpass' command");
    if (call->argc == 3 && !arg_int(&bits, call->argv[2]))
        return call_error(call, "value is not an integer or out of range");
    if (bits <= 0 || bits > BITS_MAX)
        return call_error(call, "ACL GENPASS argument must be the number of bits for the output "
                                "password, a positive number up to 4096");
    size_t n = ((size_t)bits + 3) / 4;
    rng_system_bytes(bytes, (n + 1) / 2);
    for (size_t i = 0; i < n; i++) text[i] = digits[(bytes[i / 2] >> (i % 2 ? 0 : 4)) & 15];
    reply_bulk(&call->reply, slice_of(text, n));
    return ST_OK;
}

status cmd_acl_dryrun(struct call *call, const void *args)
{
    const struct slice *words = call->argv + 3;
    size_t n = call->argc - 3, idx = 0;
    struct acl_user *user = acl_find(call->app->acl, call->argv[2]);
    char text[200] = "";

    (void)args;
    if (!user)
        return call_error(call, "User '%.*s' not found",
                          call->argv[2].len < 64 ? (int)call->argv[2].len : 64, call->argv[2].ptr);
    const struct command *cmd = command_of_words(words, n);
    if (!cmd || !command_arity_ok(cmd, n)) {
        acl_user_unref(user);
        if (cmd) return call_error(call, "wrong number of arguments for '%s' command", cmd->name);
        return call_error(call, "Command '%.*s' not found",
                          words[0].len < 64 ? (int)words[0].len : 64, words[0].ptr);
    }
    enum acl_verdict verdict = acl_user_check(user, cmd, words, n, &idx);
    acl_user_unref(user);
    if (verdict == ACL_ALLOWED) {
        reply_ok(&call->reply);
        return ST_OK;
    }
    if (verdict == ACL_NO_COMMAND)
        snprintf(text, sizeof(text), "This user has no permissions to run the '%s' command",
                 cmd->name);
    else
        snprintf(text, sizeof(text), "This user has no permissions to access the '%.*s' %s",
                 words[idx].len < 100 ? (int)words[idx].len : 100, words[idx].ptr,
                 verdict == ACL_NO_KEY ? "key" : "channel");
    reply_text(&call->reply, text);
    return ST_OK;
}

/* --- changing ------------------------------------------------------------------------------ */

static bool name_is_bad(struct slice name)
{
    return memchr(name.ptr, ' ', name.len) || memchr(name.ptr, '\0', name.len);
}

static status set_user(struct call *call, struct reply *reply)
{
    struct acl *acl = call->app->acl;
    struct slice name = call->argv[2];
    struct err err = {.st = ST_OK};

    if (name_is_bad(name))
        return call_error(call, "Usernames can't contain spaces or null characters");
    if (name.len == 0 || name.len > ACL_USER_NAME_MAX)
        return call_error(call, "Usernames have 1 to %d bytes", ACL_USER_NAME_MAX);
    struct acl_user *old = acl_find(acl, name);
    struct acl_user *user = old ? acl_user_copy(old, name) : acl_user_new(name);
    acl_user_unref(old);
    if (!user) return err_set(&call->err, ST_NO_MEMORY, "no memory for a user");
    status st = acl_user_apply(user, call->argv + 3, call->argc - 3, &err);
    if (st != ST_OK) {
        acl_user_unref(user);
        return call_error(call, "%s", err_text(&err, st));
    }
    TRY(acl_put(acl, user));
    reply_ok(reply);
    return ST_OK;
}

status cmd_acl_setuser(struct call *call, const void *args)
{
    (void)args;
    return call_on_owner(call, set_user);
}

static status del_users(struct call *call, struct reply *reply)
{
    struct slices names = call_words(call);
    uint64_t n = 0;

    for (size_t i = 0; i < names.n; i++)
        if (slice_is(names.ptr[i], "default"))
            return call_error(call, "The 'default' user cannot be removed");
    for (size_t i = 0; i < names.n; i++) n += acl_remove(call->app->acl, names.ptr[i]);
    if (n) session_close_orphans(call->app);
    reply_u64(reply, n);
    return ST_OK;
}

status cmd_acl_deluser(struct call *call, const void *args)
{
    (void)args;
    return call_on_owner(call, del_users);
}

/* --- the file ------------------------------------------------------------------------------- */

static status run_file(struct call *call, status (*run)(void *ctx, struct err *err),
                       struct reply *reply)
{
    struct err err = {.st = ST_OK};
    status st = run(call->app->ports.ctx, &err);

    if (st != ST_OK) return call_error(call, "%s", err_text(&err, st));
    reply_ok(reply);
    return ST_OK;
}

static status save_file(struct call *call, struct reply *reply)
{
    return run_file(call, call->app->ports.acl_save, reply);
}

static status load_file(struct call *call, struct reply *reply)
{
    TRY(run_file(call, call->app->ports.acl_load, reply));
    session_close_orphans(call->app);
    return ST_OK;
}

status cmd_acl_save(struct call *call, const void *args)
{
    (void)args;
    return call_on_owner(call, save_file);
}

status cmd_acl_load(struct call *call, const void *args)
{
    (void)args;
    return call_on_owner(call, load_file);
}

/* --- the log -------------------------------------------------------------------------------- */

static void put_pair(struct reply *reply, const char *name, const char *value)
{
    reply_text(reply, name);
    reply_text(reply, value);
}

static void put_age(struct reply *reply, double seconds)
{
    char text[32];

    snprintf(text, sizeof(text), "%.3f", seconds);
    if (reply_version(reply) >= 3) reply_double(reply, seconds);
    else reply_text(reply, text);
}

static void put_entry(struct call *call, const struct acl_log_entry *entry)
{
    static const char *const reasons[] = {"command", "key", "channel", "auth"};
    struct reply *reply = &call->reply;

    reply_map(reply, 10);
    reply_text(reply, "count");
    reply_u64(reply, entry->count);
    put_pair(reply, "reason", reasons[entry->reason]);
    put_pair(reply, "context", entry->in_multi ? "multi" : "toplevel");
    put_pair(reply, "object", entry->object);
    put_pair(reply, "username", entry->user);
    reply_text(reply, "age-seconds");
    put_age(reply, (double)(clock_wall(call->app->clock) - entry->first_ms) / 1000);
    put_pair(reply, "client-info", entry->client);
    reply_text(reply, "entry-id");
    reply_u64(reply, entry->id);
    reply_text(reply, "timestamp-created");
    reply_int(reply, entry->first_ms);
    reply_text(reply, "timestamp-last-updated");
    reply_int(reply, entry->last_ms);
}

status cmd_acl_log(struct call *call, const void *args)
{
    int64_t n = 10;

    (void)args;
    if (call->argc > 3) return call_error(call, "wrong number of arguments for 'acl|log' command");
    if (call->argc == 3 && slice_is_nocase(call->argv[2], "RESET")) {
        acl_log_reset(call->app->acl);
        reply_ok(&call->reply);
        return ST_OK;
    }
    if (call->argc == 3 && !arg_int(&n, call->argv[2]))
        return call_error(call, "value is not an integer or out of range");
    if (n < 0) n = 0;
    if (n > ACL_LOG_MAX) n = ACL_LOG_MAX;
    struct acl_log_entry *entries = mem_try_array((size_t)n + 1, sizeof(*entries));
    if (!entries) return err_set(&call->err, ST_NO_MEMORY, "no memory for the log");
    size_t found = acl_log_read(call->app->acl, entries, (size_t)n);
    reply_array(&call->reply, found);
    for (size_t i = 0; i < found; i++) put_entry(call, &entries[i]);
    mem_free(entries);
    return ST_OK;
}
