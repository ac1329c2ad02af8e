/* Resolve: batch series -> ordinals. A probe made on the io loop holds when the
 * generation still does; otherwise the series is found by its identity or made. */
#include "engine/write_priv.h"

static bool probe_holds(const struct cell *cell, const struct batch_series *series)
{
    if (series->ordinal == ORDINAL_NONE || series->ordinal >= segvec_len(&cell->heads))
        return false;
    const struct head *head = cell_head(cell, series->ordinal);
    return (head->flags & HEAD_BORN) && head->gen == series->gen;
}

bool write_probes_hold(const struct cell *cell, struct batch *batch)
{
    enum { AHEAD = 16 };
    bool hold = true;
    size_t n_heads = segvec_len(&cell->heads);
    /* The table keeps what stood for the dead: a probe may have been stale from the first. */
    if (batch->n_deaths == 0 || db_deaths(cell->db) == 0) return true;
    for (size_t i = 0; i < batch->n_series; i++) {
        struct batch_series *series = &batch->series[i];
        if (i + AHEAD < batch->n_series && series[AHEAD].ordinal < n_heads)
            __builtin_prefetch(cell_head(cell, series[AHEAD].ordinal), 1);
        if (series->st != ST_OK || batch_name_of(series)->labels.n) continue;
        if (probe_holds(cell, series)) continue;
        series->st = ST_AGAIN;
        hold = false;
    }
    return hold;
}

static void make_series(struct cell *cell, const struct batch *batch,
                        struct batch_series *series, struct write_slice *slice)
{
    const struct batch_name *name = batch_name_of(series);
    if (write_state(batch)->known_only) {
        series->st = ST_NO_MEMORY;
        return;
    }
    if (name->labels.n == 0) {
        /* The probe went stale between the io loop and here, and the labels were not
         * decoded because of it: the sender tries again. */
        series->st = ST_AGAIN;
        return;
    }
    if (slice->n_made == WRITE_SLICE_SERIES) {
        series->st = ST_AGAIN; /* so many probes at once went stale */
        return;
    }
    if (name->attrs && !attrs_valid(name->attrs)) {
        series->st = ST_INVALID; /* a restart would refuse to read it */
        return;
    }
    uint32_t ordinal;
    struct series_new make = {.labels = name->labels,
                              .identity = name->identity,
                              .hash = name->hash,
                              .type = (enum value_type)series->type,
                              .attrs = name->attrs};
    status st = cell_add_series(cell, &ordinal, &make);
    if (st != ST_OK) {
        series->st = st;
        return;
    }
    series->ordinal = ordinal;
    series->gen = cell_head(cell, ordinal)->gen;
    series->made = true;
    slice->made[slice->n_made++] = series;
    slice->made_bytes += WAL_SERIES_BYTES + ATTRS_BYTES + name->identity.len;
    cell->stats.n_series_made++;
}

bool write_find(struct cell *cell, struct batch_series *series)
{
    if (probe_holds(cell, series)) return true;
    const struct batch_name *name = batch_name_of(series);
    uint32_t ordinal = ORDINAL_NONE;
    if (name->identity.len)
        ordinal = registry_find(cell->registry, name->identity, name->hash, series->type);
    /* A key names one series, whatever other labels somebody gives it now. */
    if (ordinal == ORDINAL_NONE && name->labels.n) {
        struct slice key = labels_get(name->labels, SLICE_LIT(LABEL_KEY));
        struct slice tenant = labels_get(name->labels, SLICE_LIT(LABEL_TENANT));
        if (key.len) ordinal = registry_by_key(cell->registry, tenant, key);
    }
    series->ordinal = ordinal;
    if (ordinal == ORDINAL_NONE) return false;
    series->gen = cell_head(cell, ordinal)->gen;
    return true;
}

void write_resolve(struct cell *cell, struct batch *batch, struct batch_series *series,
                   struct write_slice *slice)
{
    bool known = write_find(cell, series);
    if (known && series->make == MAKE_REQUIRED) {
        series->st = ST_EXISTS;
        return;
    }
    if (!known && series->make == MAKE_NEVER) {
        series->st = ST_NOT_FOUND;
        return;
    }
    if (!known) make_series(cell, batch, series, slice);
    if (series->st != ST_OK) return;
    if (cell_head(cell, series->ordinal)->type != series->type) {
        series->st = ST_WRONG_TYPE;
        return;
    }
    if (!series->name) return;
    struct hash128 raw = series->name->raw_hash;
    if (raw.lo | raw.hi) registry_learn(cell->registry, raw, series->ordinal);
}
