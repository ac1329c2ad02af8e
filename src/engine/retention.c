/* Retention by the wall clock. See retention.h. */
#include "engine/retention.h"

#include "base/log.h"
#include "engine/db_priv.h"

bool retention_expired(const struct segment_info *info, ts_time oldest)
{
    return !info->keyed && info->ts.to < oldest;
}

static wall_ms believed(const struct db *db)
{
    struct clock *clock = db->ports.clock;
    return clock_guard_now(&db->cell.clock, clock_wall(clock), clock_mono(clock));
}

struct time_window retention_window(const struct db *db)
{
    int64_t keep = db_ticks(db, db->options.retention_ms);
    int64_t skew = db_ticks(db, db->options.future_skew_ms);
    struct time_window window = time_window_at(db_now(db), keep, skew);
    wall_ms now = clock_wall(db->ports.clock), then = believed(db);
    if (then != now) window.oldest = time_window_at(db_ticks(db, then), keep, skew).oldest;
    return window;
}

ts_time db_expires_before(const struct db *db)
{
    if (db->options.retention_ms == 0 || db->cell.clock.suspended) return TS_MIN;
    return retention_window(db).oldest;
}

void retention_look(struct db *db)
{
    struct clock *clock = db->ports.clock;
    struct clock_guard *guard = &db->cell.clock;
    bool before = guard->suspended;
    clock_guard_look(guard, clock_wall(clock), clock_mono(clock));
    if (guard->suspended == before) return;
    if (guard->suspended)
        log_warn("retention", "suspended: the wall clock has jumped; an hour of steady time or "
                              "an administrator ends this",
                 "shows=%lld", (long long)clock_wall(clock));
    else
        log_info("retention", "the wall clock is believed again", "shows=%lld",
                 (long long)clock_wall(clock));
}

void db_confirm_clock(struct db *db)
{
    struct clock *clock = db->ports.clock;
    clock_guard_confirm(&db->cell.clock, clock_wall(clock), clock_mono(clock));
}
