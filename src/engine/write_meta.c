/* Exemplars and metadata of a batch: behind its last row, so that series which it made are
 * there. The stores decide; what they took goes into one frame of the log, in the same step,
 * so that an answer waits for it as for the samples. Nothing here fails a row.
 *
 * A batch that has more than the frame takes: exemplars beyond that are not stored; a family
 * is stored all the same, for the file of the next flush has it. Neither happens to requests
 * of the usual sizes: a frame is given a twelfth of wal-buffer. */
#include "base/varint.h"
#include "engine/exemplars.h"
#include "engine/db_priv.h"
#include "engine/meta_payload.h"
#include "engine/metadata_store.h"
#include "engine/write_priv.h"

enum { FRAME_SHARE = 4 };  /* of the longest payload: the samples need their room, too */

struct meta_frame {
    uint8_t *dst;
    size_t len, max;
};

size_t write_meta_bytes(const struct cell *cell, const struct batch *batch)
{
    size_t max = wal_payload_max(cell->wal) / FRAME_SHARE, bytes = 0;
    for (size_t i = 0; i < batch->n_exemplars && bytes < max; i++)
        bytes += meta_exemplar_bound(&batch->exemplars[i].ex);
    for (size_t i = 0; i < batch->n_metas && bytes < max; i++) {
        struct metric_meta meta = metadata_cut(&batch->metas[i]);
        bytes += meta_family_bound(&meta);
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

void write_meta(struct cell *cell, struct batch *batch, size_t max_bytes)
{
    struct meta_frame frame = {.dst = wal_begin(cell->wal, max_bytes)};
    if (frame.dst) frame.max = max_bytes; /* there is room: write_has_room() has seen to it */
    for (size_t i = 0; i < batch->n_exemplars; i++)
        take_exemplar(cell, batch, &batch->exemplars[i], &frame);
    for (size_t i = 0; i < batch->n_metas; i++) take_family(cell, &batch->metas[i], &frame);
    if (frame.len == 0) return;
    batch->durable_at = wal_end(cell->wal, WAL_META, WAL_COMMIT, 0, frame.len);
    cell->n_unflushed_meta++;
}
