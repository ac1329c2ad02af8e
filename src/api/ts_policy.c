/* Rules that come with new keys. See ts_policy.h.
 *
 * Destinations are made by one batch of their own, each with its rule as an attribute, so
 * that a rule and its series are there together or not at all. The engine makes the buckets
 * that have been closed meanwhile before the batch is answered. */
#include "api/ts_policy.h"

#include <stdio.h>
#include <string.h>

#include "api/ts_args.h"
#include "api/ts_key.h"
#include "api/work.h"
#include "base/mem.h"
#include "base/numfmt.h"
#include "base/panic.h"

static const struct unit {
    char letter;
    int64_t ms;
} units[] = {{'d', 86400000}, {'h', 3600000}, {'M', 60000}, {'s', 1000}, {'m', 1}};

/* --- text -------------------------------------------------------------------------------- */

static bool parse_span(int64_t *ms, struct slice text)
{
    int64_t n;
    if (slice_is(text, "0")) {
        *ms = 0;
        return true;
    }
    if (text.len < 2 || !arg_int(&n, slice_of(text.ptr, text.len - 1)) || n < 0) return false;
    for (size_t i = 0; i < ARRAY_LEN(units); i++)
        if (text.ptr[text.len - 1] == units[i].letter)
            return !__builtin_mul_overflow(n, units[i].ms, ms);
    return false;
}

/* The part up to the separator, which is taken, too. */
static struct slice cut(struct slice *rest, char separator)
{
    const char *at = memchr(rest->ptr, separator, rest->len);
    struct slice part = slice_of(rest->ptr, at ? (size_t)(at - rest->ptr) : rest->len);
    *rest = slice_skip(*rest, part.len + (at != NULL));
    return part;
}

static bool parse_rule(struct ts_policy_rule *rule, struct slice text)
{
    struct slice agg = cut(&text, ':'), bucket = cut(&text, ':'), retention = cut(&text, ':');
    *rule = (struct ts_policy_rule){.align_ms = 0};
    return agg_parse(&rule->agg, agg) && parse_span(&rule->bucket_ms, bucket) &&
           rule->bucket_ms > 0 && parse_span(&rule->retention_ms, retention) &&
           (text.len == 0 || (parse_span(&rule->align_ms, text) &&
                              rule->align_ms < rule->bucket_ms));
}

status ts_policy_parse(struct ts_policy_rule rules[TS_POLICY_MAX], size_t *n, struct slice text,
                       struct err *err)
{
    *n = 0;
    while (text.len) {
        struct slice part = cut(&text, ';');
        if (part.len == 0 && text.len == 0 && *n) break; /* a semicolon at the end */
        if (*n == TS_POLICY_MAX)
            return err_set(err, ST_INVALID, "at most %d rules", TS_POLICY_MAX);
        if (!parse_rule(&rules[*n], part))
            return err_set(err, ST_INVALID,
                           "'" SLICE_FMT "' is not aggregator:bucket:retention[:align]",
                           (int)(part.len > 100 ? 100 : part.len), part.ptr);
        ++*n;
    }
    return ST_OK;
}

static void print_span(struct strbuf *out, int64_t ms)
{
    if (ms == 0) {
        strbuf_char(out, '0');
        return;
    }
    size_t i = 0;
    while (ms % units[i].ms) i++; /* the last one is 1 */
    strbuf_printf(out, "%lld%c", (long long)(ms / units[i].ms), units[i].letter);
}

void ts_policy_print(struct strbuf *out, const struct ts_policy_rule *rules, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        strbuf_printf(out, "%s%s:", i ? ";" : "", agg_name(rules[i].agg));
        print_span(out, rules[i].bucket_ms);
        strbuf_char(out, ':');
        print_span(out, rules[i].retention_ms);
        if (rules[i].align_ms == 0) continue;
        strbuf_char(out, ':');
        print_span(out, rules[i].align_ms);
    }
}

/* --- destinations -------------------------------------------------------------------------- */

struct follow {
    struct write_work work;
    struct call *call;
    lsn at;                    /* of the command itself */
};

static void followed(struct write_work *work)
{
    struct follow *follow = container_of(work, struct follow, work);
    struct call *call = follow->call;
    lsn at = follow->at;
    if (work->batch->durable_at > at) at = work->batch->durable_at;
    batch_free(work->batch);
    mem_free(follow);
    conn_resume(call->conn);
    call_finish_at(call, at);
}

static struct slice number_text(struct arena *arena, int64_t v)
{
    char text[32];
    int len = snprintf(text, sizeof(text), "%lld", (long long)v);
    return arena_copy(arena, slice_of(text, (size_t)len));
}

static struct slice dest_key(struct arena *arena, struct slice key,
                             const struct ts_policy_rule *rule)
{
    struct strbuf text;
    struct slice copy = {NULL, 0};
    strbuf_init(&text, 0);
    strbuf_slice(&text, key);
    strbuf_printf(&text, "_%s_%lld", agg_upper(rule->agg), (long long)rule->bucket_ms);
    if (rule->align_ms) strbuf_printf(&text, "_%lld", (long long)rule->align_ms);
    if (!text.failed) copy = arena_copy(arena, strbuf_view(&text));
    strbuf_release(&text);
    return copy;
}

/* The source's labels as the user gave them, and ours. NULL: no memory. */
static struct label *dest_labels(struct app *app, struct arena *arena, struct labels source,
                                 const struct ts_policy_rule *rule, size_t *n)
{
    struct label ours[] = {
        {SLICE_LIT("aggregation"), slice_str(agg_upper(rule->agg))},
        {SLICE_LIT("time_bucket"), number_text(arena, rule->bucket_ms)},
    };
    struct label *all = arena_try_array(arena, source.n + ARRAY_LEN(ours), sizeof(*all));
    *n = 0;
    if (!all || !ours[1].value.ptr) return NULL;
    for (size_t i = 0; i < source.n; i++)
        if (!ts_label_is_hidden(app_settings(app), source, source.ptr[i].name) &&
            !slice_eq(source.ptr[i].name, ours[0].name) &&
            !slice_eq(source.ptr[i].name, ours[1].name))
            all[(*n)++] = source.ptr[i];
    for (size_t i = 0; i < ARRAY_LEN(ours); i++) all[(*n)++] = ours[i];
    return all;
}

static status add_dest(struct app *app, struct batch *batch, const struct batch_series *source,
                       series_id id, const struct ts_policy_rule *rule)
{
    const struct app_settings *set = app_settings(app);
    struct labels labels = source->name->labels;
    struct series_attrs *attrs = arena_try(&batch->arena, sizeof(*attrs));
    struct slice key =
        dest_key(&batch->arena, labels_get(labels, SLICE_LIT(LABEL_KEY)), rule);
    size_t n;
    struct label *all = dest_labels(app, &batch->arena, labels, rule, &n);
    int64_t at = batch_add_series(batch);
    if (at < 0 || !attrs || !all || !key.ptr) return ST_NO_MEMORY;
    struct batch_series *series = &batch->series[at];
    *attrs = (struct series_attrs){.retention_ms = rule->retention_ms,
                                   .chunk_bytes = set->ts_chunk_bytes,
                                   .uncompressed = set->ts_uncompressed,
                                   .rule_agg = (uint8_t)rule->agg,
                                   .rule_source = id,
                                   .rule_bucket_ms = rule->bucket_ms,
                                   .rule_align_ms = rule->align_ms,
                                   .rule_since = TS_MIN};
    series->make = MAKE_REQUIRED;
    TRY(ts_key_series(app, batch, series, key, all, n, NULL));
    if (series->name) series->name->attrs = attrs;
    return ST_OK;
}

static struct batch *make_batch(struct app *app, const struct batch_series *source,
                                const struct ts_policy_rule *rules, size_t n)
{
    struct registry *reg = db_registry(app->db);
    struct batch *batch = batch_new(app->net_account);
    if (!batch) return NULL;
    int slot = app_is_owner(app) ? -1 : db_reader_enter(app->db);
    const struct series_entry *entry = registry_entry(reg, source->ordinal);
    series_id id = entry_gen(entry) == source->gen ? entry->id : 0;
    status st = id ? ST_OK : ST_NOT_FOUND;
    for (size_t i = 0; i < n && st == ST_OK; i++) st = add_dest(app, batch, source, id, &rules[i]);
    if (slot >= 0) db_reader_leave(app->db, slot);
    if (st == ST_OK) return batch;
    batch_free(batch);
    return NULL;
}

bool ts_policy_follow(struct call *call, const struct batch *batch, const struct ts_part *part)
{
    const struct batch_series *source = &batch->series[part->first_series];
    struct ts_policy_rule rules[TS_POLICY_MAX];
    size_t n;
    const char *text = app_settings(call->app)->ts_compaction_policy;
    if (!source->made || !source->name || !text[0]) return false;
    if (ts_policy_parse(rules, &n, slice_str(text), NULL) != ST_OK || n == 0) return false;
    struct batch *made = make_batch(call->app, source, rules, n);
    if (!made) return false; /* the key is there, its rules are not: as if memory came later */
    struct follow *follow = mem_zalloc(sizeof(*follow));
    follow->call = call;
    follow->at = batch->durable_at;
    conn_pause(call->conn);
    write_work_start(&follow->work, call->app, conn_loop_loop(conn_home(call->conn)), made,
                     followed);
    return true;
}
