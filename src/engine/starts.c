/* Companions: links, deletes, invariants. See starts.h. */
#include "engine/starts.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static void mark(struct cell *cell, uint32_t parent, bool started)
{
    cell_head(cell, parent)->started = started;
    registry_set_started(cell->registry, parent, started);
}

void starts_link(struct cell *cell)
{
    const struct registry *reg = cell->registry;
    uint32_t n = registry_n_hidden(reg) ? registry_n_ordinals(reg) : 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!(entry_flags(registry_entry(reg, i)) & SERIES_LIVE)) continue;
        uint32_t parent = registry_parent(reg, i);
        if (parent != ORDINAL_NONE) mark(cell, parent, true);
    }
}

void starts_unlink(struct cell *cell, uint32_t ordinal)
{
    uint32_t parent = registry_parent(cell->registry, ordinal);
    if (parent != ORDINAL_NONE) mark(cell, parent, false);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

uint64_t *starts_with_companions(const struct cell *cell, const uint64_t *ids, size_t n,
                                 size_t *n_out)
{
    const struct registry *reg = cell->registry;
    size_t n_all = n, n_unique = 0;
    uint64_t *all = mem_try_array(2 * n + 1, sizeof(*all));
    if (!all) return NULL;
    if (n) memcpy(all, ids, n * sizeof(*ids));
    for (size_t i = 0; i < n && registry_n_hidden(reg); i++) {
        uint32_t parent = registry_by_id(reg, ids[i]);
        uint32_t ordinal = parent == ORDINAL_NONE ? ORDINAL_NONE : registry_starts(reg, parent);
        if (ordinal != ORDINAL_NONE) all[n_all++] = registry_entry(reg, ordinal)->id;
    }
    if (n_all > n) qsort(all, n_all, sizeof(*all), by_value);
    for (size_t i = 0; i < n_all; i++)
        if (i == 0 || all[i] != all[n_unique - 1]) all[n_unique++] = all[i];
    *n_out = n_unique;
    return all;
}

status starts_check(const struct cell *cell, struct err *err)
{
    const struct registry *reg = cell->registry;
    for (uint32_t i = 0; i < registry_n_ordinals(reg); i++) {
        const struct series_entry *entry = registry_entry(reg, i);
        unsigned long long id = entry->id;
        uint8_t flags = entry_flags(entry);
        if (!(flags & SERIES_LIVE)) continue;
        uint32_t parent = registry_parent(reg, i);
        if (parent != ORDINAL_NONE && registry_starts(reg, parent) != i)
            return err_set(err, ST_CORRUPT, "companion %llu: its parent does not find it", id);
        bool started = flags & SERIES_STARTED;
        if (started != (bool)cell_head(cell, i)->started)
            return err_set(err, ST_CORRUPT, "series %llu: head and registry differ in starts", id);
        if (started && registry_starts(reg, i) == ORDINAL_NONE)
            return err_set(err, ST_CORRUPT, "series %llu: its companion is not there", id);
    }
    return ST_OK;
}
