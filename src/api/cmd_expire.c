/* When keys go: EXPIRE PEXPIRE EXPIREAT PEXPIREAT TTL PTTL EXPIRETIME PEXPIRETIME PERSIST.
 *
 * One function sets and one tells; what differs between the commands is the unit and
 * whether times count from now, which their rows of `kinds` say. Owner.
 */
#include "api/cmd_handlers.h"
#include "api/events.h"
#include "api/keyspace.h"
#include "api/ts_key.h"
#include "api/ts_turn.h"
#include "base/panic.h"

static const struct kind {
    const char *name;
    int64_t unit_ms;
    bool absolute;
} kinds[] = {
    {"expire", 1000, false},   {"pexpire", 1, false},     {"expireat", 1000, true},
    {"pexpireat", 1, true},    {"ttl", 1000, false},      {"pttl", 1, false},
    {"expiretime", 1000, true}, {"pexpiretime", 1, true},
};

static const struct kind *kind_of(const struct call *call)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (strcmp(call->cmd->name, kinds[i].name) == 0) return &kinds[i];
    PANIC("no kind of expiry: %s", call->cmd->name);
}

/* --- setting -------------------------------------------------------------------------- */

enum { WHEN_NX = 1, WHEN_XX = 2, WHEN_GT = 4, WHEN_LT = 8 };

static status parse_flags(struct call *call, unsigned *flags)
{
    static const char *const words[] = {"NX", "XX", "GT", "LT"};

    *flags = 0;
    for (size_t i = 3; i < call->argc; i++) {
        size_t k = 0;
        while (k < ARRAY_LEN(words) && !slice_is_nocase(call->argv[i], words[k])) k++;
        if (k == ARRAY_LEN(words))
            return call_error(call, "Unsupported option %.*s",
                              call->argv[i].len < 64 ? (int)call->argv[i].len : 64,
                              call->argv[i].ptr);
        *flags |= 1u << k;
    }
    if ((*flags & WHEN_NX) && (*flags & ~WHEN_NX))
        return call_error(call,
                          "NX and XX, GT or LT options at the same time are not compatible");
    if ((*flags & WHEN_GT) && (*flags & WHEN_LT))
        return call_error(call, "GT and LT options at the same time are not compatible");
    return ST_OK;
}

static status parse_when(struct call *call, int64_t *when_ms)
{
    const struct kind *kind = kind_of(call);
    int64_t now = kind->absolute ? 0 : clock_wall(call->app->clock), ms;

    if (!arg_int(when_ms, call->argv[2]))
        return call_error(call, "value is not an integer or out of range");
    if (__builtin_mul_overflow(*when_ms, kind->unit_ms, &ms) ||
        __builtin_add_overflow(ms, now, when_ms))
        return call_error(call, "invalid expire time in '%s' command", call->cmd->name);
    if (*when_ms < 1) *when_ms = 1; /* long ago; 0 would be never */
    return ST_OK;
}

/* Whether the flags let when_ms take the place of what the key has (0: never). */
static bool may_set(unsigned flags, int64_t has_ms, int64_t when_ms)
{
    if ((flags & WHEN_NX) && has_ms) return false;
    if ((flags & WHEN_XX) && !has_ms) return false;
    if ((flags & WHEN_GT) && (!has_ms || when_ms <= has_ms)) return false;
    return !(flags & WHEN_LT) || !has_ms || when_ms < has_ms;
}

static int64_t expiry_of(struct call *call, uint32_t ordinal)
{
    const struct registry *reg = db_registry(call->app->db);
    const struct series_attrs *attrs = entry_attrs(registry_entry(reg, ordinal));
    return attrs ? attrs->expire_ms : 0;
}

static status set_expiry(struct call *call, struct reply *reply)
{
    uint32_t ordinal = ts_key_find(call->app, call->argv[1]);
    unsigned flags;
    int64_t when_ms;

    TRY(parse_flags(call, &flags));
    TRY(parse_when(call, &when_ms));
    bool set = ordinal != ORDINAL_NONE && may_set(flags, expiry_of(call, ordinal), when_ms);
    if (set) TRY(keyspace_expire(call->app, ordinal, when_ms, &call->gate, &call->err));
    if (set) events_tell(call->app, EVENT_GENERIC, "expire", call->argv[1]);
    reply_int(reply, set);
    return ST_OK;
}

status cmd_expire(struct call *call, const void *args)
{
    (void)args;
    return ts_turn_on_owner(call, set_expiry);
}

static status persist(struct call *call, struct reply *reply)
{
    uint32_t ordinal = ts_key_find(call->app, call->argv[1]);
    bool had = ordinal != ORDINAL_NONE && expiry_of(call, ordinal) != 0;

    if (had) TRY(keyspace_expire(call->app, ordinal, 0, &call->gate, &call->err));
    if (had) events_tell(call->app, EVENT_GENERIC, "persist", call->argv[1]);
    reply_int(reply, had);
    return ST_OK;
}

status cmd_persist(struct call *call, const void *args)
{
    (void)args;
    return ts_turn_on_owner(call, persist);
}

/* --- telling --------------------------------------------------------------------------- */

static status put_expiry(struct call *call, struct reply *reply)
{
    const struct kind *kind = kind_of(call);
    uint32_t ordinal = ts_key_find(call->app, call->argv[1]);
    int64_t when_ms = ordinal == ORDINAL_NONE ? 0 : expiry_of(call, ordinal);

    if (!when_ms) {
        reply_int(reply, ordinal == ORDINAL_NONE ? -2 : -1);
        return ST_OK;
    }
    int64_t ms = kind->absolute ? when_ms : when_ms - clock_wall(call->app->clock);
    int64_t half = kind->unit_ms / 2;
    reply_int(reply, (ms + half) / kind->unit_ms);
    return ST_OK;
}

status cmd_ttl(struct call *call, const void *args)
{
    (void)args;
    return ts_turn_on_owner(call, put_expiry);
}
