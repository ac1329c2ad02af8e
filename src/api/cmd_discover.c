/* What there is, over RESP: TS.SERIES, TS.LABELS and TS.LABELVALUES (resp.md 4).
 *
 * The questions are those of /api/v1/series, labels and label/x/values: PromQL selectors and
 * a range of time, answers sorted. A selector is parsed on the worker that answers: what it
 * makes lives as long as that. Keys are labels here, `__key__`, because these commands show
 * what is stored; TS.QUERYLABELS has the peer's view.
 */
#include "api/cmd_handlers.h"
#include "api/http_pick.h"
#include "api/ts_read.h"
#include "base/panic.h"
#include "promql/parser.h"

struct discover_args {
    struct slice name;             /* of TS.LABELVALUES; ptr NULL: TS.LABELS */
    int64_t start, end, limit;     /* ms; limit 0: none */
    bool has_start, has_end;
    struct slices match;
};

/* Selectors as matchers. */
struct selectors {
    struct ast *asts;              /* in the work's arena */
    struct matchers *groups;
    size_t n;
};

/* --- asking ----------------------------------------------------------------------------- */

static void release_selectors(struct selectors *s)
{
    for (size_t i = 0; i < s->n; i++) ast_release(&s->asts[i]);
    s->n = 0;
}

static bool selects_something(struct matchers ms)
{
    for (size_t i = 0; i < ms.n; i++)
        if (!matcher_accepts(&ms.ptr[i], SLICE_LIT(""))) return true;
    return false;
}

static status parse_selector(struct selectors *out, struct query_work *work, struct slice text)
{
    struct ast *ast = &out->asts[out->n];
    struct err err = {.st = ST_OK};
    ast_init(ast, work->app->query_account);
    status st = promql_parse_selector(ast, text, &err);
    if (st != ST_OK) {
        ast_release(ast);
        return err_set(&work->err, st, "PROMQL %s", err_text(&err, st));
    }
    out->groups[out->n] = (struct matchers){ast->root->vec.matchers, ast->root->vec.n_matchers};
    out->n++;
    if (selects_something(out->groups[out->n - 1])) return ST_OK;
    return err_set(&work->err, ST_INVALID,
                   "PROMQL a selector must contain at least one non-empty matcher");
}

/* The caller releases, whatever comes back. */
static status parse_selectors(struct selectors *out, struct query_work *work, struct slices texts)
{
    *out = (struct selectors){.n = 0};
    out->asts = arena_try_array(&work->arena, texts.n + 1, sizeof(*out->asts));
    out->groups = arena_try_array(&work->arena, texts.n + 1, sizeof(*out->groups));
    if (!out->asts || !out->groups) return err_set(&work->err, ST_NO_MEMORY, "query memory");
    for (size_t i = 0; i < texts.n; i++) TRY(parse_selector(out, work, texts.ptr[i]));
    return ST_OK;
}

static struct time_range range_of(const struct app *app, const struct discover_args *args)
{
    enum precision precision = db_options(app->db)->precision;
    return (struct time_range){
        args->has_start ? time_from_ms_clamped(args->start, precision) : TS_MIN,
        args->has_end ? time_from_ms_clamped(args->end, precision) : TS_MAX};
}

/* --- answering -------------------------------------------------------------------------- */

static status put_texts(struct ts_read *read, const struct selectors *s)
{
    const struct discover_args *args = read->args;
    struct query_work *work = &read->work;
    struct querier *q = work->app->querier;
    struct slice *texts, name = args->name.ptr ? args->name : SLICE_LIT("");
    size_t n;
    bool more;
    TRY(q->ops->label_texts(q, name, s->groups, s->n, range_of(work->app, args),
                            (struct slice){"", 0}, (size_t)args->limit, &work->arena, &texts, &n,
                            &more, &work->budget, &work->err));
    reply_array(&read->reply, n);
    for (size_t i = 0; i < n; i++) reply_bulk(&read->reply, texts[i]);
    return ST_OK;
}

static status put_series(struct ts_read *read, const struct selectors *s)
{
    const struct discover_args *args = read->args;
    struct query_work *work = &read->work;
    struct http_picks picks;
    size_t n = 0, n_max = args->limit ? (size_t)args->limit : SIZE_MAX;
    struct time_range range = range_of(work->app, args);
    TRY(http_pick(work, &picks, s->groups, s->n, range, true));
    /* Those of two types are two for storage and one here. */
    for (size_t i = 0; i < picks.n; i++) {
        struct labels labels = picked_labels(&picks.ptr[i]);
        if (n == 0 || labels_cmp(labels, picked_labels(&picks.ptr[n - 1])) != 0)
            picks.ptr[n++] = picks.ptr[i];
    }
    if (n > n_max) n = n_max;
    reply_array(&read->reply, n);
    for (size_t i = 0; i < n; i++) ts_put_label_map(&read->reply, picked_labels(&picks.ptr[i]));
    http_unpick(work, &picks);
    return ST_OK;
}

static status run_with(struct ts_read *read,
                       status (*put)(struct ts_read *read, const struct selectors *s))
{
    const struct discover_args *args = read->args;
    struct selectors s;
    status st = parse_selectors(&s, &read->work, args->match);
    if (st == ST_OK) st = put(read, &s);
    release_selectors(&s);
    return st;
}

static status run_texts(struct ts_read *read)
{
    return run_with(read, put_texts);
}

static status run_series(struct ts_read *read)
{
    return run_with(read, put_series);
}

/* --- arguments -------------------------------------------------------------------------- */

/* Milliseconds, or the word for no bound. */
static status parse_bound(int64_t *out, bool *has, const char *none, struct arg_cursor *at,
                          struct err *err)
{
    struct slice word;
    if (!arg_next(at, &word)) return err_set(err, ST_INVALID, "syntax error");
    *has = !slice_is(word, none);
    if (*has && !arg_int(out, word))
        return err_set(err, ST_INVALID, "invalid time: milliseconds are wanted");
    return ST_OK;
}

static status parse_start(void *field, struct arg_cursor *at, struct err *err)
{
    struct discover_args *args = container_of(field, struct discover_args, start);
    return parse_bound(&args->start, &args->has_start, "-", at, err);
}

static status parse_end(void *field, struct arg_cursor *at, struct err *err)
{
    struct discover_args *args = container_of(field, struct discover_args, end);
    return parse_bound(&args->end, &args->has_end, "+", at, err);
}

#define DISCOVER_SPEC                                                                          \
    ARG_SUB("START", struct discover_args, start, parse_start),                                \
        ARG_SUB("END", struct discover_args, end, parse_end),                                  \
        ARG_OPT("LIMIT", struct discover_args, limit, ARG_INT, 0, INT64_MAX),                  \
        ARG_REST("MATCH", struct discover_args, match), ARG_END

static const struct arg_spec discover_spec[] = {DISCOVER_SPEC};
const struct arg_shape ts_discover_shape = ARG_SHAPE(struct discover_args, discover_spec);

static const struct arg_spec labelvalues_spec[] = {
    ARG_POS(struct discover_args, name, ARG_SLICE), DISCOVER_SPEC};
const struct arg_shape ts_labelvalues_shape = ARG_SHAPE(struct discover_args, labelvalues_spec);

static status start_discovery(struct call *call, const struct discover_args *args,
                              status (*run)(struct ts_read *read))
{
    if (args->has_start && args->has_end && args->end < args->start)
        return call_error(call, "END must not be before START");
    return ts_read_start(call, args, 0, run);
}

status cmd_ts_series(struct call *call, const void *argp)
{
    const struct discover_args *args = argp;
    if (args->match.n == 0) return call_error(call, "no MATCH selector provided");
    return start_discovery(call, args, run_series);
}

status cmd_ts_labels(struct call *call, const void *argp)
{
    return start_discovery(call, argp, run_texts);
}

status cmd_ts_labelvalues(struct call *call, const void *argp)
{
    const struct discover_args *args = argp;
    if (args->name.len == 0) return call_error(call, "invalid label name: \"\"");
    return start_discovery(call, args, run_texts);
}
