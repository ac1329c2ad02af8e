/* Apply and put: from here nothing can fail. The WAL has room for both frames and the
 * spares for every row; that was seen to before the slice was decided. Heads change
 * before the frame is complete, but inside one step of the owner: no view can be pinned
 * between the two, and no answer leaves before the frame is durable. */
#include "base/varint.h"
#include "engine/write_priv.h"
#include "model/histogram.h"

static size_t put_definitions(struct cell *cell, const struct write_slice *slice, uint8_t *dst)
{
    uint8_t *at = dst;
    for (size_t i = 0; i < slice->n_made; i++) {
        const struct series_entry *entry =
            registry_entry(cell->registry, slice->made[i]->ordinal);
        const struct series_attrs *attrs = entry_attrs(entry);
        struct wal_series series = {
            .id = entry->id,
            .place = entry->place,
            .type = (enum value_type)entry->type,
            .identity = slice->made[i]->name->identity,
            .has_attrs = attrs != NULL,
        };
        if (attrs) series.attrs = *attrs;
        at += wal_series_put(at, &series);
    }
    at += write_put_companions(cell, slice, at);
    return (size_t)(at - dst);
}

void write_apply(struct cell *cell, struct write_slice *slice, const struct slice_row *row)
{
    union value val = {.bits = row->wal.bits};
    slice->rows[slice->n_rows++] = row->wal;
    slice->row_bytes += WAL_ROW_BYTES + row->wal.bytes.len;
    if (row->how == WRITE_APPEND)
        head_append(cell, row->ordinal, row->wal.ts, val);
    else
        head_append_late(cell, row->ordinal, row->wal.ts, val);
}

size_t write_row_bytes(const struct batch *batch, size_t idx)
{
    const struct batch_series *series = &batch->series[batch->row_series[idx]];
    if (series->type == VALUE_BYTES) return WAL_ROW_BYTES + batch->val[idx].bytes->len;
    if (series->type == VALUE_HISTOGRAM)
        return WAL_ROW_BYTES + histogram_bound(batch->val[idx].hist);
    return WAL_ROW_BYTES;
}

static void put_samples(struct cell *cell, struct batch *batch, const struct write_slice *slice,
                        bool last)
{
    struct write_state *state = write_state(batch);
    uint8_t *dst = wal_begin(cell->wal, slice->row_bytes + VARINT_MAX);
    ASSERT(dst);
    size_t len = wal_samples_put(dst, slice->rows, slice->n_rows);
    if (!last && state->run == 0) state->run = cell->next_run++;
    batch->durable_at = wal_end(cell->wal, WAL_SAMPLES, last ? WAL_COMMIT : 0, state->run, len);
    if (last) state->run = 0;
}

bool write_has_room(const struct cell *cell, size_t made_bytes, size_t row_bytes)
{
    /* Two frames, that of exemplars and metadata, and the empty one that ends a run which
     * cannot go on. */
    size_t overhead = 4 * (WAL_HEAD_LEN + WAL_RUN_LEN + VARINT_MAX);
    return wal_room(cell->wal) >= 2 * (made_bytes + row_bytes + overhead);
}

void write_commit(struct cell *cell, struct batch *batch, struct write_slice *slice, bool last)
{
    if (slice->n_made || slice->n_companions) {
        uint8_t *dst = wal_begin(cell->wal, slice->made_bytes);
        ASSERT(dst);
        batch->durable_at =
            wal_end(cell->wal, WAL_SERIES, WAL_COMMIT, 0, put_definitions(cell, slice, dst));
    }
    /* A run that was begun must be ended, even if its last rows were all refused. */
    if (slice->n_rows || write_state(batch)->run) put_samples(cell, batch, slice, last);
    cell->stats.n_rows_stored += slice->n_rows - slice->n_starts;
    cell->stats.n_starts_stored += slice->n_starts;
    batch->n_stored += slice->n_rows - slice->n_starts;
}
