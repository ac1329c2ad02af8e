/* TS.CREATERULE and TS.DELETERULE (resp.md 2.9, 2.10): the rule is an attribute of its
 * destination (engine/rules.h). BACKFILL is ours: the past of the source counts, too. */
#include "api/cmd_handlers.h"
#include "api/ts_args.h"
#include "api/ts_change.h"
#include "api/ts_key.h"
#include "base/panic.h"

struct rule_args {
    struct slice source, dest;
    enum agg agg;
    int64_t bucket_ms, align_ms;
    bool backfill;
};

struct rule_change {
    struct rule_wait wait;
    struct ts_change *change;
};

static status key_missing(struct ts_change *change)
{
    return err_set(&change->err, ST_NOT_FOUND, "TSDB: the key does not exist");
}

static status refuse(struct ts_change *change, const char *text)
{
    return err_set(&change->err, ST_INVALID, "%s", text);
}

/* Both series; ST_NOT_FOUND. */
static status find_both(struct ts_change *change, uint32_t *source, uint32_t *dest)
{
    const struct rule_args *args = change->args;
    *source = ts_key_find(change->call->app, args->source);
    *dest = ts_key_find(change->call->app, args->dest);
    return *source == ORDINAL_NONE || *dest == ORDINAL_NONE ? key_missing(change) : ST_OK;
}

static struct series_attrs attrs_of(const struct series_entry *entry)
{
    const struct series_attrs *attrs = entry_attrs(entry);
    return attrs ? *attrs : (struct series_attrs){.retention_ms = 0};
}

static status check_rule(struct ts_change *change, struct db *db, series_id source, series_id dest)
{
    struct rule_info other;
    if (db_rule_of_dest(db, source, &other))
        return refuse(change, "TSDB: the source key already has a source rule");
    if (db_rules_of_source(db, dest, &other, 1))
        return refuse(change, "TSDB: the destination key already has a dst rule");
    if (db_rule_of_dest(db, dest, &other))
        return refuse(change, "TSDB: the destination key already has a src rule");
    return ST_OK;
}

/* The past counts with BACKFILL only. ST_AGAIN: what the newest sample is, a view must tell;
 * until then all that there is counts as the past. */
static ts_time since_of(struct db *db, uint32_t source, bool backfill)
{
    struct db_latest last;
    if (backfill) return TS_MIN;
    switch (db_latest(db, source, &last)) {
    case ST_OK: return last.ts;
    case ST_AGAIN: return time_from_ms_clamped(clock_wall(db_clock(db)),
                                               db_options(db)->precision);
    default: return TS_MIN;
    }
}

static void backfilled(struct rule_wait *wait)
{
    struct rule_change *rule = container_of(wait, struct rule_change, wait);
    if (wait->at > rule->change->at) rule->change->at = wait->at;
    ts_change_end(rule->change, ST_OK);
}

static status add_rule(struct ts_change *change)
{
    const struct rule_args *args = change->args;
    struct db *db = change->call->app->db;
    struct registry *reg = db_registry(db);
    uint32_t source, dest;
    TRY(find_both(change, &source, &dest));
    const struct series_entry *from = registry_entry(reg, source), *to = registry_entry(reg, dest);
    TRY(check_rule(change, db, from->id, to->id));
    if (from->type != VALUE_F64 || to->type != VALUE_F64)
        return err_set(&change->err, ST_WRONG_TYPE, "rules are for series of numbers");
    TRY(db_rules_reserve(db));
    struct series_attrs attrs = attrs_of(to);
    attrs.rule_source = from->id;
    attrs.rule_agg = (uint8_t)args->agg;
    attrs.rule_bucket_ms = args->bucket_ms;
    attrs.rule_align_ms = args->align_ms;
    attrs.rule_since = since_of(db, source, args->backfill);
    TRY(db_set_attrs(db, dest, &attrs, &change->at, &change->err));
    if (args->backfill) db_rules_backfill(db, to->id);
    return ST_OK;
}

static void create_rule(struct ts_change *change)
{
    const struct rule_args *args = change->args;
    struct rule_change *rule = arena_try(&change->arena, sizeof(*rule));
    status st = rule ? add_rule(change) : ST_NO_MEMORY;
    if (st != ST_OK || !args->backfill) {
        ts_change_end(change, st);
        return;
    }
    *rule = (struct rule_change){.wait = {.done = backfilled}, .change = change};
    list_init(&rule->wait.link);
    db_rules_wait(change->call->app->db, &rule->wait);
}

static status parse_rule(struct call *call, struct rule_args *args)
{
    struct slices words = call_words(call);
    struct ts_aggregation list;
    *args = (struct rule_args){.source = words.ptr[0], .dest = words.ptr[1]};
    if (!slice_is_nocase(words.ptr[2], "AGGREGATION"))
        return call_error(call, "TSDB: Couldn't parse AGGREGATION");
    TRY(ts_parse_aggs(&list, words.ptr[3], &call->err));
    if (list.n != 1)
        return call_error(call, "TSDB: CREATERULE requires exactly one aggregation type");
    args->agg = list.aggs[0];
    if (!arg_int(&args->bucket_ms, words.ptr[4]))
        return call_error(call, "TSDB: Couldn't parse AGGREGATION");
    if (args->bucket_ms <= 0)
        return call_error(call, "TSDB: bucketDuration must be greater than zero");
    size_t at = 5;
    if (at < words.n && !slice_is_nocase(words.ptr[at], "BACKFILL")) {
        if (!arg_int(&args->align_ms, words.ptr[at++]) || args->align_ms < 0)
            return call_error(call, "TSDB: Couldn't parse alignTimestamp");
    }
    if (at < words.n && slice_is_nocase(words.ptr[at], "BACKFILL")) {
        args->backfill = true;
        at++;
    }
    if (at < words.n)
        return call_error(call, "wrong number of arguments for 'ts.createrule' command");
    if (slice_eq(args->source, args->dest))
        return call_error(call, "TSDB: the source key and destination key should be different");
    return ST_OK;
}

status cmd_ts_createrule(struct call *call, const void *argp)
{
    struct rule_args *args = arena_try_zero(&call->arena, sizeof(*args));
    (void)argp;
    if (!args) return ST_NO_MEMORY;
    TRY(parse_rule(call, args));
    return ts_change_start(call, args, create_rule, NULL);
}

static status remove_rule(struct ts_change *change)
{
    struct db *db = change->call->app->db;
    struct registry *reg = db_registry(db);
    struct rule_info rule;
    uint32_t source, dest;
    TRY(find_both(change, &source, &dest));
    const struct series_entry *to = registry_entry(reg, dest);
    if (!db_rule_of_dest(db, to->id, &rule) || rule.source != registry_entry(reg, source)->id)
        return refuse(change, "TSDB: compaction rule does not exist");
    struct series_attrs attrs = attrs_of(to);
    attrs.rule_source = 0;
    attrs.rule_agg = 0;
    attrs.rule_bucket_ms = attrs.rule_align_ms = attrs.rule_since = 0;
    return db_set_attrs(db, dest, &attrs, &change->at, &change->err);
}

static void delete_rule(struct ts_change *change)
{
    ts_change_end(change, remove_rule(change));
}

status cmd_ts_deleterule(struct call *call, const void *argp)
{
    struct rule_args *args = arena_try_zero(&call->arena, sizeof(*args));
    (void)argp;
    if (!args) return ST_NO_MEMORY;
    args->source = call->argv[1];
    args->dest = call->argv[2];
    return ts_change_start(call, args, delete_rule, NULL);
}
