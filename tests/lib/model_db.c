/* The naive database. See model_db.h. */
#include "tests/lib/model_db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/panic.h"

void model_db_release(struct model_db *model)
{
    for (size_t i = 0; i < model->n; i++) points_release(&model->series[i].pts);
    free(model->series);
    *model = (struct model_db){.n = 0};
}

static struct model_series *find(const struct model_db *model, const char *name)
{
    for (size_t i = 0; i < model->n; i++)
        if (strcmp(model->series[i].name, name) == 0) return &model->series[i];
    return NULL;
}

static struct model_series *find_or_make(struct model_db *model, const char *name)
{
    struct model_series *series = find(model, name);
    if (series) return series;
    if (model->n == model->cap) {
        model->cap = model->cap ? model->cap * 2 : 16;
        model->series = realloc(model->series, model->cap * sizeof(*model->series));
        ASSERT(model->series);
    }
    series = &model->series[model->n++];
    *series = (struct model_series){.type = VALUE_F64};
    ASSERT(strlen(name) < sizeof(series->name));
    snprintf(series->name, sizeof(series->name), "%s", name);
    return series;
}

static bool less(enum value_type type, uint64_t a, uint64_t b)
{
    switch (type) {
    case VALUE_I64: return (int64_t)a < (int64_t)b;
    case VALUE_U64:
    case VALUE_BOOL: return a < b;
    default: return bits_f64(a) < bits_f64(b);
    }
}

static uint64_t sum(enum value_type type, uint64_t a, uint64_t b)
{
    switch (type) {
    case VALUE_I64:
    case VALUE_U64: return a + b;
    case VALUE_BOOL: return a | b;
    default: return f64_bits(bits_f64(a) + bits_f64(b));
    }
}

static status settle(uint64_t *old, uint64_t now, enum value_type type, enum dup_policy policy)
{
    bool blob = type == VALUE_BYTES || type == VALUE_HISTOGRAM;
    switch (policy) {
    case DUP_BLOCK: return *old == now ? ST_OK : ST_DUPLICATE;
    case DUP_FIRST: return ST_OK;
    case DUP_MIN: *old = blob || less(type, now, *old) ? now : *old; return ST_OK;
    case DUP_MAX: *old = blob || less(type, *old, now) ? now : *old; return ST_OK;
    case DUP_SUM: *old = blob ? now : sum(type, *old, now); return ST_OK;
    case DUP_LAST:
    case DUP_UNSET:
    case DUP_INCREMENT: *old = now; return ST_OK;
    }
    return ST_OK;
}

status model_db_put_as(struct model_db *model, const char *name, enum value_type type,
                       ts_time ts, uint64_t bits, enum dup_policy policy)
{
    struct model_series *series = find_or_make(model, name);
    struct points *pts = &series->pts;
    size_t at = points_seek(pts, ts);
    series->type = type;
    if (policy == DUP_UNSET) policy = series->policy;
    if (at < pts->n && pts->ts[at] == ts) return settle(&pts->val[at].bits, bits, type, policy);

    ASSERT(points_push(pts, ts, (union value){.bits = bits}));
    for (size_t i = pts->n - 1; i > at; i--) {
        pts->ts[i] = pts->ts[i - 1];
        pts->val[i] = pts->val[i - 1];
    }
    pts->ts[at] = ts;
    pts->val[at].bits = bits;
    return ST_OK;
}

status model_db_put(struct model_db *model, const char *name, ts_time ts, uint64_t bits,
                    enum dup_policy policy)
{
    return model_db_put_as(model, name, VALUE_F64, ts, bits, policy);
}

void model_db_set_policy(struct model_db *model, const char *name, enum dup_policy policy)
{
    find_or_make(model, name)->policy = policy;
}

enum dup_policy model_db_policy(const struct model_db *model, const char *name)
{
    const struct model_series *series = find(model, name);
    return series ? series->policy : DUP_UNSET;
}

static void cut(struct points *pts, struct time_range range)
{
    size_t to = 0;
    for (size_t i = 0; i < pts->n; i++) {
        if (range_has(range, pts->ts[i])) continue;
        pts->ts[to] = pts->ts[i];
        pts->val[to++] = pts->val[i];
    }
    pts->n = to;
}

void model_db_delete(struct model_db *model, const char *name, struct time_range range)
{
    struct model_series *series = find(model, name);
    if (series) cut(&series->pts, range);
}

void model_db_expire(struct model_db *model, ts_time oldest)
{
    if (oldest == TS_MIN) return;
    for (size_t i = 0; i < model->n; i++)
        cut(&model->series[i].pts, (struct time_range){TS_MIN, oldest - 1});
}

const struct points *model_db_read(const struct model_db *model, const char *name)
{
    static const struct points none;
    const struct model_series *series = find(model, name);
    return series ? &series->pts : &none;
}

const char *model_db_differs(const struct model_db *model, const char *name,
                             struct time_range range, const struct points *pts)
{
    static char text[200];
    const struct points *want = model_db_read(model, name);
    size_t i = 0, k = 0;
    for (; i < want->n; i++) {
        if (!range_has(range, want->ts[i])) continue;
        if (k == pts->n || pts->ts[k] > want->ts[i]) {
            snprintf(text, sizeof(text), "%s: the sample at %lld is missing", name,
                     (long long)want->ts[i]);
            return text;
        }
        if (pts->ts[k] < want->ts[i]) break;
        if (pts->val[k].bits != want->val[i].bits) {
            snprintf(text, sizeof(text), "%s at %lld: %g, should be %g", name,
                     (long long)want->ts[i], bits_f64(pts->val[k].bits),
                     bits_f64(want->val[i].bits));
            return text;
        }
        k++;
    }
    if (k == pts->n) return NULL;
    snprintf(text, sizeof(text), "%s: a sample at %lld that should not be there", name,
             (long long)pts->ts[k]);
    return text;
}
