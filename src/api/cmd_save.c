/* SAVE BGSAVE BGREWRITEAOF LASTSAVE, and WAIT WAITAOF: how safe the data is. What is in
 * memory alone is also in the log; saving writes it to segments (db_flush). */
#include "api/cmd_handlers.h"
#include "api/db_job.h"
#include "api/ts_turn.h"
#include "base/log.h"

status cmd_save(struct call *call, const void *args)
{
    (void)args;
    return db_job_call(call, db_flush, NULL);
}

static void saved(void *ctx, status st)
{
    (void)ctx;
    if (st != ST_OK && st != ST_CLOSED)
        log_warn("api", "a background save failed", "error=%s", status_text(st));
}

static status begin_save(struct call *call, struct reply *reply)
{
    bool rewrite = slice_is_nocase(call->argv[0], "bgrewriteaof");

    db_flush(call->app->db, saved, NULL);
    reply_simple(reply, rewrite ? "Background append only file rewriting started"
                                : "Background saving started");
    return ST_OK;
}

status cmd_bgsave(struct call *call, const void *args)
{
    struct slices words = call_words(call);

    (void)args;
    if (words.n > 1 || (words.n == 1 && !slice_is_nocase(words.ptr[0], "SCHEDULE")))
        return call_error(call, "syntax error");
    return ts_turn_on_owner(call, begin_save);
}

status cmd_bgrewriteaof(struct call *call, const void *args)
{
    (void)args;
    return ts_turn_on_owner(call, begin_save);
}

static status put_lastsave(struct call *call, struct reply *reply)
{
    struct db_stats stats;

    db_stats(call->app->db, &stats);
    uint64_t ms = stats.jobs[DB_JOB_FLUSH].last_success_ms;
    reply_int(reply, (ms ? (int64_t)ms : call->app->start_wall_ms) / 1000);
    return ST_OK;
}

status cmd_lastsave(struct call *call, const void *args)
{
    (void)args;
    return call_on_owner(call, put_lastsave);
}

/* --- WAIT ------------------------------------------------------------------------------ */

static status parse_timeout(struct call *call, struct slice word)
{
    int64_t ms;

    if (!arg_int(&ms, word)) return call_error(call, "timeout is not an integer or out of range");
    return ms < 0 ? call_error(call, "timeout is negative") : ST_OK;
}

static status parse_count(struct call *call, struct slice word, int64_t high, int64_t *n)
{
    if (!arg_int(n, word)) return call_error(call, "value is not an integer or out of range");
    if (*n >= 0 && *n <= high) return ST_OK;
    return high == 1 ? call_error(call, "value is out of range, value must between 0 and 1")
                     : call_error(call, "value is out of range, must be positive");
}

static status put_no_replicas(struct call *call, struct reply *reply)
{
    (void)call;
    reply_int(reply, 0);
    return ST_OK;
}

/* There are no replicas; the answers to this connection's writes are out before this one. */
status cmd_wait(struct call *call, const void *args)
{
    int64_t n;

    (void)args;
    TRY(parse_count(call, call->argv[1], INT32_MAX, &n));
    TRY(parse_timeout(call, call->argv[2]));
    return ts_turn_on_owner(call, put_no_replicas);
}

static void put_durable(struct call *call)
{
    reply_array(&call->reply, 2);
    reply_int(&call->reply, 1);
    reply_int(&call->reply, 0);
}

static status put_durable_now(struct call *call, struct reply *reply)
{
    (void)call;
    reply_array(reply, 2);
    reply_int(reply, 1);
    reply_int(reply, 0);
    return ST_OK;
}

/* Under wal-sync append an answered write is on disk, and the answers before this one go
 * out first; otherwise a flush puts everything there. */
status cmd_waitaof(struct call *call, const void *args)
{
    int64_t n_local, n_replicas;

    (void)args;
    TRY(parse_count(call, call->argv[1], 1, &n_local));
    TRY(parse_count(call, call->argv[2], INT32_MAX, &n_replicas));
    TRY(parse_timeout(call, call->argv[3]));
    if (db_options(call->app->db)->wal_sync == DB_WAL_APPEND)
        return ts_turn_on_owner(call, put_durable_now);
    return db_job_call(call, db_flush, put_durable);
}
