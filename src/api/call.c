/* Calls: from the words of a request to its reply.
 *
 *     find the row -> container? the subcommand -> arity -> loading? -> arguments
 *       -> handler -> reply, or its failure, or later
 *
 * A session keeps one call for the next command, so a pipeline of commands that are
 * answered at once allocates nothing; a call that stays is replaced by a new one.
 */
#include "api/call.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "api/acl.h"
#include "api/command.h"
#include "api/command_stats.h"
#include "api/events.h"
#include "api/multi.h"
#include "api/pubsub.h"
#include "base/mem.h"
#include "base/panic.h"

enum { ARENA_BLOCK = 1024, NAME_SHOWN = 128 /* of an unknown command; as Redis */ };

/* ---- Life ------------------------------------------------------- */

static struct call *begin(struct conn *conn, struct reply_slot *slot, const struct slice *argv,
                          size_t argc)
{
    struct session *session = session_of(conn);
    struct call *call = session->spare ? session->spare : mem_alloc(sizeof(*call));

    session->spare = NULL;
    call->app = session->app;
    call->session = session;
    call->conn = conn;
    call->slot = slot;
    call->cmd = NULL;
    call->argv = argv;
    call->argc = argc;
    call->err.st = ST_OK;
    call->err.text[0] = '\0';
    call->raw_error = call->later = call->alone = false;
    call->muted = session->replies != SESSION_REPLY_ON;
    if (session->replies == SESSION_REPLY_SKIP) session->replies = SESSION_REPLY_ON;
    call->state = NULL;
    call->ended = NULL;
    call->gate = 0;
    call->under_way = call->reading = call->failed = false;
    call->began = call->now = 0;
    call->in_exec = session->multi && session->multi->running;
    arena_init(&call->arena, call->app->net_account, ARENA_BLOCK);
    reply_init(&call->reply, reply_slot_out(slot), session->version);
    return call;
}

/* Microseconds that a call took which went away, at least 1; 0 of one that did not. */
static uint64_t time_of(const struct call *call)
{
    if (!call->began) return 0;
    mono_ns now = call->now ? call->now : clock_mono(call->app->clock);
    return now - call->began >= 2000 ? (uint64_t)(now - call->began) / 1000 : 1;
}

static void end(struct call *call, uint64_t gate)
{
    struct session *session = call->session;
    struct reply_slot *slot = call->slot;
    struct conn *conn = call->conn;
    bool alone = call->alone;

    if (call->ended) *call->ended = true;
    events_of_call(call);
    command_stats_add(call, time_of(call));
    if (call->muted) iobuf_truncate(reply_slot_out(slot), 0, NULL);
    arena_release(&call->arena);
    txn_call_ends(call);
    struct call *next = NULL;
    if (call->reading && --session->n_reads == 0) {
        next = session->after_reads;
        session->after_reads = NULL;
    }
    bool in_exec = call->in_exec;
    if (session->spare) mem_free(call);
    else session->spare = call;
    reply_slot_finish_at(slot, gate);
    if (alone) conn_resume(conn);
    if (in_exec) multi_call_ended(session->multi);
    if (next) call_unpark(next);
}

static void put_error(struct call *call, status st)
{
    iobuf_truncate(reply_slot_out(call->slot), 0, NULL);
    counter_add(&call->app->stats.n_command_errors, 1);
    call->failed = true;
    const char *text = err_text(&call->err, st);
    if (call->raw_error) resp_error(&call->reply.w, slice_str(text));
    else resp_errorf(&call->reply.w, "%s %s", status_resp(st), text);
}

status call_later(struct call *call)
{
    struct slice *copy = arena_try_array(&call->arena, call->argc, sizeof(*copy));

    if (!copy) return err_set(&call->err, ST_NO_MEMORY, "no memory for the arguments");
    memcpy(copy, call->argv, call->argc * sizeof(*copy));
    call->argv = copy;
    call->later = true;
    call->began = loop_now(conn_loop_loop(conn_home(call->conn)));
    txn_call_begins(call);
    if (call->cmd && !(call->cmd->flags & CMD_WRITE) && !call->reading) {
        call->reading = true;
        call->session->n_reads++;
    }
    reply_slot_hold_input(call->slot);
    return ST_OK;
}

status call_later_alone(struct call *call)
{
    TRY(call_later(call));
    call->alone = true;
    conn_pause(call->conn);
    return ST_OK;
}

void call_finish_at(struct call *call, uint64_t gate)
{
    ASSERT(call->later);
    end(call, gate);
}

void call_finish(struct call *call)
{
    call_finish_at(call, 0);
}

void call_fail(struct call *call, status st)
{
    ASSERT(call->later && st != ST_OK);
    put_error(call, st);
    end(call, 0);
}

/* ---- On the owner ------------------------------------------------------- */

struct owner_visit {
    struct task task;
    struct call *call;
    struct loop *home;
    status (*fn)(struct call *call, struct reply *reply);
    struct iobuf out; /* the reply: from the heap, since it is written elsewhere */
    status st;
};

static void back_home(struct task *task)
{
    struct owner_visit *visit = container_of(task, struct owner_visit, task);
    struct call *call = visit->call;

    if (visit->st != ST_OK) {
        iobuf_release(&visit->out, NULL);
        call_fail(call, visit->st);
        return;
    }
    reply_slot_take(call->slot, &visit->out);
    call_finish_at(call, call->gate);
}

static void on_owner(struct task *task)
{
    struct owner_visit *visit = container_of(task, struct owner_visit, task);
    struct reply reply;

    reply_init(&reply, &visit->out, reply_version(&visit->call->reply));
    visit->st = visit->fn(visit->call, &reply);
    visit->task.fn = back_home;
    app_to_loop(visit->home, &visit->task);
}

static void start_visit(struct owner_visit *visit, struct call *call,
                        status (*fn)(struct call *call, struct reply *reply))
{
    list_init(&visit->task.link);
    visit->task.fn = on_owner;
    visit->call = call;
    visit->home = conn_loop_loop(conn_home(call->conn));
    visit->fn = fn;
    iobuf_init(&visit->out, NULL, call->app->net_account, 0);
    app_to_owner(call->app, &visit->task);
}

status call_on_owner(struct call *call, status (*fn)(struct call *call, struct reply *reply))
{
    TRY(call_later_alone(call));
    struct owner_visit *visit = arena_try_zero(&call->arena, sizeof(*visit));
    if (!visit) return err_set(&call->err, ST_NO_MEMORY, "no memory for the command");
    start_visit(visit, call, fn);
    return ST_OK;
}

void call_visit_owner(struct call *call, status (*fn)(struct call *call, struct reply *reply))
{
    struct owner_visit *visit = arena_try_zero(&call->arena, sizeof(*visit));
    if (visit) start_visit(visit, call, fn);
    else call_fail(call, err_set(&call->err, ST_NO_MEMORY, "no memory for the command"));
}

/* ---- Failures with words of their own ------------------------------------------------------- */

static void set_text(struct call *call, const char *fmt, va_list args)
{
    call->err.st = ST_INVALID;
    if (vsnprintf(call->err.text, sizeof(call->err.text), fmt, args) < 0) call->err.text[0] = '\0';
}

status call_error(struct call *call, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    set_text(call, fmt, args);
    va_end(args);
    return ST_INVALID;
}

status call_error_raw(struct call *call, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    set_text(call, fmt, args);
    va_end(args);
    call->raw_error = true;
    return ST_INVALID;
}

struct slices call_words(const struct call *call)
{
    size_t n_own = command_is_sub(call->cmd) ? 2 : 1;
    return (struct slices){call->argv + n_own, call->argc - n_own};
}

/* ---- Dispatch ------------------------------------------------------- */

/* "unknown command 'x', with args beginning with: 'a' 'b' ", as Redis cuts it. */
static status unknown_command(struct call *call)
{
    char args[NAME_SHOWN + 8];
    size_t len = 0;
    struct slice name = call->argv[0];

    args[0] = '\0';
    for (size_t i = 1; i < call->argc && len < NAME_SHOWN; i++) {
        struct slice word = call->argv[i];
        int shown = (int)(word.len < NAME_SHOWN - len ? word.len : NAME_SHOWN - len);
        int n = snprintf(args + len, sizeof(args) - len, "'%.*s' ", shown, word.ptr);
        len += (size_t)n < sizeof(args) - len ? (size_t)n : sizeof(args) - len - 1;
    }
    return call_error(call, "unknown command '%.*s', with args beginning with: %s",
                      (int)(name.len < NAME_SHOWN ? name.len : NAME_SHOWN), name.ptr, args);
}

static status unknown_subcommand(struct call *call, const struct command *container)
{
    char upper[32];
    size_t i = 0;

    for (; container->name[i] && i < sizeof(upper) - 1; i++) {
        char c = container->name[i];
        upper[i] = c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
    }
    upper[i] = '\0';
    struct slice sub = call->argv[1];
    return call_error(call, "unknown subcommand '%.*s'. Try %s HELP.",
                      (int)(sub.len < NAME_SHOWN ? sub.len : NAME_SHOWN), sub.ptr, upper);
}

static status find(struct call *call)
{
    struct session *session = call->session;
    const struct command *cmd = session->last;

    if (!cmd || !slice_is_nocase(call->argv[0], cmd->name)) cmd = command_find(call->argv[0]);
    if (!cmd) return unknown_command(call);
    session->last = cmd;
    if ((cmd->flags & CMD_CONTAINER) && call->argc > 1) {
        const struct command *sub = command_find_sub(cmd, call->argv[1]);
        if (!sub) return unknown_subcommand(call, cmd);
        cmd = sub;
    }
    call->cmd = cmd;
    if (!command_arity_ok(cmd, call->argc)) {
        return call_error(call, "wrong number of arguments for '%s' command", cmd->name);
    }
    return ST_OK;
}

void call_log_denied(struct call *call, int reason, const char *object, struct slice user)
{
    const struct multi *multi = call->session->multi;
    struct slice name = user.len ? user : call->session->user->name;
    struct acl_log_entry entry = {.reason = (enum acl_reason)reason,
                                  .in_multi = multi && (multi->open || call->in_exec),
                                  .first_ms = clock_wall(call->app->clock)};
    struct strbuf line;

    entry.last_ms = entry.first_ms;
    snprintf(entry.object, sizeof(entry.object), "%s", object);
    snprintf(entry.user, sizeof(entry.user), "%.*s",
             name.len < sizeof(entry.user) ? (int)name.len : (int)sizeof(entry.user) - 1, name.ptr);
    strbuf_init(&line, 0);
    session_print(&line, call->conn);
    if (line.len) line.len--; /* its newline */
    snprintf(entry.client, sizeof(entry.client), "%s", line.failed ? "" : strbuf_cstr(&line));
    strbuf_release(&line);
    acl_log_add(call->app->acl, &entry);
}

static status deny(struct call *call, enum acl_verdict verdict, size_t idx)
{
    static const enum acl_reason reasons[] = {[ACL_NO_COMMAND] = ACL_LOG_COMMAND,
                                              [ACL_NO_KEY] = ACL_LOG_KEY,
                                              [ACL_NO_CHANNEL] = ACL_LOG_CHANNEL};
    char object[NAME_SHOWN] = "";

    if (verdict == ACL_NO_COMMAND)
        snprintf(object, sizeof(object), "%s", call->cmd->name);
    else
        snprintf(object, sizeof(object), "%.*s",
                 call->argv[idx].len < NAME_SHOWN ? (int)call->argv[idx].len : NAME_SHOWN - 1,
                 call->argv[idx].ptr);
    call_log_denied(call, (int)reasons[verdict], object, slice_of("", 0));
    if (verdict == ACL_NO_COMMAND)
        return call_error_raw(call, "NOPERM this user has no permissions to run the '%s' command",
                              call->cmd->name);
    return call_error_raw(call, "NOPERM this user has no permissions to access one of the %s used "
                                "as arguments",
                          verdict == ACL_NO_KEY ? "keys" : "channels");
}

/* Commands that reach series without naming their keys, and do not look at each (those of
 * ts_many_fetch() do): they need all keys. */
static bool needs_all_keys(const struct command *cmd)
{
    static const char *const exact[] = {"ts.mget", "ts.mrange", "ts.mrevrange", "ts.queryindex"};

    if (!(cmd->flags & CMD_TS) || cmd->first_key || (cmd->flags & (CMD_MOVABLE | CMD_ADMIN)))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(exact); i++)
        if (strcmp(cmd->name, exact[i]) == 0) return false;
    return true;
}

static status authorise(struct call *call)
{
    struct session *session = call->session;
    const struct command *cmd = call->cmd;
    size_t idx = 0;

    if (acl_generation(call->app->acl) != session->acl_seen && !session_refresh(session)) {
        conn_close_soon(call->conn);
        return call_error_raw(call, "NOAUTH Authentication required.");
    }
    if (!session->authenticated && !(cmd->flags & CMD_NO_AUTH))
        return call_error_raw(call, "NOAUTH Authentication required.");
    const struct acl_user *user = session->user;
    if (user->can_all) return ST_OK;
    enum acl_verdict verdict = acl_user_check(user, cmd, call->argv, call->argc, &idx);
    if (verdict != ACL_ALLOWED) return deny(call, verdict, idx);
    unsigned perms = cmd->flags & CMD_WRITE ? ACL_KEY_WRITE : ACL_KEY_READ;
    if (!needs_all_keys(cmd) || acl_user_may_all(user, perms)) return ST_OK;
    return err_set(&call->err, ST_DENIED,
                   "TSDB: current user doesn't have %s permission to one or more keys that match "
                   "the specified filter",
                   perms == ACL_KEY_WRITE ? "write" : "read");
}

static status admit(struct call *call)
{
    struct app *app = call->app;

    if (call->cmd->flags & CMD_LOADING) return ST_OK;
    if (atomic_load_explicit(&app->ready, memory_order_acquire)) return ST_OK;
    return err_set(&call->err, ST_LOADING, "Redis is loading the dataset in memory");
}

static status parse(struct call *call)
{
    const struct command *cmd = call->cmd;
    struct slices words = call_words(call);
    enum arg_unknown unknown = ARG_UNKNOWN_SYNTAX;

    if (!cmd->shape) return ST_OK;
    if (cmd->flags & CMD_TS) {
        bool lenient = app_settings(call->app)->resp_lenient_args;
        unknown = lenient ? ARG_UNKNOWN_SKIP : ARG_UNKNOWN_TSDB;
    }
    return args_parse(call->args, cmd->shape, words.ptr, words.n, unknown, &call->arena,
                      &call->err);
}

/* Between MULTI and EXEC: what cannot be queued spoils the transaction. */
static status queue(struct call *call, status st)
{
    struct multi *multi = call->session->multi;

    if (st == ST_OK && (call->cmd->flags & CMD_NO_MULTI))
        st = call_error(call, "Command not allowed inside a transaction");
    if (st != ST_OK) {
        multi->dirty = true;
        return st;
    }
    TRY(multi_queue(multi, call, &call->err));
    reply_simple(&call->reply, "QUEUED");
    return ST_OK;
}

/* A read looks when its job begins: a write that came behind it in the pipeline waits. */
static status wait_for_reads(struct call *call)
{
    TRY(call_later_alone(call));
    txn_call_waits(call);
    call->session->after_reads = call;
    return ST_OK;
}

static status check_listener(struct call *call)
{
    const struct session *session = call->session;

    if (session->version >= 3 || !pubsub_is_on(session)) return ST_OK;
    return call_error(call,
                      "Can't execute '%s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / "
                      "RESET are allowed in this context",
                      call->cmd->name);
}

/* CLIENT PAUSE holds back what writes, or all but what lives with the connection and ends
 * the pause. EXEC counts as a write, as PUBLISH does. */
static bool must_pause(const struct call *call)
{
    const struct command *cmd = call->cmd;
    bool writes = (cmd->flags & CMD_WRITE) || strcmp(cmd->name, "exec") == 0 ||
                  strcmp(cmd->name, "publish") == 0;

    if (call->in_exec || strncmp(cmd->name, "client|", 7) == 0) return false;
    return txn_is_paused(call->app->txns, writes);
}

static status park(struct call *call)
{
    TRY(call_later_alone(call));
    txn_call_waits(call);
    txn_park(call);
    return ST_OK;
}

static void quote_word(struct strbuf *out, struct slice word)
{
    static const char marks[] = "\n\r\t\a\b", names[] = "nrtab";

    strbuf_str(out, " \"");
    for (size_t i = 0; i < word.len; i++) {
        unsigned char c = (unsigned char)word.ptr[i];
        const char *mark = c ? strchr(marks, c) : NULL;
        if (c == '"' || c == '\\') strbuf_printf(out, "\\%c", c);
        else if (mark) strbuf_printf(out, "\\%c", names[mark - marks]);
        else if (c < ' ' || c > '~') strbuf_printf(out, "\\x%02x", c);
        else strbuf_char(out, (char)c);
    }
    strbuf_char(out, '"');
}

/* MONITOR's line. Passwords and what administrators do are not shown, as in Redis. */
static void show_to_monitors(struct call *call)
{
    enum { LINE_MAX_BYTES = 1 << 20 };
    int64_t us = call->app->clock->wall_ns(call->app->clock) / 1000;
    struct conn_info info;
    struct strbuf line;

    if (call->cmd->flags & (CMD_ADMIN | CMD_NO_AUTH)) return;
    conn_info(call->conn, &info);
    strbuf_init(&line, LINE_MAX_BYTES);
    strbuf_printf(&line, "%lld.%06lld [0 %s]", (long long)(us / 1000000),
                  (long long)(us % 1000000), info.addr);
    for (size_t i = 0; i < call->argc && !line.failed; i++) quote_word(&line, call->argv[i]);
    if (!line.failed) pubsub_tell_monitors(call->app, strbuf_view(&line));
    strbuf_release(&line);
}

static status run(struct call *call)
{
    status st = find(call);

    if (st == ST_OK) st = authorise(call);
    if (st == ST_OK) st = admit(call);
    if (call->session->multi && call->session->multi->open &&
        (st != ST_OK || !(call->cmd->flags & CMD_TXN)))
        return queue(call, st);
    if (st != ST_OK) return st;
    if (must_pause(call)) return park(call);
    if (!(call->cmd->flags & CMD_LISTENER)) TRY(check_listener(call));
    if ((call->cmd->flags & CMD_WRITE) && call->session->n_reads) return wait_for_reads(call);
    conn_set_command(call->conn, call->cmd->name);
    if (pubsub_has_monitors(call->app->pubsub)) show_to_monitors(call);
    TRY(parse(call));
    return call->cmd->handle(call, call->args);
}

static void execute(struct call *call)
{
    struct conn *conn = call->conn;
    bool ended = false;

    call->ended = &ended;
    status st = run(call);
    if (ended) return; /* put off and done already, all within the handler */
    call->ended = NULL;
    if (st != ST_OK) {
        if (call->alone) conn_resume(conn);
        call->later = call->alone = false;
        put_error(call, st);
    } else if (call->later) {
        return;
    }
    end(call, 0);
}

void call_request(struct conn *conn, struct reply_slot *slot, const struct slice *argv, size_t argc)
{
    struct call *call = begin(conn, slot, argv, argc);

    counter_add(&call->app->stats.n_commands, 1);
    if (!txn_must_park(call->app->txns, conn_id(conn))) {
        execute(call);
        return;
    }
    status st = park(call);
    if (st == ST_OK) return;
    put_error(call, st);
    end(call, 0);
}

void call_unpark(struct call *call)
{
    conn_resume(call->conn);
    call->later = call->alone = false;
    execute(call);
}

void call_abandon(struct call *call)
{
    arena_release(&call->arena);
    mem_free(call);
}

void call_gate_failed(struct conn *conn, struct reply_slot *slot, status st)
{
    struct session *session = session_of(conn);
    struct reply reply;

    if (session->replies == SESSION_REPLY_OFF) return;
    reply_init(&reply, reply_slot_out(slot), session->version);
    resp_errorf(&reply.w, "%s %s", status_resp(st), status_text(st));
}
