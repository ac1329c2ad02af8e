/* SUBSCRIBE UNSUBSCRIBE PSUBSCRIBE PUNSUBSCRIBE PUBLISH PUBSUB. */
#include <stdlib.h>
#include <string.h>

#include "api/cmd_handlers.h"
#include "api/pubsub.h"
#include "base/panic.h"

/* --- listening ------------------------------------------------------------------------- */

/* What a subscription or its end is answered with, one for each channel. */
static void put_state(struct call *call, const char *what, const struct slice *name)
{
    const struct session *session = call->session;

    resp_push(&call->reply.w, 3);
    reply_text(&call->reply, what);
    if (name) reply_bulk(&call->reply, *name);
    else reply_null(&call->reply);
    reply_u64(&call->reply, pubsub_count(session, PUBSUB_CHANNEL) +
                                pubsub_count(session, PUBSUB_PATTERN));
}

static status subscribe(struct call *call, enum pubsub_kind kind)
{
    struct slices names = call_words(call);

    for (size_t i = 0; i < names.n; i++) {
        TRY(pubsub_add(call->session, names.ptr[i], kind, &call->err));
        put_state(call, kind == PUBSUB_PATTERN ? "psubscribe" : "subscribe", &names.ptr[i]);
    }
    return ST_OK;
}

status cmd_subscribe(struct call *call, const void *args)
{
    (void)args;
    return subscribe(call, PUBSUB_CHANNEL);
}

status cmd_psubscribe(struct call *call, const void *args)
{
    (void)args;
    return subscribe(call, PUBSUB_PATTERN);
}

static status unsubscribe(struct call *call, enum pubsub_kind kind)
{
    const char *what = kind == PUBSUB_PATTERN ? "punsubscribe" : "unsubscribe";
    struct slices names = call_words(call);
    struct slice name;

    for (size_t i = 0; i < names.n; i++) {
        pubsub_remove(call->session, names.ptr[i], kind);
        put_state(call, what, &names.ptr[i]);
    }
    if (names.n) return ST_OK;
    if (!pubsub_count(call->session, kind)) put_state(call, what, NULL);
    while (pubsub_first(call->session, kind, &name)) {
        char *copy = arena_try(&call->arena, name.len + 1);
        if (!copy) return err_set(&call->err, ST_NO_MEMORY, "no memory for a channel's name");
        if (name.len) memcpy(copy, name.ptr, name.len);
        name.ptr = copy;
        pubsub_remove(call->session, name, kind);
        put_state(call, what, &name);
    }
    return ST_OK;
}

status cmd_unsubscribe(struct call *call, const void *args)
{
    (void)args;
    return unsubscribe(call, PUBSUB_CHANNEL);
}

status cmd_punsubscribe(struct call *call, const void *args)
{
    (void)args;
    return unsubscribe(call, PUBSUB_PATTERN);
}

/* --- speaking ---------------------------------------------------------------------------- */

static status start_walk(struct call *call,
                         void (*visit)(struct pubsub_walk *, struct pubsub *, size_t),
                         void (*done)(struct pubsub_walk *))
{
    TRY(call_later_alone(call));
    struct pubsub_walk *walk = pubsub_walk_new(call);
    if (!walk) return err_set(&call->err, ST_NO_MEMORY, "no memory for the command");
    walk->visit = visit;
    walk->done = done;
    pubsub_walk_start(walk);
    return ST_OK;
}

static void visit_publish(struct pubsub_walk *walk, struct pubsub *ps, size_t loop)
{
    walk->n += pubsub_deliver(ps, loop, walk->call->argv[1], walk->call->argv[2]);
}

static void done_publish(struct pubsub_walk *walk)
{
    reply_u64(&walk->call->reply, walk->n);
    call_finish(walk->call);
}

status cmd_publish(struct call *call, const void *args)
{
    (void)args;
    return start_walk(call, visit_publish, done_publish);
}

/* --- asking ------------------------------------------------------------------------------- */

static void note_name(void *ctx, struct slice name)
{
    struct pubsub_walk *walk = ctx;
    struct slices words = call_words(walk->call);
    struct strbuf copy;

    if (words.n && !arg_glob_exact(words.ptr[0], name)) return;
    strbuf_init(&copy, 0);
    strbuf_slice(&copy, name);
    if (copy.failed || !vec_push(&walk->names, copy)) {
        strbuf_release(&copy);
        walk->call->err.st = ST_NO_MEMORY;
    }
}

static void visit_channels(struct pubsub_walk *walk, struct pubsub *ps, size_t loop)
{
    pubsub_each(ps, loop, PUBSUB_CHANNEL, note_name, walk);
}

static void visit_patterns(struct pubsub_walk *walk, struct pubsub *ps, size_t loop)
{
    pubsub_each(ps, loop, PUBSUB_PATTERN, note_name, walk);
}

static int by_name(const void *a, const void *b)
{
    const struct strbuf *x = a, *y = b;
    size_t n = x->len < y->len ? x->len : y->len;
    int order = n ? memcmp(x->ptr, y->ptr, n) : 0;
    return order ? order : (x->len > y->len) - (x->len < y->len);
}

/* Sorts the names; each once. */
static size_t unite(struct pubsub_walk *walk)
{
    struct strbuf *names = walk->names.ptr;
    size_t n = 0;

    if (walk->names.len) qsort(names, walk->names.len, sizeof(*names), by_name);
    for (size_t i = 0; i < walk->names.len; i++) {
        if (n && by_name(&names[n - 1], &names[i]) == 0) {
            strbuf_release(&names[i]);
        } else {
            struct strbuf kept = names[i];
            names[i] = names[n];
            names[n++] = kept;
        }
    }
    return n;
}

static void end_names(struct pubsub_walk *walk, size_t n)
{
    struct call *call = walk->call;
    bool failed = call->err.st != ST_OK;

    for (size_t i = 0; i < n; i++) strbuf_release(&walk->names.ptr[i]);
    vec_release(&walk->names);
    if (failed) call_fail(call, ST_NO_MEMORY);
    else call_finish(call);
}

static void done_channels(struct pubsub_walk *walk)
{
    size_t n = unite(walk);

    reply_array(&walk->call->reply, n);
    for (size_t i = 0; i < n; i++) reply_bulk(&walk->call->reply, strbuf_view(&walk->names.ptr[i]));
    end_names(walk, n);
}

static void done_patterns(struct pubsub_walk *walk)
{
    size_t n = unite(walk);

    reply_u64(&walk->call->reply, n);
    end_names(walk, n);
}

status cmd_pubsub_channels(struct call *call, const void *args)
{
    (void)args;
    if (call->argc > 3)
        return call_error(call, "wrong number of arguments for 'pubsub|channels' command");
    return start_walk(call, visit_channels, done_channels);
}

status cmd_pubsub_numpat(struct call *call, const void *args)
{
    (void)args;
    return start_walk(call, visit_patterns, done_patterns);
}

static void visit_numsub(struct pubsub_walk *walk, struct pubsub *ps, size_t loop)
{
    struct slices names = call_words(walk->call);

    for (size_t i = 0; i < names.n; i++)
        walk->counts.ptr[i] += pubsub_listeners(ps, loop, names.ptr[i]);
}

static void done_numsub(struct pubsub_walk *walk)
{
    struct call *call = walk->call;
    struct slices names = call_words(call);

    reply_array(&call->reply, 2 * names.n);
    for (size_t i = 0; i < names.n; i++) {
        reply_bulk(&call->reply, names.ptr[i]);
        reply_u64(&call->reply, walk->counts.ptr[i]);
    }
    vec_release(&walk->counts);
    call_finish(call);
}

status cmd_pubsub_numsub(struct call *call, const void *args)
{
    size_t n = call_words(call).n;

    (void)args;
    TRY(call_later_alone(call));
    struct pubsub_walk *walk = pubsub_walk_new(call);
    if (!walk || !vec_reserve(&walk->counts, n + 1))
        return err_set(&call->err, ST_NO_MEMORY, "no memory for the command");
    for (size_t i = 0; i < n; i++) (void)vec_push(&walk->counts, (uint64_t)0);
    walk->visit = visit_numsub;
    walk->done = done_numsub;
    pubsub_walk_start(walk);
    return ST_OK;
}

/* --- MONITOR ---------------------------------------------------------------------------- */

status cmd_monitor(struct call *call, const void *args)
{
    (void)args;
    TRY(pubsub_add(call->session, slice_of("", 0), PUBSUB_MONITOR, &call->err));
    reply_ok(&call->reply);
    return ST_OK;
}
