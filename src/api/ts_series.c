/* Series of TS.* reads. See ts_series.h. */
#include "api/ts_series.h"

#include <stdlib.h>
#include <string.h>

#include "api/acl_user.h"
#include "api/ts_key.h"
#include "base/bits.h"
#include "base/panic.h"
#include "query/rule_worker.h"

enum { SELECTED_MAX = 50 };

/* --- one --------------------------------------------------------------------------- */

/* What selects the series of a key: its `__key__`, or all of its labels. */
static status key_matchers(struct ts_one *out, struct query_work *work, struct slice key,
                           uint64_t *id)
{
    struct app *app = work->app;
    struct registry *reg = db_registry(app->db);
    uint32_t ordinal = ts_key_find(app, key);
    if (ordinal == ORDINAL_NONE)
        return err_set(&work->err, ST_NOT_FOUND, "TSDB: the key does not exist");
    *id = registry_entry(reg, ordinal)->id;
    struct labels found = registry_labels(reg, ordinal, &work->arena);
    if (found.n && !found.ptr) return ST_NO_MEMORY;
    struct labels labels = labels_copy(&work->arena, found);
    if (labels.n && !labels.ptr) return ST_NO_MEMORY;

    struct slice own = labels_get(labels, SLICE_LIT(LABEL_KEY));
    size_t n = own.len ? 1 : labels.n;
    out->matchers = arena_try_array(&work->arena, n + 1, sizeof(*out->matchers));
    if (!out->matchers) return ST_NO_MEMORY;
    for (size_t i = 0; i < n; i++) {
        struct label at = own.len ? (struct label){SLICE_LIT(LABEL_KEY), own} : labels.ptr[i];
        TRY(matcher_init(&out->matchers[out->n_matchers], MATCH_EQ, at.name, at.value, &work->err));
        out->n_matchers++;
    }
    return ST_OK;
}

static void release_matchers(struct ts_one *one)
{
    for (size_t i = 0; i < one->n_matchers; i++) matcher_release(&one->matchers[i]);
}

status ts_one_fetch(struct ts_one *out, struct query_work *work, struct slice key,
                    struct time_range range, bool edges)
{
    struct app *app = work->app;
    uint64_t id = 0;
    *out = (struct ts_one){.fetch = NULL};
    int slot = db_reader_enter(app->db);
    status st = key_matchers(out, work, key, &id);
    db_reader_leave(app->db, slot);
    if (st == ST_OK) {
        out->select = (struct select){.matchers = {out->matchers, out->n_matchers},
                                      .range = range,
                                      .keep_empty = true,
                                      .edges = edges};
        st = querier_fetch(app->querier, &out->fetch, &out->set, &out->select, 1,
                           (struct slice){"", 0}, &work->budget, &work->err);
    }
    for (out->idx = 0; st == ST_OK && out->idx < out->set->n; out->idx++)
        if (out->set->ids[out->idx] == id) return ST_OK;
    if (st == ST_OK) st = err_set(&work->err, ST_NOT_FOUND, "TSDB: the key does not exist");
    ts_one_done(out, work);
    return st;
}

void ts_one_done(struct ts_one *one, struct query_work *work)
{
    querier_done(work->app->querier, one->fetch);
    release_matchers(one);
}

/* --- several ----------------------------------------------------------------------- */

static status ready_keys(struct ts_keys *out, struct query_work *work, const struct slice *keys,
                         size_t n, struct time_range range, bool edges, uint64_t *ids)
{
    for (size_t i = 0; i < n; i++) {
        struct ts_one *one = &out->ones[i];
        *one = (struct ts_one){.fetch = NULL};
        out->n = i + 1;
        TRY(key_matchers(one, work, keys[i], &ids[i]));
        out->selects[i] = (struct select){.matchers = {one->matchers, one->n_matchers},
                                          .range = range,
                                          .keep_empty = true,
                                          .edges = edges};
    }
    return ST_OK;
}

static status find_keys(struct ts_keys *out, struct query_work *work,
                        struct series_set *const *sets, const uint64_t *ids)
{
    for (size_t i = 0; i < out->n; i++) {
        struct ts_one *one = &out->ones[i];
        one->set = sets[i];
        while (one->idx < one->set->n && one->set->ids[one->idx] != ids[i]) one->idx++;
        if (one->idx == one->set->n) /* it died meanwhile */
            return err_set(&work->err, ST_NOT_FOUND, "TSDB: the key does not exist");
    }
    return ST_OK;
}

status ts_keys_fetch(struct ts_keys *out, struct query_work *work, const struct slice *keys,
                     size_t n, struct time_range range, bool edges)
{
    struct app *app = work->app;
    uint64_t *ids = arena_try_array(&work->arena, n, sizeof(*ids));
    struct series_set **sets = arena_try_array(&work->arena, n, sizeof(*sets));
    *out = (struct ts_keys){.ones = arena_try_array(&work->arena, n, sizeof(*out->ones)),
                            .selects = arena_try_array(&work->arena, n, sizeof(*out->selects))};
    if (!ids || !sets || !out->ones || !out->selects) return ST_NO_MEMORY;
    int slot = db_reader_enter(app->db);
    status st = ready_keys(out, work, keys, n, range, edges, ids);
    db_reader_leave(app->db, slot);
    if (st == ST_OK)
        st = querier_fetch(app->querier, &out->fetch, sets, out->selects, n,
                           (struct slice){"", 0}, &work->budget, &work->err);
    if (st == ST_OK) st = find_keys(out, work, sets, ids);
    if (st != ST_OK) ts_keys_done(out, work);
    return st;
}

void ts_keys_done(struct ts_keys *keys, struct query_work *work)
{
    querier_done(work->app->querier, keys->fetch);
    for (size_t i = 0; i < keys->n; i++) release_matchers(&keys->ones[i]);
    keys->fetch = NULL;
    keys->n = 0;
}

/* --- many -------------------------------------------------------------------------- */

struct sort_entry {
    struct slice key, group;
    size_t at;
};

static int by_group_and_key(const void *a, const void *b)
{
    const struct sort_entry *x = a, *y = b;
    int order = slice_cmp(x->group, y->group);
    return order ? order : slice_cmp(x->key, y->key);
}

static status make_keys(struct ts_many *many, struct query_work *work)
{
    struct strbuf text;
    size_t n = many->set->n;
    struct sort_entry *entries = arena_try_array(&work->arena, n + 1, sizeof(*entries));
    many->order = arena_try_array(&work->arena, n + 1, sizeof(*many->order));
    many->keys = arena_try_array(&work->arena, n + 1, sizeof(*many->keys));
    if (!entries || !many->order || !many->keys) return ST_NO_MEMORY;
    strbuf_init(&text, 0);
    status st = ST_OK;
    for (size_t i = 0; i < n && st == ST_OK; i++) {
        strbuf_reset(&text);
        ts_key_of_labels(&text, many->set->labels[i]);
        entries[i] = (struct sort_entry){.key = arena_copy(&work->arena, strbuf_view(&text)),
                                         .group = {"", 0},
                                         .at = i};
        if (text.failed || !entries[i].key.ptr) st = ST_NO_MEMORY;
    }
    strbuf_release(&text);
    if (st != ST_OK) return st;
    qsort(entries, n, sizeof(*entries), by_group_and_key);
    for (size_t i = 0; i < n; i++) {
        many->order[i] = entries[i].at;
        many->keys[i] = entries[i].key;
    }
    many->n = n;
    return ST_OK;
}

/* One key that the user may not read denies all. */
static status check_keys(const struct ts_many *many, struct query_work *work)
{
    for (size_t i = 0; i < many->n; i++)
        if (!acl_user_may(work->acl, many->keys[i], ACL_KEY_READ))
            return err_set(&work->err, ST_DENIED,
                           "TSDB: current user doesn't have read permission to one or more keys "
                           "that match the specified filter");
    return ST_OK;
}

status ts_many_fetch(struct ts_many *out, struct query_work *work, const struct slice *exprs,
                     size_t n, struct time_range range, bool edges)
{
    *out = (struct ts_many){.fetch = NULL};
    TRY(ts_filter_parse(&out->filter, &work->arena, exprs, n, &work->err));
    out->select = (struct select){
        .matchers = {out->filter.matchers, out->filter.n},
        .range = range,
        .keep_empty = true,
        .edges = edges};
    if (out->filter.none) return ST_OK;
    status st = querier_fetch(work->app->querier, &out->fetch, &out->set, &out->select, 1,
                              (struct slice){"", 0}, &work->budget, &work->err);
    if (st == ST_OK) st = make_keys(out, work);
    if (st == ST_OK && work->acl) st = check_keys(out, work);
    if (st != ST_OK) ts_many_done(out, work);
    return st;
}

void ts_many_done(struct ts_many *many, struct query_work *work)
{
    querier_done(work->app->querier, many->fetch);
    ts_filter_release(&many->filter);
}

size_t ts_many_group(struct ts_many *many, struct slice label)
{
    /* A few thousand series at the most: insertion by value keeps the order of keys. */
    size_t n = 0, n_groups = 0;
    for (size_t i = 0; i < many->n; i++) {
        struct slice value = labels_get(many->set->labels[many->order[i]], label);
        if (value.len == 0) continue;
        size_t order = many->order[i], at = n++;
        struct slice key = many->keys[i];
        while (at > 0 &&
               slice_cmp(labels_get(many->set->labels[many->order[at - 1]], label), value) > 0) {
            many->order[at] = many->order[at - 1];
            many->keys[at] = many->keys[at - 1];
            at--;
        }
        many->order[at] = order;
        many->keys[at] = key;
    }
    many->n = n;
    for (size_t from = 0; from < n; from = ts_many_group_end(many, from, label)) n_groups++;
    return n_groups;
}

size_t ts_many_group_end(const struct ts_many *many, size_t from, struct slice label)
{
    struct slice value = labels_get(many->set->labels[many->order[from]], label);
    size_t to = from + 1;
    while (to < many->n &&
           slice_eq(labels_get(many->set->labels[many->order[to]], label), value))
        to++;
    return to;
}

/* --- the newest sample --------------------------------------------------------------- */

status ts_last(struct query_work *work, struct series_set *set, size_t i, struct point *out,
               bool *found)
{
    struct points pts = {0};
    *found = false;
    TRY(budget_poll(&work->budget, &work->err));
    status st = set->ops->last(set, i, out, found, &work->err);
    if (st != ST_OK || !*found || set->types[i] != VALUE_F64 || !value_is_stale(out->val.bits))
        return st;
    /* The newest is a stale marker, which TS.* does not show: look behind it. */
    *found = false;
    st = series_read(set, i, &pts, &work->err);
    for (size_t k = pts.n; st == ST_OK && k-- > 0 && !*found;) {
        if (value_is_stale(pts.val[k].bits)) continue;
        *out = (struct point){pts.ts[k], pts.val[k]};
        *found = true;
    }
    points_release(&pts);
    return st;
}

status ts_add_latest(struct query_work *work, uint64_t id, struct time_range range,
                     struct points *pts)
{
    ts_time ts;
    double val;
    bool found;
    TRY(rule_open_bucket(work->app->db, id, &ts, &val, &found, &work->arena, &work->err));
    if (!found || !range_has(range, ts) || (pts->n && pts->ts[pts->n - 1] >= ts)) return ST_OK;
    return points_push(pts, ts, (union value){.bits = f64_bits(val)}) ? ST_OK : ST_NO_MEMORY;
}

/* --- answers ---------------------------------------------------------------------------- */

status ts_parse_selected(void *field, struct arg_cursor *at, struct err *err)
{
    static const char *const ends[] = {
        "WITHLABELS", "AGGREGATION", "LIMIT", "GROUPBY", "REDUCE", "FILTER", "FILTER_BY_VALUE",
        "FILTER_BY_TS", "COUNT", "EXCLUDEEMPTY"};
    struct ts_names *out = field;
    out->ptr = at->argv + at->at;
    out->n = 0;
    out->has = true;
    while (at->at < at->argc) {
        for (size_t i = 0; i < ARRAY_LEN(ends); i++)
            if (slice_is_nocase(at->argv[at->at], ends[i])) goto end;
        at->at++;
        out->n++;
    }
end:
    if (out->n == 0)
        return err_set(err, ST_INVALID, "TSDB: SELECT_LABELS should have at least 1 parameter");
    if (out->n > SELECTED_MAX)
        return err_set(err, ST_INVALID, "TSDB: reached max size for SELECT_LABELS");
    return ST_OK;
}

status ts_put_key(struct reply *reply, const struct ts_many *many, size_t i)
{
    reply_bulk(reply, many->keys[i]);
    return ST_OK;
}

static struct slice get_nocase(struct labels labels, struct slice name)
{
    for (size_t i = 0; i < labels.n; i++)
        if (labels.ptr[i].name.len == name.len &&
            strncasecmp(labels.ptr[i].name.ptr, name.ptr, name.len) == 0)
            return labels.ptr[i].value;
    return (struct slice){"", 0};
}

void ts_put_labels(struct ts_read *read, struct labels labels, bool all,
                   const struct ts_names *selected)
{
    const struct app_settings *set = app_settings(read->work.app);
    struct reply *reply = &read->reply;
    size_t n = 0;
    if (selected->has) {
        reply_pairs(reply, selected->n);
        for (size_t i = 0; i < selected->n; i++) {
            struct slice value = get_nocase(labels, selected->ptr[i]);
            reply_pair(reply);
            reply_bulk(reply, selected->ptr[i]);
            if (value.len)
                reply_bulk(reply, value);
            else
                reply_null(reply);
        }
        return;
    }
    for (size_t i = 0; all && i < labels.n; i++)
        n += !ts_label_is_hidden(set, labels, labels.ptr[i].name);
    reply_pairs(reply, n);
    for (size_t i = 0; all && i < labels.n; i++) {
        if (ts_label_is_hidden(set, labels, labels.ptr[i].name)) continue;
        reply_pair(reply);
        reply_bulk(reply, labels.ptr[i].name);
        reply_bulk(reply, labels.ptr[i].value);
    }
}
