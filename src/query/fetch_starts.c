/* Companions of a fetch. See fetch_starts.h. */
#include "query/fetch_starts.h"

#include <stdlib.h>
#include <string.h>

static int by_parent(const void *a, const void *b)
{
    uint32_t x = ((const struct companion *)a)->parent;
    uint32_t y = ((const struct companion *)b)->parent;
    return (x > y) - (x < y);
}

static int by_ordinal(const void *a, const void *b)
{
    uint32_t x = ((const struct captured *)a)->ordinal;
    uint32_t y = ((const struct captured *)b)->ordinal;
    return (x > y) - (x < y);
}

void fetch_starts_release(struct fetch_starts *starts)
{
    vec_release(&starts->found);
    starts->of = NULL;
}

bool fetch_starts_look(struct fetch_starts *starts, const struct registry *reg,
                       const struct ordinals *set)
{
    if (registry_n_hidden(reg) == 0) return true;
    for (size_t i = 0; i < set->n; i++) {
        uint32_t ordinal = registry_starts(reg, set->ptr[i]);
        struct companion one = {set->ptr[i], ordinal};
        if (ordinal != ORDINAL_NONE && !vec_push(&starts->found, one)) return false;
    }
    return true;
}

/* Who has a companion, by what was found before or by asking again; how many have. */
static size_t look_again(struct fetch_starts *starts, const struct registry *reg,
                         const struct captured *series, size_t n)
{
    size_t n_found = starts->found.len, n_of = 0;
    if (n_found > 1)
        qsort(starts->found.ptr, n_found, sizeof(starts->found.ptr[0]), by_parent);
    for (size_t i = 0; i < n; i++) {
        struct companion key = {.parent = series[i].ordinal};
        const struct companion *at =
            n_found ? bsearch(&key, starts->found.ptr, n_found, sizeof(key), by_parent) : NULL;
        starts->of[i].ordinal = at ? at->ordinal : registry_starts(reg, series[i].ordinal);
        n_of += starts->of[i].ordinal != ORDINAL_NONE;
    }
    return n_of;
}

status fetch_starts_capture(struct fetch_starts *starts, struct view *view,
                            struct captured *series, size_t n, struct arena *arena,
                            struct err *err)
{
    const struct registry *reg = view_registry(view);
    if (starts->found.len == 0 && registry_n_hidden(reg) == 0)
        return view_capture(view, series, n, err);
    starts->of = arena_try_array(arena, n ? n : 1, sizeof(*starts->of));
    struct captured *all = arena_try_array(arena, 2 * n + 1, sizeof(*all));
    if (!starts->of || !all) return err_set(err, ST_NO_MEMORY, "capturing %zu series", n);
    size_t n_of = look_again(starts, reg, series, n), n_all = n;
    if (n_of == 0) {
        starts->of = NULL;
        return view_capture(view, series, n, err);
    }
    memcpy(all, series, n * sizeof(*all));
    for (size_t i = 0; i < n; i++)
        if (starts->of[i].ordinal != ORDINAL_NONE) all[n_all++] = starts->of[i];
    qsort(all, n_all, sizeof(*all), by_ordinal);
    TRY(view_capture(view, all, n_all, err));
    for (size_t i = 0; i < n; i++) {
        const struct captured *at = bsearch(&series[i], all, n_all, sizeof(*all), by_ordinal);
        series[i].root = at->root;
        at = bsearch(&starts->of[i], all, n_all, sizeof(*all), by_ordinal);
        if (at) starts->of[i].root = at->root;
    }
    return ST_OK;
}

status fetch_starts_read(const struct fetch_starts *starts, struct view *view, size_t i,
                         struct time_range range, struct points *out, struct err *err)
{
    size_t n = out->n;
    if (!starts->of || starts->of[i].ordinal == ORDINAL_NONE) return ST_OK;
    TRY(view_read(view, &starts->of[i], range, out, NULL, err)); /* numbers need no arena */
    for (size_t k = n; k < out->n; k++) {
        if ((ts_time)out->val[k].bits == START_NONE) continue;
        out->ts[n] = out->ts[k];
        out->val[n++] = out->val[k];
    }
    out->n = n;
    return ST_OK;
}
