/* Start timestamps on their way in: samples of a companion (index/registry_starts.c).
 *
 * A companion is a series of i64: at the time of a sample its start. It is written in the
 * slice of the sample and right behind it, as an upsert: so log, heads, flushes, merges and
 * replay need to know nothing of it, and whatever order decides between two samples at one
 * time decides between their starts, too.
 *
 * A sample without a start that takes the place of one that had a start must take that away:
 * START_NONE is written. Where nothing can be there it is not: behind the newest start, and
 * behind the newest sample, because a companion has no time that its parent has not
 * (plain rows never come here).
 *
 * A start is never the reason to refuse a sample. Without memory for a companion, and of a
 * series with a key, it is dropped and counted.
 */
#include "engine/starts.h"
#include "engine/write_priv.h"

/* Of a definition in the log. */
enum { COMPANION_BYTES = WAL_SERIES_BYTES + ATTRS_BYTES + STARTS_IDENTITY_LEN };

size_t write_starts_bytes(const struct batch *batch)
{
    return batch->n_starts ? WAL_ROW_BYTES + COMPANION_BYTES : WAL_ROW_BYTES;
}

/* The companion of a series, ORDINAL_NONE if there is none. The mark on the head may be out
 * of date. */
static uint32_t find_companion(struct cell *cell, struct head *head, uint32_t parent)
{
    uint32_t ordinal = registry_starts(cell->registry, parent);
    if (ordinal != ORDINAL_NONE || !head->started) return ordinal;
    head->started = 0;
    registry_set_started(cell->registry, parent, false);
    return ORDINAL_NONE;
}

static uint32_t make_companion(struct cell *cell, const struct batch *batch, uint32_t parent,
                               struct write_slice *slice)
{
    uint32_t ordinal;
    if (write_state(batch)->known_only || slice->n_companions == WRITE_SLICE_ROWS ||
        (cell_head(cell, parent)->flags & HEAD_KEYED) ||
        cell_add_starts(cell, &ordinal, parent) != ST_OK)
        return ORDINAL_NONE;
    slice->companions[slice->n_companions].ordinal = ordinal;
    slice->companions[slice->n_companions++].parent = cell_head(cell, parent)->id;
    slice->made_bytes += COMPANION_BYTES;
    return ordinal;
}

void write_put_start(struct cell *cell, const struct batch *batch, uint32_t parent, ts_time ts,
                     ts_time start, struct write_slice *slice)
{
    uint32_t ordinal = find_companion(cell, cell_head(cell, parent), parent);
    if (ordinal == ORDINAL_NONE && start == START_NONE) return;
    if (ordinal == ORDINAL_NONE) ordinal = make_companion(cell, batch, parent, slice);
    if (ordinal == ORDINAL_NONE || cell_head(cell, ordinal)->type != VALUE_I64) {
        cell->stats.n_starts_dropped++;
        return;
    }
    const struct head *head = cell_head(cell, ordinal);
    bool has_last = head->flags & HEAD_HAS_LAST, unknown = head->flags & HEAD_UNKNOWN;
    bool newest = !has_last || ts > head->last_ts;
    union value val = {.bits = (uint64_t)start};
    if (start == START_NONE && newest && !unknown) return;
    if (has_last && ts == head->last_ts && val.bits == head->last_bits) return;
    slice->rows[slice->n_rows++] =
        (struct wal_row){.id = head->id, .ts = ts, .bits = val.bits, .type = VALUE_I64};
    slice->row_bytes += WAL_ROW_BYTES;
    slice->n_starts++;
    if (newest) head_append(cell, ordinal, ts, val);
    else head_append_late(cell, ordinal, ts, val);
}

size_t write_put_companions(const struct cell *cell, const struct write_slice *slice, uint8_t *dst)
{
    uint8_t *at = dst;
    for (size_t i = 0; i < slice->n_companions; i++) {
        const struct series_entry *entry =
            registry_entry(cell->registry, slice->companions[i].ordinal);
        struct starts_name name;
        starts_name_make(&name, slice->companions[i].parent, entry->place);
        const struct wal_series series = {
            .id = entry->id,
            .place = entry->place,
            .type = VALUE_I64,
            .identity = slice_of(name.identity, STARTS_IDENTITY_LEN),
        };
        at += wal_series_put(at, &series);
    }
    return (size_t)(at - dst);
}
