/* Commands that read samples: TS.GET TS.RANGE TS.REVRANGE TS.MGET TS.MRANGE TS.MREVRANGE.
 * Short reads of recent samples are answered at once, the others are query jobs. */
#include <string.h>

#include "api/cmd_handlers.h"
#include "api/ts_args.h"
#include "api/ts_filter.h"
#include "api/ts_key.h"
#include "api/ts_read.h"
#include "api/ts_series.h"
#include "api/ts_turn.h"
#include "base/panic.h"
#include "engine/view.h"

enum { AT_ONCE_SAMPLES = 4096 }; /* looked at by a read on the owner (architecture 4) */

/* --- samples -------------------------------------------------------------------------- */

static void put_sample(struct ts_read *read, ts_time ts, double v)
{
    reply_array(&read->reply, 2);
    reply_int(&read->reply, time_to_ms(ts, db_options(read->work.app->db)->precision));
    reply_double(&read->reply, v);
}

static void put_rows(struct reply *reply, enum precision precision, const struct rows *rows)
{
    reply_array(reply, rows->n);
    for (size_t i = 0; i < rows->n; i++) {
        reply_array(reply, 1 + rows->n_vals);
        reply_int(reply, time_to_ms(rows->ts[i], precision));
        for (size_t k = 0; k < rows->n_vals; k++)
            reply_double(reply, rows->val[i * rows->n_vals + k]);
    }
}

static enum precision precision_of(const struct ts_read *read)
{
    return db_options(read->work.app->db)->precision;
}

/* The rows of series i of a set. */
static status read_rows(struct ts_read *read, struct series_set *set, size_t i,
                        const struct range_spec *spec, bool latest, struct rows *rows)
{
    struct points pts = {0};
    status st = series_read(set, i, &pts, &read->work.err);
    rows_clear(rows);
    if (st == ST_OK && latest)
        st = ts_add_latest(&read->work, set->ids[i], spec->range, &pts);
    if (st == ST_OK)
        st = aggregate_range(rows, &pts, set->types[i], spec, &read->work.budget, &read->work.err);
    points_release(&pts);
    return st;
}

/* --- TS.RANGE, TS.REVRANGE ------------------------------------------------------------- */

struct range_args {
    struct slice key;
    struct ts_range_args range;
};

static const struct arg_spec range_spec[] = {
    ARG_POS(struct range_args, key, ARG_SLICE),
    ARG_POS_BY(struct range_args, range.from, ts_parse_from),
    ARG_POS_BY(struct range_args, range.to, ts_parse_to),
    TS_RANGE_SPEC(struct range_args, range),
    ARG_END,
};
const struct arg_shape ts_range_shape = ARG_SHAPE(struct range_args, range_spec);

static status run_range_to(struct ts_read *read, bool reverse)
{
    const struct range_args *args = read->args;
    struct query_work *work = &read->work;
    struct range_spec spec;
    struct ts_one one;
    struct rows rows = {0};
    TRY(ts_range_spec(&spec, &args->range, reverse, db_options(work->app->db)->precision,
                      &work->arena, &work->err));
    TRY(ts_one_fetch(&one, work, args->key, spec.range, range_wants_edges(&spec)));
    status st = read_rows(read, one.set, one.idx, &spec, args->range.latest, &rows);
    if (st == ST_OK) put_rows(&read->reply, precision_of(read), &rows);
    rows_release(&rows);
    ts_one_done(&one, work);
    return st;
}

static status run_range(struct ts_read *read)
{
    return run_range_to(read, false);
}

static status run_revrange(struct ts_read *read)
{
    return run_range_to(read, true);
}

/* Says early, and in order with other argument errors, what the job would say. */
static status check_range(struct call *call, const struct ts_range_args *args)
{
    struct range_spec spec;
    return ts_range_spec(&spec, args, false, db_options(call->app->db)->precision, &call->arena,
                         &call->err);
}

/* On the owner's loop a short range of recent samples is read at once: a job costs more
 * than it (architecture: "what would block the owner"). ST_AGAIN: it must be a job. */
static status range_at_once(struct call *call, const struct range_args *args, bool reverse)
{
    struct app *app = call->app;
    struct range_spec spec;
    struct points pts = {0};
    struct rows rows = {0};
    if (!app_is_owner(app) || !ts_turn_idle(call)) return ST_AGAIN;
    uint32_t ordinal = ts_key_find(app, args->key);
    if (ordinal == ORDINAL_NONE) return ST_AGAIN;
    TRY(ts_range_spec(&spec, &args->range, reverse, db_options(app->db)->precision, &call->arena,
                      &call->err));
    if (range_wants_edges(&spec) || spec.empty || args->range.latest) return ST_AGAIN;

    enum value_type type = (enum value_type)registry_entry(db_registry(app->db), ordinal)->type;
    status st = db_read_small(app->db, ordinal, spec.range, AT_ONCE_SAMPLES, &pts, &call->arena,
                              &call->err);
    if (st == ST_OK) st = aggregate_range(&rows, &pts, type, &spec, NULL, &call->err);
    if (st == ST_OK) put_rows(&call->reply, db_options(app->db)->precision, &rows);
    rows_release(&rows);
    points_release(&pts);
    return st;
}

static status start_range(struct call *call, const struct range_args *args, bool reverse)
{
    TRY(check_range(call, &args->range));
    status st = range_at_once(call, args, reverse);
    if (st != ST_AGAIN) return st;
    call->err = (struct err){.st = ST_OK};
    return ts_read_start(call, args, 0, reverse ? run_revrange : run_range);
}

status cmd_ts_range(struct call *call, const void *argp)
{
    return start_range(call, argp, false);
}

status cmd_ts_revrange(struct call *call, const void *argp)
{
    return start_range(call, argp, true);
}

/* --- TS.GET ---------------------------------------------------------------------------- */

struct get_args {
    struct slice key;
    bool latest;
};

static status put_last(struct ts_read *read, struct series_set *set, size_t i, bool latest)
{
    struct points open = {0};
    struct point last;
    bool found;
    TRY(ts_last(&read->work, set, i, &last, &found));
    if (latest)
        TRY(ts_add_latest(&read->work, set->ids[i], (struct time_range){TS_MIN, TS_MAX}, &open));
    if (open.n) { /* behind all that the series has */
        last = (struct point){open.ts[0], open.val[0]};
        found = true;
    }
    points_release(&open);
    if (found)
        put_sample(read, last.ts, value_to_f64(set->types[i], last.val));
    else
        reply_array(&read->reply, 0);
    return ST_OK;
}

static status run_get(struct ts_read *read)
{
    const struct get_args *args = read->args;
    struct ts_one one;
    TRY(ts_one_fetch(&one, &read->work, args->key, (struct time_range){TS_MIN, TS_MAX}, false));
    status st = put_last(read, one.set, one.idx, args->latest);
    ts_one_done(&one, &read->work);
    return st;
}

/* The newest sample is in the head line, nearly always; false: a job must look. */
static bool get_at_once(struct call *call, struct slice key)
{
    struct db_latest last;
    if (!app_is_owner(call->app)) return false;
    uint32_t ordinal = ts_key_find(call->app, key);
    if (ordinal == ORDINAL_NONE) return false;
    status st = db_latest(call->app->db, ordinal, &last);
    if (st == ST_AGAIN || (st == ST_OK && last.type == VALUE_F64 && value_is_stale(last.bits)))
        return false;
    if (st == ST_NOT_FOUND) {
        reply_array(&call->reply, 0);
        return true;
    }
    reply_array(&call->reply, 2);
    reply_int(&call->reply, time_to_ms(last.ts, db_options(call->app->db)->precision));
    reply_double(&call->reply, value_to_f64(last.type, (union value){.bits = last.bits}));
    return true;
}

status cmd_ts_get(struct call *call, const void *argp)
{
    struct get_args *args = arena_try(&call->arena, sizeof(*args));
    (void)argp;
    if (!args) return ST_NO_MEMORY;
    if (call->argc > 3 || (call->argc == 3 && !slice_is_nocase(call->argv[2], "LATEST")))
        return call_error(call, "TSDB: wrong 3rd argument");
    *args = (struct get_args){.key = call->argv[1], .latest = call->argc == 3};
    if (!args->latest && ts_turn_idle(call) && get_at_once(call, args->key)) return ST_OK;
    return ts_read_start(call, args, 0, run_get);
}

/* --- many series ------------------------------------------------------------------------ */

struct many_args {
    struct ts_range_args range;
    bool with_labels, exclude_empty;
    struct ts_names selected;
    struct slices filter;
    struct slice group_label;   /* empty: no GROUPBY */
    enum agg reducer;
    bool reverse, get;          /* of the command */
};

static const struct arg_spec mrange_spec[] = {
    ARG_POS_BY(struct many_args, range.from, ts_parse_from),
    ARG_POS_BY(struct many_args, range.to, ts_parse_to),
    TS_RANGE_SPEC(struct many_args, range),
    ARG_FLAG("WITHLABELS", struct many_args, with_labels),
    ARG_SUB("SELECTED_LABELS", struct many_args, selected, ts_parse_selected),
    ARG_FLAG("EXCLUDEEMPTY", struct many_args, exclude_empty),
    ARG_REST("FILTER", struct many_args, filter),
    ARG_END,
};
static const struct arg_shape mrange_shape = ARG_SHAPE(struct many_args, mrange_spec);

static const struct arg_spec mget_spec[] = {
    ARG_FLAG("LATEST", struct many_args, range.latest),
    ARG_FLAG("WITHLABELS", struct many_args, with_labels),
    ARG_SUB("SELECTED_LABELS", struct many_args, selected, ts_parse_selected),
    ARG_REST("FILTER", struct many_args, filter),
    ARG_END,
};
static const struct arg_shape mget_shape = ARG_SHAPE(struct many_args, mget_spec);

/* One entry of an answer: a series, or a group of them. */
static status put_range_entry(struct ts_read *read, const struct many_args *args,
                              const struct ts_many *many, size_t i, const struct range_spec *spec,
                              struct rows *rows)
{
    struct reply *reply = &read->reply;
    TRY(read_rows(read, many->set, many->order[i], spec, args->range.latest, rows));
    if (reply_version(reply) < 3) reply_array(reply, 3);
    TRY(ts_put_key(reply, many, i));
    if (reply_version(reply) >= 3) reply_array(reply, 3);
    ts_put_labels(read, many->set->labels[many->order[i]], args->with_labels, &args->selected);
    if (reply_version(reply) >= 3) {
        reply_map(reply, 1);
        reply_text(reply, "aggregators");
        reply_array(reply, args->range.agg.n);
        for (size_t k = 0; k < args->range.agg.n; k++)
            reply_text(reply, agg_name(args->range.agg.aggs[k]));
    }
    put_rows(&read->reply, precision_of(read), rows);
    return ST_OK;
}

static status put_get_entry(struct ts_read *read, const struct many_args *args,
                            const struct ts_many *many, size_t i)
{
    struct reply *reply = &read->reply;
    if (reply_version(reply) < 3) reply_array(reply, 3);
    TRY(ts_put_key(reply, many, i));
    if (reply_version(reply) >= 3) reply_array(reply, 2);
    ts_put_labels(read, many->set->labels[many->order[i]], args->with_labels, &args->selected);
    return put_last(read, many->set, many->order[i], args->range.latest);
}

static void begin_many(struct ts_read *read, size_t n)
{
    if (reply_version(&read->reply) >= 3)
        reply_map(&read->reply, n);
    else
        reply_array(&read->reply, n);
}

/* EXCLUDEEMPTY: leaves out series without a row. The answer says first how many there are,
 * so they are asked for one row each before. */
static status drop_empty(struct ts_read *read, struct ts_many *many,
                         const struct range_spec *spec, bool latest)
{
    struct range_spec first = *spec;
    struct rows rows = {0};
    status st = ST_OK;
    size_t n = 0;
    first.count = 1;
    for (size_t i = 0; i < many->n && st == ST_OK; i++) {
        st = read_rows(read, many->set, many->order[i], &first, latest, &rows);
        if (rows.n == 0) continue;
        many->order[n] = many->order[i];
        many->keys[n++] = many->keys[i];
    }
    many->n = n;
    rows_release(&rows);
    return st;
}

static status run_series(struct ts_read *read, const struct many_args *args,
                         struct ts_many *many, const struct range_spec *spec)
{
    struct rows rows = {0};
    status st = ST_OK;
    if (args->exclude_empty) TRY(drop_empty(read, many, spec, args->range.latest));
    begin_many(read, many->n);
    for (size_t i = 0; i < many->n && st == ST_OK; i++)
        st = args->get ? put_get_entry(read, args, many, i)
                       : put_range_entry(read, args, many, i, spec, &rows);
    rows_release(&rows);
    return st;
}

/* --- GROUPBY ----------------------------------------------------------------------------- */

/* The members of a group, which are adjacent after ts_many_group(). */
static status reduce_group(struct ts_read *read, const struct many_args *args,
                           const struct ts_many *many, size_t from, size_t to,
                           const struct range_spec *spec, struct rows *out)
{
    struct range_spec inner = *spec;
    struct group_reduce group = {0};
    struct rows rows = {0};
    status st = ST_OK;
    inner.count = 0; /* COUNT comes after the reduction */
    inner.reverse = false;
    for (size_t i = from; i < to && st == ST_OK; i++) {
        st = read_rows(read, many->set, many->order[i], &inner, args->range.latest, &rows);
        if (st == ST_OK) st = group_add(&group, &rows);
    }
    rows_clear(out);
    if (st == ST_OK) st = group_finish(&group, out, args->reducer, spec->count, spec->reverse);
    group_release(&group);
    rows_release(&rows);
    return st;
}

static status put_group_labels(struct ts_read *read, const struct many_args *args,
                               const struct ts_many *many, size_t from, size_t to,
                               struct slice value)
{
    struct reply *reply = &read->reply;
    bool v3 = reply_version(reply) >= 3;
    bool shown = args->with_labels || args->selected.n;
    struct strbuf sources;
    strbuf_init(&sources, 0);
    for (size_t i = from; i < to; i++) {
        if (i > from) strbuf_char(&sources, ',');
        strbuf_slice(&sources, many->keys[i]);
    }
    reply_pairs(reply, shown ? (v3 ? 1 : 3) : 0);
    if (shown) {
        reply_pair(reply);
        reply_bulk(reply, args->group_label);
        reply_bulk(reply, value);
    }
    if (shown && !v3) {
        reply_pair(reply);
        reply_text(reply, "__reducer__");
        reply_text(reply, agg_name(args->reducer));
        reply_pair(reply);
        reply_text(reply, "__source__");
        reply_bulk(reply, strbuf_view(&sources));
    }
    if (v3) {
        reply_map(reply, 1);
        reply_text(reply, "reducers");
        reply_array(reply, 1);
        reply_text(reply, agg_name(args->reducer));
        reply_map(reply, 1);
        reply_text(reply, "sources");
        reply_array(reply, to - from);
        for (size_t i = from; i < to; i++) reply_bulk(reply, many->keys[i]);
    }
    status st = sources.failed ? ST_NO_MEMORY : ST_OK;
    strbuf_release(&sources);
    return st;
}

static status put_group(struct ts_read *read, const struct many_args *args,
                        const struct ts_many *many, size_t from, size_t to,
                        const struct range_spec *spec, struct rows *rows)
{
    struct reply *reply = &read->reply;
    struct slice value = labels_get(many->set->labels[many->order[from]], args->group_label);
    char *name = arena_printf(&read->work.arena, SLICE_FMT "=" SLICE_FMT,
                              SLICE_ARG(args->group_label), SLICE_ARG(value));
    if (!name) return ST_NO_MEMORY;
    TRY(reduce_group(read, args, many, from, to, spec, rows));
    if (reply_version(reply) < 3) reply_array(reply, 3);
    reply_text(reply, name);
    if (reply_version(reply) >= 3) reply_array(reply, 4);
    TRY(put_group_labels(read, args, many, from, to, value));
    put_rows(&read->reply, precision_of(read), rows);
    return ST_OK;
}

static status run_groups(struct ts_read *read, const struct many_args *args, struct ts_many *many,
                         const struct range_spec *spec)
{
    struct rows rows = {0};
    status st = ST_OK;
    size_t n = ts_many_group(many, args->group_label);
    begin_many(read, n);
    for (size_t from = 0, to; from < many->n && st == ST_OK; from = to) {
        to = ts_many_group_end(many, from, args->group_label);
        st = put_group(read, args, many, from, to, spec, &rows);
    }
    rows_release(&rows);
    return st;
}

/* --- TS.MRANGE, TS.MREVRANGE, TS.MGET ------------------------------------------------------ */

static status run_many(struct ts_read *read)
{
    const struct many_args *args = read->args;
    struct query_work *work = &read->work;
    struct range_spec spec;
    struct ts_many many;
    TRY(ts_range_spec(&spec, &args->range, args->reverse, db_options(work->app->db)->precision,
                      &work->arena, &work->err));
    if (args->get) spec.range = (struct time_range){TS_MIN, TS_MAX};
    TRY(ts_many_fetch(&many, work, args->filter.ptr, args->filter.n, spec.range,
                      range_wants_edges(&spec)));
    status st = args->group_label.len ? run_groups(read, args, &many, &spec)
                                      : run_series(read, args, &many, &spec);
    ts_many_done(&many, work);
    return st;
}

/* "GROUPBY label REDUCE r" are the last four words. */
static status take_group(struct call *call, struct many_args *args, struct slices *words)
{
    for (size_t i = 0; i < words->n; i++) {
        if (!slice_is_nocase(words->ptr[i], "GROUPBY")) continue;
        if (i + 4 != words->n || !slice_is_nocase(words->ptr[i + 2], "REDUCE"))
            return call_error(call, "wrong number of arguments for '%s' command", call->cmd->name);
        args->group_label = words->ptr[i + 1];
        if (!agg_parse(&args->reducer, words->ptr[i + 3]) || !group_reducer_valid(args->reducer))
            return call_error(call, "TSDB: Invalid reducer type");
        words->n = i;
        return ST_OK;
    }
    return ST_OK;
}

static status start_many(struct call *call, bool get, bool reverse)
{
    struct many_args *args = arena_try_zero(&call->arena, sizeof(*args));
    struct slices words = call_words(call);
    struct many_args group = {.reducer = AGG_AVG};
    enum arg_unknown unknown =
        app_settings(call->app)->resp_lenient_args ? ARG_UNKNOWN_SKIP : ARG_UNKNOWN_TSDB;
    struct ts_filter filter;
    if (!args) return ST_NO_MEMORY;
    bool exclude = !get && words.n > 0 &&
                   slice_is_nocase(words.ptr[words.n - 1], "EXCLUDEEMPTY");
    if (exclude) words.n--;
    if (!get) TRY(take_group(call, &group, &words));
    TRY(args_parse(args, get ? &mget_shape : &mrange_shape, words.ptr, words.n, unknown,
                   &call->arena, &call->err));
    args->group_label = group.group_label;
    args->reducer = group.reducer;
    args->get = get;
    args->reverse = reverse;
    args->exclude_empty |= exclude;
    if (args->exclude_empty && args->group_label.len)
        return call_error(call, "TSDB: EXCLUDEEMPTY is not allowed with GROUPBY");
    if (!args->filter.ptr) {
        if (group.group_label.len)
            return call_error(call, "TSDB: GROUPBY should always come after filter");
        return get ? call_error(call, "wrong number of arguments for 'ts.mget' command")
                   : call_error(call, "TSDB: missing FILTER argument");
    }
    if (args->filter.n == 0) return call_error(call, "TSDB: missing labels for filter argument");
    if (args->with_labels && args->selected.has)
        return call_error(call, "TSDB: cannot accept WITHLABELS and SELECT_LABELS together");
    if (args->group_label.len && args->range.agg.n > 1)
        return call_error(call, "TSDB: GROUPBY is not allowed when multiple aggregators are "
                                "specified");
    TRY(check_range(call, &args->range));
    TRY(ts_filter_parse(&filter, &call->arena, args->filter.ptr, args->filter.n, &call->err));
    ts_filter_release(&filter);
    return ts_read_start(call, args, 0, run_many);
}

status cmd_ts_mget(struct call *call, const void *argp)
{
    (void)argp;
    return start_many(call, true, false);
}

status cmd_ts_mrange(struct call *call, const void *argp)
{
    (void)argp;
    return start_many(call, false, false);
}

status cmd_ts_mrevrange(struct call *call, const void *argp)
{
    (void)argp;
    return start_many(call, false, true);
}
