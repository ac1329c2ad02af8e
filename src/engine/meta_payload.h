/* Exemplars and metadata as bytes: the payload of WAL frames of type 5, and of the frames
 * of the files that hold the same (docs/formats/exemplars.md). A payload is records, one
 * behind the other to its end. Encoding goes to a buffer with room for the bound; decoding
 * trusts nothing beyond the frame's checksum. Pure, any thread.
 */
#ifndef TSINK_ENGINE_META_PAYLOAD_H
#define TSINK_ENGINE_META_PAYLOAD_H

#include "model/batch.h"
#include "model/metadata.h"

enum {
    META_EXEMPLAR_BYTES = 28,   /* of an exemplar without its packed labels, at most */
    META_FAMILY_BYTES = 17,     /* of a family without its texts, at most */
    META_TEXT_MAX = 4096,       /* bytes of each text of a family */
};

/* The bytes of a record, at most. */
size_t meta_exemplar_bound(const struct exemplar *ex);
size_t meta_family_bound(const struct metric_meta *meta);

/* Writes a record and returns its bytes. Texts of a family are at most META_TEXT_MAX. */
size_t meta_exemplar_put(uint8_t *dst, series_id id, const struct exemplar *ex);
size_t meta_family_put(uint8_t *dst, const struct metric_meta *meta);

/* Who takes records; either may be NULL. What a call returns but ST_OK ends the walk. Texts
 * and labels point into the payload. */
struct meta_taker {
    status (*exemplar)(void *ctx, series_id id, const struct exemplar *ex);
    status (*family)(void *ctx, const struct metric_meta *meta);
    void *ctx;
};

/* ST_CORRUPT: some of the records may have been handed on already. */
CHECKED status meta_payload_each(struct slice payload, const struct meta_taker *taker);

#endif
