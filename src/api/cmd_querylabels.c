/* TS.QUERYLABELS: names of labels, or the values of one, over the series of a filter or over
 * all (resp.md 2.18). What TS.INFO does not show is not told here. */
#include <stdlib.h>

#include "api/cmd_handlers.h"
#include "api/ts_filter.h"
#include "api/ts_key.h"
#include "api/ts_read.h"
#include "api/ts_series.h"
#include "base/panic.h"
#include "base/vec.h"

struct querylabels_args {
    struct slice label;        /* ptr NULL: names */
    struct slices exprs;
    bool filtered;
};

typedef VEC(struct slice) text_list;

static int by_text(const void *a, const void *b)
{
    return slice_cmp(*(const struct slice *)a, *(const struct slice *)b);
}

static void put_set(struct reply *reply, struct slice *texts, size_t n)
{
    size_t n_unique = 0;
    if (n > 1) qsort(texts, n, sizeof(*texts), by_text);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || !slice_eq(texts[i], texts[n_unique - 1])) texts[n_unique++] = texts[i];
    reply_set(reply, n_unique);
    for (size_t i = 0; i < n_unique; i++) reply_bulk(reply, texts[i]);
}

/* --- with a filter ------------------------------------------------------------------------ */

/* Keeps the list short: texts that come again and again are dropped when it has doubled. */
static status add_text(text_list *list, size_t *sorted, struct slice text)
{
    enum { SLACK = 1024 };
    if (!vec_push(list, text)) return ST_NO_MEMORY;
    if (list->len < 2 * *sorted + SLACK) return ST_OK;
    size_t n = 0;
    qsort(list->ptr, list->len, sizeof(*list->ptr), by_text);
    for (size_t i = 0; i < list->len; i++)
        if (i == 0 || !slice_eq(list->ptr[i], list->ptr[n - 1])) list->ptr[n++] = list->ptr[i];
    list->len = *sorted = n;
    return ST_OK;
}

static status gather(struct ts_read *read, const struct ts_many *many, text_list *list)
{
    const struct querylabels_args *args = read->args;
    const struct app_settings *set = app_settings(read->work.app);
    size_t sorted = 0;
    for (size_t i = 0; i < many->n; i++) {
        struct labels labels = many->set->labels[i];
        TRY(budget_poll(&read->work.budget, &read->work.err));
        for (size_t k = 0; k < labels.n; k++) {
            const struct label *label = &labels.ptr[k];
            if (ts_label_is_hidden(set, labels, label->name)) continue;
            if (!args->label.ptr) TRY(add_text(list, &sorted, label->name));
            else if (slice_eq(label->name, args->label)) TRY(add_text(list, &sorted, label->value));
        }
    }
    return ST_OK;
}

static status run_filtered(struct ts_read *read)
{
    const struct querylabels_args *args = read->args;
    struct ts_many many;
    text_list list = {0};
    TRY(ts_many_fetch(&many, &read->work, args->exprs.ptr, args->exprs.n,
                      (struct time_range){TS_MIN, TS_MAX}, false));
    status st = gather(read, &many, &list);
    if (st == ST_OK) put_set(&read->reply, list.ptr, list.len);
    vec_release(&list);
    ts_many_done(&many, &read->work);
    return st;
}

/* --- over all --------------------------------------------------------------------------- */

static status texts_of(struct ts_read *read, struct slice label, const struct matchers *groups,
                       size_t n_groups, struct slice **texts, size_t *n)
{
    struct query_work *work = &read->work;
    struct querier *q = work->app->querier;
    bool more;
    return q->ops->label_texts(q, label, groups, n_groups, (struct time_range){TS_MIN, TS_MAX},
                               (struct slice){"", 0}, 0, &work->arena, texts, n, &more,
                               &work->budget, &work->err);
}

/* Whether a series without a key has a metric name: those of keys are mostly derived. */
static status shows_names(struct ts_read *read, bool *shows)
{
    struct matcher keyless;
    struct slice *texts;
    size_t n;
    *shows = false;
    TRY(matcher_init(&keyless, MATCH_EQ, SLICE_LIT(LABEL_KEY), SLICE_LIT(""), &read->work.err));
    struct matchers group = {&keyless, 1};
    status st = texts_of(read, SLICE_LIT(""), &group, 1, &texts, &n);
    for (size_t i = 0; st == ST_OK && i < n; i++) *shows |= slice_is(texts[i], LABEL_NAME);
    matcher_release(&keyless);
    return st;
}

static status run_all(struct ts_read *read)
{
    const struct querylabels_args *args = read->args;
    struct slice *texts;
    size_t n, n_shown = 0;
    bool names = true;
    TRY(texts_of(read, args->label.ptr ? args->label : SLICE_LIT(""), NULL, 0, &texts, &n));
    if (!args->label.ptr) TRY(shows_names(read, &names));
    for (size_t i = 0; i < n; i++) {
        bool hidden = !args->label.ptr &&
                      (slice_is(texts[i], LABEL_KEY) || slice_is(texts[i], LABEL_TENANT) ||
                       (!names && slice_is(texts[i], LABEL_NAME)));
        if (!hidden) texts[n_shown++] = texts[i];
    }
    put_set(&read->reply, texts, n_shown);
    return ST_OK;
}

static status run_querylabels(struct ts_read *read)
{
    const struct querylabels_args *args = read->args;
    return args->filtered ? run_filtered(read) : run_all(read);
}

status cmd_ts_querylabels(struct call *call, const void *argp)
{
    struct querylabels_args *args = arena_try_zero(&call->arena, sizeof(*args));
    struct slices words = call_words(call);
    struct ts_filter filter;
    size_t at = 1;
    (void)argp;
    if (!args) return ST_NO_MEMORY;
    if (slice_is_nocase(words.ptr[0], "VALUES")) {
        if (words.n < 2)
            return call_error(call, "wrong number of arguments for 'ts.querylabels' command");
        args->label = words.ptr[at++];
    } else if (!slice_is_nocase(words.ptr[0], "LABELS")) {
        return call_error(call, "TSDB: unknown subtype, must be one of LABELS|VALUES");
    }
    if (at < words.n) {
        if (!slice_is_nocase(words.ptr[at++], "FILTER"))
            return call_error(call, "TSDB: unknown argument, expected FILTER");
        if (at == words.n)
            return call_error(call, "TSDB: FILTER given with no filter expressions");
        args->filtered = true;
        args->exprs = (struct slices){words.ptr + at, words.n - at};
        TRY(ts_filter_parse(&filter, &call->arena, args->exprs.ptr, args->exprs.n, &call->err));
        ts_filter_release(&filter);
    }
    if (args->label.ptr &&
        (slice_is(args->label, LABEL_KEY) || slice_is(args->label, LABEL_TENANT))) {
        reply_set(&call->reply, 0);
        return ST_OK;
    }
    return ts_read_start(call, args, 0, run_querylabels);
}
