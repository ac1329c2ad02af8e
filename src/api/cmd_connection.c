/* Commands about the connection itself: PING ECHO HELLO AUTH SELECT QUIT RESET. They
 * touch nothing but the session and are answered on the connection's loop, also while
 * the database is being opened. */
#include "api/acl.h"
#include "api/cmd_handlers.h"
#include "api/pubsub.h"
#include "api/version.h"

status cmd_ping(struct call *call, const void *args)
{
    (void)args;
    if (call->argc > 2) return call_error(call, "wrong number of arguments for 'ping' command");
    if (call->session->version < 3 && pubsub_is_on(call->session)) {
        reply_array(&call->reply, 2);
        reply_text(&call->reply, "pong");
        reply_bulk(&call->reply, call->argc == 2 ? call->argv[1] : slice_of("", 0));
    } else if (call->argc == 2) reply_bulk(&call->reply, call->argv[1]);
    else reply_simple(&call->reply, "PONG");
    return ST_OK;
}

status cmd_echo(struct call *call, const void *args)
{
    (void)args;
    reply_bulk(&call->reply, call->argv[1]);
    return ST_OK;
}

status cmd_select(struct call *call, const void *args)
{
    int64_t index;

    (void)args;
    if (!arg_int(&index, call->argv[1]) || index < INT32_MIN || index > INT32_MAX) {
        return call_error(call, "value is not an integer or out of range");
    }
    if (index != 0) return call_error(call, "DB index is out of range");
    reply_ok(&call->reply);
    return ST_OK;
}

status cmd_quit(struct call *call, const void *args)
{
    (void)args;
    reply_ok(&call->reply);
    reply_slot_close_after(call->slot);
    return ST_OK;
}

status cmd_reset(struct call *call, const void *args)
{
    (void)args;
    session_reset(call->session);
    call->muted = false;
    reply_simple(&call->reply, "RESET");
    return ST_OK;
}

/* ---- Who ------------------------------------------------------------------------- */

/* The user of these credentials; what fails goes to the log of the acl. */
static status find_user(struct call *call, struct slice name, struct slice password,
                        struct acl_user **user)
{
    *user = acl_authenticate(call->app->acl, name, password);
    if (*user) return ST_OK;
    call_log_denied(call, ACL_LOG_AUTH, call->cmd->name, name);
    return call_error_raw(call, "WRONGPASS invalid username-password pair or user is disabled.");
}

static bool default_has_no_password(struct call *call)
{
    struct acl_user *user = acl_find(call->app->acl, SLICE_LIT("default"));
    bool none = user && user->nopass;

    acl_user_unref(user);
    return none;
}

status cmd_auth(struct call *call, const void *args)
{
    struct slice name = call->argc == 3 ? call->argv[1] : SLICE_LIT("default");
    struct acl_user *user;

    (void)args;
    if (call->argc > 3) return call_error(call, "syntax error");
    if (call->argc == 2 && default_has_no_password(call)) {
        return call_error(call, "AUTH <password> called without any password configured for the "
                                "default user. Are you sure your configuration is correct?");
    }
    TRY(find_user(call, name, call->argv[call->argc - 1], &user));
    session_authenticate(call->session, user);
    reply_ok(&call->reply);
    return ST_OK;
}

/* ---- HELLO -------------------------------------------------------------------------- */

struct hello {
    int version;
    struct acl_user *user; /* of AUTH, a reference; or NULL */
    bool named;
    struct slice name;
};

static status parse_hello_option(struct call *call, struct hello *hello, size_t *i)
{
    struct slice word = call->argv[*i];
    size_t left = call->argc - *i - 1;

    if (slice_is_nocase(word, "AUTH") && left >= 2) {
        acl_user_unref(hello->user);
        TRY(find_user(call, call->argv[*i + 1], call->argv[*i + 2], &hello->user));
        *i += 3;
        return ST_OK;
    }
    if (slice_is_nocase(word, "SETNAME") && left >= 1) {
        hello->named = true;
        hello->name = call->argv[*i + 1];
        *i += 2;
        if (session_name_ok(hello->name)) return ST_OK;
        return call_error(
            call, "Client names cannot contain spaces, newlines or special characters.");
    }
    return call_error(call, "Syntax error in HELLO option '%.*s'",
                      word.len < 64 ? (int)word.len : 64, word.ptr);
}

static status no_auth_hello(struct call *call)
{
    return call_error_raw(call, "NOAUTH HELLO must be called with the client already "
                                "authenticated, otherwise the HELLO AUTH <user> <pass> option can "
                                "be used to authenticate the client and select the RESP protocol "
                                "version at the same time");
}

static status parse_hello(struct call *call, struct hello *hello)
{
    int64_t version;

    hello->version = call->session->version;
    if (call->argc == 1 && call->session->authenticated) return ST_OK;
    if (call->argc == 1) return no_auth_hello(call);
    if (!arg_int(&version, call->argv[1])) {
        return call_error(call, "Protocol version is not an integer or out of range");
    }
    if (version < 2 || version > 3) {
        return call_error_raw(call, "NOPROTO unsupported protocol version");
    }
    hello->version = (int)version;
    for (size_t i = 2; i < call->argc;) TRY(parse_hello_option(call, hello, &i));
    if (call->session->authenticated || hello->user) return ST_OK;
    return no_auth_hello(call);
}

/* All or nothing: the session changes only when every option was good. */
status cmd_hello(struct call *call, const void *args)
{
    struct reply *reply = &call->reply;
    struct hello hello = {0};

    (void)args;
    status st = parse_hello(call, &hello);
    if (st != ST_OK) {
        acl_user_unref(hello.user);
        return st;
    }
    if (hello.user) session_authenticate(call->session, hello.user);
    if (hello.named) conn_set_name(call->conn, hello.name);
    call->session->version = hello.version;
    reply_init(reply, reply_slot_out(call->slot), hello.version);
    reply_map(reply, 7);
    reply_text(reply, "server");
    reply_text(reply, "redis");
    reply_text(reply, "version");
    reply_text(reply, API_REDIS_VERSION);
    reply_text(reply, "proto");
    reply_int(reply, hello.version);
    reply_text(reply, "id");
    reply_u64(reply, conn_id(call->conn));
    reply_text(reply, "mode");
    reply_text(reply, "standalone");
    reply_text(reply, "role");
    reply_text(reply, "master");
    reply_text(reply, "modules");
    reply_array(reply, 1);
    reply_map(reply, 2);
    reply_text(reply, "name");
    reply_text(reply, "timeseries");
    reply_text(reply, "ver");
    reply_int(reply, API_TS_MODULE_VERSION);
    return ST_OK;
}
