/* DEBUG: for tests and operators in need; only with enable-debug-command yes. */
#include "api/cmd_handlers.h"
#include "api/db_job.h"
#include "api/keyspace.h"
#include "base/lock.h"
#include "base/panic.h"

static status allowed(struct call *call)
{
    if (app_settings(call->app)->debug_command) return ST_OK;
    return call_error(call, "DEBUG command not allowed. Set enable-debug-command to yes in the "
                            "configuration file, then restart the server.");
}

/* ---- The database ------------------------------------------------------- */

static status check_db(struct call *call, struct reply *reply)
{
    TRY(db_check(call->app->db, &call->err));
    reply_ok(reply);
    return ST_OK;
}

status cmd_debug_check(struct call *call, const void *args)
{
    (void)args;
    TRY(allowed(call));
    return call_on_owner(call, check_db);
}

static status wait_for(struct call *call, db_job_begin begin)
{
    TRY(allowed(call));
    return db_job_call(call, begin, NULL);
}

status cmd_debug_flush(struct call *call, const void *args)
{
    (void)args;
    return wait_for(call, db_flush);
}

status cmd_debug_compact(struct call *call, const void *args)
{
    (void)args;
    return wait_for(call, db_compact);
}

/* ---- The process -------------------------------------------------------- */

status cmd_debug_panic(struct call *call, const void *args)
{
    (void)args;
    TRY(allowed(call));
    PANIC("DEBUG PANIC by client %llu", (unsigned long long)conn_id(call->conn));
}

static status set_active_expire(struct call *call, struct reply *reply)
{
    keyspace_set_active(call->app, slice_is(call->argv[2], "1"));
    reply_ok(reply);
    return ST_OK;
}

status cmd_debug_set_active_expire(struct call *call, const void *args)
{
    (void)args;
    TRY(allowed(call));
    if (!slice_is(call->argv[2], "0") && !slice_is(call->argv[2], "1"))
        return call_error(call, "value is not an integer or out of range");
    return call_on_owner(call, set_active_expire);
}

/* Nothing signals: the owner really stands still, which is the point. */
static status sleep_owner(struct call *call, struct reply *reply)
{
    double seconds = 0;
    struct mutex mutex;
    struct cond cond;

    if (!arg_double(&seconds, call->argv[2])) seconds = 0;
    mono_ns until = clock_mono(clock_system()) + (mono_ns)(seconds * 1e9);
    mutex_init(&mutex, LOCK_LEAF);
    cond_init(&cond);
    mutex_lock(&mutex);
    while (cond_wait_until(&cond, &mutex, until)) continue;
    mutex_unlock(&mutex);
    cond_release(&cond);
    mutex_release(&mutex);
    reply_ok(reply);
    return ST_OK;
}

status cmd_debug_sleep(struct call *call, const void *args)
{
    enum { SECONDS_MAX = 3600 };
    double seconds;

    (void)args;
    TRY(allowed(call));
    if (!arg_double(&seconds, call->argv[2]) || !(seconds >= 0 && seconds <= SECONDS_MAX)) {
        return call_error(call, "value is not a valid float");
    }
    return call_on_owner(call, sleep_owner);
}
