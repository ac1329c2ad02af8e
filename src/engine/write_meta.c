/* Exemplars and metadata of a batch: behind its last row, so that series which it made are
 * there. The stores decide; what they took goes into a frame of the log, in the same step, so
 * that an answer waits for it as for the samples. Nothing here fails a row.
 *
 * A slice of the owner's time takes a few hundred of them, and no more than a frame has room
 * for; a batch may need several. One that no frame can take alone (only with a small
 * wal-buffer) is not stored if it is an exemplar; a family is, for the file of the next
 * flush has it. */
#include "base/varint.h"
#include "engine/exemplars.h"
#include "engine/db_priv.h"
#include "engine/meta_payload.h"
#include "engine/metadata_store.h"
#include "engine/write_priv.h"

enum {
    FRAME_SHARE = 4,           /* of the longest payload: the samples need their room, too */
    SLICE_META = 256,          /* a hundred microseconds, when all are news */
};

struct meta_frame {
    uint8_t *dst;
    size_t len, max;
};

size_t write_meta_left(const struct batch *batch)
{
    return batch->n_exemplars + batch->n_metas - batch->meta_at;
}

static size_t bound_of(const struct batch *batch, size_t idx)
{
    if (idx < batch->n_exemplars) return meta_exemplar_bound(&batch->exemplars[idx].ex);
    struct metric_meta meta = metadata_cut(&batch->metas[idx - batch->n_exemplars]);
    return meta_family_bound(&meta);
}

size_t write_meta_measure(const struct cell *cell, const struct batch *batch, size_t *n)
{
    size_t max = wal_payload_max(cell->wal) / FRAME_SHARE, left = write_meta_left(batch);
    size_t bytes = 0;
    for (*n = 0; *n < left && *n < SLICE_META; ++*n) {
        size_t more = bound_of(batch, batch->meta_at + *n);
        if (*n > 0 && bytes + more > max) break;
        bytes += more;
    }
    return bytes < max ? bytes : max;
}

/* The series of an exemplar, or ORDINAL_NONE. Senders do not say whether it is one of
 * numbers or of histograms when there is no sample beside it. */
static uint32_t find_series(struct cell *cell, struct batch_series *series)
{
    const struct batch_name *name = batch_name_of(series);
    if (series->st != ST_OK) return ORDINAL_NONE;
    if (series->resolved) return series->ordinal;
    if (write_find(cell, series)) return series->ordinal;
    if (series->make != MAKE_NEVER || name->identity.len == 0) return ORDINAL_NONE;
    return registry_find(cell->registry, name->identity, name->hash, VALUE_HISTOGRAM);
}

static void take_exemplar(struct cell *cell, struct batch *batch, const struct batch_exemplar *be,
                          struct meta_frame *frame)
{
    uint32_t ordinal = find_series(cell, &batch->series[be->series]);
    if (ordinal == ORDINAL_NONE || frame->len + meta_exemplar_bound(&be->ex) > frame->max) {
        cell->stats.n_exemplars_no_series += ordinal == ORDINAL_NONE;
        cell->stats.n_meta_unlogged += ordinal != ORDINAL_NONE;
        return;
    }
    series_id id = registry_entry(cell->registry, ordinal)->id;
    enum exemplar_verdict verdict = exemplars_put(cell->db->exemplars, id, &be->ex);
    if (verdict == EXEMPLAR_STORED)
        frame->len += meta_exemplar_put(frame->dst + frame->len, id, &be->ex);
    batch->n_exemplars_kept += verdict == EXEMPLAR_STORED || verdict == EXEMPLAR_DUPLICATE;
}

static void take_family(struct cell *cell, const struct metric_meta *meta,
                        struct meta_frame *frame)
{
    struct metric_meta cut = metadata_cut(meta);
    if (metadata_store_put(cell->db->metadata, &cut) != METADATA_CHANGED) return;
    if (frame->len + meta_family_bound(&cut) <= frame->max)
        frame->len += meta_family_put(frame->dst + frame->len, &cut);
    else
        cell->stats.n_meta_unlogged++;
}

void write_meta(struct cell *cell, struct batch *batch, size_t n, size_t max_bytes)
{
    struct meta_frame frame = {.dst = wal_begin(cell->wal, max_bytes)};
    if (frame.dst) frame.max = max_bytes; /* there is room: write_has_room() has seen to it */
    for (size_t end = batch->meta_at + n; batch->meta_at < end; batch->meta_at++) {
        if (batch->meta_at < batch->n_exemplars)
            take_exemplar(cell, batch, &batch->exemplars[batch->meta_at], &frame);
        else
            take_family(cell, &batch->metas[batch->meta_at - batch->n_exemplars], &frame);
    }
    if (frame.len == 0) return;
    batch->durable_at = wal_end(cell->wal, WAL_META, WAL_COMMIT, 0, frame.len);
    cell->n_unflushed_meta++;
}
