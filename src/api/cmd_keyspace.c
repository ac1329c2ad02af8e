/* Commands about keys that need no samples: EXISTS TOUCH TYPE OBJECT RANDOMKEY DEL UNLINK
 * FLUSHDB FLUSHALL. A key is a series (ts_key.h); a series without `__key__` is found by
 * its selector text.
 *
 * Lookups run on the owner behind the writes of their loop. A delete goes on there in
 * slices (engine/delete_many.h) and the connection waits for its end: then the keys are
 * gone for everybody, and the answer waits for the log as that of any write.
 */
#include <stdlib.h>

#include "api/cmd_handlers.h"
#include "api/events.h"
#include "api/keyspace.h"
#include "api/ts_key.h"
#include "api/ts_turn.h"
#include "base/mem.h"
#include "base/panic.h"
#include "engine/delete_many.h"

/* --- looking ------------------------------------------------------------------------ */

static status put_exists(struct call *call, struct reply *reply)
{
    struct slices keys = call_words(call);
    int64_t n = 0;

    for (size_t i = 0; i < keys.n; i++)
        n += ts_key_find(call->app, keys.ptr[i]) != ORDINAL_NONE;
    reply_int(reply, n);
    return ST_OK;
}

status cmd_exists(struct call *call, const void *args)
{
    (void)args;
    return ts_turn_on_owner(call, put_exists);
}

static status put_type(struct call *call, struct reply *reply)
{
    bool there = ts_key_find(call->app, call->argv[1]) != ORDINAL_NONE;

    reply_simple(reply, there ? KEYSPACE_TYPE : "none");
    return ST_OK;
}

status cmd_type(struct call *call, const void *args)
{
    (void)args;
    return ts_turn_on_owner(call, put_type);
}

static status put_randomkey(struct call *call, struct reply *reply)
{
    const struct registry *reg = db_registry(call->app->db);
    uint32_t ordinal = keyspace_random(call->app);
    struct strbuf key;

    if (ordinal == ORDINAL_NONE) {
        reply_null(reply);
        return ST_OK;
    }
    strbuf_init(&key, 0);
    ts_key_print(&key, reg, ordinal);
    if (key.failed) reply->w.out->failed = true;
    else reply_bulk(reply, strbuf_view(&key));
    strbuf_release(&key);
    return ST_OK;
}

status cmd_randomkey(struct call *call, const void *args)
{
    (void)args;
    return ts_turn_on_owner(call, put_randomkey);
}

/* --- OBJECT: what a series has no notion of is answered by constants --------------------- */

static status put_object(struct call *call, struct reply *reply)
{
    struct slice what = call->argv[1];

    if (ts_key_find(call->app, call->argv[2]) == ORDINAL_NONE) reply_null(reply);
    else if (slice_is_nocase(what, "encoding")) reply_text(reply, "raw");
    else reply_int(reply, slice_is_nocase(what, "refcount"));
    return ST_OK;
}

status cmd_object_encoding(struct call *call, const void *args)
{
    (void)args;
    return ts_turn_on_owner(call, put_object);
}

status cmd_object_idletime(struct call *call, const void *args)
{
    return cmd_object_encoding(call, args);
}

status cmd_object_refcount(struct call *call, const void *args)
{
    return cmd_object_encoding(call, args);
}

static status refuse_freq(struct call *call, struct reply *reply)
{
    if (ts_key_find(call->app, call->argv[2]) == ORDINAL_NONE) {
        reply_null(reply);
        return ST_OK;
    }
    return call_error(call, "An LFU maxmemory policy is not selected, access frequency not "
                            "tracked. Please note that when switching between policies at "
                            "runtime LRU and LFU data will take some time to adjust.");
}

status cmd_object_freq(struct call *call, const void *args)
{
    (void)args;
    return ts_turn_on_owner(call, refuse_freq);
}

/* --- deleting ----------------------------------------------------------------------- */

struct del {
    struct delete_op op;
    struct task task;
    struct call *call;
    struct loop *home;
    series_id *ids;
    bool all;                /* FLUSHALL: the answer is OK */
};

static void del_at_home(struct task *task)
{
    struct del *del = container_of(task, struct del, task);
    struct call *call = del->call;
    status st = del->op.st;
    lsn at = del->op.at;

    if (st != ST_OK) call->err = del->op.err;
    else if (del->all) reply_ok(&call->reply);
    else reply_u64(&call->reply, del->op.n);
    mem_free(del->ids);
    mem_free(del);
    if (st == ST_OK) call_finish_at(call, at);
    else call_fail(call, st);
}

static void del_done(struct delete_op *op)
{
    struct del *del = container_of(op, struct del, op);

    del->task.fn = del_at_home;
    app_to_loop(del->home, &del->task);
}

static int by_id(const void *a, const void *b)
{
    series_id x = *(const series_id *)a, y = *(const series_id *)b;
    return (x > y) - (x < y);
}

static size_t sort_ids(series_id *ids, size_t n)
{
    size_t n_unique = 0;

    if (n) qsort(ids, n, sizeof(*ids), by_id);
    for (size_t i = 0; i < n; i++)
        if (n_unique == 0 || ids[n_unique - 1] != ids[i]) ids[n_unique++] = ids[i];
    return n_unique;
}

/* Takes ids[0..n), in any order. */
static void begin_del(struct del *del, size_t n)
{
    del->op.ids = del->ids;
    del->op.n = sort_ids(del->ids, n);
    del->op.range = (struct time_range){TS_MIN, TS_MAX};
    del->op.drop_keys = true;
    del->op.done = del_done;
    db_delete_many(del->call->app->db, &del->op);
}

static void refuse_del(struct del *del, status st)
{
    del->op.st = st;
    del_done(&del->op);
}

/* Whether a word stands in the list before, for the short lists that people write. */
static bool has_before(struct slices keys, size_t i)
{
    enum { LOOK_BACK = 32 };

    for (size_t k = i > LOOK_BACK ? i - LOOK_BACK : 0; k < i; k++)
        if (slice_eq(keys.ptr[k], keys.ptr[i])) return true;
    return false;
}

static void find_and_del(struct task *task)
{
    struct del *del = container_of(task, struct del, task);
    struct app *app = del->call->app;
    struct slices keys = call_words(del->call);
    size_t n = 0;

    del->ids = mem_try_array(keys.n, sizeof(*del->ids));
    if (!del->ids) {
        refuse_del(del, ST_NO_MEMORY);
        return;
    }
    for (size_t i = 0; i < keys.n; i++) {
        uint32_t ordinal = ts_key_find(app, keys.ptr[i]);
        if (ordinal == ORDINAL_NONE) continue;
        if (!has_before(keys, i)) events_tell(app, EVENT_GENERIC, "del", keys.ptr[i]);
        del->ids[n++] = registry_entry(db_registry(app->db), ordinal)->id;
    }
    begin_del(del, n);
}

/* Every live series. The walk is a few nanoseconds an ordinal. */
static void list_and_del(struct task *task)
{
    struct del *del = container_of(task, struct del, task);
    const struct registry *reg = db_registry(del->call->app->db);
    size_t n = 0, n_live = registry_counts(reg).n_series;
    uint32_t n_ordinals = registry_n_ordinals(reg);

    del->ids = mem_try_array(n_live + 1, sizeof(*del->ids));
    if (!del->ids) {
        refuse_del(del, ST_NO_MEMORY);
        return;
    }
    for (uint32_t i = 0; i < n_ordinals && n < n_live; i++) {
        const struct series_entry *entry = registry_entry(reg, i);
        if (entry_visible(entry)) del->ids[n++] = entry->id;
    }
    begin_del(del, n);
}

static void start_del(struct call *call)
{
    struct del *del = call->state;
    app_to_owner(call->app, &del->task);
}

static status make_del(struct call *call, void (*fn)(struct task *), bool all)
{
    TRY(call_later_alone(call));
    struct del *del = mem_zalloc(sizeof(*del));
    del->call = call;
    del->home = conn_loop_loop(conn_home(call->conn));
    del->all = all;
    del->task.fn = fn;
    list_init(&del->task.link);
    list_init(&del->op.link);
    call->state = del;
    ts_turn_read(call, start_del);
    return ST_OK;
}

status cmd_del(struct call *call, const void *args)
{
    (void)args;
    return make_del(call, find_and_del, false);
}

status cmd_flushall(struct call *call, const void *args)
{
    struct slices words = call_words(call);

    (void)args;
    if (words.n > 1 || (words.n == 1 && !slice_is_nocase(words.ptr[0], "ASYNC") &&
                        !slice_is_nocase(words.ptr[0], "SYNC")))
        return call_error(call, "syntax error");
    return make_del(call, list_and_del, true);
}
