/* Commands about series: TS.INFO TS.QUERYINDEX TS.DEL. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/cmd_handlers.h"
#include "api/ts_args.h"
#include "api/ts_key.h"
#include "api/ts_read.h"
#include "api/ts_series.h"
#include "api/ts_turn.h"
#include "base/mem.h"
#include "base/numfmt.h"
#include "base/panic.h"
#include "engine/rules.h"
#include "engine/view.h"

/* --- TS.INFO --------------------------------------------------------------------------- */

struct series_info {
    struct series_extent extent;
    struct labels labels;
    struct series_attrs attrs;
    enum dup_policy policy;
    series_id id;
    uint64_t n_samples;
    int64_t first_ms, last_ms;
    struct slice source;             /* key of the series that this one is made from, or empty */
    struct info_rule {
        struct slice dest;
        int64_t bucket_ms, align_ms;
        enum agg agg;
    } *rules;                        /* of which this one is the source */
    size_t n_rules;
    VEC(struct chunk_extent) chunks; /* DEBUG: by time */
};

enum info_extra { INFO_PLAIN, INFO_DEBUG, INFO_FULL };

struct info_args {
    struct slice key;
    enum info_extra extra;   /* DEBUG: each chunk; FULL: our own pairs */
};

/* Exact counts need the samples when something overlaps or is hidden; the common case is
 * told by headers. */
static status count_samples(struct ts_read *read, struct view *view, const struct captured *at,
                            struct series_info *info)
{
    struct query_work *work = &read->work;
    struct points pts = {0};
    enum precision precision = db_options(work->app->db)->precision;
    status st = view_read(view, at, (struct time_range){TS_MIN, TS_MAX}, &pts, &work->arena,
                          &work->err);
    if (st == ST_OK) st = budget_samples(&work->budget, pts.n, &work->err);
    info->n_samples = pts.n;
    info->first_ms = pts.n ? time_to_ms(pts.ts[0], precision) : 0;
    info->last_ms = pts.n ? time_to_ms(pts.ts[pts.n - 1], precision) : 0;
    points_release(&pts);
    return st;
}

static int by_start(const void *a, const void *b)
{
    const struct chunk_extent *x = a, *y = b;
    if (x->range.from != y->range.from) return x->range.from < y->range.from ? -1 : 1;
    return x->range.to < y->range.to ? -1 : x->range.to > y->range.to;
}

static status note_chunk(void *ctx, const struct chunk_extent *chunk)
{
    struct series_info *info = ctx;
    return vec_push(&info->chunks, *chunk) ? ST_OK : ST_NO_MEMORY;
}

/* The key of a series, in the arena; empty: it is gone. */
static status take_key(struct query_work *work, series_id id, struct slice *key)
{
    struct registry *reg = db_registry(work->app->db);
    struct strbuf text;
    uint32_t ordinal = registry_by_id(reg, id);
    *key = (struct slice){"", 0};
    if (ordinal == ORDINAL_NONE) return ST_OK;
    strbuf_init(&text, 0);
    ts_key_print(&text, reg, ordinal);
    *key = arena_copy(&work->arena, strbuf_view(&text));
    status st = text.failed || !key->ptr ? ST_NO_MEMORY : ST_OK;
    strbuf_release(&text);
    return st;
}

static int by_dest(const void *a, const void *b)
{
    return slice_cmp(((const struct info_rule *)a)->dest, ((const struct info_rule *)b)->dest);
}

static status take_rules(struct ts_read *read, struct series_info *info)
{
    enum { RULES_SHOWN = 256 };
    struct query_work *work = &read->work;
    struct db *db = work->app->db;
    enum precision precision = db_options(db)->precision;
    struct rule_info rules[RULES_SHOWN], own;
    size_t n = db_rules_of_source(db, info->id, rules, RULES_SHOWN);
    if (n > RULES_SHOWN) n = RULES_SHOWN;
    info->rules = arena_try_array(&work->arena, n + 1, sizeof(*info->rules));
    if (!info->rules) return ST_NO_MEMORY;
    for (size_t i = 0; i < n; i++) {
        struct info_rule *rule = &info->rules[info->n_rules];
        TRY(take_key(work, rules[i].dest, &rule->dest));
        rule->bucket_ms = time_to_ms(rules[i].bucket, precision);
        rule->align_ms = time_to_ms(rules[i].align, precision);
        rule->agg = rules[i].agg;
        info->n_rules += rule->dest.len > 0;
    }
    if (info->n_rules > 1) qsort(info->rules, info->n_rules, sizeof(*info->rules), by_dest);
    return db_rule_of_dest(db, info->id, &own) ? take_key(work, own.source, &info->source) : ST_OK;
}

static void put_rules(struct ts_read *read, const struct series_info *info)
{
    struct reply *reply = &read->reply;
    bool v3 = reply_version(reply) >= 3;
    if (v3) reply_map(reply, info->n_rules);
    else reply_array(reply, info->n_rules);
    for (size_t i = 0; i < info->n_rules; i++) {
        const struct info_rule *rule = &info->rules[i];
        if (!v3) reply_array(reply, 4);
        reply_bulk(reply, rule->dest);
        if (v3) reply_array(reply, 3);
        reply_int(reply, rule->bucket_ms);
        reply_simple(reply, agg_upper(rule->agg));
        reply_int(reply, rule->align_ms);
    }
}

static status take_info(struct ts_read *read, struct view *view, uint32_t ordinal,
                        struct series_info *info)
{
    const struct info_args *args = read->args;
    struct query_work *work = &read->work;
    struct app *app = work->app;
    const struct series_entry *entry = registry_entry(db_registry(app->db), ordinal);
    const struct series_attrs *attrs = entry_attrs(entry);
    struct captured at = {.ordinal = ordinal};
    struct labels labels = registry_labels(db_registry(app->db), ordinal, &work->arena);
    if (labels.n && !labels.ptr) return ST_NO_MEMORY;
    info->labels = labels_copy(&work->arena, labels);
    if (labels.n && !info->labels.ptr) return ST_NO_MEMORY;
    info->id = entry->id;
    if (attrs) info->attrs = *attrs;
    bool keyed = (entry_flags(entry) & SERIES_KEYED) != 0;
    info->policy = info->attrs.policy || keyed ? info->attrs.policy : DUP_LAST;
    if (info->attrs.chunk_bytes == 0) info->attrs.chunk_bytes = app_settings(app)->ts_chunk_bytes;
    TRY(take_rules(read, info));
    TRY(view_capture(view, &at, 1, &work->err));
    if (captured_moved(&at)) return ST_AGAIN;
    TRY(view_extent(view, &at, &info->extent, &work->err));
    if (args->extra == INFO_DEBUG) {
        TRY(view_chunks(view, &at, note_chunk, info, &work->err));
        if (info->chunks.len)
            qsort(info->chunks.ptr, info->chunks.len, sizeof(info->chunks.ptr[0]), by_start);
    }
    return count_samples(read, view, &at, info);
}

static const char *policy_word(enum dup_policy policy)
{
    static const char *const words[] = {"block", "block", "first", "last", "min", "max", "sum"};
    return words[policy <= DUP_SUM ? policy : 0];
}

static void put_double_text(struct ts_read *read, double v)
{
    char text[64];
    if (reply_version(&read->reply) >= 3) {
        reply_double(&read->reply, v);
        return;
    }
    int n = snprintf(text, sizeof(text), "%.17g", v);
    reply_bulk(&read->reply, slice_of(text, n > 0 ? (size_t)n : 0));
}

static void put_name(struct ts_read *read, const char *name)
{
    reply_simple(&read->reply, name);
}

static void put_number(struct ts_read *read, const char *name, int64_t v)
{
    put_name(read, name);
    reply_int(&read->reply, v);
}

static void put_chunks(struct ts_read *read, const struct series_info *info)
{
    enum precision precision = db_options(read->work.app->db)->precision;
    const struct info_args *args = read->args;
    put_name(read, "keySelfName");
    reply_bulk(&read->reply, args->key);
    put_name(read, "Chunks");
    reply_array(&read->reply, info->chunks.len);
    for (size_t i = 0; i < info->chunks.len; i++) {
        const struct chunk_extent *chunk = &info->chunks.ptr[i];
        reply_map(&read->reply, 5);
        put_number(read, "startTimestamp", time_to_ms(chunk->range.from, precision));
        put_number(read, "endTimestamp", time_to_ms(chunk->range.to, precision));
        put_number(read, "samples", (int64_t)chunk->n_samples);
        put_number(read, "size", (int64_t)chunk->n_bytes);
        put_name(read, "bytesPerSample");
        put_double_text(read, (double)chunk->n_bytes / (double)chunk->n_samples);
    }
}

/* tsink's own, which the peer does not have. */
static void put_own(struct ts_read *read, const struct series_info *info)
{
    put_number(read, "seriesId", (int64_t)info->id);
    put_name(read, "metricName");
    reply_bulk(&read->reply, labels_get(info->labels, SLICE_LIT(LABEL_NAME)));
    put_number(read, "blocks", (int64_t)info->extent.n_chunks);
    put_number(read, "diskBytes", (int64_t)info->extent.n_bytes);
}

static void put_info(struct ts_read *read, const struct series_info *info)
{
    static const struct ts_names none = {NULL, 0, false};
    static const size_t n_extra[] = {[INFO_PLAIN] = 0, [INFO_DEBUG] = 2, [INFO_FULL] = 4};
    const struct info_args *args = read->args;
    struct reply *reply = &read->reply;
    reply_map(reply, 14 + n_extra[args->extra]);
    put_number(read, "totalSamples", (int64_t)info->n_samples);
    put_number(read, "memoryUsage", (int64_t)info->extent.n_bytes);
    put_number(read, "firstTimestamp", info->first_ms);
    put_number(read, "lastTimestamp", info->last_ms);
    put_number(read, "retentionTime", info->attrs.retention_ms);
    put_number(read, "chunkCount", info->extent.n_chunks ? (int64_t)info->extent.n_chunks : 1);
    put_number(read, "chunkSize", info->attrs.chunk_bytes);
    put_name(read, "chunkType");
    reply_simple(reply, info->attrs.uncompressed ? "uncompressed" : "compressed");
    put_name(read, "duplicatePolicy");
    if (info->policy == DUP_UNSET) reply_null(reply); /* made by ts-compaction-policy */
    else reply_simple(reply, policy_word(info->policy));
    put_name(read, "labels");
    ts_put_labels(read, info->labels, true, &none);
    put_name(read, "sourceKey");
    if (info->source.len) reply_bulk(reply, info->source);
    else reply_null(reply);
    put_name(read, "rules");
    put_rules(read, info);
    put_number(read, "ignoreMaxTimeDiff", info->attrs.ignore_max_ms);
    put_name(read, "ignoreMaxValDiff");
    put_double_text(read, info->attrs.ignore_max_val);
    if (args->extra == INFO_DEBUG) put_chunks(read, info);
    if (args->extra == INFO_FULL) put_own(read, info);
}

/* ST_AGAIN: too much changed at this very moment. */
static status look(struct ts_read *read, struct series_info *info)
{
    const struct info_args *args = read->args;
    struct query_work *work = &read->work;
    struct app *app = work->app;
    struct view *view;
    *info = (struct series_info){.n_samples = 0};
    int slot = db_reader_enter(app->db);
    uint32_t ordinal = ts_key_find(app, args->key);
    status st = ordinal == ORDINAL_NONE
                    ? err_set(&work->err, ST_NOT_FOUND, "TSDB: the key does not exist")
                    : db_pin(app->db, &view, &work->err);
    if (st == ST_OK) {
        st = take_info(read, view, ordinal, info);
        db_unpin(app->db, view);
    }
    db_reader_leave(app->db, slot);
    return st;
}

static status run_info(struct ts_read *read)
{
    enum { TRIES = 3 };
    struct series_info info = {.n_samples = 0};
    status st = ST_AGAIN;
    for (int i = 0; i < TRIES && st == ST_AGAIN; i++) {
        vec_release(&info.chunks);
        st = look(read, &info);
    }
    if (st == ST_OK) put_info(read, &info);
    vec_release(&info.chunks);
    return st;
}

status cmd_ts_info(struct call *call, const void *argp)
{
    struct info_args *args = arena_try_zero(&call->arena, sizeof(*args));
    (void)argp;
    if (!args) return ST_NO_MEMORY;
    args->key = call->argv[1];
    if (call->argc > 2 && slice_is_nocase(call->argv[2], "DEBUG")) args->extra = INFO_DEBUG;
    if (call->argc > 2 && slice_is_nocase(call->argv[2], "FULL")) args->extra = INFO_FULL;
    if (call->argc > 3 || (call->argc == 3 && args->extra == INFO_PLAIN))
        return call_error(call, "wrong number of arguments for 'ts.info' command");
    return ts_read_start(call, args, 0, run_info);
}

/* --- TS.QUERYINDEX ---------------------------------------------------------------------- */

static status run_queryindex(struct ts_read *read)
{
    const struct slices *exprs = read->args;
    struct ts_many many;
    TRY(ts_many_fetch(&many, &read->work, exprs->ptr, exprs->n,
                      (struct time_range){TS_MIN, TS_MAX}, false));
    reply_set(&read->reply, many.n);
    for (size_t i = 0; i < many.n; i++) reply_bulk(&read->reply, many.keys[i]);
    ts_many_done(&many, &read->work);
    return ST_OK;
}

status cmd_ts_queryindex(struct call *call, const void *argp)
{
    struct slices *exprs = arena_try(&call->arena, sizeof(*exprs));
    struct ts_filter filter;
    (void)argp;
    if (!exprs) return ST_NO_MEMORY;
    *exprs = call_words(call);
    TRY(ts_filter_parse(&filter, &call->arena, exprs->ptr, exprs->n, &call->err));
    ts_filter_release(&filter);
    return ts_read_start(call, exprs, 0, run_queryindex);
}

/* --- TS.DEL: a job counts, then the owner deletes ---------------------------------------- */

struct del_args {
    struct slice key;
    struct ts_bound from, to;
};

static const struct arg_spec del_spec[] = {
    ARG_POS(struct del_args, key, ARG_SLICE),
    ARG_POS_BY(struct del_args, from, ts_parse_from),
    ARG_POS_BY(struct del_args, to, ts_parse_to),
    ARG_END,
};
const struct arg_shape ts_del_shape = ARG_SHAPE(struct del_args, del_spec);

struct del_work {
    struct query_work work;
    struct call *call;
    struct task task;
    struct time_range range;
    uint32_t ordinal, gen;
    uint64_t n_samples;
    lsn at;
    status st;
    struct err err;
    struct rule_wait wait;   /* for the buckets of rules */
};

/* Samples that a rule's buckets were made of may be gone by retention: those buckets could
 * not be made anew. */
static status check_compactions(struct del_work *del, ts_time newest)
{
    struct query_work *work = &del->work;
    struct registry *reg = db_registry(work->app->db);
    struct rule_info rules[16];
    int slot = db_reader_enter(work->app->db);
    const struct series_entry *entry = registry_entry(reg, del->ordinal);
    const struct series_attrs *attrs = entry_attrs(entry);
    int64_t keep_ms = attrs ? attrs->retention_ms : 0;
    size_t n = db_rules_of_source(work->app->db, entry->id, rules, ARRAY_LEN(rules));
    db_reader_leave(work->app->db, slot);
    if (n == 0 || keep_ms == 0 || del->range.from == TS_MIN) return ST_OK;
    enum precision precision = db_options(work->app->db)->precision;
    ts_time oldest = sat_sub(newest, time_from_ms_clamped(keep_ms, precision));
    for (size_t i = 0; i < n && i < ARRAY_LEN(rules); i++) {
        ts_time start = time_bucket(del->range.from, rules[i].bucket, rules[i].align);
        if (start < oldest)
            return err_set(&work->err, ST_INVALID,
                           "TSDB: When a series has compactions, deleting samples or compaction "
                           "buckets beyond the series retention period is not possible");
    }
    return ST_OK;
}

static status read_newest(struct query_work *work, struct slice key, struct point *last,
                          bool *found)
{
    struct ts_one one;
    TRY(ts_one_fetch(&one, work, key, (struct time_range){TS_MIN, TS_MAX}, false));
    status st = ts_last(work, one.set, one.idx, last, found);
    ts_one_done(&one, work);
    return st;
}

static status del_run(struct query_work *work)
{
    struct del_work *del = container_of(work, struct del_work, work);
    const struct del_args *args = (const void *)del->call->args;
    struct app *app = work->app;
    struct points pts = {0};
    struct ts_one one;
    int slot = db_reader_enter(app->db);
    del->ordinal = ts_key_find(app, args->key);
    if (del->ordinal != ORDINAL_NONE)
        del->gen = entry_gen(registry_entry(db_registry(app->db), del->ordinal));
    db_reader_leave(app->db, slot);
    TRY(ts_one_fetch(&one, work, args->key, del->range, false));
    status st = series_read(one.set, one.idx, &pts, &work->err);
    del->n_samples = pts.n;
    points_release(&pts);
    struct point last;
    bool found = false;
    if (st == ST_OK) st = read_newest(work, args->key, &last, &found);
    if (st == ST_OK && found) st = check_compactions(del, last.ts);
    ts_one_done(&one, work);
    return st;
}

static void free_del(struct del_work *del)
{
    query_work_release(&del->work);
    mem_free(del);
}

static void del_at_home(struct task *task)
{
    struct del_work *del = container_of(task, struct del_work, task);
    struct call *call = del->call;
    lsn at = del->at;
    status st = del->st;
    if (st == ST_OK)
        reply_int(&call->reply, (int64_t)del->n_samples);
    else
        call->err = del->err;
    free_del(del);
    if (st == ST_OK)
        call_finish_at(call, at);
    else
        call_fail(call, st);
}

/* The buckets that the samples were in are made anew. */
static void del_settled(struct rule_wait *wait)
{
    struct del_work *del = container_of(wait, struct del_work, wait);
    if (wait->at > del->at) del->at = wait->at;
    del->task.fn = del_at_home;
    app_to_loop(del->work.home, &del->task);
}

static void del_on_owner(struct task *task)
{
    struct del_work *del = container_of(task, struct del_work, task);
    struct db *db = del->work.app->db;
    const struct series_entry *entry = registry_entry(db_registry(db), del->ordinal);
    del->st = ST_OK;
    if (entry_gen(entry) == del->gen && del->n_samples)
        del->st = db_delete(db, &del->ordinal, 1, del->range, &del->at, &del->err);
    list_init(&del->wait.link);
    del->wait.done = del_settled;
    db_rules_wait(db, &del->wait);
}

static void del_counted(struct query_work *work)
{
    struct del_work *del = container_of(work, struct del_work, work);
    del->st = work->st;
    del->err = work->err;
    del->task.fn = del->st == ST_OK ? del_on_owner : del_at_home;
    if (del->st == ST_OK)
        app_to_owner(work->app, &del->task);
    else
        del_at_home(&del->task);
}

static void start_del(struct call *call)
{
    struct del_work *del = call->state;
    query_work_start(&del->work);
}

status cmd_ts_del(struct call *call, const void *argp)
{
    const struct del_args *args = argp;
    enum precision precision = db_options(call->app->db)->precision;
    /* The next command of this connection must see the delete. */
    TRY(call_later_alone(call));
    struct del_work *del = mem_zalloc(sizeof(*del));
    del->call = call;
    list_init(&del->task.link);
    del->range.from = args->from.open ? TS_MIN : time_from_ms_clamped(args->from.ms, precision);
    del->range.to = args->to.open ? TS_MAX : time_from_ms_clamped(args->to.ms, precision);
    query_work_init(&del->work, call->app, call->slot, 0, del_run, del_counted);
    call->state = del;
    ts_turn_read(call, start_del);
    return ST_OK;
}
