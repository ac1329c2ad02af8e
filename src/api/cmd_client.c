/* CLIENT: one's own connection, and all others.
 *
 * LIST and KILL look at connections of every loop. A walk is a message that goes from
 * loop to loop, does its part there, and comes home; it lives in the call's arena.
 */
#include <stdio.h>
#include <string.h>

#include "api/acl.h"
#include "api/cmd_handlers.h"
#include "api/multi.h"
#include "api/pubsub.h"
#include "api/txn.h"
#include "base/panic.h"

/* ---- One's own ---------------------------------------------------------------------- */

status cmd_client_id(struct call *call, const void *args)
{
    (void)args;
    reply_u64(&call->reply, conn_id(call->conn));
    return ST_OK;
}

status cmd_client_getname(struct call *call, const void *args)
{
    struct conn_info info;

    (void)args;
    conn_info(call->conn, &info);
    if (info.name[0]) reply_text(&call->reply, info.name);
    else reply_null(&call->reply);
    return ST_OK;
}

status cmd_client_setname(struct call *call, const void *args)
{
    (void)args;
    if (!session_name_ok(call->argv[2])) {
        return call_error(
            call, "Client names cannot contain spaces, newlines or special characters.");
    }
    conn_set_name(call->conn, call->argv[2]);
    reply_ok(&call->reply);
    return ST_OK;
}

status cmd_client_setinfo(struct call *call, const void *args)
{
    struct slice option = call->argv[2], value = call->argv[3];
    bool name = slice_is_nocase(option, "LIB-NAME");

    (void)args;
    if (!name && !slice_is_nocase(option, "LIB-VER")) {
        return call_error(call, "Unrecognized option '%.*s'",
                          option.len < 64 ? (int)option.len : 64, option.ptr);
    }
    if (!session_name_ok(value)) {
        return call_error(call, "%s cannot contain spaces, newlines or special characters.",
                          name ? "lib-name" : "lib-ver");
    }
    char *dst = name ? call->session->lib_name : call->session->lib_ver;
    snprintf(dst, SESSION_LIB_MAX, "%.*s",
             value.len < SESSION_LIB_MAX ? (int)value.len : SESSION_LIB_MAX - 1, value.ptr);
    reply_ok(&call->reply);
    return ST_OK;
}

static status take_switch(struct call *call, bool *flag)
{
    if (slice_is_nocase(call->argv[2], "ON")) *flag = true;
    else if (slice_is_nocase(call->argv[2], "OFF")) *flag = false;
    else return call_error(call, "syntax error");
    reply_ok(&call->reply);
    return ST_OK;
}

status cmd_client_no_evict(struct call *call, const void *args)
{
    (void)args;
    return take_switch(call, &call->session->no_evict);
}

status cmd_client_no_touch(struct call *call, const void *args)
{
    (void)args;
    return take_switch(call, &call->session->no_touch);
}

status cmd_client_reply(struct call *call, const void *args)
{
    struct session *session = call->session;
    struct slice mode = call->argv[2];

    (void)args;
    if (slice_is_nocase(mode, "ON")) {
        session->replies = SESSION_REPLY_ON;
        call->muted = false;
        reply_ok(&call->reply);
    } else if (slice_is_nocase(mode, "OFF")) {
        session->replies = SESSION_REPLY_OFF;
        call->muted = true;
    } else if (slice_is_nocase(mode, "SKIP")) {
        if (session->replies == SESSION_REPLY_ON) session->replies = SESSION_REPLY_SKIP;
        call->muted = true;
    } else {
        return call_error(call, "syntax error");
    }
    return ST_OK;
}

/* ---- A line of LIST ------------------------------------------------------- */

/* Letters of what the client is in the middle of; N: nothing. */
static void put_flags(char flags[8], const struct session *session)
{
    size_t n = 0;

    if (pubsub_is_on(session)) flags[n++] = 'P';
    if (pubsub_count(session, PUBSUB_MONITOR)) flags[n++] = 'O';
    if (session->multi && session->multi->open) flags[n++] = 'x';
    if (session->no_evict) flags[n++] = 'e';
    if (session->no_touch) flags[n++] = 'T';
    if (n == 0) flags[n++] = 'N';
    flags[n] = '\0';
}

/* The fields that have no meaning here have the value of a client that does not use
 * them; parsers of this line expect them. */
void session_print(struct strbuf *out, const struct conn *conn)
{
    const struct session *session = session_of(conn);
    const struct multi *multi = session->multi;
    struct conn_info info;
    char flags[8];

    put_flags(flags, session);
    conn_info(conn, &info);
    strbuf_printf(out,
                  "id=%llu addr=%s laddr=%s fd=%d name=%s age=%lld idle=%lld flags=%s db=0 "
                  "sub=%zu psub=%zu ssub=0 multi=%lld watch=%zu qbuf=%zu qbuf-free=%zu "
                  "argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=%zu omem=%zu tot-mem=%zu "
                  "events=%s cmd=%s user=" SLICE_FMT " "
                  "redir=-1 resp=%d lib-name=%s lib-ver=%s\n",
                  (unsigned long long)info.id, info.addr, info.laddr, info.fd, info.name,
                  (long long)info.age_s, (long long)info.idle_s, flags,
                  pubsub_count(session, PUBSUB_CHANNEL), pubsub_count(session, PUBSUB_PATTERN),
                  multi && multi->open ? (long long)multi->queue.len : -1,
                  multi ? multi->watches.len : 0, info.input_len,
                  info.input_cap - info.input_len, info.n_waiting, info.output_len,
                  info.input_cap + info.output_len, info.output_len ? "rw" : "r",
                  info.command[0] ? info.command : "NULL", SLICE_ARG(session->user->name),
                  session->version,
                  session->lib_name, session->lib_ver);
}

static void reply_lines(struct call *call, struct strbuf *text)
{
    if (text->failed) {
        call->reply.w.out->failed = true;
    } else {
        reply_verbatim(&call->reply, strbuf_view(text));
    }
    strbuf_release(text);
}

status cmd_client_info(struct call *call, const void *args)
{
    struct strbuf text;

    (void)args;
    strbuf_init(&text, 0);
    session_print(&text, call->conn);
    reply_lines(call, &text);
    return ST_OK;
}

/* ---- Whom ------------------------------------------------------- */

struct whom {
    const struct slice *ids; /* NULL: any */
    size_t n_ids;
    struct slice addr, laddr; /* empty: any */
    struct slice user;        /* empty: any */
    bool pubsub, normal;      /* TYPE; neither: any */
    bool nobody;              /* a type that nobody here has */
    bool skip_me;
    int64_t age_s_min;        /* 0: any */
};

static bool has_id(const struct whom *whom, uint64_t id)
{
    int64_t number;

    for (size_t i = 0; i < whom->n_ids; i++) {
        if (arg_int(&number, whom->ids[i]) && number > 0 && (uint64_t)number == id) return true;
    }
    return false;
}

static bool is_meant(const struct whom *whom, const struct conn *conn)
{
    struct conn_info info;

    const struct session *session = session_of(conn);
    if (whom->nobody) return false;
    if ((whom->pubsub || whom->normal) && pubsub_is_on(session) != whom->pubsub) return false;
    if (whom->user.len && !slice_eq(whom->user, session->user->name)) return false;
    conn_info(conn, &info);
    if (whom->ids && !has_id(whom, info.id)) return false;
    if (whom->addr.len && !slice_is(whom->addr, info.addr)) return false;
    if (whom->laddr.len && !slice_is(whom->laddr, info.laddr)) return false;
    return info.age_s >= whom->age_s_min;
}

static status parse_type(struct call *call, struct whom *whom, struct slice type)
{
    static const char *const empty[] = {"master", "slave", "replica"};

    whom->normal = slice_is_nocase(type, "normal");
    whom->pubsub = slice_is_nocase(type, "pubsub");
    if (whom->normal || whom->pubsub) return ST_OK;
    for (size_t i = 0; i < ARRAY_LEN(empty); i++) {
        if (slice_is_nocase(type, empty[i])) {
            whom->nobody = true;
            return ST_OK;
        }
    }
    return call_error(call, "Unknown client type '%.*s'", type.len < 64 ? (int)type.len : 64,
                      type.ptr);
}

static status parse_ids(struct call *call, struct whom *whom, const struct slice *ids, size_t n)
{
    int64_t number;

    for (size_t i = 0; i < n; i++) {
        if (!arg_int(&number, ids[i])) return call_error(call, "Invalid client ID");
    }
    whom->ids = ids;
    whom->n_ids = n;
    return ST_OK;
}

/* ---- The walk over all loops ------------------------------------------------------- */

struct walk {
    struct task task;
    struct call *call;
    struct loop *home;
    size_t idx;            /* the loop whose turn it is */
    struct whom whom;
    void (*visit)(struct conn *conn, void *walk);
    void (*done)(struct walk *walk);
    struct strbuf text;    /* LIST */
    int64_t n_killed;
    bool old_form;
};

static void come_home(struct task *task)
{
    struct walk *walk = container_of(task, struct walk, task);
    walk->done(walk); /* ends the call, and with it the walk */
}

static void visit_resp(struct conn *conn, void *ctx)
{
    struct walk *walk = ctx;

    if (conn_proto(conn) == CONN_RESP && is_meant(&walk->whom, conn)) walk->visit(conn, walk);
}

static void go_on(struct walk *walk);

static void visit_loop(struct task *task)
{
    struct walk *walk = container_of(task, struct walk, task);

    conn_each(walk->call->app->loops.ptr[walk->idx], visit_resp, walk);
    walk->idx++;
    go_on(walk);
}

static void go_on(struct walk *walk)
{
    const struct conn_loops *loops = &walk->call->app->loops;

    if (walk->idx == loops->n) {
        walk->task.fn = come_home;
        app_to_loop(walk->home, &walk->task);
        return;
    }
    walk->task.fn = visit_loop;
    app_to_loop(conn_loop_loop(loops->ptr[walk->idx]), &walk->task);
}

/* After call_later_alone(): the words that whom points to are the call's own copy. */
static struct walk *make_walk(struct call *call)
{
    struct walk *walk = arena_try_zero(&call->arena, sizeof(*walk));

    if (!walk) return NULL;
    list_init(&walk->task.link);
    walk->call = call;
    walk->home = conn_loop_loop(conn_home(call->conn));
    strbuf_init(&walk->text, 0);
    return walk;
}

/* ---- LIST ------------------------------------------------------- */

static status parse_list(struct call *call, struct whom *whom)
{
    struct slices words = call_words(call);

    if (words.n == 0) return ST_OK;
    if (words.n == 2 && slice_is_nocase(words.ptr[0], "TYPE")) {
        return parse_type(call, whom, words.ptr[1]);
    }
    if (words.n >= 2 && slice_is_nocase(words.ptr[0], "ID")) {
        return parse_ids(call, whom, words.ptr + 1, words.n - 1);
    }
    return call_error(call, "syntax error");
}

static void list_one(struct conn *conn, void *ctx)
{
    struct walk *walk = ctx;
    session_print(&walk->text, conn);
}

static void list_done(struct walk *walk)
{
    struct call *call = walk->call;

    reply_lines(call, &walk->text);
    call_finish(call);
}

status cmd_client_list(struct call *call, const void *args)
{
    (void)args;
    TRY(call_later_alone(call));
    struct walk *walk = make_walk(call);
    if (!walk) return ST_NO_MEMORY;
    TRY(parse_list(call, &walk->whom));
    walk->visit = list_one;
    walk->done = list_done;
    go_on(walk);
    return ST_OK;
}

/* ---- KILL ------------------------------------------------------- */

static status parse_kill_option(struct call *call, struct whom *whom, const struct slice *pair)
{
    struct slice word = pair[0], value = pair[1];
    int64_t number;

    if (slice_is_nocase(word, "ID")) {
        if (!arg_int(&number, value) || number <= 0) {
            return call_error(call, "client-id should be greater than 0");
        }
        return parse_ids(call, whom, pair + 1, 1);
    }
    if (slice_is_nocase(word, "TYPE")) return parse_type(call, whom, value);
    if (slice_is_nocase(word, "MAXAGE")) {
        if (!arg_int(&whom->age_s_min, value) || whom->age_s_min <= 0) {
            return call_error(call, "maxage is not an integer or out of range");
        }
        return ST_OK;
    }
    if (slice_is_nocase(word, "USER")) {
        struct acl_user *user = acl_find(call->app->acl, value);
        whom->user = value;
        acl_user_unref(user);
        if (user) return ST_OK;
        return call_error(call, "No such user '%.*s'", value.len < 64 ? (int)value.len : 64,
                          value.ptr);
    }
    if (slice_is_nocase(word, "SKIPME")) {
        whom->skip_me = slice_is_nocase(value, "yes");
        if (whom->skip_me || slice_is_nocase(value, "no")) return ST_OK;
    } else if (slice_is_nocase(word, "ADDR")) {
        whom->addr = value;
        return ST_OK;
    } else if (slice_is_nocase(word, "LADDR")) {
        whom->laddr = value;
        return ST_OK;
    }
    return call_error(call, "syntax error");
}

static status parse_kill(struct call *call, struct walk *walk)
{
    struct slices words = call_words(call);

    if (words.n == 1) { /* CLIENT KILL ip:port */
        walk->old_form = true;
        walk->whom.addr = words.ptr[0];
        walk->whom.nobody = words.ptr[0].len == 0;
        return ST_OK;
    }
    walk->whom.skip_me = true;
    if (words.n % 2) return call_error(call, "syntax error");
    for (size_t i = 0; i < words.n; i += 2) {
        TRY(parse_kill_option(call, &walk->whom, words.ptr + i));
    }
    return ST_OK;
}

static void kill_one(struct conn *conn, void *ctx)
{
    struct walk *walk = ctx;
    bool me = conn == walk->call->conn;

    if (me && walk->whom.skip_me) return;
    walk->n_killed++;
    if (me) reply_slot_close_after(walk->call->slot); /* the answer still arrives */
    else conn_kill(conn);
}

static void kill_done(struct walk *walk)
{
    struct call *call = walk->call;

    if (!walk->old_form) {
        reply_int(&call->reply, walk->n_killed);
    } else if (walk->n_killed > 0) {
        reply_ok(&call->reply);
    } else {
        call_fail(call, call_error(call, "No such client"));
        return;
    }
    call_finish(call);
}

status cmd_client_kill(struct call *call, const void *args)
{
    (void)args;
    TRY(call_later_alone(call));
    struct walk *walk = make_walk(call);
    if (!walk) return ST_NO_MEMORY;
    TRY(parse_kill(call, walk));
    walk->visit = kill_one;
    walk->done = kill_done;
    go_on(walk);
    return ST_OK;
}

/* ---- PAUSE ------------------------------------------------------- */

status cmd_client_pause(struct call *call, const void *args)
{
    bool all = true;
    int64_t ms;
    mono_ns until;

    (void)args;
    if (call->argc > 4) return call_error(call, "syntax error");
    if (call->argc == 4) {
        all = slice_is_nocase(call->argv[3], "ALL");
        if (!all && !slice_is_nocase(call->argv[3], "WRITE"))
            return call_error(call, "CLIENT PAUSE mode must be WRITE or ALL");
    }
    if (!arg_int(&ms, call->argv[2]))
        return call_error(call, "timeout is not an integer or out of range");
    if (ms < 0) return call_error(call, "timeout is negative");
    if (__builtin_mul_overflow(ms, 1000000, &until) ||
        __builtin_add_overflow(until, clock_mono(call->app->clock), &until))
        return call_error(call, "timeout is out of range");
    txn_pause(call->app->txns, until, all);
    reply_ok(&call->reply);
    return ST_OK;
}

status cmd_client_unpause(struct call *call, const void *args)
{
    (void)args;
    txn_unpause(call->app->txns);
    reply_ok(&call->reply);
    return ST_OK;
}

/* ---- What is not there ------------------------------------------------------- */

status cmd_client_getredir(struct call *call, const void *args)
{
    (void)args;
    reply_int(&call->reply, -1);
    return ST_OK;
}

status cmd_client_trackinginfo(struct call *call, const void *args)
{
    struct reply *reply = &call->reply;

    (void)args;
    reply_map(reply, 3);
    reply_text(reply, "flags");
    reply_set(reply, 1);
    reply_text(reply, "off");
    reply_text(reply, "redirect");
    reply_int(reply, -1);
    reply_text(reply, "prefixes");
    reply_array(reply, 0);
    return ST_OK;
}
