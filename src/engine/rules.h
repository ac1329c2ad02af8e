/* Rules: series that are made from others, bucket by bucket (TS.CREATERULE; rollups later).
 *
 * A rule is an attribute of its destination (struct series_attrs): it is in the log, in
 * segments and in the registry's files with it, and goes with it. It has no running state.
 * The owner only notes which buckets of which rule are not as they should be:
 *
 *     append    to a later bucket than the sample before it: that one's bucket is closed
 *     late      or overwriting sample of a closed bucket: that bucket
 *     delete    every bucket that the range touches
 *     start     all since the destination's newest sample; what replay notes besides
 *
 * and a worker that registered itself (db_rules_listen) makes them anew from the source's
 * samples under a view (query/rule_work.h). Making a bucket twice changes nothing.
 *
 *     owner     mark -> port.dirty                db_rules_take -> tasks
 *     worker                                      read, aggregate
 *     owner     upsert, delete, db_rules_done -> who waited goes on
 *
 * A batch that marked something is answered when that is done: whoever sees the answer sees
 * the buckets. Series are named by ids, so that other labels make no difference.
 */
#ifndef TSINK_ENGINE_RULES_H
#define TSINK_ENGINE_RULES_H

#include "base/list.h"
#include "engine/db.h"
#include "model/agg.h"

/* Times in ticks. */
struct rule_info {
    series_id source, dest;
    enum agg agg;
    int64_t bucket;            /* >= 1 */
    ts_time align;
    ts_time since;             /* samples up to here were there before the rule */
};

/* What a series' attributes say of a rule; false: nothing. */
bool rule_of_attrs(struct rule_info *out, const struct db *db, series_id dest,
                   const struct series_attrs *attrs);

/* --- any thread ------------------------------------------------------------------ */

/* The rule that makes this series; false: none does (or its source is gone). */
bool db_rule_of_dest(struct db *db, series_id dest, struct rule_info *out);

/* At most max of the rules of this source, by destination; returns how many there are. */
size_t db_rules_of_source(struct db *db, series_id source, struct rule_info *out, size_t max);

/* --- owner ------------------------------------------------------------------------ */

/* Room for one more rule, so that attributes which name one can be set. */
CHECKED status db_rules_reserve(struct db *db);

/* Marks all that the source has. */
void db_rules_backfill(struct db *db, series_id dest);

/* A range of a rule whose buckets are to be made anew. */
struct rule_task {
    struct rule_info rule;
    struct time_range range;   /* of source times; whole buckets */
    bool lost;                 /* range is unknown: everything behind the newest of dest */
    bool has_open;             /* buckets from open on are not closed yet */
    ts_time open;
};

/* Takes up to max (RULE_TASKS_MIN and more), oldest marks first; *ticket is for
 * db_rules_done(). 0: nothing. One take at a time. */
enum { RULE_TASKS_MIN = 5 };
size_t db_rules_take(struct db *db, struct rule_task *out, size_t max, uint64_t *ticket);

/* What was taken is made, durable at `at`. */
void db_rules_done(struct db *db, uint64_t ticket, lsn at);

/* It could not be made: it is marked again, and nobody waits for it. */
void db_rules_failed(struct db *db, uint64_t ticket, const struct rule_task *tasks, size_t n);

/* Who makes the buckets; dirty() when there is something to take, also at once. */
struct rule_port {
    void (*dirty)(void *ctx);
    void *ctx;
};
void db_rules_listen(struct db *db, struct rule_port port);

/* Waits until everything that is marked now has been made: done(wait), maybe at once. */
struct rule_wait {
    struct list link;
    uint64_t mark;
    lsn at;                    /* of what was written */
    void (*done)(struct rule_wait *wait);
};
void db_rules_wait(struct db *db, struct rule_wait *wait);

/* --- of the engine ------------------------------------------------------------------ */

struct cell;
struct head;
struct rules;

struct rules *rules_new(struct db *db); /* NULL: no memory */
void rules_free(struct rules *rules);

/* The attributes of a series are these from now on; NULL: it is gone. */
void rules_attrs(struct cell *cell, series_id id, const struct series_attrs *attrs);

/* Whether the series is the source of a rule. */
bool rules_has_source(const struct cell *cell, series_id id);

/* Of a series with rules; head as it was before the sample. */
void rules_append(struct cell *cell, const struct head *head, ts_time ts);
void rules_late(struct cell *cell, const struct head *head, ts_time ts);
void rules_deleted(struct cell *cell, const uint64_t *ids, size_t n, struct time_range range);

/* Recovery is over: every rule is looked at. */
void rules_recovered(struct cell *cell);

/* Marks made so far, and whether anybody makes buckets. */
uint64_t rules_marks(const struct cell *cell);
bool rules_active(const struct cell *cell);

/* Somebody makes buckets now: a close waits for that. */
bool rules_busy(const struct cell *cell);

/* A close: nobody waits any longer. */
void rules_close(struct cell *cell);

#endif
