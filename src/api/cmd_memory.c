/* MEMORY USAGE STATS DOCTOR PURGE. */
#include <stdio.h>

#include "api/cmd_handlers.h"
#include "api/ts_key.h"
#include "api/ts_read.h"
#include "base/panic.h"
#include "engine/view.h"

/* --- USAGE: what TS.INFO calls memoryUsage ------------------------------------------------ */

static status measure(struct ts_read *read, uint32_t ordinal, uint64_t *bytes)
{
    struct query_work *work = &read->work;
    struct db *db = work->app->db;
    struct captured at = {.ordinal = ordinal};
    struct series_extent extent = {.n_bytes = 0};
    struct view *view;

    TRY(db_pin(db, &view, &work->err));
    status st = view_capture(view, &at, 1, &work->err);
    if (st == ST_OK) st = view_extent(view, &at, &extent, &work->err);
    db_unpin(db, view);
    *bytes = extent.n_bytes;
    return st;
}

static status run_usage(struct ts_read *read)
{
    const struct slice *key = read->args;
    struct db *db = read->work.app->db;
    uint64_t bytes = 0;
    status st = ST_OK;
    int slot = db_reader_enter(db);
    uint32_t ordinal = ts_key_find(read->work.app, *key);

    if (ordinal != ORDINAL_NONE) st = measure(read, ordinal, &bytes);
    db_reader_leave(db, slot);
    if (st != ST_OK) return st;
    if (ordinal == ORDINAL_NONE) reply_null(&read->reply);
    else reply_u64(&read->reply, bytes + sizeof(struct series_entry) + key->len);
    return ST_OK;
}

status cmd_memory_usage(struct call *call, const void *args)
{
    int64_t samples;

    (void)args;
    if (call->argc != 3 && call->argc != 5) return call_error(call, "syntax error");
    if (call->argc == 5) {
        if (!slice_is_nocase(call->argv[3], "SAMPLES")) return call_error(call, "syntax error");
        if (!arg_int(&samples, call->argv[4]))
            return call_error(call, "value is not an integer or out of range");
        if (samples < 0) return call_error(call, "syntax error");
    }
    struct slice *key = arena_try(&call->arena, sizeof(*key));
    if (!key) return ST_NO_MEMORY;
    *key = call->argv[2];
    return ts_read_start(call, key, 0, run_usage);
}

/* --- STATS and DOCTOR ----------------------------------------------------------------------- */

static void put_number(struct reply *reply, const char *name, uint64_t v)
{
    reply_text(reply, name);
    reply_u64(reply, v);
}

static status put_stats(struct call *call, struct reply *reply)
{
    struct app *app = call->app;
    struct db_stats stats;

    db_stats(app->db, &stats);
    reply_map(reply, 10);
    put_number(reply, "total.allocated", stats.memory_used);
    put_number(reply, "memory.limit", stats.memory_limit);
    put_number(reply, "clients.normal", account_used(app->net_account));
    put_number(reply, "queries", account_used(app->query_account));
    put_number(reply, "head.bytes", stats.head_bytes);
    put_number(reply, "registry.bytes", stats.registry_bytes);
    put_number(reply, "lists.bytes", stats.list_bytes);
    put_number(reply, "wal.buffer", stats.wal_buffer_bytes);
    put_number(reply, "keys.count", stats.n_series);
    put_number(reply, "keys.bytes-per-key",
               stats.n_series ? (stats.head_bytes + stats.registry_bytes) / stats.n_series : 0);
    return ST_OK;
}

status cmd_memory_stats(struct call *call, const void *args)
{
    (void)args;
    return call_on_owner(call, put_stats);
}

static status put_doctor(struct call *call, struct reply *reply)
{
    char text[400];
    struct db_stats stats;
    int len;

    db_stats(call->app->db, &stats);
    unsigned long long used = stats.memory_used, limit = stats.memory_limit;
    if (limit && used > limit / 8 * 7)
        len = snprintf(text, sizeof(text),
                       "%llu of %llu bytes are in use: writes wait for flushes. A higher "
                       "memory-limit or fewer series would help.\n", used, limit);
    else if (stats.n_memory_waits)
        len = snprintf(text, sizeof(text),
                       "%llu batches have waited for memory since the start; now %llu of %llu "
                       "bytes are in use.\n",
                       (unsigned long long)stats.n_memory_waits, used, limit);
    else
        len = snprintf(text, sizeof(text), "Nothing to complain of: %llu of %llu bytes in use.\n",
                       used, limit);
    ASSERT(len > 0 && (size_t)len < sizeof(text));
    reply_verbatim(reply, slice_of(text, (size_t)len));
    return ST_OK;
}

status cmd_memory_doctor(struct call *call, const void *args)
{
    (void)args;
    return call_on_owner(call, put_doctor);
}
