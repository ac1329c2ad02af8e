/* Selectors -> series and counts. See delete_look.h.
 *
 *   resolve   as a registered reader: each group of matchers -> ordinals -> one list
 *   count     pin while still registered, capture all, then read series by series
 */
#include "engine/delete_look.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/vec.h"
#include "engine/view.h"
#include "index/resolve.h"

enum { PINS_MAX = 3, POLL_SERIES = 64, ARENA_BLOCK = 16 << 10 };

typedef VEC(struct captured) captured_vec;

static int by_ordinal(const void *a, const void *b)
{
    uint32_t x = ((const struct captured *)a)->ordinal;
    uint32_t y = ((const struct captured *)b)->ordinal;
    return (x > y) - (x < y);
}

static int by_id(const void *a, const void *b)
{
    series_id x = *(const series_id *)a, y = *(const series_id *)b;
    return (x > y) - (x < y);
}

static status poll(const struct delete_look *look, struct err *err)
{
    return look->poll ? look->poll(look->ctx, err) : ST_OK;
}

/* The ordinals of all groups, ascending, each once. A registered reader. */
static status gather(struct db *db, const struct delete_look *look, captured_vec *out,
                     struct err *err)
{
    status st = ST_OK;
    for (size_t g = 0; g < look->n_groups && st == ST_OK; g++) {
        struct ordinals found = {.n = 0};
        const struct resolve_args args = {.matchers = look->groups[g],
                                          .tenant = look->tenant,
                                          .cancelled = look->cancelled};
        st = resolve(&found, db_registry(db), &args, err);
        if (st == ST_OK && !vec_reserve(out, found.n))
            st = err_set(err, ST_NO_MEMORY, "a selection of %zu series", found.n);
        for (size_t i = 0; i < found.n && st == ST_OK; i++)
            (void)vec_push(out, ((struct captured){.ordinal = found.ptr[i]})); /* reserved */
        ordinals_release(&found);
        if (st == ST_OK) st = poll(look, err);
    }
    if (st != ST_OK || out->len < 2 || look->n_groups < 2) return st;
    size_t n = 1;
    qsort(out->ptr, out->len, sizeof(out->ptr[0]), by_ordinal);
    for (size_t i = 1; i < out->len; i++)
        if (out->ptr[i].ordinal != out->ptr[n - 1].ordinal) out->ptr[n++] = out->ptr[i];
    out->len = n;
    return ST_OK;
}

status delete_resolve(struct db *db, const struct delete_look *look, series_id **ids, size_t *n,
                      struct err *err)
{
    captured_vec series = {0};
    series_id *list = NULL;
    int slot = db_reader_enter(db);
    status st = gather(db, look, &series, err);
    if (st == ST_OK) list = mem_try_array(series.len + 1, sizeof(*list));
    if (st == ST_OK && !list) st = err_set(err, ST_NO_MEMORY, "a selection of series");
    for (size_t i = 0; list && i < series.len; i++)
        list[i] = registry_entry(db_registry(db), series.ptr[i].ordinal)->id;
    db_reader_leave(db, slot);
    if (st == ST_OK) {
        qsort(list, series.len, sizeof(*list), by_id);
        *ids = list;
        *n = series.len;
    }
    vec_release(&series);
    return st;
}

static status pin(struct db *db, const struct delete_look *look, captured_vec *series,
                  struct view **view, struct err *err)
{
    vec_clear(series);
    int slot = db_reader_enter(db);
    status st = gather(db, look, series, err);
    if (st == ST_OK) st = db_pin_found(db, slot, view, err);
    db_reader_leave(db, slot);
    if (st != ST_OK) return st;
    st = view_capture(*view, series->ptr, series->len, err);
    if (st != ST_OK) db_unpin(db, *view);
    return st;
}

static status count_all(const struct delete_look *look, struct view *view,
                        const captured_vec *series, struct delete_counts *out, struct err *err)
{
    struct points pts = {0};
    struct arena arena;
    status st = ST_OK;
    arena_init(&arena, NULL, ARENA_BLOCK);
    for (size_t i = 0; i < series->len && st == ST_OK; i++) {
        pts.n = 0;
        st = view_read(view, &series->ptr[i], look->range, &pts, &arena, err);
        out->n_samples += pts.n;
        arena_reset(&arena);
        if (st == ST_OK && i % POLL_SERIES == 0) st = poll(look, err);
    }
    out->n_series = series->len;
    points_release(&pts);
    arena_release(&arena);
    return st;
}

status delete_count(struct db *db, const struct delete_look *look, struct delete_counts *out,
                    struct err *err)
{
    captured_vec series = {0};
    struct view *view;
    status st = ST_AGAIN;
    *out = (struct delete_counts){0, 0};
    for (int i = 0; i < PINS_MAX && st == ST_AGAIN; i++) {
        if (err) *err = (struct err){.st = ST_OK};
        st = pin(db, look, &series, &view, err);
    }
    if (st == ST_AGAIN)
        st = err_set(err, ST_LIMIT, "too many series change while the count begins");
    else if (st == ST_OK) {
        st = count_all(look, view, &series, out, err);
        db_unpin(db, view);
    }
    vec_release(&series);
    return st;
}
