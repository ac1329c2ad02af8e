/* Commands about the server: INFO CONFIG DBSIZE TIME SHUTDOWN. What they show and change
 * belongs to the owner, so all but TIME run there (call_on_owner). */
#include "api/cmd_handlers.h"
#include "api/ts_turn.h"
#include "base/numfmt.h"
#include "base/panic.h"

status cmd_time(struct call *call, const void *args)
{
    char text[NUMFMT_MAX];
    int64_t us = call->app->clock->wall_ns(call->app->clock) / 1000;

    (void)args;
    reply_array(&call->reply, 2);
    for (int i = 0; i < 2; i++) {
        size_t len = numfmt_i64(text, i == 0 ? us / 1000000 : us % 1000000);
        reply_bulk(&call->reply, slice_of(text, len));
    }
    return ST_OK;
}

static status put_info(struct call *call, struct reply *reply)
{
    struct app_ports *ports = &call->app->ports;
    struct slices sections = call_words(call);
    struct strbuf text;

    strbuf_init(&text, 0);
    ports->info(ports->ctx, &text, sections.ptr, sections.n);
    if (text.failed) reply->w.out->failed = true;
    else reply_verbatim(reply, strbuf_view(&text));
    strbuf_release(&text);
    return ST_OK;
}

status cmd_info(struct call *call, const void *args)
{
    (void)args;
    return call_on_owner(call, put_info);
}

static status put_dbsize(struct call *call, struct reply *reply)
{
    struct registry_counts counts = registry_counts(db_registry(call->app->db));

    reply_u64(reply, counts.n_series);
    return ST_OK;
}

status cmd_dbsize(struct call *call, const void *args)
{
    (void)args;
    return ts_turn_on_owner(call, put_dbsize);
}

/* ---- SHUTDOWN ----------------------------------------------------------- */

static status ask_shutdown(struct call *call, struct reply *reply)
{
    struct app_ports *ports = &call->app->ports;
    struct slices words = call_words(call);
    bool save = true;

    (void)reply; /* Redis says nothing: the connection closes */
    for (size_t i = 0; i < words.n; i++) {
        if (slice_is_nocase(words.ptr[i], "NOSAVE")) save = false;
    }
    ports->shutdown(ports->ctx, save);
    return ST_OK;
}

status cmd_shutdown(struct call *call, const void *args)
{
    static const char *const known[] = {"NOSAVE", "SAVE", "NOW", "FORCE"};
    struct slices words = call_words(call);

    (void)args;
    for (size_t i = 0; i < words.n; i++) {
        bool ok = false;
        for (size_t k = 0; k < ARRAY_LEN(known); k++) ok |= slice_is_nocase(words.ptr[i], known[k]);
        if (!ok) return call_error(call, "syntax error");
    }
    reply_slot_close_after(call->slot);
    return call_on_owner(call, ask_shutdown);
}

/* ---- CONFIG ------------------------------------------------------------- */

/* Several patterns may match one option: it is shown for the first of them. The ports
 * are walked twice, since the number of options comes first in a reply. */
struct config_get {
    struct slices patterns;
    size_t idx;            /* of the pattern in hand */
    size_t n;
    struct reply *reply;   /* NULL: only count */
};

static void get_one(void *arg, const char *name, struct slice value)
{
    struct config_get *get = arg;

    for (size_t i = 0; i < get->idx; i++) {
        if (arg_glob(get->patterns.ptr[i], slice_str(name))) return;
    }
    get->n++;
    if (!get->reply) return;
    reply_text(get->reply, name);
    reply_bulk(get->reply, value);
}

static void walk_options(struct call *call, struct config_get *get)
{
    struct app_ports *ports = &call->app->ports;

    get->n = 0;
    for (get->idx = 0; get->idx < get->patterns.n; get->idx++) {
        ports->config_get(ports->ctx, get->patterns.ptr[get->idx], get_one, get);
    }
}

static status put_config(struct call *call, struct reply *reply)
{
    struct config_get get = {.patterns = call_words(call)};

    walk_options(call, &get);
    reply_map(reply, get.n);
    get.reply = reply;
    walk_options(call, &get);
    return ST_OK;
}

status cmd_config_get(struct call *call, const void *args)
{
    enum { PATTERNS_MAX = 64 }; /* each is matched with each option: a guess */

    (void)args;
    if (call_words(call).n > PATTERNS_MAX) return call_error(call, "too many patterns");
    return call_on_owner(call, put_config);
}

static status check_twice(struct call *call, const struct slice *names, size_t i)
{
    struct slice name = names[i];

    for (size_t k = 0; k < i; k++) {
        if (names[k].len != name.len) continue;
        if (strncasecmp(names[k].ptr, name.ptr, name.len) != 0) continue;
        return call_error(call, "CONFIG SET failed (possibly related to argument '%.*s') - "
                                "duplicate parameter",
                          name.len < 64 ? (int)name.len : 64, name.ptr);
    }
    return ST_OK;
}

static status split_pairs(struct call *call, struct slice **names, struct slice **values,
                          size_t *n)
{
    struct slices words = call_words(call);

    *n = words.n / 2;
    *names = arena_try_array(&call->arena, *n, sizeof(**names));
    *values = arena_try_array(&call->arena, *n, sizeof(**values));
    if (!*names || !*values) return err_set(&call->err, ST_NO_MEMORY, "no memory for options");
    for (size_t i = 0; i < *n; i++) {
        (*names)[i] = words.ptr[2 * i];
        (*values)[i] = words.ptr[2 * i + 1];
        TRY(check_twice(call, *names, i));
    }
    return ST_OK;
}

static status set_config(struct call *call, struct reply *reply)
{
    struct app_ports *ports = &call->app->ports;
    struct slice *names, *values;
    struct err err = {.st = ST_OK};
    size_t n;

    TRY(split_pairs(call, &names, &values, &n));
    status st = ports->config_set(ports->ctx, names, values, n, &err);
    /* The port's text is the whole of Redis' sentence; its code word is ERR always. */
    if (st != ST_OK) return call_error(call, "%s", err_text(&err, st));
    reply_ok(reply);
    return ST_OK;
}

status cmd_config_set(struct call *call, const void *args)
{
    enum { PAIRS_MAX = 256 }; /* more than there are options */
    size_t n = call_words(call).n;

    (void)args;
    if (n % 2 || n > 2 * PAIRS_MAX) {
        return call_error(call, "wrong number of arguments for 'config|set' command");
    }
    return call_on_owner(call, set_config);
}

static status reset_stats(struct call *call, struct reply *reply)
{
    struct app_ports *ports = &call->app->ports;

    ports->stats_reset(ports->ctx);
    reply_ok(reply);
    return ST_OK;
}

status cmd_config_resetstat(struct call *call, const void *args)
{
    (void)args;
    return call_on_owner(call, reset_stats);
}

static status rewrite_config(struct call *call, struct reply *reply)
{
    struct app_ports *ports = &call->app->ports;
    struct err err = {.st = ST_OK};
    status st = ports->config_rewrite(ports->ctx, &err);

    if (st == ST_INVALID) return call_error(call, "%s", err_text(&err, st));
    if (st != ST_OK) return call_error(call, "Rewriting config file: %s", err_text(&err, st));
    reply_ok(reply);
    return ST_OK;
}

status cmd_config_rewrite(struct call *call, const void *args)
{
    (void)args;
    return call_on_owner(call, rewrite_config);
}
